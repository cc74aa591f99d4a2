#include "translate/cluster.h"

const struct cox_subset *cox_dr_subset_find(const struct cox_dr *dr, struct cox_str name)
{
	if (dr != NULL && name.n > 0)
		for (COX_EACH(struct cox_subset, s, dr->spec->subsets))
			if (cox_str_eq(s->name, name))
				return s;
	return NULL;
}

/* What `over` says replaces what was there, whole blocks at a time: Istio never merges inside of one. */
static void policy_overlay(struct cox_policy *p, const struct cox_traffic_policy *over, uint16_t port)
{
	if (over == NULL)
		return;
	if (over->load_balancer != NULL)
		p->lb = over->load_balancer;
	if (over->connection_pool != NULL)
		p->pool = over->connection_pool;
	if (over->outlier_detection != NULL)
		p->outlier = over->outlier_detection;
	if (over->tls != NULL)
		p->tls = over->tls;
	if (over->tunnel != NULL)
		p->tunnel = over->tunnel;
	if (over->proxy_protocol != NULL)
		p->proxy_protocol = over->proxy_protocol;
	if (over->retry_budget != NULL)
		p->retry_budget = over->retry_budget;
	for (COX_EACH(struct cox_port_traffic_policy, at, over->port_level_settings)) {
		if (at->port == NULL || at->port->number.v != port)
			continue;
		/* Port settings do not inherit: what they leave out is the default. */
		p->lb = at->load_balancer;
		p->pool = at->connection_pool;
		p->outlier = at->outlier_detection;
		p->tls = at->tls;
		break;
	}
}

static void policy_fill_defaults(struct cox_policy *p, const struct cox_mesh_config *mesh)
{
	const struct cox_traffic_policy *defaults = mesh->default_traffic_policy;
	if (defaults == NULL)
		return;
	if (p->pool == NULL)
		p->pool = defaults->connection_pool;
	if (p->outlier == NULL)
		p->outlier = defaults->outlier_detection;
}

struct cox_policy cox_policy_of(const struct cox_mesh_config *mesh, const struct cox_dr *dr, struct cox_str subset, uint16_t port)
{
	struct cox_policy p = { 0 };
	const struct cox_subset *s = cox_dr_subset_find(dr, subset);

	if (dr != NULL)
		policy_overlay(&p, dr->spec->traffic_policy, port);
	if (s != NULL)
		policy_overlay(&p, s->traffic_policy, port);
	policy_fill_defaults(&p, mesh);
	return p;
}

struct cox_policy cox_policy_inbound(const struct cox_mesh_config *mesh, const struct cox_dr *dr, uint16_t port)
{
	return cox_policy_of(mesh, dr, (struct cox_str){ 0 }, port);
}
