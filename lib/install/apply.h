/*
 * apply - an installation in a cluster: brought there in order, waited for, and taken away again.
 * Thread: the caller's; calls block. Secrets, locks and roots of a control plane that is there are not touched.
 */
#ifndef COX_INSTALL_APPLY_H
#define COX_INSTALL_APPLY_H

#include "install/operator.h"
#include "tool/cluster.h"

/* For people: what is going on. `done` of `total` objects; finished: this part is over. `what` is borrowed. */
struct cox_install_progress {
	const char *part; /* "Pilot" */
	size_t done, total;
	bool is_waiting, is_finished;
	struct cox_str what; /* the object at hand, or what is waited for; empty: none */
};
struct cox_install_ctx {
	struct cox_cluster *cluster;
	bool dry_run;                                                      /* the server is asked whether it would take it */
	int64_t ready_ms;                                                  /* until a component must be ready; 0: not waited for */
	void (*progress)(void *ctx, const struct cox_install_progress *p); /* may be NULL */
	void *ctx;
};

/* Applies all releases, one after the other: each is waited for. Then what an earlier installation of this revision made and this one has
 * not is deleted. COX_ETIMEOUT: something is not ready; err says what and why. */
COX_MUST_USE enum cox_rc cox_install_apply(const struct cox_install_ctx *x, const struct cox_charts *charts, const struct cox_operator *o,
                                           struct cox_err *err);
/* Takes away what belongs to a revision (empty: the default one), but not what the whole cluster shares. `purge`: of all revisions, with
 * what is shared and the CustomResourceDefinitions, and so every object of these kinds. *count: how many. */
COX_MUST_USE enum cox_rc cox_install_remove(const struct cox_install_ctx *x, const struct cox_charts *charts, struct cox_str revision,
                                            bool purge, size_t *count, struct cox_err *err);
/* Which revisions are installed, as texts in `arena` ("default" for the default one). */
COX_MUST_USE enum cox_rc cox_install_revisions(struct cox_cluster *c, struct cox_arena *arena, struct cox_json **out, struct cox_err *err);

#endif
