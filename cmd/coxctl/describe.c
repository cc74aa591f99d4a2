/* coxctl describe: what of the mesh's configuration is about a Pod or a Service. */
#include "proxy.h"

#include "tool/describe.h"
#include "tool/pod.h"

#include <stdio.h>

#define NONE ((struct cox_str){ 0 })

/* A kind that the cluster does not have, or that may not be read, is left out with a note. */
static const struct cox_json *list(struct cox_cluster *c, const struct cox_cluster_kind *kind, struct cox_str ns, struct cox_arena *a)
{
	struct cox_json *out = NULL;
	struct cox_err err = { 0 };
	char text[768];
	if (cox_cluster_list(c, kind, ns, NONE, NONE, a, &out, &err) == COX_OK)
		return out;
	if (err.rc != COX_ENOTFOUND)
		fprintf(stderr, "%s\n", cox_err_describe(&err, text, sizeof(text)));
	return NULL;
}

static void world_read(struct cox_cli *cli, struct cox_cluster *c, struct cox_str ns, struct cox_arena *a, struct cox_describe_world *out)
{
	*out = (struct cox_describe_world){
		.services = list(c, COX_CLUSTER_KIND("", "v1", "services", "Service"), ns, a),
		.destination_rules = list(c, COX_CLUSTER_KIND("networking.istio.io", "v1", "destinationrules", "DestinationRule"), NONE, a),
		.virtual_services = list(c, COX_CLUSTER_KIND("networking.istio.io", "v1", "virtualservices", "VirtualService"), NONE, a),
		.peer_authentications =
		    list(c, COX_CLUSTER_KIND("security.istio.io", "v1", "peerauthentications", "PeerAuthentication"), NONE, a),
		.authorization_policies =
		    list(c, COX_CLUSTER_KIND("security.istio.io", "v1", "authorizationpolicies", "AuthorizationPolicy"), NONE, a),
		.root_ns = cox_cli_str(cli, "istioNamespace"),
	};
}

static int describe(struct cox_cli *cli, bool is_service)
{
	struct cox_cluster *c = NULL;
	struct cox_arena a = { 0 };
	struct cox_str ns;
	struct cox_json *object = NULL;
	struct cox_describe_world world;
	struct cox_buf out = { 0 };
	struct cox_err err = { 0 };
	enum cox_rc rc = verb_cluster_open(cli, &c, &ns, &err);
	if (rc == COX_OK) {
		struct cox_pod_name name = cox_pod_name_parse(cox_str_of(cox_cli_arg(cli, 0)), ns);
		rc = is_service
		         ? cox_cluster_get(c, COX_CLUSTER_KIND("", "v1", "services", "Service"), name.ns, name.name, &a, &object, &err)
		         : cox_pod_find(c, &name, &a, &object, &err);
	}
	if (rc == COX_OK) {
		struct cox_str of = cox_json_str_at(object, "metadata.namespace");
		world_read(cli, c, of, &a, &world);
		if (is_service)
			cox_describe_service(object, list(c, COX_CLUSTER_KIND("", "v1", "pods", "Pod"), of, &a), &world, &out);
		else
			cox_describe_pod(object, &world, &out);
	}
	int status = rc == COX_OK ? cox_cli_print(cli, &out) : cox_cli_fail(cli, &err);
	cox_buf_fini(&out);
	cox_arena_fini(&a);
	cox_cluster_close(&c);
	return status;
}

static int describe_pod(struct cox_cli *cli) { return describe(cli, false); }
static int describe_service(struct cox_cli *cli) { return describe(cli, true); }

/* It tells what the objects say; no proxy is asked. */
#define FLAGS                                                                                                                           \
	(const struct cox_cli_flag[])                                                                                                   \
	{                                                                                                                               \
		{ "ignoreUnmeshed", 0, NULL, NULL, "", COX_CLI_IGNORED }, { "proxy-admin-port", 0, "PORT", NULL, "", COX_CLI_IGNORED }, \
		    VERB_FLAGS_END                                                                                                      \
	}

const struct cox_cli_verb verb_describe = { .path = "describe|des",
	                                    .summary = "what of the mesh's configuration is about a pod or a service" };
const struct cox_cli_verb verb_describe_pod = {
	.path = "describe|des pod|po",
	.args = "[TYPE/]NAME[.NAMESPACE]",
	.arg_min = 1,
	.arg_max = 1,
	.summary = "its services, their rules and routes, and the policies in force for it",
	.flags = FLAGS,
	.run = describe_pod,
};
const struct cox_cli_verb verb_describe_service = {
	.path = "describe|des service|svc",
	.args = "NAME[.NAMESPACE]",
	.arg_min = 1,
	.arg_max = 1,
	.summary = "its ports, rules and routes, and how many of its pods are in the mesh",
	.flags = FLAGS,
	.run = describe_service,
};
