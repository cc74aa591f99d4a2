/*
 * timer - calls back once or periodically on a loop.
 * Thread: everything on the loop. Starting, stopping and freeing a timer in its own callback is allowed.
 */
#ifndef COX_LOOP_TIMER_H
#define COX_LOOP_TIMER_H

#include "loop/loop.h"

struct cox_timer;

struct cox_timer *cox_timer_new(struct cox_loop *loop, void (*fn)(void *ctx), void *ctx);
/* First after `delay_ms`, then every `period_ms` (0: once). Starting a running timer sets it anew. */
void cox_timer_start(struct cox_timer *t, int64_t delay_ms, int64_t period_ms);
void cox_timer_stop(struct cox_timer *t);
bool cox_timer_is_running(const struct cox_timer *t);
/* No call after this. Accepts NULL. */
void cox_timer_free(struct cox_timer **t);

#endif
