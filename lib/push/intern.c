#include "push/intern.h"

struct resource_entry {
	struct {
		struct cox_hash content, name;
		uint64_t type;
	} id;
	const struct cox_resource *r;
};
struct set_entry {
	struct {
		struct cox_hash content;
		uint64_t type;
	} id;
	const struct cox_set *s;
};

static bool is_unused(const struct cox_ref *ref) { return atomic_load_explicit(&((struct cox_ref *)ref)->n, memory_order_acquire) == 1; }

const struct cox_resource *cox_intern_resource_take(struct cox_intern *in, const struct cox_resource *r)
{
	struct resource_entry probe = { .r = r };
	probe.id.content = r->hash;
	probe.id.name = cox_hash128(r->name.p, r->name.n);
	probe.id.type = r->type;
	struct resource_entry *e = cox_map_find(&in->resources, cox_str_make(&probe.id, sizeof(probe.id)));
	if (e) {
		if (e->r == r)
			return r;
		cox_resource_unref(r);
		return cox_resource_ref(e->r);
	}
	e = cox_alloc(sizeof(*e));
	*e = probe;
	cox_map_set(&in->resources, cox_str_make(&e->id, sizeof(e->id)), e);
	in->bytes += r->size_bytes;
	return cox_resource_ref(r); /* the entry keeps the one that was taken */
}

const struct cox_set *cox_intern_set_take(struct cox_intern *in, const struct cox_set *s)
{
	struct set_entry probe = { .s = s };
	probe.id.content = s->hash;
	probe.id.type = s->type;
	struct set_entry *e = cox_map_find(&in->sets, cox_str_make(&probe.id, sizeof(probe.id)));
	if (e) {
		if (e->s == s)
			return s;
		cox_set_unref(s);
		return cox_set_ref(e->s);
	}
	e = cox_alloc(sizeof(*e));
	*e = probe;
	cox_map_set(&in->sets, cox_str_make(&e->id, sizeof(e->id)), e);
	return cox_set_ref(s);
}

void cox_intern_list(const struct cox_intern *in, const struct cox_resource **out)
{
	for (struct cox_map_entry *m = NULL; (m = cox_map_next(&in->resources, m));)
		*out++ = cox_resource_ref(((struct resource_entry *)m->value)->r);
}

void cox_intern_sweep(struct cox_intern *in)
{
	for (struct cox_map_entry *m = NULL; (m = cox_map_next(&in->sets, m));) {
		struct set_entry *e = m->value;
		if (is_unused(&e->s->ref)) {
			cox_map_remove(&in->sets, m->key);
			cox_set_unref(e->s);
			cox_free(e);
		}
	}
	for (struct cox_map_entry *m = NULL; (m = cox_map_next(&in->resources, m));) {
		struct resource_entry *e = m->value;
		if (is_unused(&e->r->ref)) {
			cox_map_remove(&in->resources, m->key);
			in->bytes -= e->r->size_bytes;
			cox_resource_unref(e->r);
			cox_free(e);
		}
	}
}

void cox_intern_fini(struct cox_intern *in)
{
	for (struct cox_map_entry *m = NULL; (m = cox_map_next(&in->sets, m));) {
		cox_set_unref(((struct set_entry *)m->value)->s);
		cox_free(m->value);
	}
	for (struct cox_map_entry *m = NULL; (m = cox_map_next(&in->resources, m));) {
		cox_resource_unref(((struct resource_entry *)m->value)->r);
		cox_free(m->value);
	}
	cox_map_fini(&in->sets);
	cox_map_fini(&in->resources);
}
