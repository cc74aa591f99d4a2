/*
 * identity_job - what identity does on a worker: pure steps on a job's own data.
 */
#ifndef COX_AGENT_IDENTITY_JOB_H
#define COX_AGENT_IDENTITY_JOB_H

#include "agent/credentials.h"
#include "agent/identity.h"

struct cox_agent_identity_job {
	const struct cox_agent_identity_config *config;
	/* in */
	struct cox_buf chain_pem, key_pem, roots_pem; /* the certificate in force, and what is trusted; prepare */
	struct cox_buf response;                      /* of the CA; check */
	/* between */
	struct cox_buf new_key_pem, csr_pem;
	struct cox_agent_credentials credentials;
	/* out */
	struct cox_agent_cert *cert;
	enum cox_rc rc;
	struct cox_err err;
};
/* Reads the token and makes key, request and TLS context. */
void cox_agent_identity_job_prepare(struct cox_agent_identity_job *j);
/* Makes a certificate of the CA's answer: it must be for the new key, be valid now, and chain to the roots that came with it. Writes
 * OUTPUT_CERTS. */
void cox_agent_identity_job_check(struct cox_agent_identity_job *j);
/* Makes a certificate of the mounted files. */
void cox_agent_identity_job_read(struct cox_agent_identity_job *j);
void cox_agent_identity_job_fini(struct cox_agent_identity_job *j);
void cox_agent_cert_free(struct cox_agent_cert **c);

#endif
