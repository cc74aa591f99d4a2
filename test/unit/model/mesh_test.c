/* covers: a204 a205 a209 a210 a211 a212 a214 a215 a217 a221 a224 */
#include "model/mesh.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static struct cox_arena arena;
static struct cox_diags diags;

static enum cox_rc build(const char *yaml, struct cox_mesh_config **out)
{
	cox_arena_fini(&arena);
	diags = (struct cox_diags){ .arena = &arena };
	*out = NULL;
	return cox_mesh_config_build(cox_str_of(yaml), &arena, &diags, out);
}

static void test_defaults(void **state)
{
	(void)state;
	struct cox_mesh_config *m;
	assert_int_equal(build("", &m), COX_OK);
	cox_arena_fini(&arena);
	assert_true(cox_str_eq_cstr(m->root_namespace, "istio-system"));
	assert_true(cox_str_eq_cstr(m->trust_domain, "cluster.local"));
	assert_int_equal(m->proxy_listen_port.v, 15001);
	assert_int_equal(m->proxy_inbound_listen_port.v, 15006);
	assert_false(m->proxy_http_port.set);
	assert_int_equal(m->outbound_traffic_policy->mode, COX_OUTBOUND_ALLOW_ANY);
	assert_true(cox_str_eq_cstr(m->default_config->discovery_address, "istiod.istio-system.svc:15012"));
	assert_int_equal(m->extension_providers.n, 2);
	assert_true(m->extension_providers.p[0].is_prometheus);
	assert_true(cox_str_eq_cstr(m->extension_providers.p[1].envoy_file_access_log->path, "/dev/stdout"));
	assert_true(m->enable_auto_mtls.v);
	cox_free(m);
}

static void test_values(void **state)
{
	(void)state;
	struct cox_mesh_config *m;
	assert_int_equal(
	    build(
	        "accessLogFile: /dev/stdout\nrootNamespace: mesh\ndefaultConfig:\n  tracing: {sampling: 50, zipkin: {address: 'z:9411'}}\n  proxyMetadata: {A: b}\n"
	        "defaultProviders: {metrics: [prometheus]}\nenableAutoMtls: false\noutboundTrafficPolicy: {mode: REGISTRY_ONLY}\n"
	        "extensionProviders:\n- name: log\n  envoyFileAccessLog: {path: /x, logFormat: {labels: {b: '%B%', a: '%A%'}}}\n- {name: prometheus, prometheus: {}}\n"
	        "discoverySelectors: [{matchLabels: {a: b}, matchExpressions: [{key: k, operator: In, values: [x]}]}]\nserviceSettings: [{hosts: [a.b]}]\n",
	        &m),
	    COX_OK);
	assert_int_equal(diags.n, 1);
	assert_true(cox_str_eq_cstr(diags.items[0].path, "serviceSettings"));
	cox_arena_fini(&arena);
	assert_true(cox_str_eq_cstr(m->default_config->raw,
	                            "{\"proxyMetadata\":{\"A\":\"b\"},\"tracing\":{\"sampling\":50,\"zipkin\":{\"address\":\"z:9411\"}}}"));
	assert_true(cox_str_eq_cstr(m->default_config->tracing->raw, "{\"sampling\":50,\"zipkin\":{\"address\":\"z:9411\"}}"));
	assert_true(cox_str_eq_cstr(m->default_config->discovery_address, "istiod.mesh.svc:15012"));
	assert_int_equal(m->outbound_traffic_policy->mode, COX_OUTBOUND_REGISTRY_ONLY);
	assert_false(m->enable_auto_mtls.v);
	assert_int_equal(m->extension_providers.n, 3);
	assert_true(
	    cox_str_eq_cstr(m->extension_providers.p[0].envoy_file_access_log->log_format->labels, "{\"a\":\"%A%\",\"b\":\"%B%\"}"));
	assert_false(m->extension_providers.p[0].is_prometheus);
	assert_true(m->extension_providers.p[1].is_prometheus);
	assert_true(cox_str_eq_cstr(m->discovery_selectors.p[0].match_expressions.p[0].op, "In"));
	cox_free(m);
}

static void test_refused(void **state)
{
	(void)state;
	static const char *const bad[] = { "a: [",
		                           "- x\n",
		                           "accessLogEncoding: XML\n",
		                           "proxyListenPort: 0\n",
		                           "connectTimeout: never\n",
		                           "discoverySelectors: [{matchExpressions: [{key: k, operator: In}]}]\n",
		                           "extensionProviders: [{prometheus: {}}]\n" };
	struct cox_mesh_config *m;
	for (size_t i = 0; i < COX_LEN(bad); i++) {
		if (build(bad[i], &m) != COX_EINVAL)
			fail_msg("accepted: %s", bad[i]);
		assert_null(m);
		assert_true(diags.errors > 0);
	}
	cox_arena_fini(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_defaults), cmocka_unit_test(test_values),
		                            cmocka_unit_test(test_refused) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
