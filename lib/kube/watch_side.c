#include "base/clock.h"
#include "base/log.h"
#include "base/metric.h"
#include "kube/watch_priv.h"

/* --- the list of one namespace, beside the running watch ---------------------------------------------------- */

struct tomb {
	struct cox_str key; /* heap */
	uint64_t version;
};

struct side_list {
	struct side_list *next;
	struct cox_kube_watch *w;
	struct cox_kube_list *list;
	struct cox_timer *timer;
	struct cox_kube_backoff backoff;
	char *ns;
	/* What the watch saw deleted meanwhile: the list may still have it. */
	COX_VEC(struct tomb) tombs;
};

static void side_free(struct side_list *s)
{
	struct side_list **at = &s->w->sides;
	while (*at != s)
		at = &(*at)->next;
	*at = s->next;
	cox_kube_list_close(&s->list);
	cox_timer_free(&s->timer);
	for (size_t i = 0; i < s->tombs.n; i++)
		cox_free((char *)(uintptr_t)s->tombs.p[i].key.p);
	cox_vec_fini(&s->tombs);
	cox_free(s->ns);
	cox_free(s);
}

static void side_item(void *ctx, const struct cox_kube_item *item)
{
	struct side_list *s = ctx;
	uint64_t version = cox_kube_version_parse_(item->resource_version);
	for (size_t i = 0; i < s->tombs.n; i++)
		if (cox_str_eq(s->tombs.p[i].key, item->name) && s->tombs.p[i].version >= version)
			return;
	cox_kube_store_put_(s->w, item);
}

static void side_restart(void *ctx) { (void)ctx; /* nothing is removed by this list, so nothing is to be counted anew */ }

static void side_done(void *ctx, enum cox_rc rc, int status, struct cox_str version, const struct cox_err *err)
{
	struct side_list *s = ctx;
	(void)version, (void)err;
	s->list = NULL;
	cox_kube_store_flush_(s->w);
	if (rc == COX_OK || status == 404 || status == 403)
		side_free(s);
	else
		cox_timer_start(s->timer, cox_kube_backoff_next_ms(&s->backoff), 0);
}

static void side_start(void *ctx)
{
	struct side_list *s = ctx;
	struct cox_kube_watch *w = s->w;
	struct cox_buf path = { 0 };
	cox_kube_watch_path_(w, cox_str_of(s->ns), &path);
	struct cox_kube_list_spec spec = {
		.path = cox_buf_str(&path),
		.message = w->spec.message,
		.metadata_only = w->spec.metadata_only,
		.limit = w->spec.list_limit,
		.max_object_bytes = w->spec.max_object_bytes,
		.on_item = side_item,
		.on_restart = side_restart,
		.on_done = side_done,
		.ctx = s,
	};
	cox_kube_list_open(w->c, &spec, &s->list);
	cox_buf_fini(&path);
}

void cox_kube_watch_ns_add(struct cox_kube_watch *w, struct cox_str ns)
{
	/* Before the first list there is nothing to add to, and one that is absent or denied has nothing. */
	if (w->phase == PHASE_ABSENT || w->phase == PHASE_DENIED || (w->phase == PHASE_LIST && !w->list))
		return;
	for (struct side_list *s = w->sides; s; s = s->next)
		if (cox_str_eq_cstr(ns, s->ns))
			return;
	struct side_list *s = COX_NEW(struct side_list);
	s->w = w;
	s->ns = cox_str_dup_cstr(ns);
	s->backoff = (struct cox_kube_backoff){ .first_ms = 100, .max_ms = 30 * 1000 };
	s->timer = cox_timer_new(cox_kube_client_loop(w->c), side_start, s);
	s->next = w->sides;
	w->sides = s;
	cox_timer_start(s->timer, 0, 0);
}

void cox_kube_side_deleted_(struct cox_kube_watch *w, const struct cox_kube_item *item)
{
	for (struct side_list *s = w->sides; s; s = s->next) {
		if (!cox_str_eq_cstr(item->ns, s->ns))
			continue;
		struct tomb *t = cox_vec_add(&s->tombs);
		t->key = cox_str_make(cox_str_dup_cstr(item->name), item->name.n);
		t->version = cox_kube_version_parse_(item->resource_version);
	}
}

void cox_kube_side_close_(struct cox_kube_watch *w)
{
	while (w->sides)
		side_free(w->sides);
}

/* --- the digest: does the store say what a fresh list says? -------------------------------------------------- */

static void misses_clear(struct cox_kube_watch *w)
{
	for (size_t i = 0; i < w->misses.n; i++)
		cox_free((char *)(uintptr_t)w->misses.p[i].key.p);
	cox_vec_clear(&w->misses);
}

static void miss_add(struct cox_kube_watch *w, struct cox_str key, uint64_t version)
{
	struct digest_miss *m = cox_vec_add(&w->misses);
	m->key = cox_str_make(cox_str_dup_cstr(key), key.n);
	m->version = version;
}

static void digest_item(void *ctx, const struct cox_kube_item *item)
{
	struct cox_kube_watch *w = ctx;
	if (item->name.n == 0 || (w->cb.is_wanted && !w->cb.is_wanted(w->cb.ctx, item->ns, item->name)))
		return;
	uint64_t version = cox_kube_version_parse_(item->resource_version);
	struct cox_kube_entry *e = cox_kube_watch_find(w, item->ns, item->name);
	if (e)
		e->checked = w->digest_epoch;
	if (e && e->version >= version) /* a watch that is ahead of the list is no fault */
		return;
	struct cox_buf key = { 0 };
	cox_buf_printf(&key, "%.*s%s%.*s", COX_FMT(item->ns), item->ns.n ? "/" : "", COX_FMT(item->name));
	miss_add(w, cox_buf_str(&key), version);
	cox_buf_fini(&key);
}

static void digest_restart(void *ctx) { misses_clear(ctx); }

/* Behind the grace: what still differs was lost on the way. */
static void digest_judge(struct cox_kube_watch *w)
{
	size_t lost = 0;
	for (size_t i = 0; i < w->misses.n; i++) {
		const struct digest_miss *m = &w->misses.p[i];
		const struct cox_kube_entry *e = cox_map_find(&w->entries, m->key);
		/* With version 0: it was not in the list, and no event touched it since. */
		if (m->version ? (!e || e->version < m->version) : (e && e->checked != w->digest_epoch && e->version <= w->digest_upto))
			lost++;
	}
	misses_clear(w);
	if (lost == 0)
		return;
	char kind[64];
	cox_log(COX_LOG_WARN, "kube", "watch lost events, listing again kind=%.*s objects=%zu", COX_FMT(w->spec.kind), lost);
	cox_metric_add(COX_M_K8S_REPAIRS, cox_str_to_cstr(w->spec.kind, kind, sizeof(kind)), (double)lost);
	w->repaired_count += lost;
	cox_kube_watch_relist(w);
}

static void digest_wait(struct cox_kube_watch *w) { cox_timer_start(w->digest_timer, cox_jitter_ms(w->spec.digest_ms, 10), 0); }

static void digest_done(void *ctx, enum cox_rc rc, int status, struct cox_str version, const struct cox_err *err)
{
	struct cox_kube_watch *w = ctx;
	(void)status, (void)err;
	w->digest = NULL;
	if (rc != COX_OK) {
		misses_clear(w);
		digest_wait(w);
		return;
	}
	w->digest_upto = cox_kube_version_parse_(version);
	for (struct cox_map_entry *m = NULL; (m = cox_map_next(&w->entries, m));) {
		const struct cox_kube_entry *e = m->value;
		if (e->checked != w->digest_epoch && e->version <= w->digest_upto)
			miss_add(w, e->key, 0);
	}
	if (w->misses.n)
		cox_timer_start(w->digest_timer, w->spec.digest_grace_ms ? w->spec.digest_grace_ms : 10 * 1000, 0);
	else
		digest_wait(w);
}

static void digest_step(void *ctx)
{
	struct cox_kube_watch *w = ctx;
	if (w->misses.n) {
		if (w->phase == PHASE_WATCH)
			digest_judge(w);
		misses_clear(w);
		digest_wait(w);
		return;
	}
	if (w->phase != PHASE_WATCH) {
		digest_wait(w);
		return;
	}
	struct cox_buf path = { 0 };
	cox_kube_watch_path_(w, COX_STR(""), &path);
	struct cox_kube_list_spec spec = {
		.path = cox_buf_str(&path),
		.metadata_only = true,
		.limit = w->spec.list_limit,
		.on_item = digest_item,
		.on_restart = digest_restart,
		.on_done = digest_done,
		.ctx = w,
	};
	w->digest_epoch++;
	cox_kube_list_open(w->c, &spec, &w->digest);
	cox_buf_fini(&path);
}

void cox_kube_digest_start_(struct cox_kube_watch *w)
{
	if (!w->spec.digest_ms)
		return;
	w->digest_timer = cox_timer_new(cox_kube_client_loop(w->c), digest_step, w);
	digest_wait(w);
}

void cox_kube_digest_stop_(struct cox_kube_watch *w)
{
	cox_kube_list_close(&w->digest);
	misses_clear(w);
}
