#include "net/h2_server_priv.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/fault.h"
#include "base/metric.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <unistd.h>

enum {
	BACKLOG = 4096, /* a whole mesh reconnects at once after a restart */
	ACCEPTS_PER_EVENT = 64,
	ACCEPT_PAUSE_MS = 100,
	SWEEP_MAX_MS = 1000,
	SWEEP_MIN_MS = 10,
	DRAIN_PARTS = 10, /* of a drain passes before the first connection is ended: time to go by itself */
	LINGER_MS = 2000, /* for the peer's side to end after ours did */
};

struct cox_h2_listener {
	uv_poll_t poll; /* first: cast from the handle */
	struct cox_grpc_server *server;
	struct cox_h2_listener *next;
	struct cox_tls *tls;
	int fd, tag;
	bool is_closing;
};

void cox_h2_refused(const char *reason) { cox_metric_add(COX_M_H2_REFUSED, reason, 1); }

/* --- the sweep: what ends by time ---------------------------------------------------------- */

static void write_timeout(struct cox_h2_conn *c)
{
	cox_metric_add(COX_M_XDS_WRITE_TIMEOUT, NULL, 1);
	cox_h2_conn_close(c, COX_ETIMEOUT);
}

/* A peer that grants no window: TCP takes nothing of ours, yet the kernel's buffers are empty. */
static void sweep_streams(struct cox_h2_conn *c, int64_t now)
{
	int64_t limit = c->home->server->limits.write_timeout_ms;
	for (struct cox_grpc_stream *s = c->streams; s; s = s->next)
		if (s->out && s->out->queued_bytes < s->out->total_bytes && now - s->progress_ms > limit && c->io.pending_bytes == 0) {
			write_timeout(c);
			return;
		}
}

static void sweep_keepalive(struct cox_h2_conn *c, int64_t now)
{
	const struct cox_grpc_limits *l = &c->home->server->limits;
	if (c->ping_sent_ms != 0 && c->heard_ms > c->ping_sent_ms)
		c->ping_sent_ms = 0; /* any byte is a sign of life */
	if (c->ping_sent_ms != 0) {
		if (now - c->ping_sent_ms > l->keepalive_timeout_ms) {
			cox_h2_refused("keepalive");
			cox_h2_conn_close(c, COX_ETIMEOUT);
		}
	} else if (now - c->heard_ms > l->keepalive_interval_ms && c->end_at_ms == 0) {
		c->ping_sent_ms = now;
		nghttp2_submit_ping(c->session, NGHTTP2_FLAG_NONE, NULL);
		cox_h2_io_mark(&c->io);
	}
}

static void sweep_drain(struct cox_h2_conn *c, int64_t now)
{
	if (c->age_at_ms != 0 && now >= c->age_at_ms)
		cox_h2_conn_drain(c, c->home->server->limits.max_age_grace_ms);
	if (c->drain_end_ms == 0)
		return;
	if (!c->has_goaway && now >= c->goaway_at_ms) {
		c->has_goaway = true;
		nghttp2_submit_goaway(c->session, NGHTTP2_FLAG_NONE, nghttp2_session_get_last_proc_stream_id(c->session), NGHTTP2_NO_ERROR,
		                      NULL, 0);
		cox_h2_io_mark(&c->io);
		cox_h2_conn_end_if_idle(c);
	}
	if (now >= c->drain_end_ms)
		cox_h2_conn_drain_end(c);
	if (now >= c->drain_end_ms + LINGER_MS)
		cox_h2_conn_close(c, COX_ECANCELED);
}

static void sweep_conn(struct cox_h2_conn *c, int64_t now)
{
	const struct cox_grpc_limits *l = &c->home->server->limits;
	if (c->io.is_closing)
		return;
	if (!c->has_settings && now - c->opened_ms > l->handshake_timeout_ms) {
		cox_h2_refused("handshake_timeout");
		cox_h2_conn_close(c, COX_ETIMEOUT);
		return;
	}
	if (c->io.pending_bytes > 0 && now - c->io.progress_ms > l->write_timeout_ms) {
		write_timeout(c);
		return;
	}
	if (c->end_at_ms != 0 && c->io.pending_bytes == 0 && now - c->end_at_ms > LINGER_MS) {
		cox_h2_conn_close(c, COX_ECANCELED);
		return;
	}
	if (!c->session)
		return;
	sweep_streams(c, now);
	if (!c->io.is_closing)
		sweep_keepalive(c, now);
	if (!c->io.is_closing)
		sweep_drain(c, now);
}

static void on_sweep(uv_timer_t *timer)
{
	struct cox_h2_loop *home = timer->data;
	int64_t now = cox_loop_now_ms(home->loop);
	for (struct cox_h2_conn *c = home->conns, *next; c; c = next) {
		next = c->next; /* closing only asks libuv: nothing is freed in here */
		sweep_conn(c, now);
	}
}

static int64_t sweep_period(const struct cox_grpc_limits *l)
{
	const int64_t all[] = { l->keepalive_interval_ms, l->keepalive_timeout_ms, l->write_timeout_ms,
		                l->handshake_timeout_ms,  l->max_age_grace_ms,     l->max_age_ms > 0 ? l->max_age_ms : SWEEP_MAX_MS };
	int64_t period = SWEEP_MAX_MS;
	for (size_t i = 0; i < COX_LEN(all); i++)
		period = all[i] / 4 < period ? all[i] / 4 : period;
	return period < SWEEP_MIN_MS ? SWEEP_MIN_MS : period;
}

/* --- the end of the parts, and of the server ------------------------------------------------ */

/* On the first loop. */
static void part_gone(struct cox_grpc_server *s)
{
	if (--s->open_parts > 0)
		return;
	void (*closed)(void *ctx) = s->closed;
	void *ctx = s->closed_ctx;
	for (size_t i = 0; i < s->loop_count; i++)
		cox_free(s->loops[i].frame_buf);
	nghttp2_session_callbacks_del(s->callbacks);
	nghttp2_option_del(s->option);
	cox_free(s->loops);
	cox_free(s);
	if (closed)
		closed(ctx);
}

static void on_loop_gone_task(struct cox_loop_task *task)
{
	struct cox_h2_loop *home = (struct cox_h2_loop *)((char *)task - offsetof(struct cox_h2_loop, gone_task));
	part_gone(home->server);
}

static void on_flusher_gone(struct cox_h2_flusher *f)
{
	struct cox_h2_loop *home = (struct cox_h2_loop *)((char *)f - offsetof(struct cox_h2_loop, flusher));
	home->gone_task.fn = on_loop_gone_task;
	cox_loop_post(home->server->loops[0].loop, &home->gone_task);
}

static void on_sweep_closed(uv_handle_t *h)
{
	struct cox_h2_loop *home = h->data;
	cox_h2_flusher_close(&home->flusher, on_flusher_gone);
}

static void end_if_empty(struct cox_h2_loop *home)
{
	if (home->is_closing && atomic_load(&home->load) == 0 && !uv_is_closing((uv_handle_t *)&home->sweep))
		uv_close((uv_handle_t *)&home->sweep, on_sweep_closed);
}

void cox_h2_loop_conn_gone(struct cox_h2_loop *home)
{
	atomic_fetch_sub(&home->server->connections, 1);
	atomic_fetch_sub(&home->load, 1);
	end_if_empty(home);
}

/* --- handing connections to loops ----------------------------------------------------------- */

struct handover {
	struct cox_loop_task task; /* first: cast from it */
	struct cox_h2_loop *home;
	struct cox_tls *tls;
	int fd, tag;
	bool is_loopback;
	char address[56];
};

static void on_handover(struct cox_loop_task *task)
{
	struct handover *h = (struct handover *)task;
	cox_h2_conn_open(h->home, h->fd, h->tls, h->tag, h->address, h->is_loopback);
	cox_free(h);
}

static struct cox_h2_loop *least_loaded(struct cox_grpc_server *s)
{
	struct cox_h2_loop *best = &s->loops[0];
	for (size_t i = 1; i < s->loop_count; i++)
		if (atomic_load(&s->loops[i].load) < atomic_load(&best->load))
			best = &s->loops[i];
	return best;
}

static bool is_loopback(const struct sockaddr_storage *ss)
{
	if (ss->ss_family == AF_INET)
		return (ntohl(((const struct sockaddr_in *)ss)->sin_addr.s_addr) >> 24) == 127;
	if (ss->ss_family != AF_INET6)
		return ss->ss_family == AF_UNIX;
	const struct in6_addr *ip = &((const struct sockaddr_in6 *)ss)->sin6_addr;
	return IN6_IS_ADDR_LOOPBACK(ip) || (IN6_IS_ADDR_V4MAPPED(ip) && ip->s6_addr[12] == 127);
}

static void hand_over(struct cox_h2_listener *l, int fd, const struct sockaddr_storage *sa, socklen_t n)
{
	struct cox_grpc_server *s = l->server;
	int one = 1;
	if (atomic_load(&s->connections) >= s->limits.connections || COX_FAULT("net.accept")) {
		cox_h2_refused("connections");
		close(fd);
		return;
	}
	if (sa->ss_family != AF_UNIX)
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	struct cox_h2_loop *home = least_loaded(s);
	atomic_fetch_add(&s->connections, 1);
	atomic_fetch_add(&home->load, 1);
	char address[INET6_ADDRSTRLEN + 10];
	cox_sockaddr_format(sa, n, address, sizeof(address));
	struct cox_tls *tls = l->tls ? cox_tls_ref(l->tls) : NULL;
	if (home->index == 0) {
		cox_h2_conn_open(home, fd, tls, l->tag, address, is_loopback(sa));
		return;
	}
	struct handover *h = COX_NEW(struct handover);
	*h = (struct handover){ .task.fn = on_handover, .home = home, .tls = tls, .fd = fd, .tag = l->tag, .is_loopback = is_loopback(sa) };
	cox_str_to_cstr(cox_str_of(address), h->address, sizeof(h->address));
	cox_loop_post(home->loop, &h->task);
}

static void on_acceptable(uv_poll_t *poll, int status, int events);

static void on_accept_pause_over(uv_timer_t *timer)
{
	struct cox_grpc_server *s = timer->data;
	for (struct cox_h2_listener *l = s->listeners; l; l = l->next)
		if (!l->is_closing)
			uv_poll_start(&l->poll, UV_READABLE, on_acceptable);
}

static void accept_pause(struct cox_grpc_server *s)
{
	/* Out of descriptors: the pending connection keeps the socket readable, so polling on would spin. */
	cox_h2_refused("descriptors");
	for (struct cox_h2_listener *l = s->listeners; l; l = l->next)
		uv_poll_stop(&l->poll);
	uv_timer_start(&s->accept_pause, on_accept_pause_over, ACCEPT_PAUSE_MS, 0);
}

static void on_acceptable(uv_poll_t *poll, int status, int events)
{
	struct cox_h2_listener *l = (struct cox_h2_listener *)poll;
	(void)status, (void)events;
	for (int i = 0; i < ACCEPTS_PER_EVENT && !l->is_closing; i++) {
		struct sockaddr_storage sa = { 0 };
		socklen_t n = sizeof(sa);
		int fd = accept4(l->fd, (struct sockaddr *)&sa, &n, SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (fd >= 0) {
			hand_over(l, fd, &sa, n);
			continue;
		}
		if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
			accept_pause(l->server);
		if (errno != EINTR && errno != ECONNABORTED)
			return;
	}
}

/* --- open ----------------------------------------------------------------------------------- */

static void set_default(int64_t *v, int64_t fallback) { *v = *v > 0 ? *v : fallback; }

static void limits_fill(struct cox_grpc_limits *l)
{
	l->message_bytes = l->message_bytes ? l->message_bytes : 4 << 20;
	l->header_bytes = l->header_bytes ? l->header_bytes : 16 << 10;
	l->inbound_bytes = l->inbound_bytes ? l->inbound_bytes : 8 << 20;
	l->streams_per_connection = l->streams_per_connection ? l->streams_per_connection : 100;
	l->connections = l->connections ? l->connections : 100000;
	set_default(&l->keepalive_interval_ms, 30000);
	set_default(&l->keepalive_timeout_ms, 10000);
	set_default(&l->write_timeout_ms, 30000);
	set_default(&l->handshake_timeout_ms, 10000);
	set_default(&l->max_age_grace_ms, 10000);
}

static void on_open_task(struct cox_loop_task *task)
{
	struct cox_h2_loop *home = (struct cox_h2_loop *)((char *)task - offsetof(struct cox_h2_loop, open_task));
	int64_t period = sweep_period(&home->server->limits);
	cox_h2_flusher_init(&home->flusher, home->loop);
	uv_timer_init(cox_loop_uv(home->loop), &home->sweep);
	home->sweep.data = home;
	uv_timer_start(&home->sweep, on_sweep, (uint64_t)period, (uint64_t)period);
}

enum cox_rc cox_grpc_server_open(const struct cox_grpc_server_spec *spec, struct cox_grpc_server **out, struct cox_err *err)
{
	if (spec->loop_count == 0)
		return cox_err_set(err, COX_EINVAL, NULL, "a server needs a loop");
	cox_loop_assert_here(spec->loops[0]);
	struct cox_grpc_server *s = COX_NEW(struct cox_grpc_server);
	s->limits = spec->limits;
	limits_fill(&s->limits);
	s->methods = spec->methods;
	s->method_count = spec->method_count;
	s->loop_count = spec->loop_count;
	s->loops = cox_calloc(spec->loop_count, sizeof(*s->loops));
	cox_h2_server_callbacks_init(s);
	uv_timer_init(cox_loop_uv(spec->loops[0]), &s->accept_pause);
	s->accept_pause.data = s;
	s->open_parts = 1 + (int)spec->loop_count;
	for (size_t i = 0; i < spec->loop_count; i++) {
		struct cox_h2_loop *home = &s->loops[i];
		home->server = s;
		home->index = i;
		home->loop = spec->loops[i];
		home->open_task.fn = on_open_task;
		if (i == 0)
			on_open_task(&home->open_task);
		else
			cox_loop_post(home->loop, &home->open_task);
	}
	*out = s;
	return COX_OK;
}

enum cox_rc cox_grpc_server_listen(struct cox_grpc_server *s, const struct cox_addr *addr, struct cox_tls *tls, int tag, uint16_t *port,
                                   struct cox_err *err)
{
	cox_loop_assert_here(s->loops[0].loop);
	if (s->is_draining || s->is_closing)
		return cox_err_set(err, COX_ECANCELED, NULL, "the server is closing");
	int fd;
	COX_TRY(cox_addr_listen(addr, BACKLOG, &fd, port, err));
	struct cox_h2_listener *l = COX_NEW(struct cox_h2_listener);
	l->server = s;
	l->fd = fd;
	l->tag = tag;
	l->tls = tls ? cox_tls_ref(tls) : NULL;
	l->next = s->listeners;
	s->listeners = l;
	s->open_parts++;
	COX_ASSERT(uv_poll_init(cox_loop_uv(s->loops[0].loop), &l->poll, fd) == 0);
	uv_poll_start(&l->poll, UV_READABLE, on_acceptable);
	return COX_OK;
}

void cox_grpc_server_set_tls(struct cox_grpc_server *s, int tag, struct cox_tls *tls)
{
	cox_loop_assert_here(s->loops[0].loop);
	for (struct cox_h2_listener *l = s->listeners; l; l = l->next)
		if (l->tag == tag) {
			cox_tls_unref(&l->tls);
			l->tls = tls ? cox_tls_ref(tls) : NULL;
		}
}

uint32_t cox_grpc_server_connections(const struct cox_grpc_server *s) { return atomic_load(&s->connections); }

/* --- drain and close ------------------------------------------------------------------------ */

static void on_listener_closed(uv_handle_t *h)
{
	struct cox_h2_listener *l = (struct cox_h2_listener *)h;
	struct cox_grpc_server *s = l->server;
	close(l->fd);
	cox_tls_unref(&l->tls);
	cox_free(l);
	part_gone(s);
}

static void listeners_close(struct cox_grpc_server *s)
{
	for (struct cox_h2_listener *l = s->listeners, *next; l; l = next) {
		next = l->next;
		l->is_closing = true;
		uv_close((uv_handle_t *)&l->poll, on_listener_closed);
	}
	s->listeners = NULL;
}

static void on_drain_task(struct cox_loop_task *task)
{
	struct cox_h2_loop *home = (struct cox_h2_loop *)((char *)task - offsetof(struct cox_h2_loop, drain_task));
	int64_t n = 0, i = 0, first_ms = home->drain_grace_ms / DRAIN_PARTS;
	for (struct cox_h2_conn *c = home->conns; c; c = c->next)
		n++;
	/* One after the other: the server that they go to instead must not get them all at once. */
	for (struct cox_h2_conn *c = home->conns; c; c = c->next)
		cox_h2_conn_drain(c, first_ms + (home->drain_grace_ms - first_ms) * ++i / n);
}

void cox_grpc_server_drain(struct cox_grpc_server *s, int64_t grace_ms)
{
	cox_loop_assert_here(s->loops[0].loop);
	if (s->is_draining || s->is_closing)
		return;
	s->is_draining = true;
	listeners_close(s);
	for (size_t i = 0; i < s->loop_count; i++) {
		s->loops[i].drain_grace_ms = grace_ms;
		s->loops[i].drain_task.fn = on_drain_task;
		cox_loop_post(s->loops[i].loop, &s->loops[i].drain_task);
	}
}

static void on_close_task(struct cox_loop_task *task)
{
	struct cox_h2_loop *home = (struct cox_h2_loop *)((char *)task - offsetof(struct cox_h2_loop, close_task));
	home->is_closing = true;
	for (struct cox_h2_conn *c = home->conns; c; c = c->next)
		cox_h2_conn_close(c, COX_ECANCELED);
	end_if_empty(home);
}

static void on_pause_closed(uv_handle_t *h) { part_gone(h->data); }

void cox_grpc_server_close(struct cox_grpc_server **sp, void (*closed)(void *ctx), void *ctx)
{
	struct cox_grpc_server *s = *sp;
	*sp = NULL;
	if (!s)
		return;
	cox_loop_assert_here(s->loops[0].loop);
	s->is_closing = true;
	s->closed = closed;
	s->closed_ctx = ctx;
	listeners_close(s);
	for (size_t i = 0; i < s->loop_count; i++) {
		s->loops[i].close_task.fn = on_close_task;
		cox_loop_post(s->loops[i].loop, &s->loops[i].close_task);
	}
	uv_close((uv_handle_t *)&s->accept_pause, on_pause_closed);
}
