/* answer - what goes into a response one by one: names asked for, clusters that warm, what a proxy that came back holds, rejections. */
#include "xds/next_priv.h"

#include <stdlib.h>

static int cmp_known(const void *a, const void *b)
{
	uint64_t x = ((const struct known_resource *)a)->hash, y = ((const struct known_resource *)b)->hash;
	return x < y ? -1 : x > y;
}

void draft_sort_known(struct draft *d)
{
	if (d->t->known.n)
		qsort(d->t->known.p, d->t->known.n, sizeof(*d->t->known.p), cmp_known);
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

const struct cox_resource *draft_find(const struct draft *d, struct cox_str name, unsigned *part)
{
	for (*part = 0; *part < COX_XDS_PARTS; (*part)++) {
		const struct cox_resource *r = d->target[*part] ? cox_set_find(d->target[*part], name) : NULL;
		if (r)
			return r;
	}
	return NULL;
}

bool draft_sends(const struct draft *d, unsigned part, const struct cox_resource *r)
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
void draft_answer_asked(struct cox_xds_core *c, struct draft *d)
{
	struct type_state *t = d->t;
	size_t in_target = (d->target[0] ? d->target[0]->n : 0) + (d->target[1] ? d->target[1]->n : 0);
	bool is_fresh = !t->sent[0] && !t->sent[1];
	bool all_found = is_fresh && t->names && in_target == t->names->n;
	for (size_t i = 0; i < t->asked.n && !all_found; i++) {
		unsigned part;
		const struct cox_resource *r = draft_find(d, t->asked.p[i], &part);
		if (!r || (core_is_withheld(t, r) && core_type_is_named(d->type))) { /* one that it rejects is none, too */
			add_missing(c, d->type, keep_text(c, t->asked.p[i]));
		} else if (!draft_sends(d, part, r) && !core_is_withheld(t, r)) {
			add_extra(c, d, r);
		}
	}
	core_asked_clear(t);
}

bool core_is_listed(const void *names_vec, struct cox_str name)
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

void draft_answer_forced(struct cox_xds_core *c, struct draft *d)
{
	unsigned part;
	for (size_t i = 0; i < d->t->force.n; i++) {
		struct cox_str name = d->t->force.p[i]->name;
		struct known_resource *k = find_known(d->t, name);
		if (k)
			k->has_version = false; /* its cluster warms: held or not, it is sent */
		const struct cox_resource *r = draft_find(d, name, &part);
		if (r && !core_is_withheld(d->t, r)) {
			if (!draft_sends(d, part, r))
				add_extra(c, d, r);
		} else if (cox_names_has(d->t->names, cox_name_hash(name)) && !core_is_listed(&c->out_removed, name) &&
		           !core_is_listed(&c->out_missing, name)) {
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
void draft_answer_resent_routes(struct cox_xds_core *c, struct draft *d)
{
	for (size_t i = 0; i < d->t->known.n; i++)
		if (is_resent(c, d->t->known.p[i].name))
			d->t->known.p[i].has_version = false;
	for (unsigned p = 0; p < COX_XDS_PARTS && c->resent_routes.n; p++)
		for (size_t i = 0; d->target[p] && i < d->target[p]->n; i++) {
			const struct cox_resource *r = d->target[p]->items[i];
			if (is_resent(c, r->name) && !draft_sends(d, p, r) && !core_is_withheld(d->t, r))
				add_extra(c, d, r);
		}
	cox_vec_clear(&c->resent_routes);
}

/* A reconnecting proxy holds names that do not exist any more. */
void draft_remove_known(struct cox_xds_core *c, struct draft *d)
{
	unsigned part;
	for (size_t i = 0; i < d->t->known.n; i++) {
		struct cox_str name = d->t->known.p[i].name;
		if (core_type_is_named(d->type) || draft_find(d, name, &part))
			continue;
		if (d->type == COX_TYPE_CDS)
			cox_vec_push(&c->late_removed, cox_str_dup_cstr(name));
		else
			cox_vec_push(&c->out_removed, keep_text(c, name));
	}
}

static bool has_name(const struct cox_set *const *sets, struct cox_str name)
{
	for (unsigned p = 0; p < COX_XDS_PARTS; p++)
		if (sets[p] && cox_set_find(sets[p], name))
			return true;
	return false;
}

size_t core_sort_perhaps(struct cox_xds_core *c, enum cox_type type)
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

void draft_remove_perhaps(struct cox_xds_core *c, struct draft *d)
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
const struct cox_set *draft_emit_slowly(struct cox_xds_core *c, struct draft *d, unsigned p)
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

bool draft_is_held(struct cox_xds_core *c, const struct draft *d)
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

const struct cox_set *draft_emit_nothing(struct cox_xds_core *c, const struct draft *d, unsigned p)
{
	cox_steps_mark_accepted(c->opts.steps, d->target[p], c->opts.klass);
	return d->target[p] ? cox_set_ref(d->target[p]) : NULL;
}
