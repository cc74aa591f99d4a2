/* SPIFFE identities.
 * covers: c21 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "ca/spiffe.h"

static void test_parse(void **state)
{
	struct cox_spiffe_id id, again;
	struct cox_buf text = { 0 };
	(void)state;
	assert_int_equal(cox_spiffe_parse(COX_STR("spiffe://cluster.local/ns/default/sa/book.info-reviews"), &id, NULL), COX_OK);
	assert_true(cox_str_eq(id.trust_domain, COX_STR("cluster.local")));
	assert_true(cox_str_eq(id.ns, COX_STR("default")));
	assert_true(cox_str_eq(id.service_account, COX_STR("book.info-reviews")));
	cox_spiffe_format(&id, &text);
	assert_string_equal(cox_buf_cstr(&text), "spiffe://cluster.local/ns/default/sa/book.info-reviews");
	assert_int_equal(cox_spiffe_parse(cox_buf_str(&text), &again, NULL), COX_OK);
	assert_true(cox_spiffe_eq(&id, &again));
	assert_int_equal(cox_spiffe_parse(COX_STR("spiffe://cluster.local/ns/default/sa/other"), &again, NULL), COX_OK);
	assert_false(cox_spiffe_eq(&id, &again));
	cox_buf_fini(&text);
}

static void test_refused(void **state)
{
	static const char *const bad[] = {
		"",
		"spiffe://",
		"http://td/ns/a/sa/b",
		"spiffe://td",
		"spiffe://td/",
		"spiffe://td/ns/a",
		"spiffe://td/ns/a/sa/",
		"spiffe://td/ns//sa/b",
		"spiffe://td/ns/a/sa/b/",
		"spiffe://td/ns/a/sa/b/c",
		"spiffe://td/sa/a/ns/b",
		"spiffe:///ns/a/sa/b",
		"spiffe://TD/ns/a/sa/b",
		"spiffe://td:80/ns/a/sa/b",
		"spiffe://td/ns/a/sa/b?x",
		"spiffe://td/ns/a/sa/b#x",
		"spiffe://td/ns/A/sa/b",
		"spiffe://td/ns/a.b/sa/c",
		"spiffe://td/ns/-a/sa/c",
		"spiffe://td/ns/a/sa/b..c",
		"spiffe://td/ns/a/sa/b%2fc",
		"spiffe://u@td/ns/a/sa/b",
		" spiffe://td/ns/a/sa/b",
	};
	struct cox_spiffe_id id;
	struct cox_err err;
	(void)state;
	for (size_t i = 0; i < COX_LEN(bad); i++) {
		err.text[0] = 0;
		if (cox_spiffe_parse(cox_str_of(bad[i]), &id, &err) != COX_EINVAL || !err.text[0])
			fail_msg("taken: %s", bad[i]);
	}
	/* A NUL inside is no end. */
	assert_int_equal(cox_spiffe_parse(COX_STR("spiffe://td/ns/a/sa/b\0c"), &id, NULL), COX_EINVAL);
	char longest[COX_SPIFFE_BYTES_MAX + 2];
	memset(longest, 'a', sizeof(longest));
	memcpy(longest, "spiffe://", 9);
	assert_int_equal(cox_spiffe_parse(cox_str_make(longest, sizeof(longest)), &id, &err), COX_EINVAL);
	assert_non_null(strstr(err.text, "more than 2048"));
}

static void test_trust_domain(void **state)
{
	char longest[COX_SPIFFE_TRUST_DOMAIN_BYTES_MAX + 1];
	(void)state;
	memset(longest, 'a', sizeof(longest));
	assert_true(cox_spiffe_is_trust_domain(COX_STR("td_1.example-x")));
	assert_true(cox_spiffe_is_trust_domain(cox_str_make(longest, sizeof(longest) - 1)));
	assert_false(cox_spiffe_is_trust_domain(cox_str_make(longest, sizeof(longest))));
	assert_false(cox_spiffe_is_trust_domain(COX_STR("")));
	assert_false(cox_spiffe_is_trust_domain(COX_STR("Td")));
	assert_false(cox_spiffe_is_trust_domain(COX_STR("td/x")));
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_parse), cmocka_unit_test(test_refused),
		                            cmocka_unit_test(test_trust_domain) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
