#include "registry/yaml_objects.h"

static const char kube[] = "apiVersion: v1\nkind: Namespace\nmetadata: {name: default}\n---\n"
                           "apiVersion: v1\nkind: Node\nmetadata:\n  name: node-1\n  labels: {topology.kubernetes.io/region: r1, "
                           "topology.kubernetes.io/zone: z1}\n---\n"
                           "apiVersion: v1\nkind: Service\nmetadata: {name: reviews, namespace: default, labels: {app: reviews}, "
                           "creationTimestamp: \"2026-01-01T00:00:00Z\"}\n"
                           "spec: {clusterIP: 10.0.0.1, clusterIPs: [10.0.0.1, \"fd00::1\"], selector: {app: reviews}, ports: [{name: "
                           "http, port: 80, targetPort: 8080}, {name: grpc, port: 81, targetPort: named}]}\n---\n"
                           "apiVersion: v1\nkind: Pod\nmetadata:\n  name: reviews-v1-7d9f-abc\n  namespace: default\n"
                           "  labels: {app: reviews, version: v1, pod-template-hash: 7d9f, security.istio.io/tlsMode: istio}\n"
                           "  ownerReferences: [{apiVersion: apps/v1, kind: ReplicaSet, name: reviews-v1-7d9f, controller: true}]\n"
                           "spec: {serviceAccountName: bookinfo, nodeName: node-1, hostname: web-0, subdomain: web}\n"
                           "status: {phase: Running, podIP: 10.1.0.1, podIPs: [{ip: 10.1.0.1}]}\n---\n"
                           "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: reviews-1, namespace: default, labels: "
                           "{kubernetes.io/service-name: reviews}}\n"
                           "addressType: IPv4\nports: [{name: http, port: 8080}, {name: grpc, port: 9090}, {name: other, port: 1}]\n"
                           "endpoints: [{addresses: [10.1.0.1], conditions: {ready: true}, nodeName: node-1, targetRef: {kind: Pod, name: "
                           "reviews-v1-7d9f-abc}}]\n";

static struct cox_registry *registry_with(const char *yaml)
{
	struct cox_registry *r = cox_registry_new(&(struct cox_registry_options){ 0 });
	yaml_put(r, yaml);
	struct cox_registry_changes c;
	cox_registry_take_changes(r, &c);
	cox_registry_changes_fini(&c);
	return r;
}

static struct cox_registry_changes changes_of(struct cox_registry *r)
{
	struct cox_registry_changes c;
	cox_registry_take_changes(r, &c);
	return c;
}

/* covers: b32 b38 */
static void test_pod_endpoints(void **state)
{
	(void)state;
	struct cox_registry *r = registry_with(kube);
	const struct cox_svc_entry *e = svc_of(r, "reviews.default.svc.cluster.local", "default");
	assert_non_null(e);
	assert_int_equal(e->svc->resolution, COX_RES_EDS);
	assert_int_equal(e->svc->addresses.n, 2);
	assert_str(e->svc->addresses.p[1], "fd00::1");
	assert_int_equal(e->svc->ports.p[0].protocol, COX_PROTO_HTTP);
	assert_int_equal(e->svc->ports.p[1].protocol, COX_PROTO_GRPC);
	assert_int_equal(e->svc->ports.p[1].target_port, 0);
	assert_str(e->svc->ports.p[1].target_name, "named");
	assert_true(e->svc->export_to.is_public);
	assert_int_equal(e->endpoints->items.n, 2); /* the slice's port "other" belongs to no port of the service */
	const struct cox_endpoint *p = &e->endpoints->items.p[1];
	assert_str(p->port_name, "http");
	assert_int_equal(p->port, 8080);
	assert_int_equal(p->svc_port, 80);
	assert_str(p->service_account, "spiffe://cluster.local/ns/default/sa/bookinfo");
	assert_str(p->locality, "r1/z1");
	assert_str(p->workload, "reviews-v1");
	assert_str(p->canonical_name, "reviews");
	assert_str(p->canonical_revision, "v1");
	assert_str(p->tls_mode, "istio");
	assert_str(p->hostname, "web-0");
	assert_str(cox_kv_get(p->labels.p, p->labels.n, COX_STR("topology.kubernetes.io/zone")), "z1");
	assert_ptr_equal(p->labels.p, e->endpoints->items.p[0].labels.p); /* one list for all ports of a pod */
	assert_true(e->endpoints->all_tls);
	assert_int_equal(e->endpoints->accounts.n, 1);
	cox_registry_free(r);
}

static void test_equal_results_are_no_change(void **state)
{
	(void)state;
	struct cox_registry *r = registry_with(kube);
	const struct cox_svc *svc = svc_of(r, "reviews.default.svc.cluster.local", NULL)->svc;
	const struct cox_endpoint_set *eps = svc_of(r, "reviews.default.svc.cluster.local", NULL)->endpoints;
	yaml_put(r, kube); /* everything again */
	yaml_put(r, "apiVersion: v1\nkind: Pod\nmetadata: {name: stranger, namespace: default, labels: {app: x}}\nstatus: {phase: Running, "
	            "podIP: 10.9.9.9}\n");
	struct cox_registry_changes c = changes_of(r);
	for (size_t i = 0; i < c.items.n; i++)
		assert_int_not_equal(c.items.p[i].kind, COX_KIND_SERVICE);
	cox_registry_changes_fini(&c);
	assert_ptr_equal(svc, svc_of(r, "reviews.default.svc.cluster.local", NULL)->svc);
	assert_ptr_equal(eps, svc_of(r, "reviews.default.svc.cluster.local", NULL)->endpoints);
	cox_registry_free(r);
}

/* What controllers write all the time: status, resourceVersion, managed fields, annotations of others. covers: b58 */
static void test_status_writes_are_no_change(void **state)
{
	(void)state;
	static const char *const pod =
	    "apiVersion: v1\nkind: Pod\nmetadata:\n  name: p\n  namespace: n\n  resourceVersion: \"%d\"\n  annotations: "
	    "{other.example/seen: \"%d\"}\n"
	    "  managedFields: [{manager: m%d}]\nstatus: {phase: Running, podIP: 10.1.1.1, startTime: \"2026-01-01T00:00:0%dZ\"}\n";
	static const char *const vs =
	    "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: v, namespace: n, resourceVersion: \"%d\"}\n"
	    "spec: {hosts: [a], http: [{route: [{destination: {host: a}}]}]}\nstatus: {observedGeneration: %d, conditions: [{type: Seen%d, "
	    "status: \"%d\"}]}\n";
	struct cox_registry *r = cox_registry_new(&(struct cox_registry_options){ 0 });
	for (int i = 1; i < 9; i++) {
		char text[1024];
		snprintf(text, sizeof(text), i % 2 ? pod : vs, i, i, i, i);
		yaml_put(r, text);
		struct cox_registry_changes c = changes_of(r);
		assert_int_equal(c.items.n, i == 2); /* the first sight of the VirtualService */
		assert_int_equal(c.needs_snapshot, i == 2);
		cox_registry_changes_fini(&c);
	}
	cox_registry_free(r);
}

static const char second_slice[] =
    "apiVersion: v1\nkind: Pod\nmetadata: {name: b, namespace: default, labels: {app: reviews, version: v2, security.istio.io/tlsMode: "
    "istio}}\n"
    "spec: {serviceAccountName: bookinfo, nodeName: node-1}\nstatus: {phase: Running, podIP: 10.1.0.2}\n---\n"
    "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: reviews-2, namespace: default, labels: "
    "{kubernetes.io/service-name: reviews}}\n"
    "addressType: IPv4\nports: [{name: http, port: 8080}]\n"
    "endpoints: [{addresses: [10.1.0.1], conditions: {ready: false}, targetRef: {kind: Pod, name: reviews-v1-7d9f-abc}},\n"
    "  {addresses: [10.1.0.2], targetRef: {kind: Pod, name: b}}]\n";

/* covers: b32 */
static void test_slices_merge_on_the_fast_path(void **state)
{
	(void)state;
	struct cox_registry *r = registry_with(kube);
	yaml_put(r, second_slice);
	struct cox_registry_changes c = changes_of(r);
	assert_int_equal(c.items.n, 1);
	assert_true(c.items.p[0].is_endpoints_only); /* the same account, all mTLS: only the set */
	assert_str(c.items.p[0].id, "reviews.default.svc.cluster.local");
	assert_true(c.items.p[0].event_ns > 0);
	cox_registry_changes_fini(&c);
	const struct cox_endpoint_set *eps =
	    cox_registry_endpoints_find(r, COX_STR("reviews.default.svc.cluster.local"), COX_STR("default"));
	assert_int_equal(eps->items.n, 3); /* the doubled one once, the healthy mention of it */
	for (size_t i = 0; i < eps->items.n; i++)
		assert_int_equal(eps->items.p[i].health, COX_HEALTHY);
	yaml_put(r, "apiVersion: v1\nkind: Pod\nmetadata: {name: b, namespace: default, labels: {app: reviews, version: v2}}\n"
	            "spec: {serviceAccountName: bookinfo, nodeName: node-1}\nstatus: {phase: Running, podIP: 10.1.0.2}\n");
	c = changes_of(r);
	assert_true(c.needs_snapshot); /* not all speak mTLS any more: clusters change */
	bool found = false;
	for (size_t i = 0; i < c.items.n; i++)
		found |= c.items.p[i].kind == COX_KIND_SERVICE && !c.items.p[i].is_endpoints_only;
	assert_true(found);
	cox_registry_changes_fini(&c);
	cox_registry_free(r);
}

static enum cox_health health_with(struct cox_registry *r, const char *conditions, size_t *n)
{
	char yaml[1024];
	snprintf(yaml, sizeof(yaml),
	         "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: reviews-1, namespace: default, labels: "
	         "{kubernetes.io/service-name: reviews}}\n"
	         "addressType: IPv4\nports: [{name: http, port: 8080}]\n"
	         "endpoints: [{addresses: [10.1.0.1], conditions: %s, targetRef: {kind: Pod, name: reviews-v1-7d9f-abc}}]\n",
	         conditions);
	yaml_put(r, yaml);
	struct cox_registry_changes c = changes_of(r);
	cox_registry_changes_fini(&c);
	const struct cox_endpoint_set *eps =
	    cox_registry_endpoints_find(r, COX_STR("reviews.default.svc.cluster.local"), COX_STR("default"));
	*n = eps->items.n;
	return eps->items.n ? eps->items.p[0].health : COX_HEALTHY;
}

/* covers: b32 */
static void test_health(void **state)
{
	(void)state;
	struct cox_registry *r = registry_with(kube);
	size_t n;
	assert_int_equal(health_with(r, "{ready: false, serving: false, terminating: false}", &n), COX_UNHEALTHY);
	assert_int_equal(n, 1);
	health_with(r, "{ready: false, serving: true, terminating: true}", &n);
	assert_int_equal(n, 0);
	assert_int_equal(health_with(r, "{}", &n), COX_HEALTHY);
	assert_int_equal(n, 1);
	yaml_put(
	    r, "apiVersion: v1\nkind: Service\nmetadata: {name: reviews, namespace: default, labels: {istio.io/persistent-session: sid}}\n"
	       "spec: {clusterIP: 10.0.0.1, selector: {app: reviews}, ports: [{name: http, port: 80}]}\n");
	assert_int_equal(health_with(r, "{ready: false, serving: true, terminating: true}", &n), COX_DRAINING);
	assert_int_equal(n, 1);
	health_with(r, "{ready: false, serving: false, terminating: true}", &n);
	assert_int_equal(n, 0);
	assert_str(svc_of(r, "reviews.default.svc.cluster.local", NULL)->svc->persistent_session, "sid");
	cox_registry_free(r);
}

/* A slice that names a pod nobody has seen waits for it; the pod's arrival brings the endpoint, its end takes it. covers: b32 */
static void test_pod_after_slice(void **state)
{
	(void)state;
	struct cox_registry *r = registry_with("apiVersion: v1\nkind: Service\nmetadata: {name: a, namespace: n}\nspec: {clusterIP: None, "
	                                       "ports: [{name: tcp, port: 9}]}\n---\n"
	                                       "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: a-1, namespace: n, "
	                                       "labels: {kubernetes.io/service-name: a}}\n"
	                                       "addressType: IPv4\nports: [{name: tcp, port: 9}]\nendpoints: [{addresses: [10.2.0.1], "
	                                       "targetRef: {kind: Pod, name: late}}, {addresses: [10.2.0.2]}]\n");
	const struct cox_svc_entry *e = svc_of(r, "a.n.svc.cluster.local", "n");
	assert_int_equal(e->svc->resolution, COX_RES_PASSTHROUGH);
	assert_true(e->svc->is_headless);
	assert_int_equal(e->endpoints->items.n, 1);
	assert_str(e->endpoints->items.p[0].ns, "");
	const char pod[] = "apiVersion: v1\nkind: Pod\nmetadata: {name: late, namespace: n}\nstatus: {phase: Running, podIP: 10.2.0.1}\n";
	yaml_put(r, pod);
	struct cox_registry_changes c = changes_of(r);
	assert_false(c.items.p[c.items.n - 1].is_endpoints_only); /* headless: listeners change with the addresses */
	cox_registry_changes_fini(&c);
	e = svc_of(r, "a.n.svc.cluster.local", "n");
	assert_int_equal(e->endpoints->items.n, 2);
	assert_str(e->endpoints->items.p[0].service_account, "spiffe://cluster.local/ns/n/sa/default");
	/* By address: the second endpoint names no pod. */
	yaml_put(r, "apiVersion: v1\nkind: Pod\nmetadata: {name: other, namespace: n, labels: {app: o}}\nstatus: {phase: Running, podIP: "
	            "10.2.0.2}\n");
	c = changes_of(r);
	cox_registry_changes_fini(&c);
	assert_str(svc_of(r, "a.n.svc.cluster.local", "n")->endpoints->items.p[1].canonical_name, "o");
	yaml_remove(r, pod);
	c = changes_of(r);
	cox_registry_changes_fini(&c);
	assert_int_equal(svc_of(r, "a.n.svc.cluster.local", "n")->endpoints->items.n, 1);
	cox_registry_free(r);
}

static const char external[] =
    "apiVersion: v1\nkind: Service\nmetadata: {name: alias, namespace: default}\nspec: {type: ExternalName, externalName: "
    "reviews.default.svc.cluster.local}\n---\n"
    "apiVersion: v1\nkind: Service\nmetadata: {name: out, namespace: default}\nspec: {type: ExternalName, externalName: www.example.com}\n";

static void test_external_names(void **state)
{
	(void)state;
	struct cox_registry *r = registry_with(external);
	assert_true(svc_of(r, "alias.default.svc.cluster.local", NULL)->svc->is_external);
	yaml_put(r, kube);
	struct cox_registry_changes c = changes_of(r);
	cox_registry_changes_fini(&c);
	const struct cox_svc *alias = svc_of(r, "alias.default.svc.cluster.local", NULL)->svc;
	assert_int_equal(alias->resolution, COX_RES_ALIAS);
	assert_false(alias->is_external);
	assert_true(svc_of(r, "out.default.svc.cluster.local", NULL)->svc->is_external);
	const struct cox_svc *target = svc_of(r, "reviews.default.svc.cluster.local", NULL)->svc;
	assert_int_equal(target->aliases.n, 1);
	assert_str(target->aliases.p[0], "alias.default.svc.cluster.local");
	yaml_remove(r, external);
	c = changes_of(r);
	cox_registry_changes_fini(&c);
	assert_int_equal(svc_of(r, "reviews.default.svc.cluster.local", NULL)->svc->aliases.n, 0);
	assert_null(svc_of(r, "out.default.svc.cluster.local", NULL));
	cox_registry_free(r);
}

/* covers: a3 */
static void test_service_settings(void **state)
{
	(void)state;
	struct cox_registry *r = registry_with("apiVersion: v1\nkind: Service\nmetadata:\n  name: a\n  namespace: n\n  annotations: "
	                                       "{networking.istio.io/exportTo: \"., other\"}\n"
	                                       "spec: {clusterIP: 10.0.0.9, type: NodePort, internalTrafficPolicy: Local, "
	                                       "trafficDistribution: PreferClose, ports: [{name: tcp, port: 9, nodePort: 30009}]}\n---\n"
	                                       "apiVersion: v1\nkind: Service\nmetadata: {name: b, namespace: n, annotations: "
	                                       "{networking.istio.io/exportTo: \"~\"}}\nspec: {clusterIP: 10.0.0.8, ports: [{port: 9}]}\n");
	const struct cox_svc *a = svc_of(r, "a.n.svc.cluster.local", "n")->svc, *b = svc_of(r, "b.n.svc.cluster.local", "n")->svc;
	assert_true(cox_export_is_visible(&a->export_to, COX_STR("n")));
	assert_true(cox_export_is_visible(&a->export_to, COX_STR("other")));
	assert_false(cox_export_is_visible(&a->export_to, COX_STR("third")));
	assert_false(cox_export_is_visible(&b->export_to, COX_STR("n")));
	assert_true(a->is_node_local && a->is_node_port);
	assert_int_equal(a->ports.p[0].node_port, 30009);
	assert_int_equal(a->distribution, COX_DIST_SAME_ZONE);
	cox_registry_free(r);
}

static const char mesh_map[] = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: istio, namespace: istio-system}\ndata:\n  mesh: |\n"
                               "    trustDomain: td.example\n    defaultServiceExportTo: [\".\"]\n";

static void test_mesh_configuration(void **state)
{
	(void)state;
	struct cox_registry *r = registry_with(kube);
	yaml_put(r, mesh_map);
	struct cox_registry_changes c = changes_of(r);
	assert_int_equal(c.items.p[0].kind, COX_KIND_CONFIG_MAP);
	cox_registry_changes_fini(&c);
	const struct cox_svc_entry *e = svc_of(r, "reviews.default.svc.cluster.local", NULL);
	assert_str(e->endpoints->items.p[0].service_account, "spiffe://td.example/ns/default/sa/bookinfo");
	assert_false(cox_export_is_visible(&e->svc->export_to, COX_STR("other")));
	/* A bad one is reported and changes nothing; the one change starts the round after which findings are told. */
	yaml_put(r,
	         "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: istio, namespace: istio-system}\ndata:\n  mesh: \"trustDomain: [1\"\n");
	struct cox_hash before = cox_registry_mesh_hash(r);
	c = changes_of(r);
	assert_int_equal(c.items.n, 1);
	assert_int_equal(c.items.p[0].kind, COX_KIND_CONFIG_MAP);
	cox_registry_changes_fini(&c);
	assert_true(cox_hash_eq(before, cox_registry_mesh_hash(r)));
	assert_str(cox_registry_mesh(r)->trust_domain, "td.example");
	struct cox_arena arena = { 0 };
	const struct cox_registry_finding *f;
	assert_int_equal(cox_registry_findings(r, &arena, &f), 1);
	assert_str(f[0].object_id, "ConfigMap/istio-system/istio");
	assert_true(f[0].is_mesh && cox_str_has_prefix(f[0].text, COX_STR("the last good mesh configuration stays in force: ")));
	cox_arena_fini(&arena);
	/* And gone: back to the defaults. */
	yaml_remove(r, mesh_map);
	c = changes_of(r);
	cox_registry_changes_fini(&c);
	assert_str(cox_registry_mesh(r)->trust_domain, "cluster.local");
	cox_registry_free(r);
}

/* covers: b50 */
static void test_discovery_selectors(void **state)
{
	(void)state;
	struct cox_registry *r = registry_with(kube);
	yaml_put(r, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: istio, namespace: istio-system}\ndata:\n  mesh: |\n"
	            "    discoverySelectors: [{matchExpressions: [{key: mesh, operator: In, values: [\"yes\"]}]}]\n");
	struct cox_registry_changes c = changes_of(r);
	cox_registry_changes_fini(&c);
	assert_null(svc_of(r, "reviews.default.svc.cluster.local", NULL));
	const struct cox_object *const *objects;
	assert_int_equal(cox_registry_objects(r, COX_KIND_POD, &objects), 0);
	yaml_put(r, "apiVersion: v1\nkind: Namespace\nmetadata: {name: default, labels: {mesh: \"yes\"}}\n");
	c = changes_of(r);
	cox_registry_changes_fini(&c);
	assert_int_equal(svc_of(r, "reviews.default.svc.cluster.local", NULL)->endpoints->items.n, 2);
	yaml_put(r, "apiVersion: v1\nkind: Namespace\nmetadata: {name: default}\n");
	c = changes_of(r);
	bool removed = false;
	for (size_t i = 0; i < c.items.n; i++)
		removed |= c.items.p[i].kind == COX_KIND_SERVICE && c.items.p[i].is_removed;
	assert_true(removed);
	cox_registry_changes_fini(&c);
	assert_null(svc_of(r, "reviews.default.svc.cluster.local", NULL));
	cox_registry_free(r);
}

static const char canary_vs[] =
    "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: v, namespace: n, labels: {istio.io/rev: canary}}\n"
    "spec: {hosts: [a], http: [{route: [{destination: {host: a}}]}]}\n";

static void test_revision(void **state)
{
	(void)state;
	struct cox_registry *mine = cox_registry_new(&(struct cox_registry_options){ .revision = COX_STR("canary") });
	struct cox_registry *other = cox_registry_new(&(struct cox_registry_options){ 0 });
	yaml_put(mine, canary_vs);
	yaml_put(other, canary_vs);
	assert_non_null(cox_registry_object_find(mine, COX_KIND_VIRTUAL_SERVICE, COX_STR("n"), COX_STR("v")));
	assert_null(cox_registry_object_find(other, COX_KIND_VIRTUAL_SERVICE, COX_STR("n"), COX_STR("v")));
	cox_registry_free(mine);
	cox_registry_free(other);
}

static void test_dumps(void **state)
{
	(void)state;
	struct cox_registry *r = registry_with(kube);
	struct cox_arena arena = { 0 };
	const struct cox_svc_entry *all;
	struct cox_registry_changes c = changes_of(r);
	cox_registry_changes_fini(&c);
	assert_int_equal(cox_registry_svcs(r, &all), 1);
	struct cox_json *service = cox_svc_to_json(all[0].svc, COX_STR("Kubernetes"), &arena);
	assert_str(cox_json_str_at(service, "hostname"), "reviews.default.svc.cluster.local");
	assert_str(cox_json_str_at(service, "Attributes.ServiceRegistry"), "Kubernetes");
	assert_non_null(cox_json_at(service, "clusterVIPs.Addresses.Kubernetes"));
	assert_int_equal(all[0].endpoints->items.n, 2);
	struct cox_json *endpoint = cox_endpoint_to_json(&all[0].endpoints->items.p[0], &arena);
	assert_int_equal(cox_json_get(endpoint, COX_STR("Addresses"))->n, 1);
	assert_non_null(cox_json_get(endpoint, COX_STR("HealthStatus")));
	cox_arena_fini(&arena);
	cox_registry_free(r);
}

/* The order in which the first objects come does not matter. */
static void test_order_does_not_matter(void **state)
{
	(void)state;
	const char *parts[] = { kube, second_slice, external, mesh_map };
	struct cox_hash want = { 0 };
	for (size_t shift = 0; shift < COX_LEN(parts) * 2; shift++) {
		struct cox_registry *r = cox_registry_new(&(struct cox_registry_options){ 0 });
		for (size_t i = 0; i < COX_LEN(parts); i++) {
			yaml_put(r, parts[(i * (shift < COX_LEN(parts) ? 1 : 3) + shift) % COX_LEN(parts)]);
			if (shift % 2 == 0)
				continue;
			struct cox_registry_changes c = changes_of(r);
			cox_registry_changes_fini(&c);
		}
		struct cox_registry_changes c = changes_of(r);
		cox_registry_changes_fini(&c);
		const struct cox_svc_entry *all;
		struct cox_hash h = { 0 };
		size_t n = cox_registry_svcs(r, &all);
		assert_int_equal(n, 3);
		for (size_t i = 0; i < n; i++)
			h = cox_hash_combine(cox_hash_combine(h, all[i].svc->hash), all[i].endpoints->hash);
		if (shift == 0)
			want = h;
		assert_true(cox_hash_eq(want, h));
		cox_registry_free(r);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pod_endpoints),
		cmocka_unit_test(test_equal_results_are_no_change),
		cmocka_unit_test(test_status_writes_are_no_change),
		cmocka_unit_test(test_slices_merge_on_the_fast_path),
		cmocka_unit_test(test_health),
		cmocka_unit_test(test_pod_after_slice),
		cmocka_unit_test(test_external_names),
		cmocka_unit_test(test_service_settings),
		cmocka_unit_test(test_mesh_configuration),
		cmocka_unit_test(test_discovery_selectors),
		cmocka_unit_test(test_revision),
		cmocka_unit_test(test_dumps),
		cmocka_unit_test(test_order_does_not_matter),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
