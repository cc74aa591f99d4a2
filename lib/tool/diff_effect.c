/* diff_effect.c - what is different between two proxies' resources, and what that means. */
#include "tool/diff_priv.h"

#include "envoy/transcode.h"
#include "translate/secret.h"

struct effect {
	struct cox_arena *a;
	struct cox_json *out, *resources, *endpoints_lost, *endpoints_gained, *differences;
	struct diff_hosts hosts;
	bool is_detailed;
};

/* Changed names of one type. */
struct changed {
	struct cox_json *added, *removed, *changed;
};

static struct cox_json *tree_of(struct cox_arena *a, const struct cox_resource *r)
{
	struct cox_buf flat = { 0 };
	struct cox_json *tree = NULL;
	if (r == NULL)
		return NULL;
	cox_resource_flatten(r, &flat);
	struct cox_str wire = cox_arena_str(a, cox_buf_str(&flat));
	cox_buf_fini(&flat);
	if (cox_envoy_any_to_json(cox_type_url(r->type), wire, COX_TRANSCODE_KEEP_OPAQUE, a, &tree, NULL) != COX_OK)
		return NULL;
	if (r->type == COX_TYPE_SDS)
		cox_secret_redact(a, tree);
	return tree;
}

/* Endpoints that take requests. */
static size_t usable(const struct cox_json *cla)
{
	const struct cox_json *groups = cox_json_get(cla, COX_STR("endpoints"));
	size_t n = 0;
	for (size_t g = 0; groups && g < groups->n; g++) {
		const struct cox_json *e = cox_json_get(&groups->items[g], COX_STR("lb_endpoints"));
		for (size_t i = 0; e && i < e->n; i++) {
			struct cox_str h = cox_json_str_at(&e->items[i], "health_status");
			n += h.n == 0 || cox_str_eq_cstr(h, "HEALTHY") || cox_str_eq_cstr(h, "DEGRADED");
		}
	}
	return n;
}

static void name_push(struct cox_arena *a, struct cox_json *list, struct cox_str name)
{
	cox_json_push(a, list, cox_json_new_str(a, cox_arena_str(a, name)));
}

static void endpoints_compare(struct effect *e, const struct cox_resource *before, const struct cox_resource *after,
                              const struct cox_json *was, const struct cox_json *is)
{
	size_t had = usable(was), has = usable(is);
	if (before && had > 0 && has == 0)
		name_push(e->a, e->endpoints_lost, before->name);
	else if (after && had == 0 && has > 0)
		name_push(e->a, e->endpoints_gained, after->name);
}

static void details(struct effect *e, enum cox_type type, struct cox_str name, const struct cox_json *was, const struct cox_json *is)
{
	struct cox_json *o = cox_json_new_object(e->a), *list = cox_json_new_array(e->a);
	cox_json_set(e->a, o, COX_STR("type"), cox_json_new_str(e->a, cox_type_short(type)));
	cox_json_set(e->a, o, COX_STR("name"), cox_json_new_str(e->a, cox_arena_str(e->a, name)));
	diff_json(e->a, (struct cox_str){ 0 }, was, is, list);
	cox_json_set(e->a, o, COX_STR("fields"), list);
	cox_json_push(e->a, e->differences, o);
}

static void resource_compare(struct effect *e, struct changed *c, const struct cox_resource *before, const struct cox_resource *after)
{
	const struct cox_resource *any = before ? before : after;
	COX_ASSERT(any);
	if (before && after && cox_hash_eq(before->hash, after->hash))
		return;
	name_push(e->a, before == NULL ? c->added : after == NULL ? c->removed : c->changed, any->name);
	bool looks_inside = any->type == COX_TYPE_RDS || any->type == COX_TYPE_EDS || (e->is_detailed && before && after);
	if (!looks_inside)
		return;
	const struct cox_json *was = tree_of(e->a, before), *is = tree_of(e->a, after);
	if (any->type == COX_TYPE_RDS)
		diff_hosts_compare(&e->hosts, cox_arena_str(e->a, any->name), was, is);
	if (any->type == COX_TYPE_EDS)
		endpoints_compare(e, before, after, was, is);
	if (e->is_detailed && before && after)
		details(e, any->type, any->name, was, is);
}

/* Sets are sorted by name: one walk through both. */
static void type_compare(struct effect *e, enum cox_type type, const struct cox_set *before, const struct cox_set *after)
{
	struct cox_arena *a = e->a;
	struct changed c = { cox_json_new_array(a), cox_json_new_array(a), cox_json_new_array(a) };
	size_t i = 0, k = 0, bn = before ? before->n : 0, an = after ? after->n : 0;
	while (i < bn || k < an) {
		int cmp = i == bn ? 1 : k == an ? -1 : cox_str_cmp(before->items[i]->name, after->items[k]->name);
		resource_compare(e, &c, cmp <= 0 ? before->items[i] : NULL, cmp >= 0 ? after->items[k] : NULL);
		i += cmp <= 0;
		k += cmp >= 0;
	}
	if (c.added->n + c.removed->n + c.changed->n == 0)
		return;
	struct cox_json *o = cox_json_new_object(a);
	if (c.added->n)
		cox_json_set(a, o, COX_STR("added"), c.added);
	if (c.removed->n)
		cox_json_set(a, o, COX_STR("removed"), c.removed);
	if (c.changed->n)
		cox_json_set(a, o, COX_STR("changed"), c.changed);
	cox_json_set(a, e->resources, cox_type_short(type), o);
}

static void put_pair(struct cox_arena *a, struct cox_json *out, const char *key, const struct cox_json *lost, const struct cox_json *gained)
{
	struct cox_json *o = cox_json_new_object(a);
	if (lost->n)
		cox_json_set(a, o, COX_STR("lost"), lost);
	if (gained->n)
		cox_json_set(a, o, COX_STR("gained"), gained);
	if (o->n)
		cox_json_set(a, out, cox_str_of(key), o);
}

struct cox_json *diff_effect(struct cox_arena *a, const struct cox_rendered *before, const struct cox_rendered *after, bool is_detailed)
{
	struct effect e = { .a = a,
		            .out = cox_json_new_object(a),
		            .resources = cox_json_new_object(a),
		            .endpoints_lost = cox_json_new_array(a),
		            .endpoints_gained = cox_json_new_array(a),
		            .differences = cox_json_new_array(a),
		            .is_detailed = is_detailed };
	e.hosts = (struct diff_hosts){ a, cox_json_new_array(a), cox_json_new_array(a), cox_json_new_array(a) };
	for (int t = 0; t < COX_TYPE_COUNT; t++) {
		const struct cox_set *was = before ? before->sets[t] : NULL, *is = after ? after->sets[t] : NULL;
		if (was && is && cox_hash_eq(was->hash, is->hash))
			continue;
		type_compare(&e, (enum cox_type)t, was, is);
	}
	if (e.resources->n == 0)
		return NULL;
	cox_json_set(a, e.out, COX_STR("resources"), e.resources);
	put_pair(a, e.out, "hosts", e.hosts.lost, e.hosts.gained);
	put_pair(a, e.out, "endpoints", e.endpoints_lost, e.endpoints_gained);
	if (e.hosts.shifts->n)
		cox_json_set(a, e.out, COX_STR("shifts"), e.hosts.shifts);
	if (e.differences->n)
		cox_json_set(a, e.out, COX_STR("differences"), e.differences);
	return e.out;
}
