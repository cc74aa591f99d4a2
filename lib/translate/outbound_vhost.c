/* outbound_vhost.c - which virtual hosts a sidecar's route configuration has, and their domains (protocol facts, section 7). */
#include "translate/outbound_priv.h"

#include <stdlib.h>

static const struct cox_str MESH = COX_STR_INIT("mesh");

struct target { /* a service port that the route configuration serves */
	const struct cox_snap_svc *snap;
	uint16_t port;
	const struct cox_vs *owner;            /* the VirtualService that says where its requests go; NULL: none */
	struct target *next_owned, *next_port; /* of the same owner; of the same service */
	bool is_done;
};
struct work {
	struct out_plan *p;
	const struct out_route *route;
	const struct out_rules *rules;
	struct target *targets;
	size_t target_n;
	struct target **owned, **owned_last; /* by index of the VirtualService */
	struct cox_map hostnames;            /* -> first target: found by host; a short name never shadows another service's full name */
	struct cox_map domains, names;       /* in use: Envoy refuses a configuration with a domain twice */
	COX_VEC(struct cox_vhost) out;
};

/* --- domains ---------------------------------------------------------------------------------- */

typedef COX_VEC(struct cox_str) strs;

static struct cox_arena *arena_of(struct work *w) { return w->p->t->arena; }

/* "reviews.default.svc.cluster.local" is also "reviews" in its own namespace, "reviews.default" and "reviews.default.svc" anywhere. */
static void short_names_add(struct work *w, strs *out, struct cox_str host)
{
	const struct cox_tr *t = w->p->t;
	struct cox_str suffix = cox_arena_concat(t->arena, COX_STR(".svc."), t->s->domain);
	if (!cox_str_has_suffix(host, suffix))
		return;
	struct cox_str two = cox_str_sub(host, 0, host.n - suffix.n);
	ptrdiff_t dot = cox_str_rfind(two, '.');
	if (dot <= 0)
		return;
	if (cox_str_eq(cox_str_sub(two, (size_t)dot + 1, SIZE_MAX), t->view->ns))
		cox_vec_push(out, cox_str_sub(two, 0, (size_t)dot));
	cox_vec_push(out, two);
	cox_vec_push(out, cox_str_sub(host, 0, two.n + 4));
}

static void host_names_add(struct work *w, strs *out, struct cox_str host)
{
	cox_vec_push(out, host);
	cox_vec_push(out, cox_arena_concat(arena_of(w), host, COX_STR(".")));
	short_names_add(w, out, host);
}

static void svc_domains_add(struct work *w, strs *out, const struct cox_svc *svc)
{
	host_names_add(w, out, svc->hostname);
	for (COX_EACH(struct cox_str, alias, svc->aliases))
		host_names_add(w, out, *alias);
	if (svc->is_headless && svc->origin == COX_SVC_KUBE) /* pods by their own names */
		for (size_t i = 0, n = out->n; i < n; i++)
			cox_vec_push(out, cox_arena_concat(arena_of(w), COX_STR("*."), out->p[i]));
	for (COX_EACH(struct cox_str, a, svc->addresses)) {
		if (cox_str_find(*a, '/') >= 0 || (svc->addresses_are_auto && !w->p->t->view->dns_capture))
			continue;
		struct cox_str own = cox_view_address(w->p->t->view, svc, *a, arena_of(w));
		bool is_v6 = cox_str_find(own, ':') >= 0;
		cox_vec_push(out, is_v6 ? cox_arena_printf(arena_of(w), "[%.*s]", COX_FMT(own)) : own);
	}
}

static bool domain_claim(struct work *w, struct cox_str domain, struct cox_str own)
{
	if (cox_map_find(&w->domains, domain) || (!cox_str_eq(domain, own) && cox_map_find(&w->hostnames, domain)))
		return false;
	cox_map_set(&w->domains, domain, w);
	return true;
}

/* Keeps what is free; where one route configuration serves all ports, the port is part of the domain (80 may be left out). */
static void domains_claim(struct work *w, strs *list, struct cox_str own, uint16_t port)
{
	strs kept = { 0 };
	for (size_t i = 0; i < list->n; i++) {
		if (w->route->port != 0 || port == 80)
			if (domain_claim(w, list->p[i], own))
				cox_vec_push(&kept, list->p[i]);
		if (w->route->port != 0)
			continue;
		struct cox_str with = cox_arena_printf(arena_of(w), "%.*s:%u", COX_FMT(list->p[i]), port);
		if (domain_claim(w, with, own))
			cox_vec_push(&kept, with);
	}
	cox_vec_fini(list);
	list->p = kept.p, list->n = kept.n, list->cap = kept.cap;
}

/* --- virtual hosts ------------------------------------------------------------------------------ */

static bool vhost_add(struct work *w, const struct cox_route_ctx *ctx, struct cox_str host, strs *domains, const struct cox_vs *vs,
                      const struct target *tg)
{
	struct cox_str name = cox_arena_printf(arena_of(w), "%.*s:%u", COX_FMT(host), ctx->port);
	struct cox_vhost v;
	if (domains->n == 0 || cox_map_find(&w->names, name))
		return true; /* another rule has it already: the first one wins */
	struct cox_vhost_spec spec = { .name = name, .domains = domains->p, .domain_n = domains->n };
	if (vs) {
		spec.vss = &vs;
		spec.vs_n = 1;
	} else {
		spec.svc = tg->snap;
		spec.svc_port = tg->port;
	}
	if (!cox_vhost_build(ctx, &spec, &v))
		return false;
	cox_map_set(&w->names, name, w);
	cox_vec_push(&w->out, v);
	return true;
}

static void target_add(struct work *w, struct target *tg)
{
	struct cox_route_ctx ctx = { .t = w->p->t, .port = w->route->port ? w->route->port : tg->port, .gateways = &MESH, .gateway_n = 1 };
	struct cox_str host = tg->snap->svc->hostname;
	strs domains = { 0 };
	if (w->route->only) {
		cox_vec_push(&domains, COX_STR("*"));
	} else {
		svc_domains_add(w, &domains, tg->snap->svc);
		domains_claim(w, &domains, host, tg->port);
	}
	/* A VirtualService without a route for this proxy leaves the service its default one. */
	if (tg->owner == NULL || !vhost_add(w, &ctx, host, &domains, tg->owner, tg))
		vhost_add(w, &ctx, host, &domains, NULL, tg);
	cox_vec_fini(&domains);
	tg->is_done = true;
}

/* A service stands for the host on this port: whoever owns it says where it goes. A wildcard: a service that it owns. */
static bool vs_serves(const struct work *w, size_t vs, struct cox_str host, uint16_t port)
{
	for (const struct target *tg = cox_map_find(&w->hostnames, host); tg; tg = tg->next_port)
		if (tg->port == port)
			return true;
	for (const struct target *tg = cox_host_is_wildcard(host) ? w->owned[vs] : NULL; tg; tg = tg->next_owned)
		if (tg->port == port && cox_host_covers(host, tg->snap->svc->hostname))
			return true;
	return false;
}

/* Hosts that no service stands for: legal in a VirtualService, and served on every port where one of its services is, and on 80. */
static void bare_hosts_add(struct work *w, size_t index, uint16_t port)
{
	const struct cox_vs *vs = w->route->from->virtual_services.p[index];
	struct cox_route_ctx ctx = { .t = w->p->t, .port = port, .gateways = &MESH, .gateway_n = 1 };
	for (COX_EACH(struct cox_str, host, vs->spec->hosts)) {
		if (vs_serves(w, index, *host, port))
			continue;
		strs domains = { 0 };
		cox_vec_push(&domains, *host);
		domains_claim(w, &domains, *host, port);
		vhost_add(w, &ctx, *host, &domains, vs, NULL);
		cox_vec_fini(&domains);
	}
}

static void vs_add(struct work *w, size_t index, uint16_t port)
{
	bool any = false;
	for (struct target *tg = w->owned[index]; tg; tg = tg->next_owned)
		if (tg->port == port) {
			target_add(w, tg);
			any = true;
		}
	if (any || port == 80)
		bare_hosts_add(w, index, port);
}

/* --- targets ------------------------------------------------------------------------------------- */

static void target_put(struct work *w, size_t *cap, const struct cox_snap_svc *snap, uint16_t port)
{
	if (w->target_n == *cap) {
		size_t want = *cap ? *cap * 2 : 16;
		struct target *more = COX_ARENA_ARRAY(arena_of(w), struct target, want);
		if (w->target_n)
			memcpy(more, w->targets, w->target_n * sizeof(*more));
		w->targets = more;
		*cap = want;
	}
	w->targets[w->target_n++] = (struct target){ .snap = snap, .port = port };
}

/* Ties each target to its owner and to the other ports of its service; the array does not move any more. */
static void targets_index(struct work *w)
{
	const struct cox_scope_listener *from = w->route->from;
	w->rules = out_rules_of(w->p, from);
	if (w->route->only) {
		ptrdiff_t owner = out_rules_owner(w->rules, w->route->only->svc->hostname);
		w->targets[0].owner = owner >= 0 ? from->virtual_services.p[owner] : NULL;
		return;
	}
	w->owned = COX_ARENA_ARRAY(arena_of(w), struct target *, from->virtual_services.n + 1);
	w->owned_last = COX_ARENA_ARRAY(arena_of(w), struct target *, from->virtual_services.n + 1);
	for (size_t i = 0; i < w->target_n; i++) {
		struct target *tg = &w->targets[i];
		ptrdiff_t owner = out_rules_owner(w->rules, tg->snap->svc->hostname);
		tg->next_port = cox_map_set(&w->hostnames, tg->snap->svc->hostname, tg);
		if (owner < 0)
			continue;
		tg->owner = from->virtual_services.p[owner];
		if (w->owned_last[owner])
			w->owned_last[owner]->next_owned = tg;
		else
			w->owned[owner] = tg;
		w->owned_last[owner] = tg;
	}
}

static void targets_find(struct work *w)
{
	const struct out_route *r = w->route;
	size_t cap = 0;
	if (r->only) {
		target_put(w, &cap, r->only, r->port);
		return;
	}
	for (COX_EACH(struct cox_scope_svc, s, r->from->svcs)) {
		if (s->snap->svc->resolution == COX_RES_ALIAS)
			continue;
		for (COX_EACH(struct cox_svc_port, sp, s->snap->svc->ports)) {
			bool is_http = cox_protocol_is_http(sp->protocol) || sp->protocol == COX_PROTO_AUTO;
			if (is_http && (r->port == 0 || sp->port == r->port) && (s->only_port == 0 || s->only_port == sp->port))
				target_put(w, &cap, s->snap, sp->port);
		}
	}
}

static int port_cmp(const void *a, const void *b) { return (int)*(const uint16_t *)a - (int)*(const uint16_t *)b; }

/* The ports of the route configuration, each once. In the arena. */
static size_t ports_find(struct work *w, uint16_t **out)
{
	uint16_t *ports = COX_ARENA_ARRAY(arena_of(w), uint16_t, w->target_n + 1);
	size_t n = 0, kept = 0;
	if (w->route->port != 0) {
		ports[0] = w->route->port;
		*out = ports;
		return 1;
	}
	ports[n++] = 80;
	for (size_t i = 0; i < w->target_n; i++)
		ports[n++] = w->targets[i].port;
	qsort(ports, n, sizeof(*ports), port_cmp);
	for (size_t i = 0; i < n; i++)
		if (kept == 0 || ports[kept - 1] != ports[i])
			ports[kept++] = ports[i];
	*out = ports;
	return kept;
}

struct cox_vhost *out_vhosts_build(struct out_plan *p, const struct out_route *route, size_t *n)
{
	struct work w = { .p = p, .route = route };
	uint16_t *ports;
	targets_find(&w);
	targets_index(&w);
	size_t port_n = ports_find(&w, &ports);
	for (size_t k = 0; !route->only && k < port_n; k++)
		for (size_t i = 0; i < route->from->virtual_services.n; i++)
			vs_add(&w, i, ports[k]);
	for (size_t i = 0; i < w.target_n; i++)
		if (!w.targets[i].is_done)
			target_add(&w, &w.targets[i]);
	if (!route->only && !cox_map_find(&w.domains, COX_STR("*"))) {
		struct cox_str cluster = cox_str_eq(p->http_fallthrough, COX_BLACKHOLE) ? (struct cox_str){ 0 } : p->http_fallthrough;
		cox_vhost_catch_all_build(p->t, cluster, cox_vec_add(&w.out));
	}
	struct cox_vhost *copy = COX_ARENA_ARRAY(p->t->arena, struct cox_vhost, w.out.n + 1);
	if (w.out.n)
		memcpy(copy, w.out.p, w.out.n * sizeof(*copy));
	*n = w.out.n;
	cox_vec_fini(&w.out);
	cox_map_fini(&w.hostnames);
	cox_map_fini(&w.domains);
	cox_map_fini(&w.names);
	return copy;
}
