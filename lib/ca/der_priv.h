/*
 * der - just enough DER to write a leaf certificate and to look into a public key. Pure.
 * Why not OpenSSL's objects: version 3.0 looks for a decoder each time that it meets a public key, which takes ten times as long as the
 * signature.
 */
#ifndef COX_CA_DER_PRIV_H
#define COX_CA_DER_PRIV_H

#include "base/buf.h"
#include "base/err.h"

enum {
	COX_DER_INTEGER = 0x02,
	COX_DER_BIT_STRING = 0x03,
	COX_DER_OCTET_STRING = 0x04,
	COX_DER_NULL = 0x05,
	COX_DER_OID = 0x06,
	COX_DER_UTC_TIME = 0x17,
	COX_DER_GENERALIZED_TIME = 0x18,
	COX_DER_SEQUENCE = 0x30,
};

/* Appends tag and length of a content of `n` bytes. */
void cox_der_put_head_(struct cox_buf *out, uint8_t tag, size_t n);
void cox_der_put_(struct cox_buf *out, uint8_t tag, struct cox_str content);
/* UTCTime until 2049, GeneralizedTime after it (RFC 5280, 4.1.2.5). */
void cox_der_put_time_(struct cox_buf *out, int64_t at_s);
/* Takes one element with this tag off the front. False: there is none, or its length is not DER or beyond the end. */
bool cox_der_take_(struct cox_str *rest, uint8_t tag, struct cox_str *content);

/* Is it a SubjectPublicKeyInfo of a key that is taken: RSA 2048 to 8192 with a sane exponent, a point on P-256, P-384 or P-521, Ed25519?
 * COX_EINVAL with text. Thread: any. */
COX_MUST_USE enum cox_rc cox_spki_check_(struct cox_str der, struct cox_err *err);

#endif
