/* Gateways: the pods that they select, the Services that lead there, their certificates, and each other. */
#include "analyze/analyze_priv.h"

#include "model/secret.h"

#include <stdlib.h>

static const struct cox_json *selector_of(const struct an_obj *g) { return an_get(g->spec, "selector"); }

static void report_no_pods(struct an_run *r, const struct an_obj *g)
{
	an_report(r, COX_AN_NOT_FOUND, g, selector_of(g), COX_STR("spec.selector"),
	          "no pod has the labels %.*s: nobody serves this Gateway; mend the labels, or start a gateway",
	          COX_FMT(an_selector_text(r, selector_of(g))));
}

/* --- ports ------------------------------------------------------------------------------------------------- */

/* Ports of the pods, and of the Services, by which a pod with these labels is reached. */
static bool is_exposed(struct an_run *r, const struct an_list *services, int64_t port)
{
	(void)r;
	for (size_t i = 0; i < services->n; i++)
		AN_EACH(p, an_get(services->p[i]->spec, "ports"))
		{
			struct cox_str protocol = an_str(p, "protocol");
			int64_t target = an_i64(an_get(p, "targetPort"), 0), own = an_i64(an_get(p, "port"), 0);
			if (protocol.n && !cox_str_eq_cstr(protocol, "TCP"))
				continue;
			if (port == own || (target != 0 && port == target))
				return true;
		}
	return false;
}

static void services_of_pods(struct an_run *r, const struct an_obj *g, struct an_list *out, bool *has_pods)
{
	struct an_list pods = an_pods(r, selector_of(g), COX_STR("")), some = { 0 };
	size_t pass = ++r->pass;
	*has_pods = false;
	for (size_t i = 0; i < pods.n; i++) {
		if (!an_pod_is(pods.p[i], selector_of(g), COX_STR("")))
			continue;
		*has_pods = true;
		cox_vec_clear(&some);
		an_services_of(r, pods.p[i]->ns, pods.p[i]->labels, &some);
		for (size_t k = 0; k < some.n; k++) /* replicas have the same ones */
			if (some.p[k]->mark != pass) {
				some.p[k]->mark = pass;
				cox_vec_push(out, some.p[k]);
			}
	}
	cox_vec_fini(&some);
}

void an_gateway_ports(struct an_run *r)
{
	AN_EACH_OBJ(g, r, AN_GATEWAY)
	{
		struct an_list services = { 0 };
		const struct cox_json *servers = an_get(g->spec, "servers");
		bool has_pods;
		services_of_pods(r, g, &services, &has_pods);
		if (!has_pods)
			report_no_pods(r, g);
		AN_EACH(s, servers)
		{
			const struct cox_json *port = cox_json_at(s, "port.number");
			if (has_pods && an_get(s, "port") && !is_exposed(r, &services, an_i64(port, 0)))
				an_report(
				    r, COX_AN_GATEWAY_PORT, g, port,
				    AN_PATH(r, "spec.servers[%zu].port.number", (size_t)(s - an_items(servers))),
				    "no Service that selects the pods (%.*s) has port or target port %d: from outside nobody gets there; add it to "
				    "the Service",
				    COX_FMT(an_selector_text(r, selector_of(g))), (int)an_i64(port, 0));
		}
		cox_vec_fini(&services);
	}
}

/* --- certificates -------------------------------------------------------------------------------------------- */

static bool both_eq(const struct cox_json *a, const struct cox_json *b, const char *key)
{
	return an_str(a, key).n && cox_str_eq(an_str(a, key), an_str(b, key));
}

static bool same_certificate(const struct cox_json *a, const struct cox_json *b)
{
	bool x = an_str(a, "credentialName").n > 0, y = an_str(b, "credentialName").n > 0;
	if (x || y)
		return x && y && both_eq(a, b, "credentialName");
	return both_eq(a, b, "serverCertificate") && both_eq(a, b, "privateKey");
}

static bool share_certificate(const struct an_obj *a, const struct an_obj *b)
{
	AN_EACH(x, an_get(a->spec, "servers"))
	AN_EACH(y, an_get(b->spec, "servers"))
	if (an_get(x, "tls") && an_get(y, "tls") && same_certificate(an_get(x, "tls"), an_get(y, "tls")))
		return true;
	return false;
}

/* Gateways by what their certificates are called, so that only those are compared that may share one. */
static void by_certificate(struct an_run *r, struct cox_map *map)
{
	AN_EACH_OBJ(g, r, AN_GATEWAY)
	AN_EACH(s, an_get(g->spec, "servers"))
	{
		const struct cox_json *tls = an_get(s, "tls");
		struct cox_str key = an_str(tls, "credentialName").n ? an_str(tls, "credentialName") : an_str(tls, "serverCertificate");
		if (!key.n)
			continue;
		struct an_list *list = cox_map_find(map, key);
		if (!list) {
			list = COX_ARENA_NEW(r->arena, struct an_list);
			cox_map_set(map, key, list);
		}
		if (list->n == 0 || list->p[list->n - 1] != g)
			cox_vec_push(list, g);
	}
}

void an_gateway_certificates(struct an_run *r)
{
	struct cox_map map = { 0 };
	by_certificate(r, &map);
	for (struct cox_map_entry *e = NULL; (e = cox_map_next(&map, e));) {
		struct an_list *list = e->value;
		for (size_t i = 0; i < list->n; i++)
			for (size_t k = 0; k < list->n; k++) {
				const struct an_obj *a = list->p[i], *b = list->p[k];
				if (i != k && an_selects(selector_of(a), selector_of(b)) && share_certificate(a, b))
					an_report(
					    r, COX_AN_DUPLICATE_CERTIFICATE, a, NULL, COX_STR("spec.servers"),
					    "Gateway %.*s uses the same certificate: a client that keeps its HTTP/2 connection for both may get 404; "
					    "join the two, or use other certificates",
					    COX_FMT(b->full));
			}
		cox_vec_fini(list);
	}
	cox_map_fini(&map);
}

/* --- secrets ---------------------------------------------------------------------------------------------------- */

static bool is_usable(struct an_run *r, const struct an_obj *secret)
{
	struct cox_diags diags = { .arena = r->arena };
	const struct cox_object *o = NULL;
	struct cox_tls_facts facts = { 0 };
	enum cox_rc rc = cox_object_build(secret->doc, COX_STR("analysis"), secret->ns, r->arena, &diags, &o);
	bool is = rc == COX_OK && cox_tls_material_check(o, &facts, NULL) == COX_OK && facts.cert_end_s != 0;
	cox_object_unref(o);
	return is;
}

void an_gateway_secrets(struct an_run *r)
{
	AN_EACH_OBJ(g, r, AN_GATEWAY)
	{
		struct an_list pods = an_pods(r, selector_of(g), COX_STR(""));
		const struct cox_json *servers = an_get(g->spec, "servers");
		const struct an_obj *pod = NULL;
		for (size_t i = 0; i < pods.n && !pod; i++)
			pod = an_pod_is(pods.p[i], selector_of(g), COX_STR("")) ? pods.p[i] : NULL;
		if (!pod) {
			report_no_pods(r, g);
			continue;
		}
		AN_EACH(s, servers)
		{
			const struct cox_json *name = cox_json_at(s, "tls.credentialName");
			struct cox_str path = AN_PATH(r, "spec.servers[%zu].tls.credentialName", (size_t)(s - an_items(servers)));
			if (!an_text(name).n)
				continue;
			const struct an_obj *secret = an_find_ref(r, AN_SECRET, pod->ns, an_text(name));
			if (!secret)
				an_report(r, COX_AN_NOT_FOUND, g, name, path,
				          "there is no Secret \"%.*s\" in the namespace of the gateway's pods, %.*s",
				          COX_FMT(an_text(name)), COX_FMT(pod->ns));
			else if (!is_usable(r, secret))
				an_report(r, COX_AN_GATEWAY_CREDENTIAL, g, name, path,
				          "Secret %.*s holds no certificate with its key that can be used: TLS fails on this server",
				          COX_FMT(secret->full));
		}
	}
}

/* --- each other ------------------------------------------------------------------------------------------------------ */

/* One host of one server. */
struct claim {
	struct cox_str key; /* "port~bind~host" */
	const struct an_obj *gateway;
	size_t server;
};
static int cmp_claim(const void *a, const void *b)
{
	const struct claim *x = a, *y = b;
	int c = cox_str_cmp(x->key, y->key);
	c = c ? c : cox_str_cmp(x->gateway->full, y->gateway->full);
	return c ? c : (x->server > y->server) - (x->server < y->server);
}

/* Equal selectors; or one says more than the other and a pod has both. */
static bool share_pods(struct an_run *r, const struct an_obj *a, const struct an_obj *b)
{
	struct cox_str x = an_selector_text(r, selector_of(a)), y = an_selector_text(r, selector_of(b));
	if (cox_str_eq(x, y))
		return true;
	if (cox_str_search(x, y) < 0 && cox_str_search(y, x) < 0)
		return false;
	struct an_list pods = an_pods(r, selector_of(a), COX_STR(""));
	for (size_t i = 0; i < pods.n; i++)
		if (an_selects(selector_of(a), pods.p[i]->labels) && an_selects(selector_of(b), pods.p[i]->labels))
			return true;
	return false;
}

static void report_claims(struct an_run *r, const struct claim *c, size_t n, size_t at)
{
	struct cox_str *names = COX_ARENA_ARRAY(r->arena, struct cox_str, n);
	size_t k = 0;
	for (size_t i = 0; i < n; i++)
		if (c[i].gateway != c[at].gateway && share_pods(r, c[at].gateway, c[i].gateway))
			names[k++] = c[i].gateway->full;
	if (k == 0)
		return;
	const struct cox_json *servers = an_get(c[at].gateway->spec, "servers"), *s = &an_items(servers)[c[at].server];
	ptrdiff_t host = cox_str_rfind(c[at].key, '~');
	an_report(
	    r, COX_AN_GATEWAY_CONFLICT, c[at].gateway, s, AN_PATH(r, "spec.servers[%zu].hosts", c[at].server),
	    "host %.*s at port %d is served by Gateways %.*s too, for the same pods (%.*s): only one of them counts; join them, or divide the "
	    "hosts",
	    COX_FMT(cox_str_sub(c[at].key, (size_t)host + 1, c[at].key.n)), (int)an_i64(cox_json_at(s, "port.number"), 0),
	    COX_FMT(an_join(r, names, k, ", ")), COX_FMT(an_selector_text(r, selector_of(c[at].gateway))));
}

void an_gateway_conflicts(struct an_run *r)
{
	COX_VEC(struct claim) claims = { 0 };
	AN_EACH_OBJ(g, r, AN_GATEWAY)
	{
		const struct cox_json *servers = an_get(g->spec, "servers");
		AN_EACH(s, servers)
		AN_EACH(host, an_get(s, "hosts"))
		cox_vec_push(&claims, ((struct claim){ AN_PATH(r, "%d~%.*s~%.*s", (int)an_i64(cox_json_at(s, "port.number"), 0),
		                                               COX_FMT(an_str(s, "bind")), COX_FMT(an_text(host))),
		                                       g, (size_t)(s - an_items(servers)) }));
	}
	if (claims.n)
		qsort(claims.p, claims.n, sizeof(*claims.p), cmp_claim);
	for (size_t i = 0, end; i < claims.n; i = end) {
		for (end = i + 1; end < claims.n && cox_str_eq(claims.p[end].key, claims.p[i].key); end++)
			;
		for (size_t k = i; k < end && end - i > 1; k++)
			report_claims(r, &claims.p[i], end - i, k - i);
	}
	cox_vec_fini(&claims);
}
