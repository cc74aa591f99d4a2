/*
 * features - what an operator switches for the whole mesh by environment variables of the control plane, and translation follows. Fixed for
 * the life of the process. All zero: the defaults.
 */
#ifndef COX_MODEL_FEATURES_H
#define COX_MODEL_FEATURES_H

#include "base/base.h"

struct cox_features {
	bool http10;               /* PILOT_HTTP10: every proxy takes HTTP/1.0 */
	bool sends_unhealthy;      /* PILOT_SEND_UNHEALTHY_ENDPOINTS */
	bool gateways_are_scoped;  /* PILOT_SCOPE_GATEWAY_TO_NAMESPACE */
	bool no_alpn_filter;       /* PILOT_ENABLE_ALPN_FILTER=false */
	bool no_metadata_exchange; /* PILOT_ENABLE_METADATA_EXCHANGE=false: no filter for HTTP and TCP */
	bool no_peer_alpn;         /* PILOT_DISABLE_MX_ALPN: clients do not offer istio-peer-exchange */
	bool no_telemetry_labels;  /* PILOT_ENABLE_TELEMETRY_LABEL=false: no `istio` metadata at clusters and endpoints */
	bool no_endpoint_labels;   /* PILOT_ENDPOINT_TELEMETRY_LABEL=false: none at endpoints */
	bool has_sessions;         /* PILOT_ENABLE_PERSISTENT_SESSION_FILTER: labels of Services ask for sessions */
	bool has_mcs_hosts;        /* ENABLE_MCS_HOST: ServiceImports are hosts under clusterset.local */
	bool has_sampling;         /* PILOT_TRACE_SAMPLING was given */
	double sampling_percent;
};

#endif
