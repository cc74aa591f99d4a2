#include "loop/signal.h"

#include "loop/loop_uv.h"

struct cox_signal {
	uv_signal_t uv; /* first: cast from the handle */
	struct cox_loop *loop;
	void (*fn)(void *ctx, int number);
	void *ctx;
};

static void on_signal(uv_signal_t *uv, int number)
{
	struct cox_signal *s = (struct cox_signal *)uv;
	s->fn(s->ctx, number);
}

static void on_closed(uv_handle_t *h) { cox_free(h); }

enum cox_rc cox_signal_open(struct cox_loop *loop, int number, void (*fn)(void *ctx, int number), void *ctx, struct cox_signal **out)
{
	cox_loop_assert_here(loop);
	struct cox_signal *s = COX_NEW(struct cox_signal);
	uv_signal_init(cox_loop_uv(loop), &s->uv);
	s->loop = loop;
	s->fn = fn;
	s->ctx = ctx;
	int rc = uv_signal_start(&s->uv, on_signal, number);
	if (rc != 0) {
		uv_close((uv_handle_t *)&s->uv, on_closed);
		return cox_rc_of_uv(rc);
	}
	*out = s;
	return COX_OK;
}

void cox_signal_close(struct cox_signal **sp)
{
	struct cox_signal *s = *sp;
	*sp = NULL;
	if (!s)
		return;
	cox_loop_assert_here(s->loop);
	uv_close((uv_handle_t *)&s->uv, on_closed);
}
