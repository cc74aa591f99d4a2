/*
 * EnvoyFilter as it is read: every field, refusals with their paths while the rest stays in force, versions of proxies.
 * covers: a153 a158 a160 a164 a165 a166
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "codec/yaml.h"
#include "model/envoy_filter.h"
#include "model/version_regex.h"

struct read {
	struct cox_arena arena;
	struct cox_diags diags;
	const struct cox_object *object; /* NULL: not in force */
};

static void on_doc(void *arg, struct cox_json *root, struct cox_str text, const struct cox_err *err)
{
	struct read *r = arg;
	(void)text, (void)err;
	assert_non_null(root);
	enum cox_rc rc = cox_object_build(root, COX_STR("test"), COX_STR("default"), &r->arena, &r->diags, &r->object);
	assert_true(rc == COX_OK || rc == COX_EINVAL);
}

static void read_yaml(struct read *r, const char *patches)
{
	struct cox_buf b = { 0 };
	*r = (struct read){ 0 };
	r->diags.arena = &r->arena;
	cox_buf_printf(&b, "apiVersion: networking.istio.io/v1alpha3\nkind: EnvoyFilter\nmetadata: {name: f}\nspec:\n%s", patches);
	assert_int_equal(cox_yaml_each(&r->arena, cox_buf_str(&b), 1 << 20, on_doc, r, NULL), COX_OK);
	cox_buf_fini(&b);
}

static void read_end(struct read *r)
{
	cox_object_unref(r->object);
	cox_arena_fini(&r->arena);
}

static const struct cox_envoy_filter *spec_of(const struct read *r)
{
	assert_non_null(r->object);
	return COX_SPEC(cox_envoy_filter_object, r->object)->spec;
}

#define ONE(fields) "  configPatches:\n  - {" fields "}\n"

static void test_every_field(void **state)
{
	(void)state;
	struct read r;
	read_yaml(
	    &r,
	    "  priority: -7\n  workloadSelector: {labels: {app: web}}\n  configPatches:\n"
	    "  - applyTo: HTTP_FILTER\n    match:\n      context: SIDECAR_INBOUND\n"
	    "      proxy: {proxyVersion: '^1\\.2.*', metadata: {K: v}}\n"
	    "      listener: {portNumber: 8080, name: virtualInbound, listenerFilter: l, filterChain: {name: c, sni: s, transportProtocol: tls,\n"
	    "        applicationProtocols: 'h2,http/1.1', destinationPort: 80, transportSocket: t, filter: {name: f, subFilter: {name: g}}}}\n"
	    "    patch: {operation: ADD, filterClass: STATS, value: {name: x}}\n"
	    "  - applyTo: HTTP_ROUTE\n    match: {context: GATEWAY, routeConfiguration: {portNumber: 443, portName: https, gateway: a/b, name: r,\n"
	    "      vhost: {name: v, domainName: d, route: {name: n, action: REDIRECT}}}}\n    patch: {operation: REMOVE}\n"
	    "  - applyTo: CLUSTER\n    match: {cluster: {portNumber: 80, service: s.example, subset: v1, name: n}}\n"
	    "    patch: {operation: MERGE_AND_REPLACE_LIST, value: {connectTimeout: 1s}}\n");
	const struct cox_envoy_filter *f = spec_of(&r);
	assert_int_equal(r.diags.n, 0);
	assert_int_equal(f->priority.v, -7);
	assert_int_equal(f->config_patches.n, 3);
	const struct cox_config_patch *p = f->config_patches.p;
	assert_int_equal(p[0].apply_to, COX_APPLY_HTTP_FILTER);
	assert_int_equal(p[0].patch->filter_class, COX_FILTER_CLASS_STATS);
	assert_int_equal(p[0].match->context, COX_PATCH_SIDECAR_INBOUND);
	assert_true(cox_str_eq_cstr(p[0].match->proxy->metadata.p[0].value, "v"));
	const struct cox_patch_chain *c = p[0].match->listener->filter_chain;
	assert_true(cox_str_eq_cstr(c->filter->sub_filter->name, "g") && cox_str_eq_cstr(c->transport_socket, "t"));
	assert_int_equal(c->destination_port.v, 80);
	const struct cox_patch_route_config *rc = p[1].match->route_configuration;
	assert_true(cox_str_eq_cstr(rc->vhost->domain_name, "d") && cox_str_eq_cstr(rc->gateway, "a/b"));
	assert_int_equal(rc->vhost->route->action, COX_ROUTE_REDIRECT);
	assert_int_equal(p[2].patch->operation, COX_OP_MERGE_AND_REPLACE_LIST);
	assert_true(cox_str_eq_cstr(p[2].match->cluster->subset, "v1"));
	read_end(&r);
}

/* What is refused, where, and why: a warning about a patch, and the object in force. */
static void test_refusals(void **state)
{
	(void)state;
	static const struct {
		const char *patch, *path, *text;
	} rows[] = {
		{ ONE("applyTo: CLUSTER, patch: {operation: MERGE, value: {conect_timeout: 1s}}"),
		  "spec.configPatches[0].patch.value.conect_timeout", "unknown field" },
		{ ONE("applyTo: CLUSTER, patch: {operation: MERGE, value: {lb_policy: FASTEST}}"),
		  "spec.configPatches[0].patch.value.lb_policy", "" },
		{ ONE("applyTo: CLUSTER, patch: {operation: MERGE, value: {connect_timeout: soon}}"),
		  "spec.configPatches[0].patch.value.connect_timeout", "duration" },
		{ ONE("applyTo: HTTP_FILTER, patch: {operation: ADD, filterClass: AUTHN, value: {name: x, typed_config: {\"@type\": type.googleapis.com/no.such.Type}}}"),
		  "spec.configPatches[0].patch.value.typed_config", "no.such.Type" },
		{ ONE("applyTo: HTTP_FILTER, patch: {operation: ADD, filterClass: AUTHN, value: {name: x, typed_config: {\"@type\": type.googleapis.com/envoy.config.filter.http.lua.v2.Lua}}}"),
		  "spec.configPatches[0].patch.value.typed_config.@type", "of API v2" },
		{ ONE("applyTo: HTTP_FILTER, patch: {operation: ADD, filterClass: AUTHN, value: {name: x, config: {a: b}}}"),
		  "spec.configPatches[0].patch.value.config", "unknown field" },
		{ ONE("applyTo: CLUSTER, patch: {operation: ADD, value: {connect_timeout: 1s}}"), "spec.configPatches[0]",
		  "patch.value.name is missing" },
		{ ONE("applyTo: CLUSTER, patch: {operation: ADD}"), "spec.configPatches[0]", "patch.value is missing" },
		{ ONE("applyTo: CLUSTER, patch: {operation: REPLACE, value: {name: x}}"), "spec.configPatches[0]",
		  "does nothing for this applyTo" },
		{ ONE("applyTo: ROUTE_CONFIGURATION, patch: {operation: ADD, value: {name: x}}"), "spec.configPatches[0]", "does nothing" },
		{ ONE("applyTo: EXTENSION_CONFIG, patch: {operation: MERGE, value: {name: x}}"), "spec.configPatches[0]", "does nothing" },
		{ ONE("applyTo: BOOTSTRAP, patch: {operation: MERGE, value: {admin: {}}}"), "spec.configPatches[0]",
		  "BOOTSTRAP is not served" },
		{ ONE("applyTo: CLUSTER, match: {context: WAYPOINT}, patch: {operation: REMOVE}"), "spec.configPatches[0]",
		  "no waypoints" },
		{ ONE("patch: {operation: REMOVE}"), "spec.configPatches[0]", "applyTo is missing" },
		{ ONE("applyTo: CLUSTER"), "spec.configPatches[0]", "operation is missing" },
		{ ONE("applyTo: CLUSTER, match: {proxy: {proxyVersion: '(?i)1.2'}}, patch: {operation: REMOVE}"), "spec.configPatches[0]",
		  "proxyVersion" },
	};
	for (size_t i = 0; i < COX_LEN(rows); i++) {
		struct read r;
		bool found = false;
		struct cox_err err;
		read_yaml(&r, rows[i].patch);
		for (size_t k = 0; k < r.diags.n; k++)
			found |= cox_str_eq_cstr(r.diags.items[k].path, rows[i].path) &&
			         cox_str_search(r.diags.items[k].text, cox_str_of(rows[i].text)) >= 0 &&
			         cox_str_search(r.diags.items[k].text, COX_STR("refused")) >= 0;
		if (!found)
			fail_msg("row %zu: %zu findings, first %.*s: %.*s", i, r.diags.n,
			         COX_FMT(r.diags.n ? r.diags.items[0].path : COX_STR("")),
			         COX_FMT(r.diags.n ? r.diags.items[0].text : COX_STR("")));
		assert_int_equal(r.diags.errors, 0);
		assert_non_null(cox_patch_refusal(&spec_of(&r)->config_patches.p[0], &r.arena, NULL, &err));
		read_end(&r);
	}
}

/* What is accepted, but will not do what its writer means. */
static void test_warnings(void **state)
{
	(void)state;
	static const struct {
		const char *patch, *text;
	} rows[] = {
		{ ONE("applyTo: HTTP_ROUTE, match: {listener: {portNumber: 80}}, patch: {operation: REMOVE}"),
		  "match.listener does not count" },
		{ ONE("applyTo: CLUSTER, match: {routeConfiguration: {name: x}}, patch: {operation: REMOVE}"),
		  "match.routeConfiguration does not count" },
		{ ONE("applyTo: LISTENER, match: {cluster: {name: x}}, patch: {operation: REMOVE}"), "match.cluster does not count" },
		{ ONE("applyTo: HTTP_FILTER, patch: {operation: REMOVE}"), "needs match.listener.filterChain.filter.subFilter" },
		{ ONE("applyTo: NETWORK_FILTER, patch: {operation: REPLACE, value: {name: x}}"),
		  "needs match.listener.filterChain.filter" },
		{ ONE("applyTo: LISTENER_FILTER, patch: {operation: REMOVE}"), "needs match.listener.listenerFilter" },
		{ ONE("applyTo: HTTP_FILTER, patch: {operation: ADD, value: {name: x}}"), "behind the router" },
		{ ONE("applyTo: CLUSTER, patch: {operation: REMOVE, filterClass: AUTHZ}"), "filterClass counts for" },
		{ ONE("applyTo: NETWORK_FILTER, match: {listener: {filterChain: {filter: {name: envoy.tcp_proxy}}}}, patch: {operation: REMOVE}"),
		  "taken as \"envoy.filters.network.tcp_proxy\"" },
		{ ONE("applyTo: LISTENER, match: {listener: {portName: http}}, patch: {operation: REMOVE}"), "no effect" },
		{ "  targetRefs: [{kind: Service, name: x}]\n" ONE("applyTo: CLUSTER, patch: {operation: REMOVE}"), "selects no proxy" },
		{ "  priority: 1\n", "without a patch" },
	};
	for (size_t i = 0; i < COX_LEN(rows); i++) {
		struct read r;
		bool found = false;
		read_yaml(&r, rows[i].patch);
		for (size_t k = 0; k < r.diags.n; k++)
			found |= cox_str_search(r.diags.items[k].text, cox_str_of(rows[i].text)) >= 0;
		if (!found || r.diags.errors)
			fail_msg("row %zu: %zu findings, first %.*s", i, r.diags.n,
			         COX_FMT(r.diags.n ? r.diags.items[0].text : COX_STR("")));
		read_end(&r);
	}
}

/* What keeps the object out of force. */
static void test_errors(void **state)
{
	(void)state;
	static const char *const rows[] = {
		ONE("applyTo: NOTHING, patch: {operation: REMOVE}"),
		ONE("applyTo: CLUSTER, patch: {operation: DESTROY}"),
		ONE("applyTo: CLUSTER, match: {listener: {}, cluster: {}}, patch: {operation: REMOVE}"),
		ONE("applyTo: CLUSTER, match: {proxy: {proxyVersion: '('}}, patch: {operation: REMOVE}"),
		ONE("applyTo: LISTENER, match: {listener: {portNumber: 70000}}, patch: {operation: REMOVE}"),
		"  workloadSelector: {labels: {app: 'web*'}}\n" ONE("applyTo: CLUSTER, patch: {operation: REMOVE}"),
		"  workloadSelector: {labels: {a: b}}\n  targetRefs: [{kind: Gateway, name: x}]\n" ONE(
		    "applyTo: CLUSTER, patch: {operation: REMOVE}"),
	};
	for (size_t i = 0; i < COX_LEN(rows); i++) {
		struct read r;
		read_yaml(&r, rows[i]);
		if (r.object || !r.diags.errors)
			fail_msg("row %zu is taken", i);
		read_end(&r);
	}
}

static void test_versions(void **state)
{
	(void)state;
	static const struct {
		const char *pattern, *version;
		int want; /* -1: not understood */
	} rows[] = {
		{ "^1\\.27.*", "1.27.3", 1 },
		{ "^1\\.2.*", "1.30.0", 0 },
		{ "1.27", "1.27.0-alpha", 1 },
		{ "^1\\.(?:26|27)\\.", "1.26.1", 1 },
		{ "^1\\.\\d{2}\\.\\d+$", "1.27.3", 1 },
		{ "^\\d+\\.\\d+?\\.0$", "1.27.0", 1 },
		{ "[^0-9.]", "1.27.0", 0 },
		{ "^[\\d.]+$", "1.27.0", 1 },
		{ "", "1.27.0", 1 },
		{ "^1.27", "", 0 },
		{ "(?i)x", "x", -1 },
		{ "(a{50}){50}", "a", -1 },
		{ "a{1000}", "a", -1 },
		{ "[a", "a", -1 },
		{ "\\pL", "a", -1 },
		{ "(?P<x>a)", "a", -1 },
		{ "\\", "a", -1 },
		{ "[]a]", "]", 1 },
	};
	for (size_t i = 0; i < COX_LEN(rows); i++) {
		struct cox_version_regex *r = NULL;
		int got = cox_version_regex_new(cox_str_of(rows[i].pattern), &r) != COX_OK
		              ? -1
		              : cox_version_regex_matches(r, cox_str_of(rows[i].version));
		if (got != rows[i].want)
			fail_msg("\"%s\" on \"%s\": %d", rows[i].pattern, rows[i].version, got);
		cox_version_regex_free(r);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_field), cmocka_unit_test(test_refusals), cmocka_unit_test(test_warnings),
		cmocka_unit_test(test_errors),      cmocka_unit_test(test_versions),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
