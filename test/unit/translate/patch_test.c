/*
 * EnvoyFilter applied: every operation on every kind of object, merging, order, selection, and what it costs.
 * covers: a153 a154 a155 a156 a157 a159 a160 a161 a162 a163 a165 a166 b5
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "envoy/transcode.h"
#include "translate/mesh_fixture.h"
#include "translate/patch.h"

#include <stdio.h>
#include <stdlib.h>

#define MESH                                                                                                                                   \
	"apiVersion: v1\nkind: Service\nmetadata: {name: web, namespace: default}\n"                                                           \
	"spec: {clusterIP: 10.1.0.1, clusterIPs: [10.1.0.1], selector: {app: web}, ports: [{name: http, port: 80, targetPort: 8080}, "         \
	"{name: tcp, port: 9000}]}\n---\n"                                                                                                     \
	"apiVersion: v1\nkind: Service\nmetadata: {name: other, namespace: default}\n"                                                         \
	"spec: {clusterIP: 10.1.0.2, clusterIPs: [10.1.0.2], ports: [{name: http, port: 80}]}\n---\n"                                          \
	"apiVersion: v1\nkind: Service\nmetadata: {name: gw, namespace: default}\n"                                                            \
	"spec: {clusterIP: 10.1.0.3, clusterIPs: [10.1.0.3], selector: {istio: gw}, ports: [{name: http, port: 80, targetPort: 8080}]}\n---\n" \
	"apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: other, namespace: default}\n"                             \
	"spec: {host: other, subsets: [{name: v1, labels: {version: v1}}]}\n---\n"                                                             \
	"apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: other, namespace: default}\n"                              \
	"spec:\n  hosts: [other]\n  http:\n"                                                                                                   \
	"  - {name: old, match: [{uri: {prefix: /old}}], redirect: {uri: /new}}\n"                                                             \
	"  - {name: main, route: [{destination: {host: other}}]}\n---\n"                                                                       \
	"apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: front, namespace: default}\n"                                     \
	"spec: {selector: {istio: gw}, servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: [\"*\"]}]}\n---\n"                    \
	"apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: front, namespace: default}\n"                              \
	"spec: {hosts: [shop.example], gateways: [front], http: [{name: entry, route: [{destination: {host: web}}]}]}\n---\n"
#define FILTER(name, ns, more, patches)                                                                                \
	"apiVersion: networking.istio.io/v1alpha3\nkind: EnvoyFilter\nmetadata: {name: " name ", namespace: " ns "}\n" \
	"spec:\n  " more "\n  configPatches:\n" patches
#define PATCH(apply, match, patch) "  - {applyTo: " apply ", match: {" match "}, patch: {" patch "}}\n"
#define NODE(type, ip, app, more)                                                                                             \
	"{\"id\": \"" type "~" ip "~" app ".default~default.svc.cluster.local\", \"metadata\": {\"NAMESPACE\": \"default\", " \
	"\"ISTIO_VERSION\": \"1.27.1\", \"LABELS\": {\"app\": \"" app "\", \"istio\": \"" app "\"}" more "}}"
#define SIDECAR NODE("sidecar", "10.0.0.1", "web", "")
#define ROUTER NODE("router", "10.0.0.9", "gw", "")
#define HCM_NAME "envoy.filters.network.http_connection_manager"
#define LUA(code) \
	"\"@type\": type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua, default_source_code: {inline_string: \"" code "\"}"
#define LUA_FILTER(name) "{name: " name ", typed_config: {" LUA("--") "}}"

/* --- looking at what came out: "filter_chains[0].filters[*].name" -------------------------------------- */

static void collect(const struct cox_json *v, struct cox_str path, struct cox_buf *out)
{
	while (v && path.n) {
		size_t n = 0;
		if (path.p[0] == '[') {
			ptrdiff_t end = cox_str_find(path, ']');
			struct cox_str index = cox_str_sub(path, 1, (size_t)end - 1), rest = cox_str_sub(path, (size_t)end + 1, path.n);
			if (index.p[0] == '*') {
				for (size_t i = 0; i < v->n; i++)
					collect(&v->items[i], rest, out);
				return;
			}
			uint64_t at = 0;
			assert_int_equal(cox_str_to_u64(index, &at), COX_OK);
			v = v->type == COX_JSON_ARRAY && at < v->n ? &v->items[at] : NULL;
			path = rest;
			continue;
		}
		if (path.p[0] == '.')
			path = cox_str_sub(path, 1, path.n);
		if (path.p[0] == '\'') { /* a key with dots */
			struct cox_str key = cox_str_sub(path, 1, (size_t)cox_str_find(cox_str_sub(path, 1, path.n), '\''));
			v = cox_json_get(v, key);
			path = cox_str_sub(path, key.n + 2, path.n);
			continue;
		}
		while (n < path.n && path.p[n] != '.' && path.p[n] != '[')
			n++;
		v = cox_json_get(v, cox_str_sub(path, 0, n));
		path = cox_str_sub(path, n, path.n);
	}
	if (out->n)
		cox_buf_append_char(out, ' ');
	if (!v)
		cox_buf_append_char(out, '-');
	else if (v->type == COX_JSON_STRING)
		cox_buf_append_str(out, v->text);
	else
		cox_json_write(out, v, 0, true);
}

struct made {
	struct mesh m;
	struct cox_rendered r;
	struct cox_memo *memo;
	struct cox_arena arena;
};

static struct made made_with(const char *yaml, const char *node)
{
	struct made x = { .m = mesh_new(), .memo = cox_memo_new() };
	mesh_put(&x.m, MESH);
	mesh_put(&x.m, yaml);
	struct cox_proxy *p = mesh_proxy(&x.m, node);
	cox_translate_proxy(x.m.s, p, x.memo, &x.r);
	cox_proxy_unref(p);
	return x;
}

static void made_end(struct made *x)
{
	cox_rendered_fini(&x->r);
	cox_memo_free(x->memo);
	mesh_free(&x->m);
	cox_arena_fini(&x->arena);
}

static const struct cox_json *resource(struct made *x, enum cox_type type, const char *name)
{
	const struct cox_resource *r = cox_set_find(x->r.sets[type], cox_str_of(name));
	struct cox_buf flat = { 0 };
	struct cox_json *v = NULL;
	if (!r)
		return NULL;
	cox_resource_flatten(r, &flat);
	struct cox_str bytes = cox_arena_str(&x->arena, cox_buf_str(&flat));
	cox_buf_fini(&flat);
	assert_int_equal(cox_envoy_any_to_json(cox_type_url(type), bytes, COX_TRANSCODE_KEEP_OPAQUE, &x->arena, &v, NULL), COX_OK);
	return v;
}

static void assert_at(struct made *x, enum cox_type type, const char *name, const char *path, const char *want)
{
	struct cox_buf out = { 0 };
	collect(resource(x, type, name), cox_str_of(path), &out);
	assert_string_equal(cox_buf_cstr(&out), want);
	cox_buf_fini(&out);
}

/* --- operations x objects ----------------------------------------------------------------------------------- */

struct row {
	const char *patches, *node;
	enum cox_type type;
	const char *name, *path, *want;
};
#define IN_HTTP "filter_chains[0].filters[0].typed_config.http_filters[*].name"
#define STOCK "envoy.filters.http.grpc_stats envoy.filters.http.fault envoy.filters.http.cors"
#define OUT80 "context: SIDECAR_OUTBOUND, listener: {portNumber: 80, "
#define HCM OUT80 "filterChain: {filter: {name: " HCM_NAME
#define CORS HCM ", subFilter: {name: envoy.filters.http.cors}}}}"
#define LDS80 SIDECAR, COX_TYPE_LDS, "0.0.0.0_80"

static const struct row http_filters[] = {
	{ PATCH("HTTP_FILTER", CORS, "operation: INSERT_BEFORE, value: " LUA_FILTER("x")), LDS80, IN_HTTP,
	  "envoy.filters.http.grpc_stats envoy.filters.http.fault x envoy.filters.http.cors envoy.filters.http.router" },
	{ PATCH("HTTP_FILTER", CORS, "operation: INSERT_AFTER, value: " LUA_FILTER("x")), LDS80, IN_HTTP,
	  STOCK " x envoy.filters.http.router" },
	{ PATCH("HTTP_FILTER", CORS, "operation: INSERT_FIRST, value: " LUA_FILTER("x")), LDS80, IN_HTTP,
	  "x " STOCK " envoy.filters.http.router" },
	{ PATCH("HTTP_FILTER", HCM "}}}", "operation: INSERT_BEFORE, value: " LUA_FILTER("x")), LDS80, IN_HTTP,
	  "x " STOCK " envoy.filters.http.router" },
	{ PATCH("HTTP_FILTER", HCM "}}}", "operation: INSERT_AFTER, value: " LUA_FILTER("x")), LDS80, IN_HTTP,
	  STOCK " envoy.filters.http.router x" },
	{ PATCH("HTTP_FILTER", HCM "}}}", "operation: ADD, value: " LUA_FILTER("x")), LDS80, IN_HTTP,
	  STOCK " envoy.filters.http.router x" },
	{ PATCH("HTTP_FILTER", CORS, "operation: REPLACE, value: " LUA_FILTER("x")), LDS80, IN_HTTP,
	  "envoy.filters.http.grpc_stats envoy.filters.http.fault x envoy.filters.http.router" },
	{ PATCH("HTTP_FILTER", CORS, "operation: REMOVE"), LDS80, IN_HTTP,
	  "envoy.filters.http.grpc_stats envoy.filters.http.fault envoy.filters.http.router" },
	/* Without a filter named, nothing is removed or replaced; what is not there has nothing before or behind it. */
	{ PATCH("HTTP_FILTER", HCM "}}}", "operation: REMOVE"), LDS80, IN_HTTP, STOCK " envoy.filters.http.router" },
	{ PATCH("HTTP_FILTER", HCM ", subFilter: {name: none}}}}", "operation: INSERT_AFTER, value: " LUA_FILTER("x")), LDS80, IN_HTTP,
	  STOCK " envoy.filters.http.router" },
	{ PATCH("HTTP_FILTER", HCM ", subFilter: {name: envoy.router}}}}", "operation: INSERT_BEFORE, value: " LUA_FILTER("x")), LDS80,
	  IN_HTTP, STOCK " x envoy.filters.http.router" },
	/* MERGE: of the same type inside; of another, nothing. */
	{ PATCH("HTTP_FILTER", HCM ", subFilter: {name: envoy.filters.http.router}}}}",
	        "operation: MERGE, value: {typed_config: {\"@type\": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router, "
	        "suppressEnvoyHeaders: true}}"),
	  LDS80, "filter_chains[0].filters[0].typed_config.http_filters[3].typed_config.suppress_envoy_headers", "true" },
	{ PATCH("HTTP_FILTER", HCM ", subFilter: {name: envoy.filters.http.router}}}}",
	        "operation: MERGE, value: {typed_config: {" LUA("x") "}}"),
	  LDS80, "filter_chains[0].filters[0].typed_config.http_filters[3].typed_config.@type",
	  "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router" },
	{ PATCH("HTTP_FILTER", HCM ", subFilter: {name: envoy.filters.http.router}}}}",
	        "operation: MERGE, value: {typed_config: {\"@type\": type.googleapis.com/udpa.type.v1.TypedStruct, type_url: "
	        "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router, value: {suppress_envoy_headers: true}}}"),
	  LDS80, "filter_chains[0].filters[0].typed_config.http_filters[3].typed_config.suppress_envoy_headers", "true" },
	/* filterClass: nothing of authentication is here, so in front; twice in order; statistics before the router. */
	{ PATCH("HTTP_FILTER", HCM "}}}", "operation: ADD, filterClass: AUTHN, value: " LUA_FILTER("x"))
	      PATCH("HTTP_FILTER", HCM "}}}", "operation: ADD, filterClass: AUTHN, value: " LUA_FILTER("y")),
	  LDS80, IN_HTTP, "x y " STOCK " envoy.filters.http.router" },
	{ PATCH("HTTP_FILTER", HCM "}}}", "operation: INSERT_FIRST, value: " LUA_FILTER("envoy.filters.http.rbac"))
	      PATCH("HTTP_FILTER", HCM "}}}", "operation: ADD, filterClass: AUTHZ, value: " LUA_FILTER("x")),
	  LDS80, IN_HTTP, "envoy.filters.http.rbac x " STOCK " envoy.filters.http.router" },
	{ PATCH("HTTP_FILTER", HCM "}}}", "operation: ADD, filterClass: STATS, value: " LUA_FILTER("x")), LDS80, IN_HTTP,
	  STOCK " x envoy.filters.http.router" },
};

#define TCP9000 "context: SIDECAR_OUTBOUND, listener: {portNumber: 9000, filterChain: {filter: {name: envoy.tcp_proxy}}}"
#define LDS9000 SIDECAR, COX_TYPE_LDS, "10.1.0.1_9000"
#define ECHO "{name: x, typed_config: {\"@type\": type.googleapis.com/envoy.extensions.filters.network.echo.v3.Echo}}"
#define FILTERS "filter_chains[0].filters[*].name"
static const struct row network_filters[] = {
	{ PATCH("NETWORK_FILTER", TCP9000, "operation: INSERT_BEFORE, value: " ECHO), LDS9000, FILTERS,
	  "x envoy.filters.network.tcp_proxy" },
	{ PATCH("NETWORK_FILTER", TCP9000, "operation: INSERT_AFTER, value: " ECHO), LDS9000, FILTERS,
	  "envoy.filters.network.tcp_proxy x" },
	{ PATCH("NETWORK_FILTER", TCP9000, "operation: INSERT_FIRST, value: " ECHO), LDS9000, FILTERS,
	  "x envoy.filters.network.tcp_proxy" },
	{ PATCH("NETWORK_FILTER", TCP9000, "operation: ADD, value: " ECHO), LDS9000, FILTERS, "envoy.filters.network.tcp_proxy x" },
	{ PATCH("NETWORK_FILTER", TCP9000, "operation: ADD, filterClass: STATS, value: " ECHO), LDS9000, FILTERS,
	  "x envoy.filters.network.tcp_proxy" },
	{ PATCH("NETWORK_FILTER", TCP9000, "operation: REPLACE, value: " ECHO), LDS9000, FILTERS, "x" },
	{ PATCH("NETWORK_FILTER", TCP9000, "operation: REMOVE"), LDS9000, FILTERS, "-" },
	{ PATCH(
	      "NETWORK_FILTER", TCP9000,
	      "operation: MERGE, value: {typed_config: {\"@type\": type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy, "
	      "idle_timeout: 90s}}"),
	  LDS9000, "filter_chains[0].filters[0].typed_config.idle_timeout", "90s" },
	{ PATCH("NETWORK_FILTER", HCM "}}}",
	        "operation: MERGE, value: {typed_config: {\"@type\": "
	        "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager, "
	        "common_http_protocol_options: {idle_timeout: 30s}, http2_protocol_options: {max_concurrent_streams: 7}}}"),
	  LDS80, "filter_chains[0].filters[0].typed_config.common_http_protocol_options.idle_timeout", "30s" },
};

#define CHAIN9000 "context: SIDECAR_OUTBOUND, listener: {portNumber: 9000}"
static const struct row chains[] = {
	{ PATCH("FILTER_CHAIN", CHAIN9000, "operation: MERGE, value: {transport_socket_connect_timeout: 3s}"), LDS9000,
	  "filter_chains[*].transport_socket_connect_timeout", "3s" },
	{ PATCH("FILTER_CHAIN", CHAIN9000, "operation: ADD, value: {name: x, filters: [" ECHO "]}"), LDS9000, "filter_chains[*].name",
	  "- x" },
	{ PATCH("FILTER_CHAIN", CHAIN9000, "operation: INSERT_BEFORE, value: {name: x, filters: [" ECHO "]}"), LDS9000,
	  "filter_chains[*].name", "- x" },
	/* A listener whose chains are all gone goes, too: Envoy would refuse it. */
	{ PATCH("FILTER_CHAIN", CHAIN9000, "operation: REMOVE"), LDS9000, "name", "-" },
	{ PATCH("FILTER_CHAIN", "context: SIDECAR_OUTBOUND, listener: {name: 0.0.0.0_80, filterChain: {name: PassthroughFilterChain}}",
	        "operation: REMOVE"),
	  LDS80, "default_filter_chain", "-" },
	{ PATCH("FILTER_CHAIN", "context: SIDECAR_INBOUND, listener: {filterChain: {destinationPort: 8080, transportProtocol: tls}}",
	        "operation: MERGE, value: {metadata: {filter_metadata: {x: {a: b}}}}"),
	  SIDECAR, COX_TYPE_LDS, "virtualInbound", "filter_chains[*].metadata.filter_metadata.x.a", "b - - - - - - - - - -" },
};

static const struct row listeners[] = {
	{ PATCH("LISTENER", CHAIN9000, "operation: MERGE, value: {per_connection_buffer_limit_bytes: 32768}"), LDS9000,
	  "per_connection_buffer_limit_bytes", "32768" },
	{ PATCH("LISTENER", CHAIN9000, "operation: MERGE_AND_REPLACE_LIST, value: {listener_filters: [{name: x}]}"), LDS9000,
	  "listener_filters[*].name", "x" },
	{ PATCH("LISTENER", CHAIN9000, "operation: REMOVE"), LDS9000, "name", "-" },
	{ PATCH("LISTENER", "context: SIDECAR_OUTBOUND", "operation: ADD, value: {name: mine, filter_chains: [{filters: [" ECHO "]}]}"),
	  SIDECAR, COX_TYPE_LDS, "mine", FILTERS, "x" },
	{ PATCH("LISTENER", "context: SIDECAR_INBOUND, listener: {name: virtualInbound}",
	        "operation: MERGE, value: {listener_filters_timeout: 9s}"),
	  SIDECAR, COX_TYPE_LDS, "virtualInbound", "listener_filters_timeout", "9s" },
	{ PATCH("LISTENER", "context: SIDECAR_INBOUND", "operation: MERGE, value: {listener_filters_timeout: 9s}"), LDS9000,
	  "listener_filters_timeout", "0s" },
};

#define VIN "context: SIDECAR_INBOUND, listener: {name: virtualInbound"
#define TLS_INSPECTOR "envoy.filters.listener.tls_inspector"
#define LIN SIDECAR, COX_TYPE_LDS, "virtualInbound", "listener_filters[*].name"
#define ORDST "envoy.filters.listener.original_dst"
#define HTTP_INSPECTOR "envoy.filters.listener.http_inspector"
static const struct row listener_filters[] = {
	{ PATCH("LISTENER_FILTER", VIN "}", "operation: ADD, value: {name: x}"), LIN, ORDST " " TLS_INSPECTOR " " HTTP_INSPECTOR " x" },
	{ PATCH("LISTENER_FILTER", VIN "}", "operation: INSERT_FIRST, value: {name: x}"), LIN,
	  "x " ORDST " " TLS_INSPECTOR " " HTTP_INSPECTOR },
	{ PATCH("LISTENER_FILTER", VIN ", listenerFilter: " TLS_INSPECTOR "}", "operation: INSERT_BEFORE, value: {name: x}"), LIN,
	  ORDST " x " TLS_INSPECTOR " " HTTP_INSPECTOR },
	{ PATCH("LISTENER_FILTER", VIN ", listenerFilter: envoy.listener.tls_inspector}", "operation: INSERT_AFTER, value: {name: x}"), LIN,
	  ORDST " " TLS_INSPECTOR " x " HTTP_INSPECTOR },
	{ PATCH("LISTENER_FILTER", VIN ", listenerFilter: " TLS_INSPECTOR "}", "operation: REPLACE, value: {name: x}"), LIN,
	  ORDST " x " HTTP_INSPECTOR },
	{ PATCH("LISTENER_FILTER", VIN ", listenerFilter: " TLS_INSPECTOR "}", "operation: REMOVE"), LIN, ORDST " " HTTP_INSPECTOR },
};

#define RC80 "context: SIDECAR_OUTBOUND, routeConfiguration: {portNumber: 80"
#define OTHER RC80 ", vhost: {name: \"other.default.svc.cluster.local:80\""
#define RDS80 SIDECAR, COX_TYPE_RDS, "80"
#define DIRECT(name) "{name: " name ", match: {prefix: /}, direct_response: {status: 418}}"
#define OTHER_AT 1 /* allow_any, other, web, ... */
static const struct row routes[] = {
	{ PATCH("ROUTE_CONFIGURATION", RC80 "}", "operation: MERGE, value: {response_headers_to_add: [{header: {key: x, value: y}}]}"),
	  RDS80, "response_headers_to_add[*].header.key", "x" },
	{ PATCH("ROUTE_CONFIGURATION", "context: SIDECAR_OUTBOUND, routeConfiguration: {name: \"80\"}",
	        "operation: MERGE, value: {max_direct_response_body_size_bytes: 9}"),
	  RDS80, "max_direct_response_body_size_bytes", "9" },
	{ PATCH("ROUTE_CONFIGURATION", "context: SIDECAR_OUTBOUND, routeConfiguration: {portNumber: 81}",
	        "operation: MERGE, value: {max_direct_response_body_size_bytes: 9}"),
	  RDS80, "max_direct_response_body_size_bytes", "1048576" },
	{ PATCH("VIRTUAL_HOST", OTHER "}}", "operation: MERGE, value: {request_headers_to_add: [{header: {key: x, value: y}}]}"), RDS80,
	  "virtual_hosts[*].request_headers_to_add[0].header.key", "- - x -" },
	{ PATCH("VIRTUAL_HOST", OTHER "}}", "operation: REMOVE"), RDS80, "virtual_hosts[*].name",
	  "allow_any gw.default.svc.cluster.local:80 web.default.svc.cluster.local:80" },
	{ PATCH("VIRTUAL_HOST", OTHER "}}", "operation: REPLACE, value: {name: x, domains: [x]}"), RDS80, "virtual_hosts[*].name",
	  "allow_any gw.default.svc.cluster.local:80 x web.default.svc.cluster.local:80" },
	{ PATCH("VIRTUAL_HOST", RC80 "}", "operation: ADD, value: {name: x, domains: [x.example], routes: [" DIRECT("r") "]}"), RDS80,
	  "virtual_hosts[4].domains", "[\"x.example\"]" },
	{ PATCH("VIRTUAL_HOST", RC80 ", vhost: {domainName: other.default.svc.cluster.local}}",
	        "operation: MERGE, value: {require_tls: ALL}"),
	  RDS80, "virtual_hosts[*].require_tls", "- - ALL -" },
	{ PATCH("HTTP_ROUTE", OTHER ", route: {name: main}}}", "operation: MERGE, value: {route: {timeout: 7s}}"), RDS80,
	  "virtual_hosts[2].routes[*].route.timeout", "- 7s" },
	{ PATCH("HTTP_ROUTE", OTHER ", route: {action: REDIRECT}}}", "operation: REMOVE"), RDS80, "virtual_hosts[2].routes[*].name",
	  "main" },
	/* One member of a oneof takes the place of another. */
	{ PATCH("HTTP_ROUTE", OTHER ", route: {action: REDIRECT}}}", "operation: MERGE, value: {direct_response: {status: 410}}"), RDS80,
	  "virtual_hosts[2].routes[0].redirect", "-" },
	{ PATCH("HTTP_ROUTE", OTHER "}}", "operation: ADD, value: " DIRECT("x")), RDS80, "virtual_hosts[2].routes[*].name", "old main x" },
	{ PATCH("HTTP_ROUTE", OTHER "}}", "operation: INSERT_FIRST, value: " DIRECT("x")), RDS80, "virtual_hosts[2].routes[*].name",
	  "x old main" },
	{ PATCH("HTTP_ROUTE", OTHER ", route: {name: main}}}", "operation: INSERT_FIRST, value: " DIRECT("x")), RDS80,
	  "virtual_hosts[2].routes[*].name", "x old main" },
	{ PATCH("HTTP_ROUTE", OTHER ", route: {name: none}}}", "operation: INSERT_FIRST, value: " DIRECT("x")), RDS80,
	  "virtual_hosts[2].routes[*].name", "old main" },
	{ PATCH("HTTP_ROUTE", OTHER ", route: {name: main}}}", "operation: INSERT_BEFORE, value: " DIRECT("x")), RDS80,
	  "virtual_hosts[2].routes[*].name", "old x main" },
	{ PATCH("HTTP_ROUTE", OTHER ", route: {name: old}}}", "operation: INSERT_AFTER, value: " DIRECT("x")), RDS80,
	  "virtual_hosts[2].routes[*].name", "old x main" },
	/* Routes of a sidecar's own port stand in its listener. */
	{ PATCH("VIRTUAL_HOST", "context: SIDECAR_INBOUND, routeConfiguration: {portNumber: 8080}",
	        "operation: MERGE, value: {require_tls: ALL}"),
	  SIDECAR, COX_TYPE_LDS, "virtualInbound", "filter_chains[0].filters[0].typed_config.route_config.virtual_hosts[0].require_tls",
	  "ALL" },
	/* Of a gateway: the port of its server, whatever the pod listens on. */
	{ PATCH("HTTP_ROUTE", "context: GATEWAY, routeConfiguration: {portNumber: 80, vhost: {route: {name: entry}}}",
	        "operation: MERGE, value: {route: {timeout: 7s}}"),
	  ROUTER, COX_TYPE_RDS, "http.8080", "virtual_hosts[0].routes[0].route.timeout", "7s" },
	{ PATCH("HTTP_ROUTE", "context: SIDECAR_OUTBOUND", "operation: REMOVE"), ROUTER, COX_TYPE_RDS, "http.8080",
	  "virtual_hosts[0].routes[0].name", "entry" },
};

#define WEB80 SIDECAR, COX_TYPE_CDS, "outbound|80||web.default.svc.cluster.local"
static const struct row clusters[] = {
	{ PATCH("CLUSTER", "context: SIDECAR_OUTBOUND, cluster: {service: web.default.svc.cluster.local, portNumber: 80}",
	        "operation: MERGE, value: {connect_timeout: 0.25s, dns_refresh_rate: 1.5s}"),
	  WEB80, "connect_timeout", "0.250s" },
	{ PATCH("CLUSTER", "context: SIDECAR_OUTBOUND, cluster: {service: other.default.svc.cluster.local}",
	        "operation: MERGE, value: {connect_timeout: 0.25s}"),
	  WEB80, "connect_timeout", "10s" },
	{ PATCH("CLUSTER", "cluster: {subset: v1}", "operation: MERGE, value: {alt_stat_name: x}"), SIDECAR, COX_TYPE_CDS,
	  "outbound|80|v1|other.default.svc.cluster.local", "alt_stat_name", "x" },
	{ PATCH("CLUSTER", "cluster: {name: PassthroughCluster}", "operation: MERGE, value: {alt_stat_name: x}"), SIDECAR, COX_TYPE_CDS,
	  "PassthroughCluster", "alt_stat_name", "x" },
	{ PATCH("CLUSTER", "context: SIDECAR_INBOUND, cluster: {service: web.default.svc.cluster.local, portNumber: 8080}",
	        "operation: MERGE, value: {alt_stat_name: x}"),
	  SIDECAR, COX_TYPE_CDS, "inbound|8080||", "alt_stat_name", "x" },
	{ PATCH("CLUSTER", "context: SIDECAR_INBOUND, cluster: {service: other.default.svc.cluster.local}",
	        "operation: MERGE, value: {alt_stat_name: x}"),
	  SIDECAR, COX_TYPE_CDS, "inbound|8080||", "alt_stat_name", "inbound|8080||;" },
	{ PATCH("CLUSTER", "cluster: {service: web.default.svc.cluster.local}", "operation: REMOVE"), WEB80, "name", "-" },
	{ PATCH("CLUSTER", "context: SIDECAR_OUTBOUND", "operation: ADD, value: {name: mine, connect_timeout: 2s}"), SIDECAR, COX_TYPE_CDS,
	  "mine", "connect_timeout", "2s" },
	{ PATCH("CLUSTER", "context: ANY", "operation: ADD, value: {name: mine, connect_timeout: 2s}"), ROUTER, COX_TYPE_CDS, "mine",
	  "connect_timeout", "2s" },
	{ PATCH("CLUSTER", "context: GATEWAY", "operation: ADD, value: {name: mine, connect_timeout: 2s}"), SIDECAR, COX_TYPE_CDS, "mine",
	  "name", "-" },
	/* A name that is there already stays as it is. */
	{ PATCH("CLUSTER", "context: SIDECAR_OUTBOUND", "operation: ADD, value: {name: PassthroughCluster, connect_timeout: 2s}"), SIDECAR,
	  COX_TYPE_CDS, "PassthroughCluster", "connect_timeout", "10s" },
	/* What a patch for a gateway names is sent to it. */
	{ PATCH("HTTP_FILTER", "context: GATEWAY, listener: {filterChain: {filter: {name: " HCM_NAME "}}}",
	        "operation: INSERT_FIRST, value: {name: x, typed_config: {" LUA(
	            "h:httpCall('outbound|9000||web.default.svc.cluster.local', {})") "}}"),
	  ROUTER, COX_TYPE_CDS, "outbound|9000||web.default.svc.cluster.local", "type", "EDS" },
	{ PATCH("EXTENSION_CONFIG", "context: SIDECAR_OUTBOUND", "operation: ADD, value: {name: ext, typed_config: {" LUA("--") "}}"),
	  SIDECAR, COX_TYPE_ECDS, "ext", "typed_config.default_source_code.inline_string", "--" },
};

static void check_rows(const struct row *rows, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct cox_buf yaml = { 0 };
		cox_buf_printf(&yaml, FILTER("f", "default", "priority: 0", "%s"), rows[i].patches);
		struct made x = made_with(cox_buf_cstr(&yaml), rows[i].node);
		struct cox_buf out = { 0 };
		collect(resource(&x, rows[i].type, rows[i].name), cox_str_of(rows[i].path), &out);
		if (strcmp(cox_buf_cstr(&out), rows[i].want) != 0)
			fail_msg("row %zu: %s\n  %s has %s\n  wanted    %s", i, rows[i].patches, rows[i].path, cox_buf_cstr(&out),
			         rows[i].want);
		cox_buf_fini(&out);
		cox_buf_fini(&yaml);
		made_end(&x);
	}
}

static void test_http_filters(void **state) { (void)state, check_rows(http_filters, COX_LEN(http_filters)); }
static void test_network_filters(void **state) { (void)state, check_rows(network_filters, COX_LEN(network_filters)); }
static void test_chains(void **state) { (void)state, check_rows(chains, COX_LEN(chains)); }
static void test_listeners(void **state) { (void)state, check_rows(listeners, COX_LEN(listeners)); }
static void test_listener_filters(void **state) { (void)state, check_rows(listener_filters, COX_LEN(listener_filters)); }
static void test_routes(void **state) { (void)state, check_rows(routes, COX_LEN(routes)); }
static void test_clusters(void **state) { (void)state, check_rows(clusters, COX_LEN(clusters)); }

/* --- merging ------------------------------------------------------------------------------------------------ */

#define UPSTREAM_TLS "\"@type\": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext"
#define DOWNSTREAM_TLS "\"@type\": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext"
#define ONE_CLUSTER "context: SIDECAR_OUTBOUND, cluster: {service: web.default.svc.cluster.local, portNumber: 80}"
#define INBOUND_TLS "context: SIDECAR_INBOUND, listener: {portNumber: 8080, filterChain: {transportSocket: envoy.transport_sockets.tls}}"
static const struct row merging[] = {
	/* Lists are appended, or taken over. */
	{ PATCH("VIRTUAL_HOST", OTHER "}}", "operation: MERGE, value: {domains: [more]}"), RDS80, "virtual_hosts[2].domains[6]", "more" },
	{ PATCH("VIRTUAL_HOST", OTHER "}}", "operation: MERGE_AND_REPLACE_LIST, value: {domains: [only]}"), RDS80,
	  "virtual_hosts[2].domains", "[\"only\"]" },
	/* An entry of a map takes the place of the one that was there; its neighbours stay. */
	{ PATCH("CLUSTER", ONE_CLUSTER, "operation: MERGE, value: {metadata: {filter_metadata: {x: {a: 1}}}}")
	      PATCH("CLUSTER", ONE_CLUSTER, "operation: MERGE, value: {metadata: {filter_metadata: {x: {b: 2}, y: {c: 3}}}}"),
	  WEB80, "metadata.filter_metadata.x", "{\"b\":2}" },
	{ PATCH("CLUSTER", ONE_CLUSTER, "operation: MERGE, value: {metadata: {filter_metadata: {x: {a: 1}}}}"), WEB80,
	  "metadata.filter_metadata.istio.services[0].name", "web" },
	/* Messages are merged inside; durations and wrappers are replaced, even by false and 0. */
	{ PATCH("CLUSTER", ONE_CLUSTER, "operation: MERGE, value: {common_lb_config: {healthy_panic_threshold: {value: 5}}}"), WEB80,
	  "common_lb_config.healthy_panic_threshold.value", "5" },
	{ PATCH("CLUSTER", ONE_CLUSTER, "operation: MERGE, value: {outlier_detection: {enforcing_success_rate: 5, interval: 3s}}")
	      PATCH("CLUSTER", ONE_CLUSTER, "operation: MERGE, value: {outlier_detection: {enforcing_success_rate: 0}}"),
	  WEB80, "outlier_detection", "{\"enforcing_success_rate\":0,\"interval\":\"3s\"}" },
	/* A transport socket of the same name is merged inside, among those chosen by endpoint, too. */
	{ PATCH("CLUSTER", ONE_CLUSTER,
	        "operation: MERGE, value: {transport_socket: {name: envoy.transport_sockets.tls, typed_config: {" UPSTREAM_TLS
	        ", common_tls_context: {tls_params: {tls_maximum_protocol_version: TLSv1_3}}}}, alt_stat_name: x}"),
	  WEB80, "transport_socket_matches[0].transport_socket.typed_config.common_tls_context.tls_params.tls_maximum_protocol_version",
	  "TLSv1_3" },
	{ PATCH("CLUSTER", ONE_CLUSTER,
	        "operation: MERGE, value: {transport_socket: {name: envoy.transport_sockets.tls, typed_config: {" UPSTREAM_TLS
	        "}}, alt_stat_name: x}"),
	  WEB80, "alt_stat_name", "x" },
	{ PATCH("CLUSTER", ONE_CLUSTER, "operation: MERGE, value: {transport_socket: {name: other}}"), WEB80, "transport_socket", "-" },
	{ PATCH("CLUSTER", "cluster: {name: PassthroughCluster}", "operation: MERGE, value: {transport_socket: {name: other}}"), SIDECAR,
	  COX_TYPE_CDS, "PassthroughCluster", "transport_socket.name", "other" },
	{ PATCH("FILTER_CHAIN", INBOUND_TLS,
	        "operation: MERGE, value: {transport_socket: {name: envoy.transport_sockets.tls, typed_config: {" DOWNSTREAM_TLS
	        ", common_tls_context: {tls_params: {tls_minimum_protocol_version: TLSv1_3}}}}}"),
	  SIDECAR, COX_TYPE_LDS, "virtualInbound",
	  "filter_chains[0].transport_socket.typed_config.common_tls_context.tls_params.tls_minimum_protocol_version", "TLSv1_3" },
	{ PATCH("FILTER_CHAIN", INBOUND_TLS,
	        "operation: MERGE, value: {transport_socket: {name: envoy.transport_sockets.tls, typed_config: {" DOWNSTREAM_TLS "}}}"),
	  SIDECAR, COX_TYPE_LDS, "virtualInbound", "filter_chains[0].transport_socket.typed_config.require_client_certificate", "true" },
	/* What one patch puts in, a later one finds. */
	{ PATCH("HTTP_FILTER", CORS, "operation: INSERT_BEFORE, value: " LUA_FILTER("x"))
	      PATCH("HTTP_FILTER", HCM ", subFilter: {name: x}}}}", "operation: INSERT_BEFORE, value: " LUA_FILTER("y")) PATCH(
	          "HTTP_FILTER", HCM ", subFilter: {name: x}}}}", "operation: MERGE, value: {name: z, typed_config: {" LUA("zz") "}}"),
	  LDS80, "filter_chains[0].filters[0].typed_config.http_filters[3]",
	  "{\"name\":\"z\",\"typed_config\":{\"@type\":\"type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua\","
	  "\"default_source_code\":{\"inline_string\":\"zz\"}}}" },
};
static void test_merging(void **state) { (void)state, check_rows(merging, COX_LEN(merging)); }

/* --- selection and order -------------------------------------------------------------------------------------------- */

#define FRONT(name) PATCH("HTTP_FILTER", HCM "}}}", "operation: ADD, filterClass: AUTHN, value: " LUA_FILTER(name))
#define ADDED(name) PATCH("CLUSTER", "context: SIDECAR_OUTBOUND", "operation: ADD, value: {name: " name "}")
#define ADDED_FOR(name, proxy) PATCH("CLUSTER", "context: SIDECAR_OUTBOUND, proxy: {" proxy "}", "operation: ADD, value: {name: " name "}")

/* Priority, then the root namespace, then age, then name. */
static void test_order(void **state)
{
	(void)state;
	struct made x = made_with(
	    FILTER("b, creationTimestamp: \"2026-01-01T00:00:02Z\"", "default", "priority: 0", FRONT("b2")) "---\n" FILTER(
	        "a, creationTimestamp: \"2026-01-01T00:00:02Z\"", "default", "priority: 0",
	        FRONT(
	            "a2")) "---\n" FILTER("z, creationTimestamp: \"2026-01-01T00:00:01Z\"", "default", "priority: 0",
	                                  FRONT(
	                                      "z1")) "---\n" FILTER("root, creationTimestamp: \"2026-01-01T00:00:09Z\"", "istio-system",
	                                                            "priority: 0",
	                                                            FRONT(
	                                                                "r9")) "---\n" FILTER("late", "istio-system", "priority: 5",
	                                                                                      FRONT(
	                                                                                          "late")) "---\n" FILTER("early",
	                                                                                                                  "default",
	                                                                                                                  "priority: -5",
	                                                                                                                  FRONT(
	                                                                                                                      "early")) "---\n" FILTER("foreign",
	                                                                                                                                               "elsewhere",
	                                                                                                                                               "priority: -9",
	                                                                                                                                               FRONT(
	                                                                                                                                                   "foreign")),
	    SIDECAR);
	assert_at(&x, COX_TYPE_LDS, "0.0.0.0_80", IN_HTTP, "early r9 z1 a2 b2 late " STOCK " envoy.filters.http.router");
	made_end(&x);
}

static void assert_has(struct made *x, const char *cluster, bool has)
{
	if ((resource(x, COX_TYPE_CDS, cluster) != NULL) != has)
		fail_msg("cluster %s is %s", cluster, has ? "missing" : "there");
}

static void test_selection(void **state)
{
	(void)state;
	const char *yaml = FILTER("mine", "default", "workloadSelector: {labels: {app: web}}", ADDED("mine")) "---\n" FILTER(
	    "not", "default", "workloadSelector: {labels: {app: other}}",
	    ADDED("not-mine")) "---\n" FILTER("class", "default",
	                                      "targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: g}]",
	                                      ADDED("by-ref")) "---\n" FILTER("proxy", "default", "priority: 0",
	                                                                      ADDED_FOR("v127", "proxyVersion: '^1\\.27.*'")
	                                                                          ADDED_FOR("v26", "proxyVersion: '1\\.26'") ADDED_FOR(
	                                                                              "any-digit", "proxyVersion: '^1\\.2\\d\\.(?:0|1)$'")
	                                                                              ADDED_FOR("meta", "metadata: {CUSTOM: x}")
	                                                                                  ADDED_FOR("other-meta", "metadata: {CUSTOM: y}")
	                                                                                      ADDED_FOR("no-meta", "metadata: {NONE: x}"));
	struct made x = made_with(yaml, NODE("sidecar", "10.0.0.1", "web", ", \"CUSTOM\": \"x\""));
	assert_has(&x, "mine", true), assert_has(&x, "not-mine", false), assert_has(&x, "by-ref", false);
	assert_has(&x, "v127", true), assert_has(&x, "v26", false), assert_has(&x, "any-digit", true);
	assert_has(&x, "meta", true), assert_has(&x, "other-meta", false), assert_has(&x, "no-meta", false);
	made_end(&x);
	x = made_with(yaml, "{\"id\": \"sidecar~10.0.0.7~x.default~default.svc.cluster.local\", \"metadata\": {\"NAMESPACE\": \"default\", "
	                    "\"LABELS\": {\"gateway.networking.k8s.io/gateway-name\": \"g\"}}}");
	assert_has(&x, "mine", false), assert_has(&x, "by-ref", true), assert_has(&x, "v127", false);
	made_end(&x);
}

/* Version and metadata split views only where somebody looks at them. */
static void test_view_keys(void **state)
{
	(void)state;
	const char *nodes[] = { NODE("sidecar", "10.0.0.1", "web", ", \"CUSTOM\": \"x\""),
		                NODE("sidecar", "10.0.0.1", "web", ", \"CUSTOM\": \"y\"") };
	const char *yamls[] = { FILTER("f", "default", "priority: 0", ADDED("c")),
		                FILTER("f", "default", "priority: 0", ADDED_FOR("c", "metadata: {CUSTOM: x}")) };
	for (size_t i = 0; i < 2; i++) {
		struct mesh m = mesh_new();
		mesh_put(&m, MESH);
		mesh_put(&m, yamls[i]);
		struct cox_proxy *p[2] = { mesh_proxy(&m, nodes[0]), mesh_proxy(&m, nodes[1]) };
		struct cox_view *v[2] = { cox_view_build(p[0], m.s), cox_view_build(p[1], m.s) };
		assert_int_equal(cox_str_eq(v[0]->key, v[1]->key), i == 0);
		for (size_t k = 0; k < 2; k++) {
			cox_view_free(v[k]);
			cox_proxy_unref(p[k]);
		}
		mesh_free(&m);
	}
}

/* --- what it costs ---------------------------------------------------------------------------------------------------- */

static const struct cox_resource *found(const struct cox_rendered *r, enum cox_type type, const char *name)
{
	const struct cox_resource *x = cox_set_find(r->sets[type], cox_str_of(name));
	assert_non_null(x);
	return x;
}

/* A second proxy of the same kind gets the very same resources; what no patch touches is the same as without any; a changed filter makes
 * anew what it patches, and nothing else. */
static void test_memo(void **state)
{
	(void)state;
	struct made x = made_with(FILTER("f", "default", "workloadSelector: {labels: {app: web}}",
	                                 PATCH("CLUSTER", ONE_CLUSTER, "operation: MERGE, value: {alt_stat_name: x}")
	                                     PATCH("HTTP_ROUTE", OTHER "}}", "operation: ADD, value: " DIRECT("x"))),
	                          SIDECAR);
	struct cox_proxy *same = mesh_proxy(&x.m, SIDECAR), *other = mesh_proxy(&x.m, NODE("sidecar", "10.0.0.2", "other", ""));
	struct cox_rendered again = { 0 }, bare = { 0 }, later = { 0 };
	cox_translate_proxy(x.m.s, same, x.memo, &again);
	cox_translate_proxy(x.m.s, other, x.memo, &bare);
	const char *web = "outbound|80||web.default.svc.cluster.local", *tcp = "outbound|9000||web.default.svc.cluster.local";
	assert_ptr_equal(found(&x.r, COX_TYPE_CDS, web), found(&again, COX_TYPE_CDS, web));
	assert_ptr_equal(found(&x.r, COX_TYPE_RDS, "80"), found(&again, COX_TYPE_RDS, "80"));
	assert_ptr_not_equal(found(&x.r, COX_TYPE_CDS, web), found(&bare, COX_TYPE_CDS, web));
	assert_ptr_equal(found(&x.r, COX_TYPE_CDS, tcp), found(&bare, COX_TYPE_CDS, tcp));
	assert_ptr_equal(found(&x.r, COX_TYPE_LDS, "0.0.0.0_80"), found(&bare, COX_TYPE_LDS, "0.0.0.0_80"));
	assert_true(cox_str_search(found(&x.r, COX_TYPE_CDS, web)->origins, COX_STR("EnvoyFilter/default/f")) >= 0);
	/* One of its patches changes: what the other made stays. */
	mesh_put(&x.m, FILTER("f", "default", "workloadSelector: {labels: {app: web}}",
	                      PATCH("CLUSTER", ONE_CLUSTER, "operation: MERGE, value: {alt_stat_name: y}")
	                          PATCH("HTTP_ROUTE", OTHER "}}", "operation: ADD, value: " DIRECT("x"))));
	cox_translate_proxy(x.m.s, same, x.memo, &later);
	assert_ptr_not_equal(found(&x.r, COX_TYPE_CDS, web), found(&later, COX_TYPE_CDS, web));
	assert_ptr_equal(found(&x.r, COX_TYPE_RDS, "80"), found(&later, COX_TYPE_RDS, "80"));
	assert_ptr_equal(found(&x.r, COX_TYPE_CDS, tcp), found(&later, COX_TYPE_CDS, tcp));
	cox_rendered_fini(&again);
	cox_rendered_fini(&bare);
	cox_rendered_fini(&later);
	cox_proxy_unref(same);
	cox_proxy_unref(other);
	made_end(&x);
}

/* With VHDS a virtual host is a resource of its own, named after its route configuration. */
static void test_vhds(void **state)
{
	(void)state;
	struct made x =
	    made_with(FILTER("f", "default", "priority: 0",
	                     PATCH("VIRTUAL_HOST", OTHER "}}", "operation: MERGE, value: {name: other2, require_tls: ALL}")
	                         PATCH("VIRTUAL_HOST", RC80 "}", "operation: ADD, value: {name: x, domains: [x.example]}")
	                             PATCH("HTTP_ROUTE", OTHER ", route: {name: old}}}", "operation: REMOVE")
	                                 PATCH("VIRTUAL_HOST", RC80 ", vhost: {name: allow_any}}", "operation: REMOVE")),
	              "{\"id\": \"sidecar~10.0.0.1~web.default~default.svc.cluster.local\", \"metadata\": {\"NAMESPACE\": \"default\"}, "
	              "\"extensions\": [{\"name\": \"envoy.filters.http.router\"}]}");
	assert_at(&x, COX_TYPE_RDS, "80", "virtual_hosts", "-");
	assert_at(&x, COX_TYPE_VHDS, "80/other2", "require_tls", "ALL");
	assert_at(&x, COX_TYPE_VHDS, "80/other2", "routes[*].name", "main");
	assert_at(&x, COX_TYPE_VHDS, "80/x", "domains", "[\"x.example\"]");
	assert_at(&x, COX_TYPE_VHDS, "80/allow_any", "name", "-");
	assert_at(&x, COX_TYPE_VHDS, "80/web.default.svc.cluster.local:80", "require_tls", "-");
	made_end(&x);
}

/* How often each patch was applied, the same whether made or found in the memo. */
static void test_counts(void **state)
{
	(void)state;
	struct made x = made_with(
	    FILTER("f", "default", "priority: 0",
	           PATCH("CLUSTER", "context: SIDECAR_OUTBOUND, cluster: {portNumber: 80}", "operation: MERGE, value: {alt_stat_name: x}")
	               PATCH("CLUSTER", "cluster: {name: none}", "operation: REMOVE") PATCH("HTTP_FILTER", CORS, "operation: REMOVE")
	                   PATCH("HTTP_FILTER", "context: GATEWAY", "operation: INSERT_FIRST, value: " LUA_FILTER("x"))),
	    SIDECAR);
	for (int round = 0; round < 2; round++) {
		struct cox_arena arena = { 0 };
		struct cox_proxy *p = mesh_proxy(&x.m, SIDECAR);
		struct cox_view *v = cox_view_build(p, x.m.s);
		struct cox_tr t = { .s = x.m.s, .view = v, .memo = x.memo, .arena = &arena };
		cox_resources list[4] = { 0 };
		t.scope = cox_scope_build(x.m.s, v->ns, v->labels.p, v->labels.n, &arena);
		t.patching = cox_patching_build(x.m.s, v, v->labels.p, v->labels.n, &arena);
		cox_translate_clusters(&t, &list[0]);
		cox_translate_outbound(&t, &list[1], &list[2], &list[3]);
		cox_patch_outbound(&t, &list[0], &list[1], &list[2], &list[3]);
		assert_int_equal(t.patching->patches.n, 3); /* the gateway's is not for sidecars */
		assert_int_equal(t.patching->counts[0], 4); /* web, gw, other and its subset */
		assert_int_equal(t.patching->counts[1], 0);
		assert_int_equal(t.patching->counts[2], 1);
		for (size_t i = 0; i < 4; i++) {
			for (size_t k = 0; k < list[i].n; k++)
				cox_resource_unref(list[i].p[k]);
			cox_vec_fini(&list[i]);
		}
		cox_view_free(v);
		cox_proxy_unref(p);
		cox_arena_fini(&arena);
	}
	made_end(&x);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_http_filters), cmocka_unit_test(test_network_filters),  cmocka_unit_test(test_chains),
		cmocka_unit_test(test_listeners),    cmocka_unit_test(test_listener_filters), cmocka_unit_test(test_routes),
		cmocka_unit_test(test_clusters),     cmocka_unit_test(test_merging),          cmocka_unit_test(test_order),
		cmocka_unit_test(test_selection),    cmocka_unit_test(test_view_keys),        cmocka_unit_test(test_memo),
		cmocka_unit_test(test_vhds),         cmocka_unit_test(test_counts),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
