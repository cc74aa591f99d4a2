/* Trees as JSON and as block-style YAML. */
#include "codec/json.h"

#include <stdlib.h>

void cox_json_write_str(struct cox_buf *out, struct cox_str s)
{
	cox_buf_append_char(out, '"');
	size_t from = 0;
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];
		if (c >= 0x20 && c != '"' && c != '\\' && c != 0x7f)
			continue;
		cox_buf_append(out, s.p + from, i - from);
		from = i + 1;
		switch (c) {
		case '"': cox_buf_append(out, "\\\"", 2); break;
		case '\\': cox_buf_append(out, "\\\\", 2); break;
		case '\n': cox_buf_append(out, "\\n", 2); break;
		case '\r': cox_buf_append(out, "\\r", 2); break;
		case '\t': cox_buf_append(out, "\\t", 2); break;
		default: cox_buf_printf(out, "\\u%04x", c);
		}
	}
	cox_buf_append(out, s.p ? s.p + from : "", s.n - from);
	cox_buf_append_char(out, '"');
}

static int member_cmp(const void *a, const void *b)
{
	return cox_str_cmp((*(const struct cox_json_member *const *)a)->key, (*(const struct cox_json_member *const *)b)->key);
}

/* The members in the wished order, on the heap; NULL: as they stand (they are in order already, or order is not wished). */
static const struct cox_json_member **order_members(const struct cox_json *v, bool sorted)
{
	size_t rising = 1;
	while (sorted && rising < v->n && cox_str_cmp(v->members[rising - 1].key, v->members[rising].key) < 0)
		rising++;
	if (!sorted || rising >= v->n)
		return NULL;
	const struct cox_json_member **all = cox_calloc(v->n, sizeof(*all));
	for (size_t i = 0; i < v->n; i++)
		all[i] = &v->members[i];
	qsort(all, v->n, sizeof(*all), member_cmp);
	return all;
}

struct writer {
	struct cox_buf *out;
	unsigned indent;
	bool sorted;
};

static void new_line(struct writer *w, unsigned level)
{
	if (!w->indent)
		return;
	size_t n = (size_t)w->indent * level + 1;
	char *p = cox_buf_reserve(w->out, n);
	p[0] = '\n';
	memset(p + 1, ' ', n - 1);
	w->out->n += n;
}

static void write_value(struct writer *w, const struct cox_json *v, unsigned level);

static void write_object(struct writer *w, const struct cox_json *v, unsigned level)
{
	const struct cox_json_member **order = order_members(v, w->sorted);
	cox_buf_append_char(w->out, '{');
	for (size_t i = 0; i < v->n; i++) {
		const struct cox_json_member *m = order ? order[i] : &v->members[i];
		if (i)
			cox_buf_append_char(w->out, ',');
		new_line(w, level + 1);
		cox_json_write_str(w->out, m->key);
		cox_buf_append(w->out, ": ", w->indent ? 2 : 1);
		write_value(w, &m->value, level + 1);
	}
	if (v->n)
		new_line(w, level);
	cox_buf_append_char(w->out, '}');
	cox_free(order);
}

static void write_value(struct writer *w, const struct cox_json *v, unsigned level)
{
	switch (v->type) {
	case COX_JSON_NULL: cox_buf_append_cstr(w->out, "null"); break;
	case COX_JSON_BOOL: cox_buf_append_cstr(w->out, v->boolean ? "true" : "false"); break;
	case COX_JSON_NUMBER: cox_buf_append_str(w->out, v->text); break;
	case COX_JSON_STRING: cox_json_write_str(w->out, v->text); break;
	case COX_JSON_ARRAY:
		cox_buf_append_char(w->out, '[');
		for (size_t i = 0; i < v->n; i++) {
			if (i)
				cox_buf_append_char(w->out, ',');
			new_line(w, level + 1);
			write_value(w, &v->items[i], level + 1);
		}
		if (v->n)
			new_line(w, level);
		cox_buf_append_char(w->out, ']');
		break;
	case COX_JSON_OBJECT: write_object(w, v, level); break;
	}
}

void cox_json_write(struct cox_buf *out, const struct cox_json *v, unsigned indent, bool sorted)
{
	struct writer w = { out, indent, sorted };
	write_value(&w, v, 0);
}

/* --- YAML --- */

static bool is_word(struct cox_str s)
{
	static const char *const words[] = {
		"null", "true", "false", "yes", "no", "on", "off", "y", "n", "~", ".inf", "-.inf", ".nan", "<<"
	};
	for (size_t i = 0; i < COX_LEN(words); i++)
		if (cox_str_eq_nocase(s, cox_str_of(words[i])))
			return true;
	return false;
}

/* Whether a YAML reader takes the plain scalar as exactly this text. Careful rather than complete: what is not surely plain is quoted. */
static bool is_plain(struct cox_str s)
{
	if (s.n == 0 || s.n > 200 || is_word(s))
		return false;
	char first = s.p[0];
	bool letter = (first >= 'a' && first <= 'z') || (first >= 'A' && first <= 'Z') || first == '_' || first == '/';
	if (!letter)
		return false;
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];
		bool safe = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || (c && strchr("_-./", c)) ||
		            ((c == ':' || c == ' ' || c == ',' || c == '(' || c == ')' || c == '=' || c == ';') && i + 1 < s.n &&
		             !(c == ':' && s.p[i + 1] == ' ') && !(c == ' ' && s.p[i + 1] == '#'));
		if (!safe)
			return false;
	}
	return true;
}

/* Text of several lines that a literal block shows unchanged. */
static bool is_block(struct cox_str s)
{
	if (s.n < 2 || s.p[s.n - 1] != '\n' || s.p[s.n - 2] == '\n' || s.p[0] == ' ' || s.p[0] == '\n' || s.p[0] == '\t')
		return false;
	for (size_t i = 0; i < s.n; i++)
		if (((unsigned char)s.p[i] < 0x20 && s.p[i] != '\n') || s.p[i] == 0x7f || (unsigned char)s.p[i] == 0xc2 ||
		    (unsigned char)s.p[i] == 0xe2 || (unsigned char)s.p[i] == 0xef)
			return false; /* 0xc2, 0xe2, 0xef start the line separators and the byte order mark of YAML 1.1 */
	return true;
}

static void pad(struct cox_buf *out, unsigned level)
{
	size_t n = (size_t)level * 2;
	memset(cox_buf_reserve(out, n + 1), ' ', n);
	out->n += n;
}

/* In quotes, as JSON, but YAML 1.1 takes three more characters for line ends and one for a byte order mark. */
static void yaml_quoted(struct cox_buf *out, struct cox_str s)
{
	static const struct {
		struct cox_str raw;
		const char *escape;
	} special[] = {
		{ COX_STR_INIT("\xc2\x85"), "\\u0085" },
		{ COX_STR_INIT("\xe2\x80\xa8"), "\\u2028" },
		{ COX_STR_INIT("\xe2\x80\xa9"), "\\u2029" },
		{ COX_STR_INIT("\xef\xbb\xbf"), "\\ufeff" },
	};
	struct cox_buf b COX_AUTO(cox_buf_fini) = { 0 };
	cox_json_write_str(&b, s);
	for (size_t i = 0; i < b.n;) {
		size_t k = 0;
		while (k < COX_LEN(special) && !cox_str_has_prefix(cox_str_make(b.p + i, b.n - i), special[k].raw))
			k++;
		if (k < COX_LEN(special)) {
			cox_buf_append_cstr(out, special[k].escape);
			i += special[k].raw.n;
		} else {
			cox_buf_append_char(out, b.p[i++]);
		}
	}
}

static void yaml_text(struct cox_buf *out, struct cox_str s)
{
	if (is_plain(s))
		cox_buf_append_str(out, s);
	else
		yaml_quoted(out, s);
}

static void yaml_block(struct cox_buf *out, struct cox_str s, unsigned level)
{
	cox_buf_append_cstr(out, "|\n");
	struct cox_str rest = cox_str_sub(s, 0, s.n - 1), line;
	while (cox_str_next(&rest, '\n', &line)) {
		if (line.n)
			pad(out, level);
		cox_buf_append_str(out, line);
		cox_buf_append_char(out, '\n');
	}
}

static bool is_nested(const struct cox_json *v) { return v->n > 0 && (v->type == COX_JSON_ARRAY || v->type == COX_JSON_OBJECT); }

/* One that fits on the line it starts on; ends the line. */
static void yaml_scalar(struct cox_buf *out, const struct cox_json *v, unsigned level)
{
	if (v->type == COX_JSON_STRING && is_block(v->text)) {
		yaml_block(out, v->text, level);
		return;
	}
	if (v->type == COX_JSON_STRING)
		yaml_text(out, v->text);
	else
		cox_json_write(out, v, 0, false);
	cox_buf_append_char(out, '\n');
}

/* The first line of a container starts where the cursor stands (behind "- " or at its indentation). */
static void yaml_nested(struct cox_buf *out, const struct cox_json *v, unsigned level)
{
	for (size_t i = 0; i < v->n; i++) {
		if (i)
			pad(out, level);
		if (v->type == COX_JSON_ARRAY) {
			cox_buf_append_cstr(out, "- ");
			if (is_nested(&v->items[i]))
				yaml_nested(out, &v->items[i], level + 1);
			else
				yaml_scalar(out, &v->items[i], level + 1);
			continue;
		}
		const struct cox_json_member *m = &v->members[i];
		yaml_text(out, m->key);
		if (!is_nested(&m->value)) {
			cox_buf_append_cstr(out, ": ");
			yaml_scalar(out, &m->value, level + 1);
			continue;
		}
		cox_buf_append_cstr(out, ":\n");
		unsigned inner = m->value.type == COX_JSON_ARRAY ? level : level + 1;
		pad(out, inner);
		yaml_nested(out, &m->value, inner);
	}
}

void cox_json_write_yaml(struct cox_buf *out, const struct cox_json *v)
{
	if (is_nested(v))
		yaml_nested(out, v, 0);
	else
		yaml_scalar(out, v, 1);
}
