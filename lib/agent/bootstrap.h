/*
 * bootstrap - the Envoy bootstrap of a pod, from its environment. Pure: the environment comes as a list of
 * NAME=value, the pod's labels and annotations as the text of the downward API's files; out comes JSON.
 */
#ifndef COX_AGENT_BOOTSTRAP_H
#define COX_AGENT_BOOTSTRAP_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "codec/fields.h"

/* All text is borrowed and may be empty. */
struct cox_agent_bootstrap {
	const char *const *env;             /* NULL-terminated */
	struct cox_str type;                /* "sidecar" or "router" */
	struct cox_str labels, annotations; /* lines key="value" */
	struct cox_str discovery;           /* host:port; overrides PROXY_CONFIG's discoveryAddress */
	struct cox_str domain;              /* "cluster.local" */
	struct cox_str xds_path, sds_path;  /* sockets of the agent, or of who serves certificates in its place */
	bool is_identity_off;               /* no certificates: node metadata COXSWAIN_SDS is "none" */
	uint16_t admin_port, status_port, prometheus_port, health_port; /* 15000, 15020, 15090, 15021 */
	/* The address of a host, as text; false: it has none. May block: called before there is a loop. NULL: what is no address is left
	 * so. */
	bool (*resolve)(const char *host, char ip[64]);
};

enum {
	COX_AGENT_TEXT_BYTES_MAX = 256 * 1024, /* labels, annotations, PROXY_CONFIG: an object's annotations end at 256 KiB */
	COX_AGENT_DOWNSTREAM_CONNECTIONS_MAX = 1000000
};

/* The value of `name` in a NULL-terminated environment; empty when absent. */
struct cox_str cox_agent_env(const char *const *env, const char *name);
/* Appends the bootstrap. COX_EINVAL: the environment does not say who the pod is (INSTANCE_IP, POD_NAME,
 * POD_NAMESPACE), or a value cannot be understood; the path names the variable. */
COX_MUST_USE enum cox_rc cox_agent_bootstrap_build(const struct cox_agent_bootstrap *b, struct cox_buf *out, struct cox_err *err);

/* A member of the PROXY_CONFIG in force, such as "readinessProbe"; NULL: it has none. Lives in the arena. */
struct cox_json;
COX_MUST_USE enum cox_rc cox_agent_proxy_config_find(const struct cox_agent_bootstrap *b, const char *member, struct cox_arena *arena,
                                                     const struct cox_json **out, struct cox_err *err);
/* Appends an envoy.config.core.v3.Node: the same as in the bootstrap, for an agent that speaks for itself. Errors as above. */
COX_MUST_USE enum cox_rc cox_agent_node_encode(const struct cox_agent_bootstrap *b, struct cox_buf *out, struct cox_err *err);

/* What the environment says about the process rather than the bootstrap: PROXY_CONFIG, EXIT_ON_ZERO_ACTIVE_CONNECTIONS,
 * MINIMUM_DRAIN_DURATION, DISABLE_ENVOY, ISTIO_CPU_LIMIT. Text lives in the arena; empty: not said. */
struct cox_agent_settings {
	int64_t drain_ms, drain_min_ms;     /* 5 s each unless said otherwise */
	int64_t listener_drain_s;           /* drainDuration: 45 s */
	int64_t log_flush_ms, log_flush_kb; /* 1 s, 64 KiB */
	int concurrency;                    /* 0: as many as cores */
	uint16_t admin_port, status_port;   /* 15000, 15020 */
	struct cox_str binary, config_dir;  /* binaryPath, configPath */
	struct cox_str bootstrap_file;      /* customConfigFile: taken as it is */
	struct cox_diags warnings;          /* keys of PROXY_CONFIG that are unknown or have no effect */
	bool exit_on_zero;
	bool is_envoy_off; /* DISABLE_ENVOY */
};
COX_MUST_USE enum cox_rc cox_agent_settings_read(const struct cox_agent_bootstrap *b, struct cox_arena *arena,
                                                 struct cox_agent_settings *out, struct cox_err *err);

#endif
