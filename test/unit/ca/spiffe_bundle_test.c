/* Bundles as SPIFFE tells them. covers: c12 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "ca/issue.h"
#include "ca/spiffe_bundle.h"

enum { NOW = 1700000000 };

static struct cox_str root(struct cox_arena *a, enum cox_key_type type, int64_t now_s)
{
	struct cox_buf cert = { 0 }, key = { 0 };
	struct cox_err err = { 0 };
	const struct cox_ca_cert_spec spec = { .organization = COX_STR("b.example"), .now_s = now_s, .ttl_s = 86400, .path_len = -1 };
	assert_int_equal(cox_issue_root(type, &spec, &cert, &key, &err), COX_OK);
	struct cox_str out = cox_arena_str(a, cox_buf_str(&cert));
	cox_buf_fini(&cert);
	cox_buf_fini(&key);
	return out;
}

static struct cox_spiffe_bundle there_and_back(struct cox_arena *a, const struct cox_str *roots, size_t n)
{
	struct cox_buf out = { 0 };
	struct cox_spiffe_bundle b;
	struct cox_err err = { 0 };
	assert_int_equal(cox_spiffe_bundle_write(roots, n, &out, &err), COX_OK);
	assert_int_equal(cox_spiffe_bundle_read(cox_buf_str(&out), a, &b, &err), COX_OK);
	cox_buf_fini(&out);
	return b;
}

static void test_there_and_back(void **state)
{
	(void)state;
	struct cox_arena a = { 0 };
	const struct cox_str roots[] = { root(&a, COX_KEY_P256, NOW), root(&a, COX_KEY_P384, NOW + 10), root(&a, COX_KEY_RSA_2048, NOW) };
	struct cox_spiffe_bundle b = there_and_back(&a, roots, 3);
	assert_int_equal(b.root_n, 3);
	assert_int_equal(b.refresh_s, COX_SPIFFE_REFRESH_S);
	for (size_t i = 0; i < 3; i++)
		assert_true(cox_str_eq(b.roots_pem[i], roots[i]));
	/* A rotation: the newest root, then fewer of them. Every step is later than the one before. */
	uint64_t old = there_and_back(&a, roots, 1).sequence, both = there_and_back(&a, roots, 2).sequence,
	         new = there_and_back(&a, roots + 1, 1).sequence;
	assert_true(old < both && both < new);
	cox_arena_fini(&a);
}

static void test_refused(void **state)
{
	(void)state;
	static const struct {
		const char *json, *path, *text;
	} cases[] = {
		{ "", "", "" },
		{ "[]", "keys", "list of keys" },
		{ "{\"keys\":{}}", "keys", "list of keys" },
		{ "{\"keys\":[]}", "keys", "none of 0 keys" },
		{ "{\"keys\":[{\"use\":\"jwt-svid\",\"kty\":\"EC\"}]}", "keys", "none of 1 keys" },
		{ "{\"keys\":[{\"use\":\"x509-svid\"}]}", "keys[0].x5c", "must be one certificate" },
		{ "{\"keys\":[{\"use\":\"x509-svid\",\"x5c\":[\"AA==\",\"AA==\"]}]}", "keys[0].x5c", "must be one certificate" },
		{ "{\"keys\":[1,{\"use\":\"x509-svid\",\"x5c\":[\"%\"]}]}", "keys[1].x5c", "is not base64" },
		{ "{\"keys\":[{\"use\":\"x509-svid\",\"x5c\":[\"AAAA\"]}]}", "", "" },
	};
	for (size_t i = 0; i < COX_LEN(cases); i++) {
		struct cox_arena a = { 0 };
		struct cox_spiffe_bundle b;
		struct cox_err err = { 0 };
		assert_int_equal(cox_spiffe_bundle_read(cox_str_of(cases[i].json), &a, &b, &err), COX_EINVAL);
		if (cases[i].path[0])
			assert_string_equal(err.path, cases[i].path);
		assert_non_null(strstr(err.text, cases[i].text));
		assert_true(err.text[0] != '\0');
		cox_arena_fini(&a);
	}
}

static void test_limits(void **state)
{
	(void)state;
	struct cox_arena a = { 0 };
	struct cox_spiffe_bundle b;
	struct cox_buf text = { 0 };
	struct cox_err err = { 0 };
	cox_buf_append_cstr(&text, "{\"keys\":[{}");
	for (size_t i = 0; i < COX_SPIFFE_BUNDLE_KEYS_MAX; i++)
		cox_buf_append_cstr(&text, ",{}");
	cox_buf_append_cstr(&text, "]}");
	assert_int_equal(cox_spiffe_bundle_read(cox_buf_str(&text), &a, &b, &err), COX_ELIMIT);
	while (text.n <= COX_SPIFFE_BUNDLE_BYTES_MAX)
		cox_buf_append_cstr(&text, "                                                                ");
	assert_int_equal(cox_spiffe_bundle_read(cox_buf_str(&text), &a, &b, &err), COX_ELIMIT);
	cox_buf_fini(&text);
	/* Text is no certificate. */
	assert_int_equal(cox_spiffe_bundle_write(&(struct cox_str){ "x", 1 }, 1, &text, &err), COX_EINVAL);
	cox_buf_fini(&text);
	cox_arena_fini(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_there_and_back), cmocka_unit_test(test_refused),
		                            cmocka_unit_test(test_limits) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
