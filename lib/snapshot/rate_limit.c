/* Which RateLimitPolicies count for a workload. */
#include "snapshot/snapshot_priv.h"

static bool counts_for(const struct cox_object *o, const struct cox_str root_ns, struct cox_str ns, const struct cox_kv *labels, size_t n)
{
	const struct cox_rate_limit_policy *spec = COX_SPEC(cox_rate_limit_policy_object, o)->spec;
	if (!spec || !(cox_str_eq(o->meta.ns, ns) || cox_str_eq(o->meta.ns, root_ns)))
		return false;
	return !spec->selector || cox_kv_is_subset(spec->selector->match_labels.p, spec->selector->match_labels.n, labels, n);
}

size_t cox_snapshot_rate_limits_of(const struct cox_snapshot *s, struct cox_str ns, const struct cox_kv *labels, size_t label_n,
                                   struct cox_arena *arena, const struct cox_object ***out)
{
	size_t n = 0;
	const struct cox_object **list = COX_ARENA_ARRAY(arena, const struct cox_object *, s->rate_limits.n);
	for (size_t i = 0; i < s->rate_limits.n; i++)
		if (counts_for(s->rate_limits.p[i], s->root_ns, ns, labels, label_n))
			list[n++] = s->rate_limits.p[i];
	*out = list;
	return n;
}
