#include "model/envoy_filter.h"
#include "envoy/transcode.h"
#include "model/tables_priv.h"
#include "model/version_regex.h"

#define APPLY_TO                                                                                                                     \
	"INVALID", "LISTENER", "FILTER_CHAIN", "NETWORK_FILTER", "HTTP_FILTER", "ROUTE_CONFIGURATION", "VIRTUAL_HOST", "HTTP_ROUTE", \
	    "CLUSTER", "EXTENSION_CONFIG", "BOOTSTRAP", "LISTENER_FILTER"
#define CONTEXTS "ANY", "SIDECAR_INBOUND", "SIDECAR_OUTBOUND", "GATEWAY", "WAYPOINT"
#define OPERATIONS "INVALID", "MERGE", "ADD", "REMOVE", "INSERT_BEFORE", "INSERT_AFTER", "INSERT_FIRST", "REPLACE", "MERGE_AND_REPLACE_LIST"

const char *cox_apply_to_name(int apply_to)
{
	static const char *const names[] = { APPLY_TO };
	return names[apply_to];
}
const char *cox_patch_op_name(int op)
{
	static const char *const names[] = { OPERATIONS };
	return names[op];
}
const char *cox_patch_context_name(int context)
{
	static const char *const names[] = { CONTEXTS };
	return names[context];
}

/* --- fields -------------------------------------------------------------------------------------- */

#define PORT .pattern = "port", .min = 0, .max = 65535

static const struct cox_field patch_proxy_fields[] = {
	F(patch_proxy, proxy_version, "proxyVersion", STR, "RE2 expression, found anywhere in the proxy's ISTIO_VERSION.",
	  .pattern = "regex", .max_len = 1024),
	F(patch_proxy, metadata, "metadata", STR_MAP, "Texts in the proxy's node metadata; all of them."),
};
static MESSAGE(patch_proxy, "ProxyMatch", "Properties of the proxy.");

static const struct cox_field patch_sub_filter_fields[] = {
	F(patch_sub_filter, name, "name", STR, "Name of the HTTP filter."),
};
static MESSAGE(patch_sub_filter, "SubFilterMatch", "A filter inside the filter.");
static const struct cox_field patch_filter_fields[] = {
	F(patch_filter, name, "name", STR, "Name of the network filter."),
	F(patch_filter, sub_filter, "subFilter", MSG, "A filter inside it: an HTTP filter of the connection manager.",
	  SUB(patch_sub_filter)),
};
static MESSAGE(patch_filter, "FilterMatch", "A filter of the chain.");

static const struct cox_field patch_chain_fields[] = {
	F(patch_chain, name, "name", STR, "Name of the filter chain."),
	F(patch_chain, sni, "sni", STR, "One of the server names that the chain is for."),
	F(patch_chain, transport_protocol, "transportProtocol", STR, "Transport that the chain is for: raw_buffer or tls."),
	F(patch_chain, application_protocols, "applicationProtocols", STR,
	  "Protocols that the chain is for, separated by commas; all of them."),
	F(patch_chain, destination_port, "destinationPort", I64, "Port that the chain is for.", PORT),
	F(patch_chain, transport_socket, "transportSocket", STR, "Name of the chain's transport socket."),
	F(patch_chain, filter, "filter", MSG, "A filter of the chain.", SUB(patch_filter)),
};
static MESSAGE(patch_chain, "FilterChainMatch", "A filter chain of the listener.");

static const struct cox_field patch_listener_fields[] = {
	F(patch_listener, port_number, "portNumber", I64,
	  "Port of the listener; of virtualInbound and virtualOutbound: of the filter chain.", PORT),
	F(patch_listener, port_name, "portName", STR, "Name of the port; Istio never looks at it.", .flags = COX_F_NO_EFFECT),
	F(patch_listener, filter_chain, "filterChain", MSG, "A filter chain of the listener.", SUB(patch_chain)),
	F(patch_listener, listener_filter, "listenerFilter", STR, "A listener filter (applyTo LISTENER_FILTER)."),
	F(patch_listener, name, "name", STR, "Name of the listener."),
};
static MESSAGE(patch_listener, "ListenerMatch", "A listener, and what is inside it.");

static const struct cox_field patch_route_fields[] = {
	F(patch_route, name, "name", STR, "Name of the route."),
	F(patch_route, action, "action", ENUM, "What the route does.", ENUM("ANY", "ROUTE", "REDIRECT", "DIRECT_RESPONSE")),
};
static MESSAGE(patch_route, "RouteMatch", "A route of the virtual host.");
static const struct cox_field patch_vhost_fields[] = {
	F(patch_vhost, name, "name", STR, "Name of the virtual host: host:port."),
	F(patch_vhost, domain_name, "domainName", STR, "One of the virtual host's domains."),
	F(patch_vhost, route, "route", MSG, "A route of the virtual host.", SUB(patch_route)),
};
static MESSAGE(patch_vhost, "VirtualHostMatch", "A virtual host of the route configuration.");
static const struct cox_field patch_route_config_fields[] = {
	F(patch_route_config, port_number, "portNumber", I64, "Port of the service, or of the gateway's server.", PORT),
	F(patch_route_config, port_name, "portName", STR, "Name of the gateway's server port (context GATEWAY, HTTPS)."),
	F(patch_route_config, gateway, "gateway", STR, "The Gateway, as namespace/name (context GATEWAY, HTTPS)."),
	F(patch_route_config, vhost, "vhost", MSG, "A virtual host.", SUB(patch_vhost)),
	F(patch_route_config, name, "name", STR, "Name of the route configuration."),
};
static MESSAGE(patch_route_config, "RouteConfigurationMatch", "A route configuration, and what is inside it.");

static const struct cox_field patch_cluster_fields[] = {
	F(patch_cluster, port_number, "portNumber", I64, "Port of the service.", PORT),
	F(patch_cluster, service, "service", STR, "Host of the service, in full."),
	F(patch_cluster, subset, "subset", STR, "Subset of the service."),
	F(patch_cluster, name, "name", STR, "Name of the cluster; the other fields do not count then."),
};
static MESSAGE(patch_cluster, "ClusterMatch", "A cluster.");

static const struct cox_field patch_waypoint_fields[] = {
	F(patch_waypoint, port_number, "portNumber", I64, "Port of the service.", PORT),
	F(patch_waypoint, filter, "filter", MSG, "A filter.", SUB(patch_filter)),
	F(patch_waypoint, route, "route", MSG, "A route.", SUB(patch_route)),
};
static MESSAGE(patch_waypoint, "WaypointMatch", "What is inside a waypoint.");

static const struct cox_field patch_match_fields[] = {
	F(patch_match, context, "context", ENUM, "Which side of which proxy.", ENUM(CONTEXTS)),
	F(patch_match, proxy, "proxy", MSG, "Properties of the proxy.", SUB(patch_proxy)),
	F(patch_match, listener, "listener", MSG, "A listener, and what is inside it.", .one_of = 1, SUB(patch_listener)),
	F(patch_match, route_configuration, "routeConfiguration", MSG, "A route configuration, and what is inside it.", .one_of = 1,
	  SUB(patch_route_config)),
	F(patch_match, cluster, "cluster", MSG, "A cluster.", .one_of = 1, SUB(patch_cluster)),
	F(patch_match, waypoint, "waypoint", MSG, "What is inside a waypoint; there are none in this mesh.", .flags = COX_F_NO_EFFECT,
	  .one_of = 1, SUB(patch_waypoint)),
};
static MESSAGE(patch_match, "EnvoyConfigObjectMatch", "What is patched, of which proxies.",
               RULES({ "has(self.waypoint) == (has(self.context) && self.context == 'WAYPOINT')", "waypoint goes with context WAYPOINT" }));

static const struct cox_field patch_fields[] = {
	F(patch, operation, "operation", ENUM, "What is done to the object.", ENUM(OPERATIONS)),
	F(patch, value, "value", RAW, "The object, or the part of it that is merged in, in Envoy's own terms."),
	F(patch, filter_class, "filterClass", ENUM, "Where ADD puts a filter: behind authentication or authorization, before statistics.",
	  ENUM("UNSPECIFIED", "AUTHN", "AUTHZ", "STATS")),
};
static MESSAGE(patch, "Patch", "What is done.");

static const struct cox_field config_patch_fields[] = {
	F(config_patch, apply_to, "applyTo", ENUM, "What is patched.", ENUM(APPLY_TO)),
	F(config_patch, match, "match", MSG, "Which of them, of which proxies; all by default.", SUB(patch_match)),
	F(config_patch, patch, "patch", MSG, "What is done.", SUB(patch)),
};
static void config_patch_check(const void *value, const char *path, struct cox_diags *d);
static MESSAGE(config_patch, "EnvoyConfigObjectPatch", "One change of Envoy's configuration.", .check = config_patch_check);

struct cox_hash cox_config_patch_hash(const struct cox_config_patch *p) { return cox_message_hash(&cox_msg_config_patch, p); }

static const struct cox_field target_ref_fields[] = {
	F(target_ref, group, "group", STR, "API group."),
	F(target_ref, kind, "kind", STR, "Kind.", REQUIRED),
	F(target_ref, name, "name", STR, "Name.", REQUIRED),
	F(target_ref, ns, "namespace", STR, "Must be the object's own.", .flags = COX_F_NO_EFFECT,
	  RULES({ "size(self) < 1", "a reference cannot leave the namespace of the object" })),
};
static MESSAGE(target_ref, "PolicyTargetReference", "What the object is attached to.");

static const struct cox_field envoy_filter_fields[] = {
	F(envoy_filter, workload_selector, "workloadSelector", MSG,
	  "Labels of workloads of this namespace (of the mesh, in the root namespace); all by default.", SUB(workload_selector)),
	F(envoy_filter, target_refs, "targetRefs", MSG, "Gateways or gateway classes in place of workloadSelector.", LIST, .max_items = 16,
	  SUB(target_ref)),
	F(envoy_filter, config_patches, "configPatches", MSG, "The changes, in order.", LIST, SUB(config_patch)),
	F(envoy_filter, priority, "priority", I64, "Lower comes first; 0 by default.", .min = -2147483648.0, .max = 2147483647.0),
};

/* --- checks -------------------------------------------------------------------------------------- */

struct cox_str cox_filter_canonical_name(struct cox_str name)
{
	static const char *const renamed[][2] = {
		{ "envoy.http_connection_manager", "envoy.filters.network.http_connection_manager" },
		{ "envoy.tcp_proxy", "envoy.filters.network.tcp_proxy" },
		{ "envoy.mongo_proxy", "envoy.filters.network.mongo_proxy" },
		{ "envoy.redis_proxy", "envoy.filters.network.redis_proxy" },
		{ "envoy.client_ssl_auth", "envoy.filters.network.client_ssl_auth" },
		{ "envoy.ratelimit", "envoy.filters.network.ratelimit" },
		{ "envoy.echo", "envoy.filters.network.echo" },
		{ "envoy.router", "envoy.filters.http.router" },
		{ "envoy.cors", "envoy.filters.http.cors" },
		{ "envoy.fault", "envoy.filters.http.fault" },
		{ "envoy.lua", "envoy.filters.http.lua" },
		{ "envoy.buffer", "envoy.filters.http.buffer" },
		{ "envoy.csrf", "envoy.filters.http.csrf" },
		{ "envoy.ext_authz", "envoy.filters.http.ext_authz" },
		{ "envoy.rate_limit", "envoy.filters.http.ratelimit" },
		{ "envoy.grpc_web", "envoy.filters.http.grpc_web" },
		{ "envoy.grpc_json_transcoder", "envoy.filters.http.grpc_json_transcoder" },
		{ "envoy.grpc_http1_bridge", "envoy.filters.http.grpc_http1_bridge" },
		{ "envoy.health_check", "envoy.filters.http.health_check" },
		{ "envoy.ip_tagging", "envoy.filters.http.ip_tagging" },
		{ "envoy.listener.http_inspector", "envoy.filters.listener.http_inspector" },
		{ "envoy.listener.original_dst", "envoy.filters.listener.original_dst" },
		{ "envoy.listener.proxy_protocol", "envoy.filters.listener.proxy_protocol" },
		{ "envoy.listener.tls_inspector", "envoy.filters.listener.tls_inspector" },
	};
	for (size_t i = 0; i < COX_LEN(renamed); i++)
		if (cox_str_eq_cstr(name, renamed[i][0]))
			return cox_str_of(renamed[i][1]);
	return name;
}

const struct cox_envoy_message *cox_patch_message(int apply_to)
{
	static const char *const names[COX_APPLY_COUNT] = {
		[COX_APPLY_LISTENER] = "envoy.config.listener.v3.Listener",
		[COX_APPLY_FILTER_CHAIN] = "envoy.config.listener.v3.FilterChain",
		[COX_APPLY_NETWORK_FILTER] = "envoy.config.listener.v3.Filter",
		[COX_APPLY_HTTP_FILTER] = "envoy.extensions.filters.network.http_connection_manager.v3.HttpFilter",
		[COX_APPLY_ROUTE_CONFIGURATION] = "envoy.config.route.v3.RouteConfiguration",
		[COX_APPLY_VIRTUAL_HOST] = "envoy.config.route.v3.VirtualHost",
		[COX_APPLY_HTTP_ROUTE] = "envoy.config.route.v3.Route",
		[COX_APPLY_CLUSTER] = "envoy.config.cluster.v3.Cluster",
		[COX_APPLY_EXTENSION_CONFIG] = "envoy.config.core.v3.TypedExtensionConfig",
		[COX_APPLY_BOOTSTRAP] = "envoy.config.bootstrap.v3.Bootstrap",
		[COX_APPLY_LISTENER_FILTER] = "envoy.config.listener.v3.ListenerFilter",
	};
	return names[apply_to] ? cox_envoy_message_find(cox_str_of(names[apply_to])) : NULL;
}

#define OP(name) (1u << COX_OP_##name)
#define MERGES (OP(MERGE) | OP(MERGE_AND_REPLACE_LIST))
#define INSERTS (OP(INSERT_BEFORE) | OP(INSERT_AFTER) | OP(INSERT_FIRST))

/* Istio turns INSERT_* of objects whose order does not count into ADD; what it passes over in silence is refused here, aloud. */
static unsigned ops_of(int apply_to)
{
	switch ((enum cox_apply_to)apply_to) {
	case COX_APPLY_LISTENER:
	case COX_APPLY_FILTER_CHAIN:
	case COX_APPLY_CLUSTER: return MERGES | INSERTS | OP(ADD) | OP(REMOVE);
	case COX_APPLY_NETWORK_FILTER:
	case COX_APPLY_HTTP_FILTER:
	case COX_APPLY_VIRTUAL_HOST: return MERGES | INSERTS | OP(ADD) | OP(REMOVE) | OP(REPLACE);
	case COX_APPLY_LISTENER_FILTER: return INSERTS | OP(ADD) | OP(REMOVE) | OP(REPLACE);
	case COX_APPLY_ROUTE_CONFIGURATION: return MERGES;
	case COX_APPLY_HTTP_ROUTE: return MERGES | INSERTS | OP(ADD) | OP(REMOVE);
	case COX_APPLY_EXTENSION_CONFIG: return OP(ADD);
	case COX_APPLY_INVALID:
	case COX_APPLY_BOOTSTRAP:
	case COX_APPLY_COUNT: break;
	}
	return 0;
}

static bool is_api_v2(struct cox_str type)
{
	struct cox_str part;
	ptrdiff_t slash = cox_str_rfind(type, '/');
	type = cox_str_sub(type, (size_t)(slash + 1), type.n);
	if (!cox_str_has_prefix(type, COX_STR("envoy.")))
		return false;
	while (cox_str_next(&type, '.', &part))
		if (cox_str_eq_cstr(part, "v2") || cox_str_has_prefix(part, COX_STR("v2alpha")) || cox_str_eq_cstr(part, "v1"))
			return true;
	return false;
}

/* The published API still has the messages of API v2, but no Envoy since 1.18 knows them. */
static enum cox_rc find_v2(const struct cox_json *v, struct cox_err *err)
{
	enum cox_rc rc = COX_OK;
	for (size_t i = 0; v->type == COX_JSON_ARRAY && i < v->n && rc == COX_OK; i++)
		if ((rc = find_v2(&v->items[i], err)) != COX_OK)
			cox_err_in_item(err, i);
	for (size_t i = 0; v->type == COX_JSON_OBJECT && i < v->n && rc == COX_OK; i++) {
		const struct cox_json_member *m = &v->members[i];
		bool is_type =
		    m->value.type == COX_JSON_STRING && (cox_str_eq_cstr(m->key, "@type") || cox_str_eq_cstr(m->key, "type_url"));
		if (is_type && is_api_v2(m->value.text)) {
			struct cox_str name = cox_str_sub(m->value.text, (size_t)(cox_str_rfind(m->value.text, '/') + 1), m->value.text.n);
			rc = cox_err_set(err, COX_EINVAL, NULL, "%.*s is of API v2, which Envoy has no more since 1.18", COX_FMT(name));
		} else {
			rc = find_v2(&m->value, err);
		}
		if (rc != COX_OK)
			cox_err_in_member(err, m->key);
	}
	return rc;
}

static const char *value_refusal(const struct cox_config_patch *p, struct cox_arena *arena, struct cox_json **out, struct cox_err *err)
{
	const struct cox_envoy_message *m = cox_patch_message(p->apply_to);
	struct cox_json *v = NULL, *own = NULL;
	struct cox_buf wire = { 0 };
	enum cox_rc rc = cox_json_parse(arena, p->patch->value, &v, err);
	if (rc == COX_OK && v->type != COX_JSON_OBJECT)
		rc = cox_err_set(err, COX_EINVAL, NULL, "must be an object");
	if (rc == COX_OK)
		rc = find_v2(v, err);
	if (rc == COX_OK)
		rc = cox_envoy_from_json(m, v, 0, &wire, err);
	if (rc == COX_OK) {
		struct cox_str bytes = cox_arena_str(arena, cox_buf_str(&wire)); /* the tree's texts lie in it */
		rc = cox_envoy_to_json(m, bytes, COX_TRANSCODE_KEEP_OPAQUE, arena, &own, err);
	}
	cox_buf_fini(&wire);
	if (rc != COX_OK)
		return "Envoy cannot read the value";
	*out = own;
	return NULL;
}

static bool is_merge(int op) { return op == COX_OP_MERGE || op == COX_OP_MERGE_AND_REPLACE_LIST; }
/* What Envoy takes only with a name, or what we must tell apart by it. */
static bool needs_name(int apply_to) { return apply_to != COX_APPLY_FILTER_CHAIN && apply_to != COX_APPLY_HTTP_ROUTE; }

static bool version_is_understood(const struct cox_config_patch *p)
{
	struct cox_version_regex *r = NULL;
	struct cox_str version = p->match && p->match->proxy ? p->match->proxy->proxy_version : (struct cox_str){ 0 };
	if (version.n && cox_version_regex_new(version, &r) != COX_OK)
		return false;
	cox_version_regex_free(r);
	return true;
}

const char *cox_patch_refusal(const struct cox_config_patch *p, struct cox_arena *arena, struct cox_json **out, struct cox_err *err)
{
	int op = p->patch ? p->patch->operation : COX_OP_INVALID;
	struct cox_json *value = NULL;
	if (out)
		*out = NULL;
	*err = (struct cox_err){ 0 };
	if (p->apply_to == COX_APPLY_INVALID)
		return "applyTo is missing";
	if (p->apply_to == COX_APPLY_BOOTSTRAP)
		return "applyTo BOOTSTRAP is not served: a bootstrap is read once, when Envoy starts; use ProxyConfig or a bootstrap override";
	if (p->match && (p->match->context == COX_PATCH_WAYPOINT || p->match->waypoint))
		return "there are no waypoints in this mesh";
	if (op == COX_OP_INVALID)
		return "patch.operation is missing";
	if (!(ops_of(p->apply_to) & 1u << op))
		return "this operation does nothing for this applyTo";
	if (!version_is_understood(p))
		return "match.proxy.proxyVersion is more of an expression than is understood for versions";
	if (op == COX_OP_REMOVE)
		return NULL;
	if (!p->patch->value.n)
		return "patch.value is missing";
	const char *why = value_refusal(p, arena, &value, err);
	if (!why && !is_merge(op) && needs_name(p->apply_to) && cox_json_str_at(value, "name").n == 0)
		why = "patch.value.name is missing";
	if (!why && out)
		*out = value;
	return why;
}

/* What kind of match an object can have. */
static const char *match_mistake(const struct cox_config_patch *p)
{
	const struct cox_patch_match *m = p->match;
	bool is_route =
	    p->apply_to == COX_APPLY_ROUTE_CONFIGURATION || p->apply_to == COX_APPLY_VIRTUAL_HOST || p->apply_to == COX_APPLY_HTTP_ROUTE;
	bool is_cluster = p->apply_to == COX_APPLY_CLUSTER;
	bool is_listener = !is_route && !is_cluster && p->apply_to != COX_APPLY_EXTENSION_CONFIG;
	if (!m)
		return NULL;
	if (m->listener && !is_listener)
		return "match.listener does not count for this applyTo: it matches as if it were not there";
	if (m->route_configuration && !is_route)
		return "match.routeConfiguration does not count for this applyTo: it matches as if it were not there";
	if (m->cluster && !is_cluster)
		return "match.cluster does not count for this applyTo: it matches as if it were not there";
	return NULL;
}

static const struct cox_patch_filter *filter_of(const struct cox_config_patch *p)
{
	const struct cox_patch_listener *l = p->match ? p->match->listener : NULL;
	return l && l->filter_chain ? l->filter_chain->filter : NULL;
}

static void target_check(const struct cox_config_patch *p, const char *path, struct cox_diags *d)
{
	const struct cox_patch_filter *f = filter_of(p);
	int op = p->patch->operation;
	bool needs = op == COX_OP_REMOVE || op == COX_OP_REPLACE;
	if (p->apply_to == COX_APPLY_HTTP_FILTER && needs && !(f && f->sub_filter))
		cox_diag_add(d, COX_SEV_WARNING, 0, path, "%s of an HTTP filter needs match.listener.filterChain.filter.subFilter.name",
		             cox_patch_op_name(op));
	if (p->apply_to == COX_APPLY_NETWORK_FILTER && needs && !f)
		cox_diag_add(d, COX_SEV_WARNING, 0, path, "%s of a network filter needs match.listener.filterChain.filter.name",
		             cox_patch_op_name(op));
	if (p->apply_to == COX_APPLY_LISTENER_FILTER && needs && !(p->match && p->match->listener && p->match->listener->listener_filter.n))
		cox_diag_add(d, COX_SEV_WARNING, 0, path, "%s of a listener filter needs match.listener.listenerFilter",
		             cox_patch_op_name(op));
	if (p->apply_to == COX_APPLY_HTTP_FILTER && op == COX_OP_ADD && p->patch->filter_class == COX_FILTER_CLASS_UNSPECIFIED)
		cox_diag_add(d, COX_SEV_WARNING, 0, path,
		             "ADD puts the filter behind the router, where Envoy refuses it; use INSERT_BEFORE or filterClass");
	if (p->patch->filter_class != COX_FILTER_CLASS_UNSPECIFIED &&
	    (op != COX_OP_ADD || (p->apply_to != COX_APPLY_HTTP_FILTER && p->apply_to != COX_APPLY_NETWORK_FILTER)))
		cox_diag_add(d, COX_SEV_WARNING, 0, path, "patch.filterClass counts for ADD of HTTP_FILTER and NETWORK_FILTER only");
	const struct cox_str names[] = { f ? f->name : (struct cox_str){ 0 },
		                         f && f->sub_filter ? f->sub_filter->name : (struct cox_str){ 0 } };
	for (size_t i = 0; i < COX_LEN(names); i++) {
		struct cox_str now = cox_filter_canonical_name(names[i]);
		if (!cox_str_eq(now, names[i]))
			cox_diag_add(d, COX_SEV_WARNING, 0, path, "\"%.*s\" is an old name and taken as \"%.*s\"", COX_FMT(names[i]),
			             COX_FMT(now));
	}
}

/* Never errors: Istio keeps the rest of the object in force. */
static void config_patch_check(const void *value, const char *path, struct cox_diags *d)
{
	const struct cox_config_patch *p = value;
	struct cox_arena scratch = { 0 };
	struct cox_err err;
	struct cox_buf at = { 0 };
	const char *why = cox_patch_refusal(p, &scratch, NULL, &err), *mistake = match_mistake(p);
	if (why && err.rc != COX_OK) {
		cox_buf_printf(&at, "%s.patch.value%s%s", path, err.path[0] && err.path[0] != '[' ? "." : "", err.path);
		cox_diag_add(d, COX_SEV_WARNING, 0, cox_buf_cstr(&at), "this patch is refused: %s", err.text);
	} else if (why) {
		cox_diag_add(d, COX_SEV_WARNING, 0, path, "this patch is refused: %s", why);
	}
	if (mistake)
		cox_diag_add(d, COX_SEV_WARNING, 0, path, "%s", mistake);
	if (!why)
		target_check(p, path, d);
	cox_buf_fini(&at);
	cox_arena_fini(&scratch);
}

static void target_refs_check(const struct cox_envoy_filter *v, const char *path, struct cox_diags *d)
{
	for (COX_EACH(struct cox_target_ref, t, v->target_refs)) {
		bool is_gateway = cox_str_eq_cstr(t->group, "gateway.networking.k8s.io") &&
		                  (cox_str_eq_cstr(t->kind, "Gateway") || cox_str_eq_cstr(t->kind, "GatewayClass"));
		if (!is_gateway)
			cox_diag_add(
			    d, COX_SEV_WARNING, 0, path,
			    "targetRefs: %.*s %.*s selects no proxy: only Gateway and GatewayClass of gateway.networking.k8s.io do",
			    COX_FMT(t->kind), COX_FMT(t->name));
	}
}

static void envoy_filter_check(const void *value, const char *path, struct cox_diags *d)
{
	const struct cox_envoy_filter *v = value;
	if (v->workload_selector && v->target_refs.n)
		cox_diag_add(d, COX_SEV_ERROR, 0, path, "workloadSelector and targetRefs exclude each other");
	if (!v->config_patches.n)
		cox_diag_add(d, COX_SEV_WARNING, 0, path, "configPatches: without a patch it changes nothing");
	if (v->workload_selector)
		for (COX_EACH(struct cox_kv, kv, v->workload_selector->labels))
			if (cox_str_find(kv->key, '*') >= 0 || cox_str_find(kv->value, '*') >= 0)
				cox_diag_add(d, COX_SEV_ERROR, 0, path, "workloadSelector.labels: '*' is no wildcard here");
	target_refs_check(v, path, d);
}
static MESSAGE(envoy_filter, "EnvoyFilterSpec", "Changes of Envoy's configuration.", .check = envoy_filter_check,
               RULES({ "!(has(self.workloadSelector) && has(self.targetRefs))", "workloadSelector and targetRefs exclude each other" }));

static const struct cox_field envoy_filter_object_fields[] = {
	F(envoy_filter_object, spec, "spec", MSG, "Changes of Envoy's configuration.", REQUIRED, SUB(envoy_filter)),
};
OBJECT(envoy_filter, envoy_filter_object, "EnvoyFilter", "Changes what the mesh makes of its configuration for Envoy.", .open = true);
