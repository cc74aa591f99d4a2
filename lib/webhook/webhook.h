/*
 * webhook - the admission webhooks: /inject puts sidecars into pods, /validate refuses configuration that could not be in force.
 * In:  AdmissionReviews (admission.k8s.io v1 and v1beta1) over HTTPS.  Out: their answers; every answer to a review is a review.
 * Thread: open, close and the setters anywhere; reviews are answered on the HTTP server's threads, which share nothing but the
 * configuration in force and the newest generation (counted references).
 */
#ifndef COX_WEBHOOK_WEBHOOK_H
#define COX_WEBHOOK_WEBHOOK_H

#include "inject/inject.h"
#include "net/httpd.h"
#include "snapshot/snapshot.h"
#include "webhook/events.h"

struct cox_webhook;

struct cox_webhook_spec {
	struct cox_addr addr;
	struct cox_str chain_pem, key_pem; /* both empty: plain HTTP, behind something that ends TLS. Copied */
	unsigned threads;                  /* 0: 2 */
	bool no_injection;                 /* /inject is not there */
	struct cox_webhook_events *events; /* told of pods that are left out; borrowed until close. May be NULL */
};
/* COX_EIO: the address is taken. *port may be NULL. Until a configuration is set, /inject answers 503, as /ready does. */
COX_MUST_USE enum cox_rc cox_webhook_open(const struct cox_webhook_spec *spec, struct cox_webhook **out, uint16_t *port,
                                          struct cox_err *err);
void cox_webhook_close(struct cox_webhook **w); /* accepts NULL */

/* Shares `c`: reviews from now on use it. */
void cox_webhook_set_config(struct cox_webhook *w, const struct cox_inject_config *c);
/* Shares `s`: /validate warns of what an object refers to and is not in it. NULL: no such warnings. */
void cox_webhook_set_snapshot(struct cox_webhook *w, const struct cox_snapshot *s);
/* Whether pods that do not say otherwise get a native sidecar. */
void cox_webhook_set_native_sidecars(struct cox_webhook *w, bool native);
COX_MUST_USE enum cox_rc cox_webhook_set_cert(struct cox_webhook *w, struct cox_str chain_pem, struct cox_str key_pem, struct cox_err *err);

#endif
