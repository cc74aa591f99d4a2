#include "codec/pb_write.h"

enum {
	VARINT_MAX = 10,
	LEN_MAX = 5, /* bytes of a 32-bit varint */
	NS_PER_S = 1000 * 1000 * 1000,
};
#define ROOT_START ((size_t)1 << (sizeof(size_t) * 8 - 1)) /* flag in starts[]: this message has no length byte */

static char *varint_write(char *p, uint64_t v)
{
	while (v >= 0x80) {
		*p++ = (char)(uint8_t)(v | 0x80);
		v >>= 7;
	}
	*p++ = (char)(uint8_t)v;
	return p;
}

static size_t varint_size(uint64_t v) { return (size_t)(70 - __builtin_clzll(v | 1)) / 7; }

static char *tag_reserve(struct cox_pb_at at, uint32_t number, enum cox_pb_wire wire, size_t extra)
{
	/* A setter on anything but the innermost message would land in the wrong one. */
	COX_ASSERT(at.depth == at.pb->depth);
	return varint_write(cox_buf_reserve(at.pb->buf, LEN_MAX + extra), ((uint64_t)number << 3) | (uint64_t)wire);
}

static void end_at(struct cox_pb_at at, const char *p) { at.pb->buf->n = (size_t)(p - at.pb->buf->p); }

static void push(struct cox_pb *pb, size_t start)
{
	COX_ASSERT(pb->depth < COX_PB_WRITE_DEPTH_MAX);
	pb->starts[pb->depth++] = start;
	pb->packed_tag = 0;
}

/* Writes the length of what lies between `start` and the end in front of it; one byte is reserved there. */
static void length_patch(struct cox_buf *buf, size_t start)
{
	size_t len = buf->n - start;
	if (len < 0x80) {
		buf->p[start - 1] = (char)(uint8_t)len;
		return;
	}
	COX_ASSERT(len <= INT32_MAX); /* protobuf's own limit of a message */
	size_t extra = varint_size(len) - 1;
	cox_buf_reserve(buf, extra);
	memmove(buf->p + start + extra, buf->p + start, len);
	varint_write(buf->p + start - 1, len);
	buf->n += extra;
}

struct cox_pb_at cox_pb_root(struct cox_pb *pb)
{
	COX_ASSERT(pb->depth == 0);
	push(pb, ROOT_START);
	return (struct cox_pb_at){ pb, 1, 1 };
}

void cox_pb_end(struct cox_pb_at at)
{
	struct cox_pb *pb = at.pb;
	COX_ASSERT(at.base > 0);
	if (at.depth > pb->depth)
		return; /* an Any that has ended with its value */
	while (pb->depth >= at.base) {
		size_t start = pb->starts[--pb->depth];
		if (start != ROOT_START)
			length_patch(pb->buf, start);
	}
	pb->packed_tag = 0;
}

void cox_pb_put_varint(struct cox_pb_at at, uint32_t number, uint64_t v)
{
	end_at(at, varint_write(tag_reserve(at, number, COX_PB_VARINT, VARINT_MAX), v));
}

void cox_pb_put_fixed64(struct cox_pb_at at, uint32_t number, uint64_t v)
{
	char *p = tag_reserve(at, number, COX_PB_FIXED64, sizeof(v));
	memcpy(p, &v, sizeof(v));
	end_at(at, p + sizeof(v));
}
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the wire format is little-endian, and so are our hosts");

void cox_pb_put_fixed32(struct cox_pb_at at, uint32_t number, uint32_t v)
{
	char *p = tag_reserve(at, number, COX_PB_FIXED32, sizeof(v));
	memcpy(p, &v, sizeof(v));
	end_at(at, p + sizeof(v));
}

void cox_pb_put_bytes(struct cox_pb_at at, uint32_t number, struct cox_str v)
{
	char *p = varint_write(tag_reserve(at, number, COX_PB_BYTES, LEN_MAX + v.n), v.n);
	if (v.n != 0)
		memcpy(p, v.p, v.n);
	end_at(at, p + v.n);
}

/* Appends to the open run of this packed field, or starts one; then patches the run's length, which may move its bytes. */
static void pack(struct cox_pb_at at, uint32_t number, const char *value, size_t n)
{
	struct cox_pb *pb = at.pb;
	struct cox_buf *buf = pb->buf;
	COX_ASSERT(at.depth == pb->depth);
	if (pb->packed_tag != number || pb->packed_end != buf->n) {
		char *p = tag_reserve(at, number, COX_PB_BYTES, 1);
		end_at(at, p + 1);
		pb->packed_tag = number;
		pb->packed_len_at = buf->n - 1;
		pb->packed_end = buf->n;
		buf->p[pb->packed_len_at] = 0;
	}
	size_t old_len = 0;
	const uint8_t *len = (const uint8_t *)buf->p + pb->packed_len_at;
	unsigned shift = 0;
	do
		old_len |= (size_t)(*len & 0x7f) << shift, shift += 7;
	while (*len++ & 0x80);
	size_t before = varint_size(old_len), after = varint_size(old_len + n);
	char *start = cox_buf_reserve(buf, n + after - before) - old_len;
	if (after != before)
		memmove(start + (after - before), start, old_len);
	memcpy(start + (after - before) + old_len, value, n);
	varint_write(buf->p + pb->packed_len_at, old_len + n);
	buf->n += n + after - before;
	pb->packed_end = buf->n;
}

void cox_pb_pack_varint(struct cox_pb_at at, uint32_t number, uint64_t v)
{
	char bytes[VARINT_MAX];
	pack(at, number, bytes, (size_t)(varint_write(bytes, v) - bytes));
}

void cox_pb_pack_fixed64(struct cox_pb_at at, uint32_t number, uint64_t v) { pack(at, number, (const char *)&v, sizeof(v)); }

void cox_pb_pack_fixed32(struct cox_pb_at at, uint32_t number, uint32_t v) { pack(at, number, (const char *)&v, sizeof(v)); }

/* The messages below are at most 1 + 10 + 1 + 10 bytes: their length is one byte and known after writing. */
static char *small_begin(struct cox_pb_at at, uint32_t number)
{
	return tag_reserve(at, number, COX_PB_BYTES, 1 + 2 * (1 + VARINT_MAX)) + 1;
}

static void small_end(struct cox_pb_at at, char *start, char *end)
{
	start[-1] = (char)(end - start);
	end_at(at, end);
}

void cox_pb_put_duration(struct cox_pb_at at, uint32_t number, int64_t ns)
{
	char *start = small_begin(at, number), *p = start;
	int64_t seconds = ns / NS_PER_S, nanos = ns % NS_PER_S;
	if (seconds != 0) {
		*p++ = (1 << 3) | COX_PB_VARINT;
		p = varint_write(p, (uint64_t)seconds);
	}
	if (nanos != 0) {
		*p++ = (2 << 3) | COX_PB_VARINT;
		p = varint_write(p, (uint64_t)nanos);
	}
	small_end(at, start, p);
}

void cox_pb_put_wrapped_varint(struct cox_pb_at at, uint32_t number, uint64_t v)
{
	char *start = small_begin(at, number), *p = start;
	if (v != 0) {
		*p++ = (1 << 3) | COX_PB_VARINT;
		p = varint_write(p, v);
	}
	small_end(at, start, p);
}

void cox_pb_put_wrapped_double(struct cox_pb_at at, uint32_t number, double v)
{
	char *start = small_begin(at, number), *p = start;
	uint64_t bits = cox_pb_double_bits(v);
	if (bits != 0) {
		*p++ = (1 << 3) | COX_PB_FIXED64;
		memcpy(p, &bits, sizeof(bits));
		p += sizeof(bits);
	}
	small_end(at, start, p);
}

void cox_pb_put_wrapped_float(struct cox_pb_at at, uint32_t number, float v)
{
	char *start = small_begin(at, number), *p = start;
	uint32_t bits = cox_pb_float_bits(v);
	if (bits != 0) {
		*p++ = (1 << 3) | COX_PB_FIXED32;
		memcpy(p, &bits, sizeof(bits));
		p += sizeof(bits);
	}
	small_end(at, start, p);
}

void cox_pb_put_wrapped_bytes(struct cox_pb_at at, uint32_t number, struct cox_str v)
{
	struct cox_pb_at wrapper = cox_pb_begin(at, number);
	if (v.n != 0)
		cox_pb_put_bytes(wrapper, 1, v);
	cox_pb_end(wrapper);
}

struct cox_pb_at cox_pb_begin(struct cox_pb_at at, uint32_t number)
{
	end_at(at, tag_reserve(at, number, COX_PB_BYTES, 1) + 1);
	push(at.pb, at.pb->buf->n);
	return (struct cox_pb_at){ at.pb, at.pb->depth, at.pb->depth };
}

struct cox_pb_at cox_pb_map_entry(struct cox_pb_at at, uint32_t number, struct cox_str key)
{
	struct cox_pb_at entry = cox_pb_begin(at, number);
	cox_pb_put_bytes(entry, 1, key);
	return entry;
}

struct cox_pb_at cox_pb_map_entry_varint(struct cox_pb_at at, uint32_t number, uint64_t key)
{
	struct cox_pb_at entry = cox_pb_begin(at, number);
	cox_pb_put_varint(entry, 1, key);
	return entry;
}

struct cox_pb_at cox_pb_map_value(struct cox_pb_at entry)
{
	struct cox_pb_at value = cox_pb_begin(entry, 2);
	value.base = entry.base;
	return value;
}

struct cox_pb_at cox_pb_any_begin(struct cox_pb_at any, const char *url, size_t url_len)
{
	cox_pb_put_bytes(any, 1, cox_str_make(url, url_len));
	return cox_pb_map_value(any);
}
