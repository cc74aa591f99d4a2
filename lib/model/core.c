/* Kubernetes' own kinds: open messages, as only a part of them is read; the kube-apiserver has checked them. */
#include "model/core.h"
#include "model/tables_priv.h"

#define OPEN .open = true

static const struct cox_field empty_fields[1] = { { .name = "" } };
const struct cox_message cox_model_namespace = {
	.name = "Namespace", .size_bytes = sizeof(struct cox_namespace), .fields = empty_fields, OPEN, .doc = "Its labels decide."
};
const struct cox_message cox_model_service_account = { .name = "ServiceAccount",
	                                               .size_bytes = sizeof(struct cox_service_account),
	                                               .fields = empty_fields,
	                                               OPEN,
	                                               .doc = "Identity of workloads." };

static const struct cox_field node_address_fields[] = {
	F(node_address, type, "type", STR, "InternalIP, ExternalIP, Hostname."),
	F(node_address, address, "address", STR, "The address."),
};
static MESSAGE(node_address, "NodeAddress", "", OPEN);
static const struct cox_field node_info_fields[] = { F(node_info, kubelet_version, "kubeletVersion", STR, "Of the node's kubelet.") };
static MESSAGE(node_info, "NodeSystemInfo", "", OPEN);
static const struct cox_field node_status_fields[] = {
	F(node_status, addresses, "addresses", MSG, "Addresses of the node.", LIST, SUB(node_address)),
	F(node_status, info, "nodeInfo", MSG, "Its software.", SUB(node_info)),
};
static MESSAGE(node_status, "NodeStatus", "", OPEN);
static const struct cox_field node_fields[] = { F(node, status, "status", MSG, "State.", SUB(node_status)) };
OBJECT(node, node, "Node", "Locality and addresses.", OPEN);

static const struct cox_field container_port_fields[] = {
	F(container_port, name, "name", STR, "Name that services refer to."),
	F(container_port, protocol, "protocol", STR, "TCP, UDP or SCTP."),
	F(container_port, container_port, "containerPort", I64, "The number."),
};
static MESSAGE(container_port, "ContainerPort", "", OPEN);
static const struct cox_field container_fields[] = {
	F(container, name, "name", STR, "Name of the container."),
	F(container, ports, "ports", MSG, "Its ports.", LIST, SUB(container_port)),
};
static MESSAGE(container, "Container", "", OPEN);
static const struct cox_field pod_spec_fields[] = {
	F(pod_spec, containers, "containers", MSG, "Containers.", LIST, SUB(container)),
	F(pod_spec, host_network, "hostNetwork", BOOL, "Uses the node's network."),
	F(pod_spec, hostname, "hostname", STR, "Host name."),
	F(pod_spec, node_name, "nodeName", STR, "The node that it runs on."),
	F(pod_spec, service_account_name, "serviceAccountName", STR, "Identity."),
	F(pod_spec, subdomain, "subdomain", STR, "Subdomain of its host name."),
};
static MESSAGE(pod_spec, "PodSpec", "", OPEN);
static const struct cox_field pod_ip_fields[] = { F(pod_ip, ip, "ip", STR, "The address.") };
static MESSAGE(pod_ip, "PodIP", "", OPEN);
static const struct cox_field condition_fields[] = {
	F(condition, type, "type", STR, "Which condition."),
	F(condition, status, "status", STR, "True, False or Unknown."),
};
static MESSAGE(condition, "Condition", "", OPEN);
static const struct cox_field pod_status_fields[] = {
	F(pod_status, conditions, "conditions", MSG, "Conditions.", LIST, SUB(condition)),
	F(pod_status, host_ip, "hostIP", STR, "Address of the node."),
	F(pod_status, phase, "phase", STR, "Pending, Running, Succeeded, Failed."),
	F(pod_status, pod_ip, "podIP", STR, "The first address."),
	F(pod_status, pod_ips, "podIPs", MSG, "All addresses.", LIST, SUB(pod_ip)),
};
static MESSAGE(pod_status, "PodStatus", "", OPEN);
static const struct cox_field pod_fields[] = {
	F(pod, spec, "spec", MSG, "What runs.", SUB(pod_spec)),
	F(pod, status, "status", MSG, "State.", SUB(pod_status)),
};
OBJECT(pod, pod, "Pod", "A workload.", OPEN);

static const struct cox_field service_port_fields[] = {
	F(service_port, name, "name", STR, "Name, whose prefix may tell the protocol."),
	F(service_port, protocol, "protocol", STR, "TCP, UDP or SCTP."),
	F(service_port, port, "port", I64, "Number of the port."),
	F(service_port, target_port, "targetPort", INT_OR_STR, "Port of the pods, by number or name."),
	F(service_port, app_protocol, "appProtocol", STR, "What is spoken on it."),
	F(service_port, node_port, "nodePort", I64, "Port on the nodes."),
};
static MESSAGE(service_port, "ServicePort", "", OPEN);
static const struct cox_field service_spec_fields[] = {
	F(service_spec, cluster_ip, "clusterIP", STR, "Virtual address, or None."),
	F(service_spec, cluster_ips, "clusterIPs", STR, "All virtual addresses.", LIST),
	F(service_spec, external_ips, "externalIPs", STR, "Addresses on the nodes.", LIST),
	F(service_spec, external_name, "externalName", STR, "Target of an ExternalName service."),
	F(service_spec, external_traffic_policy, "externalTrafficPolicy", STR, "Cluster or Local."),
	F(service_spec, internal_traffic_policy, "internalTrafficPolicy", STR, "Cluster or Local."),
	F(service_spec, ports, "ports", MSG, "Ports.", LIST, SUB(service_port)),
	F(service_spec, publish_not_ready_addresses, "publishNotReadyAddresses", BOOL, "Takes pods that are not ready."),
	F(service_spec, selector, "selector", STR_MAP, "Labels of its pods."),
	F(service_spec, session_affinity, "sessionAffinity", STR, "None or ClientIP."),
	F(service_spec, traffic_distribution, "trafficDistribution", STR, "PreferClose and the like."),
	F(service_spec, type, "type", STR, "ClusterIP, NodePort, LoadBalancer, ExternalName."),
};
static MESSAGE(service_spec, "ServiceSpec", "", OPEN);
static const struct cox_field ingress_point_fields[] = {
	F(ingress_point, ip, "ip", STR, "Address."),
	F(ingress_point, hostname, "hostname", STR, "Name."),
};
static MESSAGE(ingress_point, "LoadBalancerIngress", "", OPEN);
static const struct cox_field lb_status_fields[] = { F(lb_status, ingress, "ingress", MSG, "Points of entry.", LIST, SUB(ingress_point)) };
static MESSAGE(lb_status, "LoadBalancerStatus", "", OPEN);
static const struct cox_field service_status_fields[] = { F(service_status, load_balancer, "loadBalancer", MSG, "Its load balancer.",
	                                                    SUB(lb_status)) };
static MESSAGE(service_status, "ServiceStatus", "", OPEN);
static const struct cox_field service_fields[] = {
	F(service, spec, "spec", MSG, "The service.", SUB(service_spec)),
	F(service, status, "status", MSG, "State.", SUB(service_status)),
};
OBJECT(service, service, "Service", "A name and ports for a set of pods.", OPEN);

static const struct cox_field endpoint_conditions_fields[] = {
	F(endpoint_conditions, ready, "ready", OPT_BOOL, "Takes traffic."),
	F(endpoint_conditions, serving, "serving", OPT_BOOL, "Is ready, even while it ends."),
	F(endpoint_conditions, terminating, "terminating", OPT_BOOL, "Is ending."),
};
static MESSAGE(endpoint_conditions, "EndpointConditions", "", OPEN);
static const struct cox_field object_ref_to_fields[] = {
	F(object_ref_to, kind, "kind", STR, "Kind."),
	F(object_ref_to, name, "name", STR, "Name."),
	F(object_ref_to, ns, "namespace", STR, "Namespace."),
};
static MESSAGE(object_ref_to, "ObjectReference", "", OPEN);
static const struct cox_field slice_endpoint_fields[] = {
	F(slice_endpoint, addresses, "addresses", STR, "Addresses.", LIST),
	F(slice_endpoint, conditions, "conditions", MSG, "State.", SUB(endpoint_conditions)),
	F(slice_endpoint, hostname, "hostname", STR, "Host name."),
	F(slice_endpoint, node_name, "nodeName", STR, "The node that it runs on."),
	F(slice_endpoint, target_ref, "targetRef", MSG, "The pod.", SUB(object_ref_to)),
	F(slice_endpoint, zone, "zone", STR, "Zone."),
};
static MESSAGE(slice_endpoint, "Endpoint", "", OPEN);
static const struct cox_field slice_port_fields[] = {
	F(slice_port, name, "name", STR, "Name of the service's port."),
	F(slice_port, port, "port", I64, "Number."),
	F(slice_port, protocol, "protocol", STR, "TCP, UDP or SCTP."),
	F(slice_port, app_protocol, "appProtocol", STR, "What is spoken on it."),
};
static MESSAGE(slice_port, "EndpointPort", "", OPEN);
static const struct cox_field endpoint_slice_fields[] = {
	F(endpoint_slice, address_type, "addressType", STR, "IPv4, IPv6 or FQDN."),
	F(endpoint_slice, endpoints, "endpoints", MSG, "Endpoints.", LIST, SUB(slice_endpoint)),
	F(endpoint_slice, ports, "ports", MSG, "Ports.", LIST, SUB(slice_port)),
};
OBJECT(endpoint_slice, endpoint_slice, "EndpointSlice", "Endpoints of a service.", OPEN);

static const struct cox_field secret_fields[] = {
	F(secret, type, "type", STR, "What it holds."),
	F(secret, data, "data", BYTES_MAP, "Values in base64.", .flags = COX_F_SECRET, .max_len = 2 * 1024 * 1024),
};
OBJECT(secret, secret, "Secret", "Certificates and keys.", OPEN);

static const struct cox_field config_map_fields[] = {
	F(config_map, data, "data", STR_MAP, "Values.", .max_len = 2 * 1024 * 1024),
};
OBJECT(config_map, config_map, "ConfigMap", "Settings.", OPEN);
