#include "loop/poll.h"

#include "loop/loop_uv.h"

struct cox_poll {
	uv_poll_t uv;
	struct cox_loop *loop;
	void (*fn)(void *ctx, int events);
	void *ctx;
};

static void on_poll(uv_poll_t *uv, int status, int events)
{
	struct cox_poll *p = uv->data;
	int e = status < 0 ? COX_POLL_READ | COX_POLL_WRITE : 0;
	if (events & UV_READABLE)
		e |= COX_POLL_READ;
	if (events & UV_WRITABLE)
		e |= COX_POLL_WRITE;
	p->fn(p->ctx, e);
}

enum cox_rc cox_poll_open(struct cox_loop *loop, int fd, void (*fn)(void *ctx, int events), void *ctx, struct cox_poll **out)
{
	cox_loop_assert_here(loop);
	struct cox_poll *p = COX_NEW(struct cox_poll);
	p->loop = loop;
	p->fn = fn;
	p->ctx = ctx;
	int rc = uv_poll_init(cox_loop_uv(loop), &p->uv, fd);
	if (rc != 0) {
		cox_free(p);
		return COX_EIO;
	}
	p->uv.data = p;
	*out = p;
	return COX_OK;
}

void cox_poll_want(struct cox_poll *p, int events)
{
	cox_loop_assert_here(p->loop);
	if (events == 0) {
		uv_poll_stop(&p->uv);
		return;
	}
	int rc = uv_poll_start(&p->uv, (events & COX_POLL_READ ? UV_READABLE : 0) | (events & COX_POLL_WRITE ? UV_WRITABLE : 0), on_poll);
	COX_ASSERT(rc == 0);
}

static void on_closed(uv_handle_t *uv) { cox_free(uv->data); }

void cox_poll_close(struct cox_poll **p)
{
	struct cox_poll *x = COX_MOVE(*p);
	if (x == NULL)
		return;
	cox_loop_assert_here(x->loop);
	uv_poll_stop(&x->uv);
	uv_close((uv_handle_t *)&x->uv, on_closed);
}
