/* Which cluster: one kubeconfig or several in $KUBECONFIG. covers: f9 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/file.h"
#include "tool/cluster.h"
#include "tool/cluster_priv.h"

#include <stdlib.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[] = "/tmp/cox-cluster-XXXXXX";
static const char one[] = "apiVersion: v1\nkind: Config\n"
                          "clusters:\n- name: c\n  cluster: {server: 'https://one:6443', certificate-authority: ca.crt}\n"
                          "users:\n- name: u\n  user: {token: first}\n"
                          "contexts:\n- name: east\n  context: {cluster: c, user: u, namespace: shop}\n";
static const char two[] =
    "apiVersion: v1\nkind: Config\ncurrent-context: west\n"
    "clusters:\n- name: c\n  cluster: {server: 'https://two:6443'}\n- name: d\n  cluster: {server: 'https://three:6443'}\n"
    "users:\n- name: u\n  user: {token: second}\n- name: v\n  user: {token: third}\n"
    "contexts:\n- name: west\n  context: {cluster: d, user: v}\n- name: mixed\n  context: {cluster: c, user: v}\n";

static void put(const char *name, const char *text)
{
	char path[300];
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	assert_int_equal(cox_file_write(path, 0600, cox_str_of(text), NULL), COX_OK);
}

static int setup(void **state)
{
	char sub[300];
	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(sub, sizeof(sub), "%s/sub", dir);
	assert_int_equal(mkdir(sub, 0700), 0);
	put("sub/one", one);
	put("two", two);
	put("broken", "clusters: [");
	return 0;
}

static int teardown(void **state)
{
	static const char *const names[] = { "sub/one", "two", "broken" };
	char path[300];
	(void)state;
	for (size_t i = 0; i < COX_LEN(names); i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
		unlink(path);
	}
	snprintf(path, sizeof(path), "%s/sub", dir);
	return rmdir(path) | rmdir(dir);
}

static enum cox_rc merge(const char *format, const char *context, struct cox_kube_config *out, struct cox_err *err)
{
	char paths[1000];
	struct cox_buf b = { 0 };
	for (const char *p = format; *p; p++)
		if (*p == '@')
			cox_buf_append_cstr(&b, dir);
		else
			cox_buf_append_char(&b, *p);
	cox_str_to_cstr(cox_buf_str(&b), paths, sizeof(paths));
	cox_buf_fini(&b);
	return cox_cluster_config_merge(cox_str_of(paths), cox_str_of(context), out, err);
}

static void merged(void **state)
{
	struct cox_kube_config c = { 0 };
	struct cox_err err = { 0 };
	char want[300];
	(void)state;
	/* The first current-context that there is; absent files do not matter. */
	assert_int_equal(merge("@/none:@/sub/one::@/two", "", &c, &err), COX_OK);
	assert_true(cox_str_eq(c.server, COX_STR("https://three:6443")));
	assert_true(cox_str_eq(c.token, COX_STR("third")));
	assert_non_null(strstr(c.source.p, "west"));
	cox_kube_config_fini(&c);
	/* The first that names a cluster wins, also for a context of a later file; its files are beside its own kubeconfig. */
	assert_int_equal(merge("@/sub/one:@/two", "mixed", &c, &err), COX_OK);
	assert_true(cox_str_eq(c.server, COX_STR("https://one:6443")));
	snprintf(want, sizeof(want), "%s/sub/ca.crt", dir);
	assert_true(cox_str_eq_cstr(c.ca_file, want));
	cox_kube_config_fini(&c);
	assert_int_equal(merge("@/two:@/sub/one", "east", &c, &err), COX_OK);
	assert_true(cox_str_eq(c.server, COX_STR("https://two:6443")));
	assert_true(cox_str_eq(c.ns, COX_STR("shop")));
	cox_kube_config_fini(&c);
}

static void refused(void **state)
{
	struct cox_kube_config c = { 0 };
	struct cox_err err = { 0 };
	(void)state;
	assert_int_equal(merge("@/none:@/nothing", "", &c, &err), COX_ENOTFOUND);
	assert_non_null(strstr(err.text, "none"));
	assert_int_equal(merge("@/two:@/broken", "", &c, &err), COX_EINVAL);
	assert_int_equal(merge("@/two", "north", &c, &err), COX_EINVAL);
	assert_non_null(strstr(err.text, "/two"));
	cox_kube_config_fini(&c);
}

static void opened(void **state)
{
	struct cox_cluster *c = NULL;
	struct cox_err err = { 0 };
	char path[300];
	(void)state;
	snprintf(path, sizeof(path), "%s/two", dir);
	assert_int_equal(cox_cluster_open(&(struct cox_cluster_spec){ .kubeconfig = path, .context = "west" }, &c, &err), COX_OK);
	assert_true(cox_str_eq(cox_cluster_ns(c), COX_STR("default")));
	assert_non_null(strstr(cox_cluster_source(c).p, "west"));
	struct cox_buf b = { 0 };
	cox_cluster_path(&b, COX_CLUSTER_KIND("networking.istio.io", "v1", "gateways", "Gateway"), COX_STR("shop"), COX_STR("web"));
	assert_string_equal(cox_buf_cstr(&b), "/apis/networking.istio.io/v1/namespaces/shop/gateways/web");
	cox_buf_clear(&b);
	cox_cluster_path(&b, COX_CLUSTER_KIND_WIDE("", "v1", "nodes", "Node"), COX_STR("shop"), COX_STR("n"));
	assert_string_equal(cox_buf_cstr(&b), "/api/v1/nodes/n");
	cox_buf_fini(&b);
	cox_cluster_close(&c);
	cox_cluster_close(&c);
	assert_int_equal(cox_cluster_open(&(struct cox_cluster_spec){ .kubeconfig = "/nowhere" }, &c, &err), COX_ENOTFOUND);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(merged), cmocka_unit_test(refused), cmocka_unit_test(opened) };
	return cmocka_run_group_tests(tests, setup, teardown);
}
