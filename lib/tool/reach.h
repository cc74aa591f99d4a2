/*
 * reach - one question over HTTP to a program in the mesh: Envoy's administration port, coxswaind's debug port. By a straight address, or
 * through a kube-apiserver to a Pod (kube/port_forward).
 * Thread: the caller's; blocks, 30 s at most.
 */
#ifndef COX_TOOL_REACH_H
#define COX_TOOL_REACH_H

#include "tool/cluster.h"

/* A way to one program. Either `url` ("http://127.0.0.1:15000") or all of the rest. */
struct cox_reach {
	struct cox_str url;
	struct cox_cluster *cluster;
	struct cox_str ns, pod;
	uint16_t port;
};
/* `method` NULL: GET. The body in `arena`. COX_EIO, COX_ENOTFOUND (404), COX_ETIMEOUT with text that names where. */
COX_MUST_USE enum cox_rc cox_reach_ask(const struct cox_reach *to, const char *method, struct cox_str path, struct cox_arena *arena,
                                       struct cox_str *out, struct cox_err *err);
/* The same with a body that is JSON; any 2xx is an answer. */
COX_MUST_USE enum cox_rc cox_reach_send(const struct cox_reach *to, const char *method, struct cox_str path, struct cox_str body,
                                        struct cox_arena *arena, struct cox_str *out, struct cox_err *err);
/* The first for an answer that is JSON. */
COX_MUST_USE enum cox_rc cox_reach_json(const struct cox_reach *to, struct cox_str path, struct cox_arena *arena, struct cox_json **out,
                                        struct cox_err *err);
/* "pod shop/web-0 port 15000", or the address: for messages. */
struct cox_str cox_reach_name(const struct cox_reach *to, struct cox_arena *arena);

#endif
