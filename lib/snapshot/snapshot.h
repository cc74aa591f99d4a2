/*
 * snapshot - one immutable, indexed generation of everything that translation reads, and the answers to "what does this
 * namespace, with these labels, see": scopes. Pure: no clock, no I/O, no global.
 * Thread: any, once built. Shares: cox_snapshot_ref/unref. Endpoint sets are those of the generation; newer ones travel
 * apart on the endpoints' own path (DESIGN decision 7).
 */
#ifndef COX_SNAPSHOT_SNAPSHOT_H
#define COX_SNAPSHOT_SNAPSHOT_H

#include "model/destination_rule.h"
#include "model/envoy_filter.h"
#include "model/gateway.h"
#include "model/mesh.h"
#include "model/peer_authentication.h"
#include "model/rate_limit_policy.h"
#include "model/service_entry.h"
#include "model/sidecar.h"
#include "model/virtual_service.h"
#include "registry/registry.h"

/* A service and what belongs to it in this generation. */
struct cox_snap_svc {
	const struct cox_svc *svc;
	const struct cox_endpoint_set *endpoints;
	uint32_t index; /* in snapshot.svcs */
};

/* A VirtualService ready for use: hosts and destinations as FQDNs, delegates merged in, sorted out by gateway. */
struct cox_vs {
	struct cox_ref ref;
	struct cox_hash hash;            /* of the object and of the delegates merged in: identity for caches */
	const struct cox_object *object; /* metadata; its spec is the user's text */
	/* resolved copy: hosts, destination.host, mirror hosts and gateway names are full ("ns/name", "mesh") */
	const struct cox_virtual_service *spec;
	struct cox_export export_to;
	bool is_mesh;                      /* bound to "mesh" (alone or among others) */
	bool has_deadline;                 /* annotation traffic.coxswain.io/deadline: propagate */
	bool has_sessions;                 /* some route of the Gateway API asks for sessions (COX_VS_SESSIONS) */
	COX_LIST(struct cox_str) gateways; /* full names without "mesh" */
};

/* An annotation of generated VirtualServices: which of its routes keep sessions (translate/session.h). */
#define COX_VS_SESSIONS COX_STR("internal.istio.io/sessions")

/* DestinationRules for one host, merged (facts, section 7). */
struct cox_dr {
	struct cox_ref ref;
	struct cox_hash hash;
	const struct cox_destination_rule *spec; /* merged: subsets concatenated, first top-level policy */
	struct cox_str ns, name;                 /* of the first (oldest) rule: named in metadata istio/config */
	COX_LIST(struct cox_str) object_ids;     /* all rules in it */
	struct cox_export export_to;
};

/* A patch of an EnvoyFilter ready for use. */
struct cox_ready_patch {
	const struct cox_object *object; /* the EnvoyFilter */
	uint32_t at;                     /* spec.configPatches[at] */
	const struct cox_config_patch *spec;
	int op;                                  /* as it is applied: INSERT_* of what has no order is ADD */
	const struct cox_json *value;            /* as the transcoder writes it; NULL: none is needed. Immutable */
	struct cox_hash hash;                    /* of all that its effect depends on */
	struct cox_str filter, sub_filter;       /* of the match, by today's names; empty: none */
	COX_LIST(struct cox_str) clusters;       /* that the value names */
	const struct cox_version_regex *version; /* NULL: any */
};
/* An EnvoyFilter of which at least one patch is ready. */
struct cox_ready_filter {
	struct cox_ref ref;
	const struct cox_object *object;
	const struct cox_envoy_filter *spec;
	COX_LIST(struct cox_ready_patch) patches; /* refused ones left out */
};

struct cox_snapshot {
	struct cox_ref ref;
	uint64_t generation; /* counts up; for logs and status only, never on the wire */
	struct cox_str domain, cluster_id, root_ns;
	const struct cox_mesh_config *mesh;
	enum cox_compliance compliance;      /* of all TLS; part of mesh_hash */
	struct cox_features features;        /* the same for the life of the process */
	const struct cox_networks *networks; /* gateways between networks; part of mesh_hash */
	struct cox_guard guard;              /* part of mesh_hash */
	struct cox_hash mesh_hash;
	COX_LIST(struct cox_snap_svc) svcs;               /* by creation time, then hostname, then namespace */
	COX_LIST(const struct cox_vs *) virtual_services; /* by creation time, then name, then namespace; delegates (no hosts) left out */
	COX_LIST(const struct cox_dr *) destination_rules;
	COX_LIST(const struct cox_object *) gateways;             /* spec: struct cox_gateway_object */
	COX_LIST(const struct cox_object *) sidecars;             /* oldest first */
	COX_LIST(const struct cox_object *) peer_authentications; /* by namespace, oldest first */
	COX_LIST(const struct cox_object *) rate_limits;          /* RateLimitPolicies, oldest first */
	COX_LIST(const struct cox_ready_filter *) envoy_filters;  /* by priority, root namespace first, age, name */
	struct cox_hash secrets_hash;                             /* of all Secrets and ConfigMaps that are known */
	bool uses_locality;               /* some rule or the mesh makes endpoint order depend on the proxy's locality */
	bool uses_node;                   /* some service is node-local: endpoints depend on the proxy's node */
	bool uses_version;                /* some EnvoyFilter looks at the proxy's version */
	struct cox_snapshot_index *index; /* private */
	struct cox_arena arena;
};

/* Freezes the registry. `before` (may be NULL) lets unchanged values be shared. Gives. Its findings (duplicate hosts, missing subsets,
 * dangling destinations, conflicts) are left in the registry's terms by snapshot/check.h. */
struct cox_snapshot *cox_snapshot_build(const struct cox_registry *r, const struct cox_snapshot *before);
const struct cox_snapshot *cox_snapshot_ref(const struct cox_snapshot *s);
void cox_snapshot_unref(const struct cox_snapshot *s);

/* The service that `ns` means by `hostname`: its own namespace first, then a Kubernetes service, then the oldest; visible ones only. NULL:
 * none. Exact hostnames only. */
const struct cox_snap_svc *cox_snapshot_svc_find(const struct cox_snapshot *s, struct cox_str hostname, struct cox_str ns);
/* The services whose endpoints are at one of these addresses: a proxy's own services (inbound). In creation order; gives an arena array. */
size_t cox_snapshot_svcs_at(const struct cox_snapshot *s, const struct cox_str *ips, size_t ip_count, struct cox_arena *arena,
                            const struct cox_snap_svc ***out);
/* The same, and the services whose selector a workload of namespace `ns` with these labels satisfies: a pod asks for its configuration
 * before its EndpointSlice names it, and sets that travel on the fast path are newer than the snapshot's. Use this for a proxy's own
 * services. */
size_t cox_snapshot_svcs_of(const struct cox_snapshot *s, struct cox_str ns, const struct cox_kv *labels, size_t label_n,
                            const struct cox_str *ips, size_t ip_count, struct cox_arena *arena, const struct cox_snap_svc ***out);
/* Labels of a namespace, or of a node (region etc. come from endpoints and nodes), or NULL. */
const struct cox_object *cox_snapshot_namespace_find(const struct cox_snapshot *s, struct cox_str name);
/* A Secret or ConfigMap that somebody refers to (sources bring no others); NULL: it is not there, or not yet. */
const struct cox_object *cox_snapshot_secret_find(const struct cox_snapshot *s, enum cox_kind kind, struct cox_str ns, struct cox_str name);
/* "region/zone/subzone" of a node; empty when not known. */
struct cox_str cox_snapshot_node_locality(const struct cox_snapshot *s, struct cox_str node_name);

/* --- host names ------------------------------------------------------------------------------- */
/* "reviews" in namespace ns -> FQDN; with a dot: unchanged. Result in arena (or the input). */
struct cox_str cox_host_resolve(struct cox_arena *arena, struct cox_str host, struct cox_str ns, struct cox_str domain);
bool cox_host_is_wildcard(struct cox_str h);
/* `h` is covered by `pattern` ("*", "*.example.com", exact). cox_host_overlaps: some host is covered by both. */
bool cox_host_covers(struct cox_str pattern, struct cox_str h);
bool cox_host_overlaps(struct cox_str a, struct cox_str b);
/* Orders by specificity: exact before wildcard, longer wildcard first. */
int cox_host_cmp_specific(struct cox_str a, struct cox_str b);

/* --- scope: what one namespace, with one Sidecar (or none), sees ------------------------------- */
struct cox_scope_svc {
	const struct cox_snap_svc *snap;
	uint16_t only_port; /* the egress listener names one port: only that; 0: all */
};
struct cox_scope_listener {
	const struct cox_sidecar_egress *egress;          /* NULL for the default scope */
	COX_LIST(struct cox_scope_svc) svcs;              /* in snapshot order */
	COX_LIST(const struct cox_vs *) virtual_services; /* mesh-bound, selected by this listener, in order of precedence */
};
struct cox_scope {
	struct cox_str ns;
	const struct cox_object *sidecar; /* NULL: default scope (all that is visible) */
	const struct cox_sidecar *spec;   /* its spec or NULL */
	bool is_registry_only;            /* outboundTrafficPolicy in force */
	bool is_dynamic_dns;              /* the same: HTTP to unknown hosts is resolved by the proxy */
	const struct cox_destination *egress_proxy;
	COX_LIST(struct cox_scope_listener) listeners; /* at least one; explicit ports before the catch-all */
	COX_LIST(struct cox_scope_svc) svcs; /* union over listeners (and of destinations reachable through imported rules): clusters */
	struct cox_hash hash;                /* identity of content */
};
/* Builds the scope of a sidecar. Labels are only compared with Sidecar workload selectors. Everything in `arena` or in the snapshot. */
const struct cox_scope *cox_scope_build(const struct cox_snapshot *s, struct cox_str ns, const struct cox_kv *labels, size_t label_n,
                                        struct cox_arena *arena);
/* The Sidecar that applies, or NULL. */
const struct cox_object *cox_scope_sidecar_find(const struct cox_snapshot *s, struct cox_str ns, const struct cox_kv *labels,
                                                size_t label_n);
/* The rule in force for a proxy of namespace `ns` with these labels towards `svc` (facts, section 7: lookup order, workloadSelector). NULL:
 * none. */
const struct cox_dr *cox_scope_dr_find(const struct cox_snapshot *s, struct cox_str ns, const struct cox_kv *labels, size_t label_n,
                                       const struct cox_svc *svc);
/* The merged rules that stand in a namespace. */
size_t cox_snapshot_drs_of(const struct cox_snapshot *s, struct cox_str ns, const struct cox_dr *const **out);
/* Some VirtualService with `has_deadline` sends HTTP requests to this host: its workloads learn what is left of them. */
bool cox_snapshot_host_has_deadline(const struct cox_snapshot *s, struct cox_str hostname);
/* VirtualServices for a gateway by its full name "ns/name", in order of precedence; visible to the gateway's namespace rules. */
size_t cox_snapshot_gateway_vs(const struct cox_snapshot *s, struct cox_str gateway, struct cox_arena *arena, const struct cox_vs ***out);
/* Gateways whose selector matches a router's labels (and its namespace where the mesh scopes gateways to namespaces), oldest first. */
size_t cox_snapshot_gateways_for(const struct cox_snapshot *s, const struct cox_kv *labels, size_t label_n, struct cox_str ns,
                                 struct cox_arena *arena, const struct cox_object ***out);
/* Whether what was made of the Gateway API names this secret ("kubernetes-gateway://ns/name", "configmap://ns/name") for routers of
 * namespace `ns`, with leave of the secret's own namespace; authorities of backends: for everybody. */
bool cox_snapshot_secret_is_granted(const struct cox_snapshot *s, struct cox_str ns, struct cox_str secret, bool is_ca);
/* The RateLimitPolicies of its namespace and of the root namespace that select such a workload, oldest first; an arena array. */
size_t cox_snapshot_rate_limits_of(const struct cox_snapshot *s, struct cox_str ns, const struct cox_kv *labels, size_t label_n,
                                   struct cox_arena *arena, const struct cox_object ***out);
/* --- PeerAuthentication (facts, section 8) ---------------------------------------------------------- */
/* What a workload takes on one of its own ports (0: a port of no service): its own policy by port, its own, its namespace's, the mesh's,
 * PERMISSIVE. Never UNSET. */
enum cox_mtls_mode cox_snapshot_mtls_server(const struct cox_snapshot *s, struct cox_str ns, const struct cox_kv *labels, size_t label_n,
                                            uint16_t port);
/* The policy chosen by a selector for such a workload: the oldest; NULL: none. */
const struct cox_object *cox_snapshot_mtls_workload_policy(const struct cox_snapshot *s, struct cox_str ns, const struct cox_kv *labels,
                                                           size_t label_n);
/* What clients assume of a namespace's services: its policy, the mesh's, PERMISSIVE. */
enum cox_mtls_mode cox_snapshot_mtls_client(const struct cox_snapshot *s, struct cox_str ns);
/* Identity of every policy that can count for workloads of a namespace; zero where there is none at all. */
struct cox_hash cox_snapshot_mtls_hash(const struct cox_snapshot *s, struct cox_str ns);

/* --- EnvoyFilter (features a153 to a166) -------------------------------------------------------------- */
/* Those that select a proxy of namespace `ns` with these labels, in order: the root namespace's and its own. */
size_t cox_snapshot_envoy_filters_for(const struct cox_snapshot *s, struct cox_str ns, const struct cox_kv *labels, size_t label_n,
                                      struct cox_arena *arena, const struct cox_ready_filter *const **out);
/* The keys of node metadata that any EnvoyFilter looks at, sorted: these are part of a view's key. */
size_t cox_snapshot_metadata_keys(const struct cox_snapshot *s, const struct cox_str **out);

/* The label keys that any selector (sourceLabels, Sidecar, EnvoyFilter, DestinationRule workloadSelector) looks at, sorted: only these are
 * part of a view's key. */
size_t cox_snapshot_selector_keys(const struct cox_snapshot *s, const struct cox_str **out);

#endif
