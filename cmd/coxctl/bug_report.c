/* coxctl bug-report: an archive of what one needs to find a fault. */
#include "verbs.h"

#include "tool/bug_report.h"

#include <stdio.h>
#include <unistd.h>

enum { BAR = 24 };

/* One line that is written over, on a terminal alone. */
static void on_step(void *ctx, size_t done, size_t all, struct cox_str what)
{
	size_t filled = all ? cox_min_size(done * BAR / all, BAR) : 0;
	(void)ctx;
	if (!isatty(STDERR_FILENO))
		return;
	fprintf(stderr, "\r[%-*.*s] %3zu%% %-40.40s", BAR, (int)filled, "########################",
	        all ? cox_min_size(done * 100 / all, 100) : 0, what.n ? cox_str_to_cstr(what, (char[64]){ 0 }, 64) : "");
	(void)fflush(stderr);
}

static int bug_report(struct cox_cli *cli)
{
	char path[4096];
	struct cox_err err = { 0 };
	struct cox_bug_report_result result;
	struct cox_bug_report_options o = { .cluster = verb_cluster(cli),
		                            .istio_ns = cox_cli_str(cli, cox_cli_has(cli, "istio-namespace") ? "istio-namespace"
		                                                                                             : "istioNamespace"),
		                            .path = path,
		                            .tail_lines = cox_cli_i64(cli, "tail"),
		                            .proxy_port = (uint16_t)cox_cli_i64(cli, "proxy-admin-port"),
		                            .control_port = (uint16_t)cox_cli_i64(cli, "control-port"),
		                            .skips_objects = cox_cli_is(cli, "skip-cluster-dump"),
		                            .skips_proxies = cox_cli_is(cli, "skip-proxy-debug"),
		                            .has_secrets = cox_cli_is(cli, "full-secrets"),
		                            .on_step = on_step };
	if ((size_t)snprintf(path, sizeof(path), "%s/bug-report.tar", cox_cli_get(cli, "output-dir")) >= sizeof(path))
		return cox_cli_wrong(cli, "--output-dir is too long");
	struct cox_str *only = verb_strs(cli, "include", &o.only.n);
	o.only.p = only;
	enum cox_rc rc = cox_bug_report(&o, &result, &err);
	if (isatty(STDERR_FILENO))
		fprintf(stderr, "\r%*s\r", BAR + 50, "");
	int status = rc == COX_OK ? 0 : cox_cli_fail(cli, &err);
	if (rc == COX_OK)
		printf("%s: %zu files%s\n", path, result.files, result.failed ? "; what could not be asked is in errors.txt" : "");
	cox_free(only);
	return status;
}

const struct cox_cli_verb verb_bug_report = {
	.path = "bug-report",
	.summary = "an archive of objects, logs, dumps of proxies and of the control plane",
	.text =
	    "Writes bug-report.tar, readable by its owner alone. Values of Secrets, and of environment variables whose names speak of secrets, are left\n"
	    "out. What cannot be asked is told in errors.txt inside; exit status 1: there is no archive.\n",
	.examples = "  coxctl bug-report --include shop --tail 1000\n",
	.flags =
	    (const struct cox_cli_flag[]){
	        { "include", 0, "NAMESPACE", NULL, "proxies of this namespace; without it: of all but the system's", COX_CLI_REPEATS },
	        { "output-dir", 0, "DIR", ".", "where the archive goes", 0 },
	        { "tail", 0, "N", "10000", "lines of each log; 0: all", 0 },
	        { "full-secrets", 0, NULL, NULL, "with the values of Secrets", 0 },
	        { "skip-cluster-dump", 0, NULL, NULL, "no objects", 0 },
	        { "skip-proxy-debug", 0, NULL, NULL, "no proxies", 0 },
	        { "istio-namespace", 0, "NAMESPACE", NULL, "as -i", 0 },
	        { "proxy-admin-port", 0, "PORT", "15000", "of Envoy's administration, inside of the pod", 0 },
	        { "dir", 0, "DIR", NULL, "", COX_CLI_IGNORED },
	        { "rq-concurrency", 0, "N", NULL, "", COX_CLI_IGNORED },
	        { "skip-analyze", 0, NULL, NULL, "", COX_CLI_IGNORED },
	        { "skip-coredumps", 0, NULL, NULL, "", COX_CLI_IGNORED },
	        { "skip-netstat", 0, NULL, NULL, "", COX_CLI_IGNORED },
	        { "timeout", 0, "DURATION", NULL, "", COX_CLI_IGNORED },
	        { "control-port", 0, "PORT", "15014", "of the control plane's debug pages", 0 },
	        VERB_FLAGS_END },
	.run = bug_report,
};
