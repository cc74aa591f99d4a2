/* --set: a path and a value, laid over a tree. */
#include "install/operator.h"

#include "codec/yaml.h"

enum { STEPS_MAX = 32, INDEX_MAX = 1000 };

struct step {
	struct cox_str key;         /* of a map; empty: an item */
	struct cox_str where, want; /* [name:x]: the item whose `where` is `want` */
	int64_t index;
};
struct path {
	struct step steps[STEPS_MAX];
	size_t n;
	struct cox_str text; /* for messages */
};

static enum cox_rc bad(const struct path *p, const char *why, struct cox_err *err)
{
	char at[192];
	return cox_err_set(err, COX_EINVAL, cox_str_to_cstr(p->text, at, sizeof(at)), "%s", why);
}

static enum cox_rc add_step(struct path *p, const struct step *s, struct cox_err *err)
{
	if (p->n == STEPS_MAX)
		return bad(p, "the path is too long", err);
	p->steps[p->n++] = *s;
	return COX_OK;
}

/* "[2]", "[name:x]" */
static enum cox_rc item_step(struct path *p, struct cox_str inside, struct cox_err *err)
{
	struct step s = { .index = -1 };
	ptrdiff_t colon = cox_str_find(inside, ':');
	if (colon > 0) {
		s.where = cox_str_sub(inside, 0, (size_t)colon);
		s.want = cox_str_sub(inside, (size_t)colon + 1, SIZE_MAX);
	} else if (cox_str_to_i64(inside, &s.index) != COX_OK || s.index < 0 || s.index > INDEX_MAX) {
		return bad(p, "[ ] holds neither a number nor key:value", err);
	}
	return add_step(p, &s, err);
}

static enum cox_rc parse_path(struct cox_arena *a, struct path *p, struct cox_err *err)
{
	struct cox_buf key COX_AUTO(cox_buf_fini) = { 0 };
	bool behind_item = false;
	for (size_t i = 0; i <= p->text.n; i++) {
		char c = i < p->text.n ? p->text.p[i] : '.';
		if (c == '\\' && i + 1 < p->text.n) {
			cox_buf_append_char(&key, p->text.p[++i]);
		} else if (c == '.' || c == '[') {
			if (key.n)
				COX_TRY(add_step(p, &(struct step){ .key = cox_arena_str(a, cox_buf_str(&key)), .index = -1 }, err));
			else if (!behind_item)
				return bad(p, "a name is missing", err);
			cox_buf_clear(&key);
			behind_item = false;
			if (c != '[')
				continue;
			struct cox_str rest = cox_str_sub(p->text, i + 1, SIZE_MAX);
			ptrdiff_t end = cox_str_find(rest, ']');
			if (end < 0)
				return bad(p, "[ without ]", err);
			COX_TRY(item_step(p, cox_str_sub(rest, 0, (size_t)end), err));
			i += (size_t)end + 1;
			behind_item = true;
		} else {
			cox_buf_append_char(&key, c);
		}
	}
	return COX_OK;
}

static const struct cox_json *as_str(struct cox_arena *a, struct cox_str s) { return cox_json_new_str(a, cox_arena_str(a, s)); }

static bool is_quoted(struct cox_str v) { return v.n >= 2 && (v.p[0] == '"' || v.p[0] == '\'') && v.p[v.n - 1] == v.p[0]; }

/* A scalar as YAML types it, "{a,b}" and "[...]" as lists; anything that is no YAML, or a map by accident ("a: b"), is text. */
static const struct cox_json *parse_value(struct cox_arena *a, struct cox_str v)
{
	struct cox_json *tree = NULL;
	static const struct cox_json null = { .type = COX_JSON_NULL };
	if (v.n == 0)
		return as_str(a, v);
	if (cox_str_eq_cstr(v, "null"))
		return &null;
	if (v.p[0] == '{' && v.p[v.n - 1] == '}' && cox_str_find(v, ':') < 0) {
		struct cox_json *list = cox_json_new_array(a);
		struct cox_str rest = cox_str_sub(v, 1, v.n - 2), item;
		while (v.n > 2 && cox_str_next(&rest, ',', &item))
			cox_json_push(a, list, parse_value(a, cox_str_trim(item)));
		return list;
	}
	bool is_flow = v.p[0] == '{' || v.p[0] == '[' || is_quoted(v);
	if (cox_yaml_one(a, cox_arena_str(a, v), COX_JSON_BYTES_MAX, &tree, NULL, NULL) != COX_OK || !tree)
		return as_str(a, v);
	if (!is_flow && (tree->type == COX_JSON_OBJECT || tree->type == COX_JSON_ARRAY))
		return as_str(a, v);
	/* "1_000", "0x10": kept as they were written. */
	return tree->type == COX_JSON_NUMBER && !cox_str_eq(tree->text, v) ? as_str(a, v) : tree;
}

static enum cox_rc lay(struct cox_arena *a, const struct path *p, size_t at, const struct cox_json *tree, const struct cox_json *value,
                       const struct cox_json **out, struct cox_err *err);

static enum cox_rc lay_member(struct cox_arena *a, const struct path *p, size_t at, const struct cox_json *tree,
                              const struct cox_json *value, const struct cox_json **out, struct cox_err *err)
{
	const struct step *s = &p->steps[at];
	const struct cox_json *inner = NULL;
	struct cox_json *copy = cox_json_new_object(a);
	if (tree && tree->type != COX_JSON_OBJECT && tree->type != COX_JSON_NULL)
		return bad(p, "is a member of something that is no map", err);
	COX_TRY(lay(a, p, at + 1, cox_json_get(tree, s->key), value, &inner, err));
	for (size_t i = 0; tree && tree->type == COX_JSON_OBJECT && i < tree->n; i++)
		cox_json_set(a, copy, tree->members[i].key, &tree->members[i].value);
	cox_json_set(a, copy, s->key, inner);
	*out = copy;
	return COX_OK;
}

static enum cox_rc lay_item(struct cox_arena *a, const struct path *p, size_t at, const struct cox_json *tree, const struct cox_json *value,
                            const struct cox_json **out, struct cox_err *err)
{
	const struct step *s = &p->steps[at];
	const struct cox_json *inner = NULL, *old = NULL;
	struct cox_json *copy = cox_json_new_array(a);
	static const struct cox_json nothing = { .type = COX_JSON_NULL };
	size_t n = tree && tree->type == COX_JSON_ARRAY ? tree->n : 0, index = (size_t)s->index;
	if (tree && tree->type != COX_JSON_ARRAY && tree->type != COX_JSON_NULL)
		return bad(p, "is an item of something that is no list", err);
	if (s->where.n) {
		for (index = 0; index < n; index++) {
			const struct cox_json *v = cox_json_get(&tree->items[index], s->where);
			if (v && v->type == COX_JSON_STRING && cox_str_eq(v->text, s->want))
				break;
		}
		if (index == n) {
			struct cox_json *made = cox_json_new_object(a);
			cox_json_set(a, made, s->where, as_str(a, s->want));
			old = made;
		}
	}
	if (index < n)
		old = &tree->items[index];
	COX_TRY(lay(a, p, at + 1, old, value, &inner, err));
	for (size_t i = 0; i < n || i <= index; i++)
		cox_json_push(a, copy, i == index ? inner : i < n ? &tree->items[i] : &nothing);
	*out = copy;
	return COX_OK;
}

static enum cox_rc lay(struct cox_arena *a, const struct path *p, size_t at, const struct cox_json *tree, const struct cox_json *value,
                       const struct cox_json **out, struct cox_err *err)
{
	if (at == p->n) {
		*out = value;
		return COX_OK;
	}
	return (p->steps[at].key.n ? lay_member : lay_item)(a, p, at, tree, value, out, err);
}

enum cox_rc cox_values_set(struct cox_arena *arena, const struct cox_json *tree, const char *assignment, const struct cox_json **out,
                           struct cox_err *err)
{
	struct cox_str all = cox_str_of(assignment);
	ptrdiff_t eq = cox_str_find(all, '=');
	struct path p = { .text = cox_arena_str(arena, cox_str_sub(all, 0, eq < 0 ? SIZE_MAX : (size_t)eq)) };
	if (eq <= 0)
		return bad(&p, "--set needs path=value", err);
	COX_TRY(parse_path(arena, &p, err));
	return lay(arena, &p, 0, tree, parse_value(arena, cox_str_sub(all, (size_t)eq + 1, SIZE_MAX)), out, err);
}
