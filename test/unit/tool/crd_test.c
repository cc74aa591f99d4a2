/* covers: d32
 * crd/ holds what the field tables say today; `make crd` rewrites it. */
#include "tool/crd.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

static void test_no_drift(void **state)
{
	(void)state;
	int kinds = 0;
	for (int k = 0; k < COX_KIND_COUNT; k++) {
		const struct cox_kind_info *kind = cox_kind_info((enum cox_kind)k);
		struct cox_arena arena = { 0 };
		struct cox_buf want = { 0 }, got = { 0 };
		char path[200];
		if (!kind->ours)
			continue;
		cox_tool_crd_write(kind, &want);
		snprintf(path, sizeof(path), "crd/%.*s", COX_FMT(cox_tool_crd_file_name(kind, &arena)));
		FILE *f = fopen(path, "r");
		if (!f)
			fail_msg("%s is missing: run `make crd`", path);
		for (size_t n; (n = fread(cox_buf_reserve(&got, 65536), 1, 65536, f)) > 0;)
			got.n += n;
		fclose(f);
		if (!cox_str_eq(cox_buf_str(&want), cox_buf_str(&got)))
			fail_msg("%s is out of date: run `make crd`", path);
		cox_buf_fini(&want);
		cox_buf_fini(&got);
		cox_arena_fini(&arena);
		kinds++;
	}
	assert_true(kinds >= 6);
}

static void test_refused_directory(void **state)
{
	(void)state;
	struct cox_err err = { 0 };
	assert_int_equal(cox_tool_crd_write_all("/nowhere/at/all", &err), COX_EIO);
	assert_non_null(strstr(err.text, "/nowhere/at/all/networking.istio.io_"));
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_no_drift), cmocka_unit_test(test_refused_directory) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
