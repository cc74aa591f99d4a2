/*
 * A mesh of 1,000 services, VirtualServices and DestinationRules: that one change stays one change, and what it costs. The phases are
 * functions of their own for callgrind (lib/registry/README.md has the figures):
 *   valgrind --tool=callgrind --toggle-collect=phase_rule --callgrind-out-file=/dev/null build/unit/snapshot/scale_test
 */
#include "registry/yaml_objects.h"
#include "snapshot/check.h"

#include <malloc.h>
#include <time.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { SLOWER = 10 };
#else
enum { SLOWER = 1 };
#endif
enum { SERVICES = 1000, NAMESPACES = 20, BUDGET_MS = 50 * SLOWER /* of processor time, ten times what it takes */ };

struct mesh {
	struct cox_registry *r;
	struct cox_snapshot *s;
};

static const char *service_yaml(int i, int port)
{
	static char text[4096];
	snprintf(text, sizeof(text),
	         "apiVersion: v1\nkind: Service\nmetadata: {name: s%d, namespace: n%d, labels: {app: s%d}}\n"
	         "spec: {clusterIP: 10.0.%d.%d, selector: {app: s%d}, ports: [{name: http, port: 80, targetPort: %d}]}\n---\n"
	         "apiVersion: v1\nkind: Pod\nmetadata: {name: s%d-a, namespace: n%d, labels: {app: s%d, version: v1, "
	         "security.istio.io/tlsMode: istio}}\n"
	         "spec: {serviceAccountName: default, nodeName: node}\nstatus: {phase: Running, podIP: 10.1.%d.%d}\n---\n"
	         "apiVersion: v1\nkind: Pod\nmetadata: {name: s%d-b, namespace: n%d, labels: {app: s%d, version: v2, "
	         "security.istio.io/tlsMode: istio}}\n"
	         "spec: {serviceAccountName: default, nodeName: node}\nstatus: {phase: Running, podIP: 10.2.%d.%d}\n",
	         i, i % NAMESPACES, i, i / 250, i % 250, i, port, i, i % NAMESPACES, i, i / 250, i % 250, i, i % NAMESPACES, i, i / 250,
	         i % 250);
	return text;
}

static const char *slice_yaml(int i, bool second)
{
	static char text[1024];
	char more[160] = "";
	if (second)
		snprintf(more, sizeof(more), ", {addresses: [10.2.%d.%d], targetRef: {kind: Pod, name: s%d-b}}", i / 250, i % 250, i);
	snprintf(text, sizeof(text),
	         "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: s%d-x, namespace: n%d, labels: "
	         "{kubernetes.io/service-name: s%d}}\n"
	         "addressType: IPv4\nports: [{name: http, port: 8080}]\nendpoints: [{addresses: [10.1.%d.%d], targetRef: {kind: Pod, name: "
	         "s%d-a}}%s]\n",
	         i, i % NAMESPACES, i, i / 250, i % 250, i, more);
	return text;
}

static const char *rules_yaml(int i, int weight)
{
	static char text[1024];
	snprintf(text, sizeof(text),
	         "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: s%d, namespace: n%d}\nspec: {hosts: [s%d], "
	         "http: [{route: [{destination: {host: s%d, subset: v1}, "
	         "weight: %d}, {destination: {host: s%d, subset: v2}, weight: %d}]}]}\n---\n"
	         "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: s%d, namespace: n%d}\nspec: {host: s%d, "
	         "subsets: [{name: v1, labels: {version: v1}}, {name: v2, labels: {version: v2}}]}\n",
	         i, i % NAMESPACES, i, i, weight, i, 100 - weight, i, i % NAMESPACES, i);
	return text;
}

__attribute__((noinline)) static void settle(struct mesh *m, struct cox_registry_changes *c)
{
	cox_registry_take_changes(m->r, c);
	if (!c->needs_snapshot)
		return;
	struct cox_snapshot *before = m->s;
	m->s = cox_snapshot_build(m->r, before);
	cox_snapshot_unref(before);
}

__attribute__((noipa)) static void phase_first(struct mesh *m, struct cox_registry_changes *c) { settle(m, c); }
__attribute__((noipa)) static void phase_endpoint(struct mesh *m, struct cox_registry_changes *c) { settle(m, c); }
__attribute__((noipa)) static void phase_service(struct mesh *m, struct cox_registry_changes *c) { settle(m, c); }
__attribute__((noipa)) static void phase_rule(struct mesh *m, struct cox_registry_changes *c) { settle(m, c); }
__attribute__((noipa)) static size_t phase_scope(struct mesh *m, struct cox_arena *arena)
{
	return cox_scope_build(m->s, COX_STR("n1"), NULL, 0, arena)->svcs.n;
}
__attribute__((noipa)) static void phase_check(struct mesh *m, struct cox_arena *arena, struct cox_findings *f)
{
	cox_snapshot_check(m->s, m->r, arena, f);
}

static struct mesh mesh_make(int services)
{
	static const struct cox_registry_options defaults;
	struct mesh m = { .r = cox_registry_new(&defaults) };
	for (int i = 0; i < services; i++) {
		yaml_put(m.r, service_yaml(i, 8080));
		yaml_put(m.r, slice_yaml(i, true));
	}
	return m;
}

static void mesh_end(struct mesh *m)
{
	cox_snapshot_unref(m->s);
	cox_registry_free(m->r);
}

/* Of this thread alone: others may keep the machine busy. */
static int64_t spent_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static double ms_since(int64_t start_ns) { return (double)(spent_ns() - start_ns) / 1e6; }

static void check_phase(const char *what, double ms)
{
	print_message("%s: %.3f ms\n", what, ms);
	assert_true(ms < BUDGET_MS);
}

static void test_changes(struct mesh *m)
{
	struct cox_registry_changes c;
	yaml_put(m->r, slice_yaml(7, false));
	const struct cox_snapshot *before = m->s;
	int64_t start = spent_ns();
	phase_endpoint(m, &c);
	check_phase("one endpoint", ms_since(start));
	assert_int_equal(c.items.n, 1);
	assert_true(c.items.p[0].is_endpoints_only);
	assert_ptr_equal(before, m->s); /* no generation for it */
	cox_registry_changes_fini(&c);
	yaml_put(m->r, service_yaml(7, 9090));
	start = spent_ns();
	phase_service(m, &c);
	check_phase("one Service", ms_since(start));
	assert_int_equal(c.items.n, 1);
	cox_registry_changes_fini(&c);
	yaml_put(m->r, rules_yaml(7, 10));
	const struct cox_vs *first = m->s->virtual_services.p[0];
	start = spent_ns();
	phase_rule(m, &c);
	check_phase("one VirtualService", ms_since(start));
	assert_int_equal(c.items.n, 1); /* the DestinationRule is as it was */
	assert_ptr_equal(first, m->s->virtual_services.p[0]);
	cox_registry_changes_fini(&c);
}

static void test_thousand(void **state)
{
	(void)state;
	struct mesh m = mesh_make(SERVICES);
	struct cox_registry_changes c;
	struct cox_arena arena = { 0 };
	for (int i = 0; i < SERVICES; i++)
		yaml_put(m.r, rules_yaml(i, 50));
	int64_t start = spent_ns();
	phase_first(&m, &c);
	print_message("first generation: %.3f ms\n", ms_since(start));
	assert_int_equal(c.items.n, 3 * SERVICES); /* services, VirtualServices, DestinationRules */
	cox_registry_changes_fini(&c);
	assert_int_equal(m.s->svcs.n, SERVICES);
	test_changes(&m);
	start = spent_ns();
	assert_int_equal(phase_scope(&m, &arena), SERVICES);
	check_phase("one scope", ms_since(start));
	struct cox_findings f;
	start = spent_ns();
	phase_check(&m, &arena, &f);
	check_phase("findings", ms_since(start));
	assert_int_equal(f.items.n, 0);
	/* What was reached step by step is what a fresh start gives. */
	struct mesh fresh = mesh_make(SERVICES);
	yaml_put(fresh.r, slice_yaml(7, false));
	yaml_put(fresh.r, service_yaml(7, 9090));
	for (int i = 0; i < SERVICES; i++)
		yaml_put(fresh.r, rules_yaml(i, i == 7 ? 10 : 50));
	settle(&fresh, &c);
	cox_registry_changes_fini(&c);
	assert_true(cox_hash_eq(cox_scope_build(m.s, COX_STR("n7"), NULL, 0, &arena)->hash,
	                        cox_scope_build(fresh.s, COX_STR("n7"), NULL, 0, &arena)->hash));
	cox_arena_fini(&arena);
	mesh_end(&fresh);
	mesh_end(&m);
}

static size_t heap_bytes(void) { return mallinfo2().uordblks; }

/* 500 services with 2 pods each, everything that is kept of them: under 6 MiB. */
static void test_memory(void **state)
{
	(void)state;
	size_t before = heap_bytes();
	struct mesh m = mesh_make(500);
	struct cox_registry_changes c;
	settle(&m, &c);
	cox_registry_changes_fini(&c);
	size_t used = heap_bytes() - before;
	print_message("500 services, 1,000 pods: %zu KiB\n", used / 1024);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
	assert_true(used > 0 && used < 6 * 1024 * 1024);
#endif
	mesh_end(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_memory), cmocka_unit_test(test_thousand) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
