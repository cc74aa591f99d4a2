/* gateway_hosts.c - which hosts of a VirtualService a Gateway's server takes. */
#include "translate/gateway_priv.h"

struct cox_str gw_host_dns(struct cox_str server_host)
{
	ptrdiff_t slash = cox_str_find(server_host, '/');
	return cox_str_sub(server_host, (size_t)(slash + 1), server_host.n);
}

static bool takes_namespace(const struct gw_server *s, struct cox_str server_host, struct cox_str vs_ns)
{
	ptrdiff_t slash = cox_str_find(server_host, '/');
	struct cox_str ns = cox_str_sub(server_host, 0, slash < 0 ? 0 : (size_t)slash);
	if (slash < 0 || cox_str_eq(ns, COX_STR("*")))
		return true;
	return cox_str_eq(cox_str_eq(ns, COX_STR(".")) ? s->gateway->meta.ns : ns, vs_ns);
}

struct cox_str gw_host_intersect(const struct gw_server *s, struct cox_str server_host, const struct cox_vs *vs, struct cox_str vs_host)
{
	struct cox_str dns = gw_host_dns(server_host);
	if (!takes_namespace(s, server_host, vs->object->meta.ns))
		return (struct cox_str){ 0 };
	if (cox_host_covers(dns, vs_host))
		return vs_host;
	return cox_host_covers(vs_host, dns) ? dns : (struct cox_str){ 0 };
}
