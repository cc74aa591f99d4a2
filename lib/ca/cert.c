#include "ca/x509_priv.h"

#include <openssl/err.h>
#include <openssl/pem.h>

static void hex_of(const ASN1_OCTET_STRING *s, char *out, size_t cap)
{
	static const char digits[] = "0123456789abcdef";
	size_t n = s ? (size_t)ASN1_STRING_length(s) : 0, at = 0;
	const unsigned char *p = s ? ASN1_STRING_get0_data(s) : NULL;
	for (size_t i = 0; i < n && at + 2 < cap; i++) {
		out[at++] = digits[p[i] >> 4];
		out[at++] = digits[p[i] & 15];
	}
	out[at] = 0;
}

/* RFC 5280 allows 20 octets; what is longer is cut, which only makes it match nothing. */
static void serial_of(const X509 *x, char out[COX_CERT_SERIAL_HEX_MAX])
{
	const ASN1_INTEGER *s = X509_get0_serialNumber(x);
	char text[2 * 64 + 1];
	hex_of(s, text, sizeof(text));
	const char *p = text;
	while (p[0] == '0' && p[1] != 0)
		p++;
	snprintf(out, COX_CERT_SERIAL_HEX_MAX, "%.*s", COX_CERT_SERIAL_HEX_MAX - 1, p[0] ? p : "0");
}

/* Days and seconds since 1970, exact for every date that X.509 can write. Unreadable: 0. */
static int64_t unix_of(const ASN1_TIME *t)
{
	ASN1_TIME *epoch = ASN1_TIME_set(NULL, 0);
	int days = 0, seconds = 0;
	int ok = epoch ? ASN1_TIME_diff(&days, &seconds, epoch, t) : 0;
	ASN1_TIME_free(epoch);
	ERR_clear_error();
	return ok ? (int64_t)days * 86400 + seconds : 0;
}

static struct cox_str name_of(const X509_NAME *name, struct cox_arena *arena)
{
	COX_AUTO(cox_bio_freep_) BIO *bio = BIO_new(BIO_s_mem());
	struct cox_buf text = { 0 };
	COX_ASSERT(bio != NULL);
	if (X509_NAME_print_ex(bio, name, 0, XN_FLAG_RFC2253) >= 0)
		cox_bio_append_(bio, &text);
	struct cox_str s = cox_arena_str(arena, cox_buf_str(&text));
	cox_buf_fini(&text);
	return s;
}

static void names_of(X509 *x, struct cox_arena *arena, struct cox_cert_info *out)
{
	GENERAL_NAMES *names = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
	size_t n = names ? (size_t)sk_GENERAL_NAME_num(names) : 0;
	struct cox_str *uris = n ? COX_ARENA_ARRAY(arena, struct cox_str, n) : NULL,
	               *dns = n ? COX_ARENA_ARRAY(arena, struct cox_str, n) : NULL;
	for (size_t i = 0; i < n; i++) {
		const GENERAL_NAME *g = sk_GENERAL_NAME_value(names, (int)i);
		if (g->type != GEN_URI && g->type != GEN_DNS)
			continue;
		const ASN1_IA5STRING *s = g->type == GEN_URI ? g->d.uniformResourceIdentifier : g->d.dNSName;
		struct cox_str text = cox_arena_str(arena, cox_str_make(ASN1_STRING_get0_data(s), (size_t)ASN1_STRING_length(s)));
		if (g->type == GEN_URI)
			uris[out->uri_n++] = text;
		else
			dns[out->dns_n++] = text;
	}
	out->uris = uris;
	out->dns = dns;
	GENERAL_NAMES_free(names);
}

void cox_x509_describe_(X509 *x, struct cox_arena *arena, struct cox_cert_info *out)
{
	struct cox_cert_info info = { .key_type = "other" };
	serial_of(x, info.serial);
	hex_of(X509_get0_subject_key_id(x), info.key_id, sizeof(info.key_id));
	hex_of(X509_get0_authority_key_id(x), info.issuer_key_id, sizeof(info.issuer_key_id));
	info.not_before_s = unix_of(X509_get0_notBefore(x));
	info.not_after_s = unix_of(X509_get0_notAfter(x));
	info.is_ca = X509_check_ca(x) == 1;
	info.is_self_signed = X509_self_signed(x, 1) == 1;
	info.subject = name_of(X509_get_subject_name(x), arena);
	info.issuer = name_of(X509_get_issuer_name(x), arena);
	names_of(x, arena, &info);
	EVP_PKEY *key = X509_get0_pubkey(x);
	if (key)
		info.key_type = cox_pkey_type_name_(key, arena);
	ERR_clear_error();
	*out = info;
}

enum cox_rc cox_cert_read_pem(struct cox_str pem, struct cox_arena *arena, struct cox_cert_info *out, struct cox_err *err)
{
	COX_AUTO(cox_x509_freep_) X509 *x = NULL;
	COX_TRY(cox_x509_read_(pem, &x, err));
	cox_x509_describe_(x, arena, out);
	return COX_OK;
}

enum cox_rc cox_cert_read_der(struct cox_str der, struct cox_arena *arena, struct cox_cert_info *out, struct cox_err *err)
{
	const unsigned char *at = (const unsigned char *)der.p;
	if (der.n == 0 || der.n > COX_CERT_PEM_BYTES_MAX)
		return cox_err_set(err, COX_EINVAL, NULL, "a certificate of %zu bytes", der.n);
	COX_AUTO(cox_x509_freep_) X509 *x = d2i_X509(NULL, &at, (long)der.n);
	if (!x || at != (const unsigned char *)der.p + der.n)
		return cox_ossl_fail_(err, COX_EINVAL, "the certificate is broken");
	cox_x509_describe_(x, arena, out);
	return COX_OK;
}

enum cox_rc cox_cert_split(struct cox_str pem, struct cox_arena *arena, struct cox_str **out, size_t *n, struct cox_err *err)
{
	COX_AUTO(cox_x509_stack_freep_) STACK_OF(X509) *all = NULL;
	COX_TRY(cox_x509_read_all_(pem, &all, err));
	size_t count = (size_t)sk_X509_num(all);
	struct cox_str *items = COX_ARENA_ARRAY(arena, struct cox_str, count);
	struct cox_buf text = { 0 };
	for (size_t i = 0; i < count; i++) {
		cox_buf_clear(&text);
		cox_x509_write_pem_(sk_X509_value(all, (int)i), &text);
		items[i] = cox_arena_str(arena, cox_buf_str(&text));
	}
	cox_buf_fini(&text);
	*out = items;
	*n = count;
	return COX_OK;
}

void cox_cert_dedupe(struct cox_str *pems, size_t *n)
{
	size_t kept = 0;
	for (size_t i = 0; i < *n; i++) {
		bool is_known = false;
		for (size_t j = 0; j < kept && !is_known; j++)
			is_known = cox_str_eq(pems[i], pems[j]);
		if (!is_known)
			pems[kept++] = pems[i];
	}
	*n = kept;
}

static enum cox_rc verify(STACK_OF(X509) * chain, X509_STORE *store, int64_t now_s, struct cox_err *err)
{
	X509_STORE_CTX *ctx = X509_STORE_CTX_new();
	enum cox_rc rc = COX_OK;
	COX_ASSERT(ctx && X509_STORE_CTX_init(ctx, store, sk_X509_value(chain, 0), chain) == 1);
	X509_STORE_CTX_set_time(ctx, 0, (time_t)now_s);
	if (X509_verify_cert(ctx) != 1) {
		struct cox_arena arena = { 0 };
		X509 *at = X509_STORE_CTX_get_current_cert(ctx);
		struct cox_str subject = at ? name_of(X509_get_subject_name(at), &arena) : COX_STR("");
		rc = cox_err_set(err, COX_EAUTH, NULL, "%s (certificate %d of the chain, subject \"%.*s\")",
		                 X509_verify_cert_error_string(X509_STORE_CTX_get_error(ctx)), X509_STORE_CTX_get_error_depth(ctx) + 1,
		                 COX_FMT(subject));
		cox_arena_fini(&arena);
	}
	X509_STORE_CTX_free(ctx);
	ERR_clear_error();
	return rc;
}

enum cox_rc cox_cert_verify(struct cox_str leaf_pem, struct cox_str roots_pem, int64_t now_s, struct cox_err *err)
{
	COX_AUTO(cox_x509_stack_freep_) STACK_OF(X509) *chain = NULL;
	COX_AUTO(cox_x509_stack_freep_) STACK_OF(X509) *roots = NULL;
	enum cox_rc rc = cox_x509_read_all_(leaf_pem, &chain, err);
	if (rc != COX_OK) {
		cox_err_wrap(err, "certificate chain");
		return rc;
	}
	rc = cox_x509_read_all_(roots_pem, &roots, err);
	if (rc != COX_OK) {
		cox_err_wrap(err, "roots");
		return rc;
	}
	X509_STORE *store = X509_STORE_new();
	COX_ASSERT(store != NULL);
	for (int i = 0; i < sk_X509_num(roots); i++)
		COX_ASSERT(X509_STORE_add_cert(store, sk_X509_value(roots, i)) == 1);
	rc = verify(chain, store, now_s, err);
	X509_STORE_free(store);
	return rc;
}

enum cox_rc cox_cert_check_key(struct cox_str cert_pem, struct cox_str key_pem, struct cox_err *err)
{
	COX_AUTO(cox_x509_freep_) X509 *x = NULL;
	COX_AUTO(cox_pkey_freep_) EVP_PKEY *key = NULL;
	COX_TRY(cox_x509_read_(cert_pem, &x, err));
	COX_TRY(cox_pkey_read_(key_pem, &key, err));
	if (X509_check_private_key(x, key) != 1) {
		ERR_clear_error();
		return cox_err_set(err, COX_EINVAL, NULL, "the private key is not the key of the certificate");
	}
	return COX_OK;
}
