/*
 * status - what its files share: status.c decides when, status_text.c what.
 */
#ifndef COX_STATUS_STATUS_PRIV_H
#define COX_STATUS_STATUS_PRIV_H

#include "status/status.h"

enum {
	FINDINGS_MAX = 20,        /* of one slot; a status is read by people */
	MESSAGE_BYTES_MAX = 1024, /* of the condition */
};

struct status_part {
	struct cox_arena arena;
	struct cox_status_finding *findings;
	size_t n, total;
};

struct status_entry {
	struct status_entry *next; /* in the queue */
	bool is_queued;
	enum cox_kind kind;
	struct cox_str ns, name, key;
	int64_t generation;
	struct status_part parts[COX_STATUS_SLOT_COUNT];
	/* In place of parts: the whole of the status, given as it is (cox_status_set_tree()). NULL with is_tree: nothing of ours. */
	bool is_tree;
	struct cox_arena tree_text;
	const struct cox_json *tree;
	/* How far proxies have followed. */
	bool has_progress; /* somebody will say, or has said */
	int64_t progress_generation;
	size_t acked, total;
	char last[128];
	int64_t not_before_ms;   /* monotonic: until then more is waited for */
	struct cox_hash written; /* of what the server has for certain */
	bool is_written;
};

/* What is to be said, without times: makes two statuses equal or not. */
struct cox_hash status_hash(const struct status_entry *e, int64_t generation);
/* The body of the apply. `now` (RFC 3339) is the transition time unless `was` (the object as the server has it, may be NULL)
 * has the same condition with the same status already. */
void status_write(const struct status_entry *e, int64_t generation, const struct cox_json *was, struct cox_str now, struct cox_buf *out);
/* The server's object says all that already. */
bool status_is_said(const struct status_entry *e, int64_t generation, const struct cox_json *was);

/* status_tree.c: the same for a status that was given whole. What other controllers said in lists that one owner writes as a whole
 * (parents, ancestors) is kept. */
struct cox_json *status_tree_merge(struct cox_arena *a, const struct cox_json *tree, const struct cox_json *was, struct cox_str now);
bool status_tree_is_said(const struct cox_json *tree, const struct cox_json *was);
/* Whether the status holds lists that controllers share: a write then must meet the version that was read. */
bool status_tree_is_shared(const struct cox_json *status);

#endif
