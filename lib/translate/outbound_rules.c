/* outbound_rules.c - an index of an egress listener's VirtualServices by host. */
#include "translate/outbound_priv.h"

static void rule_add(struct out_plan *p, struct out_rules *r, const struct cox_vs *vs, size_t index)
{
	for (COX_EACH(struct cox_str, host, vs->spec->hosts)) {
		struct out_rule rule = { *host, index };
		if (cox_host_is_wildcard(*host)) {
			cox_vec_push(&r->wildcards, rule);
		} else if (!cox_map_find(&r->exact, *host)) {
			struct out_rule *kept = COX_ARENA_NEW(p->t->arena, struct out_rule);
			*kept = rule;
			cox_map_set(&r->exact, *host, kept);
		}
	}
}

const struct out_rules *out_rules_of(struct out_plan *p, const struct cox_scope_listener *from)
{
	for (size_t i = 0; i < p->rules.n; i++)
		if (p->rules.p[i]->from == from)
			return p->rules.p[i];
	struct out_rules *r = COX_ARENA_NEW(p->t->arena, struct out_rules);
	r->from = from;
	for (size_t i = 0; i < from->virtual_services.n; i++) {
		const struct cox_vs *vs = from->virtual_services.p[i];
		if (vs->spec->http.n > 0)
			rule_add(p, r, vs, i);
		if (vs->spec->tls.n + vs->spec->tcp.n > 0)
			cox_vec_push(&r->l4, i);
	}
	cox_vec_push(&p->rules, r);
	return r;
}

ptrdiff_t out_rules_owner(const struct out_rules *r, struct cox_str host)
{
	const struct out_rule *best = cox_map_find(&r->exact, host);
	if (best)
		return (ptrdiff_t)best->index;
	for (size_t i = 0; i < r->wildcards.n; i++) {
		const struct out_rule *w = &r->wildcards.p[i];
		if (cox_host_covers(w->host, host) && (best == NULL || cox_host_cmp_specific(w->host, best->host) < 0))
			best = w;
	}
	return best ? (ptrdiff_t)best->index : -1;
}

void out_rules_fini(struct out_plan *p)
{
	for (size_t i = 0; i < p->rules.n; i++) {
		cox_map_fini(&p->rules.p[i]->exact);
		cox_vec_fini(&p->rules.p[i]->wildcards);
		cox_vec_fini(&p->rules.p[i]->l4);
	}
	cox_vec_fini(&p->rules);
}
