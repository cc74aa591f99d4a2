/*
 * impersonate - may a node's agent get a certificate for a workload? Only for what runs on the node that its own token is bound to
 * (features c19). Thread: the config loop.
 */
#ifndef COX_CA_IMPERSONATE_H
#define COX_CA_IMPERSONATE_H

#include "ca/authn.h"
#include "ca/spiffe.h"
#include "registry/registry.h"

struct cox_node_pods;

/* Borrows the registry until free. */
struct cox_node_pods *cox_node_pods_new(const struct cox_registry *r);
/* Accepts NULL. */
void cox_node_pods_free(struct cox_node_pods **n);
/* The caller's pod must be known, be the one of the token (UID), and run with the caller's service account; a live pod with the wanted
 * service account must run on the same node. False with the reason. */
bool cox_node_pods_allow(struct cox_node_pods *n, const struct cox_identity *caller, const struct cox_spiffe_id *wanted,
                         struct cox_err *err);

#endif
