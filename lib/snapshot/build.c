#include "snapshot/snapshot_priv.h"

#include <stdlib.h>

static void copy_svcs(struct cox_snapshot *s, const struct cox_registry *r)
{
	const struct cox_svc_entry *entries;
	size_t n = cox_registry_svcs(r, &entries);
	struct cox_snap_svc *svcs = COX_ARENA_ARRAY(&s->arena, struct cox_snap_svc, n + 1);
	for (size_t i = 0; i < n; i++)
		svcs[i] = (struct cox_snap_svc){ cox_svc_ref(entries[i].svc), cox_endpoint_set_ref(entries[i].endpoints), (uint32_t)i };
	s->svcs.p = svcs;
	s->svcs.n = n;
}

static bool mesh_wants_locality(const struct cox_mesh_config *m)
{
	/* On by default, but it acts only where hosts can be ejected. */
	return !m->locality_lb_setting || !m->locality_lb_setting->enabled.set || m->locality_lb_setting->enabled.v;
}

static void set_flags(struct cox_snapshot *s)
{
	const struct snap_dr_set *dr = s->index->dr;
	bool has_outlier =
	    dr->has_outlier_detection || (s->mesh->default_traffic_policy && s->mesh->default_traffic_policy->outlier_detection);
	s->uses_locality = dr->wants_locality || (has_outlier && mesh_wants_locality(s->mesh));
	for (size_t i = 0; i < s->svcs.n; i++) {
		const struct cox_svc *v = s->svcs.p[i].svc;
		s->uses_locality |= v->distribution != COX_DIST_NONE;
		s->uses_node |= v->is_node_local || v->distribution == COX_DIST_SAME_NODE;
	}
}

/* --- label keys that decide ---------------------------------------------------------------------------- */

typedef COX_VEC(struct cox_str) names;

static void add_names(names *to, const struct cox_str *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		cox_vec_push(to, p[i]);
}

static void set_keys(struct cox_snapshot *s)
{
	struct cox_snapshot_index *x = s->index;
	names all = { 0 };
	for (size_t i = 0; i < x->vs->n; i++) {
		const struct snap_vs *v = (const struct snap_vs *)x->vs->by_age[i];
		add_names(&all, v->keys.p, v->keys.n);
	}
	for (size_t i = 0; i < x->dr->n; i++) {
		const struct snap_dr *d = (const struct snap_dr *)x->dr->rules[i];
		add_names(&all, d->keys.p, d->keys.n);
	}
	for (size_t i = 0; i < x->sidecars->n; i++) {
		const struct cox_sidecar *spec = COX_SPEC(cox_sidecar_object, x->sidecars->by_age[i])->spec;
		for (size_t k = 0; spec && spec->workload_selector && k < spec->workload_selector->labels.n; k++)
			cox_vec_push(&all, spec->workload_selector->labels.p[k].key);
	}
	add_names(&all, x->filters->label_keys.p, x->filters->label_keys.n);
	const struct cox_locality_lb *lb = s->mesh->locality_lb_setting;
	for (size_t i = 0; lb && i < lb->failover_priority.n; i++) {
		ptrdiff_t eq = cox_str_find(lb->failover_priority.p[i], '=');
		cox_vec_push(&all, eq < 0 ? lb->failover_priority.p[i] : cox_str_sub(lb->failover_priority.p[i], 0, (size_t)eq));
	}
	if (all.n > 0)
		qsort(all.p, all.n, sizeof(*all.p), cox_str_cmp_qsort);
	size_t n = 0;
	for (size_t i = 0; i < all.n; i++)
		if (n == 0 || !cox_str_eq(all.p[i], all.p[n - 1]))
			all.p[n++] = all.p[i];
	struct cox_str *keys = COX_ARENA_ARRAY(&s->arena, struct cox_str, n + 1);
	if (n > 0)
		memcpy(keys, all.p, n * sizeof(*keys));
	x->keys = keys;
	x->key_n = n;
	cox_vec_fini(&all);
}

size_t cox_snapshot_selector_keys(const struct cox_snapshot *s, const struct cox_str **out)
{
	*out = s->index->keys;
	return s->index->key_n;
}

/* --- building -------------------------------------------------------------------------------------------- */

static void set_lists(struct cox_snapshot *s)
{
	const struct cox_snapshot_index *x = s->index;
	s->virtual_services.p = x->vs->by_age, s->virtual_services.n = x->vs->n;
	s->destination_rules.p = x->dr->rules, s->destination_rules.n = x->dr->n;
	s->gateways.p = x->gateways->by_age, s->gateways.n = x->gateways->n;
	s->sidecars.p = x->sidecars->by_age, s->sidecars.n = x->sidecars->n;
	s->rate_limits.p = x->rate_limits->by_age, s->rate_limits.n = x->rate_limits->n;
	s->envoy_filters.p = x->filters->items, s->envoy_filters.n = x->filters->n;
	s->uses_version = x->filters->uses_version;
	s->peer_authentications.p = x->peer_auths->by_place, s->peer_authentications.n = x->peer_auths->n;
}

static void set_secrets_hash(struct cox_snapshot *s)
{
	const struct snap_objects *lists[] = { s->index->secrets, s->index->config_maps };
	for (size_t k = 0; k < COX_LEN(lists); k++)
		for (size_t i = 0; i < lists[k]->n; i++)
			s->secrets_hash = cox_hash_combine(s->secrets_hash, lists[k]->by_id[i]->hash);
}

static void set_localities(struct cox_snapshot *s)
{
	const struct snap_objects *nodes = s->index->nodes;
	s->index->node_localities = COX_ARENA_ARRAY(&s->arena, struct cox_str, nodes->n + 1);
	for (size_t i = 0; i < nodes->n; i++)
		s->index->node_localities[i] = cox_registry_node_locality(nodes->by_id[i], &s->arena);
}

struct cox_snapshot *cox_snapshot_build(const struct cox_registry *r, const struct cox_snapshot *before)
{
	const struct cox_snapshot_index *old = before ? before->index : NULL;
	struct cox_snapshot *s = COX_NEW(struct cox_snapshot);
	cox_ref_init(&s->ref);
	s->generation = before ? before->generation + 1 : 1;
	s->domain = cox_arena_str(&s->arena, cox_registry_domain(r));
	s->cluster_id = cox_arena_str(&s->arena, cox_registry_cluster_id(r));
	s->root_ns = cox_arena_str(&s->arena, cox_registry_root_namespace(r));
	struct cox_snapshot_index *x = s->index = COX_ARENA_NEW(&s->arena, struct cox_snapshot_index);
	x->mesh = cox_registry_mesh_share(r);
	s->mesh = x->mesh->config;
	s->compliance = cox_registry_compliance(r);
	s->features = *cox_registry_features(r);
	s->mesh_hash = s->compliance ? cox_hash_combine(x->mesh->hash, (struct cox_hash){ s->compliance, 0 }) : x->mesh->hash;
	s->networks = cox_registry_networks_share(r);
	if (s->networks->gateways.n)
		s->mesh_hash = cox_hash_combine(s->mesh_hash, s->networks->hash);
	s->guard = cox_registry_guard(r);
	if (s->guard.is_on || s->guard.tcp)
		s->mesh_hash = cox_hash_combine(s->mesh_hash, (struct cox_hash){ s->guard.tcp, s->guard.is_on });
	copy_svcs(s, r);
	x->namespaces = snap_objects_build(r, COX_KIND_NAMESPACE, old ? old->namespaces : NULL);
	x->nodes = snap_objects_build(r, COX_KIND_NODE, old ? old->nodes : NULL);
	x->gateways = snap_objects_build(r, COX_KIND_GATEWAY, old ? old->gateways : NULL);
	x->sidecars = snap_objects_build(r, COX_KIND_SIDECAR, old ? old->sidecars : NULL);
	x->rate_limits = snap_objects_build(r, COX_KIND_RATE_LIMIT_POLICY, old ? old->rate_limits : NULL);
	x->secrets = snap_objects_build(r, COX_KIND_SECRET, old ? old->secrets : NULL);
	x->config_maps = snap_objects_build(r, COX_KIND_CONFIG_MAP, old ? old->config_maps : NULL);
	x->vs = snap_vs_set_build(r, old ? old->vs : NULL);
	x->dr = snap_dr_set_build(r, old ? old->dr : NULL);
	x->peer_auths = snap_peer_auths_build(r, old ? old->peer_auths : NULL);
	x->access = snap_access_build(r, old ? old->access : NULL);
	x->filters = snap_filters_build(r, old ? old->filters : NULL);
	x->hosts = snap_hosts_build(s->svcs.p, s->svcs.n, old ? old->hosts : NULL);
	x->ips = snap_ips_build(s, before);
	set_lists(s);
	set_localities(s);
	set_secrets_hash(s);
	set_flags(s);
	set_keys(s);
	return s;
}

const struct cox_snapshot *cox_snapshot_ref(const struct cox_snapshot *s)
{
	cox_ref_get(&((struct cox_snapshot *)s)->ref);
	return s;
}

void cox_snapshot_unref(const struct cox_snapshot *s)
{
	struct cox_snapshot *mine = (struct cox_snapshot *)s;
	if (!mine || !cox_ref_put(&mine->ref))
		return;
	struct cox_snapshot_index *x = mine->index;
	for (size_t i = 0; i < mine->svcs.n; i++) {
		cox_svc_unref(mine->svcs.p[i].svc);
		cox_endpoint_set_unref(mine->svcs.p[i].endpoints);
	}
	snap_ips_unref(x->ips);
	snap_hosts_unref(x->hosts);
	snap_access_unref(x->access);
	snap_filters_unref(x->filters);
	snap_peer_auths_unref(x->peer_auths);
	snap_dr_set_unref(x->dr);
	snap_vs_set_unref(x->vs);
	snap_objects_unref(x->rate_limits);
	snap_objects_unref(x->secrets);
	snap_objects_unref(x->config_maps);
	snap_objects_unref(x->sidecars);
	snap_objects_unref(x->gateways);
	snap_objects_unref(x->nodes);
	snap_objects_unref(x->namespaces);
	cox_mesh_shared_unref(x->mesh);
	cox_networks_unref(mine->networks);
	struct cox_arena arena = mine->arena;
	cox_arena_fini(&arena);
	cox_free(mine);
}

const struct cox_object *cox_snapshot_namespace_find(const struct cox_snapshot *s, struct cox_str name)
{
	size_t at;
	return snap_objects_find(s->index->namespaces, name, &at);
}

const struct cox_object *cox_snapshot_secret_find(const struct cox_snapshot *s, enum cox_kind kind, struct cox_str ns, struct cox_str name)
{
	COX_ASSERT(kind == COX_KIND_SECRET || kind == COX_KIND_CONFIG_MAP);
	return snap_objects_find_in(kind == COX_KIND_SECRET ? s->index->secrets : s->index->config_maps, ns, name);
}

struct cox_str cox_snapshot_node_locality(const struct cox_snapshot *s, struct cox_str node_name)
{
	size_t at;
	return snap_objects_find(s->index->nodes, node_name, &at) ? s->index->node_localities[at] : (struct cox_str){ 0 };
}
