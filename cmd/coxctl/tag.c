/* coxctl tag: other names of a revision. */
#include "install_flags.h"
#include "verbs.h"

#include "install/tag.h"

#include <stdio.h>

static struct cox_tag_spec spec_of(const struct cox_cli *cli)
{
	const char *revision = cox_cli_get(cli, "revision");
	return (struct cox_tag_spec){ .tag = cox_str_of(cox_cli_arg(cli, 0)),
		                      .revision = cox_str_of(revision && revision[0] ? revision : NULL),
		                      .ns = cox_cli_str(cli, "istioNamespace"),
		                      .webhook_name = cox_cli_str(cli, "webhook-name"),
		                      .auto_inject = cox_cli_is(cli, "auto-inject-namespaces"),
		                      .overwrite = cox_cli_is(cli, "overwrite") };
}

static enum cox_rc write_objects(struct cox_cluster *c, const struct cox_charts *charts, const struct cox_tag_spec *spec,
                                 struct cox_buf *out, struct cox_err *err)
{
	COX_AUTO(cox_arena_fini) struct cox_arena arena = { 0 };
	struct cox_json *objects;
	COX_TRY(cox_tag_generate(c, charts, spec, &arena, &objects, err));
	for (size_t i = 0; i < objects->n; i++) {
		cox_buf_append_cstr(out, "---\n");
		cox_json_write_yaml(out, &objects->items[i]);
	}
	return COX_OK;
}

static int make(struct cox_cli *cli, bool is_generate)
{
	struct cox_err err = { 0 };
	struct cox_charts *charts = NULL;
	struct cox_cluster *cluster = NULL;
	struct cox_cluster_spec where = verb_cluster(cli);
	struct cox_tag_spec spec = spec_of(cli);
	struct cox_buf out = { 0 };
	if (!spec.revision.n)
		return cox_cli_wrong(cli, "--revision is needed");
	enum cox_rc rc = cox_charts_open(cox_cli_get(cli, "manifests"), &charts, &err);
	if (rc == COX_OK)
		rc = cox_cluster_open(&where, &cluster, &err);
	if (rc == COX_OK)
		rc = is_generate ? write_objects(cluster, charts, &spec, &out, &err) : cox_tag_set(cluster, charts, &spec, &err);
	cox_cluster_close(&cluster);
	cox_charts_close(&charts);
	if (rc == COX_OK && !is_generate)
		cox_buf_printf(&out,
		               "Revision tag \"%.*s\" referencing control plane revision \"%.*s\" is set. To enable injection using this\n"
		               "revision tag: kubectl label namespace <NAMESPACE> istio.io/rev=%.*s\n",
		               COX_FMT(spec.tag), COX_FMT(spec.revision), COX_FMT(spec.tag));
	int status = rc == COX_OK ? cox_cli_print(cli, &out) : cox_cli_fail(cli, &err);
	cox_buf_fini(&out);
	return status;
}

static int set(struct cox_cli *cli) { return make(cli, false); }
static int generate(struct cox_cli *cli) { return make(cli, true); }

static void write_table(const struct cox_json *tags, struct cox_buf *out)
{
	size_t tag_w = 3, rev_w = 8;
	if (!tags->n) {
		cox_buf_append_cstr(out, "No Istio revision tag MutatingWebhookConfigurations to list\n");
		return;
	}
	for (size_t i = 0; i < tags->n; i++) {
		size_t tag_n = cox_json_str_at(&tags->items[i], "tag").n, rev_n = cox_json_str_at(&tags->items[i], "revision").n;
		tag_w = tag_n > tag_w ? tag_n : tag_w;
		rev_w = rev_n > rev_w ? rev_n : rev_w;
	}
	cox_buf_printf(out, "%-*s %-*s %s\n", (int)tag_w, "TAG", (int)rev_w, "REVISION", "NAMESPACES");
	for (size_t i = 0; i < tags->n; i++) {
		char tag[256], revision[256];
		const struct cox_json *users = cox_json_get(&tags->items[i], COX_STR("namespaces"));
		cox_buf_printf(out, "%-*s %-*s ", (int)tag_w, cox_str_to_cstr(cox_json_str_at(&tags->items[i], "tag"), tag, sizeof(tag)),
		               (int)rev_w, cox_str_to_cstr(cox_json_str_at(&tags->items[i], "revision"), revision, sizeof(revision)));
		for (size_t k = 0; k < users->n; k++)
			cox_buf_printf(out, "%s%.*s", k ? "," : "", COX_FMT(users->items[k].text));
		cox_buf_append_char(out, '\n');
	}
}

static int list(struct cox_cli *cli)
{
	COX_AUTO(cox_arena_fini) struct cox_arena arena = { 0 };
	struct cox_err err = { 0 };
	struct cox_cluster *cluster = NULL;
	struct cox_cluster_spec where = verb_cluster(cli);
	struct cox_json *tags = NULL;
	struct cox_buf out = { 0 };
	enum cox_rc rc = cox_cluster_open(&where, &cluster, &err);
	if (rc == COX_OK)
		rc = cox_tag_list(cluster, &arena, &tags, &err);
	cox_cluster_close(&cluster);
	if (rc != COX_OK)
		return cox_cli_fail(cli, &err);
	if (strcmp(cox_cli_get(cli, "output"), "table") != 0)
		return verb_print_tree(cli, tags);
	write_table(tags, &out);
	int status = cox_cli_print(cli, &out);
	cox_buf_fini(&out);
	return status;
}

/* Namespaces that would have no injector any more are a reason to ask. */
static bool is_sure(const struct cox_cli *cli, const struct cox_json *tags, const char *tag)
{
	char question[400];
	for (size_t i = 0; i < tags->n; i++) {
		const struct cox_json *users = cox_json_get(&tags->items[i], COX_STR("namespaces"));
		if (!cox_str_eq_cstr(cox_json_str_at(&tags->items[i], "tag"), tag) || !users->n)
			continue;
		snprintf(question, sizeof(question),
		         "Caution, found %zu namespace(s) still injected by tag \"%s\". Proceed with operation?", users->n, tag);
		return install_confirm(cli, question);
	}
	return true;
}

static int remove_tag(struct cox_cli *cli)
{
	COX_AUTO(cox_arena_fini) struct cox_arena arena = { 0 };
	struct cox_err err = { 0 };
	struct cox_cluster *cluster = NULL;
	struct cox_cluster_spec where = verb_cluster(cli);
	struct cox_json *tags = NULL;
	const char *tag = cox_cli_arg(cli, 0);
	bool sure = false;
	enum cox_rc rc = cox_cluster_open(&where, &cluster, &err);
	if (rc == COX_OK)
		rc = cox_tag_list(cluster, &arena, &tags, &err);
	if (rc == COX_OK && (sure = is_sure(cli, tags, tag)))
		rc = cox_tag_remove(cluster, cox_str_of(tag), &err);
	cox_cluster_close(&cluster);
	if (rc != COX_OK)
		return cox_cli_fail(cli, &err);
	printf(sure ? "Revision tag %s removed\n" : "Revision tag %s was not removed\n", tag);
	return sure ? 0 : 1;
}

/* --- the table ------------------------------------------------------------------------------------------------------------ */

static const struct cox_cli_flag make_flags[] = {
	{ "revision", 'r', "NAME", NULL, "which control plane it stands for", 0 },
	{ "overwrite", 0, NULL, NULL, "let a tag that is there stand for this one", 0 },
	{ "webhook-name", 0, "NAME", NULL, "of its MutatingWebhookConfiguration", 0 },
	{ "auto-inject-namespaces", 0, NULL, NULL, "with the tag default: all namespaces but those that say no", 0 },
	{ "skip-confirmation", 'y', NULL, NULL, "", COX_CLI_IGNORED },
	INSTALL_FLAG_MANIFESTS,
	VERB_FLAGS_END,
};

const struct cox_cli_verb verb_tag = { .path = "tag", .summary = "other names of a revision, which namespaces can follow" };
const struct cox_cli_verb verb_tag_generate = {
	.path = "tag generate",
	.args = "TAG",
	.arg_min = 1,
	.arg_max = 1,
	.summary = "write the objects of a tag",
	.examples = "  coxctl tag generate prod --revision canary | kubectl apply -f -\n",
	.flags = make_flags,
	.run = generate,
};
const struct cox_cli_verb verb_tag_list = {
	.path = "tag list|show",
	.summary = "tags, their revisions, and the namespaces that follow them",
	.flags = (const struct cox_cli_flag[]){ VERB_FLAG_OUTPUT("table|json|yaml", "table"), VERB_FLAGS_END },
	.run = list,
};
const struct cox_cli_verb verb_tag_remove = {
	.path = "tag remove|delete",
	.args = "TAG",
	.arg_min = 1,
	.arg_max = 1,
	.summary = "remove a tag",
	.flags = (const struct cox_cli_flag[]){ { "skip-confirmation", 'y', NULL, NULL, "do not ask", 0 }, VERB_FLAGS_END },
	.run = remove_tag,
};
const struct cox_cli_verb verb_tag_set = {
	.path = "tag set",
	.args = "TAG",
	.arg_min = 1,
	.arg_max = 1,
	.summary = "make or move a tag",
	.text =
	    "Namespaces labelled istio.io/rev=TAG get their sidecars from that revision. The tag \"default\" is for namespaces labelled\n"
	    "istio-injection=enabled, and validates objects of no revision.\n",
	.examples = "  coxctl tag set prod --revision 1-2-0\n  coxctl tag set prod --revision 1-3-0 --overwrite\n",
	.flags = make_flags,
	.run = set,
};
