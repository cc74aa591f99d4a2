/*
 * rbac - Envoy's role based access control from a plain description of who may do what, for HTTP and for TCP chains. It knows nothing of
 * where the rules come from: SMI TrafficTargets now (inbound_access.c), AuthorizationPolicies when they come. Pure.
 */
#ifndef COX_TRANSLATE_RBAC_H
#define COX_TRANSLATE_RBAC_H

#include "base/buf.h"
#include "envoy/api.h"
#include "model/common.h"
#include "translate/translate.h"

/* What a term looks at. Of the peer, and of the request or connection; for TCP only PEER and PORT exist. */
enum cox_rbac_field { COX_RBAC_PEER /* SPIFFE id */, COX_RBAC_HEADER, COX_RBAC_METHOD, COX_RBAC_PATH, COX_RBAC_PORT };
struct cox_rbac_term { /* any of `values` (or of `ports`) */
	enum cox_rbac_field field;
	struct cox_str header; /* HEADER: its name */
	COX_LIST(struct cox_string_match) values;
	COX_LIST(uint16_t) ports;
	bool is_not;
};
struct cox_rbac_all { /* every term; none: always true */
	COX_LIST(struct cox_rbac_term) terms;
};
struct cox_rbac_policy { /* one of `who`, doing one of `what` */
	struct cox_str name;
	COX_LIST(struct cox_rbac_all) who, what;
};
struct cox_rbac {
	bool is_deny; /* else: what no policy allows is denied, and without policies everything */
	COX_LIST(struct cox_rbac_policy) policies;
	struct cox_str stat_prefix; /* TCP: "tcp." */
};
/* A whole HttpFilter, encoded, for cox_hcm.security_filters. */
void cox_rbac_http_encode(struct cox_buf *out, const struct cox_rbac *r);
/* Adds the network filter to a chain. Terms that TCP does not have must not stand in it. */
void cox_rbac_tcp_write(struct pb_listener_v3_FilterChain fc, const struct cox_rbac *r);

#endif
