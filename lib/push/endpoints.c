/* endpoints - the fast path: a changed endpoint set goes into the sets of every view that has its clusters, in the same turn. */
#include "push/push_priv.h"

#include "base/metric.h"

#include <stdio.h>

static void set_override(struct cox_push *p, struct cox_str ns, struct cox_str hostname, const struct cox_endpoint_set *e)
{
	struct cox_buf key = { 0 };
	cox_buf_printf(&key, "%.*s/%.*s", COX_FMT(ns), COX_FMT(hostname));
	struct override *o = cox_map_find(&p->overrides, cox_buf_str(&key));
	if (o) {
		cox_endpoint_set_unref(o->endpoints);
		cox_buf_fini(&key);
	} else {
		o = COX_NEW(struct override);
		size_t n;
		o->key.p = cox_buf_take(&key, &n);
		o->key.n = n;
		cox_map_set(&p->overrides, o->key, o);
	}
	o->endpoints = cox_endpoint_set_ref(e);
}

void push_overrides_clear(struct cox_push *p)
{
	for (struct cox_map_entry *e = NULL; (e = cox_map_next(&p->overrides, e));) {
		struct override *o = e->value;
		cox_endpoint_set_unref(o->endpoints);
		cox_free((void *)o->key.p);
		cox_free(o);
	}
	cox_map_clear(&p->overrides);
}

/* What one change does to a set, for all units that have this set: most views of a mesh have the same. */
struct replaced {
	const struct cox_set *from; /* a reference: its address stays its own */
	cox_resources news;         /* interned; references */
	const struct cox_set *to;   /* NULL: nothing differs */
};
typedef COX_VEC(struct replaced) replacements;

static bool same_resources(const cox_resources *a, const cox_resources *b)
{
	return a->n == b->n && (a->n == 0 || memcmp(a->p, b->p, a->n * sizeof(a->p[0])) == 0);
}

/* Takes the resources of `news`. Shares. */
static const struct cox_set *replace(struct cox_push *p, replacements *done, const struct cox_set *set, cox_resources *news)
{
	for (size_t i = 0; i < done->n; i++)
		if (done->p[i].from == set && same_resources(&done->p[i].news, news)) {
			for (size_t k = 0; k < news->n; k++)
				cox_resource_unref(news->p[k]);
			cox_vec_fini(news);
			return done->p[i].to ? cox_set_ref(done->p[i].to) : NULL;
		}
	struct cox_set *made = cox_set_replace(set, news->p, news->n);
	const struct cox_set *to = made ? cox_intern_set_take(&p->intern, made) : NULL;
	cox_vec_push(done, ((struct replaced){ cox_set_ref(set), *news, to }));
	return to ? cox_set_ref(to) : NULL;
}

static void replacements_fini(replacements *done)
{
	for (size_t i = 0; i < done->n; i++) {
		struct replaced *r = &done->p[i];
		cox_set_unref(r->from);
		cox_set_unref(r->to);
		for (size_t k = 0; k < r->news.n; k++)
			cox_resource_unref(r->news.p[k]);
		cox_vec_fini(&r->news);
	}
	cox_vec_fini(done);
}

/* Takes the set. */
static void take_eds(const struct cox_push *p, struct unit *u, const struct cox_set *eds, int64_t event_ns)
{
	struct cox_wanted *w = COX_NEW(struct cox_wanted);
	cox_ref_init(&w->ref);
	w->generation = u->wanted->generation;
	w->event_ns = event_ns;
	w->cause = p->cause;
	for (size_t t = 0; t < COX_TYPE_COUNT; t++)
		if (t == COX_TYPE_EDS)
			w->sets[t] = eds;
		else
			w->sets[t] = u->wanted->sets[t] ? cox_set_ref(u->wanted->sets[t]) : NULL;
	cox_wanted_unref(u->wanted);
	u->wanted = w;
}

/* False: none of its clusters is here. Saves the work for most. */
static bool may_have_service(const struct unit *u, const struct cox_snap_svc *svc)
{
	const struct cox_set *eds = u->wanted ? u->wanted->sets[COX_TYPE_EDS] : NULL;
	char name[512];
	if (u->part == COX_PUSH_WORKLOAD)
		return eds != NULL; /* a router: it may have nothing but a subset's cluster */
	for (size_t i = 0; eds && i < svc->svc->ports.n; i++) {
		int n = snprintf(name, sizeof(name), "outbound|%u||%.*s", svc->svc->ports.p[i].port, COX_FMT(svc->svc->hostname));
		if (n > 0 && (size_t)n < sizeof(name) && cox_set_find(eds, cox_str_make(name, (size_t)n)))
			return true;
	}
	return false;
}

static bool apply_to(struct cox_push *p, struct unit *u, const struct cox_snap_svc *svc, const struct cox_endpoint_set *e, int64_t event_ns,
                     replacements *done)
{
	if (!may_have_service(u, svc))
		return false;
	cox_arena_reset(&p->arena);
	struct cox_tr t = { .s = p->snapshot, .view = u->view ? u->view : &u->workload->view, .memo = p->memo, .arena = &p->arena };
	cox_resources made = { 0 };
	cox_translate_service_endpoints(&t, svc, e, &made);
	size_t n = 0;
	for (size_t i = 0; i < made.n; i++) {
		const struct cox_resource *r = cox_intern_resource_take(&p->intern, made.p[i]);
		if (push_leave_out(p, u, r))
			cox_resource_unref(r);
		else
			made.p[n++] = r;
	}
	made.n = n;
	const struct cox_set *eds = replace(p, done, u->wanted->sets[COX_TYPE_EDS], &made);
	if (eds)
		take_eds(p, u, eds, event_ns);
	return eds != NULL;
}

/* The service as the snapshot has it, by hostname and namespace. */
static const struct cox_snap_svc *find_svc(const struct cox_snapshot *s, struct cox_str hostname, struct cox_str ns)
{
	const struct cox_snap_svc *svc = cox_snapshot_svc_find(s, hostname, ns);
	if (svc && cox_str_eq(svc->svc->ns, ns))
		return svc;
	for (size_t i = 0; i < s->svcs.n; i++)
		if (cox_str_eq(s->svcs.p[i].svc->hostname, hostname) && cox_str_eq(s->svcs.p[i].svc->ns, ns))
			return &s->svcs.p[i];
	return NULL;
}

static void apply_to_all(struct cox_push *p, const struct cox_snap_svc *svc, const struct cox_endpoint_set *e, int64_t event_ns)
{
	replacements done = { 0 };
	for (unsigned part = 0; part < COX_PUSH_PARTS; part++)
		for (struct cox_map_entry *m = NULL; (m = cox_map_next(&p->units[part], m));) {
			struct unit *u = m->value;
			bool is_made = apply_to(p, u, svc, e, event_ns, &done);
			push_cause_view(p, u, is_made);
			if (is_made)
				push_queue_all(p, u);
		}
	replacements_fini(&done);
}

void push_endpoints_apply(struct cox_push *p, const struct cox_change *change)
{
	const struct cox_endpoint_set *e = cox_registry_endpoints_find(p->opts.registry, change->id, change->ns);
	const struct cox_snap_svc *svc = e ? find_svc(p->snapshot, change->id, change->ns) : NULL;
	if (!svc)
		return; /* not in the snapshot yet: the next one has both */
	cox_metric_add(COX_M_PUSH_TRIGGERS, "endpoint", 1);
	set_override(p, change->ns, change->id, e);
	apply_to_all(p, svc, e, change->event_ns);
}

/* A service that went and came back as it was, with other endpoints, did not come by the fast path; nor does it make a unit that only
 * looks at its shape anew. */
void push_endpoints_compare(struct cox_push *p, const struct cox_snapshot *before)
{
	for (size_t i = 0; before && i < p->snapshot->svcs.n; i++) {
		const struct cox_snap_svc *svc = &p->snapshot->svcs.p[i], *old = find_svc(before, svc->svc->hostname, svc->svc->ns);
		if (old && old->endpoints != svc->endpoints)
			apply_to_all(p, svc, svc->endpoints, p->event_ns);
	}
}

/* After a unit was translated from the snapshot: endpoint sets that are newer than it. */
void push_endpoints_catch_up(struct cox_push *p, struct unit *u)
{
	replacements done = { 0 };
	for (struct cox_map_entry *m = NULL; (m = cox_map_next(&p->overrides, m));) {
		struct override *o = m->value;
		ptrdiff_t slash = cox_str_find(o->key, '/');
		const struct cox_snap_svc *svc =
		    find_svc(p->snapshot, cox_str_sub(o->key, (size_t)slash + 1, o->key.n), cox_str_sub(o->key, 0, (size_t)slash));
		if (svc)
			apply_to(p, u, svc, o->endpoints, u->wanted->event_ns, &done);
	}
	replacements_fini(&done);
}
