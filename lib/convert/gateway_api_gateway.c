/* gateway_api_gateway - which Gateways and ListenerSets are ours, which pods serve them, and the Istio Gateways made of their listeners. */
#include "convert/gateway_api_priv.h"

#include "model/core.h"

#include <stdlib.h>

static bool is_class_ours(struct ga *g, struct cox_str name, bool *is_remote)
{
	const struct cox_object *o = convert_find(g->run, COX_KIND_GATEWAY_CLASS, (struct cox_str){ 0 }, name);
	const struct cox_gwapi_class *spec = o ? COX_SPEC(cox_gwapi_class_object, o)->spec : NULL;
	*is_remote = o ? spec && cox_str_eq_cstr(spec->controller_name, GA_UNMANAGED) : cox_str_eq_cstr(name, "istio-remote");
	if (!o) /* these two need not exist */
		return cox_str_eq_cstr(name, "istio") || *is_remote;
	return spec && (cox_str_eq_cstr(spec->controller_name, GA_CONTROLLER) || *is_remote) && !spec->parameters;
}

/* --- pods ----------------------------------------------------------------------------------------------- */

/* "name", "name.ns", "name.ns.svc.cluster.local" */
static const struct cox_object *service_of_host(struct ga *g, struct cox_str own_ns, struct cox_str host)
{
	struct cox_str tail = cox_arena_printf(g->a, ".svc.%.*s", COX_FMT(convert_domain(g->run)));
	struct cox_str rest = cox_str_has_suffix(host, tail) ? cox_str_sub(host, 0, host.n - tail.n) : host;
	ptrdiff_t dot = cox_str_find(rest, '.');
	struct cox_str name = dot < 0 ? rest : cox_str_sub(rest, 0, (size_t)dot);
	struct cox_str ns = dot < 0 ? own_ns : cox_str_sub(rest, (size_t)dot + 1, SIZE_MAX);
	if (cox_str_has_suffix(ns, COX_STR(".svc")))
		ns.n -= 4;
	return convert_find(g->run, COX_KIND_SERVICE, ns, name);
}

static void bind_to_service(struct ga *g, struct ga_gateway *gw, const struct cox_gwapi_address *address)
{
	const struct cox_object *o = service_of_host(g, gw->o->meta.ns, address->value);
	const struct cox_service_spec *spec = o ? COX_SPEC(cox_service, o)->spec : NULL;
	if (!spec || !spec->selector.n) {
		gw->bound = (struct ga_fault){ "AddressNotUsable",
			                       cox_arena_printf(g->a, o ? "Service %.*s selects no pods" : "there is no Service %.*s",
			                                        COX_FMT(address->value)) };
		return;
	}
	gw->service = o;
	gw->pods_ns = o->meta.ns;
	gw->selector = spec->selector.p;
	gw->selector_n = spec->selector.n;
}

/* Without an address: the pods and the Service that bear the Gateway's name. */
static void bind_by_label(struct ga *g, struct ga_gateway *gw)
{
	struct cox_kv *label = COX_ARENA_NEW(g->a, struct cox_kv);
	*label = (struct cox_kv){ COX_STR(GA_NAME_LABEL), gw->o->meta.name };
	gw->pods_ns = gw->o->meta.ns;
	gw->selector = label;
	gw->selector_n = 1;
	struct cox_str name = ga_deployment_name(g, gw);
	gw->service = convert_find(g->run, COX_KIND_SERVICE, gw->o->meta.ns, name);
	if (!gw->service)
		gw->bound = (struct ga_fault){
			"Pending", cox_arena_printf(g->a,
			                            "no gateway is running yet: there is no Service %.*s with pods labelled " GA_NAME_LABEL
			                            "=%.*s, and spec.addresses names no other (type Hostname)",
			                            COX_FMT(name), COX_FMT(gw->o->meta.name))
		};
}

/* What was asked for is one of those that the load balancer has. */
static bool has_address(const struct cox_object *service, struct cox_str ip)
{
	const struct cox_service *svc = service ? COX_SPEC(cox_service, service) : NULL;
	if (!svc || !svc->status || !svc->status->load_balancer)
		return false;
	for (COX_EACH(struct cox_ingress_point, in, svc->status->load_balancer->ingress))
		if (cox_str_eq(in->ip, ip))
			return true;
	return false;
}

static void bind(struct ga *g, struct ga_gateway *gw)
{
	for (COX_EACH(struct cox_gwapi_address, a, gw->spec->addresses)) {
		bool is_host = cox_str_eq_cstr(a->type, "Hostname");
		if (!is_host && a->type.n && !cox_str_eq_cstr(a->type, "IPAddress"))
			gw->accepted =
			    (struct ga_fault){ "UnsupportedAddress",
				               cox_arena_printf(g->a, "addresses of type %.*s are not supported", COX_FMT(a->type)) };
		else if (!is_host && !gw->service)
			bind_by_label(g, gw);
		else if (!gw->service)
			bind_to_service(g, gw, a);
		else
			convert_finding(g->run, gw->o, COX_SEV_WARNING, COX_STR("spec.addresses"),
			                "of several Hostnames the first one counts");
	}
	if (!gw->spec->addresses.n)
		bind_by_label(g, gw);
	for (COX_EACH(struct cox_gwapi_address, a, gw->spec->addresses))
		if ((!a->type.n || cox_str_eq_cstr(a->type, "IPAddress")) && !gw->bound.reason && !has_address(gw->service, a->value))
			gw->bound =
			    (struct ga_fault){ "AddressNotAssigned", cox_arena_printf(g->a, "%.*s has not got the address %.*s",
				                                                      COX_FMT(gw->service->id), COX_FMT(a->value)) };
}

/* --- collecting -------------------------------------------------------------------------------------------- */

static int gateway_cmp(const void *a, const void *b)
{
	const struct ga_gateway *const *x = a, *const *y = b;
	return cox_object_cmp_age((*x)->o, (*y)->o);
}
static int set_cmp(const void *a, const void *b)
{
	const struct ga_set *const *x = a, *const *y = b;
	return cox_object_cmp_age((*x)->o, (*y)->o);
}

static void gateway_add(struct ga *g, const struct cox_object *o)
{
	const struct cox_gwapi_gateway *spec = COX_SPEC(cox_gwapi_gateway_object, o)->spec;
	bool is_remote = false;
	if (!spec || o->meta.is_deleting || !is_class_ours(g, spec->class_name, &is_remote))
		return;
	struct ga_gateway *gw = COX_ARENA_NEW(g->a, struct ga_gateway);
	*gw = (struct ga_gateway){ .o = o, .spec = spec, .is_remote = is_remote };
	ga_params_read(g, gw);
	if (spec->tls && spec->tls->backend && spec->tls->backend->client_certificate)
		convert_finding(g->run, o, COX_SEV_WARNING, COX_STR("spec.tls.backend.clientCertificateRef"), "has no effect");
	bind(g, gw);
	cox_vec_push(&g->gateways, gw);
}

static void set_add(struct ga *g, const struct cox_object *o)
{
	const struct cox_gwapi_listener_set *spec = COX_SPEC(cox_gwapi_listener_set_object, o)->spec;
	if (!spec || !spec->parent || o->meta.is_deleting)
		return;
	const struct cox_gwapi_ref *p = spec->parent;
	struct cox_str ns = p->ns.n ? p->ns : o->meta.ns;
	if (!cox_str_eq_cstr(ga_or(p->group, GA_GROUP), GA_GROUP) || !cox_str_eq_cstr(ga_or(p->kind, "Gateway"), "Gateway"))
		return;
	for (size_t i = 0; i < g->gateways.n; i++) {
		struct ga_gateway *gw = g->gateways.p[i];
		if (!cox_str_eq(gw->o->meta.name, p->name) || !cox_str_eq(gw->o->meta.ns, ns))
			continue;
		struct ga_set *s = COX_ARENA_NEW(g->a, struct ga_set);
		*s = (struct ga_set){ .o = o, .gateway = gw };
		const struct cox_gwapi_namespaces *allowed = gw->spec->allowed_listeners ? gw->spec->allowed_listeners->namespaces : NULL;
		if (!allowed || !allowed->from.n || !ga_takes_namespace(g, allowed, gw->o->meta.ns, o->meta.ns))
			s->accepted =
			    (struct ga_fault){ "NotAllowed", cox_arena_printf(g->a, "%.*s does not allow ListenerSets of this namespace",
				                                              COX_FMT(gw->o->id)) };
		cox_vec_push(&g->sets, s);
	}
}

void ga_gateways_collect(struct ga *g)
{
	const struct cox_object *const *all;
	size_t n = convert_list(g->run, COX_KIND_K8S_GATEWAY, &all);
	for (size_t i = 0; i < n; i++)
		gateway_add(g, all[i]);
	if (g->gateways.n > 1)
		qsort(g->gateways.p, g->gateways.n, sizeof(*g->gateways.p), gateway_cmp);
	n = convert_list(g->run, COX_KIND_LISTENER_SET, &all);
	for (size_t i = 0; i < n; i++)
		set_add(g, all[i]);
	if (g->sets.n > 1)
		qsort(g->sets.p, g->sets.n, sizeof(*g->sets.p), set_cmp);
	for (size_t i = 0; i < g->gateways.n; i++)
		for (COX_EACH(struct cox_gwapi_listener, l, g->gateways.p[i]->spec->listeners))
			ga_listener_add(g, g->gateways.p[i], g->gateways.p[i]->o, l);
	for (size_t i = 0; i < g->sets.n; i++) {
		struct ga_set *s = g->sets.p[i];
		if (s->accepted.reason)
			continue;
		s->gateway->set_count++;
		for (COX_EACH(struct cox_gwapi_listener, l, COX_SPEC(cox_gwapi_listener_set_object, s->o)->spec->listeners))
			ga_listener_add(g, s->gateway, s->o, l);
	}
	ga_listeners_conflict(g);
}

/* --- documents ----------------------------------------------------------------------------------------------- */

static void tls_write(struct ga *g, struct cox_json *server, const struct ga_listener *l)
{
	struct cox_json *tls = convert_object_at(g->run, server, "tls");
	if (l->passes) {
		convert_str_at(g->run, tls, "mode", COX_STR("PASSTHROUGH"));
		return;
	}
	const char *mode = l->takes_any_client ? "OPTIONAL_MUTUAL" : l->client_ca.n ? "MUTUAL" : "SIMPLE";
	convert_str_at(g->run, tls, "mode", cox_str_of(mode));
	if (l->credential->n == 1)
		convert_str_at(g->run, tls, "credentialName", l->credential->items[0].text);
	else
		cox_json_set(g->a, tls, COX_STR("credentialNames"), l->credential);
	convert_str_at(g->run, tls, "caCertCredentialName", l->client_ca);
	if (l->takes_any_client)
		convert_bool_at(g->run, tls, "insecureSkipVerify", true);
}

/* Proxies of another namespace than the Secret's may have what a Gateway names with leave (translate/secret.h). */
static struct cox_str granted_of(struct ga *g, const struct ga_listener *l)
{
	struct cox_str text = { 0 };
	for (size_t i = 0; l->credential && i < l->credential->n; i++)
		text = cox_arena_printf(g->a, "%.*s%s%.*s", COX_FMT(text), text.n ? "," : "", COX_FMT(l->credential->items[i].text));
	if (l->client_ca.n)
		text = cox_arena_printf(g->a, "%.*s%s%.*s", COX_FMT(text), text.n ? "," : "", COX_FMT(l->client_ca));
	return text;
}

static void listener_emit(struct ga *g, const struct ga_listener *l, size_t at)
{
	static const char *const protocols[] = { "HTTP", "HTTPS", "TLS", "TCP" };
	struct cox_json *spec;
	struct cox_json *doc = convert_doc_new(g->run, COX_KIND_GATEWAY, l->owner->meta.ns, l->internal, l->owner, &spec);
	convert_doc_annotate(g->run, doc, "internal.istio.io/gateway-namespace", l->gateway->pods_ns);
	convert_doc_annotate(g->run, doc, "internal.istio.io/granted-secrets", granted_of(g, l));
	struct cox_json *selector = convert_object_at(g->run, spec, "selector");
	for (size_t i = 0; i < l->gateway->selector_n; i++)
		cox_json_set(g->a, selector, l->gateway->selector[i].key, cox_json_new_str(g->a, l->gateway->selector[i].value));
	struct cox_json *server = convert_object_push(g->run, convert_array_at(g->run, spec, "servers"));
	struct cox_json *port = convert_object_at(g->run, server, "port");
	convert_i64_at(g->run, port, "number", l->spec->port.v);
	convert_str_at(g->run, port, "protocol", cox_str_of(protocols[l->protocol]));
	convert_str_at(g->run, port, "name", COX_STR("default"));
	/* Only rules of its own namespace, where we put those of its routes: who may attach is for allowedRoutes to say. */
	convert_str_push(g->run, convert_array_at(g->run, server, "hosts"), cox_arena_concat(g->a, COX_STR("./"), l->host));
	if (l->protocol == GA_HTTPS || l->protocol == GA_TLS)
		tls_write(g, server, l);
	convert_emit(g->run, doc, l->owner, cox_arena_printf(g->a, "spec.listeners[%zu]", at));
}

void ga_gateways_emit(struct ga *g)
{
	size_t at = 0;
	for (size_t i = 0; i < g->listeners.n; i++) {
		const struct ga_listener *l = g->listeners.p[i];
		at = i && g->listeners.p[i - 1]->owner == l->owner ? at + 1 : 0;
		bool lacks_certificate = !l->passes && (l->protocol == GA_HTTPS || l->protocol == GA_TLS) && !l->credential->n;
		if (ga_listener_is_served(l) && l->gateway->selector_n && !lacks_certificate)
			listener_emit(g, l, at);
	}
}
