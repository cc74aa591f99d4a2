/*
 * tls_priv - sessions on sockets, for the HTTP/2 parts of this module.
 */
#ifndef COX_NET_TLS_PRIV_H
#define COX_NET_TLS_PRIV_H

#include "net/tls.h"

#include <openssl/ssl.h>

/* Gives a session on `fd` (not owned). `server_name` is a client's (NULL: not verified by name). COX_EINVAL: the name is no name. */
COX_MUST_USE enum cox_rc cox_tls_session_new(struct cox_tls *t, int fd, const char *server_name, SSL **out);
/* The oldest error of this thread's queue in words, or `fallback`; empties the queue. */
const char *cox_tls_error_text(const char *fallback, char *buf, size_t cap);
/* Why the peer's certificate was refused, or NULL. */
const char *cox_tls_verify_text(SSL *ssl);

struct cox_tls_peer_store {
	struct cox_tls_peer peer;
	struct cox_str uris[8]; /* a SPIFFE certificate has one; more than eight are ignored */
};
/* Gives what the peer proved (heap; cox_tls_peer_free()). */
struct cox_tls_peer_store *cox_tls_peer_new(SSL *ssl);
void cox_tls_peer_free(struct cox_tls_peer_store **p);

#endif
