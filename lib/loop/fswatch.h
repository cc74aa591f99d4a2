/*
 * fswatch - what changes in a directory tree (inotify). Not debounced: the caller coalesces.
 * Thread: everything on the loop.
 * The directory may appear, vanish and come back later; directories inside are followed (symbolic links are not: a
 * Kubernetes volume that swaps its "..data" link is seen as a change of that name). What existed before the start is not reported.
 */
#ifndef COX_LOOP_FSWATCH_H
#define COX_LOOP_FSWATCH_H

#include "loop/loop.h"

struct cox_fswatch;

enum cox_fs_event {
	COX_FS_CHANGED, /* created, renamed to this name, or closed after writing */
	COX_FS_REMOVED, /* deleted, or renamed away */
	COX_FS_RESCAN,  /* events may be lost, or a directory came or went: read the tree again; path is that directory */
};

/* `path` is absolute or relative as the watched directory was given; valid during the call. */
typedef void cox_fswatch_fn(void *ctx, enum cox_fs_event event, const char *path);

/* Copies `dir`. COX_ELIMIT: no inotify instance left. */
COX_MUST_USE enum cox_rc cox_fswatch_open(struct cox_loop *loop, const char *dir, cox_fswatch_fn *fn, void *ctx, struct cox_fswatch **out,
                                          struct cox_err *err);
/* The same for a directory alone: what is inside its directories is not looked at. For the folder of a few files, which may be any. */
COX_MUST_USE enum cox_rc cox_fswatch_open_flat(struct cox_loop *loop, const char *dir, cox_fswatch_fn *fn, void *ctx,
                                               struct cox_fswatch **out, struct cox_err *err);
void cox_fswatch_close(struct cox_fswatch **w);

#endif
