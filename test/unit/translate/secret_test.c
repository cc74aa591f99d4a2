/* covers: a119 a120 c34 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "mesh_fixture.h"

#include "../tls_secrets.h"
#include "envoy/transcode.h"
#include "translate/secret.h"

static void test_names(void **state)
{
	(void)state;
	static const struct {
		const char *name, *ns, *object, *fallback;
		bool is_map, is_ca;
	} good[] = {
		{ "kubernetes://web", "edge", "web", "", false, false },
		{ "kubernetes://other/web", "other", "web", "", false, false },
		{ "kubernetes-gateway://other/web", "other", "web", "", false, false },
		{ "kubernetes://web-cacert", "edge", "web-cacert", "web", false, true },
		{ "configmap://edge/ca", "edge", "ca", "", true, true },
		{ "configmap://edge/ca-cacert", "edge", "ca-cacert", "ca", true, true },
	};
	static const char *const bad[] = { "default",
		                           "ROOTCA",
		                           "kubernetes://",
		                           "kubernetes:///x",
		                           "kubernetes://a/b/c",
		                           "kubernetes-gateway://x",
		                           "configmap://x",
		                           "invalid://a/b",
		                           "file-root:/a",
		                           "kubernetes://cacerts",
		                           "kubernetes://istio-ca-secret",
		                           "kubernetes://istio-system/cacerts-cacert",
		                           "" };
	struct cox_secret_ref ref;
	for (size_t i = 0; i < COX_LEN(good); i++) {
		assert_true(cox_secret_ref_parse(cox_str_of(good[i].name), COX_STR("edge"), &ref));
		assert_true(cox_str_eq_cstr(ref.ns, good[i].ns) && cox_str_eq_cstr(ref.object, good[i].object) &&
		            cox_str_eq_cstr(ref.fallback, good[i].fallback));
		assert_int_equal(ref.kind == COX_KIND_CONFIG_MAP, good[i].is_map);
		assert_int_equal(ref.is_ca, good[i].is_ca);
	}
	for (size_t i = 0; i < COX_LEN(bad); i++)
		assert_false(cox_secret_ref_parse(cox_str_of(bad[i]), COX_STR("edge"), &ref));
}

static void test_who_may(void **state)
{
	(void)state;
	static const struct {
		struct cox_secret_access access;
		const char *name;
		enum cox_secret_state want;
	} cases[] = {
		{ { false, COX_STR_INIT("edge"), COX_STR_INIT("gw"), COX_ACCESS_ALLOWED }, "kubernetes://web", COX_SECRET_UNVERIFIED },
		{ { false, COX_STR_INIT("edge"), COX_STR_INIT("gw"), COX_ACCESS_ALLOWED },
		  "kubernetes://web-cacert",
		  COX_SECRET_UNVERIFIED },
		{ { true, COX_STR_INIT("edge"), COX_STR_INIT("gw"), COX_ACCESS_ALLOWED }, "kubernetes://web", COX_SECRET_SERVED },
		{ { true, COX_STR_INIT("edge"), COX_STR_INIT("gw"), COX_ACCESS_DENIED }, "kubernetes://web", COX_SECRET_DENIED },
		{ { true, COX_STR_INIT("edge"), COX_STR_INIT("gw"), COX_ACCESS_ASKING }, "kubernetes://web", COX_SECRET_ASKING },
		{ { true, COX_STR_INIT("edge"), COX_STR_INIT("gw"), COX_ACCESS_DENIED }, "kubernetes://web-cacert", COX_SECRET_SERVED },
		{ { true, COX_STR_INIT("edge"), COX_STR_INIT("gw"), COX_ACCESS_DENIED }, "configmap://edge/ca", COX_SECRET_SERVED },
		{ { true, COX_STR_INIT("edge"), COX_STR_INIT("gw"), COX_ACCESS_ALLOWED }, "kubernetes://other/web", COX_SECRET_FOREIGN },
		{ { true, COX_STR_INIT("edge"), COX_STR_INIT("gw"), COX_ACCESS_ALLOWED }, "configmap://other/ca", COX_SECRET_FOREIGN },
		{ { true, COX_STR_INIT("other"), COX_STR_INIT("gw"), COX_ACCESS_ALLOWED }, "kubernetes://web", COX_SECRET_FOREIGN },
	};
	struct cox_secret_ref ref;
	const struct cox_snapshot s = { 0 };
	for (size_t i = 0; i < COX_LEN(cases); i++) {
		struct cox_workload w = { .secrets = cases[i].access };
		assert_true(cox_secret_ref_parse(cox_str_of(cases[i].name), COX_STR("edge"), &ref));
		assert_int_equal(cox_secret_may(&s, &w, &ref), cases[i].want);
	}
}

static struct cox_str as_json(struct cox_arena *a, const struct cox_resource *r, bool redacts)
{
	struct cox_buf flat = { 0 }, text = { 0 };
	struct cox_json *tree;
	struct cox_err err = { 0 };
	cox_resource_flatten(r, &flat);
	assert_int_equal(cox_envoy_any_to_json(cox_type_url(COX_TYPE_SDS), cox_arena_str(a, cox_buf_str(&flat)), 0, a, &tree, &err),
	                 COX_OK);
	if (redacts)
		cox_secret_redact(a, tree);
	cox_json_write(&text, tree, 0, false);
	struct cox_str out = cox_arena_str(a, cox_buf_str(&text));
	cox_buf_fini(&flat);
	cox_buf_fini(&text);
	return out;
}

static void test_bytes(void **state)
{
	(void)state;
	struct mesh m = mesh_new();
	struct cox_arena a = { 0 };
	struct test_pair p = certs_make(&a, "p", -60, 90 * 86400);
	struct cox_str crl = certs_crl(&a);
	mesh_put(&m, tls_secret_yaml(&a, "web", "edge", &p));
	mesh_put(&m, secret_yaml(&a, "old", "edge", "cert", p.cert, "key", p.key));
	mesh_put(&m, secret_yaml(&a, "ca", "edge", "ca.crt", p.cert, "ca.crl", crl));
	struct cox_proxy *proxy =
	    mesh_proxy(&m, "{\"id\": \"router~10.0.0.1~gw-0.edge~edge.svc.cluster.local\", \"metadata\": {\"NAMESPACE\": \"edge\"}}");
	struct cox_workload *w = cox_workload_build(proxy, m.s);
	struct cox_str key_before = w->key;
	cox_workload_set_access(w, &(struct cox_secret_access){ true, COX_STR("edge"), COX_STR("gw"), COX_ACCESS_ALLOWED });
	assert_false(cox_str_eq(key_before, w->key)); /* proxies that proved different things share nothing */
	struct cox_memo *memo = cox_memo_new();
	struct cox_tr t = { .s = m.s, .view = &w->view, .memo = memo, .arena = &a };
	const struct cox_resource *r = NULL;

	assert_int_equal(cox_secret_build(&t, w, COX_STR("kubernetes://web"), &r), COX_SECRET_SERVED);
	assert_true(cox_str_eq_cstr(r->origins, "Secret/edge/web"));
	struct cox_str key64 = b64_text(&a, p.key), shown = as_json(&a, r, false);
	assert_true(cox_str_search(shown, key64) >= 0);
	assert_true(cox_str_search(shown, b64_text(&a, p.cert)) >= 0);
	/* No dump shows the key; the certificate stays. */
	shown = as_json(&a, r, true);
	assert_true(cox_str_search(shown, key64) < 0);
	assert_true(cox_str_search(shown, COX_STR("W3JlZGFjdGVkXQ==")) >= 0);
	assert_true(cox_str_search(shown, b64_text(&a, p.cert)) >= 0);
	cox_resource_unref(r);
	assert_int_equal(cox_secret_build(&t, w, COX_STR("kubernetes://old"), &r), COX_SECRET_SERVED);
	cox_resource_unref(r);
	/* "-cacert" of a Secret that has it, with its list; of one that has none. */
	assert_int_equal(cox_secret_build(&t, w, COX_STR("kubernetes://ca-cacert"), &r), COX_SECRET_SERVED);
	shown = as_json(&a, r, true);
	assert_true(cox_str_search(shown, COX_STR("\"only_verify_leaf_cert_crl\":true")) >= 0);
	assert_true(cox_str_search(shown, b64_text(&a, crl)) >= 0);
	assert_true(cox_str_search(shown, COX_STR("private_key")) < 0);
	cox_resource_unref(r);
	assert_int_equal(cox_secret_build(&t, w, COX_STR("kubernetes://web-cacert"), &r), COX_SECRET_EMPTY);
	assert_int_equal(cox_secret_build(&t, w, COX_STR("kubernetes://ca"), &r), COX_SECRET_EMPTY);
	assert_int_equal(cox_secret_build(&t, w, COX_STR("kubernetes://none"), &r), COX_SECRET_MISSING);
	assert_int_equal(cox_secret_build(&t, w, COX_STR("default"), &r), COX_SECRET_UNKNOWN);
	cox_memo_free(memo);
	cox_workload_free(w);
	cox_proxy_unref(proxy);
	cox_arena_fini(&a);
	mesh_free(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_names), cmocka_unit_test(test_who_may), cmocka_unit_test(test_bytes) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
