/* Outbound listeners and routes: who shares what, what a change touches, what two chains may not both match. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "translate/listener.h"
#include "translate/mesh_fixture.h"
#include "translate/route.h"

#define MESH_YAML                                                                                     \
	"apiVersion: v1\nkind: Service\nmetadata: {name: shop, namespace: default}\n"                 \
	"spec: {clusterIP: 10.1.0.1, clusterIPs: [10.1.0.1], ports: [{name: http, port: 80}]}\n---\n" \
	"apiVersion: v1\nkind: Service\nmetadata: {name: cart, namespace: default}\n"                 \
	"spec: {clusterIP: 10.1.0.2, clusterIPs: [10.1.0.2], ports: [{name: http, port: 80}, {name: tcp, port: 9000}]}\n"
#define ROUTE_YAML(weight)                                                                                       \
	"apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: shop, namespace: default}\n" \
	"spec:\n  hosts: [shop]\n  http:\n  - route:\n    - {destination: {host: shop}, weight: " weight "}\n"   \
	"    - {destination: {host: cart}, weight: 50}\n"
#define NODE(ip, pod, extra)                                                                                                 \
	"{\"id\": \"sidecar~" ip "~" pod ".default~default.svc.cluster.local\", \"metadata\": {\"NAMESPACE\": \"default\", " \
	"\"LABELS\": {\"app\": \"" pod "\"}}" extra "}"
#define STOCK ", \"extensions\": [{\"name\": \"envoy.filters.http.router\"}]"

struct out {
	cox_resources listeners, routes, vhosts;
	struct cox_arena arena;
	uint64_t built;
};

static struct out outbound(struct mesh *m, struct cox_memo *memo, const char *node)
{
	struct out o = { 0 };
	struct cox_proxy *p = mesh_proxy(m, node);
	struct cox_view *v = cox_view_build(p, m->s);
	struct cox_tr t = { .s = m->s, .view = v, .memo = memo, .arena = &o.arena };
	t.scope = cox_scope_build(m->s, v->ns, v->labels.p, v->labels.n, &o.arena);
	cox_memo_begin(memo);
	cox_translate_outbound(&t, &o.listeners, &o.routes, &o.vhosts);
	o.built = t.built;
	cox_view_free(v);
	cox_proxy_unref(p);
	return o;
}

static void list_fini(cox_resources *l)
{
	for (size_t i = 0; i < l->n; i++)
		cox_resource_unref(l->p[i]);
	cox_vec_fini(l);
}

static void out_fini(struct out *o)
{
	list_fini(&o->listeners);
	list_fini(&o->routes);
	list_fini(&o->vhosts);
	cox_arena_fini(&o->arena);
}

static const struct cox_resource *find(const cox_resources *l, const char *name)
{
	for (size_t i = 0; i < l->n; i++)
		if (cox_str_eq_cstr(l->p[i]->name, name))
			return l->p[i];
	return NULL;
}

static void assert_same(const cox_resources *a, const cox_resources *b)
{
	assert_int_equal(a->n, b->n);
	for (size_t i = 0; i < a->n; i++)
		assert_ptr_equal(a->p[i], b->p[i]);
}

/* Two workloads of a namespace have the same resources, not equal copies; a second look makes nothing. */
static void test_shared_by_a_namespace(void **state)
{
	(void)state;
	struct mesh m = mesh_new();
	struct cox_memo *memo = cox_memo_new();
	mesh_put(&m, MESH_YAML);
	struct out a = outbound(&m, memo, NODE("10.0.0.1", "a", STOCK)), b = outbound(&m, memo, NODE("10.0.0.2", "b", STOCK));
	assert_int_not_equal(a.built, 0);
	assert_int_equal(b.built, 0);
	assert_same(&a.listeners, &b.listeners);
	assert_same(&a.routes, &b.routes);
	assert_same(&a.vhosts, &b.vhosts);
	out_fini(&a);
	out_fini(&b);
	cox_memo_free(memo);
	mesh_free(&m);
}

/* A VirtualHost of its own has the bytes that stand in the route configuration of a proxy without VHDS, and behind them its resource's
 * name. */
static void test_vhds_has_the_same_bytes(void **state)
{
	(void)state;
	struct mesh m = mesh_new();
	struct cox_memo *memo = cox_memo_new();
	COX_AUTO(cox_buf_fini) struct cox_buf whole = { 0 };
	mesh_put(&m, MESH_YAML "---\n" ROUTE_YAML("50"));
	struct out with = outbound(&m, memo, NODE("10.0.0.1", "a", STOCK)), without = outbound(&m, memo, NODE("10.0.0.2", "b", ""));
	assert_int_equal(without.vhosts.n, 0);
	assert_int_equal(with.vhosts.n, 3);
	const struct cox_resource *route = find(&without.routes, "80");
	assert_non_null(route);
	cox_resource_flatten(route, &whole);
	for (size_t i = 0; i < with.vhosts.n; i++) {
		COX_AUTO(cox_buf_fini) struct cox_buf one = { 0 };
		assert_true(cox_str_has_prefix(with.vhosts.p[i]->name, COX_STR("80/")));
		cox_resource_flatten(with.vhosts.p[i], &one);
		assert_int_equal(one.n, with.vhosts.p[i]->size_bytes);
		const struct cox_piece *shared = &with.vhosts.p[i]->pieces[0];
		assert_true(cox_str_search(cox_buf_str(&whole), cox_str_make(shared->bytes->p + shared->skip, shared->n)) > 0);
		assert_true(cox_str_has_suffix(cox_buf_str(&one), with.vhosts.p[i]->name));
	}
	const struct cox_resource *shop = find(&with.vhosts, "80/shop.default.svc.cluster.local:80");
	assert_non_null(shop);
	assert_true(
	    cox_str_eq_cstr(shop->needs, "outbound|80||shop.default.svc.cluster.local\noutbound|80||cart.default.svc.cluster.local"));
	assert_true(cox_str_eq_cstr(shop->origins, "VirtualService/default/shop"));
	assert_true(find(&with.routes, "80")->size_bytes < route->size_bytes);
	out_fini(&with);
	out_fini(&without);
	cox_memo_free(memo);
	mesh_free(&m);
}

/* A change of one VirtualService makes one virtual host anew and touches no other. */
static void test_a_change_touches_one_virtual_host(void **state)
{
	(void)state;
	struct mesh m = mesh_new();
	struct cox_memo *memo = cox_memo_new();
	mesh_put(&m, MESH_YAML "---\n" ROUTE_YAML("50"));
	struct out a = outbound(&m, memo, NODE("10.0.0.1", "a", STOCK));
	mesh_put(&m, ROUTE_YAML("60"));
	struct out b = outbound(&m, memo, NODE("10.0.0.1", "a", STOCK));
	assert_same(&a.listeners, &b.listeners);
	assert_same(&a.routes, &b.routes);
	assert_int_equal(a.vhosts.n, b.vhosts.n);
	for (size_t i = 0; i < a.vhosts.n; i++) {
		bool is_it = cox_str_eq_cstr(a.vhosts.p[i]->name, "80/shop.default.svc.cluster.local:80");
		assert_int_equal(a.vhosts.p[i] != b.vhosts.p[i], is_it);
	}
	out_fini(&a);
	out_fini(&b);
	cox_memo_free(memo);
	mesh_free(&m);
}

/* covers: a1 - Two rules for one host: the first wins, and no domain stands twice. */
static void test_duplicate_hosts(void **state)
{
	(void)state;
	struct mesh m = mesh_new();
	struct cox_memo *memo = cox_memo_new();
	mesh_put(&m,
	         MESH_YAML "---\n" ROUTE_YAML(
	             "50") "---\n"
	                   "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: zz, namespace: default}\n"
	                   "spec:\n  hosts: [shop, other.example.com]\n  http: [{name: second, route: [{destination: {host: cart}}]}]\n");
	struct out o = outbound(&m, memo, NODE("10.0.0.1", "a", STOCK));
	assert_true(cox_str_eq_cstr(find(&o.vhosts, "80/shop.default.svc.cluster.local:80")->origins, "VirtualService/default/shop"));
	assert_true(cox_str_eq_cstr(find(&o.vhosts, "80/other.example.com:80")->origins, "VirtualService/default/zz"));
	out_fini(&o);
	cox_memo_free(memo);
	mesh_free(&m);
}

/* Nothing of class UPSTREAM's outbound listeners names an Istio extension. */
static void test_upstream_has_no_istio_filters(void **state)
{
	(void)state;
	struct mesh m = mesh_new();
	struct cox_memo *memo = cox_memo_new();
	mesh_put(&m, MESH_YAML);
	struct out o = outbound(&m, memo, NODE("10.0.0.1", "a", STOCK));
	assert_non_null(find(&o.listeners, "0.0.0.0_80"));
	assert_non_null(find(&o.listeners, "10.1.0.2_9000"));
	assert_non_null(find(&o.listeners, "virtualOutbound"));
	for (size_t i = 0; i < o.listeners.n; i++) {
		COX_AUTO(cox_buf_fini) struct cox_buf b = { 0 };
		cox_resource_flatten(o.listeners.p[i], &b);
		assert_true(cox_str_search(cox_buf_str(&b), COX_STR("istio.stats")) < 0);
		assert_true(cox_str_search(cox_buf_str(&b), COX_STR("istio.alpn")) < 0);
		assert_true(cox_str_search(cox_buf_str(&b), COX_STR("istio.metadata_exchange")) < 0);
		assert_true(cox_str_search(cox_buf_str(&b), COX_STR("istio.canonical_service")) < 0);
	}
	assert_true(cox_str_eq_cstr(find(&o.listeners, "0.0.0.0_80")->needs, "rds:80\nPassthroughCluster"));
	out_fini(&o);
	cox_memo_free(memo);
	mesh_free(&m);
}

/* Without interception every listener has a port of its own on loopback, and nothing is captured. */
static void test_without_interception(void **state)
{
	(void)state;
	struct mesh m = mesh_new();
	struct cox_memo *memo = cox_memo_new();
	mesh_put(&m, MESH_YAML);
	struct out o =
	    outbound(&m, memo,
	             "{\"id\": \"sidecar~10.0.0.1~a.default~default.svc.cluster.local\", \"metadata\": {\"NAMESPACE\": \"default\", "
	             "\"INTERCEPTION_MODE\": \"NONE\", \"HTTP_PROXY_PORT\": \"15080\"}}");
	assert_non_null(find(&o.listeners, "127.0.0.1_80"));
	assert_non_null(find(&o.listeners, "127.0.0.1_9000"));
	assert_non_null(find(&o.listeners, "127.0.0.1_15080"));
	assert_non_null(find(&o.routes, "http_proxy"));
	assert_null(find(&o.listeners, "virtualOutbound"));
	assert_null(find(&o.listeners, "0.0.0.0_80"));
	out_fini(&o);
	cox_memo_free(memo);
	mesh_free(&m);
}

/* The table of conflicts on one address: HTTP and TCP share it by sniffing, but not where the server speaks first. */
static void test_protocols_on_one_port(void **state)
{
	(void)state;
	struct mesh m = mesh_new();
	struct cox_memo *memo = cox_memo_new();
	mesh_put(&m, "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: a, namespace: default}\n"
	             "spec: {hosts: [a.example.com], location: MESH_EXTERNAL, resolution: NONE, "
	             "ports: [{number: 8000, name: http, protocol: HTTP}, {number: 3306, name: http-b, protocol: HTTP}]}\n---\n"
	             "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: b, namespace: default}\n"
	             "spec: {hosts: [b.example.com], location: MESH_EXTERNAL, resolution: NONE, "
	             "ports: [{number: 8000, name: tcp, protocol: TCP}, {number: 3306, name: tcp-b, protocol: TCP}]}\n");
	struct out o = outbound(&m, memo, NODE("10.0.0.1", "a", STOCK));
	const struct cox_resource *both = find(&o.listeners, "0.0.0.0_8000"), *first = find(&o.listeners, "0.0.0.0_3306");
	assert_non_null(both);
	assert_true(cox_str_eq_cstr(both->needs, "rds:8000\noutbound|8000||b.example.com"));
	assert_true(cox_str_eq_cstr(both->origins, "ServiceEntry/default/a\nServiceEntry/default/b"));
	assert_non_null(first);
	assert_true(cox_str_eq_cstr(first->needs, "rds:3306\nPassthroughCluster"));
	out_fini(&o);
	cox_memo_free(memo);
	mesh_free(&m);
}

/* --- chains ------------------------------------------------------------------------------------- */

static struct cox_chain chain(const struct cox_str *sni, size_t sni_n, const struct cox_str *cidrs, size_t cidr_n)
{
	return (struct cox_chain){ .sni = sni, .sni_n = sni_n, .cidrs = cidrs, .cidr_n = cidr_n };
}

static void test_chains_never_overlap(void **state)
{
	(void)state;
	struct cox_arena arena = { 0 };
	struct cox_listener_plan p = { 0 };
	const struct cox_str ab[] = { COX_STR("a"), COX_STR("b") }, bc[] = { COX_STR("b"), COX_STR("c") },
	                     net[] = { COX_STR("10.0.0.0/8") };
	assert_true(cox_listener_chain_add(&p, chain(ab, 2, NULL, 0), &arena));
	assert_true(cox_listener_chain_add(&p, chain(bc, 2, NULL, 0), &arena)); /* only c is left */
	assert_int_equal(p.chains.p[1].sni_n, 1);
	assert_true(cox_str_eq_cstr(p.chains.p[1].sni[0], "c"));
	assert_false(cox_listener_chain_add(&p, chain(bc, 2, NULL, 0), &arena));
	assert_true(cox_listener_chain_add(&p, chain(bc, 2, net, 1), &arena)); /* an address of its own */
	assert_true(cox_listener_chain_add(&p, chain(NULL, 0, NULL, 0), &arena));
	assert_false(cox_listener_chain_add(&p, chain(NULL, 0, NULL, 0), &arena)); /* anything, twice */
	assert_ptr_equal(cox_listener_match_all(&p), &p.chains.p[3]);
	cox_vec_fini(&p.chains);
	cox_arena_fini(&arena);
}

static void test_names_stand_once(void **state)
{
	(void)state;
	struct cox_arena arena = { 0 };
	COX_AUTO(cox_names_fini) struct cox_names n = { .arena = &arena };
	cox_names_add(&n, COX_STR("x"));
	cox_names_add_all(&n, COX_STR("y\nx\n\nz"));
	cox_names_add_all(&n, COX_STR(""));
	assert_true(cox_str_eq_cstr(cox_names_text(&n), "x\ny\nz"));
	cox_arena_fini(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_shared_by_a_namespace),
		cmocka_unit_test(test_vhds_has_the_same_bytes),
		cmocka_unit_test(test_a_change_touches_one_virtual_host),
		cmocka_unit_test(test_duplicate_hosts),
		cmocka_unit_test(test_upstream_has_no_istio_filters),
		cmocka_unit_test(test_without_interception),
		cmocka_unit_test(test_protocols_on_one_port),
		cmocka_unit_test(test_chains_never_overlap),
		cmocka_unit_test(test_names_stand_once),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
