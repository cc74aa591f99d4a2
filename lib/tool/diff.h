/*
 * diff - what a change of objects would do, before it is applied: which proxies would get other resources, which hosts would lose routes or
 * endpoints, which weights move, what would not fit together or be refused (`coxctl diff`).
 * Proxies of one view are translated once, proxies with equal effects are one group.
 * Thread: the caller's; blocks (reads files).
 */
#ifndef COX_TOOL_DIFF_H
#define COX_TOOL_DIFF_H

#include "tool/world.h"

struct cox_diff_options {
	const char *base;                 /* objects in force: a directory or a file; NULL: none, or those of `server` */
	const char *server;               /* a live coxswaind's debug address; NULL: none */
	COX_LIST(const char *) changes;   /* files or directories of new and changed objects */
	COX_LIST(struct cox_str) deletes; /* "Kind/namespace/name", or "Kind/name" */
	COX_LIST(struct cox_str) proxies; /* "pod.namespace": only these; none: all that are connected to the live server; else every Pod
	                                     with a proxy, or every Pod where none says so */
	struct cox_who who;               /* class and kind of all proxies; its `proxy` is not read */
	struct cox_world_options world;
	bool is_against_sent; /* `server`: before is what its proxies were really sent, by whatever version it is */
	bool is_detailed;     /* with the differences inside of resources */
};
/* The answer as a document (README of this module), in `arena`: "effect" says whether anything would change, "refused" what would not be
 * taken. COX_ENOTFOUND, COX_EINVAL, COX_EIO with text: nothing is known. */
COX_MUST_USE enum cox_rc cox_tool_diff(const struct cox_diff_options *opts, struct cox_arena *arena, struct cox_json **out,
                                       struct cox_err *err);
/* 0: no effect, 1: an effect, 2: something would be refused. */
int cox_diff_status(const struct cox_json *answer);
void cox_diff_write(const struct cox_json *answer, bool color, struct cox_buf *out);

#endif
