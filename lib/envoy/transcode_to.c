/* Wire bytes -> JSON. A message's fields are collected first, then put in order of their numbers and turned into members. */
#include "envoy/transcode_priv.h"
#include "base/map.h"
#include "codec/b64.h"

#include <stdlib.h>

/* A field as read, on a stack that all levels of one call share. */
struct entry {
	uint32_t index; /* of the field in the table */
	uint32_t seq;   /* order on the wire */
	struct cox_pb_field f;
};
struct to {
	struct cox_arena *arena;
	unsigned flags;
	unsigned depth;
	struct path path;
	struct cox_err *err;
	COX_VEC(struct entry) stack;
};

static enum cox_rc message_to(struct to *t, const struct cox_envoy_message *m, struct cox_str wire, struct cox_json *out);

static enum cox_rc fail(struct to *t, enum cox_rc rc, const char *what) { return cox_err_set(t->err, rc, t->path.text, "%s", what); }

/* --- building ------------------------------------------------------------------------------ */

/* Appends a member without looking for an equal key. */
static struct cox_json *member_add(struct to *t, struct cox_json *object, struct cox_str key)
{
	if (object->n == object->room) {
		size_t room = cox_max_size(4, object->n * 2);
		struct cox_json_member *more = COX_ARENA_ARRAY(t->arena, struct cox_json_member, room);
		if (object->n != 0)
			memcpy(more, object->members, object->n * sizeof(*more));
		object->members = more;
		object->room = (uint32_t)room;
	}
	struct cox_json_member *m = &object->members[object->n++];
	*m = (struct cox_json_member){ .key = key };
	return &m->value;
}

static struct cox_json *item_add(struct to *t, struct cox_json *array) { return cox_json_push(t->arena, array, &(struct cox_json){ 0 }); }

static void str_set(struct cox_json *out, struct cox_str s)
{
	out->type = COX_JSON_STRING;
	out->text = s;
}

/* Map keys may repeat on the wire: the last one counts. Few keys are compared one by one, many through a hash map. */
static void keys_dedupe(struct cox_json *object)
{
	if (object->n < 2)
		return;
	struct cox_map seen COX_AUTO(cox_map_fini) = { 0 };
	size_t kept = 0;
	for (size_t i = 0; i < object->n; i++) {
		struct cox_json_member *m = &object->members[i];
		struct cox_json_member *was = cox_map_find(&seen, m->key);
		if (was != NULL) {
			was->value = m->value;
			continue;
		}
		object->members[kept] = *m;
		cox_map_set(&seen, object->members[kept].key, &object->members[kept]);
		kept++;
	}
	object->n = kept;
}

/* --- scalars ------------------------------------------------------------------------------- */

static void number_set(struct to *t, struct cox_json *out, bool quoted, bool negative, uint64_t magnitude)
{
	out->type = quoted ? COX_JSON_STRING : COX_JSON_NUMBER;
	out->text = cox_arena_printf(t->arena, "%s%llu", negative ? "-" : "", (unsigned long long)magnitude);
}

static void signed_set(struct to *t, struct cox_json *out, bool quoted, int64_t v)
{
	number_set(t, out, quoted, v < 0, v < 0 ? 0 - (uint64_t)v : (uint64_t)v);
}

static void enum_to(struct to *t, const struct cox_envoy_enum *e, int32_t number, struct cox_json *out)
{
	struct cox_str name = cox_envoy_enum_name(e, number);
	if (is_null_enum(e))
		out->type = COX_JSON_NULL;
	else if (name.n != 0)
		str_set(out, name);
	else
		signed_set(t, out, false, number);
}

/* A value of any type but message; `u` and `bytes` as the reader gives them. */
static enum cox_rc scalar_to(struct to *t, const struct cox_envoy_field *field, uint64_t u, struct cox_str bytes, struct cox_json *out)
{
	switch (field->type) {
	case COX_ENVOY_DOUBLE: float_to_json(t->arena, cox_pb_bits_double(u), false, out); break;
	case COX_ENVOY_FLOAT: float_to_json(t->arena, cox_pb_bits_float((uint32_t)u), true, out); break;
	case COX_ENVOY_INT64:
	case COX_ENVOY_SFIXED64: signed_set(t, out, true, (int64_t)u); break;
	case COX_ENVOY_SINT64: signed_set(t, out, true, cox_pb_unzigzag(u)); break;
	case COX_ENVOY_UINT64:
	case COX_ENVOY_FIXED64: number_set(t, out, true, false, u); break;
	case COX_ENVOY_INT32:
	case COX_ENVOY_SFIXED32: signed_set(t, out, false, (int32_t)u); break;
	case COX_ENVOY_SINT32: signed_set(t, out, false, (int32_t)cox_pb_unzigzag((uint32_t)u)); break;
	case COX_ENVOY_UINT32:
	case COX_ENVOY_FIXED32: number_set(t, out, false, false, (uint32_t)u); break;
	case COX_ENVOY_BOOL:
		out->type = COX_JSON_BOOL;
		out->boolean = u != 0;
		break;
	case COX_ENVOY_ENUM: enum_to(t, field->enumeration, (int32_t)u, out); break;
	case COX_ENVOY_STRING:
		if (!cox_str_is_utf8(bytes))
			return fail(t, COX_EPROTO, "the text is not UTF-8");
		str_set(out, bytes);
		break;
	case COX_ENVOY_BYTES: {
		struct cox_buf text COX_AUTO(cox_buf_fini) = { 0 };
		cox_b64_encode(&text, bytes);
		str_set(out, cox_arena_str(t->arena, cox_buf_str(&text)));
		break;
	}
	case COX_ENVOY_MESSAGE: COX_ASSERT(!"a message is no scalar");
	}
	return COX_OK;
}

static enum cox_rc value_to(struct to *t, const struct cox_envoy_field *field, const struct cox_pb_field *f, struct cox_json *out)
{
	if (f->wire != wire_of(field->type))
		return fail(t, COX_EPROTO, "the field has another wire type than declared");
	if (field->type == COX_ENVOY_MESSAGE)
		return message_to(t, field->message, f->bytes, out);
	return scalar_to(t, field, f->u, f->bytes, out);
}

static bool is_default(const struct cox_envoy_field *field, const struct cox_pb_field *f)
{
	if (wire_of(field->type) == COX_PB_BYTES)
		return f->bytes.n == 0;
	if (wire_of(field->type) == COX_PB_VARINT && field->type != COX_ENVOY_INT64 && field->type != COX_ENVOY_UINT64 &&
	    field->type != COX_ENVOY_SINT64 && field->type != COX_ENVOY_BOOL)
		return (uint32_t)f->u == 0;
	return f->u == 0;
}

/* --- fields of a message --------------------------------------------------------------------- */

/* One occurrence of a repeated field: an item, or a packed run of them. */
static enum cox_rc items_to(struct to *t, const struct cox_envoy_field *field, const struct cox_pb_field *f, struct cox_json *array)
{
	enum cox_pb_wire wire = wire_of(field->type);
	if (f->wire != COX_PB_BYTES || wire == COX_PB_BYTES) {
		size_t was = path_index(&t->path, array->n);
		struct cox_json item = { 0 };
		COX_TRY(value_to(t, field, f, &item));
		*item_add(t, array) = item;
		path_pop(&t->path, was);
		return COX_OK;
	}
	struct cox_str run = f->bytes;
	size_t width = wire == COX_PB_FIXED64 ? 8 : 4;
	while (run.n != 0) {
		uint64_t u = 0;
		if (wire == COX_PB_VARINT) {
			struct cox_pb_reader r = cox_pb_reader(run);
			if (!cox_pb_unpack_varint(&r, &run, &u))
				return fail(t, COX_EPROTO, "a packed value is malformed");
		} else {
			if (run.n < width)
				return fail(t, COX_EPROTO, "a packed value is cut off");
			memcpy(&u, run.p, width);
			run = cox_str_sub(run, width, run.n);
		}
		COX_TRY(scalar_to(t, field, u, (struct cox_str){ 0 }, item_add(t, array)));
	}
	return COX_OK;
}

/* The key of a map entry as JSON writes it: always text. */
static enum cox_rc key_to(struct to *t, const struct cox_envoy_field *field, const struct cox_pb_field *f, struct cox_str *key)
{
	struct cox_json v = { 0 };
	if (f->wire != wire_of(field->type))
		return fail(t, COX_EPROTO, "the map's key has another wire type than declared");
	COX_TRY(scalar_to(t, field, f->u, f->bytes, &v));
	*key = v.type == COX_JSON_BOOL ? (v.boolean ? COX_STR("true") : COX_STR("false")) : v.text;
	return COX_OK;
}

static enum cox_rc entry_to(struct to *t, const struct cox_envoy_message *entry, const struct cox_pb_field *f, struct cox_json *object)
{
	struct cox_envoy_field key_field = cox_envoy_field_at(entry, 0), value_field = cox_envoy_field_at(entry, 1);
	/* Either half may be missing and then has its default. */
	struct cox_pb_field in = { 0 }, key = { .wire = wire_of(key_field.type) & 7 }, value = { .wire = wire_of(value_field.type) & 7 };
	if (f->wire != COX_PB_BYTES)
		return fail(t, COX_EPROTO, "the map's entry has another wire type than declared");
	struct cox_pb_reader r = cox_pb_reader(f->bytes);
	while (cox_pb_next(&r, &in)) {
		if (in.number == 1)
			key = in;
		else if (in.number == 2)
			value = in;
	}
	if (cox_pb_finish(&r, NULL) != COX_OK)
		return fail(t, COX_EPROTO, r.what);
	struct cox_str text = { 0 };
	COX_TRY(key_to(t, &key_field, &key, &text));
	size_t was = path_key(&t->path, text);
	struct cox_json v = { 0 };
	COX_TRY(value_to(t, &value_field, &value, &v));
	path_pop(&t->path, was);
	*member_add(t, object, text) = v;
	return COX_OK;
}

static struct cox_str field_name(struct to *t, const struct cox_envoy_field *field)
{
	if (!(t->flags & COX_TRANSCODE_CAMEL))
		return field->name;
	char buf[256];
	return cox_arena_str(t->arena, cox_envoy_camel(field->name, buf, sizeof(buf)));
}

/* A message field that occurs more than once is the concatenation of its occurrences. */
static struct cox_str merged(struct to *t, size_t from, size_t to)
{
	size_t n = 0;
	for (size_t i = from; i < to; i++)
		n += t->stack.p[i].f.bytes.n;
	char *all = cox_arena_alloc(t->arena, n + 1), *p = all;
	for (size_t i = from; i < to; i++)
		if (t->stack.p[i].f.bytes.n != 0) {
			memcpy(p, t->stack.p[i].f.bytes.p, t->stack.p[i].f.bytes.n);
			p += t->stack.p[i].f.bytes.n;
		}
	return cox_str_make(all, n);
}

/* Whether a member of the same oneof came later on the wire than entry `last`: then this one does not count. */
static bool is_overruled(struct to *t, const struct cox_envoy_message *m, size_t base, size_t end, size_t last, unsigned oneof)
{
	uint32_t seq = t->stack.p[last].seq;
	for (size_t i = base; i < end; i++)
		if (t->stack.p[i].seq > seq && cox_envoy_field_at(m, t->stack.p[i].index).oneof == oneof)
			return true;
	return false;
}

/* All occurrences (from .. to) of one field. base .. end are those of the whole message. */
static enum cox_rc field_to(struct to *t, const struct cox_envoy_message *m, size_t base, size_t end, size_t from, size_t to,
                            struct cox_json *object)
{
	struct cox_envoy_field field = cox_envoy_field_at(m, t->stack.p[from].index);
	struct cox_pb_field last = t->stack.p[to - 1].f;
	size_t was = path_field(&t->path, field.name);
	struct cox_json v = { 0 };
	if (field.repeated) {
		v.type = field.map ? COX_JSON_OBJECT : COX_JSON_ARRAY;
		for (size_t i = from; i < to; i++) {
			struct cox_pb_field f = t->stack.p[i].f; /* a copy: the stack may move below */
			COX_TRY(field.map ? entry_to(t, field.message, &f, &v) : items_to(t, &field, &f, &v));
		}
		if (field.map)
			keys_dedupe(&v);
		if (v.n != 0) /* an empty packed run is nothing */
			*member_add(t, object, field_name(t, &field)) = v;
		path_pop(&t->path, was);
		return COX_OK;
	}
	path_pop(&t->path, was);
	if ((!field.presence && is_default(&field, &last)) || (field.oneof != 0 && is_overruled(t, m, base, end, to - 1, field.oneof)))
		return COX_OK;
	was = path_field(&t->path, field.name);
	if (field.type == COX_ENVOY_MESSAGE && to - from > 1) {
		for (size_t i = from; i < to; i++)
			if (t->stack.p[i].f.wire != COX_PB_BYTES)
				return fail(t, COX_EPROTO, "the field has another wire type than declared");
		last.bytes = merged(t, from, to);
	}
	COX_TRY(value_to(t, &field, &last, &v));
	*member_add(t, object, field_name(t, &field)) = v;
	path_pop(&t->path, was);
	return COX_OK;
}

static int entry_cmp(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;
	if (x->index != y->index)
		return x->index < y->index ? -1 : 1;
	return x->seq < y->seq ? -1 : x->seq > y->seq;
}

/* Reads the fields of one level onto the stack, in order of their numbers. */
static enum cox_rc fields_read(struct to *t, const struct cox_envoy_message *m, struct cox_str wire)
{
	struct cox_pb_reader r = cox_pb_reader(wire);
	struct cox_pb_field f;
	size_t base = t->stack.n;
	bool sorted = true;
	while (cox_pb_next(&r, &f)) {
		ptrdiff_t index = cox_envoy_field_by_number(m, f.number);
		if (index < 0)
			continue;
		struct entry e = { .index = (uint32_t)index, .seq = (uint32_t)(t->stack.n - base), .f = f };
		sorted = sorted && (t->stack.n == base || t->stack.p[t->stack.n - 1].index <= e.index);
		cox_vec_push(&t->stack, e);
	}
	if (!sorted)
		qsort(t->stack.p + base, t->stack.n - base, sizeof(*t->stack.p), entry_cmp);
	if (r.rc != COX_OK)
		return fail(t, r.rc, r.what);
	return COX_OK;
}

static enum cox_rc plain_to(struct to *t, const struct cox_envoy_message *m, struct cox_str wire, struct cox_json *out)
{
	size_t base = t->stack.n;
	out->type = COX_JSON_OBJECT;
	COX_TRY(fields_read(t, m, wire));
	size_t end = t->stack.n;
	for (size_t from = base, to; from < end; from = to) {
		for (to = from + 1; to < end && t->stack.p[to].index == t->stack.p[from].index;)
			to++;
		COX_TRY(field_to(t, m, base, end, from, to, out));
	}
	t->stack.n = base;
	return COX_OK;
}

/* --- well-known types ------------------------------------------------------------------------ */

/* Message `m` whose only member, if it has one, becomes `*out` (wrappers, Struct.fields, ListValue.values, Value). */
static enum cox_rc unwrap_to(struct to *t, const struct cox_envoy_message *m, struct cox_str wire, struct cox_json *out)
{
	struct cox_json whole = { 0 };
	COX_TRY(plain_to(t, m, wire, &whole));
	if (whole.n != 0) {
		*out = whole.members[0].value;
		return COX_OK;
	}
	struct cox_envoy_field field = cox_envoy_field_at(m, 0);
	switch (cox_envoy_message_kind(m)) {
	case COX_ENVOY_STRUCT: out->type = COX_JSON_OBJECT; return COX_OK;
	case COX_ENVOY_LIST: out->type = COX_JSON_ARRAY; return COX_OK;
	case COX_ENVOY_VALUE: out->type = COX_JSON_NULL; return COX_OK;
	default: return scalar_to(t, &field, 0, (struct cox_str){ "", 0 }, out);
	}
}

static enum cox_rc time_to(struct to *t, struct cox_str wire, bool is_duration, struct cox_json *out)
{
	struct cox_pb_reader r = cox_pb_reader(wire);
	struct cox_pb_field f;
	int64_t s = 0, ns = 0;
	while (cox_pb_next(&r, &f)) {
		if (f.number == 1)
			s = cox_pb_as_i64(&r, &f);
		else if (f.number == 2)
			ns = (int32_t)cox_pb_as_i64(&r, &f);
	}
	if (r.rc != COX_OK)
		return fail(t, r.rc, r.what);
	struct cox_str text;
	if ((is_duration ? duration_to_text : timestamp_to_text)(t->arena, s, ns, &text) != COX_OK)
		return fail(t, COX_EPROTO, is_duration ? "the duration is out of range" : "the timestamp is out of range");
	str_set(out, text);
	return COX_OK;
}

/* A path that its JSON form would not give back is refused, as protobuf does. */
static bool path_to(struct cox_str path, struct cox_buf *text)
{
	struct cox_buf back COX_AUTO(cox_buf_fini) = { 0 };
	char *room = cox_buf_reserve(text, path.n + 1);
	struct cox_str camel = cox_envoy_camel(path, room, path.n);
	if (path.n == 0 || cox_str_find(path, ',') >= 0 || !snake_from_camel(camel, &back) || !cox_str_eq(cox_buf_str(&back), path))
		return false;
	text->n += camel.n;
	return true;
}

static enum cox_rc mask_to(struct to *t, struct cox_str wire, struct cox_json *out)
{
	struct cox_buf text COX_AUTO(cox_buf_fini) = { 0 };
	struct cox_pb_reader r = cox_pb_reader(wire);
	struct cox_pb_field f;
	while (cox_pb_next(&r, &f)) {
		if (f.number != 1)
			continue;
		struct cox_str path = cox_pb_as_str(&r, &f);
		if (text.n != 0)
			cox_buf_append_char(&text, ',');
		if (r.rc == COX_OK && !path_to(path, &text))
			return fail(t, COX_EPROTO, "a field path has no JSON form");
	}
	if (r.rc != COX_OK)
		return fail(t, r.rc, r.what);
	str_set(out, cox_arena_str(t->arena, cox_buf_str(&text)));
	return COX_OK;
}

static enum cox_rc opaque_to(struct to *t, struct cox_str value, struct cox_json *out)
{
	signed_set(t, member_add(t, out, COX_STR("@opaque_bytes")), false, (int64_t)value.n);
	if (!(t->flags & COX_TRANSCODE_KEEP_OPAQUE))
		return COX_OK;
	return scalar_to(t, &(struct cox_envoy_field){ .type = COX_ENVOY_BYTES }, 0, value, member_add(t, out, COX_STR("@value")));
}

static enum cox_rc any_to(struct to *t, struct cox_str type_url, struct cox_str value, struct cox_json *out)
{
	out->type = COX_JSON_OBJECT;
	if (type_url.n == 0 && value.n == 0)
		return COX_OK;
	str_set(member_add(t, out, COX_STR("@type")), type_url);
	const struct cox_envoy_message *m = cox_envoy_message_find(type_url);
	if (m == NULL)
		return opaque_to(t, value, out);
	struct cox_json inner = { 0 };
	COX_TRY(message_to(t, m, value, &inner));
	if (cox_envoy_message_kind(m) != COX_ENVOY_PLAIN) {
		*member_add(t, out, COX_STR("value")) = inner;
		return COX_OK;
	}
	for (size_t i = 0; i < inner.n; i++)
		*member_add(t, out, inner.members[i].key) = inner.members[i].value;
	return COX_OK;
}

static enum cox_rc any_wire_to(struct to *t, struct cox_str wire, struct cox_json *out)
{
	struct cox_pb_reader r = cox_pb_reader(wire);
	struct cox_pb_field f;
	struct cox_str type_url = { 0 }, value = { 0 };
	while (cox_pb_next(&r, &f)) {
		if (f.number == 1)
			type_url = cox_pb_as_str(&r, &f);
		else if (f.number == 2)
			value = cox_pb_as_bytes(&r, &f);
	}
	if (r.rc != COX_OK)
		return fail(t, r.rc, r.what);
	return any_to(t, type_url, value, out);
}

static enum cox_rc message_to(struct to *t, const struct cox_envoy_message *m, struct cox_str wire, struct cox_json *out)
{
	if (t->depth == COX_TRANSCODE_DEPTH_MAX)
		return fail(t, COX_ELIMIT, "nested too deep");
	t->depth++;
	enum cox_rc rc;
	switch (cox_envoy_message_kind(m)) {
	case COX_ENVOY_ANY: rc = any_wire_to(t, wire, out); break;
	case COX_ENVOY_DURATION: rc = time_to(t, wire, true, out); break;
	case COX_ENVOY_TIMESTAMP: rc = time_to(t, wire, false, out); break;
	case COX_ENVOY_FIELD_MASK: rc = mask_to(t, wire, out); break;
	case COX_ENVOY_STRUCT:
	case COX_ENVOY_VALUE:
	case COX_ENVOY_LIST:
	case COX_ENVOY_WRAPPER: rc = unwrap_to(t, m, wire, out); break;
	default: rc = plain_to(t, m, wire, out); break;
	}
	t->depth--;
	return rc;
}

enum cox_rc cox_envoy_to_json(const struct cox_envoy_message *m, struct cox_str wire, unsigned flags, struct cox_arena *arena,
                              struct cox_json **out, struct cox_err *err)
{
	struct to t = { .arena = arena, .flags = flags, .err = err };
	struct cox_json *root = COX_ARENA_NEW(arena, struct cox_json);
	enum cox_rc rc = message_to(&t, m, wire, root);
	cox_vec_fini(&t.stack);
	if (rc == COX_OK)
		*out = root;
	return rc;
}

enum cox_rc cox_envoy_any_to_json(struct cox_str type_url, struct cox_str value, unsigned flags, struct cox_arena *arena,
                                  struct cox_json **out, struct cox_err *err)
{
	struct to t = { .arena = arena, .flags = flags, .err = err };
	struct cox_json *root = COX_ARENA_NEW(arena, struct cox_json);
	enum cox_rc rc = any_to(&t, type_url, value, root);
	cox_vec_fini(&t.stack);
	if (rc == COX_OK)
		*out = root;
	return rc;
}
