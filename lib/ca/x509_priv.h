/*
 * x509 - OpenSSL's objects under our rules, for the files of this module: scope cleanup, errors as text, PEM in both directions.
 * Pure. OpenSSL's error queue of the thread is empty after every function.
 */
#ifndef COX_CA_X509_PRIV_H
#define COX_CA_X509_PRIV_H

#include "ca/cert.h"

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

/* "what: OpenSSL's reason", and the queue is emptied. Returns `rc`. */
enum cox_rc cox_ossl_fail_(struct cox_err *err, enum cox_rc rc, const char *what);

static inline void cox_bio_freep_(BIO **b) { BIO_free(*b); }
static inline void cox_x509_freep_(X509 **x) { X509_free(*x); }
static inline void cox_pkey_freep_(EVP_PKEY **k) { EVP_PKEY_free(*k); }
static inline void cox_x509_stack_freep_(STACK_OF(X509) * *s) { sk_X509_pop_free(*s, X509_free); }

/* A read-only BIO over borrowed text. */
BIO *cox_bio_of_(struct cox_str text);
/* Appends what a memory BIO holds. */
void cox_bio_append_(BIO *bio, struct cox_buf *out);
/* All certificates of a PEM text in order, at least one. Gives *out. COX_EINVAL, COX_ELIMIT as cox_cert_split(). */
COX_MUST_USE enum cox_rc cox_x509_read_all_(struct cox_str pem, STACK_OF(X509) * *out, struct cox_err *err);
/* The first certificate. Gives. */
COX_MUST_USE enum cox_rc cox_x509_read_(struct cox_str pem, X509 **out, struct cox_err *err);
/* An unencrypted private key: PKCS#1, PKCS#8, SEC1. Gives. The text of an error never holds a part of the key. */
COX_MUST_USE enum cox_rc cox_pkey_read_(struct cox_str pem, EVP_PKEY **out, struct cox_err *err);
void cox_x509_write_pem_(X509 *x, struct cox_buf *out);
/* What cox_cert_read_*() says of one. */
void cox_x509_describe_(X509 *x, struct cox_arena *arena, struct cox_cert_info *out);
/* COX_EINVAL: weaker than RSA 2048 or P-256, or of another kind. `what` is for the message. */
COX_MUST_USE enum cox_rc cox_pkey_check_strength_(EVP_PKEY *key, const char *what, struct cox_err *err);
/* "EC-P256", "RSA-2048" and so on; static text where it is a common one, else in `arena`. */
const char *cox_pkey_type_name_(EVP_PKEY *key, struct cox_arena *arena);

#endif
