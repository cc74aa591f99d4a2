/* Settings of the identity from the environment, times of renewal, names of secrets, files. covers: i3 i4 i5 c29 c33 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "agent/file_secrets.h"
#include "agent/files.h"
#include "agent/identity.h"
#include "agent/identity_config.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static enum cox_rc read_config(const char *const *env, bool off, struct cox_arena *arena, struct cox_agent_identity_config *c,
                               struct cox_err *err)
{
	struct cox_agent_bootstrap b = { .env = env, .is_identity_off = off };
	return cox_agent_identity_config_read(&b, "/var/run/secrets", "/etc/istio/proxy", off, arena, c, err);
}

static struct cox_agent_identity_config config_of(const char *const *env, bool off, struct cox_arena *arena)
{
	struct cox_agent_identity_config c;
	struct cox_err err = { 0 };
	if (read_config(env, off, arena, &c, &err) != COX_OK)
		fail_msg("%s: %s", err.path, err.text);
	return c;
}

static void test_defaults(void **state)
{
	(void)state;
	struct cox_arena arena = { 0 };
	struct cox_agent_identity_config c =
	    config_of((const char *[]){ "POD_NAMESPACE=shop", "SERVICE_ACCOUNT=web", NULL }, false, &arena);
	assert_int_equal(c.mode, COX_AGENT_IDENTITY_CSR);
	assert_true(cox_str_eq(c.spiffe_id, COX_STR("spiffe://cluster.local/ns/shop/sa/web")));
	assert_string_equal(c.xds.addr.host, "istiod.istio-system.svc");
	assert_int_equal(c.xds.addr.port, 15012);
	assert_string_equal(c.ca.addr.host, c.xds.addr.host);
	assert_string_equal(c.xds.server_name, "istiod.istio-system.svc");
	assert_false(c.xds.is_plain || c.ca.is_plain);
	assert_string_equal(c.xds.root_file, "/var/run/secrets/istio/root-cert.pem");
	assert_string_equal(c.token_file, "/var/run/secrets/tokens/istio-token");
	assert_string_equal(c.sds_path, "/var/run/secrets/workload-spiffe-uds/socket");
	assert_string_equal(c.xds_path, "/etc/istio/proxy/XDS");
	assert_int_equal(c.key_type, COX_KEY_P256);
	assert_true(c.sec1_or_pkcs1);
	assert_int_equal(c.ttl_s, 24 * 3600);
	assert_true(c.grace_ratio == 0.5 && c.grace_jitter == 0.01 && c.rotation_jitter_ms == 3000);
	assert_true(c.xds.headers.n == 1 && cox_str_eq(c.xds.headers.items[0].value, COX_STR("Kubernetes")));
	assert_false(c.has_dns_capture);
	cox_arena_fini(&arena);
}

static void test_all_of_it_set(void **state)
{
	(void)state;
	struct cox_arena arena = { 0 };
	const char *env[] = { "POD_NAMESPACE=shop",
		              "CA_ADDR=10.0.0.1:15012",
		              "PROXY_CONFIG={discoveryAddress: \"istiod-v2.mesh.svc:15012\"}",
		              "CA_ROOT_CA=/ca.pem",
		              "XDS_ROOT_CA=SYSTEM",
		              "TRUST_DOMAIN=td",
		              "SECRET_TTL=1h",
		              "SECRET_GRACE_PERIOD_RATIO=0.2",
		              "SECRET_GRACE_PERIOD_RATIO_JITTER=0",
		              "WORKLOAD_RSA_KEY_SIZE=3072",
		              "PKCS8_KEY=true",
		              "PROV_CERT=/etc/certs",
		              "OUTPUT_CERTS=/out",
		              "ISTIO_META_CLUSTER_ID=c1",
		              "XDS_HEADER_FOO=bar",
		              "XDS_HEADER_B AD=x",
		              "CA_HEADER_X=1",
		              "ISTIO_META_DNS_CAPTURE=true",
		              "WORKLOAD_IDENTITY_SOCKET_FILE=spire",
		              "COXSWAIN_ROTATION_JITTER=0s",
		              "ISTIO_META_CERT_SIGNER=s",
		              NULL };
	struct cox_agent_identity_config c = config_of(env, false, &arena);
	assert_string_equal(c.ca.addr.host, "10.0.0.1");
	assert_string_equal(c.ca.server_name, "istiod.istio-system.svc"); /* an address has no name of its own */
	assert_string_equal(c.xds.server_name, "istiod-v2.mesh.svc");
	assert_string_equal(c.ca.root_file, "/ca.pem");
	assert_string_equal(c.xds.root_file, "SYSTEM");
	assert_true(cox_str_eq(c.spiffe_id, COX_STR("spiffe://td/ns/shop/sa/default")));
	assert_true(c.key_type == COX_KEY_RSA_3072 && !c.sec1_or_pkcs1 && c.ttl_s == 3600 && c.grace_ratio == 0.2 && c.grace_jitter == 0 &&
	            c.rotation_jitter_ms == 0);
	assert_string_equal(c.prov_cert, "/etc/certs");
	assert_string_equal(c.output_certs, "/out");
	assert_int_equal(c.xds.headers.n, 2);
	assert_true(cox_str_eq(c.xds.headers.items[1].name, COX_STR("foo")) && cox_str_eq(c.xds.headers.items[1].value, COX_STR("bar")));
	assert_true(c.ca.headers.n == 2 && c.has_dns_capture);
	assert_string_equal(c.sds_path, "/var/run/secrets/workload-spiffe-uds/spire");
	assert_true(cox_str_eq(c.cert_signer, COX_STR("s")));
	cox_arena_fini(&arena);
}

static void test_clear_text_and_files(void **state)
{
	(void)state;
	struct cox_arena arena = { 0 };
	assert_true(config_of((const char *[]){ "POD_NAMESPACE=a", "PROXY_CONFIG={controlPlaneAuthPolicy: NONE}", NULL }, false, &arena)
	                .xds.is_plain);
	assert_true(config_of((const char *[]){ "POD_NAMESPACE=a", "CA_ADDR=ca:15010", NULL }, false, &arena).ca.is_plain);
	struct cox_agent_identity_config c = config_of((const char *[]){ NULL }, true, &arena);
	assert_true(c.mode == COX_AGENT_IDENTITY_NONE && c.xds.is_plain && c.xds.addr.port == 15010);
	c = config_of((const char *[]){ "POD_NAMESPACE=a", "FILE_MOUNTED_CERTS=true", "ISTIO_META_TLS_CLIENT_KEY=/k", NULL }, false,
	              &arena);
	c = config_of(
	    (const char *[]){ "POD_NAMESPACE=a", "CREDENTIAL_FETCHER_TYPE=Exec", "CREDENTIAL_FETCHER_COMMAND= print  token ", NULL }, false,
	    &arena);
	assert_string_equal(c.token_command[0], "print");
	assert_string_equal(c.token_command[1], "token");
	assert_null(c.token_command[2]);
	c = config_of((const char *[]){ "POD_NAMESPACE=a", "PILOT_ENABLE_CA_CRL=false", NULL }, false, &arena);
	assert_true(c.mode == COX_AGENT_IDENTITY_CSR && !c.crl_file && strstr(c.key_file, "/workload-spiffe-credentials/key.pem"));
	c = config_of((const char *[]){ "POD_NAMESPACE=a", "FILE_MOUNTED_CERTS=true", "ISTIO_META_TLS_CLIENT_KEY=/k", NULL }, false,
	              &arena);
	assert_true(strstr(c.crl_file, "/istio/crl/ca-crl.pem") != NULL);
	assert_int_equal(c.mode, COX_AGENT_IDENTITY_FILES);
	assert_string_equal(c.key_file, "/k");
	assert_string_equal(c.chain_file, "/etc/certs/cert-chain.pem");
	cox_arena_fini(&arena);
}

static void test_config_refused(void **state)
{
	(void)state;
	static const char *const bad[] = {
		"SECRET_TTL=0s",
		"SECRET_TTL=-1h",
		"SECRET_TTL=1000000h",
		"SECRET_TTL=x",
		"SECRET_GRACE_PERIOD_RATIO=1.1",
		"SECRET_GRACE_PERIOD_RATIO=nan",
		"SECRET_GRACE_PERIOD_RATIO_JITTER=-1",
		"ECC_CURVE=P521",
		"ECC_CURVE=RSA2048",
		"ECC_SIGNATURE_ALGORITHM=x",
		"WORKLOAD_RSA_KEY_SIZE=1024",
		"WORKLOAD_RSA_KEY_SIZE=204800",
		"CA_ADDR=x:0",
		"CA_ADDR=:1",
		"CA_ADDR=x",
		"PROXY_CONFIG={discoveryAddress: \"x:0\"}",
		"PROXY_CONFIG=[1]",
		"TRUST_DOMAIN=A B",
		"SERVICE_ACCOUNT=a/b",
		"WORKLOAD_IDENTITY_SOCKET_FILE=a/b",
		"CREDENTIAL_FETCHER_TYPE=GoogleComputeEngine",
		"CREDENTIAL_FETCHER_TYPE=Exec",
		"COXSWAIN_ROTATION_JITTER=2h",
	};
	for (size_t i = 0; i < COX_LEN(bad); i++) {
		struct cox_arena arena = { 0 };
		struct cox_err err = { 0 };
		struct cox_agent_identity_config c;
		if (read_config((const char *[]){ "POD_NAMESPACE=a", bad[i], NULL }, false, &arena, &c, &err) == COX_OK)
			fail_msg("%s was accepted", bad[i]);
		assert_true(err.text[0] != 0);
		cox_arena_fini(&arena);
	}
}

static void test_time_of_renewal(void **state)
{
	(void)state;
	assert_int_equal(cox_agent_renewal_ms(1000, 11000, 0.5, 0, 0), 6000);
	assert_int_equal(cox_agent_renewal_ms(1000, 11000, 0.2, 0, 1), 9000);
	assert_int_equal(cox_agent_renewal_ms(1000, 11000, 0.5, 0.01, 1), 5900);
	assert_int_equal(cox_agent_renewal_ms(1000, 11000, 0.5, 0.01, -1), 6100);
	assert_int_equal(cox_agent_renewal_ms(1000, 11000, 1, 0.5, 1), 1000); /* never before it was got */
	assert_int_equal(cox_agent_renewal_ms(1000, 11000, 0, 0.5, -1), 11000);
	assert_int_equal(cox_agent_renewal_ms(5000, 4000, 0.5, 0, 0), 4000); /* expired when it came */
}

static void test_names_of_files(void **state)
{
	(void)state;
	struct cox_str path, key;
	assert_int_equal(cox_agent_file_secret_parse(COX_STR("file-cert:/a/b~/c"), &path, &key, NULL), COX_OK);
	assert_true(cox_str_eq(path, COX_STR("/a/b")) && cox_str_eq(key, COX_STR("/c")));
	assert_int_equal(cox_agent_file_secret_parse(COX_STR("file-root:/ca"), &path, &key, NULL), COX_OK);
	assert_true(cox_str_eq(path, COX_STR("/ca")) && key.n == 0);
	assert_int_equal(cox_agent_file_secret_parse(COX_STR("file-root:system"), &path, &key, NULL), COX_OK);
	assert_true(path.n > 1 && path.p[0] == '/');
	static const char *const bad[] = {
		"",           "default",     "file-cert:",    "file-cert:/a", "file-cert:a~/b", "file-cert:/a~b", "file-cert:/a~",
		"file-root:", "file-root:a", "kubernetes://x"
	};
	for (size_t i = 0; i < COX_LEN(bad); i++)
		assert_int_equal(cox_agent_file_secret_parse(cox_str_of(bad[i]), &path, &key, NULL), COX_EINVAL);
}

static void test_files(void **state)
{
	(void)state;
	char dir[] = "/tmp/cox-files-XXXXXX", path[64];
	struct cox_buf got = { 0 };
	struct stat st;
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/key.pem", dir);
	assert_int_equal(cox_agent_file_read(path, &got, NULL), COX_ENOTFOUND);
	struct cox_agent_file_stamp none = cox_agent_file_stamp(path);
	assert_int_equal(cox_agent_file_write(dir, "key.pem", 0600, COX_STR("one"), NULL), COX_OK);
	struct cox_agent_file_stamp one = cox_agent_file_stamp(path), same = cox_agent_file_stamp(path);
	assert_false(cox_agent_file_stamp_eq(&none, &one));
	assert_true(cox_agent_file_stamp_eq(&one, &same));
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(cox_agent_file_write(dir, "key.pem", 0600, COX_STR("two"), NULL), COX_OK);
	struct cox_agent_file_stamp two = cox_agent_file_stamp(path);
	assert_false(cox_agent_file_stamp_eq(&one, &two)); /* as long, as old, another file */
	assert_int_equal(cox_agent_file_read(path, &got, NULL), COX_OK);
	assert_string_equal(cox_buf_cstr(&got), "two");
	assert_int_equal(cox_agent_file_read(dir, &got, NULL), COX_EIO); /* a directory is no file */
	assert_int_equal(cox_agent_file_write("/nowhere", "x", 0600, COX_STR("x"), NULL), COX_EIO);
	cox_buf_fini(&got);
	unlink(path);
	rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),       cmocka_unit_test(test_all_of_it_set),   cmocka_unit_test(test_clear_text_and_files),
		cmocka_unit_test(test_config_refused), cmocka_unit_test(test_time_of_renewal), cmocka_unit_test(test_names_of_files),
		cmocka_unit_test(test_files),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
