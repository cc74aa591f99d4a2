/*
 * cert - `coxctl cert`: the list of issued certificates, and revoking them, straight in the store that all replicas of the control plane
 * share (ConfigMaps in the cluster, or the state directory): who may write there may revoke. Thread: the caller's; blocks until done.
 */
#ifndef COX_TOOL_CERT_H
#define COX_TOOL_CERT_H

#include "ca/revocation.h"
#include "tool/cluster.h"

struct cox_cert_options {
	struct cox_cluster_spec cluster;
	const char *state_dir;   /* instead of a cluster's objects */
	struct cox_str ns;       /* of the control plane */
	bool is_list, is_rotate; /* else: revoke */
	bool as_json;
	struct cox_str identity, only_ns; /* of a list: these only */
	struct cox_revoke revoke;
	int64_t timeout_ms; /* 0: 30 s */
};
/* Appends a table (or JSON), or what was done. */
COX_MUST_USE enum cox_rc cox_tool_cert(const struct cox_cert_options *o, struct cox_buf *out, struct cox_err *err);

#endif
