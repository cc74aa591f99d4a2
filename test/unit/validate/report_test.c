/* covers: d69 */
#include "validate/report.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static const char vs[] =
    "{\"apiVersion\":\"networking.istio.io/v1\",\n\"kind\":\"VirtualService\",\n\"metadata\":{\"name\":\"reviews\",\"namespace\":\"default\"},\n"
    "\"spec\":{\"hosts\":[\"reviews\"],\"typo\":1,\n\"http\":[{\"route\":[{\"destination\":{\"host\":\"reviews\"},\n\"weight\":-1}]}]}}";

static void build(struct cox_arena *arena, struct cox_diags *diags, struct cox_json **doc)
{
	const struct cox_object *o = NULL;
	assert_int_equal(cox_json_parse(arena, cox_str_of(vs), doc, NULL), COX_OK);
	assert_int_equal(cox_object_build(*doc, COX_STR("f.yaml"), (struct cox_str){ 0 }, arena, diags, &o), COX_EINVAL);
	assert_null(o);
}

static void test_lines(void **state)
{
	(void)state;
	struct cox_arena arena = { 0 };
	struct cox_diags diags = { .arena = &arena };
	struct cox_json *doc = NULL;
	struct cox_buf out = { 0 };
	build(&arena, &diags, &doc);
	struct cox_report_about about = cox_report_about(doc, COX_STR("f.yaml"));
	cox_report_write(&diags, &about, &out);
	assert_string_equal(
	    cox_buf_cstr(&out),
	    "error: VirtualService default/reviews: spec.http[0].route[0].weight: must be from 0 to 2147483647, is -1 (f.yaml line 6)\n"
	    "warning: VirtualService default/reviews: spec.typo: unknown field, ignored (f.yaml line 4)\n");
	cox_buf_clear(&out);
	cox_report_write_denial(&diags, &about, &out);
	assert_string_equal(cox_buf_cstr(&out),
	                    "VirtualService default/reviews: spec.http[0].route[0].weight: must be from 0 to 2147483647, is -1");
	cox_buf_fini(&out);
	cox_arena_fini(&arena);
}

static void test_whole_text_and_many(void **state)
{
	(void)state;
	struct cox_arena arena = { 0 };
	struct cox_diags diags = { .arena = &arena };
	struct cox_report_about about = { .origin = COX_STR("f.yaml") };
	struct cox_buf out = { 0 };
	cox_report_write_denial(&diags, &about, &out);
	assert_int_equal(out.n, 0);
	cox_diag_add(&diags, COX_SEV_ERROR, 3, "", "YAML: %s", "bad");
	cox_report_write(&diags, &about, &out);
	assert_string_equal(cox_buf_cstr(&out), "error: YAML: bad (f.yaml line 3)\n");
	for (int i = 0; i < COX_DIAGS_MAX + 5; i++)
		cox_diag_add(&diags, COX_SEV_ERROR, 0, "a", "x");
	assert_int_equal(diags.n, COX_DIAGS_MAX);
	assert_int_equal(diags.errors, COX_DIAGS_MAX + 6);
	cox_buf_clear(&out);
	cox_report_write(&diags, &about, &out);
	assert_non_null(strstr(cox_buf_cstr(&out), "6 more findings\n"));
	cox_buf_fini(&out);
	cox_arena_fini(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_lines), cmocka_unit_test(test_whole_text_and_many) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
