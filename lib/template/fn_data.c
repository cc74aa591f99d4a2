/* Sprig's functions over maps, lists and numbers, and its choices (default, ternary, coalesce). */
#include "template/template_priv.h"

#include <stdlib.h>

#define FN(name)                                                                                              \
	static enum cox_rc name(struct cox_template_call *call, const struct cox_template_value *a, size_t n, \
	                        struct cox_template_value *out)

/* --- choices ------------------------------------------------------------------------------------------------------ */

FN(fn_default)
{
	(void)call;
	*out = n < 2 || template_is_empty(&a[1]) ? a[0] : a[1];
	return COX_OK;
}

FN(fn_empty)
{
	(void)call, (void)n;
	*out = cox_template_bool(template_is_empty(&a[0]));
	return COX_OK;
}

FN(fn_coalesce)
{
	(void)call;
	*out = (struct cox_template_value){ .kind = COX_TEMPLATE_NIL };
	for (size_t i = 0; i < n; i++)
		if (!template_is_empty(&a[i])) {
			*out = a[i];
			break;
		}
	return COX_OK;
}

FN(fn_ternary)
{
	(void)call, (void)n;
	*out = a[2].boolean ? a[0] : a[1];
	return COX_OK;
}

FN(fn_fail) { return (void)n, (void)out, cox_template_fail(call, "%.*s", COX_FMT(a[0].text)); }

/* --- maps ----------------------------------------------------------------------------------------------------------- */

static enum cox_rc key_of(struct cox_template_call *call, const struct cox_template_value *v, struct cox_str *out)
{
	struct cox_buf buf = { 0 };
	struct cox_template_value text;
	if (v->kind == COX_TEMPLATE_STRING) {
		*out = v->text;
		return COX_OK;
	}
	enum cox_rc rc = cox_template_print(call, &buf, v);
	COX_TRY(template_give_buf(call, &buf, rc, &text));
	*out = text.text;
	return COX_OK;
}

FN(fn_dict)
{
	*out = cox_template_map_new(call->arena, false);
	for (size_t i = 0; i < n; i += 2) {
		struct cox_str key;
		COX_TRY(key_of(call, &a[i], &key));
		cox_template_map_set(call->arena, out, key, i + 1 < n ? a[i + 1] : cox_template_str(COX_STR("")));
	}
	return COX_OK;
}

FN(fn_set)
{
	struct cox_template_value map = a[0];
	(void)n;
	cox_template_map_set(call->arena, &map, a[1].text, a[2]);
	*out = map;
	return COX_OK;
}

FN(fn_unset)
{
	struct cox_template_value map = a[0];
	(void)call, (void)n;
	template_map_remove(&map, a[1].text);
	*out = map;
	return COX_OK;
}

FN(fn_get)
{
	const struct cox_template_value *found = cox_template_map_get(&a[0], a[1].text);
	(void)call, (void)n;
	*out = found ? *found : cox_template_str(COX_STR(""));
	return COX_OK;
}

FN(fn_has_key)
{
	(void)call, (void)n;
	*out = cox_template_bool(cox_template_map_get(&a[0], a[1].text) != NULL);
	return COX_OK;
}

static struct cox_template_value new_list(struct cox_template_call *call, size_t n)
{
	struct cox_template_value v = { .kind = COX_TEMPLATE_LIST };
	v.list.items = COX_ARENA_ARRAY(call->arena, struct cox_template_value, n);
	v.list.n = n;
	return v;
}

FN(fn_keys)
{
	size_t all = 0, at = 0;
	for (size_t i = 0; i < n; i++)
		all += a[i].map->n;
	*out = new_list(call, all);
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < a[i].map->n; k++)
			out->list.items[at++] = cox_template_str(a[i].map->p[k].key);
	return COX_OK;
}

FN(fn_values)
{
	(void)n;
	*out = new_list(call, a[0].map->n);
	for (size_t k = 0; k < a[0].map->n; k++)
		out->list.items[k] = a[0].map->p[k].value;
	return COX_OK;
}

static bool is_named(const struct cox_template_value *names, size_t n, struct cox_str key)
{
	for (size_t i = 0; i < n; i++)
		if (cox_str_eq(names[i].text, key))
			return true;
	return false;
}

static void filtered(struct cox_template_call *call, const struct cox_template_value *a, size_t n, bool keep,
                     struct cox_template_value *out)
{
	*out = cox_template_map_new(call->arena, a[0].map->is_text);
	for (size_t i = 0; i < a[0].map->n; i++)
		if (is_named(a + 1, n - 1, a[0].map->p[i].key) == keep)
			cox_template_map_set(call->arena, out, a[0].map->p[i].key, a[0].map->p[i].value);
}

FN(fn_pick)
{
	filtered(call, a, n, true, out);
	return COX_OK;
}

FN(fn_omit)
{
	filtered(call, a, n, false, out);
	return COX_OK;
}

/* Maps merge into each other; else what is there stays, or is replaced where `overwrite` says so, or where it is empty. */
static enum cox_rc merge(struct cox_template_call *call, struct cox_template_value *onto, const struct cox_template_value *from,
                         bool overwrite)
{
	COX_TRY(template_deeper(call->run));
	for (size_t i = 0; i < from->map->n; i++) {
		struct cox_str key = from->map->p[i].key;
		const struct cox_template_value *new = &from->map->p[i].value, *old = cox_template_map_get(onto, key);
		bool is_full = old && !template_is_empty(old);
		COX_TRY(template_step(call->run));
		if (is_full && old->kind == COX_TEMPLATE_MAP && new->kind == COX_TEMPLATE_MAP) {
			struct cox_template_value inner = *old;
			if (inner.map != new->map)
				COX_TRY(merge(call, &inner, new, overwrite));
		} else if (overwrite || (!is_full && !template_is_nothing(new))) {
			cox_template_map_set(call->arena, onto, key, *new);
		}
	}
	template_shallower(call->run);
	return COX_OK;
}

static enum cox_rc merge_all(struct cox_template_call *call, const struct cox_template_value *a, size_t n, bool overwrite,
                             struct cox_template_value *out)
{
	*out = a[0];
	for (size_t i = 1; i < n; i++)
		if (a[i].map != out->map)
			COX_TRY(merge(call, out, &a[i], overwrite));
	return COX_OK;
}

FN(fn_merge) { return merge_all(call, a, n, false, out); }
FN(fn_merge_overwrite) { return merge_all(call, a, n, true, out); }
FN(fn_deep_copy) { return (void)n, template_copy(call, &a[0], out); }

/* dig "a" "b" default map */
FN(fn_dig)
{
	const struct cox_template_value *v = &a[n - 1];
	for (size_t i = 0; i + 2 < n; i++) {
		if (v->kind != COX_TEMPLATE_MAP || a[i].kind != COX_TEMPLATE_STRING)
			return cox_template_fail(call, "dig: names and a map are wanted, not %s", template_type_name(v));
		v = cox_template_map_get(v, a[i].text);
		if (!v) {
			*out = a[n - 2];
			return COX_OK;
		}
	}
	*out = *v;
	return COX_OK;
}

/* --- lists ------------------------------------------------------------------------------------------------------------- */

FN(fn_list)
{
	*out = new_list(call, n);
	if (n)
		memcpy(out->list.items, a, n * sizeof(*a));
	return COX_OK;
}

static enum cox_rc with_item(struct cox_template_call *call, const struct cox_template_value *a, bool front, struct cox_template_value *out)
{
	*out = new_list(call, a[0].list.n + 1);
	if (a[0].list.n)
		memcpy(out->list.items + front, a[0].list.items, a[0].list.n * sizeof(*a));
	out->list.items[front ? 0 : a[0].list.n] = a[1];
	return COX_OK;
}

FN(fn_append) { return (void)n, with_item(call, a, false, out); }
FN(fn_prepend) { return (void)n, with_item(call, a, true, out); }

static enum cox_rc item_of(const struct cox_template_value *list, size_t at, struct cox_template_value *out)
{
	*out = list->list.n ? list->list.items[at] : (struct cox_template_value){ .kind = COX_TEMPLATE_NIL };
	return COX_OK;
}

FN(fn_first) { return (void)call, (void)n, item_of(&a[0], 0, out); }
FN(fn_last) { return (void)call, (void)n, item_of(&a[0], a[0].list.n - 1, out); }

FN(fn_rest)
{
	(void)call, (void)n;
	*out = a[0];
	if (out->list.n)
		out->list.items++, out->list.n--;
	return COX_OK;
}

FN(fn_initial)
{
	(void)call, (void)n;
	*out = a[0];
	if (out->list.n)
		out->list.n--;
	return COX_OK;
}

FN(fn_reverse)
{
	(void)n;
	*out = new_list(call, a[0].list.n);
	for (size_t i = 0; i < a[0].list.n; i++)
		out->list.items[i] = a[0].list.items[a[0].list.n - 1 - i];
	return COX_OK;
}

static enum cox_rc holds(struct cox_template_call *call, const struct cox_template_value *items, size_t n,
                         const struct cox_template_value *v, bool *out)
{
	*out = false;
	for (size_t i = 0; i < n && !*out; i++) {
		COX_TRY(template_step(call->run));
		COX_TRY(template_equal(call, &items[i], v, out));
	}
	return COX_OK;
}

FN(fn_has)
{
	bool found = false;
	(void)n;
	if (a[1].kind == COX_TEMPLATE_LIST)
		COX_TRY(holds(call, a[1].list.items, a[1].list.n, &a[0], &found));
	else if (!template_is_nothing(&a[1]))
		return cox_template_fail(call, "has: cannot find in a value of type %s", template_type_name(&a[1]));
	*out = cox_template_bool(found);
	return COX_OK;
}

/* uniq, compact, without: the items that are not left out. */
static enum cox_rc sifted(struct cox_template_call *call, const struct cox_template_value *list, const struct cox_template_value *drop,
                          size_t drop_n, char how, struct cox_template_value *out)
{
	*out = new_list(call, list->list.n);
	out->list.n = 0;
	for (size_t i = 0; i < list->list.n; i++) {
		const struct cox_template_value *v = &list->list.items[i];
		bool out_of_it = how == 'c' && template_is_empty(v);
		if (how == 'u')
			COX_TRY(holds(call, out->list.items, out->list.n, v, &out_of_it));
		if (how == 'w')
			COX_TRY(holds(call, drop, drop_n, v, &out_of_it));
		if (!out_of_it)
			out->list.items[out->list.n++] = *v;
	}
	return COX_OK;
}

FN(fn_uniq) { return (void)n, sifted(call, &a[0], NULL, 0, 'u', out); }
FN(fn_compact) { return (void)n, sifted(call, &a[0], NULL, 0, 'c', out); }
FN(fn_without) { return sifted(call, &a[0], a + 1, n - 1, 'w', out); }

FN(fn_concat)
{
	size_t all = 0, at = 0;
	for (size_t i = 0; i < n; i++)
		all += a[i].list.n;
	COX_TRY(cox_template_reserve(call, all));
	*out = new_list(call, all);
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < a[i].list.n; k++)
			out->list.items[at++] = a[i].list.items[k];
	return COX_OK;
}

static int by_text(const void *x, const void *y)
{
	return cox_str_cmp(((const struct cox_template_value *)x)->text, ((const struct cox_template_value *)y)->text);
}

FN(fn_sort_alpha)
{
	(void)n;
	*out = new_list(call, a[0].list.n);
	for (size_t i = 0; i < a[0].list.n; i++) {
		struct cox_str text;
		COX_TRY(key_of(call, &a[0].list.items[i], &text));
		out->list.items[i] = cox_template_str(text);
	}
	if (out->list.n > 1)
		qsort(out->list.items, out->list.n, sizeof(struct cox_template_value), by_text);
	return COX_OK;
}

/* --- numbers ------------------------------------------------------------------------------------------------------------ */

static int64_t whole(const struct cox_template_value *v)
{
	int64_t i = 0;
	double f;
	switch (v->kind) {
	case COX_TEMPLATE_INT: return v->integer;
	case COX_TEMPLATE_BOOL: return v->boolean;
	case COX_TEMPLATE_FLOAT: return v->real > -9.2e18 && v->real < 9.2e18 ? (int64_t)v->real : 0;
	case COX_TEMPLATE_STRING:
		if (cox_str_to_i64(v->text, &i) == COX_OK)
			return i;
		return cox_str_to_f64(v->text, &f) == COX_OK && f > -9.2e18 && f < 9.2e18 ? (int64_t)f : 0;
	default: return 0;
	}
}

FN(fn_int)
{
	(void)call, (void)n;
	*out = cox_template_int(whole(&a[0]));
	return COX_OK;
}

FN(fn_float64)
{
	double f = 0;
	(void)call, (void)n;
	if (a[0].kind == COX_TEMPLATE_FLOAT)
		f = a[0].real;
	else if (a[0].kind != COX_TEMPLATE_STRING || cox_str_to_f64(a[0].text, &f) != COX_OK)
		f = (double)whole(&a[0]);
	*out = (struct cox_template_value){ .kind = COX_TEMPLATE_FLOAT, .real = f };
	return COX_OK;
}

static enum cox_rc reckon(struct cox_template_call *call, const struct cox_template_value *a, size_t n, char how,
                          struct cox_template_value *out)
{
	uint64_t all = n ? (uint64_t)whole(&a[0]) : 0;
	for (size_t i = 1; i < n; i++) {
		int64_t v = whole(&a[i]), now = (int64_t)all;
		if ((how == '/' || how == '%') && (v == 0 || (v == -1 && now == INT64_MIN)))
			return cox_template_fail(call, "division by %lld", (long long)v);
		switch (how) {
		case '+': all += (uint64_t)v; break;
		case '-': all -= (uint64_t)v; break;
		case '*': all *= (uint64_t)v; break;
		case '/': all = (uint64_t)(now / v); break;
		case '%': all = (uint64_t)(now % v); break;
		case '<': all = (uint64_t)(v < now ? v : now); break;
		default: all = (uint64_t)(v > now ? v : now); break;
		}
	}
	*out = cox_template_int((int64_t)all);
	return COX_OK;
}

FN(fn_add) { return reckon(call, a, n, '+', out); }
FN(fn_sub) { return reckon(call, a, n, '-', out); }
FN(fn_mul) { return reckon(call, a, n, '*', out); }
FN(fn_div) { return reckon(call, a, n, '/', out); }
FN(fn_mod) { return reckon(call, a, n, '%', out); }
FN(fn_min) { return reckon(call, a, n, '<', out); }
FN(fn_max) { return reckon(call, a, n, '>', out); }

FN(fn_add1)
{
	struct cox_template_value both[2] = { a[0], cox_template_int(1) };
	(void)n;
	return reckon(call, both, 2, '+', out);
}

FN(fn_until)
{
	int64_t count = a[0].integer < 0 ? 0 : a[0].integer;
	(void)n;
	if (count > 100000)
		return cox_template_fail(call, "until: %lld", (long long)count);
	*out = new_list(call, (size_t)count);
	for (int64_t i = 0; i < count; i++)
		out->list.items[i] = cox_template_int(i);
	return COX_OK;
}

/* --- types ---------------------------------------------------------------------------------------------------------------- */

static const char *kind_of(const struct cox_template_value *v)
{
	switch (v->kind) {
	case COX_TEMPLATE_BOOL: return "bool";
	case COX_TEMPLATE_INT: return "int";
	case COX_TEMPLATE_FLOAT: return "float64";
	case COX_TEMPLATE_STRING: return "string";
	case COX_TEMPLATE_LIST: return "slice";
	case COX_TEMPLATE_MAP: return "map";
	case COX_TEMPLATE_OBJECT: return "struct";
	default: return "invalid";
	}
}

FN(fn_kind_of)
{
	(void)call, (void)n;
	*out = cox_template_str(cox_str_of(kind_of(&a[0])));
	return COX_OK;
}

FN(fn_kind_is)
{
	(void)call, (void)n;
	*out = cox_template_bool(cox_str_eq_cstr(a[0].text, kind_of(&a[1])));
	return COX_OK;
}

FN(fn_type_of)
{
	(void)call, (void)n;
	*out = cox_template_str(cox_str_of(template_type_name(&a[0])));
	return COX_OK;
}

#define BOTH (COX_TEMPLATE_SPRIG | COX_TEMPLATE_HELM)
const struct template_func_row template_funcs_data[] = {
	{ { "add", "a*", fn_add }, BOTH },
	{ { "add1", "a", fn_add1 }, BOTH },
	{ { "append", "la", fn_append }, BOTH },
	{ { "atoi", "s", fn_int }, BOTH },
	{ { "coalesce", "a*", fn_coalesce }, BOTH },
	{ { "compact", "l", fn_compact }, BOTH },
	{ { "concat", "l*", fn_concat }, BOTH },
	{ { "deepCopy", "a", fn_deep_copy }, BOTH },
	{ { "default", "aa*", fn_default }, BOTH },
	{ { "dict", "a*", fn_dict }, BOTH },
	{ { "dig", "aaaa*", fn_dig }, BOTH },
	{ { "div", "aa", fn_div }, BOTH },
	{ { "empty", "a", fn_empty }, BOTH },
	{ { "fail", "s", fn_fail }, BOTH },
	{ { "first", "l", fn_first }, BOTH },
	{ { "float64", "a", fn_float64 }, BOTH },
	{ { "get", "ms", fn_get }, BOTH },
	{ { "has", "aa", fn_has }, BOTH },
	{ { "hasKey", "ms", fn_has_key }, BOTH },
	{ { "initial", "l", fn_initial }, BOTH },
	{ { "int", "a", fn_int }, BOTH },
	{ { "int64", "a", fn_int }, BOTH },
	{ { "keys", "m*", fn_keys }, BOTH },
	{ { "kindIs", "sa", fn_kind_is }, BOTH },
	{ { "kindOf", "a", fn_kind_of }, BOTH },
	{ { "last", "l", fn_last }, BOTH },
	{ { "list", "a*", fn_list }, BOTH },
	{ { "max", "aa*", fn_max }, BOTH },
	{ { "merge", "mm*", fn_merge }, BOTH },
	{ { "mergeOverwrite", "mm*", fn_merge_overwrite }, BOTH },
	{ { "min", "aa*", fn_min }, BOTH },
	{ { "mod", "aa", fn_mod }, BOTH },
	{ { "mul", "aa*", fn_mul }, BOTH },
	{ { "mustDeepCopy", "a", fn_deep_copy }, BOTH },
	{ { "mustMerge", "mm*", fn_merge }, BOTH },
	{ { "mustMergeOverwrite", "mm*", fn_merge_overwrite }, BOTH },
	{ { "omit", "ms*", fn_omit }, BOTH },
	{ { "pick", "ms*", fn_pick }, BOTH },
	{ { "prepend", "la", fn_prepend }, BOTH },
	{ { "push", "la", fn_append }, BOTH },
	{ { "rest", "l", fn_rest }, BOTH },
	{ { "reverse", "l", fn_reverse }, BOTH },
	{ { "set", "msa", fn_set }, BOTH },
	{ { "sortAlpha", "l", fn_sort_alpha }, BOTH },
	{ { "sub", "aa", fn_sub }, BOTH },
	{ { "ternary", "aab", fn_ternary }, BOTH },
	{ { "typeOf", "a", fn_type_of }, BOTH },
	{ { "uniq", "l", fn_uniq }, BOTH },
	{ { "unset", "ms", fn_unset }, BOTH },
	{ { "until", "i", fn_until }, BOTH },
	{ { "values", "m", fn_values }, BOTH },
	{ { "without", "la*", fn_without }, BOTH },
	{ { NULL, NULL, NULL }, 0 },
};
