/*
 * backoff - how long to wait before the next attempt: doubling, with jitter, back to the start after a success.
 * Pure but for its random numbers. A plain value; set `first_ms` and `max_ms`.
 */
#ifndef COX_KUBE_BACKOFF_H
#define COX_KUBE_BACKOFF_H

#include "base/base.h"

struct cox_kube_backoff {
	int64_t first_ms, max_ms;
	unsigned failures;
};

/* The wait after one more failure: first_ms * 2^(failures before), at most max_ms, less up to half of it by chance,
 * so that many watches that were cut together do not come back together. */
int64_t cox_kube_backoff_next_ms(struct cox_kube_backoff *b);
static inline void cox_kube_backoff_reset(struct cox_kube_backoff *b) { b->failures = 0; }

#endif
