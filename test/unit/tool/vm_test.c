/* coxctl workload: the group that is printed, and the texts of the files.
 * covers: a142 f27 */
#include "codec/yaml.h"
#include "tool/vm_priv.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static struct cox_json *document;

static void on_doc(void *arg, struct cox_json *root, struct cox_str text, const struct cox_err *err)
{
	(void)arg, (void)text;
	if (!root)
		fail_msg("YAML line %d: %s", err->line, err->text);
	document = root;
}

static struct cox_json *parse(struct cox_arena *a, struct cox_str yaml)
{
	assert_int_equal(cox_yaml_each(a, cox_arena_str(a, yaml), 1 << 20, on_doc, NULL, NULL), COX_OK);
	return document;
}

static void test_group(void **state)
{
	(void)state;
	struct cox_arena a = { 0 };
	struct cox_buf out = { 0 };
	struct cox_err err = { 0 };
	struct cox_vm_group_options o = {
		.name = COX_STR("pay"), .ns = COX_STR("shop"), .labels = COX_STR("app=pay,v=1"), .ports = COX_STR("http=8080")
	};
	assert_int_equal(cox_tool_vm_group(&o, &out, &err), COX_OK);
	const struct cox_json *doc = parse(&a, cox_buf_str(&out));
	assert_true(cox_str_eq_cstr(cox_json_str_at(doc, "spec.metadata.labels.v"), "1")); /* text, not a number */
	assert_true(cox_str_eq_cstr(cox_json_str_at(doc, "spec.template.serviceAccount"), "default"));
	static const struct cox_vm_group_options bad[] = {
		{ .name = COX_STR_INIT("pay") },
		{ .name = COX_STR_INIT("pay"), .ns = COX_STR_INIT("shop"), .labels = COX_STR_INIT("app") },
		{ .name = COX_STR_INIT("pay"), .ns = COX_STR_INIT("shop"), .ports = COX_STR_INIT("http=x") },
		{ .name = COX_STR_INIT("pay"), .ns = COX_STR_INIT("shop"), .ports = COX_STR_INIT("http=70000") },
	};
	for (size_t i = 0; i < COX_LEN(bad); i++)
		assert_int_equal(cox_tool_vm_group(&bad[i], &out, &err), COX_EINVAL);
	assert_non_null(strstr(err.path, "ports"));
	cox_buf_fini(&out);
	cox_arena_fini(&a);
}

static const char group_yaml[] =
    "apiVersion: networking.istio.io/v1\nkind: WorkloadGroup\nmetadata: {name: pay, namespace: shop}\nspec: {metadata: {labels: {app: pay, x: y}}, template: {ports: {grpc: 90, http: 80}, network: lan, serviceAccount: teller}, probe: {periodSeconds: 3, tcpSocket: {port: 80}}}\n";
static const char mesh_yaml[] =
    "trustDomain: example.org\ndefaultConfig: {meshId: m'1, discoveryAddress: istiod.ctl.svc:15012, proxyMetadata: {A: b}, concurrency: 3}\n";

static void test_files(void **state)
{
	(void)state;
	struct cox_arena a = { 0 };
	struct cox_err err = { 0 };
	struct cox_diags diags = { .arena = &a };
	const struct cox_object *group = NULL;
	struct cox_mesh_config *mesh = NULL;
	struct cox_vm_files files;
	const struct cox_json *doc = parse(&a, cox_str_of(group_yaml));
	assert_int_equal(vm_group_check(doc, &a, &group, &err), COX_OK);
	assert_int_equal(cox_mesh_config_build(cox_str_of(mesh_yaml), &a, &diags, &mesh), COX_OK);
	struct cox_vm_options o = { .istio_ns = COX_STR("ctl"),
		                    .cluster_id = COX_STR("west"),
		                    .ingress_ip = COX_STR("192.0.2.1"),
		                    .internal_ip = COX_STR("10.0.0.9"),
		                    .registers = true };
	cox_tool_vm_files(&o, group, cox_json_at(doc, "spec.probe"), mesh, &a, &files);
	static const char *const lines[] = {
		"CANONICAL_REVISION='latest'\n",    "CANONICAL_SERVICE='pay'\n",
		"ISTIO_INBOUND_PORTS='90,80'\n",    "ISTIO_META_AUTO_REGISTER_GROUP='pay'\n",
		"ISTIO_META_CLUSTER_ID='west'\n",   "ISTIO_META_DNS_CAPTURE='true'\n",
		"ISTIO_META_MESH_ID='m'\\''1'\n",   "ISTIO_META_NETWORK='lan'\n",
		"ISTIO_META_WORKLOAD_NAME='pay'\n", "ISTIO_NAMESPACE='shop'\n",
		"ISTIO_SERVICE='pay.shop'\n",       "ISTIO_SERVICE_CIDR='*'\n",
		"ISTIO_SVC_IP='10.0.0.9'\n",        "POD_NAMESPACE='shop'\n",
		"SERVICE_ACCOUNT='teller'\n",       "TRUST_DOMAIN='example.org'\n",
	};
	for (size_t i = 0; i < COX_LEN(lines); i++)
		if (!strstr(files.cluster_env.p, lines[i]))
			fail_msg("no %s in %s", lines[i], files.cluster_env.p);
	assert_true(cox_str_eq_cstr(files.hosts, "192.0.2.1 istiod.ctl.svc\n"));
	const struct cox_json *config = cox_json_get(parse(&a, files.mesh_yaml), COX_STR("defaultConfig"));
	assert_true(cox_str_eq_cstr(cox_json_str_at(config, "discoveryAddress"), "istiod.ctl.svc:15012"));
	assert_true(cox_str_eq_cstr(cox_json_str_at(config, "proxyMetadata.A"), "b"));
	assert_true(cox_str_eq_cstr(cox_json_str_at(config, "proxyMetadata.ISTIO_META_AUTO_REGISTER_GROUP"), "pay"));
	assert_non_null(cox_json_at(config, "readinessProbe.tcpSocket.port"));
	assert_non_null(cox_json_get(config, COX_STR("concurrency")));
	o.registers = false, o.has_no_dns_capture = true, o.ingress_ip.n = 0, o.revision = COX_STR("canary");
	cox_tool_vm_files(&o, group, NULL, mesh, &a, &files);
	assert_null(strstr(files.cluster_env.p, "AUTO_REGISTER"));
	assert_non_null(strstr(files.cluster_env.p, "ISTIO_META_DNS_CAPTURE='false'"));
	assert_int_equal(files.hosts.n, 0);
	assert_true(cox_str_eq_cstr(vm_control_plane(&o, &a), "istiod-canary.ctl.svc"));
	cox_free(mesh);
	cox_object_unref(group);
	cox_arena_fini(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_group), cmocka_unit_test(test_files) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
