/* diff_json.c - where two trees differ, leaf by leaf. */
#include "tool/diff_priv.h"

static void add(struct cox_arena *a, struct cox_str path, const struct cox_json *before, const struct cox_json *after,
                struct cox_json *into)
{
	struct cox_json *o = cox_json_new_object(a);
	cox_json_set(a, o, COX_STR("path"), cox_json_new_str(a, path.n ? path : COX_STR(".")));
	if (before)
		cox_json_set(a, o, COX_STR("before"), before);
	if (after)
		cox_json_set(a, o, COX_STR("after"), after);
	cox_json_push(a, into, o);
}

static bool are_named(const struct cox_json *list)
{
	for (size_t i = 0; i < list->n; i++) {
		struct cox_str name = cox_json_str_at(&list->items[i], "name");
		if (name.n == 0)
			return false;
		for (size_t k = 0; k < i; k++)
			if (cox_str_eq(cox_json_str_at(&list->items[k], "name"), name))
				return false;
	}
	return list->n > 0;
}

static const struct cox_json *by_name(const struct cox_json *list, struct cox_str name)
{
	for (size_t i = 0; i < list->n; i++)
		if (cox_str_eq(cox_json_str_at(&list->items[i], "name"), name))
			return &list->items[i];
	return NULL;
}

static void lists(struct cox_arena *a, struct cox_str path, const struct cox_json *b, const struct cox_json *c, struct cox_json *into)
{
	if (are_named(b) && are_named(c)) {
		for (size_t i = 0; i < b->n; i++) {
			struct cox_str name = cox_json_str_at(&b->items[i], "name");
			diff_json(a, cox_arena_printf(a, "%.*s[%.*s]", COX_FMT(path), COX_FMT(name)), &b->items[i], by_name(c, name), into);
		}
		for (size_t i = 0; i < c->n; i++) {
			struct cox_str name = cox_json_str_at(&c->items[i], "name");
			if (by_name(b, name) == NULL)
				add(a, cox_arena_printf(a, "%.*s[%.*s]", COX_FMT(path), COX_FMT(name)), NULL, &c->items[i], into);
		}
		return;
	}
	for (size_t i = 0; i < b->n || i < c->n; i++)
		diff_json(a, cox_arena_printf(a, "%.*s[%zu]", COX_FMT(path), i), i < b->n ? &b->items[i] : NULL,
		          i < c->n ? &c->items[i] : NULL, into);
}

void diff_json(struct cox_arena *a, struct cox_str path, const struct cox_json *b, const struct cox_json *c, struct cox_json *into)
{
	if (b && c && cox_json_eq(b, c))
		return;
	if (b == NULL || c == NULL || b->type != c->type || (b->type != COX_JSON_OBJECT && b->type != COX_JSON_ARRAY)) {
		add(a, path, b, c, into);
		return;
	}
	if (b->type == COX_JSON_ARRAY) {
		lists(a, path, b, c, into);
		return;
	}
	const char *dot = path.n ? "." : "";
	for (size_t i = 0; i < b->n; i++)
		diff_json(a, cox_arena_printf(a, "%.*s%s%.*s", COX_FMT(path), dot, COX_FMT(b->members[i].key)), &b->members[i].value,
		          cox_json_get(c, b->members[i].key), into);
	for (size_t i = 0; i < c->n; i++)
		if (cox_json_get(b, c->members[i].key) == NULL)
			add(a, cox_arena_printf(a, "%.*s%s%.*s", COX_FMT(path), dot, COX_FMT(c->members[i].key)), NULL,
			    &c->members[i].value, into);
}
