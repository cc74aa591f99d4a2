/* The frame of a command line: verbs, aliases, flags, refusals, help, man page, completion. covers: f29 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tool/cli.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

static char got[1000];

static int show(struct cox_cli *cli)
{
	const char *const *labels;
	struct cox_buf b = { 0 };
	size_t n = cox_cli_all(cli, "label", &labels);
	cox_buf_printf(&b, "%s;o=%s;p=%d;w=%d;t=%d;n=%s", cox_cli_verb_name(cli), cox_cli_get(cli, "output"), (int)cox_cli_i64(cli, "port"),
	               cox_cli_is(cli, "watch"), (int)cox_cli_ms(cli, "timeout"),
	               cox_cli_has(cli, "namespace") ? cox_cli_get(cli, "namespace") : "-");
	for (size_t i = 0; i < n; i++)
		cox_buf_printf(&b, ";l=%s", labels[i]);
	for (size_t i = 0; i < cox_cli_arg_count(cli); i++)
		cox_buf_printf(&b, ";%s", cox_cli_arg(cli, i));
	assert_null(cox_cli_arg(cli, cox_cli_arg_count(cli)));
	cox_str_to_cstr(cox_buf_str(&b), got, sizeof(got));
	cox_buf_fini(&b);
	return 0;
}

static const struct cox_cli_verb pods = { .path = "pods|po", .summary = "of pods", .text = "A line.\n.A dot\n" };
static const struct cox_cli_verb list = {
	.path = "pods|po list|ls",
	.args = "NAME...",
	.arg_min = 1,
	.arg_max = 2,
	.summary = "list them",
	.examples = "  it pods list x\n",
	.flags = (const struct cox_cli_flag[]){ { "output", 'o', "json|yaml|short", "short", "form", 0 },
	                                        { "port", 'p', "PORT", "80", "a port", 0 },
	                                        { "watch", 'w', NULL, NULL, "go on", 0 },
	                                        { "timeout", 't', "DURATION", "1m", "how long", 0 },
	                                        { "label", 'n', "KEY", NULL, "which", COX_CLI_REPEATS },
	                                        { "file", 'f', "FILE", NULL, "from where", 0 },
	                                        { "secret", 0, "X", NULL, "not told", COX_CLI_HIDDEN },
	                                        { .name = NULL } },
	.run = show,
};
static int plain_run(struct cox_cli *cli) { return cox_cli_has_color(cli) ? 5 : 4; }
static const struct cox_cli_verb plain = { .path = "plain", .summary = "nothing", .run = plain_run };
static const struct cox_cli_program program = {
	.name = "it",
	.summary = "a program",
	.version = "1",
	.verbs = (const struct cox_cli_verb *const[]){ &pods, &list, &plain, &cox_cli_verb_completion, NULL },
	.globals = (const struct cox_cli_flag[]){ { "namespace", 'n', "NAME", NULL, "where", 0 },
	                                          { "color", 0, "auto|always|never", "auto", "colours", 0 },
	                                          { "vklog", 0, "LEVEL", NULL, "", COX_CLI_IGNORED | COX_CLI_HIDDEN },
	                                          { .name = NULL } },
	.prefixes = (const char *const[]){ "experimental", "x", NULL },
	.environment = "HOME\twhere one lives\n",
};

static char *words[32];
static char line[1000];
static int split(const char *text)
{
	int n = 0;
	snprintf(line, sizeof(line), "%s", text);
	for (char *p = line; *p; n++) {
		words[n] = p;
		while (*p && *p != ' ')
			p++;
		if (*p)
			*p++ = 0;
	}
	return n;
}

/* What the words after "it" do; what it says goes nowhere. */
static int run(const char *text)
{
	char with[1000];
	int out = dup(1), err = dup(2), null = open("/dev/null", O_WRONLY);
	snprintf(with, sizeof(with), "it %s", text);
	got[0] = 0;
	fflush(stdout);
	dup2(null, 1), dup2(null, 2);
	int status = cox_cli_main(&program, split(with), words);
	fflush(stdout);
	dup2(out, 1), dup2(err, 2);
	close(out), close(err), close(null);
	return status;
}

static void says(const char *text, const char *want)
{
	assert_int_equal(run(text), 0);
	assert_string_equal(got, want);
}

static void parsed(void **state)
{
	(void)state;
	says("pods list a", "pods list;o=short;p=80;w=0;t=60000;n=-;a");
	says("po ls -ojson --port=81 -w a -t 1.5s b", "pods list;o=json;p=81;w=1;t=1500;n=-;a;b");
	says("x pods ls a --namespace shop -n one -n=two -nthree", "pods list;o=short;p=80;w=0;t=60000;n=shop;l=one;l=two;l=three;a");
	/* Flags of the program may stand in front; a switch takes no word; the last one counts; "--" ends flags. */
	says("-n shop po list --watch a", "pods list;o=short;p=80;w=1;t=60000;n=-;l=shop;a");
	says("--namespace shop experimental po list --watch=false -w=true --vklog 9 -- -a", "pods list;o=short;p=80;w=1;t=60000;n=shop;-a");
	says("po list - -p 1 -p 2", "pods list;o=short;p=2;w=0;t=60000;n=-;-");
}

static void refused(void **state)
{
	static const char *const wrong[] = {
		"",
		"none",
		"pods",
		"pods none",
		"pods list",
		"pods list a b c",
		"pods list a --none",
		"pods list a -q",
		"pods list a -o xml",
		"pods list a --port x",
		"pods list a --port 65536",
		"pods list a -t 5",
		"pods list a -t",
		"pods list a --watch=2",
		"plain a",
		"pods list a -p",
		"completion tcsh",
		"help none",
		"completion",
	};
	(void)state;
	for (size_t i = 0; i < COX_LEN(wrong); i++)
		if (run(wrong[i]) != 2)
			fail_msg("\"%s\" is not refused", wrong[i]);
	assert_int_equal(run("plain"), 4);
	assert_int_equal(run("plain --color always"), 5);
	assert_int_equal(run("plain --color=never"), 4);
	assert_int_equal(run("pods list --help"), 0);
	assert_int_equal(run("pods -h"), 0);
	assert_int_equal(run("help po ls"), 0);
	assert_int_equal(run("completion zsh"), 0);
	assert_int_equal(run("help --man"), 0);
}

static void has(struct cox_buf *b, const char *text, bool is_there)
{
	if ((strstr(cox_buf_cstr(b), text) != NULL) != is_there)
		fail_msg("\"%s\" is %sin\n%s", text, is_there ? "not " : "", cox_buf_cstr(b));
}

static void documents(void **state)
{
	struct cox_buf b = { 0 };
	(void)state;
	assert_int_equal(cox_cli_help(&program, COX_STR("pods list"), &b), COX_OK);
	has(&b, "usage: it pods list NAME... [FLAGS]", true);
	has(&b, "also: it pods|po list|ls", true);
	has(&b, "-o, --output json|yaml|short", true);
	has(&b, "form (default short)", true);
	has(&b, "which; may be repeated", true);
	has(&b, "\n      --namespace NAME", true); /* its letter is another flag's here */
	has(&b, "secret", false);
	has(&b, "vklog", false);
	cox_buf_clear(&b);
	assert_int_equal(cox_cli_help(&program, COX_STR(""), &b), COX_OK);
	has(&b, "\n  pods        of pods\n", true);
	has(&b, "list them", false); /* its group stands for it */
	has(&b, "\n  -n, --namespace NAME", true);
	assert_int_equal(cox_cli_help(&program, COX_STR("none"), &b), COX_ENOTFOUND);
	cox_buf_clear(&b);
	assert_int_equal(cox_cli_help(&program, COX_STR("pods"), &b), COX_OK);
	has(&b, "  pods list  list them\n", true);
	cox_buf_clear(&b);
	cox_cli_man(&program, &b);
	has(&b, ".TH IT 1", true);
	has(&b, ".SS \"it pods list NAME... [FLAGS]\"", true);
	has(&b, "\\fB\\-\\-output\\fR \\fIjson|yaml|short\\fR", true);
	has(&b, ".TP\n.B HOME\nwhere one lives\n", true);
	cox_buf_fini(&b);
}

static void completes(const char *text, const char *want)
{
	struct cox_buf b = { 0 };
	char with[200];
	bool ends_open = text[0] == 0 || text[strlen(text) - 1] == ' ';
	snprintf(with, sizeof(with), "%s", text);
	int n = split(with);
	if (ends_open)
		words[n++] = (char *)(uintptr_t) "";
	cox_cli_complete(&program, n, words, &b);
	if (strcmp(cox_buf_cstr(&b), want) != 0)
		fail_msg("\"%s\" gives\n%s", text, cox_buf_cstr(&b));
	cox_buf_fini(&b);
}

static void completed(void **state)
{
	struct cox_buf b = { 0 };
	(void)state;
	completes("", "pods\nplain\ncompletion\nhelp\n");
	completes("p", "pods\nplain\n");
	completes("x pods ", "list\n");
	completes("po l", "list\n");
	completes("none ", "");
	completes("po ls --o", "--output\n");
	completes("po ls -o ", "json\nyaml\nshort\n");
	completes("po ls --output ", "json\nyaml\nshort\n");
	completes("po ls -f ", ":files\n");
	completes("po ls --w", "--watch\n");
	completes("po ls --v", "");
	completes("plain -", "--namespace\n--color\n");
	assert_int_equal(cox_cli_completion(&program, "bash", &b), COX_OK);
	has(&b, "complete -o default -F _it it\n", true);
	has(&b, "${COMP_WORDS[@]:1:COMP_CWORD}", true);
	cox_buf_clear(&b);
	assert_int_equal(cox_cli_completion(&program, "zsh", &b), COX_OK);
	has(&b, "${(@)words[2,CURRENT]}", true);
	assert_int_equal(cox_cli_completion(&program, "fish", &b), COX_OK);
	assert_int_equal(cox_cli_completion(&program, "", &b), COX_EINVAL);
	cox_buf_fini(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(parsed), cmocka_unit_test(refused), cmocka_unit_test(documents),
		                            cmocka_unit_test(completed) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
