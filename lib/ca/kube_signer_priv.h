/* kube_signer_priv - what is read of a CertificateSigningRequest. Pure: foreign bytes, fuzzed. */
#ifndef COX_CA_KUBE_SIGNER_PRIV_H
#define COX_CA_KUBE_SIGNER_PRIV_H

#include "base/arena.h"
#include "base/err.h"

/* The certificate in its status, in `arena`. COX_EAGAIN: not there yet, or no such object; COX_EDENIED: refused, with the reason. */
COX_MUST_USE enum cox_rc kube_signer_read(struct cox_str body, struct cox_arena *arena, struct cox_str *cert_pem, struct cox_err *err);

#endif
