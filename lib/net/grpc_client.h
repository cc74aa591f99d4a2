/*
 * grpc_client - one HTTP/2 connection to a gRPC server and streams on it; clear text, TLS or a Unix socket.
 * Thread: everything on the loop. Names are resolved by libuv's threads. No retries inside: who uses it reconnects.
 */
#ifndef COX_NET_GRPC_CLIENT_H
#define COX_NET_GRPC_CLIENT_H

#include "base/err.h"
#include "loop/loop.h"
#include "net/addr.h"
#include "net/tls.h"

struct cox_grpc_client;
struct cox_grpc_call;

struct cox_grpc_client_spec {
	struct cox_addr addr;
	struct cox_tls *tls;           /* NULL: clear text; shared */
	const char *server_name;       /* for SNI, verification and :authority; NULL: the address's host */
	const char *source_address;    /* connect from this one (numeric, text that outlives the client); NULL: the kernel's choice */
	int64_t connect_timeout_ms;    /* 0: 10 s, until the server's settings came */
	int64_t keepalive_interval_ms; /* 0: 30 s; timeout 10 s */
	/* Once: the connection is unusable; every call got its on_close before. COX_OK: the server said GOAWAY and the last call ended.
	 * Only cox_grpc_client_close() may follow (here or later). May be NULL. */
	void (*on_closed)(void *ctx, enum cox_rc rc, const struct cox_err *err);
	void *ctx;
};

struct cox_grpc_kv {
	struct cox_str name, value; /* lower-case name */
};

struct cox_grpc_call_cb {
	void (*on_message)(void *ctx, struct cox_grpc_call *c, struct cox_str message); /* borrowed */
	/* The last message was written: cox_grpc_call_send() will take another. May be NULL. */
	void (*on_drained)(void *ctx, struct cox_grpc_call *c);
	/* The end, once; the call is gone after the return. `status` is gRPC's; 14 when the connection broke. */
	void (*on_close)(void *ctx, struct cox_grpc_call *c, int status, struct cox_str message);
	void *ctx;
};

/* Starts connecting; calls may be opened at once. Copies `spec`. */
COX_MUST_USE enum cox_rc cox_grpc_client_open(struct cox_loop *loop, const struct cox_grpc_client_spec *spec, struct cox_grpc_client **out,
                                              struct cox_err *err);
/* Ends the connection. Open calls get no callback. Accepts NULL. */
void cox_grpc_client_close(struct cox_grpc_client **c);
/* COX_ECANCELED: the connection is closed or going away. `path` "/package.Service/Method"; deadline_ms 0: none. */
COX_MUST_USE enum cox_rc cox_grpc_call_open(struct cox_grpc_client *c, const char *path, const struct cox_grpc_kv *metadata,
                                            size_t metadata_count, int64_t deadline_ms, const struct cox_grpc_call_cb *cb,
                                            struct cox_grpc_call **out);
/* Copies. COX_EAGAIN: wait for on_drained. COX_ECANCELED: half closed. */
COX_MUST_USE enum cox_rc cox_grpc_call_send(struct cox_grpc_call *c, struct cox_str message);
/* While paused the server may send no more than its window (1 MiB) holds; messages in it still come. */
void cox_grpc_call_pause(struct cox_grpc_call *c, bool is_paused);
/* No more messages from us, after the one on its way. */
void cox_grpc_call_half_close(struct cox_grpc_call *c);
/* Resets the stream; no callback after this; clears *c. */
void cox_grpc_call_cancel(struct cox_grpc_call **c);

/* One request, one answer: on_close follows on_message. */
COX_MUST_USE enum cox_rc cox_grpc_call_unary(struct cox_grpc_client *c, const char *path, const struct cox_grpc_kv *metadata,
                                             size_t metadata_count, int64_t deadline_ms, struct cox_str request,
                                             const struct cox_grpc_call_cb *cb, struct cox_grpc_call **out);

#endif
