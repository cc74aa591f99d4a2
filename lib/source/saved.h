/*
 * saved - objects as the text of a file, one line of JSON each, so that a control plane can start while the kube-apiserver is down.
 * Not saved: Secrets (keys do not belong on a disk of ours: gateways wait for theirs), and objects that we made ourselves.
 * Thread: any; pure but for the file.
 */
#ifndef COX_SOURCE_SAVED_H
#define COX_SOURCE_SAVED_H

#include "model/object.h"

bool cox_saved_is_kept(const struct cox_object *o);
/* Replaces the file, readable by its owner alone. COX_EIO with text. */
COX_MUST_USE enum cox_rc cox_saved_write(const char *path, struct cox_str cluster_id, const struct cox_object *const *objects, size_t n,
                                         struct cox_err *err);
/* put(ctx, o) for each object, borrowed; *count: how many. Lines that cannot be read are left out, and counted in *bad. COX_ENOTFOUND:
 * there is no file; COX_EINVAL: it is of another cluster, or no such file. */
COX_MUST_USE enum cox_rc cox_saved_read(const char *path, struct cox_str cluster_id, void (*put)(void *ctx, const struct cox_object *o),
                                        void *ctx, size_t *count, size_t *bad, struct cox_err *err);

#endif
