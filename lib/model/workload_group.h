/*
 * workload_group - WorkloadGroup (networking.istio.io), every field of it: what workloads that register themselves have in common.
 */
#ifndef COX_MODEL_WORKLOAD_GROUP_H
#define COX_MODEL_WORKLOAD_GROUP_H

#include "model/service_entry.h"

struct cox_group_meta {
	COX_LIST(struct cox_kv) labels, annotations;
};

enum cox_group_scheme { COX_GROUP_SCHEME_UNSET, COX_GROUP_HTTP, COX_GROUP_HTTPS };
struct cox_group_header {
	struct cox_str name, value;
};
struct cox_group_http_get {
	struct cox_str path, host;
	struct cox_opt_i64 port;
	int scheme;
	COX_LIST(struct cox_group_header) http_headers;
};
struct cox_group_tcp_socket {
	struct cox_str host;
	struct cox_opt_i64 port;
};
struct cox_group_exec {
	COX_LIST(struct cox_str) command;
};
struct cox_group_grpc {
	struct cox_opt_i64 port;
	struct cox_str service;
};
/* How a workload's agent asks its application; exactly one of the four ways. Numbers: 0 is "unset", the agent's defaults count. */
struct cox_group_probe {
	struct cox_opt_i64 initial_delay_seconds, timeout_seconds, period_seconds, success_threshold, failure_threshold;
	const struct cox_group_http_get *http_get;
	const struct cox_group_tcp_socket *tcp_socket;
	const struct cox_group_exec *exec;
	const struct cox_group_grpc *grpc;
};

struct cox_workload_group {
	const struct cox_group_meta *metadata;
	const struct cox_workload_entry *template; /* its address does not count: that of the workload does */
	const struct cox_group_probe *probe;
};
struct cox_workload_group_object {
	const struct cox_workload_group *spec;
};

#endif
