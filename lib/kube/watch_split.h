/*
 * watch_split - cuts the bytes of a Kubernetes LIST response or of a watch into single objects while they arrive.
 * Pure: no I/O. One splitter per response; used by one thread at a time.
 * What nobody reads is dropped before it is buffered: metadata.managedFields, the last-applied annotation, and of the core kinds
 * every field that the kind's table does not name. So memory is bounded by what is kept of one object.
 * Only the structure is checked here; the kept text of an object is parsed strictly by whoever gets it.
 */
#ifndef COX_KUBE_WATCH_SPLIT_H
#define COX_KUBE_WATCH_SPLIT_H

#include "base/buf.h"
#include "base/err.h"
#include "codec/fields.h"

enum {
	COX_KUBE_OBJECT_BYTES_MAX = 16 * 1024 * 1024, /* as COX_JSON_BYTES_MAX; etcd takes 1.5 MiB by default */
	COX_KUBE_SPLIT_DEPTH_MAX = 128,               /* as COX_JSON_DEPTH_MAX, plus the list around the object */
};

enum cox_kube_event {
	COX_KUBE_EVENT_ITEM, /* of a list */
	COX_KUBE_EVENT_ADDED,
	COX_KUBE_EVENT_MODIFIED,
	COX_KUBE_EVENT_DELETED,
	COX_KUBE_EVENT_BOOKMARK,
	COX_KUBE_EVENT_ERROR, /* `text` is a Status */
	COX_KUBE_EVENT_UNKNOWN,
};

/* One object. All text is borrowed until the callback returns. */
struct cox_kube_item {
	enum cox_kube_event event;
	struct cox_str text; /* compact JSON of what was kept; empty when `is_skipped` */
	struct cox_str kind; /* empty where the object does not say (items of core lists) */
	struct cox_str ns, name, resource_version;
	bool is_skipped; /* what is kept exceeds the limit: only the names are known, as far as they were seen */
	size_t bytes;    /* of the whole object as it came */
};

struct cox_kube_split;

struct cox_kube_split_spec {
	bool is_watch;                     /* one event after the other, else one list */
	const struct cox_message *message; /* of the kind: where it is open, fields that it does not name are dropped. NULL: all are kept */
	size_t max_object_bytes;           /* 0: COX_KUBE_OBJECT_BYTES_MAX */
	void (*on_item)(void *ctx, const struct cox_kube_item *item);
	void *ctx;
};

/* Copies `spec`; `message` is borrowed until free. */
struct cox_kube_split *cox_kube_split_new(const struct cox_kube_split_spec *spec);
/* Accepts NULL. Not from inside on_item. */
void cox_kube_split_free(struct cox_kube_split **s);
/* Calls on_item for each object that is complete. COX_EPROTO: this is no list or no event, with text; the splitter takes nothing more. */
COX_MUST_USE enum cox_rc cox_kube_split_feed(struct cox_kube_split *s, struct cox_str bytes, struct cox_err *err);
/* The bytes ended. COX_EPROTO: in the middle of the list or of an event. */
COX_MUST_USE enum cox_rc cox_kube_split_end(struct cox_kube_split *s, struct cox_err *err);
/* Of a list, once it ended: where the next page starts (empty: this was the last), and the list's version. Borrowed until free. */
struct cox_str cox_kube_split_continue(const struct cox_kube_split *s);
struct cox_str cox_kube_split_version(const struct cox_kube_split *s);
/* Bytes buffered now, for tests and metrics. */
size_t cox_kube_split_buffered(const struct cox_kube_split *s);

#endif
