/*
 * port_forward - a port of this machine that leads to a port of a Pod, through the kube-apiserver and the Pod's kubelet: also to what
 * listens on the Pod's own 127.0.0.1. Each connection is a WebSocket of its own (v4.channel.k8s.io, which every kubelet since 1.6 speaks:
 * channel 0 is data, channel 1 what went wrong, each begins with the port).
 * Thread: everything on the client's loop, which a connection blocks while it is opened: for command-line tools.
 */
#ifndef COX_KUBE_PORT_FORWARD_H
#define COX_KUBE_PORT_FORWARD_H

#include "kube/client.h"

struct cox_kube_forward;

struct cox_kube_forward_spec {
	struct cox_str ns, pod; /* copied */
	uint16_t port;          /* of the Pod */
	const char *address;    /* to listen on; NULL: 127.0.0.1 */
	uint16_t local_port;    /* 0: any */
};
/* Gives; listens at once. COX_EIO: the address is in use. */
COX_MUST_USE enum cox_rc cox_kube_forward_open(struct cox_kube_client *c, const struct cox_kube_forward_spec *spec,
                                               struct cox_kube_forward **out, struct cox_err *err);
uint16_t cox_kube_forward_port(const struct cox_kube_forward *f);
/* What went wrong last, or an empty one: a connection that cannot be forwarded just ends. */
const struct cox_err *cox_kube_forward_error(const struct cox_kube_forward *f);
/* Ends all connections. Accepts NULL. */
void cox_kube_forward_close(struct cox_kube_forward **f);

#endif
