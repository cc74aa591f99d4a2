/* diff.c - the two worlds, their proxies, and groups of equal effects. */
#include "tool/diff_priv.h"

#include "snapshot/check.h"
#include "tool/fetch.h"

struct side {
	struct cox_world *world;
	struct cox_render_cache cache;
};
struct group {
	struct cox_str key; /* the effect as text */
	struct cox_json *json, *proxies, *price;
};
struct diff {
	const struct cox_diff_options *o;
	struct cox_arena *a;
	struct side before, after;
	struct cox_buf notes; /* of the change */
	struct cox_map groups;
	COX_VEC(struct group *) group_list;
	struct cox_json *nodes; /* who is connected to the live server; NULL: Pods stand for proxies */
	size_t proxies, touched;
};

/* --- worlds ----------------------------------------------------------------------------------------- */

static enum cox_rc base_open(struct diff *d, struct cox_err *err)
{
	struct cox_buf notes = { 0 }; /* faults of what is in force already are no news */
	enum cox_rc rc = COX_OK;
	d->before.world = cox_world_new(&d->o->world);
	if (d->o->base)
		rc = cox_world_load(d->before.world, d->o->base, &notes, err);
	else if (d->o->server)
		rc = cox_tool_fetch_world(d->o->server, d->before.world, &notes, err);
	if (rc == COX_OK && d->o->server)
		rc = cox_tool_fetch_nodes(d->o->server, d->a, &d->nodes, err);
	cox_buf_fini(&notes);
	if (rc == COX_OK)
		cox_world_freeze(d->before.world, NULL);
	return rc;
}

static enum cox_rc object_delete(struct diff *d, struct cox_str id, struct cox_err *err)
{
	struct cox_str rest = id, kind, ns = COX_STR("default"), name;
	if (!cox_str_next(&rest, '/', &kind) || rest.p == NULL)
		return cox_err_set(err, COX_EINVAL, "delete", "\"%.*s\" is not Kind/namespace/name", COX_FMT(id));
	name = rest;
	ptrdiff_t slash = cox_str_find(rest, '/');
	if (slash >= 0) {
		ns = cox_str_sub(rest, 0, (size_t)slash);
		name = cox_str_sub(rest, (size_t)slash + 1, SIZE_MAX);
	}
	for (int k = 0; k < COX_KIND_COUNT; k++) {
		const struct cox_kind_info *info = cox_kind_info((enum cox_kind)k);
		if (!cox_str_eq_nocase(info->name, kind))
			continue;
		if (!info->namespaced)
			ns = (struct cox_str){ 0 };
		if (cox_registry_object_find(d->after.world->registry, info->kind, ns, name) == NULL)
			return cox_err_set(err, COX_ENOTFOUND, "delete", "there is no %.*s %.*s/%.*s", COX_FMT(kind), COX_FMT(ns),
			                   COX_FMT(name));
		cox_registry_remove(d->after.world->registry, info->kind, ns, name);
		return COX_OK;
	}
	return cox_err_set(err, COX_EINVAL, "delete", "kind %.*s is not one of the mesh's", COX_FMT(kind));
}

static enum cox_rc change_open(struct diff *d, struct cox_err *err)
{
	d->after.world = cox_world_copy(d->before.world, &d->o->world);
	for (size_t i = 0; i < d->o->changes.n; i++)
		COX_TRY(cox_world_load(d->after.world, d->o->changes.p[i], &d->notes, err));
	for (COX_EACH(struct cox_str, id, d->o->deletes))
		COX_TRY(object_delete(d, *id, err));
	cox_world_freeze(d->after.world, d->before.world->snapshot);
	return COX_OK;
}

/* --- proxies ---------------------------------------------------------------------------------------- */

static bool has_proxy(const struct cox_world *w, const struct cox_object *pod)
{
	return cox_str_eq_cstr(cox_kv_get(pod->meta.labels.p, pod->meta.labels.n, COX_STR("security.istio.io/tlsMode")), "istio") ||
	       cox_kv_has(pod->meta.annotations.p, pod->meta.annotations.n, COX_STR("sidecar.istio.io/status")) ||
	       cox_world_is_router(w, pod);
}

static bool is_asked(const struct diff *d, struct cox_str name)
{
	for (COX_EACH(struct cox_str, p, d->o->proxies))
		if (cox_str_eq(*p, name) ||
		    (cox_str_rfind(*p, '.') < 0 && cox_str_eq(cox_arena_concat(d->a, *p, COX_STR(".default")), name)))
			return true;
	return d->o->proxies.n == 0;
}

/* False: this side does not have it, or nothing can be rendered for it (no address yet). */
static bool side_render(struct diff *d, struct side *s, struct cox_str name, struct cox_rendered *out)
{
	struct cox_who who = d->o->who;
	struct cox_proxy *p = NULL;
	who.proxy = name;
	who.guess_router = true;
	who.node = cox_tool_node_find(d->nodes, name);
	if (cox_world_proxy(s->world, &who, &p, NULL) != COX_OK)
		return false;
	cox_translate_proxy_cached(s->world->snapshot, p, s->world->memo, &s->cache, out);
	cox_proxy_unref(p);
	return true;
}

static int64_t bytes_of(const struct cox_rendered *r)
{
	int64_t n = 0;
	for (int t = 0; t < COX_TYPE_COUNT; t++)
		for (size_t i = 0; r->sets[t] && i < r->sets[t]->n; i++)
			n += r->sets[t]->items[i]->size_bytes;
	return n;
}

/* What the change costs each proxy, in bytes of configuration: of the first of the group, names may differ in length. */
static struct cox_json *price(struct diff *d, const struct cox_rendered *before, const struct cox_rendered *after)
{
	struct cox_json *o = cox_json_new_object(d->a);
	cox_json_set(d->a, o, COX_STR("before"), cox_json_new_i64(d->a, bytes_of(before)));
	cox_json_set(d->a, o, COX_STR("after"), cox_json_new_i64(d->a, bytes_of(after)));
	return o;
}

static struct group *group_join(struct diff *d, struct cox_json *effect, struct cox_str proxy)
{
	struct cox_buf b = { 0 };
	cox_json_write(&b, effect, 0, true);
	struct group *g = cox_map_find(&d->groups, cox_buf_str(&b));
	if (g == NULL) {
		g = COX_ARENA_NEW(d->a, struct group);
		g->key = cox_arena_str(d->a, cox_buf_str(&b));
		g->json = effect;
		g->proxies = cox_json_new_array(d->a);
		cox_map_set(&d->groups, g->key, g);
		cox_vec_push(&d->group_list, g);
	}
	cox_json_push(d->a, g->proxies, cox_json_new_str(d->a, proxy));
	cox_buf_fini(&b);
	return g;
}

static void proxy_compare(struct diff *d, struct cox_str name)
{
	struct cox_rendered before = { 0 }, after = { 0 };
	bool was = d->o->is_against_sent ? diff_sent_read(d->o->server, name, d->a, &before, NULL) == COX_OK
	                                 : side_render(d, &d->before, name, &before);
	bool is = side_render(d, &d->after, name, &after);
	if (d->o->is_against_sent && was && is)
		diff_sent_align(&before, &after);
	struct cox_json *effect =
	    was || is ? diff_effect(d->a, was ? &before : NULL, is ? &after : NULL, d->o->is_detailed && was && is) : NULL;
	d->proxies += was || is;
	if (effect) {
		d->touched++;
		if (!was || !is)
			cox_json_set(d->a, effect, COX_STR("proxy"), cox_json_new_str(d->a, was ? COX_STR("removed") : COX_STR("added")));
		struct group *g = group_join(d, effect, name);
		if (g->proxies->n == 1)
			g->price = price(d, &before, &after);
	}
	if (was)
		cox_rendered_fini(&before);
	if (is)
		cox_rendered_fini(&after);
}

/* A live server knows its proxies better than their Pods do. */
static void nodes_compare(struct diff *d)
{
	for (size_t i = 0; i < d->nodes->n; i++) {
		struct cox_str name = cox_json_str_at(&d->nodes->items[i], "proxy");
		if (is_asked(d, name))
			proxy_compare(d, name);
	}
}

/* Pods of both worlds, each once. */
static void proxies_compare(struct diff *d)
{
	bool any = false;
	struct side *sides[] = { &d->before, &d->after };
	for (int pass = 0; pass < 2; pass++) /* first: does any Pod say that it has a proxy? */
		for (size_t s = 0; s < COX_LEN(sides); s++) {
			const struct cox_object *const *pods;
			size_t n = cox_registry_objects(sides[s]->world->registry, COX_KIND_POD, &pods);
			for (size_t i = 0; i < n; i++) {
				const struct cox_meta *m = &pods[i]->meta;
				bool has = has_proxy(sides[s]->world, pods[i]);
				any |= pass == 0 && has;
				bool is_second =
				    s == 1 && cox_registry_object_find(d->before.world->registry, COX_KIND_POD, m->ns, m->name);
				struct cox_str name = cox_arena_printf(d->a, "%.*s.%.*s", COX_FMT(m->name), COX_FMT(m->ns));
				if (pass == 1 && !is_second && (has || !any || d->o->proxies.n > 0) && is_asked(d, name))
					proxy_compare(d, name);
			}
		}
}

/* --- findings --------------------------------------------------------------------------------------- */

static bool finding_is_in(const struct cox_findings *all, const struct cox_finding *f)
{
	for (COX_EACH(struct cox_finding, g, all->items))
		if (g->code == f->code && cox_str_eq(g->object_id, f->object_id) && cox_str_eq(g->path, f->path) &&
		    cox_str_eq(g->text, f->text))
			return true;
	return false;
}

static struct cox_json *findings_only_in(struct diff *d, const struct cox_findings *in, const struct cox_findings *not_in)
{
	struct cox_json *list = cox_json_new_array(d->a);
	for (COX_EACH(struct cox_finding, f, in->items)) {
		if (finding_is_in(not_in, f))
			continue;
		struct cox_json *o = cox_json_new_object(d->a);
		cox_json_set(d->a, o, COX_STR("code"), cox_json_new_str(d->a, cox_str_of(cox_finding_code_name(f->code))));
		cox_json_set(d->a, o, COX_STR("object"), cox_json_new_str(d->a, cox_arena_str(d->a, f->object_id)));
		if (f->path.n)
			cox_json_set(d->a, o, COX_STR("field"), cox_json_new_str(d->a, cox_arena_str(d->a, f->path)));
		cox_json_set(d->a, o, COX_STR("text"), cox_json_new_str(d->a, cox_arena_str(d->a, f->text)));
		cox_json_push(d->a, list, o);
	}
	return list;
}

static void findings_compare(struct diff *d, struct cox_json *out)
{
	struct cox_findings before = { 0 }, after = { 0 };
	struct cox_json *o = cox_json_new_object(d->a);
	cox_snapshot_check(d->before.world->snapshot, d->before.world->registry, d->a, &before);
	cox_snapshot_check(d->after.world->snapshot, d->after.world->registry, d->a, &after);
	struct cox_json *fresh = findings_only_in(d, &after, &before), *gone = findings_only_in(d, &before, &after);
	if (fresh->n)
		cox_json_set(d->a, o, COX_STR("new"), fresh);
	if (gone->n)
		cox_json_set(d->a, o, COX_STR("gone"), gone);
	if (o->n)
		cox_json_set(d->a, out, COX_STR("findings"), o);
}

/* --- the answer ------------------------------------------------------------------------------------- */

static struct cox_json *lines(struct cox_arena *a, struct cox_str text)
{
	struct cox_json *list = cox_json_new_array(a);
	struct cox_str rest = text, line;
	while (rest.n > 0 && cox_str_next(&rest, '\n', &line))
		if (line.n > 0)
			cox_json_push(a, list, cox_json_new_str(a, cox_arena_str(a, line)));
	return list;
}

static struct cox_json *answer(struct diff *d)
{
	struct cox_json *o = cox_json_new_object(d->a), *groups = cox_json_new_array(d->a), *notes = lines(d->a, cox_buf_str(&d->notes));
	cox_json_set(d->a, o, COX_STR("effect"), cox_json_new_bool(d->a, d->touched > 0));
	cox_json_set(d->a, o, COX_STR("proxies"), cox_json_new_i64(d->a, (int64_t)d->proxies));
	cox_json_set(d->a, o, COX_STR("changedProxies"), cox_json_new_i64(d->a, (int64_t)d->touched));
	cox_json_set(d->a, o, COX_STR("viewsTranslated"), cox_json_new_i64(d->a, (int64_t)(d->before.cache.made + d->after.cache.made)));
	cox_json_set(d->a, o, COX_STR("refused"), cox_json_new_i64(d->a, (int64_t)d->after.world->refused));
	if (notes->n)
		cox_json_set(d->a, o, COX_STR("notes"), notes);
	findings_compare(d, o);
	for (size_t i = 0; i < d->group_list.n; i++) {
		struct cox_json *g = cox_json_new_object(d->a);
		cox_json_set(d->a, g, COX_STR("proxies"), d->group_list.p[i]->proxies);
		cox_json_set(d->a, g, COX_STR("bytes"), d->group_list.p[i]->price);
		for (size_t k = 0; k < d->group_list.p[i]->json->n; k++)
			cox_json_set(d->a, g, d->group_list.p[i]->json->members[k].key, &d->group_list.p[i]->json->members[k].value);
		cox_json_push(d->a, groups, g);
	}
	cox_json_set(d->a, o, COX_STR("groups"), groups);
	return o;
}

static void diff_fini(struct diff *d)
{
	cox_render_cache_fini(&d->before.cache);
	cox_render_cache_fini(&d->after.cache);
	cox_world_free(&d->after.world); /* uses the first one's memo */
	cox_world_free(&d->before.world);
	cox_buf_fini(&d->notes);
	cox_map_fini(&d->groups);
	cox_vec_fini(&d->group_list);
}

enum cox_rc cox_tool_diff(const struct cox_diff_options *opts, struct cox_arena *arena, struct cox_json **out, struct cox_err *err)
{
	struct diff d = { .o = opts, .a = arena };
	enum cox_rc rc = base_open(&d, err);
	if (rc == COX_OK)
		rc = change_open(&d, err);
	if (rc == COX_OK) {
		if (d.nodes && d.nodes->n > 0)
			nodes_compare(&d);
		else
			proxies_compare(&d);
		*out = answer(&d);
	}
	diff_fini(&d);
	return rc;
}

int cox_diff_status(const struct cox_json *answer_json)
{
	int64_t refused = 0;
	const struct cox_json *effect = cox_json_get(answer_json, COX_STR("effect")), *n = cox_json_get(answer_json, COX_STR("refused"));
	if (n && cox_json_to_i64(n, &refused) == COX_OK && refused > 0)
		return 2;
	return effect && effect->boolean ? 1 : 0;
}
