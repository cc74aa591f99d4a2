#include "translate/inbound_priv.h"

#include "translate/common_tls.h"
#include "translate/filters.h"
#include "translate/guard.h"
#include "translate/hcm.h"
#include "translate/route_priv.h"
#include "translate/settings.h"

/* ALPN values by which Istio's clients say what they speak inside of mTLS. */
static const struct cox_str alpn_any[] = {
	COX_STR_INIT("istio"),    COX_STR_INIT("istio-peer-exchange"), COX_STR_INIT("istio-http/1.0"), COX_STR_INIT("istio-http/1.1"),
	COX_STR_INIT("istio-h2"),
};
static const struct cox_str alpn_mtls_http[] = { COX_STR_INIT("istio-http/1.0"), COX_STR_INIT("istio-http/1.1"), COX_STR_INIT("istio-h2") };
static const struct cox_str alpn_mtls_tcp[] = { COX_STR_INIT("istio-peer-exchange"), COX_STR_INIT("istio") };
static const struct cox_str alpn_plain_http[] = { COX_STR_INIT("http/1.1"), COX_STR_INIT("h2c"), COX_STR_INIT("http/1.0") };
/* What the server offers. */
static const struct cox_str offer_http[] = { COX_STR_INIT("h2"), COX_STR_INIT("http/1.1") };
static const struct cox_str offer_tcp[] = { COX_STR_INIT("istio-peer-exchange"), COX_STR_INIT("h2"), COX_STR_INIT("http/1.1") };

/* One filter chain: what it matches and how it treats it. */
struct chain {
	bool is_http, terminates;
	struct cox_str transport; /* "tls", "raw_buffer"; empty: any */
	const struct cox_str *alpn;
	size_t alpn_n;
};
enum { CHAINS_MAX = 5 };

#define TLS COX_STR_INIT("tls")
#define RAW COX_STR_INIT("raw_buffer")

/* The table of protocol facts, section 4. `plain_n`: HTTP/1.0 is sniffed only where the mesh allows it. */
static size_t chains_of(enum cox_protocol protocol, enum cox_inbound_tls mode, size_t plain_n, struct chain out[CHAINS_MAX])
{
	static const struct cox_str tls = TLS, raw = RAW;
	const struct chain http_any = { true, true, tls, alpn_any, COX_LEN(alpn_any) },
	                   tcp_any = { false, true, tls, alpn_any, COX_LEN(alpn_any) };
	const struct chain http_mtls = { true, true, tls, alpn_mtls_http, COX_LEN(alpn_mtls_http) };
	const struct chain tcp_mtls = { false, true, tls, alpn_mtls_tcp, COX_LEN(alpn_mtls_tcp) };
	const struct chain http_sniffed = { true, false, raw, alpn_plain_http, plain_n };
	const struct chain http_raw = { true, false, raw, NULL, 0 }, tcp_raw = { false, false, raw, NULL, 0 },
	                   tcp_tls = { false, false, tls, NULL, 0 };
	const struct chain http_strict = { true, true, tls, NULL, 0 }, tcp_strict = { false, true, tls, NULL, 0 };
	const struct chain tcp_all = { false, false, { 0 }, NULL, 0 };
	bool is_http = cox_protocol_is_http(protocol), is_auto = protocol == COX_PROTO_AUTO;
	size_t n = 0;

	if (mode == COX_INBOUND_TLS_REFUSE)
		return 0;
	if (mode == COX_INBOUND_TLS_STRICT) {
		if (is_auto)
			out[n++] = http_mtls;
		out[n++] = is_http ? http_strict : tcp_strict;
	} else if (mode == COX_INBOUND_TLS_DISABLE) {
		/* The application's own TLS passes on TCP ports. Where a chain names raw_buffer, Envoy looks for clear text among such
		 * chains alone: what is no HTTP needs one of its own there. */
		if (is_auto) {
			out[n++] = http_sniffed;
			out[n++] = tcp_raw;
		}
		out[n++] = is_http ? http_raw : tcp_all;
	} else if (is_auto) {
		out[n++] = http_mtls;
		out[n++] = http_sniffed;
		out[n++] = tcp_mtls;
		out[n++] = tcp_raw;
		out[n++] = tcp_tls;
	} else if (is_http) {
		out[n++] = http_any;
		out[n++] = http_raw;
	} else {
		out[n++] = tcp_any;
		out[n++] = tcp_tls;
		out[n++] = tcp_raw;
	}
	return n;
}

static void match_write(struct pb_listener_v3_FilterChain fc, const struct chain *c, uint16_t port)
{
	PB_WITH (m, pb_listener_v3_FilterChain_filter_chain_match(fc)) {
		if (port > 0)
			pb_listener_v3_FilterChainMatch_destination_port(m, port);
		pb_listener_v3_FilterChainMatch_transport_protocol(m, c->transport);
		for (size_t i = 0; i < c->alpn_n; i++)
			pb_listener_v3_FilterChainMatch_application_protocols(m, c->alpn[i]);
	}
}

static void tls_write(struct pb_listener_v3_FilterChain fc, const struct cox_tr *t, const struct chain *c)
{
	/* Whoever offers istio-peer-exchange must speak it: a stock Envoy does not. */
	size_t skip = t->view->klass == COX_CLASS_ISTIO ? 0 : 1;
	if (!c->terminates)
		return;
	if (!c->is_http)
		cox_guard_tcp_write(fc, t);
	PB_WITH (s, pb_listener_v3_FilterChain_transport_socket(fc)) {
		if (c->is_http)
			cox_tls_inbound_mtls(s, t, offer_http, COX_LEN(offer_http));
		else
			cox_tls_inbound_mtls(s, t, offer_tcp + skip, COX_LEN(offer_tcp) - skip);
	}
}

/* What differs between the HTTP chains of a workload. */
struct inbound_http {
	struct cox_str cluster, stat_prefix, hostname;
	uint16_t port;
	enum cox_protocol protocol;
	const struct cox_inbound_port *at; /* NULL: no port of a service */
};

static void route_write(struct pb_route_v3_Route r, const struct cox_tr *t, const struct inbound_http *h)
{
	const struct cox_retry *policy = t->s->mesh->default_inbound_http_retry_policy;
	bool is_grpc = h->protocol == COX_PROTO_GRPC || h->protocol == COX_PROTO_GRPC_WEB;

	pb_route_v3_Route_name(r, COX_STR("default"));
	PB_WITH (m, pb_route_v3_Route_match(r))
		pb_route_v3_RouteMatch_prefix(m, COX_STR("/"));
	PB_WITH (a, pb_route_v3_Route_route(r)) {
		pb_route_v3_RouteAction_cluster(a, h->cluster);
		pb_route_v3_RouteAction_timeout(a, 0);
		if (!is_grpc && (policy == NULL || !policy->attempts.set || policy->attempts.v > 0))
			PB_WITH (retry, pb_route_v3_RouteAction_retry_policy(a))
				route_retry_inbound_write(retry, policy);
		PB_WITH (d, pb_route_v3_RouteAction_max_stream_duration(a)) {
			pb_route_v3_RouteAction_MaxStreamDuration_max_stream_duration(d, 0);
			pb_route_v3_RouteAction_MaxStreamDuration_grpc_timeout_header_max(d, 0);
		}
	}
	PB_WITH (d, pb_route_v3_Route_decorator(r))
		pb_route_v3_Decorator_operation(d, cox_arena_printf(t->arena, "%.*s:%u/*", COX_FMT(h->hostname), h->port));
}

static void route_config_encode(struct cox_buf *out, const struct cox_tr *t, const struct inbound_http *h)
{
	struct cox_pb pb;
	cox_pb_init(&pb, out);
	PB_ROOT (rc, pb_route_v3_RouteConfiguration, &pb) {
		pb_route_v3_RouteConfiguration_name(rc, h->cluster);
		PB_WITH (vh, pb_route_v3_RouteConfiguration_virtual_hosts(rc)) {
			pb_route_v3_VirtualHost_name(vh, cox_arena_printf(t->arena, "inbound|http|%u", h->port));
			pb_route_v3_VirtualHost_domains(vh, COX_STR("*"));
			PB_WITH (r, pb_route_v3_VirtualHost_routes(vh))
				route_write(r, t, h);
		}
		pb_route_v3_RouteConfiguration_validate_clusters(rc, false);
	}
}

static void http_write(struct pb_listener_v3_FilterChain fc, const struct cox_inbound *in, const struct inbound_http *h, bool is_mtls)
{
	struct cox_buf routes = { 0 }, access = { 0 };
	struct cox_str filters[1];
	struct cox_rbac rbac;

	route_config_encode(&routes, in->t, h);
	struct cox_hcm hcm = {
		.side = COX_HCM_INBOUND,
		.t = in->t,
		.identity = cox_hcm_identity_of_workload(in->w),
		.stat_prefix = h->stat_prefix,
		.route_config = cox_buf_str(&routes),
		.has_grpc_web = h->protocol == COX_PROTO_GRPC_WEB,
		.has_deadline = h->at && h->at->snap && cox_snapshot_host_has_deadline(in->t->s, h->at->snap->svc->hostname),
		.limit_filters.p = in->limits.encoded.p,
		.limit_filters.n = in->limits.encoded.n,
		.http10 = in->t->view->http10,
		.is_mtls = is_mtls,
		.idle_timeout_ns = in->t->view->idle_timeout_ns,
	};
	if (cox_inbound_access(in, h->at, true, &rbac)) {
		cox_rbac_http_encode(&access, &rbac);
		filters[0] = cox_buf_str(&access);
		hcm.security_filters.p = filters;
		hcm.security_filters.n = 1;
	}
	cox_settings_chain_write(fc, in->t, h->stat_prefix);
	cox_filter_mx(fc, in->t);
	PB_WITH (f, pb_listener_v3_FilterChain_filters(fc))
		cox_hcm_write(f, &hcm);
	cox_buf_fini(&access);
	cox_buf_fini(&routes);
}

/* Node metadata IDLE_TIMEOUT, else what the Sidecar says of connections to the application. */
static struct cox_opt_i64 tcp_idle(const struct cox_inbound *in, const struct cox_inbound_port *at)
{
	const struct cox_connection_pool *pool = at != NULL && at->ingress != NULL ? at->ingress->connection_pool : NULL;
	if (pool == NULL && at != NULL && in->spec != NULL)
		pool = in->spec->inbound_connection_pool;
	if (in->t->view->idle_timeout_ns.set || pool == NULL || pool->tcp == NULL)
		return in->t->view->idle_timeout_ns;
	return pool->tcp->idle_timeout_ns;
}

static void tcp_write(struct pb_listener_v3_FilterChain fc, const struct cox_inbound *in, const struct cox_inbound_port *at,
                      struct cox_str cluster, enum cox_protocol protocol)
{
	struct cox_rbac rbac;
	struct cox_tcp_target target = { cluster, 1 };
	struct cox_tcp_proxy p = {
		.stat_prefix = cluster, .targets = &target, .target_n = 1, .protocol = protocol, .idle_timeout_ns = tcp_idle(in, at)
	};
	cox_settings_chain_write(fc, in->t, cluster);
	cox_filter_mx(fc, in->t);
	if (cox_inbound_access(in, at, false, &rbac))
		cox_rbac_tcp_write(fc, &rbac);
	cox_filter_tcp_stats(fc, in->t, COX_DIR_INBOUND);
	cox_filter_tcp_proxy(fc, in->t, &p);
}

static void blackhole_write(struct pb_listener_v3_FilterChain fc, const struct cox_inbound *in)
{
	struct cox_tcp_target target = { COX_BLACKHOLE, 1 };
	struct cox_tcp_proxy p = { .stat_prefix = COX_BLACKHOLE,
		                   .targets = &target,
		                   .target_n = 1,
		                   .protocol = COX_PROTO_TCP,
		                   .no_access_log = true,
		                   .idle_timeout_ns = in->t->view->idle_timeout_ns };
	cox_filters_tcp(fc, in->t, COX_DIR_INBOUND, &p);
}

static size_t plain_alpn_n(const struct cox_tr *t) { return t->view->http10 ? 3 : 2; }

static void chain_metadata_write(struct pb_listener_v3_FilterChain fc, const struct cox_inbound *in)
{
	const struct cox_meta *meta = &in->sidecar->meta;
	struct cox_istio_metadata md = { .config = cox_istio_config_path(in->t->arena, "sidecar", meta->ns, meta->name) };
	PB_WITH (m, pb_listener_v3_FilterChain_metadata(fc))
		cox_istio_metadata_write(m, &md);
}

void cox_inbound_chains_write(struct pb_listener_v3_Listener l, const struct cox_inbound *in, const struct cox_inbound_port *p)
{
	const struct cox_tr *t = in->t;
	struct chain chains[CHAINS_MAX];
	size_t n = chains_of(p->protocol, p->tls, plain_alpn_n(t), chains);
	struct cox_str name = cox_arena_printf(t->arena, "%.*s_%u", COX_FMT(p->bind), p->target);
	struct inbound_http http = { p->cluster,  cox_arena_printf(t->arena, "inbound_%.*s;", COX_FMT(name)),
		                     p->hostname, p->svc_port,
		                     p->protocol, p };

	for (size_t i = 0; i < n; i++)
		PB_WITH (fc, pb_listener_v3_Listener_filter_chains(l)) {
			match_write(fc, &chains[i], p->target);
			if (chains[i].is_http)
				http_write(fc, in, &http, chains[i].terminates);
			else
				tcp_write(fc, in, p, p->cluster, p->protocol);
			if (p->ingress != NULL)
				chain_metadata_write(fc, in);
			tls_write(fc, t, &chains[i]);
			pb_listener_v3_FilterChain_name(fc, name);
		}
}

void cox_inbound_passthrough_chains_write(struct pb_listener_v3_Listener l, const struct cox_inbound *in, uint16_t listen_port)
{
	struct chain chains[CHAINS_MAX];
	size_t n = chains_of(COX_PROTO_AUTO, cox_inbound_tls_mode(in->t, in->w, 0), plain_alpn_n(in->t), chains);
	struct inbound_http http = {
		COX_INBOUND_PASSTHROUGH_CLUSTER, COX_STR("InboundPassthroughCluster;"), { 0 }, 0, COX_PROTO_AUTO, NULL
	};
	const struct chain any = { 0 };

	/* Whoever calls the listener's own port would be sent round in circles. */
	PB_WITH (fc, pb_listener_v3_Listener_filter_chains(l)) {
		match_write(fc, &any, listen_port);
		blackhole_write(fc, in);
		pb_listener_v3_FilterChain_name(fc, COX_STR("virtualInbound-blackhole"));
	}
	for (size_t i = 0; i < n; i++)
		PB_WITH (fc, pb_listener_v3_Listener_filter_chains(l)) {
			match_write(fc, &chains[i], 0);
			if (chains[i].is_http)
				http_write(fc, in, &http, chains[i].terminates);
			else
				tcp_write(fc, in, NULL, COX_INBOUND_PASSTHROUGH_CLUSTER, COX_PROTO_TCP);
			tls_write(fc, in->t, &chains[i]);
			pb_listener_v3_FilterChain_name(fc, chains[i].is_http ? COX_STR("virtualInbound-catchall-http")
			                                                      : COX_STR("virtualInbound"));
		}
}
