/* EnvoyFilters: operations that have no effect where they stand, or that depend on the order of filters. */
#include "analyze/analyze_priv.h"

struct seen {
	struct cox_str *names; /* of filters that a patch for some proxy versions names */
	size_t n, cap;
};

/* What the patch is about: the name in its value, else the filter that it matches. */
static struct cox_str subject(const struct cox_json *patch)
{
	const struct cox_json *value = cox_json_at(patch, "patch.value");
	if (an_member_n(value) == 0)
		return COX_STR("");
	struct cox_str name = an_str(value, "name");
	return name.n ? name : cox_json_str_at(patch, "match.listener.filterChain.filter.name");
}

static void relative(struct an_run *r, const struct an_obj *o, const struct cox_json *patch, struct cox_str path, const struct seen *seen)
{
	bool by_version = false;
	if (an_i64(an_get(o->spec, "priority"), 0) != 0)
		return;
	for (size_t i = 0; i < seen->n; i++)
		by_version |= cox_str_eq(seen->names[i], subject(patch));
	struct cox_str op = cox_json_str_at(patch, "patch.operation");
	if (by_version)
		an_report(
		    r, COX_AN_EF_RELATIVE_VERSION, o, patch, path,
		    "%.*s without spec.priority, beside a patch for some proxyVersion: after an upgrade of proxies it may have nothing to hold on "
		    "to; set a priority, or use INSERT_FIRST or ADD",
		    COX_FMT(op));
	else
		an_report(
		    r, COX_AN_EF_RELATIVE, o, patch, path,
		    "%.*s without spec.priority depends on what other EnvoyFilters did before; set a priority, or use INSERT_FIRST or ADD",
		    COX_FMT(op));
}

static void look_at(struct an_run *r, const struct an_obj *o, const struct cox_json *patch, struct cox_str path, const struct seen *seen)
{
	struct cox_str op = cox_json_str_at(patch, "patch.operation"), to = an_str(patch, "applyTo");
	bool is_route = cox_str_eq_cstr(to, "ROUTE_CONFIGURATION") || cox_str_eq_cstr(to, "HTTP_ROUTE");
	if (cox_str_eq_cstr(op, "ADD")) {
		if (is_route)
			an_report(r, COX_AN_EF_ADD, o, patch, path, "ADD has no effect on %.*s", COX_FMT(to));
	} else if (cox_str_eq_cstr(op, "REMOVE")) {
		if (is_route)
			an_report(r, COX_AN_EF_REMOVE, o, patch, path, "REMOVE has no effect on %.*s", COX_FMT(to));
		else
			relative(r, o, patch, path, seen);
	} else if (cox_str_eq_cstr(op, "REPLACE")) {
		if (!cox_str_eq_cstr(to, "NETWORK_FILTER") && !cox_str_eq_cstr(to, "HTTP_FILTER") && !cox_str_eq_cstr(to, "VIRTUAL_HOST"))
			an_report(r, COX_AN_EF_REPLACE, o, patch, path,
			          "REPLACE has no effect on %.*s, only on HTTP_FILTER, NETWORK_FILTER and VIRTUAL_HOST; use MERGE",
			          COX_FMT(to));
		else
			relative(r, o, patch, path, seen);
	} else if (cox_str_eq_cstr(op, "INSERT_BEFORE") || cox_str_eq_cstr(op, "INSERT_AFTER"))
		relative(r, o, patch, path, seen);
}

void an_envoy_filter(struct an_run *r)
{
	struct seen seen = { 0 };
	size_t room = 0;
	AN_EACH_OBJ(o, r, AN_ENVOY_FILTER)
	room += an_len(an_get(o->spec, "configPatches"));
	seen.names = COX_ARENA_ARRAY(r->arena, struct cox_str, room + 1);
	AN_EACH_OBJ(o, r, AN_ENVOY_FILTER)
	{
		const struct cox_json *patches = an_get(o->spec, "configPatches");
		AN_EACH(patch, patches)
		{
			if (!an_get(patch, "patch"))
				break;
			look_at(r, o, patch, AN_PATH(r, "spec.configPatches[%zu].patch", (size_t)(patch - an_items(patches))), &seen);
			if (cox_json_str_at(patch, "match.proxy.proxyVersion").n)
				seen.names[seen.n++] = subject(patch);
		}
	}
}
