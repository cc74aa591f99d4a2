/*
 * fields - one table per message: from it come the decoder, the checks with field paths, equality, copying,
 * dumping, the CRD schema and the reference documentation (DESIGN, decision 1). Adding a field is one line.
 *
 * In C a message is a plain struct. How a field stands in it:
 *   COX_F_STR     struct cox_str            COX_F_OPT_STR   struct cox_opt_str
 *   COX_F_BOOL    bool                      COX_F_OPT_BOOL  struct cox_opt_bool
 *   COX_F_I64     struct cox_opt_i64        COX_F_F64       struct cox_opt_f64
 *   COX_F_DURATION struct cox_opt_i64 (nanoseconds; text as in protobuf JSON and Go: "1.5s", "250ms", "1h2m")
 *   COX_F_TIME    struct cox_opt_i64 (milliseconds since 1970; RFC 3339)
 *   COX_F_ENUM    int, index into `enums`; the first is the unset value
 *   COX_F_INT_OR_STR struct cox_int_or_str  COX_F_BYTES     struct cox_opt_str (base64 in text)
 *   COX_F_RAW     struct cox_str: any JSON, compact
 *   COX_F_MSG     pointer to `sub`'s struct, NULL when absent
 *   COX_F_STR_MAP COX_LIST(struct cox_kv), sorted by key
 *   COX_F_MSG_MAP COX_LIST(struct): the struct's first member is `struct cox_str key`; sorted by key
 *   COX_F_I64_MAP COX_LIST(struct cox_kv_i64), COX_F_BYTES_MAP COX_LIST(struct cox_kv_opt), or structs laid out alike; sorted by key
 * With COX_F_LIST in `flags` (STR, I64 as COX_LIST(struct cox_opt_i64), ENUM as COX_LIST(int), MSG inline structs,
 * RAW) the member is a COX_LIST of it.
 */
#ifndef COX_CODEC_FIELDS_H
#define COX_CODEC_FIELDS_H

#include "base/hash.h"
#include "codec/json.h"

struct cox_opt_str {
	struct cox_str v;
	bool set;
};
struct cox_opt_bool {
	bool v, set;
};
struct cox_opt_i64 {
	int64_t v;
	bool set;
};
struct cox_opt_f64 {
	double v;
	bool set;
};
struct cox_int_or_str {
	int64_t i;
	struct cox_str s;
	bool set;
}; /* s empty: it is the integer */
struct cox_kv {
	struct cox_str key, value;
};
/* By key, for arrays of struct cox_kv under qsort(). */
int cox_kv_cmp_qsort(const void *a, const void *b);
struct cox_kv_i64 {
	struct cox_str key;
	int64_t value;
};
struct cox_kv_opt {
	struct cox_str key;
	struct cox_opt_str value;
};
#define COX_LIST(type)         \
	struct {               \
		const type *p; \
		size_t n;      \
	}
/* for (COX_EACH(struct cox_kv, kv, list)) */
#define COX_EACH(type, item, list)                                                                    \
	__typeof__(const type *) item = (list).p, item##_end = (list).n ? (list).p + (list).n : item; \
	item < item##_end;                                                                            \
	item++

enum cox_ftype {
	COX_F_STR,
	COX_F_OPT_STR,
	COX_F_BOOL,
	COX_F_OPT_BOOL,
	COX_F_I64,
	COX_F_F64,
	COX_F_DURATION,
	COX_F_TIME,
	COX_F_ENUM,
	COX_F_INT_OR_STR,
	COX_F_BYTES,
	COX_F_RAW,
	COX_F_MSG,
	COX_F_STR_MAP,
	COX_F_MSG_MAP,
	COX_F_I64_MAP,
	COX_F_BYTES_MAP,
};
enum cox_fflag {
	COX_F_LIST = 1 << 0,
	COX_F_REQUIRED = 1 << 1,
	COX_F_NO_EFFECT = 1 << 2, /* accepted, changes nothing: status carries a warning */
	COX_F_DEPRECATED = 1 << 3,
	COX_F_SECRET = 1 << 4,        /* never dumped */
	COX_F_IGNORED_IN_EQ = 1 << 5, /* does not make two values differ (resourceVersion, ...) */
	COX_F_OUTPUT = 1 << 6,        /* part of status: written by controllers */
};

struct cox_message;
struct cox_diags;
/* A rule in CEL for the kube-apiserver, and what it says when the rule is broken. The decoder's own checks say the same in C. */
struct cox_cel_rule {
	const char *rule, *text;
};
struct cox_field {
	const char *name;  /* as in YAML (lowerCamelCase); the snake_case form is accepted too where `alias` says so */
	const char *alias; /* a second accepted spelling or NULL */
	enum cox_ftype type;
	unsigned flags;
	uint32_t offset; /* of the member in the struct */
	const struct cox_message *sub;
	const char *const *enums;    /* NULL-terminated */
	double min, max;             /* numbers, and durations in seconds; both 0: no bound */
	uint32_t max_items, max_len; /* 0: 10,000 items, 64 KiB */
	/* short name of a format, see fields_format.c: "dns1123", "host", "hostWildcard", "port", "label" ... or NULL */
	const char *pattern;
	uint8_t one_of;                        /* fields of a message with the same non-zero number exclude each other */
	uint8_t one_of_required;               /* 1: one of the group must be set */
	const char *list_key;                  /* of a list of MSG: no two items have the same value of this field (I64 or STR) */
	const struct cox_cel_rule *rules;      /* on the value as a whole; ended by one without a rule; NULL: none */
	const struct cox_cel_rule *item_rules; /* on each value of a map */
	const char *doc;                       /* one line */
};
struct cox_message {
	const char *name;    /* "VirtualService", "HTTPRoute" */
	uint32_t size_bytes; /* of the struct */
	const struct cox_field *fields;
	size_t field_count;
	bool open; /* unknown fields are not reported (core Kubernetes kinds, of which we read a part) */
	/* Checks that span fields; may add diagnostics. NULL: none. */
	void (*check)(const void *value, const char *path, struct cox_diags *diags);
	const struct cox_cel_rule *rules; /* ended by one without a rule; NULL: none */
	const char *doc;
};

enum cox_severity { COX_SEV_ERROR, COX_SEV_WARNING };
struct cox_diag {
	enum cox_severity severity;
	int line;
	struct cox_str path, text;
	bool is_unknown_field, is_deprecated; /* warnings that some callers take in another way */
};
/* All findings about one object; in an arena. */
struct cox_diags {
	struct cox_arena *arena;
	struct cox_diag *items;
	size_t n, cap;
	size_t errors;  /* how many of them are errors */
	size_t dropped; /* found beyond COX_DIAGS_MAX */
	int line;       /* taken where cox_diag_add() gets 0: the line of the message being checked */
};
enum { COX_DIAGS_MAX = 100 }; /* per object; the rest is counted only */
void cox_diag_add(struct cox_diags *d, enum cox_severity severity, int line, const char *path, const char *fmt, ...) COX_PRINTF(5, 6);

/* Decodes `v` into a struct in `arena` (text copied). Every fault is added to `diags`, not only the first; a faulty field
 * stays unset. NULL only where `v` is no object. Unknown fields are warnings ("unknown field"). */
void *cox_message_decode(const struct cox_message *m, const struct cox_json *v, const char *path, struct cox_arena *arena,
                         struct cox_diags *diags);
/* The same with text pointing into the tree, for callers that copy the value before the tree's text ends. */
void *cox_message_decode_borrowed(const struct cox_message *m, const struct cox_json *v, const char *path, struct cox_arena *arena,
                                  struct cox_diags *diags);
/* Checks `s` against a named format ("host", "dns1123", ...; the list is in fields_format.c); NULL when it is fine, else what is allowed.
 */
const char *cox_format_check(const char *format, struct cox_str s);
/* Bytes that a self-contained copy takes; copying into a block of that size (8-byte aligned): one allocation per object. */
size_t cox_message_copy_bytes(const struct cox_message *m, const void *value);
void *cox_message_copy(const struct cox_message *m, const void *value, void *block, size_t bytes);
bool cox_message_eq(const struct cox_message *m, const void *a, const void *b);
struct cox_hash cox_message_hash(const struct cox_message *m, const void *value);
/* As JSON again: unset fields left out, secrets as "<redacted>". */
struct cox_json *cox_message_to_json(const struct cox_message *m, const void *value, struct cox_arena *arena);

/* Text of durations, as accepted above. COX_EINVAL, COX_ELIMIT (over 292 years: what nanoseconds in 64 bits hold). */
COX_MUST_USE enum cox_rc cox_duration_parse(struct cox_str s, int64_t *ns);
/* "1.500s" as protobuf JSON writes it. */
void cox_duration_format(int64_t ns, char out[32]);

#endif
