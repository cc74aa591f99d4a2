/* Services and endpoints as JSON, under the names that Istio's tools read: /debug/registryz, /debug/endpointShardz. */
#include "registry/registry_priv.h"

#include "base/clock.h"

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

/* As Istio counts them. */
static int resolution_number(enum cox_resolution r)
{
	switch (r) {
	case COX_RES_EDS: return 0;
	case COX_RES_DNS: return 1;
	case COX_RES_DNS_RR: return 2;
	case COX_RES_PASSTHROUGH: return 3;
	case COX_RES_DYNAMIC_DNS: return 4;
	case COX_RES_ALIAS: return 5;
	}
	return 0;
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

/* Go writes a set as an object of empty objects. */
static void set_set(struct cox_arena *a, struct cox_json *o, struct cox_str key, const struct cox_str *p, size_t n)
{
	struct cox_json *set = cox_json_new_object(a);
	for (size_t i = 0; i < n; i++)
		cox_json_set(a, set, cox_arena_str(a, p[i]), cox_json_new_object(a));
	cox_json_set(a, o, key, set);
}

static struct cox_json *attributes_json(struct cox_arena *a, const struct cox_svc *s)
{
	static const struct cox_str everybody[] = { COX_STR_INIT("*") };
	struct cox_json *o = cox_json_new_object(a), *aliases = cox_json_new_array(a);
	set_text(a, o, COX_STR("ServiceRegistry"), s->origin == COX_SVC_KUBE ? COX_STR("Kubernetes") : COX_STR("External"));
	set_text(a, o, COX_STR("Name"), s->name);
	set_text(a, o, COX_STR("Namespace"), s->ns);
	set_labels(a, o, COX_STR("Labels"), s->labels.p, s->labels.n);
	if (s->export_to.is_public)
		set_set(a, o, COX_STR("ExportTo"), everybody, 1);
	else
		set_set(a, o, COX_STR("ExportTo"), s->export_to.namespaces.p, s->export_to.namespaces.n);
	set_labels(a, o, COX_STR("LabelSelectors"), s->selector.p, s->selector.n);
	for (COX_EACH(struct cox_str, host, s->aliases)) {
		struct cox_json *alias = cox_json_new_object(a);
		set_text(a, alias, COX_STR("Hostname"), *host);
		cox_json_push(a, aliases, alias);
	}
	if (aliases->n)
		cox_json_set(a, o, COX_STR("Aliases"), aliases);
	set_text(a, o, COX_STR("ExternalName"), s->external_name);
	cox_json_set(a, o, COX_STR("NodeLocal"), cox_json_new_bool(a, s->is_node_local));
	cox_json_set(a, o, COX_STR("TrafficDistribution"), cox_json_new_i64(a, s->distribution));
	cox_json_set(a, o, COX_STR("PublishNotReadyAddresses"), cox_json_new_bool(a, s->publish_not_ready));
	set_text(a, o, COX_STR("Object"), s->object_id); /* ours: what it was made from */
	return o;
}

struct cox_json *cox_svc_to_json(const struct cox_svc *s, struct cox_str cluster_id, struct cox_arena *a)
{
	struct cox_json *o = cox_json_new_object(a), *vips = cox_json_new_object(a), *by_cluster = cox_json_new_object(a);
	struct cox_str first = s->addresses.n ? s->addresses.p[0] : COX_STR("0.0.0.0");
	char when[32];
	cox_json_set(a, o, COX_STR("Attributes"), attributes_json(a, s));
	cox_json_set(a, o, COX_STR("ports"), ports_json(a, s));
	set_list(a, o, COX_STR("serviceAccounts"), s->subject_alt_names.p, s->subject_alt_names.n);
	cox_clock_format(s->creation_ms, when);
	if (s->creation_ms)
		set_text(a, o, COX_STR("creationTime"), cox_str_of(when));
	set_text(a, o, COX_STR("hostname"), s->hostname);
	if (!s->addresses_are_auto)
		set_list(a, by_cluster, cox_arena_str(a, cluster_id), s->addresses.p, s->addresses.n);
	cox_json_set(a, vips, COX_STR("Addresses"), by_cluster);
	cox_json_set(a, o, COX_STR("clusterVIPs"), vips);
	set_text(a, o, COX_STR("defaultAddress"), s->addresses_are_auto ? COX_STR("0.0.0.0") : first);
	for (size_t i = 0; i < s->addresses.n && s->addresses_are_auto; i++)
		set_text(a, o,
		         cox_str_find(s->addresses.p[i], ':') < 0 ? COX_STR("autoAllocatedIPv4Address")
		                                                  : COX_STR("autoAllocatedIPv6Address"),
		         s->addresses.p[i]);
	cox_json_set(a, o, COX_STR("Resolution"), cox_json_new_i64(a, resolution_number(s->resolution)));
	cox_json_set(a, o, COX_STR("MeshExternal"), cox_json_new_bool(a, s->is_external));
	return o;
}

struct cox_json *cox_endpoint_to_json(const struct cox_endpoint *e, struct cox_arena *a)
{
	struct cox_json *o = cox_json_new_object(a), *locality = cox_json_new_object(a);
	set_labels(a, o, COX_STR("Labels"), e->labels.p, e->labels.n);
	set_list(a, o, COX_STR("Addresses"), &e->address, 1);
	set_text(a, o, COX_STR("ServicePortName"), e->port_name);
	set_text(a, o, COX_STR("ServiceAccount"), e->service_account);
	set_text(a, o, COX_STR("Network"), e->network);
	set_text(a, locality, COX_STR("Label"), e->locality);
	set_text(a, locality, COX_STR("ClusterID"), e->cluster_id);
	cox_json_set(a, o, COX_STR("Locality"), locality);
	cox_json_set(a, o, COX_STR("EndpointPort"), cox_json_new_i64(a, e->port));
	cox_json_set(a, o, COX_STR("LbWeight"), cox_json_new_i64(a, e->weight));
	set_text(a, o, COX_STR("TLSMode"), e->tls_mode);
	set_text(a, o, COX_STR("Namespace"), e->ns);
	set_text(a, o, COX_STR("WorkloadName"), e->workload);
	set_text(a, o, COX_STR("HostName"), e->hostname);
	set_text(a, o, COX_STR("SubDomain"), e->subdomain);
	cox_json_set(a, o, COX_STR("HealthStatus"), cox_json_new_i64(a, 1 + (int)e->health)); /* 1 healthy, 2 unhealthy, 3 draining */
	set_text(a, o, COX_STR("NodeName"), e->node_name);
	return o;
}
