/* build - freezing the registry: services with their indexes, nodes, namespaces, gateways, Sidecars; and letting go of it. */
#include "snapshot/snapshot_priv.h"

#include <stdlib.h>

/* --- services and their index ------------------------------------------------------------------------ */

static struct svc_chain *chain_get(struct svc_index *x, struct cox_map *map, struct cox_str key)
{
	struct svc_chain *c = cox_map_find(map, key);
	if (!c) {
		c = COX_NEW(struct svc_chain);
		c->key = cox_arena_str(&x->arena, key);
		cox_map_set(map, c->key, c);
	}
	return c;
}

static void chain_add(struct svc_index *x, struct cox_map *map, struct cox_str key, uint32_t item)
{
	struct svc_chain *c = chain_get(x, map, key);
	if (!c->items.n || c->items.p[c->items.n - 1] != item)
		cox_vec_push(&c->items, item);
}

static struct svc_index *svc_index_build(const struct cox_snapshot *s)
{
	struct svc_index *x = COX_NEW(struct svc_index);
	cox_ref_init(&x->ref);
	for (uint32_t i = 0; i < s->svcs.n; i++) {
		const struct cox_snap_svc *svc = &s->svcs.p[i];
		chain_add(x, &x->by_host, svc->svc->hostname, i);
		if (svc->svc->has_selector && svc->svc->origin == COX_SVC_KUBE) {
			chain_add(x, &x->by_ns, svc->svc->ns, i);
			continue;
		}
		for (size_t k = 0; k < svc->endpoints->items.n; k++)
			chain_add(x, &x->by_address, svc->endpoints->items.p[k].address, i);
	}
	return x;
}

static void chains_free(struct cox_map *map)
{
	for (struct cox_map_entry *e = NULL; (e = cox_map_next(map, e));) {
		struct svc_chain *c = e->value;
		cox_vec_fini(&c->items);
		cox_free(c);
	}
	cox_map_fini(map);
}

static void svc_index_unref(struct svc_index *x)
{
	if (!x || !cox_ref_put(&x->ref))
		return;
	chains_free(&x->by_host);
	chains_free(&x->by_ns);
	chains_free(&x->by_address);
	cox_arena_fini(&x->arena);
	cox_free(x);
}

static bool same_svcs(const struct cox_snapshot *a, const struct cox_snapshot *b)
{
	if (!a || a->svcs.n != b->svcs.n)
		return false;
	for (size_t i = 0; i < a->svcs.n; i++) {
		const struct cox_snap_svc *x = &a->svcs.p[i], *y = &b->svcs.p[i];
		/* Endpoints are indexed for services without a selector only. */
		if (x->svc != y->svc || (x->endpoints != y->endpoints && !(x->svc->has_selector && x->svc->origin == COX_SVC_KUBE)))
			return false;
	}
	return true;
}

static void build_svcs(struct cox_snapshot *s, const struct cox_registry *reg, const struct cox_snapshot *before)
{
	const struct cox_svc_entry *entries;
	size_t n = cox_registry_svcs(reg, &entries);
	struct cox_snap_svc *svcs = COX_ARENA_ARRAY(&s->arena, struct cox_snap_svc, n);
	for (size_t i = 0; i < n; i++) {
		const struct cox_svc *svc = entries[i].svc;
		svcs[i] = (struct cox_snap_svc){ cox_svc_ref(svc), cox_endpoint_set_ref(entries[i].endpoints), (uint32_t)i };
		s->uses_node |= svc->is_node_local || svc->distribution == COX_DIST_SAME_NODE;
		s->uses_locality |= svc->distribution != COX_DIST_NONE;
	}
	s->svcs.p = svcs;
	s->svcs.n = n;
	if (same_svcs(before, s)) {
		s->index->svcs = before->index->svcs;
		cox_ref_get(&s->index->svcs->ref);
	} else {
		s->index->svcs = svc_index_build(s);
	}
}

/* --- pods: whose address, which labels ---------------------------------------------------------------- */

static void pod_index_unref(struct pod_index *x)
{
	if (!x || !cox_ref_put(&x->ref))
		return;
	for (size_t i = 0; i < x->pods.n; i++)
		cox_object_unref(x->pods.p[i]);
	cox_vec_fini(&x->pods);
	cox_map_fini(&x->by_ip);
	cox_free(x);
}

static bool pod_has_ended(const struct cox_pod *pod)
{
	return pod->status && (cox_str_eq(pod->status->phase, COX_STR("Succeeded")) || cox_str_eq(pod->status->phase, COX_STR("Failed")));
}

static struct pod_index *pod_index_build(const struct cox_object *const *pods, size_t n)
{
	struct pod_index *x = COX_NEW(struct pod_index);
	cox_ref_init(&x->ref);
	cox_vec_reserve(&x->pods, n);
	for (size_t i = 0; i < n; i++) {
		const struct cox_pod *pod = COX_SPEC(cox_pod, pods[i]);
		cox_vec_push(&x->pods, cox_object_ref(pods[i]));
		if (!pod->status || pod_has_ended(pod) || (pod->spec && pod->spec->host_network))
			continue;
		if (pod->status->pod_ip.n)
			cox_map_set(&x->by_ip, pod->status->pod_ip, (void *)pods[i]);
		for (size_t k = 0; k < pod->status->pod_ips.n; k++)
			if (pod->status->pod_ips.p[k].ip.n)
				cox_map_set(&x->by_ip, pod->status->pod_ips.p[k].ip, (void *)pods[i]);
	}
	return x;
}

static void build_pods(struct cox_snapshot *s, const struct cox_registry *reg, const struct cox_snapshot *before)
{
	const struct cox_object *const *pods;
	size_t n = cox_registry_objects(reg, COX_KIND_POD, &pods);
	struct pod_index *old = before ? before->index->pods : NULL;
	if (old && old->pods.n == n && (!n || memcmp(old->pods.p, pods, n * sizeof(*pods)) == 0)) {
		cox_ref_get(&old->ref);
		s->index->pods = old;
	} else {
		s->index->pods = pod_index_build(pods, n);
	}
}

/* --- small tables ----------------------------------------------------------------------------------------- */

static void build_nodes(struct cox_snapshot *s, const struct cox_registry *reg)
{
	const struct cox_object *const *nodes;
	size_t n = cox_registry_objects(reg, COX_KIND_NODE, &nodes);
	struct cox_arena *a = &s->index->arena;
	for (size_t i = 0; i < n; i++) {
		const struct cox_kv *l = nodes[i]->meta.labels.p;
		size_t ln = nodes[i]->meta.labels.n;
		struct cox_str region = cox_kv_get(l, ln, COX_STR("topology.kubernetes.io/region")), zone = cox_kv_get(l, ln, COX_STR("topology.kubernetes.io/zone")),
			       sub = cox_kv_get(l, ln, COX_STR("topology.istio.io/subzone"));
		struct cox_str *locality = COX_ARENA_NEW(a, struct cox_str);
		if (sub.n)
			*locality = cox_arena_printf(a, "%.*s/%.*s/%.*s", COX_FMT(region), COX_FMT(zone), COX_FMT(sub));
		else if (zone.n)
			*locality = cox_arena_printf(a, "%.*s/%.*s", COX_FMT(region), COX_FMT(zone));
		else
			*locality = cox_arena_str(a, region);
		cox_map_set(&s->index->nodes, cox_arena_str(a, nodes[i]->meta.name), locality);
	}
}

static void build_namespaces(struct cox_snapshot *s, const struct cox_registry *reg)
{
	const struct cox_object *const *all;
	size_t n = cox_registry_objects(reg, COX_KIND_NAMESPACE, &all);
	for (size_t i = 0; i < n; i++)
		cox_map_set(&s->index->namespaces, all[i]->meta.name, (void *)cox_object_ref(all[i]));
}

static int cmp_age(const void *a, const void *b) { return cox_object_cmp_age(*(const struct cox_object *const *)a, *(const struct cox_object *const *)b); }

static size_t sorted_objects(struct cox_snapshot *s, const struct cox_registry *reg, enum cox_kind kind, const struct cox_object ***out)
{
	const struct cox_object *const *all;
	size_t n = cox_registry_objects(reg, kind, &all);
	const struct cox_object **copy = COX_ARENA_ARRAY(&s->arena, const struct cox_object *, n);
	for (size_t i = 0; i < n; i++)
		copy[i] = cox_object_ref(all[i]);
	if (n)
		qsort(copy, n, sizeof(*copy), cmp_age);
	*out = copy;
	return n;
}

/* --- what keys of views depend on ---------------------------------------------------------------------------- */

typedef COX_VEC(struct cox_str) strings;

static void add_keys(strings *out, const struct cox_kv *p, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		bool known = false;
		for (size_t k = 0; k < out->n && !known; k++)
			known = cox_str_eq(out->p[k], p[i].key);
		if (!known)
			cox_vec_push(out, p[i].key);
	}
}

static void add_vs_keys(strings *out, const struct cox_virtual_service *v)
{
	for (size_t i = 0; i < v->http.n; i++)
		for (size_t k = 0; k < v->http.p[i].match.n; k++)
			add_keys(out, v->http.p[i].match.p[k].source_labels.p, v->http.p[i].match.p[k].source_labels.n);
	for (size_t i = 0; i < v->tls.n; i++)
		for (size_t k = 0; k < v->tls.p[i].match.n; k++)
			add_keys(out, v->tls.p[i].match.p[k].source_labels.p, v->tls.p[i].match.p[k].source_labels.n);
	for (size_t i = 0; i < v->tcp.n; i++)
		for (size_t k = 0; k < v->tcp.p[i].match.n; k++)
			add_keys(out, v->tcp.p[i].match.p[k].source_labels.p, v->tcp.p[i].match.p[k].source_labels.n);
}

static void add_priority_keys(struct cox_snapshot *s, strings *out, const struct cox_locality_lb *lb)
{
	for (size_t i = 0; lb && i < lb->failover_priority.n; i++) {
		struct cox_str key = lb->failover_priority.p[i];
		ptrdiff_t eq = cox_str_find(key, '=');
		struct cox_kv kv = { cox_str_sub(key, 0, eq < 0 ? key.n : (size_t)eq), { 0 } };
		add_keys(out, &kv, 1);
	}
	(void)s;
}

static void add_policy(struct cox_snapshot *s, strings *keys, const struct cox_load_balancer *lb, const struct cox_outlier_detection *outlier)
{
	/* Outlier detection switches on the order by locality that meshes have by default. */
	s->uses_locality |= outlier || (lb && (lb->locality_lb_setting || lb->zone_aware_lb_setting));
	add_priority_keys(s, keys, lb ? lb->locality_lb_setting : NULL);
}

static void add_traffic_policy(struct cox_snapshot *s, strings *keys, const struct cox_traffic_policy *p)
{
	if (!p)
		return;
	add_policy(s, keys, p->load_balancer, p->outlier_detection);
	for (size_t i = 0; i < p->port_level_settings.n; i++)
		add_policy(s, keys, p->port_level_settings.p[i].load_balancer, p->port_level_settings.p[i].outlier_detection);
}

static void build_keys(struct cox_snapshot *s)
{
	strings keys = { 0 };
	for (size_t i = 0; i < s->virtual_services.n; i++)
		add_vs_keys(&keys, s->virtual_services.p[i]->spec);
	for (size_t i = 0; i < s->destination_rules.n; i++) {
		const struct cox_destination_rule *r = s->destination_rules.p[i]->spec;
		if (r->workload_selector)
			add_keys(&keys, r->workload_selector->match_labels.p, r->workload_selector->match_labels.n);
		add_traffic_policy(s, &keys, r->traffic_policy);
		for (size_t k = 0; k < r->subsets.n; k++)
			add_traffic_policy(s, &keys, r->subsets.p[k].traffic_policy);
	}
	for (size_t i = 0; i < s->sidecars.n; i++) {
		const struct cox_sidecar *sc = COX_SPEC(cox_sidecar_object, s->sidecars.p[i])->spec;
		if (sc && sc->workload_selector)
			add_keys(&keys, sc->workload_selector->labels.p, sc->workload_selector->labels.n);
	}
	s->uses_locality |= s->mesh->locality_lb_setting != NULL || (s->mesh->default_traffic_policy && s->mesh->default_traffic_policy->outlier_detection);
	add_priority_keys(s, &keys, s->mesh->locality_lb_setting);
	if (keys.n)
		qsort(keys.p, keys.n, sizeof(*keys.p), cox_str_cmp_qsort);
	struct cox_str *kept = COX_ARENA_ARRAY(&s->arena, struct cox_str, keys.n);
	for (size_t i = 0; i < keys.n; i++)
		kept[i] = cox_arena_str(&s->arena, keys.p[i]);
	s->index->selector_keys.p = kept;
	s->index->selector_keys.n = keys.n;
	cox_vec_fini(&keys);
}

size_t cox_snapshot_selector_keys(const struct cox_snapshot *s, const struct cox_str **out)
{
	*out = s->index->selector_keys.p;
	return s->index->selector_keys.n;
}

/* --- life -------------------------------------------------------------------------------------------------------- */

struct cox_snapshot *cox_snapshot_build(const struct cox_registry *reg, const struct cox_snapshot *before)
{
	struct cox_snapshot *s = COX_NEW(struct cox_snapshot);
	cox_ref_init(&s->ref);
	s->index = COX_NEW(struct cox_snapshot_index);
	s->generation = before ? before->generation + 1 : 1;
	s->index->mesh = cox_registry_mesh_share(reg);
	s->mesh = s->index->mesh->config;
	s->mesh_hash = s->index->mesh->hash;
	s->domain = cox_arena_str(&s->arena, cox_registry_domain(reg));
	s->cluster_id = cox_arena_str(&s->arena, cox_registry_cluster_id(reg));
	s->root_ns = cox_arena_str(&s->arena, cox_registry_root_namespace(reg));
	build_svcs(s, reg, before);
	build_pods(s, reg, before);
	build_nodes(s, reg);
	build_namespaces(s, reg);
	snap_build_vs(s, reg, before);
	snap_build_dr(s, reg, before);
	s->gateways.n = sorted_objects(s, reg, COX_KIND_GATEWAY, &s->gateways.p);
	s->sidecars.n = sorted_objects(s, reg, COX_KIND_SIDECAR, &s->sidecars.p);
	build_keys(s);
	return s;
}

const struct cox_snapshot *cox_snapshot_ref(const struct cox_snapshot *s)
{
	cox_ref_get(&((struct cox_snapshot *)s)->ref);
	return s;
}

static void index_free(struct cox_snapshot_index *x)
{
	svc_index_unref(x->svcs);
	pod_index_unref(x->pods);
	snap_free_dr_index(x);
	for (struct cox_map_entry *e = NULL; (e = cox_map_next(&x->gateways, e));) {
		struct gateway_rules *g = e->value;
		cox_vec_fini(&g->items);
		cox_free(g);
	}
	for (struct cox_map_entry *e = NULL; (e = cox_map_next(&x->namespaces, e));)
		cox_object_unref(e->value);
	cox_map_fini(&x->gateways);
	cox_map_fini(&x->namespaces);
	cox_map_fini(&x->vs_by_id);
	cox_map_fini(&x->dr_by_key);
	cox_map_fini(&x->nodes);
	cox_mesh_shared_unref(x->mesh);
	cox_arena_fini(&x->arena);
	cox_free(x);
}

void cox_snapshot_unref(const struct cox_snapshot *shared)
{
	struct cox_snapshot *s = (struct cox_snapshot *)shared;
	if (!s || !cox_ref_put(&s->ref))
		return;
	for (size_t i = 0; i < s->svcs.n; i++) {
		cox_svc_unref(s->svcs.p[i].svc);
		cox_endpoint_set_unref(s->svcs.p[i].endpoints);
	}
	index_free(s->index);
	for (size_t i = 0; i < s->virtual_services.n; i++)
		snap_vs_unref(s->virtual_services.p[i]);
	for (size_t i = 0; i < s->destination_rules.n; i++)
		snap_dr_unref(s->destination_rules.p[i]);
	for (size_t i = 0; i < s->gateways.n; i++)
		cox_object_unref(s->gateways.p[i]);
	for (size_t i = 0; i < s->sidecars.n; i++)
		cox_object_unref(s->sidecars.p[i]);
	cox_arena_fini(&s->arena);
	cox_free(s);
}

/* --- lookups ------------------------------------------------------------------------------------------------------- */

const struct cox_snap_svc *cox_snapshot_svc_find(const struct cox_snapshot *s, struct cox_str hostname, struct cox_str ns)
{
	const struct svc_chain *c = cox_map_find(&s->index->svcs->by_host, hostname);
	const struct cox_snap_svc *best = NULL;
	for (size_t i = 0; c && i < c->items.n; i++) {
		const struct cox_snap_svc *one = &s->svcs.p[c->items.p[i]];
		if (!cox_export_is_visible(&one->svc->export_to, ns))
			continue;
		if (cox_str_eq(one->svc->ns, ns))
			return one;
		/* the chain is in order of age: the first Kubernetes service, else the first of all */
		if (!best || (best->svc->origin != COX_SVC_KUBE && one->svc->origin == COX_SVC_KUBE))
			best = one;
	}
	return best;
}

static int cmp_u32(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	return x < y ? -1 : x > y;
}

static void add_selecting(const struct cox_snapshot *s, const struct cox_object *pod, void *out_vec)
{
	COX_VEC(uint32_t) *out = out_vec;
	const struct svc_chain *c = cox_map_find(&s->index->svcs->by_ns, pod->meta.ns);
	for (size_t i = 0; c && i < c->items.n; i++) {
		const struct cox_svc *svc = s->svcs.p[c->items.p[i]].svc;
		if (cox_kv_is_subset(svc->selector.p, svc->selector.n, pod->meta.labels.p, pod->meta.labels.n))
			cox_vec_push(out, c->items.p[i]);
	}
}

size_t cox_snapshot_svcs_at(const struct cox_snapshot *s, const struct cox_str *ips, size_t ip_count, struct cox_arena *arena, const struct cox_snap_svc ***out)
{
	COX_VEC(uint32_t) found = { 0 };
	for (size_t i = 0; i < ip_count; i++) {
		/* By selector, so that a pod has its inbound configuration before it is anybody's endpoint. */
		const struct cox_object *pod = cox_map_find(&s->index->pods->by_ip, ips[i]);
		const struct svc_chain *c = cox_map_find(&s->index->svcs->by_address, ips[i]);
		if (pod)
			add_selecting(s, pod, &found);
		for (size_t k = 0; c && k < c->items.n; k++)
			cox_vec_push(&found, c->items.p[k]);
	}
	if (found.n)
		qsort(found.p, found.n, sizeof(*found.p), cmp_u32);
	const struct cox_snap_svc **list = COX_ARENA_ARRAY(arena, const struct cox_snap_svc *, found.n);
	size_t n = 0;
	for (size_t i = 0; i < found.n; i++)
		if (!i || found.p[i] != found.p[i - 1])
			list[n++] = &s->svcs.p[found.p[i]];
	cox_vec_fini(&found);
	*out = list;
	return n;
}

const struct cox_object *cox_snapshot_namespace_find(const struct cox_snapshot *s, struct cox_str name) { return cox_map_find(&s->index->namespaces, name); }

struct cox_str cox_snapshot_node_locality(const struct cox_snapshot *s, struct cox_str node_name)
{
	const struct cox_str *l = cox_map_find(&s->index->nodes, node_name);
	return l ? *l : COX_STR("");
}

size_t cox_snapshot_gateway_vs(const struct cox_snapshot *s, struct cox_str gateway, struct cox_arena *arena, const struct cox_vs ***out)
{
	const struct gateway_rules *g = cox_map_find(&s->index->gateways, gateway);
	size_t n = g ? g->items.n : 0, kept = 0;
	const struct cox_vs **list = COX_ARENA_ARRAY(arena, const struct cox_vs *, n);
	ptrdiff_t slash = cox_str_find(gateway, '/');
	struct cox_str ns = cox_str_sub(gateway, 0, slash < 0 ? 0 : (size_t)slash);
	for (size_t i = 0; i < n; i++)
		if (cox_export_is_visible(&g->items.p[i]->export_to, ns))
			list[kept++] = g->items.p[i];
	*out = list;
	return kept;
}

size_t cox_snapshot_gateways_for(const struct cox_snapshot *s, const struct cox_kv *labels, size_t label_n, struct cox_str ns, struct cox_arena *arena,
                                 const struct cox_object ***out)
{
	const struct cox_object **list = COX_ARENA_ARRAY(arena, const struct cox_object *, s->gateways.n);
	size_t n = 0;
	(void)ns; /* PILOT_SCOPE_GATEWAY_TO_NAMESPACE is off by default, and here */
	for (size_t i = 0; i < s->gateways.n; i++) {
		const struct cox_gateway *g = COX_SPEC(cox_gateway_object, s->gateways.p[i])->spec;
		if (g && cox_kv_is_subset(g->selector.p, g->selector.n, labels, label_n))
			list[n++] = s->gateways.p[i];
	}
	*out = list;
	return n;
}
