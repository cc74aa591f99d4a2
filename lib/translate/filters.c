#include "translate/filters.h"

#include "translate/cluster.h"

#define MX_NAME COX_STR("istio.metadata_exchange")
#define MX_ALPN COX_STR("istio-peer-exchange")

/* Istio registers these filters with untyped configuration: a TypedStruct that names the real type. */
static void mx_config_write(struct pb_google_protobuf_Any any)
{
	PB_ANY (typed, any, pb_udpa_type_v1_TypedStruct) {
		pb_udpa_type_v1_TypedStruct_type_url(typed,
		                                     COX_STR("type.googleapis.com/envoy.tcp.metadataexchange.config.MetadataExchange"));
		PB_WITH (value, pb_udpa_type_v1_TypedStruct_value(typed)) {
			PB_WITH (v, pb_google_protobuf_Struct_fields(value, COX_STR("enable_discovery")))
				pb_google_protobuf_Value_bool_value(v, true);
			PB_WITH (v, pb_google_protobuf_Struct_fields(value, COX_STR("protocol")))
				pb_google_protobuf_Value_string_value(v, MX_ALPN);
		}
	}
}

static bool has_mx(const struct cox_tr *t) { return t->view->klass == COX_CLASS_ISTIO && !t->s->features.no_metadata_exchange; }

void cox_filter_mx(struct pb_listener_v3_FilterChain fc, const struct cox_tr *t)
{
	if (!has_mx(t))
		return;
	PB_WITH (f, pb_listener_v3_FilterChain_filters(fc)) {
		pb_listener_v3_Filter_name(f, MX_NAME);
		mx_config_write(pb_listener_v3_Filter_typed_config(f));
	}
}

void cox_filter_cluster_mx(struct pb_cluster_v3_Cluster c, const struct cox_tr *t)
{
	if (!has_mx(t))
		return;
	PB_WITH (f, pb_cluster_v3_Cluster_filters(c)) {
		pb_cluster_v3_Filter_name(f, MX_NAME);
		mx_config_write(pb_cluster_v3_Filter_typed_config(f));
	}
}

bool cox_filter_has_stats(const struct cox_tr *t)
{
	const struct cox_mesh_config *mesh = t->s->mesh;
	if (t->view->klass != COX_CLASS_ISTIO)
		return false;
	/* Without defaultProviders the mesh has Prometheus metrics, as Istio installs it. */
	if (mesh->default_providers == NULL || mesh->default_providers->metrics.n == 0)
		return true;
	for (COX_EACH(struct cox_str, name, mesh->default_providers->metrics))
		for (COX_EACH(struct cox_provider, p, mesh->extension_providers))
			if (p->is_prometheus && cox_str_eq(p->name, *name))
				return true;
	return false;
}

void cox_filter_stats_config(struct pb_google_protobuf_Any any, enum cox_dir dir)
{
	PB_ANY (stats, any, pb_stats_PluginConfig) {
		/* What a client outside the mesh writes into Host must not become a metric label. */
		pb_stats_PluginConfig_disable_host_header_fallback(stats, dir != COX_DIR_OUTBOUND);
	}
}

void cox_filter_tcp_stats(struct pb_listener_v3_FilterChain fc, const struct cox_tr *t, enum cox_dir dir)
{
	if (!cox_filter_has_stats(t))
		return;
	PB_WITH (f, pb_listener_v3_FilterChain_filters(fc)) {
		pb_listener_v3_Filter_name(f, COX_STR("istio.stats"));
		cox_filter_stats_config(pb_listener_v3_Filter_typed_config(f), dir);
	}
}

static void tcp_targets_write(struct pb_filters_network_tcp_proxy_v3_TcpProxy tcp, const struct cox_tcp_proxy *p)
{
	if (p->target_n == 1) {
		pb_filters_network_tcp_proxy_v3_TcpProxy_cluster(tcp, p->targets[0].cluster);
		return;
	}
	PB_WITH (weighted, pb_filters_network_tcp_proxy_v3_TcpProxy_weighted_clusters(tcp))
		for (size_t i = 0; i < p->target_n; i++) {
			if (p->targets[i].weight <= 0)
				continue;
			PB_WITH (c, pb_filters_network_tcp_proxy_v3_TcpProxy_WeightedCluster_clusters(weighted)) {
				pb_filters_network_tcp_proxy_v3_TcpProxy_WeightedCluster_ClusterWeight_name(c, p->targets[i].cluster);
				pb_filters_network_tcp_proxy_v3_TcpProxy_WeightedCluster_ClusterWeight_weight(
				    c, (uint32_t)p->targets[i].weight);
			}
		}
}

static void tcp_policy_write(struct pb_filters_network_tcp_proxy_v3_TcpProxy tcp, const struct cox_tr *t, const struct cox_tcp_proxy *p)
{
	struct cox_policy policy = { 0 };
	if (p->dr != NULL)
		policy = cox_policy_of(t->s->mesh, p->dr, p->subset, p->port);
	const struct cox_pool_tcp *pool = policy.pool != NULL ? policy.pool->tcp : NULL;
	const struct cox_consistent_hash *hash = policy.lb != NULL ? policy.lb->consistent_hash : NULL;

	if (p->idle_timeout_ns.set)
		pb_filters_network_tcp_proxy_v3_TcpProxy_idle_timeout(tcp, p->idle_timeout_ns.v);
	else if (pool != NULL && pool->idle_timeout_ns.set)
		pb_filters_network_tcp_proxy_v3_TcpProxy_idle_timeout(tcp, pool->idle_timeout_ns.v);
	if (pool != NULL && pool->max_connection_duration_ns.set)
		pb_filters_network_tcp_proxy_v3_TcpProxy_max_downstream_connection_duration(tcp, pool->max_connection_duration_ns.v);
	if (hash != NULL && hash->use_source_ip.set && hash->use_source_ip.v)
		PB_WITH (h, pb_filters_network_tcp_proxy_v3_TcpProxy_hash_policy(tcp))
			PB_WITH (ip, pb_type_v3_HashPolicy_source_ip(h)) {
			}
	if (policy.tunnel != NULL)
		PB_WITH (tunnel, pb_filters_network_tcp_proxy_v3_TcpProxy_tunneling_config(tcp)) {
			struct cox_str host = cox_arena_printf(t->arena, "%.*s:%lld", COX_FMT(policy.tunnel->target_host),
			                                       (long long)policy.tunnel->target_port.v);
			pb_filters_network_tcp_proxy_v3_TcpProxy_TunnelingConfig_hostname(tunnel, host);
			pb_filters_network_tcp_proxy_v3_TcpProxy_TunnelingConfig_use_post(
			    tunnel, cox_str_eq_nocase(policy.tunnel->protocol, COX_STR("POST")));
		}
}

static void mongo_write(struct pb_listener_v3_FilterChain fc, struct cox_str stat_prefix)
{
	PB_WITH (f, pb_listener_v3_FilterChain_filters(fc)) {
		pb_listener_v3_Filter_name(f, COX_STR("envoy.filters.network.mongo_proxy"));
		PB_ANY (mongo, pb_listener_v3_Filter_typed_config(f), pb_filters_network_mongo_proxy_v3_MongoProxy)
			pb_filters_network_mongo_proxy_v3_MongoProxy_stat_prefix(mongo, stat_prefix);
	}
}

static struct pb_accesslog_v3_AccessLog tcp_log_open(void *arg)
{
	return pb_filters_network_tcp_proxy_v3_TcpProxy_access_log(*(struct pb_filters_network_tcp_proxy_v3_TcpProxy *)arg);
}

static void sni_dns_write(struct pb_listener_v3_FilterChain fc, const struct cox_tr *t, const struct cox_tcp_proxy *p)
{
	PB_WITH (f, pb_listener_v3_FilterChain_filters(fc)) {
		pb_listener_v3_Filter_name(f, COX_STR("envoy.filters.network.sni_dynamic_forward_proxy"));
		PB_ANY (c, pb_listener_v3_Filter_typed_config(f), pb_filters_network_sni_dynamic_forward_proxy_v3_FilterConfig) {
			PB_WITH (cache, pb_filters_network_sni_dynamic_forward_proxy_v3_FilterConfig_dns_cache_config(c)) {
				pb_common_dynamic_forward_proxy_v3_DnsCacheConfig_name(cache, p->sni_dns_cache);
				pb_common_dynamic_forward_proxy_v3_DnsCacheConfig_dns_lookup_family(cache, cox_dns_family(t->view));
			}
			pb_filters_network_sni_dynamic_forward_proxy_v3_FilterConfig_port_value(c, p->port);
		}
	}
}

void cox_filter_tcp_proxy(struct pb_listener_v3_FilterChain fc, const struct cox_tr *t, const struct cox_tcp_proxy *p)
{
	if (p->protocol == COX_PROTO_MONGO)
		mongo_write(fc, p->stat_prefix);
	if (p->sni_dns_cache.n > 0)
		sni_dns_write(fc, t, p);
	PB_WITH (f, pb_listener_v3_FilterChain_filters(fc)) {
		pb_listener_v3_Filter_name(f, COX_STR("envoy.filters.network.tcp_proxy"));
		PB_ANY (tcp, pb_listener_v3_Filter_typed_config(f), pb_filters_network_tcp_proxy_v3_TcpProxy) {
			pb_filters_network_tcp_proxy_v3_TcpProxy_stat_prefix(tcp, p->stat_prefix);
			tcp_targets_write(tcp, p);
			tcp_policy_write(tcp, t, p);
			if (!p->no_access_log)
				cox_access_logs(t, COX_LOG_OF_TCP, tcp_log_open, &tcp);
		}
	}
}

void cox_filters_tcp(struct pb_listener_v3_FilterChain fc, const struct cox_tr *t, enum cox_dir dir, const struct cox_tcp_proxy *p)
{
	if (dir == COX_DIR_INBOUND)
		cox_filter_mx(fc, t);
	cox_filter_tcp_stats(fc, t, dir);
	cox_filter_tcp_proxy(fc, t, p);
}

/* --- metadata ----------------------------------------------------------------------------- */

bool cox_istio_metadata_is_empty(const struct cox_istio_metadata *md)
{
	return md->service_n == 0 && md->config.n == 0 && md->subset.n == 0 && !md->no_alpn_override && !md->is_external &&
	       md->finding.n == 0;
}

static void struct_str(struct pb_google_protobuf_Struct s, struct cox_str key, struct cox_str value)
{
	if (value.n > 0)
		PB_WITH (v, pb_google_protobuf_Struct_fields(s, key))
			pb_google_protobuf_Value_string_value(v, value);
}

static void metadata_services_write(struct pb_google_protobuf_Struct istio, const struct cox_istio_metadata *md)
{
	PB_WITH (v, pb_google_protobuf_Struct_fields(istio, COX_STR("services")))
		PB_WITH (list, pb_google_protobuf_Value_list_value(v))
			for (size_t i = 0; i < md->service_n; i++)
				PB_WITH (item, pb_google_protobuf_ListValue_values(list))
					PB_WITH (svc, pb_google_protobuf_Value_struct_value(item)) {
						struct_str(svc, COX_STR("host"), md->services[i].host);
						struct_str(svc, COX_STR("name"), md->services[i].name);
						struct_str(svc, COX_STR("namespace"), md->services[i].ns);
					}
}

void cox_istio_metadata_write(struct pb_core_v3_Metadata m, const struct cox_istio_metadata *md)
{
	if (md->finding.n > 0)
		PB_WITH (ours, pb_core_v3_Metadata_filter_metadata(m, COX_STR("coxswain")))
			struct_str(ours, COX_STR("finding"), md->finding);
	PB_WITH (istio, pb_core_v3_Metadata_filter_metadata(m, COX_STR("istio"))) {
		if (md->no_alpn_override)
			struct_str(istio, COX_STR("alpn_override"), COX_STR("false"));
		struct_str(istio, COX_STR("config"), md->config);
		if (md->is_external)
			PB_WITH (v, pb_google_protobuf_Struct_fields(istio, COX_STR("external")))
				pb_google_protobuf_Value_bool_value(v, true);
		if (md->service_n > 0)
			metadata_services_write(istio, md);
		struct_str(istio, COX_STR("subset"), md->subset);
	}
}

struct cox_str cox_istio_config_path(struct cox_arena *a, const char *kind, struct cox_str ns, struct cox_str name)
{
	return cox_arena_printf(a, "/apis/networking.istio.io/v1/namespaces/%.*s/%s/%.*s", COX_FMT(ns), kind, COX_FMT(name));
}

/* --- names -------------------------------------------------------------------------------- */

struct cox_str cox_cluster_name(struct cox_arena *a, const char *direction, uint16_t port, struct cox_str subset, struct cox_str host)
{
	return cox_arena_printf(a, "%s|%u|%.*s|%.*s", direction, port, COX_FMT(subset), COX_FMT(host));
}

struct cox_str cox_cluster_sni(struct cox_arena *a, uint16_t port, struct cox_str subset, struct cox_str host)
{
	return cox_arena_printf(a, "outbound_.%u_.%.*s_.%.*s", port, COX_FMT(subset), COX_FMT(host));
}

void cox_address_write(struct pb_core_v3_Address addr, struct cox_str ip, uint16_t port)
{
	if (cox_str_has_prefix(ip, COX_STR("unix://"))) {
		PB_WITH (pipe, pb_core_v3_Address_pipe(addr))
			pb_core_v3_Pipe_path(pipe, cox_str_sub(ip, sizeof("unix://") - 1, ip.n));
		return;
	}
	PB_WITH (sock, pb_core_v3_Address_socket_address(addr)) {
		pb_core_v3_SocketAddress_address(sock, ip);
		pb_core_v3_SocketAddress_port_value(sock, port);
	}
}

int cox_dns_family(const struct cox_view *v)
{
	return v->family == COX_IP_V6   ? PB_cluster_v3_Cluster_V6_ONLY
	       : v->family == COX_IP_V4 ? PB_cluster_v3_Cluster_V4_ONLY
	                                : PB_cluster_v3_Cluster_V4_PREFERRED;
}

void cox_listener_address_write(struct pb_listener_v3_Listener l, const struct cox_view *v, struct cox_str bind, uint16_t port)
{
	PB_WITH (a, pb_listener_v3_Listener_address(l))
		cox_address_write(a, bind, port);
	if (v->family == COX_IP_DUAL && cox_str_eq(bind, cox_view_any_address(v)))
		PB_WITH (more, pb_listener_v3_Listener_additional_addresses(l))
			PB_WITH (a, pb_listener_v3_AdditionalAddress_address(more))
				cox_address_write(a, COX_STR("::"), port);
}

static void source_write(struct pb_core_v3_SocketAddress source, struct cox_str address)
{
	pb_core_v3_SocketAddress_address(source, address);
	pb_core_v3_SocketAddress_port_value(source, 0);
}

void cox_inbound_source_write(struct pb_cluster_v3_Cluster c, const struct cox_view *v)
{
	PB_WITH (bind, pb_cluster_v3_Cluster_upstream_bind_config(c)) {
		PB_WITH (source, pb_core_v3_BindConfig_source_address(bind))
			source_write(source, v->family == COX_IP_V6 ? COX_STR("::6") : COX_STR("127.0.0.6"));
		if (v->family == COX_IP_DUAL)
			PB_WITH (more, pb_core_v3_BindConfig_extra_source_addresses(bind))
				PB_WITH (source, pb_core_v3_ExtraSourceAddress_address(more))
					source_write(source, COX_STR("::6"));
	}
}
