#include "loop/timer.h"

#include "loop/loop_uv.h"

struct cox_timer {
	uv_timer_t uv; /* first: cast from the handle */
	struct cox_loop *loop;
	void (*fn)(void *ctx);
	void *ctx;
};

struct cox_timer *cox_timer_new(struct cox_loop *loop, void (*fn)(void *ctx), void *ctx)
{
	cox_loop_assert_here(loop);
	struct cox_timer *t = COX_NEW(struct cox_timer);
	uv_timer_init(cox_loop_uv(loop), &t->uv);
	t->loop = loop;
	t->fn = fn;
	t->ctx = ctx;
	return t;
}

static void on_fire(uv_timer_t *uv)
{
	struct cox_timer *t = (struct cox_timer *)uv;
	t->fn(t->ctx);
}

void cox_timer_start(struct cox_timer *t, int64_t delay_ms, int64_t period_ms)
{
	cox_loop_assert_here(t->loop);
	/* libuv counts from the start of the turn; after a long turn that would be too early. */
	uv_update_time(t->uv.loop);
	uv_timer_start(&t->uv, on_fire, delay_ms > 0 ? (uint64_t)delay_ms : 0, period_ms > 0 ? (uint64_t)period_ms : 0);
}

void cox_timer_stop(struct cox_timer *t)
{
	cox_loop_assert_here(t->loop);
	uv_timer_stop(&t->uv);
}

bool cox_timer_is_running(const struct cox_timer *t) { return uv_is_active((const uv_handle_t *)&t->uv); }

static void on_closed(uv_handle_t *h) { cox_free(h); }

void cox_timer_free(struct cox_timer **tp)
{
	struct cox_timer *t = *tp;
	*tp = NULL;
	if (!t)
		return;
	cox_loop_assert_here(t->loop);
	uv_close((uv_handle_t *)&t->uv, on_closed);
}
