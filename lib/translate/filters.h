/*
 * filters - network filters, metadata and names that clusters and listeners of every side share.
 * Pure; each function appends to an open message. What a class of proxy does not have is left out here, so callers need not ask.
 */
#ifndef COX_TRANSLATE_FILTERS_H
#define COX_TRANSLATE_FILTERS_H

#include "envoy/api.h"
#include "translate/translate.h"

enum cox_dir { COX_DIR_OUTBOUND, COX_DIR_INBOUND, COX_DIR_GATEWAY };

#define COX_BLACKHOLE COX_STR("BlackHoleCluster")
#define COX_PASSTHROUGH COX_STR("PassthroughCluster")
#define COX_ALLOW_ANY_DNS COX_STR("AllowAnyDynamicDNSCluster") /* MeshConfig mode ALLOW_ANY_DYNAMIC_DNS */
#define COX_ALLOW_ANY_DNS_CACHE COX_STR("allow_any_dfp_dns_cache")
#define COX_INBOUND_PASSTHROUGH_CLUSTER COX_STR("InboundPassthroughCluster")

/* The TCP metadata exchange filter (class ISTIO only; inbound chains carry it first, outbound ones not). */
void cox_filter_mx(struct pb_listener_v3_FilterChain fc, const struct cox_tr *t);
/* The same on an upstream cluster. */
void cox_filter_cluster_mx(struct pb_cluster_v3_Cluster c, const struct cox_tr *t);
/* istio.stats for TCP (class ISTIO only, where the mesh's metrics provider is prometheus). */
void cox_filter_tcp_stats(struct pb_listener_v3_FilterChain fc, const struct cox_tr *t, enum cox_dir dir);
/* The same for HTTP filter chains: whether this proxy gets it, and its configuration. Takes an Any just begun, and ends it. */
bool cox_filter_has_stats(const struct cox_tr *t);
void cox_filter_stats_config(struct pb_google_protobuf_Any any, enum cox_dir dir);

/* A destination of a TCP proxy. */
struct cox_tcp_target {
	struct cox_str cluster;
	int64_t weight;
};
struct cox_tcp_proxy {
	struct cox_str stat_prefix;
	const struct cox_tcp_target *targets; /* one: cluster; more: weighted_clusters in this order */
	size_t target_n;
	const struct cox_dr *dr;      /* of the first target: idle timeout, source IP hash, tunnel; NULL inbound */
	struct cox_str subset;        /* of the first target: its policy is layered over the rule's */
	uint16_t port;                /* service port of the first target: port level settings */
	enum cox_protocol protocol;   /* mongo gets its protocol filter in front */
	struct cox_str sni_dns_cache; /* the server is resolved by the name that the client asks for; empty: it is not */
	bool no_access_log;
	struct cox_opt_i64 idle_timeout_ns; /* node metadata IDLE_TIMEOUT: wins over the rule */
};
/* Mongo's filter where the protocol asks for it, then the TCP proxy. Add mx and stats before. */
void cox_filter_tcp_proxy(struct pb_listener_v3_FilterChain fc, const struct cox_tr *t, const struct cox_tcp_proxy *p);
/* A whole TCP chain body: mx (inbound), stats, tcp proxy. */
void cox_filters_tcp(struct pb_listener_v3_FilterChain fc, const struct cox_tr *t, enum cox_dir dir, const struct cox_tcp_proxy *p);

/* Access logs of the mesh configuration (accessLogFile, or defaultProviders.accessLogging of kind envoyFileAccessLog): false: none. */
bool cox_access_log_is_on(const struct cox_tr *t);
/* Whose log: LISTENER has only connections that no filter chain took (response flag NR). */
enum cox_log_of { COX_LOG_OF_HTTP, COX_LOG_OF_TCP, COX_LOG_OF_LISTENER };
/* `open(arg)` begins one more AccessLog in the caller's message; called once per log. */
void cox_access_logs(const struct cox_tr *t, enum cox_log_of of, struct pb_accesslog_v3_AccessLog (*open)(void *arg), void *arg);

/* The address family in which DNS names are resolved for this proxy. */
int cox_dns_family(const struct cox_view *v);
/* The address of a listener; for a proxy with addresses of both families "any address" means those of IPv6 too. */
void cox_listener_address_write(struct pb_listener_v3_Listener l, const struct cox_view *v, struct cox_str bind, uint16_t port);
/* Where connections to the application come from: traffic capture leaves these alone, so that they reach it and do not come back. */
void cox_inbound_source_write(struct pb_cluster_v3_Cluster c, const struct cox_view *v);

/* --- metadata.filter_metadata.istio of clusters and routes ---------------------------------------- */
struct cox_istio_service {
	struct cox_str host, name, ns;
};
struct cox_istio_metadata {
	const struct cox_istio_service *services;
	size_t service_n;
	struct cox_str config; /* cox_istio_config_path() or empty */
	struct cox_str subset;
	bool no_alpn_override; /* writes alpn_override "false": the peer is not of the mesh's TLS */
	bool is_external;
	struct cox_str finding; /* what was left out of this resource and why: for a reader of the proxy's dump */
};
/* Nothing to say: writes nothing. `open` begins the Metadata. */
bool cox_istio_metadata_is_empty(const struct cox_istio_metadata *md);
void cox_istio_metadata_write(struct pb_core_v3_Metadata m, const struct cox_istio_metadata *md);
/* "/apis/networking.istio.io/v1/namespaces/<ns>/<kind>/<name>": kind is "virtual-service" or "destination-rule". */
struct cox_str cox_istio_config_path(struct cox_arena *a, const char *kind, struct cox_str ns, struct cox_str name);

/* --- names ------------------------------------------------------------------------------------- */
/* "outbound|80|v1|reviews.default.svc.cluster.local"; inbound: no subset and host. */
struct cox_str cox_cluster_name(struct cox_arena *a, const char *direction, uint16_t port, struct cox_str subset, struct cox_str host);
/* "outbound_.80_.v1_.reviews.default.svc.cluster.local" */
struct cox_str cox_cluster_sni(struct cox_arena *a, uint16_t port, struct cox_str subset, struct cox_str host);
/* One socket address, or a pipe for "unix:///path". */
void cox_address_write(struct pb_core_v3_Address addr, struct cox_str ip, uint16_t port);

#endif
