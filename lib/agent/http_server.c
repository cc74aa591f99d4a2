#include "agent/http_server.h"

#include "base/vec.h"
#include "loop/poll.h"
#include "loop/timer.h"

#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

enum { READ_BYTES = 4096, BODY_MAX = 64 * 1024, STREAM_WAITS_MAX = 64 * 1024, STREAM_STALL_MS = 30 * 1000 };

/* A connection; an exchange is a connection whose request waits for its answer. */
struct cox_agent_exchange {
	struct cox_agent_http_server *server; /* NULL: the connection is gone, the answer will be dropped */
	int fd;
	struct cox_poll *poll;
	struct cox_timer *idle;
	struct cox_buf in, out;
	size_t sent;
	bool waiting, keep_alive, is_1_1;
	bool streams, is_chunked, is_full; /* an answer in parts; full: its writer waits for on_room */
	void (*on_room)(void *ctx);
	void *room_ctx;
};

struct cox_agent_http_server {
	struct cox_loop *loop;
	int fd;
	struct cox_poll *poll;
	cox_agent_http_fn *fn;
	void *ctx;
	COX_VEC(struct cox_agent_exchange *) open;
};

/* Ends the connection; the object too, unless somebody still owes it an answer. */
static void drop(struct cox_agent_exchange *x)
{
	struct cox_agent_http_server *s = COX_MOVE(x->server);
	for (size_t i = 0; s && i < s->open.n; i++)
		if (s->open.p[i] == x) {
			cox_vec_remove(&s->open, i);
			break;
		}
	cox_poll_close(&x->poll);
	cox_timer_free(&x->idle);
	if (x->fd >= 0)
		close(x->fd);
	x->fd = -1;
	if (x->waiting) {
		if (x->on_room)
			x->on_room(x->room_ctx); /* may end it */
		return;
	}
	cox_buf_fini(&x->in);
	cox_buf_fini(&x->out);
	cox_free(x);
}

static void write_reply(struct cox_agent_exchange *x, int status, const char *content_type, struct cox_str body)
{
	cox_buf_printf(&x->out, "HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n%s\r\n", status,
	               status < 400 ? "OK" : "Error", content_type, body.n, x->keep_alive ? "" : "Connection: close\r\n");
	cox_buf_append_str(&x->out, body);
	cox_poll_want(x->poll, COX_POLL_WRITE);
}

void cox_agent_exchange_reply(struct cox_agent_exchange *x, int status, const char *content_type, struct cox_str body)
{
	COX_ASSERT(x->waiting);
	x->waiting = false;
	if (x->server == NULL) {
		drop(x);
		return;
	}
	cox_timer_start(x->idle, COX_AGENT_HTTP_IDLE_MS, 0);
	write_reply(x, status, content_type, body);
}

/* --- answers in parts ------------------------------------------------------------------------ */

void cox_agent_exchange_begin(struct cox_agent_exchange *x, int status, const char *content_type, void (*on_room)(void *ctx), void *ctx)
{
	COX_ASSERT(x->waiting && !x->streams);
	x->streams = true;
	x->is_chunked = x->is_1_1;
	x->keep_alive = x->keep_alive && x->is_1_1;
	x->on_room = on_room;
	x->room_ctx = ctx;
	if (x->server == NULL)
		return;
	cox_timer_start(x->idle, STREAM_STALL_MS, 0);
	cox_buf_printf(&x->out, "HTTP/1.1 %d %s\r\nContent-Type: %s\r\n%s%s\r\n", status, status < 400 ? "OK" : "Error", content_type,
	               x->is_chunked ? "Transfer-Encoding: chunked\r\n" : "", x->keep_alive ? "" : "Connection: close\r\n");
	cox_poll_want(x->poll, COX_POLL_WRITE);
}

enum cox_rc cox_agent_exchange_write(struct cox_agent_exchange *x, struct cox_str part)
{
	if (x->server == NULL)
		return COX_ECANCELED;
	if (part.n && x->is_chunked)
		cox_buf_printf(&x->out, "%zx\r\n", part.n);
	cox_buf_append_str(&x->out, part);
	if (part.n && x->is_chunked)
		cox_buf_append_cstr(&x->out, "\r\n");
	if (x->out.n != x->sent)
		cox_poll_want(x->poll, COX_POLL_WRITE);
	x->is_full = x->out.n - x->sent >= STREAM_WAITS_MAX;
	return x->is_full ? COX_EAGAIN : COX_OK;
}

void cox_agent_exchange_end(struct cox_agent_exchange *x, bool is_whole)
{
	x->waiting = x->streams = x->is_full = false;
	x->on_room = NULL;
	if (x->server == NULL) {
		drop(x);
		return;
	}
	if (is_whole && x->is_chunked)
		cox_buf_append_cstr(&x->out, "0\r\n\r\n");
	if (!is_whole)
		x->keep_alive = false;
	if (x->out.n == 0) { /* nothing left to write: the connection's end is the answer's */
		drop(x);
		return;
	}
	cox_timer_start(x->idle, STREAM_STALL_MS, 0);
	cox_poll_want(x->poll, COX_POLL_WRITE);
}

bool cox_agent_exchange_is_local(const struct cox_agent_exchange *x)
{
	struct sockaddr_storage sa = { 0 };
	socklen_t n = sizeof(sa);
	if (x->fd < 0 || getpeername(x->fd, (struct sockaddr *)&sa, &n) != 0)
		return false;
	if (sa.ss_family == AF_INET)
		return ntohl(((struct sockaddr_in *)&sa)->sin_addr.s_addr) >> 24 == 127;
	if (sa.ss_family != AF_INET6)
		return false;
	const struct in6_addr *six = &((struct sockaddr_in6 *)&sa)->sin6_addr;
	return IN6_IS_ADDR_LOOPBACK(six) || (IN6_IS_ADDR_V4MAPPED(six) && six->s6_addr[12] == 127);
}

/* Hands over the request at the front of `in`, if it is whole. */
static void try_request(struct cox_agent_exchange *x)
{
	struct cox_agent_http_request r;
	enum cox_rc rc = cox_agent_http_read_request(cox_buf_str(&x->in), &r);
	if (rc == COX_EAGAIN)
		return;
	if (rc == COX_OK && r.body_bytes > BODY_MAX)
		rc = COX_ELIMIT;
	if (rc != COX_OK) {
		x->keep_alive = false;
		cox_buf_clear(&x->in);
		write_reply(x, rc == COX_ELIMIT ? 413 : 400, "text/plain", COX_STR("bad request\n"));
		return;
	}
	if (x->in.n < r.head_bytes + r.body_bytes)
		return;
	x->waiting = true;
	x->keep_alive = r.keep_alive;
	x->is_1_1 = r.is_1_1;
	cox_poll_want(x->poll, 0);
	cox_timer_stop(x->idle);
	/* The handler may answer at once, which needs `in` no more: its bytes are moved out of the way first. */
	struct cox_buf text = x->in;
	x->in = (struct cox_buf){ 0 };
	size_t used = r.head_bytes + (size_t)r.body_bytes;
	cox_buf_append(&x->in, text.p + used, text.n - used);
	x->server->fn(x->server->ctx, &r, x);
	cox_buf_fini(&text);
}

/* All that an answer in parts had was written: its writer may go on. */
static void stream_is_empty(struct cox_agent_exchange *x)
{
	x->sent = 0;
	cox_buf_clear(&x->out);
	cox_poll_want(x->poll, 0);
	cox_timer_start(x->idle, STREAM_STALL_MS, 0);
	if (x->is_full) {
		x->is_full = false;
		x->on_room(x->room_ctx);
	}
}

static void do_write(struct cox_agent_exchange *x)
{
	ssize_t n = send(x->fd, x->out.p + x->sent, x->out.n - x->sent, MSG_NOSIGNAL);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n < 0) {
		drop(x);
		return;
	}
	x->sent += (size_t)n;
	if (x->sent < x->out.n)
		return;
	if (x->streams) {
		stream_is_empty(x);
		return;
	}
	if (!x->keep_alive) {
		drop(x);
		return;
	}
	x->sent = 0;
	cox_buf_clear(&x->out);
	cox_poll_want(x->poll, COX_POLL_READ);
	try_request(x);
}

static void do_read(struct cox_agent_exchange *x)
{
	char *at = cox_buf_reserve(&x->in, READ_BYTES);
	ssize_t n = recv(x->fd, at, READ_BYTES, 0);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		drop(x);
		return;
	}
	x->in.n += (size_t)n;
	try_request(x);
}

static void on_event(void *ctx, int events)
{
	struct cox_agent_exchange *x = ctx;
	(void)events; /* there is only one thing to do at a time */
	if (x->out.n != 0)
		do_write(x);
	else
		do_read(x);
}

static void on_idle(void *ctx) { drop(ctx); }

static void add(struct cox_agent_http_server *s, int fd)
{
	struct cox_agent_exchange *x = COX_NEW(struct cox_agent_exchange);
	x->server = s;
	x->fd = fd;
	cox_vec_push(&s->open, x);
	if (cox_poll_open(s->loop, fd, on_event, x, &x->poll) != COX_OK) {
		drop(x);
		return;
	}
	x->idle = cox_timer_new(s->loop, on_idle, x);
	cox_timer_start(x->idle, COX_AGENT_HTTP_IDLE_MS, 0);
	cox_poll_want(x->poll, COX_POLL_READ);
}

static void on_accept(void *ctx, int events)
{
	struct cox_agent_http_server *s = ctx;
	(void)events;
	int fd = accept4(s->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd < 0)
		return;
	if (s->open.n >= COX_AGENT_HTTP_CONNECTIONS_MAX)
		close(fd);
	else
		add(s, fd);
}

enum cox_rc cox_agent_http_server_open_take(struct cox_loop *loop, int fd, cox_agent_http_fn *fn, void *ctx,
                                            struct cox_agent_http_server **out)
{
	struct cox_agent_http_server *s = COX_NEW(struct cox_agent_http_server);
	*s = (struct cox_agent_http_server){ .loop = loop, .fd = fd, .fn = fn, .ctx = ctx };
	enum cox_rc rc = cox_poll_open(loop, fd, on_accept, s, &s->poll);
	if (rc != COX_OK) {
		close(fd);
		cox_free(s);
		return rc;
	}
	cox_poll_want(s->poll, COX_POLL_READ);
	*out = s;
	return COX_OK;
}

void cox_agent_http_server_close(struct cox_agent_http_server **sp)
{
	struct cox_agent_http_server *s = COX_MOVE(*sp);
	if (s == NULL)
		return;
	while (s->open.n != 0)
		drop(s->open.p[0]);
	cox_vec_fini(&s->open);
	cox_poll_close(&s->poll);
	close(s->fd);
	cox_free(s);
}
