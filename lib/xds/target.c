/* target - what a proxy should have now, and when a cluster may leave it. */
#include "xds/core_priv.h"

enum {
	WORKLOAD = 1, /* the part that wins where both have a name */
};

const struct cox_set *core_target(struct cox_xds_core *c, enum cox_type type, unsigned part, bool with_removals)
{
	struct type_state *t = &c->types[type];
	/* A Sidecar's ingress listener may have the name of an outbound one: the workload's own counts. */
	const struct cox_set *wanted = cox_steps_without(c->opts.steps, t->wanted[part], part == WORKLOAD ? NULL : t->wanted[WORKLOAD]),
	                     *target;
	bool is_named = core_type_is_named(type);
	/* A virtual host whose route configuration is not there is dropped by Envoy, yet listed as held (facts, section 20); one that is
	 * there stays as it is while its route configuration is in doubt. */
	if (type == COX_TYPE_VHDS)
		target = cox_steps_vhosts_of(c->opts.steps, wanted, c->types[COX_TYPE_RDS].sent[part], t->sent[part]);
	else if (is_named)
		target = cox_steps_filter(c->opts.steps, wanted, t->names);
	else
		target = wanted ? cox_set_ref(wanted) : NULL;
	cox_set_unref(wanted);
	/* Named resources are dropped by the proxy itself when nothing refers to them; clusters leave late. */
	if (!is_named && with_removals)
		return target;
	const struct cox_set *kept = cox_steps_keep(c->opts.steps, t->sent[part], target, t->wanted[1 - part]);
	cox_set_unref(target);
	return kept;
}

size_t core_sendable_changes(const struct type_state *t, const struct cox_step *s)
{
	if (!t->withheld.n && !t->suspects.n)
		return s->changed_n;
	size_t n = 0;
	for (size_t i = 0; i < s->changed_n; i++)
		n += !core_is_withheld(t, s->changed[i]);
	return n;
}

bool core_is_clean(struct cox_xds_core *c, enum cox_type type)
{
	struct type_state *t = &c->types[type];
	bool clean = true;
	for (unsigned p = 0; p < COX_XDS_PARTS && clean; p++) {
		const struct cox_set *target = core_target(c, type, p, true);
		if (target != t->sent[p]) {
			const struct cox_step *s = cox_step_between(c->opts.steps, t->sent[p], target);
			clean = !s->removed_n && !core_sendable_changes(t, s);
			cox_step_unref(s);
		}
		cox_set_unref(target);
	}
	return clean;
}

bool core_is_settled(struct cox_xds_core *c, enum cox_type type)
{
	struct type_state *t = &c->types[type];
	if (type == COX_TYPE_VHDS && !c->types[COX_TYPE_RDS].is_watched)
		return true; /* no route, no virtual host; an answer to it waits for the routes */
	return !t->is_watched || (!core_is_outstanding(t) && !t->is_asked && core_is_clean(c, type));
}

/* A rule took away what another rule still names: the clusters that are to go now. Both are of one hand, and the second half comes. */
static bool are_removals_named(struct cox_xds_core *c)
{
	static const enum cox_type types[] = { COX_TYPE_LDS, COX_TYPE_RDS, COX_TYPE_VHDS };
	struct type_state *cds = &c->types[COX_TYPE_CDS];
	bool named = false;
	for (unsigned p = 0; p < COX_XDS_PARTS; p++) {
		if (cds->sent[p] == cds->wanted[p])
			continue;
		const struct cox_set *target = core_target(c, COX_TYPE_CDS, p, true);
		const struct cox_step *s = cox_step_between(c->opts.steps, cds->sent[p], target);
		for (size_t k = 0; k < COX_LEN(types) * COX_XDS_PARTS && s->removed_n && !named; k++) {
			const struct type_state *t = &c->types[types[k / COX_XDS_PARTS]];
			const struct cox_names *needs = cox_steps_needs(c->opts.steps, t->sent[k % COX_XDS_PARTS]);
			for (size_t i = 0; needs && i < s->removed_n && !named; i++)
				named = cox_names_has(needs, cox_name_hash(s->removed[i])) &&
				        !(cds->wanted[1 - p] && cox_set_find(cds->wanted[1 - p], s->removed[i]));
			cox_names_unref(needs);
		}
		cox_step_unref(s);
		cox_set_unref(target);
	}
	return named;
}

/* Clusters may go once nothing that the proxy serves can name them, plus a grace: an acknowledgement is not yet "live". Where others
 * go all the time, so that the grace starts anew and anew, it is waived after a while; never that nothing can name them. */
static bool may_remove_clusters(struct cox_xds_core *c, int64_t now_ms, int64_t *wake_ms)
{
	if (c->remove_first_ms == INT64_MAX)
		c->remove_first_ms = now_ms;
	if (!core_is_settled(c, COX_TYPE_LDS) || !core_is_settled(c, COX_TYPE_RDS) || !core_is_settled(c, COX_TYPE_VHDS)) {
		c->remove_at_ms = INT64_MAX;
		return false; /* an acknowledgement comes back here */
	}
	if (c->remove_at_ms == INT64_MAX)
		c->remove_at_ms = now_ms + COX_XDS_REMOVE_GRACE_MS;
	int64_t at = c->remove_first_ms + COX_XDS_REMOVE_PATIENCE_MS;
	if (c->remove_at_ms < at)
		at = c->remove_at_ms;
	bool was_named = c->remove_named_ms != INT64_MAX;
	if ((now_ms >= at || was_named) && are_removals_named(c)) {
		/* A patience of its own: others may have waited long already, and because of this. */
		if (!was_named)
			c->remove_named_ms = now_ms;
		at = c->remove_named_ms + COX_XDS_REMOVE_PATIENCE_MS;
	} else if (was_named) {
		c->remove_named_ms = INT64_MAX;
		c->remove_first_ms = now_ms;
		at = c->remove_at_ms = now_ms + COX_XDS_REMOVE_GRACE_MS;
	}
	if (now_ms >= at)
		return true;
	if (at < *wake_ms)
		*wake_ms = at;
	return false;
}

static bool has_cluster_removals(struct cox_xds_core *c)
{
	bool has = c->late_removed.n > 0;
	struct type_state *t = &c->types[COX_TYPE_CDS];
	for (unsigned p = 0; p < COX_XDS_PARTS && !has; p++) {
		if (t->sent[p] == t->wanted[p])
			continue;
		const struct cox_set *target = core_target(c, COX_TYPE_CDS, p, true);
		const struct cox_step *s = cox_step_between(c->opts.steps, t->sent[p], target);
		has = s->removed_n > 0;
		cox_step_unref(s);
		cox_set_unref(target);
	}
	return has;
}

bool core_may_remove_now(struct cox_xds_core *c, int64_t now_ms, int64_t *wake_ms)
{
	if (has_cluster_removals(c))
		return may_remove_clusters(c, now_ms, wake_ms);
	c->remove_at_ms = c->remove_first_ms = c->remove_named_ms = INT64_MAX; /* what was to go came back */
	return false;
}
