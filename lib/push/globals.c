/* globals - sets that every proxy has, whatever it may see: they ride in the workload part. */
#include "push/push_priv.h"

void push_globals_add(const struct cox_push *p, struct cox_wanted *w)
{
	for (size_t t = 0; t < COX_TYPE_COUNT; t++)
		if (p->globals[t]) {
			COX_ASSERT(!w->sets[t]);
			w->sets[t] = cox_set_ref(p->globals[t]);
		}
}

static const struct cox_wanted *with_global(const struct cox_wanted *was, enum cox_type type, const struct cox_set *set)
{
	struct cox_wanted *w = COX_NEW(struct cox_wanted);
	cox_ref_init(&w->ref);
	w->generation = was->generation;
	for (size_t t = 0; t < COX_TYPE_COUNT; t++) {
		const struct cox_set *s = t == type ? set : was->sets[t];
		w->sets[t] = s ? cox_set_ref(s) : NULL;
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
		const struct cox_wanted *w = with_global(u->wanted, type, s);
		cox_wanted_unref(u->wanted);
		u->wanted = w;
		push_queue_all(p, u);
	}
	push_wake(p);
}
