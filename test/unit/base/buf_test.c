/* buf - room, text and what is left after taking it. The first case is a finding of UBSan: an offset to a null pointer. */
#include "base/buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void test_reserve_nothing(void **state)
{
	(void)state;
	struct cox_buf b = { 0 };
	char *at = cox_buf_reserve(&b, 0);
	assert_non_null(at);
	assert_ptr_equal(at, b.p);
	assert_int_equal(b.n, 0);
	cox_buf_append(&b, NULL, 0);
	assert_int_equal(b.n, 0);
	cox_buf_fini(&b);
	assert_null(b.p);
	/* And again after fini: it is as new. */
	assert_non_null(cox_buf_reserve(&b, 0));
	cox_buf_fini(&b);
}

static void test_grows(void **state)
{
	(void)state;
	struct cox_buf b = { 0 };
	for (int i = 0; i < 1000; i++)
		cox_buf_printf(&b, "%d,", i);
	assert_int_equal(b.n, 10 * 2 + 90 * 3 + 900 * 4);
	assert_memory_equal(b.p, "0,1,2,", 6);
	cox_buf_consume(&b, b.n - 4);
	assert_string_equal(cox_buf_cstr(&b), "999,");
	cox_buf_consume(&b, 4);
	assert_string_equal(cox_buf_cstr(&b), "");
	cox_buf_fini(&b);
}

static void test_take(void **state)
{
	(void)state;
	struct cox_buf b = { 0 };
	size_t n = 7;
	char *p = cox_buf_take(&b, &n);
	assert_non_null(p);
	assert_int_equal(n, 0);
	cox_free(p);
	cox_buf_append_cstr(&b, "text");
	p = cox_buf_take(&b, &n);
	assert_int_equal(n, 4);
	assert_memory_equal(p, "text", 4);
	assert_null(b.p);
	assert_int_equal(b.n + b.cap, 0);
	cox_free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_reserve_nothing), cmocka_unit_test(test_grows),
		                            cmocka_unit_test(test_take) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
