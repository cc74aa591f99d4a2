/* Views of JSON trees as Go's structs. */
#include "inject/go_types.h"

#include "inject/inject_priv.h"

#include <stdlib.h>

static const struct go_member *members_of(const struct go_type *t) { return &inject_go_members[t->first]; }

/* --- enumerations ----------------------------------------------------------------------------------------------- */

struct enum_view {
	struct cox_template_type t; /* first: found by address */
	const struct go_type *of;
};

static struct cox_str enum_text(struct cox_arena *arena, const struct cox_template_value *v)
{
	const struct go_type *of = ((const struct enum_view *)(const void *)v->type)->of;
	for (int i = 0; i < of->n; i++)
		if (members_of(of)[i].of == v->integer)
			return cox_str_of(members_of(of)[i].go);
	return cox_arena_printf(arena, "%lld", (long long)v->integer);
}

static enum cox_rc enum_get(struct cox_template_call *call, const struct cox_template_value *v, struct cox_str name,
                            const struct cox_template_value *args, size_t n, struct cox_template_value *out)
{
	(void)args;
	if (!cox_str_eq_cstr(name, "String") || n > 0)
		return COX_ENOTFOUND;
	*out = cox_template_str(enum_text(call->arena, v));
	return COX_OK;
}

/* By name or number. */
static struct cox_template_value enum_value(struct cox_arena *arena, const struct go_type *of, const struct cox_json *v)
{
	struct cox_template_value out = cox_template_int(0);
	struct enum_view *view = COX_ARENA_NEW(arena, struct enum_view);
	*view = (struct enum_view){ { .name = of->name, .get = enum_get, .text = enum_text }, of };
	out.type = &view->t;
	for (int i = 0; v && v->type == COX_JSON_STRING && i < of->n; i++)
		if (cox_str_eq_cstr(v->text, members_of(of)[i].go))
			out.integer = members_of(of)[i].of;
	if (v && v->type == COX_JSON_NUMBER && cox_json_to_i64(v, &out.integer) != COX_OK)
		out.integer = 0;
	return out;
}

/* --- members ------------------------------------------------------------------------------------------------------ */

static struct cox_template_value scalar(struct cox_arena *arena, char kind, const struct cox_json *v)
{
	struct cox_template_value out = cox_template_str((struct cox_str){ 0 });
	int64_t i = 0;
	if (kind == 'j')
		return cox_template_of_json(arena, v);
	if (kind == 'b')
		return cox_template_bool(v && v->type == COX_JSON_BOOL && v->boolean);
	if (kind == 'i')
		return cox_template_int(v && cox_json_to_i64(v, &i) == COX_OK ? i : 0);
	if (kind == 'f') {
		out = (struct cox_template_value){ .kind = COX_TEMPLATE_FLOAT };
		if (v && cox_str_to_f64(v->text, &out.real) != COX_OK)
			out.real = 0;
		return out;
	}
	if (v)
		out.text = inject_json_text(arena, v);
	return out;
}

static struct cox_template_value item_value(struct cox_arena *arena, const struct go_member *m, const struct cox_json *v)
{
	if (m->item == 'S')
		return inject_go_view((size_t)m->of, v, false);
	return m->item == 'E' ? enum_value(arena, &inject_go_types[m->of], v) : scalar(arena, m->item, v);
}

struct cox_template_value inject_go_member(struct cox_arena *arena, const struct go_member *m, const struct cox_json *v)
{
	if (v && v->type == COX_JSON_NULL)
		v = NULL;
	if (m->kind == 'S')
		return inject_go_view((size_t)m->of, v, m->flags & GO_POINTER);
	if (m->kind == 'E')
		return enum_value(arena, &inject_go_types[m->of], v);
	if (m->kind == 'L') {
		struct cox_template_value out = { .kind = COX_TEMPLATE_LIST };
		if (v && v->type == COX_JSON_ARRAY) {
			out.list.items = COX_ARENA_ARRAY(arena, struct cox_template_value, v->n);
			for (; out.list.n < v->n; out.list.n++)
				out.list.items[out.list.n] = item_value(arena, m, &v->items[out.list.n]);
		}
		return out;
	}
	if (m->kind == 'M') {
		struct cox_template_value out = cox_template_map_new(arena, m->item == 's');
		for (size_t i = 0; v && v->type == COX_JSON_OBJECT && i < v->n; i++)
			cox_template_map_set(arena, &out, v->members[i].key, item_value(arena, m, &v->members[i].value));
		return out;
	}
	if (!v && (m->flags & GO_POINTER))
		return (struct cox_template_value){ .kind = COX_TEMPLATE_NIL };
	return scalar(arena, m->kind, v);
}

static const struct cox_json *find(const struct go_type *t, const struct go_member *m, const struct cox_json *v)
{
	if (t->kind == GO_WRAPPER)
		return v;
	return cox_json_get(v, cox_str_of(m->json));
}

/* --- views ---------------------------------------------------------------------------------------------------------- */

static const struct go_member *member_of(const struct go_type *t, struct cox_str name)
{
	for (int i = 0; i < t->n; i++)
		if (cox_str_eq_cstr(name, members_of(t)[i].go))
			return &members_of(t)[i];
	return NULL;
}

static enum cox_rc view_get(struct cox_template_call *call, const struct cox_template_value *v, struct cox_str name,
                            const struct cox_template_value *args, size_t n, struct cox_template_value *out)
{
	const struct go_type *t = v->object.more;
	const struct go_member *m = member_of(t, name);
	(void)args;
	bool is_field = m && !(m->flags & GO_GETTER);
	/* Messages, and the metadata of objects, have a getter for each member, which nil has too. */
	if (!m && (t->kind != GO_STRUCT || t == &inject_go_types[inject_go_object_meta]) && cox_str_has_prefix(name, COX_STR("Get")))
		m = member_of(t, cox_str_sub(name, 3, name.n));
	else if (!is_field)
		m = NULL;
	if (!m)
		return cox_template_fail(call, "can't evaluate field %.*s in type %s", COX_FMT(name), t->name);
	if (n > 0)
		return cox_template_fail(call, "%.*s has arguments but cannot be invoked as function", COX_FMT(name));
	if (is_field && v->boolean)
		return cox_template_fail(call, "nil pointer evaluating *%s.%.*s", t->name, COX_FMT(name));
	*out = inject_go_member(call->arena, m, find(t, m, v->object.p));
	return COX_OK;
}

static const struct cox_json *view_json(struct cox_arena *arena, const struct cox_template_value *v)
{
	if (v->boolean)
		return NULL;
	struct cox_json *out = COX_ARENA_NEW(arena, struct cox_json);
	*out = inject_go_encode(arena, v->object.more, v->object.p);
	return out;
}

static const struct cox_template_type view_type = { .name = "struct", .get = view_get, .json = view_json };

struct cox_template_value inject_go_view(size_t type, const struct cox_json *v, bool is_pointer)
{
	struct cox_template_value out = { .kind = COX_TEMPLATE_OBJECT, .type = &view_type };
	out.boolean = is_pointer && !v;
	out.object.p = v;
	out.object.more = &inject_go_types[type];
	return out;
}

const struct go_type *inject_go_type_of(const struct cox_template_value *v)
{
	return v->kind == COX_TEMPLATE_OBJECT && v->type == &view_type ? v->object.more : NULL;
}

const struct cox_json *inject_go_json_of(const struct cox_template_value *v) { return inject_go_type_of(v) ? v->object.p : NULL; }

/* --- JSON -------------------------------------------------------------------------------------------------------------- */

static bool is_zero(const struct cox_json *v)
{
	int64_t i;
	switch (v->type) {
	case COX_JSON_NULL: return true;
	case COX_JSON_BOOL: return !v->boolean;
	case COX_JSON_STRING: return v->text.n == 0;
	case COX_JSON_NUMBER: return cox_json_to_i64(v, &i) == COX_OK && i == 0;
	case COX_JSON_ARRAY: return v->n == 0;
	case COX_JSON_OBJECT: return v->n == 0;
	}
	return false;
}

static struct cox_json zero_of(struct cox_arena *arena, const struct go_member *m)
{
	switch (m->kind) {
	case 's':
	case 'x': return (struct cox_json){ .type = COX_JSON_STRING };
	case 'i':
	case 'f': return *cox_json_new_i64(arena, 0);
	case 'b': return (struct cox_json){ .type = COX_JSON_BOOL };
	case 'S': return m->flags & GO_POINTER ? (struct cox_json){ 0 } : inject_go_encode(arena, &inject_go_types[m->of], NULL);
	default: return (struct cox_json){ .type = COX_JSON_NULL };
	}
}

static int by_key(const void *a, const void *b)
{
	return cox_str_cmp(((const struct cox_json_member *)a)->key, ((const struct cox_json_member *)b)->key);
}

static struct cox_json encode_member(struct cox_arena *arena, const struct go_member *m, const struct cox_json *v)
{
	const struct go_type *of = &inject_go_types[m->of];
	struct cox_json out;
	if (m->kind == 'S' && (v->type == COX_JSON_OBJECT || of->kind == GO_WRAPPER))
		return inject_go_encode(arena, of, v);
	if (m->kind == 'L' && m->item == 'S' && v->type == COX_JSON_ARRAY) {
		out = (struct cox_json){ .type = COX_JSON_ARRAY };
		for (size_t i = 0; i < v->n; i++) {
			struct cox_json item = inject_go_encode(arena, of, &v->items[i]);
			cox_json_push(arena, &out, &item);
		}
		return out;
	}
	if (m->kind == 'M' && v->type == COX_JSON_OBJECT) {
		out = (struct cox_json){ .type = COX_JSON_OBJECT };
		for (size_t i = 0; i < v->n; i++) {
			struct cox_json item = m->item == 'S' ? inject_go_encode(arena, of, &v->members[i].value) : v->members[i].value;
			cox_json_set(arena, &out, v->members[i].key, &item);
		}
		/* Go writes maps in the order of their keys. */
		if (out.n > 1)
			qsort(out.members, out.n, sizeof(*out.members), by_key);
		return out;
	}
	return *v;
}

struct cox_json inject_go_encode(struct cox_arena *arena, const struct go_type *t, const struct cox_json *v)
{
	struct cox_json out = { .type = COX_JSON_OBJECT };
	if (t->kind == GO_WRAPPER)
		return v ? *v : (struct cox_json){ .type = COX_JSON_NULL };
	for (int i = 0; i < t->n; i++) {
		const struct go_member *m = &members_of(t)[i];
		const struct cox_json *have = find(t, m, v);
		/* A pointer that is set is written whatever it points to; a message's member of a wrapper's type is one. */
		bool keeps = have && have->type != COX_JSON_NULL && ((m->flags & GO_POINTER) || m->kind == 'S');
		if (!have || have->type == COX_JSON_NULL || (!keeps && is_zero(have))) {
			if (m->flags & GO_OMIT)
				continue;
			struct cox_json zero = zero_of(arena, m);
			cox_json_set(arena, &out, cox_str_of(m->json), &zero);
			continue;
		}
		struct cox_json made = encode_member(arena, m, have);
		cox_json_set(arena, &out, cox_str_of(m->json), &made);
	}
	return out;
}
