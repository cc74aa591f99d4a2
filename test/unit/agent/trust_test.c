/* Which roots count, from which source. covers: c30 c31 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "agent/trust.h"
#include "agent/secret.h"
#include "envoy/coxswain_v1.h"
#include "envoy/envoy.h"
#include "envoy/istio_mesh_v1alpha1.h"
#include "envoy/transcode.h"

static const char first_pem[] = "-----BEGIN CERTIFICATE-----\n"
                                "MIIBkjCCATmgAwIBAgIUM7GQytQvvzTrKHLIkL8CO1xNR9YwCgYIKoZIzj0EAwIw\n"
                                "HzENMAsGA1UECgwEdGVzdDEOMAwGA1UEAwwFZmlyc3QwHhcNMjYxMTI1MjAyOTQ1\n"
                                "WhcNMzYxMTIyMjAyOTQ1WjAfMQ0wCwYDVQQKDAR0ZXN0MQ4wDAYDVQQDDAVmaXJz\n"
                                "dDBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABJOUV0RNJuRi1ZTi+TQrrxpZMXN+\n"
                                "1LBeu4QkeTjBseo1s7M4wU0z08GnqeWdMrEuIzqGupp40R1YXxZq4qs6rZOjUzBR\n"
                                "MB0GA1UdDgQWBBQqdWcv3YWvcsXFzADuBd71j60UDjAfBgNVHSMEGDAWgBQqdWcv\n"
                                "3YWvcsXFzADuBd71j60UDjAPBgNVHRMBAf8EBTADAQH/MAoGCCqGSM49BAMCA0cA\n"
                                "MEQCIGqUvKGR5r/ur3+8ZCYjNlNOOsgPomZQAxKIB/NGD8daAiAlFw95lygyk1d7\n"
                                "GgwsSmzrflpbeDHSgAFMNqfyhB+0ww==\n"
                                "-----END CERTIFICATE-----\n";
static const char second_pem[] = "-----BEGIN CERTIFICATE-----\n"
                                 "MIIBlDCCATugAwIBAgIUA3sfMF6UrYO5RXlJo4HKkd/naxkwCgYIKoZIzj0EAwIw\n"
                                 "IDENMAsGA1UECgwEdGVzdDEPMA0GA1UEAwwGc2Vjb25kMB4XDTI2MTEyNTIwMjk0\n"
                                 "NVoXDTM2MTEyMjIwMjk0NVowIDENMAsGA1UECgwEdGVzdDEPMA0GA1UEAwwGc2Vj\n"
                                 "b25kMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEQzA51pQGjAvi3IeKJcVGYl3L\n"
                                 "62Ix7d6JbJ/dJrlNcc7h9g1vnP2Lh32vQ8eTdBDK2NBkZt+jc4go6+cuYEuZVqNT\n"
                                 "MFEwHQYDVR0OBBYEFCnwahlgOGdLsRWZpN9GnFjRCnRqMB8GA1UdIwQYMBaAFCnw\n"
                                 "ahlgOGdLsRWZpN9GnFjRCnRqMA8GA1UdEwEB/wQFMAMBAf8wCgYIKoZIzj0EAwID\n"
                                 "RwAwRAIgT9Zv4IkJ2MoCwPb94gkPxderYW9F5/8O4zU2etJXKiECIEzIFiNWBIlW\n"
                                 "JfjajWCavxXnsuPaNquv6kqoYhSeSDD1\n"
                                 "-----END CERTIFICATE-----\n";

static struct cox_buf bundle_of(const char *const *roots, size_t n, const char *phase, const char *crl)
{
	struct cox_buf out = { 0 };
	struct cox_pb pb;
	cox_pb_init(&pb, &out);
	PB_ROOT (b, pb_coxswain_v1_TrustBundle, &pb) {
		pb_coxswain_v1_TrustBundle_trust_domain(b, COX_STR("td"));
		for (size_t i = 0; i < n; i++)
			pb_coxswain_v1_TrustBundle_roots_pem(b, cox_str_of(roots[i]));
		pb_coxswain_v1_TrustBundle_crl_pem(b, cox_str_of(crl));
		pb_coxswain_v1_TrustBundle_issuer_key_id(b, COX_STR("abcd"));
		pb_coxswain_v1_TrustBundle_generation(b, 7);
		pb_coxswain_v1_TrustBundle_phase(b, cox_str_of(phase));
	}
	return out;
}

static void assert_roots(const struct cox_agent_trust *t, const char *a, const char *b)
{
	struct cox_buf got = { 0 }, want = { 0 };
	cox_agent_trust_write(t, &got);
	cox_buf_append_cstr(&want, a);
	cox_buf_append_cstr(&want, b);
	assert_string_equal(cox_buf_cstr(&got), cox_buf_cstr(&want));
	cox_buf_fini(&got);
	cox_buf_fini(&want);
}

static void set_bundle(struct cox_agent_trust *t, const char *const *roots, size_t n, const char *phase)
{
	struct cox_err err = { 0 };
	struct cox_buf b = bundle_of(roots, n, phase, "crl");
	if (cox_agent_trust_set_bundle(t, cox_buf_str(&b), &err) != COX_OK)
		fail_msg("%s %s", err.path, err.text);
	cox_buf_fini(&b);
}

static void test_without_a_bundle(void **state)
{
	(void)state;
	struct cox_agent_trust *t = cox_agent_trust_new();
	struct cox_buf mesh = { 0 };
	struct cox_pb pb;
	assert_roots(t, "", "");
	assert_int_equal(cox_agent_trust_set_issued(t, cox_str_of(first_pem), NULL), COX_OK);
	assert_roots(t, first_pem, "");
	cox_pb_init(&pb, &mesh);
	PB_ROOT (c, pb_istio_mesh_v1alpha1_ProxyConfig, &pb) {
		pb_istio_mesh_v1alpha1_ProxyConfig_ca_certificates_pem(c, cox_str_of(first_pem));
		pb_istio_mesh_v1alpha1_ProxyConfig_ca_certificates_pem(c, cox_str_of(second_pem));
	}
	assert_int_equal(cox_agent_trust_set_mesh(t, cox_buf_str(&mesh), NULL), COX_OK);
	assert_roots(t, first_pem, second_pem); /* each once */
	assert_false(cox_agent_trust_info(t).has_bundle);
	assert_false(cox_agent_trust_info(t).must_renew);
	/* An empty PCDS takes its roots away again. */
	assert_int_equal(cox_agent_trust_set_mesh(t, COX_STR(""), NULL), COX_OK);
	assert_roots(t, first_pem, "");
	cox_buf_fini(&mesh);
	cox_agent_trust_free(&t);
	assert_null(t);
}

static void test_a_bundle_decides(void **state)
{
	(void)state;
	struct cox_agent_trust *t = cox_agent_trust_new();
	assert_int_equal(cox_agent_trust_set_issued(t, cox_str_of(first_pem), NULL), COX_OK);
	set_bundle(t, (const char *[]){ second_pem }, 1, "STEADY");
	assert_roots(t, second_pem, ""); /* the old root was retired: our own certificate does not bring it back */
	struct cox_agent_trust_info info = cox_agent_trust_info(t);
	assert_true(info.has_bundle && !info.must_renew && info.generation == 7);
	assert_true(cox_str_eq(info.crl_pem, COX_STR("crl")) && cox_str_eq(info.issuer_key_id, COX_STR("abcd")) &&
	            cox_str_eq(info.trust_domain, COX_STR("td")));
	/* A younger certificate by a foreign root: another control plane signs now. Its next bundle decides again. */
	assert_int_equal(cox_agent_trust_set_issued(t, cox_str_of(first_pem), NULL), COX_OK);
	assert_roots(t, second_pem, first_pem);
	set_bundle(t, (const char *[]){ second_pem, first_pem, second_pem }, 3, "SIGN");
	assert_roots(t, second_pem, first_pem);
	assert_true(cox_agent_trust_info(t).must_renew);
	cox_agent_trust_free(&t);
}

static void test_refused(void **state)
{
	(void)state;
	struct cox_agent_trust *t = cox_agent_trust_new();
	struct cox_err err = { 0 };
	set_bundle(t, (const char *[]){ first_pem }, 1, "STEADY");
	static const char *const broken[] = { "x", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n" };
	for (size_t i = 0; i <= COX_LEN(broken); i++) {
		struct cox_buf b = i < COX_LEN(broken) ? bundle_of(&broken[i], 1, "SIGN", "") : bundle_of(NULL, 0, "SIGN", "");
		assert_int_not_equal(cox_agent_trust_set_bundle(t, cox_buf_str(&b), &err), COX_OK);
		assert_true(err.text[0] != 0);
		cox_buf_fini(&b);
	}
	assert_int_equal(cox_agent_trust_set_bundle(t, COX_STR("\xff\xff"), &err), COX_EPROTO);
	assert_int_not_equal(cox_agent_trust_set_issued(t, COX_STR("nothing"), &err), COX_OK);
	assert_int_equal(cox_agent_trust_set_mesh(t, COX_STR("\xff\xff"), &err), COX_EPROTO);
	assert_roots(t, first_pem, "");
	assert_false(cox_agent_trust_info(t).must_renew);
	cox_agent_trust_free(&t);
}

static void assert_json(struct cox_buf *secret, const char *want)
{
	struct cox_arena arena = { 0 };
	struct cox_json *json;
	struct cox_buf text = { 0 };
	struct cox_err err = { 0 };
	if (cox_envoy_any_to_json(COX_STR("type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret"), cox_buf_str(secret), 0,
	                          &arena, &json, &err) != COX_OK)
		fail_msg("%s", err.text);
	cox_json_write(&text, json, 0, true);
	assert_string_equal(cox_buf_cstr(&text), want);
	cox_buf_fini(&text);
	cox_arena_fini(&arena);
	cox_agent_secret_fini(secret);
	assert_null(secret->p);
}

static void test_secrets(void **state)
{
	(void)state;
	struct cox_buf b = { 0 };
	cox_agent_secret_write_cert(COX_STR("default"), COX_STR("abc"), COX_STR("key"), &b);
	assert_json(
	    &b,
	    "{\"@type\":\"type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret\",\"name\":\"default\",\"tls_certificate\":{\"certificate_chain\":{\"inline_bytes\":\"YWJj\"},\"private_key\":{\"inline_bytes\":\"a2V5\"}}}");
	cox_agent_secret_write_roots(COX_STR("ROOTCA"), COX_STR("abc"), COX_STR(""), &b);
	assert_json(
	    &b,
	    "{\"@type\":\"type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret\",\"name\":\"ROOTCA\",\"validation_context\":{\"trusted_ca\":{\"inline_bytes\":\"YWJj\"}}}");
	cox_agent_secret_write_roots(COX_STR("ROOTCA"), COX_STR("abc"), COX_STR("crl"), &b);
	assert_json(
	    &b,
	    "{\"@type\":\"type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret\",\"name\":\"ROOTCA\",\"validation_context\":{\"crl\":{\"inline_bytes\":\"Y3Js\"},\"only_verify_leaf_cert_crl\":true,"
	    "\"trusted_ca\":{\"inline_bytes\":\"YWJj\"}}}");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_without_a_bundle),
		cmocka_unit_test(test_a_bundle_decides),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_secrets),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
