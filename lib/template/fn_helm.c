/* JSON and YAML (sprig, Helm), and what Helm adds: templates called by name, and as text. */
#include "template/template_priv.h"

#include "codec/yaml.h"

#define FN(name)                                                                                              \
	static enum cox_rc name(struct cox_template_call *call, const struct cox_template_value *a, size_t n, \
	                        struct cox_template_value *out)

/* --- JSON ------------------------------------------------------------------------------------------------------------ */

/* encoding/json is careful of HTML; these signs stand in texts only. */
static enum cox_rc give_json(struct cox_template_call *call, struct cox_buf *json, bool raw, struct cox_template_value *out)
{
	struct cox_buf safe = { 0 };
	for (size_t i = 0; i < json->n; i++) {
		char c = json->p[i];
		if (!raw && (c == '<' || c == '>' || c == '&'))
			cox_buf_printf(&safe, "\\u%04x", c);
		else
			cox_buf_append_char(&safe, c);
	}
	cox_buf_fini(json);
	return template_give_buf(call, &safe, COX_OK, out);
}

static enum cox_rc json_of(struct cox_template_call *call, const struct cox_template_value *v, unsigned indent, bool raw,
                           struct cox_template_value *out)
{
	struct cox_json tree;
	struct cox_buf buf = { 0 };
	COX_TRY(cox_template_to_json(call, v, &tree));
	cox_json_write(&buf, &tree, indent, false);
	while (buf.n && buf.p[buf.n - 1] == '\n')
		buf.n--;
	return give_json(call, &buf, raw, out);
}

FN(fn_to_json) { return (void)n, json_of(call, &a[0], 0, false, out); }
FN(fn_to_raw_json) { return (void)n, json_of(call, &a[0], 0, true, out); }
FN(fn_to_pretty_json) { return (void)n, json_of(call, &a[0], 2, false, out); }

static void give_error(struct cox_template_call *call, const struct cox_err *err, struct cox_template_value *out)
{
	*out = cox_template_map_new(call->arena, false);
	cox_template_map_set(call->arena, out, COX_STR("Error"), cox_template_str(cox_arena_str(call->arena, cox_str_of(err->text))));
}

FN(fn_from_json)
{
	struct cox_json *tree = NULL;
	struct cox_err err = { 0 };
	(void)n;
	COX_TRY(cox_template_reserve(call, a[0].text.n));
	bool helm = call->run->set->dialect == COX_TEMPLATE_HELM;
	if (cox_json_parse(call->arena, cox_arena_str(call->arena, a[0].text), &tree, &err) == COX_OK)
		*out = cox_template_of_json(call->arena, tree);
	else if (helm)
		give_error(call, &err, out);
	return COX_OK;
}

/* --- YAML ------------------------------------------------------------------------------------------------------------ */

FN(fn_to_yaml)
{
	struct cox_json tree;
	struct cox_buf buf = { 0 };
	(void)n;
	COX_TRY(cox_template_to_json(call, &a[0], &tree));
	cox_json_write_yaml(&buf, &tree);
	if (buf.n && buf.p[buf.n - 1] == '\n')
		buf.n--;
	return template_give_buf(call, &buf, COX_OK, out);
}

struct reading {
	const struct cox_json *root;
	struct cox_err err;
	bool failed;
};

static void on_document(void *arg, struct cox_json *root, struct cox_str text, const struct cox_err *err)
{
	struct reading *r = arg;
	(void)text;
	if (!root && !r->failed) {
		r->failed = true;
		r->err = *err;
	}
	if (root && !r->root)
		r->root = root;
}

static enum cox_rc from_yaml(struct cox_template_call *call, struct cox_str text, enum cox_json_type type, struct cox_template_value *out)
{
	struct reading r = { 0 };
	COX_TRY(cox_template_reserve(call, text.n));
	if (cox_yaml_each(call->arena, cox_arena_str(call->arena, text), COX_JSON_BYTES_MAX, on_document, &r, &r.err) != COX_OK)
		r.failed = true;
	if (!r.failed && r.root && r.root->type != type && r.root->type != COX_JSON_NULL) {
		r.failed = true;
		cox_err_set(&r.err, COX_EINVAL, NULL, type == COX_JSON_OBJECT ? "not a map" : "not a list");
	}
	if (r.failed)
		give_error(call, &r.err, out);
	else if (r.root && r.root->type == type)
		*out = cox_template_of_json(call->arena, r.root);
	else if (type == COX_JSON_OBJECT)
		*out = cox_template_map_new(call->arena, false);
	else
		out->kind = COX_TEMPLATE_LIST;
	return template_step(call->run);
}

FN(fn_from_yaml) { return (void)n, from_yaml(call, a[0].text, COX_JSON_OBJECT, out); }

FN(fn_from_yaml_array)
{
	(void)n;
	COX_TRY(from_yaml(call, a[0].text, COX_JSON_ARRAY, out));
	/* Helm's: the fault as the only item. */
	if (out->kind == COX_TEMPLATE_MAP) {
		struct cox_template_value *item = COX_ARENA_NEW(call->arena, struct cox_template_value);
		*item = *cox_template_map_get(out, COX_STR("Error"));
		*out = (struct cox_template_value){ .kind = COX_TEMPLATE_LIST, .list = { item, 1 } };
	}
	return COX_OK;
}

/* --- Helm ------------------------------------------------------------------------------------------------------------ */

FN(fn_include)
{
	struct cox_buf buf = { 0 };
	(void)n;
	enum cox_rc rc = template_run_named(call->run, a[0].text, &a[1], &buf);
	return template_give_buf(call, &buf, rc, out);
}

/* The text is parsed into a set of its own, which sees the one around it. */
FN(fn_tpl)
{
	struct cox_template_run *run = call->run;
	struct cox_template_set inner = {
		.arena = call->arena, .dialect = run->set->dialect, .funcs = run->set->funcs, .func_n = run->set->func_n, .parent = run->set
	};
	struct cox_str name = run->tree->name;
	struct cox_err err = { 0 };
	struct cox_buf buf = { 0 };
	(void)n;
	COX_TRY(cox_template_reserve(call, a[0].text.n * 8));
	if (template_parse(&inner, name, a[0].text, &err) != COX_OK) {
		cox_map_fini(&inner.trees);
		return cox_template_fail(call, "tpl: line %d: %s", err.line, err.text);
	}
	const struct cox_template_set *outer = run->set;
	run->set = &inner;
	enum cox_rc rc = template_run_named(run, name, &a[1], &buf);
	run->set = outer;
	cox_map_fini(&inner.trees);
	return template_give_buf(call, &buf, rc, out);
}

FN(fn_required)
{
	(void)n;
	if (template_is_nothing(&a[1]) || (a[1].kind == COX_TEMPLATE_STRING && a[1].text.n == 0))
		return cox_template_fail(call, "%.*s", COX_FMT(a[0].text));
	*out = a[1];
	return COX_OK;
}

/* There is no cluster to look into. */
FN(fn_lookup)
{
	(void)a, (void)n;
	*out = cox_template_map_new(call->arena, false);
	return COX_OK;
}

#define BOTH (COX_TEMPLATE_SPRIG | COX_TEMPLATE_HELM)
const struct template_func_row template_funcs_helm[] = {
	{ { "fromJson", "s", fn_from_json }, BOTH },
	{ { "fromYaml", "s", fn_from_yaml }, COX_TEMPLATE_HELM },
	{ { "fromYamlArray", "s", fn_from_yaml_array }, COX_TEMPLATE_HELM },
	{ { "include", "sa", fn_include }, COX_TEMPLATE_HELM },
	{ { "lookup", "ssss", fn_lookup }, COX_TEMPLATE_HELM },
	{ { "mustToJson", "a", fn_to_json }, BOTH },
	{ { "required", "sa", fn_required }, COX_TEMPLATE_HELM },
	{ { "toJson", "a", fn_to_json }, BOTH },
	{ { "toPrettyJson", "a", fn_to_pretty_json }, BOTH },
	{ { "toRawJson", "a", fn_to_raw_json }, BOTH },
	{ { "toYaml", "a", fn_to_yaml }, COX_TEMPLATE_HELM },
	{ { "tpl", "sa", fn_tpl }, COX_TEMPLATE_HELM },
	{ { NULL, NULL, NULL }, 0 },
};
