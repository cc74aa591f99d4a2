/*
 * stage_status - what this replica writes for all: conditions and addresses in statuses, while it holds the locks for that. With a
 * kube-apiserver only.
 */
#ifndef COX_COXSWAIND_STAGE_STATUS_H
#define COX_COXSWAIND_STAGE_STATUS_H

#include "daemon.h"

enum cox_rc stage_status_start(struct daemon *d, struct cox_err *err);
/* The locks are given back, so that another replica need not wait; done(d) when that is said. */
void stage_status_release(struct daemon *d, void (*done)(void *ctx));
void stage_status_stop(struct daemon *d);

#endif
