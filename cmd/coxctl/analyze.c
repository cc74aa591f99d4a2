/* coxctl analyze: what is wrong with the mesh, or would be with these files. */
#include "verbs.h"

#include "tool/gather.h"

#include <stdio.h>

/* As istioctl's, for scripts. */
enum { EXIT_FAILED = 1, EXIT_USAGE = 64, EXIT_BAD_FILES = 65, EXIT_FOUND = 79 };

struct analysis {
	struct cox_cli *cli;
	struct cox_gather objects;
	struct cox_buf notes, out;
	struct cox_str ns; /* whose messages; empty: all */
	struct cox_str root_ns, revision;
	enum cox_analyze_level fail_at, show_at;
	bool is_live, with_cluster;
	struct cox_analyze_result result;
};

static int usage(const char *text, const char *what)
{
	(void)fprintf(stderr, "coxctl analyze: %s: \"%s\" (coxctl analyze --help)\n", text, what);
	return EXIT_USAGE;
}

static int failed(const struct analysis *a, const struct cox_err *err)
{
	(void)cox_cli_fail(a->cli, err);
	return EXIT_FAILED;
}

static int list_analyzers(struct analysis *a)
{
	const char *name, *what;
	for (size_t i = 0; cox_analyze_list(i, &name, &what); i++)
		cox_buf_printf(&a->out, "* %s:\n    %s\n", name, what);
	return cox_cli_print(a->cli, &a->out);
}

/* --- what is analyzed ------------------------------------------------------------------------------------------- */

static enum cox_rc read_files(struct analysis *a, struct cox_err *err)
{
	for (size_t i = 0; i < cox_cli_arg_count(a->cli); i++)
		COX_TRY(cox_gather_path(&a->objects, cox_cli_arg(a->cli, i), &a->notes, err));
	if (cox_cli_has(a->cli, "meshConfigFile"))
		COX_TRY(cox_gather_tree(&a->objects, cox_cli_get(a->cli, "meshConfigFile"), &a->objects.mesh, err));
	if (cox_cli_has(a->cli, "meshNetworksFile"))
		COX_TRY(cox_gather_tree(&a->objects, cox_cli_get(a->cli, "meshNetworksFile"), &a->objects.networks, err));
	return COX_OK;
}

static enum cox_rc read_contexts(struct analysis *a, const struct cox_gather_cluster *how, struct cox_err *err)
{
	const char *const *contexts;
	size_t n = cox_cli_all(a->cli, "remote-contexts", &contexts);
	for (size_t i = 0; i < n; i++) {
		struct cox_cluster_spec spec = verb_cluster(a->cli);
		struct cox_gather_cluster remote = *how;
		struct cox_cluster *c = NULL;
		spec.context = contexts[i];
		remote.id = cox_str_of(contexts[i]);
		remote.is_remote = true;
		enum cox_rc rc = cox_cluster_open(&spec, &c, err);
		if (rc == COX_OK)
			rc = cox_gather_cluster(&a->objects, c, &remote, err);
		cox_cluster_close(&c);
		COX_TRY(rc);
	}
	if (n == 0)
		cox_gather_remotes(&a->objects, how, cox_cli_ms(a->cli, "kubeclient-timeout"), &a->notes);
	return COX_OK;
}

/* *is_there: the namespace that is asked for. */
static enum cox_rc read_cluster(struct analysis *a, bool *is_there, struct cox_err *err)
{
	struct cox_cluster_spec spec = verb_cluster(a->cli);
	struct cox_gather_cluster how = { .root_ns = a->root_ns, .revision = a->revision };
	struct cox_cluster *c = NULL;
	struct cox_json *ns = NULL;
	COX_TRY(cox_cluster_open(&spec, &c, err));
	a->ns = cox_arena_str(&a->objects.arena, cox_cli_has(a->cli, "namespace") ? a->ns : cox_cluster_ns(c));
	enum cox_rc rc =
	    cox_cluster_get(c, COX_CLUSTER_KIND_WIDE("", "v1", "namespaces", "Namespace"), COX_STR(""), a->ns, &a->objects.arena, &ns, err);
	if (rc == COX_ENOTFOUND)
		*is_there = false, rc = COX_OK;
	else if (rc == COX_OK)
		rc = cox_gather_cluster(&a->objects, c, &how, err);
	if (rc == COX_OK && *is_there) {
		cox_gather_find_mesh(&a->objects, a->root_ns);
		size_t before = a->objects.docs.n;
		rc = read_contexts(a, &how, err);
		a->with_cluster = a->objects.docs.n > before;
		for (size_t i = 0; i < before && a->with_cluster; i++)
			if (!a->objects.docs.p[i].cluster.n)
				a->objects.docs.p[i].cluster = COX_STR("default");
	}
	cox_cluster_close(&c);
	return rc;
}

/* --- the run ----------------------------------------------------------------------------------------------------- */

static int analyze(struct analysis *a)
{
	const char *const *texts;
	size_t n = cox_cli_all(a->cli, "suppress", &texts), only_n;
	struct cox_analyze_suppression *suppress = COX_ARENA_ARRAY(&a->objects.arena, struct cox_analyze_suppression, n + 1);
	struct cox_str *only = verb_strs(a->cli, "analyzer", &only_n);
	bool complete = cox_cli_is(a->cli, "complete");
	int status = 0;
	for (size_t i = 0; i < n && !status; i++) {
		enum cox_analyze_code code;
		struct cox_str rest = cox_str_of(texts[i]);
		if (!cox_str_next(&rest, '=', &suppress[i].code) || !rest.n)
			status = usage("--suppress needs CODE=OBJECT", texts[i]);
		suppress[i].object = rest;
		if (!status && !cox_analyze_code_find(suppress[i].code, &code))
			cox_buf_printf(&a->notes,
			               "Warning: Supplied message code '%.*s' is an unknown message code and will not have any effect.\n",
			               COX_FMT(suppress[i].code));
	}
	struct cox_analyze_options o = { .docs = a->objects.docs.p,
		                         .doc_n = a->objects.docs.n,
		                         .is_partial = !a->is_live && !complete,
		                         .default_ns = a->ns,
		                         .only_ns = a->ns,
		                         .root_ns = a->root_ns,
		                         .mesh = a->objects.mesh,
		                         .networks = a->objects.networks,
		                         .suppress = suppress,
		                         .suppress_n = n,
		                         .only = only,
		                         .only_n = only_n };
	if (!status)
		cox_analyze(&o, &a->objects.arena, &a->result);
	cox_free(only);
	return status;
}

static void say_verbose(struct analysis *a)
{
	cox_buf_printf(&a->notes, "Analyzed resources in %s%.*s\nSkipped analyzers:\n", a->ns.n ? "namespace: " : "all namespaces",
	               COX_FMT(a->ns));
	for (size_t i = 0; i < a->result.skipped_n; i++)
		cox_buf_printf(&a->notes, "\t%s\n", a->result.skipped[i]);
	cox_buf_append_cstr(&a->notes, "Executed analyzers:\n");
	for (size_t i = 0; i < a->result.ran_n; i++)
		cox_buf_printf(&a->notes, "\t%s\n", a->result.ran[i]);
}

/* Returns how many are shown. */
static size_t write_result(struct analysis *a, bool is_log)
{
	struct cox_arena *arena = &a->objects.arena;
	struct cox_json *list = cox_json_new_array(arena);
	struct cox_str color = cox_cli_str(a->cli, "color");
	bool has_color = cox_str_eq_cstr(color, "true") || cox_str_eq_cstr(color, "always") ||
	                 (cox_str_eq_cstr(color, "auto") && cox_cli_has_color(a->cli));
	size_t shown = 0;
	for (size_t i = 0; i < a->result.n; i++) {
		const struct cox_analyze_message *m = &a->result.items[i];
		if (cox_analyze_code_info(m->code)->level > a->show_at)
			continue;
		shown++;
		if (is_log) {
			cox_analyze_write_line(m, has_color, a->with_cluster, &a->out);
			cox_buf_append_char(&a->out, '\n');
		} else
			(void)cox_json_push(arena, list, cox_analyze_to_json(m, a->with_cluster, arena));
	}
	if (is_log && shown == 0)
		cox_buf_append_char(&a->out, '\n');
	else if (cox_str_eq_cstr(cox_cli_str(a->cli, "output"), "yaml"))
		cox_json_write_yaml(&a->out, list);
	else if (!is_log)
		cox_json_write(&a->out, list, 4, false);
	if (a->out.n && a->out.p[a->out.n - 1] != '\n')
		cox_buf_append_char(&a->out, '\n');
	return shown;
}

static void say_fine(struct analysis *a)
{
	const struct cox_gather *g = &a->objects;
	if (g->bad_files)
		cox_buf_printf(&a->notes, "No validation issues found (but %zu file%s could not be parsed).\n", g->bad_files,
		               g->bad_files > 1 ? "s" : "");
	else if (g->files.n == 0)
		cox_buf_printf(&a->notes, "\u2714 No validation issues found when analyzing %s%.*s.\n",
		               a->ns.n ? "namespace: " : "all namespaces", COX_FMT(a->ns));
	else {
		cox_buf_printf(&a->notes, "\u2714 No validation issues found when analyzing%s", g->files.n > 1 ? ":\n" : " ");
		for (size_t i = 0; i < g->files.n; i++)
			cox_buf_printf(&a->notes, g->files.n > 1 ? "  - %.*s\n" : "%.*s.\n", COX_FMT(g->files.p[i]));
	}
}

static int verdict(struct analysis *a, bool is_log)
{
	bool found = false;
	for (size_t i = 0; i < a->result.n; i++)
		found |= cox_analyze_code_info(a->result.items[i].code)->level <= a->fail_at;
	if (!is_log) /* as istioctl: a script reads the messages */
		return 0;
	if (found)
		cox_buf_printf(&a->notes, "Error: Analyzers found issues when analyzing %s%.*s.\n",
		               a->ns.n ? "namespace: " : "all namespaces", COX_FMT(a->ns));
	else if (a->objects.bad_files && !cox_cli_is(a->cli, "ignore-unknown"))
		cox_buf_append_cstr(&a->notes, "Error: Some files couldn't be parsed.\n");
	else
		return 0;
	return found ? EXIT_FOUND : EXIT_BAD_FILES;
}

static int work(struct analysis *a)
{
	struct cox_err err = { 0 };
	struct cox_str output = cox_cli_str(a->cli, "output");
	bool is_log = cox_str_eq_nocase(output, COX_STR("log")), is_there = true, all = cox_cli_is(a->cli, "all-namespaces");
	if (!is_log && !cox_str_eq_cstr(output, "json") && !cox_str_eq_cstr(output, "yaml"))
		return usage("no format for --output; log, json and yaml are", output.p);
	if (!cox_analyze_level_parse(cox_cli_str(a->cli, "failure-threshold"), &a->fail_at))
		return usage("no level for --failure-threshold; Info, Warning and Error are", cox_cli_get(a->cli, "failure-threshold"));
	if (!cox_analyze_level_parse(cox_cli_str(a->cli, "output-threshold"), &a->show_at))
		return usage("no level for --output-threshold; Info, Warning and Error are", cox_cli_get(a->cli, "output-threshold"));
	if (cox_cli_is(a->cli, "list-analyzers"))
		return list_analyzers(a);
	a->is_live = cox_cli_is(a->cli, "use-kube");
	a->ns = cox_cli_has(a->cli, "namespace") ? cox_cli_str(a->cli, "namespace") : COX_STR("default");
	if (read_files(a, &err) != COX_OK || (a->is_live && read_cluster(a, &is_there, &err) != COX_OK))
		return failed(a, &err);
	if (!is_there) {
		cox_buf_printf(&a->notes, "namespace \"%.*s\" not found\n", COX_FMT(a->ns));
		return 0;
	}
	if (cox_cli_is(a->cli, "complete"))
		cox_gather_find_mesh(&a->objects, a->root_ns);
	if (all)
		a->ns = COX_STR("");
	int status = analyze(a);
	if (status)
		return status;
	if (cox_cli_is(a->cli, "verbose"))
		say_verbose(a);
	if (write_result(a, is_log) == 0)
		say_fine(a);
	status = verdict(a, is_log);
	return cox_cli_print(a->cli, &a->out) ? EXIT_FAILED : status;
}

static int run(struct cox_cli *cli)
{
	struct analysis a = { .cli = cli, .root_ns = cox_cli_str(cli, "istioNamespace"), .revision = cox_cli_str(cli, "revision") };
	int status = work(&a);
	if (a.notes.n)
		(void)fwrite(a.notes.p, 1, a.notes.n, stderr);
	cox_buf_fini(&a.notes);
	cox_buf_fini(&a.out);
	cox_gather_fini(&a.objects);
	return status;
}

const struct cox_cli_verb verb_analyze = {
	.path = "analyze",
	.args = "[FILE|DIR|-]...",
	.summary = "what is wrong with the mesh, or would be with these files",
	.text =
	    "Looks at the objects of a cluster, of files, or of both, where files stand for what would be applied. Codes, levels and objects\n"
	    "are those of istioctl analyze. Of files alone (--use-kube=false) Pods, Services, Namespaces, Nodes and Secrets do not count, and\n"
	    "analyzers that need them do not run, unless the files are said to be --complete.\n"
	    "The annotation galley.istio.io/analyze-suppress of an object holds codes that are not said of it, with commas, or *.\n"
	    "Exit status, with --output log: 79 where a message reaches the failure threshold, 65 where a file cannot be parsed, 64 wrong\n"
	    "usage, 1 anything else.\n",
	.flags =
	    (const struct cox_cli_flag[]){
	        { "all-namespaces", 'A', NULL, NULL, "messages about objects of all namespaces", 0 },
	        { "analyzer", 0, "NAME", NULL, "run this one only", COX_CLI_REPEATS },
	        { "color", 0, "auto|always|never|true|false", "auto", "colours; auto: on a terminal, and without NO_COLOR", 0 },
	        { "complete", 0, NULL, NULL, "the files hold the whole mesh, with Pods, Services and ConfigMap istio", 0 },
	        { "failure-threshold", 0, "LEVEL", "Error", "messages from this level on (Info, Warning, Error) fail", 0 },
	        { "ignore-unknown", 0, NULL, NULL, "files that cannot be parsed do not fail", 0 },
	        { "list-analyzers", 'L', NULL, NULL, "name the analyzers, and do nothing else", 0 },
	        { "meshConfigFile", 0, "FILE", NULL, "the mesh configuration, instead of the cluster's", 0 },
	        { "meshNetworksFile", 0, "FILE", NULL, "the mesh's networks, instead of the cluster's", 0 },
	        { "output", 'o', "FORMAT", "log", "log, json or yaml", 0 },
	        { "output-threshold", 0, "LEVEL", "Info", "messages from this level on are shown", 0 },
	        { "recursive", 'R', NULL, NULL, "directories always are", COX_CLI_IGNORED },
	        { "remote-contexts", 0, "CONTEXT", NULL, "a remote cluster of the mesh; without it: those of the remote secrets",
	          COX_CLI_REPEATS },
	        { "revision", 'r', "REVISION", "default", "objects labelled with another one do not count", 0 },
	        { "suppress", 'S', "CODE=OBJECT", NULL, "leave out this message about \"Kind name.namespace\", where * is any text",
	          COX_CLI_REPEATS },
	        { "timeout", 0, "DURATION", NULL, "as --kubeclient-timeout", COX_CLI_IGNORED },
	        { "use-kube", 'k', NULL, "true", "look at the cluster; =false: at files only", 0 },
	        { "verbose", 'v', NULL, NULL, "say which analyzers ran", 0 },
	        VERB_FLAGS_END },
	.examples = "  coxctl analyze -A\n"
	            "  coxctl analyze --use-kube=false web.yaml config/\n"
	            "  coxctl analyze -n shop new.yaml --failure-threshold Warning\n"
	            "  coxctl analyze -S \"IST0103=Pod *.testing\"\n",
	.run = run,
};
