/* The Gateway API: who is told what (conditions), and what becomes of routes. Golden cases show the Envoy side. */
#include "convert/convert.h"
#include "model/destination_rule.h"
#include "model/gateway.h"
#include "model/virtual_service.h"
#include "registry/yaml_objects.h"

#define DOC(kind, ns, name, spec) \
	"apiVersion: gateway.networking.k8s.io/v1\nkind: " kind "\nmetadata: {name: " name ", namespace: " ns "}\nspec: {" spec "}\n---\n"
#define SERVICE(ns, name)                                                                \
	"apiVersion: v1\nkind: Service\nmetadata: {name: " name ", namespace: " ns "}\n" \
	"spec: {clusterIP: 10.1.0.1, selector: {app: " name "}, ports: [{name: http, port: 80}, {name: b, port: 81}]}\n---\n"
#define EDGE "addresses: [{type: Hostname, value: edge.default}], "
#define GATEWAY(listeners) DOC("Gateway", "default", "gw", "gatewayClassName: istio, " EDGE "listeners: [" listeners "]")
#define HTTP "{name: http, protocol: HTTP, port: 80}"
#define WORLD SERVICE("default", "edge") SERVICE("default", "shop") SERVICE("other", "cart")
#define ROUTE(name, spec) DOC("HTTPRoute", "default", name, spec)
#define TO(parent, backend) "parentRefs: [{" parent "}], rules: [{backendRefs: [{" backend "}]}]"
#define SHOP "name: shop, port: 80"

struct world {
	struct cox_registry *r;
	struct cox_convert *c;
	struct cox_map said; /* object id -> struct cox_str * */
	struct cox_arena arena;
	size_t said_n;
	struct cox_buf wanted, deployed;
	size_t deployed_n;
};

static void on_status(void *arg, const struct cox_object *o, const struct cox_json *status)
{
	struct world *w = arg;
	struct cox_buf b = { 0 };
	struct cox_str *text = COX_ARENA_NEW(&w->arena, struct cox_str);
	if (status)
		cox_json_write(&b, status, 0, false);
	*text = cox_arena_str(&w->arena, cox_buf_str(&b));
	cox_map_set(&w->said, cox_arena_str(&w->arena, o->id), text);
	cox_buf_fini(&b);
	w->said_n++;
}

static void on_want(void *arg, enum cox_kind kind, struct cox_str ns, struct cox_str name, bool is_wanted)
{
	struct world *w = arg;
	cox_buf_printf(&w->wanted, "%c%.*s/%.*s/%.*s ", is_wanted ? '+' : '-', COX_FMT(cox_kind_info(kind)->name), COX_FMT(ns),
	               COX_FMT(name));
}

static void on_deploy(void *arg, const struct cox_object *o, const struct cox_json *documents)
{
	struct world *w = arg;
	cox_buf_clear(&w->deployed);
	cox_buf_printf(&w->deployed, "%.*s ", COX_FMT(o->meta.name));
	if (documents)
		cox_json_write(&w->deployed, documents, 0, false);
	w->deployed_n++;
}

static void setup(struct world *w)
{
	memset(w, 0, sizeof(*w));
	w->r = cox_registry_new(&(struct cox_registry_options){ .domain = COX_STR("cluster.local") });
	w->c = cox_convert_new(
	    &(struct cox_convert_options){ .registry = w->r, .on_status = on_status, .on_deploy = on_deploy, .want = on_want, .arg = w });
}

static void teardown(struct world *w)
{
	cox_convert_free(w->c);
	cox_registry_free(w->r);
	cox_map_fini(&w->said);
	cox_buf_fini(&w->wanted);
	cox_buf_fini(&w->deployed);
	cox_arena_fini(&w->arena);
}

static void turn(struct world *w)
{
	struct cox_registry_changes changes;
	cox_convert_run(w->c);
	cox_registry_take_changes(w->r, &changes);
	cox_registry_changes_fini(&changes);
}

/* --- conditions in short: "Accepted+Accepted ResolvedRefs-BackendNotFound" ------------------------------------ */

static void short_conditions(struct cox_buf *b, const struct cox_json *at)
{
	const struct cox_json *list = cox_json_get(at, COX_STR("conditions"));
	for (size_t i = 0; list && i < list->n; i++) {
		const struct cox_json *c = &list->items[i];
		cox_buf_printf(b, "%s%.*s%c%.*s", b->n && b->p[b->n - 1] != ':' ? " " : "", COX_FMT(cox_json_str_at(c, "type")),
		               cox_str_eq_cstr(cox_json_str_at(c, "status"), "True") ? '+' : '-', COX_FMT(cox_json_str_at(c, "reason")));
	}
}

/* Of a Gateway or class its own; `part`: of a listener by name, as "name(attached):..."; of a parent by place ("0"). */
static struct cox_str told(struct world *w, const char *id, const char *part)
{
	const struct cox_str *text = cox_map_find(&w->said, cox_str_of(id));
	struct cox_json *status;
	struct cox_buf b = { 0 };
	struct cox_err err;
	if (!text || !text->n)
		return COX_STR("nothing");
	assert_int_equal(cox_json_parse(&w->arena, *text, &status, &err), COX_OK);
	const struct cox_json *listeners = cox_json_get(status, COX_STR("listeners")), *parents = cox_json_get(status, COX_STR("parents"));
	const struct cox_json *ancestors = cox_json_get(status, COX_STR("ancestors"));
	if (!part)
		short_conditions(&b, status);
	for (size_t i = 0; part && listeners && i < listeners->n; i++)
		if (cox_str_eq_cstr(cox_json_str_at(&listeners->items[i], "name"), part)) {
			int64_t n = -1;
			assert_int_equal(cox_json_to_i64(cox_json_get(&listeners->items[i], COX_STR("attachedRoutes")), &n), COX_OK);
			cox_buf_printf(&b, "%lld:", (long long)n);
			short_conditions(&b, &listeners->items[i]);
		}
	parents = parents ? parents : ancestors;
	if (part && parents && (size_t)(*part - '0') < parents->n) {
		const struct cox_json *p = &parents->items[*part - '0'];
		assert_str(cox_json_str_at(p, "controllerName"), "istio.io/gateway-controller");
		short_conditions(&b, p);
	}
	struct cox_str out = cox_arena_str(&w->arena, cox_buf_str(&b));
	cox_buf_fini(&b);
	return out;
}

static void check(size_t at, const char *yaml, const char *id, const char *part, const char *want)
{
	struct world w;
	setup(&w);
	yaml_put(w.r, yaml);
	turn(&w);
	struct cox_str have = told(&w, id, part);
	if (!cox_str_eq_cstr(have, want))
		fail_msg("case %zu, %s: %.*s, should be %s", at, id, COX_FMT(have), want);
	turn(&w); /* nothing changed: nothing is said again */
	size_t said = w.said_n;
	turn(&w);
	assert_int_equal(w.said_n, said);
	teardown(&w);
}

struct a_case {
	const char *yaml, *id, *part, *want;
};
static void check_all(const struct a_case *cases, size_t n)
{
	for (size_t i = 0; i < n; i++)
		check(i, cases[i].yaml, cases[i].id, cases[i].part, cases[i].want);
}

#define CLASS(name, controller)                                                                                                        \
	"apiVersion: gateway.networking.k8s.io/v1\nkind: GatewayClass\nmetadata: {name: " name "}\nspec: {controllerName: " controller \
	"}\n---\n"
#define GW "Gateway.gateway.networking.k8s.io/default/gw"
#define R "HTTPRoute/default/r"
#define GOOD "Accepted+Accepted Conflicted-NoConflicts ResolvedRefs+ResolvedRefs Programmed+Programmed"

/* covers: a255 a256 a261 */
static void test_gateways(void **state)
{
	static const struct a_case cases[] = {
		{ CLASS("istio", "istio.io/gateway-controller"), "GatewayClass//istio", NULL, "Accepted+Accepted" },
		{ CLASS("istio-waypoint", "istio.io/mesh-controller"), "GatewayClass//istio-waypoint", NULL, "Accepted-Unsupported" },
		{ CLASS("nginx", "example.com/nginx"), "GatewayClass//nginx", NULL, "nothing" },
		{ WORLD GATEWAY(HTTP), GW, NULL, "Accepted+Accepted Programmed+Programmed" },
		{ WORLD GATEWAY(HTTP), GW, "http", "0:" GOOD },
		/* Another controller's class of the same name. */
		{ WORLD CLASS("istio", "example.com/other") GATEWAY(HTTP), GW, NULL, "nothing" },
		{ GATEWAY(HTTP), GW, NULL, "Accepted+Accepted Programmed-AddressNotUsable" },
		{ CLASS("istio-east-west", "istio.io/eastwest-controller"), "GatewayClass//istio-east-west", NULL, "Accepted-Unsupported" },
		{ CLASS("istio-remote", "istio.io/unmanaged-gateway"), "GatewayClass//istio-remote", NULL, "Accepted+Accepted" },
		/* An address that the load balancer of its own Service does not have (yet). */
		{ SERVICE("default", "gw-istio")
		      DOC("Gateway", "default", "gw", "gatewayClassName: istio, addresses: [{value: 192.0.2.1}], listeners: [" HTTP "]"),
		  GW, NULL, "Accepted+Accepted Programmed-AddressNotAssigned" },
		{ DOC("Gateway", "default", "gw",
		      "gatewayClassName: istio, infrastructure: {parametersRef: {group: \"\", kind: ConfigMap, name: gone}}, listeners: [" HTTP
		      "]"),
		  GW, NULL, "Accepted-InvalidParameters Programmed-Invalid" },
		{ WORLD DOC("Gateway", "default", "gw", "gatewayClassName: istio, listeners: [" HTTP "]"), GW, NULL,
		  "Accepted+Accepted Programmed-Pending" },
		{ WORLD SERVICE("default", "gw-istio") DOC("Gateway", "default", "gw", "gatewayClassName: istio, listeners: [" HTTP "]"),
		  GW, NULL, "Accepted+Accepted Programmed+Programmed" },
		{ WORLD DOC("Gateway", "default", "gw",
		            "gatewayClassName: istio, addresses: [{type: example.com/x, value: y}], listeners: [" HTTP "]"),
		  GW, NULL, "Accepted-UnsupportedAddress Programmed-Invalid" },
		{ WORLD GATEWAY("{name: u, protocol: UDP, port: 53}"), GW, NULL, "Accepted-ListenersNotValid Programmed-Invalid" },
		{ WORLD GATEWAY("{name: u, protocol: UDP, port: 53}," HTTP), GW, NULL, "Accepted+ListenersNotValid Programmed+Programmed" },
		{ WORLD GATEWAY("{name: u, protocol: UDP, port: 53}," HTTP), GW, "u",
		  "0:Accepted-UnsupportedProtocol Conflicted-NoConflicts ResolvedRefs+ResolvedRefs Programmed-Invalid" },
		{ WORLD GATEWAY("{name: t, protocol: TCP, port: 80}," HTTP), GW, "http",
		  "0:Accepted-ProtocolConflict Conflicted+ProtocolConflict ResolvedRefs+ResolvedRefs Programmed-Invalid" },
		{ WORLD GATEWAY("{name: http, protocol: HTTP, port: 80, allowedRoutes: {kinds: [{kind: HTTPRoute}, {kind: TCPRoute}]}}"),
		  GW, "http", "0:Accepted+Accepted Conflicted-NoConflicts ResolvedRefs-InvalidRouteKinds Programmed-Invalid" },
		{ WORLD GATEWAY("{name: s, protocol: HTTPS, port: 443, tls: {certificateRefs: [{name: none}]}}"), GW, "s",
		  "0:Accepted+Accepted Conflicted-NoConflicts ResolvedRefs-InvalidCertificateRef Programmed-Invalid" },
		{ WORLD GATEWAY("{name: s, protocol: HTTPS, port: 443, tls: {certificateRefs: [{name: x, namespace: other}]}}"), GW, "s",
		  "0:Accepted+Accepted Conflicted-NoConflicts ResolvedRefs-RefNotPermitted Programmed-Invalid" },
		{ WORLD GATEWAY("{name: s, protocol: HTTPS, port: 443, tls: {certificateRefs: [{name: istio-ca-secret}]}}"), GW, "s",
		  "0:Accepted+Accepted Conflicted-NoConflicts ResolvedRefs-RefNotPermitted Programmed-Invalid" },
		/* ListenerSets only where the Gateway allows them. */
		{ WORLD GATEWAY(HTTP)
		      DOC("ListenerSet", "default", "s", "parentRef: {name: gw}, listeners: [{name: x, protocol: HTTP, port: 90}]"),
		  "ListenerSet/default/s", NULL, "Accepted-NotAllowed Programmed-NotAllowed" },
		{ WORLD DOC("Gateway", "default", "gw",
		            "gatewayClassName: istio, " EDGE "allowedListeners: {namespaces: {from: Same}}, listeners: [" HTTP "]")
		      DOC("ListenerSet", "default", "s", "parentRef: {name: gw}, listeners: [{name: x, protocol: HTTP, port: 90}]"),
		  "ListenerSet/default/s", "x", "0:" GOOD },
		/* The Gateway's own listener goes first. */
		{ WORLD DOC("Gateway", "default", "gw",
		            "gatewayClassName: istio, " EDGE "allowedListeners: {namespaces: {from: Same}}, listeners: [" HTTP "]")
		      DOC("ListenerSet", "default", "s", "parentRef: {name: gw}, listeners: [{name: x, protocol: HTTP, port: 80}]"),
		  "ListenerSet/default/s", "x",
		  "0:Accepted-HostnameConflict Conflicted+HostnameConflict ResolvedRefs+ResolvedRefs Programmed-Invalid" },
	};
	(void)state;
	check_all(cases, COX_LEN(cases));
}

#define ACCEPTED "Accepted+Accepted ResolvedRefs+ResolvedRefs"
#define IN_OTHER(kind, name, spec) DOC(kind, "other", name, spec)
#define GRANT(from)                         \
	DOC("ReferenceGrant", "other", "g", \
	    "from: [{group: gateway.networking.k8s.io, kind: " from ", namespace: default}], to: [{group: \"\", kind: Service}]")

/* covers: a257 a258 a259 a260 a261 */
static void test_routes(void **state)
{
	static const struct a_case cases[] = {
		{ WORLD GATEWAY(HTTP) ROUTE("r", TO("name: gw", SHOP)), R, "0", ACCEPTED },
		{ WORLD GATEWAY(HTTP) ROUTE("r", TO("name: gw", SHOP)), GW, "http", "1:" GOOD },
		{ WORLD GATEWAY(HTTP) ROUTE("r", TO("name: none", SHOP)), R, "0", "nothing" },
		{ WORLD GATEWAY(HTTP) ROUTE("r", TO("name: gw, sectionName: x", SHOP)), R, "0",
		  "Accepted-NoMatchingParent ResolvedRefs+ResolvedRefs" },
		{ WORLD GATEWAY(HTTP) ROUTE("r", TO("name: gw, port: 81", SHOP)), R, "0",
		  "Accepted-NoMatchingParent ResolvedRefs+ResolvedRefs" },
		{ WORLD GATEWAY("{name: http, protocol: HTTP, port: 80, hostname: a.com}")
		      ROUTE("r", "hostnames: [b.com], " TO("name: gw", SHOP)),
		  R, "0", "Accepted-NoMatchingListenerHostname ResolvedRefs+ResolvedRefs" },
		{ WORLD GATEWAY("{name: http, protocol: HTTP, port: 80, hostname: \"*.a.com\"}")
		      ROUTE("r", "hostnames: [a.com], " TO("name: gw", SHOP)),
		  R, "0", "Accepted-NoMatchingListenerHostname ResolvedRefs+ResolvedRefs" },
		{ WORLD GATEWAY(HTTP) IN_OTHER("HTTPRoute", "r", TO("name: gw, namespace: default", "name: cart, port: 80")),
		  "HTTPRoute/other/r", "0", "Accepted-NotAllowedByListeners ResolvedRefs+ResolvedRefs" },
		{ WORLD GATEWAY(HTTP) DOC("TCPRoute", "default", "r", TO("name: gw", SHOP)), "TCPRoute/default/r", "0",
		  "Accepted-NotAllowedByListeners ResolvedRefs+ResolvedRefs" },
		{ WORLD GATEWAY(HTTP) DOC("UDPRoute", "default", "r", TO("name: gw", SHOP)), "UDPRoute/default/r", "0",
		  "Accepted-UnsupportedValue ResolvedRefs+ResolvedRefs" },
		{ WORLD GATEWAY(HTTP) ROUTE("r", TO("name: gw", "name: none, port: 80")), R, "0",
		  "Accepted+Accepted ResolvedRefs-BackendNotFound" },
		{ WORLD GATEWAY(HTTP) ROUTE("r", TO("name: gw", "name: shop, port: 99")), R, "0",
		  "Accepted+Accepted ResolvedRefs-BackendNotFound" },
		{ WORLD GATEWAY(HTTP) ROUTE("r", TO("name: gw", "name: x, kind: Bucket, group: example.com")), R, "0",
		  "Accepted+Accepted ResolvedRefs-InvalidKind" },
		/* covers: a262 (not done: the route is told) */
		{ WORLD GATEWAY(HTTP)
		      ROUTE("r", TO("name: gw", "name: llm, kind: InferencePool, group: inference.networking.k8s.io, port: 80")),
		  R, "0", "Accepted+Accepted ResolvedRefs-InvalidKind" },
		{ WORLD GATEWAY(HTTP) ROUTE("r", TO("name: gw", "name: cart, namespace: other, port: 80")), R, "0",
		  "Accepted+Accepted ResolvedRefs-RefNotPermitted" },
		{ WORLD GATEWAY(HTTP) GRANT("GRPCRoute") ROUTE("r", TO("name: gw", "name: cart, namespace: other, port: 80")), R, "0",
		  "Accepted+Accepted ResolvedRefs-RefNotPermitted" },
		{ WORLD GATEWAY(HTTP) GRANT("HTTPRoute") ROUTE("r", TO("name: gw", "name: cart, namespace: other, port: 80")), R, "0",
		  ACCEPTED },
		{ WORLD GATEWAY(HTTP)
		      ROUTE("r", "parentRefs: [{name: gw}], rules: [{filters: [{type: ExtensionRef, extensionRef: {group: x, kind: Y, "
		                 "name: z}}], backendRefs: [{" SHOP "}]}]"),
		  R, "0", "Accepted+Accepted ResolvedRefs-InvalidKind" },
		{ WORLD GATEWAY(HTTP)
		      ROUTE("r", "parentRefs: [{name: gw}], rules: [{filters: [{type: URLRewrite, urlRewrite: {hostname: x}}, {type: "
		                 "RequestRedirect, requestRedirect: {port: 1}}]}]"),
		  R, "0", "Accepted-IncompatibleFilters ResolvedRefs+ResolvedRefs" },
		/* Each parent has its say; of another controller's nothing is said. */
		{ WORLD GATEWAY(HTTP)
		      ROUTE("r", "parentRefs: [{name: nobodys}, {name: gw, port: 9}, {name: gw}], rules: [{backendRefs: [{" SHOP "}]}]"),
		  R, "1", ACCEPTED },
		/* In the mesh. */
		{ WORLD ROUTE("r", TO("kind: Service, group: \"\", name: shop", SHOP)), R, "0", ACCEPTED },
		{ WORLD ROUTE("r", TO("kind: Service, group: \"\", name: shop, port: 99", SHOP)), R, "0",
		  "Accepted-NoMatchingParent ResolvedRefs+ResolvedRefs" },
		{ WORLD ROUTE("r", TO("kind: Service, group: \"\", name: none", SHOP)), R, "0",
		  "Accepted-NoMatchingParent ResolvedRefs+ResolvedRefs" },
		{ WORLD GATEWAY("{name: t, protocol: TLS, port: 443, tls: {mode: Passthrough}}")
		      DOC("TLSRoute", "default", "r", "hostnames: [a.com], " TO("name: gw", SHOP)),
		  "TLSRoute/default/r", "0", ACCEPTED },
		/* A policy speaks of the Gateways that lead to its Service. */
		{ WORLD GATEWAY(HTTP) ROUTE("r", TO("name: gw", SHOP)) DOC(
		      "BackendTLSPolicy", "default", "p",
		      "targetRefs: [{group: \"\", kind: Service, name: shop}], validation: {hostname: a.com, wellKnownCACertificates: System}"),
		  "BackendTLSPolicy/default/p", "0", ACCEPTED },
		{ WORLD GATEWAY(HTTP) ROUTE("r", TO("name: gw", SHOP)) DOC(
		      "BackendTLSPolicy", "default", "p",
		      "targetRefs: [{group: \"\", kind: Service, name: shop}], validation: {hostname: a.com, caCertificateRefs: [{group: \"\", kind: "
		      "ConfigMap, name: none}]}"),
		  "BackendTLSPolicy/default/p", "0", "Accepted-NoValidCACertificate ResolvedRefs-InvalidCACertificateRef" },
		{ WORLD GATEWAY(HTTP) ROUTE("r", TO("name: gw", SHOP)) DOC(
		      "BackendTLSPolicy", "default", "p",
		      "targetRefs: [{group: \"\", kind: Service, name: shop}], validation: {hostname: a.com, wellKnownCACertificates: System}")
		      DOC("BackendTLSPolicy", "default", "q",
		          "targetRefs: [{group: \"\", kind: Service, name: shop}], validation: {hostname: b.com, wellKnownCACertificates: System}"),
		  "BackendTLSPolicy/default/q", "0", "Accepted-Conflicted ResolvedRefs+ResolvedRefs" },
	};
	(void)state;
	check_all(cases, COX_LEN(cases));
}

/* --- what is made of them --------------------------------------------------------------------------------------- */

static const struct cox_virtual_service *vs(const struct world *w, const char *ns, const char *name)
{
	const struct cox_object *o = cox_registry_object_find(w->r, COX_KIND_VIRTUAL_SERVICE, cox_str_of(ns), cox_str_of(name));
	return o ? COX_SPEC(cox_virtual_service_object, o)->spec : NULL;
}

static const struct cox_virtual_service *vs_of(struct world *w, const char *host)
{
	return vs(w, "default", (const char *)cox_arena_printf(&w->arena, "%s.gw.istio-autogenerated-k8s-gateway.http%c", host, 0).p);
}

static struct cox_str order(struct world *w, const struct cox_virtual_service *v)
{
	struct cox_str text = { 0 };
	for (size_t i = 0; v && i < v->http.n; i++)
		text = cox_arena_printf(&w->arena, "%.*s%s%.*s", COX_FMT(text), i ? " " : "", COX_FMT(v->http.p[i].name));
	return text;
}

#define AGED(name, when, rules)                                                             \
	"apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: " name \
	", namespace: default, creationTimestamp: \"" when "\"}\nspec: {parentRefs: [{name: gw}], rules: [" rules "]}\n---\n"
#define MATCH(m) "{matches: [{" m "}], backendRefs: [{" SHOP "}]}"

/* The order of the specification, over rules of all routes. covers: a257 */
static void test_precedence(void **state)
{
	(void)state;
	struct world w;
	setup(&w);
	yaml_put(w.r, WORLD GATEWAY(HTTP));
	yaml_put(
	    w.r,
	    AGED(
	        "young", "2026-02-01T00:00:00Z",
	        MATCH("path: {type: PathPrefix, value: /a}") "," MATCH("path: {type: PathPrefix, value: /a/b}") "," MATCH("path: {type: Exact, value: /a}") "," MATCH("path: {type: PathPrefix, value: /a}, method: GET") "," MATCH("path: {type: PathPrefix, value: /a}, headers: [{name: x, value: y}]") "," MATCH(
	            "path: {type: PathPrefix, value: /a}, headers: [{name: x, value: y}, {name: z, value: y}]") "," MATCH("path: {type: PathPrefix, value: /a}, queryParams: [{name: x, value: y}]") "," MATCH("path: {type: RegularExpression, value: \"/[a-z]\"}")));
	yaml_put(w.r, AGED("old", "2026-01-01T00:00:00Z", MATCH("path: {type: PathPrefix, value: /a/}")));
	yaml_put(w.r, AGED("also-old", "2026-01-01T00:00:00Z", MATCH("path: {type: PathPrefix, value: /a}")));
	turn(&w);
	assert_str(order(&w, vs_of(&w, "any-host")),
	           "default.young.2.0 default.young.7.0 default.young.1.0 default.young.3.0 default.young.5.0 default.young.4.0 "
	           "default.young.6.0 default.also-old.0.0 default.old.0.0 default.young.0.0");
	teardown(&w);
}

/* What leads nowhere keeps its share, and gets an error; weight 0 gets nothing. covers: a257 */
static void test_shares(void **state)
{
	(void)state;
	struct world w;
	setup(&w);
	yaml_put(w.r, WORLD GATEWAY(HTTP));
	yaml_put(w.r, ROUTE("r", "hostnames: [a.com], parentRefs: [{name: gw}], rules: [{backendRefs: [{" SHOP
	                         ", weight: 3}, {name: gone, port: 80}, {name: "
	                         "edge, port: 80, weight: 0}]}]"));
	yaml_put(w.r, ROUTE("none", "hostnames: [b.com], parentRefs: [{name: gw}], rules: [{backendRefs: [{name: gone, port: 80}]}]"));
	yaml_put(w.r, ROUTE("zero", "hostnames: [c.com], parentRefs: [{name: gw}], rules: [{backendRefs: [{" SHOP ", weight: 0}]}]"));
	turn(&w);
	const struct cox_virtual_service *v = vs_of(&w, "a.com");
	assert_int_equal(v->http.p[0].route.n, 2);
	assert_str(v->http.p[0].route.p[0].destination->host, "shop.default.svc.cluster.local");
	assert_int_equal(v->http.p[0].route.p[0].weight.v, 3);
	assert_str(v->http.p[0].route.p[1].destination->host, "unresolved-backend.invalid");
	assert_int_equal(v->http.p[0].route.p[1].weight.v, 1);
	assert_int_equal(vs_of(&w, "b.com")->http.p[0].direct_response->status.v, 500);
	assert_int_equal(vs_of(&w, "c.com")->http.p[0].direct_response->status.v, 500);
	teardown(&w);
}

/* covers: a259 c34 */
static void test_grant_goes(void **state)
{
	(void)state;
	struct world w;
	setup(&w);
	yaml_put(w.r, WORLD GATEWAY(HTTP) GRANT("HTTPRoute") ROUTE("r", TO("name: gw", "name: cart, namespace: other, port: 80")));
	turn(&w);
	assert_str(vs_of(&w, "any-host")->http.p[0].route.p[0].destination->host, "cart.other.svc.cluster.local");
	cox_registry_remove(w.r, COX_KIND_REFERENCE_GRANT, COX_STR("other"), COX_STR("g"));
	turn(&w);
	assert_int_equal(vs_of(&w, "any-host")->http.p[0].route.n, 0);
	assert_int_equal(vs_of(&w, "any-host")->http.p[0].direct_response->status.v, 500);
	assert_str(told(&w, R, "0"), "Accepted+Accepted ResolvedRefs-RefNotPermitted");
	teardown(&w);
}

/* Secrets that are named are watched, and only as long. covers: a256 c34 */
static void test_secrets(void **state)
{
	(void)state;
	struct world w;
	setup(&w);
	yaml_put(w.r, WORLD GATEWAY(
	                  "{name: s, protocol: HTTPS, port: 443, tls: {certificateRefs: [{name: cert}, {name: far, namespace: other}]}}"));
	turn(&w);
	assert_str(cox_buf_str(&w.wanted), "+Secret/default/cert "); /* without leave it is not even looked at */
	const struct cox_object *o =
	    cox_registry_object_find(w.r, COX_KIND_GATEWAY, COX_STR("default"), COX_STR("gw.istio-autogenerated-k8s-gateway.s"));
	assert_non_null(o);
	assert_str(COX_SPEC(cox_gateway_object, o)->spec->servers.p[0].tls->credential_name, "kubernetes-gateway://default/cert");
	cox_buf_clear(&w.wanted);
	yaml_put(w.r, GATEWAY(HTTP));
	turn(&w);
	assert_str(cox_buf_str(&w.wanted), "-Secret/default/cert ");
	assert_null(cox_registry_object_find(w.r, COX_KIND_GATEWAY, COX_STR("default"), COX_STR("gw.istio-autogenerated-k8s-gateway.s")));
	teardown(&w);
}

/* A name that would be two in a list of names is none. covers: c34 */
static void test_names_are_checked(void **state)
{
	(void)state;
	check(
	    0,
	    WORLD GATEWAY("{name: s, protocol: HTTPS, port: 443, tls: {certificateRefs: [{name: \"x,kubernetes-gateway://other/key\"}]}}"),
	    GW, "s", "0:Accepted+Accepted Conflicted-NoConflicts ResolvedRefs-InvalidCertificateRef Programmed-Invalid");
}

/* A route that cannot be said leaves the others of its host alone. covers: a257 a261 */
static void test_bad_route_is_left_out(void **state)
{
	(void)state;
	struct world w;
	const struct cox_convert_finding *found;
	setup(&w);
	yaml_put(w.r, WORLD GATEWAY(HTTP) ROUTE("good", TO("name: gw", SHOP)));
	yaml_put(w.r, ROUTE("r", "parentRefs: [{name: gw}], rules: [" MATCH("path: {type: RegularExpression, value: \"/(a\"}") "]"));
	yaml_put(w.r,
	         ROUTE("odd", "parentRefs: [{name: gw}], rules: [" MATCH("path: {value: /odd}, headers: [{name: \"a b\", value: x}]") "]"));
	turn(&w);
	assert_str(order(&w, vs_of(&w, "any-host")), "default.good.0.0");
	assert_str(told(&w, R, "0"), "Accepted-UnsupportedValue ResolvedRefs+ResolvedRefs");
	assert_int_equal(cox_convert_findings(w.c, &w.arena, &found), 1);
	assert_str(found[0].object_id, "HTTPRoute/default/odd");
	assert_str(found[0].path, "spec.rules[0]");
	teardown(&w);
}

/* A host is the listener's that says most of it. covers: a256 a257 */
static void test_hosts(void **state)
{
	(void)state;
	struct world w;
	setup(&w);
	yaml_put(w.r, WORLD GATEWAY(HTTP ", {name: wild, protocol: HTTP, port: 80, hostname: \"*.a.com\"}")
	                  ROUTE("r", "hostnames: [x.a.com, y.com, \"*.b.com\"], " TO("name: gw, sectionName: http", SHOP)));
	turn(&w);
	assert_null(vs_of(&w, "x.a.com")); /* requests for it are listener wild's */
	assert_non_null(vs_of(&w, "y.com"));
	const struct cox_virtual_service *v = vs_of(&w, "any-host.b.com");
	assert_str(v->hosts.p[0], "*.b.com");
	assert_str(v->gateways.p[0], "default/gw.istio-autogenerated-k8s-gateway.http");
	teardown(&w);
}

/* covers: a260 */
static void test_mesh(void **state)
{
	(void)state;
	struct world w;
	setup(&w);
	yaml_put(w.r, WORLD ROUTE("r", TO("kind: Service, group: \"\", name: shop, port: 80", SHOP)) IN_OTHER(
	                  "HTTPRoute", "r", TO("kind: Service, group: \"\", name: shop, namespace: default", "name: cart, port: 80")));
	turn(&w);
	const struct cox_virtual_service *producer = vs(&w, "default", "shop.default.istio-autogenerated-k8s-mesh");
	const struct cox_virtual_service *consumer = vs(&w, "other", "shop.default.istio-autogenerated-k8s-mesh");
	assert_str(producer->hosts.p[0], "shop.default.svc.cluster.local");
	assert_str(producer->gateways.p[0], "mesh");
	assert_str(producer->export_to.p[0], "*");
	assert_int_equal(producer->http.p[0].match.p[0].port.v, 80);
	assert_str(consumer->hosts.p[0], "shop.default.svc.cluster.local");
	assert_str(consumer->export_to.p[0], ".");
	assert_false(consumer->http.p[0].match.p[0].port.set);
	teardown(&w);
}

/* covers: a259 */
static void test_backend_tls(void **state)
{
	(void)state;
	struct world w;
	setup(&w);
	yaml_put(
	    w.r,
	    WORLD DOC(
	        "BackendTLSPolicy", "default", "p",
	        "targetRefs: [{group: \"\", kind: Service, name: shop, sectionName: b}], validation: {hostname: a.com, caCertificateRefs: "
	        "[{group: \"\", kind: ConfigMap, name: ca}], subjectAltNames: [{type: URI, uri: \"spiffe://x\"}]}"));
	turn(&w);
	const struct cox_object *o = cox_registry_object_find(w.r, COX_KIND_DESTINATION_RULE, COX_STR("default"),
	                                                      COX_STR("shop.istio-autogenerated-k8s-gateway-tls"));
	assert_non_null(o);
	const struct cox_traffic_policy *p = COX_SPEC(cox_destination_rule_object, o)->spec->traffic_policy;
	assert_null(p->tls);
	assert_int_equal(p->port_level_settings.n, 1);
	assert_int_equal(p->port_level_settings.p[0].port->number.v, 81);
	assert_str(p->port_level_settings.p[0].tls->sni, "a.com");
	assert_str(p->port_level_settings.p[0].tls->credential_name, "configmap://default/ca");
	assert_str(p->port_level_settings.p[0].tls->subject_alt_names.p[0], "spiffe://x");
	teardown(&w);
}

#define PARAMS(data) "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: more, namespace: default}\ndata: {" data "}\n---\n"
#define DEPLOYED                                                                                                       \
	"apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: gw, namespace: default, uid: u1}\n" \
	"spec: {gatewayClassName: istio, infrastructure: {labels: {team: a}, parametersRef: {group: \"\", kind: ConfigMap, name: more}}, "

static bool has(const struct world *w, const char *text) { return cox_str_search(cox_buf_str(&w->deployed), cox_str_of(text)) >= 0; }

/* What is deployed for a Gateway, with overlays from its parameters: by name in lists, null takes away. covers: a256 */
static void test_deployment(void **state)
{
	(void)state;
	struct world w;
	setup(&w);
	yaml_put(w.r, PARAMS("service: \"spec: {type: ClusterIP, ipFamilyPolicy: null, ports: [{name: http, nodePort: 30080}]}\", "
	                     "serviceAccount: \"metadata: {annotations: {role: r}}\"") DEPLOYED
	         "listeners: [" HTTP ", {name: http, protocol: HTTPS, port: 443}, {name: again, protocol: HTTP, port: 80}]}\n---\n");
	turn(&w);
	assert_int_equal(w.deployed_n, 1);
	assert_true(has(&w, "\"kind\":\"ServiceAccount\"") && has(&w, "\"role\":\"r\"") && has(&w, "\"team\":\"a\""));
	assert_true(has(
	    &w,
	    "\"ownerReferences\":[{\"apiVersion\":\"gateway.networking.k8s.io/v1\",\"kind\":\"Gateway\",\"name\":\"gw\",\"uid\":\"u1\"}]"));
	assert_true(has(&w, "\"type\":\"ClusterIP\"") && !has(&w, "ipFamilyPolicy"));
	assert_true(has(&w, "{\"name\":\"http\",\"port\":80,\"protocol\":\"TCP\",\"appProtocol\":\"http\",\"nodePort\":30080}"));
	assert_true(has(&w, "{\"name\":\"https-443\",\"port\":443") && !has(&w, "again"));
	assert_false(has(&w, "HorizontalPodAutoscaler") || has(&w, "PodDisruptionBudget"));
	turn(&w); /* nothing changed: nothing is said again */
	assert_int_equal(w.deployed_n, 1);
	/* Parameters that are none: the Gateway is told, and what runs is left as it is. */
	yaml_put(w.r, PARAMS("nonsense: \"{}\""));
	turn(&w);
	assert_str(told(&w, GW, NULL), "Accepted-InvalidParameters Programmed-Invalid");
	assert_true(has(&w, "gw ") && w.deployed.n == 3);
	yaml_put(w.r, PARAMS("deployment: \"[1]\""));
	turn(&w);
	assert_str(told(&w, GW, NULL), "Accepted-InvalidParameters Programmed-Invalid");
	/* Addressed to a Service that somebody runs: nothing is deployed. */
	yaml_put(w.r, WORLD "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: gw, namespace: default, uid: u1}\n"
	                    "spec: {gatewayClassName: istio, " EDGE "listeners: [" HTTP "]}\n---\n");
	turn(&w);
	assert_int_equal(w.deployed.n, 3);
	teardown(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_gateways),
		cmocka_unit_test(test_deployment),
		cmocka_unit_test(test_routes),
		cmocka_unit_test(test_precedence),
		cmocka_unit_test(test_shares),
		cmocka_unit_test(test_grant_goes),
		cmocka_unit_test(test_secrets),
		cmocka_unit_test(test_hosts),
		cmocka_unit_test(test_mesh),
		cmocka_unit_test(test_backend_tls),
		cmocka_unit_test(test_names_are_checked),
		cmocka_unit_test(test_bad_route_is_left_out),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
