/*
 * cluster - one outbound cluster from a service port, a subset and the DestinationRule in force (protocol facts, sections 3 and 7).
 * Sidecars get all of their scope (cox_translate_clusters); routers ask for those that their routes name.
 * Pure.
 */
#ifndef COX_TRANSLATE_CLUSTER_H
#define COX_TRANSLATE_CLUSTER_H

#include "envoy/api.h"
#include "translate/translate.h"

/* Traffic policy of one cluster after layering; NULL members: defaults. */
struct cox_policy {
	const struct cox_load_balancer *lb;
	const struct cox_connection_pool *pool;
	const struct cox_outlier_detection *outlier;
	const struct cox_client_tls *tls;
	const struct cox_tunnel *tunnel;
	const struct cox_proxy_protocol_settings *proxy_protocol;
	const struct cox_retry_budget *retry_budget;
};
/* Port settings replace the rule's wholesale; the subset's override field by field, its port settings wholesale; the mesh's default
 * policy fills pool and outlier detection that are left. `dr` may be NULL; subset empty or unknown: the rule's own. */
struct cox_policy cox_policy_of(const struct cox_mesh_config *mesh, const struct cox_dr *dr, struct cox_str subset, uint16_t port);
/* For inbound clusters: the rule's top level and port level only. */
struct cox_policy cox_policy_inbound(const struct cox_mesh_config *mesh, const struct cox_dr *dr, uint16_t port);
const struct cox_subset *cox_dr_subset_find(const struct cox_dr *dr, struct cox_str name);

enum cox_discovery {
	COX_DISCOVERY_NONE,
	COX_DISCOVERY_EDS,
	COX_DISCOVERY_STRICT_DNS,
	COX_DISCOVERY_LOGICAL_DNS,
	COX_DISCOVERY_ORIGINAL_DST,
	COX_DISCOVERY_DFP
};

/* Everything that one cluster, and its endpoints, are made of. */
struct cox_cluster_spec {
	const struct cox_snap_svc *snap;
	const struct cox_svc_port *port;
	const struct cox_dr *dr;         /* may be NULL */
	const struct cox_subset *subset; /* NULL: all endpoints */
	struct cox_policy policy;
	enum cox_discovery discovery; /* NONE: there is no such cluster */
	bool is_sni_dnat; /* AUTO_PASSTHROUGH gateways: named outbound_.80_._.host, mTLS passes through, endpoints of the mesh only */
};
/* Looks the rule up and layers the policy. False: the service has no such port, the rule no such subset, or no cluster is made for it. */
bool cox_cluster_spec_find(const struct cox_tr *t, const struct cox_snap_svc *snap, uint16_t port, struct cox_str subset, bool is_sni_dnat,
                           struct cox_cluster_spec *out);
/* The name on the wire, in the job's arena. */
struct cox_str cox_cluster_spec_name(const struct cox_tr *t, const struct cox_cluster_spec *spec);
/* The cluster; from the memo where nothing that it reads has changed. Gives. */
const struct cox_resource *cox_cluster_build(struct cox_tr *t, const struct cox_cluster_spec *spec);
/* Calls `visit` for every cluster that the service's ports and subsets make (only_port 0: all). */
void cox_cluster_each(const struct cox_tr *t, const struct cox_snap_svc *snap, uint16_t only_port, bool is_sni_dnat,
                      void (*visit)(void *arg, const struct cox_cluster_spec *spec), void *arg);

/* BlackHoleCluster, PassthroughCluster, InboundPassthroughCluster. Give. */
const struct cox_resource *cox_cluster_blackhole(struct cox_tr *t);
const struct cox_resource *cox_cluster_passthrough(struct cox_tr *t);
const struct cox_resource *cox_cluster_allow_any_dns(struct cox_tr *t); /* scopes with is_dynamic_dns */
const struct cox_resource *cox_cluster_inbound_passthrough(struct cox_tr *t);

/* The cluster (or, where it is a name of ours that does not exist, nothing): for a router's references. Parses "outbound|80|v1|host". */
bool cox_cluster_name_parse(struct cox_str name, uint16_t *port, struct cox_str *subset, struct cox_str *host);

#endif
