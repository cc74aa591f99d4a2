/* Which DestinationRule, Gateway and gateway-bound VirtualService applies (protocol facts, section 7). */
#include "snapshot/snapshot_priv.h"

/* --- DestinationRules ------------------------------------------------------------------------------- */

static size_t dr_bound(const struct snap_dr_set *set, struct cox_str ns, struct cox_str host)
{
	size_t lo = 0, hi = set->n;
	while (lo < hi) {
		size_t mid = (lo + hi) / 2;
		int c = cox_str_cmp(set->rules[mid]->ns, ns);
		c = c != 0 ? c : cox_str_cmp(set->rules[mid]->spec->host, host);
		if (c < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

struct dr_query {
	const struct snap_dr_set *set;
	struct cox_str viewer; /* the proxy's namespace */
	const struct cox_kv *labels;
	size_t label_n;
	bool is_private_only;
};

static bool dr_applies(const struct dr_query *q, const struct cox_dr *d)
{
	const struct cox_match_labels *sel = d->spec->workload_selector;
	if (sel && sel->match_labels.n > 0)
		return cox_str_eq(d->ns, q->viewer) && cox_kv_is_subset(sel->match_labels.p, sel->match_labels.n, q->labels, q->label_n);
	if (q->is_private_only)
		return !d->export_to.is_public && d->export_to.namespaces.n == 1 && cox_str_eq(d->export_to.namespaces.p[0], d->ns);
	/* What a namespace writes for itself counts there even if it is exported elsewhere only. */
	return cox_str_eq(d->ns, q->viewer) || cox_export_is_visible(&d->export_to, q->viewer);
}

/* Rules with a selector stand first, so the first that applies is the right one. */
static const struct cox_dr *dr_of_host(const struct dr_query *q, struct cox_str ns, struct cox_str host)
{
	for (size_t i = dr_bound(q->set, ns, host); i < q->set->n; i++) {
		const struct cox_dr *d = q->set->rules[i];
		if (!cox_str_eq(d->ns, ns) || !cox_str_eq(d->spec->host, host))
			return NULL;
		if (dr_applies(q, d))
			return d;
	}
	return NULL;
}

/* Exact host, then the most specific wildcard. Wildcards stand at the front of their namespace. */
static const struct cox_dr *dr_in(const struct dr_query *q, struct cox_str ns, struct cox_str host)
{
	const struct cox_dr *found = dr_of_host(q, ns, host), *best = NULL;
	for (size_t i = found ? q->set->n : dr_bound(q->set, ns, COX_STR("*")); i < q->set->n; i++) {
		const struct cox_dr *d = q->set->rules[i];
		if (!cox_str_eq(d->ns, ns) || !cox_host_is_wildcard(d->spec->host))
			break;
		if (cox_host_covers(d->spec->host, host) && dr_applies(q, d) && (!best || d->spec->host.n > best->spec->host.n))
			best = d;
	}
	return found ? found : best;
}

const struct cox_dr *cox_scope_dr_find(const struct cox_snapshot *s, struct cox_str ns, const struct cox_kv *labels, size_t label_n,
                                       const struct cox_svc *svc)
{
	struct dr_query q = { .set = s->index->dr, .viewer = ns, .labels = labels, .label_n = label_n };
	if (q.set->n == 0)
		return NULL;
	q.is_private_only = cox_str_eq(ns, s->root_ns); /* the root namespace's other rules are for the whole mesh, and come last */
	const struct cox_dr *d = dr_in(&q, ns, svc->hostname);
	q.is_private_only = false;
	if (!d && (!cox_str_eq(svc->ns, ns) || cox_str_eq(ns, s->root_ns)))
		d = dr_in(&q, svc->ns, svc->hostname);
	return d ? d : dr_in(&q, s->root_ns, svc->hostname);
}

size_t cox_snapshot_drs_of(const struct cox_snapshot *s, struct cox_str ns, const struct cox_dr *const **out)
{
	const struct snap_dr_set *set = s->index->dr;
	size_t from = dr_bound(set, ns, (struct cox_str){ 0 }), to = from;
	while (to < set->n && cox_str_eq(set->rules[to]->ns, ns))
		to++;
	*out = set->rules + from;
	return to - from;
}

/* --- gateways ------------------------------------------------------------------------------------------- */

/* --- Gateways, and what else the Gateway API was made into (lib/convert) ------------------------------- */

static struct cox_str note_of(const struct cox_object *o, struct cox_str key)
{
	return cox_kv_get(o->meta.annotations.p, o->meta.annotations.n, key);
}

/* A Gateway of the Gateway API is for pods of one namespace. */
static bool snap_is_of_pods(const struct cox_object *gateway, struct cox_str ns)
{
	struct cox_str only = note_of(gateway, COX_STR("internal.istio.io/gateway-namespace"));
	return !only.n || cox_str_eq(only, ns);
}

static bool grants(const struct cox_object *o, struct cox_str secret)
{
	struct cox_str list = o->is_generated ? note_of(o, COX_STR("internal.istio.io/granted-secrets")) : (struct cox_str){ 0 }, name;
	while (list.n && cox_str_next(&list, ',', &name))
		if (cox_str_eq(name, secret))
			return true;
	return false;
}

bool cox_snapshot_secret_is_granted(const struct cox_snapshot *s, struct cox_str ns, struct cox_str secret, bool is_ca)
{
	if (cox_str_has_suffix(secret, COX_STR("-cacert")))
		secret.n -= sizeof("-cacert") - 1;
	for (size_t i = 0; i < s->gateways.n; i++)
		if (grants(s->gateways.p[i], secret) && snap_is_of_pods(s->gateways.p[i], ns))
			return true;
	for (size_t i = 0; is_ca && i < s->destination_rules.n; i++) {
		const struct snap_dr *d = (const struct snap_dr *)s->destination_rules.p[i];
		for (size_t k = 0; k < d->object_n; k++)
			if (grants(d->objects[k], secret))
				return true;
	}
	return false;
}

size_t cox_snapshot_gateways_for(const struct cox_snapshot *s, const struct cox_kv *labels, size_t label_n, struct cox_str ns,
                                 struct cox_arena *arena, const struct cox_object ***out)
{
	const struct cox_object **found = COX_ARENA_ARRAY(arena, const struct cox_object *, s->gateways.n + 1);
	size_t n = 0;
	for (size_t i = 0; i < s->gateways.n; i++) {
		const struct cox_gateway *spec = COX_SPEC(cox_gateway_object, s->gateways.p[i])->spec;
		/* As a rule a Gateway selects routers of every namespace. */
		bool is_there = snap_is_of_pods(s->gateways.p[i], ns) &&
		                (!s->features.gateways_are_scoped || cox_str_eq(s->gateways.p[i]->meta.ns, ns));
		if (spec && is_there && cox_kv_is_subset(spec->selector.p, spec->selector.n, labels, label_n))
			found[n++] = s->gateways.p[i];
	}
	*out = found;
	return n;
}

size_t cox_snapshot_gateway_vs(const struct cox_snapshot *s, struct cox_str gateway, struct cox_arena *arena, const struct cox_vs ***out)
{
	const struct snap_vs_set *set = s->index->vs;
	size_t lo = 0, hi = set->gateway_n, n = 0;
	while (lo < hi) {
		size_t mid = (lo + hi) / 2;
		if (cox_str_cmp(set->gateways[mid].gateway, gateway) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	for (hi = lo; hi < set->gateway_n && cox_str_eq(set->gateways[hi].gateway, gateway);)
		hi++;
	*out = COX_ARENA_ARRAY(arena, const struct cox_vs *, hi - lo + 1);
	ptrdiff_t slash = cox_str_find(gateway, '/');
	struct cox_str ns = cox_str_sub(gateway, 0, slash < 0 ? 0 : (size_t)slash);
	for (; lo < hi; lo++) {
		const struct cox_vs *v = set->by_age[set->gateways[lo].at];
		bool is_twice = n > 0 && (*out)[n - 1] == v; /* it may name one gateway twice */
		if (!is_twice && cox_export_is_visible(&v->export_to, ns))
			(*out)[n++] = v;
	}
	return n;
}
