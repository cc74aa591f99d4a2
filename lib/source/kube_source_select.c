#include "source/kube_source_priv.h"

static bool is_selected(const struct cox_kube_source *s, const struct cox_object *ns)
{
	if (s->selector_count == 0)
		return true;
	for (size_t i = 0; ns && i < s->selector_count; i++)
		if (cox_label_selector_fits(&s->selectors[i], ns->meta.labels.p, ns->meta.labels.n))
			return true;
	return false;
}

bool kube_source_ns_is_selected(const struct cox_kube_source *s, struct cox_str ns)
{
	if (s->selector_count == 0)
		return true;
	/* One that is not known yet: when it comes, it is listed. */
	const struct cox_kube_watch *w = s->kinds[COX_KIND_NAMESPACE].watch;
	const struct cox_kube_entry *e = w ? cox_kube_watch_find(w, COX_STR(""), ns) : NULL;
	return e && e->flags & ENTRY_SELECTED;
}

static void ns_set(struct cox_kube_source *s, struct cox_kube_entry *e, bool is_in)
{
	bool was_in = e->flags & ENTRY_SELECTED;
	e->flags = is_in ? e->flags | ENTRY_SELECTED : e->flags & ~(uint32_t)ENTRY_SELECTED;
	if (s->selector_count == 0 || is_in == was_in)
		return;
	for (size_t i = 0; i < COX_KIND_COUNT; i++) {
		struct kind_watch *k = &s->kinds[i];
		if (!k->watch || !k->info->namespaced || i == COX_KIND_CONFIG_MAP)
			continue;
		if (is_in)
			cox_kube_watch_ns_add(k->watch, e->name);
		else
			cox_kube_watch_ns_drop(k->watch, e->name);
	}
}

void kube_source_ns_changed(struct cox_kube_source *s, struct cox_kube_entry *e, const struct cox_object *ns)
{
	ns_set(s, e, ns && is_selected(s, ns));
}

/* --- setting them ---------------------------------------------------------------------------------------------- */

static struct cox_str copy(struct cox_arena *a, struct cox_str s) { return s.n ? cox_arena_str(a, s) : (struct cox_str){ 0 }; }

static void selector_copy(struct cox_arena *a, const struct cox_label_selector *from, struct cox_label_selector *to)
{
	struct cox_kv *labels = COX_ARENA_ARRAY(a, struct cox_kv, from->match_labels.n);
	struct cox_label_selector_requirement *reqs = COX_ARENA_ARRAY(a, struct cox_label_selector_requirement, from->match_expressions.n);
	for (size_t i = 0; i < from->match_labels.n; i++) {
		labels[i].key = copy(a, from->match_labels.p[i].key);
		labels[i].value = copy(a, from->match_labels.p[i].value);
	}
	for (size_t i = 0; i < from->match_expressions.n; i++) {
		const struct cox_label_selector_requirement *r = &from->match_expressions.p[i];
		struct cox_str *values = COX_ARENA_ARRAY(a, struct cox_str, r->values.n);
		for (size_t j = 0; j < r->values.n; j++)
			values[j] = copy(a, r->values.p[j]);
		reqs[i].key = copy(a, r->key);
		reqs[i].op = copy(a, r->op);
		reqs[i].values.p = values, reqs[i].values.n = r->values.n;
	}
	to->match_labels.p = labels, to->match_labels.n = from->match_labels.n;
	to->match_expressions.p = reqs, to->match_expressions.n = from->match_expressions.n;
}

void cox_kube_source_set_discovery(struct cox_kube_source *s, const struct cox_label_selector *selectors, size_t count)
{
	struct cox_arena *a = &s->selector_text[!s->selector_arena];
	cox_arena_reset(a);
	s->next_selectors = COX_ARENA_ARRAY(a, struct cox_label_selector, count);
	for (size_t i = 0; i < count; i++)
		selector_copy(a, &selectors[i], &s->next_selectors[i]);
	s->next_count = count;
	s->has_next = true;
	cox_timer_start(s->turn, 0, 0);
}

struct recheck {
	struct cox_kube_source *s;
	bool had_none;
};

static void recheck(void *ctx, struct cox_kube_entry *e)
{
	struct recheck *r = ctx;
	/* Without selectors everything was in memory: so what is not selected now must go. */
	if (r->had_none)
		e->flags |= ENTRY_SELECTED;
	if (r->s->selector_count == 0) {
		/* The other way round: what was left out is listed again, below. */
		e->flags |= ENTRY_SELECTED;
		return;
	}
	ns_set(r->s, e, is_selected(r->s, e->value));
}

void kube_source_selectors_apply(struct cox_kube_source *s)
{
	struct recheck r = { .s = s, .had_none = s->selector_count == 0 };
	s->has_next = false;
	s->selector_arena = !s->selector_arena;
	s->selectors = s->next_selectors;
	s->selector_count = s->next_count;
	cox_kube_watch_each(s->kinds[COX_KIND_NAMESPACE].watch, recheck, &r);
	if (s->selector_count != 0 || r.had_none)
		return;
	for (size_t i = 0; i < COX_KIND_COUNT; i++)
		if (s->kinds[i].watch && s->kinds[i].info->namespaced && i != COX_KIND_CONFIG_MAP)
			cox_kube_watch_relist(s->kinds[i].watch);
}
