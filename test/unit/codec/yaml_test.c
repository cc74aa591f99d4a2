/* covers: a252 */
#include "codec/yaml.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static struct cox_arena arena;

/* Documents as "line:json" or "line!error", one a line. */
static void on_doc(void *arg, struct cox_json *root, struct cox_str text, const struct cox_err *err)
{
	struct cox_buf *b = arg;
	assert_true(text.n > 0);
	assert_true((root == NULL) == (err != NULL));
	if (root) {
		cox_buf_printf(b, "%d:", root->line);
		cox_json_write(b, root, 0, false);
	} else {
		cox_buf_printf(b, "%d!", err->line);
	}
	cox_buf_append_char(b, '\n');
}

static void check(const char *yaml, const char *want)
{
	struct cox_buf b = { 0 };
	arena = (struct cox_arena){ 0 };
	assert_int_equal(cox_yaml_each(&arena, cox_str_of(yaml), 1 << 20, on_doc, &b, NULL), COX_OK);
	if (strcmp(cox_buf_cstr(&b), want) != 0)
		fail_msg("for\n%s\ngot\n%s\nwanted\n%s", yaml, cox_buf_cstr(&b), want);
	cox_buf_fini(&b);
	cox_arena_fini(&arena);
}

static void test_documents(void **state)
{
	(void)state;
	check("a: 1\n", "1:{\"a\":1}\n");
	check("", "");
	check("# only a comment\n---\n\n---\n", "");
	check("---\na: 1\n---\nb: 2\n...\n---\nc: 3", "2:{\"a\":1}\n4:{\"b\":2}\n7:{\"c\":3}\n");
	check("--- {a: 1}\n--- # note\nb: [x, y]\n", "1:{\"a\":1}\n3:{\"b\":[\"x\",\"y\"]}\n");
	check("%YAML 1.1\n---\na: 1\n", "3:{\"a\":1}\n");
	check("a: |\n  text\n  ---\n  more\n---\nb: 1\n", "1:{\"a\":\"text\\n---\\nmore\\n\"}\n6:{\"b\":1}\n");
	check("\xef\xbb\xbf"
	      "a: 1\r\n---\r\nb: 2\r\n",
	      "1:{\"a\":1}\n3:{\"b\":2}\n");
}

static void test_bad_document_hides_nothing(void **state)
{
	(void)state;
	check("a: 1\n---\nb: [1\n---\nc: 3\n", "1:{\"a\":1}\n4!\n5:{\"c\":3}\n");
	check("a: 1\n---\nb: x\n c: y\n---\nd: 4\n", "1:{\"a\":1}\n4!\n6:{\"d\":4}\n");
	check("a: 1\na: 2\n---\nb: 2\n", "2!\n4:{\"b\":2}\n");
	check("\tx: 1\n---\nb: 2\n", "1!\n3:{\"b\":2}\n");
	check("a: \xff\n---\nb: 2\n", "1!\n3:{\"b\":2}\n");
}

/* Where in a document that cannot be parsed the fault is. */
static void note_path(void *arg, struct cox_json *root, struct cox_str text, const struct cox_err *err)
{
	(void)root, (void)text;
	cox_buf_printf(arg, "%s\n", err ? err->path : "-");
}

static void test_paths_of_faults(void **state)
{
	(void)state;
	struct cox_buf b = { 0 };
	struct cox_arena a = { 0 };
	static const char text[] =
	    "spec:\n  http:\n  - a: 1\n  - route: [{x: 1, x: 2}]\n---\nspec: {http: [{}, {match: [}]}\n---\na: &a {b: [*a]}\n---\n"
	    "{\"spec\": {\"http\": [1, {\"a\": tru}]}}\n---\n{\"a\": [{\"b\": 1, \"b\": 2}]}\n";
	assert_int_equal(cox_yaml_each(&a, cox_str_of(text), 1 << 20, note_path, &b, NULL), COX_OK);
	assert_string_equal(cox_buf_cstr(&b), "spec.http[1].route[0].x\nspec.http[1].match\na.b[0]\n-\na[0].b\n");
	cox_buf_fini(&b);
	cox_arena_fini(&a);
}

static void test_json(void **state)
{
	(void)state;
	check("{\"a\": 1}\n{\"b\": 2}\n", "1:{\"a\":1}\n2:{\"b\":2}\n");
	check("{\"a\": 1}\n---\nb: 2\n", "1:{\"a\":1}\n3:{\"b\":2}\n");
	check("\n{\"a\": }\n{\"b\": 2}\n", "2!\n3:{\"b\":2}\n");
	check("{a: 1, b: [c]}\n", "1:{\"a\":1,\"b\":[\"c\"]}\n");
}

static void test_scalars(void **state)
{
	(void)state;
	check("[true, True, false, null, ~, yes, on, 'true', \"1\"]", "1:[true,true,false,null,null,\"yes\",\"on\",\"true\",\"1\"]\n");
	check("[1, -2, +3, 0x1F, 0o17, 010, 0b101, 1_000]", "1:[1,-2,3,31,15,8,5,1000]\n");
	check("[1.5, .5, 5., 1e3, -1.e2, 08, 1.2.3, 1:30, 2001-01-01, 1e, ., -]",
	      "1:[1.5,0.5,5.0,1e3,-1.0e2,8,\"1.2.3\",\"1:30\",\"2001-01-01\",\"1e\",\".\",\"-\"]\n");
	check("a:\nb: ''\n", "1:{\"a\":null,\"b\":\"\"}\n");
	check("1: a\ntrue: b\n", "1:{\"1\":\"a\",\"true\":\"b\"}\n");
	check("a: !!str 12\nb: !custom x\n", "1:{\"a\":\"12\",\"b\":\"x\"}\n");
	check("{[a]: b}\n", "1!\n");
	check("? \n: b\n", "1!\n");
}

static void test_anchors(void **state)
{
	(void)state;
	check("a: &x {k: 1}\nb: *x\n", "1:{\"a\":{\"k\":1},\"b\":{\"k\":1}}\n");
	check("a: &x {k: 1, l: 2}\nb:\n  <<: *x\n  k: 3\n", "1:{\"a\":{\"k\":1,\"l\":2},\"b\":{\"k\":3,\"l\":2}}\n");
	check("a: &x {k: 1}\nc: &y {k: 2, m: 4}\nb:\n  <<: [*x, *y]\n",
	      "1:{\"a\":{\"k\":1},\"c\":{\"k\":2,\"m\":4},\"b\":{\"k\":1,\"m\":4}}\n");
	check("a: *missing\n", "1!\n");
	check("a: &x [*x]\n", "1!\n");
	check("a:\n  <<: 5\n", "2!\n");
	check("'<<': 5\n", "1:{\"<<\":5}\n");
}

static void test_billion_laughs(void **state)
{
	(void)state;
	struct cox_buf b = { 0 };
	cox_buf_append_cstr(&b, "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
	for (int i = 1; i < 12; i++)
		cox_buf_printf(&b, "a%d: &a%d [*a%d, *a%d, *a%d, *a%d, *a%d, *a%d, *a%d, *a%d, *a%d]\n", i, i, i - 1, i - 1, i - 1, i - 1,
		               i - 1, i - 1, i - 1, i - 1, i - 1);
	cox_buf_append_cstr(&b, "---\nb: 1\n");
	struct cox_buf out = { 0 };
	arena = (struct cox_arena){ 0 };
	assert_int_equal(cox_yaml_each(&arena, cox_buf_str(&b), 1 << 20, on_doc, &out, NULL), COX_OK);
	assert_non_null(strstr(cox_buf_cstr(&out), "!\n14:{\"b\":1}\n"));
	assert_true(arena.used_bytes < 10 << 20);
	cox_buf_fini(&out);
	cox_buf_clear(&b);
	/* Each level one deeper through its alias. */
	cox_buf_append_cstr(&b, "a0: &a0 []\n");
	for (int i = 1; i < 300; i++)
		cox_buf_printf(&b, "a%d: &a%d [*a%d]\n", i, i, i - 1);
	assert_int_equal(cox_yaml_each(&arena, cox_buf_str(&b), 1 << 20, on_doc, &out, NULL), COX_OK);
	assert_non_null(strchr(cox_buf_cstr(&out), '!'));
	cox_buf_fini(&out);
	cox_buf_fini(&b);
	cox_arena_fini(&arena);
}

static void test_limits(void **state)
{
	(void)state;
	struct cox_err err = { 0 };
	struct cox_buf out = { 0 }, deep = { 0 };
	size_t huge_bytes = 100 << 20;
	char *huge = cox_alloc(huge_bytes);
	memset(huge, 'a', huge_bytes);
	arena = (struct cox_arena){ 0 };
	assert_int_equal(cox_yaml_each(&arena, cox_str_make(huge, huge_bytes), 16 << 20, on_doc, &out, &err), COX_ELIMIT);
	assert_int_equal(out.n, 0);
	/* Taken as a whole, but refused as a document. */
	assert_int_equal(cox_yaml_each(&arena, cox_str_make(huge, 17 << 20), huge_bytes, on_doc, &out, &err), COX_OK);
	assert_string_equal(cox_buf_cstr(&out), "1!\n");
	cox_free(huge);
	for (int i = 0; i < 5000; i++)
		cox_buf_append_char(&deep, '[');
	cox_buf_clear(&out);
	assert_int_equal(cox_yaml_each(&arena, cox_buf_str(&deep), 1 << 20, on_doc, &out, &err), COX_OK);
	assert_string_equal(cox_buf_cstr(&out), "1!\n");
	cox_buf_fini(&out);
	cox_buf_fini(&deep);
	cox_arena_fini(&arena);
}

/* What the YAML writer writes reads back as the same tree. */
static void reread(void *arg, struct cox_json *root, struct cox_str text, const struct cox_err *err)
{
	(void)text;
	assert_null(err);
	assert_true(cox_json_eq(arg, root));
}

static void test_writer_round_trip(void **state)
{
	(void)state;
	static const char text[] =
	    "{\"a\":[\"yes\",\"null\",\"1\",\"0x1\",\"-\",\"\",\" x\",\"x \",\"x: y\",\"x #y\",\"#\",\"a\\nb\",\"a\\nb\\n\",\"a\\n\\nb\\n\",\"\\u0085\",\"\\ufeff\",\"\\u2028\","
	    "\"a\\tb\",\"[\",\"{}\",\"!t\",\"&a\",\"*a\",\"%\",\"@\",\"`\",\"key:\",\"a,b\",\"1e3\",\"<<\",\"---\",\"\xc3\xa9\"],\"<<\":{\"y\":[[[]],{},[{\"z\":[1,{\"q\":2}]}]]},\"\":null}";
	struct cox_json *v = NULL;
	struct cox_buf b = { 0 };
	arena = (struct cox_arena){ 0 };
	assert_int_equal(cox_json_parse(&arena, cox_str_of(text), &v, NULL), COX_OK);
	cox_json_write_yaml(&b, v);
	assert_int_equal(cox_yaml_each(&arena, cox_buf_str(&b), 1 << 20, reread, v, NULL), COX_OK);
	cox_buf_fini(&b);
	cox_arena_fini(&arena);
}

static void test_one(void **state)
{
	(void)state;
	struct cox_json *root = NULL;
	struct cox_err err = { 0 };
	int second = -1;
	arena = (struct cox_arena){ 0 };
	assert_int_equal(cox_yaml_one(&arena, COX_STR("---\na: 1\n"), 1 << 20, &root, NULL, &err), COX_OK);
	assert_int_equal(root->members[0].value.type, COX_JSON_NUMBER);
	root = NULL;
	assert_int_equal(cox_yaml_one(&arena, COX_STR("# nothing\n---\n"), 1 << 20, &root, &second, &err), COX_OK);
	assert_null(root);
	assert_int_equal(second, 0);
	/* More than one: refused, or the line is told. */
	assert_int_equal(cox_yaml_one(&arena, COX_STR("a: 1\n---\nb: 2\n"), 1 << 20, &root, NULL, &err), COX_EINVAL);
	assert_int_equal(err.line, 3);
	assert_null(root);
	assert_int_equal(cox_yaml_one(&arena, COX_STR("a: 1\n---\n{b\n"), 1 << 20, &root, &second, &err), COX_OK);
	assert_true(cox_str_eq(root->members[0].key, COX_STR("a")));
	assert_true(second >= 3);
	/* A broken first one is not made good by the second. */
	assert_int_equal(cox_yaml_one(&arena, COX_STR("{a\n---\nb: 2\n"), 1 << 20, &root, &second, &err), COX_EINVAL);
	assert_true(err.line >= 1 && err.text[0]);
	assert_int_equal(cox_yaml_one(&arena, COX_STR("a: 12345\n"), 4, &root, &second, &err), COX_ELIMIT);
	cox_arena_fini(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_documents),         cmocka_unit_test(test_bad_document_hides_nothing),
		cmocka_unit_test(test_paths_of_faults),   cmocka_unit_test(test_json),
		cmocka_unit_test(test_scalars),           cmocka_unit_test(test_anchors),
		cmocka_unit_test(test_billion_laughs),    cmocka_unit_test(test_limits),
		cmocka_unit_test(test_writer_round_trip), cmocka_unit_test(test_one),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
