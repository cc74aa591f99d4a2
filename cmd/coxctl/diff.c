/* coxctl diff: what a change would do, before it is applied. */
#include "verbs.h"

#include "tool/diff.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int usage(FILE *to)
{
	fputs(
	    "usage: coxctl diff -f CHANGE.yaml... [--delete KIND/NAMESPACE/NAME]... --base DIR|FILE [-o text|json|yaml] [--all]\n"
	    "       coxctl diff -f CHANGE.yaml... --server http://127.0.0.1:8080\n"
	    "Says, before anything is applied, which proxies would get other resources, which hosts would lose routes or endpoints, which\n"
	    "weights move, what would not fit together any more, and what would be refused. Proxies with equal effects are one group.\n"
	    "  -f CHANGE              new or changed objects: a file or a directory; may be repeated\n"
	    "  --delete KIND/NS/NAME  as if this object were gone; may be repeated\n"
	    "  --base DIR|FILE        the objects in force; --server URL asks a live coxswaind for them\n"
	    "  --proxy POD.NS         only this proxy; may be repeated. Without it: all that are connected to the live server;\n"
	    "                         from files every Pod with a proxy, or every Pod where none says so\n"
	    "  --all                  the differences inside of each changed resource, too\n"
	    "  --class istio|upstream which Envoy (default istio), --no-sds\n"
	    "exit status: 0 no effect; 1 an effect on some proxy; 2 an object would be refused, an error, or wrong usage\n",
	    to);
	return to == stdout ? 0 : 2;
}

enum { LIST_MAX = 256 };
enum form { FORM_TEXT, FORM_JSON, FORM_YAML };

struct args {
	struct cox_diff_options o;
	const char *changes[LIST_MAX];
	struct cox_str deletes[LIST_MAX], proxies[LIST_MAX];
	enum form form;
};

static const struct option longs[] = {
	{ "filename", required_argument, NULL, 'f' },
	{ "base", required_argument, NULL, 'b' },
	{ "server", required_argument, NULL, 's' },
	{ "delete", required_argument, NULL, 'd' },
	{ "proxy", required_argument, NULL, 'p' },
	{ "all", no_argument, NULL, 'a' },
	{ "sent", no_argument, NULL, 'S' },
	{ "class", required_argument, NULL, 'c' },
	{ "no-sds", no_argument, NULL, 'N' },
	{ "output", required_argument, NULL, 'o' },
	{ NULL, 0, NULL, 0 },
};

static bool form_parse(const char *text, enum form *out)
{
	static const char *const forms[] = { "text", "json", "yaml" };
	for (size_t i = 0; i < COX_LEN(forms); i++)
		if (strcmp(text, forms[i]) == 0) {
			*out = (enum form)i;
			return true;
		}
	return false;
}

static bool option_take(int c, struct args *a)
{
	if (a->o.changes.n + a->o.deletes.n + a->o.proxies.n >= LIST_MAX)
		return false;
	switch (c) {
	case 'f': a->changes[a->o.changes.n++] = optarg; return true;
	case 'd': a->deletes[a->o.deletes.n++] = cox_str_of(optarg); return true;
	case 'p': a->proxies[a->o.proxies.n++] = cox_str_of(optarg); return true;
	case 'b': a->o.base = optarg; return true;
	case 's': a->o.server = optarg; return true;
	case 'S': a->o.is_against_sent = true; return true;
	case 'a': a->o.is_detailed = true; return true;
	case 'N': a->o.who.no_sds = true; return true;
	case 'c': a->o.who.is_upstream = strcmp(optarg, "upstream") == 0; return a->o.who.is_upstream || strcmp(optarg, "istio") == 0;
	case 'o': return form_parse(optarg, &a->form);
	default: return false;
	}
}

static bool args_parse(int argc, char **argv, struct args *a)
{
	a->o.changes.p = a->changes, a->o.deletes.p = a->deletes, a->o.proxies.p = a->proxies;
	for (int c; (c = getopt_long(argc, argv, "f:o:", longs, NULL)) != -1;)
		if (!option_take(c, a))
			return false;
	if (a->o.is_against_sent && !a->o.server)
		return false;
	return optind == argc && (a->o.changes.n + a->o.deletes.n > 0 || a->o.is_against_sent) && !(a->o.base && a->o.server) &&
	       (a->o.base || a->o.server);
}

static void answer_print(const struct args *a, const struct cox_json *answer)
{
	struct cox_buf out = { 0 };
	if (a->form == FORM_TEXT)
		cox_diff_write(answer, isatty(STDOUT_FILENO), &out);
	else if (a->form == FORM_YAML)
		cox_json_write_yaml(&out, answer);
	else
		cox_json_write(&out, answer, 1, false);
	if (a->form != FORM_TEXT)
		cox_buf_append_char(&out, '\n');
	(void)fwrite(out.p, 1, out.n, stdout);
	cox_buf_fini(&out);
}

int coxctl_diff(int argc, char **argv)
{
	struct args a = { 0 };
	struct cox_arena arena = { 0 };
	struct cox_json *answer = NULL;
	struct cox_err err = { 0 };
	char text[768];
	int status = 2;
	if (coxctl_wants_help(argc, argv))
		return usage(stdout);
	if (!args_parse(argc, argv, &a))
		return usage(stderr);
	if (cox_tool_diff(&a.o, &arena, &answer, &err) == COX_OK) {
		answer_print(&a, answer);
		status = cox_diff_status(answer);
	} else {
		fprintf(stderr, "coxctl diff: %s\n", cox_err_describe(&err, text, sizeof(text)));
	}
	cox_arena_fini(&arena);
	return status;
}
