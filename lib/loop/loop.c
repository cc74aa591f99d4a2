#include "loop/loop_uv.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>

enum {
	TICK_MS = 5,            /* how often cox_loop_run_until() looks at its condition */
	FREE_WAIT_TURNS = 5000, /* 5 s for requests in libuv's own threads, which cannot be taken back */
};

struct cox_loop {
	uv_loop_t uv;
	uv_async_t wake;
	pthread_mutex_t lock; /* of the task list; a leaf */
	struct cox_loop_task *head, **tail;
	_Atomic bool is_running; /* owned by the thread that runs it, else by its holder */
	_Atomic bool is_stopping;
	bool has_thread;
	pthread_t thread;
	char name[16];
};

static _Thread_local struct cox_loop *current;

static void run_tasks(struct cox_loop *l)
{
	pthread_mutex_lock(&l->lock);
	struct cox_loop_task *t = l->head;
	l->head = NULL;
	l->tail = &l->head;
	pthread_mutex_unlock(&l->lock);
	while (t) {
		struct cox_loop_task *next = t->next; /* `t` may be gone or posted again after the call */
		t->next = NULL;
		t->fn(t);
		t = next;
	}
}

static void on_wake(uv_async_t *wake)
{
	struct cox_loop *l = wake->data;
	run_tasks(l);
	if (atomic_load(&l->is_stopping))
		uv_stop(&l->uv);
}

static void ignore_sigpipe(void) { signal(SIGPIPE, SIG_IGN); }

struct cox_loop *cox_loop_new(const char *name)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	pthread_once(&once, ignore_sigpipe);
	struct cox_loop *l = COX_NEW(struct cox_loop);
	cox_str_to_cstr(cox_str_of(name), l->name, sizeof(l->name));
	pthread_mutex_init(&l->lock, NULL);
	l->tail = &l->head;
	COX_ASSERT(uv_loop_init(&l->uv) == 0);
	COX_ASSERT(uv_async_init(&l->uv, &l->wake, on_wake) == 0);
	l->wake.data = l;
	l->uv.data = l;
	return l;
}

static void run_here(struct cox_loop *l)
{
	struct cox_loop *outer = current;
	current = l;
	while (!atomic_load(&l->is_stopping))
		uv_run(&l->uv, UV_RUN_DEFAULT);
	current = outer;
}

static void *thread_main(void *arg)
{
	struct cox_loop *l = arg;
	pthread_setname_np(pthread_self(), l->name);
	cox_assert_context(l->name);
	run_here(l);
	return NULL;
}

enum cox_rc cox_loop_start(struct cox_loop *l)
{
	COX_ASSERT(!l->has_thread && !atomic_load(&l->is_running));
	atomic_store(&l->is_running, true);
	if (pthread_create(&l->thread, NULL, thread_main, l) != 0) {
		atomic_store(&l->is_running, false);
		return COX_ELIMIT;
	}
	l->has_thread = true;
	return COX_OK;
}

void cox_loop_run(struct cox_loop *l)
{
	COX_ASSERT(!atomic_load(&l->is_running));
	atomic_store(&l->is_running, true);
	run_here(l);
	atomic_store(&l->is_running, false);
}

void cox_loop_stop(struct cox_loop *l)
{
	/* Under the lock, so that cox_loop_free() cannot close `wake` between the two steps of a stop it waits for. */
	pthread_mutex_lock(&l->lock);
	atomic_store(&l->is_stopping, true);
	uv_async_send(&l->wake);
	pthread_mutex_unlock(&l->lock);
}

void cox_loop_join(struct cox_loop *l)
{
	if (!l->has_thread)
		return;
	COX_ASSERT(current != l);
	pthread_join(l->thread, NULL);
	l->has_thread = false;
	atomic_store(&l->is_running, false);
}

static void print_handle(uv_handle_t *h, void *arg)
{
	struct cox_loop *l = arg;
	if (!uv_is_closing(h))
		fprintf(stderr, "loop %s: a %s handle was left open\n", l->name, uv_handle_type_name(h->type));
}

static bool has_tasks(struct cox_loop *l)
{
	pthread_mutex_lock(&l->lock);
	bool has = l->head != NULL;
	pthread_mutex_unlock(&l->lock);
	return has;
}

void cox_loop_free(struct cox_loop **lp)
{
	struct cox_loop *l = *lp;
	if (!l)
		return;
	*lp = NULL;
	cox_loop_stop(l);
	cox_loop_join(l);
	COX_ASSERT(!atomic_load(&l->is_running));
	struct cox_loop *outer = current;
	current = l;
	uv_unref((uv_handle_t *)&l->wake);
	for (int i = 0; i < FREE_WAIT_TURNS && (uv_loop_alive(&l->uv) || has_tasks(l)); i++) {
		run_tasks(l);
		if (uv_run(&l->uv, UV_RUN_NOWAIT) != 0)
			nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
	}
	uv_close((uv_handle_t *)&l->wake, NULL);
	uv_run(&l->uv, UV_RUN_NOWAIT);
	int rc = uv_loop_close(&l->uv);
	if (rc != 0)
		uv_walk(&l->uv, print_handle, l);
	COX_ASSERT(rc == 0);
	current = outer;
	pthread_mutex_destroy(&l->lock);
	cox_free(l);
}

bool cox_loop_is_here(const struct cox_loop *l) { return current == l || !atomic_load(&l->is_running); }
void cox_loop_assert_here(const struct cox_loop *l) { COX_ASSERT(cox_loop_is_here(l)); }
struct cox_loop *cox_loop_current(void) { return current; }
const char *cox_loop_name(const struct cox_loop *l) { return l->name; }
int64_t cox_loop_now_ms(const struct cox_loop *l) { return (int64_t)uv_now(&l->uv); }
uv_loop_t *cox_loop_uv(struct cox_loop *l) { return &l->uv; }

void cox_loop_post(struct cox_loop *l, struct cox_loop_task *task)
{
	task->next = NULL;
	pthread_mutex_lock(&l->lock);
	bool was_empty = l->head == NULL;
	*l->tail = task;
	l->tail = &task->next;
	if (was_empty)
		uv_async_send(&l->wake);
	pthread_mutex_unlock(&l->lock);
}

struct call {
	struct cox_loop_task task;
	void (*fn)(void *arg);
	void *arg;
	pthread_mutex_t lock;
	pthread_cond_t cond;
	bool done;
};

static void run_call(struct cox_loop_task *task)
{
	struct call *c = (struct call *)task;
	c->fn(c->arg);
	pthread_mutex_lock(&c->lock);
	c->done = true;
	pthread_cond_signal(&c->cond);
	pthread_mutex_unlock(&c->lock);
}

void cox_loop_call(struct cox_loop *l, void (*fn)(void *arg), void *arg)
{
	if (cox_loop_is_here(l)) {
		fn(arg);
		return;
	}
	struct call c = { .task.fn = run_call, .fn = fn, .arg = arg };
	pthread_mutex_init(&c.lock, NULL);
	pthread_cond_init(&c.cond, NULL);
	cox_loop_post(l, &c.task);
	pthread_mutex_lock(&c.lock);
	while (!c.done)
		pthread_cond_wait(&c.cond, &c.lock);
	pthread_mutex_unlock(&c.lock);
	pthread_cond_destroy(&c.cond);
	pthread_mutex_destroy(&c.lock);
}

static void on_tick(uv_timer_t *timer) { (void)timer; }
static void on_tick_closed(uv_handle_t *tick) { *(bool *)tick->data = true; }

bool cox_loop_run_until(struct cox_loop *l, bool (*done)(void *arg), void *arg, int64_t timeout_ms)
{
	COX_ASSERT(!atomic_load(&l->is_running));
	atomic_store(&l->is_running, true);
	struct cox_loop *outer = current;
	current = l;
	uv_timer_t tick;
	uv_timer_init(&l->uv, &tick);
	uv_timer_start(&tick, on_tick, TICK_MS, TICK_MS);
	uint64_t end = uv_hrtime() / 1000000 + (uint64_t)timeout_ms;
	bool is_done;
	while (!(is_done = done(arg)) && uv_hrtime() / 1000000 < end)
		uv_run(&l->uv, UV_RUN_ONCE);
	bool is_closed = false;
	tick.data = &is_closed;
	uv_close((uv_handle_t *)&tick, on_tick_closed);
	while (!is_closed)
		uv_run(&l->uv, UV_RUN_NOWAIT);
	current = outer;
	atomic_store(&l->is_running, false);
	return is_done;
}

enum cox_rc cox_rc_of_errno(int number)
{
	switch (number < 0 ? -number : number) {
	case 0: return COX_OK;
	case ENOENT:
	case ESRCH: return COX_ENOTFOUND;
	case EEXIST:
	case EADDRINUSE: return COX_EEXIST;
	case EACCES:
	case EPERM: return COX_EDENIED;
	case ETIMEDOUT: return COX_ETIMEOUT;
	case EAGAIN: return COX_EAGAIN;
	case EMFILE:
	case ENFILE:
	case ENOMEM:
	case ENOSPC: return COX_ELIMIT;
	case EINVAL:
	case EAFNOSUPPORT: return COX_EINVAL;
	case ECANCELED: return COX_ECANCELED;
	default: return COX_EIO;
	}
}

enum cox_rc cox_rc_of_uv(int status) { return status >= 0 ? COX_OK : cox_rc_of_errno(-status); }
