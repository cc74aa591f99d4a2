#include "tool/pod.h"

struct cox_pod_name cox_pod_name_parse(struct cox_str text, struct cox_str default_ns)
{
	struct cox_pod_name out = { .name = text, .ns = default_ns };
	ptrdiff_t slash = cox_str_find(text, '/');
	if (slash >= 0) {
		out.type = cox_str_sub(text, 0, (size_t)slash);
		out.name = cox_str_sub(text, (size_t)slash + 1, SIZE_MAX);
	}
	ptrdiff_t dot = cox_str_rfind(out.name, '.');
	if (dot > 0 && (size_t)dot + 1 < out.name.n) {
		out.ns = cox_str_sub(out.name, (size_t)dot + 1, SIZE_MAX);
		out.name = cox_str_sub(out.name, 0, (size_t)dot);
	}
	return out;
}

bool cox_pod_is_running(const struct cox_json *pod)
{
	return cox_str_eq(cox_json_str_at(pod, "status.phase"), COX_STR("Running")) && !cox_json_at(pod, "metadata.deletionTimestamp");
}

void cox_pod_selector_write(const struct cox_json *labels, struct cox_buf *out)
{
	for (size_t i = 0; labels && labels->type == COX_JSON_OBJECT && i < labels->n; i++)
		cox_buf_printf(out, "%s%.*s=%.*s", i ? "," : "", COX_FMT(labels->members[i].key), COX_FMT(labels->members[i].value.text));
}

static const struct owner {
	const char *names; /* as kubectl takes them */
	struct cox_cluster_kind kind;
	const char *selector;
} owners[] = {
#define APPS(p, k)                                                                                                               \
	{                                                                                                                        \
		.group = COX_STR_INIT("apps"), .version = COX_STR_INIT("v1"), .plural = COX_STR_INIT(p), .kind = COX_STR_INIT(k) \
	}
	{ "deployment|deployments|deploy", APPS("deployments", "Deployment"), "spec.selector.matchLabels" },
	{ "statefulset|statefulsets|sts", APPS("statefulsets", "StatefulSet"), "spec.selector.matchLabels" },
	{ "daemonset|daemonsets|ds", APPS("daemonsets", "DaemonSet"), "spec.selector.matchLabels" },
	{ "replicaset|replicasets|rs", APPS("replicasets", "ReplicaSet"), "spec.selector.matchLabels" },
	{ "job|jobs",
	  { .group = COX_STR_INIT("batch"), .version = COX_STR_INIT("v1"), .plural = COX_STR_INIT("jobs"), .kind = COX_STR_INIT("Job") },
	  "spec.selector.matchLabels" },
	{ "service|services|svc",
	  { .version = COX_STR_INIT("v1"), .plural = COX_STR_INIT("services"), .kind = COX_STR_INIT("Service") },
	  "spec.selector" },
};

static bool names(const char *list, struct cox_str word)
{
	struct cox_str rest = cox_str_of(list), one;
	/* "deployments.apps" and "deployment.apps/v1" are ways to say it, too. */
	ptrdiff_t dot = cox_str_find(word, '.');
	if (dot > 0)
		word = cox_str_sub(word, 0, (size_t)dot);
	while (cox_str_next(&rest, '|', &one))
		if (cox_str_eq_nocase(one, word))
			return true;
	return false;
}

/* The first that runs. */
static enum cox_rc pod_of(struct cox_cluster *c, const struct owner *o, const struct cox_pod_name *name, struct cox_arena *arena,
                          struct cox_json **out, struct cox_err *err)
{
	struct cox_json *owner = NULL, *pods = NULL;
	struct cox_buf selector = { 0 };
	COX_TRY(cox_cluster_get(c, &o->kind, name->ns, name->name, arena, &owner, err));
	cox_pod_selector_write(cox_json_at(owner, o->selector), &selector);
	enum cox_rc rc = selector.n ? cox_cluster_list(c, COX_CLUSTER_KIND("", "v1", "pods", "Pod"), name->ns, cox_buf_str(&selector),
	                                               COX_STR(""), arena, &pods, err)
	                            : cox_err_set(err, COX_EINVAL, NULL, "%.*s %.*s/%.*s selects no pods", COX_FMT(o->kind.kind),
	                                          COX_FMT(name->ns), COX_FMT(name->name));
	cox_buf_fini(&selector);
	if (rc != COX_OK)
		return rc;
	for (size_t i = 0; i < pods->n; i++)
		if (cox_pod_is_running(&pods->items[i])) {
			*out = &pods->items[i];
			return COX_OK;
		}
	return cox_err_set(err, COX_ENOTFOUND, NULL, "%.*s %.*s/%.*s has no running pod", COX_FMT(o->kind.kind), COX_FMT(name->ns),
	                   COX_FMT(name->name));
}

enum cox_rc cox_pod_find(struct cox_cluster *c, const struct cox_pod_name *name, struct cox_arena *arena, struct cox_json **out,
                         struct cox_err *err)
{
	if (!name->type.n || names("pod|pods|po", name->type))
		return cox_cluster_get(c, COX_CLUSTER_KIND("", "v1", "pods", "Pod"), name->ns, name->name, arena, out, err);
	for (size_t i = 0; i < COX_LEN(owners); i++)
		if (names(owners[i].names, name->type))
			return pod_of(c, &owners[i], name, arena, out, err);
	return cox_err_set(err, COX_EINVAL, NULL, "\"%.*s\" is no kind that has pods", COX_FMT(name->type));
}

enum cox_rc cox_pod_istiods(struct cox_cluster *c, struct cox_str istio_ns, struct cox_str revision, struct cox_arena *arena,
                            struct cox_json **out, struct cox_err *err)
{
	struct cox_json *pods = NULL, *running = cox_json_new_array(arena);
	struct cox_str selector =
	    revision.n ? cox_arena_printf(arena, "app=istiod,istio.io/rev=%.*s", COX_FMT(revision)) : COX_STR("app=istiod");
	COX_TRY(cox_cluster_list(c, COX_CLUSTER_KIND("", "v1", "pods", "Pod"), istio_ns, selector, COX_STR(""), arena, &pods, err));
	for (size_t i = 0; i < pods->n; i++)
		if (cox_pod_is_running(&pods->items[i]))
			cox_json_push(arena, running, &pods->items[i]);
	if (!running->n)
		return cox_err_set(err, COX_ENOTFOUND, NULL, "no control plane runs in namespace %.*s (label %.*s)", COX_FMT(istio_ns),
		                   COX_FMT(selector));
	*out = running;
	return COX_OK;
}
