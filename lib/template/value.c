/* Values: maps in the order of keys, truth, equality, copies, JSON both ways. */
#include "template/template_priv.h"

struct cox_template_value cox_template_str(struct cox_str s)
{
	return (struct cox_template_value){ .kind = COX_TEMPLATE_STRING, .text = s };
}

struct cox_template_value cox_template_int(int64_t v) { return (struct cox_template_value){ .kind = COX_TEMPLATE_INT, .integer = v }; }

struct cox_template_value cox_template_bool(bool v) { return (struct cox_template_value){ .kind = COX_TEMPLATE_BOOL, .boolean = v }; }

/* --- maps --------------------------------------------------------------------------------------------------- */

struct cox_template_value cox_template_map_new(struct cox_arena *arena, bool is_text)
{
	struct cox_template_value v = { .kind = COX_TEMPLATE_MAP };
	v.map = COX_ARENA_NEW(arena, struct cox_template_map);
	v.map->is_text = is_text;
	return v;
}

/* Where `key` is, or would be. */
static size_t place_of(const struct cox_template_map *m, struct cox_str key, bool *found)
{
	size_t lo = 0, hi = m->n;
	/* What comes in order (most do) goes to the end without a search. */
	if (m->n && cox_str_cmp(m->p[m->n - 1].key, key) < 0) {
		*found = false;
		return m->n;
	}
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		int c = cox_str_cmp(m->p[mid].key, key);
		if (c == 0) {
			*found = true;
			return mid;
		}
		if (c < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	*found = false;
	return lo;
}

void cox_template_map_set(struct cox_arena *arena, struct cox_template_value *map, struct cox_str key, struct cox_template_value v)
{
	struct cox_template_map *m = map->map;
	bool found;
	size_t at = place_of(m, key, &found);
	if (found) {
		m->p[at].value = v;
		return;
	}
	if (m->n == m->cap) {
		size_t cap = m->cap ? m->cap * 2 : 4;
		struct template_entry *p = COX_ARENA_ARRAY(arena, struct template_entry, cap);
		if (m->n)
			memcpy(p, m->p, m->n * sizeof(*p));
		m->p = p, m->cap = cap;
	}
	memmove(&m->p[at + 1], &m->p[at], (m->n - at) * sizeof(*m->p));
	m->p[at] = (struct template_entry){ key, v };
	m->n++;
}

const struct cox_template_value *cox_template_map_get(const struct cox_template_value *map, struct cox_str key)
{
	bool found;
	if (map->kind != COX_TEMPLATE_MAP)
		return NULL;
	size_t at = place_of(map->map, key, &found);
	return found ? &map->map->p[at].value : NULL;
}

void template_map_remove(struct cox_template_value *map, struct cox_str key)
{
	struct cox_template_map *m = map->map;
	bool found;
	size_t at = place_of(m, key, &found);
	if (!found)
		return;
	memmove(&m->p[at], &m->p[at + 1], (m->n - at - 1) * sizeof(*m->p));
	m->n--;
}

size_t cox_template_map_size(const struct cox_template_value *map) { return map->kind == COX_TEMPLATE_MAP ? map->map->n : 0; }

const struct cox_template_value *cox_template_map_at(const struct cox_template_value *map, size_t i, struct cox_str *key)
{
	*key = map->map->p[i].key;
	return &map->map->p[i].value;
}

/* --- questions ------------------------------------------------------------------------------------------------ */

bool cox_template_is_true(const struct cox_template_value *v)
{
	switch (v->kind) {
	case COX_TEMPLATE_NONE:
	case COX_TEMPLATE_NIL: return false;
	case COX_TEMPLATE_BOOL: return v->boolean;
	case COX_TEMPLATE_INT: return v->integer != 0;
	case COX_TEMPLATE_FLOAT: return v->real != 0;
	case COX_TEMPLATE_STRING: return v->text.n > 0;
	case COX_TEMPLATE_LIST: return v->list.n > 0;
	case COX_TEMPLATE_MAP: return v->map->n > 0;
	case COX_TEMPLATE_OBJECT: return !v->boolean;
	}
	return false;
}

/* The same, but for structs: those are never empty. */
bool template_is_empty(const struct cox_template_value *v) { return !cox_template_is_true(v); }

const char *template_type_name(const struct cox_template_value *v)
{
	if (v->type)
		return v->type->name;
	switch (v->kind) {
	case COX_TEMPLATE_NONE:
	case COX_TEMPLATE_NIL: return "<nil>";
	case COX_TEMPLATE_BOOL: return "bool";
	case COX_TEMPLATE_INT: return "int";
	case COX_TEMPLATE_FLOAT: return "float64";
	case COX_TEMPLATE_STRING: return "string";
	case COX_TEMPLATE_LIST: return "[]interface {}";
	case COX_TEMPLATE_MAP: return v->map->is_text ? "map[string]string" : "map[string]interface {}";
	case COX_TEMPLATE_OBJECT: return "object";
	}
	return "?";
}

static enum cox_rc equal_lists(struct cox_template_call *call, const struct cox_template_value *a, const struct cox_template_value *b,
                               bool *out)
{
	*out = a->list.n == b->list.n;
	for (size_t i = 0; *out && i < a->list.n; i++)
		COX_TRY(template_equal(call, &a->list.items[i], &b->list.items[i], out));
	return COX_OK;
}

static enum cox_rc equal_maps(struct cox_template_call *call, const struct cox_template_value *a, const struct cox_template_value *b,
                              bool *out)
{
	*out = a->map->n == b->map->n;
	for (size_t i = 0; *out && i < a->map->n; i++) {
		*out = cox_str_eq(a->map->p[i].key, b->map->p[i].key);
		if (*out)
			COX_TRY(template_equal(call, &a->map->p[i].value, &b->map->p[i].value, out));
	}
	return COX_OK;
}

enum cox_rc template_equal(struct cox_template_call *call, const struct cox_template_value *a, const struct cox_template_value *b,
                           bool *out)
{
	*out = false;
	if (template_is_nothing(a) || template_is_nothing(b)) {
		*out = template_is_nothing(a) && template_is_nothing(b);
		return COX_OK;
	}
	if (a->kind != b->kind)
		return COX_OK;
	COX_TRY(template_deeper(call->run));
	enum cox_rc rc = COX_OK;
	switch (a->kind) {
	case COX_TEMPLATE_BOOL: *out = a->boolean == b->boolean; break;
	case COX_TEMPLATE_INT: *out = a->integer == b->integer; break;
	case COX_TEMPLATE_FLOAT: *out = a->real == b->real; break;
	case COX_TEMPLATE_STRING: *out = cox_str_eq(a->text, b->text); break;
	case COX_TEMPLATE_LIST: rc = equal_lists(call, a, b, out); break;
	case COX_TEMPLATE_MAP: rc = equal_maps(call, a, b, out); break;
	case COX_TEMPLATE_OBJECT: *out = a->type == b->type && a->object.p == b->object.p; break;
	default: break;
	}
	template_shallower(call->run);
	return rc;
}

/* --- copies ----------------------------------------------------------------------------------------------------- */

enum cox_rc template_copy(struct cox_template_call *call, const struct cox_template_value *v, struct cox_template_value *out)
{
	*out = *v;
	if (v->kind != COX_TEMPLATE_LIST && v->kind != COX_TEMPLATE_MAP)
		return COX_OK;
	COX_TRY(template_deeper(call->run));
	enum cox_rc rc = COX_OK;
	if (v->kind == COX_TEMPLATE_LIST) {
		out->list.items = COX_ARENA_ARRAY(call->arena, struct cox_template_value, v->list.n);
		for (size_t i = 0; rc == COX_OK && i < v->list.n; i++)
			rc = template_copy(call, &v->list.items[i], &out->list.items[i]);
	} else {
		*out = cox_template_map_new(call->arena, v->map->is_text);
		for (size_t i = 0; rc == COX_OK && i < v->map->n; i++) {
			struct cox_template_value item;
			rc = template_copy(call, &v->map->p[i].value, &item);
			if (rc == COX_OK)
				cox_template_map_set(call->arena, out, v->map->p[i].key, item);
		}
	}
	template_shallower(call->run);
	return rc;
}

/* --- JSON --------------------------------------------------------------------------------------------------------- */

struct cox_template_value cox_template_of_json(struct cox_arena *arena, const struct cox_json *v)
{
	struct cox_template_value out = { .kind = COX_TEMPLATE_NIL };
	switch (v ? v->type : COX_JSON_NULL) {
	case COX_JSON_NULL: break;
	case COX_JSON_BOOL: out = cox_template_bool(v->boolean); break;
	case COX_JSON_NUMBER:
		out.kind = COX_TEMPLATE_FLOAT;
		if (cox_str_to_f64(v->text, &out.real) != COX_OK)
			out.real = 0;
		break;
	case COX_JSON_STRING: out = cox_template_str(v->text); break;
	case COX_JSON_ARRAY:
		out.kind = COX_TEMPLATE_LIST;
		out.list.n = v->n;
		out.list.items = COX_ARENA_ARRAY(arena, struct cox_template_value, v->n);
		for (size_t i = 0; i < v->n; i++)
			out.list.items[i] = cox_template_of_json(arena, &v->items[i]);
		break;
	case COX_JSON_OBJECT:
		out = cox_template_map_new(arena, false);
		for (size_t i = 0; i < v->n; i++)
			cox_template_map_set(arena, &out, v->members[i].key, cox_template_of_json(arena, &v->members[i].value));
		break;
	}
	return out;
}

static enum cox_rc list_to_json(struct cox_template_call *call, const struct cox_template_value *v, struct cox_json *out)
{
	struct cox_json made = { .type = COX_JSON_ARRAY, .n = v->list.n };
	made.items = COX_ARENA_ARRAY(call->arena, struct cox_json, made.n);
	for (size_t i = 0; i < made.n; i++)
		COX_TRY(cox_template_to_json(call, &v->list.items[i], &made.items[i]));
	*out = made;
	return COX_OK;
}

static enum cox_rc map_to_json(struct cox_template_call *call, const struct cox_template_value *v, struct cox_json *out)
{
	/* The keys differ and are in order: no search for each, as cox_json_set() would. */
	struct cox_json made = { .type = COX_JSON_OBJECT, .n = v->map->n };
	made.members = COX_ARENA_ARRAY(call->arena, struct cox_json_member, made.n);
	for (size_t i = 0; i < made.n; i++) {
		made.members[i].key = v->map->p[i].key;
		COX_TRY(cox_template_to_json(call, &v->map->p[i].value, &made.members[i].value));
	}
	*out = made;
	return COX_OK;
}

static enum cox_rc plain_to_json(struct cox_template_call *call, const struct cox_template_value *v, struct cox_json *out)
{
	switch (v->kind) {
	case COX_TEMPLATE_BOOL: *out = *cox_json_new_bool(call->arena, v->boolean); break;
	case COX_TEMPLATE_INT: *out = *cox_json_new_i64(call->arena, v->integer); break;
	case COX_TEMPLATE_FLOAT:
		/* Whole numbers as such: 1000000, not 1e+06. */
		if (v->real > -9e15 && v->real < 9e15 && v->real == (double)(int64_t)v->real)
			*out = *cox_json_new_i64(call->arena, (int64_t)v->real);
		else
			*out = *cox_json_new_f64(call->arena, v->real);
		break;
	case COX_TEMPLATE_STRING: *out = (struct cox_json){ .type = COX_JSON_STRING, .text = v->text }; break;
	default: *out = (struct cox_json){ .type = COX_JSON_NULL }; break;
	}
	return COX_OK;
}

enum cox_rc cox_template_to_json(struct cox_template_call *call, const struct cox_template_value *v, struct cox_json *out)
{
	COX_TRY(template_deeper(call->run));
	enum cox_rc rc;
	if (v->type && v->type->text && v->kind == COX_TEMPLATE_INT) {
		*out = (struct cox_json){ .type = COX_JSON_STRING, .text = v->type->text(call->arena, v) };
		rc = COX_OK;
	} else if (v->kind == COX_TEMPLATE_OBJECT) {
		const struct cox_json *own = v->type->json ? v->type->json(call->arena, v) : NULL;
		*out = own ? *own : (struct cox_json){ .type = COX_JSON_NULL };
		rc = COX_OK;
	} else if (v->kind == COX_TEMPLATE_LIST) {
		rc = list_to_json(call, v, out);
	} else if (v->kind == COX_TEMPLATE_MAP) {
		rc = map_to_json(call, v, out);
	} else {
		rc = plain_to_json(call, v, out);
	}
	template_shallower(call->run);
	return rc;
}
