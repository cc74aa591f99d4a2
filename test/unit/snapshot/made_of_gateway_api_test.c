/* What objects made of the Gateway API (lib/convert) mean in a snapshot, and that nobody else can say the same. */
#include "snapshot/snapshot.h"
#include "snapshot/world.h"

#include "model/destination_rule.h"

static void put(void *arg, struct cox_json *root, struct cox_str text, const struct cox_err *err)
{
	struct world *w = arg;
	struct cox_diags diags = { .arena = &w->arena };
	const struct cox_object *o = NULL;
	(void)text;
	(void)err;
	assert_int_equal(cox_object_build_generated(root, COX_STR("BackendTLSPolicy/default/p"), &w->arena, &diags, &o), COX_OK);
	cox_registry_put(w->r, o);
	cox_object_unref(o);
}

static void setup(struct world *w, const char *written, const char *generated)
{
	static const struct cox_registry_options defaults;
	memset(w, 0, sizeof(*w));
	w->r = cox_registry_new(&defaults);
	yaml_put(w->r, written);
	assert_int_equal(cox_yaml_each(&w->arena, cox_str_of(generated), COX_JSON_BYTES_MAX, put, w, NULL), COX_OK);
	world_update(w);
}

#define SERVICE                                                                      \
	"apiVersion: v1\nkind: Service\nmetadata: {name: app, namespace: default}\n" \
	"spec: {clusterIP: 10.0.0.1, ports: [{name: a, port: 80}, {name: b, port: 81}, {name: c, port: 82}]}\n---\n"
#define RULE(name, created, policy)                                                                                  \
	"apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: " name ", namespace: default, " \
	"creationTimestamp: \"" created "\"}\nspec: {host: app.default.svc.cluster.local, trafficPolicy: {" policy "}}\n---\n"
#define OLD "2020-01-01T00:00:00Z"
#define NEW "2026-01-01T00:00:00Z"

static const struct cox_traffic_policy *policy(struct world *w)
{
	const struct cox_snap_svc *svc = cox_snapshot_svc_find(w->s, COX_STR("app.default.svc.cluster.local"), COX_STR("default"));
	const struct cox_dr *dr = cox_scope_dr_find(w->s, COX_STR("default"), NULL, 0, svc->svc);
	assert_non_null(dr);
	return dr->spec->traffic_policy;
}

static struct cox_str sni_of_port(const struct cox_traffic_policy *p, int64_t port)
{
	for (COX_EACH(struct cox_port_traffic_policy, x, p->port_level_settings))
		if (x->port->number.v == port)
			return x->tls ? x->tls->sni : COX_STR("none");
	return p->tls ? p->tls->sni : COX_STR("none");
}

/* The written rule, older or younger, keeps all that it says, and its connections are encrypted as the policy wants. covers: a259 */
static void test_policy_adds_tls(void **state)
{
	static const char *const ages[][2] = { { OLD, NEW }, { NEW, OLD } };
	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct world w;
		struct cox_buf written = { 0 }, made = { 0 };
		cox_buf_printf(
		    &written,
		    SERVICE RULE(
		        "mine", "%s",
		        "loadBalancer: {localityLbSetting: {failoverPriority: [a, b, c]}}, portLevelSettings: [{port: {number: 80}, "
		        "loadBalancer: {simple: RANDOM}}]"),
		    ages[i][0]);
		cox_buf_printf(
		    &made,
		    RULE("made", "%s",
		         "tls: {mode: SIMPLE, sni: all}, portLevelSettings: [{port: {number: 81}, tls: {mode: SIMPLE, sni: b}}]"),
		    ages[i][1]);
		setup(&w, cox_buf_cstr(&written), cox_buf_cstr(&made));
		const struct cox_traffic_policy *p = policy(&w);
		assert_int_equal(p->load_balancer->locality_lb_setting->failover_priority.n, 3);
		assert_str(sni_of_port(p, 80), "all"); /* settings of a port stand for themselves */
		assert_str(sni_of_port(p, 81), "b");
		assert_str(sni_of_port(p, 82), "all");
		assert_int_equal(p->port_level_settings.p[0].load_balancer->simple, COX_LB_RANDOM);
		assert_ptr_equal(p->port_level_settings.p[1].load_balancer, p->load_balancer);
		world_end(&w);
		cox_buf_fini(&written);
		cox_buf_fini(&made);
	}
}

/* covers: a259 */
static void test_written_tls_wins(void **state)
{
	(void)state;
	struct world w;
	setup(&w, SERVICE RULE("mine", NEW, "tls: {mode: SIMPLE, sni: mine}"),
	      RULE("made", OLD, "tls: {mode: SIMPLE, sni: all}, portLevelSettings: [{port: {number: 81}, tls: {mode: SIMPLE, sni: b}}]"));
	assert_str(sni_of_port(policy(&w), 80), "mine");
	assert_str(sni_of_port(policy(&w), 81), "mine");
	world_end(&w);
}

#define GATEWAY(name)                                                                                                                                    \
	"apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: " name ", namespace: default, annotations: {"                               \
	"internal.istio.io/gateway-namespace: edge, internal.istio.io/granted-secrets: \"kubernetes-gateway://default/cert,configmap://default/ca\"}}\n" \
	"spec: {selector: {app: gw}, servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: [a.com]}]}\n---\n"

/* covers: a256 c34 */
static void test_grants(void **state)
{
	static const struct cox_kv labels[] = { { COX_STR_INIT("app"), COX_STR_INIT("gw") } };
	static const struct {
		const char *ns, *secret;
		bool is_ca, is_granted;
	} cases[] = {
		{ "edge", "kubernetes-gateway://default/cert", false, true },
		{ "edge", "configmap://default/ca-cacert", true, true },
		{ "other", "kubernetes-gateway://default/cert", false, false },
		{ "edge", "kubernetes-gateway://default/cer", false, false },
		{ "edge", "kubernetes-gateway://default/other", false, false },
	};
	struct world w;
	const struct cox_object **found;
	(void)state;
	setup(&w, SERVICE, GATEWAY("made"));
	for (size_t i = 0; i < COX_LEN(cases); i++)
		assert_int_equal(cox_snapshot_secret_is_granted(w.s, cox_str_of(cases[i].ns), cox_str_of(cases[i].secret), cases[i].is_ca),
		                 cases[i].is_granted);
	assert_int_equal(cox_snapshot_gateways_for(w.s, labels, 1, COX_STR("edge"), &w.arena, &found), 1);
	assert_int_equal(cox_snapshot_gateways_for(w.s, labels, 1, COX_STR("other"), &w.arena, &found), 0);
	world_end(&w);
	/* Written by hand it grants nothing, and is for pods of every namespace. */
	setup(&w, SERVICE GATEWAY("mine"), "");
	assert_false(cox_snapshot_secret_is_granted(w.s, COX_STR("edge"), COX_STR("kubernetes-gateway://default/cert"), false));
	assert_int_equal(cox_snapshot_gateways_for(w.s, labels, 1, COX_STR("other"), &w.arena, &found), 1);
	world_end(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_policy_adds_tls), cmocka_unit_test(test_written_tls_wins),
		                            cmocka_unit_test(test_grants) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
