/* gateway_api_grant - references across namespaces (ReferenceGrant), and namespaces by selector. */
#include "convert/gateway_api_priv.h"

static bool says(const struct cox_gwapi_ref *ref, const char *group, struct cox_str kind)
{
	return cox_str_eq_cstr(ref->group.v, group) && cox_str_eq(ref->kind.v, kind);
}

bool ga_is_granted(struct ga *g, struct cox_str from_kind, struct cox_str from_ns, const char *to_kind, struct cox_str to_ns,
                   struct cox_str to_name)
{
	const struct cox_object *const *all;
	if (cox_str_eq(from_ns, to_ns))
		return true;
	size_t n = convert_list(g->run, COX_KIND_REFERENCE_GRANT, &all);
	for (size_t i = 0; i < n; i++) {
		const struct cox_gwapi_grant *spec = COX_SPEC(cox_gwapi_grant_object, all[i])->spec;
		bool from = false, to = false;
		if (!spec || all[i]->meta.is_deleting || !cox_str_eq(all[i]->meta.ns, to_ns))
			continue;
		for (COX_EACH(struct cox_gwapi_ref, r, spec->from))
			from |= says(r, GA_GROUP, from_kind) && cox_str_eq(r->ns, from_ns);
		for (COX_EACH(struct cox_gwapi_ref, r, spec->to))
			to |= says(r, "", cox_str_of(to_kind)) && (!r->name.n || cox_str_eq(r->name, to_name));
		if (from && to)
			return true;
	}
	return false;
}

bool ga_takes_namespace(struct ga *g, const struct cox_gwapi_namespaces *n, struct cox_str own_ns, struct cox_str ns)
{
	struct cox_str from = n && n->from.n ? n->from : COX_STR("Same");
	if (cox_str_eq_cstr(from, "All"))
		return true;
	if (!cox_str_eq_cstr(from, "Selector"))
		return cox_str_eq_cstr(from, "Same") && cox_str_eq(own_ns, ns);
	const struct cox_object *o = convert_find(g->run, COX_KIND_NAMESPACE, (struct cox_str){ 0 }, ns);
	if (!n->selector || !o)
		return false;
	return cox_label_selector_fits(n->selector, o->meta.labels.p, o->meta.labels.n);
}
