/* covers: d1 d5
 * The JSON patch of an injection, and the strategic merge below it. */
#include "inject/inject_priv.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static struct cox_json *parse(struct cox_arena *a, const char *text)
{
	struct cox_json *v = NULL;
	assert_int_equal(cox_json_parse(a, cox_str_of(text), &v, NULL), COX_OK);
	return v;
}

static void test_patch(void **state)
{
	static const struct {
		const char *before, *after, *patch;
	} rows[] = {
		{ "{}", "{}", "[]" },
		{ "{\"a\":1}", "{\"a\":2}", "[{\"op\":\"replace\",\"path\":\"/a\",\"value\":2}]" },
		{ "{\"a\":1}", "{\"b\":[]}", "[{\"op\":\"remove\",\"path\":\"/a\"},{\"op\":\"add\",\"path\":\"/b\",\"value\":[]}]" },
		{ "{}", "{\"x/y~z\\\"\":1}", "[{\"op\":\"add\",\"path\":\"/x~1y~0z\\\"\",\"value\":1}]" },
		{ "[1,2,3]", "[1,4]", "[{\"op\":\"replace\",\"path\":\"/1\",\"value\":4},{\"op\":\"remove\",\"path\":\"/2\"}]" },
		/* From the end, so that the numbers in front stay true. */
		{ "[1,2,3]", "[]",
		  "[{\"op\":\"remove\",\"path\":\"/2\"},{\"op\":\"remove\",\"path\":\"/1\"},{\"op\":\"remove\",\"path\":\"/0\"}]" },
		{ "{\"l\":[{\"n\":1}]}", "{\"l\":[{\"n\":1},{\"n\":2}]}", "[{\"op\":\"add\",\"path\":\"/l/1\",\"value\":{\"n\":2}}]" },
		{ "{\"a\":{}}", "{\"a\":[]}", "[{\"op\":\"replace\",\"path\":\"/a\",\"value\":[]}]" },
	};
	(void)state;
	for (size_t i = 0; i < COX_LEN(rows); i++) {
		struct cox_arena a = { 0 };
		struct cox_buf out = { 0 };
		cox_inject_patch_write(&out, parse(&a, rows[i].before), parse(&a, rows[i].after));
		assert_string_equal(cox_buf_cstr(&out), rows[i].patch);
		cox_buf_fini(&out);
		cox_arena_fini(&a);
	}
}

static void test_merge(void **state)
{
	static const struct {
		const char *onto, *patch, *result;
	} rows[] = {
		{ "{\"a\":{\"x\":1}}", "{\"a\":{\"y\":2}}", "{\"a\":{\"x\":1,\"y\":2}}" },
		{ "{\"a\":1}", "{\"a\":null}", "{}" },
		{ "{\"args\":[\"a\"]}", "{\"args\":[\"b\"]}", "{\"args\":[\"b\"]}" },
		{ "{\"containers\":[{\"name\":\"a\",\"image\":\"x\"}]}",
		  "{\"containers\":[{\"name\":\"b\"},{\"name\":\"a\",\"image\":\"y\"}]}",
		  "{\"containers\":[{\"name\":\"a\",\"image\":\"y\"},{\"name\":\"b\"}]}" },
		{ "{\"ports\":[{\"containerPort\":80}]}", "{\"ports\":[{\"containerPort\":80,\"name\":\"h\"}]}",
		  "{\"ports\":[{\"containerPort\":80,\"name\":\"h\"}]}" },
		{ "{\"volumeMounts\":[{\"name\":\"v\",\"mountPath\":\"/a\"}]}",
		  "{\"volumeMounts\":[{\"name\":\"v\",\"mountPath\":\"/b\"}]}",
		  "{\"volumeMounts\":[{\"name\":\"v\",\"mountPath\":\"/a\"},{\"name\":\"v\",\"mountPath\":\"/b\"}]}" },
		{ "{\"finalizers\":[\"a\"]}", "{\"finalizers\":[\"a\",\"b\"]}", "{\"finalizers\":[\"a\",\"b\"]}" },
		{ "{\"a\":\"text\"}", "{\"a\":{\"x\":1}}", "{\"a\":{\"x\":1}}" },
	};
	(void)state;
	for (size_t i = 0; i < COX_LEN(rows); i++) {
		struct cox_arena a = { 0 };
		struct cox_json *onto = parse(&a, rows[i].onto);
		inject_merge(&a, onto, parse(&a, rows[i].patch));
		assert_true(cox_json_eq(onto, parse(&a, rows[i].result)));
		cox_arena_fini(&a);
	}
}

/* Every built-in template parses, and no variable of it is misspelt: a pod gets all that the template has. */
static void test_templates(void **state)
{
	static const char *const names[] = { "sidecar", "gateway", "mounted-secret" };
	(void)state;
	for (size_t i = 0; i < COX_LEN(names); i++)
		assert_non_null(inject_template_find(cox_str_of(names[i])));
	assert_null(inject_template_find(COX_STR("waypoint")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_patch),
		cmocka_unit_test(test_merge),
		cmocka_unit_test(test_templates),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
