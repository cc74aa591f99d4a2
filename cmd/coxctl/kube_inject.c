/* coxctl kube-inject: sidecars into YAML, without a webhook. */
#include "verbs.h"

#include "base/file.h"
#include "tool/inject.h"

#include <stdio.h>
#include <string.h>

static void say(void *ctx, struct cox_str line)
{
	(void)ctx;
	fprintf(stderr, "coxctl kube-inject: %.*s\n", COX_FMT(line));
}

static struct cox_str template_env(struct cox_str name)
{
	char buf[256];
	const char *v = name.n < sizeof(buf) ? cox_env_get(cox_str_to_cstr(name, buf, sizeof(buf))) : NULL;
	return cox_str_of(v);
}

struct options {
	const char *in, *out, *revision;
	const char *files[3]; /* config, values, mesh */
	bool native;
};

static enum cox_rc run(const struct options *o, struct cox_buf *out, struct cox_err *err)
{
	struct cox_buf texts[3] = { 0 }, in = { 0 };
	struct cox_arena scratch = { 0 };
	struct cox_diags diags = { .arena = &scratch };
	struct cox_inject_config *config = NULL;
	enum cox_rc rc = cox_file_read_arg(o->in, COX_JSON_BYTES_MAX, &in, err);
	for (size_t i = 0; i < COX_LEN(texts) && rc == COX_OK; i++)
		if (o->files[i])
			rc = cox_file_read_arg(o->files[i], COX_JSON_BYTES_MAX, &texts[i], err);
	struct cox_inject_sources from = { .config = cox_buf_str(&texts[0]),
		                           .values = cox_buf_str(&texts[1]),
		                           .mesh = cox_buf_str(&texts[2]),
		                           .revision = cox_str_of(o->revision),
		                           .env = template_env };
	if (rc == COX_OK)
		rc = cox_inject_config_build(&from, &diags, &config, err);
	for (size_t i = 0; i < diags.n; i++)
		say(NULL, cox_arena_printf(&scratch, "%.*s: %.*s", COX_FMT(diags.items[i].path), COX_FMT(diags.items[i].text)));
	if (rc == COX_OK)
		rc = cox_tool_inject(config, o->native, cox_buf_str(&in), out, say, NULL, err);
	cox_inject_config_unref(config);
	for (size_t i = 0; i < COX_LEN(texts); i++)
		cox_buf_fini(&texts[i]);
	cox_buf_fini(&in);
	cox_arena_fini(&scratch);
	return rc;
}

static enum cox_rc write_out(const char *path, const struct cox_buf *out, struct cox_err *err)
{
	if (path)
		return cox_file_write(path, 0644, cox_buf_str(out), err);
	return fwrite(out->p, 1, out->n, stdout) == out->n && fflush(stdout) == 0
	           ? COX_OK
	           : cox_err_set(err, COX_EIO, NULL, "standard output cannot be written");
}

static int kube_inject(struct cox_cli *cli)
{
	struct options o = { .in = cox_cli_get(cli, "filename"),
		             .out = cox_cli_get(cli, "output"),
		             .revision = cox_cli_get(cli, "revision"),
		             .files = { cox_cli_get(cli, "injectConfigFile"), cox_cli_get(cli, "valuesFile"),
		                        cox_cli_get(cli, "meshConfigFile") },
		             .native = cox_cli_is(cli, "nativeSidecars") };
	struct cox_err err = { 0 };
	struct cox_buf out = { 0 };
	if (!o.in)
		return cox_cli_wrong(cli, "-f is needed");
	enum cox_rc rc = run(&o, &out, &err);
	if (rc == COX_OK)
		rc = write_out(o.out, &out, &err);
	cox_buf_fini(&out);
	return rc == COX_OK ? 0 : cox_cli_fail(cli, &err);
}

const struct cox_cli_verb verb_kube_inject = {
	.path = "kube-inject",
	.summary = "sidecars into YAML, as the webhook does",
	.text = "Puts the sidecar into pods and workloads, as the webhook does at creation; other documents go through as they are.\n"
	        "What is left out, and warnings, are told on standard error.\n",
	.examples = "  coxctl kube-inject -f deployment.yaml | kubectl apply -f -\n",
	.flags =
	    (const struct cox_cli_flag[]){
	        { "filename", 'f', "FILE|-", NULL, "what to inject into", 0 },
	        { "output", 'o', "FILE", NULL, "instead of standard output", 0 },
	        { "injectConfigFile", 0, "FILE", NULL,
	          "key config of ConfigMap istio-sidecar-injector (policy, selectors, defaultTemplates)", 0 },
	        { "valuesFile", 0, "FILE", NULL, "its key values: Helm's values, YAML or JSON", 0 },
	        { "meshConfigFile", 0, "FILE", NULL, "key mesh of ConfigMap istio", 0 },
	        { "revision", 'r', "NAME", "", "of the control plane", 0 },
	        { "nativeSidecars", 0, NULL, NULL, "as a native sidecar (an init container that stays), for kubelet 1.29 and later", 0 },
	        VERB_FLAGS_END },
	.run = kube_inject,
};
