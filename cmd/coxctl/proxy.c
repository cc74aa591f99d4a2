#include "proxy.h"

#include "base/file.h"
#include "tool/pod.h"

enum cox_rc verb_cluster_open(const struct cox_cli *cli, struct cox_cluster **out, struct cox_str *ns, struct cox_err *err)
{
	struct cox_cluster_spec spec = verb_cluster(cli);
	COX_TRY(cox_cluster_open(&spec, out, err));
	if (ns)
		*ns = cox_cli_has(cli, "namespace") ? cox_cli_str(cli, "namespace") : cox_cluster_ns(*out);
	return COX_OK;
}

enum cox_rc proxy_open(const struct cox_cli *cli, const char *arg, struct proxy *out, struct cox_err *err)
{
	struct cox_str ns;
	struct cox_json *pod = NULL;
	if (cox_cli_has(cli, "proxy-admin")) {
		out->envoy.url = cox_cli_str(cli, "proxy-admin");
		out->name = cox_str_of(arg);
		return COX_OK;
	}
	COX_TRY(verb_cluster_open(cli, &out->cluster, &ns, err));
	struct cox_pod_name name = cox_pod_name_parse(cox_str_of(arg), ns);
	COX_TRY(cox_pod_find(out->cluster, &name, &out->arena, &pod, err));
	out->envoy = (struct cox_reach){ .cluster = out->cluster,
		                         .ns = cox_json_str_at(pod, "metadata.namespace"),
		                         .pod = cox_json_str_at(pod, "metadata.name"),
		                         .port = (uint16_t)cox_cli_i64(cli, "proxy-admin-port") };
	out->name = cox_arena_printf(&out->arena, "%.*s.%.*s", COX_FMT(out->envoy.pod), COX_FMT(out->envoy.ns));
	return COX_OK;
}

void proxy_close(struct proxy *p)
{
	cox_cluster_close(&p->cluster);
	cox_arena_fini(&p->arena);
}

static enum cox_rc file_json(const char *path, struct proxy *p, struct cox_json **out, struct cox_err *err)
{
	struct cox_buf text = { 0 };
	enum cox_rc rc = cox_file_read_arg(path, COX_JSON_ANSWER_BYTES_MAX, &text, err);
	if (rc == COX_OK) {
		rc = cox_json_parse_answer(&p->arena, cox_arena_str(&p->arena, cox_buf_str(&text)), out, err);
		if (rc != COX_OK)
			cox_err_wrap(err, "%s", path);
	}
	cox_buf_fini(&text);
	return rc;
}

enum cox_rc proxy_json(const struct cox_cli *cli, const char *arg, const char *path, struct proxy *p, struct cox_json **out,
                       struct cox_err *err)
{
	const char *file = cox_cli_get(cli, "file");
	if (file)
		return file_json(file, p, out, err);
	COX_TRY(proxy_open(cli, arg, p, err));
	return cox_reach_json(&p->envoy, cox_str_of(path), &p->arena, out, err);
}
