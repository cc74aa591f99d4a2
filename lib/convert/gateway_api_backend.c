/* gateway_api_backend - where a backendRef leads: a Service's port, with leave (ReferenceGrant) if it is in another namespace. */
#include "convert/gateway_api_priv.h"

#include "model/core.h"

/* No service has this name: requests are answered with an error (translate/route_action.c says with which). */
static const struct cox_str NOWHERE = COX_STR_INIT("unresolved-backend.invalid");

static bool has_port(const struct cox_object *o, int64_t port)
{
	const struct cox_service_spec *spec = COX_SPEC(cox_service, o)->spec;
	if (spec && cox_str_eq_cstr(spec->type, "ExternalName"))
		return true; /* it needs to name no ports */
	for (size_t i = 0; spec && i < spec->ports.n; i++)
		if (spec->ports.p[i].port.v == port)
			return true;
	return false;
}

static bool fail(struct ga_fault *fault, const char *reason, struct cox_str message)
{
	if (!fault->reason)
		*fault = (struct ga_fault){ reason, message };
	return false;
}

static bool resolve(struct ga *g, const struct cox_object *route, const struct cox_gwapi_ref *ref, struct ga_backend *out,
                    struct ga_fault *fault)
{
	struct cox_str kind = ga_or(ref->kind, "Service"), group = ref->group.v, ns = ref->ns.n ? ref->ns : route->meta.ns;
	if (cox_str_eq_cstr(group, "networking.istio.io") && cox_str_eq_cstr(kind, "Hostname") && ref->port.set) {
		*out = (struct ga_backend){ .host = ref->name, .port = ref->port.v };
		return true;
	}
	if (group.n || !cox_str_eq_cstr(kind, "Service"))
		return fail(fault, "InvalidKind",
		            cox_arena_printf(g->a, "%.*s of group \"%.*s\" cannot be a backend", COX_FMT(kind), COX_FMT(group)));
	if (!ga_is_granted(g, cox_kind_info(route->kind)->name, route->meta.ns, "Service", ns, ref->name))
		return fail(fault, "RefNotPermitted",
		            cox_arena_printf(g->a, "Service %.*s/%.*s is in another namespace, and no ReferenceGrant there permits it",
		                             COX_FMT(ns), COX_FMT(ref->name)));
	const struct cox_object *o = convert_find(g->run, COX_KIND_SERVICE, ns, ref->name);
	if (!o)
		return fail(fault, "BackendNotFound",
		            cox_arena_printf(g->a, "there is no Service %.*s/%.*s", COX_FMT(ns), COX_FMT(ref->name)));
	if (!ref->port.set)
		return fail(fault, "UnsupportedValue",
		            cox_arena_printf(g->a, "Service %.*s/%.*s: port must be set", COX_FMT(ns), COX_FMT(ref->name)));
	if (!has_port(o, ref->port.v))
		return fail(
		    fault, "BackendNotFound",
		    cox_arena_printf(g->a, "Service %.*s/%.*s has no port %lld", COX_FMT(ns), COX_FMT(ref->name), (long long)ref->port.v));
	*out = (struct ga_backend){ .host = convert_host(g->run, ref->name, ns), .port = ref->port.v, .service = o };
	return true;
}

bool ga_backend_resolve(struct ga *g, const struct cox_object *route, const struct cox_gwapi_ref *ref, struct ga_backend *out,
                        struct ga_fault *fault)
{
	*out = (struct ga_backend){ .host = NOWHERE, .port = ref->port.set ? ref->port.v : 80 };
	return resolve(g, route, ref, out, fault);
}

void ga_destination_write(struct ga *g, struct cox_json *to, const struct ga_backend *b)
{
	struct cox_json *d = convert_object_at(g->run, to, "destination");
	convert_str_at(g->run, d, "host", b->host);
	convert_i64_at(g->run, convert_object_at(g->run, d, "port"), "number", b->port);
}

bool ga_destinations_write(struct ga *g, const struct cox_object *route, const struct cox_gwapi_rule *r, struct cox_json *to,
                           struct ga_fault *fault)
{
	size_t good = 0, n = 0;
	struct cox_json *list = cox_json_new_array(g->a);
	for (COX_EACH(struct cox_gwapi_backend, b, r->backends)) {
		struct cox_gwapi_ref ref = { .group = b->group, .kind = b->kind, .name = b->name, .ns = b->ns, .port = b->port };
		struct ga_backend found;
		bool is_good = ga_backend_resolve(g, route, &ref, &found, fault);
		int64_t weight = b->weight.set ? b->weight.v : 1;
		if (weight <= 0)
			continue;
		struct cox_json *item = convert_object_push(g->run, list);
		ga_destination_write(g, item, &found);
		if (r->backends.n > 1)
			convert_i64_at(g->run, item, "weight", weight);
		ga_headers_write(g, item, b->filters.p, b->filters.n);
		good += is_good;
		n++;
	}
	if (!good)
		return false;
	/* What is left of several with weights may be one. */
	cox_json_set(g->a, to, COX_STR("route"), list);
	return true;
}
