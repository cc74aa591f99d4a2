/*
 * hash - XXH3 of bytes. The 128-bit form names content (resource versions, interning):
 * it is stable over processes, replicas and releases.
 */
#ifndef COX_BASE_HASH_H
#define COX_BASE_HASH_H

#include "base/str.h"

struct cox_hash {
	uint64_t hi, lo;
};

uint64_t cox_hash64(const void *p, size_t n);
struct cox_hash cox_hash128(const void *p, size_t n);
/* Order matters: combine(a, b) differs from combine(b, a). */
struct cox_hash cox_hash_combine(struct cox_hash a, struct cox_hash b);
static inline bool cox_hash_eq(struct cox_hash a, struct cox_hash b) { return a.hi == b.hi && a.lo == b.lo; }
/* 32 lower-case hexadecimal digits and a terminator. */
void cox_hash_to_hex(struct cox_hash h, char out[33]);
COX_MUST_USE enum cox_rc cox_hash_from_hex(struct cox_str hex, struct cox_hash *out);

/* What a collection of named things holds, whatever their order: of each a mix of its name and version is added up, so that one can be
 * taken out again. Two that differ have different sums, as far as 128 bits go. */
struct cox_sum {
	uint64_t n, a, b;
};
void cox_sum_add(struct cox_sum *s, uint64_t name, struct cox_hash version);
void cox_sum_take(struct cox_sum *s, uint64_t name, struct cox_hash version);
static inline bool cox_sum_eq(const struct cox_sum *x, const struct cox_sum *y) { return x->n == y->n && x->a == y->a && x->b == y->b; }

#endif
