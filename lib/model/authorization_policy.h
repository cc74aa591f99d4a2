/*
 * authorization_policy - AuthorizationPolicy (security.istio.io): who may do what with a workload.
 */
#ifndef COX_MODEL_AUTHORIZATION_POLICY_H
#define COX_MODEL_AUTHORIZATION_POLICY_H

#include "model/policy_target.h"

enum cox_authz_action { COX_AUTHZ_ALLOW, COX_AUTHZ_DENY, COX_AUTHZ_AUDIT, COX_AUTHZ_CUSTOM };

/* All lists that are not empty must hold; within a list one item is enough. `not_`: none may hold. */
struct cox_authz_source {
	COX_LIST(struct cox_str) principals, not_principals, request_principals, not_request_principals, namespaces, not_namespaces;
	COX_LIST(struct cox_str) ip_blocks, not_ip_blocks, remote_ip_blocks, not_remote_ip_blocks;
	COX_LIST(struct cox_str) service_accounts, not_service_accounts, trust_domains, not_trust_domains;
};
struct cox_authz_operation {
	COX_LIST(struct cox_str) hosts, not_hosts, ports, not_ports, methods, not_methods, paths, not_paths;
};
struct cox_authz_from {
	const struct cox_authz_source *source; /* never NULL in an object in force */
};
struct cox_authz_to {
	const struct cox_authz_operation *operation; /* never NULL in an object in force */
};
struct cox_authz_condition {
	struct cox_str key;
	COX_LIST(struct cox_str) values, not_values;
};
/* Holds when one of `from`, one of `to` and all of `when` hold; an empty list holds always. */
struct cox_authz_rule {
	COX_LIST(struct cox_authz_from) from;
	COX_LIST(struct cox_authz_to) to;
	COX_LIST(struct cox_authz_condition) when;
};
struct cox_authz_provider {
	struct cox_str name;
};
struct cox_authorization_policy {
	struct cox_policy_target target;
	COX_LIST(struct cox_authz_rule) rules; /* none: never matches; ALLOW without rules then denies everything */
	int action;                            /* enum cox_authz_action */
	const struct cox_authz_provider *provider;
};
struct cox_authorization_policy_object {
	const struct cox_authorization_policy *spec; /* NULL: an empty one */
};

/* What the key of a condition names. */
enum cox_authz_attribute {
	COX_AUTHZ_UNKNOWN,
	COX_AUTHZ_REQUEST_HEADER, /* request.headers[NAME] */
	COX_AUTHZ_REQUEST_CLAIM,  /* request.auth.claims[NAME], also nested: [a][b] */
	COX_AUTHZ_EXPERIMENTAL,   /* experimental.envoy.filters.NAME[KEY] */
	COX_AUTHZ_SOURCE_IP,
	COX_AUTHZ_REMOTE_IP,
	COX_AUTHZ_SOURCE_NAMESPACE,
	COX_AUTHZ_SOURCE_SERVICE_ACCOUNT,
	COX_AUTHZ_SOURCE_PRINCIPAL,
	COX_AUTHZ_SOURCE_TRUST_DOMAIN,
	COX_AUTHZ_REQUEST_PRINCIPAL,
	COX_AUTHZ_REQUEST_AUDIENCES,
	COX_AUTHZ_REQUEST_PRESENTER,
	COX_AUTHZ_DESTINATION_IP,
	COX_AUTHZ_DESTINATION_PORT,
	COX_AUTHZ_CONNECTION_SNI,
};
enum cox_authz_attribute cox_authz_attribute_find(struct cox_str key);

#endif
