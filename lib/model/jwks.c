#include "model/jwks_priv.h"

#include "codec/b64.h"

/* What a key of each type must have. All of them are base64url but crv. */
static const struct key_type {
	const char *kty;
	const char *members[3];
	bool is_secret; /* one key for signing and verifying */
} key_types[] = {
	{ "RSA", { "n", "e", NULL }, false },
	{ "EC", { "crv", "x", "y" }, false },
	{ "OKP", { "crv", "x", NULL }, false },
	{ "oct", { "k", NULL, NULL }, true },
};

static const struct key_type *key_type_find(struct cox_str kty)
{
	for (size_t i = 0; i < COX_LEN(key_types); i++)
		if (cox_str_eq_cstr(kty, key_types[i].kty))
			return &key_types[i];
	return NULL;
}

static bool is_b64url(struct cox_arena *arena, struct cox_str s)
{
	struct cox_str out;
	return cox_b64_decode(arena, s, false, &out) == COX_OK || cox_b64_decode(arena, s, true, &out) == COX_OK;
}

static void key_check(const struct cox_json *key, size_t i, struct cox_arena *arena, const char *path, struct cox_diags *d)
{
	struct cox_str kty = key->type == COX_JSON_OBJECT ? cox_json_str_at(key, "kty") : (struct cox_str){ 0 };
	const struct key_type *t = key_type_find(kty);
	if (!t) {
		cox_diag_add(d, COX_SEV_ERROR, 0, path, "jwks: keys[%zu] needs kty RSA, EC, OKP or oct", i);
		return;
	}
	for (size_t k = 0; k < COX_LEN(t->members) && t->members[k]; k++) {
		struct cox_str member = cox_json_str_at(key, t->members[k]);
		if (!member.n)
			cox_diag_add(d, COX_SEV_ERROR, 0, path, "jwks: keys[%zu], of type %s, needs %s", i, t->kty, t->members[k]);
		else if (strcmp(t->members[k], "crv") != 0 && !is_b64url(arena, member))
			cox_diag_add(d, COX_SEV_ERROR, 0, path, "jwks: keys[%zu]: %s must be base64url", i, t->members[k]);
	}
	if (t->is_secret || cox_json_str_at(key, "d").n)
		cox_diag_add(
		    d, COX_SEV_WARNING, 0, path,
		    "jwks: keys[%zu] contains a private or secret key, which everybody who may read this object can sign with; only "
		    "public keys are needed",
		    i);
}

void cox_model_jwks_check(struct cox_str text, const char *path, struct cox_diags *d)
{
	COX_AUTO(cox_arena_fini) struct cox_arena arena = { 0 };
	struct cox_json *doc = NULL;
	struct cox_err err = { 0 };
	if (cox_json_parse(&arena, text, &doc, &err) != COX_OK || doc->type != COX_JSON_OBJECT) {
		cox_diag_add(d, COX_SEV_ERROR, 0, path, "jwks: must be the JSON text of a key set, {\"keys\": [...]}%s%s",
		             err.text[0] ? ": " : "", err.text);
		return;
	}
	const struct cox_json *keys = cox_json_get(doc, COX_STR("keys"));
	if (!keys) /* one key alone */
		key_check(doc, 0, &arena, path, d);
	else if (keys->type != COX_JSON_ARRAY)
		cox_diag_add(d, COX_SEV_ERROR, 0, path, "jwks: keys must be a list");
	for (size_t i = 0; keys && keys->type == COX_JSON_ARRAY && i < keys->n; i++)
		key_check(&keys->items[i], i, &arena, path, d);
}
