/* gates - listeners and routes wait for the clusters that they newly name. */
#include "xds/core_priv.h"

/* No rule makes it: its rule may be on the way, or it has been taken away before what names it. */
static bool is_cluster_absent(const struct cox_xds_core *c, struct cox_str name)
{
	const struct type_state *t = &c->types[COX_TYPE_CDS];
	for (unsigned p = 0; p < COX_XDS_PARTS; p++)
		if ((t->wanted[p] && cox_set_find(t->wanted[p], name)) || (t->sent[p] && cox_set_find(t->sent[p], name)))
			return false;
	return true;
}

static bool is_cluster_pending(struct cox_xds_core *c, uint64_t name, const struct cox_step *const *unsent)
{
	if (c->types[COX_TYPE_CDS].acked_nonce < c->cds_first_nonce)
		return true;
	for (size_t i = 0; i < c->unacked_clusters.n; i++)
		if (c->unacked_clusters.p[i].hash == name)
			return true;
	for (unsigned p = 0; p < COX_XDS_PARTS; p++)
		for (size_t i = 0; unsent[p] && i < unsent[p]->changed_n; i++)
			if (cox_name_hash(unsent[p]->changed[i]->name) == name)
				return true;
	return false;
}

static bool names_pending_cluster(struct cox_xds_core *c, enum cox_type type, const struct cox_step *const *steps)
{
	/* Who starts does not wait for a rule that never comes. */
	bool waits_for_absent = !c->types[type].is_asked && c->types[COX_TYPE_CDS].is_watched;
	const struct cox_step *unsent[COX_XDS_PARTS] = { NULL, NULL };
	struct type_state *cds = &c->types[COX_TYPE_CDS];
	bool pending = false;
	for (unsigned p = 0; p < COX_XDS_PARTS; p++)
		if (cds->sent[p] != cds->wanted[p])
			unsent[p] = cox_step_between(c->opts.steps, cds->sent[p], cds->wanted[p]);
	for (unsigned p = 0; p < COX_XDS_PARTS; p++)
		for (size_t i = 0; steps[p] && i < steps[p]->new_needs_n && !pending; i++)
			pending = is_cluster_pending(c, steps[p]->new_needs[i].hash, unsent) ||
			          (waits_for_absent && is_cluster_absent(c, steps[p]->new_needs[i].name));
	for (unsigned p = 0; p < COX_XDS_PARTS; p++)
		cox_step_unref(unsent[p]);
	return pending;
}

/* A stream lost while clusters warmed asks for CDS last: what its listeners and routes newly name is not there yet (facts, section 20). */
static bool may_have_clusters_pending(const struct cox_xds_core *c)
{
	return c->types[COX_TYPE_CDS].is_watched || c->types[COX_TYPE_EDS].is_watched;
}

bool core_gate_is_closed(struct cox_xds_core *c, enum cox_type type, const struct cox_step *const *steps, int64_t now_ms, int64_t *wake_ms)
{
	struct type_state *t = &c->types[type];
	if ((type != COX_TYPE_LDS && type != COX_TYPE_RDS && type != COX_TYPE_VHDS) || !may_have_clusters_pending(c) ||
	    !names_pending_cluster(c, type, steps)) {
		t->gate_since_ms = 0;
		return false;
	}
	if (!t->gate_since_ms)
		t->gate_since_ms = now_ms;
	if (now_ms - t->gate_since_ms >= COX_XDS_GATE_MS) {
		t->gate_since_ms = 0;
		if (c->opts.gate_expired)
			c->opts.gate_expired(c->opts.arg, type);
		return false;
	}
	if (t->gate_since_ms + COX_XDS_GATE_MS < *wake_ms)
		*wake_ms = t->gate_since_ms + COX_XDS_GATE_MS;
	return true;
}
