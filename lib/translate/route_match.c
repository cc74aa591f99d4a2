/* route_match.c - conditions of routes: those that Envoy evaluates, and those that we do (port, source, gateway). */
#include "translate/route_priv.h"

#include <stdlib.h>

/* --- ours ------------------------------------------------------------------------------------- */

static bool names_have(const struct cox_str *names, size_t n, struct cox_str name)
{
	for (size_t i = 0; i < n; i++)
		if (cox_str_eq(names[i], name))
			return true;
	return false;
}

/* Gateways, where given, stand instead of the source's labels and namespace. */
bool cox_source_matches(const struct cox_route_ctx *ctx, const struct cox_source_match *m)
{
	const struct cox_view *v = ctx->t->view;
	if (m->port.set && m->port.v != 0 && m->port.v != ctx->port)
		return false;
	if (m->gateway_n > 0) {
		for (size_t i = 0; i < m->gateway_n; i++)
			if (names_have(ctx->gateways, ctx->gateway_n, m->gateways[i]))
				return true;
		return false;
	}
	if (!cox_kv_is_subset(m->source_labels, m->source_label_n, v->labels.p, v->labels.n))
		return false;
	return m->source_ns.n == 0 || cox_str_eq(m->source_ns, v->ns);
}

/* --- Envoy's ---------------------------------------------------------------------------------- */

/* No value given, or one that every value fits: presence. (Envoy refuses an empty prefix.) */
static bool is_presence(const struct cox_string_match *m)
{
	if (m->exact.set)
		return false;
	if (m->prefix.set)
		return m->prefix.v.n == 0;
	return !m->regex.set || m->regex.v.n == 0 || cox_str_eq(m->regex.v, COX_STR("*"));
}

void route_string_match_write(struct pb_type_matcher_v3_StringMatcher s, const struct cox_string_match *m)
{
	if (m->exact.set)
		pb_type_matcher_v3_StringMatcher_exact(s, m->exact.v);
	else if (m->prefix.set)
		pb_type_matcher_v3_StringMatcher_prefix(s, m->prefix.v);
	else
		PB_WITH (re, pb_type_matcher_v3_StringMatcher_safe_regex(s))
			pb_type_matcher_v3_RegexMatcher_regex(re, m->regex.v);
}

static void header_write(struct pb_route_v3_RouteMatch out, struct cox_str name, const struct cox_string_match *m, bool invert)
{
	PB_WITH (h, pb_route_v3_RouteMatch_headers(out)) {
		pb_route_v3_HeaderMatcher_name(h, name);
		if (is_presence(m)) {
			pb_route_v3_HeaderMatcher_present_match(h, true);
		} else {
			PB_WITH (s, pb_route_v3_HeaderMatcher_string_match(h))
				route_string_match_write(s, m);
			pb_route_v3_HeaderMatcher_treat_missing_header_as_empty(h, invert);
		}
		pb_route_v3_HeaderMatcher_invert_match(h, invert);
	}
}

static const struct cox_str CLAIMS = COX_STR_INIT("@request.auth.claims");

/* The next part of ".x.y" or "[x][y]". */
static bool claim_next(struct cox_str *rest, struct cox_str *part)
{
	if (rest->n == 0)
		return false;
	bool bracket = rest->p[0] == '[';
	struct cox_str s = cox_str_sub(*rest, 1, SIZE_MAX);
	ptrdiff_t end = bracket ? cox_str_find(s, ']') : cox_str_find(s, '.');
	size_t n = end < 0 ? s.n : (size_t)end;
	*part = cox_str_sub(s, 0, n);
	*rest = cox_str_sub(s, bracket && end >= 0 ? n + 1 : n, SIZE_MAX);
	return part->n > 0;
}

/* A claim can be one text or a list of texts: either may match. */
static void claim_write(struct pb_route_v3_RouteMatch out, struct cox_str name, const struct cox_string_match *m, bool invert)
{
	PB_WITH (md, pb_route_v3_RouteMatch_dynamic_metadata(out)) {
		struct cox_str rest = cox_str_sub(name, CLAIMS.n, SIZE_MAX), part;
		pb_type_matcher_v3_MetadataMatcher_filter(md, COX_STR("envoy.filters.http.jwt_authn"));
		PB_WITH (p, pb_type_matcher_v3_MetadataMatcher_path(md))
			pb_type_matcher_v3_MetadataMatcher_PathSegment_key(p, COX_STR("payload"));
		while (claim_next(&rest, &part))
			PB_WITH (p, pb_type_matcher_v3_MetadataMatcher_path(md))
				pb_type_matcher_v3_MetadataMatcher_PathSegment_key(p, part);
		PB_WITH (v, pb_type_matcher_v3_MetadataMatcher_value(md)) {
			if (is_presence(m)) {
				pb_type_matcher_v3_ValueMatcher_present_match(v, true);
				continue;
			}
			PB_WITH (either, pb_type_matcher_v3_ValueMatcher_or_match(v)) {
				PB_WITH (one, pb_type_matcher_v3_OrMatcher_value_matchers(either))
					PB_WITH (s, pb_type_matcher_v3_ValueMatcher_string_match(one))
						route_string_match_write(s, m);
				PB_WITH (one, pb_type_matcher_v3_OrMatcher_value_matchers(either))
					PB_WITH (list, pb_type_matcher_v3_ValueMatcher_list_match(one))
						PB_WITH (item, pb_type_matcher_v3_ListMatcher_one_of(list))
							PB_WITH (s, pb_type_matcher_v3_ValueMatcher_string_match(item))
								route_string_match_write(s, m);
			}
		}
		pb_type_matcher_v3_MetadataMatcher_invert(md, invert);
	}
}

static bool is_claim(struct cox_str name)
{
	return cox_str_has_prefix(name, CLAIMS) && name.n > CLAIMS.n && (name.p[CLAIMS.n] == '.' || name.p[CLAIMS.n] == '[');
}

struct condition {
	struct cox_str name;
	const struct cox_string_match *m;
	bool invert;
};

static int condition_cmp(const void *a, const void *b)
{
	const struct condition *x = a, *y = b;
	int c = cox_str_cmp(x->name, y->name);
	return c ? c : (int)x->invert - (int)y->invert;
}

static void headers_write(const struct cox_route_ctx *ctx, struct pb_route_v3_RouteMatch out, const struct cox_http_match *m)
{
	size_t n = 0;
	struct condition *list = COX_ARENA_ARRAY(ctx->t->arena, struct condition, m->headers.n + m->without_headers.n + 1);
	for (COX_EACH(struct cox_string_match_entry, e, m->headers))
		list[n++] = (struct condition){ e->key, &e->match, false };
	for (COX_EACH(struct cox_string_match_entry, e, m->without_headers))
		list[n++] = (struct condition){ e->key, &e->match, true };
	qsort(list, n, sizeof(*list), condition_cmp);
	for (size_t i = 0; i < n; i++)
		if (is_claim(list[i].name))
			claim_write(out, list[i].name, list[i].m, list[i].invert);
		else
			header_write(out, list[i].name, list[i].m, list[i].invert);
	if (m->method)
		header_write(out, COX_STR(":method"), m->method, false);
	if (m->authority)
		header_write(out, COX_STR(":authority"), m->authority, false);
	if (m->scheme)
		header_write(out, COX_STR(":scheme"), m->scheme, false);
}

static int entry_cmp(const void *a, const void *b)
{
	return cox_str_cmp((*(const struct cox_string_match_entry *const *)a)->key,
	                   (*(const struct cox_string_match_entry *const *)b)->key);
}

static void query_write(const struct cox_route_ctx *ctx, struct pb_route_v3_RouteMatch out, const struct cox_http_match *m)
{
	size_t n = 0;
	const struct cox_string_match_entry **list =
	    COX_ARENA_ARRAY(ctx->t->arena, const struct cox_string_match_entry *, m->query_params.n + 1);
	for (COX_EACH(struct cox_string_match_entry, e, m->query_params))
		list[n++] = e;
	qsort(list, n, sizeof(*list), entry_cmp);
	for (size_t i = 0; i < n; i++)
		PB_WITH (q, pb_route_v3_RouteMatch_query_parameters(out)) {
			pb_route_v3_QueryParameterMatcher_name(q, list[i]->key);
			if (is_presence(&list[i]->match))
				pb_route_v3_QueryParameterMatcher_present_match(q, true);
			else
				PB_WITH (s, pb_route_v3_QueryParameterMatcher_string_match(q))
					route_string_match_write(s, &list[i]->match);
		}
}

/* Any path: "/" as prefix, or ".*" as regular expression. */
static bool path_is_any(const struct cox_string_match *uri)
{
	if (uri == NULL || (!uri->exact.set && !uri->prefix.set && !uri->regex.set))
		return true;
	if (uri->prefix.set)
		return uri->prefix.v.n == 0 || cox_str_eq(uri->prefix.v, COX_STR("/"));
	return uri->regex.set && (cox_str_eq(uri->regex.v, COX_STR(".*")) || cox_str_eq(uri->regex.v, COX_STR("/.*")) ||
	                          cox_str_eq(uri->regex.v, COX_STR("*")));
}

bool route_match_is_catch_all(const struct cox_http_match *m)
{
	if (m == NULL)
		return true;
	return path_is_any(m->uri) && m->headers.n == 0 && m->without_headers.n == 0 && m->query_params.n == 0 && !m->method &&
	       !m->authority && !m->scheme;
}

static struct cox_str path_write(const struct cox_route_ctx *ctx, struct pb_route_v3_RouteMatch out, const struct cox_string_match *uri,
                                 bool by_elements)
{
	if (uri && uri->exact.set) {
		pb_route_v3_RouteMatch_path(out, uri->exact.v);
		return uri->exact.v;
	}
	if (uri && uri->regex.set && !uri->prefix.set && !cox_str_eq(uri->regex.v, COX_STR("*"))) {
		PB_WITH (re, pb_route_v3_RouteMatch_safe_regex(out))
			pb_type_matcher_v3_RegexMatcher_regex(re, uri->regex.v);
		return uri->regex.v;
	}
	struct cox_str prefix = uri && uri->prefix.set && uri->prefix.v.n > 0 ? uri->prefix.v : COX_STR("/");
	/* Envoy takes no slash at the end of a separated prefix, so "/" alone is a plain one. */
	while (by_elements && prefix.n > 1 && prefix.p[prefix.n - 1] == '/')
		prefix.n--;
	if (by_elements && prefix.n > 1)
		pb_route_v3_RouteMatch_path_separated_prefix(out, prefix);
	else
		pb_route_v3_RouteMatch_prefix(out, prefix);
	return cox_arena_concat(ctx->t->arena, prefix, COX_STR("*"));
}

struct route_path route_match_write(const struct cox_route_ctx *ctx, struct pb_route_v3_RouteMatch out, const struct cox_http_match *m,
                                    bool by_elements)
{
	struct route_path path = { .is_catch_all = route_match_is_catch_all(m) };
	path.text = path_write(ctx, out, m ? m->uri : NULL, by_elements);
	if (m == NULL)
		return path;
	pb_route_v3_RouteMatch_case_sensitive(out, !m->ignore_uri_case);
	headers_write(ctx, out, m);
	query_write(ctx, out, m);
	return path;
}
