/* outbound_tcp.c - TCP and TLS chains: tls[] and tcp[] of VirtualServices, else straight to the service (protocol facts, sections 6 and 7).
 */
#include "translate/outbound_priv.h"

static const struct cox_str MESH = COX_STR_INIT("mesh");

struct cox_chain out_cluster_chain(struct cox_arena *a, struct cox_str name, struct cox_str cluster)
{
	struct cox_tcp_target *target = COX_ARENA_NEW(a, struct cox_tcp_target);
	*target = (struct cox_tcp_target){ cluster, 0 };
	return (struct cox_chain){ .name = name,
		                   .has_no_connect_timeout = true,
		                   .tcp = { .stat_prefix = cluster, .targets = target, .target_n = 1, .protocol = COX_PROTO_TCP } };
}

typedef COX_VEC(struct cox_chain) chains;

static const struct cox_dr *dr_find(const struct cox_tr *t, const struct cox_snap_svc *s)
{
	return s ? cox_scope_dr_find(t->s, t->view->ns, t->view->labels.p, t->view->labels.n, s->svc) : NULL;
}

/* Without a VirtualService. A service with one port is reached on it even where the listener has another. */
static struct cox_chain direct_chain(struct out_plan *p, const struct out_port *op)
{
	struct cox_tr *t = p->t;
	const struct cox_svc *svc = op->snap->svc;
	uint16_t port = svc->ports.n == 1 ? svc->ports.p[0].port : op->port;
	struct cox_str cluster = cox_cluster_name(t->arena, "outbound", port, (struct cox_str){ 0 }, svc->hostname);
	struct cox_chain c = out_cluster_chain(t->arena, (struct cox_str){ 0 }, cluster);
	c.has_no_connect_timeout = false;
	c.tcp.dr = dr_find(t, op->snap);
	c.tcp.port = port;
	c.tcp.protocol = op->protocol;
	c.tcp.idle_timeout_ns = t->view->idle_timeout_ns;
	if (svc->resolution == COX_RES_DYNAMIC_DNS && cox_protocol_is_tls(op->protocol))
		c.tcp.sni_dns_cache = cox_arena_concat(t->arena, svc->hostname, COX_STR("_dfp_dns_cache"));
	c.origin = svc->object_id;
	return c;
}

static bool vs_has_host(const struct cox_vs *vs, struct cox_str host)
{
	for (COX_EACH(struct cox_str, h, vs->spec->hosts))
		if (cox_host_covers(*h, host))
			return true;
	return false;
}

static void cidrs_set(struct cox_chain *c, struct cox_arena *a, struct cox_str cidr, const struct cox_str *subnets, size_t n)
{
	if (n > 0) {
		c->cidrs = subnets;
		c->cidr_n = n;
	} else if (cidr.n > 0) {
		struct cox_str *one = COX_ARENA_NEW(a, struct cox_str);
		*one = cidr;
		c->cidrs = one;
		c->cidr_n = 1;
	}
}

/* "*" is any name, which Envoy says by none. */
static void sni_set(struct cox_chain *c, const struct cox_str *hosts, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (cox_str_eq(hosts[i], COX_STR("*")))
			return;
	c->sni = hosts;
	c->sni_n = n;
}

/* Matches are tried in order; of two with the same runtime conditions only the first can ever be reached. */
static void chain_add(chains *out, struct cox_chain c)
{
	for (size_t i = 0; i < out->n; i++)
		if (cox_chain_match_eq(&out->p[i], &c))
			return;
	cox_vec_push(out, c);
}

static void tls_chains(struct out_plan *p, const struct out_port *op, struct cox_str cidr, bool is_wildcard,
                       const struct cox_route_ctx *ctx, chains *out)
{
	const struct out_rules *rules = out_rules_of(p, op->from);
	for (size_t i = 0; i < rules->l4.n; i++) {
		const struct cox_vs *vs = op->from->virtual_services.p[rules->l4.p[i]];
		if (!vs_has_host(vs, op->snap->svc->hostname))
			continue;
		for (COX_EACH(struct cox_tls_route, r, vs->spec->tls))
			for (COX_EACH(struct cox_tls_match, m, r->match)) {
				struct cox_source_match s = { m->port,       m->source_labels.p, m->source_labels.n,
					                      m->gateways.p, m->gateways.n,      m->source_namespace };
				if (!cox_source_matches(ctx, &s))
					continue;
				struct cox_chain c = cox_chain_routed(p->t, vs, r->route.p, r->route.n, op->port, op->protocol);
				sni_set(&c, m->sni_hosts.p, m->sni_hosts.n);
				cidrs_set(&c, p->t->arena, cidr, m->destination_subnets.p, op->port > 0 ? m->destination_subnets.n : 0);
				chain_add(out, c);
			}
	}
	if (out->n > 0)
		return;
	struct cox_chain c = direct_chain(p, op);
	const struct cox_svc *svc = op->snap->svc;
	if (is_wildcard) { /* the server's name is all that tells services on one wildcard port apart */
		struct cox_str *sni = COX_ARENA_ARRAY(p->t->arena, struct cox_str, svc->aliases.n + 1);
		sni[c.sni_n++] = svc->hostname;
		for (COX_EACH(struct cox_str, alias, svc->aliases))
			sni[c.sni_n++] = *alias;
		c.sni = sni;
	}
	cidrs_set(&c, p->t->arena, cidr, NULL, 0);
	cox_vec_push(out, c);
}

/* True: nothing behind this VirtualService can be reached. */
static bool tcp_chains_of(struct out_plan *p, const struct out_port *op, struct cox_str cidr, const struct cox_route_ctx *ctx,
                          const struct cox_vs *vs, chains *out)
{
	struct cox_arena *a = p->t->arena;
	for (COX_EACH(struct cox_tcp_route, r, vs->spec->tcp)) {
		struct cox_chain c = cox_chain_routed(p->t, vs, r->route.p, r->route.n, op->port, op->protocol);
		bool all = r->match.n == 0;
		size_t n = 0, cap = 0;
		for (COX_EACH(struct cox_tcp_match, m, r->match))
			cap += m->destination_subnets.n;
		struct cox_str *subnets = COX_ARENA_ARRAY(a, struct cox_str, cap + 1);
		for (COX_EACH(struct cox_tcp_match, m, r->match)) {
			struct cox_source_match s = { m->port,       m->source_labels.p, m->source_labels.n,
				                      m->gateways.p, m->gateways.n,      m->source_namespace };
			if (!cox_source_matches(ctx, &s))
				continue;
			all |= m->destination_subnets.n == 0 || op->port == 0;
			for (COX_EACH(struct cox_str, net, m->destination_subnets))
				subnets[n++] = *net;
		}
		if (!all && n == 0)
			continue;
		cidrs_set(&c, a, cidr, subnets, all ? 0 : n);
		chain_add(out, c);
		if (all)
			return true;
	}
	return false;
}

static void tcp_chains(struct out_plan *p, const struct out_port *op, struct cox_str cidr, const struct cox_route_ctx *ctx, chains *out)
{
	const struct out_rules *rules = out_rules_of(p, op->from);
	for (size_t i = 0; i < rules->l4.n; i++) {
		const struct cox_vs *vs = op->from->virtual_services.p[rules->l4.p[i]];
		if (vs_has_host(vs, op->snap->svc->hostname) && tcp_chains_of(p, op, cidr, ctx, vs, out))
			return;
	}
	struct cox_chain c = direct_chain(p, op);
	cidrs_set(&c, p->t->arena, cidr, NULL, 0);
	chain_add(out, c);
}

struct cox_chain *out_tcp_chains(struct out_plan *p, const struct out_port *op, struct cox_str cidr, bool is_wildcard, size_t *n)
{
	struct cox_route_ctx ctx = { .t = p->t, .port = op->port, .gateways = &MESH, .gateway_n = 1 };
	chains out = { 0 };
	if (cox_protocol_is_tls(op->protocol))
		tls_chains(p, op, cidr, is_wildcard, &ctx, &out);
	else
		tcp_chains(p, op, cidr, &ctx, &out);
	struct cox_chain *copy = COX_ARENA_ARRAY(p->t->arena, struct cox_chain, out.n + 1);
	memcpy(copy, out.p, out.n * sizeof(*copy));
	*n = out.n;
	cox_vec_fini(&out);
	return copy;
}
