/* Tokens and key sets: any bytes; and headers and claims of any JSON under a signature that cannot be right. */
#include "ca/authn_jwt.h"
#include "codec/b64.h"

#include <stdlib.h>

static const char keys[] =
    "{\"keys\":[{\"kty\":\"EC\",\"kid\":\"e\",\"crv\":\"P-256\",\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","
    "\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"}]}";

static void try_token(struct cox_str token, const struct cox_jwks *set)
{
	struct cox_arena arena = { 0 };
	struct cox_jwt j;
	struct cox_err err = { 0 };
	struct cox_str ns, name, audience = COX_STR("istio-ca");
	if (cox_jwt_parse(token, &arena, &j, &err) == COX_OK) {
		if (j.alg.n == 0 || token.n > COX_JWT_BYTES_MAX)
			abort();
		(void)!cox_jwt_check(&j, j.issuer, &audience, 1, 1800000000, &err);
		if (cox_service_account_split(j.subject, &ns, &name) && (ns.n == 0 || name.n == 0))
			abort();
		if (set && cox_jwks_verify(set, &j, &err) == COX_OK)
			abort();
	} else if (err.rc == COX_OK) {
		abort();
	}
	cox_arena_fini(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	static struct cox_jwks *known;
	struct cox_str text = cox_str_make(p, n), rest = text, header, claims, signature;
	struct cox_jwks *set = NULL;
	struct cox_err err = { 0 };
	if (!known && cox_jwks_parse(cox_str_of(keys), &known, &err) != COX_OK)
		abort();
	try_token(text, known);
	if (cox_jwks_parse(text, &set, &err) == COX_OK) {
		if (cox_jwks_count(set) == 0 || cox_jwks_count(set) > COX_JWKS_KEYS_MAX)
			abort();
		cox_jwks_free(&set);
	}
	/* Three lines are the parts of a token, not encoded yet. */
	if (!cox_str_next(&rest, '\n', &header) || !cox_str_next(&rest, '\n', &claims) || !cox_str_next(&rest, '\n', &signature))
		return 0;
	struct cox_buf token = { 0 };
	cox_b64url_encode(&token, header);
	cox_buf_append_char(&token, '.');
	cox_b64url_encode(&token, claims);
	cox_buf_append_char(&token, '.');
	cox_b64url_encode(&token, signature);
	try_token(cox_buf_str(&token), known);
	cox_buf_fini(&token);
	return 0;
}
