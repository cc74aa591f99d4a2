/*
 * inbound_priv - what a workload's own ports are: gathered once, then written as clusters and as filter chains.
 */
#ifndef COX_TRANSLATE_INBOUND_PRIV_H
#define COX_TRANSLATE_INBOUND_PRIV_H

#include "translate/cluster_priv.h"
#include "translate/rbac.h"
#include "translate/rate_limit.h"

/* Effective server side mode of a port (protocol facts, section 8). REFUSE: STRICT is asked of a proxy that nobody serves a certificate, so
 * that no connection may come in at all. */
enum cox_inbound_tls { COX_INBOUND_TLS_DISABLE, COX_INBOUND_TLS_PERMISSIVE, COX_INBOUND_TLS_STRICT, COX_INBOUND_TLS_REFUSE };

struct cox_inbound_port {
	uint16_t target;   /* the port that clients arrive at */
	uint16_t svc_port; /* of the service: names the virtual host */
	enum cox_protocol protocol;
	const struct cox_snap_svc *snap; /* NULL: a Sidecar's ingress port without a service */
	const struct cox_dr *dr;
	const struct cox_sidecar_ingress *ingress; /* NULL: a service's port */
	struct cox_str cluster;                    /* "inbound|80||" */
	struct cox_str bind;                       /* "0.0.0.0", or of the ingress listener */
	struct cox_str hostname;                   /* for trace operations */
	bool is_own_listener;                      /* captureMode NONE: a listener that really binds, not a chain of virtualInbound */
	enum cox_inbound_tls tls;
};
struct cox_inbound {
	struct cox_tr *t;
	const struct cox_workload *w;
	const struct cox_sidecar *spec;   /* may be NULL */
	const struct cox_object *sidecar; /* may be NULL */
	struct cox_rate_filters limits;
	COX_VEC(struct cox_inbound_port) ports; /* by target port; each once */
};

/* Gathers the ports, oldest service first where two claim one. End with cox_vec_fini(&in->ports). */
void cox_inbound_ports(struct cox_inbound *in);
/* The mode for one port (0: a port of no service), by the PeerAuthentications that count for the workload. */
enum cox_inbound_tls cox_inbound_tls_mode(const struct cox_tr *t, const struct cox_workload *w, uint16_t port);
/* Who may call the workload on this port (NULL: on those of no service). False: everybody, no filter is needed. In the job's arena. */
bool cox_inbound_access(const struct cox_inbound *in, const struct cox_inbound_port *port, bool is_http, struct cox_rbac *out);
/* Gives. */
const struct cox_resource *cox_inbound_cluster_build(const struct cox_inbound *in, const struct cox_inbound_port *p);
/* Adds every filter chain of one port to an open listener. */
void cox_inbound_chains_write(struct pb_listener_v3_Listener l, const struct cox_inbound *in, const struct cox_inbound_port *p);
/* The chains that take what no port takes, and the one that stops loops. */
void cox_inbound_passthrough_chains_write(struct pb_listener_v3_Listener l, const struct cox_inbound *in, uint16_t listen_port);

#endif
