/*
 * hcm - the HTTP connection manager of every side: its HTTP filters in order, tracing, constants
 * (protocol facts, sections 5 and 18). The access logs are filters.h's. Pure.
 */
#ifndef COX_TRANSLATE_HCM_H
#define COX_TRANSLATE_HCM_H

#include "envoy/envoy.h"
#include "model/mesh.h"
#include "model/proxy.h"
#include "translate/translate.h"

enum cox_hcm_side { COX_HCM_OUTBOUND, COX_HCM_INBOUND, COX_HCM_GATEWAY };

/* Literal trace tags of class ISTIO; an empty member writes no tag. Class UPSTREAM has none: its outbound listeners do not depend on the
 * workload. */
struct cox_hcm_identity {
	struct cox_str cluster_id, canonical_name, canonical_revision, mesh_id, ns;
};
/* Of a scope view, and of a workload (its own names; class UPSTREAM too: an inbound listener belongs to one workload). */
struct cox_hcm_identity cox_hcm_identity_of_view(const struct cox_view *v);
struct cox_hcm_identity cox_hcm_identity_of_workload(const struct cox_workload *w);

struct cox_hcm {
	enum cox_hcm_side side;
	const struct cox_tr *t; /* class of the proxy, mesh configuration */
	struct cox_hcm_identity identity;
	struct cox_str stat_prefix;  /* as written, delimiter included: "outbound_0.0.0.0_80;" */
	struct cox_str route_name;   /* RDS over ADS; or, where empty: */
	struct cox_str route_config; /* an encoded RouteConfiguration */
	bool has_grpc_web, http10;
	bool is_mtls;      /* ends the mesh's mTLS: what is revoked is refused here while something is (guard.h) */
	bool has_deadline; /* deadline.h */
	bool has_sessions; /* session.h; never inbound */
	/* routes need envoy.filters.http.dynamic_forward_proxy: names of DNS caches, one a line; else empty */
	struct cox_str dynamic_dns_caches;
	struct cox_opt_i64 idle_timeout_ns; /* node metadata IDLE_TIMEOUT: common_http_protocol_options */
	COX_LIST(struct cox_str)
	limit_filters; /* encoded HttpFilters of RateLimitPolicies: behind those, so that only who may call is counted */
	COX_LIST(struct cox_str)
	security_filters; /* encoded HttpFilters (JWT, RBAC, ext_authz) in their order; stand behind metadata exchange */
};
/* Adds the filter envoy.filters.network.http_connection_manager to `filter` (an empty pb_listener_v3_Filter). */
void cox_hcm_write(struct pb_listener_v3_Filter filter, const struct cox_hcm *h);

#endif
