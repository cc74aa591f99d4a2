#include "translate/endpoint_priv.h"

#include "translate/cluster_priv.h"
#include "translate/filters.h"

static uint32_t endpoint_weight(const struct cox_tr *t, const struct cox_endpoint *e)
{
	uint64_t weight = (uint64_t)(e->weight > 0 ? e->weight : 1) * (e->is_gateway ? 1 : t->s->networks->scale);
	return weight <= UINT32_MAX ? (uint32_t)weight : UINT32_MAX;
}

static bool health_is_sent(const struct cox_tr *t, const struct cox_cluster_spec *spec, const struct cox_endpoint *e)
{
	const struct cox_svc *svc = spec->snap->svc;
	switch (e->health) {
	case COX_HEALTHY: return true;
	case COX_UNHEALTHY:
		/* Envoy's panic mode would send to what is not ready; so only whoever asks for panic mode gets it. */
		return svc->publish_not_ready || t->s->features.sends_unhealthy ||
		       (spec->policy.outlier != NULL && spec->policy.outlier->min_health_percent.v > 0);
	case COX_DRAINING:
		/* Sessions that stick to it go on; nothing new goes there. */
		return svc->persistent_session.n > 0 || svc->persistent_session_header.n > 0;
	}
	return false;
}

/* A dual-stack Service has slices of both families; a proxy with addresses of one cannot reach the other. Names can be anything. */
static bool is_reachable(const struct cox_view *v, struct cox_str address)
{
	bool is_v6 = cox_str_find(address, ':') >= 0, is_v4 = !is_v6;
	for (size_t i = 0; i < address.n && is_v4; i++)
		is_v4 = address.p[i] == '.' || (address.p[i] >= '0' && address.p[i] <= '9');
	if (cox_str_has_prefix(address, COX_STR("unix:")))
		return true;
	return v->family == COX_IP_V4 ? !is_v6 : v->family == COX_IP_V6 ? !is_v4 : true;
}

static bool endpoint_belongs(const struct cox_tr *t, const struct cox_cluster_spec *spec, const struct cox_endpoint *e)
{
	const struct cox_subset *subset = spec->subset;

	if (!cox_str_eq(e->port_name, spec->port->name) || (e->svc_port != 0 && e->svc_port != spec->port->port))
		return false;
	if (subset != NULL && !cox_kv_is_subset(subset->labels.p, subset->labels.n, e->labels.p, e->labels.n))
		return false;
	if (spec->snap->svc->is_node_local && t->view->node_name.n > 0 && !cox_str_eq(e->node_name, t->view->node_name))
		return false;
	return health_is_sent(t, spec, e);
}

static struct cox_lb_group *group_of(cox_lb_groups *groups, struct cox_str locality)
{
	/* The set is sorted by locality within a port, so the last group is nearly always the one. */
	for (size_t i = groups->n; i-- > 0;)
		if (cox_str_eq(groups->p[i].locality, locality))
			return &groups->p[i];
	struct cox_lb_group *g = cox_vec_add(groups);
	g->locality = locality;
	return g;
}

/* The workload itself may refuse mTLS on this port; a rule of mode ISTIO_MUTUAL insists on it all the same. */
static bool is_mtls_off(const struct cox_tr *t, const struct cox_cluster_spec *spec, const struct cox_endpoint *e)
{
	if (e->is_gateway)
		return false;
	if (spec->policy.tls != NULL)
		return spec->policy.tls->mode != COX_TLS_ISTIO_MUTUAL;
	return cox_snapshot_mtls_server(t->s, e->ns, e->labels.p, e->labels.n, e->port) == COX_MTLS_DISABLE;
}

/* --- other networks ------------------------------------------------------------------------ */

static bool is_here(const struct cox_view *v, const struct cox_endpoint *e)
{
	return v->network.n == 0 || e->network.n == 0 || cox_str_eq(v->network, e->network);
}

/* The place of all endpoints behind this gateway, in their locality. Labels say what failoverPriority may ask for. */
static struct cox_endpoint *gateway_of(const struct cox_tr *t, struct cox_lb_group *g, const struct cox_network_gateway *gw)
{
	for (size_t i = 0; i < g->items.n; i++)
		if (g->items.p[i]->is_gateway && g->items.p[i]->port == gw->port && cox_str_eq(g->items.p[i]->address, gw->address) &&
		    cox_str_eq(g->items.p[i]->network, gw->network))
			return (struct cox_endpoint *)g->items.p[i];
	struct cox_endpoint *e = COX_ARENA_NEW(t->arena, struct cox_endpoint);
	struct cox_kv *labels = COX_ARENA_ARRAY(t->arena, struct cox_kv, 2);
	labels[0] = (struct cox_kv){ COX_STR("topology.istio.io/cluster"), t->s->cluster_id };
	labels[1] = (struct cox_kv){ COX_STR("topology.istio.io/network"), gw->network };
	*e = (struct cox_endpoint){ .address = gw->address,
		                    .port = gw->port,
		                    .network = gw->network,
		                    .cluster_id = t->s->cluster_id,
		                    .locality = g->locality,
		                    .tls_mode = COX_STR("istio"),
		                    .is_gateway = true };
	e->labels.p = labels;
	e->labels.n = 2;
	cox_vec_push(&g->items, e);
	return e;
}

/* An endpoint on another network is reached through that network's gateways, which look at the SNI of mutual TLS and at nothing else; so
 * one that does not speak it cannot be reached. Its weight is split among them. False: the endpoint is reached directly. */
static bool put_behind_gateways(const struct cox_tr *t, const struct cox_cluster_spec *spec, struct cox_lb_group *g,
                                const struct cox_endpoint *e)
{
	const struct cox_network_gateway *gws;
	size_t n = is_here(t->view, e) ? 0 : cox_networks_gateways(t->s->networks, e->network, &gws), usable = 0;
	for (size_t i = 0; i < n; i++)
		usable += is_reachable(t->view, gws[i].address);
	if (n == 0)
		return false;
	if (!usable || e->health != COX_HEALTHY || !cox_str_eq_cstr(e->tls_mode, "istio") || is_mtls_off(t, spec, e))
		return true;
	uint32_t share = endpoint_weight(t, e) / (uint32_t)usable;
	for (size_t i = 0; i < n; i++) {
		if (!is_reachable(t->view, gws[i].address))
			continue;
		struct cox_endpoint *at = gateway_of(t, g, &gws[i]);
		at->weight += share > 0 ? share : 1;
		g->weight += share > 0 ? share : 1;
	}
	return true;
}

static void groups_collect(const struct cox_tr *t, const struct cox_cluster_spec *spec, const struct cox_endpoint_set *endpoints,
                           cox_lb_groups *groups)
{
	for (COX_EACH(struct cox_endpoint, e, endpoints->items)) {
		if (!endpoint_belongs(t, spec, e))
			continue;
		struct cox_lb_group *g = group_of(groups, e->locality);
		if (put_behind_gateways(t, spec, g, e) || e->address.n == 0 || !is_reachable(t->view, e->address))
			continue;
		g->weight += endpoint_weight(t, e);
		cox_vec_push(&g->items, e);
	}
	size_t kept = 0;
	for (size_t i = 0; i < groups->n; i++) /* all of a locality may be out of reach */
		if (groups->p[i].items.n > 0)
			groups->p[kept++] = groups->p[i];
	groups->n = kept;
}

static void groups_fini(cox_lb_groups *groups)
{
	for (size_t i = 0; i < groups->n; i++)
		cox_vec_fini(&groups->p[i].items);
	cox_vec_fini(groups);
}

/* --- writing ------------------------------------------------------------------------------ */

static void struct_str(struct pb_google_protobuf_Struct s, struct cox_str key, struct cox_str value)
{
	PB_WITH (v, pb_google_protobuf_Struct_fields(s, key))
		pb_google_protobuf_Value_string_value(v, value);
}

/* "workload;namespace;canonical service;canonical revision;cluster": what telemetry of the other side shows. */
static void endpoint_metadata_write(struct pb_core_v3_Metadata m, const struct cox_tr *t, const struct cox_cluster_spec *spec,
                                    const struct cox_endpoint *e)
{
	struct cox_str revision = e->canonical_revision;

	if (cox_str_eq_cstr(revision, "latest")) /* stands for "nobody said" */
		revision.n = 0;
	if (cox_str_eq_cstr(e->tls_mode, "istio") && !is_mtls_off(t, spec, e))
		PB_WITH (s, pb_core_v3_Metadata_filter_metadata(m, COX_STR("envoy.transport_socket_match")))
			struct_str(s, COX_STR("tlsMode"), COX_STR("istio"));
	if (t->s->features.no_telemetry_labels || t->s->features.no_endpoint_labels)
		return;
	PB_WITH (s, pb_core_v3_Metadata_filter_metadata(m, COX_STR("istio")))
		struct_str(s, COX_STR("workload"),
		           cox_arena_printf(t->arena, "%.*s;%.*s;%.*s;%.*s;%.*s", COX_FMT(e->workload), COX_FMT(e->ns),
		                            COX_FMT(e->canonical_name), COX_FMT(revision), COX_FMT(e->cluster_id)));
}

static enum pb_core_v3_HealthStatus health_of(const struct cox_endpoint *e)
{
	if (e->health == COX_UNHEALTHY)
		return PB_core_v3_UNHEALTHY;
	if (e->health == COX_DRAINING)
		return PB_core_v3_DRAINING;
	/* Kubernetes says of its endpoints that they are ready; of an entry's nobody says anything. */
	return e->pod_name.n > 0 || e->workload.n == 0 ? PB_core_v3_HEALTHY : PB_core_v3_UNKNOWN;
}

static void lb_endpoint_write(struct pb_endpoint_v3_LbEndpoint lb, const struct cox_tr *t, const struct cox_cluster_spec *spec,
                              const struct cox_endpoint *e, bool has_health)
{
	PB_WITH (ep, pb_endpoint_v3_LbEndpoint_endpoint(lb))
		PB_WITH (address, pb_endpoint_v3_Endpoint_address(ep))
			cox_address_write(address, e->address, e->port);
	if (has_health && !e->is_gateway)
		pb_endpoint_v3_LbEndpoint_health_status(lb, health_of(e));
	PB_WITH (m, pb_endpoint_v3_LbEndpoint_metadata(lb))
		endpoint_metadata_write(m, t, spec, e);
	pb_endpoint_v3_LbEndpoint_load_balancing_weight(lb, endpoint_weight(t, e));
}

static void locality_write(struct pb_endpoint_v3_LocalityLbEndpoints l, struct cox_str locality)
{
	struct cox_str rest = locality, part;
	if (locality.n == 0)
		return;
	PB_WITH (loc, pb_endpoint_v3_LocalityLbEndpoints_locality(l)) {
		if (cox_str_next(&rest, '/', &part))
			pb_core_v3_Locality_region(loc, part);
		if (cox_str_next(&rest, '/', &part))
			pb_core_v3_Locality_zone(loc, part);
		if (cox_str_next(&rest, '/', &part))
			pb_core_v3_Locality_sub_zone(loc, part);
	}
}

/* AUTO_PASSTHROUGH hands the client's mTLS on, so an endpoint without it cannot answer. */
static bool takes_part(const struct cox_tr *t, const struct cox_cluster_spec *spec, const struct cox_endpoint *e)
{
	return !spec->is_sni_dnat || (cox_str_eq_cstr(e->tls_mode, "istio") && !is_mtls_off(t, spec, e));
}

static void group_write(struct pb_endpoint_v3_LocalityLbEndpoints l, const struct cox_tr *t, const struct cox_cluster_spec *spec,
                        const struct cox_lb_group *g, bool has_health)
{
	uint32_t weight = 0;

	locality_write(l, g->locality);
	for (size_t i = 0; i < g->items.n && !g->is_empty; i++) {
		if (!takes_part(t, spec, g->items.p[i]))
			continue;
		weight = g->weight;
		PB_WITH (lb, pb_endpoint_v3_LocalityLbEndpoints_lb_endpoints(l))
			lb_endpoint_write(lb, t, spec, g->items.p[i], has_health);
	}
	if (weight > 0)
		pb_endpoint_v3_LocalityLbEndpoints_load_balancing_weight(l, weight);
	pb_endpoint_v3_LocalityLbEndpoints_priority(l, g->priority);
}

static void assignment_write(struct pb_endpoint_v3_ClusterLoadAssignment m, const struct cox_tr *t, const struct cox_cluster_spec *spec,
                             const struct cox_endpoint_set *endpoints, struct cox_str name, bool has_health)
{
	cox_lb_groups groups = { 0 };

	groups_collect(t, spec, endpoints, &groups);
	cox_locality_apply(t, spec, &groups);
	pb_endpoint_v3_ClusterLoadAssignment_cluster_name(m, name);
	for (size_t i = 0; i < groups.n; i++)
		PB_WITH (l, pb_endpoint_v3_ClusterLoadAssignment_endpoints(m))
			group_write(l, t, spec, &groups.p[i], has_health);
	groups_fini(&groups);
}

void cox_load_assignment_write(struct pb_endpoint_v3_ClusterLoadAssignment m, const struct cox_tr *t, const struct cox_cluster_spec *spec,
                               const struct cox_endpoint_set *endpoints, struct cox_str name)
{
	assignment_write(m, t, spec, endpoints, name, false);
}

struct cox_hash cox_cluster_place_hash(const struct cox_tr *t, const struct cox_cluster_spec *spec)
{
	const struct cox_view *v = t->view;
	bool forced, is_near = spec->snap->svc->is_node_local || spec->snap->svc->distribution != COX_DIST_NONE;
	struct cox_str node = is_near ? v->node_name : (struct cox_str){ 0 };
	struct cox_str place = cox_arena_printf(t->arena, "%.*s\n%.*s\n%.*s\n%.*s", COX_FMT(v->locality), COX_FMT(node),
	                                        COX_FMT(v->network), COX_FMT(v->cluster_id));
	struct cox_hash h = cox_hash128(place.p, place.n);
	const struct cox_locality_lb *l = cox_locality_setting(t, spec, &forced);

	/* Labels of the view count only where failoverPriority compares them. */
	if (l != NULL && l->failover_priority.n > 0)
		for (COX_EACH(struct cox_kv, kv, v->labels)) {
			h = cox_hash_combine(h, cox_hash128(kv->key.p, kv->key.n));
			h = cox_hash_combine(h, cox_hash128(kv->value.p, kv->value.n));
		}
	return h;
}

const struct cox_resource *cox_endpoints_build(struct cox_tr *t, const struct cox_cluster_spec *spec,
                                               const struct cox_endpoint_set *endpoints)
{
	struct cox_hash identity = cox_hash_combine(cox_cluster_identity(t, spec, "eds"), endpoints->hash);
	identity = cox_hash_combine(identity, cox_cluster_place_hash(t, spec));
	const struct cox_resource *known = cox_cluster_known(t, identity);
	if (known != NULL)
		return known;

	struct cox_buf wire = { 0 };
	struct cox_pb pb;
	struct cox_str name = cox_cluster_spec_name(t, spec);
	cox_pb_init(&pb, &wire);
	PB_ROOT (m, pb_endpoint_v3_ClusterLoadAssignment, &pb)
		assignment_write(m, t, spec, endpoints, name, true);
	return cox_cluster_finish(t, identity, COX_TYPE_EDS, name, &wire, spec->snap->svc->object_id);
}
