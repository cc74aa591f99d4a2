#include "tool/inject.h"

#include "codec/yaml.h"

struct work {
	const struct cox_inject_config *c;
	struct cox_arena arena;
	bool native;
	struct cox_buf *out;
	cox_tool_inject_say *say;
	void *ctx;
	struct cox_err *err;
	enum cox_rc rc;
	size_t documents;
};

/* Where the pod template of a kind lies; NULL: it has none. "" : it is a pod itself. */
static const char *template_of(struct cox_str kind)
{
	static const char *const usual[] = { "Deployment", "ReplicaSet", "StatefulSet", "DaemonSet", "ReplicationController", "Job" };
	if (cox_str_eq_cstr(kind, "Pod"))
		return "";
	if (cox_str_eq_cstr(kind, "CronJob"))
		return "spec.jobTemplate.spec.template";
	for (size_t i = 0; i < COX_LEN(usual); i++)
		if (cox_str_eq_cstr(kind, usual[i]))
			return "spec.template";
	return NULL;
}

static void say_line(struct work *w, const struct cox_json *doc, const char *what, struct cox_str text)
{
	struct cox_str line = cox_arena_printf(&w->arena, "%.*s/%.*s: %s%.*s", COX_FMT(cox_json_str_at(doc, "kind")),
	                                       COX_FMT(cox_json_str_at(doc, "metadata.name")), what, COX_FMT(text));
	w->say(w->ctx, line);
}

static enum cox_rc inject_one(struct work *w, struct cox_json *doc, const char *at)
{
	struct cox_json *pod = *at ? (struct cox_json *)cox_json_at(doc, at) : doc;
	struct cox_str ns = cox_json_str_at(doc, "metadata.namespace");
	struct cox_inject_request r = { .pod = pod, .ns = ns.n ? ns : COX_STR("default"), .native_sidecars = w->native };
	if (*at) {
		r.owner_api_version = cox_json_str_at(doc, "apiVersion");
		r.owner_kind = cox_json_str_at(doc, "kind");
		r.owner_name = cox_json_str_at(doc, "metadata.name");
	}
	struct cox_inject_result result;
	enum cox_rc rc = cox_inject_pod(w->c, &r, &w->arena, &result, w->err);
	if (rc != COX_OK) {
		cox_err_wrap(w->err, "%.*s %.*s/%.*s", COX_FMT(cox_json_str_at(doc, "kind")), COX_FMT(r.ns),
		             COX_FMT(cox_json_str_at(doc, "metadata.name")));
		return rc;
	}
	for (size_t i = 0; i < result.warnings.n; i++)
		say_line(w, doc, "warning: ", result.warnings.p[i]);
	if (result.verdict == COX_INJECT_SKIPPED)
		say_line(w, doc, "not injected: ", cox_str_of(result.reason));
	else
		*pod = *result.pod;
	return COX_OK;
}

static enum cox_rc inject_document(struct work *w, struct cox_json *doc)
{
	struct cox_str kind = cox_json_str_at(doc, "kind");
	struct cox_json *items = cox_str_eq_cstr(kind, "List") ? (struct cox_json *)cox_json_get(doc, COX_STR("items")) : NULL;
	enum cox_rc rc = COX_OK;
	for (size_t i = 0; items && items->type == COX_JSON_ARRAY && i < items->n && rc == COX_OK; i++)
		rc = inject_document(w, &items->items[i]);
	const char *at = template_of(kind);
	if (rc == COX_OK && at && (!*at || cox_json_at(doc, at)))
		rc = inject_one(w, doc, at);
	return rc;
}

static void on_document(void *arg, struct cox_json *root, struct cox_str text, const struct cox_err *err)
{
	struct work *w = arg;
	(void)text;
	if (w->rc != COX_OK)
		return;
	if (!root) {
		if (w->err)
			*w->err = *err;
		w->rc = COX_EINVAL;
		return;
	}
	w->rc = inject_document(w, root);
	if (w->rc != COX_OK)
		return;
	if (w->documents++ > 0)
		cox_buf_append_cstr(w->out, "---\n");
	cox_json_write_yaml(w->out, root);
}

enum cox_rc cox_tool_inject(const struct cox_inject_config *c, bool native_sidecars, struct cox_str yaml, struct cox_buf *out,
                            cox_tool_inject_say *say, void *ctx, struct cox_err *err)
{
	struct work w = { .c = c, .native = native_sidecars, .out = out, .say = say, .ctx = ctx, .err = err };
	enum cox_rc rc = cox_yaml_each(&w.arena, yaml, COX_JSON_BYTES_MAX, on_document, &w, err);
	cox_arena_fini(&w.arena);
	return rc == COX_OK ? w.rc : rc;
}
