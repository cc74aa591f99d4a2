#include "snapshot/check.h"
#include "snapshot/world.h"

#define SVC(name, ns, port)                                                             \
	"---\napiVersion: v1\nkind: Service\nmetadata: {name: " name ", namespace: " ns \
	"}\nspec: {clusterIP: 10.0.0.1, selector: {app: " name "}, ports: [{name: http, port: " port "}]}\n"
#define ENTRY(name, ns, host)                                                                                    \
	"---\napiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: " name ", namespace: " ns \
	", creationTimestamp: \"2020-01-01T00:00:00Z\"}\n"                                                       \
	"spec: {hosts: [" host "], resolution: DNS, ports: [{name: http, number: 80, protocol: HTTP}]}\n"
#define VS(name, ns, created, spec)                                                                                \
	"---\napiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: " name ", namespace: " ns \
	", creationTimestamp: \"2026-01-01T00:00:" created "Z\"}\nspec: " spec "\n"
#define DR(name, ns, created, spec)                                                                                 \
	"---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: " name ", namespace: " ns \
	", creationTimestamp: \"2026-01-01T00:00:" created "Z\"}\nspec: " spec "\n"
#define ROUTE(host) "[{route: [{destination: {host: " host "}}]}]"

static struct cox_str S(const char *s) {
	return cox_str_of(s);
}

/* --- host names ------------------------------------------------------------------------------------- */

/* covers: a58 */
static void
test_hosts(void **state)
{
	(void)state;
	struct cox_arena a = { 0 };
	assert_str(cox_host_resolve(&a, S("reviews"), S("n"), S("cluster.local")), "reviews.n.svc.cluster.local");
	assert_str(cox_host_resolve(&a, S("reviews.n"), S("n"), S("cluster.local")), "reviews.n");
	assert_str(cox_host_resolve(&a, S("*"), S("n"), S("cluster.local")), "*");
	assert_str(cox_host_resolve(&a, S("*.a"), S("n"), S("cluster.local")), "*.a");
	cox_arena_fini(&a);
	assert_true(cox_host_covers(S("*"), S("a.b")));
	assert_true(cox_host_covers(S("*.b"), S("a.b")));
	assert_true(cox_host_covers(S("*.b"), S("x.a.b")));
	assert_true(cox_host_covers(S("*.b"), S("*.a.b")));
	assert_true(cox_host_covers(S("a.b"), S("A.b")));
	assert_false(cox_host_covers(S("*.b"), S("b")));
	assert_false(cox_host_covers(S("*.b"), S(".b")));
	assert_false(cox_host_covers(S("*.b"), S("ab")));
	assert_false(cox_host_covers(S("*.a.b"), S("*.b")));
	assert_false(cox_host_covers(S("a.b"), S("*.b")));
	assert_true(cox_host_overlaps(S("a.b"), S("*.b")));
	assert_false(cox_host_overlaps(S("*.c"), S("*.b")));
	assert_true(cox_host_cmp_specific(S("a"), S("*.long.example")) < 0);
	assert_true(cox_host_cmp_specific(S("*.a.b"), S("*.b")) < 0);
	assert_true(cox_host_cmp_specific(S("*"), S("*.b")) > 0);
	assert_true(cox_host_is_wildcard(S("*.b")) && !cox_host_is_wildcard(S("b")));
}

/* --- VirtualServices ----------------------------------------------------------------------------------- */

static const struct cox_vs *vs_of(const struct cox_snapshot *s, const char *name)
{
	for (size_t i = 0; i < s->virtual_services.n; i++)
		if (cox_str_eq_cstr(s->virtual_services.p[i]->object->meta.name, name))
			return s->virtual_services.p[i];
	return NULL;
}

/* covers: a1 a2 */
static void test_vs_names_in_full(void **state)
{
	(void)state;
	struct world w = world_with(VS(
	    "b", "n", "02",
	    "{hosts: [reviews, www.x.org], gateways: [mesh, gw, other/gw2, gw3.ns3.svc.cluster.local],\n"
	    "  http: [{match: [{gateways: [gw], sourceLabels: {app: a}}], mirror: {host: m}, route: [{destination: {host: reviews}, "
	    "weight: 1}, {destination: {host: x.y}, weight: 1}]}, {mirrors: [{destination: {host: m2}}], route: [{destination: {host: "
	    "reviews}}]}],\n"
	    "  tcp: [{route: [{destination: {host: t}}]}], tls: [{match: [{sniHosts: [www.x.org]}], route: [{destination: {host: s}}]}]}")
	                                VS("a", "n", "01", "{hosts: [full.org], http: " ROUTE("a.b.c") "}"));
	assert_int_equal(w.s->virtual_services.n, 2);
	assert_str(w.s->virtual_services.p[0]->object->meta.name, "a"); /* the older first */
	const struct cox_vs *v = vs_of(w.s, "b");
	assert_str(v->spec->hosts.p[0], "reviews.n.svc.cluster.local");
	assert_str(v->spec->hosts.p[1], "www.x.org");
	const struct cox_http_route *h = &v->spec->http.p[0];
	assert_str(h->route.p[0].destination->host, "reviews.n.svc.cluster.local");
	assert_str(h->route.p[1].destination->host, "x.y");
	assert_str(h->mirror->host, "m.n.svc.cluster.local");
	assert_str(h[1].mirrors.p[0].destination->host, "m2.n.svc.cluster.local");
	assert_str(h->match.p[0].gateways.p[0], "n/gw");
	assert_str(v->spec->tcp.p[0].route.p[0].destination->host, "t.n.svc.cluster.local");
	assert_str(v->spec->tls.p[0].route.p[0].destination->host, "s.n.svc.cluster.local");
	assert_true(v->is_mesh);
	assert_int_equal(v->gateways.n, 3);
	assert_str(v->gateways.p[0], "n/gw");
	assert_str(v->gateways.p[1], "other/gw2");
	assert_str(v->gateways.p[2], "ns3/gw3");
	const struct cox_vs *a = vs_of(w.s, "a");
	assert_true(a->is_mesh);
	assert_ptr_equal(a->spec, ((const struct cox_virtual_service_object *)a->object->spec)->spec); /* nothing to resolve: no copy */
	const struct cox_vs **at_gateway;
	assert_int_equal(cox_snapshot_gateway_vs(w.s, S("other/gw2"), &w.arena, &at_gateway), 1);
	assert_ptr_equal(at_gateway[0], v);
	assert_int_equal(cox_snapshot_gateway_vs(w.s, S("none/none"), &w.arena, &at_gateway), 0);
	const struct cox_str *keys;
	assert_int_equal(cox_snapshot_selector_keys(w.s, &keys), 1);
	assert_str(keys[0], "app");
	world_end(&w);
}

static void test_delegates(void **state)
{
	(void)state;
	const char root[] = VS("root", "n", "01",
	                       "{hosts: [x.org], http: [{name: r, match: [{uri: {prefix: /api}, headers: {v: {exact: \"1\"}}}], timeout: "
	                       "3s, delegate: {name: d, namespace: m}}, {delegate: {name: missing}},\n"
	                       "  {route: [{destination: {host: last}}]}]}");
	const char delegate[] = VS("d", "m", "02",
	                           "{http: [{name: one, match: [{uri: {prefix: /api/one}}], route: [{destination: {host: svc}}]}, {match: "
	                           "[{uri: {prefix: /other}}], route: [{destination: {host: svc}}]},\n"
	                           "  {timeout: 9s, route: [{destination: {host: svc2}}]}]}");
	struct world w = world_with(root);
	yaml_put(w.r, delegate);
	world_update(&w);
	assert_int_equal(w.s->virtual_services.n, 1); /* a delegate does not stand for itself */
	const struct cox_vs *v = vs_of(w.s, "root");
	assert_int_equal(v->spec->http.n, 3); /* "/other" does not fit under "/api"; the missing one is left out */
	const struct cox_http_route *h = v->spec->http.p;
	assert_str(h[0].name, "r-one");
	assert_str(h[0].match.p[0].uri->prefix.v, "/api/one");
	assert_str(h[0].match.p[0].headers.p[0].key, "v");
	assert_int_equal(h[0].timeout_ns.v, 3000000000LL);
	assert_str(h[0].route.p[0].destination->host, "svc.m.svc.cluster.local"); /* in the delegate's namespace */
	assert_str(h[1].match.p[0].uri->prefix.v, "/api");
	assert_int_equal(h[1].timeout_ns.v, 9000000000LL);
	assert_str(h[2].route.p[0].destination->host, "last.n.svc.cluster.local");
	struct cox_findings f;
	cox_snapshot_check(w.s, w.r, &w.arena, &f);
	assert_int_equal(f.counts[COX_FINDING_NO_DELEGATE], 1);
	struct cox_hash before = v->hash;
	/* The delegate's own change makes the root another one; hidden from the root's namespace it does not count. */
	yaml_put(w.r, VS("d", "m", "02", "{exportTo: [\".\"], http: " ROUTE("svc") "}"));
	world_update(&w);
	v = vs_of(w.s, "root");
	assert_int_equal(v->spec->http.n, 1);
	assert_false(cox_hash_eq(before, v->hash));
	world_end(&w);
}

/* --- DestinationRules -------------------------------------------------------------------------------- */

static const struct cox_dr *dr_for(const struct world *w, const char *viewer, const char *hostname, const char *svc_ns)
{
	const struct cox_svc svc = { .hostname = S(hostname), .ns = S(svc_ns) };
	return cox_scope_dr_find(w->s, S(viewer), NULL, 0, &svc);
}

static const char *dr_name(const struct cox_dr *d)
{
	static char text[64];
	return d ? cox_str_to_cstr(d->name, text, sizeof(text)) : "none";
}

/* covers: a58 a59 */
static void test_dr_lookup_order(void **state)
{
	(void)state;
	struct world w = world_with(
	    DR("client", "client", "03", "{host: reviews.svc-ns.svc.cluster.local}") DR("service", "svc-ns", "02", "{host: reviews}")
	        DR("private", "svc-ns", "02", "{host: ratings, exportTo: [\".\"]}")
	            DR("wild", "svc-ns", "01", "{host: \"*.svc-ns.svc.cluster.local\"}")
	                DR("root-wild", "istio-system", "01", "{host: \"*.local\"}") DR("root-all", "istio-system", "01", "{host: \"*\"}")
	                    DR("root-own", "istio-system", "01", "{host: own.org, exportTo: [\".\"]}"));
	assert_string_equal(dr_name(dr_for(&w, "client", "reviews.svc-ns.svc.cluster.local", "svc-ns")), "client");
	assert_string_equal(dr_name(dr_for(&w, "other", "reviews.svc-ns.svc.cluster.local", "svc-ns")), "service");
	assert_string_equal(dr_name(dr_for(&w, "other", "ratings.svc-ns.svc.cluster.local", "svc-ns")), "wild");
	assert_string_equal(dr_name(dr_for(&w, "svc-ns", "ratings.svc-ns.svc.cluster.local", "svc-ns")), "private");
	assert_string_equal(dr_name(dr_for(&w, "other", "details.svc-ns.svc.cluster.local", "svc-ns")), "wild");
	assert_string_equal(dr_name(dr_for(&w, "other", "x.else.svc.cluster.local", "else")), "root-wild");
	assert_string_equal(dr_name(dr_for(&w, "other", "www.example.org", "else")), "root-all");
	assert_string_equal(dr_name(dr_for(&w, "istio-system", "own.org", "else")), "root-own");
	assert_string_equal(dr_name(dr_for(&w, "other", "own.org", "else")), "root-all");
	/* The root namespace's public rules come last even for its own proxies. */
	assert_string_equal(dr_name(dr_for(&w, "istio-system", "reviews.svc-ns.svc.cluster.local", "svc-ns")), "service");
	world_end(&w);
	w = world_with("");
	assert_null(dr_for(&w, "a", "b", "c"));
	world_end(&w);
}

/* covers: a60 a61 */
static void test_dr_merge(void **state)
{
	(void)state;
	struct world w = world_with(
	    DR("first", "n", "01", "{host: reviews, subsets: [{name: v1, labels: {version: v1}}]}")
	        DR("second", "n", "02",
	           "{host: reviews.n.svc.cluster.local, trafficPolicy: {loadBalancer: {simple: RANDOM}}, subsets: [{name: v2, labels: "
	           "{version: v2}}, {name: v1, labels: {x: y}}]}")
	            DR("third", "n", "03", "{host: reviews, trafficPolicy: {loadBalancer: {simple: ROUND_ROBIN}}}")
	                DR("some", "n", "04", "{host: reviews, workloadSelector: {matchLabels: {app: a}}, subsets: [{name: v9}]}"));
	assert_int_equal(w.s->destination_rules.n, 2);
	const struct cox_svc svc = { .hostname = S("reviews.n.svc.cluster.local"), .ns = S("n") };
	const struct cox_dr *d = cox_scope_dr_find(w.s, S("n"), NULL, 0, &svc);
	assert_str(d->name, "first");
	assert_int_equal(d->object_ids.n, 3);
	assert_int_equal(d->spec->subsets.n, 2);
	assert_str(d->spec->subsets.p[1].name, "v2");
	assert_str(cox_kv_get(d->spec->subsets.p[0].labels.p, d->spec->subsets.p[0].labels.n, S("version")), "v1");
	assert_int_equal(d->spec->traffic_policy->load_balancer->simple, COX_LB_RANDOM);
	const struct cox_kv labels[] = { { S("app"), S("a") } };
	assert_string_equal(dr_name(cox_scope_dr_find(w.s, S("n"), labels, 1, &svc)), "some");
	assert_string_equal(dr_name(cox_scope_dr_find(w.s, S("other"), labels, 1, &svc)),
	                    "first"); /* a selector does not leave its namespace */
	struct cox_findings f;
	cox_snapshot_check(w.s, w.r, &w.arena, &f);
	assert_int_equal(f.counts[COX_FINDING_DUPLICATE_SUBSET], 1);
	assert_str(f.items.p[0].object_id, "DestinationRule/n/second");
	assert_str(f.items.p[0].path, "spec.subsets[1].name");
	world_end(&w);
}

/* A rule that reaches further adds to the narrow one, and stands for itself where that is not seen. covers: a59 */
static void test_dr_merge_by_visibility(void **state)
{
	(void)state;
	struct world w = world_with(DR("narrow", "n", "01", "{host: a.org, exportTo: [x], subsets: [{name: one}]}")
	                                DR("wide", "n", "02", "{host: a.org, subsets: [{name: two}]}"));
	assert_int_equal(dr_for(&w, "x", "a.org", "n")->spec->subsets.n, 2);
	assert_int_equal(dr_for(&w, "y", "a.org", "n")->spec->subsets.n, 1);
	assert_str(dr_for(&w, "y", "a.org", "n")->name, "wide");
	world_end(&w);
}

/* --- generations ------------------------------------------------------------------------------------------ */

static void test_generations_share(void **state)
{
	(void)state;
	struct world w = world_with(SVC("a", "n", "80") SVC("b", "n", "80") VS("v", "n", "01", "{hosts: [a], http: " ROUTE("a") "}") VS(
	    "x", "n", "01", "{hosts: [b], http: " ROUTE("b") "}") DR("d", "n", "01", "{host: a}") DR("e", "n", "01", "{host: b}"));
	const struct cox_snapshot *before = cox_snapshot_ref(w.s);
	world_update(&w);
	assert_int_equal(w.s->generation, before->generation + 1);
	assert_ptr_equal(before->virtual_services.p, w.s->virtual_services.p);
	assert_ptr_equal(before->destination_rules.p, w.s->destination_rules.p);
	assert_ptr_equal(before->svcs.p[0].svc, w.s->svcs.p[0].svc);
	yaml_put(w.r, VS("x", "n", "01", "{hosts: [b], http: " ROUTE("a") "}") DR("e", "n", "01", "{host: b, subsets: [{name: z}]}"));
	world_update(&w);
	assert_ptr_equal(vs_of(before, "v"), vs_of(w.s, "v"));
	assert_ptr_not_equal(vs_of(before, "x"), vs_of(w.s, "x"));
	assert_ptr_equal(dr_for(&(struct world){ .s = (void *)before }, "n", "a.n.svc.cluster.local", "n"),
	                 dr_for(&w, "n", "a.n.svc.cluster.local", "n"));
	assert_int_equal(dr_for(&w, "n", "b.n.svc.cluster.local", "n")->spec->subsets.n, 1);
	assert_str(vs_of(before, "x")->spec->http.p[0].route.p[0].destination->host,
	           "b.n.svc.cluster.local"); /* the old one is as it was */
	cox_snapshot_unref(before);
	yaml_remove(w.r, VS("x", "n", "01", "{hosts: [b], http: " ROUTE("a") "}") DR("e", "n", "01", "{host: b}") SVC("b", "n", "80"));
	world_update(&w);
	assert_int_equal(w.s->virtual_services.n, 1);
	assert_int_equal(w.s->destination_rules.n, 1);
	assert_null(cox_snapshot_svc_find(w.s, S("b.n.svc.cluster.local"), S("n")));
	world_end(&w);
}

static void test_services_by_name_and_address(void **state)
{
	(void)state;
	const char slice[] =
	    "---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: a-1, namespace: n, labels: "
	    "{kubernetes.io/service-name: a}}\n"
	    "addressType: IPv4\nports: [{name: http, port: 80}]\nendpoints: [{addresses: [10.1.0.1]}, {addresses: [10.1.0.2]}]\n";
	struct world w = world_with(SVC("a", "n", "80") SVC("b", "n", "80") ENTRY("e1", "x", "shared.org") ENTRY("e2", "y", "shared.org"));
	yaml_put(w.r, slice);
	world_update(&w);
	assert_str(cox_snapshot_svc_find(w.s, S("shared.org"), S("y"))->svc->ns, "y");
	assert_str(cox_snapshot_svc_find(w.s, S("shared.org"), S("z"))->svc->ns, "x");
	assert_null(cox_snapshot_svc_find(w.s, S("nobody.org"), S("z")));
	const struct cox_str ips[] = { S("10.1.0.2"), S("10.9.9.9") };
	const struct cox_snap_svc **found;
	assert_int_equal(cox_snapshot_svcs_at(w.s, ips, 2, &w.arena, &found), 1);
	assert_str(found[0]->svc->name, "a");
	const struct cox_kv labels[] = { { S("app"), S("b") } };
	assert_int_equal(cox_snapshot_svcs_of(w.s, S("n"), labels, 1, ips, 2, &w.arena, &found), 2);
	assert_int_equal(cox_snapshot_svcs_of(w.s, S("m"), labels, 1, NULL, 0, &w.arena, &found), 0);
	yaml_remove(w.r, slice); /* the index follows the endpoints */
	world_update(&w);
	assert_int_equal(cox_snapshot_svcs_at(w.s, ips, 2, &w.arena, &found), 0);
	world_end(&w);
}

static void test_nodes_namespaces_flags(void **state)
{
	(void)state;
	struct world w = world_with("apiVersion: v1\nkind: Namespace\nmetadata: {name: n, labels: {a: b}}\n---\n"
	                            "apiVersion: v1\nkind: Node\nmetadata: {name: k, labels: {topology.kubernetes.io/region: r, "
	                            "topology.kubernetes.io/zone: z}}\n" SVC("a", "n", "80"));
	assert_str(cox_snapshot_node_locality(w.s, S("k")), "r/z");
	assert_str(cox_snapshot_node_locality(w.s, S("l")), "");
	assert_str(cox_snapshot_namespace_find(w.s, S("n"))->meta.labels.p[0].value, "b");
	assert_null(cox_snapshot_namespace_find(w.s, S("m")));
	assert_false(w.s->uses_locality || w.s->uses_node);
	yaml_put(w.r, DR("d", "n", "01", "{host: a, trafficPolicy: {outlierDetection: {consecutive5xxErrors: 1}}}"));
	world_update(&w);
	assert_true(w.s->uses_locality);
	yaml_put(w.r, DR("d", "n", "01",
	                 "{host: a, trafficPolicy: {loadBalancer: {localityLbSetting: {failoverPriority: [\"topology.istio.io/network\", "
	                 "\"x=y\"]}}}}"));
	world_update(&w);
	assert_true(w.s->uses_locality);
	const struct cox_str *keys;
	assert_int_equal(cox_snapshot_selector_keys(w.s, &keys), 2);
	assert_str(keys[1], "x");
	world_end(&w);
}

static void test_gateways_for(void **state)
{
	(void)state;
	struct world w = world_with("apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: g, namespace: n}\n"
	                            "spec: {selector: {istio: ingress}, servers: [{hosts: [\"*\"], port: {number: 80, name: http, "
	                            "protocol: HTTP}}, {hosts: [\"*\"], port: {number: 80, name: tcp, protocol: TCP}}]}\n" VS(
	                                "v", "n", "01", "{hosts: [a.org], gateways: [g, gone], http: " ROUTE("nobody") "}"));
	const struct cox_kv labels[] = { { S("app"), S("x") }, { S("istio"), S("ingress") } };
	const struct cox_object **found;
	assert_int_equal(cox_snapshot_gateways_for(w.s, labels, 2, S("other"), &w.arena, &found), 1);
	assert_int_equal(cox_snapshot_gateways_for(w.s, labels, 1, S("other"), &w.arena, &found), 0);
	struct cox_findings f;
	cox_snapshot_check(w.s, w.r, &w.arena, &f);
	assert_int_equal(f.counts[COX_FINDING_PORT_CONFLICT], 1);
	assert_int_equal(f.counts[COX_FINDING_NO_GATEWAY], 1);
	assert_int_equal(f.counts[COX_FINDING_NO_HOST], 1);
	assert_int_equal(f.items.n, 3);
	assert_str(f.items.p[0].object_id, "Gateway/n/g");
	assert_str(f.items.p[0].path, "spec.servers[1].port");
	assert_str(f.items.p[1].path, "spec.gateways[1]");
	assert_str(f.items.p[2].path, "spec.http[0].route[0].destination.host");
	world_end(&w);
}

/* covers: e40 */
static void test_deadlines_are_asked_for_by_annotation(void **state)
{
	(void)state;
	struct world w = world_with(SVC("a", "n", "80") SVC("b", "n", "80") VS("one", "n", "01", "{hosts: [a], http: " ROUTE("a") "}")
	                                VS("two", "n", "02", "{hosts: [b], http: " ROUTE("b") "}"));
	struct cox_findings f;
	assert_false(cox_snapshot_host_has_deadline(w.s, S("a.n.svc.cluster.local")));
	yaml_put(w.r, "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: one, namespace: n, annotations: "
	              "{traffic.coxswain.io/deadline: propagate}}\nspec: {hosts: [a], http: [{route: [{destination: {host: a}}]}]}\n");
	yaml_put(w.r, "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: two, namespace: n, annotations: "
	              "{traffic.coxswain.io/deadline: \"yes\"}}\nspec: {hosts: [b], http: [{route: [{destination: {host: b}}]}]}\n");
	world_update(&w);
	assert_true(cox_snapshot_host_has_deadline(w.s, S("a.n.svc.cluster.local")));
	assert_false(cox_snapshot_host_has_deadline(w.s, S("b.n.svc.cluster.local")));
	cox_snapshot_check(w.s, w.r, &w.arena, &f);
	assert_int_equal(f.counts[COX_FINDING_NO_EFFECT], 1);
	size_t at = 0;
	while (f.items.p[at].code != COX_FINDING_NO_EFFECT)
		at++;
	assert_string_equal(cox_finding_code_name(f.items.p[at].code), "NoEffect");
	assert_str(f.items.p[at].object_id, "VirtualService/n/two");
	assert_str(f.items.p[at].text, "\"yes\" has no effect; \"propagate\" has");
	world_end(&w);
}

static void test_check_virtual_services(void **state)
{
	(void)state;
	struct world w = world_with(
	    SVC("a", "n", "80") VS("one", "n", "01", "{hosts: [a], http: [{route: [{destination: {host: a, subset: v1}}]}]}")
	        VS("two", "n", "02", "{hosts: [a], http: " ROUTE("a") "}")
	            VS("far", "m", "03", "{hosts: [a.n.svc.cluster.local], exportTo: [\".\"], http: " ROUTE("a.n.svc.cluster.local") "}"));
	struct cox_findings f;
	cox_snapshot_check(w.s, w.r, &w.arena, &f);
	assert_int_equal(f.counts[COX_FINDING_NO_SUBSET], 1);
	assert_int_equal(f.counts[COX_FINDING_DUPLICATE_HOST], 2); /* "two" everywhere, "far" in its own namespace */
	assert_int_equal(f.counts[COX_FINDING_NO_HOST], 0);
	assert_string_equal(cox_finding_code_name(f.items.p[1].code), "NoSubset");
	yaml_put(w.r, DR("d", "n", "01", "{host: a, subsets: [{name: v1}]}"));
	world_update(&w);
	cox_snapshot_check(w.s, w.r, &w.arena, &f);
	assert_int_equal(f.counts[COX_FINDING_NO_SUBSET], 0);
	world_end(&w);
}

#define AT(name, ns, address, ports)                                                                                    \
	"---\napiVersion: v1\nkind: Service\nmetadata: {name: " name ", namespace: " ns "}\nspec: {clusterIP: " address \
	", selector: {app: x}, ports: " ports "}\n"

/* covers: g29 */
static void test_check_services(void **state)
{
	(void)state;
	struct world w =
	    world_with(AT("a", "n", "10.0.0.1", "[{name: http, port: 80, targetPort: 8080}]")
	                   AT("b", "n", "10.0.0.1", "[{name: tcp, port: 80, targetPort: 8080}, {name: http, port: 81, targetPort: 8081}]")
	                       AT("c", "m", "10.0.0.2", "[{name: tcp, port: 80, targetPort: 8080}, {name: udp, port: 80, protocol: UDP}]")
	                           AT("d", "n", "10.0.0.3", "[]") AT("e", "n", "None", "[]"));
	struct cox_findings f;
	cox_snapshot_check(w.s, w.r, &w.arena, &f);
	assert_int_equal(f.items.n, 3);
	assert_int_equal(f.counts[COX_FINDING_ADDRESS_CONFLICT], 1);
	assert_str(f.items.p[0].object_id, "Service/n/b");
	assert_str(f.items.p[0].path, "spec.clusterIP");
	assert_int_equal(f.counts[COX_FINDING_TARGET_PORT_CONFLICT], 1);
	assert_str(f.items.p[1].path, "spec.ports[0]");
	assert_int_equal(f.counts[COX_FINDING_NO_PORTS], 1);
	assert_str(f.items.p[2].object_id, "Service/n/d");
	/* Who does not see both has no conflict. */
	yaml_put(
	    w.r,
	    "---\napiVersion: v1\nkind: Service\nmetadata: {name: b, namespace: n, annotations: {networking.istio.io/exportTo: \"~\"}}\n"
	    "spec: {clusterIP: 10.0.0.1, ports: [{name: tcp, port: 80}]}\n");
	yaml_put(
	    w.r,
	    "---\napiVersion: v1\nkind: Service\nmetadata: {name: a, namespace: n, annotations: {networking.istio.io/exportTo: \".\"}}\n"
	    "spec: {clusterIP: 10.0.0.1, ports: [{name: tcp, port: 80}]}\n");
	world_update(&w);
	cox_snapshot_check(w.s, w.r, &w.arena, &f);
	assert_int_equal(f.counts[COX_FINDING_ADDRESS_CONFLICT], 0);
	world_end(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hosts),
		cmocka_unit_test(test_check_services),
		cmocka_unit_test(test_vs_names_in_full),
		cmocka_unit_test(test_delegates),
		cmocka_unit_test(test_dr_lookup_order),
		cmocka_unit_test(test_dr_merge),
		cmocka_unit_test(test_dr_merge_by_visibility),
		cmocka_unit_test(test_generations_share),
		cmocka_unit_test(test_services_by_name_and_address),
		cmocka_unit_test(test_nodes_namespaces_flags),
		cmocka_unit_test(test_gateways_for),
		cmocka_unit_test(test_deadlines_are_asked_for_by_annotation),
		cmocka_unit_test(test_check_virtual_services),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
