/* gateway.c - a router's configuration: Gateways that select it, one listener per address, and the clusters that something names. */
#include "translate/gateway_priv.h"

#include "translate/endpoint.h"
#include "translate/patch.h"

/* --- servers ------------------------------------------------------------------------------------------ */

/* The pod's port behind a port of the gateway's own Service (80 -> 8080). */
static uint16_t listen_port(const struct gw_plan *p, uint16_t port)
{
	const struct cox_snap_svc **own;
	size_t n =
	    cox_snapshot_svcs_of(p->t->s, p->w->view.ns, p->w->labels.p, p->w->labels.n, p->w->ips.p, p->w->ips.n, p->t->arena, &own);
	for (size_t i = 0; i < n; i++)
		for (COX_EACH(struct cox_svc_port, sp, own[i]->svc->ports)) {
			if (sp->port != port)
				continue;
			if (sp->target_port)
				return sp->target_port;
			for (COX_EACH(struct cox_endpoint, e, own[i]->endpoints->items))
				for (COX_EACH(struct cox_str, ip, p->w->ips))
					if (cox_str_eq(e->address, *ip) && cox_str_eq(e->port_name, sp->name))
						return e->port;
		}
	return port;
}

static void collect_servers(struct gw_plan *p)
{
	const struct cox_object **gateways;
	struct cox_arena *a = p->t->arena;
	size_t n = cox_snapshot_gateways_for(p->t->s, p->w->labels.p, p->w->labels.n, p->t->view->ns, a, &gateways);
	bool is_v6 = p->w->ips.n && cox_str_find(p->w->ips.p[0], ':') >= 0;
	for (size_t i = 0; i < n; i++) {
		const struct cox_gateway *g = COX_SPEC(cox_gateway_object, gateways[i])->spec;
		struct gw_server base = { .gateway = gateways[i],
			                  .gateway_name = cox_arena_printf(a, "%.*s/%.*s", COX_FMT(gateways[i]->meta.ns),
			                                                   COX_FMT(gateways[i]->meta.name)) };
		base.vs_n = cox_snapshot_gateway_vs(p->t->s, base.gateway_name, a, &base.vss);
		for (COX_EACH(struct cox_server, s, g->servers)) {
			struct gw_server one = base;
			if (!s->port || !s->port->number.set)
				continue;
			one.server = s;
			one.port = (uint16_t)s->port->number.v;
			one.listen_port = listen_port(p, one.port);
			/* It could not listen, and Envoy would refuse the listener for ever. */
			if (p->t->view->is_unprivileged && one.listen_port < 1024)
				continue;
			one.protocol = cox_protocol_of_name(s->port->protocol);
			one.bind = s->bind.n ? s->bind : is_v6 ? COX_STR("::") : COX_STR("0.0.0.0");
			cox_vec_push(&p->servers, one);
		}
	}
}

/* --- listeners ------------------------------------------------------------------------------------------ */

static bool is_plain_http(const struct gw_server *s) { return cox_protocol_is_http(s->protocol); }

static struct gw_listener *listener_get(struct gw_plan *p, const struct gw_server *s)
{
	struct cox_str name = cox_arena_printf(p->t->arena, "%.*s_%u", COX_FMT(s->bind), s->listen_port);
	for (size_t i = 0; i < p->listeners.n; i++)
		if (cox_str_eq(p->listeners.p[i]->plan.name, name))
			return p->listeners.p[i];
	struct gw_listener *l = COX_ARENA_NEW(p->t->arena, struct gw_listener);
	l->plan = (struct cox_listener_plan){ .name = name,
		                              .bind = s->bind,
		                              .port = s->listen_port,
		                              .side = COX_HCM_GATEWAY,
		                              .trace = cox_hcm_identity_of_workload(p->w),
		                              .limits = p->limits,
		                              .binds_port = true };
	l->is_http = is_plain_http(s);
	cox_vec_push(&p->listeners, l);
	return l;
}

static struct gw_route *route_get(struct gw_plan *p, struct cox_str name)
{
	for (size_t i = 0; i < p->routes.n; i++)
		if (cox_str_eq(p->routes.p[i]->name, name))
			return p->routes.p[i];
	struct gw_route *r = COX_ARENA_NEW(p->t->arena, struct gw_route);
	r->name = name;
	cox_vec_push(&p->routes, r);
	return r;
}

static struct cox_str route_name(const struct gw_plan *p, const struct gw_server *s)
{
	struct cox_arena *a = p->t->arena;
	struct cox_str name = is_plain_http(s) ? cox_arena_printf(a, "http.%u", s->listen_port)
	                                       : cox_arena_printf(a, "https.%u.%.*s.%.*s.%.*s", s->port, COX_FMT(s->server->port->name),
	                                                          COX_FMT(s->gateway->meta.name), COX_FMT(s->gateway->meta.ns));
	return s->server->bind.n ? cox_arena_printf(a, "%.*s.%.*s", COX_FMT(name), COX_FMT(s->server->bind)) : name;
}

static struct cox_chain http_chain(struct gw_plan *p, const struct gw_server *s, const struct gw_listener *l, struct cox_str route)
{
	struct cox_arena *a = p->t->arena;
	return (struct cox_chain){ .is_http = true,
		                   .route_name = route,
		                   .has_grpc_web = s->protocol == COX_PROTO_GRPC_WEB,
		                   .origin = s->gateway->id,
		                   .stat_prefix =
		                       s->server->name.n ? s->server->name : cox_arena_printf(a, "outbound_%.*s;", COX_FMT(l->plan.name)) };
}

static void add_http(struct gw_plan *p, const struct gw_server *s, struct gw_listener *l)
{
	struct cox_str name = route_name(p, s);
	struct gw_route *r = route_get(p, name);
	cox_vec_push(&r->servers, s);
	if (l->plan.chains.n)
		return; /* servers of one plain port share a chain and a route configuration */
	cox_vec_push(&l->plan.chains, http_chain(p, s, l, name));
}

static void add_https(struct gw_plan *p, const struct gw_server *s, struct gw_listener *l)
{
	const struct cox_downstream_tls *tls;
	struct cox_str name = route_name(p, s);
	if (!gw_tls_build(p, s, &tls) || !tls)
		return;
	struct cox_chain c = http_chain(p, s, l, name);
	struct cox_str *sni = COX_ARENA_ARRAY(p->t->arena, struct cox_str, s->server->hosts.n);
	for (COX_EACH(struct cox_str, h, s->server->hosts)) {
		if (cox_str_eq(gw_host_dns(*h), COX_STR("*"))) {
			c.sni_n = 0;
			break;
		}
		sni[c.sni_n++] = gw_host_dns(*h);
	}
	c.sni = sni;
	c.tls = tls;
	if (!cox_listener_chain_add(&l->plan, c, p->t->arena))
		return; /* the older Gateway keeps these hosts */
	struct gw_route *r = route_get(p, name);
	cox_vec_push(&r->servers, s);
}

static void plan_listeners(struct gw_plan *p)
{
	for (size_t i = 0; i < p->servers.n; i++) {
		const struct gw_server *s = &p->servers.p[i];
		struct gw_listener *l = listener_get(p, s);
		bool passes = s->server->tls && (s->server->tls->mode == COX_SERVER_TLS_PASSTHROUGH ||
		                                 s->server->tls->mode == COX_SERVER_TLS_AUTO_PASSTHROUGH);
		if (l->is_http != is_plain_http(s))
			continue; /* plain HTTP and other protocols cannot share a port: the older Gateway keeps it */
		for (size_t k = 0; k < s->vs_n; k++) {
			l->plan.has_deadline |= s->vss[k]->has_deadline;
			l->plan.has_sessions |= s->vss[k]->has_sessions;
		}
		if (l->is_http)
			add_http(p, s, l);
		else if (s->protocol == COX_PROTO_HTTPS && !passes)
			add_https(p, s, l);
		else
			gw_tcp_chains(p, s, l);
	}
}

/* --- clusters that something names --------------------------------------------------------------------------- */

struct wanted_clusters {
	struct gw_plan *p;
	cox_resources *clusters, *endpoints;
	struct cox_map seen;
};

static void add_cluster(struct wanted_clusters *wc, const struct cox_cluster_spec *spec)
{
	cox_vec_push(wc->clusters, cox_cluster_build(wc->p->t, spec));
	if (wc->p->secrets && !spec->is_sni_dnat)
		cox_secret_names_of_tls(wc->p->t->arena, spec->policy.tls, wc->p->secrets);
	if (spec->discovery == COX_DISCOVERY_EDS)
		cox_vec_push(wc->endpoints, cox_endpoints_build(wc->p->t, spec, spec->snap->endpoints));
}

static void add_named(struct wanted_clusters *wc, struct cox_str name)
{
	struct cox_str subset, host;
	uint16_t port;
	struct cox_cluster_spec spec;
	if (cox_map_find(&wc->seen, name) || !cox_cluster_name_parse(name, &port, &subset, &host))
		return;
	cox_map_set(&wc->seen, cox_arena_str(wc->p->t->arena, name), wc);
	const struct cox_snap_svc *svc = cox_snapshot_svc_find(wc->p->t->s, host, wc->p->t->view->ns);
	if (svc && cox_cluster_spec_find(wc->p->t, svc, port, subset, false, &spec))
		add_cluster(wc, &spec);
}

static void add_needed(struct wanted_clusters *wc, const cox_resources *from)
{
	for (size_t i = 0; i < from->n; i++) {
		struct cox_str rest = from->p[i]->needs, name;
		while (rest.n && cox_str_next(&rest, '\n', &name))
			add_named(wc, name);
	}
}

static void add_patched(void *arg, struct cox_str name) { add_named(arg, name); }

/* People write the port of the Gateway's server; the route configuration bears the one that the pod listens on. */
static void tell_ports(struct gw_plan *p)
{
	struct cox_patch_port *ports = COX_ARENA_ARRAY(p->t->arena, struct cox_patch_port, p->servers.n + 1);
	size_t n = 0;
	for (size_t i = 0; i < p->servers.n; i++)
		if (p->servers.p[i].listen_port != p->servers.p[i].port)
			ports[n++] = (struct cox_patch_port){ p->servers.p[i].listen_port, p->servers.p[i].port };
	p->t->patching->ports.p = ports;
	p->t->patching->ports.n = n;
}

static void plan_fini(struct gw_plan *p)
{
	for (size_t i = 0; i < p->listeners.n; i++)
		cox_vec_fini(&p->listeners.p[i]->plan.chains);
	for (size_t i = 0; i < p->routes.n; i++)
		cox_vec_fini(&p->routes.p[i]->servers);
	cox_vec_fini(&p->listeners);
	cox_vec_fini(&p->routes);
	cox_vec_fini(&p->servers);
	cox_vec_fini(&p->dnat);
}

void cox_translate_gateway(struct cox_tr *t, const struct cox_workload *w, cox_resources *clusters, cox_resources *endpoints,
                           cox_resources *listeners, cox_resources *routes, struct cox_secret_names *secrets)
{
	struct gw_plan p = { .t = t, .w = w, .secrets = secrets };
	p.limits = cox_rate_filters_build(t, w->view.ns, w->labels.p, w->labels.n);
	collect_servers(&p);
	plan_listeners(&p);
	for (size_t i = 0; i < p.listeners.n; i++)
		if (p.listeners.p[i]->plan.chains.n) /* a listener without chains would be refused */
			cox_vec_push(listeners, cox_listener_build(t, &p.listeners.p[i]->plan));
	for (size_t i = 0; i < p.routes.n; i++)
		gw_route_build(&p, p.routes.p[i], routes);
	struct wanted_clusters wc = { .p = &p, .clusters = clusters, .endpoints = endpoints };
	cox_vec_push(clusters, cox_cluster_blackhole(t));
	add_needed(&wc, listeners);
	add_needed(&wc, routes);
	cox_patch_clusters_named(t->patching, add_patched, &wc);
	for (size_t i = 0; i < p.dnat.n; i++)
		add_cluster(&wc, &p.dnat.p[i]);
	cox_map_fini(&wc.seen);
	if (t->patching)
		tell_ports(&p);
	cox_patch_gateway(t, clusters, listeners, routes);
	plan_fini(&p);
}
