/*
 * dns_table - the name table of the control plane as an index over its own bytes, and the rules by which a pod's question finds an
 * entry in it. Immutable; no I/O. A table of 5,000 services costs its bytes and 27 to 54 more for each.
 */
#ifndef COX_AGENT_DNS_TABLE_H
#define COX_AGENT_DNS_TABLE_H

#include "base/buf.h"
#include "base/err.h"

enum { COX_DNS_TABLE_BYTES_MAX = 64 * 1024 * 1024 };

struct cox_dns_table;

/* Where the pod stands: what short names mean to it. Text is borrowed while it is used. */
struct cox_dns_place {
	struct cox_str ns;         /* "default" */
	struct cox_str svc_domain; /* "svc.cluster.local" */
	struct cox_str search;     /* the first search domain of resolv.conf, "default.svc.cluster.local"; may be empty */
};

struct cox_dns_hit {
	struct cox_str info;  /* bytes of the entry: for cox_dns_hit_next(); borrowed from the table */
	struct cox_str alias; /* the name without the search domain, a part of the question; empty: found as it was asked */
};

/* Copies the bytes of a NameTable message. COX_EPROTO, COX_ELIMIT: not taken. */
COX_MUST_USE enum cox_rc cox_dns_table_new(struct cox_str bytes, struct cox_dns_table **out, struct cox_err *err);
void cox_dns_table_free(struct cox_dns_table **t);
size_t cox_dns_table_count(const struct cox_dns_table *t);

/* `name` is lower case without a dot at the end. In this order: the host itself or its short forms (name, name.namespace,
 * name.namespace.svc), the same with the first search domain behind it, then wildcard hosts. */
bool cox_dns_table_find(const struct cox_dns_table *t, const struct cox_dns_place *place, struct cox_str name, struct cox_dns_hit *out);
/* The next address of the family: `bytes` (16) gets it. *at starts as 0. False: no more. */
bool cox_dns_hit_next(const struct cox_dns_hit *hit, size_t *at, bool v6, uint8_t bytes[16]);

/* Appends {"table":{host:{"ips":[],"registry":"","shortname":"","namespace":""}}}, hosts sorted. */
void cox_dns_table_dump(const struct cox_dns_table *t, struct cox_buf *out);

#endif
