/*
 * tag - other names of a revision: namespaces labelled istio.io/rev=prod follow it, and move when it moves.
 * A tag is a copy of the revision's webhooks under another name, and a Service; the tag "default" also takes the objects that no revision
 * claims (istiod-default-validator). Thread: the caller's; calls block.
 */
#ifndef COX_INSTALL_TAG_H
#define COX_INSTALL_TAG_H

#include "install/charts.h"
#include "tool/cluster.h"

struct cox_tag_spec {
	struct cox_str tag, revision;
	struct cox_str ns;           /* of the control plane */
	struct cox_str webhook_name; /* empty: istio-revision-tag-TAG */
	bool auto_inject, overwrite; /* auto_inject: all namespaces but those that say no */
};
/* The objects of a tag, after the revision's as it runs. COX_ENOTFOUND: no such revision; COX_EEXIST: the tag is there and `overwrite` is
 * not said, or a revision has this name. */
COX_MUST_USE enum cox_rc cox_tag_generate(struct cox_cluster *c, const struct cox_charts *charts, const struct cox_tag_spec *spec,
                                          struct cox_arena *arena, struct cox_json **out, struct cox_err *err);
/* Generates and applies. */
COX_MUST_USE enum cox_rc cox_tag_set(struct cox_cluster *c, const struct cox_charts *charts, const struct cox_tag_spec *spec,
                                     struct cox_err *err);
/* All tags as [{tag, revision, namespaces}], by name. */
COX_MUST_USE enum cox_rc cox_tag_list(struct cox_cluster *c, struct cox_arena *arena, struct cox_json **out, struct cox_err *err);
/* COX_ENOTFOUND: there is none. */
COX_MUST_USE enum cox_rc cox_tag_remove(struct cox_cluster *c, struct cox_str tag, struct cox_err *err);

#endif
