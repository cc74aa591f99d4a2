/* ServiceEntries and WorkloadEntries. The objects of the first test are those of a real istiod's reference, and so are the answers. */
#include "registry/yaml_objects.h"

static struct cox_registry *registry_with(const char *yaml)
{
	struct cox_registry *r = cox_registry_new(&(struct cox_registry_options){ 0 });
	yaml_put(r, yaml);
	struct cox_registry_changes c;
	cox_registry_take_changes(r, &c);
	cox_registry_changes_fini(&c);
	return r;
}

static void settle(struct cox_registry *r)
{
	struct cox_registry_changes c;
	cox_registry_take_changes(r, &c);
	cox_registry_changes_fini(&c);
}

static const char entries[] =
    "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: static, namespace: se}\n"
    "spec:\n  addresses: [240.1.1.1]\n  hosts: [static.se.internal]\n  location: MESH_INTERNAL\n  resolution: STATIC\n"
    "  ports: [{name: http, number: 80, protocol: HTTP}, {name: mysql, number: 3306, protocol: MySQL}]\n"
    "  subjectAltNames: [\"spiffe://cluster.local/ns/se/sa/db\"]\n"
    "  endpoints:\n  - {address: 10.200.0.1, labels: {version: v1}, network: n1, serviceAccount: db, weight: 80}\n"
    "  - {address: 10.200.0.2, locality: region1/zone2/sub2, ports: {http: 8080}, weight: 20}\n---\n"
    "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: vms, namespace: se}\n"
    "spec:\n  addresses: [240.3.3.3]\n  hosts: [vms.se.internal]\n  location: MESH_INTERNAL\n  resolution: STATIC\n"
    "  ports: [{name: http, number: 80, protocol: HTTP, targetPort: 8080}, {name: grpc, number: 9000, protocol: GRPC}]\n"
    "  workloadSelector: {labels: {app: vm}}\n---\n"
    "apiVersion: networking.istio.io/v1\nkind: WorkloadEntry\nmetadata: {name: vm1, namespace: se, labels: {app: vm, version: v1}}\n"
    "spec: {address: 10.210.0.1, labels: {app: vm, class: old}, locality: region2/zone3, ports: {http: 18080}, serviceAccount: vm, weight: "
    "2}\n---\n"
    "apiVersion: networking.istio.io/v1\nkind: WorkloadEntry\nmetadata: {name: vm2, namespace: se}\n"
    "spec: {address: 10.210.0.2, labels: {app: vm, security.istio.io/tlsMode: istio}, serviceAccount: vm}\n---\n"
    "apiVersion: v1\nkind: Service\nmetadata: {name: vmsvc, namespace: se}\n"
    "spec: {clusterIP: 10.101.184.143, selector: {app: vm}, ports: [{name: http, port: 81, targetPort: 8081}]}\n---\n"
    "apiVersion: v1\nkind: Pod\nmetadata: {name: vmsvc-0, namespace: se, labels: {app: vm, security.istio.io/tlsMode: istio}}\n"
    "spec: {serviceAccountName: default}\nstatus: {phase: Running, podIP: 10.45.163.230, conditions: [{type: Ready, status: \"True\"}]}\n";

static const struct cox_endpoint *at(const struct cox_svc_entry *e, const char *address, const char *port)
{
	for (COX_EACH(struct cox_endpoint, p, e->endpoints->items))
		if (cox_str_eq_cstr(p->address, address) && cox_str_eq_cstr(p->port_name, port))
			return p;
	return NULL;
}

/* covers: a127 a128 a129 a130 a132 a135 a138 */
static void test_static(void **state)
{
	(void)state;
	struct cox_registry *r = registry_with(entries);
	const struct cox_svc_entry *e = svc_of(r, "static.se.internal", "se");
	assert_int_equal(e->svc->resolution, COX_RES_EDS);
	assert_int_equal(e->svc->origin, COX_SVC_ENTRY);
	assert_false(e->svc->is_external);
	assert_false(e->svc->addresses_are_auto);
	assert_str(e->svc->addresses.p[0], "240.1.1.1");
	assert_str(e->svc->subject_alt_names.p[0], "spiffe://cluster.local/ns/se/sa/db");
	assert_int_equal(e->svc->ports.p[1].protocol, COX_PROTO_MYSQL);
	assert_int_equal(e->endpoints->items.n, 4);
	const struct cox_endpoint *first = at(e, "10.200.0.1", "mysql"), *second = at(e, "10.200.0.2", "http");
	assert_int_equal(first->port, 3306);
	assert_int_equal(first->weight, 80);
	assert_str(first->network, "n1");
	assert_str(first->workload, "static-0");
	assert_str(first->canonical_name, "static-0");
	assert_str(first->canonical_revision, "v1");
	assert_str(first->tls_mode, "istio");
	assert_str(first->service_account, "spiffe://cluster.local/ns/se/sa/db");
	assert_int_equal(second->port, 8080);
	assert_str(second->workload, "static-1");
	assert_str(second->locality, "region1/zone2/sub2");
	assert_str(second->tls_mode, "");
	assert_false(e->endpoints->all_tls);
	cox_registry_free(r);
}

/* covers: a136 a140 b33 b34 */
static void test_selected_workloads(void **state)
{
	(void)state;
	struct cox_registry *r = registry_with(entries);
	const struct cox_svc_entry *e = svc_of(r, "vms.se.internal", NULL);
	assert_int_equal(e->endpoints->items.n, 6);
	assert_int_equal(at(e, "10.210.0.1", "http")->port, 18080);
	assert_int_equal(at(e, "10.210.0.1", "http")->weight, 2);
	assert_str(at(e, "10.210.0.1", "http")->canonical_revision, "v1");
	assert_str(at(e, "10.210.0.1", "http")->tls_mode, "istio");
	assert_int_equal(at(e, "10.210.0.2", "http")->port, 8080);
	assert_int_equal(at(e, "10.210.0.2", "grpc")->port, 9000);
	assert_int_equal(at(e, "10.45.163.230", "http")->port, 8080);
	assert_str(at(e, "10.45.163.230", "http")->workload, "vmsvc-0");
	/* A Kubernetes Service selects the same WorkloadEntries; its pods come by slices only. */
	const struct cox_svc_entry *k = svc_of(r, "vmsvc.se.svc.cluster.local", NULL);
	assert_int_equal(k->endpoints->items.n, 2);
	assert_int_equal(at(k, "10.210.0.1", "http")->port, 18080);
	assert_int_equal(at(k, "10.210.0.2", "http")->port, 8081);
	/* A label that goes takes the endpoint from both. */
	yaml_put(r, "apiVersion: networking.istio.io/v1\nkind: WorkloadEntry\nmetadata: {name: vm2, namespace: se}\nspec: {address: "
	            "10.210.0.2, serviceAccount: vm}\n");
	settle(r);
	assert_null(at(svc_of(r, "vms.se.internal", NULL), "10.210.0.2", "http"));
	assert_null(at(svc_of(r, "vmsvc.se.svc.cluster.local", NULL), "10.210.0.2", "http"));
	/* A pod that is not ready is no endpoint of an entry. */
	yaml_put(
	    r,
	    "apiVersion: v1\nkind: Pod\nmetadata: {name: vmsvc-0, namespace: se, labels: {app: vm}}\nspec: {serviceAccountName: default}\n"
	    "status: {phase: Running, podIP: 10.45.163.230, conditions: [{type: Ready, status: \"False\"}]}\n");
	settle(r);
	assert_null(at(svc_of(r, "vms.se.internal", NULL), "10.45.163.230", "http"));
	cox_registry_free(r);
}

static void test_unhealthy_entry(void **state)
{
	(void)state;
	struct cox_registry *r = registry_with(entries);
	yaml_put(r, "apiVersion: networking.istio.io/v1\nkind: WorkloadEntry\nmetadata: {name: vm1, namespace: se, labels: {app: vm}}\n"
	            "spec: {address: 10.210.0.1, serviceAccount: vm}\nstatus: {conditions: [{type: Healthy, status: \"False\"}]}\n");
	settle(r);
	assert_int_equal(at(svc_of(r, "vms.se.internal", NULL), "10.210.0.1", "http")->health, COX_UNHEALTHY);
	assert_int_equal(at(svc_of(r, "vms.se.internal", NULL), "10.210.0.2", "http")->health, COX_HEALTHY);
	cox_registry_free(r);
}

static const char dns[] =
    "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: dns, namespace: se}\n"
    "spec: {hosts: [dns.example.org, two.example.org], location: MESH_EXTERNAL, resolution: DNS, ports: [{name: https, number: 443, "
    "protocol: HTTPS}]}\n---\n"
    "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: dnsrr, namespace: se}\n"
    "spec: {hosts: [rr.example.org], resolution: DNS_ROUND_ROBIN, endpoints: [{address: one.example.org}], ports: [{name: tls, number: "
    "443, protocol: TLS}]}\n---\n"
    "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: none, namespace: se}\n"
    "spec: {hosts: [\"*.none.example.org\"], resolution: NONE, ports: [{name: http, number: 80, protocol: HTTP}]}\n---\n"
    "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: dynamic, namespace: se}\n"
    "spec: {hosts: [\"*.dyn.example.org\"], resolution: DYNAMIC_DNS, ports: [{name: http, number: 80, protocol: HTTP}]}\n---\n"
    "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: cidr, namespace: se}\n"
    "spec: {hosts: [cidr.tcp], addresses: [240.20.0.0/16, 240.21.0.1], resolution: NONE, ports: [{name: tcp, number: 9000, protocol: "
    "TCP}]}\n---\n"
    "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: socket, namespace: se}\n"
    "spec: {hosts: [socket.se], resolution: STATIC, exportTo: [\".\", team], endpoints: [{address: \"unix:///run/x.sock\"}], ports: "
    "[{name: http, number: 80, protocol: HTTP}]}\n";

/* covers: a127 a131 a133 a134 a137 */
static void test_resolutions(void **state)
{
	(void)state;
	struct cox_registry *r = registry_with(dns);
	const struct cox_svc_entry *e = svc_of(r, "dns.example.org", NULL);
	assert_int_equal(e->svc->resolution, COX_RES_DNS);
	assert_true(e->svc->is_external);
	assert_str(e->endpoints->items.p[0].address, "dns.example.org");
	assert_str(e->endpoints->items.p[0].workload, "dns");
	assert_str(svc_of(r, "two.example.org", NULL)->endpoints->items.p[0].address, "two.example.org");
	e = svc_of(r, "rr.example.org", NULL);
	assert_int_equal(e->svc->resolution, COX_RES_DNS_RR);
	assert_str(e->endpoints->items.p[0].address, "one.example.org");
	assert_str(e->endpoints->items.p[0].workload, "dnsrr-0");
	e = svc_of(r, "*.none.example.org", NULL);
	assert_int_equal(e->svc->resolution, COX_RES_PASSTHROUGH);
	assert_int_equal(e->endpoints->items.n, 0);
	assert_int_equal(e->svc->addresses.n, 0);
	assert_int_equal(svc_of(r, "*.dyn.example.org", NULL)->svc->resolution, COX_RES_DYNAMIC_DNS);
	assert_int_equal(svc_of(r, "cidr.tcp", NULL)->svc->addresses.n, 2);
	e = svc_of(r, "socket.se", NULL);
	assert_str(e->endpoints->items.p[0].address, "unix:///run/x.sock");
	assert_int_equal(e->endpoints->items.p[0].port, 0);
	assert_true(cox_export_is_visible(&e->svc->export_to, COX_STR("team")));
	assert_false(cox_export_is_visible(&e->svc->export_to, COX_STR("default")));
	cox_registry_free(r);
}

/* An inline endpoint of a DNS cluster is part of the cluster: no fast path. */
static void test_dns_endpoints_take_the_full_path(void **state)
{
	(void)state;
	struct cox_registry *r = registry_with(dns);
	yaml_put(r, "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: dnsrr, namespace: se}\n"
	            "spec: {hosts: [rr.example.org], resolution: DNS_ROUND_ROBIN, endpoints: [{address: other.example.org}], ports: "
	            "[{name: tls, number: 443, protocol: TLS}]}\n");
	struct cox_registry_changes c;
	cox_registry_take_changes(r, &c);
	assert_int_equal(c.items.n, 1);
	assert_str(c.items.p[0].id, "rr.example.org");
	assert_false(c.items.p[0].is_endpoints_only);
	cox_registry_changes_fini(&c);
	cox_registry_free(r);
}

static struct cox_registry *many_entries(int n, int first, char *yaml, size_t cap)
{
	struct cox_registry *r = cox_registry_new(&(struct cox_registry_options){ 0 });
	for (int i = 0; i < n; i++) {
		int k = (i + first) % n;
		snprintf(yaml, cap,
		         "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: e%d, namespace: se, creationTimestamp: "
		         "\"2026-01-01T00:%02d:%02dZ\"}\n"
		         "spec: {hosts: [e%d.example.org], resolution: DNS, ports: [{name: http, number: 80, protocol: HTTP}]}\n",
		         k, k / 60, k % 60, k);
		yaml_put(r, yaml);
		if (i % 100 == 0)
			settle(r);
	}
	settle(r);
	return r;
}

static void test_auto_addresses(void **state)
{
	(void)state;
	static char yaml[512];
	enum { N = 1000 };
	struct cox_registry *a = many_entries(N, 0, yaml, sizeof(yaml)), *b = many_entries(N, 700, yaml, sizeof(yaml));
	struct cox_map seen = { 0 };
	for (int i = 0; i < N; i++) {
		char host[64];
		snprintf(host, sizeof(host), "e%d.example.org", i);
		const struct cox_svc *x = svc_of(a, host, NULL)->svc, *y = svc_of(b, host, NULL)->svc;
		assert_true(x->addresses_are_auto);
		assert_int_equal(x->addresses.n, 1);
		assert_true(cox_str_has_prefix(x->addresses.p[0], COX_STR("240.240.")));
		assert_true(cox_str_eq(x->addresses.p[0], y->addresses.p[0])); /* whatever the order in which they came */
		assert_null(cox_map_set(&seen, x->addresses.p[0], (void *)x)); /* and none twice */
	}
	cox_map_fini(&seen);
	cox_registry_free(a);
	cox_registry_free(b);
	/* What somebody wrote into the status counts, and who opts out gets none. */
	struct cox_registry *r = registry_with(
	    "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: a, namespace: se}\n"
	    "spec: {hosts: [a.example.org], resolution: DNS, ports: [{name: http, number: 80, protocol: HTTP}]}\n"
	    "status: {addresses: [{value: 240.240.9.9, host: a.example.org}, {value: 240.240.9.8, host: b.example.org}]}\n---\n"
	    "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: b, namespace: se, labels: "
	    "{networking.istio.io/enable-autoallocate-ip: \"false\"}}\n"
	    "spec: {hosts: [c.example.org], resolution: DNS, ports: [{name: http, number: 80, protocol: HTTP}]}\n");
	assert_int_equal(svc_of(r, "a.example.org", NULL)->svc->addresses.n, 1);
	assert_str(svc_of(r, "a.example.org", NULL)->svc->addresses.p[0], "240.240.9.9");
	assert_int_equal(svc_of(r, "c.example.org", NULL)->svc->addresses.n, 0);
	cox_registry_free(r);
}

static size_t wished(struct cox_registry *r, const char *name, struct cox_arena *arena, struct cox_se_address **list, bool *is_said)
{
	const struct cox_object *o = cox_registry_object_find(r, COX_KIND_SERVICE_ENTRY, COX_STR("se"), cox_str_of(name));
	size_t n = cox_registry_auto_addresses(r, o, arena, list);
	*is_said = cox_registry_auto_addresses_are_said(o, *list, n);
	return n;
}

#define ADDRESSED(name, created, hosts, more, status)                                                                                     \
	"apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: " name ", namespace: se, creationTimestamp: \"" created \
	"\"" more "}\nspec: {hosts: [" hosts                                                                                              \
	"], resolution: DYNAMIC_DNS, ports: [{name: http, number: 80, protocol: HTTP}]}\nstatus: " status "\n"

/* covers: a128 a139 b37 */
static void test_addresses_of_the_status(void **state)
{
	(void)state;
	struct cox_arena arena = { 0 };
	struct cox_se_address *list;
	bool is_said;
	struct cox_registry *r = registry_with(ADDRESSED("a", "2026-01-02T00:00:00Z", "a.org, '*.wild.org', b.org", "", "{}"));
	assert_int_equal(wished(r, "a", &arena, &list, &is_said), 2); /* no wildcard */
	assert_false(is_said);
	assert_str(list[0].host, "a.org");
	assert_str(list[1].host, "b.org");
	assert_true(cox_str_eq(list[0].value, svc_of(r, "a.org", NULL)->svc->addresses.p[0]));
	/* Written: the same address, and it is said. IPv6 that another controller gave besides does not matter. */
	struct cox_str status = cox_arena_printf(
	    &arena, "{addresses: [{value: %.*s, host: b.org}, {value: %.*s, host: a.org}, {value: '2001:2::1', host: a.org}]}",
	    COX_FMT(list[1].value), COX_FMT(list[0].value));
	struct cox_str first = list[0].value;
	struct cox_str yaml =
	    cox_arena_printf(&arena, ADDRESSED("a", "2026-01-02T00:00:00Z", "a.org, '*.wild.org', b.org", "", "%.*s"), COX_FMT(status));
	yaml_put(r, yaml.p);
	settle(r);
	assert_int_equal(wished(r, "a", &arena, &list, &is_said), 2);
	assert_true(is_said);
	assert_str(list[0].value, first.p);
	/* An older entry comes: what is in use does not move, though it would choose first. */
	yaml = cox_arena_printf(
	    &arena, ADDRESSED("older", "2026-01-01T00:00:00Z", "z.org", "", "{addresses: [{value: %.*s, host: z.org}]}"), COX_FMT(first));
	yaml_put(r, yaml.p);
	settle(r);
	assert_int_equal(wished(r, "older", &arena, &list, &is_said), 1);
	assert_str(list[0].value, first.p); /* both say that they have it: the older keeps it */
	assert_true(is_said);
	assert_int_equal(wished(r, "a", &arena, &list, &is_said), 2);
	assert_false(is_said);
	assert_false(cox_str_eq(list[0].value, first));
	assert_false(cox_str_eq(svc_of(r, "a.org", NULL)->svc->addresses.p[0], first));
	/* Label and annotation take it away, and what was written is to be taken back. */
	static const char *const off[] = { ", labels: {networking.istio.io/enable-autoallocate-ip: 'false'}",
		                           ", annotations: {networking.istio.io/enable-autoallocate-ip: 'false'}" };
	for (size_t i = 0; i < COX_LEN(off); i++) {
		yaml = cox_arena_printf(
		    &arena, ADDRESSED("a", "2026-01-02T00:00:00Z", "a.org", "%s", "{addresses: [{value: 240.240.1.1, host: a.org}]}"),
		    off[i]);
		yaml_put(r, yaml.p);
		settle(r);
		assert_int_equal(wished(r, "a", &arena, &list, &is_said), 0);
		assert_false(is_said);
		assert_int_equal(svc_of(r, "a.org", NULL)->svc->addresses.n, 0);
	}
	cox_registry_free(r);
	cox_arena_fini(&arena);
}

#define ENTRY(name, ns, created, host)                                                                      \
	"apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: " name ", namespace: " ns \
	", creationTimestamp: \"" created "\"}\n"                                                           \
	"spec: {hosts: [" host "], resolution: DNS, ports: [{name: http, number: 80, protocol: HTTP}]}\n"

static void test_older_claims_the_host(void **state)
{
	(void)state;
	struct cox_registry *r = registry_with(ENTRY("young", "n", "2026-02-01T00:00:00Z", "x.org"));
	assert_str(svc_of(r, "x.org", "n")->svc->object_id, "ServiceEntry/n/young");
	yaml_put(r, ENTRY("old", "n", "2026-01-01T00:00:00Z", "x.org") "---\n" ENTRY("elsewhere", "m", "2026-01-01T00:00:00Z", "x.org"));
	settle(r);
	assert_str(svc_of(r, "x.org", "n")->svc->object_id, "ServiceEntry/n/old");
	assert_str(svc_of(r, "x.org", "m")->svc->object_id, "ServiceEntry/m/elsewhere");
	struct cox_arena arena = { 0 };
	const struct cox_registry_finding *f;
	assert_int_equal(cox_registry_findings(r, &arena, &f), 1);
	assert_str(f[0].object_id, "ServiceEntry/n/young");
	yaml_remove(r, ENTRY("old", "n", "2026-01-01T00:00:00Z", "x.org"));
	settle(r);
	assert_str(svc_of(r, "x.org", "n")->svc->object_id, "ServiceEntry/n/young");
	assert_int_equal(cox_registry_findings(r, &arena, &f), 0);
	cox_arena_fini(&arena);
	/* Hosts that leave the object leave the mesh. */
	yaml_put(r, ENTRY("young", "n", "2026-02-01T00:00:00Z", "y.org"));
	struct cox_registry_changes c;
	cox_registry_take_changes(r, &c);
	assert_int_equal(c.items.n, 2);
	cox_registry_changes_fini(&c);
	assert_null(svc_of(r, "x.org", "n"));
	assert_non_null(svc_of(r, "y.org", "n"));
	cox_registry_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_static),
		cmocka_unit_test(test_selected_workloads),
		cmocka_unit_test(test_unhealthy_entry),
		cmocka_unit_test(test_resolutions),
		cmocka_unit_test(test_dns_endpoints_take_the_full_path),
		cmocka_unit_test(test_auto_addresses),
		cmocka_unit_test(test_addresses_of_the_status),
		cmocka_unit_test(test_older_claims_the_host),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
