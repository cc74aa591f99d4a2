/*
 * trust - which roots the workload trusts, from what it was told: a TrustBundle (coxswaind: exactly these, and a CRL), or, where nobody
 * sends one (istiod), the root that came with its own certificate and those of the mesh (PCDS). Pure but for its memory; one thread.
 */
#ifndef COX_AGENT_TRUST_H
#define COX_AGENT_TRUST_H

#include "base/buf.h"
#include "base/err.h"

struct cox_agent_trust;

struct cox_agent_trusted {
	struct cox_str domain, roots_pem;
};
/* What the last TrustBundle said beside roots. Borrowed until the next set. */
struct cox_agent_trust_info {
	bool has_bundle;
	bool must_renew; /* phase SIGN: certificates by another issuer than issuer_key_id are to be replaced */
	uint64_t generation;
	struct cox_str trust_domain, phase, issuer_key_id, crl_pem;
	/* The roots by trust domain, where the mesh trusts others' too. PEM in one text each. */
	const struct cox_agent_trusted *domains;
	size_t domain_n;
};

struct cox_agent_trust *cox_agent_trust_new(void);
void cox_agent_trust_free(struct cox_agent_trust **t);

/* The bytes of a coxswain.v1.TrustBundle. COX_EINVAL, COX_EPROTO: no root, or a broken one; what was known stays. */
COX_MUST_USE enum cox_rc cox_agent_trust_set_bundle(struct cox_agent_trust *t, struct cox_str bytes, struct cox_err *err);
/* The roots that came with the workload's certificate. Beside a bundle they count only when they are younger than it and it does not have
 * them: then another control plane has taken over, and its next bundle decides. */
COX_MUST_USE enum cox_rc cox_agent_trust_set_issued(struct cox_agent_trust *t, struct cox_str roots_pem, struct cox_err *err);
/* The bytes of an istio.mesh.v1alpha1.ProxyConfig (PCDS). Not used beside a bundle. */
COX_MUST_USE enum cox_rc cox_agent_trust_set_mesh(struct cox_agent_trust *t, struct cox_str bytes, struct cox_err *err);

/* Appends the certificates to trust now, each once. Nothing while nothing is known. */
void cox_agent_trust_write(const struct cox_agent_trust *t, struct cox_buf *roots_pem);
struct cox_agent_trust_info cox_agent_trust_info(const struct cox_agent_trust *t);

#endif
