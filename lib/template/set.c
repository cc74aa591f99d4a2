/* Sets of templates by name. */
#include "template/template_priv.h"

struct cox_template_set *cox_template_set_new(enum cox_template_dialect dialect, const struct cox_template_func *funcs, size_t n)
{
	struct cox_template_set *set = COX_NEW(struct cox_template_set);
	set->arena = &set->own;
	set->dialect = dialect;
	set->funcs = funcs, set->func_n = n;
	return set;
}

void cox_template_set_free(struct cox_template_set **set)
{
	struct cox_template_set *s = COX_MOVE(*set);
	if (!s)
		return;
	cox_map_fini(&s->trees);
	cox_arena_fini(&s->own);
	cox_free(s);
}

enum cox_rc cox_template_set_add(struct cox_template_set *set, struct cox_str name, struct cox_str text, struct cox_err *err)
{
	return template_parse(set, name, text, err);
}

const struct template_tree *template_set_find(const struct cox_template_set *set, struct cox_str name)
{
	for (; set; set = set->parent) {
		const struct template_tree *t = cox_map_find(&set->trees, name);
		if (t)
			return t;
	}
	return NULL;
}

bool cox_template_set_has(const struct cox_template_set *set, struct cox_str name) { return template_set_find(set, name) != NULL; }
