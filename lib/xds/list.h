/*
 * list - the streams now open, a few at a time, for dumps: references and figures, taken on each stream's loop; text is made of them by
 * whoever asks, on a thread of his own.
 * Thread: any but a stream loop; each call waits for one turn of a loop.
 */
#ifndef COX_XDS_LIST_H
#define COX_XDS_LIST_H

#include "xds/core.h"
#include "xds/pushed.h"
#include "xds/server.h"

struct cox_xds_stream_info {
	const struct cox_proxy *proxy; /* a reference */
	uint64_t connection;           /* number of the connection */
	char peer[64];
	int64_t connected_ms; /* wall clock */
	bool is_delta;
	uint64_t sent_bytes;
	struct cox_xds_type_state types[COX_TYPE_COUNT]; /* sent_ms: wall clock; last_error: in `errors` */
	const struct cox_set *sent[COX_TYPE_COUNT][COX_PUSH_PARTS];
	char *errors[COX_TYPE_COUNT];
	struct cox_xds_push pushes[COX_XDS_PUSHES_KEPT];
	size_t push_n;
};
void cox_xds_stream_info_fini(struct cox_xds_stream_info *info);
/* "pod.ns-<connection>", as Istio names a connection; in `arena`. */
struct cox_str cox_xds_stream_id(const struct cox_xds_stream_info *info, struct cox_arena *arena);

/* Where a list stands; all zero: at its start. */
struct cox_xds_cursor {
	size_t loop;
	uint64_t serial;
};
/* The next streams that have said who they are, at most `cap`; gives each. Fewer than `cap`: that was the last. A stream that is open all
 * the time comes exactly once. */
size_t cox_xds_server_list(struct cox_xds_server *s, struct cox_xds_cursor *at, struct cox_xds_stream_info *out, size_t cap);
/* The stream of a proxy: "pod.ns" or the node id; else, as istiod does it, the first whose id holds the text. `only_ns` (may be empty): of
 * this namespace alone. COX_ENOTFOUND: not connected here. Gives. */
COX_MUST_USE enum cox_rc cox_xds_server_find(struct cox_xds_server *s, struct cox_str proxy, struct cox_str only_ns,
                                             struct cox_xds_stream_info *out);
/* Ends the stream that cox_xds_server_find() would give; its proxy comes back. */
COX_MUST_USE enum cox_rc cox_xds_server_disconnect(struct cox_xds_server *s, struct cox_str proxy);

#endif
