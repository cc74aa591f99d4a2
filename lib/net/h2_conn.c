#include "net/h2_server_priv.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/metric.h"

#include <stdio.h>
#include <unistd.h>

enum {
	/* Frames that a peer may send without giving us work to do, such as PING: gRPC clients probe the bandwidth up to ten
	 * times a second while data flows. */
	TOKENS_MAX = 200,
	TOKENS_PER_SECOND = 20,
	/* Streams opened and reset ("rapid reset"): the numbers of nghttp2's own limit, which acts only after all that was read is
	   processed. */
	RESETS_MAX = 1000,
	RESETS_PER_SECOND = 33,
	CONTINUATIONS_MAX = 8,
	SETTINGS_MAX = 32,
	OUTBOUND_ACK_MAX = 200,
	GOAWAY_NOTICE_MS = 500, /* between the announcement and the final GOAWAY: one round trip for streams on their way */
	/* nghttp2 1.52: 9 bytes of frame header, one of padding length, 16 KiB, and some. */
	FRAME_BUF_MIN = 16384,
	FRAME_BUF_BYTES = 17 << 10,
};

static _Atomic uint64_t next_conn_id = 1;

/* --- memory of sessions ------------------------------------------------------------------- */

/* A session keeps a frame buffer of 16 KiB from birth to death, two thirds of its memory, but uses it only inside
 * nghttp2_session_mem_send(). We take every byte out before we leave that loop (pull()), so all sessions of a loop can
 * share one. The first block of that size asked for while a session is made is the one. */
static void *h2_malloc(size_t size, void *user)
{
	struct cox_h2_loop *home = user;
	if (home->is_making_session && size >= FRAME_BUF_MIN && size <= FRAME_BUF_BYTES) {
		home->is_making_session = false;
		if (!home->frame_buf)
			home->frame_buf = cox_alloc(FRAME_BUF_BYTES);
		return home->frame_buf;
	}
	return cox_alloc(size);
}

static void h2_free(void *p, void *user)
{
	struct cox_h2_loop *home = user;
	if (p != home->frame_buf)
		cox_free(p);
}

static void *h2_calloc(size_t count, size_t size, void *user)
{
	(void)user;
	return cox_calloc(count, size);
}

static void *h2_realloc(void *p, size_t size, void *user)
{
	struct cox_h2_loop *home = user;
	if (!p)
		return h2_malloc(size, user);
	COX_ASSERT(p != home->frame_buf);
	return cox_realloc(p, size);
}

/* --- frames that come ---------------------------------------------------------------------- */

static struct cox_grpc_stream *stream_of(nghttp2_session *session, int32_t id) { return nghttp2_session_get_stream_user_data(session, id); }

static bool bucket_take(struct cox_h2_bucket *b, int64_t now, int64_t per_second, int64_t max)
{
	int64_t earned = (now - b->at_ms) * per_second / 1000;
	if (earned > 0) {
		b->tokens = b->tokens + earned > max ? max : b->tokens + earned;
		b->at_ms = now;
	}
	b->tokens -= b->tokens > 0;
	return b->tokens > 0;
}

static void spend_token(struct cox_h2_conn *c, const char *reason)
{
	if (bucket_take(&c->cheap, cox_loop_now_ms(c->io.loop), TOKENS_PER_SECOND, TOKENS_MAX) || c->is_flooded)
		return;
	c->is_flooded = true;
	cox_h2_refused(reason);
	nghttp2_session_terminate_session(c->session, NGHTTP2_ENHANCE_YOUR_CALM);
}

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
	struct cox_h2_conn *c = user;
	if (frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST)
		return 0;
	struct cox_grpc_stream *s = COX_NEW(struct cox_grpc_stream);
	s->conn = c;
	s->id = frame->hd.stream_id;
	s->next = c->streams;
	if (s->next)
		s->next->prev = s;
	c->streams = s;
	nghttp2_session_set_stream_user_data(session, s->id, s);
	return 0;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name, size_t name_n, const uint8_t *value,
                     size_t value_n, uint8_t flags, void *user)
{
	struct cox_h2_conn *c = user;
	(void)flags;
	struct cox_grpc_stream *s = stream_of(session, frame->hd.stream_id);
	if (!s || frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST)
		return 0; /* trailers of a request mean nothing to gRPC */
	/* 32 bytes for each, as RFC 9113 counts a header list. */
	if (s->header_text.n + name_n + value_n + (s->headers.n + 1) * 32 > c->home->server->limits.header_bytes) {
		cox_h2_refused("headers");
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE; /* resets this stream */
	}
	cox_vec_push(&s->headers, ((struct cox_grpc_header){ (uint32_t)s->header_text.n, (uint32_t)name_n, (uint32_t)value_n }));
	cox_buf_append(&s->header_text, name, name_n);
	cox_buf_append(&s->header_text, value, value_n);
	cox_buf_append_char(&s->header_text, 0);
	return 0;
}

static int on_frame_recv(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
	struct cox_h2_conn *c = user;
	struct cox_grpc_stream *s;
	switch (frame->hd.type) {
	case NGHTTP2_HEADERS:
		s = stream_of(session, frame->hd.stream_id);
		if (s && frame->headers.cat == NGHTTP2_HCAT_REQUEST)
			cox_grpc_stream_dispatch(s);
		if (s && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM))
			cox_grpc_stream_on_end(s);
		break;
	case NGHTTP2_DATA:
		s = stream_of(session, frame->hd.stream_id);
		if (s && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM))
			cox_grpc_stream_on_end(s);
		else if (frame->hd.length == 0)
			spend_token(c, "empty_data");
		break;
	case NGHTTP2_SETTINGS:
		c->has_settings = true;
		if (!(frame->hd.flags & NGHTTP2_FLAG_ACK))
			spend_token(c, "settings");
		break;
	case NGHTTP2_PING:
		if (frame->hd.flags & NGHTTP2_FLAG_ACK)
			c->ping_sent_ms = 0;
		else
			spend_token(c, "ping");
		break;
	case NGHTTP2_RST_STREAM:
		if (!bucket_take(&c->resets, cox_loop_now_ms(c->io.loop), RESETS_PER_SECOND, RESETS_MAX)) {
			cox_h2_refused("resets");
			return NGHTTP2_ERR_CALLBACK_FAILURE; /* breaks the connection at once */
		}
		break;
	case NGHTTP2_PRIORITY: spend_token(c, "priority"); break;
	default: break;
	}
	return 0;
}

static int on_data_chunk(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *p, size_t n, void *user)
{
	(void)flags, (void)user;
	struct cox_grpc_stream *s = stream_of(session, id);
	nghttp2_session_consume_connection(session, n);
	if (!s) {
		nghttp2_session_consume_stream(session, id, n);
		return 0;
	}
	s->held_bytes += n;
	cox_grpc_stream_on_data(s, p, n);
	if (!s->is_paused)
		cox_grpc_stream_give_back(s);
	return 0;
}

static int on_stream_close(nghttp2_session *session, int32_t id, uint32_t error_code, void *user)
{
	struct cox_h2_conn *c = user;
	struct cox_grpc_stream *s = stream_of(session, id);
	if (!s)
		return 0;
	nghttp2_session_set_stream_user_data(session, id, NULL);
	bool is_delivered = s->has_trailers && error_code == NGHTTP2_NO_ERROR;
	cox_grpc_stream_gone(s, s->is_overdue ? COX_ETIMEOUT : is_delivered ? COX_OK : COX_ECANCELED);
	cox_h2_conn_end_if_idle(c);
	return 0;
}

/* --- frames that go ------------------------------------------------------------------------ */

static int on_frame_send(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
	(void)user;
	if (frame->hd.type != NGHTTP2_HEADERS || !(frame->hd.flags & NGHTTP2_FLAG_END_STREAM))
		return 0;
	struct cox_grpc_stream *s = stream_of(session, frame->hd.stream_id);
	if (!s)
		return 0;
	s->has_trailers = true;
	/* The answer is complete before the request: tell the peer to stop (RFC 9113, 8.1). */
	if (!s->is_half_closed)
		nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, s->id, NGHTTP2_NO_ERROR);
	return 0;
}

static int on_send_data(nghttp2_session *session, nghttp2_frame *frame, const uint8_t *head, size_t length, nghttp2_data_source *source,
                        void *user)
{
	(void)session, (void)frame;
	struct cox_h2_conn *c = user;
	struct cox_grpc_stream *s = source->ptr;
	struct cox_h2_msg *m = s->out;
	cox_h2_io_frame(&c->io, head, m, length);
	s->progress_ms = cox_loop_now_ms(c->io.loop);
	return cox_h2_io_is_full(&c->io) ? NGHTTP2_ERR_PAUSE : 0;
}

static void pull(struct cox_h2_io *io)
{
	struct cox_h2_conn *c = (struct cox_h2_conn *)io;
	const uint8_t *p;
	ssize_t n = 0;
	/* Never left with a frame half taken: h2_malloc() relies on it. NGHTTP2_ERR_PAUSE comes after whole frames. */
	while (!cox_h2_io_is_full(io) && (n = nghttp2_session_mem_send(c->session, &p)) > 0)
		cox_h2_io_copy(io, p, (size_t)n);
	if (n < 0) {
		cox_h2_conn_close(c, COX_EINTERNAL);
		return;
	}
	if (!nghttp2_session_want_read(c->session) && !nghttp2_session_want_write(c->session))
		io->ends_after_flush = true;
	if (io->ends_after_flush && c->end_at_ms == 0)
		c->end_at_ms = cox_loop_now_ms(io->loop);
}

/* --- life ---------------------------------------------------------------------------------- */

static void session_open(struct cox_h2_conn *c)
{
	struct cox_grpc_server *server = c->home->server;
	nghttp2_mem mem = { c->home, h2_malloc, h2_free, h2_calloc, h2_realloc };
	c->home->is_making_session = true;
	COX_ASSERT(nghttp2_session_server_new3(&c->session, server->callbacks, c, server->option, &mem) == 0);
	c->home->is_making_session = false;
	const nghttp2_settings_entry settings[] = {
		{ NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, server->limits.streams_per_connection },
		{ NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, (uint32_t)server->limits.header_bytes },
		{ NGHTTP2_SETTINGS_HEADER_TABLE_SIZE, 0 }, /* requests are rare: no memory for what they might repeat */
		{ NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1 },
	};
	nghttp2_submit_settings(c->session, NGHTTP2_FLAG_NONE, settings, COX_LEN(settings));
	cox_h2_io_mark(&c->io);
}

static void on_ready(struct cox_h2_io *io) { session_open((struct cox_h2_conn *)io); }

static void on_bytes(struct cox_h2_io *io, const uint8_t *p, size_t n)
{
	struct cox_h2_conn *c = (struct cox_h2_conn *)io;
	if (n == 0) {
		cox_h2_conn_close(c, COX_ECANCELED);
		return;
	}
	c->heard_ms = cox_loop_now_ms(io->loop);
	if (io->is_shut)
		return;
	ssize_t taken = nghttp2_session_mem_recv(c->session, p, n);
	if (taken < 0) {
		/* Not HTTP/2 at all, or a flood that filled the queue of answers. */
		cox_h2_refused(taken == NGHTTP2_ERR_BAD_CLIENT_MAGIC ? "preface" : taken == NGHTTP2_ERR_FLOODED ? "flood" : "protocol");
		cox_h2_conn_close(c, COX_EPROTO);
		return;
	}
	cox_h2_io_mark(io);
}

static void on_failed(struct cox_h2_io *io, enum cox_rc rc, const char *why)
{
	struct cox_h2_conn *c = (struct cox_h2_conn *)io;
	cox_log(COX_LOG_DEBUG, "net", "connection ended peer=%s reason=\"%s\"", c->address, why);
	if (!io->is_ready)
		cox_h2_refused("tls");
	cox_h2_conn_close(c, rc);
}

static void on_gone(struct cox_h2_io *io)
{
	struct cox_h2_conn *c = (struct cox_h2_conn *)io;
	struct cox_h2_loop *home = c->home;
	while (c->streams)
		cox_grpc_stream_gone(c->streams, c->why);
	nghttp2_session_del(c->session);
	cox_tls_peer_free(&c->peer);
	if (c->prev)
		c->prev->next = c->next;
	else
		home->conns = c->next;
	if (c->next)
		c->next->prev = c->prev;
	cox_free(c);
	cox_h2_loop_conn_gone(home);
}

static const struct cox_h2_io_cb io_cb = { on_ready, on_bytes, on_failed, pull, on_gone };

void cox_h2_conn_open(struct cox_h2_loop *home, int fd, struct cox_tls *tls, int tag, const char *address, bool is_loopback)
{
	SSL *ssl = NULL;
	if (tls && cox_tls_session_new(tls, fd, NULL, &ssl) != COX_OK) {
		close(fd);
		cox_tls_unref(&tls);
		cox_h2_loop_conn_gone(home);
		return;
	}
	struct cox_h2_conn *c = COX_NEW(struct cox_h2_conn);
	int64_t now = cox_loop_now_ms(home->loop);
	int64_t age = home->server->limits.max_age_ms;
	c->home = home;
	c->id = atomic_fetch_add(&next_conn_id, 1);
	c->tag = tag;
	c->is_loopback = is_loopback;
	c->opened_ms = c->heard_ms = now;
	c->cheap = (struct cox_h2_bucket){ TOKENS_MAX, now };
	c->resets = (struct cox_h2_bucket){ RESETS_MAX, now };
	c->why = COX_ECANCELED;
	c->age_at_ms = age > 0 ? now + cox_jitter_ms(age, 10) : 0;
	cox_str_to_cstr(cox_str_of(address), c->address, sizeof(c->address));
	c->next = home->conns;
	if (c->next)
		c->next->prev = c;
	home->conns = c;
	cox_h2_io_init(&c->io, home->loop, &home->flusher, &io_cb, fd, ssl, false);
	cox_tls_unref(&tls); /* the session holds the context */
	if (c->io.is_ready)
		session_open(c);
	if (home->is_closing)
		cox_h2_conn_close(c, COX_ECANCELED);
}

void cox_h2_conn_close(struct cox_h2_conn *c, enum cox_rc why)
{
	if (c->io.is_closing)
		return;
	c->why = why;
	cox_h2_io_close(&c->io);
}

void cox_h2_conn_drain(struct cox_h2_conn *c, int64_t grace_ms)
{
	int64_t now = cox_loop_now_ms(c->io.loop);
	if (c->drain_end_ms != 0 || c->io.is_closing)
		return;
	if (!c->session) {
		cox_h2_conn_close(c, COX_ECANCELED);
		return;
	}
	c->drain_end_ms = now + grace_ms;
	c->goaway_at_ms = now + (grace_ms < GOAWAY_NOTICE_MS ? grace_ms / 2 : GOAWAY_NOTICE_MS);
	nghttp2_submit_shutdown_notice(c->session);
	cox_h2_io_mark(&c->io);
}

void cox_h2_conn_drain_end(struct cox_h2_conn *c)
{
	for (struct cox_grpc_stream *s = c->streams; s; s = s->next)
		cox_grpc_finish_status(s, COX_GRPC_UNAVAILABLE, COX_STR("the server closes this connection"));
	cox_h2_conn_end_if_idle(c);
}

void cox_h2_conn_end_if_idle(struct cox_h2_conn *c)
{
	if (c->drain_end_ms != 0 && c->has_goaway && !c->streams)
		cox_h2_io_end(&c->io);
}

void cox_h2_server_callbacks_init(struct cox_grpc_server *s)
{
	COX_ASSERT(nghttp2_session_callbacks_new(&s->callbacks) == 0 && nghttp2_option_new(&s->option) == 0);
	nghttp2_session_callbacks_set_on_begin_headers_callback(s->callbacks, on_begin_headers);
	nghttp2_session_callbacks_set_on_header_callback(s->callbacks, on_header);
	nghttp2_session_callbacks_set_on_frame_recv_callback(s->callbacks, on_frame_recv);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(s->callbacks, on_data_chunk);
	nghttp2_session_callbacks_set_on_stream_close_callback(s->callbacks, on_stream_close);
	nghttp2_session_callbacks_set_on_frame_send_callback(s->callbacks, on_frame_send);
	nghttp2_session_callbacks_set_send_data_callback(s->callbacks, on_send_data);
	nghttp2_option_set_stream_reset_rate_limit(s->option, RESETS_MAX, RESETS_PER_SECOND);
	nghttp2_option_set_max_continuations(s->option, CONTINUATIONS_MAX);
	nghttp2_option_set_max_settings(s->option, SETTINGS_MAX);
	nghttp2_option_set_max_outbound_ack(s->option, OUTBOUND_ACK_MAX);
	nghttp2_option_set_no_auto_window_update(s->option, 1); /* cox_grpc_stream_pause() */
	nghttp2_option_set_no_closed_streams(s->option, 1);
	nghttp2_option_set_max_deflate_dynamic_table_size(s->option, 0); /* our headers are all in the static table or unique */
}
