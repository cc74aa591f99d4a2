/*
 * distribute - what the CA leaves in the cluster: ConfigMap `istio-ca-root-cert` (and `istio-ca-crl`) in every namespace; Secrets
 * `istio.<service account>` (type istio.io/key-and-cert: cert-chain.pem, key.pem, root-cert.pem) where a namespace opted in; Events before
 * certificates of the CA expire.
 * With `trust_bundle` also ClusterTrustBundle `istio.io:istiod-ca:root-cert` (certificates.k8s.io) of the roots, for pods that mount
 * that; the ConfigMaps stay for those that are there already.
 * Only the leader writes; every replica watches, so that a new leader writes no more than what differs. What somebody else changed or
 * deleted is mended. Secrets are watched by their metadata: keys made for pods are not read back.
 * Opt-in (features c38): label ca.istio.io/override "true" or "false"; else ca.istio.io/env equal to our namespace; else the default.
 * Thread: everything on the config loop.
 */
#ifndef COX_CA_DISTRIBUTE_H
#define COX_CA_DISTRIBUTE_H

#include "ca/revocation.h"

struct cox_distribute;

struct cox_label {
	struct cox_str key, value;
};

struct cox_distribute_spec {
	struct cox_kube_client *kube; /* borrowed */
	struct cox_ca *ca;            /* borrowed */
	struct cox_ledger *ledger;    /* borrowed; may be NULL */
	struct cox_str ns;            /* of the control plane */
	struct cox_str config_map;    /* empty: istio-ca-root-cert (PILOT_CA_CERT_CONFIGMAP) */
	bool trust_bundle;            /* a ClusterTrustBundle too (ENABLE_CLUSTER_TRUST_BUNDLE_API) */
	bool secrets_by_default;      /* namespaces without a label (CITADEL_ENABLE_NAMESPACES_BY_DEFAULT) */
	int64_t secret_ttl_s;         /* 0: the CA's default */
	double grace_ratio;           /* of a secret's life left at which it is written anew; 0: 0.5 */
};
void cox_distribute_open(const struct cox_distribute_spec *spec, struct cox_distribute **out);
void cox_distribute_close(struct cox_distribute **d);

void cox_distribute_lead(struct cox_distribute *d, bool is_leader);
/* What the source tells; labels are copied. */
void cox_distribute_ns(struct cox_distribute *d, struct cox_str ns, const struct cox_label *labels, size_t n, bool exists);
void cox_distribute_account(struct cox_distribute *d, struct cox_str ns, struct cox_str name, bool exists);
/* The CA's latest. */
void cox_distribute_bundle(struct cox_distribute *d, const struct cox_ca_bundle *b);
/* An Event about the CA's certificates in our namespace; the same reason at most once a day. Written by the leader only. */
void cox_distribute_warn(struct cox_distribute *d, const char *reason, struct cox_str message);
/* Texts that are not yet as they should be; 0 when a rotation may go on as far as mounted secrets are concerned. */
size_t cox_distribute_behind(const struct cox_distribute *d);

#endif
