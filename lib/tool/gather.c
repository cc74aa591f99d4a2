#include "tool/gather.h"

#include "base/file.h"
#include "codec/b64.h"
#include "codec/yaml.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

void cox_gather_fini(struct cox_gather *g)
{
	cox_vec_fini(&g->docs);
	cox_vec_fini(&g->files);
	cox_arena_fini(&g->arena);
}

/* --- files ------------------------------------------------------------------------------------------------- */

enum { DIR_DEPTH_MAX = 64, FILE_BYTES_MAX = 64 * 1024 * 1024 }; /* links in a circle; a dump of a whole cluster */

struct reading {
	struct cox_gather *g;
	struct cox_str file;
	struct cox_buf *notes;
	bool is_bad;
};

static void bad(struct reading *r, int line, const char *text)
{
	r->is_bad = true;
	cox_buf_printf(r->notes, "%.*s:%d: %s\n", COX_FMT(r->file), line, text);
}

static void add_doc(struct reading *r, const struct cox_json *doc)
{
	const struct cox_json *items = cox_json_get(doc, COX_STR("items"));
	bool is_list = cox_str_has_suffix(cox_json_str_at(doc, "kind"), COX_STR("List")) && items && items->type == COX_JSON_ARRAY;
	if (!is_list && (doc->type != COX_JSON_OBJECT || !cox_json_str_at(doc, "apiVersion").n || !cox_json_str_at(doc, "kind").n)) {
		bad(r, doc->line, "not an object of Kubernetes: it names no apiVersion and kind");
		return;
	}
	for (size_t i = 0; is_list && i < items->n; i++)
		add_doc(r, &items->items[i]);
	if (!is_list)
		cox_vec_push(&r->g->docs, ((struct cox_analyze_doc){ .doc = doc, .file = r->file }));
}

static void on_doc(void *arg, struct cox_json *root, struct cox_str text, const struct cox_err *err)
{
	struct reading *r = arg;
	(void)text;
	if (!root)
		bad(r, err->line, err->text);
	else
		add_doc(r, root);
}

static enum cox_rc read_file(struct cox_gather *g, const char *path, struct cox_buf *notes, struct cox_err *err)
{
	struct cox_buf text = { 0 };
	enum cox_rc rc = cox_file_read_arg(path, FILE_BYTES_MAX, &text, err);
	struct reading r = { g, cox_arena_str(&g->arena, cox_str_of(path)), notes, false };
	if (rc == COX_OK)
		rc = cox_yaml_each(&g->arena, cox_arena_str(&g->arena, cox_buf_str(&text)), FILE_BYTES_MAX, on_doc, &r, err);
	cox_buf_fini(&text);
	g->bad_files += r.is_bad;
	if (rc == COX_OK)
		cox_vec_push(&g->files, r.file);
	return rc;
}

static bool is_yaml(struct cox_str path)
{
	return cox_str_has_suffix(path, COX_STR(".yaml")) || cox_str_has_suffix(path, COX_STR(".yml")) ||
	       cox_str_has_suffix(path, COX_STR(".json"));
}

static enum cox_rc read_path(struct cox_gather *g, const char *path, int depth, struct cox_buf *notes, struct cox_err *err);

static enum cox_rc read_dir(struct cox_gather *g, const char *path, int depth, struct cox_buf *notes, struct cox_err *err)
{
	struct dirent **names = NULL;
	int n = scandir(path, &names, NULL, alphasort);
	enum cox_rc rc = COX_OK;
	if (n < 0)
		return cox_err_set(err, COX_EIO, NULL, "%s: cannot be read", path);
	for (int i = 0; i < n; i++) {
		if (rc == COX_OK && strcmp(names[i]->d_name, ".") != 0 && strcmp(names[i]->d_name, "..") != 0)
			rc = read_path(g, cox_arena_printf(&g->arena, "%s/%s", path, names[i]->d_name).p, depth + 1, notes, err);
		cox_free(names[i]);
	}
	cox_free(names);
	return rc;
}

static enum cox_rc read_path(struct cox_gather *g, const char *path, int depth, struct cox_buf *notes, struct cox_err *err)
{
	struct stat st;
	if (strcmp(path, "-") == 0)
		return read_file(g, path, notes, err);
	if (stat(path, &st) != 0)
		return cox_err_set(err, COX_ENOTFOUND, NULL, "%s: there is no such file", path);
	if (S_ISDIR(st.st_mode))
		return depth < DIR_DEPTH_MAX ? read_dir(g, path, depth, notes, err)
		                             : cox_err_set(err, COX_ELIMIT, NULL, "%s: directories are nested too deeply", path);
	if (!is_yaml(cox_str_of(path))) {
		cox_buf_printf(notes, "Skipping file %s, recognized file extensions are: [.json .yaml .yml]\n", path);
		return COX_OK;
	}
	return read_file(g, path, notes, err);
}

enum cox_rc cox_gather_path(struct cox_gather *g, const char *path, struct cox_buf *notes, struct cox_err *err)
{
	return read_path(g, path, 0, notes, err);
}

/* --- the mesh's configuration --------------------------------------------------------------------------------- */

static const struct cox_json *tree_of(struct cox_gather *g, struct cox_str yaml)
{
	struct cox_json *tree = NULL;
	if (!yaml.n || cox_yaml_one(&g->arena, cox_arena_str(&g->arena, yaml), COX_JSON_BYTES_MAX, &tree, NULL, NULL) != COX_OK)
		return NULL;
	return tree;
}

enum cox_rc cox_gather_tree(struct cox_gather *g, const char *path, const struct cox_json **out, struct cox_err *err)
{
	struct cox_buf text = { 0 };
	struct cox_json *tree = NULL;
	enum cox_rc rc = cox_file_read_arg(path, COX_JSON_BYTES_MAX, &text, err);
	if (rc == COX_OK)
		rc = cox_yaml_one(&g->arena, cox_arena_str(&g->arena, cox_buf_str(&text)), COX_JSON_BYTES_MAX, &tree, NULL, err);
	cox_buf_fini(&text);
	if (rc == COX_OK)
		*out = tree;
	return rc;
}

void cox_gather_find_mesh(struct cox_gather *g, struct cox_str root_ns)
{
	for (size_t i = 0; i < g->docs.n; i++) {
		const struct cox_json *doc = g->docs.p[i].doc;
		if (g->docs.p[i].is_remote || !cox_str_eq_cstr(cox_json_str_at(doc, "kind"), "ConfigMap") ||
		    !cox_str_eq_cstr(cox_json_str_at(doc, "metadata.name"), "istio") ||
		    !cox_str_eq(cox_json_str_at(doc, "metadata.namespace"), root_ns))
			continue;
		if (!g->mesh)
			g->mesh = tree_of(g, cox_json_str_at(doc, "data.mesh"));
		if (!g->networks)
			g->networks = tree_of(g, cox_json_str_at(doc, "data.meshNetworks"));
		return;
	}
}

/* --- clusters --------------------------------------------------------------------------------------------------- */

static const struct kind {
	struct cox_cluster_kind kind; /* `version`: several, with ',', the first that is served */
	bool is_runtime;              /* of any revision, and of remote clusters too */
	const char *field_selector;
} kinds[] = {
#define RUNTIME(p, k, wide, selector)                                                                 \
	{                                                                                             \
		{ { 0 }, COX_STR_INIT("v1"), COX_STR_INIT(p), COX_STR_INIT(k), wide }, true, selector \
	}
#define KIND(g, v, p, k, wide)                                                                            \
	{                                                                                                 \
		{ COX_STR_INIT(g), COX_STR_INIT(v), COX_STR_INIT(p), COX_STR_INIT(k), wide }, false, NULL \
	}
#define NETWORKING(v, p, k) KIND("networking.istio.io", v, p, k, false)
#define SECURITY(p, k) KIND("security.istio.io", "v1,v1beta1", p, k, false)
	RUNTIME("namespaces", "Namespace", true, NULL),
	RUNTIME("nodes", "Node", true, NULL),
	RUNTIME("pods", "Pod", false, NULL),
	RUNTIME("services", "Service", false, NULL),
	RUNTIME("secrets", "Secret", false, "type!=helm.sh/release.v1,type!=kubernetes.io/service-account-token"),
	KIND("apps", "v1", "deployments", "Deployment", false),
	KIND("apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition", true),
	KIND("admissionregistration.k8s.io", "v1", "mutatingwebhookconfigurations", "MutatingWebhookConfiguration", true),
	KIND("admissionregistration.k8s.io", "v1", "validatingwebhookconfigurations", "ValidatingWebhookConfiguration", true),
	KIND("extensions.istio.io", "v1alpha1", "trafficextensions", "TrafficExtension", false),
	KIND("extensions.istio.io", "v1alpha1", "wasmplugins", "WasmPlugin", false),
	KIND("gateway.networking.k8s.io", "v1,v1beta1", "gateways", "Gateway", false),
	KIND("gateway.networking.k8s.io", "v1", "grpcroutes", "GRPCRoute", false),
	KIND("gateway.networking.k8s.io", "v1,v1beta1", "httproutes", "HTTPRoute", false),
	NETWORKING("v1,v1beta1,v1alpha3", "destinationrules", "DestinationRule"),
	NETWORKING("v1alpha3", "envoyfilters", "EnvoyFilter"),
	NETWORKING("v1,v1beta1,v1alpha3", "gateways", "Gateway"),
	NETWORKING("v1beta1", "proxyconfigs", "ProxyConfig"),
	NETWORKING("v1,v1beta1,v1alpha3", "serviceentries", "ServiceEntry"),
	NETWORKING("v1,v1beta1,v1alpha3", "sidecars", "Sidecar"),
	NETWORKING("v1,v1beta1,v1alpha3", "virtualservices", "VirtualService"),
	NETWORKING("v1,v1beta1,v1alpha3", "workloadentries", "WorkloadEntry"),
	NETWORKING("v1,v1beta1,v1alpha3", "workloadgroups", "WorkloadGroup"),
	SECURITY("authorizationpolicies", "AuthorizationPolicy"),
	SECURITY("peerauthentications", "PeerAuthentication"),
	SECURITY("requestauthentications", "RequestAuthentication"),
	KIND("telemetry.istio.io", "v1,v1alpha1", "telemetries", "Telemetry", false),
};

static enum cox_rc list(struct cox_gather *g, struct cox_cluster *c, const struct kind *k, struct cox_str ns, struct cox_json **out,
                        struct cox_err *err)
{
	struct cox_str rest = k->kind.version, version;
	enum cox_rc rc = COX_ENOTFOUND;
	*out = NULL;
	while (rc == COX_ENOTFOUND && cox_str_next(&rest, ',', &version)) {
		struct cox_cluster_kind kind = k->kind;
		kind.version = version;
		rc = cox_cluster_list(c, &kind, ns, COX_STR(""), cox_str_of(k->field_selector), &g->arena, out, err);
	}
	return rc == COX_ENOTFOUND ? COX_OK : rc;
}

static bool is_of_revision(const struct cox_json *doc, struct cox_str revision)
{
	const struct cox_json *label = cox_json_get(cox_json_at(doc, "metadata.labels"), COX_STR("istio.io/rev"));
	return !label || label->type != COX_JSON_STRING || cox_str_eq(label->text, revision);
}

static void add_all(struct cox_gather *g, const struct cox_json *items, const struct cox_gather_cluster *how, bool any_revision)
{
	struct cox_str revision = how->revision.n ? how->revision : COX_STR("default");
	for (size_t i = 0; items && i < items->n; i++)
		if (any_revision || is_of_revision(&items->items[i], revision))
			cox_vec_push(&g->docs, ((struct cox_analyze_doc){
			                           .doc = &items->items[i], .cluster = how->id, .is_remote = how->is_remote }));
}

enum cox_rc cox_gather_cluster(struct cox_gather *g, struct cox_cluster *c, const struct cox_gather_cluster *how, struct cox_err *err)
{
	static const struct kind config_maps = {
		{ { 0 }, COX_STR_INIT("v1"), COX_STR_INIT("configmaps"), COX_STR_INIT("ConfigMap"), false }, false, NULL
	};
	struct cox_json *items;
	for (size_t i = 0; i < COX_LEN(kinds); i++) {
		if (how->is_remote && !kinds[i].is_runtime)
			continue;
		COX_TRY(list(g, c, &kinds[i], COX_STR(""), &items, err));
		add_all(g, items, how, kinds[i].is_runtime);
	}
	if (how->is_remote)
		return COX_OK;
	COX_TRY(list(g, c, &config_maps, how->root_ns, &items, err));
	add_all(g, items, how, false);
	return COX_OK;
}

static enum cox_rc gather_remote(struct cox_gather *g, struct cox_str kubeconfig, const struct cox_gather_cluster *how, int64_t timeout_ms,
                                 struct cox_err *err)
{
	char path[64];
	struct cox_cluster *c = NULL;
	int fd = memfd_create("kubeconfig", MFD_CLOEXEC); /* credentials: on no disk */
	if (fd < 0 || write(fd, kubeconfig.p, kubeconfig.n) != (ssize_t)kubeconfig.n) {
		if (fd >= 0)
			close(fd);
		return cox_err_set(err, COX_EIO, NULL, "no memory for the kubeconfig");
	}
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	struct cox_cluster_spec spec = { .kubeconfig = path, .timeout_ms = timeout_ms };
	enum cox_rc rc = cox_cluster_open(&spec, &c, err);
	if (rc == COX_OK)
		rc = cox_gather_cluster(g, c, how, err);
	cox_cluster_close(&c);
	close(fd);
	return rc;
}

static void gather_secret(struct cox_gather *g, const struct cox_json *secret, const struct cox_gather_cluster *how, int64_t timeout_ms,
                          struct cox_buf *notes)
{
	const struct cox_json *data = cox_json_get(secret, COX_STR("data"));
	for (size_t i = 0; data && data->type == COX_JSON_OBJECT && i < data->n; i++) {
		struct cox_gather_cluster remote = *how;
		struct cox_str text;
		struct cox_err err = { 0 };
		remote.id = data->members[i].key;
		remote.is_remote = true;
		enum cox_rc rc = cox_b64_decode(&g->arena, data->members[i].value.text, true, &text);
		if (rc == COX_OK)
			rc = gather_remote(g, text, &remote, timeout_ms, &err);
		if (rc != COX_OK)
			cox_buf_printf(notes, "cluster %.*s is left out: %s\n", COX_FMT(remote.id), err.text);
	}
}

void cox_gather_remotes(struct cox_gather *g, const struct cox_gather_cluster *how, int64_t timeout_ms, struct cox_buf *notes)
{
	size_t n = g->docs.n; /* reading adds more */
	for (size_t i = 0; i < n; i++) {
		const struct cox_json *doc = g->docs.p[i].doc, *labels = cox_json_at(doc, "metadata.labels");
		if (!g->docs.p[i].is_remote && cox_str_eq_cstr(cox_json_str_at(doc, "kind"), "Secret") &&
		    cox_str_eq(cox_json_str_at(doc, "metadata.namespace"), how->root_ns) &&
		    cox_str_eq_cstr(cox_json_str_at(labels, "istio/multiCluster"), "true"))
			gather_secret(g, doc, how, timeout_ms, notes);
	}
}
