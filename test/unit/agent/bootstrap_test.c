/* The bootstrap from a pod's environment. covers: i1 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "agent/bootstrap.h"
#include "codec/json.h"

static struct cox_agent_bootstrap make(const char *const *env)
{
	return (struct cox_agent_bootstrap){ .env = env,
		                             .xds_path = COX_STR_INIT("/etc/istio/proxy/XDS"),
		                             .sds_path = COX_STR_INIT("/run/sds"),
		                             .type = COX_STR_INIT("sidecar"),
		                             .domain = COX_STR_INIT("cluster.local"),
		                             .admin_port = 15000,
		                             .status_port = 15020,
		                             .prometheus_port = 15090,
		                             .health_port = 15021 };
}

static const struct cox_json *build(const struct cox_agent_bootstrap *b, struct cox_arena *arena, struct cox_buf *text)
{
	struct cox_err err = { 0 };
	struct cox_json *root;
	if (cox_agent_bootstrap_build(b, text, &err) != COX_OK)
		fail_msg("%s %s", err.path, err.text);
	assert_int_equal(cox_json_parse(arena, cox_buf_str(text), &root, &err), COX_OK);
	return root;
}

static void assert_text(const struct cox_json *root, const char *path, const char *want)
{
	char buf[512];
	assert_string_equal(cox_str_to_cstr(cox_json_str_at(root, path), buf, sizeof(buf)), want);
}

static void test_node_and_metadata(void **state)
{
	(void)state;
	const char *env[] = { "POD_NAME=web-1",
		              "POD_NAMESPACE=shop",
		              "INSTANCE_IP=10.0.0.1,fd00::1",
		              "SERVICE_ACCOUNT=web",
		              "NODE_NAME=n1",
		              "ISTIO_META_CLUSTER_ID=c1",
		              "ISTIO_METAJSON_LABELS={\"version\":\"v1\"}",
		              "ISTIO_METAJSON_X={\"PLATFORM\":\"p\"}",
		              "PROXY_CONFIG=discoveryAddress: 1.2.3.4:99\nproxyStatsMatcher: {inclusionRegexps: [\"a.*\"]}\n",
		              NULL };
	struct cox_arena arena = { 0 };
	struct cox_buf text = { 0 };
	struct cox_agent_bootstrap b = make(env);
	b.labels = COX_STR("app=\"web\"\nistio-locality=\"r.z.s\"\nodd=\"a\\\"b\"\n");
	const struct cox_json *root = build(&b, &arena, &text);
	assert_text(root, "node.id", "sidecar~10.0.0.1~web-1.shop~shop.svc.cluster.local");
	assert_text(root, "node.cluster", "web.shop");
	assert_text(root, "node.locality.region", "r");
	assert_text(root, "node.locality.sub_zone", "s");
	assert_text(root, "node.metadata.LABELS.app", "web");
	assert_text(root, "node.metadata.LABELS.version", "v1");
	assert_text(root, "node.metadata.LABELS.odd", "a\"b");
	assert_text(root, "node.metadata.CLUSTER_ID", "c1");
	assert_text(root, "node.metadata.PLATFORM", "p");
	assert_text(root, "node.metadata.INSTANCE_IPS", "10.0.0.1,fd00::1");
	assert_text(root, "node.metadata.SERVICE_ACCOUNT", "web");
	assert_text(root, "node.metadata.COXSWAIN_SDS", "");
	assert_text(root, "node.metadata.PROXY_CONFIG.discoveryAddress", "1.2.3.4:99");
	assert_text(root, "dynamic_resources.ads_config.api_type", "DELTA_GRPC");
	assert_true(cox_str_search(cox_buf_str(&text), COX_STR("{\"safe_regex\":{\"regex\":\"a.*\"}}")) > 0);
	assert_true(cox_str_search(cox_buf_str(&text), COX_STR("{\"pipe\":{\"path\":\"/etc/istio/proxy/XDS\"}}")) > 0);
	assert_true(cox_str_search(cox_buf_str(&text), COX_STR("{\"pipe\":{\"path\":\"/run/sds\"}}")) > 0);
	assert_true(cox_str_search(cox_buf_str(&text), COX_STR("\"name\":\"sds-grpc\"")) > 0);
	cox_arena_fini(&arena);
	cox_buf_fini(&text);
}

static void test_without_identity(void **state)
{
	(void)state;
	const char *env[] = { "POD_NAME=a", "POD_NAMESPACE=b", "INSTANCE_IP=fd00::1", NULL };
	struct cox_arena arena = { 0 };
	struct cox_buf text = { 0 };
	struct cox_agent_bootstrap b = make(env);
	b.type = COX_STR("router");
	b.is_identity_off = true;
	const struct cox_json *root = build(&b, &arena, &text);
	assert_text(root, "node.id", "router~fd00::1~a.b~b.svc.cluster.local");
	assert_text(root, "node.metadata.COXSWAIN_SDS", "none");
	assert_true(cox_str_search(cox_buf_str(&text), COX_STR("\"name\":\"xds-grpc\"")) > 0);
	assert_true(cox_str_search(cox_buf_str(&text), COX_STR("sds-grpc")) < 0);
	cox_arena_fini(&arena);
	cox_buf_fini(&text);
}

static void test_refused(void **state)
{
	(void)state;
	const char *no_name[] = { "POD_NAMESPACE=b", "INSTANCE_IP=1.2.3.4", NULL };
	const char *no_ip[] = { "POD_NAME=a", "POD_NAMESPACE=b", NULL };
	const char *bad_ip[] = { "POD_NAME=a", "POD_NAMESPACE=b", "INSTANCE_IP=1.2.3", NULL };
	const char *tilde[] = { "POD_NAME=a~b", "POD_NAMESPACE=b", "INSTANCE_IP=1.2.3.4", NULL };
	const char *bad_json[] = { "POD_NAME=a", "POD_NAMESPACE=b", "INSTANCE_IP=1.2.3.4", "ISTIO_METAJSON_LABELS={", NULL };
	const char *json_list[] = { "POD_NAME=a", "POD_NAMESPACE=b", "INSTANCE_IP=1.2.3.4", "ISTIO_METAJSON_LABELS=[]", NULL };
	const char *bad_config[] = { "POD_NAME=a", "POD_NAMESPACE=b", "INSTANCE_IP=1.2.3.4", "PROXY_CONFIG=[1]", NULL };
	const char *const *all[] = { no_name, no_ip, bad_ip, tilde, bad_json, json_list, bad_config };
	for (size_t i = 0; i < COX_LEN(all); i++) {
		struct cox_buf text = { 0 };
		struct cox_err err = { 0 };
		struct cox_agent_bootstrap b = make(all[i]);
		assert_int_not_equal(cox_agent_bootstrap_build(&b, &text, &err), COX_OK);
		assert_true(err.text[0] != '\0');
		cox_buf_fini(&text);
	}
}

static void test_settings(void **state)
{
	(void)state;
	const char *env[] = {
		"PROXY_CONFIG={terminationDrainDuration: 20s, concurrency: 2, drainDuration: 7s, fileFlushInterval: 3s, fileFlushMinSizeKb: 9,"
		" binaryPath: /b, configPath: /c, customConfigFile: /f, proxyAdminPort: 1, statusPort: 2}",
		"EXIT_ON_ZERO_ACTIVE_CONNECTIONS=true", "MINIMUM_DRAIN_DURATION=500ms", NULL
	};
	const char *none[] = { "ISTIO_CPU_LIMIT=3", NULL };
	const char *bad[] = { "MINIMUM_DRAIN_DURATION=soon", NULL };
	struct cox_agent_settings s;
	struct cox_arena arena = { 0 };
	struct cox_agent_bootstrap b = make(env);
	assert_int_equal(cox_agent_settings_read(&b, &arena, &s, NULL), COX_OK);
	assert_int_equal(s.drain_ms, 20000);
	assert_int_equal(s.drain_min_ms, 500);
	assert_int_equal(s.concurrency, 2);
	assert_int_equal(s.listener_drain_s, 7);
	assert_int_equal(s.log_flush_ms, 3000);
	assert_int_equal(s.log_flush_kb, 9);
	assert_int_equal(s.admin_port, 1);
	assert_int_equal(s.status_port, 2);
	assert_true(cox_str_eq_cstr(s.binary, "/b") && cox_str_eq_cstr(s.config_dir, "/c") && cox_str_eq_cstr(s.bootstrap_file, "/f"));
	assert_true(s.exit_on_zero);
	b = make(none);
	assert_int_equal(cox_agent_settings_read(&b, &arena, &s, NULL), COX_OK);
	assert_int_equal(s.drain_ms, 5000);
	assert_int_equal(s.concurrency, 3);
	assert_int_equal(s.listener_drain_s, 45);
	assert_int_equal(s.admin_port, 15000);
	assert_false(s.exit_on_zero);
	b = make(bad);
	assert_int_equal(cox_agent_settings_read(&b, &arena, &s, NULL), COX_EINVAL);
	cox_arena_fini(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_node_and_metadata),
		cmocka_unit_test(test_without_identity),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_settings),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
