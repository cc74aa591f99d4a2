/* outbound.c - the outbound listeners and routes of a scope view: the plan, encoded. */
#include "translate/outbound_priv.h"

static void routes_build(struct out_plan *p, cox_resources *routes, cox_resources *vhosts)
{
	bool vhds = p->t->view->has_vhds;
	for (size_t i = 0; i < p->routes.n; i++) {
		const struct out_route *r = &p->routes.p[i];
		size_t n;
		struct cox_vhost *list = out_vhosts_build(p, r, &n);
		cox_vec_push(routes, cox_route_config_build(p->t, r->name, list, n, r->port == 0, vhds ? vhosts : NULL));
		for (size_t k = 0; k < n; k++)
			cox_vhost_fini(&list[k]);
	}
}

static void scope_filters(const struct cox_scope *scope, bool *has_deadline, bool *has_sessions)
{
	*has_deadline = *has_sessions = false;
	for (COX_EACH(struct cox_scope_listener, l, scope->listeners))
		for (size_t i = 0; i < l->virtual_services.n; i++) {
			*has_deadline |= l->virtual_services.p[i]->has_deadline;
			*has_sessions |= l->virtual_services.p[i]->has_sessions;
		}
}

void cox_translate_outbound(struct cox_tr *t, cox_resources *listeners, cox_resources *routes, cox_resources *vhosts)
{
	struct out_plan p = { .t = t };
	out_plan_build(&p);
	bool has_deadline, has_sessions;
	scope_filters(t->scope, &has_deadline, &has_sessions);
	for (size_t i = 0; i < p.listeners.n; i++) {
		p.listeners.p[i]->plan.has_deadline = has_deadline;
		p.listeners.p[i]->plan.has_sessions = has_sessions;
		cox_vec_push(listeners, cox_listener_build(t, &p.listeners.p[i]->plan));
	}
	routes_build(&p, routes, vhosts);
	out_plan_fini(&p);
}
