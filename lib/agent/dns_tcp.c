/* dns_tcp - questions by TCP: each message behind two bytes of its length; answers in any order (RFC 7766). */
#include "agent/dns_priv.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	IDLE_MS = 10 * 1000,
	READ_BYTES = 4096,
	OUT_MAX = 256 * 1024, /* a client that does not read its answers is not read either */
};

struct dns_conn {
	struct cox_agent_dns *dns; /* NULL: closed, answers are dropped */
	int fd;
	unsigned refs; /* answers owed, and one while it is open */
	struct cox_poll *poll;
	struct cox_timer *idle;
	struct cox_buf in, out;
	size_t sent;
};

void dns_tcp_ref(struct dns_conn *c) { c->refs++; }

void dns_tcp_unref(struct dns_conn *c)
{
	if (--c->refs)
		return;
	cox_buf_fini(&c->in);
	cox_buf_fini(&c->out);
	cox_free(c);
}

static void conn_close(struct dns_conn *c)
{
	struct cox_agent_dns *dns = COX_MOVE(c->dns);
	for (size_t i = 0; i < dns->conns.n; i++)
		if (dns->conns.p[i] == c) {
			cox_vec_remove(&dns->conns, i);
			break;
		}
	cox_poll_close(&c->poll);
	cox_timer_free(&c->idle);
	close(c->fd);
	dns_tcp_unref(c);
}

static void on_idle(void *ctx) { conn_close(ctx); }

static void want(struct dns_conn *c)
{
	size_t waits = c->out.n - c->sent;
	cox_poll_want(c->poll, (waits < OUT_MAX ? COX_POLL_READ : 0) | (waits ? COX_POLL_WRITE : 0));
}

void dns_tcp_send(struct dns_conn *c, struct cox_str answer)
{
	char head[2];
	if (c->dns == NULL || answer.n > COX_DNS_MESSAGE_MAX)
		return;
	cox_dns_put16(head, (uint16_t)answer.n);
	cox_buf_append(&c->out, head, sizeof(head));
	cox_buf_append_str(&c->out, answer);
	cox_timer_start(c->idle, IDLE_MS, 0);
	want(c);
}

/* False: the connection is gone. */
static bool take_messages(struct dns_conn *c)
{
	size_t at = 0;
	while (c->in.n - at >= 2 && c->out.n - c->sent < OUT_MAX) {
		size_t n = cox_dns_get16(c->in.p + at);
		if (n < COX_DNS_HEAD_BYTES || n > COX_AGENT_DNS_QUERY_MAX) {
			conn_close(c);
			return false;
		}
		if (c->in.n - at < n + 2)
			break;
		dns_take(c->dns, &(struct dns_client){ .conn = c }, cox_str_make(c->in.p + at + 2, n));
		at += n + 2;
	}
	cox_buf_consume(&c->in, at);
	return true;
}

static void do_write(struct dns_conn *c)
{
	ssize_t n = send(c->fd, c->out.p + c->sent, c->out.n - c->sent, MSG_NOSIGNAL);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n < 0) {
		conn_close(c);
		return;
	}
	c->sent += (size_t)n;
	if (c->sent == c->out.n) {
		c->sent = 0;
		cox_buf_clear(&c->out);
	}
	if (take_messages(c)) /* those that waited for room */
		want(c);
}

static void do_read(struct dns_conn *c)
{
	ssize_t n = recv(c->fd, cox_buf_reserve(&c->in, READ_BYTES), READ_BYTES, 0);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		conn_close(c);
		return;
	}
	c->in.n += (size_t)n;
	cox_timer_start(c->idle, IDLE_MS, 0);
	if (take_messages(c))
		want(c);
}

static void on_event(void *ctx, int events)
{
	struct dns_conn *c = ctx;
	dns_tcp_ref(c);
	if (events & COX_POLL_WRITE && c->out.n != c->sent)
		do_write(c);
	if (c->dns && events & COX_POLL_READ)
		do_read(c);
	dns_tcp_unref(c);
}

static void on_accept(void *ctx, int events)
{
	struct dns_listener *l = ctx;
	(void)events;
	int fd = accept4(l->tcp, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd < 0)
		return;
	if (l->dns->conns.n >= COX_AGENT_DNS_CONNECTIONS_MAX) {
		close(fd);
		return;
	}
	struct dns_conn *c = COX_NEW(struct dns_conn);
	*c = (struct dns_conn){ .dns = l->dns, .fd = fd, .refs = 1, .idle = cox_timer_new(l->dns->loop, on_idle, c) };
	cox_vec_push(&l->dns->conns, c);
	if (cox_poll_open(l->dns->loop, fd, on_event, c, &c->poll) != COX_OK) {
		conn_close(c);
		return;
	}
	cox_timer_start(c->idle, IDLE_MS, 0);
	want(c);
}

enum cox_rc dns_tcp_open(struct dns_listener *l, int fd)
{
	l->tcp = fd;
	COX_TRY(cox_poll_open(l->dns->loop, fd, on_accept, l, &l->tcp_poll));
	cox_poll_want(l->tcp_poll, COX_POLL_READ);
	return COX_OK;
}

void dns_tcp_close_all(struct cox_agent_dns *dns)
{
	while (dns->conns.n)
		conn_close(dns->conns.p[dns->conns.n - 1]);
	cox_vec_fini(&dns->conns);
}
