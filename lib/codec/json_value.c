/* What is done with a finished tree, and how programs build one. */
#include "codec/json.h"

#include <stdio.h>
#include <stdlib.h>

const struct cox_json *cox_json_get(const struct cox_json *v, struct cox_str key)
{
	if (!v || v->type != COX_JSON_OBJECT)
		return NULL;
	for (size_t i = 0; i < v->n; i++)
		if (cox_str_eq(v->members[i].key, key))
			return &v->members[i].value;
	return NULL;
}

const struct cox_json *cox_json_at(const struct cox_json *v, const char *dotted)
{
	struct cox_str rest = cox_str_of(dotted), part;
	while (v && cox_str_next(&rest, '.', &part))
		v = cox_json_get(v, part);
	return v;
}

struct cox_str cox_json_str_at(const struct cox_json *v, const char *dotted)
{
	v = cox_json_at(v, dotted);
	return v && v->type == COX_JSON_STRING ? v->text : (struct cox_str){ 0 };
}

/* --- numbers as decimals, exactly --- */

/* value = 0.DIGITS * 10^exponent, DIGITS being those of `digits` without its dot. */
struct decimal {
	bool negative;
	struct cox_str digits; /* neither leading nor trailing zeros; empty: zero */
	int64_t exponent;
};

enum { EXPONENT_CLIP = 1000000000 };

static struct decimal decimal_of(struct cox_str t)
{
	struct decimal d = { 0 };
	if (t.n && t.p[0] == '-') {
		d.negative = true;
		t = cox_str_sub(t, 1, t.n);
	}
	size_t mantissa = 0;
	while (mantissa < t.n && t.p[mantissa] != 'e' && t.p[mantissa] != 'E')
		mantissa++;
	struct cox_str e = cox_str_sub(t, mantissa + 1, t.n);
	bool e_negative = e.n && e.p[0] == '-';
	for (size_t i = e.n && (e.p[0] == '-' || e.p[0] == '+'); i < e.n; i++)
		if (d.exponent < EXPONENT_CLIP)
			d.exponent = d.exponent * 10 + (e.p[i] - '0');
	if (e_negative)
		d.exponent = -d.exponent;
	struct cox_str m = cox_str_sub(t, 0, mantissa);
	ptrdiff_t dot = cox_str_find(m, '.');
	d.exponent += (int64_t)(dot < 0 ? m.n : (size_t)dot);
	while (m.n && (m.p[0] == '0' || m.p[0] == '.')) {
		d.exponent -= m.p[0] == '0';
		m = cox_str_sub(m, 1, m.n);
	}
	while (m.n && (m.p[m.n - 1] == '.' || (m.p[m.n - 1] == '0')))
		m.n--;
	d.digits = m;
	if (!m.n)
		d.exponent = 0, d.negative = false;
	return d;
}

static int next_digit(struct cox_str *s)
{
	if (s->n && s->p[0] == '.')
		*s = cox_str_sub(*s, 1, s->n);
	if (!s->n)
		return -1;
	int c = s->p[0] - '0';
	*s = cox_str_sub(*s, 1, s->n);
	return c;
}

static bool number_eq(struct cox_str a, struct cox_str b)
{
	if (cox_str_eq(a, b))
		return true;
	struct decimal x = decimal_of(a), y = decimal_of(b);
	if (x.negative != y.negative || x.exponent != y.exponent)
		return false;
	for (;;) {
		int i = next_digit(&x.digits), k = next_digit(&y.digits);
		if (i != k)
			return false;
		if (i < 0)
			return true;
	}
}

enum cox_rc cox_json_to_i64(const struct cox_json *v, int64_t *out)
{
	if (!v || v->type != COX_JSON_NUMBER)
		return COX_EINVAL;
	struct decimal d = decimal_of(v->text);
	if (d.exponent > 19)
		return COX_ELIMIT;
	uint64_t n = 0;
	for (int64_t i = 0; i < d.exponent; i++) {
		int c = next_digit(&d.digits);
		if (__builtin_mul_overflow(n, (uint64_t)10, &n) || __builtin_add_overflow(n, (uint64_t)(c < 0 ? 0 : c), &n))
			return COX_ELIMIT;
	}
	if (next_digit(&d.digits) >= 0)
		return COX_EINVAL;
	if (n > (uint64_t)INT64_MAX + d.negative)
		return COX_ELIMIT;
	*out = d.negative ? (int64_t)(0 - n) : (int64_t)n;
	return COX_OK;
}

/* --- equality --- */

static int member_cmp(const void *a, const void *b)
{
	return cox_str_cmp((*(const struct cox_json_member *const *)a)->key, (*(const struct cox_json_member *const *)b)->key);
}

static const struct cox_json_member **sorted_members(const struct cox_json *v)
{
	const struct cox_json_member **all = cox_calloc(v->n, sizeof(*all));
	for (size_t i = 0; i < v->n; i++)
		all[i] = &v->members[i];
	qsort(all, v->n, sizeof(*all), member_cmp);
	return all;
}

static bool object_eq(const struct cox_json *a, const struct cox_json *b)
{
	bool same_order = true;
	for (size_t i = 0; i < a->n && same_order; i++)
		same_order = cox_str_eq(a->members[i].key, b->members[i].key);
	if (same_order) {
		for (size_t i = 0; i < a->n; i++)
			if (!cox_json_eq(&a->members[i].value, &b->members[i].value))
				return false;
		return true;
	}
	const struct cox_json_member **x = sorted_members(a), **y = sorted_members(b);
	bool eq = true;
	for (size_t i = 0; i < a->n && eq; i++)
		eq = cox_str_eq(x[i]->key, y[i]->key) && cox_json_eq(&x[i]->value, &y[i]->value);
	cox_free(x);
	cox_free(y);
	return eq;
}

bool cox_json_eq(const struct cox_json *a, const struct cox_json *b)
{
	if (a == b)
		return true;
	if (!a || !b || a->type != b->type || a->n != b->n)
		return false;
	switch (a->type) {
	case COX_JSON_NULL: return true;
	case COX_JSON_BOOL: return a->boolean == b->boolean;
	case COX_JSON_NUMBER: return number_eq(a->text, b->text);
	case COX_JSON_STRING: return cox_str_eq(a->text, b->text);
	case COX_JSON_ARRAY:
		for (size_t i = 0; i < a->n; i++)
			if (!cox_json_eq(&a->items[i], &b->items[i]))
				return false;
		return true;
	case COX_JSON_OBJECT: return object_eq(a, b);
	}
	return false;
}

/* --- building --- */

static void clone_into(struct cox_arena *arena, struct cox_json *to, const struct cox_json *from)
{
	*to = *from;
	to->room = 0;
	if (from->type == COX_JSON_STRING || from->type == COX_JSON_NUMBER) {
		to->text = cox_arena_str(arena, from->text);
	} else if (from->type == COX_JSON_ARRAY) {
		to->items = COX_ARENA_ARRAY(arena, struct cox_json, from->n);
		for (size_t i = 0; i < from->n; i++)
			clone_into(arena, &to->items[i], &from->items[i]);
	} else if (from->type == COX_JSON_OBJECT) {
		to->members = COX_ARENA_ARRAY(arena, struct cox_json_member, from->n);
		for (size_t i = 0; i < from->n; i++) {
			to->members[i].key = cox_arena_str(arena, from->members[i].key);
			clone_into(arena, &to->members[i].value, &from->members[i].value);
		}
	}
}

struct cox_json *cox_json_clone(struct cox_arena *arena, const struct cox_json *v)
{
	struct cox_json *copy = COX_ARENA_NEW(arena, struct cox_json);
	clone_into(arena, copy, v);
	return copy;
}

static struct cox_json *new_value(struct cox_arena *arena, enum cox_json_type type)
{
	struct cox_json *v = COX_ARENA_NEW(arena, struct cox_json);
	v->type = type;
	return v;
}

struct cox_json *cox_json_new_object(struct cox_arena *arena) { return new_value(arena, COX_JSON_OBJECT); }
struct cox_json *cox_json_new_array(struct cox_arena *arena) { return new_value(arena, COX_JSON_ARRAY); }

struct cox_json *cox_json_new_str(struct cox_arena *arena, struct cox_str s)
{
	struct cox_json *v = new_value(arena, COX_JSON_STRING);
	v->text = s;
	return v;
}

struct cox_json *cox_json_new_i64(struct cox_arena *arena, int64_t i)
{
	struct cox_json *v = new_value(arena, COX_JSON_NUMBER);
	v->text = cox_arena_printf(arena, "%lld", (long long)i);
	return v;
}

struct cox_json *cox_json_new_f64(struct cox_arena *arena, double f)
{
	/* JSON has no words for infinity and "not a number". */
	if (f != f || f - f != 0)
		return new_value(arena, COX_JSON_NULL);
	struct cox_json *v = new_value(arena, COX_JSON_NUMBER);
	char text[40];
	for (int digits = 15; digits <= 17; digits++) {
		double back = 0;
		snprintf(text, sizeof(text), "%.*g", digits, f);
		if (cox_str_to_f64(cox_str_of(text), &back) == COX_OK && back == f)
			break;
	}
	v->text = cox_arena_str(arena, cox_str_of(text));
	return v;
}

struct cox_json *cox_json_new_bool(struct cox_arena *arena, bool b)
{
	struct cox_json *v = new_value(arena, COX_JSON_BOOL);
	v->boolean = b;
	return v;
}

/* Room for one more; `item_bytes` is that of an item or member. A parsed container has no room to spare. */
static void make_room(struct cox_arena *arena, struct cox_json *parent, void **array, size_t item_bytes)
{
	if (parent->n < parent->room)
		return;
	size_t room = cox_max_size(4, parent->n * 2);
	COX_ASSERT(room <= UINT32_MAX);
	void *more = cox_arena_calloc(arena, room, item_bytes);
	if (parent->n)
		memcpy(more, *array, parent->n * item_bytes);
	*array = more;
	parent->room = (uint32_t)room;
}

struct cox_json *cox_json_set(struct cox_arena *arena, struct cox_json *object, struct cox_str key, const struct cox_json *value)
{
	COX_ASSERT(object->type == COX_JSON_OBJECT);
	struct cox_json copy = *value;
	for (size_t i = 0; i < object->n; i++)
		if (cox_str_eq(object->members[i].key, key)) {
			object->members[i].value = copy;
			return &object->members[i].value;
		}
	void *array = object->members;
	make_room(arena, object, &array, sizeof(*object->members));
	object->members = array;
	struct cox_json_member *m = &object->members[object->n++];
	m->key = key;
	m->value = copy;
	return &m->value;
}

struct cox_json *cox_json_push(struct cox_arena *arena, struct cox_json *parent, const struct cox_json *value)
{
	COX_ASSERT(parent->type == COX_JSON_ARRAY);
	struct cox_json copy = *value;
	void *array = parent->items;
	make_room(arena, parent, &array, sizeof(*parent->items));
	parent->items = array;
	parent->items[parent->n] = copy;
	return &parent->items[parent->n++];
}
