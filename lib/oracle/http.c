/* http.c - the connection manager: route configuration, virtual host, route. */
#include "oracle/oracle_priv.h"

/* --- virtual hosts ---------------------------------------------------------------------------------- */

/* "a.b:80" -> "a.b"; "[::1]:80" -> "[::1]". */
static struct cox_str without_port(struct cox_str host)
{
	ptrdiff_t colon = cox_str_rfind(host, ':'), bracket = cox_str_rfind(host, ']');
	uint64_t port;
	if (colon <= 0 || colon < bracket || cox_str_to_u64(cox_str_sub(host, (size_t)colon + 1, SIZE_MAX), &port) != COX_OK)
		return host;
	return cox_str_sub(host, 0, (size_t)colon);
}

struct candidate {
	const struct cox_json *vhost;
	struct cox_str domain;
	int rank; /* 3 exact, 2 suffix, 1 prefix, 0 "*" */
};

static bool ends_nocase(struct cox_str s, struct cox_str tail)
{
	return s.n >= tail.n && cox_str_eq_nocase(cox_str_sub(s, s.n - tail.n, tail.n), tail);
}

/* How a domain fits; -1: not. A wildcard stands for one character at least. */
static int rank_of(struct cox_str domain, struct cox_str host)
{
	if (cox_str_eq_cstr(domain, "*"))
		return 0;
	if (cox_str_eq_nocase(domain, host))
		return 3;
	if (domain.n > 1 && domain.p[0] == '*')
		return host.n > domain.n - 1 && ends_nocase(host, cox_str_sub(domain, 1, SIZE_MAX)) ? 2 : -1;
	if (domain.n > 1 && domain.p[domain.n - 1] == '*')
		return host.n > domain.n - 1 && cox_str_eq_nocase(cox_str_sub(host, 0, domain.n - 1), cox_str_sub(domain, 0, domain.n - 1))
		           ? 1
		           : -1;
	return -1;
}

static void consider(struct candidate *best, const struct cox_json *vhost, struct cox_str host)
{
	for (ORACLE_EACH(d, oracle_get(vhost, "domains"))) {
		int rank = rank_of(d->text, host);
		if (rank > best->rank || (rank == best->rank && rank >= 0 && d->text.n > best->domain.n))
			*best = (struct candidate){ vhost, d->text, rank };
	}
}

static bool vhost_choose(struct walk *w)
{
	struct candidate best = { .rank = -1 };
	struct cox_oracle_walk *out = w->out;
	struct cox_str host = w->host, prefix = oracle_printf(w, "%.*s/", COX_FMT(out->route_config_name));
	if (oracle_bool(out->route_config, "ignore_port_in_host_matching", false))
		host = without_port(host);
	for (ORACLE_EACH(v, oracle_get(out->route_config, "virtual_hosts")))
		consider(&best, v, host);
	for (size_t i = 0; i < w->o->vhost_names.n; i++)
		if (cox_str_has_prefix(w->o->vhost_names.p[i], prefix))
			consider(&best, cox_map_find(&w->o->vhosts, w->o->vhost_names.p[i]), host);
	out->vhost = best.vhost;
	out->domain = best.domain;
	if (best.vhost)
		return true;
	oracle_end(w, COX_ORACLE_NO_ROUTE, 404,
	           oracle_printf(w, "no virtual host of %.*s has a domain for \"%.*s\"", COX_FMT(out->route_config_name), COX_FMT(host)));
	return false;
}

/* --- routes ------------------------------------------------------------------------------------------- */

static bool route_choose(struct walk *w)
{
	struct cox_oracle_walk *out = w->out;
	const struct cox_json *routes = oracle_get(out->vhost, "routes");
	size_t n = routes ? routes->n : 0;
	struct cox_oracle_skip *skips = COX_ARENA_ARRAY(w->arena, struct cox_oracle_skip, n + 1);
	out->skipped.p = skips;
	if (oracle_has(out->vhost, "matcher"))
		return oracle_end(w, COX_ORACLE_UNSUPPORTED, 0, COX_STR("the virtual host has a matcher tree")), false;
	for (size_t i = 0; i < n; i++) {
		struct cox_str why = oracle_route_fault(w, &routes->items[i]);
		if (why.n == 0) {
			out->route = &routes->items[i];
			out->route_index = i;
			out->route_why = oracle_route_reason(w, out->route);
			return true;
		}
		skips[out->skipped.n++] = (struct cox_oracle_skip){ i, cox_json_str_at(&routes->items[i], "name"), why };
	}
	oracle_end(
	    w, COX_ORACLE_NO_ROUTE, 404,
	    oracle_printf(w, "none of the %zu routes of virtual host %.*s matches", n, COX_FMT(cox_json_str_at(out->vhost, "name"))));
	return false;
}

/* --- the connection manager --------------------------------------------------------------------------- */

static bool route_config_choose(struct walk *w, const struct cox_json *hcm)
{
	struct cox_oracle_walk *out = w->out;
	out->route_config = oracle_get(hcm, "route_config");
	out->route_config_name = cox_json_str_at(out->route_config, "name");
	if (out->route_config == NULL) {
		out->route_config_name = cox_json_str_at(hcm, "rds.route_config_name");
		out->route_config = cox_map_find(&w->o->routes, out->route_config_name);
	}
	if (out->route_config)
		return true;
	if (oracle_has(hcm, "scoped_routes"))
		oracle_end(w, COX_ORACLE_UNSUPPORTED, 0, COX_STR("the connection manager has scoped routes"));
	else
		oracle_end(w, COX_ORACLE_NO_ROUTE, 404,
		           oracle_printf(w, "route configuration %.*s is not there (yet)", COX_FMT(out->route_config_name)));
	return false;
}

static void request_prepare(struct walk *w, const struct cox_json *hcm)
{
	struct cox_str proto = { 0 }, type = { 0 };
	w->out->scheme = w->out->is_tls_terminated ? COX_STR("https") : COX_STR("http");
	for (COX_EACH(struct cox_oracle_header, h, w->r->headers))
		if (cox_str_eq_nocase(h->name, COX_STR("x-forwarded-proto")))
			proto = h->value;
	/* An edge proxy does not believe it, unless hops in front are trusted. */
	bool believed = !oracle_bool(hcm, "use_remote_address", false) || oracle_int(hcm, "xff_num_trusted_hops", 0) > 0;
	if (believed && (cox_str_eq_cstr(proto, "http") || cox_str_eq_cstr(proto, "https")))
		w->out->scheme = proto;
	w->is_grpc = oracle_header(w, COX_STR("content-type"), &type) && cox_str_has_prefix(type, COX_STR("application/grpc")) &&
	             (type.n == 16 || type.p[16] == '+' || type.p[16] == ';');
	w->host = oracle_lower(w->arena, w->r->authority);
	struct cox_str bare = without_port(w->host);
	bool own = cox_str_eq(cox_str_sub(w->host, bare.n + 1, SIZE_MAX), oracle_printf(w, "%u", w->r->dst_port));
	if (oracle_bool(hcm, "strip_any_host_port", false) || (oracle_bool(hcm, "strip_matching_host_port", false) && own))
		w->host = bare;
}

void oracle_http(struct walk *w, const struct cox_json *hcm)
{
	w->out->is_http = true;
	request_prepare(w, hcm);
	if (w->r->authority.n == 0) {
		oracle_end(w, COX_ORACLE_BAD_REQUEST, 400, COX_STR("the request names no host"));
		return;
	}
	if (!oracle_path_prepare(w, hcm) || !route_config_choose(w, hcm) || !vhost_choose(w))
		return;
	struct cox_str tls = cox_json_str_at(w->out->vhost, "require_tls");
	if (cox_str_eq_cstr(tls, "ALL") && !cox_str_eq_cstr(w->out->scheme, "https")) {
		w->out->location = oracle_printf(w, "https://%.*s%.*s", COX_FMT(w->r->authority), COX_FMT(w->out->path));
		oracle_end(w, COX_ORACLE_REDIRECT, 301, COX_STR("the virtual host requires TLS"));
		return;
	}
	if (!route_choose(w) || oracle_filters(w, hcm))
		return;
	oracle_action(w);
}
