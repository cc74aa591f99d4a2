#include "kube/kubeconfig.h"

#include "base/vec.h"
#include "codec/b64.h"
#include "codec/yaml.h"
#include "kube/file.h"

/* The place in the file that is being read, for messages. */
struct reader {
	struct cox_kube_config *c;
	const char *path;
	const struct cox_json *root;
	struct cox_err *err;
	COX_VEC(struct cox_str) warnings;
};

static enum cox_rc refuse(const struct reader *r, const char *field, const char *text)
{
	cox_err_set(r->err, COX_EINVAL, field, "%s", text);
	cox_err_wrap(r->err, "%s", r->path);
	return COX_EINVAL;
}

static void warn(struct reader *r, const char *field, const char *text)
{
	cox_vec_push(&r->warnings, cox_arena_printf(&r->c->arena, "%s: %s: %s", r->path, field, text));
}

/* A string member, "" where absent. */
static enum cox_rc read_str(const struct reader *r, const struct cox_json *v, const char *at, const char *key, struct cox_str *out)
{
	const struct cox_json *m = cox_json_get(v, cox_str_of(key));
	if (!m || m->type == COX_JSON_NULL)
		return COX_OK;
	char field[160];
	struct cox_arena *a = &r->c->arena;
	cox_str_to_cstr(cox_arena_printf(a, "%s.%s", at, key), field, sizeof(field));
	if (m->type != COX_JSON_STRING)
		return refuse(r, field, "must be text");
	if (memchr(m->text.p ? m->text.p : "", 0, m->text.n))
		return refuse(r, field, "must not contain a zero byte");
	*out = cox_arena_str(a, m->text);
	return COX_OK;
}

static enum cox_rc read_bool(const struct reader *r, const struct cox_json *v, const char *at, const char *key, bool *out)
{
	const struct cox_json *m = cox_json_get(v, cox_str_of(key));
	if (!m || m->type == COX_JSON_NULL)
		return COX_OK;
	if (m->type != COX_JSON_BOOL) {
		char field[160];
		cox_str_to_cstr(cox_arena_printf(&r->c->arena, "%s.%s", at, key), field, sizeof(field));
		return refuse(r, field, "must be true or false");
	}
	*out = m->boolean;
	return COX_OK;
}

/* Names in a kubeconfig are relative to its folder. */
static struct cox_str join(const struct reader *r, struct cox_str name)
{
	struct cox_str path = cox_str_of(r->path);
	ptrdiff_t slash = cox_str_rfind(path, '/');
	if (name.n == 0 || name.p[0] == '/' || slash < 0)
		return name;
	return cox_arena_concat(&r->c->arena, cox_str_sub(path, 0, (size_t)slash + 1), name);
}

/* "<key>-data" (base64) wins over "<key>" (a file), as in kubectl. */
static enum cox_rc read_pem(const struct reader *r, const struct cox_json *v, const char *at, const char *key, struct cox_str *file,
                            struct cox_str *pem)
{
	struct cox_str data = { 0 };
	char name[64], field[160];
	cox_str_to_cstr(cox_arena_printf(&r->c->arena, "%s-data", key), name, sizeof(name));
	COX_TRY(read_str(r, v, at, name, &data));
	COX_TRY(read_str(r, v, at, key, file));
	if (data.n) {
		enum cox_rc rc = cox_b64_decode(&r->c->arena, data, true, pem);
		cox_str_to_cstr(cox_arena_printf(&r->c->arena, "%s.%s", at, name), field, sizeof(field));
		if (rc != COX_OK)
			return refuse(r, field, "is not base64");
		if (cox_str_search(*pem, COX_STR("-----BEGIN ")) < 0)
			return refuse(r, field, "holds no PEM block");
		*file = (struct cox_str){ 0 };
		return COX_OK;
	}
	*file = join(r, *file);
	return COX_OK;
}

/* The entry `name` of one of the lists clusters, users, contexts; `at` becomes "users[name=x].user". */
static enum cox_rc find_named(const struct reader *r, const char *list, const char *member, struct cox_str name,
                              const struct cox_json **out, char *at, size_t at_bytes)
{
	const struct cox_json *l = cox_json_get(r->root, cox_str_of(list));
	if (l && l->type != COX_JSON_ARRAY && l->type != COX_JSON_NULL)
		return refuse(r, list, "must be a list");
	cox_str_to_cstr(cox_arena_printf(&r->c->arena, "%s[name=%.*s].%s", list, COX_FMT(name), member), at, at_bytes);
	for (size_t i = 0; l && l->type == COX_JSON_ARRAY && i < l->n; i++) {
		if (!cox_str_eq(cox_json_str_at(&l->items[i], "name"), name))
			continue;
		*out = cox_json_get(&l->items[i], cox_str_of(member));
		return *out && (*out)->type == COX_JSON_OBJECT ? COX_OK : refuse(r, at, "must be an object");
	}
	return refuse(r, at, "there is no entry of this name");
}

static enum cox_rc read_cluster(struct reader *r, struct cox_str name)
{
	struct cox_kube_config *c = r->c;
	const struct cox_json *v = NULL;
	struct cox_str proxy = { 0 };
	char at[128], field[160];
	COX_TRY(find_named(r, "clusters", "cluster", name, &v, at, sizeof(at)));
	COX_TRY(read_str(r, v, at, "server", &c->server));
	COX_TRY(read_str(r, v, at, "tls-server-name", &c->tls_server_name));
	COX_TRY(read_bool(r, v, at, "insecure-skip-tls-verify", &c->insecure));
	COX_TRY(read_pem(r, v, at, "certificate-authority", &c->ca_file, &c->ca_pem));
	COX_TRY(read_str(r, v, at, "proxy-url", &proxy));
	cox_str_to_cstr(cox_arena_printf(&c->arena, "%s.server", at), field, sizeof(field));
	while (c->server.n && c->server.p[c->server.n - 1] == '/')
		c->server = cox_arena_str(&c->arena, cox_str_sub(c->server, 0, c->server.n - 1));
	if (!cox_str_has_prefix(c->server, COX_STR("https://")) && !cox_str_has_prefix(c->server, COX_STR("http://")))
		return refuse(r, field, "must be a URL with https:// or http://");
	if (c->insecure && (c->ca_pem.n || c->ca_file.n))
		return refuse(r, at, "insecure-skip-tls-verify and a certificate-authority exclude each other");
	if (proxy.n)
		warn(r, at, "proxy-url is ignored: the server is reached directly");
	return COX_OK;
}

static enum cox_rc read_exec_lists(struct reader *r, const struct cox_json *v, struct cox_kube_exec *e, const char *at)
{
	const struct cox_json *args = cox_json_get(v, COX_STR("args")), *env = cox_json_get(v, COX_STR("env"));
	struct cox_arena *a = &r->c->arena;
	if (args && args->type == COX_JSON_ARRAY && args->n) {
		struct cox_str *p = COX_ARENA_ARRAY(a, struct cox_str, args->n);
		for (size_t i = 0; i < args->n; i++) {
			if (args->items[i].type != COX_JSON_STRING)
				return refuse(r, at, "args must be a list of texts");
			p[i] = cox_arena_str(a, args->items[i].text);
		}
		e->args.p = p, e->args.n = args->n;
	}
	if (env && env->type == COX_JSON_ARRAY && env->n) {
		struct cox_kv *p = COX_ARENA_ARRAY(a, struct cox_kv, env->n);
		for (size_t i = 0; i < env->n; i++) {
			p[i].key = cox_arena_str(a, cox_json_str_at(&env->items[i], "name"));
			p[i].value = cox_arena_str(a, cox_json_str_at(&env->items[i], "value"));
			if (p[i].key.n == 0)
				return refuse(r, at, "each entry of env must have a name");
		}
		e->env.p = p, e->env.n = env->n;
	}
	return COX_OK;
}

static enum cox_rc read_exec(struct reader *r, const struct cox_json *user, const char *user_at)
{
	const struct cox_json *v = cox_json_get(user, COX_STR("exec"));
	if (!v || v->type == COX_JSON_NULL)
		return COX_OK;
	struct cox_kube_exec *e = COX_ARENA_NEW(&r->c->arena, struct cox_kube_exec);
	char at[144];
	cox_str_to_cstr(cox_arena_printf(&r->c->arena, "%s.exec", user_at), at, sizeof(at));
	struct cox_str interactive = { 0 };
	if (v->type != COX_JSON_OBJECT)
		return refuse(r, at, "must be an object");
	COX_TRY(read_str(r, v, at, "command", &e->command));
	COX_TRY(read_str(r, v, at, "apiVersion", &e->api_version));
	COX_TRY(read_str(r, v, at, "installHint", &e->install_hint));
	COX_TRY(read_str(r, v, at, "interactiveMode", &interactive));
	COX_TRY(read_bool(r, v, at, "provideClusterInfo", &e->provide_cluster_info));
	COX_TRY(read_exec_lists(r, v, e, at));
	if (e->command.n == 0)
		return refuse(r, at, "command is missing");
	if (cox_str_eq_cstr(interactive, "Always"))
		return refuse(r, at, "interactiveMode Always is not possible: nobody is there to answer");
	if (!cox_str_eq_cstr(e->api_version, "client.authentication.k8s.io/v1") &&
	    !cox_str_eq_cstr(e->api_version, "client.authentication.k8s.io/v1beta1"))
		return refuse(r, at, "apiVersion must be client.authentication.k8s.io/v1 or v1beta1");
	if (cox_str_find(e->command, '/') >= 0) /* a bare name is looked up in PATH */
		e->command = join(r, e->command);
	r->c->exec = e;
	return COX_OK;
}

static enum cox_rc read_user(struct reader *r, struct cox_str name)
{
	struct cox_kube_config *c = r->c;
	const struct cox_json *v = NULL;
	struct cox_str name_of = { 0 };
	char at[128];
	if (name.n == 0)
		return COX_OK; /* anonymous */
	COX_TRY(find_named(r, "users", "user", name, &v, at, sizeof(at)));
	COX_TRY(read_pem(r, v, at, "client-certificate", &c->cert_file, &c->cert_pem));
	COX_TRY(read_pem(r, v, at, "client-key", &c->key_file, &c->key_pem));
	COX_TRY(read_str(r, v, at, "token", &c->token));
	COX_TRY(read_str(r, v, at, "tokenFile", &c->token_file));
	c->token_file = join(r, c->token_file);
	COX_TRY(read_exec(r, v, at));
	COX_TRY(read_str(r, v, at, "username", &name_of));
	if ((c->cert_file.n || c->cert_pem.n) != (c->key_file.n || c->key_pem.n))
		return refuse(r, at, "client-certificate and client-key must come together");
	if (name_of.n)
		return refuse(r, at, "username and password are not possible: kube-apiserver does not take them since 1.19");
	if (cox_json_get(v, COX_STR("auth-provider")))
		return refuse(r, at, "auth-provider is not possible: use exec");
	if (cox_json_get(v, COX_STR("as")))
		return refuse(r, at, "impersonation (as) is not possible");
	return COX_OK;
}

static enum cox_rc read_root(struct reader *r, struct cox_str context)
{
	const struct cox_json *v = NULL;
	struct cox_str cluster = { 0 }, user = { 0 };
	char at[128];
	if (context.n == 0)
		COX_TRY(read_str(r, r->root, "kubeconfig", "current-context", &context));
	if (context.n == 0)
		return refuse(r, "current-context", "is not set, and no context was named");
	COX_TRY(find_named(r, "contexts", "context", context, &v, at, sizeof(at)));
	COX_TRY(read_str(r, v, at, "cluster", &cluster));
	COX_TRY(read_str(r, v, at, "user", &user));
	COX_TRY(read_str(r, v, at, "namespace", &r->c->ns));
	COX_TRY(read_cluster(r, cluster));
	COX_TRY(read_user(r, user));
	r->c->source = cox_arena_printf(&r->c->arena, "%s (context %.*s)", r->path, COX_FMT(context));
	return COX_OK;
}

enum cox_rc cox_kube_config_parse(struct cox_kube_config *c, struct cox_str text, const char *path, struct cox_str context,
                                  struct cox_err *err)
{
	*c = (struct cox_kube_config){ 0 };
	struct cox_err local = { 0 };
	struct cox_json *root = NULL;
	int second_line;
	struct reader r = { .c = c, .path = path, .err = err ? err : &local };
	/* The tree points into the text, which the caller may drop: parse a copy. */
	text = cox_arena_str(&c->arena, text);
	enum cox_rc rc = cox_yaml_one(&c->arena, text, COX_KUBE_FILE_BYTES_MAX, &root, &second_line, r.err);
	if (rc != COX_OK) {
		cox_err_wrap(r.err, "%s", path);
		return rc;
	}
	if (!root || root->type != COX_JSON_OBJECT)
		return refuse(&r, NULL, "is no kubeconfig: an object with clusters, users and contexts was expected");
	r.root = root;
	rc = read_root(&r, context);
	if (r.warnings.n) {
		struct cox_str *w = COX_ARENA_ARRAY(&c->arena, struct cox_str, r.warnings.n);
		memcpy(w, r.warnings.p, r.warnings.n * sizeof(*w));
		c->warnings.p = w, c->warnings.n = r.warnings.n;
	}
	cox_vec_fini(&r.warnings);
	return rc;
}

enum cox_rc cox_kube_config_load(struct cox_kube_config *c, const char *path, struct cox_str context, struct cox_err *err)
{
	*c = (struct cox_kube_config){ 0 };
	struct cox_buf text = { 0 };
	enum cox_rc rc = cox_kube_file_read(path, &text, err);
	if (rc == COX_OK)
		rc = cox_kube_config_parse(c, cox_buf_str(&text), path, context, err);
	if (text.n)
		explicit_bzero(text.p, text.n);
	cox_buf_fini(&text);
	return rc;
}

enum cox_rc cox_kube_config_in_cluster(struct cox_kube_config *c, struct cox_str host, struct cox_str port, const char *dir,
                                       struct cox_err *err)
{
	*c = (struct cox_kube_config){ 0 };
	struct cox_arena *a = &c->arena;
	if (!dir)
		dir = "/var/run/secrets/kubernetes.io/serviceaccount";
	if (host.n == 0 || port.n == 0)
		return cox_err_set(
		    err, COX_ENOTFOUND, NULL,
		    "not in a pod (KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set) and no kubeconfig was given");
	bool v6 = cox_str_find(host, ':') >= 0 && host.p[0] != '[';
	c->source = COX_STR("service account");
	c->server = cox_arena_printf(a, "https://%s%.*s%s:%.*s", v6 ? "[" : "", COX_FMT(host), v6 ? "]" : "", COX_FMT(port));
	c->ca_file = cox_arena_printf(a, "%s/ca.crt", dir);
	c->token_file = cox_arena_printf(a, "%s/token", dir);
	if (!cox_kube_file_stamp(c->ca_file.p))
		return cox_err_set(err, COX_ENOTFOUND, NULL, "%s: there is no such file", c->ca_file.p);
	struct cox_buf ns = { 0 };
	char path[256];
	cox_str_to_cstr(cox_arena_printf(a, "%s/namespace", dir), path, sizeof(path));
	if (cox_kube_file_read(path, &ns, NULL) == COX_OK)
		c->ns = cox_arena_str(a, cox_str_trim(cox_buf_str(&ns)));
	cox_buf_fini(&ns);
	return COX_OK;
}

void cox_kube_config_fini(struct cox_kube_config *c)
{
	for (int i = 0; i < 3; i++) {
		struct cox_str secret = i == 0 ? c->token : i == 1 ? c->key_pem : c->cert_pem;
		if (secret.n)
			explicit_bzero((void *)(uintptr_t)secret.p, secret.n);
	}
	cox_arena_fini(&c->arena);
	*c = (struct cox_kube_config){ 0 };
}
