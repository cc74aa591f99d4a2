#include "status/lease.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/metric.h"
#include "loop/timer.h"
#include "status/lease_priv.h"

enum { RELEASE_MS_MAX = 1000, REQUEST_MS_MAX = 5000 };

struct cox_lease {
	struct cox_kube_client *c;
	struct cox_lease_spec spec;
	struct cox_arena text;
	struct cox_buf path, path_all;
	struct cox_kube_request *request;
	struct cox_timer *timer;
	bool is_held;
	int64_t asked_ms;     /* monotonic: when the request on its way was sent */
	int64_t renewed_ms;   /* when the last renewal that the server took was sent */
	int64_t lead_from_ms; /* taken from another: he may not have noticed before; 0: at once */
	/* What the server said last (`object`, and of it the record), and since when it says so. */
	struct cox_arena seen_text;
	const struct cox_json *object; /* NULL: there is none */
	struct lease_record seen;
	struct cox_buf stamp; /* of the record: holder and renewal */
	int64_t seen_ms;
	bool is_evicting; /* the write on its way takes it from another */
	/* Release. */
	void (*released)(void *ctx);
	void *released_ctx;
	bool releases_next; /* a renewal is on its way, and its answer has the version that the release needs */
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
	cox_log(COX_LOG_INFO, "status", "%s lock=%s identity=%.*s", is_leader ? "leading" : "no longer leading", name,
	        COX_FMT(l->spec.identity));
	l->spec.on_change(l->spec.ctx, is_leader);
}

static bool is_ours(const struct cox_lease *l) { return l->object && cox_str_eq(l->seen.holder, l->spec.identity); }

static void forget(struct cox_lease *l)
{
	cox_arena_reset(&l->seen_text);
	l->object = NULL;
	l->seen = (struct lease_record){ 0 };
}

/* Takes over what the server has. */
static void observe(struct cox_lease *l, struct cox_str body)
{
	struct cox_json *v = NULL;
	struct cox_buf stamp = { 0 };
	forget(l);
	if (cox_json_parse(&l->seen_text, cox_arena_str(&l->seen_text, body), &v, NULL) != COX_OK)
		return;
	l->object = v;
	if (!lease_record_read(l->spec.form, v, &l->seen_text, &l->seen) && l->spec.form == COX_LEASE_CONFIG_MAP)
		cox_log(COX_LOG_DEBUG, "status", "ConfigMap bears no record of a leader: free lock=%.*s", COX_FMT(l->spec.name));
	cox_buf_printf(&stamp, "%.*s %.*s", COX_FMT(l->seen.holder), COX_FMT(l->seen.renew_time));
	if (!cox_str_eq(cox_buf_str(&stamp), cox_buf_str(&l->stamp)))
		l->seen_ms = cox_clock_mono_ms();
	cox_buf_fini(&l->stamp);
	l->stamp = stamp;
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
	int64_t ms = cox_jitter_ms(is_trouble && l->is_held ? l->spec.retry_ms / 4 : l->spec.retry_ms, 10);
	int64_t left = l->lead_from_ms ? l->lead_from_ms - cox_clock_mono_ms() : ms;
	return left > 0 && left < ms ? left : ms;
}

/* --- writing ---------------------------------------------------------------------------------------------------- */

static void on_written(void *ctx, struct cox_kube_request *r, enum cox_rc rc, int status, struct cox_str body, const struct cox_err *err);

static void request(struct cox_lease *l, const char *method, const struct cox_buf *path, struct cox_str body,
                    void (*done)(void *, struct cox_kube_request *, enum cox_rc, int, struct cox_str, const struct cox_err *))
{
	int64_t patience = l->spec.renew_deadline_ms / 2;
	struct cox_kube_request_spec spec = { .method = method,
		                              .path = cox_buf_str(path),
		                              .body = body,
		                              .timeout_ms = patience < REQUEST_MS_MAX ? patience : REQUEST_MS_MAX };
	struct cox_kube_request_cb cb = { .on_done = done, .ctx = l };
	l->asked_ms = cox_clock_mono_ms();
	cox_kube_request_open(l->c, &spec, &cb, &l->request);
}

/* Writes the lock with `holder`; the version makes it fail when somebody was faster. */
static void lease_write(struct cox_lease *l, struct cox_str holder)
{
	struct cox_arena a = { 0 };
	struct cox_buf body = { 0 };
	struct cox_str now = lease_time(l->spec.form, cox_clock_wall_ms(), &a);
	bool is_same = l->object && cox_str_eq(holder, l->seen.holder);
	struct lease_record r = { .holder = holder,
		                  .key = holder.n ? l->spec.key : (struct cox_str){ 0 },
		                  .renew_time = now,
		                  .acquire_time = is_same && l->seen.acquire_time.n ? l->seen.acquire_time : now,
		                  .duration_s = holder.n ? l->spec.duration_ms / 1000 : 1,
		                  .transitions = l->seen.transitions + (l->object && holder.n && !is_same ? 1 : 0) };
	lease_record_write(&l->spec, l->object, &r, &body);
	request(l, l->object ? "PUT" : "POST", l->object ? &l->path : &l->path_all, cox_buf_str(&body), on_written);
	cox_buf_fini(&body);
	cox_arena_fini(&a);
}

static void on_written(void *ctx, struct cox_kube_request *r, enum cox_rc rc, int status, struct cox_str body, const struct cox_err *err)
{
	struct cox_lease *l = ctx;
	(void)r;
	l->request = NULL;
	if (l->released && l->releases_next && rc == COX_OK) {
		l->releases_next = false;
		observe(l, body);
		lease_write(l, COX_STR(""));
		return;
	}
	if (l->released) {
		l->released(l->released_ctx);
		return;
	}
	if (rc != COX_OK) {
		/* 409, 404: it changed since it was read, and the next look says by whom. */
		bool raced = status == 409 || status == 404;
		cox_log(COX_LOG_DEBUG, "status", "lock cannot be written error=\"%s\"", err->text);
		forget(l);
		check_deadline(l);
		later(l, raced ? 0 : retry_ms(l, true));
		return;
	}
	observe(l, body);
	l->renewed_ms = l->asked_ms;
	if (l->is_evicting)
		l->lead_from_ms = cox_clock_mono_ms() + l->spec.renew_deadline_ms;
	l->is_evicting = false;
	if (cox_clock_mono_ms() >= l->lead_from_ms) {
		l->lead_from_ms = 0;
		lead(l, true);
	}
	later(l, retry_ms(l, false));
}

/* --- looking ------------------------------------------------------------------------------------------------------ */

/* Somebody holds it: may we have it all the same? */
static bool may_take(struct cox_lease *l)
{
	int64_t promised_ms = l->seen.duration_s > 0 ? l->seen.duration_s * 1000 : l->spec.duration_ms;
	if (l->seen.holder.n == 0 || cox_clock_mono_ms() - l->seen_ms >= promised_ms)
		return true;
	if (cox_str_eq(l->seen.key, l->spec.key) || !l->spec.may_evict || !l->spec.may_evict(l->spec.ctx, l->seen.key))
		return false;
	cox_log(COX_LOG_INFO, "status", "taking the lock from another revision lock=%.*s holder=%.*s revision=%.*s", COX_FMT(l->spec.name),
	        COX_FMT(l->seen.holder), COX_FMT(l->seen.key));
	l->is_evicting = true;
	return true;
}

static void decide(struct cox_lease *l)
{
	if (!l->object || is_ours(l) || may_take(l)) {
		lease_write(l, l->spec.identity);
		return;
	}
	l->lead_from_ms = 0;
	lead(l, false);
	later(l, retry_ms(l, false));
}

static void on_read(void *ctx, struct cox_kube_request *r, enum cox_rc rc, int status, struct cox_str body, const struct cox_err *err)
{
	struct cox_lease *l = ctx;
	(void)r;
	l->request = NULL;
	l->is_evicting = false;
	if (rc == COX_OK) {
		observe(l, body);
	} else if (status == 404) {
		forget(l);
	} else {
		cox_log(COX_LOG_DEBUG, "status", "lock cannot be read error=\"%s\"", err->text);
		check_deadline(l);
		later(l, retry_ms(l, true));
		return;
	}
	decide(l);
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
	check_deadline(l);
	if (is_ours(l)) /* nobody else writes it, and if somebody does the version tells: no need to look first */
		lease_write(l, l->spec.identity);
	else
		request(l, "GET", &l->path, COX_STR(""), on_read);
}

void cox_lease_poke(struct cox_lease *l)
{
	if (!l->released && !l->request && !is_ours(l))
		later(l, 0);
}

/* --- life ----------------------------------------------------------------------------------------------------------- */

void cox_lease_open(struct cox_kube_client *client, const struct cox_lease_spec *spec, struct cox_lease **out)
{
	struct cox_lease *l = COX_NEW(struct cox_lease);
	bool is_map = spec->form == COX_LEASE_CONFIG_MAP;
	struct cox_str group = is_map ? COX_STR("") : COX_STR("coordination.k8s.io"), v1 = COX_STR("v1"), none = COX_STR("");
	struct cox_str plural = is_map ? COX_STR("configmaps") : COX_STR("leases");
	l->c = client;
	l->spec = *spec;
	l->spec.ns = cox_arena_str(&l->text, spec->ns);
	l->spec.name = cox_arena_str(&l->text, spec->name);
	l->spec.identity = cox_arena_str(&l->text, spec->identity);
	l->spec.key = cox_arena_str(&l->text, spec->key);
	l->spec.duration_ms = spec->duration_ms ? spec->duration_ms : 30 * 1000;
	l->spec.renew_deadline_ms = spec->renew_deadline_ms ? spec->renew_deadline_ms : l->spec.duration_ms / 2;
	l->spec.retry_ms = spec->retry_ms ? spec->retry_ms : l->spec.duration_ms / 4;
	cox_kube_path(&l->path, group, v1, plural, spec->ns, spec->name, none);
	cox_kube_path(&l->path_all, group, v1, plural, spec->ns, none, none);
	l->timer = cox_timer_new(cox_kube_client_loop(client), step, l);
	later(l, 0);
	*out = l;
}

bool cox_lease_is_held(const struct cox_lease *l)
{
	/* Also between two attempts: what the deadline ends does not count, even before the timer says so. */
	return l->is_held && cox_clock_mono_ms() - l->renewed_ms < l->spec.renew_deadline_ms;
}

struct cox_str cox_lease_holder(const struct cox_lease *l) { return l->seen.holder; }

void cox_lease_release(struct cox_lease *l, void (*done)(void *ctx), void *ctx)
{
	/* Also one that was taken from another and is not led by yet. */
	bool was_ours = is_ours(l);
	l->released = done;
	l->released_ctx = ctx;
	lead(l, false);
	l->releases_next = was_ours && l->request;
	if (!l->releases_next) {
		cox_kube_request_close(&l->request);
		if (was_ours)
			lease_write(l, COX_STR(""));
	}
	later(l, was_ours ? RELEASE_MS_MAX : 0);
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
	cox_buf_fini(&l->stamp);
	cox_arena_fini(&l->seen_text);
	cox_arena_fini(&l->text);
	cox_free(l);
}
