/* cli.c - see cli.h: finding the verb, reading its flags, running it. */
#include "tool/cli.h"

#include "base/vec.h"
#include "codec/fields.h"
#include "tool/cli_priv.h"

#include <ctype.h>
#include <stdio.h>
#include <unistd.h>

struct said {
	const struct cox_cli_flag *flag;
	const char *value;
};

struct cox_cli {
	const struct cox_cli_program *program;
	const struct cox_cli_verb *verb;
	struct cox_buf name;
	COX_VEC(struct said) said;
	COX_VEC(const char *) args;
	COX_VEC(const char *) list; /* of cox_cli_all() */
};

/* --- the table -------------------------------------------------------------------------------------------- */

/* Is `word` one of the names in "cluster|clusters|c"? */
static bool names(struct cox_str alternatives, struct cox_str word)
{
	for (struct cox_str one; cox_str_next(&alternatives, '|', &one);)
		if (cox_str_eq(one, word))
			return true;
	return false;
}

/* How many of the given words the verb's whole path takes; 0: they are others. */
static int path_match(const struct cox_cli_verb *v, int argc, char **argv)
{
	struct cox_str rest = cox_str_of(v->path), word;
	int n = 0;
	while (cox_str_next(&rest, ' ', &word)) {
		if (n == argc || !names(word, cox_str_of(argv[n])))
			return 0;
		n++;
	}
	return n;
}

const struct cox_cli_verb *cli_verb_find(const struct cox_cli_program *p, int argc, char **argv, int *used)
{
	const struct cox_cli_verb *found = NULL;
	*used = 0;
	for (size_t i = 0; p->verbs[i]; i++) {
		int n = path_match(p->verbs[i], argc, argv);
		if (n > *used) {
			found = p->verbs[i];
			*used = n;
		}
	}
	return found;
}

static bool has_own(const struct cox_cli_verb *verb, const struct cox_cli_flag *global)
{
	for (const struct cox_cli_flag *f = verb ? verb->flags : NULL; f && f->name; f++)
		if (strcmp(f->name, global->name) == 0)
			return true;
	return false;
}

const struct cox_cli_flag *cli_flag_next(const struct cox_cli_program *p, const struct cox_cli_verb *verb, size_t *at)
{
	size_t own = 0;
	for (const struct cox_cli_flag *f = verb ? verb->flags : NULL; f && f->name; f++, own++)
		if (own == *at) {
			++*at;
			return f;
		}
	for (const struct cox_cli_flag *f = p->globals; f && f->name; f++, own++)
		if (own >= *at && !has_own(verb, f)) {
			*at = own + 1;
			return f;
		}
	return NULL;
}

const struct cox_cli_flag *cli_flag_find(const struct cox_cli_program *p, const struct cox_cli_verb *verb, struct cox_str name, char letter)
{
	const struct cox_cli_flag *f;
	for (size_t at = 0; (f = cli_flag_next(p, verb, &at));)
		if (letter ? f->letter == letter : cox_str_eq_cstr(name, f->name))
			return f;
	return NULL;
}

void cli_path_write(const struct cox_cli_verb *verb, struct cox_buf *out)
{
	struct cox_str rest = cox_str_of(verb->path), word, first;
	for (const char *between = ""; cox_str_next(&rest, ' ', &word); between = " ") {
		cox_buf_append_cstr(out, between);
		if (cox_str_next(&word, '|', &first))
			cox_buf_append_str(out, first);
	}
}

bool cli_path_is_in(const struct cox_cli_verb *verb, const struct cox_cli_verb *group)
{
	size_t n = strlen(group->path);
	return strncmp(verb->path, group->path, n) == 0 && verb->path[n] == ' ';
}

bool cli_has_choices(const struct cox_cli_flag *f)
{
	if (!f->arg || !strchr(f->arg, '|'))
		return false;
	for (const char *p = f->arg; *p; p++)
		if (isupper((unsigned char)*p))
			return false;
	return true;
}

/* --- reading ---------------------------------------------------------------------------------------------- */

static int vwrong(const struct cox_cli *cli, const char *fmt, va_list ap)
{
	struct cox_buf b = { 0 };
	cox_buf_vprintf(&b, fmt, ap);
	fprintf(stderr, "%s %s: %s\n", cli->program->name, cox_cli_verb_name(cli), cox_buf_cstr(&b));
	fprintf(stderr, "see: %s %s --help\n", cli->program->name, cox_cli_verb_name(cli));
	cox_buf_fini(&b);
	return 2;
}

int cox_cli_wrong(const struct cox_cli *cli, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	int status = vwrong(cli, fmt, ap);
	va_end(ap);
	return status;
}

static bool is_good(const struct cox_cli_flag *f, struct cox_str value)
{
	uint64_t n;
	int64_t ns;
	if (cli_has_choices(f))
		return names(cox_str_of(f->arg), value);
	if (!f->arg)
		return names(COX_STR("true|false"), value);
	if (strcmp(f->arg, "N") == 0)
		return cox_str_to_u64(value, &n) == COX_OK && n <= INT64_MAX;
	if (strcmp(f->arg, "PORT") == 0)
		return cox_str_to_u64(value, &n) == COX_OK && n <= 65535;
	if (strcmp(f->arg, "DURATION") == 0)
		return cox_duration_parse(value, &ns) == COX_OK && ns >= 0;
	return true;
}

static const char *wants(const struct cox_cli_flag *f)
{
	if (cli_has_choices(f))
		return f->arg;
	return !f->arg                           ? "true or false"
	       : strcmp(f->arg, "DURATION") == 0 ? "a duration such as 30s"
	       : strcmp(f->arg, "PORT") == 0     ? "a port"
	                                         : "a number";
}

static int flag_take(struct cox_cli *cli, const struct cox_cli_flag *f, const char *value)
{
	if (!is_good(f, cox_str_of(value)))
		return cox_cli_wrong(cli, "--%s: \"%s\" is not %s%s", f->name, value, cli_has_choices(f) ? "one of " : "", wants(f));
	struct said *s = cox_vec_add(&cli->said);
	s->flag = f;
	s->value = value;
	return 0;
}

/* --name, --name=value, --name value. */
static int long_take(struct cox_cli *cli, int argc, char **argv, int *i)
{
	struct cox_str word = cox_str_sub(cox_str_of(argv[*i]), 2, SIZE_MAX);
	ptrdiff_t eq = cox_str_find(word, '=');
	const char *value = eq >= 0 ? argv[*i] + 2 + eq + 1 : NULL;
	const struct cox_cli_flag *f = cli_flag_find(cli->program, cli->verb, eq >= 0 ? cox_str_sub(word, 0, (size_t)eq) : word, 0);
	if (!f)
		return cox_cli_wrong(cli, "there is no flag %s", argv[*i]);
	if (!value && !f->arg)
		value = "true";
	if (!value && ++*i < argc)
		value = argv[*i];
	return value ? flag_take(cli, f, value) : cox_cli_wrong(cli, "--%s needs a value", f->name);
}

/* -a, -ab, -n value, -nvalue, -n=value. */
static int short_take(struct cox_cli *cli, int argc, char **argv, int *i)
{
	for (const char *p = argv[*i] + 1; *p; p++) {
		const struct cox_cli_flag *f = cli_flag_find(cli->program, cli->verb, COX_STR(""), *p);
		if (!f)
			return cox_cli_wrong(cli, "there is no flag -%c", *p);
		if (!f->arg && p[1] != '=') {
			int status = flag_take(cli, f, "true");
			if (status)
				return status;
			continue;
		}
		const char *value = p[1] == '=' ? p + 2 : p[1] ? p + 1 : ++*i < argc ? argv[*i] : NULL;
		return value ? flag_take(cli, f, value) : cox_cli_wrong(cli, "-%c needs a value", *p);
	}
	return 0;
}

static int words_take(struct cox_cli *cli, int argc, char **argv)
{
	int status = 0;
	for (int i = 0; i < argc && status == 0; i++) {
		if (strcmp(argv[i], "--") == 0) {
			while (++i < argc)
				cox_vec_push(&cli->args, argv[i]);
		} else if (argv[i][0] == '-' && argv[i][1] == '-') {
			status = long_take(cli, argc, argv, &i);
		} else if (argv[i][0] == '-' && argv[i][1]) {
			status = short_take(cli, argc, argv, &i);
		} else {
			cox_vec_push(&cli->args, argv[i]);
		}
	}
	if (status)
		return status;
	const struct cox_cli_verb *v = cli->verb;
	if (!v->args && cli->args.n)
		return cox_cli_wrong(cli, "\"%s\" is too much", cli->args.p[0]);
	if (cli->args.n < v->arg_min)
		return cox_cli_wrong(cli, "%s is missing", v->args);
	if (v->args && v->arg_max && cli->args.n > v->arg_max)
		return cox_cli_wrong(cli, "\"%s\" is too much: %s", cli->args.p[v->arg_max], v->args);
	return 0;
}

/* --- running ---------------------------------------------------------------------------------------------- */

static bool wants_help(int argc, char **argv)
{
	for (int i = 0; i < argc && strcmp(argv[i], "--") != 0; i++)
		if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
			return true;
	return false;
}

static int document(enum cox_rc rc, struct cox_buf *out, FILE *to)
{
	if (rc == COX_OK)
		(void)fwrite(out->p, 1, out->n, to);
	cox_buf_fini(out);
	return rc == COX_OK && to == stdout ? 0 : 2;
}

static int help(const struct cox_cli_program *p, const struct cox_cli_verb *v, FILE *to)
{
	struct cox_buf out = { 0 }, path = { 0 };
	if (v)
		cli_path_write(v, &path);
	enum cox_rc rc = cox_cli_help(p, cox_buf_str(&path), &out);
	cox_buf_fini(&path);
	return document(rc, &out, to);
}

static bool is_prefix(const struct cox_cli_program *p, const char *word)
{
	for (size_t i = 0; p->prefixes && p->prefixes[i]; i++)
		if (strcmp(p->prefixes[i], word) == 0)
			return true;
	return false;
}

/* Flags of the whole program may stand in front of the verb, as in "coxctl -n shop proxy-status": they are moved behind it. */
static int verb_at(const struct cox_cli_program *p, int argc, char **argv)
{
	for (int i = 0; i < argc; i++) {
		struct cox_str word = cox_str_of(argv[i]);
		if (!cox_str_has_prefix(word, COX_STR("-")))
			return i;
		bool is_long = cox_str_has_prefix(word, COX_STR("--"));
		const struct cox_cli_flag *f =
		    cli_flag_find(p, NULL, is_long ? cox_str_sub(word, 2, SIZE_MAX) : COX_STR(""), is_long ? 0 : argv[i][1]);
		if (f && f->arg && (is_long || !argv[i][2]))
			i++;
	}
	return argc;
}

static int verb_run(const struct cox_cli_program *p, const struct cox_cli_verb *v, int argc, char **argv)
{
	struct cox_cli cli = { .program = p, .verb = v };
	cli_path_write(v, &cli.name);
	int status = words_take(&cli, argc, argv);
	if (status == 0)
		status = v->run(&cli);
	cox_buf_fini(&cli.name);
	cox_vec_fini(&cli.said);
	cox_vec_fini(&cli.args);
	cox_vec_fini(&cli.list);
	return status;
}

static int own_verbs(const struct cox_cli_program *p, int argc, char **argv, bool *is_one)
{
	struct cox_buf out = { 0 };
	int used;
	*is_one = true;
	if (strcmp(argv[0], "help") == 0 && argc > 1 && strcmp(argv[1], "--man") == 0) {
		cox_cli_man(p, &out);
		return document(COX_OK, &out, stdout);
	}
	if (strcmp(argv[0], "help") == 0 || strcmp(argv[0], "--help") == 0 || strcmp(argv[0], "-h") == 0) {
		int skip = argc > 1 && is_prefix(p, argv[1]) ? 2 : 1;
		const struct cox_cli_verb *v = cli_verb_find(p, argc - skip, argv + skip, &used);
		if (!v && argc > skip)
			fprintf(stderr, "%s: there is no verb \"%s\"\n", p->name, argv[skip]);
		return help(p, v, v || argc <= skip ? stdout : stderr);
	}
	if (strcmp(argv[0], "__complete") == 0) {
		cox_cli_complete(p, argc - 1, argv + 1, &out);
		return document(COX_OK, &out, stdout);
	}
	*is_one = false;
	return 0;
}

int cox_cli_main(const struct cox_cli_program *p, int argc, char **argv)
{
	bool is_one;
	int used;
	argc--, argv++;
	if (argc == 0)
		return help(p, NULL, stderr);
	int at = verb_at(p, argc, argv);
	if (at == argc && wants_help(argc, argv))
		return help(p, NULL, stdout);
	/* The words of the verb first, then the flags that stood in front, then the rest. */
	COX_VEC(char *) words = { 0 };
	for (int i = at; i < argc; i++)
		if (i > at || !is_prefix(p, argv[i]) || i + 1 == argc)
			cox_vec_push(&words, argv[i]);
	int status = words.n ? own_verbs(p, (int)words.n, words.p, &is_one) : 2;
	if (words.n == 0) {
		help(p, NULL, stderr);
	} else if (!is_one) {
		const struct cox_cli_verb *v = cli_verb_find(p, (int)words.n, words.p, &used);
		if (!v) {
			fprintf(stderr, "%s: there is no verb \"%s\"; %s help lists them\n", p->name, words.p[0], p->name);
			status = 2;
		} else if (wants_help((int)words.n, words.p)) {
			status = help(p, v, stdout);
		} else if (!v->run) {
			if ((size_t)used < words.n)
				fprintf(stderr, "%s: \"%s\" is no verb of %s\n", p->name, words.p[used], words.p[used - 1]);
			status = help(p, v, stderr);
		} else {
			COX_VEC(char *) rest = { 0 };
			for (int i = 0; i < at; i++)
				cox_vec_push(&rest, argv[i]);
			for (size_t i = (size_t)used; i < words.n; i++)
				cox_vec_push(&rest, words.p[i]);
			status = verb_run(p, v, (int)rest.n, rest.p);
			cox_vec_fini(&rest);
		}
	}
	cox_vec_fini(&words);
	return status;
}

static int completion_run(struct cox_cli *cli)
{
	struct cox_buf out = { 0 };
	if (cox_cli_completion(cli->program, cli->args.p[0], &out) != COX_OK)
		return cox_cli_wrong(cli, "there is no shell \"%s\" here: bash, zsh or fish", cli->args.p[0]);
	return document(COX_OK, &out, stdout);
}

const struct cox_cli_verb cox_cli_verb_completion = {
	.path = "completion",
	.args = "bash|zsh|fish",
	.arg_min = 1,
	.arg_max = 1,
	.summary = "print what a shell needs to complete verbs and flags",
	.examples = "  source <(coxctl completion bash)\n"
	            "  coxctl completion zsh >\"${fpath[1]}/_coxctl\"\n"
	            "  coxctl completion fish >~/.config/fish/completions/coxctl.fish\n",
	.run = completion_run,
};

/* --- for verbs -------------------------------------------------------------------------------------------- */

static const struct said *find(const struct cox_cli *cli, const char *name, const struct cox_cli_flag **flag)
{
	const struct said *last = NULL;
	*flag = cli_flag_find(cli->program, cli->verb, cox_str_of(name), 0);
	COX_ASSERT(*flag);
	for (size_t i = 0; i < cli->said.n; i++)
		if (cli->said.p[i].flag == *flag)
			last = &cli->said.p[i];
	return last;
}

const char *cox_cli_get(const struct cox_cli *cli, const char *name)
{
	const struct cox_cli_flag *f;
	const struct said *s = find(cli, name, &f);
	return s ? s->value : f->fallback;
}

struct cox_str cox_cli_str(const struct cox_cli *cli, const char *name) { return cox_str_of(cox_cli_get(cli, name)); }

bool cox_cli_is(const struct cox_cli *cli, const char *name)
{
	const char *value = cox_cli_get(cli, name);
	return value && strcmp(value, "true") == 0;
}

bool cox_cli_has(const struct cox_cli *cli, const char *name)
{
	const struct cox_cli_flag *f;
	return find(cli, name, &f) != NULL;
}

int64_t cox_cli_i64(const struct cox_cli *cli, const char *name)
{
	int64_t n = 0;
	const char *value = cox_cli_get(cli, name);
	return value && cox_str_to_i64(cox_str_of(value), &n) == COX_OK ? n : 0;
}

int64_t cox_cli_ms(const struct cox_cli *cli, const char *name)
{
	int64_t ns = 0;
	const char *value = cox_cli_get(cli, name);
	return value && cox_duration_parse(cox_str_of(value), &ns) == COX_OK ? ns / 1000000 : 0;
}

size_t cox_cli_all(const struct cox_cli *cli, const char *name, const char *const **out)
{
	struct cox_cli *c = (struct cox_cli *)(uintptr_t)cli;
	const struct cox_cli_flag *f;
	size_t at, n = 0;
	(void)find(cli, name, &f);
	/* Lists asked for earlier stay where they are. */
	at = c->list.n;
	if (c->list.cap < cli->said.n * 8)
		cox_vec_reserve(&c->list, cli->said.n * 8);
	for (size_t i = 0; i < cli->said.n; i++)
		if (cli->said.p[i].flag == f) {
			cox_vec_push(&c->list, cli->said.p[i].value);
			n++;
		}
	*out = c->list.p + at;
	return n;
}

size_t cox_cli_arg_count(const struct cox_cli *cli) { return cli->args.n; }
const char *cox_cli_arg(const struct cox_cli *cli, size_t i) { return i < cli->args.n ? cli->args.p[i] : NULL; }
const char *cox_cli_verb_name(const struct cox_cli *cli) { return cox_buf_cstr((struct cox_buf *)(uintptr_t)&cli->name); }

int cox_cli_fail(const struct cox_cli *cli, const struct cox_err *err)
{
	char text[768];
	fprintf(stderr, "%s %s: %s\n", cli->program->name, cox_cli_verb_name(cli), cox_err_describe(err, text, sizeof(text)));
	return 1;
}

int cox_cli_print(const struct cox_cli *cli, struct cox_buf *out)
{
	bool is_good_ = fwrite(out->p, 1, out->n, stdout) == out->n && fflush(stdout) == 0;
	cox_buf_clear(out);
	if (!is_good_)
		fprintf(stderr, "%s: standard output cannot be written\n", cli->program->name);
	return is_good_ ? 0 : 1;
}

bool cox_cli_has_color(const struct cox_cli *cli)
{
	const char *how = cox_cli_get(cli, "color"), *no = cox_env_get("NO_COLOR");
	if (strcmp(how, "auto") != 0)
		return strcmp(how, "always") == 0;
	return isatty(STDOUT_FILENO) && !(no && *no);
}
