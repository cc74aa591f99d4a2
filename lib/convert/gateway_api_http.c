/* gateway_api_http - rules of HTTPRoutes and GRPCRoutes as routes of a VirtualService. */
#include "convert/gateway_api_priv.h"

#include <stdio.h>

/* --- text ------------------------------------------------------------------------------------------------- */

/* `s` with a backslash before each of `special`. */
static struct cox_str escape(struct ga *g, struct cox_str s, const char *special)
{
	char *out = cox_arena_alloc(g->a, s.n * 2 + 1);
	size_t n = 0;
	for (size_t i = 0; i < s.n; i++) {
		if (memchr(special, s.p[i], strlen(special)))
			out[n++] = '\\';
		out[n++] = s.p[i];
	}
	return (struct cox_str){ out, n };
}
#define REGEX_SPECIAL "\\.+*?()|[]{}^$"

static struct cox_str without_slashes(struct cox_str s)
{
	while (s.n && s.p[s.n - 1] == '/')
		s.n--;
	return s;
}

static void seconds_at(struct ga *g, struct cox_json *to, const char *key, int64_t ns)
{
	char text[32];
	cox_duration_format(ns, text);
	convert_str_at(g->run, to, key, cox_arena_str(g->a, cox_str_of(text)));
}

/* --- matches ------------------------------------------------------------------------------------------------ */

static bool is_regex(struct cox_str type) { return cox_str_eq_cstr(type, "RegularExpression"); }

static void values_write(struct ga *g, struct cox_json *m, const char *key, const struct cox_gwapi_value_match *p, size_t n, bool is_header)
{
	struct cox_json *to = n ? convert_object_at(g->run, m, key) : NULL;
	for (size_t i = 0; i < n; i++) {
		char *name = cox_arena_alloc(g->a, p[i].name.n + 1);
		for (size_t k = 0; k < p[i].name.n; k++)
			name[k] =
			    is_header && p[i].name.p[k] >= 'A' && p[i].name.p[k] <= 'Z' ? (char)(p[i].name.p[k] | 0x20) : p[i].name.p[k];
		struct cox_str lower = { name, p[i].name.n };
		if (cox_json_get(to, lower))
			continue; /* of equal names the first one counts */
		struct cox_json *v = cox_json_set(g->a, to, lower, cox_json_new_object(g->a));
		convert_str_at(g->run, v, is_regex(p[i].type) ? "regex" : "exact", p[i].value);
	}
}

static void path_write(struct ga *g, struct cox_json *m, const struct cox_gwapi_path_match *p)
{
	const char *how = !p || !p->type.n || cox_str_eq_cstr(p->type, "PathPrefix") ? "prefix" : is_regex(p->type) ? "regex" : "exact";
	convert_str_at(g->run, convert_object_at(g->run, m, "uri"), how, p && p->value.n ? p->value : COX_STR("/"));
}

static void grpc_path_write(struct ga *g, struct cox_json *m, const struct cox_gwapi_method_match *p)
{
	struct cox_json *uri = convert_object_at(g->run, m, "uri");
	if (!p || (!p->service.n && !p->method.n))
		convert_str_at(g->run, uri, "prefix", COX_STR("/"));
	else if (is_regex(p->type))
		convert_str_at(g->run, uri, "regex",
		               cox_arena_printf(g->a, "/%.*s/%.*s", COX_FMT(p->service.n ? p->service : COX_STR("[^/]+")),
		                                COX_FMT(p->method.n ? p->method : COX_STR("[^/]+"))));
	else if (p->service.n && p->method.n)
		convert_str_at(g->run, uri, "exact", cox_arena_printf(g->a, "/%.*s/%.*s", COX_FMT(p->service), COX_FMT(p->method)));
	else if (p->service.n)
		convert_str_at(g->run, uri, "prefix", cox_arena_printf(g->a, "/%.*s", COX_FMT(p->service)));
	else
		convert_str_at(g->run, uri, "regex", cox_arena_printf(g->a, "/[^/]+/%.*s", COX_FMT(escape(g, p->method, REGEX_SPECIAL))));
}

void ga_http_match_write(struct ga *g, struct cox_json *to, const struct ga_entry *e)
{
	struct cox_json *m = convert_object_push(g->run, convert_array_at(g->run, to, "match"));
	if (e->route->kind == COX_KIND_GRPC_ROUTE)
		grpc_path_write(g, m, e->match ? e->match->grpc : NULL);
	else
		path_write(g, m, e->match ? e->match->path : NULL);
	if (e->port)
		convert_i64_at(g->run, m, "port", e->port);
	if (!e->match)
		return;
	if (e->match->method.n)
		convert_str_at(g->run, convert_object_at(g->run, m, "method"), "exact", e->match->method);
	values_write(g, m, "headers", e->match->headers.p, e->match->headers.n, true);
	values_write(g, m, "queryParams", e->match->query_params.p, e->match->query_params.n, false);
}

/* --- filters -------------------------------------------------------------------------------------------------- */

static void redirect_write(struct ga *g, struct cox_json *to, const struct cox_gwapi_redirect *r)
{
	struct cox_json *d = convert_object_at(g->run, to, "redirect");
	convert_str_at(g->run, d, "scheme", r->scheme);
	convert_str_at(g->run, d, "authority", r->hostname);
	if (r->path && r->path->full.set)
		convert_str_at(g->run, d, "uri", r->path->full.v.n ? r->path->full.v : COX_STR("/"));
	if (r->path && r->path->prefix.set) {
		struct cox_str p = without_slashes(r->path->prefix.v);
		convert_str_at(g->run, d, "prefixRewrite", p.n ? p : COX_STR("/"));
	}
	if (r->port.set)
		convert_i64_at(g->run, d, "port", r->port.v);
	else
		convert_str_at(g->run, d, "derivePort", r->scheme.n ? COX_STR("FROM_PROTOCOL_DEFAULT") : COX_STR("FROM_REQUEST_PORT"));
	convert_i64_at(g->run, d, "redirectCode", r->status_code.set ? r->status_code.v : 302);
}

static void regex_rewrite_write(struct ga *g, struct cox_json *rewrite, struct cox_str match, struct cox_str by)
{
	struct cox_json *x = convert_object_at(g->run, rewrite, "uriRegexRewrite");
	convert_str_at(g->run, x, "match", match);
	convert_str_at(g->run, x, "rewrite", escape(g, by, "\\"));
}

/* "/a" -> "/": "/a/b" is to become "/b", which replacing the prefix alone would make "//b". "/" -> "/a": "/b" is to become "/a/b". */
static void prefix_rewrite_write(struct ga *g, struct cox_json *rewrite, const struct cox_gwapi_match *m, struct cox_str by)
{
	struct cox_str prefix = without_slashes(m && m->path ? m->path->value : (struct cox_str){ 0 }), with = without_slashes(by);
	if (!prefix.n && with.n)
		regex_rewrite_write(g, rewrite, COX_STR("^/"), cox_arena_concat(g->a, with, COX_STR("/")));
	else if (!with.n)
		regex_rewrite_write(g, rewrite, cox_arena_printf(g->a, "^%.*s/*", COX_FMT(escape(g, prefix, REGEX_SPECIAL))), COX_STR("/"));
	else
		convert_str_at(g->run, rewrite, "uri", with);
}

static void rewrite_write(struct ga *g, struct cox_json *to, const struct cox_gwapi_rewrite *r, const struct cox_gwapi_match *m)
{
	if (!r->hostname.n && !r->path)
		return;
	struct cox_json *rewrite = convert_object_at(g->run, to, "rewrite");
	convert_str_at(g->run, rewrite, "authority", r->hostname);
	if (r->path && r->path->full.set)
		regex_rewrite_write(g, rewrite, COX_STR("/.*"), r->path->full.v.n ? r->path->full.v : COX_STR("/"));
	else if (r->path && r->path->prefix.set)
		prefix_rewrite_write(g, rewrite, m, r->path->prefix.v);
}

static void mirror_write(struct ga *g, const struct cox_object *route, struct cox_json *to, const struct cox_gwapi_mirror *f,
                         struct ga_fault *resolved)
{
	struct ga_backend b;
	if (!f->backend || !ga_backend_resolve(g, route, f->backend, &b, resolved))
		return; /* copies go nowhere; requests are not concerned */
	struct cox_json *list = (struct cox_json *)cox_json_get(to, COX_STR("mirrors"));
	struct cox_json *m = convert_object_push(g->run, list ? list : convert_array_at(g->run, to, "mirrors"));
	ga_destination_write(g, m, &b);
	double percent = f->percent.set ? (double)f->percent.v : 100;
	if (f->fraction) {
		double of = f->fraction->denominator.set && f->fraction->denominator.v > 0 ? (double)f->fraction->denominator.v : 100;
		percent = (double)f->fraction->numerator.v * 100 / of;
	}
	cox_json_set(g->a, convert_object_at(g->run, m, "percentage"), COX_STR("value"), cox_json_new_f64(g->a, percent));
}

static void strs_write(struct ga *g, struct cox_json *to, const char *key, const struct cox_str *p, size_t n)
{
	struct cox_json *list = n ? convert_array_at(g->run, to, key) : NULL;
	for (size_t i = 0; i < n; i++)
		convert_str_push(g->run, list, p[i]);
}

static void cors_write(struct ga *g, struct cox_json *to, const struct cox_gwapi_cors *c)
{
	struct cox_json *p = convert_object_at(g->run, to, "corsPolicy");
	struct cox_json *origins = c->allow_origins.n ? convert_array_at(g->run, p, "allowOrigins") : NULL;
	for (COX_EACH(struct cox_str, o, c->allow_origins)) {
		struct cox_json *m = convert_object_push(g->run, origins);
		ptrdiff_t star = cox_str_find(*o, '*');
		if (star < 0)
			convert_str_at(g->run, m, "exact", *o);
		else
			convert_str_at(g->run, m, "regex",
			               cox_arena_printf(g->a, "%.*s.*%.*s",
			                                COX_FMT(escape(g, cox_str_sub(*o, 0, (size_t)star), REGEX_SPECIAL)),
			                                COX_FMT(escape(g, cox_str_sub(*o, (size_t)star + 1, SIZE_MAX), REGEX_SPECIAL))));
	}
	strs_write(g, p, "allowMethods", c->allow_methods.p, c->allow_methods.n);
	strs_write(g, p, "allowHeaders", c->allow_headers.p, c->allow_headers.n);
	strs_write(g, p, "exposeHeaders", c->expose_headers.p, c->expose_headers.n);
	if (c->allow_credentials.set)
		convert_bool_at(g->run, p, "allowCredentials", c->allow_credentials.v);
	seconds_at(g, p, "maxAge", (c->max_age_s.set ? c->max_age_s.v : 5) * 1000000000);
}

/* --- times and tries ---------------------------------------------------------------------------------------- */

static void retries_write(struct ga *g, struct cox_json *to, const struct cox_gwapi_rule *r)
{
	bool has_try_limit = r->timeouts && r->timeouts->backend_request_ns.set && r->timeouts->backend_request_ns.v > 0;
	if (r->timeouts && r->timeouts->request_ns.set)
		seconds_at(g, to, "timeout", r->timeouts->request_ns.v);
	if (!r->retry && !has_try_limit)
		return;
	struct cox_json *retries = convert_object_at(g->run, to, "retries");
	convert_i64_at(g->run, retries, "attempts", r->retry && r->retry->attempts.set ? r->retry->attempts.v : 2);
	if (has_try_limit)
		seconds_at(g, retries, "perTryTimeout", r->timeouts->backend_request_ns.v);
	if (!r->retry)
		return;
	struct cox_str on = COX_STR("connect-failure,refused-stream,unavailable,cancelled");
	for (COX_EACH(struct cox_opt_i64, code, r->retry->codes))
		on = cox_arena_printf(g->a, "%.*s,%lld", COX_FMT(on), (long long)code->v);
	convert_str_at(g->run, retries, "retryOn", on);
	if (r->retry->backoff_ns.set && r->retry->backoff_ns.v > 0)
		seconds_at(g, retries, "backoff", r->retry->backoff_ns.v);
}

/* --- rules ---------------------------------------------------------------------------------------------------- */

static bool filters_write(struct ga *g, const struct cox_object *route, const struct cox_gwapi_rule *r, const struct cox_gwapi_match *m,
                          struct cox_json *to, struct ga_fault *resolved)
{
	bool is_redirect = false;
	ga_headers_write(g, to, r->filters.p, r->filters.n);
	for (COX_EACH(struct cox_gwapi_filter, f, r->filters)) {
		if (f->redirect) {
			redirect_write(g, to, f->redirect);
			is_redirect = true;
		}
		if (f->rewrite)
			rewrite_write(g, to, f->rewrite, m);
		if (f->mirror)
			mirror_write(g, route, to, f->mirror, resolved);
		if (f->cors)
			cors_write(g, to, f->cors);
	}
	return is_redirect;
}

static void find_bad_regex(struct ga *g, size_t rule, struct cox_str text, struct ga_fault *accepted)
{
	if (cox_format_check("regex", text))
		*accepted = (struct ga_fault){ "UnsupportedValue", cox_arena_printf(g->a, "rules[%zu]: \"%.*s\" %s", rule, COX_FMT(text),
			                                                            cox_format_check("regex", text)) };
}

static void find_bad_regexes(struct ga *g, size_t rule, const struct cox_gwapi_match *m, struct ga_fault *accepted)
{
	if (m->path && is_regex(m->path->type))
		find_bad_regex(g, rule, m->path->value, accepted);
	if (m->grpc && is_regex(m->grpc->type)) {
		find_bad_regex(g, rule, m->grpc->service, accepted);
		find_bad_regex(g, rule, m->grpc->method, accepted);
	}
	for (COX_EACH(struct cox_gwapi_value_match, v, m->headers))
		if (is_regex(v->type))
			find_bad_regex(g, rule, v->value, accepted);
	for (COX_EACH(struct cox_gwapi_value_match, v, m->query_params))
		if (is_regex(v->type))
			find_bad_regex(g, rule, v->value, accepted);
}

/* What cannot be done, and must not be left out silently: such a rule answers with an error. */
static void find_faults(struct ga *g, const struct cox_object *route, const struct cox_gwapi_rule *r, size_t rule,
                        struct ga_fault *accepted, struct ga_fault *resolved)
{
	bool redirects = false, rewrites = false;
	for (COX_EACH(struct cox_gwapi_filter, f, r->filters)) {
		redirects |= f->redirect != NULL;
		rewrites |= f->rewrite != NULL;
		if (f->extension && !resolved->reason)
			*resolved = (struct ga_fault){ "InvalidKind",
				                       cox_arena_printf(g->a, "rules[%zu]: there is no filter %.*s %.*s", rule,
				                                        COX_FMT(f->extension->kind.v), COX_FMT(f->extension->name)) };
	}
	if (redirects && rewrites)
		*accepted =
		    (struct ga_fault){ "IncompatibleFilters",
			               cox_arena_printf(g->a, "rules[%zu]: RequestRedirect and URLRewrite exclude each other", rule) };
	for (COX_EACH(struct cox_gwapi_backend, b, r->backends))
		for (COX_EACH(struct cox_gwapi_filter, f, b->filters))
			if (f->redirect || f->rewrite || f->mirror || f->cors || f->extension)
				*accepted = (struct ga_fault){ "UnsupportedValue",
					                       cox_arena_printf(g->a, "rules[%zu]: a backend takes no filter of type %.*s",
					                                        rule, COX_FMT(f->type)) };
	const struct cox_gwapi_session *s = r->session_persistence;
	if (s && s->idle_timeout_ns.set)
		convert_finding(g->run, route, COX_SEV_WARNING,
		                cox_arena_printf(g->a, "spec.rules[%zu].sessionPersistence.idleTimeout", rule), "has no effect");
	if (s && cox_str_eq_cstr(s->type, "Header") && s->absolute_timeout_ns.set)
		convert_finding(g->run, route, COX_SEV_WARNING,
		                cox_arena_printf(g->a, "spec.rules[%zu].sessionPersistence.absoluteTimeout", rule),
		                "has no effect: a header has no lifetime");
}

/* Which endpoint a client has is in the cookie or header itself (translate/session.h): nothing is kept by the proxy. */
struct cox_str ga_session_line(struct ga *g, const struct ga_entry *e)
{
	const struct cox_gwapi_session *s = COX_SPEC(cox_gwapi_route_object, e->route)->spec->rules.p[e->rule].session_persistence;
	if (!s)
		return (struct cox_str){ 0 };
	struct cox_str rule = cox_arena_printf(g->a, "%.*s.%.*s.%zu", COX_FMT(e->route->meta.ns), COX_FMT(e->route->meta.name), e->rule);
	struct cox_hash h = cox_hash128(rule.p, rule.n);
	bool is_permanent = s->cookie && cox_str_eq_cstr(s->cookie->lifetime_type, "Permanent") && s->absolute_timeout_ns.set;
	struct cox_str name = s->name.n ? s->name : cox_arena_printf(g->a, "session-%08x", (unsigned)h.lo);
	return cox_arena_printf(g->a, "%.*s %s %.*s %lld\n", COX_FMT(rule), cox_str_eq_cstr(s->type, "Header") ? "header" : "cookie",
	                        COX_FMT(name), is_permanent ? (long long)(s->absolute_timeout_ns.v / 1000000000) : 0);
}

struct cox_json *ga_http_route(struct ga *g, const struct cox_object *route, size_t rule, size_t match, struct ga_fault *accepted,
                               struct ga_fault *resolved)
{
	const struct cox_gwapi_route *spec = COX_SPEC(cox_gwapi_route_object, route)->spec;
	const struct cox_gwapi_rule *r = &spec->rules.p[rule];
	struct ga_fault custom = { 0 }, wrong = { 0 };
	struct cox_json *to = cox_json_new_object(g->a);
	convert_str_at(g->run, to, "name",
	               cox_arena_printf(g->a, "%.*s.%.*s.%zu.%zu", COX_FMT(route->meta.ns), COX_FMT(route->meta.name), rule, match));
	struct ga_fault bad_match = { 0 };
	if (match < r->matches.n)
		find_bad_regexes(g, rule, &r->matches.p[match], &bad_match);
	if (bad_match.reason) {
		*accepted = bad_match;
		return NULL;
	}
	find_faults(g, route, r, rule, &wrong, &custom);
	bool is_redirect = false, is_bad = wrong.reason || custom.reason;
	if (!is_bad)
		is_redirect = filters_write(g, route, r, match < r->matches.n ? &r->matches.p[match] : NULL, to, resolved);
	if (!is_redirect && (is_bad || !ga_destinations_write(g, route, r, to, resolved))) {
		/* A gRPC client is told UNAVAILABLE. No rewrite and no mirror goes with it. */
		struct cox_json *bare = cox_json_new_object(g->a);
		cox_json_set(g->a, bare, COX_STR("name"), cox_json_get(to, COX_STR("name")));
		if (is_bad)
			(void)ga_destinations_write(g, route, r, cox_json_new_object(g->a), resolved); /* for its conditions */
		convert_i64_at(g->run, convert_object_at(g->run, bare, "directResponse"), "status",
		               route->kind == COX_KIND_GRPC_ROUTE ? 503 : 500);
		to = bare;
	} else if (!is_redirect) {
		retries_write(g, to, r);
	}
	if (custom.reason && !resolved->reason)
		*resolved = custom;
	if (wrong.reason)
		*accepted = wrong;
	return to;
}
