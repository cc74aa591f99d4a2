/* Whom a node's agent may act for.
 * covers: c19 */
#include "registry/yaml_objects.h"

#include "ca/impersonate.h"

#include <unistd.h>

static const char pods[] =
    "apiVersion: v1\nkind: Pod\nmetadata: {name: zt-1, namespace: kube-system, uid: u1}\nspec: {serviceAccountName: ztunnel, nodeName: n1}\nstatus: {phase: Running}\n---\n"
    "apiVersion: v1\nkind: Pod\nmetadata: {name: zt-2, namespace: kube-system, uid: u2}\nspec: {serviceAccountName: ztunnel}\nstatus: {phase: Pending}\n---\n"
    "apiVersion: v1\nkind: Pod\nmetadata: {name: web, namespace: shop, uid: u3}\nspec: {serviceAccountName: web, nodeName: n1}\nstatus: {phase: Running}\n---\n"
    "apiVersion: v1\nkind: Pod\nmetadata: {name: done, namespace: shop, uid: u4}\nspec: {serviceAccountName: job, nodeName: n1}\nstatus: {phase: Succeeded}\n---\n"
    "apiVersion: v1\nkind: Pod\nmetadata: {name: plain, namespace: shop, uid: u5}\nspec: {nodeName: n1}\nstatus: {phase: Running}\n---\n"
    "apiVersion: v1\nkind: Pod\nmetadata: {name: db, namespace: shop, uid: u6}\nspec: {serviceAccountName: db, nodeName: n2}\nstatus: {phase: Running}\n";

static bool allow(struct cox_node_pods *n, const char *pod, const char *uid, const char *node, const char *account, const char *wanted,
                  const char *why)
{
	struct cox_str uri = cox_str_of(account);
	struct cox_identity caller = { .how = COX_AUTHN_TOKEN_REVIEW,
		                       .uris = &uri,
		                       .uri_n = 1,
		                       .pod_name = cox_str_of(pod),
		                       .pod_uid = cox_str_of(uid),
		                       .node_name = cox_str_of(node) };
	struct cox_spiffe_id id = { COX_STR("td"), COX_STR("shop"), cox_str_of(wanted) };
	struct cox_err err = { 0 };
	bool ok = cox_node_pods_allow(n, &caller, &id, &err);
	if (!ok && !strstr(err.text, why))
		fail_msg("\"%s\" is not in \"%s\"", why, err.text);
	return ok;
}

#define ZTUNNEL "spiffe://td/ns/kube-system/sa/ztunnel"

static void test_who(void **state)
{
	(void)state;
	struct cox_registry *r = cox_registry_new(&(struct cox_registry_options){ 0 });
	yaml_apply(r, pods, false);
	struct cox_node_pods *n = cox_node_pods_new(r);
	assert_true(allow(n, "zt-1", "u1", "n1", ZTUNNEL, "web", ""));
	assert_true(allow(n, "zt-1", "u1", "", ZTUNNEL, "web", "")); /* an older kube-apiserver names no node */
	assert_true(allow(n, "zt-1", "u1", "n1", ZTUNNEL, "default", ""));
	assert_false(allow(n, "zt-1", "u1", "n1", ZTUNNEL, "db", "no pod with service account shop/db runs on node n1"));
	assert_false(allow(n, "zt-1", "u1", "n1", ZTUNNEL, "job", "no pod with service account shop/job"));
	assert_false(allow(n, "", "", "", ZTUNNEL, "web", "names no pod"));
	assert_false(allow(n, "zt-9", "u9", "n1", ZTUNNEL, "web", "is not known"));
	assert_false(allow(n, "zt-2", "u2", "", ZTUNNEL, "web", "runs nowhere"));
	assert_false(allow(n, "zt-1", "u2", "n1", ZTUNNEL, "web", "is another one than that of the caller's token"));
	assert_false(allow(n, "zt-1", "u1", "n2", ZTUNNEL, "db", "another service account or node"));
	assert_false(allow(n, "zt-1", "u1", "n1", "spiffe://td/ns/kube-system/sa/other", "web", "another service account or node"));
	assert_false(allow(n, "zt-1", "u1", "n1", "spiffe://td/ns/shop/sa/ztunnel", "web", "pod shop/zt-1 of the caller is not known"));
	/* a pod that starts counts within a moment, one that is gone no longer */
	assert_false(allow(n, "zt-1", "u1", "n1", ZTUNNEL, "late", "no pod"));
	yaml_apply(r,
	           "apiVersion: v1\nkind: Pod\nmetadata: {name: late, namespace: shop}\nspec: {serviceAccountName: late, nodeName: n1}\n",
	           false);
	usleep(150 * 1000);
	assert_true(allow(n, "zt-1", "u1", "n1", ZTUNNEL, "late", ""));
	yaml_apply(r, "apiVersion: v1\nkind: Pod\nmetadata: {name: late, namespace: shop}\n", true);
	usleep(1100 * 1000);
	assert_false(allow(n, "zt-1", "u1", "n1", ZTUNNEL, "late", "no pod"));
	cox_node_pods_free(&n);
	cox_registry_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_who) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
