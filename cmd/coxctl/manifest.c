/* coxctl manifest, profile: what an installation would be made of. */
#include "install_flags.h"
#include "verbs.h"

#include "base/file.h"
#include "install/operator.h"

#include <stdio.h>

/* What flags say; *charts is the caller's to close. */
enum cox_rc install_resolve(const struct cox_cli *cli, struct cox_arena *arena, struct cox_charts **charts, struct cox_operator *out,
                            struct cox_err *err)
{
	struct cox_operator_spec spec = { .revision = cox_cli_get(cli, "revision"),
		                          .ns = cox_cli_has(cli, "istioNamespace") ? cox_cli_get(cli, "istioNamespace") : NULL };
	spec.file_n = cox_cli_all(cli, "filename", &spec.files);
	spec.set_n = cox_cli_all(cli, "set", &spec.sets);
	COX_TRY(cox_charts_open(cox_cli_get(cli, "manifests"), charts, err));
	enum cox_rc rc = cox_operator_resolve(*charts, &spec, arena, out, err);
	if (rc != COX_OK)
		cox_charts_close(charts);
	return rc;
}

static int write_out(const struct cox_cli *cli, struct cox_buf *text)
{
	struct cox_err err = { 0 };
	const char *path = cox_cli_get(cli, "output");
	if (!path)
		return cox_cli_print(cli, text);
	return cox_file_write(path, 0644, cox_buf_str(text), &err) == COX_OK ? 0 : cox_cli_fail(cli, &err);
}

static void append_doc(struct cox_buf *out, const struct cox_json *tree)
{
	cox_buf_append_cstr(out, "---\n");
	cox_json_write_yaml(out, tree);
	if (out->p[out->n - 1] != '\n')
		cox_buf_append_char(out, '\n');
}

static enum cox_rc generate_all(const struct cox_charts *charts, const struct cox_operator *o, struct cox_arena *arena, struct cox_buf *out,
                                struct cox_err *err)
{
	for (size_t i = 0; i < o->release_n; i++) {
		struct cox_json *objects;
		COX_TRY(cox_chart_render(charts, &o->releases[i].release, arena, &objects, err));
		for (size_t k = 0; k < objects->n; k++)
			append_doc(out, &objects->items[k]);
	}
	return COX_OK;
}

/* A document a chart: {chart, release, namespace, values}. */
static void translate_all(const struct cox_operator *o, struct cox_arena *arena, struct cox_buf *out)
{
	for (size_t i = 0; i < o->release_n; i++) {
		const struct cox_chart_release *r = &o->releases[i].release;
		struct cox_json *doc = cox_json_new_object(arena);
		cox_json_set(arena, doc, COX_STR("chart"), cox_json_new_str(arena, r->chart));
		cox_json_set(arena, doc, COX_STR("release"), cox_json_new_str(arena, r->name));
		cox_json_set(arena, doc, COX_STR("namespace"), cox_json_new_str(arena, r->ns));
		cox_json_set(arena, doc, COX_STR("values"), r->values);
		append_doc(out, doc);
	}
}

static int run(struct cox_cli *cli, bool is_generate)
{
	COX_AUTO(cox_arena_fini) struct cox_arena arena = { 0 };
	struct cox_err err = { 0 };
	struct cox_charts *charts = NULL;
	struct cox_operator o;
	struct cox_buf out = { 0 };
	enum cox_rc rc = install_resolve(cli, &arena, &charts, &o, &err);
	if (rc == COX_OK && is_generate)
		rc = generate_all(charts, &o, &arena, &out, &err);
	else if (rc == COX_OK)
		translate_all(&o, &arena, &out);
	int status = rc == COX_OK ? write_out(cli, &out) : cox_cli_fail(cli, &err);
	cox_buf_fini(&out);
	cox_charts_close(&charts);
	return status;
}

static int generate(struct cox_cli *cli) { return run(cli, true); }
static int translate(struct cox_cli *cli) { return run(cli, false); }

/* --- profiles ---------------------------------------------------------------------------------------------------------- */

static int profile_list(struct cox_cli *cli)
{
	struct cox_err err = { 0 };
	struct cox_charts *charts;
	struct cox_buf out = { 0 };
	struct cox_str text, name;
	const char *path;
	if (cox_charts_open(cox_cli_get(cli, "manifests"), &charts, &err) != COX_OK)
		return cox_cli_fail(cli, &err);
	for (size_t i = 0; (path = cox_charts_at(charts, i, &text)); i++) {
		name = cox_str_of(path);
		if (!cox_str_has_prefix(name, COX_STR("profiles/")) || !cox_str_has_suffix(name, COX_STR(".yaml")))
			continue;
		name = cox_str_sub(name, sizeof("profiles/") - 1, name.n - (sizeof("profiles/") - 1) - (sizeof(".yaml") - 1));
		cox_buf_append_str(&out, name);
		cox_buf_append_char(&out, '\n');
	}
	cox_charts_close(&charts);
	int status = cox_cli_print(cli, &out);
	cox_buf_fini(&out);
	return status;
}

static int profile_dump(struct cox_cli *cli)
{
	COX_AUTO(cox_arena_fini) struct cox_arena arena = { 0 };
	struct cox_err err = { 0 };
	struct cox_charts *charts;
	const struct cox_json *spec;
	const char *name = cox_cli_arg(cli, 0);
	if (cox_charts_open(cox_cli_get(cli, "manifests"), &charts, &err) != COX_OK)
		return cox_cli_fail(cli, &err);
	enum cox_rc rc = cox_operator_profile(charts, cox_str_of(name ? name : "default"), &arena, &spec, &err);
	int status = 1;
	if (rc == COX_OK) {
		struct cox_json *doc = cox_json_new_object(&arena);
		cox_json_set(&arena, doc, COX_STR("apiVersion"), cox_json_new_str(&arena, COX_STR("install.istio.io/v1alpha1")));
		cox_json_set(&arena, doc, COX_STR("kind"), cox_json_new_str(&arena, COX_STR("IstioOperator")));
		cox_json_set(&arena, doc, COX_STR("spec"), spec);
		status = verb_print_tree(cli, doc);
	}
	cox_charts_close(&charts);
	return rc == COX_OK ? status : cox_cli_fail(cli, &err);
}

/* --- the table ---------------------------------------------------------------------------------------------------------- */

const struct cox_cli_verb verb_manifest = { .path = "manifest", .summary = "what an installation is made of" };
const struct cox_cli_verb verb_manifest_generate = {
	.path = "manifest generate",
	.summary = "write the objects that install would apply",
	.text = "The same objects as `helm template` of the charts with these settings; nothing is asked of a cluster.\n",
	.examples = "  coxctl manifest generate --set profile=demo | kubectl apply -f -\n",
	.flags = (const struct cox_cli_flag[]){ INSTALL_FLAGS,
	                                        { "output", 'o', "FILE", NULL, "instead of standard output", 0 },
	                                        { "cluster-specific", 0, NULL, NULL, "", COX_CLI_IGNORED },
	                                        VERB_FLAGS_END },
	.run = generate,
};
const struct cox_cli_verb verb_manifest_translate = {
	.path = "manifest translate",
	.summary = "write the Helm values of each chart",
	.flags = (const struct cox_cli_flag[]){ INSTALL_FLAGS,
	                                        { "output", 'o', "FILE", NULL, "instead of standard output", 0 },
	                                        VERB_FLAGS_END },
	.run = translate,
};
const struct cox_cli_verb verb_profile = { .path = "profile", .summary = "the profiles of an installation" };
const struct cox_cli_verb verb_profile_dump = {
	.path = "profile dump",
	.args = "[PROFILE]",
	.arg_max = 1,
	.summary = "write a profile, laid over the default one",
	.flags = (const struct cox_cli_flag[]){ INSTALL_FLAG_MANIFESTS, VERB_FLAG_OUTPUT("json|yaml", "yaml"), VERB_FLAGS_END },
	.run = profile_dump,
};
const struct cox_cli_verb verb_profile_list = {
	.path = "profile list",
	.summary = "their names",
	.flags = (const struct cox_cli_flag[]){ INSTALL_FLAG_MANIFESTS, VERB_FLAGS_END },
	.run = profile_list,
};
