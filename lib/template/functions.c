/* The table of functions, by file: what is not in it, nor the caller's, is refused by name when a template is parsed. */
#include "template/template_priv.h"

static const struct template_func_row *const files[] = { template_funcs_go, template_funcs_text, template_funcs_data, template_funcs_helm };

const struct cox_template_func *template_func_find(const struct cox_template_set *set, struct cox_str name)
{
	for (size_t i = 0; i < set->func_n; i++)
		if (cox_str_eq_cstr(name, set->funcs[i].name))
			return &set->funcs[i];
	for (size_t f = 0; f < COX_LEN(files); f++)
		for (const struct template_func_row *row = files[f]; row->f.name; row++)
			if ((row->dialects & (int)set->dialect) && cox_str_eq_cstr(name, row->f.name))
				return &row->f;
	return NULL;
}

const char *cox_template_function_name(size_t i, enum cox_template_dialect dialect)
{
	for (size_t f = 0; f < COX_LEN(files); f++)
		for (const struct template_func_row *row = files[f]; row->f.name; row++)
			if ((row->dialects & (int)dialect) && i-- == 0)
				return row->f.name;
	return NULL;
}

enum cox_rc template_give_buf(struct cox_template_call *call, struct cox_buf *buf, enum cox_rc rc, struct cox_template_value *out)
{
	if (rc == COX_OK)
		rc = cox_template_reserve(call, buf->n);
	if (rc == COX_OK)
		*out = cox_template_str(cox_arena_str(call->arena, cox_buf_str(buf)));
	cox_buf_fini(buf);
	return rc;
}
