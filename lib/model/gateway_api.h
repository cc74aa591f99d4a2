/*
 * gateway_api - the Gateway API (gateway.networking.k8s.io), channel "standard": classes, gateways, grants and policies; its routes are
 * in gateway_api_route.h. The kube-apiserver has checked the objects by their CRDs.
 */
#ifndef COX_MODEL_GATEWAY_API_H
#define COX_MODEL_GATEWAY_API_H

#include "model/mesh.h"

/* A reference to some object; which fields a place knows differs. Unset group and kind: the place's default. */
struct cox_gwapi_ref {
	struct cox_opt_str group, kind;
	struct cox_str name, ns, section_name;
	struct cox_opt_i64 port;
};

struct cox_gwapi_class {
	struct cox_str controller_name;
	const struct cox_gwapi_ref *parameters;
};
struct cox_gwapi_class_object {
	const struct cox_gwapi_class *spec;
};

struct cox_gwapi_namespaces {
	struct cox_str from; /* Same, All, Selector, None; empty: Same */
	const struct cox_label_selector *selector;
};
struct cox_gwapi_allowed_routes {
	const struct cox_gwapi_namespaces *namespaces;
	COX_LIST(struct cox_gwapi_ref) kinds;
};
struct cox_gwapi_listener_tls {
	struct cox_str mode; /* Terminate (also empty), Passthrough */
	COX_LIST(struct cox_gwapi_ref) certificates;
	COX_LIST(struct cox_kv) options;
};
struct cox_gwapi_listener {
	struct cox_str name, hostname, protocol;
	struct cox_opt_i64 port;
	const struct cox_gwapi_listener_tls *tls;
	const struct cox_gwapi_allowed_routes *allowed_routes;
};
struct cox_gwapi_address {
	struct cox_str type, value; /* IPAddress (also empty), Hostname */
};
struct cox_gwapi_infrastructure {
	COX_LIST(struct cox_kv) labels, annotations;
	const struct cox_gwapi_ref *parameters;
};
struct cox_gwapi_client_validation {
	COX_LIST(struct cox_gwapi_ref) authorities;
	struct cox_str mode; /* AllowValidOnly (also empty), AllowInsecureFallback */
};
struct cox_gwapi_frontend {
	const struct cox_gwapi_client_validation *validation;
};
struct cox_gwapi_frontend_port {
	struct cox_opt_i64 port;
	const struct cox_gwapi_frontend *tls;
};
struct cox_gwapi_frontends {
	const struct cox_gwapi_frontend *by_default;
	COX_LIST(struct cox_gwapi_frontend_port) per_port;
};
struct cox_gwapi_backend_client {
	const struct cox_gwapi_ref *client_certificate;
};
struct cox_gwapi_tls {
	const struct cox_gwapi_frontends *frontend;
	const struct cox_gwapi_backend_client *backend;
};
struct cox_gwapi_allowed_listeners {
	const struct cox_gwapi_namespaces *namespaces;
};
struct cox_gwapi_gateway {
	struct cox_str class_name;
	COX_LIST(struct cox_gwapi_listener) listeners;
	COX_LIST(struct cox_gwapi_address) addresses;
	const struct cox_gwapi_infrastructure *infrastructure;
	const struct cox_gwapi_allowed_listeners *allowed_listeners;
	const struct cox_gwapi_tls *tls;
};
struct cox_gwapi_gateway_object {
	const struct cox_gwapi_gateway *spec;
};

struct cox_gwapi_listener_set {
	const struct cox_gwapi_ref *parent;
	COX_LIST(struct cox_gwapi_listener) listeners;
};
struct cox_gwapi_listener_set_object {
	const struct cox_gwapi_listener_set *spec;
};

struct cox_gwapi_grant {
	COX_LIST(struct cox_gwapi_ref) from, to;
};
struct cox_gwapi_grant_object {
	const struct cox_gwapi_grant *spec;
};

struct cox_gwapi_san {
	struct cox_str type, hostname, uri;
};
struct cox_gwapi_backend_validation {
	COX_LIST(struct cox_gwapi_ref) authorities;
	struct cox_str well_known, hostname;
	COX_LIST(struct cox_gwapi_san) sans;
};
struct cox_gwapi_backend_tls {
	COX_LIST(struct cox_gwapi_ref) targets;
	const struct cox_gwapi_backend_validation *validation;
};
struct cox_gwapi_backend_tls_object {
	const struct cox_gwapi_backend_tls *spec;
};

#endif
