#include "kube/watch.h"

#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/metric.h"
#include "codec/json.h"
#include "kube/watch_priv.h"

enum {
	BACKOFF_FIRST_MS = 100,
	BACKOFF_MAX_MS = 30 * 1000,
	SLOW_FIRST_MS = 1000, /* absent and forbidden kinds */
	SLOW_MAX_MS = 30 * 1000,
	WATCH_S_MIN = 300, /* the server ends a watch after 5 to 10 minutes, so that replicas spread and versions stay fresh */
	WATCH_S_SPREAD = 300,
	WATCH_S_UNSURE = 2,         /* while a CRD is being established its versions appear one by one: soon ask for the newest again */
	WATCH_SLACK_MS = 60 * 1000, /* a server that does not end it in time is gone */
	LIVED_MS = 500,             /* a watch that lived so long was a success */
	ABSENT_SURE_MS = 5000,      /* a kind with objects must be unknown for so long before they count as gone */
	BROKEN_RELIST = 3,          /* ERROR events in a row until we list again */
};

static void step(void *ctx);

static void later(struct cox_kube_watch *w, int64_t delay_ms) { cox_timer_start(w->timer, delay_ms, 0); }

/* The n-th of "v1,v1beta1"; empty behind the last. */
static struct cox_str version_at(const struct cox_kube_watch *w, size_t index)
{
	struct cox_str rest = w->spec.versions, part = { 0 };
	for (size_t i = 0; i <= index; i++)
		if (!cox_str_next(&rest, ',', &part))
			return (struct cox_str){ 0 };
	return part;
}

void cox_kube_watch_path_(const struct cox_kube_watch *w, struct cox_str ns, struct cox_buf *out)
{
	cox_kube_path(out, w->spec.group, version_at(w, w->version_index), w->spec.plural, ns.n ? ns : w->spec.ns, COX_STR(""),
	              COX_STR(""));
	if (w->spec.field_selector.n)
		cox_kube_path_query(out, "fieldSelector", w->spec.field_selector);
	if (w->spec.label_selector.n)
		cox_kube_path_query(out, "labelSelector", w->spec.label_selector);
}

static void synced(struct cox_kube_watch *w, enum cox_rc rc)
{
	if (w->is_synced)
		return;
	w->is_synced = true;
	w->cb.synced(w->cb.ctx, rc);
}

static void trouble(struct cox_kube_watch *w, enum cox_rc rc, const struct cox_err *err)
{
	struct cox_err none = { 0 };
	if ((rc != COX_OK) == w->is_troubled)
		return;
	w->is_troubled = rc != COX_OK;
	w->cb.trouble(w->cb.ctx, rc, err ? err : &none);
}

/* --- 404 and 403 ---------------------------------------------------------------------------------------- */

static void absent(struct cox_kube_watch *w)
{
	int64_t now = cox_clock_mono_ms();
	w->version_index = 0;
	w->is_version_sure = false;
	if (w->phase != PHASE_ABSENT) {
		w->absent_since_ms = now;
		cox_kube_backoff_reset(&w->slow);
	}
	w->phase = PHASE_ABSENT;
	/* The objects of a kind that is gone are gone too; but a server that starts may not know its kinds yet. */
	if (w->entries.n && now - w->absent_since_ms >= ABSENT_SURE_MS) {
		cox_kube_store_sweep_(w, true);
		cox_kube_store_flush_(w);
	}
	synced(w, COX_ENOTFOUND);
	later(w, cox_kube_backoff_next_ms(&w->slow));
}

static void denied(struct cox_kube_watch *w, const struct cox_err *err)
{
	if (w->phase != PHASE_DENIED)
		cox_kube_backoff_reset(&w->slow);
	w->phase = PHASE_DENIED;
	trouble(w, COX_EDENIED, err);
	synced(w, COX_EDENIED);
	later(w, cox_kube_backoff_next_ms(&w->slow));
}

/* --- list ------------------------------------------------------------------------------------------------ */

static void list_item(void *ctx, const struct cox_kube_item *item) { cox_kube_store_listed_(ctx, item); }

static void list_page(void *ctx) { cox_kube_store_flush_(ctx); }

static void list_restart(void *ctx)
{
	struct cox_kube_watch *w = ctx;
	w->epoch++;
}

static void list_failed(struct cox_kube_watch *w, enum cox_rc rc, int status, const struct cox_err *err)
{
	cox_metric_add(COX_M_SYNC_ERRORS, "local", 1);
	cox_kube_store_flush_(w);
	if (status == 404) {
		w->version_index++;
		if (version_at(w, w->version_index).n)
			later(w, 0);
		else
			absent(w);
	} else if (status == 403) {
		denied(w, err);
	} else {
		trouble(w, rc, err);
		later(w, cox_kube_backoff_next_ms(&w->backoff));
	}
}

static void list_done(void *ctx, enum cox_rc rc, int status, struct cox_str version, const struct cox_err *err)
{
	struct cox_kube_watch *w = ctx;
	w->list = NULL;
	if (rc != COX_OK) {
		list_failed(w, rc, status, err);
		return;
	}
	cox_kube_store_sweep_(w, false);
	cox_buf_clear(&w->version);
	cox_buf_append_str(&w->version, version);
	w->phase = PHASE_WATCH;
	w->broken_count = 0;
	cox_kube_backoff_reset(&w->slow);
	trouble(w, COX_OK, NULL);
	cox_kube_store_flush_(w);
	synced(w, COX_OK);
	later(w, 0);
}

static void list_start(struct cox_kube_watch *w)
{
	struct cox_buf path = { 0 };
	cox_kube_watch_path_(w, COX_STR(""), &path);
	struct cox_kube_list_spec spec = {
		.path = cox_buf_str(&path),
		.message = w->spec.message,
		.metadata_only = w->spec.metadata_only,
		.limit = w->spec.list_limit,
		.max_object_bytes = w->spec.max_object_bytes,
		.on_item = list_item,
		.on_page = list_page,
		.on_restart = list_restart,
		.on_done = list_done,
		.ctx = w,
	};
	w->epoch++;
	w->list_count++;
	char kind[64];
	cox_metric_add(COX_M_K8S_RELISTS, cox_str_to_cstr(w->spec.kind, kind, sizeof(kind)), 1);
	cox_kube_list_open(w->c, &spec, &w->list);
	cox_buf_fini(&path);
}

/* --- watch ------------------------------------------------------------------------------------------------ */

/* A Status in place of an object. */
static void error_event(struct cox_kube_watch *w, const struct cox_kube_item *item)
{
	struct cox_arena arena = { 0 };
	struct cox_json *v = NULL;
	int64_t code = 0;
	struct cox_str message = { 0 }, reason = { 0 };
	if (!item->is_skipped && cox_json_parse(&arena, item->text, &v, NULL) == COX_OK) {
		const struct cox_json *c = cox_json_get(v, COX_STR("code"));
		message = cox_json_str_at(v, "message");
		reason = cox_json_str_at(v, "reason");
		if (c && cox_json_to_i64(c, &code) != COX_OK)
			code = 0;
	}
	if (code == 410 || cox_str_eq_cstr(reason, "Expired") || cox_str_eq_cstr(reason, "Gone"))
		w->is_gone = true;
	else
		w->is_broken = true;
	cox_err_set(&w->event_err, COX_EIO, NULL, "the watch of %.*s ended with an error event: %.*s (%d)", COX_FMT(w->spec.plural),
	            COX_FMT(message), (int)code);
	cox_arena_fini(&arena);
}

static void watch_item(void *ctx, const struct cox_kube_item *item)
{
	struct cox_kube_watch *w = ctx;
	if (COX_FAULT("kube.event")) /* lost: what the digest is for */
		return;
	switch (item->event) {
	case COX_KUBE_EVENT_ADDED:
	case COX_KUBE_EVENT_MODIFIED:
		w->event_count++;
		cox_kube_store_put_(w, item);
		break;
	case COX_KUBE_EVENT_DELETED:
		w->event_count++;
		cox_kube_side_deleted_(w, item);
		cox_kube_store_deleted_(w, item);
		break;
	case COX_KUBE_EVENT_BOOKMARK: break;
	case COX_KUBE_EVENT_ERROR: error_event(w, item); return;
	case COX_KUBE_EVENT_ITEM:
	case COX_KUBE_EVENT_UNKNOWN: return; /* a type of the future: its version must not be taken for seen */
	}
	if (item->resource_version.n) {
		cox_buf_clear(&w->version);
		cox_buf_append_str(&w->version, item->resource_version);
	}
}

static void watch_head(void *ctx, struct cox_kube_request *r)
{
	struct cox_kube_watch *w = ctx;
	(void)r;
	w->started_ms = cox_clock_mono_ms();
	trouble(w, COX_OK, NULL);
}

static enum cox_rc watch_body(void *ctx, struct cox_kube_request *r, struct cox_str bytes)
{
	struct cox_kube_watch *w = ctx;
	(void)r;
	enum cox_rc rc = cox_kube_split_feed(w->split, bytes, &w->event_err);
	cox_kube_store_flush_(w);
	if (rc == COX_OK && (w->is_gone || w->is_broken))
		rc = COX_EIO;
	return rc;
}

static void watch_done(void *ctx, struct cox_kube_request *r, enum cox_rc rc, int status, struct cox_str body, const struct cox_err *err)
{
	struct cox_kube_watch *w = ctx;
	(void)r, (void)body;
	w->request = NULL;
	cox_kube_split_free(&w->split); /* half an event is dropped: it comes again from the last version */
	bool has_lived = w->started_ms && (cox_clock_mono_ms() - w->started_ms >= LIVED_MS || w->event_count != w->started_events);
	if (has_lived && !w->is_broken)
		cox_kube_backoff_reset(&w->backoff);
	if (w->event_err.rc != COX_OK)
		err = &w->event_err;
	if (!w->is_broken)
		w->broken_count = 0;
	if (status == 410 || w->is_gone || status == 404 || (w->is_broken && ++w->broken_count >= BROKEN_RELIST)) {
		w->phase = PHASE_LIST;
		later(w, cox_kube_backoff_next_ms(&w->backoff));
	} else if (status == 403) {
		denied(w, err);
	} else if (rc == COX_OK && w->version_index > 0) {
		w->version_index = 0;
		w->is_version_sure = true;
		w->phase = PHASE_LIST;
		later(w, 0);
	} else if (has_lived && !w->is_broken) {
		later(w, (int64_t)cox_random_below(100));
	} else {
		if (rc != COX_OK)
			trouble(w, rc, err);
		later(w, cox_kube_backoff_next_ms(&w->backoff));
	}
}

static void watch_start(struct cox_kube_watch *w)
{
	bool is_unsure = w->version_index > 0 && !w->is_version_sure;
	unsigned seconds = is_unsure ? WATCH_S_UNSURE : WATCH_S_MIN + cox_random_below(WATCH_S_SPREAD);
	struct cox_buf path = { 0 }, number = { 0 };
	cox_buf_printf(&number, "%u", seconds);
	cox_kube_watch_path_(w, COX_STR(""), &path);
	cox_kube_path_query(&path, "watch", COX_STR("1"));
	cox_kube_path_query(&path, "allowWatchBookmarks", COX_STR("true"));
	cox_kube_path_query(&path, "resourceVersion", cox_buf_str(&w->version));
	cox_kube_path_query(&path, "timeoutSeconds", cox_buf_str(&number));
	struct cox_kube_split_spec split = {
		.is_watch = true, .message = w->spec.message, .max_object_bytes = w->spec.max_object_bytes, .on_item = watch_item, .ctx = w
	};
	w->split = cox_kube_split_new(&split);
	w->event_err = (struct cox_err){ 0 };
	w->is_gone = w->is_broken = false;
	w->started_ms = 0;
	w->started_events = w->event_count;
	w->resume_count++;
	struct cox_kube_request_spec spec = { .path = cox_buf_str(&path),
		                              .accept = w->spec.metadata_only ? COX_KUBE_ACCEPT_METADATA : NULL,
		                              .is_watch = true,
		                              .timeout_ms = (int64_t)seconds * 1000 + WATCH_SLACK_MS };
	struct cox_kube_request_cb cb = { .on_head = watch_head, .on_body = watch_body, .on_done = watch_done, .ctx = w };
	cox_kube_request_open(w->c, &spec, &cb, &w->request);
	cox_buf_fini(&path);
	cox_buf_fini(&number);
}

/* --- the machine ------------------------------------------------------------------------------------------- */

static void requests_close(struct cox_kube_watch *w)
{
	cox_kube_list_close(&w->list);
	cox_kube_request_close(&w->request);
	cox_kube_split_free(&w->split);
}

static void step(void *ctx)
{
	struct cox_kube_watch *w = ctx;
	if (w->wants_relist) {
		w->wants_relist = false;
		if (w->phase == PHASE_WATCH) { /* else it lists anyway */
			requests_close(w);
			w->phase = PHASE_LIST;
		}
	}
	if (w->list || w->request)
		return;
	if (w->phase == PHASE_WATCH)
		watch_start(w);
	else
		list_start(w);
}

/* Those that wait because nobody answered need not wait any longer. */
static void on_reach(void *ctx, bool is_reachable)
{
	struct cox_kube_watch *w = ctx;
	if (is_reachable && cox_timer_is_running(w->timer) && (w->phase == PHASE_LIST || w->phase == PHASE_WATCH))
		later(w, (int64_t)cox_random_below(200));
}

void cox_kube_watch_open(struct cox_kube_client *client, const struct cox_kube_watch_spec *spec, const struct cox_kube_watch_cb *cb,
                         struct cox_kube_watch **out)
{
	struct cox_kube_watch *w = COX_NEW(struct cox_kube_watch);
	w->c = client;
	w->spec = *spec;
	w->cb = *cb;
	struct cox_str *texts[] = { &w->spec.group, &w->spec.plural,         &w->spec.kind,          &w->spec.versions,
		                    &w->spec.ns,    &w->spec.field_selector, &w->spec.label_selector };
	for (size_t i = 0; i < COX_LEN(texts); i++)
		*texts[i] = cox_arena_str(&w->text, *texts[i]);
	w->backoff = (struct cox_kube_backoff){ .first_ms = BACKOFF_FIRST_MS, .max_ms = BACKOFF_MAX_MS };
	w->slow = (struct cox_kube_backoff){ .first_ms = SLOW_FIRST_MS, .max_ms = SLOW_MAX_MS };
	w->timer = cox_timer_new(cox_kube_client_loop(client), step, w);
	w->reach.fn = on_reach;
	w->reach.ctx = w;
	cox_kube_client_reach_add(client, &w->reach);
	cox_kube_digest_start_(w);
	later(w, 0);
	*out = w;
}

void cox_kube_watch_close(struct cox_kube_watch **wp)
{
	struct cox_kube_watch *w = *wp;
	*wp = NULL;
	if (!w)
		return;
	cox_kube_client_reach_remove(w->c, &w->reach);
	requests_close(w);
	cox_kube_side_close_(w);
	cox_kube_digest_stop_(w);
	cox_timer_free(&w->digest_timer);
	cox_timer_free(&w->timer);
	cox_kube_store_sweep_(w, true);
	cox_map_fini(&w->entries);
	cox_buf_fini(&w->version);
	cox_vec_fini(&w->misses);
	cox_arena_fini(&w->text);
	cox_free(w);
}

void cox_kube_watch_poke(struct cox_kube_watch *w)
{
	if (w->phase == PHASE_ABSENT) {
		cox_kube_backoff_reset(&w->slow);
		if (!w->list)
			later(w, 0);
	} else if (w->version_index > 0) {
		w->is_version_sure = false;
		if (w->phase == PHASE_WATCH) {
			w->version_index = 0;
			cox_kube_watch_relist(w);
		}
	}
}

/* By the timer: this may come from inside another request's callback, where requests had better not be ended. */
void cox_kube_watch_relist(struct cox_kube_watch *w)
{
	if (w->phase != PHASE_WATCH)
		return;
	w->wants_relist = true;
	later(w, 0);
}

bool cox_kube_watch_is_synced(const struct cox_kube_watch *w) { return w->is_synced; }

void cox_kube_watch_stats_get(const struct cox_kube_watch *w, struct cox_kube_watch_stats *out)
{
	static const char *const states[] = { "list", "watch", "absent", "denied" };
	*out = (struct cox_kube_watch_stats){
		.version = version_at(w, w->version_index),
		.resource_version = cox_buf_str(&w->version),
		.state = w->list || w->request || w->phase > PHASE_WATCH ? states[w->phase] : "wait",
		.entries = w->entries.n,
		.lists = w->list_count,
		.resumes = w->resume_count,
		.events = w->event_count,
		.skipped = w->skipped_count,
		.repaired = w->repaired_count,
	};
}
