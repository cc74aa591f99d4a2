#include "registry/registry_priv.h"

#include <stdlib.h>

struct cox_registry *cox_registry_new(const struct cox_registry_options *opts)
{
	struct cox_registry *r = COX_NEW(struct cox_registry);
	const struct {
		struct cox_str *to;
		struct cox_str from, otherwise;
	} texts[] = {
		{ &r->opts.domain, opts->domain, COX_STR_INIT("cluster.local") },
		{ &r->opts.cluster_id, opts->cluster_id, COX_STR_INIT("Kubernetes") },
		{ &r->opts.root_namespace, opts->root_namespace, COX_STR_INIT("istio-system") },
		{ &r->opts.mesh_yaml, opts->mesh_yaml, COX_STR_INIT("{}") },
		{ &r->opts.networks_yaml, opts->networks_yaml, COX_STR_INIT("{}") },
		{ &r->opts.shared_mesh, opts->shared_mesh, COX_STR_INIT("") },
		{ &r->opts.revision, opts->revision, COX_STR_INIT("default") },
	};
	for (size_t i = 0; i < COX_LEN(texts); i++)
		*texts[i].to = cox_arena_str(&r->text, texts[i].from.n > 0 ? texts[i].from : texts[i].otherwise);
	r->opts.compliance = opts->compliance;
	r->opts.features = opts->features;
	r->is_bulk = true;
	reg_mesh_init(r);
	reg_networks_init(r);
	return r;
}

void cox_registry_free(struct cox_registry *r)
{
	if (!r)
		return;
	reg_units_fini(r);
	reg_index_fini(r);
	reg_secrets_fini(r);
	reg_health_fini(r);
	reg_networks_fini(r);
	for (size_t k = 0; k < COX_KIND_COUNT; k++) {
		reg_store_fini(&r->stores[k]);
		reg_store_fini(&r->parked[k]);
	}
	cox_map_fini(&r->auto_addresses);
	cox_arena_fini(&r->auto_text);
	cox_mesh_shared_unref(r->mesh);
	cox_arena_fini(&r->mesh_text);
	cox_buf_fini(&r->mesh_file);
	cox_registry_changes_fini(&r->pending);
	cox_map_fini(&r->pending_ids);
	cox_arena_fini(&r->scratch);
	cox_buf_fini(&r->bytes);
	cox_vec_fini(&r->eps);
	cox_arena_fini(&r->text);
	cox_free(r);
}

/* --- events --------------------------------------------------------------------------------------- */

static void mark_namespace(struct cox_registry *r, struct cox_str ns)
{
	const struct reg_store *services = &r->stores[COX_KIND_SERVICE];
	size_t from, to;
	reg_store_range(services, COX_KIND_SERVICE, ns, &from, &to);
	for (; from < to; from++)
		reg_unit_mark_by_id(r, COX_KIND_SERVICE, ns, services->p[from]->meta.name);
	const struct reg_store *entries = &r->stores[COX_KIND_SERVICE_ENTRY]; /* they may select its pods */
	reg_store_range(entries, COX_KIND_SERVICE_ENTRY, ns, &from, &to);
	for (; from < to; from++)
		reg_unit_mark_by_id(r, COX_KIND_SERVICE_ENTRY, ns, entries->p[from]->meta.name);
}

/* Its labels decide whether it is selected and on which network it is, an annotation how its traffic is spread. */
static void namespace_changed(struct cox_registry *r, struct cox_str name)
{
	if (r->mesh->config->discovery_selectors.n > 0)
		reg_recheck(r, name);
	if (r->is_bulk)
		return;
	if (cox_str_eq(name, cox_registry_root_namespace(r)))
		reg_units_mark_all(r);
	else
		mark_namespace(r, name);
}

void reg_apply(struct cox_registry *r, const struct cox_object *old, const struct cox_object *now)
{
	const struct cox_object *o = now ? now : old;
	r->kind_changes[o->kind]++;
	switch (o->kind) {
	case COX_KIND_SERVICE: reg_networks_service_changed(r, old, now); /* fall through */
	case COX_KIND_SERVICE_ENTRY: reg_unit_changed(r, old, now); return;
	case COX_KIND_ENDPOINT_SLICE: reg_slice_changed(r, old, now); return;
	case COX_KIND_POD: reg_pod_changed(r, old, now); return;
	case COX_KIND_WORKLOAD_ENTRY: reg_workload_entry_changed(r, old, now); return;
	case COX_KIND_CONFIG_MAP:
		if (reg_mesh_is_input(r, o)) {
			reg_mesh_reload(r);
			reg_networks_reload(r);
			return;
		}
		break;
	case COX_KIND_SERVICE_ACCOUNT: return;
	case COX_KIND_NODE:
		reg_networks_node_changed(r);
		reg_node_changed(r, old, now);
		break;
	case COX_KIND_NAMESPACE: namespace_changed(r, o->meta.name); break;
	default: break;
	}
	reg_change_add(r, o->kind, o->id, o->meta.ns, !now);
}

static void store_remove(struct cox_registry *r, enum cox_kind kind, struct cox_str id)
{
	const struct cox_object *old = reg_store_remove(&r->stores[kind], id);
	if (!old)
		return;
	reg_apply(r, old, NULL);
	cox_object_unref(old);
}

void cox_registry_put(struct cox_registry *r, const struct cox_object *o)
{
	if (!reg_is_in_force(r, o)) {
		cox_object_unref(reg_store_put(&r->parked[o->kind], o));
		store_remove(r, o->kind, o->id);
		return;
	}
	cox_object_unref(reg_store_remove(&r->parked[o->kind], o->id));
	const struct cox_object *known = reg_store_find(&r->stores[o->kind], o->id);
	if (known && cox_object_eq(known, o)) {
		reg_secret_forget(r, o->id); /* the last good version is back */
		return;
	}
	if (!reg_secret_is_usable(r, o, known))
		return;
	const struct cox_object *old = reg_store_put(&r->stores[o->kind], o);
	r->displaced += old && old->is_generated && !o->is_generated;
	reg_apply(r, old, o);
	cox_object_unref(old);
}

void cox_registry_remove(struct cox_registry *r, enum cox_kind kind, struct cox_str ns, struct cox_str name)
{
	struct cox_arena arena = { 0 };
	struct cox_str id = cox_arena_printf(&arena, "%.*s/%.*s/%.*s", COX_FMT(cox_kind_info(kind)->word), COX_FMT(ns), COX_FMT(name));
	cox_object_unref(reg_store_remove(&r->parked[kind], id));
	reg_secret_forget(r, id);
	store_remove(r, kind, id);
	cox_arena_fini(&arena);
}

void cox_registry_take_changes(struct cox_registry *r, struct cox_registry_changes *out)
{
	if (r->are_networks_dirty && reg_networks_update(r))
		reg_change_add(r, COX_KIND_CONFIG_MAP, COX_STR("meshNetworks"), r->opts.root_namespace, false);
	reg_units_resolve(r);
	if (r->is_bulk) { /* the first list left room for what is not built twice */
		cox_vec_fini(&r->eps);
		cox_vec_fini(&r->dirty);
		cox_vec_fini(&r->touched);
		cox_map_fini(&r->pending_ids);
		r->is_bulk = false;
	}
	*out = r->pending;
	memset(&r->pending, 0, sizeof(r->pending));
	cox_map_clear(&r->pending_ids);
}

void cox_registry_changes_fini(struct cox_registry_changes *c)
{
	cox_vec_fini(&c->items);
	cox_arena_fini(&c->arena);
	c->needs_snapshot = false;
}

/* --- tables ---------------------------------------------------------------------------------------- */

size_t cox_registry_svcs(const struct cox_registry *r, const struct cox_svc_entry **out)
{
	*out = r->table.p;
	return r->table.n;
}

size_t cox_registry_objects(const struct cox_registry *r, enum cox_kind kind, const struct cox_object *const **out)
{
	*out = r->stores[kind].p;
	return r->stores[kind].n;
}

uint64_t cox_registry_kind_changes(const struct cox_registry *r, enum cox_kind kind) { return r->kind_changes[kind]; }
uint64_t cox_registry_displaced_count(const struct cox_registry *r) { return r->displaced; }

enum cox_compliance cox_registry_compliance(const struct cox_registry *r) { return r->opts.compliance; }
const struct cox_features *cox_registry_features(const struct cox_registry *r) { return &r->opts.features; }

struct cox_guard cox_registry_guard(const struct cox_registry *r) { return r->guard; }

void cox_registry_set_guard(struct cox_registry *r, struct cox_guard guard)
{
	if (r->guard.is_on == guard.is_on && r->guard.tcp == guard.tcp)
		return;
	r->guard = guard;
	reg_change_add(r, COX_KIND_CONFIG_MAP, COX_STR("mesh"), r->opts.root_namespace, false);
}

const struct cox_object *cox_registry_object_find(const struct cox_registry *r, enum cox_kind kind, struct cox_str ns, struct cox_str name)
{
	return reg_object(r, kind, ns, name);
}

const struct cox_endpoint_set *cox_registry_endpoints_find(const struct cox_registry *r, struct cox_str hostname, struct cox_str ns)
{
	const struct reg_slot *s = reg_slot_find(r, hostname, ns);
	return s ? s->endpoints : NULL;
}

/* --- findings --------------------------------------------------------------------------------------- */

typedef COX_VEC(struct cox_registry_finding) findings;

static void slot_findings(const struct reg_slot *s, struct cox_arena *arena, findings *all)
{
	for (size_t i = 1; i < s->claims.n; i++) {
		struct cox_registry_finding *f = cox_vec_add(all);
		const struct cox_object *o = s->claims.p[i]->o;
		f->object_id = cox_arena_str(arena, o->id);
		f->path = o->kind == COX_KIND_SERVICE_ENTRY ? COX_STR("spec.hosts") : COX_STR("metadata.name");
		f->severity = COX_SEV_ERROR;
		f->text = cox_arena_printf(arena, "host %.*s of namespace %.*s belongs to the older %.*s", COX_FMT(s->hostname),
		                           COX_FMT(s->ns), COX_FMT(s->claims.p[0]->o->id));
	}
}

static int finding_cmp(const void *a, const void *b)
{
	const struct cox_registry_finding *x = a, *y = b;
	int c = cox_str_cmp(x->object_id, y->object_id);
	return c != 0 ? c : cox_str_cmp(x->text, y->text);
}

size_t cox_registry_findings(const struct cox_registry *r, struct cox_arena *arena, const struct cox_registry_finding **out)
{
	findings all = { 0 };
	if (r->networks_error.n > 0)
		cox_vec_push(&all, ((struct cox_registry_finding){
		                       cox_arena_printf(arena, "ConfigMap/%.*s/istio", COX_FMT(r->opts.root_namespace)),
		                       COX_STR("data.meshNetworks"), cox_arena_str(arena, cox_buf_str(&r->networks_error)),
		                       r->networks_are_bad ? COX_SEV_ERROR : COX_SEV_WARNING, false, true }));
	for (struct cox_map_entry *e = NULL; (e = cox_map_next(&r->slots, e));)
		for (const struct reg_slot *s = e->value; s; s = s->next)
			slot_findings(s, arena, &all);
	struct cox_registry_finding *copy =
	    COX_ARENA_ARRAY(arena, struct cox_registry_finding, all.n + reg_secret_findings_max(r) + r->mesh_diags.n + 1);
	size_t n = reg_secret_findings(r, arena, copy);
	n += reg_mesh_findings(r, arena, copy + n);
	if (all.n > 0)
		memcpy(copy + n, all.p, all.n * sizeof(*copy));
	n += all.n;
	if (n > 0)
		qsort(copy, n, sizeof(*copy), finding_cmp);
	cox_vec_fini(&all);
	*out = copy;
	return n;
}
