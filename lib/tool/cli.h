/*
 * cli - the frame of a command line: one table of verbs and flags, from which parsing, help, completion and the man page are made.
 * Thread: the main one. Everything lives until the program ends.
 *
 * A verb is words ("proxy-config cluster"); a word may have other names ("proxy-config|pc cluster|clusters|c"). Flags may stand anywhere
 * behind the verb: --name VALUE, --name=VALUE, -n VALUE, -nVALUE; a switch alone or with =true, =false; "--" ends them.
 * Exit status: 0 done, 1 it failed or found what it looks for, 2 wrong usage; a verb with other ones says so in its text.
 */
#ifndef COX_TOOL_CLI_H
#define COX_TOOL_CLI_H

#include "base/buf.h"
#include "base/err.h"

enum {
	COX_CLI_REPEATS = 1, /* each one counts; else the last */
	COX_CLI_IGNORED = 2, /* istioctl has it; here it does nothing */
	COX_CLI_HIDDEN = 4,  /* for tests */
};

struct cox_cli_flag {
	const char *name;
	char letter; /* 0: none */
	/* NULL: a switch. "json|yaml" (small letters): one of these. N and PORT: a number; DURATION: 30s, 5m; FILE, DIR: completed as such.
	 */
	const char *arg;
	const char *fallback; /* the value without it; NULL: none */
	const char *help;
	unsigned opts;
};

struct cox_cli;
struct cox_cli_verb {
	const char *path;
	const char *args;                 /* "[TYPE/]NAME[.NAMESPACE]"; NULL: none */
	unsigned arg_min, arg_max;        /* how many; arg_max 0 with args: any number */
	const char *summary;              /* one line, no full stop */
	const char *text;                 /* more, whole lines; may be NULL */
	const char *examples;             /* lines; may be NULL */
	const struct cox_cli_flag *flags; /* ended by one without a name; may be NULL */
	int (*run)(struct cox_cli *cli);  /* NULL: a group of verbs */
};

struct cox_cli_program {
	const char *name, *summary, *text;
	const char *version;
	const struct cox_cli_verb *const *verbs; /* ended by NULL, groups in front of their members */
	const struct cox_cli_flag *globals;      /* every verb has these, unless one of its own has the name or letter */
	const char *const *prefixes;             /* words that are skipped in front ("experimental", "x"), ended by NULL; may be NULL */
	const char *environment;                 /* lines "NAME<tab>what"; for the man page */
};

/* A row for the program's table: "completion bash|zsh|fish". */
extern const struct cox_cli_verb cox_cli_verb_completion;

/* Finds the verb, reads its flags, runs it; returns the exit status. Answers "help [VERB]" ("help --man": the man page), "--help" and
 * "__complete WORDS" itself. */
int cox_cli_main(const struct cox_cli_program *program, int argc, char **argv);

/* --- for verbs ------------------------------------------------------------------------------------------ */

/* A flag's value: the last one said, else its fallback, else NULL. Asserts that the verb has the flag. */
const char *cox_cli_get(const struct cox_cli *cli, const char *name);
struct cox_str cox_cli_str(const struct cox_cli *cli, const char *name); /* the same; empty for NULL */
bool cox_cli_is(const struct cox_cli *cli, const char *name);            /* a switch that is on */
bool cox_cli_has(const struct cox_cli *cli, const char *name);           /* it was said */
int64_t cox_cli_i64(const struct cox_cli *cli, const char *name);        /* N, PORT; 0 without value */
int64_t cox_cli_ms(const struct cox_cli *cli, const char *name);         /* DURATION; 0 without value */
/* All values of one that repeats; *out lives as long as `cli`. */
size_t cox_cli_all(const struct cox_cli *cli, const char *name, const char *const **out);
size_t cox_cli_arg_count(const struct cox_cli *cli);
/* NULL behind the last. */
const char *cox_cli_arg(const struct cox_cli *cli, size_t i);
/* The verb's canonical words: "proxy-config cluster". */
const char *cox_cli_verb_name(const struct cox_cli *cli);

/* "coxctl VERB: text" to standard error; returns 1. */
int cox_cli_fail(const struct cox_cli *cli, const struct cox_err *err);
/* The same with what is wrong with the command line, and where help is; returns 2. */
int cox_cli_wrong(const struct cox_cli *cli, const char *fmt, ...) COX_PRINTF(2, 3);
/* Writes the whole buffer to standard output and empties it; returns 0, or 1 where it cannot be written. */
int cox_cli_print(const struct cox_cli *cli, struct cox_buf *out);
/* Whether output may be coloured: a terminal, no NO_COLOR, or --color=always. */
bool cox_cli_has_color(const struct cox_cli *cli);

/* --- for documents ---------------------------------------------------------------------------------------- */

/* `path` empty: the program. COX_ENOTFOUND: no such verb. */
COX_MUST_USE enum cox_rc cox_cli_help(const struct cox_cli_program *program, struct cox_str path, struct cox_buf *out);
void cox_cli_man(const struct cox_cli_program *program, struct cox_buf *out);
/* `shell` bash, zsh or fish. COX_EINVAL: another one. */
COX_MUST_USE enum cox_rc cox_cli_completion(const struct cox_cli_program *program, const char *shell, struct cox_buf *out);
/* What may stand in place of the last word, one a line; ":files" or ":dirs" alone: names of files. */
void cox_cli_complete(const struct cox_cli_program *program, int argc, char **argv, struct cox_buf *out);

#endif
