/* gateway_api_table - rules of all routes at one host: their order, and the VirtualService made of them. */
#include "convert/gateway_api_priv.h"

#include "model/core.h"

#include <stdlib.h>

struct ga_table *ga_table_get(struct ga *g, struct cox_str ns, struct cox_str name, struct cox_str gateway, struct cox_str host,
                              const struct cox_object *first)
{
	struct cox_str key = cox_arena_printf(g->a, "%.*s %.*s %.*s", COX_FMT(ns), COX_FMT(gateway), COX_FMT(host));
	struct ga_table *t = cox_map_find(&g->tables_by_key, key);
	if (t)
		return t;
	t = COX_ARENA_NEW(g->a, struct ga_table);
	*t = (struct ga_table){ .key = key, .ns = ns, .name = name, .gateway = gateway, .host = host, .first = first };
	cox_map_set(&g->tables_by_key, key, t);
	cox_vec_push(&g->tables, t);
	return t;
}

/* --- precedence: the path, exact before expressions before prefixes, longer before shorter; a method; more headers; more parameters; age;
 * name; place --- */

enum { RANK_PREFIX, RANK_REGEX, RANK_EXACT }; /* an expression: else "/" would hide it */
struct rank {
	int path;
	size_t path_n, method_n, header_n, param_n;
};

static struct rank rank_of(const struct ga_entry *e)
{
	struct rank r = { .path = RANK_PREFIX, .path_n = 1 };
	const struct cox_gwapi_match *m = e->match;
	if (!m)
		return r;
	if (e->route->kind == COX_KIND_GRPC_ROUTE) {
		const struct cox_gwapi_method_match *p = m->grpc;
		size_t service = p ? p->service.n : 0, method = p ? p->method.n : 0;
		r.path = p && cox_str_eq_cstr(p->type, "RegularExpression") ? RANK_REGEX : service && method ? RANK_EXACT : RANK_PREFIX;
		r.path_n = service + 1;
		r.method_n = method;
	} else {
		if (m->path && cox_str_eq_cstr(m->path->type, "Exact"))
			r.path = RANK_EXACT;
		else if (m->path && cox_str_eq_cstr(m->path->type, "RegularExpression"))
			r.path = RANK_REGEX;
		if (m->path && m->path->value.n)
			r.path_n = m->path->value.n;
		if (r.path == RANK_PREFIX && r.path_n > 1 && m->path->value.p[r.path_n - 1] == '/')
			r.path_n--; /* "/a/" means what "/a" does */
		r.method_n = m->method.n > 0;
	}
	r.header_n = m->headers.n;
	r.param_n = m->query_params.n;
	return r;
}

static int more(size_t x, size_t y) { return x > y ? -1 : x < y; }

int ga_entry_cmp(const void *a, const void *b)
{
	const struct ga_entry *x = a, *y = b;
	struct rank p = rank_of(x), q = rank_of(y);
	int c = more((size_t)p.path, (size_t)q.path);
	c = c ? c : more(p.path_n, q.path_n);
	c = c ? c : more(p.method_n, q.method_n);
	c = c ? c : more(p.header_n, q.header_n);
	c = c ? c : more(p.param_n, q.param_n);
	if (!c && x->route != y->route) {
		const struct cox_meta *m = &x->route->meta, *n = &y->route->meta;
		c = (m->creation_ms > n->creation_ms) - (m->creation_ms < n->creation_ms);
		c = c ? c : cox_str_cmp(m->ns, n->ns);
		c = c ? c : cox_str_cmp(m->name, n->name);
		c = c ? c : (x->route->kind > y->route->kind) - (x->route->kind < y->route->kind);
	}
	c = c ? c : (x->rule > y->rule) - (x->rule < y->rule);
	c = c ? c : (x->at > y->at) - (x->at < y->at);
	return c ? c : (x->port > y->port) - (x->port < y->port);
}

/* --- documents --------------------------------------------------------------------------------------------------- */

static void list_write(struct ga *g, struct cox_json *spec, const char *key, const struct ga_l4 *p, size_t n)
{
	struct cox_json *list = n ? convert_array_at(g->run, spec, key) : NULL;
	for (size_t i = 0; i < n; i++)
		cox_json_push(g->a, list, p[i].route);
}

static struct cox_str sessions_of(struct ga *g, const struct ga_table *t, const struct ga_entry *only)
{
	struct cox_str text = { 0 };
	for (size_t i = 0; i < (only ? 1 : t->entries.n); i++) {
		struct cox_str line = ga_session_line(g, only ? only : &t->entries.p[i]);
		if (line.n && cox_str_search(text, line) < 0) /* one for all matches of a rule */
			text = cox_arena_concat(g->a, text, line);
	}
	return text;
}

/* With the entries of `only`, or all (NULL). */
static struct cox_json *document(struct ga *g, const struct ga_table *t, const struct ga_entry *only)
{
	struct cox_json *spec;
	struct cox_json *doc = convert_doc_new(g->run, COX_KIND_VIRTUAL_SERVICE, t->ns, t->name, t->first, &spec);
	/* Prefixes match whole elements of a path, and what has no cluster answers 500. */
	convert_doc_annotate(g->run, doc, "internal.istio.io/route-semantics", COX_STR("gateway"));
	convert_str_push(g->run, convert_array_at(g->run, spec, "hosts"), t->host);
	convert_str_push(g->run, convert_array_at(g->run, spec, "gateways"), t->gateway);
	bool is_for_all = cox_str_eq_cstr(t->gateway, "mesh") && !t->is_private;
	convert_str_push(g->run, convert_array_at(g->run, spec, "exportTo"), is_for_all ? COX_STR("*") : COX_STR("."));
	struct cox_json *http = only || t->entries.n ? convert_array_at(g->run, spec, "http") : NULL;
	for (size_t i = 0; i < (only ? 1 : t->entries.n); i++) {
		const struct ga_entry *e = only ? only : &t->entries.p[i];
		struct cox_json *route = convert_object_push(g->run, http);
		for (size_t k = 0; k < e->action->n; k++)
			cox_json_set(g->a, route, e->action->members[k].key, &e->action->members[k].value);
		ga_http_match_write(g, route, e);
	}
	convert_doc_annotate(g->run, doc, "internal.istio.io/sessions", sessions_of(g, t, only));
	if (only)
		return doc;
	list_write(g, spec, "tls", t->tls.p, t->tls.n);
	list_write(g, spec, "tcp", t->tcp.p, t->tcp.n);
	return doc;
}

/* One route's fault is not to take the others of the host with it. */
static void leave_out_bad(struct ga *g, struct ga_table *t)
{
	size_t n = 0;
	for (size_t i = 0; i < t->entries.n; i++) {
		struct ga_entry e = t->entries.p[i];
		if (convert_check(g->run, document(g, t, &e), e.route, cox_arena_printf(g->a, "spec.rules[%zu]", e.rule)))
			t->entries.p[n++] = e;
	}
	t->entries.n = n;
}

/* --- consumers --------------------------------------------------------------------------------------------------- */

/* Ports that routes of a table are for; 0 among them: for all. */
struct ports {
	COX_VEC(int64_t) items;
};

static bool is_covered(const struct ports *p, int64_t port)
{
	for (size_t i = 0; i < p->items.n; i++)
		if (p->items.p[i] == 0 || p->items.p[i] == port)
			return true;
	return false;
}

static void ports_collect(const struct ga_table *t, struct ports *out)
{
	for (size_t i = 0; i < t->entries.n; i++)
		cox_vec_push(&out->items, t->entries.p[i].port);
	for (size_t i = 0; i < t->tls.n; i++)
		cox_vec_push(&out->items, t->tls.p[i].port);
	for (size_t i = 0; i < t->tcp.n; i++)
		cox_vec_push(&out->items, t->tcp.p[i].port);
}

static struct ga_l4 of_port(struct ga *g, const struct ga_l4 *from, int64_t port)
{
	struct cox_json *route = cox_json_clone(g->a, from->route);
	struct cox_json *matches = (struct cox_json *)cox_json_get(route, COX_STR("match"));
	convert_i64_at(g->run, matches ? &matches->items[0] : convert_object_push(g->run, convert_array_at(g->run, route, "match")), "port",
	               port);
	return (struct ga_l4){ route, port };
}

/* The producer's rules of one port, as they are where they name it, or made for it where they are for all. */
static void inherit_port(struct ga *g, struct ga_table *t, const struct ga_table *producer, int64_t port)
{
	for (size_t i = 0; i < producer->entries.n; i++) {
		struct ga_entry e = producer->entries.p[i];
		if (e.port && e.port != port)
			continue;
		e.port = port;
		cox_vec_push(&t->entries, e);
	}
	for (size_t i = 0; i < producer->tls.n; i++)
		if (!producer->tls.p[i].port || producer->tls.p[i].port == port)
			cox_vec_push(&t->tls, of_port(g, &producer->tls.p[i], port));
	for (size_t i = 0; i < producer->tcp.n; i++)
		if (!producer->tcp.p[i].port || producer->tcp.p[i].port == port)
			cox_vec_push(&t->tcp, of_port(g, &producer->tcp.p[i], port));
}

/* A consumer's VirtualService takes the place of the producer's for its namespace. What the consumer's routes are for is a port of the
 * Service, or all: on the other ports the producer's routes stay in force. */
static void inherit(struct ga *g, struct ga_table *t)
{
	struct ports ports = { 0 };
	const struct ga_table *producer = NULL;
	const struct cox_service_spec *svc = t->service ? COX_SPEC(cox_service, t->service)->spec : NULL;
	for (size_t i = 0; t->is_private && svc && i < g->tables.n; i++) {
		const struct ga_table *x = g->tables.p[i];
		if (x->service == t->service && !x->is_private)
			producer = x;
	}
	if (!producer)
		return;
	ports_collect(t, &ports);
	for (COX_EACH(struct cox_service_port, p, svc->ports))
		if (!is_covered(&ports, p->port.v))
			inherit_port(g, t, producer, p->port.v);
	cox_vec_fini(&ports.items);
}

static void table_emit(struct ga *g, struct ga_table *t)
{
	if (!t->entries.n && !t->tls.n && !t->tcp.n)
		return;
	if (t->entries.n > 1)
		qsort(t->entries.p, t->entries.n, sizeof(*t->entries.p), ga_entry_cmp);
	const struct cox_json *doc = document(g, t, NULL);
	if (!convert_check(g->run, doc, NULL, COX_STR(""))) {
		leave_out_bad(g, t);
		doc = document(g, t, NULL);
	}
	if (t->entries.n || t->tls.n || t->tcp.n)
		convert_emit(g->run, doc, t->first, COX_STR("spec.rules"));
}

void ga_tables_emit(struct ga *g)
{
	for (size_t i = 0; i < g->tables.n; i++)
		inherit(g, g->tables.p[i]);
	for (size_t i = 0; i < g->tables.n; i++)
		table_emit(g, g->tables.p[i]);
}
