#include "snapshot/snapshot_priv.h"

#include <stdlib.h>

static int by_age(const void *a, const void *b)
{
	return cox_object_cmp_age(*(const struct cox_object *const *)a, *(const struct cox_object *const *)b);
}

const struct snap_objects *snap_objects_build(const struct cox_registry *r, enum cox_kind kind, const struct snap_objects *before)
{
	const struct cox_object *const *p;
	size_t n = cox_registry_objects(r, kind, &p);
	if (before && before->n == n && (n == 0 || memcmp(before->by_id, p, n * sizeof(*p)) == 0)) {
		cox_ref_get(&((struct snap_objects *)before)->ref);
		return before;
	}
	struct snap_objects *o = cox_zalloc(sizeof(*o) + 2 * n * sizeof(*p));
	cox_ref_init(&o->ref);
	o->n = n;
	o->by_id = (const struct cox_object **)(o + 1);
	o->by_age = o->by_id + n;
	for (size_t i = 0; i < n; i++)
		o->by_age[i] = o->by_id[i] = cox_object_ref(p[i]);
	if (n > 1)
		qsort(o->by_age, n, sizeof(*o->by_age), by_age);
	return o;
}

void snap_objects_unref(const struct snap_objects *o)
{
	struct snap_objects *mine = (struct snap_objects *)o;
	if (!mine || !cox_ref_put(&mine->ref))
		return;
	for (size_t i = 0; i < mine->n; i++)
		cox_object_unref(mine->by_id[i]);
	cox_free(mine);
}

const struct cox_object *snap_objects_find_in(const struct snap_objects *o, struct cox_str ns, struct cox_str name)
{
	size_t lo = 0, hi = o->n;
	struct cox_arena arena = { 0 };
	if (o->n == 0)
		return NULL;
	struct cox_str id =
	    cox_arena_printf(&arena, "%.*s/%.*s/%.*s", COX_FMT(cox_kind_info(o->by_id[0]->kind)->word), COX_FMT(ns), COX_FMT(name));
	while (lo < hi) {
		size_t mid = (lo + hi) / 2;
		if (cox_str_cmp(o->by_id[mid]->id, id) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	const struct cox_object *found = lo < o->n && cox_str_eq(o->by_id[lo]->id, id) ? o->by_id[lo] : NULL;
	cox_arena_fini(&arena);
	return found;
}

/* Of a cluster-scoped kind: ids have the same front, so their order is that of the names. */
const struct cox_object *snap_objects_find(const struct snap_objects *o, struct cox_str name, size_t *at)
{
	size_t lo = 0, hi = o->n;
	while (lo < hi) {
		size_t mid = (lo + hi) / 2;
		if (cox_str_cmp(o->by_id[mid]->meta.name, name) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo == o->n || !cox_str_eq(o->by_id[lo]->meta.name, name))
		return NULL;
	*at = lo;
	return o->by_id[lo];
}
