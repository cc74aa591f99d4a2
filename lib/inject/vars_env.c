/* The proxy's environment, as pilot-agent and cox-agent read it (protocol facts, section 16). */
#include "inject/inject_priv.h"

static void push_env(struct inject_job *j, struct cox_json *list, const char *name, struct cox_str value)
{
	struct cox_json *o = cox_json_new_object(j->arena);
	inject_set_str(j, o, COX_STR("name"), cox_str_of(name));
	inject_set_str(j, o, COX_STR("value"), value);
	cox_json_push(j->arena, list, o);
}

/* {name, valueFrom: {<kind>: {<key>: path}}} */
static void push_from(struct inject_job *j, struct cox_json *list, const char *name, const char *kind, const char *key, const char *path)
{
	struct cox_json *o = cox_json_new_object(j->arena);
	inject_set_str(j, o, COX_STR("name"), cox_str_of(name));
	struct cox_json *ref = inject_member(j, inject_member(j, o, "valueFrom", COX_JSON_OBJECT), kind, COX_JSON_OBJECT);
	inject_set_str(j, ref, cox_str_of(key), cox_str_of(path));
	cox_json_push(j->arena, list, o);
}

static bool is_ours(struct cox_str container)
{
	return cox_str_eq_cstr(container, "istio-proxy") || cox_str_eq_cstr(container, "istio-init") ||
	       cox_str_eq_cstr(container, "istio-validation");
}

/* The application's ports as the agent reports them, and its containers' names. */
static void push_application(struct inject_job *j, struct cox_json *list)
{
	struct cox_json *ports = cox_json_new_array(j->arena);
	struct cox_buf names = { 0 };
	const struct cox_json *containers = cox_json_get(j->spec, COX_STR("containers"));
	for (size_t i = 0; containers && i < containers->n; i++) {
		struct cox_str name = cox_json_str_at(&containers->items[i], "name");
		if (!is_ours(name)) {
			if (names.n)
				cox_buf_append_char(&names, ',');
			cox_buf_append_str(&names, name);
		}
		/* A gateway's ports are those that the user gave the proxy's own container. */
		const struct cox_json *of = cox_json_get(&containers->items[i], COX_STR("ports"));
		for (size_t k = 0; of && of->type == COX_JSON_ARRAY && k < of->n; k++)
			cox_json_push(j->arena, ports, &of->items[k]);
	}
	push_env(j, list, "ISTIO_META_POD_PORTS", inject_json_text(j->arena, ports));
	push_env(j, list, "ISTIO_META_APP_CONTAINERS", cox_arena_str(j->arena, cox_buf_str(&names)));
	cox_buf_fini(&names);
}

static void push_owner(struct inject_job *j, struct cox_json *list)
{
	if (j->owner_name.n == 0)
		return;
	push_env(j, list, "ISTIO_META_WORKLOAD_NAME", j->owner_name);
	if (j->owner_api_version.n > 0)
		push_env(j, list, "ISTIO_META_OWNER",
		         cox_arena_printf(j->arena, "kubernetes://apis/%.*s/namespaces/%.*s/%.*ss/%.*s", COX_FMT(j->owner_api_version),
		                          COX_FMT(j->r->ns), COX_FMT(cox_arena_lower(j->arena, j->owner_kind)), COX_FMT(j->owner_name)));
}

static void push_identity(struct inject_job *j, struct cox_json *list)
{
	struct cox_str ca = inject_value(j, "global.caAddress"), ns = inject_setting(j, NULL, "global.istioNamespace", "istio-system");
	push_env(j, list, "PILOT_CERT_PROVIDER", inject_setting(j, NULL, "global.pilotCertProvider", "istiod"));
	push_env(j, list, "CA_ADDR",
	         ca.n ? ca
	              : cox_arena_printf(j->arena, "istiod%s%.*s.%.*s.svc:15012", j->c->revision.n ? "-" : "", COX_FMT(j->c->revision),
	                                 COX_FMT(ns)));
	push_from(j, list, "POD_NAME", "fieldRef", "fieldPath", "metadata.name");
	push_from(j, list, "POD_NAMESPACE", "fieldRef", "fieldPath", "metadata.namespace");
	push_from(j, list, "INSTANCE_IP", "fieldRef", "fieldPath", "status.podIP");
	push_from(j, list, "SERVICE_ACCOUNT", "fieldRef", "fieldPath", "spec.serviceAccountName");
	push_from(j, list, "HOST_IP", "fieldRef", "fieldPath", "status.hostIP");
	push_from(j, list, "ISTIO_CPU_LIMIT", "resourceFieldRef", "resource", "limits.cpu");
	/* What Go's run time takes for its own; cox-agent is not of Go. */
	if (cox_str_eq_cstr(cox_json_get(j->vars, COX_STR("agent"))->text, "pilot-agent")) {
		push_from(j, list, "GOMEMLIMIT", "resourceFieldRef", "resource", "limits.memory");
		push_from(j, list, "GOMAXPROCS", "resourceFieldRef", "resource", "limits.cpu");
	}
}

static void push_mesh(struct inject_job *j, struct cox_json *list)
{
	struct cox_str network = inject_value(j, "global.network"), mesh = inject_value(j, "global.meshID"),
	               trust = inject_json_text(j->arena, cox_json_get(j->c->mesh, COX_STR("trustDomain")));
	push_env(j, list, "PROXY_CONFIG", inject_json_text(j->arena, j->proxy_config));
	push_application(j, list);
	push_env(j, list, "ISTIO_META_CLUSTER_ID", inject_setting(j, NULL, "global.multiCluster.clusterName", "Kubernetes"));
	push_from(j, list, "ISTIO_META_NODE_NAME", "fieldRef", "fieldPath", "spec.nodeName");
	push_env(j, list, "ISTIO_META_INTERCEPTION_MODE",
	         j->is_gateway ? COX_STR("NONE") : cox_json_get(j->vars, COX_STR("interceptionMode"))->text);
	if (j->is_gateway)
		push_env(j, list, "ISTIO_META_UNPRIVILEGED_POD", COX_STR("true"));
	if (network.n)
		push_env(j, list, "ISTIO_META_NETWORK", network);
	push_owner(j, list);
	trust = trust.n ? trust : COX_STR("cluster.local");
	push_env(j, list, "ISTIO_META_MESH_ID", mesh.n ? mesh : trust);
	push_env(j, list, "TRUST_DOMAIN", trust);
	if (inject_annotation(j, "sidecar.istio.io/bootstrapOverride", NULL).n)
		push_env(j, list, "ISTIO_BOOTSTRAP_OVERRIDE", COX_STR("/etc/istio/custom-bootstrap/custom_bootstrap.json"));
}

enum cox_rc inject_vars_env(struct inject_job *j)
{
	struct cox_json *list = cox_json_new_array(j->arena), *metadata = cox_json_new_array(j->arena);
	push_identity(j, list);
	push_mesh(j, list);
	const struct cox_json *more = cox_json_get(j->proxy_config, COX_STR("proxyMetadata"));
	for (size_t i = 0; more && more->type == COX_JSON_OBJECT && i < more->n; i++) {
		struct cox_str value = inject_json_text(j->arena, &more->members[i].value);
		struct cox_json *old = inject_by_name(list, more->members[i].key);
		if (old)
			inject_set_str(j, old, COX_STR("value"), value);
		else
			push_env(j, list, cox_arena_str(j->arena, more->members[i].key).p, value);
		push_env(j, metadata, cox_arena_str(j->arena, more->members[i].key).p, value);
	}
	inject_var(j, "env", list);
	if (metadata->n)
		inject_var(j, "proxyMetadataEnv", metadata);
	return COX_OK;
}
