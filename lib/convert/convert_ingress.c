/* convert_ingress - Ingress and IngressClass (networking.k8s.io/v1): which are ours, and their Gateways. Names are istiod's. */
#include "convert/ingress_priv.h"

#include "model/core.h"

#include <stdlib.h>

static const struct cox_str OUR_CONTROLLER = COX_STR_INIT("istio.io/ingress-controller");
static const struct cox_str CLASS_ANNOTATION = COX_STR_INIT("kubernetes.io/ingress.class");

/* --- whose is it? ------------------------------------------------------------------------------------------ */

static bool is_class_ours(struct convert_run *run, const struct cox_object *o, struct cox_str name)
{
	const struct cox_object *class = convert_find(run, COX_KIND_INGRESS_CLASS, (struct cox_str){ 0 }, name);
	if (!class) {
		/* Of another name it may be another controller's, which does not need the object. */
		if (cox_str_eq(name, convert_mesh(run)->ingress_class))
			convert_finding(run, o, COX_SEV_WARNING, COX_STR("spec.ingressClassName"),
			                "there is no IngressClass %.*s: the Ingress is not served", COX_FMT(name));
		return false;
	}
	const struct cox_ingress_class *spec = COX_SPEC(cox_ingress_class_object, class)->spec;
	return spec && cox_str_eq(spec->controller, OUR_CONTROLLER);
}

/* The annotation is older than the field and wins over it, as with istiod. */
static bool is_ours(struct convert_run *run, const struct cox_object *o, const struct cox_ingress *spec)
{
	const struct cox_mesh_config *mesh = convert_mesh(run);
	if (mesh->ingress_controller_mode == COX_INGRESS_OFF || !spec)
		return false;
	if (cox_kv_has(o->meta.annotations.p, o->meta.annotations.n, CLASS_ANNOTATION))
		return cox_str_eq(cox_kv_get(o->meta.annotations.p, o->meta.annotations.n, CLASS_ANNOTATION), mesh->ingress_class);
	if (spec->ingress_class_name.set)
		return is_class_ours(run, o, spec->ingress_class_name.v);
	return mesh->ingress_controller_mode == COX_INGRESS_DEFAULT;
}

static int by_age(const void *a, const void *b)
{
	const struct ingress_one *x = a, *y = b;
	return cox_object_cmp_age(x->o, y->o);
}

static size_t collect(struct convert_run *run, struct ingress_one **out)
{
	const struct cox_object *const *all;
	size_t n = 0, count = convert_list(run, COX_KIND_INGRESS, &all);
	struct ingress_one *ours = COX_ARENA_ARRAY(convert_arena(run), struct ingress_one, count + 1);
	for (size_t i = 0; i < count; i++) {
		const struct cox_ingress *spec = COX_SPEC(cox_ingress_object, all[i])->spec;
		if (all[i]->meta.is_deleting || !is_ours(run, all[i], spec))
			continue;
		ours[n++] = (struct ingress_one){ .o = all[i], .spec = spec };
	}
	if (n > 1)
		qsort(ours, n, sizeof(*ours), by_age);
	*out = ours;
	return n;
}

/* --- Gateways ------------------------------------------------------------------------------------------------ */

struct cox_str ingress_selector(const struct convert_run *run)
{
	const struct cox_mesh_config *mesh = convert_mesh(run);
	if (mesh->ingress_selector.n)
		return mesh->ingress_selector;
	/* The service and its pods often have the same name; that of the default installation does not. */
	bool is_default = !mesh->ingress_service.v.n || cox_str_eq_cstr(mesh->ingress_service.v, "istio-ingressgateway");
	return is_default ? COX_STR("ingressgateway") : mesh->ingress_service.v;
}

static struct cox_json *server_add(struct convert_run *run, struct cox_json *servers, int port, const char *protocol, struct cox_str name,
                                   const struct cox_str *hosts, size_t n)
{
	struct cox_json *s = convert_object_push(run, servers);
	struct cox_json *p = convert_object_at(run, s, "port");
	convert_i64_at(run, p, "number", port);
	convert_str_at(run, p, "protocol", cox_str_of(protocol));
	convert_str_at(run, p, "name", name);
	struct cox_json *list = convert_array_at(run, s, "hosts");
	for (size_t i = 0; i < n; i++)
		convert_str_push(run, list, hosts[i]);
	if (!n)
		convert_str_push(run, list, COX_STR("*"));
	return s;
}

static void gateway_emit(struct convert_run *run, struct ingress_one *one)
{
	const struct cox_object *o = one->o;
	struct cox_arena *a = convert_arena(run);
	struct cox_json *spec;
	struct cox_str name = cox_arena_printf(a, "%.*s-" INGRESS_SUFFIX "-%.*s", COX_FMT(o->meta.name), COX_FMT(o->meta.ns));
	struct cox_json *doc = convert_doc_new(run, COX_KIND_GATEWAY, convert_root_ns(run), name, o, &spec);
	one->gateway = cox_arena_printf(a, "%.*s/%.*s", COX_FMT(convert_root_ns(run)), COX_FMT(name));
	convert_str_at(run, convert_object_at(run, spec, "selector"), "istio", ingress_selector(run));
	struct cox_json *servers = convert_array_at(run, spec, "servers");
	for (size_t i = 0; i < one->spec->tls.n; i++) {
		const struct cox_ingress_tls *t = &one->spec->tls.p[i];
		if (!t->secret_name.n) {
			convert_finding(run, o, COX_SEV_WARNING, cox_arena_printf(a, "spec.tls[%zu].secretName", i),
			                "is not set: these hosts are not served over TLS");
			continue;
		}
		struct cox_str port = cox_arena_printf(a, "https-443-ingress-%.*s-%.*s-%zu", COX_FMT(o->meta.name), COX_FMT(o->meta.ns), i);
		struct cox_json *tls = convert_object_at(run, server_add(run, servers, 443, "HTTPS", port, t->hosts.p, t->hosts.n), "tls");
		convert_str_at(run, tls, "mode", COX_STR("SIMPLE"));
		convert_str_at(run, tls, "credentialName", t->secret_name);
	}
	server_add(run, servers, 80, "HTTP", cox_arena_printf(a, "http-80-ingress-%.*s-%.*s", COX_FMT(o->meta.name), COX_FMT(o->meta.ns)),
	           NULL, 0);
	convert_emit(run, doc, o, COX_STR("spec.tls"));
}

static void convert(struct convert_run *run)
{
	struct ingress_one *all;
	size_t n = collect(run, &all);
	for (size_t i = 0; i < n; i++)
		gateway_emit(run, &all[i]);
	ingress_rules_convert(run, all, n);
	if (n)
		ingress_statuses_convert(run, all, n);
}

static const enum cox_kind inputs[] = { COX_KIND_INGRESS };
const struct convert_family convert_ingress = {
	.name = "ingress",
	.inputs = inputs,
	.input_n = COX_LEN(inputs),
	.convert = convert,
};
