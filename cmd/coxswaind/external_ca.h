/* external_ca - EXTERNAL_CA: which CA elsewhere signs, and the roots that the mesh trusts then. Config loop. */
#ifndef COX_COXSWAIND_EXTERNAL_CA_H
#define COX_COXSWAIND_EXTERNAL_CA_H

#include "daemon.h"

struct external_ca_ttl {
	int64_t default_s, max_s, timeout_s; /* timeout_s 0: the back end's */
};
/* COX_EINVAL: EXTERNAL_CA names nothing that we know, or what it needs is not there. */
COX_MUST_USE enum cox_rc external_ca_check(const struct flags *flags, struct cox_err *err);
bool external_ca_is_set(void);
/* Whether it signs our own serving certificate, too; true for our own CA. */
bool external_ca_signs_names(void);
/* Fills d->ca and d->external_ca. */
COX_MUST_USE enum cox_rc external_ca_start(struct daemon *d, const struct cox_ca_cb *cb, const struct external_ca_ttl *ttl,
                                           struct cox_err *err);
/* The root file or the mesh configuration may be others now. */
void external_ca_refresh(struct daemon *d);
void external_ca_stop(struct daemon *d);

#endif
