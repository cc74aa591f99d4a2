/* secrets - which Secrets and ConfigMaps are wanted, who gets them, and what is served of one that has gone. */
#include "push/push_priv.h"

#include "base/clock.h"
#include "base/log.h"

enum { KEEP_MS = 10 * 60 * 1000 }; /* an object is watched on after its last user left: proxies restart, sources cannot always be reached */

void push_secrets_identify(struct cox_workload *w, const struct cox_push_identity *id)
{
	if (id->is_verified)
		cox_workload_set_access(w, &(struct cox_secret_access){ true, id->ns, id->service_account, COX_ACCESS_ASKING });
}

/* --- what is used ---------------------------------------------------------------------------- */

static struct push_object *object_get(struct cox_push *p, enum cox_kind kind, struct cox_str ns, struct cox_str name)
{
	struct cox_str key = cox_arena_printf(&p->arena, "%.*s/%.*s/%.*s", COX_FMT(cox_kind_info(kind)->name), COX_FMT(ns), COX_FMT(name));
	struct push_object *o = cox_map_find(&p->objects, key);
	if (o)
		return o;
	o = cox_zalloc(sizeof(*o) + key.n);
	o->kind = kind;
	o->key_n = key.n;
	memcpy(o->key, key.p, key.n);
	size_t head = cox_kind_info(kind)->name.n + 1;
	o->ns = (struct cox_str){ o->key + head, ns.n };
	o->name = (struct cox_str){ o->key + head + ns.n + 1, name.n };
	cox_map_set(&p->objects, (struct cox_str){ o->key, o->key_n }, o);
	if (p->opts.want)
		p->opts.want(p->opts.arg, kind, o->ns, o->name, true);
	return o;
}

static void use_end(struct push_secret_use *use)
{
	for (size_t i = 0; i < COX_LEN(use->objects); i++)
		if (use->objects[i] && --use->objects[i]->uses == 0)
			use->objects[i]->unused_ms = cox_clock_mono_ms();
	cox_free(use->name);
}

void push_secrets_leave(struct cox_push *p, struct unit *u)
{
	(void)p;
	for (size_t i = 0; i < u->secrets.n; i++)
		use_end(&u->secrets.p[i]);
	cox_vec_clear(&u->secrets);
}

static void object_drop(struct cox_push *p, struct push_object *o)
{
	if (p->opts.want)
		p->opts.want(p->opts.arg, o->kind, o->ns, o->name, false);
	cox_free(o);
}

void push_secrets_sweep(struct cox_push *p)
{
	int64_t now = cox_clock_mono_ms();
	for (struct cox_map_entry *e = NULL; (e = cox_map_next(&p->objects, e));) {
		struct push_object *o = e->value;
		if (o->uses > 0 || now - o->unused_ms < KEEP_MS)
			continue;
		cox_map_remove(&p->objects, e->key);
		object_drop(p, o);
	}
}

void push_secrets_fini(struct cox_push *p)
{
	for (struct cox_map_entry *e = NULL; (e = cox_map_next(&p->objects, e));)
		cox_free(e->value);
	cox_map_fini(&p->objects);
}

/* --- fingerprint ------------------------------------------------------------------------------ */

static enum cox_access may_list(const struct cox_push *p, const struct cox_secret_access *a)
{
	if (!a->is_verified)
		return COX_ACCESS_DENIED;
	return p->opts.may_list_secrets ? p->opts.may_list_secrets(p->opts.arg, a->ns, a->service_account) : COX_ACCESS_ALLOWED;
}

static struct cox_hash hash_of(const struct cox_snapshot *s, enum cox_kind kind, struct cox_str ns, struct cox_str name)
{
	const struct cox_object *o = cox_snapshot_secret_find(s, kind, ns, name);
	return o ? o->hash : (struct cox_hash){ 0, 0 };
}

/* Routers find the names while they are translated, so every Secret counts that is known; sources bring only those that are used. A
 * sidecar's stand in few rules. */
struct cox_hash push_secrets_inputs(struct cox_push *p, struct cox_workload *w)
{
	struct cox_hash h = { 0, 0 };
	struct cox_secret_names names = { 0 };
	struct cox_secret_ref ref;

	if (w->view.type == COX_PROXY_ROUTER) {
		h = p->snapshot->secrets_hash;
	} else {
		struct cox_tr t = { .s = p->snapshot, .view = &w->view, .memo = p->memo, .arena = &p->arena };
		cox_secret_names_of_rules(&t, w, &names);
		for (size_t i = 0; i < names.items.n; i++)
			if (cox_secret_ref_parse(names.items.p[i], w->view.ns, &ref)) {
				h = cox_hash_combine(h, cox_hash128(ref.name.p, ref.name.n));
				h = cox_hash_combine(h, hash_of(p->snapshot, ref.kind, ref.ns, ref.object));
				h = cox_hash_combine(h, hash_of(p->snapshot, ref.kind, ref.ns, ref.fallback));
			}
		bool has_none = names.items.n == 0;
		cox_secret_names_fini(&names);
		if (has_none)
			return h;
	}
	w->secrets.may_list = may_list(p, &w->secrets);
	return cox_hash_combine(h, (struct cox_hash){ (uint64_t)w->secrets.may_list, 1 });
}

void cox_push_access_changed(struct cox_push *p)
{
	for (struct cox_map_entry *m = NULL; (m = cox_map_next(&p->units[COX_PUSH_WORKLOAD], m));) {
		struct unit *u = m->value;
		if (u->workload->secrets.is_verified)
			push_unit_mark(p, u);
	}
	push_wake(p);
}

/* --- translation ------------------------------------------------------------------------------ */

/* Only what the proxy may have is wanted: else anybody could have us read any Secret by claiming a namespace. */
static void use_objects(struct cox_push *p, const struct unit *u, struct push_secret_use *use)
{
	struct cox_secret_ref ref;
	struct cox_str names[COX_LEN(use->objects)];

	if (!cox_secret_ref_parse(cox_str_of(use->name), u->workload->view.ns, &ref) ||
	    cox_secret_may(p->snapshot, u->workload, &ref) != COX_SECRET_SERVED)
		return;
	names[0] = ref.object;
	names[1] = ref.fallback;
	for (size_t i = 0; i < COX_LEN(names); i++)
		if (names[i].n > 0) {
			use->objects[i] = object_get(p, ref.kind, ref.ns, names[i]);
			use->objects[i]->uses++;
		}
}

/* What was served while the object was there. A certificate that works is not taken away because nobody put another in its place. */
static const struct cox_resource *last_good(const struct unit *u, struct cox_str name)
{
	const struct cox_set *before = u->wanted ? u->wanted->sets[COX_TYPE_SDS] : NULL;
	const struct cox_resource *r = before ? cox_set_find(before, name) : NULL;
	return r ? cox_resource_ref(r) : NULL;
}

static void tell(const struct unit *u, const struct push_secret_use *use, enum cox_secret_state before)
{
	if (use->state == before || use->state == COX_SECRET_SERVED || use->state == COX_SECRET_ASKING)
		return;
	/* What was just asked for may be on its way. */
	bool may_come = use->state == COX_SECRET_MISSING && before == COX_SECRET_ASKING;
	cox_log(may_come ? COX_LOG_INFO : COX_LOG_WARN, "push", "secret %s workload=%.*s.%.*s secret=\"%s\"%s",
	        cox_secret_state_text(use->state), COX_FMT(u->workload->name), COX_FMT(u->workload->view.ns), use->name,
	        use->is_kept ? " (what it said last is served on)" : "");
}

static enum cox_secret_state state_before(const struct unit *u, struct cox_str name)
{
	for (size_t i = 0; i < u->secrets.n; i++)
		if (cox_str_eq_cstr(name, u->secrets.p[i].name))
			return u->secrets.p[i].state;
	return COX_SECRET_ASKING;
}

const struct cox_set *push_secrets_translate(struct cox_push *p, struct unit *u, struct cox_tr *t, const struct cox_secret_names *names)
{
	cox_resources made = { 0 };
	COX_VEC(struct push_secret_use) uses = { 0 };

	for (size_t i = 0; i < names->items.n; i++) {
		const struct cox_resource *r = NULL;
		struct push_secret_use *use = cox_vec_add(&uses);
		*use = (struct push_secret_use){ .name = cox_str_dup_cstr(names->items.p[i]) };
		use->state = cox_secret_build(t, u->workload, names->items.p[i], &r);
		use_objects(p, u, use);
		if (use->state == COX_SECRET_MISSING || use->state == COX_SECRET_EMPTY || use->state == COX_SECRET_ASKING) {
			r = last_good(u, names->items.p[i]);
			use->is_kept = r != NULL;
		}
		tell(u, use, state_before(u, names->items.p[i]));
		if (r)
			cox_vec_push(&made, r);
	}
	push_secrets_leave(p, u); /* after the new ones were counted: what is used on is not let go of */
	for (size_t i = 0; i < uses.n; i++)
		cox_vec_push(&u->secrets, uses.p[i]);
	cox_vec_fini(&uses);
	if (made.n == 0) {
		cox_vec_fini(&made);
		return NULL; /* no answer rather than an empty one, which a proxy would take for an error */
	}
	return push_make_set(p, u, COX_TYPE_SDS, &made);
}

/* --- dump ------------------------------------------------------------------------------------- */

static struct cox_json *text(struct cox_arena *a, struct cox_str s) { return cox_json_new_str(a, cox_arena_str(a, s)); }

struct cox_json *cox_push_dump_secrets(const struct cox_push *p, struct cox_arena *a)
{
	struct cox_json *all = cox_json_new_array(a);
	for (struct cox_map_entry *m = NULL; (m = cox_map_next(&p->units[COX_PUSH_WORKLOAD], m));) {
		const struct unit *u = m->value;
		if (u->secrets.n == 0)
			continue;
		struct cox_json *o = cox_json_new_object(a), *list = cox_json_new_array(a);
		cox_json_set(a, o, COX_STR("workload"),
		             text(a, cox_arena_printf(a, "%.*s.%.*s", COX_FMT(u->workload->name), COX_FMT(u->workload->view.ns))));
		cox_json_set(a, o, COX_STR("proxies"), cox_json_new_i64(a, (int64_t)u->clients.n));
		cox_json_set(a, o, COX_STR("verified"), cox_json_new_bool(a, u->workload->secrets.is_verified));
		cox_json_set(a, o, COX_STR("serviceAccount"), text(a, u->workload->secrets.service_account));
		for (size_t i = 0; i < u->secrets.n; i++) {
			const struct push_secret_use *use = &u->secrets.p[i];
			struct cox_json *item = cox_json_new_object(a);
			cox_json_set(a, item, COX_STR("name"), text(a, cox_str_of(use->name)));
			cox_json_set(a, item, COX_STR("state"), text(a, cox_str_of(cox_secret_state_text(use->state))));
			cox_json_set(a, item, COX_STR("served"), cox_json_new_bool(a, use->state == COX_SECRET_SERVED || use->is_kept));
			cox_json_push(a, list, item);
		}
		cox_json_set(a, o, COX_STR("secrets"), list);
		cox_json_push(a, all, o);
	}
	return all;
}
