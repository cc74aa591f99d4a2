/* The endpoints of one service, in r->eps (protocol facts, section 10). */
#include "registry/registry_priv.h"

#include "base/metric.h"

static void push(struct cox_registry *r, const struct cox_endpoint *workload, struct cox_str address, uint16_t port,
                 const struct cox_svc_port *svc_port, enum cox_health health)
{
	struct cox_endpoint *e = cox_vec_add(&r->eps);
	*e = *workload;
	e->address = address;
	e->port = port;
	e->port_name = svc_port->name;
	e->svc_port = svc_port->port;
	e->health = health;
}

/* --- EndpointSlices ----------------------------------------------------------------------------- */

enum fate { FATE_HEALTHY, FATE_UNHEALTHY, FATE_DRAINING, FATE_DROPPED };

/* A terminating endpoint goes at once, but for sticky sessions: those may finish while it still serves. */
static enum fate fate_of(const struct cox_slice_endpoint *e, const struct cox_svc *svc, const struct cox_endpoint *workload)
{
	bool is_sticky = svc->persistent_session.n > 0 || svc->persistent_session_header.n > 0;
	const struct cox_endpoint_conditions *c = e->conditions;
	bool terminating = c && c->terminating.set && c->terminating.v;
	if (terminating && !(svc->publish_not_ready && c->ready.set && c->ready.v))
		return is_sticky && (!c->serving.set || c->serving.v) ? FATE_DRAINING : FATE_DROPPED;
	if (is_sticky && cox_kv_has(workload->labels.p, workload->labels.n, COX_STR("istio.io/draining")))
		return FATE_DRAINING;
	if (!c || !c->ready.set || c->ready.v || svc->publish_not_ready)
		return FATE_HEALTHY;
	return FATE_UNHEALTHY;
}

/* The pod behind an endpoint. False: it names one that is not known (yet): without its labels and account we could neither
 * route nor secure it, so it waits for the pod. */
static bool find_pod(const struct cox_registry *r, const struct cox_object *slice, const struct cox_slice_endpoint *e,
                     const struct cox_object **out)
{
	if (e->target_ref && cox_str_eq(e->target_ref->kind, COX_STR("Pod"))) {
		*out = reg_object(r, COX_KIND_POD, slice->meta.ns, e->target_ref->name);
		return *out != NULL;
	}
	*out = e->addresses.n > 0 ? cox_map_find(&r->pods_by_ip, e->addresses.p[0]) : NULL;
	return true;
}

static void add_slice_endpoint(struct cox_registry *r, const struct cox_object *slice, const struct cox_slice_endpoint *e,
                               const struct cox_svc *svc)
{
	const struct cox_endpoint_slice *spec = COX_SPEC(cox_endpoint_slice, slice);
	const struct cox_object *pod;
	if (!find_pod(r, slice, e, &pod)) {
		cox_metric_add(COX_M_K8S_NO_PODS, NULL, 1);
		return;
	}
	if (pod && reg_pod_has_ended(pod))
		return;
	struct cox_endpoint workload = pod ? reg_workload_of_pod(r, pod) : reg_workload_of_slice(r, e);
	enum fate fate = fate_of(e, svc, &workload);
	if (fate == FATE_DROPPED)
		return;
	for (COX_EACH(struct cox_slice_port, p, spec->ports)) {
		for (COX_EACH(struct cox_svc_port, sp, svc->ports)) {
			if (!cox_str_eq(sp->name, p->name) || !p->port.set)
				continue;
			for (COX_EACH(struct cox_str, address, e->addresses))
				push(r, &workload, *address, (uint16_t)p->port.v, sp, (enum cox_health)fate);
			break;
		}
	}
}

static void add_slices(struct cox_registry *r, const struct cox_object *o, struct cox_svc *svc)
{
	const struct reg_group *g = reg_slices_of(r, o->meta.ns, o->meta.name);
	size_t fqdn = 0;
	for (size_t i = 0; g && i < g->slices.n; i++) {
		const struct cox_endpoint_slice *spec = COX_SPEC(cox_endpoint_slice, g->slices.p[i]);
		fqdn += cox_str_eq(spec->address_type, COX_STR("FQDN"));
	}
	/* EDS takes addresses only. A service that has nothing but names becomes a DNS cluster; in a mixture the names are left out. */
	bool is_dns = g && fqdn > 0 && fqdn == g->slices.n;
	if (is_dns && svc->resolution == COX_RES_EDS)
		svc->resolution = COX_RES_DNS;
	for (size_t i = 0; g && i < g->slices.n; i++) {
		const struct cox_endpoint_slice *spec = COX_SPEC(cox_endpoint_slice, g->slices.p[i]);
		if (!is_dns && cox_str_eq(spec->address_type, COX_STR("FQDN")))
			continue;
		for (COX_EACH(struct cox_slice_endpoint, e, spec->endpoints))
			add_slice_endpoint(r, g->slices.p[i], e, svc);
	}
}

/* --- WorkloadEntries and selected pods ------------------------------------------------------------ */

static bool entry_port(const struct cox_workload_entry *we, struct cox_str name, uint16_t *out)
{
	for (COX_EACH(struct cox_port_number, p, we->ports))
		if (cox_str_eq(p->key, name)) {
			*out = (uint16_t)p->number;
			return true;
		}
	return false;
}

static void add_workload_entry(struct cox_registry *r, const struct cox_workload_entry *we, const struct cox_endpoint *workload,
                               const struct cox_svc *svc)
{
	bool is_socket = cox_str_has_prefix(we->address, COX_STR("unix://"));
	if (we->address.n == 0 && workload->network.n == 0)
		return; /* without an address it is reached through its network's gateway */
	for (COX_EACH(struct cox_svc_port, sp, svc->ports)) {
		uint16_t port = sp->target_port;
		if (is_socket)
			port = 0;
		else if (!entry_port(we, sp->name, &port) && sp->target_name.n > 0 && !entry_port(we, sp->target_name, &port))
			continue; /* a named target that this workload does not have */
		push(r, workload, we->address, port, sp, workload->health);
	}
}

static void add_selected_entries(struct cox_registry *r, struct cox_str ns, const struct cox_svc *svc)
{
	const struct reg_store *store = &r->stores[COX_KIND_WORKLOAD_ENTRY];
	size_t from, to;
	reg_store_range(store, COX_KIND_WORKLOAD_ENTRY, ns, &from, &to);
	for (; from < to; from++) {
		const struct cox_workload_entry_object *we = COX_SPEC(cox_workload_entry_object, store->p[from]);
		const struct cox_kv *labels;
		size_t n = reg_workload_entry_labels(store->p[from], &r->scratch, &labels);
		if (!we->spec || !cox_kv_is_subset(svc->selector.p, svc->selector.n, labels, n))
			continue;
		struct cox_endpoint workload = reg_workload_of_entry(r, store->p[from]);
		add_workload_entry(r, we->spec, &workload, svc);
	}
}

/* Without a Ready condition (a pod written by hand) a running pod counts. */
static bool pod_is_ready(const struct cox_object *pod)
{
	const struct cox_pod_status *status = COX_SPEC(cox_pod, pod)->status;
	if (!status || status->pod_ip.n == 0 || pod->meta.is_deleting || reg_pod_has_ended(pod))
		return false;
	for (COX_EACH(struct cox_condition, c, status->conditions))
		if (cox_str_eq(c->type, COX_STR("Ready")))
			return cox_str_eq(c->status, COX_STR("True"));
	return true;
}

static void add_selected_pods(struct cox_registry *r, struct cox_str ns, const struct cox_svc *svc)
{
	const struct reg_store *store = &r->stores[COX_KIND_POD];
	size_t from, to;
	reg_store_range(store, COX_KIND_POD, ns, &from, &to);
	for (; from < to; from++) {
		const struct cox_object *pod = store->p[from];
		if (!cox_kv_is_subset(svc->selector.p, svc->selector.n, pod->meta.labels.p, pod->meta.labels.n) || !pod_is_ready(pod))
			continue;
		struct cox_endpoint workload = reg_workload_of_pod(r, pod);
		for (COX_EACH(struct cox_svc_port, sp, svc->ports))
			push(r, &workload, COX_SPEC(cox_pod, pod)->status->pod_ip, sp->target_port, sp, COX_HEALTHY);
	}
}

/* --- the two kinds of service --------------------------------------------------------------------- */

void reg_service_endpoints(struct cox_registry *r, const struct cox_object *o, struct cox_svc *svc)
{
	if (svc->resolution == COX_RES_ALIAS)
		return;
	add_slices(r, o, svc);
	if (svc->has_selector)
		add_selected_entries(r, o->meta.ns, svc);
}

void reg_entry_endpoints(struct cox_registry *r, const struct cox_object *o, const struct cox_svc *svc)
{
	const struct cox_service_entry *se = COX_SPEC(cox_service_entry_object, o)->spec;
	if (svc->resolution == COX_RES_PASSTHROUGH || svc->resolution == COX_RES_DYNAMIC_DNS)
		return;
	for (size_t i = 0; i < se->endpoints.n; i++) {
		struct cox_str name = cox_arena_printf(&r->scratch, "%.*s-%zu", COX_FMT(o->meta.name), i);
		struct cox_endpoint workload = reg_workload_inline(r, o, &se->endpoints.p[i], name);
		add_workload_entry(r, &se->endpoints.p[i], &workload, svc);
	}
	if (svc->has_selector) {
		add_selected_entries(r, o->meta.ns, svc);
		add_selected_pods(r, o->meta.ns, svc);
		return;
	}
	bool is_dns = svc->resolution == COX_RES_DNS || svc->resolution == COX_RES_DNS_RR;
	if (se->endpoints.n > 0 || !is_dns || svc->hostname.p[0] == '*')
		return;
	/* A DNS entry without endpoints is resolved by its own name. */
	struct cox_workload_entry self = { .address = svc->hostname };
	struct cox_endpoint workload = reg_workload_inline(r, o, &self, o->meta.name);
	add_workload_entry(r, &self, &workload, svc);
}
