/* A status that was given whole (Ingress, Gateway API): times of conditions, and what other controllers said, come from the server. */
#include "status/status_priv.h"

/* Lists of entries that bear the name of the controller that speaks; for the server one field, written as a whole. */
static const char *const shared_lists[] = { "parents", "ancestors" };
/* Entries of these controllers are ours. */
static const char *const our_controllers[] = { "istio.io/gateway-controller", "istio.io/mesh-controller" };

static bool is_shared_list(struct cox_str key, const struct cox_json *v)
{
	if (v->type != COX_JSON_ARRAY)
		return false;
	for (size_t i = 0; i < COX_LEN(shared_lists); i++)
		if (cox_str_eq_cstr(key, shared_lists[i]))
			return true;
	return false;
}

static bool is_ours(const struct cox_json *entry)
{
	struct cox_str name = cox_json_str_at(entry, "controllerName");
	for (size_t i = 0; i < COX_LEN(our_controllers); i++)
		if (cox_str_eq_cstr(name, our_controllers[i]))
			return true;
	return false;
}

static const struct cox_json *item_with(const struct cox_json *list, const char *key, const struct cox_json *value)
{
	for (size_t i = 0; list && value && list->type == COX_JSON_ARRAY && i < list->n; i++) {
		const struct cox_json *v = cox_json_get(&list->items[i], cox_str_of(key));
		if (v && cox_json_eq(v, value))
			return &list->items[i];
	}
	return NULL;
}

/* What the server has in place of an item: conditions go by type, listeners by name, parents by what they refer to. */
static const struct cox_json *counterpart(const struct cox_json *list, const struct cox_json *item)
{
	static const char *const keys[] = { "type", "name", "parentRef", "ancestorRef" };
	for (size_t i = 0; i < COX_LEN(keys); i++) {
		const struct cox_json *value = cox_json_get(item, cox_str_of(keys[i]));
		for (size_t k = 0; value && list && list->type == COX_JSON_ARRAY && k < list->n; k++) {
			const struct cox_json *there = &list->items[k], *v = cox_json_get(there, cox_str_of(keys[i]));
			bool is_same_speaker =
			    cox_str_eq(cox_json_str_at(there, "controllerName"), cox_json_str_at(item, "controllerName"));
			if (v && cox_json_eq(v, value) && is_same_speaker)
				return there;
		}
	}
	return NULL;
}

static struct cox_json *merge_value(struct cox_arena *a, const struct cox_json *want, const struct cox_json *was, struct cox_str now);

static struct cox_json *merge_condition(struct cox_arena *a, const struct cox_json *want, const struct cox_json *was, struct cox_str now)
{
	struct cox_json *c = cox_json_clone(a, want);
	struct cox_str since = cox_json_str_at(was, "lastTransitionTime");
	if (!since.n || !cox_str_eq(cox_json_str_at(was, "status"), cox_json_str_at(want, "status")))
		since = now;
	cox_json_set(a, c, COX_STR("lastTransitionTime"), cox_json_new_str(a, since));
	return c;
}

static struct cox_json *merge_list(struct cox_arena *a, struct cox_str key, const struct cox_json *want, const struct cox_json *was,
                                   struct cox_str now)
{
	struct cox_json *list = cox_json_new_array(a);
	bool is_conditions = cox_str_eq_cstr(key, "conditions");
	for (size_t i = 0; i < want->n; i++) {
		const struct cox_json *item = &want->items[i], *there = counterpart(was, item);
		cox_json_push(a, list, is_conditions ? merge_condition(a, item, there, now) : merge_value(a, item, there, now));
	}
	for (size_t i = 0; was && is_shared_list(key, was) && i < was->n; i++)
		if (!is_ours(&was->items[i]))
			cox_json_push(a, list, &was->items[i]);
	return list;
}

static struct cox_json *merge_value(struct cox_arena *a, const struct cox_json *want, const struct cox_json *was, struct cox_str now)
{
	if (want->type != COX_JSON_OBJECT)
		return cox_json_clone(a, want);
	struct cox_json *out = cox_json_new_object(a);
	for (size_t i = 0; i < want->n; i++) {
		const struct cox_json_member *m = &want->members[i];
		const struct cox_json *there = cox_json_get(was, m->key);
		bool is_list = m->value.type == COX_JSON_ARRAY;
		cox_json_set(a, out, m->key,
		             is_list ? merge_list(a, m->key, &m->value, there, now) : merge_value(a, &m->value, there, now));
	}
	return out;
}

struct cox_json *status_tree_merge(struct cox_arena *a, const struct cox_json *tree, const struct cox_json *was, struct cox_str now)
{
	if (tree)
		return merge_value(a, tree, was, now);
	/* An apply without a field gives up what we own of it; of a shared list that would be the others' entries too. */
	struct cox_json *out = cox_json_new_object(a), *none = cox_json_new_array(a);
	for (size_t i = 0; i < COX_LEN(shared_lists); i++) {
		struct cox_str key = cox_str_of(shared_lists[i]);
		const struct cox_json *there = cox_json_get(was, key);
		struct cox_json *others = there && there->type == COX_JSON_ARRAY ? merge_list(a, key, none, there, now) : none;
		if (others->n || there)
			cox_json_set(a, out, key, others);
	}
	return out;
}

/* Everything in `want` is in `there`; of conditions others may stand beside ours. */
static bool is_covered(struct cox_str key, const struct cox_json *want, const struct cox_json *there)
{
	if (!there || want->type != there->type)
		return false;
	if (want->type == COX_JSON_OBJECT) {
		for (size_t i = 0; i < want->n; i++)
			if (!is_covered(want->members[i].key, &want->members[i].value, cox_json_get(there, want->members[i].key)))
				return false;
		/* What is not wanted any more, but for members that others add to the whole. */
		return key.n == 0 || there->n == want->n;
	}
	if (want->type != COX_JSON_ARRAY)
		return cox_json_eq(want, there);
	bool is_conditions = cox_str_eq_cstr(key, "conditions");
	if (!is_conditions && want->n != there->n)
		return false;
	for (size_t i = 0; i < want->n; i++) {
		const struct cox_json *item = &want->items[i];
		const struct cox_json *other =
		    is_conditions ? item_with(there, "type", cox_json_get(item, COX_STR("type"))) : &there->items[i];
		if (!other || (is_conditions ? !cox_json_eq(item, other) : !is_covered(COX_STR("item"), item, other)))
			return false;
	}
	return true;
}

bool status_tree_is_said(const struct cox_json *tree, const struct cox_json *was)
{
	struct cox_arena a = { 0 };
	/* With nothing to say only the server knows whether something of ours stands there. */
	bool is_said = tree && is_covered((struct cox_str){ 0 }, status_tree_merge(&a, tree, was, COX_STR("")), was);
	cox_arena_fini(&a);
	return is_said;
}

bool status_tree_is_shared(const struct cox_json *status)
{
	for (size_t i = 0; i < status->n; i++)
		if (is_shared_list(status->members[i].key, &status->members[i].value))
			return true;
	return false;
}
