/* regex_priv.h - the tree between reading an expression and its program. */
#ifndef COX_ORACLE_REGEX_PRIV_H
#define COX_ORACLE_REGEX_PRIV_H

#include "oracle/regex.h"

enum node_kind { NODE_EMPTY, NODE_SET, NODE_CAT, NODE_ALT, NODE_REPEAT, NODE_GROUP, NODE_ASSERT };
enum assertion { ASSERT_TEXT_BEGIN, ASSERT_TEXT_END, ASSERT_LINE_BEGIN, ASSERT_LINE_END, ASSERT_WORD, ASSERT_NOT_WORD };

struct rune_range {
	int32_t from, to;
};
struct rune_set {
	struct rune_range *p;
	size_t n, cap;
};
struct node {
	enum node_kind kind;
	struct rune_set set;
	bool is_lazy;
	int min, max; /* of a repeat; max -1: no end */
	int group;    /* number from 1; 0: does not capture */
	enum assertion assertion;
	struct node *a, *b; /* of a pair; a alone: repeat and group */
};
enum { REPEAT_MAX = 1000, RUNE_MAX = 0x10FFFF, NEST_MAX = 200 };

/* regex_parse.c */
enum cox_rc regex_parse(struct cox_arena *arena, struct cox_str text, struct node **out, int *groups, struct cox_err *err);
/* The next rune of UTF-8 at s[at]; *n bytes. An invalid byte is -1 and one byte long: nothing matches it. */
int32_t regex_rune_at(struct cox_str s, size_t at, size_t *n);

#endif
