/*
 * trust - the bundle as resources for ADS: coxswain.v1.TrustBundle for cox-agent (all of it), istio.mesh.v1alpha1.ProxyConfig for
 * pilot-agent (the roots, features c12). Pure; both are pushed to every proxy that asks.
 */
#ifndef COX_CA_TRUST_H
#define COX_CA_TRUST_H

#include "ca/authority.h"
#include "translate/resource.h"

/* A set with one resource, of type COX_TYPE_TRUST or COX_TYPE_PCDS. Gives. The generation inside is a hash of the content, equal on all
 * replicas. */
struct cox_set *cox_trust_set_build(const struct cox_ca_bundle *b, enum cox_type type);

#endif
