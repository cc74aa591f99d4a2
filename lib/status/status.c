#include "status/status.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/map.h"
#include "base/metric.h"
#include "kube/backoff.h"
#include "loop/timer.h"
#include "status/status_priv.h"

enum {
	HOLD_MS = 3000,     /* most changes are acknowledged everywhere by then: one write */
	PARTIAL_MS = 30000, /* between two writes that say who is still behind */
};

struct cox_status {
	struct cox_kube_client *c;
	const char *field_manager;
	unsigned rate;
	struct cox_map entries;
	struct status_entry *queue, **queue_end;
	size_t queued;
	/* One at a time: reads the object, then applies. */
	struct status_entry *current; /* NULL also when the object went meanwhile */
	struct cox_hash current_hash;
	struct cox_kube_request *request;
	struct cox_timer *timer;
	struct cox_kube_backoff backoff;
	int64_t pause_until_ms; /* monotonic: the rate's, or a backoff's */
	unsigned led;           /* bits of enum cox_status_part */
	bool is_denied, has_progress;
};

static unsigned part_of(const struct status_entry *e)
{
	struct cox_str group = cox_kind_info(e->kind)->group;
	return cox_str_eq(group, COX_STR("networking.k8s.io"))           ? COX_STATUS_INGRESS
	       : cox_str_eq(group, COX_STR("gateway.networking.k8s.io")) ? COX_STATUS_GATEWAY
	                                                                 : COX_STATUS_OWN;
}

static bool is_led(const struct cox_status *s, const struct status_entry *e) { return s->led & part_of(e); }

static void next_soon(struct cox_status *s, int64_t ms)
{
	if (!s->queue || s->request)
		return;
	int64_t at = cox_clock_mono_ms() + ms;
	/* A pause after a write counts; a wait for somebody's progress does not hold up the others. */
	if (at < s->pause_until_ms)
		at = s->pause_until_ms;
	cox_timer_start(s->timer, at - cox_clock_mono_ms() > 0 ? at - cox_clock_mono_ms() : 0, 0);
}

/* Who does not lead has nothing to write: whoever comes to lead looks at all of it. */
static void enqueue(struct cox_status *s, struct status_entry *e)
{
	if (!is_led(s, e))
		return;
	if (!e->is_queued) {
		e->is_queued = true;
		e->next = NULL;
		*s->queue_end = e;
		s->queue_end = &e->next;
		s->queued++;
	}
	next_soon(s, 0);
}

static void unqueue(struct cox_status *s, struct status_entry *e)
{
	if (!e->is_queued)
		return;
	struct status_entry **at = &s->queue;
	while (*at != e)
		at = &(*at)->next;
	*at = e->next;
	if (!*at)
		s->queue_end = at;
	e->is_queued = false;
	s->queued--;
}

static void entry_free(struct cox_status *s, struct status_entry *e)
{
	unqueue(s, e);
	cox_map_remove(&s->entries, e->key);
	if (s->current == e)
		s->current = NULL;
	for (size_t i = 0; i < COX_STATUS_SLOT_COUNT; i++)
		cox_arena_fini(&e->parts[i].arena);
	cox_arena_fini(&e->tree_text);
	cox_free((char *)(uintptr_t)e->key.p);
	cox_free(e);
}

/* --- writing -------------------------------------------------------------------------------------------------- */

static void finish(struct cox_status *s, const char *result, int64_t wait_ms)
{
	cox_metric_add(COX_M_STATUS_WRITES, result, 1);
	s->current = NULL;
	s->pause_until_ms = cox_clock_mono_ms() + wait_ms;
	next_soon(s, 0);
}

static void failed(struct cox_status *s, int status, const struct cox_err *err)
{
	struct status_entry *e = s->current;
	if (status == 409 && e) { /* somebody else wrote since it was read */
		s->current = NULL;
		enqueue(s, e);
		finish(s, "conflict", 1000 / s->rate);
		return;
	}
	/* Gone, or changed in a way that brings a new event: nothing more to say. */
	if (status == 404 || status == 409 || status == 400 || status == 422) {
		if (status == 400 || status == 422)
			cox_log(COX_LOG_WARN, "status", "status is refused error=\"%s\"", err->text);
		finish(s, "refused", 1000 / s->rate);
		return;
	}
	if (status == 403 && !s->is_denied) {
		s->is_denied = true;
		cox_log(COX_LOG_WARN, "status", "statuses may not be written error=\"%s\"", err->text);
	}
	s->current = NULL;
	if (e)
		enqueue(s, e);
	finish(s, "error", status == 403 ? s->backoff.max_ms : cox_kube_backoff_next_ms(&s->backoff));
}

static void on_applied(void *ctx, struct cox_kube_request *r, enum cox_rc rc, int status, struct cox_str body, const struct cox_err *err)
{
	struct cox_status *s = ctx;
	(void)r, (void)body;
	s->request = NULL;
	if (rc != COX_OK) {
		failed(s, status, err);
		return;
	}
	cox_kube_backoff_reset(&s->backoff);
	s->is_denied = false;
	if (s->current) {
		s->current->written = s->current_hash;
		s->current->is_written = true;
	}
	finish(s, "written", 1000 / s->rate);
}

static void path_of(const struct status_entry *e, struct cox_str subresource, struct cox_buf *out)
{
	const struct cox_kind_info *info = cox_kind_info(e->kind);
	struct cox_str versions = info->versions, version = { 0 };
	cox_str_next(&versions, ',', &version);
	cox_kube_path(out, info->group, version, info->plural, e->ns, e->name, subresource);
}

static void apply(struct cox_status *s, struct status_entry *e, int64_t generation, const struct cox_json *was)
{
	struct cox_buf body = { 0 }, path = { 0 };
	char now[32];
	cox_clock_format(cox_clock_wall_ms(), now);
	status_write(e, generation, was, cox_str_of(now), &body);
	path_of(e, COX_STR("status"), &path);
	struct cox_kube_request_cb cb = { .on_done = on_applied, .ctx = s };
	cox_kube_apply(s->c, cox_buf_str(&path), s->field_manager, cox_buf_str(&body), &cb, &s->request);
	cox_buf_fini(&body);
	cox_buf_fini(&path);
}

/* Reading first keeps lastTransitionTime, and a new leader from saying again what was said. */
static void on_read(void *ctx, struct cox_kube_request *r, enum cox_rc rc, int status, struct cox_str body, const struct cox_err *err)
{
	struct cox_status *s = ctx;
	struct status_entry *e = s->current;
	(void)r;
	s->request = NULL;
	if (rc != COX_OK) {
		failed(s, status, err);
		return;
	}
	struct cox_arena a = { 0 };
	struct cox_json *was = NULL;
	int64_t there = 0;
	if (e && is_led(s, e) && cox_json_parse(&a, body, &was, NULL) == COX_OK) {
		const struct cox_json *g = cox_json_at(was, "metadata.generation");
		if (!g || cox_json_to_i64(g, &there) != COX_OK)
			there = 0;
		int64_t generation = e->generation ? e->generation : there;
		s->current_hash = status_hash(e, generation);
		if (e->generation && there > e->generation) {
			finish(s, "outdated", 0); /* its event is on the way and will be judged */
		} else if (status_is_said(e, generation, was)) {
			e->written = s->current_hash;
			e->is_written = true;
			finish(s, "unchanged", 0);
		} else {
			apply(s, e, generation, was);
		}
	} else {
		finish(s, "dropped", 0);
	}
	cox_arena_fini(&a);
}

/* The first that need not wait any more; NULL: none, and the timer is set. */
static struct status_entry *due(struct cox_status *s)
{
	int64_t now = cox_clock_mono_ms(), first = INT64_MAX;
	for (struct status_entry *e = s->queue; e; e = e->next) {
		if (e->not_before_ms <= now)
			return e;
		first = e->not_before_ms < first ? e->not_before_ms : first;
	}
	if (first != INT64_MAX)
		cox_timer_start(s->timer, first - now, 0);
	return NULL;
}

static void step(void *ctx)
{
	struct cox_status *s = ctx;
	while (s->queue && !s->request) {
		struct status_entry *e = due(s);
		if (!e)
			break;
		unqueue(s, e);
		if (e->is_written && e->generation && cox_hash_eq(e->written, status_hash(e, e->generation)))
			continue;
		struct cox_buf path = { 0 };
		struct cox_kube_request_cb cb = { .on_done = on_read, .ctx = s };
		s->current = e;
		path_of(e, COX_STR(""), &path);
		cox_kube_call(s->c, "GET", cox_buf_str(&path), COX_STR(""), &cb, &s->request);
		cox_buf_fini(&path);
	}
}

/* --- what is to be said ------------------------------------------------------------------------------------------ */

static struct cox_str key_make(enum cox_kind kind, struct cox_str ns, struct cox_str name)
{
	struct cox_buf b = { 0 };
	size_t n = 0;
	cox_buf_printf(&b, "%.*s/%.*s/%.*s", COX_FMT(cox_kind_info(kind)->word), COX_FMT(ns), COX_FMT(name));
	cox_buf_append_char(&b, 0);
	const char *p = cox_buf_take(&b, &n);
	return cox_str_make(p, n - 1);
}

static struct status_entry *entry_get(struct cox_status *s, enum cox_kind kind, struct cox_str ns, struct cox_str name)
{
	struct cox_str key = key_make(kind, ns, name);
	struct status_entry *e = cox_map_find(&s->entries, key);
	if (e) {
		cox_free((char *)(uintptr_t)key.p);
		return e;
	}
	e = COX_NEW(struct status_entry);
	e->kind = kind;
	e->key = key;
	e->ns = cox_str_sub(key, cox_kind_info(kind)->word.n + 1, ns.n);
	e->name = cox_str_sub(key, key.n - name.n, name.n);
	cox_map_set(&s->entries, e->key, e);
	return e;
}

/* What is wrong is said at once; what is fine may wait a little for the proxies. A new version is not what proxies rejected. */
static void hold(struct cox_status *s, struct status_entry *e, enum cox_status_slot slot, bool has_errors)
{
	e->has_progress = s->has_progress && cox_kind_info(e->kind)->ours == 1;
	if (!e->has_progress || slot != COX_STATUS_DECODE)
		return;
	bool is_new = e->generation && e->progress_generation != e->generation;
	e->not_before_ms = is_new && !has_errors ? cox_clock_mono_ms() + HOLD_MS : 0;
	if (!is_new)
		return;
	cox_arena_fini(&e->parts[COX_STATUS_PROXY].arena);
	e->parts[COX_STATUS_PROXY] = (struct status_part){ 0 };
}

void cox_status_progress(struct cox_status *s, enum cox_kind kind, struct cox_str ns, struct cox_str name,
                         const struct cox_status_progress *p)
{
	struct cox_str key = key_make(kind, ns, name);
	struct status_entry *e = cox_map_find(&s->entries, key);
	cox_free((char *)(uintptr_t)key.p);
	if (!e || !e->has_progress || e->generation != p->generation)
		return;
	bool is_first = e->progress_generation != p->generation, is_done = p->acked == p->total;
	if (!is_first && e->acked == p->acked && e->total == p->total)
		return;
	e->progress_generation = p->generation;
	e->acked = p->acked;
	e->total = p->total;
	cox_str_to_cstr(p->last, e->last, sizeof(e->last));
	if (is_done)
		e->not_before_ms = 0;
	else if (!is_first && !e->is_queued)
		e->not_before_ms = cox_clock_mono_ms() + PARTIAL_MS;
	if (!e->is_written || !cox_hash_eq(e->written, status_hash(e, e->generation)))
		enqueue(s, e);
}

void cox_status_set(struct cox_status *s, enum cox_kind kind, struct cox_str ns, struct cox_str name, int64_t generation,
                    enum cox_status_slot slot, const struct cox_status_finding *findings, size_t n)
{
	if (!cox_kind_info(kind)->ours || name.n == 0)
		return;
	struct status_entry *e = entry_get(s, kind, ns, name);
	struct status_part *p = &e->parts[slot];
	cox_arena_fini(&p->arena);
	p->total = n;
	p->n = cox_min_size(n, FINDINGS_MAX);
	p->findings = p->n ? COX_ARENA_ARRAY(&p->arena, struct cox_status_finding, p->n) : NULL;
	bool has_errors = false;
	for (size_t i = 0; i < p->n; i++) {
		has_errors |= findings[i].severity == COX_SEV_ERROR;
		p->findings[i].severity = findings[i].severity;
		p->findings[i].code = cox_arena_str(&p->arena, findings[i].code);
		p->findings[i].name = cox_arena_str(&p->arena, findings[i].name);
		p->findings[i].path = cox_arena_str(&p->arena, findings[i].path);
		p->findings[i].text = cox_arena_str(&p->arena, findings[i].text);
	}
	/* Findings about what it refers to, and warnings that follow a put, bring no generation of their own; what could not be read
	 * has another one than its last good version, and only the server knows it. */
	if (generation || (slot == COX_STATUS_DECODE && has_errors))
		e->generation = generation;
	hold(s, e, slot, has_errors);
	if (!e->is_written || !e->generation || !cox_hash_eq(e->written, status_hash(e, e->generation)))
		enqueue(s, e);
}

void cox_status_set_tree(struct cox_status *s, enum cox_kind kind, struct cox_str ns, struct cox_str name, int64_t generation,
                         const struct cox_json *status)
{
	struct status_entry *e = entry_get(s, kind, ns, name);
	cox_arena_fini(&e->tree_text);
	e->is_tree = true;
	e->tree = status ? cox_json_clone(&e->tree_text, status) : NULL;
	e->generation = generation;
	if (!e->is_written || !cox_hash_eq(e->written, status_hash(e, generation)))
		enqueue(s, e);
}

void cox_status_set_diags(struct cox_status *s, enum cox_kind kind, struct cox_str ns, struct cox_str name, int64_t generation,
                          const struct cox_diags *diags)
{
	struct cox_status_finding findings[FINDINGS_MAX];
	size_t n = 0;
	/* Errors first: they must not be cut off by warnings. */
	for (int severity = COX_SEV_ERROR; severity <= COX_SEV_WARNING; severity++)
		for (size_t i = 0; diags && i < diags->n && n < FINDINGS_MAX; i++)
			if (diags->items[i].severity == (enum cox_severity)severity)
				findings[n++] = (struct cox_status_finding){ .severity = diags->items[i].severity,
					                                     .path = diags->items[i].path,
					                                     .text = diags->items[i].text };
	cox_status_set(s, kind, ns, name, generation, COX_STATUS_DECODE, findings, n);
}

void cox_status_forget(struct cox_status *s, enum cox_kind kind, struct cox_str ns, struct cox_str name)
{
	struct cox_str key = key_make(kind, ns, name);
	struct status_entry *e = cox_map_find(&s->entries, key);
	cox_free((char *)(uintptr_t)key.p);
	if (e)
		entry_free(s, e);
}

size_t cox_status_waiting(const struct cox_status *s) { return s->queued + (s->current ? 1 : 0); }

/* --- life ---------------------------------------------------------------------------------------------------------- */

void cox_status_open(struct cox_kube_client *client, const struct cox_status_spec *spec, struct cox_status **out)
{
	struct cox_status *s = COX_NEW(struct cox_status);
	s->c = client;
	s->field_manager = spec && spec->field_manager ? spec->field_manager : "coxswain-status";
	s->has_progress = spec && spec->has_progress;
	s->rate = spec && spec->writes_per_second ? spec->writes_per_second : 10;
	s->queue_end = &s->queue;
	s->backoff = (struct cox_kube_backoff){ .first_ms = 500, .max_ms = 30 * 1000 };
	s->timer = cox_timer_new(cox_kube_client_loop(client), step, s);
	*out = s;
}

void cox_status_lead(struct cox_status *s, unsigned parts, bool is_leader)
{
	unsigned was = s->led;
	s->led = is_leader ? was | parts : was & ~parts;
	for (struct cox_map_entry *m = NULL; s->led != was && (m = cox_map_next(&s->entries, m));) {
		struct status_entry *e = m->value;
		if (!(part_of(e) & (s->led ^ was)))
			continue;
		if (is_leader) {
			e->is_written = false; /* another replica may have written since: looked at again */
			enqueue(s, e);
		} else {
			unqueue(s, e);
		}
	}
	if (!s->queue)
		cox_timer_stop(s->timer);
}

void cox_status_close(struct cox_status **sp)
{
	struct cox_status *s = *sp;
	*sp = NULL;
	if (!s)
		return;
	cox_kube_request_close(&s->request);
	cox_timer_free(&s->timer);
	for (struct cox_map_entry *m = NULL; (m = cox_map_next(&s->entries, m));)
		entry_free(s, m->value);
	cox_map_fini(&s->entries);
	cox_free(s);
}
