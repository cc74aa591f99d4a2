/* ServiceEntries: addresses that TCP needs, and protocols that they disagree about. */
#include "analyze/analyze_priv.h"

#include <stdlib.h>

static bool has_auto_addresses(const struct an_run *r)
{
	const struct cox_json *meta = cox_json_at(r->opts->mesh, "defaultConfig.proxyMetadata");
	return cox_str_eq_cstr(an_str(meta, "ISTIO_META_DNS_CAPTURE"), "true") &&
	       (cox_str_eq_cstr(an_str(meta, "ISTIO_META_DNS_AUTO_ALLOCATE"), "true") ||
	        cox_str_eq_cstr(an_str(meta, "PILOT_ENABLE_IP_AUTOALLOCATE"), "true"));
}

void an_se_addresses(struct an_run *r)
{
	if (has_auto_addresses(r))
		return;
	AN_EACH_OBJ(o, r, AN_SERVICE_ENTRY)
	{
		const struct cox_json *ports = an_get(o->spec, "ports");
		if (an_len(an_get(o->spec, "addresses")) || an_len(cox_json_at(o->doc, "status.addresses")))
			continue;
		AN_EACH(p, ports)
		{
			struct cox_str protocol = an_str(p, "protocol");
			if (!protocol.n || cox_str_eq_nocase(protocol, COX_STR("TCP")))
				an_report(
				    r, COX_AN_SE_ADDRESSES, o, p, AN_PATH(r, "spec.ports[%zu]", (size_t)(p - an_items(ports))),
				    "is TCP, and spec.addresses is empty: traffic to any address of port %d would be taken for it; give addresses, or a "
				    "protocol",
				    (int)an_i64(an_get(p, "number"), 0));
		}
	}
}

/* --- protocols ----------------------------------------------------------------------------------------------------- */

struct claim {
	struct cox_str key, scope, protocol; /* key: "host:port" */
	const struct an_obj *o;
	const struct cox_json *port;
};
static int cmp_claim(const void *a, const void *b)
{
	const struct claim *x = a, *y = b;
	int c = cox_str_cmp(x->key, y->key);
	return c ? c : cox_str_cmp(x->o->full, y->o->full);
}

static bool share_scope(const struct claim *a, const struct claim *b)
{
	return cox_str_eq(a->scope, b->scope) || cox_str_eq_cstr(a->scope, "*") || cox_str_eq_cstr(b->scope, "*");
}

static void report_rivals(struct an_run *r, const struct claim *c, size_t n, size_t at)
{
	struct cox_str *names = COX_ARENA_ARRAY(r->arena, struct cox_str, n);
	size_t k = 0;
	if (c[at].o->mark == r->pass)
		return;
	for (size_t i = 0; i < n; i++)
		if (share_scope(&c[at], &c[i]) && !cox_str_eq_nocase(c[at].protocol, c[i].protocol))
			names[k++] = c[i].o->full;
	/* Of one key all are told, also those that agree with some. */
	bool others_differ = k > 0;
	for (size_t i = 0; i < n && !others_differ; i++)
		for (size_t j = 0; j < n && !others_differ; j++)
			if (share_scope(&c[at], &c[i]) && share_scope(&c[at], &c[j]) && share_scope(&c[i], &c[j]) &&
			    !cox_str_eq_nocase(c[i].protocol, c[j].protocol))
				others_differ = true, names[k++] = c[i].o->full;
	if (!others_differ)
		return;
	((struct an_obj *)(uintptr_t)c[at].o)->mark = r->pass;
	an_report(
	    r, COX_AN_SE_PROTOCOLS, c[at].o, c[at].port, COX_STR("spec.ports"),
	    "host and port %.*s have another protocol than %.*s in ServiceEntries %.*s: which one counts is not defined; make them equal",
	    COX_FMT(c[at].key), COX_FMT(c[at].protocol), COX_FMT(an_join(r, names, k, ", ")));
}

void an_se_protocols(struct an_run *r)
{
	COX_VEC(struct claim) claims = { 0 };
	AN_EACH_OBJ(o, r, AN_SERVICE_ENTRY)
	{
		struct cox_str *scopes;
		size_t n;
		an_scopes(r, an_get(o->spec, "exportTo"), o->ns, &scopes, &n);
		AN_EACH(host, an_get(o->spec, "hosts"))
		AN_EACH(p, an_get(o->spec, "ports"))
		for (size_t i = 0; i < n; i++)
			cox_vec_push(&claims,
			             ((struct claim){ AN_PATH(r, "%.*s:%d", COX_FMT(an_text(host)), (int)an_i64(an_get(p, "number"), 0)),
			                              scopes[i], an_str(p, "protocol"), o, p }));
	}
	if (claims.n)
		qsort(claims.p, claims.n, sizeof(*claims.p), cmp_claim);
	for (size_t i = 0, end; i < claims.n; i = end) {
		bool differs = false;
		for (end = i; end < claims.n && cox_str_eq(claims.p[end].key, claims.p[i].key); end++)
			differs |= !cox_str_eq_nocase(claims.p[end].protocol, claims.p[i].protocol);
		for (size_t k = i; k < end && differs; k++)
			report_rivals(r, &claims.p[i], end - i, k - i);
	}
	cox_vec_fini(&claims);
}
