/*
 * listener - one Envoy listener from a plan of it: outbound listeners of sidecars and listeners of gateways. Pure.
 * A plan lives in the job's arena.
 */
#ifndef COX_TRANSLATE_LISTENER_H
#define COX_TRANSLATE_LISTENER_H

#include "translate/common_tls.h"
#include "translate/filters.h"
#include "translate/hcm.h"
#include "translate/rate_limit.h"
#include "translate/route.h"

struct cox_chain {
	struct cox_str name; /* may be empty */
	/* what it matches; all empty: everything */
	const struct cox_str *sni, *cidrs;
	size_t sni_n, cidr_n;
	bool is_http_sniffed;      /* only HTTP in clear text, as the HTTP inspector finds it */
	bool is_istio_alpn;        /* only mTLS of the mesh, by its ALPN (AUTO_PASSTHROUGH) */
	uint16_t destination_port; /* 0: any */
	/* what it does */
	bool is_http;
	struct cox_str route_name; /* HTTP: by RDS */
	struct cox_str stat_prefix;
	bool has_grpc_web;
	struct cox_str dynamic_dns_caches;    /* as in cox_hcm */
	struct cox_tcp_proxy tcp;             /* else */
	const struct cox_downstream_tls *tls; /* NULL: none */
	struct cox_str config_path;           /* metadata: the VirtualService it comes from; empty: none */
	struct cox_str origin;                /* object ids, joined by '\n' */
	bool has_no_connect_timeout;          /* fall-through chains: no transport_socket_connect_timeout */
	struct cox_hash identity;             /* of what is read beside these fields (rules, TLS material names) */
};
struct cox_listener_plan {
	struct cox_str name, bind; /* bind: an IP, or "unix:///path" */
	uint16_t port;
	enum cox_hcm_side side;
	struct cox_hcm_identity trace;
	bool binds_port;                  /* false: reached from the capture listener only */
	bool is_capture, is_transparent;  /* virtualOutbound: use_original_dst */
	struct cox_rate_filters limits;   /* of its HTTP chains */
	bool has_deadline;                /* some route of its HTTP chains may carry a deadline */
	bool has_sessions;                /* session.h */
	COX_VEC(struct cox_chain) chains; /* end with cox_vec_fini */
	bool has_fallthrough;             /* `fallthrough` takes what no chain matches */
	struct cox_chain fallthrough;
};
/* What a VirtualService's tcp[] or tls[] route does on a listener of this port: weighted clusters, the first one's rule, names. Matches are
 * the caller's. */
struct cox_chain cox_chain_routed(struct cox_tr *t, const struct cox_vs *vs, const struct cox_l4_route_destination *routes, size_t n,
                                  uint16_t listener_port, enum cox_protocol protocol);
/* The chain that matches everything, or NULL. */
const struct cox_chain *cox_listener_match_all(const struct cox_listener_plan *p);
/* Both match the same connections. */
bool cox_chain_match_eq(const struct cox_chain *a, const struct cox_chain *b);
/* Adds a chain to the plan. Envoy refuses a whole listener over one connection that two chains match: server names and address ranges that
 * an earlier chain has are taken off the new one. False: nothing is left of it, it is not added. */
bool cox_listener_chain_add(struct cox_listener_plan *p, struct cox_chain c, struct cox_arena *arena);
/* From the memo where nothing has changed. Gives. */
const struct cox_resource *cox_listener_build(struct cox_tr *t, const struct cox_listener_plan *p);

#endif
