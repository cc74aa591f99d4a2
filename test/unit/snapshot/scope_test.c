#include "registry/yaml_objects.h"
#include "snapshot/snapshot.h"

#define SVC(name, ns, port, more)                                                                               \
	"---\napiVersion: v1\nkind: Service\nmetadata: {name: " name ", namespace: " ns ", annotations: {" more \
	"}}\nspec: {clusterIP: 10.0.0.1, ports: [{name: http, port: " port "}]}\n"
#define SIDECAR(name, ns, created, spec)                                                                    \
	"---\napiVersion: networking.istio.io/v1\nkind: Sidecar\nmetadata: {name: " name ", namespace: " ns \
	", creationTimestamp: \"2026-01-01T00:00:" created "Z\"}\nspec: " spec "\n"
#define VS(name, ns, created, spec)                                                                                \
	"---\napiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: " name ", namespace: " ns \
	", creationTimestamp: \"2026-01-01T00:00:" created "Z\"}\nspec: " spec "\n"

static const char services[] = SVC("a", "x", "80", "") SVC("b", "x", "90", "") SVC("c", "y", "80", "") SVC(
    "hidden", "y", "80", "networking.istio.io/exportTo: \".\"") "---\napiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: "
                                                                "{name: e, namespace: y, creationTimestamp: \"2020-01-01T00:00:00Z\"}\n"
                                                                "spec: {hosts: [shared.org], resolution: DNS, ports: [{name: http, number: "
                                                                "80, protocol: HTTP}]}\n"
                                                                "---\napiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: "
                                                                "{name: e, namespace: x, creationTimestamp: \"2021-01-01T00:00:00Z\"}\n"
                                                                "spec: {hosts: [shared.org], resolution: DNS, ports: [{name: http, number: "
                                                                "80, protocol: HTTP}]}\n";

static struct cox_str S(const char *s) {
	return cox_str_of(s);
}

static struct cox_snapshot *
snapshot_with(struct cox_registry **r, const char *more)
{
	*r = cox_registry_new(&(struct cox_registry_options){ 0 });
	yaml_put(*r, services);
	yaml_put(*r, more);
	struct cox_registry_changes c;
	cox_registry_take_changes(*r, &c);
	cox_registry_changes_fini(&c);
	return cox_snapshot_build(*r, NULL);
}

/* "a.x b.x" of a list of services, by short name and namespace, with ":port" where one port only. */
static const char *shown(const struct cox_scope_svc *p, size_t n)
{
	static char text[512];
	size_t len = 0;
	text[0] = '\0';
	for (size_t i = 0; i < n; i++) {
		struct cox_str host = p[i].snap->svc->hostname;
		ptrdiff_t dot = cox_str_find(host, '.');
		len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%.*s.%.*s", i ? " " : "", (int)dot, host.p,
		                        COX_FMT(p[i].snap->svc->ns));
		if (p[i].only_port)
			len += (size_t)snprintf(text + len, sizeof(text) - len, ":%u", p[i].only_port);
	}
	return text;
}

static void expect(const char *sidecar, const char *ns, const char *want)
{
	struct cox_registry *r;
	struct cox_snapshot *s = snapshot_with(&r, sidecar);
	struct cox_arena arena = { 0 };
	const struct cox_scope *scope = cox_scope_build(s, S(ns), NULL, 0, &arena);
	assert_string_equal(shown(scope->svcs.p, scope->svcs.n), want);
	cox_arena_fini(&arena);
	cox_snapshot_unref(s);
	cox_registry_free(r);
}

/* covers: a150 */
static void test_egress_hosts(void **state)
{
	(void)state;
	expect("", "x", "a.x b.x c.y shared.x");
	expect("", "y", "a.x b.x c.y hidden.y shared.y");
	expect("", "z", "a.x b.x c.y shared.y"); /* a stranger sees the older one */
	expect(SIDECAR("s", "x", "01", "{egress: [{hosts: [\"./*\"]}]}"), "x", "a.x b.x shared.x");
	expect(SIDECAR("s", "x", "01", "{egress: [{hosts: [\"y/*\"]}]}"), "x", "c.y shared.y");
	expect(SIDECAR("s", "x", "01", "{egress: [{hosts: [\"*/a.x.svc.cluster.local\"]}]}"), "x", "a.x");
	expect(SIDECAR("s", "x", "01", "{egress: [{hosts: [\"*/*.y.svc.cluster.local\"]}]}"), "x", "c.y");
	expect(SIDECAR("s", "x", "01", "{egress: [{hosts: [\"~/*\"]}]}"), "x", "");
	expect(SIDECAR("s", "x", "01", "{egress: [{port: {number: 90, protocol: HTTP, name: h}, hosts: [\"*/*\"]}]}"), "x", "b.x:90");
	expect(
	    SIDECAR("s", "x", "01",
	            "{egress: [{port: {number: 90, protocol: HTTP, name: h}, hosts: [\"./*\"]}, {hosts: [\"./a.x.svc.cluster.local\"]}]}"),
	    "x", "a.x b.x:90");
	expect(
	    SIDECAR("s", "x", "01", "{egress: [{port: {number: 3128, protocol: HTTP_PROXY, name: h}, bind: 127.0.0.1, hosts: [\"./*\"]}]}"),
	    "x", "a.x b.x shared.x");
	expect(SIDECAR("s", "x", "01", "{ingress: [{port: {number: 1, protocol: HTTP, name: h}, defaultEndpoint: \"127.0.0.1:1\"}]}"), "x",
	       "a.x b.x c.y shared.x");
}

/* "~ns/host" takes out again, wherever it stands; "~/host" from every namespace. covers: a150 */
static void test_exclusion(void **state)
{
	(void)state;
	expect(SIDECAR("s", "x", "01", "{egress: [{hosts: [\"*/*\"]}]}"), "x", "a.x b.x c.y shared.x");
	expect(SIDECAR("s", "x", "01", "{egress: [{hosts: [\"*/*\", \"~y/*\"]}]}"), "x", "a.x b.x shared.x");
	expect(SIDECAR("s", "x", "01", "{egress: [{hosts: [\"~./*\", \"*/*\"]}]}"), "x", "c.y shared.y");
	expect(SIDECAR("s", "x", "01", "{egress: [{hosts: [\"*/*\", \"~/a.x.svc.cluster.local\"]}]}"), "x", "b.x c.y shared.x");
	expect(SIDECAR("s", "x", "01", "{egress: [{hosts: [\"y/c.y.svc.cluster.local\", \"~/*\"]}]}"), "x", "");
}

/* covers: a145 */
static void test_which_sidecar(void **state)
{
	(void)state;
	struct cox_registry *r;
	struct cox_snapshot *s = snapshot_with(
	    &r, SIDECAR("mesh", "istio-system", "01", "{egress: [{hosts: [\"*/*\"]}]}")
	            SIDECAR("root-some", "istio-system", "01", "{workloadSelector: {labels: {app: a}}, egress: [{hosts: [\"*/*\"]}]}")
	                SIDECAR("ns", "x", "03", "{egress: [{hosts: [\"./*\"]}]}")
	                    SIDECAR("younger", "x", "05", "{workloadSelector: {labels: {app: a}}, egress: [{hosts: [\"~/*\"]}]}")
	                        SIDECAR("older", "x", "04", "{workloadSelector: {labels: {app: a}}, egress: [{hosts: [\"~/*\"]}]}"));
	const struct cox_kv labels[] = { { S("app"), S("a") } };
	assert_str(cox_scope_sidecar_find(s, S("x"), labels, 1)->meta.name, "older");
	assert_str(cox_scope_sidecar_find(s, S("x"), NULL, 0)->meta.name, "ns");
	assert_str(cox_scope_sidecar_find(s, S("other"), labels, 1)->meta.name, "mesh");
	const struct cox_str *keys;
	assert_int_equal(cox_snapshot_selector_keys(s, &keys), 1);
	cox_snapshot_unref(s);
	cox_registry_free(r);
	s = snapshot_with(&r, "");
	assert_null(cox_scope_sidecar_find(s, S("x"), labels, 1));
	cox_snapshot_unref(s);
	cox_registry_free(r);
}

/* covers: a151 */
static void test_outbound_policy(void **state)
{
	(void)state;
	struct cox_registry *r;
	struct cox_arena arena = { 0 };
	struct cox_snapshot *s = snapshot_with(
	    &r,
	    SIDECAR("s", "x", "01", "{outboundTrafficPolicy: {mode: REGISTRY_ONLY}}") SIDECAR(
	        "s", "y", "01",
	        "{egress: [{hosts: [\"~/*\"]}], outboundTrafficPolicy: {mode: ALLOW_ANY, egressProxy: {host: c, port: {number: 80}}}}"));
	assert_true(cox_scope_build(s, S("x"), NULL, 0, &arena)->is_registry_only);
	assert_false(cox_scope_build(s, S("z"), NULL, 0, &arena)->is_registry_only);
	const struct cox_scope *y = cox_scope_build(s, S("y"), NULL, 0, &arena);
	assert_false(y->is_registry_only);
	assert_str(y->egress_proxy->host, "c.y.svc.cluster.local");
	assert_string_equal(shown(y->svcs.p, y->svcs.n), "c.y"); /* the proxy's own cluster is needed */
	cox_snapshot_unref(s);
	cox_registry_free(r);
	s = snapshot_with(&r, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: istio, namespace: istio-system}\ndata:\n  mesh: "
	                      "\"outboundTrafficPolicy: {mode: REGISTRY_ONLY}\"\n");
	assert_true(cox_scope_build(s, S("z"), NULL, 0, &arena)->is_registry_only);
	cox_snapshot_unref(s);
	cox_registry_free(r);
	cox_arena_fini(&arena);
}

/* covers: a1 a3 */
static void test_rules_in_scope(void **state)
{
	(void)state;
	struct cox_registry *r;
	struct cox_arena arena = { 0 };
	struct cox_snapshot *s = snapshot_with(
	    &r,
	    VS("public", "y", "01", "{hosts: [a.x.svc.cluster.local], http: [{route: [{destination: {host: c.y.svc.cluster.local}}]}]}") VS(
	        "exported", "y", "02",
	        "{hosts: [a.x.svc.cluster.local], exportTo: [x], http: [{route: [{destination: {host: hidden.y.svc.cluster.local}}]}]}")
	        VS("private", "x", "03", "{hosts: [a], exportTo: [\".\"], http: [{route: [{destination: {host: b, port: {number: 90}}}]}]}")
	            VS("elsewhere", "y", "04",
	               "{hosts: [a.x.svc.cluster.local], exportTo: [\".\"], http: [{route: [{destination: {host: c}}]}]}")
	                VS("gateway", "x", "05", "{hosts: [a], gateways: [g], http: [{route: [{destination: {host: a}}]}]}") SIDECAR(
	                    "s", "x", "01", "{workloadSelector: {labels: {app: only-x}}, egress: [{hosts: [\"x/a.x.svc.cluster.local\"]}]}")
	                    SIDECAR("t", "x", "01",
	                            "{workloadSelector: {labels: {app: both}}, egress: [{hosts: [\"*/a.x.svc.cluster.local\"]}]}"));
	const struct cox_scope *all = cox_scope_build(s, S("x"), NULL, 0, &arena);
	assert_int_equal(all->listeners.n, 1);
	const struct cox_scope_listener *l = &all->listeners.p[0];
	assert_int_equal(l->virtual_services.n, 3);
	assert_str(l->virtual_services.p[0]->object->meta.name, "private");
	assert_str(l->virtual_services.p[1]->object->meta.name, "exported");
	assert_str(l->virtual_services.p[2]->object->meta.name, "public");
	/* Only rules of namespaces that are imported, and the services they lead to: with the port they name, and never a hidden one. */
	const struct cox_kv x_only[] = { { S("app"), S("only-x") } }, both[] = { { S("app"), S("both") } };
	const struct cox_scope *scope = cox_scope_build(s, S("x"), x_only, 1, &arena);
	assert_int_equal(scope->listeners.p[0].virtual_services.n, 1);
	assert_string_equal(shown(scope->svcs.p, scope->svcs.n), "a.x b.x:90");
	assert_string_equal(shown(scope->listeners.p[0].svcs.p, scope->listeners.p[0].svcs.n), "a.x");
	const struct cox_scope *wide = cox_scope_build(s, S("x"), both, 1, &arena);
	assert_string_equal(shown(wide->svcs.p, wide->svcs.n), "a.x b.x:90 c.y");
	assert_false(cox_hash_eq(scope->hash, wide->hash));
	assert_true(cox_hash_eq(wide->hash, cox_scope_build(s, S("x"), both, 1, &arena)->hash));
	cox_arena_fini(&arena);
	cox_snapshot_unref(s);
	cox_registry_free(r);
}

static void test_explicit_listeners_first(void **state)
{
	(void)state;
	struct cox_registry *r;
	struct cox_arena arena = { 0 };
	struct cox_snapshot *s = snapshot_with(
	    &r, SIDECAR("s", "x", "01", "{egress: [{port: {number: 80, protocol: HTTP, name: h}, hosts: [\"y/*\"]}, {hosts: [\"./*\"]}]}"));
	const struct cox_scope *scope = cox_scope_build(s, S("x"), NULL, 0, &arena);
	assert_int_equal(scope->listeners.n, 2);
	assert_non_null(scope->listeners.p[0].egress->port);
	assert_null(scope->listeners.p[1].egress->port);
	cox_arena_fini(&arena);
	cox_snapshot_unref(s);
	cox_registry_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_egress_hosts),   cmocka_unit_test(test_exclusion),
		cmocka_unit_test(test_which_sidecar),  cmocka_unit_test(test_outbound_policy),
		cmocka_unit_test(test_rules_in_scope), cmocka_unit_test(test_explicit_listeners_first),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
