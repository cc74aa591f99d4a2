#include "snapshot/check_priv.h"

#include "snapshot/snapshot_priv.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

const char *cox_finding_code_name(enum cox_finding_code code)
{
	static const char *const names[COX_FINDING_CODES] = {
		"Claimed",       "NoHost",           "NoSubset",           "NoGateway",     "NoDelegate",
		"DuplicateHost", "DuplicateSubset",  "PortConflict",       "PolicyIgnored", "NoPort",
		"BadSecret",     "AddressConflict",  "TargetPortConflict", "NoPorts",       "MeshConfig",
		"NoEffect",      "PatchNeverMatches"
	};
	return names[code];
}

void snap_finding_add(struct snap_checking *c, enum cox_finding_code code, enum cox_severity severity, struct cox_str id,
                      struct cox_str path, const char *fmt, ...)
{
	c->out->counts[code]++;
	if (c->out->items.n == COX_FINDINGS_MAX)
		return;
	char text[512];
	va_list ap;
	va_start(ap, fmt);
	int n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	size_t len = n < 0 ? 0 : cox_min_size((size_t)n, sizeof(text) - 1);
	c->items[c->out->items.n++] = (struct cox_finding){ code, severity, id, path, cox_arena_str(c->arena, cox_str_make(text, len)) };
}

static struct cox_str place_path(struct snap_checking *c, const struct snap_place *at, const char *field)
{
	if (cox_str_eq_cstr(cox_str_of(at->member), "mirror"))
		return cox_arena_printf(c->arena, "spec.%s[%zu].mirror.%s", at->list, at->at, field);
	return cox_arena_printf(c->arena, "spec.%s[%zu].%s[%zu].destination.%s", at->list, at->at, at->member, at->item, field);
}

/* --- destinations ----------------------------------------------------------------------------------------- */

static bool has_subset(const struct cox_dr *d, struct cox_str name)
{
	for (COX_EACH(struct cox_subset, x, d->spec->subsets))
		if (cox_str_eq(x->name, name))
			return true;
	return false;
}

/* Rules for some workloads only may define a subset that the namespace's other proxies do not have: looked for too. */
static bool subset_exists(const struct snap_checking *c, const struct cox_svc *svc, struct cox_str ns, struct cox_str name)
{
	const struct cox_dr *d = cox_scope_dr_find(c->s, ns, NULL, 0, svc);
	if (d && has_subset(d, name))
		return true;
	for (size_t i = 0; i < c->s->destination_rules.n; i++) {
		const struct cox_dr *x = c->s->destination_rules.p[i];
		if (cox_host_covers(x->spec->host, svc->hostname) && cox_export_is_visible(&x->export_to, ns) && has_subset(x, name))
			return true;
	}
	return false;
}

static void check_destination(void *arg, const struct cox_destination *d, const struct snap_place *at)
{
	struct snap_checking *c = arg;
	const struct cox_object *o = c->vs->object;
	const struct cox_snap_svc *v = cox_snapshot_svc_find(c->s, d->host, o->meta.ns);
	if (!v) {
		const struct cox_snap_svc *hidden = snap_hosts_first(c->s, d->host);
		snap_finding_add(c, COX_FINDING_NO_HOST, COX_SEV_WARNING, o->id, place_path(c, at, "host"),
		                 hidden ? "service %.*s is not exported to namespace %.*s" : "no service %.*s (seen from namespace %.*s)",
		                 COX_FMT(d->host), COX_FMT(o->meta.ns));
		return;
	}
	if (d->subset.n > 0 && !subset_exists(c, v->svc, o->meta.ns, d->subset))
		snap_finding_add(c, COX_FINDING_NO_SUBSET, COX_SEV_WARNING, o->id, place_path(c, at, "subset"),
		                 "no DestinationRule defines subset %.*s of %.*s", COX_FMT(d->subset), COX_FMT(d->host));
}

/* --- VirtualServices ----------------------------------------------------------------------------------------- */

static bool gateway_exists(const struct cox_snapshot *s, struct cox_str name)
{
	for (size_t i = 0; i < s->gateways.n; i++) {
		const struct cox_meta *m = &s->gateways.p[i]->meta;
		if (name.n == m->ns.n + m->name.n + 1 && cox_str_has_prefix(name, m->ns) && name.p[m->ns.n] == '/' &&
		    cox_str_has_suffix(name, m->name))
			return true;
	}
	return false;
}

/* `full`: "ns/name". */
static void check_gateway_ref(struct snap_checking *c, const struct cox_object *o, size_t at, struct cox_str full)
{
	if (!cox_str_eq(full, COX_STR("mesh")) && !gateway_exists(c->s, full))
		snap_finding_add(c, COX_FINDING_NO_GATEWAY, COX_SEV_WARNING, o->id, cox_arena_printf(c->arena, "spec.gateways[%zu]", at),
		                 "no Gateway %.*s", COX_FMT(full));
}

static void check_vs(struct snap_checking *c, const struct cox_vs *v)
{
	const struct snap_vs *box = (const struct snap_vs *)v;
	c->vs = v;
	for (size_t i = 0; i < v->spec->gateways.n; i++)
		check_gateway_ref(c, v->object, i, v->spec->gateways.p[i]);
	struct cox_str wish = cox_kv_get(v->object->meta.annotations.p, v->object->meta.annotations.n, SNAP_DEADLINE);
	if (wish.n > 0 && !v->has_deadline)
		snap_finding_add(c, COX_FINDING_NO_EFFECT, COX_SEV_WARNING, v->object->id,
		                 COX_STR("metadata.annotations[traffic.coxswain.io/deadline]"), "\"%.*s\" has no effect; \"propagate\" has",
		                 COX_FMT(wish));
	snap_vs_destinations(v->spec, check_destination, c);
	const struct cox_virtual_service *own = COX_SPEC(cox_virtual_service_object, v->object)->spec;
	for (size_t i = 0, at = 0; i < own->http.n && at < box->delegate_n; i++) {
		const struct cox_delegate *d = own->http.p[i].delegate;
		if (d && !box->delegates[at++])
			snap_finding_add(c, COX_FINDING_NO_DELEGATE, COX_SEV_WARNING, v->object->id,
			                 cox_arena_printf(c->arena, "spec.http[%zu].delegate", i),
			                 "no VirtualService %.*s without hosts is exported to this namespace", COX_FMT(d->name));
	}
}

struct owner {
	const struct cox_vs *first;
	struct owner *next;
};

bool snap_share_viewers(const struct cox_export *a, const struct cox_export *b)
{
	if (a->is_public || b->is_public)
		return true;
	for (COX_EACH(struct cox_str, ns, a->namespaces))
		if (cox_export_is_visible(b, *ns))
			return true;
	return false;
}

/* In the mesh one rule per host is used. At gateways rules for one host are joined, so nothing is lost there. */
static void check_duplicate_hosts(struct snap_checking *c)
{
	struct cox_map owners = { 0 };
	for (size_t i = 0; i < c->s->virtual_services.n; i++) {
		const struct cox_vs *v = c->s->virtual_services.p[i];
		for (size_t k = 0; v->is_mesh && k < v->spec->hosts.n; k++) {
			struct cox_str host = v->spec->hosts.p[k];
			struct owner *known = cox_map_find(&owners, host), *other = known;
			while (other && (other->first == v || !snap_share_viewers(&other->first->export_to, &v->export_to)))
				other = other->next;
			if (other)
				snap_finding_add(c, COX_FINDING_DUPLICATE_HOST, COX_SEV_WARNING, v->object->id,
				                 cox_arena_printf(c->arena, "spec.hosts[%zu]", k), "host %.*s is routed by the older %.*s",
				                 COX_FMT(host), COX_FMT(other->first->object->id));
			struct owner *mine = COX_ARENA_NEW(c->arena, struct owner);
			*mine = (struct owner){ v, NULL };
			if (!known)
				cox_map_set(&owners, host, mine);
			for (; known; known = known->next)
				if (!known->next) {
					known->next = mine;
					break;
				}
		}
	}
	cox_map_fini(&owners);
}

/* --- DestinationRules ------------------------------------------------------------------------------------------ */

static void check_dr(struct snap_checking *c, const struct snap_dr *d)
{
	for (size_t i = 0; i < d->object_n; i++) {
		const struct cox_destination_rule *spec = COX_SPEC(cox_destination_rule_object, d->objects[i])->spec;
		for (size_t k = 0; k < spec->subsets.n; k++) {
			const struct cox_object *first = NULL;
			for (size_t j = 0; j <= i && !first; j++) {
				const struct cox_destination_rule *before = COX_SPEC(cox_destination_rule_object, d->objects[j])->spec;
				for (size_t m = 0; m < (j == i ? k : before->subsets.n) && !first; m++)
					if (cox_str_eq(before->subsets.p[m].name, spec->subsets.p[k].name))
						first = d->objects[j];
			}
			if (first)
				snap_finding_add(c, COX_FINDING_DUPLICATE_SUBSET, COX_SEV_WARNING, d->objects[i]->id,
				                 cox_arena_printf(c->arena, "spec.subsets[%zu].name", k),
				                 "subset %.*s of %.*s is defined before, in %.*s", COX_FMT(spec->subsets.p[k].name),
				                 COX_FMT(d->dr.spec->host), COX_FMT(first->id));
		}
	}
}

/* --- Gateways ----------------------------------------------------------------------------------------------------- */

static bool is_tls_protocol(enum cox_protocol p) { return cox_protocol_is_tls(p); }

/* Same port and bind address, other kind of listener: plain HTTP, TLS by server name, plain TCP. */
static bool servers_conflict(const struct cox_server *a, const struct cox_server *b)
{
	if (!a->port || !b->port || a->port->number.v != b->port->number.v || !cox_str_eq(a->bind, b->bind))
		return false;
	enum cox_protocol x = cox_protocol_of_name(a->port->protocol), y = cox_protocol_of_name(b->port->protocol);
	return is_tls_protocol(x) != is_tls_protocol(y) || cox_protocol_is_http(x) != cox_protocol_is_http(y);
}

static bool selectors_meet(const struct cox_gateway *a, const struct cox_gateway *b)
{
	return cox_kv_is_subset(a->selector.p, a->selector.n, b->selector.p, b->selector.n) ||
	       cox_kv_is_subset(b->selector.p, b->selector.n, a->selector.p, a->selector.n);
}

static void check_servers(struct snap_checking *c, const struct cox_object *older, const struct cox_object *o)
{
	const struct cox_gateway *a = COX_SPEC(cox_gateway_object, older)->spec, *b = COX_SPEC(cox_gateway_object, o)->spec;
	if (!a || !b || !selectors_meet(a, b))
		return;
	for (size_t k = 0; k < b->servers.n; k++)
		for (size_t i = 0; i < (older == o ? k : a->servers.n); i++)
			if (servers_conflict(&a->servers.p[i], &b->servers.p[k])) {
				snap_finding_add(c, COX_FINDING_PORT_CONFLICT, COX_SEV_WARNING, o->id,
				                 cox_arena_printf(c->arena, "spec.servers[%zu].port", k),
				                 "port %d is used with protocol %.*s by %.*s", (int)a->servers.p[i].port->number.v,
				                 COX_FMT(a->servers.p[i].port->protocol), COX_FMT(older->id));
				break;
			}
}

enum { GATEWAY_PAIRS_MAX = 20000 }; /* keeps a mesh with thousands of Gateways affordable: later pairs are not compared */

static void check_gateways(struct snap_checking *c)
{
	size_t pairs = 0;
	for (size_t i = 0; i < c->s->gateways.n; i++)
		for (size_t k = 0; k <= i && pairs < GATEWAY_PAIRS_MAX; k++, pairs++)
			check_servers(c, c->s->gateways.p[k], c->s->gateways.p[i]);
}

/* --- the whole ------------------------------------------------------------------------------------------------------ */

static int finding_cmp(const void *a, const void *b)
{
	const struct cox_finding *x = a, *y = b;
	int c = cox_str_cmp(x->object_id, y->object_id);
	c = c != 0 ? c : cox_str_cmp(x->path, y->path);
	return c != 0 ? c : cox_str_cmp(x->text, y->text);
}

void cox_snapshot_check(const struct cox_snapshot *s, const struct cox_registry *r, struct cox_arena *arena, struct cox_findings *out)
{
	*out = (struct cox_findings){ 0 };
	struct snap_checking c = { .s = s, .arena = arena, .out = out };
	c.items = COX_ARENA_ARRAY(arena, struct cox_finding, COX_FINDINGS_MAX);
	const struct cox_registry_finding *of_registry = NULL;
	size_t n = r ? cox_registry_findings(r, arena, &of_registry) : 0;
	for (size_t i = 0; i < n; i++)
		snap_finding_add(&c,
		                 of_registry[i].is_secret ? COX_FINDING_BAD_SECRET
		                 : of_registry[i].is_mesh ? COX_FINDING_MESH_CONFIG
		                                          : COX_FINDING_CLAIMED,
		                 of_registry[i].severity, of_registry[i].object_id, of_registry[i].path, "%.*s",
		                 COX_FMT(of_registry[i].text));
	for (size_t i = 0; i < s->virtual_services.n; i++)
		check_vs(&c, s->virtual_services.p[i]);
	check_duplicate_hosts(&c);
	for (size_t i = 0; i < s->destination_rules.n; i++)
		check_dr(&c, (const struct snap_dr *)s->destination_rules.p[i]);
	check_gateways(&c);
	snap_check_peer_auths(&c);
	snap_check_envoy_filters(&c);
	snap_check_services(&c);
	qsort(c.items, out->items.n, sizeof(*c.items), finding_cmp);
	size_t kept = 0;
	for (size_t i = 0; i < out->items.n; i++) { /* a rule that stands in two merged ones is found twice */
		if (kept > 0 && finding_cmp(&c.items[kept - 1], &c.items[i]) == 0)
			out->counts[c.items[i].code]--;
		else
			c.items[kept++] = c.items[i];
	}
	out->items.n = kept;
	out->items.p = c.items;
}

/* --- one object, before it is stored ---------------------------------------------------------------------------------- */

/* As it is written: names are not in full yet. */
static void check_written_destination(void *arg, const struct cox_destination *d, const struct snap_place *at)
{
	struct snap_checking *c = arg;
	struct cox_destination full = *d;
	full.host = cox_host_resolve(c->arena, d->host, c->vs->object->meta.ns, c->s->domain);
	check_destination(c, &full, at);
}

static void check_written_vs(struct snap_checking *c, const struct cox_object *o)
{
	const struct cox_virtual_service *spec = COX_SPEC(cox_virtual_service_object, o)->spec;
	struct cox_vs v = { .object = o, .spec = spec };
	if (!spec)
		return;
	c->vs = &v;
	for (size_t i = 0; i < spec->gateways.n; i++)
		check_gateway_ref(c, o, i, snap_gateway_name(c->arena, spec->gateways.p[i], o->meta.ns));
	snap_vs_destinations(spec, check_written_destination, c);
}

static void check_written_dr(struct snap_checking *c, const struct cox_object *o)
{
	const struct cox_destination_rule *spec = COX_SPEC(cox_destination_rule_object, o)->spec;
	if (!spec || cox_host_is_wildcard(spec->host))
		return;
	struct cox_str host = cox_host_resolve(c->arena, spec->host, o->meta.ns, c->s->domain);
	if (!cox_snapshot_svc_find(c->s, host, o->meta.ns) && !snap_hosts_first(c->s, host))
		snap_finding_add(c, COX_FINDING_NO_HOST, COX_SEV_WARNING, o->id, COX_STR("spec.host"), "no service %.*s", COX_FMT(host));
}

void cox_snapshot_check_object(const struct cox_snapshot *s, const struct cox_object *o, struct cox_arena *arena, struct cox_findings *out)
{
	*out = (struct cox_findings){ 0 };
	struct snap_checking c = { .s = s, .arena = arena, .out = out };
	if (o->kind != COX_KIND_VIRTUAL_SERVICE && o->kind != COX_KIND_DESTINATION_RULE)
		return;
	c.items = COX_ARENA_ARRAY(arena, struct cox_finding, COX_FINDINGS_MAX);
	if (o->kind == COX_KIND_VIRTUAL_SERVICE)
		check_written_vs(&c, o);
	else
		check_written_dr(&c, o);
	out->items.p = c.items;
}
