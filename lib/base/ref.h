/*
 * ref - a counter of owners for shared, immutable values. A new one counts 1.
 */
#ifndef COX_BASE_REF_H
#define COX_BASE_REF_H

#include "base/base.h"

#include <stdatomic.h>

struct cox_ref {
	_Atomic uint32_t n;
};

static inline void cox_ref_init(struct cox_ref *r) { atomic_init(&r->n, 1); }
static inline void cox_ref_get(struct cox_ref *r)
{
	uint32_t was = atomic_fetch_add_explicit(&r->n, 1, memory_order_relaxed);
	COX_ASSERT(was != 0 && was != UINT32_MAX);
}
/* True when the last owner is gone and the caller must free the value. */
static inline bool cox_ref_put(struct cox_ref *r)
{
	uint32_t was = atomic_fetch_sub_explicit(&r->n, 1, memory_order_acq_rel);
	COX_ASSERT(was != 0);
	return was == 1;
}
/* Adds an owner unless the last one is already gone: for tables that hold no reference of their own. */
static inline bool cox_ref_try_get(struct cox_ref *r)
{
	uint32_t n = atomic_load_explicit(&r->n, memory_order_relaxed);
	while (n != 0)
		if (atomic_compare_exchange_weak_explicit(&r->n, &n, n + 1, memory_order_acq_rel, memory_order_relaxed))
			return true;
	return false;
}

#endif
