/* smi_target - references of TrafficTargets that lead nowhere. Whoever is not allowed is refused, so none of it opens anything. */
#include "convert/smi_priv.h"

static bool is_account(struct cox_str kind) { return cox_str_eq_cstr(kind, "ServiceAccount"); }

static bool has_match(const struct cox_object *group, struct cox_str name)
{
	const struct cox_smi_http_match *m;
	size_t n = cox_smi_http_matches(COX_SPEC(cox_http_route_group, group), &m);
	for (size_t i = 0; i < n; i++)
		if (cox_str_eq(m[i].name, name))
			return true;
	return false;
}

static void check_rule(struct convert_run *run, const struct cox_object *o, const struct cox_smi_rule *r, struct cox_str path)
{
	if (cox_str_eq_cstr(r->kind, "TCPRoute")) {
		if (!convert_find(run, COX_KIND_SMI_TCP_ROUTE, o->meta.ns, r->name))
			convert_finding(run, o, COX_SEV_WARNING, path, "there is no TCPRoute %.*s: the rule allows nothing",
			                COX_FMT(r->name));
		return;
	}
	if (!cox_str_eq_cstr(r->kind, "HTTPRouteGroup")) {
		convert_finding(run, o, COX_SEV_WARNING, path, "kind %.*s is not supported: the rule allows nothing", COX_FMT(r->kind));
		return;
	}
	const struct cox_object *group = convert_find(run, COX_KIND_HTTP_ROUTE_GROUP, o->meta.ns, r->name);
	if (!group) {
		convert_finding(run, o, COX_SEV_WARNING, path, "there is no HTTPRouteGroup %.*s: the rule allows nothing",
		                COX_FMT(r->name));
		return;
	}
	for (COX_EACH(struct cox_str, m, r->matches))
		if (!has_match(group, *m))
			convert_finding(run, o, COX_SEV_WARNING, path, "HTTPRouteGroup %.*s has no match %.*s", COX_FMT(r->name),
			                COX_FMT(*m));
}

static void check(struct convert_run *run, const struct cox_object *o)
{
	const struct cox_smi_access a = cox_smi_access_of(COX_SPEC(cox_traffic_target, o));
	struct cox_arena *arena = convert_arena(run);
	bool is_old = !COX_SPEC(cox_traffic_target, o)->spec;
	const char *at = is_old ? "" : "spec.", *rules = is_old ? "specs" : "rules";
	struct cox_str destination = cox_arena_printf(arena, "%sdestination", at);
	if (!a.destination || !is_account(a.destination->kind) || !a.destination->name.n) {
		convert_finding(run, o, COX_SEV_ERROR, destination, "must name a ServiceAccount: the TrafficTarget has no effect");
		return;
	}
	if (a.destination->ns.n && !cox_str_eq(a.destination->ns, o->meta.ns)) {
		convert_finding(run, o, COX_SEV_ERROR, destination, "is in namespace %.*s: access is granted in the own namespace only",
		                COX_FMT(a.destination->ns));
		return;
	}
	if (a.destination->port.set && !cox_smi_port(a.destination))
		convert_finding(run, o, COX_SEV_ERROR, destination, "port must be a number: the TrafficTarget allows nothing");
	if (!a.rules.n)
		convert_finding(run, o, COX_SEV_WARNING, cox_arena_printf(arena, "%s%s", at, rules), "is empty: nothing is allowed");
	for (size_t i = 0; i < a.rules.n; i++)
		check_rule(run, o, &a.rules.p[i], cox_arena_printf(arena, "%s%s[%zu]", at, rules, i));
	for (size_t i = 0; i < a.sources.n; i++)
		if (!is_account(a.sources.p[i].kind))
			convert_finding(run, o, COX_SEV_WARNING, cox_arena_printf(arena, "%ssources[%zu]", at, i),
			                "kind %.*s is not supported: only a ServiceAccount can be a source", COX_FMT(a.sources.p[i].kind));
}

void smi_targets_check(struct convert_run *run)
{
	const struct cox_object *const *all;
	size_t n = convert_list(run, COX_KIND_TRAFFIC_TARGET, &all);
	for (size_t i = 0; i < n; i++)
		check(run, all[i]);
}
