/*
 * pb_write - protobuf wire format, written straight into a buffer: no tree, no size pass. The typed setters of
 * lib/envoy are thin inline functions over this file; use those, and this only where the message is not known at build time.
 *
 * A nested message reserves one length byte when it begins; ending it patches that byte, and moves the content where it is
 * 128 bytes or longer. Only the innermost open message can be written: writing to an outer one is a program error and asserts.
 * Thread: any, one at a time. Owns nothing: the bytes are the caller's buffer.
 */
#ifndef COX_CODEC_PB_WRITE_H
#define COX_CODEC_PB_WRITE_H

#include "base/buf.h"

enum cox_pb_wire { COX_PB_VARINT = 0, COX_PB_FIXED64 = 1, COX_PB_BYTES = 2, COX_PB_GROUP = 3, COX_PB_GROUP_END = 4, COX_PB_FIXED32 = 5 };
enum { COX_PB_WRITE_DEPTH_MAX = 250 }; /* messages that are open at once: two for each of 100 nested ones (Any, map entry), and room */

struct cox_pb {
	struct cox_buf *buf;
	uint32_t depth;                        /* of the innermost open message; 0: none */
	uint32_t packed_tag;                   /* the packed field written last, */
	size_t packed_len_at, packed_end;      /* its length byte and its end: a further value is put into the same run */
	size_t starts[COX_PB_WRITE_DEPTH_MAX]; /* where each open message's content starts */
};
/* An open message. Copied by value; every typed handle of lib/envoy is a struct with this single member `at`. */
struct cox_pb_at {
	struct cox_pb *pb;
	uint32_t depth; /* its own */
	uint32_t base;  /* ending it ends every message from this depth on: a map entry or Any is opened together with its value */
};

static inline void cox_pb_init(struct cox_pb *pb, struct cox_buf *buf)
{
	pb->buf = buf;
	pb->depth = pb->packed_tag = 0;
	pb->packed_len_at = pb->packed_end = 0;
}
/* Begins a message that is not inside another: its bytes are what the buffer gains until its end. */
struct cox_pb_at cox_pb_root(struct cox_pb *pb);
/* Ends it, and whatever is still open inside. */
void cox_pb_end(struct cox_pb_at at);
/* For COX_AUTO on a handle (PB_WITH): ends it unless done. `handle` points to a struct that starts with a struct cox_pb_at. */
static inline void cox_pb_end_handle(void *handle)
{
	struct cox_pb_at *at = handle;
	if (at->pb != NULL)
		cox_pb_end(*at);
	at->pb = NULL;
}

/* Field values. The tag is written before the value; nothing is left out: presence is the typed setter's matter. */
void cox_pb_put_varint(struct cox_pb_at at, uint32_t number, uint64_t v);
void cox_pb_put_fixed64(struct cox_pb_at at, uint32_t number, uint64_t v);
void cox_pb_put_fixed32(struct cox_pb_at at, uint32_t number, uint32_t v);
void cox_pb_put_bytes(struct cox_pb_at at, uint32_t number, struct cox_str v);
/* One more value of a packed repeated field: extends the run if that field was written last. */
void cox_pb_pack_varint(struct cox_pb_at at, uint32_t number, uint64_t v);
void cox_pb_pack_fixed64(struct cox_pb_at at, uint32_t number, uint64_t v);
void cox_pb_pack_fixed32(struct cox_pb_at at, uint32_t number, uint32_t v);
/* google.protobuf.Duration of `ns`, and the wrappers (field 1; the inner value is left out when it is zero, as protobuf does). */
void cox_pb_put_duration(struct cox_pb_at at, uint32_t number, int64_t ns);
void cox_pb_put_wrapped_varint(struct cox_pb_at at, uint32_t number, uint64_t v);
void cox_pb_put_wrapped_double(struct cox_pb_at at, uint32_t number, double v);
void cox_pb_put_wrapped_float(struct cox_pb_at at, uint32_t number, float v);
void cox_pb_put_wrapped_bytes(struct cox_pb_at at, uint32_t number, struct cox_str v);

/* Begins the message in field `number` of `at`. */
struct cox_pb_at cox_pb_begin(struct cox_pb_at at, uint32_t number);
/* Begins a map entry with that key; cox_pb_map_value() then begins its message value, and ending the value ends both. */
struct cox_pb_at cox_pb_map_entry(struct cox_pb_at at, uint32_t number, struct cox_str key);
struct cox_pb_at cox_pb_map_entry_varint(struct cox_pb_at at, uint32_t number, uint64_t key);
struct cox_pb_at cox_pb_map_value(struct cox_pb_at entry);
/* In the open google.protobuf.Any `any`: writes the type URL and begins the value; ending it ends the Any too. */
struct cox_pb_at cox_pb_any_begin(struct cox_pb_at any, const char *url, size_t url_len);

static inline uint64_t cox_pb_zigzag(int64_t v) { return ((uint64_t)v << 1) ^ (uint64_t)(v >> 63); }
static inline uint64_t cox_pb_double_bits(double v)
{
	uint64_t u;
	memcpy(&u, &v, sizeof(u));
	return u;
}
static inline uint32_t cox_pb_float_bits(float v)
{
	uint32_t u;
	memcpy(&u, &v, sizeof(u));
	return u;
}

#endif
