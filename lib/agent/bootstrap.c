#include "agent/bootstrap.h"

#include "agent/node_priv.h"
#include "codec/json.h"

struct cox_str cox_agent_env(const char *const *env, const char *name)
{
	size_t n = strlen(name);
	for (; env && *env; env++)
		if (!strncmp(*env, name, n) && (*env)[n] == '=')
			return cox_str_of(*env + n + 1);
	return COX_STR("");
}

/* --- pieces ------------------------------------------------------------------------------- */

static void write_address(struct cox_buf *out, const char *address, unsigned port)
{
	cox_buf_append_cstr(out, "{\"socket_address\":{\"address\":");
	cox_json_write_str(out, cox_str_of(address));
	cox_buf_printf(out, ",\"port_value\":%u}}", port);
}

static void write_endpoint(struct cox_buf *out, const char *cluster, const char *address, unsigned port)
{
	cox_buf_printf(
	    out, "\"load_assignment\":{\"cluster_name\":\"%s\",\"endpoints\":[{\"lb_endpoints\":[{\"endpoint\":{\"address\":", cluster);
	write_address(out, address, port);
	cox_buf_append_cstr(out, "}}]}]}");
}

static void write_local_cluster(struct cox_buf *out, const char *name, unsigned port)
{
	cox_buf_printf(out, "{\"name\":\"%s\",\"type\":\"STATIC\",\"connect_timeout\":\"0.250s\",\"lb_policy\":\"ROUND_ROBIN\",", name);
	write_endpoint(out, name, "127.0.0.1", port);
	cox_buf_append_char(out, '}');
}

/* The agent, by a Unix socket: "xds-grpc" passes to the control plane, "sds-grpc" has the workload's secrets. Limits are off (one stream
 * carries everything, and a gateway has a stream for each credential); HTTP/2 keepalives find an agent that hangs within the minute. */
static void write_agent_cluster(struct cox_buf *out, const char *name, struct cox_str path)
{
	cox_buf_printf(
	    out,
	    "{\"name\":\"%s\",\"type\":\"STATIC\",\"connect_timeout\":\"1s\","
	    "\"lb_policy\":\"ROUND_ROBIN\",\"circuit_breakers\":{\"thresholds\":["
	    "{\"priority\":\"DEFAULT\",\"max_connections\":100000,\"max_pending_requests\":100000,\"max_requests\":100000},"
	    "{\"priority\":\"HIGH\",\"max_connections\":100000,\"max_pending_requests\":100000,\"max_requests\":100000}]},"
	    "\"typed_extension_protocol_options\":{\"envoy.extensions.upstreams.http.v3.HttpProtocolOptions\":{"
	    "\"@type\":\"type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions\","
	    "\"explicit_http_config\":{\"http2_protocol_options\":{"
	    "\"connection_keepalive\":{\"interval\":\"30s\",\"timeout\":\"10s\"}}}}},"
	    "\"load_assignment\":{\"cluster_name\":\"%s\",\"endpoints\":[{\"lb_endpoints\":[{\"endpoint\":{\"address\":{\"pipe\":{\"path\":",
	    name, name);
	cox_json_write_str(out, path);
	cox_buf_append_cstr(out, "}}}}]}]}}");
}

/* A static listener that answers one path from one local cluster, and 404 else. */
static void write_listener(struct cox_buf *out, const char *name, unsigned port, const char *path, const char *cluster, bool compresses)
{
	static const char *const compressor =
	    "{\"name\":\"envoy.filters.http.compressor\",\"typed_config\":{\"@type\":"
	    "\"type.googleapis.com/envoy.extensions.filters.http.compressor.v3.Compressor\",\"compressor_library\":{\"name\":\"gzip\","
	    "\"typed_config\":{\"@type\":\"type.googleapis.com/envoy.extensions.compression.gzip.compressor.v3.Gzip\"}}}},";
	cox_buf_printf(out, "{\"name\":\"%s\",\"address\":", name);
	write_address(out, "0.0.0.0", port);
	cox_buf_printf(
	    out,
	    ",\"filter_chains\":[{\"filters\":[{\"name\":\"envoy.filters.network.http_connection_manager\",\"typed_config\":{"
	    "\"@type\":\"type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager\","
	    "\"codec_type\":\"AUTO\",\"stat_prefix\":\"agent\",\"route_config\":{\"virtual_hosts\":[{\"name\":\"backend\",\"domains\":[\"*\"],"
	    "\"routes\":[{\"match\":{\"path\":\"%s\"},\"route\":{\"cluster\":\"%s\"}}]}]},"
	    "\"http_filters\":[%s{\"name\":\"envoy.filters.http.router\",\"typed_config\":{"
	    "\"@type\":\"type.googleapis.com/envoy.extensions.filters.http.router.v3.Router\"}}]}}]}]}",
	    path, cluster, compresses ? compressor : "");
}

/* Parts of our clusters' and listeners' names as tags, so that one metric has all series. */
static void write_stats_tags(struct cox_buf *out, const struct cox_agent_node *node)
{
	static const struct {
		const char *name, *regex;
	} tags[] = {
		{ "cluster_name", "^cluster\\\\.((.+?(\\\\..+?\\\\.svc\\\\.cluster\\\\.local)?)\\\\.)" },
		{ "tcp_prefix", "^tcp\\\\.((.*?)\\\\.)\\\\w+?$" },
		{ "response_code", "(response_code=\\\\.=(.+?);\\\\.;)|_rq(_(\\\\d{3}))$" },
		{ "response_code_class", "_rq(_(\\\\dxx))$" },
		{ "http_conn_manager_listener_prefix",
		  "^listener(?=\\\\.).*?\\\\.http\\\\.(((?:[_.[:digit:]]*|[_\\\\[\\\\]aAbBcCdDeEfF[:digit:]]*))\\\\.)" },
		{ "http_conn_manager_prefix", "^http\\\\.(((?:[_.[:digit:]]*|[_\\\\[\\\\]aAbBcCdDeEfF[:digit:]]*))\\\\.)" },
		{ "listener_address", "^listener\\\\.(((?:[_.[:digit:]]*|[_\\\\[\\\\]aAbBcCdDeEfF[:digit:]]*))\\\\.)" },
	};
	cox_buf_append_cstr(out, "\"use_all_default_tags\":false,\"stats_tags\":[");
	for (size_t i = 0; i < COX_LEN(tags); i++)
		cox_buf_printf(out, "%s{\"tag_name\":\"%s\",\"regex\":\"%s\"}", i ? "," : "", tags[i].name, tags[i].regex);
	cox_agent_config_write_tags(&node->config, node->annotations, out);
	cox_buf_append_char(out, ']');
}

static void write_string_matches(struct cox_buf *out, const struct cox_agent_list *list, const char *kind, bool *first)
{
	for (size_t i = 0; i < list->n; i++) {
		cox_buf_printf(out, "%s{\"%s\":", *first ? "" : ",", kind);
		*first = false;
		if (!strcmp(kind, "safe_regex")) {
			cox_buf_append_cstr(out, "{\"regex\":");
			cox_json_write_str(out, list->items[i]);
			cox_buf_append_char(out, '}');
		} else {
			cox_json_write_str(out, list->items[i]);
		}
		cox_buf_append_char(out, '}');
	}
}

/* A proxy makes tens of statistics for each cluster: only those that readiness, the control plane and an operator's
 * first questions need are kept, and what the pod asks for. */
static void write_stats_matcher(struct cox_buf *out, const struct cox_agent_node *node)
{
	static const char *const prefixes[] = { "cluster_manager",   "listener_manager", "server", "cluster.xds-grpc", "wasm",
		                                "workload_discovery" };
	static const char *const suffixes[] = { "rbac.allowed",
		                                "rbac.denied",
		                                "shadow_allowed",
		                                "shadow_denied",
		                                "downstream_cx_active",
		                                "downstream_rq_active",
		                                "http_local_rate_limit.rate_limited",
		                                "http_local_rate_limit.enforced" };
	bool first = true;
	cox_buf_append_cstr(out, "\"stats_matcher\":{\"inclusion_list\":{\"patterns\":[");
	for (size_t i = 0; i < COX_LEN(prefixes); i++, first = false)
		cox_buf_printf(out, "%s{\"prefix\":\"%s\"}", first ? "" : ",", prefixes[i]);
	for (size_t i = 0; i < COX_LEN(suffixes); i++)
		cox_buf_printf(out, ",{\"suffix\":\"%s\"}", suffixes[i]);
	write_string_matches(out, &node->stats_prefixes, "prefix", &first);
	write_string_matches(out, &node->stats_suffixes, "suffix", &first);
	write_string_matches(out, &node->stats_regexps, "safe_regex", &first);
	cox_buf_append_cstr(out, "]}}");
}

static void write_node(struct cox_buf *out, const struct cox_agent_node *node)
{
	cox_buf_append_cstr(out, "\"node\":{\"id\":");
	cox_json_write_str(out, node->id);
	cox_buf_append_cstr(out, ",\"cluster\":");
	cox_json_write_str(out, node->cluster);
	cox_buf_append_cstr(out, ",\"locality\":{");
	static const char *const parts[] = { "region", "zone", "sub_zone" };
	for (size_t i = 0; i < COX_LEN(parts); i++) {
		cox_buf_printf(out, "%s\"%s\":", i ? "," : "", parts[i]);
		cox_json_write_str(out, node->locality[i]);
	}
	cox_buf_append_cstr(out, "},\"metadata\":");
	cox_json_write(out, node->metadata, 0, true);
	cox_buf_append_char(out, '}');
}

/* --- the whole ---------------------------------------------------------------------------- */

static void write_dynamic(struct cox_buf *out)
{
	/* Without a first-fetch time-out Envoy waits for its configuration rather than serving without it. */
	static const char *const source = "{\"ads\":{},\"initial_fetch_timeout\":\"0s\",\"resource_api_version\":\"V3\"}";
	cox_buf_printf(out,
	               "\"dynamic_resources\":{\"lds_config\":%s,\"cds_config\":%s,\"ads_config\":{\"api_type\":\"DELTA_GRPC\","
	               "\"transport_api_version\":\"V3\",\"set_node_on_first_message_only\":true,"
	               "\"grpc_services\":[{\"envoy_grpc\":{\"cluster_name\":\"xds-grpc\"}}]}}",
	               source, source);
}

static void write_limits(struct cox_buf *out, const struct cox_agent_bootstrap *b, const struct cox_agent_config *config)
{
	cox_buf_append_cstr(out, "\"layered_runtime\":{\"layers\":[{\"name\":\"global config\",\"static_layer\":{"
	                         "\"re2.max_program_size.error_level\":32768,\"re2.max_program_size.warn_level\":0");
	cox_agent_config_write_runtime(config, out);
	cox_buf_printf(
	    out,
	    "}},{\"name\":\"admin\",\"admin_layer\":{}}]},"
	    "\"overload_manager\":{\"resource_monitors\":[{\"name\":\"envoy.resource_monitors.global_downstream_max_connections\","
	    "\"typed_config\":{\"@type\":\"type.googleapis.com/"
	    "envoy.extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig\","
	    "\"max_active_downstream_connections\":%llu}}]}",
	    (unsigned long long)cox_agent_config_connections(b, config));
}

static bool is_compressed(const struct cox_agent_config *c) { return !c->values->stats_compression.set || c->values->stats_compression.v; }

enum cox_rc cox_agent_bootstrap_build(const struct cox_agent_bootstrap *b, struct cox_buf *out, struct cox_err *err)
{
	COX_AUTO(cox_arena_fini) struct cox_arena arena = { 0 };
	struct cox_agent_node node = { 0 };
	COX_TRY(cox_agent_node_build(b, &arena, &node, err));
	cox_buf_append_cstr(out, "{");
	write_node(out, &node);
	cox_buf_append_cstr(out, ",\"stats_config\":{");
	write_stats_tags(out, &node);
	cox_buf_append_char(out, ',');
	write_stats_matcher(out, &node);
	cox_buf_append_cstr(out, "},\"admin\":{\"ignore_global_conn_limit\":true,\"address\":");
	write_address(out, "127.0.0.1", b->admin_port);
	cox_buf_append_cstr(out, "},");
	write_limits(out, b, &node.config);
	cox_buf_append_char(out, ',');
	write_dynamic(out);
	cox_buf_append_cstr(out, ",\"static_resources\":{\"clusters\":[");
	write_local_cluster(out, "prometheus_stats", b->admin_port);
	cox_buf_append_char(out, ',');
	write_local_cluster(out, "agent", b->status_port);
	cox_buf_append_char(out, ',');
	write_agent_cluster(out, "xds-grpc", b->xds_path);
	if (!b->is_identity_off) {
		cox_buf_append_char(out, ',');
		write_agent_cluster(out, "sds-grpc", b->sds_path);
	}
	COX_TRY(cox_agent_config_write_clusters(b, &node.config, out, err));
	cox_buf_append_cstr(out, "],\"listeners\":[");
	write_listener(out, "prometheus", b->prometheus_port, "/stats/prometheus", "prometheus_stats", is_compressed(&node.config));
	cox_buf_append_char(out, ',');
	write_listener(out, "health", b->health_port, "/healthz/ready", "agent", false);
	cox_buf_append_cstr(out, "]}");
	COX_TRY(cox_agent_config_write_sinks(b, &node.config, node.cluster, out, err));
	cox_buf_append_char(out, '}');
	return COX_OK;
}
