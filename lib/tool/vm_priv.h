/*
 * vm_priv - shared by vm_files.c (texts, pure) and vm.c (the cluster, the directory).
 */
#ifndef COX_TOOL_VM_PRIV_H
#define COX_TOOL_VM_PRIV_H

#include "model/proxy.h"
#include "model/workload_group.h"
#include "tool/vm.h"

/* Gives *out; COX_EINVAL with the field. */
enum cox_rc vm_group_check(const struct cox_json *doc, struct cox_arena *a, const struct cox_object **out, struct cox_err *err);
struct cox_str vm_account(const struct cox_object *group);
/* The name under which the machine asks for the control plane. */
struct cox_str vm_control_plane(const struct cox_vm_options *o, struct cox_arena *a);

#endif
