#include "net/grpc_client.h"

#include "net/grpc_frame.h"
#include "net/h2_io_priv.h"
#include "loop/timer.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <nghttp2/nghttp2.h>
#include <stdio.h>
#include <unistd.h>

enum {
	MESSAGE_IN_MAX = 64 << 20, /* a name table or route configuration of a very large mesh */
	WINDOW_BYTES = 1 << 20,
	CONNECT_TIMEOUT_MS = 10000,
	KEEPALIVE_INTERVAL_MS = 30000,
	KEEPALIVE_TIMEOUT_MS = 10000,
	TICK_MS = 500,
	PORT_TEXT = 8,
};

struct cox_grpc_client {
	struct cox_h2_io io; /* first: cast from it */
	struct cox_h2_flusher flusher;
	uv_timer_t tick;
	uv_getaddrinfo_t resolve;
	struct cox_loop *loop;
	struct cox_grpc_client_spec spec;
	char *server_name;
	struct cox_buf authority;
	struct addrinfo *addresses, *next_address;
	nghttp2_session *session;
	struct cox_grpc_call *calls;
	int open_parts; /* freed at 0 after the owner closed */
	bool has_io, is_owner_gone, is_dead, is_going, has_settings, is_resolving;
	int64_t opened_ms, heard_ms, ping_sent_ms;
};

struct cox_grpc_call {
	struct cox_grpc_client *client;
	struct cox_grpc_call *prev, *next;
	struct cox_grpc_call_cb cb;
	int32_t id;
	struct cox_grpc_deframer in;
	struct cox_h2_msg *out;
	struct cox_timer *deadline;
	int status, http_status;
	struct cox_buf message;
	size_t held_bytes; /* came while paused: not yet given back to the server's window */
	bool has_status, ends, is_canceled, is_overdue, has_bad_message, is_paused;
};

/* --- the end of calls and of the client ------------------------------------------------------- */

static void call_free(struct cox_grpc_call *call)
{
	struct cox_grpc_client *c = call->client;
	if (call->prev)
		call->prev->next = call->next;
	else
		c->calls = call->next;
	if (call->next)
		call->next->prev = call->prev;
	cox_timer_free(&call->deadline);
	if (call->out)
		call->out->owner = NULL;
	cox_h2_msg_unref(&call->out);
	cox_grpc_deframer_fini(&call->in);
	cox_buf_fini(&call->message);
	cox_free(call);
}

static void call_end(struct cox_grpc_call *call, int status, struct cox_str message)
{
	if (!call->is_canceled && call->cb.on_close)
		call->cb.on_close(call->cb.ctx, call, status, message);
	call_free(call);
}

static void part_gone(struct cox_grpc_client *c)
{
	if (--c->open_parts > 0 || !c->is_owner_gone)
		return;
	while (c->calls)
		call_free(c->calls);
	nghttp2_session_del(c->session);
	if (c->addresses)
		uv_freeaddrinfo(c->addresses);
	cox_tls_unref(&c->spec.tls);
	cox_buf_fini(&c->authority);
	cox_free(c->server_name);
	cox_free(c);
}

/* Not from inside nghttp2. */
static void client_dead(struct cox_grpc_client *c, enum cox_rc rc, const char *why)
{
	struct cox_err err = { 0 };
	char where[400];
	if (c->is_dead)
		return;
	c->is_dead = true;
	if (rc != COX_OK)
		cox_err_set(&err, rc, NULL, "%s: %s", cox_addr_format(&c->spec.addr, where, sizeof(where)), why);
	uv_timer_stop(&c->tick);
	if (c->has_io)
		cox_h2_io_close(&c->io);
	c->open_parts++; /* callbacks below may close the client */
	while (c->calls)
		call_end(c->calls, COX_GRPC_UNAVAILABLE, cox_str_of(rc == COX_OK ? "the server closed the connection" : err.text));
	if (!c->is_owner_gone && c->spec.on_closed)
		c->spec.on_closed(c->spec.ctx, rc, &err);
	part_gone(c);
}

/* --- frames ------------------------------------------------------------------------------------ */

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name, size_t name_n, const uint8_t *value,
                     size_t value_n, uint8_t flags, void *user)
{
	(void)flags, (void)user;
	struct cox_grpc_call *call = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
	struct cox_str n = cox_str_make(name, name_n), v = cox_str_make(value, value_n);
	int64_t number;
	if (!call)
		return 0;
	if (cox_str_eq(n, COX_STR(":status")) && cox_str_to_i64(v, &number) == COX_OK)
		call->http_status = (int)number;
	if (cox_str_eq(n, COX_STR("grpc-status")) && cox_str_to_i64(v, &number) == COX_OK && number >= 0 && number <= 16) {
		call->status = (int)number;
		call->has_status = true;
	}
	if (cox_str_eq(n, COX_STR("grpc-message"))) {
		cox_buf_clear(&call->message);
		cox_grpc_message_decode(v, &call->message);
	}
	return 0;
}

static int on_frame_recv(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
	struct cox_grpc_client *c = user;
	if (frame->hd.type == NGHTTP2_SETTINGS)
		c->has_settings = true;
	if (frame->hd.type == NGHTTP2_GOAWAY)
		c->is_going = true;
	if (frame->hd.type == NGHTTP2_PING && (frame->hd.flags & NGHTTP2_FLAG_ACK))
		c->ping_sent_ms = 0;
	struct cox_grpc_call *call = frame->hd.stream_id ? nghttp2_session_get_stream_user_data(session, frame->hd.stream_id) : NULL;
	bool is_last = (frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA) && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM);
	/* The answer is complete: what we still wanted to say is of no use. */
	if (call && is_last)
		nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, frame->hd.stream_id, NGHTTP2_NO_ERROR);
	return 0;
}

static bool on_message(void *ctx, struct cox_str message)
{
	struct cox_grpc_call *call = ctx;
	if (!call->is_canceled)
		call->cb.on_message(call->cb.ctx, call, message);
	return !call->is_canceled;
}

static void give_back(struct cox_grpc_call *call)
{
	nghttp2_session_consume_stream(call->client->session, call->id, call->held_bytes);
	call->held_bytes = 0;
}

static int on_data_chunk(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *p, size_t n, void *user)
{
	(void)flags, (void)user;
	struct cox_grpc_call *call = nghttp2_session_get_stream_user_data(session, id);
	/* The connection's window serves all calls; a call's own is what holds its server back. */
	nghttp2_session_consume_connection(session, n);
	if (!call || call->is_canceled || call->has_bad_message) {
		nghttp2_session_consume_stream(session, id, n);
		return 0;
	}
	call->held_bytes += n;
	int status = cox_grpc_deframe(&call->in, p, n, MESSAGE_IN_MAX, on_message, call);
	if (status != COX_GRPC_OK) {
		call->has_bad_message = call->has_status = true;
		call->status = status;
		nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, id, NGHTTP2_CANCEL);
	}
	if (!call->is_paused)
		give_back(call);
	return 0;
}

static int on_stream_close(nghttp2_session *session, int32_t id, uint32_t error_code, void *user)
{
	(void)user;
	struct cox_grpc_call *call = nghttp2_session_get_stream_user_data(session, id);
	if (!call)
		return 0;
	nghttp2_session_set_stream_user_data(session, id, NULL);
	struct cox_str text = cox_buf_str(&call->message);
	char buf[80];
	int status = call->status;
	if (call->is_overdue) {
		status = COX_GRPC_DEADLINE_EXCEEDED;
		text = COX_STR("the deadline is over");
	} else if (!call->has_status) {
		status = error_code == NGHTTP2_REFUSED_STREAM || error_code == NGHTTP2_NO_ERROR ? COX_GRPC_UNAVAILABLE
		         : error_code == NGHTTP2_CANCEL                                         ? COX_GRPC_CANCELLED
		                                                                                : COX_GRPC_INTERNAL;
		snprintf(buf, sizeof(buf), "the stream ended without a status (HTTP %d, HTTP/2 error %u)", call->http_status, error_code);
		text = cox_str_of(buf);
	}
	call_end(call, status, text);
	return 0;
}

static int on_send_data(nghttp2_session *session, nghttp2_frame *frame, const uint8_t *head, size_t length, nghttp2_data_source *source,
                        void *user)
{
	(void)session, (void)frame;
	struct cox_grpc_client *c = user;
	struct cox_grpc_call *call = source->ptr;
	struct cox_h2_msg *m = call->out;
	cox_h2_io_frame(&c->io, head, m, length);
	return cox_h2_io_is_full(&c->io) ? NGHTTP2_ERR_PAUSE : 0;
}

static ssize_t on_read(nghttp2_session *session, int32_t id, uint8_t *buf, size_t length, uint32_t *flags, nghttp2_data_source *source,
                       void *user)
{
	(void)session, (void)id, (void)buf, (void)user;
	struct cox_grpc_call *call = source->ptr;
	size_t left = call->out ? call->out->total_bytes - call->out->queued_bytes : 0;
	if (left > 0) {
		*flags |= NGHTTP2_DATA_FLAG_NO_COPY;
		return (ssize_t)cox_min_size(left, length);
	}
	if (!call->ends)
		return NGHTTP2_ERR_DEFERRED;
	*flags |= NGHTTP2_DATA_FLAG_EOF;
	return 0;
}

/* --- the connection ----------------------------------------------------------------------------- */

static void end_if_idle(struct cox_grpc_client *c)
{
	if (c->is_going && !c->calls)
		client_dead(c, COX_OK, "");
}

static void on_ready(struct cox_h2_io *io)
{
	struct cox_grpc_client *c = (struct cox_grpc_client *)io;
	c->heard_ms = cox_loop_now_ms(c->loop);
}

static void on_bytes(struct cox_h2_io *io, const uint8_t *p, size_t n)
{
	struct cox_grpc_client *c = (struct cox_grpc_client *)io;
	if (n == 0) {
		client_dead(c, c->is_going ? COX_OK : COX_EIO, "the server closed the connection");
		return;
	}
	c->heard_ms = cox_loop_now_ms(c->loop);
	ssize_t taken = nghttp2_session_mem_recv(c->session, p, n);
	if (taken < 0) {
		client_dead(c, COX_EPROTO, nghttp2_strerror((int)taken));
		return;
	}
	cox_h2_io_mark(io);
	if (!c->is_owner_gone)
		end_if_idle(c);
}

static void pull(struct cox_h2_io *io)
{
	struct cox_grpc_client *c = (struct cox_grpc_client *)io;
	const uint8_t *p;
	ssize_t n = 0;
	while (!cox_h2_io_is_full(io) && (n = nghttp2_session_mem_send(c->session, &p)) > 0)
		cox_h2_io_copy(io, p, (size_t)n);
	if (n < 0)
		client_dead(c, COX_EINTERNAL, nghttp2_strerror((int)n));
	else
		end_if_idle(c);
}

static void connect_next(struct cox_grpc_client *c, const char *why);

static void on_failed(struct cox_h2_io *io, enum cox_rc rc, const char *why)
{
	struct cox_grpc_client *c = (struct cox_grpc_client *)io;
	if (!io->is_ready && c->next_address && rc == COX_EIO) {
		cox_h2_io_close(io); /* on_gone tries the next one */
		return;
	}
	client_dead(c, rc, why);
}

static void on_io_gone(struct cox_h2_io *io)
{
	struct cox_grpc_client *c = (struct cox_grpc_client *)io;
	c->has_io = false;
	if (!c->is_dead && !c->is_owner_gone)
		connect_next(c, "connection refused");
	part_gone(c);
}

static const struct cox_h2_io_cb io_cb = { on_ready, on_bytes, on_failed, pull, on_io_gone };

static enum cox_rc connect_to(struct cox_grpc_client *c, const struct sockaddr *sa, socklen_t n)
{
	int one = 1;
	int fd = socket(sa->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return cox_rc_of_errno(errno);
	if (sa->sa_family != AF_UNIX)
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	int rc = c->spec.source_address && cox_socket_bind_source(fd, c->spec.source_address) != COX_OK ? -1 : connect(fd, sa, n);
	if (rc != 0 && errno != EINPROGRESS) {
		enum cox_rc code = cox_rc_of_errno(errno);
		close(fd);
		return code;
	}
	SSL *ssl = NULL;
	if (c->spec.tls && cox_tls_session_new(c->spec.tls, fd, c->server_name, &ssl) != COX_OK) {
		close(fd);
		return COX_EINVAL;
	}
	cox_h2_io_init(&c->io, c->loop, &c->flusher, &io_cb, fd, ssl, true);
	c->has_io = true;
	c->open_parts++;
	return COX_OK;
}

static void connect_next(struct cox_grpc_client *c, const char *why)
{
	while (c->next_address) {
		struct addrinfo *a = c->next_address;
		c->next_address = a->ai_next;
		if (connect_to(c, a->ai_addr, a->ai_addrlen) == COX_OK)
			return;
	}
	client_dead(c, COX_EIO, why);
}

static void on_resolved(uv_getaddrinfo_t *req, int status, struct addrinfo *list)
{
	struct cox_grpc_client *c = req->data;
	c->is_resolving = false;
	c->addresses = c->next_address = status == 0 ? list : NULL;
	if (!c->is_dead && !c->is_owner_gone) {
		if (status != 0)
			client_dead(c, COX_EIO, uv_strerror(status));
		else
			connect_next(c, "cannot connect");
	}
	part_gone(c);
}

static void on_tick(uv_timer_t *timer)
{
	struct cox_grpc_client *c = timer->data;
	int64_t now = cox_loop_now_ms(c->loop);
	if (!c->has_settings && now - c->opened_ms > c->spec.connect_timeout_ms) {
		client_dead(c, COX_ETIMEOUT, "no connection in time");
		return;
	}
	if (!c->has_settings)
		return;
	if (c->ping_sent_ms != 0 && c->heard_ms > c->ping_sent_ms)
		c->ping_sent_ms = 0;
	if (c->ping_sent_ms != 0) {
		if (now - c->ping_sent_ms > KEEPALIVE_TIMEOUT_MS)
			client_dead(c, COX_ETIMEOUT, "the server does not answer");
	} else if (c->calls && now - c->heard_ms > c->spec.keepalive_interval_ms) {
		c->ping_sent_ms = now;
		nghttp2_submit_ping(c->session, NGHTTP2_FLAG_NONE, NULL);
		cox_h2_io_mark(&c->io);
	}
}

static void session_open(struct cox_grpc_client *c)
{
	nghttp2_session_callbacks *cb;
	COX_ASSERT(nghttp2_session_callbacks_new(&cb) == 0);
	nghttp2_session_callbacks_set_on_header_callback(cb, on_header);
	nghttp2_session_callbacks_set_on_frame_recv_callback(cb, on_frame_recv);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_data_chunk);
	nghttp2_session_callbacks_set_on_stream_close_callback(cb, on_stream_close);
	nghttp2_session_callbacks_set_send_data_callback(cb, on_send_data);
	nghttp2_option *option;
	COX_ASSERT(nghttp2_option_new(&option) == 0);
	nghttp2_option_set_no_auto_window_update(option, 1);
	COX_ASSERT(nghttp2_session_client_new2(&c->session, cb, c, option) == 0);
	nghttp2_option_del(option);
	nghttp2_session_callbacks_del(cb);
	const nghttp2_settings_entry settings[] = {
		{ NGHTTP2_SETTINGS_ENABLE_PUSH, 0 },
		{ NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, WINDOW_BYTES },
	};
	nghttp2_submit_settings(c->session, NGHTTP2_FLAG_NONE, settings, COX_LEN(settings));
	nghttp2_session_set_local_window_size(c->session, NGHTTP2_FLAG_NONE, 0, WINDOW_BYTES);
}

static void client_connect(struct cox_grpc_client *c)
{
	struct sockaddr_storage sa;
	socklen_t n;
	char port[PORT_TEXT];
	if (cox_addr_to_sockaddr(&c->spec.addr, &sa, &n) == COX_OK && (c->spec.addr.host[0] || c->spec.addr.unix_path[0])) {
		enum cox_rc rc = connect_to(c, (struct sockaddr *)&sa, n);
		if (rc != COX_OK) /* told at the first tick: never from inside open */
			c->spec.connect_timeout_ms = 0;
		return;
	}
	snprintf(port, sizeof(port), "%u", c->spec.addr.port);
	struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM };
	c->resolve.data = c;
	const char *host = c->spec.addr.host[0] ? c->spec.addr.host : "localhost";
	if (uv_getaddrinfo(cox_loop_uv(c->loop), &c->resolve, on_resolved, host, port, &hints) == 0) {
		c->is_resolving = true;
		c->open_parts++;
	} else {
		c->spec.connect_timeout_ms = 0;
	}
}

enum cox_rc cox_grpc_client_open(struct cox_loop *loop, const struct cox_grpc_client_spec *spec, struct cox_grpc_client **out,
                                 struct cox_err *err)
{
	cox_loop_assert_here(loop);
	if (!spec->addr.unix_path[0] && spec->addr.port == 0)
		return cox_err_set(err, COX_EINVAL, NULL, "a port is needed to connect");
	struct cox_grpc_client *c = COX_NEW(struct cox_grpc_client);
	c->loop = loop;
	c->spec = *spec;
	if (c->spec.tls)
		cox_tls_ref(c->spec.tls);
	c->spec.connect_timeout_ms = spec->connect_timeout_ms > 0 ? spec->connect_timeout_ms : CONNECT_TIMEOUT_MS;
	c->spec.keepalive_interval_ms = spec->keepalive_interval_ms > 0 ? spec->keepalive_interval_ms : KEEPALIVE_INTERVAL_MS;
	const char *name = spec->server_name ? spec->server_name : spec->addr.unix_path[0] ? "localhost" : spec->addr.host;
	c->server_name = cox_str_dup_cstr(cox_str_of(name));
	cox_buf_append_cstr(&c->authority, name);
	if (!spec->server_name && !spec->addr.unix_path[0])
		cox_buf_printf(&c->authority, ":%u", spec->addr.port);
	c->opened_ms = c->heard_ms = cox_loop_now_ms(loop);
	cox_h2_flusher_init(&c->flusher, loop);
	uv_timer_init(cox_loop_uv(loop), &c->tick);
	c->tick.data = c;
	c->open_parts = 2;
	session_open(c);
	client_connect(c);
	uint64_t tick = c->spec.connect_timeout_ms == 0 ? 1 : (uint64_t)cox_min_size(TICK_MS, (size_t)c->spec.connect_timeout_ms);
	uv_timer_start(&c->tick, on_tick, tick, tick);
	*out = c;
	return COX_OK;
}

static void on_flusher_gone(struct cox_h2_flusher *f)
{
	part_gone((struct cox_grpc_client *)((char *)f - offsetof(struct cox_grpc_client, flusher)));
}

static void on_tick_closed(uv_handle_t *h) { part_gone(h->data); }

void cox_grpc_client_close(struct cox_grpc_client **cp)
{
	struct cox_grpc_client *c = *cp;
	*cp = NULL;
	if (!c)
		return;
	cox_loop_assert_here(c->loop);
	c->is_owner_gone = c->is_dead = true;
	for (struct cox_grpc_call *call = c->calls; call; call = call->next) {
		call->is_canceled = true;
		cox_timer_free(&call->deadline);
	}
	if (c->is_resolving)
		uv_cancel((uv_req_t *)&c->resolve);
	if (c->has_io)
		cox_h2_io_close(&c->io);
	uv_close((uv_handle_t *)&c->tick, on_tick_closed);
	cox_h2_flusher_close(&c->flusher, on_flusher_gone);
}

/* --- calls ----------------------------------------------------------------------------------------- */

static void on_deadline(void *ctx)
{
	struct cox_grpc_call *call = ctx;
	cox_timer_free(&call->deadline);
	call->is_overdue = true;
	nghttp2_submit_rst_stream(call->client->session, NGHTTP2_FLAG_NONE, call->id, NGHTTP2_CANCEL);
	cox_h2_io_mark(&call->client->io);
	if (!call->client->io.is_ready || !call->client->has_io) { /* nothing will be flushed: tell now */
		nghttp2_session_set_stream_user_data(call->client->session, call->id, NULL);
		call_end(call, COX_GRPC_DEADLINE_EXCEEDED, COX_STR("the deadline is over"));
	}
}

static nghttp2_nv nv_of(struct cox_str name, struct cox_str value)
{
	return (nghttp2_nv){ (uint8_t *)(uintptr_t)name.p, (uint8_t *)(uintptr_t)value.p, name.n, value.n, NGHTTP2_NV_FLAG_NONE };
}

enum cox_rc cox_grpc_call_open(struct cox_grpc_client *c, const char *path, const struct cox_grpc_kv *metadata, size_t metadata_count,
                               int64_t deadline_ms, const struct cox_grpc_call_cb *cb, struct cox_grpc_call **out)
{
	cox_loop_assert_here(c->loop);
	if (c->is_dead || c->is_going)
		return COX_ECANCELED;
	struct cox_grpc_call *call = COX_NEW(struct cox_grpc_call);
	call->client = c;
	call->cb = *cb;
	COX_VEC(nghttp2_nv) nv = { 0 };
	char timeout[16];
	cox_vec_push(&nv, nv_of(COX_STR(":method"), COX_STR("POST")));
	cox_vec_push(&nv, nv_of(COX_STR(":scheme"), c->spec.tls ? COX_STR("https") : COX_STR("http")));
	cox_vec_push(&nv, nv_of(COX_STR(":path"), cox_str_of(path)));
	cox_vec_push(&nv, nv_of(COX_STR(":authority"), cox_buf_str(&c->authority)));
	cox_vec_push(&nv, nv_of(COX_STR("content-type"), COX_STR("application/grpc")));
	cox_vec_push(&nv, nv_of(COX_STR("te"), COX_STR("trailers")));
	if (deadline_ms > 0) {
		cox_grpc_timeout_format(deadline_ms, timeout);
		cox_vec_push(&nv, nv_of(COX_STR("grpc-timeout"), cox_str_of(timeout)));
	}
	for (size_t i = 0; i < metadata_count; i++)
		cox_vec_push(&nv, nv_of(metadata[i].name, metadata[i].value));
	nghttp2_data_provider provider = { { .ptr = call }, on_read };
	call->id = nghttp2_submit_request(c->session, NULL, nv.p, nv.n, &provider, call);
	cox_vec_fini(&nv);
	if (call->id < 0) {
		cox_free(call);
		return COX_ECANCELED;
	}
	call->next = c->calls;
	if (call->next)
		call->next->prev = call;
	c->calls = call;
	if (deadline_ms > 0) {
		call->deadline = cox_timer_new(c->loop, on_deadline, call);
		cox_timer_start(call->deadline, deadline_ms, 0);
	}
	if (c->has_io)
		cox_h2_io_mark(&c->io);
	*out = call;
	return COX_OK;
}

static void on_written(void *owner)
{
	struct cox_grpc_call *call = owner;
	call->out->owner = NULL;
	cox_h2_msg_unref(&call->out);
	if (!call->is_canceled && !call->ends && call->cb.on_drained)
		call->cb.on_drained(call->cb.ctx, call);
}

enum cox_rc cox_grpc_call_send(struct cox_grpc_call *call, struct cox_str message)
{
	struct cox_grpc_client *c = call->client;
	cox_loop_assert_here(c->loop);
	if (call->ends || call->is_canceled || c->is_dead)
		return COX_ECANCELED;
	if (call->out)
		return COX_EAGAIN;
	if (message.n > UINT32_MAX)
		return COX_ELIMIT;
	char *copy = cox_alloc(message.n + 1);
	if (message.n)
		memcpy(copy, message.p, message.n);
	struct cox_grpc_piece piece = { copy, message.n, cox_free, copy };
	call->out = cox_h2_msg_new(&piece, 1, message.n);
	call->out->owner = call;
	call->out->on_written = on_written;
	nghttp2_session_resume_data(c->session, call->id);
	if (c->has_io)
		cox_h2_io_mark(&c->io);
	return COX_OK;
}

void cox_grpc_call_pause(struct cox_grpc_call *call, bool is_paused)
{
	call->is_paused = is_paused;
	if (is_paused || call->is_canceled || call->held_bytes == 0)
		return;
	give_back(call);
	if (call->client->has_io)
		cox_h2_io_mark(&call->client->io);
}

void cox_grpc_call_half_close(struct cox_grpc_call *call)
{
	call->ends = true;
	nghttp2_session_resume_data(call->client->session, call->id);
	if (call->client->has_io)
		cox_h2_io_mark(&call->client->io);
}

void cox_grpc_call_cancel(struct cox_grpc_call **callp)
{
	struct cox_grpc_call *call = *callp;
	*callp = NULL;
	if (!call || call->is_canceled)
		return;
	cox_loop_assert_here(call->client->loop);
	call->is_canceled = true; /* freed when the stream is closed, or with the client */
	cox_timer_free(&call->deadline);
	nghttp2_submit_rst_stream(call->client->session, NGHTTP2_FLAG_NONE, call->id, NGHTTP2_CANCEL);
	if (call->client->has_io)
		cox_h2_io_mark(&call->client->io);
}

enum cox_rc cox_grpc_call_unary(struct cox_grpc_client *c, const char *path, const struct cox_grpc_kv *metadata, size_t metadata_count,
                                int64_t deadline_ms, struct cox_str request, const struct cox_grpc_call_cb *cb, struct cox_grpc_call **out)
{
	struct cox_grpc_call *call;
	COX_TRY(cox_grpc_call_open(c, path, metadata, metadata_count, deadline_ms, cb, &call));
	enum cox_rc rc = cox_grpc_call_send(call, request);
	if (rc != COX_OK) {
		cox_grpc_call_cancel(&call);
		return rc;
	}
	cox_grpc_call_half_close(call);
	*out = call;
	return COX_OK;
}
