#include "translate/inbound_priv.h"

#include <stdlib.h>

#include "translate/filters.h"

enum cox_inbound_tls cox_inbound_tls_mode(const struct cox_tr *t, const struct cox_workload *w, uint16_t port)
{
	enum cox_mtls_mode mode = cox_snapshot_mtls_server(t->s, w->view.ns, w->labels.p, w->labels.n, port);

	if (mode == COX_MTLS_STRICT)
		return t->view->has_sds ? COX_INBOUND_TLS_STRICT : COX_INBOUND_TLS_REFUSE;
	return mode == COX_MTLS_DISABLE || !t->view->has_sds ? COX_INBOUND_TLS_DISABLE : COX_INBOUND_TLS_PERMISSIVE;
}

static bool is_own_address(const struct cox_workload *w, struct cox_str address)
{
	for (size_t i = 0; i < w->ips.n; i++)
		if (cox_str_eq(w->ips.p[i], address))
			return true;
	return false;
}

static struct cox_inbound_port *port_find(struct cox_inbound *in, uint16_t target)
{
	for (size_t i = 0; i < in->ports.n; i++)
		if (in->ports.p[i].target == target)
			return &in->ports.p[i];
	return NULL;
}

static const struct cox_svc_port *svc_port_of(const struct cox_svc *svc, const struct cox_endpoint *e)
{
	for (COX_EACH(struct cox_svc_port, p, svc->ports))
		if (cox_str_eq(p->name, e->port_name) && (e->svc_port == 0 || e->svc_port == p->port))
			return p;
	return NULL;
}

static void service_port_add(struct cox_inbound *in, const struct cox_snap_svc *snap, const struct cox_svc_port *sp, uint16_t target)
{
	if (sp == NULL || target == 0 || sp->protocol == COX_PROTO_UDP || port_find(in, target) != NULL)
		return;
	struct cox_inbound_port *p = cox_vec_add(&in->ports);
	p->target = target;
	p->svc_port = sp->port;
	p->protocol = sp->protocol;
	p->snap = snap;
	p->hostname = snap->svc->hostname;
	/* Without capture the proxy binds the port beside the application, which then listens on loopback. */
	p->is_own_listener = in->t->view->interception == COX_INTERCEPT_NONE;
	p->bind = p->is_own_listener ? in->w->ips.p[0] : cox_view_any_address(in->t->view);
}

/* Ports where the service's selector means this workload, and where it has an endpoint of the workload. What the selector says holds before
 * an EndpointSlice names the pod and while it is not ready; endpoints change on the fast path, which makes no workload view anew. */
static void service_ports_add(struct cox_inbound *in, const struct cox_snap_svc *snap)
{
	const struct cox_svc *svc = snap->svc;
	if (svc->selector.n > 0 && cox_str_eq(svc->ns, in->w->view.ns) &&
	    cox_kv_is_subset(svc->selector.p, svc->selector.n, in->w->labels.p, in->w->labels.n))
		for (COX_EACH(struct cox_svc_port, sp, svc->ports))
			service_port_add(in, snap, sp, sp->target_port);
	for (COX_EACH(struct cox_endpoint, e, snap->endpoints->items)) {
		if (is_own_address(in->w, e->address))
			service_port_add(in, snap, svc_port_of(snap->svc, e), e->port);
	}
}

static const struct cox_snap_svc *service_at(const struct cox_inbound *in, const struct cox_snap_svc **own, size_t n, uint16_t target)
{
	for (size_t i = 0; i < n; i++)
		for (COX_EACH(struct cox_endpoint, e, own[i]->endpoints->items))
			if (e->port == target && is_own_address(in->w, e->address))
				return own[i];
	return NULL;
}

/* A Sidecar with ingress says all of it: the services' ports do not count. */
static void ingress_ports_add(struct cox_inbound *in, const struct cox_snap_svc **own, size_t own_n)
{
	const struct cox_meta *meta = &in->sidecar->meta;
	for (COX_EACH(struct cox_sidecar_ingress, g, in->spec->ingress)) {
		uint16_t number = g->port != NULL ? (uint16_t)g->port->number.v : 0;
		if (number == 0 || port_find(in, number) != NULL)
			continue;
		struct cox_inbound_port *p = cox_vec_add(&in->ports);
		p->target = p->svc_port = number;
		p->protocol = cox_protocol_of_name(g->port->protocol);
		p->snap = service_at(in, own, own_n, number);
		p->ingress = g;
		p->bind = g->bind.n > 0 ? g->bind : in->w->ips.p[0];
		p->hostname = cox_arena_printf(in->t->arena, "%.*s.%.*s", COX_FMT(meta->name), COX_FMT(meta->ns));
		p->is_own_listener = g->capture_mode == COX_CAPTURE_NONE || in->t->view->interception == COX_INTERCEPT_NONE;
	}
}

static int cmp_port(const void *a, const void *b)
{
	const struct cox_inbound_port *x = a, *y = b;
	return (x->target > y->target) - (x->target < y->target);
}

void cox_inbound_ports(struct cox_inbound *in)
{
	const struct cox_tr *t = in->t;
	const struct cox_snap_svc **own = NULL;
	size_t n = cox_snapshot_svcs_of(t->s, in->w->view.ns, in->w->labels.p, in->w->labels.n, in->w->ips.p, in->w->ips.n, t->arena, &own);

	in->sidecar = t->scope != NULL ? t->scope->sidecar : NULL;
	in->spec = t->scope != NULL ? t->scope->spec : NULL;
	if (in->spec != NULL && in->spec->ingress.n > 0)
		ingress_ports_add(in, own, n);
	else
		for (size_t i = 0; i < n; i++)
			service_ports_add(in, own[i]);
	if (in->ports.n > 1)
		qsort(in->ports.p, in->ports.n, sizeof(in->ports.p[0]), cmp_port);
	for (size_t i = 0; i < in->ports.n; i++) {
		struct cox_inbound_port *p = &in->ports.p[i];
		p->cluster = cox_cluster_name(t->arena, "inbound", p->target, (struct cox_str){ 0 }, (struct cox_str){ 0 });
		p->tls = cox_inbound_tls_mode(t, in->w, p->target);
		if (p->snap != NULL) /* rules with a workloadSelector count outbound only */
			p->dr = cox_scope_dr_find(t->s, t->view->ns, NULL, 0, p->snap->svc);
	}
}
