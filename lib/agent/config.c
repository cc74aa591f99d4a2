#include "agent/config.h"

#include "codec/json.h"
#include "codec/yaml.h"

#include <string.h>

/* --- reading ----------------------------------------------------------------------------------- */

/* YAML, or JSON, which is YAML. */
static enum cox_rc add(struct cox_arena *arena, struct cox_str text, const char *where, struct cox_json *into, struct cox_err *err)
{
	struct cox_json *root = NULL;
	int second_line; /* Istio reads the first document alone, too */
	if (text.n == 0)
		return COX_OK;
	enum cox_rc rc = cox_yaml_one(arena, text, COX_AGENT_TEXT_BYTES_MAX, &root, &second_line, err);
	if (rc == COX_OK && root && root->type != COX_JSON_OBJECT)
		rc = cox_err_set(err, COX_EINVAL, NULL, "not an object");
	if (rc != COX_OK) {
		cox_err_wrap(err, "%s", where);
		return rc;
	}
	if (root)
		cox_proxy_config_merge(into, root, arena);
	return COX_OK;
}

/* What would start and not do what it says. */
static enum cox_rc refuse(const struct cox_proxy_config *v, struct cox_err *err)
{
	const struct cox_tracing *t = v->tracing;
	const char *tracer = !t               ? NULL
	                     : t->lightstep   ? "lightstep"
	                     : t->stackdriver ? "stackdriver"
	                     : t->opencensus  ? "openCensusAgent"
	                                      : NULL;
	if (tracer)
		return cox_err_set(err, COX_EINVAL, "tracing", "Envoy has no tracer for %s any more; send to an OpenTelemetry collector",
		                   tracer);
	if (v->bootstrap_template.n)
		return cox_err_set(err, COX_EINVAL, "proxyBootstrapTemplatePath",
		                   "a Go template cannot be used; give a whole bootstrap in customConfigFile");
	return COX_OK;
}

enum cox_rc cox_agent_config_read(const struct cox_agent_bootstrap *b, const struct cox_json *annotations, struct cox_arena *arena,
                                  struct cox_agent_config *out, struct cox_err *err)
{
	const struct cox_json *own = cox_json_get(annotations, COX_STR("proxy.istio.io/config"));
	struct cox_agent_config c = { .json = cox_json_new_object(arena), .diags = { .arena = arena } };
	COX_TRY(add(arena, cox_agent_env(b->env, "PROXY_CONFIG"), "PROXY_CONFIG", c.json, err));
	COX_TRY(add(arena, own && own->type == COX_JSON_STRING ? own->text : COX_STR(""), "proxy.istio.io/config", c.json, err));
	c.values = cox_proxy_config_decode(c.json, "", arena, &c.diags);
	for (size_t i = 0; i < c.diags.n; i++)
		if (c.diags.items[i].severity == COX_SEV_ERROR)
			return cox_err_set(err, COX_EINVAL, "PROXY_CONFIG", "%.*s: %.*s", COX_FMT(c.diags.items[i].path),
			                   COX_FMT(c.diags.items[i].text));
	COX_TRY(refuse(c.values, err));
	*out = c;
	return COX_OK;
}

enum cox_rc cox_agent_config_env(const struct cox_agent_bootstrap *b, struct cox_arena *arena, const char *const **out, struct cox_err *err)
{
	struct cox_agent_config c;
	size_t n = 0;
	COX_TRY(cox_agent_config_find(b, arena, &c, err));
	while (b->env && b->env[n])
		n++;
	const char **env = COX_ARENA_ARRAY(arena, const char *, n + c.values->proxy_metadata.n + 1);
	for (size_t i = 0; i < n; i++)
		env[i] = b->env[i];
	for (COX_EACH(struct cox_kv, kv, c.values->proxy_metadata)) {
		struct cox_str line = cox_arena_printf(arena, "%.*s=%.*s", COX_FMT(kv->key), COX_FMT(kv->value));
		char name[256];
		if (kv->key.n == 0 || kv->key.n >= sizeof(name) || cox_agent_env(b->env, cox_str_to_cstr(kv->key, name, sizeof(name))).n)
			continue;
		char *copy = cox_arena_alloc(arena, line.n + 1);
		env[n++] = cox_str_to_cstr(line, copy, line.n + 1);
	}
	env[n] = NULL;
	*out = env;
	return COX_OK;
}

/* --- clusters of collectors ------------------------------------------------------------------------- */

struct remote {
	const char *name;
	struct cox_str address;
	const struct cox_client_tls *tls;
	const struct cox_tcp_keepalive *keepalive;
	bool is_grpc;
};

/* "host:port", "[v6]:port"; $(NAME) stands for a variable of the pod, as in Kubernetes. */
static enum cox_rc split_address(const struct cox_agent_bootstrap *b, struct cox_str address, const char *field, char host[256],
                                 uint16_t *port, struct cox_err *err)
{
	ptrdiff_t colon = cox_str_rfind(address, ':');
	uint64_t v = 0;
	struct cox_str h = colon < 0 ? (struct cox_str){ 0 } : cox_str_sub(address, 0, (size_t)colon);
	if (h.n > 3 && cox_str_has_prefix(h, COX_STR("$(")) && h.p[h.n - 1] == ')') {
		char name[128];
		h = cox_agent_env(b->env, cox_str_to_cstr(cox_str_sub(h, 2, h.n - 3), name, sizeof(name)));
	}
	if (h.n > 2 && h.p[0] == '[' && h.p[h.n - 1] == ']')
		h = cox_str_sub(h, 1, h.n - 2);
	if (!h.n || h.n > 253 || cox_str_to_u64(cox_str_sub(address, (size_t)colon + 1, address.n), &v) != COX_OK || v < 1 || v > 65535)
		return cox_err_set(err, COX_EINVAL, field, "\"%.*s\" is not host:port", COX_FMT(address));
	cox_str_to_cstr(h, host, 256);
	*port = (uint16_t)v;
	return COX_OK;
}

static void write_sds(struct cox_buf *out, const char *name)
{
	cox_buf_printf(out,
	               "{\"name\":\"%s\",\"sds_config\":{\"api_config_source\":{\"api_type\":\"GRPC\",\"transport_api_version\":\"V3\","
	               "\"set_node_on_first_message_only\":true,\"grpc_services\":[{\"envoy_grpc\":{\"cluster_name\":\"sds-grpc\"}}]},"
	               "\"initial_fetch_timeout\":\"0s\",\"resource_api_version\":\"V3\"}}",
	               name);
}

static void write_file(struct cox_buf *out, const char *member, struct cox_str file)
{
	cox_buf_printf(out, "\"%s\":{\"filename\":", member);
	cox_json_write_str(out, file);
	cox_buf_append_char(out, '}');
}

static void write_sans(struct cox_buf *out, const struct cox_client_tls *tls)
{
	if (!tls->subject_alt_names.n)
		return;
	cox_buf_append_cstr(out, ",\"match_typed_subject_alt_names\":[");
	for (size_t i = 0; i < tls->subject_alt_names.n; i++) {
		const char *kind = cox_str_has_prefix(tls->subject_alt_names.p[i], COX_STR("spiffe://")) ? "URI" : "DNS";
		cox_buf_printf(out, "%s{\"san_type\":\"%s\",\"matcher\":{\"exact\":", i ? "," : "", kind);
		cox_json_write_str(out, tls->subject_alt_names.p[i]);
		cox_buf_append_cstr(out, "}}");
	}
	cox_buf_append_char(out, ']');
}

static void write_tls_context(struct cox_buf *out, const struct cox_client_tls *tls, bool is_grpc)
{
	static const struct cox_str system_roots = COX_STR_INIT("/etc/ssl/certs/ca-certificates.crt");
	cox_buf_append_cstr(out, "\"common_tls_context\":{");
	cox_buf_append_cstr(out, is_grpc ? "\"alpn_protocols\":[\"h2\"]," : "");
	if (tls->mode == COX_TLS_ISTIO_MUTUAL) {
		cox_buf_append_cstr(out, "\"tls_certificate_sds_secret_configs\":[");
		write_sds(out, "default");
		cox_buf_append_cstr(out, "],\"combined_validation_context\":{\"default_validation_context\":{\"trust_chain_verification\":"
		                         "\"VERIFY_TRUST_CHAIN\"");
		write_sans(out, tls);
		cox_buf_append_cstr(out, "},\"validation_context_sds_secret_config\":");
		write_sds(out, "ROOTCA");
		cox_buf_append_cstr(out, "}}");
		return;
	}
	if (tls->mode == COX_TLS_MUTUAL) {
		cox_buf_append_cstr(out, "\"tls_certificates\":[{");
		write_file(out, "certificate_chain", tls->client_certificate);
		cox_buf_append_char(out, ',');
		write_file(out, "private_key", tls->private_key);
		cox_buf_append_cstr(out, "}],");
	}
	cox_buf_append_cstr(out, "\"validation_context\":{");
	if (!tls->insecure_skip_verify.set || !tls->insecure_skip_verify.v) {
		write_file(out, "trusted_ca", tls->ca_certificates.n ? tls->ca_certificates : system_roots);
		write_sans(out, tls);
	}
	cox_buf_append_cstr(out, "}}");
}

static enum cox_rc write_tls(const struct cox_agent_bootstrap *b, const struct remote *r, struct cox_str host, struct cox_buf *out,
                             struct cox_err *err)
{
	const struct cox_client_tls *tls = r->tls;
	if (!tls || tls->mode == COX_TLS_DISABLE)
		return COX_OK;
	if (tls->mode == COX_TLS_ISTIO_MUTUAL && b->is_identity_off)
		return cox_err_set(err, COX_EINVAL, r->name,
		                   "tlsSettings.mode ISTIO_MUTUAL needs certificates, and there are none (--identity none)");
	if (tls->credential_name.n)
		return cox_err_set(err, COX_EINVAL, r->name, "tlsSettings.credentialName: an agent reads files only");
	cox_buf_append_cstr(out, ",\"transport_socket\":{\"name\":\"envoy.transport_sockets.tls\",\"typed_config\":{\"@type\":"
	                         "\"type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext\",\"sni\":");
	cox_json_write_str(out, tls->sni.n ? tls->sni : host);
	cox_buf_append_char(out, ',');
	write_tls_context(out, tls, r->is_grpc);
	cox_buf_append_cstr(out, "}}");
	return COX_OK;
}

static void write_keepalive(const struct cox_tcp_keepalive *k, struct cox_buf *out)
{
	const struct {
		const char *name;
		const struct cox_opt_i64 *v;
		int64_t unit;
	} parts[] = { { "keepalive_probes", &k->probes, 1 },
		      { "keepalive_time", &k->time_ns, 1000000000 },
		      { "keepalive_interval", &k->interval_ns, 1000000000 } };
	const char *comma = "";
	cox_buf_append_cstr(out, ",\"upstream_connection_options\":{\"tcp_keepalive\":{");
	for (size_t i = 0; i < COX_LEN(parts); i++)
		if (parts[i].v->set) {
			cox_buf_printf(out, "%s\"%s\":%lld", comma, parts[i].name, (long long)(parts[i].v->v / parts[i].unit));
			comma = ",";
		}
	cox_buf_append_cstr(out, "}}");
}

static enum cox_rc write_remote(const struct cox_agent_bootstrap *b, const struct remote *r, struct cox_buf *out, struct cox_err *err)
{
	char host[256];
	uint16_t port;
	bool v6_only = cox_str_find(cox_agent_env(b->env, "INSTANCE_IP"), '.') < 0;
	COX_TRY(split_address(b, r->address, r->name, host, &port, err));
	cox_buf_printf(out,
	               ",{\"name\":\"%s\",\"type\":\"STRICT_DNS\",\"dns_lookup_family\":\"%s\","
	               "\"connect_timeout\":\"1s\",\"lb_policy\":\"ROUND_ROBIN\"",
	               r->name, v6_only ? "V6_ONLY" : "V4_PREFERRED");
	if (r->is_grpc)
		cox_buf_append_cstr(out,
		                    ",\"typed_extension_protocol_options\":{\"envoy.extensions.upstreams.http.v3.HttpProtocolOptions\":{"
		                    "\"@type\":\"type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions\","
		                    "\"explicit_http_config\":{\"http2_protocol_options\":{}}}}");
	if (r->keepalive)
		write_keepalive(r->keepalive, out);
	COX_TRY(write_tls(b, r, cox_str_of(host), out, err));
	cox_buf_printf(out,
	               ",\"load_assignment\":{\"cluster_name\":\"%s\",\"endpoints\":[{\"lb_endpoints\":[{\"endpoint\":{\"address\":"
	               "{\"socket_address\":{\"address\":",
	               r->name);
	cox_json_write_str(out, cox_str_of(host));
	cox_buf_printf(out, ",\"port_value\":%u}}}}]}]}}", (unsigned)port);
	return COX_OK;
}

static struct cox_str zipkin_address(const struct cox_proxy_config *v)
{
	if (v->tracing && v->tracing->zipkin)
		return v->tracing->zipkin->address;
	return v->tracing && v->tracing->datadog ? (struct cox_str){ 0 } : v->zipkin_address;
}

static struct cox_str metrics_address(const struct cox_proxy_config *v)
{
	return v->metrics_service ? v->metrics_service->address : v->metrics_service_address;
}

enum cox_rc cox_agent_config_write_clusters(const struct cox_agent_bootstrap *b, const struct cox_agent_config *c, struct cox_buf *out,
                                            struct cox_err *err)
{
	const struct cox_proxy_config *v = c->values;
	const struct cox_remote_service *log = v->access_log_service, *metrics = v->metrics_service;
	const struct cox_client_tls *tracing_tls = v->tracing ? v->tracing->tls_settings : NULL;
	const struct remote all[] = {
		{ "zipkin", zipkin_address(v), tracing_tls, NULL, false },
		{ "datadog_agent", v->tracing && v->tracing->datadog ? v->tracing->datadog->address : (struct cox_str){ 0 }, tracing_tls,
		  NULL, false },
		{ "envoy_metrics_service", metrics_address(v), metrics ? metrics->tls_settings : NULL,
		  metrics ? metrics->tcp_keepalive : NULL, true },
		{ "envoy_accesslog_service", log ? log->address : (struct cox_str){ 0 }, log ? log->tls_settings : NULL,
		  log ? log->tcp_keepalive : NULL, true },
	};
	for (size_t i = 0; i < COX_LEN(all); i++)
		if (all[i].address.n)
			COX_TRY(write_remote(b, &all[i], out, err));
	return COX_OK;
}

/* --- sinks and tracing --------------------------------------------------------------------------------- */

static void write_tracing(const struct cox_proxy_config *v, struct cox_str service, struct cox_buf *out)
{
	if (zipkin_address(v).n)
		cox_buf_append_cstr(out, ",\"tracing\":{\"http\":{\"name\":\"envoy.tracers.zipkin\",\"typed_config\":{\"@type\":"
		                         "\"type.googleapis.com/envoy.config.trace.v3.ZipkinConfig\",\"collector_cluster\":\"zipkin\","
		                         "\"collector_endpoint\":\"/api/v2/spans\",\"collector_endpoint_version\":\"HTTP_JSON\","
		                         "\"trace_id_128bit\":true,\"shared_span_context\":false}}}");
	if (!v->tracing || !v->tracing->datadog)
		return;
	cox_buf_append_cstr(out, ",\"tracing\":{\"http\":{\"name\":\"envoy.tracers.datadog\",\"typed_config\":{\"@type\":"
	                         "\"type.googleapis.com/envoy.config.trace.v3.DatadogConfig\",\"collector_cluster\":\"datadog_agent\","
	                         "\"service_name\":");
	cox_json_write_str(out, service);
	cox_buf_append_cstr(out, "}}}");
}

enum cox_rc cox_agent_config_write_sinks(const struct cox_agent_bootstrap *b, const struct cox_agent_config *c, struct cox_str service,
                                         struct cox_buf *out, struct cox_err *err)
{
	const struct cox_proxy_config *v = c->values;
	char host[256], ip[64];
	uint16_t port;
	bool has_statsd = false;
	write_tracing(v, service, out);
	if (v->statsd_udp_address.n) {
		COX_TRY(split_address(b, v->statsd_udp_address, "statsdUdpAddress", host, &port, err));
		/* The sink takes addresses only. One that has none now is left out, so that the pod starts. */
		has_statsd = b->resolve ? b->resolve(host, ip) : cox_str_to_cstr(cox_str_of(host), ip, sizeof(ip)) != NULL;
	}
	if (!has_statsd && !metrics_address(v).n)
		return COX_OK;
	cox_buf_append_cstr(out, ",\"stats_sinks\":[");
	if (has_statsd) {
		cox_buf_append_cstr(out, "{\"name\":\"envoy.stat_sinks.statsd\",\"typed_config\":{\"@type\":"
		                         "\"type.googleapis.com/envoy.config.metrics.v3.StatsdSink\",\"address\":{\"socket_address\":{"
		                         "\"protocol\":\"UDP\",\"address\":");
		cox_json_write_str(out, cox_str_of(ip));
		cox_buf_printf(out, ",\"port_value\":%u}}}}", (unsigned)port);
	}
	if (metrics_address(v).n)
		cox_buf_printf(out,
		               "%s{\"name\":\"envoy.stat_sinks.metrics_service\",\"typed_config\":{\"@type\":"
		               "\"type.googleapis.com/envoy.config.metrics.v3.MetricsServiceConfig\",\"transport_api_version\":\"V3\","
		               "\"grpc_service\":{\"envoy_grpc\":{\"cluster_name\":\"envoy_metrics_service\"}}}}",
		               has_statsd ? "," : "");
	cox_buf_append_char(out, ']');
	return COX_OK;
}

/* --- runtime, tags, limits ------------------------------------------------------------------------------- */

/* A text that is a number or a boolean is one: Envoy reads no texts there. */
static bool is_bare(struct cox_str s)
{
	double number;
	return cox_str_eq(s, COX_STR("true")) || cox_str_eq(s, COX_STR("false")) ||
	       (s.n && (s.p[0] == '-' || (s.p[0] >= '0' && s.p[0] <= '9')) && cox_str_to_f64(s, &number) == COX_OK);
}

void cox_agent_config_write_runtime(const struct cox_agent_config *c, struct cox_buf *out)
{
	for (COX_EACH(struct cox_kv, kv, c->values->runtime_values)) {
		cox_buf_append_char(out, ',');
		cox_json_write_str(out, kv->key);
		cox_buf_append_char(out, ':');
		if (is_bare(kv->value))
			cox_buf_append_str(out, kv->value);
		else
			cox_json_write_str(out, kv->value);
	}
}

static void write_tag(struct cox_buf *out, struct cox_str name)
{
	struct cox_buf regex COX_AUTO(cox_buf_fini) = { 0 };
	if (!(name = cox_str_trim(name)).n)
		return;
	/* As the stats filter writes them: name=.=value;.; */
	cox_buf_printf(&regex, "(%.*s\\.=\\.(.*?);\\.;)", COX_FMT(name));
	cox_buf_append_cstr(out, ",{\"tag_name\":");
	cox_json_write_str(out, name);
	cox_buf_append_cstr(out, ",\"regex\":");
	cox_json_write_str(out, cox_buf_str(&regex));
	cox_buf_append_char(out, '}');
}

void cox_agent_config_write_tags(const struct cox_agent_config *c, const struct cox_json *annotations, struct cox_buf *out)
{
	const struct cox_json *more = cox_json_get(annotations, COX_STR("sidecar.istio.io/extraStatTags"));
	struct cox_str rest = more && more->type == COX_JSON_STRING ? more->text : COX_STR(""), name;
	for (COX_EACH(struct cox_str, tag, c->values->extra_stat_tags))
		write_tag(out, *tag);
	while (rest.n && cox_str_next(&rest, ',', &name))
		write_tag(out, name);
}

uint64_t cox_agent_config_connections(const struct cox_agent_bootstrap *b, const struct cox_agent_config *c)
{
	const struct cox_connection_settings *s = c->values->connection_settings;
	uint64_t v;
	if (s && s->global_connections.set)
		return (uint64_t)s->global_connections.v;
	if (cox_str_to_u64(cox_agent_env(b->env, "ISTIO_META_GLOBAL_DOWNSTREAM_MAX_CONNECTIONS"), &v) == COX_OK && v > 0)
		return v;
	for (COX_EACH(struct cox_kv, kv, c->values->runtime_values))
		if (cox_str_eq_cstr(kv->key, "overload.global_downstream_max_connections") && cox_str_to_u64(kv->value, &v) == COX_OK &&
		    v > 0)
			return v;
	return COX_AGENT_DOWNSTREAM_CONNECTIONS_MAX;
}
