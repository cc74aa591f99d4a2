/*
 * describe - what of the mesh's configuration is about a Pod or a Service, for people (`coxctl describe`).
 * Thread: any; pure.
 */
#ifndef COX_TOOL_DESCRIBE_H
#define COX_TOOL_DESCRIBE_H

#include "codec/json.h"

/* Lists of objects as a kube-apiserver has them; NULL: none, or not to be read. */
struct cox_describe_world {
	const struct cox_json *services, *destination_rules, *virtual_services, *peer_authentications, *authorization_policies;
	struct cox_str root_ns; /* of policies for all namespaces */
};
/* The Pod, its services with their rules, and the policies in force for it. */
void cox_describe_pod(const struct cox_json *pod, const struct cox_describe_world *w, struct cox_buf *out);
/* The Service, with its rules; `pods`: those of its namespace. */
void cox_describe_service(const struct cox_json *service, const struct cox_json *pods, const struct cox_describe_world *w,
                          struct cox_buf *out);

#endif
