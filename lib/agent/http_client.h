/*
 * http_client - one request to a server on loopback (Envoy's administration port), one answer, connection closed.
 * Thread: everything on the loop.
 */
#ifndef COX_AGENT_HTTP_CLIENT_H
#define COX_AGENT_HTTP_CLIENT_H

#include "agent/http.h"
#include "loop/loop.h"

struct cox_agent_call;

/* `rc` is COX_OK with a status and a body (borrowed), else COX_EIO (nobody listens, connection lost), COX_ETIMEOUT,
 * COX_EPROTO, COX_ELIMIT. Called exactly once, never inside open, unless closed before. */
typedef void cox_agent_call_fn(void *ctx, enum cox_rc rc, int status, struct cox_str body);

/* Copies `method` and `target`. Gives *out, which the caller ends with close, also after the callback. */
void cox_agent_call_open(struct cox_loop *loop, uint16_t port, const char *method, const char *target, int64_t timeout_ms,
                         cox_agent_call_fn *fn, void *ctx, struct cox_agent_call **out);
/* No callback after this. Accepts NULL. */
void cox_agent_call_close(struct cox_agent_call **c);

#endif
