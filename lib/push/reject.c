/* reject - what proxies rejected and is left out for their class, until it is made no more, or one of the class accepts it. */
#include "push/push_priv.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/metric.h"

#include <stdio.h>

enum {
	REVIEW_FIRST_MS = 300,  /* others of the class who got it in the same push have answered by then */
	REVIEW_AGAIN_MS = 5000, /* those whose clusters had to warm first */
	ORPHAN_MS = 60000,      /* longer than an Envoy waits between two connections (30 s) */
};

struct rejection {
	struct cox_str key;
	enum cox_proxy_class klass;
	const struct cox_resource *resource;
	bool is_in_force, is_used;
	COX_VEC(const struct cox_push_client *) witnesses; /* those connected that rejected it */
	int64_t orphan_since_ms;                           /* 0: somebody is */
};
struct reject_message {
	struct cox_loop_task task;
	struct cox_push *push;
	struct cox_push_client *client; /* a reference */
	const struct cox_resource *resource;
	char *text;
};

static enum cox_proxy_class class_of(const struct unit *u) { return u->view ? u->view->klass : u->workload->view.klass; }

static struct rejection *find(const struct cox_push *p, enum cox_proxy_class klass, const struct cox_resource *r)
{
	char key[64], hex[33];
	cox_hash_to_hex(r->hash, hex);
	int n = snprintf(key, sizeof(key), "%d/%d/%s", (int)klass, (int)r->type, hex);
	return cox_map_find(&p->rejected, cox_str_make(key, (size_t)n));
}

static struct rejection *add(struct cox_push *p, enum cox_proxy_class klass, const struct cox_resource *r)
{
	struct rejection *made = COX_NEW(struct rejection);
	char key[64], hex[33];
	cox_hash_to_hex(r->hash, hex);
	int n = snprintf(key, sizeof(key), "%d/%d/%s", (int)klass, (int)r->type, hex);
	made->key = cox_str_of(cox_str_dup_cstr(cox_str_make(key, (size_t)n)));
	made->klass = klass;
	made->resource = cox_resource_ref(r);
	cox_map_set(&p->rejected, made->key, made);
	return made;
}

static void drop(struct cox_push *p, struct rejection *r)
{
	if (p->opts.on_forgiven && p->is_synced && !r->witnesses.n)
		p->opts.on_forgiven(p->opts.arg, r->resource->origins);
	cox_map_remove(&p->rejected, r->key);
	cox_resource_unref(r->resource);
	cox_vec_fini(&r->witnesses);
	cox_free((void *)r->key.p);
	cox_free(r);
}

bool push_is_rejected(const struct cox_push *p, const struct unit *u, const struct cox_resource *r)
{
	const struct rejection *x = p->rejected.n ? find(p, class_of(u), r) : NULL;
	return x && x->is_in_force;
}

bool push_leave_out(struct cox_push *p, struct unit *u, const struct cox_resource *r)
{
	if (!push_is_rejected(p, u, r))
		return false;
	for (size_t i = 0; i < u->left_out.n; i++)
		if (u->left_out.p[i] == r)
			return true;
	cox_vec_push(&u->left_out, cox_resource_ref(r));
	return true;
}

/* --- last good versions ---------------------------------------------------------------------------------- */

void push_good_begin(struct unit *u, enum cox_type type)
{
	(void)type;
	u->good_old = u->good.n;
}

/* The version before, if the class has accepted it; else the one that was kept then. */
static const struct cox_resource *good_of(const struct cox_push *p, const struct unit *u, const struct cox_resource *r,
                                          const struct cox_set *before)
{
	const struct cox_resource *old = cox_set_find(before, r->name);
	if (old && old != r && cox_resource_is_accepted(old, class_of(u)) && !push_is_rejected(p, u, old))
		return old;
	for (size_t i = 0; i < u->good_old; i++)
		if (u->good.p[i]->type == r->type && u->good.p[i] != r && cox_str_eq(u->good.p[i]->name, r->name) &&
		    !push_is_rejected(p, u, u->good.p[i]))
			return u->good.p[i];
	return NULL;
}

const struct cox_resource *push_choose(struct cox_push *p, struct unit *u, const struct cox_resource *r, const struct cox_set *before)
{
	bool is_out = push_leave_out(p, u, r);
	if (!before || (!is_out && cox_resource_is_accepted(r, class_of(u)))) {
		if (!is_out)
			return r;
		cox_resource_unref(r);
		return NULL;
	}
	const struct cox_resource *good = good_of(p, u, r, before);
	if (good && !is_out)
		cox_vec_push(&u->good, cox_resource_ref(good));
	if (!is_out)
		return r;
	cox_resource_unref(r);
	return good ? cox_resource_ref(good) : NULL;
}

void push_good_end(struct unit *u, enum cox_type type)
{
	size_t n = 0;
	for (size_t i = 0; i < u->good.n; i++)
		if (i < u->good_old && u->good.p[i]->type == type)
			cox_resource_unref(u->good.p[i]);
		else
			u->good.p[n++] = u->good.p[i];
	u->good.n = n;
}

void push_good_clear(struct unit *u)
{
	for (size_t i = 0; i < u->good.n; i++)
		cox_resource_unref(u->good.p[i]);
	cox_vec_clear(&u->good);
}

/* The unit is made anew, whether its inputs changed or not. */
static void mark_anew(struct cox_push *p, struct unit *u)
{
	u->inputs = (struct cox_hash){ 0, 0 };
	push_unit_mark(p, u);
	push_wake(p);
}

static bool holds(const struct unit *u, const struct cox_resource *r)
{
	const struct cox_set *s = u->wanted ? u->wanted->sets[r->type] : NULL;
	const struct cox_resource *has = s ? cox_set_find(s, r->name) : NULL;
	return has && cox_hash_eq(has->hash, r->hash);
}

static bool left_out(const struct unit *u, const struct cox_resource *r)
{
	for (size_t i = 0; i < u->left_out.n; i++)
		if (u->left_out.p[i]->type == r->type && cox_hash_eq(u->left_out.p[i]->hash, r->hash))
			return true;
	return false;
}

static void mark_concerned(struct cox_push *p, const struct rejection *r)
{
	for (unsigned part = 0; part < COX_PUSH_PARTS; part++)
		for (struct cox_map_entry *m = NULL; (m = cox_map_next(&p->units[part], m));) {
			struct unit *u = m->value;
			if (class_of(u) == r->klass && (r->is_in_force ? holds(u, r->resource) : left_out(u, r->resource)))
				mark_anew(p, u);
		}
}

/* Those who rejected it are gone for a while: it is given another try. So a proxy that means harm takes something from others only
 * while it is here, and one that merely reconnects does not have it tried again each time. */
static bool is_orphaned(struct rejection *r, int64_t now_ms)
{
	if (r->witnesses.n)
		r->orphan_since_ms = 0;
	else if (!r->orphan_since_ms)
		r->orphan_since_ms = now_ms;
	return r->orphan_since_ms && now_ms - r->orphan_since_ms >= ORPHAN_MS;
}

void push_rejections_review(struct cox_push *p, int64_t now_ms)
{
	for (struct cox_map_entry *e = NULL; (e = cox_map_next(&p->rejected, e));) {
		struct rejection *r = e->value;
		bool was_in_force = r->is_in_force;
		r->is_in_force = !cox_resource_is_accepted(r->resource, r->klass) && !is_orphaned(r, now_ms);
		if (r->is_in_force != was_in_force)
			mark_concerned(p, r);
		if (!r->is_in_force)
			drop(p, r);
	}
	cox_metric_set(COX_M_XDS_QUARANTINED, NULL, (double)p->rejected.n);
}

void push_rejections_leave(struct cox_push *p, const struct cox_push_client *c)
{
	for (struct cox_map_entry *e = NULL; (e = cox_map_next(&p->rejected, e));) {
		struct rejection *r = e->value;
		for (size_t i = 0; i < r->witnesses.n; i++)
			if (r->witnesses.p[i] == c)
				cox_vec_remove(&r->witnesses, i--);
	}
}

static void on_review(void *arg)
{
	struct cox_push *p = arg;
	push_rejections_review(p, cox_clock_mono_ms());
	if (p->rejected.n)
		cox_timer_start(p->review, REVIEW_AGAIN_MS, 0);
}

/* Nobody else of its class is here: no other opinion is to be waited for. */
static bool is_alone(const struct cox_push *p, const struct cox_push_client *c)
{
	for (size_t i = 0; i < p->clients.n; i++)
		if (p->clients.p[i] != c && p->clients.p[i]->spec.proxy->klass == c->spec.proxy->klass)
			return false;
	return true;
}

static void take_rejection(struct cox_push *p, struct reject_message *m)
{
	const struct cox_proxy *proxy = m->client->spec.proxy;
	if (++m->client->rejections > COX_PUSH_REJECTIONS_MAX) {
		if (m->client->rejections == COX_PUSH_REJECTIONS_MAX + 1)
			cox_log(COX_LOG_WARN, "push",
			        "a proxy rejected more than %d resources: from now on its rejections concern it alone proxy=%.*s",
			        COX_PUSH_REJECTIONS_MAX, COX_FMT(proxy->id));
		return;
	}
	if (!cox_resource_is_accepted(m->resource, proxy->klass) && !m->client->has_left) {
		struct rejection *r = find(p, proxy->klass, m->resource);
		if (!r)
			r = add(p, proxy->klass, m->resource);
		cox_vec_push(&r->witnesses, m->client);
		if (!p->review)
			p->review = cox_timer_new(p->opts.loop, on_review, p);
		if (!r->is_in_force && is_alone(p, m->client)) {
			r->is_in_force = true;
			mark_concerned(p, r);
		}
		if (p->is_synced) /* else somebody turns the engine by hand */
			cox_timer_start(p->review, REVIEW_FIRST_MS, 0);
	}
	if (p->opts.on_reject)
		p->opts.on_reject(p->opts.arg, proxy, m->resource->type, m->resource->name, m->resource->origins, cox_str_of(m->text));
}

static void on_reject(struct cox_loop_task *task)
{
	struct reject_message *m = (struct reject_message *)(void *)task;
	take_rejection(m->push, m);
	push_client_unref(m->client);
	cox_resource_unref(m->resource);
	cox_free(m->text);
	cox_free(m);
}

void cox_push_reject(struct cox_push *p, const struct cox_push_client *client, const struct cox_resource *r, struct cox_str message)
{
	enum { TEXT_BYTES_MAX = 2048 }; /* Envoy prints whole resources into it */
	struct reject_message *m = COX_NEW(struct reject_message);
	m->task.fn = on_reject;
	m->push = p;
	m->client = (struct cox_push_client *)client;
	cox_ref_get(&m->client->ref);
	m->resource = cox_resource_ref(r);
	m->text = cox_str_dup_cstr(cox_str_sub(message, 0, TEXT_BYTES_MAX));
	cox_loop_post(p->opts.loop, &m->task);
}

/* Whether somebody makes it is in the units: what is left out is in no set, and may be made anew at an address of its own. */
void push_rejections_sweep(struct cox_push *p, bool all)
{
	for (struct cox_map_entry *e = NULL; (e = cox_map_next(&p->rejected, e));)
		((struct rejection *)e->value)->is_used = false;
	for (unsigned part = 0; part < COX_PUSH_PARTS && p->rejected.n; part++)
		for (struct cox_map_entry *m = NULL; (m = cox_map_next(&p->units[part], m));) {
			const struct unit *u = m->value;
			for (size_t i = 0; i < u->left_out.n; i++) {
				struct rejection *r = find(p, class_of(u), u->left_out.p[i]);
				if (r)
					r->is_used = true;
			}
		}
	for (struct cox_map_entry *e = NULL; (e = cox_map_next(&p->rejected, e));) {
		struct rejection *r = e->value;
		if (all || (r->is_in_force && !r->is_used))
			drop(p, r);
	}
	cox_metric_set(COX_M_XDS_QUARANTINED, NULL, (double)p->rejected.n);
}
