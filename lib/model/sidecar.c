#include "model/sidecar.h"
#include "model/tables_priv.h"

#include <stdio.h>

#define CAPTURE ENUM("DEFAULT", "IPTABLES", "NONE")

static const struct cox_field outbound_policy_fields[] = {
	F(outbound_policy, mode, "mode", ENUM, "What becomes of traffic to unknown hosts.", ENUM("REGISTRY_ONLY", "ALLOW_ANY")),
	F(outbound_policy, egress_proxy, "egressProxy", MSG, "Sends it through this service (mode ALLOW_ANY).", SUB(destination)),
};
static void outbound_policy_check(const void *value, const char *path, struct cox_diags *d)
{
	const struct cox_outbound_policy *v = value;
	if (v->egress_proxy && v->mode != COX_OUTBOUND_ALLOW_ANY)
		cox_diag_add(d, COX_SEV_ERROR, 0, path, "egressProxy needs mode ALLOW_ANY");
	if (v->egress_proxy && (cox_str_find(v->egress_proxy->host, '*') >= 0 || !v->egress_proxy->port))
		cox_diag_add(d, COX_SEV_ERROR, 0, path, "egressProxy needs a host without '*' and a port");
}
MESSAGE(outbound_policy, "OutboundTrafficPolicy", "Traffic to hosts that the mesh does not know.", .check = outbound_policy_check);

/* The protocol towards the application is the port's. */
static void inbound_pool_check(const struct cox_connection_pool *p, const char *path, const char *field, struct cox_diags *d)
{
	if (p && p->http && (p->http->h2_upgrade_policy != COX_H2_DEFAULT || p->http->use_client_protocol.set))
		cox_diag_add(d, COX_SEV_WARNING, 0, path, "%s.http: h2UpgradePolicy and useClientProtocol have no effect on what comes in",
		             field);
}

static const struct cox_field sidecar_ingress_fields[] = {
	F(sidecar_ingress, port, "port", MSG, "Port on which traffic comes in.", REQUIRED, SUB(port)),
	F(sidecar_ingress, bind, "bind", STR, "Address to listen on; that of the workload by default.", .pattern = "bind"),
	F(sidecar_ingress, capture_mode, "captureMode", ENUM, "Whether traffic is redirected to the sidecar.", CAPTURE),
	F(sidecar_ingress, default_endpoint, "defaultEndpoint", STR,
	  "Where the workload listens: 127.0.0.1:PORT, 0.0.0.0:PORT or unix:///path.", .pattern = "defaultEndpoint"),
	F(sidecar_ingress, tls, "tls", MSG, "TLS that the sidecar terminates in place of the mesh's.", .flags = COX_F_NO_EFFECT,
	  SUB(server_tls)),
	F(sidecar_ingress, connection_pool, "connectionPool", MSG, "Limits for this port.", SUB(connection_pool)),
};
static void sidecar_ingress_check(const void *value, const char *path, struct cox_diags *d)
{
	const struct cox_sidecar_ingress *v = value;
	if (v->tls && v->tls->mode != COX_SERVER_TLS_SIMPLE && v->tls->mode != COX_SERVER_TLS_MUTUAL)
		cox_diag_add(d, COX_SEV_ERROR, 0, path, "tls.mode must be SIMPLE or MUTUAL");
	if (v->tls && !cox_model_protocol_is_tls(v->port ? v->port->protocol : (struct cox_str){ 0 }))
		cox_diag_add(d, COX_SEV_ERROR, 0, path, "tls needs a port of protocol HTTPS or TLS");
	if (v->port && v->port->target_port.set)
		cox_diag_add(d, COX_SEV_WARNING, 0, path, "port.targetPort has no effect; use defaultEndpoint");
	inbound_pool_check(v->connection_pool, path, "connectionPool", d);
}
static MESSAGE(sidecar_ingress, "IstioIngressListener", "A port on which traffic comes in.", .check = sidecar_ingress_check);

static const struct cox_field sidecar_egress_fields[] = {
	F(sidecar_egress, port, "port", MSG, "Port that this listener is for; all others by default.", SUB(port)),
	F(sidecar_egress, bind, "bind", STR, "Address to listen on.", .pattern = "bind"),
	F(sidecar_egress, capture_mode, "captureMode", ENUM, "Whether traffic is redirected to the sidecar.", CAPTURE),
	F(sidecar_egress, hosts, "hosts", STR,
	  "Hosts that are reachable, as namespace/host: '.' is this namespace, '*' all; '~namespace/host' takes out again, '~/host' from all namespaces.",
	  .flags = COX_F_LIST | COX_F_REQUIRED, .pattern = "egressHost"),
};
static void sidecar_egress_check(const void *value, const char *path, struct cox_diags *d)
{
	const struct cox_sidecar_egress *v = value;
	if (!v->hosts.n)
		cox_diag_add(d, COX_SEV_ERROR, 0, path, "hosts must not be empty");
	if (v->bind.n && !v->port)
		cox_diag_add(d, COX_SEV_ERROR, 0, path, "bind needs a port");
	if (cox_str_has_prefix(v->bind, COX_STR("unix://")) && v->capture_mode == COX_CAPTURE_IPTABLES)
		cox_diag_add(d, COX_SEV_ERROR, 0, path, "captureMode IPTABLES cannot be used with a unix socket");
}
static MESSAGE(sidecar_egress, "IstioEgressListener", "What a workload may reach.", .check = sidecar_egress_check);

static const struct cox_field sidecar_fields[] = {
	F(sidecar, workload_selector, "workloadSelector", MSG, "Workloads that it is for; all of the namespace by default.",
	  SUB(workload_selector)),
	F(sidecar, ingress, "ingress", MSG, "Ports on which traffic comes in; taken from the services by default.", LIST,
	  SUB(sidecar_ingress)),
	F(sidecar, egress, "egress", MSG, "What the workloads may reach.", LIST, SUB(sidecar_egress)),
	F(sidecar, inbound_connection_pool, "inboundConnectionPool", MSG, "Limits for all ports on which traffic comes in.",
	  SUB(connection_pool)),
	F(sidecar, outbound_traffic_policy, "outboundTrafficPolicy", MSG, "Traffic to hosts that the mesh does not know.",
	  SUB(outbound_policy)),
};

static void ingress_ports_check(const struct cox_sidecar *v, const char *path, struct cox_diags *d)
{
	for (size_t i = 0; i < v->ingress.n; i++)
		for (size_t k = 0; k < i; k++) {
			const struct cox_port *a = v->ingress.p[i].port, *b = v->ingress.p[k].port;
			if (a && b && a->number.v == b->number.v)
				cox_diag_add(d, COX_SEV_ERROR, 0, path, "ingress: two listeners have port %lld", (long long)a->number.v);
		}
}

static void sidecar_check(const void *value, const char *path, struct cox_diags *d)
{
	const struct cox_sidecar *v = value;
	size_t catch_all = 0, catch_all_at = 0;
	ingress_ports_check(v, path, d);
	inbound_pool_check(v->inbound_connection_pool, path, "inboundConnectionPool", d);
	for (size_t i = 0; i < v->egress.n; i++) {
		const struct cox_sidecar_egress *e = &v->egress.p[i];
		bool is_catch_all = !e->port && !e->bind.n;
		catch_all += is_catch_all;
		catch_all_at = is_catch_all ? i : catch_all_at;
		for (size_t k = 0; k < i; k++) {
			const struct cox_port *a = e->port, *b = v->egress.p[k].port;
			if (a && b && a->number.v == b->number.v && cox_str_eq(e->bind, v->egress.p[k].bind))
				cox_diag_add(d, COX_SEV_ERROR, 0, path, "egress: two listeners have port %lld", (long long)a->number.v);
		}
	}
	if (catch_all > 1)
		cox_diag_add(d, COX_SEV_ERROR, 0, path, "egress: only one listener may be without a port");
	else if (catch_all == 1 && catch_all_at + 1 != v->egress.n)
		cox_diag_add(d, COX_SEV_ERROR, 0, path, "egress: the listener without a port must be the last");
	if (!v->ingress.n && !v->egress.n && !v->inbound_connection_pool && !v->outbound_traffic_policy)
		cox_diag_add(d, COX_SEV_ERROR, 0, path,
		             "the Sidecar is empty: one of ingress, egress, outboundTrafficPolicy, inboundConnectionPool must be set");
	if (v->workload_selector && !v->workload_selector->labels.n)
		cox_diag_add(d, COX_SEV_WARNING, 0, path, "workloadSelector has no labels: it chooses every workload");
}
static MESSAGE(sidecar, "SidecarSpec", "What sidecars listen for and may reach.", .check = sidecar_check);

static const struct cox_field sidecar_object_fields[] = {
	F(sidecar_object, spec, "spec", MSG, "What sidecars listen for and may reach.", REQUIRED, SUB(sidecar)),
};
OBJECT(sidecar, sidecar_object, "Sidecar", "Limits what the sidecars of a namespace listen for and know of the mesh.", .open = true);
