/* snapshot_priv - the indexes behind a snapshot, and the boxes that own what is shared between generations. */
#ifndef COX_SNAPSHOT_PRIV_H
#define COX_SNAPSHOT_PRIV_H

#include "base/map.h"
#include "base/vec.h"
#include "model/core.h"
#include "snapshot/snapshot.h"

/* Services by name, namespace and address. Shared by generations whose services and pods are the same ones. */
struct svc_chain {                     /* services under one key, by index, rising */
	struct cox_str key;
	COX_VEC(uint32_t) items;
};
struct svc_index {
	struct cox_ref ref;
	struct cox_map by_host;        /* hostname -> chain */
	struct cox_map by_ns;          /* namespace -> chain: services with a selector */
	struct cox_map by_address;     /* address -> chain: services without a selector */
	struct cox_arena arena;
};
struct pod_index {
	struct cox_ref ref;
	struct cox_map by_ip;          /* -> const struct cox_object (pod), referenced by `pods` */
	COX_VEC(const struct cox_object *) pods;
};
/* DestinationRules of one namespace. */
struct ns_rules {
	struct cox_str ns;
	struct cox_map by_host;        /* exact host -> struct rule_list */
	COX_VEC(const struct cox_dr *) wildcards; /* most specific first */
};
struct rule_list { COX_VEC(const struct cox_dr *) items; };
struct gateway_rules {                 /* VirtualServices bound to one gateway */
	struct cox_str gateway;
	COX_VEC(const struct cox_vs *) items;
};

struct vs_box {
	struct cox_vs vs;              /* first: a cox_vs is its box */
	struct cox_arena arena;
};
struct dr_box {
	struct cox_dr dr;
	COX_VEC(const struct cox_object *) objects; /* references */
	struct cox_arena arena;
};

struct cox_snapshot_index {
	struct svc_index *svcs;
	struct pod_index *pods;
	struct cox_map rules;          /* namespace -> struct ns_rules */
	struct cox_map gateways;       /* "ns/name" -> struct gateway_rules */
	struct cox_map vs_by_id, dr_by_key; /* what the next generation may share */
	struct cox_map nodes;          /* name -> struct cox_str * locality */
	struct cox_map namespaces;     /* name -> const struct cox_object, referenced */
	COX_LIST(struct cox_str) selector_keys;
	const struct cox_mesh_shared *mesh;
	struct cox_arena arena;
};

/* vs.c: all VirtualServices of the registry, resolved; those unchanged since `before` are shared. */
void snap_build_vs(struct cox_snapshot *s, const struct cox_registry *r, const struct cox_snapshot *before);
/* dr.c */
void snap_build_dr(struct cox_snapshot *s, const struct cox_registry *r, const struct cox_snapshot *before);
void snap_free_dr_index(struct cox_snapshot_index *x);
void snap_vs_unref(const struct cox_vs *v);
void snap_dr_unref(const struct cox_dr *d);
/* "name" or "name.ns" -> "ns/name"; "mesh" and full names as they are. */
struct cox_str snap_full_gateway(struct cox_arena *arena, struct cox_str name, struct cox_str ns);

#endif
