#include "xds/steps.h"

#include "base/map.h"

#include <stdlib.h>

enum { ROUNDS_KEPT = 2 };

enum entry_kind { ENTRY_STEP, ENTRY_FILTER, ENTRY_VHOSTS, ENTRY_KEEP, ENTRY_WITHOUT, ENTRY_NEEDS, ENTRY_ACCEPTED };
enum { INPUTS = 3 };
struct entry { /* one cached result; the identity of its inputs is its key */
	struct {
		enum entry_kind kind;
		const void *in[INPUTS];
	} id;
	unsigned used; /* round of the last use */
	const struct cox_step *step;
	const struct cox_set *set;
	const struct cox_set *in[INPUTS]; /* references that keep the addresses of the inputs from being used again */
	const struct cox_names *in_names, *names;
	uint32_t accepted_by; /* ENTRY_ACCEPTED: classes of proxies whose acceptance is noted at each resource */
};
struct cox_steps {
	struct cox_map entries;
	struct cox_map names; /* by sum; each holds a reference */
	unsigned round;
};

/* --- names ---------------------------------------------------------------------------------- */

const struct cox_names *cox_names_ref(const struct cox_names *n)
{
	if (n)
		cox_ref_get((struct cox_ref *)&n->ref);
	return n;
}

void cox_names_unref(const struct cox_names *n)
{
	if (n && cox_ref_put((struct cox_ref *)&n->ref))
		cox_free((void *)n);
}

static int cmp_u64(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return x < y ? -1 : x > y;
}

static bool u64_has(const uint64_t *items, size_t n, uint64_t want) { return n && bsearch(&want, items, n, sizeof(want), cmp_u64) != NULL; }

bool cox_names_has(const struct cox_names *n, uint64_t name) { return n && u64_has(n->items, n->n, name); }

static struct cox_str sum_key(const struct cox_sum *s) { return cox_str_make(s, sizeof(*s)); }

static struct cox_sum names_sum(const uint64_t *items, size_t n)
{
	struct cox_sum sum = { 0 };
	for (size_t i = 0; i < n; i++)
		cox_sum_add(&sum, items[i], (struct cox_hash){ 0, 0 });
	return sum;
}

/* All proxies of a view subscribe to the same names, each in its own order: a list that is there is found without sorting. */
static const struct cox_names *names_find(struct cox_steps *c, const struct cox_sum *sum)
{
	return cox_names_ref(cox_map_find(&c->names, sum_key(sum)));
}

/* Takes `made`. */
static const struct cox_names *names_share(struct cox_steps *c, struct cox_names *made, size_t n)
{
	struct cox_sum sum = names_sum(made->items, n);
	const struct cox_names *have = n ? names_find(c, &sum) : NULL;
	if (have || !n) {
		cox_free(made);
		return have;
	}
	made = cox_realloc(made, sizeof(*made) + n * sizeof(uint64_t));
	cox_ref_init(&made->ref);
	made->sum = sum;
	made->n = n;
	cox_map_set(&c->names, sum_key(&made->sum), made);
	return cox_names_ref(made);
}

const struct cox_names *cox_names_change(struct cox_steps *c, const struct cox_names *base, const uint64_t *add, size_t add_n,
                                         const uint64_t *del, size_t del_n)
{
	size_t all = (base ? base->n : 0) + add_n, n = 0;
	if (!all)
		return NULL;
	if (!base && !del_n) {
		struct cox_sum sum = names_sum(add, add_n);
		const struct cox_names *have = names_find(c, &sum);
		if (have)
			return have;
	}
	struct cox_names *made = cox_alloc(sizeof(*made) + all * sizeof(uint64_t));
	uint64_t *gone = cox_alloc(del_n * sizeof(uint64_t) + 1);
	if (base)
		memcpy(made->items, base->items, base->n * sizeof(uint64_t));
	if (add_n)
		memcpy(made->items + all - add_n, add, add_n * sizeof(uint64_t));
	if (del_n) {
		memcpy(gone, del, del_n * sizeof(uint64_t));
		qsort(gone, del_n, sizeof(uint64_t), cmp_u64);
	}
	qsort(made->items, all, sizeof(uint64_t), cmp_u64);
	for (size_t i = 0; i < all; i++)
		if ((n == 0 || made->items[n - 1] != made->items[i]) && !u64_has(gone, del_n, made->items[i]))
			made->items[n++] = made->items[i];
	cox_free(gone);
	return names_share(c, made, n);
}

/* --- steps ---------------------------------------------------------------------------------- */

const struct cox_step *cox_step_ref(const struct cox_step *s)
{
	cox_ref_get((struct cox_ref *)&s->ref);
	return s;
}

void cox_step_unref(const struct cox_step *shared)
{
	struct cox_step *s = (struct cox_step *)shared;
	if (!s || !cox_ref_put(&s->ref))
		return;
	if (s->encoded)
		s->free_encoded(s->encoded);
	cox_set_unref(s->from);
	cox_set_unref(s->to);
	cox_free(s->changed);
	cox_free(s->removed);
	cox_free(s->new_needs);
	cox_free(s);
}

static void cox_step_unref_at(const struct cox_step **s) { cox_step_unref(*s); }

typedef COX_VEC(struct cox_need) needs;

/* Clusters; a listener also names its route configurations, as "rds:<name>". */
static void add_needs(needs *out, const struct cox_resource *r)
{
	struct cox_str rest = r->needs, name;
	if (!rest.n)
		return;
	while (cox_str_next(&rest, '\n', &name))
		if (!cox_str_has_prefix(name, COX_STR("rds:")))
			cox_vec_push(out, ((struct cox_need){ cox_name_hash(name), name }));
}

static int cmp_need(const void *a, const void *b)
{
	uint64_t x = ((const struct cox_need *)a)->hash, y = ((const struct cox_need *)b)->hash;
	return x < y ? -1 : x > y;
}

static bool needs_has(const needs *v, const struct cox_need *want)
{
	return v->n && bsearch(want, v->p, v->n, sizeof(*v->p), cmp_need) != NULL;
}

static void sort_unique(needs *v)
{
	size_t n = 0;
	if (v->n)
		qsort(v->p, v->n, sizeof(*v->p), cmp_need);
	for (size_t i = 0; i < v->n; i++)
		if (n == 0 || v->p[n - 1].hash != v->p[i].hash)
			v->p[n++] = v->p[i];
	v->n = n;
}

/* What a resource names and its old version (or NULL) did not. Compared one by one: that another resource named a cluster in vain
 * before does not make it there. */
static void add_new_needs(needs *out, const struct cox_resource *old, const struct cox_resource *r)
{
	needs had = { 0 };
	size_t from = out->n, n = from;
	COX_ASSERT(r);
	add_needs(out, r);
	if (old)
		add_needs(&had, old);
	sort_unique(&had);
	for (size_t i = from; i < out->n; i++)
		if (!needs_has(&had, &out->p[i]))
			out->p[n++] = out->p[i];
	out->n = n;
	cox_vec_fini(&had);
}

static struct cox_step *compare(const struct cox_set *from, const struct cox_set *to)
{
	COX_VEC(const struct cox_resource *) changed = { 0 };
	COX_VEC(struct cox_str) removed = { 0 };
	needs new_needs = { 0 };
	size_t i = 0, j = 0, from_n = from ? from->n : 0, to_n = to ? to->n : 0;
	while (i < from_n || j < to_n) {
		const struct cox_resource *a = i < from_n ? from->items[i] : NULL, *b = j < to_n ? to->items[j] : NULL;
		int order = !a ? 1 : !b ? -1 : a == b ? 0 : cox_str_cmp(a->name, b->name);
		if (order < 0) {
			cox_vec_push(&removed, a->name);
			i++;
		} else if (order > 0) {
			cox_vec_push(&changed, b);
			add_new_needs(&new_needs, NULL, b);
			j++;
		} else {
			if (a != b && !cox_hash_eq(a->hash, b->hash)) {
				cox_vec_push(&changed, b);
				add_new_needs(&new_needs, a, b);
			}
			i++, j++;
		}
	}
	struct cox_step *s = COX_NEW(struct cox_step);
	cox_ref_init(&s->ref);
	s->from = from ? cox_set_ref(from) : NULL;
	s->to = to ? cox_set_ref(to) : NULL;
	s->changed = changed.p;
	s->changed_n = changed.n;
	s->removed = removed.p;
	s->removed_n = removed.n;
	sort_unique(&new_needs);
	s->new_needs_n = new_needs.n;
	s->new_needs = new_needs.p;
	return s;
}

/* --- cache ---------------------------------------------------------------------------------- */

struct cox_steps *cox_steps_new(void) { return COX_NEW(struct cox_steps); }

static void entry_free(struct entry *e)
{
	cox_step_unref(e->step);
	cox_set_unref(e->set);
	for (size_t i = 0; i < INPUTS; i++)
		cox_set_unref(e->in[i]);
	cox_names_unref(e->in_names);
	cox_names_unref(e->names);
	cox_free(e);
}

void cox_steps_free(struct cox_steps *c)
{
	if (!c)
		return;
	for (struct cox_map_entry *e = NULL; (e = cox_map_next(&c->entries, e));)
		entry_free(e->value);
	for (struct cox_map_entry *e = NULL; (e = cox_map_next(&c->names, e));)
		cox_names_unref(e->value);
	cox_map_fini(&c->entries);
	cox_map_fini(&c->names);
	cox_free(c);
}

void cox_steps_age(struct cox_steps *c)
{
	c->round++;
	for (struct cox_map_entry *e = NULL; (e = cox_map_next(&c->entries, e));) {
		struct entry *one = e->value;
		if (c->round - one->used >= ROUNDS_KEPT) {
			cox_map_remove(&c->entries, e->key);
			entry_free(one);
		}
	}
	for (struct cox_map_entry *e = NULL; (e = cox_map_next(&c->names, e));) {
		struct cox_names *n = e->value;
		if (atomic_load_explicit(&n->ref.n, memory_order_relaxed) == 1) {
			cox_map_remove(&c->names, e->key);
			cox_names_unref(n);
		}
	}
}

/* The entry for these inputs, new (nothing in it yet) or found. */
static struct entry *entry_of(struct cox_steps *c, enum entry_kind kind, const void *const in[INPUTS])
{
	struct entry probe;
	memset(&probe, 0, sizeof(probe)); /* padding too: the identity is compared as bytes */
	probe.id.kind = kind;
	memcpy(probe.id.in, in, sizeof(probe.id.in));
	struct entry *e = cox_map_find(&c->entries, cox_str_make(&probe.id, sizeof(probe.id)));
	if (!e) {
		e = cox_alloc(sizeof(*e));
		memcpy(e, &probe, sizeof(*e));
		cox_map_set(&c->entries, cox_str_make(&e->id, sizeof(e->id)), e);
	}
	e->used = c->round;
	return e;
}

const struct cox_step *cox_step_between(struct cox_steps *c, const struct cox_set *from, const struct cox_set *to)
{
	struct entry *e = entry_of(c, ENTRY_STEP, (const void *[INPUTS]){ from, to });
	if (!e->step)
		e->step = compare(from, to); /* holds both sets, so their addresses stay theirs */
	return cox_step_ref(e->step);
}

static struct cox_set *filtered(const struct cox_set *set, const struct cox_names *names)
{
	COX_VEC(const struct cox_resource *) kept = { 0 };
	for (size_t i = 0; i < set->n; i++)
		if (cox_names_has(names, cox_name_hash(set->items[i]->name)))
			cox_vec_push(&kept, cox_resource_ref(set->items[i]));
	struct cox_set *made = NULL;
	if (kept.n == set->n)
		for (size_t i = 0; i < kept.n; i++)
			cox_resource_unref(kept.p[i]);
	else
		made = cox_set_build_take(set->type, kept.p, kept.n);
	cox_vec_fini(&kept);
	return made;
}

const struct cox_set *cox_steps_filter(struct cox_steps *c, const struct cox_set *set, const struct cox_names *names)
{
	if (!set)
		return NULL;
	if (names && cox_sum_eq(&set->names, &names->sum))
		return cox_set_ref(set); /* nearly all: who asks for the endpoints of all its clusters */
	struct entry *e = entry_of(c, ENTRY_FILTER, (const void *[INPUTS]){ set, names });
	if (!e->set) {
		e->in[0] = cox_set_ref(set);
		e->in_names = cox_names_ref(names);
		e->set = filtered(set, names);
		if (!e->set)
			e->set = cox_set_ref(set);
	}
	return cox_set_ref(e->set);
}

/* An entry whose inputs are sets: with references to them, once. */
static struct entry *sets_entry_of(struct cox_steps *c, enum entry_kind kind, const struct cox_set *const in[INPUTS])
{
	struct entry *e = entry_of(c, kind, (const void *[INPUTS]){ in[0], in[1], in[2] });
	for (size_t i = 0; i < INPUTS && !e->set; i++)
		if (in[i] && !e->in[i])
			e->in[i] = cox_set_ref(in[i]);
	return e;
}

/* Takes the references in `kept`; `whole` where they are all of it. */
static const struct cox_set *some_of(const struct cox_set *whole, bool is_whole, const struct cox_resource **kept, size_t n)
{
	if (!is_whole)
		return cox_set_build_take(whole->type, kept, n);
	for (size_t i = 0; i < n; i++)
		cox_resource_unref(kept[i]);
	return cox_set_ref(whole);
}

const struct cox_set *cox_steps_vhosts_of(struct cox_steps *c, const struct cox_set *vhosts, const struct cox_set *routes,
                                          const struct cox_set *sent)
{
	if (!vhosts)
		return NULL;
	struct entry *e = sets_entry_of(c, ENTRY_VHOSTS, (const struct cox_set *[INPUTS]){ vhosts, routes, sent });
	if (e->set)
		return cox_set_ref(e->set);
	COX_VEC(const struct cox_resource *) kept = { 0 };
	bool is_whole = true;
	for (size_t i = 0; i < vhosts->n; i++) {
		const struct cox_resource *r = vhosts->items[i];
		ptrdiff_t slash = cox_str_find(r->name, '/');
		bool has_route = routes && cox_set_find(routes, cox_str_sub(r->name, 0, slash < 0 ? r->name.n : (size_t)slash));
		if (!has_route)
			r = sent ? cox_set_find(sent, r->name) : NULL;
		is_whole &= r == vhosts->items[i];
		if (r)
			cox_vec_push(&kept, cox_resource_ref(r));
	}
	e->set = some_of(vhosts, is_whole, kept.p, kept.n);
	cox_vec_fini(&kept);
	return cox_set_ref(e->set);
}

const struct cox_set *cox_steps_keep(struct cox_steps *c, const struct cox_set *from, const struct cox_set *to, const struct cox_set *other)
{
	if (!from || from == to)
		return to ? cox_set_ref(to) : NULL;
	struct entry *e = sets_entry_of(c, ENTRY_KEEP, (const struct cox_set *[INPUTS]){ from, to, other });
	if (e->set)
		return cox_set_ref(e->set);
	COX_AUTO(cox_step_unref_at) const struct cox_step *step = cox_step_between(c, from, to);
	COX_VEC(const struct cox_resource *) all = { 0 };
	for (size_t i = 0; i < step->removed_n; i++)
		if (!other || !cox_set_find(other, step->removed[i]))
			cox_vec_push(&all, cox_resource_ref(cox_set_find(from, step->removed[i])));
	bool is_to = to && !all.n;
	for (size_t i = 0; to && !is_to && i < to->n; i++)
		cox_vec_push(&all, cox_resource_ref(to->items[i]));
	e->set = is_to ? cox_set_ref(to) : cox_set_build_take(from->type, all.p, all.n);
	cox_vec_fini(&all);
	return cox_set_ref(e->set);
}

const struct cox_set *cox_steps_without(struct cox_steps *c, const struct cox_set *set, const struct cox_set *other)
{
	if (!set || !other || !other->n)
		return set ? cox_set_ref(set) : NULL;
	struct entry *e = sets_entry_of(c, ENTRY_WITHOUT, (const struct cox_set *[INPUTS]){ set, other });
	if (e->set)
		return cox_set_ref(e->set);
	COX_VEC(const struct cox_resource *) kept = { 0 };
	for (size_t i = 0; i < set->n; i++)
		if (!cox_set_find(other, set->items[i]->name))
			cox_vec_push(&kept, cox_resource_ref(set->items[i]));
	e->set = some_of(set, kept.n == set->n, kept.p, kept.n);
	cox_vec_fini(&kept);
	return cox_set_ref(e->set);
}

const struct cox_names *cox_steps_needs(struct cox_steps *c, const struct cox_set *set)
{
	if (!set || !set->n)
		return NULL;
	struct entry *e = sets_entry_of(c, ENTRY_NEEDS, (const struct cox_set *[INPUTS]){ set });
	if (e->set)
		return cox_names_ref(e->names);
	needs all = { 0 };
	for (size_t i = 0; i < set->n; i++)
		add_needs(&all, set->items[i]);
	sort_unique(&all);
	COX_VEC(uint64_t) hashes = { 0 };
	for (size_t i = 0; i < all.n; i++)
		cox_vec_push(&hashes, all.p[i].hash);
	e->set = cox_set_ref(set); /* made */
	e->names = cox_names_change(c, NULL, hashes.p, hashes.n, NULL, 0);
	cox_vec_fini(&hashes);
	cox_vec_fini(&all);
	return cox_names_ref(e->names);
}

void cox_steps_mark_accepted(struct cox_steps *c, const struct cox_set *set, unsigned klass)
{
	if (!set)
		return;
	struct entry *e = sets_entry_of(c, ENTRY_ACCEPTED, (const struct cox_set *[INPUTS]){ set });
	if (!e->set)
		e->set = cox_set_ref(set); /* made */
	if (e->accepted_by & 1u << klass)
		return;
	e->accepted_by |= 1u << klass;
	for (size_t i = 0; i < set->n; i++)
		cox_resource_mark_accepted(set->items[i], klass);
}
