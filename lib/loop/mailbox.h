/*
 * mailbox - messages from any thread to one loop. A message is a pointer whose ownership goes along.
 * Thread: open and close on the loop; send, ref and unref anywhere.
 * Order:  of each sender. Several messages sent while the loop is busy arrive in one wake-up.
 */
#ifndef COX_LOOP_MAILBOX_H
#define COX_LOOP_MAILBOX_H

#include "loop/loop.h"

struct cox_mailbox;

enum cox_mailbox_policy {
	COX_MAILBOX_REFUSE,      /* a full mailbox drops the new message and tells the sender */
	COX_MAILBOX_DROP_OLDEST, /* a full mailbox drops its oldest message; sending succeeds */
};

struct cox_mailbox_cb {
	void (*on_message)(void *ctx, void *message); /* on the loop; takes the message */
	void (*drop)(void *message);                  /* any thread: frees a message that will not arrive */
	void *ctx;
};

/* Copies `cb`. Gives *out with one reference; capacity > 0. */
void cox_mailbox_open(struct cox_loop *loop, size_t capacity, enum cox_mailbox_policy policy, const struct cox_mailbox_cb *cb,
                      struct cox_mailbox **out);
/* Takes `message`, even on failure (it is dropped then). COX_ELIMIT: full. COX_ECANCELED: closed. */
COX_MUST_USE enum cox_rc cox_mailbox_send_take(struct cox_mailbox *m, void *message);
/* Messages waiting, for metrics. */
size_t cox_mailbox_length(struct cox_mailbox *m);
uint64_t cox_mailbox_dropped(struct cox_mailbox *m);
/* Each thread that sends keeps a reference. */
struct cox_mailbox *cox_mailbox_ref(struct cox_mailbox *m);
void cox_mailbox_unref(struct cox_mailbox **m);
/* On the loop: no message is delivered from now on, those waiting are dropped; also releases the caller's reference. */
void cox_mailbox_close(struct cox_mailbox **m);

#endif
