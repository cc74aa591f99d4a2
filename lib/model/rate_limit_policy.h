/*
 * rate_limit_policy - RateLimitPolicy (traffic.coxswain.io): how many requests workloads take, and of whom.
 */
#ifndef COX_MODEL_RATE_LIMIT_POLICY_H
#define COX_MODEL_RATE_LIMIT_POLICY_H

#include "model/common.h"

enum cox_rate_scope { COX_RATE_LOCAL };
enum cox_rate_mode { COX_RATE_ENFORCE, COX_RATE_DRY_RUN };
struct cox_rate_match {
	const struct cox_string_match *path, *method, *host;
	COX_LIST(struct cox_string_match_entry) headers;
};
struct cox_rate_key {
	struct cox_str header;
	struct cox_opt_bool client_address;
};
struct cox_rate_limit {
	struct cox_str name;
	COX_LIST(struct cox_rate_match) match;
	COX_LIST(struct cox_rate_key) by;
	struct cox_opt_i64 requests, per_ns, burst;
};
struct cox_rate_limit_policy {
	const struct cox_match_labels *selector;
	int scope, mode;
	struct cox_opt_i64 status;
	struct cox_opt_bool limit_headers;
	COX_LIST(struct cox_kv) response_headers;
	COX_LIST(struct cox_rate_limit) limits;
};
struct cox_rate_limit_policy_object {
	const struct cox_rate_limit_policy *spec;
};

#endif
