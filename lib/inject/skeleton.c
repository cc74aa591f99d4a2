/* A template's tree with its variables in place. */
#include "inject/inject_priv.h"

#include "codec/yaml.h"
#include "inject/template_text.h"

#include <pthread.h>

/* --- the native templates, parsed once ------------------------------------------------------------------- */

enum { TEMPLATES_MAX = 8 };
static struct {
	struct cox_arena arena;
	struct cox_json *trees[TEMPLATES_MAX];
} native;
static pthread_once_t native_once = PTHREAD_ONCE_INIT;

static void parse_native(void)
{
	for (size_t i = 0; inject_template_texts[i].name; i++) {
		struct cox_err err = { 0 };
		COX_ASSERT(i < TEMPLATES_MAX);
		enum cox_rc rc = cox_yaml_one(&native.arena, cox_str_of(inject_template_texts[i].yaml), COX_JSON_BYTES_MAX,
		                              &native.trees[i], NULL, &err);
		/* Part of the program: the unit tests run each. */
		COX_ASSERT(rc == COX_OK && native.trees[i]);
	}
}

const struct cox_json *inject_template_find(struct cox_str name)
{
	pthread_once(&native_once, parse_native);
	for (size_t i = 0; inject_template_texts[i].name; i++)
		if (cox_str_eq_cstr(name, inject_template_texts[i].name))
			return native.trees[i];
	return NULL;
}

/* --- expansion ---------------------------------------------------------------------------------------------- */

static const struct cox_json *var_of(const struct inject_job *j, struct cox_str name) { return cox_json_get(j->vars, name); }

static bool is_true(const struct cox_json *v)
{
	return v && v->type != COX_JSON_NULL && !(v->type == COX_JSON_BOOL && !v->boolean) &&
	       !(v->type == COX_JSON_STRING && v->text.n == 0);
}

/* "@{name}" and nothing else. */
static bool is_whole(struct cox_str text, struct cox_str *name)
{
	if (!cox_str_has_prefix(text, COX_STR("@{")) || cox_str_find(text, '}') != (ptrdiff_t)text.n - 1)
		return false;
	*name = cox_str_sub(text, 2, text.n - 3);
	return true;
}

static struct cox_str fill_text(const struct inject_job *j, struct cox_str text)
{
	if (cox_str_search(text, COX_STR("@{")) < 0)
		return text;
	struct cox_buf buf = { 0 };
	ptrdiff_t at, end;
	while ((at = cox_str_search(text, COX_STR("@{"))) >= 0) {
		cox_buf_append(&buf, text.p, (size_t)at);
		text = cox_str_sub(text, (size_t)at + 2, text.n);
		end = cox_str_find(text, '}');
		COX_ASSERT(end >= 0);
		cox_buf_append_str(&buf, inject_json_text(j->arena, var_of(j, cox_str_sub(text, 0, (size_t)end))));
		text = cox_str_sub(text, (size_t)end + 1, text.n);
	}
	cox_buf_append_str(&buf, text);
	struct cox_str out = cox_arena_str(j->arena, cox_buf_str(&buf));
	cox_buf_fini(&buf);
	return out;
}

static bool expand(struct inject_job *j, const struct cox_json *root, const struct cox_json *from, struct cox_json *to);

static bool expand_object(struct inject_job *j, const struct cox_json *root, const struct cox_json *from, struct cox_json *to)
{
	const struct cox_json *when = cox_json_get(from, COX_STR("@when")), *unless = cox_json_get(from, COX_STR("@unless")),
	                      *as = cox_json_get(from, COX_STR("@as"));
	if ((when && !is_true(var_of(j, when->text))) || (unless && is_true(var_of(j, unless->text))))
		return false;
	if (as) {
		const struct cox_json *part = cox_json_get(root, cox_arena_printf(j->arena, "@%.*s", COX_FMT(as->text)));
		COX_ASSERT(part);
		return expand(j, root, part, to);
	}
	*to = (struct cox_json){ .type = COX_JSON_OBJECT };
	for (size_t i = 0; i < from->n; i++) {
		struct cox_json value;
		if (from->members[i].key.n && from->members[i].key.p[0] == '@')
			continue;
		if (expand(j, root, &from->members[i].value, &value))
			cox_json_set(j->arena, to, from->members[i].key, &value);
	}
	/* An object of which nothing is left says nothing; one that is written empty ({}) does. */
	return to->n > 0 || from->n == 0;
}

static bool expand(struct inject_job *j, const struct cox_json *root, const struct cox_json *from, struct cox_json *to)
{
	struct cox_str name;
	if (from->type == COX_JSON_OBJECT)
		return expand_object(j, root, from, to);
	if (from->type == COX_JSON_STRING) {
		if (is_whole(from->text, &name)) {
			const struct cox_json *v = var_of(j, name.n && name.p[0] == '*' ? cox_str_sub(name, 1, name.n) : name);
			if (!v || v->type == COX_JSON_NULL)
				return false;
			*to = *cox_json_clone(j->arena, v);
			return true;
		}
		*to = (struct cox_json){ .type = COX_JSON_STRING, .text = fill_text(j, from->text) };
		return true;
	}
	if (from->type != COX_JSON_ARRAY) {
		*to = *from;
		return true;
	}
	*to = (struct cox_json){ .type = COX_JSON_ARRAY };
	for (size_t i = 0; i < from->n; i++) {
		struct cox_json item;
		if (!expand(j, root, &from->items[i], &item))
			continue;
		if (from->items[i].type == COX_JSON_STRING && is_whole(from->items[i].text, &name) && name.p[0] == '*') {
			for (size_t k = 0; k < item.n; k++)
				cox_json_push(j->arena, to, &item.items[k]);
		} else {
			cox_json_push(j->arena, to, &item);
		}
	}
	return to->n > 0;
}

struct cox_json *inject_skeleton_expand(struct inject_job *j, const struct cox_json *skeleton)
{
	struct cox_json *out = cox_json_new_object(j->arena);
	expand_object(j, skeleton, skeleton, out);
	return out;
}

bool cox_inject_native_template(size_t i, struct cox_str *name, struct cox_str *yaml)
{
	if (!inject_template_texts[i].name)
		return false;
	*name = cox_str_of(inject_template_texts[i].name);
	*yaml = cox_str_of(inject_template_texts[i].yaml);
	return true;
}
