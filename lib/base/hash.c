#include "base/hash.h"

#include <stdio.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

uint64_t cox_hash64(const void *p, size_t n) { return XXH3_64bits(n ? p : "", n); }

struct cox_hash cox_hash128(const void *p, size_t n)
{
	XXH128_hash_t h = XXH3_128bits(n ? p : "", n);
	return (struct cox_hash){ h.high64, h.low64 };
}

struct cox_hash cox_hash_combine(struct cox_hash a, struct cox_hash b)
{
	uint64_t both[4] = { a.hi, a.lo, b.hi, b.lo };
	return cox_hash128(both, sizeof(both));
}

void cox_hash_to_hex(struct cox_hash h, char out[33])
{
	snprintf(out, 33, "%016llx%016llx", (unsigned long long)h.hi, (unsigned long long)h.lo);
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return -1;
}

enum cox_rc cox_hash_from_hex(struct cox_str hex, struct cox_hash *out)
{
	uint64_t word[2] = { 0, 0 };
	if (hex.n != 32)
		return COX_EINVAL;
	for (size_t i = 0; i < 32; i++) {
		int d = hex_digit(hex.p[i]);
		if (d < 0)
			return COX_EINVAL;
		word[i / 16] = word[i / 16] << 4 | (uint64_t)d;
	}
	*out = (struct cox_hash){ word[0], word[1] };
	return COX_OK;
}
