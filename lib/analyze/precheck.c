/* Whether a control plane can be installed or upgraded: the cluster's version, permissions, the Gateway API, what a release changed. */
#include "analyze/analyze_priv.h"

enum { KUBERNETES_MINOR_MIN = 32 }; /* of 1.x; as Istio's release */

static const char cluster[] = "Cluster";

/* "v1.36.3" or "1.36+": major and minor. */
static bool version_parse(struct cox_str s, uint64_t *major, uint64_t *minor)
{
	struct cox_str rest = cox_str_has_prefix(s, COX_STR("v")) ? cox_str_sub(s, 1, s.n) : s, part;
	if (!cox_str_next(&rest, '.', &part) || cox_str_to_u64(part, major) != COX_OK || !cox_str_next(&rest, '.', &part))
		return false;
	size_t digits = 0;
	while (digits < part.n && part.p[digits] >= '0' && part.p[digits] <= '9')
		digits++;
	return cox_str_to_u64(cox_str_sub(part, 0, digits), minor) == COX_OK;
}

static void check_kubernetes(struct an_run *r, struct cox_str version)
{
	uint64_t major, minor;
	if (version.n && version_parse(version, &major, &minor) && (major < 1 || (major == 1 && minor < KUBERNETES_MINOR_MIN)))
		an_report(r, COX_AN_KUBERNETES_VERSION, an_mesh_obj(r, cluster, ""), NULL, COX_STR(""),
		          "Kubernetes %.*s is older than 1.%d; upgrade the cluster first", COX_FMT(version), KUBERNETES_MINOR_MIN);
}

static void check_upgrade(struct an_run *r, struct cox_str from)
{
	uint64_t major, minor;
	const struct an_obj *zipkin = an_find(r, AN_SERVICE, COX_STR("istio-system"), COX_STR("zipkin"));
	if (zipkin && version_parse(from, &major, &minor) && major == 1 && minor <= 21)
		an_report(
		    r, COX_AN_UPGRADE_INCOMPATIBLE, zipkin, NULL, COX_STR("meshConfig.defaultConfig.tracer"),
		    "changed in 1.22: spans no longer go to this Service unasked; name it as an extension provider, and in a Telemetry");
}

/* --- the Gateway API ---------------------------------------------------------------------------------------------- */

static bool is_one_of(struct cox_str kind, const char *const *kinds)
{
	for (; *kinds; kinds++)
		if (cox_str_eq_cstr(kind, *kinds))
			return true;
	return false;
}

static bool is_served(const struct an_obj *crd, const char *version)
{
	AN_EACH(v, an_get(crd->spec, "versions"))
	{
		const struct cox_json *served = an_get(v, "served");
		if (cox_str_eq_cstr(an_str(v, "name"), version) && served && served->type == COX_JSON_BOOL && served->boolean)
			return true;
	}
	return false;
}

static void check_gateway_api(struct an_run *r, const struct an_obj *crd)
{
	static const char *const stable[] = { "Gateway", "GatewayClass", "HTTPRoute", "GRPCRoute", NULL };
	static const char *const beta[] = { "Gateway", "GatewayClass", "HTTPRoute", "ReferenceGrant", NULL };
	struct cox_str kind = cox_json_str_at(crd->spec, "names.kind");
	if (!cox_str_eq_cstr(an_str(crd->spec, "group"), "gateway.networking.k8s.io"))
		return;
	if (is_one_of(kind, beta) && !is_served(crd, "v1beta1"))
		an_report(r, COX_AN_GWAPI_UNSUPPORTED, crd, an_get(crd->spec, "versions"), COX_STR("spec.versions"),
		          "does not serve v1beta1, which is read; install newer CRDs of the Gateway API");
	if (is_one_of(kind, stable) && !is_served(crd, "v1"))
		an_report(r, COX_AN_GWAPI_FUTURE, crd, an_get(crd->spec, "versions"), COX_STR("spec.versions"),
		          "does not serve v1, which later releases will read; install newer CRDs of the Gateway API");
}

/* Before the run is over: nothing of what was read is looked at by the other analyzers. */
void an_precheck(struct an_run *r)
{
	const struct cox_precheck *facts = r->opts->precheck;
	r->analyzer = "precheck";
	if (!facts->no_control_plane) {
		check_kubernetes(r, facts->kubernetes);
		for (size_t i = 0; i < facts->denied_n; i++)
			an_report(
			    r, COX_AN_NO_PERMISSION, an_mesh_obj(r, cluster, ""), NULL, COX_STR(""),
			    "you may not create %.*s, which an installation needs; ask for the permission, or let somebody else install",
			    COX_FMT(facts->denied[i]));
		AN_EACH_OBJ(crd, r, AN_CRD)
		check_gateway_api(r, crd);
		an_alpha_annotations(r);
	}
	check_upgrade(r, facts->from_version);
}
