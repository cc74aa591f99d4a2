/*
 * pem - is a PEM text what it should be: certificates, a key for the first of them, revocation lists. Pure: no clock, no files.
 * Thread: any. Parses foreign bytes: sizes are limited; errors say what is wrong and never show content.
 */
#ifndef COX_CODEC_PEM_H
#define COX_CODEC_PEM_H

#include "base/err.h"
#include "base/str.h"

enum {
	COX_PEM_BYTES_MAX = 1 << 20, /* a Secret or ConfigMap ends at 1 MiB */
	COX_PEM_CERTS_MAX = 1000,    /* bundles of public authorities have some 150 */
};

struct cox_pem_certs {
	size_t count;
	int64_t not_before_s, not_after_s; /* of the first certificate; Unix time */
	int64_t first_end_s;               /* when the first of all of them ends */
};
/* COX_EINVAL: no certificate, or a broken one. COX_ELIMIT: too long, too many. */
COX_MUST_USE enum cox_rc cox_pem_certs_check(struct cox_str pem, struct cox_pem_certs *out, struct cox_err *err);
/* Is `key` (PKCS#1, PKCS#8, SEC1; not encrypted) the key of the first certificate? COX_EINVAL: it is not, or one of them is broken. */
COX_MUST_USE enum cox_rc cox_pem_pair_check(struct cox_str certs, struct cox_str key, struct cox_err *err);
/* COX_EINVAL: no revocation list, or a broken one. */
COX_MUST_USE enum cox_rc cox_pem_crls_check(struct cox_str pem, struct cox_err *err);

#endif
