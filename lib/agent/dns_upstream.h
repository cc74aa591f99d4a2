/*
 * dns_upstream - asks the pod's name servers, through c-ares: time-outs, the next server, TCP after a truncated answer.
 * Thread: everything on the loop. Owns: a c-ares channel and its sockets.
 */
#ifndef COX_AGENT_DNS_UPSTREAM_H
#define COX_AGENT_DNS_UPSTREAM_H

#include "agent/dns_wire.h"
#include "loop/loop.h"

struct cox_dns_upstream;

struct cox_dns_upstream_spec {
	const char *servers; /* "10.96.0.10:53,[fd00::a]:53": copied; empty: none, every question is refused */
	int64_t timeout_ms;  /* of the first try; each round over the servers doubles it */
	int tries;           /* rounds */
};

/* `answer` is the server's message with the id of the question asked, borrowed; empty: nobody answered, and `code` says what to tell. */
typedef void cox_dns_upstream_fn(void *ctx, struct cox_str answer, enum cox_dns_rcode code);

COX_MUST_USE enum cox_rc cox_dns_upstream_open(struct cox_loop *loop, const struct cox_dns_upstream_spec *spec,
                                               struct cox_dns_upstream **out, struct cox_err *err);
/* `query` is a message whose id is unique among the open ones. `fn` is called once, perhaps inside ask. */
void cox_dns_upstream_ask(struct cox_dns_upstream *u, struct cox_str query, cox_dns_upstream_fn *fn, void *ctx);
/* Open questions get their callback (SERVFAIL) inside this. Accepts NULL. */
void cox_dns_upstream_close(struct cox_dns_upstream **u);

#endif
