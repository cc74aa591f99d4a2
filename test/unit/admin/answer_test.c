/* Answers in parts, and queries. covers: g7 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "admin/answer.h"

static void test_query(void **state)
{
	(void)state;
	struct answer *w = answer_new(NULL);
	answer_read_query(w, COX_STR("proxyID=a%2eb+c%&include_eds&unknown=1&types=cds&&types=%6c%64s&pretty="));
	assert_true(cox_str_eq(w->params[PARAM_PROXY], COX_STR("a.b c%")));
	assert_true(w->has_param[PARAM_INCLUDE_EDS] && !w->params[PARAM_INCLUDE_EDS].n && !w->has_param[PARAM_CLEAR]);
	assert_true(cox_str_eq(w->params[PARAM_TYPES], COX_STR("lds")));
	assert_true(w->has_param[PARAM_PRETTY]);
	answer_free(w);
}

static bool count_down(struct answer *w, struct cox_buf *part)
{
	int *left = w->state;
	if (*left == 3)
		answer_open(w, part, "{\"list\":[");
	cox_arena_reset(&w->scratch);
	answer_item(w, part, cox_json_new_i64(&w->scratch, *left));
	if (--*left)
		return true;
	answer_close(w, part, "]");
	answer_key(w, part, COX_STR("end\n"));
	answer_open(w, part, "[");
	answer_close(w, part, "]}");
	return false;
}

static void test_parts(void **state)
{
	(void)state;
	for (int pretty = 0; pretty < 2; pretty++) {
		struct answer *w = answer_new(NULL);
		struct cox_buf out = { 0 };
		struct cox_err err = { 0 };
		struct cox_json *v;
		int left = 3, parts = 1;
		w->state = &left;
		w->more = count_down;
		w->has_param[PARAM_PRETTY] = pretty;
		while (answer_next(w, &out))
			parts++;
		assert_int_equal(parts, 3);
		assert_false(answer_next(w, &out));
		assert_int_equal(cox_json_parse(&w->arena, cox_str_trim(cox_buf_str(&out)), &v, &err), COX_OK);
		assert_int_equal(cox_json_get(v, COX_STR("list"))->n, 3);
		assert_non_null(cox_json_get(v, COX_STR("end\n")));
		cox_buf_fini(&out);
		answer_free(w);
	}
}

static void test_words(void **state)
{
	(void)state;
	struct answer *w = answer_new(NULL);
	struct cox_buf out = { 0 };
	answer_say(w, 404, "gone");
	assert_false(answer_next(w, &out));
	assert_true(cox_str_eq(cox_buf_str(&out), COX_STR("gone\n")) && w->status == 404);
	cox_buf_fini(&out);
	answer_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_query), cmocka_unit_test(test_parts), cmocka_unit_test(test_words) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
