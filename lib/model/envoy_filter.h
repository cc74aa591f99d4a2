/*
 * envoy_filter - EnvoyFilter (networking.istio.io), every field of it. A patch's value is checked against the Envoy API when the object
 * is read: one that Envoy cannot know is refused by itself (is_refused), and the rest of the object stays in force.
 */
#ifndef COX_MODEL_ENVOY_FILTER_H
#define COX_MODEL_ENVOY_FILTER_H

#include "envoy/table.h"
#include "model/common.h"

enum cox_apply_to {
	COX_APPLY_INVALID,
	COX_APPLY_LISTENER,
	COX_APPLY_FILTER_CHAIN,
	COX_APPLY_NETWORK_FILTER,
	COX_APPLY_HTTP_FILTER,
	COX_APPLY_ROUTE_CONFIGURATION,
	COX_APPLY_VIRTUAL_HOST,
	COX_APPLY_HTTP_ROUTE,
	COX_APPLY_CLUSTER,
	COX_APPLY_EXTENSION_CONFIG,
	COX_APPLY_BOOTSTRAP,
	COX_APPLY_LISTENER_FILTER,
	COX_APPLY_COUNT
};
enum cox_patch_context {
	COX_PATCH_ANY,
	COX_PATCH_SIDECAR_INBOUND,
	COX_PATCH_SIDECAR_OUTBOUND,
	COX_PATCH_GATEWAY,
	COX_PATCH_WAYPOINT,
};
enum cox_patch_op {
	COX_OP_INVALID,
	COX_OP_MERGE,
	COX_OP_ADD,
	COX_OP_REMOVE,
	COX_OP_INSERT_BEFORE,
	COX_OP_INSERT_AFTER,
	COX_OP_INSERT_FIRST,
	COX_OP_REPLACE,
	COX_OP_MERGE_AND_REPLACE_LIST,
	COX_OP_COUNT
};
enum cox_filter_class { COX_FILTER_CLASS_UNSPECIFIED, COX_FILTER_CLASS_AUTHN, COX_FILTER_CLASS_AUTHZ, COX_FILTER_CLASS_STATS };
enum cox_route_action_kind { COX_ROUTE_ANY, COX_ROUTE_ROUTE, COX_ROUTE_REDIRECT, COX_ROUTE_DIRECT_RESPONSE };

struct cox_patch_proxy {
	struct cox_str proxy_version; /* RE2, found anywhere in ISTIO_VERSION */
	COX_LIST(struct cox_kv) metadata;
};
struct cox_patch_sub_filter {
	struct cox_str name;
};
struct cox_patch_filter {
	struct cox_str name;
	const struct cox_patch_sub_filter *sub_filter;
};
struct cox_patch_chain {
	struct cox_str name, sni, transport_protocol, application_protocols, transport_socket;
	struct cox_opt_i64 destination_port;
	const struct cox_patch_filter *filter;
};
struct cox_patch_listener {
	struct cox_opt_i64 port_number;
	struct cox_str port_name, name, listener_filter;
	const struct cox_patch_chain *filter_chain;
};
struct cox_patch_route {
	struct cox_str name;
	int action;
};
struct cox_patch_vhost {
	struct cox_str name, domain_name;
	const struct cox_patch_route *route;
};
struct cox_patch_route_config {
	struct cox_opt_i64 port_number;
	struct cox_str port_name, gateway, name;
	const struct cox_patch_vhost *vhost;
};
struct cox_patch_cluster {
	struct cox_opt_i64 port_number;
	struct cox_str service, subset, name;
};
struct cox_patch_waypoint {
	struct cox_opt_i64 port_number;
	const struct cox_patch_filter *filter;
	const struct cox_patch_route *route;
};
struct cox_patch_match {
	int context;
	const struct cox_patch_proxy *proxy;
	const struct cox_patch_listener *listener;
	const struct cox_patch_route_config *route_configuration;
	const struct cox_patch_cluster *cluster;
	const struct cox_patch_waypoint *waypoint;
};
struct cox_patch {
	int operation, filter_class;
	struct cox_str value; /* JSON */
};
struct cox_config_patch {
	int apply_to;
	const struct cox_patch_match *match;
	const struct cox_patch *patch;
};
struct cox_target_ref {
	struct cox_str group, kind, name, ns;
};
struct cox_envoy_filter {
	const struct cox_workload_selector *workload_selector;
	COX_LIST(struct cox_target_ref) target_refs;
	COX_LIST(struct cox_config_patch) config_patches;
	struct cox_opt_i64 priority;
};
struct cox_envoy_filter_object {
	const struct cox_envoy_filter *spec;
};

/* "HTTP_FILTER", "INSERT_BEFORE", "SIDECAR_INBOUND". */
const char *cox_apply_to_name(int apply_to);
const char *cox_patch_op_name(int op);
const char *cox_patch_context_name(int context);
/* The message of the Envoy API that a patch's value is; NULL: there is none (INVALID). */
const struct cox_envoy_message *cox_patch_message(int apply_to);
/* Why this patch cannot be applied by anybody, or NULL: an operation that its object does not know, a value that Envoy does not. What was
 * found wrong in the value is told in `err` (its path is that inside the value). With `out` the value in the transcoder's own form (names
 * of the .proto files, defaults left out), in `arena`; NULL for operations that need none. */
const char *cox_patch_refusal(const struct cox_config_patch *p, struct cox_arena *arena, struct cox_json **out, struct cox_err *err);
/* Of everything in it. */
struct cox_hash cox_config_patch_hash(const struct cox_config_patch *p);
/* The name that Envoy has today for a filter: "envoy.filters.http.router" for "envoy.router"; others as they are. */
struct cox_str cox_filter_canonical_name(struct cox_str name);

#endif
