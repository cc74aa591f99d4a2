/* coxctl - the command line of the mesh. Verbs are rows of one table; what they do stands in lib/tool. */
#include "verbs.h"

#include "base/log.h"
#include "codec/json.h"

#include <stdio.h>

const char verb_version_text[] = COX_VERSION;

/* By name; a group before its members. */
static const struct cox_cli_verb *const verbs[] = {
	&verb_admin,
	&verb_admin_log,
	&verb_analyze,
	&verb_authz,
	&verb_authz_check,
	&verb_bug_report,
	&verb_cert,
	&verb_cert_list,
	&verb_cert_revoke,
	&verb_cert_rotate_root,
	&verb_cert_unrevoke,
	&verb_check_inject,
	&cox_cli_verb_completion,
	&verb_crd,
	&verb_crd_generate,
	&verb_create_remote_secret,
	&verb_dashboard,
	&verb_describe,
	&verb_describe_pod,
	&verb_describe_service,
	&verb_diff,
	&verb_explain,
	&verb_explain_push,
	&verb_explain_route,
	&verb_install,
	&verb_injector,
	&verb_injector_list,
	&verb_internal_debug,
	&verb_kube_inject,
	&verb_manifest,
	&verb_manifest_generate,
	&verb_manifest_install,
	&verb_manifest_translate,
	&verb_profile,
	&verb_profile_dump,
	&verb_profile_list,
	&verb_precheck,
	&verb_proxy_config,
	&verb_proxy_config_all,
	&verb_proxy_config_bootstrap,
	&verb_proxy_config_cluster,
	&verb_proxy_config_ecds,
	&verb_proxy_config_eds,
	&verb_proxy_config_endpoint,
	&verb_proxy_config_listener,
	&verb_proxy_config_log,
	&verb_proxy_config_rootca_compare,
	&verb_proxy_config_route,
	&verb_proxy_config_secret,
	&verb_proxy_status,
	&verb_remote_clusters,
	&verb_render,
	&verb_tag,
	&verb_tag_generate,
	&verb_tag_list,
	&verb_tag_remove,
	&verb_tag_set,
	&verb_uninstall,
	&verb_upgrade,
	&verb_validate,
	&verb_version,
	&verb_wait,
	&verb_workload,
	&verb_workload_entry,
	&verb_workload_entry_configure,
	&verb_workload_group,
	&verb_workload_group_create,
	NULL,
};

static const struct cox_cli_flag globals[] = {
	{ "kubeconfig", 'c', "FILE", NULL, "the cluster; without it: $KUBECONFIG, ~/.kube/config, then the pod's service account", 0 },
	{ "context", 0, "NAME", NULL, "context of the kubeconfig", 0 },
	{ "namespace", 'n', "NAMESPACE", NULL, "of what is named without one; without it: the context's", 0 },
	{ "istioNamespace", 'i', "NAMESPACE", "istio-system", "of the control plane", 0 },
	{ "kubeclient-timeout", 0, "DURATION", "30s", "for one answer of the kube-apiserver", 0 },
	{ "color", 0, "auto|always|never", "auto", "colours; auto: on a terminal, and without NO_COLOR", 0 },
	{ "vklog", 0, "LEVEL", NULL, "", COX_CLI_IGNORED | COX_CLI_HIDDEN },
	VERB_FLAGS_END,
};

struct cox_cluster_spec verb_cluster(const struct cox_cli *cli)
{
	return (struct cox_cluster_spec){ .kubeconfig = cox_cli_get(cli, "kubeconfig"),
		                          .context = cox_cli_get(cli, "context"),
		                          .timeout_ms = cox_cli_ms(cli, "kubeclient-timeout") };
}

int verb_print_tree(const struct cox_cli *cli, const struct cox_json *tree)
{
	struct cox_buf out = { 0 };
	if (strcmp(cox_cli_get(cli, "output"), "json") == 0)
		cox_json_write(&out, tree, 4, false);
	else
		cox_json_write_yaml(&out, tree);
	if (out.n && out.p[out.n - 1] != '\n')
		cox_buf_append_char(&out, '\n');
	int status = cox_cli_print(cli, &out);
	cox_buf_fini(&out);
	return status;
}

struct cox_str *verb_strs(const struct cox_cli *cli, const char *flag, size_t *n)
{
	const char *const *all;
	*n = cox_cli_all(cli, flag, &all);
	struct cox_str *out = cox_calloc(*n + 1, sizeof(*out));
	for (size_t i = 0; i < *n; i++)
		out[i] = cox_str_of(all[i]);
	return out;
}

int main(int argc, char **argv)
{
	static const char *const experimental[] = { "experimental", "exp", "x", NULL }; /* experimental verbs of istioctl are verbs */
	static const struct cox_cli_program coxctl = {
		.name = "coxctl",
		.summary = "the command line of the mesh",
		.text =
		    "Looks into a mesh, says what a change would do and why a request goes where it goes, and installs the control plane.\n"
		    "Verbs and flags have istioctl's names where they do the same; \"coxctl x VERB\" is \"coxctl VERB\".\n",
		.version = COX_VERSION,
		.verbs = verbs,
		.globals = globals,
		.prefixes = experimental,
		.environment = "KUBECONFIG\tkubeconfig files, separated by ':'\n"
		               "NO_COLOR\tset to anything: no colours, as with --color=never\n",
	};
	(void)!cox_log_set_levels(COX_STR("default:warn"));
	return cox_cli_main(&coxctl, argc, argv);
}
