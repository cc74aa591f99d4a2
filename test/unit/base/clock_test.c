/* clock - times as text and back: years below 1000, before 1970, the ends of what RFC 3339 can say. */
#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void assert_both_ways(int64_t ms, const char *want)
{
	char text[32];
	int64_t back = 0;
	cox_clock_format(ms, text);
	assert_string_equal(text, want);
	assert_int_equal(cox_clock_parse(cox_str_of(text), &back), COX_OK);
	assert_int_equal(back, ms);
}

static void test_format(void **state)
{
	(void)state;
	assert_both_ways(0, "1970-01-01T00:00:00.000Z");
	assert_both_ways(1785578400007, "2026-08-01T10:00:00.007Z");
	assert_both_ways(-1, "1969-12-31T23:59:59.999Z");
	assert_both_ways(-1000, "1969-12-31T23:59:59.000Z");
	assert_both_ways(-30610224000000, "1000-01-01T00:00:00.000Z");
	assert_both_ways(-30610224000001, "0999-12-31T23:59:59.999Z");
	assert_both_ways(-62135596800000, "0001-01-01T00:00:00.000Z");
}

static void test_format_ends(void **state)
{
	(void)state;
	char text[32];
	assert_both_ways(253402300799999, "9999-12-31T23:59:59.999Z");
	assert_both_ways(-62167219200000, "0000-01-01T00:00:00.000Z");
	cox_clock_format(INT64_MAX, text);
	assert_string_equal(text, "9999-12-31T23:59:59.999Z");
	cox_clock_format(INT64_MIN, text);
	assert_string_equal(text, "0000-01-01T00:00:00.000Z");
}

static void test_parse(void **state)
{
	(void)state;
	int64_t ms = 0;
	assert_int_equal(cox_clock_parse(COX_STR("2026-08-01T12:00:00+02:00"), &ms), COX_OK);
	assert_int_equal(ms, 1785578400000);
	assert_int_equal(cox_clock_parse(COX_STR("2026-08-01t09:30:00.1234567-00:30"), &ms), COX_OK);
	assert_int_equal(ms, 1785578400123);
	static const char *const bad[] = { "",
		                           "2026",
		                           "2026-13-01T00:00:00Z",
		                           "2026-01-32T00:00:00Z",
		                           "2026-01-01T24:00:00Z",
		                           "2026-01-01T00:00:00",
		                           "2026-01-01T00:00:00Zx",
		                           "2026-01-01 00:00:00Z",
		                           "999-01-01T00:00:00Z" };
	for (size_t i = 0; i < COX_LEN(bad); i++) {
		ms = 7;
		assert_int_equal(cox_clock_parse(cox_str_of(bad[i]), &ms), COX_EINVAL);
		assert_int_equal(ms, 7);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_format), cmocka_unit_test(test_format_ends),
		                            cmocka_unit_test(test_parse) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
