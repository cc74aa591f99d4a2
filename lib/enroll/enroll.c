#include "enroll/enroll_priv.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/metric.h"
#include "model/workload_group.h"

#include <stdio.h>

enum { GRACE_MS = 10 * 1000, SWEEP_GRACES = 10, RESTART_GRACES = 6 };

static void step(struct enroll_entry *n);

/* --- entries ------------------------------------------------------------------------------------------------------- */

static void on_retry(void *ctx) { step(ctx); }

static void on_grace(void *ctx)
{
	struct enroll_entry *n = ctx;
	n->wants_delete = n->visits.n == 0;
	step(n);
}

static struct enroll_entry *entry_find(struct cox_enroll *e, struct cox_str ns, struct cox_str name)
{
	struct cox_arena a = { 0 };
	struct enroll_entry *n = cox_map_find(&e->entries, cox_arena_printf(&a, "%.*s/%.*s", COX_FMT(ns), COX_FMT(name)));
	cox_arena_fini(&a);
	return n;
}

static struct enroll_entry *entry_get(struct cox_enroll *e, struct cox_str ns, struct cox_str name, bool is_auto)
{
	struct enroll_entry *n = entry_find(e, ns, name);
	if (n)
		return n;
	n = cox_zalloc(sizeof(*n) + ns.n + name.n + 1);
	char *text = (char *)(n + 1);
	memcpy(text, ns.p, ns.n);
	text[ns.n] = '/';
	memcpy(text + ns.n + 1, name.p, name.n);
	n->e = e;
	n->ns = cox_str_make(text, ns.n);
	n->name = cox_str_make(text + ns.n + 1, name.n);
	n->key = cox_str_make(text, ns.n + 1 + name.n);
	n->is_auto = is_auto;
	n->backoff = (struct cox_kube_backoff){ .first_ms = 200, .max_ms = 30 * 1000 };
	n->retry = cox_timer_new(e->spec.loop, on_retry, n);
	n->grace = cox_timer_new(e->spec.loop, on_grace, n);
	cox_map_set(&e->entries, n->key, n);
	if (e->spec.kube && !cox_timer_is_running(e->check))
		cox_timer_start(e->check, e->spec.grace_ms / 2, e->spec.grace_ms / 2);
	return n;
}

static void entry_free(struct enroll_entry *n)
{
	cox_map_remove(&n->e->entries, n->key);
	cox_kube_request_close(&n->request);
	cox_timer_free(&n->retry);
	cox_timer_free(&n->grace);
	cox_vec_fini(&n->visits);
	cox_buf_fini(&n->why);
	cox_buf_fini(&n->told);
	cox_free(n);
}

static void report(struct enroll_entry *n, enum cox_reported health)
{
	cox_registry_report_health(n->e->spec.registry, n->ns, n->name, health);
	n->e->spec.flush(n->e->spec.ctx);
}

/* --- what is to be done next ------------------------------------------------------------------------------------------ */

static struct enroll_visit *first_waiting(const struct enroll_entry *n)
{
	for (size_t i = 0; i < n->visits.n; i++)
		if (!n->visits.p[i]->is_answered)
			return n->visits.p[i];
	return NULL;
}

static enum enroll_op next_op(struct enroll_entry *n)
{
	n->current = first_waiting(n);
	if (!n->current && n->wants_claim && n->visits.n)
		n->current = n->visits.p[n->visits.n - 1];
	if (n->current)
		return ENROLL_CONNECT;
	if (n->wants_tell)
		return ENROLL_TELL;
	if (n->wants_disconnect)
		return ENROLL_DISCONNECT;
	return n->wants_delete ? ENROLL_DELETE : ENROLL_IDLE;
}

/* Memory: the same without waiting. */
static void memory_connect(struct enroll_entry *n)
{
	struct cox_enroll *e = n->e;
	struct enroll_visit *v = n->current;
	struct cox_err err = { 0 };
	struct cox_arena a = { 0 };
	const struct cox_object *there = cox_registry_object_find(e->spec.registry, COX_KIND_WORKLOAD_ENTRY, n->ns, n->name), *o = NULL;
	struct cox_str group = cox_json_str_at(v->who->proxy->metadata, "AUTO_REGISTER_GROUP");
	const struct cox_object *g = cox_registry_object_find(e->spec.registry, COX_KIND_WORKLOAD_GROUP, n->ns, group);
	struct enroll_stamp stamp = { e->spec.controller, v->who->connected_ms };
	struct cox_diags diags = { .arena = &a };
	enum cox_rc rc = enroll_check(n, v, there ? cox_object_to_json(there, &a) : NULL, g, &err);
	if (rc == COX_OK && n->is_auto && g) {
		struct cox_json *doc = enroll_entry_build(&a, g, v->who->proxy, n->name, &stamp);
		rc = cox_object_build(doc, COX_STR("registered by its proxy"), n->ns, &a, &diags, &o);
		if (rc != COX_OK)
			cox_err_set(&err, rc, NULL, "WorkloadEntry %.*s cannot be made of the group: %.*s", COX_FMT(n->name),
			            COX_FMT(diags.n ? diags.items[0].text : COX_STR("invalid")));
		else
			e->spec.put(e->spec.ctx, o);
		cox_object_unref(o);
		e->spec.flush(e->spec.ctx);
		cox_metric_add(there ? COX_M_ENROLL_UPDATES : COX_M_ENROLL_SUCCESS, NULL, rc == COX_OK);
	}
	enroll_answer(v, rc, err.text);
	cox_arena_fini(&a);
}

static void memory_delete(struct enroll_entry *n)
{
	struct cox_enroll *e = n->e;
	const struct cox_object *o = cox_registry_object_find(e->spec.registry, COX_KIND_WORKLOAD_ENTRY, n->ns, n->name);
	/* A file may have brought an entry of this name meanwhile: that one stays. */
	if (n->is_auto && o && cox_kv_has(o->meta.annotations.p, o->meta.annotations.n, COX_STR(ENROLL_CONTROLLER))) {
		e->spec.remove(e->spec.ctx, COX_KIND_WORKLOAD_ENTRY, n->ns, n->name);
		cox_metric_add(COX_M_ENROLL_DELETES, NULL, 1);
	}
	report(n, COX_REPORTED_NONE);
}

static void memory_start(struct enroll_entry *n)
{
	if (n->op == ENROLL_CONNECT)
		memory_connect(n);
	else if (n->op == ENROLL_DISCONNECT)
		cox_metric_add(COX_M_ENROLL_UNREGISTER, NULL, 1);
	else if (n->op == ENROLL_DELETE)
		memory_delete(n);
	enroll_op_end(n, true);
}

static void step(struct enroll_entry *n)
{
	if (n->op != ENROLL_IDLE || cox_timer_is_running(n->retry))
		return;
	n->op = next_op(n);
	if (n->op == ENROLL_IDLE) {
		if (n->visits.n == 0 && !cox_timer_is_running(n->grace))
			entry_free(n);
		return;
	}
	if (n->op == ENROLL_TELL) { /* what the agent says meanwhile is told after it */
		cox_buf_clear(&n->told);
		cox_buf_append_str(&n->told, cox_buf_str(&n->why));
		n->told_health = n->health;
	}
	if (n->e->spec.kube)
		enroll_kube_start(n);
	else
		memory_start(n);
}

static void disconnected(struct enroll_entry *n)
{
	n->wants_disconnect = false;
	if (n->visits.n == 0)
		cox_timer_start(n->grace, n->e->spec.grace_ms, 0);
	/* The status has been written by now; the agent speaks through another replica, if at all. */
	if (n->e->spec.kube && n->visits.n == 0 && n->health != COX_REPORTED_NONE) {
		n->health = COX_REPORTED_NONE;
		report(n, COX_REPORTED_NONE);
	}
}

void enroll_op_end(struct enroll_entry *n, bool is_done)
{
	enum enroll_op op = n->op;
	n->op = ENROLL_IDLE;
	n->current = NULL;
	if (!is_done) {
		cox_timer_start(n->retry, ++n->tries < TRIES_MAX ? 0 : cox_kube_backoff_next_ms(&n->backoff), 0);
		return;
	}
	n->tries = 0;
	cox_kube_backoff_reset(&n->backoff);
	if (op == ENROLL_DISCONNECT)
		disconnected(n);
	else if (op == ENROLL_DELETE)
		n->wants_delete = false;
	else if (op == ENROLL_TELL && n->told_health == n->health && cox_str_eq(cox_buf_str(&n->told), cox_buf_str(&n->why)))
		n->wants_tell = false;
	step(n);
}

/* --- visits ---------------------------------------------------------------------------------------------------------- */

enum cox_rc enroll_check(struct enroll_entry *n, const struct enroll_visit *v, const struct cox_json *there, const struct cox_object *group,
                         struct cox_err *err)
{
	struct cox_str wanted = cox_json_str_at(v->who->proxy->metadata, "AUTO_REGISTER_GROUP"), account;
	if (!n->is_auto && !there)
		return cox_err_set(err, COX_ENOTFOUND, NULL, "WorkloadEntry %.*s, which the proxy says it is, does not exist",
		                   COX_FMT(n->key));
	if (n->is_auto && !there && !group)
		return cox_err_set(err, COX_ENOTFOUND, NULL, "WorkloadGroup %.*s/%.*s, to which the proxy says it belongs, does not exist",
		                   COX_FMT(n->ns), COX_FMT(wanted));
	if (n->is_auto && there && !cox_str_eq(enroll_annotation(there, ENROLL_GROUP), wanted))
		return cox_err_set(err, COX_EEXIST, NULL,
		                   "WorkloadEntry %.*s exists and was not registered from WorkloadGroup %.*s: it is not the proxy's",
		                   COX_FMT(n->key), COX_FMT(wanted));
	n->takes_health = n->is_auto || cox_str_eq(enroll_annotation(there, ENROLL_HEALTH), COX_STR("true"));
	if (n->e->spec.has_no_identity_check)
		return COX_OK;
	account = there ? cox_json_str_at(there, "spec.serviceAccount")
	                : COX_SPEC(cox_workload_group_object, group)->spec->template->service_account;
	return enroll_identity_check(v->who, n->ns, account, err);
}

void enroll_answer(struct enroll_visit *v, enum cox_rc rc, const char *text)
{
	char why[640];
	const struct cox_proxy *p = v->who->proxy;
	if (v->is_answered)
		return; /* the entry was claimed again */
	v->is_answered = true;
	if (rc == COX_OK) {
		v->is_in = true;
		cox_log(COX_LOG_INFO, "enroll", "workload is registered proxy=%.*s entry=%.*s", COX_FMT(p->id), COX_FMT(v->entry->key));
		cox_xds_visit_answer(v->stream, COX_OK, "");
		return;
	}
	cox_metric_add(COX_M_ENROLL_ERRORS, NULL, 1);
	snprintf(why, sizeof(why), "registration of proxy %.100s: %s", p->id.p, text);
	cox_xds_visit_answer(v->stream, rc, why);
}

static void *on_open(void *ctx, struct cox_xds_visit *stream, const struct cox_xds_visitor *who)
{
	struct cox_enroll *e = ctx;
	struct enroll_visit *v = COX_NEW(struct enroll_visit);
	struct cox_arena a = { 0 };
	struct cox_str group = cox_json_str_at(who->proxy->metadata, "AUTO_REGISTER_GROUP");
	struct cox_str name = cox_json_str_at(who->proxy->metadata, "WORKLOAD_ENTRY");
	bool is_auto = group.n && !e->spec.has_no_registration;
	*v = (struct enroll_visit){ .e = e, .stream = stream, .who = who };
	if (is_auto)
		name = enroll_entry_name(&a, who->proxy, group);
	if (!is_auto && (!name.n || e->spec.has_no_health)) {
		v->is_answered = true;
		cox_xds_visit_answer(stream, COX_OK, "");
	} else {
		struct enroll_entry *n = v->entry = entry_get(e, who->proxy->ns, name, is_auto);
		cox_vec_push(&n->visits, v);
		n->connected_ms = n->connected_ms > who->connected_ms ? n->connected_ms : who->connected_ms;
		n->wants_disconnect = n->wants_delete = false;
		cox_timer_stop(n->grace);
		cox_timer_stop(n->retry);
		step(n);
	}
	cox_arena_fini(&a);
	return v;
}

static void on_health(void *ctx, void *own, struct cox_str unhealthy)
{
	struct cox_enroll *e = ctx;
	struct enroll_visit *v = own;
	struct enroll_entry *n = v->entry;
	enum cox_reported health = unhealthy.n ? COX_REPORTED_UNHEALTHY : COX_REPORTED_HEALTHY;
	if (!n || e->spec.has_no_health || !n->takes_health)
		return;
	cox_log(COX_LOG_DEBUG, "enroll", "health entry=%.*s unhealthy=\"%.*s\"", COX_FMT(n->key), COX_FMT(unhealthy));
	n->health = health;
	cox_buf_clear(&n->why);
	cox_buf_append_str(&n->why, unhealthy);
	report(n, health);
	n->wants_tell = true;
	step(n);
}

static void on_close(void *ctx, void *own)
{
	struct enroll_visit *v = own;
	struct enroll_entry *n = v->entry;
	(void)ctx;
	if (n) {
		for (size_t i = 0; i < n->visits.n; i++)
			if (n->visits.p[i] == v) {
				cox_vec_remove(&n->visits, i);
				break;
			}
		if (n->current == v)
			n->current = NULL;
		/* Also where it was refused or not answered yet: the entry says whether it is ours. */
		if (n->visits.n == 0) {
			n->disconnected_ms = cox_clock_wall_ms();
			n->wants_disconnect = true;
		}
		step(n);
	}
	cox_free(v);
}

struct cox_xds_visits cox_enroll_visits(struct cox_enroll *e)
{
	if (e->spec.has_no_registration && e->spec.has_no_health)
		return (struct cox_xds_visits){ 0 };
	return (struct cox_xds_visits){ .open = on_open, .health = on_health, .close = on_close, .ctx = e };
}

/* --- what others left behind ----------------------------------------------------------------------------------------- */

static bool has_health(const struct cox_object *o)
{
	const struct cox_workload_entry_status *s = COX_SPEC(cox_workload_entry_object, o)->status;
	if (s)
		for (COX_EACH(struct cox_condition_state, c, s->conditions))
			if (cox_str_eq(c->type, COX_STR("Healthy")))
				return true;
	return false;
}

static void sweep_one(struct cox_enroll *e, const struct cox_object *o, int64_t now_ms)
{
	const struct cox_kv *kvs = o->meta.annotations.p;
	size_t kv_n = o->meta.annotations.n;
	struct cox_str controller = cox_kv_get(kvs, kv_n, COX_STR(ENROLL_CONTROLLER)),
	               connected = cox_kv_get(kvs, kv_n, COX_STR(ENROLL_CONNECTED)),
	               gone = cox_kv_get(kvs, kv_n, COX_STR(ENROLL_DISCONNECTED));
	bool is_auto = cox_kv_has(kvs, kv_n, COX_STR(ENROLL_GROUP));
	if (!controller.n || entry_find(e, o->meta.ns, o->meta.name) || (!is_auto && !has_health(o)))
		return;
	bool is_over = enroll_is_over(connected, gone, now_ms, e->spec.grace_ms, e->spec.stream_max_age_ms * 3 / 2);
	/* Ours, before we were started anew: the workload had time to come back. */
	bool is_lost = connected.n && cox_str_eq(controller, e->spec.controller) && enroll_time(connected) < e->started_ms &&
	               now_ms - e->started_ms >= RESTART_GRACES * e->spec.grace_ms;
	if (!is_over && !is_lost)
		return;
	struct enroll_entry *n = entry_get(e, o->meta.ns, o->meta.name, is_auto);
	cox_log(COX_LOG_INFO, "enroll", "nobody is behind an entry any more entry=%.*s controller=%.*s", COX_FMT(n->key),
	        COX_FMT(controller));
	n->connected_ms = e->started_ms;
	n->disconnected_ms = now_ms;
	n->wants_delete = is_over;
	n->wants_disconnect = !is_over;
	step(n);
}

/* An entry whose workload is connected here, but which another replica gave up: its clock is ahead of ours, or it heard of the end of the
 * old stream after the new one had begun. It is claimed again before the grace period is over. */
static void on_check(void *ctx)
{
	struct cox_enroll *e = ctx;
	COX_VEC(struct enroll_entry *) lost = { 0 };
	for (struct cox_map_entry *m = NULL; (m = cox_map_next(&e->entries, m));) {
		struct enroll_entry *n = m->value;
		const struct cox_object *o = cox_registry_object_find(e->spec.registry, COX_KIND_WORKLOAD_ENTRY, n->ns, n->name);
		bool is_gone = o ? cox_kv_has(o->meta.annotations.p, o->meta.annotations.n, COX_STR(ENROLL_DISCONNECTED)) : n->is_auto;
		if (is_gone && n->visits.n && !first_waiting(n) && n->visits.p[n->visits.n - 1]->is_in)
			cox_vec_push(&lost, n);
	}
	for (size_t i = 0; i < lost.n; i++) {
		lost.p[i]->wants_claim = true;
		step(lost.p[i]);
	}
	cox_vec_fini(&lost);
	if (e->entries.n == 0)
		cox_timer_stop(e->check);
}

static void on_sweep(void *ctx)
{
	struct cox_enroll *e = ctx;
	const struct cox_object *const *objects;
	size_t n = cox_registry_objects(e->spec.registry, COX_KIND_WORKLOAD_ENTRY, &objects);
	int64_t now_ms = cox_clock_wall_ms();
	for (size_t i = 0; i < n; i++)
		sweep_one(e, objects[i], now_ms);
}

void cox_enroll_synced(struct cox_enroll *e)
{
	if (e->spec.kube)
		cox_timer_start(e->sweep, SWEEP_GRACES * e->spec.grace_ms, SWEEP_GRACES * e->spec.grace_ms);
}

/* --- life ---------------------------------------------------------------------------------------------------------------- */

void cox_enroll_open(const struct cox_enroll_spec *spec, struct cox_enroll **out)
{
	struct cox_enroll *e = COX_NEW(struct cox_enroll);
	e->spec = *spec;
	e->spec.controller = cox_arena_str(&e->text, spec->controller);
	e->spec.grace_ms = spec->grace_ms ? spec->grace_ms : GRACE_MS;
	e->started_ms = cox_clock_wall_ms();
	e->sweep = cox_timer_new(spec->loop, on_sweep, e);
	e->check = cox_timer_new(spec->loop, on_check, e);
	*out = e;
}

void cox_enroll_close(struct cox_enroll **ep)
{
	struct cox_enroll *e = COX_MOVE(*ep);
	if (!e)
		return;
	for (struct cox_map_entry *m = NULL; (m = cox_map_next(&e->entries, m));) {
		struct enroll_entry *n = m->value;
		COX_ASSERT(n->visits.n == 0);
		entry_free(n);
	}
	cox_map_fini(&e->entries);
	cox_timer_free(&e->sweep);
	cox_timer_free(&e->check);
	cox_arena_fini(&e->text);
	cox_free(e);
}
