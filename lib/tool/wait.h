/*
 * wait - until every proxy has a version of an object (`coxctl wait --for=distribution`), as condition Reconciled of its status says.
 * Thread: the caller's; blocks.
 */
#ifndef COX_TOOL_WAIT_H
#define COX_TOOL_WAIT_H

#include "model/object.h"
#include "tool/cluster.h"

struct cox_wait_options {
	struct cox_str kind; /* "VirtualService", "virtualservices", "virtualservices.networking.istio.io" */
	struct cox_str ns, name;
	int64_t generation; /* 0: that of the object when it is first read */
	double threshold;   /* part of the proxies that is enough: 0 to 1 */
	int64_t timeout_ms;
	void (*progress)(void *ctx, size_t acked, size_t total, struct cox_str last); /* when it changes; may be NULL */
	void *ctx;
};
struct cox_wait_result {
	int64_t generation;
	size_t acked, total;
};
/* One of our kinds by what people call it, in any case. NULL: none. */
const struct cox_kind_info *cox_wait_kind_find(struct cox_str word);
/* COX_EDENIED: the version cannot be in force, or proxies reject it; COX_ETIMEOUT: not in time. Both with who and why. */
COX_MUST_USE enum cox_rc cox_wait_distribution(struct cox_cluster *c, const struct cox_wait_options *o, struct cox_wait_result *out,
                                               struct cox_err *err);

#endif
