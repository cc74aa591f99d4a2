/*
 * status - says in each object's status whether it is in force, and why not: one server-side apply per object and generation.
 * Thread: everything on the client's loop, the config loop.
 * Only the leader writes; the others keep what is to be said and say it when they become leader. Writes are coalesced per object
 * and capped in rate. They never feed back: objects are compared without their status.
 *
 *   status:
 *     observedGeneration: 3
 * (Programmed, Reconciled and ProxyRejected only where somebody tells how far proxies have followed: status/converge.h)
 *     conditions: [{type: Accepted, status: "True" | "False", reason: Accepted | Invalid | Warnings, message, observedGeneration,
 * lastTransitionTime}] validationMessages: [{type: {name, code}, level: ERROR | WARNING, message, path}]
 */
#ifndef COX_STATUS_STATUS_H
#define COX_STATUS_STATUS_H

#include "kube/client.h"
#include "model/object.h"

struct cox_status;

struct cox_status_finding {
	enum cox_severity severity;
	struct cox_str code; /* "IST0101"; empty: COX0001 */
	struct cox_str name; /* "ReferencedResourceNotFound"; empty: from the slot */
	struct cox_str path, text;
};

/* Who has something to say about an object; each replaces only its own part. */
enum cox_status_slot {
	COX_STATUS_DECODE, /* the object itself: wrong, unknown or unused fields */
	COX_STATUS_CHECK,  /* what it refers to: snapshot/check */
	COX_STATUS_PROXY,  /* what proxies said: rejected resources, quarantine */
	COX_STATUS_SLOT_COUNT,
};

struct cox_status_spec {
	const char *field_manager;  /* NULL: coxswain-status */
	unsigned writes_per_second; /* 0: 10 */
	bool has_progress;          /* cox_status_progress() will be called: a write waits a little for it, so that there is one alone */
};

/* Borrows `client` until close; copies `spec` (may be NULL). Not leader at first. */
void cox_status_open(struct cox_kube_client *client, const struct cox_status_spec *spec, struct cox_status **out);
/* What is not written yet is not written. Accepts NULL. */
void cox_status_close(struct cox_status **s);
/* Kinds by whose status they are: bits, for each has a lock of its own (status/lead.h). */
enum cox_status_part {
	COX_STATUS_OWN = 1,     /* Istio's kinds and ours */
	COX_STATUS_INGRESS = 2, /* networking.k8s.io */
	COX_STATUS_GATEWAY = 4, /* gateway.networking.k8s.io */
	COX_STATUS_ALL = 7,
};
/* We are (not) the one who writes the statuses of these. */
void cox_status_lead(struct cox_status *s, unsigned parts, bool is_leader);

/* What one slot finds in an object of ours (others are ignored). No findings: it is fine. `generation` 0: not known, that of
 * the server counts. Copies. */
void cox_status_set(struct cox_status *s, enum cox_kind kind, struct cox_str ns, struct cox_str name, int64_t generation,
                    enum cox_status_slot slot, const struct cox_status_finding *findings, size_t count);
/* How many proxies have acknowledged the object's generation, of how many; `last`: one that has not (may be empty). Copies. */
struct cox_status_progress {
	int64_t generation;
	size_t acked, total;
	struct cox_str last;
};
void cox_status_progress(struct cox_status *s, enum cox_kind kind, struct cox_str ns, struct cox_str name,
                         const struct cox_status_progress *p);
/* What condition Reconciled of a status says. False: nothing. */
bool cox_status_progress_read(const struct cox_json *object, struct cox_status_progress *out);
/* The status of an object whose kind has one of its own form (lib/convert): field "status" as it is to be, without the times of
 * conditions; NULL: we have nothing to say about it any more, and what we said is taken back. Copied. */
void cox_status_set_tree(struct cox_status *s, enum cox_kind kind, struct cox_str ns, struct cox_str name, int64_t generation,
                         const struct cox_json *status);
/* The same from decoding; `diags` NULL: none. */
void cox_status_set_diags(struct cox_status *s, enum cox_kind kind, struct cox_str ns, struct cox_str name, int64_t generation,
                          const struct cox_diags *diags);
/* The object is gone. */
void cox_status_forget(struct cox_status *s, enum cox_kind kind, struct cox_str ns, struct cox_str name);
/* Objects whose status is still to be written. */
size_t cox_status_waiting(const struct cox_status *s);

#endif
