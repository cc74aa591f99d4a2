#include "model/common.h"
#include "model/tables_priv.h"

#include <stdio.h>

bool cox_model_strs_has(const struct cox_str *p, size_t before, struct cox_str s)
{
	for (size_t i = 0; i < before; i++)
		if (cox_str_eq(p[i], s))
			return true;
	return false;
}

void cox_model_export_check(const struct cox_str *p, size_t n, bool may_be_none, const char *path, struct cox_diags *d)
{
	for (size_t i = 0; i < n; i++) {
		bool is_none = cox_str_eq_cstr(p[i], "~");
		if (cox_model_strs_has(p, i, p[i]))
			cox_diag_add(d, COX_SEV_ERROR, 0, path, "exportTo: \"%.*s\" stands twice", COX_FMT(p[i]));
		if (is_none && !may_be_none)
			cox_diag_add(d, COX_SEV_ERROR, 0, path, "exportTo: \"~\" is for ServiceEntries only");
		if (n > 1 && (is_none || cox_str_eq_cstr(p[i], "*")))
			cox_diag_add(d, COX_SEV_ERROR, 0, path, "exportTo: \"%.*s\" must be the only item", COX_FMT(p[i]));
	}
}

static bool is_one_of(struct cox_str s, const char *const *words)
{
	for (; *words; words++)
		if (cox_str_eq_nocase(s, cox_str_of(*words)))
			return true;
	return false;
}

bool cox_model_protocol_is_http(struct cox_str s)
{
	static const char *const words[] = { "HTTP", "HTTP2", "GRPC", "GRPC-WEB", "HTTP_PROXY", NULL };
	return is_one_of(s, words);
}

bool cox_model_protocol_is_tls(struct cox_str s)
{
	static const char *const words[] = { "HTTPS", "TLS", NULL };
	return is_one_of(s, words);
}

bool cox_model_protocol_is_known(struct cox_str s)
{
	static const char *const words[] = { "TCP", "UDP", "MONGO", "REDIS", "MYSQL", "DOUBLEHBONE", "HBONE", NULL };
	return cox_model_protocol_is_http(s) || cox_model_protocol_is_tls(s) || is_one_of(s, words);
}

static const struct cox_field string_match_fields[] = {
	F(string_match, exact, "exact", OPT_STR, "Equal to this text.", .one_of = 1),
	F(string_match, prefix, "prefix", OPT_STR, "Starts with this text.", .one_of = 1),
	F(string_match, regex, "regex", OPT_STR, "The whole text matches this RE2 expression.", .one_of = 1, .pattern = "regex",
	  .max_len = 4096),
};
MESSAGE(string_match, "StringMatch", "How a text is matched; none set: it is present.");

static const struct cox_field string_match_entry_fields[] = {
	F(string_match_entry, match.exact, "exact", OPT_STR, "Equal to this text.", .one_of = 1),
	F(string_match_entry, match.prefix, "prefix", OPT_STR, "Starts with this text.", .one_of = 1),
	F(string_match_entry, match.regex, "regex", OPT_STR, "The whole text matches this RE2 expression.", .one_of = 1, .pattern = "regex",
	  .max_len = 4096),
};
MESSAGE(string_match_entry, "StringMatch", "How a text is matched; none set: it is present.");

static const struct cox_field port_selector_fields[] = {
	F(port_selector, number, "number", I64, "Number of the port.", .pattern = "port", .min = 1, .max = 65535),
};
MESSAGE(port_selector, "PortSelector", "Names a port of a service.");

static const struct cox_field destination_fields[] = {
	F(destination, host, "host", STR, "The service: its DNS name, or its short name within the namespace of this object.", REQUIRED,
	  .pattern = "destinationHost"),
	F(destination, subset, "subset", STR, "A subset that a DestinationRule of the host declares.", .pattern = "dns1123"),
	F(destination, port, "port", MSG, "Port of the service; needed when it has several.", SUB(port_selector)),
};
MESSAGE(destination, "Destination", "Where traffic is sent.");

static const struct cox_field percent_fields[] = {
	F(percent, value, "value", F64, "From 0 to 100.", PERCENT),
};
MESSAGE(percent, "Percent", "A percentage.");

#define LABEL_RULES                                                                                                               \
	RULES({ "self.all(key, size(key) > 0 && !key.contains('*'))", "a label's key must not be empty, and has no wildcards" }), \
	    ITEM_RULES({ "!self.contains('*')", "a label's value has no wildcards" })
static const struct cox_field workload_selector_fields[] = {
	F(workload_selector, labels, "labels", STR_MAP, "Labels that a workload must have, all of them.", .pattern = "labels",
	  .max_items = 256, .max_len = 63, LABEL_RULES),
};
MESSAGE(workload_selector, "WorkloadSelector", "Chooses workloads of this namespace.");

static const struct cox_field match_labels_fields[] = {
	F(match_labels, match_labels, "matchLabels", STR_MAP, "Labels that a workload must have, all of them.", .pattern = "labels",
	  .max_items = 4096, .max_len = 63, LABEL_RULES),
};
MESSAGE(match_labels, "WorkloadSelector", "Chooses workloads of this namespace.");

static const struct cox_field port_fields[] = {
	F(port, number, "number", I64, "Number of the port.", REQUIRED, .pattern = "port", .min = 1, .max = 65535),
	F(port, protocol, "protocol", STR, "What is spoken on it: HTTP, HTTPS, GRPC, GRPC-WEB, HTTP2, MONGO, TCP or TLS.", .max_len = 256),
	F(port, name, "name", STR, "Its name, unique within the object.", .max_len = 256),
	F(port, target_port, "targetPort", I64, "The port of the endpoints, where it differs.", .pattern = "port", .min = 1, .max = 65535),
};
static void port_check(const void *value, const char *path, struct cox_diags *d)
{
	const struct cox_port *p = value;
	if (p->protocol.n && !cox_model_protocol_is_known(p->protocol))
		cox_diag_add(d, COX_SEV_ERROR, 0, path,
		             "the protocol \"%.*s\" is not known; use HTTP, HTTPS, GRPC, GRPC-WEB, HTTP2, MONGO, TCP or TLS",
		             COX_FMT(p->protocol));
}
MESSAGE(port, "Port", "A port of a gateway, service entry or sidecar.", .check = port_check);

static const struct cox_field tcp_keepalive_fields[] = {
	F(tcp_keepalive, probes, "probes", I64, "Unanswered probes after which a connection is dead.", NATURAL),
	F(tcp_keepalive, time_ns, "time", DURATION, "Idle time before the first probe.", FROM_1MS),
	F(tcp_keepalive, interval_ns, "interval", DURATION, "Time between probes.", FROM_1MS),
};
MESSAGE(tcp_keepalive, "TcpKeepalive", "TCP keepalive of upstream connections.");

static const struct cox_field locality_distribute_fields[] = {
	F(locality_distribute, from, "from", STR, "Locality of the client: region/zone/subzone, '*' for any last part.", REQUIRED),
	F(locality_distribute, to, "to", I64_MAP, "Percentages by locality of the endpoints; their sum is 100.", PERCENT),
};
static void distribute_check(const void *value, const char *path, struct cox_diags *d)
{
	const struct cox_locality_distribute *v = value;
	int64_t sum = 0;
	for (COX_EACH(struct cox_locality_weight, to, v->to)) {
		sum += to->weight;
		if (to->weight == 0)
			cox_diag_add(d, COX_SEV_ERROR, 0, path, "the weight of %.*s must be from 1 to 100", COX_FMT(to->key));
	}
	if (v->to.n && sum != 100)
		cox_diag_add(d, COX_SEV_ERROR, 0, path, "the weights must add up to 100, not %lld", (long long)sum);
}
static MESSAGE(locality_distribute, "Distribute", "How traffic from one locality is spread.", .check = distribute_check);

static const struct cox_field locality_failover_fields[] = {
	F(locality_failover, from, "from", STR, "A region.", REQUIRED),
	F(locality_failover, to, "to", STR, "The region that takes over.", REQUIRED),
};
static void failover_check(const void *value, const char *path, struct cox_diags *d)
{
	const struct cox_locality_failover *v = value;
	if (v->from.n && cox_str_eq(v->from, v->to))
		cox_diag_add(d, COX_SEV_ERROR, 0, path, "a region cannot take over from itself (%.*s)", COX_FMT(v->from));
	if (cox_str_find(v->from, '/') >= 0 || cox_str_find(v->to, '/') >= 0 || cox_str_find(v->from, '*') >= 0 ||
	    cox_str_find(v->to, '*') >= 0)
		cox_diag_add(d, COX_SEV_ERROR, 0, path, "from and to are regions, without zone and without '*'");
}
MESSAGE(locality_failover, "Failover", "Which region takes over from which.", .check = failover_check);

static const struct cox_field locality_lb_fields[] = {
	F(locality_lb, distribute, "distribute", MSG, "Explicit shares by locality.", LIST, .sub = &cox_msg_locality_distribute),
	F(locality_lb, failover, "failover", MSG, "Regions that take over.", LIST, SUB(locality_failover)),
	F(locality_lb, failover_priority, "failoverPriority", STR, "Labels (key or key=value) in whose order endpoints are preferred.",
	  LIST),
	F(locality_lb, enabled, "enabled", OPT_BOOL, "Switches locality load balancing on or off, whatever the mesh says."),
};
static void locality_check(const void *value, const char *path, struct cox_diags *d)
{
	const struct cox_locality_lb *v = value;
	if (v->distribute.n && (v->failover.n || v->failover_priority.n))
		cox_diag_add(d, COX_SEV_ERROR, 0, path, "distribute excludes failover and failoverPriority");
	for (size_t i = 0; i < v->distribute.n; i++)
		for (size_t k = 0; k < i; k++)
			if (cox_str_eq(v->distribute.p[i].from, v->distribute.p[k].from))
				cox_diag_add(d, COX_SEV_ERROR, 0, path, "distribute has two items from %.*s",
				             COX_FMT(v->distribute.p[i].from));
}
MESSAGE(locality_lb, "LocalityLoadBalancerSetting", "Load balancing by locality.", .check = locality_check);

static const struct cox_field client_tls_fields[] = {
	F(client_tls, mode, "mode", ENUM, "Whether and how connections to the host use TLS.",
	  ENUM("DISABLE", "SIMPLE", "MUTUAL", "ISTIO_MUTUAL")),
	F(client_tls, client_certificate, "clientCertificate", STR, "File with the client's certificate (mode MUTUAL)."),
	F(client_tls, private_key, "privateKey", STR, "File with the client's key (mode MUTUAL)."),
	F(client_tls, ca_certificates, "caCertificates", STR, "File with the authorities that the server is checked against."),
	F(client_tls, credential_name, "credentialName", STR,
	  "Secret with certificate, key and authority; for gateways, or with workloadSelector."),
	F(client_tls, subject_alt_names, "subjectAltNames", STR, "Names of which the server's certificate must have one.", LIST),
	F(client_tls, sni, "sni", STR, "Server name in the TLS handshake."),
	F(client_tls, insecure_skip_verify, "insecureSkipVerify", OPT_BOOL, "Does not check the server's certificate."),
	F(client_tls, ca_crl, "caCrl", STR, "File with a list of revoked certificates."),
};
static void client_tls_check(const void *value, const char *path, struct cox_diags *d)
{
	const struct cox_client_tls *v = value;
	bool files = v->client_certificate.n || v->private_key.n || v->ca_certificates.n;
	if (v->credential_name.n && files)
		cox_diag_add(d, COX_SEV_ERROR, 0, path, "credentialName excludes clientCertificate, privateKey and caCertificates");
	if (v->mode == COX_TLS_MUTUAL && !v->credential_name.n && (!v->client_certificate.n || !v->private_key.n))
		cox_diag_add(d, COX_SEV_ERROR, 0, path, "mode MUTUAL needs credentialName, or clientCertificate and privateKey");
	if (v->mode == COX_TLS_ISTIO_MUTUAL && (files || v->credential_name.n))
		cox_diag_add(d, COX_SEV_ERROR, 0, path, "mode ISTIO_MUTUAL uses the mesh's own certificates; no others may be named");
	if (v->insecure_skip_verify.v && v->insecure_skip_verify.set && v->ca_certificates.n)
		cox_diag_add(d, COX_SEV_ERROR, 0, path, "insecureSkipVerify excludes caCertificates");
}
MESSAGE(client_tls, "ClientTLSSettings", "TLS of connections to the host.", .check = client_tls_check);

static const struct cox_field retry_fields[] = {
	F(retry, attempts, "attempts", I64, "How often a failed request is tried again; 0 never.", .min = 0, .max = 2147483647),
	F(retry, per_try_timeout_ns, "perTryTimeout", DURATION, "Time limit of each try.", NOT_NEGATIVE),
	F(retry, retry_on, "retryOn", STR, "What counts as failed: names and status codes, separated by commas."),
	F(retry, retry_remote_localities, "retryRemoteLocalities", OPT_BOOL, "Whether tries may go to other localities."),
	F(retry, retry_ignore_previous_hosts, "retryIgnorePreviousHosts", OPT_BOOL,
	  "Whether a try avoids the hosts that failed already (default: it does)."),
	F(retry, backoff_ns, "backoff", DURATION, "Least time between tries.", NOT_NEGATIVE),
};
static bool is_retry_on(struct cox_str s)
{
	static const char *const words[] = { "5xx",
		                             "gateway-error",
		                             "reset",
		                             "reset-before-request",
		                             "connect-failure",
		                             "envoy-ratelimited",
		                             "retriable-4xx",
		                             "refused-stream",
		                             "retriable-status-codes",
		                             "retriable-headers",
		                             "http3-post-connect-failure",
		                             "cancelled",
		                             "deadline-exceeded",
		                             "internal",
		                             "resource-exhausted",
		                             "unavailable",
		                             NULL };
	uint64_t code = 0;
	return is_one_of(s, words) || (cox_str_to_u64(s, &code) == COX_OK && code >= 100 && code <= 599);
}
static void retry_check(const void *value, const char *path, struct cox_diags *d)
{
	const struct cox_retry *v = value;
	struct cox_str rest = v->retry_on, part;
	while (v->retry_on.n && cox_str_next(&rest, ',', &part)) {
		part = cox_str_trim(part);
		if (!is_retry_on(part))
			cox_diag_add(d, COX_SEV_ERROR, 0, path, "retryOn: \"%.*s\" is neither a retry condition of Envoy nor a status code",
			             COX_FMT(part));
	}
	if (v->attempts.set && v->attempts.v == 0 && (v->retry_on.n || v->per_try_timeout_ns.set || v->retry_remote_localities.set))
		cox_diag_add(d, COX_SEV_ERROR, 0, path, "attempts is 0, which switches retries off; nothing else may be set then");
}
MESSAGE(retry, "HTTPRetry", "How failed requests are tried again.", .check = retry_check);
