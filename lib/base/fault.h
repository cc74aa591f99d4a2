/*
 * fault - named points where a test lets an operation fail. Costs one load while no fault is set.
 * COXSWAIN_FAULTS="net.read:3,kube.connect:1+" fails the third read once, and every connect from the first.
 */
#ifndef COX_BASE_FAULT_H
#define COX_BASE_FAULT_H

#include "base/str.h"

/* Replaces all faults by those of `spec` (empty: none). COX_EINVAL: not understood. */
COX_MUST_USE enum cox_rc cox_fault_set(struct cox_str spec);
bool cox_fault_hit_(const char *name);
extern _Atomic int cox_fault_count_;
/* True when this call must fail. */
#define COX_FAULT(name) (__builtin_expect(cox_fault_count_ != 0, 0) && cox_fault_hit_(name))

#endif
