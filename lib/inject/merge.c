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

static void merge_keyed(struct cox_arena *arena, struct cox_json *onto, const struct cox_json *patch, const char *key)
{
	for (size_t i = 0; i < patch->n; i++) {
		struct cox_json *old = find_by_key(onto, key, cox_json_get(&patch->items[i], cox_str_of(key)));
		if (old)
			inject_merge(arena, old, &patch->items[i]);
		else
			cox_json_push(arena, onto, cox_json_clone(arena, &patch->items[i]));
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
	for (size_t i = 0; i < patch->n; i++) {
		struct cox_str key = patch->members[i].key;
		const struct cox_json *value = &patch->members[i].value;
		struct cox_json *old = (struct cox_json *)cox_json_get(onto, key);
		const char *merge_key = value->type == COX_JSON_ARRAY ? key_of(key) : NULL;
		bool is_set = false;
		for (size_t k = 0; k < COX_LEN(merge_sets); k++)
			is_set |= cox_str_eq_cstr(key, merge_sets[k]);
		if (value->type == COX_JSON_NULL)
			inject_remove(onto, key);
		else if (!old || old->type != value->type)
			cox_json_set(arena, onto, key, cox_json_clone(arena, value));
		else if (value->type == COX_JSON_OBJECT)
			inject_merge(arena, old, value);
		else if (merge_key)
			merge_keyed(arena, old, value, merge_key);
		else if (value->type == COX_JSON_ARRAY && is_set)
			merge_set(arena, old, value);
		else
			*old = *cox_json_clone(arena, value);
	}
}
