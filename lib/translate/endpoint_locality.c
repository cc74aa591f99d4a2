#include "translate/endpoint_priv.h"

#include <stdlib.h>

#define LABEL_REGION COX_STR("topology.kubernetes.io/region")
#define LABEL_ZONE COX_STR("topology.kubernetes.io/zone")
#define LABEL_SUBZONE COX_STR("topology.istio.io/subzone")
#define LABEL_NETWORK COX_STR("topology.istio.io/network")
#define LABEL_CLUSTER COX_STR("topology.istio.io/cluster")
#define LABEL_HOSTNAME COX_STR("kubernetes.io/hostname")

/* What trafficDistribution PreferSameZone and PreferSameNode mean: near first, the rest after. */
static const struct cox_str same_node_labels[] = {
	COX_STR_INIT("topology.istio.io/network"),   COX_STR_INIT("topology.kubernetes.io/region"),
	COX_STR_INIT("topology.kubernetes.io/zone"), COX_STR_INIT("topology.istio.io/subzone"),
	COX_STR_INIT("kubernetes.io/hostname"),
};
static const struct cox_locality_lb same_zone = { .failover_priority = { same_node_labels, 4 } };
static const struct cox_locality_lb same_node = { .failover_priority = { same_node_labels, 5 } };

static bool is_on(const struct cox_locality_lb *l) { return l != NULL && (!l->enabled.set || l->enabled.v); }

const struct cox_locality_lb *cox_locality_setting(const struct cox_tr *t, const struct cox_cluster_spec *spec, bool *is_forced)
{
	const struct cox_load_balancer *lb = spec->policy.lb;
	static const struct cox_locality_lb mesh_default = { 0 };

	*is_forced = false;
	if (lb != NULL && lb->locality_lb_setting != NULL)
		return is_on(lb->locality_lb_setting) ? lb->locality_lb_setting : NULL;
	if (spec->snap->svc->distribution != COX_DIST_NONE) {
		*is_forced = true;
		return spec->snap->svc->distribution == COX_DIST_SAME_NODE ? &same_node : &same_zone;
	}
	if (t->s->mesh->locality_lb_setting != NULL)
		return is_on(t->s->mesh->locality_lb_setting) ? t->s->mesh->locality_lb_setting : NULL;
	return &mesh_default;
}

static struct cox_str locality_part(struct cox_str locality, size_t i)
{
	struct cox_str rest = locality, part = { 0 };
	do
		if (!cox_str_next(&rest, '/', &part))
			return (struct cox_str){ 0 };
	while (i-- > 0);
	return part;
}

/* A part that is "*" or left out covers all that begins as the rule does. */
static bool locality_matches(struct cox_str rule, struct cox_str locality)
{
	for (size_t i = 0; i < 3; i++) {
		struct cox_str want = locality_part(rule, i), have = locality_part(locality, i);
		if (want.n == 0 || cox_str_eq_cstr(want, "*"))
			return true;
		if (!cox_str_eq(want, have))
			return false;
	}
	return true;
}

/* --- distribute --------------------------------------------------------------------------- */

static void distribute_to(cox_lb_groups *groups, bool *is_done, const struct cox_locality_weight *to)
{
	uint64_t total = 0;
	for (size_t i = 0; i < groups->n; i++)
		if (!is_done[i] && locality_matches(to->key, groups->p[i].locality))
			total += groups->p[i].weight;
	for (size_t i = 0; i < groups->n; i++) {
		struct cox_lb_group *g = &groups->p[i];
		if (is_done[i] || total == 0 || !locality_matches(to->key, g->locality))
			continue;
		is_done[i] = true;
		/* Rounded up: a share is never lost to a small group. */
		g->weight = (uint32_t)(((uint64_t)g->weight * (uint64_t)to->weight + total - 1) / total);
		g->is_empty = g->weight == 0;
	}
}

static bool distribute_apply(const struct cox_tr *t, const struct cox_locality_lb *l, cox_lb_groups *groups)
{
	for (COX_EACH(struct cox_locality_distribute, d, l->distribute)) {
		if (!locality_matches(d->from, t->view->locality))
			continue;
		bool *is_done = COX_ARENA_ARRAY(t->arena, bool, groups->n + 1);
		/* Longer rules are more exact: they take their localities first. */
		for (size_t parts = 3; parts > 0; parts--)
			for (COX_EACH(struct cox_locality_weight, to, d->to)) {
				size_t n = 1;
				for (size_t i = 0; i < to->key.n; i++)
					n += to->key.p[i] == '/';
				if (n == parts || (n > 3 && parts == 3))
					distribute_to(groups, is_done, to);
			}
		for (size_t i = 0; i < groups->n; i++)
			groups->p[i].is_empty |= !is_done[i];
		return true;
	}
	return false;
}

/* --- failover ----------------------------------------------------------------------------- */

static uint32_t nearness(struct cox_str own, struct cox_str other)
{
	uint32_t equal = 0;
	while (equal < 3 && cox_str_eq(locality_part(own, equal), locality_part(other, equal)))
		equal++;
	return 3 - equal;
}

static uint32_t failover_priority(const struct cox_tr *t, const struct cox_locality_lb *l, struct cox_str locality)
{
	struct cox_str region = locality_part(t->view->locality, 0);
	uint32_t p = nearness(t->view->locality, locality);

	if (p < 3)
		return p;
	/* A rule for the own region names the region to go to first; the others come after it. */
	for (COX_EACH(struct cox_locality_failover, f, l->failover))
		if (cox_str_eq(f->from, region))
			return cox_str_eq(f->to, locality_part(locality, 0)) ? 3 : 4;
	return 3;
}

static struct cox_str proxy_label(const struct cox_view *v, struct cox_str key)
{
	struct cox_str value = cox_kv_get(v->labels.p, v->labels.n, key);
	if (value.n > 0)
		return value;
	if (cox_str_eq(key, LABEL_REGION))
		return locality_part(v->locality, 0);
	if (cox_str_eq(key, LABEL_ZONE))
		return locality_part(v->locality, 1);
	if (cox_str_eq(key, LABEL_SUBZONE))
		return locality_part(v->locality, 2);
	if (cox_str_eq(key, LABEL_NETWORK))
		return v->network;
	if (cox_str_eq(key, LABEL_CLUSTER))
		return v->cluster_id;
	return cox_str_eq(key, LABEL_HOSTNAME) ? v->node_name : (struct cox_str){ 0 };
}

static struct cox_str endpoint_label(const struct cox_endpoint *e, struct cox_str key)
{
	struct cox_str value = cox_kv_get(e->labels.p, e->labels.n, key);
	if (value.n > 0)
		return value;
	if (cox_str_eq(key, LABEL_REGION))
		return locality_part(e->locality, 0);
	if (cox_str_eq(key, LABEL_ZONE))
		return locality_part(e->locality, 1);
	if (cox_str_eq(key, LABEL_SUBZONE))
		return locality_part(e->locality, 2);
	if (cox_str_eq(key, LABEL_NETWORK))
		return e->network;
	if (cox_str_eq(key, LABEL_CLUSTER))
		return e->cluster_id;
	return cox_str_eq(key, LABEL_HOSTNAME) ? e->node_name : (struct cox_str){ 0 };
}

/* The number of labels left from the first that differs: 0 when all are equal. "label=value" stands for the proxy's value. */
static uint32_t label_priority(const struct cox_tr *t, const struct cox_locality_lb *l, const struct cox_endpoint *e)
{
	for (size_t i = 0; i < l->failover_priority.n; i++) {
		struct cox_str key = l->failover_priority.p[i], want;
		ptrdiff_t eq = cox_str_find(key, '=');
		if (eq >= 0) {
			want = cox_str_sub(key, (size_t)eq + 1, key.n);
			key = cox_str_sub(key, 0, (size_t)eq);
		} else {
			want = proxy_label(t->view, key);
		}
		if (!cox_str_eq(want, endpoint_label(e, key)))
			return (uint32_t)(l->failover_priority.n - i);
	}
	return 0;
}

static uint32_t weight_of(const struct cox_endpoint *e) { return e->weight > 0 ? e->weight : 1; }

/* Splits a group by the priority of each endpoint; `base` is the locality's. */
static void group_split(const struct cox_tr *t, const struct cox_locality_lb *l, const struct cox_lb_group *g, uint32_t base,
                        cox_lb_groups *out)
{
	size_t first = out->n;
	for (size_t i = 0; i < g->items.n; i++) {
		uint32_t p = label_priority(t, l, g->items.p[i]) * 5 + base;
		struct cox_lb_group *to = NULL;
		for (size_t k = first; k < out->n && to == NULL; k++)
			if (out->p[k].priority == p)
				to = &out->p[k];
		if (to == NULL) {
			to = cox_vec_add(out);
			to->locality = g->locality;
			to->priority = p;
		}
		to->weight += weight_of(g->items.p[i]);
		cox_vec_push(&to->items, g->items.p[i]);
	}
}

static void labels_apply(const struct cox_tr *t, const struct cox_locality_lb *l, cox_lb_groups *groups)
{
	cox_lb_groups split = { 0 };
	for (size_t i = 0; i < groups->n; i++) {
		uint32_t base = l->failover.n > 0 ? failover_priority(t, l, groups->p[i].locality) : 0;
		group_split(t, l, &groups->p[i], base, &split);
		cox_vec_fini(&groups->p[i].items);
	}
	cox_vec_fini(groups);
	*groups = split;
}

/* Envoy wants priorities without gaps. */
static void priorities_compact(cox_lb_groups *groups)
{
	uint32_t next = 0;
	for (uint32_t at = 0, found; next <= groups->n; at = found + 1, next++) {
		found = UINT32_MAX;
		for (size_t i = 0; i < groups->n; i++)
			if (groups->p[i].priority >= at && groups->p[i].priority < found)
				found = groups->p[i].priority;
		if (found == UINT32_MAX)
			return;
		for (size_t i = 0; i < groups->n; i++)
			if (groups->p[i].priority == found)
				groups->p[i].priority = next;
	}
}

static int cmp_group(const void *a, const void *b)
{
	const struct cox_lb_group *x = a, *y = b;
	if (x->priority != y->priority)
		return x->priority < y->priority ? -1 : 1;
	return cox_str_cmp(x->locality, y->locality);
}

void cox_locality_apply(const struct cox_tr *t, const struct cox_cluster_spec *spec, cox_lb_groups *groups)
{
	bool is_forced;
	const struct cox_locality_lb *l = cox_locality_setting(t, spec, &is_forced);

	if (l == NULL || groups->n == 0)
		return;
	if (l->distribute.n > 0) {
		if (t->view->locality.n > 0)
			distribute_apply(t, l, groups);
		return;
	}
	/* Without outlier detection nothing would ever fail over: priorities would only concentrate the load. */
	if (!is_forced && spec->policy.outlier == NULL)
		return;
	if (l->failover_priority.n > 0) {
		labels_apply(t, l, groups);
	} else {
		if (t->view->locality.n == 0)
			return;
		for (size_t i = 0; i < groups->n; i++)
			groups->p[i].priority = failover_priority(t, l, groups->p[i].locality);
	}
	priorities_compact(groups);
	qsort(groups->p, groups->n, sizeof(groups->p[0]), cmp_group);
}
