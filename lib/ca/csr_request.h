/*
 * csr_request - istio.v1.auth.IstioCertificateRequest and Response on the wire. Pure.
 */
#ifndef COX_CA_CSR_REQUEST_H
#define COX_CA_CSR_REQUEST_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"

enum { COX_CSR_REQUEST_BYTES_MAX = 256 * 1024 }; /* a CSR ends at 64 KiB; the rest is metadata */

struct cox_csr_request {
	struct cox_str csr;          /* PEM */
	int64_t validity_s;          /* 0 or less: the default */
	struct cox_str cert_signer;  /* metadata CertSigner; empty: none */
	struct cox_str impersonated; /* metadata ImpersonatedIdentity; empty: none */
};
/* Text in `bytes` or `arena`. COX_EPROTO: not this message. COX_EINVAL: no CSR, or metadata of another type. COX_ELIMIT: too long. */
COX_MUST_USE enum cox_rc cox_csr_request_read(struct cox_str bytes, struct cox_arena *arena, struct cox_csr_request *out,
                                              struct cox_err *err);
/* Appends the response: the leaf, each certificate of `chain_pem` by itself, and all roots in the last item. COX_EINVAL: the chain is
 * broken. */
COX_MUST_USE enum cox_rc cox_csr_response_write(struct cox_str leaf_pem, struct cox_str chain_pem, const struct cox_str *roots_pem,
                                                size_t root_n, struct cox_buf *out, struct cox_err *err);

/* The other side, for a CA elsewhere. Appends the request. */
void cox_csr_request_write(const struct cox_csr_request *q, struct cox_buf *out);
/* Appends the chain of a response, leaf first, as one PEM text, without the last item: those are the roots, which nobody is told by a peer.
 * COX_EPROTO: not this message, or without roots. COX_ELIMIT: too long. */
COX_MUST_USE enum cox_rc cox_csr_response_read(struct cox_str bytes, struct cox_buf *pem, struct cox_err *err);

#endif
