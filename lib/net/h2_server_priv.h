/*
 * h2_server - what the files of the gRPC server share: the server, its loops, connections and streams.
 *   h2_server.c    listening, handing connections to loops, the sweep of limits and ages, drain and close
 *   h2_conn.c      one connection: its nghttp2 session and the frames of its streams
 *   grpc_server.c  one stream: gRPC's view of it, and the public functions on streams
 * Thread: a connection and its streams belong to its `struct cox_h2_loop`.
 */
#ifndef COX_NET_H2_SERVER_PRIV_H
#define COX_NET_H2_SERVER_PRIV_H

#include "loop/timer.h"
#include "net/grpc_frame.h"
#include "net/h2_io_priv.h"

#include <nghttp2/nghttp2.h>
#include <stdatomic.h>

struct cox_h2_conn;

struct cox_h2_loop {
	struct cox_grpc_server *server;
	struct cox_loop *loop;
	size_t index;
	struct cox_h2_flusher flusher;
	uv_timer_t sweep;
	struct cox_h2_conn *conns;
	_Atomic uint32_t load; /* connections given to it: the accepting loop reads it */
	bool is_closing;
	int64_t drain_grace_ms;
	struct cox_loop_task open_task, drain_task, close_task, gone_task;
	/* The output buffer of every session of this loop: see h2_mem in h2_conn.c. */
	char *frame_buf;
	bool is_making_session;
};

struct cox_grpc_server {
	size_t loop_count;
	struct cox_h2_loop *loops;
	const struct cox_grpc_method *methods;
	size_t method_count;
	struct cox_grpc_limits limits;
	nghttp2_session_callbacks *callbacks;
	nghttp2_option *option;
	struct cox_h2_listener *listeners;
	uv_timer_t accept_pause; /* after the process ran out of descriptors */
	int open_parts;          /* loops, listeners and the timer: the server is freed at 0 */
	_Atomic uint32_t connections;
	bool is_draining, is_closing;
	void (*closed)(void *ctx);
	void *closed_ctx;
};

/* A rate limit: tokens are earned over time and spent by the peer's frames. */
struct cox_h2_bucket {
	int64_t tokens, at_ms;
};

struct cox_h2_conn {
	struct cox_h2_io io; /* first: cast from it */
	struct cox_h2_loop *home;
	struct cox_h2_conn *prev, *next;
	nghttp2_session *session;
	struct cox_grpc_stream *streams;
	struct cox_tls_peer_store *peer; /* made when first asked for */
	uint64_t id;
	int64_t opened_ms, heard_ms, ping_sent_ms; /* ping_sent_ms 0: no answer awaited */
	int64_t age_at_ms;                         /* 0: no limit */
	int64_t goaway_at_ms, drain_end_ms;        /* 0: not draining */
	int64_t end_at_ms;                         /* when our side was ended; 0: it was not */
	struct cox_h2_bucket cheap;                /* frames that cost us an answer, or bring nothing: PING, SETTINGS, empty DATA */
	struct cox_h2_bucket resets;               /* streams that the peer reset */
	size_t inbound_bytes;
	int tag;
	bool has_settings, is_loopback, has_goaway, is_flooded;
	enum cox_rc why;
	char address[56];
};

struct cox_grpc_header {
	uint32_t at, name_n, value_n; /* name at `at`, the value right behind it and its terminator */
};

struct cox_grpc_stream {
	struct cox_h2_conn *conn;
	struct cox_grpc_stream *prev, *next;
	const struct cox_grpc_method *method; /* NULL before dispatch and for unknown ones */
	void *data;
	int32_t id;
	int status;
	char *status_text;
	struct cox_buf header_text;
	COX_VEC(struct cox_grpc_header) headers;
	struct cox_grpc_deframer in;
	struct cox_h2_msg *out;
	struct cox_timer *deadline;
	int64_t deadline_ms, progress_ms;
	size_t held_bytes; /* came while paused: not yet given back to the peer's window */
	bool is_headers_sent, is_finished, is_half_closed, is_gone, is_overdue, has_trailers, is_paused;
};

/* h2_conn.c */
void cox_h2_server_callbacks_init(struct cox_grpc_server *s);
/* Takes fd and a reference to tls (may be NULL). */
void cox_h2_conn_open(struct cox_h2_loop *home, int fd, struct cox_tls *tls, int tag, const char *address, bool is_loopback);
/* Breaks the connection: streams are told once libuv lets go of the socket, never from inside this call. */
void cox_h2_conn_close(struct cox_h2_conn *c, enum cox_rc why);
void cox_h2_conn_drain(struct cox_h2_conn *c, int64_t grace_ms);
/* Ends what a drain left. */
void cox_h2_conn_drain_end(struct cox_h2_conn *c);
void cox_h2_conn_end_if_idle(struct cox_h2_conn *c);

/* h2_server.c */
void cox_h2_loop_conn_gone(struct cox_h2_loop *home);
void cox_h2_refused(const char *reason);

/* grpc_server.c: called by h2_conn.c */
void cox_grpc_stream_dispatch(struct cox_grpc_stream *s);
void cox_grpc_stream_on_data(struct cox_grpc_stream *s, const uint8_t *p, size_t n);
void cox_grpc_stream_give_back(struct cox_grpc_stream *s);
void cox_grpc_stream_on_end(struct cox_grpc_stream *s);
/* Tells the method and frees the stream. */
void cox_grpc_stream_gone(struct cox_grpc_stream *s, enum cox_rc why);
ssize_t cox_grpc_stream_read(struct cox_grpc_stream *s, size_t length, uint32_t *flags);
void cox_grpc_stream_written(struct cox_grpc_stream *s);

#endif
