/* Which settings of proxies win: Istio's order, see proxy_config.h. */
#include "codec/yaml.h"
#include "model/proxy_config.h"

enum { ANNOTATION_BYTES_MAX = 256 * 1024 }; /* Kubernetes' limit for all annotations of an object */

static bool is_object(const struct cox_json *v) { return v && v->type == COX_JSON_OBJECT; }

/* A member whose own members are laid over one by one: Istio does so for these two and no other. */
static bool is_deep(struct cox_str key) { return cox_str_eq(key, COX_STR("proxyMetadata")) || cox_str_eq(key, COX_STR("proxyHeaders")); }

void cox_proxy_config_merge(struct cox_json *into, const struct cox_json *over, struct cox_arena *arena)
{
	for (size_t i = 0; is_object(over) && i < over->n; i++) {
		struct cox_str key = over->members[i].key;
		const struct cox_json *value = &over->members[i].value, *old = cox_json_get(into, key);
		if (is_deep(key) && is_object(old) && is_object(value)) {
			struct cox_json *both = cox_json_new_object(arena);
			for (size_t k = 0; k < old->n; k++)
				cox_json_set(arena, both, old->members[k].key, &old->members[k].value);
			for (size_t k = 0; k < value->n; k++)
				cox_json_set(arena, both, value->members[k].key, &value->members[k].value);
			value = both;
		}
		cox_json_set(arena, into, key, value);
	}
}

/* --- the kind ProxyConfig ---------------------------------------------------------------------------- */

static const struct cox_proxy_config_spec *spec_of(const struct cox_object *o)
{
	return o ? COX_SPEC(cox_proxy_config_object, o)->spec : NULL;
}

/* The oldest of a namespace that has no selector, or (`labels` not NULL) whose selector takes the workload. */
static const struct cox_proxy_config_spec *pick(const struct cox_object *const *objects, size_t n, struct cox_str ns,
                                                const struct cox_kv *labels, size_t label_n, bool by_selector)
{
	const struct cox_object *best = NULL;
	for (size_t i = 0; i < n; i++) {
		const struct cox_proxy_config_spec *s = spec_of(objects[i]);
		if (!s || !cox_str_eq(objects[i]->meta.ns, ns))
			continue;
		bool selects = s->selector && s->selector->match_labels.n > 0;
		if (selects != by_selector ||
		    (selects && !cox_kv_is_subset(s->selector->match_labels.p, s->selector->match_labels.n, labels, label_n)))
			continue;
		if (!best || cox_object_cmp_age(objects[i], best) < 0)
			best = objects[i];
	}
	return spec_of(best);
}

/* The same as a piece of the mesh's ProxyConfig. */
static void lay_spec(struct cox_json *into, const struct cox_proxy_config_spec *s, struct cox_arena *arena)
{
	if (!s)
		return;
	struct cox_json *over = cox_json_new_object(arena);
	if (s->concurrency.set)
		cox_json_set(arena, over, COX_STR("concurrency"), cox_json_new_i64(arena, s->concurrency.v));
	if (s->environment_variables.n > 0) {
		struct cox_json *env = cox_json_new_object(arena);
		for (COX_EACH(struct cox_kv, kv, s->environment_variables))
			cox_json_set(arena, env, kv->key, cox_json_new_str(arena, kv->value));
		cox_json_set(arena, over, COX_STR("proxyMetadata"), env);
	}
	if (s->image) {
		struct cox_json *image = cox_json_new_object(arena);
		cox_json_set(arena, image, COX_STR("imageType"), cox_json_new_str(arena, s->image->image_type));
		cox_json_set(arena, over, COX_STR("image"), image);
	}
	cox_proxy_config_merge(into, over, arena);
}

/* --- the annotation ------------------------------------------------------------------------------------ */

static void lay_annotation(struct cox_json *into, struct cox_str text, struct cox_arena *arena, struct cox_diags *diags)
{
	static const char path[] = "proxy.istio.io/config";
	size_t errors = diags->errors;
	struct cox_json *root = NULL;
	int second_line;
	struct cox_err err = { 0 };
	if (!text.n)
		return;
	if (cox_yaml_one(arena, text, ANNOTATION_BYTES_MAX, &root, &second_line, &err) != COX_OK)
		cox_diag_add(diags, COX_SEV_ERROR, err.line, path, "%s", err.text);
	if (root && !is_object(root))
		cox_diag_add(diags, COX_SEV_ERROR, 0, path, "must be an object");
	if (!is_object(root) || diags->errors != errors)
		return;
	cox_proxy_config_decode(root, path, arena, diags);
	if (diags->errors == errors)
		cox_proxy_config_merge(into, root, arena);
}

struct cox_json *cox_proxy_config_effective(struct cox_str mesh_raw, const struct cox_object *const *objects, size_t n,
                                            struct cox_str root_ns, struct cox_str ns, const struct cox_kv *labels, size_t label_n,
                                            struct cox_str annotation, struct cox_arena *arena, struct cox_diags *diags)
{
	struct cox_json *out = cox_json_new_object(arena), *mesh = NULL;
	if (mesh_raw.n && cox_json_parse(arena, mesh_raw, &mesh, NULL) == COX_OK)
		cox_proxy_config_merge(out, mesh, arena);
	lay_spec(out, pick(objects, n, root_ns, NULL, 0, false), arena);
	if (!cox_str_eq(ns, root_ns))
		lay_spec(out, pick(objects, n, ns, NULL, 0, false), arena);
	lay_annotation(out, annotation, arena, diags);
	lay_spec(out, pick(objects, n, ns, labels, label_n, true), arena);
	return out;
}
