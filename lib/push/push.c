/* push - turns of the config loop: events in, rounds of translation in slices, deliveries out. */
#include "push/push_priv.h"

#include "base/clock.h"
#include "base/metric.h"

enum {
	SLICE_MS = 4,     /* work in one turn: an endpoint change waits no longer than this */
	SWEEP_ROUNDS = 8, /* rounds between two sweeps of what nobody uses */
};

static void on_turn(void *arg);
static void on_settled(void *arg);

static void on_idle(void *arg) { push_idle_end(arg); }

struct cox_push *cox_push_new(const struct cox_push_options *opts)
{
	struct cox_push *p = COX_NEW(struct cox_push);
	p->opts = *opts;
	p->turn = cox_timer_new(opts->loop, on_turn, p);
	p->settle = opts->settle_ms > 0 ? cox_timer_new(opts->loop, on_settled, p) : NULL;
	p->idle_timer = cox_timer_new(opts->loop, on_idle, p);
	p->memo = cox_memo_new();
	p->sweep_in = 1;
	return p;
}

void cox_push_free(struct cox_push *p)
{
	if (!p)
		return;
	COX_ASSERT(!p->clients.n);
	push_idle_end(p);
	cox_timer_free(&p->turn);
	cox_timer_free(&p->settle);
	cox_timer_free(&p->idle_timer);
	cox_timer_free(&p->review);
	push_overrides_clear(p);
	cox_map_fini(&p->overrides);
	push_rejections_sweep(p, true);
	cox_map_fini(&p->rejected);
	push_secrets_fini(p);
	for (unsigned part = 0; part < COX_PUSH_PARTS; part++)
		cox_map_fini(&p->units[part]);
	cox_snapshot_unref(p->snapshot);
	cox_memo_free(p->memo);
	for (size_t t = 0; t < COX_TYPE_COUNT; t++)
		cox_set_unref(p->globals[t]);
	cox_intern_fini(&p->intern);
	if (p->has_changes)
		cox_registry_changes_fini(&p->changes);
	cox_vec_fini(&p->clients);
	cox_vec_fini(&p->outbox);
	cox_vec_fini(&p->dirty);
	cox_vec_fini(&p->firsts);
	cox_vec_fini(&p->idle);
	cox_arena_fini(&p->arena);
	cox_free(p->causes);
	cox_free(p);
}

void push_wake(struct cox_push *p)
{
	if (p->is_synced && !cox_timer_is_running(p->turn))
		cox_timer_start(p->turn, 0, 0);
}

/* --- waiting for quiet, where it was asked for ------------------------------------------------------- */

static void on_settled(void *arg)
{
	struct cox_push *p = arg;
	p->unsettled_ms = 0;
	push_wake(p);
}

static bool is_settled(const struct cox_push *p) { return !p->unsettled_ms || !p->snapshot; }

void cox_push_poke(struct cox_push *p)
{
	int64_t now = cox_clock_mono_ms();
	if (p->settle && p->snapshot) {
		p->unsettled_ms = p->unsettled_ms ? p->unsettled_ms : now;
		int64_t left = p->unsettled_ms + p->opts.settle_max_ms - now;
		cox_timer_start(p->settle, left < p->opts.settle_ms ? left > 0 ? left : 0 : p->opts.settle_ms, 0);
		if (p->opts.endpoints_settle)
			return;
	}
	push_wake(p);
}

void cox_push_set_synced(struct cox_push *p)
{
	p->is_synced = true;
	push_wake(p);
}

bool cox_push_is_synced(const struct cox_push *p) { return p->is_synced && p->has_snapshot; }

const struct cox_snapshot *cox_push_snapshot(const struct cox_push *p) { return p->snapshot; }

void cox_push_forget(struct cox_push *p)
{
	if (!p->snapshot)
		return;
	if (!p->has_changes)
		p->changes = (struct cox_registry_changes){ 0 };
	p->forgets = p->has_changes = true;
	push_wake(p);
}

size_t cox_push_resources(const struct cox_push *p, struct cox_arena *arena, const struct cox_resource ***out)
{
	*out = COX_ARENA_ARRAY(arena, const struct cox_resource *, p->intern.resources.n);
	cox_intern_list(&p->intern, *out);
	return p->intern.resources.n;
}

void cox_push_stats_get(const struct cox_push *p, struct cox_push_stats *out)
{
	size_t idle[COX_PUSH_PARTS] = { 0 };
	for (size_t i = 0; i < p->idle.n; i++)
		idle[p->idle.p[i]->part]++;
	*out = (struct cox_push_stats){
		.generation = p->snapshot ? p->snapshot->generation : 0,
		.views = p->units[COX_PUSH_SCOPE].n - idle[COX_PUSH_SCOPE],
		.workloads = p->units[COX_PUSH_WORKLOAD].n - idle[COX_PUSH_WORKLOAD],
		.clients = p->clients.n,
		.resources = p->intern.resources.n,
		.resource_bytes = p->intern.bytes,
	};
}

/* --- taking changes ---------------------------------------------------------------------------- */

static void keep_change(struct cox_push *p, const struct cox_change *c)
{
	struct cox_change *kept = cox_vec_add(&p->changes.items);
	*kept = *c;
	kept->id = cox_arena_str(&p->changes.arena, c->id);
	kept->ns = cox_arena_str(&p->changes.arena, c->ns);
	p->changes.needs_snapshot = true;
}

/* Endpoints go out now; the rest waits for the round in progress to end. */
static void take_changes(struct cox_push *p)
{
	struct cox_registry_changes fresh = { 0 };
	bool has_endpoints = false;
	if (p->opts.convert)
		cox_convert_run(p->opts.convert);
	cox_registry_take_changes(p->opts.registry, &fresh);
	for (size_t i = 0; i < fresh.items.n; i++) {
		const struct cox_change *c = &fresh.items.p[i];
		cox_metric_add(COX_M_INBOUND_UPDATES, c->is_endpoints_only ? "eds" : c->kind == COX_KIND_SERVICE ? "svc" : "config", 1);
		if (c->is_endpoints_only && p->snapshot) {
			if (!has_endpoints)
				push_cause_begin(p, c->event_ns, true);
			has_endpoints = true;
			push_cause_add(p, c);
			push_endpoints_apply(p, c);
		} else {
			if (!p->has_changes)
				p->changes = (struct cox_registry_changes){ 0 };
			p->has_changes = true;
			keep_change(p, c);
		}
	}
	if (has_endpoints)
		push_cause_end(p);
	p->cause = p->round_cause;
	cox_registry_changes_fini(&fresh);
}

/* --- rounds ------------------------------------------------------------------------------------ */

static void count_cache(struct cox_push *p)
{
	struct cox_memo_stats now = cox_memo_stats(p->memo);
	cox_metric_add(COX_M_CACHE_READS, "hit", (double)(now.hits - p->memo_told.hits));
	cox_metric_add(COX_M_CACHE_READS, "miss", (double)(now.misses - p->memo_told.misses));
	cox_metric_set(COX_M_CACHE_SIZE, NULL, (double)now.n);
	p->memo_told = now;
}

static void sweep(struct cox_push *p)
{
	count_cache(p);
	if (--p->sweep_in)
		return;
	p->sweep_in = SWEEP_ROUNDS;
	cox_metric_add(COX_M_CACHE_EVICTIONS, "unused", (double)cox_memo_sweep(p->memo));
	cox_intern_sweep(&p->intern);
	push_rejections_sweep(p, false);
	push_secrets_sweep(p);
	cox_metric_set(COX_M_RESOURCES, "all", (double)p->intern.resources.n);
	cox_metric_set(COX_M_RESOURCE_BYTES, NULL, (double)p->intern.bytes);
}

static void mark_all(struct cox_push *p)
{
	for (unsigned part = 0; part < COX_PUSH_PARTS; part++)
		for (struct cox_map_entry *m = NULL; (m = cox_map_next(&p->units[part], m));)
			push_unit_mark(p, m->value);
}

static int64_t oldest_event(const struct cox_registry_changes *c)
{
	int64_t oldest = 0;
	for (size_t i = 0; i < c->items.n; i++)
		if (c->items.p[i].event_ns && (!oldest || c->items.p[i].event_ns < oldest))
			oldest = c->items.p[i].event_ns;
	return oldest;
}

/* Between two rounds: nobody uses the memo. */
static void forget(struct cox_push *p)
{
	p->forgets = false;
	cox_metric_add(COX_M_CACHE_EVICTIONS, "clear", (double)cox_memo_stats(p->memo).n);
	p->memo_told = (struct cox_memo_stats){ 0 };
	cox_memo_free(p->memo);
	p->memo = cox_memo_new();
	for (unsigned part = 0; part < COX_PUSH_PARTS; part++)
		for (struct cox_map_entry *m = NULL; (m = cox_map_next(&p->units[part], m));)
			((struct unit *)m->value)->inputs = (struct cox_hash){ 0 };
}

static void begin_round(struct cox_push *p)
{
	struct cox_registry_changes changes = p->has_changes ? p->changes : (struct cox_registry_changes){ 0 };
	p->has_changes = false;
	p->event_ns = oldest_event(&changes);
	p->round_cause = push_cause_begin(p, p->event_ns, false);
	for (size_t i = 0; i < changes.items.n; i++)
		push_cause_add(p, &changes.items.p[i]);
	const struct cox_snapshot *before = p->snapshot;
	bool is_first = !before;
	int64_t began_ns = cox_clock_mono_ns();
	if (p->event_ns)
		cox_metric_observe(COX_M_DEBOUNCE_TIME, NULL, (double)(began_ns - p->event_ns) / 1e9);
	p->snapshot = cox_snapshot_build(p->opts.registry, before);
	cox_metric_observe(COX_M_SNAPSHOT_TIME, NULL, (double)(cox_clock_mono_ns() - began_ns) / 1e9);
	p->has_snapshot = true;
	push_overrides_clear(p);
	if (p->forgets)
		forget(p);
	cox_memo_begin(p->memo);
	push_endpoints_compare(p, before);
	cox_snapshot_unref(before);
	cox_metric_add(COX_M_SNAPSHOTS, NULL, 1);
	cox_metric_add(COX_M_PUSH_TRIGGERS, "config", 1);
	cox_metric_set(COX_M_SERVICES, NULL, (double)p->snapshot->svcs.n);
	cox_metric_set(COX_M_VIRT_SERVICES, NULL, (double)p->snapshot->virtual_services.n);
	p->snapshot_inputs = push_snapshot_inputs(p->snapshot);
	struct cox_hash keying = push_keying(p->snapshot);
	if (is_first || !cox_hash_eq(keying, p->keying))
		push_rekey(p);
	p->keying = keying;
	push_idle_end(p); /* not made anew for nobody */
	mark_all(p);
	if (p->opts.on_generation)
		p->opts.on_generation(p->opts.arg, p->snapshot, &changes);
	cox_registry_changes_fini(&changes);
}

static struct unit *next_unit(struct cox_push *p)
{
	/* By turns: neither new proxies nor changes for those who serve already can starve the other. */
	struct unit *u = NULL;
	p->first_turn = !p->first_turn;
	if (p->firsts.n && (p->first_turn || !p->dirty.n)) {
		u = p->firsts.p[0];
		cox_vec_remove(&p->firsts, 0);
		u->is_first = false;
	} else if (p->dirty.n) {
		u = p->dirty.p[--p->dirty.n];
	}
	if (u)
		u->is_dirty = false;
	return u;
}

static void on_turn(void *arg)
{
	struct cox_push *p = arg;
	int64_t end = cox_clock_mono_ms() + SLICE_MS;
	if (is_settled(p) || !p->opts.endpoints_settle)
		take_changes(p);
	if (!p->dirty.n && !p->firsts.n && is_settled(p) && (p->has_changes || !p->snapshot))
		begin_round(p);
	bool worked = false;
	while (cox_clock_mono_ms() < end) {
		struct unit *u = next_unit(p);
		if (!u)
			break;
		worked = true;
		bool is_made = push_unit_work(p, u);
		push_cause_view(p, u, is_made);
		if (is_made)
			push_queue_all(p, u);
	}
	if (worked && !p->dirty.n && !p->firsts.n)
		push_cause_end(p);
	push_flush(p);
	push_patches_tell(p);
	/* Units in `firsts` are of new proxies, which have nothing yet anyway. */
	if (!p->dirty.n && p->snapshot && p->delivered != p->snapshot->generation) {
		p->delivered = p->snapshot->generation;
		if (p->opts.on_delivered)
			p->opts.on_delivered(p->opts.arg, p->delivered);
	}
	if (p->dirty.n || p->firsts.n || (p->has_changes && is_settled(p)))
		push_wake(p);
	else if (worked)
		sweep(p);
}
