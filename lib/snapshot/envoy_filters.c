/* All EnvoyFilters of a generation, in order of precedence; those of the same objects as before are taken over. */
#include "snapshot/snapshot_priv.h"

#include <stdlib.h>

typedef COX_VEC(struct cox_str) names;

static int64_t priority_of(const struct cox_ready_filter *f) { return f->spec->priority.set ? f->spec->priority.v : 0; }

struct ordered { /* qsort() has no argument for the root namespace */
	const struct cox_ready_filter *filter;
	bool is_root;
};
static int by_precedence(const void *a, const void *b)
{
	const struct ordered *x = a, *y = b;
	int64_t px = priority_of(x->filter), py = priority_of(y->filter);
	if (px != py)
		return px < py ? -1 : 1;
	if (x->is_root != y->is_root)
		return x->is_root ? -1 : 1;
	return cox_object_cmp_age(x->filter->object, y->filter->object);
}

static const struct cox_ready_filter *made_before(const struct snap_filters *before, const struct cox_object *o)
{
	for (size_t i = 0; before && i < before->n; i++)
		if (before->items[i]->object == o)
			return snap_filter_ref(before->items[i]);
	return NULL;
}

static void make_items(struct snap_filters *s, const struct snap_filters *before, struct cox_str root_ns)
{
	struct ordered *all = cox_calloc(s->from->n + 1, sizeof(*all));
	for (size_t i = 0; i < s->from->n; i++) {
		const struct cox_object *o = s->from->by_id[i];
		const struct cox_ready_filter *f = made_before(before, o);
		if (!f)
			f = snap_filter_build(o);
		if (f)
			all[s->n++] = (struct ordered){ f, cox_str_eq(o->meta.ns, root_ns) };
	}
	qsort(all, s->n, sizeof(*all), by_precedence);
	for (size_t i = 0; i < s->n; i++)
		s->items[i] = all[i].filter;
	cox_free(all);
}

static void take_names(names *from, const struct cox_str **p, size_t *n)
{
	if (from->n > 0)
		qsort(from->p, from->n, sizeof(*from->p), cox_str_cmp_qsort);
	size_t kept = 0;
	for (size_t i = 0; i < from->n; i++)
		if (kept == 0 || !cox_str_eq(from->p[i], from->p[kept - 1]))
			from->p[kept++] = from->p[i];
	*p = from->p; /* the array is the set's now */
	*n = kept;
}

static void make_keys(struct snap_filters *s)
{
	names labels = { 0 }, metadata = { 0 };
	for (size_t i = 0; i < s->n; i++) {
		const struct cox_envoy_filter *spec = s->items[i]->spec;
		if (spec->workload_selector)
			for (COX_EACH(struct cox_kv, kv, spec->workload_selector->labels))
				cox_vec_push(&labels, kv->key);
		if (spec->target_refs.n) {
			cox_vec_push(&labels, COX_STR("gateway.networking.k8s.io/gateway-name"));
			cox_vec_push(&labels, COX_STR("gateway.networking.k8s.io/gateway-class-name"));
		}
		for (COX_EACH(struct cox_ready_patch, p, s->items[i]->patches)) {
			const struct cox_patch_proxy *proxy = p->spec->match ? p->spec->match->proxy : NULL;
			s->uses_version |= p->version != NULL;
			for (size_t k = 0; proxy && k < proxy->metadata.n; k++)
				cox_vec_push(&metadata, proxy->metadata.p[k].key);
		}
	}
	take_names(&labels, &s->label_keys.p, &s->label_keys.n);
	take_names(&metadata, &s->metadata_keys.p, &s->metadata_keys.n);
}

const struct snap_filters *snap_filters_build(const struct cox_registry *r, const struct snap_filters *before)
{
	const struct snap_objects *from = snap_objects_build(r, COX_KIND_ENVOY_FILTER, before ? before->from : NULL);
	if (before && before->from == from) {
		snap_objects_unref(from);
		cox_ref_get(&((struct snap_filters *)before)->ref);
		return before;
	}
	struct snap_filters *s = cox_zalloc(sizeof(*s) + from->n * sizeof(*s->items));
	cox_ref_init(&s->ref);
	s->from = from;
	s->items = (const struct cox_ready_filter **)(s + 1);
	make_items(s, before, cox_registry_root_namespace(r));
	make_keys(s);
	return s;
}

void snap_filters_unref(const struct snap_filters *s)
{
	struct snap_filters *mine = (struct snap_filters *)s;
	if (!mine || !cox_ref_put(&mine->ref))
		return;
	for (size_t i = 0; i < mine->n; i++)
		snap_filter_unref(mine->items[i]);
	cox_free((void *)mine->label_keys.p);
	cox_free((void *)mine->metadata_keys.p);
	snap_objects_unref(mine->from);
	cox_free(mine);
}

size_t cox_snapshot_metadata_keys(const struct cox_snapshot *s, const struct cox_str **out)
{
	*out = s->index->filters->metadata_keys.p;
	return s->index->filters->metadata_keys.n;
}

size_t cox_snapshot_envoy_filters_for(const struct cox_snapshot *s, struct cox_str ns, const struct cox_kv *labels, size_t label_n,
                                      struct cox_arena *arena, const struct cox_ready_filter *const **out)
{
	const struct cox_ready_filter **found;
	size_t n = 0;
	*out = NULL;
	if (s->envoy_filters.n == 0)
		return 0;
	found = COX_ARENA_ARRAY(arena, const struct cox_ready_filter *, s->envoy_filters.n);
	for (size_t i = 0; i < s->envoy_filters.n; i++) {
		const struct cox_ready_filter *f = s->envoy_filters.p[i];
		bool is_here = cox_str_eq(f->object->meta.ns, ns) || cox_str_eq(f->object->meta.ns, s->root_ns);
		if (is_here && snap_filter_selects(f, labels, label_n))
			found[n++] = f;
	}
	*out = found;
	return n;
}
