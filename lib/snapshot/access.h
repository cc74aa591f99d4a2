/*
 * access - which workloads may be called by whom: SMI TrafficTargets with the groups and routes that they refer to, by the service account
 * that they protect. Plain values for translate/rbac; nothing of SMI's own forms is left in them. Immutable, shared over generations.
 */
#ifndef COX_SNAPSHOT_ACCESS_H
#define COX_SNAPSHOT_ACCESS_H

#include "snapshot/snapshot.h"

struct cox_access_account {
	struct cox_str ns, name;
};
struct cox_access_http { /* a kind of request; empty members: any */
	struct cox_str path_regex;
	COX_LIST(struct cox_str) methods;
	COX_LIST(struct cox_kv) headers; /* name and regular expression */
};
/* These accounts may send these requests, and open connections to these ports. */
struct cox_access_rule {
	const struct cox_object *object; /* the TrafficTarget */
	uint16_t port;                   /* 0: every one */
	COX_LIST(struct cox_access_account) sources;
	COX_LIST(struct cox_access_http) http;
	COX_LIST(uint16_t) tcp_ports;
	bool is_any_tcp; /* connections to every port */
};
/* Whoever is protected takes nothing but what some rule allows; without rules nothing at all. */
struct cox_access_set {
	COX_LIST(struct cox_access_rule) rules;
	struct cox_hash hash;
};
/* What protects the workloads of a service account; NULL: nothing does. */
const struct cox_access_set *cox_snapshot_access_find(const struct cox_snapshot *s, struct cox_str ns, struct cox_str account);

#endif
