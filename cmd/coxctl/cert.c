/* coxctl cert: list and revoke workload certificates. */
#include "verbs.h"

#include "tool/cert.h"

static int cert(struct cox_cli *cli, struct cox_cert_options *o)
{
	struct cox_buf out = { 0 };
	struct cox_err err = { 0 };
	o->state_dir = cox_cli_get(cli, "caDir");
	o->cluster = verb_cluster(cli);
	o->ns = cox_cli_str(cli, "istioNamespace");
	if (cox_cli_has(cli, "kubeconfig") && o->state_dir)
		return cox_cli_wrong(cli, "--kubeconfig and --caDir exclude each other");
	enum cox_rc rc = cox_tool_cert(o, &out, &err);
	int status = rc == COX_OK ? cox_cli_print(cli, &out) : cox_cli_fail(cli, &err);
	cox_buf_fini(&out);
	return status;
}

static int list(struct cox_cli *cli)
{
	struct cox_cert_options o = { .is_list = true,
		                      .as_json = cox_cli_has(cli, "output"),
		                      .identity = cox_cli_str(cli, "identity"),
		                      .only_ns = cox_cli_str(cli, "namespace") };
	return cert(cli, &o);
}

static int revoke_or_not(struct cox_cli *cli, bool is_undone, struct cox_str reason)
{
	struct cox_cert_options o = { .revoke = { .serial = cox_cli_str(cli, "serial"),
		                                  .identity = cox_cli_str(cli, "identity"),
		                                  .ns = cox_cli_str(cli, "namespace"),
		                                  .reason = reason,
		                                  .is_undone = is_undone } };
	if (!o.revoke.serial.n && !o.revoke.identity.n && !o.revoke.ns.n)
		return cox_cli_wrong(cli, "one of --serial, --identity, --namespace is needed");
	return cert(cli, &o);
}

static int revoke(struct cox_cli *cli) { return revoke_or_not(cli, false, cox_cli_str(cli, "reason")); }
static int unrevoke(struct cox_cli *cli) { return revoke_or_not(cli, true, COX_STR("")); }

static int rotate_root(struct cox_cli *cli)
{
	struct cox_cert_options o = { .is_rotate = true };
	return cert(cli, &o);
}

#define STATE                                                                                                 \
	{                                                                                                     \
		"caDir", 0, "DIR", NULL, "the state directory of a control plane without a kube-apiserver", 0 \
	}
#define IDENTITY                                                                         \
	{                                                                                \
		"identity", 0, "SPIFFE-ID", NULL, "all certificates of this identity", 0 \
	}
#define SERIAL                                                  \
	{                                                       \
		"serial", 0, "HEX", NULL, "this certificate", 0 \
	}
#define NAMESPACE                                                                            \
	{                                                                                    \
		"namespace", 'n', "NAMESPACE", NULL, "all certificates of this namespace", 0 \
	}

const struct cox_cli_verb verb_cert = {
	.path = "cert",
	.summary = "issued certificates: list and revoke them, rotate the root",
	.text = "They work on what all replicas of the control plane share: ConfigMaps of its namespace, or its state directory.\n",
};
const struct cox_cli_verb verb_cert_list = {
	.path = "cert list",
	.summary = "the certificates that have been issued and not ended",
	.flags = (const struct cox_cli_flag[]){ IDENTITY, NAMESPACE, VERB_FLAG_OUTPUT("json", NULL), STATE, VERB_FLAGS_END },
	.run = list,
};
const struct cox_cli_verb verb_cert_revoke = {
	.path = "cert revoke",
	.summary = "revoke a certificate, an identity, or a namespace",
	.text = "Revoking an identity or namespace revokes all its certificates and refuses new ones until it is taken back.\n",
	.flags =
	    (const struct cox_cli_flag[]){
	        SERIAL, IDENTITY, NAMESPACE, { "reason", 0, "TEXT", NULL, "kept with it", 0 }, STATE, VERB_FLAGS_END },
	.run = revoke,
};
const struct cox_cli_verb verb_cert_unrevoke = {
	.path = "cert unrevoke",
	.summary = "take a revocation back",
	.flags = (const struct cox_cli_flag[]){ SERIAL, IDENTITY, NAMESPACE, STATE, VERB_FLAGS_END },
	.run = unrevoke,
};
const struct cox_cli_verb verb_cert_rotate_root = {
	.path = "cert rotate-root",
	.summary = "ask for a new root",
	.flags = (const struct cox_cli_flag[]){ STATE, VERB_FLAGS_END },
	.run = rotate_root,
};
