/*
 * converge - which part of the proxies has acknowledged an object's generation: "N of M", over all replicas.
 * In: objects as they come, generations as they are frozen and delivered, counts of proxies that lag (xds/server.h). Out: progress of
 * objects (status/status.h), and, from a replica that does not lead, a report that the leader reads.
 * Thread: everything on the client's loop, the config loop. The cost is README.md's.
 */
#ifndef COX_STATUS_CONVERGE_H
#define COX_STATUS_CONVERGE_H

#include "status/status.h"
#include "xds/server.h"

struct cox_converge;
struct cox_converge_spec {
	struct cox_kube_client *kube; /* borrowed until close, as the next two */
	struct cox_status *status;
	struct cox_xds_server *xds;
	struct cox_str ns;       /* of the control plane: where the reports are */
	struct cox_str identity; /* of this replica; copied */
	struct cox_str revision; /* proxies of other revisions are not counted; copied */
};
void cox_converge_open(const struct cox_converge_spec *spec, struct cox_converge **out);
/* Accepts NULL, as all that follow. */
void cox_converge_close(struct cox_converge **c);
/* Streams are counted no more: before the server is closed. */
void cox_converge_end_streams(struct cox_converge *c);

/* An object came, or changed in what matters; it will be part of the next generation. */
void cox_converge_changed(struct cox_converge *c, const struct cox_object *o);
void cox_converge_forget(struct cox_converge *c, struct cox_str id);
/* A generation was frozen: it holds everything that came before. Later: what was made of it is with the stream loops. */
void cox_converge_frozen(struct cox_converge *c, uint64_t generation);
void cox_converge_delivered(struct cox_converge *c, uint64_t generation);
/* We are (not) the one who writes statuses: then the others' reports count; else ours is written for him. */
void cox_converge_lead(struct cox_converge *c, bool is_leader);
/* At the end, while requests are still answered: our report is taken back, so that our proxies are waited for no more. */
void cox_converge_retire(struct cox_converge *c);
/* Objects that not every proxy has acknowledged, as far as this replica knows. */
size_t cox_converge_pending(const struct cox_converge *c);

#endif
