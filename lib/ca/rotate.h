/*
 * rotate - the phases of a rotation: which key signs, what is trusted, what comes next. Pure: time is passed in.
 * The keeper holds the state; it has private keys in it.
 *
 *   STEADY --start--> DISTRIBUTE --advance--> SIGN --advance--> RETIRE --advance--> STEADY
 *      ^  trust: current  |  + next             |  + previous      |  current
 *      |  signs: current  |  current (the old)  |  current = next  |
 *      +-----withdraw-----+                     +--- where the previous one's roots stay trusted: straight to STEADY
 */
#ifndef COX_CA_ROTATE_H
#define COX_CA_ROTATE_H

#include "ca/authority.h"

/* A CA certificate with its key and what belongs to it. An empty one has no `cert_pem`. */
struct cox_ca_key {
	struct cox_buf cert_pem; /* that signs leaves */
	struct cox_buf key_pem;
	struct cox_buf chain_pem; /* what follows a leaf: this certificate and those above it without the root; empty when self-signed */
	struct cox_buf roots_pem; /* to trust with it */
};
static inline bool cox_ca_key_is_set(const struct cox_ca_key *k) { return k->cert_pem.n > 0; }
/* Wipes the private key. */
void cox_ca_key_fini(struct cox_ca_key *k);
void cox_ca_key_copy(const struct cox_ca_key *from, struct cox_ca_key *to);
bool cox_ca_key_eq(const struct cox_ca_key *a, const struct cox_ca_key *b);
/* Checks a set as an operator gives it: the certificate is a CA's and valid now, the key is its key, the chain leads to one of the roots.
 * Takes nothing; the first certificate of `cert` is the CA, what follows it there or in `chain` are those above. COX_EINVAL with one
 * message. */
COX_MUST_USE enum cox_rc cox_ca_key_build(struct cox_str cert, struct cox_str key, struct cox_str chain, struct cox_str roots,
                                          int64_t now_s, struct cox_ca_key *out, struct cox_err *err);

enum { COX_CA_RETIRED_MAX = 4 };
struct cox_ca_state {
	enum cox_ca_phase phase;
	int64_t since_s;    /* of the phase */
	bool is_plugged_in; /* `current` came from an operator */
	struct cox_ca_key current, next, previous;
	/* Whose roots are still trusted and whose leaves may live: they sign CRLs until then. */
	struct {
		struct cox_ca_key key;
		int64_t until_s;
	} retired[COX_CA_RETIRED_MAX];
	size_t retired_n;
};
void cox_ca_state_fini(struct cox_ca_state *s);
void cox_ca_state_copy(const struct cox_ca_state *from, struct cox_ca_state *to);

/* Begins with `next`. COX_EAGAIN: a rotation is in progress. */
COX_MUST_USE enum cox_rc cox_rotate_start_take(struct cox_ca_state *s, struct cox_ca_key *next, int64_t now_s, struct cox_err *err);
/* On to the next phase. Old issuers whose roots stay trusted are kept for `keep_s`: the longest life of a leaf. False: it is STEADY. */
bool cox_rotate_advance(struct cox_ca_state *s, int64_t now_s, int64_t keep_s);

enum cox_rotate_offer {
	COX_OFFER_SAME,     /* nothing changed */
	COX_OFFER_REPLACED, /* in force at once: other roots, or another certificate of the same key */
	COX_OFFER_STARTED,  /* a rotation began, or begins again with this one */
	COX_OFFER_BUSY,     /* the new one of a rotation signs already: offer it again when it is STEADY */
};
/* An operator's set as it is now. Copies. */
enum cox_rotate_offer cox_rotate_offer(struct cox_ca_state *s, const struct cox_ca_key *set, int64_t now_s);
/* Forgets retired issuers. True: there was one. */
bool cox_rotate_expire(struct cox_ca_state *s, int64_t now_s);

/* What is to be trusted, each certificate once; in `arena`. */
COX_MUST_USE enum cox_rc cox_rotate_trust(const struct cox_ca_state *s, struct cox_arena *arena, struct cox_str **out, size_t *n,
                                          struct cox_err *err);
/* Is so little of this certificate's life left that it is renewed? */
bool cox_rotate_is_renewal_due(const struct cox_cert_info *cert, double grace, int64_t now_s);

#endif
