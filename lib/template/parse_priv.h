/* parse_priv - what parse.c (actions) and parse_expr.c (pipelines) share. */
#ifndef COX_TEMPLATE_PARSE_PRIV_H
#define COX_TEMPLATE_PARSE_PRIV_H

#include "template/template_priv.h"

#include <stdarg.h>
#include <stdio.h>

enum word { W_NONE, W_IF, W_WITH, W_RANGE, W_TEMPLATE, W_BLOCK, W_DEFINE, W_ELSE, W_ELSE_IF, W_ELSE_WITH, W_END, W_BREAK, W_CONTINUE };

struct parser {
	struct cox_template_set *set;
	struct cox_str name, rest;
	int line, nest, range_depth;
	COX_VEC(struct cox_str) vars; /* in scope */
	struct cox_err *err;
};

enum cox_rc template_parse_fail(struct parser *p, const char *fmt, ...) COX_PRINTF(2, 3);
struct template_node *template_node_new(struct parser *p, enum template_node_kind kind);
void template_node_add(struct parser *p, struct template_node *list, struct template_node *kid);
/* Takes the sign where the text goes on with it. */
bool template_parse_take(struct parser *p, const char *sign);
/* Takes spaces and line ends; whether there were any. */
bool template_parse_spaces(struct parser *p);
bool template_parse_at_end(const struct parser *p);
void template_parse_define(struct parser *p, struct cox_str name, const struct template_node *root);

static inline bool template_parse_is_alnum(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || (unsigned char)c >= 0x80;
}

/* parse_expr.c. A pipeline up to the end of its action or parenthesis; `in_range`: may declare two variables. */
enum cox_rc template_parse_pipe(struct parser *p, bool in_range, struct template_node **out);
/* A "quoted" or `raw` text at the start of the rest. */
enum cox_rc template_parse_string(struct parser *p, struct cox_str *out);

#endif
