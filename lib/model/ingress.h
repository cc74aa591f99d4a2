/*
 * ingress - Ingress and IngressClass (networking.k8s.io/v1): what the mesh reads of them. Made into Gateways and VirtualServices by
 * lib/convert.
 */
#ifndef COX_MODEL_INGRESS_H
#define COX_MODEL_INGRESS_H

#include "model/object.h"

struct cox_ingress_backend_port {
	struct cox_str name;
	struct cox_opt_i64 number;
};
struct cox_ingress_backend_service {
	struct cox_str name;
	const struct cox_ingress_backend_port *port;
};
struct cox_ingress_resource {
	struct cox_str api_group, kind, name;
};
struct cox_ingress_backend { /* one of them */
	const struct cox_ingress_backend_service *service;
	const struct cox_ingress_resource *resource;
};
struct cox_ingress_path {
	struct cox_str path, path_type; /* Exact, Prefix, ImplementationSpecific */
	const struct cox_ingress_backend *backend;
};
struct cox_ingress_http {
	COX_LIST(struct cox_ingress_path) paths;
};
struct cox_ingress_rule {
	struct cox_str host; /* empty: every host; may start with "*." */
	const struct cox_ingress_http *http;
};
struct cox_ingress_tls {
	COX_LIST(struct cox_str) hosts;
	struct cox_str secret_name;
};
struct cox_ingress {
	struct cox_opt_str ingress_class_name;
	const struct cox_ingress_backend *default_backend;
	COX_LIST(struct cox_ingress_tls) tls;
	COX_LIST(struct cox_ingress_rule) rules;
};
struct cox_ingress_object {
	const struct cox_ingress *spec;
};

struct cox_ingress_class {
	struct cox_str controller;
	const struct cox_ingress_resource *parameters;
};
struct cox_ingress_class_object {
	const struct cox_ingress_class *spec;
};

#endif
