#include "codec/b64.h"

static const char std_alphabet[65] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char url_alphabet[65] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static void encode(struct cox_buf *out, struct cox_str bytes, const char *alphabet, bool pad)
{
	const uint8_t *p = (const uint8_t *)bytes.p;
	char *start = cox_buf_reserve(out, bytes.n / 3 * 4 + 4), *o = start;
	size_t i = 0;
	for (; i + 3 <= bytes.n; i += 3) {
		uint32_t v = (uint32_t)p[i] << 16 | (uint32_t)p[i + 1] << 8 | p[i + 2];
		*o++ = alphabet[v >> 18];
		*o++ = alphabet[v >> 12 & 63];
		*o++ = alphabet[v >> 6 & 63];
		*o++ = alphabet[v & 63];
	}
	size_t rest = bytes.n - i;
	if (rest != 0) {
		uint32_t v = (uint32_t)p[i] << 16 | (rest == 2 ? (uint32_t)p[i + 1] << 8 : 0);
		*o++ = alphabet[v >> 18];
		*o++ = alphabet[v >> 12 & 63];
		if (rest == 2)
			*o++ = alphabet[v >> 6 & 63];
		else if (pad)
			*o++ = '=';
		if (pad)
			*o++ = '=';
	}
	out->n += (size_t)(o - start);
}

void cox_b64_encode(struct cox_buf *out, struct cox_str bytes) { encode(out, bytes, std_alphabet, true); }

void cox_b64url_encode(struct cox_buf *out, struct cox_str bytes) { encode(out, bytes, url_alphabet, false); }

static int digit(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' || c == '-' ? 62 : c == '/' || c == '_' ? 63 : -1;
}

enum cox_rc cox_b64_decode(struct cox_arena *arena, struct cox_str text, bool blanks, struct cox_str *out)
{
	char *start = cox_arena_alloc(arena, text.n / 4 * 3 + 4), *o = start;
	uint32_t v = 0;
	size_t digits = 0, pads = 0;
	for (size_t i = 0; i < text.n; i++) {
		char c = text.p[i];
		if (blanks && (c == ' ' || c == '\n' || c == '\r' || c == '\t'))
			continue;
		if (c == '=') {
			pads++;
			continue;
		}
		int d = digit(c);
		if (d < 0 || pads != 0)
			return COX_EINVAL;
		v = v << 6 | (uint32_t)d;
		if (++digits % 4 == 0) {
			*o++ = (char)(uint8_t)(v >> 16);
			*o++ = (char)(uint8_t)(v >> 8);
			*o++ = (char)(uint8_t)v;
			v = 0;
		}
	}
	size_t rest = digits % 4;
	if (rest == 1 || (pads != 0 && rest + pads != 4))
		return COX_EINVAL;
	if (rest == 2) {
		if (v & 0xf)
			return COX_EINVAL;
		*o++ = (char)(uint8_t)(v >> 4);
	} else if (rest == 3) {
		if (v & 0x3)
			return COX_EINVAL;
		*o++ = (char)(uint8_t)(v >> 10);
		*o++ = (char)(uint8_t)(v >> 2);
	}
	*out = cox_str_make(start, (size_t)(o - start));
	return COX_OK;
}
