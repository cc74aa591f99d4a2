/* The HTTP client against the small HTTP server, against TLS, and against peers that misbehave.
 * covers: g3 g1 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/vec.h"
#include "net/http_client.h"
#include "net/httpd.h"
#include "loop/timer.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

/* --- the server's routes --- */

static _Atomic int streams_freed;

static void serve_hello(void *ctx, struct cox_httpd_request *r)
{
	struct cox_buf b = { 0 };
	(void)ctx;
	cox_httpd_add_header(r, "X-Peer", cox_httpd_peer(r));
	cox_buf_printf(&b, "%.*s %.*s who=%.*s has=%d auth=%.*s", COX_FMT(cox_httpd_method(r)), COX_FMT(cox_httpd_path(r)),
	               COX_FMT(cox_httpd_query(r, "who")), cox_httpd_has_query(r, "empty"), COX_FMT(cox_httpd_header(r, "authorization")));
	cox_httpd_reply_buf_take(r, 200, NULL, &b);
}
static void serve_echo(void *ctx, struct cox_httpd_request *r)
{
	(void)ctx;
	cox_httpd_reply(r, 201, "application/json", cox_httpd_body(r));
}
static enum cox_rc next_part(void *ctx, struct cox_buf *part)
{
	int *left = ctx;
	if ((*left)-- == 0)
		return COX_ENOTFOUND;
	memset(cox_buf_reserve(part, 1000), 's', 1000);
	part->n += 1000;
	return COX_OK;
}
static void free_left(void *ctx)
{
	cox_free(ctx);
	atomic_fetch_add(&streams_freed, 1);
}
static void serve_stream(void *ctx, struct cox_httpd_request *r)
{
	int *left = COX_NEW(int);
	(void)ctx;
	*left = 2000;
	cox_httpd_reply_stream(r, 200, "text/plain", next_part, left, free_left);
}
static void serve_nothing(void *ctx, struct cox_httpd_request *r) { (void)ctx, (void)r; }
static void serve_slow(void *ctx, struct cox_httpd_request *r)
{
	(void)ctx;
	usleep(300000);
	cox_httpd_reply(r, 200, NULL, COX_STR("late"));
}
static void serve_redirect(void *ctx, struct cox_httpd_request *r)
{
	(void)ctx;
	cox_httpd_add_header(r, "Location", "/hello?who=redirected");
	cox_httpd_reply(r, 302, NULL, COX_STR("elsewhere"));
}
static const struct cox_httpd_route routes[] = {
	{ "GET", "/hello", serve_hello, NULL },       { "POST", "/echo", serve_echo, NULL }, { "GET", "/stream", serve_stream, NULL },
	{ "GET", "/nothing", serve_nothing, NULL },   { "GET", "/slow", serve_slow, NULL },  { "*", "/debug/*", serve_hello, NULL },
	{ "GET", "/redirect", serve_redirect, NULL },
};

/* --- certificates made for the test --- */

struct pems {
	char *cert, *key;
};
static char *bio_text(BIO *bio)
{
	char *p;
	long n = BIO_get_mem_data(bio, &p);
	char *copy = cox_str_dup_cstr(cox_str_make(p, (size_t)n));
	BIO_free(bio);
	return copy;
}
static struct pems pems_new(const char *name)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *x = X509_new();
	char san[100];
	X509_set_version(x, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
	X509_gmtime_adj(X509_getm_notBefore(x), -60);
	X509_gmtime_adj(X509_getm_notAfter(x), 3600);
	X509_set_pubkey(x, key);
	X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1, 0);
	X509_set_issuer_name(x, X509_get_subject_name(x));
	snprintf(san, sizeof(san), "DNS:%s,IP:127.0.0.1", name);
	X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, san);
	X509_add_ext(x, e, -1);
	X509_EXTENSION_free(e);
	X509_sign(x, key, EVP_sha256());
	BIO *c = BIO_new(BIO_s_mem()), *k = BIO_new(BIO_s_mem());
	PEM_write_bio_X509(c, x);
	PEM_write_bio_PrivateKey(k, key, NULL, NULL, 0, NULL, NULL);
	X509_free(x);
	EVP_PKEY_free(key);
	return (struct pems){ bio_text(c), bio_text(k) };
}
static void pems_free(struct pems *p)
{
	cox_free(p->cert);
	cox_free(p->key);
}

/* --- a request and what came of it --- */

struct outcome {
	struct cox_http_request *request;
	int heads, status, version;
	bool is_done, is_paused, pauses;
	size_t streamed, cancel_after;
	enum cox_rc rc, body_rc;
	struct cox_buf body, header;
	char text[384];
};
struct fixture {
	struct cox_loop *loop;
	struct cox_http_client *client;
	struct cox_httpd *server;
	uint16_t port;
	char url[100];
};

static void on_head(void *ctx, struct cox_http_request *r, int status)
{
	struct outcome *o = ctx;
	assert_int_equal(o->heads++, 0);
	o->status = status;
	cox_buf_append_str(&o->header, cox_http_request_header(r, "x-PEER"));
	o->version = cox_http_request_version(r);
}
static enum cox_rc on_body(void *ctx, struct cox_http_request *r, struct cox_str bytes)
{
	struct outcome *o = ctx;
	assert_ptr_equal(r, o->request);
	if (o->pauses && !o->is_paused) {
		o->is_paused = true;
		return COX_EAGAIN;
	}
	o->streamed += bytes.n;
	if (o->body_rc != COX_OK)
		return o->body_rc;
	if (o->cancel_after && o->streamed >= o->cancel_after)
		cox_http_request_cancel(&o->request);
	return COX_OK;
}
static void on_done(void *ctx, struct cox_http_request *r, enum cox_rc rc, int status, struct cox_str body, const struct cox_err *err)
{
	struct outcome *o = ctx;
	(void)r;
	assert_false(o->is_done);
	o->is_done = true;
	o->rc = rc;
	o->status = status;
	cox_buf_append_str(&o->body, body);
	cox_str_to_cstr(cox_str_of(err->text), o->text, sizeof(o->text));
	o->request = NULL;
}
static bool is_done(void *arg) { return ((struct outcome *)arg)->is_done; }
static bool is_paused(void *arg) { return ((struct outcome *)arg)->is_paused; }
static bool never(void *arg)
{
	(void)arg;
	return false;
}
static void out_fini(struct outcome *o)
{
	cox_buf_fini(&o->body);
	cox_buf_fini(&o->header);
	*o = (struct outcome){ 0 };
}

static void fixture_open(struct fixture *f, const struct pems *tls, const struct cox_httpd_spec *limits)
{
	*f = (struct fixture){ .loop = cox_loop_new("test") };
	f->client = cox_http_client_new(f->loop);
	struct cox_httpd_spec spec = limits ? *limits : (struct cox_httpd_spec){ 0 };
	spec.routes = routes;
	spec.route_count = COX_LEN(routes);
	if (tls) {
		spec.cert_pem = cox_str_of(tls->cert);
		spec.key_pem = cox_str_of(tls->key);
	}
	assert_int_equal(cox_addr_parse(COX_STR("127.0.0.1:0"), &spec.addr, NULL), COX_OK);
	assert_int_equal(cox_httpd_open(&spec, &f->server, &f->port, NULL), COX_OK);
}
static void fixture_close(struct fixture *f)
{
	cox_http_client_free(&f->client);
	cox_loop_free(&f->loop);
	cox_httpd_close(&f->server);
}
static const char *url(struct fixture *f, const char *scheme, const char *path)
{
	snprintf(f->url, sizeof(f->url), "%s://127.0.0.1:%u%s", scheme, f->port, path);
	return f->url;
}
static void open_request(struct fixture *f, const struct cox_http_spec *spec, struct outcome *o, bool streams)
{
	struct cox_http_cb cb = { on_head, streams ? on_body : NULL, on_done, o };
	struct cox_err err = { 0 };
	if (cox_http_request_open(f->client, spec, &cb, &o->request, &err) != COX_OK)
		fail_msg("%s", err.text);
}
static void run(struct fixture *f, const struct cox_http_spec *spec, struct outcome *o)
{
	open_request(f, spec, o, false);
	assert_false(o->is_done);
	assert_true(cox_loop_run_until(f->loop, is_done, o, 10000));
}

static enum cox_rc give_token(void *ctx, struct cox_buf *out)
{
	cox_buf_printf(out, "token%d\n", ++*(int *)ctx);
	return COX_OK;
}

static void test_plain_requests(void **state)
{
	(void)state;
	struct fixture f;
	struct outcome o = { 0 };
	int tokens = 0;
	fixture_open(&f, NULL, NULL);
	for (int i = 1; i <= 2; i++) {
		char wanted[100];
		struct cox_http_spec spec = { .url = url(&f, "http", "/hello?who=a%20b&empty="),
			                      .token = give_token,
			                      .token_ctx = &tokens };
		run(&f, &spec, &o);
		assert_int_equal(o.rc, COX_OK);
		assert_int_equal(o.status, 200);
		snprintf(wanted, sizeof(wanted), "GET /hello who=a b has=1 auth=Bearer token%d", i);
		assert_string_equal(cox_buf_cstr(&o.body), wanted);
		assert_string_equal(cox_buf_cstr(&o.header), "127.0.0.1");
		assert_int_equal(o.version, 1);
		out_fini(&o);
	}
	const struct {
		const char *method, *path;
		int status;
	} cases[] = { { "GET", "/none", 404 },    { "DELETE", "/hello", 405 }, { "GET", "/nothing", 500 },
		      { "PUT", "/debug/x", 200 }, { "HEAD", "/hello", 200 },   { "GET", "/hello/", 404 } };
	for (size_t i = 0; i < COX_LEN(cases); i++) {
		run(&f, &(struct cox_http_spec){ .method = cases[i].method, .url = url(&f, "http", cases[i].path) }, &o);
		assert_int_equal(o.rc, COX_OK);
		assert_int_equal(o.status, cases[i].status);
		if (!strcmp(cases[i].method, "HEAD"))
			assert_int_equal(o.body.n, 0);
		out_fini(&o);
	}
	fixture_close(&f);
}

static void test_bodies(void **state)
{
	(void)state;
	struct fixture f;
	struct outcome o = { 0 };
	fixture_open(&f, NULL, &(struct cox_httpd_spec){ .max_body_bytes = 1 << 20 });
	char *big = cox_zalloc((1 << 20) + 1);
	big[0] = 'a';
	run(&f, &(struct cox_http_spec){ .method = "POST", .url = url(&f, "http", "/echo"), .body = { big, 1 << 20 } }, &o);
	assert_int_equal(o.status, 201);
	assert_int_equal(o.body.n, 1 << 20);
	out_fini(&o);
	run(&f, &(struct cox_http_spec){ .method = "POST", .url = url(&f, "http", "/echo"), .body = { big, (1 << 20) + 1 } }, &o);
	assert_true(o.status == 413 || o.rc == COX_EIO); /* the answer may come while we still send */
	out_fini(&o);
	const struct cox_http_header chunked = { COX_STR("Transfer-Encoding"), COX_STR("chunked") };
	run(&f,
	    &(struct cox_http_spec){
	        .method = "POST", .url = url(&f, "http", "/echo"), .body = { big, (1 << 20) + 1 }, .headers = &chunked, .header_count = 1 },
	    &o);
	assert_int_equal(o.status, 413);
	out_fini(&o);
	run(&f, &(struct cox_http_spec){ .method = "POST", .url = url(&f, "http", "/echo") }, &o);
	assert_int_equal(o.status, 201);
	out_fini(&o);
	cox_free(big);
	fixture_close(&f);
}

static void test_streaming(void **state)
{
	(void)state;
	struct fixture f;
	struct outcome o = { 0 };
	fixture_open(&f, NULL, NULL);
	streams_freed = 0;
	struct cox_http_spec spec = { .url = url(&f, "http", "/stream") };
	open_request(&f, &spec, &o, true);
	assert_true(cox_loop_run_until(f.loop, is_done, &o, 5000));
	assert_int_equal(o.streamed, 2000000);
	out_fini(&o);
	/* Back-pressure: nothing comes while paused, everything afterwards. */
	o.pauses = true;
	open_request(&f, &spec, &o, true);
	assert_true(cox_loop_run_until(f.loop, is_paused, &o, 5000));
	assert_false(cox_loop_run_until(f.loop, is_done, &o, 100));
	assert_int_equal(o.streamed, 0);
	cox_http_request_resume(o.request);
	assert_true(cox_loop_run_until(f.loop, is_done, &o, 5000));
	assert_int_equal(o.rc, COX_OK);
	assert_int_equal(o.streamed, 2000000);
	out_fini(&o);
	/* Refused by the consumer; too long; canceled in the callback and outside. */
	o.body_rc = COX_EPROTO;
	open_request(&f, &spec, &o, true);
	assert_true(cox_loop_run_until(f.loop, is_done, &o, 5000));
	assert_int_equal(o.rc, COX_EPROTO);
	out_fini(&o);
	spec.max_body_bytes = 100000;
	run(&f, &spec, &o);
	assert_int_equal(o.rc, COX_ELIMIT);
	assert_non_null(strstr(o.text, "100000"));
	out_fini(&o);
	spec.max_body_bytes = 0;
	o.cancel_after = 1;
	open_request(&f, &spec, &o, true);
	cox_loop_run_until(f.loop, never, NULL, 100);
	assert_null(o.request);
	assert_false(o.is_done);
	assert_true(o.streamed < 2000000);
	out_fini(&o);
	open_request(&f, &spec, &o, true);
	cox_http_request_cancel(&o.request);
	cox_loop_run_until(f.loop, never, NULL, 20);
	assert_int_equal(o.heads, 0);
	spec.url = url(&f, "http", "/slow");
	open_request(&f, &spec, &o, true); /* left open: the client's end cancels it */
	cox_loop_run_until(f.loop, never, NULL, 3);
	fixture_close(&f);
	assert_false(o.is_done);
	assert_true(streams_freed >= 3);
}

static void test_timeouts_and_refusals(void **state)
{
	(void)state;
	struct fixture f;
	struct outcome o = { 0 };
	struct cox_err err = { 0 };
	struct cox_http_cb cb = { 0 };
	fixture_open(&f, NULL, NULL);
	run(&f, &(struct cox_http_spec){ .url = url(&f, "http", "/slow"), .total_timeout_ms = 50 }, &o);
	assert_int_equal(o.rc, COX_ETIMEOUT);
	assert_int_equal(o.status, 0);
	out_fini(&o);
	run(&f, &(struct cox_http_spec){ .url = "http://127.0.0.1:1/" }, &o);
	assert_int_equal(o.rc, COX_EIO);
	assert_true(o.text[0] != 0);
	out_fini(&o);
	run(&f, &(struct cox_http_spec){ .url = "http://no-such-host.invalid/", .connect_timeout_ms = 3000 }, &o);
	assert_true(o.rc == COX_EIO || o.rc == COX_ETIMEOUT);
	out_fini(&o);
	const char *const bad_urls[] = { "", "no url", "ftp://x/", "file:///etc/passwd", "http://" };
	for (size_t i = 0; i < COX_LEN(bad_urls); i++)
		assert_int_equal(cox_http_request_open(f.client, &(struct cox_http_spec){ .url = bad_urls[i] }, &cb, NULL, &err),
		                 COX_EINVAL);
	const struct cox_http_header bad[] = { { COX_STR("X"), COX_STR("a\r\nY: b") },
		                               { COX_STR("X: Y"), COX_STR("a") },
		                               { COX_STR(""), COX_STR("a") } };
	for (size_t i = 0; i < COX_LEN(bad); i++)
		assert_int_equal(cox_http_request_open(f.client,
		                                       &(struct cox_http_spec){ .url = "http://x/", .headers = &bad[i], .header_count = 1 },
		                                       &cb, NULL, &err),
		                 COX_EINVAL);
	run(&f, &(struct cox_http_spec){ .url = url(&f, "http", "/redirect") }, &o);
	assert_int_equal(o.status, 302);
	out_fini(&o);
	run(&f, &(struct cox_http_spec){ .url = url(&f, "http", "/redirect"), .follow_redirects = true }, &o);
	assert_int_equal(o.status, 200);
	assert_non_null(strstr(cox_buf_cstr(&o.body), "who=redirected"));
	out_fini(&o);
	fixture_close(&f);
}

static void test_tls(void **state)
{
	(void)state;
	struct fixture f;
	struct outcome o = { 0 };
	struct pems one = pems_new("one.test"), two = pems_new("two.test");
	fixture_open(&f, &one, NULL);
	struct cox_http_tls tls = { .ca_pem = cox_str_of(one.cert) };
	struct cox_http_spec spec = { .url = url(&f, "https", "/hello"), .tls = &tls };
	run(&f, &spec, &o);
	assert_int_equal(o.rc, COX_OK);
	assert_int_equal(o.status, 200);
	out_fini(&o);
	tls.ca_pem = cox_str_of(two.cert); /* not the server's issuer */
	run(&f, &spec, &o);
	assert_int_equal(o.rc, COX_EAUTH);
	out_fini(&o);
	tls.insecure = true;
	run(&f, &spec, &o);
	assert_int_equal(o.rc, COX_OK);
	out_fini(&o);
	/* By name, connected elsewhere; and a wrong name. */
	char to[40], by_name[60];
	snprintf(to, sizeof(to), "127.0.0.1:%u", f.port);
	tls = (struct cox_http_tls){ .ca_pem = cox_str_of(one.cert), .connect_to = to };
	for (int wrong = 0; wrong <= 1; wrong++) {
		snprintf(by_name, sizeof(by_name), "https://%s.test/hello", wrong ? "other" : "one");
		spec.url = by_name;
		run(&f, &spec, &o);
		assert_int_equal(o.rc, wrong ? COX_EAUTH : COX_OK);
		out_fini(&o);
	}
	/* A new certificate, without a restart; a bad one changes nothing. */
	assert_int_equal(cox_httpd_set_cert(f.server, COX_STR("no"), COX_STR("pem"), NULL), COX_EINVAL);
	assert_int_equal(cox_httpd_set_cert(f.server, cox_str_of(one.cert), cox_str_of(one.key), NULL), COX_OK);
	assert_int_equal(cox_httpd_set_cert(f.server, cox_str_of(two.cert), cox_str_of(two.key), NULL), COX_OK);
	tls = (struct cox_http_tls){ .ca_pem = cox_str_of(two.cert) };
	spec.url = url(&f, "https", "/hello");
	for (int i = 0; i < 5; i++) {
		run(&f, &spec, &o);
		assert_int_equal(o.rc, COX_OK);
		out_fini(&o);
	}
	run(&f, &(struct cox_http_spec){ .url = url(&f, "http", "/hello") }, &o); /* clear text to a TLS port */
	assert_int_not_equal(o.rc, COX_OK);
	out_fini(&o);
	pems_free(&one);
	pems_free(&two);
	fixture_close(&f);
}

static void test_httpd_open_refused(void **state)
{
	(void)state;
	struct fixture f;
	struct cox_err err = { 0 };
	struct cox_httpd *d = NULL;
	fixture_open(&f, NULL, NULL);
	struct cox_httpd_spec spec = { .routes = routes, .route_count = 1 };
	char text[40];
	snprintf(text, sizeof(text), "127.0.0.1:%u", f.port);
	assert_int_equal(cox_addr_parse(cox_str_of(text), &spec.addr, NULL), COX_OK);
	assert_int_equal(cox_httpd_open(&spec, &d, NULL, &err), COX_EEXIST);
	spec.addr.port = 0;
	spec.cert_pem = spec.key_pem = COX_STR("no PEM");
	assert_int_equal(cox_httpd_open(&spec, &d, NULL, &err), COX_EINVAL);
	assert_null(d);
	assert_int_equal(cox_httpd_set_cert(f.server, COX_STR("x"), COX_STR("y"), NULL), COX_EINVAL); /* opened without TLS */
	fixture_close(&f);
}

/* --- a server that misbehaves: one thread, one answer per connection --- */

struct bad_server {
	int fd;
	uint16_t port;
	const char *answer;
	size_t answer_n;
	bool hangs;
	pthread_t thread;
};
static void *bad_main(void *arg)
{
	struct bad_server *s = arg;
	char buf[4096];
	int fd = accept(s->fd, NULL, NULL);
	ssize_t n = read(fd, buf, sizeof(buf));
	n = n > 0 ? write(fd, s->answer, s->answer_n) : 0;
	if (s->hangs) {
		struct pollfd p = { fd, POLLIN, 0 };
		poll(&p, 1, 5000);
	}
	close(fd);
	return NULL;
}
static void bad_case(const char *answer, size_t n, bool hangs, enum cox_rc wanted, int64_t idle_ms)
{
	struct fixture f;
	struct outcome o = { 0 };
	struct bad_server s = { .answer = answer, .answer_n = n, .hangs = hangs };
	struct cox_addr a;
	fixture_open(&f, NULL, NULL);
	assert_int_equal(cox_addr_parse(COX_STR("127.0.0.1:0"), &a, NULL), COX_OK);
	assert_int_equal(cox_addr_listen(&a, 5, &s.fd, &s.port, NULL), COX_OK);
	struct pollfd p = { s.fd, POLLIN, 0 };
	struct cox_http_spec spec = { .idle_timeout_ms = idle_ms };
	char text[60];
	snprintf(text, sizeof(text), "http://127.0.0.1:%u/", s.port);
	spec.url = text;
	open_request(&f, &spec, &o, false);
	for (int i = 0; i < 200 && poll(&p, 1, 0) == 0; i++)
		cox_loop_run_until(f.loop, never, NULL, 10);
	pthread_create(&s.thread, NULL, bad_main, &s);
	assert_true(cox_loop_run_until(f.loop, is_done, &o, 6000));
	if (o.rc != wanted)
		fail_msg("%s, wanted %s: %s", cox_rc_name(o.rc), cox_rc_name(wanted), o.text);
	out_fini(&o);
	fixture_close(&f);
	pthread_join(s.thread, NULL);
	close(s.fd);
}
#define BAD(text) text, sizeof(text) - 1
static void test_bad_servers(void **state)
{
	(void)state;
	bad_case(BAD("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this"), false, COX_EIO, 0); /* cut */
	bad_case(BAD("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"), false, COX_EIO, 0);
	bad_case(BAD("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"), false, COX_OK, 0);
	bad_case(BAD("\x15\x03\x01 what is this?\r\n\r\n"), false, COX_EPROTO, 0);
	bad_case(BAD(""), false, COX_EIO, 0);
	bad_case(BAD("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this"), true, COX_ETIMEOUT, 1000);
	bad_case(BAD("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n"), false, COX_OK, 0);
}

static void test_many_at_once(void **state)
{
	(void)state;
	struct fixture f;
	static struct outcome o[60];
	fixture_open(&f, NULL, &(struct cox_httpd_spec){ .threads = 2 });
	struct cox_http_spec spec = { .url = url(&f, "http", "/hello?who=x") };
	for (size_t i = 0; i < COX_LEN(o); i++)
		open_request(&f, &spec, &o[i], false);
	for (size_t i = 0; i < COX_LEN(o); i++) {
		assert_true(cox_loop_run_until(f.loop, is_done, &o[i], 5000));
		assert_int_equal(o[i].status, 200);
		out_fini(&o[i]);
	}
	fixture_close(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_plain_requests),
		cmocka_unit_test(test_bodies),
		cmocka_unit_test(test_streaming),
		cmocka_unit_test(test_timeouts_and_refusals),
		cmocka_unit_test(test_tls),
		cmocka_unit_test(test_httpd_open_refused),
		cmocka_unit_test(test_bad_servers),
		cmocka_unit_test(test_many_at_once),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
