/* Trees of the transcoder, changed as protobuf would change the messages. */
#include "translate/patch_priv.h"

const struct cox_envoy_message *patch_message(const char *name)
{
	const struct cox_envoy_message *m = cox_envoy_message_find(cox_str_of(name));
	COX_ASSERT(m);
	return m;
}

struct cox_json *tree_get(struct cox_json *v, const char *key)
{
	struct cox_json *found = (struct cox_json *)cox_json_get(v, cox_str_of(key)); /* the tree is ours */
	return found && found->type != COX_JSON_NULL ? found : NULL;
}

struct cox_str tree_str(const struct cox_json *v, const char *key)
{
	const struct cox_json *found = cox_json_get(v, cox_str_of(key));
	return found && found->type == COX_JSON_STRING ? found->text : (struct cox_str){ 0 };
}

struct cox_json *tree_list(struct patch_job *j, struct cox_json *v, const char *key)
{
	struct cox_json *found = tree_get(v, key);
	if (found && found->type == COX_JSON_ARRAY)
		return found;
	return cox_json_set(j->t->arena, v, cox_str_of(key), cox_json_new_array(j->t->arena));
}

void tree_insert(struct patch_job *j, struct cox_json *list, size_t at, const struct cox_json *value)
{
	COX_ASSERT(at <= list->n);
	(void)cox_json_push(j->t->arena, list, cox_json_clone(j->t->arena, value));
	struct cox_json last = list->items[list->n - 1];
	memmove(&list->items[at + 1], &list->items[at], (list->n - 1 - at) * sizeof(*list->items));
	list->items[at] = last;
}

void tree_remove(struct cox_json *list, size_t at)
{
	COX_ASSERT(at < list->n);
	memmove(&list->items[at], &list->items[at + 1], (list->n - 1 - at) * sizeof(*list->items));
	list->n--;
}

uint64_t tree_u64(const struct cox_json *v)
{
	uint64_t n;
	return v && (v->type == COX_JSON_NUMBER || v->type == COX_JSON_STRING) && cox_str_to_u64(v->text, &n) == COX_OK ? n : 0;
}

/* Setting one member of a oneof unsets the others. */
static void clear_oneof(struct cox_arena *a, const struct cox_envoy_message *m, const struct cox_envoy_field *f, struct cox_json *into)
{
	for (size_t i = 0; f->oneof && i < cox_envoy_field_count(m); i++) {
		struct cox_envoy_field other = cox_envoy_field_at(m, i);
		if (other.oneof == f->oneof && other.number != f->number && cox_json_get(into, other.name))
			cox_json_set(a, into, other.name, &(struct cox_json){ .type = COX_JSON_NULL });
	}
}

static void set_clone(struct cox_arena *a, struct cox_json *into, struct cox_str key, const struct cox_json *value)
{
	cox_json_set(a, into, key, cox_json_clone(a, value));
}

static void append(struct cox_arena *a, struct cox_json *into, struct cox_str key, const struct cox_json *from)
{
	struct cox_json *list = (struct cox_json *)cox_json_get(into, key);
	if (!list || list->type != COX_JSON_ARRAY)
		list = cox_json_set(a, into, key, cox_json_new_array(a));
	for (size_t i = 0; i < from->n; i++)
		(void)cox_json_push(a, list, cox_json_clone(a, &from->items[i]));
}

/* Entries of a map, and members of a Struct: each replaces the one of its name. */
static void put_entries(struct cox_arena *a, struct cox_json *into, struct cox_str key, const struct cox_json *from)
{
	struct cox_json *map = (struct cox_json *)cox_json_get(into, key);
	if (!map || map->type != COX_JSON_OBJECT)
		map = cox_json_set(a, into, key, cox_json_new_object(a));
	for (size_t i = 0; i < from->n; i++)
		set_clone(a, map, from->members[i].key, &from->members[i].value);
}

static void merge_field(struct cox_arena *a, const struct cox_envoy_message *m, const struct cox_envoy_field *f, struct cox_json *into,
                        const struct cox_json *value, bool replace)
{
	enum cox_envoy_kind kind = f->message ? cox_envoy_message_kind(f->message) : COX_ENVOY_PLAIN;
	clear_oneof(a, m, f, into);
	struct cox_json *have = (struct cox_json *)cox_json_get(into, f->name);
	if (f->map || (!f->repeated && f->message && kind == COX_ENVOY_STRUCT)) {
		if (value->type == COX_JSON_OBJECT)
			put_entries(a, into, f->name, value);
	} else if (f->repeated && !replace && value->type == COX_JSON_ARRAY) {
		append(a, into, f->name, value);
	} else if (!f->repeated && f->message && kind == COX_ENVOY_PLAIN && have && have->type == COX_JSON_OBJECT) {
		tree_merge(a, f->message, have, value, replace);
	} else {
		set_clone(a, into, f->name, value);
	}
}

void tree_merge(struct cox_arena *a, const struct cox_envoy_message *m, struct cox_json *into, const struct cox_json *from, bool replace)
{
	if (from->type != COX_JSON_OBJECT)
		return;
	for (size_t i = 0; i < from->n; i++) {
		ptrdiff_t at = cox_envoy_field_by_name(m, from->members[i].key);
		if (at < 0 || from->members[i].value.type == COX_JSON_NULL)
			continue; /* "@type" */
		struct cox_envoy_field f = cox_envoy_field_at(m, (size_t)at);
		merge_field(a, m, &f, into, &from->members[i].value, replace);
	}
}

/* A TypedStruct says the same of a type as a message of that type does; NULL: it does not, or Envoy knows better than we do. */
static struct cox_json *from_typed_struct(struct cox_arena *a, const struct cox_envoy_message *m, const struct cox_json *typed)
{
	const struct cox_json *value = cox_json_get(typed, COX_STR("value"));
	struct cox_buf wire = { 0 };
	struct cox_json *made = NULL;
	if (!value || cox_envoy_message_find(tree_str(typed, "type_url")) != m)
		return NULL;
	if (cox_envoy_from_json(m, value, 0, &wire, NULL) == COX_OK) {
		struct cox_str bytes = cox_arena_str(a, cox_buf_str(&wire));
		if (cox_envoy_to_json(m, bytes, COX_TRANSCODE_KEEP_OPAQUE, a, &made, NULL) != COX_OK)
			made = NULL;
	}
	cox_buf_fini(&wire);
	return made;
}

bool tree_merge_any(struct cox_arena *a, struct cox_json *into, const struct cox_json *from, bool replace)
{
	struct cox_str mine = tree_str(into, "@type"), theirs = tree_str(from, "@type");
	const struct cox_envoy_message *m = cox_envoy_message_find(mine), *other = cox_envoy_message_find(theirs);
	if (!m || cox_json_get(into, COX_STR("@value")))
		return false;
	if (m != other && other &&
	    (other == patch_message("udpa.type.v1.TypedStruct") || other == patch_message("xds.type.v3.TypedStruct"))) {
		from = from_typed_struct(a, m, from);
		other = m;
	}
	if (!from || m != other)
		return false;
	if (cox_envoy_message_kind(m) != COX_ENVOY_PLAIN) { /* it stands under "value" */
		const struct cox_json *value = cox_json_get(from, COX_STR("value"));
		if (value)
			set_clone(a, into, COX_STR("value"), value);
		return true;
	}
	tree_merge(a, m, into, from, replace);
	return true;
}
