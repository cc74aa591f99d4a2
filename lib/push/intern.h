/*
 * intern - equal resources, blocks and sets exist once. Thread: the config loop.
 */
#ifndef COX_PUSH_INTERN_H
#define COX_PUSH_INTERN_H

#include "base/map.h"
#include "translate/resource.h"

struct cox_intern {
	struct cox_map resources, sets; /* by type, name and hash; by type and hash. Each holds one reference */
	size_t bytes;
};
void cox_intern_fini(struct cox_intern *in);
/* Takes a reference to `r` and gives one to the resource that stands for it. */
const struct cox_resource *cox_intern_resource_take(struct cox_intern *in, const struct cox_resource *r);
const struct cox_set *cox_intern_set_take(struct cox_intern *in, const struct cox_set *s);
/* A reference to each resource; as many as in->resources.n. */
void cox_intern_list(const struct cox_intern *in, const struct cox_resource **out);
/* Drops what nobody else holds any more: sets first, then resources. */
void cox_intern_sweep(struct cox_intern *in);

#endif
