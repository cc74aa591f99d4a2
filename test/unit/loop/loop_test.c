/* Loops, mailboxes, cells, timers, work, signals.
 * covers: b24 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/clock.h"
#include "base/ref.h"
#include "loop/cell.h"
#include "loop/mailbox.h"
#include "loop/signal.h"
#include "loop/timer.h"
#include "loop/work.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

static bool is_set(void *arg) { return atomic_load((_Atomic int *)arg) != 0; }

/* --- loop --- */

struct counted_task {
	struct cox_loop_task task;
	_Atomic int *counter;
	struct cox_loop *loop;
};
static void count_task(struct cox_loop_task *t)
{
	struct counted_task *c = (struct counted_task *)t;
	cox_loop_assert_here(c->loop);
	assert_ptr_equal(cox_loop_current(), c->loop);
	atomic_fetch_add(c->counter, 1);
}
static void check_here(void *arg) { assert_true(cox_loop_is_here(arg)); }

static void test_thread_runs_tasks(void **state)
{
	(void)state;
	_Atomic int n = 0;
	struct cox_loop *l = cox_loop_new("test");
	assert_true(cox_loop_is_here(l)); /* nobody runs it: it is the holder's */
	assert_int_equal(cox_loop_start(l), COX_OK);
	assert_false(cox_loop_is_here(l));
	struct counted_task tasks[100];
	for (size_t i = 0; i < COX_LEN(tasks); i++) {
		tasks[i] = (struct counted_task){ { 0, count_task }, &n, l };
		cox_loop_post(l, &tasks[i].task);
	}
	cox_loop_call(l, check_here, l); /* behind the tasks: they have run */
	assert_int_equal(n, 100);
	cox_loop_stop(l);
	cox_loop_join(l);
	assert_true(cox_loop_is_here(l));
	cox_loop_free(&l);
	assert_null(l);
}

static void test_tasks_left_run_at_the_end(void **state)
{
	(void)state;
	_Atomic int n = 0;
	struct cox_loop *l = cox_loop_new("test");
	struct counted_task t = { { 0, count_task }, &n, l };
	cox_loop_post(l, &t.task);
	cox_loop_free(&l);
	assert_int_equal(n, 1);
}

static void stop_self(struct cox_loop_task *t) { cox_loop_stop(((struct counted_task *)t)->loop); }
static void test_run_until_stop(void **state)
{
	(void)state;
	struct cox_loop *l = cox_loop_new("main");
	struct counted_task t = { { 0, stop_self }, NULL, l };
	cox_loop_post(l, &t.task);
	cox_loop_run(l);
	cox_loop_free(&l);
}

/* --- mailbox --- */

struct inbox {
	_Atomic int got, dropped;
	intptr_t last[4];
	struct cox_mailbox *mailbox;
	bool closes;
};
static _Atomic int drops;
static void inbox_message(void *ctx, void *m)
{
	struct inbox *in = ctx;
	intptr_t v = (intptr_t)m;
	intptr_t sender = v >> 20;
	assert_true((v & 0xfffff) > in->last[sender]); /* order of each sender */
	in->last[sender] = v & 0xfffff;
	atomic_fetch_add(&in->got, 1);
	if (in->closes)
		cox_mailbox_close(&in->mailbox);
}
static void inbox_drop(void *m)
{
	(void)m;
	atomic_fetch_add(&drops, 1);
}

struct sender {
	pthread_t thread;
	struct cox_mailbox *to;
	intptr_t id;
	int refused;
};
static void *send_many(void *arg)
{
	struct sender *s = arg;
	for (intptr_t i = 1; i <= 5000; i++)
		if (cox_mailbox_send_take(s->to, (void *)(s->id << 20 | i)) != COX_OK)
			s->refused++;
	cox_mailbox_unref(&s->to);
	return NULL;
}
static void close_inbox(void *arg) { cox_mailbox_close(&((struct inbox *)arg)->mailbox); }

static void test_mailbox_many_senders(void **state)
{
	(void)state;
	struct inbox in = { 0 };
	struct cox_loop *l = cox_loop_new("test");
	drops = 0;
	cox_mailbox_open(l, 1000, COX_MAILBOX_REFUSE, &(struct cox_mailbox_cb){ inbox_message, inbox_drop, &in }, &in.mailbox);
	assert_int_equal(cox_loop_start(l), COX_OK);
	struct sender s[4];
	for (size_t i = 0; i < 4; i++) {
		s[i] = (struct sender){ .to = cox_mailbox_ref(in.mailbox), .id = (intptr_t)i };
		pthread_create(&s[i].thread, NULL, send_many, &s[i]);
	}
	int refused = 0;
	for (size_t i = 0; i < 4; i++) {
		pthread_join(s[i].thread, NULL);
		refused += s[i].refused;
	}
	for (int i = 0; i < 2000 && cox_mailbox_length(in.mailbox) > 0; i++)
		usleep(1000);
	cox_loop_call(l, close_inbox, &in);
	assert_int_equal(in.got + refused, 20000);
	assert_int_equal(drops, refused);
	cox_loop_free(&l);
}

static void test_mailbox_full(void **state)
{
	(void)state;
	struct inbox in = { 0 };
	struct cox_loop *l = cox_loop_new("test");
	struct cox_mailbox_cb cb = { inbox_message, inbox_drop, &in };
	drops = 0;
	cox_mailbox_open(l, 2, COX_MAILBOX_REFUSE, &cb, &in.mailbox);
	assert_int_equal(cox_mailbox_send_take(in.mailbox, (void *)1), COX_OK);
	assert_int_equal(cox_mailbox_send_take(in.mailbox, (void *)2), COX_OK);
	assert_int_equal(cox_mailbox_send_take(in.mailbox, (void *)3), COX_ELIMIT);
	assert_int_equal(drops, 1);
	struct cox_mailbox *sender = cox_mailbox_ref(in.mailbox);
	cox_mailbox_close(&in.mailbox);
	assert_int_equal(drops, 3); /* what waited is dropped, never delivered */
	assert_int_equal(cox_mailbox_send_take(sender, (void *)4), COX_ECANCELED);
	assert_int_equal(drops, 4);
	cox_mailbox_unref(&sender);

	cox_mailbox_open(l, 2, COX_MAILBOX_DROP_OLDEST, &cb, &in.mailbox);
	for (intptr_t i = 1; i <= 5; i++)
		assert_int_equal(cox_mailbox_send_take(in.mailbox, (void *)i), COX_OK);
	assert_int_equal(cox_mailbox_dropped(in.mailbox), 3);
	assert_true(cox_loop_run_until(l, is_set, &in.got, 2000));
	assert_int_equal(in.got, 2);
	assert_int_equal(in.last[0], 5);
	cox_mailbox_close(&in.mailbox);
	cox_loop_free(&l);
}

static void test_mailbox_closed_in_its_callback(void **state)
{
	(void)state;
	struct inbox in = { .closes = true };
	struct cox_loop *l = cox_loop_new("test");
	drops = 0;
	cox_mailbox_open(l, 8, COX_MAILBOX_REFUSE, &(struct cox_mailbox_cb){ inbox_message, inbox_drop, &in }, &in.mailbox);
	for (intptr_t i = 1; i <= 3; i++)
		assert_int_equal(cox_mailbox_send_take(in.mailbox, (void *)i), COX_OK);
	assert_true(cox_loop_run_until(l, is_set, &in.got, 2000));
	cox_loop_free(&l);
	assert_int_equal(in.got, 1);
	assert_int_equal(drops, 2);
}

/* --- cell --- */

struct value {
	struct cox_ref refs;
	int n;
};
static _Atomic int values_alive;
static struct value *value_new(int n)
{
	struct value *v = COX_NEW(struct value);
	cox_ref_init(&v->refs);
	v->n = n;
	atomic_fetch_add(&values_alive, 1);
	return v;
}
static void value_ref(void *v) { cox_ref_get(&((struct value *)v)->refs); }
static void value_unref(void *v)
{
	if (cox_ref_put(&((struct value *)v)->refs)) {
		cox_free(v);
		atomic_fetch_sub(&values_alive, 1);
	}
}
static bool value_equal(const void *a, const void *b) { return ((const struct value *)a)->n == ((const struct value *)b)->n; }
static const struct cox_cell_ops value_ops = { value_ref, value_unref, value_equal };

struct watcher {
	_Atomic int calls, done;
	struct cox_cell *cell;
	struct cox_cell_watch *watch;
};
static void on_value(void *ctx)
{
	struct watcher *w = ctx;
	struct value *v = cox_cell_get(w->cell);
	atomic_fetch_add(&w->calls, 1);
	if (v && v->n == 999)
		atomic_store(&w->done, 1);
	if (v)
		value_unref(v);
}

static void test_cell_wakes_only_on_change(void **state)
{
	(void)state;
	struct watcher w = { 0 };
	struct cox_loop *l = cox_loop_new("test");
	w.cell = cox_cell_new(&value_ops);
	assert_null(cox_cell_get(w.cell));
	cox_cell_watch_open(w.cell, l, on_value, &w, &w.watch);
	assert_true(cox_cell_set_take(w.cell, value_new(1)));
	assert_true(cox_cell_set_take(w.cell, value_new(2)));
	assert_true(cox_loop_run_until(l, is_set, &w.calls, 2000));
	assert_int_equal(w.calls, 1); /* two changes, one call */
	assert_false(cox_cell_set_take(w.cell, value_new(2)));
	assert_int_equal(cox_cell_generation(w.cell), 2);
	assert_false(cox_loop_run_until(l, is_set, &w.done, 30));
	assert_int_equal(w.calls, 1); /* an equal one: none */
	assert_true(cox_cell_set_take(w.cell, value_new(3)));
	cox_cell_watch_close(&w.watch); /* closed while a call is on its way: it does not come */
	cox_loop_free(&l);
	assert_int_equal(w.calls, 1);
	assert_true(cox_cell_set_take(w.cell, NULL));
	cox_cell_free(&w.cell);
	assert_int_equal(values_alive, 0);
}

static void *set_many(void *arg)
{
	for (int i = 0; i < 1000; i++)
		cox_cell_set_take(arg, value_new(i));
	return NULL;
}
static void *get_many(void *arg)
{
	for (int i = 0; i < 5000; i++) {
		struct value *v = cox_cell_get(arg);
		if (v) {
			assert_in_range(v->n, 0, 999);
			value_unref(v);
		}
	}
	return NULL;
}
static void close_watch(void *arg) { cox_cell_watch_close(&((struct watcher *)arg)->watch); }

static void test_cell_across_threads(void **state)
{
	(void)state;
	struct watcher w = { 0 };
	pthread_t t[3];
	struct cox_loop *l = cox_loop_new("test");
	w.cell = cox_cell_new(&value_ops);
	cox_cell_watch_open(w.cell, l, on_value, &w, &w.watch);
	assert_int_equal(cox_loop_start(l), COX_OK);
	pthread_create(&t[0], NULL, set_many, w.cell);
	pthread_create(&t[1], NULL, get_many, w.cell);
	pthread_create(&t[2], NULL, get_many, w.cell);
	for (int i = 0; i < 3; i++)
		pthread_join(t[i], NULL);
	for (int i = 0; i < 2000 && !atomic_load(&w.done); i++)
		usleep(1000);
	assert_true(atomic_load(&w.done)); /* the last value is always seen */
	cox_loop_call(l, close_watch, &w);
	cox_loop_free(&l);
	cox_cell_free(&w.cell);
	assert_int_equal(values_alive, 0);
}

/* --- timer --- */

struct ticker {
	_Atomic int n, done;
	struct cox_timer *timer;
};
static void on_tick(void *ctx)
{
	struct ticker *t = ctx;
	if (++t->n == 3) {
		cox_timer_free(&t->timer); /* in its own callback */
		t->done = 1;
	}
}
static void on_once(void *ctx) { ((struct ticker *)ctx)->n++; }

static void test_timers(void **state)
{
	(void)state;
	struct ticker t = { 0 }, once = { 0 };
	struct cox_loop *l = cox_loop_new("test");
	t.timer = cox_timer_new(l, on_tick, &t);
	once.timer = cox_timer_new(l, on_once, &once);
	cox_timer_start(t.timer, 1, 2);
	cox_timer_start(once.timer, 1, 0);
	assert_true(cox_timer_is_running(t.timer));
	assert_true(cox_loop_run_until(l, is_set, &t.done, 2000));
	assert_null(t.timer);
	assert_int_equal(once.n, 1);
	cox_timer_start(once.timer, 1000, 0);
	cox_timer_stop(once.timer);
	assert_false(cox_timer_is_running(once.timer));
	cox_timer_free(&once.timer);
	cox_timer_free(&once.timer); /* NULL is accepted */
	cox_loop_free(&l);
	assert_int_equal(t.n, 3);
}

/* --- work --- */

struct work {
	struct cox_loop *loop;
	_Atomic int ran, done, canceled;
};
static void work_run(void *arg)
{
	struct work *w = arg;
	assert_null(cox_loop_current());
	usleep(2000);
	atomic_fetch_add(&w->ran, 1);
}
static void work_done(void *arg, enum cox_rc rc)
{
	struct work *w = arg;
	assert_true(cox_loop_is_here(w->loop));
	if (rc == COX_ECANCELED)
		atomic_fetch_add(&w->canceled, 1);
	atomic_fetch_add(&w->done, 1);
}
static bool all_done(void *arg) { return ((struct work *)arg)->done == 20; }

static void test_work(void **state)
{
	(void)state;
	struct work w = { .loop = cox_loop_new("test") };
	struct cox_work_pool *p = cox_work_pool_new("pool", 2, 20);
	for (int i = 0; i < 20; i++)
		assert_int_equal(cox_work_submit(p, w.loop, work_run, work_done, &w), COX_OK);
	assert_true(cox_loop_run_until(w.loop, all_done, &w, 5000));
	assert_int_equal(w.ran, 20);
	assert_int_equal(cox_work_pool_waiting(p), 0);
	int taken = 0;
	while (cox_work_submit(p, w.loop, work_run, work_done, &w) == COX_OK)
		taken++;
	assert_in_range(taken, 20, 60); /* 20 wait, the rest has begun */
	w.ran = w.done = w.canceled = 0;
	cox_work_pool_free(&p);
	struct cox_loop *l = w.loop;
	cox_loop_free(&l);
	assert_int_equal(w.done, taken);
	assert_int_equal(w.ran + w.canceled, taken);
	assert_true(w.canceled > 0);
}

/* --- signal --- */

static void on_signal(void *ctx, int number)
{
	assert_int_equal(number, SIGUSR1);
	atomic_store((_Atomic int *)ctx, 1);
}
static void test_signal(void **state)
{
	(void)state;
	_Atomic int got = 0;
	struct cox_signal *s = NULL;
	struct cox_loop *l = cox_loop_new("test");
	assert_int_not_equal(cox_signal_open(l, SIGKILL, on_signal, &got, &s), COX_OK);
	assert_null(s);
	assert_int_equal(cox_signal_open(l, SIGUSR1, on_signal, &got, &s), COX_OK);
	raise(SIGUSR1);
	assert_true(cox_loop_run_until(l, is_set, &got, 2000));
	cox_signal_close(&s);
	cox_loop_free(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_thread_runs_tasks),
		cmocka_unit_test(test_tasks_left_run_at_the_end),
		cmocka_unit_test(test_run_until_stop),
		cmocka_unit_test(test_mailbox_many_senders),
		cmocka_unit_test(test_mailbox_full),
		cmocka_unit_test(test_mailbox_closed_in_its_callback),
		cmocka_unit_test(test_cell_wakes_only_on_change),
		cmocka_unit_test(test_cell_across_threads),
		cmocka_unit_test(test_timers),
		cmocka_unit_test(test_work),
		cmocka_unit_test(test_signal),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
