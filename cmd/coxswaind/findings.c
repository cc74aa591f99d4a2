#include "findings.h"

#include "analyze/analyze.h"
#include "base/log.h"
#include "base/map.h"
#include "base/metric.h"
#include "loop/timer.h"
#include "snapshot/check.h"

#include <stdlib.h>

enum { SETTLE_MS = 1000 };

struct findings {
	struct cox_loop *loop;
	struct cox_registry *registry;
	struct cox_convert *convert;
	struct cox_push *push;
	struct cox_status *status;
	struct cox_addresses *addresses;
	struct cox_timer *timer;
	struct cox_map said;    /* "<object id> <path> <text>": owned keys; value is the key */
	struct cox_map objects; /* ids of objects with findings in their status */
	struct cox_arena arena;
};

static void on_settled(void *arg);

struct findings *findings_new(struct cox_loop *loop, struct cox_registry *registry, struct cox_convert *convert, struct cox_push *push)
{
	struct findings *f = COX_NEW(struct findings);
	f->loop = loop;
	f->registry = registry;
	f->convert = convert;
	f->push = push;
	f->timer = cox_timer_new(loop, on_settled, f);
	return f;
}

static void clear(struct cox_map *m)
{
	for (struct cox_map_entry *e = NULL; (e = cox_map_next(m, e));)
		cox_free(e->value);
	cox_map_fini(m);
}

void findings_free(struct findings *f)
{
	if (!f)
		return;
	cox_timer_free(&f->timer);
	clear(&f->said);
	clear(&f->objects);
	cox_arena_fini(&f->arena);
	cox_free(f);
}

void findings_set_status(struct findings *f, struct cox_status *status) { f->status = status; }
void findings_set_addresses(struct findings *f, struct cox_addresses *addresses) { f->addresses = addresses; }
void findings_poke(struct findings *f) { cox_timer_start(f->timer, SETTLE_MS, 0); }

static void add(struct cox_map *m, struct cox_str key)
{
	if (cox_map_find(m, key))
		return;
	char *own = cox_str_dup_cstr(key);
	cox_map_set(m, (struct cox_str){ own, key.n }, own);
}

/* "VirtualService/default/reviews" */
static bool split_id(struct cox_str id, enum cox_kind *kind, struct cox_str *ns, struct cox_str *name)
{
	struct cox_str kind_name;
	if (!cox_str_next(&id, '/', &kind_name) || !cox_str_next(&id, '/', ns) || !cox_str_next(&id, '/', name))
		return false;
	const struct cox_kind_info *info = cox_kind_find_word(kind_name);
	if (info)
		*kind = info->kind;
	return info != NULL;
}

/* The object of this id, if it was made by lib/convert: nobody can read a status of it. */
static const struct cox_object *generated_find(const struct findings *f, struct cox_str id)
{
	enum cox_kind kind;
	struct cox_str ns, name;
	const struct cox_object *o = split_id(id, &kind, &ns, &name) ? cox_registry_object_find(f->registry, kind, ns, name) : NULL;
	return o && o->is_generated ? o : NULL;
}

/* What Istio's analysis says too has its code and name there (validationMessages). */
static void name_it(enum cox_finding_code code, struct cox_status_finding *out)
{
	static const struct {
		enum cox_finding_code ours;
		enum cox_analyze_code istios;
	} same[] = {
		{ COX_FINDING_NO_HOST, COX_AN_NOT_FOUND },        { COX_FINDING_NO_SUBSET, COX_AN_NOT_FOUND },
		{ COX_FINDING_NO_GATEWAY, COX_AN_NOT_FOUND },     { COX_FINDING_NO_DELEGATE, COX_AN_NOT_FOUND },
		{ COX_FINDING_NO_PORT, COX_AN_NOT_FOUND },        { COX_FINDING_DUPLICATE_HOST, COX_AN_VS_HOST_CONFLICT },
		{ COX_FINDING_NO_EFFECT, COX_AN_SCHEMA_WARNING },
	};
	out->name = cox_str_of(cox_finding_code_name(code));
	for (size_t i = 0; i < COX_LEN(same); i++)
		if (same[i].ours == code) {
			out->code = cox_str_of(cox_analyze_code_info(same[i].istios)->code);
			out->name = cox_str_of(cox_analyze_code_info(same[i].istios)->name);
		}
}

static void tell_status(struct findings *f, struct cox_str id, const struct cox_finding *items, size_t n)
{
	struct cox_status_finding *out = COX_ARENA_ARRAY(&f->arena, struct cox_status_finding, n);
	enum cox_kind kind;
	struct cox_str ns, name;
	if (!f->status || !split_id(id, &kind, &ns, &name) || generated_find(f, id))
		return;
	for (size_t i = 0; i < n; i++) {
		out[i] = (struct cox_status_finding){ .severity = items[i].severity, .path = items[i].path, .text = items[i].text };
		name_it(items[i].code, &out[i]);
	}
	cox_status_set(f->status, kind, ns, name, 0, COX_STATUS_CHECK, out, n);
}

static void tell_line(struct findings *f, struct cox_map *now, struct cox_str id, struct cox_str path, struct cox_str text)
{
	const struct cox_object *made = generated_find(f, id);
	struct cox_str line = cox_arena_printf(&f->arena, "%.*s %.*s: %.*s", COX_FMT(id), COX_FMT(path), COX_FMT(text));
	if (made) /* whoever reads it knows the object that it was made from */
		line = cox_arena_printf(&f->arena, "%.*s: as %.*s", COX_FMT(made->origin), COX_FMT(line));
	if (!cox_map_find(&f->said, line))
		cox_log(COX_LOG_WARN, "check", "%.*s", COX_FMT(line));
	add(now, line);
}

/* Log lines for what is new; lines said before and gone are forgotten, so that they are said again when they come back. */
static void tell_log(struct findings *f, const struct cox_findings *found)
{
	struct cox_map now = { 0 };
	const struct cox_convert_finding *converted;
	for (COX_EACH(struct cox_finding, i, found->items))
		tell_line(f, &now, i->object_id, i->path, i->text);
	size_t n = cox_convert_findings(f->convert, &f->arena, &converted);
	for (size_t i = 0; i < n; i++)
		tell_line(f, &now, converted[i].object_id, converted[i].path, converted[i].text);
	clear(&f->said);
	f->said = now;
}

static void tell_addresses(struct findings *f)
{
	const struct cox_object *const *entries;
	size_t n = f->addresses ? cox_registry_objects(f->registry, COX_KIND_SERVICE_ENTRY, &entries) : 0;
	for (size_t i = 0; i < n; i++) {
		struct cox_se_address *list;
		size_t count = cox_registry_auto_addresses(f->registry, entries[i], &f->arena, &list);
		if (!cox_registry_auto_addresses_are_said(entries[i], list, count))
			cox_addresses_set(f->addresses, entries[i]->meta.ns, entries[i]->meta.name, list, count);
	}
}

static int by_object(const void *a, const void *b)
{
	const struct cox_finding *x = a, *y = b;
	int c = cox_str_cmp(x->object_id, y->object_id);
	return c != 0 ? c : cox_str_cmp(x->path, y->path);
}

/* Patches that select connected proxies and change nothing in any of them: only the made configuration tells. */
static void add_patches(struct findings *f, struct cox_findings *found)
{
	struct cox_push_patch *patches;
	size_t n = cox_push_patches(f->push, &f->arena, &patches), idle = 0;
	for (size_t i = 0; i < n; i++)
		idle += patches[i].objects == 0 && patches[i].proxies > 0;
	if (idle == 0)
		return;
	struct cox_finding *all = COX_ARENA_ARRAY(&f->arena, struct cox_finding, found->items.n + idle);
	memcpy(all, found->items.p, found->items.n * sizeof(*all));
	for (size_t i = 0; i < n; i++)
		if (patches[i].objects == 0 && patches[i].proxies > 0) {
			found->counts[COX_FINDING_PATCH_NEVER]++;
			all[found->items.n++] = (struct cox_finding){
				.code = COX_FINDING_PATCH_NEVER,
				.severity = COX_SEV_WARNING,
				.object_id = patches[i].object->id,
				.path = cox_arena_printf(&f->arena, "spec.configPatches[%u]", patches[i].at),
				.text = cox_arena_printf(&f->arena, "changes nothing in any of %zu connected proxies that it selects",
				                         patches[i].proxies)
			};
		}
	qsort(all, found->items.n, sizeof(*all), by_object);
	found->items.p = all;
}

static void on_settled(void *arg)
{
	struct findings *f = arg;
	const struct cox_snapshot *s = cox_push_snapshot(f->push);
	struct cox_findings found = { 0 };
	struct cox_map now = { 0 };
	if (!s)
		return;
	cox_arena_reset(&f->arena);
	cox_snapshot_check(s, f->registry, &f->arena, &found);
	add_patches(f, &found);
	cox_metric_set(COX_M_DANGLING, NULL, (double)(found.counts[COX_FINDING_NO_HOST] + found.counts[COX_FINDING_NO_SUBSET]));
	cox_metric_set(COX_M_DUP_SUBSETS, NULL, (double)found.counts[COX_FINDING_DUPLICATE_SUBSET]);
	cox_metric_set(COX_M_VS_DUP_DOMAIN, NULL, (double)found.counts[COX_FINDING_DUPLICATE_HOST]);
	cox_metric_set(COX_M_DUP_CLUSTERS, NULL, (double)found.counts[COX_FINDING_CLAIMED]);
	cox_metric_set(COX_M_CONFLICT_TCP_TCP, NULL, (double)found.counts[COX_FINDING_ADDRESS_CONFLICT]);
	cox_metric_set(COX_M_CONFLICT_INBOUND, NULL, (double)found.counts[COX_FINDING_TARGET_PORT_CONFLICT]);
	tell_log(f, &found);
	tell_addresses(f);
	for (size_t i = 0, n; i < found.items.n; i += n) {
		for (n = 1; i + n < found.items.n && cox_str_eq(found.items.p[i + n].object_id, found.items.p[i].object_id); n++)
			;
		tell_status(f, found.items.p[i].object_id, &found.items.p[i], n);
		add(&now, found.items.p[i].object_id);
	}
	for (struct cox_map_entry *e = NULL; (e = cox_map_next(&f->objects, e));)
		if (!cox_map_find(&now, e->key))
			tell_status(f, e->key, NULL, 0);
	clear(&f->objects);
	f->objects = now;
}
