/*
 * vec - arrays that grow, typed by macro: COX_VEC(struct thing) things = { 0 };
 * Owned: cox_vec_fini(&things) frees the array, not what its items point to.
 */
#ifndef COX_BASE_VEC_H
#define COX_BASE_VEC_H

#include "base/base.h"

#include <string.h>

#define COX_VEC(type)          \
	struct {               \
		type *p;       \
		size_t n, cap; \
	}

#define cox_vec_room_(v) ((v)->n < (v)->cap ? (void)0 : cox_vec_grow_((void **)&(v)->p, (v)->n, &(v)->cap, 1, sizeof(*(v)->p)))
/* Makes room for one more item and returns its (zeroed) place, counted in. */
#define cox_vec_add(v) (cox_vec_room_(v), (__typeof__((v)->p))memset(&(v)->p[(v)->n++], 0, sizeof(*(v)->p)))
#define cox_vec_push(v, item)              \
	do {                               \
		cox_vec_room_(v);          \
		(v)->p[(v)->n++] = (item); \
	} while (0)
#define cox_vec_reserve(v, count) cox_vec_grow_((void **)&(v)->p, (v)->n, &(v)->cap, count, sizeof(*(v)->p))
#define cox_vec_clear(v) ((void)((v)->n = 0))
#define cox_vec_fini(v)                               \
	do {                                          \
		cox_free((v)->p);                     \
		(v)->p = NULL, (v)->n = (v)->cap = 0; \
	} while (0)
/* Removes item i; the order of the rest is kept. */
#define cox_vec_remove(v, i)                                                                            \
	do {                                                                                            \
		size_t cox_i_ = (i);                                                                    \
		COX_ASSERT(cox_i_ < (v)->n);                                                            \
		memmove(&(v)->p[cox_i_], &(v)->p[cox_i_ + 1], ((v)->n - cox_i_ - 1) * sizeof(*(v)->p)); \
		(v)->n--;                                                                               \
	} while (0)

void cox_vec_grow_(void **p, size_t n, size_t *cap, size_t extra, size_t item_bytes);

#endif
