/* EnvoyFilters that cannot match, whoever connects: selectors that select nobody, contexts that the selected are not, and names of
 * services, subsets, ports and Gateways that do not exist. What only the made configuration can tell (filters, chains, routes) is counted
 * where patches are applied (push/patches.c). */
#include "snapshot/check_priv.h"

static bool is_router(const struct cox_snapshot *s, const struct cox_endpoint *e)
{
	for (size_t i = 0; i < s->gateways.n; i++) {
		const struct cox_gateway *g = COX_SPEC(cox_gateway_object, s->gateways.p[i])->spec;
		if (g && g->selector.n && cox_kv_is_subset(g->selector.p, g->selector.n, e->labels.p, e->labels.n))
			return true;
	}
	return false;
}

struct selected { /* workloads behind some service */
	size_t sidecars, routers;
};

static struct selected count_selected(const struct cox_snapshot *s, const struct cox_ready_filter *f)
{
	struct selected n = { 0 };
	bool is_root = cox_str_eq(f->object->meta.ns, s->root_ns);
	for (COX_EACH(struct cox_snap_svc, svc, s->svcs))
		for (COX_EACH(struct cox_endpoint, e, svc->endpoints->items)) {
			if ((!is_root && !cox_str_eq(e->ns, f->object->meta.ns)) || !snap_filter_selects(f, e->labels.p, e->labels.n))
				continue;
			bool routes = is_router(s, e);
			n.routers += routes;
			n.sidecars += !routes;
			if (n.routers && n.sidecars)
				return n;
		}
	return n;
}

static struct cox_str path_of(struct snap_checking *c, const struct cox_ready_patch *p, const char *rest)
{
	return cox_arena_printf(c->arena, "spec.configPatches[%u]%s", p->at, rest);
}

static void check_context(struct snap_checking *c, const struct cox_ready_patch *p, const struct selected *n)
{
	int context = p->spec->match ? p->spec->match->context : COX_PATCH_ANY;
	if (context == COX_PATCH_GATEWAY && n->sidecars && !n->routers)
		snap_finding_add(c, COX_FINDING_PATCH_NEVER, COX_SEV_WARNING, p->object->id, path_of(c, p, ".match.context"),
		                 "never matches: the selector selects workloads that no Gateway selects, none is a gateway");
	if ((context == COX_PATCH_SIDECAR_INBOUND || context == COX_PATCH_SIDECAR_OUTBOUND) && n->routers && !n->sidecars)
		snap_finding_add(c, COX_FINDING_PATCH_NEVER, COX_SEV_WARNING, p->object->id, path_of(c, p, ".match.context"),
		                 "never matches: the selector selects gateways only, none is a sidecar");
}

static const struct cox_snap_svc *service_of(const struct cox_snapshot *s, struct cox_str host)
{
	for (COX_EACH(struct cox_snap_svc, svc, s->svcs))
		if (cox_str_eq(svc->svc->hostname, host))
			return svc;
	return NULL;
}

static bool has_subset(const struct cox_snapshot *s, struct cox_str host, struct cox_str subset)
{
	for (size_t i = 0; i < s->destination_rules.n; i++) {
		const struct cox_dr *d = s->destination_rules.p[i];
		for (COX_EACH(struct cox_subset, x, d->spec->subsets))
			if (cox_str_eq(x->name, subset) && (!host.n || cox_host_covers(d->spec->host, host)))
				return true;
	}
	return false;
}

static void check_cluster(struct snap_checking *c, const struct cox_ready_patch *p)
{
	const struct cox_patch_cluster *m = p->spec->apply_to == COX_APPLY_CLUSTER && p->spec->match ? p->spec->match->cluster : NULL;
	if (!m || m->name.n || p->op == COX_OP_ADD)
		return;
	const struct cox_snap_svc *svc = m->service.n ? service_of(c->s, m->service) : NULL;
	if (m->service.n && !svc) {
		snap_finding_add(c, COX_FINDING_PATCH_NEVER, COX_SEV_WARNING, p->object->id, path_of(c, p, ".match.cluster.service"),
		                 "never matches: there is no service %.*s (the full name is needed)", COX_FMT(m->service));
		return;
	}
	bool has_port = false;
	for (size_t i = 0; svc && i < svc->svc->ports.n; i++)
		has_port |= m->port_number.v == svc->svc->ports.p[i].port;
	if (svc && m->port_number.set && m->port_number.v && !has_port)
		snap_finding_add(c, COX_FINDING_PATCH_NEVER, COX_SEV_WARNING, p->object->id, path_of(c, p, ".match.cluster.portNumber"),
		                 "never matches: %.*s has no port %lld", COX_FMT(m->service), (long long)m->port_number.v);
	if (m->subset.n && !has_subset(c->s, m->service, m->subset))
		snap_finding_add(c, COX_FINDING_PATCH_NEVER, COX_SEV_WARNING, p->object->id, path_of(c, p, ".match.cluster.subset"),
		                 "never matches: no DestinationRule defines subset %.*s", COX_FMT(m->subset));
}

static bool has_gateway(const struct cox_snapshot *s, struct cox_str full)
{
	for (size_t i = 0; i < s->gateways.n; i++) {
		const struct cox_meta *m = &s->gateways.p[i]->meta;
		if (full.n == m->ns.n + 1 + m->name.n && cox_str_has_prefix(full, m->ns) && full.p[m->ns.n] == '/' &&
		    cox_str_has_suffix(full, m->name))
			return true;
	}
	return false;
}

static void check_gateway(struct snap_checking *c, const struct cox_ready_patch *p)
{
	const struct cox_patch_route_config *m = p->spec->match ? p->spec->match->route_configuration : NULL;
	if (!m || !m->gateway.n || p->spec->match->context != COX_PATCH_GATEWAY || has_gateway(c->s, m->gateway))
		return;
	snap_finding_add(c, COX_FINDING_PATCH_NEVER, COX_SEV_WARNING, p->object->id, path_of(c, p, ".match.routeConfiguration.gateway"),
	                 "never matches: there is no Gateway %.*s (namespace/name)", COX_FMT(m->gateway));
}

void snap_check_envoy_filters(struct snap_checking *c)
{
	for (size_t i = 0; i < c->s->envoy_filters.n; i++) {
		const struct cox_ready_filter *f = c->s->envoy_filters.p[i];
		struct selected n = count_selected(c->s, f);
		bool has_selector = f->spec->target_refs.n || (f->spec->workload_selector && f->spec->workload_selector->labels.n);
		if (has_selector && !n.sidecars && !n.routers)
			snap_finding_add(c, COX_FINDING_PATCH_NEVER, COX_SEV_WARNING, f->object->id,
			                 f->spec->target_refs.n ? COX_STR("spec.targetRefs") : COX_STR("spec.workloadSelector"),
			                 "selects no workload behind any service%s",
			                 cox_str_eq(f->object->meta.ns, c->s->root_ns) ? "" : " of its namespace");
		for (COX_EACH(struct cox_ready_patch, p, f->patches)) {
			check_context(c, p, &n);
			check_cluster(c, p);
			check_gateway(c, p);
		}
	}
}
