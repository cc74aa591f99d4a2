/*
 * registration - keeps the cluster's webhook configurations of our revision working: the CA bundle by which the kube-apiserver knows us
 * in every entry, and failurePolicy Fail on validation once the webhook was seen to refuse a wrong object.
 * The configurations themselves are the installation's (manifests); those with the label istio.io/rev of our revision are ours to
 * keep. Changes are JSON patches that test the resourceVersion, so that several replicas, or a user at work, are never overwritten.
 * Thread: everything on the loop.
 */
#ifndef COX_WEBHOOK_REGISTRATION_H
#define COX_WEBHOOK_REGISTRATION_H

#include "kube/client.h"

struct cox_registration;

struct cox_registration_spec {
	struct cox_kube_client *kube;     /* outlives this */
	struct cox_str revision;          /* empty: default. Copied */
	bool no_injection, no_validation; /* configurations of that kind are somebody else's to keep */
	struct cox_str ns;                /* where the object of the self test is (not) made. Copied */
};
struct cox_registration *cox_registration_open(const struct cox_registration_spec *spec);
void cox_registration_close(struct cox_registration **r); /* accepts NULL */

/* The roots by which our serving certificate is verified, PEM. Copied; nothing is written before the first. */
void cox_registration_set_bundle(struct cox_registration *r, struct cox_str pem);
/* Validation answers: the self test may begin. */
void cox_registration_set_ready(struct cox_registration *r);

#endif
