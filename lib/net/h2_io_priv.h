/*
 * h2_io - one non-blocking socket, clear or TLS, with an output queue of copied and of shared bytes. Used by the HTTP/2
 * server and client; knows nothing of HTTP/2.
 * Thread: everything on the loop. Writing happens at the end of the loop's turn (struct cox_h2_flusher), so that a change
 *         for 10,000 streams is queued as a whole first.
 * States: opening (connect, TLS) -> ready -> closing (cox_h2_io_close()) -> gone (on_gone: memory may be freed).
 */
#ifndef COX_NET_H2_IO_PRIV_H
#define COX_NET_H2_IO_PRIV_H

#include "base/buf.h"
#include "base/vec.h"
#include "loop/loop_uv.h"
#include "net/grpc_server.h"
#include "net/tls_priv.h"

struct cox_h2_io;

/* A message whose bytes the output queue refers to: freed with its pieces when the last user is gone. One loop only. */
struct cox_h2_msg {
	uint32_t refs;
	uint32_t count;
	size_t total_bytes, queued_bytes, written_bytes; /* queued: in frames; written: in the kernel */
	size_t piece, piece_offset;                      /* where the next frame begins */
	void *owner;                                     /* the stream, NULL when it is gone */
	void (*on_written)(void *owner);                 /* all bytes are in the kernel */
	unsigned char prefix[5];                         /* the gRPC message header, the first piece */
	struct cox_grpc_piece pieces[];
};
/* Takes the pieces; adds the gRPC prefix. */
struct cox_h2_msg *cox_h2_msg_new(const struct cox_grpc_piece *pieces, size_t count, size_t total);
void cox_h2_msg_unref(struct cox_h2_msg **m);

struct cox_h2_io_cb {
	void (*on_ready)(struct cox_h2_io *io);                                   /* connected, TLS done */
	void (*on_bytes)(struct cox_h2_io *io, const uint8_t *p, size_t n);       /* n == 0: the peer closed its side */
	void (*on_failed)(struct cox_h2_io *io, enum cox_rc rc, const char *why); /* the owner calls cox_h2_io_close() */
	void (*pull)(struct cox_h2_io *io);                                       /* queue more output until cox_h2_io_is_full() */
	void (*on_gone)(struct cox_h2_io *io);
};

/* One per loop and owner. */
struct cox_h2_flusher {
	uv_prepare_t prepare;
	uv_idle_t idle; /* keeps the loop from sleeping while something is dirty */
	struct cox_h2_io *dirty;
	int open_handles;
	void (*on_gone)(struct cox_h2_flusher *f);
};
void cox_h2_flusher_init(struct cox_h2_flusher *f, struct cox_loop *loop);
void cox_h2_flusher_close(struct cox_h2_flusher *f, void (*on_gone)(struct cox_h2_flusher *f));

struct cox_h2_seg {
	const char *p; /* NULL: the next n copied bytes */
	size_t n;
	struct cox_h2_msg *msg;
};

struct cox_h2_io {
	uv_poll_t poll; /* first: cast from the handle */
	struct cox_loop *loop;
	struct cox_h2_flusher *flusher;
	const struct cox_h2_io_cb *cb;
	struct cox_h2_io *next_dirty;
	SSL *ssl;
	int fd;
	bool is_dirty, is_ready, is_connecting, is_closing, wants_write, ends_after_flush, is_shut;
	COX_VEC(struct cox_h2_seg) segs;
	size_t seg_at;         /* the first that is not written */
	struct cox_buf copied; /* bytes of the segments without pointer */
	size_t copied_at;
	size_t pending_bytes;
	int64_t progress_ms; /* when the kernel last took bytes, or output became pending */
};

/* Takes `fd`. With `is_connecting` waits for the connection first. */
void cox_h2_io_init(struct cox_h2_io *io, struct cox_loop *loop, struct cox_h2_flusher *f, const struct cox_h2_io_cb *cb, int fd, SSL *ssl,
                    bool is_connecting);
void cox_h2_io_copy(struct cox_h2_io *io, const void *p, size_t n);
/* Shares `m`. The bytes belong to it. */
void cox_h2_io_share(struct cox_h2_io *io, const char *p, size_t n, struct cox_h2_msg *m);
/* One DATA frame: its head of 9 bytes (RFC 9113, 4.1), then the next `length` bytes of `m`, shared. */
void cox_h2_io_frame(struct cox_h2_io *io, const uint8_t *head, struct cox_h2_msg *m, size_t length);
bool cox_h2_io_is_full(const struct cox_h2_io *io);
/* There is output, queued or to be pulled. */
void cox_h2_io_mark(struct cox_h2_io *io);
/* Sends what is queued, then ends our side of the connection. */
void cox_h2_io_end(struct cox_h2_io *io);
/* No callback but on_gone after this. */
void cox_h2_io_close(struct cox_h2_io *io);

#endif
