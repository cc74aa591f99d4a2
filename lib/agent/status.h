/*
 * status - port 15020: readiness, the application's probes, metrics, drain and quit. Thread: everything on the loop.
 *
 *   GET  /healthz/ready      200 when Envoy is live, has clusters and listeners and its workers run; 503 with what is missing, or while
 * draining GET  /app-health/C/{livez,readyz,startupz}, /app-lifecycle/C/{prestopz,poststartz}   the probe of container C (probers.h) GET
 * /stats/prometheus   agent, Envoy and application (scrape.h);  /metrics  the agent's own GET  /debug/ndsz         the name table POST
 * /drain, /quitquitquit   from loopback only
 */
#ifndef COX_AGENT_STATUS_H
#define COX_AGENT_STATUS_H

#include "agent/dns.h"
#include "agent/envoy_proc.h"

struct cox_agent_status;

struct cox_agent_status_spec {
	struct cox_envoy *envoy;           /* borrowed until close; NULL: there is none, and the next two are used instead */
	const char *(*missing)(void *ctx); /* what keeps it from being ready; NULL: nothing */
	void (*quit)(void *ctx);
	void *ctx;
	struct cox_agent_dns *dns; /* the same; NULL: no DNS proxy */
	struct cox_str host;       /* where to listen; empty: every address */
	uint16_t port, admin_port;
	struct cox_str pod_address;          /* what probes ask; copied */
	struct cox_str probers, annotations; /* ISTIO_KUBE_APP_PROBERS, ISTIO_PROMETHEUS_ANNOTATIONS */
	const char *version;
};

/* COX_EINVAL names the variable that cannot be understood; COX_EIO, COX_EEXIST: the port. */
COX_MUST_USE enum cox_rc cox_agent_status_open(struct cox_loop *loop, const struct cox_agent_status_spec *spec,
                                               struct cox_agent_status **out, struct cox_err *err);
/* Accepts NULL. */
void cox_agent_status_close(struct cox_agent_status **s);

#endif
