/* scope - what one namespace, with one Sidecar or none, sees (protocol facts, section 7). */
#include "snapshot/snapshot_priv.h"

struct building {
	const struct cox_snapshot *s;
	struct cox_str ns;
	struct cox_arena *arena;
};

static const struct cox_sidecar *spec_of(const struct cox_object *o) { return COX_SPEC(cox_sidecar_object, o)->spec; }

/* --- which Sidecar --------------------------------------------------------------------------------- */

const struct cox_object *cox_scope_sidecar_find(const struct cox_snapshot *s, struct cox_str ns, const struct cox_kv *labels, size_t label_n)
{
	const struct cox_object *plain = NULL, *root = NULL;
	for (size_t i = 0; i < s->sidecars.n; i++) {
		const struct cox_object *o = s->sidecars.p[i];
		const struct cox_sidecar *spec = spec_of(o);
		bool selects = spec && spec->workload_selector && spec->workload_selector->labels.n;
		if (!spec)
			continue;
		if (cox_str_eq(o->meta.ns, ns)) {
			if (selects && cox_kv_is_subset(spec->workload_selector->labels.p, spec->workload_selector->labels.n, labels, label_n))
				return o;
			if (!selects && !plain)
				plain = o;
		} else if (!selects && !root && cox_str_eq(o->meta.ns, s->root_ns)) {
			root = o;
		}
	}
	return plain ? plain : root;
}

/* --- services --------------------------------------------------------------------------------------- */

static bool has_port(const struct cox_svc *svc, uint16_t port)
{
	for (size_t i = 0; i < svc->ports.n; i++)
		if (svc->ports.p[i].port == port)
			return true;
	return false;
}

/* Of several services with one hostname a namespace sees one. */
static bool is_the_one(const struct building *b, const struct cox_snap_svc *svc)
{
	return cox_export_is_visible(&svc->svc->export_to, b->ns) && cox_snapshot_svc_find(b->s, svc->svc->hostname, b->ns) == svc;
}

struct host_rule { /* "ns/dns" of an egress listener */
	struct cox_str ns, dns;
	bool excludes;
};

static size_t parse_hosts(const struct building *b, const struct cox_sidecar_egress *e, struct host_rule **out)
{
	struct host_rule *rules = COX_ARENA_ARRAY(b->arena, struct host_rule, e->hosts.n);
	size_t n = 0;
	for (size_t i = 0; i < e->hosts.n; i++) {
		struct cox_str h = e->hosts.p[i];
		ptrdiff_t slash = cox_str_find(h, '/');
		struct host_rule r = { cox_str_sub(h, 0, slash < 0 ? 0 : (size_t)slash), cox_str_sub(h, (size_t)(slash + 1), h.n), false };
		if (slash < 0)
			r.ns = COX_STR("*");
		if (cox_str_eq(r.ns, COX_STR("~")))
			continue; /* nothing */
		if (cox_str_has_prefix(r.ns, COX_STR("~"))) {
			r.excludes = true;
			r.ns = cox_str_sub(r.ns, 1, r.ns.n);
		}
		if (cox_str_eq(r.ns, COX_STR(".")))
			r.ns = b->ns;
		rules[n++] = r;
	}
	*out = rules;
	return n;
}

static bool ns_fits(const struct host_rule *r, struct cox_str ns) { return cox_str_eq(r->ns, COX_STR("*")) || cox_str_eq(r->ns, ns); }

static bool selects_host(const struct host_rule *rules, size_t n, struct cox_str ns, struct cox_str host)
{
	bool in = false;
	for (size_t i = 0; i < n; i++)
		if (ns_fits(&rules[i], ns) && cox_host_covers(rules[i].dns, host)) {
			if (rules[i].excludes)
				return false;
			in = true;
		}
	return in;
}

/* Of services with one hostname in several namespaces that the listener names: the proxy's own namespace first. */
static bool is_best_selected(const struct building *b, const struct cox_snap_svc *svc, const struct host_rule *rules, size_t n)
{
	const struct svc_chain *c = cox_map_find(&b->s->index->svcs->by_host, svc->svc->hostname);
	const struct cox_snap_svc *best = NULL;
	for (size_t i = 0; c && i < c->items.n; i++) {
		const struct cox_snap_svc *one = &b->s->svcs.p[c->items.p[i]];
		if (!cox_export_is_visible(&one->svc->export_to, b->ns) || !selects_host(rules, n, one->svc->ns, one->svc->hostname))
			continue;
		if (cox_str_eq(one->svc->ns, b->ns))
			return one == svc;
		if (!best || (best->svc->origin != COX_SVC_KUBE && one->svc->origin == COX_SVC_KUBE))
			best = one;
	}
	return best == svc;
}

static void listener_svcs(const struct building *b, const struct host_rule *rules, size_t rule_n, bool all, uint16_t port, struct cox_scope_listener *l)
{
	struct cox_scope_svc *svcs = COX_ARENA_ARRAY(b->arena, struct cox_scope_svc, b->s->svcs.n);
	size_t n = 0;
	for (size_t i = 0; i < b->s->svcs.n; i++) {
		const struct cox_snap_svc *svc = &b->s->svcs.p[i];
		if (all ? !is_the_one(b, svc) : !is_best_selected(b, svc, rules, rule_n))
			continue;
		if (port && !has_port(svc->svc, port))
			continue;
		svcs[n++] = (struct cox_scope_svc){ svc, port };
	}
	l->svcs.p = svcs;
	l->svcs.n = n;
}

/* --- VirtualServices ------------------------------------------------------------------------------------ */

enum tier { TIER_PRIVATE, TIER_EXPORTED, TIER_PUBLIC, TIER_NONE };

static enum tier tier_of(const struct building *b, const struct cox_vs *v)
{
	if (!v->is_mesh || !cox_export_is_visible(&v->export_to, b->ns))
		return TIER_NONE;
	if (v->export_to.is_public)
		return TIER_PUBLIC;
	return cox_str_eq(v->object->meta.ns, b->ns) ? TIER_PRIVATE : TIER_EXPORTED;
}

static bool vs_is_selected(const struct cox_vs *v, const struct host_rule *rules, size_t n)
{
	bool in = false;
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < v->spec->hosts.n && ns_fits(&rules[i], v->object->meta.ns); k++)
			if (cox_host_overlaps(rules[i].dns, v->spec->hosts.p[k])) {
				if (rules[i].excludes && cox_host_covers(rules[i].dns, v->spec->hosts.p[k]))
					return false;
				in |= !rules[i].excludes;
			}
	return in;
}

static void listener_vs(const struct building *b, const struct host_rule *rules, size_t rule_n, bool all, struct cox_scope_listener *l)
{
	const struct cox_vs **list = COX_ARENA_ARRAY(b->arena, const struct cox_vs *, b->s->virtual_services.n);
	size_t n = 0;
	for (enum tier tier = TIER_PRIVATE; tier < TIER_NONE; tier++)
		for (size_t i = 0; i < b->s->virtual_services.n; i++) {
			const struct cox_vs *v = b->s->virtual_services.p[i];
			if (tier_of(b, v) == tier && (all || vs_is_selected(v, rules, rule_n)))
				list[n++] = v;
		}
	l->virtual_services.p = list;
	l->virtual_services.n = n;
}

/* --- the union -------------------------------------------------------------------------------------------- */

struct uniting {
	const struct building *b;
	COX_VEC(struct cox_scope_svc) items;
	struct cox_map by_host;            /* hostname -> index + 1 of its first entry */
};

static void unite(struct uniting *u, struct cox_scope_svc svc)
{
	size_t at = (size_t)(uintptr_t)cox_map_find(&u->by_host, svc.snap->svc->hostname);
	for (size_t i = at ? at - 1 : u->items.n; i < u->items.n; i++) {
		struct cox_scope_svc *had = &u->items.p[i];
		if (!cox_str_eq(had->snap->svc->hostname, svc.snap->svc->hostname))
			continue;
		/* The first listener decides which service a hostname means; ports add up. */
		if (!had->only_port || had->only_port == svc.only_port)
			return;
		if (!svc.only_port) {
			had->only_port = 0;
			return;
		}
	}
	if (!at)
		cox_map_set(&u->by_host, svc.snap->svc->hostname, (void *)(uintptr_t)(u->items.n + 1));
	cox_vec_push(&u->items, svc);
}

static void unite_destination(struct uniting *u, const struct cox_destination *d)
{
	if (!d)
		return;
	const struct cox_snap_svc *svc = cox_snapshot_svc_find(u->b->s, d->host, u->b->ns);
	uint16_t port = d->port && d->port->number.set ? (uint16_t)d->port->number.v : 0;
	if (!svc || cox_map_find(&u->by_host, svc->svc->hostname))
		return; /* explicit imports win */
	unite(u, (struct cox_scope_svc){ svc, port && has_port(svc->svc, port) ? port : 0 });
}

/* Services that imported rules lead to are needed though no egress host names them. */
static void unite_destinations(struct uniting *u, const struct cox_vs *v)
{
	for (size_t i = 0; i < v->spec->http.n; i++) {
		const struct cox_http_route *r = &v->spec->http.p[i];
		for (size_t k = 0; k < r->route.n; k++)
			unite_destination(u, r->route.p[k].destination);
		unite_destination(u, r->mirror);
		for (size_t k = 0; k < r->mirrors.n; k++)
			unite_destination(u, r->mirrors.p[k].destination);
	}
	for (size_t i = 0; i < v->spec->tls.n; i++)
		for (size_t k = 0; k < v->spec->tls.p[i].route.n; k++)
			unite_destination(u, v->spec->tls.p[i].route.p[k].destination);
	for (size_t i = 0; i < v->spec->tcp.n; i++)
		for (size_t k = 0; k < v->spec->tcp.p[i].route.n; k++)
			unite_destination(u, v->spec->tcp.p[i].route.p[k].destination);
}

static void scope_union(const struct building *b, struct cox_scope *scope)
{
	if (!scope->spec) {
		scope->svcs.p = scope->listeners.p[0].svcs.p;
		scope->svcs.n = scope->listeners.p[0].svcs.n;
		return;
	}
	struct uniting u = { .b = b };
	for (size_t i = 0; i < scope->listeners.n; i++)
		for (size_t k = 0; k < scope->listeners.p[i].svcs.n; k++)
			unite(&u, scope->listeners.p[i].svcs.p[k]);
	for (size_t i = 0; i < scope->listeners.n; i++)
		for (size_t k = 0; k < scope->listeners.p[i].virtual_services.n; k++)
			unite_destinations(&u, scope->listeners.p[i].virtual_services.p[k]);
	struct cox_scope_svc *svcs = COX_ARENA_ARRAY(b->arena, struct cox_scope_svc, u.items.n);
	if (u.items.n)
		memcpy(svcs, u.items.p, u.items.n * sizeof(*svcs));
	scope->svcs.p = svcs;
	scope->svcs.n = u.items.n;
	cox_vec_fini(&u.items);
	cox_map_fini(&u.by_host);
}

static void scope_hash(const struct building *b, struct cox_scope *scope)
{
	size_t room = 4 + scope->svcs.n * 2, n = 0;
	for (size_t i = 0; i < scope->listeners.n; i++)
		room += scope->listeners.p[i].svcs.n + scope->listeners.p[i].virtual_services.n + 1;
	struct cox_hash *parts = COX_ARENA_ARRAY(b->arena, struct cox_hash, room);
	parts[n++] = cox_hash128(b->ns.p, b->ns.n);
	parts[n++] = (struct cox_hash){ scope->is_registry_only, scope->listeners.n };
	if (scope->sidecar)
		parts[n++] = scope->sidecar->hash;
	for (size_t i = 0; i < scope->listeners.n; i++) {
		const struct cox_scope_listener *l = &scope->listeners.p[i];
		parts[n++] = (struct cox_hash){ l->svcs.n, l->virtual_services.n };
		for (size_t k = 0; k < l->svcs.n; k++)
			parts[n++] = l->svcs.p[k].snap->svc->hash;
		for (size_t k = 0; k < l->virtual_services.n; k++)
			parts[n++] = l->virtual_services.p[k]->hash;
	}
	for (size_t i = 0; i < scope->svcs.n && scope->spec; i++) {
		parts[n] = scope->svcs.p[i].snap->svc->hash;
		parts[n++].lo ^= scope->svcs.p[i].only_port;
	}
	scope->hash = cox_hash128(parts, n * sizeof(*parts));
}

/* Explicit ports before the catch-all: they lock their port. */
static size_t order_egress(const struct building *b, const struct cox_sidecar *spec, const struct cox_sidecar_egress ***out)
{
	const struct cox_sidecar_egress **list = COX_ARENA_ARRAY(b->arena, const struct cox_sidecar_egress *, spec->egress.n);
	size_t n = 0;
	for (int with_port = 1; with_port >= 0; with_port--)
		for (size_t i = 0; i < spec->egress.n; i++)
			if ((spec->egress.p[i].port != NULL) == (with_port == 1))
				list[n++] = &spec->egress.p[i];
	*out = list;
	return n;
}

static void build_listeners(const struct building *b, struct cox_scope *scope)
{
	const struct cox_sidecar_egress **egress = NULL;
	size_t n = scope->spec && scope->spec->egress.n ? order_egress(b, scope->spec, &egress) : 0;
	struct cox_scope_listener *listeners = COX_ARENA_ARRAY(b->arena, struct cox_scope_listener, n ? n : 1);
	for (size_t i = 0; i < n; i++) {
		struct host_rule *rules;
		size_t rule_n = parse_hosts(b, egress[i], &rules);
		uint16_t port = egress[i]->port && egress[i]->port->number.set ? (uint16_t)egress[i]->port->number.v : 0;
		listeners[i].egress = egress[i];
		listener_svcs(b, rules, rule_n, false, port, &listeners[i]);
		listener_vs(b, rules, rule_n, false, &listeners[i]);
	}
	if (!n) {
		listener_svcs(b, NULL, 0, true, 0, &listeners[0]);
		listener_vs(b, NULL, 0, true, &listeners[0]);
	}
	scope->listeners.p = listeners;
	scope->listeners.n = n ? n : 1;
}

const struct cox_scope *cox_scope_build(const struct cox_snapshot *s, struct cox_str ns, const struct cox_kv *labels, size_t label_n, struct cox_arena *arena)
{
	struct building b = { s, ns, arena };
	struct cox_scope *scope = COX_ARENA_NEW(arena, struct cox_scope);
	const struct cox_outbound_policy *policy = s->mesh->outbound_traffic_policy;
	scope->ns = ns;
	scope->sidecar = cox_scope_sidecar_find(s, ns, labels, label_n);
	scope->spec = scope->sidecar ? spec_of(scope->sidecar) : NULL;
	if (scope->spec && scope->spec->outbound_traffic_policy)
		policy = scope->spec->outbound_traffic_policy;
	scope->is_registry_only = policy && policy->mode == COX_OUTBOUND_REGISTRY_ONLY;
	scope->egress_proxy = policy ? policy->egress_proxy : NULL;
	build_listeners(&b, scope);
	scope_union(&b, scope);
	scope_hash(&b, scope);
	return scope;
}
