/* check - what must hold after every step, and when all is quiet. */
#include "sim.h"

#include <stdarg.h>
#include <stdio.h>

void sim_fail(struct sim *s, const char *fmt, ...)
{
	va_list ap;
	if (!s->failed) {
		printf("seed %llu%s step %u (%s): ", (unsigned long long)s->seed, s->with_nacks ? " --nacks" : "", s->step, s->action);
		va_start(ap, fmt);
		(void)vprintf(fmt, ap);
		va_end(ap);
		printf("\n");
	}
	s->failed = true;
}

static void excuse_key(struct cox_buf *key, const struct cox_resource *r, struct cox_str need)
{
	char hex[33];
	cox_hash_to_hex(r->hash, hex);
	cox_buf_clear(key);
	cox_buf_printf(key, "%d/%s/%.*s", (int)r->type, hex, COX_FMT(need));
}

static bool is_wanted_cluster(const struct envoy *e, struct cox_str name)
{
	for (unsigned p = 0; p < COX_PUSH_PARTS; p++)
		if (e->wanted[p] && e->wanted[p]->sets[COX_TYPE_CDS] && cox_set_find(e->wanted[p]->sets[COX_TYPE_CDS], name))
			return true;
	return false;
}

static void excuse_take(struct sim *s, struct cox_buf *key)
{
	if (!cox_map_find(&s->world.excused, cox_buf_str(key))) {
		char *text = cox_str_dup_cstr(cox_buf_str(key));
		cox_map_set(&s->world.excused, cox_str_of(text), text);
	}
	cox_buf_fini(key);
}

static void excuse(struct sim *s, const struct cox_resource *r, struct cox_str need)
{
	struct cox_buf key = { 0 };
	excuse_key(&key, r, need);
	excuse_take(s, &key);
}

/* What led nowhere before an update and still does is not the update's fault. */
void excuse_carried(struct envoy *e, const struct cox_resource *old, const struct cox_resource *r)
{
	struct cox_str rest, need, old_rest, had;
	for (rest = old ? r->needs : COX_STR(""); rest.n && cox_str_next(&rest, '\n', &need);) {
		const struct held *c = table_find(&e->have[COX_TYPE_CDS], need);
		if (c && c->active)
			continue;
		for (old_rest = old->needs; old_rest.n && cox_str_next(&old_rest, '\n', &had);)
			if (cox_str_eq(had, need))
				excuse(e->sim, r, need);
	}
}

static void excuse_set(struct sim *s, const struct envoy *e, const struct cox_set *set)
{
	struct cox_str rest, need;
	for (size_t i = 0; set && i < set->n; i++)
		for (rest = set->items[i]->needs; rest.n && cox_str_next(&rest, '\n', &need);) {
			if (!need.n || cox_str_has_prefix(need, COX_STR("rds:")) || is_wanted_cluster(e, need))
				continue;
			excuse(s, set->items[i], need);
		}
}

void excuse_dangling(struct sim *s, const struct envoy *e)
{
	for (unsigned p = 0; p < COX_PUSH_PARTS; p++) {
		excuse_set(s, e, e->wanted[p]->sets[COX_TYPE_LDS]);
		excuse_set(s, e, e->wanted[p]->sets[COX_TYPE_RDS]);
		excuse_set(s, e, e->wanted[p]->sets[COX_TYPE_VHDS]);
	}
}

/* The newest version of it is rejected, by this Envoy or for its class. */
static bool rejects_wanted(const struct envoy *e, enum cox_type type, struct cox_str name)
{
	for (unsigned p = 0; p < COX_PUSH_PARTS; p++) {
		const struct cox_set *set = e->wanted[p] ? e->wanted[p]->sets[type] : NULL;
		const struct cox_resource *r = set ? cox_set_find(set, name) : NULL;
		if (r && envoy_rejects(e, r))
			return true;
		const struct unit *u = e->client->units[p];
		for (size_t i = 0; u && i < u->left_out.n; i++)
			if (u->left_out.p[i]->type == type && cox_str_eq(u->left_out.p[i]->name, name))
				return true;
	}
	return false;
}

/* A cluster that this Envoy itself rejects is not there, whatever the order; what named it then may go on to do so. And what it keeps
 * because it rejects the successor may name what is no more. */
static bool is_own_fault(struct sim *s, const struct envoy *e, const struct cox_resource *r, struct cox_str need)
{
	struct cox_buf key = { 0 };
	excuse_key(&key, r, need);
	cox_buf_printf(&key, "/%u", e->index);
	bool is_known = cox_map_find(&s->world.excused, cox_buf_str(&key)) != NULL;
	if (is_known || !(rejects_wanted(e, COX_TYPE_CDS, need) || rejects_wanted(e, r->type, r->name))) {
		cox_buf_fini(&key);
		return is_known;
	}
	excuse_take(s, &key);
	return true;
}

static void check_needs(struct sim *s, const struct envoy *e, const struct cox_resource *r)
{
	struct cox_buf key = { 0 };
	struct cox_str rest = r->needs, need;
	while (rest.n && cox_str_next(&rest, '\n', &need)) {
		if (!need.n || cox_str_has_prefix(need, COX_STR("rds:")))
			continue;
		const struct held *c = table_find(&e->have[COX_TYPE_CDS], need);
		if (c && c->active)
			continue;
		excuse_key(&key, r, need);
		if (!cox_map_find(&s->world.excused, cox_buf_str(&key)) && !is_own_fault(s, e, r, need)) {
			const struct held *self = table_find(&e->have[r->type], r->name);
			const struct cox_resource *w = NULL;
			for (unsigned p = 0; p < COX_PUSH_PARTS && !w; p++)
				w = e->wanted[p] && e->wanted[p]->sets[r->type] ? cox_set_find(e->wanted[p]->sets[r->type], r->name) : NULL;
			sim_fail(s, "proxy %u serves %s %.*s, which names cluster %.*s that it has not got%s (wanted: %s%s)", e->index,
			         cox_type_metric(r->type), COX_FMT(r->name), COX_FMT(need), c ? " (warming)" : "",
			         !w                              ? "no more"
			         : cox_hash_eq(w->hash, r->hash) ? "as it is"
			                                         : "otherwise",
			         self && self->warming ? ", its successor warms" : "");
		}
	}
	cox_buf_fini(&key);
}

void check_references(struct sim *s)
{
	for (unsigned i = 0; i < PROXIES && !s->failed; i++) {
		const struct envoy *e = &s->envoys[i];
		if (e->gate_expired || e->is_rejoining)
			continue;
		static const enum cox_type types[] = { COX_TYPE_LDS, COX_TYPE_RDS, COX_TYPE_VHDS };
		for (size_t t = 0; t < COX_LEN(types); t++)
			for (size_t k = 0; k < e->have[types[t]].items.n; k++)
				if (e->have[types[t]].items.p[k]->active)
					check_needs(s, e, e->have[types[t]].items.p[k]->active);
	}
}

/* --- quiet ------------------------------------------------------------------------------------------ */

static bool is_excepted(const struct envoy *e, const struct cox_resource *r)
{
	if (envoy_rejects(e, r))
		return true;
	for (unsigned p = 0; p < COX_PUSH_PARTS; p++)
		if (push_is_rejected(e->sim->world.push, e->client->units[p], r))
			return true;
	return false;
}

static void compare_one(struct sim *s, const struct envoy *e, const struct cox_resource *want, const struct held *h)
{
	char a[33], b[33] = "none";
	if (is_excepted(e, want) || (h && h->is_unlisted) || (h && h->active && cox_hash_eq(h->active->hash, want->hash) && !h->warming))
		return;
	cox_hash_to_hex(want->hash, a);
	if (h && h->active)
		cox_hash_to_hex(h->active->hash, b);
	const struct cox_resource *engine = NULL;
	for (unsigned p = 0; p < COX_PUSH_PARTS && !engine; p++)
		engine = e->wanted[p] && e->wanted[p]->sets[want->type] ? cox_set_find(e->wanted[p]->sets[want->type], want->name) : NULL;
	sim_fail(s, "proxy %u: %s %.*s should be %s, is %s%s (the engine wants %s)", e->index, cox_type_metric(want->type),
	         COX_FMT(want->name), a, b, h && h->warming ? ", and one warms" : "",
	         !engine                                 ? "none"
	         : cox_hash_eq(engine->hash, want->hash) ? "the former"
	                                                 : "another");
}

static bool is_wanted(const struct envoy *e, enum cox_type type, struct cox_str name)
{
	for (unsigned p = 0; p < COX_PUSH_PARTS; p++)
		if (e->wanted[p] && e->wanted[p]->sets[type] && cox_set_find(e->wanted[p]->sets[type], name))
			return true;
	return false;
}

static void check_extra(struct sim *s, const struct envoy *e, enum cox_type type, const struct cox_set *target)
{
	for (size_t i = 0; i < e->have[type].items.n; i++) {
		const struct held *h = e->have[type].items.p[i];
		if ((h->active || h->warming) && !h->is_unlisted && !(target && cox_set_find(target, cox_str_of(h->name))))
			sim_fail(s, "proxy %u: %s %s should be gone%s", e->index, cox_type_metric(type), h->name,
			         is_wanted(e, type, cox_str_of(h->name)) ? " (the engine wants it)" : "");
	}
}

static void compare(struct sim *s, struct envoy *e, const struct cox_rendered *want)
{
	static const enum cox_type types[] = { COX_TYPE_CDS, COX_TYPE_LDS, COX_TYPE_EDS, COX_TYPE_RDS, COX_TYPE_VHDS };
	for (size_t t = 0; t < COX_LEN(types); t++) {
		enum cox_type type = types[t];
		const struct cox_set *target = want->sets[type];
		for (size_t i = 0; target && i < target->n; i++) {
			struct cox_str name = target->items[i]->name;
			const struct held *h = table_find(&e->have[type], name);
			/* By name only what is referred to is asked for. */
			if ((type == COX_TYPE_EDS || type == COX_TYPE_RDS) && !h)
				continue;
			if (type == COX_TYPE_VHDS) {
				const struct held *route =
				    table_find(&e->have[COX_TYPE_RDS], cox_str_sub(name, 0, (size_t)cox_str_find(name, '/')));
				if (!e->has_vhds || !route || !route->active)
					continue;
			}
			compare_one(s, e, target->items[i], h);
		}
		if (type != COX_TYPE_EDS && type != COX_TYPE_RDS)
			check_extra(s, e, type, target);
	}
}

static void check_waiting(struct sim *s, const struct envoy *e)
{
	for (size_t i = 0; i < e->have[COX_TYPE_RDS].items.n; i++) {
		const struct held *h = e->have[COX_TYPE_RDS].items.p[i];
		if ((!h->active && !h->is_missing) || h->needs_vhosts)
			sim_fail(s, "proxy %u: waits for route %s for ever%s", e->index, h->name, h->active ? " (virtual hosts)" : "");
	}
	for (size_t i = 0; i < e->have[COX_TYPE_CDS].items.n; i++) {
		const struct held *h = e->have[COX_TYPE_CDS].items.p[i], *cla = table_find(&e->have[COX_TYPE_EDS], cox_str_of(h->name));
		if (h->warming)
			sim_fail(s, "proxy %u: cluster %s warms for ever (%s)", e->index, h->name,
			         cla && cla->active ? "with endpoints" : "without endpoints");
	}
	if (e->held_acks.n)
		sim_fail(s, "proxy %u: CDS is not acknowledged", e->index);
}

void check_quiet(struct sim *s)
{
	for (unsigned i = 0; i < PROXIES && !s->failed; i++) {
		struct envoy *e = &s->envoys[i];
		struct cox_rendered want;
		check_waiting(s, e);
		world_render(s, e->rendered_proxy, &want);
		compare(s, e, &want);
		cox_rendered_fini(&want);
		e->gate_expired = false;
	}
}
