/* Routes of the Gateway API: one struct, a table for each kind; open messages, which the kube-apiserver has checked. */
#include "model/gateway_api_route.h"
#include "model/tables_priv.h"

#define OPEN .open = true
/* The table `<id>_fields` over the struct of another name. */
#define MESSAGE_OVER(id, of, label)                                                             \
	static const struct cox_message cox_msg_##id = { .name = label,                         \
		                                         .size_bytes = sizeof(struct cox_##of), \
		                                         .fields = id##_fields,                 \
		                                         .field_count = COX_LEN(id##_fields),   \
		                                         .doc = "",                             \
		                                         OPEN }

static const struct cox_field gwapi_name_value_fields[] = {
	F(gwapi_name_value, name, "name", STR, "Name of the header."),
	F(gwapi_name_value, value, "value", STR, "Its value."),
};
static MESSAGE(gwapi_name_value, "HTTPHeader", "", OPEN);
static const struct cox_field gwapi_header_filter_fields[] = {
	F(gwapi_header_filter, set, "set", MSG, "Headers that replace those of the same name.", LIST, SUB(gwapi_name_value)),
	F(gwapi_header_filter, add, "add", MSG, "Headers that are appended.", LIST, SUB(gwapi_name_value)),
	F(gwapi_header_filter, remove, "remove", STR, "Headers that are taken away.", LIST),
};
static MESSAGE(gwapi_header_filter, "HTTPHeaderFilter", "", OPEN);
static const struct cox_field gwapi_path_modifier_fields[] = {
	F(gwapi_path_modifier, type, "type", STR, "ReplaceFullPath or ReplacePrefixMatch."),
	F(gwapi_path_modifier, full, "replaceFullPath", OPT_STR, "The new path."),
	F(gwapi_path_modifier, prefix, "replacePrefixMatch", OPT_STR, "What takes the place of the prefix that was matched."),
};
static MESSAGE(gwapi_path_modifier, "HTTPPathModifier", "", OPEN);
static const struct cox_field gwapi_fraction_fields[] = {
	F(gwapi_fraction, numerator, "numerator", I64, ""),
	F(gwapi_fraction, denominator, "denominator", I64, ""),
};
static MESSAGE(gwapi_fraction, "Fraction", "", OPEN);
static const struct cox_field gwapi_mirror_fields[] = {
	F(gwapi_mirror, backend, "backendRef", MSG, "A service that gets copies.", SUB(gwapi_ref)),
	F(gwapi_mirror, percent, "percent", I64, "Percentage of requests."),
	F(gwapi_mirror, fraction, "fraction", MSG, "Fraction of requests.", SUB(gwapi_fraction)),
};
static MESSAGE(gwapi_mirror, "HTTPRequestMirrorFilter", "", OPEN);
static const struct cox_field gwapi_redirect_fields[] = {
	F(gwapi_redirect, scheme, "scheme", STR, "Scheme of the redirect."),
	F(gwapi_redirect, hostname, "hostname", STR, "Its host."),
	F(gwapi_redirect, path, "path", MSG, "Its path.", SUB(gwapi_path_modifier)),
	F(gwapi_redirect, port, "port", I64, "Its port."),
	F(gwapi_redirect, status_code, "statusCode", I64, "301, 302 (default), 303, 307 or 308."),
};
static MESSAGE(gwapi_redirect, "HTTPRequestRedirectFilter", "", OPEN);
static const struct cox_field gwapi_rewrite_fields[] = {
	F(gwapi_rewrite, hostname, "hostname", STR, "Host of the request to the backend."),
	F(gwapi_rewrite, path, "path", MSG, "Its path.", SUB(gwapi_path_modifier)),
};
static MESSAGE(gwapi_rewrite, "HTTPURLRewriteFilter", "", OPEN);
static const struct cox_field gwapi_cors_fields[] = {
	F(gwapi_cors, allow_origins, "allowOrigins", STR, "Origins; '*' stands for all, or for the first labels.", LIST),
	F(gwapi_cors, allow_methods, "allowMethods", STR, "Methods.", LIST),
	F(gwapi_cors, allow_headers, "allowHeaders", STR, "Headers of requests.", LIST),
	F(gwapi_cors, expose_headers, "exposeHeaders", STR, "Headers of answers that scripts may read.", LIST),
	F(gwapi_cors, allow_credentials, "allowCredentials", OPT_BOOL, "Whether requests may carry credentials."),
	F(gwapi_cors, max_age_s, "maxAge", I64, "Seconds for which a browser may keep the answer."),
};
static MESSAGE(gwapi_cors, "HTTPCORSFilter", "", OPEN);
static const struct cox_field gwapi_filter_fields[] = {
	F(gwapi_filter, type, "type", STR, "Which of the others is set."),
	F(gwapi_filter, request_headers, "requestHeaderModifier", MSG, "Changes of the request's headers.", SUB(gwapi_header_filter)),
	F(gwapi_filter, response_headers, "responseHeaderModifier", MSG, "Changes of the answer's headers.", SUB(gwapi_header_filter)),
	F(gwapi_filter, mirror, "requestMirror", MSG, "Copies of requests.", SUB(gwapi_mirror)),
	F(gwapi_filter, redirect, "requestRedirect", MSG, "Answers with a redirect.", SUB(gwapi_redirect)),
	F(gwapi_filter, rewrite, "urlRewrite", MSG, "Changes host and path.", SUB(gwapi_rewrite)),
	F(gwapi_filter, cors, "cors", MSG, "Cross-origin requests.", SUB(gwapi_cors)),
	F(gwapi_filter, extension, "extensionRef", MSG, "A filter of the implementation; there are none.", SUB(gwapi_ref)),
};
static MESSAGE(gwapi_filter, "HTTPRouteFilter", "", OPEN);

static const struct cox_field gwapi_backend_fields[] = {
	F(gwapi_backend, group, "group", OPT_STR, "Group of the backend; empty: Kubernetes' core."),
	F(gwapi_backend, kind, "kind", OPT_STR, "Its kind; Service by default."),
	F(gwapi_backend, name, "name", STR, "Its name."),
	F(gwapi_backend, ns, "namespace", STR, "Its namespace; the route's by default."),
	F(gwapi_backend, port, "port", I64, "Its port."),
	F(gwapi_backend, weight, "weight", I64, "Its share, relative to the others; 1 by default."),
	F(gwapi_backend, filters, "filters", MSG, "What is done for this backend alone.", LIST, SUB(gwapi_filter)),
};
static MESSAGE(gwapi_backend, "BackendRef", "", OPEN);
static const struct cox_field gwapi_value_match_fields[] = {
	F(gwapi_value_match, name, "name", STR, "Name of the header or parameter."),
	F(gwapi_value_match, type, "type", STR, "Exact or RegularExpression."),
	F(gwapi_value_match, value, "value", STR, "Its value."),
};
static MESSAGE(gwapi_value_match, "HTTPHeaderMatch", "", OPEN);
static const struct cox_field gwapi_path_match_fields[] = {
	F(gwapi_path_match, type, "type", STR, "Exact, PathPrefix or RegularExpression."),
	F(gwapi_path_match, value, "value", STR, "The path."),
};
static MESSAGE(gwapi_path_match, "HTTPPathMatch", "", OPEN);
static const struct cox_field gwapi_method_match_fields[] = {
	F(gwapi_method_match, type, "type", STR, "Exact or RegularExpression."),
	F(gwapi_method_match, service, "service", STR, "The gRPC service."),
	F(gwapi_method_match, method, "method", STR, "The gRPC method."),
};
static MESSAGE(gwapi_method_match, "GRPCMethodMatch", "", OPEN);
static const struct cox_field gwapi_timeouts_fields[] = {
	F(gwapi_timeouts, request_ns, "request", DURATION, "Limit of a request; 0s: none.", NOT_NEGATIVE),
	F(gwapi_timeouts, backend_request_ns, "backendRequest", DURATION, "Limit of each try.", NOT_NEGATIVE),
};
static MESSAGE(gwapi_timeouts, "HTTPRouteTimeouts", "", OPEN);
static const struct cox_field gwapi_retry_fields[] = {
	F(gwapi_retry, codes, "codes", I64, "Answers that are tried again.", LIST),
	F(gwapi_retry, attempts, "attempts", I64, "How often."),
	F(gwapi_retry, backoff_ns, "backoff", DURATION, "Least time between tries.", NOT_NEGATIVE),
};
static MESSAGE(gwapi_retry, "HTTPRouteRetry", "", OPEN);
static const struct cox_field gwapi_cookie_fields[] = {
	F(gwapi_cookie, lifetime_type, "lifetimeType", STR, "Session, or Permanent: for absoluteTimeout."),
};
static MESSAGE(gwapi_cookie, "CookieConfig", "", OPEN);
static const struct cox_field gwapi_session_fields[] = {
	F(gwapi_session, name, "sessionName", STR, "Name of the cookie or header; made of the route's by default."),
	F(gwapi_session, type, "type", STR, "Cookie or Header."),
	F(gwapi_session, absolute_timeout_ns, "absoluteTimeout", DURATION, "How long a permanent cookie lives.", NOT_NEGATIVE),
	F(gwapi_session, idle_timeout_ns, "idleTimeout", DURATION, "Has no effect.", NOT_NEGATIVE),
	F(gwapi_session, cookie, "cookieConfig", MSG, "Of the cookie.", SUB(gwapi_cookie)),
};
static MESSAGE(gwapi_session, "SessionPersistence", "", OPEN);

#define PARENTS \
	F(gwapi_route, parents, "parentRefs", MSG, "Gateways, ListenerSets or Services that the route is for.", LIST, SUB(gwapi_ref))
#define HOSTNAMES F(gwapi_route, hostnames, "hostnames", STR, "Hosts; those of the parent by default.", LIST)
#define RULE_NAME F(gwapi_rule, name, "name", STR, "Name of the rule.")
#define FILTERS F(gwapi_rule, filters, "filters", MSG, "What is done to requests.", LIST, SUB(gwapi_filter))
#define BACKENDS F(gwapi_rule, backends, "backendRefs", MSG, "Where requests go.", LIST, SUB(gwapi_backend))

static const struct cox_field http_match_fields[] = {
	F(gwapi_match, path, "path", MSG, "Path of the request.", SUB(gwapi_path_match)),
	F(gwapi_match, headers, "headers", MSG, "Headers, all of them.", LIST, SUB(gwapi_value_match)),
	F(gwapi_match, query_params, "queryParams", MSG, "Parameters of the query, all of them.", LIST, SUB(gwapi_value_match)),
	F(gwapi_match, method, "method", STR, "Method of the request."),
};
MESSAGE_OVER(http_match, gwapi_match, "HTTPRouteMatch");
static const struct cox_field http_rule_fields[] = {
	RULE_NAME,
	F(gwapi_rule, matches, "matches", MSG, "The rule is taken when one of these holds.", LIST, SUB(http_match)),
	FILTERS,
	BACKENDS,
	F(gwapi_rule, timeouts, "timeouts", MSG, "Time limits.", SUB(gwapi_timeouts)),
	F(gwapi_rule, retry, "retry", MSG, "How failed requests are tried again.", SUB(gwapi_retry)),
	F(gwapi_rule, session_persistence, "sessionPersistence", MSG, "Clients come back to the endpoint that they had.",
	  SUB(gwapi_session)),
};
MESSAGE_OVER(http_rule, gwapi_rule, "HTTPRouteRule");
static const struct cox_field http_spec_fields[] = { PARENTS, HOSTNAMES,
	                                             F(gwapi_route, rules, "rules", MSG, "Rules.", LIST, SUB(http_rule)) };
MESSAGE_OVER(http_spec, gwapi_route, "HTTPRouteSpec");

static const struct cox_field grpc_match_fields[] = {
	F(gwapi_match, grpc, "method", MSG, "Service and method.", SUB(gwapi_method_match)),
	F(gwapi_match, headers, "headers", MSG, "Headers, all of them.", LIST, SUB(gwapi_value_match)),
};
MESSAGE_OVER(grpc_match, gwapi_match, "GRPCRouteMatch");
static const struct cox_field grpc_rule_fields[] = {
	RULE_NAME,
	F(gwapi_rule, matches, "matches", MSG, "The rule is taken when one of these holds.", LIST, SUB(grpc_match)),
	FILTERS,
	BACKENDS,
	F(gwapi_rule, session_persistence, "sessionPersistence", MSG, "Clients come back to the endpoint that they had.",
	  SUB(gwapi_session)),
};
MESSAGE_OVER(grpc_rule, gwapi_rule, "GRPCRouteRule");
static const struct cox_field grpc_spec_fields[] = { PARENTS, HOSTNAMES,
	                                             F(gwapi_route, rules, "rules", MSG, "Rules.", LIST, SUB(grpc_rule)) };
MESSAGE_OVER(grpc_spec, gwapi_route, "GRPCRouteSpec");

static const struct cox_field l4_rule_fields[] = { RULE_NAME, BACKENDS };
MESSAGE_OVER(l4_rule, gwapi_rule, "RouteRule");
static const struct cox_field tls_spec_fields[] = { PARENTS, HOSTNAMES, F(gwapi_route, rules, "rules", MSG, "Rules.", LIST, SUB(l4_rule)) };
MESSAGE_OVER(tls_spec, gwapi_route, "TLSRouteSpec");
static const struct cox_field l4_spec_fields[] = { PARENTS, F(gwapi_route, rules, "rules", MSG, "Rules.", LIST, SUB(l4_rule)) };
MESSAGE_OVER(l4_spec, gwapi_route, "RouteSpec");

#define ROUTE_OBJECT(id, message, label)                                                                                     \
	static const struct cox_field id##_object_fields[] = { F(gwapi_route_object, spec, "spec", MSG, "", SUB(message)) }; \
	const struct cox_message cox_model_##id = { .name = label,                                                           \
		                                    .size_bytes = sizeof(struct cox_gwapi_route_object),                     \
		                                    .fields = id##_object_fields,                                            \
		                                    .field_count = 1,                                                        \
		                                    .doc = "",                                                               \
		                                    OPEN }
ROUTE_OBJECT(gwapi_http_route, http_spec, "HTTPRoute");
ROUTE_OBJECT(gwapi_grpc_route, grpc_spec, "GRPCRoute");
ROUTE_OBJECT(gwapi_tls_route, tls_spec, "TLSRoute");
ROUTE_OBJECT(gwapi_tcp_route, l4_spec, "TCPRoute");
ROUTE_OBJECT(gwapi_udp_route, l4_spec, "UDPRoute");
