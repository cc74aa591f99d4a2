/* explain.c - opening what is to be explained, and the answer as a whole. */
#include "tool/explain_priv.h"

#include "base/file.h"
#include "tool/fetch.h"

#include <stdarg.h>
#include <stdio.h>

enum { DUMP_BYTES_MAX = 512 * 1024 * 1024 };

/* --- building JSON -------------------------------------------------------------------------------- */

void js_str(struct cox_arena *a, struct cox_json *o, const char *key, struct cox_str v)
{
	if (v.n > 0)
		cox_json_set(a, o, cox_str_of(key), cox_json_new_str(a, v));
}
void js_int(struct cox_arena *a, struct cox_json *o, const char *key, int64_t v)
{
	cox_json_set(a, o, cox_str_of(key), cox_json_new_i64(a, v));
}
void js_bool(struct cox_arena *a, struct cox_json *o, const char *key, bool v)
{
	cox_json_set(a, o, cox_str_of(key), cox_json_new_bool(a, v));
}
struct cox_json *js_put(struct cox_arena *a, struct cox_json *o, const char *key, struct cox_json *v)
{
	return v ? cox_json_set(a, o, cox_str_of(key), v) : NULL;
}

void explain_note(struct question *q, const char *fmt, ...)
{
	struct cox_buf b = { 0 };
	va_list ap;
	va_start(ap, fmt);
	cox_buf_vprintf(&b, fmt, ap);
	va_end(ap);
	cox_vec_push(&q->notes, cox_arena_str(q->a, cox_buf_str(&b)));
	cox_buf_fini(&b);
}

/* --- opening ---------------------------------------------------------------------------------------- */

void explained_fini(struct explained *x)
{
	cox_oracle_fini(&x->oracle);
	cox_route_notes_fini(&x->notes);
	cox_proxy_unref(x->proxy);
	cox_arena_fini(&x->arena);
	*x = (struct explained){ 0 };
}

static void identity_set(struct explained *x, const struct cox_proxy *p)
{
	x->ns = p->ns, x->name = p->name, x->ip = p->ips.p[0];
	x->labels.p = p->labels.p, x->labels.n = p->labels.n;
	x->is_router = p->type == COX_PROXY_ROUTER;
}

/* Renders what the objects give, with notes of where each route came from. */
enum cox_rc explained_open(struct cox_explain *e, const struct cox_who *who, struct explained *out, struct cox_err *err)
{
	struct cox_rendered rendered = { 0 };
	struct cox_json *tree = NULL;
	COX_TRY(cox_world_proxy(e->world, who, &out->proxy, err));
	identity_set(out, out->proxy);
	out->pod = cox_world_pod_find(e->world, who->proxy);
	cox_translate_proxy_noted(e->world->snapshot, out->proxy, e->world->memo, &out->notes, &rendered);
	enum cox_rc rc = cox_rendered_to_json(&rendered, COX_TYPE_COUNT, &out->arena, &tree, err);
	cox_rendered_fini(&rendered);
	out->rendered = tree;
	return rc;
}

static enum cox_rc text_read(const char *path, struct cox_arena *a, struct cox_str *out, struct cox_err *err)
{
	struct cox_buf text = { 0 };
	enum cox_rc rc = cox_file_read_arg(path, DUMP_BYTES_MAX, &text, err);
	if (rc == COX_OK)
		*out = cox_arena_str(a, cox_buf_str(&text));
	cox_buf_fini(&text);
	return rc;
}

static enum cox_rc dump_open(struct cox_explain *e, const struct cox_explain_options *o, struct cox_err *err)
{
	struct cox_json *tree = NULL;
	struct cox_str text;
	if (o->config_dump) {
		COX_TRY(text_read(o->config_dump, &e->start.arena, &text, err));
		COX_TRY(cox_json_parse_answer(&e->start.arena, text, &tree, err));
	} else {
		COX_TRY(cox_tool_fetch_dump(o->server, o->who.proxy, &e->start.arena, &tree, err));
	}
	COX_TRY(cox_oracle_add_dump(&e->start.oracle, tree, err));
	e->start.is_dump = true;
	return COX_OK;
}

/* Without objects a proxy has the name that it is called by, and no more. */
static void nameless(struct cox_explain *e, const struct cox_explain_options *o)
{
	ptrdiff_t dot = cox_str_rfind(o->who.proxy, '.');
	struct explained *x = &e->start;
	x->name = cox_arena_str(&e->arena, cox_str_sub(o->who.proxy, 0, dot < 0 ? SIZE_MAX : (size_t)dot));
	x->ns = dot < 0 ? COX_STR("default") : cox_arena_str(&e->arena, cox_str_sub(o->who.proxy, (size_t)dot + 1, SIZE_MAX));
	x->is_router = o->who.is_router;
}

static enum cox_rc world_open(struct cox_explain *e, const struct cox_explain_options *o, struct cox_buf *notes, struct cox_err *err)
{
	if (!o->path && !o->server)
		return COX_OK;
	e->world = cox_world_new(&o->world);
	if (o->path)
		COX_TRY(cox_world_load(e->world, o->path, notes, err));
	else
		COX_TRY(cox_tool_fetch_world(o->server, e->world, notes, err));
	if (o->server)
		COX_TRY(cox_tool_fetch_nodes(o->server, &e->arena, &e->nodes, err));
	cox_world_freeze(e->world, NULL);
	cox_world_note(e->world, notes);
	return COX_OK;
}

static enum cox_rc start_open(struct cox_explain *e, const struct cox_explain_options *o, struct cox_err *err)
{
	struct explained *x = &e->start;
	bool dumped = o->config_dump || o->server;
	if (e->world) {
		struct cox_who who = o->who;
		who.node = cox_tool_node_find(e->nodes, who.proxy);
		enum cox_rc rc = explained_open(e, &who, x, err);
		if (rc != COX_OK && !(dumped && rc == COX_ENOTFOUND))
			return rc;
	}
	if (x->proxy == NULL)
		nameless(e, o);
	if (dumped)
		return dump_open(e, o, err);
	if (x->rendered == NULL)
		return cox_err_set(err, COX_EINVAL, NULL, "neither objects (-f) nor a configuration (--config-dump, --server) are given");
	cox_oracle_add_rendered(&x->oracle, x->rendered);
	return COX_OK;
}

enum cox_rc cox_explain_open(const struct cox_explain_options *o, struct cox_explain **out, struct cox_buf *notes, struct cox_err *err)
{
	struct cox_explain *e = cox_zalloc(sizeof(*e));
	e->is_upstream = o->who.is_upstream, e->no_sds = o->who.no_sds;
	enum cox_rc rc = world_open(e, o, notes, err);
	if (rc == COX_OK)
		rc = start_open(e, o, err);
	if (rc != COX_OK) {
		cox_explain_close(&e);
		return rc;
	}
	*out = e;
	return COX_OK;
}

void cox_explain_close(struct cox_explain **at)
{
	struct cox_explain *e = *at;
	*at = NULL;
	if (e == NULL)
		return;
	explained_fini(&e->start);
	for (struct cox_map_entry *m = NULL; (m = cox_map_next(&e->others, m));) {
		explained_fini(m->value);
		cox_free(m->value);
	}
	cox_map_fini(&e->others);
	cox_world_free(&e->world);
	cox_arena_fini(&e->arena);
	cox_free(e);
}

/* --- the answer ------------------------------------------------------------------------------------- */

static struct cox_json *from_json(const struct question *q)
{
	const struct explained *x = &q->e->start;
	struct cox_json *o = cox_json_new_object(q->a);
	js_str(q->a, o, "proxy", cox_arena_printf(q->a, "%.*s.%.*s", COX_FMT(x->name), COX_FMT(x->ns)));
	js_str(q->a, o, "kind", x->is_router ? COX_STR("gateway") : COX_STR("sidecar"));
	js_str(q->a, o, "configuration", x->is_dump ? COX_STR("dump") : COX_STR("objects"));
	return o;
}

static struct cox_json *to_json(const struct question *q)
{
	struct cox_json *o = cox_json_new_object(q->a), *headers = cox_json_new_object(q->a);
	js_str(q->a, o, "scheme", q->scheme);
	js_str(q->a, o, "host", q->host);
	js_int(q->a, o, "port", q->r.dst_port);
	js_str(q->a, o, "address", q->r.dst_ip);
	js_str(q->a, o, "resolvedBy", q->resolved_by);
	if (q->r.is_http) {
		js_str(q->a, o, "method", q->r.method);
		js_str(q->a, o, "authority", q->r.authority);
		js_str(q->a, o, "path", q->r.path);
		for (COX_EACH(struct cox_oracle_header, h, q->r.headers))
			cox_json_set(q->a, headers, h->name, cox_json_new_str(q->a, h->value));
		js_put(q->a, o, "headers", headers->n ? headers : NULL);
	}
	js_str(q->a, o, "sni", q->r.sni);
	return o;
}

/* The cluster that surely gets it, or the one that most get. */
static struct cox_str main_cluster(const struct cox_oracle_walk *w)
{
	const struct cox_oracle_target *best = NULL;
	for (COX_EACH(struct cox_oracle_target, t, w->targets))
		if (best == NULL || t->percent > best->percent)
			best = t;
	return best ? best->cluster : (struct cox_str){ 0 };
}

static struct cox_json *answer(struct question *q, const struct cox_oracle_walk *w)
{
	struct cox_arena *a = q->a;
	struct cox_json *o = cox_json_new_object(a), *notes = cox_json_new_array(a);
	js_put(a, o, "from", from_json(q));
	js_put(a, o, "to", to_json(q));
	js_put(a, o, "outbound", explain_walk_json(q, &q->e->start, w));
	js_put(a, o, "inbound", explain_inbound(q, w));
	js_str(a, o, "outcome", cox_str_of(cox_oracle_outcome_name(w->outcome)));
	if (w->status)
		js_int(a, o, "status", w->status);
	js_str(a, o, "cluster", main_cluster(w));
	js_str(a, o, "why", w->why);
	explain_drift(q, &q->e->start, w);
	explain_near(q, &q->e->start);
	for (size_t i = 0; i < q->notes.n; i++)
		cox_json_push(a, notes, cox_json_new_str(a, q->notes.p[i]));
	js_put(a, o, "notes", notes->n ? notes : NULL);
	return o;
}

enum cox_rc cox_explain_route(struct cox_explain *e, const struct cox_explain_ask *ask, struct cox_arena *arena, struct cox_json **out,
                              struct cox_err *err)
{
	struct question q = { .e = e, .a = arena };
	struct cox_oracle_walk w;
	enum cox_rc rc = question_prepare(&q, ask, err);
	if (rc == COX_OK) {
		cox_oracle_walk(&e->start.oracle, &q.r, arena, &w);
		*out = answer(&q, &w);
	}
	cox_vec_fini(&q.notes);
	return rc;
}
