/*
 * route - virtual hosts and route configurations from services, VirtualServices and DestinationRules
 * (protocol facts, section 7). Used by sidecars' outbound routes and by gateways. Pure.
 */
#ifndef COX_TRANSLATE_ROUTE_H
#define COX_TRANSLATE_ROUTE_H

#include "base/buf.h"
#include "envoy/envoy.h"
#include "translate/translate.h"

/* Text joined by '\n', each part once: `needs` and `origins` of a resource under construction. */
struct cox_names {
	struct cox_buf text;
	struct cox_map seen; /* keys in the arena */
	struct cox_arena *arena;
};
void cox_names_add(struct cox_names *n, struct cox_str name);
/* Adds each line of `joined`. */
void cox_names_add_all(struct cox_names *n, struct cox_str joined);
void cox_names_fini(struct cox_names *n);
static inline struct cox_str cox_names_text(const struct cox_names *n) { return (struct cox_str){ n->text.p, n->text.n }; }

/* The cluster a destination means, for a listener on `port`: the service's only port where none is given, an ExternalName's target. In the arena. */
struct cox_str cox_destination_cluster(struct cox_tr *t, const struct cox_destination *d, uint16_t port);

/* Where routes are made for. */
struct cox_route_ctx {
	struct cox_tr *t;
	uint16_t port;                 /* of the listener: match.port, default destination ports */
	struct cox_str gateway;        /* "ns/name" of the Gateway, or "mesh" */
	COX_LIST(struct cox_str) gateways; /* further Gateways that the same route configuration serves */
	bool is_https;                 /* the gateway's server terminates TLS: derived redirect ports */
};

/* One virtual host, encoded: a block that starts with the field tag and length of RouteConfiguration.virtual_hosts. */
struct cox_vhost {
	struct cox_str name;              /* "reviews.default.svc.cluster.local:80" */
	const struct cox_bytes *bytes;    /* tag, length, VirtualHost; a reference */
	uint32_t skip;                    /* length of tag and length bytes: behind them is the bare VirtualHost (VHDS) */
	struct cox_str needs, origins;    /* joined by '\n', in the job's arena */
};

/* Writes the routes of a VirtualService (http[]) into an open virtual host; false when none applies here. */
bool cox_routes_of_vs_write(const struct cox_route_ctx *ctx, struct pb_route_v3_VirtualHost vh, const struct cox_vs *vs,
			    struct cox_names *needs);
/* The route to a service without a VirtualService. */
void cox_route_default_write(const struct cox_route_ctx *ctx, struct pb_route_v3_VirtualHost vh, const struct cox_svc *svc, uint16_t port,
			     struct cox_names *needs);

/* A route configuration of these virtual hosts (sorted by name here); with `vhds` its header only, asking for them over VHDS. Gives. */
const struct cox_resource *cox_route_config_build(struct cox_tr *t, struct cox_str name, struct cox_vhost *vhosts, size_t n, bool vhds);

#endif
