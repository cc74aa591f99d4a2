/*
 * loop - a libuv loop, and usually a thread of its own that runs it.
 * Thread: a loop belongs to the thread that runs it. While no thread runs it (before cox_loop_start() or
 *         cox_loop_run(), and after the end) it belongs to whoever holds it, so that objects can be made on it
 *         before the start and ended on it after the stop.
 * The first cox_loop_new() makes the process ignore SIGPIPE: sockets report EPIPE instead.
 */
#ifndef COX_LOOP_LOOP_H
#define COX_LOOP_LOOP_H

#include "base/err.h"

struct cox_loop;

/* `name` is copied: the thread's name and the context of assertions. Never NULL. */
struct cox_loop *cox_loop_new(const char *name);
/* Starts a thread that runs the loop. COX_ELIMIT: no thread could be made. */
COX_MUST_USE enum cox_rc cox_loop_start(struct cox_loop *l);
/* Runs the loop in the calling thread until cox_loop_stop(). */
void cox_loop_run(struct cox_loop *l);
/* Any thread; returns at once. The loop ends after the callback it is in. A stop before the start ends the loop at once. */
void cox_loop_stop(struct cox_loop *l);
/* Any thread but the loop's: waits until the thread of cox_loop_start() has ended; nothing if there is none. */
void cox_loop_join(struct cox_loop *l);
/* Stops, joins, runs the close callbacks and tasks that are left, and frees. Asserts that every handle on
 * the loop was closed by its owner: prints those that were not. */
void cox_loop_free(struct cox_loop **l);

bool cox_loop_is_here(const struct cox_loop *l);
void cox_loop_assert_here(const struct cox_loop *l);
/* The loop that the calling thread runs, or NULL. */
struct cox_loop *cox_loop_current(void);
const char *cox_loop_name(const struct cox_loop *l);
/* Monotonic milliseconds as cached by the loop at the start of its turn. */
int64_t cox_loop_now_ms(const struct cox_loop *l);

/* A call to be made on a loop. Embedded in the caller's object, which must live until `fn` has run. */
struct cox_loop_task {
	struct cox_loop_task *next;
	void (*fn)(struct cox_loop_task *task);
};
/* Any thread: `fn` runs on the loop soon, never inside this call; tasks of one sender keep their order. Posting a
 * task that has not run yet is a fault of the caller. Cannot fail: the queue is as long as there are tasks. Tasks
 * left at the end run in cox_loop_free(). */
void cox_loop_post(struct cox_loop *l, struct cox_loop_task *task);
/* Any thread but another loop's: runs fn(arg) on the loop and waits for it. For start-up, shut-down and tests. */
void cox_loop_call(struct cox_loop *l, void (*fn)(void *arg), void *arg);

/* For tests, on a loop that no thread runs: runs it here until done(arg) or for at most `timeout_ms`; returns done(arg). */
bool cox_loop_run_until(struct cox_loop *l, bool (*done)(void *arg), void *arg, int64_t timeout_ms);

#endif
