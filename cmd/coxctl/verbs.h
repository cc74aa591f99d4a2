/*
 * verbs - what coxctl can do: one `struct cox_cli_verb` a verb, one file a verb or group of verbs; main.c lists them.
 */
#ifndef COX_COXCTL_VERBS_H
#define COX_COXCTL_VERBS_H

#include "tool/cli.h"
#include "tool/cluster.h"

/* Of every verb: main.c. */
#define VERB_FLAG_FILE(help)                       \
	{                                          \
		"file", 'f', "FILE", NULL, help, 0 \
	}
#define VERB_FLAG_OUTPUT(choices, fallback)                              \
	{                                                                \
		"output", 'o', choices, fallback, "how it is written", 0 \
	}
#define VERB_FLAGS_END       \
	{                    \
		.name = NULL \
	}

/* The cluster that --kubeconfig, --context and --kubeclient-timeout say. */
struct cox_cluster_spec verb_cluster(const struct cox_cli *cli);
/* Writes `tree` to standard output as -o says ("json", else YAML); returns 0, or 1. */
int verb_print_tree(const struct cox_cli *cli, const struct cox_json *tree);
/* All values of a flag that repeats, as one heap block (cox_free()). */
struct cox_str *verb_strs(const struct cox_cli *cli, const char *flag, size_t *n);

/* Of this program. */
extern const char verb_version_text[];

extern const struct cox_cli_verb verb_admin, verb_admin_log;
extern const struct cox_cli_verb verb_authz, verb_authz_check;
extern const struct cox_cli_verb verb_analyze, verb_precheck;
extern const struct cox_cli_verb verb_bug_report;
extern const struct cox_cli_verb verb_cert, verb_cert_list, verb_cert_revoke, verb_cert_unrevoke, verb_cert_rotate_root;
extern const struct cox_cli_verb verb_check_inject;
extern const struct cox_cli_verb verb_crd, verb_crd_generate;
extern const struct cox_cli_verb verb_create_remote_secret;
extern const struct cox_cli_verb verb_dashboard;
extern const struct cox_cli_verb verb_describe, verb_describe_pod, verb_describe_service;
extern const struct cox_cli_verb verb_diff;
extern const struct cox_cli_verb verb_explain, verb_explain_push, verb_explain_route;
extern const struct cox_cli_verb verb_install, verb_uninstall, verb_upgrade;
extern const struct cox_cli_verb verb_kube_inject;
extern const struct cox_cli_verb verb_manifest, verb_manifest_generate, verb_manifest_install, verb_manifest_translate;
extern const struct cox_cli_verb verb_profile, verb_profile_dump, verb_profile_list;
extern const struct cox_cli_verb verb_proxy_config, verb_proxy_config_all, verb_proxy_config_bootstrap, verb_proxy_config_cluster,
    verb_proxy_config_ecds, verb_proxy_config_eds, verb_proxy_config_endpoint, verb_proxy_config_listener, verb_proxy_config_log,
    verb_proxy_config_rootca_compare, verb_proxy_config_route, verb_proxy_config_secret;
extern const struct cox_cli_verb verb_injector, verb_injector_list;
extern const struct cox_cli_verb verb_internal_debug;
extern const struct cox_cli_verb verb_proxy_status;
extern const struct cox_cli_verb verb_remote_clusters;
extern const struct cox_cli_verb verb_render;
extern const struct cox_cli_verb verb_tag, verb_tag_generate, verb_tag_list, verb_tag_remove, verb_tag_set;
extern const struct cox_cli_verb verb_version;
extern const struct cox_cli_verb verb_wait;
extern const struct cox_cli_verb verb_validate;
extern const struct cox_cli_verb verb_workload, verb_workload_entry, verb_workload_entry_configure, verb_workload_group,
    verb_workload_group_create;

#endif
