/* Who can be called: the hosts of Services and ServiceEntries, by the namespaces that see them. */
#include "analyze/analyze_priv.h"

bool an_hosts_meet(struct cox_str a, struct cox_str b)
{
	bool wild_a = a.n && a.p[0] == '*', wild_b = b.n && b.p[0] == '*';
	struct cox_str x = cox_str_sub(a, wild_a, a.n), y = cox_str_sub(b, wild_b, b.n);
	if (wild_a && wild_b)
		return a.n < b.n ? cox_str_has_suffix(y, x) : cox_str_has_suffix(x, y);
	if (wild_a)
		return cox_str_has_suffix(b, x);
	return wild_b ? cox_str_has_suffix(a, y) : cox_str_eq(a, b);
}

struct cox_str an_fqdn(struct an_run *r, struct cox_str host, struct cox_str ns)
{
	if (cox_str_has_prefix(host, COX_STR("*")) || cox_str_find(host, '.') >= 0)
		return host;
	return AN_PATH(r, "%.*s.%.*s.svc.cluster.local", COX_FMT(host), COX_FMT(ns));
}

void an_scopes(struct an_run *r, const struct cox_json *export_to, struct cox_str ns, struct cox_str **out, size_t *n)
{
	size_t k = 0;
	struct cox_str *scopes = COX_ARENA_ARRAY(r->arena, struct cox_str, an_len(export_to) + 1);
	AN_EACH(e, export_to)
	{
		struct cox_str scope = cox_str_eq_cstr(an_text(e), ".") ? ns : an_text(e);
		bool is_new = true;
		for (size_t i = 0; i < k; i++)
			is_new &= !cox_str_eq(scopes[i], scope);
		if (is_new)
			scopes[k++] = scope;
		if (cox_str_eq_cstr(scope, "*"))
			scopes[0] = scope, k = 1;
		if (cox_str_eq_cstr(scope, "*"))
			break;
	}
	if (k == 0)
		scopes[k++] = COX_STR("*");
	*out = scopes, *n = k;
}

static void host_add(struct an_run *r, struct an_host host)
{
	struct cox_str key = AN_PATH(r, "%.*s/%.*s", COX_FMT(host.scope), COX_FMT(host.fqdn));
	struct an_host *h = COX_ARENA_NEW(r->arena, struct an_host);
	*h = host;
	/* A Service is put in last and wins over a ServiceEntry of its name. */
	cox_map_set(&r->hosts, key, h);
	if (host.fqdn.p[0] == '*')
		cox_vec_push(&r->wildcards, h);
}

static void add_entry(struct an_run *r, const struct an_obj *o)
{
	struct cox_str *scopes;
	size_t n;
	an_scopes(r, an_get(o->spec, "exportTo"), o->ns, &scopes, &n);
	AN_EACH(host, an_get(o->spec, "hosts"))
	for (size_t i = 0; i < n && an_text(host).n; i++)
		host_add(r, (struct an_host){ scopes[i], an_fqdn(r, an_text(host), o->ns), o, an_get(o->spec, "ports"),
		                              cox_json_at(o->spec, "workloadSelector.labels") });
}

static void add_service(struct an_run *r, const struct an_obj *o)
{
	struct cox_str rest = an_annotation(o, "networking.istio.io/exportTo"), part, fqdn = an_fqdn(r, o->name, o->ns);
	const struct cox_json *ports = an_get(o->spec, "ports");
	if (!o->name.n)
		return;
	if (!rest.n)
		rest = COX_STR("*");
	while (cox_str_next(&rest, ',', &part)) {
		struct cox_str scope = cox_str_trim(part);
		host_add(r, (struct an_host){ cox_str_eq_cstr(scope, ".") ? o->ns : scope, fqdn, o, ports, NULL });
	}
}

static void build(struct an_run *r)
{
	AN_EACH_OBJ(entry, r, AN_SERVICE_ENTRY)
	add_entry(r, entry);
	AN_EACH_OBJ(service, r, AN_SERVICE)
	add_service(r, service);
}

static const struct an_host *find_in(struct an_run *r, struct cox_str scope, struct cox_str fqdn)
{
	return cox_map_find(&r->hosts, AN_PATH(r, "%.*s/%.*s", COX_FMT(scope), COX_FMT(fqdn)));
}

static const struct an_host *find_wildcard(struct an_run *r, struct cox_str host, struct cox_str ns)
{
	struct cox_str bare = cox_str_sub(host, host.n && host.p[0] == '*', host.n);
	for (size_t i = 0; i < r->wildcards.n; i++) {
		const struct an_host *h = r->wildcards.p[i];
		if ((cox_str_eq_cstr(h->scope, "*") || cox_str_eq(h->scope, ns)) &&
		    cox_str_has_suffix(bare, cox_str_sub(h->fqdn, 1, h->fqdn.n)))
			return h;
	}
	return NULL;
}

const struct an_host *an_host_find(struct an_run *r, struct cox_str host, struct cox_str ns, const struct cox_json *export_to)
{
	if (r->hosts.n == 0)
		build(r);
	struct cox_str fqdn = an_fqdn(r, host, ns);
	const struct an_host *h = find_in(r, COX_STR("*"), fqdn);
	if (!h && an_len(export_to) == 0)
		h = find_in(r, ns, fqdn);
	AN_EACH(e, export_to)
	if (!h)
		h = find_in(r, cox_str_eq_cstr(an_text(e), ".") ? ns : an_text(e), fqdn);
	return h ? h : find_wildcard(r, host, ns);
}
