/*
 * budget - the memory that this process may have. Near the limit new proxies are refused (and those that wait for their first
 * configuration), at the limit some that are connected, too: they go to another replica. What is served stays as it is. Config loop.
 */
#ifndef COX_COXSWAIND_BUDGET_H
#define COX_COXSWAIND_BUDGET_H

#include "daemon.h"

/* COX_EINVAL: --memoryLimit cannot be read. */
enum cox_rc budget_start(struct daemon *d, struct cox_err *err);
void budget_stop(struct daemon *d);

#endif
