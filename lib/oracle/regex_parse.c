/* regex_parse.c - an expression to a tree. */
#include "oracle/regex_priv.h"

#include <stdio.h>
#include <stdlib.h>

struct parser {
	struct cox_arena *arena;
	struct cox_str s;
	size_t at;
	int groups, depth;
	bool fold, multi, dot_nl, swap; /* flags i m s U */
	struct cox_err *err;
	bool failed;
};

int32_t regex_rune_at(struct cox_str s, size_t at, size_t *n)
{
	static const int32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	unsigned char c = (unsigned char)s.p[at];
	size_t want = c < 0x80 ? 1 : c >= 0xC2 && c < 0xE0 ? 2 : c >= 0xE0 && c < 0xF0 ? 3 : c >= 0xF0 && c < 0xF5 ? 4 : 0;
	*n = 1;
	if (want == 1)
		return c;
	if (want == 0 || at + want > s.n)
		return -1;
	int32_t r = c & (0xFF >> (want + 1));
	for (size_t i = 1; i < want; i++) {
		unsigned char d = (unsigned char)s.p[at + i];
		if ((d & 0xC0) != 0x80)
			return -1;
		r = r << 6 | (d & 0x3F);
	}
	if (r < least[want] || r > RUNE_MAX || (r >= 0xD800 && r < 0xE000))
		return -1;
	*n = want;
	return r;
}

/* --- trees and sets ----------------------------------------------------------------------------- */

static struct node *fail(struct parser *p, const char *why)
{
	if (!p->failed)
		(void)!cox_err_set(p->err, COX_EINVAL, NULL, "regular expression \"%.*s\": %s at byte %zu", COX_FMT(p->s), why, p->at);
	p->failed = true;
	struct node *n = COX_ARENA_NEW(p->arena, struct node);
	n->kind = NODE_EMPTY;
	return n;
}

static struct node *node_new(struct parser *p, enum node_kind kind, struct node *a, struct node *b)
{
	struct node *n = COX_ARENA_NEW(p->arena, struct node);
	n->kind = kind, n->a = a, n->b = b;
	return n;
}

static void set_add(struct parser *p, struct rune_set *set, int32_t from, int32_t to)
{
	if (set->n == set->cap) {
		size_t cap = set->cap ? set->cap * 2 : 4;
		struct rune_range *more = COX_ARENA_ARRAY(p->arena, struct rune_range, cap);
		if (set->n)
			memcpy(more, set->p, set->n * sizeof(*more));
		set->p = more, set->cap = cap;
	}
	set->p[set->n++] = (struct rune_range){ from, to };
}

/* With (?i) both cases: of ASCII letters, as far as paths and headers go. */
static void set_add_folded(struct parser *p, struct rune_set *set, int32_t from, int32_t to)
{
	set_add(p, set, from, to);
	for (int32_t c = from; p->fold && c <= to && c <= 'z'; c++)
		if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'))
			set_add(p, set, c ^ 0x20, c ^ 0x20);
}

static int range_cmp(const void *a, const void *b)
{
	int32_t x = ((const struct rune_range *)a)->from, y = ((const struct rune_range *)b)->from;
	return (x > y) - (x < y);
}

static void set_negate(struct parser *p, struct rune_set *set)
{
	struct rune_set out = { 0 };
	int32_t next = 0;
	if (set->n)
		qsort(set->p, set->n, sizeof(*set->p), range_cmp);
	for (size_t i = 0; i < set->n; i++) {
		if (set->p[i].from > next)
			set_add(p, &out, next, set->p[i].from - 1);
		if (set->p[i].to >= next)
			next = set->p[i].to + 1;
	}
	if (next <= RUNE_MAX)
		set_add(p, &out, next, RUNE_MAX);
	*set = out;
}

static void set_add_all(struct parser *p, struct rune_set *to, const struct rune_set *from)
{
	for (size_t i = 0; i < from->n; i++)
		set_add(p, to, from->p[i].from, from->p[i].to);
}

static struct node *rune_node(struct parser *p, int32_t r)
{
	struct node *n = node_new(p, NODE_SET, NULL, NULL);
	set_add_folded(p, &n->set, r, r);
	return n;
}

static bool more(const struct parser *p) { return !p->failed && p->at < p->s.n; }
static char peek(const struct parser *p) { return more(p) ? p->s.p[p->at] : '\0'; }
static bool starts(const struct parser *p, const char *what)
{
	return cox_str_has_prefix(cox_str_sub(p->s, p->at, SIZE_MAX), cox_str_of(what));
}
static bool take(struct parser *p, const char *what)
{
	if (!starts(p, what))
		return false;
	p->at += strlen(what);
	return true;
}

/* --- classes -------------------------------------------------------------------------------------- */

/* \d and its like: true where `c` names one. */
static bool perl_class(struct parser *p, char c, struct rune_set *into)
{
	struct rune_set set = { 0 };
	switch (c | 0x20) {
	case 'd': set_add(p, &set, '0', '9'); break;
	case 's': /* RE2's: no vertical tab */
		set_add(p, &set, '\t', '\n');
		set_add(p, &set, '\f', '\r');
		set_add(p, &set, ' ', ' ');
		break;
	case 'w':
		set_add(p, &set, '0', '9');
		set_add(p, &set, 'A', 'Z');
		set_add(p, &set, '_', '_');
		set_add(p, &set, 'a', 'z');
		break;
	default: return false;
	}
	if (!(c & 0x20))
		set_negate(p, &set);
	set_add_all(p, into, &set);
	return true;
}

static bool posix_class(struct parser *p, struct rune_set *into)
{
	static const struct {
		const char *name;
		unsigned char ranges[8];
	} classes[] = {
		{ "alnum", "09AZaz" },
		{ "alpha", "AZaz" },
		{ "ascii", { 1, 127 } },
		{ "blank", "\t\t  " },
		{ "cntrl", { 1, 31, 127, 127 } },
		{ "digit", "09" },
		{ "graph", "!~" },
		{ "lower", "az" },
		{ "print", " ~" },
		{ "punct", "!/:@[`{~" },
		{ "space", "\t\r  " },
		{ "upper", "AZ" },
		{ "word", "09AZaz__" },
		{ "xdigit", "09AFaf" },
	};
	bool negated = starts(p, "[:^");
	for (size_t i = 0; i < COX_LEN(classes); i++) {
		char text[16];
		(void)snprintf(text, sizeof(text), "%s%s:]", negated ? "[:^" : "[:", classes[i].name);
		if (!take(p, text))
			continue;
		struct rune_set set = { 0 };
		for (size_t k = 0; k < sizeof(classes[i].ranges) && classes[i].ranges[k]; k += 2)
			set_add(p, &set, classes[i].ranges[k], classes[i].ranges[k + 1]);
		if (negated)
			set_negate(p, &set);
		for (size_t k = 0; k < set.n; k++)
			set_add_folded(p, into, set.p[k].from, set.p[k].to);
		return true;
	}
	return false;
}

static int hex_of(char c) { return c >= '0' && c <= '9' ? c - '0' : (c | 0x20) >= 'a' && (c | 0x20) <= 'f' ? (c | 0x20) - 'a' + 10 : -1; }

static int32_t hex_escape(struct parser *p)
{
	int32_t r = 0;
	bool braces = take(p, "{");
	for (int i = 0; braces ? !starts(p, "}") : i < 2; i++) {
		int d = hex_of(peek(p));
		if (d < 0 || r > RUNE_MAX) {
			fail(p, "bad \\x");
			return 0;
		}
		r = r * 16 + d;
		p->at++;
	}
	if (braces)
		(void)take(p, "}");
	if (r > RUNE_MAX)
		fail(p, "bad \\x");
	return r;
}

/* One rune behind a backslash, the same in and outside of classes. */
static int32_t escaped_rune(struct parser *p)
{
	static const char from[] = "aftnrv", to[] = "\a\f\t\n\r\v";
	char c = peek(p);
	const char *known = c ? strchr(from, c) : NULL;
	if (known) {
		p->at++;
		return to[known - from];
	}
	if (take(p, "x"))
		return hex_escape(p);
	if (c == '0') { /* octal */
		int32_t r = 0;
		for (int i = 0; i < 3 && peek(p) >= '0' && peek(p) <= '7'; i++, p->at++)
			r = r * 8 + (peek(p) - '0');
		return r;
	}
	if (!more(p) || (unsigned char)c >= 0x80 || (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z')) {
		fail(p, "an escape that RE2 does not know");
		return 0;
	}
	p->at++;
	return c;
}

static int32_t class_rune(struct parser *p)
{
	size_t n;
	if (!more(p)) {
		fail(p, "a class without its end");
		return 0;
	}
	if (take(p, "\\"))
		return escaped_rune(p);
	int32_t r = regex_rune_at(p->s, p->at, &n);
	p->at += n;
	if (r < 0)
		fail(p, "no UTF-8");
	return r;
}

static struct node *class_parse(struct parser *p)
{
	struct node *n = node_new(p, NODE_SET, NULL, NULL);
	bool negated = take(p, "^");
	for (bool first = true; more(p) && (first || peek(p) != ']'); first = false) {
		if (starts(p, "[:") && posix_class(p, &n->set))
			continue;
		if (peek(p) == '\\' && p->at + 1 < p->s.n && perl_class(p, p->s.p[p->at + 1], &n->set)) {
			p->at += 2;
			continue;
		}
		int32_t from = class_rune(p), to = from;
		if (starts(p, "-") && p->at + 1 < p->s.n && p->s.p[p->at + 1] != ']') {
			p->at++;
			to = class_rune(p);
		}
		if (to < from)
			fail(p, "a range from high to low");
		if (!p->failed)
			set_add_folded(p, &n->set, from, to);
	}
	if (!take(p, "]"))
		return fail(p, "a class without its end");
	if (negated)
		set_negate(p, &n->set);
	return n;
}

/* --- expressions ------------------------------------------------------------------------------------ */

static struct node *alternatives(struct parser *p);

static struct node *assertion(struct parser *p, enum assertion a)
{
	struct node *n = node_new(p, NODE_ASSERT, NULL, NULL);
	n->assertion = a;
	return n;
}

static struct node *quoted(struct parser *p)
{
	struct node *all = node_new(p, NODE_EMPTY, NULL, NULL);
	while (more(p) && !take(p, "\\E")) {
		size_t n;
		int32_t r = regex_rune_at(p->s, p->at, &n);
		p->at += n;
		if (r < 0)
			return fail(p, "no UTF-8");
		all = node_new(p, NODE_CAT, all, rune_node(p, r));
	}
	return all;
}

static struct node *escape(struct parser *p)
{
	struct node *n = node_new(p, NODE_SET, NULL, NULL);
	char c = peek(p);
	if (take(p, "Q"))
		return quoted(p);
	if (take(p, "A"))
		return assertion(p, ASSERT_TEXT_BEGIN);
	if (take(p, "z"))
		return assertion(p, ASSERT_TEXT_END);
	if (take(p, "b"))
		return assertion(p, ASSERT_WORD);
	if (take(p, "B"))
		return assertion(p, ASSERT_NOT_WORD);
	if (c && perl_class(p, c, &n->set)) {
		p->at++;
		return n;
	}
	return rune_node(p, escaped_rune(p));
}

/* Behind "(?": flags up to ':' or ')'. True: they hold for the rest of the group around. */
static bool flags_parse(struct parser *p)
{
	bool on = true, any = false;
	for (; more(p); p->at++, any = true) {
		switch (peek(p)) {
		case 'i': p->fold = on; break;
		case 'm': p->multi = on; break;
		case 's': p->dot_nl = on; break;
		case 'U': p->swap = on; break;
		case '-':
			if (!on)
				fail(p, "bad flags");
			on = false;
			break;
		case ':': p->at++; return false;
		case ')':
			if (any) {
				p->at++;
				return true;
			}
			/* fall through */
		default: fail(p, "bad flags"); return false;
		}
	}
	fail(p, "a group without its end");
	return false;
}

static void group_name(struct parser *p)
{
	size_t from = p->at;
	while (more(p) && peek(p) != '>') {
		char c = peek(p);
		if (!((c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || c == '_'))
			break;
		p->at++;
	}
	if (p->at == from || !take(p, ">"))
		fail(p, "bad name of a group");
}

static struct node *group(struct parser *p)
{
	struct parser before = *p;
	struct node *n = node_new(p, NODE_GROUP, NULL, NULL);
	if (++p->depth > NEST_MAX)
		return fail(p, "nested too deep");
	if (take(p, "?P<") || take(p, "?<")) {
		group_name(p);
		n->group = ++p->groups;
	} else if (take(p, "?")) {
		if (flags_parse(p)) {
			p->depth--;
			return node_new(p, NODE_EMPTY, NULL, NULL);
		}
	} else {
		n->group = ++p->groups;
	}
	n->a = alternatives(p);
	if (!take(p, ")"))
		return fail(p, "a group without its end");
	p->depth--;
	p->fold = before.fold, p->multi = before.multi, p->dot_nl = before.dot_nl, p->swap = before.swap;
	return n;
}

static struct node *atom(struct parser *p)
{
	size_t n;
	if (take(p, "("))
		return group(p);
	if (take(p, "["))
		return class_parse(p);
	if (take(p, "\\"))
		return escape(p);
	if (take(p, "^"))
		return assertion(p, p->multi ? ASSERT_LINE_BEGIN : ASSERT_TEXT_BEGIN);
	if (take(p, "$"))
		return assertion(p, p->multi ? ASSERT_LINE_END : ASSERT_TEXT_END);
	if (take(p, ".")) {
		struct node *any = node_new(p, NODE_SET, NULL, NULL);
		if (!p->dot_nl) {
			set_add(p, &any->set, 0, '\n' - 1);
			set_add(p, &any->set, '\n' + 1, RUNE_MAX);
		} else {
			set_add(p, &any->set, 0, RUNE_MAX);
		}
		return any;
	}
	if (peek(p) == '*' || peek(p) == '+' || peek(p) == '?')
		return fail(p, "nothing to repeat");
	int32_t r = regex_rune_at(p->s, p->at, &n);
	p->at += n;
	return r < 0 ? fail(p, "no UTF-8") : rune_node(p, r);
}

static bool number(struct parser *p, int *out)
{
	size_t from = p->at;
	*out = 0;
	for (; peek(p) >= '0' && peek(p) <= '9' && p->at < p->s.n; p->at++)
		if (*out <= REPEAT_MAX)
			*out = *out * 10 + (peek(p) - '0');
	return p->at > from;
}

/* "{n}", "{n,}", "{n,m}"; anything else in braces is text, as RE2 reads it. */
static bool counts(struct parser *p, int *min, int *max)
{
	size_t from = p->at;
	if (take(p, "{") && number(p, min)) {
		*max = *min;
		if (take(p, ",") && !number(p, max))
			*max = -1;
		if (take(p, "}"))
			return true;
	}
	p->at = from;
	return false;
}

static struct node *repeated(struct parser *p)
{
	struct node *n = atom(p);
	for (bool again = false; more(p); again = true) {
		int min, max;
		if (take(p, "*"))
			min = 0, max = -1;
		else if (take(p, "+"))
			min = 1, max = -1;
		else if (take(p, "?"))
			min = 0, max = 1;
		else if (!counts(p, &min, &max))
			break;
		if (again)
			return fail(p, "a repeat of a repeat");
		if (min > REPEAT_MAX || max > REPEAT_MAX || (max >= 0 && max < min))
			return fail(p, "bad count of a repeat");
		n = node_new(p, NODE_REPEAT, n, NULL);
		n->min = min, n->max = max;
		n->is_lazy = take(p, "?") != p->swap;
	}
	return n;
}

static struct node *sequence(struct parser *p)
{
	struct node *all = NULL;
	while (more(p) && peek(p) != '|' && peek(p) != ')') {
		struct node *next = repeated(p);
		all = all ? node_new(p, NODE_CAT, all, next) : next;
	}
	return all ? all : node_new(p, NODE_EMPTY, NULL, NULL);
}

static struct node *alternatives(struct parser *p)
{
	struct node *all = sequence(p);
	while (more(p) && take(p, "|"))
		all = node_new(p, NODE_ALT, all, sequence(p));
	return all;
}

enum cox_rc regex_parse(struct cox_arena *arena, struct cox_str text, struct node **out, int *groups, struct cox_err *err)
{
	struct parser p = { .arena = arena, .s = text, .err = err };
	*out = alternatives(&p);
	if (!p.failed && p.at < p.s.n)
		fail(&p, "a parenthesis too many");
	*groups = p.groups;
	return p.failed ? COX_EINVAL : COX_OK;
}
