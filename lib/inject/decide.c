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
