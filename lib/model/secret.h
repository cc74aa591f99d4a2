/*
 * secret - what TLS makes of a Secret or ConfigMap: certificate, key, authorities, revocation list, staple.
 * Pure; checks need no clock: whoever has one compares the times.
 */
#ifndef COX_MODEL_SECRET_H
#define COX_MODEL_SECRET_H

#include "base/err.h"
#include "model/core.h"

/* PEM texts (the staple is DER); empty: the object has none. Borrowed from the object. */
struct cox_tls_material {
	struct cox_str cert, key, ca, crl, ocsp_staple;
};
/* Generic names (cert, key, cacert, crl) go before those of type kubernetes.io/tls (tls.crt, tls.key, ca.crt, ca.crl, tls.ocsp-staple). Of
 * a ConfigMap authorities and list only. */
struct cox_tls_material cox_tls_material_of(const struct cox_object *o);

struct cox_tls_facts {
	int64_t cert_end_s; /* of the leaf; 0: there is none */
	int64_t ca_end_s;   /* of the authority that ends first; 0: none */
};
/* COX_EINVAL with the key's name and what is wrong: not PEM, a key that is not the certificate's, half a pair. Nothing at all is fine. */
COX_MUST_USE enum cox_rc cox_tls_material_check(const struct cox_object *o, struct cox_tls_facts *out, struct cox_err *err);

/* The CA's own Secrets: never watched, read or served (DESIGN decision 14). */
bool cox_secret_is_reserved(struct cox_str name);

#endif
