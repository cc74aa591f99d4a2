/* Whether a pod is injected. */
#include "inject/inject_priv.h"

static const char *const system_namespaces[] = { "kube-system", "kube-public", "kube-node-lease", "local-path-storage" };

static bool requirement_fits(const struct inject_requirement *q, const struct cox_json *labels)
{
	const struct cox_json *v = cox_json_get(labels, q->key);
	bool is_in = false;
	for (size_t i = 0; v && i < q->values.n; i++)
		is_in |= cox_str_eq(v->text, q->values.p[i]);
	if (cox_str_eq_cstr(q->op, "In"))
		return is_in;
	if (cox_str_eq_cstr(q->op, "NotIn"))
		return !is_in;
	return cox_str_eq_cstr(q->op, "Exists") ? v != NULL : v == NULL;
}

bool inject_selector_fits(const struct inject_selector *s, const struct cox_json *labels)
{
	for (size_t i = 0; i < s->labels.n; i++) {
		const struct cox_json *v = cox_json_get(labels, s->labels.p[i].key);
		if (!v || !cox_str_eq(v->text, s->labels.p[i].value))
			return false;
	}
	for (size_t i = 0; i < s->requirements.n; i++)
		if (!requirement_fits(&s->requirements.p[i], labels))
			return false;
	/* An empty selector would mean everything; in these two lists it is an oversight. */
	return s->labels.n + s->requirements.n > 0;
}

static bool is_yes(struct cox_str v)
{
	return cox_str_eq_nocase(v, COX_STR("y")) || cox_str_eq_nocase(v, COX_STR("yes")) || cox_str_eq_nocase(v, COX_STR("true")) ||
	       cox_str_eq_nocase(v, COX_STR("on"));
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
	if (said.n > 0)
		return is_yes(said) ? NULL : who;
	for (size_t i = 0; i < j->c->never.n; i++)
		if (inject_selector_fits(&j->c->never.p[i], j->labels))
			return "neverInjectSelector";
	for (size_t i = 0; i < j->c->always.n; i++)
		if (inject_selector_fits(&j->c->always.p[i], j->labels))
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
