/* Documents are split here, and each is read by libyaml on its own, so that a bad one does not hide those behind it. */
#include "codec/yaml.h"

#include "base/map.h"
#include "base/vec.h"

#include <stdio.h>
#include <stdlib.h>
#include <yaml.h>

struct anchor {
	struct cox_str name;
	struct cox_json value;
	size_t nodes;    /* in the expanded tree below and including it */
	unsigned height; /* containers on its longest path */
	bool is_open;    /* the node is still being read: an alias would be endless */
};

struct reader {
	struct cox_arena *arena;
	yaml_parser_t parser;
	int first_line;
	unsigned depth;
	size_t alias_nodes;
	struct cox_map anchors; /* name to struct anchor */
	struct cox_err *err;
};

/* What is known of a node besides its value. */
struct node {
	struct cox_json value;
	size_t nodes;
	unsigned height;
	bool is_merge; /* a plain "<<" */
};

static enum cox_rc fail(struct reader *r, enum cox_rc rc, size_t line, const char *text)
{
	cox_err_set(r->err, rc, NULL, "YAML: %s", text);
	if (r->err)
		r->err->line = r->first_line + (int)line;
	return rc;
}

static enum cox_rc next_event(struct reader *r, yaml_event_t *e)
{
	if (yaml_parser_parse(&r->parser, e))
		return COX_OK;
	char text[300];
	const char *problem = r->parser.problem ? r->parser.problem : "cannot be read";
	if (r->parser.context)
		snprintf(text, sizeof(text), "%s, %s", problem, r->parser.context);
	else
		snprintf(text, sizeof(text), "%s", problem);
	size_t line = r->parser.problem_mark.line;
	if (r->parser.error == YAML_READER_ERROR)
		line = r->parser.mark.line;
	return fail(r, COX_EINVAL, line, text);
}

/* --- scalars --- */

static bool is_one_of(struct cox_str s, const char *const *words)
{
	for (; *words; words++)
		if (cox_str_eq_cstr(s, *words))
			return true;
	return false;
}

/* Digits of base 16, 8 or 2 behind "0x", "0o" (or "0"), "0b". */
static bool based_integer(struct cox_str s, uint64_t *out)
{
	unsigned base = 0;
	if (s.n > 2 && s.p[0] == '0' && (s.p[1] == 'x' || s.p[1] == 'o' || s.p[1] == 'b')) {
		base = s.p[1] == 'x' ? 16 : s.p[1] == 'o' ? 8 : 2;
		s = cox_str_sub(s, 2, s.n);
	} else if (s.n > 1 && s.p[0] == '0') {
		base = 8;
	} else {
		return false;
	}
	*out = 0;
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];
		unsigned d = c >= '0' && c <= '9'   ? (unsigned)(c - '0')
		             : c >= 'a' && c <= 'f' ? (unsigned)(c - 'a') + 10
		             : c >= 'A' && c <= 'F' ? (unsigned)(c - 'A') + 10
		                                    : 99;
		if (d >= base || __builtin_mul_overflow(*out, (uint64_t)base, out) || __builtin_add_overflow(*out, (uint64_t)d, out))
			return false;
	}
	return s.n > 0;
}

/* [-+]? (digits [. digits*] | . digits) [exponent], without the sign */
static bool is_float(struct cox_str s)
{
	size_t i = 0, digits = 0;
	for (; i < s.n && s.p[i] >= '0' && s.p[i] <= '9'; i++)
		digits++;
	if (i < s.n && s.p[i] == '.')
		for (i++; i < s.n && s.p[i] >= '0' && s.p[i] <= '9'; i++)
			digits++;
	if (!digits)
		return false;
	if (i == s.n)
		return true;
	if (s.p[i] != 'e' && s.p[i] != 'E')
		return false;
	i++;
	if (i < s.n && (s.p[i] == '-' || s.p[i] == '+'))
		i++;
	size_t exponent = i;
	while (i < s.n && s.p[i] >= '0' && s.p[i] <= '9')
		i++;
	return i == s.n && i > exponent;
}

/* JSON's form of a float: a digit on both sides of the dot. */
static struct cox_str float_text(struct cox_arena *arena, struct cox_str s, bool negative)
{
	while (s.n > 1 && s.p[0] == '0' && s.p[1] >= '0' && s.p[1] <= '9')
		s = cox_str_sub(s, 1, s.n);
	struct cox_buf b COX_AUTO(cox_buf_fini) = { 0 };
	if (negative)
		cox_buf_append_char(&b, '-');
	for (size_t i = 0; i < s.n; i++) {
		bool dot = s.p[i] == '.';
		if (dot && i == 0)
			cox_buf_append_char(&b, '0');
		cox_buf_append_char(&b, s.p[i]);
		if (dot && (i + 1 == s.n || s.p[i + 1] < '0' || s.p[i + 1] > '9'))
			cox_buf_append_char(&b, '0');
	}
	return cox_arena_str(arena, cox_buf_str(&b));
}

static struct cox_str without_underscores(struct cox_arena *arena, struct cox_str s)
{
	if (cox_str_find(s, '_') < 0)
		return s;
	char *p = cox_arena_alloc(arena, s.n + 1);
	size_t n = 0;
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] != '_')
			p[n++] = s.p[i];
	return cox_str_make(p, n);
}

static bool resolve_number(struct cox_arena *arena, struct cox_str s, struct cox_json *out)
{
	bool negative = s.p[0] == '-';
	struct cox_str t = negative || s.p[0] == '+' ? cox_str_sub(s, 1, s.n) : s;
	if (!t.n || ((t.p[0] < '0' || t.p[0] > '9') && t.p[0] != '.'))
		return false;
	t = without_underscores(arena, t);
	uint64_t i;
	if (based_integer(t, &i)) {
		out->text = cox_arena_printf(arena, "%s%llu", negative && i ? "-" : "", (unsigned long long)i);
	} else if (is_float(t)) {
		out->text = float_text(arena, t, negative);
	} else {
		return false;
	}
	out->type = COX_JSON_NUMBER;
	return true;
}

/* A plain scalar as sigs.k8s.io/yaml takes it, but for "yes", "no", "on", "off", which are text. */
static void resolve_plain(struct cox_arena *arena, struct cox_str s, struct cox_json *out)
{
	static const char *const nulls[] = { "", "~", "null", "Null", "NULL", NULL };
	static const char *const trues[] = { "true", "True", "TRUE", NULL };
	static const char *const falses[] = { "false", "False", "FALSE", NULL };
	out->text = s;
	if (is_one_of(s, nulls)) {
		out->type = COX_JSON_NULL;
		out->text = (struct cox_str){ 0 };
	} else if (is_one_of(s, trues) || is_one_of(s, falses)) {
		out->type = COX_JSON_BOOL;
		out->boolean = s.p[0] == 't' || s.p[0] == 'T';
		out->text = (struct cox_str){ 0 };
	} else if (!resolve_number(arena, s, out)) {
		out->type = COX_JSON_STRING;
	}
}

static enum cox_rc read_scalar(struct reader *r, const yaml_event_t *e, struct node *out)
{
	struct cox_str s = cox_arena_str(r->arena, cox_str_make(e->data.scalar.value, e->data.scalar.length));
	const char *tag = (const char *)e->data.scalar.tag;
	bool plain = e->data.scalar.style == YAML_PLAIN_SCALAR_STYLE && !(tag && strcmp(tag, YAML_STR_TAG) == 0);
	out->value.type = COX_JSON_STRING;
	out->value.text = s;
	out->nodes = 1;
	out->is_merge = plain && cox_str_eq(s, COX_STR("<<"));
	if (plain)
		resolve_plain(r->arena, s, &out->value);
	return COX_OK;
}

/* --- nodes --- */

static enum cox_rc read_node(struct reader *r, yaml_event_t *e, struct node *out);

static struct anchor *open_anchor(struct reader *r, const yaml_char_t *name)
{
	if (!name)
		return NULL;
	struct anchor *a = COX_ARENA_NEW(r->arena, struct anchor);
	a->name = cox_arena_str(r->arena, cox_str_of((const char *)name));
	a->is_open = true;
	cox_map_set(&r->anchors, a->name, a);
	return a;
}

static void close_anchor(struct anchor *a, const struct node *n)
{
	if (!a)
		return;
	a->value = n->value;
	a->nodes = n->nodes;
	a->height = n->height;
	a->is_open = false;
}

/* The expanded tree shares the anchor's nodes; the limit counts them as if it did not, as every walk over the tree will. */
static enum cox_rc read_alias(struct reader *r, const yaml_event_t *e, struct node *out)
{
	const struct anchor *a = cox_map_find(&r->anchors, cox_str_of((const char *)e->data.alias.anchor));
	size_t line = e->start_mark.line;
	if (!a)
		return fail(r, COX_EINVAL, line, "an alias of an anchor that does not exist");
	if (a->is_open)
		return fail(r, COX_EINVAL, line, "an alias within its own anchor");
	r->alias_nodes += a->nodes;
	if (r->alias_nodes > COX_YAML_ALIAS_NODES_MAX)
		return fail(r, COX_ELIMIT, line, "the aliases expand to too many nodes");
	if (r->depth + a->height > COX_JSON_DEPTH_MAX)
		return fail(r, COX_ELIMIT, line, "nested too deeply");
	out->value = a->value;
	out->nodes = a->nodes;
	out->height = a->height;
	return COX_OK;
}

static enum cox_rc read_sequence(struct reader *r, struct node *out)
{
	COX_VEC(struct cox_json) items = { 0 };
	enum cox_rc rc = COX_OK;
	out->nodes = out->height = 1;
	for (;;) {
		yaml_event_t e;
		if ((rc = next_event(r, &e)) != COX_OK)
			break;
		if (e.type == YAML_SEQUENCE_END_EVENT) {
			yaml_event_delete(&e);
			break;
		}
		struct node n = { 0 };
		rc = read_node(r, &e, &n);
		yaml_event_delete(&e);
		if (rc != COX_OK) {
			cox_err_in_item(r->err, items.n);
			break;
		}
		cox_vec_push(&items, n.value);
		out->nodes += n.nodes;
		if (n.height + 1 > out->height)
			out->height = n.height + 1;
	}
	if (rc == COX_OK) {
		out->value.type = COX_JSON_ARRAY;
		out->value.n = items.n;
		out->value.items = COX_ARENA_ARRAY(r->arena, struct cox_json, items.n);
		if (items.n)
			memcpy(out->value.items, items.p, items.n * sizeof(*items.p));
	}
	cox_vec_fini(&items);
	return rc;
}

struct members {
	COX_VEC(struct cox_json_member) own;
	COX_VEC(struct cox_json) merged; /* what stands behind "<<" */
};

static enum cox_rc add_merge(struct reader *r, struct members *m, const struct node *n, size_t line)
{
	bool ok = n->value.type == COX_JSON_OBJECT || n->value.type == COX_JSON_ARRAY;
	for (size_t i = 0; ok && n->value.type == COX_JSON_ARRAY && i < n->value.n; i++)
		ok = n->value.items[i].type == COX_JSON_OBJECT;
	if (!ok)
		return fail(r, COX_EINVAL, line, "'<<' merges a map or a list of maps");
	if (n->value.type == COX_JSON_OBJECT)
		cox_vec_push(&m->merged, n->value);
	for (size_t i = 0; n->value.type == COX_JSON_ARRAY && i < n->value.n; i++)
		cox_vec_push(&m->merged, n->value.items[i]);
	return COX_OK;
}

static enum cox_rc read_member(struct reader *r, yaml_event_t *key_event, struct members *m, struct node *out)
{
	struct node key = { 0 }, value = { 0 };
	size_t line = key_event->start_mark.line;
	COX_TRY(read_node(r, key_event, &key));
	if (key.value.type == COX_JSON_ARRAY || key.value.type == COX_JSON_OBJECT || key.value.type == COX_JSON_NULL)
		return fail(r, COX_EINVAL, line, "a key must be text");
	if (key.value.type == COX_JSON_BOOL)
		key.value.text = key.value.boolean ? COX_STR("true") : COX_STR("false");
	yaml_event_t e;
	COX_TRY(next_event(r, &e));
	enum cox_rc rc = read_node(r, &e, &value);
	yaml_event_delete(&e);
	if (rc != COX_OK) {
		cox_err_in_member(r->err, key.value.text);
		return rc;
	}
	out->nodes += value.nodes;
	if (value.height + 1 > out->height)
		out->height = value.height + 1;
	if (key.is_merge)
		return add_merge(r, m, &value, line);
	struct cox_json_member *add = cox_vec_add(&m->own);
	add->key = key.value.text;
	add->value = value.value;
	return COX_OK;
}

/* Own keys win over merged ones, earlier merged ones over later. */
static enum cox_rc finish_mapping(struct reader *r, struct members *m, struct cox_json *out)
{
	struct cox_map keys = { 0 };
	enum cox_rc rc = COX_OK;
	for (size_t i = 0; i < m->own.n && rc == COX_OK; i++)
		if (cox_map_set(&keys, m->own.p[i].key, &keys)) {
			cox_err_set(r->err, COX_EINVAL, NULL, "YAML: the key \"%.*s\" stands twice in one map",
			            COX_FMT(cox_str_sub(m->own.p[i].key, 0, 100)));
			cox_err_in_member(r->err, m->own.p[i].key);
			if (r->err)
				r->err->line = m->own.p[i].value.line;
			rc = COX_EINVAL;
		}
	for (size_t i = 0; i < m->merged.n && rc == COX_OK; i++)
		for (size_t k = 0; k < m->merged.p[i].n; k++)
			if (!cox_map_set(&keys, m->merged.p[i].members[k].key, &keys))
				cox_vec_push(&m->own, m->merged.p[i].members[k]);
	cox_map_fini(&keys);
	COX_TRY(rc);
	out->type = COX_JSON_OBJECT;
	out->n = m->own.n;
	out->members = COX_ARENA_ARRAY(r->arena, struct cox_json_member, m->own.n);
	if (m->own.n)
		memcpy(out->members, m->own.p, m->own.n * sizeof(*out->members));
	return COX_OK;
}

static enum cox_rc read_mapping(struct reader *r, struct node *out)
{
	struct members m = { 0 };
	enum cox_rc rc = COX_OK;
	out->nodes = out->height = 1;
	for (;;) {
		yaml_event_t e;
		if ((rc = next_event(r, &e)) != COX_OK)
			break;
		if (e.type == YAML_MAPPING_END_EVENT) {
			yaml_event_delete(&e);
			rc = finish_mapping(r, &m, &out->value);
			break;
		}
		rc = read_member(r, &e, &m, out);
		yaml_event_delete(&e);
		if (rc != COX_OK)
			break;
	}
	cox_vec_fini(&m.own);
	cox_vec_fini(&m.merged);
	return rc;
}

static enum cox_rc read_node(struct reader *r, yaml_event_t *e, struct node *out)
{
	struct anchor *a = NULL;
	enum cox_rc rc;
	out->value.line = r->first_line + (int)e->start_mark.line;
	switch (e->type) {
	case YAML_ALIAS_EVENT: return read_alias(r, e, out);
	case YAML_SCALAR_EVENT:
		a = open_anchor(r, e->data.scalar.anchor);
		rc = read_scalar(r, e, out);
		break;
	case YAML_SEQUENCE_START_EVENT:
	case YAML_MAPPING_START_EVENT:
		if (++r->depth > COX_JSON_DEPTH_MAX)
			return fail(r, COX_ELIMIT, e->start_mark.line, "nested too deeply");
		if (e->type == YAML_SEQUENCE_START_EVENT) {
			a = open_anchor(r, e->data.sequence_start.anchor);
			rc = read_sequence(r, out);
		} else {
			a = open_anchor(r, e->data.mapping_start.anchor);
			rc = read_mapping(r, out);
		}
		r->depth--;
		break;
	default: return fail(r, COX_EINVAL, e->start_mark.line, "a value is missing");
	}
	if (rc == COX_OK)
		close_anchor(a, out);
	return rc;
}

/* --- documents --- */

/* One document; *out stays NULL for an empty one. */
static enum cox_rc read_document(struct reader *r, struct cox_json **out)
{
	for (;;) {
		yaml_event_t e;
		COX_TRY(next_event(r, &e));
		enum yaml_event_type_e type = e.type;
		struct node n = { 0 };
		enum cox_rc rc = COX_OK;
		bool is_node = type == YAML_SCALAR_EVENT || type == YAML_SEQUENCE_START_EVENT || type == YAML_MAPPING_START_EVENT ||
		               type == YAML_ALIAS_EVENT;
		if (is_node && *out)
			rc = fail(r, COX_EINVAL, e.start_mark.line, "text behind the document");
		else if (is_node)
			rc = read_node(r, &e, &n);
		yaml_event_delete(&e);
		COX_TRY(rc);
		if (is_node && n.value.type != COX_JSON_NULL) {
			*out = COX_ARENA_NEW(r->arena, struct cox_json);
			**out = n.value;
		}
		if (type == YAML_STREAM_END_EVENT)
			return COX_OK;
	}
}

static enum cox_rc parse_yaml(struct cox_arena *arena, struct cox_str text, int first_line, struct cox_json **out, struct cox_err *err)
{
	struct reader r = { .arena = arena, .first_line = first_line, .err = err };
	if (text.n > COX_JSON_BYTES_MAX)
		return fail(&r, COX_ELIMIT, 0, "the document is larger than 16 MiB");
	if (!yaml_parser_initialize(&r.parser))
		return fail(&r, COX_EINTERNAL, 0, "no memory");
	yaml_parser_set_encoding(&r.parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&r.parser, (const unsigned char *)text.p, text.n);
	struct cox_json *root = NULL;
	enum cox_rc rc = read_document(&r, &root);
	yaml_parser_delete(&r.parser);
	cox_map_fini(&r.anchors);
	if (rc == COX_OK)
		*out = root;
	return rc;
}

struct splitter {
	struct cox_arena *arena;
	cox_yaml_doc_fn *fn;
	void *arg;
};

static int count_lines(struct cox_str s)
{
	int n = 0;
	for (const char *p = s.p, *end = p + s.n; p < end && (p = memchr(p, '\n', (size_t)(end - p))); p++)
		n++;
	return n;
}

/* Only blanks and comments: nothing to report. */
static bool is_blank(struct cox_str s)
{
	struct cox_str line;
	while (cox_str_next(&s, '\n', &line)) {
		line = cox_str_trim(line);
		if (line.n && line.p[0] != '#' && !cox_str_eq(line, COX_STR("---")))
			return false;
	}
	return true;
}

/* Behind a JSON value that cannot be parsed: the next line that starts one. */
static size_t resync(struct cox_str s, size_t from)
{
	for (size_t i = from; i + 1 < s.n; i++)
		if (s.p[i] == '\n' && s.p[i + 1] == '{')
			return i + 1;
	return s.n;
}

static size_t skip_blanks(struct cox_str s)
{
	size_t i = 0;
	while (i < s.n && (s.p[i] == ' ' || s.p[i] == '\t' || s.p[i] == '\r' || s.p[i] == '\n'))
		i++;
	return i;
}

/* JSON values in a row. */
static void each_json(struct splitter *sp, struct cox_str text, int line)
{
	for (;;) {
		size_t blanks = skip_blanks(text);
		line += count_lines(cox_str_sub(text, 0, blanks));
		text = cox_str_sub(text, blanks, text.n);
		if (!text.n)
			return;
		struct cox_json *root = NULL;
		struct cox_err err = { 0 };
		size_t used = 0;
		enum cox_rc rc;
		/* The limit is for one value; a long row of small ones is fine. */
		struct cox_str window = cox_str_sub(text, 0, COX_JSON_BYTES_MAX);
		rc = cox_json_parse_prefix(sp->arena, window, line, &root, &used, &err);
		if (rc != COX_OK && window.n < text.n && used == window.n)
			err.rc = cox_err_set(&err, COX_ELIMIT, NULL, "JSON: the document is larger than 16 MiB");
		if (rc != COX_OK)
			used = resync(text, cox_max_size(used, 1) - 1);
		/* null is an empty document, as in YAML. */
		if (rc != COX_OK || root->type != COX_JSON_NULL)
			sp->fn(sp->arg, rc == COX_OK ? root : NULL, cox_str_sub(text, 0, used), rc == COX_OK ? NULL : &err);
		line += count_lines(cox_str_sub(text, 0, used));
		text = cox_str_sub(text, used, text.n);
	}
}

/* What stands between two document markers. */
static void each_chunk(struct splitter *sp, struct cox_str text, int line)
{
	if (is_blank(text))
		return;
	size_t skip = cox_str_has_prefix(text, COX_STR("---")) ? 3 : 0;
	skip += skip_blanks(cox_str_sub(text, skip, text.n));
	struct cox_json *root = NULL;
	struct cox_err err = { 0 };
	bool braced = skip < text.n && text.p[skip] == '{';
	/* A YAML flow map starts like JSON too, so what is no JSON gets a second chance. */
	if (braced) {
		struct cox_json *first = NULL;
		size_t used = 0;
		struct cox_str body = cox_str_sub(text, skip, text.n);
		bool json = cox_json_parse_prefix(sp->arena, cox_str_sub(body, 0, COX_JSON_BYTES_MAX), 1, &first, &used, NULL) == COX_OK;
		if (json || parse_yaml(sp->arena, text, line, &root, &err) != COX_OK) {
			each_json(sp, body, line + count_lines(cox_str_sub(text, 0, skip)));
			return;
		}
		sp->fn(sp->arg, root, text, NULL);
		return;
	}
	enum cox_rc rc = parse_yaml(sp->arena, text, line, &root, &err);
	if (rc != COX_OK)
		sp->fn(sp->arg, NULL, text, &err);
	else if (root)
		sp->fn(sp->arg, root, text, NULL);
}

/* "---" or "..." alone or followed by a blank, at the start of a line: a marker even within a block scalar. */
static bool is_marker(const char *p, const char *end, const char *marker)
{
	return end - p >= 3 && memcmp(p, marker, 3) == 0 && (end - p == 3 || strchr(" \t\r\n", p[3]));
}

/* Directives ("%YAML 1.1") stand before the marker of their document. */
static bool is_directives(struct cox_str s)
{
	struct cox_str line;
	bool any = false;
	while (cox_str_next(&s, '\n', &line)) {
		line = cox_str_trim(line);
		if (line.n && line.p[0] != '#' && line.p[0] != '%')
			return false;
		any = any || (line.n && line.p[0] == '%');
	}
	return any;
}

enum cox_rc cox_yaml_each(struct cox_arena *arena, struct cox_str text, size_t max_bytes, cox_yaml_doc_fn *fn, void *arg,
                          struct cox_err *err)
{
	if (text.n > max_bytes)
		return cox_err_set(err, COX_ELIMIT, NULL, "%zu bytes of YAML; at most %zu are taken", text.n, max_bytes);
	if (cox_str_has_prefix(text, COX_STR("\xef\xbb\xbf")))
		text = cox_str_sub(text, 3, text.n);
	struct splitter sp = { arena, fn, arg };
	const char *end = text.p + text.n, *start = text.p;
	int start_line = 1, line = 1;
	for (const char *p = text.p; p < end; line++) {
		const char *newline = memchr(p, '\n', (size_t)(end - p)), *next = newline ? newline + 1 : end;
		struct cox_str before = cox_str_make(start, (size_t)(p - start));
		if (is_marker(p, end, "---") && p > start && !is_directives(before)) {
			each_chunk(&sp, before, start_line);
			start = p;
			start_line = line;
		} else if (is_marker(p, end, "...")) {
			each_chunk(&sp, before, start_line);
			start = next;
			start_line = line + 1;
		}
		p = next;
	}
	if (start < end)
		each_chunk(&sp, cox_str_make(start, (size_t)(end - start)), start_line);
	return COX_OK;
}

struct one {
	struct cox_json *root;
	struct cox_err err;
	int count, second_line;
};

static void on_one(void *arg, struct cox_json *root, struct cox_str text, const struct cox_err *err)
{
	struct one *o = arg;
	int at = o->count++;
	(void)text;
	COX_ASSERT(root || err);
	if (at == 1)
		o->second_line = root ? root->line : err->line;
	if (at > 0)
		return;
	o->root = root;
	if (!root) {
		o->err = *err;
		o->err.rc = err->rc != COX_OK ? err->rc : COX_EINVAL;
	}
}

enum cox_rc cox_yaml_one(struct cox_arena *arena, struct cox_str text, size_t max_bytes, struct cox_json **out, int *second_line,
                         struct cox_err *err)
{
	struct one o = { 0 };
	COX_TRY(cox_yaml_each(arena, text, max_bytes, on_one, &o, err));
	if (o.err.rc == COX_OK && o.count > 1 && !second_line) {
		cox_err_set(&o.err, COX_EINVAL, NULL, "there is more than one document");
		o.err.line = o.second_line;
	}
	if (o.err.rc != COX_OK) {
		if (err)
			*err = o.err;
		return o.err.rc;
	}
	if (second_line)
		*second_line = o.second_line;
	*out = o.root;
	return COX_OK;
}
