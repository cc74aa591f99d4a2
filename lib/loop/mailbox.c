#include "loop/mailbox.h"

#include "base/ref.h"

#include <pthread.h>

struct cox_mailbox {
	struct cox_ref refs;
	struct cox_loop *loop;
	struct cox_mailbox_cb cb;
	enum cox_mailbox_policy policy;
	size_t capacity;
	struct cox_loop_task task; /* posted while `is_posted`; holds a reference then */
	pthread_mutex_t lock;      /* of all below */
	void **ring;               /* grows up to `capacity`: a mailbox that is drained in time stays small */
	size_t ring_cap, first, n;
	uint64_t dropped;
	bool is_posted, is_closed;
};

static void on_task(struct cox_loop_task *task);

void cox_mailbox_open(struct cox_loop *loop, size_t capacity, enum cox_mailbox_policy policy, const struct cox_mailbox_cb *cb,
                      struct cox_mailbox **out)
{
	COX_ASSERT(capacity > 0 && cb->on_message && cb->drop);
	cox_loop_assert_here(loop);
	struct cox_mailbox *m = COX_NEW(struct cox_mailbox);
	cox_ref_init(&m->refs);
	m->loop = loop;
	m->cb = *cb;
	m->policy = policy;
	m->capacity = capacity;
	m->task.fn = on_task;
	pthread_mutex_init(&m->lock, NULL);
	*out = m;
}

static void ring_grow(struct cox_mailbox *m)
{
	size_t cap = cox_min_size(cox_max_size(m->ring_cap * 2, 8), m->capacity);
	void **ring = cox_calloc(cap, sizeof(*ring));
	for (size_t i = 0; i < m->n; i++)
		ring[i] = m->ring[(m->first + i) % m->ring_cap];
	cox_free(m->ring);
	m->ring = ring;
	m->ring_cap = cap;
	m->first = 0;
}

static void *ring_pop(struct cox_mailbox *m)
{
	void *message = m->ring[m->first];
	m->first = (m->first + 1) % m->ring_cap;
	m->n--;
	return message;
}

enum cox_rc cox_mailbox_send_take(struct cox_mailbox *m, void *message)
{
	enum cox_rc rc = COX_OK;
	void *drop = NULL;
	pthread_mutex_lock(&m->lock);
	if (m->is_closed) {
		rc = COX_ECANCELED;
	} else if (m->n == m->capacity) {
		m->dropped++;
		if (m->policy == COX_MAILBOX_DROP_OLDEST)
			drop = ring_pop(m);
		else
			rc = COX_ELIMIT;
	}
	if (rc == COX_OK) {
		if (m->n == m->ring_cap)
			ring_grow(m);
		m->ring[(m->first + m->n++) % m->ring_cap] = message;
		if (!m->is_posted) {
			m->is_posted = true;
			cox_ref_get(&m->refs);
			cox_loop_post(m->loop, &m->task);
		}
	} else {
		drop = message;
	}
	pthread_mutex_unlock(&m->lock);
	if (drop)
		m->cb.drop(drop);
	return rc;
}

/* Delivers what is there now; what is sent meanwhile waits for the next turn, so that a busy sender cannot hold the loop. */
static void on_task(struct cox_loop_task *task)
{
	struct cox_mailbox *m = (struct cox_mailbox *)((char *)task - offsetof(struct cox_mailbox, task));
	pthread_mutex_lock(&m->lock);
	m->is_posted = false;
	size_t n = m->n;
	for (size_t i = 0; i < n && m->n > 0; i++) {
		void *message = ring_pop(m);
		pthread_mutex_unlock(&m->lock);
		m->cb.on_message(m->cb.ctx, message);
		pthread_mutex_lock(&m->lock);
	}
	if (m->n > 0 && !m->is_posted) {
		m->is_posted = true;
		cox_ref_get(&m->refs);
		cox_loop_post(m->loop, &m->task);
	}
	pthread_mutex_unlock(&m->lock);
	cox_mailbox_unref(&m);
}

size_t cox_mailbox_length(struct cox_mailbox *m)
{
	pthread_mutex_lock(&m->lock);
	size_t n = m->n;
	pthread_mutex_unlock(&m->lock);
	return n;
}

uint64_t cox_mailbox_dropped(struct cox_mailbox *m)
{
	pthread_mutex_lock(&m->lock);
	uint64_t n = m->dropped;
	pthread_mutex_unlock(&m->lock);
	return n;
}

struct cox_mailbox *cox_mailbox_ref(struct cox_mailbox *m)
{
	cox_ref_get(&m->refs);
	return m;
}

void cox_mailbox_unref(struct cox_mailbox **mp)
{
	struct cox_mailbox *m = *mp;
	*mp = NULL;
	if (!m || !cox_ref_put(&m->refs))
		return;
	while (m->n > 0)
		m->cb.drop(ring_pop(m));
	pthread_mutex_destroy(&m->lock);
	cox_free(m->ring);
	cox_free(m);
}

void cox_mailbox_close(struct cox_mailbox **mp)
{
	struct cox_mailbox *m = *mp;
	if (!m)
		return;
	cox_loop_assert_here(m->loop);
	pthread_mutex_lock(&m->lock);
	m->is_closed = true;
	while (m->n > 0) {
		void *message = ring_pop(m);
		pthread_mutex_unlock(&m->lock);
		m->cb.drop(message);
		pthread_mutex_lock(&m->lock);
	}
	pthread_mutex_unlock(&m->lock);
	cox_mailbox_unref(mp);
}
