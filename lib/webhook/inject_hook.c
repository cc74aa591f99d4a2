/* /inject: a pod's review, and what the path says of the cluster that sends it (protocol facts, section 13). */
#include "webhook/webhook_priv.h"

#include "base/log.h"
#include "base/metric.h"

enum { PATH_PAIRS_MAX = 32 };

/* --- the path --- */

static struct cox_str unslash(struct cox_arena *arena, struct cox_str v)
{
	struct cox_buf buf = { 0 };
	ptrdiff_t at;
	if (cox_str_search(v, COX_STR("--slash--")) < 0)
		return v;
	while ((at = cox_str_search(v, COX_STR("--slash--"))) >= 0) {
		cox_buf_append(&buf, v.p, (size_t)at);
		cox_buf_append_char(&buf, '/');
		v = cox_str_sub(v, (size_t)at + 9, v.n);
	}
	cox_buf_append_str(&buf, v);
	struct cox_str out = cox_arena_str(arena, cox_buf_str(&buf));
	cox_buf_fini(&buf);
	return out;
}

static struct cox_str env_name(struct cox_arena *arena, struct cox_str key)
{
	if (cox_str_eq_cstr(key, "cluster"))
		return COX_STR("ISTIO_META_CLUSTER_ID");
	if (cox_str_eq_cstr(key, "net"))
		return COX_STR("ISTIO_META_NETWORK");
	struct cox_str copy = cox_arena_str(arena, key);
	for (size_t i = 0; i < copy.n; i++)
		if (copy.p[i] >= 'a' && copy.p[i] <= 'z')
			((char *)copy.p)[i] = (char)(copy.p[i] - 32);
	return copy;
}

/* "/cluster/a/net/b", or the older "/:ENV:cluster=a:ENV:net=b". Returns the number of pairs. */
static size_t path_env(struct cox_arena *arena, struct cox_str path, struct cox_kv pairs[PATH_PAIRS_MAX])
{
	struct cox_str part, value;
	size_t n = 0;
	while (path.n && path.p[0] == '/')
		path = cox_str_sub(path, 1, path.n);
	if (cox_str_has_prefix(path, COX_STR(":ENV:"))) {
		path = cox_str_sub(path, 5, path.n);
		while (path.n && n < PATH_PAIRS_MAX) {
			ptrdiff_t end = cox_str_search(path, COX_STR(":ENV:"));
			part = end < 0 ? path : cox_str_sub(path, 0, (size_t)end);
			path = end < 0 ? (struct cox_str){ 0 } : cox_str_sub(path, (size_t)end + 5, path.n);
			ptrdiff_t eq = cox_str_find(part, '=');
			if (eq > 0)
				pairs[n++] = (struct cox_kv){ env_name(arena, cox_str_sub(part, 0, (size_t)eq)),
					                      unslash(arena, cox_str_sub(part, (size_t)eq + 1, part.n)) };
		}
		return n;
	}
	while (n < PATH_PAIRS_MAX && cox_str_next(&path, '/', &part) && cox_str_next(&path, '/', &value))
		if (part.n)
			pairs[n++] = (struct cox_kv){ env_name(arena, part), unslash(arena, value) };
	return n;
}

/* --- the verdict --- */

static void warn(struct cox_arena *arena, struct webhook_answer *out, struct cox_str text)
{
	struct cox_str *all = COX_ARENA_ARRAY(arena, struct cox_str, out->warnings.n + 1);
	for (size_t i = 0; i < out->warnings.n; i++)
		all[i] = out->warnings.p[i];
	all[out->warnings.n] = text;
	out->warnings.p = all;
	out->warnings.n++;
}

static void refuse(struct cox_arena *arena, const struct webhook_review *r, struct webhook_answer *out, const struct cox_err *err)
{
	char text[700];
	struct cox_str name = r->name.n ? r->name : cox_json_str_at(r->object, "metadata.generateName");
	out->allowed = false;
	out->code = 400;
	out->message = cox_arena_printf(arena, "sidecar not injected into Pod %.*s/%.*s: %s", COX_FMT(r->ns), COX_FMT(name),
	                                cox_err_describe(err, text, sizeof(text)));
	cox_metric_add(COX_M_INJECTION_FAILURE, NULL, 1);
	cox_log(COX_LOG_WARN, "webhook", "%.*s", COX_FMT(out->message));
}

void webhook_inject(const struct cox_inject_config *c, bool native, const struct webhook_review *r, struct cox_str path,
                    struct cox_arena *arena, struct webhook_answer *out)
{
	struct cox_kv env[PATH_PAIRS_MAX];
	struct cox_err err = { 0 };
	struct cox_inject_result result;
	*out = (struct webhook_answer){ .allowed = true };
	cox_metric_add(COX_M_INJECTION_REQUESTS, NULL, 1);
	/* Anything but a pod being made is none of ours: registering more than that must not stop it. */
	if (!cox_str_eq_cstr(r->kind, "Pod") || (r->operation.n && !cox_str_eq_cstr(r->operation, "CREATE")))
		return;
	struct cox_str ns = r->ns.n ? r->ns : cox_json_str_at(r->object, "metadata.namespace");
	struct cox_inject_request request = {
		.pod = r->object, .ns = ns, .env = env, .env_n = path_env(arena, path, env), .native_sidecars = native
	};
	if (cox_inject_pod(c, &request, arena, &result, &err) != COX_OK) {
		refuse(arena, r, out, &err);
		return;
	}
	if (result.verdict == COX_INJECT_SKIPPED) {
		cox_metric_add(COX_M_INJECTION_SKIP, NULL, 1);
		/* The pod was meant to be in the mesh, else it had not come here; its owner would never know. */
		if (strcmp(result.reason, "host network") == 0) {
			out->left_out = "no sidecar is injected: a pod with hostNetwork has no network of its own to capture";
			warn(arena, out, cox_str_of(out->left_out));
		}
		return;
	}
	out->warnings.p = result.warnings.p, out->warnings.n = result.warnings.n;
	struct cox_buf patch = { 0 };
	cox_inject_patch_write(&patch, r->object, result.pod);
	out->patch = cox_arena_str(arena, cox_buf_str(&patch));
	cox_buf_fini(&patch);
	cox_metric_add(COX_M_INJECTION_SUCCESS, NULL, 1);
}
