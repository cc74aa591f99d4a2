#include "base/hash.h"

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
	static const char digits[] = "0123456789abcdef";
	for (unsigned i = 0; i < 16; i++) {
		out[i] = digits[h.hi >> (60 - 4 * i) & 15];
		out[16 + i] = digits[h.lo >> (60 - 4 * i) & 15];
	}
	out[32] = 0;
}

/* Eight digits at once, a byte each: a reconnecting proxy sends thousands of versions. False: not lower-case hexadecimal. */
static bool hex_eight(const char *p, uint64_t *word)
{
	const uint64_t ones = 0x0101010101010101u;
	uint64_t text, v, is_letter;
	memcpy(&text, p, sizeof(text));
	v = (text & 0x0f * ones) + (text >> 6 & ones) * 9;
	v &= 0x0f * ones;
	is_letter = (v + 6 * ones) >> 4 & ones;
	if (v + '0' * ones + is_letter * ('a' - '0' - 10) != text)
		return false;
	v = __builtin_bswap64(v); /* little-endian, as everywhere: the first digit is the highest */
	v = (v | v >> 4) & 0x00ff00ff00ff00ffu;
	v = (v | v >> 8) & 0x0000ffff0000ffffu;
	*word = *word << 32 | ((v | v >> 16) & 0xffffffffu);
	return true;
}

enum cox_rc cox_hash_from_hex(struct cox_str hex, struct cox_hash *out)
{
	struct cox_hash h = { 0, 0 };
	if (hex.n != 32 || !hex_eight(hex.p, &h.hi) || !hex_eight(hex.p + 8, &h.hi) || !hex_eight(hex.p + 16, &h.lo) ||
	    !hex_eight(hex.p + 24, &h.lo))
		return COX_EINVAL;
	*out = h;
	return COX_OK;
}
