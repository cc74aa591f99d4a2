/*
 * mcs - the Multi-Cluster Services API (multicluster.x-k8s.io): ServiceExport, which has nothing but a name, and ServiceImport. Their CRDs
 * are the user's, and ServiceImports are written by the clusters' own controller.
 */
#ifndef COX_MODEL_MCS_H
#define COX_MODEL_MCS_H

#include "model/object.h"

struct cox_service_export {
	struct cox_str spec;
};
struct cox_import_port {
	struct cox_str name;
	struct cox_opt_i64 port;
};
struct cox_import_spec {
	struct cox_str type; /* ClusterSetIP, Headless */
	COX_LIST(struct cox_str) ips;
	COX_LIST(struct cox_import_port) ports;
};
struct cox_service_import {
	const struct cox_import_spec *spec;
};

#endif
