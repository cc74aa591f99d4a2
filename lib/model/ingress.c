/* Ingress and IngressClass: open messages, which the kube-apiserver has checked. */
#include "model/ingress.h"
#include "model/tables_priv.h"

#define OPEN .open = true

static const struct cox_field ingress_backend_port_fields[] = {
	F(ingress_backend_port, name, "name", STR, "Name of the service's port.", .one_of = 1),
	F(ingress_backend_port, number, "number", I64, "Number of the service's port.", .one_of = 1),
};
static MESSAGE(ingress_backend_port, "ServiceBackendPort", "", OPEN);
static const struct cox_field ingress_backend_service_fields[] = {
	F(ingress_backend_service, name, "name", STR, "A service of the same namespace."),
	F(ingress_backend_service, port, "port", MSG, "Its port.", SUB(ingress_backend_port)),
};
static MESSAGE(ingress_backend_service, "IngressServiceBackend", "", OPEN);
static const struct cox_field ingress_resource_fields[] = {
	F(ingress_resource, api_group, "apiGroup", STR, "Group of the resource."),
	F(ingress_resource, kind, "kind", STR, "Its kind."),
	F(ingress_resource, name, "name", STR, "Its name."),
};
static MESSAGE(ingress_resource, "TypedLocalObjectReference", "", OPEN);
static const struct cox_field ingress_backend_fields[] = {
	F(ingress_backend, resource, "resource", MSG, "A resource; none is supported.", SUB(ingress_resource)),
	F(ingress_backend, service, "service", MSG, "A service.", SUB(ingress_backend_service)),
};
static MESSAGE(ingress_backend, "IngressBackend", "", OPEN);
static const struct cox_field ingress_path_fields[] = {
	F(ingress_path, backend, "backend", MSG, "Where its requests go.", SUB(ingress_backend)),
	F(ingress_path, path, "path", STR, "The path."),
	F(ingress_path, path_type, "pathType", STR, "Exact, Prefix or ImplementationSpecific."),
};
static MESSAGE(ingress_path, "HTTPIngressPath", "", OPEN);
static const struct cox_field ingress_http_fields[] = { F(ingress_http, paths, "paths", MSG, "Paths.", LIST, SUB(ingress_path)) };
static MESSAGE(ingress_http, "HTTPIngressRuleValue", "", OPEN);
static const struct cox_field ingress_rule_fields[] = {
	F(ingress_rule, host, "host", STR, "The host; every one where it is empty."),
	F(ingress_rule, http, "http", MSG, "Its paths.", SUB(ingress_http)),
};
static MESSAGE(ingress_rule, "IngressRule", "", OPEN);
static const struct cox_field ingress_tls_fields[] = {
	F(ingress_tls, hosts, "hosts", STR, "Hosts of the certificate; every one where there is none.", LIST),
	F(ingress_tls, secret_name, "secretName", STR, "The secret with certificate and key."),
};
static MESSAGE(ingress_tls, "IngressTLS", "", OPEN);
static const struct cox_field ingress_fields[] = {
	F(ingress, default_backend, "defaultBackend", MSG, "For what no rule matches.", SUB(ingress_backend)),
	F(ingress, ingress_class_name, "ingressClassName", OPT_STR, "Who serves it."),
	F(ingress, rules, "rules", MSG, "Hosts and paths.", LIST, SUB(ingress_rule)),
	F(ingress, tls, "tls", MSG, "Certificates.", LIST, SUB(ingress_tls)),
};
static MESSAGE(ingress, "IngressSpec", "", OPEN);
static const struct cox_field ingress_object_fields[] = { F(ingress_object, spec, "spec", MSG, "What is served.", SUB(ingress)) };
OBJECT(ingress, ingress_object, "Ingress", "HTTP from outside the cluster to its services.", OPEN);

static const struct cox_field ingress_class_fields[] = {
	F(ingress_class, controller, "controller", STR, "Who serves Ingresses of this class."),
	F(ingress_class, parameters, "parameters", MSG, "Parameters; none are supported.", SUB(ingress_resource)),
};
static MESSAGE(ingress_class, "IngressClassSpec", "", OPEN);
static const struct cox_field ingress_class_object_fields[] = { F(ingress_class_object, spec, "spec", MSG, "Who serves it.",
	                                                          SUB(ingress_class)) };
OBJECT(ingress_class, ingress_class_object, "IngressClass", "Who serves the Ingresses that name it.", OPEN);
