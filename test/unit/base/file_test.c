/* Whole files in and out: what is there, what is not, what is too long, pipes. covers: f29 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/file.h"

#include <stdlib.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[] = "/tmp/cox-file-XXXXXX";
static char path[256];

static int setup(void **state)
{
	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/file", dir);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	unlink(path);
	return rmdir(dir);
}

static void written_and_read(void **state)
{
	(void)state;
	struct cox_buf got = { 0 };
	struct cox_err err = { 0 };
	struct stat st;
	char *big = cox_zalloc(100000);
	memset(big, 'x', 100000);
	cox_buf_append_cstr(&got, "before");
	assert_int_equal(cox_file_write(path, 0600, cox_str_make(big, 100000), &err), COX_OK);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(cox_file_read(path, 100000, &got, &err), COX_OK);
	assert_int_equal(got.n, 100006);
	assert_memory_equal(got.p + 6, big, 100000);
	/* Shorter, other permissions: nothing of the old is left. */
	assert_int_equal(cox_file_write(path, 0644, COX_STR("short"), &err), COX_OK);
	cox_buf_clear(&got);
	assert_int_equal(cox_file_read_arg(path, 5, &got, &err), COX_OK);
	assert_true(cox_str_eq(cox_buf_str(&got), COX_STR("short")));
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0644);
	cox_free(big);
	cox_buf_fini(&got);
}

static void refused(void **state)
{
	(void)state;
	struct cox_buf got = { 0 };
	struct cox_err err = { 0 };
	assert_int_equal(cox_file_write(path, 0644, COX_STR("0123456789"), &err), COX_OK);
	cox_buf_append_cstr(&got, "kept");
	assert_int_equal(cox_file_read(path, 9, &got, &err), COX_ELIMIT);
	assert_non_null(strstr(err.text, path));
	assert_int_equal(cox_file_read("/nowhere/at/all", 9, &got, &err), COX_ENOTFOUND);
	assert_non_null(strstr(err.text, "/nowhere/at/all"));
	assert_int_equal(cox_file_read(dir, 9, &got, &err), COX_EIO);
	assert_int_equal(cox_file_write("/nowhere/at/all", 0644, COX_STR("x"), &err), COX_EIO);
	assert_true(cox_str_eq(cox_buf_str(&got), COX_STR("kept")));
	/* A pipe that nobody writes to does not hold anybody up. */
	char fifo[300];
	snprintf(fifo, sizeof(fifo), "%s.fifo", path);
	assert_int_equal(mkfifo(fifo, 0600), 0);
	assert_int_equal(cox_file_read(fifo, 9, &got, &err), COX_OK);
	assert_int_equal(got.n, 4);
	unlink(fifo);
	cox_buf_fini(&got);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(written_and_read), cmocka_unit_test(refused) };
	return cmocka_run_group_tests(tests, setup, teardown);
}
