/*
 * csr_service - istio.v1.auth.IstioCertificateService/CreateCertificate (protocol facts, section 8): a method for a gRPC server.
 * The identity comes from the caller's credential; what the CSR says of names is not read.
 *   stream loop: credentials, request, CSR's form and proof of possession
 *   config loop: rate of the identity, impersonation, revocation, signature
 * Answers: UNAUTHENTICATED (credentials, refused impersonation), INVALID_ARGUMENT (request, CSR, lifetime), PERMISSION_DENIED (revoked),
 * RESOURCE_EXHAUSTED (rate), UNAVAILABLE (kube-apiserver or CA cannot answer now), INTERNAL (all else). Each refusal is a log line and a
 * metric. Thread: open and close on the config loop; the method on any loop of its server.
 */
#ifndef COX_CA_CSR_SERVICE_H
#define COX_CA_CSR_SERVICE_H

#include "ca/authn.h"
#include "ca/revocation.h"
#include "ca/spiffe.h"
#include "net/grpc_server.h"

struct cox_csr_service;
struct cox_csr_service_spec {
	struct cox_loop *loop;   /* the config loop */
	struct cox_authn *authn; /* borrowed */
	/* Who signs: cox_ca_sign with its `ca` (borrowed), or what takes its place in a test. */
	cox_ca_sign_fn *sign;
	struct cox_ca *ca;
	struct cox_ledger *ledger;            /* borrowed; NULL: none */
	struct cox_str trusted_node_accounts; /* CA_TRUSTED_NODE_ACCOUNTS: "ns/name,..." */
	/* COXSWAIN_CA_TRUSTED_AUTHORITIES: "ns/name,..." of other control planes, which have checked who asks: any identity of our trust
	 * domain */
	struct cox_str trusted_authorities;
	/* On the config loop: may this caller, a trusted node account, get a certificate for `wanted`? NULL: nobody may. False with
	 * COX_EAGAIN in err->rc: not known yet. */
	bool (*may_impersonate)(void *ctx, const struct cox_identity *caller, const struct cox_spiffe_id *wanted, struct cox_err *err);
	void *ctx;
	double per_identity_s;     /* certificates a second for one identity; 0: 50 */
	double per_identity_burst; /* and at once: all replicas of a workload have one identity; 0: 1,000 */
};
/* Copies text. COX_EINVAL: a list of accounts is not understood. */
COX_MUST_USE enum cox_rc cox_csr_service_open(const struct cox_csr_service_spec *spec, struct cox_csr_service **out, struct cox_err *err);
/* After the server that has the method is closed, and before the CA is. Accepts NULL. */
void cox_csr_service_close(struct cox_csr_service **s);
/* The method; valid until close. */
const struct cox_grpc_method *cox_csr_service_method(const struct cox_csr_service *s);

#endif
