#include "xds/follow.h"

#include "xds/core.h"
#include "xds/server_priv.h"

static void checkpoint(struct follow *f, uint64_t behind, uint64_t by)
{
	f->behind = behind;
	f->behind_by = by;
	f->next = 0;
	memset(f->has, 0, sizeof(f->has));
}

static void list(struct ads_stream *a)
{
	if (a->follow.is_listed)
		return;
	a->follow.is_listed = true;
	cox_vec_push(&a->home->lagging, a);
}

static void unlist(struct ads_stream *a)
{
	struct stream_loop *l = a->home;
	for (size_t i = 0; i < l->lagging.n && a->follow.is_listed; i++)
		if (l->lagging.p[i] == a) {
			l->lagging.p[i] = l->lagging.p[--l->lagging.n];
			a->follow.is_listed = false;
		}
}

void follow_moved(struct ads_stream *a)
{
	/* The first of a stream: it has nothing of what is in force. */
	if (!a->is_configured && !a->follow.behind)
		checkpoint(&a->follow, 1, a->home->mark ? a->home->mark : 1);
	a->follow.is_moved = true;
	list(a);
}

static bool is_passed(struct ads_stream *a)
{
	struct follow *f = &a->follow;
	bool passed = cox_xds_core_is_ready(a->core);
	for (enum cox_type t = 0; t < COX_TYPE_COUNT; t++) {
		if (!f->has[t])
			f->has[t] = cox_xds_core_is_sent(a->core, t, &f->needs[t]);
		passed &= f->has[t] && cox_xds_core_acked(a->core, t) >= f->needs[t];
	}
	return passed;
}

void follow_check(struct ads_stream *a)
{
	struct follow *f = &a->follow;
	if (!f->is_listed || !a->core)
		return;
	if (f->behind && !is_passed(a))
		return;
	if (f->next) {
		checkpoint(f, f->next, a->home->mark);
		follow_check(a);
	} else {
		f->behind = 0;
		if (!f->is_moved)
			unlist(a);
	}
}

void follow_end(struct ads_stream *a) { unlist(a); }

/* --- from the config loop ----------------------------------------------------------------------------------------- */

struct mark {
	struct cox_loop_task task;
	struct stream_loop *loop;
	uint64_t generation;
};

static void on_mark(struct cox_loop_task *task)
{
	struct mark *m = (struct mark *)(void *)task;
	struct stream_loop *l = m->loop;
	l->mark = m->generation;
	/* From the end: who is in step leaves, and the last takes its place. */
	for (size_t i = l->lagging.n; i-- > 0;) {
		struct ads_stream *a = l->lagging.p[i];
		struct follow *f = &a->follow;
		if (f->is_moved && !f->behind)
			checkpoint(f, m->generation, m->generation);
		else if (f->is_moved && !f->next)
			f->next = m->generation;
		f->is_moved = false;
		follow_check(a);
	}
	cox_free(m);
}

void cox_xds_server_mark(struct cox_xds_server *s, uint64_t generation)
{
	for (size_t i = 0; i < s->loop_count; i++) {
		struct mark *m = COX_NEW(struct mark);
		*m = (struct mark){ .task = { .fn = on_mark }, .loop = &s->loops[i], .generation = generation };
		cox_loop_post(s->loop_list[i], &m->task);
	}
}

struct ask;
struct part { /* one loop's share */
	struct cox_loop_task task;
	struct ask *ask;
	struct stream_loop *loop;
	COX_VEC(uint64_t) behind;
	size_t streams;
	uint64_t oldest;
	char name[COX_XDS_FOLLOWED_NAME];
};
struct ask {
	struct cox_loop *home;
	void (*done)(void *ctx, const struct cox_xds_followed *r);
	void *ctx;
	_Atomic size_t left;
	struct cox_loop_task answer;
	size_t part_n;
	struct part parts[];
};

static void on_answer(struct cox_loop_task *task)
{
	struct ask *ask = (struct ask *)(void *)((char *)task - offsetof(struct ask, answer));
	struct cox_xds_followed sum = { .name = "" };
	COX_VEC(uint64_t) behind = { 0 };
	uint64_t oldest = UINT64_MAX;
	for (size_t i = 0; i < ask->part_n; i++) {
		struct part *p = &ask->parts[i];
		sum.streams += p->streams;
		for (size_t k = 0; k < p->behind.n; k++)
			cox_vec_push(&behind, p->behind.p[k]);
		if (p->behind.n && p->oldest < oldest) {
			oldest = p->oldest;
			sum.name = p->name;
		}
		cox_vec_fini(&p->behind);
	}
	sum.behind = behind.p;
	sum.behind_n = behind.n;
	ask->done(ask->ctx, &sum);
	cox_vec_fini(&behind);
	cox_free(ask);
}

static void on_count(struct cox_loop_task *task)
{
	struct part *p = (struct part *)(void *)task;
	struct stream_loop *l = p->loop;
	p->oldest = UINT64_MAX;
	for (size_t i = 0; i < l->streams.n; i++)
		p->streams += l->streams.p[i]->proxy != NULL;
	for (size_t i = 0; i < l->lagging.n; i++) {
		const struct ads_stream *a = l->lagging.p[i];
		if (!a->follow.behind)
			continue;
		cox_vec_push(&p->behind, a->follow.behind);
		if (a->follow.behind < p->oldest) {
			p->oldest = a->follow.behind;
			cox_str_to_cstr(a->proxy->id, p->name, sizeof(p->name));
		}
	}
	if (atomic_fetch_sub(&p->ask->left, 1) == 1)
		cox_loop_post(p->ask->home, &p->ask->answer);
}

void cox_xds_server_followed(struct cox_xds_server *s, void (*done)(void *ctx, const struct cox_xds_followed *r), void *ctx)
{
	struct ask *ask = cox_zalloc(sizeof(*ask) + s->loop_count * sizeof(struct part));
	*ask =
	    (struct ask){ .home = s->opts.config_loop, .done = done, .ctx = ctx, .answer = { .fn = on_answer }, .part_n = s->loop_count };
	atomic_init(&ask->left, s->loop_count);
	for (size_t i = 0; i < s->loop_count; i++) {
		ask->parts[i] = (struct part){ .task = { .fn = on_count }, .ask = ask, .loop = &s->loops[i] };
		cox_loop_post(s->loop_list[i], &ask->parts[i].task);
	}
}
