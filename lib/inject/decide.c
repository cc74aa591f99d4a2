/* Whether a pod is injected. */
#include "inject/inject_priv.h"

static const char *const system_namespaces[] = { "kube-system", "kube-public", "kube-node-lease", "local-path-storage" };

static bool fits_one(const struct inject_job *j, const struct cox_label_selector *s, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		/* An empty selector would mean everything; in these two lists it is an oversight. */
		bool asks = s[i].match_labels.n + s[i].match_expressions.n > 0;
		if (asks && cox_label_selector_fits(&s[i], j->sorted_labels.p, j->sorted_labels.n))
			return true;
	}
	return false;
}

const char *inject_skip_reason(const struct inject_job *j)
{
	const struct cox_json *host = cox_json_get(j->spec, COX_STR("hostNetwork"));
	if (host && host->type == COX_JSON_BOOL && host->boolean)
		return "host network";
	for (size_t i = 0; i < COX_LEN(system_namespaces); i++)
		if (cox_str_eq_cstr(j->r->ns, system_namespaces[i]))
			return "system namespace";
	struct cox_str said = inject_label(j, "sidecar.istio.io/inject");
	const char *who = "label";
	if (!cox_json_get(j->labels, COX_STR("sidecar.istio.io/inject"))) {
		said = inject_annotation(j, "sidecar.istio.io/inject", NULL);
		who = "annotation";
	}
	/* Other words are nothing said, as in Istio; the webhook tells of them. */
	if (cox_str_eq_cstr(said, "true"))
		return NULL;
	if (cox_str_eq_cstr(said, "false"))
		return who;
	if (fits_one(j, j->c->never.p, j->c->never.n))
		return "neverInjectSelector";
	if (fits_one(j, j->c->always.p, j->c->always.n))
		return NULL;
	return j->c->enabled ? NULL : "policy";
}

bool cox_inject_namespace_wants(const struct cox_inject_config *c, const struct cox_kv *labels, size_t n)
{
	struct cox_str injection = { 0 }, revision = { 0 };
	for (size_t i = 0; i < n; i++) {
		if (cox_str_eq_cstr(labels[i].key, "istio-injection"))
			injection = labels[i].value;
		if (cox_str_eq_cstr(labels[i].key, "istio.io/rev"))
			revision = labels[i].value;
	}
	struct cox_str mine = c->revision.n ? c->revision : COX_STR("default");
	/* istio-injection is heard by the default revision alone, and goes before istio.io/rev. */
	if (injection.n > 0)
		return cox_str_eq_cstr(injection, "enabled") && cox_str_eq_cstr(mine, "default");
	return cox_str_eq(revision, mine);
}
