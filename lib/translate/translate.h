/*
 * translate - pure: a snapshot and a view's key in, Envoy resources out. No I/O, clock or global; equal inputs give equal bytes.
 * A translator reads nothing of the proxy but its view key, so an input cannot be missing from the key.
 *
 * Two keys make a proxy's configuration:
 *   scope view     what its namespace, Sidecar and matched labels see outbound (clusters, endpoints, listeners, routes);
 *                  shared by every workload that looks alike
 *   workload view  what is its own: inbound listener and clusters, virtualInbound; for a router its listeners and routes
 */
#ifndef COX_TRANSLATE_TRANSLATE_H
#define COX_TRANSLATE_TRANSLATE_H

#include "base/map.h"
#include "base/vec.h"
#include "model/proxy.h"
#include "snapshot/snapshot.h"
#include "translate/resource.h"

/* The part of a proxy that outbound configuration may depend on. All text lives in the view's block. */
/* By the addresses that the proxy says it has. */
enum cox_ip_family { COX_IP_V4, COX_IP_V6, COX_IP_DUAL };

struct cox_view {
	struct cox_str key; /* canonical text of everything below: equal keys, equal view */
	enum cox_proxy_type type;
	enum cox_proxy_class klass;
	bool has_vhds, has_sds, http10, dns_capture;
	bool balances_inbound, balances_outbound, is_unprivileged;
	bool has_access_log_service; /* and the mesh wants it used */
	enum cox_interception interception;
	enum cox_ip_family family;
	struct cox_str ns, domain;      /* proxy namespace; "default.svc.cluster.local" */
	COX_LIST(struct cox_kv) labels; /* only labels whose keys some selector looks at (cox_snapshot_selector_keys) */
	struct cox_str cluster_id, network;
	struct cox_str locality;                                    /* "r/z/s" where snapshot.uses_locality, else empty */
	struct cox_str node_name;                                   /* where snapshot.uses_node, else empty */
	struct cox_str canonical_name, canonical_revision, mesh_id; /* class ISTIO only: literal trace tags of its listeners; else empty */
	struct cox_opt_i64 idle_timeout_ns;
	uint16_t http_proxy_port;
	/* Settings of the proxy's own (metadata PROXY_CONFIG over the mesh's): their text, for the key, and decoded. Empty and NULL where
	 * they say what the mesh says: then the mesh's are read as they are. See settings.h. */
	struct cox_str config_text;
	const struct cox_proxy_config *config;
	struct cox_str version;           /* where snapshot.uses_version, else empty */
	COX_LIST(struct cox_kv) metadata; /* only texts whose keys some EnvoyFilter looks at (cox_snapshot_metadata_keys) */
	COX_LIST(struct cox_str) own_ips; /* where a headless service is in sight that the proxy is part of: its own address is left out */
	struct cox_arena arena;
};
/* Gives. `s` says which labels, locality and node count. */
struct cox_view *cox_view_build(const struct cox_proxy *p, const struct cox_snapshot *s);
void cox_view_free(struct cox_view *v);
/* "0.0.0.0" and "127.0.0.1", or what IPv6 has for them where the proxy has nothing else. */
struct cox_str cox_view_any_address(const struct cox_view *v);
struct cox_str cox_view_loopback(const struct cox_view *v);
/* How the proxy knows an address of the service: one that we made up is of its own family. In `arena` or the input. */
struct cox_str cox_view_address(const struct cox_view *v, const struct cox_svc *svc, struct cox_str address, struct cox_arena *arena);

/* What a proxy proved, and so which secrets it may have (secret.h). All zero: none. */
enum cox_access { COX_ACCESS_ASKING, COX_ACCESS_ALLOWED, COX_ACCESS_DENIED };
struct cox_secret_access {
	bool is_verified;
	struct cox_str ns, service_account; /* of the verified identity */
	enum cox_access may_list;           /* whether that account may list Secrets in that namespace; not part of the key: it changes */
};

/* What a proxy has for itself. */
struct cox_workload {
	struct cox_str key;
	struct cox_view view; /* its scope view's values (own copy) */
	COX_LIST(struct cox_str) ips;
	COX_LIST(struct cox_kv) labels; /* all of them: Gateway selectors and inbound policies match on them */
	struct cox_str service_account, canonical_name, canonical_revision, mesh_id, name, workload;
	struct cox_secret_access secrets;
	struct cox_arena arena;
};
struct cox_workload *cox_workload_build(const struct cox_proxy *p, const struct cox_snapshot *s);
/* Copies; who proved something else has another key. */
void cox_workload_set_access(struct cox_workload *w, const struct cox_secret_access *access);
void cox_workload_free(struct cox_workload *w);

/* Resources made before, by the identity of their inputs (a hash of everything read): equal inputs are not translated again.
 * Owned by whoever drives translation; one thread at a time. */
struct cox_memo;
struct cox_memo *cox_memo_new(void);
void cox_memo_free(struct cox_memo *m);
/* Starts a generation; entries not used during the last two are dropped by cox_memo_sweep(). */
void cox_memo_begin(struct cox_memo *m);
size_t cox_memo_sweep(struct cox_memo *m); /* how many were dropped */
struct cox_memo_stats {
	uint64_t hits, misses;
	size_t n; /* entries */
};
struct cox_memo_stats cox_memo_stats(const struct cox_memo *m);
/* Shares the resource or block made under this identity, or NULL. */
const struct cox_resource *cox_memo_find(struct cox_memo *m, struct cox_hash identity);
const struct cox_resource *cox_memo_put_take(struct cox_memo *m, struct cox_hash identity,
                                             const struct cox_resource *r); /* returns a reference for the caller */
const struct cox_bytes *cox_memo_bytes_find(struct cox_memo *m, struct cox_hash identity);
const struct cox_bytes *cox_memo_bytes_put_take(struct cox_memo *m, struct cox_hash identity, const struct cox_bytes *b);

/* The patches of EnvoyFilters that select a proxy, and how often each was applied (patch.h). */
struct cox_patching;

/* One job of translation. `arena` is scratch for the job. */
struct cox_route_notes;
struct cox_tr {
	const struct cox_snapshot *s;
	const struct cox_view *view;
	const struct cox_scope *scope; /* sidecars; NULL for routers */
	struct cox_memo *memo;
	struct cox_arena *arena;
	uint64_t built;                /* counts resources really built (not found in the memo) */
	struct cox_route_notes *notes; /* NULL but for people (notes.h) */
	struct cox_patching *patching; /* NULL: nothing is patched */
};
typedef COX_VEC(const struct cox_resource *) cox_resources; /* each holds a reference */

/* --- scope view (sidecars) ------------------------------------------------------------------- */
/* Outbound clusters of every service in scope with their subsets, BlackHoleCluster, PassthroughCluster. */
void cox_translate_clusters(struct cox_tr *t, cox_resources *out);
/* ClusterLoadAssignments of every EDS cluster in `clusters` (CDS resources as made above), from the snapshot's endpoint sets. */
void cox_translate_endpoints(struct cox_tr *t, cox_resources *out);
/* The assignments of one service with another endpoint set (the fast path): every EDS cluster of `svc` in this view. */
void cox_translate_service_endpoints(struct cox_tr *t, const struct cox_snap_svc *svc, const struct cox_endpoint_set *endpoints,
                                     cox_resources *out);
/* Outbound listeners with virtualOutbound, and the route configurations they name. With has_vhds the RDS resources carry no virtual
 * hosts and `vhosts` gets them as VHDS resources ("<route>/<virtual host>"); else `vhosts` stays empty. */
void cox_translate_outbound(struct cox_tr *t, cox_resources *listeners, cox_resources *routes, cox_resources *vhosts);
/* The name table for the agent's DNS proxy: every host of the scope's egress listeners that has addresses; empty without a scope. Gives. */
const struct cox_resource *cox_translate_names(struct cox_tr *t);
/* A route configuration that no listener names but a proxy asked for: an empty one (never silence). */
const struct cox_resource *cox_translate_empty_route(struct cox_tr *t, struct cox_str name);

/* --- workload view --------------------------------------------------------------------------- */
/* Sidecars: virtualInbound (and real listeners of Sidecar ingress), inbound clusters with InboundPassthroughCluster. */
void cox_translate_inbound(struct cox_tr *t, const struct cox_workload *w, cox_resources *clusters, cox_resources *listeners);
/* Routers: listeners, routes and clusters (only those that something refers to, with their endpoints), and the names of the secrets that
 * these ask us for (may be NULL). */
struct cox_secret_names;
void cox_translate_gateway(struct cox_tr *t, const struct cox_workload *w, cox_resources *clusters, cox_resources *endpoints,
                           cox_resources *listeners, cox_resources *routes, struct cox_secret_names *secrets);

/* --- all of a proxy at once: coxctl render, goldens, /debug/config_dump -------------------------- */
struct cox_rendered {
	struct cox_set *sets[COX_TYPE_COUNT];
};
void cox_translate_proxy(const struct cox_snapshot *s, const struct cox_proxy *p, struct cox_memo *memo, struct cox_rendered *out);
void cox_rendered_fini(struct cox_rendered *r);

#endif
