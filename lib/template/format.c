/* Values as text, as Go's fmt writes them. */
#include "template/template_priv.h"

#include <math.h>
#include <stdio.h>

/* --- plain ------------------------------------------------------------------------------------------------------ */

/* The fewest digits that give the same number back. */
static int shortest(double v, char *text, size_t cap)
{
	for (int digits = 1; digits <= 17; digits++) {
		double back = 0;
		snprintf(text, cap, "%.*e", digits - 1, v);
		if (cox_str_to_f64(cox_str_of(text), &back) == COX_OK && back == v)
			return digits;
	}
	return 17;
}

/* %v: the shortest digits, with an exponent below -4 and from 6 on (1e+06). */
void template_print_float(struct cox_buf *out, double v)
{
	char text[64];
	if (isnan(v) || isinf(v)) {
		cox_buf_append_cstr(out, isnan(v) ? "NaN" : v > 0 ? "+Inf" : "-Inf");
		return;
	}
	int digits = shortest(v, text, sizeof(text));
	int exponent = 0;
	const char *e = strchr(text, 'e');
	int64_t parsed;
	if (e && cox_str_to_i64(cox_str_of(e[1] == '+' ? e + 2 : e + 1), &parsed) == COX_OK)
		exponent = (int)parsed;
	if (exponent < -4 || exponent >= 6) {
		cox_buf_append_cstr(out, text);
		return;
	}
	snprintf(text, sizeof(text), "%.*f", digits - 1 - exponent > 0 ? digits - 1 - exponent : 0, v);
	cox_buf_append_cstr(out, text);
}

void template_print_quoted(struct cox_buf *out, struct cox_str s)
{
	static const char plain[] = "\a\b\f\n\r\t\v\\\"", letters[] = "abfnrtv\\\"";
	cox_buf_append_char(out, '"');
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];
		const char *found = c ? strchr(plain, c) : NULL;
		if (found)
			cox_buf_printf(out, "\\%c", letters[found - plain]);
		else if (c < 0x20 || c == 0x7f)
			cox_buf_printf(out, "\\x%02x", c);
		else
			cox_buf_append_char(out, (char)c);
	}
	cox_buf_append_char(out, '"');
}

static enum cox_rc print_map(struct cox_template_call *call, struct cox_buf *out, const struct cox_template_value *v)
{
	cox_buf_append_cstr(out, "map[");
	for (size_t i = 0; i < v->map->n; i++) {
		cox_buf_printf(out, "%s%.*s:", i ? " " : "", COX_FMT(v->map->p[i].key));
		COX_TRY(cox_template_print(call, out, &v->map->p[i].value));
	}
	cox_buf_append_char(out, ']');
	return COX_OK;
}

static enum cox_rc print_list(struct cox_template_call *call, struct cox_buf *out, const struct cox_template_value *v)
{
	cox_buf_append_char(out, '[');
	for (size_t i = 0; i < v->list.n; i++) {
		if (i)
			cox_buf_append_char(out, ' ');
		COX_TRY(cox_template_print(call, out, &v->list.items[i]));
	}
	cox_buf_append_char(out, ']');
	return COX_OK;
}

static enum cox_rc print_one(struct cox_template_call *call, struct cox_buf *out, const struct cox_template_value *v)
{
	if (v->type && v->type->text) {
		cox_buf_append_str(out, v->type->text(call->arena, v));
		return COX_OK;
	}
	switch (v->kind) {
	case COX_TEMPLATE_NONE:
	case COX_TEMPLATE_NIL: cox_buf_append_cstr(out, "<nil>"); break;
	case COX_TEMPLATE_BOOL: cox_buf_append_cstr(out, v->boolean ? "true" : "false"); break;
	case COX_TEMPLATE_INT: cox_buf_printf(out, "%lld", (long long)v->integer); break;
	case COX_TEMPLATE_FLOAT: template_print_float(out, v->real); break;
	case COX_TEMPLATE_STRING: cox_buf_append_str(out, v->text); break;
	case COX_TEMPLATE_LIST: return print_list(call, out, v);
	case COX_TEMPLATE_MAP: return print_map(call, out, v);
	case COX_TEMPLATE_OBJECT:
		if (v->boolean) {
			cox_buf_append_cstr(out, "<nil>");
			break;
		}
		return cox_template_fail(call, "a value of type %s has no text; name one of its fields", template_type_name(v));
	}
	return COX_OK;
}

enum cox_rc cox_template_print(struct cox_template_call *call, struct cox_buf *out, const struct cox_template_value *v)
{
	COX_TRY(template_deeper(call->run));
	COX_TRY(cox_template_reserve(call, out->n + (v->kind == COX_TEMPLATE_STRING ? v->text.n : 0)));
	enum cox_rc rc = print_one(call, out, v);
	template_shallower(call->run);
	return rc;
}

/* --- printf -------------------------------------------------------------------------------------------------------- */

struct verb {
	bool minus, plus, zero, sharp, space, has_precision;
	int width, precision;
	char letter;
};

static void pad(struct cox_buf *out, const struct verb *v, struct cox_str text)
{
	size_t runes = 0;
	for (size_t i = 0; i < text.n; i++)
		runes += ((unsigned char)text.p[i] & 0xc0) != 0x80;
	size_t more = v->width > 0 && (size_t)v->width > runes ? (size_t)v->width - runes : 0;
	bool number = strchr("dfeEgGxXob", v->letter) != NULL;
	if (v->zero && !v->minus && number && text.n && (text.p[0] == '-' || text.p[0] == '+')) {
		cox_buf_append_char(out, text.p[0]);
		text = cox_str_sub(text, 1, text.n);
	}
	for (size_t i = 0; i < more && !v->minus; i++)
		cox_buf_append_char(out, v->zero ? '0' : ' ');
	cox_buf_append_str(out, text);
	for (size_t i = 0; i < more && v->minus; i++)
		cox_buf_append_char(out, ' ');
}

static enum cox_rc read_count(struct cox_template_call *call, struct cox_str f, size_t *at, int *out)
{
	*out = 0;
	for (; *at < f.n && f.p[*at] >= '0' && f.p[*at] <= '9'; (*at)++)
		*out = *out * 10 + (f.p[*at] - '0') > 100000 ? 100000 : *out * 10 + (f.p[*at] - '0');
	if (*at < f.n && f.p[*at] == '*')
		return cox_template_fail(call, "printf: a width given by * is not supported");
	/* What a width may add is bounded, so that many of them are. */
	return *out > 1000 ? cox_template_fail(call, "printf: a width above 1000") : COX_OK;
}

static enum cox_rc read_verb(struct cox_template_call *call, struct cox_str f, size_t *at, struct verb *v)
{
	*v = (struct verb){ 0 };
	for (;; (*at)++) {
		char c = *at < f.n ? f.p[*at] : 0;
		if (c == '-')
			v->minus = true;
		else if (c == '+')
			v->plus = true;
		else if (c == '0')
			v->zero = true;
		else if (c == '#')
			v->sharp = true;
		else if (c == ' ')
			v->space = true;
		else
			break;
	}
	COX_TRY(read_count(call, f, at, &v->width));
	if (*at < f.n && f.p[*at] == '.') {
		(*at)++;
		v->has_precision = true;
		COX_TRY(read_count(call, f, at, &v->precision));
	}
	if (*at < f.n)
		v->letter = f.p[(*at)++];
	return COX_OK;
}

static void print_whole(struct cox_buf *text, const struct verb *v, int64_t n)
{
	uint64_t magnitude = n < 0 ? -(uint64_t)n : (uint64_t)n;
	if (n < 0 || v->plus)
		cox_buf_append_char(text, n < 0 ? '-' : '+');
	if (v->letter == 'b') {
		int bit = 63;
		while (bit > 0 && !(magnitude >> bit & 1))
			bit--;
		for (; bit >= 0; bit--)
			cox_buf_append_char(text, (char)('0' + (magnitude >> bit & 1)));
		return;
	}
	if (v->sharp && v->letter != 'd')
		cox_buf_append_cstr(text, v->letter == 'o' ? "0" : v->letter == 'x' ? "0x" : "0X");
	if (v->letter == 'x')
		cox_buf_printf(text, "%llx", (unsigned long long)magnitude);
	else if (v->letter == 'X')
		cox_buf_printf(text, "%llX", (unsigned long long)magnitude);
	else if (v->letter == 'o')
		cox_buf_printf(text, "%llo", (unsigned long long)magnitude);
	else
		cox_buf_printf(text, "%llu", (unsigned long long)magnitude);
}

static void print_real(struct cox_buf *text, const struct verb *v, double real)
{
	int precision = v->has_precision ? v->precision : 6;
	if (v->plus && real >= 0)
		cox_buf_append_char(text, '+');
	if (v->letter == 'f' || v->letter == 'F')
		cox_buf_printf(text, "%.*f", precision, real);
	else if (v->letter == 'e')
		cox_buf_printf(text, "%.*e", precision, real);
	else if (v->has_precision)
		cox_buf_printf(text, "%.*g", precision, real);
	else
		template_print_float(text, real);
}

/* The letter does not fit the value: Go says so in the text. */
static enum cox_rc print_bad(struct cox_template_call *call, struct cox_buf *text, const struct verb *v, const struct cox_template_value *a)
{
	if (template_is_nothing(a)) {
		cox_buf_printf(text, "%%!%c(<nil>)", v->letter);
		return COX_OK;
	}
	cox_buf_printf(text, "%%!%c(%s=", v->letter, template_type_name(a));
	COX_TRY(cox_template_print(call, text, a));
	cox_buf_append_char(text, ')');
	return COX_OK;
}

static enum cox_rc print_elements(struct cox_template_call *call, struct cox_buf *text, const struct verb *v,
                                  const struct cox_template_value *a);

static enum cox_rc print_verb(struct cox_template_call *call, struct cox_buf *text, const struct verb *v,
                              const struct cox_template_value *a)
{
	bool has_text = a->type && a->type->text;
	struct cox_str own = has_text ? a->type->text(call->arena, a) : a->kind == COX_TEMPLATE_STRING ? a->text : (struct cox_str){ 0 };
	bool is_text = has_text || a->kind == COX_TEMPLATE_STRING;
	char c = v->letter;
	if (c == 'T') {
		cox_buf_append_cstr(text, template_type_name(a));
		return COX_OK;
	}
	if (c == 'v')
		return v->sharp ? cox_template_fail(call, "printf: %%#v is not supported") : cox_template_print(call, text, a);
	if ((a->kind == COX_TEMPLATE_LIST || a->kind == COX_TEMPLATE_MAP) && strchr("sqd", c))
		return print_elements(call, text, v, a);
	if (is_text && c == 's') {
		cox_buf_append_str(text, v->has_precision ? cox_str_sub(own, 0, (size_t)v->precision) : own);
		return COX_OK;
	}
	if (is_text && c == 'q') {
		template_print_quoted(text, own);
		return COX_OK;
	}
	if (is_text && (c == 'x' || c == 'X')) {
		for (size_t i = 0; i < own.n; i++)
			cox_buf_printf(text, c == 'x' ? "%02x" : "%02X", (unsigned char)own.p[i]);
		return COX_OK;
	}
	if (a->kind == COX_TEMPLATE_BOOL && c == 't') {
		cox_buf_append_cstr(text, a->boolean ? "true" : "false");
		return COX_OK;
	}
	if (a->kind == COX_TEMPLATE_INT && strchr("dxXob", c)) {
		print_whole(text, v, a->integer);
		return COX_OK;
	}
	if (a->kind == COX_TEMPLATE_INT && c == 'c' && a->integer > 0 && a->integer < 0x80) {
		cox_buf_append_char(text, (char)a->integer);
		return COX_OK;
	}
	if (a->kind == COX_TEMPLATE_FLOAT && strchr("fFeg", c)) {
		print_real(text, v, a->real);
		return COX_OK;
	}
	return print_bad(call, text, v, a);
}

/* The verb goes for each item. */
static enum cox_rc print_elements(struct cox_template_call *call, struct cox_buf *text, const struct verb *v,
                                  const struct cox_template_value *a)
{
	COX_TRY(template_deeper(call->run));
	bool is_map = a->kind == COX_TEMPLATE_MAP;
	cox_buf_append_cstr(text, is_map ? "map[" : "[");
	for (size_t i = 0; i < (is_map ? a->map->n : a->list.n); i++) {
		if (i)
			cox_buf_append_char(text, ' ');
		if (is_map) {
			struct cox_template_value key = cox_template_str(a->map->p[i].key);
			COX_TRY(print_verb(call, text, v, &key));
			cox_buf_append_char(text, ':');
		}
		COX_TRY(cox_template_reserve(call, text->n));
		COX_TRY(print_verb(call, text, v, is_map ? &a->map->p[i].value : &a->list.items[i]));
	}
	cox_buf_append_char(text, ']');
	template_shallower(call->run);
	return COX_OK;
}

static enum cox_rc print_padded(struct cox_template_call *call, struct cox_buf *out, const struct verb *v,
                                const struct cox_template_value *a)
{
	struct cox_buf text = { 0 };
	enum cox_rc rc = print_verb(call, &text, v, a);
	if (rc == COX_OK)
		rc = cox_template_reserve(call, out->n + text.n);
	if (rc == COX_OK)
		pad(out, v, cox_buf_str(&text));
	cox_buf_fini(&text);
	return rc;
}

enum cox_rc template_printf(struct cox_template_call *call, struct cox_buf *out, struct cox_str f, const struct cox_template_value *args,
                            size_t n)
{
	size_t used = 0;
	for (size_t at = 0; at < f.n;) {
		struct verb v;
		if (f.p[at] != '%') {
			cox_buf_append_char(out, f.p[at++]);
			continue;
		}
		at++;
		COX_TRY(read_verb(call, f, &at, &v));
		if (v.letter == '%')
			cox_buf_append_char(out, '%');
		else if (v.letter == 0)
			cox_buf_append_cstr(out, "%!(NOVERB)");
		else if (used == n)
			cox_buf_printf(out, "%%!%c(MISSING)", v.letter);
		else
			COX_TRY(print_padded(call, out, &v, &args[used++]));
	}
	for (size_t i = used; i < n; i++) {
		cox_buf_printf(out, "%s%s=", i == used ? "%!(EXTRA " : ", ", template_type_name(&args[i]));
		COX_TRY(cox_template_print(call, out, &args[i]));
	}
	if (used < n)
		cox_buf_append_char(out, ')');
	return COX_OK;
}
