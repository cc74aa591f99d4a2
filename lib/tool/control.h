/*
 * control - the control plane of a cluster: its replicas, and one question to each or to one of them.
 * Thread: the caller's; blocks as reach.h does.
 */
#ifndef COX_TOOL_CONTROL_H
#define COX_TOOL_CONTROL_H

#include "tool/reach.h"

enum { COX_CONTROL_PORT = 15014 }; /* monitoring, and the debug pages */

struct cox_control_replica {
	struct cox_str name; /* the Pod's, or the address */
	struct cox_reach reach;
};
struct cox_control {
	struct cox_cluster *cluster; /* owned; NULL with an address */
	struct cox_arena arena;      /* of answers, too */
	struct cox_control_replica *replicas;
	size_t n;
};
struct cox_control_spec {
	const char *server; /* "http://127.0.0.1:8080": this address alone, and no cluster; NULL: the Pods of the control plane */
	struct cox_cluster_spec cluster;
	struct cox_str istio_ns, revision; /* revision empty: all */
	uint16_t port;                     /* 0: COX_CONTROL_PORT */
};
/* COX_ENOTFOUND: no control plane runs. End with cox_control_close(), also after a failure. */
COX_MUST_USE enum cox_rc cox_control_open(const struct cox_control_spec *spec, struct cox_control *out, struct cox_err *err);
void cox_control_close(struct cox_control *c);
/* The answers of all replicas, in their order, as {"NAME": answer}, one that is no JSON as text; one that does not answer is left out with
 * a note, unless none does. */
COX_MUST_USE enum cox_rc cox_control_ask_all(struct cox_control *c, struct cox_str path, struct cox_json **out, struct cox_buf *notes,
                                             struct cox_err *err);

#endif
