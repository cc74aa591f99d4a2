/*
 * cert - what a certificate says, and whether a chain holds. Pure: values in, values out; time is passed in.
 * Thread: any. Parses foreign bytes: sizes are limited, errors name the certificate by position and subject.
 */
#ifndef COX_CA_CERT_H
#define COX_CA_CERT_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"

enum {
	COX_CERT_PEM_BYTES_MAX = 1 << 20, /* a Secret or ConfigMap ends at 1 MiB */
	COX_CERT_SERIAL_HEX_MAX = 41,     /* RFC 5280: 20 octets, and the NUL */
	COX_CERT_CHAIN_MAX = 16,
	COX_CERT_SPLIT_MAX = 256, /* certificates of one PEM text: a bundle of many clusters' roots */
};

struct cox_cert_info {
	char serial[COX_CERT_SERIAL_HEX_MAX]; /* lower-case hex, no leading zeros */
	char key_id[65], issuer_key_id[65];   /* hex of the subject and authority key identifiers; empty: none */
	int64_t not_before_s, not_after_s;    /* Unix time */
	bool is_ca, is_self_signed;
	struct cox_str subject, issuer;   /* RFC 2253 text */
	const struct cox_str *uris, *dns; /* subject alternative names */
	size_t uri_n, dns_n;
	const char *key_type; /* "EC-P256", "EC-P384", "RSA-2048", "RSA-4096", ...; "other" */
};
/* The first certificate of a PEM text, or one in DER. Text lives in `arena`. COX_EINVAL: none, or broken. */
COX_MUST_USE enum cox_rc cox_cert_read_pem(struct cox_str pem, struct cox_arena *arena, struct cox_cert_info *out, struct cox_err *err);
COX_MUST_USE enum cox_rc cox_cert_read_der(struct cox_str der, struct cox_arena *arena, struct cox_cert_info *out, struct cox_err *err);
/* Splits a PEM text into its certificates, each as PEM with a newline at the end, in `arena`; broken ones are an error, other blocks are
 * left out. COX_EINVAL: none at all; COX_ELIMIT: too long or too many. */
COX_MUST_USE enum cox_rc cox_cert_split(struct cox_str pem, struct cox_arena *arena, struct cox_str **out, size_t *n, struct cox_err *err);
/* Equal certificates once, in order of first appearance. */
void cox_cert_dedupe(struct cox_str *pems, size_t *n);
/* Does `leaf_pem` (with intermediates behind it) chain to one of `roots_pem` at `now_s`? COX_EAUTH with OpenSSL's reason. */
COX_MUST_USE enum cox_rc cox_cert_verify(struct cox_str leaf_pem, struct cox_str roots_pem, int64_t now_s, struct cox_err *err);
/* Is `key_pem` (PKCS#1, PKCS#8, SEC1) the key of the first certificate? COX_EINVAL: it is not, or is broken. */
COX_MUST_USE enum cox_rc cox_cert_check_key(struct cox_str cert_pem, struct cox_str key_pem, struct cox_err *err);

#endif
