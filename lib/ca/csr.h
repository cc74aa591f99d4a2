/*
 * csr - certificate signing requests (PKCS#10): made by the agent, checked by the CA. Pure but for random numbers.
 * The identity in a request is never believed (features c21); its key and the proof of possession are.
 */
#ifndef COX_CA_CSR_H
#define COX_CA_CSR_H

#include "base/buf.h"
#include "base/err.h"

enum { COX_CSR_BYTES_MAX = 64 * 1024 }; /* an RSA-4096 request is 2 KB; room for foreign attributes */

enum cox_key_type { COX_KEY_P256, COX_KEY_P384, COX_KEY_RSA_2048, COX_KEY_RSA_3072, COX_KEY_RSA_4096 };
/* "P256", "P384", "RSA2048", "RSA3072", "RSA4096". False: none of these. */
bool cox_key_type_find(struct cox_str name, enum cox_key_type *out);
const char *cox_key_type_name(enum cox_key_type t);

/* A new private key as PKCS#8 PEM (`sec1_or_pkcs1`: "EC PRIVATE KEY" or "RSA PRIVATE KEY"). The caller wipes `key_pem` with cox_wipe(). */
COX_MUST_USE enum cox_rc cox_key_make(enum cox_key_type type, bool sec1_or_pkcs1, struct cox_buf *key_pem, struct cox_err *err);
/* Appends a request for `uri` (SPIFFE; may be empty) signed by `key_pem`, as PEM. */
COX_MUST_USE enum cox_rc cox_csr_make(struct cox_str key_pem, struct cox_str uri, struct cox_buf *csr_pem, struct cox_err *err);

/* The same for DNS names of a server's certificate. */
COX_MUST_USE enum cox_rc cox_csr_make_dns(struct cox_str key_pem, const struct cox_str *dns, size_t n, struct cox_buf *csr_pem,
                                          struct cox_err *err);

/* Checks a request in PEM: form, size, signature by its own key, key strength (RSA 2048 to 8192, P-256, P-384, P-521, Ed25519).
 * Appends the public key as DER (SubjectPublicKeyInfo). COX_EINVAL with text that says which. */
COX_MUST_USE enum cox_rc cox_csr_check(struct cox_str csr_pem, struct cox_buf *spki_der, struct cox_err *err);

/* Overwrites what a buffer held, to its capacity, in a way that no compiler leaves out, and empties it. */
void cox_wipe(struct cox_buf *secret);

#endif
