#include "tool/bug_report.h"

#include "codec/fields.h"
#include "model/object.h"
#include "tool/pod.h"
#include "tool/reach.h"
#include "tool/tar.h"

#include <stdio.h>

struct report {
	const struct cox_bug_report_options *o;
	struct cox_cluster *c;
	struct cox_tar *tar;
	struct cox_buf errors;
	struct cox_bug_report_result *result;
	struct cox_err *err;
	size_t done, all;
};

#define NONE ((struct cox_str){ 0 })

/* --- secrets ------------------------------------------------------------------------------------------------------ */

static const char redacted[] = "REDACTED";

static void values_redact(struct cox_json *object, const char *member, struct cox_arena *a)
{
	struct cox_json *map = (struct cox_json *)(uintptr_t)cox_json_get(object, cox_str_of(member));
	for (size_t i = 0; map && map->type == COX_JSON_OBJECT && i < map->n; i++)
		map->members[i].value = *cox_json_new_str(a, cox_str_of(redacted));
}

static bool speaks_of_secrets(struct cox_str name)
{
	static const char *const words[] = { "password", "passwd", "secret", "token", "credential", "private", "apikey", "api_key" };
	char lower[256];
	size_t n = cox_min_size(name.n, sizeof(lower));
	for (size_t i = 0; i < n; i++)
		lower[i] = (char)(name.p[i] >= 'A' && name.p[i] <= 'Z' ? name.p[i] - 'A' + 'a' : name.p[i]);
	for (size_t i = 0; i < COX_LEN(words); i++)
		if (cox_str_search(cox_str_make(lower, n), cox_str_of(words[i])) >= 0)
			return true;
	return false;
}

static void env_redact(struct cox_json *v, struct cox_arena *a, bool is_env)
{
	if (v->type == COX_JSON_ARRAY)
		for (size_t i = 0; i < v->n; i++) {
			struct cox_json *value = (struct cox_json *)(uintptr_t)cox_json_get(&v->items[i], COX_STR("value"));
			if (is_env && value && speaks_of_secrets(cox_json_str_at(&v->items[i], "name")))
				*value = *cox_json_new_str(a, cox_str_of(redacted));
			env_redact(&v->items[i], a, false);
		}
	for (size_t i = 0; v->type == COX_JSON_OBJECT && i < v->n; i++)
		env_redact(&v->members[i].value, a, cox_str_eq(v->members[i].key, COX_STR("env")));
}

/* What kubectl applied last is a copy of the whole object, and who wrote which field is long: neither helps. */
static void metadata_cut(struct cox_json *object)
{
	static const char *const names[] = { "kubectl.kubernetes.io/last-applied-configuration", "managedFields" };
	struct cox_json *meta = (struct cox_json *)(uintptr_t)cox_json_get(object, COX_STR("metadata"));
	/* The annotations first: cutting members moves those behind them. */
	struct cox_json *maps[] = { (struct cox_json *)(uintptr_t)cox_json_get(meta, COX_STR("annotations")), meta };
	for (size_t m = 0; m < COX_LEN(maps); m++)
		for (size_t i = 0; maps[m] && maps[m]->type == COX_JSON_OBJECT && i < maps[m]->n; i++)
			if (cox_str_eq_cstr(maps[m]->members[i].key, names[m])) {
				memmove(&maps[m]->members[i], &maps[m]->members[i + 1], (maps[m]->n - i - 1) * sizeof(*maps[m]->members));
				maps[m]->n--;
			}
}

void cox_bug_report_redact(struct cox_json *object, struct cox_arena *a)
{
	metadata_cut(object);
	if (cox_str_eq(cox_json_str_at(object, "kind"), COX_STR("Secret"))) {
		values_redact(object, "data", a);
		values_redact(object, "stringData", a);
	}
	env_redact(object, a, false);
}

/* --- files ---------------------------------------------------------------------------------------------------------- */

static enum cox_rc file_add(struct report *r, struct cox_str name, struct cox_str bytes)
{
	r->result->files++;
	return cox_tar_add(r->tar, name, bytes, r->err);
}

static void failed(struct report *r, struct cox_str name, const struct cox_err *err)
{
	char text[768];
	r->result->failed++;
	cox_buf_printf(&r->errors, "%.*s: %s\n", COX_FMT(name), cox_err_describe(err, text, sizeof(text)));
}

static void step(struct report *r, struct cox_str what)
{
	if (r->o->on_step)
		r->o->on_step(r->o->ctx, r->done, r->all, what);
	r->done++;
}

/* --- objects -------------------------------------------------------------------------------------------------------- */

/* Beside the mesh's own kinds. */
static const struct {
	const char *api_version, *kind;
} kinds[] = {
	{ "v1", "Node" },
	{ "v1", "Namespace" },
	{ "v1", "Service" },
	{ "v1", "Pod" },
	{ "v1", "Secret" },
	{ "v1", "ServiceAccount" },
	{ "v1", "Event" },
	{ "discovery.k8s.io/v1", "EndpointSlice" },
	{ "apps/v1", "Deployment" },
	{ "apps/v1", "DaemonSet" },
	{ "apps/v1", "StatefulSet" },
	{ "networking.k8s.io/v1", "Ingress" },
	{ "networking.k8s.io/v1", "NetworkPolicy" },
	{ "admissionregistration.k8s.io/v1", "MutatingWebhookConfiguration" },
	{ "admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration" },
	{ "gateway.networking.k8s.io", "Gateway" },
	{ "gateway.networking.k8s.io", "HTTPRoute" },
};

static enum cox_rc kind_add(struct report *r, struct cox_str api_version, struct cox_str kind_name, struct cox_str ns)
{
	struct cox_arena a = { 0 };
	struct cox_json *list = NULL;
	const struct cox_cluster_kind *kind = NULL;
	struct cox_err err = { 0 };
	struct cox_str file = cox_arena_printf(&a, "cluster/%.*s.yaml", COX_FMT(kind_name));
	enum cox_rc rc = cox_cluster_kind_find(r->c, api_version, kind_name, &kind, &err), written = COX_OK;
	step(r, kind_name);
	if (rc == COX_OK)
		rc = cox_cluster_list(r->c, kind, ns, NONE, NONE, &a, &list, &err);
	if (rc == COX_OK) {
		struct cox_buf text = { 0 };
		for (size_t i = 0; i < list->n; i++) {
			if (!r->o->has_secrets)
				cox_bug_report_redact(&list->items[i], &a);
			cox_buf_append_cstr(&text, "---\n");
			cox_json_write_yaml(&text, &list->items[i]);
		}
		written = file_add(r, file, cox_buf_str(&text));
		cox_buf_fini(&text);
	} else if (kind) { /* a kind that the cluster does not have is no failure */
		failed(r, file, &err);
	}
	cox_arena_fini(&a);
	return written;
}

static enum cox_rc objects_add(struct report *r)
{
	for (size_t i = 0; i < COX_LEN(kinds); i++)
		COX_TRY(kind_add(r, cox_str_of(kinds[i].api_version), cox_str_of(kinds[i].kind), NONE));
	for (int k = 0; k < COX_KIND_COUNT; k++) {
		const struct cox_kind_info *info = cox_kind_info((enum cox_kind)k);
		if (info->ours)
			COX_TRY(kind_add(r, info->group, info->name, NONE));
	}
	return kind_add(r, COX_STR("v1"), COX_STR("ConfigMap"), r->o->istio_ns);
}

/* --- logs and what programs say ------------------------------------------------------------------------------------ */

static enum cox_rc log_add(struct report *r, struct cox_str dir, struct cox_str ns, struct cox_str pod, struct cox_str container,
                           bool previous)
{
	struct cox_arena a = { 0 };
	struct cox_buf path = { 0 };
	struct cox_json *text = NULL;
	struct cox_err err = { 0 };
	struct cox_str file = cox_arena_printf(&a, "%.*s/%.*s%s.log", COX_FMT(dir), COX_FMT(container), previous ? ".previous" : "");
	enum cox_rc written = COX_OK;
	cox_kube_path(&path, COX_STR(""), COX_STR("v1"), COX_STR("pods"), ns, pod, COX_STR("log"));
	cox_kube_path_query(&path, "container", container);
	if (previous)
		cox_kube_path_query(&path, "previous", COX_STR("true"));
	if (r->o->tail_lines)
		cox_kube_path_query(&path, "tailLines", cox_arena_printf(&a, "%lld", (long long)r->o->tail_lines));
	if (cox_cluster_call(r->c, "GET", cox_buf_str(&path), NULL, &a, &text, &err) == COX_OK)
		written = text->type == COX_JSON_STRING ? file_add(r, file, text->text) : COX_OK;
	else
		failed(r, file, &err);
	cox_buf_fini(&path);
	cox_arena_fini(&a);
	return written;
}

static enum cox_rc pages_add(struct report *r, struct cox_str dir, const struct cox_reach *to, const char *const (*pages)[2], size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct cox_arena a = { 0 };
		struct cox_str text = { 0 }, file = cox_arena_printf(&a, "%.*s/%s", COX_FMT(dir), pages[i][1]);
		struct cox_err err = { 0 };
		enum cox_rc rc = cox_reach_ask(to, NULL, cox_str_of(pages[i][0]), &a, &text, &err), written = COX_OK;
		if (rc == COX_OK)
			written = file_add(r, file, text);
		else
			failed(r, file, &err);
		cox_arena_fini(&a);
		if (written != COX_OK)
			return written;
		if (rc != COX_OK && rc != COX_ENOTFOUND)
			return COX_OK; /* it cannot be reached: the other pages neither */
	}
	return COX_OK;
}

static bool was_restarted(const struct cox_json *pod, struct cox_str container)
{
	static const char *const lists[] = { "status.containerStatuses", "status.initContainerStatuses" };
	for (size_t l = 0; l < COX_LEN(lists); l++) {
		const struct cox_json *list = cox_json_at(pod, lists[l]);
		for (size_t i = 0; list && list->type == COX_JSON_ARRAY && i < list->n; i++) {
			int64_t n = 0;
			const struct cox_json *restarts = cox_json_get(&list->items[i], COX_STR("restartCount"));
			if (cox_str_eq(cox_json_str_at(&list->items[i], "name"), container) && restarts &&
			    cox_json_to_i64(restarts, &n) == COX_OK && n > 0)
				return true;
		}
	}
	return false;
}

/* Its log, that of the run before where there was one, and its pages. */
static enum cox_rc program_add(struct report *r, struct cox_str dir, const struct cox_json *pod, struct cox_str container, uint16_t port,
                               const char *const (*pages)[2], size_t n)
{
	struct cox_str ns = cox_json_str_at(pod, "metadata.namespace"), name = cox_json_str_at(pod, "metadata.name");
	struct cox_reach reach = { .cluster = r->c, .ns = ns, .pod = name, .port = port };
	step(r, name);
	COX_TRY(log_add(r, dir, ns, name, container, false));
	if (was_restarted(pod, container))
		COX_TRY(log_add(r, dir, ns, name, container, true));
	return cox_pod_is_running(pod) ? pages_add(r, dir, &reach, pages, n) : COX_OK;
}

static bool has_container(const struct cox_json *pod, const char *name)
{
	static const char *const lists[] = { "spec.containers", "spec.initContainers" };
	for (size_t l = 0; l < COX_LEN(lists); l++) {
		const struct cox_json *list = cox_json_at(pod, lists[l]);
		for (size_t i = 0; list && list->type == COX_JSON_ARRAY && i < list->n; i++)
			if (cox_str_eq_cstr(cox_json_str_at(&list->items[i], "name"), name))
				return true;
	}
	return false;
}

static bool is_wanted(const struct cox_bug_report_options *o, struct cox_str ns)
{
	bool is = o->only.n == 0 && !cox_str_has_prefix(ns, COX_STR("kube-")) && !cox_str_eq(ns, COX_STR("local-path-storage"));
	for (size_t i = 0; i < o->only.n; i++)
		is |= cox_str_eq(ns, o->only.p[i]);
	return is;
}

static const char *const plane_pages[][2] = {
	{ "/version", "version.json" },
	{ "/debug/syncz", "syncz.json" },
	{ "/debug/configz", "configz.json" },
	{ "/debug/registryz", "registry.json" },
	{ "/debug/endpointz", "endpoints.json" },
	{ "/debug/push_status", "push_status.json" },
	{ "/debug/pushz", "pushz.json" },
	{ "/debug/certz", "certz.json" },
	{ "/debug/clusterz", "clusterz.json" },
	{ "/debug/mesh", "mesh.json" },
	{ "/metrics", "metrics.txt" },
};
static const char *const proxy_pages[][2] = {
	{ "/config_dump?include_eds", "config_dump.json" },
	{ "/clusters", "clusters.txt" },
	{ "/listeners", "listeners.txt" },
	{ "/certs", "certs.json" },
	{ "/server_info", "server_info.json" },
	{ "/stats/prometheus", "stats.txt" },
	{ "/memory", "memory.json" },
	{ "/runtime", "runtime.json" },
};

static enum cox_rc programs_add(struct report *r, const struct cox_json *pods, struct cox_arena *a)
{
	for (size_t i = 0; i < pods->n; i++) {
		const struct cox_json *pod = &pods->items[i];
		struct cox_str ns = cox_json_str_at(pod, "metadata.namespace"), name = cox_json_str_at(pod, "metadata.name");
		if (cox_str_eq(ns, r->o->istio_ns) && cox_str_eq(cox_json_str_at(pod, "metadata.labels.app"), COX_STR("istiod")))
			COX_TRY(program_add(r, cox_arena_printf(a, "istiod/%.*s", COX_FMT(name)), pod, COX_STR("discovery"),
			                    r->o->control_port, plane_pages, COX_LEN(plane_pages)));
		else if (!r->o->skips_proxies && is_wanted(r->o, ns) && has_container(pod, "istio-proxy"))
			COX_TRY(program_add(r, cox_arena_printf(a, "proxies/%.*s/%.*s", COX_FMT(ns), COX_FMT(name)), pod,
			                    COX_STR("istio-proxy"), r->o->proxy_port, proxy_pages, COX_LEN(proxy_pages)));
	}
	return COX_OK;
}

static enum cox_rc run(struct report *r)
{
	struct cox_arena a = { 0 };
	struct cox_json *pods = NULL, *version = NULL;
	struct cox_buf text = { 0 };
	enum cox_rc rc = cox_cluster_call(r->c, "GET", COX_STR("/version"), NULL, &a, &version, r->err);
	if (rc == COX_OK) {
		cox_json_write(&text, version, 2, false);
		rc = file_add(r, COX_STR("cluster/version.json"), cox_buf_str(&text));
	}
	cox_buf_fini(&text);
	if (rc == COX_OK)
		rc = cox_cluster_list(r->c, COX_CLUSTER_KIND("", "v1", "pods", "Pod"), NONE, NONE, NONE, &a, &pods, r->err);
	if (rc == COX_OK)
		r->all = (r->o->skips_objects ? 0 : COX_LEN(kinds) + COX_KIND_COUNT) + pods->n;
	if (rc == COX_OK && !r->o->skips_objects)
		rc = objects_add(r);
	if (rc == COX_OK)
		rc = programs_add(r, pods, &a);
	if (rc == COX_OK && r->errors.n)
		rc = file_add(r, COX_STR("errors.txt"), cox_buf_str(&r->errors));
	cox_arena_fini(&a);
	return rc;
}

enum cox_rc cox_bug_report(const struct cox_bug_report_options *o, struct cox_bug_report_result *out, struct cox_err *err)
{
	struct cox_err own = { 0 }, at_end = { 0 };
	struct report r = { .o = o, .result = out, .err = err ? err : &own };
	*out = (struct cox_bug_report_result){ 0 };
	COX_TRY(cox_cluster_open(&o->cluster, &r.c, r.err));
	enum cox_rc rc = cox_tar_open(o->path, &r.tar, r.err);
	if (rc == COX_OK)
		rc = run(&r);
	enum cox_rc closed = cox_tar_close(&r.tar, &at_end);
	if (rc == COX_OK && closed != COX_OK) {
		*r.err = at_end;
		rc = closed;
	}
	cox_buf_fini(&r.errors);
	cox_cluster_close(&r.c);
	return rc;
}
