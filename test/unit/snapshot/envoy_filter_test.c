/*
 * EnvoyFilters of a generation: what is taken over, whose labels count, and the findings about those that never match.
 * covers: a153 a165
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "snapshot/check.h"
#include "snapshot/world.h"

#define FILTER(name, ns, more, patches)                                                                                     \
	"---\napiVersion: networking.istio.io/v1alpha3\nkind: EnvoyFilter\nmetadata: {name: " name ", namespace: " ns "}\n" \
	"spec:\n  " more "\n  configPatches:\n" patches
#define MERGE(match) "  - {applyTo: CLUSTER, match: {" match "}, patch: {operation: MERGE, value: {connect_timeout: 1s}}}\n"
#define GOOD MERGE("cluster: {name: x}")
#define MESH                                                                                                                                               \
	"---\napiVersion: v1\nkind: Service\nmetadata: {name: web, namespace: shop}\n"                                                                     \
	"spec: {clusterIP: 10.1.0.1, selector: {app: web}, ports: [{name: http, port: 80}]}\n"                                                             \
	"---\napiVersion: v1\nkind: Pod\nmetadata: {name: web-1, namespace: shop, labels: {app: web}}\n"                                                   \
	"spec: {containers: [{name: a, image: a}]}\nstatus: {phase: Running, podIP: 10.0.0.1}\n"                                                           \
	"---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: web-1, namespace: shop, labels: {kubernetes.io/service-name: web}}\n" \
	"addressType: IPv4\nports: [{name: http, port: 8080}]\n"                                                                                           \
	"endpoints: [{addresses: [10.0.0.1], conditions: {ready: true}, targetRef: {kind: Pod, name: web-1, namespace: shop}}]\n"                          \
	"---\napiVersion: v1\nkind: Service\nmetadata: {name: gw, namespace: shop}\n"                                                                      \
	"spec: {clusterIP: 10.1.0.2, selector: {istio: gw}, ports: [{name: http, port: 80}]}\n"                                                            \
	"---\napiVersion: v1\nkind: Pod\nmetadata: {name: gw-1, namespace: shop, labels: {istio: gw}}\n"                                                   \
	"spec: {containers: [{name: a, image: a}]}\nstatus: {phase: Running, podIP: 10.0.0.2}\n"                                                           \
	"---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: gw-1, namespace: shop, labels: {kubernetes.io/service-name: gw}}\n"   \
	"addressType: IPv4\nports: [{name: http, port: 8080}]\n"                                                                                           \
	"endpoints: [{addresses: [10.0.0.2], conditions: {ready: true}, targetRef: {kind: Pod, name: gw-1, namespace: shop}}]\n"                           \
	"---\napiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: front, namespace: shop}\n"                                               \
	"spec: {selector: {istio: gw}, servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: [\"*\"]}]}\n"                                     \
	"---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: web, namespace: shop}\n"                                         \
	"spec: {host: web.shop.svc.cluster.local, subsets: [{name: v1, labels: {version: v1}}]}\n"

/* covers: a153: a generation takes over what did not change; a bad patch leaves the others of its object. */
static void test_taken_over(void **state)
{
	(void)state;
	struct world w = world_with(FILTER("a", "shop", "priority: 1", GOOD) FILTER(
	    "b", "shop", "priority: 2", GOOD "  - {applyTo: CLUSTER, patch: {operation: MERGE, value: {nonsense: 1}}}\n" GOOD));
	assert_int_equal(w.s->envoy_filters.n, 2);
	const struct cox_ready_filter *a = w.s->envoy_filters.p[0], *b = w.s->envoy_filters.p[1];
	assert_int_equal(b->patches.n, 2);
	assert_int_equal(b->patches.p[1].at, 2);
	struct cox_hash first = b->patches.p[1].hash;
	world_put(&w, FILTER("b", "shop", "priority: 2",
	                     MERGE("cluster: {name: other}") "  - {applyTo: BOOTSTRAP, patch: {operation: MERGE, value: {}}}\n" GOOD));
	assert_ptr_equal(w.s->envoy_filters.p[0], a);
	assert_int_equal(w.s->envoy_filters.p[1]->patches.n, 2);
	assert_true(cox_hash_eq(w.s->envoy_filters.p[1]->patches.p[1].hash, first)); /* the patch itself is the same */
	world_put(&w, FILTER("b", "shop", "priority: -2", GOOD));
	assert_ptr_equal(w.s->envoy_filters.p[1], a);
	world_put(&w, FILTER("a", "shop", "priority: 1", "  - {applyTo: BOOTSTRAP, patch: {operation: MERGE, value: {}}}\n"));
	assert_int_equal(w.s->envoy_filters.n, 1);
	world_end(&w);
}

static bool has_key(const struct cox_snapshot *s, const char *key)
{
	const struct cox_str *keys;
	size_t n = cox_snapshot_selector_keys(s, &keys);
	for (size_t i = 0; i < n; i++)
		if (cox_str_eq_cstr(keys[i], key))
			return true;
	return false;
}

static void test_keys(void **state)
{
	(void)state;
	const struct cox_str *keys;
	struct world w = world_with(FILTER("a", "shop", "workloadSelector: {labels: {tier: x}}", GOOD));
	assert_true(has_key(w.s, "tier"));
	assert_false(w.s->uses_version);
	assert_int_equal(cox_snapshot_metadata_keys(w.s, &keys), 0);
	world_put(&w, FILTER("a", "shop", "targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: g}]",
	                     MERGE("proxy: {proxyVersion: '^1', metadata: {B: x, A: x}}") MERGE("proxy: {metadata: {A: y}}")));
	assert_false(has_key(w.s, "tier"));
	assert_true(has_key(w.s, "gateway.networking.k8s.io/gateway-name"));
	assert_true(w.s->uses_version);
	assert_int_equal(cox_snapshot_metadata_keys(w.s, &keys), 2);
	assert_true(cox_str_eq_cstr(keys[0], "A"));
	world_end(&w);
}

static bool says(struct world *w, const char *path, const char *text)
{
	struct cox_findings f;
	cox_snapshot_check(w->s, w->r, &w->arena, &f);
	for (COX_EACH(struct cox_finding, x, f.items))
		if (x->code == COX_FINDING_PATCH_NEVER && cox_str_eq_cstr(x->path, path) && cox_str_search(x->text, cox_str_of(text)) >= 0)
			return true;
	return false;
}

static void test_never(void **state)
{
	(void)state;
	static const struct {
		const char *filter, *path, *text;
	} rows[] = {
		{ FILTER("f", "shop", "workloadSelector: {labels: {app: web}}", MERGE("context: GATEWAY")),
		  "spec.configPatches[0].match.context", "none is a gateway" },
		{ FILTER("f", "istio-system", "workloadSelector: {labels: {istio: gw}}", MERGE("context: SIDECAR_INBOUND")),
		  "spec.configPatches[0].match.context", "none is a sidecar" },
		{ FILTER("f", "shop", "workloadSelector: {labels: {app: nobody}}", GOOD), "spec.workloadSelector", "selects no workload" },
		{ FILTER("f", "other", "workloadSelector: {labels: {app: web}}", GOOD), "spec.workloadSelector", "of its namespace" },
		{ FILTER("f", "shop", "targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: g}]", GOOD), "spec.targetRefs",
		  "selects no workload" },
		{ FILTER("f", "shop", "priority: 0", GOOD MERGE("cluster: {service: web}")), "spec.configPatches[1].match.cluster.service",
		  "no service web" },
		{ FILTER("f", "shop", "priority: 0", MERGE("cluster: {service: web.shop.svc.cluster.local, portNumber: 81}")),
		  "spec.configPatches[0].match.cluster.portNumber", "no port 81" },
		{ FILTER("f", "shop", "priority: 0", MERGE("cluster: {service: web.shop.svc.cluster.local, subset: v2}")),
		  "spec.configPatches[0].match.cluster.subset", "subset v2" },
		{ FILTER("f", "shop", "priority: 0",
		         "  - {applyTo: HTTP_ROUTE, match: {context: GATEWAY, routeConfiguration: {gateway: shop/back}}, "
		         "patch: {operation: REMOVE}}\n"),
		  "spec.configPatches[0].match.routeConfiguration.gateway", "no Gateway shop/back" },
	};
	for (size_t i = 0; i < COX_LEN(rows); i++) {
		struct world w = world_with(MESH);
		world_put(&w, rows[i].filter);
		if (!says(&w, rows[i].path, rows[i].text))
			fail_msg("row %zu is not found", i);
		world_end(&w);
	}
	/* And what does match is left alone. */
	struct world w =
	    world_with(MESH FILTER("f", "shop", "workloadSelector: {labels: {app: web}}",
	                           MERGE("context: SIDECAR_INBOUND")
	                               MERGE("cluster: {service: web.shop.svc.cluster.local, portNumber: 80, subset: v1}"))
	                   FILTER("g", "istio-system", "workloadSelector: {labels: {istio: gw}}",
	                          "  - {applyTo: HTTP_ROUTE, match: {context: GATEWAY, routeConfiguration: {gateway: shop/front}}, "
	                          "patch: {operation: REMOVE}}\n"));
	struct cox_findings f;
	cox_snapshot_check(w.s, w.r, &w.arena, &f);
	assert_int_equal(f.counts[COX_FINDING_PATCH_NEVER], 0);
	world_end(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_taken_over),
		cmocka_unit_test(test_keys),
		cmocka_unit_test(test_never),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
