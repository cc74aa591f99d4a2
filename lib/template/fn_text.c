/* Sprig's functions over text. */
#include "template/template_priv.h"

#include "codec/b64.h"

#include <regex.h>

#define FN(name)                                                                                              \
	static enum cox_rc name(struct cox_template_call *call, const struct cox_template_value *a, size_t n, \
	                        struct cox_template_value *out)

static enum cox_rc give(struct cox_template_value *out, struct cox_str s)
{
	*out = cox_template_str(s);
	return COX_OK;
}

/* --- cutting --------------------------------------------------------------------------------------------------- */

static struct cox_str trim_set(struct cox_str s, struct cox_str set)
{
	while (s.n && cox_str_find(set, s.p[0]) >= 0)
		s = cox_str_sub(s, 1, s.n);
	while (s.n && cox_str_find(set, s.p[s.n - 1]) >= 0)
		s.n--;
	return s;
}

FN(fn_trim) { return (void)call, (void)n, give(out, trim_set(a[0].text, COX_STR(" \t\n\r\v\f"))); }
FN(fn_trim_all) { return (void)call, (void)n, give(out, trim_set(a[1].text, a[0].text)); }

FN(fn_trim_prefix)
{
	(void)call, (void)n;
	size_t cut = cox_str_has_prefix(a[1].text, a[0].text) ? a[0].text.n : 0;
	return give(out, cox_str_sub(a[1].text, cut, a[1].text.n));
}

FN(fn_trim_suffix)
{
	(void)call, (void)n;
	size_t cut = cox_str_has_suffix(a[1].text, a[0].text) ? a[0].text.n : 0;
	return give(out, cox_str_sub(a[1].text, 0, a[1].text.n - cut));
}

FN(fn_trunc)
{
	struct cox_str s = a[1].text;
	int64_t count = a[0].integer, size = (int64_t)s.n;
	(void)call, (void)n;
	if (count < 0 && count > -size)
		return give(out, cox_str_sub(s, (size_t)(size + count), s.n));
	return give(out, count >= 0 && count < size ? cox_str_sub(s, 0, (size_t)count) : s);
}

FN(fn_substr)
{
	struct cox_str s = a[2].text;
	int64_t from = a[0].integer < 0 ? 0 : a[0].integer, to = a[1].integer;
	(void)n;
	if (to < 0 || to > (int64_t)s.n)
		to = (int64_t)s.n;
	if (from > to)
		return cox_template_fail(call, "substr: %lld is behind %lld", (long long)from, (long long)to);
	return give(out, cox_str_sub(s, (size_t)from, (size_t)(to - from)));
}

/* --- questions --------------------------------------------------------------------------------------------------- */

static enum cox_rc give_bool(struct cox_template_value *out, bool v)
{
	*out = cox_template_bool(v);
	return COX_OK;
}

FN(fn_contains) { return (void)call, (void)n, give_bool(out, a[0].text.n == 0 || cox_str_search(a[1].text, a[0].text) >= 0); }
FN(fn_has_prefix) { return (void)call, (void)n, give_bool(out, cox_str_has_prefix(a[1].text, a[0].text)); }
FN(fn_has_suffix) { return (void)call, (void)n, give_bool(out, cox_str_has_suffix(a[1].text, a[0].text)); }

/* RE2's classes in POSIX's words. What else a backslash or (? may say is refused, and repetition that would grow the automaton. */
static enum cox_rc to_posix(struct cox_template_call *call, struct cox_str re, struct cox_buf *out)
{
	unsigned counted = 0;
	if (re.n > 1024)
		return cox_template_fail(call, "regexMatch: an expression of more than 1024 bytes");
	for (size_t i = 0; i < re.n; i++) {
		char c = re.p[i], next = i + 1 < re.n ? re.p[i + 1] : 0;
		if (c == '\\' && ((next >= '0' && next <= '9') || (next >= 'a' && next <= 'z') || (next >= 'A' && next <= 'Z'))) {
			const char *class = next == 'd' ? "[0-9]" : next == 'w' ? "[0-9A-Za-z_]" : next == 's' ? "[[:space:]]" : NULL;
			if (!class)
				return cox_template_fail(call, "regexMatch: \\%c is not supported", next);
			cox_buf_append_cstr(out, class);
			i++;
		} else if (c == '\\' && next) {
			cox_buf_append(out, re.p + i++, 2);
		} else if (c == '(' && next == '?') {
			if (i + 2 >= re.n || re.p[i + 2] != ':')
				return cox_template_fail(call, "regexMatch: (?%c is not supported", i + 2 < re.n ? re.p[i + 2] : ' ');
			cox_buf_append_char(out, c);
			i += 2;
		} else if (c == 0 || (c == '{' && ++counted > 2)) {
			return cox_template_fail(call, "regexMatch: %s", c ? "more than two counted repetitions" : "a zero byte");
		} else {
			cox_buf_append_char(out, c);
		}
	}
	return COX_OK;
}

/* No count above 99: a repetition is copies in the automaton. */
static bool counts_are_small(struct cox_str re)
{
	size_t digits = 0;
	bool inside = false;
	for (size_t i = 0; i < re.n; i++) {
		inside = re.p[i] == '{' || (inside && re.p[i] != '}');
		digits = inside && re.p[i] >= '0' && re.p[i] <= '9' ? digits + 1 : 0;
		if (digits > 2)
			return false;
	}
	return true;
}

FN(fn_regex_match)
{
	struct cox_buf posix = { 0 }, text = { 0 };
	regex_t re;
	(void)n;
	enum cox_rc rc = to_posix(call, a[0].text, &posix);
	if (rc == COX_OK)
		rc = cox_template_reserve(call, a[1].text.n * 16);
	if (rc == COX_OK && (a[1].text.n > 65536 || !counts_are_small(a[0].text)))
		rc = cox_template_fail(call, "regexMatch: a text of more than 64 KiB, or a repetition of more than 99");
	if (rc == COX_OK && regcomp(&re, cox_buf_cstr(&posix), REG_EXTENDED | REG_NOSUB) != 0)
		rc = cox_template_fail(call, "regexMatch: \"%.*s\" is no regular expression", COX_FMT(a[0].text));
	if (rc == COX_OK) {
		cox_buf_append_str(&text, a[1].text);
		*out = cox_template_bool(regexec(&re, cox_buf_cstr(&text), 0, NULL, 0) == 0);
		regfree(&re);
	}
	cox_buf_fini(&posix);
	cox_buf_fini(&text);
	return rc;
}

/* --- making -------------------------------------------------------------------------------------------------------- */

static enum cox_rc mapped(struct cox_template_call *call, struct cox_str s, char lo, char hi, int shift, struct cox_template_value *out)
{
	struct cox_str copy = cox_arena_str(call->arena, s);
	for (size_t i = 0; i < copy.n; i++)
		if (copy.p[i] >= lo && copy.p[i] <= hi)
			((char *)copy.p)[i] = (char)(copy.p[i] + shift);
	return give(out, copy);
}

FN(fn_upper) { return (void)n, mapped(call, a[0].text, 'a', 'z', -32, out); }
FN(fn_lower) { return (void)n, mapped(call, a[0].text, 'A', 'Z', 32, out); }

FN(fn_title)
{
	struct cox_str copy = cox_arena_str(call->arena, a[0].text);
	(void)n;
	for (size_t i = 0; i < copy.n; i++)
		if (copy.p[i] >= 'a' && copy.p[i] <= 'z' && (i == 0 || copy.p[i - 1] == ' '))
			((char *)copy.p)[i] = (char)(copy.p[i] - 32);
	return give(out, copy);
}

FN(fn_repeat)
{
	struct cox_buf buf = { 0 };
	size_t all;
	(void)n;
	if (a[0].integer < 0 || __builtin_mul_overflow((size_t)a[0].integer, a[1].text.n, &all))
		return cox_template_fail(call, "repeat: a count of %lld", (long long)a[0].integer);
	COX_TRY(cox_template_reserve(call, all));
	for (int64_t i = 0; a[1].text.n && i < a[0].integer; i++)
		cox_buf_append_str(&buf, a[1].text);
	return template_give_buf(call, &buf, COX_OK, out);
}

static enum cox_rc replaced(struct cox_template_call *call, struct cox_str s, struct cox_str old, struct cox_str new, struct cox_buf *buf)
{
	ptrdiff_t at;
	if (old.n == 0) /* Go puts `new` between all characters; nobody means that. */
		return cox_template_fail(call, "replace: an empty text cannot be replaced");
	while ((at = cox_str_search(s, old)) >= 0) {
		cox_buf_append(buf, s.p, (size_t)at);
		COX_TRY(cox_template_reserve(call, buf->n + new.n));
		cox_buf_append_str(buf, new);
		s = cox_str_sub(s, (size_t)at + old.n, s.n);
	}
	cox_buf_append_str(buf, s);
	return COX_OK;
}

FN(fn_replace)
{
	struct cox_buf buf = { 0 };
	(void)n;
	enum cox_rc rc = replaced(call, a[2].text, a[0].text, a[1].text, &buf);
	return template_give_buf(call, &buf, rc, out);
}

FN(fn_nospace)
{
	struct cox_buf buf = { 0 };
	(void)n;
	for (size_t i = 0; i < a[0].text.n; i++)
		if (!strchr(" \t\n\r\v\f", a[0].text.p[i]))
			cox_buf_append_char(&buf, a[0].text.p[i]);
	return template_give_buf(call, &buf, COX_OK, out);
}

static enum cox_rc indented(struct cox_template_call *call, const struct cox_template_value *a, bool newline,
                            struct cox_template_value *out)
{
	struct cox_buf buf = { 0 };
	size_t lines = 1;
	if (a[0].integer < 0 || a[0].integer > 1000)
		return cox_template_fail(call, "indent: %lld spaces", (long long)a[0].integer);
	for (size_t i = 0; i < a[1].text.n; i++)
		lines += a[1].text.p[i] == '\n';
	COX_TRY(cox_template_reserve(call, a[1].text.n + lines * (size_t)a[0].integer));
	if (newline)
		cox_buf_append_char(&buf, '\n');
	for (size_t i = 0; i <= a[1].text.n; i++) {
		if (i == 0 || a[1].text.p[i - 1] == '\n')
			cox_buf_printf(&buf, "%*s", (int)a[0].integer, "");
		if (i < a[1].text.n)
			cox_buf_append_char(&buf, a[1].text.p[i]);
	}
	return template_give_buf(call, &buf, COX_OK, out);
}

FN(fn_indent) { return (void)n, indented(call, a, false, out); }
FN(fn_nindent) { return (void)n, indented(call, a, true, out); }

FN(fn_to_string)
{
	struct cox_buf buf = { 0 };
	(void)n;
	enum cox_rc rc = cox_template_print(call, &buf, &a[0]);
	return template_give_buf(call, &buf, rc, out);
}

/* Each in quotes, nulls left out. */
static enum cox_rc quote_all(struct cox_template_call *call, const struct cox_template_value *a, size_t n, bool go,
                             struct cox_template_value *out)
{
	struct cox_buf buf = { 0 };
	enum cox_rc rc = COX_OK;
	for (size_t i = 0; i < n && rc == COX_OK; i++) {
		struct cox_template_value text;
		if (template_is_nothing(&a[i]))
			continue;
		rc = fn_to_string(call, &a[i], 1, &text);
		if (rc != COX_OK)
			break;
		if (buf.n)
			cox_buf_append_char(&buf, ' ');
		if (go)
			template_print_quoted(&buf, text.text);
		else
			cox_buf_printf(&buf, "'%.*s'", COX_FMT(text.text));
	}
	return template_give_buf(call, &buf, rc, out);
}

FN(fn_quote) { return quote_all(call, a, n, true, out); }
FN(fn_squote) { return quote_all(call, a, n, false, out); }

FN(fn_cat)
{
	struct cox_buf buf = { 0 };
	enum cox_rc rc = COX_OK;
	bool first = true;
	for (size_t i = 0; i < n && rc == COX_OK; i++) {
		if (template_is_nothing(&a[i]))
			continue;
		if (!first)
			cox_buf_append_char(&buf, ' ');
		first = false;
		rc = cox_template_print(call, &buf, &a[i]);
	}
	return template_give_buf(call, &buf, rc, out);
}

/* --- lists of text --------------------------------------------------------------------------------------------------- */

static enum cox_rc parts_of(struct cox_template_call *call, struct cox_str sep, struct cox_str s, struct cox_template_list *list)
{
	size_t count = 1;
	if (sep.n == 0)
		return cox_template_fail(call, "split: an empty separator");
	for (struct cox_str rest = s; cox_str_search(rest, sep) >= 0; count++)
		rest = cox_str_sub(rest, (size_t)cox_str_search(rest, sep) + sep.n, rest.n);
	COX_TRY(cox_template_reserve(call, count * sizeof(struct cox_template_value)));
	list->items = COX_ARENA_ARRAY(call->arena, struct cox_template_value, count);
	for (list->n = 0; list->n + 1 < count; list->n++) {
		size_t at = (size_t)cox_str_search(s, sep);
		list->items[list->n] = cox_template_str(cox_str_sub(s, 0, at));
		s = cox_str_sub(s, at + sep.n, s.n);
	}
	list->items[list->n++] = cox_template_str(s);
	return COX_OK;
}

FN(fn_split_list)
{
	(void)n;
	out->kind = COX_TEMPLATE_LIST;
	return parts_of(call, a[0].text, a[1].text, &out->list);
}

FN(fn_split)
{
	struct cox_template_list list = { 0 };
	(void)n;
	COX_TRY(parts_of(call, a[0].text, a[1].text, &list));
	*out = cox_template_map_new(call->arena, true);
	for (size_t i = 0; i < list.n; i++)
		cox_template_map_set(call->arena, out, cox_arena_printf(call->arena, "_%zu", i), list.items[i]);
	return COX_OK;
}

FN(fn_join)
{
	struct cox_buf buf = { 0 };
	const struct cox_template_value *items = a[1].kind == COX_TEMPLATE_LIST ? a[1].list.items : &a[1];
	size_t count = a[1].kind == COX_TEMPLATE_LIST ? a[1].list.n : 1;
	enum cox_rc rc = COX_OK;
	bool first = true;
	(void)n;
	for (size_t i = 0; i < count && rc == COX_OK; i++) {
		if (template_is_nothing(&items[i]))
			continue;
		if (!first)
			cox_buf_append_str(&buf, a[0].text);
		first = false;
		rc = cox_template_print(call, &buf, &items[i]);
	}
	return template_give_buf(call, &buf, rc, out);
}

FN(fn_b64enc)
{
	struct cox_buf buf = { 0 };
	(void)n;
	cox_b64_encode(&buf, a[0].text);
	return template_give_buf(call, &buf, COX_OK, out);
}

FN(fn_b64dec)
{
	struct cox_str bytes;
	(void)n;
	/* What is none is told in the text, as sprig does. */
	if (cox_b64_decode(call->arena, a[0].text, false, &bytes) != COX_OK)
		bytes = COX_STR("illegal base64 data");
	return give(out, bytes);
}

#define BOTH (COX_TEMPLATE_SPRIG | COX_TEMPLATE_HELM)
const struct template_func_row template_funcs_text[] = {
	{ { "b64dec", "s", fn_b64dec }, BOTH },
	{ { "b64enc", "s", fn_b64enc }, BOTH },
	{ { "cat", "a*", fn_cat }, BOTH },
	{ { "contains", "ss", fn_contains }, BOTH },
	{ { "hasPrefix", "ss", fn_has_prefix }, BOTH },
	{ { "hasSuffix", "ss", fn_has_suffix }, BOTH },
	{ { "indent", "is", fn_indent }, BOTH },
	{ { "join", "sa", fn_join }, BOTH },
	{ { "lower", "s", fn_lower }, BOTH },
	{ { "nindent", "is", fn_nindent }, BOTH },
	{ { "nospace", "s", fn_nospace }, BOTH },
	{ { "quote", "a*", fn_quote }, BOTH },
	{ { "regexMatch", "ss", fn_regex_match }, BOTH },
	{ { "repeat", "is", fn_repeat }, BOTH },
	{ { "replace", "sss", fn_replace }, BOTH },
	{ { "split", "ss", fn_split }, BOTH },
	{ { "splitList", "ss", fn_split_list }, BOTH },
	{ { "squote", "a*", fn_squote }, BOTH },
	{ { "substr", "iis", fn_substr }, BOTH },
	{ { "title", "s", fn_title }, BOTH },
	{ { "toString", "a", fn_to_string }, BOTH },
	{ { "trim", "s", fn_trim }, BOTH },
	{ { "trimAll", "ss", fn_trim_all }, BOTH },
	{ { "trimPrefix", "ss", fn_trim_prefix }, BOTH },
	{ { "trimSuffix", "ss", fn_trim_suffix }, BOTH },
	{ { "trunc", "is", fn_trunc }, BOTH },
	{ { "upper", "s", fn_upper }, BOTH },
	{ { NULL, NULL, NULL }, 0 },
};
