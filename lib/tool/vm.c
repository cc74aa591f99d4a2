#include "tool/vm.h"

#include "codec/yaml.h"
#include "kube/client.h"
#include "tool/vm_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum { TIMEOUT_MS = 30 * 1000, FILE_BYTES_MAX = 1 << 20, TOKEN_S = 3600 };

struct run {
	const struct cox_vm_options *o;
	struct cox_loop *loop;
	struct cox_kube_client *kube;
	struct cox_arena arena;
	/* Of one request. */
	bool is_done;
	enum cox_rc rc;
	struct cox_json *answer;
	struct cox_err *err;
};

static void on_done(void *ctx, struct cox_kube_request *r, enum cox_rc rc, int status, struct cox_str body, const struct cox_err *err)
{
	struct run *run = ctx;
	(void)r, (void)status;
	run->is_done = true;
	run->rc = rc;
	if (rc != COX_OK)
		cox_err_set(run->err, rc, NULL, "%s", err->text);
	else
		run->rc = cox_json_parse(&run->arena, cox_arena_str(&run->arena, body), &run->answer, run->err);
}
static bool is_done(void *ctx) { return ((struct run *)ctx)->is_done; }

static enum cox_rc call(struct run *r, const char *method, struct cox_str group, struct cox_str plural, struct cox_str ns,
                        struct cox_str name, struct cox_str sub, struct cox_str body)
{
	struct cox_buf path = { 0 };
	struct cox_kube_request *request = NULL;
	struct cox_kube_request_cb cb = { .on_done = on_done, .ctx = r };
	r->is_done = false;
	cox_kube_path(&path, group, COX_STR("v1"), plural, ns, name, sub);
	cox_kube_call(r->kube, method, cox_buf_str(&path), body, &cb, &request);
	if (!cox_loop_run_until(r->loop, is_done, r, TIMEOUT_MS)) {
		cox_kube_request_close(&request);
		r->rc = cox_err_set(r->err, COX_ETIMEOUT, NULL, "the kube-apiserver does not answer");
	}
	if (r->rc != COX_OK)
		cox_err_wrap(r->err, "%s %s", method, cox_buf_cstr(&path));
	cox_buf_fini(&path);
	return r->rc;
}

static enum cox_rc get(struct run *r, struct cox_str group, struct cox_str plural, struct cox_str ns, struct cox_str name)
{
	return call(r, "GET", group, plural, ns, name, COX_STR(""), COX_STR(""));
}

/* --- what is needed ---------------------------------------------------------------------------------------------------- */

static void on_document(void *arg, struct cox_json *root, struct cox_str text, const struct cox_err *err)
{
	struct run *r = arg;
	(void)text;
	if (!root)
		*r->err = *err;
	else if (!r->answer)
		r->answer = root;
}

static enum cox_rc read_group_file(struct run *r)
{
	struct cox_buf text = { 0 };
	int fd = open(r->o->file, O_RDONLY | O_CLOEXEC);
	ssize_t n = -1;
	if (fd < 0)
		return cox_err_set(r->err, COX_ENOTFOUND, NULL, "%s cannot be opened", r->o->file);
	while (text.n < FILE_BYTES_MAX && (n = read(fd, cox_buf_reserve(&text, 4096), 4096)) > 0)
		text.n += (size_t)n;
	close(fd);
	enum cox_rc rc =
	    n < 0 ? cox_err_set(r->err, COX_EIO, NULL, "%s cannot be read", r->o->file)
	          : cox_yaml_each(&r->arena, cox_arena_str(&r->arena, cox_buf_str(&text)), FILE_BYTES_MAX, on_document, r, r->err);
	cox_buf_fini(&text);
	if (rc == COX_OK && !r->answer)
		rc = cox_err_set(r->err, COX_EINVAL, NULL, "%s has no WorkloadGroup", r->o->file);
	return rc;
}

static enum cox_rc read_mesh(struct run *r, struct cox_mesh_config **out)
{
	struct cox_diags diags = { .arena = &r->arena };
	bool is_default = !r->o->revision.n || cox_str_eq(r->o->revision, COX_STR("default"));
	struct cox_str name = is_default ? COX_STR("istio") : cox_arena_printf(&r->arena, "istio-%.*s", COX_FMT(r->o->revision)),
	               yaml = COX_STR("{}");
	enum cox_rc rc = get(r, COX_STR(""), COX_STR("configmaps"), r->o->istio_ns, name);
	if (rc == COX_OK)
		yaml = cox_json_str_at(r->answer, "data.mesh");
	else if (rc != COX_ENOTFOUND)
		return rc; /* without one the defaults hold */
	rc = cox_mesh_config_build(yaml.n ? yaml : COX_STR("{}"), &r->arena, &diags, out);
	return rc == COX_OK ? rc
	                    : cox_err_set(r->err, rc, NULL, "ConfigMap %.*s/%.*s cannot be read", COX_FMT(r->o->istio_ns), COX_FMT(name));
}

static enum cox_rc read_root(struct run *r, struct cox_str ns, struct cox_str *out)
{
	COX_TRY(get(r, COX_STR(""), COX_STR("configmaps"), ns, COX_STR("istio-ca-root-cert")));
	const struct cox_json *pem = cox_json_get(cox_json_get(r->answer, COX_STR("data")), COX_STR("root-cert.pem"));
	if (!pem || pem->type != COX_JSON_STRING || !pem->text.n)
		return cox_err_set(r->err, COX_EINVAL, NULL, "ConfigMap %.*s/istio-ca-root-cert has no root-cert.pem", COX_FMT(ns));
	*out = pem->text;
	return COX_OK;
}

static enum cox_rc ask_token(struct run *r, const struct cox_object *group, struct cox_str *out)
{
	struct cox_str body =
	    cox_arena_printf(&r->arena,
	                     "{\"apiVersion\":\"authentication.k8s.io/v1\",\"kind\":\"TokenRequest\",\"spec\":{\"audiences\":["
	                     "\"istio-ca\"],\"expirationSeconds\":%lld}}",
	                     (long long)(r->o->token_s ? r->o->token_s : TOKEN_S));
	COX_TRY(call(r, "POST", COX_STR(""), COX_STR("serviceaccounts"), group->meta.ns, vm_account(group), COX_STR("token"), body));
	*out = cox_json_str_at(r->answer, "status.token");
	return out->n ? COX_OK : cox_err_set(r->err, COX_EPROTO, NULL, "the kube-apiserver gave no token");
}

/* The address of the Service through which machines reach the control plane; empty: not known. */
static struct cox_str find_ingress(struct run *r)
{
	struct cox_err *err = r->err, ignored = { 0 };
	struct cox_str service = r->o->ingress_service.n ? r->o->ingress_service : COX_STR("istio-eastwestgateway"), ip = { 0 };
	r->err = &ignored; /* it is a help, no more */
	if (get(r, COX_STR(""), COX_STR("services"), r->o->istio_ns, service) == COX_OK) {
		const struct cox_json *list = cox_json_at(r->answer, "status.loadBalancer.ingress");
		for (size_t i = 0; list && list->type == COX_JSON_ARRAY && i < list->n && !ip.n; i++)
			ip = cox_json_str_at(&list->items[i], "ip");
	}
	r->err = err;
	return ip;
}

/* --- the directory ------------------------------------------------------------------------------------------------------- */

static enum cox_rc file_write(const struct run *r, const char *name, mode_t mode, struct cox_str text)
{
	char path[4096];
	if ((size_t)snprintf(path, sizeof(path), "%s/%s", r->o->out_dir, name) >= sizeof(path))
		return cox_err_set(r->err, COX_EINVAL, NULL, "the path of the directory is too long");
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
	bool is_good = fd >= 0 && fchmod(fd, mode) == 0;
	while (is_good && text.n) {
		ssize_t n = write(fd, text.p, text.n);
		is_good = n > 0;
		text = is_good ? cox_str_sub(text, (size_t)n, SIZE_MAX) : text;
	}
	if (fd >= 0)
		is_good &= close(fd) == 0;
	return is_good ? COX_OK : cox_err_set(r->err, COX_EIO, NULL, "%s cannot be written", path);
}

static enum cox_rc write_all(struct run *r, const struct cox_object *group, const struct cox_vm_files *files, struct cox_buf *notes)
{
	struct cox_str root, token;
	COX_TRY(read_root(r, group->meta.ns, &root));
	COX_TRY(ask_token(r, group, &token));
	if (mkdir(r->o->out_dir, 0755) != 0 && errno != EEXIST)
		return cox_err_set(r->err, COX_EIO, NULL, "%s cannot be made", r->o->out_dir);
	COX_TRY(file_write(r, "cluster.env", 0644, files->cluster_env));
	COX_TRY(file_write(r, "mesh.yaml", 0644, files->mesh_yaml));
	COX_TRY(file_write(r, "hosts", 0644, files->hosts));
	COX_TRY(file_write(r, "root-cert.pem", 0644, root));
	COX_TRY(file_write(r, "istio-token", 0600, token));
	cox_buf_printf(notes, "a token of service account %.*s/%.*s is in %s/istio-token: keep it secret\n", COX_FMT(group->meta.ns),
	               COX_FMT(vm_account(group)), r->o->out_dir);
	if (!files->hosts.n)
		cox_buf_append_cstr(notes, "it is not known how the machine reaches the control plane: hosts is empty; say --ingressIP\n");
	return COX_OK;
}

static enum cox_rc run(struct run *r, struct cox_buf *notes)
{
	COX_AUTO(cox_object_unrefp) const struct cox_object *group = NULL;
	const struct cox_vm_options *o = r->o;
	struct cox_kube_config config = { 0 };
	struct cox_mesh_config *mesh = NULL;
	struct cox_vm_files files;
	enum cox_rc rc = o->kubeconfig ? cox_kube_config_load(&config, o->kubeconfig, COX_STR(""), r->err)
	                               : cox_kube_config_in_cluster(&config, cox_str_of(cox_env_get("KUBERNETES_SERVICE_HOST")),
	                                                            cox_str_of(cox_env_get("KUBERNETES_SERVICE_PORT")), NULL, r->err);
	if (rc != COX_OK) {
		cox_kube_config_fini(&config);
		return rc;
	}
	r->kube = cox_kube_client_new_take(r->loop, &config, NULL);
	COX_TRY(o->file ? read_group_file(r) : get(r, COX_STR("networking.istio.io"), COX_STR("workloadgroups"), o->ns, o->name));
	const struct cox_json *doc = r->answer, *probe = cox_json_at(doc, "spec.probe");
	COX_TRY(vm_group_check(doc, &r->arena, &group, r->err));
	COX_TRY(read_mesh(r, &mesh));
	struct cox_vm_options full = *o;
	if (!full.ingress_ip.n)
		full.ingress_ip = find_ingress(r);
	cox_tool_vm_files(&full, group, probe, mesh, &r->arena, &files);
	cox_free(mesh);
	return write_all(r, group, &files, notes);
}

enum cox_rc cox_tool_vm_configure(const struct cox_vm_options *o, struct cox_buf *notes, struct cox_err *err)
{
	struct cox_err own = { 0 };
	struct run r = { .o = o, .loop = cox_loop_new("vm"), .err = err ? err : &own };
	enum cox_rc rc = run(&r, notes);
	cox_kube_client_free(&r.kube);
	cox_loop_free(&r.loop);
	cox_arena_fini(&r.arena);
	return rc;
}
