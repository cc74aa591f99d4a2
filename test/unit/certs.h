/*
 * certs - keys and certificates made for a test, in memory; none is ever stored. Header only.
 */
#ifndef COX_TEST_CERTS_H
#define COX_TEST_CERTS_H

#include "base/arena.h"
#include "base/str.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

struct test_pair {
	struct cox_str cert, key; /* PEM, in the arena */
};

static inline struct cox_str certs_take(struct cox_arena *a, BIO *bio)
{
	char *p;
	long n = BIO_get_mem_data(bio, &p);
	struct cox_str s = cox_arena_str(a, cox_str_make(p, (size_t)n));
	BIO_free(bio);
	return s;
}

/* Self-signed, P-256; valid from `from_s` to `to_s` seconds from now. */
static inline struct test_pair certs_make(struct cox_arena *a, const char *name, long from_s, long to_s)
{
	static long serial = 1;
	struct test_pair out;
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *x = X509_new();
	BIO *cert_bio = BIO_new(BIO_s_mem()), *key_bio = BIO_new(BIO_s_mem());
	X509_set_version(x, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(x), serial++);
	X509_gmtime_adj(X509_getm_notBefore(x), from_s);
	X509_gmtime_adj(X509_getm_notAfter(x), to_s);
	X509_set_pubkey(x, key);
	X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1, 0);
	X509_set_issuer_name(x, X509_get_subject_name(x));
	X509_sign(x, key, EVP_sha256());
	PEM_write_bio_X509(cert_bio, x);
	PEM_write_bio_PrivateKey(key_bio, key, NULL, NULL, 0, NULL, NULL);
	out.cert = certs_take(a, cert_bio);
	out.key = certs_take(a, key_bio);
	X509_free(x);
	EVP_PKEY_free(key);
	return out;
}

/* A revocation list of nobody, by a fresh authority. */
static inline struct cox_str certs_crl(struct cox_arena *a)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509_CRL *crl = X509_CRL_new();
	X509_NAME *name = X509_NAME_new();
	ASN1_TIME *now = X509_gmtime_adj(NULL, 0), *next = X509_gmtime_adj(NULL, 3600);
	BIO *bio = BIO_new(BIO_s_mem());
	X509_CRL_set_version(crl, 1);
	X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"crl", -1, -1, 0);
	X509_CRL_set_issuer_name(crl, name);
	X509_CRL_set1_lastUpdate(crl, now);
	X509_CRL_set1_nextUpdate(crl, next);
	X509_CRL_sign(crl, key, EVP_sha256());
	PEM_write_bio_X509_CRL(bio, crl);
	ASN1_TIME_free(now);
	ASN1_TIME_free(next);
	X509_NAME_free(name);
	X509_CRL_free(crl);
	EVP_PKEY_free(key);
	return certs_take(a, bio);
}

#endif
