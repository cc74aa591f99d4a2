/* coxctl authz check: which AuthorizationPolicies an Envoy applies. */
#include "proxy.h"

#include "tool/authz.h"

static int check(struct cox_cli *cli)
{
	struct proxy p = { 0 };
	struct cox_json *dump = NULL;
	struct cox_buf out = { 0 };
	struct cox_err err = { 0 };
	if (!cox_cli_arg_count(cli) && !cox_cli_has(cli, "file") && !cox_cli_has(cli, "proxy-admin"))
		return cox_cli_wrong(cli, "a pod, --file or --proxy-admin is needed");
	enum cox_rc rc = proxy_json(cli, cox_cli_arg(cli, 0), "/config_dump", &p, &dump, &err);
	if (rc == COX_OK)
		rc = cox_authz_table(dump, &out, &err);
	int status = rc == COX_OK ? cox_cli_print(cli, &out) : cox_cli_fail(cli, &err);
	cox_buf_fini(&out);
	proxy_close(&p);
	return status;
}

const struct cox_cli_verb verb_authz = { .path = "authz", .summary = "authorization policies" };
const struct cox_cli_verb verb_authz_check = {
	.path = "authz check",
	.args = "[[TYPE/]NAME[.NAMESPACE]]",
	.arg_max = 1,
	.summary = "which AuthorizationPolicies an Envoy applies, and how many of their rules",
	.flags = (const struct cox_cli_flag[]){ VERB_FLAG_FILE("a saved config dump of Envoy instead of a live one"), PROXY_FLAGS,
	                                        VERB_FLAGS_END },
	.run = check,
};
