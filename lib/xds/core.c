#include "xds/core_priv.h"

bool core_type_is_named(enum cox_type t) { return t == COX_TYPE_EDS || t == COX_TYPE_RDS || t == COX_TYPE_SDS || t == COX_TYPE_ECDS; }

void core_resources_clear(void *vec)
{
	COX_VEC(const struct cox_resource *) *v = vec;
	for (size_t i = 0; i < v->n; i++)
		cox_resource_unref(v->p[i]);
	cox_vec_fini(v);
}

static void forget_texts(struct type_state *t)
{
	if (!t->asked.n && !t->known.n)
		cox_arena_fini(&t->texts);
}

void core_asked_clear(struct type_state *t)
{
	cox_vec_fini(&t->asked);
	forget_texts(t);
}

void core_known_clear(struct type_state *t)
{
	cox_vec_fini(&t->known);
	t->known_sum = (struct cox_sum){ 0 };
	forget_texts(t);
}

void core_response_fini(struct sent_response *r)
{
	for (unsigned p = 0; p < COX_XDS_PARTS; p++)
		cox_step_unref(r->steps[p]);
	for (unsigned p = 0; p < COX_XDS_PARTS; p++)
		cox_set_unref(r->sent[p]);
	for (size_t i = 0; i < r->removed.n; i++)
		cox_free(r->removed.p[i]);
	cox_vec_fini(&r->removed);
	core_resources_clear(&r->extra);
}

static bool is_among(const struct cox_resource *const *items, size_t n, const struct cox_resource *r)
{
	for (size_t i = 0; i < n; i++)
		if (cox_hash_eq(items[i]->hash, r->hash) && cox_str_eq(items[i]->name, r->name))
			return true;
	return false;
}

bool core_is_withheld(const struct type_state *t, const struct cox_resource *r)
{
	return is_among(t->withheld.p, t->withheld.n, r) ||
	       (t->suspects.n > t->probe_n && is_among(t->suspects.p + t->probe_n, t->suspects.n - t->probe_n, r));
}

struct cox_xds_core *cox_xds_core_new(const struct cox_xds_core_options *opts)
{
	struct cox_xds_core *c = COX_NEW(struct cox_xds_core);
	c->opts = *opts;
	c->remove_at_ms = c->remove_first_ms = c->remove_named_ms = INT64_MAX;
	return c;
}

static void free_texts(char **p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		cox_free(p[i]);
}

static void type_fini(struct type_state *t)
{
	for (unsigned p = 0; p < COX_XDS_PARTS; p++) {
		cox_set_unref(t->wanted[p]);
		cox_set_unref(t->sent[p]);
		cox_set_unref(t->acked[p]);
	}
	for (size_t i = 0; i < t->on_way.n; i++)
		core_response_fini(&t->on_way.p[i]);
	cox_vec_fini(&t->on_way);
	core_asked_clear(t);
	core_known_clear(t);
	core_resources_clear(&t->withheld);
	core_resources_clear(&t->suspects);
	core_resources_clear(&t->force);
	free_texts(t->perhaps.p, t->perhaps.n);
	cox_vec_fini(&t->perhaps);
	cox_names_unref(t->names);
	cox_free(t->last_error);
}

void cox_xds_core_free(struct cox_xds_core *c)
{
	if (!c)
		return;
	for (size_t t = 0; t < COX_TYPE_COUNT; t++)
		type_fini(&c->types[t]);
	for (unsigned p = 0; p < COX_XDS_PARTS; p++)
		cox_step_unref(c->out_steps[p]);
	free_texts(c->late_removed.p, c->late_removed.n);
	free_texts(c->out_texts.p, c->out_texts.n);
	cox_vec_fini(&c->late_removed);
	cox_vec_fini(&c->out_texts);
	cox_vec_fini(&c->unacked_clusters);
	cox_vec_fini(&c->early_clusters);
	cox_vec_fini(&c->resent_routes);
	cox_vec_fini(&c->out_resources);
	cox_vec_fini(&c->out_removed);
	cox_vec_fini(&c->out_missing);
	cox_free(c);
}

static bool is_wanted_as_it_is(const void *arg, const struct cox_resource *r)
{
	const struct type_state *t = arg;
	for (unsigned p = 0; p < COX_XDS_PARTS; p++) {
		const struct cox_resource *now = t->wanted[p] ? cox_set_find(t->wanted[p], r->name) : NULL;
		if (now && cox_hash_eq(now->hash, r->hash))
			return true;
	}
	return false;
}

void core_suspects_keep(struct type_state *t, bool (*keep)(const void *arg, const struct cox_resource *r), const void *arg)
{
	size_t tried = t->probe_n, kept = 0;
	for (size_t i = 0; i < t->suspects.n; i++)
		if (keep(arg, t->suspects.p[i])) {
			t->suspects.p[kept++] = t->suspects.p[i];
		} else {
			cox_resource_unref(t->suspects.p[i]);
			t->probe_n -= i < tried;
		}
	t->suspects.n = kept;
	if (kept && !t->probe_n) {
		t->probe_n = (kept + 1) / 2; /* none of those being tried is left: the next half */
		t->probe_nonce = 0;
	}
}

/* A rejected or suspected resource that is wanted no more, or with other content, need not be remembered. */
static void prune_withheld(struct type_state *t)
{
	size_t n = 0;
	for (size_t i = 0; i < t->withheld.n; i++)
		if (is_wanted_as_it_is(t, t->withheld.p[i]))
			t->withheld.p[n++] = t->withheld.p[i];
		else
			cox_resource_unref(t->withheld.p[i]);
	t->withheld.n = n;
	core_suspects_keep(t, is_wanted_as_it_is, t);
}

static bool loses_some(struct cox_xds_core *c, const struct cox_set *from, const struct cox_set *to)
{
	const struct cox_step *s = cox_step_between(c->opts.steps, from, to);
	bool loses = s->removed_n > 0;
	cox_step_unref(s);
	return loses;
}

void cox_xds_core_want(struct cox_xds_core *c, unsigned part, const struct cox_set *const sets[COX_TYPE_COUNT], int64_t now_ms)
{
	(void)now_ms;
	COX_ASSERT(part < COX_XDS_PARTS);
	for (size_t i = 0; i < COX_TYPE_COUNT; i++) {
		struct type_state *t = &c->types[i];
		if (t->wanted[part] == sets[i])
			continue;
		if (i == COX_TYPE_CDS && loses_some(c, t->wanted[part], sets[i]))
			c->remove_at_ms = INT64_MAX; /* the grace of removals starts anew: see target.c */
		cox_set_unref(t->wanted[part]);
		t->wanted[part] = sets[i] ? cox_set_ref(sets[i]) : NULL;
		prune_withheld(t);
	}
	c->has_part[part] = true;
}

bool cox_xds_core_is_ready(const struct cox_xds_core *c) { return c->has_part[0] && c->has_part[1]; }

uint64_t cox_xds_core_stale_nonces(const struct cox_xds_core *c) { return c->stale_nonces; }

const struct cox_set *cox_xds_core_sent(const struct cox_xds_core *c, enum cox_type type, unsigned part)
{
	return c->types[type].sent[part];
}

bool cox_xds_core_resend(struct cox_xds_core *c)
{
	bool any = false;
	for (size_t i = 0; i < COX_TYPE_COUNT; i++) {
		struct type_state *t = &c->types[i];
		bool waits = core_is_outstanding(t) || t->suspects.n || t->is_asked || (i == COX_TYPE_CDS && c->remove_at_ms != INT64_MAX);
		for (unsigned p = 0; p < COX_XDS_PARTS && t->is_watched && !waits; p++) {
			any |= t->sent[p] != NULL;
			cox_set_unref(t->sent[p]);
			t->sent[p] = NULL;
		}
	}
	return any;
}

void cox_xds_core_state(const struct cox_xds_core *c, enum cox_type type, struct cox_xds_type_state *out)
{
	const struct type_state *t = &c->types[type];
	*out = (struct cox_xds_type_state){
		.is_watched = t->is_watched,
		.is_wildcard = t->is_wildcard,
		.sent_nonce = t->last_nonce,
		.acked_nonce = t->acked_nonce,
		.name_n = t->names ? t->names->n : 0,
		.nacks = t->nacks,
		.last_error = cox_str_of(t->last_error),
		.last_ack_ms = t->last_ack_ms,
		.sent_ms = t->last_nonce ? t->sent_ms : 0,
	};
	for (unsigned p = 0; p < COX_XDS_PARTS; p++)
		if (t->sent[p]) {
			out->sent_n += t->sent[p]->n;
			out->sent_version = cox_hash_combine(out->sent_version, t->sent[p]->hash);
		}
	out->is_synced = t->is_watched && !t->is_asked && t->last_nonce && !core_is_outstanding(t) && !t->suspects.n &&
	                 core_is_clean((struct cox_xds_core *)c, type);
}

bool cox_xds_core_is_sent(struct cox_xds_core *c, enum cox_type type, uint64_t *nonce)
{
	const struct type_state *t = &c->types[type];
	*nonce = t->is_watched ? t->last_nonce : 0;
	return !t->is_watched || (!t->is_asked && !t->suspects.n && core_is_clean(c, type));
}

uint64_t cox_xds_core_acked(const struct cox_xds_core *c, enum cox_type type) { return c->types[type].acked_nonce; }
