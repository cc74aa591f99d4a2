/* covers: a119 a120 c34: who gets which secrets, what is watched for them, changes, and objects that go. */
#include "push/push.h"

#include "registry/yaml_objects.h"

#include "../tls_secrets.h"
#include "translate/secret.h"

#include <string.h>

#define GATEWAY                                                                                                                                                              \
	"---\napiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: gw, namespace: edge}\nspec:\n  selector: {istio: ingress}\n  servers:\n"                   \
	"  - {port: {number: 443, name: a, protocol: HTTPS}, hosts: [a.example.com], tls: {mode: MUTUAL, credentialName: web}}\n"                                            \
	"  - {port: {number: 443, name: b, protocol: HTTPS}, hosts: [b.example.com], tls: {mode: SIMPLE, credentialName: kubernetes-gateway://other/far}}\n"                 \
	"  - {port: {number: 443, name: c, protocol: HTTPS}, hosts: [c.example.com], tls: {mode: MUTUAL, credentialName: web, caCertCredentialName: configmap://edge/ca}}\n" \
	"  - {port: {number: 443, name: d, protocol: HTTPS}, hosts: [d.example.com], tls: {mode: SIMPLE, credentialName: cacerts}}\n"
#define RULE                                                                                                                                   \
	"---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: r, namespace: edge}\nspec:\n  host: x.example.com\n" \
	"  workloadSelector: {matchLabels: {app: side}}\n  trafficPolicy: {tls: {mode: MUTUAL, credentialName: client}}\n"

struct world {
	struct cox_loop *loop;
	struct cox_registry *registry;
	struct cox_push *push;
	struct cox_arena a;
	enum cox_access access;
	struct cox_buf wants; /* "+Secret/edge/web\n" */
	unsigned asked;
};

static void on_want(void *arg, enum cox_kind kind, struct cox_str ns, struct cox_str name, bool is_wanted)
{
	struct world *w = arg;
	cox_buf_printf(&w->wants, "%c%.*s/%.*s/%.*s\n", is_wanted ? '+' : '-', COX_FMT(cox_kind_info(kind)->name), COX_FMT(ns),
	               COX_FMT(name));
}

static enum cox_access on_may_list(void *arg, struct cox_str ns, struct cox_str account)
{
	struct world *w = arg;
	assert_true(ns.n > 0);
	assert_true(account.n > 0);
	w->asked++;
	return w->access;
}

static struct world *world_new(void)
{
	static const struct cox_registry_options defaults;
	struct world *w = COX_NEW(struct world);
	w->loop = cox_loop_new("test");
	w->registry = cox_registry_new(&defaults);
	w->access = COX_ACCESS_ALLOWED;
	w->push = cox_push_new(&(struct cox_push_options){
	    .loop = w->loop, .registry = w->registry, .want = on_want, .may_list_secrets = on_may_list, .arg = w });
	yaml_put(w->registry, GATEWAY RULE);
	cox_push_set_synced(w->push);
	return w;
}

struct client {
	struct world *w;
	struct cox_push_client *c;
	struct cox_proxy *proxy;
	const struct cox_wanted *wanted;
	unsigned deliveries;
};

static void on_deliver(void *arg, const struct cox_wanted *const parts[COX_PUSH_PARTS])
{
	struct client *c = arg;
	cox_wanted_unref(c->wanted);
	c->wanted = cox_wanted_ref(parts[COX_PUSH_WORKLOAD]);
	c->deliveries++;
}

static struct client *client_new(struct world *w, const char *node, struct cox_push_identity id)
{
	struct client *c = COX_NEW(struct client);
	struct cox_json *v;
	struct cox_err err = { 0 };
	c->w = w;
	assert_int_equal(cox_json_parse(&w->a, cox_str_of(node), &v, &err), COX_OK);
	assert_int_equal(cox_proxy_build(v, &c->proxy, &err), COX_OK);
	c->c = cox_push_attach(w->push,
	                       &(struct cox_push_client_spec){
	                           .loop = w->loop, .proxy = c->proxy, .is_delta = true, .identity = id, .deliver = on_deliver, .arg = c });
	return c;
}

static bool has_deliveries(void *arg)
{
	struct client *c = arg;
	return c->deliveries > 0;
}
static void wait_delivery(struct client *c)
{
	assert_true(cox_loop_run_until(c->w->loop, has_deliveries, c, 5000));
	c->deliveries = 0;
}
static bool never(void *arg)
{
	(void)arg;
	return false;
}
static void settle(struct world *w) { (void)!cox_loop_run_until(w->loop, never, NULL, 30); }

static void client_end(struct client *c)
{
	cox_push_detach(c->w->push, &c->c);
	settle(c->w);
	cox_wanted_unref(c->wanted);
	cox_proxy_unref(c->proxy);
	cox_free(c);
}

static void world_end(struct world *w)
{
	cox_push_free(w->push);
	cox_registry_free(w->registry);
	cox_loop_free(&w->loop);
	cox_buf_fini(&w->wants);
	cox_arena_fini(&w->a);
	cox_free(w);
}

static void put(struct world *w, const char *yaml)
{
	yaml_put(w->registry, yaml);
	cox_push_poke(w->push);
}

static const struct cox_resource *sds(const struct client *c, const char *name)
{
	const struct cox_set *s = c->wanted->sets[COX_TYPE_SDS];
	return s ? cox_set_find(s, cox_str_of(name)) : NULL;
}
static size_t sds_n(const struct client *c) { return c->wanted->sets[COX_TYPE_SDS] ? c->wanted->sets[COX_TYPE_SDS]->n : 0; }

static bool contains(const struct cox_resource *r, struct cox_str part)
{
	struct cox_buf flat = { 0 };
	cox_resource_flatten(r, &flat);
	bool found = cox_str_search(cox_buf_str(&flat), part) >= 0;
	cox_buf_fini(&flat);
	return found;
}

#define ROUTER \
	"{\"id\": \"router~10.0.0.1~gw-0.edge~edge.svc.cluster.local\", \"metadata\": {\"NAMESPACE\": \"edge\", \"SERVICE_ACCOUNT\": \"gw\", \"LABELS\": {\"istio\": \"ingress\"}}}"
#define SIDECAR \
	"{\"id\": \"sidecar~10.0.0.2~side-0.edge~edge.svc.cluster.local\", \"metadata\": {\"NAMESPACE\": \"edge\", \"SERVICE_ACCOUNT\": \"side\", \"LABELS\": {\"app\": \"side\"}}}"
#define VERIFIED(sa) \
	(struct cox_push_identity) { true, COX_STR("edge"), COX_STR(sa) }

static const char *all_secrets(struct world *w, const struct test_pair *p)
{
	return cox_arena_printf(
	           &w->a,
	           "%s%s%s%s---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: ca, namespace: edge}\ndata:\n  ca.crt: \"%s\"\n%c",
	           tls_secret_yaml(&w->a, "web", "edge", p), tls_secret_yaml(&w->a, "far", "other", p),
	           tls_secret_yaml(&w->a, "cacerts", "edge", p),
	           secret_yaml(&w->a, "web-cacert", "edge", "ca.crt", p->cert, "x", COX_STR("y")), "", 0)
	    .p;
}

/* Nobody who has not proved who he is gets any secret, nor makes us watch one. */
static void test_unverified(void **state)
{
	(void)state;
	struct world *w = world_new();
	struct test_pair p = certs_make(&w->a, "p", -60, 90 * 86400);
	put(w, all_secrets(w, &p));
	struct client *c = client_new(w, ROUTER, (struct cox_push_identity){ 0 });
	wait_delivery(c);
	assert_int_equal(sds_n(c), 0);
	assert_int_equal(c->wanted->sets[COX_TYPE_LDS]->n, 0); /* nor a listener that would wait for one */
	assert_int_equal(w->wants.n, 0);
	assert_int_equal(w->asked, 0);
	/* Nor one of another namespace, whatever the node says. */
	struct client *other = client_new(w, ROUTER, (struct cox_push_identity){ true, COX_STR("else"), COX_STR("gw") });
	struct cox_arena a = { 0 };
	struct cox_buf text = { 0 };
	wait_delivery(other);
	assert_int_equal(sds_n(other), 0);
	assert_null(strstr(cox_buf_cstr(&w->wants), "/edge/"));
	cox_json_write(&text, cox_push_dump_secrets(w->push, &a), 0, false);
	assert_non_null(strstr(cox_buf_cstr(&text), "the proxy is not authenticated"));
	assert_non_null(strstr(cox_buf_cstr(&text), "it is in another namespace than the proxy"));
	assert_null(strstr(cox_buf_cstr(&text), "PRIVATE"));
	cox_buf_fini(&text);
	cox_arena_fini(&a);
	client_end(other);
	client_end(c);
	world_end(w);
}

static void test_router(void **state)
{
	(void)state;
	struct world *w = world_new();
	struct test_pair p = certs_make(&w->a, "p", -60, 90 * 86400), q = certs_make(&w->a, "q", -60, 90 * 86400);
	struct client *c = client_new(w, ROUTER, VERIFIED("gw"));
	wait_delivery(c);
	/* Wanted as soon as it is named: the Secret, and its -cacert by both of its names; nothing far away, nothing of the CA. */
	assert_int_equal(sds_n(c), 0);
	const char *wants = cox_buf_cstr(&w->wants);
	assert_non_null(strstr(wants, "+Secret/edge/web\n"));
	assert_non_null(strstr(wants, "+Secret/edge/web-cacert\n"));
	assert_non_null(strstr(wants, "+ConfigMap/edge/ca"));
	assert_null(strstr(wants, "far"));
	assert_null(strstr(wants, "cacerts"));
	put(w, all_secrets(w, &p));
	wait_delivery(c);
	assert_true(contains(sds(c, "kubernetes://web"), p.key));
	assert_true(contains(sds(c, "kubernetes://web-cacert"), p.cert));
	assert_false(contains(sds(c, "kubernetes://web-cacert"), p.key));
	assert_null(sds(c, "kubernetes-gateway://other/far"));
	assert_null(sds(c, "kubernetes://cacerts"));
	/* Live change: one new version, the rest the same. */
	const struct cox_resource *ca = sds(c, "kubernetes://web-cacert");
	put(w, tls_secret_yaml(&w->a, "web", "edge", &q));
	wait_delivery(c);
	assert_true(contains(sds(c, "kubernetes://web"), q.key));
	assert_ptr_equal(sds(c, "kubernetes://web-cacert"), ca);
	/* A broken one changes nothing. */
	struct test_pair mixed = { p.cert, q.key };
	put(w, tls_secret_yaml(&w->a, "web", "edge", &mixed));
	settle(w);
	assert_int_equal(c->deliveries, 0);
	/* Deleted while in use: served on; the dump says so. */
	cox_registry_remove(w->registry, COX_KIND_SECRET, COX_STR("edge"), COX_STR("web"));
	cox_push_poke(w->push);
	settle(w);
	assert_true(contains(sds(c, "kubernetes://web"), q.key));
	/* Unneeded: goes, and is wanted for a while yet. */
	cox_registry_remove(w->registry, COX_KIND_GATEWAY, COX_STR("edge"), COX_STR("gw"));
	cox_push_poke(w->push);
	wait_delivery(c);
	assert_int_equal(sds_n(c), 0);
	assert_null(strstr(cox_buf_cstr(&w->wants), "-Secret"));
	client_end(c);
	world_end(w);
}

/* What the account may do decides about keys, not about authorities; and can change. */
static void test_access(void **state)
{
	(void)state;
	struct world *w = world_new();
	struct test_pair p = certs_make(&w->a, "p", -60, 90 * 86400);
	w->access = COX_ACCESS_ASKING;
	put(w, all_secrets(w, &p));
	struct client *c = client_new(w, ROUTER, VERIFIED("gw"));
	wait_delivery(c);
	assert_null(sds(c, "kubernetes://web"));
	assert_non_null(sds(c, "kubernetes://web-cacert"));
	w->access = COX_ACCESS_ALLOWED;
	cox_push_access_changed(w->push);
	wait_delivery(c);
	assert_non_null(sds(c, "kubernetes://web"));
	/* Not known for a moment (the cache forgot): nothing is taken away. */
	w->access = COX_ACCESS_ASKING;
	cox_push_access_changed(w->push);
	settle(w);
	assert_non_null(sds(c, "kubernetes://web"));
	w->access = COX_ACCESS_DENIED;
	cox_push_access_changed(w->push);
	wait_delivery(c);
	assert_null(sds(c, "kubernetes://web"));
	assert_non_null(sds(c, "kubernetes://web-cacert"));
	client_end(c);
	world_end(w);
}

/* A sidecar gets what a rule for it names. */
static void test_sidecar(void **state)
{
	(void)state;
	struct world *w = world_new();
	struct test_pair p = certs_make(&w->a, "p", -60, 90 * 86400);
	struct client *c = client_new(w, SIDECAR, VERIFIED("side"));
	wait_delivery(c);
	put(w, tls_secret_yaml(&w->a, "client", "edge", &p));
	wait_delivery(c);
	assert_non_null(sds(c, "kubernetes://client"));
	assert_null(sds(c, "kubernetes://client-cacert")); /* the Secret has no authority */
	put(w, tls_secret_yaml(&w->a, "unrelated", "edge", &p));
	settle(w);
	assert_int_equal(c->deliveries, 0);
	client_end(c);
	world_end(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_unverified), cmocka_unit_test(test_router), cmocka_unit_test(test_access),
		                            cmocka_unit_test(test_sidecar) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
