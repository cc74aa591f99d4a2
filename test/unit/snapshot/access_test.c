#include "snapshot/access.h"
#include "snapshot/world.h"

static const struct cox_access_set *api(const struct world *w)
{
	return cox_snapshot_access_find(w->s, COX_STR("default"), COX_STR("api"));
}

#define TARGET(name, ns, port, rules)                                                                                  \
	"---\napiVersion: access.smi-spec.io/v1alpha3\nkind: TrafficTarget\nmetadata: {name: " name ", namespace: " ns \
	"}\nspec:\n  destination: {kind: ServiceAccount, name: api, namespace: default" port                           \
	"}\n  sources: [{kind: ServiceAccount, name: web}, {kind: Group, name: all}]\n  rules: [" rules "]\n"
#define GROUP(matches)                                                                                                 \
	"---\napiVersion: specs.smi-spec.io/v1alpha1\nkind: HTTPRouteGroup\nmetadata: {name: g, namespace: default}\n" \
	"matches: [" matches "]\n"
#define TCP(spec) "---\napiVersion: specs.smi-spec.io/v1alpha4\nkind: TCPRoute\nmetadata: {name: r, namespace: default}\nspec: " spec "\n"

/* covers: a265 */
static void test_rules(void **state)
{
	(void)state;
	struct world w = { .r = cox_registry_new(&(struct cox_registry_options){ .domain = COX_STR("cluster.local") }) };
	world_update(&w);
	assert_null(api(&w));
	world_put(&w, TARGET("a", "default", ", port: 80", "{kind: HTTPRouteGroup, name: g, matches: [one]}, {kind: TCPRoute, name: r}"));
	/* What it refers to is not there: closed, not open. */
	assert_non_null(api(&w));
	assert_int_equal(api(&w)->rules.n, 0);
	struct cox_hash closed = api(&w)->hash;
	world_put(&w, GROUP("{name: one, pathRegex: /a, methods: [GET], headers: [{X-A: b}, {C: d}]}, {name: two, methods: ['*']}"));
	assert_false(cox_hash_eq(closed, api(&w)->hash));
	const struct cox_access_rule *rule = &api(&w)->rules.p[0];
	assert_int_equal(api(&w)->rules.n, 1);
	assert_int_equal(rule->port, 80);
	assert_int_equal(rule->sources.n, 1);
	assert_str(rule->sources.p[0].ns, "default");
	assert_int_equal(rule->http.n, 1);
	assert_str(rule->http.p[0].path_regex, "/a");
	assert_str(rule->http.p[0].methods.p[0], "GET");
	assert_int_equal(rule->http.p[0].headers.n, 2);
	assert_str(rule->http.p[0].headers.p[0].key, "x-a");
	assert_int_equal(rule->tcp_ports.n, 0);
	assert_false(rule->is_any_tcp);
	world_put(&w, TCP("{matches: {ports: [9000, 70000]}}"));
	assert_int_equal(api(&w)->rules.p[0].tcp_ports.n, 1);
	world_put(&w, TCP("{}"));
	assert_true(api(&w)->rules.p[0].is_any_tcp);
	/* Unchanged parts are shared. */
	const struct cox_access_set *was = api(&w);
	world_put(&w, "---\napiVersion: v1\nkind: Namespace\nmetadata: {name: x}\n");
	assert_ptr_equal(api(&w), was);
	yaml_remove(w.r, TARGET("a", "default", "", ""));
	world_update(&w);
	assert_null(api(&w));
	world_end(&w);
}

/* Access is for the owner of the namespace to give; a port that is none gives nothing. covers: a265 */
static void test_refused(void **state)
{
	(void)state;
	struct world w = { .r = cox_registry_new(&(struct cox_registry_options){ .domain = COX_STR("cluster.local") }) };
	world_put(&w, TCP("{}") TARGET("a", "elsewhere", "", "{kind: TCPRoute, name: r}"));
	assert_null(api(&w));
	world_put(&w, TARGET("b", "default", ", port: http", "{kind: TCPRoute, name: r}"));
	assert_int_equal(api(&w)->rules.n, 0);
	world_end(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_rules), cmocka_unit_test(test_refused) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
