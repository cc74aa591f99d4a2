/*
 * request_authentication - RequestAuthentication (security.istio.io): which JWTs a workload takes.
 */
#ifndef COX_MODEL_REQUEST_AUTHENTICATION_H
#define COX_MODEL_REQUEST_AUTHENTICATION_H

#include "model/policy_target.h"

struct cox_jwt_header {
	struct cox_str name, prefix; /* prefix: "Bearer " */
};
struct cox_jwt_claim_header {
	struct cox_str header, claim;
};
struct cox_jwt_rule {
	struct cox_str issuer, jwks_uri, jwks; /* jwks: the text of a key set; neither: found by the issuer's discovery document */
	COX_LIST(struct cox_str) audiences, from_params, from_cookies, space_delimited_claims;
	COX_LIST(struct cox_jwt_header) from_headers;
	COX_LIST(struct cox_jwt_claim_header) output_claim_to_headers;
	struct cox_str output_payload_to_header;
	bool forward_original_token;
	struct cox_opt_i64 timeout_ns; /* of fetching jwksUri; 5 s by default */
};
struct cox_request_authentication {
	struct cox_policy_target target;
	COX_LIST(struct cox_jwt_rule) jwt_rules;
};
struct cox_request_authentication_object {
	const struct cox_request_authentication *spec; /* NULL: an empty one */
};

#endif
