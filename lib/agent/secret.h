/*
 * secret - Envoy's Secret messages from PEM, and bytes that must not stay in memory. Pure.
 */
#ifndef COX_AGENT_SECRET_H
#define COX_AGENT_SECRET_H

#include "agent/trust.h"

/* Overwrites and frees. For COX_AUTO. */
void cox_agent_secret_fini(struct cox_buf *b);
/* Appends a tls_certificate. The buffer is reserved first, so that growing leaves no copy of the key behind; the caller wipes it. */
void cox_agent_secret_write_cert(struct cox_str name, struct cox_str chain_pem, struct cox_str key_pem, struct cox_buf *out);
/* Appends a validation_context that trusts `roots_pem`. With a CRL, Envoy checks it on the leaf alone: a chain may have an issuer without
 * one. */
void cox_agent_secret_write_roots(struct cox_str name, struct cox_str roots_pem, struct cox_str crl_pem, struct cox_buf *out);
/* Appends a validation_context that trusts each authority for the identities of its own domain alone (Envoy's SPIFFE validator, which knows
 * no CRL). */
void cox_agent_secret_write_domains(struct cox_str name, const struct cox_agent_trusted *domains, size_t n, struct cox_buf *out);

#endif
