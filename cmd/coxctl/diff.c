/* coxctl diff: what a change would do, before it is applied. */
#include "verbs.h"

#include "tool/diff.h"

static int answer_print(struct cox_cli *cli, const struct cox_json *answer)
{
	struct cox_buf out = { 0 };
	if (!cox_str_eq(cox_cli_str(cli, "output"), COX_STR("text")))
		return verb_print_tree(cli, answer) ? 2 : cox_diff_status(answer);
	cox_diff_write(answer, cox_cli_has_color(cli), &out);
	int status = cox_cli_print(cli, &out) ? 2 : cox_diff_status(answer);
	cox_buf_fini(&out);
	return status;
}

static int run(struct cox_cli *cli, const struct cox_diff_options *o)
{
	struct cox_arena arena = { 0 };
	struct cox_json *answer = NULL;
	struct cox_err err = { 0 };
	int status = 2;
	if (cox_tool_diff(o, &arena, &answer, &err) == COX_OK)
		status = answer_print(cli, answer);
	else
		(void)cox_cli_fail(cli, &err);
	cox_arena_fini(&arena);
	return status;
}

static int diff(struct cox_cli *cli)
{
	struct cox_diff_options o = { .base = cox_cli_get(cli, "base"),
		                      .server = cox_cli_get(cli, "server"),
		                      .is_against_sent = cox_cli_is(cli, "sent"),
		                      .is_detailed = cox_cli_is(cli, "all") };
	o.who.no_sds = cox_cli_is(cli, "no-sds");
	o.who.is_upstream = cox_str_eq(cox_cli_str(cli, "class"), COX_STR("upstream"));
	const char *const *changes;
	o.changes.n = cox_cli_all(cli, "filename", &changes);
	o.changes.p = (const char **)(uintptr_t)changes;
	struct cox_str *deletes = verb_strs(cli, "delete", &o.deletes.n), *proxies = verb_strs(cli, "proxy", &o.proxies.n);
	o.deletes.p = deletes, o.proxies.p = proxies;
	int status = o.is_against_sent && !o.server                       ? cox_cli_wrong(cli, "--sent needs --server")
	             : !o.changes.n && !o.deletes.n && !o.is_against_sent ? cox_cli_wrong(cli, "-f or --delete is needed")
	             : (o.base && o.server) || (!o.base && !o.server)     ? cox_cli_wrong(cli, "one of --base, --server is needed")
	                                                                  : run(cli, &o);
	cox_free(deletes);
	cox_free(proxies);
	return status;
}

const struct cox_cli_verb verb_diff = {
	.path = "diff",
	.summary = "what a change would do, before it is applied",
	.text =
	    "Says which proxies would get other resources, which hosts would lose routes or endpoints, which weights move, what would not fit\n"
	    "together any more, and what would be refused. Proxies with equal effects are one group.\n"
	    "Exit status: 0 no effect; 1 an effect on some proxy; 2 an object would be refused, an error, or wrong usage.\n",
	.examples = "  coxctl diff -f change.yaml --base DIR\n"
	            "  coxctl diff -f change.yaml --delete VirtualService/shop/web --server http://127.0.0.1:8080\n",
	.flags = (const struct cox_cli_flag[]){ { "filename", 'f', "DIR|FILE", NULL, "new or changed objects", COX_CLI_REPEATS },
	                                        { "delete", 0, "KIND/NS/NAME", NULL, "as if this object were gone", COX_CLI_REPEATS },
	                                        { "base", 0, "DIR|FILE", NULL, "the objects in force", 0 },
	                                        { "server", 0, "URL", NULL, "a live coxswaind's debug address: it is asked for them", 0 },
	                                        { "proxy", 0, "POD.NS", NULL,
	                                          "only this proxy; else all that are connected to the live server, from files every Pod "
	                                          "with a proxy, or every Pod where none says so",
	                                          COX_CLI_REPEATS },
	                                        { "all", 0, NULL, NULL, "the differences inside of each changed resource, too", 0 },
	                                        { "sent", 0, NULL, NULL, "with --server: against what was sent to the proxies", 0 },
	                                        { "class", 0, "istio|upstream", "istio", "which Envoy", 0 },
	                                        { "no-sds", 0, NULL, NULL, "no certificates: a lab without TLS", 0 },
	                                        VERB_FLAG_OUTPUT("text|json|yaml", "text"),
	                                        VERB_FLAGS_END },
	.run = diff,
};
