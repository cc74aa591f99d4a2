/* views - units of translation: their keys, fingerprints of what they read, and the sets that come out. */
#include "push/push_priv.h"

#include "snapshot/access.h"

#include "base/metric.h"

#include <stdio.h>
#include <stdlib.h>

/* --- fingerprints ---------------------------------------------------------------------------- */

struct print { /* a running hash */
	struct cox_hash h;
};
static void mix(struct print *p, struct cox_hash h) { p->h = cox_hash_combine(p->h, h); }
static void mix_str(struct print *p, struct cox_str s) { mix(p, cox_hash128(s.p, s.n)); }

struct cox_hash push_keying(const struct cox_snapshot *s)
{
	const struct cox_str *keys;
	struct print p = { { s->uses_locality, s->uses_node | (uint64_t)s->uses_version << 1 } };
	size_t n = cox_snapshot_selector_keys(s, &keys);
	for (size_t i = 0; i < n; i++)
		mix_str(&p, keys[i]);
	n = cox_snapshot_metadata_keys(s, &keys);
	for (size_t i = 0; i < n; i++)
		mix_str(&p, keys[i]);
	/* Who is part of a headless service has its addresses in its key. */
	for (size_t i = 0; i < s->svcs.n; i++)
		if (s->svcs.p[i].svc->is_headless)
			mix(&p, s->svcs.p[i].endpoints->shape);
	return p.h;
}

/* Endpoints themselves travel on their own path: only their shape counts here (DESIGN decision 7). */
static void mix_svc(struct print *p, const struct cox_snap_svc *svc)
{
	mix(p, svc->svc->hash);
	mix(p, svc->endpoints->shape);
}

struct cox_hash push_snapshot_inputs(const struct cox_snapshot *s)
{
	struct print p = { s->mesh_hash };
	for (size_t i = 0; i < s->svcs.n; i++)
		mix_svc(&p, &s->svcs.p[i]);
	for (size_t i = 0; i < s->virtual_services.n; i++)
		mix(&p, s->virtual_services.p[i]->hash);
	for (size_t i = 0; i < s->destination_rules.n; i++)
		mix(&p, s->destination_rules.p[i]->hash);
	for (size_t i = 0; i < s->gateways.n; i++)
		mix(&p, s->gateways.p[i]->hash);
	for (size_t i = 0; i < s->sidecars.n; i++)
		mix(&p, s->sidecars.p[i]->hash);
	for (size_t i = 0; i < s->peer_authentications.n; i++)
		mix(&p, s->peer_authentications.p[i]->hash);
	for (size_t i = 0; i < s->rate_limits.n; i++)
		mix(&p, s->rate_limits.p[i]->hash);
	return p.h;
}

static struct cox_hash scope_inputs(const struct cox_push *push, const struct cox_view *v, const struct cox_scope *scope)
{
	const struct cox_snapshot *s = push->snapshot;
	struct print p = { s->mesh_hash };
	mix(&p, scope->hash);
	for (size_t i = 0; i < scope->svcs.n; i++) {
		const struct cox_snap_svc *svc = scope->svcs.p[i].snap;
		const struct cox_dr *dr = cox_scope_dr_find(s, v->ns, v->labels.p, v->labels.n, svc->svc);
		mix_svc(&p, svc);
		mix(&p, dr ? dr->hash : (struct cox_hash){ 0, 0 });
		mix(&p, cox_snapshot_mtls_hash(s, svc->svc->ns));
	}
	return p.h;
}

static struct cox_hash workload_inputs(struct cox_push *push, struct cox_workload *w)
{
	const struct cox_snapshot *s = push->snapshot;
	struct cox_hash secrets = push_secrets_inputs(push, w);
	if (w->view.type == COX_PROXY_ROUTER)
		return cox_hash_combine(push->snapshot_inputs, secrets);
	const struct cox_snap_svc **svcs;
	size_t n = cox_snapshot_svcs_of(s, w->view.ns, w->labels.p, w->labels.n, w->ips.p, w->ips.n, &push->arena, &svcs);
	const struct cox_object *sidecar = cox_scope_sidecar_find(s, w->view.ns, w->labels.p, w->labels.n);
	struct print p = { s->mesh_hash };
	mix(&p, sidecar ? sidecar->hash : (struct cox_hash){ 0, 0 });
	mix(&p, cox_snapshot_mtls_hash(s, w->view.ns));
	mix(&p, secrets);
	const struct cox_access_set *access = cox_snapshot_access_find(s, w->view.ns, w->service_account);
	if (access)
		mix(&p, access->hash);
	const struct cox_object **limits;
	size_t limit_n = cox_snapshot_rate_limits_of(s, w->view.ns, w->labels.p, w->labels.n, &push->arena, &limits);
	for (size_t i = 0; i < limit_n; i++)
		mix(&p, limits[i]->hash);
	for (size_t i = 0; i < n; i++) {
		/* A service's own rule limits its inbound connections too. */
		const struct cox_dr *dr = cox_scope_dr_find(s, w->view.ns, w->labels.p, w->labels.n, svcs[i]->svc);
		mix_svc(&p, svcs[i]);
		mix(&p, dr ? dr->hash : (struct cox_hash){ 0, 0 });
		if (cox_snapshot_host_has_deadline(s, svcs[i]->svc->hostname))
			mix_str(&p, COX_STR("deadline"));
	}
	return p.h;
}

/* Streams that end all at once come back at once: what was made for them is kept this long at most,
 * and until the next round. */
enum { IDLE_MS = 10000 };

/* --- units ----------------------------------------------------------------------------------- */

static void clear_left_out(struct unit *u)
{
	for (size_t i = 0; i < u->left_out.n; i++)
		cox_resource_unref(u->left_out.p[i]);
	cox_vec_clear(&u->left_out);
}

static void unit_free(struct unit *u)
{
	COX_ASSERT(!u->clients.n && !u->is_dirty);
	cox_vec_fini(&u->clients);
	cox_vec_fini(&u->secrets);
	clear_left_out(u);
	push_good_clear(u);
	push_patching_clear(u);
	cox_vec_fini(&u->left_out);
	cox_vec_fini(&u->patched);
	cox_vec_fini(&u->good);
	cox_view_free(u->view);
	cox_workload_free(u->workload);
	cox_proxy_unref(u->proxy);
	cox_wanted_unref(u->wanted);
	cox_free(u);
}

static void count_views(const struct cox_push *p)
{
	cox_metric_set(COX_M_VIEWS, NULL, (double)(p->units[0].n + p->units[1].n - p->idle.n));
}

/* Somebody came back to a unit that nobody was left of. */
static void stay(struct cox_push *p, struct unit *u)
{
	if (!u->is_idle)
		return;
	struct unit *last = p->idle.p[p->idle.n - 1];
	COX_ASSERT(p->idle.p[u->idle_at] == u);
	p->idle.p[u->idle_at] = last;
	last->idle_at = u->idle_at;
	p->idle.n--;
	u->is_idle = false;
	count_views(p);
}

struct unit *push_unit_get(struct cox_push *p, unsigned part, const struct cox_push_client *c)
{
	struct unit made = { .part = part };
	if (part == COX_PUSH_SCOPE) {
		made.view = cox_view_build(c->spec.proxy, p->snapshot);
		if (!c->spec.is_delta && made.view->has_vhds) {
			/* State-of-the-world streams get whole routes: a view of its own. */
			made.view->has_vhds = false;
			made.view->key = cox_arena_concat(&made.view->arena, made.view->key, COX_STR("|sotw"));
		}
		made.key = made.view->key;
	} else {
		made.workload = cox_workload_build(c->spec.proxy, p->snapshot);
		push_secrets_identify(made.workload, &c->spec.identity);
		made.key = made.workload->key;
	}
	struct unit *u = cox_map_find(&p->units[part], made.key);
	if (u) {
		stay(p, u);
		cox_view_free(made.view);
		cox_workload_free(made.workload);
		return u;
	}
	u = COX_NEW(struct unit);
	*u = made;
	u->proxy = cox_proxy_ref(c->spec.proxy);
	u->is_first = true;
	cox_map_set(&p->units[part], u->key, u);
	push_unit_mark(p, u);
	count_views(p);
	return u;
}

static void unmark(struct cox_push *p, struct unit *u)
{
	for (size_t i = 0; i < p->dirty.n; i++)
		if (p->dirty.p[i] == u) {
			cox_vec_remove(&p->dirty, i);
			break;
		}
	for (size_t i = 0; i < p->firsts.n; i++)
		if (p->firsts.p[i] == u) {
			cox_vec_remove(&p->firsts, i);
			break;
		}
	u->is_dirty = false;
}

static void unit_end(struct cox_push *p, struct unit *u)
{
	if (u->is_dirty)
		unmark(p, u);
	cox_map_remove(&p->units[u->part], u->key);
	push_secrets_leave(p, u);
	unit_free(u);
	count_views(p);
}

void push_unit_leave(struct cox_push *p, struct unit *u, struct cox_push_client *c)
{
	for (size_t i = 0; i < u->clients.n; i++)
		if (u->clients.p[i] == c) {
			u->clients.p[i] = u->clients.p[--u->clients.n];
			break;
		}
	p->patched_changed |= u->patched.n > 0; /* it is told at the next turn's end */
	if (u->clients.n)
		return;
	if (u->is_dirty || !u->wanted) {
		unit_end(p, u); /* what it has is not of now */
		return;
	}
	u->is_idle = true;
	u->idle_at = p->idle.n;
	cox_vec_push(&p->idle, u);
	if (!cox_timer_is_running(p->idle_timer))
		cox_timer_start(p->idle_timer, IDLE_MS, 0);
	count_views(p);
}

void push_idle_end(struct cox_push *p)
{
	while (p->idle.n)
		unit_end(p, p->idle.p[--p->idle.n]);
	cox_timer_stop(p->idle_timer);
}

void push_unit_mark(struct cox_push *p, struct unit *u)
{
	if (u->is_dirty)
		return;
	u->is_dirty = true;
	if (u->is_first)
		cox_vec_push(&p->firsts, u);
	else
		cox_vec_push(&p->dirty, u);
}

/* --- translation ----------------------------------------------------------------------------- */

const struct cox_set *push_make_set(struct cox_push *p, struct unit *u, enum cox_type type, cox_resources *list)
{
	const struct cox_set *before = u->wanted ? u->wanted->sets[type] : NULL;
	size_t n = 0;
	push_good_begin(u, type);
	for (size_t i = 0; i < list->n; i++) {
		const struct cox_resource *r = push_choose(p, u, cox_intern_resource_take(&p->intern, list->p[i]), before);
		if (r)
			list->p[n++] = r;
	}
	push_good_end(u, type);
	const struct cox_set *s = cox_intern_set_take(&p->intern, cox_set_build_take(type, list->p, n));
	cox_vec_fini(list);
	return s;
}

static void translate_scope(struct cox_push *p, struct unit *u, const struct cox_scope *scope, struct cox_patching *patching,
                            struct cox_wanted *w)
{
	struct cox_tr t = { .s = p->snapshot, .view = u->view, .scope = scope, .memo = p->memo, .arena = &p->arena, .patching = patching };
	cox_resources clusters = { 0 }, endpoints = { 0 }, listeners = { 0 }, routes = { 0 }, vhosts = { 0 };
	cox_translate_clusters(&t, &clusters);
	cox_translate_endpoints(&t, &endpoints);
	cox_translate_outbound(&t, &listeners, &routes, &vhosts);
	cox_patch_outbound(&t, &clusters, &listeners, &routes, &vhosts);
	w->sets[COX_TYPE_CDS] = push_make_set(p, u, COX_TYPE_CDS, &clusters);
	w->sets[COX_TYPE_EDS] = push_make_set(p, u, COX_TYPE_EDS, &endpoints);
	w->sets[COX_TYPE_LDS] = push_make_set(p, u, COX_TYPE_LDS, &listeners);
	w->sets[COX_TYPE_RDS] = push_make_set(p, u, COX_TYPE_RDS, &routes);
	COX_ASSERT(u->view); /* this part has one */
	if (u->view->has_vhds)
		w->sets[COX_TYPE_VHDS] = push_make_set(p, u, COX_TYPE_VHDS, &vhosts);
	cox_metric_add(COX_M_TRANSLATED, "outbound", (double)t.built);
}

/* Routers have no DNS proxy beside them: whoever asks all the same gets an empty table, never silence. */
static void translate_names(struct cox_push *p, struct unit *u, const struct cox_scope *scope, struct cox_wanted *w)
{
	struct cox_tr t = { .s = p->snapshot, .view = u->view, .scope = scope, .memo = p->memo, .arena = &p->arena };
	cox_resources names = { 0 };
	cox_vec_push(&names, cox_translate_names(&t));
	w->sets[COX_TYPE_NDS] = push_make_set(p, u, COX_TYPE_NDS, &names);
	cox_metric_add(COX_M_TRANSLATED, "names", (double)t.built);
}

static void translate_workload(struct cox_push *p, struct unit *u, struct cox_patching *patching, struct cox_wanted *w)
{
	const struct cox_workload *wl = u->workload;
	struct cox_tr t = { .s = p->snapshot, .view = &wl->view, .memo = p->memo, .arena = &p->arena, .patching = patching };
	cox_resources clusters = { 0 }, endpoints = { 0 }, listeners = { 0 }, routes = { 0 }, extensions = { 0 };
	struct cox_secret_names secrets = { 0 };
	if (wl->view.type == COX_PROXY_ROUTER) {
		cox_translate_gateway(&t, wl, &clusters, &endpoints, &listeners, &routes, &secrets);
		w->sets[COX_TYPE_EDS] = push_make_set(p, u, COX_TYPE_EDS, &endpoints);
		w->sets[COX_TYPE_RDS] = push_make_set(p, u, COX_TYPE_RDS, &routes);
	} else {
		t.scope = cox_scope_build(p->snapshot, wl->view.ns, wl->labels.p, wl->labels.n, &p->arena);
		cox_translate_inbound(&t, wl, &clusters, &listeners);
		cox_secret_names_of_rules(&t, wl, &secrets);
	}
	w->sets[COX_TYPE_SDS] = push_secrets_translate(p, u, &t, &secrets);
	cox_secret_names_fini(&secrets);
	w->sets[COX_TYPE_CDS] = push_make_set(p, u, COX_TYPE_CDS, &clusters);
	w->sets[COX_TYPE_LDS] = push_make_set(p, u, COX_TYPE_LDS, &listeners);
	cox_patch_extensions(&t, &extensions);
	w->sets[COX_TYPE_ECDS] = push_make_set(p, u, COX_TYPE_ECDS, &extensions);
	push_globals_add(p, w);
	cox_metric_add(COX_M_TRANSLATED, "workload", (double)t.built);
}

static bool same_sets(const struct cox_wanted *a, const struct cox_wanted *b)
{
	return a && b && memcmp(a->sets, b->sets, sizeof(a->sets)) == 0;
}

bool push_unit_work(struct cox_push *p, struct unit *u)
{
	cox_arena_reset(&p->arena);
	const struct cox_scope *scope = NULL;
	bool is_router = (u->view ? u->view->type : u->workload->view.type) == COX_PROXY_ROUTER;
	struct cox_hash inputs;
	COX_ASSERT(u->part != COX_PUSH_SCOPE || u->view);
	if (u->part == COX_PUSH_SCOPE && is_router)
		inputs = (struct cox_hash){ 1, 1 }; /* all of a router's configuration is in its workload view */
	else if (u->part == COX_PUSH_SCOPE)
		inputs = scope_inputs(p, u->view,
		                      scope = cox_scope_build(p->snapshot, u->view->ns, u->view->labels.p, u->view->labels.n, &p->arena));
	else
		inputs = workload_inputs(p, u->workload);
	struct cox_patching *patching = u->part == COX_PUSH_SCOPE && is_router ? NULL : push_patching_build(p, u);
	inputs = cox_hash_combine(inputs, cox_patching_hash(patching));
	if (u->wanted && cox_hash_eq(inputs, u->inputs))
		return false;
	u->inputs = inputs;
	clear_left_out(u);
	struct cox_wanted *w = COX_NEW(struct cox_wanted);
	cox_ref_init(&w->ref);
	w->generation = p->snapshot->generation;
	w->event_ns = p->event_ns;
	w->cause = p->cause;
	if (u->part == COX_PUSH_WORKLOAD)
		translate_workload(p, u, patching, w);
	else if (!is_router)
		translate_scope(p, u, scope, patching, w);
	push_patching_keep(p, u, patching);
	if (u->part == COX_PUSH_SCOPE && push_names_are_wanted(u))
		translate_names(p, u, scope, w);
	const struct cox_wanted *before = u->wanted;
	bool changed = !same_sets(before, w);
	u->wanted = w;
	cox_wanted_unref(before);
	push_endpoints_catch_up(p, u);
	return changed;
}
