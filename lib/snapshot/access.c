/* TrafficTargets by the service account that they protect. */
#include "snapshot/access.h"

#include "model/smi.h"
#include "snapshot/snapshot_priv.h"

struct box { /* of one account */
	struct cox_access_set access;
	COX_VEC(struct cox_access_rule) rules;
};

static struct cox_str key_of(struct cox_arena *a, struct cox_str ns, struct cox_str account)
{
	return cox_arena_printf(a, "%.*s/%.*s", COX_FMT(ns), COX_FMT(account));
}

static bool is_account(const struct cox_smi_subject *s) { return cox_str_eq_cstr(s->kind, "ServiceAccount") && s->name.n > 0; }

static void add_http(struct cox_arena *a, struct cox_access_http *to, const struct cox_smi_http_match *m)
{
	const struct cox_kv *headers;
	to->headers.n = cox_smi_headers(m, a, &headers);
	to->headers.p = headers;
	to->path_regex = m->path_regex;
	if (!cox_smi_is_any_method(m)) {
		to->methods.p = m->methods.p;
		to->methods.n = m->methods.n;
	}
}

static bool is_named(const struct cox_smi_rule *r, struct cox_str match)
{
	for (COX_EACH(struct cox_str, name, r->matches))
		if (cox_str_eq(*name, match))
			return true;
	return r->matches.n == 0;
}

static void rule_http(const struct snap_access *s, struct cox_arena *a, struct cox_access_rule *to, const struct cox_smi_access *from)
{
	COX_VEC(struct cox_access_http) all = { 0 };
	for (COX_EACH(struct cox_smi_rule, r, from->rules)) {
		const struct cox_object *o =
		    cox_str_eq_cstr(r->kind, "HTTPRouteGroup") ? snap_objects_find_in(s->groups, to->object->meta.ns, r->name) : NULL;
		const struct cox_smi_http_match *m;
		size_t n = o ? cox_smi_http_matches(COX_SPEC(cox_http_route_group, o), &m) : 0;
		for (size_t i = 0; i < n; i++)
			if (is_named(r, m[i].name))
				add_http(a, cox_vec_add(&all), &m[i]);
	}
	struct cox_access_http *copy = COX_ARENA_ARRAY(a, struct cox_access_http, all.n + 1);
	if (all.n)
		memcpy(copy, all.p, all.n * sizeof(*copy));
	to->http.p = copy;
	to->http.n = all.n;
	cox_vec_fini(&all);
}

static void rule_tcp(const struct snap_access *s, struct cox_arena *a, struct cox_access_rule *to, const struct cox_smi_access *from)
{
	COX_VEC(uint16_t) all = { 0 };
	for (COX_EACH(struct cox_smi_rule, r, from->rules)) {
		const struct cox_object *o =
		    cox_str_eq_cstr(r->kind, "TCPRoute") ? snap_objects_find_in(s->tcp_routes, to->object->meta.ns, r->name) : NULL;
		const struct cox_smi_ports *spec = o ? COX_SPEC(cox_smi_port_route, o)->spec : NULL;
		const struct cox_smi_port_match *m = spec ? spec->matches : NULL;
		to->is_any_tcp |= o && (!m || m->ports.n == 0);
		for (size_t i = 0; m && i < m->ports.n; i++)
			if (m->ports.p[i].v > 0 && m->ports.p[i].v <= UINT16_MAX)
				cox_vec_push(&all, (uint16_t)m->ports.p[i].v);
	}
	uint16_t *copy = COX_ARENA_ARRAY(a, uint16_t, all.n + 1);
	if (all.n)
		memcpy(copy, all.p, all.n * sizeof(*copy));
	to->tcp_ports.p = copy;
	to->tcp_ports.n = all.n;
	cox_vec_fini(&all);
}

static void rule_sources(struct cox_arena *a, struct cox_access_rule *to, const struct cox_smi_access *from)
{
	struct cox_access_account *list = COX_ARENA_ARRAY(a, struct cox_access_account, from->sources.n + 1);
	for (COX_EACH(struct cox_smi_subject, s, from->sources))
		if (is_account(s))
			list[to->sources.n++] = (struct cox_access_account){ s->ns.n ? s->ns : to->object->meta.ns, s->name };
	to->sources.p = list;
}

/* Everything that it says and refers to; a group that comes or goes changes it. */
static struct cox_hash hash_of(const struct snap_access *s, const struct cox_object *o, const struct cox_smi_access *from)
{
	struct cox_hash h = cox_hash_combine(cox_hash128(o->id.p, o->id.n), o->hash);
	for (COX_EACH(struct cox_smi_rule, r, from->rules)) {
		bool is_tcp = cox_str_eq_cstr(r->kind, "TCPRoute");
		const struct cox_object *to = snap_objects_find_in(is_tcp ? s->tcp_routes : s->groups, o->meta.ns, r->name);
		h = cox_hash_combine(h, to ? to->hash : (struct cox_hash){ 0, 0 });
	}
	return h;
}

/* One that grants access in another namespace than its own would let anybody open anything: it counts nowhere. */
static void add_target(struct snap_access *s, const struct cox_object *o)
{
	struct cox_arena *a = &s->arena;
	const struct cox_smi_access from = cox_smi_access_of(COX_SPEC(cox_traffic_target, o));
	const struct cox_smi_subject *d = from.destination;
	if (!d || !is_account(d) || (d->ns.n && !cox_str_eq(d->ns, o->meta.ns)))
		return;
	struct cox_str key = key_of(a, o->meta.ns, d->name);
	struct box *b = cox_map_find(&s->by_account, key);
	if (!b) {
		b = COX_ARENA_NEW(a, struct box);
		cox_map_set(&s->by_account, key, b);
	}
	b->access.hash = cox_hash_combine(b->access.hash, hash_of(s, o, &from));
	if (d->port.set && !cox_smi_port(d))
		return; /* protected all the same */
	struct cox_access_rule r = { .object = o, .port = cox_smi_port(d) };
	rule_sources(a, &r, &from);
	rule_http(s, a, &r, &from);
	rule_tcp(s, a, &r, &from);
	if (r.sources.n && (r.http.n || r.tcp_ports.n || r.is_any_tcp))
		cox_vec_push(&b->rules, r);
}

static void seal(struct snap_access *s)
{
	for (struct cox_map_entry *e = NULL; (e = cox_map_next(&s->by_account, e));) {
		struct box *b = e->value;
		struct cox_access_rule *copy = COX_ARENA_ARRAY(&s->arena, struct cox_access_rule, b->rules.n + 1);
		if (b->rules.n)
			memcpy(copy, b->rules.p, b->rules.n * sizeof(*copy));
		b->access.rules.p = copy;
		b->access.rules.n = b->rules.n;
		cox_vec_fini(&b->rules);
	}
}

const struct snap_access *snap_access_build(const struct cox_registry *r, const struct snap_access *before)
{
	const struct snap_objects *targets = snap_objects_build(r, COX_KIND_TRAFFIC_TARGET, before ? before->targets : NULL);
	const struct snap_objects *groups = snap_objects_build(r, COX_KIND_HTTP_ROUTE_GROUP, before ? before->groups : NULL);
	const struct snap_objects *tcp = snap_objects_build(r, COX_KIND_SMI_TCP_ROUTE, before ? before->tcp_routes : NULL);
	if (before && before->targets == targets && before->groups == groups && before->tcp_routes == tcp) {
		snap_objects_unref(targets);
		snap_objects_unref(groups);
		snap_objects_unref(tcp);
		cox_ref_get(&((struct snap_access *)before)->ref);
		return before;
	}
	struct snap_access *s = COX_NEW(struct snap_access);
	cox_ref_init(&s->ref);
	s->targets = targets;
	s->groups = groups;
	s->tcp_routes = tcp;
	for (size_t i = 0; i < targets->n; i++)
		add_target(s, targets->by_age[i]);
	seal(s);
	return s;
}

void snap_access_unref(const struct snap_access *s)
{
	struct snap_access *mine = (struct snap_access *)s;
	if (!mine || !cox_ref_put(&mine->ref))
		return;
	cox_map_fini(&mine->by_account);
	snap_objects_unref(mine->targets);
	snap_objects_unref(mine->groups);
	snap_objects_unref(mine->tcp_routes);
	cox_arena_fini(&mine->arena);
	cox_free(mine);
}

const struct cox_access_set *cox_snapshot_access_find(const struct cox_snapshot *s, struct cox_str ns, struct cox_str account)
{
	const struct snap_access *set = s->index->access;
	if (set->by_account.n == 0)
		return NULL;
	struct cox_arena a = { 0 };
	const struct box *b = cox_map_find(&set->by_account, key_of(&a, ns, account));
	cox_arena_fini(&a);
	return b ? &b->access : NULL;
}
