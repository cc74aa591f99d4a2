/*
 * pushed - what a stream was sent lately and why: numbers only, of a bounded count. Thread: the stream's loop.
 */
#ifndef COX_XDS_PUSHED_H
#define COX_XDS_PUSHED_H

#include "base/str.h"
#include "xds/core.h"

struct cox_xds_push {
	uint64_t first_cause, last_cause; /* of cox_push_cause; 0: none */
	int64_t sent_ms;                  /* wall clock */
	uint64_t nonce;
	uint32_t resources, removed, bytes;
	uint32_t event_to_sent_us, sent_to_ack_us; /* 0: not known; not answered */
	uint8_t type;                              /* enum cox_type */
	bool is_asked;                             /* the proxy asked for it */
	bool is_rejected;
};
enum { COX_XDS_PUSHES_KEPT = 8 };

struct xds_pushed {
	struct cox_xds_push items[COX_XDS_PUSHES_KEPT];
	int64_t sent_ns[COX_XDS_PUSHES_KEPT]; /* monotonic */
	uint64_t first_cause, last_cause;     /* of what is still to be sent; 0: none */
	uint64_t first_before, last_before;   /* the same of what was sent last: for what had to wait for its time */
	uint32_t n;                           /* ever */
};
void xds_pushed_wanted(struct xds_pushed *p, uint64_t cause);
/* There is nothing to send now. */
void xds_pushed_settled(struct xds_pushed *p);
/* event_ns: monotonic; 0: none. */
void xds_pushed_note(struct xds_pushed *p, const struct cox_xds_response *r, size_t bytes, int64_t event_ns);
/* A request with a nonce: the proxy took that response, or did not. */
void xds_pushed_answered(struct xds_pushed *p, enum cox_type type, struct cox_str nonce, bool is_rejected);
/* Oldest first; `out` has room for COX_XDS_PUSHES_KEPT. */
size_t xds_pushed_copy(const struct xds_pushed *p, struct cox_xds_push *out);

#endif
