/*
 * watch - what its files share: watch.c is the state machine, watch_store.c the objects, watch_side.c the lists beside it.
 */
#ifndef COX_KUBE_WATCH_PRIV_H
#define COX_KUBE_WATCH_PRIV_H

#include "base/map.h"
#include "base/vec.h"
#include "kube/backoff.h"
#include "kube/list_priv.h"
#include "kube/watch.h"
#include "loop/timer.h"

enum phase { PHASE_LIST, PHASE_WATCH, PHASE_ABSENT, PHASE_DENIED };

struct side_list;
struct digest_miss {
	struct cox_str key; /* heap */
	uint64_t version;   /* that the server has; 0: it has none */
};

struct cox_kube_watch {
	struct cox_kube_client *c;
	struct cox_kube_watch_spec spec; /* text is in `text` */
	struct cox_kube_watch_cb cb;
	struct cox_arena text;
	struct cox_map entries;
	struct cox_kube_reach reach;

	enum phase phase;
	struct cox_timer *timer; /* the wait before the next step */
	struct cox_kube_list *list;
	struct cox_kube_request *request;
	struct cox_kube_split *split;
	struct cox_kube_backoff backoff, slow;
	struct cox_buf version; /* the last resourceVersion seen */
	uint32_t epoch;         /* of the list that runs or ran last */
	size_t version_index;   /* of the served version tried, in spec.versions */
	bool is_version_sure;   /* an older version in use was confirmed: newer ones are not served */
	bool is_synced;
	bool is_troubled;      /* said so */
	bool is_gone;          /* 410 came in this watch */
	bool is_broken;        /* an ERROR event other than 410 */
	unsigned broken_count; /* in a row */
	bool has_news;         /* since the last flush */
	bool wants_relist;     /* at the next step */
	int64_t started_ms;    /* of the watch request; 0: no head yet */
	uint64_t started_events;
	int64_t absent_since_ms;
	struct cox_err event_err;

	struct side_list *sides; /* lists of single namespaces */
	struct cox_timer *digest_timer;
	struct cox_kube_list *digest;
	uint32_t digest_epoch;
	uint64_t digest_upto; /* the version of the list that it compares with */
	COX_VEC(struct digest_miss) misses;

	uint64_t list_count, resume_count, event_count, skipped_count, repaired_count;
};

/* The path of the kind in the version tried, with selectors; `ns` overrides where not empty. */
void cox_kube_watch_path_(const struct cox_kube_watch *w, struct cox_str ns, struct cox_buf *out);

/* --- store */
uint64_t cox_kube_version_parse_(struct cox_str resource_version);
/* One object of a list of everything: it is the truth. */
void cox_kube_store_listed_(struct cox_kube_watch *w, const struct cox_kube_item *item);
/* One object of a list beside the watch, or of an event: it counts unless we know a newer version. */
void cox_kube_store_put_(struct cox_kube_watch *w, const struct cox_kube_item *item);
void cox_kube_store_deleted_(struct cox_kube_watch *w, const struct cox_kube_item *item);
/* Removes what the list of this epoch did not have; all: everything. */
void cox_kube_store_sweep_(struct cox_kube_watch *w, bool all);
void cox_kube_store_flush_(struct cox_kube_watch *w);

/* --- side lists and digest */
void cox_kube_side_deleted_(struct cox_kube_watch *w, const struct cox_kube_item *item);
void cox_kube_side_close_(struct cox_kube_watch *w);
void cox_kube_digest_start_(struct cox_kube_watch *w);
void cox_kube_digest_stop_(struct cox_kube_watch *w);

#endif
