/*
 * dns - the pod's DNS proxy (15053, UDP and TCP): answers for the hosts of the mesh from the name table, and asks the pod's own name
 * servers for the rest. Thread: everything on the loop; nothing blocks it.
 * Bounds: COX_AGENT_DNS_PENDING_MAX questions to other servers at once (further ones get SERVFAIL), COX_AGENT_DNS_CONNECTIONS_MAX
 * TCP connections (further ones are closed), idle ones end after 10 s.
 */
#ifndef COX_AGENT_DNS_H
#define COX_AGENT_DNS_H

#include "agent/dns_table.h"
#include "agent/resolv.h"
#include "loop/loop.h"

enum {
	COX_AGENT_DNS_PENDING_MAX = 512,
	COX_AGENT_DNS_CONNECTIONS_MAX = 64,
	COX_AGENT_DNS_QUERY_MAX = 4096, /* a question is one name; options are small */
	COX_AGENT_DNS_TTL_S = 30,       /* as Istio's agent has it */
};

struct cox_agent_dns;

/* All text is copied. */
struct cox_agent_dns_spec {
	struct cox_str addresses; /* "127.0.0.1:15053,[::1]:15053"; one that cannot be bound fails, but for IPv6 where there is none */
	struct cox_str ns;        /* the pod's namespace */
	struct cox_str domain;    /* "cluster.local" */
	const struct cox_resolv *resolv; /* the pod's */
	uint16_t server_port;            /* of the name servers; 0: 53 */
};
struct cox_agent_dns_stats {
	uint64_t requests, table_answers, upstream_requests, upstream_failures, malformed, refused /* too many at once */;
	size_t hosts; /* in the table */
};

COX_MUST_USE enum cox_rc cox_agent_dns_open(struct cox_loop *loop, const struct cox_agent_dns_spec *spec, struct cox_agent_dns **out,
                                            struct cox_err *err);
/* Copies the bytes of a NameTable; on failure the last good table stays. Until the first one every question goes to the name servers:
 * a pod that starts while the control plane is away still finds Kubernetes' services. */
COX_MUST_USE enum cox_rc cox_agent_dns_set_table(struct cox_agent_dns *dns, struct cox_str bytes, struct cox_err *err);
/* The table as JSON (cox_dns_table_dump); {"table":{}} before the first. `dns` may be NULL. */
void cox_agent_dns_dump(const struct cox_agent_dns *dns, struct cox_buf *out);
struct cox_agent_dns_stats cox_agent_dns_stats(const struct cox_agent_dns *dns);
/* Accepts NULL. */
void cox_agent_dns_close(struct cox_agent_dns **dns);

#endif
