/* patches - EnvoyFilters: which patches select a unit, what they did in it, and that as a whole for status and people. */
#include "push/push_priv.h"

#include <stdlib.h>

struct cox_patching *push_patching_build(struct cox_push *p, const struct unit *u)
{
	if (u->view)
		return cox_patching_build(p->snapshot, u->view, u->view->labels.p, u->view->labels.n, &p->arena);
	const struct cox_workload *w = u->workload;
	return cox_patching_build(p->snapshot, &w->view, w->labels.p, w->labels.n, &p->arena);
}

void push_patching_clear(struct unit *u)
{
	for (size_t i = 0; i < u->patched.n; i++)
		cox_object_unref(u->patched.p[i].object);
	cox_vec_clear(&u->patched);
}

void push_patching_keep(struct cox_push *p, struct unit *u, const struct cox_patching *patching)
{
	p->patched_changed |= u->patched.n > 0 || patching != NULL;
	push_patching_clear(u);
	for (size_t i = 0; patching && i < patching->patches.n; i++) {
		const struct cox_ready_patch *patch = patching->patches.p[i];
		cox_vec_push(&u->patched, ((struct push_patched){ cox_object_ref(patch->object), patch->at, patching->counts[i],
		                                                  patch->spec->apply_to }));
	}
}

/* --- over all units ------------------------------------------------------------------------------------ */

struct sum {
	struct cox_push_patch patch;
	const struct cox_push_client *last, *last_matched; /* units of one proxy follow each other */
};

static int by_place(const void *a, const void *b)
{
	const struct cox_push_patch *x = a, *y = b;
	int c = cox_str_cmp(x->object->id, y->object->id);
	return c != 0 ? c : (x->at > y->at) - (x->at < y->at);
}

static struct sum *sum_get(struct cox_map *sums, struct cox_arena *arena, const struct push_patched *one)
{
	struct cox_str key = cox_arena_printf(arena, "%u %.*s", one->at, COX_FMT(one->object->id));
	struct sum *s = cox_map_find(sums, key);
	if (!s) {
		s = COX_ARENA_NEW(arena, struct sum);
		s->patch.object = one->object;
		s->patch.at = one->at;
		cox_map_set(sums, key, s);
	}
	return s;
}

/* A proxy has two units, and both may be selected. */
static void count_client(struct cox_map *sums, struct cox_arena *arena, const struct cox_push_client *c)
{
	for (unsigned part = 0; part < COX_PUSH_PARTS; part++)
		for (size_t i = 0; c->units[part] && i < c->units[part]->patched.n; i++) {
			const struct push_patched *one = &c->units[part]->patched.p[i];
			struct sum *s = sum_get(sums, arena, one);
			s->patch.proxies += s->last != c;
			s->last = c;
			s->patch.proxies_matched += one->count && s->last_matched != c;
			if (one->count)
				s->last_matched = c;
		}
}

static void count_units(const struct cox_push *p, struct cox_map *sums, struct cox_arena *arena)
{
	for (unsigned part = 0; part < COX_PUSH_PARTS; part++)
		for (struct cox_map_entry *m = NULL; (m = cox_map_next(&p->units[part], m));) {
			const struct unit *u = m->value;
			for (size_t i = 0; i < u->patched.n; i++)
				sum_get(sums, arena, &u->patched.p[i])->patch.objects += u->patched.p[i].count;
		}
}

size_t cox_push_patches(const struct cox_push *p, struct cox_arena *arena, struct cox_push_patch **out)
{
	struct cox_map sums = { 0 };
	size_t n = 0;
	count_units(p, &sums, arena);
	for (size_t i = 0; i < p->clients.n && sums.n; i++)
		count_client(&sums, arena, p->clients.p[i]);
	*out = COX_ARENA_ARRAY(arena, struct cox_push_patch, sums.n + 1);
	for (struct cox_map_entry *e = NULL; (e = cox_map_next(&sums, e));)
		(*out)[n++] = ((struct sum *)e->value)->patch;
	if (n > 1)
		qsort(*out, n, sizeof(**out), by_place);
	cox_map_fini(&sums);
	return n;
}

void push_patches_tell(struct cox_push *p)
{
	if (!p->patched_changed)
		return;
	p->patched_changed = false;
	if (p->opts.on_patched)
		p->opts.on_patched(p->opts.arg);
}

/* --- for people -------------------------------------------------------------------------------------------- */

static void put_str(struct cox_arena *a, struct cox_json *o, const char *key, struct cox_str s)
{
	cox_json_set(a, o, cox_str_of(key), cox_json_new_str(a, cox_arena_str(a, s)));
}
static void put_n(struct cox_arena *a, struct cox_json *o, const char *key, uint64_t n)
{
	cox_json_set(a, o, cox_str_of(key), cox_json_new_i64(a, (int64_t)n));
}

static struct cox_json *unit_json(const struct unit *u, struct cox_arena *a)
{
	struct cox_json *o = cox_json_new_object(a), *list = cox_json_new_array(a);
	const struct cox_view *v = u->view ? u->view : &u->workload->view;
	put_str(a, o, "part", u->part == COX_PUSH_SCOPE ? COX_STR("outbound") : COX_STR("workload"));
	put_str(a, o, "type", v->type == COX_PROXY_ROUTER ? COX_STR("router") : COX_STR("sidecar"));
	put_str(a, o, "class", v->klass == COX_CLASS_ISTIO ? COX_STR("istio") : COX_STR("upstream"));
	put_str(a, o, "namespace", v->ns);
	put_str(a, o, "proxy", u->proxy->id); /* one of them */
	put_n(a, o, "proxies", u->clients.n);
	for (size_t i = 0; i < u->patched.n; i++) {
		const struct push_patched *one = &u->patched.p[i];
		struct cox_json *p = cox_json_new_object(a);
		put_str(a, p, "filter", cox_arena_printf(a, "%.*s/%.*s", COX_FMT(one->object->meta.ns), COX_FMT(one->object->meta.name)));
		put_n(a, p, "patch", one->at);
		put_str(a, p, "applyTo", cox_str_of(cox_apply_to_name(one->apply_to)));
		put_n(a, p, "objects", one->count);
		cox_json_push(a, list, p);
	}
	cox_json_set(a, o, COX_STR("patches"), list);
	return o;
}

static int by_key(const void *a, const void *b)
{
	const struct unit *x = *(const struct unit *const *)a, *y = *(const struct unit *const *)b;
	return x->part != y->part ? (int)x->part - (int)y->part : cox_str_cmp(x->key, y->key);
}

struct cox_json *cox_push_dump_patches(const struct cox_push *p, struct cox_arena *arena)
{
	struct cox_json *list = cox_json_new_array(arena);
	COX_VEC(const struct unit *) units = { 0 };
	for (unsigned part = 0; part < COX_PUSH_PARTS; part++)
		for (struct cox_map_entry *m = NULL; (m = cox_map_next(&p->units[part], m));)
			if (((const struct unit *)m->value)->patched.n)
				cox_vec_push(&units, m->value);
	if (units.n > 1)
		qsort(units.p, units.n, sizeof(*units.p), by_key);
	for (size_t i = 0; i < units.n; i++)
		cox_json_push(arena, list, unit_json(units.p[i], arena));
	cox_vec_fini(&units);
	return list;
}
