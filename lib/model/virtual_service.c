#include "model/virtual_service.h"
#include "model/tables_priv.h"

#include <stdio.h>

#define GATEWAYS_DOC "Gateways by \"namespace/name\" or name; \"mesh\" stands for all sidecars."

static const struct cox_field header_values_fields[] = {
	F(header_values, set, "set", STR_MAP, "Headers that replace those of the same name."),
	F(header_values, add, "add", STR_MAP, "Headers that are appended."),
	F(header_values, remove, "remove", STR, "Headers that are taken away.", LIST, .pattern = "header"),
};
/* Pseudo headers belong to the request line; of them the authority alone may be set. */
static void pseudo_check(const struct cox_kv *p, size_t n, const char *map, const char *path, struct cox_diags *d)
{
	for (size_t i = 0; i < n; i++)
		if (cox_str_has_prefix(p[i].key, COX_STR(":")) && !cox_str_eq_cstr(p[i].key, ":authority"))
			cox_diag_add(d, COX_SEV_ERROR, 0, path, "%s: \"%.*s\" cannot be changed; use rewrite", map, COX_FMT(p[i].key));
}

static void header_values_check(const void *value, const char *path, struct cox_diags *d)
{
	const struct cox_header_values *v = value;
	pseudo_check(v->set.p, v->set.n, "set", path, d);
	pseudo_check(v->add.p, v->add.n, "add", path, d);
	for (COX_EACH(struct cox_kv, kv, v->set))
		if (cox_format_check("header", kv->key))
			cox_diag_add(d, COX_SEV_ERROR, 0, path, "set: \"%.*s\" is no name of an HTTP header", COX_FMT(kv->key));
	for (COX_EACH(struct cox_kv, kv, v->add))
		if (cox_format_check("header", kv->key))
			cox_diag_add(d, COX_SEV_ERROR, 0, path, "add: \"%.*s\" is no name of an HTTP header", COX_FMT(kv->key));
}
static MESSAGE(header_values, "HeaderOperations", "Changes of headers.", .check = header_values_check);

static const struct cox_field header_ops_fields[] = {
	F(header_ops, request, "request", MSG, "Of the request, before it is sent on.", SUB(header_values)),
	F(header_ops, response, "response", MSG, "Of the response, before it is returned.", SUB(header_values)),
};
static MESSAGE(header_ops, "Headers", "Changes of headers.");

static const struct cox_field http_match_fields[] = {
	F(http_match, name, "name", STR, "Name of this condition, part of the route's name."),
	F(http_match, uri, "uri", MSG, "Path of the request.", SUB(string_match)),
	F(http_match, scheme, "scheme", MSG, "Scheme of the request.", SUB(string_match)),
	F(http_match, method, "method", MSG, "Method of the request.", SUB(string_match)),
	F(http_match, authority, "authority", MSG, "Authority (Host) of the request.", SUB(string_match)),
	F(http_match, headers, "headers", MSG_MAP, "Headers by name, in lower case.", SUB(string_match_entry)),
	F(http_match, port, "port", I64, "Port on which the request came in.", .pattern = "port", .min = 1, .max = 65535),
	F(http_match, source_labels, "sourceLabels", STR_MAP, "Labels of the client's workload.", .pattern = "labels"),
	F(http_match, gateways, "gateways", STR, GATEWAYS_DOC, LIST, .pattern = "gatewayName"),
	F(http_match, query_params, "queryParams", MSG_MAP, "Parameters of the query by name.", SUB(string_match_entry)),
	F(http_match, ignore_uri_case, "ignoreUriCase", BOOL, "Takes letters of the path in either case; for exact and prefix."),
	F(http_match, without_headers, "withoutHeaders", MSG_MAP, "Headers that must not match.", SUB(string_match_entry)),
	F(http_match, source_namespace, "sourceNamespace", STR, "Namespace of the client's workload.", .pattern = "dns1123"),
	F(http_match, stat_prefix, "statPrefix", STR, "Prefix of the statistics of this route."),
};
static void http_match_check(const void *value, const char *path, struct cox_diags *d)
{
	const struct cox_http_match *v = value;
	const struct cox_string_match_entry *lists[] = { v->headers.p, v->without_headers.p };
	size_t counts[] = { v->headers.n, v->without_headers.n };
	for (size_t l = 0; l < 2; l++)
		for (size_t i = 0; i < counts[l]; i++)
			if (!cox_str_has_prefix(lists[l][i].key, COX_STR("@request.")) && cox_format_check("header", lists[l][i].key))
				cox_diag_add(d, COX_SEV_ERROR, 0, path, "%s: \"%.*s\" is no name of an HTTP header",
				             l ? "withoutHeaders" : "headers", COX_FMT(lists[l][i].key));
	for (COX_EACH(struct cox_string_match_entry, h, v->headers))
		if (h->match.prefix.set && !h->match.prefix.v.n)
			cox_diag_add(d, COX_SEV_ERROR, 0, path,
			             "headers.%.*s: prefix must not be empty; \"%.*s: {}\" means that it is there", COX_FMT(h->key),
			             COX_FMT(h->key));
	for (COX_EACH(struct cox_string_match_entry, q, v->query_params))
		if (!q->key.n)
			cox_diag_add(d, COX_SEV_ERROR, 0, path, "queryParams: a name must not be empty");
	if (v->ignore_uri_case && v->uri && v->uri->regex.set)
		cox_diag_add(d, COX_SEV_WARNING, 0, path, "ignoreUriCase has no effect on uri.regex; start the expression with (?i)");
}
static MESSAGE(http_match, "HTTPMatchRequest", "Conditions on a request; all must hold.", .check = http_match_check);

static const struct cox_field http_route_destination_fields[] = {
	F(http_route_destination, destination, "destination", MSG, "Where the request is sent.", REQUIRED, SUB(destination)),
	F(http_route_destination, weight, "weight", I64, "Share of the traffic, relative to the other destinations.", .min = 0,
	  .max = 2147483647),
	F(http_route_destination, headers, "headers", MSG, "Changes of headers for this destination.", SUB(header_ops)),
};
static MESSAGE(http_route_destination, "HTTPRouteDestination", "One destination and its share.");

static const struct cox_field http_redirect_fields[] = {
	F(http_redirect, uri, "uri", STR, "Path of the redirect."),
	F(http_redirect, authority, "authority", STR, "Authority of the redirect."),
	F(http_redirect, prefix_rewrite, "prefixRewrite", OPT_STR, "Replaces the matched prefix of the path.", .one_of = 0),
	F(http_redirect, port, "port", I64, "Port of the redirect.", .pattern = "port", .min = 1, .max = 65535, .one_of = 1),
	F(http_redirect, derive_port, "derivePort", ENUM, "Where the port comes from.",
	  ENUM("", "FROM_PROTOCOL_DEFAULT", "FROM_REQUEST_PORT"), .one_of = 1),
	F(http_redirect, scheme, "scheme", STR, "Scheme of the redirect: http or https."),
	F(http_redirect, redirect_code, "redirectCode", I64, "301 (default), 302, 303, 307 or 308.", .min = 301, .max = 308),
};
static void http_redirect_check(const void *value, const char *path, struct cox_diags *d)
{
	const struct cox_http_redirect *v = value;
	int64_t c = v->redirect_code.v;
	if (v->redirect_code.set && c > 303 && c < 307)
		cox_diag_add(d, COX_SEV_ERROR, 0, path, "redirectCode must be 301, 302, 303, 307 or 308, is %lld", (long long)c);
	if (v->scheme.n && !cox_str_eq_cstr(v->scheme, "http") && !cox_str_eq_cstr(v->scheme, "https"))
		cox_diag_add(d, COX_SEV_ERROR, 0, path, "scheme must be http or https, is \"%.*s\"", COX_FMT(v->scheme));
	if (v->uri.n && v->prefix_rewrite.set)
		cox_diag_add(d, COX_SEV_ERROR, 0, path, "only one of uri, prefixRewrite may be set");
	if (!v->uri.n && !v->authority.n && !v->scheme.n && !v->prefix_rewrite.set && !v->port.set && !v->derive_port &&
	    !v->redirect_code.set)
		cox_diag_add(d, COX_SEV_ERROR, 0, path, "a redirect must change something: uri, authority, port, scheme or redirectCode");
}
static MESSAGE(http_redirect, "HTTPRedirect", "Answers with a redirect.", .check = http_redirect_check);

static const struct cox_field http_body_fields[] = {
	F(http_body, string, "string", OPT_STR, "The body as text.", .one_of = 1, .one_of_required = 1, .max_len = 1024 * 1024),
	F(http_body, bytes, "bytes", BYTES, "The body in base64.", .one_of = 1, .max_len = 1536 * 1024),
};
static void http_body_check(const void *value, const char *path, struct cox_diags *d)
{
	const struct cox_http_body *v = value;
	if (v->string.v.n + v->bytes.v.n > 1024 * 1024)
		cox_diag_add(d, COX_SEV_ERROR, 0, path, "a body must have at most 1 MiB");
	else if (v->string.v.n + v->bytes.v.n > 100 * 1024)
		cox_diag_add(d, COX_SEV_WARNING, 0, path, "a body of over 100 KiB burdens every proxy that gets the route");
}
static MESSAGE(http_body, "HTTPBody", "Body of a direct response.", .check = http_body_check);

static const struct cox_field http_direct_response_fields[] = {
	F(http_direct_response, status, "status", I64, "Status of the answer.", REQUIRED, .min = 200, .max = 599),
	F(http_direct_response, body, "body", MSG, "Body of the answer.", SUB(http_body)),
};
static MESSAGE(http_direct_response, "HTTPDirectResponse", "Answers at once, without a destination.");

static const struct cox_field delegate_fields[] = {
	F(delegate, name, "name", STR, "Name of the VirtualService with the routes.", .pattern = "subdomain"),
	F(delegate, ns, "namespace", STR, "Its namespace; that of this object by default.", .pattern = "dns1123"),
};
static MESSAGE(delegate, "Delegate", "Takes the routes from another VirtualService.");

static const struct cox_field regex_rewrite_fields[] = {
	F(regex_rewrite, match, "match", STR, "RE2 expression; every match in the path is replaced.", .pattern = "regex", .max_len = 4096),
	F(regex_rewrite, rewrite, "rewrite", STR, "The replacement; \\1 and so on stand for groups."),
};
static MESSAGE(regex_rewrite, "RegexRewrite", "Replaces by a regular expression.");

static const struct cox_field http_rewrite_fields[] = {
	F(http_rewrite, uri, "uri", STR, "Replaces the path, or the prefix that was matched."),
	F(http_rewrite, authority, "authority", STR, "Replaces the authority."),
	F(http_rewrite, uri_regex_rewrite, "uriRegexRewrite", MSG, "Replaces parts of the path.", SUB(regex_rewrite)),
};
static void http_rewrite_check(const void *value, const char *path, struct cox_diags *d)
{
	const struct cox_http_rewrite *v = value;
	if (v->uri.n && v->uri_regex_rewrite)
		cox_diag_add(d, COX_SEV_ERROR, 0, path, "only one of uri, uriRegexRewrite may be set");
	if (!v->uri.n && !v->authority.n && !v->uri_regex_rewrite)
		cox_diag_add(d, COX_SEV_ERROR, 0, path, "one of uri, authority, uriRegexRewrite must be set");
	if (v->uri_regex_rewrite && !v->uri_regex_rewrite->match.n)
		cox_diag_add(d, COX_SEV_ERROR, 0, path, "uriRegexRewrite.match must not be empty");
}
static MESSAGE(http_rewrite, "HTTPRewrite", "Changes path and authority before the request is sent on.", .check = http_rewrite_check);

static const struct cox_field fault_delay_fields[] = {
	F(fault_delay, percent, "percent", I64, "Percentage of requests, as an integer.", .flags = COX_F_DEPRECATED, PERCENT),
	F(fault_delay, fixed_delay_ns, "fixedDelay", DURATION, "How long a request is held.", FROM_1MS, .one_of = 1, .one_of_required = 1),
	F(fault_delay, exponential_delay_ns, "exponentialDelay", DURATION, "Not implemented by any proxy.", .flags = COX_F_NO_EFFECT,
	  NOT_NEGATIVE, .one_of = 1),
	F(fault_delay, percentage, "percentage", MSG, "Percentage of requests.", SUB(percent)),
};
static MESSAGE(fault_delay, "Delay", "Holds requests.");

static const struct cox_field fault_abort_fields[] = {
	F(fault_abort, http_status, "httpStatus", I64, "Status of the answer.", .min = 200, .max = 599, .one_of = 1, .one_of_required = 1),
	F(fault_abort, grpc_status, "grpcStatus", STR, "gRPC status of the answer, as in UNAVAILABLE.", .one_of = 1),
	F(fault_abort, http2_error, "http2Error", STR, "Not implemented by any proxy.", .flags = COX_F_NO_EFFECT, .one_of = 1),
	F(fault_abort, percentage, "percentage", MSG, "Percentage of requests.", SUB(percent)),
};
static void fault_abort_check(const void *value, const char *path, struct cox_diags *d)
{
	static const char *const names[] = {
		"OK",        "CANCELLED",      "UNKNOWN",           "INVALID_ARGUMENT",   "DEADLINE_EXCEEDED",
		"NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION",
		"ABORTED",   "OUT_OF_RANGE",   "UNIMPLEMENTED",     "INTERNAL",           "UNAVAILABLE",
		"DATA_LOSS", "UNAUTHENTICATED"
	};
	const struct cox_fault_abort *v = value;
	uint64_t n;
	if (!v->grpc_status.n || (cox_str_to_u64(v->grpc_status, &n) == COX_OK && n < COX_LEN(names)))
		return;
	for (size_t i = 0; i < COX_LEN(names); i++)
		if (cox_str_eq_cstr(v->grpc_status, names[i]))
			return;
	cox_diag_add(d, COX_SEV_ERROR, 0, path, "grpcStatus: \"%.*s\" is no status of gRPC", COX_FMT(v->grpc_status));
}
static MESSAGE(fault_abort, "Abort", "Refuses requests.", .check = fault_abort_check);

static const struct cox_field fault_injection_fields[] = {
	F(fault_injection, delay, "delay", MSG, "Holds requests.", SUB(fault_delay)),
	F(fault_injection, abort, "abort", MSG, "Refuses requests.", SUB(fault_abort)),
};
static void fault_injection_check(const void *value, const char *path, struct cox_diags *d)
{
	const struct cox_fault_injection *v = value;
	if (!v->delay && !v->abort)
		cox_diag_add(d, COX_SEV_ERROR, 0, path, "one of delay, abort must be set");
}
static MESSAGE(fault_injection, "HTTPFaultInjection", "Faults made on purpose, for tests.", .check = fault_injection_check);

static const struct cox_field http_mirror_fields[] = {
	F(http_mirror, destination, "destination", MSG, "Where the copies go.", REQUIRED, SUB(destination)),
	F(http_mirror, percentage, "percentage", MSG, "Percentage of requests that are copied; all by default.", SUB(percent)),
};
static MESSAGE(http_mirror, "HTTPMirrorPolicy", "Copies of requests, whose answers are dropped.");

static const struct cox_field cors_policy_fields[] = {
	F(cors_policy, allow_origin, "allowOrigin", STR, "Origins that are allowed, exactly; use allowOrigins.",
	  .flags = COX_F_LIST | COX_F_DEPRECATED),
	F(cors_policy, allow_origins, "allowOrigins", MSG, "Origins that are allowed.", LIST, SUB(string_match)),
	F(cors_policy, allow_methods, "allowMethods", STR, "Methods that are allowed.", LIST),
	F(cors_policy, allow_headers, "allowHeaders", STR, "Headers that a request may have.", LIST),
	F(cors_policy, expose_headers, "exposeHeaders", STR, "Headers of answers that scripts may read.", LIST),
	F(cors_policy, max_age_ns, "maxAge", DURATION, "How long a browser may keep the answer.", FROM_1MS),
	F(cors_policy, allow_credentials, "allowCredentials", OPT_BOOL, "Whether requests may carry credentials."),
	F(cors_policy, unmatched_preflights, "unmatchedPreflights", ENUM, "What becomes of preflights from other origins.",
	  ENUM("UNSPECIFIED", "FORWARD", "IGNORE")),
};
static void names_check(const struct cox_str *p, size_t n, const char *list, const char *path, struct cox_diags *d)
{
	for (size_t i = 0; i < n; i++)
		if (!cox_str_eq_cstr(p[i], "*") && cox_format_check("header", p[i]))
			cox_diag_add(d, COX_SEV_ERROR, 0, path, "%s[%zu]: \"%.*s\" is no name of an HTTP header", list, i, COX_FMT(p[i]));
}

static void cors_policy_check(const void *value, const char *path, struct cox_diags *d)
{
	static const char *const methods[] = { "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "CONNECT", "OPTIONS", "TRACE", "*" };
	const struct cox_cors_policy *v = value;
	for (size_t i = 0; i < v->allow_origins.n; i++) {
		const struct cox_string_match *m = &v->allow_origins.p[i];
		if (!m->exact.v.n && !m->prefix.v.n && !m->regex.v.n)
			cox_diag_add(d, COX_SEV_ERROR, 0, path, "allowOrigins[%zu] needs one of exact, prefix, regex", i);
	}
	names_check(v->allow_headers.p, v->allow_headers.n, "allowHeaders", path, d);
	names_check(v->expose_headers.p, v->expose_headers.n, "exposeHeaders", path, d);
	if (v->max_age_ns.v % 1000000000)
		cox_diag_add(d, COX_SEV_ERROR, 0, path, "maxAge must be whole seconds");
	for (COX_EACH(struct cox_str, m, v->allow_methods)) {
		bool known = false;
		for (size_t i = 0; i < COX_LEN(methods) && !known; i++)
			known = cox_str_eq_cstr(*m, methods[i]);
		if (!known)
			cox_diag_add(d, COX_SEV_ERROR, 0, path, "allowMethods: \"%.*s\" is no method of HTTP", COX_FMT(*m));
	}
}
static MESSAGE(cors_policy, "CorsPolicy", "Cross-origin requests.", .check = cors_policy_check);

static const struct cox_field http_route_fields[] = {
	F(http_route, name, "name", STR, "Name of the route, in logs and metrics."),
	F(http_route, match, "match", MSG, "The route is taken when one of these holds; always when there are none.", LIST,
	  SUB(http_match)),
	F(http_route, route, "route", MSG, "Destinations and their shares.", LIST, SUB(http_route_destination)),
	F(http_route, redirect, "redirect", MSG, "Answers with a redirect instead.", SUB(http_redirect)),
	F(http_route, direct_response, "directResponse", MSG, "Answers at once instead.", SUB(http_direct_response)),
	F(http_route, delegate, "delegate", MSG, "Takes the routes from another VirtualService.", SUB(delegate)),
	F(http_route, rewrite, "rewrite", MSG, "Changes path and authority before the request is sent on.", SUB(http_rewrite)),
	F(http_route, timeout_ns, "timeout", DURATION, "Time limit of a request; none by default.", NOT_NEGATIVE),
	F(http_route, retries, "retries", MSG, "How failed requests are tried again.", SUB(retry)),
	F(http_route, fault, "fault", MSG, "Faults made on purpose, for tests.", SUB(fault_injection)),
	F(http_route, mirror, "mirror", MSG, "A second destination that gets copies.", SUB(destination)),
	F(http_route, mirrors, "mirrors", MSG, "Destinations that get copies.", LIST, SUB(http_mirror)),
	F(http_route, mirror_percent, "mirrorPercent", I64, "Percentage for mirror; use mirrorPercentage.", .flags = COX_F_DEPRECATED,
	  PERCENT, .alias = "mirror_percent"),
	F(http_route, mirror_percentage, "mirrorPercentage", MSG, "Percentage for mirror.", SUB(percent)),
	F(http_route, cors_policy, "corsPolicy", MSG, "Cross-origin requests.", SUB(cors_policy)),
	F(http_route, headers, "headers", MSG, "Changes of headers.", SUB(header_ops)),
};

static void weights_check(int64_t sum, size_t n, const char *path, struct cox_diags *d)
{
	if (n > 1 && sum == 0)
		cox_diag_add(d, COX_SEV_ERROR, 0, path, "the weights of the %zu destinations add up to 0", n);
	if (sum > UINT32_MAX)
		cox_diag_add(d, COX_SEV_ERROR, 0, path, "the weights of the destinations add up to more than 4294967295");
}

static void http_route_check(const void *value, const char *path, struct cox_diags *d)
{
	const struct cox_http_route *v = value;
	int actions = (v->route.n > 0) + (v->redirect != NULL) + (v->direct_response != NULL) + (v->delegate != NULL);
	if (actions == 0)
		cox_diag_add(d, COX_SEV_ERROR, 0, path, "one of route, redirect, directResponse, delegate must be set");
	if (actions > 1)
		cox_diag_add(d, COX_SEV_ERROR, 0, path, "only one of route, redirect, directResponse, delegate may be set");
	if ((v->redirect || v->direct_response) && (v->rewrite || v->fault))
		cox_diag_add(d, COX_SEV_ERROR, 0, path, "rewrite and fault go with route, not with redirect or directResponse");
	if (v->mirror && v->mirrors.n)
		cox_diag_add(d, COX_SEV_ERROR, 0, path, "only one of mirror, mirrors may be set");
	if ((v->mirror_percent.set || v->mirror_percentage) && !v->mirror)
		cox_diag_add(d, COX_SEV_WARNING, 0, path, "mirrorPercentage has no effect without mirror");
	int64_t sum = 0;
	for (COX_EACH(struct cox_http_route_destination, r, v->route))
		sum += r->weight.v;
	weights_check(sum, v->route.n, path, d);
	if (v->route.n == 1 && v->route.p[0].weight.set && sum == 0)
		cox_diag_add(d, COX_SEV_WARNING, 0, path, "the only destination has weight 0; it gets all traffic all the same");
	if (v->retries && v->timeout_ns.set && v->timeout_ns.v && v->retries->per_try_timeout_ns.v > v->timeout_ns.v)
		cox_diag_add(d, COX_SEV_WARNING, 0, path,
		             "retries.perTryTimeout is longer than timeout, so no request is ever tried again");
}
static MESSAGE(http_route, "HTTPRoute", "One rule for HTTP traffic.", .check = http_route_check);

static const struct cox_field l4_route_destination_fields[] = {
	F(l4_route_destination, destination, "destination", MSG, "Where connections go.", REQUIRED, SUB(destination)),
	F(l4_route_destination, weight, "weight", I64, "Share of the connections, relative to the other destinations.", .min = 0,
	  .max = 2147483647),
};
static MESSAGE(l4_route_destination, "RouteDestination", "One destination and its share.");

static const struct cox_field tls_match_fields[] = {
	F(tls_match, sni_hosts, "sniHosts", STR, "Server names of the TLS handshake; '*' may stand for the first labels.",
	  .flags = COX_F_LIST | COX_F_REQUIRED, .pattern = "hostWildcard"),
	F(tls_match, destination_subnets, "destinationSubnets", STR, "Addresses that the client meant, as CIDR.", LIST, .pattern = "cidr"),
	F(tls_match, port, "port", I64, "Port on which the connection came in.", .pattern = "port", .min = 1, .max = 65535),
	F(tls_match, source_labels, "sourceLabels", STR_MAP, "Labels of the client's workload.", .pattern = "labels"),
	F(tls_match, gateways, "gateways", STR, GATEWAYS_DOC, LIST, .pattern = "gatewayName"),
	F(tls_match, source_namespace, "sourceNamespace", STR, "Namespace of the client's workload.", .pattern = "dns1123"),
};
static MESSAGE(tls_match, "TLSMatchAttributes", "Conditions on a TLS connection.");

static const struct cox_field tls_route_fields[] = {
	F(tls_route, match, "match", MSG, "The route is taken when one of these holds.", .flags = COX_F_LIST | COX_F_REQUIRED,
	  SUB(tls_match)),
	F(tls_route, route, "route", MSG, "Destinations and their shares.", .flags = COX_F_LIST | COX_F_REQUIRED,
	  SUB(l4_route_destination)),
};
static void tls_route_check(const void *value, const char *path, struct cox_diags *d)
{
	const struct cox_tls_route *v = value;
	int64_t sum = 0;
	if (!v->match.n || !v->route.n)
		cox_diag_add(d, COX_SEV_ERROR, 0, path, "match and route must not be empty");
	for (COX_EACH(struct cox_tls_match, m, v->match))
		if (!m->sni_hosts.n)
			cox_diag_add(d, COX_SEV_ERROR, 0, path, "match: sniHosts must not be empty");
	for (COX_EACH(struct cox_l4_route_destination, r, v->route))
		sum += r->weight.v;
	weights_check(sum, v->route.n, path, d);
}
static MESSAGE(tls_route, "TLSRoute", "One rule for TLS traffic that is not terminated.", .check = tls_route_check);

static const struct cox_field tcp_match_fields[] = {
	F(tcp_match, destination_subnets, "destinationSubnets", STR, "Addresses that the client meant, as CIDR.", LIST, .pattern = "cidr"),
	F(tcp_match, port, "port", I64, "Port on which the connection came in.", .pattern = "port", .min = 1, .max = 65535),
	F(tcp_match, source_subnet, "sourceSubnet", STR, "Not implemented.", .flags = COX_F_NO_EFFECT),
	F(tcp_match, source_labels, "sourceLabels", STR_MAP, "Labels of the client's workload.", .pattern = "labels"),
	F(tcp_match, gateways, "gateways", STR, GATEWAYS_DOC, LIST, .pattern = "gatewayName"),
	F(tcp_match, source_namespace, "sourceNamespace", STR, "Namespace of the client's workload.", .pattern = "dns1123"),
};
static MESSAGE(tcp_match, "L4MatchAttributes", "Conditions on a TCP connection.");

static const struct cox_field tcp_route_fields[] = {
	F(tcp_route, match, "match", MSG, "The route is taken when one of these holds; always when there are none.", LIST, SUB(tcp_match)),
	F(tcp_route, route, "route", MSG, "Destinations and their shares.", .flags = COX_F_LIST | COX_F_REQUIRED,
	  SUB(l4_route_destination)),
};
static void tcp_route_check(const void *value, const char *path, struct cox_diags *d)
{
	const struct cox_tcp_route *v = value;
	int64_t sum = 0;
	if (!v->route.n)
		cox_diag_add(d, COX_SEV_ERROR, 0, path, "route must not be empty");
	for (COX_EACH(struct cox_l4_route_destination, r, v->route))
		sum += r->weight.v;
	weights_check(sum, v->route.n, path, d);
}
static MESSAGE(tcp_route, "TCPRoute", "One rule for TCP traffic.", .check = tcp_route_check);

static const struct cox_field virtual_service_fields[] = {
	F(virtual_service, hosts, "hosts", STR, "Hosts that clients ask for: DNS names ('*' may stand for the first labels) or addresses.",
	  LIST, .pattern = "hostWildcardOrIp"),
	F(virtual_service, gateways, "gateways", STR, GATEWAYS_DOC " Default: mesh.", LIST, .pattern = "gatewayName"),
	F(virtual_service, http, "http", MSG, "Rules for HTTP, the first that matches is taken.", LIST, SUB(http_route)),
	F(virtual_service, tls, "tls", MSG, "Rules for TLS that is not terminated.", LIST, SUB(tls_route)),
	F(virtual_service, tcp, "tcp", MSG, "Rules for TCP.", LIST, SUB(tcp_route)),
	F(virtual_service, export_to, "exportTo", STR, "Namespaces that see it: '.', '*' or names.", LIST, .pattern = "exportTo"),
};

/* Whether connections for `sni` can be for `host`. */
static bool host_covers(struct cox_str host, struct cox_str sni)
{
	if (cox_model_host_is_wild(host))
		return cox_str_has_suffix(sni, cox_str_sub(host, 1, host.n));
	return cox_str_eq_nocase(host, sni);
}

static void sni_check(const struct cox_virtual_service *v, const char *path, struct cox_diags *d)
{
	for (COX_EACH(struct cox_tls_route, t, v->tls))
		for (COX_EACH(struct cox_tls_match, m, t->match))
			for (COX_EACH(struct cox_str, sni, m->sni_hosts)) {
				bool covered = false;
				for (size_t i = 0; i < v->hosts.n && !covered; i++)
					covered = host_covers(v->hosts.p[i], *sni);
				if (!covered)
					cox_diag_add(d, COX_SEV_ERROR, 0, path, "tls: the sniHost %.*s is covered by none of hosts",
					             COX_FMT(*sni));
			}
}

static void virtual_service_check(const void *value, const char *path, struct cox_diags *d)
{
	const struct cox_virtual_service *v = value;
	if (!v->http.n && !v->tls.n && !v->tcp.n)
		cox_diag_add(d, COX_SEV_ERROR, 0, path, "at least one of http, tls, tcp must have a rule");
	if (!v->hosts.n && (v->gateways.n || v->tls.n || v->tcp.n))
		cox_diag_add(d, COX_SEV_ERROR, 0, path, "without hosts it can only be a delegate, which has http rules and no gateways");
	cox_model_export_check(v->export_to.p, v->export_to.n, true, path, d);
	bool mesh = v->gateways.n == 0 || cox_model_strs_has(v->gateways.p, v->gateways.n, COX_STR("mesh"));
	for (size_t i = 0; i < v->hosts.n; i++) {
		if (mesh && cox_str_eq(v->hosts.p[i], COX_STR("*")))
			cox_diag_add(d, COX_SEV_ERROR, 0, path, "the host \"*\" is for gateways only, not for mesh");
		if (cox_model_strs_has(v->hosts.p, i, v->hosts.p[i]))
			cox_diag_add(d, COX_SEV_ERROR, 0, path, "the host %.*s stands twice in hosts", COX_FMT(v->hosts.p[i]));
	}
	for (COX_EACH(struct cox_http_route, r, v->http))
		if (!v->hosts.n && r->delegate)
			cox_diag_add(d, COX_SEV_ERROR, 0, path, "a delegate (no hosts) cannot delegate again");
	if (v->hosts.n)
		sni_check(v, path, d);
}
static MESSAGE(virtual_service, "VirtualServiceSpec", "Routing rules for hosts.", .check = virtual_service_check);

static const struct cox_field virtual_service_object_fields[] = {
	F(virtual_service_object, spec, "spec", MSG, "Routing rules for hosts.", REQUIRED, SUB(virtual_service)),
};
OBJECT(virtual_service, virtual_service_object, "VirtualService",
       "Routing rules for hosts: which requests go where, and what happens to them.", .open = true);
