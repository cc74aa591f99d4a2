#include "loop/work.h"

#include "base/str.h"

#include <pthread.h>
#include <stdio.h>

enum { NAME_BYTES = 16 };

struct job {
	struct cox_loop_task task; /* first: cast from the task */
	struct job *next;
	struct cox_loop *loop;
	void (*run)(void *arg);
	void (*done)(void *arg, enum cox_rc rc);
	void *arg;
	enum cox_rc rc;
};

struct cox_work_pool {
	pthread_mutex_t lock; /* of all below; a leaf but for the loops' own */
	pthread_cond_t cond;
	struct job *head, **tail;
	size_t waiting, capacity;
	bool is_stopping;
	unsigned thread_count;
	char name[NAME_BYTES];
	pthread_t threads[];
};

static void job_done(struct cox_loop_task *task)
{
	struct job *j = (struct job *)task;
	j->done(j->arg, j->rc);
	cox_free(j);
}

static void *thread_main(void *arg)
{
	struct cox_work_pool *p = arg;
	pthread_setname_np(pthread_self(), p->name);
	cox_assert_context(p->name);
	pthread_mutex_lock(&p->lock);
	for (;;) {
		while (!p->head && !p->is_stopping)
			pthread_cond_wait(&p->cond, &p->lock);
		struct job *j = p->head;
		if (!j)
			break;
		p->head = j->next;
		if (!p->head)
			p->tail = &p->head;
		p->waiting--;
		bool is_canceled = p->is_stopping;
		pthread_mutex_unlock(&p->lock);
		if (is_canceled)
			j->rc = COX_ECANCELED;
		else
			j->run(j->arg);
		cox_loop_post(j->loop, &j->task);
		pthread_mutex_lock(&p->lock);
	}
	pthread_mutex_unlock(&p->lock);
	return NULL;
}

struct cox_work_pool *cox_work_pool_new(const char *name, unsigned threads, size_t capacity)
{
	COX_ASSERT(threads > 0 && capacity > 0);
	struct cox_work_pool *p = cox_zalloc(sizeof(*p) + threads * sizeof(pthread_t));
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->cond, NULL);
	p->tail = &p->head;
	p->capacity = capacity;
	cox_str_to_cstr(cox_str_of(name), p->name, sizeof(p->name));
	for (; p->thread_count < threads; p->thread_count++)
		if (pthread_create(&p->threads[p->thread_count], NULL, thread_main, p) != 0)
			break;
	COX_ASSERT(p->thread_count > 0);
	return p;
}

enum cox_rc cox_work_submit(struct cox_work_pool *p, struct cox_loop *loop, void (*run)(void *arg), void (*done)(void *arg, enum cox_rc rc),
                            void *arg)
{
	struct job *j = COX_NEW(struct job);
	*j = (struct job){ .task.fn = job_done, .loop = loop, .run = run, .done = done, .arg = arg };
	pthread_mutex_lock(&p->lock);
	bool is_full = p->waiting >= p->capacity || p->is_stopping;
	if (!is_full) {
		*p->tail = j;
		p->tail = &j->next;
		p->waiting++;
		pthread_cond_signal(&p->cond);
	}
	pthread_mutex_unlock(&p->lock);
	if (is_full)
		cox_free(j);
	return is_full ? COX_ELIMIT : COX_OK;
}

size_t cox_work_pool_waiting(struct cox_work_pool *p)
{
	pthread_mutex_lock(&p->lock);
	size_t n = p->waiting;
	pthread_mutex_unlock(&p->lock);
	return n;
}

void cox_work_pool_free(struct cox_work_pool **pp)
{
	struct cox_work_pool *p = *pp;
	*pp = NULL;
	if (!p)
		return;
	pthread_mutex_lock(&p->lock);
	p->is_stopping = true;
	pthread_cond_broadcast(&p->cond);
	pthread_mutex_unlock(&p->lock);
	for (unsigned i = 0; i < p->thread_count; i++)
		pthread_join(p->threads[i], NULL);
	pthread_cond_destroy(&p->cond);
	pthread_mutex_destroy(&p->lock);
	cox_free(p);
}
