/* world.c - see world.h. */
#include "tool/world.h"

#include "base/file.h"
#include "codec/json.h"
#include "envoy/transcode.h"
#include "model/core.h"
#include "registry/registry.h"
#include "source/dir_source.h"
#include "translate/secret.h"
#include "validate/report.h"

enum { NODE_FILE_BYTES_MAX = 1024 * 1024 };

/* --- reading ------------------------------------------------------------------------------ */

static struct cox_registry_options registry_options(const struct cox_world_options *o)
{
	return (struct cox_registry_options){ .domain = o->domain.n ? o->domain : COX_STR("cluster.local"),
		                              .cluster_id = o->cluster_id.n ? o->cluster_id : COX_STR("Kubernetes"),
		                              .root_namespace = o->root_ns.n ? o->root_ns : COX_STR("istio-system"),
		                              .compliance = o->compliance,
		                              .features = o->features,
		                              .mesh_yaml = o->mesh_yaml };
}

struct cox_world *cox_world_new(const struct cox_world_options *opts)
{
	struct cox_world *w = cox_zalloc(sizeof(*w));
	struct cox_registry_options ro = registry_options(opts);
	w->registry = cox_registry_new(&ro);
	w->convert = cox_convert_new(&(struct cox_convert_options){ .registry = w->registry });
	w->memo = cox_memo_new();
	w->owns_memo = true;
	return w;
}

struct cox_world *cox_world_copy(const struct cox_world *from, const struct cox_world_options *opts)
{
	struct cox_world *w = cox_zalloc(sizeof(*w));
	struct cox_registry_options ro = registry_options(opts);
	w->registry = cox_registry_new(&ro);
	w->convert = cox_convert_new(&(struct cox_convert_options){ .registry = w->registry });
	w->memo = from->memo;
	for (int kind = 0; kind < COX_KIND_COUNT; kind++) {
		const struct cox_object *const *objects;
		size_t n = cox_registry_objects(from->registry, (enum cox_kind)kind, &objects);
		for (size_t i = 0; i < n; i++)
			if (!objects[i]->is_generated) /* made anew from what they came from */
				cox_registry_put(w->registry, objects[i]);
	}
	return w;
}

void cox_world_free(struct cox_world **at)
{
	struct cox_world *w = *at;
	*at = NULL;
	if (w == NULL)
		return;
	cox_snapshot_unref(w->snapshot);
	cox_convert_free(w->convert);
	cox_registry_free(w->registry);
	if (w->owns_memo)
		cox_memo_free(w->memo);
	cox_free(w);
}

struct load {
	struct cox_world *w;
	struct cox_buf *notes;
};

static void load_put(void *arg, const struct cox_object *o) { cox_registry_put(((struct load *)arg)->w->registry, o); }

static void load_remove(void *arg, enum cox_kind kind, struct cox_str ns, struct cox_str name)
{
	cox_registry_remove(((struct load *)arg)->w->registry, kind, ns, name);
}

static void load_report(void *arg, const struct cox_source_report *report)
{
	struct load *l = arg;
	struct cox_str kind = report->kind < COX_KIND_COUNT ? cox_kind_info(report->kind)->name : COX_STR("");
	struct cox_report_about about = { kind, report->ns, report->name, report->origin };
	cox_report_write(report->diags, &about, l->notes);
	l->w->refused += report->diags->errors > 0;
}

static void load_done(void *arg) { (void)arg; }
static void load_stale(void *arg, bool stale) { (void)arg, (void)stale; }

enum cox_rc cox_world_load(struct cox_world *w, const char *path, struct cox_buf *notes, struct cox_err *err)
{
	struct load l = { w, notes };
	struct cox_source_sink sink = { load_put, load_remove, load_report, load_done, load_stale, load_done, &l };
	return cox_dir_load(path, &sink, err);
}

static void object_load(struct cox_world *w, const struct cox_json *doc, struct cox_buf *notes)
{
	struct cox_arena arena = { 0 };
	struct cox_diags diags = { 0 };
	const struct cox_object *o = NULL;
	if (cox_json_str_at(doc, "metadata.generatedFrom").n)
		return; /* what it came from is in the list as well */
	if (cox_object_build(doc, COX_STR("live"), COX_STR("default"), &arena, &diags, &o) == COX_OK) {
		cox_registry_put(w->registry, o);
		cox_object_unref(o);
	} else if (diags.errors > 0) {
		struct cox_report_about about = cox_report_about(doc, COX_STR("live"));
		cox_report_write(&diags, &about, notes);
		w->refused++;
	}
	cox_arena_fini(&arena);
}

enum cox_rc cox_world_load_json(struct cox_world *w, const struct cox_json *objects, struct cox_buf *notes, struct cox_err *err)
{
	const struct cox_json *list = objects && objects->type == COX_JSON_OBJECT ? cox_json_get(objects, COX_STR("items")) : objects;
	if (list == NULL || list->type != COX_JSON_ARRAY)
		return cox_err_set(err, COX_EINVAL, NULL, "this is no list of objects");
	for (size_t i = 0; i < list->n; i++)
		object_load(w, &list->items[i], notes);
	return COX_OK;
}

void cox_world_freeze(struct cox_world *w, const struct cox_snapshot *before)
{
	struct cox_registry_changes changes = { 0 };
	cox_convert_run(w->convert);
	cox_registry_take_changes(w->registry, &changes);
	cox_registry_changes_fini(&changes);
	cox_snapshot_unref(w->snapshot);
	w->snapshot = cox_snapshot_build(w->registry, before);
}

void cox_world_note(const struct cox_world *w, struct cox_buf *notes)
{
	struct cox_arena arena = { 0 };
	const struct cox_convert_finding *found;
	size_t n = cox_convert_findings(w->convert, &arena, &found);
	for (size_t i = 0; i < n; i++)
		cox_buf_printf(notes, "%.*s: %s: %.*s%s%.*s\n", COX_FMT(found[i].object_id),
		               found[i].severity == COX_SEV_ERROR ? "error" : "warning", COX_FMT(found[i].path),
		               found[i].path.n ? ": " : "", COX_FMT(found[i].text));
	cox_arena_fini(&arena);
}

/* --- the node ----------------------------------------------------------------------------- */

static void set_str(struct cox_arena *a, struct cox_json *o, const char *key, struct cox_str v)
{
	if (v.n > 0)
		cox_json_set(a, o, cox_str_of(key), cox_json_new_str(a, v));
}

/* "ReplicaSet/web-5d4f8" is owned by a Deployment "web": the part before the last dash. */
static struct cox_str workload_name(const struct cox_object *pod)
{
	struct cox_str name = pod->meta.owner_name;
	ptrdiff_t dash = cox_str_rfind(name, '-');
	if (name.n == 0)
		return pod->meta.name;
	return cox_str_eq_cstr(pod->meta.owner_kind, "ReplicaSet") && dash > 0 ? cox_str_sub(name, 0, (size_t)dash) : name;
}

static void node_locality(struct cox_arena *a, struct cox_json *node, struct cox_str locality)
{
	static const char *const parts[] = { "region", "zone", "sub_zone" };
	struct cox_json *l = cox_json_new_object(a);
	struct cox_str part;

	if (locality.n == 0)
		return;
	for (size_t i = 0; i < COX_LEN(parts) && cox_str_next(&locality, '/', &part); i++)
		set_str(a, l, parts[i], part);
	cox_json_set(a, node, COX_STR("locality"), l);
}

static void node_extensions(struct cox_arena *a, struct cox_json *node, bool is_upstream)
{
	static const char *const istio[] = { "istio.metadata_exchange", "istio.alpn", "istio.stats" };
	struct cox_json *list = cox_json_new_array(a);
	for (size_t i = 0; i < COX_LEN(istio) && !is_upstream; i++) {
		struct cox_json *e = cox_json_new_object(a);
		set_str(a, e, "name", cox_str_of(istio[i]));
		cox_json_push(a, list, e);
	}
	cox_json_set(a, node, COX_STR("extensions"), list);
}

/* All addresses, as an agent names them. */
static void set_ips(struct cox_arena *a, struct cox_json *m, const struct cox_pod_status *status)
{
	struct cox_buf ips = { 0 };
	for (size_t i = 0; status != NULL && i < status->pod_ips.n; i++)
		cox_buf_printf(&ips, "%s%.*s", i > 0 ? "," : "", COX_FMT(status->pod_ips.p[i].ip));
	if (ips.n > 0)
		set_str(a, m, "INSTANCE_IPS", cox_arena_str(a, cox_buf_str(&ips)));
	cox_buf_fini(&ips);
}

/* What its agent would say of the settings that injection gives it. */
static void set_config(struct cox_arena *a, struct cox_json *m, const struct cox_object *pod, const struct cox_registry *r)
{
	const struct cox_object *const *objects = NULL;
	struct cox_diags diags = { .arena = a };
	size_t n = cox_registry_objects(r, COX_KIND_PROXY_CONFIG, &objects);
	struct cox_json *config = cox_proxy_config_effective(
	    cox_registry_mesh(r)->default_config->raw, objects, n, cox_registry_root_namespace(r), pod->meta.ns, pod->meta.labels.p,
	    pod->meta.labels.n, cox_kv_get(pod->meta.annotations.p, pod->meta.annotations.n, COX_STR("proxy.istio.io/config")), a, &diags);
	const struct cox_json *env = cox_json_get(config, COX_STR("proxyMetadata"));
	struct cox_str prefix = COX_STR("ISTIO_META_");
	for (size_t i = 0; env && env->type == COX_JSON_OBJECT && i < env->n; i++)
		if (cox_str_has_prefix(env->members[i].key, prefix))
			cox_json_set(a, m, cox_str_sub(env->members[i].key, prefix.n, SIZE_MAX), &env->members[i].value);
	if (cox_json_get(config, COX_STR("interceptionMode")))
		cox_json_set(a, m, COX_STR("INTERCEPTION_MODE"), cox_json_get(config, COX_STR("interceptionMode")));
	if (config->n > 0)
		cox_json_set(a, m, COX_STR("PROXY_CONFIG"), config);
}

static struct cox_json *pod_metadata(struct cox_arena *a, const struct cox_who *opts, const struct cox_object *pod,
                                     const struct cox_registry *r, const struct cox_snapshot *s)
{
	const struct cox_pod *spec = pod->spec;
	struct cox_json *m = cox_json_new_object(a), *labels = cox_json_new_object(a);

	for (COX_EACH(struct cox_kv, kv, pod->meta.labels))
		cox_json_set(a, labels, kv->key, cox_json_new_str(a, kv->value));
	cox_json_set(a, m, COX_STR("LABELS"), labels);
	set_str(a, m, "NAMESPACE", pod->meta.ns);
	set_str(a, m, "CLUSTER_ID", s->cluster_id);
	set_str(a, m, "MESH_ID", s->mesh->trust_domain);
	set_str(a, m, "WORKLOAD_NAME", workload_name(pod));
	if (spec->spec != NULL) {
		struct cox_str account = spec->spec->service_account_name;
		set_str(a, m, "SERVICE_ACCOUNT", account.n > 0 ? account : COX_STR("default"));
		set_str(a, m, "NODE_NAME", spec->spec->node_name);
	}
	set_ips(a, m, spec->status);
	set_config(a, m, pod, r);
	if (opts->no_sds)
		set_str(a, m, "COXSWAIN_SDS", COX_STR("none"));
	return m;
}

static enum cox_rc node_of_pod(struct cox_arena *a, const struct cox_who *opts, const struct cox_registry *r, const struct cox_snapshot *s,
                               struct cox_json **out, struct cox_err *err)
{
	ptrdiff_t dot = cox_str_rfind(opts->proxy, '.');
	struct cox_str name = dot < 0 ? opts->proxy : cox_str_sub(opts->proxy, 0, (size_t)dot);
	struct cox_str ns = dot < 0 ? COX_STR("default") : cox_str_sub(opts->proxy, (size_t)dot + 1, opts->proxy.n);
	const struct cox_object *pod = cox_registry_object_find(r, COX_KIND_POD, ns, name);
	if (pod == NULL)
		return cox_err_set(err, COX_ENOTFOUND, NULL, "there is no Pod %.*s in namespace %.*s", COX_FMT(name), COX_FMT(ns));

	const struct cox_pod *spec = pod->spec;
	struct cox_str ip = spec->status != NULL ? spec->status->pod_ip : (struct cox_str){ 0 };
	struct cox_json *node = cox_json_new_object(a);
	set_str(a, node, "id",
	        cox_arena_printf(a, "%s~%.*s~%.*s.%.*s~%.*s.svc.%.*s", opts->is_router ? "router" : "sidecar", COX_FMT(ip), COX_FMT(name),
	                         COX_FMT(ns), COX_FMT(ns), COX_FMT(s->domain)));
	cox_json_set(a, node, COX_STR("metadata"), pod_metadata(a, opts, pod, r, s));
	if (spec->spec != NULL)
		node_locality(a, node, cox_snapshot_node_locality(s, spec->spec->node_name));
	node_extensions(a, node, opts->is_upstream);
	*out = node;
	return COX_OK;
}

static enum cox_rc node_find(struct cox_arena *a, const struct cox_who *opts, const struct cox_registry *r, const struct cox_snapshot *s,
                             struct cox_json **out, struct cox_err *err)
{
	struct cox_buf text = { 0 };
	if (opts->node) {
		*out = cox_json_clone(a, opts->node);
		return COX_OK;
	}
	if (opts->node_file == NULL)
		return node_of_pod(a, opts, r, s, out, err);
	enum cox_rc rc = cox_file_read_arg(opts->node_file, NODE_FILE_BYTES_MAX, &text, err);
	if (rc == COX_OK) /* the tree points into its text, which so has to live in the arena */
		rc = cox_json_parse(a, cox_arena_str(a, cox_buf_str(&text)), out, err);
	cox_buf_fini(&text);
	return rc;
}

const struct cox_object *cox_world_pod_find(const struct cox_world *w, struct cox_str proxy)
{
	ptrdiff_t dot = cox_str_rfind(proxy, '.');
	struct cox_str name = dot < 0 ? proxy : cox_str_sub(proxy, 0, (size_t)dot);
	struct cox_str ns = dot < 0 ? COX_STR("default") : cox_str_sub(proxy, (size_t)dot + 1, proxy.n);
	return cox_registry_object_find(w->registry, COX_KIND_POD, ns, name);
}

bool cox_world_is_router(const struct cox_world *w, const struct cox_object *pod)
{
	struct cox_arena arena = { 0 };
	const struct cox_object **gateways;
	bool is = false;
	size_t n = cox_snapshot_gateways_for(w->snapshot, pod->meta.labels.p, pod->meta.labels.n, pod->meta.ns, &arena, &gateways);
	for (size_t i = 0; i < n; i++) /* one without a selector names every workload: that says nothing of this one */
		is |= COX_SPEC(cox_gateway_object, gateways[i])->spec->selector.n > 0;
	cox_arena_fini(&arena);
	return is;
}

enum cox_rc cox_world_proxy(const struct cox_world *w, const struct cox_who *who, struct cox_proxy **out, struct cox_err *err)
{
	struct cox_arena arena = { 0 };
	struct cox_json *node = NULL;
	struct cox_who asked = *who;
	const struct cox_object *pod = who->guess_router ? cox_world_pod_find(w, who->proxy) : NULL;
	asked.is_router |= pod != NULL && cox_world_is_router(w, pod);
	enum cox_rc rc = node_find(&arena, &asked, w->registry, w->snapshot, &node, err);
	if (rc == COX_OK)
		rc = cox_proxy_build(node, out, err);
	if (rc == COX_OK)
		(*out)->has_vhds = false; /* whole routes are what a reader wants to see */
	cox_arena_fini(&arena);
	return rc;
}

/* --- writing ------------------------------------------------------------------------------ */

static enum cox_rc set_to_json(struct cox_arena *a, const struct cox_set *set, struct cox_json *into, struct cox_err *err)
{
	for (size_t i = 0; i < set->n; i++) {
		struct cox_buf flat = { 0 };
		struct cox_json *tree = NULL;
		cox_resource_flatten(set->items[i], &flat);
		struct cox_str wire = cox_arena_str(a, cox_buf_str(&flat));
		cox_buf_fini(&flat);
		COX_TRY(cox_envoy_any_to_json(cox_type_url(set->type), wire, COX_TRANSCODE_KEEP_OPAQUE, a, &tree, err));
		if (set->type == COX_TYPE_SDS)
			cox_secret_redact(a, tree);
		cox_json_set(a, into, cox_arena_str(a, set->items[i]->name), tree);
	}
	return COX_OK;
}

enum cox_rc cox_rendered_to_json(const struct cox_rendered *r, enum cox_type only, struct cox_arena *a, struct cox_json **out,
                                 struct cox_err *err)
{
	struct cox_json *all = cox_json_new_object(a);
	for (int type = 0; type < COX_TYPE_COUNT; type++) {
		if (only != COX_TYPE_COUNT ? only != (enum cox_type)type : r->sets[type]->n == 0)
			continue;
		struct cox_json *into = cox_json_set(a, all, cox_type_short((enum cox_type)type), cox_json_new_object(a));
		COX_TRY(set_to_json(a, r->sets[type], into, err));
	}
	*out = all;
	return COX_OK;
}
