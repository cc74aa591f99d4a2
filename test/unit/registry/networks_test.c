/* meshNetworks and topology.istio.io/network: which network an endpoint is on, and the table of gateways.
 * covers: a228 b44 */
#include "model/networks.h"
#include "registry/yaml_objects.h"

static struct cox_registry *registry_with(const char *networks, const char *yaml)
{
	struct cox_registry *r = cox_registry_new(&(struct cox_registry_options){ .networks_yaml = cox_str_of(networks) });
	yaml_put(r, yaml);
	return r;
}

/* Whether a new snapshot is needed. */
static bool settle(struct cox_registry *r)
{
	struct cox_registry_changes c;
	cox_registry_take_changes(r, &c);
	bool needs = c.needs_snapshot;
	cox_registry_changes_fini(&c);
	return needs;
}

static const char *network_at(struct cox_registry *r, const char *address)
{
	static char text[64];
	const struct cox_svc_entry *e = svc_of(r, "web.shop.svc.cluster.local", "shop");
	assert_non_null(e);
	for (COX_EACH(struct cox_endpoint, p, e->endpoints->items))
		if (cox_str_eq_cstr(p->address, address))
			return cox_str_to_cstr(p->network, text, sizeof(text));
	return "no such endpoint";
}

#define POD(name, ip, labels, spec)                                                                                          \
	"apiVersion: v1\nkind: Pod\nmetadata: {name: " name ", namespace: shop, labels: {app: web" labels "}}\nspec: {" spec \
	"}\nstatus: {phase: Running, podIP: " ip "}\n---\n"
#define AT(name, ip) "- {addresses: [" ip "], targetRef: {kind: Pod, name: " name "}}\n"

static const char pods[] =
    "apiVersion: v1\nkind: Service\nmetadata: {name: web, namespace: shop}\nspec: {clusterIP: 10.9.0.1, selector: {app: web}, ports: [{name: "
    "http, port: 80}]}\n---\n" POD("a", "10.0.0.1", ", topology.istio.io/network: own", "nodeName: n1")
        POD("b", "10.0.0.2", "", "nodeName: n1") POD("c", "10.0.0.3", "", "") POD("d", "10.7.0.1", "", "") POD(
            "e", "192.0.2.1", "",
            "") "apiVersion: v1\nkind: Node\nmetadata: {name: n1, labels: {topology.istio.io/network: of-node}}\n---\n"
                "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: web-1, namespace: shop, labels: {kubernetes.io/service-name: "
                "web}}\naddressType: IPv4\nports: [{name: http, port: 8080}]\nendpoints:\n" AT("a", "10.0.0.1") AT("b", "10.0.0.2")
                    AT("c", "10.0.0.3") AT("d", "10.7.0.1") AT("e", "192.0.2.1");

static const char networks[] =
    "networks:\n  wide: {endpoints: [{fromCidr: 10.0.0.0/8}]}\n  narrow: {endpoints: [{fromCidr: 10.7.0.0/16}, {fromCidr: "
    "'fd00::/8'}]}\n  rest: {endpoints: [{fromRegistry: Kubernetes}]}\n";

static void test_whose_word_counts(void **state)
{
	(void)state;
	struct cox_registry *r = registry_with(networks, pods);
	settle(r);
	assert_string_equal(network_at(r, "10.0.0.1"), "own");
	assert_string_equal(network_at(r, "10.0.0.2"), "of-node");
	assert_string_equal(network_at(r, "10.0.0.3"), "wide");
	assert_string_equal(network_at(r, "10.7.0.1"), "narrow"); /* the longest range */
	assert_string_equal(network_at(r, "192.0.2.1"), "rest");
	/* The mesh's own namespace, then the pod's. */
	yaml_put(r, "apiVersion: v1\nkind: Namespace\nmetadata: {name: istio-system, labels: {topology.istio.io/network: default}}\n");
	settle(r);
	assert_string_equal(network_at(r, "10.0.0.3"), "default");
	assert_string_equal(network_at(r, "10.0.0.2"), "of-node");
	yaml_put(r, "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop, labels: {topology.istio.io/network: of-ns}}\n");
	settle(r);
	assert_string_equal(network_at(r, "10.0.0.3"), "of-ns");
	assert_string_equal(network_at(r, "10.0.0.1"), "own");
	cox_registry_free(r);
}

static void test_machines(void **state)
{
	(void)state;
	struct cox_registry *r = registry_with(
	    networks,
	    "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: in, namespace: shop}\n"
	    "spec: {hosts: [web.shop.svc.cluster.local], location: MESH_INTERNAL, resolution: STATIC, ports: [{number: 80, name: http, protocol: "
	    "HTTP}], endpoints: [{address: 10.7.1.1}, {address: 10.7.1.2, network: said}, {network: gone}]}\n---\n"
	    "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: out, namespace: shop}\n"
	    "spec: {hosts: [out.example], location: MESH_EXTERNAL, resolution: STATIC, ports: [{number: 80, name: http, protocol: "
	    "HTTP}], endpoints: [{address: 10.7.1.3}]}\n");
	settle(r);
	assert_string_equal(network_at(r, "10.7.1.1"), "narrow");
	assert_string_equal(network_at(r, "10.7.1.2"), "said");
	assert_string_equal(network_at(r, ""), "gone"); /* reached through its network's gateway only */
	assert_str(svc_of(r, "out.example", NULL)->endpoints->items.p[0].network, "");
	cox_registry_free(r);
}

static const struct cox_networks *table(struct cox_registry *r)
{
	const struct cox_networks *n = cox_registry_networks_share(r);
	cox_networks_unref(n); /* the registry keeps one */
	return n;
}

#define GATEWAY(labels, ip)                                                                     \
	"apiVersion: v1\nkind: Service\nmetadata: {name: gw, namespace: edge, labels: {" labels \
	"}}\nspec: {externalIPs: [198.51.100.9]}\nstatus: "                                     \
	"{loadBalancer: {ingress: [{ip: " ip "}, {hostname: x.example}]}}\n"

static void test_gateways(void **state)
{
	const struct cox_network_gateway *g;
	(void)state;
	struct cox_registry *r =
	    registry_with("networks: {two: {gateways: [{address: 192.0.2.2, port: 443}, {address: 192.0.2.2, port: 443}, "
	                  "{registryServiceName: gw.edge.svc.cluster.local, port: 99}]}}",
	                  "apiVersion: v1\nkind: Namespace\nmetadata: {name: edge}\n");
	settle(r);
	assert_int_equal(table(r)->gateways.n, 1);
	assert_int_equal(table(r)->scale, 1);
	yaml_put(r, GATEWAY("topology.istio.io/network: one", "198.51.100.1"));
	assert_true(settle(r));
	assert_int_equal(cox_networks_gateways(table(r), COX_STR("one"), &g), 2);
	assert_str(g[0].address, "198.51.100.1");
	assert_int_equal(g[0].port, 15443);
	assert_int_equal(cox_networks_gateways(table(r), COX_STR("two"), &g), 3);
	assert_int_equal(g[1].port, 99);
	assert_int_equal(table(r)->scale, 6);
	assert_int_equal(cox_networks_gateways(table(r), COX_STR("none"), &g), 0);
	/* The same again changes nothing; another port and another address do. */
	struct cox_hash before = table(r)->hash;
	yaml_put(r, GATEWAY("a: b, topology.istio.io/network: one", "198.51.100.1"));
	settle(r);
	assert_true(cox_hash_eq(before, table(r)->hash));
	yaml_put(r, GATEWAY("topology.istio.io/network: one, networking.istio.io/gatewayPort: '7'", "198.51.100.2"));
	assert_true(settle(r));
	assert_int_equal(cox_networks_gateways(table(r), COX_STR("one"), &g), 2);
	assert_int_equal(g[0].port, 7);
	assert_str(g[0].address, "198.51.100.2");
	yaml_remove(r, GATEWAY("a: b", "198.51.100.2"));
	settle(r);
	assert_int_equal(table(r)->gateways.n, 1);
	cox_registry_free(r);
}

static void config(struct cox_registry *r, const char *text)
{
	char yaml[512];
	snprintf(yaml, sizeof(yaml),
	         "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: istio, namespace: istio-system}\ndata: {meshNetworks: \"%s\"}\n", text);
	yaml_put(r, yaml);
	settle(r);
}

static void test_what_is_wrong_is_said(void **state)
{
	static const struct {
		const char *yaml, *why;
		bool is_error;
	} cases[] = {
		{ "networks: {n: {gateways: [{address: 192.0.2.9}]}}", "networks.n.gateways[0].port", true },
		{ "networks: {n: {gateways: [{port: 1}]}}", "networks.n.gateways[0]", true },
		{ "networks: {n: {endpoints: [{fromCidr: 10.0.0.0/33}]}}", "networks.n.endpoints[0].fromCidr", true },
		{ "networks: {n: {endpoints: [{fromCidr: 10.0.0.0/8, fromRegistry: a}]}}", "networks.n.endpoints[0]", true },
		{ "networks: [", "meshNetworks", true },
		{ "networks: {n: {gateways: [{address: 'a b', port: 1}]}}", "leads nowhere", false },
		{ "networks: {n: {gateways: [{address: 192.0.2.9, port: 1, locality: r}]}}", "locality", false },
	};
	(void)state;
	struct cox_registry *r = registry_with("{}", "apiVersion: v1\nkind: Namespace\nmetadata: {name: edge}\n");
	config(r, "networks: {n: {gateways: [{address: 192.0.2.3, port: 1}]}}");
	for (size_t i = 0; i < COX_LEN(cases); i++) {
		struct cox_arena arena = { 0 };
		const struct cox_registry_finding *f;
		config(r, cases[i].yaml);
		assert_int_equal(cox_registry_findings(r, &arena, &f), 1);
		struct cox_str line = cox_arena_printf(&arena, "%.*s %.*s", COX_FMT(f[0].path), COX_FMT(f[0].text));
		if (!strstr(line.p, cases[i].why))
			fail_msg("\"%s\" does not say %s", line.p, cases[i].why);
		assert_int_equal(f[0].severity, cases[i].is_error ? COX_SEV_ERROR : COX_SEV_WARNING);
		if (cases[i].is_error) /* the last good ones stay */
			assert_str(table(r)->gateways.p[0].address, "192.0.2.3");
		cox_arena_fini(&arena);
	}
	cox_registry_free(r);
}

/* Names lead in once somebody resolves them; nodes do for a Service of type NodePort that says which. covers: a228 */
static void test_names_and_nodes(void **state)
{
	(void)state;
	static const struct cox_str two[] = { COX_STR_INIT("198.51.100.1"), COX_STR_INIT("198.51.100.2") };
	const struct cox_network_gateway *g;
	const struct cox_str *names;
	struct cox_arena arena = { 0 };
	struct cox_registry *r =
	    registry_with("networks: {two: {gateways: [{address: gw.example.com, port: 443}]}}",
	                  "apiVersion: v1\nkind: Service\nmetadata: {name: lb, namespace: edge, labels: {topology.istio.io/network: "
	                  "one}}\nspec: {type: LoadBalancer, ports: [{port: 15443}]}\nstatus: {loadBalancer: {ingress: "
	                  "[{hostname: lb.example.com}]}}\n");
	settle(r);
	assert_int_equal(cox_registry_gateway_names(r, &arena, &names), 2);
	assert_str(names[0], "gw.example.com");
	assert_str(names[1], "lb.example.com");
	assert_int_equal(table(r)->gateways.n, 0);
	assert_true(cox_registry_set_gateway_addresses(r, COX_STR("lb.example.com"), two, 2));
	assert_false(cox_registry_set_gateway_addresses(r, COX_STR("lb.example.com"), two, 2));
	assert_false(cox_registry_set_gateway_addresses(r, COX_STR("nobody.asked"), two, 1));
	assert_true(settle(r));
	assert_int_equal(cox_networks_gateways(table(r), COX_STR("one"), &g), 2);
	assert_str(g[1].address, "198.51.100.2");
	assert_int_equal(g[1].port, 15443);
	assert_true(cox_registry_set_gateway_addresses(r, COX_STR("lb.example.com"), two + 1, 1));
	assert_true(settle(r));
	assert_int_equal(cox_networks_gateways(table(r), COX_STR("one"), &g), 1);
	/* By nodes instead: the name is not asked for any more. */
	yaml_put(
	    r,
	    "apiVersion: v1\nkind: Service\nmetadata: {name: lb, namespace: edge, labels: {topology.istio.io/network: one}, annotations: "
	    "{traffic.istio.io/nodeSelector: '{\"role\":\"edge\"}'}}\nspec: {type: NodePort, ports: [{port: 15443, nodePort: 31443}]}\n---\n"
	    "apiVersion: v1\nkind: Node\nmetadata: {name: a, labels: {role: edge}}\nstatus: {addresses: [{type: ExternalIP, address: "
	    "203.0.113.1}, {type: InternalIP, address: 10.0.0.1}]}\n---\n"
	    "apiVersion: v1\nkind: Node\nmetadata: {name: b}\nstatus: {addresses: [{type: ExternalIP, address: 203.0.113.2}]}\n");
	settle(r);
	assert_int_equal(cox_networks_gateways(table(r), COX_STR("one"), &g), 1);
	assert_str(g[0].address, "203.0.113.1");
	assert_int_equal(g[0].port, 31443);
	assert_int_equal(cox_registry_gateway_names(r, &arena, &names), 1);
	yaml_put(
	    r,
	    "apiVersion: v1\nkind: Node\nmetadata: {name: b, labels: {role: edge}}\nstatus: {addresses: [{type: ExternalIP, address: 203.0.113.2}]}\n");
	assert_true(settle(r));
	assert_int_equal(cox_networks_gateways(table(r), COX_STR("one"), &g), 2);
	cox_arena_fini(&arena);
	cox_registry_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_whose_word_counts),
		cmocka_unit_test(test_machines),
		cmocka_unit_test(test_gateways),
		cmocka_unit_test(test_names_and_nodes),
		cmocka_unit_test(test_what_is_wrong_is_said),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
