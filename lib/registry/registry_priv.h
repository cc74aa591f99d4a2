/*
 * registry_priv - the registry's own tables, shared by its files.
 *
 * A *unit* is an object that makes services: a Service (one) or a ServiceEntry (one per host). A *slot* is a hostname in a
 * namespace; several units may claim it, the oldest wins. Events only update indexes and mark units dirty; all building
 * happens in cox_registry_take_changes().
 */
#ifndef COX_REGISTRY_PRIV_H
#define COX_REGISTRY_PRIV_H

#include "model/core.h"
#include "model/networks.h"
#include "model/service_entry.h"
#include "registry/registry.h"

struct reg_store { /* objects, sorted by id: those of a namespace stand together */
	const struct cox_object **p;
	size_t n, cap;
};

struct reg_slot;
struct reg_unit {
	const struct cox_object *o; /* borrowed from the store; NULL: removed, freed by the next take_changes */
	COX_VEC(struct reg_slot *) slots;
	struct cox_str external_name; /* borrowed from o */
	bool is_dirty;
	int64_t event_ns; /* of the first event since it was built */
};

struct reg_slot {
	struct cox_str hostname, ns; /* in the same block */
	struct reg_slot *next;       /* same hostname, other namespace */
	COX_VEC(struct reg_unit *) claims;
	const struct cox_svc *svc;
	const struct cox_endpoint_set *endpoints;
	bool is_touched;
	int64_t event_ns;
};

struct reg_group { /* slices under one key */
	COX_VEC(const struct cox_object *) slices;
	size_t key_n;
	char key[];
};

struct cox_registry {
	struct cox_arena text; /* the options */
	struct cox_registry_options opts;
	struct reg_store stores[COX_KIND_COUNT];
	struct reg_store parked[COX_KIND_COUNT]; /* known, but of another revision or of a namespace that is not selected */
	uint64_t kind_changes[COX_KIND_COUNT], displaced;

	struct cox_map units;                /* object id -> unit */
	struct cox_map slots;                /* hostname -> first slot */
	struct cox_map slices_by_svc;        /* "ns/service" -> group */
	struct cox_map slices_by_ref;        /* "ns/pod", or an address where the endpoint names no pod -> group */
	struct cox_map pods_by_ip;           /* -> pod */
	COX_VEC(struct cox_svc_entry) table; /* by creation, hostname, namespace */
	bool is_table_stale;                 /* so many changes that it is made anew */

	COX_VEC(struct reg_unit *) dirty;
	COX_VEC(struct reg_slot *) touched;
	COX_VEC(struct reg_unit *) externals; /* units of ExternalName services */
	bool is_bulk;                         /* nothing was taken yet: every unit is dirty anyway */
	bool has_new_hosts;                   /* slots came or went */

	struct cox_map auto_addresses; /* hostname -> number + 1 */
	struct cox_arena auto_text;
	struct cox_hash auto_hash;
	bool is_auto_dirty;

	const struct cox_mesh_shared *mesh;
	struct cox_guard guard;
	struct cox_buf mesh_file;    /* the text of --meshConfig, once it was edited */
	struct cox_arena mesh_text;  /* what mesh_diags says */
	struct cox_diags mesh_diags; /* about the newest mesh configuration; with errors it is not in force */

	struct cox_mesh_networks *mesh_networks; /* never NULL */
	struct cox_buf networks_error;           /* what is wrong or odd about the newest ones */
	bool networks_are_bad, are_networks_dirty;
	struct cox_map gateway_names;        /* name -> struct reg_gateway_name */
	bool has_node_ports;                 /* some gateway is reached by its nodes: they matter */
	const struct cox_networks *networks; /* never NULL after the first take_changes */

	struct cox_map reported;    /* WorkloadEntry id -> struct reg_reported */
	struct cox_map bad_secrets; /* object id -> struct reg_bad_secret: newest versions that are not in force */

	struct cox_registry_changes pending;
	struct cox_map pending_ids; /* object id -> index in pending + 1 */

	/* Scratch of one build. */
	struct cox_arena scratch;
	struct cox_buf bytes;
	COX_VEC(struct cox_endpoint) eps;
};

/* store.c */
const struct cox_object *reg_store_find(const struct reg_store *s, struct cox_str id);
/* Takes a reference of its own; gives the one of the object that was there, or NULL. */
const struct cox_object *reg_store_put(struct reg_store *s, const struct cox_object *o);
const struct cox_object *reg_store_remove(struct reg_store *s, struct cox_str id);
void reg_store_fini(struct reg_store *s);
/* Objects of a namespace: [*from, *to). */
void reg_store_range(const struct reg_store *s, enum cox_kind kind, struct cox_str ns, size_t *from, size_t *to);
const struct cox_object *reg_object(const struct cox_registry *r, enum cox_kind kind, struct cox_str ns, struct cox_str name);

/* index.c: one call per object that came (old NULL), changed, or went (now NULL) */
void reg_slice_changed(struct cox_registry *r, const struct cox_object *old, const struct cox_object *now);
void reg_pod_changed(struct cox_registry *r, const struct cox_object *old, const struct cox_object *now);
void reg_node_changed(struct cox_registry *r, const struct cox_object *old, const struct cox_object *now);
void reg_workload_entry_changed(struct cox_registry *r, const struct cox_object *old, const struct cox_object *now);
const struct reg_group *reg_slices_of(const struct cox_registry *r, struct cox_str ns, struct cox_str service);
void reg_index_fini(struct cox_registry *r);
bool reg_pod_has_ended(const struct cox_object *pod);

/* units.c */
void reg_unit_changed(struct cox_registry *r, const struct cox_object *old, const struct cox_object *now);
void reg_unit_mark(struct cox_registry *r, struct reg_unit *u);
void reg_unit_mark_by_id(struct cox_registry *r, enum cox_kind kind, struct cox_str ns, struct cox_str name);
void reg_units_mark_all(struct cox_registry *r);
void reg_units_resolve(struct cox_registry *r);
struct reg_slot *reg_slot_find(const struct cox_registry *r, struct cox_str hostname, struct cox_str ns);
static inline struct reg_slot *reg_slot_first(const struct cox_registry *r, struct cox_str hostname)
{
	return cox_map_find(&r->slots, hostname);
}
void reg_units_fini(struct cox_registry *r);
void reg_change_add(struct cox_registry *r, enum cox_kind kind, struct cox_str id, struct cox_str ns, bool is_removed);
/* Where an ExternalName leads, over at most 8 steps. */
struct cox_str reg_alias_target(const struct cox_registry *r, struct cox_str external_name);

/* build_service.c, build_entry.c: fill a service in r->scratch */
struct cox_str reg_service_hostname(const struct cox_registry *r, const struct cox_object *o, struct cox_arena *arena);
void reg_service_build(struct cox_registry *r, const struct cox_object *o, const struct reg_slot *slot, struct cox_svc *out);
void reg_entry_build(struct cox_registry *r, const struct cox_object *o, const struct reg_slot *slot, struct cox_svc *out);
/* The ExternalName services that lead to out->hostname, sorted. */
void reg_aliases_build(struct cox_registry *r, struct cox_svc *out);
/* Whether we give this host an address of our own. */
bool reg_entry_wants_address(const struct cox_object *o, struct cox_str host);

/* endpoints.c, workload.c: fill r->eps; may turn the resolution of `svc` (slices of DNS names) */
void reg_service_endpoints(struct cox_registry *r, const struct cox_object *o, struct cox_svc *svc);
void reg_entry_endpoints(struct cox_registry *r, const struct cox_object *o, const struct cox_svc *svc);
/* What all endpoints of a workload have in common. */
struct cox_endpoint reg_workload_of_pod(struct cox_registry *r, const struct cox_object *pod);
struct cox_endpoint reg_workload_of_slice(struct cox_registry *r, const struct cox_slice_endpoint *slice);
struct cox_endpoint reg_workload_of_entry(struct cox_registry *r, const struct cox_object *we);
struct cox_endpoint reg_workload_inline(struct cox_registry *r, const struct cox_object *se, const struct cox_workload_entry *we,
                                        struct cox_str name);
/* A pod's or WorkloadEntry's labels as selectors see them. */
size_t reg_workload_entry_labels(const struct cox_object *we, struct cox_arena *arena, const struct cox_kv **out);
struct cox_str reg_spiffe_id(struct cox_registry *r, struct cox_str ns, struct cox_str account);

/* seal.c */
const struct cox_svc *reg_svc_seal(struct cox_registry *r, const struct cox_svc *tmp);
struct cox_hash reg_svc_hash(struct cox_registry *r, const struct cox_svc *tmp);
const struct cox_endpoint_set *reg_endpoints_seal(struct cox_registry *r, const struct cox_svc *svc);

/* auto_address.c */
void reg_auto_update(struct cox_registry *r);
/* Whether it is in the range that we give addresses from. */
bool reg_is_auto_address(struct cox_str address);
/* Empty where none was given. */
struct cox_str reg_auto_address(const struct cox_registry *r, struct cox_str hostname, struct cox_arena *arena);

/* networks.c */
void reg_networks_init(struct cox_registry *r);
void reg_networks_reload(struct cox_registry *r);
struct cox_str reg_network_of_pod(const struct cox_registry *r, const struct cox_object *pod, struct cox_str node_name);
struct cox_str reg_network_of_address(const struct cox_registry *r, struct cox_str address);
void reg_networks_node_changed(struct cox_registry *r);
void reg_networks_service_changed(struct cox_registry *r, const struct cox_object *old, const struct cox_object *now);
/* True: the table is another one. */
bool reg_networks_update(struct cox_registry *r);
void reg_networks_fini(struct cox_registry *r);

/* health.c */
bool reg_entry_is_healthy(const struct cox_registry *r, const struct cox_object *we);
void reg_health_fini(struct cox_registry *r);

/* secrets.c */
/* Whether this version may be in force; `known`: the one that is, or NULL. What is wrong is kept as a finding. */
bool reg_secret_is_usable(struct cox_registry *r, const struct cox_object *o, const struct cox_object *known);
void reg_secret_forget(struct cox_registry *r, struct cox_str id);
size_t reg_secret_findings_max(const struct cox_registry *r);
size_t reg_secret_findings(const struct cox_registry *r, struct cox_arena *arena, struct cox_registry_finding *out);
void reg_secrets_fini(struct cox_registry *r);

/* mesh.c */
void reg_mesh_init(struct cox_registry *r);
void reg_mesh_reload(struct cox_registry *r);
/* What is wrong with the newest mesh configuration, and what in it has no effect; `out` has room for mesh_diags.n. */
size_t reg_mesh_findings(const struct cox_registry *r, struct cox_arena *arena, struct cox_registry_finding *out);
bool reg_mesh_is_source(const struct cox_registry *r, const struct cox_object *o);
/* Or what stands behind it: opts.shared_mesh. */
bool reg_mesh_is_input(const struct cox_registry *r, const struct cox_object *o);
bool reg_is_in_force(const struct cox_registry *r, const struct cox_object *o);
/* Objects of namespace `ns` (empty: of all) are looked at again: do they count? */
void reg_recheck(struct cox_registry *r, struct cox_str ns);
void reg_apply(struct cox_registry *r, const struct cox_object *old, const struct cox_object *now);

#endif
