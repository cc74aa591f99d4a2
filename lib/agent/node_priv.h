/*
 * node - who a proxy says it is: node id, locality and metadata, from the pod's environment. Pure.
 */
#ifndef COX_AGENT_NODE_PRIV_H
#define COX_AGENT_NODE_PRIV_H

#include "agent/bootstrap.h"
#include "agent/config.h"
#include "codec/json.h"

struct cox_agent_list {
	const struct cox_str *items;
	size_t n;
};

/* All of it lives in the arena given to build, or in the environment. */
struct cox_agent_node {
	struct cox_str id, cluster;
	struct cox_str locality[3]; /* region, zone, sub-zone */
	const struct cox_json *metadata, *annotations;
	struct cox_agent_config config;
	struct cox_agent_list stats_prefixes, stats_suffixes, stats_regexps;
};

/* Where the control plane is, and how to speak to it. */
struct cox_agent_control_plane {
	struct cox_str discovery; /* host:port */
	bool is_plain;            /* PROXY_CONFIG's controlPlaneAuthPolicy is NONE */
};
COX_MUST_USE enum cox_rc cox_agent_control_plane_read(const struct cox_agent_bootstrap *b, struct cox_arena *arena,
                                                      struct cox_agent_control_plane *out, struct cox_err *err);

COX_MUST_USE enum cox_rc cox_agent_node_build(const struct cox_agent_bootstrap *b, struct cox_arena *arena, struct cox_agent_node *out,
                                              struct cox_err *err);

#endif
