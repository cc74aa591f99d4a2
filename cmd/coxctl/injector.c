/* coxctl check-inject and injector list: which injectors take which pods. */
#include "proxy.h"

#include "tool/hooks.h"
#include "tool/pod.h"

#include <stdio.h>

#define HOOKS COX_CLUSTER_KIND_WIDE("admissionregistration.k8s.io", "v1", "mutatingwebhookconfigurations", "MutatingWebhookConfiguration")
#define NAMESPACES COX_CLUSTER_KIND_WIDE("", "v1", "namespaces", "Namespace")
#define NONE ((struct cox_str){ 0 })

/* "a=b,c=d" as labels. */
static struct cox_json *labels_parse(struct cox_str text, struct cox_arena *a)
{
	struct cox_json *out = cox_json_new_object(a);
	struct cox_str one, key;
	while (cox_str_next(&text, ',', &one))
		if (cox_str_next(&one, '=', &key))
			cox_json_set(a, out, key, cox_json_new_str(a, one));
	return out;
}

static enum cox_rc labels_get(struct cox_cli *cli, struct cox_cluster *c, struct cox_str ns, struct cox_arena *a,
                              const struct cox_json **pod_labels, const struct cox_json **ns_labels, struct cox_err *err)
{
	struct cox_json *pod = NULL, *space = NULL;
	if (cox_cli_arg_count(cli)) {
		struct cox_pod_name name = cox_pod_name_parse(cox_str_of(cox_cli_arg(cli, 0)), ns);
		COX_TRY(cox_pod_find(c, &name, a, &pod, err));
		ns = cox_json_str_at(pod, "metadata.namespace");
		*pod_labels = cox_json_at(pod, "metadata.labels");
	} else {
		*pod_labels = labels_parse(cox_cli_str(cli, "labels"), a);
	}
	COX_TRY(cox_cluster_get(c, NAMESPACES, NONE, ns, a, &space, err));
	*ns_labels = cox_json_at(space, "metadata.labels");
	return COX_OK;
}

static int check_inject(struct cox_cli *cli)
{
	struct cox_cluster *c = NULL;
	struct cox_arena a = { 0 };
	struct cox_str ns;
	struct cox_json *hooks = NULL;
	const struct cox_json *pod_labels = NULL, *ns_labels = NULL;
	struct cox_buf out = { 0 };
	struct cox_err err = { 0 };
	if ((cox_cli_arg_count(cli) > 0) == cox_cli_has(cli, "labels"))
		return cox_cli_wrong(cli, "one of a pod and --labels is needed");
	enum cox_rc rc = verb_cluster_open(cli, &c, &ns, &err);
	if (rc == COX_OK)
		rc = labels_get(cli, c, ns, &a, &pod_labels, &ns_labels, &err);
	if (rc == COX_OK)
		rc = cox_cluster_list(c, HOOKS, NONE, NONE, NONE, &a, &hooks, &err);
	size_t n = rc == COX_OK ? cox_hooks_check(hooks, pod_labels, ns_labels, cox_cli_has_color(cli), &out) : 0;
	int status = rc == COX_OK ? cox_cli_print(cli, &out) : cox_cli_fail(cli, &err);
	if (status == 0 && n != 1)
		status = 1;
	cox_buf_fini(&out);
	cox_arena_fini(&a);
	cox_cluster_close(&c);
	return status;
}

static int list(struct cox_cli *cli)
{
	struct cox_cluster *c = NULL;
	struct cox_arena a = { 0 };
	struct cox_json *hooks = NULL, *spaces = NULL, *pods = NULL, *configs = NULL;
	struct cox_buf out = { 0 };
	struct cox_err err = { 0 };
	struct cox_str only = cox_cli_str(cli, "namespace");
	enum cox_rc rc = verb_cluster_open(cli, &c, NULL, &err);
	if (rc == COX_OK)
		rc = cox_cluster_list(c, NAMESPACES, NONE, NONE, NONE, &a, &spaces, &err);
	if (rc == COX_OK)
		rc = cox_cluster_list(c, HOOKS, NONE, COX_STR("app=sidecar-injector"), NONE, &a, &hooks, &err);
	if (rc == COX_OK)
		rc = cox_cluster_list(c, COX_CLUSTER_KIND("", "v1", "pods", "Pod"), only, NONE, NONE, &a, &pods, &err);
	if (rc == COX_OK)
		rc = cox_cluster_list(c, COX_CLUSTER_KIND("", "v1", "configmaps", "ConfigMap"), NONE, COX_STR("istio.io/rev"), NONE, &a,
		                      &configs, &err);
	if (rc == COX_OK)
		cox_hooks_list(spaces, hooks, pods, configs, cox_cli_str(cli, "istioNamespace"), only, &out);
	int status = rc == COX_OK ? cox_cli_print(cli, &out) : cox_cli_fail(cli, &err);
	cox_buf_fini(&out);
	cox_arena_fini(&a);
	cox_cluster_close(&c);
	return status;
}

const struct cox_cli_verb verb_check_inject = {
	.path = "check-inject",
	.args = "[[TYPE/]NAME[.NAMESPACE]]",
	.arg_max = 1,
	.summary = "does a pod get a sidecar, from which injector, and why or why not",
	.text = "Exit status 1: no injector takes it, or more than one.\n",
	.examples = "  coxctl check-inject deploy/web -n shop\n"
	            "  coxctl check-inject -n shop -l app=web,version=v1\n",
	.flags =
	    (const struct cox_cli_flag[]){ { "labels", 'l', "KEY=VALUE,...", NULL, "of a pod that is not there yet", 0 }, VERB_FLAGS_END },
	.run = check_inject,
};
const struct cox_cli_verb verb_injector = { .path = "injector", .summary = "sidecar injectors" };
const struct cox_cli_verb verb_injector_list = {
	.path = "injector list",
	.summary = "injectors with their namespaces and images, and pods that need a restart",
	.run = list,
};
