/* gateway_tcp.c - chains of a router's TCP, TLS and AUTO_PASSTHROUGH servers. */
#include "translate/gateway_priv.h"

static bool applies(struct gw_plan *p, const struct gw_server *s, struct cox_source_match m)
{
	struct cox_route_ctx ctx = { .t = p->t, .port = s->port, .gateways = &s->gateway_name, .gateway_n = 1 };
	return cox_source_matches(&ctx, &m);
}

static bool takes_vs(const struct gw_server *s, const struct cox_vs *vs)
{
	for (COX_EACH(struct cox_str, h, vs->spec->hosts))
		for (COX_EACH(struct cox_str, sh, s->server->hosts))
			if (gw_host_intersect(s, *sh, vs, *h).n)
				return true;
	return false;
}

/* For which names a chain is that ends TLS. As istiod: the server's. A rule made of a TLSRoute has names of its own among them, and there
 * may be several such rules. */
static void sni_set(struct gw_plan *p, const struct gw_server *s, const struct cox_vs *vs, struct cox_chain *c)
{
	struct cox_str semantics = COX_STR("internal.istio.io/route-semantics");
	bool is_own = cox_kv_has(vs->object->meta.annotations.p, vs->object->meta.annotations.n, semantics);
	const struct cox_str *from = is_own ? vs->spec->hosts.p : s->server->hosts.p;
	size_t n = is_own ? vs->spec->hosts.n : s->server->hosts.n;
	struct cox_str *sni = COX_ARENA_ARRAY(p->t->arena, struct cox_str, n + 1);
	for (size_t i = 0; i < n; i++)
		if (!cox_str_eq(gw_host_dns(from[i]), COX_STR("*")))
			sni[c->sni_n++] = gw_host_dns(from[i]);
	c->sni = sni;
}

static void tcp_routes(struct gw_plan *p, const struct gw_server *s, const struct cox_vs *vs, const struct cox_downstream_tls *tls,
                       struct gw_listener *l)
{
	for (COX_EACH(struct cox_tcp_route, r, vs->spec->tcp)) {
		struct cox_chain c = cox_chain_routed(p->t, vs, r->route.p, r->route.n, s->port, s->protocol);
		c.config_path = (struct cox_str){ 0 }; /* Istio names the VirtualService in the metadata of sidecars' chains only */
		c.tls = tls;
		if (cox_protocol_is_tls(s->protocol))
			sni_set(p, s, vs, &c);
		if (!r->match.n)
			cox_listener_chain_add(&l->plan, c, p->t->arena);
		for (COX_EACH(struct cox_tcp_match, m, r->match))
			if (applies(p, s,
			            (struct cox_source_match){ m->port, m->source_labels.p, m->source_labels.n, m->gateways.p,
			                                       m->gateways.n, m->source_namespace })) {
				c.cidrs = m->destination_subnets.p;
				c.cidr_n = m->destination_subnets.n;
				cox_listener_chain_add(&l->plan, c, p->t->arena);
			}
	}
}

static void tls_routes(struct gw_plan *p, const struct gw_server *s, const struct cox_vs *vs, struct gw_listener *l)
{
	for (COX_EACH(struct cox_tls_route, r, vs->spec->tls))
		for (COX_EACH(struct cox_tls_match, m, r->match)) {
			if (!applies(p, s,
			             (struct cox_source_match){ m->port, m->source_labels.p, m->source_labels.n, m->gateways.p,
			                                        m->gateways.n, m->source_namespace }))
				continue;
			struct cox_chain c = cox_chain_routed(p->t, vs, r->route.p, r->route.n, s->port, s->protocol);
			c.config_path = (struct cox_str){ 0 }; /* Istio names the VirtualService in the metadata of sidecars' chains only */
			struct cox_str *sni = COX_ARENA_ARRAY(p->t->arena, struct cox_str, m->sni_hosts.n);
			bool all = false;
			for (COX_EACH(struct cox_str, h, m->sni_hosts)) {
				bool taken = false;
				for (COX_EACH(struct cox_str, sh, s->server->hosts))
					taken |= gw_host_intersect(s, *sh, vs, *h).n > 0;
				all |= taken && cox_str_eq(*h, COX_STR("*"));
				if (taken)
					sni[c.sni_n++] = *h;
			}
			if (!c.sni_n)
				continue;
			c.sni = sni;
			c.sni_n = all ? 0 : c.sni_n;
			c.cidrs = m->destination_subnets.p;
			c.cidr_n = m->destination_subnets.n;
			cox_listener_chain_add(&l->plan, c, p->t->arena);
		}
}

/* --- AUTO_PASSTHROUGH: a chain per cluster of the mesh, chosen by SNI ------------------------------------ */

struct dnat {
	struct gw_plan *p;
	const struct gw_server *s;
	struct gw_listener *l;
};

static void dnat_visit(void *arg, const struct cox_cluster_spec *spec)
{
	struct dnat *d = arg;
	struct cox_arena *a = d->p->t->arena;
	if (spec->discovery == COX_DISCOVERY_NONE)
		return;
	struct cox_str *sni = COX_ARENA_NEW(a, struct cox_str);
	struct cox_tcp_target *target = COX_ARENA_NEW(a, struct cox_tcp_target);
	*sni = cox_cluster_spec_name(d->p->t, spec);
	*target = (struct cox_tcp_target){ *sni, 0 };
	cox_listener_chain_add(
	    &d->l->plan,
	    (struct cox_chain){ .sni = sni,
	                        .sni_n = 1,
	                        .is_istio_alpn = true,
	                        .origin = spec->snap->svc->object_id,
	                        .tcp = { .stat_prefix = *sni, .targets = target, .target_n = 1, .protocol = COX_PROTO_TCP } },
	    a);
	cox_vec_push(&d->p->dnat, *spec);
}

static void auto_passthrough(struct gw_plan *p, const struct gw_server *s, struct gw_listener *l)
{
	struct dnat d = { p, s, l };
	for (COX_EACH(struct cox_snap_svc, svc, p->t->s->svcs)) {
		bool taken = false;
		for (COX_EACH(struct cox_str, sh, s->server->hosts))
			taken |= cox_host_covers(gw_host_dns(*sh), svc->svc->hostname);
		if (taken && !svc->svc->is_external && cox_snapshot_svc_find(p->t->s, svc->svc->hostname, p->t->view->ns) == svc)
			cox_cluster_each(p->t, svc, 0, true, dnat_visit, &d);
	}
}

void gw_tcp_chains(struct gw_plan *p, const struct gw_server *s, struct gw_listener *l)
{
	const struct cox_downstream_tls *tls;
	if (s->server->tls && s->server->tls->mode == COX_SERVER_TLS_AUTO_PASSTHROUGH && cox_protocol_is_tls(s->protocol)) {
		auto_passthrough(p, s, l);
		return;
	}
	if (!gw_tls_build(p, s, &tls))
		return;
	for (size_t i = 0; i < s->vs_n; i++) {
		if (!takes_vs(s, s->vss[i]))
			continue;
		if (cox_protocol_is_tls(s->protocol) && !tls)
			tls_routes(p, s, s->vss[i], l);
		else
			tcp_routes(p, s, s->vss[i], tls, l);
	}
}
