/* outbound_plan.c - which outbound listeners a scope has, and who shares one (protocol facts, section 6). */
#include "translate/outbound_priv.h"

#include <arpa/inet.h>

static const struct cox_str HTTP_PROXY = COX_STR_INIT("http_proxy");

static bool is_unix(struct cox_str bind) { return cox_str_has_prefix(bind, COX_STR("unix:")); }

static struct cox_str listener_name(struct cox_arena *a, struct cox_str bind, uint16_t port)
{
	bool is_any_v6 = cox_str_eq(bind, COX_STR("::"));
	return cox_arena_printf(a, "%s%.*s%s_%u", is_any_v6 ? "[" : "", COX_FMT(bind), is_any_v6 ? "]" : "", port);
}

/* --- routes named ------------------------------------------------------------------------------- */

static void route_add(struct out_plan *p, struct cox_str name, uint16_t port, const struct cox_scope_listener *from,
                      const struct cox_snap_svc *only)
{
	if (cox_map_set(&p->route_names, name, p))
		return;
	*cox_vec_add(&p->routes) = (struct out_route){ name, port, from, only };
}

/* --- chains -------------------------------------------------------------------------------------- */

/* What is resolved per request needs its DNS cache in the listener's filter chain: one for each wildcard host of the port, since each has a
 * cluster with a cache of its own, and one for hosts that nobody knows. */
static struct cox_str dns_caches_find(struct out_plan *p, const struct out_port *op)
{
	struct cox_buf caches = { 0 };
	if (p->t->scope->is_dynamic_dns)
		cox_buf_printf(&caches, "%.*s\n", COX_FMT(COX_ALLOW_ANY_DNS_CACHE));
	for (COX_EACH(struct cox_scope_svc, s, op->from->svcs)) {
		const struct cox_svc *svc = s->snap->svc;
		if (svc->resolution != COX_RES_DYNAMIC_DNS)
			continue;
		for (COX_EACH(struct cox_svc_port, sp, svc->ports))
			if ((sp->port == op->port || op->port == 0) && cox_protocol_is_http(sp->protocol)) {
				cox_buf_printf(&caches, "%.*s_dfp_dns_cache\n", COX_FMT(svc->hostname));
				break;
			}
	}
	struct cox_str text = cox_arena_str(p->t->arena, cox_buf_str(&caches));
	cox_buf_fini(&caches);
	return text;
}

static struct cox_chain http_chain(struct out_plan *p, const struct out_port *op, struct cox_str bind, bool sniffed, enum out_kind kind)
{
	struct cox_arena *a = p->t->arena;
	struct cox_chain c = { .is_http = true, .is_http_sniffed = sniffed, .has_grpc_web = op->protocol == COX_PROTO_GRPC_WEB };
	bool is_explicit = op->from->egress && op->from->egress->port;
	c.stat_prefix = cox_arena_printf(a, "outbound_%.*s_%u;", COX_FMT(bind), op->port);
	if (op->protocol == COX_PROTO_HTTP_PROXY && is_explicit) {
		c.route_name = HTTP_PROXY;
		route_add(p, c.route_name, 0, op->from, NULL);
	} else if (op->port == 0) {
		c.route_name = bind;
		route_add(p, c.route_name, 0, op->from, NULL);
	} else if (kind == OUT_AUTO && !cox_str_eq(bind, p->wildcard) && !is_explicit) {
		c.route_name = cox_arena_printf(a, "%.*s:%u", COX_FMT(op->snap->svc->hostname), op->port);
		route_add(p, c.route_name, op->port, op->from, op->snap);
	} else {
		c.route_name = cox_arena_printf(a, "%u", op->port);
		route_add(p, c.route_name, op->port, op->from, NULL);
	}
	c.dynamic_dns_caches = dns_caches_find(p, op);
	c.origin = op->snap->svc->object_id;
	return c;
}

static void chains_merge(struct out_plan *p, struct out_listener *l, const struct cox_chain *chains, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!cox_listener_chain_add(&l->plan, chains[i], p->t->arena))
			p->conflicts.tcp_dropped++;
}

/* --- one service port into the listener of its address ------------------------------------------------ */

static struct out_listener *listener_add(struct out_plan *p, struct cox_str name, struct cox_str bind, const struct out_port *op,
                                         enum out_kind kind)
{
	struct out_listener *l = COX_ARENA_NEW(p->t->arena, struct out_listener);
	l->plan.name = name;
	l->plan.bind = bind;
	l->plan.port = op->port;
	l->plan.trace = p->trace;
	l->plan.binds_port = op->binds_port;
	l->kind = kind;
	l->is_wildcard = cox_str_eq(bind, p->wildcard);
	cox_map_set(&p->by_name, name, l);
	cox_vec_push(&p->listeners, l);
	return l;
}

/* The table of facts, section 6: what happens when `kind` comes to a listener that is there already. */
static void listener_merge(struct out_plan *p, struct out_listener *l, enum out_kind kind, const struct cox_chain *chains, size_t n)
{
	bool server_first = cox_protocol_is_server_first_port(l->plan.port);
	switch (kind) {
	case OUT_HTTP:
		if (l->kind != OUT_TCP)
			return; /* merged by virtual host */
		if (server_first) {
			p->conflicts.http_dropped++;
			return;
		}
		break;
	case OUT_TCP:
		if (l->kind == OUT_HTTP && server_first) {
			p->conflicts.tcp_dropped++;
			return;
		}
		break;
	case OUT_AUTO:
		if (l->kind == OUT_HTTP)
			cox_vec_clear(&l->plan.chains); /* it brings an HTTP chain of its own */
		break;
	}
	if (l->kind == OUT_HTTP && l->plan.chains.n == 1)
		l->plan.chains.p[0].is_http_sniffed = true;
	chains_merge(p, l, chains, n);
	if (kind != l->kind)
		l->kind = OUT_AUTO;
}

static void port_put(struct out_plan *p, const struct out_port *op, struct cox_str bind, struct cox_str cidr, enum out_kind kind)
{
	struct cox_str name = listener_name(p->t->arena, bind, op->port);
	struct out_listener *l = cox_map_find(&p->by_name, name);
	bool is_wildcard = cox_str_eq(bind, p->wildcard);
	struct cox_chain *chains = NULL;
	size_t n = 0;
	if (l && (l->is_locked || (kind == OUT_HTTP && l->kind != OUT_TCP)))
		return;
	if (kind != OUT_HTTP)
		chains = out_tcp_chains(p, op, cidr, is_wildcard, &n);
	if (kind != OUT_TCP) {
		struct cox_chain *all = COX_ARENA_ARRAY(p->t->arena, struct cox_chain, n + 1);
		all[0] = http_chain(p, op, bind, is_wildcard || kind == OUT_AUTO || l, kind);
		for (size_t i = 0; i < n; i++)
			all[i + 1] = chains[i];
		chains = all;
		n++;
	}
	if (l == NULL)
		chains_merge(p, listener_add(p, name, bind, op, kind), chains, n);
	else
		listener_merge(p, l, kind, chains, n);
}

/* An address that other services cannot share gets a listener of its own; CIDRs share the wildcard one. */
static void port_by_address_put(struct out_plan *p, const struct out_port *op, enum out_kind kind)
{
	const struct cox_svc *svc = op->snap->svc;
	bool has_addresses = svc->addresses.n > 0 && (!svc->addresses_are_auto || p->t->view->dns_capture);
	if (op->bind.n > 0 || kind == OUT_HTTP || !has_addresses) {
		port_put(p, op, op->bind.n > 0 ? op->bind : p->wildcard, (struct cox_str){ 0 }, kind);
		return;
	}
	for (COX_EACH(struct cox_str, a, svc->addresses)) {
		bool is_cidr = cox_str_find(*a, '/') >= 0;
		struct cox_str own = cox_view_address(p->t->view, svc, *a, p->t->arena);
		port_put(p, op, is_cidr ? p->wildcard : own, is_cidr ? *a : (struct cox_str){ 0 }, kind);
	}
}

static enum out_kind kind_of(enum cox_protocol protocol)
{
	if (cox_protocol_is_http(protocol))
		return OUT_HTTP;
	return protocol == COX_PROTO_AUTO ? OUT_AUTO : OUT_TCP;
}

static bool is_ip(struct cox_str s)
{
	char text[64];
	unsigned char addr[16];
	cox_str_to_cstr(s, text, sizeof(text));
	return s.n < sizeof(text) && (inet_pton(AF_INET, text, addr) == 1 || inet_pton(AF_INET6, text, addr) == 1);
}

static bool view_owns(const struct cox_view *v, struct cox_str ip)
{
	for (COX_EACH(struct cox_str, own, v->own_ips))
		if (cox_str_eq(*own, ip))
			return true;
	return false;
}

/* A headless service has no address of its own: one listener per endpoint, so that TCP services on one port stay apart. */
static void headless_put(struct out_plan *p, struct out_port op, const struct cox_svc_port *sp, enum out_kind kind)
{
	bool any = false;
	for (COX_EACH(struct cox_endpoint, e, op.snap->endpoints->items)) {
		if (!cox_str_eq(e->port_name, sp->name) || (e->svc_port != 0 && e->svc_port != sp->port))
			continue;
		any = true;
		if (e->health == COX_UNHEALTHY || !is_ip(e->address) || view_owns(p->t->view, e->address))
			continue;
		op.bind = e->address;
		port_put(p, &op, op.bind, (struct cox_str){ 0 }, kind);
	}
	/* A ServiceEntry of resolution NONE without endpoints: its hosts can be anywhere. */
	if (!any && op.snap->svc->origin == COX_SVC_ENTRY && !op.snap->svc->has_selector)
		port_put(p, &op, p->wildcard, (struct cox_str){ 0 }, kind);
}

/* --- egress listeners ------------------------------------------------------------------------------- */

static bool is_served(const struct cox_svc *svc, enum cox_protocol protocol)
{
	return svc->resolution != COX_RES_ALIAS && protocol != COX_PROTO_UDP && protocol != COX_PROTO_HBONE;
}

static void catch_all_plan(struct out_plan *p, const struct cox_scope_listener *from, bool binds_port)
{
	for (size_t i = 0; i < p->listeners.n; i++)
		p->listeners.p[i]->is_locked = true;
	struct cox_str bind = from->egress ? from->egress->bind : (struct cox_str){ 0 };
	if (binds_port && bind.n == 0)
		bind = p->loopback;
	for (COX_EACH(struct cox_scope_svc, s, from->svcs)) {
		const struct cox_svc *svc = s->snap->svc;
		for (COX_EACH(struct cox_svc_port, sp, svc->ports)) {
			if (!is_served(svc, sp->protocol) || (s->only_port != 0 && s->only_port != sp->port))
				continue;
			struct out_port op = { from, s->snap, bind, sp->port, sp->protocol, binds_port };
			enum out_kind kind = kind_of(sp->protocol);
			if (bind.n == 0 && kind != OUT_HTTP && svc->resolution == COX_RES_PASSTHROUGH && svc->addresses.n == 0)
				headless_put(p, op, sp, kind);
			else
				port_by_address_put(p, &op, kind);
		}
	}
}

static void explicit_plan(struct out_plan *p, const struct cox_scope_listener *from, bool binds_port)
{
	const struct cox_sidecar_egress *e = from->egress;
	uint16_t port = e->port->number.set ? (uint16_t)e->port->number.v : 0;
	enum cox_protocol protocol = cox_protocol_of_name(e->port->protocol);
	struct cox_str bind = e->bind.n > 0 ? e->bind : binds_port ? p->loopback : p->wildcard;
	if (is_unix(bind)) {
		port = 0;
		binds_port = true;
	}
	for (COX_EACH(struct cox_scope_svc, s, from->svcs)) {
		struct out_port op = { from, s->snap, bind, port, protocol, binds_port };
		if (is_served(s->snap->svc, protocol))
			port_put(p, &op, bind, (struct cox_str){ 0 }, kind_of(protocol));
	}
}

/* mesh.proxyHttpPort, or node metadata HTTP_PROXY_PORT: one listener that acts as an HTTP proxy. */
static void http_proxy_plan(struct out_plan *p)
{
	const struct cox_tr *t = p->t;
	const struct cox_mesh_config *m = t->s->mesh;
	uint16_t port = t->view->http_proxy_port ? t->view->http_proxy_port : m->proxy_http_port.set ? (uint16_t)m->proxy_http_port.v : 0;
	if (port == 0 || t->scope->listeners.n == 0)
		return;
	const struct cox_scope_listener *from = &t->scope->listeners.p[t->scope->listeners.n - 1];
	struct out_port op = { .from = from, .port = port, .binds_port = true };
	struct out_listener *l = listener_add(p, listener_name(t->arena, p->loopback, port), p->loopback, &op, OUT_HTTP);
	struct out_port any = { .from = from };
	*cox_vec_add(&l->plan.chains) =
	    (struct cox_chain){ .is_http = true,
		                .route_name = HTTP_PROXY,
		                .dynamic_dns_caches = dns_caches_find(p, &any),
		                .stat_prefix = cox_arena_printf(t->arena, "outbound_%.*s_%u;", COX_FMT(p->loopback), port) };
	route_add(p, HTTP_PROXY, 0, from, NULL);
}

/* --- the rest ----------------------------------------------------------------------------------------- */

/* What no chain of a wildcard listener takes is for hosts that the mesh does not know. */
static void fallthrough_add(struct out_plan *p)
{
	for (size_t i = 0; i < p->listeners.n; i++) {
		struct out_listener *l = p->listeners.p[i];
		if (!l->is_wildcard || cox_listener_match_all(&l->plan))
			continue;
		l->plan.has_fallthrough = true;
		l->plan.fallthrough = out_cluster_chain(p->t->arena, COX_STR("PassthroughFilterChain"), p->fallthrough);
	}
}

static void capture_plan(struct out_plan *p)
{
	struct cox_arena *a = p->t->arena;
	const struct cox_view *v = p->t->view;
	const struct cox_mesh_config *m = p->t->s->mesh;
	if (v->interception == COX_INTERCEPT_NONE)
		return;
	struct out_port op = { .port = m->proxy_listen_port.set ? (uint16_t)m->proxy_listen_port.v : 15001, .binds_port = true };
	struct out_listener *l = listener_add(p, COX_STR("virtualOutbound"), p->wildcard, &op, OUT_TCP);
	l->plan.is_capture = true;
	l->plan.is_transparent = v->interception == COX_INTERCEPT_TPROXY;
	/* A connection to the capture port itself would come back to it for ever. */
	struct cox_chain loop = out_cluster_chain(a, COX_STR("virtualOutbound-blackhole"), COX_BLACKHOLE);
	loop.destination_port = op.port;
	loop.tcp.no_access_log = true;
	cox_vec_push(&l->plan.chains, loop);
	cox_vec_push(&l->plan.chains, out_cluster_chain(a, COX_STR("virtualOutbound-catchall-tcp"), p->fallthrough));
}

void out_plan_build(struct out_plan *p)
{
	const struct cox_tr *t = p->t;
	bool none_mode = t->view->interception == COX_INTERCEPT_NONE;
	p->trace = cox_hcm_identity_of_view(t->view);
	p->wildcard = cox_view_any_address(t->view);
	p->loopback = cox_view_loopback(t->view);
	p->fallthrough = t->scope->is_registry_only ? COX_BLACKHOLE
	                 : t->scope->egress_proxy   ? cox_destination_cluster(t, t->scope->egress_proxy, 0, NULL, NULL)
	                                            : COX_PASSTHROUGH;
	p->http_fallthrough = t->scope->is_dynamic_dns ? COX_ALLOW_ANY_DNS : p->fallthrough;
	for (COX_EACH(struct cox_scope_listener, l, t->scope->listeners)) {
		bool binds_port = none_mode || (l->egress && l->egress->capture_mode == COX_CAPTURE_NONE);
		if (l->egress && l->egress->port)
			explicit_plan(p, l, binds_port);
		else
			catch_all_plan(p, l, binds_port);
	}
	http_proxy_plan(p);
	fallthrough_add(p);
	capture_plan(p);
}

void out_plan_fini(struct out_plan *p)
{
	for (size_t i = 0; i < p->listeners.n; i++)
		cox_vec_fini(&p->listeners.p[i]->plan.chains);
	cox_vec_fini(&p->listeners);
	cox_vec_fini(&p->routes);
	cox_map_fini(&p->by_name);
	cox_map_fini(&p->route_names);
	out_rules_fini(p);
}
