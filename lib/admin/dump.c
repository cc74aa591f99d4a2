/* dump - /debug/...: one table row for each; what a loop owns is read on that loop. */
#include "admin/admin_priv.h"

#include "envoy/transcode.h"
#include "translate/secret.h"

struct query {
	struct cox_admin *a;
	struct cox_httpd_request *r;
	struct cox_arena arena;
	struct cox_json *out;
	int status;
};

static void fail(struct query *q, int status, const char *text)
{
	q->status = status;
	q->out = cox_json_new_object(&q->arena);
	cox_json_set(&q->arena, q->out, COX_STR("error"), cox_json_new_str(&q->arena, cox_str_of(text)));
}

/* --- the registry: on the config loop ------------------------------------------------------------ */

static void read_services(void *arg)
{
	struct query *q = arg;
	q->out = cox_registry_dump_services(q->a->opts.registry, &q->arena);
}
static void read_endpoints(void *arg)
{
	struct query *q = arg;
	q->out = cox_registry_dump_endpoints(q->a->opts.registry, &q->arena);
}
static void read_configs(void *arg)
{
	struct query *q = arg;
	bool all = cox_httpd_has_query(q->r, "all");
	q->out = cox_json_new_array(&q->arena);
	for (int kind = 0; kind < COX_KIND_COUNT; kind++) {
		const struct cox_object *const *objects;
		if (kind == COX_KIND_SECRET || (!cox_kind_info((enum cox_kind)kind)->ours && !all))
			continue;
		size_t n = cox_registry_objects(q->a->opts.registry, (enum cox_kind)kind, &objects);
		for (size_t i = 0; i < n; i++)
			cox_json_push(&q->arena, q->out, cox_object_to_json(objects[i], &q->arena));
	}
}
static void read_mesh(void *arg)
{
	struct query *q = arg;
	q->out = cox_message_to_json(&cox_model_mesh_config, cox_registry_mesh(q->a->opts.registry), &q->arena);
}
static void read_push(void *arg)
{
	struct query *q = arg;
	struct cox_push_stats st;
	cox_push_stats_get(q->a->opts.push, &st);
	q->out = cox_json_new_object(&q->arena);
	const struct {
		const char *name;
		uint64_t value;
	} rows[] = {
		{ "generation", st.generation }, { "views", st.views },         { "workloads", st.workloads },
		{ "clients", st.clients },       { "resources", st.resources }, { "resourceBytes", st.resource_bytes },
	};
	for (size_t i = 0; i < COX_LEN(rows); i++)
		cox_json_set(&q->arena, q->out, cox_str_of(rows[i].name), cox_json_new_i64(&q->arena, (int64_t)rows[i].value));
}

static void read_secrets(void *arg)
{
	struct query *q = arg;
	q->out = cox_push_dump_secrets(q->a->opts.push, &q->arena);
}

static void read_filters(void *arg)
{
	struct query *q = arg;
	q->out = cox_push_dump_patches(q->a->opts.push, &q->arena);
}

static void on_filters(struct query *q) { cox_loop_call(q->a->opts.config_loop, read_filters, q); }
static void on_secrets(struct query *q) { cox_loop_call(q->a->opts.config_loop, read_secrets, q); }
static void on_services(struct query *q) { cox_loop_call(q->a->opts.config_loop, read_services, q); }
static void on_endpoints(struct query *q) { cox_loop_call(q->a->opts.config_loop, read_endpoints, q); }
static void on_configs(struct query *q) { cox_loop_call(q->a->opts.config_loop, read_configs, q); }
static void on_mesh(struct query *q) { cox_loop_call(q->a->opts.config_loop, read_mesh, q); }
static void on_push(struct query *q) { cox_loop_call(q->a->opts.config_loop, read_push, q); }

/* --- streams ---------------------------------------------------------------------------------------- */

static void read_issued(void *arg)
{
	struct query *q = arg;
	cox_json_set(&q->arena, q->out, COX_STR("issued"), cox_ledger_dump(q->a->opts.ledger, &q->arena));
}
static void on_certs(struct query *q)
{
	q->out = cox_ca_dump(q->a->opts.ca, &q->arena);
	if (q->a->opts.ledger && cox_httpd_has_query(q->r, "issued"))
		cox_loop_call(q->a->opts.config_loop, read_issued, q);
}
static void on_sync(struct query *q) { q->out = cox_xds_server_dump_sync(q->a->opts.xds, &q->arena); }
static void on_ads(struct query *q) { q->out = cox_xds_server_dump_ads(q->a->opts.xds, &q->arena); }

/* One section of envoy.admin.v3.ConfigDump. */
struct section {
	enum cox_type type;
	const char *dump, *list, *state, *member; /* state: the object around version and resource, where there is one */
};
static const struct section sections[] = {
	{ COX_TYPE_CDS, "ClustersConfigDump", "dynamic_active_clusters", NULL, "cluster" },
	{ COX_TYPE_LDS, "ListenersConfigDump", "dynamic_listeners", "active_state", "listener" },
	{ COX_TYPE_RDS, "RoutesConfigDump", "dynamic_route_configs", NULL, "route_config" },
	{ COX_TYPE_VHDS, "VirtualHostsConfigDump", "dynamic_virtual_hosts", NULL, "virtual_host" },
	{ COX_TYPE_SDS, "SecretsConfigDump", "dynamic_active_secrets", NULL, "secret" },
	{ COX_TYPE_ECDS, "EcdsConfigDump", "ecds_filters", NULL, "ecds_filter" },
	{ COX_TYPE_EDS, "EndpointsConfigDump", "dynamic_endpoint_configs", NULL, "endpoint_config" },
};

static struct cox_json *typed(struct query *q, const char *dump)
{
	struct cox_json *o = cox_json_new_object(&q->arena);
	cox_json_set(&q->arena, o, COX_STR("@type"),
	             cox_json_new_str(&q->arena, cox_arena_printf(&q->arena, "type.googleapis.com/envoy.admin.v3.%s", dump)));
	return o;
}

static void add_resource(struct query *q, struct cox_json *list, const struct section *s, const struct cox_resource *r)
{
	struct cox_arena *a = &q->arena;
	struct cox_buf flat = { 0 };
	struct cox_json *body, *around = cox_json_new_object(a), *item = cox_json_new_object(a);
	struct cox_err err = { 0 };
	char version[33];
	cox_resource_flatten(r, &flat);
	struct cox_str bytes = cox_arena_str(a, cox_buf_str(&flat));
	cox_buf_fini(&flat);
	cox_hash_to_hex(r->hash, version);
	cox_json_set(a, around, COX_STR("version_info"), cox_json_new_str(a, cox_arena_str(a, cox_str_of(version))));
	if (cox_envoy_any_to_json(cox_type_url(r->type), bytes, 0, a, &body, &err) == COX_OK) {
		if (r->type == COX_TYPE_SDS) {
			cox_secret_redact(a, body);
			cox_json_set(a, around, COX_STR("name"), cox_json_new_str(a, cox_arena_str(a, r->name)));
		}
		cox_json_set(a, around, cox_str_of(s->member), body);
	} else
		cox_json_set(a, around, COX_STR("error"), cox_json_new_str(a, cox_arena_str(a, cox_str_of(err.text))));
	if (!s->state) {
		cox_json_push(a, list, around);
		return;
	}
	cox_json_set(a, item, COX_STR("name"), cox_json_new_str(a, cox_arena_str(a, r->name)));
	cox_json_set(a, item, cox_str_of(s->state), around);
	cox_json_push(a, list, item);
}

static void on_config_dump(struct query *q)
{
	struct cox_str id = cox_httpd_query(q->r, "proxyID");
	struct cox_xds_sent sent;
	struct cox_arena *a = &q->arena;
	if (!id.n) {
		fail(q, 400, "query parameter proxyID=<pod>.<namespace> is missing");
		return;
	}
	if (cox_xds_server_sent(q->a->opts.xds, id, &sent) != COX_OK) {
		fail(q, 404, "this proxy is not connected to this replica");
		return;
	}
	struct cox_json *configs = cox_json_new_array(a);
	cox_json_push(a, configs, typed(q, "BootstrapConfigDump"));
	for (size_t i = 0; i < COX_LEN(sections); i++) {
		const struct section *s = &sections[i];
		if (s->type == COX_TYPE_EDS && !cox_httpd_has_query(q->r, "include_eds"))
			continue;
		struct cox_json *dump = typed(q, s->dump), *list = cox_json_new_array(a);
		for (unsigned p = 0; p < COX_PUSH_PARTS; p++)
			for (size_t k = 0; sent.sets[s->type][p] && k < sent.sets[s->type][p]->n; k++)
				add_resource(q, list, s, sent.sets[s->type][p]->items[k]);
		cox_json_set(a, dump, cox_str_of(s->list), list);
		if (s->type != COX_TYPE_VHDS || list->n)
			cox_json_push(a, configs, dump);
	}
	q->out = cox_json_new_object(a);
	cox_json_set(a, q->out, COX_STR("configs"), configs);
	cox_xds_sent_fini(&sent);
}

/* --- the table -------------------------------------------------------------------------------------- */

static void on_list(struct query *q);
static const struct {
	const char *name, *help;
	void (*fn)(struct query *q);
} pages[] = {
	{ "adsz", "streams now open and what they watch", on_ads },
	{ "syncz", "what each proxy was sent and has acknowledged", on_sync },
	{ "config_dump", "?proxyID=pod.ns[&include_eds]: what this proxy was sent", on_config_dump },
	{ "registryz", "services", on_services },
	{ "endpointz", "endpoints by service", on_endpoints },
	{ "endpointShardz", "endpoints by service", on_endpoints },
	{ "configz", "configuration objects in force; ?all: Services, Pods and the like, too (never Secrets)", on_configs },
	{ "mesh", "the mesh configuration in force", on_mesh },
	{ "certz", "the certificate authority: roots, chain, expiry, phase of a rotation; ?issued: what it issued", on_certs },
	{ "push_status", "the push engine's figures", on_push },
	{ "envoyfilterz", "for proxies that are patched alike, each patch of an EnvoyFilter and how many objects it changed", on_filters },
	{ "secretz", "which secrets proxies ask for, what they get, and why not the rest (never a key)", on_secrets },
	{ "list", "these pages", on_list },
};

static void on_list(struct query *q)
{
	q->out = cox_json_new_object(&q->arena);
	for (size_t i = 0; i < COX_LEN(pages); i++)
		cox_json_set(&q->arena, q->out, cox_arena_printf(&q->arena, "/debug/%s", pages[i].name),
		             cox_json_new_str(&q->arena, cox_str_of(pages[i].help)));
}

void admin_on_debug(void *ctx, struct cox_httpd_request *r)
{
	struct query q = { .a = ctx, .r = r, .status = 200 };
	struct cox_str path = cox_httpd_path(r), name = cox_str_sub(path, sizeof("/debug/") - 1, path.n);
	void (*fn)(struct query *) = name.n ? NULL : on_list;
	for (size_t i = 0; i < COX_LEN(pages) && !fn; i++)
		if (cox_str_eq_cstr(name, pages[i].name))
			fn = pages[i].fn;
	if (!cox_httpd_peer_is_loopback(r))
		fail(&q, 403, "/debug answers loopback peers only");
	else if (!fn)
		fail(&q, 404, "no such page; see /debug/list");
	else
		fn(&q);
	admin_reply_json(r, q.status, q.out);
	cox_arena_fini(&q.arena);
}
