/*
 * discovery - what the agent itself reads and writes of other programs' messages, beside requests (envoy/discovery.h): heads of responses
 * (state of the world and delta), the resources that are meant for the agent, the CA's answer. Pure; everything read points into the bytes
 * or the arena.
 */
#ifndef COX_AGENT_DISCOVERY_H
#define COX_AGENT_DISCOVERY_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "envoy/discovery.h"

enum {
	COX_AGENT_NAMES_MAX = 1024, /* secrets on one stream: Envoy asks for one a stream */
	COX_AGENT_ROOTS_MAX = 256,  /* roots of a mesh: one or two, and those of federated ones */
};

/* Appends what gives this node to a request that has none. Nothing when `node` is empty. */
void cox_agent_request_append_node(struct cox_str node, bool is_delta, struct cox_buf *request);

/* A DiscoveryResponse or DeltaDiscoveryResponse without its resources but the first. */
struct cox_agent_response {
	struct cox_str type_url, nonce, version; /* version: of the response, or of the first resource */
	struct cox_str first;                    /* the value of the first resource; empty: there is none */
	size_t resource_n;
};
COX_MUST_USE enum cox_rc cox_agent_response_read(struct cox_str bytes, bool is_delta, struct cox_agent_response *out, struct cox_err *err);

/* Appends a request of our own: a subscription to everything of a type (empty nonce), an acknowledgement, or with `error` a rejection. */
void cox_agent_request_write(bool is_delta, struct cox_str type_url, struct cox_str version, struct cox_str nonce, struct cox_str error,
                             struct cox_buf *out);

struct cox_agent_trust_domain {
	struct cox_str name;
	const struct cox_str *roots_pem;
	size_t root_n;
};
/* coxswain.v1.TrustBundle, as far as its form goes: the certificates in it are not looked at. */
struct cox_agent_trust_bundle {
	struct cox_str trust_domain, crl_pem, issuer_key_id, phase;
	const struct cox_str *roots_pem;
	size_t root_n;
	const struct cox_agent_trust_domain *domains; /* none: roots_pem are all */
	size_t domain_n;
	uint64_t generation;
};
COX_MUST_USE enum cox_rc cox_agent_trust_bundle_read(struct cox_str bytes, struct cox_arena *arena, struct cox_agent_trust_bundle *out,
                                                     struct cox_err *err);
/* The caCertificatesPem of an istio.mesh.v1alpha1.ProxyConfig. */
COX_MUST_USE enum cox_rc cox_agent_mesh_roots_read(struct cox_str bytes, struct cox_arena *arena, const struct cox_str **roots, size_t *n,
                                                   struct cox_err *err);
/* The cert_chain of an IstioCertificateResponse: leaf, intermediates, and last the roots. COX_EPROTO: fewer than two elements. */
COX_MUST_USE enum cox_rc cox_agent_csr_response_read(struct cox_str bytes, struct cox_arena *arena, const struct cox_str **chain, size_t *n,
                                                     struct cox_err *err);

#endif
