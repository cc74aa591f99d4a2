/*
 * uds - Unix sockets that the agent serves to its Envoy. Blocks no longer than a file system call.
 */
#ifndef COX_AGENT_UDS_H
#define COX_AGENT_UDS_H

#include "net/grpc_server.h"

/* Does somebody accept connections at `path`? */
bool cox_agent_uds_is_served(const char *path);
/* Listens at `path` (its directory is made if it is missing); only our own user, Envoy's, may connect. COX_EINVAL: the path is too long, or
 * something that is no socket is there. */
COX_MUST_USE enum cox_rc cox_agent_uds_listen(struct cox_grpc_server *server, const char *path, struct cox_err *err);

#endif
