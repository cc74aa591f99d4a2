/* The documents of a registration: names, what wins over what, who may, and patches.
 * covers: a142 a141 b48 b49 */
#include "enroll/enroll_priv.h"
#include "model/document.h"

static struct cox_json *parse(const char *yaml) { return document(cox_str_of(yaml)); }

static const struct cox_object *group(const char *spec)
{
	const struct cox_object *o = NULL;
	struct cox_diags diags = { .arena = &arena };
	struct cox_str yaml = cox_arena_printf(&arena,
	                                       "apiVersion: networking.istio.io/v1\nkind: WorkloadGroup\n"
	                                       "metadata: {name: vms, namespace: shop, uid: u-1}\nspec: %s\n",
	                                       spec);
	assert_int_equal(cox_object_build(parse(yaml.p), COX_STR("t"), (struct cox_str){ 0 }, &arena, &diags, &o), COX_OK);
	return o;
}

static struct cox_proxy *proxy(const char *ip, const char *more, const char *locality)
{
	struct cox_proxy *p = NULL;
	struct cox_err err = { 0 };
	struct cox_str yaml = cox_arena_printf(&arena, "{id: 'sidecar~%s~vm.shop~shop.svc.cluster.local', metadata: {%s}, locality: {%s}}",
	                                       ip, more, locality);
	if (cox_proxy_build(parse(yaml.p), &p, &err) != COX_OK)
		fail_msg("%s", err.text);
	return p;
}

static void assert_text(const struct cox_json *root, const char *path, const char *text)
{
	struct cox_str s = cox_json_str_at(root, path);
	if (!cox_str_eq_cstr(s, text))
		fail_msg("%s is \"%.*s\", not \"%s\"", path, COX_FMT(s), text);
}

static void assert_label(const struct cox_json *root, const char *at, const char *key, const char *text)
{
	const struct cox_json *v = cox_json_get(cox_json_at(root, at), cox_str_of(key));
	assert_non_null(v);
	assert_true(cox_str_eq_cstr(v->text, text));
}

static void test_names(void **state)
{
	(void)state;
	struct cox_proxy *p = proxy("10.0.0.1", "", "");
	assert_true(cox_str_eq_cstr(enroll_entry_name(&arena, p, COX_STR("vms")), "vms-10.0.0.1"));
	cox_proxy_unref(p);
	p = proxy("fd00::1", "NETWORK: lan", "");
	assert_true(cox_str_eq_cstr(enroll_entry_name(&arena, p, COX_STR("vms")), "vms-fd00--1-lan"));
	char name[301];
	memset(name, 'a', 300);
	name[300] = 0;
	struct cox_str cut = enroll_entry_name(&arena, p, cox_str_of(name));
	assert_int_equal(cut.n, 253);
	assert_true(cox_str_has_suffix(cut, COX_STR("a-fd00--1-lan")));
	cox_proxy_unref(p);
}

static const char full[] =
    "{metadata: {labels: {a: group, b: group, c: group}, annotations: {t.istio.io/x: '1'}}, template: {ports: {http: 81}, weight: 4,"
    " labels: {a: template, b: template, d: template}, network: tn, locality: tr/tz, serviceAccount: pay}}";

static void test_what_wins(void **state)
{
	(void)state;
	const struct cox_object *g = group(full);
	struct cox_proxy *p = proxy("10.0.0.1", "NETWORK: pn, LABELS: {a: proxy, istio-locality: x}, PROXY_CONFIG: {readinessProbe: {}}",
	                            "region: r, zone: z");
	struct enroll_stamp stamp = { COX_STR("me"), 1000 };
	struct cox_json *o = enroll_entry_build(&arena, g, p, COX_STR("n"), &stamp);
	static const char *const places[] = { "metadata.labels", "spec.labels" };
	for (size_t i = 0; i < COX_LEN(places); i++) {
		assert_label(o, places[i], "a", "proxy");
		assert_label(o, places[i], "b", "group");
		assert_label(o, places[i], "c", "group");
		assert_label(o, places[i], "d", "template");
		assert_null(cox_json_get(cox_json_at(o, places[i]), COX_STR("istio-locality")));
	}
	assert_label(o, "metadata.annotations", "t.istio.io/x", "1");
	assert_label(o, "metadata.annotations", ENROLL_GROUP, "vms");
	assert_label(o, "metadata.annotations", ENROLL_CONTROLLER, "me");
	assert_label(o, "metadata.annotations", ENROLL_CONNECTED, "1970-01-01T00:00:01.000Z");
	assert_label(o, "metadata.annotations", ENROLL_HEALTH, "true");
	const struct cox_json *owner = &cox_json_at(o, "metadata.ownerReferences")->items[0];
	assert_text(owner, "kind", "WorkloadGroup");
	assert_text(owner, "uid", "u-1");
	assert_text(o, "metadata.namespace", "shop");
	assert_text(o, "spec.address", "10.0.0.1");
	assert_text(o, "spec.network", "pn");
	assert_text(o, "spec.locality", "r/z");
	assert_text(o, "spec.serviceAccount", "pay");
	int64_t n;
	assert_true(cox_json_to_i64(cox_json_at(o, "spec.weight"), &n) == COX_OK && n == 4);
	assert_true(cox_json_to_i64(cox_json_at(o, "spec.ports.http"), &n) == COX_OK && n == 81);
	cox_proxy_unref(p);
	p = proxy("10.0.0.1", "", ""); /* nothing of its own: the template counts */
	o = enroll_entry_build(&arena, g, p, COX_STR("n"), &stamp);
	assert_text(o, "spec.network", "tn");
	assert_text(o, "spec.locality", "tr/tz");
	assert_null(cox_json_get(cox_json_at(o, "metadata.annotations"), COX_STR(ENROLL_HEALTH)));
	cox_proxy_unref(p);
	cox_object_unref(g);
}

static void test_who_may(void **state)
{
	struct cox_err err = { 0 };
	struct cox_xds_visitor who = { .is_verified = true, .ns = COX_STR("shop"), .service_account = COX_STR("pay") };
	(void)state;
	assert_int_equal(enroll_identity_check(&who, COX_STR("shop"), COX_STR("pay"), &err), COX_OK);
	assert_int_equal(enroll_identity_check(&who, COX_STR("shop"), COX_STR(""), &err), COX_OK);
	assert_int_equal(enroll_identity_check(&who, COX_STR("shop"), COX_STR("web"), &err), COX_EDENIED);
	assert_non_null(strstr(err.text, "service account is pay, not web"));
	assert_int_equal(enroll_identity_check(&who, COX_STR("other"), COX_STR("pay"), &err), COX_EDENIED);
	who.is_verified = false;
	assert_int_equal(enroll_identity_check(&who, COX_STR("shop"), COX_STR(""), &err), COX_EDENIED);
}

static void test_over(void **state)
{
	(void)state;
	struct cox_str t1 = COX_STR("1970-01-01T00:00:01Z"), none = { 0 };
	assert_false(enroll_is_over(none, t1, 10999, 10000, 0));
	assert_true(enroll_is_over(none, t1, 11000, 10000, 0));
	assert_false(enroll_is_over(t1, none, 1000000, 10000, 0)); /* streams live for ever */
	assert_false(enroll_is_over(t1, none, 5999, 10000, 5000));
	assert_true(enroll_is_over(t1, none, 6000, 10000, 5000));
	assert_false(enroll_is_over(none, none, 1000000, 1, 1)); /* not ours */
}

static void test_patches(void **state)
{
	(void)state;
	struct cox_json *was = parse("{metadata: {resourceVersion: '7'}, status: {conditions: [{type: Accepted, status: 'True'},"
	                             " {type: Healthy, status: 'False', message: m, lastTransitionTime: T0}]}}");
	struct cox_json *p = enroll_connect_patch(&arena, was, &(struct enroll_stamp){ COX_STR("me"), 1000 });
	assert_text(p, "metadata.resourceVersion", "7");
	assert_int_equal(cox_json_get(cox_json_at(p, "metadata.annotations"), COX_STR(ENROLL_DISCONNECTED))->type, COX_JSON_NULL);
	p = enroll_disconnect_patch(&arena, was, 2000);
	assert_label(p, "metadata.annotations", ENROLL_DISCONNECTED, "1970-01-01T00:00:02.000Z");
	assert_int_equal(cox_json_get(cox_json_at(p, "metadata.annotations"), COX_STR(ENROLL_CONNECTED))->type, COX_JSON_NULL);

	assert_null(enroll_health_patch(&arena, was, COX_REPORTED_UNHEALTHY, COX_STR("m"), 1000)); /* said already */
	p = enroll_health_patch(&arena, was, COX_REPORTED_UNHEALTHY, COX_STR("other"), 1000);
	const struct cox_json *list = cox_json_at(p, "status.conditions");
	assert_int_equal(list->n, 2);
	assert_text(&list->items[0], "type", "Accepted");
	assert_text(&list->items[1], "message", "other");
	assert_text(&list->items[1], "lastTransitionTime", "T0");
	p = enroll_health_patch(&arena, was, COX_REPORTED_HEALTHY, COX_STR(""), 1000);
	list = cox_json_at(p, "status.conditions");
	assert_text(&list->items[1], "status", "True");
	assert_text(&list->items[1], "lastTransitionTime", "1970-01-01T00:00:01.000Z");
	p = enroll_health_patch(&arena, was, COX_REPORTED_NONE, COX_STR(""), 1000);
	assert_int_equal(cox_json_at(p, "status.conditions")->n, 1);
	assert_null(enroll_health_patch(&arena, parse("{metadata: {}}"), COX_REPORTED_NONE, COX_STR(""), 1000));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
int main(void)
{
	const struct CMUnitTest tests[] = { TEST(test_names), TEST(test_what_wins), TEST(test_who_may), TEST(test_over),
		                            TEST(test_patches) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
