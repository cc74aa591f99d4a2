/* authn_priv - shared by authn.c (tickets, order) and the authenticators. Everything runs on the config loop unless said otherwise. */
#ifndef COX_CA_AUTHN_PRIV_H
#define COX_CA_AUTHN_PRIV_H

#include "base/vec.h"
#include "ca/authn.h"
#include "ca/authn_xfcc.h"
#include "loop/hop.h"
#include "loop/timer.h"

enum {
	AUTHN_WAITING_MAX = 4096, /* callers that wait for one answer from outside; beyond: "try again" */
	AUTHN_TOKEN_BYTES_MAX = 16 * 1024,
};

/* What an authenticator says. WAIT: authn_go_on() comes later. */
enum authn_says { AUTHN_YES, AUTHN_NO, AUTHN_WAIT };

struct cox_authn_ticket {
	struct cox_hop hop;             /* back to the caller's loop */
	struct cox_loop_task task;      /* to the config loop */
	struct cox_authn *a;            /* shared */
	struct cox_authn_ticket **slot; /* the caller's loop only */
	void (*done)(void *ctx, enum cox_rc rc, const struct cox_identity *who, const struct cox_err *err);
	void *ctx;
	/* what the caller brought, copied */
	struct cox_arena arena;
	bool is_tls, is_verified, is_loopback;
	struct cox_str cert_der, token /* without "Bearer " */, cluster_id, peer_address;
	const struct cox_str *uris, *xfcc;
	size_t uri_n, xfcc_n;
	/* where it is */
	unsigned step;
	bool has_refetched;            /* this token has caused one fetch of keys */
	struct cox_authn_ticket *next; /* in the queue of what it waits for */
	/* the answer */
	struct cox_buf reasons;
	bool is_unavailable; /* somebody who could have said yes cannot be asked */
	enum cox_rc rc;
	const struct cox_identity *who;
	struct cox_err err;
};
struct authn_queue {
	struct cox_authn_ticket *first, **last;
	size_t n;
};
void authn_queue_add(struct authn_queue *q, struct cox_authn_ticket *t);
struct cox_authn_ticket *authn_queue_take(struct authn_queue *q);

struct authn_oidc;
struct authn_reviews;
struct cox_authn {
	struct cox_ref ref;         /* the opener, and each ticket that travels */
	struct cox_authn_spec spec; /* text in `arena` */
	struct cox_arena arena;
	bool is_closed;
	const struct cox_str *audiences; /* of tokens */
	size_t audience_n;
	cox_cidrs gateways;
	struct cox_buf trust_domain;
	struct cox_str *aliases; /* heap, each text too */
	size_t alias_n;
	struct authn_oidc *oidc;       /* NULL: no JWT_RULE */
	struct authn_reviews *reviews; /* NULL: no kube-apiserver */
};

/* --- authn.c --- */
/* Adds "<who>: <text>" to what the caller is told; answers AUTHN_NO. */
enum authn_says authn_refuse(struct cox_authn_ticket *t, const char *who, const char *fmt, ...) COX_PRINTF(3, 4);
/* The authenticator that the ticket waited for has an answer: yes with `who` (shares), or no. */
void authn_go_on(struct cox_authn_ticket *t, enum authn_says says, const struct cox_identity *who);
/* An authenticator that is not asked again for this ticket has new facts: asks it once more. */
void authn_again(struct cox_authn_ticket *t);
struct cox_str *authn_split_list(struct cox_str text, struct cox_arena *arena, size_t *n);

/* --- authn_identity.c: any thread --- */
/* A copy of `parts` in one block. Gives. */
const struct cox_identity *authn_identity_make(const struct cox_identity *parts);
/* Keeps in parts->uris those of `uris` that are SPIFFE IDs in our trust domain or an alias. False: none of them is; *reason says why. */
bool authn_identity_set_uris(const struct cox_authn *a, struct cox_identity *parts, const struct cox_str *uris, size_t n,
                             struct cox_arena *arena, struct cox_err *reason);
/* spiffe://<ours>/ns/<ns>/sa/<name>. COX_EINVAL: these are no names of Kubernetes. */
COX_MUST_USE enum cox_rc authn_identity_set_account(const struct cox_authn *a, struct cox_identity *parts, struct cox_str ns,
                                                    struct cox_str name, struct cox_arena *arena, struct cox_err *err);

/* --- the authenticators --- */
enum authn_says authn_try_cert(struct cox_authn_ticket *t);
enum authn_says authn_try_xfcc(struct cox_authn_ticket *t);

COX_MUST_USE enum cox_rc authn_oidc_open(struct cox_authn *a, struct cox_str rule, struct authn_oidc **out, struct cox_err *err);
/* Those who wait go on with "no". */
void authn_oidc_close(struct authn_oidc **o);
enum authn_says authn_try_jwt(struct cox_authn_ticket *t);

struct authn_reviews *authn_reviews_open(struct cox_authn *a);
void authn_reviews_close(struct authn_reviews **r);
enum authn_says authn_try_review(struct cox_authn_ticket *t);

#endif
