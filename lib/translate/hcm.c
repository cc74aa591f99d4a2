/* hcm.c - see hcm.h. The order of the filters is Istio's (protocol facts, section 5). */
#include "translate/hcm.h"

#include "envoy/api.h"
#include "envoy/istio_envoy_config_filter_http_alpn_v2alpha1.h"
#include "translate/deadline.h"
#include "translate/filters.h"
#include "translate/guard.h"
#include "translate/session.h"
#include "translate/settings.h"

struct cox_hcm_identity cox_hcm_identity_of_view(const struct cox_view *v)
{
	if (v->klass == COX_CLASS_UPSTREAM)
		return (struct cox_hcm_identity){ 0 };
	return (struct cox_hcm_identity){ v->cluster_id, v->canonical_name, v->canonical_revision, v->mesh_id, v->ns };
}

struct cox_hcm_identity cox_hcm_identity_of_workload(const struct cox_workload *w)
{
	return (struct cox_hcm_identity){ w->view.cluster_id, w->canonical_name, w->canonical_revision, w->mesh_id, w->view.ns };
}

/* --- filters ---------------------------------------------------------------------------------- */

typedef struct pb_filters_network_http_connection_manager_v3_HttpConnectionManager hcm_pb;
typedef struct pb_filters_network_http_connection_manager_v3_HttpFilter http_filter_pb;

/* `list`: [{"<method>": {}}, ...] in the struct of the metadata exchange filter. `in_mesh`: headers only to hosts of the mesh. */
static void mx_methods_write(struct pb_google_protobuf_Struct st, struct cox_str key, const struct cox_str *methods, size_t n, bool in_mesh)
{
	PB_WITH (v, pb_google_protobuf_Struct_fields(st, key))
		PB_WITH (list, pb_google_protobuf_Value_list_value(v))
			for (size_t i = 0; i < n; i++)
				PB_WITH (item, pb_google_protobuf_ListValue_values(list))
					PB_WITH (one, pb_google_protobuf_Value_struct_value(item))
						PB_WITH (empty, pb_google_protobuf_Struct_fields(one, methods[i]))
							PB_WITH (st2, pb_google_protobuf_Value_struct_value(empty))
								if (in_mesh)
									PB_WITH (skip, pb_google_protobuf_Struct_fields(
									                   st2, COX_STR("skip_external_clusters")))
										pb_google_protobuf_Value_bool_value(skip, true);
}

/* A TypedStruct, as Istio sends it: its own name for the type is not a message of ours. */
static void mx_write(http_filter_pb f, enum cox_hcm_side side, bool in_mesh)
{
	static const struct cox_str methods[] = { COX_STR_INIT("istio_headers"), COX_STR_INIT("workload_discovery") };
	bool inbound = side == COX_HCM_INBOUND;
	pb_filters_network_http_connection_manager_v3_HttpFilter_name(f, COX_STR("istio.metadata_exchange"));
	PB_ANY (ts, pb_filters_network_http_connection_manager_v3_HttpFilter_typed_config(f), pb_udpa_type_v1_TypedStruct) {
		pb_udpa_type_v1_TypedStruct_type_url(ts, COX_STR("type.googleapis.com/io.istio.http.peer_metadata.Config"));
		PB_WITH (st, pb_udpa_type_v1_TypedStruct_value(ts)) {
			mx_methods_write(st, inbound ? COX_STR("downstream_discovery") : COX_STR("upstream_discovery"), methods, 2, false);
			mx_methods_write(st, inbound ? COX_STR("downstream_propagation") : COX_STR("upstream_propagation"), methods, 1,
			                 in_mesh && !inbound);
		}
	}
}

static void alpn_write(http_filter_pb f)
{
	static const struct {
		enum pb_istio_envoy_config_filter_http_alpn_v2alpha1_FilterConfig_Protocol protocol;
		struct cox_str names[3];
	} rows[] = {
		{ PB_istio_envoy_config_filter_http_alpn_v2alpha1_FilterConfig_HTTP10,
		  { COX_STR_INIT("istio-http/1.0"), COX_STR_INIT("istio"), COX_STR_INIT("http/1.0") } },
		{ PB_istio_envoy_config_filter_http_alpn_v2alpha1_FilterConfig_HTTP11,
		  { COX_STR_INIT("istio-http/1.1"), COX_STR_INIT("istio"), COX_STR_INIT("http/1.1") } },
		{ PB_istio_envoy_config_filter_http_alpn_v2alpha1_FilterConfig_HTTP2,
		  { COX_STR_INIT("istio-h2"), COX_STR_INIT("istio"), COX_STR_INIT("h2") } },
	};
	pb_filters_network_http_connection_manager_v3_HttpFilter_name(f, COX_STR("istio.alpn"));
	PB_ANY (c, pb_filters_network_http_connection_manager_v3_HttpFilter_typed_config(f),
	        pb_istio_envoy_config_filter_http_alpn_v2alpha1_FilterConfig)
		for (size_t i = 0; i < COX_LEN(rows); i++)
			PB_WITH (o, pb_istio_envoy_config_filter_http_alpn_v2alpha1_FilterConfig_alpn_override(c)) {
				pb_istio_envoy_config_filter_http_alpn_v2alpha1_FilterConfig_AlpnOverride_upstream_protocol(
				    o, rows[i].protocol);
				for (size_t k = 0; k < 3; k++)
					pb_istio_envoy_config_filter_http_alpn_v2alpha1_FilterConfig_AlpnOverride_alpn_override(
					    o, rows[i].names[k]);
			}
}

/* A filter whose configuration is empty. */
#define FILTER_EMPTY(h, filter_name, type)                                                                   \
	PB_WITH (f_, pb_filters_network_http_connection_manager_v3_HttpConnectionManager_http_filters(h)) {  \
		pb_filters_network_http_connection_manager_v3_HttpFilter_name(f_, COX_STR(filter_name));     \
		PB_ANY (c_, pb_filters_network_http_connection_manager_v3_HttpFilter_typed_config(f_), type) \
			(void)c_;                                                                            \
	}

static void grpc_stats_write(http_filter_pb f)
{
	pb_filters_network_http_connection_manager_v3_HttpFilter_name(f, COX_STR("envoy.filters.http.grpc_stats"));
	PB_ANY (c, pb_filters_network_http_connection_manager_v3_HttpFilter_typed_config(f), pb_filters_http_grpc_stats_v3_FilterConfig) {
		pb_filters_http_grpc_stats_v3_FilterConfig_emit_filter_state(c, true);
		pb_filters_http_grpc_stats_v3_FilterConfig_stats_for_all_methods(c, false);
	}
}

static void dynamic_dns_write(http_filter_pb f, const struct cox_view *v, struct cox_str cache)
{
	pb_filters_network_http_connection_manager_v3_HttpFilter_name(f, COX_STR("envoy.filters.http.dynamic_forward_proxy"));
	PB_ANY (c, pb_filters_network_http_connection_manager_v3_HttpFilter_typed_config(f),
	        pb_filters_http_dynamic_forward_proxy_v3_FilterConfig)
		PB_WITH (d, pb_filters_http_dynamic_forward_proxy_v3_FilterConfig_dns_cache_config(c)) {
			pb_common_dynamic_forward_proxy_v3_DnsCacheConfig_name(d, cache);
			pb_common_dynamic_forward_proxy_v3_DnsCacheConfig_dns_lookup_family(d, cox_dns_family(v));
		}
}

static void filters_write(hcm_pb h, const struct cox_hcm *o)
{
	bool istio = o->t->view->klass == COX_CLASS_ISTIO;
	struct cox_header_settings headers = cox_settings_headers(o->t, o->side);
	if (o->is_mtls && o->t->s->guard.is_on)
		cox_guard_write(h);
	if (istio && !o->t->s->features.no_metadata_exchange)
		PB_WITH (f, pb_filters_network_http_connection_manager_v3_HttpConnectionManager_http_filters(h))
			mx_write(f, o->side, headers.mx_in_mesh);
	/* A server's clock starts as early as it can; a client's call is measured when it goes out. */
	if (o->has_deadline && o->side == COX_HCM_INBOUND)
		PB_WITH (f, pb_filters_network_http_connection_manager_v3_HttpConnectionManager_http_filters(h))
			cox_deadline_filter_write(f, o->side);
	for (COX_EACH(struct cox_str, bytes, o->security_filters))
		pb_filters_network_http_connection_manager_v3_HttpConnectionManager_http_filters_raw(h, *bytes);
	for (COX_EACH(struct cox_str, bytes, o->limit_filters))
		pb_filters_network_http_connection_manager_v3_HttpConnectionManager_http_filters_raw(h, *bytes);
	if (o->has_grpc_web)
		FILTER_EMPTY(h, "envoy.filters.http.grpc_web", pb_filters_http_grpc_web_v3_GrpcWeb);
	PB_WITH (f, pb_filters_network_http_connection_manager_v3_HttpConnectionManager_http_filters(h))
		grpc_stats_write(f);
	if (istio && o->side != COX_HCM_INBOUND && !o->t->s->features.no_alpn_filter)
		PB_WITH (f, pb_filters_network_http_connection_manager_v3_HttpConnectionManager_http_filters(h))
			alpn_write(f);
	FILTER_EMPTY(h, "envoy.filters.http.fault", pb_filters_http_fault_v3_HTTPFault);
	FILTER_EMPTY(h, "envoy.filters.http.cors", pb_filters_http_cors_v3_Cors);
	if (cox_filter_has_stats(o->t))
		PB_WITH (f, pb_filters_network_http_connection_manager_v3_HttpConnectionManager_http_filters(h)) {
			static const enum cox_dir dirs[] = { COX_DIR_OUTBOUND, COX_DIR_INBOUND, COX_DIR_GATEWAY };
			pb_filters_network_http_connection_manager_v3_HttpFilter_name(f, COX_STR("istio.stats"));
			/* It ends the Any with its value. */
			cox_filter_stats_config(pb_filters_network_http_connection_manager_v3_HttpFilter_typed_config(f), dirs[o->side]);
		}
	if (o->has_sessions || (o->t->s->features.has_sessions && o->side != COX_HCM_INBOUND))
		PB_WITH (f, pb_filters_network_http_connection_manager_v3_HttpConnectionManager_http_filters(h))
			cox_session_filter_write(f);
	for (struct cox_str rest = o->dynamic_dns_caches, cache; rest.n > 0 && cox_str_next(&rest, '\n', &cache);)
		PB_WITH (f, pb_filters_network_http_connection_manager_v3_HttpConnectionManager_http_filters(h))
			dynamic_dns_write(f, o->t->view, cache);
	if (o->has_deadline && o->side != COX_HCM_INBOUND)
		PB_WITH (f, pb_filters_network_http_connection_manager_v3_HttpConnectionManager_http_filters(h))
			cox_deadline_filter_write(f, o->side);
	PB_WITH (f, pb_filters_network_http_connection_manager_v3_HttpConnectionManager_http_filters(h)) {
		pb_filters_network_http_connection_manager_v3_HttpFilter_name(f, COX_STR("envoy.filters.http.router"));
		PB_ANY (c, pb_filters_network_http_connection_manager_v3_HttpFilter_typed_config(f), pb_filters_http_router_v3_Router)
			pb_filters_http_router_v3_Router_suppress_envoy_headers(c, headers.no_debug_headers);
	}
}

/* --- tracing ---------------------------------------------------------------------------------- */

typedef struct pb_filters_network_http_connection_manager_v3_HttpConnectionManager_Tracing tracing_pb;

static void literal_tag_write(tracing_pb tr, struct cox_str tag, struct cox_str value)
{
	if (value.n == 0)
		return;
	PB_WITH (t, pb_filters_network_http_connection_manager_v3_HttpConnectionManager_Tracing_custom_tags(tr)) {
		pb_type_tracing_v3_CustomTag_tag(t, tag);
		PB_WITH (l, pb_type_tracing_v3_CustomTag_literal(t))
			pb_type_tracing_v3_CustomTag_Literal_value(l, value);
	}
}

/* What a dry-run AuthorizationPolicy would have done, from the RBAC filter's metadata. */
static void dry_run_tag_write(tracing_pb tr, struct cox_str tag, struct cox_str key)
{
	PB_WITH (t, pb_filters_network_http_connection_manager_v3_HttpConnectionManager_Tracing_custom_tags(tr)) {
		pb_type_tracing_v3_CustomTag_tag(t, tag);
		PB_WITH (m, pb_type_tracing_v3_CustomTag_metadata(t)) {
			PB_WITH (kind, pb_type_tracing_v3_CustomTag_Metadata_kind(m))
				PB_WITH (request, pb_type_metadata_v3_MetadataKind_request(kind))
					(void)request;
			PB_WITH (k, pb_type_tracing_v3_CustomTag_Metadata_metadata_key(m)) {
				pb_type_metadata_v3_MetadataKey_key(k, COX_STR("envoy.filters.http.rbac"));
				PB_WITH (p, pb_type_metadata_v3_MetadataKey_path(k))
					pb_type_metadata_v3_MetadataKey_PathSegment_key(p, key);
			}
		}
	}
}

static void custom_tag_write(tracing_pb tr, const struct cox_custom_tag *c)
{
	PB_WITH (t, pb_filters_network_http_connection_manager_v3_HttpConnectionManager_Tracing_custom_tags(tr)) {
		pb_type_tracing_v3_CustomTag_tag(t, c->key);
		if (c->literal)
			PB_WITH (l, pb_type_tracing_v3_CustomTag_literal(t))
				pb_type_tracing_v3_CustomTag_Literal_value(l, c->literal->value);
		else if (c->environment)
			PB_WITH (e, pb_type_tracing_v3_CustomTag_environment(t)) {
				pb_type_tracing_v3_CustomTag_Environment_name(e, c->environment->name);
				pb_type_tracing_v3_CustomTag_Environment_default_value(e, c->environment->default_value);
			}
		else if (c->header)
			PB_WITH (h, pb_type_tracing_v3_CustomTag_request_header(t)) {
				pb_type_tracing_v3_CustomTag_Header_name(h, c->header->name);
				pb_type_tracing_v3_CustomTag_Header_default_value(h, c->header->default_value);
			}
	}
}

static void istio_tags_write(tracing_pb tr, const struct cox_hcm_identity *id)
{
	dry_run_tag_write(tr, COX_STR("istio.authorization.dry_run.allow_policy.name"),
	                  COX_STR("istio_dry_run_allow_shadow_effective_policy_id"));
	dry_run_tag_write(tr, COX_STR("istio.authorization.dry_run.allow_policy.result"),
	                  COX_STR("istio_dry_run_allow_shadow_engine_result"));
	dry_run_tag_write(tr, COX_STR("istio.authorization.dry_run.deny_policy.name"),
	                  COX_STR("istio_dry_run_deny_shadow_effective_policy_id"));
	dry_run_tag_write(tr, COX_STR("istio.authorization.dry_run.deny_policy.result"),
	                  COX_STR("istio_dry_run_deny_shadow_engine_result"));
	literal_tag_write(tr, COX_STR("istio.canonical_revision"), id->canonical_revision);
	literal_tag_write(tr, COX_STR("istio.canonical_service"), id->canonical_name);
	literal_tag_write(tr, COX_STR("istio.cluster_id"), id->cluster_id);
	literal_tag_write(tr, COX_STR("istio.mesh_id"), id->mesh_id);
	literal_tag_write(tr, COX_STR("istio.namespace"), id->ns);
}

/* Where spans go stands in the bootstrap. */
static void tracing_write(tracing_pb tr, const struct cox_hcm *o)
{
	const struct cox_tracing *cfg = cox_settings_of(o->t)->tracing;
	const struct cox_features *features = &o->t->s->features;
	PB_WITH (p, pb_filters_network_http_connection_manager_v3_HttpConnectionManager_Tracing_client_sampling(tr))
		pb_type_v3_Percent_value(p, 100);
	PB_WITH (p, pb_filters_network_http_connection_manager_v3_HttpConnectionManager_Tracing_random_sampling(tr))
		pb_type_v3_Percent_value(p, cfg && cfg->sampling.set ? cfg->sampling.v
		                            : features->has_sampling ? features->sampling_percent
		                                                     : 1);
	PB_WITH (p, pb_filters_network_http_connection_manager_v3_HttpConnectionManager_Tracing_overall_sampling(tr))
		pb_type_v3_Percent_value(p, 100);
	if (cfg && cfg->max_path_tag_length.set)
		pb_filters_network_http_connection_manager_v3_HttpConnectionManager_Tracing_max_path_tag_length(
		    tr, (uint32_t)cfg->max_path_tag_length.v);
	if (!cfg || !cfg->enable_istio_tags.set || cfg->enable_istio_tags.v)
		istio_tags_write(tr, &o->identity);
	if (cfg)
		for (COX_EACH(struct cox_custom_tag, tag, cfg->custom_tags))
			custom_tag_write(tr, tag);
}

/* --- the manager ------------------------------------------------------------------------------ */

static void routes_write(hcm_pb h, const struct cox_hcm *o)
{
	if (o->route_name.n == 0) {
		pb_filters_network_http_connection_manager_v3_HttpConnectionManager_route_config_raw(h, o->route_config);
		return;
	}
	PB_WITH (rds, pb_filters_network_http_connection_manager_v3_HttpConnectionManager_rds(h)) {
		PB_WITH (src, pb_filters_network_http_connection_manager_v3_Rds_config_source(rds)) {
			PB_WITH (ads, pb_core_v3_ConfigSource_ads(src))
				(void)ads;
			pb_core_v3_ConfigSource_initial_fetch_timeout(src, 0);
			pb_core_v3_ConfigSource_resource_api_version(src, PB_core_v3_V3);
		}
		pb_filters_network_http_connection_manager_v3_Rds_route_config_name(rds, o->route_name);
	}
}

static struct pb_accesslog_v3_AccessLog log_open(void *arg)
{
	return pb_filters_network_http_connection_manager_v3_HttpConnectionManager_access_log(*(hcm_pb *)arg);
}

static void body_write(hcm_pb h, const struct cox_hcm *o)
{
	pb_filters_network_http_connection_manager_v3_HttpConnectionManager_stat_prefix(h, o->stat_prefix);
	routes_write(h, o);
	filters_write(h, o);
	if (o->t->s->mesh->enable_tracing.v)
		PB_WITH (tr, pb_filters_network_http_connection_manager_v3_HttpConnectionManager_tracing(h))
			tracing_write(tr, o);
	cox_access_logs(o->t, COX_LOG_OF_HTTP, log_open, &h);
	pb_filters_network_http_connection_manager_v3_HttpConnectionManager_proxy_100_continue(h, true);
	PB_WITH (u, pb_filters_network_http_connection_manager_v3_HttpConnectionManager_upgrade_configs(h))
		pb_filters_network_http_connection_manager_v3_HttpConnectionManager_UpgradeConfig_upgrade_type(u, COX_STR("websocket"));
	cox_settings_hcm_write(h, o);
	if (o->has_deadline && o->side == COX_HCM_INBOUND)
		PB_WITH (e, pb_filters_network_http_connection_manager_v3_HttpConnectionManager_early_header_mutation_extensions(h))
			cox_deadline_early_write(e);
	PB_WITH (r, pb_filters_network_http_connection_manager_v3_HttpConnectionManager_request_id_extension(h))
		PB_ANY (c, pb_filters_network_http_connection_manager_v3_RequestIDExtension_typed_config(r),
		        pb_request_id_uuid_v3_UuidRequestIdConfig)
			pb_request_id_uuid_v3_UuidRequestIdConfig_use_request_id_for_trace_sampling(c, true);
}

void cox_hcm_write(struct pb_listener_v3_Filter filter, const struct cox_hcm *o)
{
	pb_listener_v3_Filter_name(filter, COX_STR("envoy.filters.network.http_connection_manager"));
	PB_ANY (h, pb_listener_v3_Filter_typed_config(filter), pb_filters_network_http_connection_manager_v3_HttpConnectionManager)
		body_write(h, o);
}
