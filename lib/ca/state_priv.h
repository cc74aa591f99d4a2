/*
 * state - a keeper's state as named texts: the data of a Secret, or the files of a directory. Pure.
 *
 * A STEADY state without retired issuers is exactly what istiod writes (istio-ca-secret): ca-cert.pem, ca-key.pem, cert-chain.pem, key.pem
 * (empty), root-cert.pem. What else there is has names of ours (coxswain-*), which istiod neither reads nor removes.
 */
#ifndef COX_CA_STATE_PRIV_H
#define COX_CA_STATE_PRIV_H

#include "base/vec.h"
#include "ca/rotate.h"

struct cox_ca_entry {
	char name[64];
	struct cox_buf value;
};
struct cox_ca_entries {
	struct cox_ca_entry *p;
	size_t n, cap;
};
/* Wipes the values. */
void cox_ca_entries_fini_(struct cox_ca_entries *e);
/* Adds an empty one. */
struct cox_buf *cox_ca_entries_add_(struct cox_ca_entries *e, const char *name);
/* Empty when absent. */
struct cox_str cox_ca_entries_get_(const struct cox_ca_entries *e, const char *name);

/* --- replicas that share the state: who has seen the phase, and for whom everybody has followed it */
enum { COX_CA_FOLLOWERS_MAX = 64, COX_CA_FOLLOWER_FRESH_S = 120 };
struct cox_ca_follower {
	char name[128];
	enum cox_ca_phase phase;
	int64_t since_s, seen_s; /* of the phase that it saw; when it said so last */
	bool is_done;
};
struct cox_ca_followers {
	struct cox_ca_follower items[COX_CA_FOLLOWERS_MAX];
	size_t n;
};
/* Says for `name` that it sees the phase of `s`, and whether it is done with it. True: that is news (or so old that it must be said again).
 */
bool cox_ca_followers_note_(struct cox_ca_followers *f, const struct cox_ca_state *s, const char *name, bool is_done, int64_t now_s);
/* Has everybody who was heard of lately done what the phase asks? */
bool cox_ca_followers_are_done_(const struct cox_ca_followers *f, const struct cox_ca_state *s, int64_t now_s);

/* Appends. */
COX_MUST_USE enum cox_rc cox_ca_state_write_(const struct cox_ca_state *s, const struct cox_ca_followers *f, struct cox_ca_entries *out,
                                             struct cox_err *err);
/* COX_EINVAL with a message that names the entry. Keys that expired are taken: what to do about that is the keeper's matter. */
COX_MUST_USE enum cox_rc cox_ca_state_read_(const struct cox_ca_entries *e, struct cox_ca_state *out, struct cox_ca_followers *f,
                                            struct cox_err *err);
/* A set of an operator (cacerts): ca-cert.pem, ca-key.pem, cert-chain.pem, root-cert.pem, ca-crl.pem, or tls.crt, tls.key, ca.crt (c4).
 * COX_ENOTFOUND: there is no key in it. `crl` gets the CRLs as they are. */
COX_MUST_USE enum cox_rc cox_ca_set_read_(const struct cox_ca_entries *e, int64_t now_s, struct cox_ca_key *out, struct cox_buf *crl,
                                          struct cox_err *err);

#endif
