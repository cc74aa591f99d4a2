/*
 * hop - an answer on its way back to the loop that asked, where the asker may be gone and its loop ended before the answer is there.
 * Embedded in the job that travels. The asker's side sends the job off (a task, a request); whoever ends it calls cox_hop_return().
 * Thread: init and cancel on the asker's loop; return on any thread, once.
 */
#ifndef COX_LOOP_HOP_H
#define COX_LOOP_HOP_H

#include "loop/loop.h"

struct cox_hop {
	struct cox_loop_task task;
	struct cox_loop *home;
	/* Comes exactly once for each return, and may free the job. Not canceled: on `home`, never inside cox_hop_return().
	 * Canceled: nobody waits; on `home` or, where the job had not been returned yet, on the thread that returns it. */
	void (*arrive)(struct cox_hop *h, bool is_canceled);
	bool is_canceled, is_posted;
};

void cox_hop_init(struct cox_hop *h, struct cox_loop *home, void (*arrive)(struct cox_hop *h, bool is_canceled));
/* The asker does not want the answer any more. After this `home` may end. */
void cox_hop_cancel(struct cox_hop *h);
/* The job is done; it belongs to arrive() from now on. */
void cox_hop_return(struct cox_hop *h);

#endif
