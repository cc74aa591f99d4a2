/* CustomResourceDefinitions of the Gateway API: whether they are new enough. */
#include "analyze/analyze_priv.h"

/* Below these Istio passes a kind over (facts of its release). */
static const struct {
	const char *name;
	unsigned major, minor;
} minimums[] = {
	{ "backendtlspolicies.gateway.networking.k8s.io", 1, 4 },
	{ "grpcroutes.gateway.networking.k8s.io", 1, 1 },
	{ "tcproutes.gateway.networking.k8s.io", 1, 6 },
	{ "tlsroutes.gateway.networking.k8s.io", 1, 5 },
};

/* "v1.4.0-rc.1": major and minor; what follows does not matter. */
static bool version_parse(struct cox_str s, unsigned *major, unsigned *minor)
{
	struct cox_str rest = cox_str_has_prefix(s, COX_STR("v")) ? cox_str_sub(s, 1, s.n) : s, part;
	uint64_t n[2] = { 0 };
	for (size_t i = 0; i < 2; i++)
		if (!cox_str_next(&rest, '.', &part) || cox_str_to_u64(part, &n[i]) != COX_OK || n[i] > 1000000)
			return false;
	*major = (unsigned)n[0], *minor = (unsigned)n[1];
	return true;
}

void an_crd_version(struct an_run *r)
{
	AN_EACH_OBJ(crd, r, AN_CRD)
	{
		struct cox_str version = an_annotation(crd, "gateway.networking.k8s.io/bundle-version");
		unsigned major, minor;
		for (size_t i = 0; i < COX_LEN(minimums); i++)
			if (cox_str_eq_cstr(crd->name, minimums[i].name) && version_parse(version, &major, &minor) &&
			    (major < minimums[i].major || (major == minimums[i].major && minor < minimums[i].minor)))
				an_report(
				    r, COX_AN_GWAPI_CRD_OLD, crd, NULL,
				    COX_STR("metadata.annotations[gateway.networking.k8s.io/bundle-version]"),
				    "version %.*s is older than %u.%u.0: Istio reads no object of this kind; install newer CRDs of the Gateway API",
				    COX_FMT(version), minimums[i].major, minimums[i].minor);
	}
}
