/*
 * endpoint - the ClusterLoadAssignment of one cluster: subset and port filter, health, locality groups, priorities
 * (protocol facts, section 10). Deterministic: the order of the endpoint set. Pure.
 */
#ifndef COX_TRANSLATE_ENDPOINT_H
#define COX_TRANSLATE_ENDPOINT_H

#include "translate/cluster.h"

/* The EDS resource of a cluster, from `endpoints` (usually spec->snap->endpoints; the fast path brings newer ones). Gives. */
const struct cox_resource *cox_endpoints_build(struct cox_tr *t, const struct cox_cluster_spec *spec,
                                               const struct cox_endpoint_set *endpoints);
/* The same written into an open message: load_assignment of DNS clusters. */
void cox_load_assignment_write(struct pb_endpoint_v3_ClusterLoadAssignment m, const struct cox_tr *t, const struct cox_cluster_spec *spec,
                               const struct cox_endpoint_set *endpoints, struct cox_str name);

/* The locality setting in force, or NULL; *is_forced: priorities count without outlier detection (Service.trafficDistribution). */
const struct cox_locality_lb *cox_locality_setting(const struct cox_tr *t, const struct cox_cluster_spec *spec, bool *is_forced);

#endif
