/*
 * fetch - one question to a live coxswaind's debug port, and its objects as a world.
 * Thread: the caller's; blocks, 20 s at most.
 */
#ifndef COX_TOOL_FETCH_H
#define COX_TOOL_FETCH_H

#include "tool/world.h"

/* GET `server` ("http://127.0.0.1:8080") `path`; the body in `arena`. COX_EIO, COX_ETIMEOUT, COX_ENOTFOUND (404) with text. */
COX_MUST_USE enum cox_rc cox_tool_fetch(const char *server, struct cox_str path, struct cox_arena *arena, struct cox_str *out,
                                        struct cox_err *err);
/* All objects that the server knows (/debug/configz?all), into the world; Secrets are not among them. */
COX_MUST_USE enum cox_rc cox_tool_fetch_world(const char *server, struct cox_world *w, struct cox_buf *notes, struct cox_err *err);
/* Who is connected: a list of {"proxy": "pod.namespace", "node": node message}, in `arena`. */
COX_MUST_USE enum cox_rc cox_tool_fetch_nodes(const char *server, struct cox_arena *arena, struct cox_json **out, struct cox_err *err);
/* The node of one of them, or NULL. */
const struct cox_json *cox_tool_node_find(const struct cox_json *nodes, struct cox_str proxy);
/* What a proxy was sent: envoy.admin.v3.ConfigDump. */
COX_MUST_USE enum cox_rc cox_tool_fetch_dump(const char *server, struct cox_str proxy, struct cox_arena *arena, struct cox_json **out,
                                             struct cox_err *err);

#endif
