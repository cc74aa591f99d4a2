/* filter.c - HTTP filters that can answer a request themselves, in their order. */
#include "oracle/oracle_priv.h"

double oracle_percent(const struct cox_json *p)
{
	struct cox_str d = cox_json_str_at(p, "denominator");
	double n = (double)oracle_int(p, "numerator", 0);
	return cox_str_eq_cstr(d, "MILLION") ? n / 10000 : cox_str_eq_cstr(d, "TEN_THOUSAND") ? n / 100 : n;
}

/* The most specific per-filter configuration of the chosen route. */
const struct cox_json *oracle_per_filter(const struct walk *w, struct cox_str name)
{
	const struct cox_json *const levels[] = { w->out->route, w->out->vhost, w->out->route_config };
	for (size_t i = 0; i < COX_LEN(levels); i++) {
		const struct cox_json *c = cox_json_get(oracle_get(levels[i], "typed_per_filter_config"), name);
		if (c)
			return c;
	}
	return NULL;
}

static bool fault_applies(struct walk *w, const struct cox_json *fault)
{
	for (ORACLE_EACH(h, oracle_get(fault, "headers")))
		if (oracle_header_fault(w, h).n > 0)
			return false;
	struct cox_str only = cox_json_str_at(fault, "upstream_cluster");
	return only.n == 0 || cox_str_eq(only, cox_json_str_at(w->out->route, "route.cluster"));
}

static bool fault_runs(struct walk *w, const struct cox_json *own, struct cox_str name)
{
	const struct cox_json *fault = oracle_per_filter(w, name);
	fault = fault ? fault : own;
	const struct cox_json *delay = oracle_get(fault, "delay"), *abort = oracle_get(fault, "abort");
	if ((!delay && !abort) || !fault_applies(w, fault))
		return false;
	w->out->fault = fault;
	w->out->is_delayed = delay && oracle_percent(oracle_get(delay, "percentage")) >= 100;
	if (!abort || oracle_percent(oracle_get(abort, "percentage")) < 100)
		return false;
	int64_t grpc = oracle_int(abort, "grpc_status", -1);
	/* An abort in gRPC's terms is HTTP 200 to everybody. */
	int status = grpc >= 0 ? 200 : (int)oracle_int(abort, "http_status", 0);
	oracle_end(w, COX_ORACLE_FAULT, status, COX_STR("a fault is injected"));
	return true;
}

static bool cors_runs(struct walk *w, struct cox_str name)
{
	const struct cox_json *cors = oracle_per_filter(w, name);
	struct cox_str origin = { 0 }, method = { 0 };
	bool is_allowed = false;
	if (cors == NULL || !oracle_header(w, COX_STR("origin"), &origin) || origin.n == 0 || !cox_str_eq_cstr(w->r->method, "OPTIONS") ||
	    !oracle_header(w, COX_STR("access-control-request-method"), &method) || method.n == 0)
		return false;
	const struct cox_json *on = cox_json_at(cors, "filter_enabled.default_value");
	if (on && oracle_percent(on) <= 0)
		return false;
	for (ORACLE_EACH(m, oracle_get(cors, "allow_origin_string_match")))
		is_allowed |= oracle_string_matches(w, m, origin) || cox_str_eq_cstr(cox_json_str_at(m, "exact"), "*");
	if (!is_allowed && oracle_bool(cors, "forward_not_matching_preflights", true))
		return false;
	oracle_end(w, COX_ORACLE_PREFLIGHT, 200,
	           is_allowed ? COX_STR("a CORS preflight is answered by the proxy")
	                      : COX_STR("a CORS preflight of an origin that is not allowed"));
	return true;
}

static bool is_harmless(const struct cox_json *typed)
{
	static const char *const types[] = { "FilterConfig",     "Router",       "AlpnFilterConfig", "PeerMetadata",      "Config",
		                             "Compressor",       "Decompressor", "GrpcWeb",          "FilterStateFormat", "HeaderMutation",
		                             "HeaderToMetadata", "PluginConfig" };
	for (size_t i = 0; i < COX_LEN(types); i++)
		if (oracle_is_type(typed, types[i]))
			return true;
	return false;
}

bool oracle_filters(struct walk *w, const struct cox_json *hcm)
{
	const struct cox_json *filters = oracle_get(hcm, "http_filters");
	struct cox_str *unknown = COX_ARENA_ARRAY(w->arena, struct cox_str, (filters ? filters->n : 0) + 1);
	w->out->unknown.p = unknown;
	for (ORACLE_EACH(f, filters)) {
		const struct cox_json *typed = oracle_get(f, "typed_config"), *per = oracle_per_filter(w, cox_json_str_at(f, "name"));
		struct cox_str name = cox_json_str_at(f, "name");
		if (oracle_bool(per, "disabled", false) || (oracle_bool(f, "disabled", false) && per == NULL))
			continue;
		if (oracle_is_type(typed, "HTTPFault")) {
			if (fault_runs(w, typed, name))
				return true;
		} else if (oracle_is_type(typed, "Cors")) {
			if (cors_runs(w, name))
				return true;
		} else if (oracle_is_type(typed, "RBAC")) {
			const struct cox_json *own = oracle_get(per, "rbac");
			enum oracle_access access = oracle_rbac(w, own ? own : typed);
			if (access == ORACLE_ACCESS_DENIED)
				return true;
			if (access == ORACLE_ACCESS_UNSURE)
				unknown[w->out->unknown.n++] = name;
		} else if (!is_harmless(typed)) {
			unknown[w->out->unknown.n++] = name;
		}
	}
	return false;
}
