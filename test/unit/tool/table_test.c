/* Aligned text: widths in characters, a last column that is not padded, rows of other lengths. covers: f4 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tool/table.h"

static void aligned(void **state)
{
	struct cox_table t = { 0 };
	struct cox_buf b = { 0 };
	(void)state;
	cox_table_write(&t, 2, &b);
	assert_int_equal(b.n, 0);
	cox_table_row(&t, "NAME\tN\tWHERE");
	cox_table_cell(&t, COX_STR("z\xc3\xbcrich"));
	cox_table_cellf(&t, "%d", 12345);
	cox_table_cell(&t, COX_STR("a\tlong\nlast one"));
	cox_table_row_end(&t);
	cox_table_row(&t, "\t\t");
	cox_table_row(&t, "alone and wide");
	cox_table_write(&t, 2, &b);
	assert_string_equal(cox_buf_cstr(&b), "NAME    N      WHERE\n"
	                                      "z\xc3\xbcrich  12345  a long last one\n"
	                                      "               \n"
	                                      "alone and wide\n");
	cox_buf_fini(&b);
	cox_table_fini(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(aligned) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
