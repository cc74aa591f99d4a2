/* Who is calling: certificates, tokens reviewed by a made kube-apiserver, tokens of a made issuer, XFCC; caches, limits and what is cut
 * off. covers: c24 c25 c26 c27 c28 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/clock.h"
#include "base/metric.h"
#include "ca/authn.h"
#include "ca/tokens.h"
#include "codec/b64.h"
#include "net/httpd.h"

#include <openssl/x509v3.h>
#include <stdatomic.h>
#include <stdio.h>

/* --- the world: an issuer and a kube-apiserver in one HTTP server, a config loop run by the test, a loop of callers ------------------- */

struct world {
	struct cox_loop *config, *caller;
	struct cox_httpd *httpd;
	uint16_t port;
	_Atomic int reviews, fetches, status; /* status: what the kube-apiserver answers with; 0: well */
	_Atomic bool is_refusing;
	char *_Atomic jwks;
	char discovery[256];
	struct cox_kube_client *kube;
	struct cox_authn *authn;
	char issuer[64];
};

static void on_review(void *ctx, struct cox_httpd_request *r)
{
	struct world *w = ctx;
	const char *answer =
	    w->is_refusing
	        ? "{\"kind\":\"TokenReview\",\"status\":{\"authenticated\":false,\"error\":\"no such account\"}}"
	        : "{\"kind\":\"TokenReview\",\"status\":{\"authenticated\":true,\"audiences\":[\"istio-ca\"],\"user\":{\"username\":\"system:serviceaccount:foo:bar\","
	          "\"groups\":[\"system:serviceaccounts\"],\"extra\":{\"authentication.kubernetes.io/node-name\":[\"node-1\"]}}}}";
	atomic_fetch_add(&w->reviews, 1);
	cox_httpd_reply(r, w->status ? w->status : 201, "application/json", cox_str_of(w->status ? "{}" : answer));
}

static void on_keys(void *ctx, struct cox_httpd_request *r)
{
	struct world *w = ctx;
	atomic_fetch_add(&w->fetches, 1);
	if (cox_str_eq_cstr(cox_httpd_path(r), "/.well-known/openid-configuration"))
		cox_httpd_reply(r, 200, "application/json", cox_str_of(w->discovery));
	else
		cox_httpd_reply(r, w->jwks ? 200 : 503, "application/json", cox_str_of(w->jwks));
}

static void world_init(struct world *w, const char *jwt_rule, unsigned reviews_per_s)
{
	*w = (struct world){ 0 };
	static struct cox_httpd_route routes[3];
	struct cox_err err = { 0 };
	routes[0] = (struct cox_httpd_route){ "POST", "/apis/authentication.k8s.io/v1/tokenreviews", on_review, w };
	routes[1] = (struct cox_httpd_route){ "GET", "/keys", on_keys, w };
	routes[2] = (struct cox_httpd_route){ "GET", "/.well-known/openid-configuration", on_keys, w };
	struct cox_httpd_spec spec = { .routes = routes, .route_count = 3, .connections_per_ip = 256 };
	assert_int_equal(cox_addr_parse(COX_STR("127.0.0.1:0"), &spec.addr, &err), COX_OK);
	assert_int_equal(cox_httpd_open(&spec, &w->httpd, &w->port, &err), COX_OK);
	snprintf(w->issuer, sizeof(w->issuer), "http://127.0.0.1:%u", w->port);
	snprintf(w->discovery, sizeof(w->discovery), "{\"issuer\":\"%s\",\"jwks_uri\":\"%s/keys\"}", w->issuer, w->issuer);
	w->config = cox_loop_new("config");
	w->caller = cox_loop_new("caller");
	struct cox_kube_config config = { 0 };
	config.server = cox_arena_str(&config.arena, cox_str_of(w->issuer));
	w->kube = cox_kube_client_new_take(w->config, &config, &(struct cox_kube_client_spec){ .qps = 10000, .burst = 10000 });
	struct cox_buf rule = { 0 }; /* '@' is the issuer */
	for (const char *p = jwt_rule ? jwt_rule : ""; *p; p++)
		cox_buf_append_str(&rule, *p == '@' ? cox_str_of(w->issuer) : cox_str_make(p, 1));
	assert_int_equal(cox_authn_open(&(struct cox_authn_spec){ .loop = w->config,
	                                                          .kube = w->kube,
	                                                          .trust_domain = COX_STR("mesh.test"),
	                                                          .cluster_id = COX_STR("c1"),
	                                                          .jwt_rule = cox_buf_str(&rule),
	                                                          .trusted_gateway_cidrs = COX_STR("10.9.0.0/16"),
	                                                          .reviews_per_s = reviews_per_s },
	                                &w->authn, &err),
	                 COX_OK);
	cox_buf_fini(&rule);
}

static bool never(void *arg)
{
	(void)arg;
	return false;
}

static void world_fini(struct world *w)
{
	cox_authn_close(&w->authn);
	cox_kube_client_free(&w->kube);
	cox_loop_run_until(w->config, never, NULL, 20);
	cox_loop_run_until(w->caller, never, NULL, 20);
	cox_httpd_close(&w->httpd);
	cox_loop_free(&w->caller);
	cox_loop_free(&w->config);
	cox_free(w->jwks);
}

struct call {
	struct cox_authn_ticket *ticket;
	int done;
	enum cox_rc rc;
	const struct cox_identity *who;
	struct cox_err err;
};
static void on_done(void *ctx, enum cox_rc rc, const struct cox_identity *who, const struct cox_err *err)
{
	struct call *c = ctx;
	assert_null(c->ticket);
	c->done++;
	c->rc = rc;
	c->who = who ? cox_identity_ref(who) : NULL;
	c->err = *err;
}
static void call_start(struct world *w, struct call *c, const struct cox_credentials *with)
{
	*c = (struct call){ 0 };
	cox_authn_check(w->authn, w->caller, with, on_done, c, &c->ticket);
}
struct finished {
	struct world *w;
	struct call *calls;
	size_t n;
};
static bool is_finished(void *arg)
{
	struct finished *f = arg;
	cox_loop_run_until(f->w->caller, never, NULL, 1);
	for (size_t i = 0; i < f->n; i++)
		if (!f->calls[i].done)
			return false;
	return true;
}
static void calls_wait(struct world *w, struct call *calls, size_t n)
{
	assert_true(cox_loop_run_until(w->config, is_finished, &(struct finished){ w, calls, n }, 15000));
}
/* One call from start to end; the identity is the caller's. */
static struct call call(struct world *w, const struct cox_credentials *with)
{
	struct call *c = COX_NEW(struct call), out;
	call_start(w, c, with);
	calls_wait(w, c, 1);
	assert_int_equal(c->done, 1);
	out = *c;
	cox_free(c);
	return out;
}
static void expect_yes(struct world *w, const struct cox_credentials *with, enum cox_authn_how how, const char *uri)
{
	struct call c = call(w, with);
	assert_int_equal(c.rc, COX_OK);
	assert_int_equal(c.who->how, how);
	assert_true(cox_str_eq_cstr(c.who->uris[0], uri));
	cox_identity_unref(c.who);
}
static void expect_no(struct world *w, const struct cox_credentials *with, enum cox_rc rc, const char *text)
{
	struct call c = call(w, with);
	assert_null(c.who);
	assert_int_equal(c.rc, rc);
	if (!strstr(c.err.text, text))
		fail_msg("\"%s\" is not in \"%s\"", text, c.err.text);
}

/* A token that a kube-apiserver could have signed: only its form and end are looked at here. Static text. */
static struct cox_credentials kube_token(int number, int64_t exp_in_s)
{
	static char text[8][512];
	struct cox_buf b = { 0 };
	char claims[128];
	snprintf(claims, sizeof(claims), "{\"iss\":\"kube\",\"exp\":%lld,\"jti\":\"%d\"}",
	         (long long)(cox_clock_wall_ms() / 1000 + exp_in_s), number);
	cox_buf_append_cstr(&b, "bearer ");
	cox_b64url_encode(&b, COX_STR("{\"alg\":\"RS256\"}"));
	cox_buf_append_char(&b, '.');
	cox_b64url_encode(&b, cox_str_of(claims));
	cox_buf_append_cstr(&b, ".c2ln");
	char *place = text[number % 8];
	snprintf(place, sizeof(text[0]), "%s", cox_buf_cstr(&b));
	cox_buf_fini(&b);
	return (struct cox_credentials){ .authorization = cox_str_of(place), .peer_address = "10.0.0.1:1" };
}

/* --- client certificates ---------------------------------------------------------------------------------------------------------------
 */

static struct cox_str make_cert(int64_t from_s, int64_t to_s)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *x = X509_new();
	X509_set_version(x, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(x), 0xabcd);
	X509_gmtime_adj(X509_getm_notBefore(x), from_s);
	X509_gmtime_adj(X509_getm_notAfter(x), to_s);
	X509_set_pubkey(x, key);
	X509_sign(x, key, EVP_sha256());
	unsigned char *der = NULL, *copy;
	int n = i2d_X509(x, &der);
	copy = cox_alloc((size_t)n);
	memcpy(copy, der, (size_t)n);
	OPENSSL_free(der);
	X509_free(x);
	EVP_PKEY_free(key);
	return cox_str_make(copy, (size_t)n);
}

static void test_certificate(void **state)
{
	(void)state;
	struct world w;
	world_init(&w, NULL, 0);
	struct cox_str der = make_cert(-60, 600), old = make_cert(-600, -60);
	struct cox_str uris[] = { COX_STR("spiffe://mesh.test/ns/foo/sa/bar"), COX_STR("spiffe://old.test/ns/foo/sa/bar"),
		                  COX_STR("https://example.com") };
	struct cox_tls_peer peer = { .is_tls = true, .is_verified = true, .cert_der = der, .uris = uris, .uri_count = 3 };
	struct cox_credentials with = { .peer = &peer, .peer_address = "10.0.0.1:1" };
	struct call c = call(&w, &with);
	assert_int_equal(c.rc, COX_OK);
	assert_int_equal(c.who->how, COX_AUTHN_CERT);
	assert_int_equal(c.who->uri_n, 1); /* neither the foreign trust domain nor what is no SPIFFE ID */
	assert_true(cox_str_eq_cstr(c.who->cert_serial, "abcd"));
	cox_identity_unref(c.who);
	peer.uris = uris + 1, peer.uri_count = 2;
	expect_no(&w, &with, COX_EAUTH, "client certificate: \"https://example.com\" is no SPIFFE ID");
	peer.uri_count = 1;
	expect_no(&w, &with, COX_EAUTH, "client certificate: trust domain \"old.test\" is not ours");
	cox_authn_set_trust(w.authn, COX_STR("mesh.test"), &COX_STR("old.test"), 1);
	expect_yes(&w, &with, COX_AUTHN_CERT, "spiffe://old.test/ns/foo/sa/bar");
	cox_authn_set_trust(w.authn, COX_STR("old.test"), NULL, 0); /* the mesh changes its trust domain, and back */
	expect_yes(&w, &with, COX_AUTHN_CERT, "spiffe://old.test/ns/foo/sa/bar");
	cox_authn_set_trust(w.authn, COX_STR("mesh.test"), NULL, 0);
	cox_authn_set_trust(w.authn, COX_STR("No Trust Domain"), NULL, 0);
	peer.uris = uris, peer.uri_count = 1, peer.is_verified = false;
	expect_no(&w, &with, COX_EAUTH, "client certificate: not verified");
	peer.is_verified = true, peer.cert_der = old;
	expect_no(&w, &with, COX_EAUTH, "client certificate: expired on this connection");
	peer.cert_der = (struct cox_str){ 0 };
	expect_no(&w, &with, COX_EAUTH, "client certificate: none");
	with.peer = NULL;
	expect_no(&w, &with, COX_EAUTH, "client certificate: none; bearer token: none; XFCC: none");
	cox_free((void *)(uintptr_t)der.p);
	cox_free((void *)(uintptr_t)old.p);
	world_fini(&w);
}

static void test_xfcc(void **state)
{
	(void)state;
	struct world w;
	world_init(&w, NULL, 0);
	struct cox_str lines[] = { COX_STR("URI=spiffe://mesh.test/ns/kube-system/sa/admin"),
		                   COX_STR("Hash=1;URI=spiffe://mesh.test/ns/foo/sa/bar") };
	struct cox_credentials with = { .xfcc = lines, .xfcc_n = 2, .peer_address = "10.9.1.1:1" };
	expect_yes(&w, &with, COX_AUTHN_XFCC, "spiffe://mesh.test/ns/foo/sa/bar");
	with.peer_address = "10.8.1.1:1";
	expect_no(&w, &with, COX_EAUTH, "XFCC: 10.8.1.1:1 is not a trusted gateway");
	with.peer_is_loopback = true;
	expect_yes(&w, &with, COX_AUTHN_XFCC, "spiffe://mesh.test/ns/foo/sa/bar");
	lines[1] = COX_STR("Hash=1");
	expect_no(&w, &with, COX_EAUTH, "XFCC: no URI in it");
	world_fini(&w);
}

/* --- TokenReview
 * --------------------------------------------------------------------------------------------------------------------------- */

static void test_review(void **state)
{
	(void)state;
	struct world w;
	world_init(&w, NULL, 0);
	struct cox_credentials one = kube_token(1, 600), two = kube_token(2, 600), spent = kube_token(3, -60), foreign = kube_token(4, 600);
	struct call calls[50];
	for (size_t i = 0; i < COX_LEN(calls); i++)
		call_start(&w, &calls[i], &one);
	calls_wait(&w, calls, COX_LEN(calls));
	for (size_t i = 0; i < COX_LEN(calls); i++) {
		assert_int_equal(calls[i].rc, COX_OK);
		assert_true(cox_str_eq_cstr(calls[i].who->node_name, "node-1"));
		cox_identity_unref(calls[i].who);
	}
	expect_yes(&w, &one, COX_AUTHN_TOKEN_REVIEW, "spiffe://mesh.test/ns/foo/sa/bar");
	assert_int_equal(w.reviews, 1); /* fifty askers, and one later */
	w.is_refusing = true;
	expect_no(&w, &two, COX_EAUTH, "TokenReview: the kube-apiserver does not accept the token: no such account");
	w.is_refusing = false;
	expect_no(&w, &two, COX_EAUTH, "no such account"); /* remembered for a short time */
	assert_int_equal(w.reviews, 2);
	expect_no(&w, &spent, COX_EAUTH, "TokenReview: the token expired 6");
	foreign.cluster_id = COX_STR("c2");
	expect_no(&w, &foreign, COX_EAUTH, "cluster \"c2\" is not known");
	struct cox_credentials junk = { .authorization = COX_STR("Bearer junk"), .peer_address = "10.0.0.1:1" };
	expect_no(&w, &junk, COX_EAUTH, "not three parts");
	assert_int_equal(w.reviews, 2); /* none of these was worth a question */
	foreign.cluster_id = COX_STR("c1");
	expect_yes(&w, &foreign, COX_AUTHN_TOKEN_REVIEW, "spiffe://mesh.test/ns/foo/sa/bar");
	world_fini(&w);
}

/* The kube-apiserver has trouble, with us or with itself: callers may try again, and nothing is remembered. */
static void test_review_unavailable(void **state)
{
	(void)state;
	struct world w;
	world_init(&w, NULL, 0);
	struct cox_credentials one = kube_token(1, 600);
	static const int statuses[] = { 500, 503, 403, 404 };
	for (size_t i = 0; i < COX_LEN(statuses); i++) {
		w.status = statuses[i];
		expect_no(&w, &one, COX_EAGAIN, "the kube-apiserver cannot be asked now");
	}
	w.status = 0;
	expect_yes(&w, &one, COX_AUTHN_TOKEN_REVIEW, "spiffe://mesh.test/ns/foo/sa/bar");
	/* XFCC comes after it and may still say yes */
	struct cox_str line = COX_STR("URI=spiffe://mesh.test/ns/foo/sa/x");
	struct cox_credentials both = kube_token(2, 600);
	both.xfcc = &line, both.xfcc_n = 1, both.peer_is_loopback = true;
	w.status = 500;
	expect_yes(&w, &both, COX_AUTHN_XFCC, "spiffe://mesh.test/ns/foo/sa/x");
	world_fini(&w);
}

static void test_review_rate(void **state)
{
	(void)state;
	struct world w;
	world_init(&w, NULL, 5);
	struct call calls[8];
	int64_t start = cox_clock_mono_ms();
	for (int i = 0; i < 8; i++) {
		struct cox_credentials c = kube_token(i, 600);
		call_start(&w, &calls[i], &c);
	}
	calls_wait(&w, calls, 8);
	assert_true(cox_clock_mono_ms() - start >= 550); /* five at once, three at five a second */
	for (int i = 0; i < 8; i++) {
		assert_int_equal(calls[i].rc, COX_OK);
		cox_identity_unref(calls[i].who);
	}
	assert_int_equal(w.reviews, 8);
	world_fini(&w);
}

/* Askers go, the whole goes: nobody is called who canceled, all others are. */
static void test_cut_off(void **state)
{
	(void)state;
	struct world w;
	world_init(&w, NULL, 1);
	struct call calls[6];
	for (int i = 0; i < 6; i++) {
		struct cox_credentials c = kube_token(i, 600);
		call_start(&w, &calls[i], &c);
	}
	cox_authn_cancel(&calls[0].ticket);
	assert_null(calls[0].ticket);
	cox_loop_run_until(w.config, never, NULL, 100); /* one is asked, the others wait for the rate */
	cox_authn_cancel(&calls[2].ticket);
	cox_authn_close(&w.authn);
	cox_loop_run_until(w.caller, never, NULL, 50);
	for (int i = 0; i < 6; i++) {
		assert_int_equal(calls[i].done, i != 0 && i != 2);
		if (calls[i].done)
			assert_int_equal(calls[i].rc, COX_ECANCELED);
	}
	world_fini(&w);
}

/* --- JWT
 * ------------------------------------------------------------------------------------------------------------------------------------- */

static struct cox_str sign(struct world *w, cjose_jwk_t *key, const char *alg, const char *sub, const char *aud, int exp_in_s)
{
	char claims[256];
	struct cox_buf b = { 0 };
	snprintf(claims, sizeof(claims), "{\"iss\":\"%s\",\"sub\":\"%s\",\"aud\":[\"%s\"],\"exp\":%lld}", w->issuer, sub, aud,
	         (long long)(cox_clock_wall_ms() / 1000 + exp_in_s));
	char *token = tokens_sign(key, alg, true, claims);
	cox_buf_printf(&b, "Bearer %s", token);
	cox_free(token);
	return cox_buf_str(&b);
}
static void try_jwt(struct world *w, cjose_jwk_t *key, const char *sub, const char *aud, int exp_in_s, enum cox_rc rc, const char *text)
{
	struct cox_credentials with = { .authorization = sign(w, key, "ES256", sub, aud, exp_in_s), .peer_address = "10.0.0.1:1" };
	if (rc == COX_OK)
		expect_yes(w, &with, COX_AUTHN_JWT, text);
	else
		expect_no(w, &with, rc, text);
	cox_free((void *)(uintptr_t)with.authorization.p);
}

static void test_jwt(void **state)
{
	(void)state;
	struct world w;
	cjose_jwk_t *keys[] = { tokens_ec("one", CJOSE_JWK_EC_P_256), tokens_ec("two", CJOSE_JWK_EC_P_256) };
	world_init(&w, "{\"issuer\":\"@\",\"audiences\":[\"vm\"],\"jwksUri\":\"@/keys\"}", 0);
	w.is_refusing = true;
	/* the issuer has no keys yet: Unavailable, then they come without anybody asking for them again */
	try_jwt(&w, keys[0], "system:serviceaccount:foo:vm", "vm", 600, COX_EAGAIN, "the keys of issuer");
	w.jwks = tokens_jwks(keys, 1, "");
	cox_loop_run_until(w.config, never, NULL, 1500);
	try_jwt(&w, keys[0], "system:serviceaccount:foo:vm", "vm", 600, COX_OK, "spiffe://mesh.test/ns/foo/sa/vm");
	assert_int_equal(w.reviews, 1); /* of the first, which could not be said no to; this one never reached the kube-apiserver */
	try_jwt(&w, keys[0], "system:serviceaccount:foo:vm", "istio-ca", 600, COX_EAUTH, "JWT: the token is for \"istio-ca\", not for us");
	try_jwt(&w, keys[0], "system:serviceaccount:foo:vm", "vm", -60, COX_EAUTH, "JWT: the token expired 6");
	try_jwt(&w, keys[0], "system:node:foo", "vm", 600, COX_EAUTH, "JWT: subject \"system:node:foo\" is not system:serviceaccount:");
	try_jwt(&w, keys[0], "system:serviceaccount:foo:../x", "vm", 600, COX_EAUTH, "JWT: ");
	int before = w.fetches;
	try_jwt(&w, keys[1], "system:serviceaccount:foo:vm", "vm", 600, COX_EAUTH, "JWT: no key \"two\" for ES256");
	assert_int_equal(w.fetches, before); /* too soon after the last one to fetch for a name that anybody can make up */
	for (size_t i = 0; i < COX_LEN(keys); i++)
		cjose_jwk_release(keys[i]);
	world_fini(&w);
}

/* No jwksUri: the issuer's own document says where. No audiences: those of tokens. */
static void test_jwt_discovery(void **state)
{
	(void)state;
	struct world w;
	cjose_jwk_t *key = tokens_ec("one", CJOSE_JWK_EC_P_256);
	world_init(&w, "{\"issuer\":\"@\"}", 0);
	w.jwks = tokens_jwks(&key, 1, "");
	try_jwt(&w, key, "system:serviceaccount:foo:vm", "istio-ca", 600, COX_OK, "spiffe://mesh.test/ns/foo/sa/vm");
	assert_int_equal(w.fetches, 2);
	cjose_jwk_release(key);
	world_fini(&w);
	/* a document of somebody else */
	key = tokens_ec("one", CJOSE_JWK_EC_P_256);
	world_init(&w, "{\"issuer\":\"@\"}", 0);
	w.jwks = tokens_jwks(&key, 1, "");
	snprintf(w.discovery, sizeof(w.discovery), "{\"issuer\":\"http://evil\",\"jwks_uri\":\"%s/keys\"}", w.issuer);
	w.is_refusing = true;
	try_jwt(&w, key, "system:serviceaccount:foo:vm", "istio-ca", 600, COX_EAGAIN, "the keys of issuer");
	cjose_jwk_release(key);
	world_fini(&w);
}

static void test_bad_settings(void **state)
{
	(void)state;
	struct cox_loop *loop = cox_loop_new("config");
	static const struct {
		const char *rule, *cidrs, *audiences, *domain, *text;
	} cases[] = {
		{ "", "", "", "Mesh", "\"Mesh\" is no trust domain" },
		{ "", "10.0.0.0/99", "", "m", "TRUSTED_GATEWAY_CIDR: \"10.0.0.0/99\"" },
		{ "", "", " , ", "m", "TOKEN_AUDIENCES" },
		{ "{", "", "", "m", "JWT_RULE" },
		{ "[]", "", "", "m", "JWT_RULE: must be a JSON object" },
		{ "{}", "", "", "m", "JWT_RULE: is required" },
		{ "{\"issuer\":\"x\"}", "", "", "m", "is required where the issuer is no URL" },
		{ "{\"issuer\":\"x\",\"jwksUri\":\"file:///etc/passwd\"}", "", "", "m", "is no http or https URL" },
		{ "{\"issuer\":\"x\",\"jwksUri\":\"http://a\",\"jwks\":\"{}\"}", "", "", "m", "exclude each other" },
		{ "{\"issuer\":\"x\",\"jwks\":\"{}\"}", "", "", "m", "a key set has a list of keys" },
		{ "{\"issuer\":\"x\",\"audiences\":[],\"jwksUri\":\"http://a\"}", "", "", "m", "must be a list of texts" },
		{ "{\"issuer\":\"x\",\"audiences\":[1],\"jwksUri\":\"http://a\"}", "", "", "m", "must be a list of texts" },
	};
	for (size_t i = 0; i < COX_LEN(cases); i++) {
		struct cox_authn *a = NULL;
		struct cox_err err = { 0 };
		assert_int_equal(cox_authn_open(&(struct cox_authn_spec){ .loop = loop,
		                                                          .audiences = cox_str_of(cases[i].audiences),
		                                                          .trust_domain = cox_str_of(cases[i].domain),
		                                                          .jwt_rule = cox_str_of(cases[i].rule),
		                                                          .trusted_gateway_cidrs = cox_str_of(cases[i].cidrs) },
		                                &a, &err),
		                 COX_EINVAL);
		if (!strstr(err.text, cases[i].text))
			fail_msg("\"%s\" is not in \"%s\"", cases[i].text, err.text);
	}
	cox_loop_free(&loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_certificate),  cmocka_unit_test(test_xfcc),
		cmocka_unit_test(test_review),       cmocka_unit_test(test_review_unavailable),
		cmocka_unit_test(test_review_rate),  cmocka_unit_test(test_cut_off),
		cmocka_unit_test(test_jwt),          cmocka_unit_test(test_jwt_discovery),
		cmocka_unit_test(test_bad_settings),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
