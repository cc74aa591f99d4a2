/* gateway_api_listener - what a listener asks for (protocol, certificates, kinds of routes), and whether it can have it. */
#include "convert/gateway_api_priv.h"

#include "model/secret.h"

bool ga_listener_is_served(const struct ga_listener *l)
{
	return !l->accepted.reason && !l->conflict.reason && !l->gateway->accepted.reason;
}

/* --- kinds ---------------------------------------------------------------------------------------------- */

static unsigned kinds_of(const struct ga_listener *l)
{
	switch (l->protocol) {
	case GA_HTTP:
	case GA_HTTPS: return GA_KIND_BIT(COX_KIND_HTTP_ROUTE) | GA_KIND_BIT(COX_KIND_GRPC_ROUTE);
	case GA_TLS: return l->passes ? GA_KIND_BIT(COX_KIND_TLS_ROUTE) : GA_KIND_BIT(COX_KIND_TLS_ROUTE) | GA_KIND_BIT(COX_KIND_TCP_ROUTE);
	case GA_TCP: return GA_KIND_BIT(COX_KIND_TCP_ROUTE);
	case GA_OTHER: break;
	}
	return 0;
}

static void read_kinds(struct ga *g, struct ga_listener *l)
{
	unsigned can = kinds_of(l);
	l->kinds = can;
	if (!l->spec->allowed_routes || !l->spec->allowed_routes->kinds.n)
		return;
	l->kinds = 0;
	for (COX_EACH(struct cox_gwapi_ref, r, l->spec->allowed_routes->kinds)) {
		unsigned bit = 0;
		for (int k = COX_KIND_HTTP_ROUTE; k <= COX_KIND_UDP_ROUTE; k++)
			if (cox_str_eq(r->kind.v, cox_kind_info((enum cox_kind)k)->name) &&
			    cox_str_eq_cstr(ga_or(r->group, GA_GROUP), GA_GROUP))
				bit = GA_KIND_BIT(k);
		l->kinds |= bit & can;
		if (!(bit & can))
			l->resolved =
			    (struct ga_fault){ "InvalidRouteKinds",
				               cox_arena_printf(g->a, "allowedRoutes.kinds: %.*s is no kind of route for protocol %.*s",
				                                COX_FMT(r->kind.v), COX_FMT(l->spec->protocol)) };
	}
}

/* --- certificates ------------------------------------------------------------------------------------------ */

/* What `from` refers to, a Secret or ConfigMap: its name for proxies, or none with a fault. */
static struct cox_str material_name(struct ga *g, const struct cox_object *from, const struct cox_gwapi_ref *r, bool is_ca,
                                    struct ga_fault *fault)
{
	const char *invalid = is_ca ? "InvalidCACertificateRef" : "InvalidCertificateRef";
	struct cox_str kind = ga_or(r->kind, is_ca ? "ConfigMap" : "Secret"), ns = r->ns.n ? r->ns : from->meta.ns;
	bool is_map = is_ca && cox_str_eq_cstr(kind, "ConfigMap");
	if (r->group.v.n || (!is_map && !cox_str_eq_cstr(kind, "Secret"))) {
		*fault = (struct ga_fault){ is_ca ? "InvalidCACertificateKind" : invalid,
			                    cox_arena_printf(g->a, "%.*s %.*s cannot hold certificates", COX_FMT(kind), COX_FMT(r->name)) };
		return (struct cox_str){ 0 };
	}
	/* The names go into lists and URLs; the kube-apiserver lets more through than an object can be called. */
	if (cox_format_check("subdomain", r->name) || cox_format_check("dns1123", ns)) {
		*fault = (struct ga_fault){ invalid, cox_arena_printf(g->a, "no %.*s can be called %.*s/%.*s", COX_FMT(kind), COX_FMT(ns),
			                                              COX_FMT(r->name)) };
		return (struct cox_str){ 0 };
	}
	if (cox_secret_is_reserved(r->name) ||
	    !ga_is_granted(g, cox_kind_info(from->kind)->name, from->meta.ns, is_map ? "ConfigMap" : "Secret", ns, r->name)) {
		*fault = (struct ga_fault){ "RefNotPermitted",
			                    cox_arena_printf(
			                        g->a, "%.*s %.*s/%.*s is in another namespace, and no ReferenceGrant there permits it",
			                        COX_FMT(kind), COX_FMT(ns), COX_FMT(r->name)) };
		return (struct cox_str){ 0 };
	}
	const struct cox_object *o = convert_find(g->run, is_map ? COX_KIND_CONFIG_MAP : COX_KIND_SECRET, ns, r->name);
	struct cox_tls_material m = o ? cox_tls_material_of(o) : (struct cox_tls_material){ 0 };
	if (!o)
		*fault = (struct ga_fault){ invalid, cox_arena_printf(g->a, "there is no %.*s %.*s/%.*s", COX_FMT(kind), COX_FMT(ns),
			                                              COX_FMT(r->name)) };
	else if (is_ca ? !m.ca.n : !m.cert.n || !m.key.n)
		*fault = (struct ga_fault){ invalid, cox_arena_printf(g->a, "%.*s %.*s/%.*s has no %s", COX_FMT(kind), COX_FMT(ns),
			                                              COX_FMT(r->name), is_ca ? "ca.crt" : "tls.crt and tls.key") };
	/* Whether it is there is a matter of status: a proxy waits for it. */
	return cox_arena_printf(g->a, "%s://%.*s/%.*s", is_map ? "configmap" : "kubernetes-gateway", COX_FMT(ns), COX_FMT(r->name));
}

static void read_certificates(struct ga *g, struct ga_listener *l)
{
	const struct cox_gwapi_listener_tls *tls = l->spec->tls;
	struct cox_json *names = cox_json_new_array(g->a);
	if (!tls || !tls->certificates.n)
		l->resolved = (struct ga_fault){ "InvalidCertificateRef", COX_STR("tls.certificateRefs must name a Secret") };
	for (size_t i = 0; tls && i < tls->certificates.n; i++) {
		struct cox_str name = material_name(g, l->owner, &tls->certificates.p[i], false, &l->resolved);
		if (name.n)
			convert_str_push(g->run, names, name);
	}
	l->credential = names;
}

/* Of clients: what the Gateway says for the listener's port, or for all. */
static void read_client_check(struct ga *g, struct ga_listener *l)
{
	const struct cox_gwapi_frontends *f = l->gateway->spec->tls ? l->gateway->spec->tls->frontend : NULL;
	const struct cox_gwapi_frontend *one = f ? f->by_default : NULL;
	for (size_t i = 0; f && i < f->per_port.n; i++)
		if (f->per_port.p[i].port.v == l->spec->port.v)
			one = f->per_port.p[i].tls;
	const struct cox_gwapi_client_validation *v = one ? one->validation : NULL;
	if (!v)
		return;
	l->takes_any_client = cox_str_eq_cstr(v->mode, "AllowInsecureFallback");
	if (v->authorities.n > 1)
		convert_finding(g->run, l->gateway->o, COX_SEV_WARNING, COX_STR("spec.tls.frontend"),
		                "of several caCertificateRefs the first one counts");
	if (v->authorities.n)
		l->client_ca = material_name(g, l->gateway->o, &v->authorities.p[0], true, &l->resolved);
	if (!l->client_ca.n && !l->takes_any_client)
		l->accepted =
		    (struct ga_fault){ "NoValidCACertificate", COX_STR("clients must show certificates, but no authority can be had") };
}

/* --- the listener ------------------------------------------------------------------------------------------- */

static enum ga_protocol protocol_of(struct cox_str s)
{
	static const char *const names[] = { "HTTP", "HTTPS", "TLS", "TCP" };
	for (size_t i = 0; i < COX_LEN(names); i++)
		if (cox_str_eq_cstr(s, names[i]))
			return (enum ga_protocol)i;
	return GA_OTHER;
}

void ga_listener_add(struct ga *g, struct ga_gateway *gw, const struct cox_object *owner, const struct cox_gwapi_listener *spec)
{
	struct ga_listener *l = COX_ARENA_NEW(g->a, struct ga_listener);
	*l = (struct ga_listener){ .owner = owner, .gateway = gw, .spec = spec, .host = spec->hostname.n ? spec->hostname : COX_STR("*") };
	l->protocol = protocol_of(spec->protocol);
	l->passes = l->protocol == GA_TLS && spec->tls && cox_str_eq_cstr(spec->tls->mode, "Passthrough");
	/* A fixed label between the names: two pairs of names never make the same. */
	l->internal = cox_arena_printf(g->a, "%.*s.%s.%.*s", COX_FMT(owner->meta.name), owner == gw->o ? GA_SUFFIX : GA_SET_SUFFIX,
	                               COX_FMT(spec->name));
	if (l->protocol == GA_OTHER)
		l->accepted = (struct ga_fault){ "UnsupportedProtocol",
			                         cox_arena_printf(g->a, "protocol %.*s is not supported", COX_FMT(spec->protocol)) };
	else if (l->protocol == GA_HTTPS && spec->tls && cox_str_eq_cstr(spec->tls->mode, "Passthrough"))
		l->accepted =
		    (struct ga_fault){ "UnsupportedValue", COX_STR("tls.mode Passthrough goes with protocol TLS, not with HTTPS") };
	read_kinds(g, l);
	if (l->protocol == GA_HTTPS || (l->protocol == GA_TLS && !l->passes))
		read_certificates(g, l);
	if (l->protocol == GA_HTTPS)
		read_client_check(g, l);
	cox_vec_push(&g->listeners, l);
}

/* --- conflicts -------------------------------------------------------------------------------------------- */

static const char *conflict_of(const struct ga_listener *a, const struct ga_listener *b)
{
	bool both_tls = (a->protocol == GA_HTTPS || a->protocol == GA_TLS) && (b->protocol == GA_HTTPS || b->protocol == GA_TLS);
	if (a->gateway != b->gateway || a->spec->port.v != b->spec->port.v || a->protocol == GA_OTHER || b->protocol == GA_OTHER)
		return NULL;
	if (a->protocol != b->protocol && !both_tls)
		return "ProtocolConflict";
	return cox_str_eq(a->host, b->host) ? "HostnameConflict" : NULL;
}

/* Within one object nobody wins; between a Gateway and its ListenerSets the earlier one does. */
void ga_listeners_conflict(struct ga *g)
{
	for (size_t i = 0; i < g->listeners.n; i++)
		for (size_t k = 0; k < i; k++) {
			struct ga_listener *b = g->listeners.p[i], *a = g->listeners.p[k];
			const char *reason = conflict_of(a, b);
			if (!reason || (a->owner != b->owner && a->conflict.reason))
				continue;
			b->conflict = (struct ga_fault){ reason, cox_arena_printf(g->a, "listener %.*s of %.*s has the same port",
				                                                  COX_FMT(a->spec->name), COX_FMT(a->owner->id)) };
			if (a->owner == b->owner)
				a->conflict = (struct ga_fault){ reason, cox_arena_printf(g->a, "listener %.*s has the same port",
					                                                  COX_FMT(b->spec->name)) };
		}
}
