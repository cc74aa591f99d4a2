/* coxctl workload: WorkloadGroups, and the files with which a virtual machine joins the mesh. */
#include "verbs.h"

#include "base/log.h"
#include "tool/vm.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

static int usage(FILE *to)
{
	fputs(
	    "usage: coxctl workload group create --name NAME -n NAMESPACE [-l KEY=VALUE,...] [-a KEY=VALUE,...] [-p NAME=PORT,...] [-s ACCOUNT]\n"
	    "       coxctl workload entry configure (-f FILE | --name NAME -n NAMESPACE) -o DIR [OPTIONS]\n"
	    "group create prints the WorkloadGroup; entry configure writes cluster.env, mesh.yaml, hosts, root-cert.pem and istio-token.\n"
	    "  --autoregister                  the machine registers itself as one of the group\n"
	    "  --clusterID Kubernetes          the cluster's name\n"
	    "  --ingressIP IP | --ingressService istio-eastwestgateway   how the machine reaches the control plane\n"
	    "  --internalIP IP, --externalIP IP                          the machine's own address\n"
	    "  --capture-dns=true, --tokenDuration 3600 (seconds)\n"
	    "  --kubeconfig FILE, -i istio-system, --revision NAME\n",
	    to);
	return to == stdout ? 0 : 2;
}

enum {
	AUTOREGISTER = 1000,
	CLUSTER_ID,
	INGRESS_IP,
	INGRESS_SERVICE,
	INTERNAL_IP,
	EXTERNAL_IP,
	CAPTURE_DNS,
	TOKEN_DURATION,
	KUBECONFIG,
	REVISION,
	NAME
};
static const struct option longs[] = {
	{ "name", required_argument, NULL, NAME },
	{ "namespace", required_argument, NULL, 'n' },
	{ "labels", required_argument, NULL, 'l' },
	{ "annotations", required_argument, NULL, 'a' },
	{ "ports", required_argument, NULL, 'p' },
	{ "serviceAccount", required_argument, NULL, 's' },
	{ "file", required_argument, NULL, 'f' },
	{ "output", required_argument, NULL, 'o' },
	{ "autoregister", no_argument, NULL, AUTOREGISTER },
	{ "clusterID", required_argument, NULL, CLUSTER_ID },
	{ "ingressIP", required_argument, NULL, INGRESS_IP },
	{ "ingressService", required_argument, NULL, INGRESS_SERVICE },
	{ "internalIP", required_argument, NULL, INTERNAL_IP },
	{ "externalIP", required_argument, NULL, EXTERNAL_IP },
	{ "capture-dns", optional_argument, NULL, CAPTURE_DNS },
	{ "tokenDuration", required_argument, NULL, TOKEN_DURATION },
	{ "kubeconfig", required_argument, NULL, KUBECONFIG },
	{ "istioNamespace", required_argument, NULL, 'i' },
	{ "revision", required_argument, NULL, REVISION },
	{ NULL, 0, NULL, 0 },
};

static bool options_parse(int argc, char **argv, struct cox_vm_group_options *g, struct cox_vm_options *o)
{
	for (int c; (c = getopt_long(argc, argv, "n:l:a:p:s:f:o:i:", longs, NULL)) != -1;)
		switch (c) {
		case NAME: g->name = o->name = cox_str_of(optarg); break;
		case 'n': g->ns = o->ns = cox_str_of(optarg); break;
		case 'l': g->labels = cox_str_of(optarg); break;
		case 'a': g->annotations = cox_str_of(optarg); break;
		case 'p': g->ports = cox_str_of(optarg); break;
		case 's': g->service_account = cox_str_of(optarg); break;
		case 'f': o->file = optarg; break;
		case 'o': o->out_dir = optarg; break;
		case 'i': o->istio_ns = cox_str_of(optarg); break;
		case AUTOREGISTER: o->registers = true; break;
		case CLUSTER_ID: o->cluster_id = cox_str_of(optarg); break;
		case INGRESS_IP: o->ingress_ip = cox_str_of(optarg); break;
		case INGRESS_SERVICE: o->ingress_service = cox_str_of(optarg); break;
		case INTERNAL_IP: o->internal_ip = cox_str_of(optarg); break;
		case EXTERNAL_IP: o->external_ip = cox_str_of(optarg); break;
		case CAPTURE_DNS: o->has_no_dns_capture = optarg && strcmp(optarg, "false") == 0; break;
		case TOKEN_DURATION:
			if (cox_str_to_i64(cox_str_of(optarg), &o->token_s) != COX_OK || o->token_s < 600)
				return false;
			break;
		case KUBECONFIG: o->cluster.kubeconfig = optarg; break;
		case REVISION: o->revision = cox_str_of(optarg); break;
		default: return false;
		}
	return optind == argc;
}

int coxctl_workload(int argc, char **argv)
{
	struct cox_vm_group_options g = { 0 };
	struct cox_vm_options o = { .istio_ns = COX_STR("istio-system"), .cluster_id = COX_STR("Kubernetes") };
	struct cox_buf out = { 0 };
	struct cox_err err = { 0 };
	char text[768];
	if (coxctl_wants_help(argc, argv))
		return usage(stdout);
	bool is_group = argc > 2 && strcmp(argv[1], "group") == 0 && strcmp(argv[2], "create") == 0;
	bool is_entry = argc > 2 && strcmp(argv[1], "entry") == 0 && strcmp(argv[2], "configure") == 0;
	if ((!is_group && !is_entry) || !options_parse(argc - 2, argv + 2, &g, &o))
		return usage(stderr);
	if (is_entry && (!o.out_dir || !(o.file || (o.name.n && o.ns.n))))
		return usage(stderr);
	(void)!cox_log_set_levels(COX_STR("default:warn"));
	enum cox_rc rc = is_group ? cox_tool_vm_group(&g, &out, &err) : cox_tool_vm_configure(&o, &out, &err);
	if (rc == COX_OK)
		(void)fwrite(out.p, 1, out.n, is_group ? stdout : stderr);
	else
		fprintf(stderr, "coxctl workload: %s\n", cox_err_describe(&err, text, sizeof(text)));
	cox_buf_fini(&out);
	return rc == COX_OK ? 0 : 1;
}
