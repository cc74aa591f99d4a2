/* What the CA makes, read by OpenSSL.
 * covers: c14 c20 c21 c39 c2 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "ca/issue.h"

#include <openssl/pem.h>
#include <openssl/x509v3.h>

enum { NOW = 1800000000, DAY = 86400 };

static X509 *x509_of(const struct cox_buf *pem)
{
	BIO *bio = BIO_new_mem_buf(pem->p, (int)pem->n);
	X509 *x = PEM_read_bio_X509(bio, NULL, NULL, NULL);
	BIO_free(bio);
	assert_non_null(x);
	return x;
}
static void check_verify(const struct cox_buf *chain, const struct cox_buf *roots, int64_t at_s, enum cox_rc rc)
{
	struct cox_err err = { 0 };
	enum cox_rc got = cox_cert_verify(cox_buf_str(chain), cox_buf_str(roots), at_s, &err);
	if (got != rc)
		fail_msg("%s: %s", cox_rc_name(got), err.text);
}

struct made {
	struct cox_buf cert, key, spki;
	struct cox_issuer *issuer;
};
static struct cox_ca_cert_spec ca_spec(int64_t ttl_s)
{
	return (struct cox_ca_cert_spec){ .organization = COX_STR("cluster.local"),
		                          .common_name = "a root",
		                          .now_s = NOW,
		                          .ttl_s = ttl_s,
		                          .backdate_s = 120,
		                          .path_len = -1 };
}
static void make_root(struct made *m, enum cox_key_type type, int64_t ttl_s)
{
	struct cox_buf csr = { 0 };
	struct cox_ca_cert_spec spec = ca_spec(ttl_s);
	*m = (struct made){ 0 };
	assert_int_equal(cox_issue_root(type, &spec, &m->cert, &m->key, NULL), COX_OK);
	assert_int_equal(cox_issuer_new(cox_buf_str(&m->cert), cox_buf_str(&m->key), &m->issuer, NULL), COX_OK);
	assert_int_equal(cox_csr_make(cox_buf_str(&m->key), COX_STR(""), &csr, NULL), COX_OK);
	assert_int_equal(cox_csr_check(cox_buf_str(&csr), &m->spki, NULL), COX_OK);
	cox_buf_fini(&csr);
}
static void fini(struct made *m)
{
	cox_issuer_free(&m->issuer);
	cox_buf_fini(&m->cert);
	cox_buf_fini(&m->key);
	cox_buf_fini(&m->spki);
}

static void test_types(void **state)
{
	static const enum cox_key_type types[] = { COX_KEY_P256, COX_KEY_P384, COX_KEY_RSA_2048 };
	static const char *const names[] = { "EC-P256", "EC-P384", "RSA-2048" };
	struct cox_str uri = COX_STR("spiffe://cluster.local/ns/a/sa/b");
	(void)state;
	for (size_t i = 0; i < COX_LEN(types); i++) {
		struct made root;
		struct cox_buf leaf = { 0 };
		make_root(&root, types[i], 3650 * (int64_t)DAY);
		assert_string_equal(cox_issuer_info(root.issuer)->key_type, names[i]);
		assert_int_equal(
		    cox_issue_leaf(
		        root.issuer,
		        &(struct cox_leaf_spec){
		            .spki_der = cox_buf_str(&root.spki), .uris = &uri, .uri_n = 1, .now_s = NOW, .ttl_s = DAY, .backdate_s = 120 },
		        &leaf, NULL, NULL),
		    COX_OK);
		check_verify(&leaf, &root.cert, NOW, COX_OK);
		check_verify(&leaf, &root.cert, NOW + DAY + 1, COX_EAUTH);
		cox_buf_fini(&leaf);
		fini(&root);
	}
}

static void test_leaf(void **state)
{
	struct made root;
	struct cox_buf leaf = { 0 };
	struct cox_arena arena = { 0 };
	struct cox_cert_info info;
	struct cox_str uri = COX_STR("spiffe://cluster.local/ns/a/sa/b"), dns[2] = { COX_STR("istiod.istio-system.svc"), COX_STR("x") };
	(void)state;
	make_root(&root, COX_KEY_P256, 3650 * (int64_t)DAY);
	struct cox_leaf_spec spec = { .spki_der = cox_buf_str(&root.spki),
		                      .uris = &uri,
		                      .uri_n = 1,
		                      .dns = dns,
		                      .dns_n = 2,
		                      .now_s = NOW,
		                      .ttl_s = DAY,
		                      .backdate_s = 120 };
	assert_int_equal(cox_issue_leaf(root.issuer, &spec, &leaf, NULL, NULL), COX_OK);
	assert_int_equal(cox_cert_read_pem(cox_buf_str(&leaf), &arena, &info, NULL), COX_OK);
	assert_int_equal(strlen(info.serial), 32);
	assert_int_equal(info.not_before_s, NOW - 120);
	assert_int_equal(info.not_after_s, NOW + DAY);
	assert_false(info.is_ca);
	assert_int_equal(info.uri_n, 1);
	assert_int_equal(info.dns_n, 2);
	assert_string_equal(info.issuer_key_id, cox_issuer_info(root.issuer)->key_id);
	X509 *x = x509_of(&leaf);
	assert_int_equal(X509_get_version(x), X509_VERSION_3);
	assert_int_equal(X509_get_key_usage(x), KU_DIGITAL_SIGNATURE | KU_KEY_ENCIPHERMENT);
	assert_int_equal(X509_get_extended_key_usage(x), XKU_SSL_SERVER | XKU_SSL_CLIENT);
	int at = X509_get_ext_by_NID(x, NID_subject_alt_name, -1);
	assert_true(at >= 0 && X509_EXTENSION_get_critical(X509_get_ext(x, at)));
	assert_int_equal(X509_NAME_entry_count(X509_get_subject_name(x)), 0);
	X509_free(x);
	/* No two have one serial. */
	char before[COX_CERT_SERIAL_HEX_MAX];
	memcpy(before, info.serial, sizeof(before));
	cox_buf_clear(&leaf);
	assert_int_equal(cox_issue_leaf(root.issuer, &spec, &leaf, NULL, NULL), COX_OK);
	assert_int_equal(cox_cert_read_pem(cox_buf_str(&leaf), &arena, &info, NULL), COX_OK);
	assert_string_not_equal(before, info.serial);
	cox_buf_fini(&leaf);
	cox_arena_fini(&arena);
	fini(&root);
}

static void test_clock(void **state)
{
	struct made root;
	struct cox_buf leaf = { 0 };
	struct cox_arena arena = { 0 };
	struct cox_cert_info info;
	struct cox_err err;
	struct cox_str uri = COX_STR("spiffe://cluster.local/ns/a/sa/b");
	(void)state;
	make_root(&root, COX_KEY_P256, 3600);
	struct cox_leaf_spec spec = {
		.spki_der = cox_buf_str(&root.spki), .uris = &uri, .uri_n = 1, .now_s = NOW, .ttl_s = DAY, .backdate_s = 500
	};
	/* Never outside of its issuer's life. */
	assert_int_equal(cox_issue_leaf(root.issuer, &spec, &leaf, NULL, NULL), COX_OK);
	assert_int_equal(cox_cert_read_pem(cox_buf_str(&leaf), &arena, &info, NULL), COX_OK);
	assert_int_equal(info.not_before_s, NOW - 120);
	assert_int_equal(info.not_after_s, NOW + 3600);
	spec.now_s = NOW + 3600;
	assert_int_equal(cox_issue_leaf(root.issuer, &spec, &leaf, NULL, &err), COX_EAGAIN);
	assert_non_null(strstr(err.text, "expired"));
	spec.now_s = NOW - 121;
	assert_int_equal(cox_issue_leaf(root.issuer, &spec, &leaf, NULL, &err), COX_EAGAIN);
	assert_non_null(strstr(err.text, "not valid yet"));
	cox_buf_fini(&leaf);
	cox_arena_fini(&arena);
	fini(&root);
}

static void test_renewal(void **state)
{
	struct made root;
	struct cox_buf leaf = { 0 }, renewed = { 0 };
	struct cox_arena arena = { 0 };
	struct cox_cert_info info;
	struct cox_str uri = COX_STR("spiffe://cluster.local/ns/a/sa/b");
	(void)state;
	make_root(&root, COX_KEY_P256, 10 * DAY);
	struct cox_leaf_spec spec = {
		.spki_der = cox_buf_str(&root.spki), .uris = &uri, .uri_n = 1, .now_s = NOW, .ttl_s = 10 * DAY, .backdate_s = 120
	};
	assert_int_equal(cox_issue_leaf(root.issuer, &spec, &leaf, NULL, NULL), COX_OK);
	assert_int_equal(cox_issue_root_renewal(root.issuer, NOW + 9 * DAY, 10 * DAY, &renewed, NULL), COX_OK);
	assert_int_equal(cox_cert_read_pem(cox_buf_str(&renewed), &arena, &info, NULL), COX_OK);
	assert_string_equal(info.key_id, cox_issuer_info(root.issuer)->key_id);
	assert_string_not_equal(info.serial, cox_issuer_info(root.issuer)->serial);
	assert_true(cox_str_eq(info.subject, cox_issuer_info(root.issuer)->subject));
	assert_int_equal(info.not_after_s, NOW + 19 * DAY);
	assert_true(info.is_ca && info.is_self_signed);
	check_verify(&leaf, &renewed, NOW, COX_OK); /* a clock that was set back, too */
	check_verify(&leaf, &renewed, NOW + 9 * DAY, COX_OK);
	struct cox_issuer *again = NULL;
	assert_int_equal(cox_issuer_new(cox_buf_str(&renewed), cox_buf_str(&root.key), &again, NULL), COX_OK);
	spec.now_s = NOW + 9 * DAY;
	cox_buf_clear(&leaf);
	assert_int_equal(cox_issue_leaf(again, &spec, &leaf, NULL, NULL), COX_OK);
	check_verify(&leaf, &root.cert, NOW + 9 * DAY, COX_OK); /* who has the old one only */
	cox_issuer_free(&again);
	cox_buf_fini(&leaf);
	cox_buf_fini(&renewed);
	cox_arena_fini(&arena);
	fini(&root);
}

static void test_intermediate(void **state)
{
	struct made root;
	struct cox_buf cert = { 0 }, key = { 0 }, chain = { 0 }, deep = { 0 }, deep_key = { 0 };
	struct cox_issuer *sub = NULL, *deeper = NULL;
	struct cox_ca_cert_spec spec = ca_spec(20 * DAY);
	struct cox_str uri = COX_STR("spiffe://cluster.local/ns/a/sa/b");
	(void)state;
	make_root(&root, COX_KEY_P384, 10 * DAY);
	spec.path_len = 0;
	spec.common_name = "an intermediate";
	assert_int_equal(cox_issue_intermediate(root.issuer, COX_KEY_P256, &spec, &cert, &key, NULL), COX_OK);
	assert_int_equal(cox_issuer_new(cox_buf_str(&cert), cox_buf_str(&key), &sub, NULL), COX_OK);
	assert_int_equal(cox_issuer_info(sub)->not_after_s, NOW + 10 * DAY); /* its parent's end */
	struct cox_leaf_spec leaf = {
		.spki_der = cox_buf_str(&root.spki), .uris = &uri, .uri_n = 1, .now_s = NOW, .ttl_s = DAY, .backdate_s = 120
	};
	assert_int_equal(cox_issue_leaf(sub, &leaf, &chain, NULL, NULL), COX_OK);
	check_verify(&chain, &root.cert, NOW, COX_EAUTH); /* without the intermediate */
	cox_buf_append(&chain, cert.p, cert.n);
	check_verify(&chain, &root.cert, NOW, COX_OK);
	/* The path length holds (a self-issued one would not count). */
	spec.common_name = "one below it";
	assert_int_equal(cox_issue_intermediate(sub, COX_KEY_P256, &spec, &deep, &deep_key, NULL), COX_OK);
	assert_int_equal(cox_issuer_new(cox_buf_str(&deep), cox_buf_str(&deep_key), &deeper, NULL), COX_OK);
	cox_buf_clear(&chain);
	assert_int_equal(cox_issue_leaf(deeper, &leaf, &chain, NULL, NULL), COX_OK);
	cox_buf_append(&chain, deep.p, deep.n);
	cox_buf_append(&chain, cert.p, cert.n);
	check_verify(&chain, &root.cert, NOW, COX_EAUTH);
	cox_issuer_free(&sub);
	cox_issuer_free(&deeper);
	cox_buf_fini(&cert);
	cox_buf_fini(&key);
	cox_buf_fini(&chain);
	cox_buf_fini(&deep);
	cox_buf_fini(&deep_key);
	fini(&root);
}

static void test_issuer_refused(void **state)
{
	struct made root, other;
	struct cox_buf leaf = { 0 };
	struct cox_issuer *i = NULL;
	struct cox_err err;
	struct cox_str uri = COX_STR("spiffe://cluster.local/ns/a/sa/b");
	(void)state;
	make_root(&root, COX_KEY_P256, DAY);
	make_root(&other, COX_KEY_P256, DAY);
	assert_int_equal(cox_issuer_new(cox_buf_str(&root.cert), cox_buf_str(&other.key), &i, &err), COX_EINVAL);
	assert_non_null(strstr(err.text, "not the key"));
	struct cox_leaf_spec spec = { .spki_der = cox_buf_str(&root.spki), .uris = &uri, .uri_n = 1, .now_s = NOW, .ttl_s = DAY };
	assert_int_equal(cox_issue_leaf(root.issuer, &spec, &leaf, NULL, NULL), COX_OK);
	assert_int_equal(cox_issuer_new(cox_buf_str(&leaf), cox_buf_str(&root.key), &i, &err), COX_EINVAL);
	assert_non_null(strstr(err.text, "not one of a CA"));
	assert_null(i);
	cox_buf_fini(&leaf);
	fini(&root);
	fini(&other);
}

static void test_crl(void **state)
{
	struct made root;
	struct cox_ca_revoked items[3] = { { "ab0c", NOW - 5 }, { "0123456789abcdef0123456789abcdef", NOW - 6 }, { "xyz", NOW } };
	struct cox_buf text = { 0 };
	(void)state;
	make_root(&root, COX_KEY_P256, DAY);
	assert_int_equal(cox_issue_crl(root.issuer, items, 3, 0x123456789abull, NOW, NOW + 100, &text, NULL), COX_OK);
	BIO *bio = BIO_new_mem_buf(text.p, (int)text.n);
	X509_CRL *crl = PEM_read_bio_X509_CRL(bio, NULL, NULL, NULL);
	X509 *issuer = x509_of(&root.cert);
	assert_int_equal(X509_CRL_get_version(crl), X509_CRL_VERSION_2);
	assert_int_equal(X509_CRL_verify(crl, X509_get0_pubkey(issuer)), 1);
	assert_int_equal(sk_X509_REVOKED_num(X509_CRL_get_REVOKED(crl)), 2);
	ASN1_INTEGER *number = X509_CRL_get_ext_d2i(crl, NID_crl_number, NULL, NULL);
	uint64_t value;
	assert_int_equal(ASN1_INTEGER_get_uint64(&value, number), 1);
	assert_true(value == 0x123456789abull);
	ASN1_INTEGER_free(number);
	assert_true(X509_CRL_get_ext_by_NID(crl, NID_authority_key_identifier, -1) >= 0);
	assert_non_null(X509_CRL_get0_nextUpdate(crl));
	X509_free(issuer);
	X509_CRL_free(crl);
	BIO_free(bio);
	cox_buf_fini(&text);
	fini(&root);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_types),        cmocka_unit_test(test_leaf),
		                            cmocka_unit_test(test_clock),        cmocka_unit_test(test_renewal),
		                            cmocka_unit_test(test_intermediate), cmocka_unit_test(test_issuer_refused),
		                            cmocka_unit_test(test_crl) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
