/* Reading and changing a pod's tree. */
#include "inject/inject_priv.h"

#include <stdarg.h>
#include <stdio.h>

struct cox_str inject_label(const struct inject_job *j, const char *key)
{
	const struct cox_json *v = cox_json_get(j->labels, cox_str_of(key));
	return v && v->type == COX_JSON_STRING ? v->text : (struct cox_str){ 0 };
}

struct cox_str inject_annotation(const struct inject_job *j, const char *key, bool *is_set)
{
	const struct cox_json *v = cox_json_get(j->annotations, cox_str_of(key));
	bool found = v && v->type == COX_JSON_STRING;
	if (is_set)
		*is_set = found;
	return found ? v->text : (struct cox_str){ 0 };
}

struct cox_str inject_json_text(struct cox_arena *arena, const struct cox_json *v)
{
	if (!v || v->type == COX_JSON_NULL)
		return (struct cox_str){ 0 };
	if (v->type == COX_JSON_STRING || v->type == COX_JSON_NUMBER)
		return v->text;
	if (v->type == COX_JSON_BOOL)
		return v->boolean ? COX_STR("true") : COX_STR("false");
	struct cox_buf buf = { 0 };
	cox_json_write(&buf, v, 0, false);
	struct cox_str text = cox_arena_str(arena, cox_buf_str(&buf));
	cox_buf_fini(&buf);
	return text;
}

struct cox_str inject_value(const struct inject_job *j, const char *dotted)
{
	return inject_json_text(j->arena, cox_json_at(j->c->values, dotted));
}

bool inject_value_is_true(const struct inject_job *j, const char *dotted) { return cox_str_eq_cstr(inject_value(j, dotted), "true"); }

struct cox_str inject_setting(const struct inject_job *j, const char *annotation, const char *dotted, const char *fallback)
{
	bool is_set = false;
	struct cox_str v = annotation ? inject_annotation(j, annotation, &is_set) : (struct cox_str){ 0 };
	if (is_set)
		return v;
	const struct cox_json *value = dotted ? cox_json_at(j->c->values, dotted) : NULL;
	/* Istio's values name everything, with "" where nothing is chosen. */
	if (!annotation && value && value->type == COX_JSON_STRING && value->text.n == 0)
		value = NULL;
	return value && value->type != COX_JSON_NULL ? inject_json_text(j->arena, value) : cox_str_of(fallback);
}

struct cox_json *inject_find_mutable(struct cox_json *object, const char *key)
{
	return (struct cox_json *)cox_json_get(object, cox_str_of(key));
}

struct cox_json *inject_member(struct inject_job *j, struct cox_json *object, const char *key, enum cox_json_type type)
{
	struct cox_json *v = inject_find_mutable(object, key);
	if (v && v->type == type)
		return v;
	struct cox_json fresh = { .type = type };
	return cox_json_set(j->arena, object, cox_str_of(key), &fresh);
}

struct cox_json *inject_by_name(const struct cox_json *list, struct cox_str name)
{
	for (size_t i = 0; list && list->type == COX_JSON_ARRAY && i < list->n; i++)
		if (cox_str_eq(cox_json_str_at(&list->items[i], "name"), name))
			return &list->items[i];
	return NULL;
}

void inject_set_str(struct inject_job *j, struct cox_json *object, struct cox_str key, struct cox_str value)
{
	cox_json_set(j->arena, object, key, &(struct cox_json){ .type = COX_JSON_STRING, .text = value });
}

void inject_remove(struct cox_json *object, struct cox_str key)
{
	for (size_t i = 0; object && object->type == COX_JSON_OBJECT && i < object->n; i++)
		if (cox_str_eq(object->members[i].key, key)) {
			memmove(&object->members[i], &object->members[i + 1], (object->n - i - 1) * sizeof(*object->members));
			object->n--;
			return;
		}
}

void inject_remove_item(struct cox_json *array, size_t at)
{
	memmove(&array->items[at], &array->items[at + 1], (array->n - at - 1) * sizeof(*array->items));
	array->n--;
}

void inject_warn(struct inject_job *j, const char *fmt, ...)
{
	char text[500];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	cox_vec_push(&j->warnings, cox_arena_str(j->arena, cox_str_of(text)));
}
