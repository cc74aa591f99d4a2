#include "agent/http_client.h"

#include "loop/poll.h"
#include "loop/timer.h"

#include <arpa/inet.h>
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

enum { READ_BYTES = 64 * 1024 };

struct cox_agent_call {
	int fd;
	struct cox_poll *poll;
	struct cox_timer *timer;
	struct cox_buf out, in;
	size_t sent;
	bool failed; /* before the loop could be used: told by the timer, never inside open */
	cox_agent_call_fn *fn;
	void *ctx;
};

/* The connection ends; the object stays until its owner closes it. */
static void finish(struct cox_agent_call *c, enum cox_rc rc, int status, struct cox_str body)
{
	cox_poll_close(&c->poll);
	cox_timer_stop(c->timer);
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
	cox_agent_call_fn *fn = COX_MOVE(c->fn);
	if (fn)
		fn(c->ctx, rc, status, body); /* may close c: nothing of it is touched after this */
}

static void on_timer(void *ctx)
{
	struct cox_agent_call *c = ctx;
	finish(c, c->failed ? COX_EIO : COX_ETIMEOUT, 0, COX_STR(""));
}

static void try_answer(struct cox_agent_call *c, bool ended)
{
	struct cox_buf body = { 0 };
	int status = 0;
	enum cox_rc rc = cox_agent_http_read_response(cox_buf_str(&c->in), ended, &status, &body);
	if (rc != COX_EAGAIN)
		finish(c, ended && c->in.n == 0 ? COX_EIO : rc, status, cox_buf_str(&body));
	cox_buf_fini(&body);
}

static void do_read(struct cox_agent_call *c)
{
	char *at = cox_buf_reserve(&c->in, READ_BYTES);
	ssize_t n = recv(c->fd, at, READ_BYTES, 0);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n > 0)
		c->in.n += (size_t)n;
	if (n < 0)
		finish(c, COX_EIO, 0, COX_STR(""));
	else if (c->in.n > (size_t)COX_AGENT_HTTP_BODY_MAX + COX_AGENT_HTTP_HEAD_MAX)
		finish(c, COX_ELIMIT, 0, COX_STR(""));
	else if (n == 0 || c->in.n < READ_BYTES) /* a long answer is read to its end first: the request asks for a close */
		try_answer(c, n == 0);
}

static void do_write(struct cox_agent_call *c)
{
	ssize_t n = send(c->fd, c->out.p + c->sent, c->out.n - c->sent, MSG_NOSIGNAL);
	if (n < 0 && errno != EAGAIN && errno != EINTR) {
		finish(c, COX_EIO, 0, COX_STR(""));
		return;
	}
	c->sent += n > 0 ? (size_t)n : 0;
	if (c->sent == c->out.n)
		cox_poll_want(c->poll, COX_POLL_READ);
}

static void on_event(void *ctx, int events)
{
	struct cox_agent_call *c = ctx;
	if (c->sent < c->out.n)
		do_write(c);
	else if (events & COX_POLL_READ)
		do_read(c);
}

static bool begin(struct cox_agent_call *c, struct cox_loop *loop, uint16_t port)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (c->fd < 0 || (connect(c->fd, (struct sockaddr *)&to, sizeof(to)) != 0 && errno != EINPROGRESS))
		return false;
	if (cox_poll_open(loop, c->fd, on_event, c, &c->poll) != COX_OK)
		return false;
	cox_poll_want(c->poll, COX_POLL_WRITE);
	return true;
}

void cox_agent_call_open(struct cox_loop *loop, uint16_t port, const char *method, const char *target, int64_t timeout_ms,
                         cox_agent_call_fn *fn, void *ctx, struct cox_agent_call **out)
{
	struct cox_agent_call *c = COX_NEW(struct cox_agent_call);
	c->fd = -1;
	c->fn = fn;
	c->ctx = ctx;
	cox_buf_printf(&c->out,
	               "%s %s HTTP/1.1\r\nHost: localhost\r\nUser-Agent: cox-agent\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
	               method, target);
	c->timer = cox_timer_new(loop, on_timer, c);
	c->failed = !begin(c, loop, port);
	cox_timer_start(c->timer, c->failed ? 0 : timeout_ms, 0);
	*out = c;
}

void cox_agent_call_close(struct cox_agent_call **cp)
{
	struct cox_agent_call *c = COX_MOVE(*cp);
	if (c == NULL)
		return;
	c->fn = NULL;
	cox_poll_close(&c->poll);
	cox_timer_free(&c->timer);
	if (c->fd >= 0)
		close(c->fd);
	cox_buf_fini(&c->out);
	cox_buf_fini(&c->in);
	cox_free(c);
}
