/*
 * report - private to converge: what a replica says of its proxies, as the text of a ConfigMap. Pure.
 *   {"replica": "istiod-7d", "beat": 5, "streams": 40, "seen": {"VirtualService": 812}, "pending": {"VirtualService/shop/web": [3, 37]}}
 * `seen` is the newest resourceVersion of each kind that this replica has read: an object of a kind that is not pending, and not newer than
 * that, has been acknowledged by all of its proxies. So what is done need not be listed, however old it is. Versions are compared within
 * a kind only.
 */
#ifndef COX_STATUS_REPORT_H
#define COX_STATUS_REPORT_H

#include "base/map.h"
#include "codec/json.h"
#include "model/object.h"

enum { REPORT_PENDING_MAX = 2000 }; /* some 100 KiB; with more of them the report says nothing of objects, which counts as "not yet" */

struct report_pending {
	struct cox_str id; /* of the object */
	int64_t generation;
	uint64_t version;
	uint64_t frozen; /* the snapshot that has it; 0: none yet */
	size_t acked;
	bool is_done; /* by all proxies that count: told no more */
};

/* What another replica says. */
struct report {
	struct cox_arena arena;
	struct cox_str replica;
	size_t streams;
	uint64_t seen[COX_KIND_COUNT];
	struct cox_map pending; /* id -> struct report_pending */
};

/* `objects`: id -> struct report_pending; those that are not done are told. `beat` makes a report that is repeated another one. */
void report_write(struct cox_str replica, size_t streams, const uint64_t seen[COX_KIND_COUNT], const struct cox_map *objects, uint64_t beat,
                  struct cox_buf *out);
/* False: it cannot be read. */
bool report_read(struct cox_str text, struct report *out);
void report_fini(struct report *r);
/* How many of its proxies have acknowledged this. */
size_t report_acked(const struct report *r, enum cox_kind kind, const struct report_pending *p);

#endif
