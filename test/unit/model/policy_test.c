/* covers: a171 a172 a173 a178 a190 a199 d23 d30
 * AuthorizationPolicy, RequestAuthentication, Telemetry, WasmPlugin and TrafficExtension: what is decoded, and what is refused at which
 * field. The verdicts on several hundred objects stand in test/validate. */
#include "model/document.h"

#include "model/authorization_policy.h"
#include "model/cel_priv.h"
#include "model/request_authentication.h"
#include "model/telemetry.h"
#include "model/wasm_plugin.h"

static struct cox_diags diags;

static enum cox_rc build(const char *kind, const char *spec, const struct cox_object **out)
{
	struct cox_str yaml = cox_arena_printf(&arena, "apiVersion: %s\nkind: %s\nmetadata: {name: p, namespace: shop}\nspec: %s\n",
	                                       strstr(kind, "Auth")   ? "security.istio.io/v1"
	                                       : strstr(kind, "Tele") ? "telemetry.istio.io/v1"
	                                                              : "extensions.istio.io/v1alpha1",
	                                       kind, spec);
	diags = (struct cox_diags){ .arena = &arena };
	return cox_object_build(document(yaml), COX_STR("test.yaml:1"), (struct cox_str){ 0 }, &arena, &diags, out);
}

/* In force, and its only finding says that nothing comes of it. */
static const struct cox_object *good(const char *kind, const char *spec, const char *says)
{
	const struct cox_object *o = NULL;
	if (build(kind, spec, &o) != COX_OK)
		fail_msg("%s: %.*s: %.*s", spec, COX_FMT(diags.items[0].path), COX_FMT(diags.items[0].text));
	assert_int_equal(diags.n, 1);
	assert_int_equal(diags.items[0].severity, COX_SEV_WARNING);
	assert_true(cox_str_eq_cstr(diags.items[0].path, "spec") && cox_str_has_prefix(diags.items[0].text, cox_str_of(says)));
	return o;
}

static void test_authorization_policy(void **state)
{
	(void)state;
	const struct cox_object *o =
	    good("AuthorizationPolicy",
	         "{action: DENY, selector: {matchLabels: {app: a}}, rules: [{from: [{source: {principals: [\"*\"], "
	         "notIpBlocks: [10.0.0.0/8]}}], to: [{operation: {ports: [\"80\"], paths: [\"/a/{*}/{**}\"]}}], when: "
	         "[{key: \"request.headers[x]\", values: [b]}]}, {}]}",
	         "NOT ENFORCED");
	const struct cox_authorization_policy *v = COX_SPEC(cox_authorization_policy_object, o)->spec;
	assert_int_equal(v->action, COX_AUTHZ_DENY);
	assert_int_equal(v->rules.n, 2);
	assert_int_equal(v->target.selector->match_labels.n, 1);
	const struct cox_authz_rule *r = v->rules.p;
	assert_true(cox_str_eq_cstr(r->from.p[0].source->not_ip_blocks.p[0], "10.0.0.0/8"));
	assert_true(cox_str_eq_cstr(r->to.p[0].operation->paths.p[0], "/a/{*}/{**}"));
	assert_int_equal(cox_authz_attribute_find(r->when.p[0].key), COX_AUTHZ_REQUEST_HEADER);
	assert_int_equal(r[1].from.n + r[1].to.n + r[1].when.n, 0);
	cox_object_unref(o);
	/* Without a spec it denies everything that it is for. */
	o = good("AuthorizationPolicy", "{}", "NOT ENFORCED");
	assert_int_equal(COX_SPEC(cox_authorization_policy_object, o)->spec->rules.n, 0);
	cox_object_unref(o);
}

static void test_request_authentication(void **state)
{
	(void)state;
	const struct cox_object *o =
	    good("RequestAuthentication",
	         "{targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: g}], jwtRules: [{issuer: i, "
	         "audiences: [a], jwks_uri: \"https://i/keys\", fromHeaders: [{name: h, prefix: \"B \"}], "
	         "outputClaimToHeaders: [{header: x-sub, claim: sub}], timeout: 2s, forwardOriginalToken: true}]}",
	         "NOT ENFORCED");
	const struct cox_request_authentication *v = COX_SPEC(cox_request_authentication_object, o)->spec;
	const struct cox_jwt_rule *j = v->jwt_rules.p;
	assert_int_equal(v->target.refs.n, 1);
	assert_true(cox_str_eq_cstr(j->jwks_uri, "https://i/keys") && cox_str_eq_cstr(j->from_headers.p[0].prefix, "B "));
	assert_true(j->forward_original_token && j->timeout_ns.v == INT64_C(2000000000) && j->output_claim_to_headers.n == 1);
	cox_object_unref(o);
}

static void test_telemetry(void **state)
{
	(void)state;
	const struct cox_object *o =
	    good("Telemetry",
	         "{tracing: [{randomSamplingPercentage: 12.5, customTags: {a: {header: {name: h, defaultValue: d}}}}], "
	         "metrics: [{overrides: [{match: {metric: REQUEST_SIZE, mode: CLIENT}, disabled: true, tagOverrides: "
	         "{t: {value: \"'v'\"}}}], reportingInterval: 10s}], accessLogging: [{filter: {expression: "
	         "response.code >= 400}, disabled: false}]}",
	         "has no effect");
	const struct cox_telemetry *v = COX_SPEC(cox_telemetry_object, o)->spec;
	assert_true(v->tracing.p[0].random_sampling_percentage.v == 12.5);
	assert_true(cox_str_eq_cstr(v->tracing.p[0].custom_tags.p[0].header->default_value, "d"));
	const struct cox_metric_override *m = v->metrics.p[0].overrides.p;
	assert_true(m->match->metric == COX_METRIC_REQUEST_SIZE && m->match->mode == COX_TELEMETRY_CLIENT && m->disabled.v);
	assert_true(m->tag_overrides.p[0].operation == COX_TAG_UPSERT && v->access_logging.p[0].disabled.set);
	cox_object_unref(o);
}

static void test_extensions(void **state)
{
	(void)state;
	const struct cox_object *o =
	    good("WasmPlugin",
	         "{url: \"oci://r/i:v1\", phase: AUTHZ, priority: -7, failStrategy: FAIL_OPEN, pluginConfig: {a: [1]}, "
	         "match: [{mode: SERVER, ports: [{number: 80}]}], vmConfig: {env: [{name: A, valueFrom: HOST}]}}",
	         "has no effect");
	const struct cox_wasm_plugin *w = COX_SPEC(cox_wasm_plugin_object, o)->spec;
	assert_true(w->phase == COX_PHASE_AUTHZ && w->priority.v == -7 && w->wasm.fail_strategy == COX_WASM_FAIL_OPEN);
	assert_true(cox_str_eq_cstr(w->wasm.plugin_config, "{\"a\":[1]}") && w->match.p[0].ports.p[0].number.v == 80);
	assert_int_equal(w->wasm.vm_config->env.p[0].value_from, COX_WASM_VALUE_HOST);
	cox_object_unref(o);
	o = good("TrafficExtension", "{lua: {inlineCode: x}, phase: STATS}", "has no effect");
	const struct cox_traffic_extension *t = COX_SPEC(cox_traffic_extension_object, o)->spec;
	assert_true(!t->wasm && cox_str_eq_cstr(t->lua->inline_code, "x") && t->phase == COX_PHASE_STATS);
	cox_object_unref(o);
}

static void test_faults_are_named(void **state)
{
	static const struct {
		const char *kind, *spec, *path, *says;
	} rows[] = {
		{ "AuthorizationPolicy", "{rules: [{from: [{source: {ipBlocks: [10.0.0.0/8, x]}}]}]}",
		  "spec.rules[0].from[0].source.ipBlocks[1]", "CIDR" },
		{ "AuthorizationPolicy", "{rules: [{from: [{source: {}}]}]}", "spec.rules[0].from[0].source", "must say something" },
		{ "AuthorizationPolicy", "{rules: [{to: [{}]}]}", "spec.rules[0].to[0].operation", "is required" },
		{ "AuthorizationPolicy", "{rules: [{to: [{operation: {paths: [\"/{*}x\"]}}]}]}", "spec.rules[0].to[0].operation.paths[0]",
		  "{*}" },
		{ "AuthorizationPolicy", "{rules: [{when: [{key: \"destination.labels[a]\", values: [b]}]}]}", "spec.rules[0].when[0]",
		  "is the selector now" },
		{ "AuthorizationPolicy", "{rules: [{when: [{key: source.ip, values: [b]}]}]}", "spec.rules[0].when[0]",
		  "values[0]: \"b\"" },
		{ "AuthorizationPolicy", "{action: DENY}", "spec", "rules: [{}]" },
		{ "AuthorizationPolicy", "{action: CUSTOM, rules: [{when: [{key: source.principal, values: [b]}]}], provider: {name: p}}",
		  "spec", "rules[0].when[0].key" },
		{ "RequestAuthentication", "{jwtRules: [{}]}", "spec.jwtRules[0]", "issuer" },
		{ "RequestAuthentication", "{jwtRules: [{issuer: a, jwks: \"{}\"}]}", "spec.jwtRules[0]", "needs kty" },
		{ "RequestAuthentication", "{jwtRules: [{issuer: a, jwksUri: a, jwks_uri: b}]}", "spec.jwtRules[0].jwksUri", "http" },
		{ "Telemetry", "{accessLogging: [{filter: {expression: \"a &&\"}}]}", "spec.accessLogging[0].filter", "at character 5" },
		{ "WasmPlugin", "{}", "spec.url", "is required" },
		{ "WasmPlugin", "{url: a, pluginConfig: 1}", "spec.pluginConfig", "must be an object" },
		{ "WasmPlugin", "{url: a, match: [{ports: [{number: 80}, {number: 80}]}]}", "spec.match[0].ports[1].number",
		  "80 stands twice" },
		{ "TrafficExtension", "{}", "spec", "one of wasm, lua must be set" },
		{ "TrafficExtension", "{lua: {inlineCode: \"\"}}", "spec.lua.inlineCode", "must not be empty" },
	};
	(void)state;
	for (size_t i = 0; i < COX_LEN(rows); i++) {
		const struct cox_object *o = NULL;
		assert_int_equal(build(rows[i].kind, rows[i].spec, &o), COX_EINVAL);
		if (!cox_str_eq_cstr(diags.items[0].path, rows[i].path) ||
		    cox_str_search(diags.items[0].text, cox_str_of(rows[i].says)) < 0)
			fail_msg("%s: %.*s: %.*s", rows[i].spec, COX_FMT(diags.items[0].path), COX_FMT(diags.items[0].text));
	}
}

static void test_cel(void **state)
{
	static const char *const fine[] = { "a",
		                            "a.b[c].d(e, 1u)",
		                            "!(a && -1 < b) || c in [1, 2,]",
		                            "a ? b : c ? d : e",
		                            "{1: 'x', 'y': b'z'}",
		                            "R'\\d' + \"\"\"a\"b\"\"\"",
		                            "a.b.C{d: 1.5e-3, e: 0x1F}",
		                            "[]",
		                            "a // comment",
		                            ".a.b",
		                            "--1",
		                            "in_a" };
	static const struct {
		const char *text;
		size_t at;
	} bad[] = { { "", 0 },      { "a b", 2 }, { "a &", 2 }, { "(a", 2 },  { "'a", 2 },    { "a[1", 3 },   { "1x", 1 },
		    { "a ? b", 5 }, { "a.1", 2 }, { "for", 3 }, { "{a}", 2 }, { "'\\q'", 3 }, { "a = b", 2 }, { "f(a,)", 4 } };
	(void)state;
	size_t at = 0;
	for (size_t i = 0; i < COX_LEN(fine); i++)
		if (cox_model_cel_check(cox_str_of(fine[i]), &at))
			fail_msg("%s: %zu", fine[i], at);
	for (size_t i = 0; i < COX_LEN(bad); i++)
		if (!cox_model_cel_check(cox_str_of(bad[i].text), &at) || at != bad[i].at)
			fail_msg("%s: %zu", bad[i].text, at);
	char deep[1000];
	memset(deep, '(', sizeof(deep));
	assert_string_equal(cox_model_cel_check(cox_str_make(deep, sizeof(deep)), &at), "it is nested too deeply");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_authorization_policy, setup, teardown),
		cmocka_unit_test_setup_teardown(test_request_authentication, setup, teardown),
		cmocka_unit_test_setup_teardown(test_telemetry, setup, teardown),
		cmocka_unit_test_setup_teardown(test_extensions, setup, teardown),
		cmocka_unit_test_setup_teardown(test_faults_are_named, setup, teardown),
		cmocka_unit_test(test_cel),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
