#include "net/h2_server_priv.h"

#include <stdio.h>

enum {
	STATUS_TEXT_MAX = 4096, /* of grpc-message, so that trailers fit one frame */
	MESSAGE_OUT_MAX_BITS = 32,
};

#define NV(n, v, vn)                                                                                          \
	{                                                                                                     \
		(uint8_t *)(uintptr_t)(n), (uint8_t *)(uintptr_t)(v), sizeof(n) - 1, vn, NGHTTP2_NV_FLAG_NONE \
	}

/* --- what comes ------------------------------------------------------------------------------ */

static struct cox_str header_find(const struct cox_grpc_stream *s, struct cox_str name)
{
	for (size_t i = 0; i < s->headers.n; i++) {
		const struct cox_grpc_header *h = &s->headers.p[i];
		if (cox_str_eq(cox_str_make(s->header_text.p + h->at, h->name_n), name))
			return cox_str_make(s->header_text.p + h->at + h->name_n, h->value_n);
	}
	return (struct cox_str){ 0 };
}

static const struct cox_grpc_method *method_find(const struct cox_grpc_server *server, struct cox_str path)
{
	for (size_t i = 0; i < server->method_count; i++)
		if (cox_str_eq_cstr(path, server->methods[i].path))
			return &server->methods[i];
	return NULL;
}

/* Answers what is not gRPC with a bare HTTP status. */
static void refuse_http(struct cox_grpc_stream *s, const char *status)
{
	const nghttp2_nv nv[] = { NV(":status", status, 3) };
	s->is_finished = s->is_headers_sent = true;
	nghttp2_submit_response(s->conn->session, s->id, nv, COX_LEN(nv), NULL);
	cox_h2_io_mark(&s->conn->io);
}

static void on_deadline(void *ctx)
{
	struct cox_grpc_stream *s = ctx;
	cox_timer_free(&s->deadline);
	s->is_overdue = true;
	cox_grpc_finish_status(s, COX_GRPC_DEADLINE_EXCEEDED, COX_STR("the deadline is over"));
}

static bool deadline_start(struct cox_grpc_stream *s)
{
	struct cox_str text = header_find(s, COX_STR("grpc-timeout"));
	int64_t ms;
	if (text.n == 0)
		return true;
	if (cox_grpc_timeout_parse(text, &ms) != COX_OK) {
		cox_grpc_finish_status(s, COX_GRPC_INTERNAL, COX_STR("grpc-timeout is not understood"));
		return false;
	}
	s->deadline_ms = cox_loop_now_ms(s->conn->io.loop) + ms;
	s->deadline = cox_timer_new(s->conn->io.loop, on_deadline, s);
	cox_timer_start(s->deadline, ms, 0);
	return true;
}

void cox_grpc_stream_dispatch(struct cox_grpc_stream *s)
{
	struct cox_str path = header_find(s, COX_STR(":path"));
	struct cox_str encoding = header_find(s, COX_STR("grpc-encoding"));
	if (!cox_str_eq(header_find(s, COX_STR(":method")), COX_STR("POST"))) {
		refuse_http(s, "405");
		return;
	}
	if (!cox_str_has_prefix(header_find(s, COX_STR("content-type")), COX_STR("application/grpc"))) {
		refuse_http(s, "415");
		return;
	}
	const struct cox_grpc_method *method = method_find(s->conn->home->server, path);
	if (!method) {
		char text[300];
		snprintf(text, sizeof(text), "unknown method %.*s", (int)cox_min_size(path.n, 200), path.n ? path.p : "");
		cox_grpc_finish_status(s, COX_GRPC_UNIMPLEMENTED, cox_str_of(text));
		return;
	}
	if (encoding.n && !cox_str_eq(encoding, COX_STR("identity"))) {
		cox_grpc_finish_status(s, COX_GRPC_UNIMPLEMENTED, COX_STR("compressed messages are not supported: use identity"));
		return;
	}
	if (!deadline_start(s))
		return;
	s->method = method;
	if (method->on_open)
		method->on_open(method->ctx, s);
}

static bool on_message(void *ctx, struct cox_str message)
{
	struct cox_grpc_stream *s = ctx;
	if (s->method->on_message)
		s->method->on_message(s->method->ctx, s, message);
	return !s->is_finished;
}

static void count_inbound(struct cox_grpc_stream *s, size_t before)
{
	s->conn->inbound_bytes += s->in.body.cap;
	s->conn->inbound_bytes -= before;
}

void cox_grpc_stream_on_data(struct cox_grpc_stream *s, const uint8_t *p, size_t n)
{
	const struct cox_grpc_limits *l = &s->conn->home->server->limits;
	if (!s->method || s->is_finished)
		return;
	size_t before = s->in.body.cap;
	int status = cox_grpc_deframe(&s->in, p, n, l->message_bytes, on_message, s);
	count_inbound(s, before);
	if (status == COX_GRPC_UNIMPLEMENTED)
		cox_grpc_finish_status(s, status, COX_STR("compressed messages are not supported: use identity"));
	else if (status == COX_GRPC_RESOURCE_EXHAUSTED)
		cox_grpc_finish_status(s, status, COX_STR("the message is longer than this server accepts"));
	else if (status != COX_GRPC_OK)
		cox_grpc_finish_status(s, status, COX_STR("not a gRPC message"));
	else if (s->conn->inbound_bytes > l->inbound_bytes)
		cox_grpc_finish_status(s, COX_GRPC_RESOURCE_EXHAUSTED, COX_STR("too many incomplete messages on this connection"));
}

void cox_grpc_stream_give_back(struct cox_grpc_stream *s)
{
	nghttp2_session_consume_stream(s->conn->session, s->id, s->held_bytes);
	s->held_bytes = 0;
}

void cox_grpc_stream_pause(struct cox_grpc_stream *s, bool is_paused)
{
	s->is_paused = is_paused;
	if (is_paused || s->is_gone || s->held_bytes == 0)
		return;
	cox_grpc_stream_give_back(s);
	cox_h2_io_mark(&s->conn->io);
}

void cox_grpc_stream_on_end(struct cox_grpc_stream *s)
{
	s->is_half_closed = true;
	if (!s->method || s->is_finished)
		return;
	if (cox_grpc_deframer_is_inside(&s->in))
		cox_grpc_finish_status(s, COX_GRPC_INTERNAL, COX_STR("the request ended inside a message"));
	else if (s->method->on_half_close)
		s->method->on_half_close(s->method->ctx, s);
	else
		cox_grpc_finish(s, COX_OK, COX_STR(""));
}

void cox_grpc_stream_gone(struct cox_grpc_stream *s, enum cox_rc why)
{
	struct cox_h2_conn *c = s->conn;
	s->is_gone = true;
	if (s->prev)
		s->prev->next = s->next;
	else
		c->streams = s->next;
	if (s->next)
		s->next->prev = s->prev;
	cox_timer_free(&s->deadline);
	if (s->out)
		s->out->owner = NULL;
	cox_h2_msg_unref(&s->out);
	if (s->method && s->method->on_close)
		s->method->on_close(s->method->ctx, s, why);
	c->inbound_bytes -= s->in.body.cap;
	cox_grpc_deframer_fini(&s->in);
	cox_buf_fini(&s->header_text);
	cox_vec_fini(&s->headers);
	cox_free(s->status_text);
	cox_free(s);
}

/* --- what goes ------------------------------------------------------------------------------- */

static size_t status_headers(struct cox_grpc_stream *s, nghttp2_nv *nv, char number[4])
{
	int n = snprintf(number, 4, "%d", s->status);
	nv[0] = (nghttp2_nv)NV("grpc-status", number, (size_t)n);
	if (!s->status_text)
		return 1;
	nv[1] = (nghttp2_nv)NV("grpc-message", s->status_text, strlen(s->status_text));
	return 2;
}

static void submit_trailers(struct cox_grpc_stream *s)
{
	nghttp2_nv nv[2];
	char number[4];
	size_t n = status_headers(s, nv, number);
	nghttp2_submit_trailer(s->conn->session, s->id, nv, n);
}

/* nghttp2 asks for up to `length` bytes of the stream; on_send_data() then sends them from where they are. */
ssize_t cox_grpc_stream_read(struct cox_grpc_stream *s, size_t length, uint32_t *flags)
{
	size_t left = s->out ? s->out->total_bytes - s->out->queued_bytes : 0;
	if (left > 0) {
		*flags |= NGHTTP2_DATA_FLAG_NO_COPY;
		return (ssize_t)cox_min_size(left, length);
	}
	if (!s->is_finished)
		return NGHTTP2_ERR_DEFERRED;
	*flags |= NGHTTP2_DATA_FLAG_EOF | NGHTTP2_DATA_FLAG_NO_END_STREAM;
	submit_trailers(s);
	return 0;
}

static ssize_t on_read(nghttp2_session *session, int32_t id, uint8_t *buf, size_t length, uint32_t *flags, nghttp2_data_source *source,
                       void *user)
{
	(void)session, (void)id, (void)buf, (void)user;
	return cox_grpc_stream_read(source->ptr, length, flags);
}

/* All of the message is in the kernel. */
static void on_written(void *owner)
{
	struct cox_grpc_stream *s = owner;
	s->out->owner = NULL;
	cox_h2_msg_unref(&s->out);
	if (!s->is_finished && s->method->on_drained)
		s->method->on_drained(s->method->ctx, s);
}

static void pieces_release(const struct cox_grpc_piece *pieces, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (pieces[i].release)
			pieces[i].release(pieces[i].ctx);
}

bool cox_grpc_is_writable(const struct cox_grpc_stream *s) { return !s->out && !s->is_finished && !s->is_gone && !s->conn->io.is_closing; }

enum cox_rc cox_grpc_send(struct cox_grpc_stream *s, const struct cox_grpc_piece *pieces, size_t count)
{
	struct cox_h2_conn *c = s->conn;
	cox_loop_assert_here(c->io.loop);
	size_t total = 0;
	enum cox_rc rc = s->is_finished || s->is_gone || c->io.is_closing ? COX_ECANCELED : s->out ? COX_EAGAIN : COX_OK;
	for (size_t i = 0; i < count; i++)
		total += pieces[i].n;
	if (rc == COX_OK && total >> MESSAGE_OUT_MAX_BITS)
		rc = COX_ELIMIT;
	if (rc != COX_OK) {
		pieces_release(pieces, count);
		return rc;
	}
	s->out = cox_h2_msg_new(pieces, count, total);
	s->out->owner = s;
	s->out->on_written = on_written;
	s->progress_ms = cox_loop_now_ms(c->io.loop);
	if (s->is_headers_sent) {
		nghttp2_session_resume_data(c->session, s->id);
	} else {
		const nghttp2_nv nv[] = { NV(":status", "200", 3), NV("content-type", "application/grpc", 16) };
		nghttp2_data_provider provider = { { .ptr = s }, on_read };
		s->is_headers_sent = true;
		nghttp2_submit_response(c->session, s->id, nv, COX_LEN(nv), &provider);
	}
	cox_h2_io_mark(&c->io);
	return COX_OK;
}

enum cox_rc cox_grpc_send_copy(struct cox_grpc_stream *s, struct cox_str message)
{
	char *copy = cox_alloc(message.n + 1);
	if (message.n)
		memcpy(copy, message.p, message.n);
	return cox_grpc_send(s, &(struct cox_grpc_piece){ copy, message.n, cox_free, copy }, 1);
}

void cox_grpc_finish_status(struct cox_grpc_stream *s, int status, struct cox_str message)
{
	struct cox_h2_conn *c = s->conn;
	cox_loop_assert_here(c->io.loop);
	if (s->is_finished || s->is_gone || c->io.is_closing)
		return;
	s->is_finished = true;
	s->status = status >= 0 && status <= 16 ? status : COX_GRPC_UNKNOWN;
	if (message.n) {
		struct cox_buf text = { 0 };
		cox_grpc_message_encode(cox_str_sub(message, 0, STATUS_TEXT_MAX / 3), &text);
		cox_buf_cstr(&text);
		s->status_text = text.p;
	}
	if (s->is_headers_sent) {
		nghttp2_session_resume_data(c->session, s->id);
	} else { /* "Trailers-Only": the headers say how it ended */
		nghttp2_nv nv[4] = { NV(":status", "200", 3), NV("content-type", "application/grpc", 16) };
		char number[4];
		s->is_headers_sent = true;
		size_t n = status_headers(s, nv + 2, number);
		nghttp2_submit_response(c->session, s->id, nv, 2 + n, NULL);
	}
	cox_h2_io_mark(&c->io);
}

void cox_grpc_finish(struct cox_grpc_stream *s, enum cox_rc rc, struct cox_str message)
{
	cox_grpc_finish_status(s, rc == COX_OK ? COX_GRPC_OK : cox_rc_grpc(rc), message);
}

/* --- what a stream knows ---------------------------------------------------------------------- */

void cox_grpc_stream_set_data(struct cox_grpc_stream *s, void *data) { s->data = data; }
void *cox_grpc_stream_data(const struct cox_grpc_stream *s) { return s->data; }
const struct cox_grpc_method *cox_grpc_stream_method(const struct cox_grpc_stream *s) { return s->method; }
struct cox_loop *cox_grpc_stream_loop(const struct cox_grpc_stream *s) { return s->conn->io.loop; }
size_t cox_grpc_stream_loop_index(const struct cox_grpc_stream *s) { return s->conn->home->index; }
int cox_grpc_stream_tag(const struct cox_grpc_stream *s) { return s->conn->tag; }
uint64_t cox_grpc_stream_connection_id(const struct cox_grpc_stream *s) { return s->conn->id; }
const char *cox_grpc_stream_peer_address(const struct cox_grpc_stream *s) { return s->conn->address; }
bool cox_grpc_stream_peer_is_loopback(const struct cox_grpc_stream *s) { return s->conn->is_loopback; }

struct cox_str cox_grpc_stream_metadata(const struct cox_grpc_stream *s, const char *name) { return header_find(s, cox_str_of(name)); }

void cox_grpc_stream_metadata_each(const struct cox_grpc_stream *s, void (*fn)(void *ctx, struct cox_str name, struct cox_str value),
                                   void *ctx)
{
	for (size_t i = 0; i < s->headers.n; i++) {
		const struct cox_grpc_header *h = &s->headers.p[i];
		const char *name = s->header_text.p + h->at;
		if (name[0] != ':')
			fn(ctx, cox_str_make(name, h->name_n), cox_str_make(name + h->name_n, h->value_n));
	}
}

const struct cox_tls_peer *cox_grpc_stream_peer(const struct cox_grpc_stream *s)
{
	static const struct cox_tls_peer none;
	struct cox_h2_conn *c = s->conn;
	if (!c->io.ssl)
		return &none;
	if (!c->peer)
		c->peer = cox_tls_peer_new(c->io.ssl);
	return &c->peer->peer;
}

int64_t cox_grpc_stream_deadline_left_ms(const struct cox_grpc_stream *s)
{
	if (s->deadline_ms == 0)
		return -1;
	int64_t left = s->deadline_ms - cox_loop_now_ms(s->conn->io.loop);
	return left > 0 ? left : 0;
}
