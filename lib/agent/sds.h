/*
 * sds - the secret discovery service on a Unix socket: what Envoy gets its certificates, keys and roots from (StreamSecrets, DeltaSecrets).
 * Thread: everything on the loop. Owns: the socket, the streams, and its own copy of each secret, overwritten when it is replaced.
 *
 * A subscription to a name without a secret waits until there is one. A stream has one message on its way; what changes meanwhile is a
 * mark, and the newest secret goes next.
 */
#ifndef COX_AGENT_SDS_H
#define COX_AGENT_SDS_H

#include "base/err.h"
#include "loop/loop.h"

enum { COX_AGENT_SDS_STREAMS_MAX = 1024 }; /* Envoy opens one for each secret that it uses */

struct cox_agent_sds;

/* Callbacks come on the loop, never from inside a call of this header. Any may be NULL. */
struct cox_agent_sds_spec {
	struct cox_loop *loop;
	const char *path;
	void (*on_want)(void *ctx, struct cox_str name);   /* the first stream subscribed to it */
	void (*on_unwant)(void *ctx, struct cox_str name); /* the last one left */
	void (*on_progress)(void *ctx);                    /* cox_agent_sds_state() may say something else now */
	void *ctx;
};

/* COX_EEXIST: somebody else serves at that path. Else as cox_agent_uds_listen(). */
COX_MUST_USE enum cox_rc cox_agent_sds_open(const struct cox_agent_sds_spec *spec, struct cox_agent_sds **out, struct cox_err *err);
/* Streams end; closed(ctx) when the sockets are gone (may be NULL). */
void cox_agent_sds_close(struct cox_agent_sds **s, void (*closed)(void *ctx), void *ctx);

/* `secret` is an encoded Secret message of that name; copied. Sent to who subscribed, unless it equals the last one. A provisional one may
 * lack what a better source will add: it goes only to who has none at all, such as an Envoy that starts. */
void cox_agent_sds_set(struct cox_agent_sds *s, struct cox_str name, struct cox_str secret, bool is_provisional);

enum cox_agent_sds_state {
	COX_AGENT_SDS_NONE,     /* no such secret yet */
	COX_AGENT_SDS_PENDING,  /* a subscriber has not answered to the newest version */
	COX_AGENT_SDS_REJECTED, /* a subscriber refused it */
	COX_AGENT_SDS_TAKEN,    /* every subscriber acknowledged it; also when nobody uses it */
};
/* `reason` (may be NULL) gets the words of a rejection, borrowed until the next call. */
enum cox_agent_sds_state cox_agent_sds_state(const struct cox_agent_sds *s, struct cox_str name, struct cox_str *reason);
size_t cox_agent_sds_streams(const struct cox_agent_sds *s);

#endif
