/* hash, str - versions in hexadecimal and UTF-8, both read eight bytes at a time: every byte at every place. */
#include "base/hash.h"
#include "base/str.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

static void test_hex_and_back(void **state)
{
	struct cox_hash h = { 0x0123456789abcdefu, 0xfedcba9876543210u }, back;
	char text[33];
	(void)state;
	cox_hash_to_hex(h, text);
	assert_string_equal(text, "0123456789abcdeffedcba9876543210");
	assert_int_equal(cox_hash_from_hex(cox_str_of(text), &back), COX_OK);
	assert_true(cox_hash_eq(h, back));
	assert_int_equal(cox_hash_from_hex(cox_str_make(text, 31), &back), COX_EINVAL);
	assert_int_equal(cox_hash_from_hex(COX_STR(""), &back), COX_EINVAL);
}

static void test_every_byte_at_every_place(void **state)
{
	char text[33];
	(void)state;
	for (unsigned at = 0; at < 32; at++)
		for (unsigned c = 0; c < 256; c++) {
			struct cox_hash h;
			bool is_hex = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
			cox_hash_to_hex((struct cox_hash){ 0x89abcdef01234567u, 0x76543210fedcba98u }, text);
			text[at] = (char)c;
			assert_int_equal(cox_hash_from_hex(cox_str_make(text, 32), &h), is_hex ? COX_OK : COX_EINVAL);
			if (!is_hex)
				continue;
			char again[33];
			cox_hash_to_hex(h, again);
			assert_memory_equal(again, text, 32);
		}
}

/* A sequence of more than one byte, whole and cut, at every distance from the start and the end. */
static void test_utf8_at_every_place(void **state)
{
	static const struct {
		const char *bytes;
		bool is_good;
	} cases[] = { { "\xc3\xa4", true },
		      { "\xe2\x82\xac", true },
		      { "\xf0\x9f\x98\x80", true },
		      { "\xc3", false },
		      { "\xe2\x82", false },
		      { "\xc0\x80", false },
		      { "\xed\xa0\x80", false },
		      { "\xf4\x90\x80\x80", false },
		      { "\xf0\x9f\x98", false },
		      { "\x80", false },
		      { "\xff", false } };
	(void)state;
	for (size_t i = 0; i < COX_LEN(cases); i++)
		for (unsigned before = 0; before < 17; before++)
			for (unsigned after = 0; after < 17; after++) {
				char text[64];
				int n = snprintf(text, sizeof(text), "%.*s%s%.*s", (int)before, "abcdefghijklmnopq", cases[i].bytes,
				                 (int)after, "abcdefghijklmnopq");
				assert_int_equal(cox_str_is_utf8(cox_str_make(text, (size_t)n)), cases[i].is_good);
			}
	assert_true(cox_str_is_utf8(COX_STR("")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hex_and_back),
		cmocka_unit_test(test_every_byte_at_every_place),
		cmocka_unit_test(test_utf8_at_every_place),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
