/* What is revoked, on connections that are open: filters in front of HTTP chains with mTLS, and the list. covers: c39 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "mesh_fixture.h"

#include "envoy/transcode.h"
#include "translate/guard.h"

static const char objects[] = "apiVersion: v1\n"
                              "kind: Service\n"
                              "metadata: {name: web, namespace: shop}\n"
                              "spec:\n"
                              "  clusterIP: 10.1.0.1\n"
                              "  selector: {app: web}\n"
                              "  ports: [{name: http, port: 80, targetPort: 8080}, {name: tcp, port: 90, targetPort: 9090}]\n"
                              "---\n"
                              "apiVersion: v1\n"
                              "kind: Pod\n"
                              "metadata: {name: web-0, namespace: shop, labels: {app: web}}\n"
                              "status: {podIP: 10.0.0.1, podIPs: [{ip: 10.0.0.1}]}\n";
static const char node[] = "{\"id\": \"sidecar~10.0.0.1~web-0.shop~shop.svc.cluster.local\", \"metadata\": {\"NAMESPACE\": \"shop\","
                           " \"LABELS\": {\"app\": \"web\"}}}";

static struct cox_str text_of(struct cox_arena *a, const struct cox_resource *r)
{
	struct cox_buf flat = { 0 }, text = { 0 };
	struct cox_json *tree;
	struct cox_err err = { 0 };
	cox_resource_flatten(r, &flat);
	assert_int_equal(cox_envoy_any_to_json(cox_type_url(r->type), cox_arena_str(a, cox_buf_str(&flat)), 0, a, &tree, &err), COX_OK);
	cox_json_write(&text, tree, 0, false);
	struct cox_str out = cox_arena_str(a, cox_buf_str(&text));
	cox_buf_fini(&flat);
	cox_buf_fini(&text);
	return out;
}

static size_t count(struct cox_str text, const char *what)
{
	size_t n = 0;
	for (struct cox_str w = cox_str_of(what); text.n >= w.n && w.n; text.p++, text.n--)
		n += memcmp(text.p, w.p, w.n) == 0;
	return n;
}

/* The inbound listener, as it is with this guard. */
static struct cox_str inbound(struct mesh *m, const struct cox_proxy *p, struct cox_guard guard)
{
	struct cox_rendered out;
	struct cox_memo *memo = cox_memo_new();
	cox_registry_set_guard(m->registry, guard);
	mesh_put(m, objects);
	cox_translate_proxy(m->s, p, memo, &out);
	const struct cox_resource *r = cox_set_find(out.sets[COX_TYPE_LDS], COX_STR("virtualInbound"));
	assert_non_null(r);
	struct cox_str text = text_of(&m->arena, r);
	cox_rendered_fini(&out);
	cox_memo_free(memo);
	return text;
}

static void test_listener(void **state)
{
	(void)state;
	struct mesh m = mesh_new();
	struct cox_proxy *p = mesh_proxy(&m, node);
	struct cox_str off = inbound(&m, p, (struct cox_guard){ 0 });
	struct cox_hash plain = m.s->mesh_hash;
	assert_int_equal(count(off, "coxswain."), 0);

	struct cox_str on = inbound(&m, p, (struct cox_guard){ .is_on = true });
	assert_false(cox_hash_eq(plain, m.s->mesh_hash));
	/* One chain of each port that ends mTLS and speaks HTTP: the service's, and the catch-all. */
	assert_int_equal(count(on, "\"config_discovery\""), count(on, "\"coxswain.revoked\""));
	assert_int_equal(count(on, "\"coxswain.revoked\""), 2);
	assert_int_equal(count(on, "%DOWNSTREAM_PEER_SERIAL%"), 2);
	assert_int_equal(count(on, "\"list\""), 0);

	struct cox_str drained = inbound(&m, p, (struct cox_guard){ .is_on = true, .tcp = 0x1234 });
	assert_int_equal(count(drained, "\"list\":\"0000000000001234\""), 2);

	assert_true(cox_str_eq(off, inbound(&m, p, (struct cox_guard){ 0 })));
	assert_true(cox_hash_eq(plain, m.s->mesh_hash));
	cox_proxy_unref(p);
	mesh_free(&m);
}

static void test_list(void **state)
{
	(void)state;
	struct cox_arena a = { 0 };
	static const struct cox_str serials[] = { COX_STR_INIT("abc"), COX_STR_INIT("12ab") };
	struct cox_set *set = cox_guard_set_build(serials, 2), *none = cox_guard_set_build(NULL, 0);
	struct cox_str text = text_of(&a, cox_set_find(set, COX_STR("coxswain.revoked")));
	assert_int_equal(count(text, "\"exact\":\"0abc\""), 1); /* Envoy prints whole bytes */
	assert_int_equal(count(text, "\"exact\":\"12ab\""), 1);
	assert_int_equal(count(text, "\"DENY\""), 1);
	assert_int_equal(count(text_of(&a, none->items[0]), "\"rules\""), 0); /* without a rule nothing is denied */
	cox_set_unref(set);
	cox_set_unref(none);
	cox_arena_fini(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_listener), cmocka_unit_test(test_list) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
