/*
 * saved - the last known objects on disk (--snapshotDir): written when they changed, read at a start at which the kube-apiserver does not
 * answer. Then proxies are served by them; when the server answers, what it has counts, and what it has no more goes. Config loop.
 */
#ifndef COX_COXSWAIND_SAVED_H
#define COX_COXSWAIND_SAVED_H

#include "source/events.h"
#include "stages.h"

struct daemon;
struct saved;

/* Without --snapshotDir: COX_OK and nothing. `sink` is copied: where saved objects go. */
enum cox_rc saved_start(struct daemon *d, const struct cox_source_sink *sink, struct cox_err *err);
void saved_stop(struct daemon *d);
/* The kube-apiserver says so itself. */
void saved_on_put(struct daemon *d, const struct cox_object *o);
void saved_on_flush(struct daemon *d);
void saved_on_synced(struct daemon *d);

#endif
