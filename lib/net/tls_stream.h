/*
 * tls_stream - TLS by hand on a connected socket that its owner polls: for small clients that are no HTTP/2.
 * Thread: the socket's owner. Owns: the session, not the socket.
 */
#ifndef COX_NET_TLS_STREAM_H
#define COX_NET_TLS_STREAM_H

#include "net/tls.h"

struct cox_tls_stream;

/* `alpn` (one protocol, "http/1.1") replaces the context's offer. `server_name` may be NULL. COX_EINVAL: the name is no name. */
COX_MUST_USE enum cox_rc cox_tls_stream_open(struct cox_tls *t, int fd, const char *server_name, const char *alpn,
                                             struct cox_tls_stream **out);
/* The handshake happens inside reading and writing. COX_OK: *n bytes (reading, 0: the peer ended). COX_EAGAIN: call again when the socket
 * can be written (*needs_write) or read. COX_EAUTH: the handshake failed; COX_EIO: the connection broke. */
COX_MUST_USE enum cox_rc cox_tls_stream_read(struct cox_tls_stream *s, void *p, size_t cap, size_t *n, bool *needs_write);
COX_MUST_USE enum cox_rc cox_tls_stream_write(struct cox_tls_stream *s, const void *p, size_t len, size_t *n, bool *needs_write);
/* Accepts NULL. */
void cox_tls_stream_close(struct cox_tls_stream **s);

#endif
