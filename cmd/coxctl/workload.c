/* coxctl workload: WorkloadGroups, and the files with which a virtual machine joins the mesh. */
#include "verbs.h"

#include "tool/vm.h"

#include <stdio.h>

static int group_create(struct cox_cli *cli)
{
	struct cox_vm_group_options g = { .name = cox_cli_str(cli, "name"),
		                          .ns = cox_cli_str(cli, "namespace"),
		                          .labels = cox_cli_str(cli, "labels"),
		                          .annotations = cox_cli_str(cli, "annotations"),
		                          .ports = cox_cli_str(cli, "ports"),
		                          .service_account = cox_cli_str(cli, "serviceAccount") };
	struct cox_buf out = { 0 };
	struct cox_err err = { 0 };
	int status = cox_tool_vm_group(&g, &out, &err) == COX_OK ? cox_cli_print(cli, &out) : cox_cli_fail(cli, &err);
	cox_buf_fini(&out);
	return status;
}

static int entry_configure(struct cox_cli *cli)
{
	struct cox_vm_options o = { .file = cox_cli_get(cli, "file"),
		                    .name = cox_cli_str(cli, "name"),
		                    .ns = cox_cli_str(cli, "namespace"),
		                    .out_dir = cox_cli_get(cli, "output"),
		                    .cluster = verb_cluster(cli),
		                    .istio_ns = cox_cli_str(cli, "istioNamespace"),
		                    .revision = cox_cli_str(cli, "revision"),
		                    .cluster_id = cox_cli_str(cli, "clusterID"),
		                    .ingress_ip = cox_cli_str(cli, "ingressIP"),
		                    .ingress_service = cox_cli_str(cli, "ingressService"),
		                    .internal_ip = cox_cli_str(cli, "internalIP"),
		                    .external_ip = cox_cli_str(cli, "externalIP"),
		                    .registers = cox_cli_is(cli, "autoregister"),
		                    .has_no_dns_capture = !cox_cli_is(cli, "capture-dns"),
		                    .token_s = cox_cli_i64(cli, "tokenDuration") };
	struct cox_buf notes = { 0 };
	struct cox_err err = { 0 };
	if (!o.out_dir)
		return cox_cli_wrong(cli, "-o is needed");
	if (!o.file && !(o.name.n && o.ns.n))
		return cox_cli_wrong(cli, "-f, or --name and -n, are needed");
	if (o.token_s < 600)
		return cox_cli_wrong(cli, "--tokenDuration: 600 seconds is the least that a kube-apiserver gives");
	enum cox_rc rc = cox_tool_vm_configure(&o, &notes, &err);
	if (rc == COX_OK)
		(void)fwrite(notes.p, 1, notes.n, stderr);
	cox_buf_fini(&notes);
	return rc == COX_OK ? 0 : cox_cli_fail(cli, &err);
}

const struct cox_cli_verb verb_workload = { .path = "workload", .summary = "virtual machines: WorkloadGroups, and the files to join with" };
const struct cox_cli_verb verb_workload_group = { .path = "workload group", .summary = "groups of virtual machines" };
const struct cox_cli_verb verb_workload_group_create = {
	.path = "workload group create",
	.summary = "print a WorkloadGroup",
	.examples = "  coxctl workload group create --name pay -n shop -l app=pay -p http=8080 | kubectl apply -f -\n",
	.flags = (const struct cox_cli_flag[]){ { "name", 0, "NAME", NULL, "of the group", 0 },
	                                        { "labels", 'l', "KEY=VALUE,...", NULL, "of its machines", 0 },
	                                        { "annotations", 'a', "KEY=VALUE,...", NULL, "of its machines", 0 },
	                                        { "ports", 'p', "NAME=PORT,...", NULL, "on which they are served", 0 },
	                                        { "serviceAccount", 's', "NAME", NULL, "as which they run; default", 0 },
	                                        VERB_FLAGS_END },
	.run = group_create,
};
const struct cox_cli_verb verb_workload_entry = { .path = "workload entry", .summary = "single virtual machines" };
const struct cox_cli_verb verb_workload_entry_configure = {
	.path = "workload entry configure",
	.summary = "write the files with which a machine joins: cluster.env, mesh.yaml, hosts, root-cert.pem, istio-token",
	.flags = (const struct cox_cli_flag[]){ { "file", 'f', "FILE", NULL, "the WorkloadGroup; else the cluster's, by --name and -n", 0 },
	                                        { "name", 0, "NAME", NULL, "of the group", 0 },
	                                        { "output", 'o', "DIR", NULL, "where the files go", 0 },
	                                        { "autoregister", 0, NULL, NULL, "the machine registers itself as one of the group", 0 },
	                                        { "clusterID", 0, "NAME", "Kubernetes", "the cluster's name", 0 },
	                                        { "ingressIP", 0, "IP", NULL, "where the machine reaches the control plane", 0 },
	                                        { "ingressService", 0, "NAME", NULL,
	                                          "the Service through which it does; istio-eastwestgateway", 0 },
	                                        { "internalIP", 0, "IP", NULL, "the machine's own address", 0 },
	                                        { "externalIP", 0, "IP", NULL, "its address from outside", 0 },
	                                        { "capture-dns", 0, NULL, "true", "the machine's questions for names go to its agent", 0 },
	                                        { "tokenDuration", 0, "N", "3600", "seconds that the token is good for", 0 },
	                                        { "revision", 'r', "NAME", NULL, "of the control plane", 0 },
	                                        VERB_FLAGS_END },
	.run = entry_configure,
};
