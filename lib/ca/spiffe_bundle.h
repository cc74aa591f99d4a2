/*
 * spiffe_bundle - roots of a trust domain as SPIFFE tells them to others: a JWK set whose x509-svid entries hold one certificate each
 * (SPIFFE Trust Domain and Bundle, section 4). Pure. Reads foreign bytes: sizes are limited.
 */
#ifndef COX_CA_SPIFFE_BUNDLE_H
#define COX_CA_SPIFFE_BUNDLE_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"

enum {
	COX_SPIFFE_BUNDLE_BYTES_MAX = 1 << 20,
	COX_SPIFFE_BUNDLE_KEYS_MAX = 128,
	COX_SPIFFE_REFRESH_S = 300, /* what we ask for, and what counts where nobody asks: section 4.1.2 */
};

struct cox_spiffe_bundle {
	const struct cox_str *roots_pem; /* one certificate each */
	size_t root_n;
	int64_t refresh_s; /* as it says; 0: it does not */
	uint64_t sequence; /* 0: it does not say */
};
/* COX_EINVAL: no JWK set, or no usable x509-svid entry in it; entries for other uses are left out, a broken one is an error (a bundle is
 * all or nothing). Everything in `arena`. */
COX_MUST_USE enum cox_rc cox_spiffe_bundle_read(struct cox_str json, struct cox_arena *arena, struct cox_spiffe_bundle *out,
                                                struct cox_err *err);
/* Appends it. The sequence is the newest root's and, among equal ones, grows as roots leave: all replicas say the same. COX_EINVAL: a root
 * is broken. */
COX_MUST_USE enum cox_rc cox_spiffe_bundle_write(const struct cox_str *roots_pem, size_t n, struct cox_buf *out, struct cox_err *err);

#endif
