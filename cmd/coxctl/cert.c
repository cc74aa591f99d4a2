/* coxctl cert: list and revoke workload certificates. */
#include "verbs.h"

#include "base/log.h"
#include "tool/cert.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

static int usage(FILE *to)
{
	fputs("usage: coxctl cert list [--identity SPIFFE-ID | --namespace NS] [-o json]\n"
	      "       coxctl cert revoke --serial HEX | --identity SPIFFE-ID | --namespace NS [--reason TEXT]\n"
	      "       coxctl cert unrevoke --serial HEX | --identity SPIFFE-ID | --namespace NS\n"
	      "       coxctl cert rotate-root\n"
	      "Revoking an identity or namespace revokes all its certificates and refuses new ones until it is taken back.\n"
	      "  --kubeconfig FILE, -i istio-system   the cluster, and the control plane's namespace\n"
	      "  --caDir DIR                          the state directory of a control plane without a kube-apiserver\n",
	      to);
	return to == stdout ? 0 : 2;
}

static const struct option longs[] = {
	{ "serial", required_argument, NULL, 's' },
	{ "identity", required_argument, NULL, 'u' },
	{ "namespace", required_argument, NULL, 'n' },
	{ "reason", required_argument, NULL, 'r' },
	{ "kubeconfig", required_argument, NULL, 'k' },
	{ "caDir", required_argument, NULL, 'd' },
	{ "output", required_argument, NULL, 'o' },
	{ "istioNamespace", required_argument, NULL, 'i' },
	{ NULL, 0, NULL, 0 },
};

static bool options_parse(int argc, char **argv, struct cox_cert_options *o)
{
	for (int c; (c = getopt_long(argc, argv, "n:o:i:", longs, NULL)) != -1;)
		switch (c) {
		case 's': o->revoke.serial = cox_str_of(optarg); break;
		case 'u': o->revoke.identity = o->identity = cox_str_of(optarg); break;
		case 'n': o->revoke.ns = o->only_ns = cox_str_of(optarg); break;
		case 'r': o->revoke.reason = cox_str_of(optarg); break;
		case 'k': o->cluster.kubeconfig = optarg; break;
		case 'd': o->state_dir = optarg; break;
		case 'i': o->ns = cox_str_of(optarg); break;
		case 'o':
			if (strcmp(optarg, "json") != 0)
				return false;
			o->as_json = true;
			break;
		default: return false;
		}
	return optind == argc && !(o->cluster.kubeconfig && o->state_dir);
}

int coxctl_cert(int argc, char **argv)
{
	struct cox_cert_options o = { .ns = COX_STR("istio-system") };
	struct cox_buf out = { 0 };
	struct cox_err err = { 0 };
	char text[768];
	if (coxctl_wants_help(argc, argv))
		return usage(stdout);
	if (argc < 2)
		return usage(stderr);
	o.is_list = strcmp(argv[1], "list") == 0;
	o.revoke.is_undone = strcmp(argv[1], "unrevoke") == 0;
	o.is_rotate = strcmp(argv[1], "rotate-root") == 0;
	if (!o.is_list && !o.is_rotate && !o.revoke.is_undone && strcmp(argv[1], "revoke") != 0)
		return usage(stderr);
	if (!options_parse(argc - 1, argv + 1, &o))
		return usage(stderr);
	(void)!cox_log_set_levels(COX_STR("default:warn"));
	enum cox_rc rc = cox_tool_cert(&o, &out, &err);
	if (rc == COX_OK)
		(void)fwrite(out.p, 1, out.n, stdout);
	else
		fprintf(stderr, "coxctl cert: %s\n", cox_err_describe(&err, text, sizeof(text)));
	cox_buf_fini(&out);
	return rc == COX_OK ? 0 : 1;
}
