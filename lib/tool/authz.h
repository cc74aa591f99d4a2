/*
 * authz - which AuthorizationPolicies an Envoy applies, from its config dump (`coxctl authz check`).
 * Thread: any; pure.
 */
#ifndef COX_TOOL_AUTHZ_H
#define COX_TOOL_AUTHZ_H

#include "codec/json.h"

/* Appends the table: action, policy, how many of its rules. COX_EINVAL, COX_ENOTFOUND: it is no dump, or has no listeners. */
COX_MUST_USE enum cox_rc cox_authz_table(const struct cox_json *dump, struct cox_buf *out, struct cox_err *err);

#endif
