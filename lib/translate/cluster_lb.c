#include "translate/cluster_priv.h"

#include "translate/endpoint.h"
#include "translate/session.h"

#define RING_SIZE_DEFAULT 1024
#define WRR(field) pb_load_balancing_policies_client_side_weighted_round_robin_v3_ClientSideWeightedRoundRobin_##field

static const struct cox_warmup *warmup_of(const struct cox_load_balancer *lb, struct cox_warmup *deprecated)
{
	if (lb == NULL)
		return NULL;
	if (lb->warmup != NULL && lb->warmup->duration_ns.set)
		return lb->warmup;
	if (!lb->warmup_duration_secs_ns.set)
		return NULL;
	*deprecated = (struct cox_warmup){ .duration_ns = lb->warmup_duration_secs_ns };
	return deprecated;
}

static void slow_start_write(struct pb_cluster_v3_Cluster_SlowStartConfig s, const struct cox_warmup *w)
{
	pb_cluster_v3_Cluster_SlowStartConfig_slow_start_window(s, w->duration_ns.v);
	if (w->aggression.set)
		PB_WITH (a, pb_cluster_v3_Cluster_SlowStartConfig_aggression(s)) {
			pb_core_v3_RuntimeDouble_default_value(a, w->aggression.v);
			/* Envoy wants a key; nobody sets it. */
			pb_core_v3_RuntimeDouble_runtime_key(a, COX_STR("coxswain.slow_start_aggression"));
		}
	if (w->minimum_percent.set)
		PB_WITH (min, pb_cluster_v3_Cluster_SlowStartConfig_min_weight_percent(s))
			pb_type_v3_Percent_value(min, w->minimum_percent.v);
}

/* The same in the newer message. */
static void common_slow_start_write(struct pb_load_balancing_policies_common_v3_SlowStartConfig s, const struct cox_warmup *w)
{
	pb_load_balancing_policies_common_v3_SlowStartConfig_slow_start_window(s, w->duration_ns.v);
	if (w->aggression.set)
		PB_WITH (a, pb_load_balancing_policies_common_v3_SlowStartConfig_aggression(s)) {
			pb_core_v3_RuntimeDouble_default_value(a, w->aggression.v);
			pb_core_v3_RuntimeDouble_runtime_key(a, COX_STR("coxswain.slow_start_aggression"));
		}
	if (w->minimum_percent.set)
		PB_WITH (min, pb_load_balancing_policies_common_v3_SlowStartConfig_min_weight_percent(s))
			pb_type_v3_Percent_value(min, w->minimum_percent.v);
}

static void consistent_hash_write(struct pb_cluster_v3_Cluster c, const struct cox_consistent_hash *h)
{
	if (h->maglev != NULL) {
		pb_cluster_v3_Cluster_lb_policy(c, PB_cluster_v3_Cluster_MAGLEV);
		if (h->maglev->table_size.v > 0)
			PB_WITH (m, pb_cluster_v3_Cluster_maglev_lb_config(c))
				pb_cluster_v3_Cluster_MaglevLbConfig_table_size(m, (uint64_t)h->maglev->table_size.v);
		return;
	}
	int64_t size = h->ring_hash != NULL ? h->ring_hash->minimum_ring_size.v : h->minimum_ring_size.v;
	pb_cluster_v3_Cluster_lb_policy(c, PB_cluster_v3_Cluster_RING_HASH);
	PB_WITH (ring, pb_cluster_v3_Cluster_ring_hash_lb_config(c))
		pb_cluster_v3_Cluster_RingHashLbConfig_minimum_ring_size(ring, size > 0 ? (uint64_t)size : RING_SIZE_DEFAULT);
}

/* Endpoints say in their answers (ORCA) how loaded they are. */
static void weighted_by_load_write(struct pb_cluster_v3_LoadBalancingPolicy policy, const struct cox_load_balancer *lb)
{
	const struct cox_backend_utilization *u = lb->backend_utilization;
	struct cox_warmup deprecated;
	const struct cox_warmup *w = warmup_of(lb, &deprecated);

	PB_WITH (one, pb_cluster_v3_LoadBalancingPolicy_policies(policy))
		PB_WITH (ext, pb_cluster_v3_LoadBalancingPolicy_Policy_typed_extension_config(one)) {
			pb_core_v3_TypedExtensionConfig_name(ext,
			                                     COX_STR("envoy.load_balancing_policies.client_side_weighted_round_robin"));
			PB_ANY (rr, pb_core_v3_TypedExtensionConfig_typed_config(ext),
			        pb_load_balancing_policies_client_side_weighted_round_robin_v3_ClientSideWeightedRoundRobin) {
				if (u->weight_stabilization_ns.set)
					WRR(blackout_period)(rr, u->weight_stabilization_ns.v);
				if (u->weight_expiration_ns.set)
					WRR(weight_expiration_period)(rr, u->weight_expiration_ns.v);
				if (u->weight_update_ns.set)
					WRR(weight_update_period)(rr, u->weight_update_ns.v);
				if (u->error_penalty_percent.set)
					WRR(error_utilization_penalty)(rr, (float)(u->error_penalty_percent.v / 100));
				for (COX_EACH(struct cox_str, name, u->metric_names))
					WRR(metric_names_for_computing_utilization)(rr, *name);
				if (w != NULL)
					PB_WITH (s, WRR(slow_start_config)(rr))
						common_slow_start_write(s, w);
			}
		}
}

/* Weights of localities are a policy of their own around it: Envoy refuses those of common_lb_config beside load_balancing_policy. */
static void utilization_write(struct pb_cluster_v3_Cluster c, const struct cox_load_balancer *lb, bool has_weighted_localities)
{
	PB_WITH (outer, pb_cluster_v3_Cluster_load_balancing_policy(c)) {
		if (!has_weighted_localities) {
			weighted_by_load_write(outer, lb);
			continue;
		}
		PB_WITH (one, pb_cluster_v3_LoadBalancingPolicy_policies(outer))
			PB_WITH (ext, pb_cluster_v3_LoadBalancingPolicy_Policy_typed_extension_config(one)) {
				pb_core_v3_TypedExtensionConfig_name(ext, COX_STR("envoy.load_balancing_policies.wrr_locality"));
				PB_ANY (wrr, pb_core_v3_TypedExtensionConfig_typed_config(ext),
				        pb_load_balancing_policies_wrr_locality_v3_WrrLocality)
					PB_WITH (inner, pb_load_balancing_policies_wrr_locality_v3_WrrLocality_endpoint_picking_policy(wrr))
						weighted_by_load_write(inner, lb);
			}
	}
}

static void simple_write(struct pb_cluster_v3_Cluster c, const struct cox_load_balancer *lb)
{
	struct cox_warmup deprecated;
	const struct cox_warmup *warmup = warmup_of(lb, &deprecated);

	switch (lb != NULL ? lb->simple : COX_LB_UNSPECIFIED) {
	case COX_LB_RANDOM: pb_cluster_v3_Cluster_lb_policy(c, PB_cluster_v3_Cluster_RANDOM); break;
	case COX_LB_ROUND_ROBIN:
		pb_cluster_v3_Cluster_lb_policy(c, PB_cluster_v3_Cluster_ROUND_ROBIN);
		if (warmup != NULL)
			PB_WITH (rr, pb_cluster_v3_Cluster_round_robin_lb_config(c))
				PB_WITH (s, pb_cluster_v3_Cluster_RoundRobinLbConfig_slow_start_config(rr))
					slow_start_write(s, warmup);
		break;
	default:
		pb_cluster_v3_Cluster_lb_policy(c, PB_cluster_v3_Cluster_LEAST_REQUEST);
		if (warmup != NULL)
			PB_WITH (lr, pb_cluster_v3_Cluster_least_request_lb_config(c))
				PB_WITH (s, pb_cluster_v3_Cluster_LeastRequestLbConfig_slow_start_config(lr))
					slow_start_write(s, warmup);
	}
}

static bool is_by_load(const struct cox_cluster_spec *spec)
{
	const struct cox_load_balancer *lb = spec->policy.lb;
	return lb != NULL && lb->backend_utilization != NULL && lb->consistent_hash == NULL && lb->simple != COX_LB_RANDOM;
}

static bool has_weighted_localities(const struct cox_tr *t, const struct cox_cluster_spec *spec)
{
	bool forced;
	const struct cox_locality_lb *locality = cox_locality_setting(t, spec, &forced);
	return locality != NULL && locality->distribute.n > 0;
}

static void common_lb_write(struct pb_cluster_v3_Cluster c, const struct cox_tr *t, const struct cox_cluster_spec *spec)
{
	const struct cox_outlier_detection *o = spec->policy.outlier;
	bool is_weighted = has_weighted_localities(t, spec) && !is_by_load(spec);

	struct cox_session session;
	bool has_session = cox_session_of_service(t, spec->snap->svc, &session);

	if (o == NULL && !is_weighted && !has_session)
		return;
	PB_WITH (common, pb_cluster_v3_Cluster_common_lb_config(c)) {
		/* Panic mode sends to ejected hosts: off unless asked for. */
		if (o != NULL)
			PB_WITH (p, pb_cluster_v3_Cluster_CommonLbConfig_healthy_panic_threshold(common))
				pb_type_v3_Percent_value(p, (double)o->min_health_percent.v);
		/* A session goes on while its endpoint drains. */
		if (has_session)
			PB_WITH (set, pb_cluster_v3_Cluster_CommonLbConfig_override_host_status(common)) {
				static const enum pb_core_v3_HealthStatus all[] = { PB_core_v3_UNKNOWN, PB_core_v3_HEALTHY,
					                                            PB_core_v3_DRAINING, PB_core_v3_DEGRADED };
				for (size_t i = 0; i < COX_LEN(all); i++)
					pb_core_v3_HealthStatusSet_statuses(set, all[i]);
			}
		if (is_weighted)
			PB_WITH (w, pb_cluster_v3_Cluster_CommonLbConfig_locality_weighted_lb_config(common)) {
			}
	}
}

void cox_cluster_lb_write(struct pb_cluster_v3_Cluster c, const struct cox_tr *t, const struct cox_cluster_spec *spec)
{
	const struct cox_load_balancer *lb = spec->policy.lb;

	if (spec->discovery == COX_DISCOVERY_ORIGINAL_DST || spec->discovery == COX_DISCOVERY_DFP)
		pb_cluster_v3_Cluster_lb_policy(c, PB_cluster_v3_Cluster_CLUSTER_PROVIDED);
	else if (lb != NULL && lb->consistent_hash != NULL)
		consistent_hash_write(c, lb->consistent_hash);
	else if (is_by_load(spec))
		utilization_write(c, lb, has_weighted_localities(t, spec));
	else
		simple_write(c, lb);
	common_lb_write(c, t, spec);
}

/* A count of errors and whether it is enforced: 0 switches it off. */
static uint32_t enforced(int64_t count) { return count > 0 ? 100 : 0; }

static void local_origin_write(struct pb_cluster_v3_OutlierDetection d, const struct cox_outlier_detection *o)
{
	pb_cluster_v3_OutlierDetection_split_external_local_origin_errors(d, true);
	if (o->consecutive_local_origin_failures.v > 0) {
		pb_cluster_v3_OutlierDetection_consecutive_local_origin_failure(d, (uint32_t)o->consecutive_local_origin_failures.v);
		pb_cluster_v3_OutlierDetection_enforcing_consecutive_local_origin_failure(d, 100);
	}
	pb_cluster_v3_OutlierDetection_enforcing_local_origin_success_rate(d, 0);
}

void cox_cluster_outlier_write(struct pb_cluster_v3_Cluster c, const struct cox_outlier_detection *o)
{
	const struct cox_opt_i64 *e5xx = o->consecutive_5xx_errors.set ? &o->consecutive_5xx_errors : &o->consecutive_errors;

	PB_WITH (d, pb_cluster_v3_Cluster_outlier_detection(c)) {
		if (e5xx->set) {
			pb_cluster_v3_OutlierDetection_consecutive_5xx(d, (uint32_t)e5xx->v);
			pb_cluster_v3_OutlierDetection_enforcing_consecutive_5xx(d, enforced(e5xx->v));
		}
		if (o->interval_ns.set)
			pb_cluster_v3_OutlierDetection_interval(d, o->interval_ns.v);
		if (o->base_ejection_time_ns.set)
			pb_cluster_v3_OutlierDetection_base_ejection_time(d, o->base_ejection_time_ns.v);
		if (o->max_ejection_percent.v > 0)
			pb_cluster_v3_OutlierDetection_max_ejection_percent(d, (uint32_t)o->max_ejection_percent.v);
		/* Nobody asked for ejection by success rate, which Envoy does by default. */
		pb_cluster_v3_OutlierDetection_enforcing_success_rate(d, 0);
		if (o->consecutive_gateway_errors.set) {
			pb_cluster_v3_OutlierDetection_consecutive_gateway_failure(d, (uint32_t)o->consecutive_gateway_errors.v);
			pb_cluster_v3_OutlierDetection_enforcing_consecutive_gateway_failure(d, enforced(o->consecutive_gateway_errors.v));
		}
		if (o->split_external_local_origin_errors)
			local_origin_write(d, o);
	}
}
