/* What a namespace with these labels sees: its Sidecar, or all that is visible. */
#include "snapshot/snapshot_priv.h"

/* --- the Sidecar that applies ---------------------------------------------------------------------------- */

static bool has_selector(const struct cox_sidecar *spec) { return spec->workload_selector && spec->workload_selector->labels.n > 0; }

const struct cox_object *cox_scope_sidecar_find(const struct cox_snapshot *s, struct cox_str ns, const struct cox_kv *labels,
                                                size_t label_n)
{
	const struct cox_object *of_ns = NULL, *of_root = NULL;
	for (size_t i = 0; i < s->sidecars.n; i++) {
		const struct cox_object *o = s->sidecars.p[i];
		const struct cox_sidecar *spec = COX_SPEC(cox_sidecar_object, o)->spec;
		if (!spec)
			continue;
		if (cox_str_eq(o->meta.ns, ns)) {
			if (has_selector(spec) &&
			    cox_kv_is_subset(spec->workload_selector->labels.p, spec->workload_selector->labels.n, labels, label_n))
				return o;
			if (!has_selector(spec) && !of_ns)
				of_ns = o;
		} else if (cox_str_eq(o->meta.ns, s->root_ns) && !has_selector(spec) && !of_root) {
			of_root = o;
		}
	}
	return of_ns ? of_ns : of_root;
}

/* --- what a listener imports ------------------------------------------------------------------------------ */

enum { PORT_NONE = -1, PORT_ALL = 0 };

struct import {
	struct cox_str ns; /* empty: any */
	struct cox_str host;
	bool is_exclusion;
};
struct building {
	const struct cox_snapshot *s;
	struct cox_scope *scope;
	struct cox_arena *arena;
	int32_t *ports; /* by place: in the union? */
	const struct import *imports;
	size_t import_n;
	int32_t port; /* of the listener at hand */
};

static void parse_imports(struct building *b, const struct cox_sidecar_egress *egress)
{
	static const struct import everything[] = { { .host = { "*", 1 } } };
	b->imports = everything;
	b->import_n = 1;
	if (!egress)
		return;
	struct import *list = COX_ARENA_ARRAY(b->arena, struct import, egress->hosts.n);
	size_t n = 0;
	for (COX_EACH(struct cox_str, h, egress->hosts)) {
		ptrdiff_t slash = cox_str_find(*h, '/');
		struct cox_str ns = slash < 0 ? COX_STR("*") : cox_str_sub(*h, 0, (size_t)slash);
		struct import *i = &list[n];
		i->host = slash < 0 ? *h : cox_str_sub(*h, (size_t)slash + 1, SIZE_MAX);
		/* "~ns/host" takes out again, "~/host" from every namespace; every host of every namespace leaves nothing. */
		if (ns.n > 0 && ns.p[0] == '~') {
			i->is_exclusion = true;
			ns = cox_str_sub(ns, 1, SIZE_MAX);
		}
		if (cox_str_eq(ns, COX_STR(".")))
			i->ns = b->scope->ns;
		else if (!cox_str_eq(ns, COX_STR("*")))
			i->ns = ns;
		n++;
	}
	b->imports = list;
	b->import_n = n;
}

static bool is_imported(const struct building *b, struct cox_str ns, struct cox_str host, bool overlap_counts)
{
	bool found = false;
	for (size_t i = 0; i < b->import_n; i++) {
		const struct import *m = &b->imports[i];
		if (m->ns.n > 0 && !cox_str_eq(m->ns, ns))
			continue;
		bool covers = cox_host_covers(m->host, host);
		if (m->is_exclusion && covers)
			return false;
		found |= !m->is_exclusion && (covers || (overlap_counts && cox_host_covers(host, m->host)));
	}
	return found;
}

static bool has_port(const struct cox_svc *svc, int32_t port)
{
	for (COX_EACH(struct cox_svc_port, p, svc->ports))
		if (p->port == port)
			return true;
	return false;
}

static bool svc_is_imported(const struct building *b, const struct cox_snap_svc *v)
{
	return cox_export_is_visible(&v->svc->export_to, b->scope->ns) && (b->port == PORT_ALL || has_port(v->svc, b->port)) &&
	       is_imported(b, v->svc->ns, v->svc->hostname, false);
}

/* Of several services with one hostname that the listener imports only the preferred one stays. */
static bool svc_is_chosen(const struct building *b, const struct cox_snap_svc *v)
{
	const struct cox_snap_svc *first = snap_hosts_first(b->s, v->svc->hostname);
	if (first == v && !snap_hosts_next(b->s, v))
		return true;
	for (const struct cox_snap_svc *o = first; o; o = snap_hosts_next(b->s, o))
		if (o != v && snap_svc_is_preferred(o, v, b->scope->ns) && svc_is_imported(b, o))
			return false;
	return true;
}

static void union_add(struct building *b, const struct cox_snap_svc *v, int32_t port)
{
	int32_t *at = &b->ports[v->index];
	*at = *at == PORT_NONE || *at == port ? port : PORT_ALL;
}

static void listener_svcs(struct building *b, struct cox_scope_listener *l)
{
	struct cox_scope_svc *svcs = COX_ARENA_ARRAY(b->arena, struct cox_scope_svc, b->s->svcs.n + 1);
	size_t n = 0;
	for (size_t i = 0; i < b->s->svcs.n; i++) {
		const struct cox_snap_svc *v = &b->s->svcs.p[i];
		if (!svc_is_imported(b, v) || !svc_is_chosen(b, v))
			continue;
		svcs[n++] = (struct cox_scope_svc){ v, (uint16_t)b->port };
		union_add(b, v, b->port);
	}
	l->svcs.p = svcs;
	l->svcs.n = n;
}

/* --- VirtualServices: private to the namespace, exported to it, public; each by age --------------------------- */

enum reach { REACH_PRIVATE, REACH_EXPORTED, REACH_PUBLIC, REACH_NONE };

static enum reach vs_reach(const struct cox_vs *v, struct cox_str ns)
{
	const struct cox_export *e = &v->export_to;
	if (e->is_public)
		return REACH_PUBLIC;
	if (!cox_export_is_visible(e, ns))
		return REACH_NONE;
	return e->namespaces.n == 1 && cox_str_eq(v->object->meta.ns, ns) ? REACH_PRIVATE : REACH_EXPORTED;
}

static bool vs_is_imported(const struct building *b, const struct cox_vs *v)
{
	for (COX_EACH(struct cox_str, h, v->spec->hosts))
		if (is_imported(b, v->object->meta.ns, *h, true))
			return true;
	return false;
}

static void listener_rules(struct building *b, struct cox_scope_listener *l)
{
	const struct cox_vs **rules = COX_ARENA_ARRAY(b->arena, const struct cox_vs *, b->s->virtual_services.n + 1);
	size_t n = 0;
	for (enum reach reach = REACH_PRIVATE; reach < REACH_NONE; reach++)
		for (size_t i = 0; i < b->s->virtual_services.n; i++) {
			const struct cox_vs *v = b->s->virtual_services.p[i];
			if (v->is_mesh && vs_reach(v, b->scope->ns) == reach && vs_is_imported(b, v))
				rules[n++] = v;
		}
	l->virtual_services.p = rules;
	l->virtual_services.n = n;
}

/* --- services that imported rules lead to --------------------------------------------------------------------- */

static bool host_is_in_union(const struct building *b, struct cox_str host)
{
	for (const struct cox_snap_svc *v = snap_hosts_first(b->s, host); v; v = snap_hosts_next(b->s, v))
		if (b->ports[v->index] != PORT_NONE)
			return true;
	return false;
}

struct reached {
	struct building *b;
	COX_VEC(const struct cox_snap_svc *) svcs; /* added by destinations: their ports still grow */
};

static void reach_destination(void *arg, const struct cox_destination *d, const struct snap_place *place)
{
	struct reached *r = arg;
	struct building *b = r->b;
	(void)place;
	const struct cox_snap_svc *v = cox_snapshot_svc_find(b->s, d->host, b->scope->ns);
	int32_t port = d->port && d->port->number.set ? (int32_t)d->port->number.v : PORT_ALL;
	if (!v || (port != PORT_ALL && !has_port(v->svc, port)))
		return;
	bool is_ours = false;
	for (size_t i = 0; i < r->svcs.n && !is_ours; i++)
		is_ours = r->svcs.p[i] == v;
	if (!is_ours && host_is_in_union(b, d->host))
		return; /* what is asked for in words wins */
	if (!is_ours)
		cox_vec_push(&r->svcs, v);
	union_add(b, v, port);
}

static void add_destinations(struct building *b)
{
	struct reached r = { .b = b };
	for (size_t i = 0; i < b->scope->listeners.n; i++) {
		const struct cox_scope_listener *l = &b->scope->listeners.p[i];
		for (size_t k = 0; k < l->virtual_services.n; k++)
			snap_vs_destinations(l->virtual_services.p[k]->spec, reach_destination, &r);
	}
	cox_vec_fini(&r.svcs);
}

/* --- the whole -------------------------------------------------------------------------------------------------- */

/* A listener with a port takes services that have it; a generic HTTP proxy listener serves all. */
static int32_t listener_port(const struct cox_sidecar_egress *e)
{
	if (!e || !e->port || !e->port->number.set || cox_protocol_of_name(e->port->protocol) == COX_PROTO_HTTP_PROXY)
		return PORT_ALL;
	return (int32_t)e->port->number.v;
}

static void add_listener(struct building *b, struct cox_scope_listener *l, const struct cox_sidecar_egress *egress)
{
	l->egress = egress;
	b->port = listener_port(egress);
	parse_imports(b, egress);
	listener_svcs(b, l);
	listener_rules(b, l);
}

static void add_listeners(struct building *b)
{
	const struct cox_sidecar *spec = b->scope->spec;
	size_t max = spec && spec->egress.n > 0 ? spec->egress.n : 1, n = 0;
	struct cox_scope_listener *all = COX_ARENA_ARRAY(b->arena, struct cox_scope_listener, max);
	if (!spec || spec->egress.n == 0)
		add_listener(b, &all[n++], NULL);
	else
		for (int explicit = 1; explicit >= 0; explicit --)
			for (COX_EACH(struct cox_sidecar_egress, e, spec->egress))
				if ((e->port != NULL) == explicit)
					add_listener(b, &all[n++], e);
	b->scope->listeners.p = all;
	b->scope->listeners.n = n;
}

static void set_union(struct building *b)
{
	struct cox_scope_svc *svcs = COX_ARENA_ARRAY(b->arena, struct cox_scope_svc, b->s->svcs.n + 1);
	size_t n = 0;
	for (size_t i = 0; i < b->s->svcs.n; i++)
		if (b->ports[i] != PORT_NONE)
			svcs[n++] = (struct cox_scope_svc){ &b->s->svcs.p[i], (uint16_t)b->ports[i] };
	b->scope->svcs.p = svcs;
	b->scope->svcs.n = n;
}

static void set_policy(struct building *b)
{
	const struct cox_outbound_policy *p = b->scope->spec ? b->scope->spec->outbound_traffic_policy : NULL;
	struct cox_str ns = b->scope->sidecar ? b->scope->sidecar->meta.ns : b->scope->ns;
	p = p ? p : b->s->mesh->outbound_traffic_policy;
	b->scope->is_registry_only = p && p->mode == COX_OUTBOUND_REGISTRY_ONLY;
	b->scope->is_dynamic_dns = p && p->mode == COX_OUTBOUND_ALLOW_ANY_DYNAMIC_DNS;
	if (!p || !p->egress_proxy)
		return;
	struct cox_destination *d = COX_ARENA_NEW(b->arena, struct cox_destination);
	*d = *p->egress_proxy;
	d->host = cox_host_resolve(b->arena, d->host, ns, b->s->domain);
	b->scope->egress_proxy = d;
	const struct cox_snap_svc *v = cox_snapshot_svc_find(b->s, d->host, b->scope->ns);
	if (v && !host_is_in_union(b, d->host))
		union_add(b, v, PORT_ALL);
}

static void put_svcs(struct cox_buf *out, const struct cox_scope_svc *p, size_t n)
{
	cox_buf_append(out, &n, sizeof(n));
	for (size_t i = 0; i < n; i++) {
		cox_buf_append(out, &p[i].snap->svc->hash, sizeof(struct cox_hash));
		cox_buf_append(out, &p[i].only_port, sizeof(p[i].only_port));
	}
}

static void set_hash(struct building *b)
{
	struct cox_buf out = { 0 };
	const struct cox_scope *c = b->scope;
	cox_buf_append_str(&out, c->ns);
	cox_buf_append(&out, &b->s->mesh_hash, sizeof(struct cox_hash));
	cox_buf_append(&out, &c->is_registry_only, sizeof(c->is_registry_only));
	if (c->sidecar) {
		cox_buf_append_str(&out, c->sidecar->id);
		cox_buf_append(&out, &c->sidecar->hash, sizeof(struct cox_hash));
	}
	for (size_t i = 0; i < c->listeners.n; i++) {
		const struct cox_scope_listener *l = &c->listeners.p[i];
		put_svcs(&out, l->svcs.p, l->svcs.n);
		cox_buf_append(&out, &l->virtual_services.n, sizeof(size_t));
		for (size_t k = 0; k < l->virtual_services.n; k++)
			cox_buf_append(&out, &l->virtual_services.p[k]->hash, sizeof(struct cox_hash));
	}
	put_svcs(&out, c->svcs.p, c->svcs.n);
	b->scope->hash = cox_hash128(out.p, out.n);
	cox_buf_fini(&out);
}

const struct cox_scope *cox_scope_build(const struct cox_snapshot *s, struct cox_str ns, const struct cox_kv *labels, size_t label_n,
                                        struct cox_arena *arena)
{
	struct cox_scope *scope = COX_ARENA_NEW(arena, struct cox_scope);
	struct building b = { .s = s, .scope = scope, .arena = arena };
	b.ports = COX_ARENA_ARRAY(arena, int32_t, s->svcs.n + 1);
	for (size_t i = 0; i < s->svcs.n; i++)
		b.ports[i] = PORT_NONE;
	scope->ns = cox_arena_str(arena, ns);
	scope->sidecar = cox_scope_sidecar_find(s, ns, labels, label_n);
	scope->spec = scope->sidecar ? COX_SPEC(cox_sidecar_object, scope->sidecar)->spec : NULL;
	add_listeners(&b);
	if (scope->spec)
		add_destinations(&b); /* without a Sidecar all that is visible is there already */
	set_policy(&b);
	set_union(&b);
	set_hash(&b);
	return scope;
}
