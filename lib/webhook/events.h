/*
 * events - Kubernetes Events for pods that were meant to be in the mesh and are not: their owner sees no warning of an admission webhook,
 * since it is a controller that makes the pods.
 * Thread: open and close on the config loop; tell from any thread.
 * Owns:   its requests. What cannot be written is lost: an Event is no more than a word.
 */
#ifndef COX_WEBHOOK_EVENTS_H
#define COX_WEBHOOK_EVENTS_H

#include "kube/client.h"

struct cox_webhook_events;

enum {
	COX_WEBHOOK_EVENT_EVERY_MS = 10 * 60 * 1000, /* of one object: a Deployment of 1,000 pods is told once */
	COX_WEBHOOK_EVENT_OBJECTS_MAX = 1000         /* remembered; beyond, all are forgotten */
};

/* What an Event is about: a pod's controller, or the pod. */
struct cox_webhook_event {
	struct cox_str ns, api_version, kind, name, uid; /* uid may be empty */
	struct cox_str reason, message;
};

struct cox_webhook_events *cox_webhook_events_open(struct cox_kube_client *kube);
void cox_webhook_events_close(struct cox_webhook_events **e); /* accepts NULL */
/* Copies. Drops what comes faster than it can be written. */
void cox_webhook_events_tell(struct cox_webhook_events *e, const struct cox_webhook_event *event);

#endif
