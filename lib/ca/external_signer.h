/*
 * external_signer - certificates by another CA that speaks istio.v1.auth.IstioCertificateService (EXTERNAL_CA=grpc). We check who asks;
 * the caller's own CSR and lifetime go on with metadata ImpersonatedIdentity, so that CA must trust us with every identity of the mesh
 * (another coxswaind: COXSWAIN_CA_TRUSTED_AUTHORITIES). It signs no names of servers: ours come from --tlsCertFile.
 * One connection, made when it is needed and made anew after it broke. Thread: the config loop.
 */
#ifndef COX_CA_EXTERNAL_SIGNER_H
#define COX_CA_EXTERNAL_SIGNER_H

#include "ca/authority.h"
#include "net/addr.h"

struct cox_external_signer_spec {
	struct cox_loop *loop;
	struct cox_str addr;        /* EXTERNAL_CA_ADDR: "host:port" or "unix:/path" */
	struct cox_str server_name; /* that its certificate must have; empty: the host */
	/* What we prove who we are with; files are read anew for each call or connection. NULL: none; at least one of the two ways. */
	const char *token_file;
	const char *cert_file, *key_file;
	const char *root_file; /* that its server certificate ends in */
	struct cox_str trust_domain;
	int64_t deadline_ms; /* of one signature; 0: 10 s */
};
/* Copies text. COX_EINVAL: an address that is none, or no credentials. */
COX_MUST_USE enum cox_rc cox_external_signer_open(const struct cox_external_signer_spec *spec, const struct cox_ca_cb *cb,
                                                  struct cox_ca **out, struct cox_err *err);

#endif
