/*
 * peer_authentication - PeerAuthentication (security.istio.io): which TLS a workload's own ports take.
 */
#ifndef COX_MODEL_PEER_AUTHENTICATION_H
#define COX_MODEL_PEER_AUTHENTICATION_H

#include "model/common.h"

enum cox_mtls_mode { COX_MTLS_UNSET, COX_MTLS_DISABLE, COX_MTLS_PERMISSIVE, COX_MTLS_STRICT };
struct cox_mtls {
	int mode;
};
struct cox_port_mtls {
	struct cox_str key;
	int mode;
}; /* key: the workload's own port, not the service's */
struct cox_peer_authentication {
	const struct cox_match_labels *selector;
	const struct cox_mtls *mtls;
	COX_LIST(struct cox_port_mtls) port_level_mtls;
};
struct cox_peer_authentication_object {
	const struct cox_peer_authentication *spec;
};

/* The port that a key of portLevelMtls names; 0: none. */
uint16_t cox_port_mtls_port(const struct cox_port_mtls *p);

#endif
