/*
 * cause - why proxies are pushed to: the last rounds and endpoint changes, with the objects that led to each. A stream remembers by number
 * what it was sent for (xds/list.h); so every push can be explained without keeping any of it.
 * Thread: the config loop.
 */
#ifndef COX_PUSH_CAUSE_H
#define COX_PUSH_CAUSE_H

#include "push/push.h"

enum { COX_PUSH_CAUSES_KEPT = 256, COX_PUSH_CAUSE_IDS_BYTES = 400 };

struct cox_push_cause {
	uint64_t id;         /* counts up from 1 */
	int64_t event_ms;    /* wall clock: when the first of the changes came in */
	uint32_t waited_us;  /* from then until work on them began */
	uint32_t took_us;    /* until all views were made anew; 0 in one that goes on */
	uint32_t changes;    /* objects and services that changed */
	uint32_t views;      /* looked at */
	uint32_t views_made; /* that had to be given something else */
	uint32_t proxies;    /* at least so many had one of these views */
	bool is_endpoints;   /* by the endpoints' own path */
	/* Of the first changes: object ids, or hostnames of services, with "-" before what went; joined by '\n'. As many as fit. */
	struct cox_str ids;
};
/* Those from number `from` on that are still kept, oldest first; copies, in `arena`. */
size_t cox_push_causes(const struct cox_push *p, uint64_t from, struct cox_arena *arena, struct cox_push_cause **out);

#endif
