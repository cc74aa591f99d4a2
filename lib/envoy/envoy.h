/*
 * envoy - how Envoy messages are written: typed setters straight to wire format.
 *
 * For a message a.b.C there is a handle `struct pb_<name>`; <name> is the full name with '_' for '.', without a leading
 * "envoy." and then without a leading "config." or "extensions.": envoy.config.cluster.v3.Cluster is pb_cluster_v3_Cluster.
 * The setters are in "envoy/<package>.h" (generated: "envoy/cluster_v3.h"); "envoy/api.h" has all a control plane needs.
 *
 * For a field f of message X:
 *   scalar, enum            pb_X_f(m, v)           strings and bytes: struct cox_str; enums: PB_<scope>_<VALUE>
 *   repeated scalar         pb_X_f(m, v)           appends one value; keep the calls of one packed field together
 *   wrapper (UInt32Value..) pb_X_f(m, v)           takes the plain value; written even if it is zero
 *   Duration                pb_X_f(m, ns)          nanoseconds
 *   message (also repeated) pb_X_f(m)              begins it and returns its handle: give it to PB_WITH
 *                           pb_X_f_raw(m, bytes)   embeds bytes that are already encoded
 *   map<K, scalar>          pb_X_f(m, key, v)      one entry; sort the keys before, for deterministic output
 *   map<K, message>         pb_X_f(m, key)         begins the entry's value; _raw(m, key, bytes)
 * Scalars without presence are left out when they hold the default; `optional` ones, members of a oneof and wrappers are
 * always written. Field numbers: PB_X_f__NUM. Bytes follow the order of the calls: equal calls give equal bytes.
 *
 * Only the innermost open message can be written (asserted). Scopes close at their brace, and also on break, return and goto.
 */
#ifndef COX_ENVOY_ENVOY_H
#define COX_ENVOY_ENVOY_H

#include "codec/pb_write.h"
#include "envoy/types.h"

/* PB_WITH (a, pb_core_v3_Address_socket_address(m)) { pb_core_v3_SocketAddress_address(a, ip); } */
#define PB_WITH(var, open) \
	for (COX_AUTO(cox_pb_end_handle) __auto_type var = (open); var.at.pb != NULL; cox_pb_end(var.at), var.at.pb = NULL)

/* A message of its own: PB_ROOT (c, pb_cluster_v3_Cluster, &pb) { ... } appends its bytes to the writer's buffer. */
#define PB_ROOT(var, type, writer) PB_WITH (var, ((struct type){ cox_pb_root(writer) }))

/* A message inside a google.protobuf.Any:
 * PB_ANY (tls, pb_core_v3_TransportSocket_typed_config(ts), pb_transport_sockets_tls_v3_UpstreamTlsContext) { ... } */
#define PB_ANY(var, any, type)        \
	PB_WITH (var, ((struct type){ \
	                  cox_pb_any_begin(((struct pb_google_protobuf_Any)(any)).at, type##_TYPE_URL, sizeof(type##_TYPE_URL) - 1) }))

/* The type URL of a message as struct cox_str: PB_TYPE_URL(pb_cluster_v3_Cluster) */
#define PB_TYPE_URL(type) COX_STR_OF_LITERAL_(type##_TYPE_URL)
#define COX_STR_OF_LITERAL_(literal) ((struct cox_str){ literal, sizeof(literal) - 1 })

#endif
