#include "translate/cluster_priv.h"

#include "translate/common_tls.h"
#include "translate/endpoint.h"
#include "translate/filters.h"
#include "translate/settings.h"

#define DNS_REFRESH_NS (60 * COX_NS_PER_S)
#define DNS_JITTER_NS (COX_NS_PER_S / 10)
#define PASSTHROUGH_IDLE_NS (300 * COX_NS_PER_S)

static size_t matching_endpoints(const struct cox_cluster_spec *spec)
{
	size_t n = 0;
	for (COX_EACH(struct cox_endpoint, e, spec->snap->endpoints->items))
		n += cox_str_eq(e->port_name, spec->port->name) && (e->svc_port == 0 || e->svc_port == spec->port->port);
	return n;
}

static enum cox_discovery discovery_of(const struct cox_tr *t, const struct cox_cluster_spec *spec)
{
	bool is_passthrough_lb = spec->policy.lb != NULL && spec->policy.lb->simple == COX_LB_PASSTHROUGH;
	bool is_router = t->view->type == COX_PROXY_ROUTER;

	switch (spec->snap->svc->resolution) {
	case COX_RES_EDS:
		/* Nothing in front of a router sets the original destination. */
		return is_passthrough_lb && !is_router ? COX_DISCOVERY_ORIGINAL_DST : COX_DISCOVERY_EDS;
	case COX_RES_DNS: return COX_DISCOVERY_STRICT_DNS;
	case COX_RES_DNS_RR:
		/* Envoy refuses a LOGICAL_DNS cluster that has not exactly one name. */
		return matching_endpoints(spec) == 1 ? COX_DISCOVERY_LOGICAL_DNS : COX_DISCOVERY_STRICT_DNS;
	case COX_RES_PASSTHROUGH:
		return is_router && spec->snap->svc->origin == COX_SVC_KUBE ? COX_DISCOVERY_EDS : COX_DISCOVERY_ORIGINAL_DST;
	case COX_RES_DYNAMIC_DNS: return COX_DISCOVERY_DFP;
	case COX_RES_ALIAS: break;
	}
	return COX_DISCOVERY_NONE;
}

static const struct cox_dr *rule_of(const struct cox_tr *t, const struct cox_svc *svc)
{
	return cox_scope_dr_find(t->s, t->view->ns, t->view->labels.p, t->view->labels.n, svc);
}

static bool spec_fill(const struct cox_tr *t, struct cox_cluster_spec *spec)
{
	struct cox_str subset = spec->subset != NULL ? spec->subset->name : (struct cox_str){ 0 };
	if (spec->port->protocol == COX_PROTO_UDP)
		return false;
	spec->policy = cox_policy_of(t->s->mesh, spec->dr, subset, spec->port->port);
	spec->discovery = discovery_of(t, spec);
	return spec->discovery != COX_DISCOVERY_NONE;
}

bool cox_cluster_spec_find(const struct cox_tr *t, const struct cox_snap_svc *snap, uint16_t port, struct cox_str subset, bool is_sni_dnat,
                           struct cox_cluster_spec *out)
{
	struct cox_cluster_spec spec = { .snap = snap, .dr = rule_of(t, snap->svc), .is_sni_dnat = is_sni_dnat };

	for (COX_EACH(struct cox_svc_port, p, snap->svc->ports))
		if (p->port == port && p->protocol != COX_PROTO_UDP) {
			spec.port = p;
			break;
		}
	spec.subset = cox_dr_subset_find(spec.dr, subset);
	if (spec.port == NULL || (subset.n > 0 && spec.subset == NULL) || !spec_fill(t, &spec))
		return false;
	*out = spec;
	return true;
}

struct cox_str cox_cluster_spec_name(const struct cox_tr *t, const struct cox_cluster_spec *spec)
{
	struct cox_str subset = spec->subset != NULL ? spec->subset->name : (struct cox_str){ 0 };
	if (spec->is_sni_dnat)
		return cox_cluster_sni(t->arena, spec->port->port, subset, spec->snap->svc->hostname);
	return cox_cluster_name(t->arena, "outbound", spec->port->port, subset, spec->snap->svc->hostname);
}

static struct cox_cluster_http http_of(const struct cox_tr *t, const struct cox_cluster_spec *spec, const struct cox_cluster_tls *tls)
{
	const struct cox_connection_pool *pool = spec->policy.pool;
	enum cox_protocol protocol = spec->port->protocol;
	struct cox_cluster_http h = { .pool = pool,
		                      .outlier = spec->policy.outlier,
		                      .keeps_case = cox_settings_headers(t, COX_HCM_OUTBOUND).keeps_case &&
		                                    (cox_protocol_is_http(protocol) || protocol == COX_PROTO_AUTO) };

	h.follows_downstream =
	    (protocol == COX_PROTO_AUTO && !spec->is_sni_dnat) || (pool != NULL && pool->http != NULL && pool->http->use_client_protocol.v);
	h.is_http2 = !h.follows_downstream && (cox_protocol_is_http2(protocol) || cox_cluster_upgrades_h2(t->s->mesh, pool, protocol));
	if (tls->kind == COX_CLUSTER_TLS_ALWAYS && tls->settings->mode != COX_TLS_ISTIO_MUTUAL && tls->settings->sni.n == 0) {
		bool is_insecure = tls->settings->insecure_skip_verify.set && tls->settings->insecure_skip_verify.v;
		h.has_auto_sni = true;
		h.has_auto_san = tls->settings->subject_alt_names.n == 0 && !is_insecure;
	}
	return h;
}

static void metadata_write(struct pb_cluster_v3_Cluster c, const struct cox_tr *t, const struct cox_cluster_spec *spec,
                           const struct cox_cluster_tls *tls)
{
	const struct cox_svc *svc = spec->snap->svc;
	struct cox_istio_service service = { svc->hostname, svc->name, svc->ns };
	struct cox_istio_metadata md = {
		.services = &service,
		/* a wildcard names no one service */
		.service_n = spec->discovery == COX_DISCOVERY_DFP || t->s->features.no_telemetry_labels ? 0 : 1,
		.is_external = svc->is_external,
		.finding = tls->finding,
		.no_alpn_override = tls->kind == COX_CLUSTER_TLS_ALWAYS && tls->settings->mode != COX_TLS_ISTIO_MUTUAL,
	};
	if (spec->dr != NULL)
		md.config = cox_istio_config_path(t->arena, "destination-rule", spec->dr->ns, spec->dr->name);
	if (spec->subset != NULL)
		md.subset = spec->subset->name;
	PB_WITH (m, pb_cluster_v3_Cluster_metadata(c))
		cox_istio_metadata_write(m, &md);
}

static void eds_write(struct pb_cluster_v3_Cluster c, struct cox_str name)
{
	PB_WITH (eds, pb_cluster_v3_Cluster_eds_cluster_config(c)) {
		PB_WITH (cs, pb_cluster_v3_Cluster_EdsClusterConfig_eds_config(eds)) {
			PB_WITH (ads, pb_core_v3_ConfigSource_ads(cs)) {
			}
			pb_core_v3_ConfigSource_initial_fetch_timeout(cs, 0);
			pb_core_v3_ConfigSource_resource_api_version(cs, PB_core_v3_V3);
		}
		pb_cluster_v3_Cluster_EdsClusterConfig_service_name(eds, name);
	}
}

static void dns_write(struct pb_cluster_v3_Cluster c, const struct cox_tr *t)
{
	const struct cox_opt_i64 *refresh = &t->s->mesh->dns_refresh_rate_ns;
	pb_cluster_v3_Cluster_dns_refresh_rate(c, refresh->set ? refresh->v : DNS_REFRESH_NS);
	pb_cluster_v3_Cluster_dns_lookup_family(c, cox_dns_family(t->view));
	pb_cluster_v3_Cluster_respect_dns_ttl(c, true);
	pb_cluster_v3_Cluster_dns_jitter(c, DNS_JITTER_NS);
	PB_WITH (resolver, pb_cluster_v3_Cluster_typed_dns_resolver_config(c)) {
		pb_core_v3_TypedExtensionConfig_name(resolver, COX_STR("envoy.network.dns_resolver.cares"));
		PB_ANY (cares, pb_core_v3_TypedExtensionConfig_typed_config(resolver),
		        pb_network_dns_resolver_cares_v3_CaresDnsResolverConfig)
			/* A c-ares channel whose UDP socket lives for ever keeps asking a server that has gone. */
			pb_network_dns_resolver_cares_v3_CaresDnsResolverConfig_udp_max_queries(cares, 100);
	}
}

/* Envoy takes HTTP options of such a cluster only with the request's host as SNI and as the server's name, unless told that this is meant:
 * also where there is no TLS. */
static void dynamic_dns_write(struct pb_cluster_v3_Cluster c, const struct cox_tr *t, struct cox_str cache_name,
                              const struct cox_cluster_http *http)
{
	bool is_insecure = cox_cluster_http_is_written(http) && !(http->has_auto_sni && http->has_auto_san);
	PB_WITH (type, pb_cluster_v3_Cluster_cluster_type(c)) {
		pb_cluster_v3_Cluster_CustomClusterType_name(type, COX_STR("envoy.clusters.dynamic_forward_proxy"));
		PB_ANY (dfp, pb_cluster_v3_Cluster_CustomClusterType_typed_config(type),
		        pb_clusters_dynamic_forward_proxy_v3_ClusterConfig) {
			pb_clusters_dynamic_forward_proxy_v3_ClusterConfig_allow_insecure_cluster_options(dfp, is_insecure);
			PB_WITH (cache, pb_clusters_dynamic_forward_proxy_v3_ClusterConfig_dns_cache_config(dfp)) {
				pb_common_dynamic_forward_proxy_v3_DnsCacheConfig_name(cache, cache_name);
				pb_common_dynamic_forward_proxy_v3_DnsCacheConfig_dns_lookup_family(cache, cox_dns_family(t->view));
			}
		}
	}
}

static void discovery_write(struct pb_cluster_v3_Cluster c, const struct cox_tr *t, const struct cox_cluster_spec *spec,
                            struct cox_str name, const struct cox_cluster_http *http)
{
	switch (spec->discovery) {
	case COX_DISCOVERY_EDS:
		pb_cluster_v3_Cluster_type(c, PB_cluster_v3_Cluster_EDS);
		eds_write(c, name);
		break;
	case COX_DISCOVERY_STRICT_DNS:
	case COX_DISCOVERY_LOGICAL_DNS:
		pb_cluster_v3_Cluster_type(c, spec->discovery == COX_DISCOVERY_STRICT_DNS ? PB_cluster_v3_Cluster_STRICT_DNS
		                                                                          : PB_cluster_v3_Cluster_LOGICAL_DNS);
		PB_WITH (cla, pb_cluster_v3_Cluster_load_assignment(c))
			cox_load_assignment_write(cla, t, spec, spec->snap->endpoints, name);
		dns_write(c, t);
		break;
	case COX_DISCOVERY_ORIGINAL_DST: pb_cluster_v3_Cluster_type(c, PB_cluster_v3_Cluster_ORIGINAL_DST); break;
	case COX_DISCOVERY_DFP:
		dynamic_dns_write(c, t, cox_arena_concat(t->arena, spec->snap->svc->hostname, COX_STR("_dfp_dns_cache")), http);
		break;
	case COX_DISCOVERY_NONE: break;
	}
}

static void cluster_write(struct pb_cluster_v3_Cluster c, const struct cox_tr *t, const struct cox_cluster_spec *spec, struct cox_str name)
{
	struct cox_cluster_tls tls = cox_cluster_tls_of(t, spec);
	struct cox_cluster_http http = http_of(t, spec, &tls);
	struct cox_str stat = cox_cluster_stat_name(t->arena, t->s->mesh->outbound_cluster_stat_name, name, spec->snap->svc, spec->port,
	                                            spec->subset != NULL ? spec->subset->name : (struct cox_str){ 0 });

	cox_cluster_head_write(c, t, name, stat, spec->policy.pool);
	discovery_write(c, t, spec, name, &http);
	cox_cluster_lb_write(c, t, spec);
	cox_cluster_breakers_write(c, spec->policy.pool, spec->policy.retry_budget);
	if (spec->policy.outlier != NULL)
		cox_cluster_outlier_write(c, spec->policy.outlier);
	cox_cluster_keepalive_write(c, t, spec->policy.pool);
	cox_cluster_http_write(c, &http);
	cox_cluster_tls_write(c, t, spec, &tls, &http);
	metadata_write(c, t, spec, &tls);
	cox_filter_cluster_mx(c, t);
}

const struct cox_resource *cox_cluster_build(struct cox_tr *t, const struct cox_cluster_spec *spec)
{
	struct cox_hash identity = cox_hash_combine(cox_cluster_identity(t, spec, "cds"), spec->snap->endpoints->shape);
	if (spec->discovery == COX_DISCOVERY_STRICT_DNS || spec->discovery == COX_DISCOVERY_LOGICAL_DNS)
		identity = cox_hash_combine(cox_hash_combine(identity, spec->snap->endpoints->hash), cox_cluster_place_hash(t, spec));
	const struct cox_resource *known = cox_cluster_known(t, identity);
	if (known != NULL)
		return known;

	struct cox_buf wire = { 0 };
	struct cox_pb pb;
	struct cox_str name = cox_cluster_spec_name(t, spec);
	cox_pb_init(&pb, &wire);
	PB_ROOT (c, pb_cluster_v3_Cluster, &pb)
		cluster_write(c, t, spec, name);
	return cox_cluster_finish(t, identity, COX_TYPE_CDS, name, &wire, cox_cluster_origins(t->arena, spec->snap->svc, spec->dr));
}

void cox_cluster_each(const struct cox_tr *t, const struct cox_snap_svc *snap, uint16_t only_port, bool is_sni_dnat,
                      void (*visit)(void *arg, const struct cox_cluster_spec *spec), void *arg)
{
	const struct cox_dr *dr = rule_of(t, snap->svc);

	for (COX_EACH(struct cox_svc_port, port, snap->svc->ports)) {
		struct cox_cluster_spec spec = { .snap = snap, .port = port, .dr = dr, .is_sni_dnat = is_sni_dnat };
		if (only_port != 0 && port->port != only_port)
			continue;
		if (spec_fill(t, &spec))
			visit(arg, &spec);
		for (size_t i = 0; dr != NULL && i < dr->spec->subsets.n; i++) {
			spec.subset = &dr->spec->subsets.p[i];
			if (spec_fill(t, &spec))
				visit(arg, &spec);
		}
	}
}

struct collect {
	struct cox_tr *t;
	cox_resources *out;
};

static void collect_cluster(void *arg, const struct cox_cluster_spec *spec)
{
	struct collect *c = arg;
	cox_vec_push(c->out, cox_cluster_build(c->t, spec));
}

void cox_translate_clusters(struct cox_tr *t, cox_resources *out)
{
	struct collect c = { t, out };
	for (COX_EACH(struct cox_scope_svc, s, t->scope->svcs))
		cox_cluster_each(t, s->snap, s->only_port, false, collect_cluster, &c);
	cox_vec_push(out, cox_cluster_blackhole(t));
	cox_vec_push(out, cox_cluster_passthrough(t));
	if (t->scope->is_dynamic_dns)
		cox_vec_push(out, cox_cluster_allow_any_dns(t));
}

static void collect_endpoints(void *arg, const struct cox_cluster_spec *spec)
{
	struct collect *c = arg;
	if (spec->discovery == COX_DISCOVERY_EDS)
		cox_vec_push(c->out, cox_endpoints_build(c->t, spec, spec->snap->endpoints));
}

void cox_translate_endpoints(struct cox_tr *t, cox_resources *out)
{
	struct collect c = { t, out };
	for (COX_EACH(struct cox_scope_svc, s, t->scope->svcs))
		cox_cluster_each(t, s->snap, s->only_port, false, collect_endpoints, &c);
}

struct collect_newer {
	struct cox_tr *t;
	const struct cox_endpoint_set *endpoints;
	cox_resources *out;
};

static void collect_newer(void *arg, const struct cox_cluster_spec *spec)
{
	struct collect_newer *c = arg;
	if (spec->discovery == COX_DISCOVERY_EDS)
		cox_vec_push(c->out, cox_endpoints_build(c->t, spec, c->endpoints));
}

void cox_translate_service_endpoints(struct cox_tr *t, const struct cox_snap_svc *svc, const struct cox_endpoint_set *endpoints,
                                     cox_resources *out)
{
	struct collect_newer c = { t, endpoints, out };
	if (t->scope == NULL) {
		cox_cluster_each(t, svc, 0, false, collect_newer, &c);
		return;
	}
	for (COX_EACH(struct cox_scope_svc, s, t->scope->svcs))
		if (s->snap == svc || s->snap->svc == svc->svc) {
			cox_cluster_each(t, svc, s->only_port, false, collect_newer, &c);
			return;
		}
}

/* --- clusters of every proxy -------------------------------------------------------------- */

static void passthrough_write(struct pb_cluster_v3_Cluster c, const struct cox_tr *t, struct cox_str name, bool is_inbound)
{
	cox_cluster_head_write(c, t, name, COX_PASSTHROUGH, NULL);
	pb_cluster_v3_Cluster_type(c, PB_cluster_v3_Cluster_ORIGINAL_DST);
	pb_cluster_v3_Cluster_lb_policy(c, PB_cluster_v3_Cluster_CLUSTER_PROVIDED);
	cox_cluster_breakers_write(c, NULL, NULL);
	PB_ANY (o, pb_cluster_v3_Cluster_typed_extension_protocol_options(c, COX_HTTP_OPTIONS), pb_upstreams_http_v3_HttpProtocolOptions) {
		PB_WITH (common, pb_upstreams_http_v3_HttpProtocolOptions_common_http_protocol_options(o))
			pb_core_v3_HttpProtocolOptions_idle_timeout(common, PASSTHROUGH_IDLE_NS);
		PB_WITH (down, pb_upstreams_http_v3_HttpProtocolOptions_use_downstream_protocol_config(o)) {
			PB_WITH (h1, pb_upstreams_http_v3_HttpProtocolOptions_UseDownstreamHttpConfig_http_protocol_options(down))
				if (cox_settings_headers(t, COX_HCM_OUTBOUND).keeps_case)
					cox_settings_keep_case_write(h1);
			PB_WITH (h2, pb_upstreams_http_v3_HttpProtocolOptions_UseDownstreamHttpConfig_http2_protocol_options(down)) {
			}
		}
	}
	if (!is_inbound) {
		cox_filter_cluster_mx(c, t);
		return;
	}
	cox_inbound_source_write(c, t->view);
}

/* Whatever host an HTTP request names, with the TLS that the mesh configuration asks for. */
static void allow_any_dns_write(struct pb_cluster_v3_Cluster c, const struct cox_tr *t)
{
	const struct cox_outbound_policy *policy = t->s->mesh->outbound_traffic_policy;
	const struct cox_client_tls *tls = policy->tls != NULL && policy->tls->mode != COX_TLS_DISABLE ? policy->tls : NULL;
	struct cox_cluster_http http = { .follows_downstream = true, .keeps_case = cox_settings_headers(t, COX_HCM_OUTBOUND).keeps_case };

	if (tls != NULL) {
		bool is_unchecked = tls->insecure_skip_verify.set && tls->insecure_skip_verify.v;
		http.has_auto_sni = tls->sni.n == 0;
		http.has_auto_san = http.has_auto_sni && tls->subject_alt_names.n == 0 && !is_unchecked;
	}
	cox_cluster_head_write(c, t, COX_ALLOW_ANY_DNS, COX_ALLOW_ANY_DNS, NULL);
	dynamic_dns_write(c, t, COX_ALLOW_ANY_DNS_CACHE, &http);
	pb_cluster_v3_Cluster_lb_policy(c, PB_cluster_v3_Cluster_CLUSTER_PROVIDED);
	cox_cluster_breakers_write(c, NULL, NULL);
	cox_cluster_http_write(c, &http);
	if (tls != NULL)
		PB_WITH (s, pb_cluster_v3_Cluster_transport_socket(c)) {
			struct cox_upstream_tls u = { .tls = tls,
				                      .arena = t->arena,
				                      .compliance = t->s->compliance,
				                      .defaults = t->s->mesh->tls_defaults,
				                      .has_sds = t->view->has_sds };
			cox_tls_upstream(s, &u);
		}
	cox_filter_cluster_mx(c, t);
}

static const struct cox_resource *fixed_build(struct cox_tr *t, struct cox_str name)
{
	const char class_id[4] = { (char)('0' + t->view->klass), (char)('0' + t->view->has_sds), (char)('0' + t->view->family),
		                   (char)('0' + t->view->type) };
	struct cox_hash identity =
	    cox_hash_combine(cox_hash_combine(t->s->mesh_hash, cox_hash128(class_id, sizeof(class_id))), cox_hash128(name.p, name.n));
	identity = cox_hash_combine(identity, cox_settings_hash(t));
	const struct cox_resource *known = cox_cluster_known(t, identity);
	if (known != NULL)
		return known;

	struct cox_buf wire = { 0 };
	struct cox_pb pb;
	cox_pb_init(&pb, &wire);
	PB_ROOT (c, pb_cluster_v3_Cluster, &pb) {
		if (cox_str_eq(name, COX_BLACKHOLE)) {
			cox_cluster_head_write(c, t, name, name, NULL);
			pb_cluster_v3_Cluster_type(c, PB_cluster_v3_Cluster_STATIC);
		} else if (cox_str_eq(name, COX_ALLOW_ANY_DNS)) {
			allow_any_dns_write(c, t);
		} else {
			passthrough_write(c, t, name, !cox_str_eq(name, COX_PASSTHROUGH));
		}
	}
	return cox_cluster_finish(t, identity, COX_TYPE_CDS, name, &wire, (struct cox_str){ 0 });
}

const struct cox_resource *cox_cluster_blackhole(struct cox_tr *t) { return fixed_build(t, COX_BLACKHOLE); }
const struct cox_resource *cox_cluster_passthrough(struct cox_tr *t) { return fixed_build(t, COX_PASSTHROUGH); }
const struct cox_resource *cox_cluster_allow_any_dns(struct cox_tr *t) { return fixed_build(t, COX_ALLOW_ANY_DNS); }
const struct cox_resource *cox_cluster_inbound_passthrough(struct cox_tr *t) { return fixed_build(t, COX_INBOUND_PASSTHROUGH_CLUSTER); }

bool cox_cluster_name_parse(struct cox_str name, uint16_t *port, struct cox_str *subset, struct cox_str *host)
{
	struct cox_str rest = name, parts[4];
	uint64_t number;
	size_t n = 0;

	while (n < COX_LEN(parts) && cox_str_next(&rest, '|', &parts[n]))
		n++;
	if (n != COX_LEN(parts) || !cox_str_eq_cstr(parts[0], "outbound") || cox_str_to_u64(parts[1], &number) != COX_OK ||
	    number > UINT16_MAX)
		return false;
	*port = (uint16_t)number;
	*subset = parts[2];
	*host = parts[3];
	return true;
}
