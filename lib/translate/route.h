/*
 * route - virtual hosts and route configurations from services, VirtualServices and DestinationRules
 * (protocol facts, section 7). Used by sidecars' outbound routes and by gateways. Pure.
 *
 * A virtual host is encoded once per distinct input and kept in the memo as a shared block; route configurations are
 * composed of such blocks, and VHDS resources are the same blocks without tag and length, and a name of their own behind.
 */
#ifndef COX_TRANSLATE_ROUTE_H
#define COX_TRANSLATE_ROUTE_H

#include "base/buf.h"
#include "envoy/envoy.h"
#include "translate/translate.h"

/* Text joined by '\n', each part once: `needs` and `origins` of a resource under construction. A zeroed one with an arena is empty. */
struct cox_names {
	struct cox_arena *arena;
	struct cox_buf text;
	struct cox_map seen; /* keys in the arena */
};
void cox_names_add(struct cox_names *n, struct cox_str name);
/* Adds each line of `joined`. */
void cox_names_add_all(struct cox_names *n, struct cox_str joined);
void cox_names_fini(struct cox_names *n);
static inline struct cox_str cox_names_text(const struct cox_names *n) { return (struct cox_str){ n->text.p, n->text.n }; }

/* The service that a destination's host means here (ExternalName followed), or NULL. */
const struct cox_snap_svc *cox_destination_svc(const struct cox_tr *t, struct cox_str host);
/* The cluster a destination means, for a listener on `port`: the service's only port where none is given. In the job's arena.
 * The outputs may be NULL: the service (or NULL) and the port that were found. */
struct cox_str cox_destination_cluster(const struct cox_tr *t, const struct cox_destination *d, uint16_t port,
                                       const struct cox_snap_svc **svc, uint16_t *svc_port);
/* matches of tls[] and tcp[] and http[] share these conditions, all evaluated here. */
struct cox_source_match {
	struct cox_opt_i64 port;
	const struct cox_kv *source_labels;
	size_t source_label_n;
	const struct cox_str *gateways;
	size_t gateway_n;
	struct cox_str source_ns;
};

/* Where routes are made for. */
struct cox_route_ctx {
	struct cox_tr *t;
	uint16_t port;                  /* of the listener (gateways: of the server): match.port, default destination ports */
	const struct cox_str *gateways; /* "ns/name" of the Gateways, or "mesh" */
	size_t gateway_n;
	bool is_https; /* the gateway's server terminates TLS: derived redirect ports */
};
bool cox_source_matches(const struct cox_route_ctx *ctx, const struct cox_source_match *m);

/* One virtual host, encoded. */
struct cox_vhost {
	struct cox_str name;           /* "reviews.default.svc.cluster.local:80" */
	const struct cox_bytes *bytes; /* tag and length of RouteConfiguration.virtual_hosts, VirtualHost, then private text; a reference */
	uint32_t n;                    /* of tag, length and VirtualHost */
	uint32_t skip;                 /* of tag and length: behind them is the bare VirtualHost */
	struct cox_str needs;          /* clusters it names, joined by '\n'; in the block */
	struct cox_str origins;        /* object ids, joined by '\n'; in the block */
	struct cox_vhost_note *note;   /* where notes are kept (notes.h), else NULL */
};
void cox_vhost_fini(struct cox_vhost *v);

/* What a virtual host is made of. */
struct cox_vhost_spec {
	struct cox_str name;
	const struct cox_str *domains;
	size_t domain_n;
	const struct cox_vs *const *vss; /* their routes one after another, catch-alls last; none: `svc` */
	size_t vs_n;
	const struct cox_snap_svc *svc; /* without VirtualService: the default route to it on `svc_port` */
	uint16_t svc_port;
	bool require_tls;    /* gateways: httpsRedirect */
	bool without_routes; /* gateways: a host of a redirecting server that no VirtualService serves */
};
/* From the memo where nothing that it reads has changed. False: no route applies here, nothing is made. End with cox_vhost_fini(). */
bool cox_vhost_build(const struct cox_route_ctx *ctx, const struct cox_vhost_spec *spec, struct cox_vhost *out);
/* The catch-all virtual host of sidecars for what the mesh does not know: "allow_any" (or "allow_any_dynamic_dns") to `cluster`, or with an
 * empty one "block_all" (502).
 */
void cox_vhost_catch_all_build(struct cox_tr *t, struct cox_str cluster, struct cox_vhost *out);

/* A route configuration of these virtual hosts, sorted by name in place. `has_ports`: their domains carry ports, so that the port of the
 * request's host counts. With `vhosts_out` it carries none and asks for them over VHDS:
 * they are added to *vhosts_out as resources "<name>/<virtual host>". Gives. */
const struct cox_resource *cox_route_config_build(struct cox_tr *t, struct cox_str name, struct cox_vhost *vhosts, size_t n, bool has_ports,
                                                  cox_resources *vhosts_out);

#endif
