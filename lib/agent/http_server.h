/*
 * http_server - answers small HTTP/1.1 requests (probes). Thread: everything on the loop.
 * Owns: the listening socket and at most COX_AGENT_HTTP_CONNECTIONS_MAX connections; further ones are closed at once. A
 * connection that sends no whole request for COX_AGENT_HTTP_IDLE_MS is closed.
 */
#ifndef COX_AGENT_HTTP_SERVER_H
#define COX_AGENT_HTTP_SERVER_H

#include "agent/http.h"
#include "loop/loop.h"

enum { COX_AGENT_HTTP_CONNECTIONS_MAX = 64, COX_AGENT_HTTP_IDLE_MS = 10 * 1000 };

struct cox_agent_http_server;
struct cox_agent_exchange; /* one request that waits for its answer */

/* `r` is valid during the call. The handler answers every exchange exactly once, at once or later. */
typedef void cox_agent_http_fn(void *ctx, const struct cox_agent_http_request *r, struct cox_agent_exchange *x);

/* Takes `fd`, a listening non-blocking socket. */
COX_MUST_USE enum cox_rc cox_agent_http_server_open_take(struct cox_loop *loop, int fd, cox_agent_http_fn *fn, void *ctx,
                                                         struct cox_agent_http_server **out);
/* Copies `body`. `x` must not be used again. */
void cox_agent_exchange_reply(struct cox_agent_exchange *x, int status, const char *content_type, struct cox_str body);
/* An answer in parts, whatever its length (chunks; for HTTP/1.0 up to the connection's end). begin once, then writes, then end. `on_room`
 * is called when a client that was slow has taken what waited, and when it is gone. Copies what is written. */
void cox_agent_exchange_begin(struct cox_agent_exchange *x, int status, const char *content_type, void (*on_room)(void *ctx), void *ctx);
/* COX_EAGAIN: taken, but more should wait for on_room. COX_ECANCELED: the client is gone, nothing more is of use; end it. */
COX_MUST_USE enum cox_rc cox_agent_exchange_write(struct cox_agent_exchange *x, struct cox_str part);
/* `x` must not be used again. Without `is_whole` the connection is broken off, so that nobody takes the answer for complete. */
void cox_agent_exchange_end(struct cox_agent_exchange *x, bool is_whole);
/* The request came from this host's loopback. */
bool cox_agent_exchange_is_local(const struct cox_agent_exchange *x);
/* Closes everything. Exchanges that still wait stay valid: their answers are dropped. Accepts NULL. */
void cox_agent_http_server_close(struct cox_agent_http_server **s);

#endif
