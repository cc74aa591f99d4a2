/*
 * stage_admin - the HTTP ports for operators: /metrics, /ready, /debug, ControlZ. Config loop.
 */
#ifndef COXSWAIND_STAGE_ADMIN_H
#define COXSWAIND_STAGE_ADMIN_H

#include "daemon.h"

enum cox_rc start_admin(struct daemon *d, struct cox_err *err);
void stop_admin(struct daemon *d);

#endif
