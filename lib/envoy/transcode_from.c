/* JSON -> wire bytes. An object's members are collected and sorted by field first, so that the bytes do not depend on their order. */
#include "envoy/transcode_priv.h"
#include "codec/b64.h"

#include <stdlib.h>

struct member {
	uint32_t index; /* of the field in the table */
	const struct cox_json *value;
};
struct from {
	struct cox_pb pb;
	struct cox_arena arena; /* decoded base64 */
	unsigned flags;
	struct path path;
	struct cox_err *err;
	COX_VEC(struct member) stack; /* shared by all levels */
};

static enum cox_rc message_from(struct from *t, const struct cox_envoy_message *m, const struct cox_json *v, struct cox_pb_at at);

static enum cox_rc fail(struct from *t, enum cox_rc rc, const struct cox_json *v, const char *what)
{
	cox_err_set(t->err, rc, t->path.text, "%s", what);
	if (t->err != NULL && v != NULL)
		t->err->line = v->line;
	return rc;
}

/* --- scalars ------------------------------------------------------------------------------- */

static enum cox_rc signed_from(struct from *t, const struct cox_json *v, int64_t min, int64_t max, int64_t *out)
{
	enum cox_rc rc = v->type == COX_JSON_STRING ? cox_str_to_i64(v->text, out) : cox_json_to_i64(v, out);
	if (rc == COX_OK && (*out < min || *out > max))
		rc = COX_ELIMIT;
	if (rc == COX_ELIMIT)
		return fail(t, COX_EINVAL, v, "the number is out of range");
	return rc == COX_OK ? COX_OK : fail(t, COX_EINVAL, v, "an integer is wanted");
}

static enum cox_rc unsigned_from(struct from *t, const struct cox_json *v, uint64_t max, uint64_t *out)
{
	int64_t i;
	enum cox_rc rc = COX_EINVAL;
	if (v->type == COX_JSON_STRING || v->type == COX_JSON_NUMBER)
		rc = cox_str_to_u64(v->text, out);
	if (rc == COX_EINVAL && v->type == COX_JSON_NUMBER && (rc = cox_json_to_i64(v, &i)) == COX_OK) { /* "3.0", "-1" */
		rc = i < 0 ? COX_ELIMIT : COX_OK;
		*out = (uint64_t)i;
	}
	if (rc == COX_OK && *out > max)
		rc = COX_ELIMIT;
	if (rc == COX_ELIMIT)
		return fail(t, COX_EINVAL, v, "the number is out of range");
	return rc == COX_OK ? COX_OK : fail(t, COX_EINVAL, v, "an integer that is not negative is wanted");
}

static enum cox_rc enum_from(struct from *t, const struct cox_envoy_enum *e, const struct cox_json *v, uint64_t *u)
{
	int64_t number = 0;
	int32_t named;
	if (v->type == COX_JSON_STRING) {
		if (cox_envoy_enum_number(e, v->text, &named) != COX_OK) {
			cox_err_set(t->err, COX_EINVAL, t->path.text, "\"%.*s\" is no value of this enum",
			            COX_FMT(cox_str_sub(v->text, 0, 64)));
			return COX_EINVAL;
		}
		number = named;
	} else if (v->type != COX_JSON_NULL || !is_null_enum(e)) {
		COX_TRY(signed_from(t, v, INT32_MIN, INT32_MAX, &number));
	}
	*u = (uint64_t)number;
	return COX_OK;
}

/* A value of any type but message: `*u` holds numbers as the wire has them, `*bytes` text. */
static enum cox_rc scalar_from(struct from *t, const struct cox_envoy_field *field, const struct cox_json *v, uint64_t *u,
                               struct cox_str *bytes)
{
	int64_t i = 0;
	double d = 0;
	*u = 0;
	*bytes = (struct cox_str){ 0 };
	switch (field->type) {
	case COX_ENVOY_DOUBLE:
	case COX_ENVOY_FLOAT:
		if (float_from_json(v, field->type == COX_ENVOY_FLOAT, &d) != COX_OK)
			return fail(t, COX_EINVAL, v, "a number in the range of its type is wanted");
		*u = field->type == COX_ENVOY_FLOAT ? cox_pb_float_bits((float)d) : cox_pb_double_bits(d);
		return COX_OK;
	case COX_ENVOY_INT64:
	case COX_ENVOY_SFIXED64:
	case COX_ENVOY_SINT64:
		COX_TRY(signed_from(t, v, INT64_MIN, INT64_MAX, &i));
		*u = field->type == COX_ENVOY_SINT64 ? cox_pb_zigzag(i) : (uint64_t)i;
		return COX_OK;
	case COX_ENVOY_INT32:
	case COX_ENVOY_SFIXED32:
	case COX_ENVOY_SINT32:
		COX_TRY(signed_from(t, v, INT32_MIN, INT32_MAX, &i));
		*u = field->type == COX_ENVOY_SINT32 ? cox_pb_zigzag(i) : (uint64_t)i;
		return COX_OK;
	case COX_ENVOY_UINT64:
	case COX_ENVOY_FIXED64: return unsigned_from(t, v, UINT64_MAX, u);
	case COX_ENVOY_UINT32:
	case COX_ENVOY_FIXED32: return unsigned_from(t, v, UINT32_MAX, u);
	case COX_ENVOY_BOOL:
		if (v->type != COX_JSON_BOOL)
			return fail(t, COX_EINVAL, v, "true or false is wanted");
		*u = v->boolean;
		return COX_OK;
	case COX_ENVOY_ENUM: return enum_from(t, field->enumeration, v, u);
	case COX_ENVOY_STRING:
	case COX_ENVOY_BYTES:
		if (v->type != COX_JSON_STRING)
			return fail(t, COX_EINVAL, v, "text is wanted");
		*bytes = v->text;
		if (field->type == COX_ENVOY_BYTES && cox_b64_decode(&t->arena, v->text, false, bytes) != COX_OK)
			return fail(t, COX_EINVAL, v, "base64 is wanted");
		return COX_OK;
	case COX_ENVOY_MESSAGE: break;
	}
	COX_ASSERT(!"a message is no scalar");
}

static void scalar_put(const struct cox_envoy_field *field, struct cox_pb_at at, uint64_t u, struct cox_str bytes)
{
	switch (wire_of(field->type)) {
	case COX_PB_FIXED64: cox_pb_put_fixed64(at, field->number, u); break;
	case COX_PB_FIXED32: cox_pb_put_fixed32(at, field->number, (uint32_t)u); break;
	case COX_PB_BYTES: cox_pb_put_bytes(at, field->number, bytes); break;
	default: cox_pb_put_varint(at, field->number, u);
	}
}

static void scalar_pack(const struct cox_envoy_field *field, struct cox_pb_at at, uint64_t u)
{
	switch (wire_of(field->type)) {
	case COX_PB_FIXED64: cox_pb_pack_fixed64(at, field->number, u); break;
	case COX_PB_FIXED32: cox_pb_pack_fixed32(at, field->number, (uint32_t)u); break;
	default: cox_pb_pack_varint(at, field->number, u);
	}
}

/* --- fields of a message --------------------------------------------------------------------- */

/* The message of `field`, begun and ended. */
static enum cox_rc sub_from(struct from *t, const struct cox_envoy_field *field, const struct cox_json *v, struct cox_pb_at at)
{
	if (t->pb.depth >= COX_TRANSCODE_DEPTH_MAX)
		return fail(t, COX_ELIMIT, v, "nested too deep");
	struct cox_pb_at inner = cox_pb_begin(at, field->number);
	COX_TRY(message_from(t, field->message, v, inner));
	cox_pb_end(inner);
	return COX_OK;
}

/* One value, present: written even if it is the default. */
static enum cox_rc value_from(struct from *t, const struct cox_envoy_field *field, const struct cox_json *v, struct cox_pb_at at)
{
	if (field->type == COX_ENVOY_MESSAGE)
		return sub_from(t, field, v, at);
	uint64_t u;
	struct cox_str bytes;
	COX_TRY(scalar_from(t, field, v, &u, &bytes));
	if (field->packed)
		scalar_pack(field, at, u);
	else
		scalar_put(field, at, u, bytes);
	return COX_OK;
}

static enum cox_rc map_from(struct from *t, const struct cox_envoy_field *field, const struct cox_json *v, struct cox_pb_at at)
{
	struct cox_envoy_field key_field = cox_envoy_field_at(field->message, 0), value_field = cox_envoy_field_at(field->message, 1);
	if (v->type != COX_JSON_OBJECT)
		return fail(t, COX_EINVAL, v, "an object is wanted");
	if (t->pb.depth >= COX_TRANSCODE_DEPTH_MAX)
		return fail(t, COX_ELIMIT, v, "nested too deep");
	for (size_t i = 0; i < v->n; i++) {
		const struct cox_json_member *m = &v->members[i];
		size_t was = path_key(&t->path, m->key);
		struct cox_json key = { .type = COX_JSON_STRING, .text = m->key, .line = m->value.line };
		if (key_field.type == COX_ENVOY_BOOL && (cox_str_eq(m->key, COX_STR("true")) || cox_str_eq(m->key, COX_STR("false")))) {
			key.type = COX_JSON_BOOL;
			key.boolean = m->key.n == 4;
		}
		struct cox_pb_at entry = cox_pb_begin(at, field->number);
		COX_TRY(value_from(t, &key_field, &key, entry));
		COX_TRY(value_from(t, &value_field, &m->value, entry));
		cox_pb_end(entry);
		path_pop(&t->path, was);
	}
	return COX_OK;
}

static bool takes_null(const struct cox_envoy_field *field)
{
	return (field->type == COX_ENVOY_MESSAGE && cox_envoy_message_kind(field->message) == COX_ENVOY_VALUE) ||
	       (field->type == COX_ENVOY_ENUM && is_null_enum(field->enumeration));
}

static enum cox_rc list_from(struct from *t, const struct cox_envoy_field *field, const struct cox_json *v, struct cox_pb_at at)
{
	if (v->type != COX_JSON_ARRAY)
		return fail(t, COX_EINVAL, v, "a list is wanted");
	for (size_t i = 0; i < v->n; i++) {
		size_t was = path_index(&t->path, i);
		if (v->items[i].type == COX_JSON_NULL && !takes_null(field))
			return fail(t, COX_EINVAL, &v->items[i], "null cannot be an item");
		COX_TRY(value_from(t, field, &v->items[i], at));
		path_pop(&t->path, was);
	}
	return COX_OK;
}

static enum cox_rc field_from(struct from *t, const struct cox_envoy_field *field, const struct cox_json *v, struct cox_pb_at at)
{
	if (field->map)
		return map_from(t, field, v, at);
	if (field->repeated)
		return list_from(t, field, v, at);
	if (field->presence)
		return value_from(t, field, v, at);
	uint64_t u;
	struct cox_str bytes;
	COX_TRY(scalar_from(t, field, v, &u, &bytes));
	if (u != 0 || bytes.n != 0)
		scalar_put(field, at, u, bytes);
	return COX_OK;
}

static int member_cmp(const void *a, const void *b)
{
	const struct member *x = a, *y = b;
	return x->index < y->index ? -1 : x->index > y->index;
}

/* Finds the field of every member. `in_any`: "@type" is not a field. */
static enum cox_rc members_find(struct from *t, const struct cox_envoy_message *m, const struct cox_json *v, bool in_any)
{
	size_t base = t->stack.n;
	for (size_t i = 0; i < v->n; i++) {
		const struct cox_json_member *member = &v->members[i];
		if (in_any && cox_str_eq(member->key, COX_STR("@type")))
			continue;
		ptrdiff_t index = cox_envoy_field_by_name(m, member->key);
		if (index < 0 && (t->flags & COX_TRANSCODE_IGNORE_UNKNOWN))
			continue;
		if (index < 0) {
			path_field(&t->path, member->key);
			cox_err_set(t->err, COX_EINVAL, t->path.text, "unknown field of %.*s", COX_FMT(cox_envoy_message_name(m)));
			if (t->err != NULL)
				t->err->line = member->value.line;
			return COX_EINVAL;
		}
		struct cox_envoy_field field = cox_envoy_field_at(m, (size_t)index);
		if (member->value.type == COX_JSON_NULL && (field.repeated || !takes_null(&field)))
			continue;
		cox_vec_push(&t->stack, ((struct member){ .index = (uint32_t)index, .value = &member->value }));
	}
	if (t->stack.n - base > 1)
		qsort(t->stack.p + base, t->stack.n - base, sizeof(*t->stack.p), member_cmp);
	return COX_OK;
}

static enum cox_rc plain_from(struct from *t, const struct cox_envoy_message *m, const struct cox_json *v, struct cox_pb_at at, bool in_any)
{
	if (v->type != COX_JSON_OBJECT)
		return fail(t, COX_EINVAL, v, "an object is wanted");
	size_t base = t->stack.n;
	COX_TRY(members_find(t, m, v, in_any));
	size_t end = t->stack.n;
	uint64_t oneofs = 0; /* seen so far; no message has 64 oneofs, and then only the check is lost */
	for (size_t i = base; i < end; i++) {
		struct member member = t->stack.p[i]; /* a copy: the stack may move below */
		struct cox_envoy_field field = cox_envoy_field_at(m, member.index);
		size_t was = path_field(&t->path, field.name);
		if (i > base && t->stack.p[i - 1].index == member.index)
			return fail(t, COX_EINVAL, member.value, "the field is there in both spellings");
		if (field.oneof != 0 && field.oneof < 64) {
			if (oneofs >> field.oneof & 1)
				return fail(t, COX_EINVAL, member.value, "another member of the same oneof is set too");
			oneofs |= (uint64_t)1 << field.oneof;
		}
		COX_TRY(field_from(t, &field, member.value, at));
		path_pop(&t->path, was);
	}
	t->stack.n = base;
	return COX_OK;
}

/* --- well-known types ------------------------------------------------------------------------ */

static enum cox_rc struct_value_from(struct from *t, const struct cox_envoy_message *m, const struct cox_json *v, struct cox_pb_at at)
{
	/* In the order of enum cox_json_type; the fields of google.protobuf.Value. */
	static const char *const names[] = { "null_value", "bool_value", "number_value", "string_value", "list_value", "struct_value" };
	ptrdiff_t index = cox_envoy_field_by_name(m, cox_str_of(names[v->type]));
	COX_ASSERT(index >= 0);
	struct cox_envoy_field field = cox_envoy_field_at(m, (size_t)index);
	return value_from(t, &field, v, at);
}

static enum cox_rc time_from(struct from *t, const struct cox_json *v, bool is_duration, struct cox_pb_at at)
{
	int64_t s, ns;
	if (v->type != COX_JSON_STRING || (is_duration ? duration_from_text : timestamp_from_text)(v->text, &s, &ns) != COX_OK)
		return fail(t, COX_EINVAL, v,
		            is_duration ? "a duration in seconds is wanted, like \"1.5s\""
		                        : "a time is wanted, like \"2026-08-01T10:00:00Z\"");
	if (s != 0)
		cox_pb_put_varint(at, 1, (uint64_t)s);
	if (ns != 0)
		cox_pb_put_varint(at, 2, (uint64_t)ns);
	return COX_OK;
}

static enum cox_rc mask_from(struct from *t, const struct cox_json *v, struct cox_pb_at at)
{
	if (v->type != COX_JSON_STRING)
		return fail(t, COX_EINVAL, v, "text is wanted");
	struct cox_buf path COX_AUTO(cox_buf_fini) = { 0 };
	struct cox_str rest = v->text, part;
	while (v->text.n != 0 && cox_str_next(&rest, ',', &part)) {
		cox_buf_clear(&path);
		if (part.n == 0 || !snake_from_camel(part, &path))
			return fail(t, COX_EINVAL, v, "field paths in lowerCamelCase are wanted");
		cox_pb_put_bytes(at, 1, cox_buf_str(&path));
	}
	return COX_OK;
}

static enum cox_rc opaque_from(struct from *t, struct cox_str type, const struct cox_json *v, struct cox_pb_at at)
{
	const struct cox_json *value = cox_json_get(v, COX_STR("@value"));
	uint64_t u;
	struct cox_str bytes;
	if (value == NULL) {
		cox_err_set(t->err, COX_EINVAL, t->path.text, "unknown type %.*s", COX_FMT(cox_str_sub(type, 0, 200)));
		return COX_EINVAL;
	}
	COX_TRY(scalar_from(t, &(struct cox_envoy_field){ .type = COX_ENVOY_BYTES }, value, &u, &bytes));
	cox_pb_put_bytes(at, 1, type);
	cox_pb_put_bytes(at, 2, bytes);
	return COX_OK;
}

static enum cox_rc any_from(struct from *t, const struct cox_json *v, struct cox_pb_at at)
{
	if (v->type != COX_JSON_OBJECT)
		return fail(t, COX_EINVAL, v, "an object with @type is wanted");
	if (v->n == 0)
		return COX_OK;
	struct cox_str type = cox_json_str_at(v, "@type");
	if (type.n == 0)
		return fail(t, COX_EINVAL, v, "@type is missing");
	const struct cox_envoy_message *m = cox_envoy_message_find(type);
	if (m == NULL)
		return opaque_from(t, type, v, at);
	if (cox_str_find(type, '/') < 0)
		type = cox_arena_concat(&t->arena, COX_STR("type.googleapis.com/"), type);
	if (t->pb.depth >= COX_TRANSCODE_DEPTH_MAX)
		return fail(t, COX_ELIMIT, v, "nested too deep");
	cox_pb_put_bytes(at, 1, type);
	struct cox_pb_at inner = cox_pb_begin(at, 2);
	if (cox_envoy_message_kind(m) == COX_ENVOY_PLAIN) {
		COX_TRY(plain_from(t, m, v, inner, true));
	} else {
		const struct cox_json *value = cox_json_get(v, COX_STR("value"));
		if (value == NULL)
			return fail(t, COX_EINVAL, v, "the value of this @type is missing");
		size_t was = path_field(&t->path, COX_STR("value"));
		COX_TRY(message_from(t, m, value, inner));
		path_pop(&t->path, was);
	}
	cox_pb_end(inner);
	return COX_OK;
}

static enum cox_rc message_from(struct from *t, const struct cox_envoy_message *m, const struct cox_json *v, struct cox_pb_at at)
{
	struct cox_envoy_field first;
	switch (cox_envoy_message_kind(m)) {
	case COX_ENVOY_ANY: return any_from(t, v, at);
	case COX_ENVOY_DURATION: return time_from(t, v, true, at);
	case COX_ENVOY_TIMESTAMP: return time_from(t, v, false, at);
	case COX_ENVOY_FIELD_MASK: return mask_from(t, v, at);
	case COX_ENVOY_VALUE: return struct_value_from(t, m, v, at);
	case COX_ENVOY_STRUCT:
	case COX_ENVOY_LIST:
	case COX_ENVOY_WRAPPER:
		/* Written as their only field is. */
		first = cox_envoy_field_at(m, 0);
		return field_from(t, &first, v, at);
	default: return plain_from(t, m, v, at, false);
	}
}

enum cox_rc cox_envoy_from_json(const struct cox_envoy_message *m, const struct cox_json *v, unsigned flags, struct cox_buf *wire,
                                struct cox_err *err)
{
	struct from t = { .flags = flags, .err = err };
	size_t was = wire->n;
	cox_pb_init(&t.pb, wire);
	struct cox_pb_at root = cox_pb_root(&t.pb);
	enum cox_rc rc = message_from(&t, m, v, root);
	cox_pb_end(root);
	if (rc != COX_OK)
		wire->n = was;
	cox_vec_fini(&t.stack);
	cox_arena_fini(&t.arena);
	return rc;
}
