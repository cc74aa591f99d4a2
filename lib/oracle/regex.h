/*
 * regex - regular expressions as Envoy's RE2 reads them: linear in text and expression, nothing is ever tried again.
 * Covers: literals, '.', classes ([a-z], [^...], [[:alpha:]], \d \D \w \W \s \S), \b \B \A \z ^ $, groups (plain, named, "?:"), flags i m s
 * U, | * + ? {n,m} greedy and lazy, \x, \Q...\E, UTF-8. Not Unicode's properties (\pL): refused as COX_EINVAL like everything that RE2
 * refuses. Thread: any; pure. All memory is the caller's arena.
 */
#ifndef COX_ORACLE_REGEX_H
#define COX_ORACLE_REGEX_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"

enum {
	COX_REGEX_BYTES_MAX = 64 * 1024, /* of an expression */
	COX_REGEX_STEPS_MAX = 20000,     /* of its program: {1000} of something long is refused */
};

struct cox_regex;
/* Everything in `arena`. */
COX_MUST_USE enum cox_rc cox_regex_build(struct cox_arena *arena, struct cox_str text, struct cox_regex **out, struct cox_err *err);
/* The whole of `s`, as Envoy's RegexMatcher asks. `arena` is scratch. */
bool cox_regex_matches_all(const struct cox_regex *re, struct cox_str s, struct cox_arena *arena);
/* RE2::GlobalReplace: every match, leftmost first; \0 to \9 stand for groups. In `arena`. */
struct cox_str cox_regex_replace_all(const struct cox_regex *re, struct cox_str s, struct cox_str with, struct cox_arena *arena);

#endif
