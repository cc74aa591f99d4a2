/*
 * issue - making certificates and CRLs from a CA's key. Pure but for random numbers: time is passed in.
 * Only keeper, signer and tests use it: whoever holds a struct cox_issuer has a CA key in memory.
 */
#ifndef COX_CA_ISSUE_H
#define COX_CA_ISSUE_H

#include "ca/authority.h"

struct cox_issuer; /* a CA certificate and its key */

/* Parses and checks: the key belongs to the first certificate of `cert_pem`, which is a CA certificate that may sign.
 * COX_EINVAL with text. Gives *out. */
COX_MUST_USE enum cox_rc cox_issuer_new(struct cox_str cert_pem, struct cox_str key_pem, struct cox_issuer **out, struct cox_err *err);
/* Wipes the key. Accepts NULL. */
void cox_issuer_free(struct cox_issuer **i);
/* Of its certificate; lives as long as the issuer. */
const struct cox_cert_info *cox_issuer_info(const struct cox_issuer *i);

struct cox_ca_cert_spec {
	struct cox_str organization; /* the trust domain */
	const char *common_name;     /* NULL: none */
	int64_t now_s, ttl_s, backdate_s;
	int path_len; /* of an intermediate; < 0: not limited */
};
/* A new key and a self-signed root. Appends; the caller wipes `key_pem`. */
COX_MUST_USE enum cox_rc cox_issue_root(enum cox_key_type type, const struct cox_ca_cert_spec *spec, struct cox_buf *cert_pem,
                                        struct cox_buf *key_pem, struct cox_err *err);
/* The same root with the same key, subject, key identifier and NotBefore, that lives until now + ttl: what the old one verifies, the new
 * one does too, and a clock that is set back finds it valid as before. */
COX_MUST_USE enum cox_rc cox_issue_root_renewal(const struct cox_issuer *root, int64_t now_s, int64_t ttl_s, struct cox_buf *cert_pem,
                                                struct cox_err *err);
/* An intermediate with a new key. */
COX_MUST_USE enum cox_rc cox_issue_intermediate(const struct cox_issuer *parent, enum cox_key_type type,
                                                const struct cox_ca_cert_spec *spec, struct cox_buf *cert_pem, struct cox_buf *key_pem,
                                                struct cox_err *err);

struct cox_leaf_spec {
	struct cox_str spki_der;
	const struct cox_str *uris, *dns; /* not both empty */
	size_t uri_n, dns_n;
	int64_t now_s, ttl_s, backdate_s; /* NotBefore = now - backdate; NotAfter = now + ttl, never beyond the issuer's */
};
struct cox_leaf_info {
	char serial[COX_CERT_SERIAL_HEX_MAX];
	int64_t not_before_s, not_after_s;
};
/* Appends the leaf as PEM; `info` may be NULL. COX_EINVAL: the key or a name is not taken; COX_EAGAIN: the issuer is not valid now, with
 * text that says so. */
COX_MUST_USE enum cox_rc cox_issue_leaf(const struct cox_issuer *i, const struct cox_leaf_spec *spec, struct cox_buf *cert_pem,
                                        struct cox_leaf_info *info, struct cox_err *err);

/* A complete CRL (version 2): `number` must grow from one to the next of an issuer. Appends as PEM. Serials that are no hex are left out.
 */
COX_MUST_USE enum cox_rc cox_issue_crl(const struct cox_issuer *i, const struct cox_ca_revoked *items, size_t n, uint64_t number,
                                       int64_t now_s, int64_t next_update_s, struct cox_buf *crl_pem, struct cox_err *err);

/* Is it a PEM text of CRLs, at least one? COX_EINVAL. */
COX_MUST_USE enum cox_rc cox_crl_check_(struct cox_str pem, struct cox_err *err);

#endif
