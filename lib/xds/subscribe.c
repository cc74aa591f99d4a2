/* subscribe - requests: subscriptions, reconnects, and which of them are acknowledgements. */
#include "xds/core_priv.h"

static void ask(struct type_state *t, struct cox_str name) { cox_vec_push(&t->asked, cox_arena_str(&t->texts, name)); }

static void forget_unsubscribed(struct cox_xds_core *c, struct type_state *t)
{
	for (unsigned p = 0; p < COX_XDS_PARTS; p++)
		if (t->sent[p]) {
			const struct cox_set *left = cox_steps_filter(c->opts.steps, t->sent[p], t->names);
			cox_set_unref(t->sent[p]);
			t->sent[p] = left;
		}
}

static enum cox_rc change_names(struct cox_xds_core *c, struct type_state *t, const uint64_t *add, size_t add_n, const uint64_t *del,
                                size_t del_n, struct cox_err *err)
{
	if ((t->names ? t->names->n : 0) + add_n > COX_XDS_NAMES_MAX)
		return cox_err_set(err, COX_ELIMIT, NULL, "more than %d resources of one type subscribed", COX_XDS_NAMES_MAX);
	const struct cox_names *changed = cox_names_change(c->opts.steps, t->names, add, add_n, del, del_n);
	cox_names_unref(t->names);
	t->names = changed;
	if (del_n)
		forget_unsubscribed(c, t);
	return COX_OK;
}

static bool is_early_cluster(const struct cox_names *early, uint64_t hash) { return early && cox_names_has(early, hash); }

static void keep_known(struct cox_xds_core *c, struct type_state *t, const struct cox_xds_request *r)
{
	const struct cox_names *early =
	    r->type == COX_TYPE_EDS ? cox_names_change(c->opts.steps, NULL, c->early_clusters.p, c->early_clusters.n, NULL, 0) : NULL;
	core_known_clear(t);
	cox_vec_reserve(&t->known, r->initial_n);
	for (size_t i = 0; i < r->initial_n; i++) {
		struct known_resource *k = cox_vec_add(&t->known);
		k->hash = cox_name_hash(r->initial[i].name);
		/* An empty or foreign version is unknown: the resource is sent, or removed where it no longer exists. */
		k->has_version = cox_hash_from_hex(r->initial[i].version, &k->version) == COX_OK && !is_early_cluster(early, k->hash);
		k->name = cox_arena_str(&t->texts, r->initial[i].name);
		/* What has no version is held in none that we know: the sum is of nothing that we made. */
		cox_sum_add(&t->known_sum, k->hash, k->has_version ? k->version : (struct cox_hash){ 0, 0 });
	}
	cox_names_unref(early);
}

static bool is_star(struct cox_str s) { return cox_str_eq(s, COX_STR("*")); }

static enum cox_rc subscribe_delta(struct cox_xds_core *c, const struct cox_xds_request *r, bool is_first, struct cox_err *err)
{
	struct type_state *t = &c->types[r->type];
	COX_VEC(uint64_t) add = { 0 }, del = { 0 };
	bool names_all = is_first && r->subscribe_n == 0 && !core_type_is_named(r->type);
	cox_vec_reserve(&add, r->subscribe_n);
	cox_vec_reserve(&t->asked, r->subscribe_n);
	for (size_t i = 0; i < r->subscribe_n; i++) {
		if (is_star(r->subscribe[i]) || !core_type_is_named(r->type)) {
			names_all = true;
			continue;
		}
		cox_vec_push(&add, cox_name_hash(r->subscribe[i]));
		ask(t, r->subscribe[i]);
	}
	for (size_t i = 0; i < r->unsubscribe_n; i++) {
		if (is_star(r->unsubscribe[i]))
			t->is_wildcard = false;
		else
			cox_vec_push(&del, cox_name_hash(r->unsubscribe[i]));
	}
	t->is_wildcard |= names_all && !core_type_is_named(r->type);
	enum cox_rc rc = COX_OK;
	if (add.n || del.n)
		rc = change_names(c, t, add.p, add.n, del.p, del.n, err);
	t->is_asked |= is_first || names_all || add.n > 0;
	cox_vec_fini(&add);
	cox_vec_fini(&del);
	return rc;
}

static enum cox_rc subscribe_sotw(struct cox_xds_core *c, const struct cox_xds_request *r, bool is_first, struct cox_err *err)
{
	struct type_state *t = &c->types[r->type];
	if (!core_type_is_named(r->type)) {
		t->is_wildcard = true;
		t->is_asked |= is_first;
		return COX_OK;
	}
	COX_VEC(uint64_t) names = { 0 };
	size_t news = 0;
	for (size_t i = 0; i < r->subscribe_n; i++) {
		uint64_t hash = cox_name_hash(r->subscribe[i]);
		cox_vec_push(&names, hash);
		if (is_first || !cox_names_has(t->names, hash)) {
			ask(t, r->subscribe[i]);
			news++;
		}
	}
	/* The request lists everything: what it does not list is unsubscribed. */
	cox_names_unref(t->names);
	t->names = NULL;
	enum cox_rc rc = change_names(c, t, names.p, names.n, NULL, 0, err);
	forget_unsubscribed(c, t);
	if (!names.n)
		t->is_watched = false;
	t->is_asked |= news > 0;
	cox_vec_fini(&names);
	return rc;
}

/* Our nonces count up from 1 in decimal. */
static bool parse_nonce(struct cox_str s, uint64_t *out) { return cox_str_to_u64(s, out) == COX_OK; }

enum cox_rc cox_xds_core_request(struct cox_xds_core *c, const struct cox_xds_request *r, int64_t now_ms, struct cox_err *err)
{
	struct type_state *t = &c->types[r->type];
	uint64_t nonce = 0;
	bool has_nonce = r->nonce.n > 0, is_first = !t->is_watched;
	if (!c->opts.is_delta && !is_first && !r->has_error && has_nonce && parse_nonce(r->nonce, &nonce) && nonce == t->last_nonce &&
	    nonce == t->acked_nonce) {
		has_nonce = false; /* a change of names carries the nonce that was acknowledged already */
	} else if (has_nonce && (!parse_nonce(r->nonce, &nonce) || nonce > t->last_nonce || nonce <= t->acked_nonce)) {
		/* Of an older response or of another server. In delta the subscriptions of such a request still count. */
		c->stale_nonces++;
		has_nonce = false;
		if (!c->opts.is_delta && !is_first)
			return COX_OK;
	}
	if (r->type == COX_TYPE_CDS)
		c->cds_was_asked = true;
	if (has_nonce && r->has_error)
		core_nack(c, r->type, nonce, r->error, now_ms);
	else if (has_nonce)
		core_ack(c, r->type, nonce, now_ms);
	if (r->has_error && !c->opts.is_delta && !r->subscribe_n)
		return COX_OK; /* Envoy names all again with a rejection, too; none are no unsubscription */
	t->is_watched = true;
	if (is_first) {
		t->answers_known = true;
		/* A stream lost while clusters warmed comes back with EDS first: what it names may still be warming (facts, section 20). */
		bool trusts = c->cds_was_asked || (r->type != COX_TYPE_EDS && r->type != COX_TYPE_SDS);
		if (c->opts.is_delta && trusts)
			keep_known(c, t, r);
		if (r->type == COX_TYPE_EDS)
			cox_vec_fini(&c->early_clusters);
	}
	return c->opts.is_delta ? subscribe_delta(c, r, is_first, err) : subscribe_sotw(c, r, is_first, err);
}
