#include "model/telemetry.h"
#include "model/cel_priv.h"
#include "model/policy_priv.h"

#define MODES ENUM("CLIENT_AND_SERVER", "CLIENT", "SERVER")

static const struct cox_field telemetry_match_fields[] = {
	F(telemetry_match, mode, "mode", ENUM, "Whether the workload is client or server; both by default.", MODES),
};
static MESSAGE(telemetry_match, "Match", "Chooses traffic.");

static const struct cox_field telemetry_provider_fields[] = {
	F(telemetry_provider, name, "name", STR, "Name of an extension provider in the mesh configuration.", REQUIRED,
	  .pattern = "nonEmpty"),
};
static MESSAGE(telemetry_provider, "ProviderRef", "Names a provider.");
#define PROVIDERS(of) \
	F(of, providers, "providers", MSG, "Where it goes; the mesh's default providers by default.", LIST, SUB(telemetry_provider))

/* --- tracing --- */

static const struct cox_field tag_literal_fields[] = {
	F(tag_literal, value, "value", STR, "The value.", REQUIRED, .pattern = "nonEmpty"),
};
static MESSAGE(tag_literal, "Literal", "A fixed value, or one with command operators.");

static const struct cox_field tag_named_fields[] = {
	F(tag_named, name, "name", STR, "Name of the variable or header.", REQUIRED, .pattern = "nonEmpty"),
	F(tag_named, default_value, "defaultValue", STR, "The value where there is none."),
};
static MESSAGE(tag_named, "Named", "The value of a variable or header.");

static const struct cox_field trace_tag_fields[] = {
	F(trace_tag, literal, "literal", MSG, "A fixed value.", SUB(tag_literal), .one_of = 1),
	F(trace_tag, environment, "environment", MSG, "The value of an environment variable of the proxy.", SUB(tag_named), .one_of = 1),
	F(trace_tag, header, "header", MSG, "The value of a header of the request.", SUB(tag_named), .one_of = 1),
	F(trace_tag, formatter, "formatter", MSG, "Text with command operators of Envoy's access log.", SUB(tag_literal), .one_of = 1),
};
static MESSAGE(trace_tag, "CustomTag", "A tag of spans.");

static const struct cox_field tracing_fields[] = {
	F(tracing, match, "match", MSG, "Which spans.", SUB(telemetry_match)),
	PROVIDERS(tracing),
	F(tracing, random_sampling_percentage, "randomSamplingPercentage", F64, "Share of requests that are traced, in percent.", PERCENT),
	F(tracing, disable_span_reporting, "disableSpanReporting", OPT_BOOL, "Passes headers on, but reports no spans."),
	F(tracing, custom_tags, "customTags", MSG_MAP, "Tags that spans get.", SUB(trace_tag)),
	F(tracing, use_request_id, "useRequestIdForTraceSampling", OPT_BOOL, "Takes the decision along in the request's identifier."),
	F(tracing, enable_istio_tags, "enableIstioTags", OPT_BOOL, "The tags istio.mesh_id, istio.canonical_service and so on."),
	F(tracing, disable_context_propagation, "disableContextPropagation", OPT_BOOL, "Passes no trace headers on."),
};
static void tracing_check(const void *value, const char *path, struct cox_diags *d)
{
	const struct cox_tracing *v = value;
	if (v->providers.n > 1)
		cox_diag_add(d, COX_SEV_WARNING, 0, path, "only the first of several providers is used");
	for (COX_EACH(struct cox_trace_tag, t, v->custom_tags))
		if (!t->key.n)
			cox_diag_add(d, COX_SEV_ERROR, 0, path, "customTags: a tag must have a name");
}
static MESSAGE(tracing, "Tracing", "Traces.", .check = tracing_check);

/* --- metrics --- */

static const struct cox_field metric_match_fields[] = {
	F(metric_match, metric, "metric", ENUM, "A standard metric; all by default.", .one_of = 1,
	  ENUM("ALL_METRICS", "REQUEST_COUNT", "REQUEST_DURATION", "REQUEST_SIZE", "RESPONSE_SIZE", "TCP_OPENED_CONNECTIONS",
	       "TCP_CLOSED_CONNECTIONS", "TCP_SENT_BYTES", "TCP_RECEIVED_BYTES", "GRPC_REQUEST_MESSAGES", "GRPC_RESPONSE_MESSAGES")),
	F(metric_match, custom_metric, "customMetric", STR, "A metric by its name.", .one_of = 1, .pattern = "nonEmpty"),
	F(metric_match, mode, "mode", ENUM, "Whether the workload is client or server; both by default.", MODES),
};
static MESSAGE(metric_match, "MetricSelector", "Chooses metrics.");

static const struct cox_field tag_override_fields[] = {
	F(tag_override, operation, "operation", ENUM, "Sets the tag, or takes it away.", ENUM("UPSERT", "REMOVE")),
	F(tag_override, value, "value", STR, "CEL expression with the value; for UPSERT."),
};
static void tag_override_check(const void *value, const char *path, struct cox_diags *d)
{
	const struct cox_tag_override *v = value;
	if (v->operation == COX_TAG_REMOVE && v->value.n)
		cox_diag_add(d, COX_SEV_ERROR, 0, path, "value may be set only with operation UPSERT");
	if (v->operation == COX_TAG_UPSERT && !v->value.n)
		cox_diag_add(d, COX_SEV_ERROR, 0, path, "value must be set with operation UPSERT");
	if (!v->key.n)
		cox_diag_add(d, COX_SEV_WARNING, 0, path, "a tag without a name has no effect");
}
#define IS_REMOVE "has(self.operation) && self.operation == 'REMOVE'"
#define IS_UPSERT "has(self.operation) && self.operation == 'UPSERT'"
static MESSAGE(tag_override, "TagOverride", "A change of a tag.", .check = tag_override_check,
               RULES({ "!(" IS_REMOVE ") || !has(self.value)", "value may be set only with operation UPSERT" },
                     { "!(" IS_UPSERT ") || (has(self.value) && self.value != '')", "value must be set with operation UPSERT" }));

static const struct cox_field metric_override_fields[] = {
	F(metric_override, match, "match", MSG, "Which metrics; all by default.", SUB(metric_match)),
	F(metric_override, disabled, "disabled", OPT_BOOL, "Takes the metrics away."),
	F(metric_override, tag_overrides, "tagOverrides", MSG_MAP, "Changes of tags.", SUB(tag_override)),
};
static MESSAGE(metric_override, "MetricsOverrides", "Changes of metrics.");

static const struct cox_field metrics_fields[] = {
	PROVIDERS(metrics),
	F(metrics, overrides, "overrides", MSG, "Changes; later ones win.", LIST, SUB(metric_override)),
	F(metrics, reporting_interval_ns, "reportingInterval", DURATION, "How often open TCP connections report; 5s by default.", FROM_1MS),
};
static MESSAGE(metrics, "Metrics", "Metrics.");

/* --- access logs --- */

static const struct cox_field log_filter_fields[] = {
	F(log_filter, expression, "expression", STR, "CEL expression: what it is true for is logged."),
};
static void log_filter_check(const void *value, const char *path, struct cox_diags *d)
{
	const struct cox_log_filter *v = value;
	size_t at = 0;
	const char *wrong = cox_model_cel_check(v->expression, &at);
	if (wrong)
		cox_diag_add(d, COX_SEV_ERROR, 0, path, "expression: is no CEL expression: %s (at character %zu)", wrong, at + 1);
}
static MESSAGE(log_filter, "Filter", "Chooses log entries.", .check = log_filter_check);

static const struct cox_field access_logging_fields[] = {
	F(access_logging, match, "match", MSG, "Which entries.", SUB(telemetry_match)),
	PROVIDERS(access_logging),
	F(access_logging, disabled, "disabled", OPT_BOOL, "Switches these logs off."),
	F(access_logging, filter, "filter", MSG, "Which entries, by their content.", SUB(log_filter)),
};
static MESSAGE(access_logging, "AccessLogging", "Access logs.");

/* --- the whole --- */

static const struct cox_field telemetry_fields[] = {
	TARGET_FIELDS(telemetry),
	F(telemetry, tracing, "tracing", MSG, "Traces; the first item counts.", LIST, SUB(tracing)),
	F(telemetry, metrics, "metrics", MSG, "Metrics.", LIST, SUB(metrics)),
	F(telemetry, access_logging, "accessLogging", MSG, "Access logs.", LIST, SUB(access_logging)),
};
static void telemetry_check(const void *value, const char *path, struct cox_diags *d)
{
	const struct cox_telemetry *v = value;
	cox_model_target_check(&v->target, path, d);
	if (v->tracing.n > 1)
		cox_diag_add(d, COX_SEV_WARNING, 0, path, "tracing: only the first of several items is used");
}
static MESSAGE(telemetry, "TelemetrySpec", "Traces, metrics and access logs.", .check = telemetry_check, RULES(TARGET_RULE));

static const struct cox_field telemetry_object_fields[] = {
	F(telemetry_object, spec, "spec", MSG, "Traces, metrics and access logs.", SUB(telemetry)),
};
static void telemetry_object_check(const void *value, const char *path, struct cox_diags *d)
{
	(void)value, (void)path;
	/* Goes when they are translated. */
	cox_diag_add(d, COX_SEV_WARNING, 0, "spec", "has no effect: this release checks Telemetry objects but gives none to proxies");
}
OBJECT(telemetry, telemetry_object, "Telemetry", "Traces, metrics and access logs of the mesh, a namespace, or chosen workloads.",
       .open = true, .check = telemetry_object_check);
