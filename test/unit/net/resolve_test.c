/* The addresses of a host: sorted, each once; a question that is given up. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "net/resolve.h"

struct answer {
	enum cox_rc rc;
	size_t n;
	bool has_v4, is_there;
};

static void on_done(void *ctx, enum cox_rc rc, const struct cox_str *addresses, size_t n)
{
	struct answer *a = ctx;
	a->rc = rc;
	a->n = n;
	a->is_there = true;
	for (size_t i = 0; i < n; i++) {
		a->has_v4 |= cox_str_eq_cstr(addresses[i], "127.0.0.1");
		assert_true(i == 0 || cox_str_cmp(addresses[i - 1], addresses[i]) < 0);
	}
}

static bool is_there(void *ctx) { return ((struct answer *)ctx)->is_there; }

static void test_resolve(void **state)
{
	(void)state;
	struct cox_loop *loop = cox_loop_new("test");
	struct answer known = { 0 }, unknown = { 0 }, given_up = { 0 };
	struct cox_resolve *q = NULL, *other = NULL, *third = NULL;
	cox_resolve_open(loop, COX_STR("localhost"), on_done, &known, &q);
	cox_resolve_open(loop, COX_STR("localhost"), on_done, &given_up, &third);
	cox_resolve_close(&third);
	assert_null(third);
	assert_true(cox_loop_run_until(loop, is_there, &known, 10000));
	assert_int_equal(known.rc, COX_OK);
	assert_true(known.has_v4);
	cox_resolve_open(loop, COX_STR("no host. at all"), on_done, &unknown, &other);
	if (other) {
		assert_true(cox_loop_run_until(loop, is_there, &unknown, 10000));
		assert_int_not_equal(unknown.rc, COX_OK);
	}
	cox_loop_free(&loop);
	assert_false(given_up.is_there);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_resolve) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
