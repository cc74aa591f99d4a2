/*
 * watch - list one Kubernetes kind, then watch it, for ever; tells only what differs from what it told before.
 * Thread: every call and every callback on the client's loop.
 * Owns:   its requests, and of each object its name, its resourceVersion and one pointer of the user's. Network trouble is
 *         retried inside and never empties anything: what is known stays until the server itself says that it is gone.
 *
 *   LIST --complete--> WATCH --cut--> WATCH from the last version
 *    ^  \--404--> ABSENT (slow poll, or poked)   \--410 Gone--> LIST (differences only)
 *    |  \--403--> DENIED (slow poll)
 *    +------------ each of them, when its wait is over
 */
#ifndef COX_KUBE_WATCH_H
#define COX_KUBE_WATCH_H

#include "kube/client.h"
#include "kube/watch_split.h"

struct cox_kube_watch;

/* What is remembered of one object. Stable in memory until `remove` returns. */
struct cox_kube_entry {
	uint64_t version;   /* its resourceVersion as a number */
	uint32_t seen;      /* private: the list that had it */
	uint32_t checked;   /* private: the digest that had it */
	void *value;        /* the user's; NULL at first */
	uint32_t flags;     /* the user's; 0 at first */
	struct cox_str key; /* "namespace/name", or "name" */
	struct cox_str ns, name;
};

struct cox_kube_watch_cb {
	/* Before anything else is done with an object: false leaves it out. NULL: all are wanted. */
	bool (*is_wanted)(void *ctx, struct cox_str ns, struct cox_str name);
	/* A new object, or one with a new resourceVersion. item->text may be skipped (is_skipped): the entry's value then still is the last
	 * good one. */
	void (*put)(void *ctx, const struct cox_kube_item *item, struct cox_kube_entry *e);
	/* It is gone (or not wanted any more). Releases e->value. */
	void (*remove)(void *ctx, struct cox_kube_entry *e);
	/* Once: COX_OK: listed; COX_ENOTFOUND: the server does not know the kind; COX_EDENIED: we may not list it. The last two go on
	 * trying. */
	void (*synced)(void *ctx, enum cox_rc rc);
	/* A list or a watch failed, or (COX_OK) works again after it was said that it does not. For logs; repeated failures are not
	 * repeated. */
	void (*trouble)(void *ctx, enum cox_rc rc, const struct cox_err *err);
	/* The end of what came together. May be NULL. */
	void (*flush)(void *ctx);
	void *ctx;
};

/* Text is copied. */
struct cox_kube_watch_spec {
	struct cox_str group, plural, kind;
	struct cox_str versions; /* "v1,v1beta1": the first that is served is used */
	struct cox_str ns;       /* empty: all namespaces */
	struct cox_str field_selector, label_selector;
	const struct cox_message *message; /* see watch_split.h; static */
	bool metadata_only;                /* objects come as PartialObjectMetadata */
	unsigned list_limit;               /* objects per page; 0: 500 */
	size_t max_object_bytes;           /* 0: COX_KUBE_OBJECT_BYTES_MAX */
	int64_t digest_ms;                 /* how often the store is compared with a fresh list of metadata; 0: never */
	int64_t digest_grace_ms;           /* how long a difference must last to count; 0: 10 s */
};

/* Borrows `client`, which must outlive the watch. The first callback comes later. */
void cox_kube_watch_open(struct cox_kube_client *client, const struct cox_kube_watch_spec *spec, const struct cox_kube_watch_cb *cb,
                         struct cox_kube_watch **out);
/* `remove` comes for every entry, without flush. Not from inside a callback. Accepts NULL. */
void cox_kube_watch_close(struct cox_kube_watch **w);

/* The kind may have appeared, or be served in another version: ask at once. */
void cox_kube_watch_poke(struct cox_kube_watch *w);
/* Objects of a namespace were left out (is_wanted) and are wanted now: lists them beside the running watch. */
void cox_kube_watch_ns_add(struct cox_kube_watch *w, struct cox_str ns);
/* They are not wanted any more: removes them. */
void cox_kube_watch_ns_drop(struct cox_kube_watch *w, struct cox_str ns);
/* Lists everything again; tells the differences. */
void cox_kube_watch_relist(struct cox_kube_watch *w);
bool cox_kube_watch_is_synced(const struct cox_kube_watch *w);
/* NULL: not known. */
struct cox_kube_entry *cox_kube_watch_find(const struct cox_kube_watch *w, struct cox_str ns, struct cox_str name);
/* Calls fn for every entry, in no order; fn must not change the watch. */
void cox_kube_watch_each(const struct cox_kube_watch *w, void (*fn)(void *ctx, struct cox_kube_entry *e), void *ctx);
/* For dumps: "v1", the version in use; the last resourceVersion; counts. */
struct cox_kube_watch_stats {
	struct cox_str version, resource_version;
	const char *state; /* "list", "watch", "wait", "absent", "denied" */
	size_t entries;
	uint64_t lists, resumes, events, skipped, repaired;
};
void cox_kube_watch_stats_get(const struct cox_kube_watch *w, struct cox_kube_watch_stats *out);

#endif
