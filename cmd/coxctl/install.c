/* coxctl install, upgrade, uninstall: the control plane in a cluster. */
#include "install_flags.h"
#include "verbs.h"

#include "install/apply.h"

#include <stdio.h>
#include <unistd.h>

/* --- people ------------------------------------------------------------------------------------------------------------ */

/* An end of file is no. */
bool install_confirm(const struct cox_cli *cli, const char *question)
{
	char line[16];
	if (cox_cli_is(cli, "skip-confirmation"))
		return true;
	printf("%s (y/N) ", question);
	fflush(stdout);
	return fgets(line, sizeof(line), stdin) && (line[0] == 'y' || line[0] == 'Y');
}

struct screen {
	bool is_terminal, has_color;
	int width;
};

static void bar(const struct screen *s, const struct cox_install_progress *p)
{
	enum { CELLS = 24 };
	char cells[CELLS + 1];
	size_t full = p->total ? p->done * CELLS / p->total : 0;
	for (size_t i = 0; i < CELLS; i++)
		cells[i] = i < full ? '#' : '.';
	cells[CELLS] = 0;
	fprintf(stderr, "\r\033[K%s%-15s%s [%s] %3zu/%zu %s%.*s", s->has_color ? "\033[1m" : "", p->part, s->has_color ? "\033[0m" : "",
	        cells, p->done, p->total, p->is_waiting ? "waiting for " : "", p->what.n > 60 ? 60 : (int)p->what.n,
	        p->what.p ? p->what.p : "");
	fflush(stderr);
}

static void on_progress(void *ctx, const struct cox_install_progress *p)
{
	const struct screen *s = ctx;
	if (s->is_terminal && !p->is_finished && p->total) {
		bar(s, p);
		return;
	}
	if (!p->is_finished)
		return;
	if (s->is_terminal)
		fputs("\r\033[K", stderr);
	const char *mark = s->has_color ? "\033[32m\xe2\x9c\x94\033[0m" : "\xe2\x9c\x94";
	if (p->total)
		printf("%s %s installed: %.*s, %zu objects\n", mark, p->part, COX_FMT(p->what), p->done);
	else
		printf("%s %s: %zu objects\n", mark, p->part, p->done);
	fflush(stdout);
}

static struct cox_install_ctx context(const struct cox_cli *cli, struct cox_cluster *cluster, struct screen *s)
{
	*s = (struct screen){ .is_terminal = isatty(2), .has_color = cox_cli_has_color(cli) };
	return (struct cox_install_ctx){ .cluster = cluster, .dry_run = cox_cli_is(cli, "dry-run"), .progress = on_progress, .ctx = s };
}

/* --- install ------------------------------------------------------------------------------------------------------------- */

static bool ask(const struct cox_cli *cli, const struct cox_operator *o, struct cox_cluster *cluster)
{
	char question[600];
	struct cox_str profile = cox_json_str_at(o->spec, "profile"), where = cox_cluster_source(cluster);
	snprintf(
	    question, sizeof(question),
	    "This will install the control plane (profile \"%.*s\", revision \"%.*s\") in namespace %.*s of the cluster of %.*s. Proceed?",
	    COX_FMT(profile.n ? profile : COX_STR("default")), COX_FMT(o->revision.n ? o->revision : COX_STR("default")), COX_FMT(o->ns),
	    COX_FMT(where));
	return cox_cli_is(cli, "dry-run") || install_confirm(cli, question);
}

static int install(struct cox_cli *cli)
{
	COX_AUTO(cox_arena_fini) struct cox_arena arena = { 0 };
	struct cox_err err = { 0 };
	struct cox_charts *charts = NULL;
	struct cox_cluster *cluster = NULL;
	struct cox_operator o;
	struct screen screen;
	struct cox_cluster_spec where = verb_cluster(cli);
	enum cox_rc rc = install_resolve(cli, &arena, &charts, &o, &err);
	if (rc == COX_OK)
		rc = cox_cluster_open(&where, &cluster, &err);
	bool goes_on = rc == COX_OK && ask(cli, &o, cluster);
	if (goes_on) {
		struct cox_install_ctx x = context(cli, cluster, &screen);
		x.ready_ms = cox_cli_ms(cli, "readiness-timeout");
		rc = cox_install_apply(&x, charts, &o, &err);
		if (rc != COX_OK && screen.is_terminal)
			fputs("\r\033[K", stderr);
	}
	cox_cluster_close(&cluster);
	cox_charts_close(&charts);
	if (rc != COX_OK)
		return cox_cli_fail(cli, &err);
	if (!goes_on) {
		puts("Nothing was installed.");
		return 1;
	}
	puts(cox_cli_is(cli, "dry-run") ? "The cluster would take all of it; nothing was changed." : "Installation complete");
	return 0;
}

/* --- uninstall ------------------------------------------------------------------------------------------------------------ */

static int uninstall(struct cox_cli *cli)
{
	struct cox_err err = { 0 };
	struct cox_charts *charts = NULL;
	struct cox_cluster *cluster = NULL;
	struct cox_cluster_spec where = verb_cluster(cli);
	struct screen screen;
	bool purge = cox_cli_is(cli, "purge");
	const char *revision = cox_cli_get(cli, "revision");
	char question[300];
	size_t count = 0;
	if (purge == (revision != NULL))
		return cox_cli_wrong(cli, "either --purge or --revision is needed");
	snprintf(question, sizeof(question),
	         purge ? "All control planes, their CustomResourceDefinitions and all objects of these kinds will be removed. Proceed?"
	               : "The control plane of revision \"%s\" will be removed. Proceed?",
	         revision);
	if (!cox_cli_is(cli, "dry-run") && !install_confirm(cli, question)) {
		puts("Nothing was removed.");
		return 1;
	}
	enum cox_rc rc = cox_charts_open(cox_cli_get(cli, "manifests"), &charts, &err);
	if (rc == COX_OK)
		rc = cox_cluster_open(&where, &cluster, &err);
	if (rc == COX_OK) {
		struct cox_install_ctx x = context(cli, cluster, &screen);
		rc = cox_install_remove(&x, charts, cox_str_of(revision), purge, &count, &err);
	}
	cox_cluster_close(&cluster);
	cox_charts_close(&charts);
	if (rc != COX_OK)
		return cox_cli_fail(cli, &err);
	printf("%zu objects %s\n", count, cox_cli_is(cli, "dry-run") ? "would be removed" : "removed");
	return 0;
}

/* --- the table -------------------------------------------------------------------------------------------------------------- */

#define FLAGS_OF_CHANGES                                                                \
	{ "skip-confirmation", 'y', NULL, NULL, "do not ask", 0 },                      \
	{                                                                               \
		"dry-run", 0, NULL, NULL, "ask the cluster whether it would take it", 0 \
	}
static const struct cox_cli_flag install_flags[] = {
	INSTALL_FLAGS,
	FLAGS_OF_CHANGES,
	{ "readiness-timeout", 0, "DURATION", "5m0s", "for each component to become ready; 0: do not wait", 0 },
	{ "verify", 0, NULL, NULL, "", COX_CLI_IGNORED },
	VERB_FLAGS_END,
};

const struct cox_cli_verb verb_install = {
	.path = "install|apply",
	.summary = "install the control plane, or change its settings",
	.text = "Applies the charts of this program, component by component, waits until each is ready, and deletes what an earlier\n"
	        "installation of the same revision made and this one has not. Over a running istiod it keeps its CA, its secrets and its\n"
	        "settings in Secrets and ConfigMaps of its own; manifests/README.md says how to take over, and how to go back.\n",
	.examples = "  coxctl install -y\n"
	            "  coxctl install --set profile=demo --set meshConfig.accessLogFile=/dev/stdout\n"
	            "  coxctl install --revision canary --set profile=minimal\n",
	.flags = install_flags,
	.run = install,
};
const struct cox_cli_verb verb_manifest_install = {
	.path = "manifest install|apply",
	.summary = "the same as install",
	.flags = install_flags,
	.run = install,
};
const struct cox_cli_verb verb_upgrade = {
	.path = "upgrade",
	.summary = "install this release over an earlier one, in place",
	.text = "As install; settings are those of the command line and files again. For an upgrade that can be taken back pod by pod:\n"
	        "install --revision, then tag set.\n",
	.flags = install_flags,
	.run = install,
};
const struct cox_cli_verb verb_uninstall = {
	.path = "uninstall",
	.summary = "remove a control plane",
	.text =
	    "--revision removes one control plane and leaves what the cluster shares: CustomResourceDefinitions with their objects, Secrets.\n"
	    "--purge removes all control planes and the CustomResourceDefinitions. The namespace and the CA's Secrets stay.\n",
	.examples = "  coxctl uninstall --revision canary\n  coxctl uninstall --purge -y\n",
	.flags = (const struct cox_cli_flag[]){ { "purge", 0, NULL, NULL, "everything, of all revisions", 0 },
	                                        { "revision", 'r', "NAME", NULL, "which one; \"default\": the one without a name", 0 },
	                                        INSTALL_FLAG_MANIFESTS,
	                                        FLAGS_OF_CHANGES,
	                                        { "force", 0, NULL, NULL, "", COX_CLI_IGNORED },
	                                        { "verbose", 'v', NULL, NULL, "", COX_CLI_IGNORED },
	                                        VERB_FLAGS_END },
	.run = uninstall,
};
