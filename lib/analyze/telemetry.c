/* Telemetry: whom it selects, and which providers it means. */
#include "analyze/selecting.h"

static const struct cox_json *labels_of(const struct an_obj *o) { return cox_json_at(o->spec, "selector.matchLabels"); }

void an_telemetry_selectors(struct an_run *r)
{
	static const struct selecting how = { AN_TELEMETRY, "spec.selector.matchLabels", COX_AN_TELEMETRY_CONFLICT, labels_of, NULL };
	selecting_check(r, &how);
}

void an_telemetry_defaults(struct an_run *r)
{
	const struct an_list *all = &r->all[AN_TELEMETRY]; /* sorted by namespace */
	for (size_t i = 0, end; i < all->n; i = end) {
		size_t n = 0;
		for (end = i; end < all->n && cox_str_eq(all->p[end]->ns, all->p[i]->ns); end++)
			n += !an_get(all->p[end]->spec, "selector");
		for (size_t k = i; k < end && n > 1; k++)
			if (!an_get(all->p[k]->spec, "selector"))
				an_report(
				    r, COX_AN_TELEMETRY_DEFAULTS, all->p[k], NULL, COX_STR("spec.selector"),
				    "is missing, as in %zu other Telemetries of namespace %.*s: which of them counts is not defined; keep one",
				    n - 1, COX_FMT(all->p[k]->ns));
	}
}

void an_telemetry_providers(struct an_run *r)
{
	if (an_len(cox_json_at(r->opts->mesh, "defaultProviders.accessLogging")))
		return;
	AN_EACH_OBJ(o, r, AN_TELEMETRY)
	{
		const struct cox_json *logs = an_get(o->spec, "accessLogging");
		AN_EACH(log, logs)
		{
			const struct cox_json *disabled = an_get(log, "disabled");
			if (!(disabled && disabled->type == COX_JSON_BOOL && disabled->boolean) && an_len(an_get(log, "providers")) == 0)
				an_report(r, COX_AN_TELEMETRY_PROVIDER, o, log,
				          AN_PATH(r, "spec.accessLogging[%zu].providers", (size_t)(log - an_items(logs))),
				          "is empty, and the mesh has no default provider: nothing is logged; name one, as envoy");
		}
	}
}

void an_telemetry_lightstep(struct an_run *r)
{
	const struct cox_json *providers = an_get(r->opts->mesh, "extensionProviders");
	AN_EACH(provider, providers)
	{
		if (!an_get(provider, "lightstep"))
			continue;
		AN_EACH_OBJ(o, r, AN_TELEMETRY)
		AN_EACH(tracing, an_get(o->spec, "tracing"))
		AN_EACH(p, an_get(tracing, "providers"))
		if (cox_str_eq(an_str(p, "name"), an_str(provider, "name")))
			an_report(r, COX_AN_DEPRECATED, o, p, COX_STR("spec.tracing"),
			          "provider %.*s is of kind lightstep, which has gone; use opentelemetry", COX_FMT(an_str(p, "name")));
	}
}
