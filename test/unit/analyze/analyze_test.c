/* Analysis without a command line: several clusters, what is left out, values of annotations, and what a large mesh costs.
 *
 * covers: d33 d54 d70 f1 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "analyze/analyze_priv.h"
#include "base/clock.h"
#include "codec/yaml.h"

struct mesh {
	struct cox_arena arena;
	COX_VEC(struct cox_analyze_doc) docs;
	struct cox_str cluster;
	bool is_remote;
};

static void on_doc(void *arg, struct cox_json *root, struct cox_str text, const struct cox_err *err)
{
	struct mesh *m = arg;
	(void)text;
	if (!root)
		fail_msg("line %d: %s", err->line, err->text);
	cox_vec_push(&m->docs, ((struct cox_analyze_doc){ .doc = root, .cluster = m->cluster, .is_remote = m->is_remote }));
}

static void add(struct mesh *m, const char *cluster, const char *yaml)
{
	m->is_remote = m->cluster.n > 0;
	m->cluster = cox_str_of(cluster);
	assert_int_equal(cox_yaml_each(&m->arena, cox_str_of(yaml), 1 << 20, on_doc, m, NULL), COX_OK);
}

static struct cox_analyze_result run(struct mesh *m, struct cox_analyze_options o)
{
	struct cox_analyze_result out;
	o.docs = m->docs.p, o.doc_n = m->docs.n;
	cox_analyze(&o, &m->arena, &out);
	return out;
}

static size_t count(const struct cox_analyze_result *out, enum cox_analyze_code code)
{
	size_t n = 0;
	for (size_t i = 0; i < out->n; i++)
		n += out->items[i].code == code;
	return n;
}

static void fini(struct mesh *m)
{
	cox_vec_fini(&m->docs);
	cox_arena_fini(&m->arena);
}

#define SERVICE(name, ports) "---\napiVersion: v1\nkind: Service\nmetadata: {name: " name ", namespace: shop}\nspec: {ports: [" ports "]}\n"
#define HTTP "{name: http, port: 80}"

static void test_clusters(void **state)
{
	(void)state;
	struct mesh m = { 0 };
	add(&m, "east", SERVICE("same", HTTP) SERVICE("differs", HTTP) SERVICE("alone", HTTP));
	add(&m, "west", SERVICE("same", HTTP) SERVICE("differs", HTTP ", {name: grpc, port: 81}"));
	add(&m, "south", SERVICE("same", HTTP) SERVICE("differs", HTTP));
	struct cox_analyze_result out = run(&m, (struct cox_analyze_options){ 0 });
	assert_int_equal(count(&out, COX_AN_MULTICLUSTER_SERVICE), 1);
	for (size_t i = 0; i < out.n; i++)
		if (out.items[i].code == COX_AN_MULTICLUSTER_SERVICE) {
			assert_true(cox_str_eq(out.items[i].origin, COX_STR("Service shop/differs")));
			assert_true(cox_str_search(out.items[i].text, COX_STR("west")) >= 0);
			assert_true(cox_str_search(out.items[i].text, COX_STR("different ports")) >= 0);
		}
	fini(&m);
}

/* Configuration of remote clusters does not count, their workloads do. */
static void test_remote_config(void **state)
{
	(void)state;
	static const char vs[] = "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: x, namespace: shop}\n"
	                         "spec: {hosts: [a], gateways: [none], http: [{route: [{destination: {host: a}}]}]}\n";
	struct mesh m = { 0 };
	add(&m, "east", SERVICE("b", HTTP));
	add(&m, "west", vs);
	struct cox_analyze_result out = run(&m, (struct cox_analyze_options){ 0 });
	assert_int_equal(out.n, 0);
	m.docs.n = 0, m.cluster = COX_STR("");
	add(&m, "east", vs);
	add(&m, "west", SERVICE("a", HTTP));
	out = run(&m, (struct cox_analyze_options){ 0 });
	assert_int_equal(count(&out, COX_AN_NOT_FOUND), 1); /* the Gateway, not the host */
	fini(&m);
}

static void test_left_out(void **state)
{
	(void)state;
	static const char vs[] = "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: x, namespace: shop}\n"
	                         "spec: {hosts: [a.example], gateways: [none], http: [{route: [{destination: {host: a.example}}]}]}\n";
	struct mesh m = { 0 };
	add(&m, "", vs);
	struct cox_analyze_result out = run(&m, (struct cox_analyze_options){ .is_partial = true });
	assert_int_equal(out.n, 2);
	assert_true(out.skipped_n > 10);
	static const char *const objects[] = { "VirtualService shop/x", "VirtualService x.shop", "VirtualService *.shop", "*",
		                               "Virtual*s*/x" };
	for (size_t i = 0; i < COX_LEN(objects); i++) {
		struct cox_analyze_suppression s = { COX_STR("IST0101"), cox_str_of(objects[i]) };
		out = run(&m, (struct cox_analyze_options){ .is_partial = true, .suppress = &s, .suppress_n = 1 });
		assert_int_equal(out.n, 1);
	}
	static const char *const others[] = { "VirtualService shop/y", "VirtualService", "*x.other", "" };
	for (size_t i = 0; i < COX_LEN(others); i++) {
		struct cox_analyze_suppression s = { COX_STR("IST0101"), cox_str_of(others[i]) };
		out = run(&m, (struct cox_analyze_options){ .is_partial = true, .suppress = &s, .suppress_n = 1 });
		assert_int_equal(out.n, 2);
	}
	out = run(&m, (struct cox_analyze_options){ .is_partial = true, .only_ns = COX_STR("other") });
	assert_int_equal(out.n, 0);
	fini(&m);
}

/* The first of a name wins: files stand for what would be applied. */
static void test_first_wins(void **state)
{
	(void)state;
	struct mesh m = { 0 };
	add(&m, "", SERVICE("a", HTTP) SERVICE("a", "{name: odd, port: 80}"));
	struct cox_analyze_result out = run(&m, (struct cox_analyze_options){ 0 });
	assert_int_equal(count(&out, COX_AN_PORT_NAME), 0);
	fini(&m);
}

static void test_annotations(void **state)
{
	(void)state;
	static const struct {
		const char *name, *value;
		bool is_good;
	} cases[] = {
		{ "sidecar.istio.io/proxyCPU", "100m", true },
		{ "sidecar.istio.io/proxyCPU", "1.5", true },
		{ "sidecar.istio.io/proxyCPU", "1e3", true },
		{ "sidecar.istio.io/proxyCPU", "128Mi", true },
		{ "sidecar.istio.io/proxyCPU", "1..5", false },
		{ "sidecar.istio.io/proxyCPU", "", false },
		{ "sidecar.istio.io/proxyCPU", "1 Mi", false },
		{ "sidecar.istio.io/proxyCPU", "x", false },
		{ "status.sidecar.istio.io/port", "0", true },
		{ "status.sidecar.istio.io/port", "70000", false },
		{ "traffic.sidecar.istio.io/includeInboundPorts", "*", true },
		{ "traffic.sidecar.istio.io/excludeInboundPorts", "*", false },
		{ "traffic.sidecar.istio.io/excludeInboundPorts", "", true },
		{ "traffic.sidecar.istio.io/excludeInboundPorts", "1, 2", true },
		{ "traffic.sidecar.istio.io/includeOutboundIPRanges", "*", true },
		{ "traffic.sidecar.istio.io/excludeOutboundIPRanges", "fd00::/8,10.0.0.0/8", true },
		{ "traffic.sidecar.istio.io/excludeOutboundIPRanges", "10.0.0.0/33", false },
		{ "prometheus.istio.io/merge-metrics", "T", true },
		{ "prometheus.istio.io/merge-metrics", "yes", false },
		{ "proxy.istio.io/config", "concurrency: 2", true },
		{ "proxy.istio.io/config", "- a", false },
		{ "proxy.istio.io/config", "{", false },
		{ "sidecar.istio.io/logLevel", "anything", true },
	};
	for (size_t i = 0; i < COX_LEN(cases); i++) {
		const char *wrong = an_annotation_check(cox_str_of(cases[i].name), cox_str_of(cases[i].value));
		if ((wrong == NULL) != cases[i].is_good)
			fail_msg("%s: \"%s\": %s", cases[i].name, cases[i].value, wrong ? wrong : "accepted");
	}
}

/* Objects of the wrong form count as empty ones; schema errors name them. */
static void test_nonsense(void **state)
{
	(void)state;
	static const char *const kinds[] = { "networking.istio.io/v1 VirtualService",
		                             "networking.istio.io/v1 DestinationRule",
		                             "networking.istio.io/v1 Gateway",
		                             "networking.istio.io/v1 Sidecar",
		                             "networking.istio.io/v1 ServiceEntry",
		                             "networking.istio.io/v1alpha3 EnvoyFilter",
		                             "security.istio.io/v1 AuthorizationPolicy",
		                             "telemetry.istio.io/v1 Telemetry",
		                             "v1 Pod",
		                             "v1 Service",
		                             "v1 Namespace",
		                             "v1 ConfigMap",
		                             "v1 Secret",
		                             "apps/v1 Deployment",
		                             "apiextensions.k8s.io/v1 CustomResourceDefinition",
		                             "admissionregistration.k8s.io/v1 MutatingWebhookConfiguration" };
	static const char *const specs[] = { "",
		                             "spec: 7",
		                             "spec: []",
		                             "spec: {hosts: 1, http: {}, servers: [1, null], selector: x}",
		                             "spec: {http: [null, 1, {route: 3, match: [1, null]}], exportTo: {}, gateways: [{}]}",
		                             "webhooks: [1, {namespaceSelector: [], name: {}}]",
		                             "metadata: x",
		                             "data: {values: '{'}" };
	struct mesh m = { 0 };
	for (size_t i = 0; i < COX_LEN(kinds); i++)
		for (size_t k = 0; k < COX_LEN(specs); k++) {
			struct cox_str kind = cox_str_of(kinds[i]), version;
			(void)cox_str_next(&kind, ' ', &version);
			add(&m, "",
			    cox_arena_printf(&m.arena, "apiVersion: %.*s\nkind: %.*s\n%s%s\n", COX_FMT(version), COX_FMT(kind),
			                     k == 6 ? "" : "metadata: {name: x, labels: [], annotations: 3}\n", specs[k])
			        .p);
		}
	for (size_t i = 0; i < m.docs.n; i++) { /* each alone, or the first of the name would hide the others */
		struct cox_analyze_options o = { .docs = &m.docs.p[i], .doc_n = 1 };
		struct cox_analyze_result out;
		cox_analyze(&o, &m.arena, &out);
	}
	fini(&m);
}

static void test_precheck(void **state)
{
	(void)state;
	static const struct cox_str denied[] = { COX_STR_INIT("clusterroles"), COX_STR_INIT("deployments") };
	struct cox_precheck facts = { .kubernetes = COX_STR("v1.29.3"), .denied = denied, .denied_n = 2, .from_version = COX_STR("1.21") };
	struct mesh m = { 0 };
	add(&m, "",
	    "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: httproutes.gateway.networking.k8s.io}\n"
	    "spec: {group: gateway.networking.k8s.io, names: {kind: HTTPRoute}, versions: [{name: v1alpha2, served: true}, {name: v1, served: false}]}\n---\n"
	    "apiVersion: v1\nkind: Service\nmetadata: {name: zipkin, namespace: istio-system, annotations: {networking.istio.io/exportTo: '*'}}\n---\n"
	    "apiVersion: v1\nkind: Pod\nmetadata: {name: p, namespace: a, annotations: {sidecar.istio.io/interceptionMode: TPROXY, sidecar.istio.io/logLevel: debug}}\n---\n"
	    "apiVersion: v1\nkind: Pod\nmetadata: {name: q, namespace: a, annotations: {sidecar.istio.io/interceptionMode: TPROXY}}\n"
	    "spec: {initContainers: [{name: istio-init}]}\n");
	struct cox_analyze_result out = run(&m, (struct cox_analyze_options){ .precheck = &facts });
	static const struct {
		enum cox_analyze_code code;
		size_t n;
	} want[] = { { COX_AN_KUBERNETES_VERSION, 1 }, { COX_AN_NO_PERMISSION, 2 },        { COX_AN_GWAPI_UNSUPPORTED, 1 },
		     { COX_AN_GWAPI_FUTURE, 1 },       { COX_AN_UPGRADE_INCOMPATIBLE, 1 }, { COX_AN_ALPHA_ANNOTATION, 3 } };
	for (size_t i = 0; i < COX_LEN(want); i++)
		assert_int_equal(count(&out, want[i].code), want[i].n);
	assert_int_equal(out.n, 9);
	assert_true(cox_str_eq(out.items[0].origin, COX_STR("Cluster")));
	facts = (struct cox_precheck){ .kubernetes = COX_STR("v1.36.0"), .from_version = COX_STR("1.22"), .no_control_plane = true };
	out = run(&m, (struct cox_analyze_options){ .precheck = &facts });
	assert_int_equal(out.n, 0);
	fini(&m);
}

/* 5,000 services with pods, VirtualServices and DestinationRules: no analyzer may walk all pairs. The bound is wide, for busy machines;
 * pairs would take a minute. */
static void test_scale(void **state)
{
	(void)state;
	enum { SERVICES = 5000, NAMESPACES = 50, BOUND_MS = 15000 };
	struct mesh m = { 0 };
	for (int i = 0; i < SERVICES; i++) {
		int ns = i % NAMESPACES;
		add(&m, "",
		    cox_arena_printf(
		        &m.arena,
		        "apiVersion: v1\nkind: Service\nmetadata: {name: s%d, namespace: n%d}\nspec: {selector: {app: s%d}, ports: [{name: http, port: 80, protocol: TCP}]}\n---\n"
		        "apiVersion: v1\nkind: Pod\nmetadata: {name: p%d, namespace: n%d, labels: {app: s%d, version: v1}}\nspec: {containers: [{name: istio-proxy, image: p}]}\n---\n"
		        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d%d, namespace: n%d}\nspec: {template: {metadata: {labels: {app: s%d}}, spec: {containers: [{name: istio-proxy, image: p}]}}}\n---\n"
		        "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: s%d, namespace: n%d}\nspec: {host: s%d, subsets: [{name: v1, labels: {app: s%d}}]}\n---\n"
		        "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: s%d, namespace: n%d}\nspec: {hosts: [s%d], http: [{route: [{destination: {host: s%d, subset: v1}}]}]}\n---\n"
		        "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: s%d, namespace: n%d}\nspec: {selector: {app: s%d}, servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: [s%d.example]}]}\n",
		        i, ns, i, i, ns, i, i, ns, i, i, ns, i, i, i, ns, i, i, i, ns, i, i)
		        .p);
	}
	int64_t before = cox_clock_mono_ms();
	struct cox_analyze_result out = run(&m, (struct cox_analyze_options){ .no_schemas = true });
	int64_t took = cox_clock_mono_ms() - before;
	print_message("%zu objects: %lld ms, %zu messages\n", m.docs.n, (long long)took, out.n);
	for (size_t i = 0; i < out.n; i++)
		print_message("%.*s %.*s\n", COX_FMT(out.items[i].origin), COX_FMT(out.items[i].text));
	assert_int_equal(out.n, 0);
	assert_true(took < BOUND_MS);
	fini(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_clusters),   cmocka_unit_test(test_remote_config), cmocka_unit_test(test_left_out),
		cmocka_unit_test(test_first_wins), cmocka_unit_test(test_annotations),   cmocka_unit_test(test_nonsense),
		cmocka_unit_test(test_precheck),   cmocka_unit_test(test_scale),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
