/*
 * template - an interpreter of Go's text/template language, with the functions that Istio's injection and chart templates use.
 * In:  templates' texts, a value tree, functions and objects of the caller's.  Out: text.
 * Thread: a set is written by one thread, then immutable and shared; a run belongs to the thread that makes it. Pure: no I/O, clock,
 * global.
 *
 * Every run is bounded (limits below): a template that loops, nests without end or grows is an error with the template's name and line.
 * A function that is not in the table (functions.c) or the caller's is refused when the template is parsed.
 */
#ifndef COX_TEMPLATE_TEMPLATE_H
#define COX_TEMPLATE_TEMPLATE_H

#include "codec/json.h"

enum {
	COX_TEMPLATE_TEXT_BYTES_MAX = 4 * 1024 * 1024,    /* of one template; an injector's ConfigMap is at most 1 MiB */
	COX_TEMPLATE_NEST_MAX = 64,                       /* of actions and parentheses in a text; Istio's nest 8 deep */
	COX_TEMPLATE_DEPTH_MAX = 400,                     /* of an evaluation, `include` counted: at most 260 KiB of the stack, of which
	                                                     threads of the HTTP server have 512 */
	COX_TEMPLATE_STEPS_MAX = 2 * 1000 * 1000,         /* Istio's largest chart takes 30,000 */
	COX_TEMPLATE_OUTPUT_BYTES_MAX = 16 * 1024 * 1024, /* a parser behind us takes no more */
	COX_TEMPLATE_MEMORY_BYTES_MAX = 64 * 1024 * 1024  /* of values made by one run */
};

/* --- values ------------------------------------------------------------------------------------------------- */

enum cox_template_kind {
	COX_TEMPLATE_NONE, /* no value: what a map has no entry for */
	COX_TEMPLATE_NIL,  /* null */
	COX_TEMPLATE_BOOL,
	COX_TEMPLATE_INT,
	COX_TEMPLATE_FLOAT, /* every number that came out of JSON or YAML, as in Go */
	COX_TEMPLATE_STRING,
	COX_TEMPLATE_LIST,
	COX_TEMPLATE_MAP,    /* shared: `set` changes it for all who hold it */
	COX_TEMPLATE_OBJECT, /* the caller's: what it has is its type's business */
};

struct cox_template_type;
struct cox_template_value;
struct cox_template_map;
struct cox_template_list {
	struct cox_template_value *items;
	size_t n;
};
struct cox_template_value {
	enum cox_template_kind kind;
	bool boolean;                         /* of BOOL; of OBJECT: it is a nil pointer */
	const struct cox_template_type *type; /* of OBJECT; of an INT that has a name (an enumeration) */
	union {
		int64_t integer;
		double real;
		struct cox_str text;
		struct cox_template_list list;
		struct cox_template_map *map;
		struct {
			const void *p, *more; /* the type's */
		} object;
	};
};

struct cox_template_value cox_template_str(struct cox_str s);
struct cox_template_value cox_template_int(int64_t v);
struct cox_template_value cox_template_bool(bool v);
/* Of a whole tree, copied into the arena (text is borrowed); NULL gives NIL. */
struct cox_template_value cox_template_of_json(struct cox_arena *arena, const struct cox_json *v);
/* An empty map. `is_text`: Go's map[string]string, whose missing entries are "" to `index`; else map[string]any. */
struct cox_template_value cox_template_map_new(struct cox_arena *arena, bool is_text);
void cox_template_map_set(struct cox_arena *arena, struct cox_template_value *map, struct cox_str key, struct cox_template_value v);
/* NULL: absent, or no map. */
const struct cox_template_value *cox_template_map_get(const struct cox_template_value *map, struct cox_str key);
size_t cox_template_map_size(const struct cox_template_value *map);
/* Entry i in the order of keys. */
const struct cox_template_value *cox_template_map_at(const struct cox_template_value *map, size_t i, struct cox_str *key);
/* What `if` makes of it. */
bool cox_template_is_true(const struct cox_template_value *v);

/* --- what the caller adds ------------------------------------------------------------------------------------ */

struct cox_template_run;
struct cox_template_call {
	struct cox_arena *arena; /* of the run: results live here */
	void *ctx;               /* of cox_template_run_spec */
	struct cox_template_run *run;
};
/* Ends the run with this text; returns COX_EINVAL. */
enum cox_rc cox_template_fail(struct cox_template_call *call, const char *fmt, ...) COX_PRINTF(2, 3);
/* Is there room for so many bytes more? Called before a function makes something whose size the template decides. COX_ELIMIT. */
COX_MUST_USE enum cox_rc cox_template_reserve(struct cox_template_call *call, size_t bytes);
/* As `print` and `toString` show it. Appends. */
COX_MUST_USE enum cox_rc cox_template_print(struct cox_template_call *call, struct cox_buf *out, const struct cox_template_value *v);
/* As JSON, keys sorted; NONE and NIL give null. */
COX_MUST_USE enum cox_rc cox_template_to_json(struct cox_template_call *call, const struct cox_template_value *v, struct cox_json *out);

typedef enum cox_rc cox_template_fn(struct cox_template_call *call, const struct cox_template_value *args, size_t n,
                                    struct cox_template_value *out);
/* `params` has a letter for each parameter: s text, i whole number, b truth, m map, l list, a anything; a last letter with * behind it
 * may come any number of times. Arguments are checked against it before the call; nothing is NIL for `a` and an error for the others. */
struct cox_template_func {
	const char *name, *params;
	cox_template_fn *fn;
};
struct cox_template_type {
	const char *name; /* in messages: "v1.PodSpec" */
	/* The member `name`, or the method with these arguments. COX_ENOTFOUND: there is none; else cox_template_fail(). NULL: has none. */
	enum cox_rc (*get)(struct cox_template_call *call, const struct cox_template_value *v, struct cox_str name,
	                   const struct cox_template_value *args, size_t n, struct cox_template_value *out);
	/* Its text, where it has one of its own; may be NULL. */
	struct cox_str (*text)(struct cox_arena *arena, const struct cox_template_value *v);
	/* Its JSON; NULL where it has none. May be NULL. */
	const struct cox_json *(*json)(struct cox_arena *arena, const struct cox_template_value *v);
};

/* --- templates -------------------------------------------------------------------------------------------------- */

enum cox_template_dialect {
	COX_TEMPLATE_GO = 1,    /* text/template alone */
	COX_TEMPLATE_SPRIG = 2, /* with sprig's functions: Istio's injector */
	COX_TEMPLATE_HELM = 4   /* with sprig's and Helm's (include, tpl, required, toYaml ...); no value is printed as nothing */
};

struct cox_template_set;
/* Gives a set without templates. `funcs` (borrowed: they must outlive it) go before the table's of the same name. */
struct cox_template_set *cox_template_set_new(enum cox_template_dialect dialect, const struct cox_template_func *funcs, size_t n);
void cox_template_set_free(struct cox_template_set **set);
/* Parses `text` as the template `name`; what it defines is added too. Copies. A later one of the same name replaces it, unless it is
 * empty. COX_EINVAL: not a template, or a function that is not known; COX_ELIMIT: too large. err->path is the name, err->line the line. */
COX_MUST_USE enum cox_rc cox_template_set_add(struct cox_template_set *set, struct cox_str name, struct cox_str text, struct cox_err *err);
bool cox_template_set_has(const struct cox_template_set *set, struct cox_str name);

struct cox_template_run_spec {
	const struct cox_template_set *set;
	struct cox_str name;
	const struct cox_template_value *dot;
	void *ctx; /* for the caller's functions and types */
};
/* Runs a template and appends its text. Values made on the way live in `arena`. COX_ENOTFOUND: no template `name`; COX_EINVAL: it failed;
 * COX_ELIMIT: it passed a limit; `out` then holds a part. err->path is the name of the template it happened in, err->line its line. */
COX_MUST_USE enum cox_rc cox_template_run(const struct cox_template_run_spec *spec, struct cox_arena *arena, struct cox_buf *out,
                                          struct cox_err *err);

/* The table: name i, or NULL behind the last. For documents and tests. */
const char *cox_template_function_name(size_t i, enum cox_template_dialect dialect);

#endif
