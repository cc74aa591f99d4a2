/* explain_ask.c - what is asked: the URL, what its host resolves to, the request. */
#include "tool/explain_priv.h"

#include "translate/route.h"

/* --- the URL -------------------------------------------------------------------------------------- */

static const struct scheme {
	const char *name;
	uint16_t port; /* 0: must be said */
	bool is_tls, is_http, is_http2;
	const char *alpn;
} schemes[] = {
	{ "http", 80, false, true, false, "" }, { "https", 443, true, true, false, "h2,http/1.1" },
	{ "grpc", 80, false, true, true, "" },  { "grpcs", 443, true, true, true, "h2" },
	{ "tcp", 0, false, false, false, "" },  { "tls", 443, true, false, false, "" },
};

static const struct scheme *scheme_find(struct cox_str name)
{
	for (size_t i = 0; i < COX_LEN(schemes); i++)
		if (cox_str_eq_nocase(name, cox_str_of(schemes[i].name)))
			return &schemes[i];
	return NULL;
}

/* "host", "host:80", "[::1]:80". False: the port is no port. */
static bool host_port_split(struct cox_str s, struct cox_str *host, uint16_t *port)
{
	ptrdiff_t colon = cox_str_rfind(s, ':'), bracket = cox_str_rfind(s, ']');
	uint64_t n;
	*host = s;
	if (colon >= 0 && colon > bracket && (bracket >= 0 || cox_str_find(s, ':') == colon)) {
		if (cox_str_to_u64(cox_str_sub(s, (size_t)colon + 1, SIZE_MAX), &n) != COX_OK || n == 0 || n > 65535)
			return false;
		*port = (uint16_t)n;
		*host = cox_str_sub(s, 0, (size_t)colon);
	}
	if (host->n > 2 && host->p[0] == '[' && host->p[host->n - 1] == ']')
		*host = cox_str_sub(*host, 1, host->n - 2);
	return host->n > 0;
}

static enum cox_rc url_parse(struct question *q, struct cox_str to, struct cox_err *err)
{
	ptrdiff_t at = cox_str_search(to, COX_STR("://"));
	const struct scheme *s = scheme_find(at < 0 ? COX_STR("http") : cox_str_sub(to, 0, (size_t)at));
	struct cox_str rest = at < 0 ? to : cox_str_sub(to, (size_t)at + 3, SIZE_MAX);
	if (s == NULL)
		return cox_err_set(err, COX_EINVAL, "to", "scheme is not http, https, grpc, grpcs, tcp or tls");
	size_t end = 0;
	while (end < rest.n && rest.p[end] != '/' && rest.p[end] != '?')
		end++;
	q->host_port = cox_str_sub(rest, 0, end);
	q->r.path = cox_str_sub(rest, end, SIZE_MAX);
	if (q->r.path.n == 0 || q->r.path.p[0] != '/')
		q->r.path = cox_arena_concat(q->a, COX_STR("/"), q->r.path);
	q->r.dst_port = s->port;
	if (!host_port_split(q->host_port, &q->host, &q->r.dst_port) || q->r.dst_port == 0)
		return cox_err_set(err, COX_EINVAL, "to", "\"%.*s\" is no host, or it needs a port", COX_FMT(q->host_port));
	q->scheme = cox_str_of(s->name);
	q->r.is_tls = s->is_tls, q->r.is_http = s->is_http, q->r.is_http2 = s->is_http2;
	q->r.alpn = cox_str_of(s->alpn);
	return COX_OK;
}

/* --- names ------------------------------------------------------------------------------------------ */

/* As a pod's resolver searches: the name in its namespace, in the cluster, then as it is; visible or not, for DNS does not care. */
static const struct cox_snap_svc *svc_by_name(const struct question *q, struct cox_str ns, struct cox_str host)
{
	const struct cox_snapshot *s = q->e->world->snapshot;
	struct cox_str domain = s->domain;
	const struct cox_str tries[] = {
		host,
		cox_arena_printf(q->a, "%.*s.%.*s.svc.%.*s", COX_FMT(host), COX_FMT(ns), COX_FMT(domain)),
		cox_arena_printf(q->a, "%.*s.svc.%.*s", COX_FMT(host), COX_FMT(domain)),
		cox_arena_printf(q->a, "%.*s.%.*s", COX_FMT(host), COX_FMT(domain)),
	};
	for (size_t i = 0; i < COX_LEN(tries); i++) {
		const struct cox_snap_svc *found = cox_snapshot_svc_find(s, tries[i], ns);
		for (size_t k = 0; found == NULL && k < s->svcs.n; k++)
			if (cox_str_eq_nocase(s->svcs.p[k].svc->hostname, tries[i]))
				found = &s->svcs.p[k];
		if (found)
			return found;
	}
	return NULL;
}

static void svc_resolve(struct question *q, const struct cox_snap_svc *found)
{
	const struct cox_svc *svc = found->svc;
	q->svc = found;
	struct cox_str object = explain_object_text(q->a, svc->object_id);
	for (COX_EACH(struct cox_str, a, svc->addresses)) {
		bool is_capture = q->e->start.proxy && q->e->start.proxy->dns_capture;
		if (cox_str_find(*a, '/') >= 0 || (svc->addresses_are_auto && !is_capture))
			continue;
		q->r.dst_ip = *a;
		q->resolved_by = cox_arena_printf(q->a, "address of %.*s", COX_FMT(object));
		return;
	}
	if (svc->is_headless && found->endpoints->items.n > 0) {
		q->r.dst_ip = found->endpoints->items.p[0].address;
		q->resolved_by = cox_arena_printf(q->a, "an endpoint of headless %.*s", COX_FMT(object));
		for (COX_EACH(struct cox_svc_port, p, svc->ports)) /* the client dials the pod: its port is the one asked for */
			if (p->port == q->r.dst_port && p->target_port && p->target_port != p->port)
				explain_note(q, "%.*s is headless: its pods listen on %u, not on %u", COX_FMT(object), p->target_port,
				             p->port);
		return;
	}
	q->resolved_by = cox_arena_printf(q->a, "an address that the mesh does not know: %.*s has none", COX_FMT(object));
}

/* A dump alone tells addresses by the domains of virtual hosts. */
static void dump_resolve(struct question *q)
{
	struct cox_oracle *o = &q->e->start.oracle;
	unsigned dots;
	for (struct cox_map_entry *m = NULL; (m = cox_map_next(&o->routes, m));) {
		const struct cox_json *vhosts = cox_json_get(m->value, COX_STR("virtual_hosts"));
		for (size_t v = 0; vhosts && v < vhosts->n; v++) {
			const struct cox_json *d = cox_json_get(&vhosts->items[v], COX_STR("domains"));
			struct cox_str ip = { 0 };
			bool is = false;
			for (size_t i = 0; d && i < d->n; i++) {
				struct cox_str t = d->items[i].text;
				is |= cox_str_eq_nocase(t, q->host);
				dots = 0;
				for (size_t k = 0; k < t.n; k++)
					dots += t.p[k] == '.' ? 1 : t.p[k] < '0' || t.p[k] > '9' ? 100 : 0;
				ip = dots == 3 ? t : ip;
			}
			if (is && ip.n > 0 && q->r.dst_ip.n == 0) {
				q->r.dst_ip = ip;
				q->resolved_by = COX_STR("a domain of its virtual host");
			}
		}
	}
}

/* A gateway's client knows its service's port; the proxy listens on the target port. */
static void gateway_port(struct question *q)
{
	struct explained *x = &q->e->start;
	const struct cox_snap_svc **svcs;
	q->r.dst_ip = x->ip;
	q->resolved_by = COX_STR("the gateway");
	if (x->proxy == NULL)
		return;
	COX_ASSERT(q->e->world); /* a proxy comes of one */
	size_t n =
	    cox_snapshot_svcs_of(q->e->world->snapshot, x->ns, x->labels.p, x->labels.n, x->proxy->ips.p, x->proxy->ips.n, q->a, &svcs);
	for (size_t i = 0; i < n; i++)
		for (COX_EACH(struct cox_svc_port, p, svcs[i]->svc->ports)) {
			uint16_t target = p->target_port ? p->target_port : p->port;
			for (COX_EACH(struct cox_endpoint, ep, svcs[i]->endpoints->items))
				if (cox_str_eq(ep->address, x->ip) && cox_str_eq(ep->port_name, p->name))
					target = ep->port;
			if (p->port != q->r.dst_port)
				continue;
			q->resolved_by = cox_arena_printf(q->a, "%.*s, port %u to %u",
			                                  COX_FMT(explain_object_text(q->a, svcs[i]->svc->object_id)), p->port, target);
			q->r.dst_port = target;
			return;
		}
}

static bool is_ip(struct cox_str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!((s.p[i] >= '0' && s.p[i] <= '9') || s.p[i] == '.') && cox_str_find(s, ':') < 0)
			return false;
	return s.n > 0;
}

static enum cox_rc host_resolve(struct question *q, struct cox_str address, struct cox_err *err)
{
	struct explained *x = &q->e->start;
	const struct cox_snap_svc *found = q->e->world ? svc_by_name(q, x->ns, q->host) : NULL;
	if (address.n > 0) {
		q->svc = found;
		q->resolved_by = COX_STR("as asked");
		if (!host_port_split(address, &q->r.dst_ip, &q->r.dst_port))
			return cox_err_set(err, COX_EINVAL, "address", "\"%.*s\" is no address", COX_FMT(address));
	} else if (x->is_router) {
		gateway_port(q);
	} else if (is_ip(q->host)) {
		q->r.dst_ip = q->host;
	} else if (found) {
		svc_resolve(q, found);
	} else {
		dump_resolve(q);
	}
	if (q->r.dst_ip.n == 0 && q->resolved_by.n == 0)
		q->resolved_by = COX_STR("an address that the mesh does not know");
	return COX_OK;
}

/* --- the request -------------------------------------------------------------------------------------- */

static enum cox_rc headers_parse(struct question *q, const struct cox_explain_ask *ask, struct cox_err *err)
{
	struct cox_oracle_header *list = COX_ARENA_ARRAY(q->a, struct cox_oracle_header, ask->headers.n + 2);
	size_t n = 0;
	for (COX_EACH(struct cox_str, line, ask->headers)) {
		ptrdiff_t colon = cox_str_find(cox_str_sub(*line, 1, SIZE_MAX), ':') + 1;
		if (colon <= 0)
			return cox_err_set(err, COX_EINVAL, "headers", "\"%.*s\" is not \"name: value\"", COX_FMT(*line));
		struct cox_oracle_header h = { cox_str_trim(cox_str_sub(*line, 0, (size_t)colon)),
			                       cox_str_trim(cox_str_sub(*line, (size_t)colon + 1, SIZE_MAX)) };
		if (cox_str_eq_nocase(h.name, COX_STR("host")) || cox_str_eq_nocase(h.name, COX_STR(":authority")))
			q->r.authority = h.value;
		else
			list[n++] = h;
	}
	if (cox_str_has_prefix(q->scheme, COX_STR("grpc")))
		list[n++] = (struct cox_oracle_header){ COX_STR("content-type"), COX_STR("application/grpc") };
	q->r.headers.p = list, q->r.headers.n = n;
	return COX_OK;
}

static enum cox_rc claims_parse(struct question *q, struct cox_str text, struct cox_err *err)
{
	struct cox_json *claims, *jwt = cox_json_new_object(q->a), *all = cox_json_new_object(q->a);
	if (text.n == 0)
		return COX_OK;
	COX_TRY(cox_json_parse(q->a, text, &claims, err));
	cox_json_set(q->a, jwt, COX_STR("payload"), claims);
	cox_json_set(q->a, all, COX_STR("envoy.filters.http.jwt_authn"), jwt);
	q->r.metadata = all;
	return COX_OK;
}

enum cox_rc question_prepare(struct question *q, const struct cox_explain_ask *ask, struct cox_err *err)
{
	COX_TRY(url_parse(q, ask->to, err));
	q->r.authority = q->host_port;
	q->port_asked = q->r.dst_port;
	COX_TRY(host_resolve(q, ask->address, err));
	COX_TRY(headers_parse(q, ask, err));
	COX_TRY(claims_parse(q, ask->claims, err));
	q->r.method = ask->method.n > 0 ? ask->method : q->r.is_http2 ? COX_STR("POST") : COX_STR("GET");
	q->r.src_ip = ask->source_ip.n > 0 ? ask->source_ip : q->e->start.is_router ? COX_STR("") : q->e->start.ip;
	if (q->r.is_tls)
		q->r.sni = ask->sni.n > 0 ? ask->sni : is_ip(q->host) ? (struct cox_str){ 0 } : q->host;
	if (q->r.is_tls && q->r.is_http && cox_str_has_prefix(q->r.alpn, COX_STR("h2")))
		q->r.is_http2 = true;
	return COX_OK;
}

static struct cox_str member(const struct cox_json *v, const char *name) { return cox_json_str_at(v, name); }

enum cox_rc cox_explain_ask_parse(const struct cox_json *line, struct cox_arena *arena, struct cox_explain_ask *out, struct cox_err *err)
{
	const struct cox_json *headers = cox_json_get(line, COX_STR("headers")), *claims = cox_json_get(line, COX_STR("claims"));
	*out = (struct cox_explain_ask){ .to = member(line, "to"),
		                         .method = member(line, "method"),
		                         .address = member(line, "address"),
		                         .source_ip = member(line, "sourceIp"),
		                         .sni = member(line, "sni") };
	if (out->to.n == 0)
		return cox_err_set(err, COX_EINVAL, "to", "is missing");
	size_t n = headers && headers->type == COX_JSON_ARRAY ? headers->n : 0;
	struct cox_str *list = COX_ARENA_ARRAY(arena, struct cox_str, n + 1);
	for (size_t i = 0; i < n; i++)
		list[i] = headers->items[i].text;
	out->headers.p = list, out->headers.n = n;
	if (claims) {
		struct cox_buf b = { 0 };
		cox_json_write(&b, claims, 0, false);
		out->claims = cox_arena_str(arena, cox_buf_str(&b));
		cox_buf_fini(&b);
	}
	return COX_OK;
}
