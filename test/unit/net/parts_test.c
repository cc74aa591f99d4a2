/* Addresses, gRPC's plain bytes, TLS contexts and gRPC over TLS with client certificates.
 * covers: g2 c26 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "net/addr.h"
#include "net/grpc_client.h"
#include "net/grpc_frame.h"
#include "net/grpc_server.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>

/* --- addresses --- */

static void test_addr(void **state)
{
	(void)state;
	static const struct {
		const char *text, *host, *path;
		int port;
	} good[] = { { ":15010", "", "", 15010 },          { "[::]:15010", "::", "", 15010 },
		     { "1.2.3.4:80", "1.2.3.4", "", 80 },  { "istiod.istio-system.svc:15012", "istiod.istio-system.svc", "", 15012 },
		     { "[::1]:0", "::1", "", 0 },          { "unix:/run/x", "", "/run/x", 0 },
		     { "unix:///run/x", "", "/run/x", 0 }, { "unix:@name", "", "@name", 0 } };
	struct cox_addr a;
	char buf[400];
	for (size_t i = 0; i < COX_LEN(good); i++) {
		assert_int_equal(cox_addr_parse(cox_str_of(good[i].text), &a, NULL), COX_OK);
		assert_string_equal(a.host, good[i].host);
		assert_string_equal(a.unix_path, good[i].path);
		assert_int_equal(a.port, good[i].port);
		struct cox_addr again;
		assert_int_equal(cox_addr_parse(cox_str_of(cox_addr_format(&a, buf, sizeof(buf))), &again, NULL), COX_OK);
		assert_string_equal(again.host, a.host);
		assert_string_equal(again.unix_path, a.unix_path);
	}
	static const char *const bad[] = { "",       "host",   "host:",       "host:x", "host:65536", "host:-1",
		                           "::1:80", "a b:80", "http://x:80", "unix:",  "1:2:3" };
	struct cox_err err;
	for (size_t i = 0; i < COX_LEN(bad); i++) {
		err.text[0] = 0;
		assert_int_equal(cox_addr_parse(cox_str_of(bad[i]), &a, &err), COX_EINVAL);
		assert_true(err.text[0] != 0);
	}
	memset(buf, 'x', sizeof(buf));
	assert_int_equal(cox_addr_parse(cox_str_make(buf, sizeof(buf)), &a, NULL), COX_EINVAL);
	struct sockaddr_storage sa;
	socklen_t n;
	assert_int_equal(cox_addr_parse(COX_STR("name.example:1"), &a, NULL), COX_OK);
	assert_int_equal(cox_addr_to_sockaddr(&a, &sa, &n), COX_ENOTFOUND);
	assert_int_equal(cox_addr_parse(COX_STR("[::ffff:10.0.0.1]:99"), &a, NULL), COX_OK);
	assert_int_equal(cox_addr_to_sockaddr(&a, &sa, &n), COX_OK);
	assert_string_equal(cox_sockaddr_format(&sa, n, buf, sizeof(buf)), "10.0.0.1:99");
}

/* --- frames --- */

struct got {
	int n;
	size_t last;
	int stop_after;
};
static bool on_message(void *ctx, struct cox_str m)
{
	struct got *g = ctx;
	g->last = m.n;
	return ++g->n != g->stop_after;
}

static void test_deframe(void **state)
{
	(void)state;
	static const uint8_t three[] = { 0, 0, 0, 0, 1, 'a', 0, 0, 0, 0, 0, 0, 0, 0, 0, 3, 'x', 'y', 'z' };
	for (size_t step = 1; step <= sizeof(three); step++) {
		struct cox_grpc_deframer d = { 0 };
		struct got g = { 0 };
		for (size_t at = 0; at < sizeof(three); at += step)
			assert_int_equal(cox_grpc_deframe(&d, three + at, cox_min_size(step, sizeof(three) - at), 10, on_message, &g), 0);
		assert_int_equal(g.n, 3);
		assert_int_equal(g.last, 3);
		assert_false(cox_grpc_deframer_is_inside(&d));
		cox_grpc_deframer_fini(&d);
	}
	static const struct {
		uint8_t head[5];
		int status;
	} bad[] = { { { 1, 0, 0, 0, 1 }, 12 }, { { 2, 0, 0, 0, 1 }, 13 }, { { 0, 0, 0, 0, 11 }, 8 }, { { 0, 255, 255, 255, 255 }, 8 } };
	for (size_t i = 0; i < COX_LEN(bad); i++) {
		struct cox_grpc_deframer d = { 0 };
		struct got g = { 0 };
		assert_int_equal(cox_grpc_deframe(&d, bad[i].head, 5, 10, on_message, &g), bad[i].status);
		assert_int_equal(g.n, 0);
		cox_grpc_deframer_fini(&d);
	}
	struct cox_grpc_deframer d = { 0 };
	struct got g = { .stop_after = 1 };
	assert_int_equal(cox_grpc_deframe(&d, three, sizeof(three), 10, on_message, &g), 0);
	assert_int_equal(g.n, 1); /* the receiver wanted no more */
	cox_grpc_deframer_fini(&d);
}

static void test_texts(void **state)
{
	(void)state;
	int64_t ms;
	static const struct {
		const char *text;
		int64_t ms;
	} good[] = { { "1H", 3600000 }, { "2M", 120000 }, { "3S", 3000 }, { "4m", 4 },
		     { "5000u", 5 },    { "1n", 1 },      { "0S", 1 },    { "99999999H", 359999996400000 } };
	for (size_t i = 0; i < COX_LEN(good); i++) {
		assert_int_equal(cox_grpc_timeout_parse(cox_str_of(good[i].text), &ms), COX_OK);
		assert_int_equal(ms, good[i].ms);
	}
	static const char *const bad[] = { "", "S", "1", "1s", "-1S", "+1S", "1.5S", "123456789S", " 1S" };
	for (size_t i = 0; i < COX_LEN(bad); i++)
		assert_int_equal(cox_grpc_timeout_parse(cox_str_of(bad[i]), &ms), COX_EINVAL);
	const int64_t times[] = { 1, 99999999, 100000000, 86400000000, INT64_MAX };
	for (size_t i = 0; i < COX_LEN(times); i++) {
		char text[16];
		cox_grpc_timeout_format(times[i], text);
		assert_int_equal(cox_grpc_timeout_parse(cox_str_of(text), &ms), COX_OK);
		if (times[i] <= 99999999)
			assert_int_equal(ms, times[i]);
	}
	struct cox_buf e = { 0 }, d = { 0 };
	cox_grpc_message_encode(COX_STR("a b%\n\xc3\xa9"), &e);
	assert_string_equal(cox_buf_cstr(&e), "a b%25%0A%C3%A9");
	cox_grpc_message_decode(cox_buf_str(&e), &d);
	assert_string_equal(cox_buf_cstr(&d), "a b%\n\xc3\xa9");
	cox_buf_clear(&d);
	cox_grpc_message_decode(COX_STR("%zz %4 %"), &d); /* broken escapes stay */
	assert_string_equal(cox_buf_cstr(&d), "%zz %4 %");
	cox_buf_fini(&e);
	cox_buf_fini(&d);
}

/* --- certificates --- */

struct id {
	EVP_PKEY *key;
	X509 *x;
	char *cert_pem, *key_pem;
};
static char *bio_text(BIO *bio)
{
	char *p;
	long n = BIO_get_mem_data(bio, &p);
	char *copy = cox_str_dup_cstr(cox_str_make(p, (size_t)n));
	BIO_free(bio);
	return copy;
}
static struct id id_new(const char *san, const struct id *issuer)
{
	struct id id = { EVP_EC_gen("P-256"), X509_new(), NULL, NULL };
	X509_set_version(id.x, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(id.x), issuer ? 2 : 1);
	X509_gmtime_adj(X509_getm_notBefore(id.x), -60);
	X509_gmtime_adj(X509_getm_notAfter(id.x), 3600);
	X509_set_pubkey(id.x, id.key);
	X509_NAME_add_entry_by_txt(X509_get_subject_name(id.x), "CN", MBSTRING_ASC, (const unsigned char *)(issuer ? "leaf" : "root"), -1,
	                           -1, 0);
	X509_set_issuer_name(id.x, X509_get_subject_name(issuer ? issuer->x : id.x));
	X509_EXTENSION *e =
	    X509V3_EXT_conf_nid(NULL, NULL, issuer ? NID_subject_alt_name : NID_basic_constraints, issuer ? san : "critical,CA:TRUE");
	X509_add_ext(id.x, e, -1);
	X509_EXTENSION_free(e);
	X509_sign(id.x, issuer ? issuer->key : id.key, EVP_sha256());
	BIO *c = BIO_new(BIO_s_mem()), *k = BIO_new(BIO_s_mem());
	PEM_write_bio_X509(c, id.x);
	PEM_write_bio_PrivateKey(k, id.key, NULL, NULL, 0, NULL, NULL);
	id.cert_pem = bio_text(c);
	id.key_pem = bio_text(k);
	return id;
}
static void id_free(struct id *id)
{
	X509_free(id->x);
	EVP_PKEY_free(id->key);
	cox_free(id->cert_pem);
	cox_free(id->key_pem);
}

static void test_tls_refused(void **state)
{
	(void)state;
	struct cox_err err = { 0 };
	struct cox_tls *t = NULL;
	struct id a = id_new(NULL, NULL), b = id_new(NULL, NULL);
	const struct cox_tls_spec bad[] = {
		{ .is_server = true },
		{ .ca_pem = COX_STR("no PEM") },
		{ .cert_pem = COX_STR("no PEM"), .key_pem = cox_str_of(a.key_pem) },
		{ .cert_pem = cox_str_of(a.cert_pem) },
		{ .cert_pem = cox_str_of(a.cert_pem), .key_pem = cox_str_of(b.key_pem) },
		{ .ca_pem = cox_str_of(a.cert_pem), .ciphers = "NO-SUCH-CIPHER" },
	};
	for (size_t i = 0; i < COX_LEN(bad); i++) {
		err.text[0] = 0;
		assert_int_equal(cox_tls_new(&bad[i], &t, &err), COX_EINVAL);
		assert_true(err.text[0] != 0);
	}
	assert_int_equal(cox_tls_new_from_files(&(struct cox_tls_spec){ 0 }, "/no/such/file", NULL, NULL, &t, &err), COX_ENOTFOUND);
	assert_null(t);
	id_free(&a);
	id_free(&b);
}

/* --- gRPC over TLS --- */

struct seen {
	bool is_verified, is_tls;
	char uri[100];
	size_t uri_count;
	int opened;
};
static struct seen seen;
static void tls_open(void *ctx, struct cox_grpc_stream *s)
{
	const struct cox_tls_peer *p = cox_grpc_stream_peer(s);
	(void)ctx;
	seen.opened++;
	seen.is_tls = p->is_tls;
	seen.is_verified = p->is_verified;
	seen.uri_count = p->uri_count;
	seen.uri[0] = 0;
	if (p->uri_count)
		cox_str_to_cstr(p->uris[0], seen.uri, sizeof(seen.uri));
}
static void tls_message(void *ctx, struct cox_grpc_stream *s, struct cox_str m)
{
	(void)ctx;
	assert_int_equal(cox_grpc_send_copy(s, m), COX_OK);
}
static const struct cox_grpc_method methods[] = { { "/t/Echo", tls_open, tls_message, NULL, NULL, NULL, NULL } };

struct outcome {
	int status, closed;
	size_t bytes;
	bool is_done;
};
static void out_message(void *ctx, struct cox_grpc_call *c, struct cox_str m)
{
	(void)c;
	((struct outcome *)ctx)->bytes += m.n;
}
static void out_close(void *ctx, struct cox_grpc_call *c, int status, struct cox_str text)
{
	struct outcome *o = ctx;
	(void)c, (void)text;
	o->status = status;
	o->is_done = true;
}
static void client_closed(void *ctx, enum cox_rc rc, const struct cox_err *err)
{
	(void)err;
	((struct outcome *)ctx)->closed = 1 + (int)rc;
}
static bool is_done(void *arg) { return ((struct outcome *)arg)->is_done; }

static struct outcome call_over(struct cox_loop *l, uint16_t port, const struct cox_tls_spec *spec, const char *name,
                                struct cox_str message)
{
	struct outcome o = { 0 };
	struct cox_grpc_client *c;
	struct cox_grpc_call *call;
	struct cox_tls *tls = NULL;
	if (spec)
		assert_int_equal(cox_tls_new(spec, &tls, NULL), COX_OK);
	struct cox_grpc_client_spec cs = { .tls = tls, .server_name = name, .on_closed = client_closed, .ctx = &o };
	assert_int_equal(cox_addr_parse(COX_STR("localhost:1"), &cs.addr, NULL), COX_OK);
	cs.addr.port = port;
	assert_int_equal(cox_grpc_client_open(l, &cs, &c, NULL), COX_OK);
	cox_tls_unref(&tls);
	struct cox_grpc_call_cb cb = { out_message, NULL, out_close, &o };
	assert_int_equal(cox_grpc_call_unary(c, "/t/Echo", NULL, 0, 0, message, &cb, &call), COX_OK);
	assert_true(cox_loop_run_until(l, is_done, &o, 5000));
	cox_grpc_client_close(&c);
	return o;
}

static void test_grpc_over_tls(void **state)
{
	(void)state;
	struct id root = id_new(NULL, NULL), other = id_new(NULL, NULL);
	struct id server = id_new("DNS:istiod.test", &root), pod = id_new("URI:spiffe://cluster.local/ns/a/sa/b", &root);
	struct cox_tls *tls;
	struct cox_tls_spec ss = { .is_server = true,
		                   .ca_pem = cox_str_of(root.cert_pem),
		                   .cert_pem = cox_str_of(server.cert_pem),
		                   .key_pem = cox_str_of(server.key_pem),
		                   .request_client_cert = true };
	struct cox_loop *l = cox_loop_new("test");
	struct cox_grpc_server *s;
	struct cox_addr a;
	uint16_t port;
	assert_int_equal(cox_tls_new(&ss, &tls, NULL), COX_OK);
	assert_int_equal(cox_addr_parse(COX_STR("127.0.0.1:0"), &a, NULL), COX_OK);
	assert_int_equal(
	    cox_grpc_server_open(&(struct cox_grpc_server_spec){ .loops = &l, .loop_count = 1, .methods = methods, .method_count = 1 }, &s,
	                         NULL),
	    COX_OK);
	assert_int_equal(cox_grpc_server_listen(s, &a, tls, 2, &port, NULL), COX_OK);
	cox_tls_unref(&tls);

	struct cox_tls_spec cs = { .ca_pem = cox_str_of(root.cert_pem) };
	char *big = cox_zalloc(3 << 20);
	struct outcome o = call_over(l, port, &cs, "istiod.test", cox_str_make(big, 3 << 20)); /* many records, both ways */
	assert_int_equal(o.status, 0);
	assert_int_equal(o.bytes, 3 << 20);
	assert_true(seen.is_tls && !seen.is_verified);
	assert_int_equal(seen.uri_count, 0);

	cs.cert_pem = cox_str_of(pod.cert_pem);
	cs.key_pem = cox_str_of(pod.key_pem);
	o = call_over(l, port, &cs, "istiod.test", COX_STR("x"));
	assert_int_equal(o.status, 0);
	assert_true(seen.is_verified);
	assert_string_equal(seen.uri, "spiffe://cluster.local/ns/a/sa/b");

	/* Refused: a wrong name, an unknown root, a client certificate of another root, no TLS at all. */
	int opened = seen.opened;
	o = call_over(l, port, &cs, "other.test", COX_STR("x"));
	assert_int_equal(o.status, 14);
	assert_int_equal(o.closed, 1 + COX_EAUTH);
	cs.ca_pem = cox_str_of(other.cert_pem);
	assert_int_equal(call_over(l, port, &cs, "istiod.test", COX_STR("x")).status, 14);
	struct id stranger = id_new("URI:spiffe://cluster.local/ns/a/sa/b", &other);
	cs = (struct cox_tls_spec){ .ca_pem = cox_str_of(root.cert_pem),
		                    .cert_pem = cox_str_of(stranger.cert_pem),
		                    .key_pem = cox_str_of(stranger.key_pem) };
	assert_int_equal(call_over(l, port, &cs, "istiod.test", COX_STR("x")).status, 14);
	assert_int_equal(call_over(l, port, NULL, NULL, COX_STR("x")).status, 14);
	assert_int_equal(seen.opened, opened);

	/* A renewed server certificate counts for new connections. */
	struct id renewed = id_new("DNS:renewed.test", &root);
	ss.cert_pem = cox_str_of(renewed.cert_pem);
	ss.key_pem = cox_str_of(renewed.key_pem);
	assert_int_equal(cox_tls_new(&ss, &tls, NULL), COX_OK);
	cox_grpc_server_set_tls(s, 2, tls);
	cox_tls_unref(&tls);
	cs = (struct cox_tls_spec){ .ca_pem = cox_str_of(root.cert_pem) };
	assert_int_equal(call_over(l, port, &cs, "renewed.test", COX_STR("x")).status, 0);

	cox_grpc_server_close(&s, NULL, NULL);
	cox_loop_free(&l);
	cox_free(big);
	id_free(&root), id_free(&other), id_free(&server), id_free(&pod), id_free(&stranger), id_free(&renewed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_addr),        cmocka_unit_test(test_deframe),       cmocka_unit_test(test_texts),
		cmocka_unit_test(test_tls_refused), cmocka_unit_test(test_grpc_over_tls),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
