/* The CSR service over a real gRPC connection, with a signer of the test's own: who gets what, and every reason why not.
 * covers: c16 c17 c19 c20 c21 c22 c23 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/clock.h"
#include "base/metric.h"
#include "ca/csr.h"
#include "ca/csr_request.h"
#include "ca/csr_service.h"
#include "codec/pb_read.h"
#include "envoy/envoy.h"
#include "envoy/istio_v1_auth.h"
#include "envoy/struct_pb.h"
#include "net/grpc_client.h"

#include <openssl/pem.h>
#include <stdatomic.h>
#include <stdio.h>

struct signature {
	void (*done)(void *ctx, enum cox_rc rc, const struct cox_ca_answer *a, const struct cox_err *err);
	void *ctx;
};
struct world {
	struct cox_loop *config, *caller;
	struct cox_authn *authn;
	struct cox_csr_service *service;
	struct cox_ledger *ledger;
	struct cox_grpc_server *server;
	struct cox_grpc_client *client;
	struct cox_addr addr;
	struct cox_ca_bundle bundle;
	struct cox_buf key;
	bool is_closed;
	/* what the signer was asked, and what it says */
	int signatures;
	char uris[256], caller_word[128];
	int64_t ttl_s;
	size_t spki_n;
	enum cox_rc says;
	bool is_holding;
	struct signature held;
	bool may_impersonate;
};
static struct world *w;

static void sign(struct cox_ca *ca, struct cox_loop *loop, const struct cox_ca_request *r,
                 void (*done)(void *ctx, enum cox_rc rc, const struct cox_ca_answer *a, const struct cox_err *err), void *ctx)
{
	struct cox_err err = { 0 };
	assert_ptr_equal(ca, w);
	assert_ptr_equal(loop, w->config);
	w->signatures++;
	w->uris[0] = 0;
	for (size_t i = 0; i < r->uri_n; i++)
		snprintf(w->uris + strlen(w->uris), sizeof(w->uris) - strlen(w->uris), "%.*s ", COX_FMT(r->uris[i]));
	cox_str_to_cstr(r->caller, w->caller_word, sizeof(w->caller_word));
	w->ttl_s = r->ttl_s;
	w->spki_n = r->spki_der.n;
	if (w->is_holding) {
		w->held = (struct signature){ done, ctx };
		return;
	}
	struct cox_ca_answer a = { .cert_pem = COX_STR("LEAF\n"),
		                   .bundle = &w->bundle,
		                   .info = { .serial = "51", .not_after_s = cox_clock_wall_ms() / 1000 + 3600 } };
	cox_err_set(&err, w->says, NULL, "the signer says no");
	done(ctx, w->says, w->says == COX_OK ? &a : NULL, &err);
}

static bool may_impersonate(void *ctx, const struct cox_identity *caller, const struct cox_spiffe_id *wanted, struct cox_err *err)
{
	assert_ptr_equal(ctx, w);
	assert_true(cox_str_has_suffix(caller->uris[0], COX_STR("/sa/ztunnel")));
	if (!w->may_impersonate)
		cox_err_set(err, COX_EAUTH, NULL, "no pod of %.*s on the node", COX_FMT(wanted->service_account));
	return w->may_impersonate;
}

static struct cox_str make_chain(struct cox_arena *arena)
{
	BIO *bio = BIO_new(BIO_s_mem());
	for (int i = 0; i < 2; i++) {
		EVP_PKEY *key = EVP_EC_gen("P-256");
		X509 *x = X509_new();
		ASN1_INTEGER_set(X509_get_serialNumber(x), i + 1);
		X509_gmtime_adj(X509_getm_notBefore(x), 0);
		X509_gmtime_adj(X509_getm_notAfter(x), 600);
		X509_set_pubkey(x, key);
		X509_sign(x, key, EVP_sha256());
		PEM_write_bio_X509(bio, x);
		X509_free(x);
		EVP_PKEY_free(key);
	}
	char *p;
	long n = BIO_get_mem_data(bio, &p);
	struct cox_str out = cox_arena_str(arena, cox_str_make(p, (size_t)n));
	BIO_free(bio);
	return out;
}

static bool never(void *arg)
{
	(void)arg;
	return false;
}
static void run(int64_t ms)
{
	for (int64_t until = cox_clock_mono_ms() + ms; cox_clock_mono_ms() < until;) {
		cox_loop_run_until(w->config, never, NULL, 2);
		cox_loop_run_until(w->caller, never, NULL, 2);
	}
}

static int setup(void **state)
{
	static const struct cox_str roots[] = { COX_STR_INIT("ROOT1\n"), COX_STR_INIT("ROOT2\n") };
	struct cox_err err = { 0 };
	uint16_t port;
	w = COX_NEW(struct world);
	w->config = cox_loop_new("config");
	w->caller = cox_loop_new("stream");
	w->bundle.roots_pem = roots, w->bundle.root_n = 2, w->bundle.chain_pem = make_chain(&w->bundle.arena);
	assert_int_equal(cox_key_make(COX_KEY_P256, false, &w->key, &err), COX_OK);
	assert_int_equal(cox_authn_open(&(struct cox_authn_spec){ .loop = w->config, .trust_domain = COX_STR("td") }, &w->authn, &err),
	                 COX_OK);
	cox_authn_set_trust(w->authn, COX_STR("td"), &COX_STR("old-td"), 1);
	assert_int_equal(
	    cox_ledger_open(&(struct cox_ledger_spec){ .loop = w->config, .ns = COX_STR("istio-system"), .replica = COX_STR("r") },
	                    &w->ledger, &err),
	    COX_OK);
	assert_int_equal(cox_csr_service_open(&(struct cox_csr_service_spec){ .loop = w->config,
	                                                                      .authn = w->authn,
	                                                                      .sign = sign,
	                                                                      .ca = (struct cox_ca *)w,
	                                                                      .ledger = w->ledger,
	                                                                      .trusted_node_accounts = COX_STR("kube-system/ztunnel, a/b"),
	                                                                      .may_impersonate = may_impersonate,
	                                                                      .ctx = w,
	                                                                      .per_identity_s = 0.001,
	                                                                      .per_identity_burst = 10 },
	                                      &w->service, &err),
	                 COX_OK);
	assert_int_equal(cox_grpc_server_open(
	                     &(struct cox_grpc_server_spec){
	                         .loops = &w->caller, .loop_count = 1, .methods = cox_csr_service_method(w->service), .method_count = 1 },
	                     &w->server, &err),
	                 COX_OK);
	assert_int_equal(cox_addr_parse(COX_STR("127.0.0.1:0"), &w->addr, &err), COX_OK);
	assert_int_equal(cox_grpc_server_listen(w->server, &w->addr, NULL, 0, &port, &err), COX_OK);
	w->addr.port = port;
	assert_int_equal(cox_grpc_client_open(w->caller, &(struct cox_grpc_client_spec){ .addr = w->addr }, &w->client, &err), COX_OK);
	*state = w;
	return 0;
}

static void on_closed(void *ctx) { *(bool *)ctx = true; }

static int teardown(void **state)
{
	bool is_ledger_closed = false;
	(void)state;
	cox_grpc_client_close(&w->client);
	if (w->server)
		cox_grpc_server_close(&w->server, on_closed, &w->is_closed);
	for (int i = 0; i < 500 && !w->is_closed; i++)
		run(10);
	assert_true(w->is_closed);
	cox_csr_service_close(&w->service);
	cox_authn_close(&w->authn);
	cox_ledger_close(&w->ledger, on_closed, &is_ledger_closed);
	for (int i = 0; i < 500 && !is_ledger_closed; i++)
		run(10);
	cox_loop_free(&w->caller);
	cox_loop_free(&w->config);
	cox_buf_fini(&w->key);
	cox_arena_fini(&w->bundle.arena);
	cox_free(w);
	return 0;
}

/* --- calls ------------------------------------------------------------------------------------------------ */

struct result {
	bool is_over;
	int status;
	char text[400];
	struct cox_buf message;
};
static void on_message(void *ctx, struct cox_grpc_call *c, struct cox_str m)
{
	(void)c;
	cox_buf_append_str(&((struct result *)ctx)->message, m);
}
static void on_close(void *ctx, struct cox_grpc_call *c, int status, struct cox_str text)
{
	struct result *r = ctx;
	(void)c;
	r->is_over = true;
	r->status = status;
	cox_str_to_cstr(text, r->text, sizeof(r->text));
}

static struct cox_grpc_call *call_open(const char *identity, struct cox_str body, struct result *r)
{
	char xfcc[300];
	struct cox_grpc_call *c;
	snprintf(xfcc, sizeof(xfcc), "Hash=1;URI=%s", identity);
	const struct cox_grpc_kv metadata[] = { { COX_STR("x-forwarded-client-cert"), cox_str_of(xfcc) } };
	*r = (struct result){ 0 };
	assert_int_equal(cox_grpc_call_unary(w->client, "/istio.v1.auth.IstioCertificateService/CreateCertificate", metadata,
	                                     *identity ? 1 : 0, 0, body,
	                                     &(struct cox_grpc_call_cb){ .on_message = on_message, .on_close = on_close, .ctx = r }, &c),
	                 COX_OK);
	return c;
}
static void call(const char *identity, struct cox_str body, struct result *r)
{
	call_open(identity, body, r);
	for (int64_t until = cox_clock_mono_ms() + 30000; !r->is_over && cox_clock_mono_ms() < until;)
		run(5);
	assert_true(r->is_over);
}
static void expect(const char *identity, struct cox_str body, int status, const char *text)
{
	struct result r;
	call(identity, body, &r);
	cox_buf_fini(&r.message);
	if (r.status != status || !strstr(r.text, text))
		fail_msg("status %d \"%s\", not %d \"%s\"", r.status, r.text, status, text);
}

/* A request for the key of the world; the CSR names somebody else. */
static struct cox_buf request(int64_t validity_s, const char *impersonated)
{
	struct cox_buf csr = { 0 }, out = { 0 };
	struct cox_pb pb;
	assert_int_equal(cox_csr_make(cox_buf_str(&w->key), COX_STR("spiffe://td/ns/kube-system/sa/admin"), &csr, NULL), COX_OK);
	cox_pb_init(&pb, &out);
	PB_ROOT (r, pb_istio_v1_auth_IstioCertificateRequest, &pb) {
		pb_istio_v1_auth_IstioCertificateRequest_csr(r, cox_buf_str(&csr));
		pb_istio_v1_auth_IstioCertificateRequest_validity_duration(r, validity_s);
		if (impersonated)
			PB_WITH (s, pb_istio_v1_auth_IstioCertificateRequest_metadata(r)) {
				cox_struct_put_str(s, COX_STR("CertSigner"), COX_STR("x"));
				cox_struct_put_str(s, COX_STR("ImpersonatedIdentity"), cox_str_of(impersonated));
			}
	}
	cox_buf_fini(&csr);
	return out;
}

#define FOO "spiffe://td/ns/foo/sa/bar"
#define ZTUNNEL "spiffe://td/ns/kube-system/sa/ztunnel"
enum {
	OK = 0,
	CANCELLED = 1,
	INVALID_ARGUMENT = 3,
	PERMISSION_DENIED = 7,
	RESOURCE_EXHAUSTED = 8,
	INTERNAL = 13,
	UNAVAILABLE = 14,
	UNAUTHENTICATED = 16
};

static double metric(enum cox_metric m, const char *label) { return cox_series_get(cox_metric_series(m, cox_str_of(label))); }

static void test_issue(void **state)
{
	(void)state;
	struct result r;
	struct cox_buf q = request(1234, NULL);
	double issued = metric(COX_M_CERTS_ISSUED, NULL), asked = metric(COX_M_CSR_COUNT, NULL);
	call(FOO, cox_buf_str(&q), &r);
	assert_int_equal(r.status, OK);
	assert_string_equal(w->uris, FOO " "); /* never the CSR's */
	assert_string_equal(w->caller_word, "xfcc");
	assert_int_equal(w->ttl_s, 1234);
	assert_true(w->spki_n > 80);
	struct cox_pb_reader reader = cox_pb_reader(cox_buf_str(&r.message));
	struct cox_pb_field f;
	struct cox_str items[8];
	size_t n = 0;
	while (cox_pb_next(&reader, &f) && n < 8)
		items[n++] = cox_pb_as_str(&reader, &f);
	assert_int_equal(n, 4); /* leaf, two intermediates, all roots in one */
	assert_true(cox_str_eq_cstr(items[0], "LEAF\n"));
	assert_true(cox_str_has_prefix(items[1], COX_STR("-----BEGIN CERTIFICATE")) &&
	            cox_str_has_prefix(items[2], COX_STR("-----BEGIN CERTIFICATE")));
	assert_true(cox_str_eq_cstr(items[3], "ROOT1\nROOT2\n"));
	assert_true(metric(COX_M_CERTS_ISSUED, NULL) == issued + 1 && metric(COX_M_CSR_COUNT, NULL) == asked + 1);
	struct cox_arena arena = { 0 };
	struct cox_json *dump = cox_ledger_dump(w->ledger, &arena);
	assert_int_equal(dump->n, 1);
	assert_true(cox_str_eq_cstr(cox_json_str_at(&dump->items[0], "identity"), FOO));
	cox_arena_fini(&arena);
	cox_buf_fini(&r.message);
	/* a certificate of an alias gets one of our own trust domain */
	call("spiffe://old-td/ns/foo/sa/bar", cox_buf_str(&q), &r);
	assert_int_equal(r.status, OK);
	assert_string_equal(w->uris, FOO " ");
	cox_buf_fini(&r.message);
	cox_buf_fini(&q);
}

static void test_refused(void **state)
{
	(void)state;
	struct cox_buf q = request(0, NULL);
	expect("", cox_buf_str(&q), UNAUTHENTICATED, "client certificate: none; bearer token: none; XFCC: none");
	expect("spiffe://other/ns/a/sa/b", cox_buf_str(&q), UNAUTHENTICATED, "trust domain \"other\" is not ours");
	expect(FOO, COX_STR(""), INVALID_ARGUMENT, "no CSR in the request");
	expect(FOO, COX_STR("\x0a\xff"), INVALID_ARGUMENT, "protobuf");
	expect(FOO, COX_STR("\x0a\x03\x31\x32\x33"), INVALID_ARGUMENT, "");
	struct cox_buf big = { 0 };
	memset(cox_buf_reserve(&big, COX_CSR_REQUEST_BYTES_MAX + 1), 'x', COX_CSR_REQUEST_BYTES_MAX + 1);
	big.n = COX_CSR_REQUEST_BYTES_MAX + 1;
	expect(FOO, cox_buf_str(&big), INVALID_ARGUMENT, "longer than a CSR");
	cox_buf_fini(&big);
	/* one bit of the request's signature */
	struct cox_buf forged = request(0, NULL);
	for (size_t i = forged.n - 60; i < forged.n; i++)
		if (forged.p[i] >= 'a' && forged.p[i] <= 'y') { /* base64, and the letter after it, too */
			forged.p[i]++;
			break;
		}
	expect(FOO, cox_buf_str(&forged), INVALID_ARGUMENT, "");
	cox_buf_fini(&forged);
	assert_int_equal(w->signatures, 0);
	static const struct {
		enum cox_rc says;
		int status;
	} answers[] = { { COX_EINVAL, INVALID_ARGUMENT },
		        { COX_EAGAIN, UNAVAILABLE },
		        { COX_ELIMIT, RESOURCE_EXHAUSTED },
		        { COX_EIO, INTERNAL },
		        { COX_EINTERNAL, INTERNAL } };
	for (size_t i = 0; i < COX_LEN(answers); i++) {
		double errors = metric(COX_M_CSR_SIGN_ERRORS, cox_rc_name(answers[i].says));
		w->says = answers[i].says;
		expect(FOO, cox_buf_str(&q), answers[i].status, "the signer says no");
		assert_true(metric(COX_M_CSR_SIGN_ERRORS, cox_rc_name(answers[i].says)) == errors + 1);
	}
	cox_buf_fini(&q);
}

static void test_rate(void **state)
{
	(void)state;
	struct cox_buf q = request(0, NULL);
	for (int i = 0; i < 10; i++)
		expect(FOO, cox_buf_str(&q), OK, "");
	double limited = metric(COX_M_CSR_REFUSED, "rate");
	expect(FOO, cox_buf_str(&q), RESOURCE_EXHAUSTED, "too many certificates for " FOO);
	assert_true(metric(COX_M_CSR_REFUSED, "rate") == limited + 1);
	expect("spiffe://td/ns/foo/sa/other", cox_buf_str(&q), OK, "");
	cox_buf_fini(&q);
}

static void test_impersonation(void **state)
{
	(void)state;
	struct cox_buf q = request(0, FOO), foreign = request(0, "spiffe://old-td/ns/foo/sa/bar"), broken = request(0, "foo/bar"),
	               empty = request(0, "");
	expect("spiffe://td/ns/foo/sa/x", cox_buf_str(&q), UNAUTHENTICATED, "foo/x may not act for others");
	expect(ZTUNNEL, cox_buf_str(&q), UNAUTHENTICATED, "no pod of bar on the node");
	w->may_impersonate = true;
	expect(ZTUNNEL, cox_buf_str(&foreign), UNAUTHENTICATED, "trust domain \"old-td\" is not ours");
	expect(ZTUNNEL, cox_buf_str(&broken), UNAUTHENTICATED, "ImpersonatedIdentity: ");
	assert_int_equal(w->signatures, 0);
	expect(ZTUNNEL, cox_buf_str(&q), OK, "");
	assert_string_equal(w->uris, FOO " ");
	assert_string_equal(w->caller_word, "xfcc by " ZTUNNEL);
	expect(ZTUNNEL, cox_buf_str(&empty), OK, "");
	assert_string_equal(w->uris, ZTUNNEL " ");
	cox_buf_fini(&q), cox_buf_fini(&foreign), cox_buf_fini(&broken), cox_buf_fini(&empty);
}

static void on_revoked(void *ctx, enum cox_rc rc, size_t n, const struct cox_err *err)
{
	(void)n, (void)err;
	assert_int_equal(rc, COX_OK);
	*(bool *)ctx = true;
}

static void test_revoked(void **state)
{
	(void)state;
	struct cox_buf q = request(0, NULL), for_foo = request(0, FOO);
	bool is_done = false;
	run(20);
	cox_ledger_revoke(w->ledger, &(struct cox_revoke){ .identity = COX_STR(FOO), .reason = COX_STR("stolen") }, on_revoked, &is_done);
	for (int i = 0; i < 500 && !is_done; i++)
		run(5);
	assert_true(is_done);
	expect(FOO, cox_buf_str(&q), PERMISSION_DENIED, "");
	w->may_impersonate = true;
	expect(ZTUNNEL, cox_buf_str(&for_foo), PERMISSION_DENIED, "");
	expect(ZTUNNEL, cox_buf_str(&q), OK, "");
	cox_buf_fini(&q), cox_buf_fini(&for_foo);
}

/* A caller goes while its certificate is being signed; then the server and its loop go. The signature comes later and harms nobody. */
static void test_gone(void **state)
{
	(void)state;
	struct cox_buf q = request(0, NULL);
	struct result r;
	w->is_holding = true;
	struct cox_grpc_call *c = call_open(FOO, cox_buf_str(&q), &r);
	for (int i = 0; i < 1000 && !w->held.done; i++)
		run(5);
	assert_non_null(w->held.done);
	cox_grpc_call_cancel(&c);
	run(30);
	cox_grpc_client_close(&w->client);
	cox_grpc_server_close(&w->server, on_closed, &w->is_closed);
	for (int i = 0; i < 500 && !w->is_closed; i++)
		run(5);
	cox_csr_service_close(&w->service);
	struct cox_err err = { 0 };
	w->held.done(w->held.ctx, COX_ECANCELED, NULL, &err);
	cox_buf_fini(&q);
}

static void test_settings(void **state)
{
	(void)state;
	static const char *const bad[] = { "x", "/x", "x/", "a/b/c", "a/b,c" };
	struct cox_csr_service *s;
	struct cox_err err = { 0 };
	for (size_t i = 0; i < COX_LEN(bad); i++) {
		assert_int_equal(
		    cox_csr_service_open(&(struct cox_csr_service_spec){ .trusted_node_accounts = cox_str_of(bad[i]) }, &s, &err),
		    COX_EINVAL);
		assert_non_null(strstr(err.text, "CA_TRUSTED_NODE_ACCOUNTS"));
	}
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = { T(test_issue),
		                            T(test_refused),
		                            T(test_rate),
		                            T(test_impersonation),
		                            T(test_revoked),
		                            T(test_gone),
		                            cmocka_unit_test(test_settings) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
