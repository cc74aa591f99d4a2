/*
 * stage_trust - what is made of the CA's bundle: told to every proxy, written into the cluster, and the phases of a rotation driven by who
 * has followed. Owns the list of issued certificates. Config loop.
 */
#ifndef COXSWAIND_STAGE_TRUST_H
#define COXSWAIND_STAGE_TRUST_H

#include "ca/revocation.h"
#include "daemon.h"

enum cox_rc start_trust(struct daemon *d, struct cox_err *err);
void stop_trust(struct daemon *d);
/* The CA's first and every later bundle. */
void trust_on_bundle(struct daemon *d, const struct cox_ca_bundle *b);
/* Objects of the source: namespaces and service accounts are looked at. */
/* The bundle and what other trust domains add to it, to every proxy. */
void trust_refresh(struct daemon *d);
void trust_on_object(struct daemon *d, enum cox_kind kind, struct cox_str ns, struct cox_str name, const struct cox_object *o);
void trust_on_leader(struct daemon *d, bool is_leader);

#endif
