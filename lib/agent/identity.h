/*
 * identity - the workload's certificate: a key and a request made here, signed by the CA, renewed in time; or files that somebody else
 * writes. Thread: everything on the loop; keys, requests, files and checks on the pool's threads. Owns: the certificate in force. A renewal
 * that fails never takes it away; it is tried again with growing delays until it works.
 *
 *   PREPARE (worker: token, roots, key, request) -> ASK (the CA) -> CHECK (worker: chain, key) -> in force -> WAIT -> PREPARE ...
 *       \__________________ anything fails: back off, then PREPARE ____________/
 */
#ifndef COX_AGENT_IDENTITY_H
#define COX_AGENT_IDENTITY_H

#include "agent/identity_config.h"
#include "ca/cert.h"
#include "loop/loop.h"
#include "loop/work.h"

/* A certificate with its key. Immutable. */
struct cox_agent_cert {
	struct cox_buf key_pem;   /* wiped when it is freed */
	struct cox_buf chain_pem; /* leaf first */
	struct cox_buf roots_pem; /* that came with it */
	char serial[COX_CERT_SERIAL_HEX_MAX], issuer_key_id[65];
	char uri[256]; /* the first identity in it, for people */
	int64_t not_after_s, obtained_ms;
};

struct cox_agent_identity;
struct cox_agent_identity_spec {
	struct cox_loop *loop;
	struct cox_work_pool *pool;                                    /* borrowed until closed() */
	const struct cox_agent_identity_config *config;                /* borrowed until closed() */
	void (*roots)(void *ctx, struct cox_buf *pem);                 /* appends what the workload trusts now */
	void (*on_cert)(void *ctx, const struct cox_agent_cert *cert); /* another one is in force; borrowed until the next */
	void *ctx;
};
/* Starts to get one at once. */
void cox_agent_identity_open(const struct cox_agent_identity_spec *spec, struct cox_agent_identity **out);
/* No callback but closed(ctx) after this, when no worker is busy with it any more. */
void cox_agent_identity_close(struct cox_agent_identity **i, void (*closed)(void *ctx), void *ctx);

/* The certificate in force, also if it has expired; NULL: none yet. */
const struct cox_agent_cert *cox_agent_identity_cert(const struct cox_agent_identity *i);
/* The same, but NULL when it has expired: what may be shown to a server. */
const struct cox_agent_cert *cox_agent_identity_valid_cert(const struct cox_agent_identity *i);
/* Renews at a random time within `within_ms`, unless that happens anyway. Nothing for files. */
void cox_agent_identity_renew(struct cox_agent_identity *i, int64_t within_ms);

/* When a certificate obtained at `obtained_ms` and good until `not_after_ms` is to be replaced, by wall clock; `dice` from -1 to 1. Pure.
 */
int64_t cox_agent_renewal_ms(int64_t obtained_ms, int64_t not_after_ms, double ratio, double jitter, double dice);

#endif
