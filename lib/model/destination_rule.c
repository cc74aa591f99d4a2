#include "model/destination_rule.h"
#include "model/tables_priv.h"

#include <stdio.h>

static const struct cox_field cookie_attribute_fields[] = {
	F(cookie_attribute, name, "name", STR, "Name of the attribute.", REQUIRED),
	F(cookie_attribute, value, "value", STR, "Its value; none by default."),
};
static MESSAGE(cookie_attribute, "CookieAttribute", "An attribute of a cookie.");

static const struct cox_field hash_cookie_fields[] = {
	F(hash_cookie, name, "name", STR, "Name of the cookie.", REQUIRED),
	F(hash_cookie, path, "path", STR, "Path of a cookie that the proxy makes."),
	F(hash_cookie, ttl_ns, "ttl", DURATION, "Lifetime of a cookie that the proxy makes; 0s for a session; unset: none is made.",
	  NOT_NEGATIVE),
	F(hash_cookie, attributes, "attributes", MSG, "Attributes of a cookie that the proxy makes.", LIST, SUB(cookie_attribute)),
};
static MESSAGE(hash_cookie, "HTTPCookie", "A cookie whose value is hashed.");

static const struct cox_field ring_hash_fields[] = {
	F(ring_hash, minimum_ring_size, "minimumRingSize", I64, "Least number of points on the ring.", .min = 0, .max = 8388608),
};
static MESSAGE(ring_hash, "RingHash", "Consistent hashing on a ring.");

static const struct cox_field maglev_fields[] = {
	F(maglev, table_size, "tableSize", I64, "Size of the table, a prime number.", .min = 0, .max = 5000011),
};
static void maglev_check(const void *value, const char *path, struct cox_diags *d)
{
	int64_t n = ((const struct cox_maglev *)value)->table_size.v;
	for (int64_t k = 2; k * k <= n; k++)
		if (n % k == 0) {
			cox_diag_add(d, COX_SEV_ERROR, 0, path, "tableSize must be a prime number, is %lld", (long long)n);
			return;
		}
}
static MESSAGE(maglev, "Maglev", "Consistent hashing by table.", .check = maglev_check);

static const struct cox_field consistent_hash_fields[] = {
	F(consistent_hash, http_header_name, "httpHeaderName", STR, "Hashes this header.", .one_of = 1, .one_of_required = 1,
	  .pattern = "header"),
	F(consistent_hash, http_cookie, "httpCookie", MSG, "Hashes this cookie.", .one_of = 1, SUB(hash_cookie)),
	F(consistent_hash, use_source_ip, "useSourceIp", OPT_BOOL, "Hashes the client's address.", .one_of = 1),
	F(consistent_hash, http_query_parameter_name, "httpQueryParameterName", STR, "Hashes this parameter of the query.", .one_of = 1),
	F(consistent_hash, ring_hash, "ringHash", MSG, "Uses a ring.", .one_of = 2, SUB(ring_hash)),
	F(consistent_hash, maglev, "maglev", MSG, "Uses Maglev's table.", .one_of = 2, SUB(maglev)),
	F(consistent_hash, minimum_ring_size, "minimumRingSize", I64, "Use ringHash.", .flags = COX_F_DEPRECATED, .min = 0, .max = 8388608),
};
static MESSAGE(consistent_hash, "ConsistentHashLB", "Sends equal requests to the same endpoint.");

static const struct cox_field warmup_fields[] = {
	F(warmup, duration_ns, "duration", DURATION, "How long a new endpoint gets less traffic.", REQUIRED, FROM_1MS),
	F(warmup, minimum_percent, "minimumPercent", F64, "Share at the start, in percent of the normal one.", PERCENT),
	F(warmup, aggression, "aggression", F64, "How fast the share grows; 1 is linear.", .min = 1, .max = 4294967295.0),
};
static MESSAGE(warmup, "WarmupConfiguration", "Less traffic for new endpoints.");

static const struct cox_field zone_aware_lb_fields[] = {
	F(zone_aware_lb, enabled, "enabled", OPT_BOOL, "Switches it on or off, whatever the mesh says."),
	F(zone_aware_lb, failover, "failover", MSG, "Regions that take over.", LIST, SUB(locality_failover)),
	F(zone_aware_lb, failover_priority, "failoverPriority", STR, "Labels in whose order endpoints are preferred.", LIST),
	F(zone_aware_lb, min_cluster_size, "minClusterSize", I64, "Least number of endpoints for zone-aware routing.", NATURAL),
};
MESSAGE(zone_aware_lb, "ZoneAwareLoadBalancerSetting", "Keeps traffic in the zone in proportion to its endpoints.");

static const struct cox_field backend_utilization_fields[] = {
	F(backend_utilization, weight_stabilization_ns, "weightStabilizationPeriod", DURATION,
	  "How long an endpoint must have reported before its weight counts; 10s by default.", NOT_NEGATIVE),
	F(backend_utilization, weight_expiration_ns, "weightExpirationPeriod", DURATION,
	  "After this time without a report the weight no longer counts; 3m by default.", NOT_NEGATIVE),
	F(backend_utilization, weight_update_ns, "weightUpdatePeriod", DURATION, "How often weights are computed; 1s by default.",
	  NOT_NEGATIVE),
	F(backend_utilization, error_penalty_percent, "errorUtilizationPenaltyPercent", F64,
	  "How much errors count as load, in percent; 100 by default.", .min = 0, .max = 4294967295.0),
	F(backend_utilization, metric_names, "metricNamesForComputingUtilization", STR,
	  "Reported metrics of which the largest is the load; CPU and application load by default.", LIST, .max_items = 100),
};
static MESSAGE(backend_utilization, "BackendUtilization", "Weights by the load that endpoints report.");

static const struct cox_field load_balancer_fields[] = {
	F(load_balancer, simple, "simple", ENUM, "A policy that needs no settings.", .one_of = 1,
	  ENUM("UNSPECIFIED", "LEAST_CONN", "RANDOM", "PASSTHROUGH", "ROUND_ROBIN", "LEAST_REQUEST")),
	F(load_balancer, consistent_hash, "consistentHash", MSG, "Sends equal requests to the same endpoint.", .one_of = 1,
	  SUB(consistent_hash)),
	F(load_balancer, locality_lb_setting, "localityLbSetting", MSG, "Load balancing by locality.", SUB(locality_lb)),
	F(load_balancer, warmup_duration_secs_ns, "warmupDurationSecs", DURATION, "Use warmup.", .flags = COX_F_DEPRECATED, NOT_NEGATIVE),
	F(load_balancer, warmup, "warmup", MSG, "Less traffic for new endpoints.", SUB(warmup)),
	F(load_balancer, zone_aware_lb_setting, "zoneAwareLbSetting", MSG, "Keeps traffic in the zone.", .flags = COX_F_NO_EFFECT,
	  SUB(zone_aware_lb)),
	F(load_balancer, backend_utilization, "backendUtilization", MSG,
	  "Round robin with weights by the load that endpoints report (ORCA).", SUB(backend_utilization)),
};
static void load_balancer_check(const void *value, const char *path, struct cox_diags *d)
{
	const struct cox_load_balancer *v = value;
	if (v->locality_lb_setting && v->zone_aware_lb_setting)
		cox_diag_add(d, COX_SEV_ERROR, 0, path, "only one of localityLbSetting, zoneAwareLbSetting may be set");
	if (v->backend_utilization && (v->consistent_hash || v->simple == COX_LB_RANDOM || v->simple == COX_LB_PASSTHROUGH))
		cox_diag_add(d, COX_SEV_ERROR, 0, path, "backendUtilization cannot be used with consistentHash, RANDOM or PASSTHROUGH");
	if ((v->warmup || v->warmup_duration_secs_ns.set) &&
	    (v->consistent_hash || v->simple == COX_LB_RANDOM || v->simple == COX_LB_PASSTHROUGH))
		cox_diag_add(d, COX_SEV_WARNING, 0, path, "warmup has an effect with ROUND_ROBIN and LEAST_REQUEST only");
}
static MESSAGE(load_balancer, "LoadBalancerSettings", "How an endpoint is chosen.", .check = load_balancer_check);

static const struct cox_field pool_tcp_fields[] = {
	F(pool_tcp, max_connections, "maxConnections", I64, "Most connections to the host.", NATURAL),
	F(pool_tcp, connect_timeout_ns, "connectTimeout", DURATION, "Time limit of connecting.", FROM_1MS),
	F(pool_tcp, tcp_keepalive, "tcpKeepalive", MSG, "TCP keepalive.", SUB(tcp_keepalive)),
	F(pool_tcp, max_connection_duration_ns, "maxConnectionDuration", DURATION, "How long a connection is used at most.", FROM_1MS),
	F(pool_tcp, idle_timeout_ns, "idleTimeout", DURATION, "How long an idle connection is kept.", NOT_NEGATIVE),
};
static MESSAGE(pool_tcp, "TCPSettings", "Connections for TCP and HTTP.");

static const struct cox_field http2_keepalive_fields[] = {
	F(http2_keepalive, interval_ns, "interval", DURATION, "Time between pings.", FROM_1MS),
	F(http2_keepalive, timeout_ns, "timeout", DURATION, "Time limit of their answer.", FROM_1MS),
};
static MESSAGE(http2_keepalive, "HTTP2Keepalive", "Pings on HTTP/2 connections.");

static const struct cox_field pool_http_fields[] = {
	F(pool_http, http1_max_pending_requests, "http1MaxPendingRequests", I64, "Most requests that wait for a connection.", NATURAL),
	F(pool_http, http2_max_requests, "http2MaxRequests", I64, "Most requests at a time.", NATURAL),
	F(pool_http, max_requests_per_connection, "maxRequestsPerConnection", I64,
	  "Requests after which a connection is closed; 0: no limit.", NATURAL),
	F(pool_http, max_retries, "maxRetries", I64, "Most retries at a time.", NATURAL),
	F(pool_http, idle_timeout_ns, "idleTimeout", DURATION, "How long a connection without requests is kept.", FROM_1MS),
	F(pool_http, h2_upgrade_policy, "h2UpgradePolicy", ENUM, "Whether HTTP/1.1 is sent on as HTTP/2.",
	  ENUM("DEFAULT", "DO_NOT_UPGRADE", "UPGRADE")),
	F(pool_http, use_client_protocol, "useClientProtocol", OPT_BOOL, "Speaks to the host what the client speaks."),
	F(pool_http, max_concurrent_streams, "maxConcurrentStreams", I64, "Most streams of an HTTP/2 connection.", NATURAL),
	F(pool_http, http2_keep_alive, "http2KeepAlive", MSG, "Pings on HTTP/2 connections.", SUB(http2_keepalive)),
};
static void pool_http_check(const void *value, const char *path, struct cox_diags *d)
{
	const struct cox_pool_http *v = value;
	if (v->use_client_protocol.v && v->h2_upgrade_policy == COX_H2_UPGRADE)
		cox_diag_add(d, COX_SEV_ERROR, 0, path, "useClientProtocol excludes h2UpgradePolicy UPGRADE");
}
static MESSAGE(pool_http, "HTTPSettings", "Connections for HTTP.", .check = pool_http_check);

static const struct cox_field connection_pool_fields[] = {
	F(connection_pool, tcp, "tcp", MSG, "For TCP and HTTP.", SUB(pool_tcp)),
	F(connection_pool, http, "http", MSG, "For HTTP.", SUB(pool_http)),
};
static void connection_pool_check(const void *value, const char *path, struct cox_diags *d)
{
	const struct cox_connection_pool *v = value;
	if (!v->tcp && !v->http)
		cox_diag_add(d, COX_SEV_ERROR, 0, path, "one of tcp, http must be set");
}
MESSAGE(connection_pool, "ConnectionPoolSettings", "Limits on connections and requests.", .check = connection_pool_check);

static const struct cox_field outlier_detection_fields[] = {
	F(outlier_detection, split_external_local_origin_errors, "splitExternalLocalOriginErrors", BOOL,
	  "Counts failures to connect apart from answers."),
	F(outlier_detection, consecutive_local_origin_failures, "consecutiveLocalOriginFailures", I64,
	  "Failures to connect in a row that eject an endpoint.", NATURAL),
	F(outlier_detection, consecutive_gateway_errors, "consecutiveGatewayErrors", I64,
	  "Answers 502, 503, 504 in a row that eject an endpoint; 0: off.", NATURAL),
	F(outlier_detection, consecutive_5xx_errors, "consecutive5xxErrors", I64, "Answers 5xx in a row that eject an endpoint; 0: off.",
	  NATURAL),
	F(outlier_detection, consecutive_errors, "consecutiveErrors", I64, "Use consecutive5xxErrors.", .flags = COX_F_DEPRECATED, NATURAL),
	F(outlier_detection, interval_ns, "interval", DURATION, "Time between sweeps.", FROM_1MS),
	F(outlier_detection, base_ejection_time_ns, "baseEjectionTime", DURATION, "How long an endpoint stays out the first time.",
	  FROM_1MS),
	F(outlier_detection, max_ejection_percent, "maxEjectionPercent", I64, "Most endpoints that may be out.", PERCENT),
	F(outlier_detection, min_health_percent, "minHealthPercent", I64, "Below this share of healthy endpoints all are used; 0: never.",
	  PERCENT),
	F(outlier_detection, outlier_detection_http_error_codes, "outlierDetectionHttpErrorCodes", I64,
	  "Status codes that count as errors.", LIST, .min = 100, .max = 599),
};
static void outlier_detection_check(const void *value, const char *path, struct cox_diags *d)
{
	const struct cox_outlier_detection *v = value;
	if (v->consecutive_local_origin_failures.v && !v->split_external_local_origin_errors)
		cox_diag_add(d, COX_SEV_ERROR, 0, path, "consecutiveLocalOriginFailures needs splitExternalLocalOriginErrors: true");
}
static MESSAGE(outlier_detection, "OutlierDetection", "Takes failing endpoints out for a while.", .check = outlier_detection_check);

static const struct cox_field tunnel_fields[] = {
	F(tunnel, protocol, "protocol", STR, "CONNECT (default) or POST."),
	F(tunnel, target_host, "targetHost", STR, "Host at the far end.", REQUIRED, .pattern = "hostOrIp"),
	F(tunnel, target_port, "targetPort", I64, "Port at the far end.", REQUIRED, .pattern = "port", .min = 1, .max = 65535),
};
static void tunnel_check(const void *value, const char *path, struct cox_diags *d)
{
	const struct cox_tunnel *v = value;
	if (v->protocol.n && !cox_str_eq_cstr(v->protocol, "CONNECT") && !cox_str_eq_cstr(v->protocol, "POST"))
		cox_diag_add(d, COX_SEV_ERROR, 0, path, "protocol must be CONNECT or POST, is \"%.*s\"", COX_FMT(v->protocol));
}
static MESSAGE(tunnel, "TunnelSettings", "Carries TCP or TLS through an HTTP proxy, which is the host.", .check = tunnel_check);

static const struct cox_field proxy_protocol_settings_fields[] = {
	F(proxy_protocol_settings, version, "version", ENUM, "Version of the header.", ENUM("V1", "V2")),
};
static MESSAGE(proxy_protocol_settings, "ProxyProtocol", "Starts connections with the PROXY header.");

static const struct cox_field retry_budget_fields[] = {
	F(retry_budget, percent, "percent", F64, "Most retries, in percent of the requests under way; 20 by default.", PERCENT),
	F(retry_budget, min_retry_concurrency, "minRetryConcurrency", I64, "Retries that are always allowed; 3 by default.", NATURAL),
	F(retry_budget, budget_interval_ns, "budgetInterval", DURATION, "Time over which requests count.", NOT_NEGATIVE),
};
static MESSAGE(retry_budget, "RetryBudget", "Limits retries in proportion to requests.");

static const struct cox_field port_traffic_policy_fields[] = {
	F(port_traffic_policy, port, "port", MSG, "The port of the host.", SUB(port_selector)),
	F(port_traffic_policy, load_balancer, "loadBalancer", MSG, "How an endpoint is chosen.", SUB(load_balancer)),
	F(port_traffic_policy, connection_pool, "connectionPool", MSG, "Limits on connections and requests.", SUB(connection_pool)),
	F(port_traffic_policy, outlier_detection, "outlierDetection", MSG, "Takes failing endpoints out.", SUB(outlier_detection)),
	F(port_traffic_policy, tls, "tls", MSG, "TLS of connections to the host.", SUB(client_tls)),
};
static void port_traffic_policy_check(const void *value, const char *path, struct cox_diags *d)
{
	const struct cox_port_traffic_policy *v = value;
	if (!v->port || !v->port->number.set)
		cox_diag_add(d, COX_SEV_ERROR, 0, path, "port.number must be set");
	if (!v->load_balancer && !v->connection_pool && !v->outlier_detection && !v->tls)
		cox_diag_add(d, COX_SEV_ERROR, 0, path, "one of loadBalancer, connectionPool, outlierDetection, tls must be set");
}
static MESSAGE(port_traffic_policy, "PortTrafficPolicy", "Policy for one port; replaces the general one whole.",
               .check = port_traffic_policy_check);

static const struct cox_field traffic_policy_fields[] = {
	F(traffic_policy, load_balancer, "loadBalancer", MSG, "How an endpoint is chosen.", SUB(load_balancer)),
	F(traffic_policy, connection_pool, "connectionPool", MSG, "Limits on connections and requests.", SUB(connection_pool)),
	F(traffic_policy, outlier_detection, "outlierDetection", MSG, "Takes failing endpoints out.", SUB(outlier_detection)),
	F(traffic_policy, tls, "tls", MSG, "TLS of connections to the host.", SUB(client_tls)),
	F(traffic_policy, port_level_settings, "portLevelSettings", MSG, "Policies for single ports.", LIST, SUB(port_traffic_policy),
	  .max_items = 4096),
	F(traffic_policy, tunnel, "tunnel", MSG, "Carries TCP or TLS through an HTTP proxy.", SUB(tunnel)),
	F(traffic_policy, proxy_protocol, "proxyProtocol", MSG, "Starts connections with the PROXY header.", SUB(proxy_protocol_settings)),
	F(traffic_policy, retry_budget, "retryBudget", MSG, "Limits retries in proportion to requests.", SUB(retry_budget)),
};
static void traffic_policy_check(const void *value, const char *path, struct cox_diags *d)
{
	const struct cox_traffic_policy *v = value;
	for (size_t i = 0; i < v->port_level_settings.n; i++)
		for (size_t k = 0; k < i; k++) {
			const struct cox_port_selector *a = v->port_level_settings.p[i].port, *b = v->port_level_settings.p[k].port;
			if (a && b && a->number.v == b->number.v)
				cox_diag_add(d, COX_SEV_ERROR, 0, path, "portLevelSettings has two items for port %lld",
				             (long long)a->number.v);
		}
	if (!v->load_balancer && !v->connection_pool && !v->outlier_detection && !v->tls && !v->port_level_settings.n && !v->tunnel &&
	    !v->proxy_protocol && !v->retry_budget)
		cox_diag_add(d, COX_SEV_ERROR, 0, path, "must not be empty");
	if (v->load_balancer && v->load_balancer->locality_lb_setting && v->load_balancer->locality_lb_setting->failover.n &&
	    !v->outlier_detection)
		cox_diag_add(d, COX_SEV_WARNING, 0, path, "failover needs outlierDetection: without it no endpoint counts as failed");
	if (v->tunnel && v->proxy_protocol)
		cox_diag_add(d, COX_SEV_ERROR, 0, path, "only one of tunnel, proxyProtocol may be set");
}
MESSAGE(traffic_policy, "TrafficPolicy", "How traffic to the host is handled.", .check = traffic_policy_check);

static const struct cox_field subset_fields[] = {
	F(subset, name, "name", STR, "Name of the subset.", REQUIRED, .pattern = "dns1123"),
	F(subset, labels, "labels", STR_MAP, "Labels that its endpoints have.", .pattern = "labels"),
	F(subset, traffic_policy, "trafficPolicy", MSG, "Policy for the subset; wins over the host's, field by field.",
	  SUB(traffic_policy)),
};
static MESSAGE(subset, "Subset", "A part of the host's endpoints.");

static const struct cox_field destination_rule_fields[] = {
	F(destination_rule, host, "host", STR, "The service: its DNS name ('*' may stand for the first labels), or its short name.",
	  REQUIRED, .pattern = "hostWildcard"),
	F(destination_rule, traffic_policy, "trafficPolicy", MSG, "How traffic to the host is handled.", SUB(traffic_policy)),
	F(destination_rule, subsets, "subsets", MSG, "Parts of the host's endpoints.", LIST, SUB(subset)),
	F(destination_rule, export_to, "exportTo", STR, "Namespaces that see it: '.', '*' or names.", LIST, .pattern = "exportTo"),
	F(destination_rule, workload_selector, "workloadSelector", MSG, "Clients that it is for; all by default.", SUB(match_labels)),
};
static void destination_rule_check(const void *value, const char *path, struct cox_diags *d)
{
	const struct cox_destination_rule *v = value;
	for (size_t i = 0; i < v->subsets.n; i++)
		for (size_t k = 0; k < i; k++)
			if (cox_str_eq(v->subsets.p[i].name, v->subsets.p[k].name))
				cox_diag_add(d, COX_SEV_ERROR, 0, path, "two subsets are named %.*s", COX_FMT(v->subsets.p[i].name));
	cox_model_export_check(v->export_to.p, v->export_to.n, false, path, d);
	if (v->workload_selector && cox_model_strs_has(v->export_to.p, v->export_to.n, COX_STR("*")))
		cox_diag_add(d, COX_SEV_ERROR, 0, path,
		             "with workloadSelector the rule is for this namespace only: exportTo \"*\" contradicts it");
}
static MESSAGE(destination_rule, "DestinationRuleSpec", "Policies for traffic to a host.", .check = destination_rule_check);

static const struct cox_field destination_rule_object_fields[] = {
	F(destination_rule_object, spec, "spec", MSG, "Policies for traffic to a host.", REQUIRED, SUB(destination_rule)),
};
OBJECT(destination_rule, destination_rule_object, "DestinationRule",
       "Policies for traffic to a host after routing: load balancing, connection limits, outlier detection, TLS, subsets.", .open = true);
