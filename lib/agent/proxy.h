/*
 * proxy - `cox-agent proxy`: one Envoy with its bootstrap, and port 15020 beside it.
 * Thread: run() makes a loop, runs it in the calling thread and returns when everything has ended.
 */
#ifndef COX_AGENT_PROXY_H
#define COX_AGENT_PROXY_H

#include "agent/bootstrap.h"
#include "agent/envoy_proc.h"
#include "agent/health.h"
#include "agent/identity_config.h"

struct cox_agent_proxy {
	struct cox_agent_bootstrap bootstrap;
	const struct cox_agent_identity_config *identity; /* borrowed */
	const struct cox_agent_health_config *health;     /* borrowed; NULL: none */
	bool is_envoy_off;                                /* DISABLE_ENVOY: certificates, secrets and names alone */
	struct cox_envoy_spec envoy;                      /* bootstrap_path, ports, on_end and ctx are set by run() */
	int uid, gid;                                     /* whom the agent becomes before it does anything; 0: who it is */
	const char *bootstrap_file;                       /* customConfigFile, taken as it is; NULL: the bootstrap is made */
	const char *config_dir;                           /* where the bootstrap is written: envoy-rev.json */
	struct cox_str status_host;                       /* where 15020 listens; empty: every address */
	const char *resolv_conf;                          /* the pod's; NULL: /etc/resolv.conf */
	uint16_t tap_port;                                /* 15004; 0: none */
	const char *version;
};

/* The exit status of the program in *code: Envoy's own. SIGTERM and SIGINT drain and end; a second one ends at once. */
COX_MUST_USE enum cox_rc cox_agent_proxy_run(const struct cox_agent_proxy *p, int *code, struct cox_err *err);

#endif
