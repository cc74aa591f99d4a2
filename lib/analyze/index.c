/* Objects by kind and name, pods and services by label, hosts by scope: made once a run, so that no analyzer walks all pairs. */
#include "analyze/analyze_priv.h"

#include "model/core.h"

#include <stdlib.h>

const struct cox_json an_nothing = { .type = COX_JSON_NULL };
const struct cox_json_member an_no_member = { .value = { .type = COX_JSON_NULL } };

static const struct {
	enum an_kind kind;
	const char *group, *name;
	bool is_cluster_wide, is_remote_too;
} kinds[] = {
	{ AN_AUTHORIZATION_POLICY, "security.istio.io", "AuthorizationPolicy", false, false },
	{ AN_CONFIG_MAP, "", "ConfigMap", false, false },
	{ AN_CRD, "apiextensions.k8s.io", "CustomResourceDefinition", true, false },
	{ AN_DEPLOYMENT, "apps", "Deployment", false, false },
	{ AN_DESTINATION_RULE, "networking.istio.io", "DestinationRule", false, false },
	{ AN_ENVOY_FILTER, "networking.istio.io", "EnvoyFilter", false, false },
	{ AN_GATEWAY, "networking.istio.io", "Gateway", false, false },
	{ AN_GRPC_ROUTE, "gateway.networking.k8s.io", "GRPCRoute", false, false },
	{ AN_HTTP_ROUTE, "gateway.networking.k8s.io", "HTTPRoute", false, false },
	{ AN_K8S_GATEWAY, "gateway.networking.k8s.io", "Gateway", false, false },
	{ AN_MUTATING_WEBHOOK, "admissionregistration.k8s.io", "MutatingWebhookConfiguration", true, false },
	{ AN_NAMESPACE, "", "Namespace", true, true },
	{ AN_NODE, "", "Node", true, true },
	{ AN_PEER_AUTHENTICATION, "security.istio.io", "PeerAuthentication", false, false },
	{ AN_POD, "", "Pod", false, true },
	{ AN_PROXY_CONFIG, "networking.istio.io", "ProxyConfig", false, false },
	{ AN_REQUEST_AUTHENTICATION, "security.istio.io", "RequestAuthentication", false, false },
	{ AN_SECRET, "", "Secret", false, true },
	{ AN_SERVICE, "", "Service", false, true },
	{ AN_SERVICE_ENTRY, "networking.istio.io", "ServiceEntry", false, false },
	{ AN_SIDECAR, "networking.istio.io", "Sidecar", false, false },
	{ AN_TELEMETRY, "telemetry.istio.io", "Telemetry", false, false },
	{ AN_TRAFFIC_EXTENSION, "extensions.istio.io", "TrafficExtension", false, false },
	{ AN_VALIDATING_WEBHOOK, "admissionregistration.k8s.io", "ValidatingWebhookConfiguration", true, false },
	{ AN_VIRTUAL_SERVICE, "networking.istio.io", "VirtualService", false, false },
	{ AN_WASM_PLUGIN, "extensions.istio.io", "WasmPlugin", false, false },
	{ AN_WORKLOAD_ENTRY, "networking.istio.io", "WorkloadEntry", false, false },
	{ AN_WORKLOAD_GROUP, "networking.istio.io", "WorkloadGroup", false, false },
};
/* Never part of a mesh. */
static const char *const ignored_ns[] = { "kube-system", "kube-public", "kube-node-lease", "local-path-storage" };

int64_t an_i64(const struct cox_json *v, int64_t fallback)
{
	int64_t n;
	if (v && v->type == COX_JSON_NUMBER && cox_json_to_i64(v, &n) == COX_OK)
		return n;
	return v && v->type == COX_JSON_STRING && cox_str_to_i64(v->text, &n) == COX_OK ? n : fallback;
}

struct cox_str an_scalar(const struct cox_json *v)
{
	return v && (v->type == COX_JSON_STRING || v->type == COX_JSON_NUMBER) ? v->text : COX_STR("");
}

static void list_push(struct an_list *list, struct an_obj *o) { cox_vec_push(list, o); }

static void post(struct cox_map *map, struct cox_str key, struct an_obj *o, struct an_run *r)
{
	struct an_list *list = cox_map_find(map, key);
	if (!list) {
		list = COX_ARENA_NEW(r->arena, struct an_list);
		cox_map_set(map, key, list);
	}
	list_push(list, o);
}

/* --- objects ------------------------------------------------------------------------------------------- */

static bool is_ignored(struct cox_str ns)
{
	for (size_t i = 0; i < COX_LEN(ignored_ns); i++)
		if (cox_str_eq_cstr(ns, ignored_ns[i]))
			return true;
	return false;
}

static ptrdiff_t kind_of(const struct cox_json *doc)
{
	struct cox_str version = an_str(doc, "apiVersion"), name = an_str(doc, "kind");
	ptrdiff_t slash = cox_str_find(version, '/');
	struct cox_str group = slash < 0 ? COX_STR("") : cox_str_sub(version, 0, (size_t)slash);
	for (size_t i = 0; i < COX_LEN(kinds); i++)
		if (cox_str_eq_cstr(name, kinds[i].name) && cox_str_eq_cstr(group, kinds[i].group))
			return (ptrdiff_t)i;
	return -1;
}

static struct cox_str full_name(struct an_run *r, struct cox_str ns, struct cox_str name)
{
	return ns.n ? AN_PATH(r, "%.*s/%.*s", COX_FMT(ns), COX_FMT(name)) : name;
}

static void add(struct an_run *r, const struct cox_analyze_doc *from)
{
	ptrdiff_t k = kind_of(from->doc);
	if (k < 0 || (from->is_remote && !kinds[k].is_remote_too) || (r->opts->is_partial && kinds[k].is_remote_too))
		return;
	const struct cox_json *meta = an_get(from->doc, "metadata");
	struct an_obj *o = COX_ARENA_NEW(r->arena, struct an_obj);
	o->kind = kinds[k].kind;
	o->kind_name = cox_str_of(kinds[k].name);
	o->from = from;
	o->doc = from->doc;
	o->spec = an_get(from->doc, "spec");
	o->labels = an_get(meta, "labels");
	o->annotations = an_get(meta, "annotations");
	o->name = an_str(meta, "name");
	o->ns = kinds[k].is_cluster_wide ? COX_STR("") : an_str(meta, "namespace");
	if (!kinds[k].is_cluster_wide && !o->ns.n)
		o->ns = r->opts->default_ns;
	if (is_ignored(o->kind == AN_NAMESPACE ? o->name : o->ns))
		return;
	o->full = full_name(r, o->ns, o->name);
	/* One name in several clusters is several objects. */
	struct cox_str key = from->is_remote ? AN_PATH(r, "%.*s\n%.*s", COX_FMT(o->full), COX_FMT(from->cluster)) : o->full;
	if (cox_map_find(&r->by_name[o->kind], key))
		return;
	cox_map_set(&r->by_name[o->kind], key, o);
	list_push(&r->all[o->kind], o);
}

static int cmp_obj(const void *a, const void *b)
{
	const struct an_obj *x = *(struct an_obj *const *)a, *y = *(struct an_obj *const *)b;
	int c = cox_str_cmp(x->full, y->full);
	return c ? c : cox_str_cmp(x->from->cluster, y->from->cluster);
}

struct an_obj *an_find(struct an_run *r, enum an_kind kind, struct cox_str ns, struct cox_str name)
{
	return cox_map_find(&r->by_name[kind], full_name(r, ns, name));
}

struct cox_str an_ref_full(struct an_run *r, struct cox_str ns, struct cox_str ref)
{
	return cox_str_find(ref, '/') >= 0 ? ref : full_name(r, ns, ref);
}

struct an_obj *an_find_ref(struct an_run *r, enum an_kind kind, struct cox_str ns, struct cox_str ref)
{
	return cox_map_find(&r->by_name[kind], an_ref_full(r, ns, ref));
}

struct cox_str an_label(const struct an_obj *o, const char *key) { return an_str(o->labels, key); }
bool an_has_label(const struct an_obj *o, const char *key) { return an_get(o->labels, key) != NULL; }
struct cox_str an_annotation(const struct an_obj *o, const char *key) { return an_str(o->annotations, key); }

/* --- selectors --------------------------------------------------------------------------------------------- */

bool an_selects(const struct cox_json *selector, const struct cox_json *labels)
{
	AN_EACH_MEMBER(want, selector)
	{
		const struct cox_json *have = cox_json_get(labels, want->key);
		if (!have || !cox_str_eq(an_scalar(have), an_scalar(&want->value)))
			return false;
	}
	return true;
}

static bool fits_expression(const struct cox_json *e, const struct cox_json *labels)
{
	const struct cox_json *have = cox_json_get(labels, an_str(e, "key"));
	struct cox_str op = an_str(e, "operator");
	if (cox_str_eq_cstr(op, "Exists"))
		return have != NULL;
	if (cox_str_eq_cstr(op, "DoesNotExist"))
		return !have;
	bool is_listed = false;
	AN_EACH(value, an_get(e, "values"))
	is_listed |= have && cox_str_eq(an_scalar(have), an_text(value));
	if (cox_str_eq_cstr(op, "In"))
		return is_listed;
	return cox_str_eq_cstr(op, "NotIn") && !is_listed;
}

bool an_label_selector_matches(const struct cox_json *selector, const struct cox_json *labels)
{
	if (!an_selects(an_get(selector, "matchLabels"), labels))
		return false;
	AN_EACH(e, an_get(selector, "matchExpressions"))
	if (!fits_expression(e, labels))
		return false;
	return true;
}

struct cox_str an_selector_text(struct an_run *r, const struct cox_json *selector)
{
	size_t n = an_member_n(selector), k = 0;
	struct cox_str *pairs = COX_ARENA_ARRAY(r->arena, struct cox_str, n + 1);
	AN_EACH_MEMBER(m, selector)
	pairs[k++] = AN_PATH(r, "%.*s=%.*s", COX_FMT(m->key), COX_FMT(an_scalar(&m->value)));
	return an_join(r, pairs, k, ",");
}

struct cox_str an_join(struct an_run *r, struct cox_str *names, size_t n, const char *separator)
{
	struct cox_buf out = { 0 };
	if (n)
		qsort(names, n, sizeof(*names), cox_str_cmp_qsort);
	for (size_t i = 0; i < n; i++)
		if (i == 0 || !cox_str_eq(names[i], names[i - 1]))
			cox_buf_printf(&out, "%s%.*s", i ? separator : "", COX_FMT(names[i]));
	struct cox_str text = cox_arena_str(r->arena, cox_buf_str(&out));
	cox_buf_fini(&out);
	return text;
}

/* --- pods and services --------------------------------------------------------------------------------------- */

static void index_pod(struct an_run *r, struct an_obj *pod)
{
	AN_EACH_MEMBER(l, pod->labels)
	post(&r->pods_by_label, AN_PATH(r, "%.*s=%.*s", COX_FMT(l->key), COX_FMT(an_scalar(&l->value))), pod, r);
	post(&r->pods_by_label, AN_PATH(r, "\n%.*s", COX_FMT(pod->ns)), pod, r);
}

struct an_list an_pods(struct an_run *r, const struct cox_json *selector, struct cox_str ns)
{
	struct an_list best = r->all[AN_POD];
	if (ns.n) {
		const struct an_list *of_ns = cox_map_find(&r->pods_by_label, AN_PATH(r, "\n%.*s", COX_FMT(ns)));
		best = of_ns ? *of_ns : (struct an_list){ 0 };
	}
	AN_EACH_MEMBER(m, selector)
	{
		struct cox_str key = AN_PATH(r, "%.*s=%.*s", COX_FMT(m->key), COX_FMT(an_scalar(&m->value)));
		const struct an_list *of_label = cox_map_find(&r->pods_by_label, key);
		if (!of_label || of_label->n < best.n)
			best = of_label ? *of_label : (struct an_list){ 0 };
	}
	return best;
}

bool an_pod_is(const struct an_obj *pod, const struct cox_json *selector, struct cox_str ns)
{
	return (!ns.n || cox_str_eq(pod->ns, ns)) && an_selects(selector, pod->labels);
}

static void index_service(struct an_run *r, struct an_obj *s)
{
	const struct cox_json *selector = an_get(s->spec, "selector");
	const struct cox_json_member *first = an_members(selector);
	if (an_member_n(selector))
		post(&r->services_by_label,
		     AN_PATH(r, "%.*s\n%.*s=%.*s", COX_FMT(s->ns), COX_FMT(first->key), COX_FMT(an_scalar(&first->value))), s, r);
}

void an_services_of(struct an_run *r, struct cox_str ns, const struct cox_json *labels, struct an_list *out)
{
	AN_EACH_MEMBER(l, labels)
	{
		struct cox_str key = AN_PATH(r, "%.*s\n%.*s=%.*s", COX_FMT(ns), COX_FMT(l->key), COX_FMT(an_scalar(&l->value)));
		const struct an_list *list = cox_map_find(&r->services_by_label, key);
		for (size_t i = 0; list && i < list->n; i++)
			if (an_selects(an_get(list->p[i]->spec, "selector"), labels))
				list_push(out, list->p[i]);
	}
}

bool an_has_sidecar(const struct cox_json *pod_spec)
{
	static const char *const lists[] = { "containers", "initContainers" };
	for (size_t i = 0; i < COX_LEN(lists); i++)
		AN_EACH(c, an_get(pod_spec, lists[i]))
	if (cox_str_eq_cstr(an_str(c, "name"), "istio-proxy"))
		return an_str(c, "image").n > 0;
	return false;
}

bool an_in_mesh(struct an_run *r, const struct cox_json *pod_spec, const struct cox_json *labels, const struct cox_json *annotations,
                struct cox_str ns)
{
	const struct cox_json *of[] = { labels, annotations };
	if (an_has_sidecar(pod_spec))
		return true;
	for (size_t i = 0; i < COX_LEN(of); i++) {
		const struct cox_json *says = an_get(of[i], "sidecar.istio.io/inject");
		if (says)
			return cox_str_eq_cstr(an_text(says), "true");
	}
	const struct an_obj *n = an_find(r, AN_NAMESPACE, COX_STR(""), ns);
	return n && cox_str_eq_cstr(an_label(n, "istio-injection"), "enabled");
}

bool an_is_ambient_pod(const struct an_obj *pod) { return cox_str_eq_cstr(an_annotation(pod, "ambient.istio.io/redirection"), "enabled"); }

bool an_is_control_plane(const struct an_obj *o) { return an_has_label(o, "istio") || cox_str_eq_cstr(an_label(o, "release"), "istio"); }

void an_index_build(struct an_run *r)
{
	for (size_t i = 0; i < r->opts->doc_n; i++)
		if (r->opts->docs[i].doc)
			add(r, &r->opts->docs[i]);
	for (int k = 0; k < AN_KINDS; k++)
		if (r->all[k].n)
			qsort(r->all[k].p, r->all[k].n, sizeof(*r->all[k].p), cmp_obj);
	AN_EACH_OBJ(pod, r, AN_POD)
	index_pod(r, pod);
	AN_EACH_OBJ(service, r, AN_SERVICE)
	index_service(r, service);
}

static void lists_fini(struct cox_map *map)
{
	for (struct cox_map_entry *e = NULL; (e = cox_map_next(map, e));)
		cox_vec_fini((struct an_list *)e->value);
	cox_map_fini(map);
}

void an_index_fini(struct an_run *r)
{
	for (int k = 0; k < AN_KINDS; k++) {
		cox_vec_fini(&r->all[k]);
		cox_map_fini(&r->by_name[k]);
	}
	lists_fini(&r->pods_by_label);
	lists_fini(&r->services_by_label);
	cox_map_fini(&r->hosts);
	cox_map_fini(&r->subsets);
	cox_vec_fini(&r->wildcards);
}
