/* covers: g65 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/memory.h"
#include "base/str.h"

static void amounts(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		size_t bytes; /* 0: refused */
	} rows[] = { { "512Mi", 512u << 20 },
		     { "1.5Gi", 1536u << 20 },
		     { "64Ki", 65536 },
		     { "2G", 2000000000 },
		     { "3M", 3000000 },
		     { "7k", 7000 },
		     { "1048576", 1048576 },
		     { "", 0 },
		     { "Mi", 0 },
		     { "-1Mi", 0 },
		     { "0", 0 },
		     { "12x", 0 },
		     { "1e300Gi", 0 },
		     { "nan", 0 },
		     { "1 Mi", 0 } };
	for (size_t i = 0; i < COX_LEN(rows); i++) {
		size_t got = 0;
		enum cox_rc rc = cox_memory_parse(cox_str_of(rows[i].text), &got);
		assert_int_equal(rc, rows[i].bytes ? COX_OK : COX_EINVAL);
		assert_int_equal(got, rows[i].bytes);
	}
	size_t now = cox_memory_resident_bytes();
	assert_true(now > 500000 && now < ((size_t)4 << 30));
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(amounts) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
