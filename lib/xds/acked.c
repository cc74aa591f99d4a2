/* acked - how many streams have followed a change: asked of every stream loop, answered on the config loop. */
#include "xds/server_priv.h"

#include "xds/core.h"

struct ask;
struct part { /* one loop's share */
	struct cox_loop_task task;
	struct ask *ask;
	struct stream_loop *loop;
	struct cox_xds_acked sum;
};
struct ask {
	struct cox_loop *home;
	enum cox_type type;
	struct cox_hash set;
	void (*done)(void *ctx, const struct cox_xds_acked *r);
	void *ctx;
	_Atomic size_t left;
	struct cox_loop_task answer;
	size_t part_n;
	struct part parts[];
};

/* The trust bundle and its like ride in one part only. */
static bool wants(const struct ads_stream *a, enum cox_type type, struct cox_hash set)
{
	const struct cox_set *s = a->wanted[COX_PUSH_WORKLOAD] ? a->wanted[COX_PUSH_WORKLOAD]->sets[type] : NULL;
	return s && cox_hash_eq(s->hash, set);
}

static void on_answer(struct cox_loop_task *task)
{
	struct ask *ask = (struct ask *)(void *)((char *)task - offsetof(struct ask, answer));
	struct cox_xds_acked sum = { 0 };
	for (size_t i = 0; i < ask->part_n; i++) {
		sum.watching += ask->parts[i].sum.watching;
		sum.acked += ask->parts[i].sum.acked;
		sum.streams += ask->parts[i].sum.streams;
	}
	ask->done(ask->ctx, &sum);
	cox_free(ask);
}

static void on_count(struct cox_loop_task *task)
{
	struct part *p = (struct part *)(void *)task;
	struct ask *ask = p->ask;
	for (size_t i = 0; i < p->loop->streams.n; i++) {
		struct ads_stream *a = p->loop->streams.p[i];
		struct cox_xds_type_state st;
		if (!a->proxy)
			continue;
		p->sum.streams++;
		cox_xds_core_state(a->core, ask->type, &st);
		if (!st.is_watched)
			continue;
		p->sum.watching++;
		p->sum.acked += st.is_synced && wants(a, ask->type, ask->set);
	}
	if (atomic_fetch_sub(&ask->left, 1) == 1)
		cox_loop_post(ask->home, &ask->answer);
}

void cox_xds_server_acked(struct cox_xds_server *s, enum cox_type type, struct cox_hash set,
                          void (*done)(void *ctx, const struct cox_xds_acked *r), void *ctx)
{
	struct ask *ask = cox_zalloc(sizeof(*ask) + s->loop_count * sizeof(struct part));
	*ask = (struct ask){ .home = s->opts.config_loop,
		             .type = type,
		             .set = set,
		             .done = done,
		             .ctx = ctx,
		             .answer = { .fn = on_answer },
		             .part_n = s->loop_count };
	atomic_init(&ask->left, s->loop_count);
	for (size_t i = 0; i < s->loop_count; i++) {
		ask->parts[i] = (struct part){ .task = { .fn = on_count }, .ask = ask, .loop = &s->loops[i] };
		cox_loop_post(s->loop_list[i], &ask->parts[i].task);
	}
}
