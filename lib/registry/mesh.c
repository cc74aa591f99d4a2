/* The mesh configuration in force, and which objects it lets count. */
#include "registry/registry_priv.h"

#include "codec/yaml.h"

static const struct cox_mesh_shared *mesh_shared_new(struct cox_mesh_config *config)
{
	struct cox_mesh_shared *m = COX_NEW(struct cox_mesh_shared);
	cox_ref_init(&m->ref);
	m->config = config;
	m->hash = cox_message_hash(&cox_model_mesh_config, config);
	return m;
}

void cox_mesh_shared_unref(const struct cox_mesh_shared *m)
{
	struct cox_mesh_shared *mine = (struct cox_mesh_shared *)m;
	if (!mine || !cox_ref_put(&mine->ref))
		return;
	cox_free(mine->config);
	cox_free(mine);
}

const struct cox_mesh_shared *cox_registry_mesh_share(const struct cox_registry *r)
{
	cox_ref_get(&((struct cox_mesh_shared *)r->mesh)->ref);
	return r->mesh;
}

const struct cox_mesh_config *cox_registry_mesh(const struct cox_registry *r) { return r->mesh->config; }
struct cox_hash cox_registry_mesh_hash(const struct cox_registry *r) { return r->mesh->hash; }
struct cox_str cox_registry_domain(const struct cox_registry *r) { return r->opts.domain; }
struct cox_str cox_registry_cluster_id(const struct cox_registry *r) { return r->opts.cluster_id; }

/* The mesh configuration has a default here, so only another name than that is a wish. */
struct cox_str cox_registry_root_namespace(const struct cox_registry *r)
{
	struct cox_str mesh = r->mesh->config->root_namespace;
	return mesh.n > 0 && !cox_str_eq(mesh, COX_STR("istio-system")) ? mesh : r->opts.root_namespace;
}

/* NULL, and the reasons in r->mesh_diags, where it cannot be in force. */
static struct cox_mesh_config *read_yaml(struct cox_registry *r, struct cox_str yaml)
{
	struct cox_arena scratch = { 0 };
	struct cox_mesh_config *config = NULL;
	cox_arena_fini(&r->mesh_text);
	r->mesh_diags = (struct cox_diags){ .arena = &r->mesh_text };
	if (cox_mesh_config_build(yaml, &scratch, &r->mesh_diags, &config) != COX_OK)
		config = NULL;
	cox_arena_fini(&scratch);
	return config;
}

size_t reg_mesh_findings(const struct cox_registry *r, struct cox_arena *arena, struct cox_registry_finding *out)
{
	const struct cox_diags *d = &r->mesh_diags;
	struct cox_str suffix = cox_str_eq(r->opts.revision, COX_STR("default")) ? (struct cox_str){ 0 } : r->opts.revision;
	struct cox_str id =
	    cox_arena_printf(arena, "ConfigMap/%.*s/istio%s%.*s", COX_FMT(r->opts.root_namespace), suffix.n ? "-" : "", COX_FMT(suffix));
	for (size_t i = 0; i < d->n; i++) {
		const struct cox_diag *one = &d->items[i];
		bool is_error = one->severity == COX_SEV_ERROR;
		out[i] = (struct cox_registry_finding){
			.object_id = id,
			.path = COX_STR("data.mesh"),
			.text = cox_arena_printf(arena, "%s%.*s%s%.*s", is_error ? "the last good mesh configuration stays in force: " : "",
			                         COX_FMT(one->path), one->path.n ? ": " : "", COX_FMT(one->text)),
			.severity = one->severity,
			.is_mesh = true,
		};
	}
	return d->n;
}

void reg_mesh_init(struct cox_registry *r)
{
	struct cox_mesh_config *config = read_yaml(r, r->opts.mesh_yaml);
	if (!config) {
		struct cox_arena arena = { 0 };
		struct cox_diags diags = { .arena = &arena };
		enum cox_rc rc = cox_mesh_config_build(COX_STR("{}"), &arena, &diags, &config);
		COX_ASSERT(rc == COX_OK);
		cox_arena_fini(&arena);
	}
	r->mesh = mesh_shared_new(config);
}

/* ConfigMap "istio", or "istio-<revision>" of a revision of its own. */
bool reg_mesh_is_source(const struct cox_registry *r, const struct cox_object *o)
{
	if (o->kind != COX_KIND_CONFIG_MAP || !cox_str_eq(o->meta.ns, r->opts.root_namespace) ||
	    !cox_str_has_prefix(o->meta.name, COX_STR("istio")))
		return false;
	struct cox_str tail = cox_str_sub(o->meta.name, 5, SIZE_MAX);
	if (cox_str_eq(r->opts.revision, COX_STR("default")))
		return tail.n == 0;
	return tail.n > 1 && tail.p[0] == '-' && cox_str_eq(cox_str_sub(tail, 1, SIZE_MAX), r->opts.revision);
}

static bool is_shared(const struct cox_registry *r, const struct cox_object *o)
{
	return o->kind == COX_KIND_CONFIG_MAP && r->opts.shared_mesh.n && cox_str_eq(o->meta.name, r->opts.shared_mesh) &&
	       cox_str_eq(o->meta.ns, r->opts.root_namespace);
}

bool reg_mesh_is_input(const struct cox_registry *r, const struct cox_object *o) { return reg_mesh_is_source(r, o) || is_shared(r, o); }

/* Fields of `over` come first; objects are merged, everything else is replaced as a whole. */
static const struct cox_json *laid_over(struct cox_arena *a, const struct cox_json *under, const struct cox_json *over)
{
	if (!under || under->type != COX_JSON_OBJECT || over->type != COX_JSON_OBJECT)
		return over;
	struct cox_json *out = cox_json_new_object(a);
	for (size_t i = 0; i < under->n; i++)
		cox_json_set(a, out, under->members[i].key, &under->members[i].value);
	for (size_t i = 0; i < over->n; i++)
		cox_json_set(a, out, over->members[i].key,
		             laid_over(a, cox_json_get(under, over->members[i].key), &over->members[i].value));
	return out;
}

/* The mesh's own configuration over the shared one. What cannot be read is left to the reader to refuse. */
static struct cox_str with_shared(const struct cox_registry *r, struct cox_str yaml, struct cox_arena *a)
{
	const struct reg_store *maps = &r->stores[COX_KIND_CONFIG_MAP];
	struct cox_json *under = NULL, *over = NULL;
	struct cox_buf text = { 0 };
	struct cox_str shared = { 0 };
	for (size_t i = 0; i < maps->n; i++)
		if (is_shared(r, maps->p[i]))
			shared = cox_kv_get(COX_SPEC(cox_config_map, maps->p[i])->data.p, COX_SPEC(cox_config_map, maps->p[i])->data.n,
			                    COX_STR("mesh"));
	if (shared.n == 0 || cox_yaml_one(a, yaml, COX_JSON_BYTES_MAX, &over, NULL, NULL) != COX_OK)
		return yaml;
	if (!over)
		return shared;
	if (cox_yaml_one(a, shared, COX_JSON_BYTES_MAX, &under, NULL, NULL) != COX_OK || !under)
		return yaml;
	cox_json_write(&text, laid_over(a, under, over), 0, false);
	struct cox_str out = cox_arena_str(a, cox_buf_str(&text));
	cox_buf_fini(&text);
	return out;
}

static struct cox_str source_yaml(const struct cox_registry *r)
{
	const struct reg_store *maps = &r->stores[COX_KIND_CONFIG_MAP];
	for (size_t i = 0; i < maps->n; i++) {
		if (!reg_mesh_is_source(r, maps->p[i]))
			continue;
		const struct cox_config_map *map = COX_SPEC(cox_config_map, maps->p[i]);
		if (cox_kv_has(map->data.p, map->data.n, COX_STR("mesh")))
			return cox_kv_get(map->data.p, map->data.n, COX_STR("mesh"));
	}
	return r->opts.mesh_yaml;
}

void reg_mesh_reload(struct cox_registry *r)
{
	bool had_findings = r->mesh_diags.n > 0;
	struct cox_arena text = { 0 };
	struct cox_mesh_config *config = read_yaml(r, with_shared(r, source_yaml(r), &text));
	cox_arena_fini(&text);
	/* Findings are told after a round; nothing else may start one. */
	if (had_findings || r->mesh_diags.n > 0)
		reg_change_add(r, COX_KIND_CONFIG_MAP, COX_STR("mesh"), r->opts.root_namespace, false);
	if (!config)
		return;
	const struct cox_mesh_shared *old = r->mesh;
	r->mesh = mesh_shared_new(config);
	if (cox_hash_eq(old->hash, r->mesh->hash)) {
		cox_mesh_shared_unref(r->mesh);
		r->mesh = old;
		return;
	}
	bool selects = old->config->discovery_selectors.n > 0 || r->mesh->config->discovery_selectors.n > 0;
	cox_mesh_shared_unref(old);
	reg_change_add(r, COX_KIND_CONFIG_MAP, COX_STR("mesh"), r->opts.root_namespace, false);
	if (selects)
		reg_recheck(r, (struct cox_str){ 0 });
	reg_units_mark_all(r); /* trust domain, default visibility */
}

void cox_registry_set_mesh_yaml(struct cox_registry *r, struct cox_str yaml)
{
	cox_buf_clear(&r->mesh_file);
	cox_buf_append_str(&r->mesh_file, yaml.n > 0 ? yaml : COX_STR("{}"));
	r->opts.mesh_yaml = cox_buf_str(&r->mesh_file);
	reg_mesh_reload(r);
}

/* --- what counts ------------------------------------------------------------------------------------- */

static bool namespace_is_selected(const struct cox_registry *r, struct cox_str ns)
{
	const struct cox_mesh_config *mesh = r->mesh->config;
	if (mesh->discovery_selectors.n == 0 || ns.n == 0 || cox_str_eq(ns, r->opts.root_namespace) ||
	    cox_str_eq(ns, cox_registry_root_namespace(r)))
		return true;
	const struct cox_object *o = reg_object(r, COX_KIND_NAMESPACE, (struct cox_str){ 0 }, ns);
	for (COX_EACH(struct cox_label_selector, s, mesh->discovery_selectors))
		if (o && cox_label_selector_fits(s, o->meta.labels.p, o->meta.labels.n))
			return true;
	return false;
}

/* Kubernetes' own kinds carry istio.io/rev for the injector; only for our kinds it says who owns them. */
bool reg_is_in_force(const struct cox_registry *r, const struct cox_object *o)
{
	struct cox_str rev = cox_kv_get(o->meta.labels.p, o->meta.labels.n, COX_STR("istio.io/rev"));
	if (cox_kind_info(o->kind)->ours && rev.n > 0 && !cox_str_eq(rev, r->opts.revision))
		return false;
	return namespace_is_selected(r, o->meta.ns);
}

static bool is_concerned(const struct cox_object *o, struct cox_str ns) { return ns.n == 0 || cox_str_eq(o->meta.ns, ns); }

static void recheck_kind(struct cox_registry *r, enum cox_kind kind, struct cox_str ns)
{
	struct reg_store *in = &r->stores[kind], *out = &r->parked[kind];
	COX_VEC(const struct cox_object *) moving = { 0 };
	for (size_t i = 0; i < in->n; i++)
		if (is_concerned(in->p[i], ns) && !reg_is_in_force(r, in->p[i]))
			cox_vec_push(&moving, in->p[i]);
	size_t leaving = moving.n;
	for (size_t i = 0; i < out->n; i++)
		if (is_concerned(out->p[i], ns) && reg_is_in_force(r, out->p[i]))
			cox_vec_push(&moving, out->p[i]);
	for (size_t i = 0; i < moving.n; i++) {
		struct reg_store *from = i < leaving ? in : out, *to = i < leaving ? out : in;
		const struct cox_object *o = moving.p[i];
		cox_object_unref(reg_store_put(to, o));
		const struct cox_object *ours = reg_store_remove(from, o->id);
		reg_apply(r, i < leaving ? o : NULL, i < leaving ? NULL : o);
		cox_object_unref(ours);
	}
	cox_vec_fini(&moving);
}

void reg_recheck(struct cox_registry *r, struct cox_str ns)
{
	for (enum cox_kind k = 0; k < COX_KIND_COUNT; k++)
		if (cox_kind_info(k)->namespaced)
			recheck_kind(r, k, ns);
}
