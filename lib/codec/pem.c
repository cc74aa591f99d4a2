#include "codec/pem.h"

#include <limits.h>
#include <time.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

static enum cox_rc open_text(struct cox_str pem, const char *what, BIO **out, struct cox_err *err)
{
	if (pem.n > COX_PEM_BYTES_MAX)
		return cox_err_set(err, COX_ELIMIT, NULL, "%s: %zu bytes, at most %d are read", what, pem.n, COX_PEM_BYTES_MAX);
	/* An empty text may have no address, which OpenSSL would not take. */
	*out = BIO_new_mem_buf(pem.n > 0 ? pem.p : "", (int)pem.n);
	if (*out == NULL)
		return cox_err_set(err, COX_EINTERNAL, NULL, "%s cannot be read", what);
	return COX_OK;
}

/* True: the text has simply ended. Else there was another block, and it is broken. */
static bool has_ended(void)
{
	unsigned long e = ERR_peek_last_error();
	bool ended = ERR_GET_LIB(e) == ERR_LIB_PEM && ERR_GET_REASON(e) == PEM_R_NO_START_LINE;
	ERR_clear_error();
	return ended;
}

/* Nobody can type a password. */
static int no_password(char *buf, int size, int rwflag, void *u)
{
	(void)buf, (void)size, (void)rwflag, (void)u;
	return -1;
}

static bool time_of(const ASN1_TIME *t, int64_t *out)
{
	struct tm tm = { 0 };
	if (ASN1_TIME_to_tm(t, &tm) != 1)
		return false;
	*out = (int64_t)timegm(&tm);
	return true;
}

static enum cox_rc certs_read(BIO *bio, struct cox_pem_certs *out, struct cox_err *err)
{
	X509 *cert;
	while ((cert = PEM_read_bio_X509(bio, NULL, no_password, NULL)) != NULL) {
		int64_t from = 0, to = 0;
		bool ok =
		    time_of(X509_get0_notBefore(cert), &from) && time_of(X509_get0_notAfter(cert), &to) && X509_get0_pubkey(cert) != NULL;
		X509_free(cert);
		if (!ok)
			return cox_err_set(err, COX_EINVAL, NULL, "certificate %zu is broken", out->count + 1);
		if (out->count == 0) {
			out->not_before_s = from;
			out->not_after_s = out->first_end_s = to;
		}
		out->first_end_s = to < out->first_end_s ? to : out->first_end_s;
		if (++out->count > COX_PEM_CERTS_MAX)
			return cox_err_set(err, COX_ELIMIT, NULL, "more than %d certificates", COX_PEM_CERTS_MAX);
	}
	if (!has_ended())
		return cox_err_set(err, COX_EINVAL, NULL, "certificate %zu is broken", out->count + 1);
	return out->count > 0 ? COX_OK : cox_err_set(err, COX_EINVAL, NULL, "no certificate in PEM");
}

enum cox_rc cox_pem_certs_check(struct cox_str pem, struct cox_pem_certs *out, struct cox_err *err)
{
	struct cox_pem_certs found = { 0 };
	BIO *bio;

	COX_TRY(open_text(pem, "certificate", &bio, err));
	ERR_clear_error();
	enum cox_rc rc = certs_read(bio, &found, err);
	BIO_free(bio);
	ERR_clear_error();
	if (rc == COX_OK)
		*out = found;
	return rc;
}

static enum cox_rc pair_compare(BIO *cert_bio, BIO *key_bio, struct cox_err *err)
{
	X509 *cert = PEM_read_bio_X509(cert_bio, NULL, no_password, NULL);
	EVP_PKEY *key = PEM_read_bio_PrivateKey(key_bio, NULL, no_password, NULL);
	enum cox_rc rc = COX_OK;

	if (cert == NULL)
		rc = cox_err_set(err, COX_EINVAL, NULL, "no certificate in PEM");
	else if (key == NULL)
		rc = cox_err_set(err, COX_EINVAL, NULL, "no private key in PEM that can be read without a password");
	else if (X509_check_private_key(cert, key) != 1)
		rc = cox_err_set(err, COX_EINVAL, NULL, "the private key is not that of the certificate");
	EVP_PKEY_free(key);
	X509_free(cert);
	return rc;
}

enum cox_rc cox_pem_pair_check(struct cox_str certs, struct cox_str key, struct cox_err *err)
{
	BIO *cert_bio, *key_bio;

	COX_TRY(open_text(certs, "certificate", &cert_bio, err));
	enum cox_rc rc = open_text(key, "private key", &key_bio, err);
	if (rc == COX_OK) {
		rc = pair_compare(cert_bio, key_bio, err);
		BIO_free(key_bio);
	}
	BIO_free(cert_bio);
	ERR_clear_error();
	return rc;
}

enum cox_rc cox_pem_crls_check(struct cox_str pem, struct cox_err *err)
{
	size_t count = 0;
	X509_CRL *crl;
	BIO *bio;

	COX_TRY(open_text(pem, "revocation list", &bio, err));
	ERR_clear_error();
	while ((crl = PEM_read_bio_X509_CRL(bio, NULL, no_password, NULL)) != NULL) {
		X509_CRL_free(crl);
		count++;
	}
	bool ended = has_ended();
	BIO_free(bio);
	if (!ended)
		return cox_err_set(err, COX_EINVAL, NULL, "revocation list %zu is broken", count + 1);
	return count > 0 ? COX_OK : cox_err_set(err, COX_EINVAL, NULL, "no revocation list in PEM");
}
