#include "tool/vm.h"

#include "base/file.h"
#include "codec/yaml.h"
#include "tool/vm_priv.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

enum { FILE_BYTES_MAX = 1 << 20, TOKEN_S = 3600 };

struct run {
	const struct cox_vm_options *o;
	struct cox_cluster *cluster;
	struct cox_arena arena;
	struct cox_json *answer; /* of the last question */
	struct cox_err *err;
};

static enum cox_rc get(struct run *r, const struct cox_cluster_kind *kind, struct cox_str ns, struct cox_str name)
{
	return cox_cluster_get(r->cluster, kind, ns, name, &r->arena, &r->answer, r->err);
}

#define CONFIG_MAPS COX_CLUSTER_KIND("", "v1", "configmaps", "ConfigMap")

/* --- what is needed ---------------------------------------------------------------------------------------------------- */

static enum cox_rc read_group_file(struct run *r)
{
	struct cox_buf text = { 0 };
	enum cox_rc rc = cox_file_read_arg(r->o->file, FILE_BYTES_MAX, &text, r->err);
	if (rc == COX_OK) {
		rc = cox_yaml_one(&r->arena, cox_arena_str(&r->arena, cox_buf_str(&text)), FILE_BYTES_MAX, &r->answer, NULL, r->err);
		if (rc != COX_OK)
			cox_err_wrap(r->err, "%s", r->o->file);
	}
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
	enum cox_rc rc = get(r, CONFIG_MAPS, r->o->istio_ns, name);
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
	COX_TRY(get(r, CONFIG_MAPS, ns, COX_STR("istio-ca-root-cert")));
	const struct cox_json *pem = cox_json_get(cox_json_get(r->answer, COX_STR("data")), COX_STR("root-cert.pem"));
	if (!pem || pem->type != COX_JSON_STRING || !pem->text.n)
		return cox_err_set(r->err, COX_EINVAL, NULL, "ConfigMap %.*s/istio-ca-root-cert has no root-cert.pem", COX_FMT(ns));
	*out = pem->text;
	return COX_OK;
}

static enum cox_rc ask_token(struct run *r, const struct cox_object *group, struct cox_str *out)
{
	struct cox_json *body = NULL;
	struct cox_buf path = { 0 };
	struct cox_str text =
	    cox_arena_printf(&r->arena,
	                     "{\"apiVersion\":\"authentication.k8s.io/v1\",\"kind\":\"TokenRequest\",\"spec\":{\"audiences\":["
	                     "\"istio-ca\"],\"expirationSeconds\":%lld}}",
	                     (long long)(r->o->token_s ? r->o->token_s : TOKEN_S));
	COX_TRY(cox_json_parse(&r->arena, text, &body, r->err));
	cox_kube_path(&path, COX_STR(""), COX_STR("v1"), COX_STR("serviceaccounts"), group->meta.ns, vm_account(group), COX_STR("token"));
	enum cox_rc rc = cox_cluster_call(r->cluster, "POST", cox_buf_str(&path), body, &r->arena, &r->answer, r->err);
	cox_buf_fini(&path);
	if (rc != COX_OK)
		return rc;
	*out = cox_json_str_at(r->answer, "status.token");
	return out->n ? COX_OK : cox_err_set(r->err, COX_EPROTO, NULL, "the kube-apiserver gave no token");
}

/* The address of the Service through which machines reach the control plane; empty: not known. */
static struct cox_str find_ingress(struct run *r)
{
	struct cox_err *err = r->err, ignored = { 0 };
	struct cox_str service = r->o->ingress_service.n ? r->o->ingress_service : COX_STR("istio-eastwestgateway"), ip = { 0 };
	r->err = &ignored; /* it is a help, no more */
	if (get(r, COX_CLUSTER_KIND("", "v1", "services", "Service"), r->o->istio_ns, service) == COX_OK) {
		const struct cox_json *list = cox_json_at(r->answer, "status.loadBalancer.ingress");
		for (size_t i = 0; list && list->type == COX_JSON_ARRAY && i < list->n && !ip.n; i++)
			ip = cox_json_str_at(&list->items[i], "ip");
	}
	r->err = err;
	return ip;
}

/* --- the directory ------------------------------------------------------------------------------------------------------- */

static enum cox_rc file_write(const struct run *r, const char *name, unsigned mode, struct cox_str text)
{
	char path[4096];
	if ((size_t)snprintf(path, sizeof(path), "%s/%s", r->o->out_dir, name) >= sizeof(path))
		return cox_err_set(r->err, COX_EINVAL, NULL, "the path of the directory is too long");
	return cox_file_write(path, mode, text, r->err);
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
	struct cox_mesh_config *mesh = NULL;
	struct cox_vm_files files;
	COX_TRY(cox_cluster_open(&o->cluster, &r->cluster, r->err));
	COX_TRY(o->file ? read_group_file(r)
	                : get(r, COX_CLUSTER_KIND("networking.istio.io", "v1", "workloadgroups", "WorkloadGroup"), o->ns, o->name));
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
	struct run r = { .o = o, .err = err ? err : &own };
	enum cox_rc rc = run(&r, notes);
	cox_cluster_close(&r.cluster);
	cox_arena_fini(&r.arena);
	return rc;
}
