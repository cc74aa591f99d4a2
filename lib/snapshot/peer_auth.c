/* Which TLS a workload takes, and what clients may assume of a namespace (protocol facts, section 8). */
#include "snapshot/snapshot_priv.h"

#include <stdlib.h>

static const struct cox_peer_authentication *spec_of(const struct cox_object *o)
{
	return COX_SPEC(cox_peer_authentication_object, o)->spec;
}

static int by_place(const void *a, const void *b)
{
	const struct cox_object *x = *(const struct cox_object *const *)a, *y = *(const struct cox_object *const *)b;
	int c = cox_str_cmp(x->meta.ns, y->meta.ns);
	return c != 0 ? c : cox_object_cmp_age(x, y);
}

const struct snap_peer_auths *snap_peer_auths_build(const struct cox_registry *r, const struct snap_peer_auths *before)
{
	const struct snap_objects *from = snap_objects_build(r, COX_KIND_PEER_AUTHENTICATION, before ? before->from : NULL);
	if (before && before->from == from) {
		snap_objects_unref(from);
		cox_ref_get(&((struct snap_peer_auths *)before)->ref);
		return before;
	}
	struct snap_peer_auths *s = cox_zalloc(sizeof(*s) + from->n * (sizeof(*s->by_place) + sizeof(*s->hashes)));
	cox_ref_init(&s->ref);
	s->from = from;
	s->n = from->n;
	s->hashes = (struct cox_hash *)(s + 1);
	s->by_place = (const struct cox_object **)(s->hashes + s->n);
	for (size_t i = 0; i < s->n; i++)
		s->by_place[i] = from->by_id[i];
	if (s->n > 1)
		qsort(s->by_place, s->n, sizeof(*s->by_place), by_place);
	/* Each hash is that of its policy and of those behind it in the namespace, so that the first one's is the namespace's. */
	for (size_t i = s->n; i-- > 0;) {
		const struct cox_object *o = s->by_place[i];
		bool is_last = i + 1 == s->n || !cox_str_eq(s->by_place[i + 1]->meta.ns, o->meta.ns);
		s->hashes[i] = is_last ? o->hash : cox_hash_combine(o->hash, s->hashes[i + 1]);
	}
	return s;
}

void snap_peer_auths_unref(const struct snap_peer_auths *s)
{
	struct snap_peer_auths *mine = (struct snap_peer_auths *)s;
	if (!mine || !cox_ref_put(&mine->ref))
		return;
	snap_objects_unref(mine->from);
	cox_free(mine);
}

/* The first policy of a namespace; s->n: none. */
static size_t first_of(const struct snap_peer_auths *s, struct cox_str ns)
{
	size_t lo = 0, hi = s->n;
	while (lo < hi) {
		size_t mid = (lo + hi) / 2;
		if (cox_str_cmp(s->by_place[mid]->meta.ns, ns) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < s->n && cox_str_eq(s->by_place[lo]->meta.ns, ns) ? lo : s->n;
}

static bool has_selector(const struct cox_peer_authentication *spec)
{
	return spec && spec->selector && spec->selector->match_labels.n > 0;
}
static enum cox_mtls_mode mode_of(const struct cox_peer_authentication *spec)
{
	return spec && spec->mtls ? (enum cox_mtls_mode)spec->mtls->mode : COX_MTLS_UNSET;
}

/* The oldest policy of a namespace: without labels the one for all of it, else the one whose selector they satisfy. */
static const struct cox_object *policy_of(const struct snap_peer_auths *s, struct cox_str ns, const struct cox_kv *labels, size_t label_n)
{
	for (size_t i = first_of(s, ns); i < s->n && cox_str_eq(s->by_place[i]->meta.ns, ns); i++) {
		const struct cox_peer_authentication *spec = spec_of(s->by_place[i]);
		if (has_selector(spec) != (labels != NULL))
			continue;
		if (!labels || cox_kv_is_subset(spec->selector->match_labels.p, spec->selector->match_labels.n, labels, label_n))
			return s->by_place[i];
	}
	return NULL;
}

static enum cox_mtls_mode mode_of_all(const struct snap_peer_auths *s, struct cox_str ns)
{
	const struct cox_object *o = policy_of(s, ns, NULL, 0);
	return o ? mode_of(spec_of(o)) : COX_MTLS_UNSET;
}

enum cox_mtls_mode cox_snapshot_mtls_client(const struct cox_snapshot *s, struct cox_str ns)
{
	const struct snap_peer_auths *set = s->index->peer_auths;
	if (set->n == 0)
		return COX_MTLS_PERMISSIVE;
	enum cox_mtls_mode mode = mode_of_all(set, ns);
	if (mode == COX_MTLS_UNSET)
		mode = mode_of_all(set, s->root_ns);
	return mode == COX_MTLS_UNSET ? COX_MTLS_PERMISSIVE : mode;
}

const struct cox_object *cox_snapshot_mtls_workload_policy(const struct cox_snapshot *s, struct cox_str ns, const struct cox_kv *labels,
                                                           size_t label_n)
{
	/* In the root namespace a selector would look like one for the whole mesh, so none counts there. */
	if (label_n == 0 || cox_str_eq(ns, s->root_ns))
		return NULL;
	return policy_of(s->index->peer_auths, ns, labels, label_n);
}

enum cox_mtls_mode cox_snapshot_mtls_server(const struct cox_snapshot *s, struct cox_str ns, const struct cox_kv *labels, size_t label_n,
                                            uint16_t port)
{
	enum cox_mtls_mode mode = cox_snapshot_mtls_client(s, ns);
	if (s->index->peer_auths->n == 0)
		return mode;
	const struct cox_object *own = cox_snapshot_mtls_workload_policy(s, ns, labels, label_n);
	if (!own)
		return mode;
	const struct cox_peer_authentication *spec = spec_of(own);
	if (mode_of(spec) != COX_MTLS_UNSET)
		mode = mode_of(spec);
	for (COX_EACH(struct cox_port_mtls, p, spec->port_level_mtls))
		if (port != 0 && cox_port_mtls_port(p) == port && p->mode != COX_MTLS_UNSET)
			mode = (enum cox_mtls_mode)p->mode;
	return mode;
}

struct cox_hash cox_snapshot_mtls_hash(const struct cox_snapshot *s, struct cox_str ns)
{
	const struct snap_peer_auths *set = s->index->peer_auths;
	if (set->n == 0)
		return (struct cox_hash){ 0, 0 };
	size_t mesh = first_of(set, s->root_ns), own = first_of(set, ns);
	struct cox_hash h = mesh < set->n ? set->hashes[mesh] : (struct cox_hash){ 0, 1 };
	return own < set->n && own != mesh ? cox_hash_combine(h, set->hashes[own]) : h;
}
