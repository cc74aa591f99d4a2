/* globals - sets that every proxy has, whatever it may see: they ride in the workload part. */
#include "push/push_priv.h"

/* A view may have resources of its own of that type: what everybody has joins them, in the place of what had its names before. Shares. */
static const struct cox_set *joined(struct cox_push *p, const struct cox_set *own, const struct cox_set *global)
{
	if (!own || own->n == 0)
		return cox_set_ref(global);
	const struct cox_set *all = cox_set_ref(own);
	for (size_t i = 0; i < global->n; i++) {
		const struct cox_set *next = cox_set_with(all, global->items[i]->name, global->items[i]);
		cox_set_unref(all);
		all = next;
	}
	return cox_intern_set_take(&p->intern, (struct cox_set *)(uintptr_t)all);
}

void push_globals_add(struct cox_push *p, struct cox_wanted *w)
{
	for (size_t t = 0; t < COX_TYPE_COUNT; t++)
		if (p->globals[t]) {
			const struct cox_set *all = joined(p, w->sets[t], p->globals[t]);
			cox_set_unref(w->sets[t]);
			w->sets[t] = all;
		}
}

static const struct cox_wanted *with_global(struct cox_push *p, const struct cox_wanted *was, enum cox_type type, const struct cox_set *set)
{
	struct cox_wanted *w = COX_NEW(struct cox_wanted);
	cox_ref_init(&w->ref);
	w->generation = was->generation;
	for (size_t t = 0; t < COX_TYPE_COUNT; t++) {
		const struct cox_set *s = was->sets[t];
		w->sets[t] = t == type ? joined(p, s, set) : s ? cox_set_ref(s) : NULL;
	}
	return w;
}

void cox_push_set_global_take(struct cox_push *p, enum cox_type type, struct cox_set *set)
{
	const struct cox_set *s = cox_intern_set_take(&p->intern, set);
	if (s == p->globals[type]) {
		cox_set_unref(s);
		return;
	}
	cox_set_unref(p->globals[type]);
	p->globals[type] = s;
	for (struct cox_map_entry *e = NULL; (e = cox_map_next(&p->units[COX_PUSH_WORKLOAD], e));) {
		struct unit *u = e->value;
		if (!u->wanted)
			continue;
		const struct cox_wanted *w = with_global(p, u->wanted, type, s);
		cox_wanted_unref(u->wanted);
		u->wanted = w;
		push_queue_all(p, u);
	}
	push_wake(p);
}
