/*
 * credentials - how the agent proves who it is to the control plane, and what it believes of it. Blocks (files, keys): for workers.
 */
#ifndef COX_AGENT_CREDENTIALS_H
#define COX_AGENT_CREDENTIALS_H

#include "agent/identity_config.h"
#include "net/tls.h"

enum { COX_AGENT_TOKEN_COMMAND_MS = 10 * 1000 };

/* All borrowed until return. */
struct cox_agent_credentials_spec {
	const struct cox_agent_endpoint *to;
	const char *token_file, *prov_cert;
	const char *const *token_command;  /* NULL: the file */
	struct cox_str chain_pem, key_pem; /* the workload's own certificate while it is valid; empty: none */
	struct cox_str roots_pem;          /* trusted by the workload: count beside the root file, which may lag behind a rotation */
	bool prefers_cert;                 /* before the token */
	bool may_be_nobody;                /* else one of them is needed */
};
struct cox_agent_credentials {
	struct cox_tls *tls;          /* NULL: clear text */
	struct cox_buf authorization; /* "Bearer ..."; empty: none */
	bool has_cert;
};
/* The token is read, or its command run (for at most COX_AGENT_TOKEN_COMMAND_MS), anew each time: they last an hour or less. COX_EAUTH:
 * neither token nor certificate; else why roots or certificate cannot be used. */
COX_MUST_USE enum cox_rc cox_agent_credentials_load(const struct cox_agent_credentials_spec *spec, struct cox_agent_credentials *out,
                                                    struct cox_err *err);
void cox_agent_credentials_fini(struct cox_agent_credentials *c);

#endif
