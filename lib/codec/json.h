/*
 * json - a value tree for JSON and YAML documents, in an arena, with line numbers.
 * Thread: any; a tree is immutable once built. Owns nothing: all of it is in the caller's arena,
 * and strings without escapes point into the source text, which must outlive the tree.
 */
#ifndef COX_CODEC_JSON_H
#define COX_CODEC_JSON_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"

enum cox_json_type { COX_JSON_NULL, COX_JSON_BOOL, COX_JSON_NUMBER, COX_JSON_STRING, COX_JSON_ARRAY, COX_JSON_OBJECT };

struct cox_json_member;
struct cox_json {
	enum cox_json_type type;
	int line; /* 1 is the first; 0: made by a program */
	bool boolean;
	uint32_t room;       /* of items or members set by program; private to json.c */
	struct cox_str text; /* string: the value; number: as written */
	size_t n;            /* items or members */
	union {
		struct cox_json *items;          /* array */
		struct cox_json_member *members; /* object, in the order of the text */
	};
};
struct cox_json_member {
	struct cox_str key;
	struct cox_json value;
};

enum {
	COX_JSON_DEPTH_MAX = 128,                      /* a Kubernetes schema is at most some 20 deep; bounds our recursion */
	COX_JSON_BYTES_MAX = 16 * 1024 * 1024,         /* etcd takes 1.5 MiB; a document beyond this is refused before it is parsed */
	COX_JSON_ANSWER_BYTES_MAX = 512 * 1024 * 1024, /* a config dump has 1 KiB an endpoint and 10 a cluster */
};

/* Parses exactly one JSON value (RFC 8259). Refuses duplicate keys, invalid UTF-8, lone surrogates, text behind the value.
 * COX_EINVAL with the line; COX_ELIMIT: deeper or longer than the limits above. */
COX_MUST_USE enum cox_rc cox_json_parse(struct cox_arena *arena, struct cox_str text, struct cox_json **out, struct cox_err *err);
/* The same for what our own questions were answered with (a config dump): up to COX_JSON_ANSWER_BYTES_MAX. */
COX_MUST_USE enum cox_rc cox_json_parse_answer(struct cox_arena *arena, struct cox_str text, struct cox_json **out, struct cox_err *err);
/* Parses one value at the start of `text` and says how many bytes it took: for sequences of values. `first_line` is the
 * number of its first line. Errors as above, *used then says where. */
COX_MUST_USE enum cox_rc cox_json_parse_prefix(struct cox_arena *arena, struct cox_str text, int first_line, struct cox_json **out,
                                               size_t *used, struct cox_err *err);
/* Member of an object; NULL when absent or when `v` is no object (or NULL). */
const struct cox_json *cox_json_get(const struct cox_json *v, struct cox_str key);
/* The same along "a.b.c". */
const struct cox_json *cox_json_at(const struct cox_json *v, const char *dotted);
/* The text of a string member along `dotted`, or an empty string. */
struct cox_str cox_json_str_at(const struct cox_json *v, const char *dotted);
/* Whether a number is an integer in the range of int64 ("3", "3.0", "3e2" are). */
COX_MUST_USE enum cox_rc cox_json_to_i64(const struct cox_json *v, int64_t *out);
/* Values by content; the order of members does not matter, 1 equals 1.0. */
bool cox_json_eq(const struct cox_json *a, const struct cox_json *b);
/* Deep copy into `arena`, text included. */
struct cox_json *cox_json_clone(struct cox_arena *arena, const struct cox_json *v);

/* Building by program, all in the arena. `key` and text are borrowed (they must live in the arena or longer). */
struct cox_json *cox_json_new_object(struct cox_arena *arena);
struct cox_json *cox_json_new_array(struct cox_arena *arena);
struct cox_json *cox_json_new_str(struct cox_arena *arena, struct cox_str s);
struct cox_json *cox_json_new_i64(struct cox_arena *arena, int64_t v);
struct cox_json *cox_json_new_f64(struct cox_arena *arena, double v);
struct cox_json *cox_json_new_bool(struct cox_arena *arena, bool v);
/* Sets (or replaces) a member; appends an item. The value is copied shallowly into place; returns that place,
 * valid until the next member or item is added to the same parent. */
struct cox_json *cox_json_set(struct cox_arena *arena, struct cox_json *object, struct cox_str key, const struct cox_json *value);
struct cox_json *cox_json_push(struct cox_arena *arena, struct cox_json *array, const struct cox_json *value);

/* Writing. `indent` 0 is compact, else spaces per level. Keys keep their order; `sorted` writes them in byte order. */
void cox_json_write(struct cox_buf *out, const struct cox_json *v, unsigned indent, bool sorted);
/* Appends `s` as a quoted JSON string. */
void cox_json_write_str(struct cox_buf *out, struct cox_str s);
/* The same tree as block-style YAML. */
void cox_json_write_yaml(struct cox_buf *out, const struct cox_json *v);

#endif
