/*
 * selecting - objects of one kind, of which each pod heeds one: those that select no pod, and those that share some.
 */
#ifndef COX_ANALYZE_SELECTING_H
#define COX_ANALYZE_SELECTING_H

#include "analyze/analyze_priv.h"

struct selecting {
	enum an_kind kind;
	const char *path; /* of the labels */
	enum cox_analyze_code conflict;
	const struct cox_json *(*labels)(const struct an_obj *o);
	/* May be NULL. True: the pod does not count; it has been said why. */
	bool (*skip)(struct an_run *r, struct an_obj *o, const struct an_obj *pod);
};
void selecting_check(struct an_run *r, const struct selecting *how);

#endif
