/* The functions of text/template itself. */
#include "template/template_priv.h"

#define FN(name)                                                                                              \
	static enum cox_rc name(struct cox_template_call *call, const struct cox_template_value *a, size_t n, \
	                        struct cox_template_value *out)

/* Never called: eval.c evaluates them itself. */
enum cox_rc template_fn_and(struct cox_template_call *call, const struct cox_template_value *a, size_t n, struct cox_template_value *out)
{
	(void)a, (void)n, (void)out;
	return cox_template_fail(call, "and");
}

enum cox_rc template_fn_or(struct cox_template_call *call, const struct cox_template_value *a, size_t n, struct cox_template_value *out)
{
	(void)a, (void)n, (void)out;
	return cox_template_fail(call, "or");
}

FN(fn_not)
{
	(void)call, (void)n;
	*out = cox_template_bool(!cox_template_is_true(&a[0]));
	return COX_OK;
}

/* --- comparisons ------------------------------------------------------------------------------------------- */

static bool is_basic(const struct cox_template_value *v)
{
	return v->kind == COX_TEMPLATE_BOOL || v->kind == COX_TEMPLATE_INT || v->kind == COX_TEMPLATE_FLOAT ||
	       v->kind == COX_TEMPLATE_STRING;
}

static enum cox_rc equal(struct cox_template_call *call, const struct cox_template_value *x, const struct cox_template_value *y, bool *out)
{
	if (template_is_nothing(x) || template_is_nothing(y)) {
		*out = template_is_nothing(x) && template_is_nothing(y);
		return COX_OK;
	}
	if (x->kind != y->kind)
		return cox_template_fail(call, "incompatible types for comparison: %s and %s", template_type_name(x),
		                         template_type_name(y));
	if (!is_basic(x))
		return cox_template_fail(call, "non-comparable type %s", template_type_name(x));
	return template_equal(call, x, y, out);
}

FN(fn_eq)
{
	bool same = false;
	for (size_t i = 1; i < n && !same; i++)
		COX_TRY(equal(call, &a[0], &a[i], &same));
	*out = cox_template_bool(same);
	return COX_OK;
}

FN(fn_ne)
{
	bool same = false;
	(void)n;
	COX_TRY(equal(call, &a[0], &a[1], &same));
	*out = cox_template_bool(!same);
	return COX_OK;
}

static enum cox_rc less(struct cox_template_call *call, const struct cox_template_value *x, const struct cox_template_value *y, bool *out)
{
	if (!is_basic(x) || !is_basic(y) || (x->kind == COX_TEMPLATE_BOOL && y->kind == x->kind))
		return cox_template_fail(call, "invalid type for comparison: %s and %s", template_type_name(x), template_type_name(y));
	if (x->kind != y->kind)
		return cox_template_fail(call, "incompatible types for comparison: %s and %s", template_type_name(x),
		                         template_type_name(y));
	*out = x->kind == COX_TEMPLATE_INT     ? x->integer < y->integer
	       : x->kind == COX_TEMPLATE_FLOAT ? x->real < y->real
	                                       : cox_str_cmp(x->text, y->text) < 0;
	return COX_OK;
}

static enum cox_rc ordered(struct cox_template_call *call, const struct cox_template_value *x, const struct cox_template_value *y,
                           bool negate, struct cox_template_value *out)
{
	bool is_less = false;
	COX_TRY(less(call, x, y, &is_less));
	*out = cox_template_bool(is_less != negate);
	return COX_OK;
}

FN(fn_lt) { return (void)n, ordered(call, &a[0], &a[1], false, out); }
FN(fn_ge) { return (void)n, ordered(call, &a[0], &a[1], true, out); }
FN(fn_gt) { return (void)n, ordered(call, &a[1], &a[0], false, out); }
FN(fn_le) { return (void)n, ordered(call, &a[1], &a[0], true, out); }

/* --- parts --------------------------------------------------------------------------------------------------- */

static enum cox_rc index_of(struct cox_template_call *call, const struct cox_template_value *v, size_t cap, size_t *out)
{
	if (v->kind != COX_TEMPLATE_INT)
		return cox_template_fail(call, "cannot index slice/array with type %s", template_type_name(v));
	if (v->integer < 0 || (uint64_t)v->integer > cap)
		return cox_template_fail(call, "index out of range: %lld", (long long)v->integer);
	*out = (size_t)v->integer;
	return COX_OK;
}

static enum cox_rc index_one(struct cox_template_call *call, struct cox_template_value *of, const struct cox_template_value *by)
{
	size_t at;
	if (template_is_nothing(of))
		return cox_template_fail(call, "index of nil pointer");
	if (of->kind == COX_TEMPLATE_MAP) {
		if (by->kind != COX_TEMPLATE_STRING)
			return cox_template_fail(call, "value has type %s; should be string", template_type_name(by));
		const struct cox_template_value *found = cox_template_map_get(of, by->text);
		*of = found              ? *found
		      : of->map->is_text ? cox_template_str(COX_STR(""))
		                         : (struct cox_template_value){ .kind = COX_TEMPLATE_NIL };
		return COX_OK;
	}
	if (of->kind == COX_TEMPLATE_LIST || of->kind == COX_TEMPLATE_STRING) {
		size_t size = of->kind == COX_TEMPLATE_LIST ? of->list.n : of->text.n;
		COX_TRY(index_of(call, by, size, &at));
		if (at == size)
			return cox_template_fail(call, "index out of range: %zu", at);
		*of = of->kind == COX_TEMPLATE_LIST ? of->list.items[at] : cox_template_int((unsigned char)of->text.p[at]);
		return COX_OK;
	}
	return cox_template_fail(call, "can't index item of type %s", template_type_name(of));
}

FN(fn_index)
{
	*out = a[0];
	if (template_is_nothing(out))
		return cox_template_fail(call, "index of untyped nil");
	for (size_t i = 1; i < n; i++)
		COX_TRY(index_one(call, out, &a[i]));
	return COX_OK;
}

FN(fn_slice)
{
	bool is_text = a[0].kind == COX_TEMPLATE_STRING;
	if (!is_text && a[0].kind != COX_TEMPLATE_LIST)
		return cox_template_fail(call, "can't slice item of type %s", template_type_name(&a[0]));
	if (n > 3)
		return cox_template_fail(call, "too many slice indexes: %zu", n - 1);
	size_t size = is_text ? a[0].text.n : a[0].list.n, from = 0, to = size;
	if (n > 1)
		COX_TRY(index_of(call, &a[1], size, &from));
	if (n > 2)
		COX_TRY(index_of(call, &a[2], size, &to));
	if (from > to)
		return cox_template_fail(call, "invalid slice index: %zu > %zu", from, to);
	*out = a[0];
	if (is_text)
		out->text = cox_str_sub(a[0].text, from, to - from);
	else
		out->list.items = a[0].list.items ? a[0].list.items + from : NULL, out->list.n = to - from;
	return COX_OK;
}

FN(fn_len)
{
	(void)n;
	switch (a[0].kind) {
	case COX_TEMPLATE_STRING: *out = cox_template_int((int64_t)a[0].text.n); break;
	case COX_TEMPLATE_LIST: *out = cox_template_int((int64_t)a[0].list.n); break;
	case COX_TEMPLATE_MAP: *out = cox_template_int((int64_t)a[0].map->n); break;
	default: return cox_template_fail(call, "len of type %s", template_type_name(&a[0]));
	}
	return COX_OK;
}

/* --- text ------------------------------------------------------------------------------------------------------ */

static enum cox_rc print_all(struct cox_template_call *call, const struct cox_template_value *a, size_t n, bool line,
                             struct cox_template_value *out)
{
	struct cox_buf buf = { 0 };
	enum cox_rc rc = COX_OK;
	for (size_t i = 0; i < n && rc == COX_OK; i++) {
		/* A space between two of which neither is text, or always in a line. */
		if (i && (line || (a[i].kind != COX_TEMPLATE_STRING && a[i - 1].kind != COX_TEMPLATE_STRING)))
			cox_buf_append_char(&buf, ' ');
		rc = cox_template_print(call, &buf, &a[i]);
	}
	if (line)
		cox_buf_append_char(&buf, '\n');
	return template_give_buf(call, &buf, rc, out);
}

FN(fn_print) { return print_all(call, a, n, false, out); }
FN(fn_println) { return print_all(call, a, n, true, out); }

FN(fn_printf)
{
	struct cox_buf buf = { 0 };
	enum cox_rc rc = template_printf(call, &buf, a[0].text, a + 1, n - 1);
	return template_give_buf(call, &buf, rc, out);
}

static void escape_html(struct cox_buf *out, struct cox_str s)
{
	for (size_t i = 0; i < s.n; i++)
		switch (s.p[i]) {
		case '"': cox_buf_append_cstr(out, "&#34;"); break;
		case '\'': cox_buf_append_cstr(out, "&#39;"); break;
		case '&': cox_buf_append_cstr(out, "&amp;"); break;
		case '<': cox_buf_append_cstr(out, "&lt;"); break;
		case '>': cox_buf_append_cstr(out, "&gt;"); break;
		case 0: cox_buf_append_cstr(out, "\xef\xbf\xbd"); break;
		default: cox_buf_append_char(out, s.p[i]);
		}
}

static void escape_query(struct cox_buf *out, struct cox_str s)
{
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];
		if (c == ' ')
			cox_buf_append_char(out, '+');
		else if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c && strchr("-_.~", c)))
			cox_buf_append_char(out, (char)c);
		else
			cox_buf_printf(out, "%%%02X", c);
	}
}

static enum cox_rc escaped(struct cox_template_call *call, const struct cox_template_value *a, size_t n,
                           void (*escape)(struct cox_buf *out, struct cox_str s), struct cox_template_value *out)
{
	struct cox_template_value text;
	struct cox_buf buf = { 0 };
	COX_TRY(print_all(call, a, n, false, &text));
	escape(&buf, text.text);
	return template_give_buf(call, &buf, COX_OK, out);
}

FN(fn_html) { return escaped(call, a, n, escape_html, out); }
FN(fn_urlquery) { return escaped(call, a, n, escape_query, out); }

#define ALL (COX_TEMPLATE_GO | COX_TEMPLATE_SPRIG | COX_TEMPLATE_HELM)
const struct template_func_row template_funcs_go[] = {
	{ { "and", "aa*", template_fn_and }, ALL },
	{ { "eq", "aaa*", fn_eq }, ALL },
	{ { "ge", "aa", fn_ge }, ALL },
	{ { "gt", "aa", fn_gt }, ALL },
	{ { "html", "a*", fn_html }, ALL },
	{ { "index", "aa*", fn_index }, ALL },
	{ { "le", "aa", fn_le }, ALL },
	{ { "len", "a", fn_len }, ALL },
	{ { "lt", "aa", fn_lt }, ALL },
	{ { "ne", "aa", fn_ne }, ALL },
	{ { "not", "a", fn_not }, ALL },
	{ { "or", "aa*", template_fn_or }, ALL },
	{ { "print", "a*", fn_print }, ALL },
	{ { "printf", "sa*", fn_printf }, ALL },
	{ { "println", "a*", fn_println }, ALL },
	{ { "slice", "aa*", fn_slice }, ALL },
	{ { "urlquery", "a*", fn_urlquery }, ALL },
	{ { NULL, NULL, NULL }, 0 },
};
