/* gateway_route.c - route configurations of a router: servers' hosts crossed with VirtualServices (protocol facts, section 7). */
#include "translate/gateway_priv.h"

struct gw_host { /* a virtual host in the making */
	struct cox_str host;
	COX_VEC(const struct cox_vs *) vss;
	const struct gw_server *server;   /* the first that has it */
	COX_VEC(struct cox_str) gateways; /* of all servers that have it: match.gateways may name any */
	bool require_tls;
	bool is_merged; /* its domains went to another with the same rules */
};
typedef COX_VEC(struct gw_host) gw_hosts;

static struct gw_host *host_get(gw_hosts *hosts, struct cox_str host)
{
	for (size_t i = 0; i < hosts->n; i++)
		if (cox_str_eq(hosts->p[i].host, host))
			return &hosts->p[i];
	struct gw_host *h = cox_vec_add(hosts);
	h->host = host;
	return h;
}

static void host_add(gw_hosts *hosts, const struct gw_server *s, struct cox_str host, const struct cox_vs *vs)
{
	struct gw_host *h = host_get(hosts, host);
	h->server = h->server ? h->server : s;
	h->require_tls |= s->server->tls && s->server->tls->https_redirect;
	if (!h->gateways.n || !cox_str_eq(h->gateways.p[h->gateways.n - 1], s->gateway_name))
		cox_vec_push(&h->gateways, s->gateway_name);
	for (size_t i = 0; i < h->vss.n; i++)
		if (h->vss.p[i] == vs)
			return;
	if (vs)
		cox_vec_push(&h->vss, vs);
}

static void collect_server(const struct gw_server *s, gw_hosts *hosts)
{
	for (size_t v = 0; v < s->vs_n; v++) {
		if (!s->vss[v]->spec->http.n)
			continue;
		for (COX_EACH(struct cox_str, h, s->vss[v]->spec->hosts))
			for (COX_EACH(struct cox_str, sh, s->server->hosts)) {
				struct cox_str common = gw_host_intersect(s, *sh, s->vss[v], *h);
				if (common.n)
					host_add(hosts, s, common, s->vss[v]);
			}
	}
	/* A redirecting server answers for its hosts even where no rule serves them. */
	if (s->server->tls && s->server->tls->https_redirect)
		for (COX_EACH(struct cox_str, sh, s->server->hosts))
			host_add(hosts, s, gw_host_dns(*sh), NULL);
}

static bool same_rules(const struct gw_host *a, const struct gw_host *b)
{
	return a->server->port == b->server->port && a->require_tls == b->require_tls && a->vss.n == b->vss.n && a->vss.n &&
	       a->gateways.n == b->gateways.n && memcmp(a->gateways.p, b->gateways.p, a->gateways.n * sizeof(*a->gateways.p)) == 0 &&
	       memcmp(a->vss.p, b->vss.p, a->vss.n * sizeof(*a->vss.p)) == 0;
}

/* Domains of all hosts with the same rules: one virtual host, named after the last of them. */
static size_t merge_domains(struct cox_arena *arena, gw_hosts *hosts, size_t i, const struct cox_str **out, struct cox_str *name)
{
	struct cox_str *domains = COX_ARENA_ARRAY(arena, struct cox_str, hosts->n);
	size_t n = 0;
	*name = hosts->p[i].host;
	domains[n++] = hosts->p[i].host;
	for (size_t k = i + 1; k < hosts->n; k++)
		if (!hosts->p[k].is_merged && same_rules(&hosts->p[i], &hosts->p[k])) {
			hosts->p[k].is_merged = true;
			*name = hosts->p[k].host;
			domains[n++] = hosts->p[k].host;
		}
	*out = domains;
	return n;
}

static void build_vhost(struct gw_plan *p, const struct gw_host *h, struct cox_str name, const struct cox_str *domains, size_t n,
                        void *out_vec)
{
	COX_VEC(struct cox_vhost) *out = out_vec;
	struct cox_route_ctx ctx = { .t = p->t,
		                     .port = h->server->port,
		                     .gateways = h->gateways.p,
		                     .gateway_n = h->gateways.n,
		                     .is_https = cox_protocol_is_tls(h->server->protocol) };
	struct cox_vhost_spec spec = { .name = cox_arena_printf(p->t->arena, "%.*s:%u", COX_FMT(name), h->server->port),
		                       .domains = domains,
		                       .domain_n = n,
		                       .vss = h->vss.p,
		                       .vs_n = h->vss.n,
		                       .require_tls = h->require_tls,
		                       .without_routes = h->vss.n == 0 };
	struct cox_vhost v;
	if (cox_vhost_build(&ctx, &spec, &v))
		cox_vec_push(out, v);
}

void gw_route_build(struct gw_plan *p, const struct gw_route *r, cox_resources *out)
{
	gw_hosts hosts = { 0 };
	COX_VEC(struct cox_vhost) vhosts = { 0 };
	for (size_t i = 0; i < r->servers.n; i++)
		collect_server(r->servers.p[i], &hosts);
	for (size_t i = 0; i < hosts.n; i++) {
		const struct cox_str *domains;
		struct cox_str name;
		if (hosts.p[i].is_merged)
			continue;
		size_t n = merge_domains(p->t->arena, &hosts, i, &domains, &name);
		build_vhost(p, &hosts.p[i], name, domains, n, &vhosts);
	}
	if (!vhosts.n) {
		/* Nothing is served here: 404 for every host, never a reset. */
		static const struct cox_str all[] = { COX_STR_INIT("*") };
		struct cox_route_ctx ctx = {
			.t = p->t, .port = r->servers.p[0]->port, .gateways = &r->servers.p[0]->gateway_name, .gateway_n = 1
		};
		struct cox_vhost v;
		if (cox_vhost_build(&ctx,
		                    &(struct cox_vhost_spec){ .name = cox_arena_printf(p->t->arena, "blackhole:%u", r->servers.p[0]->port),
		                                              .domains = all,
		                                              .domain_n = 1,
		                                              .without_routes = true },
		                    &v))
			cox_vec_push(&vhosts, v);
	}
	cox_vec_push(out, cox_route_config_build(p->t, r->name, vhosts.p, vhosts.n, false, NULL));
	for (size_t i = 0; i < vhosts.n; i++)
		cox_vhost_fini(&vhosts.p[i]);
	for (size_t i = 0; i < hosts.n; i++) {
		cox_vec_fini(&hosts.p[i].vss);
		cox_vec_fini(&hosts.p[i].gateways);
	}
	cox_vec_fini(&hosts);
	cox_vec_fini(&vhosts);
}
