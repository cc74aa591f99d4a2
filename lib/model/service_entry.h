/*
 * service_entry - ServiceEntry and WorkloadEntry (networking.istio.io), every field of them.
 */
#ifndef COX_MODEL_SERVICE_ENTRY_H
#define COX_MODEL_SERVICE_ENTRY_H

#include "model/common.h"

struct cox_condition_state {
	struct cox_str type, status;
};
struct cox_port_number {
	struct cox_str key;
	int64_t number;
}; /* map<string, uint32> */
struct cox_workload_entry {
	struct cox_str address, network, locality, service_account;
	COX_LIST(struct cox_port_number) ports;
	COX_LIST(struct cox_kv) labels;
	struct cox_opt_i64 weight;
};
struct cox_workload_entry_status {
	COX_LIST(struct cox_condition_state) conditions;
};
struct cox_workload_entry_object {
	const struct cox_workload_entry *spec;
	const struct cox_workload_entry_status *status;
};

enum cox_se_location { COX_SE_MESH_EXTERNAL, COX_SE_MESH_INTERNAL };
enum cox_se_resolution { COX_SE_NONE, COX_SE_STATIC, COX_SE_DNS, COX_SE_DNS_ROUND_ROBIN, COX_SE_DYNAMIC_DNS };
struct cox_service_entry {
	COX_LIST(struct cox_str) hosts, addresses, export_to, subject_alt_names;
	COX_LIST(struct cox_port) ports;
	int location, resolution;
	COX_LIST(struct cox_workload_entry) endpoints;
	const struct cox_workload_selector *workload_selector;
};
struct cox_se_address {
	struct cox_str value, host;
};
struct cox_service_entry_status {
	COX_LIST(struct cox_se_address) addresses;
};
struct cox_service_entry_object {
	const struct cox_service_entry *spec;
	const struct cox_service_entry_status *status;
};

#endif
