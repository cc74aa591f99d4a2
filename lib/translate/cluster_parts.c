#include "translate/cluster_priv.h"

#include "envoy/common_matcher_v3.h"
#include "translate/filters.h"
#include "translate/settings.h"

#define CONNECT_TIMEOUT_NS (10 * COX_NS_PER_S)

static struct cox_str stat_value(struct cox_arena *a, struct cox_str key, const struct cox_svc *svc, const struct cox_svc_port *port,
                                 struct cox_str subset)
{
	if (cox_str_eq_cstr(key, "SERVICE"))
		return svc->origin == COX_SVC_KUBE ? cox_arena_printf(a, "%.*s.%.*s", COX_FMT(svc->name), COX_FMT(svc->ns)) : svc->hostname;
	if (cox_str_eq_cstr(key, "SERVICE_NAME"))
		return svc->name;
	if (cox_str_eq_cstr(key, "SERVICE_FQDN"))
		return svc->hostname;
	if (cox_str_eq_cstr(key, "SERVICE_PORT"))
		return cox_arena_printf(a, "%u", port->port);
	if (cox_str_eq_cstr(key, "TARGET_PORT"))
		return cox_arena_printf(a, "%u", port->target_port);
	if (cox_str_eq_cstr(key, "SERVICE_PORT_NAME"))
		return port->name;
	if (cox_str_eq_cstr(key, "SUBSET_NAME"))
		return subset;
	return cox_arena_printf(a, "%%%.*s%%", COX_FMT(key));
}

struct cox_str cox_cluster_stat_name(struct cox_arena *a, struct cox_str pattern, struct cox_str name, const struct cox_svc *svc,
                                     const struct cox_svc_port *port, struct cox_str subset)
{
	if (pattern.n == 0)
		return name;
	struct cox_buf out = { 0 };
	for (size_t i = 0; i < pattern.n; i++) {
		ptrdiff_t end = pattern.p[i] == '%' ? cox_str_find(cox_str_sub(pattern, i + 1, pattern.n), '%') : -1;
		if (end <= 0) {
			cox_buf_append_char(&out, pattern.p[i]);
			continue;
		}
		cox_buf_append_str(&out, stat_value(a, cox_str_sub(pattern, i + 1, (size_t)end), svc, port, subset));
		i += (size_t)end + 1;
	}
	struct cox_str made = cox_arena_str(a, cox_buf_str(&out));
	cox_buf_fini(&out);
	return made;
}

void cox_cluster_head_write(struct pb_cluster_v3_Cluster c, const struct cox_tr *t, struct cox_str name, struct cox_str stat_name,
                            const struct cox_connection_pool *pool)
{
	int64_t timeout = t->s->mesh->connect_timeout_ns.set ? t->s->mesh->connect_timeout_ns.v : CONNECT_TIMEOUT_NS;
	if (pool != NULL && pool->tcp != NULL && pool->tcp->connect_timeout_ns.set)
		timeout = pool->tcp->connect_timeout_ns.v;
	pb_cluster_v3_Cluster_name(c, name);
	/* The delimiter ends the name in stats, which else would be cut at its dots. */
	pb_cluster_v3_Cluster_alt_stat_name(c, cox_arena_concat(t->arena, stat_name, COX_STR(";")));
	pb_cluster_v3_Cluster_connect_timeout(c, timeout);
	struct cox_connection_settings connections = cox_settings_connections(t);
	if (connections.cluster_buffer_bytes.set)
		pb_cluster_v3_Cluster_per_connection_buffer_limit_bytes(c, (uint32_t)connections.cluster_buffer_bytes.v);
}

/* Envoy's own limits of 1024 would cut busy services off, so "no limit" is written out. 0 counts as not given. */
static uint32_t limit_of(const struct cox_opt_i64 *v)
{
	return v != NULL && v->set && v->v > 0 && v->v < UINT32_MAX ? (uint32_t)v->v : UINT32_MAX;
}

void cox_cluster_breakers_write(struct pb_cluster_v3_Cluster c, const struct cox_connection_pool *pool,
                                const struct cox_retry_budget *budget)
{
	const struct cox_pool_tcp *tcp = pool != NULL ? pool->tcp : NULL;
	const struct cox_pool_http *http = pool != NULL ? pool->http : NULL;

	PB_WITH (breakers, pb_cluster_v3_Cluster_circuit_breakers(c))
		PB_WITH (th, pb_cluster_v3_CircuitBreakers_thresholds(breakers)) {
			pb_cluster_v3_CircuitBreakers_Thresholds_max_connections(th, limit_of(tcp ? &tcp->max_connections : NULL));
			pb_cluster_v3_CircuitBreakers_Thresholds_max_pending_requests(
			    th, limit_of(http ? &http->http1_max_pending_requests : NULL));
			pb_cluster_v3_CircuitBreakers_Thresholds_max_requests(th, limit_of(http ? &http->http2_max_requests : NULL));
			pb_cluster_v3_CircuitBreakers_Thresholds_max_retries(th, limit_of(http ? &http->max_retries : NULL));
			if (budget == NULL)
				continue;
			PB_WITH (b, pb_cluster_v3_CircuitBreakers_Thresholds_retry_budget(th)) {
				PB_WITH (percent, pb_cluster_v3_CircuitBreakers_Thresholds_RetryBudget_budget_percent(b))
					pb_type_v3_Percent_value(percent, budget->percent.set ? budget->percent.v : 20.0);
				pb_cluster_v3_CircuitBreakers_Thresholds_RetryBudget_min_retry_concurrency(
				    b, budget->min_retry_concurrency.set ? (uint32_t)budget->min_retry_concurrency.v : 3);
				if (budget->budget_interval_ns.set)
					pb_cluster_v3_CircuitBreakers_Thresholds_RetryBudget_budget_interval(b,
					                                                                     budget->budget_interval_ns.v);
			}
		}
}

void cox_cluster_keepalive_write(struct pb_cluster_v3_Cluster c, const struct cox_tr *t, const struct cox_connection_pool *pool)
{
	const struct cox_tcp_keepalive *k = t->s->mesh->tcp_keepalive;
	if (pool != NULL && pool->tcp != NULL && pool->tcp->tcp_keepalive != NULL)
		k = pool->tcp->tcp_keepalive;
	if (k == NULL)
		return;
	PB_WITH (o, pb_cluster_v3_Cluster_upstream_connection_options(c))
		PB_WITH (ka, pb_cluster_v3_UpstreamConnectionOptions_tcp_keepalive(o)) {
			if (k->probes.set)
				pb_core_v3_TcpKeepalive_keepalive_probes(ka, (uint32_t)k->probes.v);
			if (k->time_ns.set)
				pb_core_v3_TcpKeepalive_keepalive_time(ka, (uint32_t)(k->time_ns.v / COX_NS_PER_S));
			if (k->interval_ns.set)
				pb_core_v3_TcpKeepalive_keepalive_interval(ka, (uint32_t)(k->interval_ns.v / COX_NS_PER_S));
		}
}

bool cox_cluster_upgrades_h2(const struct cox_mesh_config *mesh, const struct cox_connection_pool *pool, enum cox_protocol protocol)
{
	int policy = pool != NULL && pool->http != NULL ? pool->http->h2_upgrade_policy : COX_H2_DEFAULT;
	if (protocol != COX_PROTO_HTTP)
		return false;
	return policy == COX_H2_UPGRADE || (policy == COX_H2_DEFAULT && mesh->h2_upgrade_policy == COX_MESH_H2_UPGRADE);
}

/* --- HTTP protocol options ---------------------------------------------------------------- */

static bool has_common_options(const struct cox_connection_pool *pool)
{
	const struct cox_pool_http *http = pool != NULL ? pool->http : NULL;
	const struct cox_pool_tcp *tcp = pool != NULL ? pool->tcp : NULL;
	return (http != NULL && (http->idle_timeout_ns.set || http->max_requests_per_connection.v > 0)) ||
	       (tcp != NULL && tcp->max_connection_duration_ns.set);
}

static void common_options_write(struct pb_core_v3_HttpProtocolOptions o, const struct cox_connection_pool *pool)
{
	const struct cox_pool_http *http = pool->http;
	if (http != NULL && http->idle_timeout_ns.set)
		pb_core_v3_HttpProtocolOptions_idle_timeout(o, http->idle_timeout_ns.v);
	if (http != NULL && http->max_requests_per_connection.v > 0)
		pb_core_v3_HttpProtocolOptions_max_requests_per_connection(o, (uint32_t)http->max_requests_per_connection.v);
	if (pool->tcp != NULL && pool->tcp->max_connection_duration_ns.set)
		pb_core_v3_HttpProtocolOptions_max_connection_duration(o, pool->tcp->max_connection_duration_ns.v);
}

static void http2_options_write(struct pb_core_v3_Http2ProtocolOptions o, const struct cox_connection_pool *pool)
{
	const struct cox_pool_http *http = pool != NULL ? pool->http : NULL;
	if (http == NULL)
		return;
	if (http->max_concurrent_streams.v > 0)
		pb_core_v3_Http2ProtocolOptions_max_concurrent_streams(o, (uint32_t)http->max_concurrent_streams.v);
	if (http->http2_keep_alive != NULL)
		PB_WITH (ka, pb_core_v3_Http2ProtocolOptions_connection_keepalive(o)) {
			if (http->http2_keep_alive->interval_ns.set)
				pb_core_v3_KeepaliveSettings_interval(ka, http->http2_keep_alive->interval_ns.v);
			if (http->http2_keep_alive->timeout_ns.set)
				pb_core_v3_KeepaliveSettings_timeout(ka, http->http2_keep_alive->timeout_ns.v);
		}
}

static void status_match_write(struct pb_common_matcher_v3_MatchPredicate p, int64_t code)
{
	char text[8];
	size_t n = 3;
	for (size_t i = n; i-- > 0; code /= 10)
		text[i] = (char)('0' + code % 10);
	PB_WITH (headers, pb_common_matcher_v3_MatchPredicate_http_response_headers_match(p))
		PB_WITH (h, pb_common_matcher_v3_HttpHeadersMatch_headers(headers)) {
			pb_route_v3_HeaderMatcher_name(h, COX_STR(":status"));
			PB_WITH (s, pb_route_v3_HeaderMatcher_string_match(h))
				pb_type_matcher_v3_StringMatcher_exact(s, cox_str_make(text, n));
		}
}

/* Which answers count as errors for outlier detection. */
static void error_codes_write(struct pb_upstreams_http_v3_HttpProtocolOptions o, const struct cox_outlier_detection *outlier)
{
	size_t n = outlier->outlier_detection_http_error_codes.n;
	const struct cox_opt_i64 *codes = outlier->outlier_detection_http_error_codes.p;

	PB_WITH (od, pb_upstreams_http_v3_HttpProtocolOptions_outlier_detection(o))
		PB_WITH (m, pb_upstreams_http_v3_HttpProtocolOptions_OutlierDetection_error_matcher(od)) {
			if (n == 1) {
				status_match_write(m, codes[0].v);
				continue;
			}
			PB_WITH (any, pb_common_matcher_v3_MatchPredicate_or_match(m))
				for (size_t i = 0; i < n; i++)
					PB_WITH (rule, pb_common_matcher_v3_MatchPredicate_MatchSet_rules(any))
						status_match_write(rule, codes[i].v);
		}
}

static void http1_options_write(struct pb_core_v3_Http1ProtocolOptions o, const struct cox_cluster_http *h)
{
	if (h->keeps_case)
		cox_settings_keep_case_write(o);
}

static void http_options_write(struct pb_upstreams_http_v3_HttpProtocolOptions o, const struct cox_cluster_http *h, bool has_common)
{
	if (has_common)
		PB_WITH (common, pb_upstreams_http_v3_HttpProtocolOptions_common_http_protocol_options(o))
			common_options_write(common, h->pool);
	if (h->has_auto_sni)
		PB_WITH (up, pb_upstreams_http_v3_HttpProtocolOptions_upstream_http_protocol_options(o)) {
			pb_core_v3_UpstreamHttpProtocolOptions_auto_sni(up, true);
			pb_core_v3_UpstreamHttpProtocolOptions_auto_san_validation(up, h->has_auto_san);
		}
	if (h->follows_downstream) {
		PB_WITH (down, pb_upstreams_http_v3_HttpProtocolOptions_use_downstream_protocol_config(o)) {
			PB_WITH (h1, pb_upstreams_http_v3_HttpProtocolOptions_UseDownstreamHttpConfig_http_protocol_options(down))
				http1_options_write(h1, h);
			PB_WITH (h2, pb_upstreams_http_v3_HttpProtocolOptions_UseDownstreamHttpConfig_http2_protocol_options(down))
				http2_options_write(h2, h->pool);
		}
	} else {
		PB_WITH (explicit, pb_upstreams_http_v3_HttpProtocolOptions_explicit_http_config(o)) {
			if (h->is_http2)
				PB_WITH (h2, pb_upstreams_http_v3_HttpProtocolOptions_ExplicitHttpConfig_http2_protocol_options(explicit))
					http2_options_write(h2, h->pool);
			else
				PB_WITH (h1, pb_upstreams_http_v3_HttpProtocolOptions_ExplicitHttpConfig_http_protocol_options(explicit))
					http1_options_write(h1, h);
		}
	}
	if (h->outlier != NULL && h->outlier->outlier_detection_http_error_codes.n > 0)
		error_codes_write(o, h->outlier);
}

bool cox_cluster_http_is_written(const struct cox_cluster_http *h)
{
	bool has_codes = h->outlier != NULL && h->outlier->outlier_detection_http_error_codes.n > 0;
	return has_common_options(h->pool) || has_codes || h->is_http2 || h->follows_downstream || h->has_auto_sni || h->keeps_case;
}

void cox_cluster_http_write(struct pb_cluster_v3_Cluster c, const struct cox_cluster_http *h)
{
	bool has_common = has_common_options(h->pool);

	if (!cox_cluster_http_is_written(h))
		return;
	PB_ANY (o, pb_cluster_v3_Cluster_typed_extension_protocol_options(c, COX_HTTP_OPTIONS), pb_upstreams_http_v3_HttpProtocolOptions)
		http_options_write(o, h, has_common);
}

/* --- resources ---------------------------------------------------------------------------- */

const struct cox_resource *cox_cluster_known(struct cox_tr *t, struct cox_hash identity)
{
	return t->memo != NULL ? cox_memo_find(t->memo, identity) : NULL;
}

const struct cox_resource *cox_cluster_finish(struct cox_tr *t, struct cox_hash identity, enum cox_type type, struct cox_str name,
                                              struct cox_buf *wire, struct cox_str origins)
{
	const struct cox_resource *r = cox_resource_new(type, name, cox_buf_str(wire), origins, (struct cox_str){ 0 });
	cox_buf_fini(wire);
	t->built++;
	return t->memo != NULL ? cox_memo_put_take(t->memo, identity, r) : r;
}

struct cox_str cox_cluster_origins(struct cox_arena *a, const struct cox_svc *svc, const struct cox_dr *dr)
{
	struct cox_buf ids = { 0 };
	cox_buf_append_str(&ids, svc->object_id);
	for (size_t i = 0; dr != NULL && i < dr->object_ids.n; i++) {
		cox_buf_append_char(&ids, '\n');
		cox_buf_append_str(&ids, dr->object_ids.p[i]);
	}
	struct cox_str made = cox_arena_str(a, cox_buf_str(&ids));
	cox_buf_fini(&ids);
	return made;
}

struct cox_hash cox_cluster_identity(const struct cox_tr *t, const struct cox_cluster_spec *spec, const char *what)
{
	struct cox_hash h = cox_hash_combine(t->s->mesh_hash, spec->snap->svc->hash);
	struct cox_buf text = { 0 };

	if (spec->dr != NULL)
		h = cox_hash_combine(h, spec->dr->hash);
	h = cox_hash_combine(h, cox_snapshot_mtls_hash(t->s, spec->snap->svc->ns));
	h = cox_hash_combine(h, cox_settings_hash(t));
	cox_buf_printf(&text, "%s:%d:%d:%d:%d:%d:%u:%d:", what, (int)t->view->family, (int)t->view->type, (int)t->view->klass,
	               (int)t->view->has_sds, (int)spec->is_sni_dnat, spec->port->port, spec->dr != NULL);
	if (spec->subset != NULL)
		cox_buf_append_str(&text, spec->subset->name);
	h = cox_hash_combine(h, cox_hash128(text.p, text.n));
	cox_buf_fini(&text);
	return h;
}
