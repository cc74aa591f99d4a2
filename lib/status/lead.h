/*
 * lead - which of the jobs that one replica does for all are this replica's: one lock for each, by istiod's names, so that an istiod
 * beside us (or before us, or after us) and we never do the same job at once.
 * Thread: everything on the client's loop.
 *
 * | Lock | In | Job |
 * |---|---|---|
 * | istio-namespace-controller-election | ConfigMap | roots in every namespace, mounted secrets, rotation of the root |
 * | istio-leader | ConfigMap | addresses in the status of Ingresses |
 * | istio-analyze-leader, istio-status-leader | ConfigMap, Lease | status of Istio's kinds and ours: both are needed |
 * | istio-gateway-status-leader-<revision> | Lease | status of the Gateway API |
 * | istio-ip-autoallocate | ConfigMap | addresses of ServiceEntries |
 * | istio-gateway-deployment-<revision> | Lease | Deployments and Services for Gateways of the Gateway API |
 * istiod has four more. Two are for jobs that nobody does here, and left to it: istio-serviceexport-controller-election,
 * istio-node-untaint. Two it declares and never takes: istio-clustertrustbundle-controller-election, istio-gateway-inferencepool.
 *
 * The locks that are not per revision tell the holder's revision. The default revision (MutatingWebhookConfiguration
 * istio-revision-tag-default) takes them from others, and leads once the other must have noticed.
 */
#ifndef COX_STATUS_LEAD_H
#define COX_STATUS_LEAD_H

#include "kube/client.h"

enum cox_duty {
	COX_DUTY_ROOTS,
	COX_DUTY_INGRESS,
	COX_DUTY_STATUS,
	COX_DUTY_GATEWAY,
	COX_DUTY_ADDRESSES,
	COX_DUTY_DEPLOY,
	COX_DUTY_COUNT,
};
const char *cox_duty_name(enum cox_duty duty);

struct cox_lead;
struct cox_lead_spec {
	struct cox_kube_client *kube; /* borrowed until close */
	struct cox_str ns;            /* of the control plane: where the locks are */
	struct cox_str identity;      /* of this replica */
	struct cox_str revision;      /* empty: default */
	int64_t duration_ms;          /* of a lock; 0: 30 s */
	bool is_alone;                /* there is no other replica (ENABLE_LEADER_ELECTION=false): every job is ours, no lock is taken */
	unsigned without;             /* bits of duties that nobody here does: their locks are left to others */
	void (*on_change)(void *ctx, enum cox_duty duty, bool is_ours);
	void *ctx;
};
/* Copies `spec`. on_change comes later, also where is_alone. */
void cox_lead_open(const struct cox_lead_spec *spec, struct cox_lead **out);
bool cox_lead_has(const struct cox_lead *l, enum cox_duty duty);
/* Gives all locks back: done(ctx) when that is said, at the latest after a second. Then close. */
void cox_lead_release(struct cox_lead *l, void (*done)(void *ctx), void *ctx);
/* Accepts NULL. */
void cox_lead_close(struct cox_lead **l);

#endif
