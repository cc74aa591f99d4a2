/* covers: g57 a254 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "status/status_priv.h"

static struct cox_json *parse(struct cox_arena *a, const char *text)
{
	struct cox_json *v = NULL;
	assert_int_equal(cox_json_parse(a, cox_str_of(text), &v, NULL), COX_OK);
	return v;
}

static void assert_json(struct cox_arena *a, const struct cox_json *have, const char *want)
{
	if (cox_json_eq(have, parse(a, want)))
		return;
	struct cox_buf b = { 0 };
	cox_json_write(&b, have, 0, false);
	fail_msg("%s\nis not\n%s", cox_buf_cstr(&b), want);
}

#define CONDITION(status, more) "{\"type\":\"Accepted\",\"status\":\"" status "\",\"reason\":\"R\"" more "}"
#define OURS(status, more) \
	"{\"parentRef\":{\"name\":\"gw\"},\"controllerName\":\"istio.io/gateway-controller\",\"conditions\":[" CONDITION(status, more) "]}"
#define THEIRS "{\"parentRef\":{\"name\":\"gw\"},\"controllerName\":\"other.io/it\",\"conditions\":[]}"

/* Times of conditions that stay are the server's; entries of other controllers are kept. */
static void parents(void **state)
{
	(void)state;
	struct cox_arena a = { 0 };
	const struct cox_json *tree = parse(&a, "{\"parents\":[" OURS("True", "") "]}");
	const struct cox_json *was = parse(&a, "{\"parents\":[" THEIRS "," OURS("True", ",\"lastTransitionTime\":\"T1\"") "]}");
	struct cox_json *v = status_tree_merge(&a, tree, was, COX_STR("T2"));
	assert_json(&a, v, "{\"parents\":[" OURS("True", ",\"lastTransitionTime\":\"T1\"") "," THEIRS "]}");
	assert_true(status_tree_is_shared(v));
	assert_true(status_tree_is_said(tree, v));
	assert_false(status_tree_is_said(tree, NULL));
	const struct cox_json *other = parse(&a, "{\"parents\":[" OURS("False", "") "]}");
	assert_false(status_tree_is_said(other, v));
	assert_json(&a, status_tree_merge(&a, other, v, COX_STR("T2")),
	            "{\"parents\":[" OURS("False", ",\"lastTransitionTime\":\"T2\"") "," THEIRS "]}");
	/* Nothing of ours any more. */
	assert_json(&a, status_tree_merge(&a, NULL, v, COX_STR("T3")), "{\"parents\":[" THEIRS "]}");
	cox_arena_fini(&a);
}

/* Conditions of other types may stand beside ours where the server merges them; listeners go by name. */
static void conditions(void **state)
{
	(void)state;
	struct cox_arena a = { 0 };
	const struct cox_json *tree = parse(&a, "{\"listeners\":[{\"name\":\"b\",\"conditions\":[" CONDITION("True", "") "]}]}");
	const struct cox_json *was =
	    parse(&a, "{\"listeners\":[{\"name\":\"a\",\"conditions\":[" CONDITION(
	                  "True", ",\"lastTransitionTime\":\"T0\"") "]},"
	                                                            "{\"name\":\"b\",\"conditions\":[" CONDITION(
	                                                                "True", ",\"lastTransitionTime\":\"T1\"") "]}]}");
	struct cox_json *v = status_tree_merge(&a, tree, was, COX_STR("T2"));
	assert_json(&a, v, "{\"listeners\":[{\"name\":\"b\",\"conditions\":[" CONDITION("True", ",\"lastTransitionTime\":\"T1\"") "]}]}");
	assert_false(status_tree_is_shared(v));
	assert_false(status_tree_is_said(tree, was)); /* a listener is gone */
	assert_true(status_tree_is_said(tree, v));
	const struct cox_json *top = parse(&a, "{\"conditions\":[" CONDITION("True", "") "]}");
	assert_true(status_tree_is_said(top, parse(&a, "{\"conditions\":[{\"type\":\"Other\",\"status\":\"True\"}," CONDITION(
	                                                   "True", ",\"lastTransitionTime\":\"T1\"") "]}")));
	cox_arena_fini(&a);
}

static void load_balancer(void **state)
{
	(void)state;
	struct cox_arena a = { 0 };
	const struct cox_json *tree = parse(&a, "{\"loadBalancer\":{\"ingress\":[{\"ip\":\"192.0.2.1\"}]}}");
	const struct cox_json *none = parse(&a, "{\"loadBalancer\":{}}");
	assert_true(status_tree_is_said(tree, tree));
	assert_true(status_tree_is_said(none, none));
	assert_false(status_tree_is_said(none, tree));
	assert_false(status_tree_is_said(tree, none));
	assert_json(&a, status_tree_merge(&a, NULL, tree, COX_STR("T")), "{}");
	cox_arena_fini(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(parents), cmocka_unit_test(conditions), cmocka_unit_test(load_balancer) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
