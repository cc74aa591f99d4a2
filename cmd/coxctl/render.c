/* coxctl render: what a proxy would get, offline. */
#include "verbs.h"

#include "tool/render.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static int usage(FILE *to)
{
	fputs("usage: coxctl render -f DIR|FILE --proxy POD.NAMESPACE [--type cds|eds|lds|rds] [-o json|yaml]\n"
	      "                     [--class istio|upstream] [--router] [--no-sds] [--node FILE]\n"
	      "                     [--compliance fips-140-2|fips-140-3|pqc]\n",
	      to);
	return to == stdout ? 0 : 2;
}

static bool type_parse(const char *text, enum cox_type *out)
{
	for (int t = 0; t < COX_TYPE_COUNT; t++)
		if (strcasecmp(cox_type_metric((enum cox_type)t), text) == 0) {
			*out = (enum cox_type)t;
			return true;
		}
	return false;
}

static const struct option longs[] = {
	{ "filename", required_argument, NULL, 'f' },   { "proxy", required_argument, NULL, 'p' },
	{ "type", required_argument, NULL, 't' },       { "output", required_argument, NULL, 'o' },
	{ "class", required_argument, NULL, 'c' },      { "router", no_argument, NULL, 'r' },
	{ "no-sds", no_argument, NULL, 's' },           { "node", required_argument, NULL, 'n' },
	{ "compliance", required_argument, NULL, 'C' }, { NULL, 0, NULL, 0 },
};

/* False: wrong usage. */
static bool options_parse(int argc, char **argv, struct cox_render_options *o)
{
	for (int c; (c = getopt_long(argc, argv, "f:o:", longs, NULL)) != -1;)
		switch (c) {
		case 'f': o->path = optarg; break;
		case 'p': o->proxy = cox_str_of(optarg); break;
		case 'n': o->node_file = optarg; break;
		case 'C':
			if (!cox_compliance_parse(cox_str_of(optarg), &o->compliance))
				return false;
			break;
		case 'r': o->is_router = true; break;
		case 's': o->no_sds = true; break;
		case 'c':
			o->is_upstream = strcmp(optarg, "upstream") == 0;
			if (!o->is_upstream && strcmp(optarg, "istio") != 0)
				return false;
			break;
		case 'o':
			o->format = strcmp(optarg, "yaml") == 0 ? COX_RENDER_YAML : COX_RENDER_JSON;
			if (o->format == COX_RENDER_JSON && strcmp(optarg, "json") != 0)
				return false;
			break;
		case 't':
			if (!type_parse(optarg, &o->only))
				return false;
			break;
		default: return false;
		}
	return o->path != NULL && (o->proxy.n > 0 || o->node_file != NULL) && optind == argc;
}

int coxctl_render(int argc, char **argv)
{
	struct cox_render_options o = { .only = COX_TYPE_COUNT };
	struct cox_buf out = { 0 }, notes = { 0 };
	struct cox_err err = { 0 };
	char text[768];

	if (coxctl_wants_help(argc, argv))
		return usage(stdout);
	if (!options_parse(argc, argv, &o))
		return usage(stderr);
	enum cox_rc rc = cox_tool_render(&o, &out, &notes, &err);
	if (notes.n > 0)
		(void)fwrite(notes.p, 1, notes.n, stderr);
	if (rc == COX_OK)
		(void)fwrite(out.p, 1, out.n, stdout);
	else
		fprintf(stderr, "coxctl render: %s\n", cox_err_describe(&err, text, sizeof(text)));
	cox_buf_fini(&out);
	cox_buf_fini(&notes);
	return rc == COX_OK ? 0 : 1;
}
