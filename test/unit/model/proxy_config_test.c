/* ProxyConfig: the table, and which settings win. covers: a167 a207 a211 a225 a226 a227 */
#include "model/mesh.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static struct cox_arena arena;
static struct cox_diags diags;

static int setup(void **state)
{
	(void)state;
	diags = (struct cox_diags){ .arena = &arena };
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	cox_arena_fini(&arena);
	return 0;
}

static const struct cox_object *object(const char *ns, const char *name, int age, const char *spec)
{
	struct cox_buf text = { 0 };
	struct cox_json *doc;
	const struct cox_object *o = NULL;
	cox_buf_printf(
	    &text,
	    "{\"apiVersion\":\"networking.istio.io/v1beta1\",\"kind\":\"ProxyConfig\",\"metadata\":{\"name\":\"%s\",\"namespace\":"
	    "\"%s\",\"creationTimestamp\":\"2026-01-%02dT00:00:00Z\"},\"spec\":%s}",
	    name, ns, age, spec);
	struct cox_str copy = cox_arena_str(&arena, cox_buf_str(&text));
	cox_buf_fini(&text);
	assert_int_equal(cox_json_parse(&arena, copy, &doc, NULL), COX_OK);
	if (cox_object_build(doc, COX_STR("t"), COX_STR("default"), &arena, &diags, &o) != COX_OK)
		return NULL;
	return o;
}

static struct cox_json *effective(const struct cox_object *const *objects, size_t n, const char *ns, const char *annotation)
{
	static const struct cox_kv labels[] = { { COX_STR_INIT("app"), COX_STR_INIT("web") } };
	return cox_proxy_config_effective(
	    COX_STR(
	        "{\"concurrency\":1,\"statusPort\":15020,\"proxyMetadata\":{\"A\":\"mesh\",\"B\":\"mesh\"},\"image\":{\"imageType\":\"x\"}}"),
	    objects, n, COX_STR("istio-system"), cox_str_of(ns), labels, 1, cox_str_of(annotation), &arena, &diags);
}

static void assert_config(const struct cox_json *v, const char *want)
{
	struct cox_buf b = { 0 };
	cox_json_write(&b, v, 0, true);
	cox_buf_append_char(&b, '\0');
	assert_string_equal(b.p, want);
	cox_buf_fini(&b);
}

static void test_order(void **state)
{
	(void)state;
	const struct cox_object *o[] = {
		object("istio-system", "root", 1, "{\"concurrency\":2,\"environmentVariables\":{\"A\":\"root\",\"C\":\"root\"}}"),
		object("shop", "ns", 2, "{\"concurrency\":3,\"image\":{\"imageType\":\"debug\"}}"),
		object("shop", "web", 3, "{\"selector\":{\"matchLabels\":{\"app\":\"web\"}},\"environmentVariables\":{\"A\":\"web\"}}"),
		object("shop", "db", 1, "{\"selector\":{\"matchLabels\":{\"app\":\"db\"}},\"concurrency\":9}"),
		object("shop", "younger", 4, "{\"selector\":{\"matchLabels\":{\"app\":\"web\"}},\"concurrency\":9}"),
		object("other", "ns", 1, "{\"concurrency\":8}"),
	};
	assert_int_equal(diags.n, 0);
	/* The annotation wins over all but the one with a selector. */
	assert_config(
	    effective(o, COX_LEN(o), "shop", "concurrency: 4\nproxyMetadata: {A: pod, D: pod}\n"),
	    "{\"concurrency\":4,\"image\":{\"imageType\":\"debug\"},\"proxyMetadata\":{\"A\":\"web\",\"B\":\"mesh\",\"C\":\"root\","
	    "\"D\":\"pod\"},\"statusPort\":15020}");
	assert_config(effective(o, 1, "istio-system", ""),
	              "{\"concurrency\":2,\"image\":{\"imageType\":\"x\"},\"proxyMetadata\":{\"A\":\"root\",\"B\":\"mesh\",\"C\":\"root\"},"
	              "\"statusPort\":15020}");
	for (size_t i = 0; i < COX_LEN(o); i++)
		cox_object_unref(o[i]);
}

static void test_annotation(void **state)
{
	(void)state;
	/* A faulty one does not count, whole; what is unknown is said with its place. */
	struct cox_json *v = effective(NULL, 0, "shop", "concurrency: many\nstatusPort: 1\n");
	assert_true(cox_json_get(v, COX_STR("concurrency"))->type == COX_JSON_NUMBER);
	assert_int_equal(diags.errors, 1);
	assert_true(cox_str_eq_cstr(diags.items[0].path, "proxy.istio.io/config.concurrency"));
	diags = (struct cox_diags){ .arena = &arena };
	effective(NULL, 0, "shop", "tracing: {zipkn: {}}\n");
	assert_true(cox_str_eq_cstr(diags.items[0].path, "proxy.istio.io/config.tracing.zipkn"));
	assert_int_equal(diags.errors, 0);
	effective(NULL, 0, "shop", "a: [\n");
	effective(NULL, 0, "shop", "- a\n");
	assert_int_equal(diags.errors, 2);
}

static void test_object_refused(void **state)
{
	(void)state;
	assert_null(object("shop", "bad", 1, "{\"concurrency\":-1}"));
	assert_true(cox_str_eq_cstr(diags.items[0].path, "spec.concurrency"));
}

/* covers: a220 a225 a227: with one cluster every service is local to it, and says so; what has no effect is said. */
static void test_mesh_findings(void **state)
{
	(void)state;
	static const struct {
		const char *yaml, *path, *says;
	} cases[] = {
		{ "defaultConfig: {tracing: {lightstep: {address: a}}}", "defaultConfig.tracing", "no such tracer" },
		{ "defaultConfig: {tracing: {stackdriver: {debug: true}}}", "defaultConfig.tracing", "no such tracer" },
		{ "defaultConfig: {tracing: {openCensusAgent: {address: a}}}", "defaultConfig.tracing", "no such tracer" },
		{ "defaultConfig: {discoveryRefreshDelay: 1s}", "defaultConfig.discoveryRefreshDelay", "no effect" },
		{ "defaultConfig: {proxyHeaders: {sever: {}}}", "defaultConfig.proxyHeaders.sever", "unknown" },
		{ "configSources: [{address: 'xds://mcp:15010'}]", "configSources[0].address", "is not read" },
		{ "configSources: [{address: 'fs:///etc/config'}]", "configSources[0].address", "--configDir" },
		{ "extensionProviders: [{name: a, skywalking: {service: b}}]", "extensionProviders[0]", "no effect" },
		{ "extensionProviders: [{name: a, lightstep: {service: b}}]", "extensionProviders[0]", "opentelemetry" },
		{ "extensionProviders: [{name: a, skywalkin: {service: b}}]", "extensionProviders[0]", "no kind" },
		{ "defaultProviders: {metrics: [prom]}", "defaultProviders.metrics[0]", "no provider prom" },
		{ "serviceEntryVisibility: {defaultVisibility: NAMESPACE}", "serviceEntryVisibility", "no effect" },
		{ "hboneIdleTimeout: 1h", "hboneIdleTimeout", "no effect" },
		{ "ca: {address: a}", "ca", "no effect" },
		{ "certificates: [{secretName: a}]", "certificates", "no effect" },
		{ "verifyCertificateAtClient: true", "verifyCertificateAtClient", "no effect" },
		{ "zoneAwareLbSetting: {enabled: true}", "zoneAwareLbSetting", "no effect" },
		{ "serviceSettings: [{settings: {clusterLocal: true}, hosts: ['*.a.svc.cluster.local']}]", "serviceSettings",
		  "one cluster" },
		{ "serviceScopeConfigs: [{scope: GLOBAL, servicesSelector: {matchLabels: {a: b}}}]", "serviceScopeConfigs", "one cluster" },
		{ "caCertificates: [{trustDomains: [a]}]", "caCertificates[0]", "no effect" },
		{ "enableEnvoyAccessLogService: true", "enableEnvoyAccessLogService", "defaultConfig has none" },
		{ "noSuchThing: 1", "noSuchThing", "unknown" },
	};
	for (size_t i = 0; i < COX_LEN(cases); i++) {
		struct cox_mesh_config *m = NULL;
		bool found = false;
		diags = (struct cox_diags){ .arena = &arena };
		assert_int_equal(cox_mesh_config_build(cox_str_of(cases[i].yaml), &arena, &diags, &m), COX_OK);
		for (size_t k = 0; k < diags.n; k++)
			found |= cox_str_eq_cstr(diags.items[k].path, cases[i].path) &&
			         cox_str_search(diags.items[k].text, cox_str_of(cases[i].says)) >= 0;
		if (!found)
			fail_msg("%s: %.*s: %.*s", cases[i].yaml, COX_FMT(diags.n ? diags.items[0].path : COX_STR("-")),
			         COX_FMT(diags.n ? diags.items[0].text : COX_STR("-")));
		cox_free(m);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_order, setup, teardown),
		cmocka_unit_test_setup_teardown(test_annotation, setup, teardown),
		cmocka_unit_test_setup_teardown(test_object_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(test_mesh_findings, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
