/*
 * smi_priv - what the files of the SMI family share.
 */
#ifndef COX_CONVERT_SMI_PRIV_H
#define COX_CONVERT_SMI_PRIV_H

#include "convert/convert_priv.h"
#include "model/smi.h"

/* smi_split.c: TrafficSplits become VirtualServices. */
void smi_splits_convert(struct convert_run *run);
/* smi_target.c: what is odd about TrafficTargets; they are enforced by snapshot/access and translate/rbac, without any object. */
void smi_targets_check(struct convert_run *run);

#endif
