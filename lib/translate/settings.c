#include "translate/settings.h"

#include "envoy/api.h"
#include "envoy/filters_network_connection_limit_v3.h"
#include "envoy/http_header_formatters_preserve_case_v3.h"

#define HCM_(x) PB_filters_network_http_connection_manager_v3_HttpConnectionManager_##x
#define NS_PER_S INT64_C(1000000000)

typedef struct pb_filters_network_http_connection_manager_v3_HttpConnectionManager hcm_pb;

const struct cox_proxy_config *cox_settings_of(const struct cox_tr *t)
{
	return t->view->config ? t->view->config : t->s->mesh->default_config;
}

struct cox_hash cox_settings_hash(const struct cox_tr *t) { return cox_hash128(t->view->config_text.p, t->view->config_text.n); }

static void unless_set(struct cox_opt_i64 *v, int64_t value)
{
	if (!v->set)
		*v = (struct cox_opt_i64){ value, true };
}

/* What Envoy's own page on edge proxies recommends, and Istio calls profile EDGE. */
static void edge_defaults(struct cox_connection_settings *c)
{
	unless_set(&c->listener_buffer_bytes, 32 * 1024);
	unless_set(&c->cluster_buffer_bytes, 32 * 1024);
	unless_set(&c->idle_ns, 3600 * NS_PER_S);
	unless_set(&c->stream_idle_ns, 300 * NS_PER_S);
	unless_set(&c->request_ns, 300 * NS_PER_S);
	unless_set(&c->request_headers_ns, 60 * NS_PER_S);
	unless_set(&c->max_streams, 100);
	unless_set(&c->stream_window_bytes, 64 * 1024);
	unless_set(&c->connection_window_bytes, 1024 * 1024);
	if (c->underscores == COX_UNDERSCORES_UNSET)
		c->underscores = COX_UNDERSCORES_REJECT;
	if (c->escaped_slashes == COX_SLASHES_UNSET)
		c->escaped_slashes = COX_SLASHES_REDIRECT;
	if (!c->merge_slashes.set)
		c->merge_slashes = (struct cox_opt_bool){ true, true };
}

struct cox_connection_settings cox_settings_connections(const struct cox_tr *t)
{
	const struct cox_connection_settings *given = cox_settings_of(t)->connection_settings;
	struct cox_connection_settings c = { 0 };
	if (given)
		c = *given;
	if (c.profile == COX_CONN_EDGE && t->view->type == COX_PROXY_ROUTER)
		edge_defaults(&c);
	return c;
}

static bool is_off(const struct cox_header_off *h) { return h && h->disabled.set && h->disabled.v; }
static bool is_on(const struct cox_header_on *h) { return h && h->enabled.set && h->enabled.v; }

struct cox_header_settings cox_settings_headers(const struct cox_tr *t, enum cox_hcm_side side)
{
	const struct cox_proxy_headers *h = cox_settings_of(t)->proxy_headers;
	struct cox_header_settings s = { .server = side == COX_HCM_OUTBOUND ? (struct cox_str){ 0 } : COX_STR("istio-envoy") };
	if (!h)
		return s;
	if (h->server && h->server->disabled.set && h->server->disabled.v) {
		s.server = (struct cox_str){ 0 };
		s.server_passes = true;
	} else if (h->server && h->server->value.n) {
		s.server = h->server->value;
	}
	s.no_request_id = is_off(h->request_id);
	s.no_attempt_count = is_off(h->attempt_count);
	s.no_debug_headers = is_off(h->envoy_debug_headers);
	s.mx_in_mesh = h->metadata_exchange_headers && h->metadata_exchange_headers->mode == COX_MX_IN_MESH;
	s.keeps_case = h->preserve_http1_header_case.set && h->preserve_http1_header_case.v;
	s.forwarded_host = is_on(h->x_forwarded_host);
	s.forwarded_port = is_on(h->x_forwarded_port);
	return s;
}

/* --- x-forwarded-client-cert --------------------------------------------------------------------- */

static int forward_of(int wanted, int otherwise)
{
	static const int to[] = {
		0, HCM_(SANITIZE), HCM_(FORWARD_ONLY), HCM_(APPEND_FORWARD), HCM_(SANITIZE_SET), HCM_(ALWAYS_FORWARD_ONLY)
	};
	return wanted == COX_FWD_UNDEFINED ? otherwise : to[wanted];
}

static bool detail(const struct cox_opt_bool *wanted, bool otherwise) { return wanted && wanted->set ? wanted->v : otherwise; }

/* forwardedClientCert is for sidecars, the topology for routers. */
static void client_cert_write(hcm_pb h, const struct cox_hcm *o)
{
	const struct cox_proxy_config *config = cox_settings_of(o->t);
	const struct cox_proxy_headers *headers = config->proxy_headers;
	const struct cox_cert_details *d = headers ? headers->set_current_client_cert_details : NULL;
	bool is_gateway = o->side == COX_HCM_GATEWAY;
	int mode = is_gateway ? forward_of(config->gateway_topology ? config->gateway_topology->forward_client_cert_details : 0,
	                                   HCM_(SANITIZE_SET))
	                      : forward_of(headers ? headers->forwarded_client_cert : 0, HCM_(APPEND_FORWARD));
	if (o->side == COX_HCM_OUTBOUND)
		return;
	pb_filters_network_http_connection_manager_v3_HttpConnectionManager_forward_client_cert_details(h, mode);
	if (mode != HCM_(APPEND_FORWARD) && mode != HCM_(SANITIZE_SET))
		return;
	PB_WITH (s, pb_filters_network_http_connection_manager_v3_HttpConnectionManager_set_current_client_cert_details(h)) {
		pb_filters_network_http_connection_manager_v3_HttpConnectionManager_SetCurrentClientCertDetails_subject(
		    s, detail(d ? &d->subject : NULL, true));
		pb_filters_network_http_connection_manager_v3_HttpConnectionManager_SetCurrentClientCertDetails_cert(
		    s, detail(d ? &d->cert : NULL, is_gateway));
		pb_filters_network_http_connection_manager_v3_HttpConnectionManager_SetCurrentClientCertDetails_chain(
		    s, detail(d ? &d->chain : NULL, false));
		pb_filters_network_http_connection_manager_v3_HttpConnectionManager_SetCurrentClientCertDetails_dns(
		    s, detail(d ? &d->dns : NULL, true));
		pb_filters_network_http_connection_manager_v3_HttpConnectionManager_SetCurrentClientCertDetails_uri(
		    s, detail(d ? &d->uri : NULL, true));
	}
}

/* --- the connection manager ------------------------------------------------------------------------ */

static void path_write(hcm_pb h, const struct cox_mesh_config *mesh, const struct cox_connection_settings *c)
{
	static const int escaped[] = { 0, HCM_(KEEP_UNCHANGED), HCM_(REJECT_REQUEST), HCM_(UNESCAPE_AND_REDIRECT),
		                       HCM_(UNESCAPE_AND_FORWARD) };
	int mode = mesh->path_normalization ? mesh->path_normalization->normalization : COX_PATH_DEFAULT;
	bool merges = mode == COX_PATH_MERGE_SLASHES || mode == COX_PATH_DECODE_AND_MERGE_SLASHES;
	int action = mode == COX_PATH_DECODE_AND_MERGE_SLASHES ? HCM_(UNESCAPE_AND_FORWARD) : HCM_(KEEP_UNCHANGED);
	pb_filters_network_http_connection_manager_v3_HttpConnectionManager_normalize_path(h, mode != COX_PATH_NONE);
	if (c->merge_slashes.set ? c->merge_slashes.v : merges)
		pb_filters_network_http_connection_manager_v3_HttpConnectionManager_merge_slashes(h, true);
	if (c->escaped_slashes != COX_SLASHES_UNSET)
		action = escaped[c->escaped_slashes];
	pb_filters_network_http_connection_manager_v3_HttpConnectionManager_path_with_escaped_slashes_action(h, action);
}

static void common_options_write(hcm_pb h, const struct cox_hcm *o, const struct cox_connection_settings *c)
{
	static const int underscores[] = { PB_core_v3_HttpProtocolOptions_ALLOW, PB_core_v3_HttpProtocolOptions_ALLOW,
		                           PB_core_v3_HttpProtocolOptions_REJECT_REQUEST, PB_core_v3_HttpProtocolOptions_DROP_HEADER };
	const struct cox_opt_i64 *idle = c->idle_ns.set ? &c->idle_ns : &o->idle_timeout_ns;
	if (!idle->set && !c->max_connection_ns.set && !c->max_stream_ns.set && c->underscores == COX_UNDERSCORES_UNSET)
		return;
	PB_WITH (p, pb_filters_network_http_connection_manager_v3_HttpConnectionManager_common_http_protocol_options(h)) {
		if (idle->set)
			pb_core_v3_HttpProtocolOptions_idle_timeout(p, idle->v);
		if (c->max_connection_ns.set)
			pb_core_v3_HttpProtocolOptions_max_connection_duration(p, c->max_connection_ns.v);
		if (c->max_stream_ns.set)
			pb_core_v3_HttpProtocolOptions_max_stream_duration(p, c->max_stream_ns.v);
		if (c->underscores != COX_UNDERSCORES_UNSET)
			pb_core_v3_HttpProtocolOptions_headers_with_underscores_action(p, underscores[c->underscores]);
	}
}

static void http2_options_write(hcm_pb h, const struct cox_connection_settings *c)
{
	if (!c->max_streams.set && !c->stream_window_bytes.set && !c->connection_window_bytes.set)
		return;
	PB_WITH (p, pb_filters_network_http_connection_manager_v3_HttpConnectionManager_http2_protocol_options(h)) {
		if (c->max_streams.set)
			pb_core_v3_Http2ProtocolOptions_max_concurrent_streams(p, (uint32_t)c->max_streams.v);
		if (c->stream_window_bytes.set)
			pb_core_v3_Http2ProtocolOptions_initial_stream_window_size(p, (uint32_t)c->stream_window_bytes.v);
		if (c->connection_window_bytes.set)
			pb_core_v3_Http2ProtocolOptions_initial_connection_window_size(p, (uint32_t)c->connection_window_bytes.v);
	}
}

void cox_settings_keep_case_write(struct pb_core_v3_Http1ProtocolOptions p)
{
	PB_WITH (f, pb_core_v3_Http1ProtocolOptions_header_key_format(p))
		PB_WITH (ext, pb_core_v3_Http1ProtocolOptions_HeaderKeyFormat_stateful_formatter(f)) {
			pb_core_v3_TypedExtensionConfig_name(ext, COX_STR("preserve_case"));
			PB_ANY (any, pb_core_v3_TypedExtensionConfig_typed_config(ext),
			        pb_http_header_formatters_preserve_case_v3_PreserveCaseFormatterConfig)
				(void)any;
		}
}

static void timeouts_write(hcm_pb h, const struct cox_connection_settings *c)
{
	/* Envoy's own default of five minutes would end long polls; the mesh's is none. */
	pb_filters_network_http_connection_manager_v3_HttpConnectionManager_stream_idle_timeout(
	    h, c->stream_idle_ns.set ? c->stream_idle_ns.v : 0);
	if (c->request_ns.set)
		pb_filters_network_http_connection_manager_v3_HttpConnectionManager_request_timeout(h, c->request_ns.v);
	if (c->request_headers_ns.set)
		pb_filters_network_http_connection_manager_v3_HttpConnectionManager_request_headers_timeout(h, c->request_headers_ns.v);
	if (c->drain_ns.set)
		pb_filters_network_http_connection_manager_v3_HttpConnectionManager_drain_timeout(h, c->drain_ns.v);
}

static void header_rules_write(hcm_pb h, const struct cox_hcm *o, const struct cox_header_settings *s)
{
	const struct cox_topology *topology = cox_settings_of(o->t)->gateway_topology;
	bool is_gateway = o->side == COX_HCM_GATEWAY;
	if (o->http10 || s->keeps_case)
		PB_WITH (p, pb_filters_network_http_connection_manager_v3_HttpConnectionManager_http_protocol_options(h)) {
			if (o->http10)
				pb_core_v3_Http1ProtocolOptions_accept_http_10(p, true);
			if (s->keeps_case)
				cox_settings_keep_case_write(p);
		}
	if (s->server.n)
		pb_filters_network_http_connection_manager_v3_HttpConnectionManager_server_name(h, s->server);
	if (s->server_passes)
		pb_filters_network_http_connection_manager_v3_HttpConnectionManager_server_header_transformation(h, HCM_(PASS_THROUGH));
	if (s->no_request_id)
		pb_filters_network_http_connection_manager_v3_HttpConnectionManager_generate_request_id(h, false);
	if (s->forwarded_port)
		pb_filters_network_http_connection_manager_v3_HttpConnectionManager_append_x_forwarded_port(h, true);
	pb_filters_network_http_connection_manager_v3_HttpConnectionManager_use_remote_address(h, is_gateway);
	if (is_gateway && topology && topology->num_trusted_proxies.v > 0)
		pb_filters_network_http_connection_manager_v3_HttpConnectionManager_xff_num_trusted_hops(
		    h, (uint32_t)topology->num_trusted_proxies.v);
}

void cox_settings_hcm_write(hcm_pb h, const struct cox_hcm *o)
{
	struct cox_connection_settings c = cox_settings_connections(o->t);
	struct cox_header_settings s = cox_settings_headers(o->t, o->side);
	header_rules_write(h, o, &s);
	client_cert_write(h, o);
	timeouts_write(h, &c);
	path_write(h, o->t->s->mesh, &c);
	common_options_write(h, o, &c);
	http2_options_write(h, &c);
}

/* --- listeners ------------------------------------------------------------------------------------ */

void cox_settings_listener_write(struct pb_listener_v3_Listener l, const struct cox_tr *t)
{
	struct cox_connection_settings c = cox_settings_connections(t);
	const struct cox_topology *topology = cox_settings_of(t)->gateway_topology;
	if (c.listener_buffer_bytes.set)
		pb_listener_v3_Listener_per_connection_buffer_limit_bytes(l, (uint32_t)c.listener_buffer_bytes.v);
	if (t->view->type != COX_PROXY_ROUTER || !topology || !topology->proxy_protocol)
		return;
	PB_WITH (f, pb_listener_v3_Listener_listener_filters(l)) {
		pb_listener_v3_ListenerFilter_name(f, COX_STR("envoy.filters.listener.proxy_protocol"));
		PB_ANY (p, pb_listener_v3_ListenerFilter_typed_config(f), pb_filters_listener_proxy_protocol_v3_ProxyProtocol)
			(void)p;
	}
}

void cox_settings_balance_write(struct pb_listener_v3_Listener l, const struct cox_tr *t, enum cox_hcm_side side)
{
	bool in = t->view->balances_inbound, out = t->view->balances_outbound;
	if (side == COX_HCM_INBOUND ? in : side == COX_HCM_OUTBOUND ? out : in || out)
		PB_WITH (c, pb_listener_v3_Listener_connection_balance_config(l))
			PB_WITH (exact, pb_listener_v3_Listener_ConnectionBalanceConfig_exact_balance(c))
				(void)exact;
}

void cox_settings_chain_write(struct pb_listener_v3_FilterChain fc, const struct cox_tr *t, struct cox_str stat_prefix)
{
	struct cox_connection_settings c = cox_settings_connections(t);
	if (!c.listener_connections.set)
		return;
	PB_WITH (f, pb_listener_v3_FilterChain_filters(fc)) {
		pb_listener_v3_Filter_name(f, COX_STR("envoy.filters.network.connection_limit"));
		PB_ANY (limit, pb_listener_v3_Filter_typed_config(f), pb_filters_network_connection_limit_v3_ConnectionLimit) {
			pb_filters_network_connection_limit_v3_ConnectionLimit_stat_prefix(limit, stat_prefix);
			pb_filters_network_connection_limit_v3_ConnectionLimit_max_connections(limit, (uint64_t)c.listener_connections.v);
		}
	}
}
