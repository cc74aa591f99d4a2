/* covers: d15 d16
 * What nodes and namespaces decide: native sidecars, the proxy's user ids. */
#include "inject/inject_priv.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

static const struct cox_object *build(const char *text)
{
	COX_AUTO(cox_arena_fini) struct cox_arena arena = { 0 };
	struct cox_diags diags = { .arena = &arena };
	struct cox_json *doc = NULL;
	const struct cox_object *o = NULL;
	assert_int_equal(cox_json_parse(&arena, cox_str_of(text), &doc, NULL), COX_OK);
	assert_int_equal(cox_object_build(doc, COX_STR("test"), COX_STR(""), &arena, &diags, &o), COX_OK);
	return o;
}

static bool takes(const char *const *versions, size_t n)
{
	const struct cox_object *nodes[4] = { 0 };
	char text[300];
	for (size_t i = 0; i < n; i++) {
		snprintf(
		    text, sizeof(text),
		    "{\"apiVersion\":\"v1\",\"kind\":\"Node\",\"metadata\":{\"name\":\"n%zu\"},\"status\":{\"nodeInfo\":{\"kubeletVersion\":\"%s\"}}}",
		    i, versions[i]);
		nodes[i] = build(text);
	}
	bool all = cox_inject_nodes_take_native_sidecars(nodes, n);
	for (size_t i = 0; i < n; i++)
		cox_object_unref(nodes[i]);
	return all;
}

static void test_nodes(void **state)
{
	(void)state;
	assert_false(takes(NULL, 0));
	assert_true(takes((const char *[]){ "v1.33.0" }, 1));
	assert_true(takes((const char *[]){ "v1.33.1-gke.100", "v1.40.2+k3s1", "v2.0.0" }, 3));
	assert_true(takes((const char *[]){ "v1.33+.0" }, 1));
	/* One that is older decides for all. */
	assert_false(takes((const char *[]){ "v1.34.0", "v1.32.9" }, 2));
	assert_false(takes((const char *[]){ "v1.34.0", "" }, 2));
	assert_false(takes((const char *[]){ "what" }, 1));
}

static void test_ids(void **state)
{
	static const struct {
		const char *annotations;
		int64_t uid, gid;
	} rows[] = {
		{ "{}", 1337, 1337 },
		{ "{\"openshift.io/sa.scc.uid-range\":\"1000650000/10000\"}", 1000659999, 1000659999 },
		{ "{\"openshift.io/sa.scc.uid-range\":\"1000-1499\",\"openshift.io/sa.scc.supplemental-groups\":\"2000/10,9/1\"}", 1499,
		  2009 },
		{ "{\"openshift.io/sa.scc.uid-range\":\"1000/10\",\"openshift.io/sa.scc.supplemental-groups\":\"x\"}", 1009, 1337 },
		{ "{\"openshift.io/sa.scc.uid-range\":\"-5/3\"}", 1337, 1337 },
		{ "{\"openshift.io/sa.scc.uid-range\":\"4294967295/9\"}", 1337, 1337 },
		{ "{\"openshift.io/sa.scc.uid-range\":\"abc\"}", 1337, 1337 },
	};
	(void)state;
	for (size_t i = 0; i < COX_LEN(rows); i++) {
		COX_AUTO(cox_arena_fini) struct cox_arena arena = { 0 };
		struct cox_diags diags = { .arena = &arena };
		struct cox_inject_config *c = NULL;
		char text[500];
		snprintf(text, sizeof(text),
		         "{\"apiVersion\":\"v1\",\"kind\":\"Namespace\",\"metadata\":{\"name\":\"shop\",\"annotations\":%s}}",
		         rows[i].annotations);
		const struct cox_object *ns = build(text);
		assert_int_equal(
		    cox_inject_config_build(&(struct cox_inject_sources){ .namespaces = &ns, .namespace_n = 1 }, &diags, &c, NULL), COX_OK);
		int64_t uid, gid;
		inject_ids_of(c, COX_STR("shop"), &uid, &gid);
		assert_int_equal(uid, rows[i].uid);
		assert_int_equal(gid, rows[i].gid);
		inject_ids_of(c, COX_STR("other"), &uid, &gid);
		assert_int_equal(uid, 1337);
		/* The pod that comes of it. */
		struct cox_json *pod = NULL;
		struct cox_inject_result result;
		assert_int_equal(
		    cox_json_parse(&arena, COX_STR("{\"spec\":{\"containers\":[{\"name\":\"a\",\"image\":\"b\"}]}}"), &pod, NULL), COX_OK);
		assert_int_equal(
		    cox_inject_pod(c, &(struct cox_inject_request){ .pod = pod, .ns = COX_STR("shop") }, &arena, &result, NULL), COX_OK);
		const struct cox_json *proxy = inject_by_name(cox_json_at(result.pod, "spec.containers"), COX_STR("istio-proxy"));
		int64_t as;
		assert_int_equal(cox_json_to_i64(cox_json_at(proxy, "securityContext.runAsUser"), &as), COX_OK);
		assert_int_equal(as, rows[i].uid);
		cox_inject_config_unref(c);
		cox_object_unref(ns);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_nodes), cmocka_unit_test(test_ids) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
