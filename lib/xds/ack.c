/* ack - acknowledgements and rejections: what is known again, what becomes unknown, and who the offender is. */
#include "xds/core_priv.h"

static void drop_acked_clusters(struct cox_xds_core *c, uint64_t cds_nonce)
{
	size_t n = 0;
	for (size_t i = 0; i < c->unacked_clusters.n; i++)
		if (c->unacked_clusters.p[i].nonce > cds_nonce)
			c->unacked_clusters.p[n++] = c->unacked_clusters.p[i];
	c->unacked_clusters.n = n;
}

static void drop_cluster(struct cox_xds_core *c, struct cox_str name)
{
	uint64_t hash = cox_name_hash(name);
	for (size_t i = 0; i < c->unacked_clusters.n; i++)
		if (c->unacked_clusters.p[i].hash == hash) {
			cox_vec_remove(&c->unacked_clusters, i);
			return;
		}
}

/* Endpoints that were taken prove that their cluster exists, even while others of its response warm. */
static void prove_clusters(struct cox_xds_core *c, const struct sent_response *r)
{
	if (!c->unacked_clusters.n)
		return;
	for (unsigned p = 0; p < COX_XDS_PARTS; p++)
		for (size_t i = 0; r->steps[p] && i < r->steps[p]->changed_n; i++)
			drop_cluster(c, r->steps[p]->changed[i]->name);
	for (size_t i = 0; i < r->extra.n; i++)
		drop_cluster(c, r->extra.p[i]->name);
}

/* The half that was tried is good: the offender is in the rest. */
static void advance_probe(struct cox_xds_core *c, enum cox_type type, uint64_t nonce)
{
	struct type_state *t = &c->types[type];
	if (!t->suspects.n || !t->probe_nonce || nonce < t->probe_nonce)
		return;
	t->probe_nonce = 0;
	for (size_t i = 0; i < t->probe_n; i++)
		cox_resource_unref(t->suspects.p[i]);
	t->suspects.n -= t->probe_n;
	memmove(t->suspects.p, t->suspects.p + t->probe_n, t->suspects.n * sizeof(*t->suspects.p));
	t->probe_n = (t->suspects.n + 1) / 2;
}

static void reject(struct cox_xds_core *c, enum cox_type type, const struct cox_resource *r, struct cox_str message)
{
	struct type_state *t = &c->types[type];
	cox_vec_push(&t->withheld, cox_resource_ref(r));
	if (c->opts.rejected)
		c->opts.rejected(c->opts.arg, &(struct cox_xds_rejection){ type, r, message });
}

void core_ack(struct cox_xds_core *c, enum cox_type type, uint64_t nonce, int64_t now_ms)
{
	struct type_state *t = &c->types[type];
	size_t done = 0;
	while (done < t->on_way.n && t->on_way.p[done].nonce <= nonce) {
		if (type == COX_TYPE_EDS)
			prove_clusters(c, &t->on_way.p[done]);
		core_response_fini(&t->on_way.p[done]);
		done++;
	}
	if (done) {
		t->on_way.n -= done;
		memmove(t->on_way.p, t->on_way.p + done, t->on_way.n * sizeof(*t->on_way.p));
	}
	t->acked_nonce = nonce;
	t->last_ack_ms = now_ms;
	if (type == COX_TYPE_CDS)
		drop_acked_clusters(c, nonce);
	advance_probe(c, type, nonce);
}

/* The set without one resource. */
static void forget(struct type_state *t, const struct cox_resource *r)
{
	for (unsigned p = 0; p < COX_XDS_PARTS; p++) {
		if (!t->sent[p] || !cox_set_find(t->sent[p], r->name))
			continue;
		const struct cox_set *left = cox_set_with(t->sent[p], r->name, NULL);
		cox_set_unref(t->sent[p]);
		t->sent[p] = left;
	}
}

static void forget_all(struct type_state *t, const struct cox_resource *const *items, size_t n)
{
	if (n <= 4) {
		for (size_t i = 0; i < n; i++)
			forget(t, items[i]);
		return;
	}
	COX_VEC(uint64_t) gone = { 0 };
	for (size_t i = 0; i < n; i++)
		cox_vec_push(&gone, cox_name_hash(items[i]->name));
	struct cox_steps *scratch = cox_steps_new();
	const struct cox_names *names = cox_names_change(scratch, NULL, gone.p, gone.n, NULL, 0);
	for (unsigned p = 0; p < COX_XDS_PARTS; p++) {
		if (!t->sent[p])
			continue;
		COX_VEC(const struct cox_resource *) left = { 0 };
		for (size_t i = 0; i < t->sent[p]->n; i++)
			if (!cox_names_has(names, cox_name_hash(t->sent[p]->items[i]->name)))
				cox_vec_push(&left, cox_resource_ref(t->sent[p]->items[i]));
		const struct cox_set *made = cox_set_build_take(t->sent[p]->type, left.p, left.n);
		cox_vec_fini(&left);
		cox_set_unref(t->sent[p]);
		t->sent[p] = made;
	}
	cox_names_unref(names);
	cox_steps_free(scratch);
	cox_vec_fini(&gone);
}

/* Suspects that the message names are offenders; true when there was one. */
static bool reject_named(struct cox_xds_core *c, enum cox_type type, const struct cox_resource *const *suspects, size_t n, struct cox_str message)
{
	const struct cox_resource *found = NULL;
	size_t hits = 0;
	for (size_t i = 0; i < n; i++)
		if (cox_str_search(message, suspects[i]->name) >= 0 && (!found || suspects[i]->name.n > found->name.n)) {
			found = suspects[i]; /* of names that contain each other the longest is meant */
			hits++;
		}
	if (hits)
		reject(c, type, found, message);
	return hits > 0;
}

static void set_suspects(struct type_state *t, const struct cox_resource *const *items, size_t n)
{
	COX_VEC(const struct cox_resource *) fresh = { 0 };
	for (size_t i = 0; i < n; i++)
		cox_vec_push(&fresh, cox_resource_ref(items[i]));
	core_resources_clear(&t->suspects);
	t->suspects.p = fresh.p;
	t->suspects.n = fresh.n;
	t->suspects.cap = fresh.cap;
	t->probe_n = (n + 1) / 2;
}

static void collect(const struct sent_response *r, void *out_vec)
{
	COX_VEC(const struct cox_resource *) *out = out_vec;
	for (unsigned p = 0; p < COX_XDS_PARTS; p++)
		for (size_t i = 0; r->steps[p] && i < r->steps[p]->changed_n; i++)
			cox_vec_push(out, cox_resource_ref(r->steps[p]->changed[i]));
	for (size_t i = 0; i < r->extra.n; i++)
		cox_vec_push(out, cox_resource_ref(r->extra.p[i]));
}

static void find_offender(struct cox_xds_core *c, enum cox_type type, const struct cox_resource *const *items, size_t n, struct cox_str message)
{
	struct type_state *t = &c->types[type];
	bool probing = t->suspects.n > 0;
	t->probe_nonce = 0;
	/* While halving, the suspects are those of this response that were being tried. */
	if (probing && t->probe_n && t->probe_n < t->suspects.n) {
		size_t tried = t->probe_n;
		for (size_t i = tried; i < t->suspects.n; i++)
			cox_resource_unref(t->suspects.p[i]); /* no suspects for now: sent again with the next difference */
		t->suspects.n = tried;
	}
	if (reject_named(c, type, items, n, message)) {
		core_resources_clear(&t->suspects);
		t->probe_n = 0;
		return;
	}
	if (!probing)
		set_suspects(t, items, n);
	if (t->suspects.n == 1) {
		reject(c, type, t->suspects.p[0], message);
		core_resources_clear(&t->suspects);
	}
	t->probe_n = t->suspects.n / 2;
}

void core_nack(struct cox_xds_core *c, enum cox_type type, uint64_t nonce, struct cox_str message)
{
	struct type_state *t = &c->types[type];
	COX_VEC(const struct cox_resource *) all = { 0 };
	size_t done = 0;
	t->nacks++;
	cox_free(t->last_error);
	t->last_error = cox_str_dup_cstr(message);
	while (done < t->on_way.n && t->on_way.p[done].nonce <= nonce) {
		if (t->on_way.p[done].nonce == nonce)
			collect(&t->on_way.p[done], &all);
		core_response_fini(&t->on_way.p[done]);
		done++;
	}
	if (done) {
		t->on_way.n -= done;
		memmove(t->on_way.p, t->on_way.p + done, t->on_way.n * sizeof(*t->on_way.p));
	}
	t->acked_nonce = nonce;
	if (type == COX_TYPE_CDS)
		drop_acked_clusters(c, nonce);
	forget_all(t, all.p, all.n);
	for (size_t i = 0; i < all.n && !core_type_is_named(type); i++)
		cox_vec_push(&t->perhaps, cox_str_dup_cstr(all.p[i]->name));
	/* Of an older response than the one that tries the suspects: says nothing of them. */
	bool is_older = t->suspects.n && (!t->probe_nonce || nonce < t->probe_nonce);
	if (all.n && !is_older)
		find_offender(c, type, all.p, all.n, message);
	core_resources_clear(&all);
}
