/* gateway_api_route - routes to their parents (listeners of Gateways, Services of the mesh), and what each route is told about that. */
#include "convert/gateway_api_priv.h"

#include "model/core.h"

#include <stdlib.h>

struct attachment { /* a parentRef that is ours to speak about */
	const struct cox_gwapi_ref *ref;
	const struct cox_object *gateway, *service; /* one of them */
	struct ga_fault accepted;
	bool is_accepted;
};
struct one { /* the route at work */
	const struct cox_object *o;
	const struct cox_gwapi_route *spec;
	struct ga_fault accepted, resolved; /* of its rules */
	const struct cox_json **actions;    /* of HTTP rules: one a match; made once */
	size_t action_n;
};

/* --- rules ------------------------------------------------------------------------------------------------- */

static bool is_http(const struct cox_object *o) { return o->kind == COX_KIND_HTTP_ROUTE || o->kind == COX_KIND_GRPC_ROUTE; }

static size_t match_count(const struct cox_gwapi_rule *r) { return r->matches.n ? r->matches.n : 1; }

static void make_actions(struct ga *g, struct one *r)
{
	size_t n = 0;
	for (COX_EACH(struct cox_gwapi_rule, rule, r->spec->rules))
		n += match_count(rule);
	r->actions = COX_ARENA_ARRAY(g->a, const struct cox_json *, n + 1);
	for (size_t i = 0; i < r->spec->rules.n; i++)
		for (size_t k = 0; k < match_count(&r->spec->rules.p[i]); k++)
			r->actions[r->action_n++] = ga_http_route(g, r->o, i, k, &r->accepted, &r->resolved);
}

static void add_entries(struct one *r, struct ga_table *t, int64_t port)
{
	size_t at = 0;
	for (size_t i = 0; i < r->spec->rules.n; i++)
		for (size_t k = 0; k < match_count(&r->spec->rules.p[i]); k++) {
			const struct cox_gwapi_rule *rule = &r->spec->rules.p[i];
			const struct cox_json *action = r->actions[at++];
			if (!action)
				continue;
			cox_vec_push(&t->entries, ((struct ga_entry){ .route = r->o,
			                                              .match = rule->matches.n ? &rule->matches.p[k] : NULL,
			                                              .rule = i,
			                                              .at = k,
			                                              .port = port,
			                                              .action = action }));
		}
}

/* A rule for connections; with `sni` for those that ask for it, else with `port` for those of that port. */
static void add_l4(struct ga *g, struct one *r, struct ga_table *t, struct cox_str sni, int64_t port)
{
	for (COX_EACH(struct cox_gwapi_rule, rule, r->spec->rules)) {
		struct cox_json *route = cox_json_new_object(g->a);
		if (!ga_destinations_write(g, r->o, rule, route, &r->resolved))
			continue; /* connections are reset */
		struct cox_json *match = sni.n || port ? convert_object_push(g->run, convert_array_at(g->run, route, "match")) : NULL;
		if (port)
			convert_i64_at(g->run, match, "port", port);
		if (sni.n)
			convert_str_push(g->run, convert_array_at(g->run, match, "sniHosts"), sni);
		if (sni.n)
			cox_vec_push(&t->tls, ((struct ga_l4){ route, port }));
		else
			cox_vec_push(&t->tcp, ((struct ga_l4){ route, port }));
	}
}

/* --- hosts ------------------------------------------------------------------------------------------------ */

static bool covers(struct cox_str pattern, struct cox_str host)
{
	if (cox_str_eq_cstr(pattern, "*") || cox_str_eq(pattern, host))
		return true;
	return pattern.n > 1 && pattern.p[0] == '*' && cox_str_has_suffix(host, cox_str_sub(pattern, 1, SIZE_MAX)) && host.n >= pattern.n;
}

static struct cox_str common_host(struct cox_str a, struct cox_str b)
{
	return covers(a, b) ? b : covers(b, a) ? a : (struct cox_str){ 0 };
}

/* Requests for this host are another listener's of the same port: it says more of the host. */
static bool belongs_to_other(const struct ga *g, const struct ga_listener *l, struct cox_str host)
{
	for (size_t i = 0; i < g->listeners.n; i++) {
		const struct ga_listener *x = g->listeners.p[i];
		if (x != l && x->gateway == l->gateway && x->spec->port.v == l->spec->port.v && ga_listener_is_served(x) &&
		    x->host.n > l->host.n && !cox_str_eq(x->host, l->host) && covers(l->host, x->host) && covers(x->host, host))
			return true;
	}
	return false;
}

/* --- Gateways ----------------------------------------------------------------------------------------------- */

/* A DNS name, as names of objects are. */
static struct cox_str table_name(struct ga *g, struct cox_str host, struct cox_str internal)
{
	struct cox_hash h = cox_hash128(host.p, host.n);
	struct cox_str shown = host;
	if (host.p[0] == '*')
		shown = cox_arena_concat(g->a, COX_STR("any-host"), cox_str_sub(host, 1, SIZE_MAX));
	if (shown.n + internal.n + 1 > 253)
		shown = cox_arena_printf(g->a, "host-%016llx%016llx", (unsigned long long)h.hi, (unsigned long long)h.lo);
	return cox_arena_printf(g->a, "%.*s.%.*s", COX_FMT(shown), COX_FMT(internal));
}

static void attach_host(struct ga *g, struct one *r, struct ga_listener *l, struct cox_str host)
{
	struct cox_str ns = l->owner->meta.ns;
	if (belongs_to_other(g, l, host))
		return;
	struct cox_str name = table_name(g, host, l->internal);
	struct ga_table *t = ga_table_get(g, ns, name, cox_arena_printf(g->a, "%.*s/%.*s", COX_FMT(ns), COX_FMT(l->internal)), host, r->o);
	if (is_http(r->o))
		add_entries(r, t, 0);
	else
		add_l4(g, r, t, l->passes ? host : (struct cox_str){ 0 }, 0);
}

/* False: the listener and the route have no host in common. */
static bool attach(struct ga *g, struct one *r, struct ga_listener *l)
{
	bool any = false, is_new = true;
	bool has_hosts = r->o->kind != COX_KIND_TCP_ROUTE && r->spec->hostnames.n > 0;
	for (size_t i = 0; i < (has_hosts ? r->spec->hostnames.n : 1); i++) {
		struct cox_str host = has_hosts ? common_host(l->host, r->spec->hostnames.p[i]) : l->host;
		if (!host.n)
			continue;
		any = true;
		for (size_t k = 0; k < i; k++)
			is_new &= !cox_str_eq(common_host(l->host, r->spec->hostnames.p[k]), host);
		if (is_new && ga_listener_is_served(l))
			attach_host(g, r, l, host);
		is_new = true;
	}
	return any;
}

static bool is_meant(const struct ga_listener *l, const struct cox_gwapi_ref *ref)
{
	return (!ref->section_name.n || cox_str_eq(ref->section_name, l->spec->name)) && (!ref->port.set || ref->port.v == l->spec->port.v);
}

static bool allows(struct ga *g, const struct ga_listener *l, const struct cox_object *route)
{
	const struct cox_gwapi_allowed_routes *a = l->spec->allowed_routes;
	return (l->kinds & GA_KIND_BIT(route->kind)) && ga_takes_namespace(g, a ? a->namespaces : NULL, l->owner->meta.ns, route->meta.ns);
}

static void note_uses(struct ga *g, const struct one *r, const struct cox_object *parent)
{
	for (COX_EACH(struct cox_gwapi_rule, rule, r->spec->rules))
		for (COX_EACH(struct cox_gwapi_backend, b, rule->backends)) {
			struct cox_str ns = b->ns.n ? b->ns : r->o->meta.ns;
			cox_vec_push(&g->uses,
			             ((struct ga_use){ cox_arena_printf(g->a, "%.*s/%.*s", COX_FMT(ns), COX_FMT(b->name)), parent, r->o }));
		}
}

/* `owner`: the Gateway or ListenerSet that is named. */
static void attach_to_listeners(struct ga *g, struct one *r, struct attachment *at, const struct cox_object *owner)
{
	bool is_there = false, is_allowed = false;
	for (size_t i = 0; i < g->listeners.n; i++) {
		struct ga_listener *l = g->listeners.p[i];
		if (l->owner != owner || !is_meant(l, at->ref))
			continue;
		is_there = true;
		if (!allows(g, l, r->o))
			continue;
		is_allowed = true;
		if (!attach(g, r, l))
			continue;
		l->attached_count++;
		at->is_accepted = true;
	}
	if (at->is_accepted)
		note_uses(g, r, owner);
	else if (!is_there)
		at->accepted = (struct ga_fault){ "NoMatchingParent", COX_STR("the parent has no listener of this sectionName and port") };
	else if (!is_allowed)
		at->accepted = (struct ga_fault){ "NotAllowedByListeners",
			                          COX_STR("allowedRoutes of the listeners takes no route of this kind and namespace") };
	else
		at->accepted = (struct ga_fault){ "NoMatchingListenerHostname", COX_STR("no listener has a host of the route's") };
}

/* --- the mesh ------------------------------------------------------------------------------------------------ */

static bool has_port(const struct cox_object *o, int64_t port)
{
	const struct cox_service_spec *spec = COX_SPEC(cox_service, o)->spec;
	for (size_t i = 0; spec && i < spec->ports.n; i++)
		if (spec->ports.p[i].port.v == port)
			return true;
	return false;
}

/* A route in the Service's namespace is for all clients (producer), in another one for clients there (consumer). */
static void attach_to_service(struct ga *g, struct one *r, struct attachment *at)
{
	const struct cox_object *svc = at->service;
	if (at->ref->section_name.n) {
		at->accepted = (struct ga_fault){ "UnsupportedValue", COX_STR("a Service as a parent takes no sectionName, but a port") };
		return;
	}
	if (at->ref->port.set && !has_port(svc, at->ref->port.v)) {
		at->accepted = (struct ga_fault){ "NoMatchingParent",
			                          cox_arena_printf(g->a, "Service %.*s/%.*s has no port %lld", COX_FMT(svc->meta.ns),
			                                           COX_FMT(svc->meta.name), (long long)at->ref->port.v) };
		return;
	}
	struct cox_str host = convert_host(g->run, svc->meta.name, svc->meta.ns);
	struct cox_str name =
	    cox_arena_printf(g->a, "%.*s.%.*s.istio-autogenerated-k8s-mesh", COX_FMT(svc->meta.name), COX_FMT(svc->meta.ns));
	struct ga_table *t = ga_table_get(g, r->o->meta.ns, name, COX_STR("mesh"), host, r->o);
	t->service = svc;
	t->is_private = !cox_str_eq(r->o->meta.ns, svc->meta.ns);
	int64_t port = at->ref->port.set ? at->ref->port.v : 0;
	if (is_http(r->o))
		add_entries(r, t, port);
	else
		add_l4(g, r, t, r->o->kind == COX_KIND_TLS_ROUTE && r->spec->hostnames.n ? r->spec->hostnames.p[0] : (struct cox_str){ 0 },
		       port);
	at->is_accepted = true;
	note_uses(g, r, svc);
}

/* --- parents ----------------------------------------------------------------------------------------------- */

static const struct cox_object *owner_find(const struct ga *g, enum cox_kind kind, struct cox_str ns, struct cox_str name)
{
	for (size_t i = 0; kind == COX_KIND_K8S_GATEWAY && i < g->gateways.n; i++)
		if (cox_str_eq(g->gateways.p[i]->o->meta.name, name) && cox_str_eq(g->gateways.p[i]->o->meta.ns, ns))
			return g->gateways.p[i]->o;
	for (size_t i = 0; kind == COX_KIND_LISTENER_SET && i < g->sets.n; i++)
		if (cox_str_eq(g->sets.p[i]->o->meta.name, name) && cox_str_eq(g->sets.p[i]->o->meta.ns, ns))
			return g->sets.p[i]->o;
	return NULL;
}

/* False: not a parent of ours, so nothing is said about it. */
static bool parent_convert(struct ga *g, struct one *r, struct attachment *at)
{
	const struct cox_gwapi_ref *ref = at->ref;
	struct cox_str ns = ref->ns.n ? ref->ns : r->o->meta.ns, kind = ga_or(ref->kind, "Gateway");
	bool is_core = !ga_or(ref->group, GA_GROUP).n;
	if (is_core && cox_str_eq_cstr(kind, "Service")) {
		at->service = convert_find(g->run, COX_KIND_SERVICE, ns, ref->name);
		if (!at->service)
			at->accepted = (struct ga_fault){ "NoMatchingParent", cox_arena_printf(g->a, "there is no Service %.*s/%.*s",
				                                                               COX_FMT(ns), COX_FMT(ref->name)) };
		else if (r->o->kind == COX_KIND_UDP_ROUTE)
			at->accepted = (struct ga_fault){ "UnsupportedValue", COX_STR("UDP is not supported") };
		else
			attach_to_service(g, r, at);
		return true;
	}
	if (!cox_str_eq_cstr(ga_or(ref->group, GA_GROUP), GA_GROUP))
		return false;
	enum cox_kind owner_kind = cox_str_eq_cstr(kind, "Gateway")       ? COX_KIND_K8S_GATEWAY
	                           : cox_str_eq_cstr(kind, "ListenerSet") ? COX_KIND_LISTENER_SET
	                                                                  : COX_KIND_COUNT;
	at->gateway = owner_kind == COX_KIND_COUNT ? NULL : owner_find(g, owner_kind, ns, ref->name);
	if (!at->gateway)
		return false;
	if (r->o->kind == COX_KIND_UDP_ROUTE)
		at->accepted = (struct ga_fault){ "UnsupportedValue", COX_STR("UDP is not supported") };
	else
		attach_to_listeners(g, r, at, at->gateway);
	return true;
}

static void parent_status_write(struct ga *g, struct cox_json *parents, const struct one *r, const struct attachment *at)
{
	struct cox_json *p = convert_object_push(g->run, parents);
	struct cox_json *ref = convert_object_at(g->run, p, "parentRef");
	if (at->ref->group.set)
		cox_json_set(g->a, ref, COX_STR("group"), cox_json_new_str(g->a, at->ref->group.v)); /* may be empty */
	convert_str_at(g->run, ref, "kind", at->ref->kind.v);
	convert_str_at(g->run, ref, "namespace", at->ref->ns);
	convert_str_at(g->run, ref, "name", at->ref->name);
	convert_str_at(g->run, ref, "sectionName", at->ref->section_name);
	if (at->ref->port.set)
		convert_i64_at(g->run, ref, "port", at->ref->port.v);
	convert_str_at(g->run, p, "controllerName", COX_STR(GA_CONTROLLER));
	struct cox_json *conditions = convert_array_at(g->run, p, "conditions");
	const struct ga_fault *accepted = at->accepted.reason ? &at->accepted : &r->accepted;
	ga_condition_of(g, conditions, r->o, "Accepted", accepted, "Accepted", "The route is in force");
	ga_condition_of(g, conditions, r->o, "ResolvedRefs", &r->resolved, "ResolvedRefs", "All references are resolved");
}

static void route_convert(struct ga *g, const struct cox_object *o)
{
	struct one r = { .o = o, .spec = COX_SPEC(cox_gwapi_route_object, o)->spec };
	if (!r.spec || o->meta.is_deleting)
		return;
	struct cox_json *status = cox_json_new_object(g->a);
	struct attachment *all = COX_ARENA_ARRAY(g->a, struct attachment, r.spec->parents.n + 1);
	size_t n = 0;
	if (is_http(o))
		make_actions(g, &r);
	for (COX_EACH(struct cox_gwapi_ref, ref, r.spec->parents)) {
		all[n] = (struct attachment){ .ref = ref };
		n += parent_convert(g, &r, &all[n]);
	}
	if (!n)
		return;
	/* Of connections' rules the backends were looked at while attaching; for a route that is attached nowhere it is done here. */
	for (COX_EACH(struct cox_gwapi_rule, rule, r.spec->rules))
		if (!is_http(o))
			(void)ga_destinations_write(g, o, rule, cox_json_new_object(g->a), &r.resolved);
	struct cox_json *parents = convert_array_at(g->run, status, "parents");
	for (size_t i = 0; i < n; i++)
		parent_status_write(g, parents, &r, &all[i]);
	convert_status(g->run, o, status);
}

static int by_age(const void *a, const void *b)
{
	const struct cox_object *const *x = a, *const *y = b;
	return cox_object_cmp_age(*x, *y);
}

void ga_routes_convert(struct ga *g)
{
	for (int k = COX_KIND_HTTP_ROUTE; k <= COX_KIND_UDP_ROUTE; k++) {
		const struct cox_object *const *all;
		size_t n = convert_list(g->run, (enum cox_kind)k, &all);
		const struct cox_object **sorted = COX_ARENA_ARRAY(g->a, const struct cox_object *, n + 1);
		for (size_t i = 0; i < n; i++)
			sorted[i] = all[i];
		if (n > 1)
			qsort(sorted, n, sizeof(*sorted), by_age);
		for (size_t i = 0; i < n; i++)
			route_convert(g, sorted[i]);
	}
}
