/*
 * cell - the latest value of something shared and immutable. Any thread gets it; setting an equal one wakes nobody.
 * Thread: get and set anywhere; watch and unwatch on the watching loop.
 */
#ifndef COX_LOOP_CELL_H
#define COX_LOOP_CELL_H

#include "loop/loop.h"

struct cox_cell;
struct cox_cell_watch;

struct cox_cell_ops {
	void (*ref)(void *value);
	void (*unref)(void *value);
	bool (*equal)(const void *a, const void *b); /* NULL: equal pointers only */
};

/* Copies `ops`. The cell starts without a value. */
struct cox_cell *cox_cell_new(const struct cox_cell_ops *ops);
/* After all watches are closed. */
void cox_cell_free(struct cox_cell **c);
/* Gives a reference to the latest value, or NULL while there is none. */
void *cox_cell_get(struct cox_cell *c);
/* Takes a reference to `value` (NULL: none from now on). True when the value is another one and watchers were woken. */
bool cox_cell_set_take(struct cox_cell *c, void *value);
/* How often the value changed. */
uint64_t cox_cell_generation(struct cox_cell *c);
/* Calls fn(ctx) on `loop` after changes; several changes may give one call. Get the value in it. */
void cox_cell_watch_open(struct cox_cell *c, struct cox_loop *loop, void (*fn)(void *ctx), void *ctx, struct cox_cell_watch **out);
/* No call after this. Accepts NULL. */
void cox_cell_watch_close(struct cox_cell_watch **w);

#endif
