/*
 * tables_priv - how the field tables of this module are written, and the messages that several files share.
 */
#ifndef COX_MODEL_TABLES_PRIV_H
#define COX_MODEL_TABLES_PRIV_H

#include "model/object.h"

/* One row: F(struct without cox_, member, "name", TYPE, "doc", further members of struct cox_field) */
#define F(of, member, json, ftype, text, ...)                                                                              \
	{                                                                                                                  \
		.name = json, .type = COX_F_##ftype, .offset = offsetof(struct cox_##of, member), .doc = text, __VA_ARGS__ \
	}
#define LIST .flags = COX_F_LIST
#define REQUIRED .flags = COX_F_REQUIRED
#define SUB(id) .sub = &cox_msg_##id
/* Non-negative numbers; the upper end is that of the 32 bits Envoy has for them. */
#define NATURAL .min = 0, .max = 4294967295.0
#define POSITIVE .min = 1, .max = 4294967295.0
#define PERCENT .min = 0, .max = 100
/* Durations, in seconds. */
#define NOT_NEGATIVE .min = 0, .max = 9e9
#define FROM_1MS .min = 0.001, .max = 9e9
/* Rules in CEL, for fields and messages: RULES({ "rule", "text" }, ...). */
#define CEL_RULES(...)                      \
	(const struct cox_cel_rule[])       \
	{                                   \
		__VA_ARGS__, { NULL, NULL } \
	}
#define RULES(...) .rules = CEL_RULES(__VA_ARGS__)
#define ITEM_RULES(...) .item_rules = CEL_RULES(__VA_ARGS__)
#define ENUM(...) \
	.enums = (const char *const[]) { __VA_ARGS__, NULL }
/* Of WorkloadEntries and their likes. */
#define UNIX_RULE RULES({ "!self.startsWith('unix://') || self.matches('^unix://[/@].*[^/]$')", "a socket is unix:///path, not a folder" })
#define PORT_NAMES_RULE                                                                                        \
	RULES({ "self.all(name, size(name) < 63 && name.matches('^[a-zA-Z0-9]([-a-zA-Z0-9]*[a-zA-Z0-9])?$'))", \
	        "a port's name has at most 62 letters, digits and '-'" })
#define UNIX_PORTS_RULE                                                                                                       \
	{                                                                                                                     \
		"!has(self.ports) || !has(self.address) || !self.address.startsWith('unix://')", "a unix socket has no ports" \
	}
/* The table `<id>_fields` as a message over struct cox_<id>. */
#define MESSAGE(id, label, text, ...)                                                    \
	const struct cox_message cox_msg_##id = { .name = label,                         \
		                                  .size_bytes = sizeof(struct cox_##id), \
		                                  .fields = id##_fields,                 \
		                                  .field_count = COX_LEN(id##_fields),   \
		                                  .doc = text,                           \
		                                  __VA_ARGS__ }
/* The whole object of a kind: { spec, status }. */
#define OBJECT(id, of, label, text, ...)                                                   \
	const struct cox_message cox_model_##id = { .name = label,                         \
		                                    .size_bytes = sizeof(struct cox_##of), \
		                                    .fields = of##_fields,                 \
		                                    .field_count = COX_LEN(of##_fields),   \
		                                    .doc = text,                           \
		                                    __VA_ARGS__ }

#define X(id, kind, group, plural, versions, namespaced, ours, message) extern const struct cox_message cox_model_##message;
#include "model/kind.def"
#undef X

extern const struct cox_message cox_msg_string_match, cox_msg_string_match_entry, cox_msg_port_selector, cox_msg_destination,
    cox_msg_percent, cox_msg_workload_selector, cox_msg_match_labels, cox_msg_port, cox_msg_tcp_keepalive, cox_msg_locality_lb,
    cox_msg_locality_failover, cox_msg_client_tls, cox_msg_retry, cox_msg_connection_pool, cox_msg_traffic_policy, cox_msg_server_tls,
    cox_msg_workload_entry, cox_msg_outbound_policy, cox_msg_label_selector, cox_msg_gwapi_ref, cox_msg_zone_aware_lb;

struct cox_any_strs {
	const struct cox_str *p;
	size_t n;
};
/* Whether the text stands in one of the first `before` items. */
bool cox_model_strs_has(const struct cox_str *p, size_t before, struct cox_str s);
/* "*" and "~" stand alone, nothing stands twice. `may_be_none`: "~" is allowed, as for ServiceEntries. */
void cox_model_export_check(const struct cox_str *p, size_t n, bool may_be_none, const char *path, struct cox_diags *d);
/* HTTP, HTTPS, GRPC, HTTP2, TCP, TLS, ...: the protocols of a port, in any case of letters. */
bool cox_model_protocol_is_known(struct cox_str s);
bool cox_model_protocol_is_http(struct cox_str s);
bool cox_model_protocol_is_tls(struct cox_str s);
/* Whether a host pattern starts with '*'. */
static inline bool cox_model_host_is_wild(struct cox_str s) { return s.n && s.p[0] == '*'; }

#endif
