/* authn_jwks - key sets and signatures: the only file that knows cjose. */
#include "ca/authn_jwt.h"

#include "base/vec.h"
#include "codec/json.h"

#include <cjose/cjose.h>

enum { RSA_BITS_MIN = 2048, KEY_BYTES_MAX = 4096 /* of RSA-16384 are 2,731 */, KEYS_TRIED_MAX = 8 /* for a token without `kid` */ };

struct key {
	cjose_jwk_t *jwk;
	struct cox_str kid, alg; /* as the set says; empty: any */
};
struct cox_jwks {
	COX_VEC(struct key) keys;
	struct cox_arena arena;
};

/* What each algorithm asks of a key. */
static const struct algorithm {
	struct cox_str name;
	cjose_jwk_kty_t kty;
	cjose_jwk_ec_curve curve;
} algorithms[] = {
	{ COX_STR_INIT("RS256"), CJOSE_JWK_KTY_RSA, CJOSE_JWK_EC_INVALID },
	{ COX_STR_INIT("RS384"), CJOSE_JWK_KTY_RSA, CJOSE_JWK_EC_INVALID },
	{ COX_STR_INIT("RS512"), CJOSE_JWK_KTY_RSA, CJOSE_JWK_EC_INVALID },
	{ COX_STR_INIT("PS256"), CJOSE_JWK_KTY_RSA, CJOSE_JWK_EC_INVALID },
	{ COX_STR_INIT("PS384"), CJOSE_JWK_KTY_RSA, CJOSE_JWK_EC_INVALID },
	{ COX_STR_INIT("PS512"), CJOSE_JWK_KTY_RSA, CJOSE_JWK_EC_INVALID },
	{ COX_STR_INIT("ES256"), CJOSE_JWK_KTY_EC, CJOSE_JWK_EC_P_256 },
	{ COX_STR_INIT("ES384"), CJOSE_JWK_KTY_EC, CJOSE_JWK_EC_P_384 },
	{ COX_STR_INIT("ES512"), CJOSE_JWK_KTY_EC, CJOSE_JWK_EC_P_521 },
};

static const struct algorithm *algorithm_find(struct cox_str name)
{
	for (size_t i = 0; i < COX_LEN(algorithms); i++)
		if (cox_str_eq(algorithms[i].name, name))
			return &algorithms[i];
	return NULL;
}

static bool suits(const struct key *k, const struct algorithm *a)
{
	cjose_err e;
	if (cjose_jwk_get_kty(k->jwk, &e) != a->kty || (k->alg.n && !cox_str_eq(k->alg, a->name)))
		return false;
	return a->kty != CJOSE_JWK_KTY_EC || cjose_jwk_EC_get_curve(k->jwk, &e) == a->curve;
}

/* A public key with nothing but what it needs: cjose ends the process by an assertion where a member is not base64url. */
static bool write_key(const struct cox_json *v, bool is_rsa, struct cox_buf *out)
{
	struct cox_str one = cox_json_str_at(v, is_rsa ? "n" : "x"), two = cox_json_str_at(v, is_rsa ? "e" : "y"),
	               crv = cox_json_str_at(v, "crv");
	if (!cox_jose_is_b64url(one) || !cox_jose_is_b64url(two) || one.n + two.n > KEY_BYTES_MAX)
		return false;
	cox_buf_printf(out, "{\"kty\":\"%s\",\"%s\":\"%.*s\",\"%s\":\"%.*s\"", is_rsa ? "RSA" : "EC", is_rsa ? "n" : "x", COX_FMT(one),
	               is_rsa ? "e" : "y", COX_FMT(two));
	if (!is_rsa) {
		cox_buf_append_cstr(out, ",\"crv\":");
		cox_json_write_str(out, crv);
	}
	cox_buf_append_char(out, '}');
	return true;
}

static void key_add(struct cox_jwks *set, const struct cox_json *v)
{
	struct cox_str use = cox_json_str_at(v, "use"), kty = cox_json_str_at(v, "kty");
	COX_AUTO(cox_buf_fini) struct cox_buf text = { 0 };
	bool is_rsa = cox_str_eq(kty, COX_STR("RSA"));
	cjose_err e;
	if ((use.n && !cox_str_eq(use, COX_STR("sig"))) || (!is_rsa && !cox_str_eq(kty, COX_STR("EC"))) || !write_key(v, is_rsa, &text))
		return;
	cjose_jwk_t *jwk = cjose_jwk_import(text.p, text.n, &e);
	if (!jwk)
		return;
	if (cjose_jwk_get_kty(jwk, &e) == CJOSE_JWK_KTY_RSA && cjose_jwk_get_keysize(jwk, &e) < RSA_BITS_MIN) {
		cjose_jwk_release(jwk);
		return;
	}
	cox_vec_push(&set->keys, ((struct key){ jwk, cox_arena_str(&set->arena, cox_json_str_at(v, "kid")),
	                                        cox_arena_str(&set->arena, cox_json_str_at(v, "alg")) }));
}

enum cox_rc cox_jwks_parse(struct cox_str json, struct cox_jwks **out, struct cox_err *err)
{
	COX_AUTO(cox_arena_fini) struct cox_arena arena = { 0 };
	struct cox_json *root;
	if (json.n > COX_JWKS_BYTES_MAX)
		return cox_err_set(err, COX_ELIMIT, NULL, "a key set of %zu bytes, more than %d", json.n, COX_JWKS_BYTES_MAX);
	if (cox_json_parse(&arena, json, &root, err) != COX_OK) {
		cox_err_wrap(err, "key set");
		return COX_EINVAL;
	}
	const struct cox_json *keys = cox_json_get(root, COX_STR("keys"));
	if (!keys || keys->type != COX_JSON_ARRAY)
		return cox_err_set(err, COX_EINVAL, "keys", "a key set has a list of keys");
	if (keys->n > COX_JWKS_KEYS_MAX)
		return cox_err_set(err, COX_ELIMIT, "keys", "%zu keys, more than %d", keys->n, COX_JWKS_KEYS_MAX);
	struct cox_jwks *set = COX_NEW(struct cox_jwks);
	for (size_t i = 0; i < keys->n; i++)
		if (keys->items[i].type == COX_JSON_OBJECT)
			key_add(set, &keys->items[i]);
	if (set->keys.n == 0) {
		cox_jwks_free(&set);
		return cox_err_set(err, COX_EINVAL, "keys",
		                   "none of the %zu keys can verify a signature (RSA from %d bits, EC P-256, P-384, P-521)", keys->n,
		                   RSA_BITS_MIN);
	}
	*out = set;
	return COX_OK;
}

void cox_jwks_free(struct cox_jwks **k)
{
	struct cox_jwks *set = *k;
	*k = NULL;
	if (!set)
		return;
	for (size_t i = 0; i < set->keys.n; i++)
		cjose_jwk_release(set->keys.p[i].jwk);
	cox_vec_fini(&set->keys);
	cox_arena_fini(&set->arena);
	cox_free(set);
}

size_t cox_jwks_count(const struct cox_jwks *k) { return k->keys.n; }

/* A JWS is used up by one verification: cjose keeps the outcome in it. */
static bool is_signed_by(const struct cox_jwt *j, const cjose_jwk_t *jwk)
{
	cjose_err e;
	cjose_jws_t *jws = cjose_jws_import(j->text.p, j->text.n, &e);
	bool ok = jws && cjose_jws_verify(jws, jwk, &e);
	if (jws)
		cjose_jws_release(jws);
	return ok;
}

enum cox_rc cox_jwks_verify(const struct cox_jwks *k, const struct cox_jwt *j, struct cox_err *err)
{
	const struct algorithm *a = algorithm_find(j->alg);
	size_t tried = 0;
	if (!a)
		return cox_err_set(err, COX_EAUTH, NULL, "signatures by %.*s are not accepted", COX_FMT(cox_str_sub(j->alg, 0, 32)));
	for (size_t i = 0; i < k->keys.n && tried < KEYS_TRIED_MAX; i++) {
		const struct key *key = &k->keys.p[i];
		if ((j->kid.n && !cox_str_eq(j->kid, key->kid)) || !suits(key, a))
			continue;
		tried++;
		if (is_signed_by(j, key->jwk))
			return COX_OK;
	}
	if (tried == 0)
		return cox_err_set(err, COX_ENOTFOUND, NULL, "no key \"%.*s\" for %.*s", COX_FMT(cox_str_sub(j->kid, 0, 100)),
		                   COX_FMT(a->name));
	return cox_err_set(err, COX_EAUTH, NULL, "the signature is not by key \"%.*s\"", COX_FMT(cox_str_sub(j->kid, 0, 100)));
}
