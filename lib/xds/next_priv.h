/* next_priv - a response while it is made: next.c decides that there is one, answer.c fills it one by one. */
#ifndef COX_XDS_NEXT_PRIV_H
#define COX_XDS_NEXT_PRIV_H

#include "xds/core_priv.h"

struct draft {
	enum cox_type type;
	struct type_state *t;
	const struct cox_set *target[COX_XDS_PARTS];
	const struct cox_step *steps[COX_XDS_PARTS];
	bool removes; /* clusters may go now */
	struct sent_response record;
	COX_VEC(const struct cox_resource *)
	back; /* borrowed from `acked`: former versions listed again: the proxy may have taken the newer one */
};

/* What the proxy will have by that name, and in which part; NULL: nothing. */
const struct cox_resource *draft_find(const struct draft *d, struct cox_str name, unsigned *part);
/* The resource is new to the proxy, or differs from what was sent. */
bool draft_sends(const struct draft *d, unsigned part, const struct cox_resource *r);
/* A proxy that comes back holds just what it should have, as nearly all do: nothing is compared one by one. */
bool draft_is_held(struct cox_xds_core *c, const struct draft *d);
void draft_sort_known(struct draft *d);
/* In this order, before what the steps say. */
void draft_answer_asked(struct cox_xds_core *c, struct draft *d);
void draft_answer_forced(struct cox_xds_core *c, struct draft *d);
void draft_answer_resent_routes(struct cox_xds_core *c, struct draft *d);
void draft_remove_known(struct cox_xds_core *c, struct draft *d);
void draft_remove_perhaps(struct cox_xds_core *c, struct draft *d);
/* What part `p` sends, where the whole step cannot be sent as it is; gives what the proxy will have. */
const struct cox_set *draft_emit_slowly(struct cox_xds_core *c, struct draft *d, unsigned p);
const struct cox_set *draft_emit_nothing(struct cox_xds_core *c, const struct draft *d, unsigned p);
bool core_is_listed(const void *names_vec, struct cox_str name); /* a vector of struct cox_str */
/* Names that the proxy may hold since a rejected response: those sent since are known again; those wanted no more are to be
 * removed, clusters with the usual grace. Returns how many others are to be removed now. */
size_t core_sort_perhaps(struct cox_xds_core *c, enum cox_type type);

#endif
