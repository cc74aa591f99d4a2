#include "model/cel_priv.h"

#include <string.h>

/* Grammar of https://github.com/google/cel-spec (langdef), by recursive descent. */

enum { DEPTH_MAX = 200 };

struct cel {
	struct cox_str s;
	size_t i;
	const char *wrong; /* the first fault; everything returns then */
	int depth;
};

static bool parse_expr(struct cel *c);

static bool fail(struct cel *c, const char *wrong)
{
	if (!c->wrong)
		c->wrong = wrong;
	return false;
}

static char peek(const struct cel *c, size_t ahead) { return c->i + ahead < c->s.n ? c->s.p[c->i + ahead] : 0; }
static bool is_digit(char c) { return c >= '0' && c <= '9'; }
static bool is_hex(char c) { return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }
static bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }

static void skip(struct cel *c)
{
	while (c->i < c->s.n) {
		char x = peek(c, 0);
		if (x == '/' && peek(c, 1) == '/')
			while (c->i < c->s.n && peek(c, 0) != '\n')
				c->i++;
		else if (x == ' ' || x == '\t' || x == '\n' || x == '\r' || x == '\f')
			c->i++;
		else
			return;
	}
}

/* Takes the token when it comes next. */
static bool take(struct cel *c, const char *token)
{
	skip(c);
	size_t n = strlen(token);
	if (c->s.n - c->i < n || memcmp(c->s.p + c->i, token, n) != 0)
		return false;
	c->i += n;
	return true;
}

static bool want(struct cel *c, const char *token, const char *wrong) { return take(c, token) || fail(c, wrong); }

static struct cox_str take_word(struct cel *c)
{
	skip(c);
	size_t start = c->i;
	if (is_letter(peek(c, 0)))
		while (is_letter(peek(c, 0)) || is_digit(peek(c, 0)))
			c->i++;
	return cox_str_sub(c->s, start, c->i - start);
}

static bool is_reserved(struct cox_str word)
{
	static const char *const words[] = { "as",  "break", "const",   "continue",  "else",   "for", "function", "if",    "import",
		                             "let", "loop",  "package", "namespace", "return", "var", "void",     "while", "in" };
	for (size_t i = 0; i < COX_LEN(words); i++)
		if (cox_str_eq_cstr(word, words[i]))
			return true;
	return false;
}

/* --- literals --- */

static bool parse_number(struct cel *c)
{
	if (peek(c, 0) == '0' && (peek(c, 1) == 'x' || peek(c, 1) == 'X') && is_hex(peek(c, 2))) {
		for (c->i += 2; is_hex(peek(c, 0));)
			c->i++;
	} else {
		bool is_float = false;
		while (is_digit(peek(c, 0)))
			c->i++;
		if (peek(c, 0) == '.' && is_digit(peek(c, 1))) {
			is_float = true;
			for (c->i++; is_digit(peek(c, 0));)
				c->i++;
		}
		if (peek(c, 0) == 'e' || peek(c, 0) == 'E') {
			size_t sign = peek(c, 1) == '+' || peek(c, 1) == '-';
			if (!is_digit(peek(c, 1 + sign)))
				return fail(c, "the exponent of a number has no digits");
			is_float = true;
			for (c->i += 1 + sign; is_digit(peek(c, 0));)
				c->i++;
		}
		if (is_float)
			return true;
	}
	if (peek(c, 0) == 'u' || peek(c, 0) == 'U')
		c->i++;
	return !(is_letter(peek(c, 0)) || is_digit(peek(c, 0))) || fail(c, "a letter follows a number");
}

static bool parse_escape(struct cel *c)
{
	char kind = peek(c, 1);
	size_t hex = kind == 'x' || kind == 'X' ? 2 : kind == 'u' ? 4 : kind == 'U' ? 8 : 0;
	c->i += 2;
	if (!hex && is_digit(kind)) { /* three octal digits */
		if (kind > '3' || !is_digit(peek(c, 0)) || !is_digit(peek(c, 1)) || peek(c, 0) > '7' || peek(c, 1) > '7')
			return fail(c, "an escape has no three octal digits");
		c->i += 2;
		return true;
	}
	if (!hex)
		return (kind && strchr("abfnrtv\\?\"'`", kind)) || fail(c, "an escape does not exist");
	for (; hex; hex--, c->i++)
		if (!is_hex(peek(c, 0)))
			return fail(c, "an escape has too few hexadecimal digits");
	return true;
}

static bool parse_string(struct cel *c, bool is_raw)
{
	char q = peek(c, 0);
	bool is_long = peek(c, 1) == q && peek(c, 2) == q;
	for (c->i += is_long ? 3 : 1; c->i < c->s.n;) {
		char x = peek(c, 0);
		if (x == q && (!is_long || (peek(c, 1) == q && peek(c, 2) == q))) {
			c->i += is_long ? 3 : 1;
			return true;
		}
		if (!is_long && (x == '\n' || x == '\r'))
			break;
		if (x == '\\' && !is_raw) {
			if (!parse_escape(c))
				return false;
		} else {
			c->i++;
		}
	}
	return fail(c, "a text has no end");
}

/* How many letters in front of a quote say what the text is: r, b, br. */
static size_t string_prefix(const struct cel *c, bool *is_raw)
{
	size_t n = 0;
	*is_raw = false;
	for (; n < 2 && peek(c, n) && strchr("rRbB", peek(c, n)); n++)
		*is_raw |= peek(c, n) == 'r' || peek(c, n) == 'R';
	return n;
}

/* --- expressions --- */

/* Items up to `end`, separated by commas; maps and messages have "key: value". */
static bool parse_items(struct cel *c, const char *end, bool has_keys, bool may_end_with_comma)
{
	if (take(c, end))
		return true;
	for (;;) {
		if (!parse_expr(c) || (has_keys && (!want(c, ":", "a ':' is missing") || !parse_expr(c))))
			return false;
		if (take(c, end))
			return true;
		if (!want(c, ",", "a ',' or a closing bracket is missing"))
			return false;
		if (may_end_with_comma && take(c, end))
			return true;
	}
}

static bool parse_primary(struct cel *c)
{
	bool is_raw;
	skip(c);
	size_t prefix = string_prefix(c, &is_raw);
	char q = peek(c, prefix);
	if (q == '"' || q == '\'') {
		c->i += prefix;
		return parse_string(c, is_raw);
	}
	if (is_digit(peek(c, 0)) || (peek(c, 0) == '.' && is_digit(peek(c, 1))))
		return parse_number(c);
	if (take(c, "("))
		return parse_expr(c) && want(c, ")", "a ')' is missing");
	if (take(c, "["))
		return parse_items(c, "]", false, true);
	if (take(c, "{"))
		return parse_items(c, "}", true, true);
	(void)take(c, ".");
	struct cox_str word = take_word(c);
	if (!word.n)
		return fail(c, c->i == c->s.n ? "it ends where a value is wanted" : "a value is wanted here");
	if (is_reserved(word))
		return fail(c, "a reserved word stands where a name is wanted");
	return !take(c, "(") || parse_items(c, ")", false, false);
}

static bool parse_member(struct cel *c)
{
	if (!parse_primary(c))
		return false;
	for (;;) {
		if (take(c, ".")) {
			if (!take_word(c).n)
				return fail(c, "a name is missing after '.'");
			if (take(c, "(") && !parse_items(c, ")", false, false))
				return false;
		} else if (take(c, "[")) {
			if (!parse_expr(c) || !want(c, "]", "a ']' is missing"))
				return false;
		} else if (take(c, "{")) {
			if (!parse_items(c, "}", true, true))
				return false;
		} else {
			return true;
		}
	}
}

static bool parse_unary(struct cel *c)
{
	skip(c);
	char op = peek(c, 0);
	while ((op == '!' || op == '-') && peek(c, 0) == op) {
		c->i++;
		skip(c);
	}
	return parse_member(c);
}

/* "in" must not be the front of a name. */
static bool take_in(struct cel *c)
{
	skip(c);
	if (peek(c, 0) != 'i' || peek(c, 1) != 'n' || is_letter(peek(c, 2)) || is_digit(peek(c, 2)))
		return false;
	c->i += 2;
	return true;
}

static bool take_binary(struct cel *c)
{
	static const char *const ops[] = { "||", "&&", "<=", ">=", "==", "!=", "<", ">", "+", "-", "*", "/", "%" };
	for (size_t i = 0; i < COX_LEN(ops); i++)
		if (take(c, ops[i]))
			return true;
	return take_in(c);
}

/* Which operator binds closer decides about the meaning, not about the form. */
static bool parse_expr(struct cel *c)
{
	if (++c->depth > DEPTH_MAX)
		return fail(c, "it is nested too deeply");
	bool ok = parse_unary(c);
	while (ok && take_binary(c))
		ok = parse_unary(c);
	if (ok && take(c, "?"))
		ok = parse_expr(c) && want(c, ":", "the ':' of a choice is missing") && parse_expr(c);
	c->depth--;
	return ok;
}

const char *cox_model_cel_check(struct cox_str s, size_t *at)
{
	struct cel c = { .s = s };
	bool ok = parse_expr(&c);
	skip(&c);
	if (ok && c.i < s.n)
		(void)fail(&c, "something follows the expression");
	*at = c.i;
	return c.wrong;
}
