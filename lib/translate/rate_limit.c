#include "translate/rate_limit.h"

#include "translate/route_priv.h"

#define LIMIT_KEY COX_STR("limit")
/* Values that are told apart at once; the one that was not seen for longest is forgotten. */
#define VALUES_MAX 10000
/* What no limit counts takes from this bucket, which Envoy wants. */
#define ALL_MAX UINT32_MAX
#define ALL_FILL_NS INT64_C(1000000000)

typedef struct pb_filters_http_local_ratelimit_v3_LocalRateLimit limit_pb;

/* Envoy's :path has the query behind it. */
static void path_write(struct cox_arena *a, struct pb_type_matcher_v3_StringMatcher s, const struct cox_string_match *m)
{
	struct cox_str text = m->exact.set ? m->exact.v : m->regex.v;
	if (m->prefix.set) {
		pb_type_matcher_v3_StringMatcher_prefix(s, m->prefix.v);
		return;
	}
	PB_WITH (re, pb_type_matcher_v3_StringMatcher_safe_regex(s))
		pb_type_matcher_v3_RegexMatcher_regex(
		    re, cox_arena_printf(a, m->exact.set ? "\\Q%.*s\\E(\\?.*)?" : "(?:%.*s)(\\?.*)?", COX_FMT(text)));
}

static void header_write(struct cox_arena *a, struct pb_route_v3_RateLimit_Action_HeaderValueMatch out, struct cox_str name,
                         const struct cox_string_match *m)
{
	bool any = !m->exact.set && (m->prefix.set ? m->prefix.v.n == 0 : m->regex.v.n == 0);
	PB_WITH (h, pb_route_v3_RateLimit_Action_HeaderValueMatch_headers(out)) {
		pb_route_v3_HeaderMatcher_name(h, name);
		if (any)
			pb_route_v3_HeaderMatcher_present_match(h, true);
		else
			PB_WITH (s, pb_route_v3_HeaderMatcher_string_match(h)) {
				if (cox_str_eq(name, COX_STR(":path")))
					path_write(a, s, m);
				else
					route_string_match_write(s, m);
			}
	}
}

static void match_write(struct cox_arena *a, struct pb_route_v3_RateLimit_Action action, struct cox_str limit,
                        const struct cox_rate_match *m)
{
	PB_WITH (v, pb_route_v3_RateLimit_Action_header_value_match(action)) {
		pb_route_v3_RateLimit_Action_HeaderValueMatch_descriptor_key(v, LIMIT_KEY);
		pb_route_v3_RateLimit_Action_HeaderValueMatch_descriptor_value(v, limit);
		if (m->path)
			header_write(a, v, COX_STR(":path"), m->path);
		if (m->method)
			header_write(a, v, COX_STR(":method"), m->method);
		if (m->host)
			header_write(a, v, COX_STR(":authority"), m->host);
		for (COX_EACH(struct cox_string_match_entry, h, m->headers))
			header_write(a, v, h->key, &h->match);
	}
}

static bool match_is_any(const struct cox_rate_match *m) { return !m || (!m->path && !m->method && !m->host && m->headers.n == 0); }

/* How a request is recognised as one that the limit counts. */
static void actions_write(const struct cox_tr *t, limit_pb f, const struct cox_rate_limit *l, const struct cox_rate_match *m)
{
	PB_WITH (r, pb_filters_http_local_ratelimit_v3_LocalRateLimit_rate_limits(f)) {
		PB_WITH (a, pb_route_v3_RateLimit_actions(r)) {
			if (!match_is_any(m))
				match_write(t->arena, a, l->name, m);
			else
				PB_WITH (g, pb_route_v3_RateLimit_Action_generic_key(a)) {
					pb_route_v3_RateLimit_Action_GenericKey_descriptor_value(g, l->name);
					pb_route_v3_RateLimit_Action_GenericKey_descriptor_key(g, LIMIT_KEY);
				}
		}
		for (COX_EACH(struct cox_rate_key, k, l->by))
			PB_WITH (a, pb_route_v3_RateLimit_actions(r)) {
				if (k->header.n > 0)
					PB_WITH (h, pb_route_v3_RateLimit_Action_request_headers(a)) {
						pb_route_v3_RateLimit_Action_RequestHeaders_header_name(h, k->header);
						pb_route_v3_RateLimit_Action_RequestHeaders_descriptor_key(h, k->header);
					}
				else
					PB_WITH (addr, pb_route_v3_RateLimit_Action_remote_address(a))
						(void)addr;
			}
	}
}

static void bucket_write(struct pb_type_v3_TokenBucket b, const struct cox_rate_limit *l)
{
	pb_type_v3_TokenBucket_max_tokens(b, (uint32_t)(l->burst.set ? l->burst.v : l->requests.v));
	pb_type_v3_TokenBucket_tokens_per_fill(b, (uint32_t)l->requests.v);
	pb_type_v3_TokenBucket_fill_interval(b, l->per_ns.set ? l->per_ns.v : ALL_FILL_NS);
}

static void descriptor_write(limit_pb f, const struct cox_rate_limit *l)
{
	PB_WITH (d, pb_filters_http_local_ratelimit_v3_LocalRateLimit_descriptors(f)) {
		PB_WITH (e, pb_common_ratelimit_v3_LocalRateLimitDescriptor_entries(d)) {
			pb_common_ratelimit_v3_RateLimitDescriptor_Entry_key(e, LIMIT_KEY);
			pb_common_ratelimit_v3_RateLimitDescriptor_Entry_value(e, l->name);
		}
		for (COX_EACH(struct cox_rate_key, k, l->by)) /* without a value: each that comes has a bucket of its own */
			PB_WITH (e, pb_common_ratelimit_v3_LocalRateLimitDescriptor_entries(d))
				pb_common_ratelimit_v3_RateLimitDescriptor_Entry_key(e, k->header.n > 0 ? k->header
				                                                                        : COX_STR("remote_address"));
		PB_WITH (b, pb_common_ratelimit_v3_LocalRateLimitDescriptor_token_bucket(d))
			bucket_write(b, l);
	}
}

static void fraction_write(struct pb_core_v3_RuntimeFractionalPercent p, bool on)
{
	PB_WITH (v, pb_core_v3_RuntimeFractionalPercent_default_value(p))
		pb_type_v3_FractionalPercent_numerator(v, on ? 100 : 0);
}

static void limits_write(const struct cox_tr *t, limit_pb f, const struct cox_rate_limit_policy *spec)
{
	bool tells_apart = false;
	for (COX_EACH(struct cox_rate_limit, l, spec->limits)) {
		descriptor_write(f, l);
		if (l->match.n == 0)
			actions_write(t, f, l, NULL);
		for (COX_EACH(struct cox_rate_match, m, l->match))
			actions_write(t, f, l, m);
		tells_apart |= l->by.n > 0;
	}
	if (tells_apart)
		pb_filters_http_local_ratelimit_v3_LocalRateLimit_max_dynamic_descriptors(f, VALUES_MAX);
}

static void config_write(const struct cox_tr *t, limit_pb f, const struct cox_object *o)
{
	const struct cox_rate_limit_policy *spec = COX_SPEC(cox_rate_limit_policy_object, o)->spec;
	struct cox_str prefix = cox_arena_printf(t->arena, "%.*s_%.*s", COX_FMT(o->meta.ns), COX_FMT(o->meta.name));
	pb_filters_http_local_ratelimit_v3_LocalRateLimit_stat_prefix(f, prefix);
	if (spec->status.set && spec->status.v != 429)
		PB_WITH (s, pb_filters_http_local_ratelimit_v3_LocalRateLimit_status(f))
			pb_type_v3_HttpStatus_code(s, (enum pb_type_v3_StatusCode)spec->status.v);
	PB_WITH (b, pb_filters_http_local_ratelimit_v3_LocalRateLimit_token_bucket(f)) {
		pb_type_v3_TokenBucket_max_tokens(b, ALL_MAX);
		pb_type_v3_TokenBucket_tokens_per_fill(b, ALL_MAX);
		pb_type_v3_TokenBucket_fill_interval(b, ALL_FILL_NS);
	}
	pb_filters_http_local_ratelimit_v3_LocalRateLimit_always_consume_default_token_bucket(f, false);
	PB_WITH (p, pb_filters_http_local_ratelimit_v3_LocalRateLimit_filter_enabled(f))
		fraction_write(p, true);
	PB_WITH (p, pb_filters_http_local_ratelimit_v3_LocalRateLimit_filter_enforced(f))
		fraction_write(p, spec->mode == COX_RATE_ENFORCE);
	for (COX_EACH(struct cox_kv, kv, spec->response_headers))
		PB_WITH (a, pb_filters_http_local_ratelimit_v3_LocalRateLimit_response_headers_to_add(f)) {
			PB_WITH (h, pb_core_v3_HeaderValueOption_header(a)) {
				pb_core_v3_HeaderValue_key(h, kv->key);
				pb_core_v3_HeaderValue_value(h, kv->value);
			}
			pb_core_v3_HeaderValueOption_append_action(a, PB_core_v3_HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD);
		}
	if (spec->limit_headers.set && spec->limit_headers.v)
		pb_filters_http_local_ratelimit_v3_LocalRateLimit_enable_x_ratelimit_headers(f, PB_common_ratelimit_v3_DRAFT_VERSION_03);
	limits_write(t, f, spec);
}

static struct cox_str filter_encode(const struct cox_tr *t, const struct cox_object *o)
{
	COX_AUTO(cox_buf_fini) struct cox_buf b = { 0 };
	struct cox_pb pb;
	cox_pb_init(&pb, &b);
	PB_ROOT (f, pb_filters_network_http_connection_manager_v3_HttpFilter, &pb) {
		pb_filters_network_http_connection_manager_v3_HttpFilter_name(
		    f, cox_arena_printf(t->arena, "coxswain.local_ratelimit.%.*s.%.*s", COX_FMT(o->meta.ns), COX_FMT(o->meta.name)));
		PB_ANY (c, pb_filters_network_http_connection_manager_v3_HttpFilter_typed_config(f),
		        pb_filters_http_local_ratelimit_v3_LocalRateLimit)
			config_write(t, c, o);
	}
	return cox_arena_str(t->arena, cox_buf_str(&b));
}

struct cox_rate_filters cox_rate_filters_build(const struct cox_tr *t, struct cox_str ns, const struct cox_kv *labels, size_t label_n)
{
	const struct cox_object **found;
	size_t n = cox_snapshot_rate_limits_of(t->s, ns, labels, label_n, t->arena, &found);
	struct cox_rate_filters out = { 0 };
	if (n == 0)
		return out;
	COX_AUTO(cox_names_fini) struct cox_names origins = { .arena = t->arena };
	struct cox_str *encoded = COX_ARENA_ARRAY(t->arena, struct cox_str, n);
	for (size_t i = 0; i < n; i++) {
		encoded[i] = filter_encode(t, found[i]);
		cox_names_add(&origins, found[i]->id);
	}
	out.encoded.p = encoded;
	out.encoded.n = n;
	out.origins = cox_arena_str(t->arena, cox_names_text(&origins));
	return out;
}
