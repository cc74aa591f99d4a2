#include "inject/inject_priv.h"

#include <stdlib.h>
#include <string.h>

/* --- who owns the pod ----------------------------------------------------------------------------------- */

static struct cox_str without_suffix(struct cox_str s, struct cox_str suffix)
{
	return cox_str_has_suffix(s, suffix) ? cox_str_sub(s, 0, s.n - suffix.n) : s;
}

/* "name-28374650" of a CronJob's Job. */
static bool is_cron_job(struct cox_str job, struct cox_str *name)
{
	ptrdiff_t dash = cox_str_rfind(job, '-');
	size_t digits = dash > 0 ? job.n - (size_t)dash - 1 : 0;
	for (size_t i = job.n - digits; i < job.n; i++)
		if (job.p[i] < '0' || job.p[i] > '9')
			return false;
	*name = cox_str_sub(job, 0, dash > 0 ? (size_t)dash : 0);
	return digits >= 8 && digits <= 10;
}

static void set_owner(struct inject_job *j)
{
	j->owner_name = j->r->owner_name, j->owner_kind = j->r->owner_kind, j->owner_api_version = j->r->owner_api_version;
	const struct cox_json *refs = cox_json_get(j->meta, COX_STR("ownerReferences"));
	for (size_t i = 0; j->owner_name.n == 0 && refs && refs->type == COX_JSON_ARRAY && i < refs->n; i++) {
		const struct cox_json *controller = cox_json_get(&refs->items[i], COX_STR("controller"));
		if (!controller || !controller->boolean)
			continue;
		j->owner_name = cox_json_str_at(&refs->items[i], "name");
		j->owner_kind = cox_json_str_at(&refs->items[i], "kind");
		j->owner_api_version = cox_json_str_at(&refs->items[i], "apiVersion");
	}
	struct cox_str hash = inject_label(j, "pod-template-hash"), cron;
	if (cox_str_eq_cstr(j->owner_kind, "ReplicaSet") && hash.n) {
		j->owner_name = without_suffix(j->owner_name, cox_arena_printf(j->arena, "-%.*s", COX_FMT(hash)));
		j->owner_kind = COX_STR("Deployment");
	} else if (cox_str_eq_cstr(j->owner_kind, "ReplicationController")) {
		j->owner_name = without_suffix(j->owner_name, cox_arena_printf(j->arena, "-%.*s", COX_FMT(inject_label(j, "deployment"))));
	} else if (cox_str_eq_cstr(j->owner_kind, "Job") && is_cron_job(j->owner_name, &cron)) {
		j->owner_name = cron;
		j->owner_kind = COX_STR("CronJob");
	}
	if (j->owner_name.n == 0) {
		struct cox_str name = cox_json_str_at(j->meta, "name");
		j->owner_name = name.n ? name : without_suffix(cox_json_str_at(j->meta, "generateName"), COX_STR("-"));
		j->owner_kind = COX_STR("Pod"), j->owner_api_version = COX_STR("v1");
	}
}

static void sort_labels(struct inject_job *j)
{
	size_t n = j->labels && j->labels->type == COX_JSON_OBJECT ? j->labels->n : 0;
	struct cox_kv *kvs = COX_ARENA_ARRAY(j->arena, struct cox_kv, n);
	for (size_t i = 0; i < n; i++)
		kvs[i] = (struct cox_kv){ j->labels->members[i].key, j->labels->members[i].value.text };
	if (n > 1)
		qsort(kvs, n, sizeof(*kvs), cox_kv_cmp_qsort);
	j->sorted_labels.p = kvs, j->sorted_labels.n = n;
}

/* --- templates --------------------------------------------------------------------------------------------- */

static enum cox_rc add_native(struct inject_job *j, struct cox_str name, struct cox_json *made)
{
	static const char *const others[] = { "grpc-simple", "grpc-agent", "waypoint", "kube-gateway", "agentgateway" };
	const struct cox_json *tree = inject_template_find(name);
	for (size_t i = 0; !tree && i < COX_LEN(others); i++)
		if (cox_str_eq_cstr(name, others[i]))
			return cox_err_set(
			    j->err, COX_EINVAL, "metadata.annotations[inject.istio.io/templates]",
			    "template %s is none of the built-in ones, which make an Envoy beside an application; Istio's own text of it "
			    "in the injector's ConfigMap (key config, templates) is run",
			    others[i]);
	if (!tree)
		return cox_err_set(j->err, COX_EINVAL, "metadata.annotations[inject.istio.io/templates]",
		                   "no template \"%.*s\": there are sidecar, gateway, mounted-secret, and the templates and aliases of the "
		                   "injector's configuration",
		                   COX_FMT(name));
	inject_merge(j->arena, made, inject_skeleton_expand(j, tree));
	return COX_OK;
}

static enum cox_rc add_template(struct inject_job *j, struct cox_str name, struct cox_json *made)
{
	const struct inject_user_template *own = inject_user_template_find(j->c, name);
	struct cox_json *tree;
	bool was_gateway = j->is_gateway;
	j->is_gateway |= cox_str_eq_cstr(name, "gateway");
	/* The variables are those of the pod, whatever the template; only a gateway's environment is another. */
	if (!j->vars || was_gateway != j->is_gateway)
		COX_TRY(inject_vars_build(j));
	if (!own)
		return add_native(j, name, made);
	COX_TRY(inject_user_template_run(j, own, &tree));
	inject_merge(j->arena, made, tree);
	return COX_OK;
}

/* An alias stands for a list of templates, not of aliases: `sidecar: [sidecar, more]` is one. */
static enum cox_rc add_named(struct inject_job *j, struct cox_str name, struct cox_json *made)
{
	const struct cox_json *alias = cox_json_get(j->c->aliases, name);
	if (!alias || alias->type != COX_JSON_ARRAY)
		return add_template(j, name, made);
	for (size_t i = 0; i < alias->n; i++)
		COX_TRY(add_template(j, alias->items[i].text, made));
	return COX_OK;
}

static enum cox_rc make(struct inject_job *j, struct cox_json **out)
{
	struct cox_str names = inject_annotation(j, "inject.istio.io/templates", NULL), name;
	struct cox_json *made = cox_json_new_object(j->arena);
	enum cox_rc rc = COX_OK;
	if (names.n > 0) {
		while (rc == COX_OK && cox_str_next(&names, ',', &name))
			rc = add_named(j, cox_str_trim(name), made);
	} else if (j->c->default_templates.n > 0) {
		for (size_t i = 0; rc == COX_OK && i < j->c->default_templates.n; i++)
			rc = add_named(j, j->c->default_templates.p[i], made);
	} else {
		rc = add_named(j, COX_STR("sidecar"), made);
	}
	*out = made;
	return rc;
}

/* A user's volume of one of the proxy's names stays the user's; merging the two would give a volume with two sources. */
static void leave_volumes(struct inject_job *j, struct cox_json *made)
{
	struct cox_json *mine = (struct cox_json *)cox_json_at(made, "spec.volumes");
	const struct cox_json *users = cox_json_get(j->spec, COX_STR("volumes")), *old = cox_json_get(j->old_status, COX_STR("volumes"));
	for (size_t i = mine ? mine->n : 0; i-- > 0;) {
		struct cox_str name = cox_json_str_at(&mine->items[i], "name");
		const struct cox_json *user = inject_by_name(users, name);
		bool ours = user && cox_json_eq(user, &mine->items[i]);
		for (size_t k = 0; old && old->type == COX_JSON_ARRAY && k < old->n; k++)
			ours |= cox_str_eq(old->items[k].text, name);
		if (user && !ours) {
			inject_warn(j, "volume %.*s: the name is one of the proxy's; the pod's own volume is taken for it", COX_FMT(name));
			inject_remove_item(mine, i);
		}
	}
}

static void warn_of_words(struct inject_job *j)
{
	static const char key[] = "sidecar.istio.io/inject";
	struct cox_str said = cox_json_get(j->labels, cox_str_of(key)) ? inject_label(j, key) : inject_annotation(j, key, NULL);
	if (said.n && !cox_str_eq_cstr(said, "true") && !cox_str_eq_cstr(said, "false"))
		inject_warn(j, "%s: \"%.*s\" is neither \"true\" nor \"false\" and says nothing", key, COX_FMT(said));
}

static void warn_of_application(struct inject_job *j)
{
	const struct cox_json *user = cox_json_at(j->spec, "securityContext.runAsUser"),
	                      *list = cox_json_get(j->spec, COX_STR("containers"));
	for (size_t i = 0; list && list->type == COX_JSON_ARRAY && i < list->n; i++) {
		struct cox_str name = cox_json_str_at(&list->items[i], "name");
		const struct cox_json *own = cox_json_at(&list->items[i], "securityContext.runAsUser");
		if (!cox_str_eq_cstr(name, "istio-proxy") && cox_str_eq_cstr(inject_json_text(j->arena, own ? own : user), "1337"))
			inject_warn(j, "container %.*s: runAsUser 1337 is the proxy's user: its traffic passes by the proxy",
			            COX_FMT(name));
	}
}

/* --- the whole ----------------------------------------------------------------------------------------------- */

static struct cox_json *proxy_of(struct inject_job *j)
{
	struct cox_json *spec = inject_find_mutable(j->pod, "spec");
	struct cox_json *p = inject_by_name(cox_json_get(spec, COX_STR("containers")), COX_STR("istio-proxy"));
	return p ? p : inject_by_name(cox_json_get(spec, COX_STR("initContainers")), COX_STR("istio-proxy"));
}

static enum cox_rc inject(struct inject_job *j, struct cox_inject_result *out)
{
	struct cox_json *made = NULL;
	enum cox_rc rc = inject_overrides_take(j);
	if (rc == COX_OK)
		rc = make(j, &made);
	if (rc != COX_OK)
		return rc;
	leave_volumes(j, made);
	inject_overrides_keep(j, made);
	warn_of_words(j);
	warn_of_application(j);
	/* The pod as the user wrote it stays readable for the steps behind. */
	j->pod = cox_json_clone(j->arena, j->pod);
	inject_merge(j->arena, j->pod, made);
	inject_overrides_apply(j, made);
	/* None: templates for applications that speak xDS themselves (gRPC). Nobody is there to turn probes to. */
	struct cox_json *proxy = proxy_of(j);
	if (proxy)
		inject_probes_rewrite(j, proxy);
	COX_TRY(inject_metrics_merge(j, proxy));
	out->status = inject_finish(j, made, proxy);
	out->pod = j->pod;
	return COX_OK;
}

enum cox_rc cox_inject_pod(const struct cox_inject_config *c, const struct cox_inject_request *r, struct cox_arena *arena,
                           struct cox_inject_result *out, struct cox_err *err)
{
	*out = (struct cox_inject_result){ 0 };
	struct inject_job j = { .c = c, .r = r, .arena = arena, .err = err };
	inject_ids_of(c, r->ns, &j.uid, &j.gid);
	if (!r->pod || r->pod->type != COX_JSON_OBJECT)
		return cox_err_set(err, COX_EINVAL, NULL, "a Pod is wanted");
	j.pod = cox_json_clone(arena, r->pod);
	j.meta = inject_member(&j, j.pod, "metadata", COX_JSON_OBJECT);
	j.spec = cox_json_get(j.pod, COX_STR("spec"));
	j.labels = cox_json_get(j.meta, COX_STR("labels"));
	j.annotations = cox_json_get(j.meta, COX_STR("annotations"));
	const struct cox_json *containers = cox_json_get(j.spec, COX_STR("containers"));
	if (!containers || containers->type != COX_JSON_ARRAY || containers->n == 0)
		return cox_err_set(err, COX_EINVAL, "spec.containers", "a pod has containers");
	for (size_t i = 0; i < containers->n; i++)
		if (cox_json_str_at(&containers->items[i], "name").n == 0)
			return cox_err_set(err, COX_EINVAL, "spec.containers", "item %zu has no name", i);
	sort_labels(&j);
	out->reason = inject_skip_reason(&j);
	if (out->reason) {
		out->verdict = COX_INJECT_SKIPPED;
		return COX_OK;
	}
	set_owner(&j);
	enum cox_rc rc = inject(&j, out);
	struct cox_str *warnings = COX_ARENA_ARRAY(arena, struct cox_str, j.warnings.n + 1);
	if (j.warnings.n)
		memcpy(warnings, j.warnings.p, j.warnings.n * sizeof(*warnings));
	out->warnings.p = warnings, out->warnings.n = j.warnings.n;
	cox_vec_fini(&j.warnings);
	return rc;
}
