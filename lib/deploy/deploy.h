/*
 * deploy - what Gateways of the Gateway API need in order to run (lib/convert says what): applied server-side, one request at a time.
 * Thread: everything on the client's loop, the config loop. Owns: the documents of each Gateway, watches over what was applied.
 *
 * Only the replica that has the job writes. What somebody else made under one of the names (no label gateway.istio.io/managed) is left
 * alone, and that is logged. What is deleted or changed by others is applied again. Whatever goes with a Gateway goes by its owner
 * references: nothing is deleted here.
 */
#ifndef COX_DEPLOY_DEPLOY_H
#define COX_DEPLOY_DEPLOY_H

#include "kube/client.h"
#include "model/object.h"

struct cox_deploy;

/* Borrows `client` until close. Without the job at first. */
void cox_deploy_open(struct cox_kube_client *client, bool makes_classes, struct cox_deploy **out);
/* What is not applied yet is not applied. Accepts NULL. */
void cox_deploy_close(struct cox_deploy **d);
/* The job is (not) this replica's. With `makes_classes` GatewayClasses istio and istio-remote come first, where nobody made them. */
void cox_deploy_lead(struct cox_deploy *d, bool is_leader);
/* What a Gateway needs: an array of documents with apiVersion, kind, metadata; NULL: nothing any more. Copies. */
void cox_deploy_set(struct cox_deploy *d, struct cox_str ns, struct cox_str name, const struct cox_json *documents);
/* Gateways whose documents are still to be applied. */
size_t cox_deploy_waiting(const struct cox_deploy *d);

#endif
