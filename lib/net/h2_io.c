#include "net/h2_io_priv.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/err.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	READ_BYTES = 65536,     /* one buffer per thread: a session holds none */
	READS_PER_EVENT = 4,    /* then others get their turn */
	FULL_BYTES = 256 << 10, /* queued output at which no more frames are made */
	TURN_BYTES = 2 << 20,   /* written to one peer per turn */
	IOV_MAX_USED = 128,
	COPY_BELOW_BYTES = 512,   /* a segment of its own costs more than the copy */
	KEEP_COPIED_BYTES = 1024, /* kept by an idle session */
	TLS_RECORD_BYTES = 16384,
};

static _Thread_local uint8_t read_buf[READ_BYTES];
static _Thread_local char record_buf[TLS_RECORD_BYTES];

/* --- messages ----------------------------------------------------------------------------- */

struct cox_h2_msg *cox_h2_msg_new(const struct cox_grpc_piece *pieces, size_t count, size_t total)
{
	struct cox_h2_msg *m = cox_zalloc(sizeof(*m) + (count + 1) * sizeof(m->pieces[0]));
	uint32_t size = htonl((uint32_t)total);
	m->refs = 1;
	m->count = (uint32_t)count + 1;
	m->total_bytes = total + sizeof(m->prefix);
	memcpy(m->prefix + 1, &size, 4);
	m->pieces[0] = (struct cox_grpc_piece){ .p = m->prefix, .n = sizeof(m->prefix) };
	if (count)
		memcpy(m->pieces + 1, pieces, count * sizeof(*pieces));
	return m;
}

void cox_h2_msg_unref(struct cox_h2_msg **mp)
{
	struct cox_h2_msg *m = *mp;
	*mp = NULL;
	if (!m || --m->refs > 0)
		return;
	for (uint32_t i = 0; i < m->count; i++)
		if (m->pieces[i].release)
			m->pieces[i].release(m->pieces[i].ctx);
	cox_free(m);
}

/* --- the queue ---------------------------------------------------------------------------- */

static void count_pending(struct cox_h2_io *io, size_t n)
{
	if (io->pending_bytes == 0)
		io->progress_ms = cox_loop_now_ms(io->loop);
	io->pending_bytes += n;
}

void cox_h2_io_copy(struct cox_h2_io *io, const void *p, size_t n)
{
	if (n == 0)
		return;
	count_pending(io, n);
	cox_buf_append(&io->copied, p, n);
	if (io->segs.n > io->seg_at && !io->segs.p[io->segs.n - 1].p && !io->segs.p[io->segs.n - 1].msg)
		io->segs.p[io->segs.n - 1].n += n;
	else
		cox_vec_push(&io->segs, ((struct cox_h2_seg){ NULL, n, NULL }));
}

void cox_h2_io_share(struct cox_h2_io *io, const char *p, size_t n, struct cox_h2_msg *m)
{
	if (n == 0)
		return;
	m->refs++;
	if (n <= COPY_BELOW_BYTES) {
		/* Still a segment with the message, so that its owner learns when the bytes are written. */
		count_pending(io, n);
		cox_buf_append(&io->copied, p, n);
		cox_vec_push(&io->segs, ((struct cox_h2_seg){ NULL, n, m }));
		return;
	}
	count_pending(io, n);
	cox_vec_push(&io->segs, ((struct cox_h2_seg){ p, n, m }));
}

void cox_h2_io_frame(struct cox_h2_io *io, const uint8_t *head, struct cox_h2_msg *m, size_t length)
{
	cox_h2_io_copy(io, head, 9);
	m->queued_bytes += length;
	while (length > 0) {
		const struct cox_grpc_piece *piece = &m->pieces[m->piece];
		size_t part = cox_min_size(length, piece->n - m->piece_offset);
		cox_h2_io_share(io, (const char *)piece->p + m->piece_offset, part, m);
		length -= part;
		m->piece_offset += part;
		if (m->piece_offset == piece->n) {
			m->piece++;
			m->piece_offset = 0;
		}
	}
}

bool cox_h2_io_is_full(const struct cox_h2_io *io) { return io->pending_bytes >= FULL_BYTES; }

static void msg_written(struct cox_h2_msg *m, size_t n)
{
	m->written_bytes += n;
	if (m->written_bytes == m->total_bytes && m->owner)
		m->on_written(m->owner);
}

/* Drops the first n bytes of the queue: the kernel has them. */
static void consume(struct cox_h2_io *io, size_t n)
{
	io->pending_bytes -= n;
	io->progress_ms = cox_loop_now_ms(io->loop);
	while (n > 0) {
		struct cox_h2_seg *s = &io->segs.p[io->seg_at];
		size_t part = cox_min_size(n, s->n);
		struct cox_h2_msg *m = s->msg;
		if (s->p)
			s->p += part;
		else
			io->copied_at += part;
		s->n -= part;
		n -= part;
		bool is_done = s->n == 0;
		io->seg_at += is_done;
		if (m) { /* may call the stream's owner, who may queue more: `s` is not used after this */
			struct cox_h2_msg *hold = m;
			if (is_done) {
				msg_written(m, part);
				cox_h2_msg_unref(&hold);
			} else {
				m->written_bytes += part;
			}
		}
	}
	if (io->seg_at == io->segs.n) {
		io->seg_at = 0;
		io->copied_at = 0;
		cox_vec_clear(&io->segs);
		cox_buf_clear(&io->copied);
		if (io->copied.cap > KEEP_COPIED_BYTES)
			cox_buf_fini(&io->copied);
		if (io->segs.cap > 8)
			cox_vec_fini(&io->segs);
	}
}

static int gather(const struct cox_h2_io *io, struct iovec *iov)
{
	int n = 0;
	const char *copied = io->copied.p + io->copied_at;
	for (size_t i = io->seg_at; i < io->segs.n && n < IOV_MAX_USED; i++) {
		const struct cox_h2_seg *s = &io->segs.p[i];
		const char *p = s->p ? s->p : copied;
		if (!s->p)
			copied += s->n;
		if (n > 0 && (const char *)iov[n - 1].iov_base + iov[n - 1].iov_len == p)
			iov[n - 1].iov_len += s->n;
		else
			iov[n++] = (struct iovec){ (void *)(uintptr_t)p, s->n };
	}
	return n;
}

/* --- writing ------------------------------------------------------------------------------ */

/* What the peer's side did: > 0 bytes, 0 wait, -1 failed (reported). */
static ssize_t write_clear(struct cox_h2_io *io)
{
	struct iovec iov[IOV_MAX_USED];
	struct msghdr msg = { .msg_iov = iov };
	msg.msg_iovlen = (size_t)gather(io, iov);
	ssize_t n;
	do
		n = sendmsg(io->fd, &msg, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
		return 0;
	if (n < 0)
		io->cb->on_failed(io, COX_EIO, uv_strerror(-errno));
	return n;
}

static void tls_failed(struct cox_h2_io *io, const char *what)
{
	char text[200];
	const char *verify = cox_tls_verify_text(io->ssl);
	bool is_auth = verify || ERR_peek_error() != 0;
	cox_tls_error_text(what, text, sizeof(text));
	io->cb->on_failed(io, is_auth ? COX_EAUTH : COX_EIO, verify ? verify : text);
}

static ssize_t write_tls(struct cox_h2_io *io)
{
	struct iovec iov[IOV_MAX_USED];
	int count = gather(io, iov);
	size_t fill = 0;
	/* One record at a time; a refused one comes again with at least the same bytes, as OpenSSL wants it. */
	for (int i = 0; i < count && fill < TLS_RECORD_BYTES; i++) {
		size_t part = cox_min_size(iov[i].iov_len, TLS_RECORD_BYTES - fill);
		memcpy(record_buf + fill, iov[i].iov_base, part);
		fill += part;
	}
	ERR_clear_error();
	int n = SSL_write(io->ssl, record_buf, (int)fill);
	if (n > 0)
		return n;
	int why = SSL_get_error(io->ssl, n);
	if (why == SSL_ERROR_WANT_WRITE || why == SSL_ERROR_WANT_READ)
		return 0;
	tls_failed(io, "write failed");
	return -1;
}

static void on_poll(uv_poll_t *poll, int status, int events);

static void poll_update(struct cox_h2_io *io, bool wants_write)
{
	if (io->is_closing || io->wants_write == wants_write)
		return;
	io->wants_write = wants_write;
	uv_poll_start(&io->poll, UV_READABLE | (wants_write ? UV_WRITABLE : 0), on_poll);
}

static void flush(struct cox_h2_io *io)
{
	size_t sent = 0;
	while (io->is_ready && !io->is_closing) {
		if (!io->is_shut)
			io->cb->pull(io);
		if (io->is_closing)
			return;
		if (io->pending_bytes == 0)
			break;
		if (sent >= TURN_BYTES) {
			poll_update(io, true);
			return;
		}
		ssize_t n = io->ssl ? write_tls(io) : write_clear(io);
		if (n < 0)
			return;
		if (n == 0) {
			poll_update(io, true);
			return;
		}
		sent += (size_t)n;
		consume(io, (size_t)n);
	}
	if (!io->is_ready || io->is_closing)
		return;
	poll_update(io, false);
	if (io->ends_after_flush && !io->is_shut) {
		io->is_shut = true;
		if (io->ssl)
			SSL_shutdown(io->ssl);
		shutdown(io->fd, SHUT_WR);
	}
}

void cox_h2_io_mark(struct cox_h2_io *io)
{
	if (io->is_dirty || io->is_closing || !io->is_ready)
		return;
	io->is_dirty = true;
	io->next_dirty = io->flusher->dirty;
	io->flusher->dirty = io;
}

static void on_idle(uv_idle_t *idle) { (void)idle; }

static void on_prepare(uv_prepare_t *prepare)
{
	struct cox_h2_flusher *f = prepare->data;
	struct cox_h2_io *io = f->dirty;
	f->dirty = NULL;
	while (io) {
		struct cox_h2_io *next = io->next_dirty;
		io->next_dirty = NULL;
		io->is_dirty = false;
		flush(io);
		io = next;
	}
	if (f->dirty)
		uv_idle_start(&f->idle, on_idle);
	else
		uv_idle_stop(&f->idle);
}

void cox_h2_flusher_init(struct cox_h2_flusher *f, struct cox_loop *loop)
{
	memset(f, 0, sizeof(*f));
	uv_prepare_init(cox_loop_uv(loop), &f->prepare);
	uv_idle_init(cox_loop_uv(loop), &f->idle);
	f->prepare.data = f->idle.data = f;
	f->open_handles = 2;
	uv_prepare_start(&f->prepare, on_prepare);
}

static void on_flusher_closed(uv_handle_t *h)
{
	struct cox_h2_flusher *f = h->data;
	if (--f->open_handles == 0)
		f->on_gone(f);
}

void cox_h2_flusher_close(struct cox_h2_flusher *f, void (*on_gone)(struct cox_h2_flusher *f))
{
	f->on_gone = on_gone;
	uv_close((uv_handle_t *)&f->prepare, on_flusher_closed);
	uv_close((uv_handle_t *)&f->idle, on_flusher_closed);
}

/* --- reading ------------------------------------------------------------------------------ */

static void set_ready(struct cox_h2_io *io)
{
	io->is_ready = true;
	io->cb->on_ready(io);
	cox_h2_io_mark(io);
}

static void finish_connect(struct cox_h2_io *io)
{
	int error = 0;
	socklen_t n = sizeof(error);
	getsockopt(io->fd, SOL_SOCKET, SO_ERROR, &error, &n);
	if (error != 0) {
		io->cb->on_failed(io, COX_EIO, uv_strerror(-error));
		return;
	}
	io->is_connecting = false;
	if (!io->ssl) {
		poll_update(io, false);
		set_ready(io);
	}
}

static void handshake(struct cox_h2_io *io)
{
	ERR_clear_error();
	int n = SSL_do_handshake(io->ssl);
	if (n == 1) {
		const unsigned char *alpn;
		unsigned alpn_n;
		SSL_get0_alpn_selected(io->ssl, &alpn, &alpn_n);
		poll_update(io, false);
		/* A peer without ALPN is let in: some gRPC clients send none. One that chose another protocol is not. */
		if (alpn_n != 0 && (alpn_n != 2 || memcmp(alpn, "h2", 2) != 0))
			io->cb->on_failed(io, COX_EPROTO, "the peer does not speak HTTP/2");
		else
			set_ready(io);
		return;
	}
	int why = SSL_get_error(io->ssl, n);
	if (why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE)
		poll_update(io, why == SSL_ERROR_WANT_WRITE);
	else
		tls_failed(io, "the connection ended during the TLS handshake");
}

/* Bytes read, 0: end of the peer's side, -1: nothing now or failed. */
static ssize_t read_some(struct cox_h2_io *io)
{
	if (!io->ssl) {
		ssize_t n = recv(io->fd, read_buf, READ_BYTES, 0);
		if (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)
			io->cb->on_failed(io, COX_EIO, uv_strerror(-errno));
		return n;
	}
	ERR_clear_error();
	int n = SSL_read(io->ssl, read_buf, READ_BYTES);
	if (n > 0)
		return n;
	int why = SSL_get_error(io->ssl, n);
	if (why == SSL_ERROR_ZERO_RETURN)
		return 0;
	if (why != SSL_ERROR_WANT_READ && why != SSL_ERROR_WANT_WRITE)
		tls_failed(io, "connection reset");
	return -1;
}

static void read_all(struct cox_h2_io *io)
{
	/* OpenSSL may hold decrypted bytes that epoll knows nothing of: read until it has none. */
	for (int i = 0; (i < READS_PER_EVENT || (io->ssl && SSL_has_pending(io->ssl))) && !io->is_closing; i++) {
		ssize_t n = read_some(io);
		if (n < 0)
			return;
		io->cb->on_bytes(io, read_buf, (size_t)n);
		if (n == 0)
			return;
		if (!io->ssl && n < READ_BYTES)
			return;
	}
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
	struct cox_h2_io *io = (struct cox_h2_io *)poll;
	if (status < 0 && !io->is_connecting) {
		io->cb->on_failed(io, COX_EIO, uv_strerror(status));
		return;
	}
	if (io->is_connecting) {
		finish_connect(io);
		if (io->is_connecting || io->is_closing || io->is_ready)
			return;
	}
	if (!io->is_ready) {
		handshake(io);
		return; /* level triggered: what is left comes again */
	}
	if (events & UV_READABLE)
		read_all(io);
	if ((events & UV_WRITABLE) && !io->is_closing)
		cox_h2_io_mark(io);
}

void cox_h2_io_init(struct cox_h2_io *io, struct cox_loop *loop, struct cox_h2_flusher *f, const struct cox_h2_io_cb *cb, int fd, SSL *ssl,
                    bool is_connecting)
{
	memset(io, 0, sizeof(*io));
	io->loop = loop;
	io->flusher = f;
	io->cb = cb;
	io->fd = fd;
	io->ssl = ssl;
	io->is_connecting = is_connecting;
	io->progress_ms = cox_loop_now_ms(loop);
	io->is_ready = !is_connecting && !ssl;
	io->wants_write = is_connecting || (ssl && !SSL_is_server(ssl));
	COX_ASSERT(uv_poll_init(cox_loop_uv(loop), &io->poll, fd) == 0);
	uv_poll_start(&io->poll, UV_READABLE | (io->wants_write ? UV_WRITABLE : 0), on_poll);
}

void cox_h2_io_end(struct cox_h2_io *io)
{
	io->ends_after_flush = true;
	cox_h2_io_mark(io);
}

static void on_closed(uv_handle_t *h)
{
	struct cox_h2_io *io = (struct cox_h2_io *)h;
	if (io->ssl)
		SSL_free(io->ssl);
	close(io->fd);
	for (size_t i = io->seg_at; i < io->segs.n; i++)
		cox_h2_msg_unref(&io->segs.p[i].msg);
	cox_vec_fini(&io->segs);
	cox_buf_fini(&io->copied);
	io->cb->on_gone(io);
}

void cox_h2_io_close(struct cox_h2_io *io)
{
	if (io->is_closing)
		return;
	io->is_closing = true;
	if (io->is_dirty) {
		for (struct cox_h2_io **at = &io->flusher->dirty; *at; at = &(*at)->next_dirty)
			if (*at == io) {
				*at = io->next_dirty;
				break;
			}
	}
	uv_close((uv_handle_t *)&io->poll, on_closed);
}
