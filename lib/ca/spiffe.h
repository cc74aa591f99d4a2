/*
 * spiffe - SPIFFE identities of workloads: "spiffe://<trust domain>/ns/<namespace>/sa/<service account>".
 * Pure. Rules: SPIFFE-ID (trust domain: lower-case letters, digits, '.', '-', '_'; no port, query or fragment; at most 2,048 bytes),
 * and Kubernetes' names for the two parts.
 */
#ifndef COX_CA_SPIFFE_H
#define COX_CA_SPIFFE_H

#include "base/buf.h"
#include "base/err.h"

enum { COX_SPIFFE_BYTES_MAX = 2048, COX_SPIFFE_TRUST_DOMAIN_BYTES_MAX = 255 };

/* Parts borrow the text that was parsed. */
struct cox_spiffe_id {
	struct cox_str trust_domain, ns, service_account;
};
/* COX_EINVAL with text: not of that form. */
COX_MUST_USE enum cox_rc cox_spiffe_parse(struct cox_str uri, struct cox_spiffe_id *out, struct cox_err *err);
bool cox_spiffe_is_trust_domain(struct cox_str name);
/* Appends the URI. */
void cox_spiffe_format(const struct cox_spiffe_id *id, struct cox_buf *out);
bool cox_spiffe_eq(const struct cox_spiffe_id *a, const struct cox_spiffe_id *b);

#endif
