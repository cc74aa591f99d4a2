/*
 * cluster_priv - what cluster.h keeps to itself.
 */
#ifndef COX_TOOL_CLUSTER_PRIV_H
#define COX_TOOL_CLUSTER_PRIV_H

#include "kube/kubeconfig.h"

/* $KUBECONFIG with one or several paths between ':', merged as kubectl does: the first that names a context, cluster or user counts, and
 * the first current-context. Files that are not there are left out. `context` empty: the current one. */
COX_MUST_USE enum cox_rc cox_cluster_config_merge(struct cox_str paths, struct cox_str context, struct cox_kube_config *out,
                                                  struct cox_err *err);

#endif
