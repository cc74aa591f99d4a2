#include "ca/x509_priv.h"

#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>

enum { RSA_BITS_MIN = 2048, RSA_BITS_MAX = 8192 /* verifying a longer one takes milliseconds of the caller's choice */ };

enum cox_rc cox_ossl_fail_(struct cox_err *err, enum cox_rc rc, const char *what)
{
	unsigned long code = ERR_peek_last_error();
	const char *reason = code ? ERR_reason_error_string(code) : NULL;
	cox_err_set(err, rc, NULL, "%s%s%s", what, reason ? ": " : "", reason ? reason : "");
	ERR_clear_error();
	return rc;
}

BIO *cox_bio_of_(struct cox_str text)
{
	BIO *b = text.n <= INT32_MAX ? BIO_new_mem_buf(text.n ? text.p : "", (int)text.n) : NULL;
	COX_ASSERT(b != NULL);
	return b;
}

void cox_bio_append_(BIO *bio, struct cox_buf *out)
{
	char *p;
	long n = BIO_get_mem_data(bio, &p);
	if (n > 0)
		cox_buf_append(out, p, (size_t)n);
}

static enum cox_rc check_size(struct cox_str pem, struct cox_err *err)
{
	if (pem.n > COX_CERT_PEM_BYTES_MAX)
		return cox_err_set(err, COX_ELIMIT, NULL, "certificates of %zu bytes, more than %d", pem.n, COX_CERT_PEM_BYTES_MAX);
	return COX_OK;
}

/* Reads the next certificate, leaving other blocks out. COX_ENOTFOUND: no more. */
static enum cox_rc read_next(BIO *bio, size_t position, X509 **out, struct cox_err *err)
{
	for (;;) {
		char *name = NULL, *header = NULL;
		unsigned char *data = NULL;
		long n = 0;
		if (!PEM_read_bio(bio, &name, &header, &data, &n)) {
			if (ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE) {
				ERR_clear_error();
				return COX_ENOTFOUND;
			}
			char what[64];
			snprintf(what, sizeof(what), "PEM block after certificate %zu is broken", position);
			return cox_ossl_fail_(err, COX_EINVAL, what);
		}
		bool is_cert = !strcmp(name, PEM_STRING_X509) || !strcmp(name, PEM_STRING_X509_OLD);
		const unsigned char *at = data;
		X509 *x = is_cert ? d2i_X509(NULL, &at, n) : NULL;
		bool is_whole = x && at == data + n;
		OPENSSL_free(name);
		OPENSSL_free(header);
		OPENSSL_clear_free(data, (size_t)n);
		if (!is_cert)
			continue;
		if (is_whole) {
			*out = x;
			return COX_OK;
		}
		X509_free(x);
		char what[64];
		snprintf(what, sizeof(what), "certificate %zu is broken", position + 1);
		return cox_ossl_fail_(err, COX_EINVAL, what);
	}
}

enum cox_rc cox_x509_read_all_(struct cox_str pem, STACK_OF(X509) * *out, struct cox_err *err)
{
	COX_TRY(check_size(pem, err));
	COX_AUTO(cox_bio_freep_) BIO *bio = cox_bio_of_(pem);
	COX_AUTO(cox_x509_stack_freep_) STACK_OF(X509) *all = sk_X509_new_null();
	X509 *x;
	enum cox_rc rc;
	COX_ASSERT(all != NULL);
	while ((rc = read_next(bio, (size_t)sk_X509_num(all), &x, err)) == COX_OK) {
		int n = sk_X509_push(all, x);
		COX_ASSERT(n > 0);
		if (n > COX_CERT_SPLIT_MAX)
			return cox_err_set(err, COX_ELIMIT, NULL, "more than %d certificates", COX_CERT_SPLIT_MAX);
	}
	if (rc != COX_ENOTFOUND)
		return rc;
	if (sk_X509_num(all) == 0)
		return cox_err_set(err, COX_EINVAL, NULL, "there is no certificate in it");
	*out = COX_MOVE(all);
	return COX_OK;
}

enum cox_rc cox_x509_read_(struct cox_str pem, X509 **out, struct cox_err *err)
{
	COX_TRY(check_size(pem, err));
	COX_AUTO(cox_bio_freep_) BIO *bio = cox_bio_of_(pem);
	enum cox_rc rc = read_next(bio, 0, out, err);
	return rc == COX_ENOTFOUND ? cox_err_set(err, COX_EINVAL, NULL, "there is no certificate in it") : rc;
}

/* An encrypted key is refused at once: nobody is there to type a password. */
static int no_password(char *buf, int size, int rwflag, void *arg)
{
	(void)buf, (void)size, (void)rwflag, (void)arg;
	return -1;
}

enum cox_rc cox_pkey_read_(struct cox_str pem, EVP_PKEY **out, struct cox_err *err)
{
	COX_TRY(check_size(pem, err));
	COX_AUTO(cox_bio_freep_) BIO *bio = cox_bio_of_(pem);
	EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, no_password, NULL);
	if (!key)
		return cox_ossl_fail_(err, COX_EINVAL, "the private key cannot be read");
	*out = key;
	ERR_clear_error();
	return COX_OK;
}

void cox_x509_write_pem_(X509 *x, struct cox_buf *out)
{
	COX_AUTO(cox_bio_freep_) BIO *bio = BIO_new(BIO_s_mem());
	COX_ASSERT(bio && PEM_write_bio_X509(bio, x) == 1);
	cox_bio_append_(bio, out);
}

const char *cox_pkey_type_name_(EVP_PKEY *key, struct cox_arena *arena)
{
	char group[64];
	size_t n = 0;
	switch (EVP_PKEY_get_base_id(key)) {
	case EVP_PKEY_RSA: return cox_arena_printf(arena, "RSA-%d", EVP_PKEY_get_bits(key)).p;
	case EVP_PKEY_ED25519: return "Ed25519";
	case EVP_PKEY_EC:
		if (EVP_PKEY_get_group_name(key, group, sizeof(group), &n) != 1)
			return "other";
		return !strcmp(group, "prime256v1")  ? "EC-P256"
		       : !strcmp(group, "secp384r1") ? "EC-P384"
		       : !strcmp(group, "secp521r1") ? "EC-P521"
		                                     : "other";
	default: return "other";
	}
}

enum cox_rc cox_pkey_check_strength_(EVP_PKEY *key, const char *what, struct cox_err *err)
{
	struct cox_arena arena = { 0 };
	const char *type = cox_pkey_type_name_(key, &arena);
	int bits = EVP_PKEY_get_bits(key), kind = EVP_PKEY_get_base_id(key);
	enum cox_rc rc = COX_OK;
	if (kind == EVP_PKEY_RSA && (bits < RSA_BITS_MIN || bits > RSA_BITS_MAX))
		rc = cox_err_set(err, COX_EINVAL, NULL, "%s: an RSA key of %d bits; %d to %d are taken", what, bits, RSA_BITS_MIN,
		                 RSA_BITS_MAX);
	else if (!strcmp(type, "other"))
		rc = cox_err_set(err, COX_EINVAL, NULL, "%s: a key of this kind is not taken; RSA, P-256, P-384, P-521 and Ed25519 are",
		                 what);
	cox_arena_fini(&arena);
	ERR_clear_error();
	return rc;
}
