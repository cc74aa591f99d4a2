#include "codec/pb_read.h"

enum { FIELD_NUMBER_MAX = (1 << 29) - 1 };

void cox_pb_fail(struct cox_pb_reader *r, enum cox_rc rc, const char *what)
{
	if (r->rc == COX_OK) {
		r->rc = rc;
		r->what = what;
		r->what_at = r->at != NULL ? (size_t)(r->at - r->start) : 0;
	}
	r->at = r->end;
}

static bool varint_read(struct cox_pb_reader *r, uint64_t *out)
{
	const uint8_t *p = r->at;
	uint64_t v = 0;
	for (unsigned shift = 0; shift < 70; shift += 7) {
		if (p == r->end) {
			cox_pb_fail(r, COX_EPROTO, "a number is cut off");
			return false;
		}
		uint8_t byte = *p++;
		if (shift == 63 && byte > 1)
			break;
		v |= (uint64_t)(byte & 0x7f) << shift;
		if (byte < 0x80) {
			r->at = p;
			*out = v;
			return true;
		}
	}
	cox_pb_fail(r, COX_EPROTO, "a number has more than 64 bits");
	return false;
}

static bool fixed_read(struct cox_pb_reader *r, size_t n, uint64_t *out)
{
	if ((size_t)(r->end - r->at) < n) {
		cox_pb_fail(r, COX_EPROTO, "a fixed-size value is cut off");
		return false;
	}
	*out = 0;
	memcpy(out, r->at, n); /* little-endian hosts only: pb_write.c checks it */
	r->at += n;
	return true;
}

static bool bytes_read(struct cox_pb_reader *r, struct cox_str *out)
{
	uint64_t n;
	if (!varint_read(r, &n))
		return false;
	if (n > (uint64_t)(r->end - r->at)) {
		cox_pb_fail(r, COX_EPROTO, "a length reaches beyond the end");
		return false;
	}
	*out = cox_str_make(r->at, (size_t)n);
	r->at += n;
	return true;
}

static bool tag_read(struct cox_pb_reader *r, struct cox_pb_field *f)
{
	uint64_t tag;
	if (!varint_read(r, &tag))
		return false;
	f->wire = tag & 7;
	if (tag >> 3 == 0 || tag >> 3 > FIELD_NUMBER_MAX) {
		cox_pb_fail(r, COX_EPROTO, "a field number is not valid");
		return false;
	}
	f->number = (uint32_t)(tag >> 3);
	return true;
}

static bool value_read(struct cox_pb_reader *r, struct cox_pb_field *f);

/* Groups exist in old proto2 messages only; they are skipped so that an unknown one does no harm. */
static bool group_skip(struct cox_pb_reader *r, struct cox_pb_field *f)
{
	const uint8_t *start = r->at, *end;
	if (++r->depth > COX_PB_READ_DEPTH_MAX) {
		cox_pb_fail(r, COX_ELIMIT, "nested too deep");
		return false;
	}
	struct cox_pb_field inner = { 0 };
	do {
		end = r->at;
		if (r->at == r->end) {
			cox_pb_fail(r, COX_EPROTO, "a group is not closed");
			return false;
		}
		if (!tag_read(r, &inner))
			return false;
	} while (inner.wire != COX_PB_GROUP_END && value_read(r, &inner));
	r->depth--;
	if (r->rc != COX_OK)
		return false;
	if (inner.number != f->number) {
		cox_pb_fail(r, COX_EPROTO, "a group is closed by another number");
		return false;
	}
	f->bytes = cox_str_make(start, (size_t)(end - start));
	return true;
}

static bool value_read(struct cox_pb_reader *r, struct cox_pb_field *f)
{
	f->u = 0;
	f->bytes = (struct cox_str){ 0 };
	switch (f->wire) {
	case COX_PB_VARINT: return varint_read(r, &f->u);
	case COX_PB_FIXED64: return fixed_read(r, 8, &f->u);
	case COX_PB_FIXED32: return fixed_read(r, 4, &f->u);
	case COX_PB_BYTES: return bytes_read(r, &f->bytes);
	case COX_PB_GROUP: return group_skip(r, f);
	default: cox_pb_fail(r, COX_EPROTO, "a wire type is not valid"); return false;
	}
}

/* What nearly every field is: a tag of one byte, and bytes of a length of one or two. */
static bool short_read(struct cox_pb_reader *r, struct cox_pb_field *f)
{
	const uint8_t *p = r->at;
	size_t left = (size_t)(r->end - p), head = 2;
	if (left < 3 || p[0] >= 0x80 || p[0] < 8 || (p[0] & 7) != COX_PB_BYTES)
		return false;
	size_t n = p[1];
	if (n >= 0x80) {
		if (p[2] >= 0x80)
			return false;
		n = (n & 0x7f) | (size_t)p[2] << 7;
		head = 3;
	}
	if (n > left - head)
		return false;
	*f = (struct cox_pb_field){ .number = p[0] >> 3, .wire = COX_PB_BYTES, .bytes = cox_str_make(p + head, n) };
	r->at = p + head + n;
	return true;
}

bool cox_pb_next(struct cox_pb_reader *r, struct cox_pb_field *f)
{
	if (r->rc != COX_OK || r->at == r->end)
		return false;
	if (short_read(r, f))
		return true;
	return tag_read(r, f) && value_read(r, f);
}

enum cox_rc cox_pb_finish(const struct cox_pb_reader *r, struct cox_err *err)
{
	if (r->rc == COX_OK)
		return COX_OK;
	return cox_err_set(err, r->rc, NULL, "protobuf: %s at byte %zu", r->what, r->what_at);
}

static bool wire_check(struct cox_pb_reader *r, bool fits)
{
	if (!fits)
		cox_pb_fail(r, COX_EPROTO, "a field has another type than declared");
	return fits;
}

struct cox_str cox_pb_as_bytes(struct cox_pb_reader *r, const struct cox_pb_field *f)
{
	return wire_check(r, f->wire == COX_PB_BYTES) ? f->bytes : (struct cox_str){ 0 };
}

struct cox_str cox_pb_as_str(struct cox_pb_reader *r, const struct cox_pb_field *f)
{
	struct cox_str s = cox_pb_as_bytes(r, f);
	if (!cox_str_is_utf8(s)) {
		cox_pb_fail(r, COX_EPROTO, "text is not UTF-8");
		return (struct cox_str){ 0 };
	}
	return s;
}

uint64_t cox_pb_as_u64(struct cox_pb_reader *r, const struct cox_pb_field *f) { return wire_check(r, f->wire == COX_PB_VARINT) ? f->u : 0; }

double cox_pb_as_double(struct cox_pb_reader *r, const struct cox_pb_field *f)
{
	return wire_check(r, f->wire == COX_PB_FIXED64) ? cox_pb_bits_double(f->u) : 0;
}

struct cox_pb_reader cox_pb_as_message(struct cox_pb_reader *r, const struct cox_pb_field *f)
{
	struct cox_str bytes = cox_pb_as_bytes(r, f);
	struct cox_pb_reader inner = cox_pb_reader(bytes);
	inner.start = bytes.p != NULL ? r->start : NULL;
	inner.depth = r->depth + 1;
	if (inner.depth > COX_PB_READ_DEPTH_MAX)
		cox_pb_fail(&inner, COX_ELIMIT, "nested too deep");
	return inner;
}

void cox_pb_adopt(struct cox_pb_reader *r, const struct cox_pb_reader *inner)
{
	if (inner->rc == COX_OK || r->rc != COX_OK)
		return;
	cox_pb_fail(r, inner->rc, inner->what);
	r->what_at = inner->what_at;
}

void cox_pb_as_str_entry(struct cox_pb_reader *r, const struct cox_pb_field *entry, struct cox_str *key, struct cox_str *value)
{
	struct cox_pb_reader inner = cox_pb_as_message(r, entry);
	struct cox_pb_field f;
	*key = *value = (struct cox_str){ 0 };
	while (cox_pb_next(&inner, &f)) {
		if (f.number == 1)
			*key = cox_pb_as_str(&inner, &f);
		else if (f.number == 2)
			*value = cox_pb_as_str(&inner, &f);
	}
	cox_pb_adopt(r, &inner);
}

bool cox_pb_unpack_varint(struct cox_pb_reader *r, struct cox_str *run, uint64_t *v)
{
	if (run->n == 0 || r->rc != COX_OK)
		return false;
	struct cox_pb_reader inner = cox_pb_reader(*run);
	inner.start = r->start;
	if (!varint_read(&inner, v)) {
		cox_pb_adopt(r, &inner);
		return false;
	}
	*run = cox_str_make(inner.at, (size_t)(inner.end - inner.at));
	return true;
}

enum cox_rc cox_pb_count(struct cox_str bytes, uint32_t number, size_t max, size_t *n, struct cox_err *err)
{
	struct cox_pb_reader r = cox_pb_reader(bytes);
	struct cox_pb_field f;
	size_t found = 0;
	while (cox_pb_next(&r, &f))
		found += f.number == number;
	COX_TRY(cox_pb_finish(&r, err));
	if (found > max)
		return cox_err_set(err, COX_ELIMIT, NULL, "%zu values in field %u; the limit is %zu", found, number, max);
	*n = found;
	return COX_OK;
}

enum cox_rc cox_pb_collect(struct cox_str bytes, uint32_t number, size_t max, struct cox_arena *arena, const struct cox_str **out,
                           size_t *n, struct cox_err *err)
{
	size_t found, i = 0;
	COX_TRY(cox_pb_count(bytes, number, max, &found, err));
	struct cox_str *items = found ? COX_ARENA_ARRAY(arena, struct cox_str, found) : NULL;
	struct cox_pb_reader r = cox_pb_reader(bytes);
	struct cox_pb_field f;
	while (found && cox_pb_next(&r, &f))
		if (f.number == number)
			items[i++] = cox_pb_as_str(&r, &f);
	COX_TRY(cox_pb_finish(&r, err));
	*out = items;
	*n = found;
	return COX_OK;
}
