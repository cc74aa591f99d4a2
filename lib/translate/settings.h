/*
 * settings - what a proxy's own ProxyConfig says of its listeners, routes and clusters: the mesh's defaultConfig with what the proxy's
 * metadata PROXY_CONFIG says laid over it, and the defaults of a profile. Pure.
 */
#ifndef COX_TRANSLATE_SETTINGS_H
#define COX_TRANSLATE_SETTINGS_H

#include "translate/hcm.h"

/* The mesh's, or the view's own. Never NULL. */
const struct cox_proxy_config *cox_settings_of(const struct cox_tr *t);
/* Identity of what is the view's own; the mesh's part is in mesh_hash. */
struct cox_hash cox_settings_hash(const struct cox_tr *t);
/* connectionSettings with the profile's defaults: EDGE counts for routers only. Unset members: say nothing. */
struct cox_connection_settings cox_settings_connections(const struct cox_tr *t);

/* proxyHeaders, answered. */
struct cox_header_settings {
	struct cox_str server; /* empty: not written */
	bool server_passes, no_request_id, no_attempt_count, no_debug_headers, mx_in_mesh, keeps_case, forwarded_host, forwarded_port;
};
struct cox_header_settings cox_settings_headers(const struct cox_tr *t, enum cox_hcm_side side);

/* Everything of the connection manager that these settings decide: client certificates, header rules, paths, time-outs, protocol options.
 */
struct pb_filters_network_http_connection_manager_v3_HttpConnectionManager;
void cox_settings_hcm_write(struct pb_filters_network_http_connection_manager_v3_HttpConnectionManager h, const struct cox_hcm *o);
/* header_key_format that keeps the case of letters, of HTTP/1 towards clients and servers. */
struct pb_core_v3_Http1ProtocolOptions;
void cox_settings_keep_case_write(struct pb_core_v3_Http1ProtocolOptions p);
/* Buffers, and for a router the PROXY protocol where the topology says so (the filter comes first: call before other listener filters). */
struct pb_listener_v3_Listener;
void cox_settings_listener_write(struct pb_listener_v3_Listener l, const struct cox_tr *t);
/* Exact balance, where the proxy's metadata asks for it: on listeners that take connections themselves. */
void cox_settings_balance_write(struct pb_listener_v3_Listener l, const struct cox_tr *t, enum cox_hcm_side side);
/* listenerConnectionLimit, as the first filter of a chain. */
struct pb_listener_v3_FilterChain;
void cox_settings_chain_write(struct pb_listener_v3_FilterChain fc, const struct cox_tr *t, struct cox_str stat_prefix);

#endif
