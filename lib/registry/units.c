/* Which unit makes which service, who wins a hostname, and building what is dirty. */
#include "registry/registry_priv.h"

#include "base/clock.h"

#include <stdlib.h>

enum { TABLE_STEPS_MAX = 64, ALIAS_STEPS_MAX = 8 }; /* single insertions into the table before it is cheaper to sort it anew */

/* --- changes ---------------------------------------------------------------------------------- */

void reg_change_add(struct cox_registry *r, enum cox_kind kind, struct cox_str id, struct cox_str ns, bool is_removed)
{
	r->pending.needs_snapshot = true;
	struct cox_change *c;
	uintptr_t at = (uintptr_t)cox_map_find(&r->pending_ids, id);
	if (at) {
		c = &r->pending.items.p[at - 1]; /* several events of one object are one change, as old as the first */
	} else {
		c = cox_vec_add(&r->pending.items);
		c->kind = kind;
		c->id = cox_arena_str(&r->pending.arena, id);
		c->ns = cox_arena_str(&r->pending.arena, ns);
		c->event_ns = cox_clock_mono_ns();
		cox_map_set(&r->pending_ids, c->id, (void *)(uintptr_t)r->pending.items.n);
	}
	c->is_removed = is_removed;
}

static void service_change_add(struct cox_registry *r, const struct reg_slot *slot, bool endpoints_only, bool is_removed)
{
	struct cox_change *c = cox_vec_add(&r->pending.items);
	c->kind = COX_KIND_SERVICE;
	c->id = cox_arena_str(&r->pending.arena, slot->hostname);
	c->ns = cox_arena_str(&r->pending.arena, slot->ns);
	c->is_endpoints_only = endpoints_only;
	c->is_removed = is_removed;
	c->event_ns = slot->event_ns ? slot->event_ns : cox_clock_mono_ns();
	r->pending.needs_snapshot |= !endpoints_only;
}

/* --- slots ------------------------------------------------------------------------------------ */

struct reg_slot *reg_slot_find(const struct cox_registry *r, struct cox_str hostname, struct cox_str ns)
{
	struct reg_slot *s = reg_slot_first(r, hostname);
	while (s && !cox_str_eq(s->ns, ns))
		s = s->next;
	return s;
}

static struct reg_slot *slot_make(struct cox_registry *r, struct cox_str hostname, struct cox_str ns)
{
	struct reg_slot *s = reg_slot_find(r, hostname, ns);
	if (s)
		return s;
	s = cox_zalloc(sizeof(*s) + hostname.n + ns.n);
	char *text = (char *)(s + 1);
	memcpy(text, hostname.p, hostname.n);
	if (ns.n > 0)
		memcpy(text + hostname.n, ns.p, ns.n);
	s->hostname = (struct cox_str){ text, hostname.n };
	s->ns = (struct cox_str){ text + hostname.n, ns.n };
	struct reg_slot *first = reg_slot_first(r, hostname);
	if (first) {
		s->next = first->next;
		first->next = s;
	} else {
		cox_map_set(&r->slots, s->hostname, s);
	}
	return s;
}

static void slot_free(struct reg_slot *s)
{
	cox_svc_unref(s->svc);
	cox_endpoint_set_unref(s->endpoints);
	cox_free(s->claims.p);
	cox_free(s);
}

static void slot_drop(struct cox_registry *r, struct reg_slot *s)
{
	struct reg_slot *first = reg_slot_first(r, s->hostname);
	if (first == s) {
		cox_map_remove(&r->slots, s->hostname);
		if (s->next)
			cox_map_set(&r->slots, s->next->hostname, s->next);
	} else {
		while (first->next != s)
			first = first->next;
		first->next = s->next;
	}
	slot_free(s);
}

static void slot_touch(struct cox_registry *r, struct reg_slot *s)
{
	if (s->is_touched)
		return;
	s->is_touched = true;
	cox_vec_push(&r->touched, s);
}

static int unit_cmp_age(const struct reg_unit *a, const struct reg_unit *b)
{
	int c = cox_object_cmp_age(a->o, b->o);
	return c != 0 ? c : (a->o->kind > b->o->kind) - (a->o->kind < b->o->kind);
}

static void slot_claim(struct cox_registry *r, struct reg_slot *s, struct reg_unit *u)
{
	size_t at = 0;
	while (at < s->claims.n && unit_cmp_age(s->claims.p[at], u) < 0)
		at++;
	if (s->claims.n == s->claims.cap) {
		s->claims.cap = s->claims.cap == 0 ? 1 : s->claims.cap * 2;
		s->claims.p = cox_realloc(s->claims.p, s->claims.cap * sizeof(*s->claims.p));
	}
	memmove(&s->claims.p[at + 1], &s->claims.p[at], (s->claims.n - at) * sizeof(*s->claims.p));
	s->claims.p[at] = u;
	s->claims.n++;
	slot_touch(r, s);
}

static void slot_unclaim(struct cox_registry *r, struct reg_slot *s, const struct reg_unit *u)
{
	for (size_t i = 0; i < s->claims.n; i++)
		if (s->claims.p[i] == u) {
			cox_vec_remove(&s->claims, i);
			break;
		}
	s->event_ns = u->event_ns;
	slot_touch(r, s);
}

/* --- units ------------------------------------------------------------------------------------ */

void reg_unit_mark(struct cox_registry *r, struct reg_unit *u)
{
	if (u->is_dirty)
		return;
	u->is_dirty = true;
	u->event_ns = cox_clock_mono_ns();
	cox_vec_push(&r->dirty, u);
}

void reg_unit_mark_by_id(struct cox_registry *r, enum cox_kind kind, struct cox_str ns, struct cox_str name)
{
	const struct cox_object *o = name.n > 0 ? reg_object(r, kind, ns, name) : NULL;
	struct reg_unit *u = o ? cox_map_find(&r->units, o->id) : NULL;
	if (u)
		reg_unit_mark(r, u);
}

void reg_units_mark_all(struct cox_registry *r)
{
	for (struct cox_map_entry *e = NULL; (e = cox_map_next(&r->units, e));)
		reg_unit_mark(r, e->value);
}

static struct cox_str unit_external_name(const struct cox_object *o)
{
	if (o->kind != COX_KIND_SERVICE || !COX_SPEC(cox_service, o)->spec)
		return (struct cox_str){ 0 };
	const struct cox_service_spec *spec = COX_SPEC(cox_service, o)->spec;
	return cox_str_eq(spec->type, COX_STR("ExternalName")) ? spec->external_name : (struct cox_str){ 0 };
}

static void external_forget(struct cox_registry *r, const struct reg_unit *u)
{
	for (size_t i = 0; i < r->externals.n; i++)
		if (r->externals.p[i] == u) {
			cox_vec_remove(&r->externals, i);
			return;
		}
}

static void mark_host(struct cox_registry *r, struct cox_str hostname)
{
	for (struct reg_slot *s = reg_slot_first(r, hostname); s; s = s->next)
		if (s->claims.n > 0)
			reg_unit_mark(r, s->claims.p[0]);
}

void reg_unit_changed(struct cox_registry *r, const struct cox_object *old, const struct cox_object *now)
{
	struct reg_unit *u = cox_map_find(&r->units, (now ? now : old)->id);
	if (old && old->kind == COX_KIND_SERVICE_ENTRY)
		r->is_auto_dirty = true;
	if (now && now->kind == COX_KIND_SERVICE_ENTRY)
		r->is_auto_dirty = true;
	if (u && u->external_name.n > 0) {
		mark_host(r, reg_alias_target(r, u->external_name)); /* its aliases change */
		external_forget(r, u);
		r->has_new_hosts = true;
	}
	if (!now) {
		COX_ASSERT(u); /* what goes away was here */
		reg_unit_mark(r, u);
		cox_map_remove(&r->units, old->id);
		u->o = NULL;
		u->external_name = (struct cox_str){ 0 };
		return;
	}
	if (!u)
		u = COX_NEW(struct reg_unit);
	u->o = now;
	u->external_name = unit_external_name(now);
	if (u->external_name.n > 0) {
		cox_vec_push(&r->externals, u);
		r->has_new_hosts = true;
	}
	cox_map_set(&r->units, now->id, u); /* also moves the key from the old object's memory to the new one's */
	reg_unit_mark(r, u);
}

struct cox_str reg_alias_target(const struct cox_registry *r, struct cox_str external_name)
{
	struct cox_str host = external_name;
	for (int i = 0; i < ALIAS_STEPS_MAX; i++) {
		if (host.n > 0 && host.p[host.n - 1] == '.')
			host.n--;
		const struct reg_slot *s = reg_slot_first(r, host);
		if (!s || s->claims.n == 0 || !s->claims.p[0]->o || s->claims.p[0]->external_name.n == 0)
			break;
		host = s->claims.p[0]->external_name;
	}
	return host;
}

/* The hostnames of a unit, distinct; in scratch. */
static size_t unit_hosts(struct cox_registry *r, const struct reg_unit *u, const struct cox_str **out)
{
	if (u->o->kind == COX_KIND_SERVICE) {
		struct cox_str *one = COX_ARENA_NEW(&r->scratch, struct cox_str);
		*one = reg_service_hostname(r, u->o, &r->scratch);
		*out = one;
		return COX_SPEC(cox_service, u->o)->spec ? 1 : 0;
	}
	const struct cox_service_entry *se = COX_SPEC(cox_service_entry_object, u->o)->spec;
	if (!se)
		return 0;
	struct cox_str *hosts = COX_ARENA_ARRAY(&r->scratch, struct cox_str, se->hosts.n);
	size_t n = 0;
	for (COX_EACH(struct cox_str, h, se->hosts)) {
		bool known = h->n == 0;
		for (size_t i = 0; i < n && !known; i++)
			known = cox_str_eq(hosts[i], *h);
		if (!known)
			hosts[n++] = *h;
	}
	*out = hosts;
	return n;
}

static void unit_release(struct cox_registry *r, struct reg_unit *u)
{
	for (size_t i = 0; i < u->slots.n; i++)
		slot_unclaim(r, u->slots.p[i], u);
	cox_vec_clear(&u->slots);
}

static void unit_claim(struct cox_registry *r, struct reg_unit *u)
{
	const struct cox_str *hosts = NULL;
	size_t n = unit_hosts(r, u, &hosts);
	if (n > u->slots.cap) {
		u->slots.cap = n;
		u->slots.p = cox_realloc(u->slots.p, n * sizeof(*u->slots.p));
	}
	for (size_t i = 0; i < n; i++) {
		u->slots.p[i] = slot_make(r, hosts[i], u->o->meta.ns);
		slot_claim(r, u->slots.p[i], u);
	}
	u->slots.n = n;
}

/* Every dirty unit lets go before any takes: while they change, neither their age nor their being there is what the claims are sorted by.
 */
static void claims_settle(struct cox_registry *r)
{
	size_t n = r->dirty.n;
	for (size_t i = 0; i < n; i++)
		unit_release(r, r->dirty.p[i]);
	for (size_t i = 0; i < n; i++)
		if (r->dirty.p[i]->o)
			unit_claim(r, r->dirty.p[i]);
	for (size_t i = 0; i < r->touched.n; i++) {
		const struct reg_slot *s = r->touched.p[i];
		if (s->claims.n > 0)
			reg_unit_mark(r, s->claims.p[0]); /* who wins now */
		for (size_t k = 0; k < s->claims.n; k++)
			r->has_new_hosts |= s->claims.p[k]->external_name.n > 0; /* an alias counts only while it wins its own name */
	}
}

static void unit_free(struct reg_unit *u)
{
	cox_free(u->slots.p);
	cox_free(u);
}

/* --- the table of services in force -------------------------------------------------------------- */

static int svc_cmp(const struct cox_svc *a, const struct cox_svc *b)
{
	if (a->creation_ms != b->creation_ms)
		return a->creation_ms < b->creation_ms ? -1 : 1;
	int c = cox_str_cmp(a->hostname, b->hostname);
	return c != 0 ? c : cox_str_cmp(a->ns, b->ns);
}

static int entry_cmp(const void *a, const void *b)
{
	return svc_cmp(((const struct cox_svc_entry *)a)->svc, ((const struct cox_svc_entry *)b)->svc);
}

static size_t table_bound(const struct cox_registry *r, const struct cox_svc *svc)
{
	size_t lo = 0, hi = r->table.n;
	while (lo < hi) {
		size_t mid = (lo + hi) / 2;
		if (svc_cmp(r->table.p[mid].svc, svc) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static void table_remove(struct cox_registry *r, const struct cox_svc *svc)
{
	if (r->is_table_stale || !svc)
		return;
	size_t at = table_bound(r, svc);
	COX_ASSERT(at < r->table.n && r->table.p[at].svc == svc);
	cox_vec_remove(&r->table, at);
}

static void table_insert(struct cox_registry *r, const struct reg_slot *s)
{
	if (r->is_table_stale)
		return;
	size_t at = table_bound(r, s->svc);
	cox_vec_add(&r->table);
	memmove(&r->table.p[at + 1], &r->table.p[at], (r->table.n - 1 - at) * sizeof(*r->table.p));
	r->table.p[at] = (struct cox_svc_entry){ s->svc, s->endpoints };
}

static void table_make(struct cox_registry *r)
{
	cox_vec_clear(&r->table);
	for (struct cox_map_entry *e = NULL; (e = cox_map_next(&r->slots, e));)
		for (const struct reg_slot *s = e->value; s; s = s->next)
			if (s->svc)
				cox_vec_push(&r->table, ((struct cox_svc_entry){ s->svc, s->endpoints }));
	if (r->table.n > 0)
		qsort(r->table.p, r->table.n, sizeof(*r->table.p), entry_cmp);
	r->is_table_stale = false;
}

/* --- building ----------------------------------------------------------------------------------- */

static void slot_set(struct cox_registry *r, struct reg_slot *s, const struct cox_svc *svc, const struct cox_endpoint_set *eps)
{
	const struct cox_svc *old_svc = s->svc;
	const struct cox_endpoint_set *old_eps = s->endpoints;
	bool same_place = old_svc && svc && old_svc->creation_ms == svc->creation_ms; /* hostname and namespace are the slot's */
	if (same_place && !r->is_table_stale) {
		size_t at = table_bound(r, old_svc);
		COX_ASSERT(at < r->table.n && r->table.p[at].svc == old_svc);
		r->table.p[at] = (struct cox_svc_entry){ svc, eps };
	} else {
		table_remove(r, old_svc);
	}
	s->svc = svc;
	s->endpoints = eps;
	if (svc && !same_place)
		table_insert(r, s);
	if (old_svc != svc)
		cox_svc_unref(old_svc);
	if (old_eps != eps)
		cox_endpoint_set_unref(old_eps);
}

static void slot_build(struct cox_registry *r, struct reg_slot *s, const struct reg_unit *u)
{
	struct cox_svc tmp = { 0 };
	cox_arena_reset(&r->scratch);
	cox_vec_clear(&r->eps);
	if (u->o->kind == COX_KIND_SERVICE) {
		reg_service_build(r, u->o, s, &tmp);
		reg_service_endpoints(r, u->o, &tmp);
	} else {
		reg_entry_build(r, u->o, s, &tmp);
		reg_entry_endpoints(r, u->o, &tmp);
	}
	struct cox_hash hash = reg_svc_hash(r, &tmp);
	const struct cox_svc *svc = s->svc && cox_hash_eq(s->svc->hash, hash) ? s->svc : reg_svc_seal(r, &tmp);
	const struct cox_endpoint_set *eps = reg_endpoints_seal(r, svc);
	bool same_shape = s->endpoints && cox_hash_eq(s->endpoints->shape, eps->shape);
	if (s->endpoints && cox_hash_eq(s->endpoints->hash, eps->hash) && same_shape) {
		cox_endpoint_set_unref(eps);
		eps = s->endpoints;
	}
	if (svc == s->svc && eps == s->endpoints)
		return;
	bool endpoints_only = svc == s->svc && same_shape;
	r->has_new_hosts |= !s->svc;
	s->event_ns = u->event_ns;
	slot_set(r, s, svc, eps);
	service_change_add(r, s, endpoints_only, false);
}

static void touched_settle(struct cox_registry *r)
{
	for (size_t i = 0; i < r->touched.n; i++) {
		struct reg_slot *s = r->touched.p[i];
		s->is_touched = false;
		if (s->claims.n > 0)
			continue;
		if (s->svc) {
			service_change_add(r, s, false, true);
			table_remove(r, s->svc);
		}
		slot_drop(r, s);
	}
	cox_vec_clear(&r->touched);
}

/* Whether a name leads into the mesh changes as services come and go; few meshes have more than a handful of aliases. */
static void aliases_mark(struct cox_registry *r)
{
	for (size_t i = 0; i < r->externals.n; i++) {
		reg_unit_mark(r, r->externals.p[i]);
		mark_host(r, reg_alias_target(r, r->externals.p[i]->external_name));
	}
	r->has_new_hosts = false;
}

static bool slot_will_change(const struct reg_slot *s) { return (s->claims.n == 0) != (s->svc == NULL); }

void reg_units_resolve(struct cox_registry *r)
{
	claims_settle(r);
	for (size_t i = 0; i < r->touched.n && !r->has_new_hosts; i++)
		r->has_new_hosts = slot_will_change(r->touched.p[i]);
	if (r->is_auto_dirty)
		reg_auto_update(r);
	if (r->has_new_hosts)
		aliases_mark(r);
	if (r->touched.n > TABLE_STEPS_MAX)
		r->is_table_stale = true;
	for (size_t i = 0; i < r->dirty.n; i++) {
		struct reg_unit *u = r->dirty.p[i];
		for (size_t k = 0; u->o && k < u->slots.n; k++)
			if (u->slots.p[k]->claims.p[0] == u)
				slot_build(r, u->slots.p[k], u);
	}
	touched_settle(r);
	for (size_t i = 0; i < r->dirty.n; i++) {
		r->dirty.p[i]->is_dirty = false;
		if (!r->dirty.p[i]->o)
			unit_free(r->dirty.p[i]);
	}
	cox_vec_clear(&r->dirty);
	if (r->is_table_stale)
		table_make(r);
	cox_arena_reset(&r->scratch);
	r->has_new_hosts = false;
}

void reg_units_fini(struct cox_registry *r)
{
	for (size_t i = 0; i < r->dirty.n; i++)
		if (!r->dirty.p[i]->o)
			unit_free(r->dirty.p[i]);
	for (struct cox_map_entry *e = NULL; (e = cox_map_next(&r->units, e));)
		unit_free(e->value);
	for (struct cox_map_entry *e = NULL; (e = cox_map_next(&r->slots, e));)
		for (struct reg_slot *s = e->value, *next; s; s = next) {
			next = s->next;
			slot_free(s);
		}
	cox_map_fini(&r->units);
	cox_map_fini(&r->slots);
	cox_vec_fini(&r->dirty);
	cox_vec_fini(&r->touched);
	cox_vec_fini(&r->externals);
	cox_vec_fini(&r->table);
}
