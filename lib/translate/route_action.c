/* route_action.c - what a route does: destinations with weights, headers, rewrites, mirrors, retries, hashing; redirects; direct responses.
 */
#include "translate/route_priv.h"

#include <stdlib.h>

#include "translate/cluster.h"
#include "translate/filters.h"
#include "translate/settings.h"

/* --- destinations ----------------------------------------------------------------------------- */

const struct cox_snap_svc *cox_destination_svc(const struct cox_tr *t, struct cox_str host)
{
	const struct cox_snap_svc *s = cox_snapshot_svc_find(t->s, host, t->view->ns);
	for (int hops = 0; s && s->svc->resolution == COX_RES_ALIAS && hops < 8; hops++) {
		const struct cox_snap_svc *to = cox_snapshot_svc_find(t->s, s->svc->external_name, t->view->ns);
		if (to == NULL)
			break;
		s = to;
	}
	return s;
}

struct cox_str cox_destination_cluster(const struct cox_tr *t, const struct cox_destination *d, uint16_t port,
                                       const struct cox_snap_svc **svc, uint16_t *svc_port)
{
	const struct cox_snap_svc *s = cox_destination_svc(t, d->host);
	struct cox_str host = s && s->svc->resolution != COX_RES_ALIAS ? s->svc->hostname : d->host;
	if (d->port && d->port->number.set)
		port = (uint16_t)d->port->number.v;
	else if (s && s->svc->ports.n == 1)
		port = s->svc->ports.p[0].port;
	if (svc)
		*svc = s;
	if (svc_port)
		*svc_port = port;
	return cox_cluster_name(t->arena, "outbound", port, d->subset, host);
}

/* --- headers ---------------------------------------------------------------------------------- */

static bool is_host_header(struct cox_str key)
{
	return cox_str_eq_nocase(key, COX_STR("host")) || cox_str_eq_nocase(key, COX_STR(":authority"));
}

struct cox_str route_authority_of(const struct cox_header_ops *ops)
{
	struct cox_str found = { 0 };
	if (ops == NULL || ops->request == NULL)
		return found;
	for (COX_EACH(struct cox_kv, kv, ops->request->set))
		if (is_host_header(kv->key))
			found = kv->value;
	for (COX_EACH(struct cox_kv, kv, ops->request->add))
		if (is_host_header(kv->key) && found.n == 0)
			found = kv->value;
	return found;
}

/* Envoy refuses a configuration that names these; the host is set by its own means (route_authority_of). */
static bool is_untouchable(struct cox_str key) { return key.n == 0 || key.p[0] == ':' || is_host_header(key); }

typedef struct pb_core_v3_HeaderValueOption add_fn(struct cox_pb_at at);
typedef void remove_fn(struct cox_pb_at at, struct cox_str name);

static void header_list_write(struct cox_arena *a, struct cox_pb_at at, add_fn *add, const struct cox_kv *items, size_t n, bool overwrite)
{
	struct cox_kv *sorted = COX_ARENA_ARRAY(a, struct cox_kv, n + 1);
	if (n > 0)
		memcpy(sorted, items, n * sizeof(*items));
	qsort(sorted, n, sizeof(*sorted), cox_kv_cmp_qsort);
	for (size_t i = 0; i < n; i++) {
		if (is_untouchable(sorted[i].key))
			continue;
		PB_WITH (o, add(at)) {
			PB_WITH (h, pb_core_v3_HeaderValueOption_header(o)) {
				pb_core_v3_HeaderValue_key(h, sorted[i].key);
				pb_core_v3_HeaderValue_value(h, sorted[i].value);
			}
			if (overwrite)
				pb_core_v3_HeaderValueOption_append_action(o, PB_core_v3_HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD);
		}
	}
}

static void header_values_write(struct cox_arena *a, struct cox_pb_at at, add_fn *add, remove_fn *rm, const struct cox_header_values *v)
{
	if (v == NULL)
		return;
	header_list_write(a, at, add, v->set.p, v->set.n, true);
	header_list_write(a, at, add, v->add.p, v->add.n, false);
	for (COX_EACH(struct cox_str, name, v->remove))
		if (!is_untouchable(*name))
			rm(at, *name);
}

#define HEADER_FNS(prefix, type)                                                                        \
	static struct pb_core_v3_HeaderValueOption prefix##_req_add(struct cox_pb_at at)                \
	{                                                                                               \
		return pb_route_v3_##type##_request_headers_to_add((struct pb_route_v3_##type){ at });  \
	}                                                                                               \
	static struct pb_core_v3_HeaderValueOption prefix##_resp_add(struct cox_pb_at at)               \
	{                                                                                               \
		return pb_route_v3_##type##_response_headers_to_add((struct pb_route_v3_##type){ at }); \
	}                                                                                               \
	static void prefix##_req_remove(struct cox_pb_at at, struct cox_str n)                          \
	{                                                                                               \
		pb_route_v3_##type##_request_headers_to_remove((struct pb_route_v3_##type){ at }, n);   \
	}                                                                                               \
	static void prefix##_resp_remove(struct cox_pb_at at, struct cox_str n)                         \
	{                                                                                               \
		pb_route_v3_##type##_response_headers_to_remove((struct pb_route_v3_##type){ at }, n);  \
	}
HEADER_FNS(on_route, Route)
HEADER_FNS(on_weight, WeightedCluster_ClusterWeight)

static void route_headers_write(struct cox_arena *a, struct pb_route_v3_Route r, const struct cox_header_ops *ops)
{
	if (ops == NULL)
		return;
	header_values_write(a, r.at, on_route_req_add, on_route_req_remove, ops->request);
	header_values_write(a, r.at, on_route_resp_add, on_route_resp_remove, ops->response);
}

/* --- retries ---------------------------------------------------------------------------------- */

static const struct cox_str RETRY_ON = COX_STR_INIT("connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes");
static const struct cox_str RETRIABLE = COX_STR_INIT("retriable-status-codes");

/* "5xx,reset,503": numbers become status codes. */
static void retry_on_write(struct pb_route_v3_RetryPolicy p, struct cox_str text)
{
	COX_AUTO(cox_buf_fini) struct cox_buf on = { 0 };
	bool has_retriable = false;
	uint64_t codes[64];
	size_t code_n = 0;
	struct cox_str rest = text, part;
	while (cox_str_next(&rest, ',', &part)) {
		part = cox_str_trim(part);
		if (part.n == 0)
			continue;
		if (code_n < COX_LEN(codes) && cox_str_to_u64(part, &codes[code_n]) == COX_OK) {
			code_n++;
			continue;
		}
		has_retriable |= cox_str_eq(part, RETRIABLE);
		if (on.n > 0)
			cox_buf_append_char(&on, ',');
		cox_buf_append_str(&on, part);
	}
	if (code_n > 0 && !has_retriable) {
		if (on.n > 0)
			cox_buf_append_char(&on, ',');
		cox_buf_append_str(&on, RETRIABLE);
	}
	pb_route_v3_RetryPolicy_retry_on(p, cox_buf_str(&on));
	for (size_t i = 0; i < code_n; i++)
		pb_route_v3_RetryPolicy_retriable_status_codes(p, (uint32_t)codes[i]);
}

/* A retry goes to a host not tried yet, unless the request is bound to one by its hash. */
static void previous_hosts_write(struct pb_route_v3_RetryPolicy p)
{
	PB_WITH (h, pb_route_v3_RetryPolicy_retry_host_predicate(p)) {
		pb_route_v3_RetryPolicy_RetryHostPredicate_name(h, COX_STR("envoy.retry_host_predicates.previous_hosts"));
		PB_ANY (c, pb_route_v3_RetryPolicy_RetryHostPredicate_typed_config(h),
		        pb_retry_host_previous_hosts_v3_PreviousHostsPredicate)
			(void)c;
	}
}

static bool retry_is_on(const struct cox_retry *r) { return r == NULL || !r->attempts.set || r->attempts.v > 0; }

void route_retry_write(struct pb_route_v3_RetryPolicy p, const struct cox_retry *r, bool is_hashed)
{
	bool previous = r && r->retry_ignore_previous_hosts.set ? r->retry_ignore_previous_hosts.v : !is_hashed;
	retry_on_write(p, r && r->retry_on.n > 0 ? r->retry_on : RETRY_ON);
	pb_route_v3_RetryPolicy_num_retries(p, r && r->attempts.set ? (uint32_t)r->attempts.v : 2);
	if (r && r->per_try_timeout_ns.set)
		pb_route_v3_RetryPolicy_per_try_timeout(p, r->per_try_timeout_ns.v);
	if (r && r->retry_remote_localities.set && r->retry_remote_localities.v)
		PB_WITH (rp, pb_route_v3_RetryPolicy_retry_priority(p)) {
			pb_route_v3_RetryPolicy_RetryPriority_name(rp, COX_STR("envoy.retry_priorities.previous_priorities"));
			PB_ANY (c, pb_route_v3_RetryPolicy_RetryPriority_typed_config(rp),
			        pb_retry_priority_previous_priorities_v3_PreviousPrioritiesConfig)
				pb_retry_priority_previous_priorities_v3_PreviousPrioritiesConfig_update_frequency(c, 2);
		}
	if (previous)
		previous_hosts_write(p);
	pb_route_v3_RetryPolicy_host_selection_retry_max_attempts(p, 5);
	if (r && r->backoff_ns.set)
		PB_WITH (b, pb_route_v3_RetryPolicy_retry_back_off(p))
			pb_route_v3_RetryPolicy_RetryBackOff_base_interval(b, r->backoff_ns.v);
}

void route_retry_inbound_write(struct pb_route_v3_RetryPolicy p, const struct cox_retry *r)
{
	/* Only what surely did not reach the application is tried again. */
	retry_on_write(p, r && r->retry_on.n > 0 ? r->retry_on : COX_STR("reset-before-request"));
	pb_route_v3_RetryPolicy_num_retries(p, r && r->attempts.set ? (uint32_t)r->attempts.v : 2);
	if (r && r->per_try_timeout_ns.set)
		pb_route_v3_RetryPolicy_per_try_timeout(p, r->per_try_timeout_ns.v);
	if (r && r->backoff_ns.set)
		PB_WITH (b, pb_route_v3_RetryPolicy_retry_back_off(p))
			pb_route_v3_RetryPolicy_RetryBackOff_base_interval(b, r->backoff_ns.v);
}

/* --- hashing ---------------------------------------------------------------------------------- */

static const struct cox_consistent_hash *hash_find(const struct cox_tr *t, const struct cox_snap_svc *svc, struct cox_str subset,
                                                   uint16_t port)
{
	if (svc == NULL)
		return NULL;
	const struct cox_view *v = t->view;
	const struct cox_dr *dr = cox_scope_dr_find(t->s, v->ns, v->labels.p, v->labels.n, svc->svc);
	const struct cox_load_balancer *lb = dr ? cox_policy_of(t->s->mesh, dr, subset, port).lb : NULL;
	return lb ? lb->consistent_hash : NULL;
}

static void cookie_write(struct pb_route_v3_RouteAction_HashPolicy p, const struct cox_hash_cookie *c)
{
	PB_WITH (k, pb_route_v3_RouteAction_HashPolicy_cookie(p)) {
		pb_route_v3_RouteAction_HashPolicy_Cookie_name(k, c->name);
		if (c->ttl_ns.set)
			pb_route_v3_RouteAction_HashPolicy_Cookie_ttl(k, c->ttl_ns.v);
		pb_route_v3_RouteAction_HashPolicy_Cookie_path(k, c->path);
		for (COX_EACH(struct cox_cookie_attribute, a, c->attributes))
			PB_WITH (at, pb_route_v3_RouteAction_HashPolicy_Cookie_attributes(k)) {
				pb_route_v3_RouteAction_HashPolicy_CookieAttribute_name(at, a->name);
				pb_route_v3_RouteAction_HashPolicy_CookieAttribute_value(at, a->value);
			}
	}
}

static void hash_write(struct pb_route_v3_RouteAction a, const struct cox_consistent_hash *h)
{
	bool by_ip = h->use_source_ip.set && h->use_source_ip.v;
	if (h->http_header_name.n == 0 && h->http_cookie == NULL && h->http_query_parameter_name.n == 0 && !by_ip)
		return;
	PB_WITH (p, pb_route_v3_RouteAction_hash_policy(a)) {
		if (h->http_header_name.n > 0) {
			PB_WITH (x, pb_route_v3_RouteAction_HashPolicy_header(p))
				pb_route_v3_RouteAction_HashPolicy_Header_header_name(x, h->http_header_name);
		} else if (h->http_cookie) {
			cookie_write(p, h->http_cookie);
		} else if (by_ip) {
			PB_WITH (x, pb_route_v3_RouteAction_HashPolicy_connection_properties(p))
				pb_route_v3_RouteAction_HashPolicy_ConnectionProperties_source_ip(x, true);
		} else {
			PB_WITH (x, pb_route_v3_RouteAction_HashPolicy_query_parameter(p))
				pb_route_v3_RouteAction_HashPolicy_QueryParameter_name(x, h->http_query_parameter_name);
		}
	}
}

void route_hash_policy_write(struct pb_route_v3_RouteAction a, const struct cox_tr *t, const struct cox_snap_svc *svc,
                             struct cox_str subset, uint16_t port)
{
	const struct cox_consistent_hash *h = hash_find(t, svc, subset, port);
	if (h)
		hash_write(a, h);
}

/* --- forwarding ------------------------------------------------------------------------------- */

static void mirror_write(const struct cox_route_ctx *ctx, struct pb_route_v3_RouteAction a, const struct cox_destination *d,
                         const struct cox_percent *percentage, struct cox_opt_i64 percent, struct cox_names *needs)
{
	if ((percentage && (!percentage->value.set || percentage->value.v <= 0)) || (!percentage && percent.set && percent.v <= 0))
		return;
	struct cox_str cluster = cox_destination_cluster(ctx->t, d, ctx->port, NULL, NULL);
	cox_names_add(needs, cluster);
	PB_WITH (m, pb_route_v3_RouteAction_request_mirror_policies(a)) {
		pb_route_v3_RouteAction_RequestMirrorPolicy_cluster(m, cluster);
		PB_WITH (f, pb_route_v3_RouteAction_RequestMirrorPolicy_runtime_fraction(m))
			PB_WITH (p, pb_core_v3_RuntimeFractionalPercent_default_value(f)) {
				if (percentage)
					route_percent_write(p, percentage->value.v);
				else
					pb_type_v3_FractionalPercent_numerator(p, percent.set ? (uint32_t)percent.v : 100);
			}
		pb_route_v3_RouteAction_RequestMirrorPolicy_trace_sampled(m, false);
		pb_route_v3_RouteAction_RequestMirrorPolicy_disable_shadow_host_suffix_append(m, true);
	}
}

static void weighted_write(const struct cox_route_ctx *ctx, struct pb_route_v3_RouteAction a, const struct cox_http_route *h,
                           struct cox_names *needs)
{
	bool any = false; /* a weight: without one all are alike, for Envoy refuses a total of 0 */
	for (COX_EACH(struct cox_http_route_destination, d, h->route))
		any |= d->weight.set && d->weight.v > 0;
	PB_WITH (w, pb_route_v3_RouteAction_weighted_clusters(a))
		for (COX_EACH(struct cox_http_route_destination, d, h->route)) {
			uint32_t weight = any ? (d->weight.set ? (uint32_t)d->weight.v : 0) : 1;
			if (weight == 0 || d->destination == NULL)
				continue;
			struct cox_str cluster = cox_destination_cluster(ctx->t, d->destination, ctx->port, NULL, NULL);
			struct cox_str authority = route_authority_of(d->headers);
			cox_names_add(needs, cluster);
			PB_WITH (c, pb_route_v3_WeightedCluster_clusters(w)) {
				pb_route_v3_WeightedCluster_ClusterWeight_name(c, cluster);
				pb_route_v3_WeightedCluster_ClusterWeight_weight(c, weight);
				if (d->headers) {
					header_values_write(ctx->t->arena, c.at, on_weight_req_add, on_weight_req_remove,
					                    d->headers->request);
					header_values_write(ctx->t->arena, c.at, on_weight_resp_add, on_weight_resp_remove,
					                    d->headers->response);
				}
				if (authority.n > 0)
					pb_route_v3_WeightedCluster_ClusterWeight_host_rewrite_literal(c, authority);
			}
		}
}

static void rewrite_write(struct pb_route_v3_RouteAction a, const struct cox_http_rewrite *rw, struct cox_str authority)
{
	if (rw && rw->uri_regex_rewrite)
		PB_WITH (x, pb_route_v3_RouteAction_regex_rewrite(a)) {
			PB_WITH (p, pb_type_matcher_v3_RegexMatchAndSubstitute_pattern(x))
				pb_type_matcher_v3_RegexMatcher_regex(p, rw->uri_regex_rewrite->match);
			pb_type_matcher_v3_RegexMatchAndSubstitute_substitution(x, rw->uri_regex_rewrite->rewrite);
		}
	else if (rw && rw->uri.n > 0)
		pb_route_v3_RouteAction_prefix_rewrite(a, rw->uri);
	if (rw && rw->authority.n > 0)
		authority = rw->authority;
	if (authority.n > 0)
		pb_route_v3_RouteAction_host_rewrite_literal(a, authority);
}

/* Hash policies of all destinations with a weight; true: there is one. */
static bool hashes_write(const struct cox_route_ctx *ctx, struct pb_route_v3_RouteAction a, const struct cox_http_route *h)
{
	bool hashed = false;
	for (COX_EACH(struct cox_http_route_destination, d, h->route)) {
		const struct cox_snap_svc *svc;
		uint16_t port;
		if (d->destination == NULL || (h->route.n > 1 && d->weight.set && d->weight.v == 0))
			continue;
		cox_destination_cluster(ctx->t, d->destination, ctx->port, &svc, &port);
		const struct cox_consistent_hash *ch = hash_find(ctx->t, svc, d->destination->subset, port);
		if (ch == NULL)
			continue;
		hash_write(a, ch);
		hashed = true;
	}
	return hashed;
}

static struct cox_str forward_write(const struct cox_route_ctx *ctx, struct pb_route_v3_Route r, const struct cox_http_route *h,
                                    bool is_gateway_api, struct cox_names *needs)
{
	struct cox_str single = { 0 }, authority = route_authority_of(h->headers);
	const struct cox_http_route_destination *only = h->route.n == 1 && h->route.p[0].destination ? &h->route.p[0] : NULL;
	const struct cox_retry *retry = h->retries ? h->retries : ctx->t->s->mesh->default_http_retry_policy;
	PB_WITH (a, pb_route_v3_Route_route(r)) {
		if (only) {
			single = cox_destination_cluster(ctx->t, only->destination, ctx->port, NULL, NULL);
			cox_names_add(needs, single);
			pb_route_v3_RouteAction_cluster(a, single);
			if (authority.n == 0)
				authority = route_authority_of(only->headers);
		} else {
			weighted_write(ctx, a, h, needs);
		}
		if (is_gateway_api)
			pb_route_v3_RouteAction_cluster_not_found_response_code(a, PB_route_v3_RouteAction_INTERNAL_SERVER_ERROR);
		rewrite_write(a, h->rewrite, authority);
		pb_route_v3_RouteAction_append_x_forwarded_host(a, cox_settings_headers(ctx->t, COX_HCM_OUTBOUND).forwarded_host);
		pb_route_v3_RouteAction_timeout(a, h->timeout_ns.set ? h->timeout_ns.v : 0);
		pb_route_v3_RouteAction_max_grpc_timeout(a, h->timeout_ns.set ? h->timeout_ns.v : 0);
		bool hashed = hashes_write(ctx, a, h);
		if (retry_is_on(retry))
			PB_WITH (p, pb_route_v3_RouteAction_retry_policy(a))
				route_retry_write(p, retry, hashed);
		if (h->mirror)
			mirror_write(ctx, a, h->mirror, h->mirror_percentage, h->mirror_percent, needs);
		for (COX_EACH(struct cox_http_mirror, m, h->mirrors))
			if (m->destination)
				mirror_write(ctx, a, m->destination, m->percentage, (struct cox_opt_i64){ 0 }, needs);
	}
	if (only)
		route_headers_write(ctx->t->arena, r, only->headers);
	return single;
}

/* --- the rest --------------------------------------------------------------------------------- */

static void redirect_port_write(const struct cox_route_ctx *ctx, struct pb_route_v3_RedirectAction a, const struct cox_http_redirect *rd)
{
	if (rd->port.set) {
		pb_route_v3_RedirectAction_port_redirect(a, (uint32_t)rd->port.v);
		return;
	}
	/* Envoy cannot take the port from the request; but the route is made for one port. The scheme's own needs no mention. */
	bool is_https = rd->scheme.n > 0 ? cox_str_eq_nocase(rd->scheme, COX_STR("https")) : ctx->is_https;
	if (rd->derive_port == COX_REDIRECT_FROM_REQUEST_PORT && ctx->port != (is_https ? 443 : 80))
		pb_route_v3_RedirectAction_port_redirect(a, ctx->port);
}

/* "/a" -> "/": "/a/b" is to become "/b", which replacing the prefix alone would make "//b"; "/" -> "/a": "/b" is to become "/a/b". */
static bool redirect_elements_write(const struct cox_route_ctx *ctx, struct pb_route_v3_RedirectAction a, struct cox_str prefix,
                                    struct cox_str by)
{
	struct cox_arena *arena = ctx->t->arena;
	bool from_root = cox_str_eq_cstr(prefix, "/"), to_root = cox_str_eq_cstr(by, "/");
	if (!prefix.n || from_root == to_root)
		return false;
	while (prefix.n && prefix.p[prefix.n - 1] == '/')
		prefix.n--;
	PB_WITH (x, pb_route_v3_RedirectAction_regex_rewrite(a)) {
		PB_WITH (p, pb_type_matcher_v3_RegexMatchAndSubstitute_pattern(x))
			pb_type_matcher_v3_RegexMatcher_regex(p, from_root ? COX_STR("^/")
			                                                   : cox_arena_printf(arena, "^\\Q%.*s\\E/*", COX_FMT(prefix)));
		pb_type_matcher_v3_RegexMatchAndSubstitute_substitution(x, to_root ? by : cox_arena_concat(arena, by, COX_STR("/")));
	}
	return true;
}

/* `elements`: the prefix that was matched, where it is of whole elements; else empty. */
static void redirect_write(const struct cox_route_ctx *ctx, struct pb_route_v3_Route r, const struct cox_http_redirect *rd,
                           struct cox_str elements)
{
	static const struct {
		int code;
		enum pb_route_v3_RedirectAction_RedirectResponseCode v;
	} codes[] = { { 301, PB_route_v3_RedirectAction_MOVED_PERMANENTLY },
		      { 302, PB_route_v3_RedirectAction_FOUND },
		      { 303, PB_route_v3_RedirectAction_SEE_OTHER },
		      { 307, PB_route_v3_RedirectAction_TEMPORARY_REDIRECT },
		      { 308, PB_route_v3_RedirectAction_PERMANENT_REDIRECT } };
	PB_WITH (a, pb_route_v3_Route_redirect(r)) {
		pb_route_v3_RedirectAction_host_redirect(a, rd->authority);
		if (rd->prefix_rewrite.set && !redirect_elements_write(ctx, a, elements, rd->prefix_rewrite.v))
			pb_route_v3_RedirectAction_prefix_rewrite(a, rd->prefix_rewrite.v);
		else if (!rd->prefix_rewrite.set)
			pb_route_v3_RedirectAction_path_redirect(a, rd->uri);
		if (rd->scheme.n > 0)
			pb_route_v3_RedirectAction_scheme_redirect(a, rd->scheme);
		redirect_port_write(ctx, a, rd);
		for (size_t i = 0; rd->redirect_code.set && i < COX_LEN(codes); i++)
			if (codes[i].code == rd->redirect_code.v)
				pb_route_v3_RedirectAction_response_code(a, codes[i].v);
	}
}

static void direct_response_write(struct pb_route_v3_Route r, const struct cox_http_direct_response *d)
{
	PB_WITH (a, pb_route_v3_Route_direct_response(r)) {
		bool is_status = d->status.set && d->status.v >= 200 && d->status.v <= 599; /* Envoy refuses others */
		pb_route_v3_DirectResponseAction_status(a, is_status ? (uint32_t)d->status.v : 500);
		if (d->body && (d->body->string.set || d->body->bytes.set))
			PB_WITH (b, pb_route_v3_DirectResponseAction_body(a)) {
				if (d->body->string.set)
					pb_core_v3_DataSource_inline_string(b, d->body->string.v);
				else
					pb_core_v3_DataSource_inline_bytes(b, d->body->bytes.v);
			}
	}
}

struct cox_str route_action_write(const struct cox_route_ctx *ctx, struct pb_route_v3_Route r, const struct cox_http_route *h,
                                  const struct cox_http_match *m, bool is_gateway_api, struct cox_names *needs)
{
	route_headers_write(ctx->t->arena, r, h->headers);
	if (h->redirect) {
		redirect_write(ctx, r, h->redirect, is_gateway_api && m && m->uri && m->uri->prefix.set ? m->uri->prefix.v : COX_STR(""));
	} else if (h->direct_response) {
		direct_response_write(r, h->direct_response);
	} else if (h->route.n > 0) {
		return forward_write(ctx, r, h, is_gateway_api, needs);
	} else {
		/* Nothing to forward to: the client is told so, rather than the whole listener refused. */
		PB_WITH (a, pb_route_v3_Route_direct_response(r))
			pb_route_v3_DirectResponseAction_status(a, 500);
	}
	return (struct cox_str){ 0 };
}
