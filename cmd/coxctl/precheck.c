/* coxctl precheck: whether a control plane can be installed or upgraded here. */
#include "verbs.h"

#include "tool/gather.h"

#include <stdio.h>

/* What an installation creates. */
static const struct {
	const char *group, *resource;
	bool in_root_ns;
} needed[] = {
	{ "", "namespaces", false },
	{ "rbac.authorization.k8s.io", "clusterroles", false },
	{ "rbac.authorization.k8s.io", "clusterrolebindings", false },
	{ "apiextensions.k8s.io", "customresourcedefinitions", false },
	{ "rbac.authorization.k8s.io", "roles", true },
	{ "", "serviceaccounts", true },
	{ "", "services", true },
	{ "apps", "deployments", true },
	{ "", "configmaps", true },
	{ "admissionregistration.k8s.io", "mutatingwebhookconfigurations", false },
	{ "admissionregistration.k8s.io", "validatingwebhookconfigurations", false },
};

struct check {
	struct cox_gather objects;
	struct cox_precheck facts;
	struct cox_str denied[COX_LEN(needed)];
	struct cox_buf out;
};

static enum cox_rc ask(struct check *k, struct cox_cli *cli, struct cox_cluster *c, struct cox_err *err)
{
	struct cox_gather_cluster how = { .root_ns = cox_cli_str(cli, "istioNamespace"), .revision = cox_cli_str(cli, "revision") };
	struct cox_json *version = NULL;
	COX_TRY(cox_cluster_call(c, "GET", COX_STR("/version"), NULL, &k->objects.arena, &version, err));
	k->facts.kubernetes = cox_json_str_at(version, "gitVersion");
	for (size_t i = 0; i < COX_LEN(needed); i++) {
		bool may = false;
		COX_TRY(cox_cluster_may(c, "create", cox_str_of(needed[i].group), cox_str_of(needed[i].resource),
		                        needed[i].in_root_ns ? how.root_ns : COX_STR(""), &may, err));
		if (!may)
			k->denied[k->facts.denied_n++] = cox_str_of(needed[i].resource);
	}
	k->facts.denied = k->denied;
	return cox_gather_cluster(&k->objects, c, &how, err);
}

static int tell(struct check *k, struct cox_cli *cli, enum cox_analyze_level show_at)
{
	struct cox_arena *arena = &k->objects.arena;
	struct cox_analyze_options o = { .docs = k->objects.docs.p, .doc_n = k->objects.docs.n, .precheck = &k->facts };
	struct cox_analyze_result result;
	struct cox_json *list = cox_json_new_array(arena);
	bool is_log = cox_str_eq_cstr(cox_cli_str(cli, "output"), "log"), is_safe = true;
	size_t shown = 0;
	if (cox_cli_has(cli, "namespace"))
		o.only_ns = cox_cli_str(cli, "namespace");
	cox_analyze(&o, arena, &result);
	for (size_t i = 0; i < result.n; i++) {
		enum cox_analyze_level level = cox_analyze_code_info(result.items[i].code)->level;
		is_safe &= level > COX_AN_WARNING;
		if (level > show_at)
			continue;
		shown++;
		(void)cox_json_push(arena, list, cox_analyze_to_json(&result.items[i], false, arena));
		if (is_log) {
			cox_analyze_write_line(&result.items[i], cox_cli_has_color(cli), false, &k->out);
			cox_buf_append_char(&k->out, '\n');
		}
	}
	int status = is_log ? cox_cli_print(cli, &k->out) : verb_print_tree(cli, list);
	if (shown == 0)
		(void)fputs("\u2714 No issues found when checking the cluster: the control plane is safe to install or upgrade.\n", stderr);
	if (!is_safe)
		(void)fputs("Error: Issues found when checking the cluster: the control plane may not be safe to install or upgrade.\n",
		            stderr);
	return status ? status : !is_safe;
}

static int precheck(struct cox_cli *cli)
{
	struct cox_cluster_spec spec = verb_cluster(cli);
	struct check k = { .facts = { .from_version = cox_cli_str(cli, "from-version"),
		                      .no_control_plane = cox_cli_is(cli, "skip-controlplane") } };
	struct cox_cluster *c = NULL;
	struct cox_err err = { 0 };
	enum cox_analyze_level show_at;
	if (!cox_analyze_level_parse(cox_cli_str(cli, "output-threshold"), &show_at))
		return cox_cli_wrong(cli, "--output-threshold: Info, Warning and Error are levels");
	if (k.facts.from_version.n && !cox_str_has_prefix(k.facts.from_version, COX_STR("1.")))
		return cox_cli_wrong(cli, "--from-version: write it as 1.21");
	enum cox_rc rc = cox_cluster_open(&spec, &c, &err);
	if (rc == COX_OK)
		rc = ask(&k, cli, c, &err);
	cox_cluster_close(&c);
	int status = rc == COX_OK ? tell(&k, cli, show_at) : cox_cli_fail(cli, &err);
	cox_buf_fini(&k.out);
	cox_gather_fini(&k.objects);
	return status;
}

const struct cox_cli_verb verb_precheck = {
	.path = "precheck",
	.summary = "whether the control plane can be installed or upgraded here",
	.text =
	    "Asks the cluster for its version, your permissions, the CRDs of the Gateway API, annotations that are not for production, and\n"
	    "what changed since --from-version. Exit status 1: something is a warning or an error.\n",
	.flags = (const struct cox_cli_flag[]){ { "from-version", 'f', "VERSION", NULL, "what changed since this release, as 1.21", 0 },
	                                        VERB_FLAG_OUTPUT("log|json|yaml", "log"),
	                                        { "output-threshold", 0, "LEVEL", "Info", "messages from this level on are shown", 0 },
	                                        { "revision", 'r', "REVISION", "default", "of the control plane", 0 },
	                                        { "skip-controlplane", 0, NULL, NULL, "--from-version only", 0 },
	                                        VERB_FLAGS_END },
	.examples = "  coxctl precheck\n"
	            "  coxctl x precheck --from-version 1.21\n",
	.run = precheck,
};
