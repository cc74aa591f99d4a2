/* covers: b42 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "kube/backoff.h"
#include "kube/exec_priv.h"
#include "kube/file.h"
#include "kube/kubeconfig.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define HEAD \
	"apiVersion: v1\nkind: Config\ncurrent-context: c\ncontexts: [{name: c, context: {cluster: k, user: u, namespace: n}}, {name: d, context: {cluster: k2, user: ''}}]\n"
#define CLUSTER \
	"clusters: [{name: k, cluster: {server: 'https://h:1/', certificate-authority: ca.crt}}, {name: k2, cluster: {server: 'https://[::1]:6443/p', insecure-skip-tls-verify: true}}]\n"

static void good(void **state)
{
	(void)state;
	struct cox_kube_config c;
	struct cox_err err = { 0 };
	const char *text =
	    HEAD CLUSTER "users: [{name: u, user: {client-certificate-data: LS0tLS1CRUdJTiBY, client-key: /k, tokenFile: t}}]\n";
	assert_int_equal(cox_kube_config_parse(&c, cox_str_of(text), "/d/e/config", COX_STR(""), &err), COX_OK);
	assert_string_equal(c.server.p, "https://h:1");
	assert_string_equal(c.ca_file.p, "/d/e/ca.crt");
	assert_string_equal(c.cert_pem.p, "-----BEGIN X");
	assert_string_equal(c.key_file.p, "/k");
	assert_string_equal(c.token_file.p, "/d/e/t");
	assert_string_equal(c.ns.p, "n");
	cox_kube_config_fini(&c);
	assert_int_equal(cox_kube_config_parse(&c, cox_str_of(text), "config", COX_STR("d"), &err), COX_OK);
	assert_true(c.insecure);
	assert_string_equal(c.server.p, "https://[::1]:6443/p");
	cox_kube_config_fini(&c);
}

static void exec_and_warnings(void **state)
{
	(void)state;
	struct cox_kube_config c;
	struct cox_err err = { 0 };
	const char *text =
	    HEAD "clusters: [{name: k, cluster: {server: 'https://h:1', proxy-url: 'http://p', tls-server-name: kubernetes}}]\n"
	         "users: [{name: u, user: {exec: {apiVersion: client.authentication.k8s.io/v1, command: ./plug, args: [a, 'b c'],"
	         " env: [{name: A, value: '1'}], interactiveMode: Never, provideClusterInfo: true}}}]\n";
	assert_int_equal(cox_kube_config_parse(&c, cox_str_of(text), "/d/config", COX_STR("c"), &err), COX_OK);
	assert_string_equal(c.exec->command.p, "/d/./plug");
	assert_int_equal(c.exec->args.n, 2);
	assert_string_equal(c.exec->env.p[0].value.p, "1");
	assert_true(c.exec->provide_cluster_info);
	assert_string_equal(c.tls_server_name.p, "kubernetes");
	assert_int_equal(c.warnings.n, 1);
	assert_true(cox_str_search(c.warnings.p[0], COX_STR("proxy-url")) >= 0);
	cox_kube_config_fini(&c);
}

/* Every refusal names the file and the field. */
static void bad(void **state)
{
	(void)state;
	static const struct {
		const char *text, *path, *says;
	} cases[] = {
		{ "", "", "kubeconfig" },
		{ "[1]", "", "kubeconfig" },
		{ "a: [", "a", "config" },
		{ "clusters: []", "current-context", "not set" },
		{ HEAD "clusters: {}\n", "clusters", "list" },
		{ HEAD "clusters: []\n", "clusters[name=k].cluster", "no entry" },
		{ HEAD "clusters: [{name: k, cluster: 3}]\n", "clusters[name=k].cluster", "object" },
		{ HEAD "clusters: [{name: k, cluster: {server: 3}}]\n", "clusters[name=k].cluster.server", "text" },
		{ HEAD "clusters: [{name: k, cluster: {server: 'h:1'}}]\n", "clusters[name=k].cluster.server", "URL" },
		{ HEAD "clusters: [{name: k, cluster: {server: 'https://h', certificate-authority-data: '%%'}}]\n",
		  "clusters[name=k].cluster.certificate-authority-data", "base64" },
		{ HEAD "clusters: [{name: k, cluster: {server: 'https://h', certificate-authority-data: QUJD}}]\n",
		  "clusters[name=k].cluster.certificate-authority-data", "PEM" },
		{ HEAD "clusters: [{name: k, cluster: {server: 'https://h', insecure-skip-tls-verify: 'yes'}}]\n",
		  "clusters[name=k].cluster.insecure-skip-tls-verify", "true or false" },
		{ HEAD "clusters: [{name: k, cluster: {server: 'https://h', insecure-skip-tls-verify: true, certificate-authority: x}}]\n",
		  "clusters[name=k].cluster", "exclude" },
		{ HEAD CLUSTER, "users[name=u].user", "no entry" },
		{ HEAD CLUSTER "users: [{name: u, user: {client-certificate: c}}]\n", "users[name=u].user", "together" },
		{ HEAD CLUSTER "users: [{name: u, user: {username: x, password: secret1}}]\n", "users[name=u].user", "username" },
		{ HEAD CLUSTER "users: [{name: u, user: {auth-provider: {name: gcp}}}]\n", "users[name=u].user", "auth-provider" },
		{ HEAD CLUSTER "users: [{name: u, user: {exec: {apiVersion: client.authentication.k8s.io/v1alpha1, command: x}}}]\n",
		  "users[name=u].user.exec", "apiVersion" },
		{ HEAD CLUSTER "users: [{name: u, user: {exec: {apiVersion: client.authentication.k8s.io/v1}}}]\n",
		  "users[name=u].user.exec", "command" },
		{ HEAD CLUSTER
		  "users: [{name: u, user: {exec: {apiVersion: client.authentication.k8s.io/v1, command: x, interactiveMode: Always}}}]\n",
		  "users[name=u].user.exec", "interactiveMode" },
	};
	for (size_t i = 0; i < COX_LEN(cases); i++) {
		struct cox_kube_config c;
		struct cox_err err = { 0 };
		enum cox_rc rc = cox_kube_config_parse(&c, cox_str_of(cases[i].text), "/d/config", COX_STR(""), &err);
		if (rc == COX_OK || strcmp(err.path, cases[i].path) != 0 || !strstr(err.text, "/d/config") ||
		    !strstr(err.text, cases[i].says))
			fail_msg("case %zu: rc %s path '%s' text '%s'", i, cox_rc_name(rc), err.path, err.text);
		assert_null(strstr(err.text, "secret1"));
		cox_kube_config_fini(&c);
	}
	struct cox_kube_config c;
	struct cox_err err = { 0 };
	assert_int_equal(cox_kube_config_parse(&c, COX_STR(HEAD CLUSTER), "/d/config", COX_STR("zz"), &err), COX_EINVAL);
	assert_string_equal(err.path, "contexts[name=zz].context");
	cox_kube_config_fini(&c);
	assert_int_equal(cox_kube_config_load(&c, "/nonexistent/config", COX_STR(""), &err), COX_ENOTFOUND);
	assert_non_null(strstr(err.text, "/nonexistent/config"));
	cox_kube_config_fini(&c);
}

static void write_file(const char *dir, const char *name, const char *text)
{
	char path[512];
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	int fd = open(path, O_CREAT | O_WRONLY | O_TRUNC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
}

static void in_cluster(void **state)
{
	(void)state;
	char dir[] = "/tmp/cox-sa-XXXXXX", path[64];
	assert_non_null(mkdtemp(dir));
	struct cox_kube_config c;
	struct cox_err err = { 0 };
	assert_int_equal(cox_kube_config_in_cluster(&c, COX_STR(""), COX_STR("443"), dir, &err), COX_ENOTFOUND);
	cox_kube_config_fini(&c);
	assert_int_equal(cox_kube_config_in_cluster(&c, COX_STR("10.0.0.1"), COX_STR("443"), dir, &err), COX_ENOTFOUND);
	assert_non_null(strstr(err.text, "ca.crt"));
	cox_kube_config_fini(&c);
	write_file(dir, "ca.crt", "x");
	write_file(dir, "namespace", "istio-system\n");
	assert_int_equal(cox_kube_config_in_cluster(&c, COX_STR("fd00::1"), COX_STR("443"), dir, &err), COX_OK);
	assert_string_equal(c.server.p, "https://[fd00::1]:443");
	assert_string_equal(c.ns.p, "istio-system");
	cox_kube_config_fini(&c);
	snprintf(path, sizeof(path), "%s/ca.crt", dir);
	uint64_t stamp = cox_kube_file_stamp(path);
	assert_true(stamp != 0);
	write_file(dir, "ca.crt", "longer");
	assert_true(cox_kube_file_stamp(path) != stamp);
	unlink(path);
	assert_true(cox_kube_file_stamp(path) == 0);
	snprintf(path, sizeof(path), "%s/namespace", dir);
	unlink(path);
	rmdir(dir);
}

static void exec_results(void **state)
{
	(void)state;
	struct cox_kube_exec_result r = { 0 };
	struct cox_err err = { 0 };
	struct cox_str v1 = COX_STR("client.authentication.k8s.io/v1");
	assert_int_equal(
	    cox_kube_exec_result_parse(COX_STR("{\"kind\":\"ExecCredential\",\"apiVersion\":\"client.authentication.k8s.io/v1\",\"status\":"
	                                       "{\"token\":\"t\",\"expirationTimestamp\":\"2026-01-01T00:00:00Z\"}}"),
	                               v1, &r, &err),
	    COX_OK);
	assert_string_equal(cox_buf_cstr(&r.token), "t");
	assert_true(r.expires_ms == 1767225600000);
	cox_kube_exec_result_fini(&r);
	static const struct {
		const char *text, *path;
	} refused[] = {
		{ "", "" },
		{ "sEcReT", "" },
		{ "{\"kind\":\"X\"}", "kind" },
		{ "{\"kind\":\"ExecCredential\",\"apiVersion\":\"client.authentication.k8s.io/v1beta1\",\"status\":{\"token\":\"sEcReT\"}}",
		  "apiVersion" },
		{ "{\"kind\":\"ExecCredential\",\"apiVersion\":\"client.authentication.k8s.io/v1\"}", "status" },
		{ "{\"kind\":\"ExecCredential\",\"apiVersion\":\"client.authentication.k8s.io/v1\",\"status\":{\"clientCertificateData\":\"x\"}}",
		  "status" },
		{ "{\"kind\":\"ExecCredential\",\"apiVersion\":\"client.authentication.k8s.io/v1\",\"status\":{\"token\":\"sEcReT\",\"expirationTimestamp\":\"soon\"}}",
		  "status.expirationTimestamp" },
	};
	for (size_t i = 0; i < COX_LEN(refused); i++) {
		struct cox_err e = { 0 };
		assert_int_equal(cox_kube_exec_result_parse(cox_str_of(refused[i].text), v1, &r, &e), COX_EPROTO);
		assert_string_equal(e.path, refused[i].path);
		assert_null(strstr(e.text, "sEcReT"));
		cox_kube_exec_result_fini(&r);
	}
}

static void backoff(void **state)
{
	(void)state;
	for (int round = 0; round < 200; round++) {
		struct cox_kube_backoff b = { .first_ms = 100, .max_ms = 30000 };
		int64_t top = 100;
		for (int i = 0; i < 100; i++) {
			int64_t ms = cox_kube_backoff_next_ms(&b);
			assert_true(ms >= top / 2 && ms <= top);
			top = top * 2 > 30000 ? 30000 : top * 2;
		}
		cox_kube_backoff_reset(&b);
		assert_true(cox_kube_backoff_next_ms(&b) <= 100);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good),       cmocka_unit_test(exec_and_warnings), cmocka_unit_test(bad),
		cmocka_unit_test(in_cluster), cmocka_unit_test(exec_results),      cmocka_unit_test(backoff),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
