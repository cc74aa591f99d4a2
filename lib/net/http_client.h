/*
 * http_client - HTTP/1.1 and HTTP/2 requests on a loop (libcurl inside). Connections are reused; over TLS requests to one
 * server share an HTTP/2 connection. libcurl is initialised by the first request.
 * Proxies named in the environment are not used.
 * Thread: everything on the loop. Name resolution has threads of its own.
 */
#ifndef COX_NET_HTTP_CLIENT_H
#define COX_NET_HTTP_CLIENT_H

#include "base/buf.h"
#include "base/err.h"
#include "loop/loop.h"

struct cox_http_client;
struct cox_http_request;

struct cox_http_header {
	struct cox_str name, value;
};

struct cox_http_tls {
	/* Each by file or as PEM in memory; NULL and empty: none. Without a CA the system's roots count. */
	const char *ca_file, *cert_file, *key_file;
	struct cox_str ca_pem, cert_pem, key_pem;
	bool insecure; /* does not verify the server */
	/* The name to ask for and to verify where the URL has an address: the URL must then use this name, and
	 * `connect_to` ("host:port") says where it is. NULL: none. */
	const char *connect_to;
};

struct cox_http_cb {
	/* The final response's head (never 1xx). May be NULL. Headers: cox_http_request_header(). */
	void (*on_head)(void *ctx, struct cox_http_request *r, int status);
	/* A part of the body, borrowed until return. COX_OK: consumed. COX_EAGAIN: not consumed; the same bytes come again (perhaps with
	 * more behind them) after cox_http_request_resume(). Any other code ends the request with it. NULL: the body is collected and
	 * handed to on_done. */
	enum cox_rc (*on_body)(void *ctx, struct cox_http_request *r, struct cox_str bytes);
	/* The end, exactly once unless canceled; `r` is gone after the return. COX_OK: a whole response of any status came; then `body` is
	 * what was collected. Otherwise err->text says what happened: COX_ETIMEOUT, COX_EIO (connection refused, reset, name unknown),
	 * COX_EAUTH (TLS: a certificate was not accepted), COX_EPROTO (no HTTP), COX_ELIMIT (body too long). `status` is 0 when none came.
	 */
	void (*on_done)(void *ctx, struct cox_http_request *r, enum cox_rc rc, int status, struct cox_str body, const struct cox_err *err);
	void *ctx;
};

struct cox_http_spec {
	const char *method; /* NULL: "GET" */
	const char *url;
	const struct cox_http_header *headers;
	size_t header_count;
	struct cox_str body;            /* copied; empty: none, except that POST, PUT and PATCH send length 0 */
	const struct cox_http_tls *tls; /* NULL: system roots */
	/* Writes the current bearer token (without "Bearer ") into `out`; called once when the request starts. NULL: no authorization. */
	enum cox_rc (*token)(void *ctx, struct cox_buf *out);
	void *token_ctx;
	int64_t connect_timeout_ms; /* 0: 10 s */
	int64_t total_timeout_ms;   /* 0: none (watches) */
	int64_t idle_timeout_ms;    /* no byte came for so long: ETIMEOUT; 0: none; does not count while paused */
	size_t max_body_bytes;      /* of the response; 0: 64 MiB where it is collected, none where it is streamed */
	bool http1_only;
	bool follow_redirects; /* at most 5, http and https only */
};

struct cox_http_client *cox_http_client_new(struct cox_loop *loop);
/* Requests still open are canceled. Accepts NULL. */
void cox_http_client_free(struct cox_http_client **c);

/* Copies `spec` and `cb`. Callbacks never come from inside this call. COX_EINVAL: URL or options not understood. */
COX_MUST_USE enum cox_rc cox_http_request_open(struct cox_http_client *c, const struct cox_http_spec *spec, const struct cox_http_cb *cb,
                                               struct cox_http_request **out, struct cox_err *err);
/* After on_body answered COX_EAGAIN. Callbacks come later, not from inside. */
void cox_http_request_resume(struct cox_http_request *r);
/* No callback after this; allowed in the request's own callbacks except on_done. Clears *r; accepts NULL. */
void cox_http_request_cancel(struct cox_http_request **r);
/* A response header, borrowed until the end; empty when absent. From on_head on. */
struct cox_str cox_http_request_header(struct cox_http_request *r, const char *name);
/* 1 or 2, 0 before the head. */
int cox_http_request_version(struct cox_http_request *r);

#endif
