/* WorkloadGroup: every field is read in every version, and what is wrong is named.
 * covers: a142 a143 a144 */
#include "model/workload_group.h"
#include "model/document.h"

static struct cox_diags diags;

static enum cox_rc build(const char *version, const char *spec, const struct cox_object **out)
{
	struct cox_str yaml = cox_arena_printf(
	    &arena, "apiVersion: networking.istio.io/%s\nkind: WorkloadGroup\nmetadata: {name: vms, namespace: shop}\nspec: %s\n", version,
	    spec);
	diags = (struct cox_diags){ .arena = &arena };
	return cox_object_build(document(yaml), COX_STR("test.yaml:1"), (struct cox_str){ 0 }, &arena, &diags, out);
}

static void assert_finding(enum cox_severity severity, const char *what)
{
	for (size_t i = 0; i < diags.n; i++) {
		struct cox_str line = cox_arena_printf(&arena, "%.*s: %.*s", COX_FMT(diags.items[i].path), COX_FMT(diags.items[i].text));
		if (diags.items[i].severity == severity && strstr(line.p, what))
			return;
		print_message("%.*s\n", COX_FMT(line));
	}
	fail_msg("no finding says: %s", what);
}

static const char full[] =
    "{metadata: {labels: {app: pay}, annotations: {a: b}}, template: {ports: {http: 8080}, labels: {version: v1}, network: n1,"
    " locality: r/z/s, weight: 7, serviceAccount: pay}, probe: {initialDelaySeconds: 5, timeoutSeconds: 3, periodSeconds: 4,"
    " successThreshold: 2, failureThreshold: 6, httpGet: {path: /ok, port: 8080, host: 127.0.0.1, scheme: HTTPS,"
    " httpHeaders: [{name: X-A, value: b}]}}}";

static void test_every_field_in_every_version(void **state)
{
	static const char *const versions[] = { "v1", "v1beta1", "v1alpha3" };
	(void)state;
	for (size_t i = 0; i < COX_LEN(versions); i++) {
		const struct cox_object *o = NULL;
		assert_int_equal(build(versions[i], full, &o), COX_OK);
		assert_int_equal(diags.n, 0);
		const struct cox_workload_group *g = COX_SPEC(cox_workload_group_object, o)->spec;
		assert_true(cox_str_eq_cstr(cox_kv_get(g->metadata->labels.p, g->metadata->labels.n, COX_STR("app")), "pay"));
		assert_true(cox_str_eq_cstr(cox_kv_get(g->metadata->annotations.p, g->metadata->annotations.n, COX_STR("a")), "b"));
		const struct cox_workload_entry *t = g->template;
		assert_true(cox_str_eq_cstr(t->ports.p[0].key, "http") && t->ports.p[0].number == 8080);
		assert_true(cox_str_eq_cstr(cox_kv_get(t->labels.p, t->labels.n, COX_STR("version")), "v1"));
		assert_true(cox_str_eq_cstr(t->network, "n1") && cox_str_eq_cstr(t->locality, "r/z/s"));
		assert_true(t->weight.v == 7 && cox_str_eq_cstr(t->service_account, "pay"));
		const struct cox_group_probe *p = g->probe;
		assert_true(p->initial_delay_seconds.v == 5 && p->timeout_seconds.v == 3 && p->period_seconds.v == 4);
		assert_true(p->success_threshold.v == 2 && p->failure_threshold.v == 6);
		assert_true(cox_str_eq_cstr(p->http_get->path, "/ok") && cox_str_eq_cstr(p->http_get->host, "127.0.0.1"));
		assert_true(p->http_get->port.v == 8080 && p->http_get->scheme == COX_GROUP_HTTPS);
		assert_true(cox_str_eq_cstr(p->http_get->http_headers.p[0].name, "X-A") &&
		            cox_str_eq_cstr(p->http_get->http_headers.p[0].value, "b"));
		cox_object_unref(o);
	}
}

static void test_the_other_probes(void **state)
{
	const struct cox_object *o = NULL;
	(void)state;
	assert_int_equal(build("v1", "{template: {}, probe: {tcpSocket: {host: 10.0.0.1, port: 5}}}", &o), COX_OK);
	const struct cox_group_probe *p = COX_SPEC(cox_workload_group_object, o)->spec->probe;
	assert_true(cox_str_eq_cstr(p->tcp_socket->host, "10.0.0.1") && p->tcp_socket->port.v == 5);
	cox_object_unref(o);
	assert_int_equal(build("v1", "{template: {}, probe: {exec: {command: [/bin/check, -q]}}}", &o), COX_OK);
	p = COX_SPEC(cox_workload_group_object, o)->spec->probe;
	assert_true(p->exec->command.n == 2 && cox_str_eq_cstr(p->exec->command.p[1], "-q"));
	cox_object_unref(o);
	assert_int_equal(build("v1", "{template: {}, probe: {grpc: {port: 9, service: pay}}}", &o), COX_OK);
	p = COX_SPEC(cox_workload_group_object, o)->spec->probe;
	assert_true(p->grpc->port.v == 9 && cox_str_eq_cstr(p->grpc->service, "pay"));
	cox_object_unref(o);
}

static void test_what_is_wrong_is_named(void **state)
{
	static const struct {
		const char *spec, *why;
	} cases[] = {
		{ "{}", "template" },
		{ "{template: {ports: {http: 0}}}", "spec.template.ports" },
		{ "{template: {labels: {'a b': c}}}", "spec.template.labels" },
		{ "{template: {}, probe: {}}", "spec.probe" },
		{ "{template: {}, probe: {tcpSocket: {port: 1}, exec: {command: [a]}}}", "spec.probe" },
		{ "{template: {}, probe: {httpGet: {}}}", "spec.probe.httpGet.port" },
		{ "{template: {}, probe: {httpGet: {port: 1, scheme: FTP}}}", "spec.probe.httpGet.scheme" },
		{ "{template: {}, probe: {httpGet: {port: 1, httpHeaders: [{name: 'a b'}]}}}", "spec.probe.httpGet.httpHeaders[0].name" },
		{ "{template: {}, probe: {tcpSocket: {port: 70000}}}", "spec.probe.tcpSocket.port" },
		{ "{template: {}, probe: {exec: {command: ['']}}}", "spec.probe.exec" },
		{ "{template: {}, probe: {grpc: {}}}", "spec.probe.grpc.port" },
		{ "{template: {}, probe: {periodSeconds: -1, tcpSocket: {port: 1}}}", "spec.probe.periodSeconds" },
	};
	(void)state;
	for (size_t i = 0; i < COX_LEN(cases); i++) {
		const struct cox_object *o = NULL;
		assert_int_equal(build("v1", cases[i].spec, &o), COX_EINVAL);
		assert_finding(COX_SEV_ERROR, cases[i].why);
	}
	const struct cox_object *o = NULL;
	assert_int_equal(build("v1", "{template: {address: 10.0.0.1}, more: 1}", &o), COX_OK);
	assert_finding(COX_SEV_WARNING, "spec.template.address");
	assert_finding(COX_SEV_WARNING, "spec.more");
	cox_object_unref(o);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_every_field_in_every_version),
		TEST(test_the_other_probes),
		TEST(test_what_is_wrong_is_named),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
