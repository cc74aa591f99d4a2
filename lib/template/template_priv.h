/* template_priv - what the parser hands to the evaluation, and how the functions see a run. */
#ifndef COX_TEMPLATE_TEMPLATE_PRIV_H
#define COX_TEMPLATE_TEMPLATE_PRIV_H

#include "base/map.h"
#include "base/vec.h"
#include "template/template.h"

/* --- values: value.c --------------------------------------------------------------------------------------- */

struct template_entry {
	struct cox_str key;
	struct cox_template_value value;
};
struct cox_template_map {
	bool is_text;
	struct template_entry *p; /* in the order of keys */
	size_t n, cap;
};

static inline bool template_is_nothing(const struct cox_template_value *v)
{
	return v->kind == COX_TEMPLATE_NONE || v->kind == COX_TEMPLATE_NIL;
}
/* Go's name of the type, for messages. */
const char *template_type_name(const struct cox_template_value *v);
void template_map_remove(struct cox_template_value *map, struct cox_str key);
/* What sprig calls empty: the `default` function's question. */
bool template_is_empty(const struct cox_template_value *v);
/* Deep, by content. */
enum cox_rc template_equal(struct cox_template_call *call, const struct cox_template_value *a, const struct cox_template_value *b,
                           bool *out);
enum cox_rc template_copy(struct cox_template_call *call, const struct cox_template_value *v, struct cox_template_value *out);
/* fmt.Sprintf of `format`. format.c */
enum cox_rc template_printf(struct cox_template_call *call, struct cox_buf *out, struct cox_str format,
                            const struct cox_template_value *args, size_t n);
/* Go's %v of a float, and its %q of a text. */
void template_print_float(struct cox_buf *out, double v);
void template_print_quoted(struct cox_buf *out, struct cox_str s);

/* --- trees: parse.c ------------------------------------------------------------------------------------------ */

enum template_node_kind {
	TN_TEXT,
	TN_LIST, /* kids: nodes */
	TN_ACTION,
	TN_IF,
	TN_WITH,
	TN_RANGE,
	TN_TEMPLATE,
	TN_BREAK,
	TN_CONTINUE,
	TN_PIPE,    /* kids: commands */
	TN_COMMAND, /* kids: operands */
	TN_DOT,
	TN_NIL,
	TN_CONSTANT,
	TN_FIELD,    /* fields: of dot */
	TN_VARIABLE, /* text: the name with $; fields: of it */
	TN_FUNCTION, /* func */
	TN_CHAIN,    /* kids[0]: a pipe or function; fields: of it */
};
struct template_node {
	enum template_node_kind kind;
	int line;
	struct cox_str text; /* TEXT; TEMPLATE and VARIABLE: the name */
	struct cox_template_value constant;
	struct cox_str *fields;
	size_t field_n;
	struct template_node **kids;
	size_t kid_n;
	struct template_node *pipe, *body, *other; /* IF, WITH, RANGE, ACTION, TEMPLATE */
	struct cox_str decl[2];                    /* of a PIPE */
	unsigned decl_n;
	bool is_assign;
	const struct cox_template_func *func;
};
struct template_tree {
	struct cox_str name;
	const struct template_node *root;
	bool is_empty; /* spaces and comments alone */
};
struct cox_template_set {
	struct cox_arena own, *arena; /* arena: own, or a run's for what `tpl` parses, since its constants may live on in values */
	enum cox_template_dialect dialect;
	const struct cox_template_func *funcs;
	size_t func_n;
	struct cox_map trees;                  /* name -> struct template_tree */
	const struct cox_template_set *parent; /* of a set made for `tpl` */
};
const struct template_tree *template_set_find(const struct cox_template_set *set, struct cox_str name);
enum cox_rc template_parse(struct cox_template_set *set, struct cox_str name, struct cox_str text, struct cox_err *err);
/* The caller's, or the table's; NULL: not known. functions.c */
const struct cox_template_func *template_func_find(const struct cox_template_set *set, struct cox_str name);

/* --- runs: eval.c ----------------------------------------------------------------------------------------------- */

struct template_var {
	struct cox_str name;
	struct cox_template_value value;
};
struct cox_template_run {
	struct cox_template_call call;
	const struct cox_template_set *set;
	const struct template_tree *tree; /* at work */
	const struct template_node *at;
	struct cox_buf *out;
	struct cox_err *err;
	COX_VEC(struct template_var) vars;
	size_t steps, depth, start_bytes;
	size_t frame; /* where the template's own variables begin */
	enum template_jump { TJ_NONE, TJ_BREAK, TJ_CONTINUE } jump;
};
enum cox_rc template_run_named(struct cox_template_run *run, struct cox_str name, const struct cox_template_value *dot,
                               struct cox_buf *out);
/* Counts a unit of work. COX_ELIMIT. */
enum cox_rc template_step(struct cox_template_run *run);
enum cox_rc template_deeper(struct cox_template_run *run);
static inline void template_shallower(struct cox_template_run *run) { run->depth--; }
/* What fills `out` becomes the result, a text in the arena; `out` is ended. */
enum cox_rc template_give_buf(struct cox_template_call *call, struct cox_buf *buf, enum cox_rc rc, struct cox_template_value *out);

/* --- functions --------------------------------------------------------------------------------------------------- */

/* A file's functions, ended by a row without name. */
struct template_func_row {
	struct cox_template_func f;
	int dialects; /* of which it is part */
};
extern const struct template_func_row template_funcs_go[], template_funcs_text[], template_funcs_data[], template_funcs_helm[];
/* and, or: evaluated by eval.c, which stops at the first that decides. */
cox_template_fn template_fn_and, template_fn_or;

#endif
