/*
 * snapshot_priv - the parts that generations share. Each is immutable and counted; a generation takes over a part of the one before
 * whenever what the part was made from is the same, by comparing pointers.
 */
#ifndef COX_SNAPSHOT_PRIV_H
#define COX_SNAPSHOT_PRIV_H

#include "base/vec.h"
#include "snapshot/snapshot.h"

/* Objects of one kind as the registry has them (by id), and by age. */
struct snap_objects {
	struct cox_ref ref;
	size_t n;
	const struct cox_object **by_id; /* each holds a reference */
	const struct cox_object **by_age;
};

#define SNAP_DEADLINE COX_STR("traffic.coxswain.io/deadline")

/* A VirtualService made ready, with what it was made from. One block. */
struct snap_vs {
	struct cox_vs vs; /* first: cast back from it */
	size_t delegate_n;
	const struct cox_object **delegates; /* in the order of the routes that name them; NULL: there is none. Hold references */
	COX_LIST(struct cox_str) keys;       /* label keys that its matches look at */
};
struct snap_vs_set {
	struct cox_ref ref;
	struct cox_hash mesh_hash;
	const struct snap_objects *from;
	struct snap_vs **boxes; /* by id, as `from`; NULL: a delegate */
	size_t n;
	const struct cox_vs **by_age;
	struct snap_gateway_ref {
		struct cox_str gateway;
		uint32_t at;
	} * gateways; /* by name, then by place in by_age */
	size_t gateway_n;
	struct cox_map deadline_hosts; /* destinations of those with a deadline; keys lie in their specs */
};

/* DestinationRules merged. One block. */
struct snap_dr {
	struct cox_dr dr; /* first */
	struct cox_ref ref;
	const struct cox_object **objects; /* as dr.object_ids; hold references */
	size_t object_n;
	bool wants_locality, has_outlier_detection;
	COX_LIST(struct cox_str) keys;
};
struct snap_dr_set {
	struct cox_ref ref;
	struct cox_hash mesh_hash;
	const struct snap_objects *from;
	size_t n;
	const struct cox_dr **rules; /* by namespace, host (wildcards first: '*' sorts before letters), with a selector first, age */
	bool wants_locality, has_outlier_detection;
};

/* PeerAuthentications by namespace, then age. */
struct snap_peer_auths {
	struct cox_ref ref;
	const struct snap_objects *from;
	size_t n;
	const struct cox_object **by_place; /* references are those of `from` */
	struct cox_hash *hashes;            /* of a policy and those behind it in its namespace */
};

/* TrafficTargets by the account that they protect (access.h). */
struct snap_access {
	struct cox_ref ref;
	const struct snap_objects *targets, *groups, *tcp_routes;
	struct cox_map by_account; /* "ns/name" -> a struct of access.c */
	struct cox_arena arena;
};

/* EnvoyFilters made ready, in order of precedence. */
struct snap_filters {
	struct cox_ref ref;
	const struct snap_objects *from;
	size_t n;
	const struct cox_ready_filter **items; /* each holds a reference */
	bool uses_version;
	COX_LIST(struct cox_str) label_keys, metadata_keys; /* sorted, distinct; text in the objects of `from` */
};

/* Hostnames to places in snapshot.svcs. */
struct snap_hosts {
	struct cox_ref ref;
	struct cox_map first; /* hostname -> place + 1; keys lie in `names` */
	size_t n;
	struct cox_str *names, *spaces; /* by place: hostname and namespace */
	uint32_t *next;                 /* place + 1 of the next service with this hostname, in order of place */
	char *text;
};

/* Addresses to places: hash of the address in the upper half, place in the lower, sorted. */
struct snap_ips {
	struct cox_ref ref;
	size_t n;
	uint64_t entries[];
};

struct cox_snapshot_index {
	const struct cox_mesh_shared *mesh;
	const struct snap_objects *namespaces, *nodes, *gateways, *sidecars, *secrets, *config_maps, *rate_limits;
	const struct snap_vs_set *vs;
	const struct snap_dr_set *dr;
	const struct snap_peer_auths *peer_auths;
	const struct snap_access *access;
	const struct snap_filters *filters;
	const struct snap_hosts *hosts;
	const struct snap_ips *ips;
	struct cox_str *node_localities; /* as nodes->by_id; in the snapshot's arena */
	const struct cox_str *keys;
	size_t key_n;
};

/* objects.c */
const struct snap_objects *snap_objects_build(const struct cox_registry *r, enum cox_kind kind, const struct snap_objects *before);
void snap_objects_unref(const struct snap_objects *o);
/* By namespace and name. */
const struct cox_object *snap_objects_find_in(const struct snap_objects *o, struct cox_str ns, struct cox_str name);
const struct cox_object *snap_objects_find(const struct snap_objects *o, struct cox_str name, size_t *at);

/* vs_set.c, vs.c, delegate.c */
const struct snap_vs_set *snap_vs_set_build(const struct cox_registry *r, const struct snap_vs_set *before);
void snap_vs_set_unref(const struct snap_vs_set *s);
/* NULL: a delegate (no hosts). `delegates` has room for one object per route. */
struct snap_vs *snap_vs_build(const struct cox_registry *r, const struct cox_object *o, const struct cox_object *const *delegates,
                              size_t delegate_n);
void snap_vs_unref(struct snap_vs *v);
/* The delegates that an object's routes name, in order; in `arena`. */
size_t snap_delegates_find(const struct cox_registry *r, const struct cox_object *o, struct cox_arena *arena,
                           const struct cox_object ***out);
/* Replaces routes with a delegate by the delegate's, merged. `spec` and its delegates' specs are resolved copies in the arena. */
void snap_delegates_merge(struct cox_virtual_service *spec, const struct cox_virtual_service *const *delegates, struct cox_arena *arena);
/* "name" -> "ns/name"; "mesh" stays. */
struct cox_str snap_gateway_name(struct cox_arena *arena, struct cox_str name, struct cox_str ns);
/* Calls fn for the destination of every route, mirrors too. */
struct snap_place {
	const char *list;
	size_t at;
	const char *member;
	size_t item;
}; /* "http"[0]."route"[1]; "mirror" is no list */
typedef void snap_destination_fn(void *arg, const struct cox_destination *d, const struct snap_place *place);
void snap_vs_destinations(const struct cox_virtual_service *spec, snap_destination_fn *fn, void *arg);

/* dr_set.c, dr.c */
const struct snap_dr_set *snap_dr_set_build(const struct cox_registry *r, const struct snap_dr_set *before);
void snap_dr_set_unref(const struct snap_dr_set *s);

/* peer_auth.c */
const struct snap_peer_auths *snap_peer_auths_build(const struct cox_registry *r, const struct snap_peer_auths *before);
void snap_peer_auths_unref(const struct snap_peer_auths *s);

/* access.c */
const struct snap_access *snap_access_build(const struct cox_registry *r, const struct snap_access *before);
void snap_access_unref(const struct snap_access *s);

/* envoy_filters.c, envoy_filter.c */
const struct snap_filters *snap_filters_build(const struct cox_registry *r, const struct snap_filters *before);
void snap_filters_unref(const struct snap_filters *f);
/* NULL: no patch of it can be applied. Gives. */
const struct cox_ready_filter *snap_filter_build(const struct cox_object *o);
const struct cox_ready_filter *snap_filter_ref(const struct cox_ready_filter *f);
void snap_filter_unref(const struct cox_ready_filter *f);
/* Whether it selects a proxy with these labels, its namespace aside. */
bool snap_filter_selects(const struct cox_ready_filter *f, const struct cox_kv *labels, size_t label_n);

/* hosts_index.c */
const struct snap_hosts *snap_hosts_build(const struct cox_snap_svc *svcs, size_t n, const struct snap_hosts *before);
void snap_hosts_unref(const struct snap_hosts *h);
/* First place with this hostname, or NULL; snap_hosts_next() the following. */
const struct cox_snap_svc *snap_hosts_first(const struct cox_snapshot *s, struct cox_str hostname);
const struct cox_snap_svc *snap_hosts_next(const struct cox_snapshot *s, const struct cox_snap_svc *svc);
const struct snap_ips *snap_ips_build(const struct cox_snapshot *s, const struct cox_snapshot *before);
void snap_ips_unref(const struct snap_ips *i);

/* Whether `a` goes before `b` for one hostname seen from namespace `ns`. */
bool snap_svc_is_preferred(const struct cox_snap_svc *a, const struct cox_snap_svc *b, struct cox_str ns);

#endif
