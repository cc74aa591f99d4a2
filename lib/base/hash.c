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

/* Odd constants with well-spread bits: of the golden ratio, and such as mixers of 64 bits use. */
static uint64_t stir(uint64_t x)
{
	x = (x ^ x >> 32) * 0x9e3779b97f4a7c15u;
	x = (x ^ x >> 29) * 0xbf58476d1ce4e5b9u;
	return x ^ x >> 32;
}

static struct cox_sum sum_of(uint64_t name, struct cox_hash version)
{
	return (struct cox_sum){ 1, stir(name ^ stir(version.lo)), stir(name + stir(version.hi ^ 0x94d049bb133111ebu)) };
}

void cox_sum_add(struct cox_sum *s, uint64_t name, struct cox_hash version)
{
	struct cox_sum one = sum_of(name, version);
	s->n += one.n, s->a += one.a, s->b += one.b;
}

void cox_sum_take(struct cox_sum *s, uint64_t name, struct cox_hash version)
{
	struct cox_sum one = sum_of(name, version);
	s->n -= one.n, s->a -= one.a, s->b -= one.b;
}
