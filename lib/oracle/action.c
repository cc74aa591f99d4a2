/* action.c - what the chosen route does. */
#include "oracle/oracle_priv.h"

/* --- paths ---------------------------------------------------------------------------------------- */

/* `with` in place of what the route matched of the path; the query stays. */
static struct cox_str prefix_replaced(struct walk *w, struct cox_str with)
{
	const struct cox_json *m = oracle_get(w->out->route, "match");
	const struct cox_json *prefix = oracle_get(m, "prefix") ? oracle_get(m, "prefix") : oracle_get(m, "path_separated_prefix");
	size_t n = prefix ? prefix->text.n : w->bare_path.n;
	return oracle_printf(w, "%.*s%.*s", COX_FMT(with), COX_FMT(cox_str_sub(w->out->path, n, SIZE_MAX)));
}

static struct cox_str regex_replaced(struct walk *w, const struct cox_json *rw)
{
	struct cox_regex *re = NULL;
	if (cox_regex_build(w->arena, cox_json_str_at(rw, "pattern.regex"), &re, NULL) != COX_OK)
		return w->out->path;
	struct cox_str path = cox_regex_replace_all(re, w->bare_path, cox_json_str_at(rw, "substitution"), w->arena);
	return oracle_printf(w, "%.*s%.*s", COX_FMT(path), COX_FMT(cox_str_sub(w->out->path, w->bare_path.n, SIZE_MAX)));
}

/* --- redirects -------------------------------------------------------------------------------------- */

static struct cox_str host_for(struct walk *w, const struct cox_json *rd, struct cox_str scheme)
{
	struct cox_str host = cox_json_str_at(rd, "host_redirect"), mine = w->r->authority;
	int64_t port = oracle_int(rd, "port_redirect", 0);
	if (host.n == 0) {
		host = mine;
		ptrdiff_t colon = cox_str_rfind(mine, ':');
		bool has_port = colon > 0 && colon > cox_str_rfind(mine, ']');
		struct cox_str given = has_port ? cox_str_sub(mine, (size_t)colon + 1, SIZE_MAX) : (struct cox_str){ 0 };
		bool changes = !cox_str_eq(scheme, w->out->scheme);
		/* The port of the old scheme means nothing for the new one. */
		bool is_old = changes && cox_str_eq_cstr(given, cox_str_eq_cstr(w->out->scheme, "https") ? "443" : "80");
		if (has_port && (port != 0 || is_old))
			host = cox_str_sub(mine, 0, (size_t)colon);
	}
	return port ? oracle_printf(w, "%.*s:%lld", COX_FMT(host), (long long)port) : host;
}

static void redirect(struct walk *w, const struct cox_json *rd)
{
	static const struct {
		const char *name;
		int code;
	} codes[] = { { "FOUND", 302 }, { "SEE_OTHER", 303 }, { "TEMPORARY_REDIRECT", 307 }, { "PERMANENT_REDIRECT", 308 } };
	struct cox_str scheme = w->out->scheme, path = w->out->path, code = cox_json_str_at(rd, "response_code"), v;
	int status = 301;
	for (size_t i = 0; i < COX_LEN(codes); i++)
		if (cox_str_eq_cstr(code, codes[i].name))
			status = codes[i].code;
	if (oracle_bool(rd, "https_redirect", false))
		scheme = COX_STR("https");
	else if ((v = cox_json_str_at(rd, "scheme_redirect")).n > 0)
		scheme = v;
	if ((v = cox_json_str_at(rd, "path_redirect")).n > 0)
		path = cox_str_find(v, '?') >= 0
		           ? v
		           : oracle_printf(w, "%.*s%.*s", COX_FMT(v), COX_FMT(cox_str_sub(path, w->bare_path.n, SIZE_MAX)));
	else if (oracle_has(rd, "prefix_rewrite"))
		path = prefix_replaced(w, cox_json_str_at(rd, "prefix_rewrite"));
	else if (oracle_has(rd, "regex_rewrite"))
		path = regex_replaced(w, oracle_get(rd, "regex_rewrite"));
	ptrdiff_t query = cox_str_find(path, '?');
	if (oracle_bool(rd, "strip_query", false) && query >= 0)
		path = cox_str_sub(path, 0, (size_t)query);
	w->out->location = oracle_printf(w, "%.*s://%.*s%.*s", COX_FMT(scheme), COX_FMT(host_for(w, rd, scheme)), COX_FMT(path));
	oracle_end(w, COX_ORACLE_REDIRECT, status, COX_STR("the route redirects"));
}

/* --- forwarding --------------------------------------------------------------------------------------- */

static void target_add(struct walk *w, struct cox_oracle_target *list, struct cox_str cluster, double percent,
                       const struct cox_json *weight)
{
	struct cox_oracle_target *t = &list[w->out->targets.n++];
	*t = (struct cox_oracle_target){ .cluster = cluster, .percent = percent, .weight = weight };
	t->json = cox_oracle_cluster_find(w->o, cluster);
}

/* HTTP: the proxy's own answer. TCP: the connection ends. */
static void target_check(struct walk *w, const struct cox_json *from)
{
	struct cox_oracle_walk *out = w->out;
	struct cox_str code = cox_json_str_at(from, "cluster_not_found_response_code");
	size_t missing = 0, empty = 0;
	for (COX_EACH(struct cox_oracle_target, t, out->targets)) {
		missing += t->json == NULL;
		empty += t->json && !cox_oracle_cluster_has_upstream(w->o, t->json);
	}
	out->outcome = COX_ORACLE_FORWARD;
	if (out->targets.n > 0 && missing == out->targets.n)
		oracle_end(w, COX_ORACLE_NO_CLUSTER,
		           !out->is_http                                    ? 0
		           : cox_str_eq_cstr(code, "NOT_FOUND")             ? 404
		           : cox_str_eq_cstr(code, "INTERNAL_SERVER_ERROR") ? 500
		                                                            : 503,
		           oracle_printf(w, "cluster %.*s is not there", COX_FMT(out->targets.p[0].cluster)));
	else if (missing + empty == out->targets.n)
		oracle_end(w, COX_ORACLE_NO_UPSTREAM, out->is_http ? 503 : 0,
		           oracle_printf(w, "cluster %.*s has no healthy endpoint", COX_FMT(out->targets.p[0].cluster)));
}

void oracle_targets(struct walk *w, const struct cox_json *from)
{
	const struct cox_json *weighted = cox_json_at(from, "weighted_clusters.clusters"), *by_header = oracle_get(from, "cluster_header");
	struct cox_oracle_target *list = COX_ARENA_ARRAY(w->arena, struct cox_oracle_target, (weighted ? weighted->n : 0) + 1);
	struct cox_str name = cox_json_str_at(from, "cluster");
	int64_t total = 0;
	w->out->targets.p = list;
	for (ORACLE_EACH(c, weighted))
		total += oracle_int(c, "weight", 0);
	for (ORACLE_EACH(c, weighted))
		if (oracle_int(c, "weight", 0) > 0)
			target_add(w, list, cox_json_str_at(c, "name"), 100.0 * (double)oracle_int(c, "weight", 0) / (double)total, c);
	if (by_header)
		(void)oracle_header(w, by_header->text, &name);
	if (weighted == NULL)
		target_add(w, list, name, 100, NULL);
	target_check(w, from);
}

static void rewrite(struct walk *w, const struct cox_json *a)
{
	const struct cox_json *v;
	struct cox_oracle_walk *out = w->out;
	out->new_path = out->path;
	out->new_authority = w->r->authority;
	if ((v = oracle_get(a, "prefix_rewrite")) && v->text.n > 0)
		out->new_path = prefix_replaced(w, v->text);
	else if ((v = oracle_get(a, "regex_rewrite")))
		out->new_path = regex_replaced(w, v);
	if ((v = oracle_get(a, "host_rewrite_literal")))
		out->new_authority = v->text;
	else if ((v = oracle_get(a, "host_rewrite_header")))
		(void)oracle_header(w, v->text, &out->new_authority);
	else if (out->targets.n == 1 && out->targets.p[0].weight && (v = oracle_get(out->targets.p[0].weight, "host_rewrite_literal")))
		out->new_authority = v->text;
}

void oracle_action(struct walk *w)
{
	struct cox_oracle_walk *out = w->out;
	const struct cox_json *a;
	if ((a = oracle_get(out->route, "redirect"))) {
		redirect(w, a);
	} else if ((a = oracle_get(out->route, "direct_response"))) {
		out->body = cox_json_str_at(a, "body.inline_string");
		oracle_end(w, COX_ORACLE_DIRECT_RESPONSE, (int)oracle_int(a, "status", 0), COX_STR("the route answers itself"));
	} else if ((a = oracle_get(out->route, "route"))) {
		if (oracle_has(a, "cluster_specifier_plugin") || oracle_has(a, "inline_cluster_specifier_plugin")) {
			oracle_end(w, COX_ORACLE_UNSUPPORTED, 0, COX_STR("the route's cluster is chosen by a plugin"));
			return;
		}
		oracle_targets(w, a);
		rewrite(w, a);
	} else {
		oracle_end(w, COX_ORACLE_UNSUPPORTED, 0, COX_STR("the route does not forward"));
	}
}
