/* next - what to send now: the first type that may send, and its response. */
#include "xds/next_priv.h"

static void set_sent(struct type_state *t, unsigned p, const struct cox_set *take)
{
	cox_set_unref(t->sent[p]);
	t->sent[p] = take;
}

static void note_clusters(struct cox_xds_core *c, const struct cox_resource *const *items, size_t n, uint64_t nonce)
{
	struct type_state *eds = &c->types[COX_TYPE_EDS];
	for (size_t i = 0; i < n; i++) {
		uint64_t hash = cox_name_hash(items[i]->name);
		if (nonce != c->cds_first_nonce)
			cox_vec_push(&c->unacked_clusters, ((struct pending_cluster){ hash, nonce }));
		if (!eds->is_watched && c->opts.is_delta && c->early_clusters.n < COX_XDS_NAMES_MAX)
			cox_vec_push(&c->early_clusters, hash);
		else if (eds->is_watched && cox_names_has(eds->names, hash))
			cox_vec_push(&eds->force, cox_resource_ref(items[i]));
	}
}

static void note_routes(struct cox_xds_core *c, const struct cox_resource *const *items, size_t n)
{
	for (size_t i = 0; i < n; i++)
		cox_vec_push(&c->resent_routes, cox_name_hash(items[i]->name));
}

/* What the response means for other types. */
static void note_effects(struct cox_xds_core *c, const struct draft *d)
{
	const struct sent_response *r = &d->record;
	if (d->type == COX_TYPE_CDS && !c->cds_first_nonce)
		c->cds_first_nonce = r->nonce;
	if (d->type == COX_TYPE_CDS)
		note_clusters(c, d->back.p, d->back.n, r->nonce);
	for (unsigned p = 0; p <= COX_XDS_PARTS; p++) {
		const struct cox_resource *const *items = p < COX_XDS_PARTS ? (r->steps[p] ? r->steps[p]->changed : NULL) : r->extra.p;
		size_t n = p < COX_XDS_PARTS ? (r->steps[p] ? r->steps[p]->changed_n : 0) : r->extra.n;
		if (d->type == COX_TYPE_CDS)
			note_clusters(c, items, n, r->nonce);
		else if (d->type == COX_TYPE_RDS && c->opts.has_vhds)
			note_routes(c, items, n);
	}
}

static void finish_draft(struct draft *d)
{
	cox_vec_fini(&d->back);
	for (unsigned p = 0; p < COX_XDS_PARTS; p++) {
		cox_set_unref(d->target[p]);
		cox_step_unref(d->steps[p]);
	}
}

/* A name that leaves part `p` comes with the other one. */
static bool changes_hands(const struct draft *d, unsigned p)
{
	const struct cox_set *other = d->target[1 - p];
	for (size_t i = 0; other && i < d->steps[p]->removed_n; i++)
		if (cox_set_find(other, d->steps[p]->removed[i]))
			return true;
	return false;
}

static bool is_fast(const struct cox_xds_core *c, const struct draft *d)
{
	const struct type_state *t = d->t;
	return c->opts.is_delta && !t->withheld.n && !t->suspects.n && !t->known.n && !changes_hands(d, 0) && !changes_hands(d, 1);
}

static bool is_step_removed(const struct draft *d, struct cox_str name)
{
	for (unsigned p = 0; p < COX_XDS_PARTS; p++)
		if (d->steps[p]->from && cox_set_find(d->steps[p]->from, name))
			return true;
	return false;
}

/* What an answer to this response will mean: see core_ack() and core_nack(). */
static void keep_record(struct cox_xds_core *c, struct draft *d)
{
	for (size_t i = 0; i < c->out_removed.n; i++)
		cox_vec_push(&d->record.removed, cox_str_dup_cstr(c->out_removed.p[i]));
	for (unsigned p = 0; p < COX_XDS_PARTS && !c->opts.is_delta; p++)
		d->record.sent[p] = d->t->sent[p] ? cox_set_ref(d->t->sent[p]) : NULL;
	cox_vec_push(&d->t->on_way, d->record);
}

static void emit(struct cox_xds_core *c, struct draft *d, int64_t now_ms, struct cox_xds_response *out)
{
	struct type_state *t = d->t;
	bool fast = is_fast(c, d), was_asked = t->is_asked;
	d->record.nonce = ++t->last_nonce;
	bool held = draft_is_held(c, d);
	if (!held)
		draft_sort_known(d);
	draft_answer_asked(c, d);
	draft_answer_forced(c, d);
	if (d->type == COX_TYPE_VHDS)
		draft_answer_resent_routes(c, d);
	if (!held)
		draft_remove_known(c, d);
	draft_remove_perhaps(c, d);
	*out = (struct cox_xds_response){ .type = d->type, .nonce = d->record.nonce, .is_asked = was_asked };
	for (unsigned p = 0; p < COX_XDS_PARTS; p++) {
		if (fast) {
			c->out_steps[p] = out->steps[p] =
			    d->steps[p]->changed_n || d->steps[p]->removed_n ? cox_step_ref(d->steps[p]) : NULL;
			d->record.steps[p] = out->steps[p] ? cox_step_ref(d->steps[p]) : NULL;
			set_sent(t, p, d->target[p] ? cox_set_ref(d->target[p]) : NULL);
		} else {
			set_sent(t, p, held ? draft_emit_nothing(c, d, p) : draft_emit_slowly(c, d, p));
		}
		if (t->sent[p])
			out->version = cox_hash_combine(out->version, t->sent[p]->hash);
	}
	core_known_clear(t);
	if (d->removes) {
		for (size_t i = 0; i < c->late_removed.n; i++) {
			unsigned part;
			struct cox_str name = cox_str_of(c->late_removed.p[i]);
			/* It may have come back since, and gone again. */
			if (!draft_find(d, name, &part) && !is_step_removed(d, name) && !core_is_listed(&c->out_removed, name))
				cox_vec_push(&c->out_removed, cox_str_of(c->late_removed.p[i]));
			cox_vec_push(&c->out_texts, c->late_removed.p[i]);
		}
		cox_vec_clear(&c->late_removed);
		c->remove_at_ms = c->remove_first_ms = c->remove_named_ms = INT64_MAX;
	}
	if (t->suspects.n && !t->probe_nonce)
		t->probe_nonce = d->record.nonce;
	note_effects(c, d);
	t->is_asked = false;
	t->answers_known = false;
	t->sent_ms = now_ms;
	keep_record(c, d);
	out->resources = c->out_resources.p;
	out->resource_n = c->out_resources.n;
	out->removed = c->out_removed.p;
	out->removed_n = c->out_removed.n;
	out->missing = c->out_missing.p;
	out->missing_n = c->out_missing.n;
}

/* Nothing to send: remember the identity, so that the next look is two comparisons. */
static void settle(struct draft *d)
{
	if (d->t->withheld.n || d->t->suspects.n)
		return;
	for (unsigned p = 0; p < COX_XDS_PARTS; p++)
		if (d->steps[p] && !d->steps[p]->changed_n && !d->steps[p]->removed_n)
			set_sent(d->t, p, d->target[p] ? cox_set_ref(d->target[p]) : NULL);
}

static bool must_wait(struct cox_xds_core *c, enum cox_type type, int64_t now_ms, int64_t *wake_ms)
{
	struct type_state *t = &c->types[type];
	/* A virtual host sent before its route configuration is acknowledged is dropped by Envoy. */
	if (type == COX_TYPE_VHDS && (!c->types[COX_TYPE_RDS].is_watched || !core_is_settled(c, COX_TYPE_RDS)))
		return true;
	if (now_ms < t->nack_hold_ms) {
		if (t->nack_hold_ms < *wake_ms)
			*wake_ms = t->nack_hold_ms;
		return true;
	}
	if (t->is_asked || !core_is_outstanding(t))
		return false;
	/* An agent acknowledges a bundle of phase SIGN only with a certificate by the new issuer: a revocation does not wait for that. */
	if (type == COX_TYPE_TRUST)
		return false;
	if (type != COX_TYPE_CDS)
		return true;
	if (now_ms - t->sent_ms >= COX_XDS_CDS_PATIENCE_MS)
		return false; /* Envoy withholds the acknowledgement while any cluster warms */
	if (t->sent_ms + COX_XDS_CDS_PATIENCE_MS < *wake_ms)
		*wake_ms = t->sent_ms + COX_XDS_CDS_PATIENCE_MS;
	return true;
}

static bool is_unchanged(const struct cox_xds_core *c, const struct type_state *t, enum cox_type type)
{
	if (t->is_asked || t->force.n || t->perhaps.n || (type == COX_TYPE_CDS && c->late_removed.n) ||
	    (type == COX_TYPE_VHDS && c->resent_routes.n))
		return false;
	if (core_type_is_named(type) && t->names == NULL)
		return true;
	return t->sent[0] == t->wanted[0] && t->sent[1] == t->wanted[1];
}

static bool is_to_be_sent(const void *arg, const struct cox_resource *r)
{
	const struct draft *d = arg;
	for (unsigned p = 0; p < COX_XDS_PARTS; p++) {
		const struct cox_resource *now = d->target[p] ? cox_set_find(d->target[p], r->name) : NULL;
		if (now && cox_hash_eq(now->hash, r->hash) && draft_sends(d, p, now))
			return true;
	}
	return false;
}

static bool try_type(struct cox_xds_core *c, enum cox_type type, int64_t now_ms, struct cox_xds_response *out, int64_t *wake_ms)
{
	struct type_state *t = &c->types[type];
	if (!t->is_watched || is_unchanged(c, t, type) || (type == COX_TYPE_VHDS && !c->opts.has_vhds) ||
	    must_wait(c, type, now_ms, wake_ms))
		return false;
	if ((type == COX_TYPE_SDS || type == COX_TYPE_ECDS || type == COX_TYPE_NDS) && !t->wanted[0] && !t->wanted[1])
		return false; /* nobody serves these here; the name table is made once it is asked for */
	struct draft d = { .type = type, .t = t };
	size_t changes = core_sort_perhaps(c, type);
	d.removes = type == COX_TYPE_CDS && core_may_remove_now(c, now_ms, wake_ms);
	for (unsigned p = 0; p < COX_XDS_PARTS; p++) {
		d.target[p] = core_target(c, type, p, type != COX_TYPE_CDS || d.removes);
		d.steps[p] = cox_step_between(c->opts.steps, t->sent[p], d.target[p]);
	}
	if (t->suspects.n && !t->probe_nonce)
		core_suspects_keep(t, is_to_be_sent, &d);
	for (unsigned p = 0; p < COX_XDS_PARTS; p++) {
		changes += core_sendable_changes(t, d.steps[p]) + d.steps[p]->removed_n;
	}
	bool resends = type == COX_TYPE_VHDS && c->resent_routes.n;
	bool sends = t->is_asked || t->force.n || changes || resends || (d.removes && c->late_removed.n);
	if (!sends)
		settle(&d);
	else if (core_gate_is_closed(c, type, d.steps, now_ms, wake_ms))
		sends = false;
	else
		emit(c, &d, now_ms, out);
	finish_draft(&d);
	return sends;
}

static void clear_last(struct cox_xds_core *c)
{
	for (unsigned p = 0; p < COX_XDS_PARTS; p++) {
		cox_step_unref(c->out_steps[p]);
		c->out_steps[p] = NULL;
	}
	for (size_t i = 0; i < c->out_texts.n; i++)
		cox_free(c->out_texts.p[i]);
	cox_vec_clear(&c->out_texts);
	cox_vec_clear(&c->out_resources);
	cox_vec_clear(&c->out_removed);
	cox_vec_clear(&c->out_missing);
}

bool cox_xds_core_next(struct cox_xds_core *c, int64_t now_ms, struct cox_xds_response *out, int64_t *wake_ms)
{
	*wake_ms = INT64_MAX;
	clear_last(c);
	if (!cox_xds_core_is_ready(c))
		return false;
	for (size_t type = 0; type < COX_TYPE_COUNT; type++)
		if (try_type(c, (enum cox_type)type, now_ms, out, wake_ms))
			return true;
	return false;
}
