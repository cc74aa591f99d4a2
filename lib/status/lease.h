/*
 * lease - which replica leads: a lock that client-go's leader election would understand, as istiod takes it: in a Lease of
 * coordination.k8s.io, or in an annotation of a ConfigMap. Replicas of another control plane with the same lock are respected.
 * Thread: everything on the client's loop.
 * Clocks are not compared: a lock counts as lost when it did not change for its duration as seen from here.
 *
 *   FREE --we write--> HELD --deadline, or another wrote it--> FREE
 *    |  \--held by a revision that ours comes before--> EVICTED (ours, not leading) --the other must have seen it--> HELD
 */
#ifndef COX_STATUS_LEASE_H
#define COX_STATUS_LEASE_H

#include "kube/client.h"

struct cox_lease;
enum cox_lease_form { COX_LEASE_OBJECT, COX_LEASE_CONFIG_MAP };

struct cox_lease_spec {
	struct cox_str ns, name;
	enum cox_lease_form form;
	struct cox_str identity;   /* of this replica: the pod's name, or something as unique */
	struct cox_str key;        /* our revision, told beside the identity; empty: none is told */
	int64_t duration_ms;       /* 0: 30 s. Whole seconds */
	int64_t renew_deadline_ms; /* without a renewal for so long we stop leading by ourselves; 0: half of the duration */
	int64_t retry_ms;          /* 0: a quarter of the duration */
	/* Held by somebody with another key than ours: may we take it from him? NULL: never. */
	bool (*may_evict)(void *ctx, struct cox_str holder_key);
	void (*on_change)(void *ctx, bool is_leader);
	void *ctx;
};

/* Copies `spec`; borrows `client` until close. */
void cox_lease_open(struct cox_kube_client *client, const struct cox_lease_spec *spec, struct cox_lease **out);
bool cox_lease_is_held(const struct cox_lease *l);
/* The identity of who leads now, as far as known; empty: nobody. Borrowed until the next turn of the loop. */
struct cox_str cox_lease_holder(const struct cox_lease *l);
/* may_evict() would say something else now: looks at once. */
void cox_lease_poke(struct cox_lease *l);
/* Gives the lock back, so that another replica need not wait: calls done(ctx) when that is said, or after a second. Then close. */
void cox_lease_release(struct cox_lease *l, void (*done)(void *ctx), void *ctx);
/* No callback after this. Accepts NULL. */
void cox_lease_close(struct cox_lease **l);

#endif
