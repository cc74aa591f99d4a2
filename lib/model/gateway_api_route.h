/*
 * gateway_api_route - routes of the Gateway API: HTTPRoute, GRPCRoute, TLSRoute, TCPRoute and UDPRoute are one struct; each kind's table
 * names the fields that it has.
 */
#ifndef COX_MODEL_GATEWAY_API_ROUTE_H
#define COX_MODEL_GATEWAY_API_ROUTE_H

#include "model/gateway_api.h"

struct cox_gwapi_name_value {
	struct cox_str name, value;
};
struct cox_gwapi_header_filter {
	COX_LIST(struct cox_gwapi_name_value) set, add;
	COX_LIST(struct cox_str) remove;
};
struct cox_gwapi_path_modifier {
	struct cox_str type; /* ReplaceFullPath, ReplacePrefixMatch */
	struct cox_opt_str full, prefix;
};
struct cox_gwapi_fraction {
	struct cox_opt_i64 numerator, denominator; /* denominator unset: 100 */
};
struct cox_gwapi_mirror {
	const struct cox_gwapi_ref *backend;
	struct cox_opt_i64 percent;
	const struct cox_gwapi_fraction *fraction;
};
struct cox_gwapi_redirect {
	struct cox_str scheme, hostname;
	const struct cox_gwapi_path_modifier *path;
	struct cox_opt_i64 port, status_code;
};
struct cox_gwapi_rewrite {
	struct cox_str hostname;
	const struct cox_gwapi_path_modifier *path;
};
struct cox_gwapi_cors {
	COX_LIST(struct cox_str) allow_origins, allow_methods, allow_headers, expose_headers;
	struct cox_opt_bool allow_credentials;
	struct cox_opt_i64 max_age_s;
};
struct cox_gwapi_filter {
	struct cox_str type; /* the member of that name is set */
	const struct cox_gwapi_header_filter *request_headers, *response_headers;
	const struct cox_gwapi_mirror *mirror;
	const struct cox_gwapi_redirect *redirect;
	const struct cox_gwapi_rewrite *rewrite;
	const struct cox_gwapi_cors *cors;
	const struct cox_gwapi_ref *extension;
};
struct cox_gwapi_backend {
	struct cox_opt_str group, kind;
	struct cox_str name, ns;
	struct cox_opt_i64 port, weight; /* weight unset: 1 */
	COX_LIST(struct cox_gwapi_filter) filters;
};
struct cox_gwapi_value_match {
	struct cox_str name, type, value; /* type: Exact (also empty), RegularExpression */
};
struct cox_gwapi_path_match {
	struct cox_str type, value; /* PathPrefix "/" when unset */
};
struct cox_gwapi_method_match { /* GRPCRoute */
	struct cox_str type, service, method;
};
struct cox_gwapi_match {
	const struct cox_gwapi_path_match *path;
	COX_LIST(struct cox_gwapi_value_match) headers, query_params;
	struct cox_str method;                     /* HTTPRoute */
	const struct cox_gwapi_method_match *grpc; /* GRPCRoute */
};
struct cox_gwapi_timeouts {
	struct cox_opt_i64 request_ns, backend_request_ns;
};
struct cox_gwapi_retry {
	COX_LIST(struct cox_opt_i64) codes;
	struct cox_opt_i64 attempts, backoff_ns;
};
struct cox_gwapi_cookie {
	struct cox_str lifetime_type; /* Session (also empty), Permanent */
};
struct cox_gwapi_session {
	struct cox_str name, type; /* Cookie (also empty), Header */
	struct cox_opt_i64 absolute_timeout_ns, idle_timeout_ns;
	const struct cox_gwapi_cookie *cookie;
};
struct cox_gwapi_rule {
	struct cox_str name;
	COX_LIST(struct cox_gwapi_match) matches;
	COX_LIST(struct cox_gwapi_filter) filters;
	COX_LIST(struct cox_gwapi_backend) backends;
	const struct cox_gwapi_timeouts *timeouts;
	const struct cox_gwapi_retry *retry;
	const struct cox_gwapi_session *session_persistence; /* channel "experimental" */
};
struct cox_gwapi_route {
	COX_LIST(struct cox_gwapi_ref) parents;
	COX_LIST(struct cox_str) hostnames;
	COX_LIST(struct cox_gwapi_rule) rules;
};
struct cox_gwapi_route_object {
	const struct cox_gwapi_route *spec;
};

#endif
