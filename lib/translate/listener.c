/* listener.c - see listener.h. */
#include "translate/listener.h"
#include "translate/settings.h"

static const struct cox_str ISTIO_ALPN[] = { COX_STR_INIT("istio"), COX_STR_INIT("istio-peer-exchange"), COX_STR_INIT("istio-http/1.0"),
	                                     COX_STR_INIT("istio-http/1.1"), COX_STR_INIT("istio-h2") };

static bool chain_is_match_all(const struct cox_chain *c)
{
	return c->sni_n == 0 && c->cidr_n == 0 && !c->is_http_sniffed && !c->is_istio_alpn && c->destination_port == 0;
}

const struct cox_chain *cox_listener_match_all(const struct cox_listener_plan *p)
{
	for (size_t i = 0; i < p->chains.n; i++)
		if (chain_is_match_all(&p->chains.p[i]))
			return &p->chains.p[i];
	return NULL;
}

static bool strs_have(const struct cox_str *list, size_t n, struct cox_str s)
{
	for (size_t i = 0; i < n; i++)
		if (cox_str_eq(list[i], s))
			return true;
	return false;
}

static bool strs_same(const struct cox_str *a, size_t an, const struct cox_str *b, size_t bn)
{
	if (an != bn)
		return false;
	for (size_t i = 0; i < an; i++)
		if (!strs_have(b, bn, a[i]))
			return false;
	return true;
}

bool cox_chain_match_eq(const struct cox_chain *a, const struct cox_chain *b)
{
	return a->is_http_sniffed == b->is_http_sniffed && a->is_istio_alpn == b->is_istio_alpn &&
	       a->destination_port == b->destination_port && strs_same(a->sni, a->sni_n, b->sni, b->sni_n) &&
	       strs_same(a->cidrs, a->cidr_n, b->cidrs, b->cidr_n);
}

/* Both empty (anything), or a common member. */
static bool strs_meet(const struct cox_str *a, size_t an, const struct cox_str *b, size_t bn)
{
	if (an == 0 || bn == 0)
		return an == bn;
	for (size_t i = 0; i < an; i++)
		if (strs_have(b, bn, a[i]))
			return true;
	return false;
}

static const struct cox_str *strs_without(struct cox_arena *arena, const struct cox_str *a, size_t *n, const struct cox_str *b, size_t bn)
{
	struct cox_str *out = COX_ARENA_ARRAY(arena, struct cox_str, *n);
	size_t kept = 0;
	for (size_t i = 0; i < *n; i++)
		if (!strs_have(b, bn, a[i]))
			out[kept++] = a[i];
	*n = kept;
	return out;
}

bool cox_listener_chain_add(struct cox_listener_plan *p, struct cox_chain c, struct cox_arena *arena)
{
	for (size_t i = 0; i < p->chains.n; i++) {
		const struct cox_chain *e = &p->chains.p[i];
		if (e->is_http_sniffed != c.is_http_sniffed || e->is_istio_alpn != c.is_istio_alpn ||
		    e->destination_port != c.destination_port || !strs_meet(e->sni, e->sni_n, c.sni, c.sni_n) ||
		    !strs_meet(e->cidrs, e->cidr_n, c.cidrs, c.cidr_n))
			continue;
		if (c.sni_n > 0)
			c.sni = strs_without(arena, c.sni, &c.sni_n, e->sni, e->sni_n);
		else if (c.cidr_n > 0)
			c.cidrs = strs_without(arena, c.cidrs, &c.cidr_n, e->cidrs, e->cidr_n);
		if (c.sni_n + c.cidr_n == 0 || (e->sni_n > 0 && c.sni_n == 0))
			return false;
	}
	cox_vec_push(&p->chains, c);
	return true;
}

struct cox_chain cox_chain_routed(struct cox_tr *t, const struct cox_vs *vs, const struct cox_l4_route_destination *routes, size_t n,
                                  uint16_t listener_port, enum cox_protocol protocol)
{
	const struct cox_meta *meta = &vs->object->meta;
	struct cox_tcp_target *targets = COX_ARENA_ARRAY(t->arena, struct cox_tcp_target, n + 1);
	struct cox_chain c = { .config_path = cox_istio_config_path(t->arena, "virtual-service", meta->ns, meta->name) };
	bool weighted = false;
	for (size_t i = 0; i < n; i++)
		weighted |= routes[i].weight.set && routes[i].weight.v > 0;
	for (size_t i = 0; i < n; i++) {
		int64_t weight = routes[i].weight.set ? routes[i].weight.v : 0;
		const struct cox_snap_svc *svc;
		uint16_t port;
		if (routes[i].destination == NULL || (n > 1 && weighted && weight == 0))
			continue;
		struct cox_str cluster = cox_destination_cluster(t, routes[i].destination, listener_port, &svc, &port);
		if (c.tcp.target_n == 0) {
			c.tcp.dr = svc ? cox_scope_dr_find(t->s, t->view->ns, t->view->labels.p, t->view->labels.n, svc->svc) : NULL;
			c.tcp.subset = routes[i].destination->subset;
			c.tcp.port = port;
		}
		targets[c.tcp.target_n++] = (struct cox_tcp_target){ cluster, weighted ? weight : 1 };
	}
	if (c.tcp.target_n == 0)
		targets[c.tcp.target_n++] = (struct cox_tcp_target){ COX_BLACKHOLE, 0 };
	c.tcp.targets = targets;
	c.tcp.stat_prefix = n == 1 ? targets[0].cluster : cox_arena_printf(t->arena, "%.*s.%.*s", COX_FMT(meta->name), COX_FMT(meta->ns));
	c.tcp.protocol = protocol;
	c.tcp.idle_timeout_ns = t->view->idle_timeout_ns;
	c.origin = vs->object->id;
	return c;
}

/* --- identity --------------------------------------------------------------------------------- */

static struct cox_hash mix_str(struct cox_hash h, struct cox_str s) { return cox_hash_combine(h, cox_hash128(s.p, s.n)); }
static struct cox_hash mix_u64(struct cox_hash h, uint64_t v) { return cox_hash_combine(h, (struct cox_hash){ v, 2 }); }
static struct cox_hash mix_strs(struct cox_hash h, const struct cox_str *s, size_t n)
{
	h = mix_u64(h, n);
	for (size_t i = 0; i < n; i++)
		h = mix_str(h, s[i]);
	return h;
}

static struct cox_hash mix_tls(struct cox_hash h, const struct cox_downstream_tls *d)
{
	h = mix_str(mix_str(mix_str(h, d->cert), d->root), d->crl);
	h = mix_strs(mix_strs(h, d->certs, d->cert_n), d->sans, d->san_n);
	h = mix_strs(mix_strs(h, d->alpn, d->alpn_n), d->ciphers, d->cipher_n);
	h = mix_strs(mix_strs(mix_strs(h, d->curves, d->curve_n), d->spki, d->spki_n), d->hashes, d->hash_n);
	h = mix_u64(h, (uint64_t)d->compliance << 1 | d->accepts_untrusted);
	return mix_u64(h, (uint64_t)(uint32_t)d->min_version << 33 | (uint64_t)(uint32_t)d->max_version << 1 | d->requires_client_cert);
}

static struct cox_hash mix_chain(struct cox_hash h, const struct cox_chain *c)
{
	const struct cox_tcp_proxy *tcp = &c->tcp;
	h = mix_strs(mix_strs(mix_str(h, c->name), c->sni, c->sni_n), c->cidrs, c->cidr_n);
	h = mix_u64(h, (uint64_t)c->is_http_sniffed | (uint64_t)c->is_istio_alpn << 1 | (uint64_t)c->is_http << 2 |
	                   (uint64_t)c->has_grpc_web << 3 | (uint64_t)c->has_no_connect_timeout << 4 | (uint64_t)tcp->no_access_log << 5 |
	                   (uint64_t)c->destination_port << 16);
	h = mix_str(mix_str(mix_str(mix_str(h, c->route_name), c->stat_prefix), c->dynamic_dns_caches), c->config_path);
	if (c->tls)
		h = mix_tls(h, c->tls);
	if (!c->is_http) {
		h = mix_str(mix_str(mix_str(h, tcp->stat_prefix), tcp->subset), tcp->sni_dns_cache);
		h = mix_u64(h, (uint64_t)tcp->port << 8 | (uint64_t)tcp->protocol);
		for (size_t i = 0; i < tcp->target_n; i++)
			h = mix_u64(mix_str(h, tcp->targets[i].cluster), (uint64_t)tcp->targets[i].weight);
		if (tcp->dr)
			h = cox_hash_combine(h, tcp->dr->hash);
	}
	return cox_hash_combine(h, c->identity);
}

static struct cox_hash plan_identity(const struct cox_tr *t, const struct cox_listener_plan *p)
{
	const struct cox_view *v = t->view;
	struct cox_hash h = mix_str(mix_str(cox_hash128("listener", 8), p->name), p->bind);
	h = mix_u64(h, (uint64_t)p->port << 16 | (uint64_t)p->side << 8 | (uint64_t)p->has_deadline << 4 | (uint64_t)p->has_sessions << 5 |
	                   (uint64_t)p->binds_port << 3 | (uint64_t)p->is_capture << 2 | (uint64_t)p->is_transparent << 1 |
	                   p->has_fallthrough);
	h = mix_u64(h, (uint64_t)v->family << 16 | (uint64_t)v->klass << 8 | (uint64_t)v->http10 << 1 | (uint64_t)v->idle_timeout_ns.set |
	                   (uint64_t)v->has_access_log_service << 2 | (uint64_t)v->balances_outbound << 3 |
	                   (uint64_t)v->balances_inbound << 4);
	h = mix_u64(h, (uint64_t)v->idle_timeout_ns.v);
	h = mix_str(mix_str(mix_str(h, p->trace.cluster_id), p->trace.canonical_name), p->trace.canonical_revision);
	h = cox_hash_combine(mix_str(mix_str(h, p->trace.mesh_id), p->trace.ns), t->s->mesh_hash);
	h = mix_u64(cox_hash_combine(h, cox_settings_hash(t)), (uint64_t)v->type);
	for (COX_EACH(struct cox_str, limits, p->limits.encoded))
		h = mix_str(h, *limits);
	for (size_t i = 0; i < p->chains.n; i++)
		h = mix_chain(h, &p->chains.p[i]);
	return p->has_fallthrough ? mix_chain(h, &p->fallthrough) : h;
}

/* --- writing ---------------------------------------------------------------------------------- */

static void cidr_write(struct pb_core_v3_CidrRange r, struct cox_str cidr)
{
	ptrdiff_t slash = cox_str_find(cidr, '/');
	uint64_t len = cox_str_find(cidr, ':') >= 0 ? 128 : 32;
	struct cox_str ip = cidr;
	if (slash >= 0) {
		ip = cox_str_sub(cidr, 0, (size_t)slash);
		if (cox_str_to_u64(cox_str_sub(cidr, (size_t)slash + 1, SIZE_MAX), &len) != COX_OK)
			len = 0;
	}
	pb_core_v3_CidrRange_address_prefix(r, ip);
	pb_core_v3_CidrRange_prefix_len(r, (uint32_t)len);
}

static void match_write(struct pb_listener_v3_FilterChain fc, const struct cox_chain *c)
{
	if (chain_is_match_all(c))
		return;
	PB_WITH (m, pb_listener_v3_FilterChain_filter_chain_match(fc)) {
		for (size_t i = 0; i < c->cidr_n; i++)
			PB_WITH (r, pb_listener_v3_FilterChainMatch_prefix_ranges(m))
				cidr_write(r, c->cidrs[i]);
		if (c->destination_port != 0)
			pb_listener_v3_FilterChainMatch_destination_port(m, c->destination_port);
		if (c->is_http_sniffed)
			pb_listener_v3_FilterChainMatch_transport_protocol(m, COX_STR("raw_buffer"));
		if (c->is_http_sniffed) {
			pb_listener_v3_FilterChainMatch_application_protocols(m, COX_STR("http/1.1"));
			pb_listener_v3_FilterChainMatch_application_protocols(m, COX_STR("h2c"));
		}
		for (size_t i = 0; c->is_istio_alpn && i < COX_LEN(ISTIO_ALPN); i++)
			pb_listener_v3_FilterChainMatch_application_protocols(m, ISTIO_ALPN[i]);
		for (size_t i = 0; i < c->sni_n; i++)
			pb_listener_v3_FilterChainMatch_server_names(m, c->sni[i]);
	}
}

static void http_write(struct pb_listener_v3_FilterChain fc, const struct cox_tr *t, const struct cox_listener_plan *p,
                       const struct cox_chain *c)
{
	struct cox_hcm h = { .side = p->side,
		             .t = t,
		             .identity = p->trace,
		             .stat_prefix = c->stat_prefix,
		             .route_name = c->route_name,
		             .has_grpc_web = c->has_grpc_web,
		             .has_deadline = p->has_deadline,
		             .has_sessions = p->has_sessions,
		             .limit_filters.p = p->limits.encoded.p,
		             .limit_filters.n = p->limits.encoded.n,
		             .http10 = t->view->http10,
		             .is_mtls = c->tls && cox_str_eq(c->tls->root, COX_STR("ROOTCA")),
		             .dynamic_dns_caches = c->dynamic_dns_caches,
		             .idle_timeout_ns = t->view->idle_timeout_ns };
	PB_WITH (f, pb_listener_v3_FilterChain_filters(fc))
		cox_hcm_write(f, &h);
}

static void chain_write(struct pb_listener_v3_FilterChain fc, const struct cox_tr *t, const struct cox_listener_plan *p,
                        const struct cox_chain *c, bool is_default)
{
	if (!is_default)
		match_write(fc, c);
	cox_settings_chain_write(fc, t, c->is_http ? c->stat_prefix : c->tcp.stat_prefix);
	if (c->is_http)
		http_write(fc, t, p, c);
	else
		cox_filters_tcp(fc, t, p->side == COX_HCM_GATEWAY ? COX_DIR_GATEWAY : COX_DIR_OUTBOUND, &c->tcp);
	if (c->config_path.n > 0)
		PB_WITH (m, pb_listener_v3_FilterChain_metadata(fc)) {
			struct cox_istio_metadata md = { .config = c->config_path };
			cox_istio_metadata_write(m, &md);
		}
	if (c->tls)
		PB_WITH (s, pb_listener_v3_FilterChain_transport_socket(fc))
			cox_tls_downstream(s, c->tls, t->arena);
	pb_listener_v3_FilterChain_name(fc, c->name);
	if (!c->has_no_connect_timeout)
		pb_listener_v3_FilterChain_transport_socket_connect_timeout(fc, INT64_C(15000000000));
}

/* Server names and Istio's ALPN need the TLS inspector, sniffed HTTP the other one. */
static void inspectors_write(struct pb_listener_v3_Listener l, const struct cox_listener_plan *p)
{
	bool tls = false, http = false;
	for (size_t i = 0; i < p->chains.n; i++) {
		const struct cox_chain *c = &p->chains.p[i];
		tls |= c->sni_n > 0 || c->is_istio_alpn || c->tls != NULL;
		http |= c->is_http_sniffed;
	}
	if (tls)
		PB_WITH (f, pb_listener_v3_Listener_listener_filters(l)) {
			pb_listener_v3_ListenerFilter_name(f, COX_STR("envoy.filters.listener.tls_inspector"));
			PB_ANY (c, pb_listener_v3_ListenerFilter_typed_config(f), pb_filters_listener_tls_inspector_v3_TlsInspector)
				pb_filters_listener_tls_inspector_v3_TlsInspector_initial_read_buffer_size(c, 512);
		}
	if (http)
		PB_WITH (f, pb_listener_v3_Listener_listener_filters(l)) {
			pb_listener_v3_ListenerFilter_name(f, COX_STR("envoy.filters.listener.http_inspector"));
			PB_ANY (c, pb_listener_v3_ListenerFilter_typed_config(f), pb_filters_listener_http_inspector_v3_HttpInspector)
				(void)c;
		}
}

static struct pb_accesslog_v3_AccessLog log_open(void *arg)
{
	return pb_listener_v3_Listener_access_log(*(struct pb_listener_v3_Listener *)arg);
}

static void listener_write(struct pb_listener_v3_Listener l, const struct cox_tr *t, const struct cox_listener_plan *p)
{
	const struct cox_opt_i64 *sniff = &t->s->mesh->protocol_detection_timeout_ns;
	const struct cox_chain *all = p->chains.n > 1 ? cox_listener_match_all(p) : NULL;
	if (p->is_capture)
		all = NULL; /* its chains stay in their order, as Istio sends them */
	pb_listener_v3_Listener_name(l, p->name);
	cox_listener_address_write(l, t->view, p->bind, p->port);
	for (size_t i = 0; i < p->chains.n; i++)
		if (&p->chains.p[i] != all)
			PB_WITH (fc, pb_listener_v3_Listener_filter_chains(l))
				chain_write(fc, t, p, &p->chains.p[i], false);
	if (p->is_capture)
		pb_listener_v3_Listener_use_original_dst(l, true);
	cox_settings_listener_write(l, t);
	inspectors_write(l, p);
	if (p->is_transparent)
		pb_listener_v3_Listener_transparent(l, true);
	if (!p->is_capture && p->side == COX_HCM_OUTBOUND) {
		pb_listener_v3_Listener_listener_filters_timeout(l, sniff->set ? sniff->v : 0);
		pb_listener_v3_Listener_continue_on_listener_filters_timeout(l, true);
	}
	pb_listener_v3_Listener_traffic_direction(l, PB_core_v3_OUTBOUND);
	if (p->binds_port) {
		cox_access_logs(t, COX_LOG_OF_LISTENER, log_open, &l);
		pb_listener_v3_Listener_max_connections_to_accept_per_socket_event(l, 1);
		cox_settings_balance_write(l, t, p->side);
	} else {
		pb_listener_v3_Listener_bind_to_port(l, false);
	}
	if (all || p->has_fallthrough)
		PB_WITH (fc, pb_listener_v3_Listener_default_filter_chain(l))
			chain_write(fc, t, p, all ? all : &p->fallthrough, true);
}

static void chain_names(struct cox_tr *t, const struct cox_chain *c, struct cox_names *needs, struct cox_names *origins)
{
	if (c->is_http)
		cox_names_add(needs, cox_arena_concat(t->arena, COX_STR("rds:"), c->route_name));
	for (size_t i = 0; !c->is_http && i < c->tcp.target_n; i++)
		cox_names_add(needs, c->tcp.targets[i].cluster);
	cox_names_add_all(origins, c->origin);
}

const struct cox_resource *cox_listener_build(struct cox_tr *t, const struct cox_listener_plan *p)
{
	struct cox_hash id = plan_identity(t, p);
	const struct cox_resource *r = cox_memo_find(t->memo, id);
	if (r)
		return r;
	COX_AUTO(cox_buf_fini) struct cox_buf b = { 0 };
	COX_AUTO(cox_names_fini) struct cox_names needs = { .arena = t->arena }, origins = { .arena = t->arena };
	struct cox_pb pb;
	cox_pb_init(&pb, &b);
	PB_ROOT (l, pb_listener_v3_Listener, &pb)
		listener_write(l, t, p);
	if (p->limits.origins.n > 0)
		cox_names_add_all(&origins, p->limits.origins);
	for (size_t i = 0; i < p->chains.n; i++)
		chain_names(t, &p->chains.p[i], &needs, &origins);
	if (p->has_fallthrough)
		chain_names(t, &p->fallthrough, &needs, &origins);
	t->built++;
	return cox_memo_put_take(
	    t->memo, id, cox_resource_new(COX_TYPE_LDS, p->name, cox_buf_str(&b), cox_names_text(&origins), cox_names_text(&needs)));
}
