#include "status/converge.h"

#include "base/clock.h"
#include "base/log.h"
#include "kube/watch.h"
#include "loop/timer.h"
#include "status/report.h"

#include <stdlib.h>

enum {
	POLL_FIRST_MS = 200,
	POLL_MAX_MS = 5000,     /* who has not acknowledged by now is slow, or never will */
	REPORT_MS = 1000,       /* between two reports of this replica */
	BEAT_MS = 15 * 1000,    /* so often it says at least that it is there */
	STALE_MS = 45 * 1000,   /* a replica that says nothing for so long is gone: so are its proxies */
	FORGOT_MS = 600 * 1000, /* and its report is cleared away; clocks may differ by as much */
};

static const struct cox_str label = COX_STR_INIT("coxswain.io/distribution-report");

struct object {
	struct report_pending p; /* its id is `text` */
	enum cox_kind kind;
	struct cox_str ns, name;
	char text[];
};
/* The report of another replica. */
struct peer {
	struct report report;
	int64_t heard_ms;
};

struct cox_converge {
	struct cox_converge_spec spec;
	struct cox_arena text;
	struct cox_map objects; /* id -> struct object */
	size_t pending;
	uint64_t seen[COX_KIND_COUNT];
	uint64_t delivered; /* the newest generation whose streams may be counted */
	bool is_asking, is_closed;
	struct cox_timer *poll;
	int64_t poll_ms;
	/* The last count of our own streams. */
	COX_VEC(uint64_t) behind; /* sorted */
	size_t streams;
	char last[COX_XDS_FOLLOWED_NAME];
	bool is_leader;
	/* Leader. */
	struct cox_kube_watch *reports;
	/* The others. */
	struct cox_timer *report;
	struct cox_buf path, said;
	struct cox_kube_request *request;
	int64_t reported_ms;
	uint64_t beat;
	bool has_report; /* there may be one of ours */
	bool is_retired; /* and there will be none */
};

/* --- counting ------------------------------------------------------------------------------------------------------ */

static int cmp_u64(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return (x > y) - (x < y);
}

/* Of our streams, those that have the generation. */
static size_t local_acked(const struct cox_converge *c, uint64_t generation)
{
	size_t low = 0, high = c->behind.n; /* those behind it are the first `low` */
	while (low < high) {
		size_t mid = (low + high) / 2;
		if (c->behind.p[mid] <= generation)
			low = mid + 1;
		else
			high = mid;
	}
	return c->streams > low ? c->streams - low : 0;
}

struct sum {
	const struct object *o;
	size_t acked, total;
	int64_t now_ms;
};

static void add_peer(void *ctx, struct cox_kube_entry *e)
{
	struct sum *s = ctx;
	const struct peer *p = e->value;
	if (!p || s->now_ms - p->heard_ms >= STALE_MS)
		return;
	s->total += p->report.streams;
	s->acked += report_acked(&p->report, s->o->kind, &s->o->p);
}

static void set_done(struct cox_converge *c, struct object *o, bool is_done)
{
	if (o->p.is_done == is_done)
		return;
	o->p.is_done = is_done;
	c->pending += is_done ? (size_t)-1 : 1;
}

static void evaluate_one(struct cox_converge *c, struct object *o, int64_t now_ms)
{
	struct sum s = { .o = o, .acked = local_acked(c, o->p.frozen), .total = c->streams, .now_ms = now_ms };
	o->p.acked = s.acked;
	if (!c->is_leader) {
		set_done(c, o, s.acked == s.total);
		return;
	}
	if (c->reports)
		cox_kube_watch_each(c->reports, add_peer, &s);
	set_done(c, o, s.acked == s.total);
	cox_status_progress(c->spec.status, o->kind, o->ns, o->name,
	                    &(struct cox_status_progress){ .generation = o->p.generation,
	                                                   .acked = s.acked,
	                                                   .total = s.total,
	                                                   .last = s.acked == s.total ? (struct cox_str){ 0 } : cox_str_of(c->last) });
}

static void report_soon(struct cox_converge *c);

static void evaluate(struct cox_converge *c)
{
	int64_t now_ms = cox_clock_mono_ms();
	for (struct cox_map_entry *m = NULL; c->pending && (m = cox_map_next(&c->objects, m));) {
		struct object *o = m->value;
		if (!o->p.is_done && o->p.frozen && o->p.frozen <= c->delivered)
			evaluate_one(c, o, now_ms);
	}
	report_soon(c);
}

static void poll_again(struct cox_converge *c)
{
	if (!c->pending || !c->spec.xds || c->is_asking)
		return;
	cox_timer_start(c->poll, c->poll_ms, 0);
	c->poll_ms = c->poll_ms * 2 < POLL_MAX_MS ? c->poll_ms * 2 : POLL_MAX_MS;
}

static void on_followed(void *ctx, const struct cox_xds_followed *r)
{
	struct cox_converge *c = ctx;
	c->is_asking = false;
	if (c->is_closed) {
		cox_free(c);
		return;
	}
	cox_vec_clear(&c->behind);
	for (size_t i = 0; i < r->behind_n; i++)
		cox_vec_push(&c->behind, r->behind[i]);
	if (c->behind.n > 1)
		qsort(c->behind.p, c->behind.n, sizeof(*c->behind.p), cmp_u64);
	c->streams = r->streams;
	cox_str_to_cstr(cox_str_of(r->name), c->last, sizeof(c->last));
	evaluate(c);
	poll_again(c);
}

static void on_poll(void *ctx)
{
	struct cox_converge *c = ctx;
	if (c->is_asking || !c->spec.xds)
		return;
	c->is_asking = true;
	cox_xds_server_followed(c->spec.xds, on_followed, c);
}

/* --- what comes ----------------------------------------------------------------------------------------------------- */

void cox_converge_changed(struct cox_converge *c, const struct cox_object *o)
{
	uint64_t version = 0;
	if (!c || cox_kind_info(o->kind)->ours != 1 || o->is_generated || !o->meta.generation)
		return;
	if (cox_str_to_u64(o->meta.resource_version, &version) == COX_OK && version > c->seen[o->kind])
		c->seen[o->kind] = version;
	struct object *mine = cox_map_find(&c->objects, o->id);
	if (!mine) {
		mine = cox_zalloc(sizeof(*mine) + o->id.n + 1);
		memcpy(mine->text, o->id.p, o->id.n);
		mine->kind = o->kind;
		mine->p.id = cox_str_make(mine->text, o->id.n);
		mine->p.is_done = true;
		mine->name = cox_str_sub(mine->p.id, o->id.n - o->meta.name.n, SIZE_MAX);
		mine->ns = cox_str_sub(mine->p.id, cox_kind_info(o->kind)->word.n + 1, o->meta.ns.n);
		cox_map_set(&c->objects, mine->p.id, mine);
	}
	if (mine->p.generation == o->meta.generation && mine->p.version)
		return; /* labels: nothing that a generation counts */
	mine->p.generation = o->meta.generation;
	mine->p.version = version;
	mine->p.frozen = 0;
	mine->p.acked = 0;
	set_done(c, mine, false);
}

void cox_converge_forget(struct cox_converge *c, struct cox_str id)
{
	struct object *o = c ? cox_map_find(&c->objects, id) : NULL;
	if (!o)
		return;
	set_done(c, o, true);
	cox_map_remove(&c->objects, o->p.id);
	cox_free(o);
}

void cox_converge_frozen(struct cox_converge *c, uint64_t generation)
{
	for (struct cox_map_entry *m = NULL; c && c->pending && (m = cox_map_next(&c->objects, m));) {
		struct object *o = m->value;
		if (!o->p.is_done && !o->p.frozen)
			o->p.frozen = generation;
	}
}

void cox_converge_delivered(struct cox_converge *c, uint64_t generation)
{
	if (!c)
		return;
	c->delivered = generation;
	c->poll_ms = POLL_FIRST_MS;
	poll_again(c);
}

size_t cox_converge_pending(const struct cox_converge *c) { return c ? c->pending : 0; }

/* --- reports of others --------------------------------------------------------------------------------------------------- */

static void on_report(void *ctx, const struct cox_kube_item *item, struct cox_kube_entry *e)
{
	struct cox_converge *c = ctx;
	struct cox_arena a = { 0 };
	struct cox_json *v = NULL;
	struct peer *p = e->value ? e->value : COX_NEW(struct peer);
	struct report fresh = { 0 };
	bool is_good = cox_json_parse(&a, item->text, &v, NULL) == COX_OK && report_read(cox_json_str_at(v, "data.report"), &fresh);
	int64_t written_ms = 0;
	bool is_old =
	    v && (cox_clock_parse(cox_json_str_at(v, "data.time"), &written_ms) != COX_OK || cox_clock_wall_ms() - written_ms >= FORGOT_MS);
	cox_arena_fini(&a);
	report_fini(&p->report);
	p->report = is_good ? fresh : (struct report){ 0 };
	p->heard_ms = cox_clock_mono_ms();
	/* Of ourselves, from before we led; or of somebody who went long ago. */
	if (!is_good || is_old || cox_str_eq(p->report.replica, c->spec.identity))
		p->heard_ms -= is_old ? FORGOT_MS : STALE_MS;
	e->value = p;
	evaluate(c);
}

static void on_report_gone(void *ctx, struct cox_kube_entry *e)
{
	struct peer *p = e->value;
	(void)ctx;
	e->value = NULL;
	if (p)
		report_fini(&p->report);
	cox_free(p);
}

static void on_reports_synced(void *ctx, enum cox_rc rc) { (void)ctx, (void)rc; }
static void on_reports_trouble(void *ctx, enum cox_rc rc, const struct cox_err *err)
{
	(void)ctx;
	if (rc != COX_OK)
		cox_log(COX_LOG_WARN, "status", "reports of other replicas cannot be read: their proxies are not counted error=\"%s\"",
		        err->text);
}

static void watch_reports(struct cox_converge *c)
{
	struct cox_arena a = { 0 };
	struct cox_kube_watch_cb cb = {
		.put = on_report, .remove = on_report_gone, .synced = on_reports_synced, .trouble = on_reports_trouble, .ctx = c
	};
	cox_kube_watch_open(
	    c->spec.kube,
	    &(struct cox_kube_watch_spec){ .plural = COX_STR("configmaps"),
	                                   .kind = COX_STR("ConfigMap"),
	                                   .versions = COX_STR("v1"),
	                                   .ns = c->spec.ns,
	                                   .label_selector = cox_arena_printf(&a, "%.*s=%.*s", COX_FMT(label), COX_FMT(c->spec.revision)) },
	    &cb, &c->reports);
	cox_arena_fini(&a);
}

/* --- our own ------------------------------------------------------------------------------------------------------------- */

static void on_reported(void *ctx, struct cox_kube_request *r, enum cox_rc rc, int status, struct cox_str body, const struct cox_err *err)
{
	struct cox_converge *c = ctx;
	(void)r, (void)status, (void)body;
	c->request = NULL;
	if (rc != COX_OK) {
		cox_log(COX_LOG_DEBUG, "status", "the report for the leader is not written error=\"%s\"", err->text);
		cox_buf_clear(&c->said);
	}
	report_soon(c);
}

static void put(struct cox_arena *a, struct cox_json *o, const char *key, struct cox_str s)
{
	cox_json_set(a, o, cox_str_of(key), cox_json_new_str(a, s));
}

static void apply(struct cox_converge *c, struct cox_str name, struct cox_str report)
{
	struct cox_arena arena = { 0 }, *a = &arena;
	struct cox_buf body = { 0 };
	struct cox_json *root = cox_json_new_object(a), *meta = cox_json_new_object(a), *labels = cox_json_new_object(a),
	                *data = cox_json_new_object(a);
	put(a, root, "apiVersion", COX_STR("v1"));
	put(a, root, "kind", COX_STR("ConfigMap"));
	put(a, meta, "name", name);
	put(a, meta, "namespace", c->spec.ns);
	cox_json_set(a, labels, label, cox_json_new_str(a, c->spec.revision));
	cox_json_set(a, meta, COX_STR("labels"), labels);
	cox_json_set(a, root, COX_STR("metadata"), meta);
	char now[32];
	cox_clock_format(cox_clock_wall_ms(), now);
	put(a, data, "report", report);
	put(a, data, "time", cox_str_of(now));
	cox_json_set(a, root, COX_STR("data"), data);
	cox_json_write(&body, root, 0, false);
	struct cox_kube_request_cb cb = { .on_done = on_reported, .ctx = c };
	cox_kube_apply(c->spec.kube, cox_buf_str(&c->path), "coxswain-distribution", cox_buf_str(&body), &cb, &c->request);
	cox_buf_fini(&body);
	cox_arena_fini(a);
}

static struct cox_str report_name(const struct cox_converge *c)
{
	struct cox_str path = cox_buf_str(&c->path);
	size_t at = path.n;
	while (at > 0 && path.p[at - 1] != '/')
		at--;
	return cox_str_sub(path, at, SIZE_MAX);
}

static void erase(struct cox_converge *c, struct cox_str name)
{
	struct cox_buf path = { 0 };
	struct cox_kube_request_cb cb = { .on_done = on_reported, .ctx = c };
	cox_kube_request_close(&c->request);
	cox_kube_path(&path, COX_STR(""), COX_STR("v1"), COX_STR("configmaps"), c->spec.ns, name, COX_STR(""));
	cox_kube_call(c->spec.kube, "DELETE", cox_buf_str(&path), COX_STR(""), &cb, &c->request);
	cox_buf_fini(&path);
}

struct oldest {
	int64_t heard_ms;
	struct cox_str name;
};
static void find_oldest(void *ctx, struct cox_kube_entry *e)
{
	struct oldest *o = ctx;
	const struct peer *p = e->value;
	if (p && p->heard_ms < o->heard_ms)
		*o = (struct oldest){ p->heard_ms, e->name };
}

/* What replicas left that ended without a word; one at a time. */
static void clear_away(struct cox_converge *c)
{
	struct oldest o = { cox_clock_mono_ms() - FORGOT_MS + 1, { 0 } };
	if (c->reports)
		cox_kube_watch_each(c->reports, find_oldest, &o);
	if (o.name.n)
		erase(c, o.name);
	cox_timer_start(c->report, BEAT_MS, 0);
}

/* Says what is new, or, after a while, that nothing is. */
static void on_report_due(void *ctx)
{
	struct cox_converge *c = ctx;
	struct cox_buf text = { 0 };
	int64_t now = cox_clock_mono_ms();
	if (c->request || c->is_retired)
		return;
	if (c->is_leader) {
		clear_away(c);
		return;
	}
	report_write(c->spec.identity, c->streams, c->seen, &c->objects, c->beat, &text);
	bool is_new = !cox_str_eq(cox_buf_str(&text), cox_buf_str(&c->said)), is_beat = now - c->reported_ms >= BEAT_MS;
	if (is_beat && !is_new) {
		c->beat++;
		on_poll(c); /* how many streams there are */
		cox_buf_clear(&text);
		report_write(c->spec.identity, c->streams, c->seen, &c->objects, c->beat, &text);
	}
	if (is_new || is_beat) {
		c->reported_ms = now;
		c->has_report = true;
		cox_buf_fini(&c->said);
		c->said = text;
		apply(c, report_name(c), cox_buf_str(&c->said));
	} else {
		cox_buf_fini(&text);
		cox_timer_start(c->report, BEAT_MS - (now - c->reported_ms), 0);
	}
}

static void report_soon(struct cox_converge *c)
{
	int64_t since = cox_clock_mono_ms() - c->reported_ms;
	if (!c->is_leader && !c->is_retired && !c->request)
		cox_timer_start(c->report, since < REPORT_MS ? REPORT_MS - since : 0, 0);
}

/* --- life ----------------------------------------------------------------------------------------------------------------- */

void cox_converge_retire(struct cox_converge *c)
{
	if (!c)
		return;
	c->is_retired = true;
	if (c->has_report)
		erase(c, report_name(c));
}

void cox_converge_lead(struct cox_converge *c, bool is_leader)
{
	if (!c || c->is_leader == is_leader)
		return;
	c->is_leader = is_leader;
	cox_kube_watch_close(&c->reports);
	if (!is_leader) {
		cox_buf_clear(&c->said);
		report_soon(c);
		return;
	}
	watch_reports(c);
	if (c->has_report)
		erase(c, report_name(c));
	c->has_report = false;
	cox_timer_start(c->report, BEAT_MS, 0);
	/* Whoever led before may have left in the middle: all are looked at once. */
	for (struct cox_map_entry *m = NULL; (m = cox_map_next(&c->objects, m));)
		set_done(c, m->value, false);
	c->poll_ms = REPORT_MS; /* reports come first */
	poll_again(c);
}

void cox_converge_open(const struct cox_converge_spec *spec, struct cox_converge **out)
{
	struct cox_converge *c = COX_NEW(struct cox_converge);
	struct cox_loop *loop = cox_kube_client_loop(spec->kube);
	char hex[33];
	c->spec = *spec;
	c->spec.ns = cox_arena_str(&c->text, spec->ns);
	c->spec.identity = cox_arena_str(&c->text, spec->identity);
	c->spec.revision = spec->revision.n ? cox_arena_str(&c->text, spec->revision) : COX_STR("default");
	c->poll_ms = POLL_FIRST_MS;
	c->poll = cox_timer_new(loop, on_poll, c);
	c->report = cox_timer_new(loop, on_report_due, c);
	cox_hash_to_hex(cox_hash128(spec->identity.p, spec->identity.n), hex);
	struct cox_str name = cox_arena_printf(&c->text, "coxswain-distribution-%.16s", hex);
	cox_kube_path(&c->path, COX_STR(""), COX_STR("v1"), COX_STR("configmaps"), c->spec.ns, name, COX_STR(""));
	/* Not at once: who is alone leads soon, and needs no report. */
	c->reported_ms = cox_clock_mono_ms() - BEAT_MS;
	cox_timer_start(c->report, 5 * REPORT_MS, 0);
	*out = c;
}

void cox_converge_end_streams(struct cox_converge *c)
{
	if (c)
		c->spec.xds = NULL;
}

void cox_converge_close(struct cox_converge **cp)
{
	struct cox_converge *c = *cp;
	*cp = NULL;
	if (!c)
		return;
	cox_kube_request_close(&c->request);
	cox_kube_watch_close(&c->reports);
	cox_timer_free(&c->poll);
	cox_timer_free(&c->report);
	for (struct cox_map_entry *m = NULL; (m = cox_map_next(&c->objects, m));)
		cox_free(m->value);
	cox_map_fini(&c->objects);
	cox_vec_fini(&c->behind);
	cox_buf_fini(&c->path);
	cox_buf_fini(&c->said);
	cox_arena_fini(&c->text);
	c->is_closed = true;
	if (!c->is_asking)
		cox_free(c);
}
