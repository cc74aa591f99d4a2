/* The registry as JSON, for people and tools: /debug/registryz and /debug/endpointz. */
#include "registry/registry_priv.h"

static struct cox_json *text(struct cox_arena *a, struct cox_str s) { return cox_json_new_str(a, cox_arena_str(a, s)); }

static void set_text(struct cox_arena *a, struct cox_json *o, struct cox_str key, struct cox_str s)
{
	if (s.n > 0)
		cox_json_set(a, o, key, text(a, s));
}

static void set_list(struct cox_arena *a, struct cox_json *o, struct cox_str key, const struct cox_str *p, size_t n)
{
	if (n == 0)
		return;
	struct cox_json *list = cox_json_new_array(a);
	for (size_t i = 0; i < n; i++)
		cox_json_push(a, list, text(a, p[i]));
	cox_json_set(a, o, key, list);
}

static void set_labels(struct cox_arena *a, struct cox_json *o, struct cox_str key, const struct cox_kv *p, size_t n)
{
	struct cox_json *labels = cox_json_new_object(a);
	for (size_t i = 0; i < n; i++)
		cox_json_set(a, labels, cox_arena_str(a, p[i].key), text(a, p[i].value));
	if (n > 0)
		cox_json_set(a, o, key, labels);
}

static struct cox_str resolution_name(enum cox_resolution r)
{
	switch (r) {
	case COX_RES_EDS: return COX_STR("ClientSideLB");
	case COX_RES_DNS: return COX_STR("DNSLB");
	case COX_RES_DNS_RR: return COX_STR("DNSRoundRobinLB");
	case COX_RES_PASSTHROUGH: return COX_STR("Passthrough");
	case COX_RES_DYNAMIC_DNS: return COX_STR("DynamicDNS");
	case COX_RES_ALIAS: return COX_STR("Alias");
	}
	return COX_STR("");
}

static struct cox_json *ports_json(struct cox_arena *a, const struct cox_svc *s)
{
	struct cox_json *ports = cox_json_new_array(a);
	for (COX_EACH(struct cox_svc_port, p, s->ports)) {
		struct cox_json *port = cox_json_new_object(a);
		set_text(a, port, COX_STR("name"), p->name);
		cox_json_set(a, port, COX_STR("port"), cox_json_new_i64(a, p->port));
		cox_json_set(a, port, COX_STR("protocol"), text(a, cox_protocol_name(p->protocol)));
		cox_json_push(a, ports, port);
	}
	return ports;
}

static struct cox_json *svc_json(struct cox_arena *a, const struct cox_svc *s)
{
	struct cox_json *o = cox_json_new_object(a), *attributes = cox_json_new_object(a);
	set_text(a, o, COX_STR("hostname"), s->hostname);
	set_list(a, o, COX_STR("clusterVIPs"), s->addresses.p, s->addresses.n);
	cox_json_set(a, o, COX_STR("ports"), ports_json(a, s));
	cox_json_set(a, o, COX_STR("Resolution"), text(a, resolution_name(s->resolution)));
	cox_json_set(a, o, COX_STR("MeshExternal"), cox_json_new_bool(a, s->is_external));
	set_list(a, o, COX_STR("serviceAccounts"), s->subject_alt_names.p, s->subject_alt_names.n);
	set_list(a, o, COX_STR("aliases"), s->aliases.p, s->aliases.n);
	set_text(a, attributes, COX_STR("Name"), s->name);
	set_text(a, attributes, COX_STR("Namespace"), s->ns);
	set_text(a, attributes, COX_STR("ServiceRegistry"), s->origin == COX_SVC_KUBE ? COX_STR("Kubernetes") : COX_STR("External"));
	set_text(a, attributes, COX_STR("Object"), s->object_id);
	set_labels(a, attributes, COX_STR("Labels"), s->labels.p, s->labels.n);
	set_labels(a, attributes, COX_STR("LabelSelectors"), s->selector.p, s->selector.n);
	if (!s->export_to.is_public)
		set_list(a, attributes, COX_STR("ExportTo"), s->export_to.namespaces.p, s->export_to.namespaces.n);
	cox_json_set(a, o, COX_STR("Attributes"), attributes);
	return o;
}

struct cox_json *cox_registry_dump_services(const struct cox_registry *r, struct cox_arena *arena)
{
	struct cox_json *list = cox_json_new_array(arena);
	for (size_t i = 0; i < r->table.n; i++)
		cox_json_push(arena, list, svc_json(arena, r->table.p[i].svc));
	return list;
}

static struct cox_json *endpoint_json(struct cox_arena *a, const struct cox_endpoint *e)
{
	static const char *const health[] = { "HEALTHY", "UNHEALTHY", "DRAINING" };
	struct cox_json *o = cox_json_new_object(a);
	set_text(a, o, COX_STR("Address"), e->address);
	cox_json_set(a, o, COX_STR("EndpointPort"), cox_json_new_i64(a, e->port));
	set_text(a, o, COX_STR("ServicePortName"), e->port_name);
	set_labels(a, o, COX_STR("Labels"), e->labels.p, e->labels.n);
	set_text(a, o, COX_STR("ServiceAccount"), e->service_account);
	set_text(a, o, COX_STR("Network"), e->network);
	set_text(a, o, COX_STR("Locality"), e->locality);
	set_text(a, o, COX_STR("ClusterID"), e->cluster_id);
	set_text(a, o, COX_STR("Namespace"), e->ns);
	set_text(a, o, COX_STR("WorkloadName"), e->workload);
	set_text(a, o, COX_STR("NodeName"), e->node_name);
	set_text(a, o, COX_STR("TLSMode"), e->tls_mode);
	set_text(a, o, COX_STR("HealthStatus"), cox_str_of(health[e->health]));
	if (e->weight > 0)
		cox_json_set(a, o, COX_STR("LbWeight"), cox_json_new_i64(a, e->weight));
	return o;
}

/* host -> namespace -> {Shards: {cluster: [endpoints]}, ServiceAccounts} */
struct cox_json *cox_registry_dump_endpoints(const struct cox_registry *r, struct cox_arena *arena)
{
	struct cox_json *hosts = cox_json_new_object(arena);
	for (size_t i = 0; i < r->table.n; i++) {
		const struct cox_svc_entry *entry = &r->table.p[i];
		struct cox_json *list = cox_json_new_array(arena), *shards = cox_json_new_object(arena), *set = cox_json_new_object(arena);
		for (COX_EACH(struct cox_endpoint, e, entry->endpoints->items))
			cox_json_push(arena, list, endpoint_json(arena, e));
		cox_json_set(arena, shards, cox_arena_str(arena, r->opts.cluster_id), list);
		cox_json_set(arena, set, COX_STR("Shards"), shards);
		set_list(arena, set, COX_STR("ServiceAccounts"), entry->endpoints->accounts.p, entry->endpoints->accounts.n);
		struct cox_json *known = (struct cox_json *)cox_json_get(hosts, entry->svc->hostname);
		if (!known)
			known = cox_json_set(arena, hosts, cox_arena_str(arena, entry->svc->hostname), cox_json_new_object(arena));
		cox_json_set(arena, known, cox_arena_str(arena, entry->svc->ns), set);
	}
	return hosts;
}
