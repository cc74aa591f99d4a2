/*
 * authn_review - the kube-apiserver's word about a token, read from its answer. Pure.
 */
#ifndef COX_CA_AUTHN_REVIEW_H
#define COX_CA_AUTHN_REVIEW_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"

/* Appends a TokenReview that asks for `audiences`. */
void cox_review_write(struct cox_str token, const struct cox_str *audiences, size_t n, struct cox_buf *out);

struct cox_review {
	struct cox_str ns, service_account;
	struct cox_str pod_name, pod_uid, node_name; /* of tokens bound to a pod; empty: not said */
};
/* COX_EAUTH with the reason: not authenticated, for nobody of `audiences`, or no service account. COX_EPROTO: not a TokenReview with a
 * status. Text in `arena` or `body`. */
COX_MUST_USE enum cox_rc cox_review_read(struct cox_str body, const struct cox_str *audiences, size_t n, struct cox_arena *arena,
                                         struct cox_review *out, struct cox_err *err);

#endif
