/* Whether a WorkloadEntry may get traffic: what its agent says here, else its status, else whether anybody asks it at all. */
#include "registry/registry_priv.h"

struct reg_reported {
	enum cox_reported health;
	char id[];
};

static enum cox_reported reported(const struct cox_registry *r, struct cox_str id)
{
	const struct reg_reported *said = cox_map_find(&r->reported, id);
	return said ? said->health : COX_REPORTED_NONE;
}

bool reg_entry_is_healthy(const struct cox_registry *r, const struct cox_object *we)
{
	const struct cox_workload_entry_status *status = COX_SPEC(cox_workload_entry_object, we)->status;
	enum cox_reported said = reported(r, we->id);
	if (said != COX_REPORTED_NONE)
		return said == COX_REPORTED_HEALTHY;
	if (status)
		for (COX_EACH(struct cox_condition_state, c, status->conditions))
			if (cox_str_eq(c->type, COX_STR("Healthy")))
				return cox_str_eq(c->status, COX_STR("True"));
	/* An agent probes it and has not said anything yet: a machine that is starting would get requests. */
	return !cox_str_eq(cox_kv_get(we->meta.annotations.p, we->meta.annotations.n, COX_STR("proxy.istio.io/health-checks-enabled")),
	                   COX_STR("true"));
}

void cox_registry_report_health(struct cox_registry *r, struct cox_str ns, struct cox_str name, enum cox_reported health)
{
	struct cox_arena arena = { 0 };
	struct cox_str id = cox_arena_printf(&arena, "WorkloadEntry/%.*s/%.*s", COX_FMT(ns), COX_FMT(name));
	const struct cox_object *we = reg_store_find(&r->stores[COX_KIND_WORKLOAD_ENTRY], id);
	if (reported(r, id) != health) {
		cox_free(cox_map_remove(&r->reported, id));
		if (health != COX_REPORTED_NONE) {
			struct reg_reported *said = cox_zalloc(sizeof(*said) + id.n);
			said->health = health;
			memcpy(said->id, id.p, id.n);
			cox_map_set(&r->reported, cox_str_make(said->id, id.n), said);
		}
		if (we)
			reg_workload_entry_changed(r, we, NULL);
	}
	cox_arena_fini(&arena);
}

void reg_health_fini(struct cox_registry *r)
{
	for (struct cox_map_entry *e = NULL; (e = cox_map_next(&r->reported, e));)
		cox_free(e->value);
	cox_map_fini(&r->reported);
}
