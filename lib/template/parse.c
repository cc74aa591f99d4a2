/*
 * From a template's text to its tree: a recursive descent straight over the bytes. Spaces are part of the grammar: `.a .b` are two
 * operands, `(x).y` is one.
 */
#include "template/parse_priv.h"

/* --- text between actions ----------------------------------------------------------------------------------- */

static bool is_space(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

enum cox_rc template_parse_fail(struct parser *p, const char *fmt, ...)
{
	char text[300];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	char name[128];
	cox_err_set(p->err, COX_EINVAL, cox_str_to_cstr(p->name, name, sizeof(name)), "%s", text);
	if (p->err)
		p->err->line = p->line;
	return COX_EINVAL;
}

struct template_node *template_node_new(struct parser *p, enum template_node_kind kind)
{
	struct template_node *n = COX_ARENA_NEW(p->set->arena, struct template_node);
	n->kind = kind;
	n->line = p->line;
	return n;
}

void template_node_add(struct parser *p, struct template_node *list, struct template_node *kid)
{
	/* Doubling at the powers of two. */
	if ((list->kid_n & (list->kid_n - 1)) == 0) {
		size_t cap = list->kid_n ? list->kid_n * 2 : 1;
		struct template_node **kids = COX_ARENA_ARRAY(p->set->arena, struct template_node *, cap);
		if (list->kid_n)
			memcpy(kids, list->kids, list->kid_n * sizeof(struct template_node *));
		list->kids = kids;
	}
	list->kids[list->kid_n++] = kid;
}

static void advance(struct parser *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		p->line += p->rest.p[i] == '\n';
	p->rest = cox_str_sub(p->rest, n, p->rest.n);
}

bool template_parse_take(struct parser *p, const char *sign)
{
	if (!cox_str_has_prefix(p->rest, cox_str_of(sign)))
		return false;
	advance(p, strlen(sign));
	return true;
}

bool template_parse_spaces(struct parser *p)
{
	size_t n = 0;
	while (n < p->rest.n && is_space(p->rest.p[n]))
		n++;
	advance(p, n);
	return n > 0;
}

bool template_parse_at_end(const struct parser *p)
{
	return cox_str_has_prefix(p->rest, COX_STR("}}")) || cox_str_has_prefix(p->rest, COX_STR("-}}"));
}

/* "}}", or " -}}" which also takes the space behind it. */
static enum cox_rc take_right_delimiter(struct parser *p)
{
	template_parse_spaces(p);
	if (template_parse_take(p, "}}"))
		return COX_OK;
	/* There is always something before the rest: the action's own opening. */
	if (is_space(p->rest.p[-1]) && template_parse_take(p, "-}}")) {
		template_parse_spaces(p);
		return COX_OK;
	}
	if (p->rest.n == 0)
		return template_parse_fail(p, "unclosed action");
	return template_parse_fail(p, "unexpected \"%.*s\" in an action", COX_FMT(cox_str_sub(p->rest, 0, 16)));
}

/* A comment stands alone in its action. */
static enum cox_rc take_comment(struct parser *p, bool *was)
{
	*was = cox_str_has_prefix(p->rest, COX_STR("/*"));
	if (!*was)
		return COX_OK;
	ptrdiff_t end = cox_str_search(p->rest, COX_STR("*/"));
	if (end < 0)
		return template_parse_fail(p, "unclosed comment");
	advance(p, (size_t)end + 2);
	if (template_parse_take(p, "}}"))
		return COX_OK;
	if (template_parse_take(p, " -}}") || template_parse_take(p, "\n-}}") || template_parse_take(p, "\t-}}")) {
		template_parse_spaces(p);
		return COX_OK;
	}
	return template_parse_fail(p, "a comment ends before the closing delimiter");
}

/* Takes text up to the next action and the action's opening. *more: there is an action. */
static struct template_node *take_text(struct parser *p, bool *more)
{
	ptrdiff_t at = cox_str_search(p->rest, COX_STR("{{"));
	struct cox_str text = cox_str_sub(p->rest, 0, at < 0 ? p->rest.n : (size_t)at);
	struct template_node *node = template_node_new(p, TN_TEXT);
	*more = at >= 0;
	advance(p, text.n + (*more ? 2 : 0));
	if (*more && p->rest.n > 1 && p->rest.p[0] == '-' && is_space(p->rest.p[1])) {
		advance(p, 2);
		while (text.n && is_space(text.p[text.n - 1]))
			text.n--;
	}
	node->text = text;
	return node;
}

/* --- actions --------------------------------------------------------------------------------------------------- */

static enum cox_rc parse_list(struct parser *p, struct template_node **out, enum word *ended);

static struct cox_str peek_word(const struct parser *p)
{
	size_t n = 0;
	while (n < p->rest.n && template_parse_is_alnum(p->rest.p[n]))
		n++;
	return cox_str_sub(p->rest, 0, n);
}

static const struct {
	const char *text;
	enum word word;
} words[] = { { "if", W_IF },       { "with", W_WITH },         { "range", W_RANGE }, { "template", W_TEMPLATE },
	      { "block", W_BLOCK }, { "define", W_DEFINE },     { "else", W_ELSE },   { "end", W_END },
	      { "break", W_BREAK }, { "continue", W_CONTINUE }, { NULL, W_NONE } };

static enum word take_word(struct parser *p)
{
	struct cox_str text = peek_word(p);
	for (size_t i = 0; words[i].text; i++)
		if (cox_str_eq_cstr(text, words[i].text)) {
			advance(p, text.n);
			return words[i].word;
		}
	return W_NONE;
}

static enum cox_rc parse_control(struct parser *p, enum word word, struct template_node **out)
{
	struct template_node *n = template_node_new(p, word == W_IF ? TN_IF : word == W_WITH ? TN_WITH : TN_RANGE);
	size_t vars = p->vars.n;
	enum word ended;
	if (++p->nest > COX_TEMPLATE_NEST_MAX)
		return template_parse_fail(p, "actions are nested deeper than %d", COX_TEMPLATE_NEST_MAX);
	COX_TRY(template_parse_pipe(p, word == W_RANGE, &n->pipe));
	COX_TRY(take_right_delimiter(p));
	p->range_depth += word == W_RANGE;
	COX_TRY(parse_list(p, &n->body, &ended));
	p->range_depth -= word == W_RANGE;
	if (ended == W_ELSE_IF || ended == W_ELSE_WITH) {
		/* {{else if}} is an {{if}} in the else, which shares the {{end}}. */
		struct template_node *inner;
		COX_TRY(parse_control(p, ended == W_ELSE_IF ? W_IF : W_WITH, &inner));
		n->other = template_node_new(p, TN_LIST);
		template_node_add(p, n->other, inner);
	} else if (ended == W_ELSE) {
		COX_TRY(parse_list(p, &n->other, &ended));
		if (ended != W_END)
			return template_parse_fail(p, "expected end; found {{else}}");
	}
	if ((ended == W_ELSE_IF && word != W_IF) || (ended == W_ELSE_WITH && word != W_WITH))
		return template_parse_fail(p, "{{else if}} and {{else with}} belong to their own kind");
	p->vars.n = vars;
	p->nest--;
	*out = n;
	return COX_OK;
}

static enum cox_rc parse_name(struct parser *p, struct cox_str *out)
{
	template_parse_spaces(p);
	if (!p->rest.n || (p->rest.p[0] != '"' && p->rest.p[0] != '`'))
		return template_parse_fail(p, "a quoted template name is wanted");
	return template_parse_string(p, out);
}

/* What stands up to {{end}} becomes a template of its own. */
static enum cox_rc parse_definition(struct parser *p, struct cox_str name)
{
	struct template_node *body;
	enum word ended;
	/* Variables of the text around are not seen inside. */
	__typeof__(p->vars) outer = p->vars;
	int ranges = p->range_depth;
	memset(&p->vars, 0, sizeof(p->vars));
	p->range_depth = 0;
	cox_vec_push(&p->vars, COX_STR("$"));
	enum cox_rc rc = ++p->nest > COX_TEMPLATE_NEST_MAX
	                     ? template_parse_fail(p, "actions are nested deeper than %d", COX_TEMPLATE_NEST_MAX)
	                     : parse_list(p, &body, &ended);
	if (rc == COX_OK && ended != W_END)
		rc = template_parse_fail(p, "unexpected {{else}} in the definition of \"%.*s\"", COX_FMT(name));
	cox_vec_fini(&p->vars);
	p->vars = outer;
	p->range_depth = ranges;
	p->nest--;
	if (rc == COX_OK)
		template_parse_define(p, name, body);
	return rc;
}

static enum cox_rc parse_template(struct parser *p, bool is_block, struct template_node **out)
{
	struct template_node *n = template_node_new(p, TN_TEMPLATE);
	COX_TRY(parse_name(p, &n->text));
	template_parse_spaces(p);
	if (!template_parse_at_end(p))
		COX_TRY(template_parse_pipe(p, false, &n->pipe));
	else if (is_block)
		return template_parse_fail(p, "missing value for block");
	COX_TRY(take_right_delimiter(p));
	if (is_block)
		COX_TRY(parse_definition(p, n->text));
	*out = n;
	return COX_OK;
}

static enum cox_rc parse_jump(struct parser *p, enum word word, struct template_node **out)
{
	if (p->range_depth == 0)
		return template_parse_fail(p, "{{%s}} outside {{range}}", word == W_BREAK ? "break" : "continue");
	*out = template_node_new(p, word == W_BREAK ? TN_BREAK : TN_CONTINUE);
	return take_right_delimiter(p);
}

/* {{else}}, {{else if ...}} (of which the condition is still to be read) and {{end}} end a list. */
static enum cox_rc parse_ending(struct parser *p, enum word word, enum word *ended)
{
	*ended = word;
	if (word == W_ELSE) {
		template_parse_spaces(p);
		struct cox_str next = peek_word(p);
		if (cox_str_eq_cstr(next, "if") || cox_str_eq_cstr(next, "with")) {
			*ended = cox_str_eq_cstr(next, "if") ? W_ELSE_IF : W_ELSE_WITH;
			advance(p, next.n);
			return COX_OK;
		}
	}
	return take_right_delimiter(p);
}

/* One action behind its {{. *ended is set where it ends the list; *out is NULL where it leaves nothing. */
static enum cox_rc parse_action(struct parser *p, struct template_node **out, enum word *ended)
{
	bool is_comment;
	*out = NULL, *ended = W_NONE;
	COX_TRY(take_comment(p, &is_comment));
	if (is_comment)
		return COX_OK;
	template_parse_spaces(p);
	enum word word = take_word(p);
	switch (word) {
	case W_IF:
	case W_WITH:
	case W_RANGE: return parse_control(p, word, out);
	case W_TEMPLATE:
	case W_BLOCK: return parse_template(p, word == W_BLOCK, out);
	case W_BREAK:
	case W_CONTINUE: return parse_jump(p, word, out);
	case W_ELSE:
	case W_END: return parse_ending(p, word, ended);
	case W_DEFINE: {
		struct cox_str name;
		if (p->nest > 0)
			return template_parse_fail(p, "unexpected {{define}}: it stands outside of all other actions");
		COX_TRY(parse_name(p, &name));
		COX_TRY(take_right_delimiter(p));
		return parse_definition(p, name);
	}
	default: break;
	}
	*out = template_node_new(p, TN_ACTION);
	COX_TRY(template_parse_pipe(p, false, &(*out)->pipe));
	return take_right_delimiter(p);
}

static enum cox_rc parse_list(struct parser *p, struct template_node **out, enum word *ended)
{
	struct template_node *list = template_node_new(p, TN_LIST), *node;
	*ended = W_NONE;
	for (bool more = true; more && *ended == W_NONE;) {
		node = take_text(p, &more);
		if (node->text.n)
			template_node_add(p, list, node);
		if (!more)
			break;
		COX_TRY(parse_action(p, &node, ended));
		if (node)
			template_node_add(p, list, node);
	}
	if (*ended == W_NONE && p->nest > 0)
		return template_parse_fail(p, "unexpected end of the text: an {{end}} is missing");
	*out = list;
	return COX_OK;
}

/* --- the whole --------------------------------------------------------------------------------------------------- */

static bool is_blank(const struct template_node *list)
{
	for (size_t i = 0; i < list->kid_n; i++)
		if (list->kids[i]->kind != TN_TEXT || cox_str_trim(list->kids[i]->text).n)
			return false;
	return true;
}

void template_parse_define(struct parser *p, struct cox_str name, const struct template_node *root)
{
	struct template_tree *old = cox_map_find(&p->set->trees, name);
	bool blank = is_blank(root);
	if (old && blank)
		return;
	struct template_tree *t = old ? old : COX_ARENA_NEW(p->set->arena, struct template_tree);
	t->root = root;
	t->is_empty = blank;
	if (!old) {
		t->name = name;
		cox_map_set(&p->set->trees, t->name, t);
	}
}

enum cox_rc template_parse(struct cox_template_set *set, struct cox_str name, struct cox_str text, struct cox_err *err)
{
	struct parser p = { .set = set, .name = cox_arena_str(set->arena, name), .line = 1, .err = err };
	struct template_node *root;
	enum word ended;
	if (text.n > COX_TEMPLATE_TEXT_BYTES_MAX) {
		template_parse_fail(&p, "longer than %d bytes", COX_TEMPLATE_TEXT_BYTES_MAX);
		return COX_ELIMIT;
	}
	p.rest = cox_arena_str(set->arena, text);
	cox_vec_push(&p.vars, COX_STR("$"));
	enum cox_rc rc = parse_list(&p, &root, &ended);
	if (rc == COX_OK && ended != W_NONE)
		rc = template_parse_fail(&p, "unexpected {{%s}}", ended == W_END ? "end" : "else");
	if (rc == COX_OK)
		template_parse_define(&p, p.name, root);
	cox_vec_fini(&p.vars);
	return rc;
}
