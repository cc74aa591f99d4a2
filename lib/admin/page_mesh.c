/* The mesh as it is configured: policies, clusters, networks, findings. From the latest snapshot, on this thread. */
#include "admin/admin_priv.h"

#include "snapshot/check.h"

static void read_mesh(void *arg)
{
	struct answer *w = arg;
	w->out = cox_message_to_json(&cox_model_mesh_config, cox_registry_mesh(w->a->opts.registry), &w->arena);
}
void page_mesh(struct answer *w) { cox_loop_call(w->a->opts.config_loop, read_mesh, w); }

static void read_inject(void *arg)
{
	struct answer *w = arg;
	w->out = w->a->opts.inject(w->a->opts.inject_ctx, &w->arena);
}
void page_inject(struct answer *w)
{
	if (w->a->opts.inject)
		cox_loop_call(w->a->opts.config_loop, read_inject, w);
	if (!w->out)
		answer_say(w, 404, "no injector: there is no kube-apiserver, or the webhooks are off");
}

/* --- policies by namespace --------------------------------------------------------------------------------------- */

struct policies {
	struct answer *w;
	const char *api_version, *kind;
	struct cox_json *by_ns;
	struct cox_str root;
};

/* {ns: [{name, namespace, spec}]} */
static void read_policies(void *arg)
{
	struct policies *p = arg;
	struct cox_arena *a = &p->w->arena;
	const struct cox_kind_info *kind = cox_kind_find(cox_str_of(p->api_version), cox_str_of(p->kind));
	const struct cox_object *const *objects;
	size_t n = kind ? cox_registry_objects(p->w->a->opts.registry, kind->kind, &objects) : 0;
	p->by_ns = cox_json_new_object(a);
	p->root = cox_arena_str(a, cox_registry_root_namespace(p->w->a->opts.registry));
	for (size_t i = 0; i < n; i++) {
		struct cox_json *o = cox_json_new_object(a), *whole = cox_object_to_json(objects[i], a);
		struct cox_json *list = (struct cox_json *)cox_json_get(p->by_ns, objects[i]->meta.ns);
		const struct cox_json *spec = cox_json_get(whole, COX_STR("spec")),
		                      *annotations = cox_json_at(whole, "metadata.annotations");
		answer_set_str(a, o, "name", objects[i]->meta.name);
		answer_set_str(a, o, "namespace", objects[i]->meta.ns);
		if (annotations)
			cox_json_set(a, o, COX_STR("annotations"), annotations);
		cox_json_set(a, o, COX_STR("spec"), spec ? spec : cox_json_new_object(a));
		if (!list)
			list = cox_json_set(a, p->by_ns, cox_arena_str(a, objects[i]->meta.ns), cox_json_new_array(a));
		cox_json_push(a, list, o);
	}
}

static struct cox_json *policies_json(struct answer *w, const char *api_version, const char *kind, const char *member)
{
	struct policies p = { .w = w, .api_version = api_version, .kind = kind };
	struct cox_json *o = cox_json_new_object(&w->arena);
	cox_loop_call(w->a->opts.config_loop, read_policies, &p);
	cox_json_set(&w->arena, o, cox_str_of(member), p.by_ns);
	answer_set_str(&w->arena, o, "root_namespace", p.root);
	return o;
}

static struct cox_json *authorization_json(struct answer *w)
{
	return policies_json(w, "security.istio.io/v1", "AuthorizationPolicy", "namespace_to_policies");
}

void page_authorization(struct answer *w)
{
	w->out = cox_json_new_object(&w->arena);
	cox_json_set(&w->arena, w->out, COX_STR("authorization_policies"), authorization_json(w));
}

/* Of one namespace's Telemetries the one without a selector, or the first whose selector takes the proxy. */
static const struct cox_json *telemetry_of(const struct cox_json *list, const struct cox_proxy *p, bool with_selector)
{
	for (size_t i = 0; list && i < list->n; i++) {
		const struct cox_json *labels = cox_json_at(&list->items[i], "spec.selector.matchLabels");
		bool fits = (labels && labels->n) == with_selector;
		for (size_t k = 0; labels && k < labels->n && fits; k++)
			fits = cox_str_eq(cox_kv_get(p->labels.p, p->labels.n, labels->members[k].key), labels->members[k].value.text);
		if (fits)
			return &list->items[i];
	}
	return NULL;
}

static void add_telemetry(struct answer *w, const char *level, const struct cox_json *found)
{
	struct cox_json *o = cox_json_new_object(&w->arena);
	answer_set_str(&w->arena, o, "Namespace", cox_json_str_at(found, "namespace"));
	answer_set_str(&w->arena, o, "Name", cox_json_str_at(found, "name"));
	cox_json_set(&w->arena, w->out, cox_str_of(level), o);
}

void page_telemetry(struct answer *w)
{
	struct cox_xds_stream_info info;
	struct cox_json *all = policies_json(w, "telemetry.istio.io/v1", "Telemetry", "namespace_to_telemetries");
	const struct cox_json *by_ns = cox_json_get(all, COX_STR("namespace_to_telemetries"));
	if (!w->has_param[PARAM_PROXY]) {
		w->out = cox_json_new_object(&w->arena);
		cox_json_set(&w->arena, w->out, COX_STR("telemetries"), all);
		return;
	}
	if (!page_find_proxy(w, &info))
		return;
	struct cox_str root = cox_json_str_at(all, "root_namespace");
	const struct cox_json *own = cox_json_get(by_ns, info.proxy->ns);
	w->out = cox_json_new_object(&w->arena);
	add_telemetry(w, "Root", telemetry_of(cox_json_get(by_ns, root), info.proxy, false));
	add_telemetry(w, "Namespace", cox_str_eq(root, info.proxy->ns) ? NULL : telemetry_of(own, info.proxy, false));
	add_telemetry(w, "Workload", telemetry_of(own, info.proxy, true));
	cox_xds_stream_info_fini(&info);
}

/* --- clusters and networks ---------------------------------------------------------------------------------------- */

static void read_cluster(void *arg)
{
	struct answer *w = arg;
	struct cox_json *o = cox_json_new_object(&w->arena);
	w->out = cox_json_new_array(&w->arena);
	answer_set_str(&w->arena, o, "id", cox_registry_cluster_id(w->a->opts.registry));
	answer_set_str(&w->arena, o, "secretName", COX_STR(""));
	answer_set_str(&w->arena, o, "syncStatus", cox_push_is_synced(w->a->opts.push) ? COX_STR("synced") : COX_STR("syncing"));
	cox_json_push(&w->arena, w->out, o);
}
void page_clusters(struct answer *w) { cox_loop_call(w->a->opts.config_loop, read_cluster, w); }

static struct cox_json *networks_json(struct answer *w, const struct cox_snapshot *s)
{
	struct cox_arena *a = &w->arena;
	struct cox_json *list = cox_json_new_array(a);
	for (size_t i = 0; s->networks && i < s->networks->gateways.n; i++) {
		const struct cox_network_gateway *g = &s->networks->gateways.p[i];
		struct cox_json *o = cox_json_new_object(a), *account = cox_json_new_object(a);
		answer_set_str(a, o, "Network", g->network);
		answer_set_str(a, o, "Cluster", COX_STR("")); /* not told apart: one cluster is read */
		answer_set_str(a, o, "Addr", g->address);
		answer_set_int(a, o, "Port", g->port);
		answer_set_int(a, o, "HBONEPort", 0);
		answer_set_str(a, account, "Namespace", COX_STR(""));
		answer_set_str(a, account, "Name", COX_STR(""));
		cox_json_set(a, o, COX_STR("ServiceAccount"), account);
		cox_json_push(a, list, o);
	}
	return list;
}

void page_networks(struct answer *w)
{
	const struct cox_snapshot *s = page_snapshot(w);
	if (s)
		w->out = networks_json(w, s);
	cox_snapshot_unref(s);
}

/* ServiceExports and ServiceImports are not read. */
void page_mcs(struct answer *w) { w->out = cox_json_new_array(&w->arena); }

void page_push_context(struct answer *w)
{
	const struct cox_snapshot *s = page_snapshot(w);
	if (!s)
		return;
	w->out = cox_json_new_object(&w->arena);
	cox_json_set(&w->arena, w->out, COX_STR("AuthorizationPolicies"), authorization_json(w));
	cox_json_set(&w->arena, w->out, COX_STR("NetworkGateways"), networks_json(w, s));
	cox_json_set(&w->arena, w->out, COX_STR("UnresolvedGateways"), cox_json_new_array(&w->arena));
	cox_snapshot_unref(s);
}

/* --- what is wrong: metric -> object -> {message} ------------------------------------------------------------------ */

static struct cox_str metric_of(struct cox_arena *a, enum cox_finding_code code)
{
	switch (code) { /* Istio's names, where it has one */
	case COX_FINDING_CLAIMED: return COX_STR("pilot_duplicate_envoy_clusters");
	case COX_FINDING_DUPLICATE_HOST: return COX_STR("pilot_vservice_dup_domain");
	case COX_FINDING_DUPLICATE_SUBSET: return COX_STR("pilot_destrule_subsets");
	case COX_FINDING_ADDRESS_CONFLICT: return COX_STR("pilot_conflict_outbound_listener_tcp_over_current_tcp");
	case COX_FINDING_TARGET_PORT_CONFLICT: return COX_STR("pilot_conflict_inbound_listener");
	default: return cox_arena_printf(a, "coxswain_%s", cox_finding_code_name(code));
	}
}

static void add_problem(struct answer *w, struct cox_str metric, struct cox_str key, struct cox_str message)
{
	struct cox_arena *a = &w->arena;
	struct cox_json *problems = (struct cox_json *)cox_json_get(w->out, metric), *o = cox_json_new_object(a);
	if (!problems)
		problems = cox_json_set(a, w->out, metric, cox_json_new_object(a));
	if (message.n)
		answer_set_str(a, o, "message", message);
	cox_json_set(a, problems, key, o);
}

static void add_empty_services(struct answer *w, const struct cox_snapshot *s)
{
	for (COX_EACH(struct cox_snap_svc, svc, s->svcs)) {
		bool is_dns = svc->svc->resolution == COX_RES_DNS || svc->svc->resolution == COX_RES_DNS_RR;
		if (svc->endpoints->items.n || (!is_dns && svc->svc->resolution != COX_RES_EDS))
			continue;
		for (COX_EACH(struct cox_svc_port, port, svc->svc->ports))
			if (port->protocol != COX_PROTO_UDP)
				add_problem(w, is_dns ? COX_STR("pilot_dns_cluster_without_endpoints") : COX_STR("pilot_eds_no_instances"),
				            cox_arena_printf(&w->arena, "outbound|%u||%.*s", port->port, COX_FMT(svc->svc->hostname)),
				            COX_STR(""));
	}
}

struct check_call {
	struct answer *w;
	const struct cox_registry_finding *items;
	size_t n;
};
static void read_findings(void *arg)
{
	struct check_call *c = arg;
	c->n = cox_registry_findings(c->w->a->opts.registry, &c->w->arena, &c->items);
}

void page_push_status(struct answer *w)
{
	const struct cox_snapshot *s = page_snapshot(w);
	struct cox_findings found = { 0 };
	struct check_call call = { .w = w };
	if (!s)
		return;
	w->out = cox_json_new_object(&w->arena);
	cox_loop_call(w->a->opts.config_loop, read_findings, &call);
	for (size_t i = 0; i < call.n; i++)
		if (!call.items[i].is_secret && !call.items[i].is_mesh)
			add_problem(w, metric_of(&w->arena, COX_FINDING_CLAIMED),
			            cox_arena_printf(&w->arena, "%.*s %.*s", COX_FMT(call.items[i].object_id), COX_FMT(call.items[i].path)),
			            call.items[i].text);
	cox_snapshot_check(s, NULL, &w->arena, &found);
	for (COX_EACH(struct cox_finding, f, found.items))
		add_problem(w, metric_of(&w->arena, f->code),
		            cox_arena_printf(&w->arena, "%.*s %.*s", COX_FMT(f->object_id), COX_FMT(f->path)), f->text);
	add_empty_services(w, s);
	cox_snapshot_unref(s);
}
