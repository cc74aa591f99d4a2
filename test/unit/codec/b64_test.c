/* Base64 in both alphabets, with the vectors of RFC 4648, and what is refused. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "codec/b64.h"

static void both_ways(void **state)
{
	(void)state;
	static const char *const pairs[][2] = { { "", "" },
		                                { "f", "Zg==" },
		                                { "fo", "Zm8=" },
		                                { "foo", "Zm9v" },
		                                { "foob", "Zm9vYg==" },
		                                { "fooba", "Zm9vYmE=" },
		                                { "foobar", "Zm9vYmFy" } };
	struct cox_arena arena = { 0 };
	for (size_t i = 0; i < COX_LEN(pairs); i++) {
		struct cox_buf b = { 0 };
		struct cox_str back;
		cox_b64_encode(&b, cox_str_of(pairs[i][0]));
		assert_string_equal(cox_buf_cstr(&b), pairs[i][1]);
		assert_int_equal(cox_b64_decode(&arena, cox_buf_str(&b), false, &back), COX_OK);
		assert_true(cox_str_eq_cstr(back, pairs[i][0]));
		while (b.n != 0 && b.p[b.n - 1] == '=')
			b.n--;
		assert_int_equal(cox_b64_decode(&arena, cox_buf_str(&b), false, &back), COX_OK);
		assert_true(cox_str_eq_cstr(back, pairs[i][0]));
		cox_buf_fini(&b);
	}
	cox_arena_fini(&arena);
}

static void url_alphabet(void **state)
{
	(void)state;
	struct cox_arena arena = { 0 };
	struct cox_buf b = { 0 };
	struct cox_str back;
	cox_b64url_encode(&b, COX_STR("\xfb\xff\xfe\x01"));
	assert_string_equal(cox_buf_cstr(&b), "-__-AQ");
	assert_int_equal(cox_b64_decode(&arena, cox_buf_str(&b), false, &back), COX_OK);
	assert_true(cox_str_eq(back, COX_STR("\xfb\xff\xfe\x01")));
	assert_int_equal(cox_b64_decode(&arena, COX_STR("Zm\n9v \r\n\tYg==\n"), true, &back), COX_OK);
	assert_true(cox_str_eq(back, COX_STR("foob")));
	cox_buf_fini(&b);
	cox_arena_fini(&arena);
}

static void refused(void **state)
{
	(void)state;
	static const char *const bad[] = { "Z",    "Zg=",   "Zg===",  "Zm8==",    "Zm9v=", "Zm9vY", "Zh==",
		                           "Zm9=", "Z g==", "Zm9v\n", "Zg==Zg==", "Z*==",  "=",     "Zm9\xc3" };
	struct cox_arena arena = { 0 };
	struct cox_str back;
	for (size_t i = 0; i < COX_LEN(bad); i++)
		assert_int_equal(cox_b64_decode(&arena, cox_str_of(bad[i]), false, &back), COX_EINVAL);
	cox_arena_fini(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(both_ways), cmocka_unit_test(url_alphabet), cmocka_unit_test(refused) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
