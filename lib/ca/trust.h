/*
 * trust - the bundle as resources for ADS: coxswain.v1.TrustBundle for cox-agent (all of it), istio.mesh.v1alpha1.ProxyConfig for
 * pilot-agent (the roots, features c12). Pure; both are pushed to every proxy that asks.
 */
#ifndef COX_CA_TRUST_H
#define COX_CA_TRUST_H

#include "ca/authority.h"
#include "translate/resource.h"

/* Who is trusted for the identities of one trust domain. */
struct cox_trust_domain {
	struct cox_str name;
	const struct cox_str *roots_pem; /* one certificate each */
	size_t root_n;
};
/* A set with one resource, of type COX_TYPE_TRUST or COX_TYPE_PCDS. Gives. The generation inside is a hash of the content, equal on all
 * replicas. `domains`: all that the mesh trusts, its own too, where others have roots of their own; none: the bundle's roots are all. */
struct cox_set *cox_trust_set_build(const struct cox_ca_bundle *b, const struct cox_trust_domain *domains, size_t n, enum cox_type type);

#endif
