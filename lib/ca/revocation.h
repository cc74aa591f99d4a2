/*
 * revocation - which certificates were issued, which of them are revoked, and who gets no new ones.
 * The list survives restarts and is shared by replicas: ConfigMaps `coxswain-issued-*` (each replica writes its own, one an hour, in
 * batches; expired ones are removed by the leader) and `coxswain-revoked`; in the state directory where there is no kube-apiserver. Thread:
 * everything on the config loop, except what says "any thread".
 */
#ifndef COX_CA_REVOCATION_H
#define COX_CA_REVOCATION_H

#include "ca/authority.h"
#include "codec/json.h"
#include "kube/client.h"

enum { COX_LEDGER_REASON_BYTES_MAX = 200, COX_LEDGER_URI_BYTES_MAX = 2048 };

#define COX_LEDGER_DIR "ledger" /* within the CA's state directory */

struct cox_ledger;

struct cox_ledger_spec {
	struct cox_loop *loop;
	struct cox_kube_client *kube; /* borrowed; NULL: state_dir, or memory only where that is NULL too */
	struct cox_str ns, replica;
	const char *state_dir;
	/* What is revoked and has not expired, whenever that changes and once when the list is complete; for cox_ca_set_revoked(). */
	void (*on_revoked)(void *ctx, const struct cox_ca_revoked *items, size_t n);
	/* Once: all that was stored is known, or cannot be (then identities are checked against what becomes known). May be NULL. */
	void (*on_ready)(void *ctx, enum cox_rc rc);
	/* An identity, namespace or serial was revoked, here or by another replica: who holds connections looks again. May be NULL. */
	void (*on_blocked)(void *ctx);
	/* Somebody asked for a rotation of the root (`coxctl cert rotate-root`); the leader starts it and calls cox_ledger_rotate_taken().
	 * May be NULL. */
	void (*on_rotate)(void *ctx);
	void *ctx;
};
COX_MUST_USE enum cox_rc cox_ledger_open(const struct cox_ledger_spec *spec, struct cox_ledger **out, struct cox_err *err);
/* Writes what is not written yet, then calls closed(ctx). */
void cox_ledger_close(struct cox_ledger **l, void (*closed)(void *ctx), void *ctx);

/* Any thread: one certificate was issued. Text is copied. */
void cox_ledger_add(struct cox_ledger *l, struct cox_str serial, struct cox_str uri, int64_t not_after_s, struct cox_str issuer_key_id);
/* Any thread: may this identity get a certificate, may this serial still be used? COX_EDENIED with the reason. */
COX_MUST_USE enum cox_rc cox_ledger_check(struct cox_ledger *l, struct cox_str uri, struct cox_str serial, struct cox_err *err);

struct cox_revoke {
	struct cox_str serial, identity, ns; /* exactly one; identity: SPIFFE URI */
	bool is_undone;                      /* take it back (for an identity or namespace: renewal is allowed again) */
	struct cox_str reason;
};
/* done() on the loop when it is stored: *n certificates are revoked by it. */
void cox_ledger_revoke(struct cox_ledger *l, const struct cox_revoke *r,
                       void (*done)(void *ctx, enum cox_rc rc, size_t n, const struct cox_err *err), void *ctx);
/* The last end of a certificate that is not by this issuer, is not revoked and has not expired; 0: there is none. */
int64_t cox_ledger_last_by_others(const struct cox_ledger *l, struct cox_str issuer_key_id);

/* --- a rotation that somebody asks for ------------------------------------------------------------ */

/* Asks for one. done() when it is stored. */
void cox_ledger_rotate_ask(struct cox_ledger *l, void (*done)(void *ctx, enum cox_rc rc, const struct cox_err *err), void *ctx);
void cox_ledger_rotate_taken(struct cox_ledger *l);
/* For /debug/certz and `coxctl cert list`: [{serial, identity, notAfter, issuer, revoked}], those that have not expired. */
struct cox_json *cox_ledger_dump(struct cox_ledger *l, struct cox_arena *arena);

#endif
