/* What is done with decoded values by their tables: copying, comparing, hashing, writing. */
#include "codec/fields_priv.h"

#include "base/clock.h"
#include "codec/b64.h"

/* --- copying: structs and lists in the front of the block, text behind, so that text needs no padding --- */

struct sizes {
	size_t structs, text;
};

struct cursor {
	char *structs, *text;
};

static size_t round8(size_t n) { return (n + 7) & ~(size_t)7; }

static void measure(const struct cox_message *m, const void *value, struct sizes *s);

static void measure_item(const struct cox_field *f, const void *item, struct sizes *s)
{
	switch (f->type) {
	case COX_F_STR:
	case COX_F_RAW: s->text += ((const struct cox_str *)item)->n; break;
	case COX_F_OPT_STR:
	case COX_F_BYTES: s->text += ((const struct cox_opt_str *)item)->v.n; break;
	case COX_F_INT_OR_STR: s->text += ((const struct cox_int_or_str *)item)->s.n; break;
	case COX_F_MSG: measure(f->sub, item, s); break;
	case COX_F_STR_MAP: s->text += ((const struct cox_kv *)item)->key.n + ((const struct cox_kv *)item)->value.n; break;
	case COX_F_BYTES_MAP: s->text += ((const struct cox_kv_opt *)item)->key.n + ((const struct cox_kv_opt *)item)->value.v.n; break;
	case COX_F_I64_MAP: s->text += cox_map_item_key(item).n; break;
	case COX_F_MSG_MAP:
		s->text += cox_map_item_key(item).n;
		measure(f->sub, item, s);
		break;
	default: break;
	}
}

/* Without the struct itself. */
static void measure(const struct cox_message *m, const void *value, struct sizes *s)
{
	for (size_t i = 0; i < m->field_count; i++) {
		const struct cox_field *f = &m->fields[i];
		const char *member = (const char *)value + f->offset;
		if (cox_field_is_list(f)) {
			const struct cox_any_list *list = (const void *)member;
			size_t bytes = cox_field_item_bytes(f);
			s->structs += round8(list->n * bytes);
			for (size_t k = 0; k < list->n; k++)
				measure_item(f, (const char *)list->p + k * bytes, s);
		} else if (f->type == COX_F_MSG) {
			const void *sub = *(const void *const *)member;
			if (sub) {
				s->structs += round8(f->sub->size_bytes);
				measure(f->sub, sub, s);
			}
		} else {
			measure_item(f, member, s);
		}
	}
}

size_t cox_message_copy_bytes(const struct cox_message *m, const void *value)
{
	struct sizes s = { 0 };
	measure(m, value, &s);
	return round8(m->size_bytes) + s.structs + s.text;
}

static void copy_text(struct cursor *c, struct cox_str *s)
{
	if (s->n)
		memcpy(c->text, s->p, s->n);
	s->p = s->n ? c->text : NULL;
	c->text += s->n;
}

static void *copy_structs(struct cursor *c, const void *from, size_t bytes)
{
	void *to = c->structs;
	memcpy(to, from, bytes);
	c->structs += round8(bytes);
	return to;
}

static void copy_inside(const struct cox_message *m, void *value, struct cursor *c);

/* `item` is a plain copy already; what it points to follows. */
static void copy_item(const struct cox_field *f, void *item, struct cursor *c)
{
	switch (f->type) {
	case COX_F_STR:
	case COX_F_RAW: copy_text(c, item); break;
	case COX_F_OPT_STR:
	case COX_F_BYTES: copy_text(c, &((struct cox_opt_str *)item)->v); break;
	case COX_F_INT_OR_STR: copy_text(c, &((struct cox_int_or_str *)item)->s); break;
	case COX_F_MSG: copy_inside(f->sub, item, c); break;
	case COX_F_STR_MAP:
		copy_text(c, &((struct cox_kv *)item)->key);
		copy_text(c, &((struct cox_kv *)item)->value);
		break;
	case COX_F_BYTES_MAP:
		copy_text(c, &((struct cox_kv_opt *)item)->key);
		copy_text(c, &((struct cox_kv_opt *)item)->value.v);
		break;
	case COX_F_I64_MAP: copy_text(c, item); break;
	case COX_F_MSG_MAP:
		copy_text(c, item);
		copy_inside(f->sub, item, c);
		break;
	default: break;
	}
}

static void copy_inside(const struct cox_message *m, void *value, struct cursor *c)
{
	for (size_t i = 0; i < m->field_count; i++) {
		const struct cox_field *f = &m->fields[i];
		char *member = (char *)value + f->offset;
		if (cox_field_is_list(f)) {
			struct cox_any_list *list = (void *)member;
			size_t bytes = cox_field_item_bytes(f);
			if (!list->n) {
				list->p = NULL;
				continue;
			}
			char *items = copy_structs(c, list->p, list->n * bytes);
			list->p = items;
			for (size_t k = 0; k < list->n; k++)
				copy_item(f, items + k * bytes, c);
		} else if (f->type == COX_F_MSG) {
			void **sub = (void **)member;
			if (*sub) {
				*sub = copy_structs(c, *sub, f->sub->size_bytes);
				copy_inside(f->sub, *sub, c);
			}
		} else {
			copy_item(f, member, c);
		}
	}
}

void *cox_message_copy(const struct cox_message *m, const void *value, void *block, size_t bytes)
{
	struct sizes s = { 0 };
	measure(m, value, &s);
	size_t structs = round8(m->size_bytes) + s.structs;
	COX_ASSERT(structs + s.text <= bytes && ((uintptr_t)block & 7) == 0);
	struct cursor c = { .structs = block, .text = (char *)block + structs };
	void *copy = copy_structs(&c, value, m->size_bytes);
	copy_inside(m, copy, &c);
	return copy;
}

/* --- equality --- */

static bool opt_str_eq(struct cox_opt_str a, struct cox_opt_str b) { return a.set == b.set && cox_str_eq(a.v, b.v); }

static bool item_eq(const struct cox_field *f, const void *a, const void *b)
{
	switch (f->type) {
	case COX_F_STR:
	case COX_F_RAW: return cox_str_eq(*(const struct cox_str *)a, *(const struct cox_str *)b);
	case COX_F_OPT_STR:
	case COX_F_BYTES: return opt_str_eq(*(const struct cox_opt_str *)a, *(const struct cox_opt_str *)b);
	case COX_F_BOOL: return *(const bool *)a == *(const bool *)b;
	case COX_F_OPT_BOOL: {
		const struct cox_opt_bool *x = a, *y = b;
		return x->set == y->set && x->v == y->v;
	}
	case COX_F_I64:
	case COX_F_DURATION:
	case COX_F_TIME: {
		const struct cox_opt_i64 *x = a, *y = b;
		return x->set == y->set && x->v == y->v;
	}
	case COX_F_F64: {
		const struct cox_opt_f64 *x = a, *y = b;
		return x->set == y->set && memcmp(&x->v, &y->v, sizeof(x->v)) == 0;
	}
	case COX_F_ENUM: return *(const int *)a == *(const int *)b;
	case COX_F_INT_OR_STR: {
		const struct cox_int_or_str *x = a, *y = b;
		return x->set == y->set && x->i == y->i && cox_str_eq(x->s, y->s);
	}
	case COX_F_MSG: return cox_message_eq(f->sub, a, b);
	case COX_F_STR_MAP: {
		const struct cox_kv *x = a, *y = b;
		return cox_str_eq(x->key, y->key) && cox_str_eq(x->value, y->value);
	}
	case COX_F_I64_MAP: {
		const struct cox_kv_i64 *x = a, *y = b;
		return x->value == y->value && cox_str_eq(x->key, y->key);
	}
	case COX_F_BYTES_MAP: {
		const struct cox_kv_opt *x = a, *y = b;
		return cox_str_eq(x->key, y->key) && opt_str_eq(x->value, y->value);
	}
	case COX_F_MSG_MAP: return cox_str_eq(cox_map_item_key(a), cox_map_item_key(b)) && cox_message_eq(f->sub, a, b);
	}
	return false;
}

static bool list_eq(const struct cox_field *f, const struct cox_any_list *a, const struct cox_any_list *b)
{
	size_t bytes = cox_field_item_bytes(f);
	if (a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++)
		if (!item_eq(f, (const char *)a->p + i * bytes, (const char *)b->p + i * bytes))
			return false;
	return true;
}

bool cox_message_eq(const struct cox_message *m, const void *a, const void *b)
{
	if (a == b)
		return true;
	if (!a || !b)
		return false;
	for (size_t i = 0; i < m->field_count; i++) {
		const struct cox_field *f = &m->fields[i];
		const char *x = (const char *)a + f->offset, *y = (const char *)b + f->offset;
		if (f->flags & COX_F_IGNORED_IN_EQ)
			continue;
		bool eq = cox_field_is_list(f)   ? list_eq(f, (const void *)x, (const void *)y)
		          : f->type == COX_F_MSG ? cox_message_eq(f->sub, *(const void *const *)x, *(const void *const *)y)
		                                 : item_eq(f, x, y);
		if (!eq)
			return false;
	}
	return true;
}

/* --- hashing: the value as one unambiguous row of bytes (lengths before text, counts before lists) --- */

static void put_u64(struct cox_buf *b, uint64_t v) { cox_buf_append(b, &v, sizeof(v)); }
static void put_str(struct cox_buf *b, struct cox_str s)
{
	put_u64(b, s.n);
	cox_buf_append(b, s.p, s.n);
}
static void put_opt(struct cox_buf *b, bool set, uint64_t v)
{
	cox_buf_append_char(b, set ? 1 : 0);
	if (set)
		put_u64(b, v);
}

static void put_message(struct cox_buf *b, const struct cox_message *m, const void *value);

static void put_item(struct cox_buf *b, const struct cox_field *f, const void *item)
{
	switch (f->type) {
	case COX_F_STR:
	case COX_F_RAW: put_str(b, *(const struct cox_str *)item); break;
	case COX_F_OPT_STR:
	case COX_F_BYTES: {
		const struct cox_opt_str *s = item;
		cox_buf_append_char(b, s->set ? 1 : 0);
		put_str(b, s->v);
		break;
	}
	case COX_F_BOOL: cox_buf_append_char(b, *(const bool *)item ? 1 : 0); break;
	case COX_F_OPT_BOOL: put_opt(b, ((const struct cox_opt_bool *)item)->set, ((const struct cox_opt_bool *)item)->v); break;
	case COX_F_I64:
	case COX_F_DURATION:
	case COX_F_TIME: put_opt(b, ((const struct cox_opt_i64 *)item)->set, (uint64_t)((const struct cox_opt_i64 *)item)->v); break;
	case COX_F_F64: {
		uint64_t bits;
		memcpy(&bits, &((const struct cox_opt_f64 *)item)->v, sizeof(bits));
		put_opt(b, ((const struct cox_opt_f64 *)item)->set, bits);
		break;
	}
	case COX_F_ENUM: put_u64(b, (uint64_t) * (const int *)item); break;
	case COX_F_INT_OR_STR: {
		const struct cox_int_or_str *v = item;
		put_opt(b, v->set, (uint64_t)v->i);
		put_str(b, v->s);
		break;
	}
	case COX_F_MSG: put_message(b, f->sub, item); break;
	case COX_F_STR_MAP:
		put_str(b, ((const struct cox_kv *)item)->key);
		put_str(b, ((const struct cox_kv *)item)->value);
		break;
	case COX_F_I64_MAP:
		put_str(b, cox_map_item_key(item));
		put_u64(b, (uint64_t)((const struct cox_kv_i64 *)item)->value);
		break;
	case COX_F_BYTES_MAP:
		put_str(b, cox_map_item_key(item));
		put_str(b, ((const struct cox_kv_opt *)item)->value.v);
		break;
	case COX_F_MSG_MAP:
		put_str(b, cox_map_item_key(item));
		put_message(b, f->sub, item);
		break;
	}
}

static void put_message(struct cox_buf *b, const struct cox_message *m, const void *value)
{
	for (size_t i = 0; i < m->field_count; i++) {
		const struct cox_field *f = &m->fields[i];
		const char *member = (const char *)value + f->offset;
		if (f->flags & COX_F_IGNORED_IN_EQ)
			continue;
		if (cox_field_is_list(f)) {
			const struct cox_any_list *list = (const void *)member;
			size_t bytes = cox_field_item_bytes(f);
			put_u64(b, list->n);
			for (size_t k = 0; k < list->n; k++)
				put_item(b, f, (const char *)list->p + k * bytes);
		} else if (f->type == COX_F_MSG) {
			const void *sub = *(const void *const *)member;
			cox_buf_append_char(b, sub ? 1 : 0);
			if (sub)
				put_message(b, f->sub, sub);
		} else {
			put_item(b, f, member);
		}
	}
}

struct cox_hash cox_message_hash(const struct cox_message *m, const void *value)
{
	struct cox_buf b COX_AUTO(cox_buf_fini) = { 0 };
	cox_buf_reserve(&b, 1024);
	put_message(&b, m, value);
	return cox_hash128(b.p, b.n);
}

/* --- JSON --- */

static const struct cox_json *raw_to_json(struct cox_arena *arena, struct cox_str raw)
{
	struct cox_json *v = NULL;
	if (cox_json_parse(arena, raw, &v, NULL) != COX_OK)
		v = COX_ARENA_NEW(arena, struct cox_json);
	return v;
}

static const struct cox_json *bytes_to_json(struct cox_arena *arena, struct cox_str bytes)
{
	struct cox_buf b COX_AUTO(cox_buf_fini) = { 0 };
	cox_b64_encode(&b, bytes);
	return cox_json_new_str(arena, cox_arena_str(arena, cox_buf_str(&b)));
}

static const struct cox_json *duration_to_json(struct cox_arena *arena, int64_t ns)
{
	char text[32];
	cox_duration_format(ns, text);
	return cox_json_new_str(arena, cox_arena_str(arena, cox_str_of(text)));
}

static const struct cox_json *time_to_json(struct cox_arena *arena, int64_t ms)
{
	char text[32];
	cox_clock_format(ms, text);
	return cox_json_new_str(arena, cox_arena_str(arena, cox_str_of(text)));
}

/* NULL: it is unset. `item`: one of a list, where empty values stand. */
static const struct cox_json *item_to_json(const struct cox_field *f, const void *item, bool is_item, struct cox_arena *arena)
{
	const struct cox_opt_i64 *i64 = item;
	switch (f->type) {
	case COX_F_STR: return ((const struct cox_str *)item)->n || is_item ? cox_json_new_str(arena, *(const struct cox_str *)item) : NULL;
	case COX_F_OPT_STR:
		return ((const struct cox_opt_str *)item)->set ? cox_json_new_str(arena, ((const struct cox_opt_str *)item)->v) : NULL;
	case COX_F_BOOL: return *(const bool *)item ? cox_json_new_bool(arena, true) : NULL;
	case COX_F_OPT_BOOL:
		return ((const struct cox_opt_bool *)item)->set ? cox_json_new_bool(arena, ((const struct cox_opt_bool *)item)->v) : NULL;
	case COX_F_I64: return i64->set ? cox_json_new_i64(arena, i64->v) : NULL;
	case COX_F_F64:
		return ((const struct cox_opt_f64 *)item)->set ? cox_json_new_f64(arena, ((const struct cox_opt_f64 *)item)->v) : NULL;
	case COX_F_DURATION: return i64->set ? duration_to_json(arena, i64->v) : NULL;
	case COX_F_TIME: return i64->set ? time_to_json(arena, i64->v) : NULL;
	case COX_F_ENUM: return *(const int *)item || is_item ? cox_json_new_str(arena, cox_str_of(f->enums[*(const int *)item])) : NULL;
	case COX_F_INT_OR_STR: {
		const struct cox_int_or_str *v = item;
		return !v->set ? NULL : v->s.n ? cox_json_new_str(arena, v->s) : cox_json_new_i64(arena, v->i);
	}
	case COX_F_BYTES:
		return ((const struct cox_opt_str *)item)->set ? bytes_to_json(arena, ((const struct cox_opt_str *)item)->v) : NULL;
	case COX_F_RAW: return ((const struct cox_str *)item)->n ? raw_to_json(arena, *(const struct cox_str *)item) : NULL;
	case COX_F_MSG:
	case COX_F_MSG_MAP: return cox_message_to_json(f->sub, item, arena);
	case COX_F_STR_MAP: return cox_json_new_str(arena, ((const struct cox_kv *)item)->value);
	case COX_F_I64_MAP: return cox_json_new_i64(arena, ((const struct cox_kv_i64 *)item)->value);
	case COX_F_BYTES_MAP: return bytes_to_json(arena, ((const struct cox_kv_opt *)item)->value.v);
	}
	return NULL;
}

static const struct cox_json *list_to_json(const struct cox_field *f, const struct cox_any_list *list, struct cox_arena *arena)
{
	if (!list->n)
		return NULL;
	struct cox_json redacted = { .type = COX_JSON_STRING, .text = COX_STR("<redacted>") };
	bool map = cox_field_is_map(f);
	struct cox_json *out = map ? cox_json_new_object(arena) : cox_json_new_array(arena);
	size_t bytes = cox_field_item_bytes(f);
	for (size_t i = 0; i < list->n; i++) {
		const void *item = (const char *)list->p + i * bytes;
		const struct cox_json *v = f->flags & COX_F_SECRET ? &redacted : item_to_json(f, item, true, arena);
		if (!v)
			v = COX_ARENA_NEW(arena, struct cox_json);
		if (map)
			cox_json_set(arena, out, cox_map_item_key(item), v);
		else
			cox_json_push(arena, out, v);
	}
	return out;
}

static const struct cox_json *field_to_json(const struct cox_field *f, const void *value, struct cox_arena *arena)
{
	const char *member = (const char *)value + f->offset;
	if (cox_field_is_list(f))
		return list_to_json(f, (const void *)member, arena);
	if (f->type == COX_F_MSG) {
		const void *sub = *(const void *const *)member;
		return sub ? cox_message_to_json(f->sub, sub, arena) : NULL;
	}
	const struct cox_json *v = item_to_json(f, member, false, arena);
	return v && (f->flags & COX_F_SECRET) ? cox_json_new_str(arena, COX_STR("<redacted>")) : v;
}

struct cox_json *cox_message_to_json(const struct cox_message *m, const void *value, struct cox_arena *arena)
{
	struct cox_json *out = cox_json_new_object(arena);
	for (size_t i = 0; i < m->field_count; i++) {
		const struct cox_json *v = field_to_json(&m->fields[i], value, arena);
		if (v && m->fields[i].name[0]) /* a nameless one is filled by program */
			cox_json_set(arena, out, cox_str_of(m->fields[i].name), v);
	}
	return out;
}
