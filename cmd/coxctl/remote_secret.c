/* coxctl create-remote-secret: a Secret with which another cluster's control plane reads this cluster. */
#include "proxy.h"

#include "tool/remote_secret.h"

#include <stdio.h>

static int create(struct cox_cli *cli)
{
	struct cox_remote_secret_options o = { .cluster = verb_cluster(cli),
		                               .name = cox_cli_str(cli, "name"),
		                               .ns = cox_cli_has(cli, "namespace") ? cox_cli_str(cli, "namespace")
		                                                                   : cox_cli_str(cli, "istioNamespace"),
		                               .service_account = cox_cli_str(cli, "service-account"),
		                               .secret_name = cox_cli_str(cli, "secret-name"),
		                               .server = cox_cli_str(cli, "server"),
		                               .tls_server_name = cox_cli_str(cli, "tls-server-name"),
		                               .is_config = cox_str_eq(cox_cli_str(cli, "type"), COX_STR("config")),
		                               .creates_account = cox_cli_is(cli, "create-service-account") };
	struct cox_buf out = { 0 }, notes = { 0 };
	struct cox_err err = { 0 };
	enum cox_rc rc = cox_remote_secret_create(&o, &out, &notes, &err);
	if (notes.n)
		(void)fwrite(notes.p, 1, notes.n, stderr);
	int status = rc == COX_OK ? cox_cli_print(cli, &out) : cox_cli_fail(cli, &err);
	if (out.cap)
		explicit_bzero(out.p, out.cap);
	cox_buf_fini(&out);
	cox_buf_fini(&notes);
	return status;
}

const struct cox_cli_verb verb_create_remote_secret = {
	.path = "create-remote-secret",
	.summary = "print a Secret with which another cluster's control plane reads this cluster",
	.text = "It holds a token: keep the output secret. The service account and its rights are made where they are not there.\n",
	.examples = "  coxctl create-remote-secret -c east.yaml --name east | kubectl --kubeconfig west.yaml apply -f -\n",
	.flags =
	    (const struct cox_cli_flag[]){
	        { "name", 0, "CLUSTER", NULL, "name of this cluster; else the UID of namespace kube-system", 0 },
	        { "type", 0, "remote|config", "remote", "what it is for", 0 },
	        { "service-account", 0, "NAME", NULL, "whose token; istio-reader-service-account, or istiod with --type config", 0 },
	        { "secret-name", 0, "NAME", NULL, "the account's secret to use", 0 },
	        { "server", 0, "URL", NULL, "of the kube-apiserver as the other cluster reaches it", 0 },
	        { "tls-server-name", 0, "NAME", NULL, "which its certificate is for", 0 },
	        { "manifests", 'd', "DIR", NULL, "", COX_CLI_IGNORED },
	        { "create-service-account", 0, NULL, "true", "where it is not there", 0 },
	        VERB_FLAGS_END },
	.run = create,
};
