/* covers: c34: what is a certificate, a pair, a revocation list; and what is not. */
#include "codec/pem.h"

#include "../certs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void test_certs(void **state)
{
	(void)state;
	struct cox_arena a = { 0 };
	struct cox_err err = { 0 };
	struct cox_pem_certs facts = { 0 };
	struct test_pair one = certs_make(&a, "one", -60, 3600), two = certs_make(&a, "two", -60, 60);
	assert_int_equal(cox_pem_certs_check(one.cert, &facts, &err), COX_OK);
	assert_int_equal(facts.count, 1);
	assert_int_equal(facts.not_after_s - facts.not_before_s, 3660);
	struct cox_str chain = cox_arena_concat(&a, one.cert, two.cert);
	assert_int_equal(cox_pem_certs_check(chain, &facts, &err), COX_OK);
	assert_int_equal(facts.count, 2);
	assert_int_equal(facts.not_after_s - facts.first_end_s, 3540);
	/* Refused: nothing, text, a key alone, a cut chain, a bit turned. */
	assert_int_equal(cox_pem_certs_check(COX_STR(""), &facts, &err), COX_EINVAL);
	assert_int_equal(cox_pem_certs_check(COX_STR("hello"), &facts, &err), COX_EINVAL);
	assert_int_equal(cox_pem_certs_check(one.key, &facts, &err), COX_EINVAL);
	assert_int_equal(cox_pem_certs_check(cox_str_sub(chain, 0, chain.n - 60), &facts, &err), COX_EINVAL);
	assert_non_null(strstr(err.text, "certificate 2 is broken"));
	char *bad = (char *)(uintptr_t)one.cert.p;
	bad[60] = '!';
	assert_int_equal(cox_pem_certs_check(one.cert, &facts, &err), COX_EINVAL);
	assert_int_equal(facts.count, 2); /* untouched on failure */
	struct cox_str huge = { cox_arena_alloc(&a, COX_PEM_BYTES_MAX + 1), COX_PEM_BYTES_MAX + 1 };
	memset((char *)(uintptr_t)huge.p, 'A', huge.n);
	assert_int_equal(cox_pem_certs_check(huge, &facts, &err), COX_ELIMIT);
	cox_arena_fini(&a);
}

static void test_pair(void **state)
{
	(void)state;
	struct cox_arena a = { 0 };
	struct cox_err err = { 0 };
	struct test_pair one = certs_make(&a, "one", -60, 3600), two = certs_make(&a, "two", -60, 3600);
	assert_int_equal(cox_pem_pair_check(one.cert, one.key, &err), COX_OK);
	assert_int_equal(cox_pem_pair_check(cox_arena_concat(&a, one.cert, two.cert), one.key, &err), COX_OK);
	assert_int_equal(cox_pem_pair_check(one.cert, two.key, &err), COX_EINVAL);
	assert_string_equal(err.text, "the private key is not that of the certificate");
	assert_int_equal(cox_pem_pair_check(one.cert, one.cert, &err), COX_EINVAL);
	assert_int_equal(cox_pem_pair_check(one.cert, COX_STR(""), &err), COX_EINVAL);
	assert_int_equal(cox_pem_pair_check(COX_STR(""), one.key, &err), COX_EINVAL);
	/* No part of a key ever stands in a message. */
	assert_null(strstr(err.text, "MIG"));
	cox_arena_fini(&a);
}

static void test_encrypted_key(void **state)
{
	(void)state;
	struct cox_arena a = { 0 };
	struct cox_err err = { 0 };
	struct test_pair one = certs_make(&a, "one", -60, 3600);
	BIO *in = BIO_new_mem_buf(one.key.p, (int)one.key.n), *out = BIO_new(BIO_s_mem());
	EVP_PKEY *key = PEM_read_bio_PrivateKey(in, NULL, NULL, NULL);
	char password[] = "secret";
	PEM_write_bio_PrivateKey(out, key, EVP_aes_128_cbc(), (unsigned char *)password, 6, NULL, NULL);
	EVP_PKEY_free(key);
	BIO_free(in);
	assert_int_equal(cox_pem_pair_check(one.cert, certs_take(&a, out), &err), COX_EINVAL);
	assert_non_null(strstr(err.text, "without a password"));
	cox_arena_fini(&a);
}

static void test_crls(void **state)
{
	(void)state;
	struct cox_arena a = { 0 };
	struct cox_err err = { 0 };
	struct cox_str crl = certs_crl(&a);
	assert_int_equal(cox_pem_crls_check(crl, &err), COX_OK);
	assert_int_equal(cox_pem_crls_check(cox_arena_concat(&a, crl, certs_crl(&a)), &err), COX_OK);
	assert_int_equal(cox_pem_crls_check(COX_STR(""), &err), COX_EINVAL);
	assert_int_equal(cox_pem_crls_check(cox_str_sub(crl, 0, crl.n - 50), &err), COX_EINVAL);
	cox_arena_fini(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_certs), cmocka_unit_test(test_pair), cmocka_unit_test(test_encrypted_key),
		                            cmocka_unit_test(test_crls) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
