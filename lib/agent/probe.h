/*
 * probe - asks the application in the pod one of its own probes. Thread: everything on the loop.
 * The pod's own address is asked, from 127.0.0.6 (::6): the capture rules let that pass the proxy, so that mutual TLS is not in the way.
 */
#ifndef COX_AGENT_PROBE_H
#define COX_AGENT_PROBE_H

#include "agent/probers.h"
#include "loop/loop.h"

struct cox_agent_probe;

struct cox_agent_probe_spec {
	const struct cox_agent_prober *prober; /* borrowed until close */
	const char *address;                   /* the pod's; numeric; borrowed until close */
	struct cox_str head;                   /* of the kubelet's request: its headers go along; copied */
	/* Once, never inside open: the status for the kubelet and one line why. May close the probe. */
	void (*on_done)(void *ctx, int status, const char *text);
	void *ctx;
};

void cox_agent_probe_open(struct cox_loop *loop, const struct cox_agent_probe_spec *spec, struct cox_agent_probe **out);
/* No callback after this. Accepts NULL. */
void cox_agent_probe_close(struct cox_agent_probe **p);
/* From where the application at this address is asked; NULL: from anywhere (loopback). */
const char *cox_agent_probe_source(const char *address);

#endif
