/* A Kubernetes Service as a service of the mesh. */
#include "registry/registry_priv.h"

struct cox_str reg_service_hostname(const struct cox_registry *r, const struct cox_object *o, struct cox_arena *arena)
{
	return cox_arena_printf(arena, "%.*s.%.*s.svc.%.*s", COX_FMT(o->meta.name), COX_FMT(o->meta.ns), COX_FMT(r->opts.domain));
}

static struct cox_str annotation(const struct cox_object *o, struct cox_str key)
{
	return cox_kv_get(o->meta.annotations.p, o->meta.annotations.n, key);
}

static size_t split_list(struct cox_arena *arena, struct cox_str text, const struct cox_str **out)
{
	size_t n = 0, max = 1;
	for (size_t i = 0; i < text.n; i++)
		max += text.p[i] == ',';
	struct cox_str *items = COX_ARENA_ARRAY(arena, struct cox_str, max), rest = text, part;
	while (text.n > 0 && cox_str_next(&rest, ',', &part)) {
		part = cox_str_trim(part);
		if (part.n > 0)
			items[n++] = part;
	}
	*out = items;
	return n;
}

static void build_ports(struct cox_registry *r, const struct cox_service_spec *spec, struct cox_svc *out)
{
	struct cox_svc_port *ports = COX_ARENA_ARRAY(&r->scratch, struct cox_svc_port, spec->ports.n);
	for (size_t i = 0; i < spec->ports.n; i++) {
		const struct cox_service_port *p = &spec->ports.p[i];
		ports[i].name = p->name;
		ports[i].port = (uint16_t)p->port.v;
		ports[i].node_port = (uint16_t)p->node_port.v;
		ports[i].protocol = cox_protocol_of_kube_port(p->protocol, p->app_protocol, p->name, ports[i].port);
		if (p->target_port.set && p->target_port.s.n > 0)
			ports[i].target_name = p->target_port.s;
		else
			ports[i].target_port = p->target_port.set && p->target_port.i > 0 ? (uint16_t)p->target_port.i : ports[i].port;
	}
	out->ports.p = ports;
	out->ports.n = spec->ports.n;
}

/* "None" makes it headless; otherwise all ClusterIPs, the first as clusterIP says. */
static void build_addresses(struct cox_registry *r, const struct cox_service_spec *spec, struct cox_svc *out)
{
	struct cox_str *ips = COX_ARENA_ARRAY(&r->scratch, struct cox_str, spec->cluster_ips.n + 1);
	size_t n = 0;
	out->is_headless = cox_str_eq(spec->cluster_ip, COX_STR("None"));
	if (!out->is_headless && spec->cluster_ip.n > 0)
		ips[n++] = spec->cluster_ip;
	for (COX_EACH(struct cox_str, ip, spec->cluster_ips)) {
		if (cox_str_eq(*ip, COX_STR("None")))
			out->is_headless = true;
		else if (ip->n > 0 && !cox_str_eq(*ip, spec->cluster_ip))
			ips[n++] = *ip;
	}
	out->addresses.p = ips;
	out->addresses.n = out->is_headless ? 0 : n;
}

static enum cox_distribution distribution_of(struct cox_str text)
{
	if (cox_str_eq(text, COX_STR("PreferClose")) || cox_str_eq(text, COX_STR("PreferSameZone")))
		return COX_DIST_SAME_ZONE;
	return cox_str_eq(text, COX_STR("PreferSameNode")) ? COX_DIST_SAME_NODE : COX_DIST_NONE;
}

/* The Service's own field, then its annotation, then its namespace's. */
static enum cox_distribution build_distribution(const struct cox_registry *r, const struct cox_object *o,
                                                const struct cox_service_spec *spec)
{
	struct cox_str key = COX_STR("networking.istio.io/traffic-distribution");
	if (spec->traffic_distribution.n > 0)
		return distribution_of(spec->traffic_distribution);
	struct cox_str text = annotation(o, key);
	const struct cox_object *ns = text.n == 0 ? reg_object(r, COX_KIND_NAMESPACE, (struct cox_str){ 0 }, o->meta.ns) : NULL;
	return distribution_of(ns ? annotation(ns, key) : text);
}

/* Accounts that no pod shows: given by annotation, of Kubernetes (in this namespace) or as full identities. */
static void build_accounts(struct cox_registry *r, const struct cox_object *o, struct cox_svc *out)
{
	const struct cox_str *kube, *full;
	size_t kube_n = split_list(&r->scratch, annotation(o, COX_STR("alpha.istio.io/kubernetes-serviceaccounts")), &kube);
	size_t full_n = split_list(&r->scratch, annotation(o, COX_STR("alpha.istio.io/canonical-serviceaccounts")), &full);
	if (kube_n + full_n == 0)
		return;
	struct cox_str *all = COX_ARENA_ARRAY(&r->scratch, struct cox_str, kube_n + full_n);
	for (size_t i = 0; i < kube_n; i++)
		all[i] = reg_spiffe_id(r, o->meta.ns, kube[i]);
	for (size_t i = 0; i < full_n; i++)
		all[kube_n + i] = full[i];
	out->subject_alt_names.p = all;
	out->subject_alt_names.n = kube_n + full_n;
}

void reg_aliases_build(struct cox_registry *r, struct cox_svc *out)
{
	if (r->externals.n == 0)
		return;
	struct cox_str *names = COX_ARENA_ARRAY(&r->scratch, struct cox_str, r->externals.n);
	size_t n = 0;
	for (size_t i = 0; i < r->externals.n; i++) {
		const struct reg_unit *u = r->externals.p[i];
		const struct reg_slot *s = u->slots.n > 0 ? u->slots.p[0] : NULL;
		if (!s || s->claims.p[0] != u || cox_str_eq(s->hostname, out->hostname) ||
		    !cox_str_eq(reg_alias_target(r, u->external_name), out->hostname))
			continue;
		size_t at = n++;
		for (; at > 0 && cox_str_cmp(names[at - 1], s->hostname) > 0; at--)
			names[at] = names[at - 1];
		names[at] = s->hostname;
	}
	out->aliases.p = names;
	out->aliases.n = n;
}

static void build_export(struct cox_registry *r, const struct cox_object *o, struct cox_svc *out)
{
	const struct cox_str *list;
	size_t n = split_list(&r->scratch, annotation(o, COX_STR("networking.istio.io/exportTo")), &list);
	const struct cox_mesh_config *mesh = r->mesh->config;
	out->export_to =
	    cox_export_build(&r->scratch, list, n, o->meta.ns, mesh->default_service_export_to.p, mesh->default_service_export_to.n);
}

void reg_service_build(struct cox_registry *r, const struct cox_object *o, const struct reg_slot *slot, struct cox_svc *out)
{
	const struct cox_service_spec *spec = COX_SPEC(cox_service, o)->spec;
	out->hostname = slot->hostname;
	out->ns = slot->ns;
	out->name = o->meta.name;
	out->origin = COX_SVC_KUBE;
	out->object_id = o->id;
	out->creation_ms = o->meta.creation_ms;
	out->labels.p = o->meta.labels.p, out->labels.n = o->meta.labels.n;
	out->selector.p = spec->selector.p, out->selector.n = spec->selector.n;
	out->has_selector = spec->selector.n > 0;
	out->publish_not_ready = spec->publish_not_ready_addresses;
	out->is_node_local = cox_str_eq(spec->internal_traffic_policy, COX_STR("Local"));
	out->is_node_port = cox_str_eq(spec->type, COX_STR("NodePort")) || cox_str_eq(spec->type, COX_STR("LoadBalancer"));
	out->persistent_session = cox_kv_get(o->meta.labels.p, o->meta.labels.n, COX_STR("istio.io/persistent-session"));
	out->persistent_session_header = cox_kv_get(o->meta.labels.p, o->meta.labels.n, COX_STR("istio.io/persistent-session-header"));
	out->distribution = build_distribution(r, o, spec);
	build_ports(r, spec, out);
	build_accounts(r, o, out);
	build_export(r, o, out);
	reg_aliases_build(r, out);
	if (cox_str_eq(spec->type, COX_STR("ExternalName"))) {
		/* As istiod does it: no cluster of its own even where the name leads out of the mesh; DNS and passthrough do it then. */
		out->resolution = COX_RES_ALIAS;
		out->external_name = reg_alias_target(r, spec->external_name);
		const struct reg_slot *target = reg_slot_first(r, out->external_name);
		out->is_external = !target || target->claims.n == 0;
		return;
	}
	build_addresses(r, spec, out);
	out->resolution = out->is_headless ? COX_RES_PASSTHROUGH : COX_RES_EDS;
}
