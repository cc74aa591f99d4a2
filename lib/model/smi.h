/*
 * smi - Service Mesh Interface: TrafficSplit (split.smi-spec.io), HTTPRouteGroup, TCPRoute and UDPRoute (specs.smi-spec.io), TrafficTarget
 * (access.smi-spec.io), in all their versions: what older ones have outside of spec stands beside it here.
 */
#ifndef COX_MODEL_SMI_H
#define COX_MODEL_SMI_H

#include "model/object.h"

struct cox_smi_ref {
	struct cox_str kind, name;
};
struct cox_split_backend {
	struct cox_str service;
	struct cox_str weight; /* JSON: a number, or a quantity in quotes (v1alpha1); cox_smi_weight() */
};
struct cox_split {
	struct cox_str service;
	COX_LIST(struct cox_split_backend) backends;
	COX_LIST(struct cox_smi_ref) matches; /* since v1alpha3 */
};
struct cox_traffic_split {
	const struct cox_split *spec;
};
/* Thousandths, rounded up: "500m" is 500, 2 is 2000, "0.5" is 500, "1k" is 1000000. COX_EINVAL: no quantity, or a negative one. */
COX_MUST_USE enum cox_rc cox_smi_weight(struct cox_str json, int64_t *out);

struct cox_smi_http_match {
	struct cox_str name, path_regex;
	COX_LIST(struct cox_str) methods;
	struct cox_str headers; /* JSON: a map, or (before v1alpha3) a list of maps; cox_smi_headers() */
};
struct cox_http_group {
	COX_LIST(struct cox_smi_http_match) matches;
};
struct cox_http_route_group {
	const struct cox_http_group *spec;
	COX_LIST(struct cox_smi_http_match) matches; /* v1alpha1, v1alpha2 */
};
/* The matches, wherever they stand. */
size_t cox_smi_http_matches(const struct cox_http_route_group *g, const struct cox_smi_http_match **out);
/* Names in lower case, and regular expressions; in `arena`. */
size_t cox_smi_headers(const struct cox_smi_http_match *m, struct cox_arena *arena, const struct cox_kv **out);
/* Whether every method is meant. */
bool cox_smi_is_any_method(const struct cox_smi_http_match *m);

struct cox_smi_port_match {
	COX_LIST(struct cox_opt_i64) ports; /* none: every port */
};
struct cox_smi_ports {
	const struct cox_smi_port_match *matches;
};
struct cox_smi_port_route { /* TCPRoute, UDPRoute */
	const struct cox_smi_ports *spec;
};

struct cox_smi_subject {
	struct cox_str kind, name, ns; /* ns empty: that of the object */
	struct cox_int_or_str port;    /* of a destination */
};
struct cox_smi_rule {
	struct cox_str kind, name;
	COX_LIST(struct cox_str) matches; /* of a group, by name; none: all */
};
struct cox_smi_access {
	const struct cox_smi_subject *destination;
	COX_LIST(struct cox_smi_subject) sources;
	COX_LIST(struct cox_smi_rule) rules;
};
struct cox_traffic_target {
	const struct cox_smi_access *spec;
	const struct cox_smi_subject *destination; /* v1alpha1 has these three outside */
	COX_LIST(struct cox_smi_subject) sources;
	COX_LIST(struct cox_smi_rule) specs;
};
/* The same for every version. */
struct cox_smi_access cox_smi_access_of(const struct cox_traffic_target *t);
/* The destination's port, 0: every one. */
uint16_t cox_smi_port(const struct cox_smi_subject *s);

#endif
