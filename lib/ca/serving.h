/*
 * serving - the certificate that the control plane serves with: signed by our own CA for its DNS names, with a new key each time, renewed
 * at half of its life and when the issuer changes; or read from files, which are watched. Client certificates are asked for, and
 * verified against all roots of the bundle and its revocation lists.
 * Thread: everything on the config loop. What cannot be renewed stays in force; it is tried again, and logged.
 */
#ifndef COX_CA_SERVING_H
#define COX_CA_SERVING_H

#include "ca/authority.h"
#include "net/tls.h"

struct cox_serving;

/* What new connections use from now on. */
struct cox_serving_now {
	struct cox_tls *tls;               /* borrowed: share it */
	struct cox_str chain_pem, key_pem; /* for servers with another TLS library; borrowed for the call */
	int64_t not_after_s;
};
struct cox_serving_spec {
	struct cox_loop *loop;
	cox_ca_sign_fn *sign; /* cox_ca_sign; not used with files */
	struct cox_ca *ca;
	const struct cox_str *dns; /* names; copied */
	size_t dns_n;
	/* Files instead of our CA: all or none of the two; ca_file adds roots for client certificates. NULL: none. */
	const char *cert_file, *key_file, *ca_file;
	void (*on_change)(void *ctx, const struct cox_serving_now *now);
	void *ctx;
};
/* With files the first on_change comes from inside. COX_EINVAL, COX_ENOTFOUND: files cannot be used, or only one of them is named. */
COX_MUST_USE enum cox_rc cox_serving_open(const struct cox_serving_spec *spec, struct cox_serving **out, struct cox_err *err);
/* Accepts NULL. */
void cox_serving_close(struct cox_serving **s);
/* The CA's latest: the first one starts it all. */
void cox_serving_bundle(struct cox_serving *s, const struct cox_ca_bundle *b);

#endif
