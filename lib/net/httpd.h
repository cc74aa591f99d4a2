/*
 * httpd - a small HTTP/1.1 server for admin ports and admission webhooks (libmicrohttpd inside, on a thread of its own).
 * Thread: open and close anywhere; handlers run on the daemon's thread, one at a time unless `threads` > 1, and may block for short.
 */
#ifndef COX_NET_HTTPD_H
#define COX_NET_HTTPD_H

#include "base/buf.h"
#include "base/err.h"
#include "net/addr.h"

struct cox_httpd;
struct cox_httpd_request;

/* Answers with cox_httpd_reply() or cox_httpd_reply_stream(), once; without an answer the peer gets 500. Borrowed arguments. */
typedef void cox_httpd_handler(void *ctx, struct cox_httpd_request *r);

struct cox_httpd_route {
	const char *method; /* "GET" (serves HEAD too), "POST" ..., or "*" */
	const char *path;   /* exact, or a prefix when it ends in '*': "/debug/" followed by '*' */
	cox_httpd_handler *handler;
	void *ctx;
};

struct cox_httpd_spec {
	struct cox_addr addr;
	const struct cox_httpd_route *routes; /* borrowed until close; the first that fits wins */
	size_t route_count;
	/* TLS when both are set. Copied. Replace them live with cox_httpd_set_cert(). */
	struct cox_str cert_pem, key_pem;
	unsigned threads;            /* 0: 1 */
	size_t max_body_bytes;       /* 0: 8 MiB */
	unsigned connections;        /* 0: 256 */
	unsigned connections_per_ip; /* 0: 64 */
	unsigned timeout_s;          /* idle and per request; 0: 30 */
	bool loopback_only;          /* refuses (403) peers that are not on loopback */
};

/* COX_EIO with text: the address is taken. *port gets the port (may be NULL). */
COX_MUST_USE enum cox_rc cox_httpd_open(const struct cox_httpd_spec *spec, struct cox_httpd **out, uint16_t *port, struct cox_err *err);
/* Waits for the handlers that run. Accepts NULL. */
void cox_httpd_close(struct cox_httpd **d);
/* Any thread: new connections use this certificate. COX_EINVAL: PEM not understood. */
COX_MUST_USE enum cox_rc cox_httpd_set_cert(struct cox_httpd *d, struct cox_str cert_pem, struct cox_str key_pem, struct cox_err *err);

struct cox_str cox_httpd_method(const struct cox_httpd_request *r);
struct cox_str cox_httpd_path(const struct cox_httpd_request *r); /* without the query */
struct cox_str cox_httpd_body(const struct cox_httpd_request *r);
/* Decoded; empty when absent (tell apart with cox_httpd_has_query()). */
struct cox_str cox_httpd_query(const struct cox_httpd_request *r, const char *name);
bool cox_httpd_has_query(const struct cox_httpd_request *r, const char *name);
struct cox_str cox_httpd_header(const struct cox_httpd_request *r, const char *name); /* names without case */
const char *cox_httpd_peer(const struct cox_httpd_request *r);                        /* address, without the port */
bool cox_httpd_peer_is_loopback(const struct cox_httpd_request *r);

/* Adds a header to the answer; before the reply. */
void cox_httpd_add_header(struct cox_httpd_request *r, const char *name, const char *value);
/* Copies `body`. `content_type` NULL: "text/plain; charset=utf-8". */
void cox_httpd_reply(struct cox_httpd_request *r, int status, const char *content_type, struct cox_str body);
/* Takes the buffer's content without a copy and leaves it empty. */
void cox_httpd_reply_buf_take(struct cox_httpd_request *r, int status, const char *content_type, struct cox_buf *body);
/* A body made in parts: `next` appends the next part to an empty buffer and returns COX_OK; COX_ENOTFOUND: the end; any other: break off.
 * Called on the daemon's thread; free_ctx (may be NULL) once in the end. */
void cox_httpd_reply_stream(struct cox_httpd_request *r, int status, const char *content_type,
                            enum cox_rc (*next)(void *ctx, struct cox_buf *part), void *ctx, void (*free_ctx)(void *ctx));

#endif
