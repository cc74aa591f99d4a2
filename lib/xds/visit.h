/*
 * visit - a stream whose workload registers itself (metadata AUTO_REGISTER_GROUP), or whose agent tells how its application is
 * (WORKLOAD_ENTRY): somebody on the config loop hears of it, and says whether the stream may go on. Requests wait for that.
 * Thread: callbacks and the answer on the config loop; what one stream says comes in its order.
 */
#ifndef COX_XDS_VISIT_H
#define COX_XDS_VISIT_H

#include "base/err.h"
#include "model/proxy.h"

struct cox_xds_visit;
/* Who comes. Lives until close(). */
struct cox_xds_visitor {
	const struct cox_proxy *proxy;
	bool is_verified; /* by its credentials; else the next two are empty */
	struct cox_str ns, service_account;
	int64_t connected_ms; /* wall clock */
};
struct cox_xds_visits {
	/* NULL: nobody wants to hear of any. Gives what health() and close() get. cox_xds_visit_answer() follows, now or later. */
	void *(*open)(void *ctx, struct cox_xds_visit *v, const struct cox_xds_visitor *who);
	void (*health)(void *ctx, void *own, struct cox_str unhealthy); /* empty: the application is well */
	void (*close)(void *ctx, void *own);                            /* once; no answer after this */
	void *ctx;
};
/* Once, before close() has come. Copies `text`. */
void cox_xds_visit_answer(struct cox_xds_visit *v, enum cox_rc rc, const char *text);

#endif
