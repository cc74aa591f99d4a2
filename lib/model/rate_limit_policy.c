#include "model/rate_limit_policy.h"
#include "model/tables_priv.h"

static const struct cox_field rate_match_fields[] = {
	F(rate_match, path, "path", MSG, "Path of the request, without its query.", SUB(string_match)),
	F(rate_match, method, "method", MSG, "Method of the request.", SUB(string_match)),
	F(rate_match, host, "host", MSG, "Host of the request.", SUB(string_match)),
	F(rate_match, headers, "headers", MSG_MAP, "Headers by name, in lower case.", SUB(string_match_entry)),
};
static void rate_match_check(const void *value, const char *path, struct cox_diags *d)
{
	const struct cox_rate_match *v = value;
	for (COX_EACH(struct cox_string_match_entry, h, v->headers))
		if (cox_format_check("header", h->key))
			cox_diag_add(d, COX_SEV_ERROR, 0, path, "headers: \"%.*s\" is no name of an HTTP header", COX_FMT(h->key));
}
static MESSAGE(rate_match, "RateLimitMatch", "Conditions on a request; all must hold.", .check = rate_match_check);

static const struct cox_field rate_key_fields[] = {
	F(rate_key, header, "header", STR, "The value of this header; requests without it are not counted.", .one_of = 1,
	  .pattern = "header"),
	F(rate_key, client_address, "clientAddress", OPT_BOOL, "The client's address.", .one_of = 1),
};
static void rate_key_check(const void *value, const char *path, struct cox_diags *d)
{
	const struct cox_rate_key *v = value;
	if (v->header.n == 0 && !(v->client_address.set && v->client_address.v))
		cox_diag_add(d, COX_SEV_ERROR, 0, path, "header or clientAddress: true is missing");
}
static MESSAGE(rate_key, "RateLimitKey", "What tells requests apart that are counted on their own.", .check = rate_key_check);

static const struct cox_field rate_limit_fields[] = {
	F(rate_limit, name, "name", STR, "Name of this limit, unique in the policy.", REQUIRED, .pattern = "dns1123"),
	F(rate_limit, match, "match", MSG, "Requests that count: one of these must hold; all requests by default.", LIST, SUB(rate_match)),
	F(rate_limit, by, "by", MSG, "Each value of these has the limit for itself.", LIST, SUB(rate_key)),
	F(rate_limit, requests, "requests", I64, "How many requests are taken in the time of per.", REQUIRED, POSITIVE),
	F(rate_limit, per_ns, "per", DURATION, "The time; 1s by default.", .min = 0.05, .max = 86400),
	F(rate_limit, burst, "burst", I64, "How many may come at once; as requests by default.", POSITIVE),
};
static MESSAGE(rate_limit, "RateLimit", "So many requests in a time; what comes beyond is refused.");

static const struct cox_field rate_limit_policy_fields[] = {
	F(rate_limit_policy, selector, "selector", MSG,
	  "Workloads of this namespace, gateways too; all of them by default, all of the mesh in the root namespace.", SUB(match_labels)),
	F(rate_limit_policy, scope, "scope", ENUM, "Who counts. LOCAL: each proxy for itself.", ENUM("LOCAL")),
	F(rate_limit_policy, mode, "mode", ENUM, "DRY_RUN counts in the proxy's statistics alone and refuses nothing.",
	  ENUM("ENFORCE", "DRY_RUN")),
	F(rate_limit_policy, status, "status", I64, "Status of a refusal; 429 by default.", .min = 400, .max = 599),
	F(rate_limit_policy, limit_headers, "limitHeaders", OPT_BOOL, "Adds X-RateLimit-Limit, -Remaining and -Reset to responses."),
	F(rate_limit_policy, response_headers, "responseHeaders", STR_MAP, "Headers of a refusal."),
	F(rate_limit_policy, limits, "limits", MSG, "Limits; each holds for itself.", .flags = COX_F_LIST | COX_F_REQUIRED,
	  SUB(rate_limit)),
};
static void rate_limit_policy_check(const void *value, const char *path, struct cox_diags *d)
{
	const struct cox_rate_limit_policy *v = value;
	if (v->limits.n == 0)
		cox_diag_add(d, COX_SEV_ERROR, 0, path, "limits: at least one is needed");
	for (size_t i = 0; i < v->limits.n; i++)
		for (size_t k = 0; k < i; k++)
			if (cox_str_eq(v->limits.p[i].name, v->limits.p[k].name))
				cox_diag_add(d, COX_SEV_ERROR, 0, path, "limits[%zu].name: \"%.*s\" is given before", i,
				             COX_FMT(v->limits.p[i].name));
	for (COX_EACH(struct cox_kv, kv, v->response_headers))
		if (cox_format_check("header", kv->key))
			cox_diag_add(d, COX_SEV_ERROR, 0, path, "responseHeaders: \"%.*s\" is no name of an HTTP header", COX_FMT(kv->key));
}
static MESSAGE(rate_limit_policy, "RateLimitPolicySpec", "How many requests workloads take.", .check = rate_limit_policy_check);

static const struct cox_field rate_limit_policy_object_fields[] = {
	F(rate_limit_policy_object, spec, "spec", MSG, "How many requests workloads take.", SUB(rate_limit_policy)),
};
OBJECT(rate_limit_policy, rate_limit_policy_object, "RateLimitPolicy",
       "How many requests the proxies of workloads and gateways take, by path, header or client.", .open = true);
