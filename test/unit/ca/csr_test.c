/* Keys and certificate signing requests.
 * covers: c14 c21 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "ca/cert.h"
#include "ca/csr.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

static void test_types(void **state)
{
	static const char *const names[] = { "P256", "P384", "RSA2048" }; /* the longer RSA keys take seconds under a sanitizer */
	(void)state;
	for (size_t i = 0; i < COX_LEN(names); i++)
		for (int traditional = 0; traditional < 2; traditional++) {
			struct cox_buf key = { 0 }, csr = { 0 }, spki = { 0 };
			enum cox_key_type type;
			assert_true(cox_key_type_find(cox_str_of(names[i]), &type));
			assert_string_equal(cox_key_type_name(type), names[i]);
			assert_int_equal(cox_key_make(type, traditional, &key, NULL), COX_OK);
			const char *head = !traditional ? "-----BEGIN PRIVATE KEY-----"
			                   : i < 2      ? "-----BEGIN EC PRIVATE KEY-----"
			                                : "-----BEGIN RSA PRIVATE KEY-----";
			assert_true(cox_str_has_prefix(cox_buf_str(&key), cox_str_of(head)));
			assert_int_equal(cox_csr_make(cox_buf_str(&key), COX_STR("spiffe://td/ns/a/sa/b"), &csr, NULL), COX_OK);
			assert_int_equal(cox_csr_check(cox_buf_str(&csr), &spki, NULL), COX_OK);
			const unsigned char *at = (const unsigned char *)spki.p;
			EVP_PKEY *public_key = d2i_PUBKEY(NULL, &at, (long)spki.n);
			assert_non_null(public_key);
			assert_int_equal(EVP_PKEY_get_bits(public_key), i == 0 ? 256 : i == 1 ? 384 : 2048);
			EVP_PKEY_free(public_key);
			cox_wipe(&key);
			assert_int_equal(key.n, 0);
			for (size_t b = 0; b < key.cap; b++)
				assert_int_equal(key.p[b], 0);
			cox_buf_fini(&key);
			cox_buf_fini(&csr);
			cox_buf_fini(&spki);
		}
	enum cox_key_type none;
	assert_false(cox_key_type_find(COX_STR("RSA1024"), &none));
	assert_false(cox_key_type_find(COX_STR(""), &none));
}

static void check_refused(struct cox_str csr, const char *text)
{
	struct cox_buf spki = { 0 };
	struct cox_err err = { 0 };
	assert_int_equal(cox_csr_check(csr, &spki, &err), COX_EINVAL);
	if (!strstr(err.text, text))
		fail_msg("no \"%s\" in \"%s\"", text, err.text);
	assert_int_equal(spki.n, 0);
	cox_buf_fini(&spki);
}

static void request_of(EVP_PKEY *key, struct cox_buf *out)
{
	X509_REQ *req = X509_REQ_new();
	BIO *bio = BIO_new(BIO_s_mem());
	char *p;
	X509_REQ_set_pubkey(req, key);
	assert_true(X509_REQ_sign(req, key, EVP_sha256()) > 0);
	PEM_write_bio_X509_REQ(bio, req);
	long n = BIO_get_mem_data(bio, &p);
	cox_buf_append(out, p, (size_t)n);
	BIO_free(bio);
	X509_REQ_free(req);
}

static void test_refused(void **state)
{
	struct cox_buf key = { 0 }, csr = { 0 }, weak = { 0 }, big = { 0 }, k1 = { 0 };
	(void)state;
	check_refused(COX_STR(""), "no PKCS#10");
	check_refused(COX_STR("-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n"), "no PKCS#10");
	memset(cox_buf_reserve(&big, COX_CSR_BYTES_MAX + 1), 'A', COX_CSR_BYTES_MAX + 1);
	big.n = COX_CSR_BYTES_MAX + 1;
	check_refused(cox_buf_str(&big), "more than 65536");

	EVP_PKEY *rsa = EVP_RSA_gen(1024), *ec = EVP_EC_gen("secp256k1");
	request_of(rsa, &weak);
	check_refused(cox_buf_str(&weak), "1024 bits");
	request_of(ec, &k1);
	check_refused(cox_buf_str(&k1), "of this kind");
	EVP_PKEY_free(rsa);
	EVP_PKEY_free(ec);

	/* A bit of the public key's point changed: the signature is by another key. */
	assert_int_equal(cox_key_make(COX_KEY_P256, false, &key, NULL), COX_OK);
	assert_int_equal(cox_csr_make(cox_buf_str(&key), COX_STR(""), &csr, NULL), COX_OK);
	BIO *bio = BIO_new_mem_buf(csr.p, (int)csr.n);
	X509_REQ *req = PEM_read_bio_X509_REQ(bio, NULL, NULL, NULL);
	EVP_PKEY *other = EVP_EC_gen("P-256");
	unsigned char *der = NULL;
	X509_REQ_set_pubkey(req, other);
	BIO *out = BIO_new(BIO_s_mem());
	char *p;
	assert_true(i2d_re_X509_REQ_tbs(req, &der) > 0);
	PEM_write_bio_X509_REQ(out, req);
	long n = BIO_get_mem_data(out, &p);
	check_refused(cox_str_make(p, (size_t)n), "not by its own key");
	OPENSSL_free(der);
	BIO_free(out);
	BIO_free(bio);
	EVP_PKEY_free(other);
	X509_REQ_free(req);
	cox_buf_fini(&key);
	cox_buf_fini(&csr);
	cox_buf_fini(&weak);
	cox_buf_fini(&big);
	cox_buf_fini(&k1);
}

static void test_bad_key(void **state)
{
	struct cox_buf csr = { 0 };
	struct cox_err err = { 0 };
	(void)state;
	assert_int_equal(cox_csr_make(COX_STR("no key"), COX_STR(""), &csr, &err), COX_EINVAL);
	assert_int_equal(csr.n, 0);
	cox_buf_fini(&csr);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_types), cmocka_unit_test(test_refused), cmocka_unit_test(test_bad_key) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
