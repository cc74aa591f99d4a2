/* Policies of security and extension: whom they select, what they name, and whether anybody heeds them. */
#include "analyze/analyze_priv.h"

/* --- AuthorizationPolicy -------------------------------------------------------------------------------------- */

static bool is_member(struct an_run *r, const struct an_obj *pod)
{
	return an_in_mesh(r, an_get(pod->doc, "spec"), pod->labels, pod->annotations, pod->ns) || an_is_ambient_pod(pod);
}

static void check_selected(struct an_run *r, const struct an_obj *o)
{
	const struct cox_json *selector = an_get(o->spec, "selector"), *labels = an_get(selector, "matchLabels");
	bool is_mesh_wide = cox_str_eq(o->ns, r->root_ns);
	if (is_mesh_wide && !selector)
		return;
	struct cox_str ns = is_mesh_wide ? COX_STR("") : o->ns;
	struct an_list pods = an_pods(r, labels, ns);
	for (size_t i = 0; i < pods.n; i++)
		if (an_pod_is(pods.p[i], labels, ns) && is_member(r, pods.p[i]))
			return;
	an_report(r, COX_AN_NO_WORKLOADS, o, selector, selector ? COX_STR("spec.selector") : COX_STR(""),
	          selector ? "no workload of the mesh has the labels %.*s: the policy protects nothing; mend the labels"
	                   : "there is no workload of the mesh in this namespace%.*s: the policy protects nothing",
	          COX_FMT(selector ? an_selector_text(r, labels) : COX_STR("")));
}

static bool ns_matches(struct cox_str pattern, struct cox_str ns)
{
	if (cox_str_eq_cstr(pattern, "*"))
		return true;
	if (cox_str_has_prefix(pattern, COX_STR("*")))
		return cox_str_has_suffix(ns, cox_str_sub(pattern, 1, pattern.n));
	if (cox_str_has_suffix(pattern, COX_STR("*")))
		return cox_str_has_prefix(ns, cox_str_sub(pattern, 0, pattern.n - 1));
	return cox_str_eq_nocase(ns, pattern);
}

static bool ns_exists(struct an_run *r, struct cox_str pattern)
{
	if (an_find(r, AN_NAMESPACE, COX_STR(""), pattern))
		return true;
	AN_EACH_OBJ(ns, r, AN_NAMESPACE)
	if (ns_matches(pattern, ns->name))
		return true;
	return false;
}

static void check_namespaces(struct an_run *r, const struct an_obj *o)
{
	static const char *const fields[] = { "namespaces", "notNamespaces" };
	const struct cox_json *rules = an_get(o->spec, "rules");
	AN_EACH(rule, rules)
	{
		const struct cox_json *froms = an_get(rule, "from");
		AN_EACH(from, froms)
		for (size_t f = 0; f < COX_LEN(fields); f++) {
			const struct cox_json *names = an_get(an_get(from, "source"), fields[f]);
			AN_EACH(ns, names)
			if (!ns_exists(r, an_text(ns)))
				an_report(r, COX_AN_NOT_FOUND, o, ns,
				          AN_PATH(r, "spec.rules[%zu].from[%zu].source.%s[%zu]", (size_t)(rule - an_items(rules)),
				                  (size_t)(from - an_items(froms)), fields[f], (size_t)(ns - an_items(names))),
				          "there is no namespace \"%.*s\"", COX_FMT(an_text(ns)));
		}
	}
}

void an_authorization(struct an_run *r)
{
	AN_EACH_OBJ(o, r, AN_AUTHORIZATION_POLICY)
	{
		check_selected(r, o);
		check_namespaces(r, o);
	}
}

/* --- RequestAuthentication ------------------------------------------------------------------------------------- */

static bool restricts_jwks(const struct an_obj *deployment)
{
	AN_EACH(container, cox_json_at(deployment->spec, "template.spec.containers"))
	AN_EACH(env, an_get(container, "env"))
	if (cox_str_eq_cstr(an_str(env, "name"), "BLOCKED_CIDRS_IN_JWKS_URIS") && an_str(env, "value").n)
		return true;
	return false;
}

void an_blocked_cidrs(struct an_run *r)
{
	if (r->all[AN_REQUEST_AUTHENTICATION].n == 0)
		return;
	AN_EACH_OBJ(d, r, AN_DEPLOYMENT)
	if (cox_str_eq_cstr(an_label(d, "app"), "istiod") && !restricts_jwks(d))
		an_report(r, COX_AN_JWKS_UNRESTRICTED, d, NULL, COX_STR("spec.template.spec.containers"),
		          "%zu RequestAuthentications (%.*s%s) may name any address to fetch keys from; set BLOCKED_CIDRS_IN_JWKS_URIS to "
		          "the addresses that must not be called",
		          r->all[AN_REQUEST_AUTHENTICATION].n, COX_FMT(r->all[AN_REQUEST_AUTHENTICATION].p[0]->full),
		          r->all[AN_REQUEST_AUTHENTICATION].n > 1 ? ", ..." : "");
}

/* --- gateways of the Gateway API ----------------------------------------------------------------------------------- */

void an_k8s_gateway_selector(struct an_run *r)
{
	static const enum an_kind kinds[] = { AN_AUTHORIZATION_POLICY, AN_REQUEST_AUTHENTICATION, AN_TELEMETRY, AN_WASM_PLUGIN };
	for (size_t k = 0; k < COX_LEN(kinds); k++)
		AN_EACH_OBJ(o, r, kinds[k])
		{
			const struct cox_json *selector = an_get(o->spec, "selector"), *labels = an_get(selector, "matchLabels");
			if (!selector || an_get(o->spec, "targetRef"))
				continue;
			struct an_list pods = an_pods(r, labels, o->ns);
			for (size_t i = 0; i < pods.n; i++) {
				struct cox_str gateway = an_label(pods.p[i], "gateway.networking.k8s.io/gateway-name");
				if (gateway.n && an_pod_is(pods.p[i], labels, o->ns))
					an_report(r, COX_AN_SELECTOR_INEFFECTIVE, o, selector, COX_STR("spec.selector"),
					          "has no effect on Gateway %.*s, whose pods it selects; use targetRefs", COX_FMT(gateway));
			}
		}
}

/* --- statuses ----------------------------------------------------------------------------------------------------------- */

static bool is_negative(enum an_kind kind, const struct cox_json *c)
{
	static const char *const bound[] = { "istio.io/WaypointBound", NULL };
	static const char *const accepted[] = { "ZtunnelAccepted", "WaypointAccepted", NULL };
	static const char *const gateway[] = { "Accepted", "Programmed", "ResolvedRefs", NULL };
	const char *const *types = kind == AN_AUTHORIZATION_POLICY                                            ? accepted
	                           : kind == AN_K8S_GATEWAY || kind == AN_HTTP_ROUTE || kind == AN_GRPC_ROUTE ? gateway
	                                                                                                      : bound;
	struct cox_str type = an_str(c, "type");
	if (kind == AN_AUTHORIZATION_POLICY && cox_str_eq_cstr(type, "WaypointAccepted") &&
	    cox_str_eq_cstr(an_str(c, "reason"), "PartiallyInvalid"))
		return true;
	for (; *types; types++)
		if (cox_str_eq_cstr(type, *types))
			return cox_str_eq_cstr(an_str(c, "status"), "False");
	return false;
}

static void check_conditions(struct an_run *r, const struct an_obj *o, const struct cox_json *conditions)
{
	AN_EACH(c, conditions)
	if (is_negative(o->kind, c))
		an_report(r, COX_AN_NEGATIVE_CONDITION, o, c, COX_STR("status.conditions"), "%.*s is %.*s, %.*s: %.*s",
		          COX_FMT(an_str(c, "type")), COX_FMT(an_str(c, "status")), COX_FMT(an_str(c, "reason")),
		          COX_FMT(an_str(c, "message")));
}

void an_conditions(struct an_run *r)
{
	static const enum an_kind kinds[] = { AN_SERVICE,     AN_SERVICE_ENTRY, AN_WORKLOAD_ENTRY, AN_AUTHORIZATION_POLICY,
		                              AN_K8S_GATEWAY, AN_HTTP_ROUTE,    AN_GRPC_ROUTE };
	for (size_t k = 0; k < COX_LEN(kinds); k++)
		AN_EACH_OBJ(o, r, kinds[k])
		{
			const struct cox_json *status = an_get(o->doc, "status");
			if (kinds[k] != AN_HTTP_ROUTE && kinds[k] != AN_GRPC_ROUTE)
				check_conditions(r, o, an_get(status, "conditions"));
			else
				AN_EACH(parent, an_get(status, "parents"))
			check_conditions(r, o, an_get(parent, "conditions"));
		}
}
