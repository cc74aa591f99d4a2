/* Workloads: the Services that lead to them, and as whom they run. */
#include "analyze/analyze_priv.h"

#include <stdlib.h>

/* One port of a Service that selects the Deployment. */
struct way {
	struct cox_str service, protocol, target;
	int64_t port;
};
typedef COX_VEC(struct way) ways;

static int cmp_by_port(const void *a, const void *b)
{
	const struct way *x = a, *y = b;
	int c = (x->port > y->port) - (x->port < y->port);
	return c ? c : cox_str_cmp(x->service, y->service);
}
static int cmp_by_target(const void *a, const void *b)
{
	const struct way *x = a, *y = b;
	int c = cox_str_cmp(x->target, y->target);
	c = c ? c : (x->port > y->port) - (x->port < y->port);
	return c ? c : cox_str_cmp(x->service, y->service);
}

static void collect(struct an_run *r, const struct an_obj *d, ways *out)
{
	struct an_list services = { 0 };
	an_services_of(r, d->ns, cox_json_at(d->spec, "template.metadata.labels"), &services);
	for (size_t i = 0; i < services.n; i++)
		AN_EACH(p, an_get(services.p[i]->spec, "ports"))
		{
			struct cox_str protocol = an_str(p, "protocol"), target = an_scalar(an_get(p, "targetPort"));
			if (!target.n || cox_str_eq_cstr(target, "0"))
				target = an_scalar(an_get(p, "port"));
			cox_vec_push(out, ((struct way){ services.p[i]->full, protocol.n ? protocol : COX_STR("TCP"), target,
			                                 an_i64(an_get(p, "port"), 0) }));
		}
	cox_vec_fini(&services);
}

static struct cox_str services_of(struct an_run *r, const struct way *from, size_t n)
{
	struct cox_str *names = COX_ARENA_ARRAY(r->arena, struct cox_str, n);
	for (size_t i = 0; i < n; i++)
		names[i] = from[i].service;
	return an_join(r, names, n, ", ");
}

static void check_protocols(struct an_run *r, const struct an_obj *d, ways *w)
{
	qsort(w->p, w->n, sizeof(*w->p), cmp_by_port);
	for (size_t i = 0, end; i < w->n; i = end) {
		bool differs = false;
		for (end = i; end < w->n && w->p[end].port == w->p[i].port; end++)
			differs |= !cox_str_eq(w->p[end].protocol, w->p[i].protocol);
		if (differs)
			an_report(r, COX_AN_DEPLOYMENT_PROTOCOLS, d, NULL, COX_STR(""),
			          "Services %.*s select its pods and give port %d different protocols; give them one, or other ports",
			          COX_FMT(services_of(r, w->p + i, end - i)), (int)w->p[i].port);
	}
}

static void check_targets(struct an_run *r, const struct an_obj *d, ways *w)
{
	qsort(w->p, w->n, sizeof(*w->p), cmp_by_target);
	for (size_t i = 0, end; i < w->n; i = end) {
		bool differs = false;
		for (end = i; end < w->n && cox_str_eq(w->p[end].target, w->p[i].target); end++)
			differs |= w->p[end].port != w->p[i].port;
		if (differs)
			an_report(r, COX_AN_DEPLOYMENT_PORTS, d, NULL, COX_STR(""),
			          "Services %.*s lead different ports (%d, %d) to its target port %.*s; use one port for it",
			          COX_FMT(services_of(r, w->p + i, end - i)), (int)w->p[i].port, (int)w->p[end - 1].port,
			          COX_FMT(w->p[i].target));
	}
}

void an_deployment_services(struct an_run *r)
{
	AN_EACH_OBJ(d, r, AN_DEPLOYMENT)
	{
		const struct cox_json *template = an_get(d->spec, "template"), *meta = an_get(template, "metadata");
		ways w = { 0 };
		if (cox_str_eq_cstr(an_label(d, "gateway.istio.io/managed"), "istio.io-mesh-controller") ||
		    !an_in_mesh(r, cox_json_at(template, "spec"), an_get(meta, "labels"), an_get(meta, "annotations"), d->ns))
			continue;
		collect(r, d, &w);
		if (w.n) {
			check_protocols(r, d, &w);
			check_targets(r, d, &w);
		}
		cox_vec_fini(&w);
	}
}

/* --- who it runs as ----------------------------------------------------------------------------------------------- */

enum { SIDECAR_UID = 1337 }; /* whose traffic the capture leaves alone */

static void check_uid(struct an_run *r, const struct an_obj *o, const struct cox_json *spec, const char *path)
{
	static const char advice[] = "is the sidecar's user, whose traffic is not captured; run the application as another one";
	if (an_is_control_plane(o))
		return;
	const struct cox_json *uid = cox_json_at(spec, "securityContext.runAsUser"), *containers = an_get(spec, "containers");
	if (an_i64(uid, 0) == SIDECAR_UID)
		an_report(r, COX_AN_APPLICATION_UID, o, uid, AN_PATH(r, "%s.securityContext.runAsUser", path), "1337 %s", advice);
	AN_EACH(c, containers)
	{
		struct cox_str name = an_str(c, "name");
		uid = cox_json_at(c, "securityContext.runAsUser");
		if (an_i64(uid, 0) == SIDECAR_UID && !cox_str_eq_cstr(name, "istio-proxy") && !cox_str_eq_cstr(name, "istio-operator"))
			an_report(r, COX_AN_APPLICATION_UID, o, uid,
			          AN_PATH(r, "%s.containers[%zu].securityContext.runAsUser", path, (size_t)(c - an_items(containers))),
			          "1337 %s", advice);
	}
}

void an_application_uid(struct an_run *r)
{
	AN_EACH_OBJ(pod, r, AN_POD)
	check_uid(r, pod, pod->spec, "spec");
	AN_EACH_OBJ(d, r, AN_DEPLOYMENT)
	check_uid(r, d, cox_json_at(d->spec, "template.spec"), "spec.template.spec");
}
