/* cli_doc.c - see cli.h: help, man page and completion, all from the table. */
#include "tool/cli.h"

#include "tool/cli_priv.h"

#include <stdio.h>

enum { LEFT_MAX = 30 };

/* A global's letter may be taken by one of the verb's own. */
static char letter_of(const struct cox_cli_verb *verb, const struct cox_cli_flag *f)
{
	for (const struct cox_cli_flag *own = verb ? verb->flags : NULL; f->letter && own && own->name; own++)
		if (own != f && own->letter == f->letter)
			return 0;
	return f->letter;
}

static void flag_write(const struct cox_cli_verb *verb, const struct cox_cli_flag *f, struct cox_buf *out)
{
	struct cox_buf left = { 0 };
	char letter = letter_of(verb, f);
	if (letter)
		cox_buf_printf(&left, "  -%c, ", letter);
	else
		cox_buf_append_cstr(&left, "      ");
	cox_buf_printf(&left, "--%s%s%s", f->name, f->arg ? " " : "", f->arg ? f->arg : "");
	if (left.n > LEFT_MAX)
		cox_buf_printf(out, "%s\n%*s", cox_buf_cstr(&left), LEFT_MAX + 2, "");
	else
		cox_buf_printf(out, "%-*s  ", LEFT_MAX, cox_buf_cstr(&left));
	cox_buf_append_cstr(out, f->opts & COX_CLI_IGNORED ? "of istioctl; does nothing" : f->help);
	if (f->fallback && *f->fallback)
		cox_buf_printf(out, " (default %s)", f->fallback);
	if (f->opts & COX_CLI_REPEATS)
		cox_buf_append_cstr(out, "; may be repeated");
	cox_buf_append_char(out, '\n');
	cox_buf_fini(&left);
}

static bool is_global(const struct cox_cli_program *p, const struct cox_cli_flag *f)
{
	for (const struct cox_cli_flag *g = p->globals; g && g->name; g++)
		if (g == f)
			return true;
	return false;
}

static void flags_write(const struct cox_cli_program *p, const struct cox_cli_verb *v, bool globals, struct cox_buf *out)
{
	const struct cox_cli_flag *f;
	bool is_first = true;
	for (size_t at = 0; (f = cli_flag_next(p, v, &at));) {
		if ((f->opts & COX_CLI_HIDDEN) || is_global(p, f) != globals)
			continue;
		if (is_first)
			cox_buf_printf(out, "\n%s:\n", globals ? "everywhere" : "flags");
		is_first = false;
		flag_write(v, f, out);
	}
}

/* All ways to say it, where there are others. */
static void aliases_write(const struct cox_cli_program *p, const struct cox_cli_verb *v, struct cox_buf *out)
{
	if (!strchr(v->path, '|'))
		return;
	struct cox_str rest = cox_str_of(v->path), word;
	cox_buf_printf(out, "\nalso: %s", p->name);
	while (cox_str_next(&rest, ' ', &word))
		cox_buf_printf(out, " %.*s", COX_FMT(word));
	cox_buf_append_char(out, '\n');
}

/* Verbs of one level: those directly in `group` (NULL: of the program). */
static bool is_member(const struct cox_cli_program *p, const struct cox_cli_verb *group, const struct cox_cli_verb *v)
{
	if (group && !cli_path_is_in(v, group))
		return false;
	for (size_t i = 0; p->verbs[i]; i++) /* inside of another group, which stands for it */
		if (p->verbs[i] != group && cli_path_is_in(v, p->verbs[i]) && (!group || cli_path_is_in(p->verbs[i], group)))
			return false;
	return v != group;
}

static void members_write(const struct cox_cli_program *p, const struct cox_cli_verb *group, struct cox_buf *out)
{
	int width = 0;
	for (int pass = 0; pass < 2; pass++)
		for (size_t i = 0; p->verbs[i]; i++) {
			struct cox_buf path = { 0 };
			if (is_member(p, group, p->verbs[i])) {
				cli_path_write(p->verbs[i], &path);
				width = pass == 0 && (int)path.n > width ? (int)path.n : width;
				if (pass == 1)
					cox_buf_printf(out, "  %-*s  %s\n", width, cox_buf_cstr(&path), p->verbs[i]->summary);
			}
			cox_buf_fini(&path);
		}
}

static void usage_write(const struct cox_cli_program *p, const struct cox_cli_verb *v, struct cox_buf *out)
{
	cox_buf_printf(out, "%s ", p->name);
	cli_path_write(v, out);
	if (v->args)
		cox_buf_printf(out, " %s", v->args);
	if (v->flags && v->flags->name)
		cox_buf_append_cstr(out, " [FLAGS]");
}

enum cox_rc cox_cli_help(const struct cox_cli_program *p, struct cox_str path, struct cox_buf *out)
{
	const struct cox_cli_verb *v = NULL;
	for (size_t i = 0; path.n && p->verbs[i]; i++) {
		struct cox_buf name = { 0 };
		cli_path_write(p->verbs[i], &name);
		if (cox_str_eq(cox_buf_str(&name), path))
			v = p->verbs[i];
		cox_buf_fini(&name);
	}
	if (path.n && !v)
		return COX_ENOTFOUND;
	if (!v) {
		cox_buf_printf(out, "%s - %s\n\nusage: %s VERB [ARGUMENTS] [FLAGS]\n\n", p->name, p->summary, p->name);
		members_write(p, NULL, out);
		flags_write(p, NULL, true, out);
		cox_buf_printf(out,
		               "\nexit status: 0 done; 1 it failed, or found what it looks for; 2 wrong usage\n%s help VERB says more.\n",
		               p->name);
		return COX_OK;
	}
	cox_buf_printf(out, "%s %.*s - %s\n\nusage: ", p->name, COX_FMT(path), v->summary);
	if (v->run)
		usage_write(p, v, out);
	else
		cox_buf_printf(out, "%s %.*s VERB [ARGUMENTS] [FLAGS]", p->name, COX_FMT(path));
	cox_buf_append_char(out, '\n');
	aliases_write(p, v, out);
	if (v->text)
		cox_buf_printf(out, "\n%s", v->text);
	if (!v->run) {
		cox_buf_append_char(out, '\n');
		members_write(p, v, out);
		return COX_OK;
	}
	if (v->examples)
		cox_buf_printf(out, "\nexamples:\n%s", v->examples);
	flags_write(p, v, false, out);
	flags_write(p, v, true, out);
	return COX_OK;
}

/* --- the man page ------------------------------------------------------------------------------------------ */

/* Text as roff: "\" and "-" as themselves, no line that starts with a control character. */
static void roff(struct cox_buf *out, struct cox_str text)
{
	bool is_start = true;
	for (size_t i = 0; i < text.n; i++) {
		char c = text.p[i];
		if (is_start && (c == '.' || c == '\''))
			cox_buf_append_cstr(out, "\\&");
		if (c == '\\')
			cox_buf_append_cstr(out, "\\e");
		else if (c == '-')
			cox_buf_append_cstr(out, "\\-");
		else
			cox_buf_append_char(out, c);
		is_start = c == '\n';
	}
}

static void roff_c(struct cox_buf *out, const char *text) { roff(out, cox_str_of(text)); }

static void man_flag(const struct cox_cli_verb *v, const struct cox_cli_flag *f, struct cox_buf *out)
{
	char letter = letter_of(v, f);
	cox_buf_append_cstr(out, ".TP\n\\fB");
	if (letter)
		cox_buf_printf(out, "\\-%c\\fR, \\fB", letter);
	cox_buf_append_cstr(out, "\\-\\-");
	roff_c(out, f->name);
	cox_buf_append_cstr(out, "\\fR");
	if (f->arg) {
		cox_buf_append_cstr(out, " \\fI");
		roff_c(out, f->arg);
		cox_buf_append_cstr(out, "\\fR");
	}
	cox_buf_append_char(out, '\n');
	roff_c(out, f->opts & COX_CLI_IGNORED ? "of istioctl; does nothing" : f->help);
	if (f->fallback && *f->fallback) {
		cox_buf_append_cstr(out, " (default ");
		roff_c(out, f->fallback);
		cox_buf_append_char(out, ')');
	}
	cox_buf_append_cstr(out, f->opts & COX_CLI_REPEATS ? "; may be repeated\n" : "\n");
}

static void man_lines(struct cox_buf *out, const char *text)
{
	cox_buf_append_cstr(out, ".PP\n.nf\n");
	roff_c(out, text);
	cox_buf_append_cstr(out, ".fi\n");
}

static void man_verb(const struct cox_cli_program *p, const struct cox_cli_verb *v, struct cox_buf *out)
{
	struct cox_buf use = { 0 };
	usage_write(p, v, &use);
	cox_buf_append_cstr(out, ".SS \"");
	roff(out, cox_buf_str(&use));
	cox_buf_append_cstr(out, "\"\n");
	cox_buf_fini(&use);
	roff_c(out, v->summary);
	cox_buf_append_cstr(out, ".\n");
	if (v->text)
		man_lines(out, v->text);
	if (v->examples)
		man_lines(out, v->examples);
	for (const struct cox_cli_flag *f = v->flags; f && f->name; f++)
		if (!(f->opts & COX_CLI_HIDDEN))
			man_flag(v, f, out);
}

void cox_cli_man(const struct cox_cli_program *p, struct cox_buf *out)
{
	cox_buf_append_cstr(out, ".TH ");
	for (const char *c = p->name; *c; c++)
		cox_buf_append_char(out, (char)(*c >= 'a' && *c <= 'z' ? *c - 'a' + 'A' : *c));
	cox_buf_printf(out, " 1 \"\" \"coxswain %s\" \"Coxswain\"\n.SH NAME\n", p->version);
	roff_c(out, p->name);
	cox_buf_append_cstr(out, " \\- ");
	roff_c(out, p->summary);
	cox_buf_printf(out, "\n.SH SYNOPSIS\n.B %s\n\\fIVERB\\fR [\\fIARGUMENTS\\fR] [\\fIFLAGS\\fR]\n.SH DESCRIPTION\n", p->name);
	if (p->text)
		roff_c(out, p->text);
	cox_buf_append_cstr(out, ".SH VERBS\n");
	for (size_t i = 0; p->verbs[i]; i++)
		if (p->verbs[i]->run)
			man_verb(p, p->verbs[i], out);
	cox_buf_append_cstr(out, ".SH \"FLAGS OF ALL VERBS\"\n");
	for (const struct cox_cli_flag *f = p->globals; f && f->name; f++)
		man_flag(NULL, f, out);
	cox_buf_append_cstr(
	    out, ".SH \"EXIT STATUS\"\n0: done. 1: it failed, or found what it looks for. 2: wrong usage. Verbs with other ones say so.\n");
	if (p->environment) {
		struct cox_str rest = cox_str_of(p->environment), line, name;
		cox_buf_append_cstr(out, ".SH ENVIRONMENT\n");
		while (cox_str_next(&rest, '\n', &line) && line.n) {
			if (!cox_str_next(&line, '\t', &name))
				continue;
			cox_buf_append_cstr(out, ".TP\n.B ");
			roff(out, name);
			cox_buf_append_char(out, '\n');
			roff(out, line);
			cox_buf_append_char(out, '\n');
		}
	}
}

/* --- completion -------------------------------------------------------------------------------------------- */

/* The shells only pass the words on and show what comes back. */
static const char bash[] = "_@() {\n"
                           "    local IFS=$'\\n' got\n"
                           "    got=$(\"${COMP_WORDS[0]}\" __complete \"${COMP_WORDS[@]:1:COMP_CWORD}\" 2>/dev/null)\n"
                           "    case $got in\n"
                           "    :files) COMPREPLY=($(compgen -f -- \"${COMP_WORDS[COMP_CWORD]}\")) ;;\n"
                           "    :dirs) COMPREPLY=($(compgen -d -- \"${COMP_WORDS[COMP_CWORD]}\")) ;;\n"
                           "    *) COMPREPLY=($(compgen -W \"$got\" -- \"${COMP_WORDS[COMP_CWORD]}\")) ;;\n"
                           "    esac\n"
                           "}\n"
                           "complete -o default -F _@ @\n";
static const char zsh[] = "#compdef @\n"
                          "_@() {\n"
                          "    local got\n"
                          "    got=$(\"${words[1]}\" __complete \"${(@)words[2,CURRENT]}\" 2>/dev/null)\n"
                          "    case $got in\n"
                          "    :files) _files ;;\n"
                          "    :dirs) _files -/ ;;\n"
                          "    *) compadd -- ${(f)got} ;;\n"
                          "    esac\n"
                          "}\n"
                          "compdef _@ @\n";
static const char fish[] = "function __@_complete\n"
                           "    set -l words (commandline -opc) (commandline -ct)\n"
                           "    set -l got (@ __complete $words[2..-1] 2>/dev/null)\n"
                           "    switch \"$got\"\n"
                           "        case :files :dirs\n"
                           "            __fish_complete_path (commandline -ct)\n"
                           "        case '*'\n"
                           "            printf '%s\\n' $got\n"
                           "    end\n"
                           "end\n"
                           "complete -c @ -f -a '(__@_complete)'\n";

enum cox_rc cox_cli_completion(const struct cox_cli_program *p, const char *shell, struct cox_buf *out)
{
	const char *text = strcmp(shell, "bash") == 0 ? bash : strcmp(shell, "zsh") == 0 ? zsh : strcmp(shell, "fish") == 0 ? fish : NULL;
	if (!text)
		return COX_EINVAL;
	for (; *text; text++)
		if (*text == '@' && text[1] != ']' && text[1] != ')')
			cox_buf_append_cstr(out, p->name);
		else
			cox_buf_append_char(out, *text);
	return COX_OK;
}

static void value_complete(const struct cox_cli_flag *f, struct cox_buf *out)
{
	if (cli_has_choices(f)) {
		struct cox_str rest = cox_str_of(f->arg), one;
		while (cox_str_next(&rest, '|', &one))
			cox_buf_printf(out, "%.*s\n", COX_FMT(one));
	} else if (strstr(f->arg, "DIR") && !strstr(f->arg, "FILE")) {
		cox_buf_append_cstr(out, ":dirs\n");
	} else if (strstr(f->arg, "FILE")) {
		cox_buf_append_cstr(out, ":files\n");
	}
}

/* The flag that the word before waits for a value of, or NULL. */
static const struct cox_cli_flag *waiting(const struct cox_cli_program *p, const struct cox_cli_verb *v, const char *word)
{
	const struct cox_cli_flag *f = NULL;
	if (word[0] == '-' && word[1] == '-' && !strchr(word, '='))
		f = cli_flag_find(p, v, cox_str_of(word + 2), 0);
	else if (word[0] == '-' && word[1] && !word[2])
		f = cli_flag_find(p, v, COX_STR(""), word[1]);
	return f && f->arg ? f : NULL;
}

/* Canonical names of the words that may stand after the first `n` ones. */
static void words_complete(const struct cox_cli_program *p, int n, char **argv, struct cox_str start, struct cox_buf *out)
{
	struct cox_str last = { 0 };
	for (size_t i = 0; p->verbs[i]; i++) {
		struct cox_str rest = cox_str_of(p->verbs[i]->path), word = { 0 }, one;
		bool fits = true;
		for (int at = 0; fits && at < n; at++) {
			bool is_it = false;
			fits = cox_str_next(&rest, ' ', &word);
			while (fits && cox_str_next(&word, '|', &one))
				is_it |= cox_str_eq_cstr(one, argv[at]);
			fits = fits && is_it;
		}
		if (!fits || !cox_str_next(&rest, ' ', &word) || !cox_str_next(&word, '|', &one))
			continue;
		if (cox_str_has_prefix(one, start) && !cox_str_eq(one, last))
			cox_buf_printf(out, "%.*s\n", COX_FMT(one));
		last = one;
	}
}

void cox_cli_complete(const struct cox_cli_program *p, int argc, char **argv, struct cox_buf *out)
{
	char *none = (char *)(uintptr_t) "";
	const char *last = argc ? argv[argc - 1] : none;
	int used, skip = 0;
	for (size_t i = 0; argc > 1 && p->prefixes && p->prefixes[i]; i++)
		skip |= strcmp(p->prefixes[i], argv[0]) == 0;
	argv += skip, argc -= skip;
	const struct cox_cli_verb *v = cli_verb_find(p, argc ? argc - 1 : 0, argv, &used);
	const struct cox_cli_flag *f = argc > 1 ? waiting(p, v, argv[argc - 2]) : NULL;
	if (f) {
		value_complete(f, out);
		return;
	}
	if (last[0] == '-') {
		for (size_t at = 0; (f = cli_flag_next(p, v, &at));)
			if (!(f->opts & (COX_CLI_HIDDEN | COX_CLI_IGNORED)) && strncmp(last, "--", cox_min_size(2, strlen(last))) == 0 &&
			    (strlen(last) < 3 || strncmp(f->name, last + 2, strlen(last + 2)) == 0))
				cox_buf_printf(out, "--%s\n", f->name);
		return;
	}
	if (!v || !v->run)
		words_complete(p, argc ? argc - 1 : 0, argv, cox_str_of(last), out);
	if (!v && argc <= 1 && strncmp("help", last, strlen(last)) == 0)
		cox_buf_append_cstr(out, "help\n");
}
