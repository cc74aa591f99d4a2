/* gateway_priv.h - the plan of a router: its Gateways' servers, listeners by address, and the route configurations they name. */
#ifndef COX_TRANSLATE_GATEWAY_PRIV_H
#define COX_TRANSLATE_GATEWAY_PRIV_H

#include "translate/cluster.h"
#include "translate/listener.h"
#include "translate/secret.h"

struct gw_server { /* a server of a Gateway that selects this router */
	const struct cox_object *gateway;
	const struct cox_server *server;
	struct cox_str gateway_name; /* "ns/name" */
	enum cox_protocol protocol;
	uint16_t port, listen_port; /* as written; as the pod listens (the gateway Service's targetPort) */
	struct cox_str bind;
	const struct cox_vs **vss; /* bound to this Gateway, in order of precedence */
	size_t vs_n;
};
struct gw_route { /* a route configuration: one server, or all plain HTTP servers of a listener */
	struct cox_str name;
	COX_VEC(const struct gw_server *) servers;
};
struct gw_listener {
	struct cox_listener_plan plan;
	bool is_http; /* plain HTTP: one chain, one route configuration */
};
struct gw_plan {
	struct cox_tr *t;
	const struct cox_workload *w;
	COX_VEC(struct gw_server) servers;
	COX_VEC(struct gw_listener *) listeners;
	COX_VEC(struct gw_route *) routes;
	struct cox_rate_filters limits;
	struct cox_secret_names *secrets;      /* that we are asked for; may be NULL */
	COX_VEC(struct cox_cluster_spec) dnat; /* clusters of AUTO_PASSTHROUGH servers */
};

/* gateway_hosts.c */
/* The host that a server's host ("ns/dns") and a VirtualService's have in common; empty: none. */
struct cox_str gw_host_intersect(const struct gw_server *s, struct cox_str server_host, const struct cox_vs *vs, struct cox_str vs_host);
struct cox_str gw_host_dns(struct cox_str server_host);
/* gateway_route.c: adds the route configuration of `r`. */
void gw_route_build(struct gw_plan *p, const struct gw_route *r, cox_resources *out);
/* gateway_tls.c: TLS of a server; NULL: none. False: this proxy cannot have it (no certificates are served to it): the chain is left out.
 */
bool gw_tls_build(struct gw_plan *p, const struct gw_server *s, const struct cox_downstream_tls **out);
/* gateway_tcp.c: chains of a TCP, TLS or AUTO_PASSTHROUGH server. */
void gw_tcp_chains(struct gw_plan *p, const struct gw_server *s, struct gw_listener *l);

#endif
