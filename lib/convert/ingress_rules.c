/* ingress_rules - the rules of all Ingresses: one VirtualService a host, its paths in the order of precedence. */
#include "convert/ingress_priv.h"

#include "model/core.h"

#include <stdlib.h>

enum match { MATCH_ANY, MATCH_EXACT, MATCH_PREFIX };

struct ing_path {
	enum match match;
	struct cox_str path;
	const struct ingress_one *one;
	struct cox_str field; /* "spec.rules[0].http.paths[1]" */
	const struct cox_ingress_backend *backend;
	bool is_default;
	size_t at; /* in order of age, then as written */
};

struct ing_host {
	struct cox_str host; /* "*" for every */
	const struct ingress_one *first;
	struct cox_str name, field; /* of the VirtualService, and what it was made from */
	COX_VEC(struct ing_path) paths;
	COX_VEC(struct cox_str) gateways;
	bool has_default;
};
typedef COX_VEC(struct ing_host) ing_hosts;

/* --- collecting ---------------------------------------------------------------------------------------------- */

static struct ing_host *host_get(ing_hosts *hosts, struct cox_map *by_name, const struct ingress_one *one, struct cox_str host,
                                 struct cox_str name, struct cox_str field)
{
	uintptr_t at = (uintptr_t)cox_map_find(by_name, host);
	if (!at) {
		struct ing_host *h = cox_vec_add(hosts);
		h->host = host;
		h->first = one;
		h->name = name;
		h->field = field;
		at = hosts->n;
		cox_map_set(by_name, host, (void *)at);
	}
	struct ing_host *h = &hosts->p[at - 1];
	if (!h->gateways.n || !cox_str_eq(h->gateways.p[h->gateways.n - 1], one->gateway))
		cox_vec_push(&h->gateways, one->gateway);
	return h;
}

static struct cox_str without_tail(struct cox_str s, size_t n) { return cox_str_sub(s, 0, s.n - n); }

/* ImplementationSpecific, as istiod: everything for the wildcards, a prefix where one ends the path, else exact. */
static void read_own_style(struct ing_path *p, struct cox_str path)
{
	if (!path.n || cox_str_eq_cstr(path, "*") || cox_str_eq_cstr(path, "/*") || cox_str_eq_cstr(path, ".*"))
		return;
	bool is_prefix = cox_str_has_suffix(path, COX_STR(".*")) || cox_str_has_suffix(path, COX_STR("/*"));
	p->match = is_prefix ? MATCH_PREFIX : MATCH_EXACT;
	p->path = is_prefix ? without_tail(path, 2) : path;
	if (!p->path.n)
		p->match = MATCH_ANY;
}

static void read_path(struct ing_path *p, const struct cox_ingress_path *from)
{
	p->match = MATCH_ANY;
	p->path = (struct cox_str){ 0 };
	if (cox_str_eq_cstr(from->path_type, "Exact")) {
		p->match = MATCH_EXACT;
		p->path = from->path;
	} else if (cox_str_eq_cstr(from->path_type, "Prefix")) {
		p->path = from->path;
		/* By elements: "/foo/" means what "/foo" does. */
		while (p->path.n > 1 && p->path.p[p->path.n - 1] == '/')
			p->path = without_tail(p->path, 1);
		p->match = MATCH_PREFIX;
	} else {
		read_own_style(p, from->path);
	}
}

/* Envoy refuses a route that could never match. */
static bool can_match(struct cox_str path) { return cox_str_find(path, '?') < 0 && cox_str_find(path, '#') < 0; }

static void add_paths(struct convert_run *run, struct ing_host *h, const struct ingress_one *one, size_t rule)
{
	const struct cox_ingress_rule *r = &one->spec->rules.p[rule];
	for (size_t i = 0; i < r->http->paths.n; i++) {
		struct cox_str field = cox_arena_printf(convert_arena(run), "spec.rules[%zu].http.paths[%zu]", rule, i);
		struct ing_path p = { .one = one, .field = field, .backend = r->http->paths.p[i].backend, .at = h->paths.n };
		read_path(&p, &r->http->paths.p[i]);
		if (p.path.n && !can_match(p.path)) {
			convert_finding(run, one->o, COX_SEV_ERROR, field,
			                "path %.*s can match no request: '?' and '#' are not part of a path", COX_FMT(p.path));
			continue;
		}
		cox_vec_push(&h->paths, p);
	}
}

static void add_default(struct ing_host *h, const struct ingress_one *one)
{
	if (h->has_default)
		return;
	h->has_default = true;
	cox_vec_push(&h->paths, ((struct ing_path){ .match = MATCH_ANY,
	                                            .one = one,
	                                            .field = COX_STR("spec.defaultBackend"),
	                                            .backend = one->spec->default_backend,
	                                            .is_default = true,
	                                            .at = h->paths.n }));
}

static void add_ingress(struct convert_run *run, ing_hosts *hosts, struct cox_map *by_name, const struct ingress_one *one)
{
	struct cox_arena *a = convert_arena(run);
	for (size_t i = 0; i < one->spec->rules.n; i++) {
		const struct cox_ingress_rule *r = &one->spec->rules.p[i];
		struct cox_str field = cox_arena_printf(a, "spec.rules[%zu]", i);
		if (!r->http && !one->spec->default_backend) {
			convert_finding(run, one->o, COX_SEV_WARNING, cox_arena_concat(a, field, COX_STR(".http")),
			                "is not set, and there is no defaultBackend: the rule has no effect");
			continue;
		}
		struct cox_str name = cox_arena_printf(a, "%.*s-%zu-" INGRESS_SUFFIX, COX_FMT(one->o->meta.name), i);
		struct ing_host *h = host_get(hosts, by_name, one, r->host.n ? r->host : COX_STR("*"), name, field);
		if (r->http)
			add_paths(run, h, one, i);
		if (one->spec->default_backend)
			add_default(h, one);
	}
	if (one->spec->default_backend)
		add_default(host_get(hosts, by_name, one, COX_STR("*"),
		                     cox_arena_printf(a, "%.*s-default-" INGRESS_SUFFIX, COX_FMT(one->o->meta.name)),
		                     COX_STR("spec.defaultBackend")),
		            one);
}

/* --- order: longer paths first, exact before prefix, older Ingresses first; the default backend last ------------ */

static int by_precedence(const void *a, const void *b)
{
	const struct ing_path *x = a, *y = b;
	if (x->is_default != y->is_default)
		return x->is_default ? 1 : -1;
	if (x->path.n != y->path.n)
		return x->path.n > y->path.n ? -1 : 1;
	if ((x->match == MATCH_EXACT) != (y->match == MATCH_EXACT))
		return x->match == MATCH_EXACT ? -1 : 1;
	return (x->at > y->at) - (x->at < y->at);
}

static bool is_any(const struct ing_path *p)
{
	return p->match == MATCH_ANY || (p->match == MATCH_PREFIX && cox_str_eq_cstr(p->path, "/"));
}

static bool is_same(const struct ing_path *x, const struct ing_path *y)
{
	return (is_any(x) && is_any(y)) || (x->match == y->match && cox_str_eq(x->path, y->path));
}

/* --- backends ------------------------------------------------------------------------------------------------------ */

/* The port's number, or 0 with a finding. Numbers are taken as they are: the service may yet come. */
static int64_t port_of(struct convert_run *run, const struct ing_path *p)
{
	const struct cox_ingress_backend_service *b = p->backend->service;
	struct cox_str where = cox_arena_concat(convert_arena(run), p->field, p->is_default ? COX_STR("") : COX_STR(".backend"));
	const struct cox_object *svc = convert_find(run, COX_KIND_SERVICE, p->one->o->meta.ns, b->name);
	const struct cox_service_spec *spec = svc ? COX_SPEC(cox_service, svc)->spec : NULL;
	int64_t number = b->port && b->port->number.set ? b->port->number.v : 0;
	struct cox_str name = b->port ? b->port->name : (struct cox_str){ 0 };
	if (!svc) {
		convert_finding(run, p->one->o, COX_SEV_WARNING, where, "there is no Service %.*s in namespace %.*s", COX_FMT(b->name),
		                COX_FMT(p->one->o->meta.ns));
		return number;
	}
	if (spec && number && cox_str_eq_cstr(spec->type, "ExternalName"))
		return number; /* it needs to name no ports */
	for (size_t i = 0; spec && i < spec->ports.n; i++)
		if (number ? spec->ports.p[i].port.v == number : cox_str_eq(spec->ports.p[i].name, name))
			return spec->ports.p[i].port.v;
	if (number)
		convert_finding(run, p->one->o, COX_SEV_WARNING, where, "Service %.*s has no port %lld", COX_FMT(b->name),
		                (long long)number);
	else
		convert_finding(run, p->one->o, COX_SEV_WARNING, where, "Service %.*s has no port named %.*s", COX_FMT(b->name),
		                COX_FMT(name));
	return 0;
}

static void backend_write(struct convert_run *run, struct cox_json *route, const struct ing_path *p)
{
	int64_t port = 0;
	if (p->backend && p->backend->service)
		port = port_of(run, p);
	else
		convert_finding(run, p->one->o, COX_SEV_ERROR, p->field,
		                "only a Service can be a backend: its requests are answered with 503");
	if (!port) {
		/* Not left out: another path must not get what was meant for this one. */
		convert_i64_at(run, convert_object_at(run, route, "directResponse"), "status", 503);
		return;
	}
	struct cox_json *d = convert_object_at(run, convert_object_push(run, convert_array_at(run, route, "route")), "destination");
	convert_str_at(run, d, "host", convert_host(run, p->backend->service->name, p->one->o->meta.ns));
	convert_i64_at(run, convert_object_at(run, d, "port"), "number", port);
}

/* --- documents ----------------------------------------------------------------------------------------------------- */

static void path_write(struct convert_run *run, struct cox_json *http, const struct ing_path *p)
{
	struct cox_json *route = convert_object_push(run, http);
	if (p->match != MATCH_ANY) {
		struct cox_json *m = convert_object_push(run, convert_array_at(run, route, "match"));
		convert_str_at(run, convert_object_at(run, m, "uri"), p->match == MATCH_EXACT ? "exact" : "prefix", p->path);
	}
	backend_write(run, route, p);
}

static void host_emit(struct convert_run *run, struct ing_host *h)
{
	struct cox_json *spec;
	struct cox_json *doc = convert_doc_new(run, COX_KIND_VIRTUAL_SERVICE, h->first->o->meta.ns, h->name, h->first->o, &spec);
	/* Prefixes match whole elements of a path. */
	convert_doc_annotate(run, doc, "internal.istio.io/route-semantics", COX_STR("ingress"));
	convert_str_push(run, convert_array_at(run, spec, "hosts"), h->host);
	struct cox_json *gateways = convert_array_at(run, spec, "gateways");
	for (size_t i = 0; i < h->gateways.n; i++)
		convert_str_push(run, gateways, h->gateways.p[i]);
	convert_str_push(run, convert_array_at(run, spec, "exportTo"), COX_STR("*"));
	struct cox_json *http = convert_array_at(run, spec, "http");
	if (h->paths.n)
		qsort(h->paths.p, h->paths.n, sizeof(*h->paths.p), by_precedence);
	for (size_t i = 0; i < h->paths.n; i++) {
		const struct ing_path *p = &h->paths.p[i], *before = NULL;
		for (size_t k = 0; k < i && !before; k++)
			before = is_same(p, &h->paths.p[k]) ? &h->paths.p[k] : NULL;
		if (!before)
			path_write(run, http, p);
		else if (!p->is_default)
			convert_finding(run, p->one->o, COX_SEV_WARNING, p->field,
			                "has no effect: %.*s of %.*s, which comes first, has the same path of host %.*s",
			                COX_FMT(before->field), COX_FMT(before->one->o->id), COX_FMT(h->host));
	}
	if (http->n)
		convert_emit(run, doc, h->first->o, h->field);
}

void ingress_rules_convert(struct convert_run *run, const struct ingress_one *all, size_t n)
{
	ing_hosts hosts = { 0 };
	struct cox_map by_name = { 0 };
	for (size_t i = 0; i < n; i++)
		add_ingress(run, &hosts, &by_name, &all[i]);
	for (size_t i = 0; i < hosts.n; i++) {
		host_emit(run, &hosts.p[i]);
		cox_vec_fini(&hosts.p[i].paths);
		cox_vec_fini(&hosts.p[i].gateways);
	}
	cox_vec_fini(&hosts);
	cox_map_fini(&by_name);
}
