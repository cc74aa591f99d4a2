/*
 * grpc_server - gRPC over HTTP/2 on one or several loops. Each connection lives on one loop; its streams are used there only.
 * Thread: server_open, listen, drain and close on the first loop; everything about a stream on that stream's loop.
 * Queues: a stream carries at most one outgoing message. Who has news for a stream that is busy keeps a mark and
 *         sends the latest state in on_drained. A peer that does not read is closed after write_timeout_ms and counted.
 */
#ifndef COX_NET_GRPC_SERVER_H
#define COX_NET_GRPC_SERVER_H

#include "base/err.h"
#include "loop/loop.h"
#include "net/addr.h"
#include "net/tls.h"

struct cox_grpc_server;
struct cox_grpc_stream;

/* A part of a message: shared immutable bytes. release(ctx) is called exactly once, on the stream's loop, after the last use of the bytes.
 * NULL release: the bytes outlive the server. Parts up to 512 bytes are copied into the output. */
struct cox_grpc_piece {
	const void *p;
	size_t n;
	void (*release)(void *ctx);
	void *ctx;
};

/* Callbacks of a method, each on the stream's loop. cox_grpc_finish() and cox_grpc_send() are allowed in all of them but on_close. Unset
 * ones are not called. State of a stream: open -> (half closed by the peer) -> closed. */
struct cox_grpc_method {
	const char *path; /* "/package.Service/Method"; kept, not copied */
	/* The request's headers are here. Set the stream's data with cox_grpc_stream_set_data(). To refuse call cox_grpc_finish(). */
	void (*on_open)(void *ctx, struct cox_grpc_stream *s);
	/* One whole message, borrowed until return. */
	void (*on_message)(void *ctx, struct cox_grpc_stream *s, struct cox_str message);
	/* The peer will send no more. Default when NULL: cox_grpc_finish(COX_OK). */
	void (*on_half_close)(void *ctx, struct cox_grpc_stream *s);
	/* The message of cox_grpc_send() was written to the kernel as a whole: the stream is writable again. */
	void (*on_drained)(void *ctx, struct cox_grpc_stream *s);
	/* The last callback, once for every on_open: finished, reset by the peer, connection gone, or deadline over.
	 * COX_OK: finished by us and delivered. The stream is gone after the return. */
	void (*on_close)(void *ctx, struct cox_grpc_stream *s, enum cox_rc why);
	void *ctx;
};

/* 0 takes the default. */
struct cox_grpc_limits {
	size_t message_bytes;            /* incoming; 4 MiB, as gRPC */
	size_t header_bytes;             /* of one request; 16 KiB */
	size_t inbound_bytes;            /* incomplete incoming messages of one connection; 8 MiB */
	uint32_t streams_per_connection; /* 100 */
	uint32_t connections;            /* of the server; 100,000 */
	int64_t keepalive_interval_ms;   /* 30 s: a quiet peer is asked for a sign of life */
	int64_t keepalive_timeout_ms;    /* 10 s: and closed without one */
	int64_t write_timeout_ms;        /* 30 s without progress of pending output */
	int64_t handshake_timeout_ms;    /* 10 s: TLS, HTTP/2 preface and settings */
	int64_t max_age_ms;              /* none; jittered by 10 % */
	int64_t max_age_grace_ms;        /* 10 s between GOAWAY and the end of what is left */
};

struct cox_grpc_server_spec {
	struct cox_loop *const *loops; /* copied; connections go to the least loaded; the first also accepts */
	size_t loop_count;
	const struct cox_grpc_method *methods; /* borrowed until the server is closed */
	size_t method_count;
	struct cox_grpc_limits limits;
};

COX_MUST_USE enum cox_rc cox_grpc_server_open(const struct cox_grpc_server_spec *spec, struct cox_grpc_server **out, struct cox_err *err);
/* Listens on one more address; `tls` NULL: clear text; shares `tls`. `tag` (any number, such as the listener's kind) is found on each
 * stream. *port gets the port (may be NULL). */
COX_MUST_USE enum cox_rc cox_grpc_server_listen(struct cox_grpc_server *s, const struct cox_addr *addr, struct cox_tls *tls, int tag,
                                                uint16_t *port, struct cox_err *err);
/* New connections of listeners with this tag use `tls` from now on (a renewed certificate). */
void cox_grpc_server_set_tls(struct cox_grpc_server *s, int tag, struct cox_tls *tls);
/* Stops listening and sends GOAWAY to all; what is left is ended with UNAVAILABLE, one connection after the other until grace_ms. Close
 * waits for nothing. */
void cox_grpc_server_drain(struct cox_grpc_server *s, int64_t grace_ms);
/* Connections now open. Any thread. */
uint32_t cox_grpc_server_connections(const struct cox_grpc_server *s);
/* Closes listeners and connections (streams get on_close with COX_ECANCELED), then calls closed(ctx) on the first loop; the server is gone
 * then. All loops must still run, or belong to the caller who runs them. `closed` may be NULL. */
void cox_grpc_server_close(struct cox_grpc_server **s, void (*closed)(void *ctx), void *ctx);

/* --- a stream ------------------------------------------------------------------------------ */

void cox_grpc_stream_set_data(struct cox_grpc_stream *s, void *data);
void *cox_grpc_stream_data(const struct cox_grpc_stream *s);
const struct cox_grpc_method *cox_grpc_stream_method(const struct cox_grpc_stream *s);
struct cox_loop *cox_grpc_stream_loop(const struct cox_grpc_stream *s);
/* Which of the loops of the server's spec. */
size_t cox_grpc_stream_loop_index(const struct cox_grpc_stream *s);
int cox_grpc_stream_tag(const struct cox_grpc_stream *s);
/* Number of the connection, unique in the process. */
uint64_t cox_grpc_stream_connection_id(const struct cox_grpc_stream *s);
/* Request metadata by lower-case name ("authorization", "clusterid"); the first if there are several; borrowed for the stream's life; empty
 * when absent. */
struct cox_str cox_grpc_stream_metadata(const struct cox_grpc_stream *s, const char *name);
/* Visits all metadata in order (also "x-forwarded-client-cert" lines that repeat). */
void cox_grpc_stream_metadata_each(const struct cox_grpc_stream *s, void (*fn)(void *ctx, struct cox_str name, struct cox_str value),
                                   void *ctx);
/* "10.0.0.1:1234"; terminated. */
const char *cox_grpc_stream_peer_address(const struct cox_grpc_stream *s);
bool cox_grpc_stream_peer_is_loopback(const struct cox_grpc_stream *s);
const struct cox_tls_peer *cox_grpc_stream_peer(const struct cox_grpc_stream *s);
/* Milliseconds left of the caller's deadline; -1: none. When it is over the server ends the stream itself (DEADLINE_EXCEEDED). */
int64_t cox_grpc_stream_deadline_left_ms(const struct cox_grpc_stream *s);

/* While paused the peer may send no more than its window (64 KiB) holds; messages in it still come. */
void cox_grpc_stream_pause(struct cox_grpc_stream *s, bool is_paused);
/* True when cox_grpc_send() will take a message. */
bool cox_grpc_is_writable(const struct cox_grpc_stream *s);
/* Sends one message made of `pieces` in order. Takes every piece (releases them in the end, also on failure); the array itself is copied.
 * Bytes go out at the end of the loop's turn, in the callbacks of no other stream. COX_EAGAIN: a message is on its way; COX_ECANCELED:
 * finished or closed; COX_ELIMIT: over 4 GiB. */
COX_MUST_USE enum cox_rc cox_grpc_send(struct cox_grpc_stream *s, const struct cox_grpc_piece *pieces, size_t count);
/* Copies the bytes and sends them. */
COX_MUST_USE enum cox_rc cox_grpc_send_copy(struct cox_grpc_stream *s, struct cox_str message);
/* Ends the stream after the message on its way: the status of `rc`, and `message` for humans (may be empty). No on_message after this;
 * on_close follows. */
void cox_grpc_finish(struct cox_grpc_stream *s, enum cox_rc rc, struct cox_str message);
/* The same with a gRPC status (0 to 16) that no category has, such as UNIMPLEMENTED 12. */
void cox_grpc_finish_status(struct cox_grpc_stream *s, int status, struct cox_str message);

#endif
