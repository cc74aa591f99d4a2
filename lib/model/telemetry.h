/*
 * telemetry - Telemetry (telemetry.istio.io): traces, metrics and access logs of workloads.
 */
#ifndef COX_MODEL_TELEMETRY_H
#define COX_MODEL_TELEMETRY_H

#include "model/policy_target.h"

enum cox_telemetry_mode { COX_TELEMETRY_CLIENT_AND_SERVER, COX_TELEMETRY_CLIENT, COX_TELEMETRY_SERVER };
struct cox_telemetry_match {
	int mode; /* enum cox_telemetry_mode */
};
struct cox_telemetry_provider {
	struct cox_str name;
};

struct cox_tag_literal {
	struct cox_str value;
};
struct cox_tag_named {
	struct cox_str name, default_value; /* of an environment variable or a header */
};
struct cox_trace_tag {
	struct cox_str key;
	const struct cox_tag_literal *literal, *formatter; /* formatter: text with Envoy's command operators */
	const struct cox_tag_named *environment, *header;
}; /* one of the four, or none: the tag has no value */
struct cox_tracing {
	const struct cox_telemetry_match *match;
	COX_LIST(struct cox_telemetry_provider) providers;
	struct cox_opt_f64 random_sampling_percentage;
	struct cox_opt_bool disable_span_reporting, use_request_id, enable_istio_tags, disable_context_propagation;
	COX_LIST(struct cox_trace_tag) custom_tags;
};

enum cox_metric_name {
	COX_METRIC_ALL,
	COX_METRIC_REQUEST_COUNT,
	COX_METRIC_REQUEST_DURATION,
	COX_METRIC_REQUEST_SIZE,
	COX_METRIC_RESPONSE_SIZE,
	COX_METRIC_TCP_OPENED,
	COX_METRIC_TCP_CLOSED,
	COX_METRIC_TCP_SENT,
	COX_METRIC_TCP_RECEIVED,
	COX_METRIC_GRPC_REQUEST_MESSAGES,
	COX_METRIC_GRPC_RESPONSE_MESSAGES,
};
struct cox_metric_match {
	int metric;                   /* enum cox_metric_name */
	struct cox_str custom_metric; /* not empty: instead of `metric` */
	int mode;                     /* enum cox_telemetry_mode */
};
enum cox_tag_operation { COX_TAG_UPSERT, COX_TAG_REMOVE };
struct cox_tag_override {
	struct cox_str key;
	int operation;        /* enum cox_tag_operation */
	struct cox_str value; /* CEL */
};
struct cox_metric_override {
	const struct cox_metric_match *match;
	struct cox_opt_bool disabled;
	COX_LIST(struct cox_tag_override) tag_overrides;
};
struct cox_metrics {
	COX_LIST(struct cox_telemetry_provider) providers;
	COX_LIST(struct cox_metric_override) overrides;
	struct cox_opt_i64 reporting_interval_ns;
};

struct cox_log_filter {
	struct cox_str expression; /* CEL */
};
struct cox_access_logging {
	const struct cox_telemetry_match *match;
	COX_LIST(struct cox_telemetry_provider) providers;
	struct cox_opt_bool disabled;
	const struct cox_log_filter *filter;
};

struct cox_telemetry {
	struct cox_policy_target target;
	COX_LIST(struct cox_tracing) tracing;
	COX_LIST(struct cox_metrics) metrics;
	COX_LIST(struct cox_access_logging) access_logging;
};
struct cox_telemetry_object {
	const struct cox_telemetry *spec; /* NULL: an empty one */
};

#endif
