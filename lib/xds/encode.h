/*
 * encode - a core's response as pieces for the wire: small headers of its own, and the shared bytes of resources.
 * What belongs to a step (names, versions, lengths of all its resources) is encoded once and shared by every proxy that makes it.
 * Thread: one stream loop.
 */
#ifndef COX_XDS_ENCODE_H
#define COX_XDS_ENCODE_H

#include "net/grpc_server.h"
#include "xds/core.h"
#include "xds/debug.h"

typedef COX_VEC(struct cox_grpc_piece) cox_pieces;

/* Appends the message's pieces to `out` (give them to cox_grpc_send(), which takes each). Returns its size in bytes. */
size_t cox_xds_encode(const struct cox_xds_response *r, bool is_delta, struct cox_str control_plane, cox_pieces *out);
/* An answer to a question (debug.h). Takes the items' values; copies the rest. */
void cox_xds_encode_items_take(struct cox_str type_url, struct cox_str nonce, struct cox_xds_item *items, size_t n, bool is_delta,
                               struct cox_str control_plane, cox_pieces *out);

#endif
