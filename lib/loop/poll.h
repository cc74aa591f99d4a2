/*
 * poll - calls back when a file descriptor can be read or written.
 * Thread: everything on the loop. Level-triggered: the callback comes again until the descriptor is served or not wanted.
 */
#ifndef COX_LOOP_POLL_H
#define COX_LOOP_POLL_H

#include "loop/loop.h"

struct cox_poll;

enum cox_poll_event { COX_POLL_READ = 1, COX_POLL_WRITE = 2 };

/* Borrows `fd` (non-blocking, a socket or a pipe) until close; nothing is awaited before cox_poll_want(). `fn` gets the
 * events that hold; trouble with the descriptor shows as both, so that reading or writing finds it. COX_EIO: not such a descriptor. */
COX_MUST_USE enum cox_rc cox_poll_open(struct cox_loop *loop, int fd, void (*fn)(void *ctx, int events), void *ctx, struct cox_poll **out);
/* Awaits `events` from now on; 0: none. */
void cox_poll_want(struct cox_poll *p, int events);
/* No callback after this; the caller may close the descriptor at once. Allowed in its own callback. Accepts NULL. */
void cox_poll_close(struct cox_poll **p);

#endif
