/* The small HTTP reader, readiness from statistics, and client against server. covers: i6 i7 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "agent/http_client.h"
#include "agent/http_reader.h"
#include "agent/http_server.h"
#include "agent/readiness.h"
#include "net/addr.h"

#include <sys/socket.h>
#include <unistd.h>

static void test_requests(void **state)
{
	(void)state;
	struct cox_agent_http_request r;
	struct cox_str whole = COX_STR("GET /healthz/ready?a=b HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc");
	assert_int_equal(cox_agent_http_read_request(whole, &r), COX_OK);
	assert_true(cox_str_eq(r.path, COX_STR("/healthz/ready")) && cox_str_eq(r.query, COX_STR("a=b")) &&
	            cox_str_eq(r.method, COX_STR("GET")));
	assert_int_equal(r.body_bytes, 3);
	assert_int_equal(r.head_bytes, whole.n - 3);
	assert_true(r.keep_alive);
	for (size_t n = 0; n < r.head_bytes; n++)
		assert_int_equal(cox_agent_http_read_request(cox_str_sub(whole, 0, n), &r), COX_EAGAIN);
	assert_int_equal(cox_agent_http_read_request(COX_STR("GET / HTTP/1.0\n\n"), &r), COX_OK);
	assert_false(r.keep_alive);
}

/* Answers cut into pieces of every length: the same status and body. */
static void test_answers_in_parts(void **state)
{
	(void)state;
	static const struct {
		const char *text, *body;
		int status;
	} cases[] = {
		{ "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "hello", 200 },
		{ "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nhel\r\n2\r\nlo\r\n0\r\nTrailer: x\r\n\r\n", "hello", 200 },
		{ "HTTP/1.0 404 No\r\n\r\nto the end", "to the end", 404 },
		{ "HTTP/1.1 100 Go\r\n\r\nHTTP/1.1 204 None\r\n\r\n", "", 204 },
		{ "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "", 200 },
		{ "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello", NULL, 0 },
		{ "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhello\r\n", NULL, 0 },
		{ "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n", NULL, 0 },
	};
	for (size_t i = 0; i < COX_LEN(cases); i++)
		for (size_t piece = 1; piece < 40; piece++) {
			struct cox_agent_http_reader r = { 0 };
			struct cox_str text = cox_str_of(cases[i].text), part;
			struct cox_buf body = { 0 };
			enum cox_rc rc = COX_OK;
			for (size_t from = 0, to = 0, used; rc == COX_OK && !r.is_done;) {
				bool was_head = r.state == COX_AGENT_HTTP_HEAD;
				rc = cox_agent_http_reader_next(&r, cox_str_sub(text, from, to - from), to == text.n, &used, &part);
				from += used;
				if (rc == COX_OK && !was_head)
					cox_buf_append_str(&body, part);
				if (rc == COX_EAGAIN) {
					to = cox_min_size(to + piece, text.n);
					rc = COX_OK;
				}
			}
			assert_int_equal(rc, cases[i].body ? COX_OK : COX_EPROTO);
			if (cases[i].body)
				assert_true(r.status == cases[i].status && cox_str_eq(cox_buf_str(&body), cox_str_of(cases[i].body)));
			cox_buf_fini(&body);
		}
}

static void test_headers(void **state)
{
	(void)state;
	struct cox_str head = COX_STR("GET / HTTP/1.1\r\nHost: x\r\nAccept:  a/b \r\n\r\nBody: no\r\n");
	assert_true(cox_str_eq(cox_agent_http_header(head, COX_STR("ACCEPT")), COX_STR("a/b")));
	assert_true(cox_str_is_empty(cox_agent_http_header(head, COX_STR("body"))));
}

static void test_requests_refused(void **state)
{
	(void)state;
	static const char *const bad[] = {
		"GET\r\n\r\n",
		"GET /\r\n\r\n",
		"GET / HTTP/2\r\n\r\n",
		"GET x HTTP/1.1\r\n\r\n",
		"G@T / HTTP/1.1\r\n\r\n",
		"GET / HTTP/1.1\r\nA : b\r\n\r\n",
		"GET / HTTP/1.1\r\n folded\r\n\r\n",
		"GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
		"GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
		"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
		"GET / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n",
		"\r\n\r\n",
	};
	struct cox_agent_http_request r;
	for (size_t i = 0; i < COX_LEN(bad); i++)
		assert_int_equal(cox_agent_http_read_request(cox_str_of(bad[i]), &r), COX_EPROTO);
	struct cox_buf long_head = { 0 };
	cox_buf_append_cstr(&long_head, "GET / HTTP/1.1\r\n");
	while (long_head.n < COX_AGENT_HTTP_HEAD_MAX)
		cox_buf_append_cstr(
		    &long_head,
		    "A: bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
		    "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb\r\n");
	assert_int_equal(cox_agent_http_read_request(cox_buf_str(&long_head), &r), COX_ELIMIT);
	cox_buf_fini(&long_head);
}

static void test_responses(void **state)
{
	(void)state;
	struct {
		const char *text;
		bool ended;
		enum cox_rc rc;
		int status;
		const char *body;
	} cases[] = {
		{ "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", false, COX_OK, 200, "hi" },
		{ "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nhi", false, COX_EAGAIN, 0, "" },
		{ "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nhi", true, COX_EPROTO, 0, "" },
		{ "HTTP/1.1 503\r\n\r\nno", true, COX_OK, 503, "no" },
		{ "HTTP/1.1 200 OK\r\n\r\nso far", false, COX_EAGAIN, 0, "" },
		{ "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\nA;x=y\r\n0123456789\r\n0\r\n\r\n", false, COX_OK, 200,
		  "hi0123456789" },
		{ "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi", false, COX_EAGAIN, 0, "" },
		{ "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nx\r\n", false, COX_EPROTO, 0, "" },
		{ "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nffffffff\r\n", false, COX_ELIMIT, 0, "" },
		{ "HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n", false, COX_ELIMIT, 0, "" },
		{ "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No\r\n\r\n", false, COX_OK, 204, "" },
		{ "HTTP/1.1 2000 OK\r\n\r\n", true, COX_EPROTO, 0, "" },
		{ "ICY 200 OK\r\n\r\n", true, COX_EPROTO, 0, "" },
		{ "", true, COX_EPROTO, 0, "" },
	};
	for (size_t i = 0; i < COX_LEN(cases); i++) {
		struct cox_buf body = { 0 };
		int status = 0;
		assert_int_equal(cox_agent_http_read_response(cox_str_of(cases[i].text), cases[i].ended, &status, &body), cases[i].rc);
		assert_int_equal(status, cases[i].status);
		assert_string_equal(cox_buf_cstr(&body), cases[i].body);
		cox_buf_fini(&body);
	}
}

static void test_readiness(void **state)
{
	(void)state;
	struct cox_agent_readiness r =
	    cox_agent_readiness_read(COX_STR("cluster_manager.cds.update_success: 1\nlistener_manager.lds.update_rejected: 2\n"
	                                     "listener_manager.workers_started: 1\n"));
	assert_null(cox_agent_readiness_missing(&r));
	r = cox_agent_readiness_read(COX_STR("cluster_manager.cds.update_success: 0\nlistener_manager.workers_started: 1\n"));
	assert_non_null(strstr(cox_agent_readiness_missing(&r), "no clusters"));
	r = cox_agent_readiness_read(COX_STR("cluster_manager.cds.update_success: 1\nlistener_manager.workers_started: 1\n"));
	assert_non_null(strstr(cox_agent_readiness_missing(&r), "no listeners"));
	r = cox_agent_readiness_read(COX_STR("cluster_manager.cds.update_success: 1\nlistener_manager.lds.update_success: 1\n"));
	assert_non_null(strstr(cox_agent_readiness_missing(&r), "workers"));
	r = cox_agent_readiness_read(COX_STR("garbage\nlistener_manager.workers_started: x\n: 3\n"));
	assert_false(r.workers_started);
	assert_int_equal(cox_agent_active_connections(
	                     COX_STR("listener.0.0.0.0_15006.downstream_cx_active: 3\nlistener.admin.downstream_cx_active: 1\n"
	                             "listener.0.0.0.0_15006.worker_0.downstream_cx_active: 3\nhttp.x.downstream_cx_active: 9\n"
	                             "listener.0.0.0.0_15021.downstream_cx_active: 1\nlistener.0.0.0.0_15090.downstream_cx_active: 1\n"
	                             "listener.0.0.0.0_8080.downstream_cx_active: 2\n"),
	                     15090, 15021),
	                 5);
}

/* --- client and server on one loop ------------------------------------------------------- */

struct pair {
	struct cox_agent_exchange *waiting;
	int calls, status;
	enum cox_rc rc;
	size_t bytes;
};

static void on_request(void *ctx, const struct cox_agent_http_request *r, struct cox_agent_exchange *x)
{
	struct pair *p = ctx;
	if (cox_str_eq(r->path, COX_STR("/later"))) {
		p->waiting = x;
		return;
	}
	struct cox_buf body = { 0 };
	for (int i = 0; cox_str_eq(r->path, COX_STR("/big")) && i < 50000; i++)
		cox_buf_append_cstr(&body, "0123456789");
	cox_agent_exchange_reply(x, cox_str_eq(r->path, COX_STR("/big")) ? 200 : 404, "text/plain", cox_buf_str(&body));
	cox_buf_fini(&body);
}

static void on_answer(void *ctx, enum cox_rc rc, int status, struct cox_str body)
{
	struct pair *p = ctx;
	p->calls++;
	p->rc = rc;
	p->status = status;
	p->bytes = body.n;
}

static bool one_call(void *arg) { return ((struct pair *)arg)->calls == 1; }
static bool has_waiting(void *arg) { return ((struct pair *)arg)->waiting != NULL; }

static uint16_t open_server(struct cox_loop *loop, struct pair *p, struct cox_agent_http_server **s)
{
	struct cox_addr at = { .host = "127.0.0.1" };
	int fd;
	uint16_t port;
	assert_int_equal(cox_addr_listen(&at, 16, &fd, &port, NULL), COX_OK);
	assert_int_equal(cox_agent_http_server_open_take(loop, fd, on_request, p, s), COX_OK);
	return port;
}

static void call(struct cox_loop *loop, uint16_t port, const char *path, int64_t timeout_ms, struct pair *p)
{
	struct cox_agent_call *c;
	p->calls = 0;
	cox_agent_call_open(loop, port, "GET", path, timeout_ms, on_answer, p, &c);
	assert_int_equal(p->calls, 0);
	assert_true(cox_loop_run_until(loop, one_call, p, 5000));
	cox_agent_call_close(&c);
}

static void test_client_and_server(void **state)
{
	(void)state;
	struct cox_loop *loop = cox_loop_new("test");
	struct cox_agent_http_server *s;
	struct pair p = { 0 };
	uint16_t port = open_server(loop, &p, &s);
	call(loop, port, "/big", 2000, &p);
	assert_int_equal(p.rc, COX_OK);
	assert_int_equal(p.bytes, 500000);
	call(loop, port, "/x", 2000, &p);
	assert_int_equal(p.status, 404);
	call(loop, port, "/later", 50, &p);
	assert_int_equal(p.rc, COX_ETIMEOUT);
	assert_true(cox_loop_run_until(loop, has_waiting, &p, 1000));
	cox_agent_exchange_reply(p.waiting, 200, "text/plain", COX_STR("too late")); /* the client is gone */
	cox_agent_http_server_close(&s);
	call(loop, port, "/x", 2000, &p);
	assert_int_equal(p.rc, COX_EIO);
	cox_loop_free(&loop);
}

static void test_answer_after_the_server_closed(void **state)
{
	(void)state;
	struct cox_loop *loop = cox_loop_new("test");
	struct cox_agent_http_server *s;
	struct pair p = { 0 };
	uint16_t port = open_server(loop, &p, &s);
	struct cox_agent_call *c;
	cox_agent_call_open(loop, port, "GET", "/later", 5000, on_answer, &p, &c);
	assert_true(cox_loop_run_until(loop, has_waiting, &p, 2000));
	cox_agent_http_server_close(&s);
	cox_agent_exchange_reply(p.waiting, 200, "text/plain", COX_STR("dropped"));
	assert_true(cox_loop_run_until(loop, one_call, &p, 2000));
	assert_int_equal(p.rc, COX_EIO);
	cox_agent_call_close(&c);
	cox_loop_free(&loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_requests),          cmocka_unit_test(test_requests_refused),
		cmocka_unit_test(test_answers_in_parts),  cmocka_unit_test(test_headers),
		cmocka_unit_test(test_responses),         cmocka_unit_test(test_readiness),
		cmocka_unit_test(test_client_and_server), cmocka_unit_test(test_answer_after_the_server_closed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
