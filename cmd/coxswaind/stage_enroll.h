/* stage_enroll - workloads that register themselves: settings from the environment, as istiod's. */
#ifndef COXSWAIND_STAGE_ENROLL_H
#define COXSWAIND_STAGE_ENROLL_H

#include "daemon.h"

/* `sink` is the source's: in memory, entries come like its objects. Copied. */
COX_MUST_USE enum cox_rc stage_enroll_start(struct daemon *d, const struct cox_source_sink *sink, struct cox_err *err);
void stage_enroll_stop(struct daemon *d);

#endif
