/*
 * authn - who is calling: authenticators tried in order, for xDS and CSR alike (protocol facts, section 8).
 *   client certificate  (verified against the roots of the mesh)
 *   OIDC JWT            (JWT_RULE: issuer, audiences, JWKS; cjose)
 *   TokenReview         (kube-apiserver; audience istio-ca; answers are cached for a short time and rate-limited)
 *   XFCC                (x-forwarded-client-cert from a peer in TRUSTED_GATEWAY_CIDR or on loopback)
 * Thread: open, close and update on the config loop; cox_authn_check() from any loop, answered on that loop.
 */
#ifndef COX_CA_AUTHN_H
#define COX_CA_AUTHN_H

#include "ca/authority.h"
#include "kube/client.h"
#include "net/grpc_server.h"
#include "net/http_client.h"
#include "net/tls.h"

struct cox_authn;

enum cox_authn_how { COX_AUTHN_NONE, COX_AUTHN_CERT, COX_AUTHN_JWT, COX_AUTHN_TOKEN_REVIEW, COX_AUTHN_XFCC };
const char *cox_authn_how_name(enum cox_authn_how how);

/* Who called. Immutable, shared. */
struct cox_identity {
	struct cox_ref ref;
	enum cox_authn_how how;
	const struct cox_str *uris; /* SPIFFE; at least one */
	size_t uri_n;
	struct cox_str node_name, pod_name, pod_uid; /* of a token's pod claims; empty: none */
	struct cox_str cert_serial;                  /* of a client certificate: revocation is checked on it */
	                                             /* All text is in this one block: an identity lives as long as its stream. */
};
const struct cox_identity *cox_identity_ref(const struct cox_identity *i);
void cox_identity_unref(const struct cox_identity *i);

struct cox_authn_spec {
	struct cox_loop *loop;        /* the config loop */
	struct cox_kube_client *kube; /* borrowed; NULL: no TokenReview */
	struct cox_str audiences;     /* TOKEN_AUDIENCES, comma-separated; empty: istio-ca */
	struct cox_str trust_domain, cluster_id;
	struct cox_str jwt_rule;              /* JSON as Istio's JWT_RULE; empty: none */
	struct cox_str trusted_gateway_cidrs; /* comma-separated */
	unsigned reviews_per_s;               /* TokenReviews; 0: 50 */
};
/* Copies the text of `spec`. COX_EINVAL: JWT_RULE, an address range or the trust domain is not understood. */
COX_MUST_USE enum cox_rc cox_authn_open(const struct cox_authn_spec *spec, struct cox_authn **out, struct cox_err *err);
/* Those who wait are answered COX_ECANCELED. Accepts NULL. */
void cox_authn_close(struct cox_authn **a);
/* The mesh configuration: our trust domain (one that cannot be one is not taken), and those whose certificates count as ours
 * (trustDomainAliases); copies. Identities keep the trust domain they came with. */
void cox_authn_set_trust(struct cox_authn *a, struct cox_str trust_domain, const struct cox_str *aliases, size_t n);
/* Borrowed until the next cox_authn_set_trust(). */
struct cox_str cox_authn_trust_domain(const struct cox_authn *a);

/* What a caller brought. All borrowed until return. */
struct cox_credentials {
	const struct cox_tls_peer *peer; /* NULL: clear text */
	struct cox_str authorization;    /* the header's value */
	struct cox_str cluster_id;       /* metadata "clusterid" */
	const struct cox_str *xfcc;      /* header lines */
	size_t xfcc_n;
	const char *peer_address;
	bool peer_is_loopback;
};
/* done() comes on `loop`, once, never from inside. COX_OK: `who` is borrowed. COX_EAUTH: every authenticator's reason in err->text.
 * COX_EAGAIN: who could have said yes (kube-apiserver, key set) cannot be asked now. `ticket` stays where it is until done() or cancel, and
 * is NULL in done(). Any thread, but all of one ticket on `loop`; after canceling all of a loop's tickets that loop may end. */
struct cox_authn_ticket;
void cox_authn_check(struct cox_authn *a, struct cox_loop *loop, const struct cox_credentials *c,
                     void (*done)(void *ctx, enum cox_rc rc, const struct cox_identity *who, const struct cox_err *err), void *ctx,
                     struct cox_authn_ticket **ticket);
/* The same for what the caller of a gRPC stream brought, answered on the stream's loop. */
void cox_authn_check_stream(struct cox_authn *a, struct cox_grpc_stream *s,
                            void (*done)(void *ctx, enum cox_rc rc, const struct cox_identity *who, const struct cox_err *err), void *ctx,
                            struct cox_authn_ticket **ticket);
void cox_authn_cancel(struct cox_authn_ticket **ticket);

#endif
