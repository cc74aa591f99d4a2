/*
 * authn_xfcc - the header x-forwarded-client-cert, as Envoy writes it, and addresses of gateways that may send it. Pure.
 */
#ifndef COX_CA_AUTHN_XFCC_H
#define COX_CA_AUTHN_XFCC_H

#include "base/arena.h"
#include "base/err.h"
#include "base/vec.h"

enum { COX_XFCC_BYTES_MAX = 16 * 1024, COX_XFCC_URIS_MAX = 16 };

/* The URI values of the *last* element of `header`: that one was written by the peer itself, about its own client; those before it came
 * with the request. COX_EINVAL: not the header's form. Text in `arena`. */
COX_MUST_USE enum cox_rc cox_xfcc_uris(struct cox_str header, struct cox_arena *arena, struct cox_str uris[COX_XFCC_URIS_MAX], size_t *n,
                                       struct cox_err *err);

/* "10.0.0.0/8, fd00::/8, 192.0.2.7" */
struct cox_cidr {
	unsigned char address[16]; /* IPv4 as ::ffff:a.b.c.d */
	unsigned bits;             /* of 128 */
};
typedef COX_VEC(struct cox_cidr) cox_cidrs;
COX_MUST_USE enum cox_rc cox_cidrs_parse(struct cox_str text, cox_cidrs *out, struct cox_err *err);
/* `peer` is "10.0.0.1:1234" or "[fd00::1]:80". */
bool cox_cidrs_have(const cox_cidrs *c, struct cox_str peer);

#endif
