/* coxctl wait: until every proxy has a version of an object. */
#include "verbs.h"

#include "tool/wait.h"

#include <stdio.h>

static void on_progress(void *ctx, size_t acked, size_t total, struct cox_str last)
{
	(void)ctx;
	fprintf(stderr, "%zu of %zu proxies%s%.*s\n", acked, total, last.n ? ", not yet " : "", COX_FMT(last));
}

static int run(struct cox_cli *cli)
{
	struct cox_cluster_spec spec = verb_cluster(cli);
	struct cox_cluster *cluster = NULL;
	struct cox_err err = { 0 };
	struct cox_wait_result result = { 0 };
	struct cox_str target = cox_str_of(cox_cli_arg(cli, 1)), ns = cox_cli_str(cli, "namespace");
	struct cox_wait_options o = { .kind = cox_str_of(cox_cli_arg(cli, 0)),
		                      .generation = cox_cli_i64(cli, "generation"),
		                      .timeout_ms = cox_cli_ms(cli, "timeout"),
		                      .progress = cox_cli_is(cli, "verbose") ? on_progress : NULL };
	if (cox_str_to_f64(cox_cli_str(cli, "threshold"), &o.threshold) != COX_OK || !(o.threshold >= 0 && o.threshold <= 1))
		return cox_cli_wrong(cli, "--threshold must be a number from 0 to 1");
	if (!cox_wait_kind_find(o.kind))
		return cox_cli_wrong(cli, "\"%s\" is no kind of the mesh's configuration", cox_cli_arg(cli, 0));
	ptrdiff_t dot = cox_str_find(target, '.');
	o.name = cox_str_sub(target, 0, dot < 0 ? target.n : (size_t)dot);
	enum cox_rc rc = cox_cluster_open(&spec, &cluster, &err);
	if (rc == COX_OK) {
		o.ns = dot >= 0 ? cox_str_sub(target, (size_t)dot + 1, SIZE_MAX) : ns.n ? ns : cox_cluster_ns(cluster);
		rc = cox_wait_distribution(cluster, &o, &result, &err);
	}
	if (rc == COX_OK)
		printf("Resource %s/%.*s.%.*s present on %zu out of %zu sidecars\n", cox_wait_kind_find(o.kind)->name.p, COX_FMT(o.name),
		       COX_FMT(o.ns), result.acked, result.total);
	cox_cluster_close(&cluster);
	return rc == COX_OK ? 0 : cox_cli_fail(cli, &err);
}

const struct cox_cli_verb verb_wait = {
	.path = "wait",
	.args = "KIND NAME[.NAMESPACE]",
	.arg_min = 2,
	.arg_max = 2,
	.summary = "waits until every proxy has acknowledged an object",
	.text =
	    "Reads condition Reconciled of the object's status, which the control plane keeps over all replicas. Ends at once, with 1,\n"
	    "when the version cannot be in force or a proxy rejects it.\n",
	.examples = "  coxctl wait --for=distribution VirtualService bookinfo.default\n"
	            "  coxctl wait --for=distribution --threshold 0.99 --timeout 2m destinationrules reviews -n shop\n",
	.flags =
	    (const struct cox_cli_flag[]){
	        { "for", 0, "distribution", "distribution", "what is waited for", 0 },
	        { "generation", 0, "N", NULL, "of the object; without it: the newest", 0 },
	        { "threshold", 0, "PART", "1", "part of the proxies that is enough, from 0 to 1", 0 },
	        { "timeout", 0, "DURATION", "30s", "then it fails", 0 },
	        { "verbose", 'v', NULL, NULL, "say how far it is, as it changes", 0 },
	        VERB_FLAGS_END,
	    },
	.run = run,
};
