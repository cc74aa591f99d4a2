#include "codec/json.h"

#include <stdlib.h>

/* Containers of this many members and more are checked for duplicates by sorting; below, comparing pairs is faster. */
enum { PAIRWISE_MAX = 24, SCRATCH_MEMBERS = 48 };

/* Open containers collect their items on one stack, from which the finished ones are copied into the arena at their exact size. */
struct parser {
	struct cox_arena *arena;
	const char *p, *end;
	int line;
	unsigned depth;
	struct cox_json_member *stack;
	size_t n, cap;
	bool on_heap;
	struct cox_err *err;
};

static enum cox_rc fail(struct parser *ps, enum cox_rc rc, const char *text)
{
	cox_err_set(ps->err, rc, NULL, "%s", text);
	if (ps->err)
		ps->err->line = ps->line;
	return rc;
}

static enum cox_rc fail_at(struct parser *ps, const char *wanted)
{
	if (ps->p == ps->end)
		cox_err_set(ps->err, COX_EINVAL, NULL, "JSON: the text ends where %s must follow", wanted);
	else if ((unsigned char)*ps->p >= 0x20 && (unsigned char)*ps->p < 0x7f)
		cox_err_set(ps->err, COX_EINVAL, NULL, "JSON: found '%c' where %s must follow", *ps->p, wanted);
	else
		cox_err_set(ps->err, COX_EINVAL, NULL, "JSON: found byte 0x%02x where %s must follow", (unsigned char)*ps->p, wanted);
	if (ps->err)
		ps->err->line = ps->line;
	return COX_EINVAL;
}

static inline void skip_blanks(struct parser *ps)
{
	while (ps->p < ps->end) {
		char c = *ps->p;
		if (c == '\n')
			ps->line++;
		else if (c != ' ' && c != '\t' && c != '\r')
			return;
		ps->p++;
	}
}

static void grow_stack(struct parser *ps)
{
	size_t cap = ps->cap * 2;
	struct cox_json_member *more = cox_calloc(cap, sizeof(*more));
	memcpy(more, ps->stack, ps->n * sizeof(*more));
	if (ps->on_heap)
		cox_free(ps->stack);
	ps->stack = more;
	ps->cap = cap;
	ps->on_heap = true;
}

static inline void push(struct parser *ps, const struct cox_json_member *m)
{
	if (ps->n == ps->cap)
		grow_stack(ps);
	ps->stack[ps->n++] = *m;
}

/* --- strings --- */

#define ONES UINT64_C(0x0101010101010101)
#define HIGHS UINT64_C(0x8080808080808080)

/* Whether one of the eight bytes is a quote, a backslash, a control character or not ASCII. The subtractions may report
 * a byte behind a true hit wrongly, never one before it, and no hit where there is none. */
static inline bool has_special(uint64_t w)
{
	uint64_t quote = w ^ (ONES * '"'), slash = w ^ (ONES * '\\');
	return (((quote - ONES) | (slash - ONES) | (w - ONES * 0x20) | w) & HIGHS) != 0;
}

/* First byte at or behind `p` that needs a look. */
static inline const char *skip_plain(const char *p, const char *end)
{
	while (end - p >= 8) {
		uint64_t w;
		memcpy(&w, p, 8);
		if (has_special(w))
			break;
		p += 8;
	}
	while (p < end && *p != '"' && *p != '\\' && (unsigned char)*p >= 0x20 && (unsigned char)*p < 0x80)
		p++;
	return p;
}

static int hex4(const char *p, const char *end)
{
	if (end - p < 4)
		return -1;
	int v = 0;
	for (int i = 0; i < 4; i++) {
		char c = p[i];
		int d = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
		if (d < 0)
			return -1;
		v = v << 4 | d;
	}
	return v;
}

static char *put_utf8(char *out, uint32_t v)
{
	if (v < 0x80) {
		*out++ = (char)v;
	} else if (v < 0x800) {
		*out++ = (char)(0xc0 | v >> 6);
		*out++ = (char)(0x80 | (v & 0x3f));
	} else if (v < 0x10000) {
		*out++ = (char)(0xe0 | v >> 12);
		*out++ = (char)(0x80 | (v >> 6 & 0x3f));
		*out++ = (char)(0x80 | (v & 0x3f));
	} else {
		*out++ = (char)(0xf0 | v >> 18);
		*out++ = (char)(0x80 | (v >> 12 & 0x3f));
		*out++ = (char)(0x80 | (v >> 6 & 0x3f));
		*out++ = (char)(0x80 | (v & 0x3f));
	}
	return out;
}

/* At ps->p, behind "\u". A pair of surrogates is one character. */
static enum cox_rc unescape_unicode(struct parser *ps, char **out)
{
	int v = hex4(ps->p, ps->end);
	if (v < 0)
		return fail(ps, COX_EINVAL, "JSON: \\u needs four hexadecimal digits");
	ps->p += 4;
	uint32_t c = (uint32_t)v;
	if (c >= 0xd800 && c < 0xe000) {
		int low = ps->end - ps->p >= 6 && ps->p[0] == '\\' && ps->p[1] == 'u' ? hex4(ps->p + 2, ps->end) : -1;
		if (c >= 0xdc00 || low < 0xdc00 || low >= 0xe000)
			return fail(ps, COX_EINVAL, "JSON: a surrogate without its partner");
		ps->p += 6;
		c = 0x10000 + ((c - 0xd800) << 10) + ((uint32_t)low - 0xdc00);
	}
	*out = put_utf8(*out, c);
	return COX_OK;
}

static enum cox_rc unescape(struct parser *ps, char **out)
{
	static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
	ps->p++;
	if (ps->p == ps->end)
		return fail(ps, COX_EINVAL, "JSON: a string is not closed");
	char c = *ps->p++;
	if (c == 'u')
		return unescape_unicode(ps, out);
	const char *at = c ? strchr(from, c) : NULL;
	if (!at)
		return fail(ps, COX_EINVAL, "JSON: unknown escape in a string");
	*(*out)++ = to[at - from];
	return COX_OK;
}

/* Where the closing quote of the string is whose content starts at `p`; NULL: there is none. */
static const char *find_close(const char *p, const char *end)
{
	for (;;) {
		p = skip_plain(p, end);
		if (p == end)
			return NULL;
		if (*p == '"')
			return p;
		p += *p == '\\' && end - p > 1 ? 2 : 1;
	}
}

/* A string with escapes: it never grows by unescaping, so its source length is room enough. */
static enum cox_rc parse_escaped(struct parser *ps, const char *start, struct cox_str *out)
{
	const char *close = find_close(ps->p, ps->end);
	if (!close)
		return fail(ps, COX_EINVAL, "JSON: a string is not closed");
	char *text = cox_arena_alloc(ps->arena, (size_t)(close - start) + 1), *at = text;
	memcpy(at, start, (size_t)(ps->p - start));
	at += ps->p - start;
	while (*ps->p != '"') {
		if (*ps->p == '\\') {
			COX_TRY(unescape(ps, &at));
			continue;
		}
		if ((unsigned char)*ps->p < 0x20)
			return fail(ps, COX_EINVAL, "JSON: a control character in a string must be escaped");
		*at++ = *ps->p++;
	}
	ps->p++;
	*out = cox_str_make(text, (size_t)(at - text));
	return COX_OK;
}

/* At the opening quote. */
static enum cox_rc parse_string(struct parser *ps, struct cox_str *out)
{
	const char *start = ++ps->p;
	bool ascii = true;
	for (;;) {
		ps->p = skip_plain(ps->p, ps->end);
		if (ps->p == ps->end)
			return fail(ps, COX_EINVAL, "JSON: a string is not closed");
		if ((unsigned char)*ps->p < 0x80)
			break;
		ascii = false;
		ps->p++;
	}
	if (*ps->p == '"') {
		*out = cox_str_make(start, (size_t)(ps->p - start));
		ps->p++;
	} else if (*ps->p == '\\') {
		COX_TRY(parse_escaped(ps, start, out));
		ascii = false;
	} else {
		return fail(ps, COX_EINVAL, "JSON: a control character in a string must be escaped");
	}
	if (!ascii && !cox_str_is_utf8(*out))
		return fail(ps, COX_EINVAL, "JSON: a string is not UTF-8");
	return COX_OK;
}

/* --- numbers --- */

static inline bool is_digit(const struct parser *ps) { return ps->p < ps->end && (unsigned)(*ps->p - '0') < 10; }

static enum cox_rc parse_digits(struct parser *ps)
{
	if (!is_digit(ps))
		return fail_at(ps, "a digit");
	while (is_digit(ps))
		ps->p++;
	return COX_OK;
}

static enum cox_rc parse_number(struct parser *ps, struct cox_json *out)
{
	const char *start = ps->p;
	if (*ps->p == '-')
		ps->p++;
	if (ps->p < ps->end && *ps->p == '0')
		ps->p++;
	else
		COX_TRY(parse_digits(ps));
	if (is_digit(ps))
		return fail(ps, COX_EINVAL, "JSON: a number must not start with 0");
	if (ps->p < ps->end && *ps->p == '.') {
		ps->p++;
		COX_TRY(parse_digits(ps));
	}
	if (ps->p < ps->end && (*ps->p == 'e' || *ps->p == 'E')) {
		ps->p++;
		if (ps->p < ps->end && (*ps->p == '+' || *ps->p == '-'))
			ps->p++;
		COX_TRY(parse_digits(ps));
	}
	out->type = COX_JSON_NUMBER;
	out->text = cox_str_make(start, (size_t)(ps->p - start));
	return COX_OK;
}

/* --- containers --- */

static enum cox_rc parse_value(struct parser *ps, struct cox_json *out);

static enum cox_rc fail_duplicate(struct parser *ps, struct cox_str key, int line)
{
	cox_err_set(ps->err, COX_EINVAL, NULL, "JSON: the key \"%.*s\" stands twice in one object", COX_FMT(cox_str_sub(key, 0, 100)));
	cox_err_in_member(ps->err, key);
	if (ps->err)
		ps->err->line = line;
	return COX_EINVAL;
}

static enum cox_rc check_sorted(struct parser *ps, const struct cox_json_member *m, size_t n)
{
	struct cox_str *keys = cox_calloc(n, sizeof(*keys));
	for (size_t i = 0; i < n; i++)
		keys[i] = m[i].key;
	qsort(keys, n, sizeof(*keys), cox_str_cmp_qsort);
	struct cox_str twice = { 0 };
	bool found = false;
	for (size_t i = 1; i < n && !found; i++)
		if ((found = cox_str_eq(keys[i], keys[i - 1])))
			twice = keys[i];
	cox_free(keys);
	if (!found)
		return COX_OK;
	int line = 0;
	for (size_t i = 0; i < n; i++)
		if (cox_str_eq(m[i].key, twice))
			line = m[i].value.line;
	return fail_duplicate(ps, twice, line);
}

static enum cox_rc check_duplicates(struct parser *ps, const struct cox_json_member *m, size_t n)
{
	/* Writers that sort their keys (the kube-apiserver) are proved free of duplicates by one comparison a key. */
	size_t rising = 1;
	while (rising < n && cox_str_cmp(m[rising - 1].key, m[rising].key) < 0)
		rising++;
	if (rising >= n)
		return COX_OK;
	if (n > PAIRWISE_MAX)
		return check_sorted(ps, m, n);
	for (size_t i = rising; i < n; i++)
		for (size_t j = 0; j < i; j++)
			if (cox_str_eq(m[i].key, m[j].key))
				return fail_duplicate(ps, m[i].key, m[i].value.line);
	return COX_OK;
}

static enum cox_rc parse_member(struct parser *ps)
{
	struct cox_json_member m = { 0 };
	if (ps->p == ps->end || *ps->p != '"')
		return fail_at(ps, "a key in quotes");
	COX_TRY(parse_string(ps, &m.key));
	skip_blanks(ps);
	if (ps->p == ps->end || *ps->p != ':')
		return fail_at(ps, "':'");
	ps->p++;
	enum cox_rc rc = parse_value(ps, &m.value);
	if (rc != COX_OK)
		cox_err_in_member(ps->err, m.key);
	else
		push(ps, &m);
	return rc;
}

static enum cox_rc parse_object(struct parser *ps, struct cox_json *out)
{
	size_t base = ps->n;
	ps->p++;
	skip_blanks(ps);
	bool empty = ps->p < ps->end && *ps->p == '}';
	while (!empty) {
		skip_blanks(ps);
		COX_TRY(parse_member(ps));
		skip_blanks(ps);
		if (ps->p < ps->end && *ps->p == '}')
			break;
		if (ps->p == ps->end || *ps->p != ',')
			return fail_at(ps, "',' or '}'");
		ps->p++;
	}
	ps->p++;
	size_t n = ps->n - base;
	COX_TRY(check_duplicates(ps, ps->stack + base, n));
	out->type = COX_JSON_OBJECT;
	out->n = n;
	if (n) {
		out->members = COX_ARENA_ARRAY(ps->arena, struct cox_json_member, n);
		memcpy(out->members, ps->stack + base, n * sizeof(*out->members));
	}
	ps->n = base;
	return COX_OK;
}

static enum cox_rc parse_array(struct parser *ps, struct cox_json *out)
{
	size_t base = ps->n;
	ps->p++;
	skip_blanks(ps);
	bool empty = ps->p < ps->end && *ps->p == ']';
	while (!empty) {
		struct cox_json_member m = { 0 };
		size_t at = ps->n - base; /* what fails leaves its own members behind */
		enum cox_rc rc = parse_value(ps, &m.value);
		if (rc != COX_OK) {
			cox_err_in_item(ps->err, at);
			return rc;
		}
		push(ps, &m);
		skip_blanks(ps);
		if (ps->p < ps->end && *ps->p == ']')
			break;
		if (ps->p == ps->end || *ps->p != ',')
			return fail_at(ps, "',' or ']'");
		ps->p++;
	}
	ps->p++;
	out->type = COX_JSON_ARRAY;
	out->n = ps->n - base;
	if (out->n) {
		out->items = COX_ARENA_ARRAY(ps->arena, struct cox_json, out->n);
		for (size_t i = 0; i < out->n; i++)
			out->items[i] = ps->stack[base + i].value;
	}
	ps->n = base;
	return COX_OK;
}

static enum cox_rc parse_word(struct parser *ps, const char *word)
{
	size_t n = strlen(word);
	if ((size_t)(ps->end - ps->p) < n || memcmp(ps->p, word, n) != 0)
		return fail_at(ps, "a value");
	ps->p += n;
	return COX_OK;
}

static enum cox_rc parse_value(struct parser *ps, struct cox_json *out)
{
	skip_blanks(ps);
	if (ps->p == ps->end)
		return fail_at(ps, "a value");
	out->line = ps->line;
	switch (*ps->p) {
	case '"': out->type = COX_JSON_STRING; return parse_string(ps, &out->text);
	case '{':
	case '[':
		if (++ps->depth > COX_JSON_DEPTH_MAX)
			return fail(ps, COX_ELIMIT, "JSON: nested too deeply");
		COX_TRY(*ps->p == '{' ? parse_object(ps, out) : parse_array(ps, out));
		ps->depth--;
		return COX_OK;
	case 't':
		out->type = COX_JSON_BOOL;
		out->boolean = true;
		return parse_word(ps, "true");
	case 'f': out->type = COX_JSON_BOOL; return parse_word(ps, "false");
	case 'n': return parse_word(ps, "null");
	case '-':
	case '0':
	case '1':
	case '2':
	case '3':
	case '4':
	case '5':
	case '6':
	case '7':
	case '8':
	case '9': return parse_number(ps, out);
	default: return fail_at(ps, "a value");
	}
}

static enum cox_rc parse(struct cox_arena *arena, struct cox_str text, size_t max_bytes, int first_line, struct cox_json **out,
                         size_t *used, struct cox_err *err)
{
	struct cox_json_member scratch[SCRATCH_MEMBERS];
	struct parser ps = { .arena = arena,
		             .p = text.p,
		             .end = text.p ? text.p + text.n : NULL,
		             .line = first_line,
		             .stack = scratch,
		             .cap = SCRATCH_MEMBERS,
		             .err = err };
	struct cox_json *root = COX_ARENA_NEW(arena, struct cox_json);
	enum cox_rc rc = text.n > max_bytes ? fail(&ps, COX_ELIMIT,
	                                           max_bytes == COX_JSON_BYTES_MAX ? "JSON: the document is larger than 16 MiB"
	                                                                           : "JSON: the document is larger than 512 MiB")
	                                    : parse_value(&ps, root);
	if (ps.on_heap)
		cox_free(ps.stack);
	*used = (size_t)(ps.p - text.p);
	if (rc == COX_OK)
		*out = root;
	return rc;
}

enum cox_rc cox_json_parse_prefix(struct cox_arena *arena, struct cox_str text, int first_line, struct cox_json **out, size_t *used,
                                  struct cox_err *err)
{
	return parse(arena, text, COX_JSON_BYTES_MAX, first_line, out, used, err);
}

static enum cox_rc parse_whole(struct cox_arena *arena, struct cox_str text, size_t max_bytes, struct cox_json **out, struct cox_err *err)
{
	struct cox_json *root = NULL;
	size_t used = 0;
	COX_TRY(parse(arena, text, max_bytes, 1, &root, &used, err));
	for (size_t i = used; i < text.n; i++) {
		if (strchr(" \t\r\n", text.p[i]) && text.p[i])
			continue;
		cox_err_set(err, COX_EINVAL, NULL, "JSON: text behind the value");
		if (err) {
			err->line = 1;
			for (size_t k = 0; k < i; k++)
				err->line += text.p[k] == '\n';
		}
		return COX_EINVAL;
	}
	*out = root;
	return COX_OK;
}

enum cox_rc cox_json_parse(struct cox_arena *arena, struct cox_str text, struct cox_json **out, struct cox_err *err)
{
	return parse_whole(arena, text, COX_JSON_BYTES_MAX, out, err);
}

enum cox_rc cox_json_parse_answer(struct cox_arena *arena, struct cox_str text, struct cox_json **out, struct cox_err *err)
{
	return parse_whole(arena, text, COX_JSON_ANSWER_BYTES_MAX, out, err);
}
