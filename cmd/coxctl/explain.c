/* coxctl explain route: where a request goes, by which objects, and why not elsewhere. */
#include "verbs.h"

#include "tool/explain.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int usage(FILE *to)
{
	fputs(
	    "usage: coxctl explain route --from POD.NAMESPACE --to URL -f DIR|FILE [REQUEST] [-o text|json|yaml]\n"
	    "       coxctl explain route --from POD.NAMESPACE --to URL --config-dump FILE [-f DIR|FILE]\n"
	    "       coxctl explain route --from POD.NAMESPACE --to URL --server http://127.0.0.1:8080\n"
	    "Walks the proxy's configuration as Envoy does: listener, filter chain, virtual host, route, cluster, endpoints, and what the\n"
	    "destination's own proxy does with it. Each step names the object and field that it came from; routes that were not taken say why.\n"
	    "  --from POD.NAMESPACE   the proxy; --gateway is the same for a gateway (a Pod that a Gateway's selector names is one anyway)\n"
	    "  --to URL               http://, https://, grpc://, grpcs://, tcp://HOST:PORT, tls://HOST:PORT\n"
	    "  -f DIR|FILE            objects as YAML. With --config-dump: to name fields\n"
	    "  --config-dump FILE     what the proxy has: its own /config_dump?include_eds, or coxswaind's\n"
	    "  --server URL           a live coxswaind's debug address: objects, and what it sent to the proxy\n"
	    "  -X METHOD, -H 'K: V'   of the request; -H may be repeated\n"
	    "  --address IP[:PORT]    what the host resolves to, instead of what the objects say\n"
	    "  --source-ip IP, --sni NAME, --claims JSON (of a verified JWT)\n"
	    "  --class istio|upstream which Envoy (default istio), --no-sds\n"
	    "  --batch FILE|-         many: a line of JSON each ({\"to\", \"method\", \"headers\": [\"k: v\"], \"address\", ...}), a line of JSON out\n"
	    "exit status: 0 it was answered, whatever the answer; 1 an error; 2 wrong usage\n",
	    to);
	return to == stdout ? 0 : 2;
}

enum { HEADERS_MAX = 256, BATCH_LINE_MAX = 1024 * 1024 };
enum form { FORM_TEXT, FORM_JSON, FORM_YAML };

struct args {
	struct cox_explain_options open;
	struct cox_explain_ask ask;
	struct cox_str headers[HEADERS_MAX];
	size_t header_n;
	const char *batch;
	enum form form;
};

static const struct option longs[] = {
	{ "from", required_argument, NULL, 'F' },
	{ "gateway", required_argument, NULL, 'G' },
	{ "to", required_argument, NULL, 't' },
	{ "filename", required_argument, NULL, 'f' },
	{ "config-dump", required_argument, NULL, 'd' },
	{ "server", required_argument, NULL, 's' },
	{ "address", required_argument, NULL, 'a' },
	{ "source-ip", required_argument, NULL, 'S' },
	{ "sni", required_argument, NULL, 'n' },
	{ "claims", required_argument, NULL, 'c' },
	{ "class", required_argument, NULL, 'C' },
	{ "no-sds", no_argument, NULL, 'N' },
	{ "batch", required_argument, NULL, 'b' },
	{ "output", required_argument, NULL, 'o' },
	{ "request", required_argument, NULL, 'X' },
	{ "header", required_argument, NULL, 'H' },
	{ NULL, 0, NULL, 0 },
};

static bool form_parse(const char *text, enum form *out)
{
	static const char *const names[] = { "text", "json", "yaml" };
	for (size_t i = 0; i < COX_LEN(names); i++)
		if (strcmp(text, names[i]) == 0) {
			*out = (enum form)i;
			return true;
		}
	return false;
}

/* False: wrong usage. */
static bool option_take(int c, struct args *a)
{
	switch (c) {
	case 'G': a->open.who.is_router = true; /* fall through */
	case 'F': a->open.who.proxy = cox_str_of(optarg); break;
	case 't': a->ask.to = cox_str_of(optarg); break;
	case 'f': a->open.path = optarg; break;
	case 'd': a->open.config_dump = optarg; break;
	case 's': a->open.server = optarg; break;
	case 'a': a->ask.address = cox_str_of(optarg); break;
	case 'S': a->ask.source_ip = cox_str_of(optarg); break;
	case 'n': a->ask.sni = cox_str_of(optarg); break;
	case 'c': a->ask.claims = cox_str_of(optarg); break;
	case 'N': a->open.who.no_sds = true; break;
	case 'b': a->batch = optarg; break;
	case 'X': a->ask.method = cox_str_of(optarg); break;
	case 'o': return form_parse(optarg, &a->form);
	case 'C': a->open.who.is_upstream = strcmp(optarg, "upstream") == 0; return a->open.who.is_upstream || strcmp(optarg, "istio") == 0;
	case 'H':
		if (a->header_n == HEADERS_MAX)
			return false;
		a->headers[a->header_n++] = cox_str_of(optarg);
		break;
	default: return false;
	}
	return true;
}

static bool args_parse(int argc, char **argv, struct args *a)
{
	a->open.who.guess_router = true;
	for (int c; (c = getopt_long(argc, argv, "f:o:X:H:", longs, NULL)) != -1;)
		if (!option_take(c, a))
			return false;
	a->ask.headers.p = a->headers;
	a->ask.headers.n = a->header_n;
	bool has_world = a->open.path || a->open.server || a->open.config_dump;
	return optind == argc && has_world && a->open.who.proxy.n > 0 && (a->ask.to.n > 0) != (a->batch != NULL);
}

static void answer_print(const struct args *a, const struct cox_json *answer)
{
	struct cox_buf out = { 0 };
	if (a->form == FORM_TEXT && !a->batch)
		cox_explain_write(answer, isatty(STDOUT_FILENO), &out);
	else if (a->form == FORM_YAML)
		cox_json_write_yaml(&out, answer);
	else
		cox_json_write(&out, answer, a->batch ? 0 : 1, false);
	if (a->form != FORM_TEXT || a->batch)
		cox_buf_append_char(&out, '\n');
	(void)fwrite(out.p, 1, out.n, stdout);
	cox_buf_fini(&out);
}

static enum cox_rc one(struct cox_explain *e, const struct args *a, const struct cox_explain_ask *ask, struct cox_arena *arena,
                       struct cox_err *err)
{
	struct cox_json *answer = NULL;
	COX_TRY(cox_explain_route(e, ask, arena, &answer, err));
	answer_print(a, answer);
	return COX_OK;
}

static enum cox_rc batch_line(struct cox_explain *e, const struct args *a, struct cox_str line, struct cox_arena *arena,
                              struct cox_err *err)
{
	struct cox_json *doc = NULL;
	struct cox_explain_ask ask;
	COX_TRY(cox_json_parse(arena, line, &doc, err));
	COX_TRY(cox_explain_ask_parse(doc, arena, &ask, err));
	return one(e, a, &ask, arena, err);
}

/* False: the end, or a line that is too long. */
static bool line_read(FILE *f, struct cox_buf *line)
{
	int c = getc(f);
	for (cox_buf_clear(line); c != EOF && c != '\n' && line->n < BATCH_LINE_MAX; c = getc(f))
		cox_buf_append_char(line, (char)c);
	return c == '\n' || (c == EOF && line->n > 0);
}

static enum cox_rc batch(struct cox_explain *e, const struct args *a, struct cox_err *err)
{
	bool is_stdin = strcmp(a->batch, "-") == 0;
	FILE *f = is_stdin ? stdin : fopen(a->batch, "rb");
	struct cox_buf line = { 0 };
	enum cox_rc rc = COX_OK;
	if (f == NULL)
		return cox_err_set(err, COX_ENOTFOUND, NULL, "cannot read %s", a->batch);
	while (rc == COX_OK && line_read(f, &line)) {
		struct cox_arena arena = { 0 };
		struct cox_str text = cox_str_trim(cox_buf_str(&line));
		if (text.n > 0)
			rc = batch_line(e, a, text, &arena, err);
		cox_arena_fini(&arena);
		(void)fflush(stdout); /* whoever asks line by line waits for the answer */
	}
	cox_buf_fini(&line);
	if (!is_stdin)
		(void)fclose(f);
	return rc;
}

static int route(int argc, char **argv)
{
	struct args a = { 0 };
	struct cox_explain *e = NULL;
	struct cox_buf notes = { 0 };
	struct cox_arena arena = { 0 };
	struct cox_err err = { 0 };
	char text[768];
	if (!args_parse(argc, argv, &a))
		return usage(stderr);
	enum cox_rc rc = cox_explain_open(&a.open, &e, &notes, &err);
	if (notes.n > 0)
		(void)fwrite(notes.p, 1, notes.n, stderr);
	if (rc == COX_OK)
		rc = a.batch ? batch(e, &a, &err) : one(e, &a, &a.ask, &arena, &err);
	if (rc != COX_OK)
		fprintf(stderr, "coxctl explain: %s\n", cox_err_describe(&err, text, sizeof(text)));
	cox_explain_close(&e);
	cox_arena_fini(&arena);
	cox_buf_fini(&notes);
	return rc == COX_OK ? 0 : 1;
}

int coxctl_explain(int argc, char **argv)
{
	if (coxctl_wants_help(argc, argv))
		return usage(stdout);
	if (argc > 1 && strcmp(argv[1], "route") == 0)
		return route(argc - 1, argv + 1);
	return usage(stderr);
}
