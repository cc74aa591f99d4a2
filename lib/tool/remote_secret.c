#include "tool/remote_secret.h"

#include "codec/b64.h"
#include "codec/yaml.h"

enum { TOKEN_WAIT_MS = 10 * 1000, TOKEN_POLL_MS = 500 };

#define READER "istio-reader-service-account"
#define ACCOUNTS COX_CLUSTER_KIND("", "v1", "serviceaccounts", "ServiceAccount")
#define SECRETS COX_CLUSTER_KIND("", "v1", "secrets", "Secret")
#define NAMESPACES COX_CLUSTER_KIND_WIDE("", "v1", "namespaces", "Namespace")

struct run {
	const struct cox_remote_secret_options *o;
	struct cox_cluster *c;
	struct cox_arena arena;
	struct cox_str name, account;
	struct cox_err *err;
};

/* --- the account and its rights -------------------------------------------------------------------------------- */

/* NS stands for the namespace, as %1$s would. What a control plane reads of a cluster, and that it may ask who a proxy is. */
static const char account_yaml[] =
    "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: " READER ", namespace: NS, labels: {app: istio-reader}}\n"
    "---\n"
    "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: istio-reader-clusterrole-NS, labels: {app: istio-reader}}\n"
    "rules:\n"
    "- {apiGroups: [security.istio.io, networking.istio.io, telemetry.istio.io, extensions.istio.io], resources: ['*'], verbs: [get, list, watch]}\n"
    "- {apiGroups: [''], resources: [endpoints, pods, services, nodes, replicationcontrollers, namespaces, secrets, configmaps], verbs: [get, list, watch]}\n"
    "- {apiGroups: [networking.x-k8s.io, gateway.networking.k8s.io], resources: [gateways], verbs: [get, list, watch]}\n"
    "- {apiGroups: [apiextensions.k8s.io], resources: [customresourcedefinitions], verbs: [get, list, watch]}\n"
    "- {apiGroups: [discovery.k8s.io], resources: [endpointslices], verbs: [get, list, watch]}\n"
    "- {apiGroups: [multicluster.x-k8s.io], resources: [serviceexports], verbs: [get, list, watch, create, delete]}\n"
    "- {apiGroups: [multicluster.x-k8s.io], resources: [serviceimports], verbs: [get, list, watch]}\n"
    "- {apiGroups: [apps], resources: [replicasets], verbs: [get, list, watch]}\n"
    "- {apiGroups: [authentication.k8s.io], resources: [tokenreviews], verbs: [create]}\n"
    "- {apiGroups: [authorization.k8s.io], resources: [subjectaccessreviews], verbs: [create]}\n"
    "---\n"
    "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRoleBinding\nmetadata: {name: istio-reader-clusterrole-NS, labels: {app: istio-reader}}\n"
    "roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: istio-reader-clusterrole-NS}\n"
    "subjects:\n- {kind: ServiceAccount, name: " READER ", namespace: NS}\n";

struct docs {
	struct run *r;
	enum cox_rc rc;
};

static void doc_apply(void *arg, struct cox_json *root, struct cox_str text, const struct cox_err *err)
{
	struct docs *d = arg;
	(void)text, (void)err;
	if (root && d->rc == COX_OK)
		d->rc = cox_cluster_apply(d->r->c, root, NULL, &d->r->arena, NULL, d->r->err);
}

static struct cox_str with_namespace(struct run *r, const char *text)
{
	struct cox_buf b = { 0 };
	for (const char *at; (at = strstr(text, "NS")); text = at + 2) {
		cox_buf_append(&b, text, (size_t)(at - text));
		cox_buf_append_str(&b, r->o->ns);
	}
	cox_buf_append_cstr(&b, text);
	struct cox_str out = cox_arena_str(&r->arena, cox_buf_str(&b));
	cox_buf_fini(&b);
	return out;
}

static enum cox_rc account_ensure(struct run *r)
{
	struct cox_json *ignored = NULL;
	struct docs d = { .r = r };
	enum cox_rc rc = cox_cluster_get(r->c, ACCOUNTS, r->o->ns, r->account, &r->arena, &ignored, r->err);
	if (rc != COX_ENOTFOUND)
		return rc;
	if (!r->o->creates_account || !cox_str_eq(r->account, COX_STR(READER)))
		return rc;
	rc = cox_cluster_get(r->c, NAMESPACES, COX_STR(""), r->o->ns, &r->arena, &ignored, r->err);
	if (rc == COX_ENOTFOUND) {
		struct cox_json *ns = NULL;
		COX_TRY(cox_yaml_one(&r->arena, with_namespace(r, "apiVersion: v1\nkind: Namespace\nmetadata: {name: NS}\n"), 4096, &ns,
		                     NULL, r->err));
		rc = cox_cluster_apply(r->c, ns, NULL, &r->arena, NULL, r->err);
	}
	if (rc == COX_OK)
		rc = cox_yaml_each(&r->arena, with_namespace(r, account_yaml), 1 << 16, doc_apply, &d, r->err);
	return rc == COX_OK ? d.rc : rc;
}

/* --- its token ------------------------------------------------------------------------------------------------- */

static bool is_of(const struct cox_json *secret, struct cox_str account)
{
	const struct cox_json *of =
	    cox_json_get(cox_json_at(secret, "metadata.annotations"), COX_STR("kubernetes.io/service-account.name"));
	return cox_str_eq(cox_json_str_at(secret, "type"), COX_STR("kubernetes.io/service-account-token")) && of &&
	       cox_str_eq(of->text, account);
}

static struct cox_str data_of(const struct cox_json *secret, const char *key)
{
	const struct cox_json *v = cox_json_get(cox_json_get(secret, COX_STR("data")), cox_str_of(key));
	return v ? v->text : (struct cox_str){ 0 };
}

static enum cox_rc secret_make(struct run *r, struct cox_json **out)
{
	struct cox_json *doc = NULL;
	struct cox_str text =
	    cox_arena_printf(&r->arena,
	                     "{\"apiVersion\":\"v1\",\"kind\":\"Secret\",\"type\":\"kubernetes.io/service-account-token\","
	                     "\"metadata\":{\"name\":\"%.*s-istio-remote-secret-token\",\"namespace\":\"%.*s\","
	                     "\"annotations\":{\"kubernetes.io/service-account.name\":\"%.*s\"}}}",
	                     COX_FMT(r->account), COX_FMT(r->o->ns), COX_FMT(r->account));
	COX_TRY(cox_json_parse(&r->arena, text, &doc, r->err));
	return cox_cluster_create(r->c, doc, NULL, &r->arena, out, r->err);
}

static enum cox_rc secret_find(struct run *r, struct cox_json **out)
{
	struct cox_json *all = NULL;
	if (r->o->secret_name.n) {
		COX_TRY(cox_cluster_get(r->c, SECRETS, r->o->ns, r->o->secret_name, &r->arena, out, r->err));
		return is_of(*out, r->account)
		           ? COX_OK
		           : cox_err_set(r->err, COX_EINVAL, NULL, "Secret %.*s/%.*s holds no token of service account %.*s",
		                         COX_FMT(r->o->ns), COX_FMT(r->o->secret_name), COX_FMT(r->account));
	}
	COX_TRY(cox_cluster_list(r->c, SECRETS, r->o->ns, COX_STR(""), COX_STR("type=kubernetes.io/service-account-token"), &r->arena, &all,
	                         r->err));
	for (size_t i = 0; i < all->n; i++)
		if (is_of(&all->items[i], r->account)) {
			*out = &all->items[i];
			return COX_OK;
		}
	return secret_make(r, out);
}

static enum cox_rc token_wait(struct run *r, struct cox_json **secret)
{
	struct cox_str name = cox_json_str_at(*secret, "metadata.name");
	for (int64_t waited_ms = 0; !data_of(*secret, "token").n || !data_of(*secret, "ca.crt").n; waited_ms += TOKEN_POLL_MS) {
		if (waited_ms >= TOKEN_WAIT_MS)
			return cox_err_set(r->err, COX_ETIMEOUT, NULL, "Secret %.*s/%.*s gets no token: does kube-controller-manager run?",
			                   COX_FMT(r->o->ns), COX_FMT(name));
		cox_cluster_sleep(r->c, TOKEN_POLL_MS);
		COX_TRY(cox_cluster_get(r->c, SECRETS, r->o->ns, name, &r->arena, secret, r->err));
	}
	return COX_OK;
}

/* --- the answer -------------------------------------------------------------------------------------------------- */

static struct cox_json *member(struct cox_arena *a, struct cox_json *o, const char *key, const struct cox_json *v)
{
	return cox_json_set(a, o, cox_str_of(key), v);
}
static void text_member(struct cox_arena *a, struct cox_json *o, const char *key, struct cox_str v)
{
	cox_json_set(a, o, cox_str_of(key), cox_json_new_str(a, v));
}

/* {"name": NAME, KEY: value} alone in a list. */
static struct cox_json *named(struct cox_arena *a, struct cox_str name, const char *key, const struct cox_json *value)
{
	struct cox_json *list = cox_json_new_array(a), *one = cox_json_push(a, list, cox_json_new_object(a));
	member(a, one, key, value);
	text_member(a, one, "name", name);
	return list;
}

static void kubeconfig_write(struct run *r, const struct cox_json *secret, struct cox_str server, struct cox_buf *out)
{
	struct cox_arena *a = &r->arena;
	struct cox_json *root = cox_json_new_object(a), *cluster = cox_json_new_object(a), *context = cox_json_new_object(a),
	                *user = cox_json_new_object(a);
	struct cox_str token = { 0 };
	(void)!cox_b64_decode(a, data_of(secret, "token"), true, &token);
	text_member(a, cluster, "certificate-authority-data", data_of(secret, "ca.crt"));
	text_member(a, cluster, "server", server);
	if (r->o->tls_server_name.n)
		text_member(a, cluster, "tls-server-name", r->o->tls_server_name);
	text_member(a, context, "cluster", r->name);
	text_member(a, context, "user", r->name);
	text_member(a, user, "token", token);
	text_member(a, root, "apiVersion", COX_STR("v1"));
	member(a, root, "clusters", named(a, r->name, "cluster", cluster));
	member(a, root, "contexts", named(a, r->name, "context", context));
	text_member(a, root, "current-context", r->name);
	text_member(a, root, "kind", COX_STR("Config"));
	member(a, root, "users", named(a, r->name, "user", user));
	cox_json_write_yaml(out, root);
}

static void secret_write(struct run *r, struct cox_str kubeconfig, struct cox_buf *out)
{
	struct cox_arena *a = &r->arena;
	struct cox_json *root = cox_json_new_object(a), *data = cox_json_new_object(a), *meta = cox_json_new_object(a),
	                *annotations = cox_json_new_object(a), *labels = cox_json_new_object(a);
	text_member(a, data, r->o->is_config ? "config" : cox_arena_str(a, r->name).p, cox_arena_str(a, kubeconfig));
	text_member(a, annotations, "networking.istio.io/cluster", r->name);
	text_member(a, labels, "istio/multiCluster", COX_STR("true"));
	member(a, meta, "annotations", annotations);
	member(a, meta, "labels", labels);
	text_member(a, meta, "name",
	            r->o->is_config ? COX_STR("istio-kubeconfig") : cox_arena_printf(a, "istio-remote-secret-%.*s", COX_FMT(r->name)));
	text_member(a, meta, "namespace", r->o->ns);
	text_member(a, root, "apiVersion", COX_STR("v1"));
	text_member(a, root, "kind", COX_STR("Secret"));
	member(a, root, "metadata", meta);
	member(a, root, "stringData", data);
	cox_buf_append_cstr(out, "# This file is autogenerated, do not edit.\n");
	cox_json_write_yaml(out, root);
	cox_buf_append_cstr(out, "---\n");
}

static enum cox_rc run(struct run *r, struct cox_buf *out, struct cox_buf *notes)
{
	struct cox_json *secret = NULL, *system = NULL;
	struct cox_buf kubeconfig = { 0 };
	struct cox_str server = r->o->server.n ? r->o->server : cox_cluster_server(r->c);
	r->name = r->o->name;
	if (!r->name.n) {
		COX_TRY(cox_cluster_get(r->c, NAMESPACES, COX_STR(""), COX_STR("kube-system"), &r->arena, &system, r->err));
		r->name = cox_json_str_at(system, "metadata.uid");
	}
	COX_TRY(account_ensure(r));
	COX_TRY(secret_find(r, &secret));
	COX_TRY(token_wait(r, &secret));
	if (!r->o->server.n && (cox_str_search(server, COX_STR("127.0.0.1")) >= 0 || cox_str_search(server, COX_STR("localhost")) >= 0))
		cox_buf_printf(notes, "warning: other clusters do not reach %.*s: say --server with an address that they reach\n",
		               COX_FMT(server));
	kubeconfig_write(r, secret, server, &kubeconfig);
	secret_write(r, cox_buf_str(&kubeconfig), out);
	explicit_bzero(kubeconfig.p, kubeconfig.n);
	cox_buf_fini(&kubeconfig);
	return COX_OK;
}

enum cox_rc cox_remote_secret_create(const struct cox_remote_secret_options *o, struct cox_buf *out, struct cox_buf *notes,
                                     struct cox_err *err)
{
	struct cox_err own = { 0 };
	struct run r = { .o = o,
		         .err = err ? err : &own,
		         .account = o->service_account.n ? o->service_account
		                    : o->is_config       ? COX_STR("istiod")
		                                         : COX_STR(READER) };
	COX_TRY(cox_cluster_open(&o->cluster, &r.c, r.err));
	enum cox_rc rc = run(&r, out, notes);
	cox_cluster_close(&r.c);
	cox_arena_fini(&r.arena);
	return rc;
}
