/* ack - acknowledgements and rejections: what is known again, what becomes unknown, and who the offender is. */
#include "xds/core_priv.h"

#include <stdlib.h>

enum { LAST_ERROR_BYTES = 2048 }; /* kept for dumps: Envoy prints whole resources into it */

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
	/* A later one: state-of-the-world answers the last response alone, and that one listed them, too. */
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

/* What one of a class accepted is no fault of the resource: others' rejections stay their own (push, decision 9). */
static void mark_accepted(const struct cox_xds_core *c, const struct sent_response *r)
{
	for (unsigned p = 0; p < COX_XDS_PARTS; p++)
		for (size_t i = 0; r->steps[p] && i < r->steps[p]->changed_n; i++)
			cox_resource_mark_accepted(r->steps[p]->changed[i], c->opts.klass);
	for (size_t i = 0; i < r->extra.n; i++)
		cox_resource_mark_accepted(r->extra.p[i], c->opts.klass);
}

static void keep_acked(struct type_state *t, struct sent_response *r)
{
	for (unsigned p = 0; p < COX_XDS_PARTS; p++) {
		cox_set_unref(t->acked[p]);
		t->acked[p] = r->sent[p];
		r->sent[p] = NULL;
	}
}

/* Responses up to `nonce` are answered. */
static void drop_answered(struct type_state *t, uint64_t nonce)
{
	size_t done = 0;
	while (done < t->on_way.n && t->on_way.p[done].nonce <= nonce)
		core_response_fini(&t->on_way.p[done++]);
	if (done) {
		t->on_way.n -= done;
		memmove(t->on_way.p, t->on_way.p + done, t->on_way.n * sizeof(*t->on_way.p));
	}
	t->acked_nonce = nonce;
}

void core_ack(struct cox_xds_core *c, enum cox_type type, uint64_t nonce, int64_t now_ms)
{
	struct type_state *t = &c->types[type];
	for (size_t i = 0; i < t->on_way.n && t->on_way.p[i].nonce <= nonce; i++) {
		if (type == COX_TYPE_EDS)
			prove_clusters(c, &t->on_way.p[i]);
		if (t->on_way.p[i].nonce == nonce) {
			mark_accepted(c, &t->on_way.p[i]);
			keep_acked(t, &t->on_way.p[i]);
		}
	}
	drop_answered(t, nonce);
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

/* --- who it was ------------------------------------------------------------------------------ */

static bool is_one_of(char ch, const char *set) { return ch && strchr(set, ch); }

/* Whether the message speaks of `name`: quoted, or with a colon behind, as Envoy writes it; a long name also between spaces. A name
 * that merely occurs (a route "80" in an address) is not meant. */
static bool is_named_in(struct cox_str message, struct cox_str name)
{
	enum { LONG_NAME = 12 };
	for (size_t at = 0; name.n && at + name.n <= message.n; at++) {
		ptrdiff_t hit = cox_str_search(cox_str_sub(message, at, message.n), name);
		if (hit < 0)
			return false;
		at += (size_t)hit;
		char before = at ? message.p[at - 1] : ' ', after = at + name.n < message.n ? message.p[at + name.n] : ' ';
		if ((is_one_of(before, "\"'`") && is_one_of(after, "\"'`")) || (is_one_of(before, " ,(\n") && after == ':') ||
		    (name.n >= LONG_NAME && is_one_of(before, " ,(\n") && is_one_of(after, " ,).;\n")))
			return true;
	}
	return false;
}

/* Envoy writes of a virtual host without the route configuration that its resource's name begins with. */
static struct cox_str said_name(const struct cox_resource *r)
{
	ptrdiff_t slash = r->type == COX_TYPE_VHDS ? cox_str_find(r->name, '/') : -1;
	return cox_str_sub(r->name, (size_t)(slash + 1), r->name.n);
}

typedef COX_VEC(const struct cox_resource *) resources;

static void collect_named(resources *out, const resources *all, struct cox_str message)
{
	for (size_t i = 0; i < all->n; i++)
		if (is_named_in(message, all->p[i]->name) ||
		    (all->p[i]->type == COX_TYPE_VHDS && is_named_in(message, said_name(all->p[i]))))
			cox_vec_push(out, cox_resource_ref(all->p[i]));
}

/* State-of-the-world, where to hold a cluster back is to remove it: one that was not there before and whose endpoints are asked for now was
 * taken. */
static void acquit_clusters(const struct cox_xds_core *c, resources *all)
{
	const struct type_state *t = &c->types[COX_TYPE_CDS];
	const struct cox_names *asked = c->types[COX_TYPE_EDS].names;
	size_t n = 0;
	for (size_t i = 0; i < all->n; i++) {
		struct cox_str name = all->p[i]->name;
		bool was_there = (t->acked[0] && cox_set_find(t->acked[0], name)) || (t->acked[1] && cox_set_find(t->acked[1], name));
		if (!was_there && cox_names_has(asked, cox_name_hash(name)))
			cox_resource_unref(all->p[i]);
		else
			all->p[n++] = all->p[i];
	}
	all->n = n;
}

static void set_suspects(struct type_state *t, resources *take)
{
	core_resources_clear(&t->suspects);
	t->suspects.p = take->p;
	t->suspects.n = take->n;
	t->suspects.cap = take->cap;
	*take = (resources){ 0 };
	t->probe_n = t->suspects.n / 2;
	t->probe_nonce = 0;
}

/* At least one of `all` is to blame: the one that the message names, or one among those that it names, or any. Those that are not
 * tried meanwhile are held back; what was suspected before and is not of this response goes out again with the next one. */
static void find_offender(struct cox_xds_core *c, enum cox_type type, uint64_t nonce, resources *all, struct cox_str message)
{
	struct type_state *t = &c->types[type];
	resources named = { 0 };
	collect_named(&named, all, message);
	/* A response older than the one that tries the suspects says nothing of them, unless it names somebody. */
	bool is_older = t->suspects.n && (!t->probe_nonce || nonce < t->probe_nonce);
	resources *among = named.n ? &named : all;
	if (!named.n && type == COX_TYPE_CDS && !c->opts.is_delta)
		acquit_clusters(c, all);
	if (among->n == 1) {
		reject(c, type, among->p[0], message);
		core_resources_clear(&t->suspects);
		t->probe_n = 0;
		t->probe_nonce = 0;
	} else if (!is_older) {
		set_suspects(t, among);
	}
	core_resources_clear(&named);
}

/* --- rejections ------------------------------------------------------------------------------ */

/* A later response has the later content of a name. */
static void collect_one(resources *out, size_t old_n, const struct cox_resource *r)
{
	for (size_t i = 0; i < old_n; i++)
		if (cox_str_eq(out->p[i]->name, r->name)) {
			cox_resource_unref(out->p[i]);
			out->p[i] = cox_resource_ref(r);
			return;
		}
	cox_vec_push(out, cox_resource_ref(r));
}

static void collect(const struct sent_response *r, resources *out)
{
	size_t old_n = out->n;
	for (unsigned p = 0; p < COX_XDS_PARTS; p++)
		for (size_t i = 0; r->steps[p] && i < r->steps[p]->changed_n; i++)
			collect_one(out, old_n, r->steps[p]->changed[i]);
	for (size_t i = 0; i < r->extra.n; i++)
		collect_one(out, old_n, r->extra.p[i]);
}

static int cmp_text(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

/* Envoy took the good ones, and where it stopped at the first fault it did not remove what it should have. */
static void note_perhaps(struct type_state *t, const struct sent_response *r, const resources *all)
{
	for (size_t i = 0; i < all->n; i++)
		cox_vec_push(&t->perhaps, cox_str_dup_cstr(all->p[i]->name));
	for (unsigned p = 0; p < COX_XDS_PARTS; p++)
		for (size_t i = 0; r->steps[p] && i < r->steps[p]->removed_n; i++)
			cox_vec_push(&t->perhaps, cox_str_dup_cstr(r->steps[p]->removed[i]));
	for (size_t i = 0; i < r->removed.n; i++)
		cox_vec_push(&t->perhaps, cox_str_dup_cstr(cox_str_of(r->removed.p[i])));
	if (t->perhaps.n > 1)
		qsort(t->perhaps.p, t->perhaps.n, sizeof(*t->perhaps.p), cmp_text);
	size_t n = 0;
	for (size_t i = 0; i < t->perhaps.n; i++)
		if (n && strcmp(t->perhaps.p[n - 1], t->perhaps.p[i]) == 0)
			cox_free(t->perhaps.p[i]);
		else
			t->perhaps.p[n++] = t->perhaps.p[i];
	t->perhaps.n = n;
}

/* A proxy that rejects for ever must cost no more than one that is quiet. */
static void spend_nack(struct type_state *t, int64_t now_ms)
{
	int64_t gained = (now_ms - t->nack_refilled_ms) / COX_XDS_NACK_REFILL_MS;
	t->nack_refilled_ms += gained * COX_XDS_NACK_REFILL_MS;
	t->nack_spent = gained < t->nack_spent ? t->nack_spent - gained : 0;
	if (++t->nack_spent > COX_XDS_NACK_BURST)
		t->nack_hold_ms = now_ms + COX_XDS_NACK_REFILL_MS;
}

void core_nack(struct cox_xds_core *c, enum cox_type type, uint64_t nonce, struct cox_str message, int64_t now_ms)
{
	struct type_state *t = &c->types[type];
	resources all = { 0 };
	t->nacks++;
	cox_free(t->last_error);
	t->last_error = cox_str_dup_cstr(cox_str_sub(message, 0, LAST_ERROR_BYTES));
	spend_nack(t, now_ms);
	/* Older ones are unanswered in state-of-the-world alone, where the answer to the last speaks for all since. */
	for (size_t i = 0; i < t->on_way.n && t->on_way.p[i].nonce <= nonce; i++) {
		collect(&t->on_way.p[i], &all);
		if (!core_type_is_named(type))
			note_perhaps(t, &t->on_way.p[i], &all);
	}
	drop_answered(t, nonce);
	if (type == COX_TYPE_CDS)
		drop_acked_clusters(c, nonce);
	forget_all(t, all.p, all.n);
	if (all.n)
		find_offender(c, type, nonce, &all, message);
	core_resources_clear(&all);
}
