/*
 * networks - how other networks reach each network of the mesh: the addresses of its gateways, from meshNetworks and from Services with the
 * label topology.istio.io/network. Immutable, shared; an unchanged table keeps its address.
 */
#ifndef COX_REGISTRY_NETWORKS_H
#define COX_REGISTRY_NETWORKS_H

#include "base/hash.h"
#include "base/ref.h"
#include "codec/fields.h"

enum { COX_NETWORK_GATEWAY_PORT = 15443 }; /* unless label networking.istio.io/gatewayPort says another */

struct cox_network_gateway {
	struct cox_str network, address;
	uint16_t port;
};
struct cox_networks {
	struct cox_ref ref;
	struct cox_hash hash;
	COX_LIST(struct cox_network_gateway) gateways; /* by network, address, port; no two alike */
	uint32_t scale;                                /* a multiple of each network's number of gateways: weights are split evenly */
};
void cox_networks_unref(const struct cox_networks *n);
/* The gateways of one network. */
size_t cox_networks_gateways(const struct cox_networks *n, struct cox_str network, const struct cox_network_gateway **out);

#endif
