/*
 * destination_rule - DestinationRule (networking.istio.io), every field of it.
 */
#ifndef COX_MODEL_DESTINATION_RULE_H
#define COX_MODEL_DESTINATION_RULE_H

#include "model/common.h"

enum cox_lb_simple { COX_LB_UNSPECIFIED, COX_LB_LEAST_CONN, COX_LB_RANDOM, COX_LB_PASSTHROUGH, COX_LB_ROUND_ROBIN, COX_LB_LEAST_REQUEST };
struct cox_cookie_attribute {
	struct cox_str name, value;
};
struct cox_hash_cookie {
	struct cox_str name, path;
	struct cox_opt_i64 ttl_ns;
	COX_LIST(struct cox_cookie_attribute) attributes;
};
struct cox_ring_hash {
	struct cox_opt_i64 minimum_ring_size;
};
struct cox_maglev {
	struct cox_opt_i64 table_size;
};
struct cox_consistent_hash {
	struct cox_str http_header_name, http_query_parameter_name;
	const struct cox_hash_cookie *http_cookie;
	struct cox_opt_bool use_source_ip;
	const struct cox_ring_hash *ring_hash;
	const struct cox_maglev *maglev;
	struct cox_opt_i64 minimum_ring_size; /* deprecated */
};
struct cox_warmup {
	struct cox_opt_i64 duration_ns;
	struct cox_opt_f64 minimum_percent, aggression;
};
struct cox_zone_aware_lb {
	struct cox_opt_bool enabled;
	COX_LIST(struct cox_locality_failover) failover;
	COX_LIST(struct cox_str) failover_priority;
	struct cox_opt_i64 min_cluster_size;
};
struct cox_backend_utilization {
	struct cox_opt_i64 weight_stabilization_ns, weight_expiration_ns, weight_update_ns;
	struct cox_opt_f64 error_penalty_percent;
	COX_LIST(struct cox_str) metric_names;
};
struct cox_load_balancer {
	int simple;
	const struct cox_consistent_hash *consistent_hash;
	const struct cox_locality_lb *locality_lb_setting;
	struct cox_opt_i64 warmup_duration_secs_ns; /* deprecated: a duration */
	const struct cox_warmup *warmup;
	const struct cox_zone_aware_lb *zone_aware_lb_setting;
	const struct cox_backend_utilization *backend_utilization;
};
struct cox_pool_tcp {
	struct cox_opt_i64 max_connections, connect_timeout_ns, max_connection_duration_ns, idle_timeout_ns;
	const struct cox_tcp_keepalive *tcp_keepalive;
};
enum cox_h2_upgrade { COX_H2_DEFAULT, COX_H2_DO_NOT_UPGRADE, COX_H2_UPGRADE };
struct cox_http2_keepalive {
	struct cox_opt_i64 interval_ns, timeout_ns;
};
struct cox_pool_http {
	struct cox_opt_i64 http1_max_pending_requests, http2_max_requests, max_requests_per_connection, max_retries, idle_timeout_ns,
	    max_concurrent_streams;
	int h2_upgrade_policy;
	struct cox_opt_bool use_client_protocol;
	const struct cox_http2_keepalive *http2_keep_alive;
};
struct cox_connection_pool {
	const struct cox_pool_tcp *tcp;
	const struct cox_pool_http *http;
};
struct cox_outlier_detection {
	struct cox_opt_i64 consecutive_errors, consecutive_5xx_errors, consecutive_gateway_errors, consecutive_local_origin_failures;
	bool split_external_local_origin_errors;
	struct cox_opt_i64 interval_ns, base_ejection_time_ns, max_ejection_percent, min_health_percent;
	COX_LIST(struct cox_opt_i64) outlier_detection_http_error_codes;
};
struct cox_tunnel {
	struct cox_str protocol, target_host;
	struct cox_opt_i64 target_port;
};
enum cox_proxy_protocol { COX_PROXY_PROTOCOL_V1, COX_PROXY_PROTOCOL_V2 };
struct cox_proxy_protocol_settings {
	int version;
};
struct cox_retry_budget {
	struct cox_opt_f64 percent;
	struct cox_opt_i64 min_retry_concurrency, budget_interval_ns;
};

struct cox_port_traffic_policy {
	const struct cox_port_selector *port;
	const struct cox_load_balancer *load_balancer;
	const struct cox_connection_pool *connection_pool;
	const struct cox_outlier_detection *outlier_detection;
	const struct cox_client_tls *tls;
};
struct cox_traffic_policy {
	const struct cox_load_balancer *load_balancer;
	const struct cox_connection_pool *connection_pool;
	const struct cox_outlier_detection *outlier_detection;
	const struct cox_client_tls *tls;
	COX_LIST(struct cox_port_traffic_policy) port_level_settings;
	const struct cox_tunnel *tunnel;
	const struct cox_proxy_protocol_settings *proxy_protocol;
	const struct cox_retry_budget *retry_budget;
};
struct cox_subset {
	struct cox_str name;
	COX_LIST(struct cox_kv) labels;
	const struct cox_traffic_policy *traffic_policy;
};
struct cox_destination_rule {
	struct cox_str host;
	const struct cox_traffic_policy *traffic_policy;
	COX_LIST(struct cox_subset) subsets;
	COX_LIST(struct cox_str) export_to;
	const struct cox_match_labels *workload_selector; /* matchLabels */
};
struct cox_destination_rule_object {
	const struct cox_destination_rule *spec;
};

#endif
