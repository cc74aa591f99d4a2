/* stages - the parts of the running control plane, in pipeline order; started in order, ended in reverse. */
#ifndef COXSWAIND_STAGES_H
#define COXSWAIND_STAGES_H

#include "flags.h"

struct daemon;
/* Starts every stage on the calling thread's loop. On failure what was started is ended and *err names the stage. */
COX_MUST_USE enum cox_rc daemon_start(const struct flags *flags, struct daemon **out, struct cox_err *err);
/* Runs until SIGTERM or SIGINT and the drain after it. The exit status: 1 where something was lost that it cannot go on without. */
int daemon_run(struct daemon *d);
void daemon_free(struct daemon *d);

#endif
