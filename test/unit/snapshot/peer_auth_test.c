#include "snapshot/check.h"
#include "snapshot/world.h"

#define PA(name, ns, second, spec)                                                                                   \
	"---\napiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: {name: " name ", namespace: " ns \
	", creationTimestamp: \"2026-01-01T00:00:" second "Z\"}\nspec: " spec "\n"
#define OF_WEB "selector: {matchLabels: {app: web}}"

static int server(const struct world *w, const char *ns, const char *app, uint16_t port)
{
	struct cox_kv labels[] = { { COX_STR("app"), cox_str_of(app) } };
	return (int)cox_snapshot_mtls_server(w->s, cox_str_of(ns), labels, 1, port);
}

/* covers: a169: without any policy, and inheritance from the mesh over the namespace to the workload and its port. */
static void test_inheritance(void **state)
{
	(void)state;
	struct world w = world_with("");
	assert_int_equal(server(&w, "shop", "web", 80), COX_MTLS_PERMISSIVE);
	assert_int_equal(cox_snapshot_mtls_client(w.s, COX_STR("shop")), COX_MTLS_PERMISSIVE);
	world_put(&w, PA("mesh", "istio-system", "01", "{mtls: {mode: STRICT}}"));
	assert_int_equal(server(&w, "shop", "web", 80), COX_MTLS_STRICT);
	assert_int_equal(cox_snapshot_mtls_client(w.s, COX_STR("shop")), COX_MTLS_STRICT);
	world_put(&w, PA("ns", "shop", "02", "{mtls: {mode: UNSET}}"));
	assert_int_equal(server(&w, "shop", "web", 80), COX_MTLS_STRICT); /* UNSET inherits */
	world_put(&w, PA("ns", "shop", "02", "{mtls: {mode: DISABLE}}"));
	assert_int_equal(server(&w, "shop", "web", 80), COX_MTLS_DISABLE);
	assert_int_equal(server(&w, "other", "web", 80), COX_MTLS_STRICT);
	assert_int_equal(cox_snapshot_mtls_client(w.s, COX_STR("shop")), COX_MTLS_DISABLE);
	world_put(&w, PA("web", "shop", "03",
	                 "{" OF_WEB ", mtls: {mode: PERMISSIVE}, portLevelMtls: {8080: {mode: STRICT}, 9090: {mode: UNSET}}}"));
	assert_int_equal(server(&w, "shop", "web", 80), COX_MTLS_PERMISSIVE);
	assert_int_equal(server(&w, "shop", "web", 8080), COX_MTLS_STRICT);
	assert_int_equal(server(&w, "shop", "web", 9090), COX_MTLS_PERMISSIVE);
	assert_int_equal(server(&w, "shop", "db", 8080), COX_MTLS_DISABLE);
	/* What one workload does is not what clients may assume of the namespace. */
	assert_int_equal(cox_snapshot_mtls_client(w.s, COX_STR("shop")), COX_MTLS_DISABLE);
	world_end(&w);
}

/* covers: a168: of several the oldest; none by selector in the root namespace; no labels, no selector. */
static void test_choice(void **state)
{
	(void)state;
	struct world w = world_with(PA("b", "shop", "01", "{" OF_WEB ", mtls: {mode: STRICT}}")
	                                PA("a", "shop", "02", "{" OF_WEB ", mtls: {mode: DISABLE}}")
	                                    PA("d", "shop", "03", "{mtls: {mode: STRICT}}") PA("c", "shop", "04", "{mtls: {mode: DISABLE}}")
	                                        PA("r", "istio-system", "05", "{" OF_WEB ", mtls: {mode: DISABLE}}"));
	assert_int_equal(server(&w, "shop", "web", 80), COX_MTLS_STRICT);
	assert_int_equal(server(&w, "shop", "db", 80), COX_MTLS_STRICT);
	assert_int_equal(server(&w, "istio-system", "web", 80), COX_MTLS_PERMISSIVE);
	assert_int_equal(server(&w, "default", "web", 80), COX_MTLS_PERMISSIVE);
	assert_null(cox_snapshot_mtls_workload_policy(w.s, COX_STR("shop"), NULL, 0));
	assert_true(cox_str_eq(
	    cox_snapshot_mtls_workload_policy(w.s, COX_STR("shop"), &(struct cox_kv){ COX_STR("app"), COX_STR("web") }, 1)->meta.name,
	    COX_STR("b")));
	world_end(&w);
}

/* A policy changes the identity of what its own namespace's workloads are, and nobody else's; one of the mesh changes all. */
static void test_identity(void **state)
{
	(void)state;
	struct world w = world_with(PA("ns", "shop", "01", "{mtls: {mode: STRICT}}"));
	struct cox_hash shop = cox_snapshot_mtls_hash(w.s, COX_STR("shop")), other = cox_snapshot_mtls_hash(w.s, COX_STR("other"));
	world_put(&w, PA("ns", "shop", "01", "{mtls: {mode: DISABLE}}"));
	assert_false(cox_hash_eq(shop, cox_snapshot_mtls_hash(w.s, COX_STR("shop"))));
	assert_true(cox_hash_eq(other, cox_snapshot_mtls_hash(w.s, COX_STR("other"))));
	world_put(&w, PA("mesh", "istio-system", "01", "{mtls: {mode: STRICT}}"));
	assert_false(cox_hash_eq(other, cox_snapshot_mtls_hash(w.s, COX_STR("other"))));
	world_end(&w);
}

static bool has(const struct cox_findings *f, enum cox_finding_code code, const char *id, const char *path, const char *part)
{
	for (COX_EACH(struct cox_finding, i, f->items))
		if (i->code == code && cox_str_eq_cstr(i->object_id, id) && cox_str_eq_cstr(i->path, path) &&
		    cox_str_search(i->text, cox_str_of(part)) >= 0)
			return true;
	return false;
}

#define POD                                                                                              \
	"---\napiVersion: v1\nkind: Pod\nmetadata: {name: web-0, namespace: shop, labels: {app: web}}\n" \
	"spec: {serviceAccountName: web}\nstatus: {podIP: 10.1.0.1, phase: Running}\n"
#define SVC                                                                            \
	"---\napiVersion: v1\nkind: Service\nmetadata: {name: web, namespace: shop}\n" \
	"spec: {clusterIP: 10.0.0.1, selector: {app: web}, ports: [{name: http, port: 80, targetPort: 8080}]}\n"
#define SLICE                                                                                                                                              \
	"---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: web-1, namespace: shop, labels: {kubernetes.io/service-name: web}}\n" \
	"addressType: IPv4\nports: [{name: http, port: 8080, protocol: TCP}]\n"                                                                            \
	"endpoints: [{addresses: [10.1.0.1], conditions: {ready: true}, targetRef: {kind: Pod, name: web-0, namespace: shop}}]\n"

static void test_findings(void **state)
{
	(void)state;
	struct cox_findings f;
	struct world w =
	    world_with(POD SVC SLICE PA("first", "shop", "01",
	                                "{" OF_WEB ", portLevelMtls: {80: {mode: STRICT}, 8080: {mode: STRICT}, 7000: {mode: STRICT}}}")
	                   PA("second", "shop", "02", "{" OF_WEB ", mtls: {mode: STRICT}}")
	                       PA("third", "shop", "03", "{selector: {matchLabels: {app: db}}, portLevelMtls: {5432: {mode: STRICT}}}")
	                           PA("root", "istio-system", "04", "{" OF_WEB ", mtls: {mode: STRICT}}"));
	cox_snapshot_check(w.s, w.r, &w.arena, &f);
	assert_true(has(&f, COX_FINDING_NO_PORT, "PeerAuthentication/shop/first", "spec.portLevelMtls[80]", "a port of a service"));
	assert_true(has(&f, COX_FINDING_NO_PORT, "PeerAuthentication/shop/first", "spec.portLevelMtls[7000]", "no service leads to"));
	assert_int_equal(f.counts[COX_FINDING_NO_PORT], 2); /* 8080 is right; nobody is selected by the third */
	assert_true(
	    has(&f, COX_FINDING_POLICY_IGNORED, "PeerAuthentication/shop/second", "spec.selector", "PeerAuthentication/shop/first"));
	assert_true(
	    has(&f, COX_FINDING_POLICY_IGNORED, "PeerAuthentication/istio-system/root", "spec.selector", "root namespace istio-system"));
	assert_int_equal(f.counts[COX_FINDING_POLICY_IGNORED], 2);
	world_end(&w);
}

struct refusal {
	struct cox_arena *arena;
	const char *text;
};

static void refuse_one(void *arg, struct cox_json *root, struct cox_str text, const struct cox_err *err)
{
	struct refusal *r = arg;
	struct cox_diags diags = { .arena = r->arena };
	const struct cox_object *o = NULL;
	bool said = false;
	(void)text, (void)err;
	assert_non_null(root);
	assert_int_not_equal(cox_object_build(root, COX_STR("t"), COX_STR("default"), r->arena, &diags, &o), COX_OK);
	for (size_t k = 0; k < diags.n; k++)
		said |= cox_str_search(diags.items[k].text, cox_str_of(r->text)) >= 0 ||
		        cox_str_search(diags.items[k].path, cox_str_of(r->text)) >= 0;
	assert_true(said);
}

/* covers: a170: what the table refuses. */
static void test_refused(void **state)
{
	(void)state;
	static const struct {
		const char *yaml, *text;
	} cases[] = {
		{ PA("x", "a", "01", "{portLevelMtls: {80: {mode: STRICT}}}"), "needs selector.matchLabels" },
		{ PA("x", "a", "01", "{" OF_WEB ", portLevelMtls: {0: {mode: STRICT}}}"), "no port from 1 to 65535" },
		{ PA("x", "a", "01", "{" OF_WEB ", portLevelMtls: {65536: {mode: STRICT}}}"), "no port from 1 to 65535" },
		{ PA("x", "a", "01", "{" OF_WEB ", portLevelMtls: {http: {mode: STRICT}}}"), "no port from 1 to 65535" },
		{ PA("x", "a", "01", "{mtls: {mode: MAYBE}}"), "mode" },
	};
	for (size_t i = 0; i < COX_LEN(cases); i++) {
		struct cox_arena arena = { 0 };
		struct refusal r = { &arena, cases[i].text };
		assert_int_equal(cox_yaml_each(&arena, cox_str_of(cases[i].yaml), 1 << 16, refuse_one, &r, NULL), COX_OK);
		cox_arena_fini(&arena);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_inheritance), cmocka_unit_test(test_choice),
		                            cmocka_unit_test(test_identity), cmocka_unit_test(test_findings),
		                            cmocka_unit_test(test_refused) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
