/*
 * ca_call - one CreateCertificate: a connection of its own, one question, one answer. A failed one leaves nothing behind that could be
 * stale. Thread: everything on the loop.
 */
#ifndef COX_AGENT_CA_CALL_H
#define COX_AGENT_CA_CALL_H

#include "agent/credentials.h"
#include "loop/loop.h"

struct cox_agent_ca_call;

struct cox_agent_ca_call_spec {
	struct cox_loop *loop;
	const struct cox_agent_endpoint *to;             /* borrowed until close */
	const struct cox_agent_credentials *credentials; /* borrowed until return */
	struct cox_str csr_pem, cert_signer;
	int64_t ttl_s;
	/* Once, unless closed before; never from inside open. COX_OK: `response` is the message (borrowed). */
	void (*done)(void *ctx, enum cox_rc rc, struct cox_str response, const struct cox_err *err);
	void *ctx;
};
COX_MUST_USE enum cox_rc cox_agent_ca_call_open(const struct cox_agent_ca_call_spec *spec, struct cox_agent_ca_call **out,
                                                struct cox_err *err);
/* No callback after this. Accepts NULL. Allowed in done(). */
void cox_agent_ca_call_close(struct cox_agent_ca_call **c);

#endif
