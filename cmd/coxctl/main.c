/* coxctl - the command line of the mesh. Verbs are rows of one table; what they do stands in lib/tool. */
#include "verbs.h"

#include "base/base.h"

#include <stdio.h>
#include <string.h>

static int version(int argc, char **argv)
{
	(void)argc, (void)argv;
	puts(COX_VERSION);
	return 0;
}

static const struct verb {
	const char *name, *help;
	int (*run)(int argc, char **argv);
} verbs[] = {
	{ "cert", "issued certificates: cert list; cert revoke --serial|--identity|--namespace; cert rotate-root", coxctl_cert },
	{ "crd", "write the CustomResourceDefinitions: crd generate --out DIR", coxctl_crd },
	{ "diff", "what a change would do, before it is applied: diff -f CHANGE.yaml --base DIR", coxctl_diff },
	{ "explain", "where a request goes and why: explain route --from POD.NAMESPACE --to URL -f DIR", coxctl_explain },
	{ "kube-inject", "sidecars into YAML, as the webhook does: kube-inject -f FILE", coxctl_kube_inject },
	{ "render", "what a proxy would get: render -f DIR --proxy POD.NAMESPACE [--type cds] [-o yaml]", coxctl_render },
	{ "version", "print the version", version },
	{ "workload", "virtual machines: workload group create; workload entry configure", coxctl_workload },
};

static int usage(FILE *to)
{
	fputs("usage: coxctl VERB [ARGUMENTS]\n\n", to);
	for (size_t i = 0; i < COX_LEN(verbs); i++)
		fprintf(to, "  %-16s %s\n", verbs[i].name, verbs[i].help);
	return to == stdout ? 0 : 2;
}

bool coxctl_wants_help(int argc, char **argv)
{
	for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
		if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
			return true;
	return false;
}

int main(int argc, char **argv)
{
	/* "coxctl x VERB" as in istioctl: experimental verbs are verbs. */
	if (argc > 1 && (strcmp(argv[1], "x") == 0 || strcmp(argv[1], "experimental") == 0))
		argc--, argv++;
	if (argc < 2)
		return usage(stderr);
	if (strcmp(argv[1], "help") == 0 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)
		return usage(stdout);
	for (size_t i = 0; i < COX_LEN(verbs); i++)
		if (strcmp(argv[1], verbs[i].name) == 0)
			return verbs[i].run(argc - 1, argv + 1);
	fprintf(stderr, "coxctl: there is no verb \"%s\"\n", argv[1]);
	return usage(stderr);
}
