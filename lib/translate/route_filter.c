/* route_filter.c - what filters read from a route: faults and CORS, as typed_per_filter_config. */
#include "translate/route_priv.h"

void route_percent_write(struct pb_type_v3_FractionalPercent p, double percent)
{
	pb_type_v3_FractionalPercent_numerator(p, (uint32_t)(percent * 10000 + 0.5));
	pb_type_v3_FractionalPercent_denominator(p, PB_type_v3_FractionalPercent_MILLION);
}

static double percent_of(const struct cox_percent *p) { return p->value.set ? p->value.v : 0; }

/* gRPC's status codes by their names. -1: none of them. */
static int grpc_code_of(struct cox_str name)
{
	static const char *const names[] = {
		"OK",        "CANCELLED",      "UNKNOWN",           "INVALID_ARGUMENT",   "DEADLINE_EXCEEDED",
		"NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION",
		"ABORTED",   "OUT_OF_RANGE",   "UNIMPLEMENTED",     "INTERNAL",           "UNAVAILABLE",
		"DATA_LOSS", "UNAUTHENTICATED"
	};
	for (size_t i = 0; i < COX_LEN(names); i++)
		if (cox_str_eq_nocase(name, cox_str_of(names[i])))
			return (int)i;
	uint64_t v;
	return cox_str_to_u64(name, &v) == COX_OK && v <= 16 ? (int)v : -1;
}

static void delay_write(struct pb_filters_http_fault_v3_HTTPFault f, const struct cox_fault_delay *d)
{
	PB_WITH (out, pb_filters_http_fault_v3_HTTPFault_delay(f)) {
		pb_filters_common_fault_v3_FaultDelay_fixed_delay(out, d->fixed_delay_ns.v);
		PB_WITH (p, pb_filters_common_fault_v3_FaultDelay_percentage(out)) {
			if (d->percentage)
				route_percent_write(p, percent_of(d->percentage));
			else
				pb_type_v3_FractionalPercent_numerator(p, d->percent.set ? (uint32_t)d->percent.v : 0);
		}
	}
}

static bool abort_has_effect(const struct cox_fault_abort *a)
{
	if (a != NULL && a->http_status.set)
		return a->http_status.v >= 200 && a->http_status.v < 600; /* Envoy refuses others */
	return a != NULL && (a->grpc_status.n > 0 && grpc_code_of(a->grpc_status) >= 0);
}

static void abort_write(struct pb_filters_http_fault_v3_HTTPFault f, const struct cox_fault_abort *a)
{
	PB_WITH (out, pb_filters_http_fault_v3_HTTPFault_abort(f)) {
		if (a->http_status.set)
			pb_filters_http_fault_v3_FaultAbort_http_status(out, (uint32_t)a->http_status.v);
		else
			pb_filters_http_fault_v3_FaultAbort_grpc_status(out, (uint32_t)grpc_code_of(a->grpc_status));
		if (a->percentage)
			PB_WITH (p, pb_filters_http_fault_v3_FaultAbort_percentage(out))
				route_percent_write(p, percent_of(a->percentage));
	}
}

static void fault_write(struct pb_route_v3_Route r, const struct cox_fault_injection *f)
{
	bool delay = f->delay && f->delay->fixed_delay_ns.set, abort = abort_has_effect(f->abort);
	if (!delay && !abort)
		return;
	PB_ANY (out, pb_route_v3_Route_typed_per_filter_config(r, COX_STR("envoy.filters.http.fault")),
	        pb_filters_http_fault_v3_HTTPFault) {
		if (delay)
			delay_write(out, f->delay);
		if (abort)
			abort_write(out, f->abort);
	}
}

static struct cox_str join(struct cox_buf *b, const struct cox_str *items, size_t n)
{
	cox_buf_clear(b);
	for (size_t i = 0; i < n; i++) {
		if (i > 0)
			cox_buf_append_char(b, ',');
		cox_buf_append_str(b, items[i]);
	}
	return cox_buf_str(b);
}

static void origins_write(struct pb_filters_http_cors_v3_CorsPolicy out, const struct cox_cors_policy *c)
{
	for (COX_EACH(struct cox_string_match, m, c->allow_origins))
		PB_WITH (s, pb_filters_http_cors_v3_CorsPolicy_allow_origin_string_match(out))
			route_string_match_write(s, m);
	if (c->allow_origins.n == 0)
		for (COX_EACH(struct cox_str, o, c->allow_origin))
			PB_WITH (s, pb_filters_http_cors_v3_CorsPolicy_allow_origin_string_match(out))
				pb_type_matcher_v3_StringMatcher_exact(s, *o);
}

static void cors_write(struct pb_route_v3_Route r, const struct cox_cors_policy *c)
{
	COX_AUTO(cox_buf_fini) struct cox_buf b = { 0 };
	PB_ANY (out, pb_route_v3_Route_typed_per_filter_config(r, COX_STR("envoy.filters.http.cors")), pb_filters_http_cors_v3_CorsPolicy) {
		origins_write(out, c);
		pb_filters_http_cors_v3_CorsPolicy_allow_methods(out, join(&b, c->allow_methods.p, c->allow_methods.n));
		pb_filters_http_cors_v3_CorsPolicy_allow_headers(out, join(&b, c->allow_headers.p, c->allow_headers.n));
		pb_filters_http_cors_v3_CorsPolicy_expose_headers(out, join(&b, c->expose_headers.p, c->expose_headers.n));
		if (c->max_age_ns.set) {
			cox_buf_clear(&b);
			cox_buf_printf(&b, "%lld", (long long)(c->max_age_ns.v / 1000000000));
			pb_filters_http_cors_v3_CorsPolicy_max_age(out, cox_buf_str(&b));
		}
		if (c->allow_credentials.set)
			pb_filters_http_cors_v3_CorsPolicy_allow_credentials(out, c->allow_credentials.v);
		PB_WITH (fe, pb_filters_http_cors_v3_CorsPolicy_filter_enabled(out))
			PB_WITH (p, pb_core_v3_RuntimeFractionalPercent_default_value(fe))
				pb_type_v3_FractionalPercent_numerator(p, 100);
		pb_filters_http_cors_v3_CorsPolicy_forward_not_matching_preflights(out, c->unmatched_preflights != COX_PREFLIGHTS_IGNORE);
	}
}

void route_filters_write(struct pb_route_v3_Route r, const struct cox_http_route *h)
{
	if (h->cors_policy)
		cors_write(r, h->cors_policy);
	if (h->fault)
		fault_write(r, h->fault);
}
