/* stage_ca - the certificate authority: its two processes, what it says, its metrics. */
#ifndef COXSWAIND_STAGE_CA_H
#define COXSWAIND_STAGE_CA_H

#include "daemon.h"

/* Forks. The very first thing of the daemon: before loops, threads and sockets. COX_EINVAL: a setting is wrong, *err names it. */
COX_MUST_USE enum cox_rc stage_ca_fork(const struct flags *flags, struct cox_ca_processes **out, struct cox_err *err);
/* A stage; takes d->ca_processes. ENABLE_CA_SERVER=false: none. */
COX_MUST_USE enum cox_rc stage_ca_start(struct daemon *d, struct cox_err *err);
void stage_ca_stop(struct daemon *d);
/* The mesh configuration may name another trust domain now. */
void stage_ca_mesh_changed(struct daemon *d);

#endif
