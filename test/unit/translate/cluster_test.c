/* covers: a58 a61 a62 a63 a132 b38 - clusters and endpoints: what is shared, what is made anew, the endpoints' own path. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "mesh_fixture.h"
#include "translate/cluster.h"
#include "translate/endpoint.h"

#define NODE(ip, labels) "{\"id\": \"sidecar~" ip "~p.default~default.svc.cluster.local\", \"metadata\": {\"LABELS\": {" labels "}}}"

static const char services[] = "apiVersion: v1\nkind: Service\nmetadata: {name: a, namespace: default}\n"
                               "spec: {clusterIP: 10.1.0.1, clusterIPs: [10.1.0.1], ports: [{name: http, port: 80, targetPort: 8080}, "
                               "{name: udp, port: 53, protocol: UDP}]}\n---\n"
                               "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: a-1, namespace: default, labels: "
                               "{kubernetes.io/service-name: a}}\n"
                               "addressType: IPv4\nendpoints: [{addresses: [172.16.0.1], conditions: {ready: true}}]\nports: [{name: http, "
                               "port: 8080, protocol: TCP}]\n---\n"
                               "apiVersion: v1\nkind: Service\nmetadata: {name: b, namespace: default}\n"
                               "spec: {clusterIP: 10.1.0.2, clusterIPs: [10.1.0.2], ports: [{name: http, port: 80, targetPort: 8080}]}\n";
static const char rule[] = "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: a, namespace: default}\n"
                           "spec: {host: a, subsets: [{name: v1, labels: {version: v1}}]}\n";

struct job {
	struct cox_view *view;
	struct cox_arena arena;
	struct cox_tr t;
};

static void job_open(struct job *j, struct mesh *m, struct cox_memo *memo, const char *node)
{
	struct cox_proxy *p = mesh_proxy(m, node);
	*j = (struct job){ .view = cox_view_build(p, m->s) };
	j->t = (struct cox_tr){ .s = m->s, .view = j->view, .memo = memo, .arena = &j->arena };
	j->t.scope = cox_scope_build(m->s, j->view->ns, j->view->labels.p, j->view->labels.n, &j->arena);
	cox_proxy_unref(p);
}

static void job_close(struct job *j)
{
	cox_view_free(j->view);
	cox_arena_fini(&j->arena);
}

static void resources_free(cox_resources *r)
{
	for (size_t i = 0; i < r->n; i++)
		cox_resource_unref(r->p[i]);
	cox_vec_fini(r);
}

static const struct cox_resource *find(const cox_resources *r, const char *name)
{
	for (size_t i = 0; i < r->n; i++)
		if (cox_str_eq_cstr(r->p[i]->name, name))
			return r->p[i];
	return NULL;
}

static bool contains(const struct cox_resource *r, const char *text)
{
	struct cox_buf flat = { 0 };
	cox_resource_flatten(r, &flat);
	bool found = cox_str_search(cox_buf_str(&flat), cox_str_of(text)) >= 0;
	cox_buf_fini(&flat);
	return found;
}

static void test_equal_views_share(void **state)
{
	(void)state;
	struct mesh m = mesh_new();
	struct cox_memo *memo = cox_memo_new();
	struct job one, two;
	cox_resources a = { 0 }, b = { 0 };

	mesh_put(&m, services);
	cox_memo_begin(memo);
	job_open(&one, &m, memo, NODE("10.0.0.1", "\"app\": \"x\""));
	job_open(&two, &m, memo, NODE("10.0.0.2", "\"app\": \"y\""));
	assert_true(cox_str_eq(one.view->key, two.view->key)); /* no selector looks at `app`, no headless service at the addresses */
	cox_translate_clusters(&one.t, &a);
	assert_int_equal(one.t.built, a.n);
	cox_translate_clusters(&two.t, &b);
	assert_int_equal(two.t.built, 0);
	assert_int_equal(a.n, 4); /* two services, BlackHole, Passthrough; UDP is nobody's */
	for (size_t i = 0; i < a.n; i++)
		assert_ptr_equal(a.p[i], b.p[i]);
	resources_free(&a);
	resources_free(&b);
	job_close(&one);
	job_close(&two);
	cox_memo_free(memo);
	mesh_free(&m);
}

static void test_only_what_changed_is_built(void **state)
{
	(void)state;
	struct mesh m = mesh_new();
	struct cox_memo *memo = cox_memo_new();
	struct job j;
	cox_resources before = { 0 }, after = { 0 };

	mesh_put(&m, services);
	cox_memo_begin(memo);
	job_open(&j, &m, memo, NODE("10.0.0.1", ""));
	cox_translate_clusters(&j.t, &before);
	job_close(&j);
	mesh_put(&m, rule);
	cox_memo_begin(memo);
	job_open(&j, &m, memo, NODE("10.0.0.1", ""));
	cox_translate_clusters(&j.t, &after);
	assert_int_equal(j.t.built, 2); /* a and its subset */
	assert_ptr_equal(find(&before, "outbound|80||b.default.svc.cluster.local"),
	                 find(&after, "outbound|80||b.default.svc.cluster.local"));
	assert_ptr_not_equal(find(&before, "outbound|80||a.default.svc.cluster.local"),
	                     find(&after, "outbound|80||a.default.svc.cluster.local"));
	const struct cox_resource *subset = find(&after, "outbound|80|v1|a.default.svc.cluster.local");
	assert_non_null(subset);
	assert_true(cox_str_search(subset->origins, COX_STR("DestinationRule/default/a")) >= 0);
	resources_free(&before);
	resources_free(&after);
	job_close(&j);
	cox_memo_free(memo);
	mesh_free(&m);
}

static void test_endpoints_take_their_own_path(void **state)
{
	(void)state;
	struct mesh m = mesh_new();
	struct cox_memo *memo = cox_memo_new();
	struct job j;
	cox_resources slow = { 0 }, fast = { 0 };

	mesh_put(&m, services);
	mesh_put(&m, rule);
	cox_memo_begin(memo);
	job_open(&j, &m, memo, NODE("10.0.0.1", ""));
	cox_translate_endpoints(&j.t, &slow);
	assert_int_equal(slow.n, 3);
	assert_true(contains(find(&slow, "outbound|80||a.default.svc.cluster.local"), "172.16.0.1"));
	assert_false(contains(find(&slow, "outbound|80|v1|a.default.svc.cluster.local"), "172.16.0.1")); /* no such label */

	const struct cox_snap_svc *a = cox_snapshot_svc_find(m.s, COX_STR("a.default.svc.cluster.local"), COX_STR("default"));
	struct cox_endpoint newer[2] = { a->endpoints->items.p[0], a->endpoints->items.p[0] };
	newer[1].address = COX_STR("172.16.0.2");
	struct cox_endpoint_set set = *a->endpoints;
	set.items.p = newer;
	set.items.n = 2;
	set.hash.lo ^= 1;
	cox_translate_service_endpoints(&j.t, a, &set, &fast);
	assert_int_equal(fast.n, 2); /* the service's clusters, not the others' */
	assert_true(contains(find(&fast, "outbound|80||a.default.svc.cluster.local"), "172.16.0.2"));
	resources_free(&slow);
	resources_free(&fast);
	job_close(&j);
	cox_memo_free(memo);
	mesh_free(&m);
}

static void test_specs_that_do_not_exist(void **state)
{
	(void)state;
	struct mesh m = mesh_new();
	struct job j;
	struct cox_cluster_spec spec;

	mesh_put(&m, services);
	job_open(&j, &m, NULL, NODE("10.0.0.1", ""));
	const struct cox_snap_svc *a = cox_snapshot_svc_find(m.s, COX_STR("a.default.svc.cluster.local"), COX_STR("default"));
	assert_true(cox_cluster_spec_find(&j.t, a, 80, (struct cox_str){ 0 }, false, &spec));
	assert_false(cox_cluster_spec_find(&j.t, a, 81, (struct cox_str){ 0 }, false, &spec));
	assert_false(cox_cluster_spec_find(&j.t, a, 53, (struct cox_str){ 0 }, false, &spec));
	assert_false(cox_cluster_spec_find(&j.t, a, 80, COX_STR("v9"), false, &spec));
	job_close(&j);
	mesh_free(&m);
}

static void test_names(void **state)
{
	(void)state;
	uint16_t port;
	struct cox_str subset, host;
	assert_true(cox_cluster_name_parse(COX_STR("outbound|80|v1|a.b"), &port, &subset, &host));
	assert_int_equal(port, 80);
	assert_true(cox_str_eq(subset, COX_STR("v1")) && cox_str_eq(host, COX_STR("a.b")));
	assert_false(cox_cluster_name_parse(COX_STR("inbound|80||"), &port, &subset, &host));
	assert_false(cox_cluster_name_parse(COX_STR("outbound|80000||a"), &port, &subset, &host));
	assert_false(cox_cluster_name_parse(COX_STR("outbound|80|a"), &port, &subset, &host));
	assert_false(cox_cluster_name_parse((struct cox_str){ 0 }, &port, &subset, &host));
}

static void test_view_keys(void **state)
{
	(void)state;
	struct mesh m = mesh_new();
	mesh_put(&m, services);
	mesh_put(&m, "apiVersion: networking.istio.io/v1\nkind: Sidecar\nmetadata: {name: s, namespace: default}\n"
	             "spec: {workloadSelector: {labels: {app: x}}, egress: [{hosts: ['./*']}]}\n");
	struct cox_proxy *x = mesh_proxy(&m, NODE("10.0.0.1", "\"app\": \"x\", \"pod\": \"1\"")),
	                 *y = mesh_proxy(&m, NODE("10.0.0.2", "\"app\": \"y\""));
	struct cox_proxy *x2 = mesh_proxy(&m, NODE("10.0.0.3", "\"app\": \"x\", \"pod\": \"2\""));
	struct cox_view *vx = cox_view_build(x, m.s), *vy = cox_view_build(y, m.s), *vx2 = cox_view_build(x2, m.s);
	struct cox_workload *wx = cox_workload_build(x, m.s), *wx2 = cox_workload_build(x2, m.s);

	assert_int_equal(vx->labels.n, 1);
	assert_false(cox_str_eq(vx->key, vy->key));
	assert_true(cox_str_eq(vx->key, vx2->key));
	assert_false(cox_str_eq(wx->key, wx2->key));
	assert_int_equal(wx->labels.n, 2);
	cox_view_free(vx);
	cox_view_free(vy);
	cox_view_free(vx2);
	cox_workload_free(wx);
	cox_workload_free(wx2);
	cox_proxy_unref(x);
	cox_proxy_unref(y);
	cox_proxy_unref(x2);
	mesh_free(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_equal_views_share),
		cmocka_unit_test(test_only_what_changed_is_built),
		cmocka_unit_test(test_endpoints_take_their_own_path),
		cmocka_unit_test(test_specs_that_do_not_exist),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_view_keys),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
