#include "ca/csr.h"
#include "ca/x509_priv.h"

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

static const struct {
	struct cox_str name;
	const char *group; /* NULL: RSA */
	unsigned bits;
} key_types[] = {
	[COX_KEY_P256] = { COX_STR_INIT("P256"), "P-256", 0 },        [COX_KEY_P384] = { COX_STR_INIT("P384"), "P-384", 0 },
	[COX_KEY_RSA_2048] = { COX_STR_INIT("RSA2048"), NULL, 2048 }, [COX_KEY_RSA_3072] = { COX_STR_INIT("RSA3072"), NULL, 3072 },
	[COX_KEY_RSA_4096] = { COX_STR_INIT("RSA4096"), NULL, 4096 },
};

bool cox_key_type_find(struct cox_str name, enum cox_key_type *out)
{
	for (size_t i = 0; i < COX_LEN(key_types); i++)
		if (cox_str_eq(name, key_types[i].name)) {
			*out = (enum cox_key_type)i;
			return true;
		}
	return false;
}

const char *cox_key_type_name(enum cox_key_type t) { return key_types[t].name.p; }

void cox_wipe(struct cox_buf *secret)
{
	if (secret->p)
		OPENSSL_cleanse(secret->p, secret->cap);
	secret->n = 0;
}

/* The memory BIO of a key: OpenSSL wipes those of secure memory when it frees them. */
static void append_secret(BIO *bio, struct cox_buf *out)
{
	cox_bio_append_(bio, out);
	char *p;
	long n = BIO_get_mem_data(bio, &p);
	if (n > 0)
		OPENSSL_cleanse(p, (size_t)n);
}

enum cox_rc cox_key_make(enum cox_key_type type, bool sec1_or_pkcs1, struct cox_buf *key_pem, struct cox_err *err)
{
	COX_AUTO(cox_pkey_freep_)
	EVP_PKEY *key = key_types[type].group ? EVP_EC_gen(key_types[type].group) : EVP_RSA_gen(key_types[type].bits);
	COX_AUTO(cox_bio_freep_) BIO *bio = BIO_new(BIO_s_secmem());
	if (!key || !bio)
		return cox_ossl_fail_(err, COX_EINTERNAL, "no key could be made");
	/* The longest is RSA-4096 with 3,272 bytes: reserved in one piece, so that growing leaves no copy behind. */
	cox_buf_reserve(key_pem, 4096);
	int ok = sec1_or_pkcs1 ? PEM_write_bio_PrivateKey_traditional(bio, key, NULL, NULL, 0, NULL, NULL)
	                       : PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL);
	if (ok != 1)
		return cox_ossl_fail_(err, COX_EINTERNAL, "the key could not be written");
	append_secret(bio, key_pem);
	ERR_clear_error();
	return COX_OK;
}

static bool add_name(GENERAL_NAMES *names, int type, struct cox_str value)
{
	GENERAL_NAME *name = GENERAL_NAME_new();
	ASN1_IA5STRING *text = ASN1_IA5STRING_new();
	bool ok = name && text && ASN1_STRING_set(text, value.p, (int)value.n) == 1;
	if (ok) {
		GENERAL_NAME_set0_value(name, type, COX_MOVE(text));
		ok = sk_GENERAL_NAME_push(names, name) > 0;
		if (ok)
			name = NULL;
	}
	GENERAL_NAME_free(name);
	ASN1_IA5STRING_free(text);
	return ok;
}

static bool add_names(X509_REQ *req, int type, const struct cox_str *values, size_t n)
{
	GENERAL_NAMES *names = GENERAL_NAMES_new();
	STACK_OF(X509_EXTENSION) *list = NULL;
	bool ok = names != NULL;
	for (size_t i = 0; i < n; i++)
		ok = ok && add_name(names, type, values[i]);
	/* The subject is empty, so the alternative name is critical (RFC 5280, 4.2.1.6). */
	ok = ok && X509V3_add1_i2d(&list, NID_subject_alt_name, names, 1, X509V3_ADD_DEFAULT) == 1 &&
	     X509_REQ_add_extensions(req, list) == 1;
	sk_X509_EXTENSION_pop_free(list, X509_EXTENSION_free);
	GENERAL_NAMES_free(names);
	return ok;
}

/* Ed25519 hashes by itself. */
static const EVP_MD *digest_of(EVP_PKEY *key)
{
	if (EVP_PKEY_get_base_id(key) == EVP_PKEY_ED25519)
		return NULL;
	return EVP_PKEY_get_base_id(key) == EVP_PKEY_EC && EVP_PKEY_get_bits(key) > 256 ? EVP_sha384() : EVP_sha256();
}

static enum cox_rc make(struct cox_str key_pem, int type, const struct cox_str *names, size_t n, struct cox_buf *csr_pem,
                        struct cox_err *err)
{
	COX_AUTO(cox_pkey_freep_) EVP_PKEY *key = NULL;
	for (size_t i = 0; i < n; i++)
		if (names[i].n > INT16_MAX)
			return cox_err_set(err, COX_ELIMIT, NULL, "an identity of %zu bytes", names[i].n);
	COX_TRY(cox_pkey_read_(key_pem, &key, err));
	X509_REQ *req = X509_REQ_new();
	COX_AUTO(cox_bio_freep_) BIO *bio = BIO_new(BIO_s_mem());
	COX_ASSERT(req && bio);
	bool ok = X509_REQ_set_version(req, X509_REQ_VERSION_1) == 1 && X509_REQ_set_pubkey(req, key) == 1 &&
	          (!n || add_names(req, type, names, n)) && X509_REQ_sign(req, key, digest_of(key)) > 0 &&
	          PEM_write_bio_X509_REQ(bio, req) == 1;
	X509_REQ_free(req);
	if (!ok)
		return cox_ossl_fail_(err, COX_EINTERNAL, "the request could not be signed");
	cox_bio_append_(bio, csr_pem);
	ERR_clear_error();
	return COX_OK;
}

enum cox_rc cox_csr_make(struct cox_str key_pem, struct cox_str uri, struct cox_buf *csr_pem, struct cox_err *err)
{
	return make(key_pem, GEN_URI, &uri, uri.n ? 1 : 0, csr_pem, err);
}

enum cox_rc cox_csr_make_dns(struct cox_str key_pem, const struct cox_str *dns, size_t n, struct cox_buf *csr_pem, struct cox_err *err)
{
	return make(key_pem, GEN_DNS, dns, n, csr_pem, err);
}

static enum cox_rc check(X509_REQ *req, struct cox_buf *spki_der, struct cox_err *err)
{
	EVP_PKEY *key = X509_REQ_get0_pubkey(req);
	unsigned char *der = NULL;
	if (!key)
		return cox_ossl_fail_(err, COX_EINVAL, "certificate request: its public key cannot be read");
	/* Before the signature is looked at: a huge key would make that expensive. */
	COX_TRY(cox_pkey_check_strength_(key, "certificate request", err));
	if (X509_REQ_verify(req, key) != 1)
		return cox_ossl_fail_(err, COX_EINVAL, "certificate request: its signature is not by its own key");
	int n = i2d_PUBKEY(key, &der);
	if (n <= 0)
		return cox_ossl_fail_(err, COX_EINVAL, "certificate request: its public key cannot be written");
	cox_buf_append(spki_der, der, (size_t)n);
	OPENSSL_free(der);
	return COX_OK;
}

enum cox_rc cox_csr_check(struct cox_str csr_pem, struct cox_buf *spki_der, struct cox_err *err)
{
	if (csr_pem.n > COX_CSR_BYTES_MAX)
		return cox_err_set(err, COX_EINVAL, NULL, "certificate request: %zu bytes, more than %d", csr_pem.n, COX_CSR_BYTES_MAX);
	COX_AUTO(cox_bio_freep_) BIO *bio = cox_bio_of_(csr_pem);
	X509_REQ *req = PEM_read_bio_X509_REQ(bio, NULL, NULL, NULL);
	if (!req)
		return cox_ossl_fail_(err, COX_EINVAL, "certificate request: it is no PKCS#10 request in PEM");
	enum cox_rc rc = check(req, spki_der, err);
	X509_REQ_free(req);
	ERR_clear_error();
	return rc;
}
