/*
 * vm - `coxctl workload group create` and `coxctl workload entry configure`: a WorkloadGroup, and the files that a virtual machine's agent
 * needs to join the mesh as one of it; names and contents as istioctl writes them.
 * Thread: the caller's; configure blocks until done. Group and files are pure.
 */
#ifndef COX_TOOL_VM_H
#define COX_TOOL_VM_H

#include "base/buf.h"
#include "model/mesh.h"
#include "model/object.h"
#include "tool/cluster.h"

struct cox_vm_group_options {
	struct cox_str name, ns, service_account;  /* account: "default" where empty */
	struct cox_str labels, annotations, ports; /* "a=b,c=d" */
};
/* Appends the WorkloadGroup as YAML. COX_EINVAL: a name is missing, a pair is none, or the group would be refused. */
COX_MUST_USE enum cox_rc cox_tool_vm_group(const struct cox_vm_group_options *o, struct cox_buf *out, struct cox_err *err);

struct cox_vm_options {
	const char *file; /* a WorkloadGroup in YAML; NULL: the cluster's, by name and ns */
	struct cox_str name, ns;
	const char *out_dir;
	struct cox_cluster_spec cluster;
	struct cox_str istio_ns, revision, cluster_id;
	struct cox_str ingress_ip, ingress_service; /* how the machine reaches the control plane: an address, or a Service of istio_ns */
	struct cox_str internal_ip, external_ip;    /* the machine's own */
	bool registers, has_no_dns_capture;
	int64_t token_s; /* 0: an hour */
};
struct cox_vm_files { /* in the arena given */
	struct cox_str cluster_env, mesh_yaml, hosts;
};
/* `probe`: spec.probe as the group has it, or NULL. */
void cox_tool_vm_files(const struct cox_vm_options *o, const struct cox_object *group, const struct cox_json *probe,
                       const struct cox_mesh_config *mesh, struct cox_arena *arena, struct cox_vm_files *out);
/* Writes cluster.env, mesh.yaml, hosts, root-cert.pem and istio-token (0600) into out_dir. `notes` gets a line for each thing to know. */
COX_MUST_USE enum cox_rc cox_tool_vm_configure(const struct cox_vm_options *o, struct cox_buf *notes, struct cox_err *err);

#endif
