/* --set, and values over values. covers: f11 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "codec/yaml.h"
#include "install/operator.h"

static struct cox_arena arena;

static struct cox_json *tree_of(const char *yaml)
{
	struct cox_json *t = NULL;
	assert_int_equal(cox_yaml_one(&arena, cox_str_of(yaml), 1 << 20, &t, NULL, NULL), COX_OK);
	return t;
}

static void sets(const char *before, const char *assignment, const char *after)
{
	const struct cox_json *out = NULL;
	struct cox_err err = { 0 };
	int rc = cox_values_set(&arena, tree_of(before), assignment, &out, &err);
	if (rc != COX_OK || !cox_json_eq(out, tree_of(after)))
		fail_msg("%s: %s", assignment, err.text);
}

static void refuses(const char *before, const char *assignment, const char *says)
{
	const struct cox_json *out = NULL;
	struct cox_err err = { 0 };
	assert_int_equal(cox_values_set(&arena, tree_of(before), assignment, &out, &err), COX_EINVAL);
	assert_non_null(strstr(err.text, says));
	assert_null(out);
}

static void paths(void **state)
{
	(void)state;
	sets("{}", "a=b", "{a: b}");
	sets("{a: {b: 1, c: 2}}", "a.b=3", "{a: {b: 3, c: 2}}");
	sets("{a: b}", "a=", "{a: ''}");
	sets("{}", "a.b\\.c/d=x", "{a: {b.c/d: x}}");
	sets("{l: [{n: 1}, {n: 2}]}", "l[1].n=5", "{l: [{n: 1}, {n: 5}]}");
	sets("{}", "l[1]=x", "{l: [null, x]}");
	sets("{l: [{name: a}]}", "l[name:b].on=true", "{l: [{name: a}, {name: b, on: true}]}");
	sets("{l: [{name: a, on: false}]}", "l[name:a].on=true", "{l: [{name: a, on: true}]}");
	sets("{l: [[1, 2]]}", "l[0][1]=3", "{l: [[1, 3]]}");
	refuses("{a: x}", "a.b=1", "no map");
	refuses("{a: x}", "a[0]=1", "no list");
	refuses("{}", "=x", "path=value");
	refuses("{}", "a", "path=value");
	refuses("{}", "a..b=x", "a name is missing");
	refuses("{}", "a[=x", "[ without ]");
	refuses("{}", "a[-1]=x", "neither a number");
	refuses("{}", "a[99999]=x", "neither a number");
	refuses("{}", "a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a=x", "too long");
}

static void values(void **state)
{
	(void)state;
	sets("{}", "a=true", "{a: true}");
	sets("{}", "a=\"true\"", "{a: 'true'}");
	sets("{}", "a=12", "{a: 12}");
	sets("{}", "a=0x10", "{a: '0x10'}");
	sets("{}", "a=1.5", "{a: 1.5}");
	sets("{a: 1}", "a=null", "{a: null}");
	sets("{}", "a={x,y}", "{a: [x, y]}");
	sets("{}", "a={}", "{a: []}");
	sets("{}", "a=b: c", "{a: 'b: c'}");
	sets("{}", "a=http://x=y", "{a: 'http://x=y'}");
	sets("{}", "a=*", "{a: '*'}");
	sets("{}", "a={b: c}", "{a: {b: c}}");
}

static void overlays(void **state)
{
	(void)state;
	const struct cox_json *out = cox_values_overlay(&arena, tree_of("{a: {b: 1, c: [1], d: 4}, e: 5}"),
	                                                tree_of("{a: {b: 2, c: [], d: null, n: null}, f: {g: 1}}"));
	assert_true(cox_json_eq(out, tree_of("{a: {b: 2, c: [], n: null}, e: 5, f: {g: 1}}")));
	assert_ptr_equal(cox_values_overlay(&arena, NULL, out), out);
	assert_ptr_equal(cox_values_overlay(&arena, out, NULL), out);
}

static void charts(void **state)
{
	struct cox_charts *c;
	struct cox_json *objects;
	struct cox_err err = { 0 };
	(void)state;
	assert_int_equal(cox_charts_open(NULL, &c, &err), COX_OK);
	assert_true(cox_charts_text(c, "charts/istiod/Chart.yaml").n > 0);
	assert_int_equal(cox_charts_text(c, "charts/none").n, 0);
	struct cox_chart_release r = { COX_STR("gateway"), COX_STR("edge"), COX_STR("ns"),
		                       tree_of("{kind: DaemonSet, rbac: {enabled: false}}") };
	assert_int_equal(cox_chart_render(c, &r, &arena, &objects, &err), COX_OK);
	assert_int_equal(objects->n, 3); /* account, Service, DaemonSet, in this order */
	assert_true(cox_str_eq_cstr(cox_json_str_at(&objects->items[0], "kind"), "ServiceAccount"));
	assert_true(cox_str_eq_cstr(cox_json_str_at(&objects->items[2], "kind"), "DaemonSet"));
	r.values = tree_of("{service: 1}");
	assert_int_equal(cox_chart_render(c, &r, &arena, &objects, &err), COX_EINVAL);
	assert_non_null(strstr(err.path, "service.yaml"));
	r.chart = COX_STR("none");
	assert_int_equal(cox_chart_render(c, &r, &arena, &objects, &err), COX_ENOTFOUND);
	cox_charts_close(&c);
	assert_null(c);
}

static int teardown(void **state)
{
	(void)state;
	cox_arena_fini(&arena);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(paths), cmocka_unit_test(values), cmocka_unit_test(overlays),
		                            cmocka_unit_test(charts) };
	return cmocka_run_group_tests(tests, NULL, teardown);
}
