/* The evaluation: nodes to text, pipelines to values. Every step is counted and every descent bounded. */
#include "template/template_priv.h"

#include <stdarg.h>
#include <stdio.h>

/* --- limits and faults -------------------------------------------------------------------------------------- */

static enum cox_rc fault(struct cox_template_run *run, enum cox_rc rc, const char *text)
{
	char name[128];
	cox_err_set(run->err, rc, run->tree ? cox_str_to_cstr(run->tree->name, name, sizeof(name)) : NULL, "%s", text);
	if (run->err)
		run->err->line = run->at ? run->at->line : 0;
	return rc;
}

enum cox_rc cox_template_fail(struct cox_template_call *call, const char *fmt, ...)
{
	char text[384];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return fault(call->run, COX_EINVAL, text);
}

enum cox_rc template_step(struct cox_template_run *run)
{
	if (++run->steps > COX_TEMPLATE_STEPS_MAX)
		return fault(run, COX_ELIMIT, "the template takes too many steps");
	if (run->call.arena->used_bytes - run->start_bytes > COX_TEMPLATE_MEMORY_BYTES_MAX)
		return fault(run, COX_ELIMIT, "the template takes too much memory");
	return COX_OK;
}

enum cox_rc template_deeper(struct cox_template_run *run)
{
	COX_TRY(template_step(run));
	if (run->depth >= COX_TEMPLATE_DEPTH_MAX)
		return fault(run, COX_ELIMIT, "the template nests too deep (does it include itself?)");
	run->depth++;
	return COX_OK;
}

enum cox_rc cox_template_reserve(struct cox_template_call *call, size_t bytes)
{
	if (bytes > COX_TEMPLATE_OUTPUT_BYTES_MAX)
		return fault(call->run, COX_ELIMIT, "a text of the template is too long");
	/* Long texts are work, too. */
	call->run->steps += bytes / 256;
	return template_step(call->run);
}

static enum cox_rc put(struct cox_template_run *run, struct cox_str text)
{
	if (run->out->n + text.n > COX_TEMPLATE_OUTPUT_BYTES_MAX)
		return fault(run, COX_ELIMIT, "the template's text is too long");
	cox_buf_append_str(run->out, text);
	return COX_OK;
}

/* --- calls ------------------------------------------------------------------------------------------------------ */

static enum cox_rc eval_pipe(struct cox_template_run *run, const struct cox_template_value *dot, const struct template_node *pipe,
                             struct cox_template_value *out);
static enum cox_rc eval_operand(struct cox_template_run *run, const struct cox_template_value *dot, const struct template_node *n,
                                struct cox_template_value *out);

static enum cox_rc check_argument(struct cox_template_run *run, const char *name, char letter, struct cox_template_value *v)
{
	static const struct {
		char letter;
		enum cox_template_kind kind;
		const char *text;
	} kinds[] = { { 's', COX_TEMPLATE_STRING, "string" },
		      { 'i', COX_TEMPLATE_INT, "int" },
		      { 'b', COX_TEMPLATE_BOOL, "bool" },
		      { 'm', COX_TEMPLATE_MAP, "map[string]interface {}" },
		      { 'l', COX_TEMPLATE_LIST, "[]interface {}" } };
	if (letter == 'a') {
		if (v->kind == COX_TEMPLATE_NONE)
			v->kind = COX_TEMPLATE_NIL;
		return COX_OK;
	}
	for (size_t i = 0; i < COX_LEN(kinds); i++) {
		if (kinds[i].letter != letter || kinds[i].kind == v->kind)
			continue;
		/* A nil map or list of Go, which is an empty one to all who only read it. */
		if (v->kind == COX_TEMPLATE_NONE && letter == 'm')
			*v = cox_template_map_new(run->call.arena, false);
		else if (v->kind == COX_TEMPLATE_NONE && letter == 'l')
			*v = (struct cox_template_value){ .kind = COX_TEMPLATE_LIST };
		else
			return cox_template_fail(&run->call, "%s: wrong type for value; expected %s; got %s", name, kinds[i].text,
			                         template_type_name(v));
	}
	return COX_OK;
}

static enum cox_rc call_function(struct cox_template_run *run, const struct cox_template_func *f, struct cox_template_value *args, size_t n,
                                 struct cox_template_value *out)
{
	size_t fixed = 0;
	bool more = false;
	for (const char *p = f->params; *p; p++)
		more |= *p == '*';
	fixed = strlen(f->params) - (more ? 2 : 0);
	if (n < fixed || (n > fixed && !more))
		return cox_template_fail(&run->call, "wrong number of args for %s: want %s%zu got %zu", f->name, more ? "at least " : "",
		                         fixed, n);
	for (size_t i = 0; i < n; i++)
		COX_TRY(check_argument(run, f->name, f->params[i < fixed ? i : fixed], &args[i]));
	*out = (struct cox_template_value){ .kind = COX_TEMPLATE_NONE };
	return f->fn(&run->call, args, n, out);
}

/* The operands behind the first, and the value that came through the pipe. */
static enum cox_rc collect(struct cox_template_run *run, const struct cox_template_value *dot, const struct template_node *command,
                           const struct cox_template_value *final, struct cox_template_value **args, size_t *n)
{
	*n = 0;
	*args = COX_ARENA_ARRAY(run->call.arena, struct cox_template_value, command->kid_n + 1);
	for (size_t i = 1; i < command->kid_n; i++)
		COX_TRY(eval_operand(run, dot, command->kids[i], &(*args)[(*n)++]));
	if (final)
		(*args)[(*n)++] = *final;
	return COX_OK;
}

/* `and` and `or` look no further than they must. */
static enum cox_rc eval_logic(struct cox_template_run *run, const struct cox_template_value *dot, const struct template_node *command,
                              const struct cox_template_value *final, bool is_or, struct cox_template_value *out)
{
	if (command->kid_n + (final != NULL) < 2)
		return cox_template_fail(&run->call, "wrong number of args for %s: want at least 1 got 0", is_or ? "or" : "and");
	for (size_t i = 1; i < command->kid_n; i++) {
		COX_TRY(eval_operand(run, dot, command->kids[i], out));
		if (cox_template_is_true(out) == is_or)
			return COX_OK;
	}
	if (final)
		*out = *final;
	return COX_OK;
}

static enum cox_rc eval_function(struct cox_template_run *run, const struct cox_template_value *dot, const struct template_node *command,
                                 const struct cox_template_value *final, struct cox_template_value *out)
{
	const struct cox_template_func *f = command->kids[0]->func;
	struct cox_template_value *args;
	size_t n;
	if (f->fn == template_fn_and || f->fn == template_fn_or)
		return eval_logic(run, dot, command, final, f->fn == template_fn_or, out);
	COX_TRY(collect(run, dot, command, final, &args, &n));
	run->at = command;
	return call_function(run, f, args, n, out);
}

/* --- fields ------------------------------------------------------------------------------------------------------- */

static enum cox_rc eval_field(struct cox_template_run *run, const struct cox_template_value *of, struct cox_str name,
                              const struct cox_template_value *args, size_t n, struct cox_template_value *out)
{
	if (of->kind == COX_TEMPLATE_NONE) {
		*out = *of;
		return COX_OK;
	}
	if (of->kind == COX_TEMPLATE_NIL)
		return cox_template_fail(&run->call, "nil pointer evaluating interface {}.%.*s", COX_FMT(name));
	if (of->type && of->type->get) {
		*out = (struct cox_template_value){ .kind = COX_TEMPLATE_NONE };
		enum cox_rc rc = of->type->get(&run->call, of, name, args, n, out);
		if (rc != COX_ENOTFOUND)
			return rc;
	}
	if (of->kind != COX_TEMPLATE_MAP)
		return cox_template_fail(&run->call, "can't evaluate field %.*s in type %s", COX_FMT(name), template_type_name(of));
	if (n > 0)
		return cox_template_fail(&run->call, "%.*s is not a method but has arguments", COX_FMT(name));
	const struct cox_template_value *found = cox_template_map_get(of, name);
	if (found)
		*out = *found;
	else if (run->set->dialect == COX_TEMPLATE_HELM && of->map->is_text)
		*out = cox_template_str(COX_STR(""));
	else
		*out = (struct cox_template_value){ .kind = run->set->dialect == COX_TEMPLATE_HELM ? COX_TEMPLATE_NIL : COX_TEMPLATE_NONE };
	return COX_OK;
}

/* command NULL: an operand, which has no arguments. */
static enum cox_rc eval_fields(struct cox_template_run *run, const struct cox_template_value *dot, struct cox_template_value of,
                               const struct template_node *n, const struct template_node *command, const struct cox_template_value *final,
                               struct cox_template_value *out)
{
	struct cox_template_value *args = NULL;
	size_t arg_n = 0;
	for (size_t i = 0; i + 1 < n->field_n; i++) {
		COX_TRY(eval_field(run, &of, n->fields[i], NULL, 0, out));
		of = *out;
	}
	if (command && (command->kid_n > 1 || final))
		COX_TRY(collect(run, dot, command, final, &args, &arg_n));
	run->at = n;
	return eval_field(run, &of, n->fields[n->field_n - 1], args, arg_n, out);
}

static struct cox_template_value *find_variable(struct cox_template_run *run, struct cox_str name)
{
	for (size_t i = run->vars.n; i-- > run->frame;)
		if (cox_str_eq(run->vars.p[i].name, name))
			return &run->vars.p[i].value;
	return NULL;
}

static enum cox_rc eval_node(struct cox_template_run *run, const struct cox_template_value *dot, const struct template_node *n,
                             const struct template_node *command, const struct cox_template_value *final, struct cox_template_value *out)
{
	struct cox_template_value of;
	const struct cox_template_value *var;
	run->at = n;
	switch (n->kind) {
	case TN_FIELD: return eval_fields(run, dot, *dot, n, command, final, out);
	case TN_CHAIN: COX_TRY(eval_operand(run, dot, n->kids[0], &of)); return eval_fields(run, dot, of, n, command, final, out);
	case TN_VARIABLE:
		var = find_variable(run, n->text);
		if (!var)
			return cox_template_fail(&run->call, "undefined variable: %.*s", COX_FMT(n->text));
		if (n->field_n > 0)
			return eval_fields(run, dot, *var, n, command, final, out);
		*out = *var;
		break;
	case TN_PIPE: COX_TRY(eval_pipe(run, dot, n, out)); break;
	case TN_DOT: *out = *dot; break;
	case TN_CONSTANT: *out = n->constant; break;
	case TN_NIL:
		if (command)
			return cox_template_fail(&run->call, "nil is not a command");
		*out = (struct cox_template_value){ .kind = COX_TEMPLATE_NIL };
		break;
	default: return cox_template_fail(&run->call, "not an operand");
	}
	if (command && (command->kid_n > 1 || final))
		return cox_template_fail(&run->call, "can't give an argument to what is no function");
	return COX_OK;
}

static enum cox_rc eval_operand(struct cox_template_run *run, const struct cox_template_value *dot, const struct template_node *n,
                                struct cox_template_value *out)
{
	COX_TRY(template_deeper(run));
	/* A function's name alone calls it without arguments. */
	const struct template_node alone = {
		.kind = TN_COMMAND, .line = n->line, .kids = (struct template_node *[]){ (struct template_node *)n }, .kid_n = 1
	};
	enum cox_rc rc = n->kind == TN_FUNCTION ? eval_function(run, dot, &alone, NULL, out) : eval_node(run, dot, n, NULL, NULL, out);
	/* The node on the stack is gone after this. */
	if (run->at == &alone)
		run->at = n;
	template_shallower(run);
	return rc;
}

static enum cox_rc eval_command(struct cox_template_run *run, const struct cox_template_value *dot, const struct template_node *command,
                                const struct cox_template_value *final, struct cox_template_value *out)
{
	if (command->kids[0]->kind == TN_FUNCTION)
		return eval_function(run, dot, command, final, out);
	return eval_node(run, dot, command->kids[0], command, final, out);
}

/* Without its declarations. */
static enum cox_rc eval_commands(struct cox_template_run *run, const struct cox_template_value *dot, const struct template_node *pipe,
                                 struct cox_template_value *out)
{
	struct cox_template_value last;
	COX_TRY(template_deeper(run));
	for (size_t i = 0; i < pipe->kid_n; i++) {
		COX_TRY(eval_command(run, dot, pipe->kids[i], i > 0 ? &last : NULL, out));
		/* A null that comes through a pipe is no value any more. */
		if (out->kind == COX_TEMPLATE_NIL)
			out->kind = COX_TEMPLATE_NONE;
		last = *out;
	}
	template_shallower(run);
	return COX_OK;
}

static enum cox_rc declare(struct cox_template_run *run, const struct template_node *pipe, unsigned i, const struct cox_template_value *v)
{
	if (!pipe->is_assign) {
		struct template_var var = { pipe->decl[i], *v };
		cox_vec_push(&run->vars, var);
		return COX_OK;
	}
	struct cox_template_value *old = find_variable(run, pipe->decl[i]);
	if (!old)
		return cox_template_fail(&run->call, "undefined variable: %.*s", COX_FMT(pipe->decl[i]));
	*old = *v;
	return COX_OK;
}

static enum cox_rc eval_pipe(struct cox_template_run *run, const struct cox_template_value *dot, const struct template_node *pipe,
                             struct cox_template_value *out)
{
	COX_TRY(eval_commands(run, dot, pipe, out));
	for (unsigned i = 0; i < pipe->decl_n; i++)
		COX_TRY(declare(run, pipe, i, out));
	return COX_OK;
}

/* --- nodes --------------------------------------------------------------------------------------------------------- */

static enum cox_rc walk(struct cox_template_run *run, const struct cox_template_value *dot, const struct template_node *n);

static enum cox_rc walk_list(struct cox_template_run *run, const struct cox_template_value *dot, const struct template_node *list)
{
	COX_TRY(template_deeper(run));
	for (size_t i = 0; i < list->kid_n && run->jump == TJ_NONE; i++)
		COX_TRY(walk(run, dot, list->kids[i]));
	template_shallower(run);
	return COX_OK;
}

static enum cox_rc walk_choice(struct cox_template_run *run, const struct cox_template_value *dot, const struct template_node *n)
{
	size_t mark = run->vars.n;
	struct cox_template_value v;
	COX_TRY(eval_pipe(run, dot, n->pipe, &v));
	if (cox_template_is_true(&v))
		COX_TRY(walk_list(run, n->kind == TN_WITH ? &v : dot, n->body));
	else if (n->other)
		COX_TRY(walk_list(run, dot, n->other));
	run->vars.n = mark;
	return COX_OK;
}

/* One round; false through *goes_on after a break. */
static enum cox_rc round_of(struct cox_template_run *run, const struct template_node *n, const struct cox_template_value *key,
                            const struct cox_template_value *item, bool *goes_on)
{
	size_t mark = run->vars.n;
	if (n->pipe->decl_n == 1)
		COX_TRY(declare(run, n->pipe, 0, item));
	if (n->pipe->decl_n == 2) {
		COX_TRY(declare(run, n->pipe, 0, key));
		COX_TRY(declare(run, n->pipe, 1, item));
	}
	COX_TRY(walk_list(run, item, n->body));
	run->vars.n = mark;
	*goes_on = run->jump != TJ_BREAK;
	run->jump = TJ_NONE;
	return COX_OK;
}

static enum cox_rc range_over(struct cox_template_run *run, const struct template_node *n, const struct cox_template_value *v, bool *any)
{
	bool goes_on = true;
	if (v->kind == COX_TEMPLATE_MAP) {
		/* The body may change the map: its entries as they are now. */
		size_t count = v->map->n;
		struct template_entry *entries = COX_ARENA_ARRAY(run->call.arena, struct template_entry, count);
		if (count)
			memcpy(entries, v->map->p, count * sizeof(*entries));
		for (size_t i = 0; i < count && goes_on; i++) {
			struct cox_template_value key = cox_template_str(entries[i].key);
			COX_TRY(round_of(run, n, &key, &entries[i].value, &goes_on));
		}
		*any = count > 0;
		return COX_OK;
	}
	if (v->kind == COX_TEMPLATE_INT) {
		if (n->pipe->decl_n > 1)
			return cox_template_fail(&run->call, "can't use a number to iterate over more than one variable");
		for (int64_t i = 0; i < v->integer && goes_on; i++) {
			struct cox_template_value item = cox_template_int(i);
			COX_TRY(round_of(run, n, &item, &item, &goes_on));
		}
		*any = v->integer > 0;
		return COX_OK;
	}
	for (size_t i = 0; v->kind == COX_TEMPLATE_LIST && i < v->list.n && goes_on; i++) {
		struct cox_template_value key = cox_template_int((int64_t)i);
		COX_TRY(round_of(run, n, &key, &v->list.items[i], &goes_on));
	}
	*any = v->kind == COX_TEMPLATE_LIST && v->list.n > 0;
	return v->kind == COX_TEMPLATE_LIST || template_is_nothing(v)
	           ? COX_OK
	           : cox_template_fail(&run->call, "range can't iterate over a value of type %s", template_type_name(v));
}

static enum cox_rc walk_range(struct cox_template_run *run, const struct cox_template_value *dot, const struct template_node *n)
{
	size_t mark = run->vars.n;
	struct cox_template_value v;
	bool any = false;
	COX_TRY(eval_commands(run, dot, n->pipe, &v));
	run->at = n;
	COX_TRY(range_over(run, n, &v, &any));
	if (!any && n->other)
		COX_TRY(walk_list(run, dot, n->other));
	run->vars.n = mark;
	return COX_OK;
}

static enum cox_rc print_value(struct cox_template_run *run, const struct cox_template_value *v)
{
	if (v->kind == COX_TEMPLATE_STRING)
		return put(run, v->text);
	/* Helm takes "<no value>" out of what it made. */
	if (template_is_nothing(v))
		return put(run, run->set->dialect == COX_TEMPLATE_HELM ? COX_STR("") : COX_STR("<no value>"));
	struct cox_buf text = { 0 };
	enum cox_rc rc = cox_template_print(&run->call, &text, v);
	if (rc == COX_OK)
		rc = put(run, cox_buf_str(&text));
	cox_buf_fini(&text);
	return rc;
}

static enum cox_rc walk_template(struct cox_template_run *run, const struct cox_template_value *dot, const struct template_node *n)
{
	struct cox_template_value v = { .kind = COX_TEMPLATE_NONE };
	if (n->pipe)
		COX_TRY(eval_pipe(run, dot, n->pipe, &v));
	run->at = n;
	return template_run_named(run, n->text, &v, run->out);
}

static enum cox_rc walk(struct cox_template_run *run, const struct cox_template_value *dot, const struct template_node *n)
{
	struct cox_template_value v;
	run->at = n;
	COX_TRY(template_step(run));
	switch (n->kind) {
	case TN_TEXT: return put(run, n->text);
	case TN_LIST: return walk_list(run, dot, n);
	case TN_ACTION:
		COX_TRY(eval_pipe(run, dot, n->pipe, &v));
		run->at = n;
		return n->pipe->decl_n ? COX_OK : print_value(run, &v);
	case TN_IF:
	case TN_WITH: return walk_choice(run, dot, n);
	case TN_RANGE: return walk_range(run, dot, n);
	case TN_TEMPLATE: return walk_template(run, dot, n);
	case TN_BREAK: run->jump = TJ_BREAK; return COX_OK;
	case TN_CONTINUE: run->jump = TJ_CONTINUE; return COX_OK;
	default: return cox_template_fail(&run->call, "not an action");
	}
}

/* --- the whole --------------------------------------------------------------------------------------------------------- */

enum cox_rc template_run_named(struct cox_template_run *run, struct cox_str name, const struct cox_template_value *dot, struct cox_buf *out)
{
	const struct template_tree *tree = template_set_find(run->set, name);
	if (!tree)
		return cox_template_fail(&run->call, "template \"%.*s\" not defined", COX_FMT(name));
	struct cox_template_run outer = *run;
	struct template_var top = { COX_STR("$"), *dot };
	run->tree = tree;
	run->out = out;
	run->frame = run->vars.n;
	/* No variable of the caller is seen inside. */
	cox_vec_push(&run->vars, top);
	COX_TRY(walk_list(run, dot, tree->root));
	run->vars.n = run->frame;
	run->tree = outer.tree, run->out = outer.out, run->frame = outer.frame, run->at = outer.at;
	return COX_OK;
}

enum cox_rc cox_template_run(const struct cox_template_run_spec *spec, struct cox_arena *arena, struct cox_buf *out, struct cox_err *err)
{
	struct cox_template_run run = {
		.call = { .arena = arena, .ctx = spec->ctx }, .set = spec->set, .err = err, .start_bytes = arena->used_bytes
	};
	char name[128];
	run.call.run = &run;
	if (!template_set_find(spec->set, spec->name))
		return cox_err_set(err, COX_ENOTFOUND, cox_str_to_cstr(spec->name, name, sizeof(name)), "there is no such template");
	enum cox_rc rc = template_run_named(&run, spec->name, spec->dot, out);
	cox_vec_fini(&run.vars);
	return rc;
}
