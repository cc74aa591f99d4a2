/* See selecting.h. */
#include "analyze/selecting.h"

static void note(struct an_run *r, struct cox_map *by_pod, struct an_obj *pod, struct an_obj *o)
{
	struct an_list *list = cox_map_find(by_pod, pod->full);
	if (!list) {
		list = COX_ARENA_NEW(r->arena, struct an_list);
		cox_map_set(by_pod, pod->full, list);
	}
	cox_vec_push(list, o);
}

static void find_pods(struct an_run *r, const struct selecting *how, struct an_obj *o, struct cox_map *by_pod)
{
	const struct cox_json *labels = how->labels(o);
	struct an_list pods = an_pods(r, labels, o->ns);
	bool found = false;
	for (size_t i = 0; i < pods.n; i++)
		if (an_pod_is(pods.p[i], labels, o->ns)) {
			found = true;
			note(r, by_pod, pods.p[i], o);
		}
	if (!found)
		an_report(r, COX_AN_NOT_FOUND, o, labels, cox_str_of(how->path),
		          "no pod of the namespace has the labels %.*s: the object has no effect; mend the labels",
		          COX_FMT(an_selector_text(r, labels)));
}

static void check_pod(struct an_run *r, const struct selecting *how, const struct an_obj *pod, const struct an_list *list)
{
	for (size_t i = 0; i < list->n; i++) {
		struct an_obj *o = list->p[i];
		if (how->skip && how->skip(r, o, pod))
			continue;
		if (list->n > 1)
			an_report(r, how->conflict, o, how->labels(o), cox_str_of(how->path),
			          "select pod %.*s, as %.*s does: only one of them counts; make the selectors disjoint", COX_FMT(pod->name),
			          COX_FMT(list->p[i == 0]->full));
	}
}

void selecting_check(struct an_run *r, const struct selecting *how)
{
	struct cox_map by_pod = { 0 };
	AN_EACH_OBJ(o, r, how->kind)
	if (an_member_n(how->labels(o)))
		find_pods(r, how, o, &by_pod);
	AN_EACH_OBJ(pod, r, AN_POD)
	{
		const struct an_list *list = cox_map_find(&by_pod, pod->full);
		if (list)
			check_pod(r, how, pod, list);
	}
	for (struct cox_map_entry *e = NULL; (e = cox_map_next(&by_pod, e));)
		cox_vec_fini((struct an_list *)e->value);
	cox_map_fini(&by_pod);
}
