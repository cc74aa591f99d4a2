/*
 * registry - merges the objects of all sources into services, endpoints and configuration, and says what changed.
 * Thread: the config loop. Owns: references to all objects, services and endpoint sets in force.
 * In:  a source's events (source/events.h).  Out: cox_registry_changes, and the tables that snapshot freezes.
 */
#ifndef COX_REGISTRY_REGISTRY_H
#define COX_REGISTRY_REGISTRY_H

#include "base/map.h"
#include "base/vec.h"
#include "model/features.h"
#include "model/mesh.h"
#include "model/service_entry.h"
#include "registry/networks.h"
#include "registry/service.h"

struct cox_registry;
struct cox_registry_options {
	struct cox_str domain;          /* "cluster.local" */
	struct cox_str cluster_id;      /* "Kubernetes" */
	struct cox_str root_namespace;  /* "istio-system"; where ConfigMap `istio` is */
	struct cox_str mesh_yaml;       /* initial mesh configuration (--meshConfig file); a ConfigMap replaces it. May be empty */
	struct cox_str shared_mesh;     /* name of a ConfigMap whose `mesh` counts where ConfigMap istio says nothing; empty: none */
	struct cox_str networks_yaml;   /* the same for meshNetworks (--networksConfig). May be empty */
	enum cox_compliance compliance; /* of all TLS that is translated */
	struct cox_features features;
	struct cox_str revision; /* objects with label istio.io/rev of another revision are not ours; empty: "default" */
};
/* Copies the options. */
struct cox_registry *cox_registry_new(const struct cox_registry_options *opts);
void cox_registry_free(struct cox_registry *r);

/* Feeding. An object equal to the one in force is ignored. */
void cox_registry_put(struct cox_registry *r, const struct cox_object *o);
void cox_registry_remove(struct cox_registry *r, enum cox_kind kind, struct cox_str ns, struct cox_str name);
/* The mesh file was edited: as `mesh_yaml` of the options. A text that cannot be read leaves the last good one in force. */
void cox_registry_set_mesh_yaml(struct cox_registry *r, struct cox_str yaml);

/* What a workload's own agent says of it, before it stands in the WorkloadEntry's status and instead of it: endpoints follow at once.
 * Feeds like an event. COX_REPORTED_NONE: the status counts again. */
enum cox_reported { COX_REPORTED_NONE, COX_REPORTED_HEALTHY, COX_REPORTED_UNHEALTHY };
void cox_registry_report_health(struct cox_registry *r, struct cox_str ns, struct cox_str name, enum cox_reported health);

/* What changed since the last cox_registry_take_changes(). */
struct cox_change {
	/* of the configuration object; COX_KIND_SERVICE for a service of any origin; COX_KIND_CONFIG_MAP: mesh configuration */
	enum cox_kind kind;
	struct cox_str id; /* object id, or the hostname for services and endpoints. Lives as long as the changes */
	struct cox_str ns;
	bool is_endpoints_only; /* fast path: only the endpoint set of service `id` changed, its shape did not */
	bool is_removed;
	int64_t event_ns; /* monotonic time at which the event came in */
};
struct cox_registry_changes {
	COX_VEC(struct cox_change) items;
	struct cox_arena arena;
	bool needs_snapshot; /* something beyond endpoints-only */
};
/* Recomputes what the fed events touched, then gives the changes (empty: items.n == 0). End with cox_registry_changes_fini(). */
void cox_registry_take_changes(struct cox_registry *r, struct cox_registry_changes *out);
void cox_registry_changes_fini(struct cox_registry_changes *c);

/* Tables, valid until the next put/remove/take_changes. */
struct cox_svc_entry { /* a service in force with its endpoints */
	const struct cox_svc *svc;
	const struct cox_endpoint_set *endpoints; /* never NULL */
};
size_t cox_registry_svcs(const struct cox_registry *r, const struct cox_svc_entry **out);
/* All objects of a kind, sorted by id. */
size_t cox_registry_objects(const struct cox_registry *r, enum cox_kind kind, const struct cox_object *const **out);
/* Goes up with every object of the kind that came, changed or went: equal numbers mean an equal table. */
uint64_t cox_registry_kind_changes(const struct cox_registry *r, enum cox_kind kind);
/* Goes up when a generated object (lib/convert) has to give way to one of the same name that somebody wrote. */
uint64_t cox_registry_displaced_count(const struct cox_registry *r);
const struct cox_object *cox_registry_object_find(const struct cox_registry *r, enum cox_kind kind, struct cox_str ns, struct cox_str name);
/* The endpoint set now in force for a service, by hostname and namespace; NULL when not known. */
const struct cox_endpoint_set *cox_registry_endpoints_find(const struct cox_registry *r, struct cox_str hostname, struct cox_str ns);
/* The mesh configuration in force, with its generation hash. Borrowed until the next put; share it with cox_registry_mesh_share(). */
const struct cox_mesh_config *cox_registry_mesh(const struct cox_registry *r);
struct cox_hash cox_registry_mesh_hash(const struct cox_registry *r);
struct cox_mesh_shared {
	struct cox_ref ref;
	struct cox_hash hash;
	struct cox_mesh_config *config;
};
const struct cox_mesh_shared *cox_registry_mesh_share(const struct cox_registry *r); /* adds a reference */
void cox_mesh_shared_unref(const struct cox_mesh_shared *m);
/* The addresses that a ServiceEntry's hosts have of us, as of the last cox_registry_take_changes(): what its status should say. In `arena`.
 */
size_t cox_registry_auto_addresses(const struct cox_registry *r, const struct cox_object *entry, struct cox_arena *arena,
                                   struct cox_se_address **out);
/* The entry's status says that, and no other address of ours. */
bool cox_registry_auto_addresses_are_said(const struct cox_object *entry, const struct cox_se_address *list, size_t n);
/* Names among the gateways between networks (of meshNetworks, of load balancers), as of the last cox_registry_take_changes(): whoever feeds
 * has them resolved. Sorted, each once; the array is in `arena`. */
size_t cox_registry_gateway_names(const struct cox_registry *r, struct cox_arena *arena, const struct cox_str **out);
/* What a name stands for; none: nothing. Feeds like an event. True: that is another answer than before. */
bool cox_registry_set_gateway_addresses(struct cox_registry *r, struct cox_str name, const struct cox_str *addresses, size_t n);
/* The gateways between networks, as of the last cox_registry_take_changes(). Adds a reference. */
const struct cox_networks *cox_registry_networks_share(const struct cox_registry *r);
/* The options in force: the cluster's DNS domain, its id, and the root namespace (mesh configuration first). Borrowed like the tables. */
struct cox_str cox_registry_domain(const struct cox_registry *r);
struct cox_str cox_registry_cluster_id(const struct cox_registry *r);
struct cox_str cox_registry_root_namespace(const struct cox_registry *r);
enum cox_compliance cox_registry_compliance(const struct cox_registry *r);
const struct cox_features *cox_registry_features(const struct cox_registry *r);

/* Whether some certificate is revoked: then proxies refuse it on open connections, too (translate/guard.h). All zero at first. */
struct cox_guard {
	bool is_on;
	uint64_t tcp; /* another value: TCP connections with the mesh's mTLS end within the proxies' drain time, whoever has them */
};
void cox_registry_set_guard(struct cox_registry *r, struct cox_guard guard);
struct cox_guard cox_registry_guard(const struct cox_registry *r);

/* "region/zone/subzone" by a Node's labels, without slashes at its end; empty where it has none. In `arena`. */
struct cox_str cox_registry_node_locality(const struct cox_object *node, struct cox_arena *arena);

/* What is odd about objects in force: two of them claim one hostname in one namespace, what is wrong in the mesh
 * configuration or has no effect. */
struct cox_registry_finding {
	struct cox_str object_id, path, text;
	enum cox_severity severity;
	bool is_secret; /* about certificates or keys in it */
	bool is_mesh;   /* about the mesh configuration */
};
/* Sorted by object id; everything in `arena`. After cox_registry_take_changes(). */
size_t cox_registry_findings(const struct cox_registry *r, struct cox_arena *arena, const struct cox_registry_finding **out);
/* As Istio's debug pages show them (protocol facts, section 15); in `arena`. Any thread. */
struct cox_json *cox_svc_to_json(const struct cox_svc *s, struct cox_str cluster_id, struct cox_arena *arena);
struct cox_json *cox_endpoint_to_json(const struct cox_endpoint *e, struct cox_arena *arena);

#endif
