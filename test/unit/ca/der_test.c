/* Public keys as they are looked into without OpenSSL's decoders, against OpenSSL.
 * covers: c14 c21 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "ca/der_priv.h"

#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

static void spki_of(EVP_PKEY *key, struct cox_buf *out)
{
	unsigned char *der = NULL;
	int n = i2d_PUBKEY(key, &der);
	assert_true(n > 0);
	cox_buf_clear(out);
	cox_buf_append(out, der, (size_t)n);
	OPENSSL_free(der);
}

static void check(EVP_PKEY *key, enum cox_rc rc, const char *text)
{
	struct cox_buf der = { 0 };
	struct cox_err err = { 0 };
	assert_non_null(key);
	spki_of(key, &der);
	if (cox_spki_check_(cox_buf_str(&der), &err) != rc || (text && !strstr(err.text, text)))
		fail_msg("%s", err.text);
	for (size_t n = 0; n < der.n; n++) /* cut anywhere */
		assert_int_equal(cox_spki_check_(cox_str_sub(cox_buf_str(&der), 0, n), NULL), COX_EINVAL);
	cox_buf_append_char(&der, 0); /* something behind it */
	assert_int_equal(cox_spki_check_(cox_buf_str(&der), NULL), COX_EINVAL);
	EVP_PKEY_free(key);
	cox_buf_fini(&der);
}

static void test_keys(void **state)
{
	static const char *const curves[] = { "P-256", "P-384", "P-521" };
	(void)state;
	for (size_t i = 0; i < COX_LEN(curves); i++)
		check(EVP_EC_gen(curves[i]), COX_OK, NULL);
	check(EVP_RSA_gen(2048), COX_OK, NULL);
	check(EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"), COX_OK, NULL);
	check(EVP_RSA_gen(1024), COX_EINVAL, "1024 bits");
	check(EVP_EC_gen("secp256k1"), COX_EINVAL, "a curve that is not taken");
	check(EVP_EC_gen("P-224"), COX_EINVAL, "a curve that is not taken");
	check(EVP_PKEY_Q_keygen(NULL, NULL, "X25519"), COX_EINVAL, "of this kind");
}

/* Every bit of a P-256 key turned: whoever takes it, OpenSSL does too. */
static void test_bits(void **state)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	struct cox_buf der = { 0 };
	(void)state;
	spki_of(key, &der);
	for (size_t bit = 0; bit < der.n * 8; bit++) {
		der.p[bit / 8] = (char)(der.p[bit / 8] ^ (1 << (bit % 8)));
		if (cox_spki_check_(cox_buf_str(&der), NULL) == COX_OK) {
			const unsigned char *at = (const unsigned char *)der.p;
			EVP_PKEY *again = d2i_PUBKEY(NULL, &at, (long)der.n);
			assert_non_null(again);
			EVP_PKEY_free(again);
		}
		der.p[bit / 8] = (char)(der.p[bit / 8] ^ (1 << (bit % 8)));
	}
	assert_int_equal(cox_spki_check_(cox_buf_str(&der), NULL), COX_OK);
	EVP_PKEY_free(key);
	cox_buf_fini(&der);
}

static void check_time(int64_t at_s, struct cox_str want)
{
	struct cox_buf out = { 0 };
	cox_der_put_time_(&out, at_s);
	assert_true(cox_str_eq(cox_buf_str(&out), want));
	cox_buf_fini(&out);
}
static void test_time(void **state)
{
	(void)state;
	check_time(0, COX_STR("\x17\x0d"
	                      "700101000000Z"));
	check_time(2524607999, COX_STR("\x17\x0d"
	                               "491231235959Z"));
	check_time(2524608000, COX_STR("\x18\x0f"
	                               "20500101000000Z"));
	check_time(4107542399, COX_STR("\x18\x0f"
	                               "21000228235959Z"));
}

static void test_lengths(void **state)
{
	struct cox_str broken[] = { COX_STR("\x30\x80"),
		                    COX_STR("\x30\x81\x05"
		                            "abcde"),
		                    COX_STR("\x30\x82\x00\x85"),
		                    COX_STR("\x30\x84\x01\x01\x01\x01"),
		                    COX_STR("\x30\x05"
		                            "abcd"),
		                    COX_STR("\x30"),
		                    COX_STR("") };
	static const size_t sizes[] = { 0, 1, 127, 128, 255, 256, 65535, 65536 };
	struct cox_str content;
	(void)state;
	for (size_t i = 0; i < COX_LEN(broken); i++)
		assert_false(cox_der_take_(&broken[i], COX_DER_SEQUENCE, &content));
	for (size_t i = 0; i < COX_LEN(sizes); i++) {
		struct cox_buf out = { 0 };
		cox_der_put_head_(&out, COX_DER_SEQUENCE, sizes[i]);
		memset(cox_buf_reserve(&out, sizes[i] + 1), 'x', sizes[i] + 1);
		out.n += sizes[i] + 1;
		struct cox_str rest = cox_buf_str(&out);
		assert_false(cox_der_take_(&rest, COX_DER_INTEGER, &content));
		assert_true(cox_der_take_(&rest, COX_DER_SEQUENCE, &content));
		assert_int_equal(content.n, sizes[i]);
		assert_int_equal(rest.n, 1);
		cox_buf_fini(&out);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_keys), cmocka_unit_test(test_bits), cmocka_unit_test(test_time),
		                            cmocka_unit_test(test_lengths) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
