/*
 * tls - OpenSSL contexts, made once from files or memory and shared by connections.
 * Thread: a sealed context is used from any thread.
 */
#ifndef COX_NET_TLS_H
#define COX_NET_TLS_H

#include "base/err.h"

struct cox_tls; /* shared */

struct cox_tls_spec {
	/* PEM; what is empty is not used. A client without `ca_pem` trusts the system's roots. */
	struct cox_str ca_pem, cert_pem, key_pem;
	/* Revocation lists. A peer's certificate is refused if the list of its issuer names it; an issuer without a list here, or with one
	 * that is out of date, refuses nobody: who has no newer list must not lose all peers. */
	struct cox_str crl_pem;
	bool is_server;
	bool insecure;            /* client: does not verify the server */
	bool request_client_cert; /* server: asks for one and verifies it against ca_pem if it comes */
	bool require_client_cert; /* server: refuses without */
	bool tls13_only;          /* else 1.2 and up */
	const char *ciphers;      /* TLS 1.2 list in OpenSSL's words, NULL: ECDHE with AEAD only */
};

/* COX_EINVAL with text: a PEM block is broken, or the key is not the certificate's. */
COX_MUST_USE enum cox_rc cox_tls_new(const struct cox_tls_spec *spec, struct cox_tls **out, struct cox_err *err);
/* Reads the files named (NULL: none) and builds as above; blocks, for start-up and workers. The PEM members of `spec` are ignored. */
COX_MUST_USE enum cox_rc cox_tls_new_from_files(const struct cox_tls_spec *spec, const char *ca_file, const char *cert_file,
                                                const char *key_file, struct cox_tls **out, struct cox_err *err);
struct cox_tls *cox_tls_ref(struct cox_tls *t);
void cox_tls_unref(struct cox_tls **t);

/* What a peer proved. Borrowed from its connection. */
struct cox_tls_peer {
	bool is_tls;
	bool is_verified;           /* its certificate chains to ca_pem */
	struct cox_str cert_der;    /* its leaf certificate; empty: none */
	const struct cox_str *uris; /* URI names of the leaf (SPIFFE) */
	size_t uri_count;
};

#endif
