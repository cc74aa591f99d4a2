/*
 * http - reads one HTTP/1.1 request head or one response, whole or in pieces. Pure: bytes in, positions out.
 * The agent speaks it with the kubelet and with Envoy's administration port only: small messages, no pipelining.
 */
#ifndef COX_AGENT_HTTP_H
#define COX_AGENT_HTTP_H

#include "base/buf.h"
#include "base/err.h"

enum {
	COX_AGENT_HTTP_HEAD_MAX = 16 * 1024, /* what common servers take */
	COX_AGENT_HTTP_HEADERS_MAX = 100,
	COX_AGENT_HTTP_BODY_MAX = 32 * 1024 * 1024 /* Envoy's statistics with thousands of clusters */
};

/* Borrowed from the text that was read. */
struct cox_agent_http_request {
	struct cox_str method, path, query; /* path without the '?' */
	struct cox_str head;                /* first line, headers, empty line: for cox_agent_http_header() */
	size_t head_bytes;                  /* of it */
	uint64_t body_bytes;                /* Content-Length; 0 without */
	bool keep_alive, is_1_1;
};

/* COX_EAGAIN: more bytes are needed. COX_ELIMIT: too long. COX_EPROTO: not HTTP/1.x, or a body of unknown length. */
COX_MUST_USE enum cox_rc cox_agent_http_read_request(struct cox_str text, struct cox_agent_http_request *out);

/* Reads a response that may end with the connection: `ended` says that no byte will follow. The decoded body is appended
 * to `body`. Informational (1xx) answers are skipped. COX_EAGAIN, COX_ELIMIT, COX_EPROTO as above (also: cut off). */
COX_MUST_USE enum cox_rc cox_agent_http_read_response(struct cox_str text, bool ended, int *status, struct cox_buf *body);

/* Headers of a head that was read: the next one (*at starts as 0; false: no more), or the first of that name (empty: none). */
bool cox_agent_http_header_next(struct cox_str head, size_t *at, struct cox_str *name, struct cox_str *value);
struct cox_str cox_agent_http_header(struct cox_str head, struct cox_str wanted);

#endif
