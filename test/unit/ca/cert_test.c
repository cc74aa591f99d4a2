/* Reading certificates, chains and keys.
 * covers: c3 c17 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "ca/cert.h"
#include "ca/csr.h"

#include <openssl/pem.h>
#include <openssl/x509v3.h>

static EVP_PKEY *root_key, *leaf_key;
static struct cox_buf root, other_root, leaf, leaf_key_pem;
enum { NOW = 1700000000 };

static void write_pem(X509 *x, struct cox_buf *out)
{
	BIO *bio = BIO_new(BIO_s_mem());
	char *p;
	PEM_write_bio_X509(bio, x);
	long n = BIO_get_mem_data(bio, &p);
	cox_buf_append(out, p, (size_t)n);
	BIO_free(bio);
}
static void extend(X509 *x, X509V3_CTX *ctx, int nid, const char *value)
{
	X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, ctx, nid, value);
	assert_non_null(e);
	X509_add_ext(x, e, -1);
	X509_EXTENSION_free(e);
}
static void make(const char *cn, EVP_PKEY *key, X509 *issuer, EVP_PKEY *issuer_key, long serial, const char *san, struct cox_buf *out,
                 X509 **made)
{
	X509 *x = X509_new();
	X509V3_CTX ctx;
	X509_set_version(x, X509_VERSION_3);
	ASN1_INTEGER_set(X509_get_serialNumber(x), serial);
	ASN1_TIME_set(X509_getm_notBefore(x), NOW - 100);
	ASN1_TIME_set(X509_getm_notAfter(x), NOW + 1000);
	X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "O", MBSTRING_ASC, (const unsigned char *)cn, -1, -1, 0);
	X509_set_issuer_name(x, issuer ? X509_get_subject_name(issuer) : X509_get_subject_name(x));
	X509_set_pubkey(x, key);
	X509V3_set_ctx(&ctx, issuer ? issuer : x, x, NULL, NULL, 0);
	extend(x, &ctx, NID_subject_key_identifier, "hash");
	if (issuer)
		extend(x, &ctx, NID_authority_key_identifier, "keyid");
	else
		extend(x, &ctx, NID_basic_constraints, "critical,CA:TRUE");
	if (san)
		extend(x, &ctx, NID_subject_alt_name, san);
	assert_true(X509_sign(x, issuer_key, EVP_sha256()) > 0);
	write_pem(x, out);
	if (made)
		*made = x;
	else
		X509_free(x);
}

static int setup(void **state)
{
	X509 *issuer;
	(void)state;
	root_key = EVP_EC_gen("P-256");
	leaf_key = EVP_EC_gen("P-384");
	EVP_PKEY *other = EVP_EC_gen("P-256");
	make("root", root_key, NULL, root_key, 1, NULL, &root, &issuer);
	make("root", other, NULL, other, 2, NULL, &other_root, NULL);
	make("leaf", leaf_key, issuer, root_key, 0xab0c, "URI:spiffe://td/ns/a/sa/b,DNS:x.y,IP:1.2.3.4", &leaf, NULL);
	BIO *bio = BIO_new(BIO_s_mem());
	char *p;
	PEM_write_bio_PrivateKey(bio, leaf_key, NULL, NULL, 0, NULL, NULL);
	long n = BIO_get_mem_data(bio, &p);
	cox_buf_append(&leaf_key_pem, p, (size_t)n);
	BIO_free(bio);
	X509_free(issuer);
	EVP_PKEY_free(other);
	return 0;
}
static int teardown(void **state)
{
	(void)state;
	EVP_PKEY_free(root_key);
	EVP_PKEY_free(leaf_key);
	cox_buf_fini(&root);
	cox_buf_fini(&other_root);
	cox_buf_fini(&leaf);
	cox_buf_fini(&leaf_key_pem);
	return 0;
}

static void test_read(void **state)
{
	struct cox_arena arena = { 0 };
	struct cox_cert_info r, l, der;
	(void)state;
	assert_int_equal(cox_cert_read_pem(cox_buf_str(&root), &arena, &r, NULL), COX_OK);
	assert_int_equal(cox_cert_read_pem(cox_buf_str(&leaf), &arena, &l, NULL), COX_OK);
	assert_true(r.is_ca && r.is_self_signed && !l.is_ca && !l.is_self_signed);
	assert_string_equal(l.serial, "ab0c");
	assert_string_equal(r.serial, "1");
	assert_int_equal(l.not_before_s, NOW - 100);
	assert_int_equal(l.not_after_s, NOW + 1000);
	assert_int_equal(strlen(r.key_id), 40);
	assert_string_equal(l.issuer_key_id, r.key_id);
	assert_string_equal(r.issuer_key_id, "");
	assert_true(cox_str_eq(l.subject, COX_STR("O=leaf")) && cox_str_eq(l.issuer, COX_STR("O=root")));
	assert_int_equal(l.uri_n, 1);
	assert_true(cox_str_eq(l.uris[0], COX_STR("spiffe://td/ns/a/sa/b")));
	assert_int_equal(l.dns_n, 1);
	assert_true(cox_str_eq(l.dns[0], COX_STR("x.y")));
	assert_string_equal(l.key_type, "EC-P384");

	BIO *bio = BIO_new_mem_buf(leaf.p, (int)leaf.n);
	X509 *x = PEM_read_bio_X509(bio, NULL, NULL, NULL);
	unsigned char *bytes = NULL;
	int n = i2d_X509(x, &bytes);
	assert_int_equal(cox_cert_read_der(cox_str_make(bytes, (size_t)n), &arena, &der, NULL), COX_OK);
	assert_string_equal(der.serial, "ab0c");
	assert_int_equal(cox_cert_read_der(cox_str_make(bytes, (size_t)n - 1), &arena, &der, NULL), COX_EINVAL);
	OPENSSL_free(bytes);
	X509_free(x);
	BIO_free(bio);
	cox_arena_fini(&arena);
}

static void test_split(void **state)
{
	struct cox_arena arena = { 0 };
	struct cox_buf text = { 0 };
	struct cox_str *items;
	struct cox_err err = { 0 };
	size_t n;
	(void)state;
	cox_buf_append_cstr(&text, "a comment\n");
	cox_buf_append(&text, root.p, root.n);
	cox_buf_append(&text, leaf_key_pem.p, leaf_key_pem.n);
	cox_buf_append(&text, leaf.p, leaf.n - 1);
	cox_buf_append_cstr(&text, "\r\n\r\n");
	cox_buf_append(&text, root.p, root.n);
	assert_int_equal(cox_cert_split(cox_buf_str(&text), &arena, &items, &n, NULL), COX_OK);
	assert_int_equal(n, 3);
	assert_true(cox_str_eq(items[0], cox_buf_str(&root)) && cox_str_eq(items[1], cox_buf_str(&leaf)));
	cox_cert_dedupe(items, &n);
	assert_int_equal(n, 2);
	assert_true(cox_str_eq(items[1], cox_buf_str(&leaf)));

	assert_int_equal(cox_cert_split(COX_STR(""), &arena, &items, &n, &err), COX_EINVAL);
	assert_non_null(strstr(err.text, "no certificate"));
	/* The second one is cut in the middle. */
	cox_buf_clear(&text);
	cox_buf_append(&text, root.p, root.n);
	cox_buf_append(&text, leaf.p, leaf.n / 2);
	assert_int_equal(cox_cert_split(cox_buf_str(&text), &arena, &items, &n, &err), COX_EINVAL);
	cox_buf_append_cstr(&text, "\n-----END CERTIFICATE-----\n");
	assert_int_equal(cox_cert_split(cox_buf_str(&text), &arena, &items, &n, &err), COX_EINVAL);
	cox_buf_clear(&text);
	for (int i = 0; i <= COX_CERT_SPLIT_MAX; i++)
		cox_buf_append(&text, root.p, root.n);
	assert_int_equal(cox_cert_split(cox_buf_str(&text), &arena, &items, &n, &err), COX_ELIMIT);
	cox_buf_fini(&text);
	cox_arena_fini(&arena);
}

static void test_verify(void **state)
{
	struct cox_err err = { 0 };
	struct cox_buf both = { 0 };
	struct cox_str l = cox_buf_str(&leaf), r = cox_buf_str(&root);
	(void)state;
	assert_int_equal(cox_cert_verify(l, r, NOW, &err), COX_OK);
	assert_int_equal(cox_cert_verify(l, r, NOW + 1001, &err), COX_EAUTH);
	assert_non_null(strstr(err.text, "expired"));
	assert_int_equal(cox_cert_verify(l, r, NOW - 101, &err), COX_EAUTH);
	assert_non_null(strstr(err.text, "not yet valid"));
	/* The same name, another key. */
	assert_int_equal(cox_cert_verify(l, cox_buf_str(&other_root), NOW, &err), COX_EAUTH);
	cox_buf_append(&both, other_root.p, other_root.n);
	cox_buf_append(&both, root.p, root.n);
	assert_int_equal(cox_cert_verify(l, cox_buf_str(&both), NOW, &err), COX_OK);
	assert_int_equal(cox_cert_verify(l, COX_STR(""), NOW, &err), COX_EINVAL);
	assert_non_null(strstr(err.text, "roots"));
	cox_buf_fini(&both);
}

static void test_key(void **state)
{
	struct cox_err err = { 0 };
	(void)state;
	assert_int_equal(cox_cert_check_key(cox_buf_str(&leaf), cox_buf_str(&leaf_key_pem), &err), COX_OK);
	assert_int_equal(cox_cert_check_key(cox_buf_str(&root), cox_buf_str(&leaf_key_pem), &err), COX_EINVAL);
	assert_non_null(strstr(err.text, "not the key"));
	assert_int_equal(
	    cox_cert_check_key(cox_buf_str(&root), COX_STR("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"), &err),
	    COX_EINVAL);
	assert_non_null(strstr(err.text, "cannot be read"));
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_read), cmocka_unit_test(test_split), cmocka_unit_test(test_verify),
		                            cmocka_unit_test(test_key) };
	return cmocka_run_group_tests(tests, setup, teardown);
}
