/* What a bug report leaves out, and the archive: names of all lengths, sizes that fill a block or do not. covers: f15 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/file.h"
#include "tool/bug_report.h"
#include "tool/tar.h"

#include <stdlib.h>
#include <unistd.h>

static void redacts(const char *in, const char *want)
{
	struct cox_arena a = { 0 };
	struct cox_json *v = NULL;
	struct cox_buf b = { 0 };
	assert_int_equal(cox_json_parse(&a, cox_str_of(in), &v, NULL), COX_OK);
	cox_bug_report_redact(v, &a);
	cox_json_write(&b, v, 0, false);
	assert_string_equal(cox_buf_cstr(&b), want);
	cox_buf_fini(&b);
	cox_arena_fini(&a);
}

static void secrets(void **state)
{
	(void)state;
	redacts("{\"kind\":\"Secret\",\"data\":{\"a\":\"x\",\"b\":\"y\"},\"stringData\":{\"c\":\"z\"}}",
	        "{\"kind\":\"Secret\",\"data\":{\"a\":\"REDACTED\",\"b\":\"REDACTED\"},\"stringData\":{\"c\":\"REDACTED\"}}");
	redacts("{\"kind\":\"ConfigMap\",\"data\":{\"a\":\"x\"}}", "{\"kind\":\"ConfigMap\",\"data\":{\"a\":\"x\"}}");
	redacts(
	    "{\"spec\":{\"containers\":[{\"env\":[{\"name\":\"ApiToken\",\"value\":\"x\"},{\"name\":\"A\",\"value\":\"y\"},{\"name\":\"SECRET\"}]}]}}",
	    "{\"spec\":{\"containers\":[{\"env\":[{\"name\":\"ApiToken\",\"value\":\"REDACTED\"},{\"name\":\"A\",\"value\":\"y\"},{\"name\":\"SECRET\"}]}]}}");
	redacts(
	    "{\"metadata\":{\"managedFields\":[1],\"name\":\"n\",\"annotations\":{\"kubectl.kubernetes.io/last-applied-configuration\":\"all\",\"b\":\"c\"}}}",
	    "{\"metadata\":{\"name\":\"n\",\"annotations\":{\"b\":\"c\"}}}");
	redacts("[1,null,\"a\"]", "[1,null,\"a\"]");
}

static void archive(void **state)
{
	char path[] = "/tmp/cox-tar-XXXXXX";
	struct cox_tar *t = NULL;
	struct cox_buf b = { 0 };
	struct cox_err err = { 0 };
	char name[300];
	(void)state;
	close(mkstemp(path));
	assert_int_equal(cox_tar_open(path, &t, &err), COX_OK);
	assert_int_equal(cox_tar_add(t, COX_STR("a/b c"), COX_STR("hello"), &err), COX_OK);
	memset(name, 'd', sizeof(name));
	name[60] = '/';
	assert_int_equal(cox_tar_add(t, cox_str_make(name, 150), COX_STR(""), &err), COX_OK); /* split at the '/' */
	assert_int_equal(cox_tar_add(t, cox_str_make(name, 300), cox_str_make(name, 300), &err), COX_OK);
	assert_int_equal(cox_tar_close(&t, &err), COX_OK);
	assert_int_equal(cox_tar_close(&t, &err), COX_OK);
	assert_int_equal(cox_file_read(path, 1 << 20, &b, &err), COX_OK);
	/* Heads and contents: 1 + 1, 1, 1 + 1, and two blocks of zeros. */
	assert_int_equal(b.n, 7 * 512);
	assert_string_equal(b.p, "a/b_c");
	assert_string_equal(b.p + 257, "ustar");
	assert_string_equal(b.p + 124, "00000000005");
	assert_memory_equal(b.p + 512, "hello\0", 6);
	assert_int_equal(strlen(b.p + 1024), 89);
	assert_int_equal(strlen(b.p + 1024 + 345), 60);
	unsigned sum = 0;
	for (size_t i = 0; i < 512; i++)
		sum += i >= 148 && i < 156 ? ' ' : (unsigned char)b.p[i];
	assert_int_equal(strtoul(b.p + 148, NULL, 8), sum);
	unlink(path);
	cox_buf_fini(&b);
	assert_int_equal(cox_tar_open("/nowhere/at/all", &t, &err), COX_EIO);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(secrets), cmocka_unit_test(archive) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
