/*
 * common - messages that several configuration kinds share. Names are those of Istio's API.
 */
#ifndef COX_MODEL_COMMON_H
#define COX_MODEL_COMMON_H

#include "model/object.h"

/* One of exact, prefix, regex (RE2, whole value). None set: presence. `exact` may be empty and set. */
struct cox_string_match {
	struct cox_opt_str exact, prefix, regex;
};
struct cox_string_match_entry {
	struct cox_str key;
	struct cox_string_match match;
}; /* items of a MSG_MAP: `match` stands right behind the key */

struct cox_port_selector {
	struct cox_opt_i64 number;
};
struct cox_destination {
	struct cox_str host, subset;
	const struct cox_port_selector *port;
};
struct cox_percent {
	struct cox_opt_f64 value;
};
struct cox_workload_selector {
	COX_LIST(struct cox_kv) labels;
}; /* networking: labels */
struct cox_match_labels {
	COX_LIST(struct cox_kv) match_labels;
}; /* security, and DestinationRule: matchLabels */
struct cox_port {
	struct cox_opt_i64 number, target_port;
	struct cox_str protocol, name;
};

struct cox_tcp_keepalive {
	struct cox_opt_i64 probes, time_ns, interval_ns;
};
struct cox_locality_weight {
	struct cox_str key;
	int64_t weight;
}; /* map<string, uint32>: table-wise a MSG_MAP whose message is the bare number */
struct cox_locality_distribute {
	struct cox_str from;
	COX_LIST(struct cox_locality_weight) to;
};
struct cox_locality_failover {
	struct cox_str from, to;
};
struct cox_locality_lb {
	COX_LIST(struct cox_locality_distribute) distribute;
	COX_LIST(struct cox_locality_failover) failover;
	COX_LIST(struct cox_str) failover_priority;
	struct cox_opt_bool enabled;
};

enum cox_tls_mode { COX_TLS_DISABLE, COX_TLS_SIMPLE, COX_TLS_MUTUAL, COX_TLS_ISTIO_MUTUAL }; /* client side */
struct cox_client_tls {
	int mode;
	struct cox_str client_certificate, private_key, ca_certificates, credential_name, sni, ca_crl;
	COX_LIST(struct cox_str) subject_alt_names;
	struct cox_opt_bool insecure_skip_verify;
};

struct cox_retry {
	struct cox_opt_i64 attempts;
	struct cox_opt_i64 per_try_timeout_ns, backoff_ns;
	struct cox_str retry_on;
	struct cox_opt_bool retry_remote_localities, retry_ignore_previous_hosts;
};

#endif
