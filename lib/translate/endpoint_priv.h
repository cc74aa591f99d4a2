/*
 * endpoint_priv - the groups that endpoints are sent in.
 */
#ifndef COX_TRANSLATE_ENDPOINT_PRIV_H
#define COX_TRANSLATE_ENDPOINT_PRIV_H

#include "translate/endpoint.h"

struct cox_lb_group {
	struct cox_str locality; /* "r/z/s" */
	uint32_t weight;         /* of the group */
	uint32_t priority;
	bool is_empty; /* distribute gives this locality nothing */
	COX_VEC(const struct cox_endpoint *) items;
};
typedef COX_VEC(struct cox_lb_group) cox_lb_groups;

/* Applies locality load balancing: weights of `distribute`, priorities of `failover` and `failoverPriority` (groups may split). */
void cox_locality_apply(const struct cox_tr *t, const struct cox_cluster_spec *spec, cox_lb_groups *groups);

#endif
