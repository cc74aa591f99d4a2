/* Kinds of the Service Mesh Interface: their CRDs are not ours, so unknown fields are left to the kube-apiserver. */
#include "model/smi.h"

#include "model/tables_priv.h"

#include <math.h>

#define OPEN .open = true

static const struct cox_field smi_ref_fields[] = {
	F(smi_ref, kind, "kind", STR, "HTTPRouteGroup."),
	F(smi_ref, name, "name", STR, "Its name, in the same namespace."),
};
static MESSAGE(smi_ref, "TypedLocalObjectReference", "", OPEN);
static const struct cox_field split_backend_fields[] = {
	F(split_backend, service, "service", STR, "A service of the same namespace.", REQUIRED),
	F(split_backend, weight, "weight", RAW, "Its share, against those of the others."),
};
static MESSAGE(split_backend, "TrafficSplitBackend", "", OPEN);
static const struct cox_field split_fields[] = {
	F(split, backends, "backends", MSG, "Where requests go.", LIST, SUB(split_backend)),
	F(split, matches, "matches", MSG, "Which requests are split; all by default.", LIST, SUB(smi_ref)),
	F(split, service, "service", STR, "The service that clients call.", REQUIRED),
};
static MESSAGE(split, "TrafficSplitSpec", "", OPEN);
static const struct cox_field traffic_split_fields[] = { F(traffic_split, spec, "spec", MSG, "What is split.", REQUIRED, SUB(split)) };
OBJECT(traffic_split, traffic_split, "TrafficSplit", "Shares of a service's traffic for other services.", OPEN);

static const struct cox_field smi_http_match_fields[] = {
	F(smi_http_match, headers, "headers", RAW, "Headers and regular expressions for them."),
	F(smi_http_match, methods, "methods", STR, "Methods; '*' is any.", LIST),
	F(smi_http_match, name, "name", STR, "What rules call it."),
	F(smi_http_match, path_regex, "pathRegex", STR, "Regular expression of the path."),
};
static MESSAGE(smi_http_match, "HTTPMatch", "", OPEN);
static const struct cox_field http_group_fields[] = { F(http_group, matches, "matches", MSG, "Requests.", LIST, SUB(smi_http_match)) };
static MESSAGE(http_group, "HTTPRouteGroupSpec", "", OPEN);
static const struct cox_field http_route_group_fields[] = {
	F(http_route_group, matches, "matches", MSG, "Requests, in older versions.", LIST, SUB(smi_http_match)),
	F(http_route_group, spec, "spec", MSG, "Requests.", SUB(http_group)),
};
OBJECT(http_route_group, http_route_group, "HTTPRouteGroup", "HTTP requests that rules refer to.", OPEN);

static const struct cox_field smi_port_match_fields[] = {
	F(smi_port_match, ports, "ports", I64, "Ports; every one by default.", LIST),
};
static MESSAGE(smi_port_match, "PortMatch", "", OPEN);
static const struct cox_field smi_ports_fields[] = { F(smi_ports, matches, "matches", MSG, "Connections.", SUB(smi_port_match)) };
static MESSAGE(smi_ports, "PortRouteSpec", "", OPEN);
static const struct cox_field smi_port_route_fields[] = { F(smi_port_route, spec, "spec", MSG, "Connections.", SUB(smi_ports)) };
OBJECT(smi_port_route, smi_port_route, "TCPRoute", "Connections that rules refer to.", OPEN);

static const struct cox_field smi_subject_fields[] = {
	F(smi_subject, kind, "kind", STR, "ServiceAccount."),
	F(smi_subject, name, "name", STR, "Its name."),
	F(smi_subject, ns, "namespace", STR, "Its namespace."),
	F(smi_subject, port, "port", INT_OR_STR, "Only this port, of a destination."),
};
static MESSAGE(smi_subject, "IdentityBindingSubject", "", OPEN);
static const struct cox_field smi_rule_fields[] = {
	F(smi_rule, kind, "kind", STR, "HTTPRouteGroup or TCPRoute."),
	F(smi_rule, matches, "matches", STR, "Names of matches in the group; all by default.", LIST),
	F(smi_rule, name, "name", STR, "Its name."),
};
static MESSAGE(smi_rule, "TrafficTargetRule", "", OPEN);
static const struct cox_field smi_access_fields[] = {
	F(smi_access, destination, "destination", MSG, "Whose workloads are protected.", SUB(smi_subject)),
	F(smi_access, rules, "rules", MSG, "What may be called.", LIST, SUB(smi_rule)),
	F(smi_access, sources, "sources", MSG, "Who may call.", LIST, SUB(smi_subject)),
};
static MESSAGE(smi_access, "TrafficTargetSpec", "", OPEN);
static const struct cox_field traffic_target_fields[] = {
	F(traffic_target, destination, "destination", MSG, "The same in v1alpha1.", SUB(smi_subject)),
	F(traffic_target, sources, "sources", MSG, "The same in v1alpha1.", LIST, SUB(smi_subject)),
	F(traffic_target, spec, "spec", MSG, "Who may call what.", SUB(smi_access)),
	F(traffic_target, specs, "specs", MSG, "The rules, in v1alpha1.", LIST, SUB(smi_rule)),
};
OBJECT(traffic_target, traffic_target, "TrafficTarget", "Who may call the workloads of a service account.", OPEN);

/* --- versions made one ------------------------------------------------------------------------------------ */

size_t cox_smi_http_matches(const struct cox_http_route_group *g, const struct cox_smi_http_match **out)
{
	bool is_old = !g->spec || !g->spec->matches.n;
	*out = is_old ? g->matches.p : g->spec->matches.p;
	return is_old ? g->matches.n : g->spec->matches.n;
}

struct cox_smi_access cox_smi_access_of(const struct cox_traffic_target *t)
{
	if (t->spec)
		return *t->spec;
	struct cox_smi_access a = { .destination = t->destination };
	a.sources.p = t->sources.p, a.sources.n = t->sources.n;
	a.rules.p = t->specs.p, a.rules.n = t->specs.n;
	return a;
}

uint16_t cox_smi_port(const struct cox_smi_subject *s)
{
	int64_t port = s->port.set && !s->port.s.n ? s->port.i : 0;
	if (s->port.set && s->port.s.n && cox_str_to_i64(s->port.s, &port) != COX_OK)
		port = 0;
	return port > 0 && port <= UINT16_MAX ? (uint16_t)port : 0;
}

bool cox_smi_is_any_method(const struct cox_smi_http_match *m)
{
	for (COX_EACH(struct cox_str, method, m->methods))
		if (cox_str_eq_cstr(*method, "*"))
			return true;
	return m->methods.n == 0;
}

static size_t add_headers(const struct cox_json *map, struct cox_arena *arena, struct cox_kv *to, size_t n)
{
	for (size_t i = 0; map->type == COX_JSON_OBJECT && i < map->n; i++)
		if (map->members[i].value.type == COX_JSON_STRING)
			to[n++] = (struct cox_kv){ cox_arena_lower(arena, map->members[i].key), map->members[i].value.text };
	return n;
}

size_t cox_smi_headers(const struct cox_smi_http_match *m, struct cox_arena *arena, const struct cox_kv **out)
{
	struct cox_json *v = NULL;
	size_t max = 0, n = 0;
	*out = NULL;
	if (!m->headers.n || cox_json_parse(arena, m->headers, &v, NULL) != COX_OK)
		return 0;
	for (size_t i = 0; v->type == COX_JSON_ARRAY && i < v->n; i++)
		max += v->items[i].type == COX_JSON_OBJECT ? v->items[i].n : 0;
	struct cox_kv *kvs = COX_ARENA_ARRAY(arena, struct cox_kv, max + v->n + 1);
	for (size_t i = 0; v->type == COX_JSON_ARRAY && i < v->n; i++)
		n = add_headers(&v->items[i], arena, kvs, n);
	n = add_headers(v, arena, kvs, n);
	*out = kvs;
	return n;
}

/* --- quantities ----------------------------------------------------------------------------------------------- */

enum cox_rc cox_smi_weight(struct cox_str json, int64_t *out)
{
	static const struct {
		const char *suffix;
		double factor;
	} units[] = { { "Ki", 1024 }, { "Mi", 1048576 }, { "n", 1e-9 }, { "u", 1e-6 }, { "m", 1e-3 }, { "k", 1e3 }, { "M", 1e6 } };
	static const double WEIGHT_MAX = 4294967; /* thousandths of it fit Envoy's 32 bits */
	struct cox_str s = json;
	double v, factor = 1;
	if (s.n >= 2 && s.p[0] == '"')
		s = cox_str_sub(s, 1, s.n - 2);
	for (size_t i = 0; i < COX_LEN(units) && factor == 1; i++)
		if (cox_str_has_suffix(s, cox_str_of(units[i].suffix))) {
			factor = units[i].factor;
			s = cox_str_sub(s, 0, s.n - cox_str_of(units[i].suffix).n);
		}
	if (cox_str_to_f64(s, &v) != COX_OK || !(v >= 0) || v * factor > WEIGHT_MAX)
		return COX_EINVAL;
	*out = (int64_t)ceil(v * factor * 1000 - 1e-6);
	return COX_OK;
}
