/* Services: the names of their ports, and whether clusters agree about them. */
#include "analyze/analyze_priv.h"

#include "model/protocol.h"

#include <stdlib.h>

static bool is_managed(const struct an_obj *s)
{
	static const char *const by[] = { "istio.io-gateway-controller", "istio.io-mesh-controller", "istio.io-eastwest-controller" };
	for (size_t i = 0; i < COX_LEN(by); i++)
		if (cox_str_eq_cstr(an_label(s, "gateway.istio.io/managed"), by[i]))
			return true;
	return false;
}

void an_port_names(struct an_run *r)
{
	AN_EACH_OBJ(s, r, AN_SERVICE)
	{
		const struct cox_json *ports = an_get(s->spec, "ports");
		bool is_external = cox_str_eq_cstr(an_str(s->spec, "type"), "ExternalName");
		if (an_is_control_plane(s) || is_managed(s))
			continue;
		AN_EACH(p, ports)
		{
			int64_t number = an_i64(an_get(p, "port"), 0);
			struct cox_str name = an_str(p, "name"), path = AN_PATH(r, "spec.ports[%zu].name", (size_t)(p - an_items(ports)));
			enum cox_protocol protocol =
			    cox_protocol_of_kube_port(an_str(p, "protocol"), an_str(p, "appProtocol"), name, (uint16_t)number);
			if (protocol != COX_PROTO_AUTO && !(is_external && cox_str_eq_cstr(name, "tcp")))
				continue;
			if (is_external)
				an_report(
				    r, COX_AN_EXTERNAL_NAME_PORT, s, p, path,
				    "is plain TCP, for an external name: it may take all traffic of the port; name it after HTTP or TLS, as https-x");
			else
				an_report(
				    r, COX_AN_PORT_NAME, s, p, path,
				    "\"%.*s\" of port %d says no protocol, so it is guessed; name it PROTOCOL or PROTOCOL-x, as http-web, or set "
				    "appProtocol",
				    COX_FMT(name), (int)number);
		}
	}
}

/* --- several clusters ------------------------------------------------------------------------------------------- */

static int cmp_port(const void *a, const void *b)
{
	const struct cox_json *x = *(const struct cox_json *const *)a, *y = *(const struct cox_json *const *)b;
	return cox_str_cmp(an_str(x, "name"), an_str(y, "name"));
}

static bool same_ports(struct an_run *r, const struct cox_json *a, const struct cox_json *b)
{
	size_t n = an_len(a);
	const struct cox_json **x = COX_ARENA_ARRAY(r->arena, const struct cox_json *, n + 1);
	const struct cox_json **y = COX_ARENA_ARRAY(r->arena, const struct cox_json *, n + 1);
	if (n != an_len(b))
		return false;
	for (size_t i = 0; i < n; i++)
		x[i] = &a->items[i], y[i] = &b->items[i];
	if (n) {
		qsort(x, n, sizeof(*x), cmp_port);
		qsort(y, n, sizeof(*y), cmp_port);
	}
	for (size_t i = 0; i < n; i++)
		if (!cox_json_eq(x[i], y[i]))
			return false;
	return true;
}

static bool is_headless(const struct an_obj *s) { return cox_str_eq_cstr(an_str(s->spec, "clusterIP"), "None"); }

static void compare(struct an_run *r, const struct an_list *same)
{
	static const char *const reasons[] = { "headless in some clusters only", "different types", "different ports" };
	const struct an_obj *first = same->p[0];
	struct cox_str *clusters = COX_ARENA_ARRAY(r->arena, struct cox_str, same->n), found[3];
	bool differs[3] = { false };
	size_t n = 0;
	for (size_t i = 1; i < same->n; i++) {
		const struct an_obj *s = same->p[i];
		bool d[3] = { is_headless(first) != is_headless(s), !cox_str_eq(an_str(first->spec, "type"), an_str(s->spec, "type")),
			      !same_ports(r, an_get(first->spec, "ports"), an_get(s->spec, "ports")) };
		for (size_t k = 0; k < 3; k++)
			differs[k] |= d[k];
		if (d[0] || d[1] || d[2])
			clusters[n++] = s->from->cluster;
	}
	if (n == 0)
		return;
	clusters[n++] = first->from->cluster;
	size_t k = 0;
	for (size_t i = 0; i < 3; i++)
		if (differs[i])
			found[k++] = cox_str_of(reasons[i]);
	an_report(r, COX_AN_MULTICLUSTER_SERVICE, first, NULL, COX_STR("spec"),
	          "differs between the clusters %.*s: %.*s; a mesh takes it for one service, so make them equal",
	          COX_FMT(an_join(r, clusters, n, ", ")), COX_FMT(an_join(r, found, k, "; ")));
}

void an_multicluster_service(struct an_run *r)
{
	const struct an_list *all = &r->all[AN_SERVICE]; /* sorted: the same name in several clusters stands together */
	for (size_t i = 0, end; i < all->n; i = end) {
		struct an_list same = { .p = all->p + i };
		for (end = i; end < all->n && cox_str_eq(all->p[end]->full, all->p[i]->full); end++)
			same.n++;
		if (same.n > 1)
			compare(r, &same);
	}
}

void an_mesh_networks(struct an_run *r)
{
	static const char *const own[] = { "Mock", "Kubernetes", "External" };
	AN_EACH_MEMBER(network, an_get(r->opts->networks, "networks"))
	{
		const struct cox_json *endpoints = an_get(&network->value, "endpoints");
		AN_EACH(e, endpoints)
		{
			struct cox_str registry = an_str(e, "fromRegistry");
			bool is_known = !registry.n;
			for (size_t i = 0; i < COX_LEN(own); i++)
				is_known |= cox_str_eq_cstr(registry, own[i]);
			AN_EACH_OBJ(s, r, AN_SECRET)
			if (cox_str_eq_cstr(an_label(s, "istio/multiCluster"), "true"))
				is_known |=
				    cox_json_get(an_get(s->doc, "data"), registry) || cox_json_get(an_get(s->doc, "stringData"), registry);
			if (!is_known)
				an_report(r, COX_AN_UNKNOWN_REGISTRY, an_mesh_obj(r, "MeshNetworks", "meshnetworks"), e,
				          AN_PATH(r, "networks.%.*s.endpoints[%zu].fromRegistry", COX_FMT(network->key),
				                  (size_t)(e - an_items(endpoints))),
				          "there is no cluster \"%.*s\"; add its remote secret, or mend the name in meshNetworks",
				          COX_FMT(registry));
		}
	}
}
