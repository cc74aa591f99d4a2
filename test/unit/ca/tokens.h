/* tokens - keys and signed tokens for tests, made with cjose. */
#ifndef TEST_CA_TOKENS_H
#define TEST_CA_TOKENS_H

#include "base/buf.h"

#include <cjose/cjose.h>
#include <string.h>

static inline cjose_jwk_t *tokens_named(cjose_jwk_t *k, const char *kid)
{
	cjose_err e;
	COX_ASSERT(k && cjose_jwk_set_kid(k, kid, strlen(kid), &e));
	return k;
}
static inline cjose_jwk_t *tokens_rsa(const char *kid, size_t bits)
{
	cjose_err e;
	return tokens_named(cjose_jwk_create_RSA_random(bits, (const uint8_t *)"\x01\x00\x01", 3, &e), kid);
}
static inline cjose_jwk_t *tokens_ec(const char *kid, cjose_jwk_ec_curve curve)
{
	cjose_err e;
	return tokens_named(cjose_jwk_create_EC_random(curve, &e), kid);
}

/* The public keys as a set; `extra` are members of each ("\"use\":\"sig\"") or "". Gives (cox_free). */
static inline char *tokens_jwks(cjose_jwk_t *const *keys, size_t n, const char *extra)
{
	struct cox_buf b = { 0 };
	size_t bytes;
	cox_buf_append_cstr(&b, "{\"keys\":[");
	for (size_t i = 0; i < n; i++) {
		cjose_err e;
		char *one = cjose_jwk_to_json(keys[i], false, &e);
		cox_buf_printf(&b, "%s{%s%s%s", i ? "," : "", extra, *extra ? "," : "", one + 1);
		cjose_get_dealloc()(one);
	}
	cox_buf_append_cstr(&b, "]}");
	cox_buf_append_char(&b, 0);
	return cox_buf_take(&b, &bytes);
}

/* Gives (cox_free). */
static inline char *tokens_sign(cjose_jwk_t *key, const char *alg, bool has_kid, const char *claims)
{
	cjose_err e;
	cjose_header_t *h = cjose_header_new(&e);
	COX_ASSERT(cjose_header_set(h, CJOSE_HDR_ALG, alg, &e));
	if (has_kid)
		COX_ASSERT(cjose_header_set(h, CJOSE_HDR_KID, cjose_jwk_get_kid(key, &e), &e));
	cjose_jws_t *jws = cjose_jws_sign(key, h, (const uint8_t *)claims, strlen(claims), &e);
	const char *text;
	COX_ASSERT(jws && cjose_jws_export(jws, &text, &e));
	char *out = cox_str_dup_cstr(cox_str_of(text));
	cjose_jws_release(jws);
	cjose_header_release(h);
	return out;
}

#endif
