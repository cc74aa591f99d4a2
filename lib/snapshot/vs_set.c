/* All VirtualServices of a generation; those made from the same objects as before are taken over. */
#include "snapshot/snapshot_priv.h"

#include <stdlib.h>

static int by_age(const void *a, const void *b)
{
	const struct cox_vs *const *x = a, *const *y = b;
	return cox_object_cmp_age((*x)->object, (*y)->object);
}

static int by_gateway(const void *a, const void *b)
{
	const struct snap_gateway_ref *x = a, *y = b;
	int c = cox_str_cmp(x->gateway, y->gateway);
	return c != 0 ? c : (x->at > y->at) - (x->at < y->at);
}

static bool has_delegates(const struct cox_object *o)
{
	const struct cox_virtual_service *spec = COX_SPEC(cox_virtual_service_object, o)->spec;
	for (size_t i = 0; spec && i < spec->http.n; i++)
		if (spec->http.p[i].delegate)
			return true;
	return false;
}

/* The box made before from the same object and the same delegates. `at` walks over `before` as the objects, which are sorted alike, go by.
 */
static struct snap_vs *box_before(const struct snap_vs_set *before, size_t *at, const struct cox_object *o,
                                  const struct cox_object *const *delegates, size_t n, bool *known)
{
	*known = false;
	if (!before)
		return NULL;
	while (*at < before->from->n && before->from->by_id[*at] != o && cox_str_cmp(before->from->by_id[*at]->id, o->id) < 0)
		(*at)++;
	if (*at == before->from->n || before->from->by_id[*at] != o)
		return NULL;
	struct snap_vs *v = before->boxes[*at];
	if (v && (v->delegate_n != n || (n > 0 && memcmp(v->delegates, delegates, n * sizeof(*delegates)) != 0)))
		return NULL;
	*known = true;
	if (v)
		cox_ref_get(&v->vs.ref);
	return v;
}

static void make_boxes(const struct cox_registry *r, struct snap_vs_set *s, const struct snap_vs_set *before)
{
	if (before && !cox_hash_eq(before->mesh_hash, s->mesh_hash))
		before = NULL; /* default visibility may have changed */
	struct cox_arena arena = { 0 };
	size_t at = 0;
	for (size_t i = 0; i < s->from->n; i++) {
		const struct cox_object *o = s->from->by_id[i], **delegates = NULL;
		size_t n = has_delegates(o) ? snap_delegates_find(r, o, &arena, &delegates) : 0;
		bool known;
		s->boxes[i] = box_before(before, &at, o, delegates, n, &known);
		if (!known)
			s->boxes[i] = snap_vs_build(r, o, delegates, n);
		if (s->boxes[i])
			s->by_age[s->n++] = &s->boxes[i]->vs;
	}
	cox_arena_fini(&arena);
}

static void make_gateway_index(struct snap_vs_set *s)
{
	size_t max = 0;
	for (size_t i = 0; i < s->n; i++)
		max += s->by_age[i]->gateways.n;
	if (max == 0)
		return;
	s->gateways = cox_calloc(max, sizeof(*s->gateways));
	for (size_t i = 0; i < s->n; i++)
		for (COX_EACH(struct cox_str, g, s->by_age[i]->gateways))
			s->gateways[s->gateway_n++] = (struct snap_gateway_ref){ *g, (uint32_t)i };
	qsort(s->gateways, s->gateway_n, sizeof(*s->gateways), by_gateway);
}

static void make_deadline_index(struct snap_vs_set *s)
{
	for (size_t i = 0; i < s->n; i++) {
		const struct cox_vs *vs = s->by_age[i];
		if (!vs->has_deadline)
			continue;
		for (COX_EACH(struct cox_http_route, h, vs->spec->http))
			for (COX_EACH(struct cox_http_route_destination, d, h->route))
				if (d->destination)
					cox_map_set(&s->deadline_hosts, d->destination->host, s);
	}
}

bool cox_snapshot_host_has_deadline(const struct cox_snapshot *s, struct cox_str hostname)
{
	return cox_map_find(&s->index->vs->deadline_hosts, hostname) != NULL;
}

const struct snap_vs_set *snap_vs_set_build(const struct cox_registry *r, const struct snap_vs_set *before)
{
	const struct snap_objects *from = snap_objects_build(r, COX_KIND_VIRTUAL_SERVICE, before ? before->from : NULL);
	struct cox_hash mesh_hash = cox_registry_mesh_hash(r);
	if (before && before->from == from && cox_hash_eq(before->mesh_hash, mesh_hash)) {
		snap_objects_unref(from);
		cox_ref_get(&((struct snap_vs_set *)before)->ref);
		return before;
	}
	struct snap_vs_set *s = cox_zalloc(sizeof(*s) + from->n * (sizeof(*s->boxes) + sizeof(*s->by_age)));
	cox_ref_init(&s->ref);
	s->mesh_hash = mesh_hash;
	s->from = from;
	s->boxes = (struct snap_vs **)(s + 1);
	s->by_age = (const struct cox_vs **)(s->boxes + from->n);
	make_boxes(r, s, before);
	if (s->n > 1)
		qsort(s->by_age, s->n, sizeof(*s->by_age), by_age);
	make_gateway_index(s);
	make_deadline_index(s);
	return s;
}

void snap_vs_set_unref(const struct snap_vs_set *s)
{
	struct snap_vs_set *mine = (struct snap_vs_set *)s;
	if (!mine || !cox_ref_put(&mine->ref))
		return;
	for (size_t i = 0; i < mine->from->n; i++)
		snap_vs_unref(mine->boxes[i]);
	snap_objects_unref(mine->from);
	cox_free(mine->gateways);
	cox_map_fini(&mine->deadline_hosts);
	cox_free(mine);
}
