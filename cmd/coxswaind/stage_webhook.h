/*
 * stage_webhook - the admission webhooks of the running control plane: opened when there is a certificate to serve with, configured by the
 * ConfigMaps istio-sidecar-injector and istio of our revision, and registered with the kube-apiserver. Config loop.
 */
#ifndef COXSWAIND_STAGE_WEBHOOK_H
#define COXSWAIND_STAGE_WEBHOOK_H

#include "ca/serving.h"
#include "daemon.h"

enum cox_rc start_webhook(struct daemon *d, struct cox_err *err);
void stop_webhook(struct daemon *d);
/* The certificate we serve with, the first and every later one. */
void webhook_on_certificate(struct daemon *d, const struct cox_serving_now *now);
void webhook_on_bundle(struct daemon *d, const struct cox_ca_bundle *b);
/* Objects of the source. True: it is the injector's own ConfigMap, which is nobody else's. `o` NULL: removed. */
bool webhook_on_object(struct daemon *d, enum cox_kind kind, struct cox_str ns, struct cox_str name, const struct cox_object *o);
/* The end of what came together: the injector is configured once for all of it. */
void webhook_on_flush(struct daemon *d);
/* A new generation: what objects under review may refer to. */
void webhook_on_generation(struct daemon *d, const struct cox_snapshot *s);
/* With a kube-apiserver: the source is there and can be asked for the ConfigMap. */
void webhook_on_source(struct daemon *d);
/* The injector's templates in force, for /debug/inject: {name: text}, in `arena`; NULL: there is no injector. */
struct cox_json *webhook_dump(struct daemon *d, struct cox_arena *arena);

#endif
