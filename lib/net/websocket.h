/*
 * websocket - one WebSocket connection to a server, as a client, over libcurl's connection (the same TLS as http_client.h).
 * Thread: everything on the loop. Opening blocks until the server agrees or refuses: for command-line tools.
 */
#ifndef COX_NET_WEBSOCKET_H
#define COX_NET_WEBSOCKET_H

#include "net/http_client.h"

struct cox_ws;

struct cox_ws_spec {
	const char *url;      /* http or https */
	const char *protocol; /* Sec-WebSocket-Protocol */
	const struct cox_http_tls *tls;
	enum cox_rc (*token)(void *ctx, struct cox_buf *out); /* as in struct cox_http_spec */
	void *token_ctx;
	int64_t timeout_ms; /* of the opening; 0: 10 s */
};
struct cox_ws_cb {
	/* A whole message, text or binary; borrowed until return. */
	void (*on_message)(void *ctx, struct cox_ws *ws, struct cox_str bytes);
	/* What was queued has been written, after cox_ws_send() had more than half a MiB waiting. May be NULL. */
	void (*on_drained)(void *ctx, struct cox_ws *ws);
	/* Once: the other side ended (COX_OK), or it broke. Only cox_ws_close() may follow. */
	void (*on_closed)(void *ctx, struct cox_ws *ws, enum cox_rc rc, const struct cox_err *err);
	void *ctx;
};

/* Gives. COX_EAUTH, COX_EDENIED, COX_ENOTFOUND, COX_EIO: the server's refusal, its text in err; COX_ETIMEOUT. */
COX_MUST_USE enum cox_rc cox_ws_open(struct cox_loop *loop, const struct cox_ws_spec *spec, const struct cox_ws_cb *cb, struct cox_ws **out,
                                     struct cox_err *err);
/* Queues one binary message. */
void cox_ws_send(struct cox_ws *ws, struct cox_str bytes);
/* Bytes that wait to be written. */
size_t cox_ws_pending(const struct cox_ws *ws);
/* Says goodbye if it can without waiting. No callback after this; allowed in callbacks. Accepts NULL. */
void cox_ws_close(struct cox_ws **ws);

#endif
