/* covers: a1 a6 a20 a22 a41 a44 a56 a58 a61 a70 a106 a107 a108 a112 a127 a131 a132 a133 a134 a140 a145 a150 d69 */
#include "model/core.h"
#include "model/destination_rule.h"
#include "model/gateway.h"
#include "model/service_entry.h"
#include "model/sidecar.h"
#include "model/virtual_service.h"
#include "model/document.h"

static struct cox_diags diags;

static enum cox_rc build(const char *yaml, const struct cox_object **out)
{
	diags = (struct cox_diags){ .arena = &arena };
	return cox_object_build(document(cox_str_of(yaml)), COX_STR("test.yaml:1"), (struct cox_str){ 0 }, &arena, &diags, out);
}

/* The spec of an Istio kind, with apiVersion and metadata put before it. */
static enum cox_rc build_spec(const char *kind, const char *spec, const struct cox_object **out)
{
	struct cox_str yaml = cox_arena_printf(
	    &arena, "apiVersion: networking.istio.io/v1\nkind: %s\nmetadata: {name: x, namespace: ns}\nspec:\n%s", kind, spec);
	return build(yaml.p, out);
}

static void assert_finding(const char *what, enum cox_severity severity)
{
	for (size_t i = 0; i < diags.n; i++) {
		struct cox_str line = cox_arena_printf(&arena, "%.*s: %.*s", COX_FMT(diags.items[i].path), COX_FMT(diags.items[i].text));
		if (diags.items[i].severity == severity && strstr(line.p, what))
			return;
	}
	for (size_t i = 0; i < diags.n; i++)
		print_message("%d %.*s: %.*s\n", diags.items[i].severity, COX_FMT(diags.items[i].path), COX_FMT(diags.items[i].text));
	fail_msg("no finding says: %s", what);
}

static void refuse(const char *kind, const char *spec, const char *why)
{
	const struct cox_object *o = NULL;
	if (build_spec(kind, spec, &o) != COX_EINVAL)
		fail_msg("accepted, though: %s", why);
	assert_null(o);
	assert_finding(why, COX_SEV_ERROR);
}

static void accept(const char *kind, const char *spec, const char *warning)
{
	const struct cox_object *o = NULL;
	enum cox_rc rc = build_spec(kind, spec, &o);
	if (rc != COX_OK)
		assert_finding("nothing, it should be accepted", COX_SEV_ERROR);
	if (warning)
		assert_finding(warning, COX_SEV_WARNING);
	else
		assert_int_equal(diags.n, 0);
	cox_object_unref(o);
}

static const char vs_yaml[] =
    "apiVersion: networking.istio.io/v1alpha3\nkind: VirtualService\n"
    "metadata:\n  name: reviews\n  namespace: shop\n  resourceVersion: '7'\n  creationTimestamp: 2026-08-01T10:00:00Z\n  generation: 3\n"
    "  labels: {b: x, a: y}\n  annotations: {kubectl.kubernetes.io/last-applied-configuration: long, networking.istio.io/x: kept}\n"
    "  ownerReferences: [{kind: A, name: a}, {kind: B, name: b, controller: true}]\n"
    "spec:\n  hosts: [reviews, '*.example.com']\n  gateways: [mesh, istio-system/gw]\n  http:\n"
    "  - name: first\n    match:\n    - uri: {prefix: /v2}\n      headers: {end-user: {exact: jason}, x-any: {}}\n      queryParams: {q: {regex: 'a+'}}\n"
    "    timeout: 1m30.5s\n    retries: {attempts: 3, perTryTimeout: 2s, retryOn: '5xx,503'}\n"
    "    route:\n    - destination: {host: reviews, subset: v2, port: {number: 9080}}\n      weight: 75\n"
    "      headers: {request: {set: {b: '2', a: '1'}, remove: [z]}}\n    - destination: {host: reviews}\n      weight: 25\n"
    "    fault: {abort: {httpStatus: 503, percentage: {value: 12.5}}}\n"
    "  - directResponse: {status: 200, body: {bytes: aGVsbG8=}}\n";

static void test_virtual_service(void **state)
{
	(void)state;
	const struct cox_object *o = NULL;
	assert_int_equal(build(vs_yaml, &o), COX_OK);
	assert_int_equal(diags.n, 0);
	assert_int_equal(o->kind, COX_KIND_VIRTUAL_SERVICE);
	assert_true(cox_str_eq_cstr(o->id, "VirtualService/shop/reviews"));
	assert_true(cox_str_eq_cstr(o->origin, "test.yaml:1"));
	assert_true(cox_str_eq_cstr(o->meta.labels.p[0].key, "a"));
	assert_int_equal(o->meta.annotations.n, 1);
	assert_true(o->meta.creation_ms == 1785578400000);
	assert_int_equal(o->meta.generation, 3);
	assert_true(cox_str_eq_cstr(o->meta.owner_kind, "B"));
	const struct cox_virtual_service *v = COX_SPEC(cox_virtual_service_object, o)->spec;
	const struct cox_http_route *r = &v->http.p[0];
	assert_int_equal(v->hosts.n, 2);
	assert_true(cox_str_eq_cstr(r->match.p[0].uri->prefix.v, "/v2"));
	assert_int_equal(r->match.p[0].headers.n, 2);
	assert_true(cox_str_eq_cstr(r->match.p[0].headers.p[0].match.exact.v, "jason"));
	assert_false(r->match.p[0].headers.p[1].match.exact.set);
	assert_true(r->timeout_ns.set && r->timeout_ns.v == 90500000000);
	assert_int_equal(r->route.p[0].destination->port->number.v, 9080);
	assert_int_equal(r->route.p[1].weight.v, 25);
	assert_true(cox_str_eq_cstr(r->route.p[0].headers->request->set.p[0].key, "a"));
	assert_true(r->fault->abort->percentage->value.v == 12.5);
	assert_true(cox_str_eq_cstr(v->http.p[1].direct_response->body->bytes.v, "hello"));
	cox_object_unref(o);
}

/* The object is one block, which stays whole when everything else is gone. */
static void test_one_block(void **state)
{
	(void)state;
	const struct cox_object *o = NULL;
	assert_int_equal(build(vs_yaml, &o), COX_OK);
	const struct cox_virtual_service *v = COX_SPEC(cox_virtual_service_object, o)->spec;
	const char *low = (const char *)o, *high = low + o->size_bytes;
	assert_true((const char *)v > low && (const char *)v < high);
	assert_true(v->http.p[0].match.p[0].headers.p[0].key.p > low && v->http.p[0].match.p[0].headers.p[0].key.p < high);
	assert_true(o->id.p > low && o->id.p + o->id.n <= high);
	struct cox_hash h = o->hash;
	cox_arena_fini(&arena);
	diags = (struct cox_diags){ .arena = &arena };
	struct cox_json *json = cox_object_to_json(o, &arena);
	const struct cox_object *again = NULL;
	assert_int_equal(cox_object_build(json, COX_STR("elsewhere"), (struct cox_str){ 0 }, &arena, &diags, &again), COX_OK);
	assert_true(cox_hash_eq(h, again->hash));
	assert_true(cox_object_eq(o, again));
	const struct cox_object *more = cox_object_ref(o);
	cox_object_unref(o);
	assert_true(cox_hash_eq(more->hash, h));
	cox_object_unrefp(&more);
	assert_null(more);
	cox_object_unref(again);
}

static void test_what_matters(void **state)
{
	(void)state;
	static const char base[] =
	    "apiVersion: v1\nkind: Pod\nmetadata: {name: p, namespace: n, uid: u1, resourceVersion: '1', labels: {a: b}}\nspec: {nodeName: x}\n";
	static const char *const same[] = {
		"apiVersion: v1\nkind: Pod\nmetadata: {name: p, namespace: n, uid: u2, resourceVersion: '2', labels: {a: b}, managedFields: [{x: y}]}\nspec: {nodeName: x, volumes: []}\n",
		"apiVersion: v1\nkind: Pod\nmetadata: {name: p, namespace: n, labels: {a: b}, annotations: {other.example.com/x: y}}\nspec: {nodeName: x}\n",
	};
	static const char *const different[] = {
		"apiVersion: v1\nkind: Pod\nmetadata: {name: p, namespace: n, labels: {a: c}}\nspec: {nodeName: x}\n",
		"apiVersion: v1\nkind: Pod\nmetadata: {name: p, namespace: n, labels: {a: b}}\nspec: {nodeName: y}\n",
		"apiVersion: v1\nkind: Pod\nmetadata: {name: p, namespace: n, labels: {a: b}, deletionTimestamp: 2026-08-01T10:00:00Z}\nspec: {nodeName: x}\n",
		"apiVersion: v1\nkind: Pod\nmetadata: {name: p, namespace: n, labels: {a: b}, annotations: {sidecar.istio.io/inject: 'false'}}\nspec: {nodeName: x}\n",
		"apiVersion: v1\nkind: Pod\nmetadata: {name: p, namespace: n, labels: {a: b}}\nspec: {nodeName: x}\nstatus: {phase: Running}\n",
	};
	const struct cox_object *o = NULL, *x = NULL;
	assert_int_equal(build(base, &o), COX_OK);
	for (size_t i = 0; i < COX_LEN(same); i++) {
		assert_int_equal(build(same[i], &x), COX_OK);
		assert_true(cox_object_eq(o, x));
		cox_object_unref(x);
	}
	for (size_t i = 0; i < COX_LEN(different); i++) {
		assert_int_equal(build(different[i], &x), COX_OK);
		assert_false(cox_object_eq(o, x));
		cox_object_unref(x);
	}
	cox_object_unref(o);
}

static void test_core(void **state)
{
	(void)state;
	const struct cox_object *o = NULL;
	assert_int_equal(
	    build(
	        "apiVersion: v1\nkind: Service\nmetadata: {name: s}\nspec: {ports: [{name: http, port: 80, targetPort: web}, {port: 81, targetPort: 8081}], "
	        "clusterIPs: [10.0.0.1], selector: {b: c, a: b}}\n",
	        &o),
	    COX_OK);
	const struct cox_service *s = COX_SPEC(cox_service, o);
	assert_true(cox_str_eq_cstr(o->meta.ns, "default"));
	assert_true(cox_str_eq_cstr(s->spec->ports.p[0].target_port.s, "web"));
	assert_int_equal(s->spec->ports.p[1].target_port.i, 8081);
	assert_true(cox_str_eq_cstr(s->spec->selector.p[0].key, "a"));
	cox_object_unref(o);
	assert_int_equal(
	    build(
	        "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: s-1, labels: {kubernetes.io/service-name: s}}\naddressType: IPv4\n"
	        "endpoints: [{addresses: [10.1.0.1], conditions: {ready: true, serving: null}, zone: a}]\nports: [{name: http, port: 8080}]\n",
	        &o),
	    COX_OK);
	const struct cox_endpoint_slice *e = COX_SPEC(cox_endpoint_slice, o);
	assert_true(e->endpoints.p[0].conditions->ready.v && !e->endpoints.p[0].conditions->serving.set);
	cox_object_unref(o);
	assert_int_equal(
	    build("apiVersion: v1\nkind: Secret\nmetadata: {name: s}\ntype: kubernetes.io/tls\ndata: {tls.key: c2VjcmV0, a: ''}\n", &o),
	    COX_OK);
	const struct cox_secret *k = COX_SPEC(cox_secret, o);
	assert_true(cox_str_eq_cstr(k->data.p[1].value.v, "secret"));
	struct cox_buf b = { 0 };
	cox_json_write(&b, cox_object_to_json(o, &arena), 0, false);
	assert_null(strstr(cox_buf_cstr(&b), "c2VjcmV0"));
	assert_non_null(strstr(cox_buf_cstr(&b), "<redacted>"));
	cox_buf_fini(&b);
	cox_object_unref(o);
	assert_int_equal(build("apiVersion: v1\nkind: Secret\nmetadata: {name: s}\ndata: {a: '!'}\n", &o), COX_EINVAL);
	assert_int_equal(build("apiVersion: v1\nkind: Namespace\nmetadata: {name: n, namespace: ignored}\n", &o), COX_OK);
	assert_int_equal(o->meta.ns.n, 0);
	cox_object_unref(o);
}

static void test_not_ours(void **state)
{
	(void)state;
	const struct cox_object *o = NULL;
	assert_int_equal(build("apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: x}\n", &o), COX_ENOTFOUND);
	assert_int_equal(build("apiVersion: networking.istio.io/v2\nkind: Gateway\nmetadata: {name: x}\n", &o), COX_ENOTFOUND);
	assert_int_equal(build("apiVersion: gateway.networking.k8s.io/v9\nkind: Gateway\nmetadata: {name: x}\n", &o), COX_ENOTFOUND);
	assert_int_equal(build("a: b\n", &o), COX_ENOTFOUND);
	assert_int_equal(diags.n, 0);
	assert_int_equal(build("apiVersion: v1\nkind: Pod\n", &o), COX_EINVAL);
	assert_finding("metadata: is required", COX_SEV_ERROR);
	assert_int_equal(build("apiVersion: v1\nkind: Pod\nmetadata: {name: 'A B'}\n", &o), COX_EINVAL);
	assert_finding("metadata.name: \"A B\"", COX_SEV_ERROR);
	assert_null(o);
}

static void test_virtual_service_rules(void **state)
{
	(void)state;
	static const char route[] = "  hosts: [a]\n  http:\n  - ";
#define HTTP(text) cox_arena_printf(&arena, "%s%s\n", route, text).p
	refuse("VirtualService", "  hosts: [a]\n", "at least one of http, tls, tcp");
	refuse("VirtualService", HTTP("name: x"), "one of route, redirect, directResponse, delegate must be set");
	refuse("VirtualService", HTTP("{route: [{destination: {host: b}}], redirect: {uri: /x}}"), "only one of route, redirect");
	refuse("VirtualService", HTTP("{route: [{destination: {host: b}, weight: 0}, {destination: {host: c}, weight: 0}]}"),
	       "add up to 0");
	refuse("VirtualService", HTTP("{route: [{destination: {host: b}, weight: -1}]}"), "http[0].route[0].weight: must be from 0");
	refuse("VirtualService", HTTP("{route: [{destination: {host: b}, weight: x}]}"),
	       "http[0].route[0].weight: must be an integer, not text");
	refuse("VirtualService", HTTP("{route: [{weight: 1}]}"), "http[0].route[0].destination: is required");
	refuse("VirtualService", HTTP("{route: [{destination: {host: 'b c'}}]}"), "destination.host: \"b c\": must be a DNS name");
	refuse("VirtualService", HTTP("{route: [{destination: {host: b, port: {number: 70000}}}]}"), "must be a port from 1 to 65535");
	refuse("VirtualService", HTTP("{route: [{destination: {host: b}}], timeout: 5}"), "timeout: must be a duration");
	refuse("VirtualService", HTTP("{route: [{destination: {host: b}}], timeout: 5x}"), "\"5x\" is no duration");
	refuse("VirtualService", HTTP("{route: [{destination: {host: b}}], fault: {abort: {httpStatus: 199}}}"), "must be from 200 to 599");
	refuse("VirtualService", HTTP("{route: [{destination: {host: b}}], fault: {abort: {percentage: {value: 101}}}}"),
	       "must be from 0 to 100");
	refuse("VirtualService", HTTP("{route: [{destination: {host: b}}], fault: {delay: {fixedDelay: 0s}}}"), "must be at least 0.001s");
	refuse("VirtualService", HTTP("{route: [{destination: {host: b}}], fault: {}}"), "one of delay, abort");
	refuse("VirtualService", HTTP("{route: [{destination: {host: b}}], retries: {attempts: -1}}"), "attempts: must be from 0");
	refuse("VirtualService", HTTP("{route: [{destination: {host: b}}], retries: {attempts: 0, retryOn: 5xx}}"), "attempts is 0");
	refuse("VirtualService", HTTP("{route: [{destination: {host: b}}], retries: {attempts: 1, retryOn: sometimes}}"),
	       "\"sometimes\" is neither");
	refuse("VirtualService", HTTP("{route: [{destination: {host: b}}], match: [{uri: {regex: '(a'}}]}"), "is no RE2 expression");
	refuse("VirtualService", HTTP("{route: [{destination: {host: b}}], match: [{uri: {regex: '(?=a)'}}]}"), "is no RE2 expression");
	refuse("VirtualService", HTTP("{route: [{destination: {host: b}}], match: [{uri: {exact: /a, prefix: /b}}]}"),
	       "only one of exact, prefix, regex");
	refuse("VirtualService", HTTP("{redirect: {redirectCode: 305}}"), "301, 302, 303, 307 or 308");
	refuse("VirtualService", HTTP("{redirect: {}}"), "must change something");
	refuse("VirtualService", HTTP("{directResponse: {body: {string: x}}}"), "directResponse.status: is required");
	refuse("VirtualService", HTTP("{route: [{destination: {host: b}}], mirror: {host: c}, mirrors: [{destination: {host: d}}]}"),
	       "only one of mirror, mirrors");
	refuse("VirtualService", "  hosts: ['*']\n  http: [{route: [{destination: {host: b}}]}]\n", "the host \"*\" is for gateways only");
	refuse("VirtualService", "  hosts: [a, a]\n  http: [{route: [{destination: {host: b}}]}]\n", "stands twice in hosts");
	refuse("VirtualService", "  hosts: [a.com]\n  tls: [{match: [{sniHosts: [b.com]}], route: [{destination: {host: b}}]}]\n",
	       "covered by none of hosts");
	refuse("VirtualService", "  hosts: [a.com]\n  tls: [{route: [{destination: {host: b}}]}]\n", "tls[0].match: is required");
	refuse("VirtualService", "  hosts: [a]\n  gateways: [a/b/c]\n  http: [{route: [{destination: {host: b}}]}]\n",
	       "must be \"mesh\", \"name\" or");
	refuse("VirtualService", "  hosts: a\n", "spec.hosts: must be a list, not text");
	accept("VirtualService", "  hosts: ['*']\n  gateways: [gw]\n  http: [{route: [{destination: {host: b}}]}]\n", NULL);
	accept("VirtualService",
	       "  hosts: ['*.com']\n  tls: [{match: [{sniHosts: ['a.com', '*.b.com'], port: 443}], route: [{destination: {host: b}}]}]\n",
	       NULL);
	accept("VirtualService", "  http: [{route: [{destination: {host: b}}]}]\n", NULL);
	accept("VirtualService", HTTP("{route: [{destination: {host: b}}], fault: {delay: {exponentialDelay: 1s}}}"),
	       "exponentialDelay: has no effect");
	accept("VirtualService", HTTP("{route: [{destination: {host: b}}], fault: {abort: {http2Error: X}}}"), "http2Error: has no effect");
	accept("VirtualService", "  hosts: [a]\n  tcp: [{match: [{sourceSubnet: 10.0.0.0/8}], route: [{destination: {host: b}}]}]\n",
	       "sourceSubnet: has no effect");
	accept("VirtualService", HTTP("{route: [{destination: {host: b}, wieght: 1}]}"), "did you mean \"weight\"?");
	accept("VirtualService", HTTP("{route: [{destination: {host: b}}], match: [{uri: {regex: '/(?i)[]a-z]+(x|y)*?\\\\d{2}'}}]}"), NULL);
}

static void test_destination_rule_rules(void **state)
{
	(void)state;
	refuse("DestinationRule", "  subsets: []\n", "spec.host: is required");
	refuse("DestinationRule", "  host: a\n  subsets: [{name: v1}, {name: v1}]\n", "two subsets are named v1");
	refuse("DestinationRule", "  host: a\n  subsets: [{name: V_1}]\n", "must be a DNS label");
	refuse("DestinationRule", "  host: a\n  trafficPolicy: {loadBalancer: {consistentHash: {useSourceIp: true, httpHeaderName: x}}}\n",
	       "only one of httpHeaderName");
	refuse("DestinationRule", "  host: a\n  trafficPolicy: {loadBalancer: {consistentHash: {}}}\n", "one of httpHeaderName");
	refuse("DestinationRule", "  host: a\n  trafficPolicy: {loadBalancer: {simple: RANDOM, consistentHash: {useSourceIp: true}}}\n",
	       "only one of simple, consistentHash");
	refuse("DestinationRule", "  host: a\n  trafficPolicy: {loadBalancer: {simple: BEST}}\n", "must be one of UNSPECIFIED, LEAST_CONN");
	refuse("DestinationRule",
	       "  host: a\n  trafficPolicy: {loadBalancer: {consistentHash: {useSourceIp: true, maglev: {tableSize: 10}}}}\n", "prime");
	refuse("DestinationRule", "  host: a\n  trafficPolicy: {tls: {mode: MUTUAL}}\n", "mode MUTUAL needs credentialName");
	refuse("DestinationRule", "  host: a\n  trafficPolicy: {tls: {mode: ISTIO_MUTUAL, caCertificates: /x}}\n",
	       "mesh's own certificates");
	refuse("DestinationRule", "  host: a\n  trafficPolicy: {portLevelSettings: [{tls: {mode: SIMPLE}}]}\n", "port.number must be set");
	refuse("DestinationRule",
	       "  host: a\n  trafficPolicy: {loadBalancer: {localityLbSetting: {distribute: [{from: a, to: {b: 50, c: 49}}]}}}\n",
	       "add up to 100, not 99");
	refuse("DestinationRule", "  host: a\n  trafficPolicy: {outlierDetection: {maxEjectionPercent: 101}}\n", "must be from 0 to 100");
	accept("DestinationRule",
	       "  host: '*.local'\n  trafficPolicy: {loadBalancer: {localityLbSetting: {distribute: [{from: a/*, to: {b: 50, c: 50}}]}}}\n",
	       NULL);
	accept("DestinationRule",
	       "  host: a\n  trafficPolicy: {loadBalancer: {simple: ROUND_ROBIN, backendUtilization: {weightUpdatePeriod: 2s}}}\n", NULL);
	refuse("DestinationRule", "  host: a\n  trafficPolicy: {loadBalancer: {simple: RANDOM, backendUtilization: {}}}\n",
	       "cannot be used with");
	accept("DestinationRule", "  host: a\n  trafficPolicy: {loadBalancer: {zoneAwareLbSetting: {enabled: true}}}\n",
	       "zoneAwareLbSetting: has no effect");
	accept("DestinationRule", "  host: a\n  trafficPolicy: {outlierDetection: {consecutiveErrors: 5}}\n",
	       "consecutiveErrors: is deprecated");
}

static void test_gateway_rules(void **state)
{
	(void)state;
#define SERVER(text) cox_arena_printf(&arena, "  servers: [{%s}]\n", text).p
	refuse("Gateway", "  selector: {a: b}\n", "servers must not be empty");
	refuse("Gateway", SERVER("port: {number: 443, name: h, protocol: HTTPS}, hosts: ['*']"), "needs tls");
	refuse("Gateway", SERVER("port: {number: 443, name: h, protocol: HTTPS}, hosts: ['*'], tls: {mode: SIMPLE}"),
	       "needs credentialName, or serverCertificate");
	refuse(
	    "Gateway",
	    SERVER("port: {number: 443, name: h, protocol: HTTPS}, hosts: ['*'], tls: {mode: MUTUAL, serverCertificate: a, privateKey: b}"),
	    "need caCertificates");
	refuse("Gateway", SERVER("port: {number: 80, name: h, protocol: HTTP}, hosts: []"), "hosts must not be empty");
	refuse("Gateway", SERVER("port: {number: 80, name: h, protocol: SPDY}, hosts: ['*']"), "\"SPDY\" is not known");
	refuse("Gateway", SERVER("port: {number: 80, protocol: HTTP}, hosts: ['*']"), "port.name must be set");
	refuse("Gateway", SERVER("port: {number: 0, name: h, protocol: HTTP}, hosts: ['*']"), "must be a port from 1 to 65535");
	refuse("Gateway", SERVER("port: {number: 80, name: h, protocol: HTTP}, hosts: ['*'], tls: {mode: SIMPLE, credentialName: c}"),
	       "takes no tls but httpsRedirect");
	refuse(
	    "Gateway",
	    "  servers: [{port: {number: 80, name: h, protocol: HTTP}, hosts: [a]}, {port: {number: 81, name: h, protocol: HTTP}, hosts: [a]}]\n",
	    "two servers have ports named h");
	accept("Gateway", SERVER("port: {number: 80, name: h, protocol: HTTP}, hosts: ['ns/*.a.com', '*'], tls: {httpsRedirect: true}"),
	       NULL);
	accept("Gateway", SERVER("port: {number: 443, name: h, protocol: HTTPS}, hosts: ['*'], tls: {mode: MUTUAL, credentialName: c}"),
	       NULL);
	accept("Gateway", SERVER("port: {number: 80, name: h, protocol: HTTP, targetPort: 8080}, hosts: ['*']"),
	       "targetPort has no effect");
	accept("Gateway", SERVER("port: {number: 80, name: h, protocol: HTTP}, hosts: ['*'], defaultEndpoint: '127.0.0.1:80'"),
	       "defaultEndpoint: has no effect");
}

static void test_service_entry_rules(void **state)
{
	(void)state;
#define PORTS "  ports: [{number: 80, name: http, protocol: HTTP}]\n"
	refuse("ServiceEntry", PORTS, "spec.hosts: is required");
	refuse("ServiceEntry", "  hosts: ['*']\n" PORTS, "would take all traffic");
	refuse("ServiceEntry", "  hosts: ['*.a.com']\n  resolution: DNS\n" PORTS, "needs resolution NONE or DYNAMIC_DNS");
	refuse("ServiceEntry", "  hosts: [a.com]\n  resolution: NONE\n  endpoints: [{address: 1.2.3.4}]\n" PORTS,
	       "resolution NONE takes no endpoints");
	refuse("ServiceEntry", "  hosts: [a.com]\n  resolution: STATIC\n  endpoints: [{address: b.com}]\n" PORTS,
	       "must be an IP address, not b.com");
	refuse("ServiceEntry", "  hosts: [a.com]\n  resolution: DNS_ROUND_ROBIN\n  endpoints: [{address: b.com}, {address: c.com}]\n" PORTS,
	       "at most one endpoint");
	refuse("ServiceEntry", "  hosts: [a.com]\n  resolution: STATIC\n  endpoints: [{address: 1.2.3.4, ports: {x: 1}}]\n" PORTS,
	       "which is none of ports");
	refuse("ServiceEntry", "  hosts: [a.com]\n  ports: [{number: 80, name: a}, {number: 80, name: b}]\n", "two have the number 80");
	refuse("ServiceEntry",
	       "  hosts: [a.com]\n  resolution: STATIC\n  workloadSelector: {labels: {a: b}}\n  endpoints: [{address: 1.2.3.4}]\n" PORTS,
	       "only one of endpoints, workloadSelector");
	refuse("ServiceEntry", "  hosts: [a.com]\n  addresses: [1.2.3.4/33]\n" PORTS, "must be an IP address or a CIDR range");
	accept("ServiceEntry", "  hosts: ['*.a.com']\n  resolution: DYNAMIC_DNS\n" PORTS, NULL);
	accept("ServiceEntry", "  hosts: ['*.a.com']\n" PORTS, NULL);
	accept("ServiceEntry",
	       "  hosts: [a.com]\n  resolution: DNS\n  endpoints: [{address: b.com, ports: {http: 8080}, weight: 2}]\n" PORTS, NULL);
	accept("ServiceEntry", "  hosts: [a.com]\n  ports: [{number: 1, name: t, protocol: TCP}]\n", "takes all connections");
	refuse("WorkloadEntry", "  labels: {a: b}\n", "address must be set");
	refuse("WorkloadEntry", "  address: 1.2.3.4\n  ports: {a: 70000}\n", "must be from 1 to 65535");
	accept("WorkloadEntry", "  address: 1.2.3.4\n  ports: {a: 80}\n  locality: r/z\n", NULL);
}

static void test_sidecar_rules(void **state)
{
	(void)state;
	refuse("Sidecar", "  egress: [{hosts: [a.com]}]\n", "must be \"namespace/host\"");
	refuse("Sidecar", "  egress: [{hosts: ['*/*']}, {hosts: ['./*']}]\n", "only one listener may be without a port");
	refuse("Sidecar", "  egress: [{hosts: ['*/*']}, {port: {number: 80, name: a, protocol: HTTP}, hosts: ['./*']}]\n",
	       "must be the last");
	refuse("Sidecar", "  egress: [{}]\n", "egress[0].hosts: is required");
	refuse("Sidecar", "  ingress: [{port: {number: 80, name: a, protocol: HTTP}, defaultEndpoint: '10.0.0.1:80'}]\n",
	       "must be 127.0.0.1:PORT");
	refuse("Sidecar", "  outboundTrafficPolicy: {egressProxy: {host: a, port: {number: 1}}}\n", "needs mode ALLOW_ANY");
	accept(
	    "Sidecar",
	    "  workloadSelector: {labels: {a: b}}\n  egress: [{port: {number: 80, name: a, protocol: HTTP}, hosts: ['~/*']}, {hosts: ['./*', 'ns/*.a.com']}]\n",
	    NULL);
	refuse("Sidecar", "  {}\n", "the Sidecar is empty"); /* as Istio does: test/golden/validate */
}

static void test_labels(void **state)
{
	(void)state;
	const struct cox_kv have[] = { { COX_STR_INIT("a"), COX_STR_INIT("1") },
		                       { COX_STR_INIT("b"), COX_STR_INIT("2") },
		                       { COX_STR_INIT("c"), COX_STR_INIT("3") } };
	const struct cox_kv other[] = { { COX_STR_INIT("b"), COX_STR_INIT("9") } };
	assert_true(cox_str_eq_cstr(cox_kv_get(have, 3, COX_STR("c")), "3"));
	assert_false(cox_kv_has(have, 3, COX_STR("d")));
	assert_true(cox_kv_is_subset(NULL, 0, NULL, 0));
	assert_true(cox_kv_is_subset(have + 1, 2, have, 3));
	assert_false(cox_kv_is_subset(have, 3, have, 2));
	assert_false(cox_kv_is_subset(other, 1, have, 3));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_virtual_service),
		TEST(test_one_block),
		TEST(test_what_matters),
		TEST(test_core),
		TEST(test_not_ours),
		TEST(test_virtual_service_rules),
		TEST(test_destination_rule_rules),
		TEST(test_gateway_rules),
		TEST(test_service_entry_rules),
		TEST(test_sidecar_rules),
		TEST(test_labels),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
