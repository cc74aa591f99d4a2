/* The WorkloadGroup of `group create`, and the texts of `entry configure`. Pure. */
#include "tool/vm_priv.h"

#include "codec/yaml.h"

#include <stdio.h>
#include <stdlib.h>

enum { ENV_MAX = 32 };

static void put(struct cox_arena *a, struct cox_json *o, const char *key, const struct cox_json *v)
{
	cox_json_set(a, o, cox_str_of(key), v);
}
static void put_str(struct cox_arena *a, struct cox_json *o, const char *key, struct cox_str s) { put(a, o, key, cox_json_new_str(a, s)); }

/* --- group create ------------------------------------------------------------------------------------------------------ */

static enum cox_rc add_pairs(struct cox_arena *a, const char *flag, struct cox_str text, bool are_numbers, struct cox_json *to,
                             struct cox_err *err)
{
	struct cox_str pair;
	while (text.n && cox_str_next(&text, ',', &pair)) {
		ptrdiff_t eq = cox_str_find(pair, '=');
		struct cox_str value = eq > 0 ? cox_str_sub(pair, (size_t)eq + 1, SIZE_MAX) : (struct cox_str){ 0 };
		uint64_t number = 0;
		if (eq <= 0 || (are_numbers && cox_str_to_u64(value, &number) != COX_OK))
			return cox_err_set(err, COX_EINVAL, NULL, "%s: \"%.*s\" is not %s", flag, COX_FMT(pair),
			                   are_numbers ? "name=port" : "key=value");
		cox_json_set(a, to, cox_str_sub(pair, 0, (size_t)eq),
		             are_numbers ? cox_json_new_i64(a, (int64_t)number) : cox_json_new_str(a, value));
	}
	return COX_OK;
}

enum cox_rc vm_group_check(const struct cox_json *doc, struct cox_arena *a, const struct cox_object **out, struct cox_err *err)
{
	struct cox_diags diags = { .arena = a };
	enum cox_rc rc = cox_object_build(doc, COX_STR("group"), COX_STR("default"), a, &diags, out);
	if (rc == COX_OK && (*out)->kind == COX_KIND_WORKLOAD_GROUP)
		return COX_OK;
	for (size_t i = 0; i < diags.n; i++)
		if (diags.items[i].severity == COX_SEV_ERROR) {
			char path[192];
			return cox_err_set(err, COX_EINVAL, cox_str_to_cstr(diags.items[i].path, path, sizeof(path)), "%.*s",
			                   COX_FMT(diags.items[i].text));
		}
	return cox_err_set(err, COX_EINVAL, NULL, "it is not a WorkloadGroup");
}

enum cox_rc cox_tool_vm_group(const struct cox_vm_group_options *o, struct cox_buf *out, struct cox_err *err)
{
	COX_AUTO(cox_arena_fini) struct cox_arena arena = { 0 };
	COX_AUTO(cox_object_unrefp) const struct cox_object *checked = NULL;
	struct cox_arena *a = &arena;
	struct cox_json *root = cox_json_new_object(a), *meta = cox_json_new_object(a), *spec = cox_json_new_object(a),
	                *template = cox_json_new_object(a), *of = cox_json_new_object(a), *labels = cox_json_new_object(a),
	                *annotations = cox_json_new_object(a), *ports = cox_json_new_object(a);
	if (!o->name.n || !o->ns.n)
		return cox_err_set(err, COX_EINVAL, NULL, "%s is required", o->name.n ? "--namespace" : "--name");
	COX_TRY(add_pairs(a, "--labels", o->labels, false, labels, err));
	COX_TRY(add_pairs(a, "--annotations", o->annotations, false, annotations, err));
	COX_TRY(add_pairs(a, "--ports", o->ports, true, ports, err));
	put_str(a, root, "apiVersion", COX_STR("networking.istio.io/v1"));
	put_str(a, root, "kind", COX_STR("WorkloadGroup"));
	put_str(a, meta, "name", o->name);
	put_str(a, meta, "namespace", o->ns);
	put(a, root, "metadata", meta);
	if (annotations->n)
		put(a, of, "annotations", annotations);
	if (labels->n)
		put(a, of, "labels", labels);
	if (of->n)
		put(a, spec, "metadata", of);
	if (ports->n)
		put(a, template, "ports", ports);
	put_str(a, template, "serviceAccount", o->service_account.n ? o->service_account : COX_STR("default"));
	put(a, spec, "template", template);
	put(a, root, "spec", spec);
	COX_TRY(vm_group_check(root, a, &checked, err));
	cox_json_write_yaml(out, root);
	return COX_OK;
}

/* --- entry configure ------------------------------------------------------------------------------------------------------ */

struct env {
	struct cox_kv items[ENV_MAX];
	size_t n;
};
static void set(struct env *e, const char *key, struct cox_str value)
{
	COX_ASSERT(e->n < ENV_MAX);
	e->items[e->n++] = (struct cox_kv){ cox_str_of(key), value };
}
static struct cox_str compact(struct cox_arena *a, const struct cox_json *v)
{
	struct cox_buf b = { 0 };
	cox_json_write(&b, v, 0, true);
	struct cox_str s = cox_arena_str(a, cox_buf_str(&b));
	cox_buf_fini(&b);
	return s;
}

static struct cox_str inbound_ports(struct cox_arena *a, const struct cox_workload_entry *t)
{
	struct cox_buf b = { 0 };
	for (COX_EACH(struct cox_port_number, p, t->ports))
		cox_buf_printf(&b, "%s%lld", b.n ? "," : "", (long long)p->number);
	struct cox_str s = b.n ? cox_arena_str(a, cox_buf_str(&b)) : COX_STR("*");
	cox_buf_fini(&b);
	return s;
}

/* What the agent says of itself: part of both files. */
static void add_metadata(struct env *e, const struct cox_vm_options *o, const struct cox_object *group, const struct cox_json *config,
                         const struct cox_mesh_config *mesh, struct cox_arena *a)
{
	const struct cox_workload_group *g = COX_SPEC(cox_workload_group_object, group)->spec;
	struct cox_json *labels = cox_json_new_object(a);
	const struct cox_kv *kvs = g->metadata ? g->metadata->labels.p : NULL;
	size_t n = g->metadata ? g->metadata->labels.n : 0;
	struct cox_str name = cox_canonical_name(kvs, n, group->meta.name), revision = cox_canonical_revision(kvs, n);
	for (size_t i = 0; i < n; i++)
		cox_json_set(a, labels, kvs[i].key, cox_json_new_str(a, kvs[i].value));
	put_str(a, labels, "service.istio.io/canonical-name", name);
	put_str(a, labels, "service.istio.io/canonical-revision", revision);
	set(e, "CANONICAL_SERVICE", name);
	set(e, "CANONICAL_REVISION", revision);
	set(e, "ISTIO_METAJSON_LABELS", compact(a, labels));
	if (o->registers)
		set(e, "ISTIO_META_AUTO_REGISTER_GROUP", group->meta.name);
	set(e, "ISTIO_META_CLUSTER_ID", o->cluster_id);
	set(e, "ISTIO_META_DNS_CAPTURE", o->has_no_dns_capture ? COX_STR("false") : COX_STR("true"));
	set(e, "ISTIO_META_MESH_ID", cox_json_str_at(config, "meshId"));
	set(e, "ISTIO_META_NETWORK", g->template->network);
	set(e, "ISTIO_META_WORKLOAD_NAME", group->meta.name);
	set(e, "POD_NAMESPACE", group->meta.ns);
	set(e, "SERVICE_ACCOUNT", vm_account(group));
	set(e, "TRUST_DOMAIN", mesh->trust_domain);
}

struct cox_str vm_account(const struct cox_object *group)
{
	struct cox_str account = COX_SPEC(cox_workload_group_object, group)->spec->template->service_account;
	return account.n ? account : COX_STR("default");
}

struct cox_str vm_control_plane(const struct cox_vm_options *o, struct cox_arena *a)
{
	bool is_default = !o->revision.n || cox_str_eq(o->revision, COX_STR("default"));
	return is_default ? cox_arena_printf(a, "istiod.%.*s.svc", COX_FMT(o->istio_ns))
	                  : cox_arena_printf(a, "istiod-%.*s.%.*s.svc", COX_FMT(o->revision), COX_FMT(o->istio_ns));
}

/* The mesh's defaultConfig with the machine's own parts. */
static struct cox_json *proxy_config(const struct cox_vm_options *o, const struct cox_object *group, const struct cox_json *probe,
                                     const struct cox_json *base, const struct env *metadata, struct cox_arena *a)
{
	struct cox_json *config = cox_json_clone(a, base), *env = cox_json_new_object(a);
	const struct cox_json *given = cox_json_get(base, COX_STR("proxyMetadata"));
	for (size_t i = 0; given && given->type == COX_JSON_OBJECT && i < given->n; i++)
		cox_json_set(a, env, given->members[i].key, &given->members[i].value);
	for (size_t i = 0; i < metadata->n; i++)
		cox_json_set(a, env, metadata->items[i].key, cox_json_new_str(a, metadata->items[i].value));
	put(a, config, "proxyMetadata", env);
	if (!cox_json_get(config, COX_STR("discoveryAddress")))
		put_str(a, config, "discoveryAddress", cox_arena_concat(a, vm_control_plane(o, a), COX_STR(":15012")));
	put_str(a, config, "serviceCluster", cox_arena_printf(a, "%.*s.%.*s", COX_FMT(group->meta.name), COX_FMT(group->meta.ns)));
	if (probe)
		put(a, config, "readinessProbe", probe);
	return config;
}

static struct cox_str env_text(struct env *e, struct cox_arena *a)
{
	struct cox_buf b = { 0 };
	qsort(e->items, e->n, sizeof(*e->items), cox_kv_cmp_qsort);
	for (size_t i = 0; i < e->n; i++) {
		cox_buf_printf(&b, "%.*s='", COX_FMT(e->items[i].key));
		for (size_t k = 0; k < e->items[i].value.n; k++) /* a shell reads it */
			if (e->items[i].value.p[k] == '\'')
				cox_buf_append_cstr(&b, "'\\''");
			else
				cox_buf_append_char(&b, e->items[i].value.p[k]);
		cox_buf_append_cstr(&b, "'\n");
	}
	struct cox_str s = cox_arena_str(a, cox_buf_str(&b));
	cox_buf_fini(&b);
	return s;
}

void cox_tool_vm_files(const struct cox_vm_options *o, const struct cox_object *group, const struct cox_json *probe,
                       const struct cox_mesh_config *mesh, struct cox_arena *arena, struct cox_vm_files *out)
{
	const struct cox_workload_group *g = COX_SPEC(cox_workload_group_object, group)->spec;
	struct cox_json *base = NULL, *root = cox_json_new_object(arena);
	struct env metadata = { 0 }, all;
	struct cox_buf yaml = { 0 };
	if (cox_json_parse(arena, mesh->default_config->raw, &base, NULL) != COX_OK)
		base = cox_json_new_object(arena);
	add_metadata(&metadata, o, group, base, mesh, arena);
	struct cox_json *config = proxy_config(o, group, probe, base, &metadata, arena);
	put(arena, root, "defaultConfig", config);
	cox_json_write_yaml(&yaml, root);
	all = metadata;
	set(&all, "ISTIO_INBOUND_PORTS", inbound_ports(arena, g->template));
	set(&all, "ISTIO_LOCAL_EXCLUDE_PORTS", COX_STR("22,15090,15021,15020"));
	set(&all, "ISTIO_NAMESPACE", group->meta.ns);
	set(&all, "ISTIO_SERVICE", cox_arena_printf(arena, "%.*s.%.*s", COX_FMT(group->meta.name), COX_FMT(group->meta.ns)));
	set(&all, "ISTIO_SERVICE_CIDR", COX_STR("*"));
	/* cox-agent reads its configuration and address from the environment alone. */
	set(&all, "PROXY_CONFIG", compact(arena, config));
	struct cox_str ip = o->external_ip.n ? o->external_ip : o->internal_ip;
	if (ip.n) {
		set(&all, "ISTIO_SVC_IP", ip);
		set(&all, "INSTANCE_IP", ip);
	}
	*out = (struct cox_vm_files){ .cluster_env = env_text(&all, arena), .mesh_yaml = cox_arena_str(arena, cox_buf_str(&yaml)) };
	if (o->ingress_ip.n)
		out->hosts = cox_arena_printf(arena, "%.*s %.*s\n", COX_FMT(o->ingress_ip), COX_FMT(vm_control_plane(o, arena)));
	cox_buf_fini(&yaml);
}
