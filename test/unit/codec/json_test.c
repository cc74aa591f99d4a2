/* covers: a6 */
#include "codec/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static struct cox_arena arena;

static int setup(void **state)
{
	(void)state;
	arena = (struct cox_arena){ 0 };
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	cox_arena_fini(&arena);
	return 0;
}

static enum cox_rc parse(const char *text, struct cox_json **out, struct cox_err *err)
{
	return cox_json_parse(&arena, cox_str_of(text), out, err);
}

static struct cox_json *must(const char *text)
{
	struct cox_json *v = NULL;
	struct cox_err err = { 0 };
	if (parse(text, &v, &err) != COX_OK)
		fail_msg("%s: %s", text, err.text);
	return v;
}

static void assert_str(struct cox_str s, const char *want)
{
	assert_int_equal(s.n, strlen(want));
	assert_memory_equal(s.p ? s.p : "", want, s.n);
}

static void test_values(void **state)
{
	(void)state;
	assert_int_equal(must(" null ")->type, COX_JSON_NULL);
	assert_true(must("true")->boolean);
	assert_false(must("false")->boolean);
	assert_str(must("-12.5e+3")->text, "-12.5e+3");
	assert_str(must("\"a\\u00e9\\ud83d\\ude00\\n\\/\"")->text, "a\xc3\xa9\xf0\x9f\x98\x80\n/");
	assert_str(must("\"long enough for eight bytes at a time \\\" and an escape\"")->text,
	           "long enough for eight bytes at a time \" and an escape");
	struct cox_json *v = must("{\"a\":[1,2,{\"b\":\"c\"}],\n\"d\":{}, \"e\":[]}");
	assert_int_equal(v->n, 3);
	assert_str(cox_json_at(v, "a")->items[2].members[0].value.text, "c");
	assert_int_equal(cox_json_at(v, "d")->line, 2);
	assert_int_equal(cox_json_at(v, "e")->type, COX_JSON_ARRAY);
	assert_null(cox_json_at(v, "a.b"));
	assert_null(cox_json_at(v, "x.y"));
	assert_str(cox_json_str_at(must("{\"x\":{\"y\":\"z\"}}"), "x.y"), "z");
	assert_int_equal(cox_json_str_at(v, "a").n, 0);
}

static void test_zero_copy(void **state)
{
	(void)state;
	static const char text[] = "{\"key\":\"value\"}";
	struct cox_json *v = must(text);
	struct cox_str s = cox_json_str_at(v, "key");
	assert_true(s.p >= text && s.p < text + sizeof(text));
}

static void test_refused(void **state)
{
	(void)state;
	static const char *const bad[] = { "",
		                           " ",
		                           "{",
		                           "[",
		                           "[1,",
		                           "[1,]",
		                           "{\"a\"}",
		                           "{\"a\":}",
		                           "{\"a\":1,}",
		                           "{a:1}",
		                           "{'a':1}",
		                           "01",
		                           "-",
		                           "1.",
		                           ".5",
		                           "1e",
		                           "+1",
		                           "tru",
		                           "nul",
		                           "truex",
		                           "\"",
		                           "\"\\\"",
		                           "\"\\x\"",
		                           "\"\\u12\"",
		                           "\"\\ud800\"",
		                           "\"\\udc00\"",
		                           "\"\\ud800\\u0041\"",
		                           "\"\t\"",
		                           "\"\xff\"",
		                           "\"\xc0\x80\"",
		                           "\"\xed\xa0\x80\"",
		                           "\"\\n\xff\"",
		                           "1 2",
		                           "{} x",
		                           "[1 2]",
		                           "{\"a\":1 \"b\":2}",
		                           "NaN",
		                           "Infinity",
		                           "{\"a\":1,\"a\":2}",
		                           "{\"b\":1,\"a\":2,\"\\u0062\":3}",
		                           "/* */1",
		                           "\"abcdefg\n\"" };
	for (size_t i = 0; i < COX_LEN(bad); i++) {
		struct cox_json *v = NULL;
		struct cox_err err = { 0 };
		if (parse(bad[i], &v, &err) == COX_OK)
			fail_msg("accepted: %s", bad[i]);
		assert_null(v);
		assert_true(err.text[0] && err.line >= 1);
	}
}

static void test_lines(void **state)
{
	(void)state;
	struct cox_json *v = NULL;
	struct cox_err err = { 0 };
	assert_int_equal(parse("{\n\"a\": 1,\n\n\"b\": x}", &v, &err), COX_EINVAL);
	assert_int_equal(err.line, 4);
	assert_int_equal(parse("{\n\"a\": 1,\n\"a\": 2}", &v, &err), COX_EINVAL);
	assert_int_equal(err.line, 3);
	assert_int_equal(parse("{}\n\nx", &v, &err), COX_EINVAL);
	assert_int_equal(err.line, 3);
}

static void test_limits(void **state)
{
	(void)state;
	struct cox_json *v = NULL;
	struct cox_err err = { 0 };
	char deep[2 * COX_JSON_DEPTH_MAX + 4];
	memset(deep, '[', COX_JSON_DEPTH_MAX);
	memset(deep + COX_JSON_DEPTH_MAX, ']', COX_JSON_DEPTH_MAX);
	deep[2 * COX_JSON_DEPTH_MAX] = 0;
	assert_int_equal(parse(deep, &v, &err), COX_OK);
	memset(deep, '[', COX_JSON_DEPTH_MAX + 1);
	memset(deep + COX_JSON_DEPTH_MAX + 1, ']', COX_JSON_DEPTH_MAX + 1);
	deep[2 * COX_JSON_DEPTH_MAX + 2] = 0;
	assert_int_equal(parse(deep, &v, &err), COX_ELIMIT);
	char *huge = cox_alloc(COX_JSON_BYTES_MAX + 1);
	memset(huge, ' ', COX_JSON_BYTES_MAX + 1);
	assert_int_equal(cox_json_parse(&arena, cox_str_make(huge, COX_JSON_BYTES_MAX + 1), &v, &err), COX_ELIMIT);
	cox_free(huge);
}

static void test_big_objects(void **state)
{
	(void)state;
	struct cox_buf b = { 0 };
	struct cox_json *v = NULL;
	struct cox_err err = { 0 };
	cox_buf_append_char(&b, '{');
	for (int i = 0; i < 20000; i++)
		cox_buf_printf(&b, "%s\"k%d\":\n%d", i ? "," : "", (i * 7919) % 20000, i);
	size_t good = b.n;
	cox_buf_append_char(&b, '}');
	assert_int_equal(cox_json_parse(&arena, cox_buf_str(&b), &v, &err), COX_OK);
	assert_int_equal(v->n, 20000);
	b.n = good;
	cox_buf_append_cstr(&b, ",\"k77\":\n1}");
	assert_int_equal(cox_json_parse(&arena, cox_buf_str(&b), &v, &err), COX_EINVAL);
	assert_non_null(strstr(err.text, "\"k77\""));
	assert_int_equal(err.line, 20002);
	cox_buf_fini(&b);
}

static void test_prefix(void **state)
{
	(void)state;
	struct cox_json *v = NULL;
	size_t used = 0;
	assert_int_equal(cox_json_parse_prefix(&arena, COX_STR("{\"a\":1}\n{\"b\":2}"), 7, &v, &used, NULL), COX_OK);
	assert_int_equal(used, 7);
	assert_int_equal(v->line, 7);
}

static void assert_i64(const char *text, enum cox_rc rc, int64_t want)
{
	int64_t got = 0;
	assert_int_equal(cox_json_to_i64(must(text), &got), rc);
	if (rc == COX_OK)
		assert_true(got == want);
}

static void test_integers(void **state)
{
	(void)state;
	assert_i64("3", COX_OK, 3);
	assert_i64("3.0", COX_OK, 3);
	assert_i64("3e2", COX_OK, 300);
	assert_i64("0.3e1", COX_OK, 3);
	assert_i64("1200e-2", COX_OK, 12);
	assert_i64("-0", COX_OK, 0);
	assert_i64("0e99999999999999999999", COX_OK, 0);
	assert_i64("9223372036854775807", COX_OK, INT64_MAX);
	assert_i64("-9223372036854775808", COX_OK, INT64_MIN);
	assert_i64("9223372036854775808", COX_ELIMIT, 0);
	assert_i64("1e19", COX_ELIMIT, 0);
	assert_i64("1e999999999999", COX_ELIMIT, 0);
	assert_i64("0.5", COX_EINVAL, 0);
	assert_i64("1e-1", COX_EINVAL, 0);
	assert_i64("\"3\"", COX_EINVAL, 0);
	assert_int_equal(cox_json_to_i64(NULL, &(int64_t){ 0 }), COX_EINVAL);
}

static void test_eq(void **state)
{
	(void)state;
	static const char *const same[][2] = { { "1", "1.0" },
		                               { "100", "1e2" },
		                               { "-0.50", "-5e-1" },
		                               { "0", "-0.0" },
		                               { "{\"a\":1,\"b\":[true]}", "{\"b\":[true],\"a\":1}" } };
	static const char *const different[][2] = { { "1", "10" },
		                                    { "1", "-1" },
		                                    { "1", "\"1\"" },
		                                    { "0.1", "0.01" },
		                                    { "{\"a\":1}", "{\"b\":1}" },
		                                    { "[1,2]", "[2,1]" },
		                                    { "{\"a\":1,\"b\":2}", "{\"b\":1,\"a\":2}" },
		                                    { "null", "false" } };
	for (size_t i = 0; i < COX_LEN(same); i++)
		assert_true(cox_json_eq(must(same[i][0]), must(same[i][1])));
	for (size_t i = 0; i < COX_LEN(different); i++)
		assert_false(cox_json_eq(must(different[i][0]), must(different[i][1])));
	assert_false(cox_json_eq(NULL, must("1")));
}

static void assert_written(const struct cox_json *v, unsigned indent, bool sorted, const char *want)
{
	struct cox_buf b = { 0 };
	cox_json_write(&b, v, indent, sorted);
	assert_string_equal(cox_buf_cstr(&b), want);
	cox_buf_fini(&b);
}

static void test_build_and_write(void **state)
{
	(void)state;
	struct cox_json *o = cox_json_new_object(&arena);
	struct cox_json *list = cox_json_set(&arena, o, COX_STR("z"), cox_json_new_array(&arena));
	for (int i = 0; i < 6; i++)
		cox_json_push(&arena, list, cox_json_new_i64(&arena, i));
	cox_json_set(&arena, o, COX_STR("a"), cox_json_new_str(&arena, COX_STR("q\"\\\n\x01")));
	cox_json_set(&arena, o, COX_STR("f"), cox_json_new_f64(&arena, 0.1));
	cox_json_set(&arena, o, COX_STR("b"), cox_json_new_bool(&arena, true));
	cox_json_set(&arena, o, COX_STR("f"), cox_json_new_f64(&arena, 25));
	assert_written(o, 0, false, "{\"z\":[0,1,2,3,4,5],\"a\":\"q\\\"\\\\\\n\\u0001\",\"f\":25,\"b\":true}");
	assert_written(o, 0, true, "{\"a\":\"q\\\"\\\\\\n\\u0001\",\"b\":true,\"f\":25,\"z\":[0,1,2,3,4,5]}");
	assert_written(must("{\"a\":[],\"b\":{},\"c\":[1]}"), 2, false, "{\n  \"a\": [],\n  \"b\": {},\n  \"c\": [\n    1\n  ]\n}");
	/* A parsed container has exactly its room; adding must not write beside it. */
	struct cox_json *p = must("{\"a\":1,\"b\":2,\"c\":3}");
	cox_json_set(&arena, p, COX_STR("d"), must("4"));
	assert_written(p, 0, false, "{\"a\":1,\"b\":2,\"c\":3,\"d\":4}");
	assert_true(cox_json_eq(p, cox_json_clone(&arena, p)));
}

static void test_yaml_text(void **state)
{
	(void)state;
	struct cox_buf b = { 0 };
	cox_json_write_yaml(
	    &b,
	    must(
	        "{\"a\":\"true\",\"b\":\"x: y\",\"c\":[{\"d\":1,\"e\":[]},[2]],\"f\":\"l1\\nl2\\n\",\"g\":\"1\",\"h\":null,\"i\":\"plain text\"}"));
	assert_string_equal(cox_buf_cstr(&b),
	                    "a: \"true\"\nb: \"x: y\"\nc:\n- d: 1\n  e: []\n- - 2\nf: |\n  l1\n  l2\ng: \"1\"\nh: null\ni: plain text\n");
	cox_buf_fini(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_values, setup, teardown),
		cmocka_unit_test_setup_teardown(test_zero_copy, setup, teardown),
		cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(test_lines, setup, teardown),
		cmocka_unit_test_setup_teardown(test_limits, setup, teardown),
		cmocka_unit_test_setup_teardown(test_big_objects, setup, teardown),
		cmocka_unit_test_setup_teardown(test_prefix, setup, teardown),
		cmocka_unit_test_setup_teardown(test_integers, setup, teardown),
		cmocka_unit_test_setup_teardown(test_eq, setup, teardown),
		cmocka_unit_test_setup_teardown(test_build_and_write, setup, teardown),
		cmocka_unit_test_setup_teardown(test_yaml_text, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
