#include "status/lease.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/metric.h"
#include "codec/json.h"
#include "loop/timer.h"

enum { RELEASE_MS_MAX = 1000 };

struct cox_lease {
	struct cox_kube_client *c;
	struct cox_lease_spec spec;
	struct cox_arena text;
	struct cox_buf path, path_all;
	struct cox_kube_request *request;
	struct cox_timer *timer;
	bool is_held;
	int64_t renewed_ms; /* monotonic: our last renewal that the server took */
	/* What the server said last, and since when it says so. */
	struct cox_buf holder, renew_time, version, acquire_time;
	int64_t transitions;
	int64_t seen_ms;
	int64_t duration_ms; /* that the holder promised */
	bool exists;
	/* Release. */
	void (*released)(void *ctx);
	void *released_ctx;
};

static void later(struct cox_lease *l, int64_t ms) { cox_timer_start(l->timer, ms, 0); }

static void lead(struct cox_lease *l, bool is_leader)
{
	if (l->is_held == is_leader)
		return;
	char name[128];
	cox_str_to_cstr(l->spec.name, name, sizeof(name));
	l->is_held = is_leader;
	cox_metric_set(COX_M_LEADER, name, is_leader ? 1 : 0);
	cox_log(COX_LOG_INFO, "status", "%s lease=%s identity=%.*s", is_leader ? "leading" : "no longer leading", name,
	        COX_FMT(l->spec.identity));
	l->spec.on_change(l->spec.ctx, is_leader);
}

static void keep(struct cox_buf *b, struct cox_str s)
{
	cox_buf_clear(b);
	cox_buf_append_str(b, s);
}

/* Takes over what the server has. */
static void observe(struct cox_lease *l, struct cox_str body)
{
	struct cox_arena a = { 0 };
	struct cox_json *v = NULL;
	if (cox_json_parse(&a, body, &v, NULL) == COX_OK) {
		struct cox_str renew = cox_json_str_at(v, "spec.renewTime"), holder = cox_json_str_at(v, "spec.holderIdentity");
		const struct cox_json *duration = cox_json_at(v, "spec.leaseDurationSeconds"),
		                      *transitions = cox_json_at(v, "spec.leaseTransitions");
		int64_t seconds = 0;
		if (!cox_str_eq(renew, cox_buf_str(&l->renew_time)) || !cox_str_eq(holder, cox_buf_str(&l->holder)))
			l->seen_ms = cox_clock_mono_ms();
		keep(&l->renew_time, renew);
		keep(&l->holder, holder);
		keep(&l->acquire_time, cox_json_str_at(v, "spec.acquireTime"));
		keep(&l->version, cox_json_str_at(v, "metadata.resourceVersion"));
		l->duration_ms =
		    duration && cox_json_to_i64(duration, &seconds) == COX_OK && seconds > 0 ? seconds * 1000 : l->spec.duration_ms;
		if (!transitions || cox_json_to_i64(transitions, &l->transitions) != COX_OK)
			l->transitions = 0;
		l->exists = true;
	}
	cox_arena_fini(&a);
}

static void put_str(struct cox_arena *a, struct cox_json *o, const char *key, struct cox_str s)
{
	cox_json_set(a, o, cox_str_of(key), cox_json_new_str(a, s));
}

/* MicroTime: "2026-08-01T10:00:00.000000Z". */
static struct cox_str now_text(struct cox_arena *a)
{
	char text[32];
	cox_clock_format(cox_clock_wall_ms(), text);
	return cox_arena_printf(a, "%.*s000Z", (int)strlen(text) - 1, text);
}

static void on_written(void *ctx, struct cox_kube_request *r, enum cox_rc rc, int status, struct cox_str body, const struct cox_err *err);

/* Writes the lease with `holder`; the version makes it fail when somebody was faster. */
static void lease_write(struct cox_lease *l, struct cox_str holder)
{
	struct cox_arena a = { 0 };
	struct cox_buf body = { 0 };
	struct cox_json *root = cox_json_new_object(&a), *meta = cox_json_new_object(&a), *spec = cox_json_new_object(&a);
	struct cox_str now = now_text(&a);
	bool is_same = cox_str_eq(holder, cox_buf_str(&l->holder));
	put_str(&a, root, "apiVersion", COX_STR("coordination.k8s.io/v1"));
	put_str(&a, root, "kind", COX_STR("Lease"));
	put_str(&a, meta, "name", l->spec.name);
	put_str(&a, meta, "namespace", l->spec.ns);
	if (l->exists)
		put_str(&a, meta, "resourceVersion", cox_buf_str(&l->version));
	put_str(&a, spec, "holderIdentity", holder);
	put_str(&a, spec, "renewTime", now);
	put_str(&a, spec, "acquireTime", is_same && l->acquire_time.n ? cox_buf_str(&l->acquire_time) : now);
	cox_json_set(&a, spec, COX_STR("leaseDurationSeconds"), cox_json_new_i64(&a, holder.n ? l->spec.duration_ms / 1000 : 1));
	cox_json_set(&a, spec, COX_STR("leaseTransitions"), cox_json_new_i64(&a, l->transitions + (is_same || !l->exists ? 0 : 1)));
	cox_json_set(&a, root, COX_STR("metadata"), meta);
	cox_json_set(&a, root, COX_STR("spec"), spec);
	cox_json_write(&body, root, 0, false);
	struct cox_kube_request_spec request = { .method = l->exists ? "PUT" : "POST",
		                                 .path = cox_buf_str(l->exists ? &l->path : &l->path_all),
		                                 .body = cox_buf_str(&body),
		                                 .timeout_ms = 5000 };
	struct cox_kube_request_cb cb = { .on_done = on_written, .ctx = l };
	cox_kube_request_open(l->c, &request, &cb, &l->request);
	cox_buf_fini(&body);
	cox_arena_fini(&a);
}

/* We stop leading by ourselves before another may start: its clock runs from our last renewal. */
static void check_deadline(struct cox_lease *l)
{
	if (l->is_held && cox_clock_mono_ms() - l->renewed_ms >= l->spec.renew_deadline_ms)
		lead(l, false);
}

/* While we lead and trouble lasts, try more often than the deadline comes. */
static int64_t retry_ms(const struct cox_lease *l, bool is_trouble)
{
	return cox_jitter_ms(is_trouble && l->is_held ? l->spec.retry_ms / 4 : l->spec.retry_ms, 10);
}

static void on_written(void *ctx, struct cox_kube_request *r, enum cox_rc rc, int status, struct cox_str body, const struct cox_err *err)
{
	struct cox_lease *l = ctx;
	(void)r;
	l->request = NULL;
	if (l->released) {
		l->released(l->released_ctx);
		return;
	}
	if (rc == COX_OK) {
		observe(l, body);
		l->renewed_ms = cox_clock_mono_ms();
		lead(l, true);
	} else if (status == 409) {
		lead(l, false); /* somebody else wrote it */
	} else {
		cox_log(COX_LOG_DEBUG, "status", "lease cannot be written error=\"%s\"", err->text);
		check_deadline(l);
	}
	later(l, retry_ms(l, rc != COX_OK));
}

static void on_read(void *ctx, struct cox_kube_request *r, enum cox_rc rc, int status, struct cox_str body, const struct cox_err *err)
{
	struct cox_lease *l = ctx;
	(void)r;
	l->request = NULL;
	if (rc == COX_OK) {
		observe(l, body);
	} else if (status == 404) {
		l->exists = false;
		cox_buf_clear(&l->holder);
	} else {
		cox_log(COX_LOG_DEBUG, "status", "lease cannot be read error=\"%s\"", err->text);
		check_deadline(l);
		later(l, retry_ms(l, true));
		return;
	}
	bool is_ours = cox_str_eq(cox_buf_str(&l->holder), l->spec.identity);
	bool is_free = !l->exists || l->holder.n == 0 || cox_clock_mono_ms() - l->seen_ms >= l->duration_ms;
	if (is_ours || is_free) {
		lease_write(l, l->spec.identity);
		return;
	}
	lead(l, false);
	later(l, retry_ms(l, false));
}

static void step(void *ctx)
{
	struct cox_lease *l = ctx;
	if (l->released) { /* the release took too long */
		cox_kube_request_close(&l->request);
		l->released(l->released_ctx);
		return;
	}
	if (l->request)
		return;
	struct cox_kube_request_spec request = { .path = cox_buf_str(&l->path), .timeout_ms = 5000 };
	struct cox_kube_request_cb cb = { .on_done = on_read, .ctx = l };
	cox_kube_request_open(l->c, &request, &cb, &l->request);
}

void cox_lease_open(struct cox_kube_client *client, const struct cox_lease_spec *spec, struct cox_lease **out)
{
	struct cox_lease *l = COX_NEW(struct cox_lease);
	struct cox_str group = COX_STR("coordination.k8s.io"), v1 = COX_STR("v1"), leases = COX_STR("leases"), none = COX_STR("");
	l->c = client;
	l->spec = *spec;
	l->spec.ns = cox_arena_str(&l->text, spec->ns);
	l->spec.name = cox_arena_str(&l->text, spec->name);
	l->spec.identity = cox_arena_str(&l->text, spec->identity);
	l->spec.duration_ms = spec->duration_ms ? spec->duration_ms : 30 * 1000;
	l->spec.renew_deadline_ms = spec->renew_deadline_ms ? spec->renew_deadline_ms : 15 * 1000;
	l->spec.retry_ms = spec->retry_ms ? spec->retry_ms : 7500;
	cox_kube_path(&l->path, group, v1, leases, spec->ns, spec->name, none);
	cox_kube_path(&l->path_all, group, v1, leases, spec->ns, none, none);
	l->timer = cox_timer_new(cox_kube_client_loop(client), step, l);
	later(l, 0);
	*out = l;
}

bool cox_lease_is_held(const struct cox_lease *l)
{
	/* Also between two attempts: what the deadline ends does not count, even before the timer says so. */
	return l->is_held && cox_clock_mono_ms() - l->renewed_ms < l->spec.renew_deadline_ms;
}

struct cox_str cox_lease_holder(const struct cox_lease *l) { return cox_buf_str(&l->holder); }

void cox_lease_release(struct cox_lease *l, void (*done)(void *ctx), void *ctx)
{
	bool was_held = l->is_held;
	cox_kube_request_close(&l->request);
	l->released = done;
	l->released_ctx = ctx;
	lead(l, false);
	if (was_held)
		lease_write(l, COX_STR(""));
	later(l, was_held ? RELEASE_MS_MAX : 0);
}

void cox_lease_close(struct cox_lease **lp)
{
	struct cox_lease *l = *lp;
	*lp = NULL;
	if (!l)
		return;
	cox_kube_request_close(&l->request);
	cox_timer_free(&l->timer);
	cox_buf_fini(&l->path);
	cox_buf_fini(&l->path_all);
	cox_buf_fini(&l->holder);
	cox_buf_fini(&l->renew_time);
	cox_buf_fini(&l->version);
	cox_buf_fini(&l->acquire_time);
	cox_arena_fini(&l->text);
	cox_free(l);
}
