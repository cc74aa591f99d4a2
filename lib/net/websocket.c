#include "net/websocket.h"

#include "base/clock.h"
#include "codec/b64.h"
#include "loop/poll.h"
#include "net/http_client_priv.h"
#include "net/ws_frame.h"

#include <openssl/rand.h>
#include <poll.h>
#include <stdio.h>

enum {
	TIMEOUT_MS = 10 * 1000,
	HEAD_BYTES_MAX = 64 * 1024,
	READ_BYTES = 64 * 1024,
	MESSAGE_BYTES_MAX = 16 * 1024 * 1024,
	DRAIN_BYTES = 512 * 1024,
};

struct cox_ws {
	CURL *easy;
	struct curl_slist *connect_to;
	struct cox_poll *poll;
	struct cox_ws_cb cb;
	struct cox_buf in, out, message;
	bool has_ended, was_full, *is_gone; /* is_gone: set when closed inside of a callback */
	char error[CURL_ERROR_SIZE];
};

/* --- the opening: blocking --------------------------------------------------------------------------------- */

static bool wait_for(struct cox_ws *ws, short events, int64_t until_ms)
{
	curl_socket_t fd = CURL_SOCKET_BAD;
	int64_t left = until_ms - cox_clock_mono_ms();
	if (left <= 0 || curl_easy_getinfo(ws->easy, CURLINFO_ACTIVESOCKET, &fd) != CURLE_OK || fd == CURL_SOCKET_BAD)
		return false;
	struct pollfd p = { .fd = fd, .events = events };
	return poll(&p, 1, (int)left) > 0;
}

static enum cox_rc connect_to(struct cox_ws *ws, const struct cox_ws_spec *spec, int64_t timeout_ms, struct cox_err *err)
{
	curl_easy_setopt(ws->easy, CURLOPT_URL, spec->url);
	curl_easy_setopt(ws->easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(ws->easy, CURLOPT_PROXY, "");
	curl_easy_setopt(ws->easy, CURLOPT_ERRORBUFFER, ws->error);
	curl_easy_setopt(ws->easy, CURLOPT_CONNECT_ONLY, 1L);
	curl_easy_setopt(ws->easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(ws->easy, CURLOPT_CONNECTTIMEOUT_MS, (long)timeout_ms);
	cox_http_easy_tls(ws->easy, spec->tls, &ws->connect_to);
	CURLcode code = curl_easy_perform(ws->easy);
	if (code == CURLE_OK)
		return COX_OK;
	enum cox_rc rc = code == CURLE_OPERATION_TIMEDOUT ? COX_ETIMEOUT : code == CURLE_PEER_FAILED_VERIFICATION ? COX_EAUTH : COX_EIO;
	return cox_err_set(err, rc, NULL, "%s", ws->error[0] ? ws->error : curl_easy_strerror(code));
}

static enum cox_rc request_write(struct cox_ws *ws, const struct cox_ws_spec *spec, struct cox_buf *out, struct cox_err *err)
{
	unsigned char nonce[16];
	struct cox_buf token = { 0 }, key = { 0 };
	CURLU *u = curl_url();
	char *host = NULL, *port = NULL, *path = NULL, *query = NULL;
	(void)ws;
	bool ok = RAND_bytes(nonce, sizeof(nonce)) == 1 && curl_url_set(u, CURLUPART_URL, spec->url, 0) == CURLUE_OK &&
	          curl_url_get(u, CURLUPART_HOST, &host, 0) == CURLUE_OK && curl_url_get(u, CURLUPART_PATH, &path, 0) == CURLUE_OK;
	(void)curl_url_get(u, CURLUPART_QUERY, &query, 0);
	(void)curl_url_get(u, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT);
	enum cox_rc rc = ok ? COX_OK : cox_err_set(err, COX_EINVAL, NULL, "not an http or https URL: \"%s\"", spec->url);
	if (rc == COX_OK && spec->token)
		rc = spec->token(spec->token_ctx, &token);
	if (rc == COX_OK) {
		cox_b64_encode(&key, cox_str_make(nonce, sizeof(nonce)));
		cox_buf_printf(out,
		               "GET %s%s%s HTTP/1.1\r\nHost: %s:%s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
		               "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %.*s\r\nSec-WebSocket-Protocol: %s\r\n",
		               path, query ? "?" : "", query ? query : "", host, port ? port : "443", COX_FMT(cox_buf_str(&key)),
		               spec->protocol);
		if (token.n)
			cox_buf_printf(out, "Authorization: Bearer %.*s\r\n", COX_FMT(cox_str_trim(cox_buf_str(&token))));
		cox_buf_append_cstr(out, "\r\n");
	}
	curl_free(host), curl_free(port), curl_free(path), curl_free(query);
	curl_url_cleanup(u);
	cox_buf_fini(&token);
	cox_buf_fini(&key);
	return rc;
}

static enum cox_rc send_all(struct cox_ws *ws, struct cox_str bytes, int64_t until_ms)
{
	while (bytes.n) {
		size_t n = 0;
		CURLcode code = curl_easy_send(ws->easy, bytes.p, bytes.n, &n);
		if (code == CURLE_AGAIN && !wait_for(ws, POLLOUT, until_ms))
			return COX_ETIMEOUT;
		if (code != CURLE_OK && code != CURLE_AGAIN)
			return COX_EIO;
		bytes = cox_str_sub(bytes, n, SIZE_MAX);
	}
	return COX_OK;
}

/* Reads what is there: COX_EAGAIN nothing more now, COX_ECANCELED the end. */
static enum cox_rc read_some(struct cox_ws *ws)
{
	size_t n = 0;
	CURLcode code = curl_easy_recv(ws->easy, cox_buf_reserve(&ws->in, READ_BYTES), READ_BYTES, &n);
	if (code == CURLE_OK)
		ws->in.n += n;
	return code == CURLE_AGAIN ? COX_EAGAIN : code != CURLE_OK ? COX_EIO : n ? COX_OK : COX_ECANCELED;
}

/* "HTTP/1.1 403 Forbidden" and a body: what the server has against it. */
static enum cox_rc head_check(struct cox_ws *ws, size_t head_n, struct cox_err *err)
{
	struct cox_str head = cox_str_make(ws->in.p, head_n), rest = head, line, word;
	int64_t status = 0;
	(void)cox_str_next(&rest, '\n', &line);
	struct cox_str words = line;
	if (cox_str_next(&words, ' ', &word) && cox_str_next(&words, ' ', &word))
		(void)!cox_str_to_i64(word, &status);
	if (status == 101)
		return COX_OK;
	struct cox_str body = cox_str_trim(cox_str_sub(cox_buf_str(&ws->in), head_n, 300));
	enum cox_rc rc = status == 401 ? COX_EAUTH : status == 403 ? COX_EDENIED : status == 404 ? COX_ENOTFOUND : COX_EIO;
	return cox_err_set(err, rc, NULL, "the server refuses the WebSocket: %.*s%s%.*s", COX_FMT(cox_str_trim(line)), body.n ? ": " : "",
	                   COX_FMT(body));
}

static enum cox_rc head_read(struct cox_ws *ws, int64_t until_ms, struct cox_err *err)
{
	ptrdiff_t end = -1;
	while (end < 0) {
		enum cox_rc rc = read_some(ws);
		if (rc == COX_EAGAIN && !wait_for(ws, POLLIN, until_ms))
			return cox_err_set(err, COX_ETIMEOUT, NULL, "the server does not answer");
		if (rc != COX_OK && rc != COX_EAGAIN)
			return cox_err_set(err, COX_EIO, NULL, "the server closed the connection");
		end = cox_str_search(cox_buf_str(&ws->in), COX_STR("\r\n\r\n"));
		if (end < 0 && ws->in.n > HEAD_BYTES_MAX)
			return cox_err_set(err, COX_ELIMIT, NULL, "the server's answer has no end");
	}
	COX_TRY(head_check(ws, (size_t)end + 4, err));
	cox_buf_consume(&ws->in, (size_t)end + 4);
	return COX_OK;
}

/* --- open: on the loop --------------------------------------------------------------------------------------- */

static void closed(struct cox_ws *ws, enum cox_rc rc, const struct cox_err *err)
{
	static const struct cox_err none;
	if (ws->has_ended)
		return;
	ws->has_ended = true;
	cox_poll_close(&ws->poll);
	ws->cb.on_closed(ws->cb.ctx, ws, rc, err ? err : &none);
}

static void want(struct cox_ws *ws)
{
	if (ws->poll)
		cox_poll_want(ws->poll, COX_POLL_READ | (ws->out.n ? COX_POLL_WRITE : 0));
}

static void frame_queue(struct cox_ws *ws, enum cox_ws_opcode opcode, struct cox_str payload)
{
	uint32_t mask = 0;
	(void)!RAND_bytes((unsigned char *)&mask, sizeof(mask));
	cox_ws_frame_write(&ws->out, opcode, payload, mask);
}

/* False: it is gone or ended. */
static bool frame_take(struct cox_ws *ws, const struct cox_ws_frame *f)
{
	bool is_gone = false;
	switch (f->opcode) {
	case COX_WS_CLOSE: closed(ws, COX_OK, NULL); return false;
	case COX_WS_PING: frame_queue(ws, COX_WS_PONG, f->payload); return true;
	case COX_WS_PONG: return true;
	case COX_WS_MORE:
	case COX_WS_TEXT:
	case COX_WS_BINARY: break;
	}
	if (ws->message.n + f->payload.n > MESSAGE_BYTES_MAX) {
		struct cox_err err = { 0 };
		closed(ws, cox_err_set(&err, COX_ELIMIT, NULL, "a WebSocket message is longer than %d bytes", MESSAGE_BYTES_MAX), &err);
		return false;
	}
	cox_buf_append_str(&ws->message, f->payload);
	if (!f->is_last)
		return true;
	ws->is_gone = &is_gone;
	ws->cb.on_message(ws->cb.ctx, ws, cox_buf_str(&ws->message));
	if (is_gone)
		return false;
	ws->is_gone = NULL;
	cox_buf_clear(&ws->message);
	return !ws->has_ended;
}

static bool frames_take(struct cox_ws *ws)
{
	struct cox_ws_frame f;
	struct cox_err err = { 0 };
	size_t at = 0, used;
	enum cox_rc rc;
	/* The frames stay where they are while callbacks run: only `at` moves on. */
	while ((rc = cox_ws_frame_read(cox_str_sub(cox_buf_str(&ws->in), at, SIZE_MAX), &f, &used, &err)) == COX_OK) {
		at += used;
		if (!frame_take(ws, &f))
			return false;
	}
	if (rc != COX_EAGAIN) {
		closed(ws, rc, &err);
		return false;
	}
	cox_buf_consume(&ws->in, at);
	return true;
}

static bool flush(struct cox_ws *ws)
{
	while (ws->out.n) {
		size_t n = 0;
		CURLcode code = curl_easy_send(ws->easy, ws->out.p, ws->out.n, &n);
		if (code == CURLE_AGAIN)
			return true;
		if (code != CURLE_OK) {
			struct cox_err err = { 0 };
			closed(ws, cox_err_set(&err, COX_EIO, NULL, "the connection broke"), &err);
			return false;
		}
		cox_buf_consume(&ws->out, n);
	}
	if (ws->was_full) {
		ws->was_full = false;
		if (ws->cb.on_drained)
			ws->cb.on_drained(ws->cb.ctx, ws);
	}
	return true;
}

static void on_poll(void *ctx, int events)
{
	struct cox_ws *ws = ctx;
	struct cox_err err = { 0 };
	bool is_gone = false;
	(void)events;
	if (ws->in.n && !frames_take(ws)) /* what came with the head */
		return;
	for (;;) {
		enum cox_rc rc = read_some(ws); /* until nothing is left, in TLS's buffer too */
		if (rc == COX_EAGAIN)
			break;
		if (rc != COX_OK) {
			closed(ws, rc == COX_ECANCELED ? COX_OK : cox_err_set(&err, COX_EIO, NULL, "the connection broke"), &err);
			return;
		}
		if (!frames_take(ws))
			return;
	}
	ws->is_gone = &is_gone;
	bool is_open = flush(ws);
	if (is_gone)
		return;
	ws->is_gone = NULL;
	if (is_open && !ws->has_ended)
		want(ws);
}

static enum cox_rc start(struct cox_ws *ws, struct cox_loop *loop, struct cox_err *err)
{
	curl_socket_t fd = CURL_SOCKET_BAD;
	curl_easy_getinfo(ws->easy, CURLINFO_ACTIVESOCKET, &fd);
	if (fd == CURL_SOCKET_BAD || cox_poll_open(loop, fd, on_poll, ws, &ws->poll) != COX_OK)
		return cox_err_set(err, COX_EIO, NULL, "the connection broke");
	/* Bytes behind the head are asked for at once: a socket that can be written wakes the poll. */
	cox_poll_want(ws->poll, COX_POLL_READ | COX_POLL_WRITE);
	return COX_OK;
}

enum cox_rc cox_ws_open(struct cox_loop *loop, const struct cox_ws_spec *spec, const struct cox_ws_cb *cb, struct cox_ws **out,
                        struct cox_err *err)
{
	int64_t timeout_ms = spec->timeout_ms ? spec->timeout_ms : TIMEOUT_MS, until_ms = cox_clock_mono_ms() + timeout_ms;
	struct cox_buf request = { 0 };
	cox_loop_assert_here(loop);
	cox_http_easy_init();
	struct cox_ws *ws = COX_NEW(struct cox_ws);
	ws->cb = *cb;
	ws->easy = curl_easy_init();
	COX_ASSERT(ws->easy);
	enum cox_rc rc = connect_to(ws, spec, timeout_ms, err);
	if (rc == COX_OK)
		rc = request_write(ws, spec, &request, err);
	if (rc == COX_OK && (rc = send_all(ws, cox_buf_str(&request), until_ms)) != COX_OK)
		cox_err_set(err, rc, NULL, "the request could not be sent");
	if (rc == COX_OK)
		rc = head_read(ws, until_ms, err);
	if (rc == COX_OK)
		rc = start(ws, loop, err);
	if (request.n)
		explicit_bzero(request.p, request.n); /* a token is in it */
	cox_buf_fini(&request);
	if (rc != COX_OK) {
		cox_ws_close(&ws);
		return rc;
	}
	*out = ws;
	return COX_OK;
}

void cox_ws_send(struct cox_ws *ws, struct cox_str bytes)
{
	frame_queue(ws, COX_WS_BINARY, bytes);
	ws->was_full |= ws->out.n > DRAIN_BYTES;
	want(ws);
}

size_t cox_ws_pending(const struct cox_ws *ws) { return ws->out.n; }

void cox_ws_close(struct cox_ws **wp)
{
	struct cox_ws *ws = COX_MOVE(*wp);
	if (!ws)
		return;
	if (ws->is_gone)
		*ws->is_gone = true;
	if (ws->poll) {
		size_t n;
		cox_buf_clear(&ws->out);
		frame_queue(ws, COX_WS_CLOSE, COX_STR("\x03\xe8")); /* 1000: normal */
		(void)curl_easy_send(ws->easy, ws->out.p, ws->out.n, &n);
	}
	cox_poll_close(&ws->poll);
	curl_easy_cleanup(ws->easy);
	curl_slist_free_all(ws->connect_to);
	cox_buf_fini(&ws->in);
	cox_buf_fini(&ws->out);
	cox_buf_fini(&ws->message);
	cox_free(ws);
}
