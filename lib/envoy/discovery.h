/*
 * discovery - DiscoveryRequest and DeltaDiscoveryRequest from the wire, for whoever serves them: the control plane, and the agent that
 * serves Envoy. Pure; everything read points into the bytes or the arena.
 */
#ifndef COX_ENVOY_DISCOVERY_H
#define COX_ENVOY_DISCOVERY_H

#include "base/arena.h"
#include "base/err.h"

struct cox_name_version {
	struct cox_str name, version;
};
struct cox_discovery_request {
	struct cox_str type_url, nonce, error; /* error: the text of a rejection */
	struct cox_str version;                /* state of the world: version_info; empty: nothing */
	struct cox_str node;                   /* encoded; empty: none */
	bool has_error;
	int error_code;                             /* of google.rpc.Status */
	const struct cox_str *names, *unsubscribed; /* names: resource_names, or resource_names_subscribe */
	size_t name_n, unsubscribed_n;
	const struct cox_name_version *initial; /* delta: initial_resource_versions */
	size_t initial_n;
};
/* COX_EPROTO with the byte offset; COX_ELIMIT: more than `names_max` in one of its lists. */
COX_MUST_USE enum cox_rc cox_discovery_request_read(struct cox_str bytes, bool is_delta, size_t names_max, struct cox_arena *arena,
                                                    struct cox_discovery_request *out, struct cox_err *err);

/* The node of a request, encoded; empty: it has none, or is broken. */
struct cox_str cox_discovery_request_node(struct cox_str bytes, bool is_delta);

#endif
