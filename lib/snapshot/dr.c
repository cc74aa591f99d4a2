/* dr - DestinationRules: merged by host, found by namespace and specificity (protocol facts, section 7). */
#include "snapshot/snapshot_priv.h"

#include <stdlib.h>

static const struct cox_destination_rule *spec_of(const struct cox_object *o) { return COX_SPEC(cox_destination_rule_object, o)->spec; }

static bool same_export(const struct cox_export *a, const struct cox_export *b)
{
	if (a->is_public != b->is_public || a->namespaces.n != b->namespaces.n)
		return false;
	for (size_t i = 0; i < a->namespaces.n; i++)
		if (!cox_str_eq(a->namespaces.p[i], b->namespaces.p[i]))
			return false;
	return true;
}

static bool has_selector(const struct cox_destination_rule *r) { return r->workload_selector && r->workload_selector->match_labels.n; }

static bool same_selector(const struct cox_destination_rule *a, const struct cox_destination_rule *b)
{
	if (has_selector(a) != has_selector(b))
		return false;
	if (!has_selector(a))
		return true;
	const struct cox_match_labels *x = a->workload_selector, *y = b->workload_selector;
	return x->match_labels.n == y->match_labels.n && cox_kv_is_subset(x->match_labels.p, x->match_labels.n, y->match_labels.p, y->match_labels.n);
}

/* Rules that belong together: one namespace, host, selector and set of namespaces that see them. */
struct group {
	struct cox_str ns, host;
	struct cox_export export_to;
	COX_VEC(const struct cox_object *) objects; /* without selector first, then by age: the order of merging */
};

static int cmp_rules(const void *a, const void *b)
{
	const struct cox_object *x = *(const struct cox_object *const *)a, *y = *(const struct cox_object *const *)b;
	bool sx = has_selector(spec_of(x)), sy = has_selector(spec_of(y));
	if (sx != sy)
		return sx ? 1 : -1;
	return cox_object_cmp_age(x, y);
}

static bool has_subset(const struct cox_subset *p, size_t n, struct cox_str name)
{
	for (size_t i = 0; i < n; i++)
		if (cox_str_eq(p[i].name, name))
			return true;
	return false;
}

static const struct cox_destination_rule *merge(struct cox_arena *arena, const struct group *g, struct cox_str host)
{
	struct cox_destination_rule *out = COX_ARENA_NEW(arena, struct cox_destination_rule);
	size_t room = 0, n = 0;
	*out = *spec_of(g->objects.p[0]);
	out->host = host;
	for (size_t i = 0; i < g->objects.n; i++)
		room += spec_of(g->objects.p[i])->subsets.n;
	struct cox_subset *subsets = COX_ARENA_ARRAY(arena, struct cox_subset, room);
	for (size_t i = 0; i < g->objects.n; i++) {
		const struct cox_destination_rule *one = spec_of(g->objects.p[i]);
		if (!out->traffic_policy)
			out->traffic_policy = one->traffic_policy;
		for (size_t k = 0; k < one->subsets.n; k++)
			if (!has_subset(subsets, n, one->subsets.p[k].name))
				subsets[n++] = one->subsets.p[k];
	}
	out->subsets.p = subsets;
	out->subsets.n = n;
	return out;
}

static struct cox_hash group_hash(const struct group *g)
{
	struct cox_hash h = g->objects.p[0]->hash;
	for (size_t i = 1; i < g->objects.n; i++)
		h = cox_hash_combine(h, g->objects.p[i]->hash);
	return h;
}

static struct cox_dr *make_dr(const struct group *g, struct cox_hash hash)
{
	struct dr_box *box = COX_NEW(struct dr_box);
	struct cox_arena *a = &box->arena;
	struct cox_str *ids = COX_ARENA_ARRAY(a, struct cox_str, g->objects.n);
	for (size_t i = 0; i < g->objects.n; i++) {
		cox_vec_push(&box->objects, cox_object_ref(g->objects.p[i]));
		ids[i] = g->objects.p[i]->id;
	}
	struct cox_str *namespaces = COX_ARENA_ARRAY(a, struct cox_str, g->export_to.namespaces.n);
	for (size_t i = 0; i < g->export_to.namespaces.n; i++)
		namespaces[i] = cox_arena_str(a, g->export_to.namespaces.p[i]);
	struct cox_dr *d = &box->dr;
	cox_ref_init(&d->ref);
	d->hash = hash;
	d->spec = merge(a, g, cox_arena_str(a, g->host));
	d->ns = g->objects.p[0]->meta.ns;
	d->name = g->objects.p[0]->meta.name;
	d->object_ids.p = ids;
	d->object_ids.n = g->objects.n;
	d->export_to.is_public = g->export_to.is_public;
	d->export_to.namespaces.p = namespaces;
	d->export_to.namespaces.n = g->export_to.namespaces.n;
	return d;
}

void snap_dr_unref(const struct cox_dr *shared)
{
	struct dr_box *box = (struct dr_box *)(void *)shared;
	if (!cox_ref_put(&box->dr.ref))
		return;
	for (size_t i = 0; i < box->objects.n; i++)
		cox_object_unref(box->objects.p[i]);
	cox_vec_fini(&box->objects);
	cox_arena_fini(&box->arena);
	cox_free(box);
}

static struct ns_rules *ns_get(struct cox_snapshot_index *x, struct cox_str ns)
{
	struct ns_rules *r = cox_map_find(&x->rules, ns);
	if (!r) {
		r = COX_NEW(struct ns_rules);
		r->ns = ns;
		cox_map_set(&x->rules, r->ns, r);
	}
	return r;
}

static void add_to_index(struct cox_snapshot_index *x, const struct cox_dr *d)
{
	struct ns_rules *r = ns_get(x, d->ns);
	if (cox_host_is_wildcard(d->spec->host)) {
		cox_vec_push(&r->wildcards, d);
		return;
	}
	struct rule_list *l = cox_map_find(&r->by_host, d->spec->host);
	if (!l) {
		l = COX_NEW(struct rule_list);
		cox_map_set(&r->by_host, d->spec->host, l);
	}
	cox_vec_push(&l->items, d);
}

static int cmp_wildcards(const void *a, const void *b)
{
	const struct cox_dr *x = *(const struct cox_dr *const *)a, *y = *(const struct cox_dr *const *)b;
	return cox_host_cmp_specific(x->spec->host, y->spec->host);
}

void snap_free_dr_index(struct cox_snapshot_index *x)
{
	for (struct cox_map_entry *e = NULL; (e = cox_map_next(&x->rules, e));) {
		struct ns_rules *r = e->value;
		for (struct cox_map_entry *m = NULL; (m = cox_map_next(&r->by_host, m));) {
			struct rule_list *l = m->value;
			cox_vec_fini(&l->items);
			cox_free(l);
		}
		cox_map_fini(&r->by_host);
		cox_vec_fini(&r->wildcards);
		cox_free(r);
	}
	cox_map_fini(&x->rules);
}

/* Puts each rule into its group. Groups keep the order in which their first rule came. */
static void collect(struct cox_snapshot *s, const struct cox_object *const *sorted, size_t n, void *groups_vec, struct cox_arena *arena)
{
	COX_VEC(struct group *) *groups = groups_vec;
	struct cox_map first = { 0 }; /* "ns/host" -> index + 1 of its first group */
	for (size_t i = 0; i < n; i++) {
		const struct cox_destination_rule *spec = spec_of(sorted[i]);
		struct cox_str ns = sorted[i]->meta.ns, host = cox_host_resolve(arena, spec->host, ns, s->domain);
		struct cox_export e = cox_export_build(arena, spec->export_to.p, spec->export_to.n, ns, s->mesh->default_destination_rule_export_to.p,
		                                       s->mesh->default_destination_rule_export_to.n);
		struct cox_str key = cox_arena_printf(arena, "%.*s/%.*s", COX_FMT(ns), COX_FMT(host));
		struct group *g = NULL;
		size_t at = (size_t)(uintptr_t)cox_map_find(&first, key);
		for (size_t k = at ? at - 1 : groups->n; k < groups->n && !g; k++) {
			struct group *one = groups->p[k];
			if (cox_str_eq(one->ns, ns) && cox_str_eq(one->host, host) && same_export(&one->export_to, &e) &&
			    same_selector(spec_of(one->objects.p[0]), spec))
				g = one;
		}
		if (!g) {
			g = COX_ARENA_NEW(arena, struct group);
			*g = (struct group){ .ns = ns, .host = host, .export_to = e };
			cox_vec_push(groups, g);
			if (!at)
				cox_map_set(&first, key, (void *)(uintptr_t)groups->n);
		}
		cox_vec_push(&g->objects, sorted[i]);
	}
	cox_map_fini(&first);
}

void snap_build_dr(struct cox_snapshot *s, const struct cox_registry *reg, const struct cox_snapshot *before)
{
	const struct cox_object *const *objects;
	size_t n = cox_registry_objects(reg, COX_KIND_DESTINATION_RULE, &objects), kept = 0;
	struct cox_arena scratch = { 0 };
	const struct cox_object **sorted = COX_ARENA_ARRAY(&scratch, const struct cox_object *, n);
	for (size_t i = 0; i < n; i++)
		if (spec_of(objects[i]) && spec_of(objects[i])->host.n)
			sorted[kept++] = objects[i];
	qsort(sorted, kept, sizeof(*sorted), cmp_rules);
	COX_VEC(struct group *) groups = { 0 };
	collect(s, sorted, kept, &groups, &scratch);
	bool same_mesh = before && cox_hash_eq(before->mesh_hash, s->mesh_hash);
	const struct cox_dr **all = COX_ARENA_ARRAY(&s->arena, const struct cox_dr *, groups.n);
	for (size_t i = 0; i < groups.n; i++) {
		struct cox_hash hash = group_hash(groups.p[i]);
		struct cox_str key = groups.p[i]->objects.p[0]->id;
		struct cox_dr *d = same_mesh ? cox_map_find(&before->index->dr_by_key, key) : NULL;
		if (d && cox_hash_eq(d->hash, hash) && d->object_ids.n == groups.p[i]->objects.n)
			cox_ref_get(&d->ref);
		else
			d = make_dr(groups.p[i], hash);
		all[i] = d;
		cox_map_set(&s->index->dr_by_key, d->object_ids.p[0], d);
		add_to_index(s->index, d);
		cox_vec_fini(&groups.p[i]->objects);
	}
	s->destination_rules.p = all;
	s->destination_rules.n = groups.n;
	for (struct cox_map_entry *e = NULL; (e = cox_map_next(&s->index->rules, e));) {
		struct ns_rules *r = e->value;
		if (r->wildcards.n)
			qsort(r->wildcards.p, r->wildcards.n, sizeof(*r->wildcards.p), cmp_wildcards);
	}
	cox_vec_fini(&groups);
	cox_arena_fini(&scratch);
}

/* --- lookup ---------------------------------------------------------------------------------------- */

enum who { LOCAL, LOCAL_PRIVATE, EXPORTED };
struct asking {
	struct cox_str ns;
	const struct cox_kv *labels;
	size_t label_n;
	enum who who;
};

static bool may_use(const struct asking *a, const struct cox_dr *d)
{
	const struct cox_destination_rule *r = d->spec;
	if (has_selector(r)) /* a rule with a selector never leaves its namespace */
		return cox_str_eq(d->ns, a->ns) &&
		       cox_kv_is_subset(r->workload_selector->match_labels.p, r->workload_selector->match_labels.n, a->labels, a->label_n);
	if (a->who == LOCAL)
		return true;
	if (a->who == LOCAL_PRIVATE)
		return !d->export_to.is_public && cox_export_is_visible(&d->export_to, d->ns);
	return cox_export_is_visible(&d->export_to, a->ns);
}

static const struct cox_dr *best_of(const struct asking *a, const struct cox_dr *const *items, size_t n)
{
	const struct cox_dr *found = NULL;
	for (size_t i = 0; i < n; i++)
		if (may_use(a, items[i]) && (!found || (has_selector(items[i]->spec) && !has_selector(found->spec))))
			found = items[i];
	return found;
}

static const struct cox_dr *find_in(const struct cox_snapshot *s, struct cox_str rules_ns, const struct asking *a, struct cox_str hostname)
{
	const struct ns_rules *r = cox_map_find(&s->index->rules, rules_ns);
	if (!r)
		return NULL;
	const struct rule_list *exact = cox_map_find(&r->by_host, hostname);
	const struct cox_dr *found = exact ? best_of(a, exact->items.p, exact->items.n) : NULL;
	for (size_t i = 0; i < r->wildcards.n && !found; i++)
		if (cox_host_covers(r->wildcards.p[i]->spec->host, hostname))
			found = best_of(a, &r->wildcards.p[i], 1);
	return found;
}

const struct cox_dr *cox_scope_dr_find(const struct cox_snapshot *s, struct cox_str ns, const struct cox_kv *labels, size_t label_n, const struct cox_svc *svc)
{
	struct asking a = { ns, labels, label_n, cox_str_eq(ns, s->root_ns) ? LOCAL_PRIVATE : LOCAL };
	const struct cox_dr *d = find_in(s, ns, &a, svc->hostname);
	if (d)
		return d;
	a.who = EXPORTED;
	d = find_in(s, svc->ns, &a, svc->hostname);
	return d ? d : find_in(s, s->root_ns, &a, svc->hostname);
}
