/*
 * authority - the certificate authority as the main process sees it: it never holds a CA key (DESIGN decision 14).
 *
 *   main process                     key keeper                          signer
 *   cox_ca_open, cox_ca_sign  <----> reads, makes and rotates keys,      holds keys, no network, seccomp:
 *        |     (bundle, phases)      kube-apiserver or files only  ----> signs leaf certificates and CRLs,
 *        +------------------------- sign this, for this identity ------> enforces trust domain, lifetime, rate, logs each
 *
 * cox_ca_fork() forks keeper and signer before the main process has threads or sockets. All three die together: if one ends,
 * the others end too, and coxswaind says so.
 * Thread: fork on the first thread; open, close and rotate on the config loop; sign and bundle from any thread.
 */
#ifndef COX_CA_AUTHORITY_H
#define COX_CA_AUTHORITY_H

#include "base/buf.h"
#include "base/err.h"
#include "base/ref.h"
#include "ca/cert.h"
#include "ca/csr.h"
#include "codec/json.h"
#include "loop/cell.h"
#include "loop/loop.h"

/* Rotation of the root (or, under a plugged-in root, of the issuer): all trust the new one before anything is signed by it, and all
 * have new certificates before the old one is trusted no more. */
enum cox_ca_phase {
	COX_CA_STEADY,
	COX_CA_DISTRIBUTE, /* the bundle holds the old and the new root; the old one signs */
	COX_CA_SIGN,       /* the new one signs; both are trusted; workloads renew */
	COX_CA_RETIRE,     /* the bundle without the old root is on its way */
};
const char *cox_ca_phase_name(enum cox_ca_phase p);

/* What everybody may know. Immutable, shared. */
struct cox_ca_bundle {
	struct cox_ref ref;
	uint64_t generation; /* counts changes in this process */
	enum cox_ca_phase phase;
	bool is_plugged_in; /* the CA came from an operator (cacerts): its files start rotations, not cox_ca_rotate_root() */
	uint64_t epoch;     /* of the keeper's state that it shows: one for all bundles that differ in the CRL only */
	struct cox_str trust_domain;
	const struct cox_str *roots_pem; /* one certificate each: those to trust now */
	size_t root_n;
	struct cox_str chain_pem;     /* what follows a leaf: intermediates, without the root; empty under a self-signed root */
	struct cox_str issuer_key_id; /* hex: of the certificate that signs now */
	struct cox_str crl_pem;       /* CRLs of all issuers whose leaves may live; empty: nothing is revoked */
	int64_t root_not_after_s, issuer_not_after_s;
	struct cox_arena arena;
};
const struct cox_ca_bundle *cox_ca_bundle_ref(const struct cox_ca_bundle *b);
void cox_ca_bundle_unref(const struct cox_ca_bundle *b);
/* A bundle from parts (copied); for tests and for modes without a CA of our own. Gives. */
struct cox_ca_bundle *cox_ca_bundle_new(const struct cox_ca_bundle *parts);

enum cox_ca_store { COX_CA_STORE_MEMORY, COX_CA_STORE_DIR, COX_CA_STORE_KUBE };

struct cox_ca_spec {
	struct cox_str trust_domain; /* until the mesh configuration says another: with KUBE the keeper reads that by itself */
	struct cox_str revision;     /* KUBE: whose mesh configuration (ConfigMap istio-<revision>); empty or "default": istio */
	struct cox_str ns;           /* istio-system: where the secrets are */
	enum cox_ca_store store;     /* DIR: state_dir; MEMORY: a root that ends with the process, for tests */
	const char *kubeconfig;      /* KUBE; NULL: in cluster */
	const char *state_dir;       /* DIR: istio-ca-secret as files, mode 0600 */
	const char *root_ca_dir;     /* plugged-in CA (ROOT_CA_DIR, default ./etc/cacerts); used when it holds a key; watched */
	enum cox_key_type key_type;  /* of a root made here */
	int64_t root_ttl_s, default_ttl_s, max_ttl_s, backdate_s; /* 10 y, 24 h, 90 d, 2 min */
	double root_grace;                                        /* share of life left at which a root is renewed: 0.2 */
	unsigned signatures_per_s;                                /* of the signer; 0: 2,000 */
	struct cox_str replica;                                   /* of those that share the secret: the pod's name; empty: a random one */
	/* names that serving certificates may have beside those of istiod in `ns` (ISTIOD_CUSTOM_HOST) */
	const struct cox_str *serving_dns;
	size_t serving_dns_n;
};
struct cox_ca_processes; /* the two children and the sockets to them */
/* Forks. COX_EINTERNAL with text. In the children it does not return. Copies `spec` as far as the main process needs it. */
COX_MUST_USE enum cox_rc cox_ca_fork(const struct cox_ca_spec *spec, struct cox_ca_processes **out, struct cox_err *err);

/* Ends them where cox_ca_open() is not reached. Accepts NULL. */
void cox_ca_processes_end(struct cox_ca_processes **p);

struct cox_ca;
struct cox_ca_cb {
	/* On the loop that opened: the first bundle is there (sources are ready for proxies only then), and every later one. */
	void (*on_bundle)(void *ctx, const struct cox_ca_bundle *b);
	/* A fault worth telling an operator: key does not match, chain incomplete, expired, secret unreadable. What was good stays in
	 * force. */
	void (*on_fault)(void *ctx, const struct cox_err *err);
	/* Keeper or signer ended ("CA signer: ended by signal 9"): the process must end. Once. */
	void (*on_lost)(void *ctx, const char *which);
	void *ctx;
};
/* Takes *processes. */
COX_MUST_USE enum cox_rc cox_ca_open(struct cox_loop *loop, struct cox_ca_processes **processes, const struct cox_ca_cb *cb,
                                     struct cox_ca **out, struct cox_err *err);
void cox_ca_close(struct cox_ca **ca);
/* Any thread: shares the latest bundle; NULL: none yet. */
const struct cox_ca_bundle *cox_ca_bundle_get(struct cox_ca *ca);
/* Any thread: the latest bundle for /debug/certz: phase, certificates, expiry. `ca` NULL: {"state":"off"}. */
struct cox_json *cox_ca_dump(struct cox_ca *ca, struct cox_arena *arena);

/* The mesh configuration names another trust domain. For stores without a kube-apiserver: with KUBE the keeper believes its own eyes alone.
 * Config loop. */
void cox_ca_set_trust_domain(struct cox_ca *ca, struct cox_str name);

/* One signature. */
struct cox_ca_request {
	struct cox_str spki_der;    /* of cox_csr_check() */
	struct cox_str csr_pem;     /* the request itself, for a CA elsewhere */
	struct cox_str cert_signer; /* metadata CertSigner: which of the signers in CERT_SIGNER_DOMAIN; our own CA has one and ignores it */
	const struct cox_str *uris; /* identities of the caller, SPIFFE; at least one unless `dns` */
	size_t uri_n;
	const struct cox_str *dns; /* serving certificates of the control plane only: the signer allows its own names */
	size_t dns_n;
	int64_t ttl_s;         /* <= 0: the default; above the maximum: COX_EINVAL; never beyond the issuer's end */
	struct cox_str caller; /* for the audit log: how it proved who it is */
};
struct cox_ca_answer {
	struct cox_str cert_pem;            /* the leaf alone */
	const struct cox_ca_bundle *bundle; /* that it was signed under: chain and roots; borrowed */
	struct cox_cert_info info;          /* serial, lifetime, names and the issuer's key id; no more */
};
/* Any thread. Copies the request. done() comes on `loop`, never from inside; `a` is NULL unless COX_OK. COX_EAGAIN: no key yet;
 * COX_ELIMIT: rate; COX_EDENIED: not in the trust domain. */
typedef void cox_ca_sign_fn(struct cox_ca *ca, struct cox_loop *loop, const struct cox_ca_request *r,
                            void (*done)(void *ctx, enum cox_rc rc, const struct cox_ca_answer *a, const struct cox_err *err), void *ctx);
cox_ca_sign_fn cox_ca_sign;

/* --- a CA elsewhere: its keys are not ours, nor are rotation and CRL ---------------------------------------- */

/* One or more certificates of a root. */
struct cox_ca_root {
	struct cox_str pem;
	const struct cox_str *signers; /* Kubernetes signers whose certificates end in it; none: those that no other root names */
	size_t signer_n;
};
/* What signs in place of keeper and signer: kube_signer.h, external_signer.h. Config loop. */
struct cox_ca_remote {
	/* As cox_ca_sign(), but on the config loop only, which `loop` is. */
	void (*sign)(void *ctx, struct cox_ca *ca, struct cox_loop *loop, const struct cox_ca_request *r,
	             void (*done)(void *ctx, enum cox_rc rc, const struct cox_ca_answer *a, const struct cox_err *err), void *done_ctx);
	/* Other roots. May be NULL. */
	void (*set_roots)(void *ctx, const struct cox_ca_root *roots, size_t n);
	/* All open requests end with COX_ECANCELED. */
	void (*close)(void *ctx);
	void *ctx;
};
/* Takes what `remote` has open. The first bundle comes with the first roots. on_fault says what a CA elsewhere cannot do. */
struct cox_ca *cox_ca_new_remote_take(struct cox_loop *loop, const struct cox_ca_remote *remote, struct cox_str trust_domain,
                                      const struct cox_ca_cb *cb);
/* What the mesh trusts, all of it: the next bundle, if it is another. COX_EINVAL: a root is broken, is no CA, or there is none; what was
 * stays in force. */
COX_MUST_USE enum cox_rc cox_ca_set_roots(struct cox_ca *ca, const struct cox_ca_root *roots, size_t n, struct cox_err *err);

/* --- rotation and revocation: config loop ----------------------------------------------------------- */

/* Starts a rotation of the self-signed root with a new key; COX_EAGAIN: one is in progress. The phases go on when
 * cox_ca_phase_done() says that everybody has followed. Shared by replicas: state is in the secret, the keeper that holds it leads. */
COX_MUST_USE enum cox_rc cox_ca_rotate_root(struct cox_ca *ca, struct cox_err *err);
/* Everybody has done what the phase of this bundle generation asks: go on to the next one. */
void cox_ca_phase_done(struct cox_ca *ca, uint64_t generation);

/* What may not be trusted any more; the signer signs a CRL of it under every issuer whose leaves may live, and the next bundle carries it.
 */
struct cox_ca_revoked {
	char serial[COX_CERT_SERIAL_HEX_MAX];
	int64_t revoked_s;
};
void cox_ca_set_revoked(struct cox_ca *ca, const struct cox_ca_revoked *items, size_t n);

#endif
