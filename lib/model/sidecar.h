/*
 * sidecar - Sidecar (networking.istio.io), every field of it.
 */
#ifndef COX_MODEL_SIDECAR_H
#define COX_MODEL_SIDECAR_H

#include "model/destination_rule.h"
#include "model/gateway.h"

enum cox_capture_mode { COX_CAPTURE_DEFAULT, COX_CAPTURE_IPTABLES, COX_CAPTURE_NONE };
enum cox_outbound_mode { COX_OUTBOUND_REGISTRY_ONLY, COX_OUTBOUND_ALLOW_ANY, COX_OUTBOUND_ALLOW_ANY_DYNAMIC_DNS /* of the mesh only */ };
struct cox_outbound_policy {
	int mode;
	const struct cox_destination *egress_proxy; /* of a Sidecar only */
	const struct cox_client_tls *tls;           /* of the mesh only: TLS to what ALLOW_ANY_DYNAMIC_DNS finds */
};
struct cox_sidecar_ingress {
	const struct cox_port *port;
	struct cox_str bind, default_endpoint;
	int capture_mode;
	const struct cox_server_tls *tls;
	const struct cox_connection_pool *connection_pool;
};
struct cox_sidecar_egress {
	const struct cox_port *port;
	struct cox_str bind;
	int capture_mode;
	COX_LIST(struct cox_str) hosts;
};
struct cox_sidecar {
	const struct cox_workload_selector *workload_selector;
	COX_LIST(struct cox_sidecar_ingress) ingress;
	COX_LIST(struct cox_sidecar_egress) egress;
	const struct cox_connection_pool *inbound_connection_pool;
	const struct cox_outbound_policy *outbound_traffic_policy;
};
struct cox_sidecar_object {
	const struct cox_sidecar *spec;
};

#endif
