/*
 * work - a small pool of threads for what would block a loop: translation, signing, files, DNS.
 * Thread: cox_work_submit() on the loop that wants the answer.
 */
#ifndef COX_LOOP_WORK_H
#define COX_LOOP_WORK_H

#include "loop/loop.h"

struct cox_work_pool;

/* `threads` > 0. Beyond `capacity` jobs waiting the pool refuses. */
struct cox_work_pool *cox_work_pool_new(const char *name, unsigned threads, size_t capacity);
/* Borrows `arg` until `done`. run(arg) is called on a pool thread, then done(arg, COX_OK) on `loop`, or, when the pool ended
 * before the job began, only done(arg, COX_ECANCELED). `loop` must live until then. COX_ELIMIT: too many jobs wait; nothing is called. */
COX_MUST_USE enum cox_rc cox_work_submit(struct cox_work_pool *p, struct cox_loop *loop, void (*run)(void *arg),
                                         void (*done)(void *arg, enum cox_rc rc), void *arg);
size_t cox_work_pool_waiting(struct cox_work_pool *p);
/* Waits for the jobs that are running; the others are canceled. Free the pool before the loops that use it. */
void cox_work_pool_free(struct cox_work_pool **p);

#endif
