/*
 * signal - Unix signals as callbacks on a loop.
 * Thread: everything on the loop.
 */
#ifndef COX_LOOP_SIGNAL_H
#define COX_LOOP_SIGNAL_H

#include "loop/loop.h"

struct cox_signal;

/* COX_EINVAL: the signal cannot be caught. */
COX_MUST_USE enum cox_rc cox_signal_open(struct cox_loop *loop, int number, void (*fn)(void *ctx, int number), void *ctx,
                                         struct cox_signal **out);
void cox_signal_close(struct cox_signal **s);

#endif
