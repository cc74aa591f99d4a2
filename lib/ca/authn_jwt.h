/*
 * authn_jwt - JSON Web Tokens and key sets (RFC 7515, 7517, 7519), as far as a caller's credential needs them. Pure; time is passed in.
 * Thread: parse and check anywhere; a key set on one thread at a time (cjose counts its references without atomics).
 * What a token says is worth nothing before cox_jwks_verify().
 */
#ifndef COX_CA_AUTHN_JWT_H
#define COX_CA_AUTHN_JWT_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"

enum {
	COX_JWT_BYTES_MAX = 16 * 1024, /* request headers end there too; a service account token is 1.2 KB */
	COX_JWT_AUDIENCES_MAX = 64,
	COX_JWT_SKEW_S = 30, /* clocks of issuer and control plane */
	COX_JWKS_BYTES_MAX = 1024 * 1024,
	COX_JWKS_KEYS_MAX = 100, /* large identity providers publish ten */
};

struct cox_jwt {
	struct cox_str text; /* the whole token */
	struct cox_str alg, kid, issuer, subject;
	const struct cox_str *audiences;
	size_t audience_n;
	int64_t exp_s, nbf_s, iat_s; /* 0: not said */
};
/* The compact form with a signature. Text lives in `arena` or in `token`. COX_EINVAL: not such a token, `alg` none included, a critical
 * header; COX_ELIMIT: too long. */
COX_MUST_USE enum cox_rc cox_jwt_parse(struct cox_str token, struct cox_arena *arena, struct cox_jwt *out, struct cox_err *err);
/* Who it is from, whom it is for (one of `audiences`), and when. COX_EAUTH with text. */
COX_MUST_USE enum cox_rc cox_jwt_check(const struct cox_jwt *j, struct cox_str issuer, const struct cox_str *audiences, size_t n,
                                       int64_t now_s, struct cox_err *err);
/* The alphabet of base64url and a length that it can have, without padding: what cjose decodes without an assertion. */
bool cox_jose_is_b64url(struct cox_str s);
/* "system:serviceaccount:<ns>:<name>". Parts borrow. */
bool cox_service_account_split(struct cox_str subject, struct cox_str *ns, struct cox_str *name);

struct cox_jwks;
/* Keys that are not for signatures, symmetric, or of a kind that cox_jwks_verify() does not use are left out. COX_EINVAL: not a key set, or
 * none of it is left; COX_ELIMIT. Gives. */
COX_MUST_USE enum cox_rc cox_jwks_parse(struct cox_str json, struct cox_jwks **out, struct cox_err *err);
void cox_jwks_free(struct cox_jwks **k);
size_t cox_jwks_count(const struct cox_jwks *k);
/* RS256/384/512, PS256/384/512 with RSA keys of 2048 bits and up, ES256/384/512 with their curves; nothing else.
 * COX_ENOTFOUND: no key for its `kid` (or, without one, of its kind); COX_EAUTH: the signature is not by that key. */
COX_MUST_USE enum cox_rc cox_jwks_verify(const struct cox_jwks *k, const struct cox_jwt *j, struct cox_err *err);

#endif
