/*
 * grpc_frame - the parts of gRPC that are plain bytes: message framing, timeout and status text. Pure.
 */
#ifndef COX_NET_GRPC_FRAME_H
#define COX_NET_GRPC_FRAME_H

#include "base/buf.h"

enum cox_grpc_status {
	COX_GRPC_OK = 0,
	COX_GRPC_CANCELLED = 1,
	COX_GRPC_UNKNOWN = 2,
	COX_GRPC_INVALID_ARGUMENT = 3,
	COX_GRPC_DEADLINE_EXCEEDED = 4,
	COX_GRPC_RESOURCE_EXHAUSTED = 8,
	COX_GRPC_UNIMPLEMENTED = 12,
	COX_GRPC_INTERNAL = 13,
	COX_GRPC_UNAVAILABLE = 14,
	COX_GRPC_UNAUTHENTICATED = 16,
};

/* Collects one incoming message. A zeroed one is empty and valid; holds heap only while a message is incomplete. */
struct cox_grpc_deframer {
	struct cox_buf body;
	uint8_t head[5];
	uint8_t head_n;
	uint32_t want_bytes; /* once the head is whole */
};

void cox_grpc_deframer_fini(struct cox_grpc_deframer *d);
/* Feeds bytes. on_message(ctx, message) gets each whole message, borrowed until return; false from it: no more are
 * wanted, the rest is ignored. Answers a gRPC status: OK; UNIMPLEMENTED: a compressed message; INTERNAL: no gRPC
 * message; RESOURCE_EXHAUSTED: longer than max_bytes. After a failure the stream is over. */
int cox_grpc_deframe(struct cox_grpc_deframer *d, const uint8_t *p, size_t n, size_t max_bytes,
                     bool (*on_message)(void *ctx, struct cox_str m), void *ctx);
/* True when bytes of an incomplete message wait. */
static inline bool cox_grpc_deframer_is_inside(const struct cox_grpc_deframer *d) { return d->head_n != 0; }

/* "20S", "100m" as in the grpc-timeout header; at least 1 ms. COX_EINVAL otherwise. */
COX_MUST_USE enum cox_rc cox_grpc_timeout_parse(struct cox_str text, int64_t *ms);
/* Writes at most 8 digits and a unit; `out` has 16 bytes. */
void cox_grpc_timeout_format(int64_t ms, char out[16]);
/* The grpc-message header: bytes outside printable ASCII and '%' as %XX. */
void cox_grpc_message_encode(struct cox_str text, struct cox_buf *out);
void cox_grpc_message_decode(struct cox_str text, struct cox_buf *out);

#endif
