#include "model/workload_group.h"
#include "model/tables_priv.h"

/* --- probe --- */

static const struct cox_field group_header_fields[] = {
	F(group_header, name, "name", STR, "Name of the header.", REQUIRED, .pattern = "header"),
	F(group_header, value, "value", STR, "Its value."),
};
static MESSAGE(group_header, "ProbeHeader", "A header of the probe.");

static const struct cox_field group_http_get_fields[] = {
	F(group_http_get, path, "path", STR, "Path; / by default.", .max_len = 4096),
	F(group_http_get, port, "port", I64, "Port of the application.", REQUIRED, .min = 1, .max = 65535),
	F(group_http_get, host, "host", STR, "Address to ask; 127.0.0.1 by default.", .max_len = 253),
	F(group_http_get, scheme, "scheme", ENUM, "HTTP by default.", ENUM("", "HTTP", "HTTPS")),
	F(group_http_get, http_headers, "httpHeaders", MSG, "Headers of the request.", LIST, SUB(group_header), .max_items = 64),
};
static MESSAGE(group_http_get, "HTTPHealthCheckConfig", "A GET that must be answered with a status from 200 to 399.");

static const struct cox_field group_tcp_socket_fields[] = {
	F(group_tcp_socket, host, "host", STR, "Address to connect to; 127.0.0.1 by default.", .max_len = 253),
	F(group_tcp_socket, port, "port", I64, "Port of the application.", REQUIRED, .min = 1, .max = 65535),
};
static MESSAGE(group_tcp_socket, "TCPHealthCheckConfig", "A connection that must be taken.");

static const struct cox_field group_exec_fields[] = {
	F(group_exec, command, "command", STR, "Program and arguments; there is no shell.", .flags = COX_F_LIST | COX_F_REQUIRED,
	  .max_items = 64),
};
static void group_exec_check(const void *value, const char *path, struct cox_diags *d)
{
	const struct cox_group_exec *v = value;
	if (!v->command.n || !v->command.p[0].n)
		cox_diag_add(d, COX_SEV_ERROR, 0, path, "command must name a program");
}
static MESSAGE(group_exec, "ExecHealthCheckConfig", "A program that must end with status 0.", .check = group_exec_check);

static const struct cox_field group_grpc_fields[] = {
	F(group_grpc, port, "port", I64, "Port of the application.", REQUIRED, .min = 1, .max = 65535),
	F(group_grpc, service, "service", STR, "The service asked about; the server as a whole by default.", .max_len = 1024),
};
static MESSAGE(group_grpc, "GrpcHealthCheckConfig", "grpc.health.v1, which must answer SERVING.");

static const struct cox_field group_probe_fields[] = {
	F(group_probe, initial_delay_seconds, "initialDelaySeconds", I64, "Wait before the first probe.", .min = 0, .max = 86400),
	F(group_probe, timeout_seconds, "timeoutSeconds", I64, "Time that an answer may take; 1 by default.", .min = 0, .max = 86400),
	F(group_probe, period_seconds, "periodSeconds", I64, "Time between probes; 10 by default.", .min = 0, .max = 86400),
	F(group_probe, success_threshold, "successThreshold", I64, "Successes in a row that make it healthy; 1 by default.", .min = 0,
	  .max = 1000),
	F(group_probe, failure_threshold, "failureThreshold", I64, "Failures in a row that make it unhealthy; 3 by default.", .min = 0,
	  .max = 1000),
	F(group_probe, http_get, "httpGet", MSG, "Ask by HTTP.", SUB(group_http_get), .one_of = 1, .one_of_required = 1),
	F(group_probe, tcp_socket, "tcpSocket", MSG, "Ask by connecting.", SUB(group_tcp_socket), .one_of = 1, .one_of_required = 1),
	F(group_probe, exec, "exec", MSG, "Ask by a program on the workload's machine.", SUB(group_exec), .one_of = 1,
	  .one_of_required = 1),
	F(group_probe, grpc, "grpc", MSG, "Ask by gRPC.", SUB(group_grpc), .one_of = 1, .one_of_required = 1),
};
static MESSAGE(group_probe, "ReadinessProbe", "How a workload's agent asks whether its application is well.");

/* --- group --- */

static const struct cox_field group_meta_fields[] = {
	F(group_meta, labels, "labels", STR_MAP, "Labels of the WorkloadEntry.", .pattern = "labels", .max_items = 256),
	F(group_meta, annotations, "annotations", STR_MAP, "Annotations of the WorkloadEntry.", .max_items = 256),
};
static MESSAGE(group_meta, "WorkloadGroupObjectMeta", "Metadata of the WorkloadEntries.");

/* The fields of a WorkloadEntry, without its rule about the address: that comes with the workload. */
static const struct cox_field group_template_fields[] = {
	F(workload_entry, address, "address", STR, "Has no effect: the address is the workload's.", .flags = COX_F_NO_EFFECT,
	  .pattern = "workloadAddress", .max_len = 253, UNIX_RULE),
	F(workload_entry, ports, "ports", I64_MAP, "Port numbers by the service's port names, where they differ.", .min = 1, .max = 65535,
	  .max_items = 128, PORT_NAMES_RULE),
	F(workload_entry, labels, "labels", STR_MAP, "Labels of the workload.", .pattern = "labels", .max_items = 256),
	F(workload_entry, network, "network", STR, "Network that it is in, unless its proxy says another.", .max_len = 2048),
	F(workload_entry, locality, "locality", STR, "Locality, unless its proxy says another: region/zone/subzone.", .max_len = 2048),
	F(workload_entry, weight, "weight", I64, "Share of the traffic, relative to other endpoints.", NATURAL),
	F(workload_entry, service_account, "serviceAccount", STR, "Service account that its certificate must name.", .max_len = 253),
};
static const struct cox_message cox_msg_group_template = { .name = "WorkloadGroupTemplate",
	                                                   .size_bytes = sizeof(struct cox_workload_entry),
	                                                   .fields = group_template_fields,
	                                                   .field_count = COX_LEN(group_template_fields),
	                                                   RULES(UNIX_PORTS_RULE),
	                                                   .doc = "What the WorkloadEntries have in common." };

static const struct cox_field workload_group_fields[] = {
	F(workload_group, metadata, "metadata", MSG, "Metadata of the WorkloadEntries.", SUB(group_meta)),
	F(workload_group, template, "template", MSG, "What the WorkloadEntries have in common.", REQUIRED, SUB(group_template)),
	F(workload_group, probe, "probe", MSG, "How a workload's agent asks whether its application is well.", SUB(group_probe)),
};
static MESSAGE(workload_group, "WorkloadGroupSpec", "Workloads that register themselves.");

static const struct cox_field workload_group_object_fields[] = {
	F(workload_group_object, spec, "spec", MSG, "Workloads that register themselves.", REQUIRED, SUB(workload_group)),
};
OBJECT(workload_group, workload_group_object, "WorkloadGroup",
       "Workloads outside Kubernetes that register themselves, such as a fleet of virtual machines.", .open = true);
