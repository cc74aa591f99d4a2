/* Pipelines: declarations, commands, operands, and the constants in them. */
#include "template/parse_priv.h"

/* --- constants ---------------------------------------------------------------------------------------------- */

static int hex_of(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static void append_rune(struct cox_buf *out, uint32_t r)
{
	if (r < 0x80) {
		cox_buf_append_char(out, (char)r);
	} else if (r < 0x800) {
		cox_buf_append_char(out, (char)(0xc0 | r >> 6));
		cox_buf_append_char(out, (char)(0x80 | (r & 0x3f)));
	} else if (r < 0x10000) {
		cox_buf_append_char(out, (char)(0xe0 | r >> 12));
		cox_buf_append_char(out, (char)(0x80 | (r >> 6 & 0x3f)));
		cox_buf_append_char(out, (char)(0x80 | (r & 0x3f)));
	} else {
		cox_buf_append_char(out, (char)(0xf0 | r >> 18));
		cox_buf_append_char(out, (char)(0x80 | (r >> 12 & 0x3f)));
		cox_buf_append_char(out, (char)(0x80 | (r >> 6 & 0x3f)));
		cox_buf_append_char(out, (char)(0x80 | (r & 0x3f)));
	}
}

/* Digits of an escape as a number; false: too few. */
static bool digits(struct cox_str s, size_t *at, int count, int base, uint32_t *out)
{
	*out = 0;
	for (int i = 0; i < count; i++, (*at)++) {
		int d = *at < s.n ? hex_of(s.p[*at]) : -1;
		if (d < 0 || d >= base)
			return false;
		*out = *out * (uint32_t)base + (uint32_t)d;
	}
	return true;
}

/* One escape behind its backslash. */
static bool unescape(struct cox_str s, size_t *at, struct cox_buf *out)
{
	static const char plain[] = "abfnrtv\\'\"", meant[] = "\a\b\f\n\r\t\v\\'\"";
	if (*at >= s.n)
		return false;
	char c = s.p[*at];
	const char *found = c ? strchr(plain, c) : NULL;
	uint32_t r;
	if (found) {
		cox_buf_append_char(out, meant[found - plain]);
		(*at)++;
		return true;
	}
	if (c >= '0' && c <= '7') {
		if (!digits(s, at, 3, 8, &r) || r > 255)
			return false;
		cox_buf_append_char(out, (char)r);
		return true;
	}
	(*at)++;
	if (c == 'x') {
		if (!digits(s, at, 2, 16, &r))
			return false;
		cox_buf_append_char(out, (char)r);
		return true;
	}
	if ((c != 'u' && c != 'U') || !digits(s, at, c == 'u' ? 4 : 8, 16, &r) || r > 0x10ffff || (r >= 0xd800 && r < 0xe000))
		return false;
	append_rune(out, r);
	return true;
}

static enum cox_rc quoted(struct parser *p, char quote, struct cox_str *out)
{
	struct cox_str s = p->rest;
	struct cox_buf buf = { 0 };
	size_t at = 1;
	bool good = true;
	while (good && at < s.n && s.p[at] != quote && s.p[at] != '\n') {
		if (s.p[at] == '\\') {
			at++;
			good = unescape(s, &at, &buf);
		} else {
			cox_buf_append_char(&buf, s.p[at++]);
		}
	}
	if (good && at < s.n && s.p[at] == quote) {
		p->rest = cox_str_sub(s, at + 1, s.n);
		*out = cox_arena_str(p->set->arena, cox_buf_str(&buf));
		cox_buf_fini(&buf);
		return COX_OK;
	}
	cox_buf_fini(&buf);
	return template_parse_fail(p, good ? "unterminated quoted text" : "a quoted text has an escape that is none");
}

enum cox_rc template_parse_string(struct parser *p, struct cox_str *out)
{
	if (p->rest.p[0] == '"')
		return quoted(p, '"', out);
	ptrdiff_t end = cox_str_find(cox_str_sub(p->rest, 1, p->rest.n), '`');
	if (end < 0)
		return template_parse_fail(p, "unterminated raw text");
	*out = cox_str_sub(p->rest, 1, (size_t)end);
	for (size_t i = 0; i < out->n; i++)
		p->line += out->p[i] == '\n';
	p->rest = cox_str_sub(p->rest, (size_t)end + 2, p->rest.n);
	return COX_OK;
}

/* 0x1f, 0b1, 0o7, 017, 1_000; false where it is no whole number. */
static bool whole_of(struct cox_str s, int64_t *out)
{
	bool minus = s.n && s.p[0] == '-';
	size_t at = s.n && (s.p[0] == '-' || s.p[0] == '+');
	int base = 10;
	if (at + 1 < s.n && s.p[at] == '0') {
		char c = s.p[at + 1] | 0x20;
		base = c == 'x' ? 16 : c == 'b' ? 2 : 8;
		at += c == 'x' || c == 'b' || c == 'o' ? 2 : 1;
	}
	uint64_t v = 0;
	if (at >= s.n)
		return false;
	for (; at < s.n; at++) {
		int d = hex_of(s.p[at]);
		if (s.p[at] == '_')
			continue;
		if (d < 0 || d >= base || __builtin_mul_overflow(v, (uint64_t)base, &v) || __builtin_add_overflow(v, (uint64_t)d, &v))
			return false;
	}
	if (v > (uint64_t)INT64_MAX)
		return false;
	*out = minus ? -(int64_t)v : (int64_t)v;
	return true;
}

static enum cox_rc parse_number(struct parser *p, struct template_node **out)
{
	size_t n = 0;
	struct cox_str s = p->rest;
	while (n < s.n && (template_parse_is_alnum(s.p[n]) || s.p[n] == '.' ||
	                   ((s.p[n] == '+' || s.p[n] == '-') && (n == 0 || (s.p[n - 1] | 0x20) == 'e'))))
		n++;
	s.n = n;
	struct template_node *node = template_node_new(p, TN_CONSTANT);
	double f;
	if (whole_of(s, &node->constant.integer))
		node->constant.kind = COX_TEMPLATE_INT;
	else if (cox_str_to_f64(s, &f) == COX_OK)
		node->constant = (struct cox_template_value){ .kind = COX_TEMPLATE_FLOAT, .real = f };
	else
		return template_parse_fail(p, "bad number syntax: \"%.*s\"", COX_FMT(cox_str_sub(p->rest, 0, n ? n : 1)));
	p->rest = cox_str_sub(p->rest, n, p->rest.n);
	*out = node;
	return COX_OK;
}

/* 'x': its code point. */
static enum cox_rc parse_rune(struct parser *p, struct template_node **out)
{
	struct cox_str text;
	COX_TRY(quoted(p, '\'', &text));
	const unsigned char *b = (const unsigned char *)text.p;
	size_t size = text.n == 0 ? 0 : b[0] < 0x80 ? 1 : b[0] < 0xe0 ? 2 : b[0] < 0xf0 ? 3 : 4;
	if (size != text.n || (size > 1 && !cox_str_is_utf8(text)))
		return template_parse_fail(p, "a character constant holds one character");
	uint32_t r = size == 1 ? b[0] : b[0] & (0xffu >> (size + 1));
	for (size_t i = 1; i < size; i++)
		r = r << 6 | (b[i] & 0x3f);
	*out = template_node_new(p, TN_CONSTANT);
	(*out)->constant = cox_template_int(r);
	return COX_OK;
}

/* --- operands ------------------------------------------------------------------------------------------------- */

static struct cox_str take_name(struct parser *p)
{
	size_t n = 0;
	while (n < p->rest.n && template_parse_is_alnum(p->rest.p[n]))
		n++;
	struct cox_str name = cox_str_sub(p->rest, 0, n);
	p->rest = cox_str_sub(p->rest, n, p->rest.n);
	return name;
}

static bool at_field(const struct parser *p)
{
	return p->rest.n > 1 && p->rest.p[0] == '.' && template_parse_is_alnum(p->rest.p[1]) &&
	       !(p->rest.p[1] >= '0' && p->rest.p[1] <= '9');
}

static void take_fields(struct parser *p, struct template_node *n)
{
	struct cox_str fields[COX_TEMPLATE_NEST_MAX];
	while (n->field_n < COX_LEN(fields) && at_field(p)) {
		p->rest = cox_str_sub(p->rest, 1, p->rest.n);
		fields[n->field_n++] = take_name(p);
	}
	n->fields = COX_ARENA_ARRAY(p->set->arena, struct cox_str, n->field_n);
	if (n->field_n)
		memcpy(n->fields, fields, n->field_n * sizeof(*fields));
}

static bool is_declared(const struct parser *p, struct cox_str name)
{
	for (size_t i = p->vars.n; i-- > 0;)
		if (cox_str_eq(p->vars.p[i], name))
			return true;
	return false;
}

static struct cox_str take_variable(struct parser *p)
{
	const char *start = p->rest.p;
	p->rest = cox_str_sub(p->rest, 1, p->rest.n);
	return cox_str_make(start, take_name(p).n + 1);
}

static enum cox_rc parse_word(struct parser *p, struct template_node **out)
{
	struct cox_str name = take_name(p);
	bool is_true = cox_str_eq_cstr(name, "true");
	if (is_true || cox_str_eq_cstr(name, "false")) {
		*out = template_node_new(p, TN_CONSTANT);
		(*out)->constant = cox_template_bool(is_true);
		return COX_OK;
	}
	if (cox_str_eq_cstr(name, "nil")) {
		*out = template_node_new(p, TN_NIL);
		return COX_OK;
	}
	*out = template_node_new(p, TN_FUNCTION);
	(*out)->func = template_func_find(p->set, name);
	if (!(*out)->func)
		return template_parse_fail(p, "function \"%.*s\" is not known here", COX_FMT(name));
	return COX_OK;
}

static enum cox_rc parse_term(struct parser *p, struct template_node **out)
{
	char c = p->rest.p[0];
	if (c == '"' || c == '`') {
		*out = template_node_new(p, TN_CONSTANT);
		(*out)->constant.kind = COX_TEMPLATE_STRING;
		return template_parse_string(p, &(*out)->constant.text);
	}
	if (c == '\'')
		return parse_rune(p, out);
	if (c == '(') {
		if (++p->nest > COX_TEMPLATE_NEST_MAX)
			return template_parse_fail(p, "parentheses are nested deeper than %d", COX_TEMPLATE_NEST_MAX);
		p->rest = cox_str_sub(p->rest, 1, p->rest.n);
		COX_TRY(template_parse_pipe(p, false, out));
		p->nest--;
		return template_parse_take(p, ")") ? COX_OK : template_parse_fail(p, "unclosed left parenthesis");
	}
	if (c == '$') {
		*out = template_node_new(p, TN_VARIABLE);
		(*out)->text = take_variable(p);
		return is_declared(p, (*out)->text) ? COX_OK : template_parse_fail(p, "undefined variable \"%.*s\"", COX_FMT((*out)->text));
	}
	if (at_field(p)) {
		*out = template_node_new(p, TN_FIELD);
		return COX_OK;
	}
	if (c == '.' && !(p->rest.n > 1 && p->rest.p[1] >= '0' && p->rest.p[1] <= '9')) {
		*out = template_node_new(p, TN_DOT);
		p->rest = cox_str_sub(p->rest, 1, p->rest.n);
		return COX_OK;
	}
	if (c == '+' || c == '-' || c == '.' || (c >= '0' && c <= '9'))
		return parse_number(p, out);
	if (template_parse_is_alnum(c))
		return parse_word(p, out);
	return template_parse_fail(p, "unexpected \"%.*s\" in operand", COX_FMT(cox_str_sub(p->rest, 0, 16)));
}

static enum cox_rc parse_operand(struct parser *p, struct template_node **out)
{
	struct template_node *term;
	COX_TRY(parse_term(p, &term));
	if (term->kind == TN_FIELD || term->kind == TN_VARIABLE) {
		take_fields(p, term);
	} else if (at_field(p)) {
		if (term->kind != TN_PIPE && term->kind != TN_FUNCTION)
			return template_parse_fail(p, "unexpected . after a constant");
		struct template_node *chain = template_node_new(p, TN_CHAIN);
		template_node_add(p, chain, term);
		take_fields(p, chain);
		term = chain;
	}
	*out = term;
	/* What follows an operand without a space is none of the language, but for these. */
	if (p->rest.n && !strchr(" \t\r\n,|:)(=}", p->rest.p[0]))
		return template_parse_fail(p, "unexpected \"%.*s\" behind an operand", COX_FMT(cox_str_sub(p->rest, 0, 16)));
	return COX_OK;
}

/* --- pipelines ----------------------------------------------------------------------------------------------------- */

/* `$x :=`, `$x =`, `$k, $v :=`; leaves everything as it is where there is none. */
static enum cox_rc parse_declaration(struct parser *p, bool in_range, struct template_node *pipe)
{
	struct cox_str rest = p->rest, names[2];
	int line = p->line;
	unsigned n = 0;
	while (p->rest.n && p->rest.p[0] == '$' && n < 2) {
		names[n++] = take_variable(p);
		template_parse_spaces(p);
		if (!in_range || n > 1 || !template_parse_take(p, ","))
			break;
		template_parse_spaces(p);
	}
	bool declares = n && template_parse_take(p, ":=");
	if (!declares && !(n && template_parse_take(p, "="))) {
		p->rest = rest, p->line = line;
		return COX_OK;
	}
	for (unsigned i = 0; i < n; i++) {
		if (!declares && !is_declared(p, names[i]))
			return template_parse_fail(p, "undefined variable \"%.*s\"", COX_FMT(names[i]));
		pipe->decl[i] = names[i];
		cox_vec_push(&p->vars, names[i]);
	}
	pipe->decl_n = n;
	pipe->is_assign = !declares;
	template_parse_spaces(p);
	return COX_OK;
}

static bool is_runnable(const struct template_node *n) { return n->kind != TN_CONSTANT && n->kind != TN_NIL && n->kind != TN_DOT; }

static enum cox_rc parse_command(struct parser *p, struct template_node *pipe)
{
	struct template_node *command = template_node_new(p, TN_COMMAND), *operand = NULL;
	for (;;) {
		template_parse_spaces(p);
		if (p->rest.n == 0 || template_parse_at_end(p) || p->rest.p[0] == ')' || p->rest.p[0] == '|')
			break;
		COX_TRY(parse_operand(p, &operand));
		template_node_add(p, command, operand);
	}
	if (command->kid_n == 0)
		return template_parse_fail(p, pipe->kid_n ? "missing command behind |" : "missing value in an action");
	if (pipe->kid_n && !is_runnable(command->kids[0]))
		return template_parse_fail(p, "non executable command in pipeline stage %zu", pipe->kid_n + 1);
	template_node_add(p, pipe, command);
	return COX_OK;
}

enum cox_rc template_parse_pipe(struct parser *p, bool in_range, struct template_node **out)
{
	struct template_node *pipe = template_node_new(p, TN_PIPE);
	template_parse_spaces(p);
	COX_TRY(parse_declaration(p, in_range, pipe));
	do
		COX_TRY(parse_command(p, pipe));
	while (template_parse_take(p, "|"));
	*out = pipe;
	return COX_OK;
}
