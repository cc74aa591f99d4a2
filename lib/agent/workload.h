/*
 * workload - the identity half of `cox-agent proxy`: certificate, trust, secrets for Envoy, and its way to the control plane, put together.
 * Thread: everything on the loop. Owns: one worker thread, the sockets, everything below.
 *
 *   identity --certificate--> sds <-----secrets-----  Envoy  ----ADS----> ads_proxy --> control plane
 *   trust ----roots, CRL----> sds                                            |
 *     ^--------- TrustBundle, PCDS: the agent's own subscriptions -----------+--> name table
 *
 * A TrustBundle is acknowledged when Envoy has taken the roots made of it and, while its phase is SIGN, a certificate by its issuer too:
 * the control plane goes on with a rotation by these acknowledgements. Nobody who uses neither is waited for.
 */
#ifndef COX_AGENT_WORKLOAD_H
#define COX_AGENT_WORKLOAD_H

#include "agent/health.h"
#include "agent/identity_config.h"
#include "loop/loop.h"

struct cox_agent_workload;

struct cox_agent_workload_spec {
	struct cox_loop *loop;
	const struct cox_agent_identity_config *config; /* borrowed until closed() */
	/* The bytes of an istio.networking.nds.v1.NameTable, whenever there is another one; a failure rejects it. NULL: it is not asked
	 * for. */
	enum cox_rc (*on_name_table)(void *ctx, struct cox_str table, struct cox_err *err);
	const struct cox_agent_health_config *health; /* borrowed until closed(); NULL: somebody else watches the application */
	uint16_t tap_port;                            /* 0: no tap */
	struct cox_str node; /* encoded, where there is no Envoy: the agent speaks to the control plane for itself; borrowed until return */
	void *ctx;
};
/* The sockets are there when it returns; the certificate follows. COX_EINVAL with the socket's path. */
COX_MUST_USE enum cox_rc cox_agent_workload_open(const struct cox_agent_workload_spec *spec, struct cox_agent_workload **out,
                                                 struct cox_err *err);
/* NULL: whoever needs the certificate can have it; else what is missing. */
const char *cox_agent_workload_missing(const struct cox_agent_workload *w);
/* Ends everything; closed(ctx) when nothing is left (may be NULL). */
void cox_agent_workload_close(struct cox_agent_workload **w, void (*closed)(void *ctx), void *ctx);

#endif
