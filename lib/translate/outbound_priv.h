/* outbound_priv.h - the plan of a scope's outbound listeners and routes, before anything is encoded. In the job's arena. */
#ifndef COX_TRANSLATE_OUTBOUND_PRIV_H
#define COX_TRANSLATE_OUTBOUND_PRIV_H

#include "translate/listener.h"

/* What a listener has become by the services merged into it (protocol facts, section 6). */
enum out_kind { OUT_HTTP, OUT_TCP, OUT_AUTO };
struct out_listener {
	struct cox_listener_plan plan;
	enum out_kind kind;
	bool is_locked; /* made by an egress listener with an explicit port: closed to the catch-all one */
	bool is_wildcard;
};
/* A route configuration that some listener names. */
struct out_route {
	struct cox_str name;
	uint16_t port; /* 0: every port (http_proxy, unix sockets): domains carry their ports */
	const struct cox_scope_listener *from;
	const struct cox_snap_svc *only; /* a sniffed listener of one service: its virtual host alone, for any host name */
};
/* Which VirtualServices of an egress listener name a host: with thousands of either, looking through all of them per service is too slow.
 */
struct out_rules {
	const struct cox_scope_listener *from;
	struct cox_map exact; /* host -> struct out_rule: the first with http[] */
	COX_VEC(struct out_rule {
		struct cox_str host;
		size_t index;
	})
	wildcards;          /* in from->virtual_services; with http[] */
	COX_VEC(size_t) l4; /* those with tls[] or tcp[] */
};
struct out_plan {
	struct cox_tr *t;
	struct cox_map by_name; /* name -> struct out_listener */
	struct cox_map route_names;
	COX_VEC(struct out_rules *) rules;
	COX_VEC(struct out_listener *) listeners;
	COX_VEC(struct out_route) routes;
	struct cox_hcm_identity trace;
	struct cox_str wildcard, loopback, fallthrough; /* fallthrough: the cluster for what nobody knows */
	struct cox_str http_fallthrough;                /* the same for HTTP */
	struct cox_counts {
		uint32_t tcp_dropped, http_dropped;
	} conflicts;
};
/* A service port on its way into a listener. */
struct out_port {
	const struct cox_scope_listener *from;
	const struct cox_snap_svc *snap;
	struct cox_str bind; /* empty: follows from the protocol */
	uint16_t port;       /* of the listener */
	enum cox_protocol protocol;
	bool binds_port;
};
/* outbound_plan.c */
void out_plan_build(struct out_plan *p);
void out_plan_fini(struct out_plan *p);
/* outbound_rules.c */
const struct out_rules *out_rules_of(struct out_plan *p, const struct cox_scope_listener *from);
/* The VirtualService (index in from->virtual_services) whose http[] says where requests for `host` go; -1: none. The exact host wins over
 * wildcards, a longer wildcard over a shorter one, the earlier rule over the later. */
ptrdiff_t out_rules_owner(const struct out_rules *r, struct cox_str host);
void out_rules_fini(struct out_plan *p);
/* outbound_tcp.c: chains of a TCP, TLS or sniffed port, from tls[] and tcp[] of VirtualServices or straight to the service.
 * `cidr` (may be empty) limits them to a service's address range; `is_wildcard`: the listener's address says nothing of the service. */
struct cox_chain *out_tcp_chains(struct out_plan *p, const struct out_port *op, struct cox_str cidr, bool is_wildcard, size_t *n);
/* A chain to one cluster by name (fall-through, capture). */
struct cox_chain out_cluster_chain(struct cox_arena *a, struct cox_str name, struct cox_str cluster);
/* outbound_vhost.c: virtual hosts of a route configuration. Gives an arena array; each ends with cox_vhost_fini(). */
struct cox_vhost *out_vhosts_build(struct out_plan *p, const struct out_route *route, size_t *n);

#endif
