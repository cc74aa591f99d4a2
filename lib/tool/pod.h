/*
 * pod - a Pod by what a person calls it: "NAME", "NAME.NAMESPACE", "TYPE/NAME[.NAMESPACE]".
 * Thread: the caller's; blocks as cluster.h does.
 */
#ifndef COX_TOOL_POD_H
#define COX_TOOL_POD_H

#include "tool/cluster.h"

/* `text` split: type empty where none is said; `ns` `default_ns` where none is said. A name with a dot is one with a namespace behind it.
 */
struct cox_pod_name {
	struct cox_str type, name, ns;
};
struct cox_pod_name cox_pod_name_parse(struct cox_str text, struct cox_str default_ns);

/* The Pod, or the first running one of a Deployment, StatefulSet, DaemonSet, ReplicaSet, Job or Service. COX_ENOTFOUND, COX_EINVAL. */
COX_MUST_USE enum cox_rc cox_pod_find(struct cox_cluster *c, const struct cox_pod_name *name, struct cox_arena *arena,
                                      struct cox_json **out, struct cox_err *err);
/* Pods of the control plane: label app=istiod in its namespace, of the revision (empty: any). COX_ENOTFOUND: none runs. */
COX_MUST_USE enum cox_rc cox_pod_istiods(struct cox_cluster *c, struct cox_str istio_ns, struct cox_str revision, struct cox_arena *arena,
                                         struct cox_json **out, struct cox_err *err);
bool cox_pod_is_running(const struct cox_json *pod);
/* "a=b,c=d" of an object of labels, appended. */
void cox_pod_selector_write(const struct cox_json *labels, struct cox_buf *out);

#endif
