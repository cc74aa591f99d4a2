#include "loop/cell.h"

#include <pthread.h>

struct cox_cell_watch {
	struct cox_loop_task task; /* first: cast from the task */
	struct cox_cell *cell;     /* NULL: closed while posted; freed by the task */
	struct cox_cell_watch *next;
	struct cox_loop *loop;
	void (*fn)(void *ctx);
	void *ctx;
	bool is_posted; /* under the cell's lock */
};

struct cox_cell {
	struct cox_cell_ops ops;
	pthread_mutex_t lock;
	void *value;
	uint64_t generation;
	struct cox_cell_watch *watches;
};

struct cox_cell *cox_cell_new(const struct cox_cell_ops *ops)
{
	COX_ASSERT(ops->ref && ops->unref);
	struct cox_cell *c = COX_NEW(struct cox_cell);
	c->ops = *ops;
	pthread_mutex_init(&c->lock, NULL);
	return c;
}

void cox_cell_free(struct cox_cell **cp)
{
	struct cox_cell *c = *cp;
	*cp = NULL;
	if (!c)
		return;
	COX_ASSERT(!c->watches);
	if (c->value)
		c->ops.unref(c->value);
	pthread_mutex_destroy(&c->lock);
	cox_free(c);
}

void *cox_cell_get(struct cox_cell *c)
{
	/* The reference is added under the lock: after a bare load the last owner could already be gone. */
	pthread_mutex_lock(&c->lock);
	void *value = c->value;
	if (value)
		c->ops.ref(value);
	pthread_mutex_unlock(&c->lock);
	return value;
}

static bool is_same(const struct cox_cell *c, const void *a, const void *b)
{
	return a == b || (a && b && c->ops.equal && c->ops.equal(a, b));
}

bool cox_cell_set_take(struct cox_cell *c, void *value)
{
	pthread_mutex_lock(&c->lock);
	bool changes = !is_same(c, c->value, value);
	void *release = value;
	if (changes) {
		release = c->value;
		c->value = value;
		c->generation++;
		for (struct cox_cell_watch *w = c->watches; w; w = w->next)
			if (!w->is_posted) {
				w->is_posted = true;
				cox_loop_post(w->loop, &w->task);
			}
	}
	pthread_mutex_unlock(&c->lock);
	if (release)
		c->ops.unref(release);
	return changes;
}

uint64_t cox_cell_generation(struct cox_cell *c)
{
	pthread_mutex_lock(&c->lock);
	uint64_t n = c->generation;
	pthread_mutex_unlock(&c->lock);
	return n;
}

static void on_task(struct cox_loop_task *task)
{
	struct cox_cell_watch *w = (struct cox_cell_watch *)task;
	if (!w->cell) {
		cox_free(w);
		return;
	}
	pthread_mutex_lock(&w->cell->lock);
	w->is_posted = false;
	pthread_mutex_unlock(&w->cell->lock);
	w->fn(w->ctx);
}

void cox_cell_watch_open(struct cox_cell *c, struct cox_loop *loop, void (*fn)(void *ctx), void *ctx, struct cox_cell_watch **out)
{
	cox_loop_assert_here(loop);
	struct cox_cell_watch *w = COX_NEW(struct cox_cell_watch);
	*w = (struct cox_cell_watch){ .task.fn = on_task, .cell = c, .loop = loop, .fn = fn, .ctx = ctx };
	pthread_mutex_lock(&c->lock);
	w->next = c->watches;
	c->watches = w;
	pthread_mutex_unlock(&c->lock);
	*out = w;
}

void cox_cell_watch_close(struct cox_cell_watch **wp)
{
	struct cox_cell_watch *w = *wp;
	*wp = NULL;
	if (!w)
		return;
	cox_loop_assert_here(w->loop);
	struct cox_cell *c = w->cell;
	pthread_mutex_lock(&c->lock);
	for (struct cox_cell_watch **at = &c->watches; *at; at = &(*at)->next)
		if (*at == w) {
			*at = w->next;
			break;
		}
	bool is_posted = w->is_posted;
	w->cell = NULL;
	pthread_mutex_unlock(&c->lock);
	if (!is_posted)
		cox_free(w);
}
