/* coxctl explain route: where a request goes, by which objects, and why not elsewhere. */
#include "verbs.h"

#include "tool/explain.h"

#include <stdio.h>

enum { BATCH_LINE_MAX = 1024 * 1024 };

static void answer_print(struct cox_cli *cli, const struct cox_json *answer)
{
	struct cox_buf out = { 0 };
	struct cox_str form = cox_cli_str(cli, "output");
	bool is_batch = cox_cli_has(cli, "batch");
	if (cox_str_eq(form, COX_STR("text")) && !is_batch) {
		cox_explain_write(answer, cox_cli_has_color(cli), &out);
	} else {
		if (cox_str_eq(form, COX_STR("yaml")))
			cox_json_write_yaml(&out, answer);
		else
			cox_json_write(&out, answer, is_batch ? 0 : 1, false);
		cox_buf_append_char(&out, '\n');
	}
	(void)cox_cli_print(cli, &out);
	cox_buf_fini(&out);
}

static enum cox_rc one(struct cox_explain *e, struct cox_cli *cli, const struct cox_explain_ask *ask, struct cox_arena *arena,
                       struct cox_err *err)
{
	struct cox_json *answer = NULL;
	COX_TRY(cox_explain_route(e, ask, arena, &answer, err));
	answer_print(cli, answer);
	return COX_OK;
}

static enum cox_rc batch_line(struct cox_explain *e, struct cox_cli *cli, struct cox_str line, struct cox_arena *arena, struct cox_err *err)
{
	struct cox_json *doc = NULL;
	struct cox_explain_ask ask;
	COX_TRY(cox_json_parse(arena, line, &doc, err));
	COX_TRY(cox_explain_ask_parse(doc, arena, &ask, err));
	return one(e, cli, &ask, arena, err);
}

/* False: the end, or a line that is too long. */
static bool line_read(FILE *f, struct cox_buf *line)
{
	int c = getc(f);
	for (cox_buf_clear(line); c != EOF && c != '\n' && line->n < BATCH_LINE_MAX; c = getc(f))
		cox_buf_append_char(line, (char)c);
	return c == '\n' || (c == EOF && line->n > 0);
}

static enum cox_rc batch(struct cox_explain *e, struct cox_cli *cli, struct cox_err *err)
{
	const char *path = cox_cli_get(cli, "batch");
	bool is_stdin = strcmp(path, "-") == 0;
	FILE *f = is_stdin ? stdin : fopen(path, "rb");
	struct cox_buf line = { 0 };
	enum cox_rc rc = COX_OK;
	if (f == NULL)
		return cox_err_set(err, COX_ENOTFOUND, NULL, "cannot read %s", path);
	while (rc == COX_OK && line_read(f, &line)) {
		struct cox_arena arena = { 0 };
		struct cox_str text = cox_str_trim(cox_buf_str(&line));
		if (text.n > 0)
			rc = batch_line(e, cli, text, &arena, err);
		cox_arena_fini(&arena);
		(void)fflush(stdout); /* whoever asks line by line waits for the answer */
	}
	cox_buf_fini(&line);
	if (!is_stdin)
		(void)fclose(f);
	return rc;
}

static int run(struct cox_cli *cli, const struct cox_explain_options *open, const struct cox_explain_ask *ask)
{
	struct cox_explain *e = NULL;
	struct cox_buf notes = { 0 };
	struct cox_arena arena = { 0 };
	struct cox_err err = { 0 };
	enum cox_rc rc = cox_explain_open(open, &e, &notes, &err);
	if (notes.n > 0)
		(void)fwrite(notes.p, 1, notes.n, stderr);
	if (rc == COX_OK)
		rc = cox_cli_has(cli, "batch") ? batch(e, cli, &err) : one(e, cli, ask, &arena, &err);
	int status = rc == COX_OK ? 0 : cox_cli_fail(cli, &err);
	cox_explain_close(&e);
	cox_arena_fini(&arena);
	cox_buf_fini(&notes);
	return status;
}

static int route(struct cox_cli *cli)
{
	struct cox_explain_options open = { .path = cox_cli_get(cli, "filename"),
		                            .config_dump = cox_cli_get(cli, "config-dump"),
		                            .server = cox_cli_get(cli, "server") };
	struct cox_explain_ask ask = { .to = cox_cli_str(cli, "to"),
		                       .method = cox_cli_str(cli, "request"),
		                       .address = cox_cli_str(cli, "address"),
		                       .source_ip = cox_cli_str(cli, "source-ip"),
		                       .sni = cox_cli_str(cli, "sni"),
		                       .claims = cox_cli_str(cli, "claims") };
	open.who.guess_router = true;
	open.who.is_router = cox_cli_has(cli, "gateway");
	open.who.proxy = cox_cli_str(cli, open.who.is_router ? "gateway" : "from");
	open.who.no_sds = cox_cli_is(cli, "no-sds");
	open.who.is_upstream = cox_str_eq(cox_cli_str(cli, "class"), COX_STR("upstream"));
	if (!open.path && !open.server && !open.config_dump)
		return cox_cli_wrong(cli, "one of -f, --config-dump, --server is needed");
	if (!open.who.proxy.n)
		return cox_cli_wrong(cli, "--from or --gateway is needed");
	if ((ask.to.n > 0) == cox_cli_has(cli, "batch"))
		return cox_cli_wrong(cli, "one of --to, --batch is needed");
	struct cox_str *headers = verb_strs(cli, "header", &ask.headers.n);
	ask.headers.p = headers;
	int status = run(cli, &open, &ask);
	cox_free(headers);
	return status;
}

const struct cox_cli_verb verb_explain = { .path = "explain", .summary = "where a request goes and why" };
const struct cox_cli_verb verb_explain_route = {
	.path = "explain route",
	.summary = "where a request goes, by which objects, and why not elsewhere",
	.text =
	    "Walks the proxy's configuration as Envoy does: listener, filter chain, virtual host, route, cluster, endpoints, and what the\n"
	    "destination's own proxy does with it. Each step names the object and field that it came from; routes that were not taken say why.\n"
	    "Exit status: 0 it was answered, whatever the answer.\n",
	.examples = "  coxctl explain route --from web-0.shop --to http://reviews:9080/ -f DIR\n"
	            "  coxctl explain route --from web-0.shop --to tcp://mysql:3306 --config-dump dump.json -f DIR\n"
	            "  coxctl explain route --gateway ingress-0.edge --to https://shop.example --server http://127.0.0.1:8080\n",
	.flags =
	    (const struct cox_cli_flag[]){
	        { "from", 0, "POD.NAMESPACE", NULL, "the proxy", 0 },
	        { "gateway", 0, "POD.NAMESPACE", NULL, "the same for a gateway (a Pod that a Gateway's selector names is one anyway)", 0 },
	        { "to", 0, "URL", NULL, "http://, https://, grpc://, grpcs://, tcp://HOST:PORT, tls://HOST:PORT", 0 },
	        { "filename", 'f', "DIR|FILE", NULL, "objects as YAML; with --config-dump: to name fields", 0 },
	        { "config-dump", 0, "FILE", NULL, "what the proxy has: its own /config_dump?include_eds, or coxswaind's", 0 },
	        { "server", 0, "URL", NULL, "a live coxswaind's debug address: objects, and what it sent to the proxy", 0 },
	        { "request", 'X', "METHOD", NULL, "of the request", 0 },
	        { "header", 'H', "'K: V'", NULL, "of the request", COX_CLI_REPEATS },
	        { "address", 0, "IP[:PORT]", NULL, "what the host resolves to, instead of what the objects say", 0 },
	        { "source-ip", 0, "IP", NULL, "of the client", 0 },
	        { "sni", 0, "NAME", NULL, "of the client's TLS", 0 },
	        { "claims", 0, "JSON", NULL, "of a verified JWT", 0 },
	        { "class", 0, "istio|upstream", "istio", "which Envoy", 0 },
	        { "no-sds", 0, NULL, NULL, "no certificates: a lab without TLS", 0 },
	        { "batch", 0, "FILE|-", NULL,
	          "many: a line of JSON each ({\"to\", \"method\", \"headers\": [\"k: v\"], \"address\", ...}), a line of JSON out", 0 },
	        VERB_FLAG_OUTPUT("text|json|yaml", "text"),
	        VERB_FLAGS_END },
	.run = route,
};
