/*
 * Kubernetes' strategic merge, as far as a pod needs it: which list of a PodSpec merges by which key is part of its API
 * (`x-kubernetes-patch-merge-key`); all other lists are replaced whole. New items go behind the old ones.
 */
#include "inject/inject_priv.h"

static const struct {
	const char *list, *key;
} merge_keys[] = {
	{ "containers", "name" },
	{ "initContainers", "name" },
	{ "ephemeralContainers", "name" },
	{ "volumes", "name" },
	{ "imagePullSecrets", "name" },
	{ "hostAliases", "ip" },
	{ "env", "name" },
	{ "ports", "containerPort" },
	{ "volumeMounts", "mountPath" },
	{ "volumeDevices", "devicePath" },
	{ "topologySpreadConstraints", "topologyKey" },
	{ "resourceClaims", "name" },
	{ "ownerReferences", "uid" },
};
/* Lists of plain text that are sets. */
static const char *const merge_sets[] = { "finalizers" };

static const char *key_of(struct cox_str list)
{
	for (size_t i = 0; i < COX_LEN(merge_keys); i++)
		if (cox_str_eq_cstr(list, merge_keys[i].list))
			return merge_keys[i].key;
	return NULL;
}

static struct cox_json *find_by_key(const struct cox_json *list, const char *key, const struct cox_json *value)
{
	for (size_t i = 0; value && i < list->n; i++)
		if (cox_json_eq(cox_json_get(&list->items[i], cox_str_of(key)), value))
			return &list->items[i];
	return NULL;
}

/* What an object of a patch says of itself: "$patch": delete or replace. */
static bool says(const struct cox_json *patch, const char *what)
{
	return patch->type == COX_JSON_OBJECT && cox_str_eq_cstr(cox_json_str_at(patch, "$patch"), what);
}

/* A copy of what a patch adds: nulls and directives have nothing to work on. */
static struct cox_json *added(struct cox_arena *arena, const struct cox_json *v)
{
	struct cox_json *out = cox_json_clone(arena, v);
	if (v->type == COX_JSON_OBJECT) {
		*out = (struct cox_json){ .type = COX_JSON_OBJECT };
		for (size_t i = 0; i < v->n; i++)
			if (v->members[i].value.type != COX_JSON_NULL && !cox_str_has_prefix(v->members[i].key, COX_STR("$")))
				cox_json_set(arena, out, v->members[i].key, added(arena, &v->members[i].value));
	} else if (v->type == COX_JSON_ARRAY) {
		*out = (struct cox_json){ .type = COX_JSON_ARRAY };
		for (size_t i = 0; i < v->n; i++)
			if (!says(&v->items[i], "delete"))
				cox_json_push(arena, out, added(arena, &v->items[i]));
	}
	return out;
}

static void merge_keyed(struct cox_arena *arena, struct cox_json *onto, const struct cox_json *patch, const char *key)
{
	for (size_t i = 0; i < patch->n; i++) {
		const struct cox_json *item = &patch->items[i];
		struct cox_json *old = find_by_key(onto, key, cox_json_get(item, cox_str_of(key)));
		if (says(item, "delete")) {
			if (old)
				inject_remove_item(onto, (size_t)(old - onto->items));
		} else if (old) {
			inject_merge(arena, old, item);
		} else {
			cox_json_push(arena, onto, added(arena, item));
		}
	}
}

static void merge_set(struct cox_arena *arena, struct cox_json *onto, const struct cox_json *patch)
{
	for (size_t i = 0; i < patch->n; i++) {
		bool has = false;
		for (size_t k = 0; k < onto->n; k++)
			has |= cox_json_eq(&onto->items[k], &patch->items[i]);
		if (!has)
			cox_json_push(arena, onto, &patch->items[i]);
	}
}

void inject_merge(struct cox_arena *arena, struct cox_json *onto, const struct cox_json *patch)
{
	if (says(patch, "replace") || says(patch, "delete")) {
		*onto = says(patch, "replace") ? *added(arena, patch) : (struct cox_json){ .type = COX_JSON_OBJECT };
		return;
	}
	for (size_t i = 0; i < patch->n; i++) {
		struct cox_str key = patch->members[i].key;
		if (cox_str_has_prefix(key, COX_STR("$")))
			continue;
		const struct cox_json *value = &patch->members[i].value;
		struct cox_json *old = (struct cox_json *)cox_json_get(onto, key);
		const char *merge_key = value->type == COX_JSON_ARRAY ? key_of(key) : NULL;
		bool is_set = false;
		for (size_t k = 0; k < COX_LEN(merge_sets); k++)
			is_set |= cox_str_eq_cstr(key, merge_sets[k]);
		if (value->type == COX_JSON_NULL)
			inject_remove(onto, key);
		else if (!old || old->type != value->type)
			cox_json_set(arena, onto, key, added(arena, value));
		else if (value->type == COX_JSON_OBJECT)
			inject_merge(arena, old, value);
		else if (merge_key)
			merge_keyed(arena, old, value, merge_key);
		else if (value->type == COX_JSON_ARRAY && is_set)
			merge_set(arena, old, value);
		else
			*old = *added(arena, value);
	}
}
