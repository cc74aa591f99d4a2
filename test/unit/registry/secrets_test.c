/* covers: c34: a broken or expired Secret does not replace the last good one, and is a finding. */
#include "registry/yaml_objects.h"

#include "../tls_secrets.h"
#include "base/metric.h"
#include "model/secret.h"
#include "snapshot/snapshot.h"

static struct cox_registry *registry_new(void)
{
	static const struct cox_registry_options defaults;
	return cox_registry_new(&defaults);
}

static void put(struct cox_registry *r, const char *yaml)
{
	struct cox_registry_changes c;
	yaml_put(r, yaml);
	cox_registry_take_changes(r, &c);
	cox_registry_changes_fini(&c);
}

static struct cox_str served(const struct cox_registry *r)
{
	const struct cox_object *o = cox_registry_object_find(r, COX_KIND_SECRET, COX_STR("edge"), COX_STR("web"));
	return o ? cox_tls_material_of(o).cert : (struct cox_str){ 0 };
}

/* The text of the only finding, or empty. */
static struct cox_registry_finding finding(const struct cox_registry *r, struct cox_arena *a)
{
	const struct cox_registry_finding *f;
	size_t n = cox_registry_findings(r, a, &f);
	assert_true(n <= 1);
	return n ? f[0] : (struct cox_registry_finding){ 0 };
}

static void test_last_good(void **state)
{
	(void)state;
	struct cox_arena a = { 0 };
	struct cox_registry *r = registry_new();
	struct test_pair good = certs_make(&a, "good", -60, 90 * 86400), other = certs_make(&a, "other", -60, 90 * 86400);
	struct test_pair mixed = { good.cert, other.key }, expired = certs_make(&a, "expired", -7200, -3600);
	/* Broken from the start: nothing to serve. */
	put(r, tls_secret_yaml(&a, "web", "edge", &mixed));
	assert_int_equal(served(r).n, 0);
	assert_true(
	    cox_str_eq_cstr(finding(r, &a).text, "data[tls.key]: the private key is not that of the certificate; it is not served"));
	put(r, tls_secret_yaml(&a, "web", "edge", &good));
	assert_true(cox_str_eq(served(r), good.cert));
	assert_int_equal(finding(r, &a).text.n, 0);
	/* A broken version, and one that has expired already, leave it in force. */
	put(r, tls_secret_yaml(&a, "web", "edge", &mixed));
	assert_true(cox_str_eq(served(r), good.cert));
	assert_true(cox_str_search(finding(r, &a).text, COX_STR("last good version stays")) >= 0);
	put(r, tls_secret_yaml(&a, "web", "edge", &expired));
	assert_true(cox_str_eq(served(r), good.cert));
	assert_true(cox_str_eq_cstr(finding(r, &a).text, "the certificate has expired; the last good version stays in force"));
	assert_true(finding(r, &a).is_secret);
	assert_true(cox_str_eq_cstr(finding(r, &a).object_id, "Secret/edge/web"));
	/* The last good one written again, and a new good one, end the trouble. */
	put(r, tls_secret_yaml(&a, "web", "edge", &good));
	assert_int_equal(finding(r, &a).text.n, 0);
	put(r, tls_secret_yaml(&a, "web", "edge", &mixed));
	put(r, tls_secret_yaml(&a, "web", "edge", &other));
	assert_true(cox_str_eq(served(r), other.cert));
	assert_int_equal(finding(r, &a).text.n, 0);
	put(r, tls_secret_yaml(&a, "web", "edge", &mixed));
	cox_registry_remove(r, COX_KIND_SECRET, COX_STR("edge"), COX_STR("web"));
	assert_int_equal(finding(r, &a).text.n, 0);
	cox_registry_free(r);
	cox_arena_fini(&a);
}

/* Nothing better is there: served, and said. */
static void test_expired_alone(void **state)
{
	(void)state;
	struct cox_arena a = { 0 };
	struct cox_registry *r = registry_new();
	struct test_pair expired = certs_make(&a, "expired", -7200, -3600), soon = certs_make(&a, "soon", -60, 86400);
	put(r, tls_secret_yaml(&a, "web", "edge", &expired));
	assert_true(cox_str_eq(served(r), expired.cert));
	assert_int_equal(finding(r, &a).severity, COX_SEV_ERROR);
	assert_true(cox_str_has_prefix(finding(r, &a).text, COX_STR("the certificate has expired at 20")));
	put(r, tls_secret_yaml(&a, "web", "edge", &soon));
	assert_int_equal(finding(r, &a).severity, COX_SEV_WARNING);
	assert_true(cox_str_has_prefix(finding(r, &a).text, COX_STR("the certificate expires at 20")));
	cox_registry_free(r);
	cox_arena_fini(&a);
}

/* Which keys make what; what is half a pair. */
static void test_material(void **state)
{
	(void)state;
	struct cox_arena a = { 0 };
	struct test_pair p = certs_make(&a, "p", -60, 90 * 86400);
	struct cox_str crl = certs_crl(&a);
	const struct {
		const char *yaml, *error;
	} cases[] = {
		{ secret_yaml(&a, "web", "edge", "cert", p.cert, "key", p.key), NULL },
		{ secret_yaml(&a, "web", "edge", "ca.crt", p.cert, "ca.crl", crl), NULL },
		{ secret_yaml(&a, "web", "edge", "cacert", p.cert, "crl", crl), NULL },
		{ secret_yaml(&a, "web", "edge", "user", COX_STR("a"), "password", COX_STR("b")), NULL },
		{ secret_yaml(&a, "web", "edge", "tls.crt", p.cert, "other", COX_STR("x")), "data[tls.key] is missing" },
		{ secret_yaml(&a, "web", "edge", "cert", p.cert, "tls.key", p.key), "data[key] is missing" },
		{ secret_yaml(&a, "web", "edge", "tls.key", p.key, "other", COX_STR("x")), "data[tls.crt] is missing" },
		{ secret_yaml(&a, "web", "edge", "ca.crt", COX_STR("text"), "other", COX_STR("x")), "data[ca.crt]: no certificate in PEM" },
		{ secret_yaml(&a, "web", "edge", "cacert", p.cert, "crl", p.cert), "data[crl]: no revocation list in PEM" },
	};
	for (size_t i = 0; i < COX_LEN(cases); i++) {
		struct cox_registry *r = registry_new();
		put(r, cases[i].yaml);
		struct cox_registry_finding f = finding(r, &a);
		assert_int_equal(f.text.n > 0, cases[i].error != NULL);
		if (cases[i].error)
			assert_true(cox_str_has_prefix(f.text, cox_str_of(cases[i].error)));
		assert_int_equal(cox_registry_object_find(r, COX_KIND_SECRET, COX_STR("edge"), COX_STR("web")) != NULL,
		                 cases[i].error == NULL);
		cox_registry_free(r);
	}
	cox_arena_fini(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_last_good), cmocka_unit_test(test_expired_alone),
		                            cmocka_unit_test(test_material) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
