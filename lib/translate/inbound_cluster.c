#include "translate/inbound_priv.h"

#include "translate/filters.h"
#include "translate/settings.h"

/* The longest that fits in a Duration of nanoseconds: the host of an own port is never cleaned up. */
#define NEVER_NS (INT64_C(9223372035) * COX_NS_PER_S)

static void static_write(struct pb_cluster_v3_Cluster c, struct cox_str name, struct cox_str address, uint16_t port)
{
	pb_cluster_v3_Cluster_type(c, PB_cluster_v3_Cluster_STATIC);
	PB_WITH (cla, pb_cluster_v3_Cluster_load_assignment(c)) {
		pb_endpoint_v3_ClusterLoadAssignment_cluster_name(cla, name);
		PB_WITH (l, pb_endpoint_v3_ClusterLoadAssignment_endpoints(cla))
			PB_WITH (lb, pb_endpoint_v3_LocalityLbEndpoints_lb_endpoints(l))
				PB_WITH (ep, pb_endpoint_v3_LbEndpoint_endpoint(lb))
					PB_WITH (a, pb_endpoint_v3_Endpoint_address(ep))
						cox_address_write(a, address, port);
	}
}

/* "127.0.0.1:8080", "[::1]:8080" -> address and port. */
static bool endpoint_split(struct cox_str text, struct cox_str *address, uint16_t *port)
{
	ptrdiff_t colon = cox_str_rfind(text, ':');
	uint64_t number;

	if (colon <= 0 || cox_str_to_u64(cox_str_sub(text, (size_t)colon + 1, text.n), &number) != COX_OK || number == 0 ||
	    number > UINT16_MAX)
		return false;
	*address = cox_str_sub(text, 0, (size_t)colon);
	if (address->n > 2 && address->p[0] == '[' && address->p[address->n - 1] == ']')
		*address = cox_str_sub(*address, 1, address->n - 2);
	*port = (uint16_t)number;
	return true;
}

static void original_dst_write(struct pb_cluster_v3_Cluster c, const struct cox_view *v)
{
	pb_cluster_v3_Cluster_type(c, PB_cluster_v3_Cluster_ORIGINAL_DST);
	pb_cluster_v3_Cluster_lb_policy(c, PB_cluster_v3_Cluster_CLUSTER_PROVIDED);
	pb_cluster_v3_Cluster_cleanup_interval(c, NEVER_NS);
	cox_inbound_source_write(c, v);
}

static void discovery_write(struct pb_cluster_v3_Cluster c, const struct cox_inbound *in, const struct cox_inbound_port *p)
{
	const struct cox_inbound_policy *mode = in->t->s->mesh->inbound_traffic_policy;
	bool is_localhost = mode != NULL && mode->mode == COX_INBOUND_LOCALHOST;
	struct cox_str endpoint = p->ingress != NULL ? p->ingress->default_endpoint : (struct cox_str){ 0 }, address;
	uint16_t port;

	if (cox_str_has_prefix(endpoint, COX_STR("unix://"))) {
		static_write(c, p->cluster, endpoint, 0);
		cox_inbound_source_write(c, in->t->view);
	} else if (endpoint.n > 0 && endpoint_split(endpoint, &address, &port)) {
		bool is_any = cox_str_eq_cstr(address, "0.0.0.0") || cox_str_eq_cstr(address, "::");
		static_write(c, p->cluster, is_any ? in->w->ips.p[0] : address, port);
		if (is_any)
			cox_inbound_source_write(c, in->t->view);
	} else if (is_localhost || p->is_own_listener) {
		/* Nothing was redirected, so there is no original destination to go to. */
		static_write(c, p->cluster, cox_view_loopback(in->t->view), p->target);
	} else {
		original_dst_write(c, in->t->view);
	}
}

static void metadata_write(struct pb_cluster_v3_Cluster c, const struct cox_inbound *in, const struct cox_inbound_port *p)
{
	struct cox_istio_service service = { 0 };
	struct cox_istio_metadata md = { 0 };

	if (p->snap != NULL) {
		service = (struct cox_istio_service){ p->snap->svc->hostname, p->snap->svc->name, p->snap->svc->ns };
		md.services = &service;
		md.service_n = in->t->s->features.no_telemetry_labels ? 0 : 1;
	}
	if (p->dr != NULL && p->dr->spec->traffic_policy != NULL)
		md.config = cox_istio_config_path(in->t->arena, "destination-rule", p->dr->ns, p->dr->name);
	if (!cox_istio_metadata_is_empty(&md))
		PB_WITH (m, pb_cluster_v3_Cluster_metadata(c))
			cox_istio_metadata_write(m, &md);
}

/* The server's own limits: the ingress listener's, else the Sidecar's, else those of the rule for the service. */
static const struct cox_connection_pool *pool_of(const struct cox_inbound *in, const struct cox_inbound_port *p)
{
	if (p->ingress != NULL && p->ingress->connection_pool != NULL)
		return p->ingress->connection_pool;
	if (in->spec != NULL && in->spec->inbound_connection_pool != NULL)
		return in->spec->inbound_connection_pool;
	return cox_policy_inbound(in->t->s->mesh, p->dr, p->svc_port).pool;
}

static struct cox_str stat_name_of(const struct cox_inbound *in, const struct cox_inbound_port *p)
{
	struct cox_str pattern = in->t->s->mesh->inbound_cluster_stat_name;
	if (p->snap == NULL || pattern.n == 0)
		return p->cluster;
	for (COX_EACH(struct cox_svc_port, sp, p->snap->svc->ports))
		if (sp->port == p->svc_port)
			return cox_cluster_stat_name(in->t->arena, pattern, p->cluster, p->snap->svc, sp, (struct cox_str){ 0 });
	return p->cluster;
}

const struct cox_resource *cox_inbound_cluster_build(const struct cox_inbound *in, const struct cox_inbound_port *p)
{
	struct cox_tr *t = in->t;
	const struct cox_connection_pool *pool = pool_of(in, p);
	struct cox_cluster_http http = { .is_http2 = cox_protocol_is_http2(p->protocol),
		                         .follows_downstream = p->protocol == COX_PROTO_AUTO,
		                         .pool = pool,
		                         .keeps_case =
		                             cox_settings_headers(t, COX_HCM_INBOUND).keeps_case && cox_protocol_is_http(p->protocol) };
	struct cox_buf wire = { 0 };
	struct cox_pb pb;

	cox_pb_init(&pb, &wire);
	PB_ROOT (c, pb_cluster_v3_Cluster, &pb) {
		cox_cluster_head_write(c, t, p->cluster, stat_name_of(in, p), pool);
		discovery_write(c, in, p);
		cox_cluster_breakers_write(c, pool, NULL);
		cox_cluster_keepalive_write(c, t, pool);
		cox_cluster_http_write(c, &http);
		metadata_write(c, in, p);
	}
	/* By content: replicas of a workload have the same inbound clusters, but no cheaper identity than their bytes. */
	struct cox_hash identity = cox_hash_combine(cox_hash128(wire.p, wire.n), cox_hash128("inbound", 7));
	const struct cox_resource *known = cox_cluster_known(t, identity);
	if (known != NULL) {
		cox_buf_fini(&wire);
		return known;
	}
	struct cox_str origins = in->sidecar != NULL && p->ingress != NULL ? in->sidecar->id : (struct cox_str){ 0 };
	if (p->snap != NULL)
		origins = cox_cluster_origins(t->arena, p->snap->svc, p->dr);
	return cox_cluster_finish(t, identity, COX_TYPE_CDS, p->cluster, &wire, origins);
}
