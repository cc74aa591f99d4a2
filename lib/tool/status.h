/*
 * status - what proxies were sent and what they have: tables of `coxctl proxy-status`, and one proxy compared with its Envoy.
 * Thread: any; pure but for the clock by which ages are told.
 */
#ifndef COX_TOOL_STATUS_H
#define COX_TOOL_STATUS_H

#include "codec/json.h"

/* `all`: {"REPLICA": answer of /debug/syncz}. `ns` empty: all. Verbose: each type's state with its age; else which types are subscribed. */
void cox_status_table(const struct cox_json *all, struct cox_str ns, bool is_verbose, struct cox_buf *out);
/* "control plane version: ...", "data plane version: 1.2 (3 proxies)" of the same answers and {"REPLICA": answer of /version}. */
void cox_status_versions(const struct cox_json *proxies, const struct cox_json *planes, const char *client, struct cox_buf *out);
/* The same as a tree with istioctl's members. */
struct cox_json *cox_status_versions_tree(const struct cox_json *proxies, const struct cox_json *planes, const char *client,
                                          struct cox_arena *arena);
/* Two config dumps: what was sent, and what the Envoy has. Appends a verdict for clusters, listeners and routes with what differs. False:
 * they differ. */
bool cox_status_compare(const struct cox_json *sent, const struct cox_json *has, struct cox_arena *arena, struct cox_buf *out,
                        struct cox_err *err);
/* "12s", "3m20s", "5d": as kubectl tells ages. */
void cox_status_age(int64_t s, struct cox_buf *out);

#endif
