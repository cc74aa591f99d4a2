/*
 * request - DiscoveryRequest and DeltaDiscoveryRequest (envoy/discovery.h) as the core takes them. Pure.
 */
#ifndef COX_XDS_REQUEST_H
#define COX_XDS_REQUEST_H

#include "base/arena.h"
#include "xds/core.h"

struct cox_xds_decoded {
	struct cox_xds_request request; /* type is COX_TYPE_COUNT for a type URL that is not ours */
	struct cox_str type_url;
	int error_code;      /* of a rejection: a gRPC status */
	struct cox_str node; /* bytes of the node message; empty where the request carries none */
};
/* Everything points into `bytes` or into `arena`. COX_EPROTO with the byte offset; COX_ELIMIT: more names than COX_XDS_NAMES_MAX. */
COX_MUST_USE enum cox_rc cox_xds_request_decode(struct cox_str bytes, bool is_delta, struct cox_arena *arena, struct cox_xds_decoded *out,
                                                struct cox_err *err);

#endif
