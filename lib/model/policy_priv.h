/*
 * policy_priv - what the tables of security, telemetry and extensions share.
 */
#ifndef COX_MODEL_POLICY_PRIV_H
#define COX_MODEL_POLICY_PRIV_H

#include "model/policy_target.h"
#include "model/tables_priv.h"

extern const struct cox_message cox_msg_policy_target_ref, cox_msg_traffic_selector;

/* Rows of a message whose struct has `struct cox_policy_target target`. */
#define TARGET_SELECTOR(of)                     \
	F(of, target.selector, "selector", MSG, \
	  "Workloads of this namespace; all of them by default, all of the mesh in the root namespace.", SUB(match_labels))
#define TARGET_REFS(of)                                                                                                                 \
	F(of, target.refs, "targetRefs", MSG, "Gateways, services or ServiceEntries of this namespace instead.", LIST, .max_items = 16, \
	  SUB(policy_target_ref))
#define TARGET_REF(of) F(of, target.ref, "targetRef", MSG, "One of targetRefs; use targetRefs.", SUB(policy_target_ref))
#define TARGET_FIELDS(of) TARGET_SELECTOR(of), TARGET_REF(of), TARGET_REFS(of)
#define TARGET_RULE                                                                                                   \
	{                                                                                                             \
		"[has(self.selector), has(self.targetRef), has(self.targetRefs)].filter(is_set, is_set).size() <= 1", \
		    "at most one of selector, targetRef, targetRefs may be set"                                       \
	}

/* At most one of the three, and what a selector without labels means. */
void cox_model_target_check(const struct cox_policy_target *t, const char *path, struct cox_diags *d);
void cox_model_selector_check(const struct cox_match_labels *selector, const char *path, struct cox_diags *d);

#endif
