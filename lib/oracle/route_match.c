/* route_match.c - RouteMatch: why a route is not taken, or what it was taken by. */
#include "oracle/oracle_priv.h"

#define NONE ((struct cox_str){ 0 })

static bool eq(struct cox_str a, struct cox_str b, bool sensitive) { return sensitive ? cox_str_eq(a, b) : cox_str_eq_nocase(a, b); }

static struct cox_str path_fault(struct walk *w, const struct cox_json *m)
{
	bool sensitive = oracle_bool(m, "case_sensitive", true);
	struct cox_str path = w->bare_path;
	const struct cox_json *v;
	if (oracle_get(m, "connect_matcher"))
		return cox_str_eq_cstr(w->r->method, "CONNECT") ? NONE : COX_STR("method is not CONNECT");
	if ((v = oracle_get(m, "prefix")))
		return eq(cox_str_sub(path, 0, v->text.n), v->text, sensitive)
		           ? NONE
		           : oracle_printf(w, "path \"%.*s\" has not prefix \"%.*s\"", COX_FMT(path), COX_FMT(v->text));
	if ((v = oracle_get(m, "path")))
		return eq(path, v->text, sensitive) ? NONE
		                                    : oracle_printf(w, "path \"%.*s\" is not \"%.*s\"", COX_FMT(path), COX_FMT(v->text));
	if ((v = oracle_get(m, "path_separated_prefix"))) {
		bool is = eq(cox_str_sub(path, 0, v->text.n), v->text, sensitive) && (path.n == v->text.n || path.p[v->text.n] == '/');
		return is ? NONE : oracle_printf(w, "path \"%.*s\" is not below \"%.*s\"", COX_FMT(path), COX_FMT(v->text));
	}
	if ((v = oracle_get(m, "safe_regex"))) {
		struct cox_str re = cox_json_str_at(v, "regex");
		return oracle_regex_matches(w, re, path)
		           ? NONE
		           : oracle_printf(w, "path \"%.*s\" does not match regex \"%.*s\"", COX_FMT(path), COX_FMT(re));
	}
	return COX_STR("it has a path match that is not known here");
}

/* The first value of a query parameter, as written. */
static bool query_value(const struct walk *w, struct cox_str name, struct cox_str *value)
{
	struct cox_str rest = w->query, part;
	while (rest.n > 0 && cox_str_next(&rest, '&', &part)) {
		ptrdiff_t at = cox_str_find(part, '=');
		struct cox_str key = at < 0 ? part : cox_str_sub(part, 0, (size_t)at);
		if (!cox_str_eq(key, name))
			continue;
		*value = at < 0 ? NONE : cox_str_sub(part, (size_t)at + 1, SIZE_MAX);
		return true;
	}
	return false;
}

static struct cox_str query_fault(struct walk *w, const struct cox_json *m)
{
	struct cox_str name = cox_json_str_at(m, "name"), value = { 0 };
	const struct cox_json *v = oracle_get(m, "string_match"), *present = oracle_get(m, "present_match");
	bool has = query_value(w, name, &value);
	if (v == NULL)
		return has == (present ? present->boolean : true)
		           ? NONE
		           : oracle_printf(w, "query parameter %.*s is %s", COX_FMT(name), has ? "there" : "absent");
	if (!has)
		return oracle_printf(w, "query parameter %.*s is absent", COX_FMT(name));
	return oracle_string_matches(w, v, value) ? NONE
	                                          : oracle_printf(w, "query parameter %.*s is \"%.*s\", not %.*s", COX_FMT(name),
	                                                          COX_FMT(value), COX_FMT(oracle_match_text(w, v)));
}

/* --- dynamic metadata -------------------------------------------------------------------------------- */

static bool value_matches(struct walk *w, const struct cox_json *m, const struct cox_json *v)
{
	const struct cox_json *c;
	if ((c = cox_json_at(m, "or_match.value_matchers"))) {
		for (ORACLE_EACH(one, c))
			if (value_matches(w, one, v))
				return true;
		return false;
	}
	if ((c = oracle_get(m, "present_match")))
		return (v != NULL) == c->boolean;
	if (v == NULL)
		return false;
	if ((c = oracle_get(m, "string_match")))
		return v->type == COX_JSON_STRING && oracle_string_matches(w, c, v->text);
	if ((c = oracle_get(m, "bool_match")))
		return v->type == COX_JSON_BOOL && v->boolean == c->boolean;
	if ((c = cox_json_at(m, "list_match.one_of"))) {
		for (ORACLE_EACH(item, v))
			if (value_matches(w, c, item))
				return true;
		return false;
	}
	return oracle_has(m, "null_match") && v->type == COX_JSON_NULL;
}

static struct cox_str metadata_fault(struct walk *w, const struct cox_json *m)
{
	const struct cox_json *v = cox_json_get(w->r->metadata, cox_json_str_at(m, "filter"));
	struct cox_str last = cox_json_str_at(m, "filter");
	for (ORACLE_EACH(segment, oracle_get(m, "path"))) {
		last = cox_json_str_at(segment, "key");
		v = cox_json_get(v, last);
	}
	bool is = value_matches(w, oracle_get(m, "value"), v) != oracle_bool(m, "invert", false);
	return is ? NONE : oracle_printf(w, "metadata (JWT claim) %.*s %s", COX_FMT(last), v ? "has another value" : "is absent");
}

/* --- all ----------------------------------------------------------------------------------------------- */

static struct cox_str fraction_fault(const struct cox_json *m)
{
	const struct cox_json *f = cox_json_at(m, "runtime_fraction.default_value");
	return oracle_has(m, "runtime_fraction") && oracle_percent(f) <= 0 ? COX_STR("its runtime fraction is 0") : NONE;
}

struct cox_str oracle_route_fault(struct walk *w, const struct cox_json *route)
{
	const struct cox_json *m = oracle_get(route, "match");
	struct cox_str why = path_fault(w, m);
	if (why.n == 0)
		why = fraction_fault(m);
	if (why.n == 0 && oracle_has(m, "grpc") && !w->is_grpc)
		why = COX_STR("the request is no gRPC");
	if (why.n == 0 && oracle_has(m, "tls_context"))
		why = COX_STR("it asks for the client's certificate, which is not known here");
	for (ORACLE_EACH(h, why.n == 0 ? oracle_get(m, "headers") : NULL))
		if (why.n == 0)
			why = oracle_header_fault(w, h);
	for (ORACLE_EACH(q, why.n == 0 ? oracle_get(m, "query_parameters") : NULL))
		if (why.n == 0)
			why = query_fault(w, q);
	for (ORACLE_EACH(d, why.n == 0 ? oracle_get(m, "dynamic_metadata") : NULL))
		if (why.n == 0)
			why = metadata_fault(w, d);
	return why;
}

struct cox_str oracle_route_reason(struct walk *w, const struct cox_json *route)
{
	static const char *const kinds[] = { "prefix", "path", "path_separated_prefix" };
	const struct cox_json *m = oracle_get(route, "match"), *v;
	struct cox_buf b = { 0 };
	for (size_t i = 0; i < COX_LEN(kinds); i++)
		if ((v = oracle_get(m, kinds[i])))
			cox_buf_printf(&b, "%s %.*s", i == 1 ? "path is" : i == 0 ? "path has prefix" : "path is below", COX_FMT(v->text));
	if ((v = oracle_get(m, "safe_regex")))
		cox_buf_printf(&b, "path matches %.*s", COX_FMT(cox_json_str_at(v, "regex")));
	for (ORACLE_EACH(h, oracle_get(m, "headers")))
		cox_buf_printf(
		    &b, ", header %.*s%s%.*s", COX_FMT(cox_json_str_at(h, "name")), oracle_bool(h, "invert_match", false) ? " not " : " ",
		    COX_FMT(oracle_has(h, "string_match") ? oracle_match_text(w, oracle_get(h, "string_match")) : COX_STR("present")));
	for (ORACLE_EACH(q, oracle_get(m, "query_parameters")))
		cox_buf_printf(
		    &b, ", query %.*s %.*s", COX_FMT(cox_json_str_at(q, "name")),
		    COX_FMT(oracle_has(q, "string_match") ? oracle_match_text(w, oracle_get(q, "string_match")) : COX_STR("present")));
	struct cox_str text = cox_arena_str(w->arena, cox_buf_str(&b));
	cox_buf_fini(&b);
	return text;
}
