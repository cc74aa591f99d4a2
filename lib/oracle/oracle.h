/*
 * oracle - where a connection or request goes by a proxy's configuration, decided as Envoy 1.40 decides it. Nothing is sent.
 * In: resources as JSON trees (rendered, or a config dump of Envoy or coxswaind), and what a client does. Out: each choice, and why.
 *
 * Covered, in Envoy's order:
 *   listener      exact address and port, then the wildcard of that port, through use_original_dst (virtualOutbound, virtualInbound) or
 *                 straight to a listener that binds; additional addresses
 *   sniffing      tls_inspector and http_inspector with filter_disabled (port ranges, and/or/not): transport, server name, ALPN
 *   filter chain  destination port, address (longest prefix), server name (exact, wildcards, none), transport, application protocols,
 *                 directly connected source, source type, source prefix, source port: each level is chosen once, never tried again
 *   network       tcp_proxy (cluster, weights), sni_cluster, HTTP connection manager; other filters are named
 *   path          normalize_path, merge_slashes, escaped slashes; host ports stripped
 *   virtual host  exact, suffix wildcard, prefix wildcard (longest first), "*"; case; ignore_port_in_host_matching; require_tls
 *   route         in order: prefix, path_separated_prefix, path, safe_regex (RE2), CONNECT; case; headers (all kinds, invert,
 *                 treat_missing_header_as_empty), query parameters, gRPC, runtime fraction (0 and all), dynamic metadata as far as given
 *   filters       fault (abort, delay, its own headers), CORS preflights, RBAC (peer, header, path, port, address; before TCP as well);
 *                 per-filter configuration of route, virtual host, route configuration. Others are named and taken as letting the
 *                 request pass (named in `unknown`)
 *   action        redirect with its Location, direct response, cluster, header, weights; path and host rewrites, mirrors, timeouts
 *   cluster       kind, endpoints by priority and health (panic), transport socket by endpoint
 * Not covered: scoped routes, matcher trees (filter_chain_matcher, VirtualHost.matcher), route_config of CONNECT-UDP, cluster specifier
 * plugins, internal redirects, JWT, external authorization and other conditions of RBAC (named in `unknown`), what a load balancer picks.
 * Thread: any; pure. Results live in the arena given to cox_oracle_walk() and point into the trees.
 */
#ifndef COX_ORACLE_ORACLE_H
#define COX_ORACLE_ORACLE_H

#include "base/map.h"
#include "base/vec.h"
#include "codec/fields.h"
#include "codec/json.h"
#include "oracle/regex.h"

/* A proxy's configuration, indexed. A zeroed one is empty; end with cox_oracle_fini(). Trees are borrowed. */
struct cox_oracle {
	struct cox_map listeners, clusters, endpoints, routes, vhosts; /* name -> struct cox_json; vhosts: "route/name" (VHDS) */
	COX_VEC(const struct cox_json *) listener_list;                /* in the order in which they came */
	COX_VEC(struct cox_str) vhost_names;
	struct cox_map regexes; /* text -> struct cox_regex, or NO_REGEX */
	struct cox_arena arena;
};
/* {"CDS": {name: resource}, "EDS": ..., "LDS": ..., "RDS": ..., "VHDS": ...} as `coxctl render` writes. */
void cox_oracle_add_rendered(struct cox_oracle *o, const struct cox_json *rendered);
/* envoy.admin.v3.ConfigDump, Envoy's own or coxswaind's. COX_EINVAL: it is none. */
COX_MUST_USE enum cox_rc cox_oracle_add_dump(struct cox_oracle *o, const struct cox_json *dump, struct cox_err *err);
void cox_oracle_fini(struct cox_oracle *o);
const struct cox_json *cox_oracle_cluster_find(const struct cox_oracle *o, struct cox_str name);
/* Endpoints of a cluster: of EDS, or the cluster's own; NULL: none. */
const struct cox_json *cox_oracle_assignment_find(const struct cox_oracle *o, const struct cox_json *cluster);

struct cox_oracle_header {
	struct cox_str name, value; /* the name in any case */
};
/* What a client does. */
struct cox_oracle_request {
	struct cox_str dst_ip, src_ip; /* dst_ip empty: an address that no configuration names */
	uint16_t dst_port, src_port;
	uint16_t
	    capture_port; /* where traffic for that address really arrives (15006); 0: 15001's listener where there is one, else straight */
	bool is_tls;      /* the client speaks TLS on the connection */
	struct cox_str sni;                     /* empty: none */
	struct cox_str alpn;                    /* of the client's TLS, by commas */
	struct cox_str peer;                    /* the SPIFFE id of the certificate that the client shows; empty: none */
	bool is_http;                           /* HTTP, inside of TLS if there is any */
	bool is_http2;                          /* with prior knowledge, or by ALPN */
	struct cox_str method, authority, path; /* path with its query */
	COX_LIST(struct cox_oracle_header) headers;
	const struct cox_json *metadata; /* dynamic metadata by filter, as JSON; NULL: none */
};

enum cox_oracle_outcome {
	COX_ORACLE_NO_LISTENER, /* the connection is refused */
	COX_ORACLE_NO_CHAIN,    /* and closed */
	COX_ORACLE_FORWARD,     /* to one of `targets` */
	COX_ORACLE_NO_UPSTREAM, /* the cluster has nobody: 503, or a reset */
	COX_ORACLE_NO_CLUSTER,  /* a cluster is named that is not there */
	COX_ORACLE_REDIRECT,
	COX_ORACLE_DIRECT_RESPONSE,
	COX_ORACLE_FAULT,       /* aborted on purpose */
	COX_ORACLE_PREFLIGHT,   /* answered by the CORS filter */
	COX_ORACLE_NO_ROUTE,    /* no virtual host, or none of its routes: 404 */
	COX_ORACLE_DENIED,      /* by role based access control: 403, or the connection ends */
	COX_ORACLE_BAD_REQUEST, /* refused before routing */
	COX_ORACLE_UNSUPPORTED, /* something that the oracle cannot decide: `why` says what */
	COX_ORACLE_OUTCOMES
};
const char *cox_oracle_outcome_name(enum cox_oracle_outcome outcome); /* "forward" */

struct cox_oracle_skip { /* a candidate that was not taken */
	size_t index;
	struct cox_str name, why;
};
struct cox_oracle_target {
	struct cox_str cluster;
	double percent;                /* of the requests */
	const struct cox_json *json;   /* the cluster; NULL: it is not there */
	const struct cox_json *weight; /* its entry of weighted_clusters, or NULL */
};
struct cox_oracle_walk {
	enum cox_oracle_outcome outcome;
	int status;         /* that the proxy itself answers; 0: the upstream's, or no HTTP */
	struct cox_str why; /* a sentence where the outcome needs one */
	/* connection */
	const struct cox_json *via, *listener, *chain; /* via: the capturing listener, where there is one */
	ptrdiff_t chain_index;                         /* -1: default_filter_chain */
	struct cox_str chain_why;
	struct cox_str transport, alpn; /* as sniffed: "tls", "raw_buffer"; the protocols by commas */
	bool is_tls_terminated;
	const struct cox_json *network_filter; /* tcp_proxy or HCM: its typed_config */
	/* HTTP */
	bool is_http;
	struct cox_str route_config_name, domain, path, scheme; /* domain: that matched; path: after normalising */
	const struct cox_json *route_config, *vhost, *route;
	size_t route_index;
	struct cox_str route_why; /* what it matched by */
	COX_LIST(struct cox_oracle_skip) skipped;
	COX_LIST(struct cox_str) unknown; /* filters on the way that were not evaluated */
	struct cox_str location, body;    /* of a redirect; of a direct response */
	struct cox_str new_path, new_authority;
	const struct cox_json *fault; /* the fault's configuration in force, or NULL */
	bool is_delayed;              /* surely: 100 % */
	/* upstream */
	COX_LIST(struct cox_oracle_target) targets;
};
/* Everything in `arena`. */
void cox_oracle_walk(struct cox_oracle *o, const struct cox_oracle_request *r, struct cox_arena *arena, struct cox_oracle_walk *out);

/* --- upstream: what is known of a cluster --------------------------------------------------------- */
struct cox_oracle_endpoint {
	struct cox_str address;                     /* "10.0.0.1:9080", a pipe's path, or a name to resolve */
	struct cox_str locality, health, transport; /* "r/z/s"; "HEALTHY"; the name of the transport socket in force, or "raw_buffer" */
	int64_t priority, weight;
	bool is_usable;                /* may get requests now: of the priority in force, healthy or in panic */
	const struct cox_json *socket; /* transport_socket in force, or NULL */
};
/* In priority order, as given. `count` gets how many. */
const struct cox_oracle_endpoint *cox_oracle_endpoints(const struct cox_oracle *o, const struct cox_json *cluster, struct cox_arena *arena,
                                                       size_t *count);
/* Can a request go anywhere: usable endpoints, or a kind that needs none (ORIGINAL_DST, DNS, dynamic forward proxy). */
bool cox_oracle_cluster_has_upstream(const struct cox_oracle *o, const struct cox_json *cluster);

#endif
