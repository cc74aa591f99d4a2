#include "ca/spiffe_bundle.h"

#include "ca/x509_priv.h"
#include "codec/b64.h"
#include "codec/json.h"

#include <openssl/core_names.h>

/* --- reading ------------------------------------------------------------------------------------- */

static enum cox_rc read_root(const struct cox_json *key, size_t i, struct cox_arena *arena, struct cox_str *out, struct cox_err *err)
{
	const struct cox_json *chain = cox_json_get(key, COX_STR("x5c"));
	struct cox_cert_info info;
	struct cox_str der;
	char path[32];
	snprintf(path, sizeof(path), "keys[%zu].x5c", i);
	if (!chain || chain->type != COX_JSON_ARRAY || chain->n != 1 || chain->items[0].type != COX_JSON_STRING)
		return cox_err_set(err, COX_EINVAL, path, "must be one certificate");
	if (cox_b64_decode(arena, chain->items[0].text, false, &der) != COX_OK)
		return cox_err_set(err, COX_EINVAL, path, "is not base64");
	COX_TRY(cox_cert_read_der(der, arena, &info, err));
	if (!info.is_ca)
		return cox_err_set(err, COX_EINVAL, path, "\"%.*s\" is no certificate of an authority",
		                   COX_FMT(cox_str_sub(info.subject, 0, 100)));
	COX_AUTO(cox_buf_fini) struct cox_buf pem = { 0 };
	const unsigned char *p = (const unsigned char *)der.p;
	COX_AUTO(cox_x509_freep_) X509 *x = d2i_X509(NULL, &p, (long)der.n);
	if (!x)
		return cox_ossl_fail_(err, COX_EINVAL, path);
	cox_x509_write_pem_(x, &pem);
	*out = cox_arena_str(arena, cox_buf_str(&pem));
	return COX_OK;
}

static int64_t number_at(const struct cox_json *o, struct cox_str name)
{
	const struct cox_json *v = cox_json_get(o, name);
	int64_t n;
	return v && v->type == COX_JSON_NUMBER && cox_str_to_i64(v->text, &n) == COX_OK && n > 0 ? n : 0;
}

enum cox_rc cox_spiffe_bundle_read(struct cox_str json, struct cox_arena *arena, struct cox_spiffe_bundle *out, struct cox_err *err)
{
	struct cox_json *root;
	if (json.n > COX_SPIFFE_BUNDLE_BYTES_MAX)
		return cox_err_set(err, COX_ELIMIT, NULL, "a bundle of %zu bytes, more than %d", json.n, COX_SPIFFE_BUNDLE_BYTES_MAX);
	if (cox_json_parse(arena, json, &root, err) != COX_OK)
		return COX_EINVAL;
	const struct cox_json *keys = cox_json_get(root, COX_STR("keys"));
	if (!keys || keys->type != COX_JSON_ARRAY)
		return cox_err_set(err, COX_EINVAL, "keys", "a bundle has a list of keys");
	if (keys->n > COX_SPIFFE_BUNDLE_KEYS_MAX)
		return cox_err_set(err, COX_ELIMIT, "keys", "%zu keys, more than %d", keys->n, COX_SPIFFE_BUNDLE_KEYS_MAX);
	struct cox_str *roots = COX_ARENA_ARRAY(arena, struct cox_str, keys->n + 1);
	size_t n = 0;
	for (size_t i = 0; i < keys->n; i++) {
		const struct cox_json *key = &keys->items[i];
		if (key->type != COX_JSON_OBJECT || !cox_str_eq(cox_json_str_at(key, "use"), COX_STR("x509-svid")))
			continue;
		COX_TRY(read_root(key, i, arena, &roots[n], err));
		n++;
	}
	/* An empty bundle would mean that nobody of the domain is trusted any more: nobody says that by accident and means it. */
	if (n == 0)
		return cox_err_set(err, COX_EINVAL, "keys", "none of %zu keys is for x509-svid", keys->n);
	*out = (struct cox_spiffe_bundle){ roots, n, number_at(root, COX_STR("spiffe_refresh_hint")),
		                           (uint64_t)number_at(root, COX_STR("spiffe_sequence")) };
	return COX_OK;
}

/* --- writing ------------------------------------------------------------------------------------- */

static bool write_bn(EVP_PKEY *key, const char *param, const char *member, size_t bytes, struct cox_buf *out)
{
	BIGNUM *bn = NULL;
	unsigned char raw[2048]; /* RSA-16384 */
	if (!EVP_PKEY_get_bn_param(key, param, &bn))
		return false;
	size_t n = bytes ? bytes : (size_t)BN_num_bytes(bn);
	bool ok = n <= sizeof(raw) && BN_bn2binpad(bn, raw, (int)n) == (int)n;
	BN_free(bn);
	if (!ok)
		return false;
	cox_buf_printf(out, ",\"%s\":\"", member);
	cox_b64url_encode(out, (struct cox_str){ (char *)raw, n });
	cox_buf_append_char(out, '"');
	return true;
}

static bool write_key(EVP_PKEY *key, struct cox_buf *out)
{
	size_t bytes = ((size_t)EVP_PKEY_get_bits(key) + 7) / 8;
	if (EVP_PKEY_is_a(key, "RSA")) {
		cox_buf_append_cstr(out, "\"kty\":\"RSA\"");
		return write_bn(key, OSSL_PKEY_PARAM_RSA_N, "n", 0, out) && write_bn(key, OSSL_PKEY_PARAM_RSA_E, "e", 0, out);
	}
	if (!EVP_PKEY_is_a(key, "EC"))
		return false;
	cox_buf_printf(out, "\"kty\":\"EC\",\"crv\":\"%s\"", bytes == 32 ? "P-256" : bytes == 48 ? "P-384" : "P-521");
	return write_bn(key, OSSL_PKEY_PARAM_EC_PUB_X, "x", bytes, out) && write_bn(key, OSSL_PKEY_PARAM_EC_PUB_Y, "y", bytes, out);
}

static enum cox_rc write_root(struct cox_str pem, struct cox_buf *out, int64_t *not_before_s, struct cox_err *err)
{
	COX_AUTO(cox_x509_freep_) X509 *x = NULL;
	COX_AUTO(cox_arena_fini) struct cox_arena arena = { 0 };
	struct cox_cert_info info;
	unsigned char *der = NULL;
	COX_TRY(cox_x509_read_(pem, &x, err));
	cox_x509_describe_(x, &arena, &info);
	*not_before_s = info.not_before_s;
	cox_buf_append_char(out, '{');
	int n = i2d_X509(x, &der);
	if (n <= 0 || !write_key(X509_get0_pubkey(x), out)) {
		OPENSSL_free(der);
		return cox_ossl_fail_(err, COX_EINVAL, "a root's key");
	}
	cox_buf_append_cstr(out, ",\"use\":\"x509-svid\",\"x5c\":[\"");
	cox_b64_encode(out, (struct cox_str){ (char *)der, (size_t)n });
	cox_buf_append_cstr(out, "\"]}");
	OPENSSL_free(der);
	return COX_OK;
}

enum cox_rc cox_spiffe_bundle_write(const struct cox_str *roots_pem, size_t n, struct cox_buf *out, struct cox_err *err)
{
	enum { FEWER_MAX = 255 };
	COX_AUTO(cox_buf_fini) struct cox_buf keys = { 0 };
	int64_t newest = 0, at;
	for (size_t i = 0; i < n; i++) {
		if (i > 0)
			cox_buf_append_char(&keys, ',');
		COX_TRY(write_root(roots_pem[i], &keys, &at, err));
		newest = at > newest ? at : newest;
	}
	uint64_t sequence = (uint64_t)newest << 8 | (uint64_t)(FEWER_MAX - (n > FEWER_MAX ? FEWER_MAX : n));
	cox_buf_printf(out, "{\"spiffe_sequence\":%llu,\"spiffe_refresh_hint\":%d,\"keys\":[", (unsigned long long)sequence,
	               COX_SPIFFE_REFRESH_S);
	cox_buf_append_str(out, cox_buf_str(&keys));
	cox_buf_append_cstr(out, "]}\n");
	return COX_OK;
}
