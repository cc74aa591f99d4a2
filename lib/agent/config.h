/*
 * config - the ProxyConfig in force for this pod (PROXY_CONFIG, then the annotation proxy.istio.io/config), and the parts of the Envoy
 * bootstrap that it decides. Pure.
 */
#ifndef COX_AGENT_CONFIG_H
#define COX_AGENT_CONFIG_H

#include "agent/bootstrap.h"
#include "model/proxy_config.h"

struct cox_agent_config {
	struct cox_json *json; /* as merged: what the control plane is told */
	const struct cox_proxy_config *values;
	struct cox_diags diags; /* warnings: keys that are unknown or have no effect */
};
/* Everything lives in the arena. COX_EINVAL: a value cannot be used, or asks for what no Envoy has any more; the path names it. */
COX_MUST_USE enum cox_rc cox_agent_config_read(const struct cox_agent_bootstrap *b, const struct cox_json *annotations,
                                               struct cox_arena *arena, struct cox_agent_config *out, struct cox_err *err);
/* The same from what `b` has of annotations. */
COX_MUST_USE enum cox_rc cox_agent_config_find(const struct cox_agent_bootstrap *b, struct cox_arena *arena, struct cox_agent_config *out,
                                               struct cox_err *err);
/* The environment of the pod with what proxyMetadata adds to it (the pod's own wins): NULL-terminated, in the arena. */
COX_MUST_USE enum cox_rc cox_agent_config_env(const struct cox_agent_bootstrap *b, struct cox_arena *arena, const char *const **out,
                                              struct cox_err *err);

/* --- parts of the bootstrap; each begins with a comma where it writes anything ------------------------ */

/* Members of Bootstrap: "tracing", "stats_sinks". `service` is the proxy's name in traces. COX_EINVAL: an address is none. */
COX_MUST_USE enum cox_rc cox_agent_config_write_sinks(const struct cox_agent_bootstrap *b, const struct cox_agent_config *c,
                                                      struct cox_str service, struct cox_buf *out, struct cox_err *err);
/* Static clusters of collectors. */
COX_MUST_USE enum cox_rc cox_agent_config_write_clusters(const struct cox_agent_bootstrap *b, const struct cox_agent_config *c,
                                                         struct cox_buf *out, struct cox_err *err);
/* Members of the static runtime layer. */
void cox_agent_config_write_runtime(const struct cox_agent_config *c, struct cox_buf *out);
/* Items of stats_tags. */
void cox_agent_config_write_tags(const struct cox_agent_config *c, const struct cox_json *annotations, struct cox_buf *out);
/* How many connections Envoy takes: connectionSettings, else ISTIO_META_GLOBAL_DOWNSTREAM_MAX_CONNECTIONS, else the runtime's. */
uint64_t cox_agent_config_connections(const struct cox_agent_bootstrap *b, const struct cox_agent_config *c);

#endif
