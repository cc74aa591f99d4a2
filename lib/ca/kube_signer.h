/*
 * kube_signer - certificates by a signer of the Kubernetes API (EXTERNAL_CA=ISTIOD_RA_KUBERNETES_API): we are the registration authority.
 * We check who asks, as ever; then a CertificateSigningRequest is made of the caller's own CSR, approved, and read until the signer has
 * put the certificate into its status.
 *   create -> approve -> read with patience, until the deadline -> delete -> answer
 * Needs, as istiod does: certificatesigningrequests create, get, delete; certificatesigningrequests/approval update; signers approve.
 * Thread: the config loop.
 */
#ifndef COX_CA_KUBE_SIGNER_H
#define COX_CA_KUBE_SIGNER_H

#include "ca/authority.h"
#include "kube/client.h"

struct cox_kube_signer_spec {
	struct cox_loop *loop;
	struct cox_kube_client *kube; /* borrowed */
	struct cox_str signer;        /* K8S_SIGNER: for who names none; empty: a request must name one */
	struct cox_str domain;        /* CERT_SIGNER_DOMAIN: "domain/CertSigner" signs; empty: CertSigner is ignored */
	struct cox_str trust_domain;
	int64_t default_ttl_s, max_ttl_s;
	int64_t deadline_ms; /* for the signer; 0: 15 s */
};
/* Copies text. COX_EINVAL: neither signer nor domain, or not of the form "domain/name". */
COX_MUST_USE enum cox_rc cox_kube_signer_open(const struct cox_kube_signer_spec *spec, const struct cox_ca_cb *cb, struct cox_ca **out,
                                              struct cox_err *err);

#endif
