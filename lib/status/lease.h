/*
 * lease - which replica leads: a Lease of coordination.k8s.io, as client-go's leader election keeps it, so that the replicas of
 * another control plane with the same lock name are respected.
 * Thread: everything on the client's loop.
 * Clocks are not compared: a lease counts as lost when it did not change for its duration as seen from here.
 */
#ifndef COX_STATUS_LEASE_H
#define COX_STATUS_LEASE_H

#include "kube/client.h"

struct cox_lease;

struct cox_lease_spec {
	struct cox_str ns, name;
	struct cox_str identity;   /* of this replica: the pod's name and something random */
	int64_t duration_ms;       /* 0: 30 s. Whole seconds */
	int64_t renew_deadline_ms; /* without a renewal for so long we stop leading by ourselves; 0: 15 s */
	int64_t retry_ms;          /* 0: 7.5 s */
	void (*on_change)(void *ctx, bool is_leader);
	void *ctx;
};

/* Copies `spec`; borrows `client` until close. */
void cox_lease_open(struct cox_kube_client *client, const struct cox_lease_spec *spec, struct cox_lease **out);
bool cox_lease_is_held(const struct cox_lease *l);
/* The identity of who leads now, as far as known; empty: nobody. Borrowed until the next turn of the loop. */
struct cox_str cox_lease_holder(const struct cox_lease *l);
/* Gives the lease back, so that another replica need not wait: calls done(ctx) when that is said, or after a second. Then close. */
void cox_lease_release(struct cox_lease *l, void (*done)(void *ctx), void *ctx);
/* No callback after this. Accepts NULL. */
void cox_lease_close(struct cox_lease **l);

#endif
