#include "agent/fetch.h"

#include "agent/http_reader.h"
#include "loop/poll.h"
#include "loop/timer.h"
#include "net/addr.h"
#include "net/tls_stream.h"

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

enum { READ_BYTES = 16 * 1024, BUFFERED_MAX = 64 * 1024 };

struct cox_agent_fetch {
	struct cox_agent_fetch_spec spec;
	int fd;
	struct cox_poll *poll;
	struct cox_timer *timer, *again; /* again: what is in the buffer goes on after a resume */
	struct cox_tls_stream *tls;
	struct cox_agent_http_reader reader;
	struct cox_buf out, in;
	size_t sent;
	bool is_connected, is_paused, is_ended, needs_write, has_failed /* inside open */, has_head;
	bool *gone; /* of the call that runs: set when a callback closed it */
};

static void finish(struct cox_agent_fetch *f, enum cox_rc rc)
{
	cox_poll_close(&f->poll);
	cox_timer_stop(f->timer);
	cox_timer_stop(f->again);
	void (*done)(void *, enum cox_rc, int) = f->spec.on_done;
	f->spec.on_done = NULL;
	if (done)
		done(f->spec.ctx, rc, f->reader.status); /* may close f */
}

static void on_timer(void *ctx)
{
	struct cox_agent_fetch *f = ctx;
	finish(f, f->has_failed ? COX_EIO : COX_ETIMEOUT);
}

static void set_want(struct cox_agent_fetch *f)
{
	bool writes = !f->is_connected || f->sent < f->out.n || f->needs_write;
	bool reads = f->is_connected && !f->is_ended && !(f->is_paused && f->in.n >= BUFFERED_MAX);
	cox_poll_want(f->poll, (reads ? COX_POLL_READ : 0) | (writes ? COX_POLL_WRITE : 0));
}

/* --- the answer ------------------------------------------------------------------------------ */

/* One step of the reader. False: nothing more for now, or the fetch is over or gone. */
static bool step(struct cox_agent_fetch *f)
{
	struct cox_str part;
	size_t used;
	bool was_head = f->reader.state == COX_AGENT_HTTP_HEAD, is_gone = false;
	if (f->is_paused && f->has_head)
		return false;
	enum cox_rc rc = cox_agent_http_reader_next(&f->reader, cox_buf_str(&f->in), f->is_ended, &used, &part);
	if (rc != COX_OK) {
		if (rc != COX_EAGAIN)
			finish(f, f->is_ended && !f->has_head && !f->in.n ? COX_EIO : rc);
		return false;
	}
	f->gone = &is_gone;
	if (was_head && f->reader.status) {
		f->has_head = true;
		if (f->spec.on_head)
			f->spec.on_head(f->spec.ctx, f->reader.status, part);
	} else if (!was_head && part.n && f->spec.on_body) {
		f->spec.on_body(f->spec.ctx, part);
	}
	if (is_gone)
		return false;
	f->gone = NULL;
	cox_buf_consume(&f->in, used);
	if (!f->reader.is_done)
		return true;
	if (!f->is_paused) /* else with the resume */
		finish(f, COX_OK);
	return false;
}

static void go_on(struct cox_agent_fetch *f)
{
	if (f->reader.is_done) {
		if (!f->is_paused)
			finish(f, COX_OK);
		return;
	}
	while (step(f))
		;
}

/* --- the socket ------------------------------------------------------------------------------ */

static enum cox_rc receive(struct cox_agent_fetch *f, size_t *n)
{
	char *at = cox_buf_reserve(&f->in, READ_BYTES);
	*n = 0;
	if (f->tls)
		return cox_tls_stream_read(f->tls, at, READ_BYTES, n, &f->needs_write);
	ssize_t got = recv(f->fd, at, READ_BYTES, 0);
	if (got < 0)
		return errno == EAGAIN || errno == EINTR ? COX_EAGAIN : COX_EIO;
	*n = (size_t)got;
	return COX_OK;
}

static void do_read(struct cox_agent_fetch *f)
{
	size_t n;
	enum cox_rc rc = receive(f, &n);
	if (rc == COX_EAGAIN) {
		set_want(f);
		go_on(f); /* with what is in the buffer */
		return;
	}
	if (rc != COX_OK && !f->has_head) {
		finish(f, rc);
		return;
	}
	f->in.n += n;
	f->is_ended = rc != COX_OK || n == 0;
	set_want(f);
	/* TLS may have more of the record than was read, which no poll tells: the timer comes back for it. */
	if (f->tls && n)
		cox_timer_start(f->again, 0, 0);
	go_on(f);
}

static void do_write(struct cox_agent_fetch *f)
{
	size_t n = 0;
	enum cox_rc rc = COX_OK;
	if (f->tls) {
		rc = cox_tls_stream_write(f->tls, f->out.p + f->sent, f->out.n - f->sent, &n, &f->needs_write);
	} else {
		ssize_t put = send(f->fd, f->out.p + f->sent, f->out.n - f->sent, MSG_NOSIGNAL);
		rc = put >= 0 ? COX_OK : errno == EAGAIN || errno == EINTR ? COX_EAGAIN : COX_EIO;
		n = put > 0 ? (size_t)put : 0;
	}
	if (rc != COX_OK && rc != COX_EAGAIN) {
		finish(f, rc);
		return;
	}
	f->sent += n;
	if (rc == COX_EAGAIN && !f->needs_write && f->tls)
		cox_poll_want(f->poll, COX_POLL_READ); /* the handshake waits for the server */
	else
		set_want(f);
}

static void do_connect(struct cox_agent_fetch *f)
{
	int error = 0;
	socklen_t n = sizeof(error);
	if (getsockopt(f->fd, SOL_SOCKET, SO_ERROR, &error, &n) != 0 || error != 0) {
		finish(f, COX_EIO);
		return;
	}
	f->is_connected = true;
	if (f->spec.is_connect_only)
		finish(f, COX_OK);
	else
		do_write(f);
}

static void on_event(void *ctx, int events)
{
	struct cox_agent_fetch *f = ctx;
	if (!f->is_connected)
		do_connect(f);
	else if (f->sent < f->out.n)
		do_write(f);
	else if (events & (COX_POLL_READ | COX_POLL_WRITE))
		do_read(f);
}

static void on_again(void *ctx)
{
	struct cox_agent_fetch *f = ctx;
	bool may_read = f->is_connected && !f->is_ended && f->sent == f->out.n && !(f->is_paused && f->in.n >= BUFFERED_MAX);
	if (f->tls && may_read)
		do_read(f);
	else
		go_on(f);
}

static bool begin(struct cox_agent_fetch *f, struct cox_loop *loop)
{
	struct cox_addr to = { .port = f->spec.port };
	struct sockaddr_storage sa;
	socklen_t n;
	cox_str_to_cstr(cox_str_of(f->spec.address), to.host, sizeof(to.host));
	if (cox_addr_to_sockaddr(&to, &sa, &n) != COX_OK)
		return false;
	f->fd = socket(sa.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (f->fd < 0 || (f->spec.source_address && cox_socket_bind_source(f->fd, f->spec.source_address) != COX_OK))
		return false;
	if (connect(f->fd, (struct sockaddr *)&sa, n) != 0 && errno != EINPROGRESS)
		return false;
	if (f->spec.tls && cox_tls_stream_open(f->spec.tls, f->fd, NULL, "http/1.1", &f->tls) != COX_OK)
		return false;
	if (cox_poll_open(loop, f->fd, on_event, f, &f->poll) != COX_OK)
		return false;
	set_want(f);
	return true;
}

void cox_agent_fetch_open(struct cox_loop *loop, const struct cox_agent_fetch_spec *spec, struct cox_agent_fetch **out)
{
	struct cox_agent_fetch *f = COX_NEW(struct cox_agent_fetch);
	f->spec = *spec;
	f->fd = -1;
	if (spec->tls)
		f->spec.tls = cox_tls_ref(spec->tls);
	cox_buf_printf(&f->out, "%.*s %.*s HTTP/1.1\r\n%.*sConnection: close\r\n\r\n", COX_FMT(spec->method), COX_FMT(spec->target),
	               COX_FMT(spec->headers));
	f->timer = cox_timer_new(loop, on_timer, f);
	f->again = cox_timer_new(loop, on_again, f);
	f->has_failed = !begin(f, loop);
	cox_timer_start(f->timer, f->has_failed ? 0 : spec->timeout_ms, 0);
	*out = f;
}

void cox_agent_fetch_pause(struct cox_agent_fetch *f) { f->is_paused = true; }

void cox_agent_fetch_resume(struct cox_agent_fetch *f)
{
	if (!f->is_paused)
		return;
	f->is_paused = false;
	if (!f->spec.on_done)
		return; /* over */
	if (f->poll)
		set_want(f);
	cox_timer_start(f->again, 0, 0);
}

void cox_agent_fetch_close(struct cox_agent_fetch **fp)
{
	struct cox_agent_fetch *f = COX_MOVE(*fp);
	if (f == NULL)
		return;
	if (f->gone)
		*f->gone = true;
	cox_poll_close(&f->poll);
	cox_timer_free(&f->timer);
	cox_timer_free(&f->again);
	cox_tls_stream_close(&f->tls);
	if (f->fd >= 0)
		close(f->fd);
	cox_tls_unref(&f->spec.tls);
	cox_buf_fini(&f->out);
	cox_buf_fini(&f->in);
	cox_free(f);
}
