/*
 * networks - the mesh's networks: ConfigMap `istio`, key `meshNetworks`, YAML. Which endpoints are on which network, and the gateways
 * through which other networks reach it. Names are those of MeshNetworks.
 */
#ifndef COX_MODEL_NETWORKS_H
#define COX_MODEL_NETWORKS_H

#include "codec/fields.h"

struct cox_network_endpoints { /* exactly one */
	struct cox_str from_cidr, from_registry;
};
struct cox_network_gateway_spec { /* a service of the mesh, by its external addresses, or an address */
	struct cox_str registry_service_name, address, locality;
	struct cox_opt_i64 port;
};
struct cox_network {
	struct cox_str key; /* its name */
	COX_LIST(struct cox_network_endpoints) endpoints;
	COX_LIST(struct cox_network_gateway_spec) gateways;
};
struct cox_mesh_networks {
	COX_LIST(struct cox_network) networks;
};

/* Gives a heap value: cox_free(). Unknown fields are warnings. COX_EINVAL: not YAML, or a value out of range (`diags` says which). */
COX_MUST_USE enum cox_rc cox_mesh_networks_build(struct cox_str yaml, struct cox_arena *scratch, struct cox_diags *diags,
                                                 struct cox_mesh_networks **out);
extern const struct cox_message cox_model_mesh_networks;
/* The network whose ranges have this address: the longest one counts. Else that of the registry `cluster_id`. Empty: none. */
struct cox_str cox_mesh_networks_find(const struct cox_mesh_networks *m, struct cox_str address, struct cox_str cluster_id);

#endif
