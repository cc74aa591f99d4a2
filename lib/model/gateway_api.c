/* The Gateway API without its routes: open messages, which the kube-apiserver has checked. */
#include "model/gateway_api.h"
#include "model/tables_priv.h"

#define OPEN .open = true
/* Several kinds of references are one struct. */
#define REF_MESSAGE(id, label, text)                                                          \
	const struct cox_message cox_msg_##id = { .name = label,                              \
		                                  .size_bytes = sizeof(struct cox_gwapi_ref), \
		                                  .fields = id##_fields,                      \
		                                  .field_count = COX_LEN(id##_fields),        \
		                                  .doc = text,                                \
		                                  OPEN }

static const struct cox_field gwapi_ref_fields[] = {
	F(gwapi_ref, group, "group", OPT_STR, "Group of the object; empty: Kubernetes' core."),
	F(gwapi_ref, kind, "kind", OPT_STR, "Its kind."),
	F(gwapi_ref, name, "name", STR, "Its name."),
	F(gwapi_ref, ns, "namespace", STR, "Its namespace; that of the object by default."),
	F(gwapi_ref, section_name, "sectionName", STR, "A part of it: a listener, or a service's port by name."),
	F(gwapi_ref, port, "port", I64, "A port of it."),
};
REF_MESSAGE(gwapi_ref, "ObjectReference", "Another object.");

static const struct cox_field gwapi_class_fields[] = {
	F(gwapi_class, controller_name, "controllerName", STR, "Who serves the class."),
	F(gwapi_class, parameters, "parametersRef", MSG, "Parameters; none are supported.", SUB(gwapi_ref)),
};
static MESSAGE(gwapi_class, "GatewayClassSpec", "", OPEN);
static const struct cox_field gwapi_class_object_fields[] = {
	F(gwapi_class_object, spec, "spec", MSG, "", SUB(gwapi_class)),
};
OBJECT(gwapi_class, gwapi_class_object, "GatewayClass", "", OPEN);

static const struct cox_field gwapi_namespaces_fields[] = {
	F(gwapi_namespaces, from, "from", STR, "Same, All, Selector or None."),
	F(gwapi_namespaces, selector, "selector", MSG, "Labels of namespaces.", SUB(label_selector)),
};
static MESSAGE(gwapi_namespaces, "RouteNamespaces", "", OPEN);
static const struct cox_field gwapi_allowed_routes_fields[] = {
	F(gwapi_allowed_routes, namespaces, "namespaces", MSG, "Namespaces of routes.", SUB(gwapi_namespaces)),
	F(gwapi_allowed_routes, kinds, "kinds", MSG, "Kinds of routes.", LIST, SUB(gwapi_ref)),
};
static MESSAGE(gwapi_allowed_routes, "AllowedRoutes", "", OPEN);
static const struct cox_field gwapi_listener_tls_fields[] = {
	F(gwapi_listener_tls, mode, "mode", STR, "Terminate or Passthrough."),
	F(gwapi_listener_tls, certificates, "certificateRefs", MSG, "Secrets with certificate and key.", LIST, SUB(gwapi_ref)),
	F(gwapi_listener_tls, options, "options", STR_MAP, "Options of the implementation."),
};
static MESSAGE(gwapi_listener_tls, "ListenerTLSConfig", "", OPEN);
static const struct cox_field gwapi_listener_fields[] = {
	F(gwapi_listener, name, "name", STR, "Name of the listener."),
	F(gwapi_listener, hostname, "hostname", STR, "Hosts that it takes; all by default."),
	F(gwapi_listener, protocol, "protocol", STR, "HTTP, HTTPS, TLS or TCP."),
	F(gwapi_listener, port, "port", I64, "Port on which it listens."),
	F(gwapi_listener, tls, "tls", MSG, "TLS of clients.", SUB(gwapi_listener_tls)),
	F(gwapi_listener, allowed_routes, "allowedRoutes", MSG, "Which routes may attach.", SUB(gwapi_allowed_routes)),
};
static MESSAGE(gwapi_listener, "Listener", "", OPEN);
static const struct cox_field gwapi_address_fields[] = {
	F(gwapi_address, type, "type", STR, "IPAddress or Hostname."),
	F(gwapi_address, value, "value", STR, "The address."),
};
static MESSAGE(gwapi_address, "GatewayAddress", "", OPEN);
static const struct cox_field gwapi_infrastructure_fields[] = {
	F(gwapi_infrastructure, labels, "labels", STR_MAP, "Labels of what is deployed for the Gateway."),
	F(gwapi_infrastructure, annotations, "annotations", STR_MAP, "Its annotations."),
	F(gwapi_infrastructure, parameters, "parametersRef", MSG, "Parameters; none are supported.", SUB(gwapi_ref)),
};
static MESSAGE(gwapi_infrastructure, "GatewayInfrastructure", "", OPEN);
static const struct cox_field gwapi_client_validation_fields[] = {
	F(gwapi_client_validation, authorities, "caCertificateRefs", MSG, "ConfigMaps with the clients' authorities.", LIST,
	  SUB(gwapi_ref)),
	F(gwapi_client_validation, mode, "mode", STR, "AllowValidOnly or AllowInsecureFallback."),
};
static MESSAGE(gwapi_client_validation, "FrontendTLSValidation", "", OPEN);
static const struct cox_field gwapi_frontend_fields[] = {
	F(gwapi_frontend, validation, "validation", MSG, "How clients' certificates are checked.", SUB(gwapi_client_validation)),
};
static MESSAGE(gwapi_frontend, "TLSConfig", "", OPEN);
static const struct cox_field gwapi_frontend_port_fields[] = {
	F(gwapi_frontend_port, port, "port", I64, "The port."),
	F(gwapi_frontend_port, tls, "tls", MSG, "TLS of its listeners.", SUB(gwapi_frontend)),
};
static MESSAGE(gwapi_frontend_port, "TLSPortConfig", "", OPEN);
static const struct cox_field gwapi_frontends_fields[] = {
	F(gwapi_frontends, by_default, "default", MSG, "TLS of all HTTPS listeners.", SUB(gwapi_frontend)),
	F(gwapi_frontends, per_port, "perPort", MSG, "TLS of some ports.", LIST, SUB(gwapi_frontend_port)),
};
static MESSAGE(gwapi_frontends, "FrontendTLSConfig", "", OPEN);
static const struct cox_field gwapi_backend_client_fields[] = {
	F(gwapi_backend_client, client_certificate, "clientCertificateRef", MSG, "The gateway's own certificate.", SUB(gwapi_ref)),
};
static MESSAGE(gwapi_backend_client, "GatewayBackendTLS", "", OPEN);
static const struct cox_field gwapi_tls_fields[] = {
	F(gwapi_tls, frontend, "frontend", MSG, "TLS of clients.", SUB(gwapi_frontends)),
	F(gwapi_tls, backend, "backend", MSG, "TLS to backends.", SUB(gwapi_backend_client)),
};
static MESSAGE(gwapi_tls, "GatewayTLSConfig", "", OPEN);
static const struct cox_field gwapi_allowed_listeners_fields[] = {
	F(gwapi_allowed_listeners, namespaces, "namespaces", MSG, "Namespaces of ListenerSets.", SUB(gwapi_namespaces)),
};
static MESSAGE(gwapi_allowed_listeners, "AllowedListeners", "", OPEN);
static const struct cox_field gwapi_gateway_fields[] = {
	F(gwapi_gateway, class_name, "gatewayClassName", STR, "Its GatewayClass."),
	F(gwapi_gateway, listeners, "listeners", MSG, "Ports, hosts and TLS.", LIST, SUB(gwapi_listener)),
	F(gwapi_gateway, addresses, "addresses", MSG, "Addresses; a Hostname names the Service of running gateways.", LIST,
	  SUB(gwapi_address)),
	F(gwapi_gateway, infrastructure, "infrastructure", MSG, "What is deployed for it.", SUB(gwapi_infrastructure)),
	F(gwapi_gateway, allowed_listeners, "allowedListeners", MSG, "Which ListenerSets may attach.", SUB(gwapi_allowed_listeners)),
	F(gwapi_gateway, tls, "tls", MSG, "TLS of all listeners.", SUB(gwapi_tls)),
};
static MESSAGE(gwapi_gateway, "GatewaySpec", "", OPEN);
static const struct cox_field gwapi_gateway_object_fields[] = {
	F(gwapi_gateway_object, spec, "spec", MSG, "", SUB(gwapi_gateway)),
};
OBJECT(gwapi_gateway, gwapi_gateway_object, "Gateway", "", OPEN);

static const struct cox_field gwapi_listener_set_fields[] = {
	F(gwapi_listener_set, parent, "parentRef", MSG, "The Gateway that gets the listeners.", SUB(gwapi_ref)),
	F(gwapi_listener_set, listeners, "listeners", MSG, "Ports, hosts and TLS.", LIST, SUB(gwapi_listener)),
};
static MESSAGE(gwapi_listener_set, "ListenerSetSpec", "", OPEN);
static const struct cox_field gwapi_listener_set_object_fields[] = {
	F(gwapi_listener_set_object, spec, "spec", MSG, "", SUB(gwapi_listener_set)),
};
OBJECT(gwapi_listener_set, gwapi_listener_set_object, "ListenerSet", "", OPEN);

static const struct cox_field gwapi_grant_fields[] = {
	F(gwapi_grant, from, "from", MSG, "Who may refer: group, kind and namespace.", LIST, SUB(gwapi_ref)),
	F(gwapi_grant, to, "to", MSG, "To what: group, kind and perhaps name.", LIST, SUB(gwapi_ref)),
};
static MESSAGE(gwapi_grant, "ReferenceGrantSpec", "", OPEN);
static const struct cox_field gwapi_grant_object_fields[] = {
	F(gwapi_grant_object, spec, "spec", MSG, "", SUB(gwapi_grant)),
};
OBJECT(gwapi_grant, gwapi_grant_object, "ReferenceGrant", "", OPEN);

static const struct cox_field gwapi_san_fields[] = {
	F(gwapi_san, type, "type", STR, "Hostname or URI."),
	F(gwapi_san, hostname, "hostname", STR, "A DNS name."),
	F(gwapi_san, uri, "uri", STR, "A URI."),
};
static MESSAGE(gwapi_san, "SubjectAltName", "", OPEN);
static const struct cox_field gwapi_backend_validation_fields[] = {
	F(gwapi_backend_validation, authorities, "caCertificateRefs", MSG, "ConfigMaps with the authorities.", LIST, SUB(gwapi_ref)),
	F(gwapi_backend_validation, well_known, "wellKnownCACertificates", STR, "System: the proxy's own authorities."),
	F(gwapi_backend_validation, hostname, "hostname", STR, "Server name that is asked for, and checked."),
	F(gwapi_backend_validation, sans, "subjectAltNames", MSG, "Names that are checked instead of hostname.", LIST, SUB(gwapi_san)),
};
static MESSAGE(gwapi_backend_validation, "BackendTLSPolicyValidation", "", OPEN);
static const struct cox_field gwapi_backend_tls_fields[] = {
	F(gwapi_backend_tls, targets, "targetRefs", MSG, "Services of the same namespace.", LIST, SUB(gwapi_ref)),
	F(gwapi_backend_tls, validation, "validation", MSG, "How the backend's certificate is checked.", SUB(gwapi_backend_validation)),
};
static MESSAGE(gwapi_backend_tls, "BackendTLSPolicySpec", "", OPEN);
static const struct cox_field gwapi_backend_tls_object_fields[] = {
	F(gwapi_backend_tls_object, spec, "spec", MSG, "", SUB(gwapi_backend_tls)),
};
OBJECT(gwapi_backend_tls, gwapi_backend_tls_object, "BackendTLSPolicy", "", OPEN);
