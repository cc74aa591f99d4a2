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

#endif
