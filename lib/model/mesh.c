#include "model/mesh.h"

#include "codec/yaml.h"
#include "model/mesh_priv.h"
#include "model/tables_priv.h"

#define NS_PER_S INT64_C(1000000000)

static const struct cox_field log_format_fields[] = {
	F(log_format, text, "text", STR, "One line of text.", .one_of = 1),
	F(log_format, labels, "labels", RAW, "Members of a JSON object.", .one_of = 1),
};
static MESSAGE(log_format, "LogFormat", "Format of the access log.", .open = true);

static const struct cox_field provider_file_log_fields[] = {
	F(provider_file_log, path, "path", STR, "The file."),
	F(provider_file_log, log_format, "logFormat", MSG, "Format of the lines.", SUB(log_format)),
	F(provider_file_log, omit_empty_values, "omitEmptyValues", BOOL, "Leaves out values that are empty."),
};
static MESSAGE(provider_file_log, "EnvoyFileAccessLogProvider", "An access log in a file.", .open = true);

/* Fields with an empty name are filled here, from the tree. */
static const struct cox_field provider_fields[] = {
	F(provider, name, "name", STR, "Name that others refer to.", REQUIRED),
	F(provider, envoy_file_access_log, "envoyFileAccessLog", MSG, "An access log in a file.", SUB(provider_file_log)),
	F(provider, kind, "", STR, ""),
	F(provider, raw, "", STR, ""),
};
static MESSAGE(provider, "ExtensionProvider", "Something outside that policies name.", .open = true);

static const struct cox_field default_providers_fields[] = {
	F(default_providers, metrics, "metrics", STR, "For metrics.", LIST),
	F(default_providers, tracing, "tracing", STR, "For traces.", LIST),
	F(default_providers, access_logging, "accessLogging", STR, "For access logs.", LIST),
};
static MESSAGE(default_providers, "DefaultProviders", "Providers that are used where no Telemetry says otherwise.");

static const struct cox_field label_selector_requirement_fields[] = {
	F(label_selector_requirement, key, "key", STR, "Key of the label.", REQUIRED, .pattern = "labelKey"),
	F(label_selector_requirement, op, "operator", STR, "In, NotIn, Exists or DoesNotExist.", REQUIRED),
	F(label_selector_requirement, values, "values", STR, "Values.", LIST, .pattern = "label"),
};
static void requirement_check(const void *value, const char *path, struct cox_diags *d)
{
	const struct cox_label_selector_requirement *v = value;
	bool in = cox_str_eq_cstr(v->op, "In") || cox_str_eq_cstr(v->op, "NotIn");
	bool exists = cox_str_eq_cstr(v->op, "Exists") || cox_str_eq_cstr(v->op, "DoesNotExist");
	if (!in && !exists)
		cox_diag_add(d, COX_SEV_ERROR, 0, path, "operator must be In, NotIn, Exists or DoesNotExist, is \"%.*s\"", COX_FMT(v->op));
	if (in && !v->values.n)
		cox_diag_add(d, COX_SEV_ERROR, 0, path, "operator %.*s needs values", COX_FMT(v->op));
	if (exists && v->values.n)
		cox_diag_add(d, COX_SEV_ERROR, 0, path, "operator %.*s takes no values", COX_FMT(v->op));
}
static MESSAGE(label_selector_requirement, "LabelSelectorRequirement", "A condition on a label.", .check = requirement_check);

static const struct cox_field label_selector_fields[] = {
	F(label_selector, match_labels, "matchLabels", STR_MAP, "Labels, all of them.", .pattern = "labels"),
	F(label_selector, match_expressions, "matchExpressions", MSG, "Conditions, all of them.", LIST, SUB(label_selector_requirement)),
};
MESSAGE(label_selector, "LabelSelector", "Chooses objects by label.");

static bool requirement_fits(const struct cox_label_selector_requirement *q, const struct cox_kv *labels, size_t n)
{
	bool has = cox_kv_has(labels, n, q->key), is_in = false;
	struct cox_str value = cox_kv_get(labels, n, q->key);
	for (COX_EACH(struct cox_str, v, q->values))
		is_in |= has && cox_str_eq(*v, value);
	if (cox_str_eq_cstr(q->op, "In"))
		return is_in;
	if (cox_str_eq_cstr(q->op, "NotIn"))
		return !is_in;
	return cox_str_eq_cstr(q->op, "Exists") ? has : cox_str_eq_cstr(q->op, "DoesNotExist") && !has;
}

bool cox_label_selector_fits(const struct cox_label_selector *s, const struct cox_kv *labels, size_t n)
{
	if (!cox_kv_is_subset(s->match_labels.p, s->match_labels.n, labels, n))
		return false;
	for (COX_EACH(struct cox_label_selector_requirement, q, s->match_expressions))
		if (!requirement_fits(q, labels, n))
			return false;
	return true;
}

static const struct cox_field path_norm_fields[] = {
	F(path_norm, normalization, "normalization", ENUM, "How far paths are normalised.",
	  ENUM("DEFAULT", "NONE", "BASE", "MERGE_SLASHES", "DECODE_AND_MERGE_SLASHES")),
};
static MESSAGE(path_norm, "ProxyPathNormalization", "Normalisation of paths.");

static const struct cox_field inbound_policy_fields[] = {
	F(inbound_policy, mode, "mode", ENUM, "Address that sidecars hand traffic to.", ENUM("PASSTHROUGH", "LOCALHOST")),
};
static MESSAGE(inbound_policy, "InboundTrafficPolicy", "Traffic that comes in.");

static const struct cox_field mesh_outbound_policy_fields[] = {
	F(outbound_policy, mode, "mode", ENUM, "What becomes of traffic to unknown hosts.",
	  ENUM("REGISTRY_ONLY", "ALLOW_ANY", "ALLOW_ANY_DYNAMIC_DNS")),
	F(outbound_policy, tls, "tls", MSG, "TLS towards hosts that are resolved per request.", SUB(client_tls)),
};
static void mesh_outbound_policy_check(const void *value, const char *path, struct cox_diags *d)
{
	const struct cox_outbound_policy *v = value;
	if (v->tls && v->mode != COX_OUTBOUND_ALLOW_ANY_DYNAMIC_DNS)
		cox_diag_add(d, COX_SEV_ERROR, 0, path, "tls needs mode ALLOW_ANY_DYNAMIC_DNS");
	if (v->tls && v->tls->mode == COX_TLS_ISTIO_MUTUAL)
		cox_diag_add(d, COX_SEV_ERROR, 0, path, "tls.mode ISTIO_MUTUAL is for hosts of the mesh");
}
static const struct cox_message cox_msg_mesh_outbound_policy = { .name = "MeshOutboundTrafficPolicy",
	                                                         .size_bytes = sizeof(struct cox_outbound_policy),
	                                                         .fields = mesh_outbound_policy_fields,
	                                                         .field_count = COX_LEN(mesh_outbound_policy_fields),
	                                                         .doc = "Traffic to hosts that the mesh does not know.",
	                                                         .check = mesh_outbound_policy_check };

static const struct cox_field mesh_tls_fields[] = {
	F(mesh_tls, min_protocol_version, "minProtocolVersion", ENUM, "Lowest TLS version.",
	  ENUM("TLS_AUTO", "TLSV1_0", "TLSV1_1", "TLSV1_2", "TLSV1_3")),
	F(mesh_tls, cipher_suites, "cipherSuites", STR, "Cipher suites up to TLS 1.2.", LIST),
	F(mesh_tls, ecdh_curves, "ecdhCurves", STR, "Curves for the key exchange.", LIST),
};
static MESSAGE(mesh_tls, "TLSConfig", "TLS within the mesh.");

static const struct cox_field mesh_ca_fields[] = {
	F(mesh_ca, pem, "pem", STR, "Roots."),
	F(mesh_ca, cert_signers, "certSigners", STR, "Kubernetes signers whose certificates end in them.", LIST),
	F(mesh_ca, trust_domains, "trustDomains", STR, "Trust domains whose identities they sign; none: the mesh's and its aliases.", LIST,
	  .max_items = 64),
	F(mesh_ca, spiffe_bundle_url, "spiffeBundleUrl", STR, "Where they are fetched: a SPIFFE bundle endpoint (https_web)."),
};
static MESSAGE(mesh_ca, "CertificateData", "Roots of a CA elsewhere.");

static const struct cox_field service_settings_of_fields[] = {
	F(service_settings_of, cluster_local, "clusterLocal", BOOL, "Reached in the own cluster only."),
};
static MESSAGE(service_settings_of, "Settings", "Settings of hosts.");
static const struct cox_field service_settings_fields[] = {
	F(service_settings, settings, "settings", MSG, "The settings.", SUB(service_settings_of)),
	F(service_settings, hosts, "hosts", STR, "The hosts.", LIST, .pattern = "hostWildcard"),
};
static MESSAGE(service_settings, "ServiceSettings", "Settings of some hosts.");

static const struct cox_field service_scope_config_fields[] = {
	F(service_scope_config, namespace_selector, "namespaceSelector", MSG, "Namespaces.", SUB(label_selector)),
	F(service_scope_config, services_selector, "servicesSelector", MSG, "Services in them.", SUB(label_selector)),
	F(service_scope_config, scope, "scope", ENUM, "LOCAL: the own cluster only.", ENUM("LOCAL", "GLOBAL")),
};
static MESSAGE(service_scope_config, "ServiceScopeConfigs", "How far services are seen.");

static const struct cox_field config_source_fields[] = {
	F(config_source, address, "address", STR, "fs://DIRECTORY or k8s://", REQUIRED),
	F(config_source, unread, "tlsSettings", RAW, "", .flags = COX_F_NO_EFFECT),
	F(config_source, unread, "subscribedResources", RAW, "", .flags = COX_F_NO_EFFECT),
};
static MESSAGE(config_source, "ConfigSource", "Where configuration comes from.");

#define M(member, json, ftype, ...) F(mesh_config, member, json, ftype, "", __VA_ARGS__)
/* Part of MeshConfig, not read: said in a warning, so that nobody waits for an effect. */
#define UNREAD(json) F(mesh_config, unread, json, RAW, "", .flags = COX_F_NO_EFFECT)
static const struct cox_field mesh_config_fields[] = {
	M(root_namespace, "rootNamespace", STR, .pattern = "dns1123"),
	M(trust_domain, "trustDomain", STR),
	M(trust_domain_aliases, "trustDomainAliases", STR, LIST),
	M(access_log_file, "accessLogFile", STR),
	M(access_log_format, "accessLogFormat", STR),
	M(access_log_encoding, "accessLogEncoding", ENUM, ENUM("TEXT", "JSON")),
	M(default_config, "defaultConfig", MSG, SUB(proxy_config)),
	M(default_providers, "defaultProviders", MSG, SUB(default_providers)),
	M(extension_providers, "extensionProviders", MSG, LIST, SUB(provider), .max_items = 1000),
	M(outbound_traffic_policy, "outboundTrafficPolicy", MSG, SUB(mesh_outbound_policy)),
	M(inbound_traffic_policy, "inboundTrafficPolicy", MSG, SUB(inbound_policy)),
	M(protocol_detection_timeout_ns, "protocolDetectionTimeout", DURATION, NOT_NEGATIVE),
	M(connect_timeout_ns, "connectTimeout", DURATION, FROM_1MS),
	M(dns_refresh_rate_ns, "dnsRefreshRate", DURATION, NOT_NEGATIVE),
	M(tcp_keepalive, "tcpKeepalive", MSG, SUB(tcp_keepalive)),
	M(locality_lb_setting, "localityLbSetting", MSG, SUB(locality_lb)),
	M(default_service_export_to, "defaultServiceExportTo", STR, LIST, .pattern = "exportTo"),
	M(default_virtual_service_export_to, "defaultVirtualServiceExportTo", STR, LIST, .pattern = "exportTo"),
	M(default_destination_rule_export_to, "defaultDestinationRuleExportTo", STR, LIST, .pattern = "exportTo"),
	M(discovery_selectors, "discoverySelectors", MSG, LIST, SUB(label_selector)),
	M(enable_auto_mtls, "enableAutoMtls", OPT_BOOL),
	M(enable_tracing, "enableTracing", OPT_BOOL),
	M(enable_prometheus_merge, "enablePrometheusMerge", OPT_BOOL),
	M(disable_envoy_listener_log, "disableEnvoyListenerLog", OPT_BOOL),
	M(default_http_retry_policy, "defaultHttpRetryPolicy", MSG, SUB(retry)),
	M(default_inbound_http_retry_policy, "defaultInboundHttpRetryPolicy", MSG, SUB(retry)),
	M(proxy_listen_port, "proxyListenPort", I64, .pattern = "port"),
	M(proxy_inbound_listen_port, "proxyInboundListenPort", I64, .pattern = "port"),
	M(proxy_http_port, "proxyHttpPort", I64, .min = 0, .max = 65535),
	M(path_normalization, "pathNormalization", MSG, SUB(path_norm)),
	M(h2_upgrade_policy, "h2UpgradePolicy", ENUM, ENUM("DO_NOT_UPGRADE", "UPGRADE")),
	M(outbound_cluster_stat_name, "outboundClusterStatName", STR),
	M(inbound_cluster_stat_name, "inboundClusterStatName", STR),
	M(ingress_service, "ingressService", OPT_STR),
	M(ingress_selector, "ingressSelector", STR),
	M(ingress_class, "ingressClass", STR),
	M(ingress_controller_mode, "ingressControllerMode", ENUM, ENUM("UNSPECIFIED", "OFF", "DEFAULT", "STRICT")),
	M(enable_envoy_access_log_service, "enableEnvoyAccessLogService", BOOL),
	M(mesh_mtls, "meshMTLS", MSG, SUB(mesh_tls)),
	M(tls_defaults, "tlsDefaults", MSG, SUB(mesh_tls)),
	M(default_traffic_policy, "defaultTrafficPolicy", MSG, SUB(traffic_policy)),
	M(zone_aware_lb_setting, "zoneAwareLbSetting", MSG, SUB(zone_aware_lb), .flags = COX_F_NO_EFFECT),
	M(service_settings, "serviceSettings", MSG, LIST, SUB(service_settings)),
	M(service_scope_configs, "serviceScopeConfigs", MSG, LIST, SUB(service_scope_config)),
	M(config_sources, "configSources", MSG, LIST, SUB(config_source), .max_items = 64),
	UNREAD("ca"),
	M(ca_certificates, "caCertificates", MSG, LIST, SUB(mesh_ca), .max_items = 256),
	UNREAD("certificates"),
	UNREAD("hboneIdleTimeout"),
	UNREAD("serviceEntryVisibility"),
	UNREAD("verifyCertificateAtClient"),
};
const struct cox_message cox_model_mesh_config = { .name = "MeshConfig",
	                                           .size_bytes = sizeof(struct cox_mesh_config),
	                                           .fields = mesh_config_fields,
	                                           .field_count = COX_LEN(mesh_config_fields),
	                                           .doc = "Settings of the whole mesh." };

/* --- what tables cannot say --- */

static struct cox_str compact(const struct cox_json *v, struct cox_arena *arena)
{
	struct cox_buf b COX_AUTO(cox_buf_fini) = { 0 };
	if (v)
		cox_json_write(&b, v, 0, true);
	return cox_arena_str(arena, cox_buf_str(&b));
}

/* The kinds of providers that MeshConfig knows; whatever stands beside the name is one of them. */
static struct cox_str provider_kind(const struct cox_json *provider)
{
	static const char *const kinds[] = { "envoyExtAuthzHttp",  "envoyExtAuthzGrpc", "zipkin",      "lightstep",     "datadog",
		                             "stackdriver",        "opencensus",        "skywalking",  "opentelemetry", "prometheus",
		                             "envoyFileAccessLog", "envoyHttpAls",      "envoyTcpAls", "envoyOtelAls",  "sds" };
	for (size_t i = 0; i < COX_LEN(kinds); i++)
		if (cox_json_get(provider, cox_str_of(kinds[i])))
			return cox_str_of(kinds[i]);
	return (struct cox_str){ 0 };
}

/* `m` was just decoded into the arena from `doc`, so its parts may still be changed. */
static void fill_raw(struct cox_mesh_config *m, const struct cox_json *doc, struct cox_arena *arena)
{
	const struct cox_json *providers = cox_json_get(doc, COX_STR("extensionProviders"));
	for (size_t i = 0; i < m->extension_providers.n; i++) {
		struct cox_provider *p = (struct cox_provider *)&m->extension_providers.p[i];
		p->kind = provider_kind(&providers->items[i]);
		p->is_prometheus = cox_json_get(&providers->items[i], COX_STR("prometheus")) != NULL;
		p->raw = compact(&providers->items[i], arena);
	}
	struct cox_proxy_config *pc = (struct cox_proxy_config *)m->default_config;
	if (!pc)
		return;
	pc->raw = compact(cox_json_get(doc, COX_STR("defaultConfig")), arena);
	if (pc->tracing)
		((struct cox_tracing *)pc->tracing)->raw = compact(cox_json_at(doc, "defaultConfig.tracing"), arena);
}

static void default_i64(struct cox_opt_i64 *v, int64_t value)
{
	if (!v->set)
		*v = (struct cox_opt_i64){ value, true };
}

static void default_bool(struct cox_opt_bool *v, bool value)
{
	if (!v->set)
		*v = (struct cox_opt_bool){ value, true };
}

static void default_str(struct cox_str *v, struct cox_str value)
{
	if (!v->n)
		*v = value;
}

/* "prometheus" and "envoy" exist in every mesh, unless the user gives those names another meaning. */
static void add_providers(struct cox_mesh_config *m, struct cox_arena *arena)
{
	static const struct cox_provider_file_log stdout_log = { .path = COX_STR_INIT("/dev/stdout") };
	static const struct cox_provider defaults[] = {
		{ .name = COX_STR_INIT("prometheus"),
		  .is_prometheus = true,
		  .kind = COX_STR_INIT("prometheus"),
		  .raw = COX_STR_INIT("{\"name\":\"prometheus\",\"prometheus\":{}}") },
		{ .name = COX_STR_INIT("envoy"),
		  .kind = COX_STR_INIT("envoyFileAccessLog"),
		  .envoy_file_access_log = &stdout_log,
		  .raw = COX_STR_INIT("{\"envoyFileAccessLog\":{\"path\":\"/dev/stdout\"},\"name\":\"envoy\"}") },
	};
	size_t n = m->extension_providers.n;
	struct cox_provider *all = COX_ARENA_ARRAY(arena, struct cox_provider, n + COX_LEN(defaults));
	for (size_t i = 0; i < n; i++)
		all[i] = m->extension_providers.p[i];
	for (size_t k = 0; k < COX_LEN(defaults); k++) {
		bool taken = false;
		for (size_t i = 0; i < m->extension_providers.n && !taken; i++)
			taken = cox_str_eq(m->extension_providers.p[i].name, defaults[k].name);
		if (!taken)
			all[n++] = defaults[k];
	}
	m->extension_providers.p = all;
	m->extension_providers.n = n;
}

static void set_defaults(struct cox_mesh_config *m, struct cox_arena *arena)
{
	default_str(&m->root_namespace, COX_STR("istio-system"));
	default_str(&m->trust_domain, COX_STR("cluster.local"));
	default_str(&m->ingress_class, COX_STR("istio"));
	/* Set and empty: there is none, the gateways are found by their nodes. */
	if (!m->ingress_service.set)
		m->ingress_service = (struct cox_opt_str){ COX_STR("istio-ingressgateway"), true };
	if (m->ingress_controller_mode == COX_INGRESS_UNSPECIFIED)
		m->ingress_controller_mode = COX_INGRESS_STRICT;
	default_i64(&m->proxy_listen_port, 15001);
	default_i64(&m->proxy_inbound_listen_port, 15006);
	default_i64(&m->connect_timeout_ns, 10 * NS_PER_S);
	default_i64(&m->dns_refresh_rate_ns, 60 * NS_PER_S);
	default_i64(&m->protocol_detection_timeout_ns, 0);
	default_bool(&m->enable_auto_mtls, true);
	default_bool(&m->enable_tracing, true);
	default_bool(&m->enable_prometheus_merge, true);
	if (!m->outbound_traffic_policy) {
		struct cox_outbound_policy *p = COX_ARENA_NEW(arena, struct cox_outbound_policy);
		p->mode = COX_OUTBOUND_ALLOW_ANY;
		m->outbound_traffic_policy = p;
	}
	struct cox_proxy_config *pc = (struct cox_proxy_config *)m->default_config;
	if (!pc)
		m->default_config = pc = COX_ARENA_NEW(arena, struct cox_proxy_config);
	default_str(&pc->raw, COX_STR("{}"));
	default_str(&pc->discovery_address, cox_arena_printf(arena, "istiod.%.*s.svc:15012", COX_FMT(m->root_namespace)));
	default_i64(&pc->drain_duration_ns, 45 * NS_PER_S);
	default_i64(&pc->termination_drain_duration_ns, 5 * NS_PER_S);
	default_i64(&pc->status_port, 15020);
	m->unread = (struct cox_str){ 0 };
	add_providers(m, arena);
}

enum cox_rc cox_mesh_config_build(struct cox_str yaml, struct cox_arena *scratch, struct cox_diags *diags, struct cox_mesh_config **out)
{
	size_t errors = diags->errors;
	struct cox_json *root = NULL;
	struct cox_err err = { 0 };
	int second_line = 0;
	if (cox_yaml_one(scratch, yaml, COX_JSON_BYTES_MAX, &root, &second_line, &err) != COX_OK)
		cox_diag_add(diags, COX_SEV_ERROR, err.line, "", "%s", err.text);
	else if (second_line)
		cox_diag_add(diags, COX_SEV_WARNING, second_line, "", "only the first document is read");
	struct cox_mesh_config *m = COX_ARENA_NEW(scratch, struct cox_mesh_config);
	if (root) {
		m = cox_message_decode_borrowed(&cox_model_mesh_config, root, "", scratch, diags);
		if (m) {
			fill_raw(m, root, scratch);
			cox_mesh_findings(m, diags);
		}
	}
	if (!m || diags->errors != errors)
		return COX_EINVAL;
	set_defaults(m, scratch);
	size_t bytes = cox_message_copy_bytes(&cox_model_mesh_config, m);
	*out = cox_message_copy(&cox_model_mesh_config, m, cox_alloc(bytes), bytes);
	return COX_OK;
}

bool cox_compliance_parse(struct cox_str text, enum cox_compliance *out)
{
	static const char *const names[] = { "", "fips-140-2", "fips-140-3", "pqc" };
	for (size_t i = 0; i < COX_LEN(names); i++)
		if (cox_str_eq_cstr(text, names[i])) {
			*out = (enum cox_compliance)i;
			return true;
		}
	return false;
}
