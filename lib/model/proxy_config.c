#include "model/proxy_config.h"

#include "model/policy_priv.h"
#include "model/tables_priv.h"

/* --- tracing ---------------------------------------------------------------------------------- */

static const struct cox_field tracer_address_fields[] = {
	F(tracer_address, address, "address", STR, "Where spans are sent: host:port."),
};
static MESSAGE(tracer_address, "Zipkin", "A collector of spans.");

static const struct cox_field tracer_lightstep_fields[] = {
	F(tracer_lightstep, address, "address", STR, "Where spans are sent: host:port."),
	F(tracer_lightstep, access_token, "accessToken", STR, "Token of the project."),
};
static MESSAGE(tracer_lightstep, "Lightstep", "Lightstep's collector.");

static const struct cox_field tracer_stackdriver_fields[] = {
	F(tracer_stackdriver, debug, "debug", BOOL, "Writes spans to the log."),
	F(tracer_stackdriver, max_number_of_attributes, "maxNumberOfAttributes", I64, "Most attributes of a span."),
	F(tracer_stackdriver, max_number_of_annotations, "maxNumberOfAnnotations", I64, "Most annotations of a span."),
	F(tracer_stackdriver, max_number_of_message_events, "maxNumberOfMessageEvents", I64, "Most events of a span."),
};
static MESSAGE(tracer_stackdriver, "Stackdriver", "Google's collector.");

static const struct cox_field tracer_opencensus_fields[] = {
	F(tracer_opencensus, address, "address", STR, "Where spans are sent."),
	F(tracer_opencensus, context, "context", STR, "Headers that carry the trace.", LIST),
};
static MESSAGE(tracer_opencensus, "OpenCensusAgent", "An OpenCensus agent.");

static const struct cox_field tag_literal_fields[] = {
	F(tag_literal, value, "value", STR, "The tag's value.", REQUIRED),
};
static MESSAGE(tag_literal, "Literal", "A fixed value.");
static const struct cox_field tag_source_fields[] = {
	F(tag_source, name, "name", STR, "Name of the variable or header.", REQUIRED),
	F(tag_source, default_value, "defaultValue", STR, "Value where there is none."),
};
static MESSAGE(tag_source, "TagSource", "A value of the proxy's environment or of the request.");
static const struct cox_field custom_tag_fields[] = {
	F(custom_tag, literal, "literal", MSG, "A fixed value.", SUB(tag_literal), .one_of = 1),
	F(custom_tag, environment, "environment", MSG, "A variable of the proxy's environment.", SUB(tag_source), .one_of = 1),
	F(custom_tag, header, "header", MSG, "A header of the request.", SUB(tag_source), .one_of = 1),
};
static MESSAGE(custom_tag, "CustomTag", "A tag of spans.");

#define TRACER(member, json, id, text) F(tracing, member, json, MSG, text, SUB(id), .one_of = 1)
static const struct cox_field tracing_fields[] = {
	TRACER(zipkin, "zipkin", tracer_address, "Zipkin, or what speaks like it."),
	TRACER(datadog, "datadog", tracer_address, "Datadog's agent."),
	TRACER(lightstep, "lightstep", tracer_lightstep, "Lightstep."),
	TRACER(stackdriver, "stackdriver", tracer_stackdriver, "Google Cloud."),
	TRACER(opencensus, "openCensusAgent", tracer_opencensus, "OpenCensus."),
	F(tracing, custom_tags, "customTags", MSG_MAP, "Further tags of spans.", SUB(custom_tag)),
	F(tracing, max_path_tag_length, "maxPathTagLength", I64, "Longest path in a span.", NATURAL, .alias = "max_path_tag_length"),
	F(tracing, sampling, "sampling", F64, "Percentage of requests that are traced.", PERCENT),
	F(tracing, tls_settings, "tlsSettings", MSG, "TLS towards the collector.", SUB(client_tls)),
	F(tracing, enable_istio_tags, "enableIstioTags", OPT_BOOL, "Whether spans carry istio.* tags."),
	F(tracing, raw, "", STR, ""),
};
static void tracing_check(const void *value, const char *path, struct cox_diags *d)
{
	const struct cox_tracing *v = value;
	const char *gone = v->lightstep     ? "lightstep: use an OpenTelemetry collector"
	                   : v->stackdriver ? "stackdriver: use an OpenTelemetry collector"
	                   : v->opencensus  ? "openCensusAgent: use an OpenTelemetry collector"
	                                    : NULL;
	if (gone)
		cox_diag_add(d, COX_SEV_WARNING, 0, path, "Envoy has no such tracer any more, cox-agent refuses %s", gone);
}
static MESSAGE(tracing, "Tracing", "Tracing of proxies.", .check = tracing_check);

/* --- gateways, headers, connections -------------------------------------------------------------- */

#define FORWARD_CERT ENUM("UNDEFINED", "SANITIZE", "FORWARD_ONLY", "APPEND_FORWARD", "SANITIZE_SET", "ALWAYS_FORWARD_ONLY")

static const struct cox_field empty_fields[] = { F(empty, unused, "", BOOL, "") };
static MESSAGE(empty, "ProxyProtocolConfiguration", "Present or not.");

static const struct cox_field topology_fields[] = {
	F(topology, num_trusted_proxies, "numTrustedProxies", I64, "Trusted proxies in front of gateways.", NATURAL),
	F(topology, forward_client_cert_details, "forwardClientCertDetails", ENUM, "What becomes of x-forwarded-client-cert.",
	  FORWARD_CERT),
	F(topology, proxy_protocol, "proxyProtocol", MSG, "Gateways expect the PROXY protocol.", SUB(empty)),
};
static MESSAGE(topology, "Topology", "What stands in front of gateways.");

#define BOOL_MESSAGE(id, of, member, json, label, text)                                        \
	static const struct cox_field id##_fields[] = { F(of, member, json, OPT_BOOL, text) }; \
	static MESSAGE(id, label, text)
BOOL_MESSAGE(header_off, header_off, disabled, "disabled", "HeaderOff", "Leaves the header out.");
BOOL_MESSAGE(header_on, header_on, enabled, "enabled", "HeaderOn", "Adds the header.");

static const struct cox_field header_server_fields[] = {
	F(header_server, disabled, "disabled", OPT_BOOL, "Leaves the application's header alone."),
	F(header_server, value, "value", STR, "Value of the header; istio-envoy by default."),
};
static MESSAGE(header_server, "Server", "The header server.");
static const struct cox_field header_mx_fields[] = {
	F(header_mx, mode, "mode", ENUM, "IN_MESH: only to workloads of the mesh.", ENUM("UNDEFINED", "IN_MESH")),
};
static MESSAGE(header_mx, "MetadataExchangeHeaders", "Headers x-envoy-peer-metadata.");
static const struct cox_field cert_details_fields[] = {
	F(cert_details, subject, "subject", OPT_BOOL, "The subject."),
	F(cert_details, cert, "cert", OPT_BOOL, "The certificate."),
	F(cert_details, chain, "chain", OPT_BOOL, "The chain."),
	F(cert_details, dns, "dns", OPT_BOOL, "DNS names."),
	F(cert_details, uri, "uri", OPT_BOOL, "URIs."),
};
static MESSAGE(cert_details, "SetCurrentClientCertDetails", "What x-forwarded-client-cert says.");

static const struct cox_field proxy_headers_fields[] = {
	F(proxy_headers, forwarded_client_cert, "forwardedClientCert", ENUM, "What becomes of x-forwarded-client-cert.", FORWARD_CERT),
	F(proxy_headers, set_current_client_cert_details, "setCurrentClientCertDetails", MSG, "What that header says.", SUB(cert_details)),
	F(proxy_headers, request_id, "requestId", MSG, "x-request-id.", SUB(header_off)),
	F(proxy_headers, server, "server", MSG, "server.", SUB(header_server)),
	F(proxy_headers, attempt_count, "attemptCount", MSG, "x-envoy-attempt-count.", SUB(header_off)),
	F(proxy_headers, envoy_debug_headers, "envoyDebugHeaders", MSG, "x-envoy-* of responses and requests.", SUB(header_off)),
	F(proxy_headers, metadata_exchange_headers, "metadataExchangeHeaders", MSG, "x-envoy-peer-metadata.", SUB(header_mx)),
	F(proxy_headers, preserve_http1_header_case, "preserveHttp1HeaderCase", OPT_BOOL, "Keeps the case of letters in HTTP/1 headers."),
	F(proxy_headers, x_forwarded_host, "xForwardedHost", MSG, "x-forwarded-host.", SUB(header_on)),
	F(proxy_headers, x_forwarded_port, "xForwardedPort", MSG, "x-forwarded-port.", SUB(header_on)),
};
static MESSAGE(proxy_headers, "ProxyHeaders", "Headers that proxies add.");

/* Envoy's own bounds: windows from 65,535 bytes to 2^31 - 1, at least one stream. */
#define WINDOW .min = 65535, .max = 2147483647.0
#define CS(member, json, ftype, text, ...) F(connection_settings, member, json, ftype, text, __VA_ARGS__)
static const struct cox_field connection_settings_fields[] = {
	CS(profile, "profile", ENUM, "EDGE: for gateways, what Envoy recommends at the edge.", ENUM("SIDECAR", "EDGE")),
	CS(listener_buffer_bytes, "listenerPerConnectionBufferLimitBytes", I64, "Buffer of a connection to the proxy.", POSITIVE),
	CS(cluster_buffer_bytes, "clusterPerConnectionBufferLimitBytes", I64, "Buffer of a connection of the proxy.", POSITIVE),
	CS(idle_ns, "httpIdleTimeout", DURATION, "Ends connections without requests.", NOT_NEGATIVE),
	CS(max_connection_ns, "httpMaxConnectionDuration", DURATION, "Ends connections of this age.", NOT_NEGATIVE),
	CS(drain_ns, "httpDrainTimeout", DURATION, "Time from the first to the last GOAWAY.", NOT_NEGATIVE),
	CS(request_ns, "httpRequestTimeout", DURATION, "Time for a whole request to come in.", NOT_NEGATIVE),
	CS(request_headers_ns, "httpRequestHeadersTimeout", DURATION, "Time for its headers.", NOT_NEGATIVE),
	CS(stream_idle_ns, "httpStreamIdleTimeout", DURATION, "Ends requests on which nothing moves.", NOT_NEGATIVE),
	CS(max_stream_ns, "httpMaxStreamDuration", DURATION, "Ends requests of this age.", NOT_NEGATIVE),
	CS(max_streams, "httpMaxConcurrentStreams", I64, "HTTP/2 requests at once on a connection.", .min = 1, .max = 2147483647.0),
	CS(stream_window_bytes, "http2InitialStreamWindowSize", I64, "HTTP/2 window of a stream.", WINDOW),
	CS(connection_window_bytes, "http2InitialConnectionWindowSize", I64, "HTTP/2 window of a connection.", WINDOW),
	CS(underscores, "httpHeadersWithUnderscoresAction", ENUM, "What becomes of headers with underscores.",
	   ENUM("HEADERS_WITH_UNDERSCORES_UNSPECIFIED", "HEADERS_WITH_UNDERSCORES_ALLOW", "HEADERS_WITH_UNDERSCORES_REJECT_REQUEST",
	        "HEADERS_WITH_UNDERSCORES_DROP_HEADER")),
	CS(merge_slashes, "httpMergeSlashes", OPT_BOOL, "Makes one slash of several."),
	CS(escaped_slashes, "httpPathWithEscapedSlashesAction", ENUM, "What becomes of %2F and %5C in paths.",
	   ENUM("PATH_WITH_ESCAPED_SLASHES_UNSPECIFIED", "KEEP_UNCHANGED", "REJECT_REQUEST", "UNESCAPE_AND_REDIRECT",
	        "UNESCAPE_AND_FORWARD")),
	CS(listener_connections, "listenerConnectionLimit", I64, "Connections to one listener.", POSITIVE),
	CS(global_connections, "globalDownstreamConnectionLimit", I64, "Connections to the proxy.", POSITIVE),
};
static MESSAGE(connection_settings, "ConnectionSettings", "Limits of connections.");

/* --- agents and injection ------------------------------------------------------------------------ */

static const struct cox_field remote_service_fields[] = {
	F(remote_service, address, "address", STR, "host:port.", REQUIRED),
	F(remote_service, tls_settings, "tlsSettings", MSG, "TLS towards it.", SUB(client_tls)),
	F(remote_service, tcp_keepalive, "tcpKeepalive", MSG, "Keepalive of its connections.", SUB(tcp_keepalive)),
};
static MESSAGE(remote_service, "RemoteService", "A gRPC service elsewhere.");

static const struct cox_field stats_matcher_fields[] = {
	F(stats_matcher, prefixes, "inclusionPrefixes", STR, "Beginnings of names.", LIST),
	F(stats_matcher, suffixes, "inclusionSuffixes", STR, "Ends of names.", LIST),
	F(stats_matcher, regexps, "inclusionRegexps", STR, "Expressions for names.", LIST, .pattern = "regex"),
};
static MESSAGE(stats_matcher, "ProxyStatsMatcher", "Further statistics that are kept.");

static const struct cox_field proxy_image_fields[] = {
	F(proxy_image, image_type, "imageType", STR, "default, debug, distroless, or a type of your own."),
};
static MESSAGE(proxy_image, "ProxyImage", "Which image of the proxy is injected.");

static const struct cox_field key_provider_of_fields[] = {
	F(key_provider_of, poll_delay_ns, "pollDelay", DURATION, "How long requests are collected.", NOT_NEGATIVE),
	F(key_provider_of, fallback, "fallback", OPT_BOOL, "Does without where the processor cannot."),
};
static MESSAGE(key_provider_of, "PrivateKeyProviderSettings", "A provider's settings.");
static const struct cox_field key_provider_fields[] = {
	F(key_provider, cryptomb, "cryptomb", MSG, "AVX-512.", SUB(key_provider_of), .one_of = 1),
	F(key_provider, qat, "qat", MSG, "QuickAssist.", SUB(key_provider_of), .one_of = 1),
};
static MESSAGE(key_provider, "PrivateKeyProvider", "Who computes with private keys.");

static bool is_interception(struct cox_str s)
{
	return !s.n || cox_str_eq_cstr(s, "REDIRECT") || cox_str_eq_cstr(s, "TPROXY") || cox_str_eq_cstr(s, "NONE");
}

static void proxy_config_check(const void *value, const char *path, struct cox_diags *d)
{
	const struct cox_proxy_config *v = value;
	if (!is_interception(v->interception_mode))
		cox_diag_add(d, COX_SEV_ERROR, 0, path, "interceptionMode must be REDIRECT, TPROXY or NONE, is \"%.*s\"",
		             COX_FMT(v->interception_mode));
	if (v->zipkin_address.n && v->tracing && (v->tracing->zipkin || v->tracing->datadog))
		cox_diag_add(d, COX_SEV_WARNING, 0, path, "zipkinAddress has no effect beside tracing");
	if (v->connection_settings && v->connection_settings->profile == COX_CONN_SIDECAR &&
	    v->connection_settings->global_connections.set && v->connection_settings->listener_connections.set &&
	    v->connection_settings->listener_connections.v > v->connection_settings->global_connections.v)
		cox_diag_add(d, COX_SEV_WARNING, 0, path,
		             "connectionSettings.listenerConnectionLimit is above globalDownstreamConnectionLimit and never reached");
}

#define P(member, json, ftype, text, ...) F(proxy_config, member, json, ftype, text, __VA_ARGS__)
static const struct cox_field proxy_config_fields[] = {
	P(config_path, "configPath", STR, "Directory of the generated bootstrap."),
	P(binary_path, "binaryPath", STR, "Envoy's program."),
	P(custom_config_file, "customConfigFile", STR, "A bootstrap that is taken as it is."),
	P(bootstrap_template, "proxyBootstrapTemplatePath", STR, "A Go template of the bootstrap."),
	P(service_cluster, "serviceCluster", STR, "The proxy's service name in traces.", .one_of = 1),
	P(tracing_service_name, "tracingServiceName", ENUM, "How that name is made.", .one_of = 1,
	  ENUM("APP_LABEL_AND_NAMESPACE", "CANONICAL_NAME_ONLY", "CANONICAL_NAME_AND_NAMESPACE")),
	P(drain_duration_ns, "drainDuration", DURATION, "How long connections drain when their listener goes.", .min = 1, .max = 9e6),
	P(termination_drain_duration_ns, "terminationDrainDuration", DURATION, "How long connections drain at the end.", NOT_NEGATIVE),
	P(discovery_address, "discoveryAddress", STR, "Where proxies find the control plane."),
	P(unread, "discoveryRefreshDelay", RAW, "", .flags = COX_F_NO_EFFECT),
	P(zipkin_address, "zipkinAddress", STR, "Use tracing.zipkin.", .flags = COX_F_DEPRECATED),
	P(statsd_udp_address, "statsdUdpAddress", STR, "host:port for statistics in the format of statsd."),
	P(metrics_service_address, "envoyMetricsServiceAddress", STR, "Use envoyMetricsService.", .flags = COX_F_DEPRECATED),
	P(admin_port, "proxyAdminPort", I64, "Port of Envoy's administration.", .pattern = "port"),
	P(availability_zone, "availabilityZone", STR, "Zone of the proxy, where no label says it.", .flags = COX_F_DEPRECATED),
	P(control_plane_auth_policy, "controlPlaneAuthPolicy", ENUM, "NONE: in clear text.", ENUM("", "NONE", "MUTUAL_TLS", "INHERIT")),
	P(unread, "statNameLength", RAW, "", .flags = COX_F_NO_EFFECT),
	P(concurrency, "concurrency", I64, "Worker threads; 0: all processors.", NATURAL),
	P(interception_mode, "interceptionMode", STR, "REDIRECT, TPROXY or NONE."),
	P(tracing, "tracing", MSG, "Tracing.", SUB(tracing)),
	P(unread, "sds", RAW, "", .flags = COX_F_NO_EFFECT),
	P(access_log_service, "envoyAccessLogService", MSG, "Where access logs are sent.", SUB(remote_service)),
	P(metrics_service, "envoyMetricsService", MSG, "Where statistics are sent.", SUB(remote_service)),
	P(proxy_metadata, "proxyMetadata", STR_MAP, "Environment of the agent; ISTIO_META_*: the proxy's metadata."),
	P(runtime_values, "runtimeValues", STR_MAP, "Envoy's runtime."),
	P(status_port, "statusPort", I64, "Port of the agent's state.", .pattern = "port"),
	P(extra_stat_tags, "extraStatTags", STR, "Further tags in statistics.", LIST),
	P(gateway_topology, "gatewayTopology", MSG, "What stands in front of gateways.", SUB(topology)),
	P(mesh_id, "meshId", STR, "Name of the mesh."),
	P(readiness_probe, "readinessProbe", RAW, "How the application says that it is ready, where there is no kubelet."),
	P(stats_matcher, "proxyStatsMatcher", MSG, "Further statistics that are kept.", SUB(stats_matcher)),
	P(hold_application, "holdApplicationUntilProxyStarts", OPT_BOOL, "The application starts after the proxy."),
	P(ca_certificates_pem, "caCertificatesPem", STR, "Further roots of the mesh's certificates.",
	  .flags = COX_F_LIST | COX_F_NO_EFFECT),
	P(image, "image", MSG, "Image of the proxy.", SUB(proxy_image)),
	P(key_provider, "privateKeyProvider", MSG, "Who computes with private keys.", SUB(key_provider), .flags = COX_F_NO_EFFECT),
	P(proxy_headers, "proxyHeaders", MSG, "Headers that proxies add.", SUB(proxy_headers)),
	P(file_flush_interval_ns, "fileFlushInterval", DURATION, "How often access logs are written.", FROM_1MS),
	P(file_flush_min_size_kb, "fileFlushMinSizeKb", I64, "From which size on access logs are written.", NATURAL),
	P(stats_compression, "statsCompression", OPT_BOOL, "Envoy's own statistics are compressed."),
	P(connection_settings, "connectionSettings", MSG, "Limits of connections.", SUB(connection_settings)),
	P(raw, "", STR, ""),
};
MESSAGE(proxy_config, "MeshProxyConfig", "Settings of proxies and their agents.", .check = proxy_config_check);

const struct cox_proxy_config *cox_proxy_config_decode(const struct cox_json *v, const char *path, struct cox_arena *arena,
                                                       struct cox_diags *diags)
{
	return cox_message_decode(&cox_msg_proxy_config, v, path, arena, diags);
}

/* --- the kind ----------------------------------------------------------------------------------- */

static const struct cox_field proxy_config_spec_fields[] = {
	F(proxy_config_spec, selector, "selector", MSG,
	  "Workloads of this namespace; all of them by default, all of the mesh in the root namespace.", SUB(match_labels)),
	F(proxy_config_spec, concurrency, "concurrency", I64, "Worker threads; 0: all processors.", NATURAL),
	F(proxy_config_spec, environment_variables, "environmentVariables", STR_MAP,
	  "Environment of the proxy; ISTIO_META_*: its metadata, too."),
	F(proxy_config_spec, image, "image", MSG, "Image of the proxy.", SUB(proxy_image)),
};
static void proxy_config_spec_check(const void *value, const char *path, struct cox_diags *d)
{
	const struct cox_proxy_config_spec *v = value;
	cox_model_selector_check(v->selector, path, d);
}
static MESSAGE(proxy_config_spec, "ProxyConfigSpec", "Settings of injected proxies.", .check = proxy_config_spec_check);
static const struct cox_field proxy_config_object_fields[] = {
	F(proxy_config_object, spec, "spec", MSG, "Settings of injected proxies.", SUB(proxy_config_spec)),
};
OBJECT(proxy_config, proxy_config_object, "ProxyConfig",
       "Settings of injected proxies: of the mesh, a namespace, or chosen workloads. They count when a pod is injected.", .open = true);
