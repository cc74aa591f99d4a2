/* coxctl render: what a proxy would get, offline. */
#include "verbs.h"

#include "tool/render.h"

#include <stdio.h>
#include <strings.h>

static bool type_parse(const char *text, enum cox_type *out)
{
	for (int t = 0; t < COX_TYPE_COUNT; t++)
		if (strcasecmp(cox_type_metric((enum cox_type)t), text) == 0) {
			*out = (enum cox_type)t;
			return true;
		}
	return false;
}

static int render(struct cox_cli *cli)
{
	struct cox_render_options o = { .path = cox_cli_get(cli, "filename"),
		                        .proxy = cox_cli_str(cli, "proxy"),
		                        .node_file = cox_cli_get(cli, "node"),
		                        .only = COX_TYPE_COUNT,
		                        .is_router = cox_cli_is(cli, "router"),
		                        .no_sds = cox_cli_is(cli, "no-sds"),
		                        .has_sessions = cox_cli_is(cli, "persistent-sessions"),
		                        .has_mcs_hosts = cox_cli_is(cli, "mcs-hosts"),
		                        .is_upstream = cox_str_eq(cox_cli_str(cli, "class"), COX_STR("upstream")) };
	struct cox_buf out = { 0 }, notes = { 0 };
	struct cox_err err = { 0 };
	o.format = cox_str_eq(cox_cli_str(cli, "output"), COX_STR("yaml")) ? COX_RENDER_YAML : COX_RENDER_JSON;
	if (!o.path || (!o.proxy.n && !o.node_file))
		return cox_cli_wrong(cli, "-f and one of --proxy, --node are needed");
	if (cox_cli_has(cli, "type") && !type_parse(cox_cli_get(cli, "type"), &o.only))
		return cox_cli_wrong(cli, "--type: \"%s\" is no type of resource", cox_cli_get(cli, "type"));
	if (cox_cli_has(cli, "compliance") && !cox_compliance_parse(cox_cli_str(cli, "compliance"), &o.compliance))
		return cox_cli_wrong(cli, "--compliance: \"%s\" is no policy", cox_cli_get(cli, "compliance"));
	enum cox_rc rc = cox_tool_render(&o, &out, &notes, &err);
	if (notes.n > 0)
		(void)fwrite(notes.p, 1, notes.n, stderr);
	int status = rc == COX_OK ? cox_cli_print(cli, &out) : cox_cli_fail(cli, &err);
	cox_buf_fini(&out);
	cox_buf_fini(&notes);
	return status;
}

const struct cox_cli_verb verb_render = {
	.path = "render",
	.summary = "what a proxy would get, from files",
	.flags = (const struct cox_cli_flag[]){ { "filename", 'f', "DIR|FILE", NULL, "objects as YAML", 0 },
	                                        { "proxy", 0, "POD.NAMESPACE", NULL, "which proxy", 0 },
	                                        { "node", 0, "FILE", NULL, "a node message as JSON, instead of what the Pod says", 0 },
	                                        { "type", 0, "TYPE", NULL, "only these resources: cds, eds, lds, rds, sds, ecds, nds", 0 },
	                                        VERB_FLAG_OUTPUT("json|yaml", "json"),
	                                        { "class", 0, "istio|upstream", "istio", "which Envoy", 0 },
	                                        { "router", 0, NULL, NULL, "it is a gateway", 0 },
	                                        { "no-sds", 0, NULL, NULL, "no certificates: a lab without TLS", 0 },
	                                        { "compliance", 0, "fips-140-2|fips-140-3|pqc", NULL, "the mesh's policy for TLS", 0 },
	                                        { "persistent-sessions", 0, NULL, NULL,
	                                          "as with PILOT_ENABLE_PERSISTENT_SESSION_FILTER=true", 0 },
	                                        { "mcs-hosts", 0, NULL, NULL, "as with ENABLE_MCS_HOST=true", 0 },
	                                        VERB_FLAGS_END },
	.examples = "  coxctl render -f DIR --proxy web-0.shop --type cds -o yaml\n",
	.run = render,
};
