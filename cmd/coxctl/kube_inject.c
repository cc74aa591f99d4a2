/* coxctl kube-inject: sidecars into YAML, without a webhook. */
#include "verbs.h"

#include "base/file.h"
#include "tool/inject.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

static int usage(FILE *to)
{
	fputs("usage: coxctl kube-inject -f FILE|- [-o FILE] [flags]\n"
	      "\n"
	      "Puts the sidecar into pods and workloads, as the webhook does at creation; other documents go through as they are.\n"
	      "What is left out, and warnings, are told on standard error.\n"
	      "\n"
	      "      --injectConfigFile FILE   key config of ConfigMap istio-sidecar-injector (policy, selectors, defaultTemplates)\n"
	      "      --valuesFile FILE         its key values: Helm's values, YAML or JSON\n"
	      "      --meshConfigFile FILE     key mesh of ConfigMap istio\n"
	      "  -r, --revision NAME           of the control plane\n"
	      "      --nativeSidecars          as a native sidecar (an init container that stays), for kubelet 1.29 and later\n",
	      to);
	return to == stdout ? 0 : 2;
}

static void say(void *ctx, struct cox_str line)
{
	(void)ctx;
	fprintf(stderr, "coxctl kube-inject: %.*s\n", COX_FMT(line));
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
		                           .revision = cox_str_of(o->revision) };
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

static const struct option longs[] = {
	{ "filename", required_argument, NULL, 'f' },
	{ "output", required_argument, NULL, 'o' },
	{ "injectConfigFile", required_argument, NULL, 'c' },
	{ "valuesFile", required_argument, NULL, 'v' },
	{ "meshConfigFile", required_argument, NULL, 'm' },
	{ "revision", required_argument, NULL, 'r' },
	{ "nativeSidecars", no_argument, NULL, 'n' },
	{ "help", no_argument, NULL, 'h' },
	{ NULL, 0, NULL, 0 },
};

int coxctl_kube_inject(int argc, char **argv)
{
	struct options o = { .revision = "" };
	for (int c; (c = getopt_long(argc, argv, "f:o:r:h", longs, NULL)) != -1;)
		switch (c) {
		case 'f': o.in = optarg; break;
		case 'o': o.out = optarg; break;
		case 'r': o.revision = optarg; break;
		case 'n': o.native = true; break;
		case 'c': o.files[0] = optarg; break;
		case 'v': o.files[1] = optarg; break;
		case 'm': o.files[2] = optarg; break;
		case 'h': return usage(stdout);
		default: return usage(stderr);
		}
	if (!o.in || optind != argc)
		return usage(stderr);
	struct cox_err err = { 0 };
	struct cox_buf out = { 0 };
	char text[768];
	enum cox_rc rc = run(&o, &out, &err);
	if (rc == COX_OK)
		rc = write_out(o.out, &out, &err);
	cox_buf_fini(&out);
	if (rc != COX_OK)
		fprintf(stderr, "coxctl kube-inject: %s\n", cox_err_describe(&err, text, sizeof(text)));
	return rc == COX_OK ? 0 : 1;
}
