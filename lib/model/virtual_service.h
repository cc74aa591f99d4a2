/*
 * virtual_service - VirtualService (networking.istio.io), every field of it. Fields without effect are marked in the table.
 */
#ifndef COX_MODEL_VIRTUAL_SERVICE_H
#define COX_MODEL_VIRTUAL_SERVICE_H

#include "model/common.h"

struct cox_header_values {
	COX_LIST(struct cox_kv) set, add;
	COX_LIST(struct cox_str) remove;
};
struct cox_header_ops {
	const struct cox_header_values *request, *response;
};

struct cox_http_match {
	struct cox_str name, source_namespace, stat_prefix;
	const struct cox_string_match *uri, *scheme, *method, *authority;
	COX_LIST(struct cox_string_match_entry) headers, without_headers, query_params;
	struct cox_opt_i64 port;
	COX_LIST(struct cox_kv) source_labels;
	COX_LIST(struct cox_str) gateways;
	bool ignore_uri_case;
};
struct cox_http_route_destination {
	const struct cox_destination *destination;
	struct cox_opt_i64 weight;
	const struct cox_header_ops *headers;
};
enum cox_redirect_port {
	COX_REDIRECT_PORT_UNSET,
	COX_REDIRECT_FROM_PROTOCOL_DEFAULT,
	COX_REDIRECT_FROM_REQUEST_PORT
}; /* enum text in YAML: FROM_PROTOCOL_DEFAULT, FROM_REQUEST_PORT */
struct cox_http_redirect {
	struct cox_str uri, authority, scheme;
	struct cox_opt_str prefix_rewrite;
	struct cox_opt_i64 port, redirect_code;
	int derive_port;
};
struct cox_http_body {
	struct cox_opt_str string, bytes;
};
struct cox_http_direct_response {
	struct cox_opt_i64 status;
	const struct cox_http_body *body;
};
struct cox_delegate {
	struct cox_str name, ns;
};
struct cox_regex_rewrite {
	struct cox_str match, rewrite;
};
struct cox_http_rewrite {
	struct cox_str uri, authority;
	const struct cox_regex_rewrite *uri_regex_rewrite;
};
struct cox_fault_delay {
	struct cox_opt_i64 percent, fixed_delay_ns, exponential_delay_ns;
	const struct cox_percent *percentage;
};
struct cox_fault_abort {
	struct cox_opt_i64 http_status;
	struct cox_str grpc_status, http2_error;
	const struct cox_percent *percentage;
};
struct cox_fault_injection {
	const struct cox_fault_delay *delay;
	const struct cox_fault_abort *abort;
};
struct cox_http_mirror {
	const struct cox_destination *destination;
	const struct cox_percent *percentage;
};
enum cox_unmatched_preflights { COX_PREFLIGHTS_UNSPECIFIED, COX_PREFLIGHTS_FORWARD, COX_PREFLIGHTS_IGNORE };
struct cox_cors_policy {
	COX_LIST(struct cox_string_match) allow_origins;
	COX_LIST(struct cox_str) allow_origin, allow_methods, allow_headers, expose_headers; /* allow_origin: deprecated, exact */
	struct cox_opt_i64 max_age_ns;
	struct cox_opt_bool allow_credentials;
	int unmatched_preflights;
};
struct cox_http_route {
	struct cox_str name;
	COX_LIST(struct cox_http_match) match;
	COX_LIST(struct cox_http_route_destination) route;
	const struct cox_http_redirect *redirect;
	const struct cox_http_direct_response *direct_response;
	const struct cox_delegate *delegate;
	const struct cox_http_rewrite *rewrite;
	struct cox_opt_i64 timeout_ns;
	const struct cox_retry *retries;
	const struct cox_fault_injection *fault;
	const struct cox_destination *mirror;
	COX_LIST(struct cox_http_mirror) mirrors;
	struct cox_opt_i64 mirror_percent;
	const struct cox_percent *mirror_percentage;
	const struct cox_cors_policy *cors_policy;
	const struct cox_header_ops *headers;
	/* Not of the object, set where delegates are merged in: where the route stands in the root's http[], counted from 1 (0: where it is
	 * in the list), and in that of the root's delegate (0: none). */
	uint32_t root_place, leaf_place;
};
struct cox_l4_route_destination {
	const struct cox_destination *destination;
	struct cox_opt_i64 weight;
};
struct cox_tls_match {
	COX_LIST(struct cox_str) sni_hosts, destination_subnets, gateways;
	struct cox_opt_i64 port;
	COX_LIST(struct cox_kv) source_labels;
	struct cox_str source_namespace;
};
struct cox_tls_route {
	COX_LIST(struct cox_tls_match) match;
	COX_LIST(struct cox_l4_route_destination) route;
};
struct cox_tcp_match {
	COX_LIST(struct cox_str) destination_subnets, gateways;
	struct cox_opt_i64 port;
	struct cox_str source_subnet, source_namespace;
	COX_LIST(struct cox_kv) source_labels;
};
struct cox_tcp_route {
	COX_LIST(struct cox_tcp_match) match;
	COX_LIST(struct cox_l4_route_destination) route;
};

struct cox_virtual_service {
	COX_LIST(struct cox_str) hosts, gateways, export_to;
	COX_LIST(struct cox_http_route) http;
	COX_LIST(struct cox_tls_route) tls;
	COX_LIST(struct cox_tcp_route) tcp;
};
/* As the object holds it: the document's "spec" member. */
struct cox_virtual_service_object {
	const struct cox_virtual_service *spec;
};

#endif
