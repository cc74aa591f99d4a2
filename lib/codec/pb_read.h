/*
 * pb_read - a cursor over protobuf wire bytes: zero-copy, bounded, never trusting what a peer sent.
 *
 *	struct cox_pb_reader r = cox_pb_reader(bytes);
 *	struct cox_pb_field f;
 *	while (cox_pb_next(&r, &f))
 *		switch (f.number) {
 *		case PB_..._version_info__NUM: version = cox_pb_as_str(&r, &f); break;
 *		case PB_..._node__NUM: node = cox_pb_as_message(&r, &f); ... a reader of its own, with the depth counted
 *		}
 *	COX_TRY(cox_pb_finish(&r, err));
 *
 * A value of another wire type than asked for is an error of the reader, and reads as zero. The first error stays: the loop
 * ends, and cox_pb_finish() tells it with the byte offset. Everything read points into the bytes, which are borrowed.
 */
#ifndef COX_CODEC_PB_READ_H
#define COX_CODEC_PB_READ_H

#include "base/arena.h"
#include "base/err.h"
#include "codec/pb_write.h"

enum { COX_PB_READ_DEPTH_MAX = 100 }; /* nested messages; protobuf's own default, which Envoy keeps */

struct cox_pb_reader {
	const uint8_t *at, *end;
	const uint8_t *start; /* of the outermost message: offsets in errors count from here */
	unsigned depth;
	enum cox_rc rc;   /* COX_OK, COX_EPROTO (malformed) or COX_ELIMIT (too deep) */
	const char *what; /* the first error, static text */
	size_t what_at;   /* its byte offset */
};
struct cox_pb_field {
	uint32_t number;
	uint8_t wire;         /* enum cox_pb_wire; a group is skipped and comes as COX_PB_GROUP with its content */
	uint64_t u;           /* varint, fixed64, fixed32 */
	struct cox_str bytes; /* length-delimited, group */
};

static inline struct cox_pb_reader cox_pb_reader(struct cox_str bytes)
{
	const uint8_t *p = (const uint8_t *)bytes.p;
	return (struct cox_pb_reader){ .at = p, .end = bytes.n != 0 ? p + bytes.n : p, .start = p };
}
/* Reads the next field. False at the end and after an error. */
bool cox_pb_next(struct cox_pb_reader *r, struct cox_pb_field *f);
/* COX_OK, or the error. `err` may be NULL; "protobuf: <what> at byte <n>". */
COX_MUST_USE enum cox_rc cox_pb_finish(const struct cox_pb_reader *r, struct cox_err *err);
/* Makes the reader fail, for a caller that finds a value wrong; the first error stays. `what` is static text. */
void cox_pb_fail(struct cox_pb_reader *r, enum cox_rc rc, const char *what);

/* The field's value, checked for its wire type. Text is checked for UTF-8, as proto3 asks. */
struct cox_str cox_pb_as_str(struct cox_pb_reader *r, const struct cox_pb_field *f);
struct cox_str cox_pb_as_bytes(struct cox_pb_reader *r, const struct cox_pb_field *f);
uint64_t cox_pb_as_u64(struct cox_pb_reader *r, const struct cox_pb_field *f);
static inline int64_t cox_pb_as_i64(struct cox_pb_reader *r, const struct cox_pb_field *f) { return (int64_t)cox_pb_as_u64(r, f); }
static inline bool cox_pb_as_bool(struct cox_pb_reader *r, const struct cox_pb_field *f) { return cox_pb_as_u64(r, f) != 0; }
double cox_pb_as_double(struct cox_pb_reader *r, const struct cox_pb_field *f);
/* A reader over a nested message. Its errors are its own: hand them up with cox_pb_adopt() when its loop has ended. */
struct cox_pb_reader cox_pb_as_message(struct cox_pb_reader *r, const struct cox_pb_field *f);
void cox_pb_adopt(struct cox_pb_reader *r, const struct cox_pb_reader *inner);
/* An entry of a map<string, string>; `entry` is a field of that map. */
void cox_pb_as_str_entry(struct cox_pb_reader *r, const struct cox_pb_field *entry, struct cox_str *key, struct cox_str *value);
/* How often a field occurs in a message, so that its values can be read into one piece. COX_ELIMIT: more than `max`; COX_EPROTO. */
COX_MUST_USE enum cox_rc cox_pb_count(struct cox_str bytes, uint32_t number, size_t max, size_t *n, struct cox_err *err);
/* All values of a repeated field of text, in `arena`. */
COX_MUST_USE enum cox_rc cox_pb_collect(struct cox_str bytes, uint32_t number, size_t max, struct cox_arena *arena,
                                        const struct cox_str **out, size_t *n, struct cox_err *err);
/* The next varint of a packed run: `*run` starts as cox_pb_as_bytes() and is used up. False at its end and on an error. */
bool cox_pb_unpack_varint(struct cox_pb_reader *r, struct cox_str *run, uint64_t *v);

static inline int64_t cox_pb_unzigzag(uint64_t v) { return (int64_t)(v >> 1) ^ -(int64_t)(v & 1); }
static inline double cox_pb_bits_double(uint64_t u)
{
	double v;
	memcpy(&v, &u, sizeof(v));
	return v;
}
static inline float cox_pb_bits_float(uint32_t u)
{
	float v;
	memcpy(&v, &u, sizeof(v));
	return v;
}

#endif
