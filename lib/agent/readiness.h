/*
 * readiness - whether an Envoy can take traffic, from its own statistics. Pure.
 */
#ifndef COX_AGENT_READINESS_H
#define COX_AGENT_READINESS_H

#include "base/str.h"

/* The target on Envoy's administration port whose answer cox_agent_readiness_read() reads. */
extern const char *const cox_agent_readiness_target;

struct cox_agent_readiness {
	bool live;            /* server.state is LIVE */
	bool workers_started; /* listeners take connections */
	bool has_clusters;    /* an answer about clusters arrived, accepted or not */
	bool has_listeners;   /* the same about listeners */
};

/* Reads lines "name: value"; what is missing or no number counts as no. */
struct cox_agent_readiness cox_agent_readiness_read(struct cox_str stats);
/* NULL: ready; else what is missing, in words. Once a proxy `was_ready`, only its own state counts: an empty answer of a
 * restarted control plane must not take pods out of service. */
const char *cox_agent_readiness_missing(const struct cox_agent_readiness *r, bool was_ready);
/* Connections open at listeners of the mesh (not administration, probes, metrics): the sum of *.downstream_cx_active. */
uint64_t cox_agent_active_connections(struct cox_str stats, uint16_t prometheus_port, uint16_t health_port);

#endif
