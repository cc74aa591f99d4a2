/*
 * inject - sidecars put into the YAML of workloads, as the webhook puts them into pods: `coxctl kube-inject`.
 * Pods, and what has a pod template: Deployment, ReplicaSet, StatefulSet, DaemonSet, ReplicationController, Job, CronJob, and Lists of
 * these. Other documents go through as they are. Pure.
 */
#ifndef COX_TOOL_INJECT_H
#define COX_TOOL_INJECT_H

#include "inject/inject.h"

/* Called with a line for people: a workload left out and why, a warning. */
typedef void cox_tool_inject_say(void *ctx, struct cox_str line);

/* Appends the documents of `yaml` to `out`, injected. COX_EINVAL: a document cannot be parsed or injected; `err` names object and field. */
COX_MUST_USE enum cox_rc cox_tool_inject(const struct cox_inject_config *c, bool native_sidecars, struct cox_str yaml, struct cox_buf *out,
                                         cox_tool_inject_say *say, void *ctx, struct cox_err *err);

#endif
