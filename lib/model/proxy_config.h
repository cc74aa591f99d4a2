/*
 * proxy_config - settings of proxies and their agents: ProxyConfig of the mesh configuration (defaultConfig, annotation
 * proxy.istio.io/config, the agent's PROXY_CONFIG), and the kind ProxyConfig (networking.istio.io), which has a few of them.
 */
#ifndef COX_MODEL_PROXY_CONFIG_H
#define COX_MODEL_PROXY_CONFIG_H

#include "model/common.h"

/* --- tracing ---------------------------------------------------------------------------------- */

struct cox_tracer_address {
	struct cox_str address; /* host:port, or $(NAME):port of the agent's environment */
};
struct cox_tracer_lightstep {
	struct cox_str address, access_token;
};
struct cox_tracer_stackdriver {
	bool debug;
	struct cox_opt_i64 max_number_of_attributes, max_number_of_annotations, max_number_of_message_events;
};
struct cox_tracer_opencensus {
	struct cox_str address;
	COX_LIST(struct cox_str) context;
};
struct cox_tag_literal {
	struct cox_str value;
};
struct cox_tag_source {
	struct cox_str name, default_value;
};
struct cox_custom_tag {
	struct cox_str key;
	const struct cox_tag_literal *literal;
	const struct cox_tag_source *environment, *header;
};
struct cox_tracing {
	const struct cox_tracer_address *zipkin, *datadog;
	const struct cox_tracer_lightstep *lightstep;
	const struct cox_tracer_stackdriver *stackdriver;
	const struct cox_tracer_opencensus *opencensus;
	COX_LIST(struct cox_custom_tag) custom_tags;
	struct cox_opt_i64 max_path_tag_length;
	struct cox_opt_f64 sampling;
	const struct cox_client_tls *tls_settings;
	struct cox_opt_bool enable_istio_tags;
	struct cox_str raw;
};

/* --- headers, connections, gateways ------------------------------------------------------------- */

enum cox_forward_cert { COX_FWD_UNDEFINED, COX_FWD_SANITIZE, COX_FWD_FORWARD_ONLY, COX_FWD_APPEND, COX_FWD_SANITIZE_SET, COX_FWD_ALWAYS };
struct cox_empty {
	bool unused;
};
struct cox_topology {
	struct cox_opt_i64 num_trusted_proxies;
	int forward_client_cert_details;
	const struct cox_empty *proxy_protocol;
};
struct cox_header_off {
	struct cox_opt_bool disabled;
};
struct cox_header_on {
	struct cox_opt_bool enabled;
};
struct cox_header_server {
	struct cox_opt_bool disabled;
	struct cox_str value;
};
enum cox_mx_headers { COX_MX_UNDEFINED, COX_MX_IN_MESH };
struct cox_header_mx {
	int mode;
};
struct cox_cert_details {
	struct cox_opt_bool subject, cert, chain, dns, uri;
};
struct cox_proxy_headers {
	int forwarded_client_cert;
	const struct cox_cert_details *set_current_client_cert_details;
	const struct cox_header_off *request_id, *attempt_count, *envoy_debug_headers;
	const struct cox_header_server *server;
	const struct cox_header_mx *metadata_exchange_headers;
	struct cox_opt_bool preserve_http1_header_case;
	const struct cox_header_on *x_forwarded_host, *x_forwarded_port;
};

enum cox_conn_profile { COX_CONN_SIDECAR, COX_CONN_EDGE };
enum cox_underscores { COX_UNDERSCORES_UNSET, COX_UNDERSCORES_ALLOW, COX_UNDERSCORES_REJECT, COX_UNDERSCORES_DROP };
enum cox_escaped_slashes { COX_SLASHES_UNSET, COX_SLASHES_KEEP, COX_SLASHES_REJECT, COX_SLASHES_REDIRECT, COX_SLASHES_FORWARD };
struct cox_connection_settings {
	int profile;
	struct cox_opt_i64 listener_buffer_bytes, cluster_buffer_bytes, listener_connections, global_connections;
	struct cox_opt_i64 idle_ns, max_connection_ns, drain_ns, request_ns, request_headers_ns, stream_idle_ns, max_stream_ns;
	struct cox_opt_i64 max_streams, stream_window_bytes, connection_window_bytes;
	int underscores, escaped_slashes;
	struct cox_opt_bool merge_slashes;
};

/* --- what only agents and injection use ------------------------------------------------------------ */

struct cox_remote_service {
	struct cox_str address;
	const struct cox_client_tls *tls_settings;
	const struct cox_tcp_keepalive *tcp_keepalive;
};
struct cox_stats_matcher {
	COX_LIST(struct cox_str) prefixes, suffixes, regexps;
};
struct cox_proxy_image {
	struct cox_str image_type;
};
struct cox_key_provider_of {
	struct cox_opt_i64 poll_delay_ns;
	struct cox_opt_bool fallback;
};
struct cox_key_provider {
	const struct cox_key_provider_of *cryptomb, *qat;
};
enum cox_service_name { COX_NAME_APP_AND_NAMESPACE, COX_NAME_CANONICAL, COX_NAME_CANONICAL_AND_NAMESPACE };
enum cox_plane_auth { COX_PLANE_UNSET, COX_PLANE_NONE, COX_PLANE_MUTUAL_TLS, COX_PLANE_INHERIT };

struct cox_proxy_config {
	struct cox_str config_path, binary_path, custom_config_file, bootstrap_template, service_cluster, discovery_address, zipkin_address,
	    statsd_udp_address, metrics_service_address, mesh_id, availability_zone;
	int tracing_service_name, control_plane_auth_policy;
	struct cox_str interception_mode; /* empty, REDIRECT, TPROXY, NONE */
	struct cox_opt_i64 drain_duration_ns, termination_drain_duration_ns, concurrency, status_port, admin_port, file_flush_interval_ns,
	    file_flush_min_size_kb;
	const struct cox_tracing *tracing;
	const struct cox_remote_service *access_log_service, *metrics_service;
	COX_LIST(struct cox_kv) proxy_metadata, runtime_values;
	COX_LIST(struct cox_str) extra_stat_tags, ca_certificates_pem;
	const struct cox_topology *gateway_topology;
	const struct cox_proxy_headers *proxy_headers;
	const struct cox_connection_settings *connection_settings;
	const struct cox_stats_matcher *stats_matcher;
	const struct cox_proxy_image *image;
	const struct cox_key_provider *key_provider;
	struct cox_opt_bool hold_application, stats_compression;
	struct cox_str readiness_probe; /* RAW */
	struct cox_str unread;
	struct cox_str raw; /* all of it, compact, where it stood in a mesh configuration: for the injector */
};
extern const struct cox_message cox_msg_proxy_config;

/* Lays `over` on `into` as Istio does: member by member, the later one whole; only the members of proxyMetadata and proxyHeaders one by
 * one. `into` shares parts of `over` and lives in the arena. What is not an object changes nothing. */
void cox_proxy_config_merge(struct cox_json *into, const struct cox_json *over, struct cox_arena *arena);
/* Decodes into the arena; faulty fields stay unset and are in `diags`, unknown ones are warnings. NULL: not an object. */
const struct cox_proxy_config *cox_proxy_config_decode(const struct cox_json *v, const char *path, struct cox_arena *arena,
                                                       struct cox_diags *diags);

/* --- the kind ProxyConfig -------------------------------------------------------------------------- */

struct cox_proxy_config_spec {
	const struct cox_match_labels *selector;
	struct cox_opt_i64 concurrency;
	COX_LIST(struct cox_kv) environment_variables;
	const struct cox_proxy_image *image;
};
struct cox_proxy_config_object {
	const struct cox_proxy_config_spec *spec;
};

/* What is in force for a workload's agent: the mesh's defaultConfig < ProxyConfig of the root namespace < of its own < the annotation <
 * a ProxyConfig whose selector takes it. Of several of one rank the oldest. `objects` are of that kind, of any namespace; `labels` sorted;
 * `annotation` is YAML, may be empty, and what is wrong in it is an error in `diags` (path "proxy.istio.io/config"), then it does not
 * count. environmentVariables come as proxyMetadata. Gives an object in the arena. */
struct cox_json *cox_proxy_config_effective(struct cox_str mesh_raw, const struct cox_object *const *objects, size_t n,
                                            struct cox_str root_ns, struct cox_str ns, const struct cox_kv *labels, size_t label_n,
                                            struct cox_str annotation, struct cox_arena *arena, struct cox_diags *diags);

#endif
