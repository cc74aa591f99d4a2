/*
 * Random histories of a small world: whatever came before, the registry and its generations are what a fresh start with the same objects
 * gives. A failing seed replays.
 */
#include "registry/yaml_objects.h"
#include "snapshot/check.h"

enum { SEEDS = 30, STEPS = 120, FACES = 4 };

/* Every thing has several faces, or is absent. */
static const struct thing {
	const char *faces[FACES];
} things[] = {
#define O(api, kind, name, ns, meta, rest) \
	"apiVersion: " api "\nkind: " kind "\nmetadata: {name: " name ", namespace: " ns ", " meta "}\n" rest "\n"
	{ { O("v1", "Namespace", "n", "\"\"", "labels: {mesh: a}", ""), O("v1", "Namespace", "n", "\"\"", "labels: {mesh: b}", "") } },
	{ { O("v1", "Namespace", "m", "\"\"", "labels: {mesh: a}", ""), O("v1", "Namespace", "m", "\"\"", "labels: {mesh: b}", "") } },
	{ { O("v1", "Node", "k", "\"\"", "labels: {topology.kubernetes.io/region: r1}", ""),
	    O("v1", "Node", "k", "\"\"", "labels: {topology.kubernetes.io/region: r2}", "") } },
	{ { O("v1", "ConfigMap", "istio", "istio-system", "labels: {}", "data: {mesh: \"trustDomain: td\"}"),
	    O("v1", "ConfigMap", "istio", "istio-system", "labels: {}", "data: {mesh: \"discoverySelectors: [{matchLabels: {mesh: a}}]\"}"),
	    O("v1", "ConfigMap", "istio", "istio-system", "labels: {}", "data: {mesh: \"defaultServiceExportTo: ['.']\"}") } },
	{ { O("v1", "Service", "a", "n", "creationTimestamp: \"2026-01-01T00:00:01Z\"",
	      "spec: {clusterIP: 10.0.0.1, selector: {app: a}, ports: [{name: http, port: 80}]}"),
	    O("v1", "Service", "a", "n", "creationTimestamp: \"2026-01-01T00:00:01Z\"",
	      "spec: {clusterIP: None, selector: {app: a}, ports: [{name: http, port: 80}]}"),
	    O("v1", "Service", "a", "n", "creationTimestamp: \"2026-01-01T00:00:09Z\"",
	      "spec: {type: ExternalName, externalName: b.m.svc.cluster.local}") } },
	{ { O("v1", "Service", "b", "m", "creationTimestamp: \"2026-01-01T00:00:02Z\"",
	      "spec: {clusterIP: 10.0.0.2, ports: [{name: http, port: 80}, {name: tcp, port: 9}]}"),
	    O("v1", "Service", "b", "m", "creationTimestamp: \"2026-01-01T00:00:02Z\"",
	      "spec: {type: ExternalName, externalName: e.org}") } },
	{ { O("discovery.k8s.io/v1", "EndpointSlice", "a-1", "n", "labels: {kubernetes.io/service-name: a}",
	      "addressType: IPv4\nports: [{name: http, port: 80}]\nendpoints: [{addresses: [10.1.0.1], targetRef: {kind: Pod, name: p}}, "
	      "{addresses: [10.1.0.2]}]"),
	    O("discovery.k8s.io/v1", "EndpointSlice", "a-1", "n", "labels: {kubernetes.io/service-name: a}",
	      "addressType: IPv4\nports: [{name: http, port: 80}]\nendpoints: [{addresses: [10.1.0.1], conditions: {ready: false}, "
	      "targetRef: {kind: Pod, name: p}}]"),
	    O("discovery.k8s.io/v1", "EndpointSlice", "a-1", "n", "labels: {kubernetes.io/service-name: x}",
	      "addressType: IPv4\nports: []\nendpoints: []") } },
	{ { O("discovery.k8s.io/v1", "EndpointSlice", "b-1", "m", "labels: {kubernetes.io/service-name: b}",
	      "addressType: IPv4\nports: [{name: http, port: 80}, {name: tcp, port: 9}]\nendpoints: [{addresses: [10.1.0.2]}]"),
	    O("discovery.k8s.io/v1", "EndpointSlice", "b-1", "m", "labels: {kubernetes.io/service-name: b}",
	      "addressType: FQDN\nports: [{name: http, port: 80}]\nendpoints: [{addresses: [x.org]}]") } },
	{ { O("v1", "Pod", "p", "n", "labels: {app: a, security.istio.io/tlsMode: istio}",
	      "spec: {nodeName: k}\nstatus: {phase: Running, podIP: 10.1.0.1}"),
	    O("v1", "Pod", "p", "n", "labels: {app: b}",
	      "spec: {nodeName: k, serviceAccountName: s}\nstatus: {phase: Running, podIP: 10.1.0.1}"),
	    O("v1", "Pod", "p", "n", "labels: {app: a}", "spec: {nodeName: k}\nstatus: {phase: Failed, podIP: 10.1.0.1}") } },
	{ { O("v1", "Pod", "q", "m", "labels: {app: a}", "spec: {nodeName: k}\nstatus: {phase: Running, podIP: 10.1.0.2}"),
	    O("v1", "Pod", "q", "m", "labels: {app: a}",
	      "spec: {nodeName: k, hostNetwork: true}\nstatus: {phase: Running, podIP: 10.1.0.2}") } },
	{ { O("networking.istio.io/v1", "ServiceEntry", "e", "n", "creationTimestamp: \"2026-01-01T00:00:03Z\"",
	      "spec: {hosts: [e.org, f.org], resolution: DNS, ports: [{name: http, number: 80, protocol: HTTP}]}"),
	    O("networking.istio.io/v1", "ServiceEntry", "e", "n", "creationTimestamp: \"2026-01-01T00:00:03Z\"",
	      "spec: {hosts: [f.org], resolution: STATIC, location: MESH_INTERNAL, workloadSelector: {labels: {app: a}}, ports: [{name: "
	      "http, number: 80, protocol: HTTP}]}") } },
	{ { O("networking.istio.io/v1", "ServiceEntry", "older", "n", "creationTimestamp: \"2026-01-01T00:00:01Z\"",
	      "spec: {hosts: [f.org, g.org], resolution: DNS, ports: [{name: http, number: 80, protocol: HTTP}]}"),
	    O("networking.istio.io/v1", "ServiceEntry", "older", "n", "creationTimestamp: \"2026-01-01T00:00:05Z\"",
	      "spec: {hosts: [a.n.svc.cluster.local, f.org], resolution: DNS, ports: [{name: http, number: 80, protocol: HTTP}]}") } },
	{ { O("networking.istio.io/v1", "WorkloadEntry", "w", "n", "labels: {app: a}", "spec: {address: 10.2.0.1, serviceAccount: s}"),
	    O("networking.istio.io/v1", "WorkloadEntry", "w", "n", "labels: {app: b}", "spec: {address: 10.2.0.1}") } },
	{ { O("networking.istio.io/v1", "VirtualService", "v", "n", "creationTimestamp: \"2026-01-01T00:00:01Z\"",
	      "spec: {hosts: [a], http: [{delegate: {name: d, namespace: m}}]}"),
	    O("networking.istio.io/v1", "VirtualService", "v", "n", "creationTimestamp: \"2026-01-01T00:00:07Z\"",
	      "spec: {hosts: [b.m.svc.cluster.local], exportTo: [m], http: [{route: [{destination: {host: a}}]}]}") } },
	{ { O("networking.istio.io/v1", "VirtualService", "d", "m", "creationTimestamp: \"2026-01-01T00:00:02Z\"",
	      "spec: {http: [{route: [{destination: {host: b}}]}]}"),
	    O("networking.istio.io/v1", "VirtualService", "d", "m", "creationTimestamp: \"2026-01-01T00:00:02Z\"",
	      "spec: {hosts: [e.org], http: [{route: [{destination: {host: b}}]}]}"),
	    O("networking.istio.io/v1", "VirtualService", "d", "m",
	      "creationTimestamp: \"2026-01-01T00:00:02Z\", labels: {istio.io/rev: other}",
	      "spec: {http: [{route: [{destination: {host: b}}]}]}") } },
	{ { O("networking.istio.io/v1", "DestinationRule", "one", "n", "creationTimestamp: \"2026-01-01T00:00:01Z\"",
	      "spec: {host: a, subsets: [{name: x}]}"),
	    O("networking.istio.io/v1", "DestinationRule", "one", "n", "creationTimestamp: \"2026-01-01T00:00:04Z\"",
	      "spec: {host: a, exportTo: [\".\"], subsets: [{name: z}]}") } },
	{ { O("networking.istio.io/v1", "DestinationRule", "two", "n", "creationTimestamp: \"2026-01-01T00:00:02Z\"",
	      "spec: {host: a.n.svc.cluster.local, subsets: [{name: y}]}"),
	    O("networking.istio.io/v1", "DestinationRule", "two", "n", "creationTimestamp: \"2026-01-01T00:00:02Z\"",
	      "spec: {host: \"*.local\", workloadSelector: {matchLabels: {app: a}}}") } },
	{ { O("networking.istio.io/v1", "Sidecar", "s", "n", "creationTimestamp: \"2026-01-01T00:00:01Z\"",
	      "spec: {egress: [{hosts: [\"./*\"]}]}"),
	    O("networking.istio.io/v1", "Sidecar", "s", "n", "creationTimestamp: \"2026-01-01T00:00:01Z\"",
	      "spec: {workloadSelector: {labels: {app: a}}, egress: [{hosts: [\"m/*\"]}]}") } },
};

static uint32_t seed;

static uint32_t below(uint32_t bound)
{
	seed = seed * 1664525u + 1013904223u;
	return (seed >> 8) % bound;
}

struct mesh {
	struct cox_registry *r;
	struct cox_snapshot *s;
};

static void settle(struct mesh *m, struct cox_registry_changes *c)
{
	cox_registry_take_changes(m->r, c);
	struct cox_snapshot *before = m->s;
	m->s = cox_snapshot_build(m->r, before);
	cox_snapshot_unref(before);
}

static struct mesh mesh_fresh(const char *const *faces)
{
	static const struct cox_registry_options defaults;
	struct mesh m = { .r = cox_registry_new(&defaults) };
	for (size_t i = 0; i < COX_LEN(things); i++)
		if (faces[i])
			yaml_put(m.r, faces[i]);
	struct cox_registry_changes c;
	settle(&m, &c);
	cox_registry_changes_fini(&c);
	return m;
}

static void mesh_end(struct mesh *m)
{
	cox_snapshot_unref(m->s);
	cox_registry_free(m->r);
}

static void expect_equal(const struct mesh *a, const struct mesh *b, unsigned at_seed, int step)
{
	struct cox_arena arena = { 0 };
	bool equal = a->s->svcs.n == b->s->svcs.n && a->s->destination_rules.n == b->s->destination_rules.n;
	for (size_t i = 0; i < a->s->svcs.n && equal; i++)
		equal = cox_hash_eq(a->s->svcs.p[i].svc->hash, b->s->svcs.p[i].svc->hash) &&
		        cox_hash_eq(a->s->svcs.p[i].endpoints->hash, b->s->svcs.p[i].endpoints->hash) &&
		        cox_hash_eq(a->s->svcs.p[i].endpoints->shape, b->s->svcs.p[i].endpoints->shape);
	for (size_t i = 0; i < a->s->destination_rules.n && equal; i++)
		equal = cox_hash_eq(a->s->destination_rules.p[i]->hash, b->s->destination_rules.p[i]->hash);
	const struct cox_kv labels[] = { { COX_STR("app"), COX_STR("a") } };
	static const char *const spaces[] = { "n", "m", "z" };
	for (size_t i = 0; i < COX_LEN(spaces) * 2 && equal; i++)
		equal = cox_hash_eq(cox_scope_build(a->s, cox_str_of(spaces[i / 2]), labels, i % 2, &arena)->hash,
		                    cox_scope_build(b->s, cox_str_of(spaces[i / 2]), labels, i % 2, &arena)->hash);
	const struct cox_str ips[] = { COX_STR("10.1.0.1"), COX_STR("10.1.0.2"), COX_STR("10.2.0.1") };
	const struct cox_snap_svc **x, **y;
	for (size_t i = 0; i < COX_LEN(ips) && equal; i++)
		equal = cox_snapshot_svcs_at(a->s, &ips[i], 1, &arena, &x) == cox_snapshot_svcs_at(b->s, &ips[i], 1, &arena, &y);
	struct cox_findings f, g;
	cox_snapshot_check(a->s, a->r, &arena, &f);
	cox_snapshot_check(b->s, b->r, &arena, &g);
	equal = equal && f.items.n == g.items.n;
	cox_arena_fini(&arena);
	if (!equal)
		fail_msg("seed %u, step %d: not what a fresh start gives", at_seed, step);
}

/* Every service that differs from the generation before stands in the changes, and those that are "endpoints only" have the same service.
 */
static void expect_told(const struct cox_snapshot *before, const struct cox_snapshot *now, const struct cox_registry_changes *c,
                        unsigned at_seed, int step)
{
	for (size_t i = 0; i < now->svcs.n; i++) {
		const struct cox_snap_svc *v = &now->svcs.p[i], *was = NULL;
		const struct cox_change *told = NULL;
		for (size_t k = 0; k < before->svcs.n; k++)
			if (cox_str_eq(before->svcs.p[k].svc->hostname, v->svc->hostname) &&
			    cox_str_eq(before->svcs.p[k].svc->ns, v->svc->ns))
				was = &before->svcs.p[k];
		for (size_t k = 0; k < c->items.n; k++)
			if (c->items.p[k].kind == COX_KIND_SERVICE && cox_str_eq(c->items.p[k].id, v->svc->hostname) &&
			    cox_str_eq(c->items.p[k].ns, v->svc->ns))
				told = &c->items.p[k];
		bool differs = !was || was->svc != v->svc || was->endpoints != v->endpoints;
		if (differs != (told != NULL) || (told && told->is_endpoints_only && was->svc != v->svc))
			fail_msg("seed %u, step %d: service %.*s: the changes do not say what happened", at_seed, step,
			         COX_FMT(v->svc->hostname));
	}
}

static void test_histories(void **state)
{
	(void)state;
	for (unsigned s = 1; s <= SEEDS; s++) {
		const char *faces[COX_LEN(things)] = { 0 };
		seed = s;
		struct mesh m = mesh_fresh(faces);
		for (int step = 0; step < STEPS; step++) {
			for (uint32_t events = 1 + below(3); events > 0; events--) {
				uint32_t i = below(COX_LEN(things)), face = below(FACES);
				const char *now = things[i].faces[face];
				if (now)
					yaml_put(m.r, now);
				else if (faces[i])
					yaml_remove(m.r, faces[i]);
				faces[i] = now;
			}
			const struct cox_snapshot *before = cox_snapshot_ref(m.s);
			struct cox_registry_changes c;
			settle(&m, &c);
			expect_told(before, m.s, &c, s, step);
			cox_registry_changes_fini(&c);
			cox_snapshot_unref(before);
			struct mesh fresh = mesh_fresh(faces);
			expect_equal(&m, &fresh, s, step);
			mesh_end(&fresh);
		}
		mesh_end(&m);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_histories) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
