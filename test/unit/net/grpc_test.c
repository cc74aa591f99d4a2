/* The gRPC server and client against each other on real sockets, and the server against raw bytes.
 * covers: b24 g1 g59 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/metric.h"
#include "base/vec.h"
#include "loop/loop.h"
#include "net/grpc_client.h"
#include "net/grpc_server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

/* --- the server under test: /t/Echo answers each message with itself, /t/Blob each with 600 KB of shared bytes, /t/Hold stays open --- */

static char blob[600 << 10];
static _Atomic int blob_refs;
static void blob_release(void *ctx)
{
	assert_ptr_equal(ctx, blob);
	atomic_fetch_sub(&blob_refs, 1);
}

struct fixture {
	struct cox_loop *loop, *second;
	struct cox_grpc_server *server;
	struct cox_grpc_client *client;
	uint16_t port;
	struct cox_addr addr;
	_Atomic int opened, closed, drained, server_gone;
	enum cox_rc why;
	char metadata[64];
	int64_t deadline_left;
	struct cox_grpc_stream *held;
};
static struct fixture *fx;

static void on_open(void *ctx, struct cox_grpc_stream *s)
{
	struct cox_str v = cox_grpc_stream_metadata(s, "clusterid");
	(void)ctx;
	atomic_fetch_add(&fx->opened, 1);
	cox_str_to_cstr(v, fx->metadata, sizeof(fx->metadata));
	fx->deadline_left = cox_grpc_stream_deadline_left_ms(s);
	assert_true(cox_grpc_stream_peer_is_loopback(s));
	assert_false(cox_grpc_stream_peer(s)->is_tls);
	assert_true(cox_loop_is_here(cox_grpc_stream_loop(s)));
}
static void echo_message(void *ctx, struct cox_grpc_stream *s, struct cox_str m)
{
	(void)ctx;
	if (cox_str_eq(m, COX_STR("refuse")))
		cox_grpc_finish(s, COX_EDENIED, COX_STR("not you: \xc3\xa9 100%\n"));
	else if (cox_grpc_is_writable(s))
		assert_int_equal(cox_grpc_send_copy(s, m), COX_OK);
}
static void blob_message(void *ctx, struct cox_grpc_stream *s, struct cox_str m)
{
	(void)ctx;
	struct cox_grpc_piece pieces[] = { { "head", 4, NULL, NULL },
		                           { blob, sizeof(blob), blob_release, blob },
		                           { "tail", 4, NULL, NULL } };
	atomic_fetch_add(&blob_refs, 1);
	enum cox_rc rc = cox_grpc_send(s, pieces, 3);
	assert_true(rc == COX_OK || m.n == 0);
	assert_false(cox_grpc_is_writable(s));
	atomic_fetch_add(&blob_refs, 1);
	assert_int_equal(cox_grpc_send(s, pieces, 3), COX_EAGAIN); /* one message at a time; the pieces are released */
}
static void on_drained(void *ctx, struct cox_grpc_stream *s)
{
	(void)ctx;
	assert_true(cox_grpc_is_writable(s));
	atomic_fetch_add(&fx->drained, 1);
}
static void on_close(void *ctx, struct cox_grpc_stream *s, enum cox_rc why)
{
	(void)ctx;
	assert_int_equal(cox_grpc_send_copy(s, COX_STR("late")), COX_ECANCELED);
	fx->why = why;
	atomic_fetch_add(&fx->closed, 1);
}
static void hold_half_close(void *ctx, struct cox_grpc_stream *s) { (void)ctx, (void)s; }

static void pause_message(void *ctx, struct cox_grpc_stream *s, struct cox_str m);
static void stream_next(void *ctx, struct cox_grpc_stream *s)
{
	(void)ctx;
	struct cox_grpc_piece piece = { blob, sizeof(blob), NULL, NULL };
	if (atomic_fetch_add(&fx->drained, 1) < 10)
		assert_int_equal(cox_grpc_send(s, &piece, 1), COX_OK);
}
static void stream_message(void *ctx, struct cox_grpc_stream *s, struct cox_str m)
{
	(void)m;
	stream_next(ctx, s);
}

static const struct cox_grpc_method methods[] = {
	{ "/t/Pause", on_open, pause_message, hold_half_close, NULL, on_close, NULL },
	{ "/t/Stream", on_open, stream_message, hold_half_close, stream_next, on_close, NULL },
	{ "/t/Echo", on_open, echo_message, NULL, on_drained, on_close, NULL },
	{ "/t/Blob", on_open, blob_message, hold_half_close, on_drained, on_close, NULL },
	{ "/t/Hold", on_open, NULL, hold_half_close, NULL, on_close, NULL },
};

static void on_server_closed(void *ctx) { atomic_store(&((struct fixture *)ctx)->server_gone, 1); }

static void fixture_open(struct fixture *f, const struct cox_grpc_limits *limits, bool two_loops)
{
	*f = (struct fixture){ .loop = cox_loop_new("one") };
	fx = f;
	struct cox_loop *loops[2] = { f->loop, NULL };
	if (two_loops) {
		loops[1] = f->second = cox_loop_new("two");
		assert_int_equal(cox_loop_start(f->second), COX_OK);
	}
	struct cox_grpc_server_spec spec = {
		.loops = loops, .loop_count = two_loops ? 2 : 1, .methods = methods, .method_count = COX_LEN(methods)
	};
	if (limits)
		spec.limits = *limits;
	struct cox_addr any;
	assert_int_equal(cox_addr_parse(COX_STR("127.0.0.1:0"), &any, NULL), COX_OK);
	assert_int_equal(cox_grpc_server_open(&spec, &f->server, NULL), COX_OK);
	assert_int_equal(cox_grpc_server_listen(f->server, &any, NULL, 7, &f->port, NULL), COX_OK);
	assert_true(f->port > 0);
	f->addr = any;
	f->addr.port = f->port;
}

static bool is_server_gone(void *arg) { return ((struct fixture *)arg)->server_gone != 0; }
static void fixture_close(struct fixture *f)
{
	cox_grpc_client_close(&f->client);
	if (f->server)
		cox_grpc_server_close(&f->server, on_server_closed, f);
	assert_true(cox_loop_run_until(f->loop, is_server_gone, f, 5000));
	cox_loop_free(&f->second);
	cox_loop_free(&f->loop); /* asserts that it is empty */
	assert_int_equal(f->opened, f->closed);
	assert_int_equal(blob_refs, 0);
}

/* --- a call and what came of it --- */

struct outcome {
	struct cox_grpc_call *call;
	int messages, drained, status;
	bool is_done;
	size_t bytes;
	struct cox_buf last, text;
};
static void out_message(void *ctx, struct cox_grpc_call *c, struct cox_str m)
{
	struct outcome *o = ctx;
	(void)c;
	o->messages++;
	o->bytes += m.n;
	cox_buf_clear(&o->last);
	cox_buf_append_str(&o->last, m);
}
static void out_drained(void *ctx, struct cox_grpc_call *c)
{
	(void)c;
	((struct outcome *)ctx)->drained++;
}
static void out_close(void *ctx, struct cox_grpc_call *c, int status, struct cox_str message)
{
	struct outcome *o = ctx;
	(void)c;
	o->is_done = true;
	o->status = status;
	o->call = NULL;
	cox_buf_append_str(&o->text, message);
}
static struct cox_grpc_call_cb out_cb(struct outcome *o) { return (struct cox_grpc_call_cb){ out_message, out_drained, out_close, o }; }
static bool out_done(void *arg) { return ((struct outcome *)arg)->is_done; }
static bool out_has_message(void *arg) { return ((struct outcome *)arg)->messages > 0; }
static void out_fini(struct outcome *o)
{
	cox_buf_fini(&o->last);
	cox_buf_fini(&o->text);
	*o = (struct outcome){ 0 };
}
static void connect_client(struct fixture *f)
{
	struct cox_grpc_client_spec spec = { .addr = f->addr };
	assert_int_equal(cox_grpc_client_open(f->loop, &spec, &f->client, NULL), COX_OK);
}
static void unary(struct fixture *f, const char *path, struct cox_str request, int64_t deadline_ms, struct outcome *o)
{
	struct cox_grpc_call_cb cb = out_cb(o);
	struct cox_grpc_kv kv = { COX_STR("clusterid"), COX_STR("Kubernetes") };
	assert_int_equal(cox_grpc_call_unary(f->client, path, &kv, 1, deadline_ms, request, &cb, &o->call), COX_OK);
	assert_true(cox_loop_run_until(f->loop, out_done, o, 5000));
}

/* --- tests --- */

static void test_unary(void **state)
{
	(void)state;
	struct fixture f;
	struct outcome o = { 0 };
	fixture_open(&f, NULL, false);
	connect_client(&f);
	unary(&f, "/t/Echo", COX_STR("hello"), 5000, &o);
	assert_int_equal(o.status, 0);
	assert_int_equal(o.messages, 1);
	assert_string_equal(cox_buf_cstr(&o.last), "hello");
	assert_string_equal(f.metadata, "Kubernetes");
	assert_in_range(f.deadline_left, 1, 5000);
	assert_int_equal(f.why, COX_OK);
	out_fini(&o);
	unary(&f, "/t/Echo", COX_STR(""), 0, &o); /* an empty message is a message */
	assert_int_equal(o.messages, 1);
	assert_int_equal(f.deadline_left, -1);
	out_fini(&o);
	unary(&f, "/t/Echo", COX_STR("refuse"), 0, &o);
	assert_int_equal(o.status, 7);
	assert_string_equal(cox_buf_cstr(&o.text), "not you: \xc3\xa9 100%\n");
	out_fini(&o);
	unary(&f, "/t/None", COX_STR("x"), 0, &o);
	assert_int_equal(o.status, 12);
	out_fini(&o);
	fixture_close(&f);
}

static void test_big_message_both_ways(void **state)
{
	(void)state;
	struct fixture f;
	struct outcome o = { 0 };
	fixture_open(&f, NULL, false);
	connect_client(&f);
	char *big = cox_alloc(4 << 20);
	memset(big, 'x', 4 << 20);
	unary(&f, "/t/Echo", cox_str_make(big, 4 << 20), 0, &o); /* exactly the limit */
	assert_int_equal(o.status, 0);
	assert_int_equal(o.bytes, 4 << 20);
	assert_memory_equal(o.last.p, big, 4 << 20);
	out_fini(&o);
	char *bigger = cox_zalloc((4 << 20) + 1);
	unary(&f, "/t/Echo", cox_str_make(bigger, (4 << 20) + 1), 0, &o);
	assert_int_equal(o.status, 8);
	assert_int_equal(o.messages, 0);
	out_fini(&o);
	cox_free(big);
	cox_free(bigger);
	fixture_close(&f);
}

static void test_shared_bytes_and_one_message_at_a_time(void **state)
{
	(void)state;
	struct fixture f;
	struct outcome o = { 0 };
	struct cox_grpc_call_cb cb = out_cb(&o);
	memset(blob, 'b', sizeof(blob));
	fixture_open(&f, NULL, false);
	connect_client(&f);
	assert_int_equal(cox_grpc_call_open(f.client, "/t/Blob", NULL, 0, 0, &cb, &o.call), COX_OK);
	for (int i = 1; i <= 3; i++) {
		o.messages = 0;
		assert_int_equal(cox_grpc_call_send(o.call, COX_STR("more")), COX_OK);
		assert_true(cox_loop_run_until(f.loop, out_has_message, &o, 5000));
		assert_int_equal(o.last.n, sizeof(blob) + 8);
		assert_memory_equal(o.last.p, "headbbbb", 8);
		assert_memory_equal(o.last.p + o.last.n - 8, "bbbbtail", 8);
		assert_int_equal(f.drained, i);
		assert_int_equal(blob_refs, 0);
	}
	cox_grpc_call_cancel(&o.call);
	fixture_close(&f);
	assert_false(o.is_done); /* canceled: no callback */
	out_fini(&o);
}

/* --- back-pressure: a paused side takes what its window holds, and no more --- */

enum { FLOOD_BYTES = 200 << 10, FLOOD_COUNT = 20 };
static bool flood_is_written(void *arg) { return ((struct outcome *)arg)->drained >= FLOOD_COUNT; }
static void pause_message(void *ctx, struct cox_grpc_stream *s, struct cox_str m)
{
	(void)ctx, (void)m;
	cox_grpc_stream_set_data(s, s);
	cox_grpc_stream_pause(s, true);
	fx->held = s;
	fx->deadline_left++; /* counts messages */
}
static void flood_drained(void *ctx, struct cox_grpc_call *c)
{
	static char text[FLOOD_BYTES];
	struct outcome *o = ctx;
	if (++o->drained < FLOOD_COUNT)
		assert_int_equal(cox_grpc_call_send(c, cox_str_make(text, sizeof(text))), COX_OK);
}

static void test_paused_server_stream(void **state)
{
	(void)state;
	struct fixture f;
	struct outcome o = { 0 };
	struct cox_grpc_call_cb cb = { out_message, flood_drained, out_close, &o };
	fixture_open(&f, NULL, false);
	connect_client(&f);
	assert_int_equal(cox_grpc_call_open(f.client, "/t/Pause", NULL, 0, 0, &cb, &o.call), COX_OK);
	assert_int_equal(cox_grpc_call_send(o.call, COX_STR("go")), COX_OK);
	assert_false(cox_loop_run_until(f.loop, flood_is_written, &o, 300));
	assert_int_equal(f.deadline_left, 0); /* "go" alone: 64 KiB hold no second message */
	assert_true(o.drained <= 2);
	for (int i = 0; i < 100 && !flood_is_written(&o); i++) {
		cox_grpc_stream_pause(f.held, false);
		cox_loop_run_until(f.loop, flood_is_written, &o, 50);
	}
	assert_true(flood_is_written(&o));
	cox_grpc_call_cancel(&o.call);
	fixture_close(&f);
	out_fini(&o);
}

static bool blobs_came(void *arg) { return ((struct outcome *)arg)->messages >= 5; }
static bool blob_three_drained(void *arg) { return ((struct fixture *)arg)->drained >= 3; }
static void test_paused_call(void **state)
{
	(void)state;
	struct fixture f;
	struct outcome o = { 0 };
	fixture_open(&f, NULL, false);
	connect_client(&f);
	struct cox_grpc_call_cb cb = out_cb(&o);
	assert_int_equal(cox_grpc_call_open(f.client, "/t/Stream", NULL, 0, 0, &cb, &o.call), COX_OK);
	cox_grpc_call_pause(o.call, true);
	assert_int_equal(cox_grpc_call_send(o.call, COX_STR("go")), COX_OK);
	assert_false(cox_loop_run_until(f.loop, blob_three_drained, &f, 300));
	assert_int_equal(o.messages, 1); /* 1 MiB holds one of 600 KB */
	cox_grpc_call_pause(o.call, false);
	assert_true(cox_loop_run_until(f.loop, blobs_came, &o, 5000));
	cox_grpc_call_cancel(&o.call);
	fixture_close(&f);
	out_fini(&o);
}

static bool is_overdue(void *arg) { return ((struct fixture *)arg)->closed == 1; }
static void test_deadline(void **state)
{
	(void)state;
	struct fixture f;
	struct outcome o = { 0 };
	fixture_open(&f, NULL, false);
	connect_client(&f);
	unary(&f, "/t/Hold", COX_STR("x"), 50, &o);
	assert_int_equal(o.status, 4);
	assert_true(cox_loop_run_until(f.loop, is_overdue, &f, 2000));
	out_fini(&o);
	fixture_close(&f);
}

static bool all_open(void *arg) { return ((struct fixture *)arg)->opened >= 1000; }
static bool all_closed(void *arg) { return ((struct fixture *)arg)->closed == 1000; }
static void test_thousand_streams(void **state)
{
	(void)state;
	struct fixture f;
	struct cox_grpc_limits limits = { .streams_per_connection = 1000 };
	static struct outcome o[1000];
	fixture_open(&f, &limits, true);
	connect_client(&f);
	for (size_t i = 0; i < COX_LEN(o); i++) {
		struct cox_grpc_call_cb cb = out_cb(&o[i]);
		assert_int_equal(cox_grpc_call_open(f.client, "/t/Echo", NULL, 0, 0, &cb, &o[i].call), COX_OK);
		assert_int_equal(cox_grpc_call_send(o[i].call, COX_STR("m")), COX_OK);
	}
	assert_true(cox_loop_run_until(f.loop, all_open, &f, 5000));
	for (size_t i = 0; i < COX_LEN(o); i += 2)
		cox_grpc_call_half_close(o[i].call);
	for (size_t i = 1; i < COX_LEN(o); i += 2) {
		assert_true(cox_loop_run_until(f.loop, out_has_message, &o[i], 5000));
		cox_grpc_call_cancel(&o[i].call);
	}
	assert_true(cox_loop_run_until(f.loop, all_closed, &f, 5000));
	for (size_t i = 0; i < COX_LEN(o); i++) {
		if (i % 2 == 0)
			assert_true(cox_loop_run_until(f.loop, out_done, &o[i], 5000));
		assert_int_equal(o[i].status, 0);
		assert_int_equal(o[i].messages, 1);
		out_fini(&o[i]);
	}
	fixture_close(&f);
}

static void client_closed(void *ctx, enum cox_rc rc, const struct cox_err *err)
{
	(void)err;
	*(int *)ctx = 1 + (int)rc;
}
static bool is_nonzero(void *arg) { return *(int *)arg != 0; }

static void drain_case(struct fixture *f, bool by_age)
{
	struct outcome o = { 0 };
	struct cox_grpc_call_cb cb = out_cb(&o);
	int closed = 0;
	struct cox_grpc_client_spec spec = { .addr = f->addr, .on_closed = client_closed, .ctx = &closed };
	assert_int_equal(cox_grpc_client_open(f->loop, &spec, &f->client, NULL), COX_OK);
	assert_int_equal(cox_grpc_call_open(f->client, "/t/Echo", NULL, 0, 0, &cb, &o.call), COX_OK);
	assert_int_equal(cox_grpc_call_send(o.call, COX_STR("m")), COX_OK);
	assert_true(cox_loop_run_until(f->loop, out_has_message, &o, 5000));
	if (!by_age)
		cox_grpc_server_drain(f->server, 100);
	assert_true(cox_loop_run_until(f->loop, is_nonzero, &closed, 5000));
	assert_true(o.is_done); /* before the connection's own end, with a status */
	assert_int_equal(o.status, 14);
	assert_string_equal(cox_buf_cstr(&o.text), "the server closes this connection");
	assert_int_equal(closed, 1); /* GOAWAY, then the end: no error */
	assert_int_equal(cox_grpc_call_open(f->client, "/t/Echo", NULL, 0, 0, &cb, &o.call), COX_ECANCELED);
	out_fini(&o);
}
static void test_drain(void **state)
{
	(void)state;
	struct fixture f;
	fixture_open(&f, NULL, true);
	drain_case(&f, false);
	fixture_close(&f);
}
static void test_age(void **state)
{
	(void)state;
	struct fixture f;
	struct cox_grpc_limits limits = { .max_age_ms = 100, .max_age_grace_ms = 100 };
	fixture_open(&f, &limits, false);
	drain_case(&f, true);
	fixture_close(&f);
}

static void test_connection_refused(void **state)
{
	(void)state;
	struct fixture f;
	int closed = 0;
	struct outcome o = { 0 };
	fixture_open(&f, NULL, false);
	struct cox_grpc_client_spec spec = { .on_closed = client_closed, .ctx = &closed };
	assert_int_equal(cox_addr_parse(COX_STR("127.0.0.1:1"), &spec.addr, NULL), COX_OK);
	assert_int_equal(cox_grpc_client_open(f.loop, &spec, &f.client, NULL), COX_OK);
	struct cox_grpc_call_cb cb = out_cb(&o);
	assert_int_equal(cox_grpc_call_unary(f.client, "/t/Echo", NULL, 0, 0, COX_STR("x"), &cb, &o.call), COX_OK);
	assert_true(cox_loop_run_until(f.loop, is_nonzero, &closed, 5000));
	assert_true(o.is_done);
	assert_int_equal(o.status, 14);
	out_fini(&o);
	fixture_close(&f);
}

static void test_server_goes_away_at_once(void **state)
{
	(void)state;
	struct fixture f;
	struct outcome o = { 0 };
	struct cox_grpc_call_cb cb = out_cb(&o);
	fixture_open(&f, NULL, true);
	connect_client(&f);
	assert_int_equal(cox_grpc_call_open(f.client, "/t/Hold", NULL, 0, 0, &cb, &o.call), COX_OK);
	assert_true(cox_loop_run_until(f.loop, is_nonzero, &f.opened, 5000));
	cox_grpc_server_close(&f.server, on_server_closed, &f);
	assert_true(cox_loop_run_until(f.loop, out_done, &o, 5000));
	assert_int_equal(o.status, 14);
	assert_int_equal(f.why, COX_ECANCELED);
	out_fini(&o);
	fixture_close(&f);
}

static void test_unix_socket(void **state)
{
	(void)state;
	struct fixture f;
	struct outcome o = { 0 };
	char text[64];
	fixture_open(&f, NULL, false);
	snprintf(text, sizeof(text), "unix:/tmp/cox-grpc-test-%d", getpid());
	assert_int_equal(cox_addr_parse(cox_str_of(text), &f.addr, NULL), COX_OK);
	assert_int_equal(cox_grpc_server_listen(f.server, &f.addr, NULL, 8, NULL, NULL), COX_OK);
	connect_client(&f);
	unary(&f, "/t/Echo", COX_STR("over unix"), 0, &o);
	assert_int_equal(o.status, 0);
	assert_string_equal(cox_buf_cstr(&o.last), "over unix");
	out_fini(&o);
	fixture_close(&f);
	unlink(text + 5);
}

/* --- raw peers --- */

static int raw_connect(struct fixture *f)
{
	struct sockaddr_in sa = { .sin_family = AF_INET, .sin_port = htons(f->port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), small = 4096;
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	connect(fd, (struct sockaddr *)&sa, sizeof(sa));
	return fd;
}
struct raw {
	struct fixture *f;
	int fd;
	size_t got;
	bool is_closed;
	char buf[4096];
};
static bool raw_closed(void *arg)
{
	struct raw *r = arg;
	ssize_t n = recv(r->fd, r->buf, sizeof(r->buf), MSG_DONTWAIT);
	if (n > 0)
		r->got += (size_t)n;
	if (n == 0 || (n < 0 && errno != EAGAIN))
		r->is_closed = true;
	return r->is_closed;
}
static bool has_connection(void *arg) { return cox_grpc_server_connections(((struct fixture *)arg)->server) > 0; }
static bool has_none(void *arg) { return cox_grpc_server_connections(((struct fixture *)arg)->server) == 0; }

static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
static const char settings_frame[] = "\0\0\0\4\0\0\0\0\0";

static void send_all(struct raw *r, const void *p, size_t n)
{
	while (n > 0) {
		ssize_t k = send(r->fd, p, n, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (k > 0) {
			p = (const char *)p + k;
			n -= (size_t)k;
		} else if (raw_closed(r)) {
			return;
		}
		cox_loop_run_until(r->f->loop, raw_closed, r, 1);
	}
}

static void test_garbage(void **state)
{
	(void)state;
	struct fixture f;
	fixture_open(&f, NULL, false);
	double before = cox_series_get(cox_metric_series(COX_M_H2_REFUSED, COX_STR("preface")));
	const char *const texts[] = { "GET / HTTP/1.1\r\nHost: x\r\n\r\n.....",
		                      "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03.....................",
		                      "PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n" };
	for (size_t i = 0; i < COX_LEN(texts); i++) {
		struct raw r = { .f = &f, .fd = raw_connect(&f) };
		assert_true(cox_loop_run_until(f.loop, has_connection, &f, 2000));
		send_all(&r, texts[i], strlen(texts[i]));
		assert_true(cox_loop_run_until(f.loop, raw_closed, &r, 2000));
		close(r.fd);
	}
	assert_true(cox_series_get(cox_metric_series(COX_M_H2_REFUSED, COX_STR("preface"))) >= before + 3);
	/* Right preface, then random frames: whatever happens, the server stands. */
	for (int i = 0; i < 50; i++) {
		struct raw r = { .f = &f, .fd = raw_connect(&f) };
		char noise[512];
		for (size_t k = 0; k < sizeof(noise); k++)
			noise[k] = (char)cox_random_below(k % 64 < 4 ? 4 : 256);
		send_all(&r, preface, sizeof(preface) - 1);
		send_all(&r, settings_frame, 9);
		send_all(&r, noise, sizeof(noise));
		cox_loop_run_until(f.loop, raw_closed, &r, 5);
		close(r.fd);
	}
	assert_true(cox_loop_run_until(f.loop, has_none, &f, 5000));
	struct outcome o = { 0 };
	connect_client(&f);
	unary(&f, "/t/Echo", COX_STR("still here"), 0, &o);
	assert_int_equal(o.status, 0);
	out_fini(&o);
	fixture_close(&f);
}

static void test_silent_peer(void **state)
{
	(void)state;
	struct fixture f;
	struct cox_grpc_limits limits = { .handshake_timeout_ms = 60, .keepalive_interval_ms = 60, .keepalive_timeout_ms = 60 };
	fixture_open(&f, &limits, false);
	struct raw r = { .f = &f, .fd = raw_connect(&f) };
	assert_true(cox_loop_run_until(f.loop, raw_closed, &r, 2000)); /* says nothing at all */
	close(r.fd);
	r = (struct raw){ .f = &f, .fd = raw_connect(&f) };
	send_all(&r, preface, sizeof(preface) - 1);
	send_all(&r, settings_frame, 9);
	assert_true(cox_loop_run_until(f.loop, raw_closed, &r, 2000)); /* does not answer the PING */
	assert_true(r.got > 0);
	close(r.fd);
	fixture_close(&f);
}

static void test_ping_flood(void **state)
{
	(void)state;
	struct fixture f;
	fixture_open(&f, NULL, false);
	double before = cox_series_get(cox_metric_series(COX_M_H2_REFUSED, COX_STR("ping")));
	struct raw r = { .f = &f, .fd = raw_connect(&f) };
	send_all(&r, preface, sizeof(preface) - 1);
	send_all(&r, settings_frame, 9);
	for (int i = 0; i < 2000 && !r.is_closed; i++)
		send_all(&r, "\0\0\10\6\0\0\0\0\0abcdefgh", 17);
	assert_true(cox_loop_run_until(f.loop, raw_closed, &r, 4000));
	assert_true(cox_series_get(cox_metric_series(COX_M_H2_REFUSED, COX_STR("ping"))) > before);
	close(r.fd);
	fixture_close(&f);
}

/* HEADERS of a call, as literals without indexing. */
static void put_header(struct cox_buf *b, const char *name, const char *value)
{
	cox_buf_append_char(b, 0);
	cox_buf_append_char(b, (char)strlen(name));
	cox_buf_append_cstr(b, name);
	cox_buf_append_char(b, (char)strlen(value));
	cox_buf_append_cstr(b, value);
}
static void put_frame(struct cox_buf *out, char type, char flags, uint32_t id, struct cox_str body)
{
	const char head[9] = { (char)(body.n >> 16), (char)(body.n >> 8), (char)body.n,    type,    flags,
		               (char)(id >> 24),     (char)(id >> 16),    (char)(id >> 8), (char)id };
	cox_buf_append(out, head, 9);
	cox_buf_append_str(out, body);
}
static void put_call(struct cox_buf *out, uint32_t id, const char *path, const char *method, const char *type, struct cox_str data)
{
	struct cox_buf h = { 0 };
	put_header(&h, ":method", method);
	put_header(&h, ":scheme", "http");
	put_header(&h, ":path", path);
	put_header(&h, ":authority", "x");
	put_header(&h, "content-type", type);
	put_frame(out, 1, 4, id, cox_buf_str(&h));
	if (data.n)
		put_frame(out, 0, 0, id, data);
	cox_buf_fini(&h);
}
static void open_raw(struct raw *r, struct fixture *f, struct cox_buf *b)
{
	*r = (struct raw){ .f = f, .fd = raw_connect(f) };
	send_all(r, preface, sizeof(preface) - 1);
	send_all(r, settings_frame, 9);
	send_all(r, b->p, b->n);
}

static bool never(void *arg)
{
	(void)arg;
	return false;
}

static void test_slow_reader_is_closed(void **state)
{
	(void)state;
	struct fixture f;
	struct raw r;
	struct cox_buf b = { 0 };
	struct cox_grpc_limits limits = { .write_timeout_ms = 200 };
	double before = cox_series_get(cox_metric_series(COX_M_XDS_WRITE_TIMEOUT, COX_STR("")));
	fixture_open(&f, &limits, false);
	/* Grants no more window than the first 64 KiB, and so stalls a message of 600 KB. */
	put_call(&b, 1, "/t/Blob", "POST", "application/grpc", cox_str_make("\0\0\0\0\1x", 6));
	open_raw(&r, &f, &b);
	assert_true(cox_loop_run_until(f.loop, raw_closed, &r, 3000));
	assert_int_equal(f.closed, 1);
	assert_int_equal(f.why, COX_ETIMEOUT);
	close(r.fd);
	/* Grants a huge window, and does not read: the kernel's buffers fill. */
	cox_buf_clear(&b);
	put_frame(&b, 4, 0, 0, cox_str_make("\0\4\x7f\xff\xff\xff", 6));
	put_frame(&b, 8, 0, 0, cox_str_make("\x7f\xff\0\0", 4));
	for (uint32_t id = 1; id < 40; id += 2)
		put_call(&b, id, "/t/Blob", "POST", "application/grpc", cox_str_make("\0\0\0\0\1x", 6));
	open_raw(&r, &f, &b);
	for (int i = 0; i < 40 && f.closed < 21; i++)
		cox_loop_run_until(f.loop, never, NULL, 100);
	assert_int_equal(f.closed, 21);
	close(r.fd);
	assert_true(cox_series_get(cox_metric_series(COX_M_XDS_WRITE_TIMEOUT, COX_STR(""))) >= before + 2);
	cox_buf_fini(&b);
	fixture_close(&f);
}

static bool has_answer(void *arg)
{
	raw_closed(arg);
	return ((struct raw *)arg)->got > 60;
}

static void test_not_grpc(void **state)
{
	(void)state;
	struct fixture f;
	struct cox_buf b = { 0 };
	fixture_open(&f, NULL, false);
	struct {
		const char *method, *type;
		struct cox_str data;
	} cases[] = { { "GET", "application/grpc", COX_STR_INIT("") },
		      { "POST", "text/plain", COX_STR_INIT("") },
		      { "POST", "application/grpc", { "\1\0\0\0\1x", 6 } },          /* compressed */
		      { "POST", "application/grpc", { "\7\0\0\0\1x", 6 } },          /* no such flag */
		      { "POST", "application/grpc", { "\0\xff\xff\xff\xff", 5 } } }; /* 4 GiB announced */
	for (size_t i = 0; i < COX_LEN(cases); i++) {
		struct raw r;
		cox_buf_clear(&b);
		put_call(&b, 1, "/t/Echo", cases[i].method, cases[i].type, cases[i].data);
		open_raw(&r, &f, &b);
		assert_true(cox_loop_run_until(f.loop, has_answer, &r, 2000));
		assert_false(r.is_closed);
		close(r.fd);
	}
	cox_buf_fini(&b);
	fixture_close(&f);
	assert_int_equal(f.opened, 3); /* the first two never reached the method */
}

static void test_rapid_reset(void **state)
{
	(void)state;
	struct fixture f;
	struct raw r;
	struct cox_buf b = { 0 };
	fixture_open(&f, NULL, false);
	for (uint32_t id = 1; id < 4000; id += 2) {
		put_call(&b, id, "/t/Hold", "POST", "application/grpc", COX_STR(""));
		put_frame(&b, 3, 0, id, cox_str_make("\0\0\0\10", 4));
	}
	open_raw(&r, &f, &b);
	assert_true(cox_loop_run_until(f.loop, raw_closed, &r, 4000));
	assert_true(f.opened < 1100);
	close(r.fd);
	cox_buf_fini(&b);
	fixture_close(&f);
}

static void test_header_limit_and_connection_limit(void **state)
{
	(void)state;
	struct fixture f;
	struct cox_grpc_limits limits = { .header_bytes = 1024, .connections = 2 };
	struct outcome o = { 0 };
	struct cox_grpc_call_cb cb = out_cb(&o);
	static char long_value[2000];
	memset(long_value, 'v', sizeof(long_value));
	fixture_open(&f, &limits, false);
	connect_client(&f);
	struct cox_grpc_kv kv = { COX_STR("authorization"), { long_value, sizeof(long_value) } };
	assert_int_equal(cox_grpc_call_open(f.client, "/t/Echo", &kv, 1, 0, &cb, &o.call), COX_OK);
	assert_true(cox_loop_run_until(f.loop, out_done, &o, 3000));
	assert_int_not_equal(o.status, 0);
	assert_int_equal(f.opened, 0);
	out_fini(&o);
	struct raw a = { .f = &f, .fd = raw_connect(&f) }, b = { .f = &f, .fd = raw_connect(&f) };
	assert_true(cox_loop_run_until(f.loop, raw_closed, &b, 3000)); /* the third connection */
	assert_int_equal(cox_grpc_server_connections(f.server), 2);
	close(a.fd);
	close(b.fd);
	fixture_close(&f);
}

static void test_open_refused(void **state)
{
	(void)state;
	struct cox_err err = { 0 };
	struct cox_grpc_server *s = NULL;
	struct cox_grpc_server_spec spec = { 0 };
	assert_int_equal(cox_grpc_server_open(&spec, &s, &err), COX_EINVAL);
	struct fixture f;
	fixture_open(&f, NULL, false);
	assert_int_equal(cox_grpc_server_listen(f.server, &f.addr, NULL, 1, NULL, &err), COX_EEXIST);
	assert_non_null(strstr(err.text, "127.0.0.1"));
	struct cox_grpc_client_spec c = { 0 };
	assert_int_equal(cox_grpc_client_open(f.loop, &c, &f.client, &err), COX_EINVAL);
	fixture_close(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_unary),
		cmocka_unit_test(test_big_message_both_ways),
		cmocka_unit_test(test_shared_bytes_and_one_message_at_a_time),
		cmocka_unit_test(test_paused_server_stream),
		cmocka_unit_test(test_paused_call),
		cmocka_unit_test(test_deadline),
		cmocka_unit_test(test_thousand_streams),
		cmocka_unit_test(test_drain),
		cmocka_unit_test(test_age),
		cmocka_unit_test(test_connection_refused),
		cmocka_unit_test(test_server_goes_away_at_once),
		cmocka_unit_test(test_unix_socket),
		cmocka_unit_test(test_garbage),
		cmocka_unit_test(test_silent_peer),
		cmocka_unit_test(test_ping_flood),
		cmocka_unit_test(test_slow_reader_is_closed),
		cmocka_unit_test(test_not_grpc),
		cmocka_unit_test(test_rapid_reset),
		cmocka_unit_test(test_header_limit_and_connection_limit),
		cmocka_unit_test(test_open_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
