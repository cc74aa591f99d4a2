/*
 * cluster_priv - the parts of a cluster that outbound and inbound ones share.
 */
#ifndef COX_TRANSLATE_CLUSTER_PRIV_H
#define COX_TRANSLATE_CLUSTER_PRIV_H

#include "translate/cluster.h"

#define COX_HTTP_OPTIONS COX_STR("envoy.extensions.upstreams.http.v3.HttpProtocolOptions") /* key of the extension options */
#define COX_NS_PER_S INT64_C(1000000000)

/* How HTTP is spoken with the upstream. */
struct cox_cluster_http {
	bool is_http2;           /* explicit HTTP/2 */
	bool follows_downstream; /* the protocol of the request is kept */
	bool has_auto_sni, has_auto_san;
	bool keeps_case; /* of letters in HTTP/1 headers */
	const struct cox_connection_pool *pool;
	const struct cox_outlier_detection *outlier;
};
/* Name, alt_stat_name and connect timeout. */
void cox_cluster_head_write(struct pb_cluster_v3_Cluster c, const struct cox_tr *t, struct cox_str name, struct cox_str stat_name,
                            const struct cox_connection_pool *pool);
/* %SERVICE% and the like of MeshConfig.outboundClusterStatName; an empty pattern gives `name`. */
struct cox_str cox_cluster_stat_name(struct cox_arena *a, struct cox_str pattern, struct cox_str name, const struct cox_svc *svc,
                                     const struct cox_svc_port *port, struct cox_str subset);
void cox_cluster_breakers_write(struct pb_cluster_v3_Cluster c, const struct cox_connection_pool *pool,
                                const struct cox_retry_budget *budget);
/* Connection options: keepalive of the pool, else of the mesh. */
void cox_cluster_keepalive_write(struct pb_cluster_v3_Cluster c, const struct cox_tr *t, const struct cox_connection_pool *pool);
/* typed_extension_protocol_options, where there is anything to say. */
void cox_cluster_http_write(struct pb_cluster_v3_Cluster c, const struct cox_cluster_http *h);
bool cox_cluster_http_is_written(const struct cox_cluster_http *h);
/* The pool upgrades this port to HTTP/2. */
bool cox_cluster_upgrades_h2(const struct cox_mesh_config *mesh, const struct cox_connection_pool *pool, enum cox_protocol protocol);
/* Load balancing policy with warmup, and outlier detection with the panic threshold and locality weights. */
void cox_cluster_lb_write(struct pb_cluster_v3_Cluster c, const struct cox_tr *t, const struct cox_cluster_spec *spec);
void cox_cluster_outlier_write(struct pb_cluster_v3_Cluster c, const struct cox_outlier_detection *o);

/* What TLS towards the upstream comes down to. */
struct cox_cluster_tls {
	enum cox_cluster_tls_kind { COX_CLUSTER_TLS_NONE, COX_CLUSTER_TLS_ALWAYS, COX_CLUSTER_TLS_BY_ENDPOINT } kind;
	const struct cox_client_tls *settings;
	struct cox_str finding; /* why asked-for TLS was left out; empty: it was not */
	bool is_explicit;       /* of a rule */
};
struct cox_cluster_tls cox_cluster_tls_of(const struct cox_tr *t, const struct cox_cluster_spec *spec);
/* transport_socket or transport_socket_matches, inside the PROXY protocol where the policy asks for it. */
void cox_cluster_tls_write(struct pb_cluster_v3_Cluster c, const struct cox_tr *t, const struct cox_cluster_spec *spec,
                           const struct cox_cluster_tls *tls, const struct cox_cluster_http *http);

/* A resource under construction: the buffer is the caller's. */
const struct cox_resource *cox_cluster_finish(struct cox_tr *t, struct cox_hash identity, enum cox_type type, struct cox_str name,
                                              struct cox_buf *wire, struct cox_str origins);
/* Found in the memo, or NULL. */
const struct cox_resource *cox_cluster_known(struct cox_tr *t, struct cox_hash identity);
/* The ids of the rules and of the service, joined by '\n'. */
struct cox_str cox_cluster_origins(struct cox_arena *a, const struct cox_svc *svc, const struct cox_dr *dr);
/* Everything of the spec and of the view that every cluster and assignment depends on. */
struct cox_hash cox_cluster_identity(const struct cox_tr *t, const struct cox_cluster_spec *spec, const char *what);
/* What of the proxy's place endpoints depend on: locality, node, network, and labels where failoverPriority looks at them. */
struct cox_hash cox_cluster_place_hash(const struct cox_tr *t, const struct cox_cluster_spec *spec);

#endif
