#include "loop/hop.h"

#include <pthread.h>

/* Held over a post, so that a home whose asker has canceled is never posted to; one for all, as no hop outlives its own arrival. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void on_home(struct cox_loop_task *task)
{
	struct cox_hop *h = (struct cox_hop *)(void *)((char *)task - offsetof(struct cox_hop, task));
	pthread_mutex_lock(&lock);
	bool is_canceled = h->is_canceled;
	pthread_mutex_unlock(&lock);
	h->arrive(h, is_canceled);
}

void cox_hop_init(struct cox_hop *h, struct cox_loop *home, void (*arrive)(struct cox_hop *h, bool is_canceled))
{
	*h = (struct cox_hop){ .home = home, .arrive = arrive, .task.fn = on_home };
}

void cox_hop_cancel(struct cox_hop *h)
{
	pthread_mutex_lock(&lock);
	h->is_canceled = true;
	pthread_mutex_unlock(&lock);
}

void cox_hop_return(struct cox_hop *h)
{
	pthread_mutex_lock(&lock);
	COX_ASSERT(!h->is_posted);
	bool is_canceled = h->is_canceled;
	if (!is_canceled) {
		h->is_posted = true;
		cox_loop_post(h->home, &h->task);
	}
	pthread_mutex_unlock(&lock);
	if (is_canceled)
		h->arrive(h, true);
}
