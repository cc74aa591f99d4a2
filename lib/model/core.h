/*
 * core - the parts of Kubernetes' own kinds that the mesh reads. Field names are Kubernetes' own; tables in core.c.
 */
#ifndef COX_MODEL_CORE_H
#define COX_MODEL_CORE_H

#include "model/object.h"

struct cox_namespace {
	char unused;
}; /* labels are in the metadata */
struct cox_node_address {
	struct cox_str type, address;
};
struct cox_node_info {
	struct cox_str kubelet_version; /* "v1.33.1" */
};
struct cox_node_status {
	COX_LIST(struct cox_node_address) addresses;
	const struct cox_node_info *info;
};
struct cox_node {
	const struct cox_node_status *status;
};

struct cox_container_port {
	struct cox_str name, protocol;
	struct cox_opt_i64 container_port;
};
struct cox_container {
	struct cox_str name;
	COX_LIST(struct cox_container_port) ports;
};
struct cox_pod_spec {
	struct cox_str service_account_name, node_name, hostname, subdomain;
	bool host_network;
	COX_LIST(struct cox_container) containers;
};
struct cox_pod_ip {
	struct cox_str ip;
};
struct cox_condition {
	struct cox_str type, status;
};
struct cox_pod_status {
	struct cox_str phase, pod_ip, host_ip;
	COX_LIST(struct cox_pod_ip) pod_ips;
	COX_LIST(struct cox_condition) conditions;
};
struct cox_pod {
	const struct cox_pod_spec *spec;
	const struct cox_pod_status *status;
};

struct cox_service_port {
	struct cox_str name, protocol, app_protocol; /* protocol empty: TCP */
	struct cox_opt_i64 port, node_port;
	struct cox_int_or_str target_port;
};
struct cox_client_ip_config {
	struct cox_opt_i64 timeout_seconds;
};
struct cox_session_affinity_config {
	const struct cox_client_ip_config *client_ip;
};
struct cox_service_spec {
	struct cox_str cluster_ip, type, external_name, session_affinity, internal_traffic_policy, external_traffic_policy,
	    traffic_distribution;
	COX_LIST(struct cox_str) cluster_ips, external_ips;
	COX_LIST(struct cox_kv) selector;
	COX_LIST(struct cox_service_port) ports;
	bool publish_not_ready_addresses;
};
struct cox_ingress_point {
	struct cox_str ip, hostname;
};
struct cox_lb_status {
	COX_LIST(struct cox_ingress_point) ingress;
};
struct cox_service_status {
	const struct cox_lb_status *load_balancer;
};
struct cox_service {
	const struct cox_service_spec *spec;
	const struct cox_service_status *status;
};

struct cox_endpoint_conditions {
	struct cox_opt_bool ready, serving, terminating;
};
struct cox_object_ref_to {
	struct cox_str kind, name, ns;
};
struct cox_slice_endpoint {
	COX_LIST(struct cox_str) addresses;
	const struct cox_endpoint_conditions *conditions;
	struct cox_str hostname, node_name, zone;
	const struct cox_object_ref_to *target_ref;
};
struct cox_slice_port {
	struct cox_str name, protocol, app_protocol;
	struct cox_opt_i64 port;
};
struct cox_endpoint_slice {
	struct cox_str address_type; /* IPv4, IPv6, FQDN */
	COX_LIST(struct cox_slice_endpoint) endpoints;
	COX_LIST(struct cox_slice_port) ports;
};

struct cox_service_account {
	char unused;
};
struct cox_secret_item {
	struct cox_str key;
	struct cox_opt_str value;
};
struct cox_secret {
	struct cox_str type;
	COX_LIST(struct cox_secret_item) data;
};
struct cox_config_map {
	COX_LIST(struct cox_kv) data;
};

#endif
