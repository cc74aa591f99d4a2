/*
 * remote_secret - `coxctl create-remote-secret`: a Secret with a kubeconfig by which another cluster's control plane reads this cluster.
 * Thread: the caller's; blocks.
 */
#ifndef COX_TOOL_REMOTE_SECRET_H
#define COX_TOOL_REMOTE_SECRET_H

#include "tool/cluster.h"

struct cox_remote_secret_options {
	struct cox_cluster_spec cluster;
	struct cox_str name;            /* of the cluster; empty: the UID of namespace kube-system */
	struct cox_str ns;              /* of account and Secret */
	struct cox_str service_account; /* empty: istio-reader-service-account, or istiod */
	struct cox_str secret_name;     /* of the account's token; empty: found or made */
	struct cox_str server, tls_server_name;
	bool is_config, creates_account;
};
/* Appends YAML (a token is in it); `notes`: lines for people. COX_ENOTFOUND: no account, and none was to be made; COX_ETIMEOUT: the cluster
 * gives the account no token. */
COX_MUST_USE enum cox_rc cox_remote_secret_create(const struct cox_remote_secret_options *o, struct cox_buf *out, struct cox_buf *notes,
                                                  struct cox_err *err);

#endif
