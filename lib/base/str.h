/*
 * str - text by value: a pointer and a length, not terminated, never owning.
 * Every function accepts a string of length 0 whose pointer is NULL.
 */
#ifndef COX_BASE_STR_H
#define COX_BASE_STR_H

#include "base/base.h"

#include <string.h>

struct cox_str {
	const char *p;
	size_t n;
};

#define COX_STR(literal) ((struct cox_str){ "" literal, sizeof(literal) - 1 })
#define COX_STR_INIT(literal)                   \
	{                                       \
		"" literal, sizeof(literal) - 1 \
	}
/* For printf: "%.*s", COX_FMT(s) */
#define COX_FMT(s) (int)(s).n, ((s).p ? (s).p : "")

static inline struct cox_str cox_str_of(const char *cstr) { return (struct cox_str){ cstr, cstr ? strlen(cstr) : 0 }; }
static inline struct cox_str cox_str_make(const void *p, size_t n) { return (struct cox_str){ (const char *)p, n }; }
static inline bool cox_str_is_empty(struct cox_str s) { return s.n == 0; }
static inline bool cox_str_eq(struct cox_str a, struct cox_str b) { return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0); }
static inline bool cox_str_eq_cstr(struct cox_str a, const char *cstr) { return cox_str_eq(a, cox_str_of(cstr)); }
/* Order of bytes, then of length, as strcmp. */
int cox_str_cmp(struct cox_str a, struct cox_str b);
/* The same for arrays of struct cox_str under qsort(). */
int cox_str_cmp_qsort(const void *a, const void *b);
bool cox_str_eq_nocase(struct cox_str a, struct cox_str b); /* ASCII only */
bool cox_str_has_prefix(struct cox_str s, struct cox_str prefix);
bool cox_str_has_suffix(struct cox_str s, struct cox_str suffix);
/* Index of the first or last `c`, or of `needle`; -1 when absent. */
ptrdiff_t cox_str_find(struct cox_str s, char c);
ptrdiff_t cox_str_rfind(struct cox_str s, char c);
ptrdiff_t cox_str_search(struct cox_str s, struct cox_str needle);
/* The part from `from`, at most `n` bytes; clipped to the string. */
struct cox_str cox_str_sub(struct cox_str s, size_t from, size_t n);
struct cox_str cox_str_trim(struct cox_str s);
/* Takes the part before `sep` off the front of *rest. False when *rest is used up.
 * Start with *rest being the whole; its pointer is NULL afterwards. An empty string yields one empty part. */
bool cox_str_next(struct cox_str *rest, char sep, struct cox_str *part);
/* Parses all of `s`. COX_EINVAL: not a number; COX_ELIMIT: outside the type. */
COX_MUST_USE enum cox_rc cox_str_to_i64(struct cox_str s, int64_t *out);
COX_MUST_USE enum cox_rc cox_str_to_u64(struct cox_str s, uint64_t *out);
COX_MUST_USE enum cox_rc cox_str_to_f64(struct cox_str s, double *out);
/* Gives a terminated heap copy (cox_free()). */
char *cox_str_dup_cstr(struct cox_str s);
/* Copies into a buffer of `cap` bytes, terminated and cut if need be; returns `buf`. */
char *cox_str_to_cstr(struct cox_str s, char *buf, size_t cap);
bool cox_str_is_utf8(struct cox_str s);

#endif
