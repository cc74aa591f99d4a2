/* One host of a ServiceEntry as a service of the mesh. */
#include "registry/registry_priv.h"

static enum cox_resolution resolution_of(int se)
{
	switch (se) {
	case COX_SE_STATIC: return COX_RES_EDS;
	case COX_SE_DNS: return COX_RES_DNS;
	case COX_SE_DNS_ROUND_ROBIN: return COX_RES_DNS_RR;
	case COX_SE_DYNAMIC_DNS: return COX_RES_DYNAMIC_DNS;
	default: return COX_RES_PASSTHROUGH;
	}
}

static bool is_wildcard(struct cox_str host) { return host.n > 0 && host.p[0] == '*'; }

bool reg_entry_wants_address(const struct cox_object *o, struct cox_str host)
{
	const struct cox_service_entry_object *object = COX_SPEC(cox_service_entry_object, o);
	const struct cox_service_entry *se = object->spec;
	if (!se || se->addresses.n > 0 || is_wildcard(host) || se->resolution == COX_SE_NONE)
		return false;
	struct cox_str key = COX_STR("networking.istio.io/enable-autoallocate-ip"), off = COX_STR("false");
	return !cox_str_eq(cox_kv_get(o->meta.labels.p, o->meta.labels.n, key), off) &&
	       !cox_str_eq(cox_kv_get(o->meta.annotations.p, o->meta.annotations.n, key), off);
}

/* The user's, else those that an allocation controller wrote into the status, else ours. An address of our range counts only where it is
 * this host's: an older host may have it. */
static void build_addresses(struct cox_registry *r, const struct cox_object *o, struct cox_svc *out)
{
	const struct cox_service_entry_object *object = COX_SPEC(cox_service_entry_object, o);
	out->addresses.p = object->spec->addresses.p;
	out->addresses.n = object->spec->addresses.n;
	if (!reg_entry_wants_address(o, out->hostname))
		return;
	out->addresses_are_auto = true;
	size_t max = object->status ? object->status->addresses.n : 0, n = 0;
	struct cox_str *ips = COX_ARENA_ARRAY(&r->scratch, struct cox_str, max + 1), ours = reg_auto_address(r, out->hostname, &r->scratch);
	for (size_t i = 0; i < max; i++) {
		const struct cox_se_address *a = &object->status->addresses.p[i];
		if (a->value.n > 0 && (a->host.n == 0 || cox_str_eq(a->host, out->hostname)) &&
		    (!reg_is_auto_address(a->value) || cox_str_eq(a->value, ours)))
			ips[n++] = a->value;
	}
	if (n == 0) {
		ips[0] = ours;
		n = ours.n > 0;
	}
	out->addresses.p = ips;
	out->addresses.n = n;
}

static void build_ports(struct cox_registry *r, const struct cox_service_entry *se, struct cox_svc *out)
{
	struct cox_svc_port *ports = COX_ARENA_ARRAY(&r->scratch, struct cox_svc_port, se->ports.n);
	for (size_t i = 0; i < se->ports.n; i++) {
		const struct cox_port *p = &se->ports.p[i];
		ports[i].name = p->name;
		ports[i].port = (uint16_t)p->number.v;
		ports[i].target_port = p->target_port.set && p->target_port.v > 0 ? (uint16_t)p->target_port.v : ports[i].port;
		ports[i].protocol = cox_protocol_of_name(p->protocol);
	}
	out->ports.p = ports;
	out->ports.n = se->ports.n;
}

void reg_entry_build(struct cox_registry *r, const struct cox_object *o, const struct reg_slot *slot, struct cox_svc *out)
{
	const struct cox_service_entry *se = COX_SPEC(cox_service_entry_object, o)->spec;
	out->hostname = out->name = slot->hostname;
	out->ns = slot->ns;
	out->origin = COX_SVC_ENTRY;
	out->object_id = o->id;
	out->creation_ms = o->meta.creation_ms;
	out->resolution = resolution_of(se->resolution);
	out->is_external = se->location == COX_SE_MESH_EXTERNAL;
	out->labels.p = o->meta.labels.p, out->labels.n = o->meta.labels.n;
	if (se->workload_selector) {
		out->selector.p = se->workload_selector->labels.p, out->selector.n = se->workload_selector->labels.n;
		out->has_selector = true;
	}
	out->subject_alt_names.p = se->subject_alt_names.p, out->subject_alt_names.n = se->subject_alt_names.n;
	out->persistent_session = cox_kv_get(o->meta.labels.p, o->meta.labels.n, COX_STR("istio.io/persistent-session"));
	out->persistent_session_header = cox_kv_get(o->meta.labels.p, o->meta.labels.n, COX_STR("istio.io/persistent-session-header"));
	const struct cox_mesh_config *mesh = r->mesh->config;
	out->export_to = cox_export_build(&r->scratch, se->export_to.p, se->export_to.n, o->meta.ns, mesh->default_service_export_to.p,
	                                  mesh->default_service_export_to.n);
	build_addresses(r, o, out);
	build_ports(r, se, out);
	reg_aliases_build(r, out);
}
