/*
 * events - the one stream of object events that every source feeds (a kube-apiserver, a directory of YAML).
 * Thread: a source calls its sink on the config loop only.
 * Order:  for one object, events come in the order in which they happened. A relist is delivered as the differences to
 *         what the source delivered before, so a sink never sees "everything again".
 */
#ifndef COX_SOURCE_EVENTS_H
#define COX_SOURCE_EVENTS_H

#include "model/object.h"

/* Why an object is not in force, or what is odd about one that is. Borrowed until return. */
struct cox_source_report {
	enum cox_kind kind;
	struct cox_str ns, name,
	    origin; /* name is empty where the document could not even be read; origin: "file.yaml:12" or the cluster */
	/* never NULL; errors > 0: the object (or its new version) is not in force; none at all: what was said is taken back */
	const struct cox_diags *diags;
	bool has_last_good; /* an earlier version stays in force */
};

struct cox_source_sink {
	/* A new or changed object. Borrows `o`: the sink adds its own reference. Equal objects (cox_object_eq) are filtered by the source.
	 */
	void (*put)(void *arg, const struct cox_object *o);
	void (*remove)(void *arg, enum cox_kind kind, struct cox_str ns, struct cox_str name);
	void (*report)(void *arg, const struct cox_source_report *report);
	/* All kinds were listed once: what came before is complete. Called once. */
	void (*synced)(void *arg);
	/* The source cannot be reached (true) or is back (false); what is known stays in force. */
	void (*stale)(void *arg, bool stale);
	/* End of a batch of events that belong together (one read of the watch, one file): a good moment to recompute. */
	void (*flush)(void *arg);
	void *arg;
};

#endif
