/*
 * guard - HTTP requests with a revoked certificate are refused on connections that were open before, too. Pure.
 *
 * Envoy looks at a revocation list in the handshake alone, so a peer keeps what it has open. While something is revoked, every HTTP chain
 * that ends the mesh's mTLS has two filters in front: one notes the serial number of the peer's certificate, the other (RBAC) denies those
 * on a list that comes by ECDS, alone and unasked: another revocation changes that one small resource, no listener, and no connection of
 * anybody else. A mesh in which nothing is revoked has neither filter. Putting them in replaces the chains, in place: Envoy asks HTTP
 * connections of the old ones to end with their next answer and ends the rest, streams among them, after its drain time.
 *
 * TCP chains have no guard: a network filter's configuration is fixed when the connection begins, also where it comes by ECDS and where
 * RBAC looks at every read (enforcement_type CONTINUOUS); chains are chosen before the peer's certificate is seen, so none is of one peer;
 * and neither secrets nor Envoy's administration end connections of one peer. All that ends an open TCP connection is another chain in
 * place of its own, which ends those of every peer after the drain time: only where the operator wants it.
 */
#ifndef COX_TRANSLATE_GUARD_H
#define COX_TRANSLATE_GUARD_H

#include "envoy/api.h"
#include "translate/translate.h"

/* Both filters, in their order. */
void cox_guard_write(struct pb_filters_network_http_connection_manager_v3_HttpConnectionManager h);
/* Makes a TCP chain another one with every other guard.tcp. */
void cox_guard_tcp_write(struct pb_listener_v3_FilterChain fc, const struct cox_tr *t);
/* The list as a set of type ECDS. Serials: lower-case hexadecimal. Gives. */
struct cox_set *cox_guard_set_build(const struct cox_str *serials, size_t n);

#endif
