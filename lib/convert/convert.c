/* When a family runs, and what becomes of its results. */
#include "convert/convert_state_priv.h"

#include <stdlib.h>

static const struct convert_family *const families[] = {
	&convert_ingress,
	&convert_smi,
	&convert_gateway_api,
	&convert_mcs,
};

struct cox_convert {
	struct cox_convert_options opts;
	uint64_t displaced;
	struct convert_state states[COX_LEN(families)];
};

struct cox_convert *cox_convert_new(const struct cox_convert_options *opts)
{
	struct cox_convert *c = COX_NEW(struct cox_convert);
	c->opts = *opts;
	for (size_t i = 0; i < COX_LEN(families); i++)
		c->states[i].family = families[i];
	return c;
}

static void words_fini(struct convert_words *w)
{
	for (size_t i = 0; i < w->items.n; i++)
		cox_object_unref(w->items.p[i].o);
	cox_vec_fini(&w->items);
	cox_map_fini(&w->by_id);
}

void convert_result_fini(struct convert_result *r)
{
	for (size_t i = 0; i < r->made.n; i++)
		cox_object_unref(r->made.p[i].o);
	for (size_t i = 0; i < r->lookups.n; i++)
		cox_object_unref(r->lookups.p[i].found);
	cox_vec_fini(&r->made);
	cox_vec_fini(&r->findings);
	cox_vec_fini(&r->lookups);
	cox_map_fini(&r->by_id);
	words_fini(&r->said);
	words_fini(&r->deployed);
	cox_map_fini(&r->looked_up);
	cox_arena_fini(&r->text);
}

const struct convert_made *convert_made_find(const struct convert_result *r, struct cox_str id)
{
	uintptr_t at = (uintptr_t)cox_map_find(&r->by_id, id);
	return at ? &r->made.p[at - 1] : NULL;
}

void cox_convert_free(struct cox_convert *c)
{
	if (!c)
		return;
	for (size_t i = 0; i < COX_LEN(families); i++) {
		convert_result_fini(&c->states[i].is);
		cox_vec_fini(&c->states[i].shadowed);
	}
	cox_free(c);
}

/* --- is there anything to do? -------------------------------------------------------------------------- */

static size_t input_count(const struct cox_registry *r, const struct convert_family *f)
{
	const struct cox_object *const *p;
	size_t n = 0;
	for (size_t i = 0; i < f->input_n; i++)
		n += cox_registry_objects(r, f->inputs[i], &p);
	return n;
}

static uint64_t stamp_of(const struct cox_registry *r, const struct convert_state *s)
{
	uint64_t sum = 0;
	for (size_t i = 0; i < s->family->input_n; i++)
		sum += cox_registry_kind_changes(r, s->family->inputs[i]);
	for (size_t k = 0; k < COX_KIND_COUNT; k++)
		if (s->is.is_listed[k])
			sum += cox_registry_kind_changes(r, (enum cox_kind)k);
	return sum;
}

static uint64_t lookup_stamp_of(const struct cox_registry *r, const struct convert_result *is)
{
	bool is_counted[COX_KIND_COUNT] = { false };
	uint64_t sum = 0;
	for (size_t i = 0; i < is->lookups.n; i++) {
		enum cox_kind kind = is->lookups.p[i].kind;
		if (!is_counted[kind])
			sum += cox_registry_kind_changes(r, kind);
		is_counted[kind] = true;
	}
	return sum;
}

static bool is_looked_up_changed(const struct cox_registry *r, struct convert_state *s)
{
	uint64_t stamp = s->is.lookups.n ? lookup_stamp_of(r, &s->is) : 0;
	if (stamp == s->lookup_stamp)
		return false;
	s->lookup_stamp = stamp;
	for (size_t i = 0; i < s->is.lookups.n; i++) {
		const struct convert_lookup *l = &s->is.lookups.p[i];
		if (cox_registry_object_find(r, l->kind, l->ns, l->name) != l->found)
			return true;
	}
	return false;
}

static bool needs_run(const struct cox_registry *r, struct convert_state *s)
{
	uint64_t stamp = stamp_of(r, s);
	bool is_idle = !s->is.made.n && !s->is.said.items.n && !s->is.findings.n && input_count(r, s->family) == 0;
	bool has_changed = stamp != s->stamp;
	s->stamp = stamp;
	if (is_idle)
		return false;
	return has_changed || !cox_hash_eq(s->mesh, cox_registry_mesh_hash(r)) || is_looked_up_changed(r, s);
}

/* --- results -------------------------------------------------------------------------------------------- */

/* Puts what is not there; one that somebody wrote stays. */
static void assure(struct cox_registry *r, struct convert_state *s)
{
	cox_vec_clear(&s->shadowed);
	for (size_t i = 0; i < s->is.made.n; i++) {
		const struct cox_object *o = s->is.made.p[i].o;
		const struct cox_object *there = cox_registry_object_find(r, o->kind, o->meta.ns, o->meta.name);
		if (there && !there->is_generated)
			cox_vec_push(&s->shadowed, o);
		else if (there != o)
			cox_registry_put(r, o);
	}
}

/* Equal ones keep their address: whoever compares addresses sees no change. */
static void keep_equal(struct convert_result *now, const struct convert_result *was)
{
	for (size_t i = 0; i < now->made.n; i++) {
		struct convert_made *m = &now->made.p[i];
		const struct convert_made *old = convert_made_find(was, m->o->id);
		if (!old || old->o == m->o || !cox_object_eq(old->o, m->o))
			continue;
		cox_map_set(&now->by_id, old->o->id, (void *)(uintptr_t)(i + 1)); /* the key is the object's */
		cox_object_unref(m->o);
		m->o = cox_object_ref(old->o);
	}
}

static void remove_gone(struct cox_registry *r, const struct convert_result *now, const struct convert_result *was)
{
	for (size_t i = 0; i < was->made.n; i++) {
		const struct cox_object *o = was->made.p[i].o;
		if (convert_made_find(now, o->id))
			continue;
		const struct cox_object *there = cox_registry_object_find(r, o->kind, o->meta.ns, o->meta.name);
		if (!there || there->is_generated)
			cox_registry_remove(r, o->kind, o->meta.ns, o->meta.name);
	}
}

static const struct convert_said *said_find(const struct convert_words *w, struct cox_str id)
{
	uintptr_t at = (uintptr_t)cox_map_find(&w->by_id, id);
	return at ? &w->items.p[at - 1] : NULL;
}

static void tell(const struct cox_convert *c, void (*fn)(void *arg, const struct cox_object *o, const struct cox_json *what),
                 const struct convert_words *now, const struct convert_words *was)
{
	if (!fn)
		return;
	for (size_t i = 0; i < now->items.n; i++) {
		const struct convert_said *s = &now->items.p[i], *old = said_find(was, s->o->id);
		if (!old || !cox_hash_eq(old->hash, s->hash))
			fn(c->opts.arg, s->o, s->status);
	}
	for (size_t i = 0; i < was->items.n; i++) {
		const struct cox_object *o = was->items.p[i].o;
		o = said_find(now, o->id) ? NULL : cox_registry_object_find(c->opts.registry, o->kind, o->meta.ns, o->meta.name);
		if (o)
			fn(c->opts.arg, o, NULL);
	}
}

/* Those of `a` that `b` does not have. */
static void want_difference(const struct cox_convert *c, struct cox_arena *arena, const struct convert_result *a,
                            const struct convert_result *b, bool is_wanted)
{
	for (size_t i = 0; i < a->lookups.n; i++) {
		const struct convert_lookup *l = &a->lookups.p[i];
		if (l->kind != COX_KIND_SECRET && l->kind != COX_KIND_CONFIG_MAP)
			continue;
		struct cox_str key = convert_lookup_key(arena, l->kind, l->ns, l->name);
		if (!cox_map_find(&b->looked_up, key))
			c->opts.want(c->opts.arg, l->kind, l->ns, l->name, is_wanted);
	}
}

static void run(struct cox_convert *c, struct convert_state *s)
{
	struct convert_result now = { 0 };
	struct convert_run one = { .registry = c->opts.registry, .family = s->family, .out = &now, .was = &s->is };
	s->mesh = cox_registry_mesh_hash(c->opts.registry);
	s->family->convert(&one);
	keep_equal(&now, &s->is);
	remove_gone(c->opts.registry, &now, &s->is);
	tell(c, c->opts.on_status, &now.said, &s->is.said);
	tell(c, c->opts.on_deploy, &now.deployed, &s->is.deployed);
	if (c->opts.want) {
		want_difference(c, &one.scratch, &now, &s->is, true);
		want_difference(c, &one.scratch, &s->is, &now, false);
	}
	convert_result_fini(&s->is);
	cox_arena_fini(&one.scratch);
	s->is = now;
	s->lookup_stamp = now.lookups.n ? lookup_stamp_of(c->opts.registry, &now) : 0;
	assure(c->opts.registry, s);
	s->stamp = stamp_of(c->opts.registry, s); /* what it put itself is no reason to run again */
}

static bool has_way(const struct cox_registry *r, const struct convert_state *s)
{
	for (size_t i = 0; i < s->shadowed.n; i++) {
		const struct cox_object *o = s->shadowed.p[i];
		if (!cox_registry_object_find(r, o->kind, o->meta.ns, o->meta.name))
			return true;
	}
	return false;
}

void cox_convert_run(struct cox_convert *c)
{
	uint64_t displaced = cox_registry_displaced_count(c->opts.registry);
	bool is_displaced = displaced != c->displaced;
	c->displaced = displaced;
	for (size_t i = 0; i < COX_LEN(families); i++) {
		struct convert_state *s = &c->states[i];
		if (needs_run(c->opts.registry, s))
			run(c, s);
		else if (is_displaced || has_way(c->opts.registry, s))
			assure(c->opts.registry, s);
	}
}

/* --- findings -------------------------------------------------------------------------------------------- */

static int finding_cmp(const void *a, const void *b)
{
	const struct cox_convert_finding *x = a, *y = b;
	int c = cox_str_cmp(x->object_id, y->object_id);
	if (c == 0)
		c = cox_str_cmp(x->path, y->path);
	return c ? c : cox_str_cmp(x->text, y->text);
}

void cox_convert_origin(const struct cox_object *generated, struct cox_str *object_id, struct cox_str *path)
{
	ptrdiff_t space = cox_str_find(generated->origin, ' ');
	size_t n = space < 0 ? generated->origin.n : (size_t)space;
	*object_id = cox_str_sub(generated->origin, 0, n);
	*path = cox_str_sub(generated->origin, n + 1, SIZE_MAX);
}

size_t cox_convert_findings(const struct cox_convert *c, struct cox_arena *arena, const struct cox_convert_finding **out)
{
	size_t n = 0, at = 0;
	for (size_t i = 0; i < COX_LEN(families); i++)
		n += c->states[i].is.findings.n + c->states[i].shadowed.n;
	struct cox_convert_finding *all = COX_ARENA_ARRAY(arena, struct cox_convert_finding, n + 1);
	for (size_t i = 0; i < COX_LEN(families); i++) {
		const struct convert_state *s = &c->states[i];
		for (size_t k = 0; k < s->is.findings.n; k++)
			all[at++] = s->is.findings.p[k];
		for (size_t k = 0; k < s->shadowed.n; k++) {
			struct cox_convert_finding *f = &all[at++];
			cox_convert_origin(s->shadowed.p[k], &f->object_id, &f->path);
			f->severity = COX_SEV_WARNING;
			f->text =
			    cox_arena_printf(arena, "has no effect: %.*s, which was written by hand, has the name of what it is made into",
			                     COX_FMT(s->shadowed.p[k]->id));
		}
	}
	if (n > 1)
		qsort(all, n, sizeof(*all), finding_cmp);
	*out = all;
	return n;
}
