/*
 * enroll - workloads that no kubelet looks after: a proxy that names a WorkloadGroup gets a WorkloadEntry for as long as it is
 * connected, and what its agent says of the application becomes the entry's condition Healthy.
 * Thread: the config loop. Owns: an entry for each workload that is or was connected here, until it is cleaned up.
 *
 *   connect:     the entry is read, then made from the group, or its annotations say that we have it now (istio.io/connectedAt,
 *                workloadController). The stream goes on when that is written; it is refused when it may not be.
 *   health:      the registry hears at once (cox_registry_report_health), the status is written after it.
 *   disconnect:  the annotation istio.io/disconnectedAt; after the grace period the entry is deleted, unless the workload is back, here
 *                or at another replica. Each write carries the version that was read: of two replicas one wins, the other reads again.
 *   sweep:       what a replica that crashed left behind: entries disconnected for longer than the grace period, or connected for
 *                longer than a stream can live.
 * Without a kube-apiserver (a directory of files) entries live in this process only; they are in no file.
 */
#ifndef COX_ENROLL_ENROLL_H
#define COX_ENROLL_ENROLL_H

#include "kube/client.h"
#include "registry/registry.h"
#include "xds/visit.h"

struct cox_enroll;
struct cox_enroll_spec {
	struct cox_loop *loop;
	struct cox_kube_client *kube; /* borrowed; NULL: entries live in memory */
	struct cox_registry *registry;
	struct cox_str controller;  /* this replica; copied */
	int64_t grace_ms;           /* 0: 10 s */
	int64_t stream_max_age_ms;  /* after which each stream is ended; 0: never, then nothing is too old */
	bool has_no_registration;   /* PILOT_ENABLE_WORKLOAD_ENTRY_AUTOREGISTRATION=false */
	bool has_no_health;         /* PILOT_ENABLE_WORKLOAD_ENTRY_HEALTHCHECKS=false */
	bool has_no_identity_check; /* ISTIO_WORKLOAD_ENTRY_VALIDATE_IDENTITY=false */
	/* In memory: entries come and go like those of a source. */
	void (*put)(void *ctx, const struct cox_object *o);
	void (*remove)(void *ctx, enum cox_kind kind, struct cox_str ns, struct cox_str name);
	void (*flush)(void *ctx); /* the registry was fed */
	void *ctx;
};
void cox_enroll_open(const struct cox_enroll_spec *spec, struct cox_enroll **out);
/* All visits must be closed. What is not written yet is not written. Accepts NULL. */
void cox_enroll_close(struct cox_enroll **e);
/* For struct cox_xds_server_options. */
struct cox_xds_visits cox_enroll_visits(struct cox_enroll *e);
/* Sources are complete: entries of a crashed replica can be told from now on. */
void cox_enroll_synced(struct cox_enroll *e);

#endif
