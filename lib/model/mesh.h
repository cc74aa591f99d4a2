/*
 * mesh - the mesh configuration: ConfigMap `istio` of the root namespace, key `mesh`, YAML. Names are those of MeshConfig.
 */
#ifndef COX_MODEL_MESH_H
#define COX_MODEL_MESH_H

#include "model/proxy_config.h"
#include "model/sidecar.h"

struct cox_log_format {
	struct cox_str text, labels;
}; /* labels: RAW */
struct cox_provider_file_log {
	struct cox_str path;
	const struct cox_log_format *log_format;
	bool omit_empty_values;
};
struct cox_provider {
	struct cox_str name;
	bool is_prometheus;
	struct cox_str kind; /* "zipkin", "envoyExtAuthzGrpc", ...; empty: none that is known */
	const struct cox_provider_file_log *envoy_file_access_log;
	struct cox_str raw;
};
struct cox_default_providers {
	COX_LIST(struct cox_str) metrics, tracing, access_logging;
};
struct cox_label_selector_requirement {
	struct cox_str key, op;
	COX_LIST(struct cox_str) values;
}; /* "operator" in YAML: In, NotIn, Exists, DoesNotExist */
struct cox_label_selector {
	COX_LIST(struct cox_kv) match_labels;
	COX_LIST(struct cox_label_selector_requirement) match_expressions;
};
/* Whether labels (sorted by key) fit; a selector that asks for nothing fits all. An operator that is not known fits nothing. */
bool cox_label_selector_fits(const struct cox_label_selector *s, const struct cox_kv *labels, size_t n);
extern const struct cox_message cox_msg_label_selector; /* for settings outside of the model that hold one */
enum cox_path_normalization { COX_PATH_DEFAULT, COX_PATH_NONE, COX_PATH_BASE, COX_PATH_MERGE_SLASHES, COX_PATH_DECODE_AND_MERGE_SLASHES };
struct cox_path_norm {
	int normalization;
};
enum cox_inbound_mode { COX_INBOUND_PASSTHROUGH, COX_INBOUND_LOCALHOST };
struct cox_inbound_policy {
	int mode;
};
enum cox_log_encoding { COX_LOG_TEXT, COX_LOG_JSON };
enum cox_h2_mesh { COX_MESH_H2_DO_NOT_UPGRADE, COX_MESH_H2_UPGRADE };
struct cox_mesh_tls {
	int min_protocol_version;
	COX_LIST(struct cox_str) cipher_suites, ecdh_curves;
};

/* Hosts that proxies reach in their own cluster only. */
struct cox_service_settings_of {
	bool cluster_local;
};
struct cox_service_settings {
	const struct cox_service_settings_of *settings;
	COX_LIST(struct cox_str) hosts;
};
enum cox_service_scope { COX_SCOPE_LOCAL, COX_SCOPE_GLOBAL };
struct cox_service_scope_config {
	const struct cox_label_selector *namespace_selector, *services_selector;
	int scope;
};
/* Where configuration comes from: fs://DIR, or k8s:// (the cluster, as without it). */
struct cox_config_source {
	struct cox_str address;
	struct cox_str unread;
};

/* What all TLS of the mesh has to keep to, whatever objects say: an option of the process (COMPLIANCE_POLICY), not of the mesh
 * configuration. */
enum cox_compliance { COX_COMPLIANCE_NONE, COX_COMPLIANCE_FIPS_140_2, COX_COMPLIANCE_FIPS_140_3, COX_COMPLIANCE_PQC };
/* "", "fips-140-2", "fips-140-3", "pqc". False: none of these. */
bool cox_compliance_parse(struct cox_str text, enum cox_compliance *out);

/* Which Ingresses are ours: those that name our class; DEFAULT: those that name none, too. */
enum cox_ingress_mode { COX_INGRESS_UNSPECIFIED, COX_INGRESS_OFF, COX_INGRESS_DEFAULT, COX_INGRESS_STRICT };

/* A root of another CA. */
struct cox_mesh_ca {
	struct cox_str pem;
	COX_LIST(struct cox_str) cert_signers; /* Kubernetes signers whose certificates end in it */
	COX_LIST(struct cox_str) trust_domains;
	struct cox_str spiffe_bundle_url;
};

struct cox_mesh_config {
	struct cox_str root_namespace; /* default "istio-system" */
	struct cox_str trust_domain;   /* default "cluster.local" */
	COX_LIST(struct cox_str) trust_domain_aliases;
	struct cox_str access_log_file, access_log_format;
	int access_log_encoding;
	const struct cox_proxy_config *default_config;
	const struct cox_default_providers *default_providers;
	COX_LIST(struct cox_provider) extension_providers;
	const struct cox_outbound_policy *outbound_traffic_policy; /* NULL: ALLOW_ANY */
	const struct cox_inbound_policy *inbound_traffic_policy;
	struct cox_opt_i64 protocol_detection_timeout_ns, connect_timeout_ns, dns_refresh_rate_ns;
	const struct cox_tcp_keepalive *tcp_keepalive;
	const struct cox_locality_lb *locality_lb_setting;
	COX_LIST(struct cox_str) default_service_export_to, default_virtual_service_export_to, default_destination_rule_export_to;
	COX_LIST(struct cox_label_selector) discovery_selectors;
	struct cox_opt_bool enable_auto_mtls, enable_tracing, enable_prometheus_merge, disable_envoy_listener_log;
	const struct cox_retry *default_http_retry_policy, *default_inbound_http_retry_policy;
	struct cox_opt_i64 proxy_listen_port, proxy_inbound_listen_port, proxy_http_port; /* 15001, 15006, off */
	const struct cox_path_norm *path_normalization;
	int h2_upgrade_policy;
	struct cox_str outbound_cluster_stat_name, inbound_cluster_stat_name, ingress_selector, ingress_class;
	struct cox_opt_str ingress_service; /* empty: none; its gateways are found by their nodes */
	int ingress_controller_mode;        /* enum cox_ingress_mode; never UNSPECIFIED */
	bool enable_envoy_access_log_service;
	COX_LIST(struct cox_mesh_ca) ca_certificates;
	const struct cox_mesh_tls *mesh_mtls, *tls_defaults; /* of workload certificates; of all other TLS */
	const struct cox_zone_aware_lb *zone_aware_lb_setting;
	COX_LIST(struct cox_service_settings) service_settings;
	COX_LIST(struct cox_service_scope_config) service_scope_configs;
	COX_LIST(struct cox_config_source) config_sources;
	const struct cox_traffic_policy *default_traffic_policy; /* connectionPool and outlierDetection only */
	struct cox_str unread;                                   /* empty; where the table puts the fields that are not read */
};

/* Decodes the YAML of key `mesh`; fields that are not set get the defaults named above. Gives a heap value: cox_free().
 * Unknown fields are warnings. COX_EINVAL: not YAML, or a value out of range (`diags` says which). */
COX_MUST_USE enum cox_rc cox_mesh_config_build(struct cox_str yaml, struct cox_arena *scratch, struct cox_diags *diags,
                                               struct cox_mesh_config **out);
extern const struct cox_message cox_model_mesh_config;

#endif
