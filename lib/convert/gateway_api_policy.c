/* gateway_api_policy - BackendTLSPolicy: the TLS that gateways speak to a Service, as a DestinationRule. */
#include "convert/gateway_api_priv.h"

#include "model/core.h"
#include "model/secret.h"

#include <stdlib.h>

struct policy {
	const struct cox_object *o;
	const struct cox_gwapi_backend_tls *spec;
	struct ga_fault accepted, resolved;
	struct cox_str credential; /* "configmap://ns/name"; empty: the proxy's own authorities */
};
struct rule { /* of one Service */
	struct cox_str service;
	const struct cox_object *first;
	COX_VEC(struct cox_str) sections;
	const struct policy *whole; /* for every port */
	COX_VEC(const struct policy *) of_section;
};
typedef COX_VEC(struct rule *) rules;

/* --- authorities ------------------------------------------------------------------------------------------- */

static void read_authorities(struct ga *g, struct policy *p)
{
	const struct cox_gwapi_backend_validation *v = p->spec->validation;
	if (cox_str_eq_cstr(v->well_known, "System"))
		return;
	if (!v->authorities.n) {
		p->accepted = (struct ga_fault){ "Invalid", COX_STR("wellKnownCACertificates can only be System") };
		return;
	}
	if (v->authorities.n > 1)
		convert_finding(g->run, p->o, COX_SEV_WARNING, COX_STR("spec.validation.caCertificateRefs"),
		                "of several the first one counts");
	const struct cox_gwapi_ref *r = &v->authorities.p[0];
	struct cox_str kind = ga_or(r->kind, "");
	bool is_map = cox_str_eq_cstr(kind, "ConfigMap");
	bool is_name = !cox_format_check("subdomain", r->name) && !cox_secret_is_reserved(r->name);
	if (r->group.v.n || !is_name || (!is_map && !cox_str_eq_cstr(kind, "Secret"))) {
		p->resolved = (struct ga_fault){ "InvalidKind", cox_arena_printf(g->a, "%.*s %.*s cannot hold authorities", COX_FMT(kind),
			                                                         COX_FMT(r->name)) };
	} else {
		const struct cox_object *o = convert_find(g->run, is_map ? COX_KIND_CONFIG_MAP : COX_KIND_SECRET, p->o->meta.ns, r->name);
		if (!o || !cox_tls_material_of(o).ca.n)
			p->resolved = (struct ga_fault){ "InvalidCACertificateRef",
				                         cox_arena_printf(g->a, o ? "%.*s %.*s has no ca.crt" : "there is no %.*s %.*s",
				                                          COX_FMT(kind), COX_FMT(r->name)) };
	}
	if (p->resolved.reason)
		p->accepted = (struct ga_fault){ "NoValidCACertificate", p->resolved.message };
	/* Without authorities connections fail: never are they made without a check. (No object has the name that stands in for a bad one.)
	 */
	p->credential = cox_arena_printf(g->a, "%s://%.*s/%.*s", is_map ? "configmap" : "kubernetes-gateway", COX_FMT(p->o->meta.ns),
	                                 COX_FMT(is_name ? r->name : COX_STR("-")));
}

/* --- targets -------------------------------------------------------------------------------------------------- */

static struct rule *rule_get(struct ga *g, rules *all, struct cox_str service, const struct cox_object *first)
{
	for (size_t i = 0; i < all->n; i++)
		if (cox_str_eq(all->p[i]->service, service))
			return all->p[i];
	struct rule *r = COX_ARENA_NEW(g->a, struct rule);
	*r = (struct rule){ .service = service, .first = first };
	cox_vec_push(all, r);
	return r;
}

static void add_target(struct ga *g, rules *all, struct policy *p, const struct cox_gwapi_ref *t)
{
	if (t->group.v.n || !cox_str_eq_cstr(t->kind.v, "Service")) {
		p->accepted = (struct ga_fault){ "Invalid", cox_arena_printf(g->a, "%.*s %.*s cannot be a target; a Service can",
			                                                     COX_FMT(t->kind.v), COX_FMT(t->name)) };
		return;
	}
	const struct cox_object *svc = convert_find(g->run, COX_KIND_SERVICE, p->o->meta.ns, t->name);
	if (!svc) {
		p->accepted = (struct ga_fault){ "TargetNotFound", cox_arena_printf(g->a, "there is no Service %.*s", COX_FMT(t->name)) };
		return;
	}
	struct rule *r = rule_get(g, all, t->name, p->o);
	const struct policy *before = t->section_name.n ? NULL : r->whole;
	for (size_t i = 0; t->section_name.n && i < r->sections.n; i++)
		before = cox_str_eq(r->sections.p[i], t->section_name) ? r->of_section.p[i] : before;
	if (before) {
		p->accepted = (struct ga_fault){ "Conflicted", cox_arena_printf(g->a, "%.*s, which is older, is for the same Service %.*s",
			                                                        COX_FMT(before->o->id), COX_FMT(t->name)) };
	} else if (t->section_name.n) {
		cox_vec_push(&r->sections, t->section_name);
		cox_vec_push(&r->of_section, p);
	} else {
		r->whole = p;
	}
}

/* --- documents -------------------------------------------------------------------------------------------------- */

static void tls_write(struct ga *g, struct cox_json *to, const struct policy *p)
{
	const struct cox_gwapi_backend_validation *v = p->spec->validation;
	struct cox_json *tls = convert_object_at(g->run, to, "tls");
	convert_str_at(g->run, tls, "mode", COX_STR("SIMPLE"));
	convert_str_at(g->run, tls, "sni", v->hostname);
	convert_str_at(g->run, tls, "credentialName", p->credential);
	struct cox_json *sans = convert_array_at(g->run, tls, "subjectAltNames");
	for (COX_EACH(struct cox_gwapi_san, s, v->sans))
		convert_str_push(g->run, sans, cox_str_eq_cstr(s->type, "URI") ? s->uri : s->hostname);
	if (!v->sans.n)
		convert_str_push(g->run, sans, v->hostname);
}

static int64_t port_of(struct ga *g, struct cox_str ns, struct cox_str service, struct cox_str section)
{
	const struct cox_object *o = convert_find(g->run, COX_KIND_SERVICE, ns, service);
	const struct cox_service_spec *spec = o ? COX_SPEC(cox_service, o)->spec : NULL;
	for (size_t i = 0; spec && i < spec->ports.n; i++)
		if (cox_str_eq(spec->ports.p[i].name, section))
			return spec->ports.p[i].port.v;
	return 0;
}

static void rule_emit(struct ga *g, const struct rule *r, struct cox_str ns)
{
	struct cox_json *spec, *ports = NULL;
	struct cox_str name = cox_arena_printf(g->a, "%.*s.istio-autogenerated-k8s-gateway-tls", COX_FMT(r->service));
	struct cox_json *doc = convert_doc_new(g->run, COX_KIND_DESTINATION_RULE, ns, name, r->first, &spec);
	convert_str_at(g->run, spec, "host", convert_host(g->run, r->service, ns));
	/* Gateways in other namespaces may have these authorities (translate/secret.h). */
	struct cox_str granted = r->whole ? r->whole->credential : (struct cox_str){ 0 };
	for (size_t i = 0; i < r->sections.n; i++)
		if (r->of_section.p[i]->credential.n)
			granted = cox_arena_printf(g->a, "%.*s%s%.*s", COX_FMT(granted), granted.n ? "," : "",
			                           COX_FMT(r->of_section.p[i]->credential));
	convert_doc_annotate(g->run, doc, "internal.istio.io/granted-secrets", granted);
	struct cox_json *policy = convert_object_at(g->run, spec, "trafficPolicy");
	if (r->whole)
		tls_write(g, policy, r->whole);
	for (size_t i = 0; i < r->sections.n; i++) {
		int64_t port = port_of(g, ns, r->service, r->sections.p[i]);
		if (!port)
			continue;
		ports = ports ? ports : convert_array_at(g->run, policy, "portLevelSettings");
		struct cox_json *one = convert_object_push(g->run, ports);
		convert_i64_at(g->run, convert_object_at(g->run, one, "port"), "number", port);
		tls_write(g, one, r->of_section.p[i]);
	}
	if (r->whole || ports)
		convert_emit(g->run, doc, r->first, COX_STR("spec.validation"));
}

/* --- status ------------------------------------------------------------------------------------------------------ */

static void ancestor_write(struct ga *g, struct cox_json *list, const struct policy *p, const struct cox_object *ancestor)
{
	const struct cox_kind_info *info = cox_kind_info(ancestor->kind);
	for (size_t i = 0; i < list->n; i++) {
		const struct cox_json *ref = cox_json_get(&list->items[i], COX_STR("ancestorRef"));
		if (cox_str_eq(cox_json_str_at(ref, "name"), ancestor->meta.name) && cox_str_eq(cox_json_str_at(ref, "kind"), info->name) &&
		    cox_str_eq(cox_json_str_at(ref, "namespace"), ancestor->meta.ns))
			return;
	}
	struct cox_json *a = convert_object_push(g->run, list);
	struct cox_json *ref = convert_object_at(g->run, a, "ancestorRef");
	cox_json_set(g->a, ref, COX_STR("group"), cox_json_new_str(g->a, info->group));
	convert_str_at(g->run, ref, "kind", info->name);
	convert_str_at(g->run, ref, "namespace", ancestor->meta.ns);
	convert_str_at(g->run, ref, "name", ancestor->meta.name);
	convert_str_at(g->run, a, "controllerName", COX_STR(GA_CONTROLLER));
	struct cox_json *conditions = convert_array_at(g->run, a, "conditions");
	ga_condition_of(g, conditions, p->o, "Accepted", &p->accepted, "Accepted", "The policy is in force");
	ga_condition_of(g, conditions, p->o, "ResolvedRefs", &p->resolved, "ResolvedRefs", "All references are resolved");
}

static void policy_status(struct ga *g, const struct policy *p)
{
	struct cox_json *status = cox_json_new_object(g->a), *list = convert_array_at(g->run, status, "ancestors");
	for (COX_EACH(struct cox_gwapi_ref, t, p->spec->targets)) {
		struct cox_str service = cox_arena_printf(g->a, "%.*s/%.*s", COX_FMT(p->o->meta.ns), COX_FMT(t->name));
		for (size_t i = 0; i < g->uses.n; i++)
			if (cox_str_eq(g->uses.p[i].service, service))
				ancestor_write(g, list, p, g->uses.p[i].parent);
	}
	/* Nobody leads there yet, so nobody is told. */
	if (list->n)
		convert_status(g->run, p->o, status);
}

static int by_age(const void *a, const void *b)
{
	const struct policy *x = a, *y = b;
	return cox_object_cmp_age(x->o, y->o);
}

/* Rules hold for one namespace: policies and their Services are of the same. */
static void namespace_convert(struct ga *g, struct policy *p, size_t n)
{
	rules all = { 0 };
	for (size_t i = 0; i < n; i++) {
		read_authorities(g, &p[i]);
		for (COX_EACH(struct cox_gwapi_ref, t, p[i].spec->targets))
			add_target(g, &all, &p[i], t);
	}
	for (size_t i = 0; i < all.n; i++) {
		rule_emit(g, all.p[i], p->o->meta.ns);
		cox_vec_fini(&all.p[i]->sections);
		cox_vec_fini(&all.p[i]->of_section);
	}
	cox_vec_fini(&all);
}

void ga_policies_convert(struct ga *g)
{
	const struct cox_object *const *objects;
	size_t count = convert_list(g->run, COX_KIND_BACKEND_TLS_POLICY, &objects);
	struct policy *all = COX_ARENA_ARRAY(g->a, struct policy, count + 1);
	for (size_t from = 0, to; from < count; from = to) { /* sorted by id: by namespace */
		size_t n = 0;
		for (to = from; to < count && cox_str_eq(objects[to]->meta.ns, objects[from]->meta.ns); to++) {
			const struct cox_gwapi_backend_tls *spec = COX_SPEC(cox_gwapi_backend_tls_object, objects[to])->spec;
			if (spec && spec->validation && !objects[to]->meta.is_deleting)
				all[n++] = (struct policy){ .o = objects[to], .spec = spec };
		}
		if (n > 1)
			qsort(all, n, sizeof(*all), by_age);
		if (n)
			namespace_convert(g, all, n);
		for (size_t i = 0; i < n; i++)
			policy_status(g, &all[i]);
	}
}
