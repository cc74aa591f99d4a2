/* Objects that configure the pods that they select, of which each pod can heed one: Sidecar, Telemetry. */
#include "analyze/analyze_priv.h"

#include "analyze/selecting.h"

static const struct cox_json *sidecar_labels(const struct an_obj *o) { return cox_json_at(o->spec, "workloadSelector.labels"); }

static bool is_ambient_ns(const struct an_obj *ns)
{
	return ns && !cox_str_eq_cstr(an_label(ns, "istio-injection"), "enabled") && !an_label(ns, "istio.io/rev").n &&
	       cox_str_eq_cstr(an_label(ns, "istio.io/dataplane-mode"), "ambient");
}

static const char ambient_advice[] = "has no effect in ambient mode, where there are no sidecars; remove it";

static bool skip_ambient_pod(struct an_run *r, struct an_obj *o, const struct an_obj *pod)
{
	if (!an_is_ambient_pod(pod))
		return false;
	an_report(r, COX_AN_POLICY_INEFFECTIVE, o, NULL, COX_STR(""), "%s", ambient_advice);
	return true;
}

void an_sidecar(struct an_run *r)
{
	static const struct selecting how = { AN_SIDECAR, "spec.workloadSelector.labels", COX_AN_SIDECAR_CONFLICT, sidecar_labels,
		                              skip_ambient_pod };
	selecting_check(r, &how);
	const struct an_list *all = &r->all[AN_SIDECAR]; /* sorted by namespace */
	for (size_t i = 0, end; i < all->n; i = end) {
		struct an_obj *ns = an_find(r, AN_NAMESPACE, COX_STR(""), all->p[i]->ns);
		size_t n = 0;
		for (end = i; end < all->n && cox_str_eq(all->p[end]->ns, all->p[i]->ns); end++)
			n += an_member_n(sidecar_labels(all->p[end])) == 0;
		for (size_t k = i; k < end; k++) {
			if (an_member_n(sidecar_labels(all->p[k])))
				continue;
			if (is_ambient_ns(ns))
				an_report(r, COX_AN_POLICY_INEFFECTIVE, all->p[k], NULL, COX_STR(""), "%s", ambient_advice);
			else if (n > 1)
				an_report(
				    r, COX_AN_SIDECAR_DEFAULTS, all->p[k], NULL, COX_STR("spec.workloadSelector"),
				    "is missing, as in %zu other Sidecars of namespace %.*s: only one of them counts; keep one, or add selectors",
				    n - 1, COX_FMT(all->p[k]->ns));
		}
	}
}
