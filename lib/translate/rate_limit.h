/*
 * rate_limit - RateLimitPolicy as envoy.filters.http.local_ratelimit: one filter for each policy that counts for a workload, with a token
 * bucket for each limit (and for each value that it tells apart). Statistics: <namespace>_<policy>.http_local_rate_limit.* Pure.
 */
#ifndef COX_TRANSLATE_RATE_LIMIT_H
#define COX_TRANSLATE_RATE_LIMIT_H

#include "translate/hcm.h"

struct cox_rate_filters {
	COX_LIST(struct cox_str) encoded; /* HttpFilters, oldest policy first */
	struct cox_str origins;           /* ids of the policies, joined by '\n' */
};
/* Everything in the job's arena; empty where no policy counts. */
struct cox_rate_filters cox_rate_filters_build(const struct cox_tr *t, struct cox_str ns, const struct cox_kv *labels, size_t label_n);

#endif
