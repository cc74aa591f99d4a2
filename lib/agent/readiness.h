/*
 * readiness - whether an Envoy got its first configuration, from its own statistics. Pure.
 * That Envoy is live is asked by /ready: its statistic server.state is up to ten seconds late.
 */
#ifndef COX_AGENT_READINESS_H
#define COX_AGENT_READINESS_H

#include "base/str.h"

/* The target on Envoy's administration port whose answer cox_agent_readiness_read() reads. */
extern const char *const cox_agent_readiness_target;

struct cox_agent_readiness {
	bool workers_started; /* listeners take connections */
	bool has_clusters;    /* an answer about clusters arrived, accepted or not */
	bool has_listeners;   /* the same about listeners */
};

/* Reads lines "name: value"; what is missing or no number counts as no. */
struct cox_agent_readiness cox_agent_readiness_read(struct cox_str stats);
/* NULL: all there; else what is missing, in words. */
const char *cox_agent_readiness_missing(const struct cox_agent_readiness *r);
/* Connections open at listeners of the mesh (not administration, probes, metrics): the sum of *.downstream_cx_active. */
uint64_t cox_agent_active_connections(struct cox_str stats, uint16_t prometheus_port, uint16_t health_port);

#endif
