/*
 * policy_target - what policies are attached to: workloads by labels, or Gateways and services by name. Shared by the kinds of
 * security, telemetry and extensions.
 */
#ifndef COX_MODEL_POLICY_TARGET_H
#define COX_MODEL_POLICY_TARGET_H

#include "model/common.h"

struct cox_policy_target_ref {
	struct cox_str group, kind, name, ns; /* ns: stays empty, references across namespaces are refused */
};
/* Embedded in a policy's struct as `target`. At most one of the three is set; none: the whole namespace, or the mesh. */
struct cox_policy_target {
	const struct cox_match_labels *selector;
	const struct cox_policy_target_ref *ref;
	COX_LIST(struct cox_policy_target_ref) refs;
};

enum cox_traffic_mode { COX_TRAFFIC_UNDEFINED, COX_TRAFFIC_CLIENT, COX_TRAFFIC_SERVER, COX_TRAFFIC_CLIENT_AND_SERVER };
struct cox_traffic_selector {
	int mode; /* enum cox_traffic_mode; undefined is both */
	COX_LIST(struct cox_port_selector) ports;
};

#endif
