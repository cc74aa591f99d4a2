/* VirtualServices: hosts that several route, destinations and subsets that nobody has. */
#include "analyze/analyze_priv.h"

#include <stdlib.h>

/* --- hosts in the mesh ------------------------------------------------------------------------------------- */

struct claim {
	struct cox_str fqdn, scope;
	struct an_obj *vs;
};
typedef COX_VEC(struct claim) claims;

static int cmp_claim(const void *a, const void *b)
{
	const struct claim *x = a, *y = b;
	int c = cox_str_cmp(x->scope, y->scope);
	c = c ? c : cox_str_cmp(x->fqdn, y->fqdn);
	return c ? c : cox_str_cmp(x->vs->full, y->vs->full);
}

static bool is_of_mesh(const struct an_obj *vs)
{
	const struct cox_json *gateways = an_get(vs->spec, "gateways");
	AN_EACH(g, gateways)
	if (cox_str_eq_cstr(an_text(g), "mesh"))
		return true;
	return an_len(gateways) == 0;
}

static void collect_claims(struct an_run *r, claims *out)
{
	AN_EACH_OBJ(vs, r, AN_VIRTUAL_SERVICE)
	{
		struct cox_str *scopes;
		size_t n;
		if (!is_of_mesh(vs))
			continue;
		an_scopes(r, an_get(vs->spec, "exportTo"), vs->ns, &scopes, &n);
		for (size_t i = 0; i < n; i++)
			AN_EACH(host, an_get(vs->spec, "hosts"))
		if (an_text(host).n)
			cox_vec_push(out, ((struct claim){ an_fqdn(r, an_text(host), vs->ns), scopes[i], vs }));
	}
	if (out->n)
		qsort(out->p, out->n, sizeof(*out->p), cmp_claim);
}

static void report_rivals(struct an_run *r, struct an_obj **all, size_t n, struct cox_str fqdn)
{
	struct cox_str *names = COX_ARENA_ARRAY(r->arena, struct cox_str, n);
	for (size_t i = 0; i < n; i++)
		names[i] = all[i]->full;
	struct cox_str text = an_join(r, names, n, ", ");
	for (size_t i = 0; i < n; i++) {
		if (all[i]->mark == r->pass)
			continue;
		all[i]->mark = r->pass;
		an_report(r, COX_AN_VS_HOST_CONFLICT, all[i], an_get(all[i]->spec, "hosts"), COX_STR("spec.hosts"),
		          "host %.*s of the mesh is routed by several VirtualServices (%.*s): the oldest one counts; join them into one",
		          COX_FMT(fqdn), COX_FMT(text));
	}
}

/* Exported to all, with a host that meets `fqdn`. */
static void add_public(const struct claim *public, size_t public_n, struct cox_str fqdn, struct an_list *out)
{
	for (size_t i = 0; i < public_n; i++)
		if (an_hosts_meet(fqdn, public[i].fqdn))
			cox_vec_push(out, public[i].vs);
}

void an_vs_hosts(struct an_run *r)
{
	claims all = { 0 };
	size_t public_n = 0; /* "*" sorts before names of namespaces */
	collect_claims(r, &all);
	while (public_n < all.n && cox_str_eq_cstr(all.p[public_n].scope, "*"))
		public_n++;
	for (size_t i = 0, end; i < all.n; i = end) {
		struct an_list rivals = { 0 };
		for (end = i; end < all.n && cox_str_eq(all.p[end].scope, all.p[i].scope) && cox_str_eq(all.p[end].fqdn, all.p[i].fqdn);
		     end++)
			cox_vec_push(&rivals, all.p[end].vs);
		if (i >= public_n)
			add_public(all.p, public_n, all.p[i].fqdn, &rivals);
		if (rivals.n > 1)
			report_rivals(r, rivals.p, rivals.n, all.p[i].fqdn);
		cox_vec_fini(&rivals);
	}
	cox_vec_fini(&all);
}

/* --- destinations -------------------------------------------------------------------------------------------- */

struct target {
	const struct cox_json *destination;
	struct cox_str path; /* "spec.http[0].route[1].destination" */
	bool is_mirror;
};
typedef void target_fn(struct an_run *r, struct an_obj *vs, const struct target *t);

static void each_target(struct an_run *r, struct an_obj *vs, target_fn *fn)
{
	static const char *const lists[] = { "tcp", "tls", "http" };
	for (size_t k = 0; k < COX_LEN(lists); k++) {
		const struct cox_json *rules = an_get(vs->spec, lists[k]);
		AN_EACH(rule, rules)
		{
			size_t at = (size_t)(rule - an_items(rules));
			const struct cox_json *routes = an_get(rule, "route"), *mirrors = an_get(rule, "mirrors");
			AN_EACH(route, routes)
			fn(r, vs,
			   &(struct target){
			       an_get(route, "destination"),
			       AN_PATH(r, "spec.%s[%zu].route[%zu].destination", lists[k], at, (size_t)(route - an_items(routes))),
			       false });
			if (k == 2 && an_get(rule, "mirror"))
				fn(r, vs, &(struct target){ an_get(rule, "mirror"), AN_PATH(r, "spec.http[%zu].mirror", at), true });
			if (k == 2)
				AN_EACH(mirror, mirrors)
			fn(r, vs,
			   &(struct target){
			       an_get(mirror, "destination"),
			       AN_PATH(r, "spec.http[%zu].mirrors[%zu].destination", at, (size_t)(mirror - an_items(mirrors))), true });
		}
	}
}

static int64_t number_of(const struct an_host *h, const struct cox_json *port)
{
	return an_i64(an_get(port, h->obj->kind == AN_SERVICE ? "port" : "number"), 0);
}

static struct cox_str ports_of(struct an_run *r, const struct an_host *h)
{
	struct cox_buf out = { 0 };
	AN_EACH(p, h->ports)
	cox_buf_printf(&out, "%s%d", out.n ? ", " : "", (int)number_of(h, p));
	struct cox_str text = cox_arena_str(r->arena, cox_buf_str(&out));
	cox_buf_fini(&out);
	return text;
}

static void check_target(struct an_run *r, struct an_obj *vs, const struct target *t)
{
	const struct cox_json *host = an_get(t->destination, "host"), *port = an_get(t->destination, "port");
	const struct an_host *h = an_host_find(r, an_text(host), vs->ns, an_get(vs->spec, "exportTo"));
	struct cox_str path = AN_PATH(r, "%.*s.host", COX_FMT(t->path));
	if (!h) {
		an_report(
		    r, COX_AN_NOT_FOUND, vs, host, path,
		    "no service has the host \"%.*s\"%s; look for a typing error, name the namespace (host.namespace), or add a ServiceEntry",
		    COX_FMT(an_text(host)), t->is_mirror ? ", to which requests are mirrored" : "");
		return;
	}
	if (!port) {
		if (an_len(h->ports) > 1)
			an_report(r, COX_AN_PORT_REQUIRED, vs, host, path,
			          "\"%.*s\" has several ports (%.*s); say which one in port.number", COX_FMT(an_text(host)),
			          COX_FMT(ports_of(r, h)));
		return;
	}
	int64_t want = an_i64(an_get(port, "number"), 0);
	AN_EACH(p, h->ports)
	if (number_of(h, p) == want)
		return;
	an_report(r, COX_AN_NOT_FOUND, vs, port, AN_PATH(r, "%.*s.port.number", COX_FMT(t->path)), "\"%.*s\" has no port %d, only %.*s",
	          COX_FMT(an_text(host)), (int)want, COX_FMT(ports_of(r, h)));
}

/* Which VirtualServices route their own host to a subset. */
static void collect_subsets(struct an_run *r, struct cox_map *by_host)
{
	AN_EACH_OBJ(vs, r, AN_VIRTUAL_SERVICE)
	AN_EACH(rule, an_get(vs->spec, "http"))
	AN_EACH(route, an_get(rule, "route"))
	{
		const struct cox_json *d = an_get(route, "destination");
		struct cox_str host = an_str(d, "host");
		bool is_own = false;
		AN_EACH(own, an_get(vs->spec, "hosts"))
		is_own |= cox_str_eq(an_text(own), host);
		if (!an_str(d, "subset").n || !is_own)
			continue;
		struct an_list *list = cox_map_find(by_host, host);
		if (!list) {
			list = COX_ARENA_NEW(r->arena, struct an_list);
			cox_map_set(by_host, host, list);
		}
		if (list->n == 0 || list->p[list->n - 1] != vs)
			cox_vec_push(list, vs);
	}
}

/* Behind a gateway the route's own destination counts; the mesh's rules for that host are not asked again. */
static void check_ingress(struct an_run *r, struct an_obj *vs, const struct cox_map *by_host)
{
	const struct cox_json *rules = an_get(vs->spec, "http");
	if (an_len(an_get(vs->spec, "gateways")) == 0)
		return;
	AN_EACH(rule, rules)
	{
		const struct cox_json *routes = an_get(rule, "route");
		AN_EACH(route, routes)
		{
			const struct cox_json *d = an_get(route, "destination");
			const struct an_list *list = an_str(d, "subset").n ? NULL : cox_map_find(by_host, an_str(d, "host"));
			for (size_t i = 0; list && i < list->n; i++)
				an_report(
				    r, COX_AN_INGRESS_RULES, vs, an_get(d, "host"),
				    AN_PATH(r, "spec.http[%zu].route[%zu].destination", (size_t)(rule - an_items(rules)),
				            (size_t)(route - an_items(routes))),
				    "the subsets that VirtualService %.*s gives %.*s do not count for requests through the gateway; name the subset "
				    "here",
				    COX_FMT(list->p[i]->full), COX_FMT(an_str(d, "host")));
		}
	}
}

void an_vs_destinations(struct an_run *r)
{
	struct cox_map by_host = { 0 };
	collect_subsets(r, &by_host);
	AN_EACH_OBJ(vs, r, AN_VIRTUAL_SERVICE)
	{
		each_target(r, vs, check_target);
		check_ingress(r, vs, &by_host);
	}
	for (struct cox_map_entry *e = NULL; (e = cox_map_next(&by_host, e));)
		cox_vec_fini((struct an_list *)e->value);
	cox_map_fini(&by_host);
}

/* --- subsets ------------------------------------------------------------------------------------------------------ */

/* "ns/name" of a host in the cluster; other hosts count as names of the namespace, as in Istio. */
static struct cox_str resource_of(struct an_run *r, struct cox_str host, struct cox_str ns)
{
	const struct cox_str suffix = COX_STR(".svc.cluster.local");
	if (cox_str_has_suffix(host, suffix)) {
		struct cox_str front = cox_str_sub(host, 0, host.n - suffix.n);
		ptrdiff_t dot = cox_str_rfind(front, '.');
		if (dot > 0 && (size_t)dot + 1 < front.n)
			return AN_PATH(r, "%.*s/%.*s", COX_FMT(cox_str_sub(front, (size_t)dot + 1, front.n)),
			               COX_FMT(cox_str_sub(front, 0, (size_t)dot)));
	}
	return AN_PATH(r, "%.*s/%.*s", COX_FMT(ns), COX_FMT(host));
}

static void check_subset(struct an_run *r, struct an_obj *vs, const struct target *t)
{
	const struct cox_json *subset = an_get(t->destination, "subset");
	struct cox_str host = an_str(t->destination, "host");
	if (!an_text(subset).n)
		return;
	struct cox_str key = AN_PATH(r, "%.*s\n%.*s", COX_FMT(resource_of(r, host, vs->ns)), COX_FMT(an_text(subset)));
	if (cox_map_find(&r->subsets, key))
		return;
	an_report(
	    r, COX_AN_NOT_FOUND, vs, subset, AN_PATH(r, "%.*s.subset", COX_FMT(t->path)),
	    "no DestinationRule defines subset \"%.*s\" of \"%.*s\": requests to it fail with 503; add it to spec.subsets of the rule",
	    COX_FMT(an_text(subset)), COX_FMT(host));
}

void an_vs_subsets(struct an_run *r)
{
	AN_EACH_OBJ(dr, r, AN_DESTINATION_RULE)
	AN_EACH(s, an_get(dr->spec, "subsets"))
	cox_map_set(&r->subsets,
	            AN_PATH(r, "%.*s\n%.*s", COX_FMT(resource_of(r, an_str(dr->spec, "host"), dr->ns)), COX_FMT(an_str(s, "name"))), dr);
	AN_EACH_OBJ(vs, r, AN_VIRTUAL_SERVICE)
	each_target(r, vs, check_subset);
}
