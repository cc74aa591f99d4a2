/* RateLimitPolicy: what is taken, and what is refused and why. covers: e5 */
#include "model/rate_limit_policy.h"
#include "model/document.h"

static struct cox_diags diags;

static enum cox_rc build(const char *spec, const struct cox_object **out)
{
	struct cox_str yaml = cox_arena_printf(
	    &arena, "apiVersion: traffic.coxswain.io/v1alpha1\nkind: RateLimitPolicy\nmetadata: {name: r, namespace: shop}\nspec: %s\n",
	    spec);
	diags = (struct cox_diags){ .arena = &arena };
	return cox_object_build(document(yaml), COX_STR("test.yaml:1"), (struct cox_str){ 0 }, &arena, &diags, out);
}

static void test_every_field_is_read(void **state)
{
	const struct cox_object *o = NULL;
	(void)state;
	assert_int_equal(build("{selector: {matchLabels: {app: a}}, scope: LOCAL, mode: DRY_RUN, status: 503, limitHeaders: true, "
	                       "responseHeaders: {x-a: b}, limits: [{name: l, match: [{path: {prefix: /p}, method: {exact: GET}, host: "
	                       "{exact: h}, headers: {x-h: {regex: v}}}], by: [{header: x-u}, {clientAddress: true}], requests: 5, per: "
	                       "1m, burst: 9}]}",
	                       &o),
	                 COX_OK);
	assert_int_equal(diags.n, 0);
	const struct cox_rate_limit_policy *v = COX_SPEC(cox_rate_limit_policy_object, o)->spec;
	const struct cox_rate_limit *l = v->limits.p;
	assert_int_equal(v->mode, COX_RATE_DRY_RUN);
	assert_int_equal(v->status.v, 503);
	assert_true(v->limit_headers.v && v->response_headers.n == 1 && v->selector->match_labels.n == 1);
	assert_true(l->match.p[0].path->prefix.set && l->match.p[0].method->exact.set && l->match.p[0].host->exact.set);
	assert_int_equal(l->match.p[0].headers.n, 1);
	assert_true(cox_str_eq(l->by.p[0].header, COX_STR("x-u")) && l->by.p[1].client_address.v);
	assert_int_equal(l->requests.v, 5);
	assert_int_equal(l->per_ns.v, INT64_C(60000000000));
	assert_int_equal(l->burst.v, 9);
	cox_object_unref(o);
}

static void test_faults_are_named(void **state)
{
	static const struct {
		const char *spec, *says;
	} rows[] = {
		{ "{limits: []}", "limits" },
		{ "{scope: GLOBAL, limits: [{name: l, requests: 1}]}", "scope" },
		{ "{status: 200, limits: [{name: l, requests: 1}]}", "status" },
		{ "{limits: [{name: l}]}", "requests" },
		{ "{limits: [{requests: 1}]}", "name" },
		{ "{limits: [{name: l, requests: 0}]}", "requests" },
		{ "{limits: [{name: l, requests: 1, per: 10ms}]}", "per" },
		{ "{limits: [{name: l, requests: 1, by: [{}]}]}", "header or clientAddress: true is missing" },
		{ "{limits: [{name: l, requests: 1, match: [{headers: {\"a b\": {exact: x}}}]}]}", "is no name of an HTTP header" },
		{ "{limits: [{name: l, requests: 1}, {name: l, requests: 2}]}", "limits[1].name: \"l\" is given before" },
		{ "{responseHeaders: {\"a b\": c}, limits: [{name: l, requests: 1}]}", "responseHeaders: \"a b\"" },
	};
	(void)state;
	for (size_t i = 0; i < COX_LEN(rows); i++) {
		const struct cox_object *o = NULL;
		bool found = false;
		if (build(rows[i].spec, &o) == COX_OK)
			cox_object_unref(o);
		for (size_t k = 0; k < diags.n && !found; k++)
			found = diags.items[k].severity == COX_SEV_ERROR &&
			        strstr(cox_arena_printf(&arena, "%.*s: %.*s", COX_FMT(diags.items[k].path), COX_FMT(diags.items[k].text)).p,
			               rows[i].says);
		if (!found)
			fail_msg("%s: no error says: %s", rows[i].spec, rows[i].says);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_every_field_is_read, setup, teardown),
		cmocka_unit_test_setup_teardown(test_faults_are_named, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
