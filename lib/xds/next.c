/* next - what to send now: targets, differences, gates, and the response. */
#include "xds/core_priv.h"

#include <stdlib.h>

enum {
	WORKLOAD = 1, /* the part that wins where both have a name */
};

/* --- what a proxy should have ---------------------------------------------------------------- */

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

static size_t sendable_changes(const struct type_state *t, const struct cox_step *s)
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
			clean = !s->removed_n && !sendable_changes(t, s);
			cox_step_unref(s);
		}
		cox_set_unref(target);
	}
	return clean;
}

static bool is_settled(struct cox_xds_core *c, enum cox_type type)
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
	if (!is_settled(c, COX_TYPE_LDS) || !is_settled(c, COX_TYPE_RDS) || !is_settled(c, COX_TYPE_VHDS)) {
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

/* --- gates ----------------------------------------------------------------------------------- */

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

static bool gate_is_closed(struct cox_xds_core *c, enum cox_type type, const struct cox_step *const *steps, int64_t now_ms,
                           int64_t *wake_ms)
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

/* --- the response ---------------------------------------------------------------------------- */

struct draft {
	enum cox_type type;
	struct type_state *t;
	const struct cox_set *target[COX_XDS_PARTS];
	const struct cox_step *steps[COX_XDS_PARTS];
	bool removes; /* clusters may go now */
	struct sent_response record;
	COX_VEC(const struct cox_resource *)
	back; /* borrowed from `acked`: former versions listed again: the proxy may have taken the newer one */
};

static int cmp_known(const void *a, const void *b)
{
	uint64_t x = ((const struct known_resource *)a)->hash, y = ((const struct known_resource *)b)->hash;
	return x < y ? -1 : x > y;
}

static struct known_resource *find_known(const struct type_state *t, struct cox_str name)
{
	struct known_resource probe = { .hash = cox_name_hash(name) };
	return t->known.n ? bsearch(&probe, t->known.p, t->known.n, sizeof(probe), cmp_known) : NULL;
}

static bool proxy_has(const struct type_state *t, const struct cox_resource *r)
{
	const struct known_resource *k = find_known(t, r->name);
	return k && k->has_version && cox_hash_eq(k->version, r->hash);
}

static const struct cox_resource *target_find(const struct draft *d, struct cox_str name, unsigned *part)
{
	for (*part = 0; *part < COX_XDS_PARTS; (*part)++) {
		const struct cox_resource *r = d->target[*part] ? cox_set_find(d->target[*part], name) : NULL;
		if (r)
			return r;
	}
	return NULL;
}

static bool is_in_steps(const struct draft *d, unsigned part, const struct cox_resource *r)
{
	const struct cox_set *sent = d->t->sent[part];
	const struct cox_resource *had = sent ? cox_set_find(sent, r->name) : NULL;
	return !had || !cox_hash_eq(had->hash, r->hash);
}

static void add_extra(struct cox_xds_core *c, struct draft *d, const struct cox_resource *r)
{
	for (size_t i = 0; i < d->record.extra.n; i++)
		if (d->record.extra.p[i] == r)
			return;
	cox_vec_push(&c->out_resources, r);
	cox_vec_push(&d->record.extra, cox_resource_ref(r));
}

/* "There is none" is an answer, too: the listener, or the cluster, goes on without. */
static void add_missing(struct cox_xds_core *c, enum cox_type type, struct cox_str name)
{
	if (type == COX_TYPE_RDS || (type == COX_TYPE_EDS && !c->opts.is_delta))
		cox_vec_push(&c->out_missing, name);
	else if (type == COX_TYPE_EDS)
		cox_vec_push(&c->out_removed, name);
}

/* A name that outlives what it is part of, until the next response. */
static struct cox_str keep_text(struct cox_xds_core *c, struct cox_str name)
{
	char *text = cox_str_dup_cstr(name);
	cox_vec_push(&c->out_texts, text);
	return cox_str_make(text, name.n);
}

/* Names asked for are answered even if the proxy had them before on this stream. */
static void answer_asked(struct cox_xds_core *c, struct draft *d)
{
	struct type_state *t = d->t;
	size_t in_target = (d->target[0] ? d->target[0]->n : 0) + (d->target[1] ? d->target[1]->n : 0);
	bool is_fresh = !t->sent[0] && !t->sent[1];
	bool all_found = is_fresh && t->names && in_target == t->names->n;
	for (size_t i = 0; i < t->asked.n && !all_found; i++) {
		unsigned part;
		const struct cox_resource *r = target_find(d, t->asked.p[i], &part);
		if (!r || (core_is_withheld(t, r) && core_type_is_named(d->type))) { /* one that it rejects is none, too */
			add_missing(c, d->type, keep_text(c, t->asked.p[i]));
		} else if (!is_in_steps(d, part, r) && !core_is_withheld(t, r)) {
			add_extra(c, d, r);
		}
	}
	core_asked_clear(t);
}

static bool is_listed(const void *names_vec, struct cox_str name)
{
	const COX_VEC(struct cox_str) *names = names_vec;
	for (size_t i = 0; i < names->n; i++)
		if (cox_str_eq(names->p[i], name))
			return true;
	return false;
}

/* State-of-the-world: the version that the proxy acknowledged last. */
static const struct cox_resource *find_acked(const struct type_state *t, struct cox_str name)
{
	const struct cox_resource *r = NULL;
	for (unsigned p = 0; p < COX_XDS_PARTS && !r; p++)
		r = t->acked[p] ? cox_set_find(t->acked[p], name) : NULL;
	return r && !core_is_withheld(t, r) ? r : NULL;
}

static void answer_forced(struct cox_xds_core *c, struct draft *d)
{
	unsigned part;
	for (size_t i = 0; i < d->t->force.n; i++) {
		struct cox_str name = d->t->force.p[i]->name;
		struct known_resource *k = find_known(d->t, name);
		if (k)
			k->has_version = false; /* its cluster warms: held or not, it is sent */
		const struct cox_resource *r = target_find(d, name, &part);
		if (r && !core_is_withheld(d->t, r)) {
			if (!is_in_steps(d, part, r))
				add_extra(c, d, r);
		} else if (cox_names_has(d->t->names, cox_name_hash(name)) && !is_listed(&c->out_removed, name) &&
		           !is_listed(&c->out_missing, name)) {
			/* None, or one that this proxy rejects: it would warm for ever. */
			const struct cox_resource *had = r ? find_acked(d->t, name) : NULL;
			if (had)
				add_extra(c, d, had);
			else
				add_missing(c, d->type, keep_text(c, name));
		}
	}
	core_resources_clear(&d->t->force);
}

static struct cox_str route_of(struct cox_str vhost_name)
{
	ptrdiff_t slash = cox_str_find(vhost_name, '/');
	return cox_str_sub(vhost_name, 0, slash < 0 ? vhost_name.n : (size_t)slash);
}

static bool is_resent(const struct cox_xds_core *c, struct cox_str vhost_name)
{
	uint64_t route = cox_name_hash(route_of(vhost_name));
	for (size_t k = 0; k < c->resent_routes.n; k++)
		if (c->resent_routes.p[k] == route)
			return true;
	return false;
}

/* Virtual hosts of route configurations that were sent again. A proxy lists some that it dropped for want of their route. */
static void answer_resent_routes(struct cox_xds_core *c, struct draft *d)
{
	for (size_t i = 0; i < d->t->known.n; i++)
		if (is_resent(c, d->t->known.p[i].name))
			d->t->known.p[i].has_version = false;
	for (unsigned p = 0; p < COX_XDS_PARTS && c->resent_routes.n; p++)
		for (size_t i = 0; d->target[p] && i < d->target[p]->n; i++) {
			const struct cox_resource *r = d->target[p]->items[i];
			if (is_resent(c, r->name) && !is_in_steps(d, p, r) && !core_is_withheld(d->t, r))
				add_extra(c, d, r);
		}
	cox_vec_clear(&c->resent_routes);
}

/* In place of what is held back: what was sent before, or (state-of-the-world, where to leave it out would be to remove it) what was
 * acknowledged last. */
static const struct cox_set *without_withheld(struct draft *d, unsigned p)
{
	const struct type_state *t = d->t;
	const struct cox_set *target = d->target[p];
	COX_VEC(const struct cox_resource *) items = { 0 };
	for (size_t i = 0; i < target->n; i++) {
		const struct cox_resource *r = target->items[i];
		if (core_is_withheld(t, r)) {
			struct cox_str name = r->name;
			r = t->sent[p] ? cox_set_find(t->sent[p], name) : NULL;
			if (!r && t->acked[p]) {
				r = cox_set_find(t->acked[p], name);
				if (r && !core_is_withheld(t, r))
					cox_vec_push(&d->back, r);
			}
			if (r && core_is_withheld(t, r))
				r = NULL;
		}
		if (r)
			cox_vec_push(&items, cox_resource_ref(r));
	}
	const struct cox_set *have = cox_set_build_take(target->type, items.p, items.n);
	cox_vec_fini(&items);
	return have;
}

/* Everything one by one: after a NACK, on a reconnect, or state-of-the-world. Returns what the proxy will have. */
static const struct cox_set *emit_slowly(struct cox_xds_core *c, struct draft *d, unsigned p)
{
	struct type_state *t = d->t;
	const struct cox_step *s = d->steps[p];
	bool is_full = !c->opts.is_delta && !core_type_is_named(d->type), holds_back = false;
	for (size_t i = 0; i < s->changed_n; i++) {
		const struct cox_resource *r = s->changed[i];
		if (core_is_withheld(t, r)) {
			holds_back = true;
			continue;
		}
		if (proxy_has(t, r)) {
			cox_resource_mark_accepted(r, c->opts.klass);
		} else {
			cox_vec_push(&d->record.extra, cox_resource_ref(r));
			if (!is_full)
				cox_vec_push(&c->out_resources, r);
		}
	}
	const struct cox_set *other = d->target[1 - p];
	for (size_t i = 0; c->opts.is_delta && i < s->removed_n; i++)
		if (!other || !cox_set_find(other, s->removed[i])) /* it changes hands */
			cox_vec_push(&c->out_removed, s->removed[i]);
	const struct cox_set *have = holds_back ? without_withheld(d, p) : d->target[p] ? cox_set_ref(d->target[p]) : NULL;
	for (size_t i = 0; is_full && have && i < have->n; i++)
		cox_vec_push(&c->out_resources, have->items[i]);
	return have;
}

/* A proxy that comes back holds just what it should have, as nearly all do: nothing is compared one by one. */
static bool holds_all(struct cox_xds_core *c, const struct draft *d)
{
	const struct type_state *t = d->t;
	struct cox_sum sum = { 0 };
	if (!t->known.n || !c->opts.is_delta || t->sent[0] || t->sent[1] || t->force.n || t->withheld.n || t->suspects.n ||
	    c->resent_routes.n)
		return false;
	for (unsigned p = 0; p < COX_XDS_PARTS; p++)
		if (d->target[p]) {
			const struct cox_sum *one = &d->target[p]->content;
			sum.n += one->n, sum.a += one->a, sum.b += one->b;
		}
	return cox_sum_eq(&sum, &t->known_sum);
}

static const struct cox_set *emit_nothing(struct cox_xds_core *c, const struct draft *d, unsigned p)
{
	cox_steps_mark_accepted(c->opts.steps, d->target[p], c->opts.klass);
	return d->target[p] ? cox_set_ref(d->target[p]) : NULL;
}

static void set_sent(struct type_state *t, unsigned p, const struct cox_set *take)
{
	cox_set_unref(t->sent[p]);
	t->sent[p] = take;
}

/* A reconnecting proxy holds names that do not exist any more. */
static void remove_known(struct cox_xds_core *c, struct draft *d)
{
	unsigned part;
	for (size_t i = 0; i < d->t->known.n; i++) {
		struct cox_str name = d->t->known.p[i].name;
		if (core_type_is_named(d->type) || target_find(d, name, &part))
			continue;
		if (d->type == COX_TYPE_CDS)
			cox_vec_push(&c->late_removed, cox_str_dup_cstr(name));
		else
			cox_vec_push(&c->out_removed, keep_text(c, name));
	}
}

static void note_clusters(struct cox_xds_core *c, const struct cox_resource *const *items, size_t n, uint64_t nonce)
{
	struct type_state *eds = &c->types[COX_TYPE_EDS];
	for (size_t i = 0; i < n; i++) {
		uint64_t hash = cox_name_hash(items[i]->name);
		if (nonce != c->cds_first_nonce)
			cox_vec_push(&c->unacked_clusters, ((struct pending_cluster){ hash, nonce }));
		if (!eds->is_watched && c->opts.is_delta && c->early_clusters.n < COX_XDS_NAMES_MAX)
			cox_vec_push(&c->early_clusters, hash);
		else if (eds->is_watched && cox_names_has(eds->names, hash))
			cox_vec_push(&eds->force, cox_resource_ref(items[i]));
	}
}

static void note_routes(struct cox_xds_core *c, const struct cox_resource *const *items, size_t n)
{
	for (size_t i = 0; i < n; i++)
		cox_vec_push(&c->resent_routes, cox_name_hash(items[i]->name));
}

/* What the response means for other types. */
static void note_effects(struct cox_xds_core *c, const struct draft *d)
{
	const struct sent_response *r = &d->record;
	if (d->type == COX_TYPE_CDS && !c->cds_first_nonce)
		c->cds_first_nonce = r->nonce;
	if (d->type == COX_TYPE_CDS)
		note_clusters(c, d->back.p, d->back.n, r->nonce);
	for (unsigned p = 0; p <= COX_XDS_PARTS; p++) {
		const struct cox_resource *const *items = p < COX_XDS_PARTS ? (r->steps[p] ? r->steps[p]->changed : NULL) : r->extra.p;
		size_t n = p < COX_XDS_PARTS ? (r->steps[p] ? r->steps[p]->changed_n : 0) : r->extra.n;
		if (d->type == COX_TYPE_CDS)
			note_clusters(c, items, n, r->nonce);
		else if (d->type == COX_TYPE_RDS && c->opts.has_vhds)
			note_routes(c, items, n);
	}
}

static void finish_draft(struct draft *d)
{
	cox_vec_fini(&d->back);
	for (unsigned p = 0; p < COX_XDS_PARTS; p++) {
		cox_set_unref(d->target[p]);
		cox_step_unref(d->steps[p]);
	}
}

/* A name that leaves part `p` comes with the other one. */
static bool changes_hands(const struct draft *d, unsigned p)
{
	const struct cox_set *other = d->target[1 - p];
	for (size_t i = 0; other && i < d->steps[p]->removed_n; i++)
		if (cox_set_find(other, d->steps[p]->removed[i]))
			return true;
	return false;
}

static bool is_fast(const struct cox_xds_core *c, const struct draft *d)
{
	const struct type_state *t = d->t;
	return c->opts.is_delta && !t->withheld.n && !t->suspects.n && !t->known.n && !changes_hands(d, 0) && !changes_hands(d, 1);
}

static bool has_name(const struct cox_set *const *sets, struct cox_str name)
{
	for (unsigned p = 0; p < COX_XDS_PARTS; p++)
		if (sets[p] && cox_set_find(sets[p], name))
			return true;
	return false;
}

/* Names that the proxy may hold since a rejected response: those sent since are known again; those wanted no more are to be
 * removed, clusters with the usual grace. Returns how many others are to be removed now. */
static size_t sort_perhaps(struct cox_xds_core *c, enum cox_type type)
{
	struct type_state *t = &c->types[type];
	size_t n = 0, gone = 0;
	for (size_t i = 0; i < t->perhaps.n; i++) {
		char *name = t->perhaps.p[i];
		bool wanted = has_name(t->wanted, cox_str_of(name));
		if (has_name(t->sent, cox_str_of(name))) {
			cox_free(name);
		} else if (!wanted && type == COX_TYPE_CDS) {
			cox_vec_push(&c->late_removed, name);
		} else {
			t->perhaps.p[n++] = name;
			gone += !wanted;
		}
	}
	t->perhaps.n = n;
	return gone;
}

static void remove_perhaps(struct cox_xds_core *c, struct draft *d)
{
	size_t n = 0;
	for (size_t i = 0; i < d->t->perhaps.n; i++) {
		char *name = d->t->perhaps.p[i];
		if (d->type == COX_TYPE_CDS || has_name(d->t->wanted, cox_str_of(name))) {
			d->t->perhaps.p[n++] = name;
			continue;
		}
		cox_vec_push(&c->out_removed, cox_str_of(name));
		cox_vec_push(&c->out_texts, name);
	}
	d->t->perhaps.n = n;
}

static bool is_step_removed(const struct draft *d, struct cox_str name)
{
	for (unsigned p = 0; p < COX_XDS_PARTS; p++)
		if (d->steps[p]->from && cox_set_find(d->steps[p]->from, name))
			return true;
	return false;
}

/* What an answer to this response will mean: see core_ack() and core_nack(). */
static void keep_record(struct cox_xds_core *c, struct draft *d)
{
	for (size_t i = 0; i < c->out_removed.n; i++)
		cox_vec_push(&d->record.removed, cox_str_dup_cstr(c->out_removed.p[i]));
	for (unsigned p = 0; p < COX_XDS_PARTS && !c->opts.is_delta; p++)
		d->record.sent[p] = d->t->sent[p] ? cox_set_ref(d->t->sent[p]) : NULL;
	cox_vec_push(&d->t->on_way, d->record);
}

static void emit(struct cox_xds_core *c, struct draft *d, int64_t now_ms, struct cox_xds_response *out)
{
	struct type_state *t = d->t;
	bool fast = is_fast(c, d), was_asked = t->is_asked;
	d->record.nonce = ++t->last_nonce;
	bool held = holds_all(c, d);
	if (t->known.n && !held)
		qsort(t->known.p, t->known.n, sizeof(*t->known.p), cmp_known);
	answer_asked(c, d);
	answer_forced(c, d);
	if (d->type == COX_TYPE_VHDS)
		answer_resent_routes(c, d);
	if (t->known.n && !held)
		remove_known(c, d);
	remove_perhaps(c, d);
	*out = (struct cox_xds_response){ .type = d->type, .nonce = d->record.nonce, .is_asked = was_asked };
	for (unsigned p = 0; p < COX_XDS_PARTS; p++) {
		if (fast) {
			c->out_steps[p] = out->steps[p] =
			    d->steps[p]->changed_n || d->steps[p]->removed_n ? cox_step_ref(d->steps[p]) : NULL;
			d->record.steps[p] = out->steps[p] ? cox_step_ref(d->steps[p]) : NULL;
			set_sent(t, p, d->target[p] ? cox_set_ref(d->target[p]) : NULL);
		} else {
			set_sent(t, p, held ? emit_nothing(c, d, p) : emit_slowly(c, d, p));
		}
		if (t->sent[p])
			out->version = cox_hash_combine(out->version, t->sent[p]->hash);
	}
	core_known_clear(t);
	if (d->removes) {
		for (size_t i = 0; i < c->late_removed.n; i++) {
			unsigned part;
			struct cox_str name = cox_str_of(c->late_removed.p[i]);
			/* It may have come back since, and gone again. */
			if (!target_find(d, name, &part) && !is_step_removed(d, name) && !is_listed(&c->out_removed, name))
				cox_vec_push(&c->out_removed, cox_str_of(c->late_removed.p[i]));
			cox_vec_push(&c->out_texts, c->late_removed.p[i]);
		}
		cox_vec_clear(&c->late_removed);
		c->remove_at_ms = c->remove_first_ms = c->remove_named_ms = INT64_MAX;
	}
	if (t->suspects.n && !t->probe_nonce)
		t->probe_nonce = d->record.nonce;
	note_effects(c, d);
	t->is_asked = false;
	t->answers_known = false;
	t->sent_ms = now_ms;
	keep_record(c, d);
	out->resources = c->out_resources.p;
	out->resource_n = c->out_resources.n;
	out->removed = c->out_removed.p;
	out->removed_n = c->out_removed.n;
	out->missing = c->out_missing.p;
	out->missing_n = c->out_missing.n;
}

/* Nothing to send: remember the identity, so that the next look is two comparisons. */
static void settle(struct draft *d)
{
	if (d->t->withheld.n || d->t->suspects.n)
		return;
	for (unsigned p = 0; p < COX_XDS_PARTS; p++)
		if (d->steps[p] && !d->steps[p]->changed_n && !d->steps[p]->removed_n)
			set_sent(d->t, p, d->target[p] ? cox_set_ref(d->target[p]) : NULL);
}

static bool must_wait(struct cox_xds_core *c, enum cox_type type, int64_t now_ms, int64_t *wake_ms)
{
	struct type_state *t = &c->types[type];
	/* A virtual host sent before its route configuration is acknowledged is dropped by Envoy. */
	if (type == COX_TYPE_VHDS && (!c->types[COX_TYPE_RDS].is_watched || !is_settled(c, COX_TYPE_RDS)))
		return true;
	if (now_ms < t->nack_hold_ms) {
		if (t->nack_hold_ms < *wake_ms)
			*wake_ms = t->nack_hold_ms;
		return true;
	}
	if (t->is_asked || !core_is_outstanding(t))
		return false;
	/* An agent acknowledges a bundle of phase SIGN only with a certificate by the new issuer: a revocation does not wait for that. */
	if (type == COX_TYPE_TRUST)
		return false;
	if (type != COX_TYPE_CDS)
		return true;
	if (now_ms - t->sent_ms >= COX_XDS_CDS_PATIENCE_MS)
		return false; /* Envoy withholds the acknowledgement while any cluster warms */
	if (t->sent_ms + COX_XDS_CDS_PATIENCE_MS < *wake_ms)
		*wake_ms = t->sent_ms + COX_XDS_CDS_PATIENCE_MS;
	return true;
}

static bool is_unchanged(const struct cox_xds_core *c, const struct type_state *t, enum cox_type type)
{
	if (t->is_asked || t->force.n || t->perhaps.n || (type == COX_TYPE_CDS && c->late_removed.n) ||
	    (type == COX_TYPE_VHDS && c->resent_routes.n))
		return false;
	if (core_type_is_named(type) && t->names == NULL)
		return true;
	return t->sent[0] == t->wanted[0] && t->sent[1] == t->wanted[1];
}

static bool is_to_be_sent(const void *arg, const struct cox_resource *r)
{
	const struct draft *d = arg;
	for (unsigned p = 0; p < COX_XDS_PARTS; p++) {
		const struct cox_resource *now = d->target[p] ? cox_set_find(d->target[p], r->name) : NULL;
		if (now && cox_hash_eq(now->hash, r->hash) && is_in_steps(d, p, now))
			return true;
	}
	return false;
}

static bool may_remove_now(struct cox_xds_core *c, int64_t now_ms, int64_t *wake_ms)
{
	if (has_cluster_removals(c))
		return may_remove_clusters(c, now_ms, wake_ms);
	c->remove_at_ms = c->remove_first_ms = c->remove_named_ms = INT64_MAX; /* what was to go came back */
	return false;
}

static bool try_type(struct cox_xds_core *c, enum cox_type type, int64_t now_ms, struct cox_xds_response *out, int64_t *wake_ms)
{
	struct type_state *t = &c->types[type];
	if (!t->is_watched || is_unchanged(c, t, type) || (type == COX_TYPE_VHDS && !c->opts.has_vhds) ||
	    must_wait(c, type, now_ms, wake_ms))
		return false;
	if ((type == COX_TYPE_SDS || type == COX_TYPE_ECDS || type == COX_TYPE_NDS) && !t->wanted[0] && !t->wanted[1])
		return false; /* nobody serves these here; the name table is made once it is asked for */
	struct draft d = { .type = type, .t = t };
	size_t changes = sort_perhaps(c, type);
	d.removes = type == COX_TYPE_CDS && may_remove_now(c, now_ms, wake_ms);
	for (unsigned p = 0; p < COX_XDS_PARTS; p++) {
		d.target[p] = core_target(c, type, p, type != COX_TYPE_CDS || d.removes);
		d.steps[p] = cox_step_between(c->opts.steps, t->sent[p], d.target[p]);
	}
	if (t->suspects.n && !t->probe_nonce)
		core_suspects_keep(t, is_to_be_sent, &d);
	for (unsigned p = 0; p < COX_XDS_PARTS; p++) {
		changes += sendable_changes(t, d.steps[p]) + d.steps[p]->removed_n;
	}
	bool resends = type == COX_TYPE_VHDS && c->resent_routes.n;
	bool sends = t->is_asked || t->force.n || changes || resends || (d.removes && c->late_removed.n);
	if (!sends)
		settle(&d);
	else if (gate_is_closed(c, type, d.steps, now_ms, wake_ms))
		sends = false;
	else
		emit(c, &d, now_ms, out);
	finish_draft(&d);
	return sends;
}

static void clear_last(struct cox_xds_core *c)
{
	for (unsigned p = 0; p < COX_XDS_PARTS; p++) {
		cox_step_unref(c->out_steps[p]);
		c->out_steps[p] = NULL;
	}
	for (size_t i = 0; i < c->out_texts.n; i++)
		cox_free(c->out_texts.p[i]);
	cox_vec_clear(&c->out_texts);
	cox_vec_clear(&c->out_resources);
	cox_vec_clear(&c->out_removed);
	cox_vec_clear(&c->out_missing);
}

bool cox_xds_core_next(struct cox_xds_core *c, int64_t now_ms, struct cox_xds_response *out, int64_t *wake_ms)
{
	*wake_ms = INT64_MAX;
	clear_last(c);
	if (!cox_xds_core_is_ready(c))
		return false;
	for (size_t type = 0; type < COX_TYPE_COUNT; type++)
		if (try_type(c, (enum cox_type)type, now_ms, out, wake_ms))
			return true;
	return false;
}
