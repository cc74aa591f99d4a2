#include "ca/keeper_priv.h"

#include "loop/fswatch.h"

enum {
	SETTLE_MS = 1000,     /* files that are copied one by one: wait for the last one */
	AGAIN_MS = 60 * 1000, /* without any event: what was not valid yet may be now, and an event may be lost */
};

struct cox_ca_set_watch_ {
	struct keeper *keeper;
	const char *dir;
	struct cox_fswatch *watch;
	struct cox_timer *timer;
};

static void read_set(void *ctx)
{
	struct cox_ca_set_watch_ *w = ctx;
	struct cox_ca_entries e = { 0 };
	struct cox_err err;
	enum cox_rc rc = cox_ca_dir_read_(w->dir, &e, &err);
	if (rc == COX_OK || rc == COX_ENOTFOUND) {
		cox_ca_keeper_set_(w->keeper, rc == COX_OK ? &e : NULL, true);
	} else {
		cox_ca_keeper_fault_(w->keeper, &err);
	}
	cox_ca_entries_fini_(&e);
	cox_timer_start(w->timer, AGAIN_MS, 0);
}

static void on_event(void *ctx, enum cox_fs_event event, const char *path)
{
	struct cox_ca_set_watch_ *w = ctx;
	(void)event, (void)path;
	cox_timer_start(w->timer, SETTLE_MS, 0);
}

void cox_ca_set_watch_open_(struct cox_loop *loop, const char *dir, struct keeper *k, struct cox_ca_set_watch_ **out)
{
	struct cox_ca_set_watch_ *w = COX_NEW(struct cox_ca_set_watch_);
	struct cox_err err;
	w->keeper = k;
	w->dir = dir;
	*out = w;
	if (!dir || !dir[0]) {
		cox_ca_keeper_set_(k, NULL, true);
		return;
	}
	w->timer = cox_timer_new(loop, read_set, w);
	if (cox_fswatch_open_flat(loop, dir, on_event, w, &w->watch, &err) != COX_OK)
		cox_ca_keeper_fault_(k, &err);
	read_set(w);
}
