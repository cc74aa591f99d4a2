/* authorize - private to xds: who may have a stream (server.h, struct cox_xds_auth). Each call on the stream's loop. */
#ifndef COX_XDS_AUTHORIZE_H
#define COX_XDS_AUTHORIZE_H

#include "ca/authn.h"
#include "push/push.h"

struct ads_stream;
struct stream_loop;

struct ads_auth {
	struct cox_authn_ticket *ticket; /* asked, not answered: requests are held */
	const struct cox_identity *who;  /* shared; NULL: not asked for */
	COX_VEC(struct cox_buf) held;    /* requests that came meanwhile */
	size_t held_bytes;
};

/* The stream is open: asks who it is, where this listener wants to know. */
void authorize_begin(struct ads_stream *a);
/* True: the request is kept until it is known who asks, or the stream is being refused. */
bool authorize_holds(struct ads_stream *a, struct cox_str message);
/* May this caller be this proxy? COX_EDENIED with text; *reason is a word for the metric. *out is what push may know; borrows from the
 * caller. */
COX_MUST_USE enum cox_rc authorize_node(const struct ads_stream *a, const struct cox_proxy *proxy, struct cox_push_identity *out,
                                        const char **reason, struct cox_err *err);
/* Nobody waits any more: the stream reads on, and the requests that were kept are looked at. */
void authorize_replay(struct ads_stream *a);
void authorize_end(struct ads_stream *a);
/* Ends the streams of a loop whose identity or certificate is revoked. */
void authorize_recheck(struct stream_loop *l);

#endif
