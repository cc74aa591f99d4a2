/*
 * charts - the installation's charts and profiles, out of this program or a directory, and their rendering as Helm does it.
 * In:  values as a JSON tree.  Out: Kubernetes objects as JSON trees.
 * Thread: the caller's. Reads files when opened, and never after.
 */
#ifndef COX_INSTALL_CHARTS_H
#define COX_INSTALL_CHARTS_H

#include "codec/json.h"

struct cox_charts;

/* `dir`: a folder with charts/ and profiles/; NULL: what is in this program. Gives. COX_ENOTFOUND, COX_EIO, COX_ELIMIT: err names it. */
COX_MUST_USE enum cox_rc cox_charts_open(const char *dir, struct cox_charts **out, struct cox_err *err);
/* Accepts NULL. */
void cox_charts_close(struct cox_charts **c);
/* "profiles/demo.yaml": borrowed; empty where there is none. */
struct cox_str cox_charts_text(const struct cox_charts *c, const char *path);
/* Path and text of file i in the order of paths; NULL behind the last. */
const char *cox_charts_at(const struct cox_charts *c, size_t i, struct cox_str *text);

struct cox_chart_release {
	struct cox_str chart;          /* "istiod" */
	struct cox_str name, ns;       /* of the release */
	const struct cox_json *values; /* the user's; NULL: none */
};
/* All objects in the order in which Helm would make them, as one array in `arena`. COX_ENOTFOUND: no such chart; COX_EINVAL: err->path is
 * the template, err->line its line. */
COX_MUST_USE enum cox_rc cox_chart_render(const struct cox_charts *c, const struct cox_chart_release *r, struct cox_arena *arena,
                                          struct cox_json **out, struct cox_err *err);

/* `over` laid over `base`: objects member by member, lists and all else as a whole, null takes away. Shares both trees. Either may be NULL.
 */
const struct cox_json *cox_values_overlay(struct cox_arena *arena, const struct cox_json *base, const struct cox_json *over);
/* Where a kind stands in the order of making; unknown kinds come last. */
int cox_chart_kind_rank(struct cox_str kind);

#endif
