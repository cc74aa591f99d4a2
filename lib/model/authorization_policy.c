#include "model/authorization_policy.h"
#include "model/policy_priv.h"

/* --- rows of lists --- */

#define TEXTS(of, member, json, format, text) F(of, member, json, STR, text, LIST, .pattern = format)

static const struct cox_field authz_source_fields[] = {
	TEXTS(authz_source, principals, "principals", "nonEmpty",
	      "Identities of peers, TRUST-DOMAIN/ns/NAMESPACE/sa/ACCOUNT; '*' at one end; needs mTLS."),
	TEXTS(authz_source, not_principals, "notPrincipals", "nonEmpty", "Identities that it must not have."),
	TEXTS(authz_source, request_principals, "requestPrincipals", "nonEmpty", "Identities by JWT, ISSUER/SUBJECT."),
	TEXTS(authz_source, not_request_principals, "notRequestPrincipals", "nonEmpty", "Identities by JWT that it must not have."),
	TEXTS(authz_source, namespaces, "namespaces", "nonEmpty", "Namespaces of peers; needs mTLS."),
	TEXTS(authz_source, not_namespaces, "notNamespaces", "nonEmpty", "Namespaces that it must not be in."),
	TEXTS(authz_source, ip_blocks, "ipBlocks", "cidr", "Addresses of the connection's other end, as IP or CIDR."),
	TEXTS(authz_source, not_ip_blocks, "notIpBlocks", "cidr", "Addresses that it must not have."),
	TEXTS(authz_source, remote_ip_blocks, "remoteIpBlocks", "cidr", "Addresses of the client, as X-Forwarded-For or PROXY say."),
	TEXTS(authz_source, not_remote_ip_blocks, "notRemoteIpBlocks", "cidr", "Addresses that the client must not have."),
	F(authz_source, service_accounts, "serviceAccounts", STR, "Service accounts: ACCOUNT of this namespace, or NAMESPACE/ACCOUNT.",
	  LIST, .pattern = "serviceAccount", .max_items = 16, .max_len = 320),
	F(authz_source, not_service_accounts, "notServiceAccounts", STR, "Service accounts that it must not have.", LIST,
	  .pattern = "serviceAccount", .max_items = 16, .max_len = 320),
	TEXTS(authz_source, trust_domains, "trustDomains", "trustDomain", "Trust domains; '*' at one end."),
	TEXTS(authz_source, not_trust_domains, "notTrustDomains", "trustDomain", "Trust domains that it must not be of."),
};
static void authz_source_check(const void *value, const char *path, struct cox_diags *d)
{
	const struct cox_authz_source *v = value;
	size_t by_name = v->principals.n + v->not_principals.n + v->namespaces.n + v->not_namespaces.n;
	size_t accounts = v->service_accounts.n + v->not_service_accounts.n;
	if (by_name && accounts)
		cox_diag_add(d, COX_SEV_ERROR, 0, path, "serviceAccounts cannot stand beside principals or namespaces");
	size_t all = by_name + accounts + v->request_principals.n + v->not_request_principals.n + v->ip_blocks.n + v->not_ip_blocks.n +
	             v->remote_ip_blocks.n + v->not_remote_ip_blocks.n + v->trust_domains.n + v->not_trust_domains.n;
	if (!all)
		cox_diag_add(d, COX_SEV_ERROR, 0, path, "must say something; leave out \"from\" to mean everybody");
}
#define HAS_ACCOUNTS "has(self.serviceAccounts) || has(self.notServiceAccounts)"
#define HAS_NAMES "has(self.principals) || has(self.notPrincipals) || has(self.namespaces) || has(self.notNamespaces)"
static MESSAGE(authz_source, "Source", "Who asks; all fields must hold.", .check = authz_source_check,
               RULES({ "!((" HAS_ACCOUNTS ") && (" HAS_NAMES "))", "serviceAccounts cannot stand beside principals or namespaces" }));

static const struct cox_field authz_operation_fields[] = {
	TEXTS(authz_operation, hosts, "hosts", "nonEmpty", "Hosts asked for, without case; '*' at one end."),
	TEXTS(authz_operation, not_hosts, "notHosts", "nonEmpty", "Hosts that must not be asked for."),
	TEXTS(authz_operation, ports, "ports", "portNumber", "Ports of the workload, as text."),
	TEXTS(authz_operation, not_ports, "notPorts", "portNumber", "Ports that it must not be."),
	TEXTS(authz_operation, methods, "methods", "nonEmpty", "Methods; for gRPC always POST."),
	TEXTS(authz_operation, not_methods, "notMethods", "nonEmpty", "Methods that it must not have."),
	TEXTS(authz_operation, paths, "paths", "pathTemplate", "Paths; '*' at one end, or {*} for a segment and {**} for the rest."),
	TEXTS(authz_operation, not_paths, "notPaths", "pathTemplate", "Paths that it must not have."),
};
static void authz_operation_check(const void *value, const char *path, struct cox_diags *d)
{
	const struct cox_authz_operation *v = value;
	if (!(v->hosts.n + v->not_hosts.n + v->ports.n + v->not_ports.n + v->methods.n + v->not_methods.n + v->paths.n + v->not_paths.n))
		cox_diag_add(d, COX_SEV_ERROR, 0, path, "must say something; leave out \"to\" to mean everything");
}
static MESSAGE(authz_operation, "Operation", "What is asked; all fields must hold.", .check = authz_operation_check);

static const struct cox_field authz_from_fields[] = {
	F(authz_from, source, "source", MSG, "Who asks.", REQUIRED, SUB(authz_source)),
};
static MESSAGE(authz_from, "From", "A source.");

static const struct cox_field authz_to_fields[] = {
	F(authz_to, operation, "operation", MSG, "What is asked.", REQUIRED, SUB(authz_operation)),
};
static MESSAGE(authz_to, "To", "An operation.");

/* --- conditions --- */

static const struct attribute {
	const char *key;
	enum cox_authz_attribute is;
	bool has_brackets;  /* the key goes on: "[name]" */
	const char *format; /* of its values; NULL: any text but the empty one */
} attributes[] = {
	{ "request.headers", COX_AUTHZ_REQUEST_HEADER, true, NULL },
	{ "request.auth.claims", COX_AUTHZ_REQUEST_CLAIM, true, NULL },
	{ "experimental.envoy.filters.", COX_AUTHZ_EXPERIMENTAL, true, NULL },
	{ "source.ip", COX_AUTHZ_SOURCE_IP, false, "cidr" },
	{ "remote.ip", COX_AUTHZ_REMOTE_IP, false, "cidr" },
	{ "source.namespace", COX_AUTHZ_SOURCE_NAMESPACE, false, NULL },
	{ "source.serviceAccount", COX_AUTHZ_SOURCE_SERVICE_ACCOUNT, false, "serviceAccount" },
	{ "source.principal", COX_AUTHZ_SOURCE_PRINCIPAL, false, NULL },
	{ "source.trustDomain", COX_AUTHZ_SOURCE_TRUST_DOMAIN, false, "oneWildcard" },
	{ "request.auth.principal", COX_AUTHZ_REQUEST_PRINCIPAL, false, NULL },
	{ "request.auth.audiences", COX_AUTHZ_REQUEST_AUDIENCES, false, NULL },
	{ "request.auth.presenter", COX_AUTHZ_REQUEST_PRESENTER, false, NULL },
	{ "destination.ip", COX_AUTHZ_DESTINATION_IP, false, "cidr" },
	{ "destination.port", COX_AUTHZ_DESTINATION_PORT, false, "portNumber" },
	{ "connection.sni", COX_AUTHZ_CONNECTION_SNI, false, NULL },
};

static const struct attribute *attribute_find(struct cox_str key)
{
	for (size_t i = 0; i < COX_LEN(attributes); i++)
		if (attributes[i].has_brackets ? cox_str_has_prefix(key, cox_str_of(attributes[i].key))
		                               : cox_str_eq_cstr(key, attributes[i].key))
			return &attributes[i];
	return NULL;
}

enum cox_authz_attribute cox_authz_attribute_find(struct cox_str key)
{
	const struct attribute *a = attribute_find(key);
	return a ? a->is : COX_AUTHZ_UNKNOWN;
}

static bool has_bracketed_name(struct cox_str key)
{
	ptrdiff_t open = cox_str_find(key, '[');
	return key.n && key.p[key.n - 1] == ']' && open > 0 && (size_t)open + 2 < key.n;
}

/* What once was an attribute says what to use now. */
static const char *instead_of(struct cox_str key)
{
	if (cox_str_eq_cstr(key, "destination.namespace"))
		return "is metadata.namespace now: put the policy into that namespace";
	if (cox_str_has_prefix(key, COX_STR("destination.labels")))
		return "is the selector now";
	return "is no attribute; use source.ip, remote.ip, source.namespace, source.serviceAccount, source.principal, source.trustDomain, "
	       "request.headers[NAME], request.auth.principal, request.auth.audiences, request.auth.presenter, request.auth.claims[NAME], "
	       "destination.ip, destination.port, connection.sni or experimental.envoy.filters.NAME[KEY]";
}

static void values_check(const struct attribute *a, const struct cox_str *values, size_t n, const char *list, const char *path,
                         struct cox_diags *d)
{
	for (size_t i = 0; a->format && i < n; i++) {
		const char *wrong = cox_format_check(a->format, values[i]);
		if (wrong)
			cox_diag_add(d, COX_SEV_ERROR, 0, path, "%s[%zu]: \"%.*s\": %s, since the key is %s", list, i,
			             COX_FMT(cox_str_sub(values[i], 0, 100)), wrong, a->key);
	}
	if (a->is == COX_AUTHZ_SOURCE_SERVICE_ACCOUNT && n > 16)
		cox_diag_add(d, COX_SEV_ERROR, 0, path, "%s must have at most 16 items for this key, has %zu", list, n);
}

static const struct cox_field authz_condition_fields[] = {
	F(authz_condition, key, "key", STR, "Name of an attribute, such as request.headers[x-user].", REQUIRED, .pattern = "nonEmpty"),
	TEXTS(authz_condition, values, "values", "nonEmpty", "One of these must be its value."),
	TEXTS(authz_condition, not_values, "notValues", "nonEmpty", "None of these may be its value."),
};
static void authz_condition_check(const void *value, const char *path, struct cox_diags *d)
{
	const struct cox_authz_condition *v = value;
	const struct attribute *a = attribute_find(v->key);
	if (!v->values.n && !v->not_values.n)
		cox_diag_add(d, COX_SEV_ERROR, 0, path, "one of values, notValues must be set");
	else if (!a)
		cox_diag_add(d, COX_SEV_ERROR, 0, path, "key: \"%.*s\" %s", COX_FMT(cox_str_sub(v->key, 0, 100)), instead_of(v->key));
	else if (a->has_brackets && !has_bracketed_name(v->key))
		cox_diag_add(d, COX_SEV_ERROR, 0, path, "key: \"%.*s\" must end with a name in brackets, as in %s[name]",
		             COX_FMT(cox_str_sub(v->key, 0, 100)), a->key);
	else {
		values_check(a, v->values.p, v->values.n, "values", path, d);
		values_check(a, v->not_values.p, v->not_values.n, "notValues", path, d);
	}
}
static MESSAGE(authz_condition, "Condition", "A condition on an attribute.", .check = authz_condition_check);

static const struct cox_field authz_rule_fields[] = {
	F(authz_rule, from, "from", MSG, "Who asks: one of these; everybody by default.", LIST, SUB(authz_from), .max_items = 512),
	F(authz_rule, to, "to", MSG, "What is asked: one of these; everything by default.", LIST, SUB(authz_to)),
	F(authz_rule, when, "when", MSG, "Further conditions, all of them.", LIST, SUB(authz_condition)),
};
static MESSAGE(authz_rule, "Rule", "Holds for requests of a source, for an operation, under conditions.");

static const struct cox_field authz_provider_fields[] = {
	F(authz_provider, name, "name", STR, "Name of an extension provider in the mesh configuration."),
};
static MESSAGE(authz_provider, "ExtensionProvider", "Who decides with action CUSTOM.");

/* --- the policy --- */

static const struct cox_field authorization_policy_fields[] = {
	TARGET_FIELDS(authorization_policy),
	F(authorization_policy, rules, "rules", MSG, "The policy holds for a request when one of these does.", LIST, SUB(authz_rule),
	  .max_items = 512),
	F(authorization_policy, action, "action", ENUM, "What happens with requests for which it holds; ALLOW by default.",
	  ENUM("ALLOW", "DENY", "AUDIT", "CUSTOM")),
	F(authorization_policy, provider, "provider", MSG, "Who decides with action CUSTOM.", SUB(authz_provider)),
};

/* An external authorizer is asked only for what the proxy can tell from the connection and the request alone. */
static void custom_source_check(const struct cox_authz_source *s, const char *path, size_t rule, size_t from, struct cox_diags *d)
{
	const struct {
		size_t n;
		const char *name;
	} lists[] = { { s->principals.n, "principals" },
		      { s->not_principals.n, "notPrincipals" },
		      { s->request_principals.n, "requestPrincipals" },
		      { s->not_request_principals.n, "notRequestPrincipals" },
		      { s->namespaces.n, "namespaces" },
		      { s->not_namespaces.n, "notNamespaces" },
		      { s->service_accounts.n, "serviceAccounts" },
		      { s->not_service_accounts.n, "notServiceAccounts" },
		      { s->trust_domains.n, "trustDomains" },
		      { s->not_trust_domains.n, "notTrustDomains" } };
	for (size_t i = 0; i < COX_LEN(lists); i++)
		if (lists[i].n)
			cox_diag_add(d, COX_SEV_ERROR, 0, path, "rules[%zu].from[%zu].source.%s cannot be used with action CUSTOM", rule,
			             from, lists[i].name);
}

static bool is_identity(struct cox_str key)
{
	switch (cox_authz_attribute_find(key)) {
	case COX_AUTHZ_SOURCE_NAMESPACE:
	case COX_AUTHZ_SOURCE_SERVICE_ACCOUNT:
	case COX_AUTHZ_SOURCE_TRUST_DOMAIN:
	case COX_AUTHZ_SOURCE_PRINCIPAL: return true;
	default: return cox_str_has_prefix(key, COX_STR("request.auth."));
	}
}

static void custom_check(const struct cox_authorization_policy *v, const char *path, struct cox_diags *d)
{
	if (!v->rules.n)
		cox_diag_add(d, COX_SEV_ERROR, 0, path, "action CUSTOM without rules never holds; write \"rules: [{}]\" for every request");
	else if (!v->provider || !v->provider->name.n)
		cox_diag_add(d, COX_SEV_ERROR, 0, path, "action CUSTOM needs provider.name");
	for (size_t i = 0; i < v->rules.n; i++) {
		const struct cox_authz_rule *r = &v->rules.p[i];
		for (size_t k = 0; k < r->from.n; k++)
			if (r->from.p[k].source)
				custom_source_check(r->from.p[k].source, path, i, k, d);
		for (size_t k = 0; k < r->when.n; k++)
			if (is_identity(r->when.p[k].key))
				cox_diag_add(d, COX_SEV_ERROR, 0, path, "rules[%zu].when[%zu].key: %.*s cannot be used with action CUSTOM",
				             i, k, COX_FMT(r->when.p[k].key));
	}
}

/* A DENY rule with HTTP attributes alone holds for every TCP connection, where they cannot be looked at. */
static bool denies_all_tcp(const struct cox_authz_rule *r)
{
	bool tcp_from = false, tcp_to = false;
	for (COX_EACH(struct cox_authz_from, f, r->from)) {
		const struct cox_authz_source *s = f->source;
		tcp_from |= s && (s->principals.n || s->not_principals.n || s->namespaces.n || s->not_namespaces.n || s->ip_blocks.n ||
		                  s->not_ip_blocks.n || s->remote_ip_blocks.n || s->not_remote_ip_blocks.n || s->service_accounts.n ||
		                  s->not_service_accounts.n);
	}
	for (COX_EACH(struct cox_authz_to, t, r->to))
		tcp_to |= t->operation && (t->operation->ports.n || t->operation->not_ports.n);
	return r->to.n ? !tcp_to : r->from.n && !tcp_from;
}

static void authorization_policy_check(const void *value, const char *path, struct cox_diags *d)
{
	const struct cox_authorization_policy *v = value;
	cox_model_target_check(&v->target, path, d);
	if (v->action == COX_AUTHZ_CUSTOM)
		custom_check(v, path, d);
	else if (v->provider)
		cox_diag_add(d, COX_SEV_ERROR, 0, path, "provider may be set only with action CUSTOM");
	if (v->action == COX_AUTHZ_DENY && !v->rules.n)
		cox_diag_add(d, COX_SEV_ERROR, 0, path,
		             "action DENY without rules never holds; write \"rules: [{}]\" to deny every request");
	for (size_t i = 0; v->action == COX_AUTHZ_DENY && i < v->rules.n; i++)
		if (denies_all_tcp(&v->rules.p[i]))
			cox_diag_add(
			    d, COX_SEV_WARNING, 0, path,
			    "rules[%zu] has HTTP attributes only: with action DENY it denies every connection to TCP ports; name the "
			    "HTTP ports in \"to\"",
			    i);
}
static MESSAGE(authorization_policy, "AuthorizationPolicySpec", "Who may do what.", .check = authorization_policy_check,
               RULES(TARGET_RULE));

static const struct cox_field authorization_policy_object_fields[] = {
	F(authorization_policy_object, spec, "spec", MSG, "Who may do what.", SUB(authorization_policy)),
};
static void authorization_policy_object_check(const void *value, const char *path, struct cox_diags *d)
{
	(void)value, (void)path;
	/* Goes when policies become RBAC filters. Until then whoever relies on one must know. */
	cox_diag_add(d, COX_SEV_WARNING, 0, "spec",
	             "NOT ENFORCED: this release checks AuthorizationPolicies but gives none to proxies; no request is allowed, denied or "
	             "audited because of this object");
}
OBJECT(authorization_policy, authorization_policy_object, "AuthorizationPolicy",
       "Who may do what with workloads of the mesh, a namespace, or chosen ones.", .open = true,
       .check = authorization_policy_object_check);
