/* What will go away, or has gone. */
#include "analyze/analyze_priv.h"

static void check_virtual_service(struct an_run *r, const struct an_obj *o)
{
	const struct cox_json *http = an_get(o->spec, "http");
	AN_EACH(route, http)
	{
		const struct cox_json *percent = cox_json_at(route, "fault.delay.percent");
		if (an_i64(percent, 0) > 0)
			an_report(r, COX_AN_DEPRECATED, o, percent,
			          AN_PATH(r, "spec.http[%zu].fault.delay.percent", (size_t)(route - an_items(http))),
			          "deprecated; write percentage.value");
	}
}

static void check_crd(struct an_run *r, const struct an_obj *o)
{
	static const char *const gone[] = { "ClusterRbacConfig", "RbacConfig", "ServiceRole", "ServiceRoleBinding" };
	struct cox_str kind = cox_json_str_at(o->spec, "names.kind");
	for (size_t i = 0; i < COX_LEN(gone) && cox_str_eq_cstr(an_str(o->spec, "group"), "rbac.istio.io"); i++)
		if (cox_str_eq_cstr(kind, gone[i]))
			an_report(r, COX_AN_DEPRECATED, o, NULL, COX_STR("spec.names.kind"),
			          "the kind %s of rbac.istio.io has gone; AuthorizationPolicy takes its place", gone[i]);
}

void an_deprecation(struct an_run *r)
{
	AN_EACH_OBJ(vs, r, AN_VIRTUAL_SERVICE)
	check_virtual_service(r, vs);
	AN_EACH_OBJ(sidecar, r, AN_SIDECAR)
	{
		const struct cox_json *proxy = cox_json_at(sidecar->spec, "outboundTrafficPolicy.egressProxy");
		if (proxy)
			an_report(r, COX_AN_DEPRECATED, sidecar, proxy, COX_STR("spec.outboundTrafficPolicy.egressProxy"),
			          "is not heeded by Istio; a VirtualService leads traffic to an egress gateway");
	}
	AN_EACH_OBJ(crd, r, AN_CRD)
	check_crd(r, crd);
}
