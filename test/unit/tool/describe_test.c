/* What is said of a Pod and of a Service: services, rules, subsets, routes, policies by level; and what is not about them. covers: f21 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "codec/yaml.h"
#include "tool/describe.h"

static struct cox_arena arena;

static struct cox_json *read_yaml(const char *yaml)
{
	struct cox_json *v = NULL;
	struct cox_err err = { 0 };
	if (cox_yaml_one(&arena, cox_str_of(yaml), 1 << 20, &v, NULL, &err) != COX_OK)
		fail_msg("%s", err.text);
	return v;
}

static const char pod_yaml[] =
    "metadata: {name: web-0, namespace: shop, labels: {app: web, version: v1}, annotations: {sidecar.istio.io/status: '{\"revision\": \"canary\"}'}}\n"
    "spec: {containers: [{name: app, ports: [{containerPort: 8080}]}, {name: istio-proxy, ports: [{containerPort: 15090}]}]}\n"
    "status: {phase: Running}\n";
static const char services_yaml[] =
    "- metadata: {name: web, namespace: shop}\n"
    "  spec: {selector: {app: web}, ports: [{name: http-web, port: 80, targetPort: 8080}, {port: 9, protocol: UDP}]}\n"
    "- metadata: {name: other, namespace: shop}\n  spec: {selector: {app: other}, ports: [{port: 1}]}\n"
    "- metadata: {name: headless, namespace: shop}\n  spec: {ports: [{port: 1}]}\n";
static const char rules_yaml[] =
    "- metadata: {name: web, namespace: shop}\n"
    "  spec: {host: web, trafficPolicy: {tls: {mode: ISTIO_MUTUAL}, outlierDetection: {}}, subsets: [{name: v1, labels: {version: v1}}, {name: v2, labels: {version: v2}}]}\n"
    "- metadata: {name: far, namespace: istio-system}\n  spec: {host: '*.shop.svc.cluster.local'}\n"
    "- metadata: {name: no, namespace: other}\n  spec: {host: web}\n"
    "- metadata: {name: outside, namespace: shop}\n  spec: {host: web.shop.example}\n";
static const char routes_yaml[] =
    "- metadata: {name: web, namespace: shop}\n"
    "  spec: {hosts: [web.example], gateways: [edge, mesh], http: [{match: [{uri: {prefix: /a}, headers: {x: {exact: y}}}, {port: 1}], route: [{destination: {host: web, subset: v1}, weight: 80}, {destination: {host: web, subset: v2}, weight: 20}]}, {route: [{destination: {host: other}}]}, {route: [{destination: {host: web.shop.svc.cluster.local}}]}]}\n"
    "- metadata: {name: lost, namespace: shop}\n  spec: {hosts: [web], http: [{route: [{destination: {host: other}}]}]}\n"
    "- metadata: {name: unrelated, namespace: shop}\n  spec: {hosts: [other], http: [{route: [{destination: {host: other}}]}]}\n";
static const char peers_yaml[] =
    "- {metadata: {name: mesh, namespace: istio-system}, spec: {mtls: {mode: STRICT}}}\n"
    "- {metadata: {name: space, namespace: shop}, spec: {mtls: {mode: DISABLE}}}\n"
    "- {metadata: {name: mine, namespace: shop}, spec: {selector: {matchLabels: {app: web}}, mtls: {mode: UNSET}}}\n"
    "- {metadata: {name: theirs, namespace: shop}, spec: {selector: {matchLabels: {app: other}}, mtls: {mode: STRICT}}}\n"
    "- {metadata: {name: away, namespace: other}, spec: {mtls: {mode: STRICT}}}\n";
static const char policies_yaml[] = "- {metadata: {name: readers, namespace: shop}, spec: {rules: [{}, {}]}}\n"
                                    "- {metadata: {name: nobody, namespace: istio-system}, spec: {action: DENY}}\n"
                                    "- {metadata: {name: theirs, namespace: shop}, spec: {selector: {matchLabels: {app: other}}}}\n";

static struct cox_describe_world world(void)
{
	return (struct cox_describe_world){ .services = read_yaml(services_yaml),
		                            .destination_rules = read_yaml(rules_yaml),
		                            .virtual_services = read_yaml(routes_yaml),
		                            .peer_authentications = read_yaml(peers_yaml),
		                            .authorization_policies = read_yaml(policies_yaml),
		                            .root_ns = COX_STR("istio-system") };
}

static void a_pod(void **state)
{
	struct cox_buf b = { 0 };
	struct cox_describe_world w = world();
	(void)state;
	cox_describe_pod(read_yaml(pod_yaml), &w, &b);
	assert_string_equal(cox_buf_cstr(&b), "Pod: web-0\n"
	                                      "   Pod Revision: canary\n"
	                                      "   Pod Ports: 8080 (app), 15090 (istio-proxy)\n"
	                                      "--------------------\n"
	                                      "Service: web\n"
	                                      "   Port: http-web 80/HTTP targets pod port 8080\n"
	                                      "   Port: 9/UDP targets pod port 9\n"
	                                      "DestinationRule: web for \"web\"\n"
	                                      "   Matching subsets: v1\n"
	                                      "      (Non-matching subsets v2)\n"
	                                      "   Traffic Policy: TLS/outlier detection, TLS mode ISTIO_MUTUAL\n"
	                                      "DestinationRule: far.istio-system for \"*.shop.svc.cluster.local\"\n"
	                                      "   No Traffic Policy\n"
	                                      "VirtualService: web\n"
	                                      "   Gateways: edge, mesh\n"
	                                      "   HTTP route 0, prefix /a, header x or other conditions: to web/v1 80%, web/v2 20%\n"
	                                      "   HTTP route 2, all requests: to web.shop.svc.cluster.local\n"
	                                      "VirtualService: lost\n"
	                                      "   WARNING: none of its routes leads to this service\n"
	                                      "--------------------\n"
	                                      "Effective PeerAuthentication:\n"
	                                      "   Workload mTLS mode: DISABLE\n"
	                                      "Applied PeerAuthentication:\n"
	                                      "   mesh.istio-system, space.shop, mine.shop\n"
	                                      "AuthorizationPolicies:\n"
	                                      "   readers.shop: ALLOW, 2 rules\n"
	                                      "   nobody.istio-system: DENY, 0 rules\n");
	cox_buf_fini(&b);
	cox_arena_fini(&arena);
}

static void alone(void **state)
{
	struct cox_buf b = { 0 };
	struct cox_describe_world w = { .root_ns = COX_STR("istio-system") };
	(void)state;
	cox_describe_pod(read_yaml("{metadata: {name: a, namespace: n}, spec: {containers: [{name: c}]}, status: {phase: Pending}}"), &w,
	                 &b);
	assert_string_equal(cox_buf_cstr(&b),
	                    "Pod: a\n   Pod Revision: none\nWARNING: the pod has no proxy of the mesh\nWARNING: the pod is Pending\n"
	                    "--------------------\nWARNING: no Service selects the pod\n"
	                    "Effective PeerAuthentication:\n   Workload mTLS mode: PERMISSIVE\n");
	cox_buf_clear(&b);
	cox_describe_pod(read_yaml("{}"), &w, &b);
	cox_describe_service(read_yaml("[]"), NULL, &w, &b);
	cox_buf_fini(&b);
	cox_arena_fini(&arena);
}

static void a_service(void **state)
{
	struct cox_buf b = { 0 };
	struct cox_describe_world w = world();
	struct cox_json *pods = cox_json_new_array(&arena);
	(void)state;
	cox_json_push(&arena, pods, read_yaml(pod_yaml));
	cox_json_push(&arena, pods, read_yaml("{metadata: {name: web-1, namespace: shop, labels: {app: web}}}"));
	cox_describe_service(&w.services->items[0], pods, &w, &b);
	assert_non_null(strstr(cox_buf_cstr(&b), "Service: web\n"));
	assert_non_null(strstr(cox_buf_cstr(&b), "   Subsets: v1,v2\n"));
	assert_non_null(strstr(cox_buf_cstr(&b), "Pods: 2, of which 1 in the mesh\n"));
	cox_buf_clear(&b);
	cox_describe_service(&w.services->items[1], pods, &w, &b);
	assert_non_null(strstr(cox_buf_cstr(&b), "Pods: 0, of which 0 in the mesh\nWARNING: it selects no pod\n"));
	cox_buf_fini(&b);
	cox_arena_fini(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(a_pod), cmocka_unit_test(alone), cmocka_unit_test(a_service) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
